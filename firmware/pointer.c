/* INT 15h AH=C2h: the pointing device; INT 74h, IRQ 12. */
#include "io.h"
#include "vectors.h"

void handle_74(struct bregs *r)
{
    (void)r;
    inb(0x60); /* TODO(pointer): bytes are thrown away */
    pic_eoi(12);
}
