/*
 * What translated code did, counted where it costs nothing: when it is entered and left, when a
 * block is translated or dropped, and by looking at the clock's interrupts.
 */
#ifndef VITRINE_CPU_JIT_STATISTICS_H
#define VITRINE_CPU_JIT_STATISTICS_H

#include "cpu/block.h"

/* Why a block is translated that was translated before (cpu_stats.retranslated). */
enum jit_again {
    AGAIN_WRITTEN, /* its bytes, or their page, were written to */
    AGAIN_FULL,    /* code memory or the cache of blocks was emptied */
    AGAIN_MXCSR,   /* emptied since the guest unmasked or masked floating point exceptions */
};

/* How host code is left (cpu_stats.jit_exits). */
enum jit_exit {
    EXIT_LINK,    /* a direct branch to a block that is not translated, or not linked yet */
    EXIT_LOOP,    /* an event, the end of a time slice; a dropped block */
    EXIT_END,     /* a last instruction without template, an indirect branch not in the table */
    EXIT_HANDLER, /* an instruction in the middle which could not go on */
    EXIT_FAULT,
};

/* What the process did when it was looked at (cpu_stats.ticks). */
enum jit_tick {
    TICK_CODE,      /* ran host code */
    TICK_HANDLER,   /* ran what host code called: handlers, TLB misses, devices */
    TICK_TRANSLATE, /* translated */
    TICK_REST,      /* interpreted, or was busy outside the CPU */
};

static inline void jit_entered(struct cpu *cpu, const struct block *b)
{
    cpu->jit_inside = true;
    cpu->jit_from = cpu->icount_end - (uint64_t)cpu->budget - b->n;
}
static inline void jit_left(struct cpu *cpu, enum jit_exit why)
{
    cpu->jit_inside = false;
    cpu->stats.jit_exits[why]++;
    cpu->stats.jit_insns += cpu_icount(cpu) - cpu->jit_from;
}

/* Which blocks were translated and are no more: a table of their keys, in which one may displace
 * another, so that retranslations are counted a little too low. */
struct jit_past;
struct jit_past *jit_past_create(void);
/* b goes because of why; with b NULL all do. */
void jit_past_gone(struct jit_past *past, const struct block *b, enum jit_again why);
void jit_past_translated(struct jit_past *past, const struct block *b, struct cpu_stats *stats);

/* Has the host interrupt the process about every millisecond of its CPU time to see what it does.
 */
void jit_sample_start(void);
void jit_sample_stop(void);
/* cpu's code runs on this thread from now on; or no more. */
void jit_sample_cpu(struct cpu *cpu);
void jit_sample_forget(const struct cpu *cpu);

#endif
