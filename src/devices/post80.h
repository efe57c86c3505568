/* Port 80h: where firmware shows how far its power-on self test came. */
#ifndef VITRINE_DEVICES_POST80_H
#define VITRINE_DEVICES_POST80_H

#include "core/device.h"
#include "mmu/iomap.h"

struct post80;

/* Each new code is a line under LOG_POST. */
struct post80 *post80_create(struct iomap *io, struct log *log);
struct device *post80_device(struct post80 *p);

/* The last code written, 0 if none since reset. */
uint8_t post80_last(const struct post80 *p);

#endif
