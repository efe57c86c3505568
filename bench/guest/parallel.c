// Two threads on two processors: independent work, one word that both add to, one lock.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include "bench.h"

enum { STEPS = 2000000, ADDS = 200000 };

static uint64_t results[2 * 16];

static void *compute(void *slot)
{
    uint64_t seed = 12345, sum = 0;
    for (int i = 0; i < STEPS; i++)
        sum += bench_random(&seed) >> 40;
    *(uint64_t *)slot = sum;
    return NULL;
}

static uint64_t word;
static int lock;

static void *contend(void *slot)
{
    (void)slot;
    for (int i = 0; i < ADDS; i++)
        __atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *spin(void *slot)
{
    (void)slot;
    for (int i = 0; i < ADDS; i++) {
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
            while (__atomic_load_n(&lock, __ATOMIC_RELAXED))
                __builtin_ia32_pause();
        word++;
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void together(int threads, void *(*work)(void *))
{
    pthread_t thread[2];
    for (int i = 0; i < threads; i++) {
        pthread_attr_t attributes;
        cpu_set_t where;
        CPU_ZERO(&where);
        CPU_SET((unsigned)i, &where);
        pthread_attr_init(&attributes);
        pthread_attr_setaffinity_np(&attributes, sizeof where, &where);
        if (pthread_create(&thread[i], &attributes, work,
                           &results[i * 16])) // one processor: not pinned
            pthread_create(&thread[i], NULL, work, &results[i * 16]);
        pthread_attr_destroy(&attributes);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
}

static uint64_t par1_round(void)
{
    together(1, compute);
    return results[0];
}

static uint64_t par2_round(void)
{
    together(2, compute);
    return results[0] == results[16] ? results[0] : 0;
}

static uint64_t contend2_round(void)
{
    word = 0;
    together(2, contend);
    return word;
}

static uint64_t spinlock2_round(void)
{
    word = 0;
    together(2, spin);
    return word;
}

const struct bench parallel_programs[] = {
    {"par1", "smp", "step", STEPS, 100, 0xf431787243a, par1_round},
    {"par2", "smp", "step", 2 * STEPS, 100, 0xf431787243a, par2_round},
    {"contend2", "smp", "addition", 2 * ADDS, 25, 2 * ADDS, contend2_round},
    {"spinlock2", "smp", "turn", 2 * ADDS, 10, 2 * ADDS, spinlock2_round},
    {.name = NULL},
};
