/*
 * Debug registers (SDM 3B §17.2) and a debugger's own watchpoints. Pages that are watched get no
 * TLB lines, so accesses to them take the slow path, which asks here; nothing else pays.
 */
#ifndef VITRINE_CPU_DEBUG_H
#define VITRINE_CPU_DEBUG_H

#include "cpu/access.h"
#include "cpu/cpu.h"

/* Does a data breakpoint or watchpoint lie on the page at this linear address? */
bool debug_page_watched(const struct cpu *cpu, gla_t page);

/* An access of the slow path happened: notes data breakpoints in pending DR6 bits. */
void debug_access_watched(struct cpu *cpu, gla_t lin, size_t size, enum access acc);

static inline void debug_access(struct cpu *cpu, gla_t lin, size_t size, enum access acc)
{
    if (unlikely(cpu->watchpoints || (cpu->dr7 & 0xff)))
        debug_access_watched(cpu, lin, size, acc);
}

/* DR6 bits of instruction breakpoints that match this linear address; 0 = none. */
uint32_t debug_code_match(const struct cpu *cpu, gla_t lin);
/* A port access happened: notes I/O breakpoints (CR4.DE). */
void debug_io(struct cpu *cpu, uint16_t port, unsigned size);

/* After DR7 or the watchpoints changed: TLB lines of watched pages must go. */
void debug_changed(struct cpu *cpu);

#endif
