/* PIRQ steering down to both interrupt controllers' pins, reset control, APM ports. */
#include "fixture.h"

#include "devices/isa_irq.h"
#include "devices/piix3.h"

struct bench {
    struct fixture f;
    struct pci_bus bus;
    struct isa_irq *isa;
    struct recorder hard_reset, init;
    int pic[16], ioapic[24];
    struct irq_line uart; /* an ISA driver of line 5 */
    uint8_t apm;
    unsigned apm_writes;
};

static void set_pic(void *opaque, unsigned pin, int level)
{
    ((struct bench *)opaque)->pic[pin] = level;
}

static void set_ioapic(void *opaque, unsigned pin, int level)
{
    ((struct bench *)opaque)->ioapic[pin] = level;
}

static void apm_written(void *opaque, uint8_t command)
{
    struct bench *b = opaque;
    b->apm = command;
    b->apm_writes++;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    pci_bus_init(&b->bus, &b->f.io, &b->f.mem, &b->f.log);
    b->isa = isa_irq_create(&b->f.devices, (struct irq_line){.set = set_pic, .opaque = b},
                            (struct irq_line){.set = set_ioapic, .opaque = b});
    b->uart = isa_irq_connect(b->isa, 5);
    struct piix3_config cfg = {
        .bus = &b->bus,
        .hard_reset = recorder_line(&b->hard_reset),
        .cpu_init = recorder_line(&b->init),
        .apm_written = apm_written,
        .apm_opaque = b,
    };
    for (unsigned irq = 0; irq < 16; irq++)
        if (irq != 2)
            cfg.isa[irq] = isa_irq_connect(b->isa, irq);
    assert_non_null(piix3_create(&b->f.devices, &cfg));
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

static void route(struct bench *b, unsigned pirq, uint8_t value)
{
    pci_config_write(&b->bus, 1 << 3, 0x60 + pirq, value, 1);
}

static void pirq(struct bench *b, unsigned n, int level)
{
    b->bus.set_pirq(b->bus.pirq_opaque, n, level);
}

static void defaults(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pci_config_read(&b->bus, 8, 4, 4), 0x02000007);
    assert_int_equal(pci_config_read(&b->bus, 8, 8, 4), 0x06010000);
    assert_int_equal(pci_config_read(&b->bus, 8, 0x60, 4), 0x80808080);
    assert_int_equal(pci_config_read(&b->bus, 8, 0x4C, 1), 0x4D);
    pci_config_write(&b->bus, 8, 4, 0, 2); /* hardwired */
    assert_int_equal(pci_config_read(&b->bus, 8, 4, 2), 0x0007);
}

static void steering(void **state)
{
    struct bench *b = *state;
    pirq(b, 0, 1); /* routed nowhere yet */
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(b->pic[i], 0);
    route(b, 0, 0x0B);
    assert_int_equal(b->pic[11], 1);
    assert_int_equal(b->ioapic[11], 1);
    route(b, 0, 0x0A); /* moves while asserted */
    assert_int_equal(b->pic[11], 0);
    assert_int_equal(b->pic[10], 1);
    route(b, 0, 0x8A);
    assert_int_equal(b->pic[10], 0);
    route(b, 0, 0x0D); /* reserved */
    assert_int_equal(b->pic[13], 0);
    route(b, 0, 0x00);
    assert_int_equal(b->pic[0], 0);
    assert_int_equal(b->ioapic[2], 0);
}

/* Two PIRQs and an ISA device on one line: up while any of them is. */
static void sharing(void **state)
{
    struct bench *b = *state;
    route(b, 0, 5);
    route(b, 2, 5);
    pirq(b, 0, 1);
    pirq(b, 2, 1);
    irq_set(&b->uart, 1);
    pirq(b, 0, 0);
    assert_int_equal(b->pic[5], 1);
    pirq(b, 2, 0);
    assert_int_equal(b->pic[5], 1);
    assert_int_equal(isa_irq_level(b->isa, 5), 1);
    irq_set(&b->uart, 1); /* saying it twice is not counting it twice */
    irq_set(&b->uart, 0);
    assert_int_equal(b->pic[5], 0);
    assert_int_equal(isa_irq_level(b->isa, 5), 0);
}

static void timer_line(void **state)
{
    struct bench *b = *state;
    const struct irq_line pit = isa_irq_connect(b->isa, 0);
    irq_set(&pit, 1);
    assert_int_equal(b->pic[0], 1);
    assert_int_equal(b->ioapic[0], 0);
    assert_int_equal(b->ioapic[2], 1);
}

static void reset_control(void **state)
{
    struct bench *b = *state;
    struct iomap *io = &b->f.io;
    iomap_write(io, 0xCF9, 0x02, 1);
    assert_int_equal(iomap_read(io, 0xCF9, 1), 0x02);
    assert_int_equal(b->hard_reset.rises, 0);
    iomap_write(io, 0xCF9, 0x06, 1);
    assert_int_equal(b->hard_reset.rises, 1);
    assert_int_equal(b->hard_reset.level, 0);
    iomap_write(io, 0xCF9, 0x06, 1); /* no new edge */
    assert_int_equal(b->hard_reset.rises, 1);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(iomap_read(io, 0xCF9, 1), 0);
    iomap_write(io, 0xCF9, 0x04, 1);
    iomap_write(io, 0xCF9, 0x04, 1);
    assert_int_equal(b->init.rises, 2);
    assert_int_equal(b->hard_reset.rises, 1);
}

static void apm_ports(void **state)
{
    struct bench *b = *state;
    iomap_write(&b->f.io, 0xB3, 0x77, 1);
    assert_int_equal(b->apm_writes, 0);
    iomap_write(&b->f.io, 0xB2, 0xF1, 1);
    assert_int_equal(b->apm_writes, 1);
    assert_int_equal(b->apm, 0xF1);
    assert_int_equal(iomap_read(&b->f.io, 0xB2, 2), 0x77F1);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(3);
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t r = fixture_random(&seed);
        const unsigned size = 1u << r % 3;
        pci_config_write(&b->bus, 8, (r >> 8) & 0xFF & ~(size - 1), fixture_random(&seed), size);
        pirq(b, (r >> 20) & 3, (r >> 22) & 1);
        iomap_write(&b->f.io, r & BIT(23) ? 0xB2 : 0xCF9, r >> 24, 1);
    }
    for (unsigned i = 0; i < 4; i++) {
        pirq(b, i, 0);
    }
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(b->pic[i], 0);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    pirq(b, 1, 0);
    route(b, 1, 3);
    iomap_write(&b->f.io, 0xB2, 0, 2);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    route(b, 1, 9);
    pirq(b, 1, 1);
    iomap_write(&b->f.io, 0xB2, 0x1234, 2);
    iomap_write(&b->f.io, 0xCF9, 0x02, 1);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(isa_irq_level(b->isa, 9), 1);
    pirq(b, 1, 0); /* what was derived works on */
    assert_int_equal(isa_irq_level(b->isa, 9), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(defaults),
        T(steering),
        T(sharing),
        T(timer_line),
        T(reset_control),
        T(apm_ports),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
