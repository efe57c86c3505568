/* The HPET on a clock that is stepped: counter, comparators, both kinds of interrupt, routes. */
#include "fixture.h"

#include "devices/hpet.h"

#define CONF       0x010
#define STATUS     0x020
#define COUNTER    0x0f0
#define TN(n, reg) (0x100u + 0x20u * (n) + (reg))
#define TN_CONF    0
#define TN_CMP     8

enum {
    ENABLE = 1,
    LEGACY = 2,
    LEVEL = 2,
    INT = 4,
    PERIODIC = 8,
    VAL_SET = 0x40,
    WIDE_OFF = 0x100,
    ROUTE_20 = 20 << 9,
    ROUTE_21 = 21 << 9,
};

struct bench {
    struct fixture f;
    struct recorder irq0, irq8, pin20, pin21;
    struct hpet *h;
    struct irq_line pit, rtc;
};

static uint64_t rd(struct bench *b, unsigned reg)
{
    return memmap_read(&b->f.mem, HPET_AT + reg, 8);
}

static void wr(struct bench *b, unsigned reg, uint64_t v)
{
    memmap_write(&b->f.mem, HPET_AT + reg, v, 8);
}

/* To the moment ns, with everything that is due until then. */
static void step_to(struct bench *b, int64_t ns)
{
    while (b->f.queue.head && b->f.queue.head->due_ns <= ns) {
        b->f.now_ns = MAX(b->f.now_ns, b->f.queue.head->due_ns);
        event_run(&b->f.queue, b->f.now_ns);
    }
    b->f.now_ns = ns;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    struct hpet_config cfg = {.mem = &b->f.mem,
                              .queue = &b->f.queue,
                              .irq0 = recorder_line(&b->irq0),
                              .irq8 = recorder_line(&b->irq8)};
    cfg.route[20] = recorder_line(&b->pin20);
    cfg.route[21] = recorder_line(&b->pin21);
    b->h = hpet_create(&b->f.devices, &cfg);
    assert_non_null(b->h);
    b->pit = hpet_pit_input(b->h);
    b->rtc = hpet_rtc_input(b->h);
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

static void capabilities(void **state)
{
    struct bench *b = *state;
    /* revision 1, three timers, 64 bits, legacy replacement, vendor, 10 ns in femtoseconds */
    assert_int_equal(rd(b, 0), UINT64_C(0x009896808086a201));
    wr(b, 0, 0);
    assert_int_equal(rd(b, 0), UINT64_C(0x009896808086a201));
    for (unsigned n = 0; n < 3; n++) {
        assert_int_equal(rd(b, TN(n, TN_CONF)), UINT64_C(0x0030000000000030) | ROUTE_20);
        assert_int_equal(rd(b, TN(n, TN_CMP)), UINT64_MAX);
    }
    assert_int_equal(rd(b, TN(3, TN_CONF)), 0);
    assert_int_equal(rd(b, 0x3f8), 0);
    /* FSB delivery and the capabilities cannot be written; a route that there is not is refused */
    wr(b, TN(2, TN_CONF), UINT64_C(0xffffffffffffc1ff) | 5 << 9);
    assert_int_equal(rd(b, TN(2, TN_CONF)), UINT64_C(0x003000000000017e) | ROUTE_20);
    wr(b, TN(2, TN_CONF), ROUTE_21);
    assert_int_equal(rd(b, TN(2, TN_CONF)), UINT64_C(0x0030000000000030) | ROUTE_21);
}

static void counter(void **state)
{
    struct bench *b = *state;
    step_to(b, 1000);
    assert_int_equal(rd(b, COUNTER), 0);
    wr(b, COUNTER, UINT64_C(0xfffffff0));
    wr(b, CONF, ENABLE);
    step_to(b, 1000 + 159);
    assert_int_equal(rd(b, COUNTER), UINT64_C(0xffffffff));
    step_to(b, 1000 + 160);
    assert_int_equal(rd(b, COUNTER), UINT64_C(0x100000000));
    assert_int_equal(memmap_read(&b->f.mem, HPET_AT + COUNTER, 4), 0);
    assert_int_equal(memmap_read(&b->f.mem, HPET_AT + COUNTER + 4, 4), 1);
    memmap_write(&b->f.mem, HPET_AT + COUNTER + 4, 7, 4); /* one half, while it runs */
    assert_int_equal(rd(b, COUNTER), UINT64_C(0x700000000));
    wr(b, CONF, 0);
    step_to(b, 5000);
    assert_int_equal(rd(b, COUNTER), UINT64_C(0x700000000));
}

static void one_shot(void **state)
{
    struct bench *b = *state;
    wr(b, TN(0, TN_CONF), INT | ROUTE_21);
    wr(b, TN(0, TN_CMP), 100);
    step_to(b, 2000);
    assert_int_equal(b->pin21.rises, 0); /* it does not count */
    wr(b, CONF, ENABLE);
    step_to(b, 2999);
    assert_int_equal(b->pin21.rises, 0);
    step_to(b, 3000);
    assert_int_equal(b->pin21.rises, 1);
    assert_int_equal(b->pin21.level, 0);
    assert_int_equal(rd(b, STATUS), 0);
    step_to(b, 60 * NS_PER_SEC); /* not again, with 64 bits */
    assert_int_equal(b->pin21.rises, 1);

    /* One that the counter has passed waits for it to come round: 32 bits are 43 seconds. */
    wr(b, TN(0, TN_CONF), INT | WIDE_OFF | ROUTE_21);
    const uint64_t now = rd(b, COUNTER);
    const int64_t start = b->f.now_ns;
    wr(b, TN(0, TN_CMP), (uint32_t)(now - 1));
    step_to(b, start + (INT64_C(0xffffffff) * 10) - 1);
    assert_int_equal(b->pin21.rises, 1);
    step_to(b, start + INT64_C(0xffffffff) * 10);
    assert_int_equal(b->pin21.rises, 2);
    step_to(b, start + INT64_C(0x1fffffffe) * 10 + 10);
    assert_int_equal(b->pin21.rises, 3);

    wr(b, TN(0, TN_CONF), WIDE_OFF | ROUTE_21); /* not enabled: no interrupt */
    wr(b, TN(0, TN_CMP), (uint32_t)(rd(b, COUNTER) + 10));
    step_to(b, b->f.now_ns + 1000);
    assert_int_equal(b->pin21.rises, 3);
}

static void level_triggered(void **state)
{
    struct bench *b = *state;
    wr(b, TN(1, TN_CONF), INT | LEVEL | ROUTE_20);
    wr(b, TN(2, TN_CONF), INT | LEVEL | ROUTE_20);
    wr(b, TN(1, TN_CMP), 10);
    wr(b, TN(2, TN_CMP), 20);
    wr(b, CONF, ENABLE);
    step_to(b, 200);
    assert_int_equal(rd(b, STATUS), 6);
    assert_int_equal(b->pin20.rises, 1); /* one line for both */
    wr(b, STATUS, 2);
    assert_int_equal(rd(b, STATUS), 4);
    assert_int_equal(b->pin20.level, 1);
    wr(b, TN(2, TN_CONF), LEVEL | ROUTE_20); /* masked, and back */
    assert_int_equal(b->pin20.level, 0);
    wr(b, TN(2, TN_CONF), INT | LEVEL | ROUTE_20);
    assert_int_equal(b->pin20.level, 1);
    wr(b, STATUS, 4);
    assert_int_equal(b->pin20.level, 0);
}

/* As Linux sets it up: the comparator first, then the period. */
static void periodic(void **state)
{
    struct bench *b = *state;
    wr(b, CONF, ENABLE);
    wr(b, TN(0, TN_CONF), INT | PERIODIC | VAL_SET | ROUTE_20);
    wr(b, TN(0, TN_CMP), 1000);
    assert_int_equal(rd(b, TN(0, TN_CONF)) & VAL_SET, 0);
    wr(b, TN(0, TN_CMP), 100);
    assert_int_equal(rd(b, TN(0, TN_CMP)), 1000);
    step_to(b, 9999);
    assert_int_equal(b->pin20.rises, 0);
    step_to(b, 10000);
    assert_int_equal(b->pin20.rises, 1);
    assert_int_equal(rd(b, TN(0, TN_CMP)), 1100);
    step_to(b, 10000 + 50 * 1000);
    assert_int_equal(b->pin20.rises, 51);

    /* Nobody came by for ten periods and a half: one interrupt, and the beat is kept. */
    b->f.now_ns = 10000 + 50 * 1000 + 10500;
    event_run(&b->f.queue, b->f.now_ns);
    assert_int_equal(b->pin20.rises, 52);
    step_to(b, 10000 + 61 * 1000);
    assert_int_equal(b->pin20.rises, 53);

    wr(b, TN(0, TN_CMP), 0); /* a period of nothing: it matches once */
    step_to(b, 10000 + 100 * 1000);
    assert_int_equal(b->pin20.rises, 54);
}

static void legacy_replacement(void **state)
{
    struct bench *b = *state;
    irq_set(&b->pit, 1);
    irq_set(&b->rtc, 1);
    assert_int_equal(b->irq0.level, 1);
    assert_int_equal(b->irq8.level, 1);
    wr(b, TN(0, TN_CONF), INT);
    wr(b, TN(1, TN_CONF), INT);
    wr(b, TN(0, TN_CMP), 100);
    wr(b, TN(1, TN_CMP), 150);
    wr(b, CONF, ENABLE | LEGACY);
    assert_int_equal(b->irq0.level, 0); /* the 8254 has lost its line */
    assert_int_equal(b->irq8.level, 0);
    irq_set(&b->pit, 0);
    irq_set(&b->pit, 1);
    assert_int_equal(b->irq0.rises, 1);
    step_to(b, 1000);
    assert_int_equal(b->irq0.rises, 2);
    assert_int_equal(b->irq0.level, 1); /* until an 8259 has taken it */
    rd(b, COUNTER);
    wr(b, TN(0, TN_CMP), 200);
    assert_int_equal(b->irq0.level, 1);
    step_to(b, 2000);
    assert_int_equal(b->irq0.rises, 3);
    assert_int_equal(b->irq8.rises, 2);
    assert_int_equal(b->pin20.calls, b->pin21.calls); /* the routes are not used */
    assert_int_equal(b->pin20.rises, 0);
    wr(b, TN(0, TN_CONF), 0);
    assert_int_equal(b->irq0.level, 0);
    wr(b, CONF, 0);
    assert_int_equal(b->irq0.level, 1); /* the 8254's again */
    assert_int_equal(b->irq8.level, 1);
}

/* A guest may ask for anything: the shortest period and the largest numbers. */
static void extremes(void **state)
{
    struct bench *b = *state;
    wr(b, CONF, ENABLE);
    wr(b, TN(0, TN_CONF), INT | PERIODIC | VAL_SET | ROUTE_20);
    wr(b, TN(0, TN_CMP), 1);
    for (int64_t t = 1; t < 100; t++)
        step_to(b, t * 1000);
    assert_true(b->pin20.rises > 98);
    wr(b, TN(0, TN_CMP), UINT64_MAX);
    wr(b, TN(1, TN_CONF), INT | PERIODIC | WIDE_OFF | VAL_SET | ROUTE_20);
    wr(b, TN(1, TN_CMP), UINT64_MAX);
    wr(b, COUNTER, UINT64_MAX - 3);
    step_to(b, 200000);
    assert_int_equal(rd(b, COUNTER), (200000 - 99000) / 10 - 4);
    wr(b, TN(2, TN_CMP), 0);
    wr(b, CONF, 0);
    wr(b, COUNTER, INT64_MAX);
    wr(b, CONF, ENABLE | LEGACY);
    step_to(b, 400000);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    wr(b, CONF, ENABLE | LEGACY);
    wr(b, TN(0, TN_CONF), INT | LEVEL);
    wr(b, TN(0, TN_CMP), rd(b, COUNTER) + 5);
    step_to(b, b->f.now_ns + 1000);
}

static void saved_and_reset(void **state)
{
    struct bench *b = *state;
    wr(b, CONF, ENABLE);
    wr(b, TN(2, TN_CONF), INT | PERIODIC | VAL_SET | ROUTE_21);
    wr(b, TN(2, TN_CMP), 500);
    step_to(b, 12345);
    fixture_check_round_trip(&b->f, disturb, b);
    const unsigned before = b->pin21.rises;
    step_to(b, b->f.now_ns + 5000);
    assert_int_equal(b->pin21.rises, before + 1);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(rd(b, COUNTER), 0);
    assert_int_equal(rd(b, CONF), 0);
    assert_null(b->f.queue.head);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(capabilities),    TEST(counter),         TEST(one_shot),
        TEST(level_triggered), TEST(periodic),        TEST(legacy_replacement),
        TEST(extremes),        TEST(saved_and_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
