/* The keyboard: scan codes of all keys in three sets, commands, the buffer and its overrun. */
#include "fixture.h"

#include "devices/ps2_kbd.h"

struct bench {
    struct fixture f;
    struct ps2_kbd *kbd;
    struct ps2_port *port;
    unsigned ready;
};

static void on_ready(void *opaque)
{
    ((struct bench *)opaque)->ready++;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    b->kbd = ps2_kbd_create(&b->f.log);
    assert_non_null(b->kbd);
    b->port = ps2_kbd_port(b->kbd);
    b->port->ready = on_ready;
    b->port->ready_opaque = b;
    device_add(&b->f.devices, ps2_kbd_device(b->kbd));
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

static void expect(struct bench *b, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_true(ps2_pending(b->port));
        assert_int_equal(ps2_take(b->port), bytes[i]);
    }
    assert_false(ps2_pending(b->port));
}
#define EXPECT(b, ...)                          \
    do {                                        \
        const uint8_t bytes_[] = {__VA_ARGS__}; \
        expect(b, bytes_, sizeof bytes_);       \
    } while (0)

static void send(struct bench *b, uint8_t v)
{
    ps2_send(b->port, v);
}

static void key(struct bench *b, const char *name, bool down)
{
    const int code = ps2_key_from_name(name);
    assert_true(code >= 0);
    ps2_kbd_key(b->kbd, (unsigned)code, down);
}

static void choose_set(struct bench *b, uint8_t set)
{
    send(b, 0xf0);
    send(b, set);
    EXPECT(b, 0xfa, 0xfa);
}

static void names(void **state)
{
    (void)state;
    for (int k = 0; k < PS2_KEYS; k++)
        assert_int_equal(ps2_key_from_name(ps2_key_name((enum ps2_key)k)), k);
    static const char *const wanted[] = {"a",     "ret",    "shift",     "ctrl",    "alt",
                                         "esc",   "f1",     "spc",       "0",       "minus",
                                         "kp_0",  "up",     "pgup",      "meta_l",  "print",
                                         "pause", "delete", "caps_lock", "kp_enter"};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        assert_true(ps2_key_from_name(wanted[i]) >= 0);
    assert_int_equal(ps2_key_from_name("A"), -1);
    assert_int_equal(ps2_key_from_name(""), -1);
}

static void make_and_break(void **state)
{
    struct bench *b = *state;
    key(b, "a", true);
    assert_int_equal(b->ready, 1);
    key(b, "a", true); /* typematic */
    key(b, "a", false);
    EXPECT(b, 0x1c, 0x1c, 0xf0, 0x1c);
    key(b, "right", true);
    key(b, "right", false);
    EXPECT(b, 0xe0, 0x74, 0xe0, 0xf0, 0x74);
    choose_set(b, 1);
    key(b, "a", true);
    key(b, "a", false);
    key(b, "right", true);
    key(b, "right", false);
    EXPECT(b, 0x1e, 0x9e, 0xe0, 0x4d, 0xe0, 0xcd);
}

static void print_and_pause(void **state)
{
    struct bench *b = *state;
    key(b, "print", true);
    key(b, "print", false);
    EXPECT(b, 0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12);
    key(b, "pause", true);
    key(b, "pause", false);
    EXPECT(b, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
    key(b, "ctrl_r", true);
    key(b, "pause", true);
    key(b, "print", true);
    key(b, "print", false);
    EXPECT(b, 0xe0, 0x14, 0xe0, 0x7e, 0xe0, 0xf0, 0x7e, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c);
    key(b, "ctrl_r", false);
    key(b, "alt", true);
    key(b, "print", true);
    key(b, "print", false);
    EXPECT(b, 0xe0, 0xf0, 0x14, 0x11, 0x84, 0xf0, 0x84);
    key(b, "alt", false);
    EXPECT(b, 0xf0, 0x11);
    choose_set(b, 1);
    key(b, "print", true);
    key(b, "print", false);
    EXPECT(b, 0xe0, 0x2a, 0xe0, 0x37, 0xe0, 0xb7, 0xe0, 0xaa);
    key(b, "pause", true);
    EXPECT(b, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
}

static void set_three(void **state)
{
    struct bench *b = *state;
    choose_set(b, 3);
    send(b, 0xf0);
    send(b, 0x00);
    EXPECT(b, 0xfa, 0xfa, 0x03);
    key(b, "a", true);
    key(b, "a", false); /* no break code by default */
    key(b, "ctrl", true);
    key(b, "ctrl", false);
    key(b, "pause", true);
    EXPECT(b, 0x1c, 0x11, 0xf0, 0x11, 0x62);
    send(b, 0xfc); /* make/break for "a" and "b" */
    send(b, 0x1c);
    send(b, 0x32);
    EXPECT(b, 0xfa, 0xfa, 0xfa);
    key(b, "b", false);
    EXPECT(b, 0xf0, 0x32);
    send(b, 0xf9); /* a command ends the list */
    EXPECT(b, 0xfa);
    key(b, "b", false);
    key(b, "ctrl", false);
    assert_false(ps2_pending(b->port));
    send(b, 0xf8); /* Linux: everything make/break */
    EXPECT(b, 0xfa);
    key(b, "pause", false);
    EXPECT(b, 0xf0, 0x62);
}

static void commands(void **state)
{
    struct bench *b = *state;
    send(b, 0xff);
    EXPECT(b, 0xfa, 0xaa);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0xab, 0x83);
    send(b, 0xee);
    EXPECT(b, 0xee);
    send(b, 0xed);
    send(b, 0x05);
    EXPECT(b, 0xfa, 0xfa);
    assert_int_equal(ps2_kbd_leds(b->kbd), 5);
    send(b, 0xf3);
    send(b, 0x00);
    EXPECT(b, 0xfa, 0xfa);
    send(b, 0xf0);
    send(b, 0x00);
    EXPECT(b, 0xfa, 0xfa, 0x02);
    send(b, 0xfe);
    EXPECT(b, 0x02);
    send(b, 0xf0);
    send(b, 0x07);
    EXPECT(b, 0xfa, 0xfe);
    send(b, 0x12);
    EXPECT(b, 0xfe);
    send(b, 0xed); /* another command instead of the parameter */
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0xfa, 0xab, 0x83);
    send(b, 0xf5);
    key(b, "a", true);
    EXPECT(b, 0xfa);
    send(b, 0xf4);
    key(b, "a", false);
    EXPECT(b, 0xfa, 0xf0, 0x1c);
    key(b, "b", true);
    send(b, 0xed); /* answers go before keys */
    EXPECT(b, 0xfa, 0x32);
    send(b, 0xf2);
    key(b, "c", true);
    send(b, 0xf6); /* defaults: the keys typed so far are gone */
    EXPECT(b, 0xfa, 0xab, 0x83, 0xfa);
}

static void overrun(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 15; i++)
        key(b, "a", true);
    key(b, "up", true); /* two bytes into one place */
    key(b, "b", true);  /* said once is enough */
    for (unsigned i = 0; i < 15; i++)
        assert_int_equal(ps2_take(b->port), 0x1c);
    key(b, "c", true);
    EXPECT(b, 0x00, 0x21);
    choose_set(b, 1);
    for (unsigned i = 0; i < 30; i++)
        key(b, "a", true);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(ps2_take(b->port), 0x1e);
    EXPECT(b, 0xff);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(104);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t r = fixture_random(&seed);
        switch (r & 3) {
        case 0:
            send(b, r & 4 ? 0xed + (r >> 8) % 19 : (uint8_t)(r >> 8));
            break;
        case 1:
            ps2_kbd_key(b->kbd, (r >> 8) % (PS2_KEYS + 3), r >> 20 & 1);
            break;
        default:
            if (ps2_pending(b->port))
                ps2_take(b->port);
            break;
        }
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    send(b, 0xff);
    send(b, 0xed);
    send(b, 0x07);
    send(b, 0xfc);
    send(b, 0x10);
    key(b, "shift", true);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    choose_set(b, 3);
    send(b, 0xf2);
    key(b, "a", true);
    fixture_check_round_trip(&b->f, disturb, b);
    EXPECT(b, 0xfa, 0xab, 0x83, 0x1c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(names),    T(make_and_break), T(print_and_pause),        T(set_three),
        T(commands), T(overrun),        T(any_access_is_survived), T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
