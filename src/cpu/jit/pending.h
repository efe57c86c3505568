/*
 * Arithmetic flags that translated code left to be computed by whoever asks: what was done, at
 * which width, with which values. jit_settle() turns them into the interpreter's lazy flags by the
 * interpreter's own functions, so that undefined flags come out the same.
 *
 * Those up to PENDING_BT change only some flags: the others are in the lazy flags already.
 */
#ifndef VITRINE_CPU_JIT_PENDING_H
#define VITRINE_CPU_JIT_PENDING_H

#include "cpu/cpu.h"

enum pending_op {
    PENDING_NONE,
    PENDING_INC, /* a: result */
    PENDING_DEC, /* a: result */
    PENDING_PARTIAL = PENDING_DEC, /* up to here CF is in the lazy flags */
    PENDING_BT,  /* b: CF */
    PENDING_SHL, /* a: operand, b: count */
    PENDING_SHR,
    PENDING_SAR,
    PENDING_ADD,   /* a: result, b: addend */
    PENDING_SUB,   /* a: result, b: subtrahend */
    PENDING_ADD2,  /* a, b: the operands */
    PENDING_CMP,   /* a, b: the operands of a subtraction */
    PENDING_LOGIC, /* a: result */
    PENDING_NEG,   /* a: result */
    PENDING_IMUL,  /* a: lower half, b: whether the upper half matters (CF, OF) */
    PENDING_ALL,   /* a: AL and AH after SETO AL, LAHF */
};

/* In cpu->pending: operation, and log2 of the width in bytes above it. */
static inline uint32_t pending_kind(enum pending_op op, unsigned size)
{
    return (uint32_t)op | (uint32_t)__builtin_ctz(size) << 8;
}

void jit_settle(struct cpu *cpu);

#endif
