/* The IOAPIC with one local APIC behind it. 82093AA §3. */
#include "fixture.h"

#include "devices/ioapic.h"
#include "devices/lapic.h"

#define LAPIC_AT UINT64_C(0xFEE00000)

enum { LEVEL = BIT(15), MASKED = BIT(16), REMOTE_IRR = BIT(14), LOGICAL = BIT(11) };

struct bench {
    struct fixture f;
    struct apic_bus bus;
    struct lapic *l;
    struct ioapic *io;
    struct recorder intr, nmi, init;
};

static uint32_t rd(struct bench *b, unsigned index)
{
    memmap_write(&b->f.mem, IOAPIC_AT, index, 4);
    return (uint32_t)memmap_read(&b->f.mem, IOAPIC_AT + 0x10, 4);
}

static void wr(struct bench *b, unsigned index, uint32_t value)
{
    memmap_write(&b->f.mem, IOAPIC_AT, index, 4);
    memmap_write(&b->f.mem, IOAPIC_AT + 0x10, value, 4);
}

static void entry(struct bench *b, unsigned pin, uint32_t low)
{
    wr(b, 0x10 + 2 * pin, low);
}

static uint32_t entry_read(struct bench *b, unsigned pin)
{
    return rd(b, 0x10 + 2 * pin);
}

static void pin(struct bench *b, unsigned n, int level)
{
    ioapic_set_irq(b->io, n, level);
}

static void end(struct bench *b)
{
    memmap_write(&b->f.mem, LAPIC_AT + 0xB0, 0, 4);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    apic_bus_init(&b->bus, &b->f.log);
    b->l = lapic_create(&b->f.devices, &(struct lapic_config){.bus = &b->bus,
                                                              .queue = &b->f.queue,
                                                              .mem = &b->f.mem,
                                                              .log = &b->f.log,
                                                              .bsp = true,
                                                              .intr = recorder_line(&b->intr),
                                                              .nmi = recorder_line(&b->nmi),
                                                              .init = recorder_line(&b->init)});
    b->io = ioapic_create(&b->f.devices, &b->bus, &b->f.mem, &b->f.log);
    assert_true(b->l && b->io);
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    memmap_write(&b->f.mem, LAPIC_AT + 0xF0, 0x1FF, 4);
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

static void registers(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, 1), 0x00170020);
    assert_int_equal(rd(b, 0), 0);
    wr(b, 0, 0xFF000000);
    assert_int_equal(rd(b, 0), 0x0F000000);
    assert_int_equal(rd(b, 2), 0x0F000000);
    for (unsigned n = 0; n < IOAPIC_PINS; n++) {
        assert_int_equal(entry_read(b, n), MASKED);
        assert_int_equal(rd(b, 0x11 + 2 * n), 0);
    }
    wr(b, 0x10, 0xFFFFFFFF); /* remote IRR, delivery status and reserved bits stay 0 */
    assert_int_equal(rd(b, 0x10), 0x0001AFFF);
    wr(b, 0x11, 0xFFFFFFFF);
    assert_int_equal(rd(b, 0x11), 0xFF000000);
    assert_int_equal(rd(b, 0x40), 0);
    wr(b, 0x40, 1);
    memmap_write(&b->f.mem, IOAPIC_AT, 0x01, 1); /* a byte selects, too */
    assert_int_equal(memmap_read(&b->f.mem, IOAPIC_AT, 4), 1);
}

static void edges(void **state)
{
    struct bench *b = *state;
    pin(b, 4, 1); /* masked: lost */
    entry(b, 4, 0x34);
    assert_false(lapic_pending(b->l));
    pin(b, 4, 0);
    pin(b, 4, 1);
    assert_int_equal(lapic_accept(b->l), 0x34);
    assert_int_equal(entry_read(b, 4), 0x34); /* no remote IRR */
    end(b);
    assert_false(lapic_pending(b->l));
    pin(b, 4, 0);
    pin(b, 4, 1);
    assert_int_equal(lapic_accept(b->l), 0x34);
}

static void levels(void **state)
{
    struct bench *b = *state;
    pin(b, 10, 1);
    entry(b, 10, LEVEL | 0x55); /* unmasked while up: due now */
    assert_int_equal(entry_read(b, 10), LEVEL | REMOTE_IRR | 0x55);
    assert_int_equal(lapic_accept(b->l), 0x55);
    assert_false(lapic_pending(b->l));
    end(b); /* still up: again */
    assert_int_equal(lapic_accept(b->l), 0x55);
    pin(b, 10, 0);
    assert_int_equal(entry_read(b, 10), LEVEL | REMOTE_IRR | 0x55);
    pin(b, 10, 1); /* not twice before EOI */
    pin(b, 10, 0);
    end(b);
    assert_false(lapic_pending(b->l));
    assert_int_equal(entry_read(b, 10), LEVEL | 0x55);
    entry(b, 10, LEVEL | MASKED | 0x55);
    pin(b, 10, 1);
    assert_false(lapic_pending(b->l));
}

/* Both ways to end a level interrupt without the local APIC's broadcast. */
static void ending_by_hand(void **state)
{
    struct bench *b = *state;
    entry(b, 11, LEVEL | 0x60);
    pin(b, 11, 1);
    pin(b, 11, 0);
    memmap_write(&b->f.mem, IOAPIC_AT + 0x40, 0x61, 4);
    assert_int_equal(entry_read(b, 11), LEVEL | REMOTE_IRR | 0x60);
    memmap_write(&b->f.mem, IOAPIC_AT + 0x40, 0x60, 4);
    assert_int_equal(entry_read(b, 11), LEVEL | 0x60);
    pin(b, 11, 1);
    entry(b, 11, MASKED | 0x60); /* to edge and back */
    entry(b, 11, MASKED | LEVEL | 0x60);
    assert_int_equal(entry_read(b, 11), MASKED | LEVEL | 0x60);
}

/* A message that nobody takes leaves the remote IRR clear; the next look finds the pin still up. */
static void nobody_there(void **state)
{
    struct bench *b = *state;
    wr(b, 0x10 + 2 * 5 + 1, 0x07000000);
    entry(b, 5, LEVEL | 0x50);
    pin(b, 5, 1);
    assert_int_equal(entry_read(b, 5), LEVEL | 0x50);
    wr(b, 0x10 + 2 * 5 + 1, 0x00000000);
    assert_int_equal(entry_read(b, 5), LEVEL | REMOTE_IRR | 0x50);
    assert_int_equal(lapic_accept(b->l), 0x50);
}

static void delivery_modes(void **state)
{
    struct bench *b = *state;
    memmap_write(&b->f.mem, LAPIC_AT + 0xD0, 0x01000000, 4);
    wr(b, 0x11 + 2 * 3, 0x01000000);
    entry(b, 3, LOGICAL | 0x100 | 0x42); /* lowest priority, logical */
    pin(b, 3, 1);
    assert_int_equal(lapic_accept(b->l), 0x42);
    entry(b, 7, LEVEL | 0x400); /* NMI is an edge whatever is said */
    pin(b, 7, 1);
    pin(b, 7, 1);
    assert_int_equal(b->nmi.rises, 1);
    assert_int_equal(entry_read(b, 7), LEVEL | 0x400);
    entry(b, 0, 0x700); /* the 8259 on pin 0 */
    pin(b, 0, 1);
    assert_int_equal(lapic_accept(b->l), LAPIC_EXTINT);
    entry(b, 8, 0x500);
    pin(b, 8, 1);
    assert_int_equal(b->init.rises, 1);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(11);
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t r = fixture_random(&seed);
        const unsigned size = 1u << (r & 3);
        const gpa_t at = IOAPIC_AT + (((r >> 4) & 0x7F) & ~(size - 1));
        if (r & 8)
            memmap_read(&b->f.mem, at, size);
        else
            memmap_write(&b->f.mem, at, fixture_random(&seed), size);
        wr(b, (r >> 16) & 0x3F, fixture_random(&seed));
        pin(b, (r >> 24) % IOAPIC_PINS, (r >> 12) & 1);
        if (r & BIT(13)) {
            lapic_accept(b->l);
            end(b);
        }
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    device_reset_all(&b->f.devices, RESET_HARD);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    entry(b, 9, LEVEL | 0x77);
    wr(b, 0, 0x02000000);
    pin(b, 9, 1);
    lapic_accept(b->l);
    fixture_check_round_trip(&b->f, disturb, b);
    end(b);
    assert_int_equal(lapic_accept(b->l), 0x77);
}

static void count_line(void *opaque, const char *line)
{
    assert_non_null(line);
    ++*(unsigned *)opaque;
}

static void printing(void **state)
{
    struct bench *b = *state;
    unsigned lines = 0;
    ioapic_print(b->io, count_line, &lines);
    assert_int_equal(lines, 1 + IOAPIC_PINS);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(registers),
        T(edges),
        T(levels),
        T(ending_by_hand),
        T(nobody_there),
        T(delivery_modes),
        T(any_access_is_survived),
        T(state_round_trip),
        T(printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
