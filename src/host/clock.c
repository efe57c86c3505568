/* See clock.h. */
#include "host/clock.h"

#include <time.h>

static int64_t read_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_SEC + ts.tv_nsec;
}

int64_t host_clock_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t host_cpu_time_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}
