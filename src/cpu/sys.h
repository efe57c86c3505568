/* System state that changes with checks: control registers, MSRs, CPUID. */
#ifndef VITRINE_CPU_SYS_H
#define VITRINE_CPU_SYS_H

#include "cpu/cpu.h"

/* MOV CRn and its like, with every check; raise. */
void cr0_write(struct cpu *cpu, uint64_t v);
void cr3_write(struct cpu *cpu, uint64_t v);
void cr4_write(struct cpu *cpu, uint64_t v);

/* False: #GP(0). */
bool msr_read(struct cpu *cpu, uint32_t msr, uint64_t *v);
bool msr_write(struct cpu *cpu, uint32_t msr, uint64_t v);

/* regs: EAX, EBX, ECX, EDX. */
void cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t regs[4]);
/* The instruction: EAX and ECX are asked, all four registers answer. */
void cpuid_execute(struct cpu *cpu);

uint64_t tsc_read(struct cpu *cpu);

/*
 * All stores so far are seen by CPUs on other threads: MFENCE, and the serializing instructions of
 * SDM 3A §8.3, which systems count on when they change tables.
 */
static inline void drain_stores(const struct cpu *cpu)
{
    if (cpu->world)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

#endif
