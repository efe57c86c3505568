/* What stats=on says of interrupt latency: which waits count, and the percentiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/latency.h"

static struct latency l;
static char said[256];

static void hear(void *opaque, const char *line)
{
    (void)opaque;
    snprintf(said, sizeof said, "%s", line);
}

static const char *instructions(void)
{
    latency_print(&l, hear, NULL);
    const char *at = strstr(said, "; ");
    assert_non_null(at);
    return at + 2;
}

static void test_percentiles(void **state)
{
    (void)state;
    memset(&l, 0, sizeof l);
    latency_print(&l, hear, NULL);
    assert_string_equal(said, ""); /* nothing to say */
    for (unsigned i = 0; i < 100; i++) {
        latency_begin(&l, 1000);
        latency_begin(&l, 1010); /* it waits already */
        latency_withdraw(&l);    /* as an acknowledgement does */
        latency_end(&l, 1000 + 99 - i);
        latency_end(&l, 5000); /* nothing waited */
    }
    assert_int_equal(l.delivered, 100);
    assert_string_equal(instructions(), "50 and 99 instructions");
}

static void test_withdrawn(void **state)
{
    (void)state;
    memset(&l, 0, sizeof l);
    latency_begin(&l, 10);
    latency_withdraw(&l);
    latency_begin(&l, 100); /* another one, not the wait of the first */
    latency_end(&l, 107);
    assert_string_equal(instructions(), "7 and 7 instructions");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_withdrawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
