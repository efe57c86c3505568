/* See statistics.h. */
#include "cpu/jit/statistics.h"

#include "cpu/jit/jit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <ucontext.h>

/* --- retranslations --- */

#define PAST_LINES 16384 /* 14 bits of the hash */

struct jit_past {
    uint32_t now;        /* how often all were emptied */
    enum jit_again last; /* ... and why the last time */
    struct line {
        ram_t start; /* of the block; with mode its key */
        uint32_t mode;
        uint32_t when; /* it was translated: number of emptyings before */
        bool used, written;
    } line[PAST_LINES];
};

struct jit_past *jit_past_create(void)
{
    return calloc(1, sizeof(struct jit_past));
}

static struct line *line_of(struct jit_past *past, const struct block *b)
{
    const uint64_t hash = (b->start ^ (uint64_t)b->mode << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return &past->line[hash >> 50];
}

void jit_past_gone(struct jit_past *past, const struct block *b, enum jit_again why)
{
    if (!b) {
        past->now++;
        past->last = why;
        return;
    }
    struct line *l = line_of(past, b);
    if (l->used && l->start == b->start && l->mode == b->mode)
        l->written = true;
}

void jit_past_translated(struct jit_past *past, const struct block *b, struct cpu_stats *stats)
{
    struct line *l = line_of(past, b);
    if (l->used && l->start == b->start && l->mode == b->mode) {
        if (l->written)
            stats->retranslated[AGAIN_WRITTEN]++;
        else if (l->when < past->now)
            stats->retranslated[past->last]++;
    }
    *l = (struct line){b->start, b->mode, past->now, true, false};
}

/* --- time --- */

/* REG_RIP of <ucontext.h>, whose other names are those of our guest's registers. */
enum { HOST_RIP = 16 };

static _Thread_local struct cpu *volatile sampled;

void jit_sample_cpu(struct cpu *cpu)
{
    sampled = cpu;
}

void jit_sample_forget(const struct cpu *cpu)
{
    if (sampled == cpu)
        sampled = NULL;
}

static void look(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    struct cpu *cpu = sampled;
    if (!cpu)
        return;
    const struct jit *j = cpu->code->jit;
    const uintptr_t at = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[HOST_RIP];
    const enum jit_tick what = at - (uintptr_t)j->run < j->size ? TICK_CODE
                               : cpu->jit_inside                ? TICK_HANDLER
                               : j->translating                 ? TICK_TRANSLATE
                                                                : TICK_REST;
    cpu->stats.ticks[what]++;
}

static void set_timer(suseconds_t us)
{
    const struct itimerval t = {{0, us}, {0, us}};
    setitimer(ITIMER_PROF, &t, NULL);
}

void jit_sample_start(void)
{
    struct sigaction action = {.sa_sigaction = look, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGPROF, &action, NULL);
    set_timer(1000);
}

/* The handler stays: a last signal may be on its way. */
void jit_sample_stop(void)
{
    set_timer(0);
}
