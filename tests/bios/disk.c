/*
 * INT 13h. Every sector of the driver's disks that is read here begins with its number (4 bytes)
 * and the disk's (1). Sources: RBIL, "INT 13"; BIOS Enhanced Disk Drive Specification 3.0 (T13
 * D1226, called EDD 3.0).
 */
#include "rt.h"

static unsigned drive;

/* The last status as 01h tells it, which is also at 40:74. */
static void status(void)
{
    bios("13 ah=01 dx=%04x -> cf [0040:0074]+1", drive);
}

/* Cylinder, head and sector into CX and the head. */
static uint16_t cx(unsigned cylinder, unsigned sector)
{
    return (uint16_t)((cylinder & 0xff) << 8 | (cylinder >> 2 & 0xc0) | sector);
}

static unsigned cylinders, heads, sectors;

static void read_at(const char *what, unsigned c, unsigned h, unsigned s)
{
    fill(BUFFER, 0, 0xee, 16);
    bios("%s: 13 ax=0201 cx=%04x dx=%04x bx=0000 -> cf [3000:0000]+8", what, cx(c, s),
         h << 8 | drive);
}

static void parameters(void)
{
    bios("13 ah=08 dx=%04x di=0000 es=0000 -> cf ~al", drive);
    cylinders = ((regs.ecx >> 8 & 0xff) | (regs.ecx << 2 & 0x300)) + 1;
    heads = (regs.edx >> 8 & 0xff) + 1;
    sectors = regs.ecx & 63;
    say("geometry of %02x -> %d cylinders, %d heads, %d sectors", drive, cylinders, heads, sectors);
    bios("13 ah=15 dx=%04x -> cf", drive);
    bios("13 ah=00 dx=%04x -> cf", drive);
    bios("13 ah=0d dx=%04x -> cf", drive);
    bios("13 ah=09 dx=%04x -> cf", drive);
    bios("13 ah=10 dx=%04x -> cf", drive);
    bios("13 ah=11 dx=%04x -> cf", drive);
    bios("13 ah=14 dx=%04x -> cf", drive);
    bios("13 ah=16 dx=%04x -> cf", drive);
    bios("13 ax=0c01 cx=%04x dx=%04x -> cf", cx(1, 1), drive);
    bios("13 ax=0c01 cx=%04x dx=%04x nc -> cf", cx(1, 1), 0xff00 | drive);
}

static void reads(void)
{
    read_at("first", 0, 0, 1);
    status();
    read_at("last of a track", 0, 0, sectors);
    read_at("next head", 0, 1, 1);
    read_at("last head", 0, heads - 1, 1);
    read_at("next cylinder", 1, 0, 1);
    read_at("last", cylinders - 1, heads - 1, sectors);
    read_at("cylinder above", cylinders, 0, 1);
    status();
    read_at("head above", 0, heads & 0xff, 1);
    read_at("sector 0", 0, 0, 0);
    status();
    read_at("sector above", 0, 0, (sectors + 1) & 63);
    bios("none: 13 ax=0200 cx=0001 dx=%04x bx=0000 nc -> cf", drive);
    bios("128: 13 ax=0280 cx=0001 dx=%04x bx=0000 -> cf [3000:fe00]+8", drive);
    bios("129: 13 ax=0281 cx=0001 dx=%04x bx=0000 nc -> cf", drive);
    bios("255: 13 ax=02ff cx=0001 dx=%04x bx=0000 nc -> cf", drive);
    fill(BUFFER, 0, 0xee, 0x800);
    bios("over heads: 13 ax=0203 cx=%04x dx=%04x bx=0000 -> cf [3000:0000]+8 [3000:0200]+8 "
         "[3000:0400]+8",
         sectors, drive);
    bios("over cylinders: 13 ax=0203 cx=%04x dx=%04x bx=0000 -> cf [3000:0000]+8 [3000:0200]+8 "
         "[3000:0400]+8",
         sectors, (heads - 1) << 8 | drive);
    bios("off the end: 13 ax=0202 cx=%04x dx=%04x bx=0000 nc -> cf", cx(cylinders - 1, sectors),
         (heads - 1) << 8 | drive);
    /* Buffers that DMA and segments make hard: odd, over 64 KiB of memory, over the end of a
     * segment. */
    bios("odd: 13 ax=0201 cx=0002 dx=%04x bx=0001 -> cf [3000:0001]+8", drive);
    bios("over 64 KiB: 13 ax=0201 cx=0002 dx=%04x es=3ff0 bx=0000 -> cf [3ff0:0000]+8", drive);
    bios("four over 64 KiB: 13 ax=0204 cx=0002 dx=%04x es=3fe0 bx=0100 -> cf [3fe0:0100]+8 "
         "[3fe0:0300]+8",
         drive);
    bios("high offset: 13 ax=0201 cx=0003 dx=%04x es=3000 bx=fe00 -> cf [3000:fe00]+8", drive);
    bios("to F000: 13 ax=0201 cx=0003 dx=%04x es=9000 bx=1000 -> cf [9000:1000]+8", drive);
}

static void writes(void)
{
    fill(BUFFER, 0, 0x5a, 1024);
    poke32(BUFFER, 0, 0x11223344);
    poke32(BUFFER, 0x200, 0x55667788);
    bios("13 ax=0302 cx=%04x dx=%04x bx=0000 -> cf", cx(2, sectors), drive);
    fill(BUFFER, 0, 0, 1024);
    bios("13 ax=0202 cx=%04x dx=%04x bx=0000 -> cf [3000:0000]+8 [3000:0200]+8 [3000:03fc]+4",
         cx(2, sectors), drive);
    read_at("written, second half", 2, 1, 1);
    bios("13 ax=0301 cx=%04x dx=%04x bx=0000 nc -> cf", cx(cylinders & 0x3ff, 1),
         (heads & 0xff) << 8 | drive);
    status();
    bios("13 ax=0404 cx=%04x dx=%04x bx=0000 -> cf", cx(2, 1), drive);
    bios("13 ax=0401 cx=%04x dx=%04x bx=0000 nc -> cf", cx(2, 0), drive);
    fill(BUFFER, 0, 0, 0x200);
    bios("13 ax=0501 cx=%04x dx=%04x bx=0000 -> cf", cx(3, 1), drive);
    read_at("formatted", 3, 0, 1);
    bios("13 ax=0b01 cx=%04x dx=%04x bx=0000 nc -> cf", cx(3, 1), drive);
    bios("13 ax=0a01 cx=%04x dx=%04x bx=0000 nc -> cf", cx(3, 1), drive);
}

static void others(void)
{
    static const uint8_t functions[] = {0x06, 0x07, 0x0e, 0x0f, 0x12, 0x13, 0x17, 0x18,
                                        0x19, 0x1a, 0x20, 0x22, 0x50, 0xee, 0xff};
    for (unsigned i = 0; i < sizeof functions; i++)
        bios("13 ah=%02x al=00 cx=0001 dx=%04x nc -> cf", functions[i], drive);
    status();
    status();
}

static void absent(unsigned number)
{
    drive = number;
    static const uint8_t functions[] = {0x00, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0c, 0x0d,
                                        0x10, 0x11, 0x14, 0x15, 0x16, 0x17, 0x18, 0x41, 0x48};
    for (unsigned i = 0; i < sizeof functions; i++)
        bios("absent: 13 ah=%02x al=01 cx=0001 dx=%04x bx=0000 si=0000 ds=%04x nc -> cf",
             functions[i], number, BUFFER);
    bios("absent: 13 ah=01 dx=%04x -> cf", number);
}

static void fixed_disk_table(unsigned vector)
{
    const uint16_t off = peek16(0, (uint16_t)(vector * 4)),
                   seg = peek16(0, (uint16_t)(vector * 4 + 2));
    part("vector %02x -> %s:", vector, kind(seg, off));
    dump(seg, off, 16);
    end_line();
}

void disk_group(void)
{
    const unsigned disks = peek8(0x40, 0x75);
    say("40:75 -> %d", disks);
    for (unsigned i = 0; i < disks && i < 4; i++) {
        drive = 0x80 + i;
        parameters();
        if (i) {
            reads();
            writes();
        }
        others();
    }
    fixed_disk_table(0x41);
    fixed_disk_table(0x46);
    absent(0x80 + disks);
    absent(0xff);
    if (!(peek16(0x40, 0x10) & 1)) {
        absent(0x00);
        absent(0x01);
    }
    part("diskette table -> ");
    dump(peek16(0, 0x7a), peek16(0, 0x78), 11);
    end_line();
}

/* --- EDD --- */

static uint16_t packet_seg = BUFFER + 0x0f00; /* 3F00:0000 */

static void packet(unsigned bytes, unsigned count, uint32_t buffer, uint32_t lba_low,
                   uint32_t lba_high)
{
    fill(packet_seg, 0, 0, 0x20);
    poke8(packet_seg, 0, (uint8_t)bytes);
    poke16(packet_seg, 2, (uint16_t)count);
    poke32(packet_seg, 4, buffer);
    poke32(packet_seg, 8, lba_low);
    poke32(packet_seg, 12, lba_high);
}

static void transfer(const char *what, unsigned function, unsigned count, uint32_t lba)
{
    packet(16, count, (uint32_t)BUFFER << 16, lba, 0);
    bios("%s: 13 ax=%04x dx=%04x si=0000 ds=3f00 -> cf [3f00:0002]+2 [3000:0000]+8", what, function,
         drive);
}

static void drive_parameters(unsigned bytes)
{
    fill(packet_seg, 0, 0xcc, 0x80);
    poke16(packet_seg, 0, (uint16_t)bytes);
    bios("13 ah=48 dx=%04x si=0000 ds=3f00 -> cf", drive);
    part("result for %02x of %x bytes -> ", drive, bytes);
    dump(packet_seg, 0, 0x1a);
    end_line();
    if (bytes >= 0x1e) {
        const uint16_t off = peek16(packet_seg, 0x1a), seg = peek16(packet_seg, 0x1c);
        if (bytes >= 0x1e && off != 0xffff && off != 0xcccc) {
            part("DPTE of %02x -> %s sum=%02x:", drive, kind(seg, off), sum(seg, off, 16));
            dump(seg, off, 15);
            end_line();
        } else {
            say("DPTE of %02x -> none %04x", drive, off);
        }
        part("path of %02x for %x bytes -> ", drive, bytes);
        dump(packet_seg, 0x1e, 0x24 + 8);
        end_line();
        say("path sum -> %02x", bytes >= 0x42 ? sum(packet_seg, 0x1e, 0x24) : 0);
    }
}

static void edd_of(void)
{
    bios("13 ah=41 bx=55aa dx=%04x -> cf ~al", drive);
    bios("13 ah=41 bx=aa55 dx=%04x nc -> cf", drive);
    drive_parameters(0x1a);
    const uint32_t size = peek32(packet_seg, 0x10);
    drive_parameters(0x1e);
    drive_parameters(0x42);
    drive_parameters(0x4a);
    drive_parameters(0x19);
    drive_parameters(0x00);
    fill(BUFFER, 0, 0xee, 0x400);
    transfer("first", 0x4200, 1, 0);
    transfer("4th", 0x4200, 1, 4);
    transfer("several", 0x4200, 5, 100);
    transfer("127", 0x4200, 127, 7);
    transfer("last", 0x4200, 1, size - 1);
    transfer("last two", 0x4200, 2, size - 2);
    transfer("none", 0x4200, 0, 0);
    transfer("behind the end", 0x4200, 1, size);
    transfer("over the end", 0x4200, 2, size - 1);
    status();
    packet(16, 1, (uint32_t)BUFFER << 16, 0, 1);
    bios("high half: 13 ah=42 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
    packet(8, 1, (uint32_t)BUFFER << 16, 0, 0);
    bios("8 bytes: 13 ah=42 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
    packet(15, 1, (uint32_t)BUFFER << 16, 0, 0);
    bios("15 bytes: 13 ah=42 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
    packet(0, 1, (uint32_t)BUFFER << 16, 0, 0);
    bios("0 bytes: 13 ah=42 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
    transfer("odd", 0x4200, 1, 9);
    packet(16, 2, (uint32_t)BUFFER << 16 | 0x0101, 20, 0);
    bios("odd buffer: 13 ah=42 dx=%04x si=0000 ds=3f00 -> cf [3000:0101]+8 [3000:0301]+8", drive);
    packet(16, 3, (uint32_t)0x3fd0 << 16 | 0x0101, 30, 0);
    bios("over 64 KiB: 13 ah=42 dx=%04x si=0000 ds=3f00 -> cf [3fd0:0101]+8 [3fd0:0301]+8 "
         "[3fd0:0501]+8",
         drive);
    /* EDD 3.0: FFFF:FFFF says that a 64-bit flat address follows, in a packet of 24 bytes. Who does
     * not know that would write there. */
    bios_quiet("13 ah=41 bx=55aa dx=%04x", drive);
    if (!(regs.ecx & 8))
        return say("flat addresses -> none");
    packet(24, 1, 0xffffffff, 4, 0);
    poke32(packet_seg, 16, BUFFER * 16 + 0x2000);
    fill(BUFFER, 0x2000, 0xee, 16);
    bios("flat: 13 ah=42 dx=%04x si=0000 ds=3f00 -> cf [3000:2000]+8", drive);
}

static void edd_writes(void)
{
    fill(BUFFER, 0, 0xa5, 1024);
    transfer("write", 0x4300, 2, 5000);
    fill(BUFFER, 0, 0, 1024);
    transfer("written", 0x4200, 2, 5000);
    fill(BUFFER, 0, 0xa6, 1024);
    transfer("write and verify", 0x4302, 1, 5000);
    transfer("write, AL=1", 0x4301, 1, 5001);
    transfer("write, AL=3", 0x4303, 1, 5001);
    transfer("verify", 0x4400, 2, 5000);
    packet(16, 1, 0, peek32(packet_seg, 8), 0xffff);
    bios("13 ah=43 al=00 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
    bios("13 ah=44 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
    transfer("seek", 0x4700, 1, 5000);
    packet(16, 1, 0, 0xfffffff0, 0);
    bios("seek above: 13 ah=47 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
}

void edd_group(void)
{
    const unsigned disks = peek8(0x40, 0x75);
    for (unsigned i = 0; i < disks && i < 4; i++) {
        drive = 0x80 + i;
        edd_of();
        if (i)
            edd_writes();
        bios("13 ax=4500 dx=%04x nc -> cf", drive);
        bios("13 ax=4501 dx=%04x nc -> cf", drive);
        bios("13 ax=4502 dx=%04x nc -> cf", drive);
        bios("13 ax=4600 dx=%04x nc -> cf", drive);
        bios("13 ah=49 dx=%04x nc -> cf", drive);
        bios("13 ax=4a00 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
        bios("13 ax=4b01 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
        bios("13 ax=4c00 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
        bios("13 ax=4d00 dx=%04x si=0000 ds=3f00 nc -> cf", drive);
        for (unsigned al = 0; al <= 7; al++)
            bios("13 ax=4e%02x dx=%04x nc -> cf", al, drive);
    }
    drive = 0x80 + disks;
    packet(16, 1, (uint32_t)BUFFER << 16, 0, 0);
    for (unsigned f = 0x41; f <= 0x4e; f++)
        bios("absent: 13 ah=%02x al=00 bx=55aa dx=%04x si=0000 ds=3f00 nc -> cf", f, drive);
    if (!(peek16(0x40, 0x10) & 1))
        bios("absent: 13 ah=41 bx=55aa dx=0000 nc -> cf");
}
