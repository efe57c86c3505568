/* pc-testdev: the scratch register in all widths, lines, I/O memory, and the page that is flushed.
 */
#include "fixture.h"

#include "devices/pctest.h"

#include <stdio.h>

struct bench {
    struct fixture f;
    struct mem_region main;
    struct recorder line[PCTEST_LINES];
    char logged[80];
    ram_t written; /* the last page that somebody has told of */
};

static void out(struct bench *b, uint16_t port, uint32_t v, unsigned size)
{
    iomap_write(&b->f.io, port, v, size);
}

static uint32_t in(struct bench *b, uint16_t port, unsigned size)
{
    return iomap_read(&b->f.io, port, size);
}

static void log_sink(void *opaque, const char *line)
{
    struct bench *b = opaque;
    snprintf(b->logged, sizeof b->logged, "%s", line);
}

static void traced_write(void *opaque, ram_t start, uint64_t len)
{
    struct bench *b = container_of((struct ram *)opaque, struct bench, f.ram);
    assert_int_equal(len, PAGE_SIZE);
    b->written = start;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    log_init(&b->f.log, log_sink, b);
    const ram_t at = ram_alloc(&b->f.ram, 64 * KiB);
    mem_region_init_ram(&b->main, "ram", at, 64 * KiB);
    memmap_add(&b->f.mem, &b->main, 0, 0);
    b->f.ram.opaque = &b->f.ram;
    b->f.ram.traced_write = traced_write;
    struct pctest_config cfg = {.io = &b->f.io, .mem = &b->f.mem, .log = &b->f.log};
    for (unsigned n = 0; n < PCTEST_LINES; n++)
        if (n != 2)
            cfg.line[n] = recorder_line(&b->line[n]);
    assert_non_null(pctest_create(&b->f.devices, &cfg));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    b->f.ram.opaque = NULL;
    fixture_free(&b->f);
    free(b);
    return 0;
}

static void scratch_in_every_width(void **state)
{
    struct bench *b = *state;
    assert_int_equal(in(b, 0xe0, 4), 0);
    out(b, 0xe0, 0x12345678, 4);
    assert_int_equal(in(b, 0xe0, 4), 0x12345678);
    assert_int_equal(in(b, 0xe0, 2), 0x5678);
    assert_int_equal(in(b, 0xe2, 2), 0x1234);
    assert_int_equal(in(b, 0xe3, 1), 0x12);
    out(b, 0xe1, 0xff, 1);
    assert_int_equal(in(b, 0xe0, 4), 0x1234ff78);
    out(b, 0xe2, 0xabcd, 2);
    assert_int_equal(in(b, 0xe0, 4), 0xabcdff78);
}

static void scratch_by_bytes(void **state)
{
    struct bench *b = *state;
    out(b, 0xe8, 0x12345678, 4);
    assert_int_equal(in(b, 0xe0, 4), 0x12345678);
    assert_int_equal(in(b, 0xe8, 4), 0x12345678);
    assert_int_equal(in(b, 0xea, 2), 0x1234);
    out(b, 0xeb, 0, 1);
    assert_int_equal(in(b, 0xe0, 4), 0x345678);
}

static void lines_follow_their_ports(void **state)
{
    struct bench *b = *state;
    for (unsigned n = 0; n < PCTEST_LINES; n++) {
        if (n == 2)
            continue;
        out(b, (uint16_t)(0x2000 + n), 0x40, 1);
        assert_int_equal(b->line[n].level, 1);
        assert_int_equal(b->line[n].rises, 1);
        out(b, (uint16_t)(0x2000 + n), 0, 1);
        assert_int_equal(b->line[n].level, 0);
    }
    out(b, 0x200e, 0x0101, 2); /* two lines at once */
    assert_int_equal(b->line[14].level + b->line[15].level, 2);
    b->f.log.mask |= LOG_GUEST;
    out(b, 0x2002, 1, 1);
    assert_string_equal(b->logged, "pc-testdev: nobody drives line 2");
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(b->line[14].level + b->line[15].level, 0);
}

static void memory_of_registers(void **state)
{
    struct bench *b = *state;
    memmap_write(&b->f.mem, 0xff000000, UINT64_C(0x1122334455667788), 8);
    assert_int_equal(memmap_read(&b->f.mem, 0xff000000, 4), 0x55667788);
    assert_int_equal(memmap_read(&b->f.mem, 0xff000007, 1), 0x11);
    memmap_write(&b->f.mem, 0xff00ffff, 0xaa, 1);
    assert_int_equal(memmap_read(&b->f.mem, 0xff00fff8, 8), UINT64_C(0xaa) << 56);
    assert_int_equal(memmap_ram(&b->f.mem, 0xff000000, false), RAM_NONE);
    out(b, 0xe0, 7, 4);
    device_reset_all(&b->f.devices, RESET_HARD); /* both outlast it */
    assert_int_equal(memmap_read(&b->f.mem, 0xff000000, 4), 0x55667788);
    assert_int_equal(in(b, 0xe0, 4), 7);
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    assert_int_equal(memmap_read(&b->f.mem, 0xff000000, 4), 0);
    assert_int_equal(in(b, 0xe0, 4), 0);
}

static void flushed_page(void **state)
{
    struct bench *b = *state;
    ram_set_flags(&b->f.ram, b->main.ram + 0x3000, RAM_CODE);
    b->written = RAM_NONE;
    out(b, 0xe4, 0x3123, 4);
    assert_int_equal(b->written, b->main.ram + 0x3000);
    assert_int_equal(in(b, 0xe4, 4), 0xffffffff);
    b->f.log.mask |= LOG_GUEST;
    out(b, 0xe4, 0xfffff000, 4);
    assert_string_equal(b->logged, "pc-testdev: fffff000 is no page of memory");
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    struct state save, load, hash[2];
    out(b, 0xe0, 0xdeadbeef, 4);
    out(b, 0x2005, 1, 1);
    memmap_write(&b->f.mem, 0xff001000, 5, 4);
    state_init_hash(&hash[0]);
    device_state_all(&b->f.devices, &hash[0]);
    state_init_save(&save);
    device_state_all(&b->f.devices, &save);
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    state_init_load(&load, save.buf, save.len);
    device_state_all(&b->f.devices, &load);
    assert_string_equal(load.err.msg, "");
    state_init_hash(&hash[1]);
    device_state_all(&b->f.devices, &hash[1]);
    assert_int_equal(hash[0].hash, hash[1].hash);
    assert_int_equal(in(b, 0xe0, 4), 0xdeadbeef);
    state_free(&save);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scratch_in_every_width, setup, teardown),
        cmocka_unit_test_setup_teardown(scratch_by_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_follow_their_ports, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_of_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(flushed_page, setup, teardown),
        cmocka_unit_test_setup_teardown(state_round_trip, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
