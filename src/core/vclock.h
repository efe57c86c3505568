/*
 * Guest time: a straight line over the instruction count, in pieces.
 *
 *     ns = base_ns + (icount - base_icount) * rate        rate: ns an instruction, 32.32 fixed
 * point
 *
 * Deterministic machines keep one rate for ever. The others set base and rate at sync points so
 * that guest time follows host time; it never goes back. Each such setting enters by the door.
 */
#ifndef VITRINE_CORE_VCLOCK_H
#define VITRINE_CORE_VCLOCK_H

#include "core/types.h"

struct vclock {
    int64_t base_ns;
    uint64_t base_icount;
    uint64_t rate;
    /* for following host time */
    int64_t host_start;    /* host time that is guest time 0 */
    uint64_t speed;        /* instructions a host microsecond, 32.32, smoothed; it sets the rate */
    uint64_t seen;         /* the same as last measured: */
    int64_t measured_host; /* up to here */
    uint64_t measured_icount;
};

#define VCLOCK_ONE (UINT64_C(1) << 32)

/* A fixed rate of 2^shift ns an instruction. */
void vclock_init_fixed(struct vclock *c, unsigned shift);
/* To follow host time, which is host_ns now. */
void vclock_init_host(struct vclock *c, int64_t host_ns);

static inline int64_t vclock_ns(const struct vclock *c, uint64_t icount)
{
    return c->base_ns + (int64_t)(((unsigned __int128)(icount - c->base_icount) * c->rate) >> 32);
}

/* The first instruction count at which guest time is at least ns; UINT64_MAX for EVENT_NEVER. */
uint64_t vclock_icount(const struct vclock *c, int64_t ns);

/* Jumps forward: guest time is ns from icount on (if that is later than it was). */
void vclock_jump(struct vclock *c, uint64_t icount, int64_t ns);

/*
 * A sync point: the guest ran from the last one to here without waiting. Sets the rate so that
 * guest time nears host time in the next slice of slice_ns.
 */
void vclock_sync(struct vclock *c, uint64_t icount, int64_t host_ns, int64_t slice_ns);

/* After a wait or a pause: no speed can be learned from the time since the last measurement. */
void vclock_resync(struct vclock *c, uint64_t icount, int64_t host_ns);

/*
 * Instructions that take ns of host time, or less: by the smoothed or the last measured speed,
 * whichever is lower. Code that gets slower of a sudden lets one slice last long, not many.
 */
uint64_t vclock_insns_in(const struct vclock *c, int64_t ns);

#endif
