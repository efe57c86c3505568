/*
 * INT 10h but for VBE. Screens are compared by a hash of video memory, mode by mode. Sources: RBIL,
 * "INT 10"; IBM PS/2 BIOS Interface Technical Reference, "INT 10H"; VGA.
 */
#include "rt.h"

static void vga_state(const char *what)
{
    part("%s -> bda=", what);
    dump(0x40, 0x49, 0x1e);
    part(" rows=");
    dump(0x40, 0x84, 7);
    end_line();
}

static uint8_t vga_reg(uint16_t port, uint8_t index)
{
    if (port == 0x3c0) {
        inb(0x3da);
        outb(0x3c0, index);
        const uint8_t v = inb(0x3c1);
        inb(0x3da);
        outb(0x3c0, 0x20);
        return v;
    }
    outb(port, index);
    return inb((uint16_t)(port + 1));
}

static void vga_registers(const char *what)
{
    const uint8_t misc = inb(0x3cc);
    const uint16_t crtc = misc & 1 ? 0x3d4 : 0x3b4;
    part("%s -> misc=%02x seq=", what, misc);
    for (unsigned i = 0; i < 5; i++)
        part("%02x", vga_reg(0x3c4, (uint8_t)i));
    part(" crtc=");
    for (unsigned i = 0; i < 0x19; i++)
        part("%02x", vga_reg(crtc, (uint8_t)i));
    part(" gc=");
    for (unsigned i = 0; i < 9; i++)
        part("%02x", vga_reg(0x3ce, (uint8_t)i));
    part(" attr=");
    for (unsigned i = 0; misc & 1 && i < 0x15; i++)
        part("%02x", vga_reg(0x3c0, (uint8_t)i));
    end_line();
}

/* Red, green and blue of a part of the palette. */
static void palette(const char *what, unsigned first, unsigned n)
{
    uint32_t h = 0;
    outb(0x3c7, (uint8_t)first);
    for (unsigned i = 0; i < 3 * n; i++)
        h = hash_step(h, inb(0x3c9));
    say("%s palette %02x+%x -> %08x", what, first, n, h);
}

static uint16_t screen_segment(unsigned mode)
{
    return mode == 7 ? 0xb000 : mode <= 6 ? 0xb800 : 0xa000;
}

static void screen(const char *what, unsigned mode)
{
    say("%s -> screen=%08x", what,
        hash(screen_segment(mode), 0,
             mode >= 0x0d ? 0x10000
             : mode == 6  ? 0x4000
                          : 0x4000));
}

static void text(const char *what, unsigned row, unsigned cells)
{
    part("%s -> ", what);
    dump(0xb800, (uint16_t)(row * 160), cells * 2);
    end_line();
}

/* --- modes --- */

static void drawing(unsigned mode, unsigned pages)
{
    bios("mode %02x: 10 ax=0e41 bx=0007 ->", mode);
    bios("mode %02x: 10 ah=02 bh=00 dx=0203 ->", mode);
    bios("mode %02x: 10 ah=03 bh=00 ->", mode);
    bios("mode %02x: 10 ax=0942 bx=0002 cx=0003 ->", mode);
    bios("mode %02x: 10 ax=0a43 bx=0003 cx=0001 ->", mode);
    bios("mode %02x: 10 ah=08 bh=00 ->", mode);
    screen("text", mode);
    if (mode >= 4 && mode != 7) {
        bios("mode %02x: 10 ax=0c01 bh=00 cx=0010 dx=0009 ->", mode);
        bios("mode %02x: 10 ah=0d al=00 bh=00 cx=0010 dx=0009 -> ~ah", mode);
        bios("mode %02x: 10 ax=0c83 bh=00 cx=0010 dx=0009 ->", mode);
        bios("mode %02x: 10 ah=0d al=00 bh=00 cx=0010 dx=0009 -> ~ah", mode);
        bios("mode %02x: 10 ax=0944 bx=0081 cx=0001 ->", mode);
        screen("pixels", mode);
    }
    bios("mode %02x: 10 ax=0601 bh=01 cx=0000 dx=0f13 ->", mode);
    screen("scrolled up", mode);
    bios("mode %02x: 10 ax=0702 bh=02 cx=0102 dx=0a10 ->", mode);
    screen("scrolled down", mode);
    bios("mode %02x: 10 ax=0600 bh=00 cx=0000 dx=1827 ->", mode);
    screen("cleared", mode);
    for (unsigned page = 1; page < pages; page++)
        bios("mode %02x: 10 ah=02 bh=%02x dx=%04x ->", mode, page, 0x100 * page + page);
    bios("mode %02x: 10 ax=0501 ->", mode);
    vga_state("page 1");
    bios("mode %02x: 10 ah=0f ->", mode);
    bios("mode %02x: 10 ah=03 bh=01 ->", mode);
    bios("mode %02x: 10 ax=0500 ->", mode);
}

static void modes(void)
{
    static const uint8_t list[] = {0,    1,    2,    3,    4,    5,    6,   7,
                                   0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13};
    for (unsigned i = 0; i < sizeof list; i++) {
        const unsigned mode = list[i];
        bios("10 ah=00 al=%02x -> ~al", mode);
        bios("mode %02x: 10 ah=0f ->", mode);
        vga_state("mode");
        vga_registers("registers");
        palette("mode", 0, 256);
        screen("mode", mode);
        bios("mode %02x: 10 ax=1130 bh=00 -> @es:bp", mode);
        bios("mode %02x: 10 ax=1130 bh=01 -> @es:bp", mode);
        drawing(mode, mode < 4 ? 4 : mode == 7 ? 2 : 1);
        poke8(screen_segment(mode), 0x10, 0x5a);
        bios("10 ah=00 al=%02x -> ~al", mode | 0x80);
        say("not cleared -> %02x", peek8(screen_segment(mode), 0x10));
        bios("mode %02x: 10 ah=0f ->", mode | 0x80);
    }
    bios("10 ax=0003 -> ~al");
    bios("10 ax=0055 -> ~al");
    bios("10 ah=0f ->");
    bios("10 ax=0008 -> ~al");
    bios("10 ah=0f ->");
    bios("10 ax=0003 -> ~al");
}

/* --- text --- */

static void cursor(void)
{
    static const uint16_t shapes[] = {0x0607, 0x0007, 0x2000, 0x0d0e,
                                      0x0200, 0x0f00, 0x0506, 0x0406};
    bios("10 ah=03 bh=00 ->");
    for (unsigned i = 0; i < sizeof shapes / 2; i++) {
        bios("10 ah=01 al=03 cx=%04x ->", shapes[i]);
        say("CRTC cursor -> %02x%02x bda=%04x", vga_reg(0x3d4, 0x0a), vga_reg(0x3d4, 0x0b),
            peek16(0x40, 0x60));
        bios("10 ah=03 bh=00 ->");
    }
    bios("10 ah=01 al=03 cx=0607 ->");
    bios("10 ah=02 bh=00 dx=0510 ->");
    say("CRTC position -> %02x%02x", vga_reg(0x3d4, 0x0e), vga_reg(0x3d4, 0x0f));
    bios("10 ah=02 bh=03 dx=0102 ->");
    bios("10 ah=03 bh=03 ->");
    bios("10 ah=03 bh=00 ->");
    bios("10 ah=02 bh=00 dx=6080 ->"); /* off the screen: a way to hide it */
    bios("10 ah=03 bh=00 ->");
    bios("10 ah=02 bh=09 dx=0000 ->");
    bios("10 ah=03 bh=09 ->");
    bios("10 ah=02 bh=00 dx=0000 ->");
    bios("10 ah=04 ->");
}

static void teletype(void)
{
    bios("10 ax=0003 -> ~al");
    static const char hello[] = "Ab\r\n\tc\bd";
    for (unsigned i = 0; i < sizeof hello - 1; i++)
        bios("10 ah=0e al=%02x bx=0007 ->", (unsigned char)hello[i]);
    text("teletype", 0, 4);
    text("teletype", 1, 4);
    bios("10 ah=03 bh=00 ->");
    bios("end of line: 10 ah=02 bh=00 dx=024f ->");
    bios("10 ax=0e58 bx=0007 ->");
    bios("10 ah=03 bh=00 ->");
    bios("end of screen: 10 ah=02 bh=00 dx=184f ->");
    bios("10 ax=0920 bx=004e cx=0001 ->");
    bios("10 ax=0e59 bx=0007 ->");
    bios("10 ah=03 bh=00 ->");
    text("scrolled", 23, 80);
    text("scrolled", 24, 4);
    bios("10 ax=0e0a bx=0007 ->");
    bios("10 ah=03 bh=00 ->");
    bios("bell: 10 ax=0e07 bx=0007 ->");
    bios("backspace at 0: 10 ah=02 bh=00 dx=0300 ->");
    bios("10 ax=0e08 bx=0007 ->");
    bios("10 ah=03 bh=00 ->");
    bios("page 2: 10 ah=02 bh=02 dx=0000 ->");
    bios("10 ax=0e5a bx=0200 ->");
    bios("10 ah=03 bh=02 ->");
    bios("10 ah=03 bh=00 ->");
    say("page 2 -> %04x", peek16(0xb800, 0x2000));
}

static void pattern(void)
{
    for (unsigned i = 0; i < 80 * 25; i++)
        poke16(0xb800, (uint16_t)(2 * i), (uint16_t)(0x1000 + i * 0x35));
}

static void scrolling(void)
{
    static const struct {
        uint16_t ax;
        uint8_t bh;
        uint16_t cx, dx;
    } windows[] = {{0x0601, 0x17, 0x0000, 0x184f}, {0x0701, 0x17, 0x0000, 0x184f},
                   {0x0605, 0x2f, 0x0304, 0x1020}, {0x0703, 0x2f, 0x0304, 0x1020},
                   {0x0600, 0x70, 0x0000, 0x184f}, {0x0700, 0x70, 0x0a0a, 0x0a0a},
                   {0x0619, 0x07, 0x0000, 0x184f}, {0x06ff, 0x07, 0x0000, 0x0a4f},
                   {0x0601, 0x07, 0x0000, 0xffff}, {0x0602, 0x07, 0x0505, 0x0606},
                   {0x0601, 0x07, 0x0a0a, 0x0505}};
    for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++) {
        pattern();
        bios("10 ax=%04x bh=%02x cx=%04x dx=%04x ->", windows[i].ax, windows[i].bh, windows[i].cx,
             windows[i].dx);
        screen("window", 3);
    }
    bios("10 ax=0600 bh=07 cx=0000 dx=184f ->");
}

static void characters(void)
{
    bios("10 ah=02 bh=00 dx=0505 ->");
    bios("10 ax=0941 bx=001f cx=0003 ->");
    bios("10 ah=08 bh=00 ->");
    bios("10 ax=0a42 bx=004f cx=0002 ->");
    bios("10 ah=08 bh=00 ->");
    bios("10 ah=03 bh=00 ->");
    bios("10 ax=0943 bx=002f cx=0000 ->");
    text("characters", 5, 10);
    bios("10 ah=02 bh=01 dx=0000 ->");
    bios("10 ax=0944 bx=012f cx=0001 ->");
    bios("10 ah=08 bh=01 ->");
    bios("10 ah=02 bh=00 dx=054f ->");
    bios("10 ax=0945 bx=003f cx=0003 ->"); /* over the end of the line */
    text("characters", 6, 3);

    static const char hello[] = "Hi\r\n!\x07\b?";
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < sizeof hello - 1; k++) {
            poke8(BUFFER, (uint16_t)(i & 2 ? 2 * k : k), (uint8_t)hello[k]);
            if (i & 2)
                poke8(BUFFER, (uint16_t)(2 * k + 1), (uint8_t)(0x30 + k));
        }
        bios("10 ah=02 bh=00 dx=0000 ->");
        bios("10 ax=13%02x bx=001e cx=0008 dx=%04x bp=0000 ->", i, 0x0a00 + i * 8);
        bios("10 ah=03 bh=00 ->");
        text("string", 10, 40);
        text("string", 11, 4);
    }
    bios("10 ax=1301 bx=001e cx=0000 dx=0a00 bp=0000 ->");
    bios("10 ax=1301 bx=001e cx=0001 dx=ffff bp=0000 ->");
    bios("10 ax=1304 bx=001e cx=0001 dx=0a00 bp=0000 ->");
}

/* --- palette --- */

static void palettes(void)
{
    bios("10 ax=0003 -> ~al");
    bios("10 ah=0b bx=0001 ->");
    say("overscan -> %02x", vga_reg(0x3c0, 0x11));
    bios("10 ax=1000 bx=0501 ->");
    say("register 1 -> %02x", vga_reg(0x3c0, 1));
    bios("10 ax=1007 bl=01 ->");
    bios("10 ax=1001 bh=07 ->");
    bios("10 ax=1008 ->");
    for (unsigned i = 0; i < 17; i++)
        poke8(BUFFER, (uint16_t)i, (uint8_t)(i * 3 & 0x3f));
    bios("10 ax=1002 es=3000 dx=0000 ->");
    bios("10 ax=1009 es=3000 dx=0100 -> [3000:0100]+11");
    bios("10 ax=1003 bx=0000 ->");
    say("mode control -> %02x 65=%02x", vga_reg(0x3c0, 0x10), peek8(0x40, 0x65));
    bios("10 ax=1003 bx=0001 ->");
    say("mode control -> %02x 65=%02x", vga_reg(0x3c0, 0x10), peek8(0x40, 0x65));
    bios("10 ax=1010 bx=0012 cx=1522 dx=3300 ->");
    bios("10 ax=1015 bx=0012 ->");
    for (unsigned i = 0; i < 12; i++)
        poke8(BUFFER, (uint16_t)i, (uint8_t)(i * 5));
    bios("10 ax=1012 bx=0040 cx=0004 dx=0000 es=3000 ->");
    bios("10 ax=1017 bx=0040 cx=0004 dx=0100 es=3000 -> [3000:0100]+c");
    bios("10 ax=1013 bx=0100 ->");
    bios("10 ax=101a ->");
    bios("10 ax=1013 bx=0301 ->");
    bios("10 ax=101a ->");
    bios("10 ax=1013 bx=0000 ->");
    bios("10 ax=101a ->");
    bios("10 ax=1018 bl=3f ->");
    bios("10 ax=1019 ->");
    bios("10 ax=1018 bl=ff ->");
    bios("10 ax=101b bx=0040 cx=0004 ->");
    bios("10 ax=1017 bx=0040 cx=0004 dx=0100 es=3000 -> [3000:0100]+c");
    bios("10 ax=10ff ->");
    bios("10 ax=0004 -> ~al");
    bios("10 ah=0b bx=0100 ->");
    vga_registers("palette 0");
    bios("10 ah=0b bx=0101 ->");
    bios("10 ah=0b bx=0014 ->");
    vga_registers("palette 1, background 4, bright");
    say("66 -> %02x", peek8(0x40, 0x66));
}

/* --- fonts --- */

static void fonts(void)
{
    bios("10 ax=0003 -> ~al");
    static const uint16_t bytes[] = {0, 1024, 14 * 256, 2048, 1024, 32, 16 * 256, 32};
    for (unsigned i = 0; i <= 8; i++) {
        bios("10 ax=1130 bh=%02x -> @es:bp", i);
        if (i >= 2 && i < 8 && bytes[i] > 32)
            say("font %d -> %08x", i, hash(regs.es, (uint16_t)regs.ebp, bytes[i]));
    }
    static const uint16_t loads[] = {0x1111, 0x1112, 0x1114, 0x1101, 0x1102, 0x1104};
    for (unsigned i = 0; i < sizeof loads / 2; i++) {
        bios("10 ax=%04x bl=00 ->", loads[i]);
        vga_state("font");
        vga_registers("font");
        bios("10 ax=1130 bh=00 -> @es:bp");
    }
    fill(BUFFER, 0, 0x3c, 32);
    bios("10 ax=1100 bx=1000 cx=0001 dx=0041 bp=0000 es=3000 ->");
    bios("10 ax=1110 bx=1000 cx=0001 dx=0041 bp=0000 es=3000 ->");
    bios("10 ax=1103 bl=05 ->");
    say("character map -> %02x", vga_reg(0x3c4, 3));
    bios("10 ax=1103 bl=00 ->");
    bios("10 ax=0012 -> ~al");
    bios("10 ax=1120 bp=0000 es=3000 ->");
    say("vector 1f -> %08x", get_vector(0x1f));
    bios("10 ax=1121 bl=02 cx=0010 bp=0000 es=3000 ->");
    say("vector 43 -> %08x rows=%02x height=%04x", get_vector(0x43), peek8(0x40, 0x84),
        peek16(0x40, 0x85));
    for (unsigned i = 0x22; i <= 0x24; i++) {
        bios("10 ax=11%02x bx=0002 ->", i);
        say("vector 43 -> %s rows=%02x height=%04x",
            kind(peek16(0, 0x43 * 4 + 2), peek16(0, 0x43 * 4)), peek8(0x40, 0x84),
            peek16(0x40, 0x85));
    }
    bios("10 ax=11ff ->");
    bios("10 ax=0003 -> ~al");
    /* 43 and 50 lines, as programs ask for them */
    bios("10 ax=1201 bl=30 ->");
    bios("10 ax=0003 -> ~al");
    vga_state("350 lines");
    bios("10 ax=1200 bl=30 ->");
    bios("10 ax=0003 -> ~al");
    vga_state("200 lines");
    bios("10 ax=1202 bl=30 ->");
    bios("10 ax=0003 -> ~al");
    vga_state("400 lines");
}

static void functionality(const char *what)
{
    bios_quiet("10 ah=1b bx=0000 di=0000 es=3000");
    part("%s -> ", what);
    dump(peek16(BUFFER, 2), peek16(BUFFER, 0), 16);
    end_line();
}

static void configuration(void)
{
    bios("10 ah=12 bl=10 ->");
    bios("10 ax=1200 bl=20 ->");
    bios("10 ax=1201 bl=31 ->");
    say("89 -> %02x", peek8(0x40, 0x89));
    bios("10 ax=1200 bl=31 ->");
    bios("10 ax=1201 bl=32 ->");
    say("misc -> %02x", inb(0x3cc));
    bios("10 ax=1200 bl=32 ->");
    say("misc -> %02x", inb(0x3cc));
    bios("10 ax=1200 bl=33 ->");
    say("89 -> %02x", peek8(0x40, 0x89));
    bios("10 ax=1201 bl=33 ->");
    bios("10 ax=1201 bl=34 ->");
    say("87 -> %02x", peek8(0x40, 0x87));
    bios("10 ax=1200 bl=34 ->");
    bios("10 ax=1200 bl=35 ->");
    bios("10 ax=1201 bl=36 ->");
    say("clocking -> %02x", vga_reg(0x3c4, 1));
    bios("10 ax=1200 bl=36 ->");
    bios("10 ax=1200 bl=55 ->");
    bios("10 ax=1203 bl=30 ->");
    bios("10 ax=1a00 ->");
    bios("10 ax=1a01 bx=0008 ->");
    bios("10 ax=1a02 ->");
    fill(BUFFER, 0, 0, 64);
    bios("10 ah=1b bx=0000 di=0000 es=3000 -> [3000:0004]+3c");
    say("1Bh static table -> %s", kind(peek16(BUFFER, 2), peek16(BUFFER, 0)));
    functionality("1Bh functionality");
    bios("10 ah=1b bx=0001 di=0000 es=3000 ->");
    for (unsigned i = 1; i < 8; i++)
        bios("10 ax=1c00 cx=%04x ->", i);
    fill(BUFFER, 0, 0, 0x800);
    bios("10 ax=1c01 cx=0007 bx=0000 es=3000 ->");
    bios("10 ax=0013 -> ~al");
    bios("10 ax=1c02 cx=0007 bx=0000 es=3000 ->");
    bios("10 ah=0f ->");
    vga_registers("restored");
    palette("restored", 0, 256);
    bios("10 ax=1c03 cx=0007 ->");
    bios("10 ax=0003 -> ~al");
    bios("10 ax=14ff ->");
    bios("10 ax=6f00 ->");
    bios("10 ax=fe00 ->");
    bios("10 ax=ff00 di=0000 es=b800 ->");
}

void video_group(void)
{
    vga_state("at boot");
    functionality("at boot");
    modes();
    cursor();
    teletype();
    scrolling();
    characters();
    palettes();
    fonts();
    configuration();
}
