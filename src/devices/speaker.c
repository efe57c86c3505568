/*
 * The PC speaker, a cone that follows one bit: OUT of the 8254's counter 2 while port 61h bit 1
 * lets it through (82C54 "GENERAL"; 82371SB, "NMI Status and Control Register").
 *
 * A sample is the average of that bit over the sample's time, to the pulse of the 8254's clock. So
 * beeps have their pitch, tones above hearing give their duty cycle, which is how programs play
 * recordings through this bit, and nothing is ever counted edge by edge. A filter takes away what
 * does not move, as a cone at rest makes no sound wherever it rests.
 *
 * Sample n begins n/rate seconds of guest time after power-on, whoever asks when: what is played
 * depends on the guest alone. Made when port 61h or counter 2 is about to change, and at least
 * every 10 ms of guest time; nothing is done while the bit is held off.
 *
 * Not modelled: the cone itself, which is duller than this.
 */
#include "devices/speaker.h"

#include <stdlib.h>

#define TICK_NS   (10 * NS_PER_MS)
#define LOUD      16384 /* from the cone in to the cone out; of 65536 */
#define DECAY     8     /* the filter loses 2^-8 of its value a sample: 30 Hz at 48 kHz */
#define TAIL_PART 20    /* of a second it takes to come to rest after the bit was held off */
#define BATCH     512

struct speaker {
    struct device dev;
    struct pit8254 *pit;
    struct event_queue *events;
    struct audio *audio;
    struct event tick;
    bool on;
    uint64_t sample;  /* the next to be made */
    uint64_t end;     /* off: the first that need not be */
    uint64_t high;    /* pulses with the bit set up to that sample */
    int32_t level;    /* of the sample before */
    int32_t filtered; /* in 1/256 */
};

/* The pulse at which a sample begins. */
static uint64_t pulse_of(const struct speaker *s, uint64_t sample)
{
    const uint64_t rate = s->audio->rate_hz;
    return sample / rate * PIT8254_HZ + sample % rate * PIT8254_HZ / rate;
}

static uint64_t sample_at(const struct speaker *s, int64_t ns)
{
    const uint64_t t = (uint64_t)ns, rate = s->audio->rate_hz;
    return t / NS_PER_SEC * rate + t % NS_PER_SEC * rate / NS_PER_SEC;
}

static int16_t filter(struct speaker *s, int32_t level)
{
    s->filtered += (level - s->level) * 256 - s->filtered / (1 << DECAY);
    s->level = level;
    return (int16_t)(s->filtered / 256);
}

static int16_t make_sample(struct speaker *s)
{
    const uint64_t first = pulse_of(s, s->sample), next = pulse_of(s, s->sample + 1);
    const uint64_t high = pit8254_speaker_high(s->pit, next);
    const uint64_t share = MIN(high - s->high, next - first);
    s->high = high;
    s->sample++;
    return filter(s, (int32_t)(share * LOUD / (next - first)));
}

static bool active(const struct speaker *s)
{
    return s->on || s->sample < s->end;
}

/* Makes all samples that are over at now. */
static void catch_up(void *opaque)
{
    struct speaker *s = opaque;
    int16_t batch[BATCH];
    size_t n = 0;
    const uint64_t now = pit8254_pulses(event_now(s->events));
    while (active(s) && pulse_of(s, s->sample + 1) <= now) {
        batch[n++] = make_sample(s);
        if (n == BATCH) {
            s->audio->ops->write(s->audio, s->sample - n, batch, n);
            n = 0;
        }
    }
    if (n)
        s->audio->ops->write(s->audio, s->sample - n, batch, n);
}

static void ticked(void *opaque, int64_t now_ns)
{
    struct speaker *s = opaque;
    catch_up(s);
    if (active(s))
        event_arm(s->events, &s->tick, now_ns + TICK_NS);
}

static void switched(void *opaque, bool on)
{
    struct speaker *s = opaque;
    const int64_t now_ns = event_now(s->events);
    if (!active(s)) { /* from rest */
        s->sample = sample_at(s, now_ns);
        s->high = pit8254_speaker_high(s->pit, pit8254_pulses(now_ns));
        s->level = s->filtered = 0;
    }
    s->on = on;
    s->end = sample_at(s, now_ns) + s->audio->rate_hz / TAIL_PART;
    if (!event_armed(&s->tick))
        event_arm(s->events, &s->tick, now_ns + TICK_NS);
}

static void rest(struct speaker *s)
{
    event_cancel(s->events, &s->tick);
    s->on = false;
    s->end = s->sample;
}

/* The 8254's reset holds the bit off without a word. */
static void speaker_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    rest(container_of(dev, struct speaker, dev));
}

static void speaker_loaded(struct device *dev)
{
    rest(container_of(dev, struct speaker, dev));
}

static void speaker_destroy(struct device *dev)
{
    struct speaker *s = container_of(dev, struct speaker, dev);
    event_cancel(s->events, &s->tick);
    free(s);
}

/* What is heard is no state of the guest's: a machine that goes on elsewhere is silent until the
 * guest beeps again. */
static const struct device_ops speaker_ops = {
    .reset = speaker_reset,
    .loaded = speaker_loaded,
    .destroy = speaker_destroy,
};

struct speaker *speaker_create(struct pit8254 *pit, struct event_queue *events, struct audio *audio)
{
    struct speaker *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->dev = (struct device){.name = "speaker", .ops = &speaker_ops};
    s->pit = pit;
    s->events = events;
    s->audio = audio;
    event_init(&s->tick, "speaker", ticked, s);
    pit8254_listen(pit, &(struct pit8254_listener){catch_up, switched, s});
    return s;
}

struct device *speaker_device(struct speaker *s)
{
    return &s->dev;
}
