/* Files that are read while the machine runs: what is said at the start, and what later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/vitrine-file-XXXXXX";
static char path[64];
static struct log log_;
static char last[512];
static unsigned lines;

static void sink(void *opaque, const char *line)
{
    (void)opaque;
    snprintf(last, sizeof last, "%s", line);
    lines++;
}

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/file", dir);
    log_init(&log_, sink, NULL);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    fclose(f);
}

static struct host_file *opened(const char *text)
{
    struct error err = {0};
    lines = 0;
    write_file(text);
    struct host_file *f = host_file_open(path, "kernel", 100, &err);
    if (!f)
        fail_msg("%s", err.msg);
    return f;
}

static void check_fetch(struct host_file *f, uint64_t at, const char *want, size_t len)
{
    char buf[32];
    memset(buf, 'x', sizeof buf);
    host_file_fetch(f, at, buf, len, &log_);
    assert_memory_equal(buf, want, len);
    assert_int_equal(buf[len], 'x');
}

static void test_reading(void **state)
{
    (void)state;
    char buf[16];
    struct error err = {0};
    struct host_file *f = opened("0123456789");
    assert_int_equal(host_file_bytes(f), 10);
    assert_true(host_file_read(f, 2, buf, 8, &err));
    assert_memory_equal(buf, "23456789", 8);
    check_fetch(f, 0, "0123", 4);
    check_fetch(f, 6, "6789", 4);
    host_file_close(host_file_share(f)); /* the other owner has it still */
    check_fetch(f, 0, "0123", 4);
    assert_int_equal(lines, 0);
    assert_false(host_file_read(f, 2, buf, 9, &err));
    assert_non_null(strstr(err.msg, "/file': the file has become shorter"));
    host_file_close(f);
    host_file_close(NULL);
}

static void refused(const char *name, const char *why)
{
    struct error err = {0};
    assert_null(host_file_open(name, "kernel", 5, &err));
    if (!strstr(err.msg, why) || strncmp(err.msg, "kernel '", 8) != 0)
        fail_msg("'%s' has no '%s'", err.msg, why);
}

static void test_refusals(void **state)
{
    (void)state;
    write_file("012345");
    refused(path, "6 bytes are too many (at most 5)");
    refused(dir, "not a regular file");
    refused("/dev/null", "not a regular file");
    refused("/nonexistent", "No such file");
}

static void test_shrinking(void **state)
{
    (void)state;
    struct host_file *f = opened("0123456789");
    assert_int_equal(truncate(path, 4), 0);
    check_fetch(f, 2, "23\0\0\0\0", 6);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(last, "kernel '"));
    assert_non_null(strstr(last, "/file': the file has become shorter"));
    check_fetch(f, 6, "\0\0\0\0", 4);
    assert_int_equal(lines, 1); /* once */
    host_file_close(f);

    /* Said as early as it can be known. */
    f = opened("0123456789");
    assert_int_equal(truncate(path, 4), 0);
    check_fetch(f, 0, "01", 2);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(last, "shorter"));
    host_file_close(f);
}

static void test_writing(void **state)
{
    (void)state;
    struct host_file *f = opened("0123456789");
    write_file("abcdefghijklm");
    check_fetch(f, 0, "abcd", 4);
    check_fetch(f, 4, "efgh", 4);
    assert_int_equal(lines, 1);
    assert_non_null(strstr(last, "written to since the start"));
    host_file_close(f);

    f = opened("0123456789"); /* replaced or removed: what was opened is still there */
    assert_int_equal(unlink(path), 0);
    write_file("abcdefghij");
    check_fetch(f, 0, "0123456789", 10);
    assert_int_equal(lines, 0);
    host_file_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_shrinking),
        cmocka_unit_test(test_writing),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
