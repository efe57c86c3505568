/* Memory: INT 15h 87h, 88h, 24xxh, 8Ah, C7h, DA88h, E801h, E881h, E820h. Sources: RBIL; ACPI 6.5
 * section 15. */
#include "rt.h"

static void map(void)
{
    uint32_t next = 0, size = 0;
    unsigned i = 0;
    do {
        fill(BUFFER, 0, 0xcc, 32);
        bios_quiet("15 eax=0000e820 ebx=%x ecx=14 edx=534d4150 di=0000", next);
        if (regs.flags & CF) {
            say("E820 entry %d -> cf=1", i);
            return;
        }
        size = regs.ecx;
        part("E820 entry %d -> base=%08x%08x length=%08x%08x type=%d", i, peek32(BUFFER, 4),
             peek32(BUFFER, 0), peek32(BUFFER, 12), peek32(BUFFER, 8), peek32(BUFFER, 16));
        say(" size=%d eax=%08x behind=%02x", size, regs.eax, peek8(BUFFER, 20));
        next = regs.ebx;
        i++;
    } while (next && i < 64);
    say("E820 -> entries=%d end=%s", i, next ? "none" : "ebx");
}

static void descriptor(uint16_t off, uint32_t base, uint32_t limit, uint8_t access)
{
    poke16(BUFFER, off, (uint16_t)limit);
    poke32(BUFFER, (uint16_t)(off + 2), base & 0xffffff);
    poke8(BUFFER, (uint16_t)(off + 5), access);
    poke8(BUFFER, (uint16_t)(off + 6), (uint8_t)(limit >> 16));
    poke8(BUFFER, (uint16_t)(off + 7), (uint8_t)(base >> 24));
}

/* The table for 87h at BUFFER:0: the source's descriptor at 10h, the destination's at 18h. */
static void move(const char *what, uint32_t from, uint32_t to, unsigned how_many)
{
    fill(BUFFER, 0, 0, 48);
    descriptor(0x10, from, 0xffff, 0x93);
    descriptor(0x18, to, 0xffff, 0x93);
    bios("%s: 15 ah=87 cx=%04x si=0000 es=3000 -> cf ~al", what, how_many);
}

static void moves(void)
{
    for (unsigned i = 0; i < 64; i++)
        poke8(BUFFER, (uint16_t)(0x100 + i), (uint8_t)(i * 7 + 1));
    move("up", BUFFER * 16 + 0x100, 0x200000, 16);
    say("15 ah=87 up -> at 2 MiB %08x %08x", phys32(0x200000), phys32(0x20001c));
    fill(BUFFER, 0x200, 0, 64);
    move("down", 0x200000, BUFFER * 16 + 0x200, 16);
    part("15 ah=87 down -> ");
    dump(BUFFER, 0x200, 34);
    end_line();
    move("none", 0x200000, BUFFER * 16 + 0x300, 0);
    move("8000h words", 0x200000, 0x300000, 0x8000);
    say("15 ah=87 64 KiB -> %08x", phys32(0x300000));
    move("above 16 MiB", BUFFER * 16 + 0x100, 0x2000000, 16);
    say("15 ah=87 above 16 MiB -> %08x", phys32(0x2000000));
}

/* The two addresses that are one while A20 is forced to 0: vector FEh, whose bytes nobody uses, and
 * 1 MiB above it. */
static const char *line_20(void)
{
    const uint32_t old = peek32(0, 0x3f8);
    poke32(0, 0x3f8, 0x11111111);
    const uint32_t above = peek32(0xffff, 0x408);
    poke32(0, 0x3f8, 0x22222222);
    const bool same = above == 0x11111111 && peek32(0xffff, 0x408) == 0x22222222;
    poke32(0, 0x3f8, old);
    return same ? "off" : "on";
}

static void gate_a20(void)
{
    say("A20 at boot -> %s", line_20());
    bios("15 ax=2402 -> cf");
    bios("15 ax=2403 -> cf");
    bios("15 ax=2400 -> cf");
    say("A20 after 2400h -> %s", line_20());
    bios("15 ax=2402 -> cf");
    bios("15 ax=2401 -> cf");
    say("A20 after 2401h -> %s", line_20());
    bios("15 ax=2402 -> cf");
    bios("15 ax=2404 nc -> cf");
    bios("15 ax=2400 -> cf");
    move("A20 off", BUFFER * 16 + 0x100, 0x300000, 16);
    say("A20 after 87h -> %s", line_20());
    bios("15 ax=2401 -> cf");
    say("15 ah=87 with A20 off -> %08x", phys32(0x300000));
}

void memory_group(void)
{
    bios("12 ->");
    map();
    bios("15 eax=0000e820 ebx=0 ecx=18 edx=534d4150 di=0100 -> cf ~ebx");
    bios("15 eax=0000e820 ebx=0 ecx=40 edx=534d4150 di=0100 -> cf ~ebx");
    bios("15 eax=0000e820 ebx=0 ecx=13 edx=534d4150 di=0100 nc -> cf ~ebx");
    bios("15 eax=0000e820 ebx=0 ecx=14 edx=534d4151 di=0100 nc -> cf");
    bios("15 eax=0000e820 ebx=1000 ecx=14 edx=534d4150 di=0100 nc -> cf");
    bios("15 eax=1234e820 ebx=0 ecx=14 edx=534d4150 di=0100 nc -> cf ~ebx");
    bios("15 ax=e801 -> cf");
    bios("15 eax=e801 ebx=0 ecx=0 edx=0 -> cf");
    bios("15 ax=e881 nc -> cf");
    bios("15 ah=88 -> cf");
    bios("15 ax=8a00 nc -> cf");
    bios("15 ax=c700 nc -> cf");
    bios("15 ax=da88 nc -> cf");
    moves();
    gate_a20();
}
