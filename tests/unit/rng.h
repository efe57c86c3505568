/* Random numbers that repeat: everything follows from rng_state, of which a program has one. */
#ifndef VITRINE_TESTS_RNG_H
#define VITRINE_TESTS_RNG_H

#include "core/types.h"

/* weak: however many files of a program include this */
__attribute__((weak)) uint64_t rng_state = UINT64_C(0x9e3779b97f4a7c15);

static inline uint64_t rnd(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * UINT64_C(0x2545f4914f6cdd1d);
}
static inline unsigned below(unsigned n)
{
    return (unsigned)((rnd() >> 32) % n);
}
static inline bool one_in(unsigned n)
{
    return below(n) == 0;
}

#endif
