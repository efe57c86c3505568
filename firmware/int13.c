/* INT 13h: disks. */
#include "bda.h"
#include "io.h"
#include "vectors.h"

void handle_13(struct bregs *r)
{
    r->ah = 0x01;
    set_flag(r, FLAG_CF, 1);
}

void handle_0e(struct bregs *r)
{
    (void)r;
    BDA->fd_recalibrate |= 0x80;
    pic_eoi(6);
}

void handle_76(struct bregs *r)
{
    (void)r;
    BDA->hd_irq_flag = 0xff;
    pic_eoi(14);
}

void handle_77(struct bregs *r)
{
    (void)r;
    BDA->hd_irq_flag = 0xff;
    pic_eoi(15);
}
