/* The 8254: the data sheet's timing diagrams pulse by pulse, jumps against single steps, no drift.
 */
#include "fixture.h"

#include "devices/pit8254.h"

struct bench {
    struct fixture f;
    struct recorder irq;
    struct pit8254 *pit;
};

static void out(struct bench *b, uint16_t port, uint8_t v)
{
    iomap_write(&b->f.io, port, v, 1);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return (uint8_t)iomap_read(&b->f.io, port, 1);
}

/* First ns at which n CLK pulses are complete. */
static int64_t pulse_ns(uint64_t n)
{
    const unsigned __int128 scaled = (unsigned __int128)n * 1000000000u;
    return (int64_t)((scaled + PIT8254_HZ - 1) / PIT8254_HZ);
}

static uint64_t pulses(const struct bench *b)
{
    return (uint64_t)((unsigned __int128)(uint64_t)b->f.now_ns * PIT8254_HZ / 1000000000u);
}

/* Steps the clock n pulses on, to the ns of the last. */
static void step(struct bench *b, uint64_t n)
{
    event_step(&b->f.queue, &b->f.now_ns, pulse_ns(pulses(b) + n) - b->f.now_ns);
}

static void bench_init(struct bench *b)
{
    fixture_init(&b->f, MiB);
    const struct irq_line irq = recorder_line(&b->irq);
    b->pit = pit8254_create(&b->f.io, &b->f.queue, &irq);
    assert_non_null(b->pit);
    device_add(&b->f.devices, pit8254_device(b->pit));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    b->irq = (struct recorder){.level = b->irq.level};
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    bench_init(b);
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

static uint16_t read_latched(struct bench *b, unsigned counter)
{
    out(b, 0x43, (uint8_t)(counter << 6));
    const uint8_t lsb = in(b, (uint16_t)(0x40 + counter));
    return (uint16_t)(lsb | in(b, (uint16_t)(0x40 + counter)) << 8);
}

static uint8_t read_status(struct bench *b, unsigned counter)
{
    out(b, 0x43, (uint8_t)(0xe0 | BIT(counter + 1)));
    return in(b, (uint16_t)(0x40 + counter));
}

static void program(struct bench *b, unsigned counter, unsigned mode, uint16_t count)
{
    out(b, 0x43, (uint8_t)(counter << 6 | 0x30 | mode << 1));
    out(b, (uint16_t)(0x40 + counter), (uint8_t)count);
    out(b, (uint16_t)(0x40 + counter), (uint8_t)(count >> 8));
}

static int out2(struct bench *b)
{
    return in(b, 0x61) >> 5 & 1;
}

static void gate2(struct bench *b, bool level)
{
    out(b, 0x61, level);
}

struct shown {
    uint16_t count;
    int out;
};

/* Counter 2 from the next pulse on. */
static void expect(struct bench *b, const struct shown *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        step(b, 1);
        assert_int_equal(read_latched(b, 2), s[i].count);
        assert_int_equal(out2(b), s[i].out);
    }
}
#define EXPECT(b, ...)                           \
    do {                                         \
        const struct shown s_[] = {__VA_ARGS__}; \
        expect(b, s_, sizeof s_ / sizeof s_[0]); \
    } while (0)

/* 82C54 "MODE 0", its three diagrams. */
static void mode0(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    program(b, 2, 0, 4);
    assert_int_equal(out2(b), 0);
    EXPECT(b, {4, 0}, {3, 0}, {2, 0}, {1, 0}, {0, 1}, {0xffff, 1}, {0xfffe, 1});
    program(b, 2, 0, 3);
    EXPECT(b, {3, 0}, {2, 0});
    gate2(b, 0);
    EXPECT(b, {2, 0}, {2, 0});
    gate2(b, 1);
    EXPECT(b, {1, 0}, {0, 1}, {0xffff, 1});
    program(b, 2, 0, 3);
    EXPECT(b, {3, 0}, {2, 0}, {1, 0});
    out(b, 0x42, 2); /* a new count: the first byte stops it, the second loads */
    EXPECT(b, {1, 0}, {1, 0});
    out(b, 0x42, 0);
    EXPECT(b, {2, 0}, {1, 0}, {0, 1});
    gate2(b, 0);
    program(b, 2, 0, 2); /* loaded without the gate, counted with it */
    EXPECT(b, {2, 0}, {2, 0});
    gate2(b, 1);
    EXPECT(b, {1, 0}, {0, 1});
}

static void mode1(void **state)
{
    struct bench *b = *state;
    program(b, 2, 1, 3);
    assert_int_equal(out2(b), 1);
    step(b, 5);
    assert_int_equal(out2(b), 1);
    gate2(b, 1);
    EXPECT(b, {3, 0}, {2, 0}, {1, 0}, {0, 1}, {0xffff, 1});
    gate2(b, 0);
    gate2(b, 1);
    EXPECT(b, {3, 0}, {2, 0});
    gate2(b, 0); /* does not stop it */
    EXPECT(b, {1, 0});
    gate2(b, 1); /* retriggers it */
    EXPECT(b, {3, 0}, {2, 0});
    out(b, 0x42, 5); /* counts for the next trigger */
    out(b, 0x42, 0);
    EXPECT(b, {1, 0}, {0, 1});
    gate2(b, 0);
    gate2(b, 1);
    EXPECT(b, {5, 0}, {4, 0});
}

static void mode2(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    program(b, 2, 2, 3);
    EXPECT(b, {3, 1}, {2, 1}, {1, 0}, {3, 1}, {2, 1}, {1, 0}, {3, 1});
    gate2(b, 0);
    EXPECT(b, {3, 1}, {3, 1});
    gate2(b, 1);
    EXPECT(b, {3, 1}, {2, 1}, {1, 0});
    gate2(b, 0); /* raises OUT at once */
    assert_int_equal(out2(b), 1);
    gate2(b, 1);
    EXPECT(b, {3, 1});
    out(b, 0x42, 5); /* from the next period on */
    out(b, 0x42, 0);
    EXPECT(b, {2, 1}, {1, 0}, {5, 1}, {4, 1}, {3, 1}, {2, 1}, {1, 0}, {5, 1});
    program(b, 2, 6, 2); /* M2 does not matter */
    EXPECT(b, {2, 1}, {1, 0}, {2, 1});
}

static void mode3(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    program(b, 2, 3, 4);
    EXPECT(b, {4, 1}, {2, 1}, {4, 0}, {2, 0}, {4, 1}, {2, 1}, {4, 0});
    gate2(b, 0);
    assert_int_equal(out2(b), 1);
    EXPECT(b, {4, 1});
    gate2(b, 1);
    EXPECT(b, {4, 1}, {2, 1}, {4, 0});
    program(b, 2, 3, 5);
    EXPECT(b, {4, 1}, {2, 1}, {0, 1}, {4, 0}, {2, 0}, {4, 1}, {2, 1}, {0, 1}, {4, 0});
    out(b, 0x42, 6); /* from the next half period on */
    out(b, 0x42, 0);
    EXPECT(b, {2, 0}, {6, 1}, {4, 1}, {2, 1}, {6, 0});
}

static void mode4(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    program(b, 2, 4, 3);
    EXPECT(b, {3, 1}, {2, 1}, {1, 1}, {0, 0}, {0xffff, 1}, {0xfffe, 1});
    program(b, 2, 4, 3);
    gate2(b, 0);
    EXPECT(b, {3, 1}, {3, 1});
    gate2(b, 1);
    EXPECT(b, {2, 1}, {1, 1});
    out(b, 0x42, 2);
    out(b, 0x42, 0);
    EXPECT(b, {2, 1}, {1, 1}, {0, 0}, {0xffff, 1});
    step(b, 65535); /* once only */
    assert_int_equal(read_latched(b, 2), 0);
    assert_int_equal(out2(b), 1);
}

static void mode5(void **state)
{
    struct bench *b = *state;
    program(b, 2, 5, 3);
    step(b, 3);
    gate2(b, 1);
    EXPECT(b, {3, 1}, {2, 1}, {1, 1}, {0, 0}, {0xffff, 1});
    gate2(b, 0);
    gate2(b, 1);
    EXPECT(b, {3, 1}, {2, 1});
    gate2(b, 0);
    EXPECT(b, {1, 1}, {0, 0}, {0xffff, 1});
}

static void bcd(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    out(b, 0x43, 0xb1); /* mode 0, BCD */
    out(b, 0x42, 0x00);
    out(b, 0x42, 0x10);
    EXPECT(b, {0x1000, 0}, {0x0999, 0}, {0x0998, 0});
    step(b, 998);
    EXPECT(b, {0x9999, 1});
    out(b, 0x43, 0xb5); /* mode 2, count 0 is 10000 */
    out(b, 0x42, 0x00);
    out(b, 0x42, 0x00);
    EXPECT(b, {0, 1}, {0x9999, 1});
    step(b, 9998);
    EXPECT(b, {0x0000, 1}, {0x9999, 1});
}

static void full_count(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    program(b, 2, 2, 0);
    EXPECT(b, {0, 1}, {0xffff, 1});
    step(b, 65533);
    EXPECT(b, {1, 0}, {0, 1}, {0xffff, 1});
    program(b, 2, 3, 0);
    EXPECT(b, {0, 1}, {0xfffe, 1});
    step(b, 32765);
    EXPECT(b, {2, 1}, {0, 0}, {0xfffe, 0});
}

static void access_modes_and_latches(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    out(b, 0x43, 0x94); /* LSB only, mode 2 */
    out(b, 0x42, 0x80);
    step(b, 1);
    assert_int_equal(in(b, 0x42), 0x80);
    assert_int_equal(in(b, 0x42), 0x80);
    out(b, 0x43, 0xa4); /* MSB only */
    out(b, 0x42, 0x12);
    step(b, 2);
    assert_int_equal(in(b, 0x42), 0x11);
    assert_int_equal(read_status(b, 2), 0xa4);
    program(b, 2, 2, 0x1234);
    assert_int_equal(read_status(b, 2), 0xf4); /* OUT, count not loaded yet, both bytes, mode 2 */
    step(b, 1);
    assert_int_equal(read_status(b, 2), 0xb4);
    out(b, 0x43, 0x80); /* latch */
    step(b, 16);
    out(b, 0x43, 0x80); /* a second latch before the read does nothing */
    assert_int_equal(in(b, 0x42), 0x34);
    assert_int_equal(in(b, 0x42), 0x12);
    assert_int_equal(in(b, 0x42), 0x24); /* live again */
    step(b, 0x24);
    assert_int_equal(in(b, 0x42), 0x12);
    out(b, 0x43, 0xc8); /* read back count and status of counter 2: status first */
    step(b, 5);
    assert_int_equal(in(b, 0x42), 0xb4);
    assert_int_equal(in(b, 0x42), 0x00);
    assert_int_equal(in(b, 0x42), 0x12);
    out(b, 0x43, 0xd8); /* count alone, for counter 2; then all three counters' status */
    out(b, 0x43, 0xee);
    assert_int_equal(in(b, 0x42), 0xb4);
    assert_int_equal(in(b, 0x42), 0xfb);
    assert_int_equal(in(b, 0x42), 0x11);
    assert_int_equal(in(b, 0x40) & 0x40, 0x40); /* never programmed: null count */
    out(b, 0x42, 0x10);                         /* a new count waits for the end of the period */
    out(b, 0x42, 0x00);
    assert_int_equal(read_status(b, 2), 0xf4);
    step(b, 0x1234);
    assert_int_equal(read_status(b, 2) & 0x40, 0);
}

/* Port 61h: refresh toggles every 18 pulses, OUT2 shows, gate and speaker bits read back. */
static void port61(void **state)
{
    struct bench *b = *state;
    unsigned toggles = 0;
    uint8_t last = in(b, 0x61);
    for (unsigned i = 0; i < 1800; i++) {
        step(b, 1);
        const uint8_t now = in(b, 0x61);
        toggles += (now ^ last) >> 4 & 1;
        last = now;
    }
    assert_int_equal(toggles, 100);
    out(b, 0x61, 0xff);
    assert_int_equal(in(b, 0x61) & 0xcf, 0x0f);
    program(b, 2, 3, 1000);
    assert_int_equal(pit8254_speaker(b->pit), 1);
    step(b, 501);
    assert_int_equal(pit8254_speaker(b->pit), 0);
    step(b, 500);
    assert_int_equal(pit8254_speaker(b->pit), 1);
    out(b, 0x61, 0x01);
    assert_int_equal(pit8254_speaker(b->pit), 0);
}

/* Linux measures its TSC like this: mode 0, 50 ms, until OUT2 shows. */
static void one_shot_calibration(void **state)
{
    struct bench *b = *state;
    const uint16_t latch = PIT8254_HZ / 20;
    gate2(b, 1);
    const int64_t start = b->f.now_ns;
    program(b, 2, 0, latch);
    while (!out2(b))
        event_step(&b->f.queue, &b->f.now_ns, 200);
    assert_in_range(b->f.now_ns - start, pulse_ns(latch), pulse_ns(latch + 1) + 200);
}

static void timer_interrupt(void **state)
{
    struct bench *b = *state;
    program(b, 0, 2, 11932);
    assert_int_equal(b->irq.rises, 0); /* OUT was high and stays so */
    step(b, 11932);
    assert_int_equal(b->irq.level, 0);
    step(b, 1);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(b->irq.rises, 1);
    step(b, 11932);
    assert_int_equal(b->irq.rises, 2);
    program(b, 0, 0, 100); /* one shot */
    assert_int_equal(b->irq.level, 0);
    step(b, 100);
    assert_int_equal(b->irq.level, 0);
    step(b, 1);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER); /* OUT will not change again */
    program(b, 0, 4, 100);                                      /* Linux' one shot */
    step(b, 101);
    assert_int_equal(b->irq.level, 0);
    step(b, 1);
    assert_int_equal(b->irq.rises, 4);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
    out(b, 0x40, 50);
    out(b, 0x40, 0);
    step(b, 52);
    assert_int_equal(b->irq.rises, 5);
}

/* An hour at 100 Hz: each edge at its exact ns. */
static void no_drift(void **state)
{
    struct bench *b = *state;
    program(b, 0, 3, 11932);
    const uint64_t load = pulses(b) + 1;
    for (unsigned i = 1; i <= 360000; i++) {
        const int64_t due = pulse_ns(load + (uint64_t)i * 11932);
        if (i % 1000 == 0) {
            event_step(&b->f.queue, &b->f.now_ns, due - 1 - b->f.now_ns);
            assert_int_equal(b->irq.rises, i - 1);
        }
        event_step(&b->f.queue, &b->f.now_ns, due - b->f.now_ns);
        assert_int_equal(b->irq.rises, i);
    }
}

/* The machine may come late to an event: the line still makes its edge, and only one. */
static void late_events(void **state)
{
    struct bench *b = *state;
    program(b, 0, 2, 1000);
    step(b, 500);
    b->f.now_ns += 100 * NS_PER_MS;
    event_run(&b->f.queue, b->f.now_ns);
    assert_int_equal(b->irq.rises, 1);
    assert_int_equal(b->irq.level, 1);
    assert_true(event_next_due(&b->f.queue) > b->f.now_ns);
    const unsigned calls = b->irq.calls;
    assert_int_equal(calls, 2); /* down and up */
    step(b, 2000);
    assert_int_equal(b->irq.rises, 3);
    b->f.now_ns += INT64_C(3600) * NS_PER_SEC; /* and a register access may see it before */
    read_status(b, 0);
    assert_int_equal(b->irq.rises, 4);
}

/*
 * The same random program on two timers: one is looked at every pulse, the other now and then. What
 * the second jumps over must come out as the first has stepped through.
 */
static void jumps_equal_steps(void **state)
{
    (void)state;
    struct bench *one = calloc(1, sizeof *one), *two = calloc(1, sizeof *two);
    assert_true(one && two);
    bench_init(one);
    bench_init(two);
    struct bench *both[] = {one, two};
    uint64_t seed = test_seed(8254);
    for (unsigned round = 0; round < 3000; round++) {
        const uint32_t r = fixture_random(&seed), v = fixture_random(&seed);
        const unsigned wait = r >> 8 & 1 ? v & 0x1ff : v & 7;
        for (unsigned i = 0; i < 2; i++) {
            switch (r & 7) {
            case 0: /* program, mostly small counts, any mode, binary or BCD */
                out(both[i], 0x43, (uint8_t)(0x80 | (r >> 16 & 0x0f) | 0x30));
                out(both[i], 0x42, (uint8_t)(v >> 8 & (r & BIT(20) ? 0xff : 0x07)));
                out(both[i], 0x42, r & BIT(21) ? (uint8_t)(v >> 16) : 0);
                break;
            case 1: /* a byte of a new count */
                out(both[i], 0x42, (uint8_t)(v >> 8 & 0x0f));
                break;
            case 2:
            case 3:
                gate2(both[i], r >> 9 & 1);
                break;
            default:
                break;
            }
        }
        for (unsigned i = 0; i < wait; i++) {
            step(one, 1);
            in(one, 0x61); /* brings counter 2 up to date */
        }
        step(two, wait);
        assert_int_equal(in(one, 0x61), in(two, 0x61));
        assert_int_equal(read_status(one, 2), read_status(two, 2));
        out(one, 0x43, 0x80);
        out(two, 0x43, 0x80);
        assert_int_equal(in(one, 0x42), in(two, 0x42));
        assert_int_equal(in(one, 0x42), in(two, 0x42));
    }
    for (unsigned i = 0; i < 2; i++) {
        fixture_free(&both[i]->f);
        free(both[i]);
    }
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    static const uint16_t ports[] = {0x40, 0x41, 0x42, 0x43, 0x61};
    uint64_t seed = test_seed(61);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t r = fixture_random(&seed);
        const uint16_t port = ports[(r >> 4) % ARRAY_SIZE(ports)];
        if (r & 1)
            out(b, port, (uint8_t)(r >> 8));
        else
            in(b, port);
        event_step(&b->f.queue, &b->f.now_ns, r >> 16 & (r & 2 ? 0xffff : 0x3ff));
        assert_true(event_next_due(&b->f.queue) > b->f.now_ns);
    }
    b->f.now_ns += INT64_C(1000000) * NS_PER_SEC; /* and eleven days unseen */
    for (unsigned i = 0; i < 3; i++)
        read_status(b, i);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    step(b, 777);
    program(b, 0, 0, 3);
    program(b, 2, 5, 3);
    out(b, 0x61, 0);
    step(b, 7);
    in(b, 0x40);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    gate2(b, 1);
    program(b, 0, 2, 5000);
    program(b, 1, 2, 18);
    program(b, 2, 3, 77);
    step(b, 1234);
    read_latched(b, 2);
    out(b, 0x43, 0xc4);
    in(b, 0x41);
    const int64_t due = event_next_due(&b->f.queue);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(event_next_due(&b->f.queue), due);
}

static void reset(void **state)
{
    struct bench *b = *state;
    program(b, 0, 2, 5000);
    step(b, 100);
    out(b, 0x61, 3);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
    assert_int_equal(in(b, 0x61) & 0x0f, 0);
    step(b, 100000);
    assert_int_equal(b->irq.rises, 0);
}
/* Made-up: mode 3 counts by twos, from an odd number it would never come to 0. */
static void state_of_odd_square(void **state)
{
    struct bench *b = *state;
    struct state save, load;
    program(b, 0, 3, 1000);
    step(b, 100);
    in(b, 0x40); /* up to date */
    fixture_save(&b->f, &save);
    st32(fixture_field(&save, "ce", 0), 501);
    state_init_load(&load, save.buf, save.len);
    device_state_all(&b->f.devices, &load);
    assert_non_null(strstr(load.err.msg, "ce"));
    state_free(&load);
    state_free(&save);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(mode0),
        T(mode1),
        T(mode2),
        T(mode3),
        T(mode4),
        T(mode5),
        T(bcd),
        T(full_count),
        T(access_modes_and_latches),
        T(port61),
        T(one_shot_calibration),
        T(timer_interrupt),
        T(no_drift),
        T(late_events),
        cmocka_unit_test(jumps_equal_steps),
        T(any_access_is_survived),
        T(state_round_trip),
        T(state_of_odd_square),
        T(reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
