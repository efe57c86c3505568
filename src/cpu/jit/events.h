/* Changes of privilege without leaving host code: SYSCALL, SYSRET, IRET (events.c). */
#ifndef VITRINE_CPU_JIT_EVENTS_H
#define VITRINE_CPU_JIT_EVENTS_H

#include "cpu/cpu.h"

/*
 * Does u, the last of its block, or leaves it to its handler; the registers are in cpu. Returns
 * where host code goes on, which wants RIP in R10 and u in R11 (cpu->rip, cpu->cur).
 */
const uint8_t *jit_event(struct cpu *cpu, const struct insn *u);

#endif
