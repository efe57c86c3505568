/* A case of cpu_test.c, and the two kinds of files that cases come from. */
#ifndef VITRINE_DEBUG_CPU_TEST_CASE_H
#define VITRINE_DEBUG_CPU_TEST_CASE_H

#include "cpu/cpu_regs.h"

struct case_byte {
    gpa_t at;
    uint8_t value;
};

/* Lists that grow, and are used again for the next case. */
struct case_regs {
    struct cpu_reg_value *v;
    size_t count, room;
};
struct case_ram {
    struct case_byte *v;
    size_t count, room;
};

#define CASE_MAX_BYTES 64

struct cpu_test_case {
    char name[100];
    uint64_t index;
    uint8_t bytes[CASE_MAX_BYTES]; /* of the instruction, and of a HLT behind it; may be none */
    size_t bytes_len;
    struct case_regs initial, final;
    struct case_regs mask; /* bits that are compared; a register that is not here is as a whole */
    struct case_ram ram_before, ram_after;
    uint64_t steps; /* 0: not given, one instruction */
    bool a20_given, a20;
    struct {
        bool given, none; /* none: there must not be one */
        unsigned vector;
        bool has_error, has_cr2, has_flags_at;
        uint64_t error, cr2;
        gpa_t flags_at; /* where the flags were pushed */
    } exception;
};

void case_clear(struct cpu_test_case *c);
void case_free(struct cpu_test_case *c);
bool case_add_reg(struct case_regs *list, const struct cpu_reg *reg, const void *value,
                  struct error *err);
bool case_add_byte(struct case_ram *list, gpa_t at, uint8_t value, struct error *err);
const struct cpu_reg_value *case_find_reg(const struct case_regs *list, const struct cpu_reg *reg);

enum case_next { CASE_READ, CASE_END, CASE_ERROR };

/* A whole file in memory, and what has been read of it. */
struct case_file {
    uint8_t *data;
    size_t len, pos;
    uint64_t line;    /* JSON: of pos */
    uint8_t *scratch; /* JSON: a case */
    size_t scratch_len;

    struct case_regs mask; /* MOO: of all cases */
};

bool case_file_is_moo(const struct case_file *f);
bool case_moo_begin(struct case_file *f, struct error *err);
enum case_next case_moo_next(struct case_file *f, struct cpu_test_case *c, struct error *err);
bool case_json_begin(struct case_file *f, struct error *err);
enum case_next case_json_next(struct case_file *f, struct cpu_test_case *c, struct error *err);

#endif
