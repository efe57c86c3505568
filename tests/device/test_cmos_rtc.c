/* The RTC: dates against the C library, update timing, the three interrupts, memory and resets. */
#include "fixture.h"

#include "devices/cmos_rtc.h"

#include <time.h>

enum { A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d, CENTURY = 0x32 };

/* 2024-02-28 23:59:50 UTC, a Wednesday. */
#define START    INT64_C(1709164790)
#define START_NS 250000000 /* a quarter into the second */

struct bench {
    struct fixture f;
    struct recorder irq, alarm;
    struct cmos_rtc *rtc;
};

static uint8_t get(struct bench *b, uint8_t reg)
{
    iomap_write(&b->f.io, 0x70, reg, 1);
    return (uint8_t)iomap_read(&b->f.io, 0x71, 1);
}

static void set(struct bench *b, uint8_t reg, uint8_t v)
{
    iomap_write(&b->f.io, 0x70, reg, 1);
    iomap_write(&b->f.io, 0x71, v, 1);
}

static void step(struct bench *b, int64_t ns)
{
    event_step(&b->f.queue, &b->f.now_ns, ns);
}

/* To the very moment of the next update. */
static void to_update(struct bench *b)
{
    const int64_t phase = (b->f.now_ns + START_NS) % NS_PER_SEC;
    step(b, NS_PER_SEC - phase);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    const struct irq_line irq = recorder_line(&b->irq), alarm = recorder_line(&b->alarm);
    b->rtc = cmos_rtc_create(&b->f.io, &b->f.queue, &b->f.log, &irq, START, START_NS);
    assert_non_null(b->rtc);
    cmos_rtc_connect_alarm(b->rtc, &alarm);
    device_add(&b->f.devices, cmos_rtc_device(b->rtc));
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

static unsigned bcd(unsigned n)
{
    return n / 10 << 4 | n % 10;
}

static void assert_date(struct bench *b, int64_t seconds)
{
    const time_t t = (time_t)seconds;
    struct tm tm;
    assert_non_null(gmtime_r(&t, &tm));
    assert_int_equal(get(b, 0), bcd((unsigned)tm.tm_sec));
    assert_int_equal(get(b, 2), bcd((unsigned)tm.tm_min));
    assert_int_equal(get(b, 4), bcd((unsigned)tm.tm_hour));
    assert_int_equal(get(b, 6), (unsigned)tm.tm_wday + 1);
    assert_int_equal(get(b, 7), bcd((unsigned)tm.tm_mday));
    assert_int_equal(get(b, 8), bcd((unsigned)tm.tm_mon + 1));
    assert_int_equal(get(b, 9), bcd((unsigned)tm.tm_year % 100));
    assert_int_equal(get(b, CENTURY), bcd((unsigned)tm.tm_year / 100 + 19));
}

static void power_on(void **state)
{
    struct bench *b = *state;
    assert_int_equal(get(b, A), 0x26);
    assert_int_equal(get(b, B), 0x02);
    assert_int_equal(get(b, C), 0x00);
    assert_int_equal(get(b, D), 0x80);
    assert_int_equal(get(b, 0x40), 0x00);
    assert_int_equal(iomap_read(&b->f.io, 0x70, 1), 0xff);
    assert_date(b, START);
}

static void dates(void **state)
{
    struct bench *b = *state;
    step(b, 749999999);
    assert_date(b, START);
    step(b, 1);
    assert_date(b, START + 1);
    step(b, 9 * NS_PER_SEC); /* into 29 February */
    assert_date(b, START + 10);
    uint64_t seed = test_seed(146818);
    int64_t seconds = 10;
    while (seconds < INT64_C(80) * 366 * 86400) { /* past 2100, which is no leap year */
        const int64_t d = fixture_random(&seed) % (40 * 86400u);
        seconds += d;
        step(b, d * NS_PER_SEC);
        assert_date(b, START + seconds);
    }
}

static void formats(void **state)
{
    struct bench *b = *state;
    set(b, B, 0x82 | 0x04); /* SET, binary, 24 hours */
    set(b, 0, 58);
    set(b, 2, 59);
    set(b, 4, 23);
    set(b, 6, 7);
    set(b, 7, 31);
    set(b, 8, 12);
    set(b, 9, 99);
    set(b, CENTURY, 20);
    step(b, 5 * NS_PER_SEC);
    assert_int_equal(get(b, 0), 58); /* SET holds the clock */
    set(b, B, 0x06);
    step(b, 2 * NS_PER_SEC);
    assert_int_equal(get(b, 0), 0);
    assert_int_equal(get(b, 2), 0);
    assert_int_equal(get(b, 4), 0);
    assert_int_equal(get(b, 6), 1);
    assert_int_equal(get(b, 7), 1);
    assert_int_equal(get(b, 8), 1);
    assert_int_equal(get(b, 9), 0);
    assert_int_equal(get(b, CENTURY), 21);
    /* 12 hours, BCD: 11:59:59 pm, midnight, 12:59:59 am, 11:59:59 am, noon. */
    static const uint8_t hours[][2] = {{0x91, 0x12}, {0x12, 0x01}, {0x11, 0x92}, {0x92, 0x81}};
    for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
        set(b, B, 0x80);
        set(b, 0, 0x59);
        set(b, 2, 0x59);
        set(b, 4, hours[i][0]);
        set(b, B, 0x00);
        step(b, NS_PER_SEC);
        assert_int_equal(get(b, 4), hours[i][1]);
        assert_int_equal(get(b, 2), 0);
    }
}

static void update_in_progress(void **state)
{
    struct bench *b = *state;
    to_update(b);
    assert_int_equal(get(b, A), 0x26);
    step(b, NS_PER_SEC - 2228 * NS_PER_US - 1);
    assert_int_equal(get(b, A), 0x26);
    step(b, 1);
    assert_int_equal(get(b, A), 0xa6);
    const uint8_t second = get(b, 0);
    step(b, 2228 * NS_PER_US - 1);
    assert_int_equal(get(b, A), 0xa6);
    assert_int_equal(get(b, 0), second);
    step(b, 1);
    assert_int_equal(get(b, A), 0x26);
    assert_int_not_equal(get(b, 0), second);
    set(b, B, 0x82);
    step(b, NS_PER_SEC - 1);
    assert_int_equal(get(b, A), 0x26); /* none while SET */
    set(b, A, 0xa6);
    assert_int_equal(get(b, A), 0x26); /* not writable */
}

/* What Linux does to set the clock: the divider released half a second before the next second. */
static void divider_reset(void **state)
{
    struct bench *b = *state;
    set(b, B, 0x82);
    set(b, A, 0x76);
    set(b, 0, 0x30);
    step(b, 10 * NS_PER_SEC);
    set(b, B, 0x02);
    step(b, 10 * NS_PER_SEC);
    assert_int_equal(get(b, 0), 0x30);
    assert_int_equal(get(b, A), 0x76);
    set(b, A, 0x26);
    step(b, NS_PER_SEC / 2 - 1);
    assert_int_equal(get(b, 0), 0x30);
    step(b, 1);
    assert_int_equal(get(b, 0), 0x31);
    step(b, NS_PER_SEC);
    assert_int_equal(get(b, 0), 0x32);
}

static void update_ended_interrupt(void **state)
{
    struct bench *b = *state;
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
    to_update(b);
    assert_int_equal(get(b, C), 0x50); /* flags come without their enables, as does PF */
    assert_int_equal(get(b, C), 0x00);
    set(b, B, 0x12);
    step(b, NS_PER_SEC - 1);
    assert_int_equal(b->irq.level, 0);
    step(b, 1);
    assert_int_equal(b->irq.level, 1);
    step(b, 5 * NS_PER_SEC);
    assert_int_equal(b->irq.rises, 1);
    assert_int_equal(get(b, C), 0xd0);
    assert_int_equal(b->irq.level, 0);
    step(b, NS_PER_SEC);
    assert_int_equal(b->irq.rises, 2);
    set(b, B, 0x92);
    assert_int_equal(get(b, B), 0x82); /* SET clears UIE */
    assert_int_equal(b->irq.level, 0);
    get(b, C);
    step(b, 3 * NS_PER_SEC);
    assert_int_equal(get(b, C) & 0x30, 0);
}

static void periodic_interrupt(void **state)
{
    struct bench *b = *state;
    static const uint32_t hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                    256, 128, 64,  32,   16,   8,    4,    2};
    for (uint8_t rs = 1; rs < 16; rs++) {
        set(b, B, 0x02);
        set(b, A, 0x20 | rs);
        to_update(b);
        get(b, C);
        const unsigned before = b->irq.rises;
        set(b, B, 0x42);
        for (unsigned i = 0; i < 4 * hz[rs]; i++) {
            step(b, NS_PER_SEC / 4 / hz[rs]);
            if (b->irq.level)
                assert_int_equal(get(b, C) & 0xc0, 0xc0);
        }
        assert_in_range(b->irq.rises - before, hz[rs] - 1, hz[rs]);
    }
    set(b, A, 0x20); /* no rate */
    get(b, C);
    step(b, 3 * NS_PER_SEC);
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
}

/* Nobody acknowledges: one interrupt, no further events. */
static void periodic_does_not_storm(void **state)
{
    struct bench *b = *state;
    set(b, A, 0x23);
    set(b, B, 0x42);
    step(b, 200 * NS_PER_US);
    assert_int_equal(b->irq.rises, 1);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
    step(b, 100 * NS_PER_SEC);
    assert_int_equal(b->irq.rises, 1);
    assert_int_equal(get(b, C) & 0xc0, 0xc0);
    const int64_t due = event_next_due(&b->f.queue);
    assert_in_range(due - b->f.now_ns, 1, 122071);
    b->f.now_ns += 10 * NS_PER_SEC; /* the machine came late */
    event_run(&b->f.queue, b->f.now_ns);
    assert_int_equal(b->irq.rises, 2);
}

static void alarm_interrupt(void **state)
{
    struct bench *b = *state;
    set(b, 1, 0x05);
    set(b, 3, 0x00);
    set(b, 5, 0x00);
    set(b, B, 0x22);
    const int64_t due = event_next_due(&b->f.queue); /* one event, 15 s away */
    assert_int_equal(due, 15 * NS_PER_SEC - START_NS);
    step(b, due - b->f.now_ns - 1);
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(b->alarm.level, 0);
    step(b, 1);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(b->alarm.level, 1);
    assert_date(b, START + 15);
    assert_int_equal(get(b, C) & 0xa0, 0xa0);
    assert_int_equal(b->alarm.level, 0);
    assert_int_equal(event_next_due(&b->f.queue), due + INT64_C(86400) * NS_PER_SEC);
    set(b, 5, 0xc0); /* each hour */
    assert_int_equal(event_next_due(&b->f.queue), due + INT64_C(3600) * NS_PER_SEC);
    set(b, 3, 0xff); /* each minute */
    assert_int_equal(event_next_due(&b->f.queue), due + INT64_C(60) * NS_PER_SEC);
    set(b, 1, 0xfe); /* each second */
    assert_int_equal(event_next_due(&b->f.queue), due + NS_PER_SEC);
    set(b, 3, 0x77); /* never */
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
    set(b, B, 0x02); /* the flag is set without AIE too, seen late */
    set(b, 5, 0x12);
    set(b, 3, 0x34);
    set(b, 1, 0x56);
    get(b, C);
    step(b, INT64_C(86400) * NS_PER_SEC);
    assert_int_equal(get(b, C) & 0xa0, 0x20);
    step(b, INT64_C(12) * 3600 * NS_PER_SEC);
    assert_int_equal(get(b, C) & 0x20, 0x00);
}

static void an_update_is_no_alarm(void **state)
{
    struct bench *b = *state;
    set(b, B, 0x12);
    to_update(b);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(b->alarm.rises, 0);
}

static void memory(void **state)
{
    struct bench *b = *state;
    cmos_rtc_set(b->rtc, 0x15, 0x80);
    assert_int_equal(get(b, 0x15), 0x80);
    set(b, 0x7f, 0x5a);
    assert_int_equal(cmos_rtc_get(b->rtc, 0x7f), 0x5a);
    assert_int_equal(get(b, 0xff), 0x5a); /* bit 7 is the NMI mask */
    assert_true(cmos_rtc_nmi_masked(b->rtc));
    get(b, 0x0f);
    assert_false(cmos_rtc_nmi_masked(b->rtc));
    set(b, 0x0f, 0x09);
    set(b, B, 0x76);
    set(b, D, 0x00);
    assert_int_equal(get(b, D), 0x80);
    device_reset_all(&b->f.devices, RESET_HARD); /* the battery keeps it all but the enables */
    assert_int_equal(get(b, 0x0f), 0x09);
    assert_int_equal(get(b, 0x7f), 0x5a);
    assert_int_equal(get(b, B), 0x06);
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(70);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t r = fixture_random(&seed);
        const uint8_t reg = r & BIT(31) ? r >> 4 & 0x0f : r >> 4 & 0xff;
        if (r & 1)
            set(b, reg, (uint8_t)(r >> 12));
        else
            get(b, reg);
        if (r & 2)
            step(b, (int64_t)(r >> 8) * 10);
        assert_true(event_next_due(&b->f.queue) > b->f.now_ns);
    }
    b->f.now_ns += INT64_C(86400) * 365 * 200 * NS_PER_SEC;
    event_run(&b->f.queue, b->f.now_ns);
    get(b, 0);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    step(b, 100 * NS_PER_SEC);
    set(b, A, 0x76);
    set(b, B, 0x12);
    set(b, A, 0x26);
    set(b, 0x33, 1);
    get(b, 0xfe);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    set(b, B, 0x72);
    step(b, 2 * NS_PER_SEC);
    get(b, C);
    const int64_t due = event_next_due(&b->f.queue);
    assert_int_not_equal(due, EVENT_NEVER);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(event_next_due(&b->f.queue), due);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(power_on),
        T(dates),
        T(formats),
        T(update_in_progress),
        T(divider_reset),
        T(update_ended_interrupt),
        T(periodic_interrupt),
        T(periodic_does_not_storm),
        T(alarm_interrupt),
        T(an_update_is_no_alarm),
        T(memory),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
