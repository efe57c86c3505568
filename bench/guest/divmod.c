// 32- and 64-bit division: greatest common divisors, and numbers turned into decimal digits at run
// time.
#include "bench.h"

static NOINLINE uint64_t gcd64(uint64_t a, uint64_t b, uint64_t *steps)
{
    while (b) {
        uint64_t r = a % b;
        a = b;
        b = r;
        ++*steps;
    }
    return a;
}

static NOINLINE uint32_t gcd32(uint32_t a, uint32_t b, uint64_t *steps)
{
    while (b) {
        uint32_t r = a % b;
        a = b;
        b = r;
        ++*steps;
    }
    return a;
}

static NOINLINE uint64_t digits(uint64_t n, uint64_t base, uint64_t *steps)
{
    uint64_t sum = 0;
    for (; n; n /= base, ++*steps)
        sum = sum * 3 + n % base;
    return sum;
}

uint64_t divmod_round(void)
{
    uint64_t seed = 0x9e3779b97f4a7c15u, sum = 0, steps = 0;
    volatile uint64_t ten = 10;
    for (int i = 0; i < 1000; i++) {
        uint64_t a = bench_random(&seed), b = bench_random(&seed);
        sum += gcd64(a, b, &steps);
        sum += gcd32((uint32_t)a, (uint32_t)b, &steps);
        sum ^= digits(a, ten, &steps);
    }
    return steps << 40 ^ sum;
}
