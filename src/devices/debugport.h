/*
 * A debug console: a port that takes bytes for a character back-end. Port E9h is Bochs', 402h is
 * where SeaBIOS and OVMF write their messages.
 */
#ifndef VITRINE_DEVICES_DEBUGPORT_H
#define VITRINE_DEVICES_DEBUGPORT_H

#include "core/device.h"
#include "host/chr.h"
#include "mmu/iomap.h"

struct debugport;

/* chr stays the caller's; it may be shared by several ports, or NULL: then nobody is there. */
struct debugport *debugport_create(struct iomap *io, uint16_t port, struct chr *chr);
struct device *debugport_device(struct debugport *d);

#endif
