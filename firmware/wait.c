/* INT 15h AH=86h: waits for CX:DX microseconds. */
#include "int15.h"
#include "io.h"
#include "post16.h"
#include "timer.h"

#define TICK_MS 55 /* IRQ 0 ends a HLT at the latest after that */

void wait_service(struct bregs *r)
{
    const uint32_t us = (uint32_t)r->cx << 16 | r->dx;
    /* ticks of the timer are 0.2794 us; 3.58 a microsecond without a 64-bit product */
    struct timeout t = {timer_read(), us / 1000 * TICKS_PER_MS + us % 1000 * TICKS_PER_MS / 1000};
    const bool sleep = !(inb(PIC_MASTER + 1) & BIT(0));
    while (!timed_out(&t))
        if (sleep && t.left > 2 * TICK_MS * TICKS_PER_MS)
            wait_irq();
    set_flag(r, FLAG_CF, 0);
}
