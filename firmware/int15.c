/* INT 15h: what other services have no room for. This file only finds the one that is meant. */
#include "int15.h"

#include "vectors.h"

void handle_15(struct bregs *r)
{
    switch (r->ah) {
    default:
        unsupported(r);
    }
}
