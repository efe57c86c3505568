/* The 8237 pair: registers, pages, transfers in all directions and modes. */
#include "fixture.h"

#include "devices/dma8237.h"

struct bench {
    struct fixture f;
    struct mem_region ram;
    uint8_t *host;
    struct dma8237 *dma;
};

#define RAM_SIZE (32 * MiB)

static void out(struct bench *b, uint16_t port, uint8_t v)
{
    iomap_write(&b->f.io, port, v, 1);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return (uint8_t)iomap_read(&b->f.io, port, 1);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, RAM_SIZE);
    const ram_t at = ram_alloc(&b->f.ram, RAM_SIZE);
    mem_region_init_ram(&b->ram, "ram", at, RAM_SIZE);
    memmap_add(&b->f.mem, &b->ram, 0, 0);
    b->host = ram_host(&b->f.ram, at);
    b->dma = dma8237_create(&b->f.io, &b->f.mem, &b->f.log);
    assert_non_null(b->dma);
    device_add(&b->f.devices, dma8237_device(b->dma));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    out(b, 0xd6, 0xc0); /* channel 4: cascade, as every BIOS sets it */
    out(b, 0xd4, 0x00);
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

/* Channel 2 as a floppy driver sets it up. */
static void program2(struct bench *b, uint8_t mode, uint32_t address, uint16_t count)
{
    out(b, 0x0a, 0x06);
    out(b, 0x0c, 0x00);
    out(b, 0x0b, mode | 2);
    out(b, 0x04, (uint8_t)address);
    out(b, 0x04, (uint8_t)(address >> 8));
    out(b, 0x81, (uint8_t)(address >> 16));
    out(b, 0x05, (uint8_t)count);
    out(b, 0x05, (uint8_t)(count >> 8));
    out(b, 0x0a, 0x02);
}

static uint16_t count2(struct bench *b)
{
    out(b, 0x0c, 0);
    const uint8_t lsb = in(b, 0x05);
    return (uint16_t)(lsb | in(b, 0x05) << 8);
}

static uint16_t address2(struct bench *b)
{
    out(b, 0x0c, 0);
    const uint8_t lsb = in(b, 0x04);
    return (uint16_t)(lsb | in(b, 0x04) << 8);
}

static void fill(uint8_t *p, size_t n, uint8_t start)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(start + i * 7);
}

static void to_memory(struct bench *b, uint8_t *buf, size_t len, size_t moved, bool ends)
{
    bool tc;
    assert_int_equal(dma8237_transfer(b->dma, 2, buf, len, true, &tc), moved);
    assert_int_equal(tc, ends);
}

static void floppy_read(void **state)
{
    struct bench *b = *state;
    uint8_t data[512];
    fill(data, sizeof data, 3);
    assert_false(dma8237_ready(b->dma, 2)); /* masked since reset */
    program2(b, 0x44, 0x123456, 1023);
    assert_true(dma8237_ready(b->dma, 2));
    to_memory(b, data, 512, 512, false);
    assert_memory_equal(b->host + 0x123456, data, 512);
    assert_int_equal(count2(b), 511);
    assert_int_equal(address2(b), 0x3656);
    assert_int_equal(in(b, 0x08), 0x00);
    to_memory(b, data, 512, 512, true);
    assert_memory_equal(b->host + 0x123656, data, 512);
    assert_int_equal(count2(b), 0xffff);
    assert_int_equal(in(b, 0x08), 0x04);
    assert_int_equal(in(b, 0x08), 0x00); /* reading clears it */
    assert_false(dma8237_ready(b->dma, 2));
    to_memory(b, data, 512, 0, false);
}

static void floppy_write(void **state)
{
    struct bench *b = *state;
    uint8_t data[100] = {0};
    fill(b->host + 0x20000, 100, 9);
    program2(b, 0x48, 0x20000, 49);
    bool tc;
    assert_int_equal(dma8237_transfer(b->dma, 2, data, 100, false, &tc), 50);
    assert_true(tc);
    assert_memory_equal(data, b->host + 0x20000, 50);
    assert_int_equal(data[50], 0);
}

/* The address does not carry into the page. */
static void page_wrap(void **state)
{
    struct bench *b = *state;
    uint8_t data[16];
    fill(data, sizeof data, 1);
    program2(b, 0x44, 0x5fffc, 15);
    to_memory(b, data, 16, 16, true);
    assert_memory_equal(b->host + 0x5fffc, data, 4);
    assert_memory_equal(b->host + 0x50000, data + 4, 12);
    assert_int_equal(address2(b), 0x000c);
}

static void decrement(void **state)
{
    struct bench *b = *state;
    uint8_t data[4] = {1, 2, 3, 4};
    program2(b, 0x64, 0x30001, 3);
    to_memory(b, data, 4, 4, true);
    assert_int_equal(b->host[0x30001], 1);
    assert_int_equal(b->host[0x30000], 2);
    assert_int_equal(b->host[0x3ffff], 3);
    assert_int_equal(b->host[0x3fffe], 4);
}

static void autoinitialize(void **state)
{
    struct bench *b = *state;
    uint8_t data[10];
    fill(data, sizeof data, 0x40);
    program2(b, 0x54, 0x40000, 7);
    to_memory(b, data, 10, 8, true);
    assert_int_equal(count2(b), 7);
    assert_int_equal(address2(b), 0);
    assert_true(dma8237_ready(b->dma, 2));
    to_memory(b, data + 8, 2, 2, false);
    assert_memory_equal(b->host + 0x40000, data + 8, 2);
    assert_memory_equal(b->host + 0x40002, data + 2, 6);
}

static void verify_and_mismatch(void **state)
{
    struct bench *b = *state;
    uint8_t data[8];
    fill(data, sizeof data, 0x77);
    program2(b, 0x40, 0x60000, 7);
    to_memory(b, data, 8, 8, true);
    assert_int_equal(b->host[0x60000], 0);
    assert_int_equal(b->f.log.guest_errors, 0);
    program2(b, 0x48, 0x60000, 7);
    to_memory(b, data, 8, 8, true);
    assert_int_equal(b->host[0x60000], 0);
    assert_int_equal(b->f.log.guest_errors, 1);
}

/* Channel 5 moves words: address and count in words, page bit 0 unused. */
static void words(void **state)
{
    struct bench *b = *state;
    uint8_t data[9];
    fill(data, sizeof data, 0x11);
    out(b, 0xd8, 0);
    out(b, 0xd6, 0x45);
    out(b, 0xc4, 0x00);
    out(b, 0xc5, 0x80); /* A0 is not decoded */
    out(b, 0x8b, 0x07);
    out(b, 0xc6, 0x03);
    out(b, 0xc6, 0x00);
    out(b, 0xd4, 0x01);
    bool tc;
    assert_int_equal(dma8237_transfer(b->dma, 5, data, 9, true, &tc), 8);
    assert_true(tc);
    assert_memory_equal(b->host + 0x70000, data, 8);
    assert_int_equal(in(b, 0xd0), 0x02);
}

static void high_pages(void **state)
{
    struct bench *b = *state;
    uint8_t data[4] = {9, 8, 7, 6};
    program2(b, 0x44, 0x10000, 3);
    out(b, 0x481, 0x01);
    assert_int_equal(in(b, 0x481), 0x01);
    to_memory(b, data, 4, 4, true);
    assert_memory_equal(b->host + 0x1010000, data, 4);
    program2(b, 0x44, 0x10000, 3); /* old code writes the page alone */
    to_memory(b, data, 4, 4, true);
    assert_memory_equal(b->host + 0x10000, data, 4);
    for (uint16_t port = 0x82; port <= 0x8f; port++)
        out(b, port, (uint8_t)(port * 3));
    for (uint16_t port = 0x82; port <= 0x8f; port++)
        assert_int_equal(in(b, port), (uint8_t)(port * 3));
}

static void masks_and_requests(void **state)
{
    struct bench *b = *state;
    program2(b, 0x44, 0, 10);
    assert_int_equal(in(b, 0x0f), 0xfb);
    out(b, 0x08, 0x04); /* controller disabled */
    assert_false(dma8237_ready(b->dma, 2));
    out(b, 0x08, 0x00);
    out(b, 0xd4, 0x04); /* the cascade masked */
    assert_false(dma8237_ready(b->dma, 2));
    out(b, 0xd4, 0x00);
    assert_true(dma8237_ready(b->dma, 2));
    out(b, 0x0f, 0x0f);
    assert_false(dma8237_ready(b->dma, 2));
    out(b, 0x0e, 0x00);
    assert_true(dma8237_ready(b->dma, 2));
    dma8237_set_dreq(b->dma, 2, 1);
    dma8237_set_dreq(b->dma, 5, 1);
    assert_int_equal(in(b, 0x08), 0x40);
    assert_int_equal(in(b, 0xd0), 0x20);
    dma8237_set_dreq(b->dma, 2, 0);
    out(b, 0x09, 0x05); /* by software, channel 1 */
    assert_int_equal(in(b, 0x08), 0x20);
    out(b, 0x0d, 0x00);
    assert_int_equal(in(b, 0x0f), 0xff);
    assert_int_equal(in(b, 0x08), 0x00);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(8237);
    static uint8_t buf[70000];
    for (unsigned i = 0; i < 50000; i++) {
        const uint32_t r = fixture_random(&seed);
        const uint16_t base = r & 1 ? 0x00 : r & 2 ? 0xc0 : r & 4 ? 0x81 : 0x481;
        const uint16_t port = (uint16_t)(base + (r >> 4) % (base == 0xc0 ? 32 : base ? 15 : 16));
        if (r & 8)
            out(b, port, (uint8_t)(r >> 16));
        else
            in(b, port);
        unsigned channel = r >> 24 & 7;
        if (channel == 4)
            channel = 2;
        const size_t len = r & BIT(31) && i % 100 == 0 ? sizeof buf : r >> 28;
        bool tc;
        assert_true(dma8237_transfer(b->dma, channel, buf, len, r & BIT(27), &tc) <= len);
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    program2(b, 0x54, 0xabcdef, 999);
    out(b, 0x04, 1);
    out(b, 0x481, 3);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    program2(b, 0x44, 0x20000, 511);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(count2(b), 511);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(floppy_read),
        T(floppy_write),
        T(page_wrap),
        T(decrement),
        T(autoinitialize),
        T(verify_and_mismatch),
        T(words),
        T(high_pages),
        T(masks_and_requests),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
