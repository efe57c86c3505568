/*
 * CPUs on host threads of their own, and what they share.
 *
 * There is one lock. Whoever holds it may touch devices, the event queue, interrupt lines, the
 * memory map, page flags and what is decoded from which page. A CPU does not hold it while it runs
 * guest code ("is inside"); it takes it to touch any of that, and whenever it waits or sleeps.
 *
 * A CPU goes inside only while it holds the lock. So who holds it and has seen everybody outside
 * has the machine to himself until he gives it back: world_stop(). CPUs look up often enough
 * (between two slices, some microseconds) for that to be a matter of microseconds; one that is
 * outside may be in the middle of an instruction that waits for a device.
 *
 * A machine whose CPUs take turns on one thread has no world: all of this does nothing for NULL.
 * The machine's own thread is no member; it holds the lock whenever it is not waiting for the host.
 */
#ifndef VITRINE_CORE_WORLD_H
#define VITRINE_CORE_WORLD_H

#include "core/types.h"
#include <pthread.h>

struct world;

struct world_member { /* a CPU */
    struct world *world;
    bool inside;    /* atomic; set under the lock */
    unsigned depth; /* of world_enter(); its own thread's business */
    unsigned stops; /* of world_stop(), likewise */
    struct world_member *next;
};

struct world {
    pthread_mutex_t lock;
    struct world_member *members;
    unsigned stops; /* under the lock */
    bool wanted;    /* atomic: somebody waits for all to be outside */
    pthread_mutex_t park_lock;
    pthread_cond_t parked; /* one more is outside */
    /* A member took the lock, or is about to give it back. */
    void (*entered)(void *opaque, struct world_member *who);
    void (*leaving)(void *opaque, struct world_member *who);
    /* A member is about to access a device, perhaps from within an access to another: what is due
     * by now is to be done first. */
    void (*settle)(void *opaque, struct world_member *who);
    void *opaque;
};

void world_init(struct world *w);
void world_destroy(struct world *w);
void world_join(struct world *w, struct world_member *me); /* while there are no threads yet */

/* On a member's thread: from now on that is who calls; outside, without the lock. */
void world_be(struct world_member *me);

/* The member that this thread is; NULL: none (the machine's thread, or no world). */
struct world_member *world_self(void);

/* Comes out and takes the lock; goes back inside. Nest. */
void world_enter(struct world *w);
void world_leave(struct world *w);
/* world_enter() for an access to a device, which then is as it should be at this time. */
void world_enter_device(struct world *w);

/* Under the lock: waits until everybody else is outside; lets them go. Nest. */
void world_stop(struct world *w);
void world_go(struct world *w);

/* A fault unwound past them: undoes what this thread entered and stopped. */
void world_unwind(struct world *w);

static inline bool world_wanted(const struct world *w)
{
    return __atomic_load_n(&w->wanted, __ATOMIC_RELAXED);
}

#endif
