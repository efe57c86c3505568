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

/* Who makes the sound (speaker.c). */
struct pit8254_listener {
    void (*catch_up)(void *opaque); /* counter 2 is about to go on to now, and perhaps to change */
    void (*switched)(void *opaque, bool on); /* port 61h bit 1 changed */
    void *opaque;
};
void pit8254_listen(struct pit8254 *pit, const struct pit8254_listener *listener);

/* CLK pulses since power-on at a guest time. */
uint64_t pit8254_pulses(int64_t ns);

/*
 * The wave: in how many of the pulses since power-on the speaker was driven high, so that what it
 * did over a time is the difference. pulse: at most now's; at one that is over for counter 2, the
 * answer is for where the counter is.
 */
uint64_t pit8254_speaker_high(struct pit8254 *pit, uint64_t pulse);

#endif
