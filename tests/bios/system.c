/*
 * What the boot sector was given, INT 11h, 12h, 15h but for memory and the pointing device, 18h,
 * 19h. Sources: Ralf Brown's Interrupt List; IBM PS/2 and Personal Computer BIOS Interface
 * Technical Reference (1987); APM BIOS Interface Specification 1.2; BIOS Boot Specification 1.01.
 */
#include "rt.h"

enum { AX, BX, DX, DI, DS, ES, SS, SP, CS, IP, FLAGS };

void boot_group(void)
{
    say("entry -> cs=%04x ip=%04x dl=%02x if=%d df=%d", entry[CS], entry[IP], entry[DX] & 0xff,
        entry[FLAGS] & IF ? 1 : 0, entry[FLAGS] & DF ? 1 : 0);
    const uint32_t stack = entry[SS] * 16u + entry[SP];
    say("entry stack -> %s", stack >= 0x500 && stack < 0xa0000 ? "in RAM" : "elsewhere");
    for (unsigned i = 0; i < 0x78; i++)
        if (i <= 0x1f || (i >= 0x40 && i <= 0x4f) || i >= 0x70)
            say("vector %02x -> %s", i, kind(peek16(0, i * 4 + 2), peek16(0, i * 4)));
    say("vectors 60-67 -> %08x %08x", get_vector(0x60), get_vector(0x67));
    say("same handler -> 43=44:%d 1f:%s 1d:%s 1e=13/40:%s", get_vector(0x43) == get_vector(0x44),
        kind(peek16(0, 0x1f * 4 + 2), peek16(0, 0x1f * 4)),
        kind(peek16(0, 0x1d * 4 + 2), peek16(0, 0x1d * 4)),
        kind(peek16(0, 0x1e * 4 + 2), peek16(0, 0x1e * 4)));
    say("f000 -> reset=%02x model=%02x", peek8(0xffff, 0), peek8(0xf000, 0xfffe));
    say("build date -> slashes=%c%c", peek8(0xffff, 7), peek8(0xffff, 10));
    /* The entry points of the IBM BIOS, which some programs jump to. */
    static const struct {
        uint16_t at;
        uint8_t vector;
    } fixed[] = {{0xe2c3, 0x02}, {0xe3fe, 0x13}, {0xe6f2, 0x19}, {0xe739, 0x14}, {0xe82e, 0x16},
                 {0xe987, 0x09}, {0xec59, 0x40}, {0xef57, 0x0e}, {0xefd2, 0x17}, {0xf065, 0x10},
                 {0xf841, 0x12}, {0xf84d, 0x11}, {0xf859, 0x15}, {0xfe6e, 0x1a}, {0xfea5, 0x08},
                 {0xff53, 0x1c}, {0xff54, 0x05}};
    for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++)
        say("fixed entry %04x (INT %02xh) -> vector=%s", fixed[i].at, fixed[i].vector,
            get_vector(fixed[i].vector) == (0xf0000000 | fixed[i].at) ? "there" : "elsewhere");
    static const uint16_t code[] = {0xe05b, 0xe2c3, 0xe3fe, 0xe6f2, 0xe729, 0xe739, 0xe82e, 0xe987,
                                    0xec59, 0xef57, 0xefc7, 0xefd2, 0xf045, 0xf065, 0xf841, 0xf84d,
                                    0xf859, 0xfe6e, 0xfea5, 0xff53, 0xff54, 0xfff0};
    for (unsigned i = 0; i < sizeof code / sizeof *code; i++) {
        const uint8_t b = peek8(0xf000, code[i]);
        say("fixed address %04x -> %s", code[i], b == 0 || b == 0xff ? "empty" : "filled");
    }
    say("fixed iret ff53 -> %02x", peek8(0xf000, 0xff53));
    static const uint16_t roms[] = {0xc000, 0xf000, 0xffff};
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t was = peek8(roms[i], 8);
        poke8(roms[i], 8, (uint8_t)~was);
        say("write to %04x -> %s", roms[i], peek8(roms[i], 8) == was ? "nothing" : "changed");
        poke8(roms[i], 8, was);
    }
    part("diskette parameters efc7 -> ");
    dump(0xf000, 0xefc7, 11);
    end_line();
    part("baud rate table e729 -> ");
    dump(0xf000, 0xe729, 16);
    end_line();
    say("font fa6e -> %08x", hash(0xf000, 0xfa6e, 1024));
}

static void waits(void)
{
    /* 86h waits CX:DX microseconds; the ticks that pass tell */
    const uint32_t from = ticks();
    bios("15 ah=86 cx=0003 dx=0d40 -> cf ~al");
    const uint32_t passed = ticks() - from;
    say("15 ah=86 for 200 ms -> %s (3 to 6 ticks)", passed >= 3 && passed <= 6 ? "right" : "wrong");
    bios("15 ah=86 cx=0000 dx=0001 -> cf ~al");

    poke8(BUFFER, 0, 0);
    bios("15 ax=8300 cx=0001 dx=86a0 bx=0000 -> cf ~al [0040:00a0]+1");
    bios("busy: 15 ax=8300 cx=0001 dx=86a0 bx=0000 nc -> cf ~al");
    bios("busy: 15 ah=86 cx=0000 dx=1000 nc -> cf ~al");
    wait_ticks(6, NULL);
    say("15 ax=8300 after 100 ms -> flag=%02x active=%02x", peek8(BUFFER, 0), peek8(0x40, 0xa0));
    bios("15 ax=8300 cx=0040 dx=0000 bx=0010 -> cf ~al [0040:00a0]+1");
    bios("15 ax=8301 -> cf ~ax [0040:00a0]+1");
    wait_ticks(2, NULL);
    say("15 ax=8301 -> flag=%02x", peek8(BUFFER, 0x10));
}

static void reserved_hooks(void)
{
    bios("15 ax=8000 bx=0001 cx=0002 nc -> cf");
    bios("15 ax=8100 bx=0001 cx=0002 nc -> cf");
    bios("15 ax=8200 bx=0001 nc -> cf");
    bios("15 ah=84 dx=0000 -> cf");
    bios("15 ah=84 dx=0001 -> cf");
    bios("15 ah=84 dx=0002 nc -> cf");
    bios("15 ax=8500 -> cf");
    bios("15 ax=8501 -> cf");
    bios("15 ax=9000 -> cf");
    bios("15 ax=9002 -> cf");
    bios("15 ax=90fd -> cf");
    bios("15 ax=9100 -> cf");
    bios("15 ax=9102 -> cf");
}

void system_group(void)
{
    bios("11 -> ");
    bios("11 eax=12345678 ebx=0 -> ");
    bios("12 -> ");
    bios("12 eax=12345678 -> ");
    bios("15 ah=00 nc -> cf");
    bios("15 ah=01 nc -> cf");
    bios("15 ah=02 nc -> cf");
    bios("15 ah=03 nc -> cf");
    bios("15 ax=0f00 nc -> cf");
    bios("15 ax=2100 nc -> cf");
    bios("15 ax=4f1d -> cf");
    bios("15 ax=4f1d nc -> cf");
    bios("15 ax=4fe1 -> cf");
    bios("15 ax=5200 dx=0080 -> cf");
    reserved_hooks();
    waits();
    bios("15 ah=c0 -> cf @es:bx+a ~al");
    bios("15 ah=c1 -> cf ~es ~al");
    say("15 ah=c1 -> segment=%s", regs.es == peek16(0x40, 0x0e) ? "that of 40:0E" : "another");
    bios("15 ah=c3 al=00 nc -> cf");
    bios("15 ah=c4 al=00 nc -> cf");
    bios("15 ah=c9 nc -> cf");
    bios("15 ax=d800 cl=00 nc -> cf");
    bios("15 ax=ec00 bl=02 nc -> cf");
    bios("15 ax=ffff nc -> cf");
    bios("05 -> [0050:0000]+1");
    bios("1c ->");
    bios("1b ->");
    bios("4a ->");
    say("18 -> %s", kind(peek16(0, 0x18 * 4 + 2), peek16(0, 0x18 * 4)));
    say("19 -> %s", kind(peek16(0, 0x19 * 4 + 2), peek16(0, 0x19 * 4)));
}

/* APM 1.2, section 4. AX=5307h power-off is the boot tests' affair; the machine would be gone. */
void apm_group(void)
{
    bios("15 ax=5300 bx=0000 -> cf");
    bios("15 ax=5300 bx=0001 nc -> cf");
    bios("15 ax=5304 bx=0000 nc -> cf");
    bios("15 ax=5305 bx=0000 nc -> cf");
    bios("15 ax=530e bx=0000 cx=0102 nc -> cf");
    bios("15 ax=5307 bx=0001 cx=0001 nc -> cf");
    bios("15 ax=5301 bx=0001 nc -> cf");
    bios("15 ax=5301 bx=0000 -> cf");
    bios("again: 15 ax=5301 bx=0000 nc -> cf");
    bios("15 ax=530e bx=0000 cx=0102 -> cf");
    bios("15 ax=530e bx=0000 cx=0101 -> cf");
    bios("15 ax=5308 bx=0001 cx=0001 -> cf");
    bios("15 ax=5308 bx=0001 cx=0000 -> cf");
    bios("15 ax=5308 bx=0001 cx=0002 nc -> cf");
    bios("15 ax=5308 bx=0123 cx=0001 nc -> cf");
    bios("15 ax=5309 bx=0001 -> cf");
    bios("15 ax=530a bx=0001 -> cf");
    bios("15 ax=530a bx=8001 -> cf");
    bios("15 ax=530a bx=8002 nc -> cf");
    bios("15 ax=530b bx=0000 nc -> cf");
    bios("15 ax=530c bx=0001 -> cf");
    bios("15 ax=530d bx=0001 cx=0001 -> cf");
    bios("15 ax=530f bx=0001 cx=0001 -> cf");
    bios("15 ax=5310 bx=0000 -> cf");
    bios("15 ax=5311 bx=0001 nc -> cf");
    bios("15 ax=5306 bx=0000 -> cf");
    bios("15 ax=5305 bx=0000 -> cf");
    bios("15 ax=5307 bx=01ff cx=0003 nc -> cf");
    bios("15 ax=5307 bx=0001 cx=0009 nc -> cf");
    bios("15 ax=5304 bx=0000 -> cf");
    bios("again: 15 ax=5304 bx=0000 nc -> cf");
    bios("15 ax=5302 bx=0000 -> cf ~ax ~bx ~ecx ~dx ~si ~di");
    const bool ok = !(regs.flags & CF);
    say("15 ax=5302 -> code=%s data=%s lengths=%s", ok ? kind((uint16_t)regs.eax, 0) : "none",
        ok ? kind((uint16_t)regs.ecx, 0) : "none",
        ok && (uint16_t)regs.esi && (uint16_t)regs.edi ? "given" : "none");
    bios("15 ax=5304 bx=0000 -> cf");
    bios("15 ax=5303 bx=0000 -> cf ~ax ~ebx ~cx ~dx ~esi ~di");
    const bool ok32 = !(regs.flags & CF);
    say("15 ax=5303 -> code=%s code16=%s data=%s", ok32 ? kind((uint16_t)regs.eax, 0) : "none",
        ok32 ? kind((uint16_t)regs.ecx, 0) : "none", ok32 ? kind((uint16_t)regs.edx, 0) : "none");
    if (ok32) {
        const uint32_t at = ((regs.eax & 0xffff) << 4) + regs.ebx;
        bios_flat(at, "apm32 ax=530a bx=0001 -> cf");
        bios_flat(at, "apm32 ax=530c bx=0001 -> cf");
        bios_flat(at, "apm32 ax=53ff bx=0001 nc -> cf");
    }
    bios("15 ax=5304 bx=0000 -> cf");
    bios("15 ax=53ff nc -> cf");
}
