/* Configuration space of one function: header, BAR sizing and decoding, INTx#. PCI LB 3.0 §6. */
#include "fixture.h"

#include "devices/pci.h"

#define DEVFN (3 << 3)

struct card {
    struct pci_device pci;
    uint8_t last_io, last_mem;
};

struct bench {
    struct fixture f;
    struct pci_bus bus;
    struct card *card;
    struct mem_region ram;
    int pirq[4];
};

static uint64_t card_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)size;
    return 0xA0 + offset;
}

static void card_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    *(uint8_t *)opaque = (uint8_t)value;
}

static const struct io_ops card_ops = {
    .read = card_read, .write = card_write, .min_size = 1, .max_size = 1};

static void card_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    pci_device_reset((struct pci_device *)dev);
}

static void card_state(struct device *dev, struct state *s)
{
    state_begin(s, "card", 1);
    pci_device_state((struct pci_device *)dev, s);
    state_end(s);
}

static void card_destroy(struct device *dev)
{
    free(dev);
}

static const struct device_ops card_device_ops = {
    .reset = card_reset, .state = card_state, .destroy = card_destroy};

static void set_pirq(void *opaque, unsigned pirq, int level)
{
    ((struct bench *)opaque)->pirq[pirq] = level;
}

static struct card *add_card(struct bench *b, uint8_t devfn, uint8_t pin)
{
    struct card *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->pci.dev = (struct device){.name = "card", .ops = &card_device_ops};
    pci_device_init(&c->pci, &b->bus, devfn, 0x1234, 0x5678, 0x020000, 7);
    pci_set_subsystem(&c->pci, 0x1111, 0x2222);
    pci_set_irq_pin(&c->pci, pin);
    pci_add_io_bar(&c->pci, 0, "card.io", &card_ops, &c->last_io, 32);
    mem_region_init_io(&c->pci.bar[2].mem, "card.mem", &card_ops, &c->last_mem, 64 * KiB);
    pci_add_mem_bar(&c->pci, 2, true, true);
    mem_region_init_io(&c->pci.bar[4].mem, "card.mem32", &card_ops, &c->last_mem, 4 * KiB);
    pci_add_mem_bar(&c->pci, 4, false, false);
    mem_region_init_rom(&c->pci.rom, "card.rom", ram_alloc(&b->f.ram, 8 * KiB), 8 * KiB);
    pci_add_rom(&c->pci);
    device_add(&b->f.devices, &c->pci.dev);
    return c;
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, 4 * MiB);
    mem_region_init_ram(&b->ram, "ram", ram_alloc(&b->f.ram, 2 * MiB), 2 * MiB);
    memmap_add(&b->f.mem, &b->ram, 0, 0);
    pci_bus_init(&b->bus, &b->f.io, &b->f.mem, &b->f.log);
    b->bus.set_pirq = set_pirq;
    b->bus.pirq_opaque = b;
    b->card = add_card(b, DEVFN, 1);
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

static uint32_t rd(struct bench *b, unsigned offset, unsigned size)
{
    return pci_config_read(&b->bus, DEVFN, offset, size);
}

static void wr(struct bench *b, unsigned offset, uint32_t value, unsigned size)
{
    pci_config_write(&b->bus, DEVFN, offset, value, size);
}

static void header(void **state)
{
    struct bench *b = *state;
    assert_int_equal(rd(b, 0, 4), 0x56781234);
    assert_int_equal(rd(b, 8, 4), 0x02000007);
    assert_int_equal(rd(b, 0x2C, 4), 0x22221111);
    assert_int_equal(rd(b, 0x3D, 1), 1);
    wr(b, 0, 0, 4); /* read-only */
    assert_int_equal(rd(b, 0, 2), 0x1234);
    wr(b, 0x3C, 0x0B, 1);
    assert_int_equal(rd(b, 0x3C, 2), 0x010B);
    /* nobody there: ones */
    assert_int_equal(pci_config_read(&b->bus, 0x80, 0, 4), 0xFFFFFFFF);
    assert_int_equal(pci_config_read(&b->bus, 0x80, 0, 2), 0xFFFF);
    assert_int_equal(pci_config_read(&b->bus, 0x80, 0xE, 1), 0xFF);
    pci_config_write(&b->bus, 0x80, 4, 7, 2);
}

static void sizing(void **state)
{
    struct bench *b = *state;
    for (unsigned reg = 0x10; reg < 0x28; reg += 4)
        wr(b, reg, 0xFFFFFFFF, 4);
    wr(b, 0x30, 0xFFFFFFFE, 4);
    assert_int_equal(rd(b, 0x10, 4), 0xFFFFFFE1);
    assert_int_equal(rd(b, 0x14, 4), 0);
    assert_int_equal(rd(b, 0x18, 4), 0xFFFF000C);
    assert_int_equal(rd(b, 0x1C, 4), 0xFFFFFFFF);
    assert_int_equal(rd(b, 0x20, 4), 0xFFFFF000);
    assert_int_equal(rd(b, 0x24, 4), 0);
    assert_int_equal(rd(b, 0x30, 4), 0xFFFFE000);
}

static void io_decoding(void **state)
{
    struct bench *b = *state;
    wr(b, 0x10, 0xC000, 4);
    assert_int_equal(iomap_read(&b->f.io, 0xC004, 1), 0xFF); /* command bit 0 is off */
    wr(b, 4, 1, 2);
    assert_int_equal(iomap_read(&b->f.io, 0xC004, 1), 0xA4);
    iomap_write(&b->f.io, 0xC000, 0x5A, 1);
    assert_int_equal(b->card->last_io, 0x5A);
    wr(b, 0x11, 0xD0, 1); /* a byte of it moves it too */
    assert_int_equal(iomap_read(&b->f.io, 0xC004, 1), 0xFF);
    assert_int_equal(iomap_read(&b->f.io, 0xD004, 1), 0xA4);
    wr(b, 0x10, 0xFFFFFFFF, 4); /* sizing with decoding on: nowhere */
    assert_false(b->card->pci.bar[0].mapped);
    wr(b, 0x10, 0x1C000, 4); /* beyond the ports */
    assert_false(b->card->pci.bar[0].mapped);
    wr(b, 0x10, 0xCE0, 4); /* would hide the configuration ports */
    assert_false(b->card->pci.bar[0].mapped);
}

static void memory_decoding(void **state)
{
    struct bench *b = *state;
    wr(b, 4, 2, 2);
    wr(b, 0x20, 0xFEB00000, 4);
    assert_int_equal(memmap_read(&b->f.mem, 0xFEB00007, 1), 0xA7);
    wr(b, 0x18, 0xE0000000, 4);
    wr(b, 0x1C, 0x12, 4);
    assert_int_equal(memmap_read(&b->f.mem, UINT64_C(0x12E0000009), 1), 0xA9);
    wr(b, 0x1C, 0xFFFFFFFF, 4); /* beyond 52 bits */
    assert_false(b->card->pci.bar[2].mapped);
    wr(b, 0x20, 0xFFFFFFFF, 4); /* sizing */
    assert_false(b->card->pci.bar[4].mapped);
    wr(b, 0x20, 0x100000, 4); /* on RAM: the host bridge answers */
    memmap_write(&b->f.mem, 0x100000, 0x77, 1);
    assert_int_equal(memmap_read(&b->f.mem, 0x100000, 1), 0x77);
    assert_int_equal(b->card->last_mem, 0);
    wr(b, 0x20, 0xFEB00000, 4);
    wr(b, 4, 0, 2);
    assert_int_equal(memmap_read(&b->f.mem, 0xFEB00007, 1), 0xFF);
}

static void rom_decoding(void **state)
{
    struct bench *b = *state;
    *ram_host(&b->f.ram, b->card->pci.rom.ram) = 0x55;
    wr(b, 0x30, 0xFEA00000, 4);
    wr(b, 4, 2, 2);
    assert_int_equal(memmap_read(&b->f.mem, 0xFEA00000, 1), 0xFF); /* enable bit is off */
    wr(b, 0x30, 0xFEA00001, 4);
    assert_int_equal(memmap_read(&b->f.mem, 0xFEA00000, 1), 0x55);
    wr(b, 4, 0, 2);
    assert_int_equal(memmap_read(&b->f.mem, 0xFEA00000, 1), 0xFF);
}

static void interrupts(void **state)
{
    struct bench *b = *state;
    /* Slot 3, INTA#: PIRQC#. Slot 7, INTA#: PIRQC# too. */
    struct card *other = add_card(b, 7 << 3, 1);
    pci_device_reset(&other->pci);
    pci_set_irq(&b->card->pci, 1);
    assert_int_equal(b->pirq[2], 1);
    pci_set_irq(&other->pci, 1);
    pci_set_irq(&b->card->pci, 0);
    assert_int_equal(b->pirq[2], 1);
    pci_set_irq(&other->pci, 0);
    assert_int_equal(b->pirq[2], 0);
    /* Interrupt disable gates the pin, the status bit shows the level, PCI LB 3.0 §6.2.2. */
    pci_set_irq(&b->card->pci, 1);
    wr(b, 4, BIT(10), 2);
    assert_int_equal(b->pirq[2], 0);
    assert_int_equal(rd(b, 6, 2) & BIT(3), BIT(3));
    wr(b, 4, 0, 2);
    assert_int_equal(b->pirq[2], 1);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(b->pirq[2], 0);
    assert_int_equal(b->bus.pirq_count[2], 0);
}

static void routing(void **state)
{
    struct bench *b = *state;
    struct card *a1 = add_card(b, 1 << 3, 1), *d1 = add_card(b, 1 << 3 | 1, 4);
    struct card *a4 = add_card(b, 4 << 3, 1), *b4 = add_card(b, 4 << 3 | 1, 2);
    pci_set_irq(&a1->pci, 1);
    assert_int_equal(b->pirq[0], 1);
    pci_set_irq(&d1->pci, 1);
    assert_int_equal(b->pirq[3], 1);
    pci_set_irq(&d1->pci, 0);
    pci_set_irq(&a4->pci, 1);
    assert_int_equal(b->pirq[3], 1);
    pci_set_irq(&a1->pci, 0);
    pci_set_irq(&b4->pci, 1);
    assert_int_equal(b->pirq[0], 1);
}

static void status_cleared_by_ones(void **state)
{
    struct bench *b = *state;
    b->card->pci.config[7] = 0xF9;
    wr(b, 6, 0x0100, 2);
    assert_int_equal(b->card->pci.config[7], 0xF8);
    wr(b, 6, 0xFFFF, 2);
    assert_int_equal(b->card->pci.config[7], 0x00);
}

static void any_write_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(1);
    for (unsigned i = 0; i < 20000; i++) {
        const unsigned size = 1u << fixture_random(&seed) % 3;
        const unsigned offset = fixture_random(&seed) & 0xFF & ~(size - 1);
        wr(b, offset, fixture_random(&seed), size);
        rd(b, offset, size);
        if (i % 64 == 0)
            pci_set_irq(&b->card->pci, fixture_random(&seed) & 1);
    }
    assert_int_equal(rd(b, 0, 4), 0x56781234);
    assert_int_equal(rd(b, 0x20, 4) & 0xFFF, 0);
    assert_true(b->bus.pirq_count[2] == 0 || b->bus.pirq_count[2] == 1);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    device_reset_all(&b->f.devices, RESET_HARD);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    wr(b, 0x10, 0xC000, 4);
    wr(b, 0x20, 0xFEB00000, 4);
    wr(b, 4, 7, 2);
    pci_set_irq(&b->card->pci, 1);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(iomap_read(&b->f.io, 0xC004, 1), 0xA4);
    assert_int_equal(memmap_read(&b->f.mem, 0xFEB00007, 1), 0xA7);
    assert_int_equal(b->bus.pirq_count[2], 1);
}

/* A file that claims another device here is refused. */
static void state_of_another_device(void **state)
{
    struct bench *b = *state;
    struct state save, load;
    fixture_save(&b->f, &save);
    b->card->pci.config[2] ^= 1;
    state_init_load(&load, save.buf, save.len);
    device_state_all(&b->f.devices, &load);
    assert_string_not_equal(load.err.msg, "");
    state_free(&save);
    state_free(&load);
}

static void count_line(void *opaque, const char *line)
{
    (void)line;
    ++*(unsigned *)opaque;
}

static void printing(void **state)
{
    struct bench *b = *state;
    unsigned lines = 0;
    wr(b, 4, 3, 2);
    wr(b, 0x10, 0xC000, 4);
    pci_print(&b->bus, count_line, &lines);
    assert_int_equal(lines, 8);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(header),
        T(sizing),
        T(io_decoding),
        T(memory_decoding),
        T(rom_decoding),
        T(interrupts),
        T(routing),
        T(status_cleared_by_ones),
        T(any_write_is_survived),
        T(state_round_trip),
        T(state_of_another_device),
        T(printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
