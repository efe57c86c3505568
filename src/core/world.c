/* See world.h. */
#include "core/world.h"

#define SPINS 2000 /* looks before a stop sleeps: somebody on another processor is out by then */

static _Thread_local struct world_member *self;

void world_init(struct world *w)
{
    *w = (struct world){.members = NULL};
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->park_lock, NULL);
    pthread_cond_init(&w->parked, NULL);
}

void world_destroy(struct world *w)
{
    pthread_mutex_destroy(&w->lock);
    pthread_mutex_destroy(&w->park_lock);
    pthread_cond_destroy(&w->parked);
}

void world_join(struct world *w, struct world_member *me)
{
    *me = (struct world_member){.world = w, .next = w->members};
    w->members = me;
}

void world_be(struct world_member *me)
{
    self = me;
}

struct world_member *world_self(void)
{
    return self;
}

void world_enter(struct world *w)
{
    if (!w || !self || self->depth++)
        return;
    __atomic_store_n(&self->inside, false, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&w->wanted, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(
            &w->park_lock); /* or the signal may fall between its look and its wait */
        pthread_cond_broadcast(&w->parked);
        pthread_mutex_unlock(&w->park_lock);
    }
    pthread_mutex_lock(&w->lock);
    if (w->entered)
        w->entered(w->opaque, self);
}

void world_enter_device(struct world *w)
{
    world_enter(w);
    if (w && self && w->settle)
        w->settle(w->opaque, self);
}

void world_leave(struct world *w)
{
    if (!w || !self || --self->depth)
        return;
    if (w->leaving)
        w->leaving(w->opaque, self);
    __atomic_store_n(&self->inside, true, __ATOMIC_RELAXED); /* seen by who takes the lock next */
    pthread_mutex_unlock(&w->lock);
}

static bool all_outside(const struct world *w)
{
    for (const struct world_member *m = w->members; m; m = m->next)
        if (m != self && __atomic_load_n(&m->inside, __ATOMIC_SEQ_CST))
            return false;
    return true;
}

static void wait_for_all(struct world *w)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (all_outside(w))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    pthread_mutex_lock(&w->park_lock);
    while (!all_outside(w))
        pthread_cond_wait(&w->parked, &w->park_lock);
    pthread_mutex_unlock(&w->park_lock);
}

void world_stop(struct world *w)
{
    if (!w)
        return;
    if (self)
        self->stops++;
    if (w->stops++)
        return;
    __atomic_store_n(&w->wanted, true, __ATOMIC_SEQ_CST);
    wait_for_all(w);
}

void world_go(struct world *w)
{
    if (!w)
        return;
    if (self)
        self->stops--;
    if (--w->stops == 0)
        __atomic_store_n(&w->wanted, false, __ATOMIC_SEQ_CST);
}

void world_unwind(struct world *w)
{
    if (!w || !self)
        return;
    while (self->stops)
        world_go(w);
    if (self->depth) {
        self->depth = 1;
        world_leave(w);
    }
}
