/* The host loop: waits end when they should, to well below a millisecond, and when woken. */
#include "core/event.h"
#include "host/clock.h"
#include "host/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static struct host_loop loop;

static int setup(void **unused)
{
    (void)unused;
    struct error err = {0};
    return host_loop_create(&loop, &err) ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    host_loop_destroy(&loop);
    return 0;
}

static int64_t wait_ns(int64_t timeout_ns)
{
    const int64_t start = host_clock_ns();
    host_loop_wait(&loop, timeout_ns);
    return host_clock_ns() - start;
}

static void test_timeouts(void **unused)
{
    (void)unused;
    int64_t none = INT64_MAX, negative = INT64_MAX, least = INT64_MAX;
    for (unsigned i = 0; i < 20; i++) {
        const int64_t took = wait_ns(300 * NS_PER_US);
        assert_true(took >= 300 * NS_PER_US);
        least = MIN(least, took);
        none = MIN(none, wait_ns(0));
        negative = MIN(negative, wait_ns(-5));
    }
    /* on a busy host not every one, but some */
    assert_true(least < NS_PER_MS);
    assert_true(none < NS_PER_MS);
    assert_true(negative < NS_PER_MS);
    assert_true(wait_ns(20 * NS_PER_MS) >= 20 * NS_PER_MS);
}

static atomic_bool woken;

static void *wake_soon(void *opaque)
{
    usleep(20000);
    atomic_store(&woken, true);
    host_loop_wake(opaque);
    return NULL;
}

static void test_wake(void **unused)
{
    (void)unused;
    wait_ns(NS_PER_US); /* a timer was armed before: it must not end the next wait */
    pthread_t thread;
    pthread_create(&thread, NULL, wake_soon, &loop);
    wait_ns(EVENT_NEVER);
    assert_true(atomic_load(&woken));
    pthread_join(thread, NULL);
    host_loop_wake(&loop); /* beforehand counts as well */
    assert_true(wait_ns(10 * NS_PER_SEC) < NS_PER_SEC);
}

static void count(uv_timer_t *timer)
{
    ++*(unsigned *)timer->data;
}

static void test_handles(void **unused)
{
    (void)unused;
    unsigned n = 0;
    uv_timer_t timer = {.data = &n};
    uv_timer_init(&loop.uv, &timer);
    timer.data = &n;
    uv_timer_start(&timer, count, 3600 * 1000, 0);
    host_loop_poll(&loop);
    assert_int_equal(n, 0);
    uv_update_time(&loop.uv);
    uv_timer_start(&timer, count, 5, 0);
    for (unsigned i = 0; i < 100 && !n; i++)
        host_loop_wait(&loop, NS_PER_SEC); /* ends early, by the handle */
    assert_int_equal(n, 1);
    uv_close((uv_handle_t *)&timer, NULL);
    host_loop_poll(&loop);
}

/* Output goes out before the loop looks at descriptors: what asks for more output there waits. */
static void output(uv_prepare_t *prepare)
{
    unsigned *left = prepare->data;
    if (--*left)
        host_loop_touch(prepare->loop);
    else
        uv_prepare_stop(prepare);
}

/* Found as gdb without an answer: its next question came while the last answer was going out, so
 * often that the loop's thread, whose turns are limited, slept on the answer. */
static void test_patience(void **unused)
{
    (void)unused;
    unsigned left = 100;
    uv_prepare_t prepare = {.data = &left};
    uv_prepare_init(&loop.uv, &prepare);
    prepare.data = &left;
    uv_prepare_start(&prepare, output);
    unsigned looks = 1;
    for (; host_loop_patience(&loop) == 0; looks++)
        host_loop_block(&loop, 0);
    assert_int_equal(left, 0);
    assert_in_range(looks, 2, 100); /* the others had their turns between */
    uv_close((uv_handle_t *)&prepare, NULL);
    host_loop_poll(&loop);
}

static void test_clocks(void **unused)
{
    (void)unused;
    const int64_t wall = host_clock_ns(), cpu = host_cpu_time_ns();
    usleep(20000);
    assert_true(host_clock_ns() - wall >= 20 * NS_PER_MS);
    assert_true(host_cpu_time_ns() - cpu < 20 * NS_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timeouts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_handles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patience, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clocks, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
