/* The real-time clock runs, without interrupts; the tick count starts at its time of day. */
#include "bda.h"
#include "io.h"
#include "post.h"

#define RTC_SECONDS  0x00
#define RTC_MINUTES  0x02
#define RTC_HOURS    0x04
#define RTC_A        0x0A
#define RTC_B        0x0B
#define RTC_C        0x0C

#define A_UPDATING   0x80
#define A_32KHZ_1024 0x26 /* the crystal; periodic interrupts, if any, 1024 a second */
#define B_24H        0x02
#define B_BINARY     0x04

static uint32_t read(uint8_t reg)
{
    const uint8_t v = cmos_read(reg);
    return cmos_read(RTC_B) & B_BINARY ? v : (v >> 4) * 10u + (v & 0xf);
}

void rtc_init(void)
{
    cmos_write(RTC_A, A_32KHZ_1024);
    cmos_write(RTC_B, B_24H | (cmos_read(RTC_B) & B_BINARY));
    cmos_read(RTC_C);
    for (unsigned n = 0; n < 10000 && (cmos_read(RTC_A) & A_UPDATING); n++)
        ;
    const uint32_t s = (read(RTC_HOURS) * 60 + read(RTC_MINUTES)) * 60 + read(RTC_SECONDS);
    /* a tick is 65536 cycles of 1193182 Hz */
    BDA->ticks = (uint32_t)((uint64_t)s * 1193182 >> 16);
    pic_unmask(8);
}
