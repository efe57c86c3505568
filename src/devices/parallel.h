/*
 * The parallel port, and a printer on it that takes every byte at once: what is printed goes to a
 * character back-end.
 */
#ifndef VITRINE_DEVICES_PARALLEL_H
#define VITRINE_DEVICES_PARALLEL_H

#include "core/device.h"
#include "core/irq.h"
#include "host/chr.h"
#include "mmu/iomap.h"

#define PARALLEL_PORTS 8

struct parallel;

/* PARALLEL_PORTS ports from base on. chr stays the caller's and may be NULL. */
struct parallel *parallel_create(struct device_list *devices, struct iomap *io, uint16_t base,
                                 const struct irq_line *irq, struct chr *chr);

#endif
