/* The PC speaker: pitch, time and loudness of what is played, whoever looks at the 8254 meanwhile.
 */
#include "fixture.h"

#include "devices/speaker.h"

#define RATE      48000
#define MAX_HEARD (4 * RATE)

struct bench {
    struct fixture f;
    struct recorder irq;
    struct pit8254 *pit;
    struct speaker *speaker;
    struct audio audio;
    int16_t heard[MAX_HEARD]; /* by sample number */
    uint64_t first, end;      /* of those that were written */
    uint64_t pieces;
};

static void heard(struct audio *a, uint64_t at, const int16_t *samples, size_t count)
{
    struct bench *b = container_of(a, struct bench, audio);
    assert_true(count > 0 && at + count <= MAX_HEARD);
    assert_true(b->pieces == 0 || at >= b->end); /* never twice, never backwards */
    memcpy(b->heard + at, samples, count * sizeof *samples);
    if (!b->pieces++)
        b->first = at;
    b->end = at + count;
}

static bool closed(struct audio *a, struct error *err)
{
    (void)a, (void)err;
    return true;
}

static void bench_init(struct bench *b)
{
    static const struct audio_ops ops = {heard, closed};
    fixture_init(&b->f, MiB);
    const struct irq_line irq = recorder_line(&b->irq);
    b->audio = (struct audio){&ops, RATE};
    b->pit = pit8254_create(&b->f.io, &b->f.queue, &irq);
    b->speaker = speaker_create(b->pit, &b->f.queue, &b->audio);
    device_add(&b->f.devices, pit8254_device(b->pit));
    device_add(&b->f.devices, speaker_device(b->speaker));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
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

static void out(struct bench *b, uint16_t port, uint8_t v)
{
    iomap_write(&b->f.io, port, v, 1);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return (uint8_t)iomap_read(&b->f.io, port, 1);
}

static void step(struct bench *b, int64_t ns)
{
    event_step(&b->f.queue, &b->f.now_ns, ns);
}

static void tone(struct bench *b, unsigned mode, uint16_t count)
{
    out(b, 0x43, (uint8_t)(0xb0 | mode << 1));
    out(b, 0x42, (uint8_t)count);
    out(b, 0x42, (uint8_t)(count >> 8));
}

/* How often the sound goes from below zero to above. */
static unsigned waves(const struct bench *b, uint64_t from, uint64_t to)
{
    unsigned n = 0;
    for (uint64_t i = from + 1; i < to; i++)
        n += b->heard[i - 1] < 0 && b->heard[i] >= 0;
    return n;
}

static int loudest(const struct bench *b, uint64_t from, uint64_t to)
{
    int most = 0;
    for (uint64_t i = from; i < to; i++)
        most = MAX(most, abs(b->heard[i]));
    return most;
}

static void test_silence(void **state)
{
    struct bench *b = *state;
    tone(b, 3, 1193);
    out(b, 0x61, 1); /* counts, but is not let through */
    step(b, NS_PER_SEC);
    in(b, 0x61);
    assert_int_equal(b->pieces, 0);
    for (struct event *e = b->f.queue.head; e; e = e->next)
        assert_string_not_equal(e->name, "speaker"); /* and nobody keeps time for it */
}

static void test_beep(void **state)
{
    struct bench *b = *state;
    step(b, NS_PER_SEC);
    tone(b, 3, 1193); /* 1000.15 Hz */
    out(b, 0x61, 3);
    step(b, NS_PER_SEC);
    out(b, 0x61, 0);
    step(b, NS_PER_SEC);
    assert_int_equal(b->first, RATE);
    assert_in_range(b->end, 2 * RATE + RATE / 20, 2 * RATE + RATE / 20 + 1);
    assert_in_range(waves(b, RATE, 2 * RATE), 999, 1001);
    /* from the second on, when it has settled, as far up as down */
    const int loud = loudest(b, RATE * 3 / 2, 2 * RATE);
    assert_in_range(loud, 7000, 9500);
    int64_t sum = 0;
    for (uint64_t i = RATE * 3 / 2; i < 2 * RATE; i++)
        sum += b->heard[i];
    assert_true(llabs(sum) < RATE / 2 * 100);
    assert_in_range(abs(b->heard[b->end - 1]), 0, 100); /* it came to rest */
    assert_int_equal(b->f.queue.head && !strcmp(b->f.queue.head->name, "speaker"), 0);
}

/* Too high to be heard: nothing but the cone's way to the middle, and little work. */
static void test_ultrasound(void **state)
{
    struct bench *b = *state;
    tone(b, 3, 4); /* 298 kHz */
    out(b, 0x61, 3);
    step(b, NS_PER_SEC);
    assert_in_range(loudest(b, RATE / 2, RATE), 0, 400); /* of 8192 */
}

/* Recordings through one bit: the duty cycle of one-shots is what one hears. */
static void test_duty_cycle(void **state)
{
    struct bench *b = *state;
    out(b, 0x43, 0x90); /* counter 2, low byte, mode 0: OUT low for so many pulses, then high */
    out(b, 0x61, 3);
    for (unsigned i = 0; i < 16000; i++) { /* 16 kHz, a 500 Hz triangle */
        const unsigned t = i % 32;
        out(b, 0x42, (uint8_t)(8 + 3 * (t < 16 ? t : 32 - t)));
        step(b, 62500);
    }
    for (unsigned i = 0; i + 2 < RATE; i++) /* 16 kHz themselves are heard too, but not looked at */
        b->heard[i] = (int16_t)((b->heard[i] + b->heard[i + 1] + b->heard[i + 2]) / 3);
    assert_in_range(waves(b, RATE / 4, RATE - 10), 373, 376);
    assert_in_range(loudest(b, RATE / 2, RATE - 10), 2500, 8000);
}

/* The same guest, looked at in between or not: the same samples. */
static void test_whoever_looks(void **state)
{
    struct bench *b = *state, *c = calloc(1, sizeof *c);
    assert_non_null(c);
    bench_init(c);
    uint32_t seed = (uint32_t)test_seed(7);
    for (unsigned i = 0; i < 300; i++) {
        seed = seed * 1664525 + 1013904223;
        const uint16_t count = (uint16_t)(seed >> 16);
        const unsigned mode = seed >> 8 & 7;
        const uint8_t bits = seed >> 12 & 3;
        struct bench *both[2] = {b, c};
        for (unsigned k = 0; k < 2; k++) {
            if (i % 3 == 0)
                tone(both[k], mode, count);
            out(both[k], 0x61, bits);
        }
        const int64_t rest = 1000 + seed % (8 * NS_PER_MS);
        step(b, rest);
        for (unsigned k = 0; k < 7; k++) {
            step(c, rest / 10);
            in(c, 0x61);
            if (k == 3)
                in(c, 0x42);
        }
        step(c, rest - rest / 10 * 7);
    }
    out(b, 0x61, 0);
    out(c, 0x61, 0);
    step(b, NS_PER_SEC / 10);
    step(c, NS_PER_SEC / 10);
    assert_int_equal(b->end, c->end);
    assert_true(b->end > RATE / 2);
    assert_memory_equal(b->heard, c->heard, sizeof b->heard);
    fixture_free(&c->f);
    free(c);
}

/* Jumps over whole periods add up to what single pulses do. */
static void test_sum_of_pulses(void **state)
{
    (void)state;
    static const uint16_t counts[] = {0, 1, 2, 3, 4, 5, 17, 100, 1193, 65535};
    for (unsigned mode = 0; mode < 6; mode++) {
        for (unsigned n = 0; n < ARRAY_SIZE(counts); n++) {
            struct bench *one = calloc(1, sizeof *one), *all = calloc(1, sizeof *all);
            assert_true(one && all);
            bench_init(one);
            bench_init(all);
            struct bench *both[2] = {one, all};
            for (unsigned k = 0; k < 2; k++) {
                out(both[k], 0x61, 2);
                tone(both[k], mode, counts[n]);
                out(both[k], 0x61, 3); /* the gate's edge is a trigger */
                both[k]->f.now_ns += NS_PER_SEC / 5;
            }
            const uint64_t from = pit8254_speaker_high(one->pit, 0), pulses = 200000;
            for (uint64_t p = 1; p <= pulses; p++)
                pit8254_speaker_high(one->pit, p);
            const uint64_t high = pit8254_speaker_high(one->pit, pulses) - from;
            if (pit8254_speaker_high(all->pit, pulses) - from != high)
                fail_msg("mode %u, count %u: not the %llu of single pulses", mode, counts[n],
                         (unsigned long long)high);
            if (mode == 3 && counts[n] == 100)
                assert_in_range(high, pulses / 2 - 100, pulses / 2 + 100);
            for (unsigned k = 0; k < 2; k++) {
                fixture_free(&both[k]->f);
                free(both[k]);
            }
        }
    }
}

static void test_reset(void **state)
{
    struct bench *b = *state;
    tone(b, 3, 1193);
    out(b, 0x61, 3);
    step(b, NS_PER_SEC / 10);
    device_reset_all(&b->f.devices, RESET_HARD);
    const uint64_t end = b->end;
    step(b, NS_PER_SEC);
    assert_int_equal(b->end, end);
    tone(b, 3, 1193);
    out(b, 0x61, 3);
    step(b, NS_PER_SEC);
    assert_in_range(waves(b, RATE * 5 / 4, RATE * 2), 749, 751);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
        cmocka_unit_test_setup_teardown(test_beep, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ultrasound, setup, teardown),
        cmocka_unit_test_setup_teardown(test_duty_cycle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whoever_looks, setup, teardown),
        cmocka_unit_test(test_sum_of_pulses),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
