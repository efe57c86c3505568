/* INT 16h: the keyboard's buffer; INT 09h, IRQ 1: what fills it. */
#include "io.h"
#include "vectors.h"

void handle_09(struct bregs *r)
{
    (void)r;
    inb(0x60); /* TODO(keyboard): scan codes are thrown away */
    pic_eoi(1);
}

void handle_16(struct bregs *r)
{
    if ((r->ah & 0xef) == 0x01)
        set_flag(r, FLAG_ZF, 1);
}
