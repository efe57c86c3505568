/*
 * I/O APIC: Intel 82093AA datasheet 290566 ("82093AA"), as version 20h, which adds the EOI
 * register.
 *
 *      level-triggered pin:   line up, not masked, remote IRR 0 --> message; accepted: remote IRR 1
 *                             EOI with its vector               --> remote IRR 0, look again
 *      edge-triggered pin:    rising edge, not masked           --> message (masked edges are lost)
 *
 * Not modelled: the arbitration of the serial APIC bus (the ID is shown in the arbitration
 * register), delivery status (always idle: messages arrive at once), pin polarity (lines carry
 * assertion, whichever way the pin is said to be wired), SMI delivery.
 */
#include "devices/ioapic.h"

#include <stdio.h>
#include <stdlib.h>

/* 82093AA §3.1 "Memory Mapped Registers for Accessing IOAPIC Registers". */
enum {
    REG_IOREGSEL = 0x00,
    REG_IOWIN = 0x10,
    REG_EOI = 0x40, /* version 20h */
    PAGE_BYTES = 0x1000,
};

/* 82093AA §3.2 "IOAPIC Registers". */
enum {
    IDX_ID = 0x00,
    IDX_VERSION = 0x01,
    IDX_ARB = 0x02,
    IDX_REDIRECT = 0x10, /* two each, low half first */
};
#define VERSION (0x20 | (IOAPIC_PINS - 1) << 16)

/* 82093AA §3.2.4 "I/O Redirection Table Registers". */
enum {
    RTE_VECTOR = 0xFF,
    RTE_LOGICAL = BIT(11),
    RTE_REMOTE_IRR = BIT(14),
    RTE_LEVEL = BIT(15),
    RTE_MASKED = BIT(16),
    RTE_WRITABLE = 0x1AFFF, /* of the low half; delivery status and remote IRR are not */
};
#define RTE_DEST    UINT64_C(0xFF00000000000000)

#define PRIO_IOAPIC 2 /* memmap.h */

struct ioapic {
    struct device dev;
    uint8_t id; /* 4 bits */
    uint8_t index;
    uint64_t rte[IOAPIC_PINS];
    uint32_t level; /* a bit for each pin */
    struct apic_bus *bus;
    struct memmap *mem;
    struct log *log;
    struct mem_region page;
};

static unsigned rte_mode(uint64_t rte)
{
    return (unsigned)bits(rte, 10, 8);
}

/* NMI, INIT, SMI and ExtINT are edges whatever bit 15 says (82093AA §3.2.4, delivery modes). */
static bool is_level(uint64_t rte)
{
    return (rte & RTE_LEVEL) && rte_mode(rte) <= APIC_LOWEST;
}

static bool send(struct ioapic *s, unsigned pin)
{
    const uint64_t rte = s->rte[pin];
    const struct apic_message msg = {
        .dest = (uint8_t)(rte >> 56),
        .logical = rte & RTE_LOGICAL,
        .mode = (uint8_t)rte_mode(rte),
        .vector = rte & RTE_VECTOR,
        .level_triggered = is_level(rte),
    };
    if (msg.mode == 3 || msg.mode == APIC_SIPI) {
        log_guest(s->log, "ioapic: pin %u has a reserved delivery mode: %08x", pin, (uint32_t)rte);
        return false;
    }
    return apic_bus_deliver(s->bus, &msg);
}

/* Sends a level-triggered pin's message if it is due. */
static void service_level(struct ioapic *s, unsigned pin)
{
    const uint64_t rte = s->rte[pin];
    if (!is_level(rte) || !(s->level & BIT(pin)) || (rte & (RTE_MASKED | RTE_REMOTE_IRR)))
        return;
    if (send(s, pin))
        s->rte[pin] |= RTE_REMOTE_IRR;
}

void ioapic_set_irq(void *opaque, unsigned pin, int level)
{
    struct ioapic *s = opaque;
    assert(pin < IOAPIC_PINS);
    const bool rising = level && !(s->level & BIT(pin));
    s->level = level ? s->level | BIT(pin) : s->level & ~BIT(pin);
    if (is_level(s->rte[pin]))
        service_level(s, pin);
    else if (rising && !(s->rte[pin] & RTE_MASKED))
        send(s, pin);
}

/* Called by the bus when a CPU ends a level-triggered interrupt, and by writes of the register. */
static void end_of_interrupt(void *opaque, uint8_t vector)
{
    struct ioapic *s = opaque;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        if (!(s->rte[pin] & RTE_REMOTE_IRR) || (s->rte[pin] & RTE_VECTOR) != vector)
            continue;
        s->rte[pin] &= ~(uint64_t)RTE_REMOTE_IRR;
        service_level(s, pin);
    }
}

static void write_redirect(struct ioapic *s, unsigned index, uint32_t value)
{
    const unsigned pin = (index - IDX_REDIRECT) / 2;
    uint64_t *rte = &s->rte[pin];
    if (index & 1) {
        *rte = (*rte & ~RTE_DEST) | ((uint64_t)value << 32 & RTE_DEST);
    } else {
        *rte = (*rte & ~(uint64_t)RTE_WRITABLE) | (value & RTE_WRITABLE);
        /* Turning a pin to edge drops its remote IRR: how systems end interrupts without EOI. */
        if (!is_level(*rte))
            *rte &= ~(uint64_t)RTE_REMOTE_IRR;
    }
    service_level(s, pin);
}

static bool is_redirect(unsigned index)
{
    return index >= IDX_REDIRECT && index < IDX_REDIRECT + 2 * IOAPIC_PINS;
}

static uint32_t read_window(const struct ioapic *s)
{
    if (is_redirect(s->index)) {
        const uint64_t rte = s->rte[(s->index - IDX_REDIRECT) / 2];
        return (uint32_t)(s->index & 1 ? rte >> 32 : rte);
    }
    switch (s->index) {
    case IDX_ID:
    case IDX_ARB:
        return (uint32_t)s->id << 24;
    case IDX_VERSION:
        return VERSION;
    default:
        log_guest(s->log, "ioapic: read of register %02xh, which is not there", s->index);
        return 0;
    }
}

static void write_window(struct ioapic *s, uint32_t value)
{
    if (is_redirect(s->index))
        write_redirect(s, s->index, value);
    else if (s->index == IDX_ID)
        s->id = (value >> 24) & 0xF;
    else
        log_guest(s->log, "ioapic: write to register %02xh, which cannot be written", s->index);
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    const struct ioapic *s = opaque;
    switch (offset) {
    case REG_IOREGSEL:
        return s->index;
    case REG_IOWIN:
        return read_window(s);
    default:
        return 0;
    }
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct ioapic *s = opaque;
    switch (offset) {
    case REG_IOREGSEL:
        s->index = (uint8_t)value;
        break;
    case REG_IOWIN:
        write_window(s, (uint32_t)value);
        break;
    case REG_EOI:
        end_of_interrupt(s, (uint8_t)value);
        break;
    default:
        break;
    }
}

static const struct io_ops page_ops = {
    .read = page_read, .write = page_write, .min_size = 4, .max_size = 4};

static void ioapic_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct ioapic *s = (struct ioapic *)dev;
    s->id = s->index = 0;
    s->level = 0;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        s->rte[pin] = RTE_MASKED;
}

static void ioapic_state(struct device *dev, struct state *st)
{
    struct ioapic *s = (struct ioapic *)dev;
    state_begin(st, "ioapic", 1);
    state_u8(st, "id", &s->id);
    state_check(st, s->id < 16, "id");
    state_u8(st, "index", &s->index);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        state_u64(st, "rte", &s->rte[pin]);
    state_u32(st, "level", &s->level);
    state_end(st);
}

static void ioapic_destroy(struct device *dev)
{
    free(dev);
}

static const struct device_ops ioapic_ops = {
    .reset = ioapic_reset,
    .state = ioapic_state,
    .destroy = ioapic_destroy,
};

struct ioapic *ioapic_create(struct device_list *devices, struct apic_bus *bus, struct memmap *mem,
                             struct log *log)
{
    struct ioapic *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->dev = (struct device){.name = "ioapic", .ops = &ioapic_ops};
    s->bus = bus;
    s->mem = mem;
    s->log = log;
    ioapic_reset(&s->dev, RESET_POWER_ON);
    apic_bus_add_ioapic(bus, end_of_interrupt, s);
    mem_region_init_io(&s->page, "ioapic", &page_ops, s, PAGE_BYTES);
    memmap_add(mem, &s->page, IOAPIC_AT, PRIO_IOAPIC);
    device_add(devices, &s->dev);
    return s;
}

void ioapic_print(const struct ioapic *s, void (*line)(void *, const char *), void *opaque)
{
    static const char *const modes[8] = {"fixed", "lowest", "SMI", "?3",
                                         "NMI",   "INIT",   "?6",  "ExtINT"};
    char text[160];
    snprintf(text, sizeof text, "ioapic: id %u, select 0x%02x", s->id, s->index);
    line(opaque, text);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        const uint64_t rte = s->rte[pin];
        snprintf(text, sizeof text, "  pin %2u 0x%016llx dest 0x%02x %s vec %3u %s %s%s%s%s", pin,
                 (unsigned long long)rte, (unsigned)(rte >> 56),
                 rte & RTE_LOGICAL ? "logical " : "physical", (unsigned)(rte & RTE_VECTOR),
                 rte & RTE_LEVEL ? "level" : "edge ", modes[rte_mode(rte)],
                 rte & RTE_MASKED ? " masked" : "", rte & RTE_REMOTE_IRR ? " remote-irr" : "",
                 s->level & BIT(pin) ? " up" : "");
        line(opaque, text);
    }
}
