/*
 * The high precision event timers: three comparators on a 64-bit counter of 100 MHz. In the legacy
 * replacement mode they take the place of the 8254 and the RTC on lines 0 and 8, whose interrupts
 * therefore come by here.
 */
#ifndef VITRINE_DEVICES_HPET_H
#define VITRINE_DEVICES_HPET_H

#include "core/device.h"
#include "core/event.h"
#include "core/irq.h"
#include "mmu/memmap.h"

#define HPET_AT        UINT64_C(0xFED00000)
#define HPET_BYTES     0x400
#define HPET_BLOCK_ID  UINT32_C(0x8086A201) /* GCAP_ID, low half; for the ACPI table, too */
#define HPET_MIN_TICKS 100                  /* ACPI: the shortest period to ask for */
#define HPET_ROUTES    24

struct hpet;

struct hpet_config {
    struct memmap *mem; /* gets HPET_BYTES at HPET_AT */
    struct event_queue *queue;
    struct irq_line
        route[HPET_ROUTES];     /* to the IOAPIC's pins; those without set are not offered */
    struct irq_line irq0, irq8; /* the 8254's and the RTC's lines, and its own */
};

struct hpet *hpet_create(struct device_list *devices, const struct hpet_config *cfg);

/* What the 8254 and the RTC drive in the place of lines 0 and 8. */
struct irq_line hpet_pit_input(struct hpet *h);
struct irq_line hpet_rtc_input(struct hpet *h);

#endif
