/*
 * The timer of a local APIC: SDM 3A §11.5.4 "APIC Timer". It counts guest nanoseconds, or waits for
 * the TSC to reach IA32_TSC_DEADLINE (§11.5.4.1 "TSC-Deadline Mode"); what a TSC value means in
 * guest time the CPU says with it.
 */
#include "devices/lapic_internal.h"

/* A periodic timer fires no more often than this; its phase and count are kept all the same. */
#define MIN_TIMER_STEP_NS NS_PER_US
#define MAX_PERIOD_NS     (INT64_C(1) << 39) /* 2^32 counts, divided by 128 */

/* LVT bits 18:17. */
static bool deadline_mode(uint32_t entry)
{
    return (entry & (LVT_DEADLINE | LVT_PERIODIC)) == LVT_DEADLINE;
}

/* Divide configuration: bits 3, 1, 0; 111 divides by 1, n by 2^(n+1). */
unsigned lapic_timer_shift(const struct lapic *l)
{
    const unsigned n = (l->timer_divide & 3) | (l->timer_divide & 8) >> 1;
    return (n + 1) & 7;
}

static int64_t timer_period_ns(const struct lapic *l)
{
    return (int64_t)l->timer_initial << lapic_timer_shift(l);
}

static void arm_timer(struct lapic *l)
{
    if (l->timer_running)
        event_arm(l->cfg.queue, &l->timer, l->timer_start_ns + timer_period_ns(l));
    else
        event_cancel(l->cfg.queue, &l->timer);
}

static bool timer_periodic(const struct lapic *l)
{
    return l->lvt[LVT_TIMER] & LVT_PERIODIC;
}

uint32_t lapic_timer_count(const struct lapic *l)
{
    if (!l->timer_running)
        return 0;
    const int64_t passed = (event_now(l->cfg.queue) - l->timer_start_ns) >> lapic_timer_shift(l);
    if (passed < 0)
        return l->timer_initial;
    if (timer_periodic(l))
        return l->timer_initial - (uint32_t)(passed % l->timer_initial);
    return passed < l->timer_initial ? l->timer_initial - (uint32_t)passed : 0;
}

static void timer_fired(void *opaque, int64_t now_ns)
{
    struct lapic *l = opaque;
    if (l->tsc_deadline) {
        l->tsc_deadline = 0;
    } else if (timer_periodic(l)) {
        const int64_t period = timer_period_ns(l);
        l->timer_start_ns += (now_ns - l->timer_start_ns) / period * period;
        event_arm(l->cfg.queue, &l->timer,
                  MAX(l->timer_start_ns + period, now_ns + MIN_TIMER_STEP_NS));
    } else {
        l->timer_running = false;
    }
    lapic_local_edge(l, LVT_TIMER);
    lapic_update_irq(l);
}

void lapic_timer_write_initial(struct lapic *l, uint32_t value)
{
    if (deadline_mode(l->lvt[LVT_TIMER]))
        return;
    l->timer_initial = value;
    l->timer_running = value != 0;
    l->timer_start_ns = event_now(l->cfg.queue);
    arm_timer(l);
}

/* The count goes on from where it is, at the new rate. */
void lapic_timer_write_divide(struct lapic *l, uint32_t value)
{
    const uint32_t passed = l->timer_initial - lapic_timer_count(l);
    l->timer_divide = value & 0xB;
    if (!l->timer_running)
        return;
    l->timer_start_ns = event_now(l->cfg.queue) - ((int64_t)passed << lapic_timer_shift(l));
    arm_timer(l);
}

/* Between TSC-deadline mode and the others nothing stays armed (§11.5.4.1). */
void lapic_timer_mode_written(struct lapic *l, uint32_t old)
{
    if (deadline_mode(old) != deadline_mode(l->lvt[LVT_TIMER]))
        lapic_timer_reset(l);
}

uint64_t lapic_get_tsc_deadline(const struct lapic *l)
{
    return l->tsc_deadline;
}

void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc, int64_t due_ns)
{
    if (!deadline_mode(l->lvt[LVT_TIMER]))
        return;
    l->tsc_deadline = tsc;
    if (tsc)
        event_arm(l->cfg.queue, &l->timer, due_ns);
    else
        event_cancel(l->cfg.queue, &l->timer);
}

void lapic_timer_reset(struct lapic *l)
{
    l->timer_running = false;
    l->timer_initial = 0;
    l->timer_start_ns = 0;
    l->tsc_deadline = 0;
    event_cancel(l->cfg.queue, &l->timer);
}

void lapic_timer_init(struct lapic *l)
{
    event_init(&l->timer, "lapic.timer", timer_fired, l);
}

void lapic_timer_state(struct lapic *l, struct state *st)
{
    state_bool(st, "timer_running", &l->timer_running);
    state_u32(st, "timer_initial", &l->timer_initial);
    state_check(st, l->timer_initial || !l->timer_running, "timer_running");
    state_u8(st, "timer_divide", &l->timer_divide);
    state_i64(st, "timer_start_ns", &l->timer_start_ns);
    /* A new divisor may have moved the start back beyond power-on. */
    state_check(st, l->timer_start_ns >= -MAX_PERIOD_NS && l->timer_start_ns < INT64_MAX / 2,
                "timer_start_ns");
    state_u64(st, "tsc_deadline", &l->tsc_deadline);
    state_check(st, !l->tsc_deadline || deadline_mode(l->lvt[LVT_TIMER]), "tsc_deadline");
    state_event(st, "timer", l->cfg.queue, &l->timer);
    state_check(st, !event_armed(&l->timer) || l->timer_running || l->tsc_deadline, "timer");
}
