/* See latency.h. */
#include "cpu/latency.h"
#include "host/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void latency_begin(struct latency *l, uint64_t icount)
{
    if (l->waiting && !l->withdrawn)
        return;
    l->waiting = true;
    l->withdrawn = false;
    l->since_ns = host_clock_ns();
    l->since_icount = icount;
}

void latency_withdraw(struct latency *l)
{
    l->withdrawn = true;
}

void latency_end(struct latency *l, uint64_t icount)
{
    if (!l->waiting)
        return;
    const unsigned at = l->delivered++ % LATENCY_SAMPLES;
    l->ns[at] = (uint64_t)(host_clock_ns() - l->since_ns);
    l->insns[at] = icount - l->since_icount;
    l->waiting = false;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void latency_print(struct latency *l, void (*line)(void *, const char *), void *opaque)
{
    const size_t n = MIN(l->delivered, LATENCY_SAMPLES);
    char text[256];
    if (!n)
        return;
    qsort(l->ns, n, sizeof *l->ns, ascending);
    qsort(l->insns, n, sizeof *l->insns, ascending);
    snprintf(text, sizeof text,
             "interrupt latency, of %" PRIu64 ": median %" PRIu64 " ns, 99th percentile %" PRIu64
             " ns; %" PRIu64 " and %" PRIu64 " instructions",
             l->delivered, l->ns[n / 2], l->ns[n * 99 / 100], l->insns[n / 2],
             l->insns[n * 99 / 100]);
    line(opaque, text);
}
