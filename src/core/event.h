/*
 * The event queue in guest nanoseconds: the only clock a device may read, and the only way it
 * asks to be called later. Everything runs under the machine's lock (core/world.h).
 *
 * An event is embedded in its owner. Due times are guest ns since power-on and are never in the
 * past when they are read back: event_run() fires in order of due time, ties in order of arming.
 */
#ifndef VITRINE_CORE_EVENT_H
#define VITRINE_CORE_EVENT_H

#include "core/types.h"

#define EVENT_NEVER INT64_MAX

struct event_queue;
struct vclock;

struct event {
    const char *name; /* for inspection and save states, e.g. "pit8254.irq0" */
    void (*fire)(void *opaque, int64_t now_ns);
    void *opaque;
    int64_t due_ns; /* EVENT_NEVER while not armed */
    uint64_t seq;   /* breaks ties, set by event_arm */
    struct event *next;
};

struct event_queue {
    struct event *head;
    uint64_t next_seq;
    int64_t (*read_clock)(void *opaque); /* guest ns now; given by the machine (or a test) */
    void *clock_opaque;
    /* What read_clock() computes: this line at the running CPU's instruction count plus others.
     * NULL: not to be known. */
    const struct vclock *line;
    const uint64_t *others;
    void (*deadline_changed)(void *opaque); /* the head moved; may be NULL */
    void *deadline_opaque;
};

/* Guest time in ns since power-on. Monotonic. */
static inline int64_t event_now(const struct event_queue *q)
{
    return q->read_clock(q->clock_opaque);
}

static inline void event_init(struct event *e, const char *name, void (*fire)(void *, int64_t),
                              void *opaque)
{
    *e = (struct event){.name = name, .fire = fire, .opaque = opaque, .due_ns = EVENT_NEVER};
}

static inline bool event_armed(const struct event *e)
{
    return e->due_ns != EVENT_NEVER;
}

/* (Re)arms e for due_ns; a time already past fires at the next event_run. */
void event_arm(struct event_queue *q, struct event *e, int64_t due_ns);

/* Takes e out of the queue; harmless when it is not armed. */
void event_cancel(struct event_queue *q, struct event *e);

/* Due time of the earliest event, EVENT_NEVER when there is none. */
static inline int64_t event_next_due(const struct event_queue *q)
{
    return q->head ? q->head->due_ns : EVENT_NEVER;
}

/* Fires all events due at or before now_ns. Each is disarmed before its callback runs. */
void event_run(struct event_queue *q, int64_t now_ns);

/* For unit tests: a queue whose clock is *now_ns, stepped by event_step. */
void event_queue_init_stepped(struct event_queue *q, int64_t *now_ns);

/* Steps a stepped clock forward by delta_ns, firing events at their exact due times on the way. */
void event_step(struct event_queue *q, int64_t *now_ns, int64_t delta_ns);

#endif
