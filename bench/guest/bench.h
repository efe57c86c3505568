// The benchmark programs: small integer kernels, each of which knows its own right answer.
//
// A round is a fixed amount of work with a fixed result; a unit is the smallest natural piece of it
// (a call, a byte, a node). A program is run for a number of rounds and checks every one. Nothing
// here depends on time, addresses or the C library, so that two runs execute the same instructions.
#pragma once
#include <stdint.h>

#define NOINLINE __attribute__((noinline, noclone))

struct bench {
    const char *name;
    const char *unit;
    uint64_t units_per_round;
    uint64_t default_rounds;
    uint64_t expected; // what every round must return
    uint64_t (*round)(void);
};

uint64_t corelike_round(void);
uint64_t dhrylike_round(void);
uint64_t qsort_round(void);
uint64_t vm_switch_round(void);
uint64_t vm_call_round(void);
uint64_t fib_round(void);
uint64_t ackermann_round(void);
uint64_t sha256c_round(void);
uint64_t queens_round(void);
uint64_t divmod_round(void);

// A generator with a fixed seed per round (Marsaglia's xorshift64).
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}
