// The benchmark programs: kernels that know their own right answer, and commands whose output is
// compared.
//
// A round is a fixed amount of work with a fixed result; a unit is the smallest natural piece of it
// (a call, a byte, a node). A program is run for a number of rounds and checks every one. Nothing
// in the groups that compute depends on time, addresses or the C library, so that two runs execute
// the same instructions.
#pragma once
#include <stdint.h>

#define NOINLINE __attribute__((noinline, noclone))

struct bench {
    const char *name;
    const char *group; // see bench/run --list
    const char *unit;
    uint64_t units_per_round;
    uint64_t default_rounds;
    uint64_t expected; // what every round must return
    uint64_t (*round)(void);
};

// One array per file; each ends with a row without a name.
extern const struct bench int_programs[], simd_programs[], fp_programs[], x87_programs[],
    memory_programs[], code_programs[], system_programs[], parallel_programs[];

// A real program: a shell command whose standard output is hashed.
struct command {
    const char *name;
    const char *group;
    const char *unit;
    uint64_t units;
    const char *shell;
};
extern const struct command commands[];

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

// Writes the inputs of the commands: data KIND BYTES.
int write_data(const char *kind, uint64_t bytes);

// A generator with a fixed seed per round (Marsaglia's xorshift64).
static inline uint64_t bench_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

// A hash of bytes (FNV-1a).
static inline uint64_t bench_hash(uint64_t h, const void *data, uint64_t n)
{
    const unsigned char *p = data;
    for (uint64_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}
#define BENCH_HASH_START 0xcbf29ce484222325u
