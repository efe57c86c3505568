/*
 * Time, from the ACPI power management timer: 3.579545 MHz, 24 bits, it runs whatever software does
 * to the 8254 (ACPI 6.5 §4.8.2.1 "Power Management Timer"). Both modes; POST sets its port.
 */
#ifndef FIRMWARE_TIMER_H
#define FIRMWARE_TIMER_H

#include "io.h"
#include "mode.h"

#define PM_BASE       0x600 /* of the PIIX4's function 3; chipset.c puts it there */
#define PM_TIMER      (PM_BASE + 8)
#define PM_TIMER_MASK 0xFFFFFFu
#define TICKS_PER_MS  3580u

struct timeout {
    uint32_t last, left; /* ticks */
};

static inline uint32_t timer_read(void)
{
    return inl(PM_TIMER) & PM_TIMER_MASK;
}

/* At most 20 minutes. */
static inline struct timeout timeout_ms(uint32_t ms)
{
    return (struct timeout){timer_read(), ms * TICKS_PER_MS};
}

/* To be asked at least every four seconds. */
static inline bool timed_out(struct timeout *t)
{
    const uint32_t now = timer_read();
    const uint32_t passed = (now - t->last) & PM_TIMER_MASK;
    t->last = now;
    t->left = passed < t->left ? t->left - passed : 0;
    return t->left == 0;
}

static inline void delay_us(uint32_t us)
{
    struct timeout t = {timer_read(), us * TICKS_PER_MS / 1000 + 1};
    while (!timed_out(&t))
        ;
}

#endif
