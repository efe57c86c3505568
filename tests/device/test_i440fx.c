/* Configuration ports, PAM, SMRAM and the memory map. 82441FX §3.2; PCI LB 3.0 §3.2.2.3.2. */
#include "fixture.h"

#include "devices/i440fx.h"
#include "devices/piix3.h"

#define RAM_BYTES  (4 * MiB)
#define BIOS_BYTES (256 * KiB)

struct bench {
    struct fixture f;
    struct pci_bus bus;
    ram_t ram, bios;
    struct recorder hard_reset, init;
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, 16 * MiB);
    b->ram = ram_alloc(&b->f.ram, RAM_BYTES);
    b->bios = ram_alloc(&b->f.ram, BIOS_BYTES);
    memset(ram_host(&b->f.ram, b->bios), 0xB1, BIOS_BYTES / 2);
    memset(ram_host(&b->f.ram, b->bios) + BIOS_BYTES / 2, 0xB2, BIOS_BYTES / 2);
    pci_bus_init(&b->bus, &b->f.io, &b->f.mem, &b->f.log);
    /* As if the guest had 3 MiB below 4 GiB and 1 MiB above. */
    assert_non_null(i440fx_create(&b->f.devices, &(struct i440fx_config){.bus = &b->bus,
                                                                         .ram = b->ram,
                                                                         .below_4g = 3 * MiB,
                                                                         .above_4g = MiB,
                                                                         .bios = b->bios,
                                                                         .bios_size = BIOS_BYTES}));
    assert_non_null(piix3_create(&b->f.devices,
                                 &(struct piix3_config){.bus = &b->bus,
                                                        .hard_reset = recorder_line(&b->hard_reset),
                                                        .cpu_init = recorder_line(&b->init)}));
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

static uint8_t rd(struct bench *b, gpa_t at)
{
    return (uint8_t)memmap_read(&b->f.mem, at, 1);
}

static void wr(struct bench *b, gpa_t at, uint8_t value)
{
    memmap_write(&b->f.mem, at, value, 1);
}

/* A configuration access as a CPU makes it. */
static uint32_t config_read(struct bench *b, uint8_t devfn, unsigned offset, unsigned size)
{
    iomap_write(&b->f.io, 0xCF8, 0x80000000 | (uint32_t)devfn << 8 | (offset & 0xFC), 4);
    return iomap_read(&b->f.io, (uint16_t)(0xCFC + (offset & 3)), size);
}

static void config_write(struct bench *b, uint8_t devfn, unsigned offset, uint32_t v, unsigned size)
{
    iomap_write(&b->f.io, 0xCF8, 0x80000000 | (uint32_t)devfn << 8 | (offset & 0xFC), 4);
    iomap_write(&b->f.io, (uint16_t)(0xCFC + (offset & 3)), v, size);
}

static void identity(void **state)
{
    struct bench *b = *state;
    assert_int_equal(config_read(b, 0, 0, 4), 0x12378086);
    assert_int_equal(config_read(b, 0, 4, 4), 0x02800006);
    assert_int_equal(config_read(b, 0, 8, 4), 0x06000002);
    assert_int_equal(config_read(b, 0, 0x2C, 4), 0x11001AF4);
    assert_int_equal(config_read(b, 8, 0, 4), 0x70008086);
    assert_int_equal(config_read(b, 8, 0x0E, 1), 0x80);
    assert_int_equal(config_read(b, 0, 2, 2), 0x1237);
    assert_int_equal(config_read(b, 0x10, 0, 4), 0xFFFFFFFF);
}

static void address_latch(void **state)
{
    struct bench *b = *state;
    struct iomap *io = &b->f.io;
    iomap_write(io, 0xCFB, 0x01, 1); /* Linux asks whether this disturbs the latch */
    iomap_write(io, 0xCF8, 0x80000000, 4);
    assert_int_equal(iomap_read(io, 0xCF8, 4), 0x80000000);
    iomap_write(io, 0xCF8, 0x1234, 2);
    iomap_write(io, 0xCF8, 0x12, 1);
    assert_int_equal(iomap_read(io, 0xCF8, 4), 0x80000000);
    assert_int_equal(iomap_read(io, 0xCF8, 1), 0xFF);
    assert_int_equal(iomap_read(io, 0xCFA, 2), 0xFFFF);
    iomap_write(io, 0xCF8, 0xFFFFFFFF, 4);
    assert_int_equal(iomap_read(io, 0xCF8, 4), 0x80FFFFFC);
    assert_int_equal(iomap_read(io, 0xCFC, 4), 0xFFFFFFFF); /* bus 255 */
    iomap_write(io, 0xCF8, 0, 4);
    assert_int_equal(iomap_read(io, 0xCFC, 4), 0xFFFFFFFF); /* not enabled */
}

/* CF9h is the PIIX3's for bytes, and part of the latch for dwords. */
static void reset_port_beside_latch(void **state)
{
    struct bench *b = *state;
    iomap_write(&b->f.io, 0xCF8, 0x80000600, 4);
    assert_int_equal(b->hard_reset.rises, 0);
    assert_int_equal(b->init.rises, 0);
    assert_int_equal(iomap_read(&b->f.io, 0xCF8, 4), 0x80000600);
    iomap_write(&b->f.io, 0xCF9, 0x06, 1);
    assert_int_equal(b->hard_reset.rises, 1);
    assert_int_equal(iomap_read(&b->f.io, 0xCF8, 4), 0x80000600);
}

static void memory_map(void **state)
{
    struct bench *b = *state;
    assert_int_equal(memmap_ram(&b->f.mem, 0, true), b->ram);
    assert_int_equal(memmap_ram(&b->f.mem, 0x9FFFF, true), b->ram + 0x9FFFF);
    assert_int_equal(memmap_ram(&b->f.mem, 0xA0000, false), RAM_NONE);
    assert_int_equal(memmap_ram(&b->f.mem, MiB, true), b->ram + MiB);
    assert_int_equal(memmap_ram(&b->f.mem, 3 * MiB - 1, true), b->ram + 3 * MiB - 1);
    assert_int_equal(memmap_ram(&b->f.mem, 3 * MiB, true), RAM_NONE);
    assert_int_equal(memmap_ram(&b->f.mem, 4 * GiB, true), b->ram + 3 * MiB);
    assert_int_equal(memmap_ram(&b->f.mem, 4 * GiB + MiB - 1, true), b->ram + 4 * MiB - 1);
    assert_int_equal(memmap_ram(&b->f.mem, 4 * GiB + MiB, true), RAM_NONE);
    /* The firmware: whole below 4 GiB, its last 128 KiB below 1 MiB; writes are lost. */
    assert_int_equal(rd(b, 4 * GiB - BIOS_BYTES), 0xB1);
    assert_int_equal(rd(b, 4 * GiB - 1), 0xB2);
    assert_int_equal(rd(b, 0xDFFFF), 0xFF);
    assert_int_equal(rd(b, 0xE0000), 0xB2);
    assert_int_equal(rd(b, 0xFFFFF), 0xB2);
    wr(b, 0xFFFFF, 0);
    wr(b, 4 * GiB - 1, 0);
    assert_int_equal(rd(b, 0xFFFFF), 0xB2);
    assert_int_equal(ram_host(&b->f.ram, b->ram)[0xFFFFF], 0);
}

/* One segment with each of the four attributes; its neighbours stay as they are. */
static void check_segment(struct bench *b, unsigned reg, unsigned shift, gpa_t base, uint64_t size)
{
    uint8_t *ram = ram_host(&b->f.ram, b->ram);
    const gpa_t ends[] = {base, base + size - 1};
    const uint8_t pci = base >= 0xE0000 ? 0xB2 : 0xFF;
    for (unsigned attr = 0; attr < 4; attr++) {
        config_write(b, 0, reg, attr << shift, 1);
        assert_int_equal(config_read(b, 0, reg, 1), attr << shift);
        for (unsigned i = 0; i < 2; i++) {
            ram[ends[i]] = 0x11;
            assert_int_equal(rd(b, ends[i]), attr & 1 ? 0x11 : pci);
            wr(b, ends[i], 0x22);
            assert_int_equal(ram[ends[i]], attr & 2 ? 0x22 : 0x11);
            ram[ends[i]] = 0;
        }
        if (base > 0xC0000)
            assert_int_equal(memmap_ram(&b->f.mem, base - 1, true), RAM_NONE);
        if (base + size < MiB)
            assert_int_equal(memmap_ram(&b->f.mem, base + size, true), RAM_NONE);
    }
    config_write(b, 0, reg, 0, 1);
}

static void pam(void **state)
{
    struct bench *b = *state;
    check_segment(b, 0x59, 4, 0xF0000, 64 * KiB);
    for (unsigned i = 0; i < 12; i++)
        check_segment(b, 0x5A + i / 2, i % 2 * 4, 0xC0000 + i * 16 * KiB, 16 * KiB);
    config_write(b, 0, 0x59, 0xFF, 1); /* reserved bits */
    assert_int_equal(config_read(b, 0, 0x59, 1), 0x30);
    config_write(b, 0, 0x5A, 0xFFFF, 2);
    assert_int_equal(config_read(b, 0, 0x5A, 2), 0x3333);
}

/* How a BIOS shadows itself: write-only, copy onto itself, then read-only. */
static void shadowing(void **state)
{
    struct bench *b = *state;
    config_write(b, 0, 0x59, 0x20, 1);
    for (gpa_t at = 0xF0000; at < 0x100000; at++)
        wr(b, at, rd(b, at));
    config_write(b, 0, 0x59, 0x10, 1);
    assert_int_equal(memmap_ram(&b->f.mem, 0xF1234, false), b->ram + 0xF1234);
    assert_int_equal(rd(b, 0xF1234), 0xB2);
    wr(b, 0xF1234, 0);
    assert_int_equal(rd(b, 0xF1234), 0xB2);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(memmap_ram(&b->f.mem, 0xF1234, false),
                     b->bios + BIOS_BYTES - 64 * KiB + 0x1234);
}

static void smram(void **state)
{
    struct bench *b = *state;
    struct memmap *mem = &b->f.mem;
    assert_int_equal(config_read(b, 0, 0x72, 1), 0x02);
    config_write(b, 0, 0x72, 0x40, 1); /* needs G_SMRAME */
    assert_int_equal(memmap_ram(mem, 0xA0000, false), RAM_NONE);
    config_write(b, 0, 0x72, 0x4A, 1);
    assert_int_equal(memmap_ram(mem, 0xA0000, true), b->ram + 0xA0000);
    assert_int_equal(memmap_ram(mem, 0xBFFFF, false), b->ram + 0xBFFFF);
    config_write(b, 0, 0x72, 0x0A, 1);
    assert_int_equal(memmap_ram(mem, 0xA0000, false), RAM_NONE);
    config_write(b, 0, 0x72, 0x5A, 1); /* lock: closes and stays closed */
    assert_int_equal(config_read(b, 0, 0x72, 1), 0x1A);
    config_write(b, 0, 0x72, 0x4A, 1);
    assert_int_equal(config_read(b, 0, 0x72, 1), 0x1A);
    assert_int_equal(memmap_ram(mem, 0xA0000, false), RAM_NONE);
    device_reset_all(&b->f.devices, RESET_HARD);
    config_write(b, 0, 0x72, 0x4A, 1);
    assert_int_equal(memmap_ram(mem, 0xA0000, true), b->ram + 0xA0000);
}

static void ram_split(void **state)
{
    (void)state;
    uint64_t below, above;
    i440fx_split_ram(512 * MiB, &below, &above);
    assert_true(below == 512 * MiB && above == 0);
    i440fx_split_ram(3584 * MiB - 4 * KiB, &below, &above);
    assert_true(below == 3584 * MiB - 4 * KiB && above == 0);
    i440fx_split_ram(3584 * MiB, &below, &above);
    assert_true(below == 3 * GiB && above == 512 * MiB);
    i440fx_split_ram(64 * GiB, &below, &above);
    assert_true(below == 3 * GiB && above == 61 * GiB);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(7);
    for (unsigned i = 0; i < 20000; i++) {
        const uint16_t port = (uint16_t)(0xCF8 + fixture_random(&seed) % 8);
        const unsigned size = 1u << fixture_random(&seed) % 3;
        uint32_t value = fixture_random(&seed);
        if (i % 2 == 0) { /* make most of them reach a function */
            iomap_write(&b->f.io, 0xCF8, 0x80000000 | (value & 0x9FC), 4);
            value = fixture_random(&seed);
        }
        iomap_write(&b->f.io, port, value, size);
        iomap_read(&b->f.io, port, size);
        rd(b, value % MiB);
    }
    assert_int_equal(config_read(b, 0, 0, 4), 0x12378086);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    device_reset_all(&b->f.devices, RESET_HARD);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    config_write(b, 0, 0x59, 0x10, 1);
    config_write(b, 0, 0x72, 0x5A, 1);
    config_write(b, 8, 0x60, 0x0B, 1);
    iomap_write(&b->f.io, 0xB2, 0x1234, 2);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(memmap_ram(&b->f.mem, 0xF1234, false), b->ram + 0xF1234);
    config_write(b, 0, 0x72, 0x4A, 1); /* still locked */
    assert_int_equal(config_read(b, 0, 0x72, 1), 0x1A);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(identity),
        T(address_latch),
        T(reset_port_beside_latch),
        T(memory_map),
        T(pam),
        T(shadowing),
        T(smram),
        T(ram_split),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
