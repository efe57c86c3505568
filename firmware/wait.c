/*
 * INT 15h AH=83h: sets a bit of the caller's after CX:DX microseconds, counted by the real-time
 * clock's periodic interrupt; AH=86h: waits as long. IBM PS/2 and PC BIOS Interface Technical
 * Reference, "Interrupt 15H".
 */
#include "wait.h"

#include "bda.h"
#include "int15.h"
#include "io.h"
#include "post16.h"
#include "rtc.h"
#include "timer.h"

#define TICK_MS   55   /* IRQ 0 ends a HLT at the latest after that */
#define PERIOD_US 977u /* 1024 Hz */
#define WAIT_BUSY 0x01 /* BDA->wait_active */
#define WAIT_OVER 0x80 /* what the caller's byte gets */

static void periodic(bool on)
{
    const uint8_t b = (uint8_t)(cmos_read(RTC_B) & ~RTC_B_PERIODIC);
    cmos_write(RTC_B, on ? b | RTC_B_PERIODIC : b);
}

void wait_tick(void)
{
    if (!(BDA->wait_active & WAIT_BUSY)) {
        periodic(false);
        return;
    }
    if (BDA->wait_us > PERIOD_US) {
        BDA->wait_us -= PERIOD_US;
        return;
    }
    const uint32_t flag = BDA->wait_flag;
    const uint16_t seg = (uint16_t)(flag >> 16), off = (uint16_t)flag;
    periodic(false);
    BDA->wait_us = 0;
    BDA->wait_active = 0;
    far_write8(seg, off, far_read8(seg, off) | WAIT_OVER);
}

/* AL 0: begins, ES:BX is the byte; 1: calls it off. */
void event_wait(struct bregs *r)
{
    if (r->al == 1) {
        periodic(false);
        BDA->wait_active = 0;
        r->ah = 0;
        set_flag(r, FLAG_CF, 0);
        return;
    }
    if (r->al != 0 || (BDA->wait_active & WAIT_BUSY)) {
        unsupported(r);
        return;
    }
    BDA->wait_flag = (uint32_t)r->es << 16 | r->bx;
    BDA->wait_us = (uint32_t)r->cx << 16 | r->dx;
    BDA->wait_active = WAIT_BUSY;
    pic_unmask(8);
    cmos_write(RTC_A, RTC_A_32768_HZ | RTC_A_1024_HZ);
    periodic(true);
    r->ah = 0;
    set_flag(r, FLAG_CF, 0);
}

void wait_service(struct bregs *r)
{
    if (BDA->wait_active & WAIT_BUSY) {
        r->ah = 0x83;
        set_flag(r, FLAG_CF, 1);
        return;
    }
    const uint32_t us = (uint32_t)r->cx << 16 | r->dx;
    /* ticks of the timer are 0.2794 us; 3.58 a microsecond without a 64-bit product */
    struct timeout t = {timer_read(), us / 1000 * TICKS_PER_MS + us % 1000 * TICKS_PER_MS / 1000};
    irq_enable(); /* ticks are not lost meanwhile */
    const bool sleep = !(inb(PIC_MASTER + 1) & BIT(0));
    while (!timed_out(&t))
        if (sleep && t.left > 2 * TICK_MS * TICKS_PER_MS) {
            wait_irq();
            irq_enable();
        }
    set_flag(r, FLAG_CF, 0);
}
