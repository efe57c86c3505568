/*
 * Port 92h, "system control port A" of the IBM PS/2 (Hardware Interface Technical Reference, System
 * Control Port A), which chipsets took over: bit 1 opens A20, bit 0 going from 0 to 1 resets.
 *
 * The keyboard controller has an A20 gate of its own. A chipset ORs the two; firmware that closes
 * A20 here alone would not get it closed then, as the controller's gate is open after reset. So the
 * last one written decides: both write the line whenever they are written to. Hence too that our
 * reset does not drive A20: the keyboard controller's opens it.
 *
 * The activity light and password lock bits are kept and do nothing.
 */
#include "devices/port92.h"

#include <stdlib.h>

enum {
    P92_FAST_INIT = BIT(0),
    P92_FAST_A20 = BIT(1),
};

struct port92 {
    struct device dev;
    struct io_region io;
    struct irq_line a20, reset;
    uint8_t value;
};

static uint64_t port92_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    const struct port92 *p = opaque;
    return p->value;
}

static void port92_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct port92 *p = opaque;
    const uint8_t rises = (uint8_t)value & ~p->value;
    p->value = (uint8_t)value;
    irq_set(&p->a20, value & P92_FAST_A20 ? 1 : 0);
    if (rises & P92_FAST_INIT)
        irq_pulse(&p->reset);
}

static void port92_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    container_of(dev, struct port92, dev)->value = 0;
}

static void port92_state(struct device *dev, struct state *s)
{
    struct port92 *p = container_of(dev, struct port92, dev);
    state_begin(s, "port92", 1);
    state_u8(s, "value", &p->value);
    state_end(s);
}

static void port92_destroy(struct device *dev)
{
    free(container_of(dev, struct port92, dev));
}

static const struct device_ops port92_ops = {
    .reset = port92_reset,
    .state = port92_state,
    .destroy = port92_destroy,
};

static const struct io_ops port_ops = {.read = port92_read, .write = port92_write, .max_size = 1};

struct device *port92_device(struct port92 *p)
{
    return &p->dev;
}

struct port92 *port92_create(struct iomap *io, const struct irq_line *a20,
                             const struct irq_line *reset)
{
    struct port92 *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->dev = (struct device){.name = "port92", .ops = &port92_ops};
    p->a20 = *a20;
    p->reset = *reset;
    p->io = (struct io_region){.name = "port92", .ops = &port_ops, .opaque = p};
    iomap_add(io, &p->io, 0x92, 1);
    return p;
}
