/* Media of a machine that does not run: what happens to what was in when a change fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
    struct vm_config cfg;
    struct log log;
    struct machine *machine;
    char path[32];
} t;

static void no_line(void *opaque, const char *line)
{
    (void)opaque, (void)line;
}

static int setup(void **state)
{
    (void)state;
    struct error err = {0};
    snprintf(t.path, sizeof t.path, "/tmp/media-XXXXXX");
    const int fd = mkstemp(t.path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1440 * KiB), 0);
    close(fd);
    vm_config_init(&t.cfg);
    t.cfg.ram_bytes = 8 * MiB;
    t.cfg.cpu = strdup("max");
    t.cfg.vga = strdup("none");
    t.cfg.icount = true;
    t.cfg.drive[t.cfg.drives++] =
        (struct config_drive){.file = strdup(t.path), .bus = DRIVE_FLOPPY, .bootindex = -1};
    log_init(&t.log, no_line, NULL);
    t.machine = machine_create(&t.cfg, &t.log, &err);
    if (!t.machine)
        fail_msg("%s", err.msg);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_true(machine_destroy(t.machine, NULL));
    vm_config_free(&t.cfg);
    unlink(t.path);
    t.cfg = (struct vm_config){0};
    return 0;
}

static const char *file(void)
{
    static struct machine_drive d;
    assert_true(machine_drive(t.machine, 0, &d));
    return d.file;
}

static void test_change(void **state)
{
    (void)state;
    struct error err = {0};
    assert_true(machine_change(t.machine, "floppy0", t.path, NULL, NULL, false, &err));
    assert_string_equal(file(), t.path);
    assert_true(machine_eject(t.machine, "floppy0", false, &err));
    assert_null(file());
}

/* The disk that is in is asked for in a way that cannot be: it stays in. */
static void test_change_to_the_same(void **state)
{
    (void)state;
    struct error err = {0};
    assert_false(machine_change(t.machine, "floppy0", t.path, "vmdk", NULL, false, &err));
    assert_non_null(strstr(err.msg, "vmdk"));
    assert_non_null(file());
    assert_string_equal(file(), t.path);
}

/* Nor can it be put back: that is said. */
static void test_change_to_the_same_grown(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(truncate(t.path, 4 * MiB), 0);
    assert_false(machine_change(t.machine, "floppy0", t.path, NULL, NULL, false, &err));
    assert_non_null(strstr(err.msg, "floppy0 is empty now: "));
    assert_non_null(strstr(err.msg, t.path));
    assert_null(file());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_to_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_to_the_same_grown, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
