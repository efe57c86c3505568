/*
 * How handlers are written. A handler executes one instruction and goes on with the next one.
 *
 *   OP(name) { ... }   an ordinary instruction: the body runs with cpu and u, may fault, and falls
 *                      through to the next instruction.
 *   insn_fn            hot handlers are written out as functions that end in NEXT(cpu, u).
 *
 * In optimised builds NEXT is a sibling call, so a block runs without returning to the loop; in
 * builds without sibling calls (-O0, sanitizers) it returns the next instruction to the loop in
 * run.c. NULL returns to the run loop, cpu->rip set (run.h).
 */
#ifndef VITRINE_CPU_EXEC_H
#define VITRINE_CPU_EXEC_H

#include "cpu/access.h"
#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/flags.h"
#include "cpu/handlers.h"

/* GCC makes sibling calls wherever it can; Clang has to be told where a handler has a local whose
 * address went somewhere. */
#if defined(__clang__)
#define MUSTTAIL __attribute__((musttail))
#else
#define MUSTTAIL
#endif

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define NEXT(cpu, u) MUSTTAIL return (u)[1].fn((cpu), (u) + 1)
#else
#define NEXT(cpu, u) return (void)(cpu), (u) + 1
#endif

/* A handler around a body that may fault; leave is how it goes on. */
#define DEFINE_OP(name, leave)                                                                  \
    static inline                                                                               \
        __attribute__((always_inline)) void name##_body(struct cpu *cpu, const struct insn *u); \
    const struct insn *name(struct cpu *cpu, const struct insn *u)                              \
    {                                                                                           \
        cpu->cur = u;                                                                           \
        name##_body(cpu, u);                                                                    \
        leave;                                                                                  \
    }                                                                                           \
    static inline __attribute__((always_inline)) void name##_body(                              \
        struct cpu *cpu __attribute__((unused)), const struct insn *u __attribute__((unused)))
#define OP(name) DEFINE_OP(name, NEXT(cpu, u))

/* Byte registers: without REX, encodings 4-7 are AH, CH, DH, BH. */
static inline uint8_t *reg8(struct cpu *cpu, unsigned n, bool rex)
{
    return !rex && n >= 4 && n < 8 ? (uint8_t *)&cpu->r[n - 4] + 1 : (uint8_t *)&cpu->r[n];
}
/* Writes a general register at operand size: 32-bit writes clear the upper half. */
static inline void reg_write(struct cpu *cpu, unsigned n, uint64_t v, unsigned size)
{
    switch (size) {
    case 2:
        memcpy(&cpu->r[n], &v, 2);
        break;
    case 4:
        cpu->r[n] = (uint32_t)v;
        break;
    default:
        cpu->r[n] = v;
        break;
    }
}
static inline uint64_t size_mask(unsigned size)
{
    return ~UINT64_C(0) >> (64 - 8 * size);
}

/* The r/m operand at operand size, zero-extended: from its register, or loaded. */
static inline uint64_t rm_read(struct cpu *cpu, const struct insn *u)
{
    if (u->mem)
        return load_n(cpu, ea_linear(cpu, u, u->osize, ACC_R), u->osize);
    if (u->osize == 1)
        return *reg8(cpu, u->rm, u->rex);
    return cpu->r[u->rm] & size_mask(u->osize);
}

#endif
