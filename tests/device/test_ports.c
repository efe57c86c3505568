/* The one-port devices: 92h, 80h, debug consoles, isa-debug-exit. */
#include "fixture.h"

#include "devices/debugport.h"
#include "devices/exitport.h"
#include "devices/port92.h"
#include "devices/post80.h"

#include <stdio.h>

struct bench {
    struct fixture f;
    struct recorder a20, reset;
    struct post80 *post;
    struct chr *chr;
    char logged[64];
    uint32_t exit_value;
    unsigned exits;
};

static void out(struct bench *b, uint16_t port, uint32_t v, unsigned size)
{
    iomap_write(&b->f.io, port, v, size);
}

static uint32_t in(struct bench *b, uint16_t port)
{
    return iomap_read(&b->f.io, port, 1);
}

static void on_exit_port(void *opaque, uint32_t value)
{
    struct bench *b = opaque;
    b->exit_value = value;
    b->exits++;
}

static void log_sink(void *opaque, const char *line)
{
    struct bench *b = opaque;
    snprintf(b->logged, sizeof b->logged, "%s", line);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    log_init(&b->f.log, log_sink, b);
    const struct irq_line a20 = recorder_line(&b->a20), reset = recorder_line(&b->reset);
    b->chr = chr_mem_create("debug");
    b->post = post80_create(&b->f.io, &b->f.log);
    const struct exitport_config exit = {
        .iobase = 0x501, .iosize = 4, .exit = on_exit_port, .opaque = b};
    device_add(&b->f.devices, port92_device(port92_create(&b->f.io, &a20, &reset)));
    device_add(&b->f.devices, post80_device(b->post));
    device_add(&b->f.devices, debugport_device(debugport_create(&b->f.io, 0xe9, b->chr)));
    device_add(&b->f.devices, debugport_device(debugport_create(&b->f.io, 0x402, NULL)));
    device_add(&b->f.devices, exitport_device(exitport_create(&b->f.io, &exit)));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    fixture_free(&b->f);
    chr_close(b->chr);
    free(b);
    return 0;
}

static void fast_a20_and_reset(void **state)
{
    struct bench *b = *state;
    assert_int_equal(b->a20.calls, 0); /* the keyboard controller's gate is open after reset */
    out(b, 0x92, 0x02, 1);
    assert_int_equal(b->a20.level, 1);
    out(b, 0x92, 0x02, 1); /* said again: the last one written decides */
    assert_int_equal(b->a20.calls, 2);
    assert_int_equal(in(b, 0x92), 0x02);
    out(b, 0x92, 0x00, 1);
    assert_int_equal(b->a20.level, 0);
    assert_int_equal(b->reset.rises, 0);
    out(b, 0x92, 0x03, 1);
    assert_int_equal(b->reset.rises, 1);
    assert_int_equal(b->reset.level, 0);
    out(b, 0x92, 0x01, 1); /* no new edge */
    assert_int_equal(b->reset.rises, 1);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(in(b, 0x92), 0x00);
}

static void post_codes(void **state)
{
    struct bench *b = *state;
    b->f.log.mask |= LOG_POST;
    out(b, 0x80, 0x2a, 1);
    assert_string_equal(b->logged, "POST code 2a");
    assert_int_equal(post80_last(b->post), 0x2a);
    assert_int_equal(in(b, 0x80), 0x2a);
    b->logged[0] = '\0';
    out(b, 0x80, 0x2a, 1); /* a delay, not a code */
    assert_string_equal(b->logged, "");
    out(b, 0x80, 0x00, 1);
    assert_string_equal(b->logged, "POST code 00");
}

static void debug_console(void **state)
{
    struct bench *b = *state;
    assert_int_equal(in(b, 0xe9), 0xe9);
    assert_int_equal(in(b, 0x402), 0xff); /* nobody listens there */
    out(b, 0x402, 'x', 1);
    out(b, 0xe9, 'a', 1);
    assert_int_equal(iomap_write_bulk(&b->f.io, 0xe9, 1, "bcd", 3), 3);
    size_t len;
    const char *got = chr_mem_output(b->chr, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(got, "abcd", 4);
}

static void debug_exit(void **state)
{
    struct bench *b = *state;
    assert_int_equal(in(b, 0x501), 0);
    out(b, 0x501, 0x10, 1);
    assert_int_equal(b->exit_value, 0x10);
    out(b, 0x501, 0x12345678, 4);
    assert_int_equal(b->exit_value, 0x12345678);
    assert_int_equal(b->exits, 2);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    static const uint16_t ports[] = {0x80, 0x92, 0xe9, 0x402, 0x501, 0x504};
    uint64_t seed = test_seed(80);
    for (unsigned i = 0; i < 10000; i++) {
        const uint32_t r = fixture_random(&seed);
        const uint16_t port = ports[(r >> 4) % ARRAY_SIZE(ports)];
        if (r & 1)
            out(b, port, fixture_random(&seed), 1u << (r >> 1 & 3) % 3);
        else
            iomap_read(&b->f.io, port, 1u << (r >> 1 & 3) % 3);
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    out(b, 0x92, 0x02, 1);
    out(b, 0x80, 0x55, 1);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    out(b, 0x80, 0xaa, 1);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(post80_last(b->post), 0xaa);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(fast_a20_and_reset),     T(post_codes),       T(debug_console), T(debug_exit),
        T(any_access_is_survived), T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
