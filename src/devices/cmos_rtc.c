/*
 * MC146818A real-time clock plus RAM (Motorola data sheet ADI-1025, called DS below) with the
 * 32.768 kHz time base of a PC, 128 bytes, and the century in byte 32h as PC firmware agrees on
 * (ACPI 6.5 §5.2.9 "FADT", CENTURY). Ports as in the 82371SB PIIX3 (data sheet 290550).
 *
 * The time registers themselves are the clock: an update adds a second to what stands in them, in
 * the format that registers B asks for at that time. Nobody runs it second by second: when somebody
 * looks, the updates since then are made up for at once. Events exist only for interrupts that are
 * enabled and not yet raised, so a guest that does not acknowledge costs nothing.
 *
 *      guest time   base              base + 1 s              base + 2 s
 *      divider      |-----------------------|-----------------------|
 *      UIP          ____________________/~~~|___________________/~~~|   the last 2228 us
 *      update                               ^ new time, UF          ^
 *
 * Not modelled: daylight-saving switches (DSE is kept, no more), the square-wave output, time bases
 * other than 32.768 kHz.
 */
#include "devices/cmos_rtc.h"

#include <stdlib.h>

enum {
    RTC_SECONDS = 0x00,
    RTC_SECONDS_ALARM = 0x01,
    RTC_MINUTES = 0x02,
    RTC_MINUTES_ALARM = 0x03,
    RTC_HOURS = 0x04,
    RTC_HOURS_ALARM = 0x05,
    RTC_DAY_OF_WEEK = 0x06, /* Sunday is 1 */
    RTC_DATE_OF_MONTH = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_REG_A = 0x0a,
    RTC_REG_B = 0x0b,
    RTC_REG_C = 0x0c,
    RTC_REG_D = 0x0d,
    RTC_CENTURY = 0x32,

    A_UIP = BIT(7),
    A_DV = 0x70,
    A_DV_32KHZ = 0x20,
    A_DV_RESET = 0x60, /* DV2 and DV1 both set, whatever DV0: divider chain held in reset */
    A_RS = 0x0f,
    B_SET = BIT(7),
    B_PIE = BIT(6),
    B_AIE = BIT(5),
    B_UIE = BIT(4),
    B_SQWE = BIT(3),
    B_DM = BIT(2),    /* 1: binary, 0: BCD */
    B_24_12 = BIT(1), /* 1: 24 hours */
    C_IRQF = BIT(7),
    C_PF = BIT(6),
    C_AF = BIT(5),
    C_UF = BIT(4),
    C_FLAGS = C_PF | C_AF | C_UF, /* in the places of their enables in B */
    D_VRT = BIT(7),
    HOURS_PM = BIT(7),
    ALARM_ANY = 0xc0, /* both set: "don't care" */
};

#define BASE_HZ     32768
#define DAY_SECONDS 86400

/* DS "UPDATE CYCLE": at 32.768 kHz UIP rises 244 us before a cycle of 1984 us. */
#define UIP_NS (2228 * NS_PER_US)

struct cmos_rtc {
    struct device dev;
    struct io_region io;
    struct event_queue *events;
    struct log *log;
    struct irq_line irq, alarm;
    int irq_level, alarm_level;
    uint8_t index;
    bool nmi_masked;
    uint8_t cmos[CMOS_RTC_BYTES];
    int64_t base_ns;       /* guest time at which the divider chain stood at zero; may be < 0 */
    uint64_t seconds_done; /* update cycles since base_ns that are accounted for */
    uint64_t ticks_done;   /* ticks of the time base since base_ns that are accounted for */
    struct event interrupt;
};

static uint64_t ticks_in(int64_t ns)
{
    const uint64_t t = (uint64_t)ns;
    return t / NS_PER_SEC * BASE_HZ + t % NS_PER_SEC * BASE_HZ / NS_PER_SEC;
}

static int64_t ns_of_tick(uint64_t tick)
{
    const uint64_t rest = tick % BASE_HZ * NS_PER_SEC;
    return (int64_t)(tick / BASE_HZ * NS_PER_SEC + (rest + BASE_HZ - 1) / BASE_HZ);
}

static bool running(const struct cmos_rtc *rtc)
{
    return (rtc->cmos[RTC_REG_A] & A_DV_RESET) != A_DV_RESET;
}

static bool flag(const struct cmos_rtc *rtc, unsigned reg, uint8_t bit)
{
    return rtc->cmos[reg] & bit;
}

/* Ticks between periodic interrupts, 0: none. DS "PERIODIC INTERRUPT SELECTION", 32.768 kHz. */
static uint32_t period_ticks(const struct cmos_rtc *rtc)
{
    const unsigned rs = rtc->cmos[RTC_REG_A] & A_RS;
    return rs == 0 ? 0 : rs <= 2 ? 64u << rs : 1u << (rs - 1);
}

/* Number in a register and back. DS "TIME, CALENDAR AND ALARM LOCATIONS". */
static unsigned number(const struct cmos_rtc *rtc, uint8_t v)
{
    return flag(rtc, RTC_REG_B, B_DM) ? v : (v >> 4) * 10u + (v & 15);
}

static uint8_t format(const struct cmos_rtc *rtc, unsigned n)
{
    return (uint8_t)(flag(rtc, RTC_REG_B, B_DM) ? n : n / 10 << 4 | n % 10);
}

static unsigned hour_number(const struct cmos_rtc *rtc, uint8_t v)
{
    if (flag(rtc, RTC_REG_B, B_24_12))
        return number(rtc, v);
    return number(rtc, v & ~HOURS_PM) % 12 + (v & HOURS_PM ? 12 : 0);
}

static uint8_t hour_format(const struct cmos_rtc *rtc, unsigned n)
{
    if (flag(rtc, RTC_REG_B, B_24_12))
        return format(rtc, n);
    return format(rtc, n % 12 ? n % 12 : 12) | (n >= 12 ? HOURS_PM : 0);
}

static unsigned second_of_day(const struct cmos_rtc *rtc)
{
    return hour_number(rtc, rtc->cmos[RTC_HOURS]) * 3600 +
           number(rtc, rtc->cmos[RTC_MINUTES]) * 60 + number(rtc, rtc->cmos[RTC_SECONDS]);
}

static void set_second_of_day(struct cmos_rtc *rtc, unsigned t)
{
    rtc->cmos[RTC_HOURS] = hour_format(rtc, t / 3600);
    rtc->cmos[RTC_MINUTES] = format(rtc, t / 60 % 60);
    rtc->cmos[RTC_SECONDS] = format(rtc, t % 60);
}

struct date {
    unsigned year, month, day, weekday;
};

static unsigned month_days(const struct date *d)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = d->year % 4 == 0 && (d->year % 100 != 0 || d->year % 400 == 0);
    if (d->month < 1 || d->month > 12) /* what software left there */
        return 31;
    return days[d->month - 1] + (leap && d->month == 2);
}

static void next_day(struct date *d)
{
    d->weekday = d->weekday % 7 + 1;
    if (++d->day <= month_days(d))
        return;
    d->day = 1;
    if (++d->month <= 12)
        return;
    d->month = 1;
    d->year++;
}

static struct date get_date(const struct cmos_rtc *rtc)
{
    return (struct date){
        .year = number(rtc, rtc->cmos[RTC_CENTURY]) * 100 + number(rtc, rtc->cmos[RTC_YEAR]),
        .month = number(rtc, rtc->cmos[RTC_MONTH]),
        .day = number(rtc, rtc->cmos[RTC_DATE_OF_MONTH]),
        .weekday = rtc->cmos[RTC_DAY_OF_WEEK],
    };
}

static void set_date(struct cmos_rtc *rtc, const struct date *d)
{
    rtc->cmos[RTC_CENTURY] = format(rtc, d->year / 100 % 100);
    rtc->cmos[RTC_YEAR] = format(rtc, d->year % 100);
    rtc->cmos[RTC_MONTH] = format(rtc, d->month);
    rtc->cmos[RTC_DATE_OF_MONTH] = format(rtc, d->day);
    rtc->cmos[RTC_DAY_OF_WEEK] = (uint8_t)d->weekday;
}

/* That many update cycles at once. */
static void add_seconds(struct cmos_rtc *rtc, uint64_t seconds)
{
    const uint64_t t = second_of_day(rtc) + seconds;
    set_second_of_day(rtc, t % DAY_SECONDS);
    uint64_t days = t / DAY_SECONDS;
    if (!days)
        return;
    struct date d = get_date(rtc);
    while (days--)
        next_day(&d);
    set_date(rtc, &d);
}

/* DS "ALARM": such a byte matches anything. */
static bool alarm_any(uint8_t alarm)
{
    return (alarm & ALARM_ANY) == ALARM_ANY;
}

/*
 * Updates until the alarm fires, 1..86400, or 0 if it never does. The time of day is stepped
 * through, over whole hours and minutes that do not match. DS "ALARM".
 */
static unsigned alarm_distance(const struct cmos_rtc *rtc)
{
    const uint8_t *r = rtc->cmos;
    const bool any_h = alarm_any(r[RTC_HOURS_ALARM]), any_m = alarm_any(r[RTC_MINUTES_ALARM]),
               any_s = alarm_any(r[RTC_SECONDS_ALARM]);
    const unsigned h = hour_number(rtc, r[RTC_HOURS_ALARM]);
    const unsigned m = number(rtc, r[RTC_MINUTES_ALARM]);
    const unsigned s = number(rtc, r[RTC_SECONDS_ALARM]);
    if ((!any_h && h > 23) || (!any_m && m > 59) || (!any_s && s > 59))
        return 0;
    const unsigned now = second_of_day(rtc) % DAY_SECONDS;
    unsigned d = 1;
    while (d <= DAY_SECONDS) {
        const unsigned t = (now + d) % DAY_SECONDS;
        if (!any_h && t / 3600 != h)
            d += 3600 - t % 3600;
        else if (!any_m && t / 60 % 60 != m)
            d += 60 - t % 60;
        else if (!any_s && t % 60 != s)
            d++;
        else
            return d;
    }
    return 0;
}

static int64_t since_base(const struct cmos_rtc *rtc, int64_t now_ns)
{
    return now_ns - rtc->base_ns;
}

/*
 * Makes up for what happened until now. The flags in C are set whether enabled or not (DS
 * "REGISTER C"); SET keeps update cycles away, and the alarm and UF with them (DS "REGISTER B").
 */
static void catch_up(struct cmos_rtc *rtc)
{
    const int64_t elapsed = since_base(rtc, event_now(rtc->events));
    if (!running(rtc) || elapsed < 0)
        return;
    const uint64_t ticks = ticks_in(elapsed), seconds = (uint64_t)elapsed / NS_PER_SEC;
    const uint32_t period = period_ticks(rtc);
    if (period && ticks / period > rtc->ticks_done / period)
        rtc->cmos[RTC_REG_C] |= C_PF;
    rtc->ticks_done = MAX(ticks, rtc->ticks_done);
    if (seconds <= rtc->seconds_done)
        return;
    const uint64_t updates = seconds - rtc->seconds_done;
    rtc->seconds_done = seconds;
    if (flag(rtc, RTC_REG_B, B_SET))
        return;
    const unsigned alarm = alarm_distance(rtc);
    rtc->cmos[RTC_REG_C] |= alarm && alarm <= updates ? C_UF | C_AF : C_UF;
    add_seconds(rtc, updates);
}

static int alarm_level(const struct cmos_rtc *rtc)
{
    return flag(rtc, RTC_REG_C, C_AF) && flag(rtc, RTC_REG_B, B_AIE);
}

static void cmos_rtc_update_irq(struct cmos_rtc *rtc)
{
    uint8_t *c = &rtc->cmos[RTC_REG_C];
    const int level = (*c & rtc->cmos[RTC_REG_B] & C_FLAGS) != 0;
    *c = (*c & C_FLAGS) | (level ? C_IRQF : 0);
    if (level != rtc->irq_level) {
        rtc->irq_level = level;
        irq_set(&rtc->irq, level);
    }
    const int alarm = alarm_level(rtc);
    if (alarm != rtc->alarm_level) {
        rtc->alarm_level = alarm;
        irq_set(&rtc->alarm, alarm);
    }
}

/* Enabled in B, not yet raised in C. */
static bool awaited(const struct cmos_rtc *rtc, uint8_t bit)
{
    return flag(rtc, RTC_REG_B, bit) && !flag(rtc, RTC_REG_C, bit);
}

/* Arms the event for the first awaited interrupt. */
static void schedule(struct cmos_rtc *rtc)
{
    int64_t due = EVENT_NEVER;
    const uint32_t period = period_ticks(rtc);
    const bool updates = !flag(rtc, RTC_REG_B, B_SET);
    if (period && awaited(rtc, B_PIE))
        due = ns_of_tick((rtc->ticks_done / period + 1) * period);
    if (updates && awaited(rtc, B_UIE))
        due = MIN(due, (int64_t)(rtc->seconds_done + 1) * NS_PER_SEC);
    const unsigned alarm = updates && awaited(rtc, B_AIE) ? alarm_distance(rtc) : 0;
    if (alarm)
        due = MIN(due, (int64_t)(rtc->seconds_done + alarm) * NS_PER_SEC);
    if (due == EVENT_NEVER || !running(rtc))
        event_cancel(rtc->events, &rtc->interrupt);
    else
        event_arm(rtc->events, &rtc->interrupt, rtc->base_ns + due);
}

/* After anything that may have changed flags, enables or what they wait for. */
static void settle(struct cmos_rtc *rtc)
{
    cmos_rtc_update_irq(rtc);
    schedule(rtc);
}

static void interrupt_due(void *opaque, int64_t now_ns)
{
    (void)now_ns;
    struct cmos_rtc *rtc = opaque;
    catch_up(rtc);
    settle(rtc);
}

/* DS "REGISTER A", UIP: not while SET keeps updates away or the divider stands. */
static uint8_t read_a(const struct cmos_rtc *rtc)
{
    const int64_t phase = since_base(rtc, event_now(rtc->events)) % NS_PER_SEC;
    const bool uip = running(rtc) && !flag(rtc, RTC_REG_B, B_SET) && phase >= NS_PER_SEC - UIP_NS;
    return rtc->cmos[RTC_REG_A] | (uip ? A_UIP : 0);
}

/* DS "REGISTER C": reading it clears it and so ends the interrupt. */
static uint8_t read_c(struct cmos_rtc *rtc)
{
    catch_up(rtc);
    cmos_rtc_update_irq(rtc);
    const uint8_t v = rtc->cmos[RTC_REG_C];
    rtc->cmos[RTC_REG_C] = 0;
    settle(rtc);
    return v;
}

static bool is_time(unsigned index)
{
    return index <= RTC_YEAR || index == RTC_CENTURY;
}

static uint8_t read_data(struct cmos_rtc *rtc)
{
    if (rtc->index == RTC_REG_A)
        return read_a(rtc);
    if (rtc->index == RTC_REG_C)
        return read_c(rtc);
    if (is_time(rtc->index))
        catch_up(rtc);
    return rtc->cmos[rtc->index];
}

/*
 * DS "REGISTER A", DV: when the divider is let go the first update comes half a second later, which
 * is how software sets the clock to within a second.
 */
static void write_a(struct cmos_rtc *rtc, uint8_t v)
{
    const bool was_running = running(rtc);
    rtc->cmos[RTC_REG_A] = v & ~A_UIP;
    if (running(rtc) && !was_running) {
        rtc->base_ns = event_now(rtc->events) - NS_PER_SEC / 2;
        rtc->ticks_done = BASE_HZ / 2;
        rtc->seconds_done = 0;
    }
    if ((v & A_DV) != A_DV_32KHZ && running(rtc))
        log_unimp(rtc->log, "RTC: register A = %02xh, a time base other than 32.768 kHz", v);
}

static void write_data(struct cmos_rtc *rtc, uint8_t v)
{
    catch_up(rtc);
    switch (rtc->index) {
    case RTC_SECONDS: /* DS: bit 7 of the seconds cannot be written */
        rtc->cmos[RTC_SECONDS] = v & 0x7f;
        break;
    case RTC_REG_A:
        write_a(rtc, v);
        break;
    case RTC_REG_B: /* DS "REGISTER B": SET going high clears UIE */
        rtc->cmos[RTC_REG_B] = v & B_SET ? v & ~B_UIE : v;
        break;
    case RTC_REG_C:
    case RTC_REG_D:
        break;
    default:
        rtc->cmos[rtc->index] = v;
        break;
    }
    settle(rtc);
}

/* Port 70h cannot be read back. */
static uint64_t cmos_rtc_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    return offset ? read_data(opaque) : 0xff;
}

static void cmos_rtc_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct cmos_rtc *rtc = opaque;
    if (offset) {
        write_data(rtc, (uint8_t)value);
    } else {
        rtc->index = value & 0x7f;
        rtc->nmi_masked = value & 0x80;
    }
}

void cmos_rtc_set(struct cmos_rtc *rtc, unsigned index, uint8_t value)
{
    assert(index < CMOS_RTC_BYTES);
    rtc->cmos[index] = value;
}

uint8_t cmos_rtc_get(const struct cmos_rtc *rtc, unsigned index)
{
    assert(index < CMOS_RTC_BYTES);
    return rtc->cmos[index];
}

bool cmos_rtc_nmi_masked(const struct cmos_rtc *rtc)
{
    return rtc->nmi_masked;
}

/* DS "RESET": the enables and flags are cleared; time, alarms, memory and DV, RS, SET, DM stay. */
static void cmos_rtc_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct cmos_rtc *rtc = container_of(dev, struct cmos_rtc, dev);
    catch_up(rtc);
    rtc->cmos[RTC_REG_B] &= ~(B_PIE | B_AIE | B_UIE | B_SQWE);
    rtc->cmos[RTC_REG_C] = 0;
    rtc->index = 0;
    rtc->nmi_masked = false;
}

static void cmos_rtc_reset_lines(struct device *dev)
{
    struct cmos_rtc *rtc = container_of(dev, struct cmos_rtc, dev);
    rtc->irq_level = rtc->alarm_level = 0;
    irq_set(&rtc->irq, 0);
    irq_set(&rtc->alarm, 0);
    settle(rtc);
}

static void cmos_rtc_state(struct device *dev, struct state *s)
{
    struct cmos_rtc *rtc = container_of(dev, struct cmos_rtc, dev);
    state_begin(s, "cmos_rtc", 1);
    state_u8(s, "index", &rtc->index);
    state_check(s, rtc->index < CMOS_RTC_BYTES, "index");
    state_bool(s, "nmi_masked", &rtc->nmi_masked);
    state_bytes(s, "cmos", rtc->cmos, sizeof rtc->cmos);
    state_i64(s, "base_ns", &rtc->base_ns);
    state_check(s, rtc->base_ns >= -NS_PER_SEC && rtc->base_ns <= INT64_MAX / 4, "base_ns");
    state_u64(s, "seconds_done", &rtc->seconds_done);
    state_check(s, rtc->seconds_done <= INT64_MAX / 4 / NS_PER_SEC, "seconds_done");
    state_u64(s, "ticks_done", &rtc->ticks_done);
    state_check(s, rtc->ticks_done / BASE_HZ <= INT64_MAX / 4 / NS_PER_SEC, "ticks_done");
    state_event(s, "interrupt", rtc->events, &rtc->interrupt);
    state_end(s);
}

static void cmos_rtc_loaded(struct device *dev)
{
    struct cmos_rtc *rtc = container_of(dev, struct cmos_rtc, dev);
    rtc->irq_level = flag(rtc, RTC_REG_C, C_IRQF);
    rtc->alarm_level = alarm_level(rtc);
}

static void cmos_rtc_destroy(struct device *dev)
{
    struct cmos_rtc *rtc = container_of(dev, struct cmos_rtc, dev);
    event_cancel(rtc->events, &rtc->interrupt);
    free(rtc);
}

static const struct device_ops cmos_rtc_ops = {
    .reset = cmos_rtc_reset,
    .reset_lines = cmos_rtc_reset_lines,
    .state = cmos_rtc_state,
    .loaded = cmos_rtc_loaded,
    .destroy = cmos_rtc_destroy,
};

static const struct io_ops port_ops = {
    .read = cmos_rtc_read,
    .write = cmos_rtc_write,
    .max_size = 1,
};

void cmos_rtc_connect_alarm(struct cmos_rtc *rtc, const struct irq_line *alarm)
{
    rtc->alarm = *alarm;
}

struct device *cmos_rtc_device(struct cmos_rtc *rtc)
{
    return &rtc->dev;
}

/* What the battery has kept: the date, in BCD and 24 hours, and a running divider. */
static void set_start(struct cmos_rtc *rtc, int64_t seconds)
{
    struct date d = {.year = 1970, .month = 1, .day = 1, .weekday = 5}; /* a Thursday */
    int64_t days = MAX(seconds, 0) / DAY_SECONDS;
    rtc->cmos[RTC_REG_A] = A_DV_32KHZ | 6; /* 1024 Hz, as PC firmware sets it */
    rtc->cmos[RTC_REG_B] = B_24_12;
    rtc->cmos[RTC_REG_D] = D_VRT;
    while (days--)
        next_day(&d);
    set_date(rtc, &d);
    set_second_of_day(rtc, (unsigned)(MAX(seconds, 0) % DAY_SECONDS));
}

struct cmos_rtc *cmos_rtc_create(struct iomap *io, struct event_queue *events, struct log *log,
                                 const struct irq_line *irq, int64_t start_seconds,
                                 int64_t start_ns)
{
    assert(start_ns >= 0 && start_ns < NS_PER_SEC);
    struct cmos_rtc *rtc = calloc(1, sizeof *rtc);
    if (!rtc)
        return NULL;
    rtc->dev = (struct device){.name = "cmos_rtc", .ops = &cmos_rtc_ops};
    rtc->events = events;
    rtc->log = log;
    rtc->irq = *irq;
    rtc->base_ns = -start_ns;
    event_init(&rtc->interrupt, "cmos_rtc.interrupt", interrupt_due, rtc);
    set_start(rtc, start_seconds);
    rtc->io = (struct io_region){.name = "cmos_rtc", .ops = &port_ops, .opaque = rtc};
    iomap_add(io, &rtc->io, 0x70, 2);
    return rtc;
}
