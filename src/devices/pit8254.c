/*
 * 8254 programmable interval timer (Intel 82C54 data sheet 231244, called DS below) and port 61h
 * (82371SB PIIX3 data sheet 290550, "NMI Status and Control Register").
 *
 * Each counter is a state machine clocked by CLK: clock_once() is the data sheet's mode
 * definitions, one CLK pulse at a time. Nobody runs it pulse by pulse: advance() jumps over the
 * pulses that only count, and over whole periods, with the same result. CLK is the same for all
 * three and runs from power-on, so a counter's time is a number of pulses since then, computed
 * from guest ns without rounding that could add up.
 *
 * A counter is brought up to date when somebody looks at it. Only counter 0 has an event, at its
 * next change of OUT.
 *
 * Not modelled: NMI sources SERR# and IOCHK# of port 61h, which nothing here raises; DRAM refresh
 * beyond the bit that shows it.
 */
#include "devices/pit8254.h"

#include <stdlib.h>

/* Control word: SC1 SC0 RW1 RW0 M2 M1 M0 BCD. DS "CONTROL WORD FORMAT". */
enum {
    CW_BCD = BIT(0),
    CW_READ_BACK = 3, /* SC */
    RB_NOT_COUNT = BIT(5),
    RB_NOT_STATUS = BIT(4),
    STATUS_OUT = BIT(7),
    STATUS_NULL = BIT(6),
};

enum rw { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };

/* Port 61h. */
enum {
    P61_GATE2 = BIT(0),
    P61_SPEAKER = BIT(1),
    P61_WRITABLE = 0x0f,
    P61_REFRESH = BIT(4),
    P61_OUT2 = BIT(5),
};

/* PIIX3: the refresh bit toggles with each refresh, every 18 pulses (15.09 us) as BIOSes set it. */
#define REFRESH_PULSES 18

#define NO_PULSE       UINT64_MAX

struct counter {
    uint8_t mode; /* 0..5 */
    uint8_t rw;   /* enum rw */
    bool bcd;
    bool gate, out;
    uint64_t pulse; /* CLK pulses since power-on this state accounts for */

    uint16_t cr;     /* count register, as written */
    uint8_t cr_lsb;  /* RW_BOTH: first byte, waiting for the second */
    bool write_msb;  /* the next byte written is the second */
    bool read_msb;   /* the next byte read is the second */
    bool has_count;  /* CR was written since the control word */
    bool null_count; /* CR was written and not yet loaded: status bit 6 */

    uint32_t ce;   /* counting element as a number, full count shown as 0 */
    uint32_t n;    /* the count that was loaded, 1..10000 or 1..65536 */
    bool counting; /* CE holds a count */
    bool load;     /* the next pulse loads CE */
    bool strobe;   /* modes 4 and 5: OUT is still to go low for this count */
    bool rose;     /* OUT went from low to high since the irq line was last driven */

    bool latched; /* a count is latched in latch and not yet read whole */
    uint16_t latch;
    bool status_latched;
    uint8_t status;

    /* For the listener, no state of the guest's: pulses with OUT high while heard was set. */
    bool heard;
    uint64_t high;
};

struct pit8254 {
    struct device dev;
    struct io_region io, io61;
    struct event_queue *events;
    struct irq_line irq;
    int irq_level;
    struct counter counter[3];
    uint8_t port61;
    struct event out0;
    struct pit8254_listener listener;
};

/* Pulses completed at guest time ns, and the first ns at which that many are. */
static uint64_t pulses_at(int64_t ns)
{
    const uint64_t t = (uint64_t)ns;
    return t / NS_PER_SEC * PIT8254_HZ + t % NS_PER_SEC * PIT8254_HZ / NS_PER_SEC;
}

static int64_t time_of(uint64_t pulse)
{
    const uint64_t rest = pulse % PIT8254_HZ * NS_PER_SEC;
    return (int64_t)(pulse / PIT8254_HZ * NS_PER_SEC + (rest + PIT8254_HZ - 1) / PIT8254_HZ);
}

static uint32_t full(const struct counter *c)
{
    return c->bcd ? 10000 : 65536;
}

static uint32_t from_bcd(uint16_t v)
{
    return (v >> 12) * 1000u + (v >> 8 & 15) * 100u + (v >> 4 & 15) * 10u + (v & 15);
}

static uint16_t to_bcd(uint32_t v)
{
    return (uint16_t)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10);
}

static void set_out(struct counter *c, bool level)
{
    c->rose |= level && !c->out;
    c->out = level;
}

static bool is_square(const struct counter *c)
{
    return c->mode == 3;
}

/* CR to CE. DS "MODE 3": an odd count is loaded as the even one below it. */
static void load_ce(struct counter *c)
{
    const uint32_t v = (c->bcd ? from_bcd(c->cr) : c->cr) % full(c);
    c->n = v ? v : full(c);
    c->ce = (is_square(c) ? c->n & ~1u : c->n) % full(c);
    c->null_count = c->load = false;
    c->counting = true;
}

/* CE moves: modes 0, 2, 3, 4 stand still while GATE is low. DS "GATE Pin Operations Summary". */
static bool moves(const struct counter *c)
{
    return c->counting && (c->gate || c->mode == 1 || c->mode == 5);
}

static void count_down(struct counter *c, uint64_t pulses)
{
    const uint32_t step = is_square(c) ? 2 : 1;
    c->ce = (c->ce + full(c) - (uint32_t)(pulses % full(c) * step % full(c))) % full(c);
}

/* One pulse that loads CE. */
static void clock_load(struct counter *c)
{
    load_ce(c);
    switch (c->mode) {
    case 1:
        set_out(c, false);
        break;
    case 2:
    case 3:
        set_out(c, true);
        break;
    case 4:
    case 5:
        set_out(c, true);
        c->strobe = true;
        break;
    default:
        break;
    }
}

static void clock_mode2(struct counter *c)
{
    if (!c->out) {
        load_ce(c);
        set_out(c, true);
        return;
    }
    count_down(c, 1);
    if (c->ce == 1)
        set_out(c, false);
}

/*
 * DS "MODE 3": CE counts by two. With an odd count the high half ends a pulse after CE reached
 * zero, so it is a pulse longer than the low half.
 */
static void clock_mode3(struct counter *c)
{
    const bool odd_high = (c->n & 1) && c->out;
    bool expired = odd_high && c->ce == 0;
    if (!expired) {
        count_down(c, 1);
        expired = !odd_high && c->ce == 0;
    }
    if (expired) {
        load_ce(c);
        set_out(c, !c->out);
    }
}

/* DS "MODE DEFINITIONS": one CLK pulse. */
static void clock_once(struct counter *c)
{
    if (c->load) {
        clock_load(c);
        return;
    }
    if (c->mode >= 4 && !c->out)
        set_out(c, true); /* the strobe lasts one pulse */
    if (!moves(c))
        return;
    switch (c->mode) {
    case 2:
        clock_mode2(c);
        return;
    case 3:
        clock_mode3(c);
        return;
    default:
        count_down(c, 1);
        if (c->ce)
            return;
        if (c->mode <= 1)
            set_out(c, true);
        else if (c->strobe)
            set_out(c, false);
        c->strobe = false;
    }
}

/* How many of the coming pulses do nothing but count: those before the next that does more. */
static uint64_t quiet_pulses(const struct counter *c)
{
    const uint32_t to_zero = c->ce ? c->ce : full(c);
    if (c->load || (c->mode >= 4 && !c->out))
        return 0;
    if (!moves(c))
        return NO_PULSE;
    switch (c->mode) {
    case 2:
        return !c->out ? 0 : c->ce == 1 ? full(c) - 1 : (c->ce + full(c) - 2) % full(c);
    case 3:
        return (c->n & 1) && c->out ? c->ce / 2 : to_zero / 2 - 1;
    default:
        return (c->mode <= 1 ? !c->out : c->strobe) ? to_zero - 1 : NO_PULSE;
    }
}

/* Modes 2 and 3. A count of 1 is not allowed in them; clock_once() goes the long way round then. */
static uint32_t period_pulses(const struct counter *c)
{
    if (c->n > 1)
        return c->n;
    return is_square(c) ? full(c) / 2 + 1 : full(c) + 1;
}

/* From its start, how much of a period OUT is high. */
static uint32_t high_pulses(const struct counter *c)
{
    return is_square(c) ? (c->n + 1) / 2 : period_pulses(c) - 1;
}

/* At the start of a period whose successors will all be alike. */
static bool at_period(const struct counter *c)
{
    return (c->mode == 2 || c->mode == 3) && moves(c) && c->out && !c->load && !c->null_count &&
           c->ce == (is_square(c) ? c->n & ~1u : c->n) % full(c);
}

/* OUT stays as it is for so many pulses. */
static void hear(struct counter *c, uint64_t pulses)
{
    c->high += c->heard && c->out ? pulses : 0;
}

static void skip_periods(struct counter *c, uint64_t periods)
{
    c->pulse += periods * period_pulses(c);
    c->high += c->heard ? periods * high_pulses(c) : 0;
    c->rose = true;
}

static void advance(struct counter *c, uint64_t pulse)
{
    while (c->pulse < pulse) {
        const uint64_t left = pulse - c->pulse;
        const uint64_t quiet = MIN(quiet_pulses(c), left);
        if (quiet && moves(c))
            count_down(c, quiet);
        c->pulse += quiet;
        hear(c, quiet);
        if (quiet == left)
            return;
        hear(c, 1);
        clock_once(c);
        c->pulse++;
        if (at_period(c) && pulse - c->pulse >= period_pulses(c))
            skip_periods(c, (pulse - c->pulse) / period_pulses(c));
    }
}

/* The pulse at which OUT changes next, NO_PULSE if it never does by itself. */
static uint64_t next_change(const struct counter *c)
{
    struct counter t = *c;
    while (t.out == c->out) {
        const uint64_t quiet = quiet_pulses(&t);
        if (quiet == NO_PULSE)
            return NO_PULSE;
        advance(&t, t.pulse + quiet + 1);
    }
    return t.pulse;
}

static void drive(struct pit8254 *pit, int level)
{
    if (level != pit->irq_level) {
        pit->irq_level = level;
        irq_set(&pit->irq, level);
    }
}

/*
 * Counter 0's OUT to IRQ0. The low pulse of mode 2 takes 838 ns: when it passed unseen the line is
 * lowered and raised again, so that the edge is not lost.
 */
static void pit8254_update_irq(struct pit8254 *pit)
{
    struct counter *c = &pit->counter[0];
    if (c->rose) {
        c->rose = false;
        drive(pit, 0);
        drive(pit, 1);
    }
    drive(pit, c->out);
}

/* Brings counter i up to now. */
static struct counter *current(struct pit8254 *pit, unsigned i)
{
    struct counter *c = &pit->counter[i];
    if (i == 2 && pit->listener.catch_up)
        pit->listener.catch_up(pit->listener.opaque);
    advance(c, pulses_at(event_now(pit->events)));
    if (i == 0)
        pit8254_update_irq(pit);
    return c;
}

static void schedule(struct pit8254 *pit)
{
    const uint64_t pulse = next_change(&pit->counter[0]);
    if (pulse == NO_PULSE)
        event_cancel(pit->events, &pit->out0);
    else
        event_arm(pit->events, &pit->out0, time_of(pulse));
}

static void out0_changes(void *opaque, int64_t now_ns)
{
    (void)now_ns;
    struct pit8254 *pit = opaque;
    current(pit, 0);
    schedule(pit);
}

static uint16_t shown_count(const struct counter *c)
{
    return c->bcd ? to_bcd(c->ce) : (uint16_t)c->ce;
}

/* DS "COUNTER LATCH COMMAND": a latched count stays until it is read, whatever else is latched. */
static void latch_count(struct counter *c)
{
    if (c->latched)
        return;
    c->latched = true;
    c->latch = shown_count(c);
}

static void latch_status(struct counter *c)
{
    if (c->status_latched)
        return;
    c->status_latched = true;
    c->status = (uint8_t)((c->out ? STATUS_OUT : 0) | (c->null_count ? STATUS_NULL : 0) |
                          c->rw << 4 | c->mode << 1 | c->bcd);
}

/* DS "READ-BACK COMMAND". */
static void read_back(struct pit8254 *pit, uint8_t v)
{
    for (unsigned i = 0; i < 3; i++) {
        if (!(v & BIT(i + 1)))
            continue;
        struct counter *c = current(pit, i);
        if (!(v & RB_NOT_COUNT))
            latch_count(c);
        if (!(v & RB_NOT_STATUS))
            latch_status(c);
    }
}

/* DS "CONTROL WORD FORMAT": all control logic of the counter starts anew; OUT shows its idle state.
 */
static void write_control(struct pit8254 *pit, uint8_t v)
{
    const unsigned sc = v >> 6;
    if (sc == CW_READ_BACK) {
        read_back(pit, v);
        return;
    }
    struct counter *c = current(pit, sc);
    const uint8_t rw = v >> 4 & 3, mode = v >> 1 & 7;
    if (rw == RW_LATCH) {
        latch_count(c);
        return;
    }
    c->rw = rw;
    c->mode = mode > 5 ? mode & 3 : mode; /* M2 is "don't care" in modes 2 and 3 */
    c->bcd = v & CW_BCD;
    c->cr = 0;
    c->ce %= full(c);
    c->n = 1;
    c->null_count = true;
    c->has_count = c->counting = c->load = c->strobe = false;
    c->write_msb = c->read_msb = c->latched = c->status_latched = false;
    set_out(c, c->mode != 0);
}

/* A count is complete in CR. DS "MODE DEFINITIONS" says per mode when it reaches CE. */
static void count_written(struct counter *c, uint16_t v)
{
    c->cr = v;
    c->null_count = c->has_count = true;
    switch (c->mode) {
    case 0:
        set_out(c, false);
        c->load = true;
        break;
    case 2:
    case 3:
        c->load |= !c->counting; /* else when the current period, or half of one, ends */
        break;
    case 4:
        c->load = true;
        break;
    default:
        break; /* modes 1 and 5 wait for a trigger */
    }
}

static void write_count(struct counter *c, uint8_t v)
{
    if (c->rw == RW_LSB) {
        count_written(c, v);
    } else if (c->rw == RW_MSB) {
        count_written(c, (uint16_t)(v << 8));
    } else if (!c->write_msb) {
        c->cr_lsb = v;
        c->write_msb = true;
        if (c->mode == 0) { /* DS "MODE 0": the first byte stops the count and lowers OUT */
            c->counting = c->load = false;
            set_out(c, false);
        }
    } else {
        c->write_msb = false;
        count_written(c, (uint16_t)(c->cr_lsb | v << 8));
    }
}

static uint8_t read_count(struct counter *c)
{
    if (c->status_latched) {
        c->status_latched = false;
        return c->status;
    }
    const uint16_t v = c->latched ? c->latch : shown_count(c);
    const bool msb = c->rw == RW_MSB || c->read_msb;
    const bool more = c->rw == RW_BOTH && !msb;
    c->read_msb = more;
    if (!more)
        c->latched = false;
    return (uint8_t)(msb ? v >> 8 : v);
}

/* DS "GATE Pin Operations Summary". A rising edge is a trigger in modes 1, 2, 3 and 5. */
static void set_gate(struct counter *c, bool gate)
{
    const bool rises = gate && !c->gate;
    c->gate = gate;
    if (c->mode == 0 || c->mode == 4)
        return;
    if (rises && c->has_count)
        c->load = true;
    if (!gate && (c->mode == 2 || c->mode == 3))
        set_out(c, true);
}

static uint64_t pit8254_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct pit8254 *pit = opaque;
    return offset == 3 ? 0xff : read_count(current(pit, (unsigned)offset));
}

static void pit8254_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct pit8254 *pit = opaque;
    if (offset == 3)
        write_control(pit, (uint8_t)value);
    else
        write_count(current(pit, (unsigned)offset), (uint8_t)value);
    pit8254_update_irq(pit);
    schedule(pit);
}

static uint64_t port61_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    struct pit8254 *pit = opaque;
    const struct counter *c = current(pit, 2);
    const bool refresh = c->pulse / REFRESH_PULSES & 1;
    return pit->port61 | (refresh ? P61_REFRESH : 0) | (c->out ? P61_OUT2 : 0);
}

static void port61_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct pit8254 *pit = opaque;
    struct counter *c = current(pit, 2);
    const bool switched = (pit->port61 ^ value) & P61_SPEAKER;
    pit->port61 = value & P61_WRITABLE;
    c->heard = value & P61_SPEAKER;
    set_gate(c, value & P61_GATE2);
    if (switched && pit->listener.switched)
        pit->listener.switched(pit->listener.opaque, c->heard);
}

int pit8254_speaker(struct pit8254 *pit)
{
    return (pit->port61 & P61_SPEAKER) && current(pit, 2)->out;
}

void pit8254_listen(struct pit8254 *pit, const struct pit8254_listener *listener)
{
    pit->listener = *listener;
}

uint64_t pit8254_pulses(int64_t ns)
{
    return pulses_at(ns);
}

uint64_t pit8254_speaker_high(struct pit8254 *pit, uint64_t pulse)
{
    struct counter *c = &pit->counter[2];
    advance(c, pulse);
    return c->high;
}

/*
 * DS "GENERAL": the state of a counter is undefined until it is programmed. Here it then does not
 * count, and OUT is high so that choosing a mode makes no edge. The gates of counters 0 and 1 are
 * tied high, that of counter 2 is port 61h bit 0, which is 0 after reset.
 */
static void pit8254_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct pit8254 *pit = container_of(dev, struct pit8254, dev);
    const uint64_t pulse = pulses_at(event_now(pit->events));
    for (unsigned i = 0; i < 3; i++)
        pit->counter[i] = (struct counter){.mode = 3,
                                           .rw = RW_BOTH,
                                           .gate = i != 2,
                                           .out = true,
                                           .null_count = true,
                                           .n = 1,
                                           .pulse = pulse,
                                           .high = pit->counter[i].high};
    pit->port61 = 0;
}

static void pit8254_reset_lines(struct device *dev)
{
    struct pit8254 *pit = container_of(dev, struct pit8254, dev);
    pit->irq_level = pit->counter[0].out;
    irq_set(&pit->irq, pit->irq_level);
    schedule(pit);
}

static void counter_state(struct counter *c, struct state *s, const char *section)
{
    state_begin(s, section, 1);
    state_u8(s, "mode", &c->mode);
    state_check(s, c->mode <= 5, "mode");
    state_u8(s, "rw", &c->rw);
    state_check(s, c->rw >= RW_LSB && c->rw <= RW_BOTH, "rw");
    state_bool(s, "bcd", &c->bcd);
    state_bool(s, "gate", &c->gate);
    state_bool(s, "out", &c->out);
    state_u64(s, "pulse", &c->pulse);
    state_check(s, c->pulse <= pulses_at(INT64_MAX / 2), "pulse");
    state_u16(s, "cr", &c->cr);
    state_u8(s, "cr_lsb", &c->cr_lsb);
    state_bool(s, "write_msb", &c->write_msb);
    state_bool(s, "read_msb", &c->read_msb);
    state_bool(s, "has_count", &c->has_count);
    state_bool(s, "null_count", &c->null_count);
    state_u32(s, "ce", &c->ce);
    state_check(s, c->ce < full(c), "ce");
    state_u32(s, "n", &c->n);
    state_check(s, c->n >= 1 && c->n <= full(c), "n");
    state_bool(s, "counting", &c->counting);
    state_check(s, !c->counting || !is_square(c) || !(c->ce & 1), "ce");
    state_bool(s, "load", &c->load);
    state_bool(s, "strobe", &c->strobe);
    state_bool(s, "rose", &c->rose);
    state_bool(s, "latched", &c->latched);
    state_u16(s, "latch", &c->latch);
    state_bool(s, "status_latched", &c->status_latched);
    state_u8(s, "status", &c->status);
    state_end(s);
}

static void pit8254_state(struct device *dev, struct state *s)
{
    static const char *const section[3] = {"pit8254.0", "pit8254.1", "pit8254.2"};
    struct pit8254 *pit = container_of(dev, struct pit8254, dev);
    for (unsigned i = 0; i < 3; i++)
        counter_state(&pit->counter[i], s, section[i]);
    state_begin(s, "pit8254", 1);
    state_u8(s, "port61", &pit->port61);
    state_event(s, "out0", pit->events, &pit->out0);
    state_end(s);
}

static void pit8254_loaded(struct device *dev)
{
    struct pit8254 *pit = container_of(dev, struct pit8254, dev);
    pit->irq_level = pit->counter[0].out;
    pit->counter[2].heard = pit->port61 & P61_SPEAKER;
}

static void pit8254_destroy(struct device *dev)
{
    struct pit8254 *pit = container_of(dev, struct pit8254, dev);
    event_cancel(pit->events, &pit->out0);
    free(pit);
}

static const struct device_ops pit8254_ops = {
    .reset = pit8254_reset,
    .reset_lines = pit8254_reset_lines,
    .state = pit8254_state,
    .loaded = pit8254_loaded,
    .destroy = pit8254_destroy,
};

static const struct io_ops counter_ops = {
    .read = pit8254_read,
    .write = pit8254_write,
    .max_size = 1,
};

static const struct io_ops port61_ops = {
    .read = port61_read,
    .write = port61_write,
    .max_size = 1,
};

struct device *pit8254_device(struct pit8254 *pit)
{
    return &pit->dev;
}

struct pit8254 *pit8254_create(struct iomap *io, struct event_queue *events,
                               const struct irq_line *irq)
{
    struct pit8254 *pit = calloc(1, sizeof *pit);
    if (!pit)
        return NULL;
    pit->dev = (struct device){.name = "pit8254", .ops = &pit8254_ops};
    pit->events = events;
    pit->irq = *irq;
    event_init(&pit->out0, "pit8254.out0", out0_changes, pit);
    pit->io = (struct io_region){.name = "pit8254", .ops = &counter_ops, .opaque = pit};
    pit->io61 = (struct io_region){.name = "port61", .ops = &port61_ops, .opaque = pit};
    iomap_add(io, &pit->io, 0x40, 4);
    iomap_add(io, &pit->io61, 0x61, 1);
    return pit;
}
