/* Host time. Nothing else in the tree calls the OS clock (door_date() for the date excepted). */
#ifndef VITRINE_HOST_CLOCK_H
#define VITRINE_HOST_CLOCK_H

#include "core/types.h"

int64_t host_clock_ns(void);    /* monotonic */
int64_t host_cpu_time_ns(void); /* CPU time of this process so far: user and system */

#endif
