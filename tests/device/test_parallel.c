/* The parallel port and its printer: the handshake as software does it, interrupts, directions. */
#include "fixture.h"

#include "devices/parallel.h"

enum { DATA = 0x378, STATUS, CONTROL };

struct bench {
    struct fixture f;
    struct recorder irq;
    struct chr *chr;
};

static void out(struct bench *b, uint16_t port, uint8_t v)
{
    iomap_write(&b->f.io, port, v, 1);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return (uint8_t)iomap_read(&b->f.io, port, 1);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    b->chr = chr_mem_create("parallel0");
    const struct irq_line irq = recorder_line(&b->irq);
    assert_non_null(parallel_create(&b->f.devices, &b->f.io, DATA, &irq, b->chr));
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

static void printed(struct bench *b, const char *text)
{
    size_t len;
    const char *got = chr_mem_output(b->chr, &len);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, len);
}

static void handshake(void **state)
{
    struct bench *b = *state;
    out(b, CONTROL, 0x08); /* INIT# low for a while, selected */
    out(b, CONTROL, 0x0c);
    assert_int_equal(in(b, STATUS), 0xdc); /* selected, no error, not busy */
    for (const char *c = "Hi\n"; *c; c++) {
        out(b, DATA, (uint8_t)*c);
        assert_int_equal(in(b, DATA), *c);
        out(b, CONTROL, 0x0d);
        assert_int_equal(in(b, STATUS), 0x5c); /* busy */
        out(b, CONTROL, 0x0d);                 /* still the same strobe */
        out(b, CONTROL, 0x0c);
        assert_int_equal(in(b, STATUS), 0x9c); /* acknowledged */
        assert_int_equal(in(b, STATUS), 0xdc);
    }
    printed(b, "Hi\n");
    assert_int_equal(b->irq.rises, 0);
}

static void not_listening(void **state)
{
    struct bench *b = *state;
    out(b, DATA, 'x');
    static const uint8_t off[] = {0x00, 0x04, 0x08};
    for (unsigned i = 0; i < ARRAY_SIZE(off); i++) {
        out(b, CONTROL, off[i]);
        out(b, CONTROL, off[i] | 1);
        assert_int_equal(in(b, STATUS), 0xdc);
        out(b, CONTROL, off[i]);
        assert_int_equal(in(b, STATUS), 0xdc);
    }
    printed(b, "");
}

static void interrupts(void **state)
{
    struct bench *b = *state;
    out(b, CONTROL, 0x1c);
    out(b, DATA, 'a');
    out(b, CONTROL, 0x1d);
    assert_int_equal(b->irq.level, 0);
    out(b, CONTROL, 0x1c);
    assert_int_equal(b->irq.level, 1);
    out(b, CONTROL, 0x0c); /* the gate closes and opens */
    assert_int_equal(b->irq.level, 0);
    out(b, CONTROL, 0x1c);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(in(b, STATUS), 0x98); /* pending; which ends it */
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(in(b, STATUS), 0xdc);
    out(b, CONTROL, 0x1d);
    out(b, CONTROL, 0x1c);
    out(b, CONTROL, 0x18); /* resetting the printer ends it, too */
    assert_int_equal(b->irq.level, 0);
}

static void registers(void **state)
{
    struct bench *b = *state;
    out(b, CONTROL, 0xff);
    assert_int_equal(in(b, CONTROL), 0xff);
    out(b, CONTROL, 0x00);
    assert_int_equal(in(b, CONTROL), 0xc0);
    out(b, DATA, 0x55);
    assert_int_equal(in(b, DATA), 0x55);
    out(b, CONTROL, 0x20);
    assert_int_equal(in(b, DATA), 0xff); /* turned: nobody drives it */
    out(b, CONTROL, 0x00);
    assert_int_equal(in(b, DATA), 0x55);
    out(b, STATUS, 0x00);
    assert_int_equal(in(b, STATUS), 0xdc);
    for (uint16_t port = 0x37b; port <= 0x37f; port++) {
        out(b, port, 0);
        assert_int_equal(in(b, port), 0xff); /* no EPP */
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    in(b, STATUS);
    out(b, DATA, 1);
}

static void saved_and_reset(void **state)
{
    struct bench *b = *state;
    out(b, CONTROL, 0x1d);
    out(b, CONTROL, 0x1c);
    fixture_check_round_trip(&b->f, disturb, b);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(in(b, CONTROL), 0xcc);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(handshake), TEST(not_listening), TEST(interrupts),
                                       TEST(registers), TEST(saved_and_reset)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
