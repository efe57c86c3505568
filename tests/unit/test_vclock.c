/* Guest time: the line and its inverse, and how it follows a host whose speed changes. */
#include "core/vclock.h"
#include "rng.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define SLICE_NS  NS_PER_MS
#define MIN_INSNS 1000 /* of a slice, as the machine has it */

/* A guest that runs slice by slice, on a host clock of our own. */
struct run {
    struct vclock clock;
    uint64_t icount;
    int64_t host_ns;
    /* since watch(): guest time less host time at sync points, and the longest slice */
    int64_t most_behind, most_ahead, longest;
};

static void start(struct run *r)
{
    *r = (struct run){.host_ns = 5 * NS_PER_SEC};
    vclock_init_host(&r->clock, r->host_ns);
}

static void watch(struct run *r)
{
    r->most_behind = r->most_ahead = r->longest = 0;
}

static int64_t guest_ns(const struct run *r)
{
    return vclock_ns(&r->clock, r->icount);
}

static int64_t ahead(const struct run *r)
{
    return guest_ns(r) - (r->host_ns - r->clock.host_start);
}

/* One slice at so many instructions a host microsecond; the host is busy elsewhere for stolen. */
static void slice(struct run *r, uint64_t speed, int64_t stolen)
{
    const int64_t before = guest_ns(r);
    const uint64_t insns = MAX(vclock_insns_in(&r->clock, SLICE_NS), MIN_INSNS);
    const int64_t took = (int64_t)(insns * 1000 / speed) + stolen;
    r->icount += insns;
    r->host_ns += took;
    r->longest = MAX(r->longest, took);
    assert_true(guest_ns(r) >= before);
    const int64_t at = guest_ns(r);
    vclock_sync(&r->clock, r->icount, r->host_ns, SLICE_NS);
    assert_int_equal(guest_ns(r), at); /* another slope, from the same point */
    r->most_behind = MAX(r->most_behind, -ahead(r));
    r->most_ahead = MAX(r->most_ahead, ahead(r));
}

static void run_for(struct run *r, uint64_t speed, int64_t ns)
{
    for (const int64_t end = r->host_ns + ns; r->host_ns < end;)
        slice(r, speed, 0);
}

/* --- the line --- */

static void test_a_fixed_rate(void **state)
{
    (void)state;
    struct vclock c;
    vclock_init_fixed(&c, 3);
    assert_int_equal(vclock_ns(&c, 0), 0);
    assert_int_equal(vclock_ns(&c, 1000), 8000);
    assert_int_equal(vclock_icount(&c, 8000), 1000);
    assert_int_equal(vclock_icount(&c, 8001), 1001);
    assert_int_equal(vclock_icount(&c, -1), 0);
    assert_int_equal(vclock_icount(&c, INT64_MAX), UINT64_MAX);
}

static void test_the_first_instruction_at_which_a_timer_is_due(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        const struct vclock c = {
            .base_ns = (int64_t)(rnd() >> 8),
            .base_icount = rnd() >> 8,
            .rate = (rnd() >> (20 + below(40))) + 1,
        };
        const int64_t ns = c.base_ns + 1 + (int64_t)(rnd() >> (24 + below(40)));
        const uint64_t n = vclock_icount(&c, ns);
        if (n >= UINT64_MAX >> 1)
            continue;
        assert_true(n > c.base_icount);
        assert_true(vclock_ns(&c, n) >= ns);
        assert_true(vclock_ns(&c, n - 1) < ns);
    }
}

static void test_a_jump_goes_forward_only(void **state)
{
    (void)state;
    struct vclock c;
    vclock_init_fixed(&c, 0);
    vclock_jump(&c, 100, 5000);
    assert_int_equal(vclock_ns(&c, 100), 5000);
    vclock_jump(&c, 200, 300);
    assert_int_equal(vclock_ns(&c, 200), 5100);
}

/* --- following the host --- */

static void test_a_steady_host(void **state)
{
    (void)state;
    for (uint64_t speed = 1; speed <= 10000; speed *= 10) {
        struct run r;
        start(&r);
        run_for(&r, speed, 500 * NS_PER_MS);
        watch(&r);
        run_for(&r, speed, 500 * NS_PER_MS);
        assert_in_range(r.most_behind, 0, SLICE_NS / 4);
        assert_in_range(r.most_ahead, 0, SLICE_NS / 4);
        assert_in_range(r.longest, SLICE_NS * 3 / 4, SLICE_NS);
    }
}

/* One slice lasts as long as the code is slower; what is lost by it is made up for. */
static void test_code_gets_slower(void **state)
{
    (void)state;
    struct run r;
    start(&r);
    run_for(&r, 5000, 100 * NS_PER_MS);
    watch(&r);
    slice(&r, 50, 0);
    assert_in_range(r.longest, 90 * NS_PER_MS, 101 * NS_PER_MS);
    watch(&r);
    run_for(&r, 50, 40 * NS_PER_MS);
    assert_in_range(r.longest, 0, SLICE_NS);
    assert_in_range(r.most_behind, 0, 130 * NS_PER_MS);
    run_for(&r, 50, 300 * NS_PER_MS);
    assert_in_range(llabs(ahead(&r)), 0, SLICE_NS);
}

/* However short the slices of the slow code are in the fast one: time does not run away. */
static void test_code_gets_faster(void **state)
{
    (void)state;
    for (uint64_t slow = 1; slow <= 1000; slow *= 10) {
        struct run r;
        start(&r);
        run_for(&r, slow, 300 * NS_PER_MS);
        watch(&r);
        run_for(&r, 5000, 300 * NS_PER_MS);
        assert_in_range(r.most_ahead, 0, 8 * SLICE_NS);
        assert_in_range(llabs(ahead(&r)), 0, SLICE_NS / 4);
    }
}

static void test_fast_and_slow_code_in_turn(void **state)
{
    (void)state;
    struct run r;
    start(&r);
    for (unsigned i = 0; i < 20000; i++) {
        slice(&r, below(4) ? 2000 : 300, 0);
        if (i == 100)
            watch(&r);
    }
    assert_in_range(r.most_behind, 0, 40 * SLICE_NS);
    assert_in_range(r.most_ahead, 0, 40 * SLICE_NS);
}

/* Time that the host spends elsewhere is made up for, and the code is no slower for it. */
static void test_a_host_that_is_busy_for_a_moment(void **state)
{
    (void)state;
    struct run r;
    start(&r);
    run_for(&r, 1000, 100 * NS_PER_MS);
    slice(&r, 1000, 30 * NS_PER_MS);
    watch(&r);
    run_for(&r, 1000, 60 * NS_PER_MS);
    assert_in_range(r.most_ahead, 0, SLICE_NS);
    assert_in_range(llabs(ahead(&r)), 0, SLICE_NS);
}

static void test_a_wait_teaches_nothing(void **state)
{
    (void)state;
    struct run r;
    start(&r);
    run_for(&r, 1000, 100 * NS_PER_MS);
    const uint64_t before = vclock_insns_in(&r.clock, SLICE_NS);
    r.host_ns += NS_PER_SEC;
    vclock_jump(&r.clock, r.icount, r.host_ns - r.clock.host_start);
    vclock_resync(&r.clock, r.icount, r.host_ns);
    watch(&r);
    slice(&r, 1000, 0);
    assert_in_range(vclock_insns_in(&r.clock, SLICE_NS), before * 99 / 100, before * 101 / 100);
    assert_in_range(r.most_behind + r.most_ahead, 0, SLICE_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fixed_rate),
        cmocka_unit_test(test_the_first_instruction_at_which_a_timer_is_due),
        cmocka_unit_test(test_a_jump_goes_forward_only),
        cmocka_unit_test(test_a_steady_host),
        cmocka_unit_test(test_code_gets_slower),
        cmocka_unit_test(test_code_gets_faster),
        cmocka_unit_test(test_fast_and_slow_code_in_turn),
        cmocka_unit_test(test_a_host_that_is_busy_for_a_moment),
        cmocka_unit_test(test_a_wait_teaches_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
