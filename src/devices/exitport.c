/*
 * isa-debug-exit, as known from QEMU (hw/misc/debugexit.c is its only description): what is written
 * ends the machine, reads give zero. What exit status becomes of it is the board's business.
 */
#include "devices/exitport.h"

#include <stdlib.h>

struct exitport {
    struct device dev;
    struct io_region io;
    struct exitport_config cfg;
};

static uint64_t exitport_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0;
}

static void exitport_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    const struct exitport *e = opaque;
    e->cfg.exit(e->cfg.opaque, (uint32_t)value);
}

static void exitport_destroy(struct device *dev)
{
    free(container_of(dev, struct exitport, dev));
}

/* Nothing to reset, nothing to save. */
static const struct device_ops exitport_ops = {.destroy = exitport_destroy};

static const struct io_ops port_ops = {.read = exitport_read, .write = exitport_write};

struct device *exitport_device(struct exitport *e)
{
    return &e->dev;
}

struct exitport *exitport_create(struct iomap *io, const struct exitport_config *cfg)
{
    assert(cfg->exit && cfg->iosize >= 1 && cfg->iosize <= 8);
    struct exitport *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->dev = (struct device){.name = "exitport", .ops = &exitport_ops};
    e->cfg = *cfg;
    e->io = (struct io_region){.name = "exitport", .ops = &port_ops, .opaque = e};
    iomap_add(io, &e->io, cfg->iobase, cfg->iosize);
    return e;
}
