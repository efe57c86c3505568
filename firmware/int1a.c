/*
 * INT 1Ah: time of day; INT 08h, IRQ 0: the tick; INT 70h, IRQ 8: the real-time clock's alarm and
 * the waits of wait.c. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 1AH";
 * MC146818A "Registers".
 */
#include "bda.h"
#include "floppy.h"
#include "io.h"
#include "post16.h"
#include "pci_bios.h"
#include "rtc.h"
#include "timer.h"
#include "vectors.h"
#include "wait.h"

#define TICKS_PER_DAY 0x1800B0u
#define UPDATE_MS     5u /* an update takes 2 ms at most */

void handle_08(struct bregs *r)
{
    (void)r;
    if (++BDA->ticks >= TICKS_PER_DAY) {
        BDA->ticks = 0;
        BDA->ticks_midnight++;
    }
    floppy_tick();
    struct bregs regs = {0};
    call_int(0x1c, &regs);
    pic_eoi(0);
}

/* ---- the real-time clock ---- */

/* Between updates: what is read then belongs together. False: the clock stands still. */
static bool rtc_ready(void)
{
    struct timeout t = timeout_ms(UPDATE_MS);
    if (cmos_read(RTC_B) & RTC_B_SET)
        return false;
    while (cmos_read(RTC_A) & RTC_A_UPDATING)
        if (timed_out(&t))
            return false;
    return true;
}

static bool read_time(struct bregs *r)
{
    if (!rtc_ready())
        return false;
    r->dh = cmos_read(RTC_SECONDS);
    r->cl = cmos_read(RTC_MINUTES);
    r->ch = cmos_read(RTC_HOURS);
    r->dl = cmos_read(RTC_B) & RTC_B_DST;
    return true;
}

static bool read_date(struct bregs *r)
{
    if (!rtc_ready())
        return false;
    r->dl = cmos_read(RTC_DAY);
    r->dh = cmos_read(RTC_MONTH);
    r->cl = cmos_read(RTC_YEAR);
    r->ch = cmos_read(RTC_CENTURY);
    return true;
}

/* The clock is held while it is set. */
static void set_time(const struct bregs *r)
{
    rtc_ready();
    const uint8_t b =
        (uint8_t)((cmos_read(RTC_B) & ~(RTC_B_SET | RTC_B_DST)) | (r->dl & RTC_B_DST));
    cmos_write(RTC_B, b | RTC_B_SET);
    cmos_write(RTC_SECONDS, r->dh);
    cmos_write(RTC_MINUTES, r->cl);
    cmos_write(RTC_HOURS, r->ch);
    cmos_write(RTC_B, b);
}

static void set_date(const struct bregs *r)
{
    rtc_ready();
    const uint8_t b = (uint8_t)(cmos_read(RTC_B) & ~RTC_B_SET);
    cmos_write(RTC_B, b | RTC_B_SET);
    cmos_write(RTC_DAY_OF_WEEK, 0);
    cmos_write(RTC_DAY, r->dl);
    cmos_write(RTC_MONTH, r->dh);
    cmos_write(RTC_YEAR, r->cl);
    cmos_write(RTC_CENTURY, r->ch);
    cmos_write(RTC_B, b);
}

static bool set_alarm(const struct bregs *r)
{
    const uint8_t b = cmos_read(RTC_B);
    if (b & RTC_B_ALARM)
        return false; /* one is set already */
    if (!rtc_ready())
        return false;
    cmos_write(RTC_SECONDS_ALARM, r->dh);
    cmos_write(RTC_MINUTES_ALARM, r->cl);
    cmos_write(RTC_HOURS_ALARM, r->ch);
    cmos_read(RTC_C);
    pic_unmask(8);
    cmos_write(RTC_B, b | RTC_B_ALARM);
    return true;
}

static void clear_alarm(void)
{
    cmos_write(RTC_B, (uint8_t)(cmos_read(RTC_B) & ~RTC_B_ALARM));
}

void handle_70(struct bregs *r)
{
    (void)r;
    const uint8_t why = cmos_read(RTC_C) & cmos_read(RTC_B);
    if (why & RTC_B_PERIODIC)
        wait_tick();
    if (why & RTC_B_ALARM) {
        struct bregs regs = {0};
        call_int(0x4a, &regs);
    }
    pic_eoi(8);
}

/* ---- the service ---- */

static void read_ticks(struct bregs *r)
{
    r->cx = (uint16_t)(BDA->ticks >> 16);
    r->dx = (uint16_t)BDA->ticks;
    r->al = BDA->ticks_midnight;
    BDA->ticks_midnight = 0;
}

static void set_ticks(const struct bregs *r)
{
    BDA->ticks = (uint32_t)r->cx << 16 | r->dx;
    BDA->ticks_midnight = 0;
}

void handle_1a(struct bregs *r)
{
    bool ok = true;
    if (r->ah == 0xb1) {
        pci_bios(r);
        return;
    }
    switch (r->ah) {
    case 0x00:
        read_ticks(r);
        break;
    case 0x01:
        set_ticks(r);
        break;
    case 0x02:
        ok = read_time(r);
        break;
    case 0x03:
        set_time(r);
        break;
    case 0x04:
        ok = read_date(r);
        break;
    case 0x05:
        set_date(r);
        break;
    case 0x06:
        ok = set_alarm(r);
        break;
    case 0x07:
        clear_alarm();
        break;
    default:
        set_flag(r, FLAG_CF, 1);
        return;
    }
    r->ah = 0;
    set_flag(r, FLAG_CF, !ok);
}
