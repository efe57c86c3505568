/*
 * The adapter: Bochs' display interface (ports 1CEh, 1CFh) and its PCI function, of which BAR 0 is
 * the linear framebuffer and BAR 2 begins with an EDID.
 */
#include "vga.h"

enum { ADAPTER_ID = 0x11111234, BAR0 = 0x10, BAR2 = 0x18, COMMAND = 4, COMMAND_MEMORY = 2 };

/* Where it is, found when the ROM is initialised. Not right where the image could not be written.
 */
static ROM_VARIABLE uint16_t adapter_bdf;

/* What the display said then; all zeros if there was none. */
ROM_VARIABLE uint8_t edid[128] __attribute__((aligned(128)));

void read_edid(uint32_t gpa, uint16_t to); /* rom.S */
bool flat_copy(uint32_t to, uint32_t from, uint32_t bytes);

static uint32_t interrupts_off(void)
{
    uint32_t flags;
    __asm__ volatile("pushfl\n\tpopl %0\n\tcli" : "=r"(flags) : : "memory");
    return flags;
}

static void interrupts_back(uint32_t flags)
{
    __asm__ volatile("pushl %0\n\tpopfl" : : "r"(flags) : "memory", "cc");
}

static uint32_t config(uint16_t bdf, uint8_t offset)
{
    const uint32_t before = inl(0xcf8); /* we may have interrupted somebody who uses it */
    outl(0xcf8, 0x80000000u | (uint32_t)bdf << 8 | offset);
    const uint32_t value = inl(0xcfc);
    outl(0xcf8, before);
    return value;
}

/* On bus 0, if it is not where it was. */
static uint16_t find_adapter(void)
{
    if (config(adapter_bdf, 0) == ADAPTER_ID)
        return adapter_bdf;
    for (uint16_t bdf = 0; bdf < 256; bdf++)
        if (config(bdf, 0) == ADAPTER_ID)
            return bdf;
    return 0xffff;
}

bool dispi_present(void)
{
    return (dispi_read(DISPI_ID) & 0xfff0) == 0xb0c0;
}

uint32_t framebuffer(void)
{
    const uint16_t bdf = find_adapter();
    return bdf == 0xffff ? 0 : config(bdf, BAR0) & ~15u;
}

static bool protected_mode(void)
{
    uint32_t msw;
    __asm__ volatile("smsww %w0" : "=r"(msw));
    return msw & 1;
}

void adapter_init(uint16_t bdf)
{
    adapter_bdf = bdf;
    adapter_bdf = find_adapter();
    const uint32_t registers = config(adapter_bdf, BAR2) & ~15u;
    /* Virtual-8086 mode counts as protected: there the mode is not ours to change. */
    if (adapter_bdf == 0xffff || !registers || protected_mode() ||
        !(config(adapter_bdf, COMMAND) & COMMAND_MEMORY))
        return;
    const uint32_t flags = interrupts_off();
    read_edid(registers, (uint16_t)(uint32_t)edid);
    interrupts_back(flags);
}

/* In pieces, so that interrupts need not wait long. */
bool framebuffer_copy(uint32_t to, uint32_t from, uint32_t bytes)
{
    enum { PIECE = 0x4000 };
    const uint32_t base = framebuffer();
    if (!base || protected_mode() || (to | from | bytes) & 3)
        return false;
    while (bytes) {
        const uint32_t n = bytes < PIECE ? bytes : PIECE;
        const uint32_t flags = interrupts_off();
        const bool copied = flat_copy(base + to, base + from, n);
        interrupts_back(flags);
        if (!copied)
            return false;
        to += n;
        from += n;
        bytes -= n;
    }
    return true;
}
