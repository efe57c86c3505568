/* The mouse: packets, the three protocols and their knocks, modes, commands. */
#include "fixture.h"

#include "devices/ps2_mouse.h"

struct bench {
    struct fixture f;
    struct ps2_mouse *mouse;
    struct ps2_port *port;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    b->mouse = ps2_mouse_create(&b->f.log);
    assert_non_null(b->mouse);
    b->port = ps2_mouse_port(b->mouse);
    device_add(&b->f.devices, ps2_mouse_device(b->mouse));
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
}
#define EXPECT(b, ...)                          \
    do {                                        \
        const uint8_t bytes_[] = {__VA_ARGS__}; \
        expect(b, bytes_, sizeof bytes_);       \
        assert_false(ps2_pending((b)->port));   \
    } while (0)

static void send(struct bench *b, uint8_t v)
{
    ps2_send(b->port, v);
}

static void command(struct bench *b, uint8_t v)
{
    send(b, v);
    EXPECT(b, 0xfa);
}

static void rate(struct bench *b, uint8_t v)
{
    command(b, 0xf3);
    command(b, v);
}

static void knock(struct bench *b, uint8_t second)
{
    rate(b, 200);
    rate(b, second);
    rate(b, 80);
}

static void reset_and_status(void **state)
{
    struct bench *b = *state;
    send(b, 0xff);
    EXPECT(b, 0xfa, 0xaa, 0x00);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0x00);
    send(b, 0xe9);
    EXPECT(b, 0xfa, 0x00, 0x02, 100);
    command(b, 0xf4);
    command(b, 0xe7);
    command(b, 0xe8);
    command(b, 0x03);
    rate(b, 40);
    ps2_mouse_move(b->mouse, 0, 0, 0, PS2_BUTTON_LEFT | PS2_BUTTON_MIDDLE);
    send(b, 0xe9); /* cuts off the packet, which comes once more behind the answer */
    EXPECT(b, 0xfa, 0x36, 0x03, 40, 0x0d, 0, 0);
    command(b, 0xf6);
    send(b, 0xe9);
    EXPECT(b, 0xfa, 0x06, 0x02, 100);
    send(b, 0xe1); /* what Linux asks a TrackPoint */
    EXPECT(b, 0xfe);
    send(b, 0xfe);
    EXPECT(b, 0xfe);
}

static void stream(void **state)
{
    struct bench *b = *state;
    ps2_mouse_move(b->mouse, 10, 10, 0, 0); /* not enabled */
    assert_false(ps2_pending(b->port));
    command(b, 0xf4);
    ps2_mouse_move(b->mouse, 5, 3, 0, 0); /* down is negative */
    EXPECT(b, 0x28, 5, 0xfd);
    ps2_mouse_move(b->mouse, -1, -2, 0, PS2_BUTTON_RIGHT);
    EXPECT(b, 0x1a, 0xff, 2);
    ps2_mouse_move(b->mouse, 0, 0, 5,
                   PS2_BUTTON_RIGHT | PS2_BUTTON_SIDE); /* a plain mouse has neither */
    assert_false(ps2_pending(b->port));
    ps2_mouse_move(b->mouse, 0, 0, 0, 0);
    EXPECT(b, 0x08, 0, 0);
    ps2_mouse_move(b->mouse, 600, 0, 0, 0); /* more than a packet holds */
    EXPECT(b, 0x08, 255, 0, 0x08, 255, 0, 0x08, 90, 0);
}

/* While the host does not read, movement adds up and clicks are kept apart. */
static void gathering(void **state)
{
    struct bench *b = *state;
    command(b, 0xf4);
    for (unsigned i = 0; i < 10; i++)
        ps2_mouse_move(b->mouse, 1, 0, 0, 0);
    ps2_mouse_move(b->mouse, 0, 0, 0, PS2_BUTTON_LEFT);
    ps2_mouse_move(b->mouse, 0, 0, 0, 0);
    EXPECT(b, 0x08, 1, 0, 0x09, 9, 0, 0x08, 0, 0);
    for (unsigned i = 0; i < 100; i++)
        ps2_mouse_move(b->mouse, 0, 0, 0, i & 1);
    while (ps2_pending(b->port))
        ps2_take(b->port);
    command(b, 0xf5);
    command(b, 0xf4);
    assert_false(ps2_pending(b->port));
}

/* A command drops the packet with the release of a button, which is not lost with it. */
static void dropped(void **state)
{
    struct bench *b = *state;
    command(b, 0xf4);
    ps2_mouse_move(b->mouse, 0, 0, 0, PS2_BUTTON_LEFT);
    EXPECT(b, 0x09, 0, 0);
    ps2_mouse_move(b->mouse, 0, 0, 0, 0);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0x00, 0x08, 0, 0);
    ps2_mouse_move(b->mouse, 0, 0, 0, PS2_BUTTON_LEFT);
    assert_int_equal(ps2_take(b->port), 0x09); /* the rest is cut off */
    send(b, 0xf5);
    EXPECT(b, 0xfa);
    send(b, 0xf4);
    EXPECT(b, 0xfa, 0x09, 0, 0);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0x00); /* nothing was dropped */
    ps2_mouse_move(b->mouse, 0, 0, 0, 0);
    send(b, 0xff);
    EXPECT(b, 0xfa, 0xaa, 0x00);
    command(b, 0xf4);
}

static void wheel(void **state)
{
    struct bench *b = *state;
    knock(b, 100);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0x03);
    command(b, 0xf4);
    ps2_mouse_move(b->mouse, 0, 0, 1, 0);
    EXPECT(b, 0x08, 0, 0, 1);
    ps2_mouse_move(b->mouse, 1, 0, -10, PS2_BUTTON_EXTRA);
    EXPECT(b, 0x08, 1, 0, 0xf8, 0x08, 0, 0, 0xfe);
    send(b, 0xff);
    EXPECT(b, 0xfa, 0xaa, 0x00);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0x00);
}

static void five_buttons(void **state)
{
    struct bench *b = *state;
    knock(b, 100);
    knock(b, 200);
    send(b, 0xf2);
    EXPECT(b, 0xfa, 0x04);
    command(b, 0xf4);
    ps2_mouse_move(b->mouse, 0, 0, -1, PS2_BUTTON_SIDE | PS2_BUTTON_LEFT);
    EXPECT(b, 0x09, 0, 0, 0x1f);
    ps2_mouse_move(b->mouse, 0, 0, 0, PS2_BUTTON_EXTRA);
    EXPECT(b, 0x08, 0, 0, 0x20);
}

static void remote_and_wrap(void **state)
{
    struct bench *b = *state;
    command(b, 0xf4);
    command(b, 0xf0);
    ps2_mouse_move(b->mouse, 7, -7, 0, 1);
    assert_false(ps2_pending(b->port));
    send(b, 0xeb);
    EXPECT(b, 0xfa, 0x09, 7, 7);
    send(b, 0xeb);
    EXPECT(b, 0xfa, 0x09, 0, 0);
    command(b, 0xee);
    send(b, 0xf4);
    EXPECT(b, 0xf4);
    send(b, 0x12);
    EXPECT(b, 0x12);
    command(b, 0xec);
    command(b, 0xea);
    ps2_mouse_move(b->mouse, 1, 0, 0, 1);
    EXPECT(b, 0x09, 1, 0);
}

static void scaling(void **state)
{
    struct bench *b = *state;
    static const uint8_t in[] = {1, 2, 3, 4, 5, 6, 100}, out[] = {1, 1, 3, 6, 9, 12, 200};
    command(b, 0xf4);
    command(b, 0xe7);
    for (size_t i = 0; i < sizeof in; i++) {
        ps2_mouse_move(b->mouse, in[i], 0, 0, 0);
        EXPECT(b, 0x08, out[i], 0);
    }
    ps2_mouse_move(b->mouse, 3, 0, 0, 0);
    send(b, 0xeb); /* asked for, it is not scaled; the movement before was cut off */
    EXPECT(b, 0xfa, 0x08, 0, 0);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(3);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t r = fixture_random(&seed);
        switch (r & 3) {
        case 0:
            send(b, r & 4 ? 0xe6 + (r >> 8) % 26 : (uint8_t)(r >> 8));
            break;
        case 1:
            ps2_mouse_move(b->mouse, (int)(r >> 8) - (1 << 23), (int)(r >> 12 & 0xff) - 128,
                           (int)(r >> 16 & 15) - 8, r >> 27);
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
    send(b, 0xf3);
    ps2_mouse_move(b->mouse, 99, 99, 9, 7);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    knock(b, 100);
    command(b, 0xf4);
    ps2_mouse_move(b->mouse, 1, 0, 0, 0);
    ps2_mouse_move(b->mouse, 2, 0, 0, 0);
    fixture_check_round_trip(&b->f, disturb, b);
    EXPECT(b, 0x08, 1, 0, 0, 0x08, 2, 0, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reset_and_status), T(stream),  T(gathering),
        T(dropped),          T(wheel),   T(five_buttons),
        T(remote_and_wrap),  T(scaling), T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
