/*
 * Arithmetic flags that translated code left to be computed by whoever asks: what was done, at
 * which width, with which values. jit_settle() turns them into the interpreter's lazy flags by the
 * interpreter's own functions, so that undefined flags come out the same.
 *
 * cpu->pending: bits 7:0 an operation that wrote all flags (enum pending_op), bits 15:8 the log2
 * of its width in bytes; bits 23:16 one behind it that wrote only some (enum pending_part), bits
 * 31:24 its width. A store of all 32 bits forgets what was pending; one of the upper half adds to
 * it. From PENDING_DEF on it is the address of a struct pending_def instead, whose operands are in
 * the registers it names: a block's end leaves it so, and no block changes them before that.
 */
#ifndef VITRINE_CPU_JIT_PENDING_H
#define VITRINE_CPU_JIT_PENDING_H

#include "cpu/cpu.h"

#define PENDING_DEF UINT32_C(0x40000000) /* what is mapped "low" is not below */

enum pending_op {
    PENDING_NONE,
    PENDING_SHL, /* a: operand, b: count, not 0 */
    PENDING_SHR,
    PENDING_SAR,
    PENDING_ADD,    /* a: result, b: addend */
    PENDING_SUB,    /* a: result, b: subtrahend */
    PENDING_ADD2,   /* a, b: the operands */
    PENDING_CMP,    /* a, b: the operands of a subtraction */
    PENDING_LOGIC,  /* a: result */
    PENDING_NEG,    /* a: result */
    PENDING_IMUL,   /* a: lower half, b: whether the upper half matters (CF, OF) */
    PENDING_BMI,    /* a: result, b: CF; OF is clear, PF and AF come from the result */
    PENDING_COUNT,  /* a: zero or not: ZF; the others are clear */
    PENDING_RESULT, /* a: result, b: bit 0 CF, bit 1 OF; AF is clear */
    PENDING_ALL,    /* a: AL and AH after SETO AL, LAHF */
};

/*
 * Those that write some flags, with their result or flag in pending_c. A bit says which flags they
 * leave alone, so that it can be asked whether a second one covers the first.
 */
enum pending_part {
    PART_NONE,
    PART_ALL_BUT_CF = 0x10,
    PART_INC = PART_ALL_BUT_CF,
    PART_DEC = PART_ALL_BUT_CF + 1,
    PART_CF = 0x20,
    PART_BT = PART_CF, /* c: CF */
    PART_CF_OF = 0x40,
    PART_ROL = PART_CF_OF,
    PART_ROR = PART_CF_OF + 1,
    PART_ZF = 0x80, /* c: zero or not */
};

/* In cpu->pending: operation, and log2 of the width in bytes above it. */
static inline uint32_t pending_kind(enum pending_op op, unsigned size)
{
    return (uint32_t)op | (uint32_t)__builtin_ctz(size) << 8;
}
static inline uint32_t pending_part(enum pending_part part, unsigned size)
{
    return (uint32_t)part | (uint32_t)__builtin_ctz(size) << 8;
}

/* Where a value is that flags are to be computed from. */
struct value {
    enum { V_NONE, V_REG, V_IMM } kind;
    int64_t v; /* guest register, or the immediate */
};

/* Flags as an operation and its operands (pending.h). */
struct pending_def {
    bool valid;
    bool part; /* kind and a are of enum pending_part: the other flags are in memory */
    uint32_t kind;
    struct value a, b;
};

/* The guest registers it names, a bit each. */
uint32_t pending_registers(const struct pending_def *d);
/* These two use general registers only: host code calls them with guest values in the others. */
void jit_settle(struct cpu *cpu);
/* ... and the flags as after SETO AL, LAHF. */
uint32_t jit_flags(struct cpu *cpu);

#endif
