/* See vclock.h. */
#include "core/vclock.h"

/* Where a machine starts before its speed is known: 100 million instructions a second. */
#define FIRST_SPEED (100 * VCLOCK_ONE)
/*
 * Guest time that differs from host time meets it over so many slices, but is never made more than
 * so many times as fast or as slow for it.
 */
#define CATCH_UP_SLICES 4
#define MAX_CATCH_UP    4
/* A speed is measured over this much at least. */
#define MIN_MEASURED_NS    (2 * NS_PER_US)
#define MIN_MEASURED_INSNS 1000
#define SLOWEST            (VCLOCK_ONE / 16)

void vclock_init_fixed(struct vclock *c, unsigned shift)
{
    *c = (struct vclock){.rate = VCLOCK_ONE << shift, .speed = FIRST_SPEED, .seen = FIRST_SPEED};
}

void vclock_init_host(struct vclock *c, int64_t host_ns)
{
    *c = (struct vclock){
        .rate = 10 * VCLOCK_ONE,
        .speed = FIRST_SPEED,
        .seen = FIRST_SPEED,
        .host_start = host_ns,
        .measured_host = host_ns,
    };
}

uint64_t vclock_icount(const struct vclock *c, int64_t ns)
{
    if (ns == INT64_MAX)
        return UINT64_MAX;
    if (ns <= c->base_ns)
        return c->base_icount;
    const unsigned __int128 scaled = (unsigned __int128)(uint64_t)(ns - c->base_ns) << 32;
    const unsigned __int128 n = (scaled + c->rate - 1) / c->rate;
    return n >> 63 ? UINT64_MAX : c->base_icount + (uint64_t)n;
}

void vclock_jump(struct vclock *c, uint64_t icount, int64_t ns)
{
    const int64_t now = vclock_ns(c, icount);
    c->base_ns = MAX(now, ns);
    c->base_icount = icount;
}

static uint64_t insns_in(uint64_t speed, int64_t ns)
{
    return (uint64_t)((unsigned __int128)speed * (uint64_t)ns / 1000 >> 32);
}

uint64_t vclock_insns_in(const struct vclock *c, int64_t ns)
{
    return insns_in(MIN(c->speed, c->seen), ns);
}

/*
 * The speed since the last measurement. What was too short for the clock is measured with what
 * follows: a slice that is short as the code was slow must not hide that it is slow no more.
 */
static void learn_speed(struct vclock *c, uint64_t icount, int64_t host_ns)
{
    const int64_t took = host_ns - c->measured_host;
    const uint64_t ran = icount - c->measured_icount;
    if (took < MIN_MEASURED_NS || ran < MIN_MEASURED_INSNS)
        return;
    c->seen = MAX((uint64_t)(((unsigned __int128)ran << 32) * 1000 / (uint64_t)took), SLOWEST);
    c->speed = MAX(c->speed - c->speed / 8 + c->seen / 8, SLOWEST);
    vclock_resync(c, icount, host_ns);
}

void vclock_sync(struct vclock *c, uint64_t icount, int64_t host_ns, int64_t slice_ns)
{
    learn_speed(c, icount, host_ns);
    vclock_jump(c, icount, 0);
    const int64_t behind = host_ns - c->host_start - c->base_ns;
    int64_t want = slice_ns + behind / CATCH_UP_SLICES;
    want = MIN(want, slice_ns * MAX_CATCH_UP);
    want = MAX(want, slice_ns / MAX_CATCH_UP);
    const uint64_t insns = MAX(insns_in(c->speed, slice_ns), 1);
    c->rate = MAX(((uint64_t)want << 32) / insns, 1);
}

void vclock_resync(struct vclock *c, uint64_t icount, int64_t host_ns)
{
    c->measured_host = host_ns;
    c->measured_icount = icount;
}
