/*
 * What the programs of this folder share: numbers that look random and are the same everywhere, and
 * a checksum over results. Each program prints the same lines on any CPU that has the same
 * features: tests/boot/test_linux.py runs it in the guest and under the host's own Linux, and
 * compares.
 */
#ifndef DRAW_H
#define DRAW_H

#include <stdint.h>
#include <stddef.h>

/* splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

static inline uint64_t below(uint64_t *seed, uint64_t n)
{
    return draw(seed) % n;
}

static inline uint64_t mix(uint64_t sum, uint64_t value)
{
    uint64_t s = sum ^ value;
    return draw(&s);
}

static inline uint64_t mix_bytes(uint64_t sum, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < n; i++)
        sum = (sum ^ p[i]) * 0x100000001b3; /* FNV-1a */
    return mix(sum, n);
}

#endif
