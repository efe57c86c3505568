/* See usage.h. */
#include "host/usage.h"

#include <inttypes.h>
#include <stdio.h>

bool host_memory_usage(const void *from, uint64_t len, uint64_t *inside, uint64_t *elsewhere)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    if (!f)
        return false;
    const uintptr_t first = (uintptr_t)from;
    uint64_t *sum = elsewhere;
    char line[512];
    *inside = *elsewhere = 0;
    while (fgets(line, sizeof line, f)) {
        uint64_t start, end, kib;
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2)
            sum = start >= first && start - first < len ? inside : elsewhere;
        else if (sscanf(line, "Pss: %" SCNu64 " kB", &kib) == 1)
            *sum += kib * KiB;
    }
    fclose(f);
    return true;
}
