/* Fixed ACPI registers, PM timer, SCI, soft-off, SMBus. ACPI 6.5 §4.8; PIIX4 §7, §11. */
#include "fixture.h"

#include "devices/acpi_pm.h"

enum { DEVFN = 1 << 3 | 3, BASE = 0x600, SMB = 0x700 };
enum { PMSTS = BASE, PMEN = BASE + 2, PMCNTRL = BASE + 4, PMTMR = BASE + 8, GPSTS = BASE + 12 };

struct bench {
    struct fixture f;
    struct pci_bus bus;
    struct acpi_pm *pm;
    struct recorder sci, power_off;
};

static void set_config(struct bench *b, unsigned offset, uint32_t value, unsigned size)
{
    pci_config_write(&b->bus, DEVFN, offset, value, size);
}

/* As the firmware does it. */
static void decode(struct bench *b)
{
    set_config(b, 0x40, BASE | 1, 4);
    set_config(b, 0x80, 1, 1);
    set_config(b, 0x90, SMB | 1, 4);
    set_config(b, 0xD2, 0x09, 1);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    pci_bus_init(&b->bus, &b->f.io, &b->f.mem, &b->f.log);
    b->pm = acpi_pm_create(&b->f.devices,
                           &(struct acpi_pm_config){.bus = &b->bus,
                                                    .queue = &b->f.queue,
                                                    .sci = recorder_line(&b->sci),
                                                    .power_off = recorder_line(&b->power_off)});
    assert_non_null(b->pm);
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    decode(b);
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

static uint32_t rd(struct bench *b, unsigned port, unsigned size)
{
    return iomap_read(&b->f.io, (uint16_t)port, size);
}

static void wr(struct bench *b, unsigned port, uint32_t value, unsigned size)
{
    iomap_write(&b->f.io, (uint16_t)port, value, size);
}

static void step(struct bench *b, int64_t ns)
{
    event_step(&b->f.queue, &b->f.now_ns, ns);
}

static void identity(void **state)
{
    struct bench *b = *state;
    assert_int_equal(pci_config_read(&b->bus, DEVFN, 0, 4), 0x71138086);
    assert_int_equal(pci_config_read(&b->bus, DEVFN, 8, 4), 0x06800003);
    assert_int_equal(pci_config_read(&b->bus, DEVFN, 0x3D, 1), 1);
    assert_int_equal(pci_config_read(&b->bus, DEVFN, 0x5B, 1) & 2, 2); /* no SMM to set up */
    assert_int_equal(pci_config_read(&b->bus, DEVFN, 0x40, 4), BASE | 1);
}

static void decoding(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, PMCNTRL, 2), 0); /* readable before anything is enabled */
    set_config(b, 0x80, 0, 1);
    assert_int_equal(rd(b, PMCNTRL, 2), 0xFFFF);
    set_config(b, 0x80, 1, 1);
    set_config(b, 0x40, 0xB001, 4);
    assert_int_equal(rd(b, PMCNTRL, 2), 0xFFFF);
    assert_int_equal(rd(b, 0xB004, 2), 0);
    set_config(b, 0x40, 0xFFFFFFFF, 4);
    assert_int_equal(pci_config_read(&b->bus, DEVFN, 0x40, 4), 0xFFC1);
    assert_int_equal(rd(b, 0xFFC4, 2), 0);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(rd(b, 0xFFC4, 2), 0xFFFF);
}

static void timer_counts(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, PMTMR, 4), 0);
    step(b, NS_PER_SEC);
    assert_int_equal(rd(b, PMTMR, 4), 3579545);
    assert_int_equal(rd(b, PMTMR, 2), 3579545 & 0xFFFF);
    assert_int_equal(rd(b, PMTMR + 1, 1), (3579545 >> 8) & 0xFF);
    step(b, 9 * NS_PER_SEC);
    assert_int_equal(rd(b, PMTMR, 4), 35795450 & 0xFFFFFF);
}

/* The most significant bit changes every 2^23 ticks, 2.3435 s. */
static void timer_overflow(void **state)
{
    struct bench *b = *state;
    wr(b, PMCNTRL, 1, 2);
    wr(b, PMEN, 1, 2);
    step(b, 2343 * NS_PER_MS);
    assert_int_equal(b->sci.level, 0);
    step(b, NS_PER_MS);
    assert_int_equal(rd(b, PMTMR, 4) >> 23, 1);
    assert_int_equal(b->sci.level, 1);
    assert_int_equal(rd(b, PMSTS, 2), 1);
    step(b, 10 * NS_PER_SEC);
    wr(b, PMSTS, 1, 2);
    assert_int_equal(b->sci.level, 0);
    assert_int_equal(rd(b, PMSTS, 2), 0);
    step(b, 2344 * NS_PER_MS);
    assert_int_equal(b->sci.level, 1);
}

/* The status comes up without the enable bit, too, and enabling it later interrupts. */
static void overflow_is_noted_while_disabled(void **state)
{
    struct bench *b = *state;
    wr(b, PMCNTRL, 1, 2);
    step(b, 3 * NS_PER_SEC);
    assert_int_equal(rd(b, PMSTS, 2), 1);
    assert_int_equal(b->sci.level, 0);
    wr(b, PMEN, 1, 2);
    assert_int_equal(b->sci.level, 1);
}

static void power_button(void **state)
{
    struct bench *b = *state;
    wr(b, PMEN, 0x0100, 2);
    acpi_pm_power_button(b->pm);
    assert_int_equal(rd(b, PMSTS, 2), 0x0100);
    assert_int_equal(b->sci.level, 0); /* not in ACPI mode */
    acpi_pm_apm_command(b->pm, 0x55);
    assert_int_equal(rd(b, PMCNTRL, 2), 0);
    acpi_pm_apm_command(b->pm, ACPI_PM_ENABLE);
    assert_int_equal(rd(b, PMCNTRL, 2), 1);
    assert_int_equal(b->sci.level, 1);
    wr(b, PMSTS + 1, 0x01, 1); /* a byte clears it as well */
    assert_int_equal(rd(b, PMSTS, 2), 0);
    assert_int_equal(b->sci.level, 0);
    acpi_pm_apm_command(b->pm, ACPI_PM_DISABLE);
    assert_int_equal(rd(b, PMCNTRL, 2), 0);
}

static void rtc_alarm(void **state)
{
    struct bench *b = *state;
    wr(b, PMEN, 0x0400, 2);
    wr(b, PMCNTRL, 1, 2);
    acpi_pm_rtc_alarm(b->pm, 0, 1);
    assert_int_equal(rd(b, PMSTS, 2), 0x0400);
    assert_int_equal(b->sci.level, 1);
    wr(b, PMSTS, 0x0400, 2); /* though the RTC still waits to be read */
    assert_int_equal(rd(b, PMSTS, 2), 0);
    acpi_pm_rtc_alarm(b->pm, 0, 0);
    assert_int_equal(rd(b, PMSTS, 2), 0);
    assert_int_equal(b->sci.level, 0);
}

static void soft_off(void **state)
{
    struct bench *b = *state;
    wr(b, PMCNTRL, 0x0001, 2);
    assert_int_equal(b->power_off.rises, 0);
    wr(b, PMCNTRL, 0x2001, 2);
    assert_int_equal(b->power_off.rises, 1);
    assert_int_equal(rd(b, PMCNTRL, 2), 0x0001); /* SUS_EN reads as 0 */
    wr(b, PMCNTRL, 0x2401, 2);                   /* another state: awake at once */
    assert_int_equal(b->power_off.rises, 1);
    assert_int_equal(rd(b, PMSTS, 2) & 0x8000, 0x8000);
}

static void general_purpose_events(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, GPSTS, 4), 0);
    wr(b, GPSTS, 0xFFFFFFFF, 4);
    assert_int_equal(rd(b, GPSTS, 2), 0);
    assert_int_equal(rd(b, GPSTS + 2, 2), 0x0F01);
    assert_int_equal(b->sci.level, 0);
}

/* Asking any address: nobody acknowledges, and the controller is not busy. */
static void smbus(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, SMB, 1), 0);
    wr(b, SMB + 4, 0xA1, 1);
    assert_int_equal(rd(b, SMB + 4, 1), 0xA1);
    wr(b, SMB + 2, 0x48, 1);
    assert_int_equal(rd(b, SMB + 2, 1), 0x08);
    assert_int_equal(rd(b, SMB, 1), 0x04);
    wr(b, SMB, 0x04, 1);
    assert_int_equal(rd(b, SMB, 1), 0);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(5);
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t r = fixture_random(&seed);
        const unsigned size = 1u << r % 3;
        const unsigned port = (r & BIT(4) ? BASE : SMB) + (r >> 8) % 0x40;
        if (r & BIT(5))
            rd(b, port, size);
        else
            wr(b, port, fixture_random(&seed), size);
        if (i % 16 == 0)
            set_config(b, (r >> 16) & 0xFC, fixture_random(&seed), 4);
        if (i % 64 == 0) {
            step(b, r % (3 * (uint32_t)NS_PER_SEC));
            decode(b);
        }
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    device_reset_all(&b->f.devices, RESET_HARD);
    step(b, NS_PER_MS);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    wr(b, PMCNTRL, 1, 2);
    wr(b, PMEN, 1, 2);
    wr(b, SMB + 4, 0xA1, 1);
    step(b, NS_PER_SEC);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(rd(b, SMB + 4, 1), 0xA1);
    step(b, 1350 * NS_PER_MS);
    assert_int_equal(b->sci.level, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),
        T(decoding),
        T(timer_counts),
        T(timer_overflow),
        T(overflow_is_noted_while_disabled),
        T(power_button),
        T(rtc_alarm),
        T(soft_off),
        T(general_purpose_events),
        T(smbus),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
