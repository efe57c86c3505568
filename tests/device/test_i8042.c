/* The keyboard controller with both devices: commands, translation, interrupts, pace, A20, reset.
 */
#include "fixture.h"

#include "devices/i8042.h"
#include "devices/ps2_kbd.h"
#include "devices/ps2_mouse.h"

#define BYTE_NS (100 * NS_PER_US)

struct bench {
    struct fixture f;
    struct recorder irq1, irq12, a20, reset;
    struct ps2_kbd *kbd;
    struct ps2_mouse *mouse;
    struct i8042 *k;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    b->kbd = ps2_kbd_create(&b->f.log);
    b->mouse = ps2_mouse_create(&b->f.log);
    assert_true(b->kbd && b->mouse);
    const struct i8042_wiring wiring = {
        .irq1 = recorder_line(&b->irq1),
        .irq12 = recorder_line(&b->irq12),
        .a20 = recorder_line(&b->a20),
        .reset = recorder_line(&b->reset),
        .kbd = ps2_kbd_port(b->kbd),
        .aux = ps2_mouse_port(b->mouse),
    };
    b->k = i8042_create(&b->f.io, &b->f.queue, &b->f.log, &wiring);
    assert_non_null(b->k);
    device_add(&b->f.devices, ps2_kbd_device(b->kbd));
    device_add(&b->f.devices, ps2_mouse_device(b->mouse));
    device_add(&b->f.devices, i8042_device(b->k));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    fixture_free(&b->f);
    free(b);
    return 0;
}

static void data(struct bench *b, uint8_t v)
{
    iomap_write(&b->f.io, 0x60, v, 1);
}

static void command(struct bench *b, uint8_t v)
{
    iomap_write(&b->f.io, 0x64, v, 1);
}

static uint8_t status(struct bench *b)
{
    return (uint8_t)iomap_read(&b->f.io, 0x64, 1);
}

static uint8_t read_now(struct bench *b)
{
    return (uint8_t)iomap_read(&b->f.io, 0x60, 1);
}

static void step(struct bench *b, int64_t ns)
{
    event_step(&b->f.queue, &b->f.now_ns, ns);
}

/* Waits for a byte as a polling driver does; aux: whose it must be. */
static void expect(struct bench *b, uint8_t value, bool aux)
{
    for (unsigned i = 0; !(status(b) & 1) && i < 20; i++)
        step(b, 10 * NS_PER_US);
    assert_int_equal(status(b) & 0x21, aux ? 0x21 : 0x01);
    assert_int_equal(read_now(b), value);
}

static void expect_nothing(struct bench *b)
{
    step(b, NS_PER_SEC);
    assert_int_equal(status(b) & 1, 0);
    assert_int_equal(b->irq1.level | b->irq12.level, 0);
}

static void write_command_byte(struct bench *b, uint8_t v)
{
    command(b, 0x60);
    data(b, v);
}

static void key(struct bench *b, enum ps2_key k, bool down)
{
    ps2_kbd_key(b->kbd, k, down);
}

/* What SeaBIOS does at power-on. */
static void firmware_setup(void **state)
{
    struct bench *b = *state;
    assert_int_equal(status(b), 0x18);
    command(b, 0xad);
    command(b, 0xa7);
    command(b, 0xaa);
    expect(b, 0x55, false);
    assert_int_equal(status(b) & 0x04, 0x04);
    command(b, 0xab);
    expect(b, 0x00, false);
    command(b, 0xa9);
    expect(b, 0x00, false);
    write_command_byte(b, 0x30);
    command(b, 0x20);
    expect(b, 0x30, false);
    data(b, 0xff); /* to the keyboard: turns its interface on again */
    assert_int_equal(status(b) & 1, 0);
    expect(b, 0xfa, false);
    expect(b, 0xaa, false);
    command(b, 0x20);
    expect(b, 0x20, false);
    write_command_byte(b, 0x61);
    data(b, 0xf4);
    expect(b, 0xfa, false);
    expect_nothing(b);
    assert_int_equal(b->reset.rises, 0);
}

static void translation(void **state)
{
    struct bench *b = *state;
    write_command_byte(b, 0x41);
    for (int k = 0; k < PS2_KEYS; k++) {
        if (k == PS2_KEY_print || k == PS2_KEY_pause)
            continue;
        const uint16_t set1 = ps2_key_codes((enum ps2_key)k)->set[0];
        for (int down = 1; down >= 0; down--) {
            key(b, (enum ps2_key)k, down);
            if (set1 >> 8)
                expect(b, (uint8_t)(set1 >> 8), false);
            expect(b, (uint8_t)(set1 | (down ? 0 : 0x80)), false);
        }
    }
    data(b, 0xf2);
    expect(b, 0xfa, false);
    expect(b, 0xab, false);
    expect(b, 0x41, false);
    write_command_byte(b, 0x01);
    key(b, PS2_KEY_a, false);
    expect(b, 0xf0, false);
    expect(b, 0x1c, false);
}

static void interrupts_and_pace(void **state)
{
    struct bench *b = *state;
    step(b, NS_PER_SEC);
    key(b, PS2_KEY_a, true);
    key(b, PS2_KEY_b, true);
    assert_int_equal(b->irq1.level, 1); /* an idle line: at once */
    assert_int_equal(read_now(b), 0x1c);
    assert_int_equal(b->irq1.level, 0);
    assert_int_equal(status(b) & 1, 0);
    step(b, BYTE_NS - 1);
    assert_int_equal(read_now(b), 0x1c); /* the same byte as long as no other has come */
    assert_int_equal(b->irq1.rises, 1);
    step(b, 1);
    assert_int_equal(b->irq1.rises, 2);
    assert_int_equal(read_now(b), 0x32);
    expect_nothing(b);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
    write_command_byte(b, 0x00);
    key(b, PS2_KEY_a, true);
    assert_int_equal(b->irq1.level, 0);
    assert_int_equal(status(b) & 1, 1);
    write_command_byte(b, 0x01); /* enabled while a byte waits */
    assert_int_equal(b->irq1.level, 1);
}

static void disabled_interfaces(void **state)
{
    struct bench *b = *state;
    command(b, 0xad);
    key(b, PS2_KEY_a, true);
    expect_nothing(b);
    command(b, 0xae);
    expect(b, 0x1c, false);
    command(b, 0xd4);
    data(b, 0xf4);
    expect(b, 0xfa, true);
    command(b, 0xa7);
    ps2_mouse_move(b->mouse, 1, 1, 0, 0);
    expect_nothing(b);
    command(b, 0xa8);
    expect(b, 0x08 | 0x20, true);
    expect(b, 0x01, true);
    expect(b, 0xff, true);
}

static void mouse(void **state)
{
    struct bench *b = *state;
    command(b, 0xd4);
    data(b, 0xff);
    step(b, BYTE_NS);
    assert_int_equal(b->irq12.level, 1);
    assert_int_equal(b->irq1.rises, 0);
    expect(b, 0xfa, true);
    expect(b, 0xaa, true);
    expect(b, 0x00, true);
    assert_int_equal(b->irq12.rises, 3);
    key(b, PS2_KEY_a, true); /* both have something to say */
    command(b, 0xd4);
    data(b, 0xf2);
    expect(b, 0x1c, false);
    expect(b, 0xfa, true);
    expect(b, 0x00, true);
}

/* Packets that follow each other, as the way was long: none of their bytes is lost. */
static void long_way(void **state)
{
    struct bench *b = *state;
    command(b, 0xa8);
    command(b, 0xd4);
    data(b, 0xf4);
    expect(b, 0xfa, true);
    ps2_mouse_move(b->mouse, 600, 0, 0, 0);
    static const uint8_t packets[] = {0x08, 255, 0, 0x08, 255, 0, 0x08, 90, 0};
    for (unsigned i = 0; i < sizeof packets; i++)
        expect(b, packets[i], true);
    expect_nothing(b);
}

/* Linux' i8042_check_aux(): loops a byte, toggles the interface, waits for IRQ12. */
static void linux_probe(void **state)
{
    struct bench *b = *state;
    write_command_byte(b, 0x47);
    command(b, 0xd3);
    data(b, 0x5a);
    assert_int_equal(b->irq12.level, 1);
    expect(b, 0x5a, true);
    command(b, 0xa7);
    command(b, 0x20);
    expect(b, 0x67, false);
    command(b, 0xa8);
    command(b, 0x20);
    expect(b, 0x47, false);
    command(b, 0xd2);
    data(b, 0x77); /* not translated: it is as if it had been */
    expect(b, 0x77, false);
    assert_true(b->irq1.rises > 0);
}

/* An answer of the controller is not lost behind a key, nor the key behind it. */
static void answer_before_key(void **state)
{
    struct bench *b = *state;
    key(b, PS2_KEY_a, true);
    key(b, PS2_KEY_b, true);
    assert_int_equal(status(b) & 1, 1);
    command(b, 0x20);
    assert_int_equal(b->irq1.rises, 2);
    expect(b, 0x03, false);
    expect(b, 0x1c, false);
    expect(b, 0x32, false);
    expect_nothing(b);
}

static void output_port(void **state)
{
    struct bench *b = *state;
    assert_int_equal(b->a20.level, 1);
    command(b, 0xd0);
    expect(b, 0xcf, false);
    command(b, 0xd1);
    data(b, 0xdd);
    assert_int_equal(b->a20.level, 0);
    command(b, 0xd0);
    expect(b, 0xcd, false);
    command(b, 0xdf);
    assert_int_equal(b->a20.level, 1);
    const unsigned calls = b->a20.calls;
    command(b, 0xd1); /* said again: the last one written decides */
    data(b, 0xdf);
    assert_int_equal(b->a20.calls, calls + 1);
    command(b, 0xdd);
    assert_int_equal(b->a20.level, 0);
    step(b, BYTE_NS);
    key(b, PS2_KEY_a, true);
    command(b, 0xd0);
    expect(b, 0xdd, false); /* with the keyboard's interrupt */
    command(b, 0xc0);
    assert_int_equal(read_now(b) & 0x80, 0x80);
    command(b, 0xe0);
    assert_int_equal(read_now(b), 0x00);
}

static void resets(void **state)
{
    struct bench *b = *state;
    command(b, 0xff); /* pulses nothing */
    assert_int_equal(b->reset.rises, 0);
    command(b, 0xfe);
    assert_int_equal(b->reset.rises, 1);
    assert_int_equal(b->reset.level, 0);
    command(b, 0xd1);
    data(b, 0xde);
    assert_int_equal(b->reset.rises, 2);
    key(b, PS2_KEY_a, true);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(b->irq1.level, 0);
    assert_int_equal(b->a20.level, 1);
    expect_nothing(b);
}

static void memory_and_parameters(void **state)
{
    struct bench *b = *state;
    command(b, 0x75);
    data(b, 0xab);
    command(b, 0x35);
    expect(b, 0xab, false);
    command(b, 0x60); /* the parameter never comes: the next command is a command */
    command(b, 0xae);
    data(b, 0xee); /* and this goes to the keyboard */
    assert_int_equal(status(b) & 0x08, 0);
    expect(b, 0xee, false);
    command(b, 0xa4);
    assert_int_equal(status(b) & 0x08, 0x08);
    expect(b, 0xf1, false);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(8042);
    for (unsigned i = 0; i < 200000; i++) {
        const uint32_t r = fixture_random(&seed);
        switch (r & 7) {
        case 0:
            command(b, (uint8_t)(r >> 8));
            break;
        case 1:
            data(b, (uint8_t)(r >> 8));
            break;
        case 2:
            ps2_kbd_key(b->kbd, (r >> 8) % PS2_KEYS, r >> 20 & 1);
            break;
        case 3:
            ps2_mouse_move(b->mouse, (int)(r >> 8 & 0xff) - 128, (int)(r >> 16 & 0xff) - 128,
                           (int)(r >> 24 & 3) - 1, r >> 27);
            break;
        case 4:
            status(b);
            break;
        case 5:
            step(b, r >> 12);
            break;
        default:
            read_now(b);
            break;
        }
        assert_false(b->irq1.level && b->irq12.level);
    }
    /* Whatever it was, a driver can set it up again. */
    write_command_byte(b, 0x41);
    for (unsigned i = 0; i < 60; i++) {
        step(b, BYTE_NS);
        read_now(b);
    }
    data(b, 0xff);
    expect(b, 0xfa, false);
    expect(b, 0xaa, false);
    key(b, PS2_KEY_a, true);
    expect(b, 0x1e, false);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    step(b, 10 * BYTE_NS);
    read_now(b);
    command(b, 0xd1);
    data(b, 0x01);
    write_command_byte(b, 0x7f);
    command(b, 0xd4);
    step(b, BYTE_NS);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    key(b, PS2_KEY_up, true);
    command(b, 0xaa);
    data(b, 0xf2);
    fixture_check_round_trip(&b->f, disturb, b);
    expect(b, 0x55, false);
    expect(b, 0xe0, false);
    expect(b, 0xfa, false);
    expect(b, 0xab, false);
    expect(b, 0x83, false);
    expect(b, 0x75, false);
    key(b, PS2_KEY_a, true);
    expect(b, 0x1c, false);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(firmware_setup),
        T(translation),
        T(interrupts_and_pace),
        T(disabled_interfaces),
        T(mouse),
        T(long_way),
        T(linux_probe),
        T(answer_before_key),
        T(output_port),
        T(resets),
        T(memory_and_parameters),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
