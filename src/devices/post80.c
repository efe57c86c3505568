/*
 * The POST code display at port 80h: a latch that can be read back, as the DMA page register of no
 * channel that it is in the chipset. Operating systems write to it for the delay of an ISA cycle,
 * always the same value; only a change is logged.
 */
#include "devices/post80.h"

#include <stdlib.h>

struct post80 {
    struct device dev;
    struct io_region io;
    struct log *log;
    uint8_t code;
};

static uint64_t post80_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    const struct post80 *p = opaque;
    return p->code;
}

static void post80_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct post80 *p = opaque;
    if (p->code == value)
        return;
    p->code = (uint8_t)value;
    log_line(p->log, LOG_POST, "POST code %02x", p->code);
}

static void post80_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    container_of(dev, struct post80, dev)->code = 0;
}

static void post80_state(struct device *dev, struct state *s)
{
    struct post80 *p = container_of(dev, struct post80, dev);
    state_begin(s, "post80", 1);
    state_u8(s, "code", &p->code);
    state_end(s);
}

static void post80_destroy(struct device *dev)
{
    free(container_of(dev, struct post80, dev));
}

static const struct device_ops post80_ops = {
    .reset = post80_reset,
    .state = post80_state,
    .destroy = post80_destroy,
};

static const struct io_ops port_ops = {.read = post80_read, .write = post80_write, .max_size = 1};

struct device *post80_device(struct post80 *p)
{
    return &p->dev;
}

struct post80 *post80_create(struct iomap *io, struct log *log)
{
    struct post80 *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->dev = (struct device){.name = "post80", .ops = &post80_ops};
    p->log = log;
    p->io = (struct io_region){.name = "post80", .ops = &port_ops, .opaque = p};
    iomap_add(io, &p->io, 0x80, 1);
    return p;
}

uint8_t post80_last(const struct post80 *p)
{
    return p->code;
}
