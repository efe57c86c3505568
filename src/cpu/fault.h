/*
 * Exceptions: there is one way to raise one, cpu_fault(), which does not return but unwinds to the
 * run loop. Nothing architectural may have been written before. reason names the check that failed.
 */
#ifndef VITRINE_CPU_FAULT_H
#define VITRINE_CPU_FAULT_H

#include "core/types.h"

enum {
    VEC_DE = 0,
    VEC_DB = 1,
    VEC_NMI = 2,
    VEC_BP = 3,
    VEC_OF = 4,
    VEC_BR = 5,
    VEC_UD = 6,
    VEC_NM = 7,
    VEC_DF = 8,
    VEC_TS = 10,
    VEC_NP = 11,
    VEC_SS = 12,
    VEC_GP = 13,
    VEC_PF = 14,
    VEC_MF = 16,
    VEC_AC = 17,
    VEC_MC = 18,
    VEC_XM = 19,
};

enum fault_reason {
#define FAULT(name, text, cite) REASON_##name,
#include "cpu/fault.def"
#undef FAULT
    REASON_COUNT,
};

const char *fault_reason_text(enum fault_reason reason);
const char *fault_reason_cite(enum fault_reason reason);
const char *fault_vector_name(unsigned vector); /* "#GP", "#PF", ... */

struct cpu;

/* error is ignored for vectors that push none. */
_Noreturn void cpu_fault(struct cpu *cpu, unsigned vector, uint32_t error,
                         enum fault_reason reason);
_Noreturn void cpu_fault_page(struct cpu *cpu, uint64_t lin, uint32_t error);
_Noreturn void cpu_fault_debug(struct cpu *cpu, uint64_t dr6_bits, enum fault_reason reason);

static inline _Noreturn void cpu_gp0(struct cpu *cpu, enum fault_reason reason)
{
    cpu_fault(cpu, VEC_GP, 0, reason);
}
static inline _Noreturn void cpu_ud(struct cpu *cpu, enum fault_reason reason)
{
    cpu_fault(cpu, VEC_UD, 0, reason);
}

#endif
