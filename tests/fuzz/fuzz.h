/*
 * What all fuzzers share: decisions are taken from the bytes of an input, and from a generator that
 * those bytes seed once they are used up. So eight random bytes are a whole case, a longer input
 * decides more of it, and the same input is always the same case.
 *
 * A fuzzer is a program of its own: driver.c replays a corpus and makes up inputs; or libFuzzer
 * does (-DVITRINE_LIBFUZZER=ON, clang), which finds its way by the code that inputs reach.
 */
#ifndef VITRINE_TESTS_FUZZ_H
#define VITRINE_TESTS_FUZZ_H

#include "core/types.h"

#include <stdio.h>
#include <stdlib.h>

/* One case. Returns 0; what is found ends the process, by abort() or a sanitizer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What driver.c asks of a fuzzer. */
struct fuzz_program {
    size_t max_len;        /* of an input that is made up */
    unsigned seconds;      /* of processor time that one case may take */
    void (*fixed)(void);   /* what is run once before all inputs; may be NULL */
    void (*summary)(void); /* says what was seen; may be NULL */
};
extern const struct fuzz_program fuzz_program;

struct fuzz_source {
    const uint8_t *in;
    size_t len, at;
    uint64_t rng;
};
static struct fuzz_source fuzz_source;

static inline void fuzz_begin(const uint8_t *data, size_t len)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ data[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 29;
    fuzz_source = (struct fuzz_source){.in = data, .len = len, .rng = h ? h : 1};
}

/* A finding: says what, and ends. */
#define fuzz_fail(...)                \
    do {                              \
        printf("fuzz: " __VA_ARGS__); \
        putchar('\n');                \
        fflush(stdout);               \
        abort();                      \
    } while (0)

/* --- decisions --- */

#define VITRINE_RANDOM /* insn_rig.h, random_operands.h: these, not those of your own */

static inline uint64_t fuzz_take(unsigned bytes)
{
    struct fuzz_source *f = &fuzz_source;
    if (f->len - f->at >= bytes) {
        const uint8_t *p = f->in + f->at;
        uint64_t v = 0;
        for (unsigned i = 0; i < bytes; i++)
            v |= (uint64_t)p[i] << (8 * i);
        f->at += bytes;
        return v;
    }
    f->at = f->len;
    f->rng ^= f->rng << 13;
    f->rng ^= f->rng >> 7;
    f->rng ^= f->rng << 17;
    return (f->rng * UINT64_C(0x2545f4914f6cdd1d)) >> (64 - 8 * bytes);
}

static inline uint64_t rnd(void)
{
    return fuzz_take(8);
}
static inline unsigned below(unsigned n)
{
    return (unsigned)(fuzz_take(n <= 256 ? 2 : 5) % n);
}
static inline bool one_in(unsigned n)
{
    return below(n) == 0;
}

#endif
