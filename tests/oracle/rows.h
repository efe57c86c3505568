/*
 * The rows of the opcode tables, one by one, each with how its encoding is reached; and what the
 * tables say about whether it can run here.
 */
#ifndef VITRINE_ORACLE_ROWS_H
#define VITRINE_ORACLE_ROWS_H

#include "cpu/decode_tables.h"

/* A row and the way to it. */
struct form {
    const struct opcode *row;
    uint8_t opcode[3];
    uint8_t opcodes;
    bool by_prefix;      /* reached through a mandatory prefix ... */
    uint8_t prefix;      /* ... which is this one, or none (of VEX: its pp field) */
    int8_t rex_w;        /* -1: either */
    int8_t vex_l;        /* -1: either */
    uint8_t vex;         /* VEX map 1, 2, 3; 0: none */
    int8_t mem, reg, rm; /* -1: any */
    int8_t code64;       /* 0: only outside 64-bit mode; 1: only there; -1: either */
    bool older;          /* only what a CPU without a feature makes of these bytes */
};

enum { MAX_FORMS = 4096 };
struct form_list {
    struct form form[MAX_FORMS];
    unsigned n;
};

/* All rows in the order of the tables; a row that lies in several slots counts in each. */
void rows_list(struct form_list *list);

/* "add 00 /r", "vaddps vex.0f 58", ... in a buffer that the next call overwrites. */
const char *form_name(const struct form *f);

/* Whether an operand of the row is one of these kinds. */
bool row_has(const struct opcode *row, enum operand lo, enum operand hi);
bool row_memory_only(const struct opcode *row);
bool row_register_only(const struct opcode *row);
/* x87, MMX, SSE or AVX: what its operands look like. */
bool row_is_x87(const struct opcode *row);
bool row_is_vector(const struct opcode *row);
bool row_is_string(const struct opcode *row);
bool row_is_near_branch(const struct opcode *row);
/* XSAVE, XSAVEOPT, XSAVEC. */
bool op_is_xsave(enum op op);
/* All of a state component, of many bytes. */
bool op_is_image(enum op op);

/* Why the form is not run natively although the host may have it, or NULL. */
const char *form_left_out(const struct form *f, bool code64);
/* No instruction of user mode: only its exception is compared. */
bool form_privileged(const struct form *f);

/* Whether the processor under us, and its system, have the feature. */
bool host_has(enum cpu_feature feature);

#endif
