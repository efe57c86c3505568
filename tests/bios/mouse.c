/*
 * INT 15h C2xxh and INT 74h. Packets are put into the 8042 by its command D3h, as if the mouse had
 * sent them. Source: IBM PS/2 BIOS Interface Technical Reference, "INT 15H, AH=C2H Pointing Device
 * Interface".
 */
#include "rt.h"

void mouse_hook(void);
extern uint32_t mouse_count;
extern uint16_t mouse_words[4];

static void packet(uint8_t status, uint8_t x, uint8_t y)
{
    const uint8_t bytes[3] = {status, x, y};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned n = 0; n < 100000 && (inb(0x64) & 3); n++)
            ;
        cli();
        outb(0x64, 0xd3);
        outb(0x60, bytes[i]);
        sti();
        for (unsigned n = 0; n < 100000 && (inb(0x64) & 1); n++)
            ;
    }
    for (unsigned i = 0; i < 4; i++)
        hlt();
    say("packet %02x %02x %02x -> calls=%d status=%04x x=%04x y=%04x z=%04x", status, x, y,
        mouse_count, mouse_words[3], mouse_words[2], mouse_words[1], mouse_words[0]);
}

void mouse_group(void)
{
    bios("11 ->");
    bios("no handler yet: 15 ax=c200 bh=01 nc -> cf ~al");
    bios("15 ax=c205 bh=03 -> cf ~al");
    bios("15 ax=c205 bh=00 nc -> cf ~al");
    bios("15 ax=c205 bh=09 nc -> cf ~al");
    bios("15 ax=c205 bh=03 -> cf ~al");
    bios("15 ax=c207 es=%04x bx=%04x -> cf ~al", PROGRAM, (unsigned)mouse_hook);
    bios("15 ax=c200 bh=01 -> cf ~al");
    say("8259 -> irq12=%d cascade=%d", inb(0xa1) >> 4 & 1, inb(0x21) >> 2 & 1);
    packet(0x08, 1, 2);
    packet(0x09, 0x10, 0x20);
    packet(0x38, 0xfe, 0xfd);
    part("driver's area -> ");
    dump(peek16(0x40, 0x0e), 0x22, 6);
    say(" index+flags=%02x %02x", peek8(peek16(0x40, 0x0e), 0x26), peek8(peek16(0x40, 0x0e), 0x27));
    bios("15 ax=c206 bh=00 -> cf ~al");
    bios("15 ax=c200 bh=00 -> cf ~al");
    packet(0x08, 3, 4);
    for (unsigned i = 0; i <= 7; i++)
        bios("15 ax=c202 bh=%02x -> cf ~al", i);
    for (unsigned i = 0; i <= 4; i++)
        bios("15 ax=c203 bh=%02x -> cf ~al", i);
    bios("15 ax=c204 -> cf ~al");
    bios("15 ax=c206 bh=01 -> cf ~al");
    bios("15 ax=c206 bh=02 -> cf ~al");
    bios("15 ax=c206 bh=03 nc -> cf ~al");
    bios("scaled 2:1: 15 ax=c206 bh=02 -> cf ~al");
    bios("15 ax=c206 bh=00 -> cf ~al");
    bios("15 ax=c200 bh=02 nc -> cf ~al");
    bios("15 ax=c201 -> cf ~al");
    bios("15 ax=c206 bh=00 -> cf ~al");
    bios("after the reset: 15 ax=c200 bh=01 -> cf ~al");
    packet(0x08, 5, 6);
    bios("no handler: 15 ax=c207 es=0000 bx=0000 -> cf ~al");
    packet(0x08, 7, 8);
    bios("15 ax=c200 bh=00 -> cf ~al");
    bios("15 ax=c208 nc -> cf ~al");
    bios("15 ax=c209 nc -> cf ~al");
    bios("15 ax=c2ff nc -> cf ~al");
    bios_quiet("16 ah=01");
    say("keyboard still works -> 64h=%02x", inb(0x64) & 0x01);
}
