/* INT 14h: serial ports. */
#include "vectors.h"

void handle_14(struct bregs *r)
{
    r->ah = 0x80; /* timeout: TODO(serial): no port is driven yet */
}
