/*
 * The sixteen interrupt lines of the ISA side, each the wired-OR of all who drive it, fanned out to
 * both interrupt controllers: line n to pin n of the 8259 pair, and to pin n of the IOAPIC except
 * for line 0 (the timer), which arrives at pin 2, as every PC with both does and as the firmware's
 * MADT and MP tables say ("interrupt source override 0 -> 2"). Line 2 is the 8259 cascade: nobody
 * may drive it, and IOAPIC pin 0 has no driver.
 */
#ifndef VITRINE_DEVICES_ISA_IRQ_H
#define VITRINE_DEVICES_ISA_IRQ_H

#include "core/device.h"

#define ISA_IRQS 16

struct isa_irq;

/* pic, ioapic: set and opaque of the two controllers; the pin numbers are filled in here. */
struct isa_irq *isa_irq_create(struct device_list *devices, struct irq_line pic,
                               struct irq_line ioapic);

/* A new driver on line irq (not 2): up to 8 a line. Must be asked for in the same order each time.
 */
struct irq_line isa_irq_connect(struct isa_irq *s, unsigned irq);

/* The wired level of line irq. */
int isa_irq_level(const struct isa_irq *s, unsigned irq);

#endif
