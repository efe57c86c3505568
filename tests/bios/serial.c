/*
 * INT 14h on the ports that the driver gives (two, without anybody at the other end; they are put
 * into loopback for what is to be received), INT 17h. Sources: RBIL; IBM PS/2 BIOS Interface
 * Technical Reference; 16550D.
 */
#include "rt.h"

static void line_settings(unsigned port, uint16_t base, const char *name)
{
    outb((uint16_t)(base + 3), (uint8_t)(inb((uint16_t)(base + 3)) | 0x80));
    const unsigned divisor = inb(base) | inb((uint16_t)(base + 1)) << 8;
    outb((uint16_t)(base + 3), (uint8_t)(inb((uint16_t)(base + 3)) & 0x7f));
    say("COM%d %s -> divisor=%04x lcr=%02x mcr=%02x ier=%02x", port + 1, name, divisor,
        inb((uint16_t)(base + 3)), inb((uint16_t)(base + 4)), inb((uint16_t)(base + 1)));
}

static void serial_port(unsigned port)
{
    const uint16_t base = peek16(0x40, (uint16_t)(port * 2));
    say("40:%02x -> %04x", port * 2, base);
    if (!base)
        return;
    static const uint8_t settings[] = {0xe3, 0xe2, 0xff, 0x03, 0x23, 0x43, 0x63, 0x9a, 0xbb, 0xc7};
    for (unsigned i = 0; i < sizeof settings; i++) {
        bios("14 ah=00 al=%02x dx=%04x -> ~al", settings[i], port);
        line_settings(port, base, "set up");
    }
    bios("14 ax=00e3 dx=%04x -> ~al", port);
    bios("14 ah=03 dx=%04x -> ~al", port);
    poke8(0x40, (uint16_t)(0x7c + port), 1); /* time-out, in units the BIOS chooses */
    bios("nobody there: 14 ah=02 dx=%04x -> ~al", port);
    outb((uint16_t)(base + 4), 0x13);
    bios("looped: 14 ah=03 dx=%04x ->", port);
    bios("looped: 14 ax=0155 dx=%04x ->", port);
    line_settings(port, base, "after write");
    outb((uint16_t)(base + 4), 0x13);
    bios("looped: 14 ah=03 dx=%04x ->", port);
    bios("looped: 14 ah=02 dx=%04x ->", port);
    bios("looped: 14 ah=03 dx=%04x ->", port);
    outb((uint16_t)(base + 4), 0x10);
    bios("no DSR: 14 ax=0156 dx=%04x ->", port);
    outb((uint16_t)(base + 4), 0x00);

    bios("14 ax=0401 bx=0000 cx=0307 dx=%04x -> ",
         port); /* extended: no parity, 1 stop, 8 bits, 9600 */
    line_settings(port, base, "set up by 04h");
    bios("14 ax=0500 bx=0000 dx=%04x ->", port);
    bios("14 ax=0501 bx=0003 dx=%04x ->", port);
    line_settings(port, base, "after 05h");
    bios("14 ax=00e3 dx=%04x -> ~al", port);
}

void serial_group(void)
{
    for (unsigned port = 0; port < 4; port++)
        serial_port(port);
    bios("11 ->");
    part("time-outs -> ");
    dump(0x40, 0x7c, 4);
    end_line();
    const unsigned missing = peek16(0x40, 2) ? 2 : 1;
    bios("no such port: 14 ax=00e3 dx=%04x ->", missing);
    bios("no such port: 14 ax=0155 dx=%04x ->", missing);
    bios("no such port: 14 ah=02 dx=%04x ->", missing);
    bios("no such port: 14 ah=03 dx=%04x ->", missing);
    bios("14 ax=00e3 dx=0004 ->");
    bios("14 ah=03 dx=ffff ->");
    bios("14 ah=06 dx=0000 ->");
    bios("14 ah=ff dx=0000 ->");

    for (unsigned port = 0; port < 3; port++) {
        say("40:%02x -> %04x", 8 + port * 2, peek16(0x40, (uint16_t)(8 + port * 2)));
        bios("17 ax=0041 dx=%04x ->", port);
        bios("17 ah=01 dx=%04x ->", port);
        bios("17 ah=02 dx=%04x ->", port);
    }
    part("printer time-outs -> ");
    dump(0x40, 0x78, 4);
    end_line();
    bios("17 ah=03 dx=0000 ->");
    bios("17 ah=ff dx=0000 ->");
}
