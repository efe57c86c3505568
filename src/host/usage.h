/* How much host memory the process takes. */
#ifndef VITRINE_HOST_USAGE_H
#define VITRINE_HOST_USAGE_H

#include "core/types.h"

/*
 * Bytes that are resident, in [from, from + len) and elsewhere. What is mapped several times counts
 * once, what others map too by this process' share ("Pss" in proc(5)). False: the host does not
 * say.
 */
bool host_memory_usage(const void *from, uint64_t len, uint64_t *inside, uint64_t *elsewhere);

#endif
