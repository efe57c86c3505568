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
struct walk_result;
/* w: how the walk ended; access: enum walk_access. */
_Noreturn void cpu_fault_page(struct cpu *cpu, uint64_t lin, const struct walk_result *w,
                              unsigned access, bool user, bool ac);
_Noreturn void cpu_fault_debug(struct cpu *cpu, uint64_t dr6_bits, enum fault_reason reason);

/* fault_record.c: what the fault that comes next is about; access: enum access. */
struct segment;
void fault_about_segment(struct cpu *cpu, unsigned seg, const struct segment *g, uint64_t offset,
                         unsigned size, unsigned access);
void fault_about_linear(struct cpu *cpu, uint64_t lin, unsigned size);
/* Puts cpu->fault into the list of those that were raised; became: what is delivered, -1: nothing.
 * cur: the instruction, NULL when it was none's. */
struct insn;
struct fault_record;
const struct fault_record *fault_record(struct cpu *cpu, const struct insn *cur, int became);
/* Guest memory at a linear address as the processor's own accesses reach it: nothing faults,
 * nothing is marked, no device is asked. False: not all n bytes are there. */
bool cpu_peek(const struct cpu *cpu, uint64_t lin, void *buf, size_t n);

static inline _Noreturn void cpu_gp0(struct cpu *cpu, enum fault_reason reason)
{
    cpu_fault(cpu, VEC_GP, 0, reason);
}
static inline _Noreturn void cpu_ud(struct cpu *cpu, enum fault_reason reason)
{
    cpu_fault(cpu, VEC_UD, 0, reason);
}

#endif
