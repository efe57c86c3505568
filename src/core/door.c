/* See door.h. */
#include "core/door.h"

#include <sys/random.h>
#include <time.h>

void door_init(struct door *door, bool deterministic, uint64_t seed)
{
    *door = (struct door){.deterministic = deterministic, .seed = seed};
}

void door_enter(struct door *door, enum door_kind kind, const void *data, size_t len)
{
    door->entered[kind]++;
    if (door->log)
        door->log(door->log_opaque, kind, door->icount ? door->icount(door->icount_opaque) : 0,
                  data, len);
}

/* SplitMix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"). */
static uint64_t next_seeded(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void door_entropy(struct door *door, void *buf, size_t len)
{
    uint8_t *p = buf;
    size_t done = 0;
    if (!door->deterministic) {
        while (done < len) {
            ssize_t n = getrandom(p + done, len - done, 0);
            if (n <= 0)
                break; /* only on kernels without the call: fall through to the seed */
            done += (size_t)n;
        }
    }
    while (done < len) {
        uint64_t v = next_seeded(&door->seed);
        size_t n = MIN(len - done, sizeof v);
        memcpy(p + done, &v, n);
        done += n;
    }
    door_enter(door, DOOR_ENTROPY, buf, len);
}

int64_t door_date(struct door *door, int64_t *ns)
{
    struct timespec ts = {.tv_sec = DOOR_FIXED_DATE};
    if (!door->deterministic)
        clock_gettime(CLOCK_REALTIME, &ts);
    const int64_t date[2] = {ts.tv_sec, ts.tv_nsec};
    door_enter(door, DOOR_DATE, date, sizeof date);
    if (ns)
        *ns = ts.tv_nsec;
    return ts.tv_sec;
}
