/*
 * See apic_bus.h. Lowest-priority messages go to the addressed APIC with the lowest processor
 * priority, the first of equals: hardware is free in that choice, and this one keeps no state.
 */
#include "devices/apic_bus.h"

#include "devices/lapic.h"

void apic_bus_init(struct apic_bus *bus, struct log *log)
{
    *bus = (struct apic_bus){.log = log};
}

void apic_bus_add_lapic(struct apic_bus *bus, struct lapic *l)
{
    assert(bus->lapics < APIC_BUS_LAPICS);
    bus->lapic[bus->lapics++] = l;
}

void apic_bus_add_ioapic(struct apic_bus *bus, void (*eoi)(void *opaque, uint8_t vector),
                         void *opaque)
{
    assert(bus->ioapics < APIC_BUS_IOAPICS);
    bus->ioapic[bus->ioapics].eoi = eoi;
    bus->ioapic[bus->ioapics].opaque = opaque;
    bus->ioapics++;
}

/* SDM 3A §11.6.2.4 "Lowest Priority Delivery Mode". */
static bool deliver_lowest(struct apic_bus *bus, const struct apic_message *msg, bool to_all,
                           const struct lapic *except)
{
    struct lapic *best = NULL;
    for (unsigned i = 0; i < bus->lapics; i++) {
        struct lapic *l = bus->lapic[i];
        if (l == except || !(to_all || lapic_addressed(l, msg)) || !lapic_software_enabled(l))
            continue;
        if (!best || lapic_processor_priority(l) < lapic_processor_priority(best))
            best = l;
    }
    return best && lapic_receive(best, msg);
}

bool apic_bus_deliver(struct apic_bus *bus, const struct apic_message *msg)
{
    if (msg->mode == APIC_LOWEST)
        return deliver_lowest(bus, msg, false, NULL);
    bool accepted = false;
    for (unsigned i = 0; i < bus->lapics; i++)
        if (lapic_addressed(bus->lapic[i], msg))
            accepted |= lapic_receive(bus->lapic[i], msg);
    return accepted;
}

bool apic_bus_broadcast(struct apic_bus *bus, const struct apic_message *msg,
                        const struct lapic *except)
{
    if (msg->mode == APIC_LOWEST)
        return deliver_lowest(bus, msg, true, except);
    bool accepted = false;
    for (unsigned i = 0; i < bus->lapics; i++)
        if (bus->lapic[i] != except)
            accepted |= lapic_receive(bus->lapic[i], msg);
    return accepted;
}

void apic_bus_eoi(struct apic_bus *bus, uint8_t vector)
{
    for (unsigned i = 0; i < bus->ioapics; i++)
        bus->ioapic[i].eoi(bus->ioapic[i].opaque, vector);
}
