/*
 * Two 8259A programmable interrupt controllers as wired in a PC (Intel 8259A data sheet 231468,
 * called DS below; 82371SB PIIX3 data sheet 290550 for what the chipset adds).
 *
 * Departures: as in the PIIX3, LTIM of ICW1 does nothing, the edge/level registers ELCR stand in
 * its place, and the slave is always on IR2 whatever ICW3 says. MCS-80/85 mode (ICW4.uPM = 0, a
 * three-byte CALL on INTA) is not modelled: the 8086 vector is given. The PIIX3's IRQ12/M latch is
 * not modelled; our mouse holds its line until it is read.
 */
#include "devices/pic8259.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ICW1 = BIT(4), /* A0 = 0: this bit tells ICW1 from OCW2 and OCW3 */
    ICW1_SNGL = BIT(1),
    ICW1_IC4 = BIT(0),
    ICW4_SFNM = BIT(4),
    ICW4_AEOI = BIT(1),
    ICW4_UPM = BIT(0),
    OCW3 = BIT(3), /* A0 = 0, ICW1 clear: this bit tells OCW3 from OCW2 */
    OCW3_ESMM = BIT(6),
    OCW3_SMM = BIT(5),
    OCW3_P = BIT(2),
    OCW3_RR = BIT(1),
    OCW3_RIS = BIT(0),
    POLL_I = BIT(7),
};

/* OCW2 bits 7..5: R, SL, EOI. DS "OPERATION CONTROL WORD 2". */
enum ocw2 {
    OCW2_ROTATE_AEOI_CLEAR,
    OCW2_EOI,
    OCW2_NOP,
    OCW2_EOI_SPECIFIC,
    OCW2_ROTATE_AEOI_SET,
    OCW2_ROTATE_EOI,
    OCW2_SET_PRIORITY,
    OCW2_ROTATE_EOI_SPECIFIC,
};

/* Which initialization word the next write with A0 = 1 is. */
enum init_step { INIT_DONE, INIT_ICW2, INIT_ICW3, INIT_ICW4 };

#define CASCADE 2 /* the master's input that the slave's INT drives */

struct chip {
    struct pic8259 *pic;
    struct io_region io, elcr_io;
    uint8_t lines; /* levels at IR0..IR7 */
    uint8_t edges; /* rising edges not yet acknowledged, of lines that are still high */
    uint8_t imr, isr;
    uint8_t elcr; /* 1: level-triggered */
    uint8_t elcr_writable;
    uint8_t icw1, icw3, icw4;
    uint8_t base;   /* ICW2: vector of IR0 */
    uint8_t step;   /* enum init_step */
    uint8_t lowest; /* the input of lowest priority; the next one has the highest */
    bool rotate_aeoi, special_mask, poll;
    bool read_isr; /* A0 = 0 reads ISR, not IRR */
};

struct pic8259 {
    struct device dev;
    struct log *log;
    struct irq_line intr;
    int intr_level;
    struct chip chip[2]; /* master, slave */
};

static bool is_master(const struct chip *c)
{
    return c == &c->pic->chip[0];
}

/*
 * DS "EDGE AND LEVEL TRIGGERED MODES": a request needs its line high until INTA in both modes; in
 * edge mode also a rising edge since the last INTA. The slave's INT counts as a level: it falls in
 * every INTA and rises again for what is left, so its level says all an edge would.
 */
static uint8_t irr(const struct chip *c)
{
    uint8_t level = c->elcr;
    if (is_master(c))
        level |= BIT(CASCADE);
    return (c->lines & level) | (c->edges & ~level);
}

/* Priority of the first input in set: 0 is the highest, 8 means the set is empty. */
static unsigned priority(const struct chip *c, uint8_t set)
{
    const unsigned first = (c->lowest + 1) & 7;
    const unsigned turned = (set >> first | set << (8 - first)) & 0xff;
    return turned ? (unsigned)__builtin_ctz(turned) : 8;
}

static unsigned input_of(const struct chip *c, unsigned prio)
{
    return (c->lowest + 1 + prio) & 7;
}

/*
 * The request that INT stands for, or -1. DS "FULLY NESTED MODE": one in service holds back its own
 * level and those below. "SPECIAL MASK MODE": unless it is masked. "THE SPECIAL FULLY NESTED MODE":
 * the slave may come in again while it is in service.
 */
static int request(const struct chip *c)
{
    const uint8_t busy = c->special_mask ? c->isr & ~c->imr : c->isr;
    const unsigned wants = priority(c, irr(c) & ~c->imr);
    const unsigned serves = priority(c, busy);
    if (wants == 8)
        return -1;
    const unsigned in = input_of(c, wants);
    const bool again = wants == serves && in == CASCADE && is_master(c) && (c->icw4 & ICW4_SFNM);
    return wants < serves || again ? (int)in : -1;
}

static void set_line(struct chip *c, unsigned in, int level)
{
    const uint8_t bit = (uint8_t)BIT(in);
    if (!level) {
        c->lines &= ~bit;
        c->edges &= ~bit;
    } else if (!(c->lines & bit)) {
        c->lines |= bit;
        c->edges |= bit;
    }
}

static void pic8259_update_irq(struct pic8259 *pic)
{
    set_line(&pic->chip[0], CASCADE, request(&pic->chip[1]) >= 0);
    const int level = request(&pic->chip[0]) >= 0;
    if (level != pic->intr_level) {
        pic->intr_level = level;
        irq_set(&pic->intr, level);
    }
}

/* INTA, or a poll read that stands for it. DS "INTERRUPT SEQUENCE", "AUTOMATIC ... (AEOI) MODE". */
static void acknowledge(struct chip *c, unsigned in)
{
    c->edges &= ~BIT(in);
    if (!(c->icw4 & ICW4_AEOI))
        c->isr |= BIT(in);
    else if (c->rotate_aeoi)
        c->lowest = (uint8_t)in;
}

/* DS "EDGE AND LEVEL TRIGGERED MODES": no request left gives IR7's vector and leaves ISR alone. */
static int take(struct chip *c)
{
    const int in = request(c);
    if (in < 0)
        return c->base | 7;
    acknowledge(c, (unsigned)in);
    return c->base | in;
}

int pic8259_ack(struct pic8259 *pic)
{
    struct chip *master = &pic->chip[0];
    const bool from_slave = request(master) == CASCADE;
    int vector = take(master);
    if (from_slave)
        vector = take(&pic->chip[1]);
    pic8259_update_irq(pic);
    return vector;
}

int pic8259_intr(const struct pic8259 *pic)
{
    return pic->intr_level;
}

void pic8259_set_irq(void *opaque, unsigned irq, int level)
{
    struct pic8259 *pic = opaque;
    assert(irq < 16);
    if (irq == CASCADE)
        return;
    set_line(&pic->chip[irq >> 3], irq & 7, level);
    pic8259_update_irq(pic);
}

/* DS "POLL COMMAND": the read is an INTA. With nothing to serve only bit 7, clear, has a meaning.
 */
static uint8_t poll(struct chip *c)
{
    c->poll = false;
    const int in = request(c);
    if (in < 0)
        return 7;
    acknowledge(c, (unsigned)in);
    pic8259_update_irq(c->pic);
    return (uint8_t)(POLL_I | in);
}

static uint64_t pic8259_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct chip *c = opaque;
    if (c->poll)
        return poll(c);
    if (offset == 1)
        return c->imr;
    return c->read_isr ? c->isr : irr(c);
}

/*
 * DS "INITIALIZATION COMMAND WORDS 1 AND 2", a to f: edges seen so far are forgotten, no input is
 * masked, IR7 is lowest, special mask mode ends, reads give IRR, and without ICW4 all it sets is 0.
 * Nothing stays in service: software relies on a clean controller after ICW1.
 */
static void start_init(struct chip *c, uint8_t icw1)
{
    c->icw1 = icw1;
    c->step = INIT_ICW2;
    c->edges = c->imr = c->isr = 0;
    c->lowest = 7;
    c->special_mask = c->read_isr = c->poll = c->rotate_aeoi = false;
    if (!(icw1 & ICW1_IC4))
        c->icw4 = 0;
    if (icw1 & ICW1_SNGL && is_master(c))
        log_guest(c->pic->log, "8259: ICW1 says no slave; the slave stays on IR2");
}

/* A0 = 1: the next initialization word, or OCW1. */
static void write_odd(struct chip *c, uint8_t v)
{
    switch ((enum init_step)c->step) {
    case INIT_DONE:
        c->imr = v;
        break;
    case INIT_ICW2:
        c->base = v & 0xf8;
        c->step = !(c->icw1 & ICW1_SNGL) ? INIT_ICW3 : c->icw1 & ICW1_IC4 ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW3:
        c->icw3 = v;
        c->step = c->icw1 & ICW1_IC4 ? INIT_ICW4 : INIT_DONE;
        break;
    case INIT_ICW4:
        c->icw4 = v;
        c->step = INIT_DONE;
        if (!(v & ICW4_UPM))
            log_unimp(c->pic->log, "8259: MCS-80/85 mode");
        break;
    }
}

/*
 * The input a non-specific EOI ends: the highest in service, passing over those that special mask
 * mode has masked (DS "END OF INTERRUPT (EOI)"). -1: none.
 */
static int highest_in_service(const struct chip *c)
{
    const unsigned prio = priority(c, c->special_mask ? c->isr & ~c->imr : c->isr);
    return prio == 8 ? -1 : (int)input_of(c, prio);
}

/* DS "OPERATION CONTROL WORD 2 (OCW2)", "AUTOMATIC ROTATION", "SPECIFIC ROTATION". */
static void write_ocw2(struct chip *c, uint8_t v)
{
    const enum ocw2 op = (enum ocw2)(v >> 5);
    int in = v & 7;
    switch (op) {
    case OCW2_EOI:
    case OCW2_ROTATE_EOI:
        in = highest_in_service(c);
        if (in < 0)
            break;
        /* fall through */
    case OCW2_EOI_SPECIFIC:
    case OCW2_ROTATE_EOI_SPECIFIC:
        c->isr &= ~BIT(in);
        if (op == OCW2_ROTATE_EOI || op == OCW2_ROTATE_EOI_SPECIFIC)
            c->lowest = (uint8_t)in;
        break;
    case OCW2_SET_PRIORITY:
        c->lowest = (uint8_t)in;
        break;
    case OCW2_ROTATE_AEOI_SET:
    case OCW2_ROTATE_AEOI_CLEAR:
        c->rotate_aeoi = op == OCW2_ROTATE_AEOI_SET;
        break;
    case OCW2_NOP:
        break;
    }
}

static void write_ocw3(struct chip *c, uint8_t v)
{
    if (v & OCW3_ESMM)
        c->special_mask = v & OCW3_SMM;
    if (v & OCW3_P)
        c->poll = true;
    if (v & OCW3_RR)
        c->read_isr = v & OCW3_RIS;
}

static void pic8259_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct chip *c = opaque;
    const uint8_t v = (uint8_t)value;
    if (offset == 1)
        write_odd(c, v);
    else if (v & ICW1)
        start_init(c, v);
    else if (v & OCW3)
        write_ocw3(c, v);
    else
        write_ocw2(c, v);
    pic8259_update_irq(c->pic);
}

static uint64_t elcr_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    const struct chip *c = opaque;
    return c->elcr;
}

static void elcr_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct chip *c = opaque;
    c->elcr = (uint8_t)value & c->elcr_writable;
    pic8259_update_irq(c->pic);
}

static void reset_chip(struct chip *c)
{
    c->lines = c->edges = c->imr = c->isr = c->elcr = 0;
    c->icw1 = c->icw3 = c->icw4 = c->base = 0;
    c->step = INIT_DONE;
    c->lowest = 7;
    c->rotate_aeoi = c->special_mask = c->poll = c->read_isr = false;
}

/*
 * The 8259A has no reset pin: what it holds before ICW1 is not defined, and all clear is as good
 * as anything. PIIX3 "Edge/Level Control Registers": 00h after reset. Who drives an input says so
 * again in reset_lines.
 */
static void pic8259_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct pic8259 *pic = container_of(dev, struct pic8259, dev);
    reset_chip(&pic->chip[0]);
    reset_chip(&pic->chip[1]);
}

/* The inputs may have been driven already, by devices wired before us. */
static void pic8259_reset_lines(struct device *dev)
{
    struct pic8259 *pic = container_of(dev, struct pic8259, dev);
    pic->intr_level = request(&pic->chip[0]) >= 0;
    irq_set(&pic->intr, pic->intr_level);
}

static void chip_state(struct chip *c, struct state *s, const char *section)
{
    state_begin(s, section, 1);
    state_u8(s, "lines", &c->lines);
    state_u8(s, "edges", &c->edges);
    state_u8(s, "imr", &c->imr);
    state_u8(s, "isr", &c->isr);
    state_u8(s, "elcr", &c->elcr);
    state_u8(s, "icw1", &c->icw1);
    state_u8(s, "icw3", &c->icw3);
    state_u8(s, "icw4", &c->icw4);
    state_u8(s, "base", &c->base);
    state_u8(s, "step", &c->step);
    state_check(s, c->step <= INIT_ICW4, "step");
    state_u8(s, "lowest", &c->lowest);
    state_check(s, c->lowest < 8, "lowest");
    state_bool(s, "rotate_aeoi", &c->rotate_aeoi);
    state_bool(s, "special_mask", &c->special_mask);
    state_bool(s, "poll", &c->poll);
    state_bool(s, "read_isr", &c->read_isr);
    state_end(s);
}

static void pic8259_state(struct device *dev, struct state *s)
{
    struct pic8259 *pic = container_of(dev, struct pic8259, dev);
    chip_state(&pic->chip[0], s, "pic8259.master");
    chip_state(&pic->chip[1], s, "pic8259.slave");
}

static void pic8259_destroy(struct device *dev)
{
    free(container_of(dev, struct pic8259, dev));
}

static const struct device_ops pic8259_ops = {
    .reset = pic8259_reset,
    .reset_lines = pic8259_reset_lines,
    .state = pic8259_state,
    .loaded = pic8259_reset_lines,
    .destroy = pic8259_destroy,
};

static const struct io_ops port_ops = {
    .read = pic8259_read,
    .write = pic8259_write,
    .max_size = 1,
};

static const struct io_ops elcr_ops = {
    .read = elcr_read,
    .write = elcr_write,
    .max_size = 1,
};

struct device *pic8259_device(struct pic8259 *pic)
{
    return &pic->dev;
}

static void wire_chip(struct pic8259 *pic, struct iomap *io, unsigned n)
{
    /* PIIX3 "Edge/Level Control Registers": IRQ0, 1, 2, 8, 13 are always edge-triggered. */
    static const uint8_t elcr_writable[2] = {0xf8, 0xde};
    static const char *const name[2] = {"pic8259.master", "pic8259.slave"};
    struct chip *c = &pic->chip[n];
    c->pic = pic;
    c->elcr_writable = elcr_writable[n];
    c->io = (struct io_region){.name = name[n], .ops = &port_ops, .opaque = c};
    c->elcr_io = (struct io_region){.name = "pic8259.elcr", .ops = &elcr_ops, .opaque = c};
    iomap_add(io, &c->io, n ? 0xa0 : 0x20, 2);
    iomap_add(io, &c->elcr_io, (uint16_t)(0x4d0 + n), 1);
    reset_chip(c);
}

struct pic8259 *pic8259_create(struct iomap *io, struct log *log, const struct irq_line *intr)
{
    struct pic8259 *pic = calloc(1, sizeof *pic);
    if (!pic)
        return NULL;
    pic->dev = (struct device){.name = "pic8259", .ops = &pic8259_ops};
    pic->log = log;
    pic->intr = *intr;
    wire_chip(pic, io, 0);
    wire_chip(pic, io, 1);
    return pic;
}

static void print_chip(const struct chip *c, void (*line)(void *, const char *), void *opaque)
{
    char text[128];
    snprintf(text, sizeof text,
             "pic%d: irr=%02x imr=%02x isr=%02x hprio=%u irq_base=%02x rr_sel=%d elcr=%02x fnm=%d",
             !is_master(c), irr(c), c->imr, c->isr, (c->lowest + 1u) & 7, c->base, c->read_isr,
             c->elcr, !!(c->icw4 & ICW4_SFNM));
    line(opaque, text);
}

void pic8259_print(const struct pic8259 *pic, void (*line)(void *, const char *), void *opaque)
{
    print_chip(&pic->chip[0], line, opaque);
    print_chip(&pic->chip[1], line, opaque);
}
