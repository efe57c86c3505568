/*
 * See pci.h. PCI Local Bus Specification 3.0 ("PCI LB 3.0"), chapter 6 "Configuration Space".
 *
 * A base register that software pointed at RAM, at the end of the address space (as it does while
 * sizing with decoding left on) or at the configuration ports is not decoded there: memory BARs
 * lie below RAM in priority, as the host bridge answers for RAM before PCI sees the cycle; the rest
 * is refused in bar_target().
 *
 * Not modelled: bridges and further buses, capabilities beyond what an owner puts in config[],
 * parity and SERR#, latency timers.
 */
#include "devices/pci.h"

#include <stdio.h>

/* Type 00h header, PCI LB 3.0 §6.1 "Configuration Space Organization". */
enum {
    CFG_VENDOR = 0x00,
    CFG_DEVICE = 0x02,
    CFG_COMMAND = 0x04,
    CFG_STATUS = 0x06,
    CFG_REVISION = 0x08,
    CFG_CLASS = 0x09,
    CFG_CACHE_LINE = 0x0C,
    CFG_HEADER_TYPE = 0x0E,
    CFG_BAR0 = 0x10,
    CFG_SUBVENDOR = 0x2C,
    CFG_SUBSYSTEM = 0x2E,
    CFG_ROM = 0x30,
    CFG_IRQ_LINE = 0x3C,
    CFG_IRQ_PIN = 0x3D,
};

/* PCI LB 3.0 §6.2.2 "Device Control", table 6-1. */
enum {
    COMMAND_IO = BIT(0),
    COMMAND_MEM = BIT(1),
    COMMAND_MASTER = BIT(2),
    COMMAND_PERR = BIT(6),
    COMMAND_SERR = BIT(8),
    COMMAND_INTX_DISABLE = BIT(10),
};

/* PCI LB 3.0 §6.2.3 "Device Status": error bits 15..11 and 8 are cleared by writing 1. */
#define STATUS_INTERRUPT BIT(3)
#define STATUS_W1C       0xF900

/* PCI LB 3.0 §6.2.5.1 "Address Maps", §6.2.5.2 "Expansion ROM Base Address Register". */
#define BAR_IO       BIT(0)
#define BAR_64       BIT(2)
#define BAR_PREFETCH BIT(3)
#define ROM_ENABLE   BIT(0)

/* Below RAM (0) and all that the board decodes itself: those cycles never reach the PCI bus. */
#define PCI_PRIORITY (-1)

#define PHYS_LIMIT   BIT64(52)

void pci_bus_init(struct pci_bus *bus, struct iomap *io, struct memmap *mem, struct log *log)
{
    *bus = (struct pci_bus){.io = io, .mem = mem, .log = log};
}

static uint16_t command(const struct pci_device *pci)
{
    return ld16(pci->config + CFG_COMMAND);
}

void pci_device_init(struct pci_device *pci, struct pci_bus *bus, uint8_t devfn, uint16_t vendor,
                     uint16_t device, uint32_t class_code, uint8_t revision)
{
    assert(!bus->fn[devfn]);
    pci->bus = bus;
    pci->devfn = devfn;
    st16(pci->config + CFG_VENDOR, vendor);
    st16(pci->config + CFG_DEVICE, device);
    pci->config[CFG_REVISION] = revision;
    st_le(pci->config + CFG_CLASS, class_code, 3);
    st16(pci->wmask + CFG_COMMAND, COMMAND_IO | COMMAND_MEM | COMMAND_MASTER | COMMAND_PERR |
                                       COMMAND_SERR | COMMAND_INTX_DISABLE);
    st16(pci->w1cmask + CFG_STATUS, STATUS_W1C);
    pci->wmask[CFG_CACHE_LINE] = 0xFF;
    pci->wmask[CFG_IRQ_LINE] = 0xFF;
    bus->fn[devfn] = pci;
}

void pci_set_subsystem(struct pci_device *pci, uint16_t vendor, uint16_t id)
{
    st16(pci->config + CFG_SUBVENDOR, vendor);
    st16(pci->config + CFG_SUBSYSTEM, id);
}

void pci_set_irq_pin(struct pci_device *pci, uint8_t pin)
{
    assert(pin <= 4);
    pci->config[CFG_IRQ_PIN] = pin;
}

/* Gives BAR n its size: the address bits above it become writable, PCI LB 3.0 §6.2.5.1. */
static void bar_init(struct pci_device *pci, unsigned n, uint64_t size, uint32_t type)
{
    struct pci_bar *bar = &pci->bar[n];
    assert(n < PCI_BARS && !bar->size && size >= 4 && !(size & (size - 1)));
    assert(bar->is_64bit ? n + 1 < PCI_BARS && size <= PHYS_LIMIT / 2 : size <= 2 * GiB);
    bar->size = size;
    st32(pci->config + CFG_BAR0 + 4 * n, type);
    st_le(pci->wmask + CFG_BAR0 + 4 * n, ~(size - 1), bar->is_64bit ? 8 : 4);
}

void pci_add_io_bar(struct pci_device *pci, unsigned n, const char *name, const struct io_ops *ops,
                    void *opaque, uint32_t size)
{
    assert(size <= 65536);
    pci->bar[n].is_io = true;
    pci->bar[n].io = (struct io_region){.name = name, .ops = ops, .opaque = opaque};
    bar_init(pci, n, size, BAR_IO);
}

void pci_add_mem_bar(struct pci_device *pci, unsigned n, bool is_64bit, bool prefetchable)
{
    assert(pci->bar[n].mem.size >= 16);
    pci->bar[n].is_64bit = is_64bit;
    pci->bar[n].prefetchable = prefetchable;
    bar_init(pci, n, pci->bar[n].mem.size,
             (is_64bit ? BAR_64 : 0) | (prefetchable ? BAR_PREFETCH : 0));
}

void pci_add_rom(struct pci_device *pci)
{
    const uint64_t size = pci->rom.size;
    assert(size >= 2 * KiB && size <= 16 * MiB && !(size & (size - 1)));
    st32(pci->wmask + CFG_ROM, ~((uint32_t)size - 1) | ROM_ENABLE);
}

/* May [at, at+size) be decoded? Not at 0 (unset), nor where sizing with all ones leads. */
static bool memory_target_ok(uint64_t at, uint64_t size)
{
    const uint64_t last = at + size - 1;
    return at && last > at && last != UINT32_MAX && last < PHYS_LIMIT;
}

/* Where the registers say BAR n shall be decoded; false: nowhere. */
static bool bar_target(const struct pci_device *pci, unsigned n, uint64_t *at)
{
    const struct pci_bar *bar = &pci->bar[n];
    const uint8_t *reg = pci->config + CFG_BAR0 + 4 * n;
    if (bar->is_io) {
        *at = ld32(reg) & ~UINT32_C(3);
        const uint64_t end = *at + bar->size;
        const bool hides_config_ports = *at < 0xD00 && end > 0xCF8;
        return (command(pci) & COMMAND_IO) && *at && end <= 65536 && !hides_config_ports;
    }
    *at = ld_le(reg, bar->is_64bit ? 8 : 4) & ~UINT64_C(15);
    return (command(pci) & COMMAND_MEM) && memory_target_ok(*at, bar->size);
}

static void move_bar(struct pci_device *pci, unsigned n)
{
    struct pci_bar *bar = &pci->bar[n];
    uint64_t at = 0;
    const bool want = bar->size && bar_target(pci, n, &at);
    if (want == bar->mapped && (!want || at == bar->at))
        return;
    if (bar->mapped) {
        if (bar->is_io)
            iomap_del(pci->bus->io, &bar->io);
        else
            memmap_del(pci->bus->mem, &bar->mem);
    }
    bar->mapped = want;
    bar->at = want ? at : 0;
    if (!want)
        return;
    if (bar->is_io)
        iomap_add(pci->bus->io, &bar->io, (uint16_t)at, (uint32_t)bar->size);
    else
        memmap_add(pci->bus->mem, &bar->mem, at, PCI_PRIORITY);
}

static void move_rom(struct pci_device *pci)
{
    const uint32_t reg = ld32(pci->config + CFG_ROM);
    const uint64_t at = reg & ~UINT32_C(0x7FF);
    const bool want = pci->rom.size && (reg & ROM_ENABLE) && (command(pci) & COMMAND_MEM) &&
                      memory_target_ok(at, pci->rom.size);
    if (want == pci->rom_mapped && (!want || at == pci->rom_at))
        return;
    if (pci->rom_mapped)
        memmap_del(pci->bus->mem, &pci->rom);
    pci->rom_mapped = want;
    pci->rom_at = want ? at : 0;
    if (want)
        memmap_add(pci->bus->mem, &pci->rom, at, PCI_PRIORITY);
}

static void update_mappings(struct pci_device *pci)
{
    memmap_begin(pci->bus->mem);
    for (unsigned n = 0; n < PCI_BARS; n++)
        move_bar(pci, n);
    move_rom(pci);
    memmap_end(pci->bus->mem);
}

/* Is the function's INTx# pin driven? PCI LB 3.0 §6.2.2, bit 10 "Interrupt Disable". */
static bool intx_driven(const struct pci_device *pci)
{
    return pci->irq_level && pci->config[CFG_IRQ_PIN] && !(command(pci) & COMMAND_INTX_DISABLE);
}

static unsigned pirq_of(const struct pci_device *pci)
{
    return ((pci->devfn >> 3) - 1u + pci->config[CFG_IRQ_PIN] - 1u) & 3;
}

/* The pin was driven (or not) before a change: tells the router if the wired-OR changed. */
static void update_irq(struct pci_device *pci, bool was_driven)
{
    const bool driven = intx_driven(pci);
    if (driven == was_driven)
        return;
    struct pci_bus *bus = pci->bus;
    const unsigned pirq = pirq_of(pci);
    bus->pirq_count[pirq] += driven ? 1 : -1;
    assert(bus->pirq_count[pirq] >= 0);
    if (bus->set_pirq)
        bus->set_pirq(bus->pirq_opaque, pirq, bus->pirq_count[pirq] > 0);
}

void pci_set_irq(struct pci_device *pci, int level)
{
    const bool was_driven = intx_driven(pci);
    pci->irq_level = level != 0;
    /* The status bit shows the level whether or not the pin may show it, §6.2.3. */
    if (level)
        pci->config[CFG_STATUS] |= STATUS_INTERRUPT;
    else
        pci->config[CFG_STATUS] &= (uint8_t)~STATUS_INTERRUPT;
    update_irq(pci, was_driven);
}

bool pci_bus_master_enabled(const struct pci_device *pci)
{
    return command(pci) & COMMAND_MASTER;
}

static bool access_ok(unsigned offset, unsigned size)
{
    return (size == 1 || size == 2 || size == 4) && offset <= PCI_CONFIG_BYTES - size;
}

uint32_t pci_config_read(struct pci_bus *bus, uint8_t devfn, unsigned offset, unsigned size)
{
    struct pci_device *pci = bus->fn[devfn];
    if (!pci || !access_ok(offset, size))
        return size < 4 ? BIT(8 * size) - 1 : UINT32_MAX; /* master abort, §6.1 */
    if (pci->config_reading)
        pci->config_reading(pci, offset, size);
    return (uint32_t)ld_le(pci->config + offset, size);
}

static bool touches(unsigned offset, unsigned size, unsigned start, unsigned len)
{
    return offset < start + len && start < offset + size;
}

void pci_config_write(struct pci_bus *bus, uint8_t devfn, unsigned offset, uint32_t value,
                      unsigned size)
{
    struct pci_device *pci = bus->fn[devfn];
    if (!pci || !access_ok(offset, size))
        return;
    const bool was_driven = intx_driven(pci);
    for (unsigned i = 0; i < size; i++) {
        const unsigned at = offset + i;
        const uint8_t byte = (uint8_t)(value >> (8 * i));
        const uint8_t kept = pci->config[at] & ~(byte & pci->w1cmask[at]);
        pci->config[at] = (uint8_t)((kept & ~pci->wmask[at]) | (byte & pci->wmask[at]));
    }
    if (touches(offset, size, CFG_COMMAND, 2)) {
        update_mappings(pci);
        update_irq(pci, was_driven);
    } else if (touches(offset, size, CFG_BAR0, 4 * PCI_BARS) || touches(offset, size, CFG_ROM, 4)) {
        update_mappings(pci);
    }
    if (pci->config_written)
        pci->config_written(pci, offset, size);
}

/*
 * PCI LB 3.0 §4.3.2 "Reset", §6.2.2: a function comes out of RST# logically disconnected. Takes its
 * own regions off the maps and its own pin off the wired-OR: falling levels disturb nobody, so this
 * may be done in the first step of a reset.
 */
void pci_device_reset(struct pci_device *pci)
{
    pci_set_irq(pci, 0);
    st16(pci->config + CFG_COMMAND, 0);
    st16(pci->config + CFG_STATUS, ld16(pci->config + CFG_STATUS) & ~STATUS_W1C);
    pci->config[CFG_CACHE_LINE] = 0;
    pci->config[CFG_IRQ_LINE] = 0;
    for (unsigned i = CFG_BAR0; i < CFG_BAR0 + 4 * PCI_BARS; i++)
        pci->config[i] &= (uint8_t)~pci->wmask[i];
    st32(pci->config + CFG_ROM, 0);
    update_mappings(pci);
}

/* What no guest can have changed must be in the file as it is here: identity, class, BAR types. */
static bool config_plausible(const struct pci_device *pci, const uint8_t *config)
{
    for (unsigned i = 0; i < 0x40; i++) {
        if (i >= CFG_COMMAND && i < CFG_REVISION)
            continue;
        if ((config[i] ^ pci->config[i]) & (uint8_t)~pci->wmask[i])
            return false;
    }
    return true;
}

void pci_device_state(struct pci_device *pci, struct state *s)
{
    const bool was_driven = intx_driven(pci);
    uint8_t config[PCI_CONFIG_BYTES];
    uint8_t level = (uint8_t)pci->irq_level;
    memcpy(config, pci->config, sizeof config);
    state_bytes(s, "config", config, sizeof config);
    state_u8(s, "irq_level", &level);
    if (!state_loading(s))
        return;
    state_check(s, config_plausible(pci, config), "config");
    state_check(s, level <= 1, "irq_level");
    if (s->err.msg[0])
        return;
    memcpy(pci->config, config, sizeof config);
    pci->irq_level = level;
    /* The router restores its own levels; only the count behind the wired-OR is derived here. */
    pci->bus->pirq_count[pirq_of(pci)] += (int)intx_driven(pci) - (int)was_driven;
    update_mappings(pci);
}

static const char *class_name(uint32_t class_code)
{
    static const struct {
        uint16_t code;
        const char *name;
    } names[] = {
        {0x0100, "SCSI controller"},
        {0x0101, "IDE controller"},
        {0x0106, "SATA controller"},
        {0x0108, "NVMe controller"},
        {0x0200, "Ethernet controller"},
        {0x0300, "VGA controller"},
        {0x0401, "Audio controller"},
        {0x0600, "Host bridge"},
        {0x0601, "ISA bridge"},
        {0x0604, "PCI bridge"},
        {0x0680, "Bridge"},
        {0x0C03, "USB controller"},
        {0x0C05, "SMBus"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (names[i].code == class_code >> 8)
            return names[i].name;
    return "Class";
}

static void print_bar(const struct pci_device *pci, unsigned n, void (*line)(void *, const char *),
                      void *opaque)
{
    const struct pci_bar *bar = &pci->bar[n];
    char text[128];
    if (!bar->mapped)
        snprintf(text, sizeof text, "      BAR%u: %s, %#llx bytes, not decoded", n,
                 bar->is_io ? "I/O" : "memory", (unsigned long long)bar->size);
    else
        snprintf(text, sizeof text, "      BAR%u: %s%s at 0x%llx [0x%llx]", n,
                 bar->is_io      ? "I/O"
                 : bar->is_64bit ? "64 bit memory"
                                 : "32 bit memory",
                 bar->prefetchable ? ", prefetchable," : "", (unsigned long long)bar->at,
                 (unsigned long long)(bar->at + bar->size - 1));
    line(opaque, text);
}

static void print_function(const struct pci_device *pci, void (*line)(void *, const char *),
                           void *opaque)
{
    const uint8_t *config = pci->config;
    char text[128];
    snprintf(text, sizeof text, "  Bus  0, device %3u, function %u:", pci->devfn >> 3,
             pci->devfn & 7);
    line(opaque, text);
    const uint32_t class_code = (uint32_t)ld_le(config + CFG_CLASS, 3);
    snprintf(text, sizeof text, "    %s (%06x): PCI device %04x:%04x revision %02x \"%s\"",
             class_name(class_code), class_code, ld16(config + CFG_VENDOR),
             ld16(config + CFG_DEVICE), config[CFG_REVISION], pci->dev.name ? pci->dev.name : "");
    line(opaque, text);
    snprintf(text, sizeof text, "      PCI subsystem %04x:%04x, command %04x, status %04x",
             ld16(config + CFG_SUBVENDOR), ld16(config + CFG_SUBSYSTEM), command(pci),
             ld16(config + CFG_STATUS));
    line(opaque, text);
    if (config[CFG_IRQ_PIN]) {
        snprintf(text, sizeof text, "      IRQ %u, pin %c, %s", config[CFG_IRQ_LINE],
                 'A' + config[CFG_IRQ_PIN] - 1, pci->irq_level ? "asserted" : "idle");
        line(opaque, text);
    }
    for (unsigned n = 0; n < PCI_BARS; n++)
        if (pci->bar[n].size)
            print_bar(pci, n, line, opaque);
    if (pci->rom.size) {
        snprintf(text, sizeof text, "      ROM: %#llx bytes, %s 0x%llx",
                 (unsigned long long)pci->rom.size, pci->rom_mapped ? "at" : "not decoded,",
                 (unsigned long long)pci->rom_at);
        line(opaque, text);
    }
}

void pci_print(struct pci_bus *bus, void (*line)(void *, const char *), void *opaque)
{
    for (unsigned devfn = 0; devfn < ARRAY_SIZE(bus->fn); devfn++)
        if (bus->fn[devfn])
            print_function(bus->fn[devfn], line, opaque);
}
