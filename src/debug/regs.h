/* The registers of a CPU as text, in the lay-out of QEMU's "info registers". */
#ifndef VITRINE_DEBUG_REGS_H
#define VITRINE_DEBUG_REGS_H

#include "cpu/cpu.h"

/* All of them, a line at a time; between instructions only (RIP must be exact). */
void regs_print(const struct cpu *cpu, void (*line)(void *, const char *), void *opaque);

/* "rip", "eax", "r8", "cs", "cs.base", "cr3", "efer", ... False: no such register. */
bool regs_get(const struct cpu *cpu, const char *name, uint64_t *value);

/* 16, 32 or 64: how the CPU reads the code at RIP. */
unsigned regs_code_bits(const struct cpu *cpu);

#endif
