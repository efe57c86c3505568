/*
 * The PCI BIOS, INT 1Ah B1xxh and the 32-bit entry that BIOS32 finds. Sources: PCI BIOS
 * Specification 2.1; Standard BIOS 32-bit Service Directory Proposal 0.4.
 */
#include "rt.h"

/* Every call twice: by the interrupt, and by the entry when there is one. */
static uint32_t pci32;
#define BOTH(fmt, ...)                                     \
    do {                                                   \
        bios("1a " fmt, ##__VA_ARGS__);                    \
        if (pci32)                                         \
            bios_flat(pci32, "pci32 " fmt, ##__VA_ARGS__); \
    } while (0)

static void find_entry(void)
{
    for (uint32_t at = 0xe0000; at < 0x100000; at += 16) {
        const uint16_t seg = (uint16_t)(at >> 4);
        if (peek32(seg, 0) != 0x5f32335f)
            continue;
        const uint32_t bios32 = peek32(seg, 4);
        say("_32_ -> sum=%02x revision=%d length=%d entry=%s", sum(seg, 0, 16), peek8(seg, 8),
            peek8(seg, 9), bios32 >= 0xe0000 && bios32 < 0x100000 ? "rom" : "elsewhere");
        bios_flat(bios32, "bios32 eax=49435024 ebx=00000000 -> ~ebx ~ecx ~edx");
        if (!(regs.eax & 0xff)) {
            pci32 = regs.ebx + regs.edx;
            say("$PCI -> base=%s entry=%s inside=%d",
                regs.ebx >= 0xe0000 && regs.ebx < 0x100000 ? "rom" : "elsewhere",
                pci32 >= 0xe0000 && pci32 < 0x100000 ? "rom" : "elsewhere", regs.edx < regs.ecx);
        }
        bios_flat(bios32, "bios32 eax=41414141 ebx=00000000 -> ~ebx ~ecx ~edx");
        bios_flat(bios32, "bios32 eax=49435024 ebx=00000001 -> ~ebx ~ecx ~edx");
        return;
    }
    say("_32_ -> none");
}

static void find(void)
{
    BOTH("ax=b101 edi=00000000 -> cf ~edi");
    BOTH("ax=b102 cx=7000 dx=8086 si=0000 -> cf");
    BOTH("ax=b102 cx=7010 dx=8086 si=0000 -> cf");
    BOTH("ax=b102 cx=7010 dx=8086 si=0001 nc -> cf ~bx");
    BOTH("ax=b102 cx=1237 dx=8086 si=0000 -> cf");
    BOTH("ax=b102 cx=1111 dx=1234 si=0000 -> cf");
    BOTH("ax=b102 cx=ffff dx=ffff si=0000 nc -> cf ~bx");
    BOTH("ax=b102 cx=beef dx=8086 si=0000 nc -> cf ~bx");
    BOTH("ax=b103 ecx=00060000 si=0000 -> cf");
    BOTH("ax=b103 ecx=00060100 si=0000 -> cf");
    BOTH("ax=b103 ecx=00010180 si=0000 -> cf");
    BOTH("ax=b103 ecx=00030000 si=0000 -> cf");
    BOTH("ax=b103 ecx=00068000 si=0000 -> cf");
    BOTH("ax=b103 ecx=000c0300 si=0000 nc -> cf ~bx");
    BOTH("ax=b103 ecx=00060000 si=0001 nc -> cf ~bx");
    BOTH("ax=b103 ecx=00030000 si=ffff nc -> cf ~bx");
    BOTH("ax=b106 bh=00 edx=00000000 nc -> cf");
}

static void config(void)
{
    BOTH("ax=b108 bx=0008 di=0000 -> cf");
    BOTH("ax=b108 bx=0008 di=0003 -> cf");
    BOTH("ax=b109 bx=0008 di=0002 -> cf");
    BOTH("ax=b10a bx=0008 di=0000 -> cf");
    BOTH("ax=b10a bx=0008 di=0008 -> cf");
    BOTH("ax=b109 bx=0008 di=0001 nc -> cf ~cx");
    BOTH("ax=b10a bx=0008 di=0002 nc -> cf ~ecx");
    BOTH("ax=b10a bx=0008 di=0100 nc -> cf ~ecx");
    BOTH("ax=b108 bx=0008 di=0100 nc -> cf ~cl");
    BOTH("ax=b10a bx=00f8 di=0000 -> cf");
    BOTH("ax=b108 bx=00f8 di=0000 -> cf");
    BOTH("ax=b10a bx=0508 di=0000 -> cf");
    BOTH("ax=b10b bx=0010 cl=5a di=003c -> cf");
    BOTH("ax=b108 bx=0010 di=003c -> cf");
    BOTH("ax=b10c bx=0010 cx=00a5 di=003c -> cf");
    BOTH("ax=b108 bx=0010 di=003c -> cf");
    BOTH("ax=b10d bx=0010 ecx=00000033 di=003c -> cf");
    BOTH("ax=b10a bx=0010 di=003c -> cf");
    BOTH("ax=b10c bx=0010 cx=00a5 di=003d nc -> cf");
    BOTH("ax=b10d bx=0010 ecx=00000044 di=003e nc -> cf");
    BOTH("ax=b10d bx=0010 ecx=00000044 di=013c nc -> cf");
    BOTH("ax=b108 bx=0010 di=003c -> cf");
    /* What the firmware has set up: command, interrupt line and pin, bases. */
    static const uint16_t functions[] = {0x00, 0x08, 0x09, 0x0b, 0x10};
    for (unsigned i = 0; i < sizeof functions / 2; i++)
        for (unsigned reg = 4; reg < 0x40; reg += 4)
            if (reg != 8 && (reg != 0x3c || functions[i] != 0x10))
                bios("1a ax=b10a bx=%04x di=%04x -> cf", functions[i], reg);
    for (unsigned reg = 0x40; reg < 0x80; reg += 4) {
        bios("1a ax=b10a bx=0000 di=%04x -> cf", reg);
        bios("1a ax=b10a bx=0008 di=%04x -> cf", reg);
        bios("1a ax=b10a bx=0009 di=%04x -> cf", reg);
        bios("1a ax=b10a bx=000b di=%04x -> cf", reg);
    }
    bios("1a ax=b10a bx=000b di=0080 -> cf");
    bios("1a ax=b10a bx=000b di=0090 -> cf");
    bios("1a ax=b10a bx=000b di=00d0 -> cf");
}

static void routing(void)
{
    /* B10Eh: ES:DI has the buffer's size and address */
    poke16(BUFFER, 0, 0x400);
    poke16(BUFFER, 2, 0x100);
    poke16(BUFFER, 4, BUFFER);
    fill(BUFFER, 0x100, 0, 0x200);
    bios("1a ax=b10e bx=0000 di=0000 ds=f000 -> cf");
    const unsigned bytes = peek16(BUFFER, 0);
    const bool done = !(regs.flags & CF);
    say("1a ax=b10e -> size=%04x", bytes);
    for (unsigned at = 0; done && at < bytes && at < 0x200; at += 16) {
        part("1a ax=b10e entry %d -> ", at / 16);
        dump(BUFFER, (uint16_t)(0x100 + at), 16);
        end_line();
    }
    poke16(BUFFER, 0, 4);
    bios("too small: 1a ax=b10e bx=0000 di=0000 ds=f000 nc -> cf [3000:0000]+2");
    bios("1a ax=b10f bx=0010 cx=0b0a ds=f000 nc -> cf");
    BOTH("ax=b1ff nc -> cf");
    BOTH("ax=b100 nc -> cf");
}

void pci_group(void)
{
    find_entry();
    find();
    config();
    routing();
}
