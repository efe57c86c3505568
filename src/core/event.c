/* See event.h. A sorted list: a PC has about twenty timers, and most are re-armed near the head. */
#include "core/event.h"

static void unlink_event(struct event_queue *q, struct event *e)
{
    for (struct event **p = &q->head; *p; p = &(*p)->next) {
        if (*p == e) {
            *p = e->next;
            break;
        }
    }
    e->next = NULL;
    e->due_ns = EVENT_NEVER;
}

void event_arm(struct event_queue *q, struct event *e, int64_t due_ns)
{
    assert(e->fire);
    const struct event *old_head = q->head;
    const int64_t old_due = event_next_due(q);
    if (event_armed(e))
        unlink_event(q, e);
    if (due_ns != EVENT_NEVER) {
        e->due_ns = due_ns;
        e->seq = q->next_seq++;
        struct event **p = &q->head;
        while (*p && (*p)->due_ns <= due_ns)
            p = &(*p)->next;
        e->next = *p;
        *p = e;
    }
    if (q->deadline_changed && (q->head != old_head || event_next_due(q) != old_due))
        q->deadline_changed(q->deadline_opaque);
}

void event_cancel(struct event_queue *q, struct event *e)
{
    if (event_armed(e))
        unlink_event(q, e);
}

void event_run(struct event_queue *q, int64_t now_ns)
{
    while (q->head && q->head->due_ns <= now_ns) {
        struct event *e = q->head;
        q->head = e->next;
        e->next = NULL;
        e->due_ns = EVENT_NEVER;
        e->fire(e->opaque, now_ns);
    }
}

static int64_t stepped_now(void *opaque)
{
    return *(const int64_t *)opaque;
}

void event_queue_init_stepped(struct event_queue *q, int64_t *now_ns)
{
    *q = (struct event_queue){.read_clock = stepped_now, .clock_opaque = now_ns};
}

void event_step(struct event_queue *q, int64_t *now_ns, int64_t delta_ns)
{
    const int64_t end = *now_ns + delta_ns;
    while (event_next_due(q) <= end) {
        *now_ns = MAX(*now_ns, event_next_due(q));
        event_run(q, *now_ns);
    }
    *now_ns = end;
}
