/*
 * INT 1Ah 00h-0Bh and the interrupts behind it: 08h and 1Ch, 70h and 4Ah. The driver starts the
 * clock at 2031-05-06 07:08:09 (-rtc base=). Sources: RBIL; IBM PS/2 BIOS Interface Technical
 * Reference, "INT 1AH".
 */
#include "rt.h"

void tick_hook(void);
void alarm_hook(void);
extern uint32_t tick_count, alarm_count;

static bool midnight_passed(void)
{
    return peek8(0x40, 0x70) != 0;
}
static bool alarm_rang(void)
{
    return alarm_count != 0;
}

static void system_ticks(void)
{
    bios("1a ah=00 -> ~cx ~dx");
    const uint32_t at = (regs.ecx & 0xffff) << 16 | (regs.edx & 0xffff), now = ticks();
    say("1a ah=00 -> cx:dx=%s", now - at < 3 ? "40:6C" : "wrong");
    /* 07:08 is 7.13 hours of 65543.33 ticks */
    const uint32_t start = (7 * 60 + 8) * 10924 / 10 + 9 * 182 / 10;
    say("ticks since midnight -> %s", now - start < 4000 ? "as the clock's time" : "wrong");
    bios("1a ah=01 cx=0012 dx=3456 -> ~al");
    bios("1a ah=00 -> ~dl");
    bios("past the end: 1a ah=01 cx=0018 dx=00b0 -> ~al");
    bios("1a ah=00 -> ~dl");

    bios("1a ah=01 cx=0018 dx=00ae -> ~al");
    say("midnight -> %s", wait_ticks(10, midnight_passed) ? "passed" : "not seen");
    say("midnight -> count=%s flag=%02x", peek32(0x40, 0x6c) < 4 ? "0" : "wrong",
        peek8(0x40, 0x70));
    bios("1a ah=00 -> ~dx");
    bios("1a ah=00 -> ~dx");
    cli();
    poke8(0x40, 0x70, 1);
    sti();
    bios("1a ah=01 cx=0001 dx=0000 -> ~al [0040:0070]+1");

    const uint32_t old = get_vector(0x1c);
    set_vector(0x1c, tick_hook);
    tick_count = 0;
    wait_ticks(5, NULL);
    say("1C hooks -> %s in 5 ticks", tick_count >= 4 && tick_count <= 6 ? "5" : "wrong");
    put_vector(0x1c, old);
    outb(0x43, 0xe2); /* read back the status of channel 0 */
    say("8254 channel 0 -> mode=%d", inb(0x40) >> 1 & 7);
    /* A diskette motor count runs down to 0, where the motors go off. */
    cli();
    poke8(0x40, 0x40, 3);
    poke8(0x40, 0x3f, 0x21);
    sti();
    wait_ticks(5, NULL);
    say("08 counts down 40:40 -> %02x motors=%02x", peek8(0x40, 0x40), peek8(0x40, 0x3f));
}

static bool in_bcd(uint32_t v)
{
    for (; v; v >>= 4)
        if ((v & 15) > 9)
            return false;
    return true;
}

static void real_time_clock(void)
{
    bios("1a ah=02 -> cf ~al ~cl ~dx");
    say("1a ah=02 -> minute=%s second=%s dst=%02x",
        in_bcd(regs.ecx & 0xff) && (regs.ecx & 0xff) >= 8 && (regs.ecx & 0xff) < 0x20 ? "right"
                                                                                      : "wrong",
        in_bcd(regs.edx >> 8 & 0xff) && (regs.edx >> 8 & 0xff) < 0x60 ? "right" : "wrong",
        regs.edx & 0xff);
    bios("1a ah=04 -> cf ~al");
    bios("1a ah=03 cx=2358 dx=3100 -> cf ~al");
    bios("1a ah=02 -> cf ~al ~dh");
    bios("1a ah=03 cx=1122 dx=3301 -> cf ~al");
    bios("1a ah=02 -> cf ~al ~dh");
    bios("1a ah=03 cx=1122 dx=3300 -> cf ~al");
    bios("1a ah=05 cx=2024 dx=0229 -> cf ~al");
    bios("1a ah=04 -> cf ~al");
    bios("1a ah=05 cx=1999 dx=1231 -> cf ~al");
    bios("1a ah=04 -> cf ~al");
    bios("1a ah=03 cx=2359 dx=5900 -> cf ~al");
    wait_ticks(30, NULL);
    bios("rolled over: 1a ah=04 -> cf ~al");
    outb(0x70, 0xb2);
    const uint8_t century = inb(0x71);
    outb(0x70, 0x89);
    say("rolled over -> century=%02x year=%02x", century, inb(0x71));
    outb(0x70, 0x0d);
    bios("rolled over: 1a ah=02 -> cf ~al ~dh");
}

static void alarms(void)
{
    const uint32_t old = get_vector(0x4a);
    set_vector(0x4a, alarm_hook);
    alarm_count = 0;
    bios("1a ah=03 cx=1200 dx=0000 -> cf ~al");
    bios("1a ah=06 cx=1200 dx=0200 -> cf ~al");
    bios("again: 1a ah=06 cx=1300 dx=0000 nc -> cf ~al");
    outb(0x70, 0x8b);
    say("alarm on -> AIE=%d", inb(0x71) >> 5 & 1);
    outb(0x70, 0x0d);
    say("alarm -> %s", wait_ticks(80, alarm_rang) ? "rang" : "did not ring");
    bios("1a ah=07 -> ~al");
    bios("1a ah=07 -> ~al");
    outb(0x70, 0x8b);
    say("alarm off -> AIE=%d", inb(0x71) >> 5 & 1);
    outb(0x70, 0x0d);
    bios("1a ah=06 cx=1300 dx=0000 -> cf ~al");
    bios("1a ah=07 -> ~al");
    alarm_count = 0;
    wait_ticks(3, NULL);
    say("interrupts masked -> irq8=%d", inb(0xa1) & 1);
    put_vector(0x4a, old);
}

void clock_group(void)
{
    system_ticks();
    real_time_clock();
    alarms();
    bios("1a ah=08 nc -> cf");
    bios("1a ah=09 nc -> cf");
    bios("1a ah=0a nc -> cf");
    bios("1a ah=0b nc -> cf");
    bios("1a ah=20 nc -> cf");
    bios("1a ax=bb00 nc -> cf");
    bios("1a ah=ff nc -> cf");
}
