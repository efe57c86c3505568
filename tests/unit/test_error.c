/* Messages of host failures: the first is kept, prefixes go in front, nothing overflows. */
#include "core/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static void test_set(void **unused)
{
    (void)unused;
    struct error err = {0};
    assert_false(error_set(&err, "disk %d: %s", 3, "gone"));
    assert_string_equal(err.msg, "disk 3: gone");
    error_set(&err, "second");
    assert_string_equal(err.msg, "disk 3: gone");
    assert_false(error_prefix(&err, "drive %s", "hda"));
    assert_string_equal(err.msg, "drive hda: disk 3: gone");
    assert_false(error_set(NULL, "nobody asks"));
    assert_false(error_prefix(NULL, "nobody asks"));
}

static void test_long(void **unused)
{
    (void)unused;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct error err = {0};
    error_set(&err, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    error_prefix(&err, "p");
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
    assert_memory_equal(err.msg, "p: xxx", 6);
    error_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.msg), sizeof err.msg - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_set), cmocka_unit_test(test_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
