/*
 * A debug console port. Reading it gives E9h, by which guests find that somebody listens (Bochs
 * user manual, "port_e9_hack"; SeaBIOS docs/Debugging, "CONFIG_DEBUG_IO"). Without a back-end it
 * gives FFh as an empty port does, so that firmware does not talk for nothing.
 */
#include "devices/debugport.h"

#include <stdlib.h>

#define READBACK 0xe9

struct debugport {
    struct device dev;
    struct io_region io;
    struct chr *chr;
};

static uint64_t debugport_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    const struct debugport *d = opaque;
    return d->chr ? READBACK : 0xff;
}

static void debugport_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    const struct debugport *d = opaque;
    const uint8_t byte = (uint8_t)value;
    chr_write(d->chr, &byte, 1);
}

/* REP OUTS of a whole message. */
static unsigned debugport_write_bulk(void *opaque, uint64_t offset, unsigned size, const void *buf,
                                     unsigned count)
{
    (void)offset;
    const struct debugport *d = opaque;
    chr_write(d->chr, buf, (size_t)size * count);
    return count;
}

static void debugport_destroy(struct device *dev)
{
    free(container_of(dev, struct debugport, dev));
}

/* Nothing to reset, nothing to save. */
static const struct device_ops debugport_ops = {.destroy = debugport_destroy};

static const struct io_ops port_ops = {
    .read = debugport_read,
    .write = debugport_write,
    .write_bulk = debugport_write_bulk,
    .max_size = 1,
};

struct device *debugport_device(struct debugport *d)
{
    return &d->dev;
}

struct debugport *debugport_create(struct iomap *io, uint16_t port, struct chr *chr)
{
    struct debugport *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->dev = (struct device){.name = "debugport", .ops = &debugport_ops};
    d->chr = chr;
    d->io = (struct io_region){.name = "debugport", .ops = &port_ops, .opaque = d};
    iomap_add(io, &d->io, port, 1);
    return d;
}
