/*
 * The ways to begin again: INT 19h and Ctrl-Alt-Del. This program is then booted anew; a byte of
 * CMOS RAM tells it which boot it is, another whether memory has outlived it. Source: RBIL, "INT
 * 19", its memory list 0040:0072h.
 */
#include "rt.h"

#define STAGE 0x7e /* in CMOS RAM, where no firmware has anything */
#define KEPT  0x5000
#define MAGIC 0x7a57a27e

static uint8_t cmos(uint8_t index)
{
    outb(0x70, index | 0x80);
    const uint8_t v = inb(0x71);
    outb(0x70, 0x0d);
    return v;
}
static void set_cmos(uint8_t index, uint8_t v)
{
    outb(0x70, index | 0x80);
    outb(0x71, v);
    outb(0x70, 0x0d);
}

static void arrived(const char *how)
{
    say("after %s -> dl=%02x if=%d 72=%04x", how, entry[2] & 0xff, entry[10] & IF ? 1 : 0,
        peek16(0x40, 0x72));
    say("after %s -> 17=%02x 18=%02x buffer empty=%d midnight=%d", how, peek8(0x40, 0x17),
        peek8(0x40, 0x18), peek16(0x40, 0x1a) == peek16(0x40, 0x1c), peek8(0x40, 0x70));
    const uint32_t from = ticks();
    wait_ticks(2, NULL);
    say("after %s -> ticks=%d", how, ticks() - from);
}

static void press(uint8_t code)
{
    for (unsigned i = 0; i < 100000 && (inb(0x64) & 3); i++)
        ;
    cli();
    outb(0x64, 0xd2);
    outb(0x60, code);
    sti();
    for (unsigned i = 0; i < 100000 && (inb(0x64) & 1); i++)
        ;
}

void restart_group(void)
{
    const unsigned stage = cmos(STAGE);
    set_cmos(STAGE, (uint8_t)(stage + 1));
    poke32(KEPT, 0, MAGIC);
    switch (stage) {
    case 0:
        say("INT 19h");
        bios_quiet("19 dx=0000");
        say("INT 19h -> returned");
        break;
    case 1:
        arrived("INT 19h");
        say("after INT 19h -> memory %s", peek32(KEPT, 0) == MAGIC ? "kept" : "changed");
        press(0x1d);
        press(0x38);
        press(0x53);
        wait_ticks(18, NULL);
        say("Ctrl-Alt-Del -> nothing happened");
        break;
    case 2:
        arrived("Ctrl-Alt-Del");
        break;
    }
}
