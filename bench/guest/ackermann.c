// Deep recursion: the stack grows and shrinks over many pages.
#include "bench.h"

static uint64_t calls;

static NOINLINE uint64_t ackermann(uint64_t m, uint64_t n)
{
    __asm__ volatile("" : "+r"(m), "+r"(n));
    calls++;
    if (m == 0)
        return n + 1;
    uint64_t inner = n ? ackermann(m, n - 1) : 1;
    uint64_t result = ackermann(m - 1, inner);
    __asm__ volatile("" : "+r"(result));
    return result;
}

uint64_t ackermann_round(void)
{
    calls = 0;
    uint64_t result = ackermann(3, 6);
    return calls << 32 | result;
}
