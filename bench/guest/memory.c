// Loads and stores: copies of several kinds and sizes, string instructions, a stream, chains of
// pointers.
//
// The two buffers of the large copies lie a multiple of 8 MiB apart, so that in a direct-mapped
// table of translations source and destination fight for the same lines.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "bench.h"

#define KIB 1024ul
#define MIB (1024ul * 1024)

// Mapped once and written once, so that no round takes page faults.
static unsigned char *area(unsigned long bytes)
{
    static unsigned char *base;
    static unsigned long size;
    if (bytes > size) {
        if (base)
            munmap(base, size);
        base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (base == MAP_FAILED)
            abort();
        memset(base, 1, bytes);
        size = bytes;
    }
    return base;
}

static void fill(unsigned char *p, unsigned long bytes)
{
    for (unsigned long i = 0; i < bytes; i += 61)
        p[i] = (unsigned char)(i * 7);
}

static uint64_t check_copy(const unsigned char *p, unsigned long bytes)
{
    uint64_t h = 0;
    for (unsigned long i = 0; i < bytes; i += 61)
        h = h * 31 + p[i];
    return h;
}

enum { PAIRS = 4096, LDST_PASSES = 16 };

// Each address from the value before, so that the latency of an access is seen.
static uint64_t ldst_round(void)
{
    uint64_t *v = (uint64_t *)area(64 * KIB), sum = 0;
    for (int i = 0; i < PAIRS; i++)
        v[i] = (uint64_t)i * 11;
    for (int pass = 0; pass < LDST_PASSES; pass++)
        for (int i = 0; i < PAIRS; i++) {
            const uint64_t at = (sum + (uint64_t)i * 37) % PAIRS;
            sum += v[at];
            v[(at + 1) % PAIRS] = sum;
        }
    return sum;
}

static void rep_movsb(void *to, const void *from, unsigned long n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void rep_movsq(void *to, const void *from, unsigned long n)
{
    n /= 8;
    __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void rep_stosb(void *to, int value, unsigned long n)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}

static void lib_memcpy(void *to, const void *from, unsigned long n)
{
    memcpy(to, from, n);
}

static void lib_memset(void *to, int value, unsigned long n)
{
    memset(to, value, n);
}

static uint64_t copies(unsigned long size, int times,
                       void (*copy)(void *, const void *, unsigned long))
{
    const unsigned long apart = size > 4 * MIB ? 8 * MIB : size;
    unsigned char *from = area(2 * apart), *to = from + apart;
    fill(from, size);
    memset(to, 0, 64);
    for (int i = 0; i < times; i++)
        copy(to, from, size);
    return check_copy(to, size);
}

static uint64_t memcpy_16k_round(void)
{
    return copies(16 * KIB, 256, lib_memcpy);
}
static uint64_t memcpy_8m_round(void)
{
    return copies(8 * MIB, 2, lib_memcpy);
}
static uint64_t repmovsb_16k_round(void)
{
    return copies(16 * KIB, 256, rep_movsb);
}
static uint64_t repmovsb_8m_round(void)
{
    return copies(8 * MIB, 2, rep_movsb);
}
static uint64_t repmovsq_16k_round(void)
{
    return copies(16 * KIB, 256, rep_movsq);
}

static uint64_t sets(int times, void (*set)(void *, int, unsigned long))
{
    unsigned char *to = area(64 * KIB);
    for (int i = 0; i < times; i++)
        set(to, i, 64 * KIB);
    return check_copy(to, 64 * KIB);
}

static uint64_t memset_64k_round(void)
{
    return sets(64, lib_memset);
}
static uint64_t repstosb_64k_round(void)
{
    return sets(64, rep_stosb);
}

enum { TRIAD = 2 * 1024 * 1024 }; // doubles: 16 MiB an array, 48 in all

static uint64_t triad_48m_round(void)
{
    double *a = (double *)area(48 * MIB), *b = a + TRIAD, *c = b + TRIAD;
    static int filled;
    if (!filled)
        for (long i = 0; i < TRIAD; i++) {
            b[i] = (double)(i % 1000);
            c[i] = (double)(i % 77);
        }
    filled = 1;
    for (long i = 0; i < TRIAD; i++)
        a[i] = b[i] + 3 * c[i];
    double sum = 0;
    for (long i = 0; i < TRIAD; i += 997)
        sum += a[i];
    return (uint64_t)sum;
}

enum { LOADS = 1024 * 1024 };

// A cycle through every 64th byte of size bytes, in random order, gone round at least once; laid
// once per size.
static uint64_t chase(unsigned long size)
{
    static unsigned long laid;
    static void **start;
    const unsigned long lines = size / 64;
    if (laid != size) {
        unsigned char *base = area(size);
        uint32_t *order = malloc(lines * sizeof *order);
        uint64_t seed = 7;
        if (!order)
            abort();
        for (unsigned long i = 0; i < lines; i++)
            order[i] = (uint32_t)i;
        for (unsigned long i = lines - 1; i > 0; i--) {
            const unsigned long j = bench_random(&seed) % (i + 1);
            const uint32_t t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        for (unsigned long i = 0; i < lines; i++)
            *(void **)(base + order[i] * 64ul) = base + order[(i + 1) % lines] * 64ul;
        start = (void **)(base + order[0] * 64ul);
        free(order);
        laid = size;
    }
    void **p = start;
    for (unsigned long i = 0; i < LOADS; i++)
        p = *p;
    return p == start ? lines : 0;
}

static uint64_t chase_16k_round(void)
{
    return chase(16 * KIB);
}
static uint64_t chase_1m_round(void)
{
    return chase(MIB);
}
static uint64_t chase_64m_round(void)
{
    return chase(64 * MIB);
}

const struct bench memory_programs[] = {
    {"ldst", "memory", "pair", PAIRS *LDST_PASSES, 700, 0xfdb4171, ldst_round},
    {"memcpy_16k", "memory", "byte", 256 * 16 * KIB, 500, 0x8e6cc31ac0f7dbc2, memcpy_16k_round},
    {"memcpy_8m", "memory", "byte", 16 * MIB, 200, 0xd08db748022d537d, memcpy_8m_round},
    {"repmovsb_16k", "memory", "byte", 256 * 16 * KIB, 500, 0x8e6cc31ac0f7dbc2, repmovsb_16k_round},
    {"repmovsb_8m", "memory", "byte", 16 * MIB, 6, 0xd08db748022d537d, repmovsb_8m_round},
    {"repmovsq_16k", "memory", "byte", 256 * 16 * KIB, 3000, 0x8e6cc31ac0f7dbc2,
     repmovsq_16k_round},
    {"memset_64k", "memory", "byte", 64 * 64 * KIB, 700, 0xf209ec0a8fc0b75f, memset_64k_round},
    {"repstosb_64k", "memory", "byte", 64 * 64 * KIB, 700, 0xf209ec0a8fc0b75f, repstosb_64k_round},
    {"triad_48m", "memory", "element", TRIAD, 30, 0x143bd5, triad_48m_round},
    {"chase_16k", "memory", "load", LOADS, 100, 0x100, chase_16k_round},
    {"chase_1m", "memory", "load", LOADS, 25, 0x4000, chase_1m_round},
    {"chase_64m", "memory", "load", LOADS, 2, 0x100000, chase_64m_round},
    {.name = NULL},
};
