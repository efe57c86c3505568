/*
 * fp_soft.c against the processor under us, where that has FMA: values, and exception flags with
 * all of them masked, over rounding modes, DAZ and FTZ. (With something unmasked, tests/oracle
 * compares the instructions.) On a host without FMA the test is skipped, not passed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "cpu/fp/fp_soft.h"
#include "operands.h"
#include "seed.h"
#include "skip.h"

static uint64_t host_fma(bool f64, uint64_t x, uint64_t y, uint64_t z, uint32_t mxcsr,
                         uint32_t *flags)
{
    v128 a = v128_of(x, 0);
    const v128 b = v128_of(y, 0), c = v128_of(z, 0);
    const uint32_t plain = MXCSR_INIT;
    uint32_t after;
    /* 132 takes NaNs in the order of its operands: a, c, b; so the middle one is z */
    if (f64)
        __asm__ volatile("ldmxcsr %4; vfmadd132sd %3, %2, %0; stmxcsr %1; ldmxcsr %5"
                         : "+x"(a), "=m"(after)
                         : "x"(c), "x"(b), "m"(mxcsr), "m"(plain));
    else
        __asm__ volatile("ldmxcsr %4; vfmadd132ss %3, %2, %0; stmxcsr %1; ldmxcsr %5"
                         : "+x"(a), "=m"(after)
                         : "x"(c), "x"(b), "m"(mxcsr), "m"(plain));
    *flags = after & MXCSR_EXC;
    return f64 ? a[0] : (uint32_t)a[0];
}

static void test_fma(void **state)
{
    (void)state;
    if (!__builtin_cpu_supports("fma"))
        SKIP("the host has no FMA");
    rng_state = test_seed(UINT64_C(0x9e3779b97f4a7c15));
    unsigned mismatches = 0;
    const unsigned n = 2000000;
    for (unsigned i = 0; i < n; i++) {
        const bool f64 = i & 1;
        const uint64_t x = f64 ? random_f64() : random_f32(), y = f64 ? random_f64() : random_f32();
        uint64_t z = f64 ? random_f64() : random_f32();
        const uint32_t mxcsr = MXCSR_MASKS | (rnd() & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ));
        uint32_t host_flags, flags = 0, unused;
        if (one_in(4)) /* the product itself, to cancel all but its low bits */
            z = host_fma(f64, x, y, 0, MXCSR_INIT, &unused) ^ BIT64(f64 ? 63 : 31);
        const uint64_t host = host_fma(f64, x, y, z, mxcsr, &host_flags);
        const uint64_t r = fp_soft_fma(f64, x, y, z, false, false, mxcsr, &flags);
        if ((r == host && flags == host_flags) || mismatches++ >= 10)
            continue;
        printf("%#llx * %#llx + %#llx mxcsr %x: host %#llx flags %x, ours %#llx flags %x\n",
               (long long)x, (long long)y, (long long)z, mxcsr, (long long)host, host_flags,
               (long long)r, flags);
    }
    printf("%u cases, %u mismatches\n", n, mismatches);
    assert_int_equal(mismatches, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fma)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
