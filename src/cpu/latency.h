/*
 * How long interrupts take: from when they are asked for, while the guest computes, until its
 * handler's first instruction is next. Kept with stats=on only, by CPU.
 */
#ifndef VITRINE_CPU_LATENCY_H
#define VITRINE_CPU_LATENCY_H

#include "core/types.h"

#define LATENCY_SAMPLES (64 * 1024u) /* the last so many */

struct latency {
    bool waiting;
    bool withdrawn;   /* or acknowledged: its handler may be next */
    int64_t since_ns; /* host time */
    uint64_t since_icount;
    uint64_t delivered;
    uint64_t ns[LATENCY_SAMPLES], insns[LATENCY_SAMPLES];
};

/* An interrupt is asked for now; it is not any more, which acknowledging it does, too; its handler
 * is next. */
void latency_begin(struct latency *l, uint64_t icount);
void latency_withdraw(struct latency *l);
void latency_end(struct latency *l, uint64_t icount);
/* Median and 99th percentile. Sorts what was kept. */
void latency_print(struct latency *l, void (*line)(void *, const char *), void *opaque);

#endif
