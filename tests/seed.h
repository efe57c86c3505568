/*
 * The seed of a random test: the same in every run, so that a run can be repeated, or what the
 * environment says in FUZZ_SEED. It is printed, and CTest shows it when the test fails.
 */
#ifndef VITRINE_TESTS_SEED_H
#define VITRINE_TESTS_SEED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline uint64_t seed_of(const char *test, uint64_t usual)
{
    const char *chosen = getenv("FUZZ_SEED");
    const uint64_t seed = chosen ? strtoull(chosen, NULL, 0) : usual;
    printf("%s: FUZZ_SEED=%#" PRIx64 "\n", test, seed);
    fflush(stdout);
    return seed ? seed : 1; /* 0 leads nowhere in some generators */
}
#define test_seed(usual) seed_of(__func__, usual)

#endif
