/*
 * The I/O APIC (82093AA, with the EOI register of version 20h): 24 pins, each turned into a message
 * to local APICs. On this board pins 1, 3-15 are the ISA lines and pin 2 is ISA line 0 (isa_irq.h);
 * pins 16-23 have no driver, since the PIIX3 steers PCI interrupts to ISA lines.
 */
#ifndef VITRINE_DEVICES_IOAPIC_H
#define VITRINE_DEVICES_IOAPIC_H

#include "core/device.h"
#include "devices/apic_bus.h"
#include "mmu/memmap.h"

#define IOAPIC_PINS 24
#define IOAPIC_AT   UINT64_C(0xFEC00000)

struct ioapic;

/* Maps its registers at IOAPIC_AT and puts itself on the bus. */
struct ioapic *ioapic_create(struct device_list *devices, struct apic_bus *bus, struct memmap *mem,
                             struct log *log);

/* An irq_line's set; opaque is the struct ioapic. */
void ioapic_set_irq(void *opaque, unsigned pin, int level);

/* For "info pic". */
void ioapic_print(const struct ioapic *s, void (*line)(void *, const char *), void *opaque);

#endif
