/*
 * The pair of 8259A interrupt controllers of a PC: the first takes IRQ0 to IRQ7, the second IRQ8 to
 * IRQ15 and sits on the first one's IR2. Ports 20h-21h, A0h-A1h and the edge/level registers
 * 4D0h-4D1h.
 */
#ifndef VITRINE_DEVICES_PIC8259_H
#define VITRINE_DEVICES_PIC8259_H

#include "core/device.h"
#include "mmu/iomap.h"

struct pic8259;

/* intr: the CPU's INTR pin (or what stands before it, as the local APIC's LINT0). */
struct pic8259 *pic8259_create(struct iomap *io, struct log *log, const struct irq_line *intr);
struct device *pic8259_device(struct pic8259 *pic);

/*
 * The sixteen inputs, in the form of irq_line.set; input 2 is the cascade and is ignored. A request
 * lasts only while its line is high: a pulse that ends before INTA leaves nothing behind.
 */
void pic8259_set_irq(void *opaque, unsigned irq, int level);

/* The INTA cycles: the vector, also when the request has gone away (then IR7's or IR15's). */
int pic8259_ack(struct pic8259 *pic);

/* The level of INTR. */
int pic8259_intr(const struct pic8259 *pic);

/* Two lines for "info pic". */
void pic8259_print(const struct pic8259 *pic, void (*line)(void *, const char *), void *opaque);

#endif
