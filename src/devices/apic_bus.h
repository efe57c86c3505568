/*
 * The bus between local APICs and IOAPICs: who is addressed by an interrupt message, and end-of-
 * interrupt broadcasts. SDM 3A §11.6 "Issuing Interprocessor Interrupts", §11.8.5 "Signaling
 * Interrupt Servicing Completion" (chapter 10 in revisions before 2022).
 * Everything runs under the machine's lock.
 */
#ifndef VITRINE_DEVICES_APIC_BUS_H
#define VITRINE_DEVICES_APIC_BUS_H

#include "core/log.h"
#include "core/types.h"

struct lapic;

#define APIC_BUS_LAPICS  255
#define APIC_BUS_IOAPICS 8

/* Delivery modes, as encoded in the ICR, the LVT and redirection entries. */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

struct apic_message {
    uint32_t dest; /* APIC ID (all ones: all), or a set of logical IDs */
    bool logical;  /* destination mode */
    uint8_t mode;  /* enum apic_mode */
    uint8_t vector;
    bool level_triggered; /* its EOI is to be broadcast */
    bool wide;            /* dest has 32 bits, not 8: from an APIC in x2APIC mode */
};

struct apic_bus {
    struct lapic *lapic[APIC_BUS_LAPICS];
    unsigned lapics;
    /*
     * The local APIC of the CPU that is executing: it answers at the register page, which all CPUs
     * see at one address. NULL means the one whose region is mapped there (tests of one).
     */
    struct lapic *current;
    struct {
        void (*eoi)(void *opaque, uint8_t vector);
        void *opaque;
    } ioapic[APIC_BUS_IOAPICS];
    unsigned ioapics;
    struct log *log;
};

void apic_bus_init(struct apic_bus *bus, struct log *log);
void apic_bus_add_lapic(struct apic_bus *bus, struct lapic *l);
/* eoi is called when a CPU ends a level-triggered interrupt. */
void apic_bus_add_ioapic(struct apic_bus *bus, void (*eoi)(void *opaque, uint8_t vector),
                         void *opaque);

/* To whom the message is addressed. False if no local APIC accepted it. */
bool apic_bus_deliver(struct apic_bus *bus, const struct apic_message *msg);
/* To all but except (NULL: to all), whatever the destination field says. */
bool apic_bus_broadcast(struct apic_bus *bus, const struct apic_message *msg,
                        const struct lapic *except);
/* A CPU ended the level-triggered interrupt with this vector. */
void apic_bus_eoi(struct apic_bus *bus, uint8_t vector);

#endif
