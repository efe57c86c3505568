/*
 * The 8254 interval timer of a PC, ports 40h-43h, and the NMI status and control port 61h, which
 * holds the gate of counter 2 and the speaker. Counter 0 drives IRQ0.
 */
#ifndef VITRINE_DEVICES_PIT8254_H
#define VITRINE_DEVICES_PIT8254_H

#include "core/device.h"
#include "mmu/iomap.h"

#define PIT8254_HZ 1193182 /* 14.31818 MHz / 12 */

struct pit8254;

/* irq: follows OUT of counter 0. */
struct pit8254 *pit8254_create(struct iomap *io, struct event_queue *events,
                               const struct irq_line *irq);
struct device *pit8254_device(struct pit8254 *pit);

/* The level at the speaker: OUT of counter 2 gated by port 61h bit 1. */
int pit8254_speaker(struct pit8254 *pit);

#endif
