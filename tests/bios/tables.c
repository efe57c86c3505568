/*
 * What the firmware leaves in memory: BIOS data area, EBDA, $PIR, $PnP, _MP_, RSD PTR, _SM_.
 * Pointers and the texts that name a firmware are told by what they lead to. Sources: RBIL's memory
 * list; PCI IRQ Routing Table Specification 1.0; PnP BIOS Specification 1.0A; MP 1.4; ACPI 6.5
 * section 5.2; SMBIOS 5.2.1.
 */
#include "rt.h"

static void bda(void)
{
    static const struct {
        uint8_t at, bytes;
        const char *what;
    } fields[] = {
        {0x00, 8, "serial ports"},
        {0x08, 6, "printer ports"},
        {0x10, 2, "equipment"},
        {0x12, 1, "test"},
        {0x13, 2, "memory"},
        {0x15, 2, "scratch"},
        {0x17, 2, "keyboard flags"},
        {0x19, 1, "keypad"},
        {0x3e, 4, "diskettes"},
        {0x41, 1, "diskette status"},
        {0x49, 1, "mode"},
        {0x4a, 2, "columns"},
        {0x4c, 2, "page size"},
        {0x4e, 2, "page start"},
        {0x60, 2, "cursor"},
        {0x62, 1, "page"},
        {0x63, 2, "CRTC"},
        {0x65, 2, "mode control"},
        {0x67, 4, "reset vector"},
        {0x6b, 1, "stray interrupt"},
        {0x70, 1, "midnight"},
        {0x71, 1, "break"},
        {0x72, 2, "soft reset"},
        {0x74, 1, "disk status"},
        {0x75, 1, "disks"},
        {0x76, 2, "disk control"},
        {0x78, 4, "printer time-outs"},
        {0x7c, 4, "serial time-outs"},
        {0x80, 4, "keyboard buffer"},
        {0x84, 1, "rows"},
        {0x85, 2, "character height"},
        {0x87, 4, "EGA"},
        {0x8b, 1, "data rate"},
        {0x8c, 3, "disk interrupts"},
        {0x8f, 1, "diskette info"},
        {0x90, 6, "media state"},
        {0x96, 2, "keyboard"},
        {0x98, 9, "wait"},
        {0xb5, 1, "other"},
    };
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        part("BDA %02x %s -> ", fields[i].at, fields[i].what);
        dump(0x40, fields[i].at, fields[i].bytes);
        end_line();
    }
    say("BDA a8 save table -> %s", kind(peek16(0x40, 0xaa), peek16(0x40, 0xa8)));
    const uint16_t ebda = peek16(0x40, 0x0e);
    say("EBDA -> size=%d KiB, ends=%s 640 KiB, at=%s", peek8(ebda, 0),
        ebda + peek8(ebda, 0) * 64u == 0xa000 ? "at" : "not at",
        ebda >> 6 == peek16(0x40, 0x13) ? "40:13" : "another place than 40:13");
}

/* The text at a 16-byte boundary of [from, to); 0 when it is nowhere. */
static uint32_t find(const char *text, uint32_t from, uint32_t to)
{
    for (uint32_t at = from; at < to; at += 16) {
        unsigned i = 0;
        while (text[i] && peek8((uint16_t)(at >> 4), (uint16_t)(at & 15) + i) == (uint8_t)text[i])
            i++;
        if (!text[i])
            return at;
    }
    return 0;
}

static const char *where(uint32_t at)
{
    if (!at)
        return "none";
    const uint32_t ebda = (uint32_t)peek16(0x40, 0x0e) << 4;
    if (at >= ebda && at < 0xa0000)
        return at < ebda + 1024 ? "first KiB of EBDA" : "EBDA";
    return at >= 0xf0000 ? "F0000" : "E0000";
}

static void pir(void)
{
    const uint32_t at = find("$PIR", 0xf0000, 0x100000);
    say("$PIR -> %s", where(at));
    if (!at)
        return;
    const uint16_t seg = (uint16_t)(at >> 4);
    const uint16_t size = peek16(seg, 6);
    say("$PIR -> version=%04x size=%d sum=%02x", peek16(seg, 4), size, sum(seg, 0, size));
    part("$PIR header -> ");
    dump(seg, 8, 23);
    end_line();
    for (unsigned i = 32; i < size; i += 16) {
        part("$PIR slot %02x -> ", peek8(seg, (uint16_t)(i + 1)));
        dump(seg, (uint16_t)i, 16);
        end_line();
    }
}

static void pnp(void)
{
    const uint32_t at = find("$PnP", 0xf0000, 0x100000);
    say("$PnP -> %s", where(at));
    if (!at)
        return;
    const uint16_t seg = (uint16_t)(at >> 4);
    say("$PnP -> version=%02x length=%d control=%04x event=%08x sum=%02x oem=%08x", peek8(seg, 4),
        peek8(seg, 5), peek16(seg, 6), peek32(seg, 9), sum(seg, 0, peek8(seg, 5)),
        peek32(seg, 0x17));
    say("$PnP entries -> real=%s protected=%s data=%04x", kind(peek16(seg, 0xf), peek16(seg, 0xd)),
        peek32(seg, 0x13) >= 0xe0000 && peek32(seg, 0x13) < 0x100000 ? "rom" : "elsewhere",
        peek16(seg, 0x1b));
    /* Called with its words on the stack: RBIL, "PnP BIOS functions". Function 60h asks for the
     * BIOS boot's version. */
    for (unsigned function = 0; function <= 0x60; function += 0x20) {
        const uint16_t off = peek16(seg, 0x0d), cs = peek16(seg, 0x0f);
        uint32_t ax;
        asm volatile("pushw $0xf000\n pushw %%ss\n pushw $0\n pushw %%ss\n pushw $0\n pushw %w1\n"
                     "pushw %%cs\n pushw $1f\n pushw %w2\n pushw %w3\n lretw\n 1: addw $12, %%sp"
                     : "=a"(ax)
                     : "r"(function), "r"((uint32_t)cs), "r"((uint32_t)off)
                     : "ecx", "edx", "memory", "cc");
        say("$PnP function %02x -> ax=%04x", function, ax & 0xffff);
    }
}

static void mp(void)
{
    const uint32_t ebda = (uint32_t)peek16(0x40, 0x0e) << 4;
    uint32_t at = find("_MP_", ebda, ebda + 1024);
    if (!at)
        at = find("_MP_", 0xf0000, 0x100000);
    say("_MP_ -> %s", at ? "where it is looked for" : "none");
    if (!at)
        return;
    const uint16_t seg = (uint16_t)(at >> 4);
    say("_MP_ -> length=%d revision=%d features=%02x%02x sum=%02x", peek8(seg, 8), peek8(seg, 9),
        peek8(seg, 11), peek8(seg, 12), sum(seg, 0, 16));
    const uint32_t table = peek32(seg, 4);
    const uint16_t t = (uint16_t)(table >> 4), base = (uint16_t)(table & 15);
    if (table >= 0x100000)
        return say("PCMP -> above 1 MiB");
    const uint16_t length = peek16(t, base + 4);
    say("PCMP -> revision=%d sum=%02x entries=%d lapic=%08x oem table=%08x extended=%d",
        peek8(t, base + 6), sum(t, base, length), peek16(t, base + 0x22), peek32(t, base + 0x24),
        peek32(t, base + 0x1c), peek16(t, base + 0x28));
    part("PCMP product -> ");
    dump(t, base + 16, 12);
    end_line();
    uint16_t p = base + 44;
    for (unsigned i = 0; i < peek16(t, base + 0x22); i++) {
        const unsigned bytes = peek8(t, p) ? 8 : 20;
        part("PCMP entry %d -> ", i);
        dump(t, p, bytes);
        end_line();
        p = (uint16_t)(p + bytes);
    }
}

static uint8_t phys_sum(uint32_t at, uint32_t bytes)
{
    uint8_t s = 0;
    while (bytes--)
        s = (uint8_t)(s + phys8(at++));
    return s;
}

static void acpi_table(uint32_t at, const char *from)
{
    const uint32_t name = phys32(at), bytes = phys32(at + 4);
    say("%s -> %c%c%c%c length=%d revision=%d", from, (int)(name & 0xff), (int)(name >> 8 & 0xff),
        (int)(name >> 16 & 0xff), (int)(name >> 24), bytes, phys8(at + 8));
    if (name != 0x53434146) /* FACS has none */
        say("%s sum -> %02x", from, phys_sum(at, bytes));
}

static void acpi(void)
{
    const uint32_t ebda = (uint32_t)peek16(0x40, 0x0e) << 4;
    uint32_t at = find("RSD PTR ", ebda, ebda + 1024);
    if (!at)
        at = find("RSD PTR ", 0xe0000, 0x100000);
    say("RSD PTR -> %s", at ? "where it is looked for" : "none");
    if (!at)
        return;
    const uint16_t seg = (uint16_t)(at >> 4);
    const uint8_t revision = peek8(seg, 15);
    part("RSD PTR -> revision=%d sum=%02x", revision, sum(seg, 0, 20));
    if (revision >= 2)
        part(" length=%d extended sum=%02x", peek32(seg, 20), sum(seg, 0, peek32(seg, 20)));
    end_line();
    const uint32_t rsdt = peek32(seg, 16);
    acpi_table(rsdt, "RSDT");
    for (unsigned i = 0; i < (phys32(rsdt + 4) - 36) / 4 && i < 16; i++) {
        const uint32_t table = phys32(rsdt + 36 + 4 * i);
        acpi_table(table, "in RSDT");
        if (phys32(table) == 0x50434146) { /* FACP */
            acpi_table(phys32(table + 36), "FADT's FACS");
            acpi_table(phys32(table + 40), "FADT's DSDT");
        }
    }
}

static void smbios(void)
{
    const uint32_t at = find("_SM_", 0xf0000, 0x100000);
    const uint32_t at3 = find("_SM3_", 0xf0000, 0x100000);
    say("_SM_ -> %s", where(at));
    say("_SM3_ -> %s", where(at3));
    if (!at)
        return;
    const uint16_t seg = (uint16_t)(at >> 4);
    say("_SM_ -> length=%d version=%d.%d largest=%d sum=%02x dmi=%c sum=%02x count=%d bcd=%02x",
        peek8(seg, 5), peek8(seg, 6), peek8(seg, 7), peek16(seg, 8), sum(seg, 0, peek8(seg, 5)),
        peek8(seg, 16), sum(seg, 16, 15), peek16(seg, 0x1c), peek8(seg, 0x1e));
    uint32_t p = peek32(seg, 0x18);
    const uint32_t end = p + peek16(seg, 0x16);
    for (unsigned i = 0; i < peek16(seg, 0x1c) && p < end; i++) {
        const uint8_t type = phys8(p), length = phys8(p + 1);
        part("SMBIOS structure %d -> type=%d length=%d handle=%04x", i, type, length,
             phys8(p + 2) | (unsigned)phys8(p + 3) << 8);
        part(" strings=");
        for (p += length; phys8(p) || phys8(p + 1); p++)
            part("%c", phys8(p) == ' ' ? '_' : phys8(p) ? phys8(p) : '|');
        p += 2;
        end_line();
    }
    say("SMBIOS -> ends=%s", p == end ? "where it says" : "elsewhere");
}

void tables_group(void)
{
    bda();
    pir();
    pnp();
    mp();
    acpi();
    smbios();
}
