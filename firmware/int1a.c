/* INT 1Ah: time of day, PCI BIOS; INT 08h, IRQ 0: the tick; INT 70h, IRQ 8: the clock's alarm. */
#include "bda.h"
#include "floppy.h"
#include "io.h"
#include "post16.h"
#include "vectors.h"

#define TICKS_PER_DAY 0x1800B0

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

void handle_1a(struct bregs *r)
{
    set_flag(r, FLAG_CF, 1); /* TODO(time) */
}

void handle_70(struct bregs *r)
{
    (void)r;
    cmos_read(0x0c);
    pic_eoi(8);
}
