/* Categories reach the sink as switched; guest mistakes are counted always and repeated little. */
#include "core/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static char last[2048];
static unsigned lines;

static void sink(void *opaque, const char *line)
{
    assert_ptr_equal(opaque, &lines);
    snprintf(last, sizeof last, "%s", line);
    lines++;
}

static uint64_t where(void *opaque)
{
    (void)opaque;
    return 0xfff0;
}

static struct log log_;

static int setup(void **unused)
{
    (void)unused;
    lines = 0;
    last[0] = '\0';
    log_init(&log_, sink, &lines);
    return 0;
}

static void test_categories(void **unused)
{
    (void)unused;
    log_line(&log_, LOG_HOST, "disk %s", "full");
    assert_string_equal(last, "disk full");
    log_line(&log_, LOG_INT, "not switched on");
    assert_int_equal(lines, 1);
    assert_false(log_on(&log_, LOG_INT));
    log_.mask |= LOG_INT;
    assert_true(log_on(&log_, LOG_INT));
    log_line(&log_, LOG_INT, "int %02xh", 8);
    assert_string_equal(last, "int 08h");
    log_line(NULL, LOG_HOST, "nobody listens");
    assert_false(log_on(NULL, LOG_HOST));
}

static void test_guest(void **unused)
{
    (void)unused;
    log_guest(&log_, "odd write %d", 1);
    assert_int_equal(lines, 0); /* counted, not shown */
    assert_int_equal(log_.guest_errors, 1);
    log_.mask |= LOG_GUEST;
    log_.where = where;
    for (unsigned i = 0; i < 100; i++)
        log_guest(&log_, "odd write %u", i);
    assert_int_equal(log_.guest_errors, 101);
    assert_int_equal(lines, 20); /* one site repeats only so often */
    assert_string_equal(last, "guest: [rip fff0] odd write 19");
    log_guest(&log_, "another site");
    assert_int_equal(lines, 21);
    log_guest((struct log *)NULL, "nobody listens");
}

static void test_unimp(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < 3; i++)
        log_unimp(&log_, "floppy");
    assert_int_equal(lines, 1); /* once */
    assert_string_equal(last, "not implemented: floppy");
    assert_int_equal(log_.unimp, 3);
    log_.mask |= LOG_UNIMP;
    for (unsigned i = 0; i < 3; i++)
        log_unimp(&log_, "floppy");
    assert_int_equal(lines, 4);
}

static void test_long(void **unused)
{
    (void)unused;
    char text[3000];
    memset(text, 'y', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_line(&log_, LOG_HOST, "%s", text);
    assert_int_equal(strlen(last), 1023);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_categories, setup),
        cmocka_unit_test_setup(test_guest, setup),
        cmocka_unit_test_setup(test_unimp, setup),
        cmocka_unit_test_setup(test_long, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
