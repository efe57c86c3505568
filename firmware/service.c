/* What POST calls in 16-bit code goes through here (post16.h). */
#include "post16.h"

void run_service(struct bregs *r);

void run_service(struct bregs *r)
{
    service_fn *fn = (service_fn *)r->eax;
    r->eax = fn(r->edx);
}
