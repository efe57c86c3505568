/* INT 12h: kilobytes of base memory. */
#include "bda.h"
#include "vectors.h"

void handle_12(struct bregs *r)
{
    r->ax = BDA->base_kib;
}
