/*
 * The parallel port of the PC and its PS/2 successor: IBM Personal System/2 Hardware Interface
 * Technical Reference, "Parallel Port Controller" (1988). Three registers:
 *
 *   0  data     what is written drives the cable; read back, or with the direction turned (control
 *               bit 5) what the other end drives: the printer drives nothing, so ones
 *   1  status   from the printer, and whether an interrupt is pending
 *   2  control  to the printer, and the interrupt enable
 *
 * The printer is always there, on line and with paper. It takes a byte when STROBE rises while
 * SELECT IN is asserted and INIT# is not, is busy while STROBE lasts, and acknowledges when it
 * falls: ACK# is seen low by one read of the status. The interrupt of an acknowledgment stays
 * pending until the status is read.
 *
 * Not modelled: EPP and ECP, whose registers read as ones; AUTO FEED, which is the printer's.
 */
#include "devices/parallel.h"

#include <stdlib.h>

enum { REG_DATA, REG_STATUS, REG_CONTROL };

enum {
    STATUS_NO_IRQ = BIT(2),
    STATUS_NO_ERROR = BIT(3),
    STATUS_SELECTED = BIT(4),
    STATUS_NO_ACK = BIT(6),
    STATUS_NOT_BUSY = BIT(7),
    /* Bits 0 and 1 are reserved; SeaBIOS' INT 17h takes bit 0 for its own, a timeout. */
    STATUS_IDLE =
        STATUS_NO_IRQ | STATUS_NO_ERROR | STATUS_SELECTED | STATUS_NO_ACK | STATUS_NOT_BUSY,

    CONTROL_STROBE = BIT(0),
    CONTROL_NO_INIT = BIT(2),
    CONTROL_SELECT_IN = BIT(3),
    CONTROL_IRQ = BIT(4),
    CONTROL_DIRECTION = BIT(5),
    CONTROL_WRITABLE = 0x3f,
    CONTROL_UNUSED = 0xc0, /* read as ones */
    /* The manual has zeros; SeaBIOS' INT 17h leaves SELECT IN as it finds it and counts on this. */
    CONTROL_RESET = CONTROL_NO_INIT | CONTROL_SELECT_IN,
};

struct parallel {
    struct device dev;
    struct io_region io;
    struct irq_line irq;
    struct chr *chr;
    uint8_t data, control;
    bool ack;     /* ACK# is low for the next read of the status */
    bool pending; /* an acknowledgment has come since the last one */
};

static void parallel_update_irq(struct parallel *p)
{
    irq_set(&p->irq, p->pending && (p->control & CONTROL_IRQ));
}

/* Does the printer listen? */
static bool listens(uint8_t control)
{
    return (control & (CONTROL_NO_INIT | CONTROL_SELECT_IN)) ==
           (CONTROL_NO_INIT | CONTROL_SELECT_IN);
}

static uint8_t read_status(struct parallel *p)
{
    uint8_t status = STATUS_IDLE;
    if (listens(p->control) && (p->control & CONTROL_STROBE))
        status &= (uint8_t)~STATUS_NOT_BUSY;
    if (p->ack)
        status &= (uint8_t)~STATUS_NO_ACK;
    if (p->pending)
        status &= (uint8_t)~STATUS_NO_IRQ;
    p->ack = p->pending = false;
    parallel_update_irq(p);
    return status;
}

static void write_control(struct parallel *p, uint8_t v)
{
    const uint8_t old = p->control;
    p->control = v & CONTROL_WRITABLE;
    if (listens(v) && (v & ~old & CONTROL_STROBE))
        chr_write(p->chr, &p->data, 1);
    if (listens(old) && (old & ~v & CONTROL_STROBE)) {
        p->ack = true;
        p->pending = (v & CONTROL_IRQ) != 0;
    }
    if (!(v & CONTROL_NO_INIT)) /* the printer is reset */
        p->ack = p->pending = false;
    parallel_update_irq(p);
}

static uint64_t parallel_read(void *opaque, uint64_t offset, unsigned size)
{
    struct parallel *p = opaque;
    (void)size;
    switch (offset) {
    case REG_DATA:
        return p->control & CONTROL_DIRECTION ? 0xff : p->data;
    case REG_STATUS:
        return read_status(p);
    case REG_CONTROL:
        return p->control | CONTROL_UNUSED;
    default:
        return 0xff;
    }
}

static void parallel_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct parallel *p = opaque;
    (void)size;
    if (offset == REG_DATA)
        p->data = (uint8_t)value;
    else if (offset == REG_CONTROL)
        write_control(p, (uint8_t)value);
}

static void parallel_reset(struct device *dev, enum reset_kind kind)
{
    struct parallel *p = container_of(dev, struct parallel, dev);
    (void)kind;
    p->data = 0;
    p->control = CONTROL_RESET;
    p->ack = p->pending = false;
}

static void parallel_reset_lines(struct device *dev)
{
    parallel_update_irq(container_of(dev, struct parallel, dev));
}

static void parallel_state(struct device *dev, struct state *s)
{
    struct parallel *p = container_of(dev, struct parallel, dev);
    state_begin(s, "parallel", 1);
    state_u8(s, "data", &p->data);
    state_u8(s, "control", &p->control);
    state_bool(s, "ack", &p->ack);
    state_bool(s, "pending", &p->pending);
    state_end(s);
}

static void parallel_destroy(struct device *dev)
{
    struct parallel *p = container_of(dev, struct parallel, dev);
    chr_attach(p->chr, &(struct chr_front){0});
    free(p);
}

static const struct device_ops parallel_ops = {
    .reset = parallel_reset,
    .reset_lines = parallel_reset_lines,
    .state = parallel_state,
    .destroy = parallel_destroy,
};

static const struct io_ops port_ops = {
    .read = parallel_read, .write = parallel_write, .max_size = 1};

/* A printer does not answer. */
static size_t can_receive(void *opaque)
{
    (void)opaque;
    return 0;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    (void)opaque, (void)buf, (void)len;
}

struct parallel *parallel_create(struct device_list *devices, struct iomap *io, uint16_t base,
                                 const struct irq_line *irq, struct chr *chr)
{
    struct parallel *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->dev = (struct device){.name = "parallel", .ops = &parallel_ops};
    p->irq = *irq;
    p->chr = chr;
    p->io = (struct io_region){.name = "parallel", .ops = &port_ops, .opaque = p};
    iomap_add(io, &p->io, base, PARALLEL_PORTS);
    chr_attach(chr, &(struct chr_front){.can_receive = can_receive, .receive = receive});
    device_add(devices, &p->dev);
    return p;
}
