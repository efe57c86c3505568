/* The monitor's i and o on a whole machine: the guest sees them, so the door has to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "debug/monitor_cmd.h"

#include <stdio.h>
#include <stdlib.h>

static char entered[256], answer[256];

static void no_line(void *opaque, const char *line)
{
    (void)opaque, (void)line;
}

static void note(void *opaque, enum door_kind kind, uint64_t icount, const void *data, size_t len)
{
    (void)opaque, (void)icount;
    assert_int_equal(kind, DOOR_CONTROL);
    const size_t n = strlen(entered);
    snprintf(entered + n, sizeof entered - n, "%.*s;", (int)len, (const char *)data);
}

static void write_answer(void *opaque, const char *text, size_t len)
{
    (void)opaque;
    strncat(answer, text, len);
}

static void test_ports(void **state)
{
    (void)state;
    struct error err = {0};
    struct vm_config cfg;
    struct log log;
    struct mon mon;
    vm_config_init(&cfg);
    cfg.ram_bytes = 8 * MiB;
    cfg.cpu = strdup("max");
    cfg.vga = strdup("none");
    cfg.icount = true;
    log_init(&log, no_line, NULL);
    struct machine *m = machine_create(&cfg, &log, &err);
    if (!m)
        fail_msg("%s", err.msg);
    machine_door(m)->log = note;
    mon_init(&mon, m, write_answer, NULL);
    mon_execute(&mon, "o/b 0x70 0x33"); /* the CMOS RAM: a byte that nobody owns */
    mon_execute(&mon, "o/b 0x71 0xa5");
    mon_execute(&mon, "i/b 0x71");
    assert_string_equal(answer, "portb[0x0071] = 0xa5\n");
    assert_string_equal(entered, "o/1 0x0070 0x33;o/1 0x0071 0xa5;i/1 0x0071;");
    mon_release(&mon);
    assert_true(machine_destroy(m, NULL));
    vm_config_free(&cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ports)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
