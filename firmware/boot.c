/* INT 19h: boot; INT 18h: the next device, or none is left. */
#include "print.h"
#include "post16.h"
#include "vectors.h"

void handle_19(struct bregs *r)
{
    (void)r;
    print("Nothing to boot from.\n");
    for (;;)
        wait_irq();
}

void handle_18(struct bregs *r)
{
    handle_19(r);
}
