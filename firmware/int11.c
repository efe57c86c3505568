/* INT 11h: equipment. */
#include "bda.h"
#include "vectors.h"

void handle_11(struct bregs *r)
{
    r->ax = BDA->equipment;
}
