// The x87 unit: polynomials, division and square roots, and its trigonometric instructions.
#include <math.h>
#include <stddef.h>
#include "bench.h"

enum { STEPS = 20000 };

static uint64_t x87_poly_round(void)
{
    static const long double factor[] = {1.0L, -0.5L, 0.25L, -0.125L, 0.0625L, -0.03125L};
    long double sum = 0;
    for (int i = 0; i < STEPS; i++) {
        const long double x = (long double)(i % 100) / 128;
        long double p = factor[5];
        for (int k = 4; k >= 0; k--)
            p = p * x + factor[k];
        sum += p;
    }
    return (uint64_t)llroundl(sum * 1e6L);
}

static uint64_t x87_div_round(void)
{
    long double sum = 0;
    for (int i = 1; i <= STEPS; i++)
        sum += 1.0L / (long double)i + __builtin_sqrtl((long double)i) * 0.001L;
    return (uint64_t)llroundl(sum * 1e6L);
}

static uint64_t x87_trig_round(void)
{
    long double sum = 0;
    for (int i = 0; i < STEPS; i++) {
        long double s, c, x = (long double)i * 0.001L;
        __asm__("fsincos" : "=t"(c), "=u"(s) : "0"(x));
        sum += s * 2 + c;
    }
    return (uint64_t)llroundl(sum * 1e6L);
}

const struct bench x87_programs[] = {
    {"x87_poly", "x87", "iteration", STEPS, 1000, 0x3ef91282b, x87_poly_round},
    {"x87_div", "x87", "iteration", STEPS, 700, 0x71053f62, x87_div_round},
    {"x87_trig", "x87", "iteration", STEPS, 150, 0x7cf0ec7e, x87_trig_round},
    {.name = NULL},
};
