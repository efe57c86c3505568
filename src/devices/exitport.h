/* isa-debug-exit: a port through which a test program in the guest ends the machine. */
#ifndef VITRINE_DEVICES_EXITPORT_H
#define VITRINE_DEVICES_EXITPORT_H

#include "core/device.h"
#include "mmu/iomap.h"

struct exitport;

/* Where and whom a write calls, under the machine's lock, with the value as wide as it was written.
 */
struct exitport_config {
    uint16_t iobase;
    uint32_t iosize; /* 1 to 8 ports */
    void (*exit)(void *opaque, uint32_t value);
    void *opaque;
};

struct exitport *exitport_create(struct iomap *io, const struct exitport_config *cfg);
struct device *exitport_device(struct exitport *e);

#endif
