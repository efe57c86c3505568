/*
 * PCI: finds the functions of bus 0, gives every base register a place, steers the interrupts.
 *
 *      memory   below 4 GiB from PCI_MEMORY (lower if that is too small, never below RAM) to the
 *               IOAPIC; prefetchable 64-bit registers that find no room there, above all RAM
 *      I/O      from PCI_IO on
 *      PIRQA-D  lines 10, 10, 11, 11
 *
 * Not done: bridges; the functions behind one stay without resources, and are named.
 */
#include "pci_init.h"

#include "io.h"
#include "pci.h"
#include "post.h"
#include "print.h"
#include "ram.h"

#define PCI_IO           0xC000u
#define PCI_IO_END       0x10000u
#define PCI_MEMORY       0xE0000000u
#define PCI_MEMORY_END   0xFEC00000u
#define GIB              0x40000000ull

#define BAR_IO           0x1
#define BAR_64           0x4
#define BAR_PREFETCH     0x8
#define ROM_ENABLE       0x1

#define CLASS_BRIDGE_PCI 0x0604

#define PIIX3            PCI_DEVFN(1, 0)
#define PIIX3_PIRQRCA    0x60
#define PIIX4_PM         0x7113
#define SCI_LINE         9

enum kind { KIND_IO, KIND_MEMORY, KIND_HIGH, KINDS };

struct resource {
    uint16_t bdf;
    uint8_t reg;
    uint8_t kind;
    bool wide, prefetchable; /* may be KIND_HIGH */
    uint64_t bytes;
};

#define MAX_FUNCTIONS 64
#define MAX_RESOURCES 128

static struct pci_function functions[MAX_FUNCTIONS];
static unsigned function_count;
static struct resource resources[MAX_RESOURCES];
static unsigned resource_count;

static const uint8_t pirq_line[4] = {10, 10, 11, 11};

const struct pci_function *pci_function(unsigned n)
{
    return n < function_count ? &functions[n] : NULL;
}

const struct pci_function *pci_find(uint16_t vendor, uint16_t device)
{
    for (unsigned i = 0; i < function_count; i++)
        if (functions[i].vendor == vendor && functions[i].device == device)
            return &functions[i];
    return NULL;
}

static void find_functions(void)
{
    for (unsigned devfn = 0; devfn < 256; devfn++) {
        const uint16_t vendor = pci_read16((uint16_t)devfn, PCI_VENDOR_ID);
        if (vendor == 0xffff || vendor == 0)
            continue;
        if (function_count < MAX_FUNCTIONS)
            functions[function_count++] = (struct pci_function){
                .bdf = (uint16_t)devfn,
                .vendor = vendor,
                .device = pci_read16((uint16_t)devfn, PCI_DEVICE_ID),
                .class = pci_read16((uint16_t)devfn, PCI_CLASS),
            };
        /* PCI LB 3.0 §6.2.1: bit 7 of the header type: more functions than one */
        if ((devfn & 7) == 0 && !(pci_read8((uint16_t)devfn, PCI_HEADER_TYPE) & 0x80))
            devfn += 7;
    }
}

/* ---- sizes: PCI LB 3.0 §6.2.5.1 "Address Maps" ---- */

static void add_resource(const struct resource *r)
{
    if (resource_count == MAX_RESOURCES) {
        debug("PCI: no room for a resource of %04x\n", r->bdf);
        return;
    }
    /* sorted by size, the largest first: so each is aligned where the one before it ended */
    unsigned at = resource_count++;
    for (; at && resources[at - 1].bytes < r->bytes; at--)
        resources[at] = resources[at - 1];
    resources[at] = *r;
}

/* Returns how many registers the BAR takes. */
static unsigned size_bar(uint16_t bdf, unsigned reg)
{
    const uint32_t old = pci_read32(bdf, reg);
    pci_write32(bdf, reg, 0xffffffff);
    const uint32_t mask = pci_read32(bdf, reg);
    pci_write32(bdf, reg, old);
    struct resource r = {.bdf = bdf, .reg = (uint8_t)reg};
    if (!mask)
        return 1;
    if (mask & BAR_IO) {
        r.kind = KIND_IO;
        r.bytes = (~(mask & ~3u) + 1) & 0xffff;
    } else {
        r.kind = KIND_MEMORY;
        r.wide = mask & BAR_64;
        r.prefetchable = mask & BAR_PREFETCH;
        uint32_t high = 0xffffffff;
        if (r.wide) {
            const uint32_t old_high = pci_read32(bdf, reg + 4);
            pci_write32(bdf, reg + 4, 0xffffffff);
            high = pci_read32(bdf, reg + 4);
            pci_write32(bdf, reg + 4, old_high);
        }
        r.bytes = ~((uint64_t)high << 32 | (mask & ~15u)) + 1;
    }
    if (r.bytes)
        add_resource(&r);
    return r.wide ? 2 : 1;
}

static void size_rom(uint16_t bdf)
{
    pci_write32(bdf, PCI_ROM, ~(uint32_t)ROM_ENABLE);
    const uint32_t mask = pci_read32(bdf, PCI_ROM);
    pci_write32(bdf, PCI_ROM, 0);
    if (mask & ~0x7ffu)
        add_resource(&(struct resource){
            .bdf = bdf, .reg = PCI_ROM, .kind = KIND_MEMORY, .bytes = ~(mask & ~0x7ffu) + 1});
}

static void size_function(const struct pci_function *f)
{
    const uint16_t command = pci_read16(f->bdf, PCI_COMMAND);
    if (f->class == CLASS_BRIDGE_PCI) {
        debug("PCI: bridge %04x: what is behind it is not set up\n", f->bdf);
        return;
    }
    pci_write16(f->bdf, PCI_COMMAND, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY));
    for (unsigned bar = 0; bar < 6;)
        bar += size_bar(f->bdf, PCI_BAR0 + 4 * bar);
    size_rom(f->bdf);
    pci_write16(f->bdf, PCI_COMMAND, command);
}

/* ---- places ---- */

static uint64_t sum(enum kind kind)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < resource_count; i++)
        if (resources[i].kind == kind)
            bytes += resources[i].bytes;
    return bytes;
}

/* The largest of those that may goes above 4 GiB, until the rest fits below. */
static void move_up(uint64_t room)
{
    for (unsigned i = 0; i < resource_count && sum(KIND_MEMORY) > room; i++)
        if (resources[i].kind == KIND_MEMORY && resources[i].wide && resources[i].prefetchable)
            resources[i].kind = KIND_HIGH;
}

static uint32_t memory_start(void)
{
    const uint32_t top = ALIGN_UP(ram_top_low(), 0x1000000u);
    move_up(PCI_MEMORY_END - top);
    const uint64_t need = sum(KIND_MEMORY);
    const uint64_t biggest = resource_count ? resources[0].bytes : 0;
    if (PCI_MEMORY >= top && PCI_MEMORY + need <= PCI_MEMORY_END)
        return PCI_MEMORY;
    const uint32_t align = (uint32_t)MIN(MAX(biggest, 0x1000000u), 0x80000000u);
    return MAX(top, (uint32_t)(PCI_MEMORY_END - need) & ~(align - 1));
}

static void place(const struct resource *r, uint64_t next[KINDS], const uint64_t end[KINDS])
{
    const uint64_t at = ALIGN_UP(next[r->kind], r->bytes);
    if (at + r->bytes > end[r->kind]) {
        print("PCI: no room for %lx bytes of device %02x.%x\n", (unsigned long)r->bytes,
              r->bdf >> 3, r->bdf & 7);
        return;
    }
    next[r->kind] = at + r->bytes;
    pci_write32(r->bdf, r->reg, (uint32_t)at);
    if (r->wide)
        pci_write32(r->bdf, r->reg + 4u, (uint32_t)(at >> 32));
    const uint16_t enable = r->kind == KIND_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
    if (r->reg != PCI_ROM)
        pci_write16(r->bdf, PCI_COMMAND, pci_read16(r->bdf, PCI_COMMAND) | enable);
    debug("PCI: %02x.%x reg %02x at %lx%08lx, %lx bytes\n", r->bdf >> 3, r->bdf & 7, r->reg,
          (unsigned long)(at >> 32), (unsigned long)at, (unsigned long)r->bytes);
}

static void place_all(void)
{
    const uint64_t high = MAX(ram_top_high(), 0x100000000ull);
    uint64_t next[KINDS] = {PCI_IO, memory_start(), ALIGN_UP(high, GIB)};
    const uint64_t end[KINDS] = {PCI_IO_END, PCI_MEMORY_END, 1ull << 40};
    for (unsigned i = 0; i < resource_count; i++)
        place(&resources[i], next, end);
}

/* ---- interrupts ---- */

/* INTA# to INTD# of slot n go to PIRQs n-1 to n+2, wrapped (src/bios/dsdt.c, build_routing). */
unsigned pci_pirq(uint16_t bdf, unsigned pin)
{
    return ((bdf >> 3) - 1u + pin) & 3;
}

uint8_t pci_pirq_line(unsigned pirq)
{
    return pirq_line[pirq];
}

bool pci_line_used(uint8_t line)
{
    for (unsigned i = 0; i < function_count; i++)
        if (functions[i].pin && functions[i].line == line)
            return true;
    return false;
}

static void route_interrupts(void)
{
    uint16_t level = 0;
    for (unsigned i = 0; i < 4; i++) {
        pci_write8(PIIX3, PIIX3_PIRQRCA + i, pirq_line[i]);
        level |= (uint16_t)(1u << pirq_line[i]);
    }
    /* ELCR: PIIX3 "Edge/Level Control Registers"; line 9 is the power management's SCI */
    level |= 1u << SCI_LINE;
    outb(0x4d0, (uint8_t)level);
    outb(0x4d1, (uint8_t)(level >> 8));
    for (unsigned i = 0; i < function_count; i++) {
        const uint16_t bdf = functions[i].bdf;
        functions[i].pin = pci_read8(bdf, PCI_INTERRUPT_PIN);
        if (!functions[i].pin)
            continue;
        functions[i].line = pirq_line[pci_pirq(bdf, functions[i].pin - 1u)];
        if (functions[i].vendor == 0x8086 && functions[i].device == PIIX4_PM)
            functions[i].line = SCI_LINE; /* wired, not steered */
        pci_write8(bdf, PCI_INTERRUPT_LINE, functions[i].line);
    }
}

void pci_init(void)
{
    find_functions();
    for (unsigned i = 0; i < function_count; i++)
        size_function(&functions[i]);
    place_all();
    route_interrupts();
}
