// Quicksort of 32-bit numbers through a comparison function, short pieces by insertion.
#include "bench.h"

enum { ELEMENTS = 20000 };

static uint32_t data[ELEMENTS];

static NOINLINE int compare(const uint32_t *a, const uint32_t *b)
{
    return (*a > *b) - (*a < *b);
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t t = *a;
    *a = *b;
    *b = t;
}

static void sort(uint32_t *v, long n, int (*order)(const uint32_t *, const uint32_t *))
{
    while (n > 12) {
        long i = 0, j = n - 1;
        if (order(&v[n / 2], &v[0]) < 0)
            swap(&v[n / 2], &v[0]);
        if (order(&v[n - 1], &v[n / 2]) < 0) {
            swap(&v[n - 1], &v[n / 2]);
            if (order(&v[n / 2], &v[0]) < 0)
                swap(&v[n / 2], &v[0]);
        }
        uint32_t pivot = v[n / 2];
        while (i <= j) {
            while (order(&v[i], &pivot) < 0)
                i++;
            while (order(&v[j], &pivot) > 0)
                j--;
            if (i <= j)
                swap(&v[i++], &v[j--]);
        }
        if (j + 1 < n - i) {
            sort(v, j + 1, order);
            v += i;
            n -= i;
        } else {
            sort(v + i, n - i, order);
            n = j + 1;
        }
    }
    for (long i = 1; i < n; i++) {
        uint32_t value = v[i];
        long j = i;
        for (; j > 0 && order(&v[j - 1], &value) > 0; j--)
            v[j] = v[j - 1];
        v[j] = value;
    }
}

uint64_t qsort_round(void)
{
    uint64_t seed = 88172645463325252u, sum = 0;
    for (int i = 0; i < ELEMENTS; i++)
        data[i] = (uint32_t)bench_random(&seed);
    sort(data, ELEMENTS, compare);
    for (int i = 0; i < ELEMENTS; i++) {
        if (i && data[i - 1] > data[i])
            return 0;
        sum = sum * 31 + data[i];
    }
    return sum;
}
