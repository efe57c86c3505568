/*
 * INT 10h AH=4Fh. Which modes there are beyond VESA's own numbers is each video BIOS's affair: the
 * list is looked through for what a 16-MiB card of this kind must have. Source: VBE Core Functions
 * Standard 3.0.
 */
#include "rt.h"

static void controller(void)
{
    fill(BUFFER, 0, 0xcc, 512);
    bios("vbe 1: 10 ax=4f00 di=0000 es=3000 -> [3000:0000]+6 [3000:000a]+4 [3000:0012]+4");
    say("vbe 1 modes -> %s oem=%s written behind 256: %s",
        kind(peek16(BUFFER, 0x10), peek16(BUFFER, 0x0e)),
        kind(peek16(BUFFER, 8), peek16(BUFFER, 6)), peek8(BUFFER, 256) == 0xcc ? "no" : "yes");
    fill(BUFFER, 0, 0xcc, 512);
    poke32(BUFFER, 0, 0x32454256);
    bios("vbe 2: 10 ax=4f00 di=0000 es=3000 -> [3000:0000]+6 [3000:000a]+4 [3000:0012]+2");
    say("vbe 2 strings -> vendor=%s product=%s revision=%s modes=%s",
        kind(peek16(BUFFER, 0x18), peek16(BUFFER, 0x16)),
        kind(peek16(BUFFER, 0x1c), peek16(BUFFER, 0x1a)),
        kind(peek16(BUFFER, 0x20), peek16(BUFFER, 0x1e)),
        kind(peek16(BUFFER, 0x10), peek16(BUFFER, 0x0e)));
}

static uint32_t framebuffer(void)
{
    outl(0xcf8, 0x80001010); /* BAR 0 of 00:02.0 */
    return inl(0xcfc) & 0xfffffff0;
}

static void mode_info(unsigned mode)
{
    fill(BUFFER, 0x200, 0xcc, 256);
    bios("10 ax=4f01 cx=%04x di=0200 es=3000 ->", mode);
    if ((regs.eax & 0xffff) != 0x4f || !(peek16(BUFFER, 0x200) & 1))
        return;
    say("mode %x attributes -> %04x windows=%02x%02x granularity=%d size=%d segments=%04x,%04x",
        mode, peek16(BUFFER, 0x200), peek8(BUFFER, 0x202), peek8(BUFFER, 0x203),
        peek16(BUFFER, 0x204), peek16(BUFFER, 0x206), peek16(BUFFER, 0x208), peek16(BUFFER, 0x20a));
    say("mode %x function -> %s", mode, kind(peek16(BUFFER, 0x20e), peek16(BUFFER, 0x20c)));
    say("mode %x geometry -> pitch=%d %dx%d cell=%dx%d planes=%d bits=%d banks=%d model=%d "
        "banksize=%d pages=%d",
        mode, peek16(BUFFER, 0x210), peek16(BUFFER, 0x212), peek16(BUFFER, 0x214),
        peek8(BUFFER, 0x216), peek8(BUFFER, 0x217), peek8(BUFFER, 0x218), peek8(BUFFER, 0x219),
        peek8(BUFFER, 0x21a), peek8(BUFFER, 0x21b), peek8(BUFFER, 0x21c), peek8(BUFFER, 0x21d));
    part("mode %x masks -> ", mode);
    dump(BUFFER, 0x21f, 9);
    say(" framebuffer=%s", !peek32(BUFFER, 0x228)                   ? "none"
                           : peek32(BUFFER, 0x228) == framebuffer() ? "BAR 0"
                                                                    : "elsewhere");
    part("mode %x vbe 3 -> ", mode);
    dump(BUFFER, 0x232, 16);
    end_line();
}

static void modes(void)
{
    unsigned n = 0;
    uint16_t seg = peek16(BUFFER, 0x10), off = peek16(BUFFER, 0x0e);
    for (unsigned mode = 0x100; mode <= 0x11b; mode++)
        mode_info(mode);
    while (peek16(seg, off) != 0xffff && n < 256) {
        const unsigned mode = peek16(seg, off);
        bios_quiet("10 ax=4f01 cx=%04x di=0200 es=3000", mode);
        if ((regs.eax & 0xffff) == 0x4f && peek8(BUFFER, 0x21b) >= 4)
            say("in the list -> %dx%dx%d", peek16(BUFFER, 0x212), peek16(BUFFER, 0x214),
                peek8(BUFFER, 0x219));
        n++;
        off = (uint16_t)(off + 2);
    }
    mode_info(0x1ff);
    mode_info(0x000);
    mode_info(0x003);
    mode_info(0x012);
    mode_info(0x013);
}

static uint16_t dispi(uint16_t index)
{
    uint16_t v;
    asm volatile("outw %0, %1" ::"a"(index), "d"((uint16_t)0x1ce));
    asm volatile("inw %1, %0" : "=a"(v) : "d"((uint16_t)0x1cf));
    return v;
}

static void dispi_state(const char *what)
{
    part("%s -> dispi=", what);
    for (uint16_t i = 1; i <= 9; i++)
        part("%s%04x", i == 1 ? "" : ",", i == 4 ? dispi(i) & 0x41u : dispi(i));
    end_line();
}

static void in_mode(unsigned mode)
{
    bios("10 ax=4f02 bx=%04x ->", mode);
    if ((regs.eax & 0xffff) != 0x4f)
        return;
    dispi_state("set");
    bios("in %04x: 10 ax=4f03 ->", mode);
    bios("in %04x: 10 ah=0f -> ~al", mode);
    bios("in %04x: 10 ax=4f06 bx=0001 ->", mode);
    bios("in %04x: 10 ax=4f06 bx=0003 ->", mode);
    bios("in %04x: 10 ax=4f06 bx=0000 cx=0500 ->", mode);
    bios("in %04x: 10 ax=4f06 bx=0002 cx=1000 ->", mode);
    bios("in %04x: 10 ax=4f07 bx=0000 cx=0010 dx=0020 ->", mode);
    bios("in %04x: 10 ax=4f07 bx=0001 cx=0000 dx=0000 ->", mode);
    bios("in %04x: 10 ax=4f07 bx=0080 cx=0000 dx=0000 ->", mode);
    dispi_state("after 07h");
    bios("in %04x: 10 ax=4f05 bx=0000 dx=0001 ->", mode);
    bios("in %04x: 10 ax=4f05 bx=0100 ->", mode);
    bios("in %04x: 10 ax=4f05 bx=0001 dx=0001 ->", mode);
    bios("in %04x: 10 ax=4f05 bx=0000 dx=7000 ->", mode);
    bios("in %04x: 10 ax=4f05 bx=0000 dx=0000 ->", mode);
    bios("in %04x: 10 ax=4f08 bx=0800 ->", mode);
    bios("in %04x: 10 ax=4f08 bx=0001 ->", mode);
    bios("in %04x: 10 ax=4f08 bx=0600 ->", mode);
    bios("in %04x: 10 ax=4f08 bx=0002 ->", mode);
    for (unsigned i = 0; i < 8; i++)
        poke8(BUFFER, (uint16_t)(0x400 + i), (uint8_t)(i * 7));
    bios("in %04x: 10 ax=4f09 bx=0000 cx=0002 dx=0010 di=0400 es=3000 ->", mode);
    fill(BUFFER, 0x500, 0xcc, 16);
    bios("in %04x: 10 ax=4f09 bx=0001 cx=0002 dx=0010 di=0500 es=3000 -> [3000:0500]+8", mode);
    bios("in %04x: 10 ax=4f09 bx=0002 cx=0002 dx=0010 di=0400 es=3000 ->", mode);
    bios("in %04x: 10 ax=4f09 bx=0004 cx=0002 dx=0010 di=0400 es=3000 ->", mode);
}

static void save_and_restore(void)
{
    bios("10 ax=4f02 bx=4112 ->");
    for (unsigned i = 0; i <= 15; i++)
        bios("10 ax=4f04 dx=0000 cx=%04x ->", i);
    bios("10 ax=4f04 dx=0001 cx=000f bx=0000 es=4000 ->");
    bios("10 ax=0003 -> ~al");
    bios("10 ax=4f03 ->");
    bios("10 ax=4f04 dx=0002 cx=000f bx=0000 es=4000 ->");
    bios("10 ax=4f03 ->");
    dispi_state("restored");
    bios("10 ax=4f04 dx=0003 cx=000f ->");
}

void vbe_group(void)
{
    controller();
    modes();
    static const uint16_t set[] = {0x0101, 0x4101, 0xc101, 0x4103, 0x4111,
                                   0x4112, 0x4118, 0x0118, 0x4105};
    for (unsigned i = 0; i < sizeof set / 2; i++)
        in_mode(set[i]);
    bios("10 ax=4f02 bx=01ff ->");
    bios("10 ax=4f02 bx=0003 ->");
    bios("10 ax=4f03 ->");
    save_and_restore();
    bios("10 ax=4f0a bx=0000 -> ~cx ~di ~es");
    if ((regs.eax & 0xffff) == 0x4f)
        say("4f0a -> %s length=%s", kind(regs.es, (uint16_t)regs.edi),
            (uint16_t)regs.ecx ? "given" : "0");
    bios("10 ax=4f0a bx=0001 -> ~cx ~di ~es");
    bios("10 ax=4f0b bx=0000 ->");
    bios("10 ax=4f10 bx=0000 di=0000 es=0000 ->");
    bios("10 ax=4f10 bx=0001 ->");
    bios("10 ax=4f10 bx=0002 ->");
    bios("10 ax=4f15 bx=0000 cx=0000 di=0000 es=0000 ->");
    fill(BUFFER, 0x600, 0, 128);
    bios("10 ax=4f15 bx=0001 cx=0000 dx=0000 di=0600 es=3000 -> [3000:0600]+8");
    say("EDID sum -> %02x", sum(BUFFER, 0x600, 128));
    bios("10 ax=4fff ->");
    bios("10 ax=0003 -> ~al");
}
