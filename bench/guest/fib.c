// Calls and returns and little else. Fibonacci by its definition.
#include "bench.h"

static uint64_t calls;

// The asm keeps the compiler from unrolling the recursion into itself.
static NOINLINE uint64_t fib(uint64_t n)
{
    __asm__ volatile("" : "+r"(n));
    calls++;
    if (n < 2)
        return n;
    uint64_t a = fib(n - 1);
    __asm__ volatile("" : "+r"(a));
    return a + fib(n - 2);
}

uint64_t fib_round(void)
{
    calls = 0;
    uint64_t result = fib(24);
    return calls << 32 | result;
}
