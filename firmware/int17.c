/* INT 17h: printers; INT 05h: print screen. */
#include "vectors.h"

void handle_05(struct bregs *r)
{
    (void)r; /* TODO(printer) */
}

void handle_17(struct bregs *r)
{
    r->ah = 0x01; /* timeout: TODO(printer): no port is driven yet */
}
