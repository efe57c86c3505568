/*
 * High precision event timers: IA-PC HPET Specification 1.0a (October 2004), whose sections are
 * cited. One block of three timers, all 64 bits wide and able to be periodic.
 *
 * The counter is a line over guest time while it is enabled, so nothing runs until a comparator's
 * match is due. A one-shot comparator matches when the counter is equal to it, and so again after
 * the counter has wrapped; one that the counter has passed stays silent until then.
 *
 * Not modelled: delivery as front-side bus messages (Tn_FSB_INT_DEL_CAP is 0).
 */
#include "devices/hpet.h"

#include <stdlib.h>

#define TIMERS    3
#define PERIOD_FS UINT64_C(10000000) /* GCAP_ID: 100 MHz */
#define TICK_NS   10

#define PRIO_HPET 2 /* memmap.h: above RAM and PCI */

/* §2.3 "Memory Map", each register 64 bits wide. */
enum {
    REG_GCAP_ID = 0x000,
    REG_GEN_CONF = 0x010,
    REG_GINTR_STA = 0x020,
    REG_MAIN_CNT = 0x0f0,
    REG_TIMER = 0x100, /* 20h bytes a timer */
    TIMER_BYTES = 0x20,
    TN_CONF = 0x00,
    TN_CMP = 0x08,
};

enum {
    CONF_ENABLE = BIT(0),
    CONF_LEGACY = BIT(1),
};

/* §2.3.8.1 "Timer N Configuration and Capabilities Register". */
enum {
    TN_LEVEL = BIT(1),
    TN_ENABLE = BIT(2),
    TN_PERIODIC = BIT(3),
    TN_CAPABLE = BIT(4) | BIT(5), /* periodic, 64 bits */
    TN_VAL_SET = BIT(6),
    TN_32 = BIT(8),
    TN_ROUTE = 0x3e00,
    TN_ROUTE_SHIFT = 9,
    TN_WRITABLE = TN_LEVEL | TN_ENABLE | TN_PERIODIC | TN_VAL_SET | TN_32,
};

struct timer {
    struct hpet *owner;
    uint32_t conf;       /* the low half; the capabilities are added when it is read */
    uint64_t cmp, added; /* the comparator, and what periodic matches add to it */
    struct event match;
};

struct hpet {
    struct device dev;
    struct hpet_config cfg;
    struct mem_region region;
    struct timer timer[TIMERS];
    uint32_t conf;
    uint32_t status;     /* GINTR_STA: level interrupts not yet cleared */
    uint64_t counter;    /* its value at since_ns */
    int64_t since_ns;    /* while it counts */
    uint32_t raised;     /* legacy lines that an edge has left high */
    bool pit, rtc;       /* what the 8254 and the RTC drive */
    uint32_t route_caps; /* which IOAPIC pins there are */
    uint32_t routed;     /* pins held up at the moment */
};

static bool counting(const struct hpet *h)
{
    return h->conf & CONF_ENABLE;
}

static uint64_t ticks_since(const struct hpet *h, int64_t now_ns)
{
    return (uint64_t)MAX(now_ns - h->since_ns, 0) / TICK_NS;
}

static uint64_t counter_at(const struct hpet *h, int64_t now_ns)
{
    return counting(h) ? h->counter + ticks_since(h, now_ns) : h->counter;
}

static unsigned route(const struct timer *t)
{
    return (t->conf & TN_ROUTE) >> TN_ROUTE_SHIFT;
}

/* §2.3.5: timers 0 and 1 have lines 0 and 8 then, whatever their routes say. */
static bool is_legacy(const struct hpet *h, unsigned n)
{
    return (h->conf & CONF_LEGACY) && n < 2;
}

static bool holds_line(const struct hpet *h, unsigned n)
{
    const uint32_t conf = h->timer[n].conf;
    return (conf & TN_LEVEL) && (conf & TN_ENABLE) && (h->status & BIT(n));
}

/*
 * An edge on a legacy line: it stays high, as the 8254's does, since an 8259 asks for its request
 * to be there until it is acknowledged. What is no longer an enabled edge lets go of the line.
 */
static bool legacy_level(struct hpet *h, unsigned n)
{
    if (!is_legacy(h, n) || (h->timer[n].conf & (TN_LEVEL | TN_ENABLE)) != TN_ENABLE)
        h->raised &= ~BIT(n);
    return holds_line(h, n) || (h->raised & BIT(n));
}

static void hpet_update_irq(struct hpet *h)
{
    const bool timer0 = legacy_level(h, 0), timer1 = legacy_level(h, 1);
    const bool legacy = h->conf & CONF_LEGACY;
    uint32_t routed = 0;
    irq_set(&h->cfg.irq0, legacy ? timer0 : h->pit);
    irq_set(&h->cfg.irq8, legacy ? timer1 : h->rtc);
    for (unsigned n = 0; n < TIMERS; n++)
        if (!is_legacy(h, n) && holds_line(h, n))
            routed |= BIT(route(&h->timer[n]));
    routed &= h->route_caps;
    for (unsigned pin = 0; pin < HPET_ROUTES; pin++)
        if ((routed ^ h->routed) & BIT(pin))
            irq_set(&h->cfg.route[pin], routed >> pin & 1);
    h->routed = routed;
}

/* §2.3.4.1: what a match does. */
static void interrupt(struct hpet *h, unsigned n)
{
    const struct timer *t = &h->timer[n];
    if (t->conf & TN_LEVEL) {
        h->status |= BIT(n);
        hpet_update_irq(h);
        return;
    }
    if (!(t->conf & TN_ENABLE))
        return;
    if (is_legacy(h, n)) {
        const struct irq_line *line = n == 0 ? &h->cfg.irq0 : &h->cfg.irq8;
        irq_set(line, 0);
        irq_set(line, 1);
        h->raised |= BIT(n);
    } else if (h->route_caps & ~h->routed & BIT(route(t))) {
        irq_pulse(&h->cfg.route[route(t)]);
    }
}

static uint64_t width_mask(const struct timer *t)
{
    return t->conf & TN_32 ? UINT32_MAX : UINT64_MAX;
}

/* Arms the event for ticks from the counter's value at now; more than years are never. */
static void arm(struct timer *t, int64_t now_ns, uint64_t ticks)
{
    struct hpet *h = t->owner;
    const uint64_t passed = ticks_since(h, now_ns);
    const uint64_t longest = (uint64_t)(INT64_MAX - h->since_ns) / TICK_NS;
    if (passed > longest || ticks > longest - passed)
        event_cancel(h->cfg.queue, &t->match);
    else
        event_arm(h->cfg.queue, &t->match, h->since_ns + (int64_t)(passed + ticks) * TICK_NS);
}

static void schedule(struct timer *t, int64_t now_ns)
{
    struct hpet *h = t->owner;
    if (counting(h))
        arm(t, now_ns, (t->cmp - counter_at(h, now_ns)) & width_mask(t));
    else
        event_cancel(h->cfg.queue, &t->match);
}

/*
 * Periodic: the comparator moves on by whole periods until it is ahead of the counter. Those that
 * were missed, because they are shorter than an instruction, are one interrupt together.
 */
static void matched(void *opaque, int64_t now_ns)
{
    struct timer *t = opaque;
    struct hpet *h = t->owner;
    const uint64_t mask = width_mask(t);
    uint64_t left = mask; /* until the next match, less one */
    if ((t->conf & TN_PERIODIC) && (t->added & mask)) {
        const uint64_t added = t->added & mask;
        const uint64_t late = (counter_at(h, now_ns) - t->cmp) & mask;
        left = added - late % added - 1;
        t->cmp = (counter_at(h, now_ns) + left + 1) & mask;
    }
    if (left == UINT64_MAX)
        event_cancel(h->cfg.queue, &t->match);
    else
        arm(t, now_ns, left + 1);
    interrupt(h, (unsigned)(t - h->timer));
}

/* ---- registers ---- */

static uint64_t read_timer(const struct hpet *h, unsigned n, unsigned reg)
{
    switch (reg) {
    case TN_CONF:
        return (uint64_t)h->route_caps << 32 | h->timer[n].conf | TN_CAPABLE;
    case TN_CMP:
        return h->timer[n].cmp;
    default:
        return 0;
    }
}

static uint64_t read_register(const struct hpet *h, unsigned reg)
{
    switch (reg) {
    case REG_GCAP_ID:
        return PERIOD_FS << 32 | HPET_BLOCK_ID;
    case REG_GEN_CONF:
        return h->conf;
    case REG_GINTR_STA:
        return h->status;
    case REG_MAIN_CNT:
        return counter_at(h, event_now(h->cfg.queue));
    default:
        if (reg >= REG_TIMER && reg < REG_TIMER + TIMERS * TIMER_BYTES)
            return read_timer(h, (reg - REG_TIMER) / TIMER_BYTES, reg % TIMER_BYTES);
        return 0;
    }
}

static uint64_t hpet_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct hpet *h = opaque;
    const uint64_t v = read_register(h, (unsigned)offset & ~7u);
    return size == 8 ? v : (uint32_t)(v >> (8 * (offset & 4)));
}

/* The counter stops or starts; its value is kept. */
static void write_conf(struct hpet *h, uint32_t v, int64_t now_ns)
{
    h->counter = counter_at(h, now_ns);
    h->since_ns = now_ns;
    h->conf = v & (CONF_ENABLE | CONF_LEGACY);
    for (unsigned n = 0; n < TIMERS; n++)
        schedule(&h->timer[n], now_ns);
}

static void write_timer_conf(struct hpet *h, struct timer *t, uint32_t v, int64_t now_ns)
{
    const uint32_t asked = (v & TN_ROUTE) >> TN_ROUTE_SHIFT;
    uint32_t kept = t->conf & TN_ROUTE; /* §2.3.8.1: a route that there is not is not taken */
    if (h->route_caps & BIT(asked))
        kept = v & TN_ROUTE;
    t->conf = (v & TN_WRITABLE) | kept;
    t->cmp &= width_mask(t);
    schedule(t, now_ns);
}

/*
 * §2.3.8.2: in periodic mode a write sets the period, and the comparator only when VAL_SET was set
 * before, for this one write.
 */
static void write_cmp(struct timer *t, uint64_t v, uint64_t bits_written, int64_t now_ns)
{
    if (!(t->conf & TN_PERIODIC) || (t->conf & TN_VAL_SET))
        t->cmp = ((t->cmp & ~bits_written) | (v & bits_written)) & width_mask(t);
    t->added = (t->added & ~bits_written) | (v & bits_written);
    t->conf &= ~(uint32_t)TN_VAL_SET;
    schedule(t, now_ns);
}

static void write_timer(struct hpet *h, unsigned n, unsigned reg, uint64_t v, uint64_t bits_written,
                        int64_t now_ns)
{
    struct timer *t = &h->timer[n];
    if (reg == TN_CONF && (uint32_t)bits_written)
        write_timer_conf(h, t, (uint32_t)v, now_ns);
    else if (reg == TN_CMP)
        write_cmp(t, v, bits_written, now_ns);
}

static void hpet_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct hpet *h = opaque;
    const int64_t now_ns = event_now(h->cfg.queue);
    const unsigned reg = (unsigned)offset & ~7u, shift = 8 * ((unsigned)offset & 4);
    const uint64_t bits_written = (size == 8 ? UINT64_MAX : UINT64_C(0xffffffff)) << shift;
    const uint64_t v = value << shift;
    if (reg == REG_GEN_CONF && (uint32_t)bits_written) {
        write_conf(h, (uint32_t)v, now_ns);
    } else if (reg == REG_GINTR_STA) {
        h->status &= ~(uint32_t)v;
    } else if (reg == REG_MAIN_CNT) {
        h->counter = (counter_at(h, now_ns) & ~bits_written) | (v & bits_written);
        h->since_ns = now_ns;
        for (unsigned n = 0; n < TIMERS; n++)
            schedule(&h->timer[n], now_ns);
    } else if (reg >= REG_TIMER && reg < REG_TIMER + TIMERS * TIMER_BYTES) {
        write_timer(h, (reg - REG_TIMER) / TIMER_BYTES, reg % TIMER_BYTES, v, bits_written, now_ns);
    }
    hpet_update_irq(h);
}

/* ---- lines in ---- */

static void set_pit(void *opaque, unsigned pin, int level)
{
    struct hpet *h = opaque;
    (void)pin;
    h->pit = level;
    if (!(h->conf & CONF_LEGACY))
        irq_set(&h->cfg.irq0, level);
}

static void set_rtc(void *opaque, unsigned pin, int level)
{
    struct hpet *h = opaque;
    (void)pin;
    h->rtc = level;
    if (!(h->conf & CONF_LEGACY))
        irq_set(&h->cfg.irq8, level);
}

struct irq_line hpet_pit_input(struct hpet *h)
{
    return (struct irq_line){.set = set_pit, .opaque = h};
}

struct irq_line hpet_rtc_input(struct hpet *h)
{
    return (struct irq_line){.set = set_rtc, .opaque = h};
}

/* ---- life ---- */

static unsigned first_route(const struct hpet *h)
{
    return h->route_caps ? (unsigned)__builtin_ctz(h->route_caps) : 0;
}

static void hpet_reset(struct device *dev, enum reset_kind kind)
{
    struct hpet *h = container_of(dev, struct hpet, dev);
    (void)kind;
    h->conf = h->status = h->raised = h->routed = 0;
    h->counter = 0;
    h->since_ns = 0;
    h->pit = h->rtc = false;
    for (unsigned n = 0; n < TIMERS; n++) {
        struct timer *t = &h->timer[n];
        t->conf = first_route(h) << TN_ROUTE_SHIFT;
        t->cmp = UINT64_MAX;
        t->added = 0;
        event_cancel(h->cfg.queue, &t->match);
    }
}

static void hpet_reset_lines(struct device *dev)
{
    struct hpet *h = container_of(dev, struct hpet, dev);
    for (unsigned pin = 0; pin < HPET_ROUTES; pin++)
        if (h->route_caps & BIT(pin))
            irq_set(&h->cfg.route[pin], 0);
    hpet_update_irq(h);
}

static void hpet_state(struct device *dev, struct state *s)
{
    struct hpet *h = container_of(dev, struct hpet, dev);
    state_begin(s, "hpet", 1);
    state_u32(s, "conf", &h->conf);
    state_u32(s, "status", &h->status);
    state_u64(s, "counter", &h->counter);
    state_i64(s, "since_ns", &h->since_ns);
    state_check(s, h->since_ns >= 0, "since_ns");
    state_bool(s, "pit", &h->pit);
    state_bool(s, "rtc", &h->rtc);
    state_u32(s, "raised", &h->raised);
    state_u32(s, "routed", &h->routed);
    for (unsigned n = 0; n < TIMERS; n++) {
        struct timer *t = &h->timer[n];
        state_u32(s, "timer.conf", &t->conf);
        state_u64(s, "timer.cmp", &t->cmp);
        state_u64(s, "timer.added", &t->added);
        state_event(s, "timer.match", h->cfg.queue, &t->match);
    }
    state_end(s);
}

/* The map goes with the machine: regions in it whose devices went first are no longer there. */
static void hpet_destroy(struct device *dev)
{
    struct hpet *h = container_of(dev, struct hpet, dev);
    for (unsigned n = 0; n < TIMERS; n++)
        event_cancel(h->cfg.queue, &h->timer[n].match);
    free(h);
}

static const struct device_ops hpet_device_ops = {
    .reset = hpet_reset,
    .reset_lines = hpet_reset_lines,
    .state = hpet_state,
    .destroy = hpet_destroy,
};

/* §2.1: accesses are 32 or 64 bits wide and aligned; what others do is undefined. */
static const struct io_ops hpet_io_ops = {
    .read = hpet_read, .write = hpet_write, .min_size = 4, .max_size = 8};

struct hpet *hpet_create(struct device_list *devices, const struct hpet_config *cfg)
{
    static const char *const names[TIMERS] = {"hpet.timer0", "hpet.timer1", "hpet.timer2"};
    struct hpet *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->dev = (struct device){.name = "hpet", .ops = &hpet_device_ops};
    h->cfg = *cfg;
    for (unsigned pin = 0; pin < HPET_ROUTES; pin++)
        if (cfg->route[pin].set)
            h->route_caps |= BIT(pin);
    for (unsigned n = 0; n < TIMERS; n++) {
        h->timer[n].owner = h;
        event_init(&h->timer[n].match, names[n], matched, &h->timer[n]);
    }
    mem_region_init_io(&h->region, "hpet", &hpet_io_ops, h, HPET_BYTES);
    memmap_add(cfg->mem, &h->region, HPET_AT, PRIO_HPET);
    device_add(devices, &h->dev);
    return h;
}
