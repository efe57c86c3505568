/* See vclock.h. */
#include "core/vclock.h"

/* Where a machine starts before its speed is known: 100 million instructions a second. */
#define FIRST_SPEED (100 * VCLOCK_ONE)
/* Guest time runs between half and twice as fast as host time while it catches up or waits. */
#define MAX_CATCH_UP 2

void vclock_init_fixed(struct vclock *c, unsigned shift)
{
    *c = (struct vclock){.rate = VCLOCK_ONE << shift, .speed = FIRST_SPEED};
}

void vclock_init_host(struct vclock *c, int64_t host_ns)
{
    *c = (struct vclock){
        .rate = 10 * VCLOCK_ONE,
        .speed = FIRST_SPEED,
        .host_start = host_ns,
        .sync_host = host_ns,
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

uint64_t vclock_insns_in(const struct vclock *c, int64_t ns)
{
    return (uint64_t)((unsigned __int128)c->speed * (uint64_t)ns / 1000 >> 32);
}

/* The speed of the piece that just ended, taken in by an eighth. */
static void learn_speed(struct vclock *c, uint64_t icount, int64_t host_ns)
{
    const int64_t took = host_ns - c->sync_host;
    const uint64_t ran = icount - c->sync_icount;
    if (took < 10000 || ran < 1000)
        return;
    uint64_t seen = (uint64_t)(((unsigned __int128)ran << 32) * 1000 / (uint64_t)took);
    seen = MIN(seen, c->speed * 4);
    seen = MAX(seen, c->speed / 4);
    c->speed = MAX(c->speed - c->speed / 8 + seen / 8, VCLOCK_ONE / 16);
}

void vclock_sync(struct vclock *c, uint64_t icount, int64_t host_ns, int64_t slice_ns)
{
    learn_speed(c, icount, host_ns);
    vclock_jump(c, icount, 0);
    const int64_t behind = host_ns - c->host_start - c->base_ns;
    int64_t want = slice_ns + behind;
    want = MIN(want, slice_ns * MAX_CATCH_UP);
    want = MAX(want, slice_ns / MAX_CATCH_UP);
    const uint64_t insns = MAX(vclock_insns_in(c, slice_ns), 1);
    c->rate = MAX(((uint64_t)want << 32) / insns, 1);
    c->sync_host = host_ns;
    c->sync_icount = icount;
}

void vclock_resync(struct vclock *c, uint64_t icount, int64_t host_ns)
{
    c->sync_host = host_ns;
    c->sync_icount = icount;
}
