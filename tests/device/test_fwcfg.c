/* The firmware configuration device through its ports, and as the firmware's DMA uses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/fwcfg.h"
#include "seed.h"
#include "unit/rng.h"

#include <stdio.h>
#include <stdlib.h>

enum { SELECTOR = 0x510, DATA = 0x511, DMA_HIGH = 0x514, DMA_LOW = 0x518 };
enum { DMA_ERROR = 1, DMA_READ = 2, DMA_SKIP = 4, DMA_SELECT = 8, DMA_WRITE = 16 };

struct board {
    struct ram ram;
    struct memmap mem;
    struct mem_region region;
    struct iomap io;
    struct device_list devices;
    struct fwcfg *fw;
};

static void board_create(struct board *b)
{
    struct error err = {0};
    assert_true(ram_create(&b->ram, MiB, &err));
    memmap_create(&b->mem, &b->ram, NULL);
    mem_region_init_ram(&b->region, "ram", ram_alloc(&b->ram, 64 * KiB), 64 * KiB);
    memmap_add(&b->mem, &b->region, 0, 0);
    assert_true(iomap_create(&b->io, NULL));
    device_list_init(&b->devices);
    b->fw = fwcfg_create(&b->devices, &(struct fwcfg_config){&b->io, &b->mem, NULL});
    assert_non_null(b->fw);
    device_reset_all(&b->devices, RESET_POWER_ON);
}

static void board_destroy(struct board *b)
{
    device_destroy_all(&b->devices);
    iomap_destroy(&b->io);
    memmap_destroy(&b->mem);
    ram_destroy(&b->ram);
}

static void read_item(struct board *b, uint16_t key, void *buf, size_t len)
{
    iomap_write(&b->io, SELECTOR, key, 2);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)iomap_read(&b->io, DATA, 1);
}

/* Runs a DMA whose structure lies at 100h; returns the control word it ends with. */
static uint32_t dma(struct board *b, uint32_t control, uint32_t len, uint64_t address)
{
    uint8_t *raw = ram_host(&b->ram, 0x100);
    st32(raw, __builtin_bswap32(control));
    st32(raw + 4, __builtin_bswap32(len));
    st64(raw + 8, __builtin_bswap64(address));
    iomap_write(&b->io, DMA_HIGH, 0, 4);
    iomap_write(&b->io, DMA_LOW, __builtin_bswap32(0x100), 4);
    return __builtin_bswap32(ld32(raw));
}

static void test_identity(void **state)
{
    (void)state;
    struct board b;
    char buf[8];
    board_create(&b);
    for (int i = 0; i < 4; i++) /* item 0 is selected by reset */
        buf[i] = (char)iomap_read(&b.io, DATA, 1);
    assert_memory_equal(buf, "QEMU", 4);
    assert_int_equal(iomap_read(&b.io, DATA, 1), 0);
    read_item(&b, FWCFG_ID, buf, 5);
    assert_memory_equal(buf, "\3\0\0\0\0", 5);
    assert_int_equal(iomap_read(&b.io, DMA_HIGH, 4), 0x554d4551); /* "QEMU" in memory order */
    assert_int_equal(iomap_read(&b.io, DMA_LOW, 4), 0x47464320);  /* " CFG" */
    assert_int_equal(iomap_read(&b.io, DMA_LOW + 3, 1), 'G');
    board_destroy(&b);
}

static void test_items(void **state)
{
    (void)state;
    struct board b;
    uint8_t buf[16];
    board_create(&b);
    fwcfg_add_u64(b.fw, FWCFG_RAM_SIZE, 0x123456789a);
    fwcfg_add_u16(b.fw, FWCFG_NB_CPUS, 4);
    fwcfg_add_item(b.fw, FWCFG_IRQ0_OVERRIDE, "\1", 1);
    fwcfg_add_item(b.fw, FWCFG_NUMA, NULL, 0);
    read_item(&b, FWCFG_RAM_SIZE, buf, 10);
    assert_memory_equal(buf, "\x9a\x78\x56\x34\x12\0\0\0\0\0", 10);
    read_item(&b, FWCFG_NB_CPUS | 0x4000, buf, 3); /* the write channel's bit is ignored */
    assert_memory_equal(buf, "\4\0\0", 3);
    read_item(&b, FWCFG_IRQ0_OVERRIDE, buf, 2);
    assert_memory_equal(buf, "\1\0", 2);
    static const uint16_t unknown[] = {FWCFG_NUMA, FWCFG_UUID, FWCFG_FILE_FIRST, 0x3fff, 0x8020,
                                       0xbfff,     0xffff};
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        memset(buf, 1, sizeof buf);
        read_item(&b, unknown[i], buf, 2);
        assert_memory_equal(buf, "\0\0", 2);
    }
    /* rep insb */
    iomap_write(&b.io, SELECTOR, FWCFG_RAM_SIZE, 2);
    iomap_read(&b.io, DATA, 1);
    assert_int_equal(iomap_read_bulk(&b.io, DATA, 1, buf, 9), 9);
    assert_memory_equal(buf, "\x78\x56\x34\x12\0\0\0\0\0", 9);
    assert_true(fwcfg_ok(b.fw, &(struct error){0}));
    board_destroy(&b);
}

static void test_directory(void **state)
{
    (void)state;
    struct board b;
    uint8_t dir[4 + 3 * 64];
    char text[8];
    board_create(&b);
    fwcfg_add_file(b.fw, "etc/e820", "0123456789", 10);
    fwcfg_add_file(b.fw, "opt/zoo", "z", 1);
    fwcfg_add_file(b.fw, "bootorder", "a", 2);
    read_item(&b, FWCFG_FILE_DIR, dir, sizeof dir);
    assert_memory_equal(dir, "\0\0\0\3", 4);
    static const char *const names[] = {"bootorder", "etc/e820", "opt/zoo"};
    static const uint8_t sizes[] = {2, 10, 1};
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *e = dir + 4 + 64 * i;
        assert_int_equal(__builtin_bswap32(ld32(e)), sizes[i]);
        assert_int_equal(__builtin_bswap16(ld16(e + 4)), FWCFG_FILE_FIRST + i);
        assert_int_equal(ld16(e + 6), 0);
        assert_string_equal((const char *)e + 8, names[i]);
    }
    read_item(&b, FWCFG_FILE_FIRST + 1, text, 3);
    assert_memory_equal(text, "012", 3);
    read_item(&b, FWCFG_FILE_FIRST + 3, text, 1);
    assert_int_equal(text[0], 0);
    board_destroy(&b);
}

static void test_dma(void **state)
{
    (void)state;
    struct board b;
    board_create(&b);
    uint8_t *mem = ram_host(&b.ram, 0);
    fwcfg_add_file(b.fw, "f", "0123456789", 10);
    uint32_t select = FWCFG_FILE_FIRST << 16 | DMA_SELECT;

    assert_int_equal(dma(&b, select | DMA_READ, 4, 0x2000), 0);
    assert_memory_equal(mem + 0x2000, "0123\0", 5);
    assert_int_equal(dma(&b, DMA_SKIP, 2, 0), 0);
    memset(mem + 0x2000, 'x', 10);
    assert_int_equal(dma(&b, DMA_READ, 8, 0x2000), 0); /* four are left: zeros behind them */
    assert_memory_equal(mem + 0x2000, "6789\0\0\0\0xx", 10);
    assert_int_equal(dma(&b, select, 0, 0), 0);
    assert_int_equal(iomap_read(&b.io, DATA, 1), '0');
    assert_int_equal(dma(&b, select | DMA_SKIP, UINT32_MAX, 0), 0);
    assert_int_equal(iomap_read(&b.io, DATA, 1), 0);
    assert_int_equal(dma(&b, UINT32_C(0xffff) << 16 | DMA_SELECT | DMA_READ, 2, 0x2008), 0);
    assert_memory_equal(mem + 0x2008, "\0\0", 2);

    /* read-only, past the end, at addresses where nothing is */
    assert_int_equal(dma(&b, select | DMA_WRITE, 4, 0x2000), DMA_ERROR);
    assert_int_equal(dma(&b, select | DMA_READ, 4, 0x80000), DMA_ERROR);
    assert_int_equal(dma(&b, select | DMA_READ, UINT32_MAX, 0x3000), DMA_ERROR);
    assert_int_equal(dma(&b, select | DMA_READ, 4, UINT64_MAX - 1), DMA_ERROR);
    iomap_write(&b.io, DMA_HIGH, __builtin_bswap32(0xff), 4); /* the structure itself nowhere */
    iomap_write(&b.io, DMA_LOW, 0, 4);
    board_destroy(&b);
}

struct heard {
    unsigned times;
    char text[8];
};

static void on_written(void *opaque, const void *data, size_t len)
{
    struct heard *h = opaque;
    h->times++;
    memcpy(h->text, data, len);
}

static void test_writable(void **state)
{
    (void)state;
    struct board b;
    struct heard heard = {0};
    board_create(&b);
    fwcfg_add_writable(b.fw, "w", "abcd", 4, on_written, &heard);
    memcpy(ram_host(&b.ram, 0x2000), "WXYZ", 4);
    uint32_t select = FWCFG_FILE_FIRST << 16 | DMA_SELECT;
    assert_int_equal(dma(&b, select | DMA_SKIP, 1, 0), 0);
    assert_int_equal(dma(&b, DMA_WRITE, 2, 0x2000), 0);
    assert_int_equal(heard.times, 1);
    assert_memory_equal(heard.text, "aWXd", 4);
    assert_int_equal(dma(&b, DMA_WRITE, 2, 0x2000), DMA_ERROR); /* one byte is left */
    assert_int_equal(heard.times, 1);

    /* What the guest wrote is state; what the board gave is not. */
    struct state save, load;
    state_init_save(&save);
    device_state_all(&b.devices, &save);
    assert_int_equal(dma(&b, select | DMA_WRITE, 4, 0x2000), 0);
    assert_memory_equal(heard.text, "WXYZ", 4);
    state_init_load(&load, save.buf, save.len);
    device_state_all(&b.devices, &load);
    assert_string_equal(load.err.msg, "");
    assert_memory_equal(heard.text, "aWXd", 4);
    heard.times = 0;
    assert_int_equal(dma(&b, select | DMA_WRITE, 4, 0x80000), DMA_ERROR);
    assert_int_equal(heard.times, 0);
    state_free(&save);
    state_free(&load);
    board_destroy(&b);
}

static void on_selected(void *opaque)
{
    struct fwcfg *fw = opaque;
    static unsigned n;
    char text[4];
    snprintf(text, sizeof text, "%03u", ++n);
    assert_false(fwcfg_update_file(fw, "f", text, 4));
    assert_true(fwcfg_update_file(fw, "f", text, 3));
}

static void test_on_select(void **state)
{
    (void)state;
    struct board b;
    char text[4];
    board_create(&b);
    fwcfg_add_file(b.fw, "f", "000", 3);
    fwcfg_on_select(b.fw, "f", on_selected, b.fw);
    fwcfg_on_select(b.fw, "none", on_selected, b.fw);
    read_item(&b, FWCFG_FILE_FIRST, text, 4);
    assert_memory_equal(text, "001\0", 4);
    dma(&b, FWCFG_FILE_FIRST << 16 | DMA_SELECT | DMA_READ, 3, 0x2000);
    assert_memory_equal(ram_host(&b.ram, 0x2000), "002", 3);
    board_destroy(&b);
}

static void refused(void (*add)(struct fwcfg *fw), const char *why)
{
    struct board b;
    struct error err = {0};
    board_create(&b);
    fwcfg_add_file(b.fw, "f", "", 0);
    assert_true(fwcfg_ok(b.fw, &err));
    add(b.fw);
    assert_false(fwcfg_ok(b.fw, &err));
    assert_non_null(strstr(err.msg, why));
    board_destroy(&b);
}

static void add_twice(struct fwcfg *fw)
{
    fwcfg_add_file(fw, "f", "x", 1);
}
static void add_nameless(struct fwcfg *fw)
{
    fwcfg_add_file(fw, "", "x", 1);
}
static void add_long(struct fwcfg *fw)
{
    fwcfg_add_file(fw, "opt/56789012345678901234567890123456789012345678901234567", "x", 1);
}
static void add_many(struct fwcfg *fw)
{
    char name[16];
    for (int i = 0; i < FWCFG_MAX_FILES; i++) {
        snprintf(name, sizeof name, "n%d", i);
        fwcfg_add_file(fw, name, "x", 1);
    }
}
static void add_item_twice(struct fwcfg *fw)
{
    fwcfg_add_item(fw, FWCFG_SIGNATURE, "x", 1);
}
static void add_item_nowhere(struct fwcfg *fw)
{
    fwcfg_add_item(fw, 0x3fff, "x", 1);
}

static void test_refusals(void **state)
{
    (void)state;
    refused(add_twice, "one of that name");
    refused(add_nameless, "bad name");
    refused(add_long, "bad name");
    refused(add_many, "too many");
    refused(add_item_twice, "item 0");
    refused(add_item_nowhere, "item 3fff");
}

/* What is read of a source: multiples of 3, never outside it. */
enum { SOURCE_BYTES = 100000 };
struct counted {
    unsigned reads, closed;
};

static void source_read(void *opaque, uint64_t at, void *buf, size_t len, struct log *log)
{
    struct counted *c = opaque;
    (void)log;
    assert_true(len && at < SOURCE_BYTES && len <= SOURCE_BYTES - at);
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = (uint8_t)((at + i) * 3);
    c->reads++;
}

static void source_close(void *opaque)
{
    ((struct counted *)opaque)->closed++;
}

static struct fwcfg_source source(struct counted *c)
{
    return (struct fwcfg_source){SOURCE_BYTES, source_read, source_close, c};
}

static void check_source(const uint8_t *got, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        assert_int_equal(got[i], at + i < SOURCE_BYTES ? (uint8_t)((at + i) * 3) : 0);
}

static void test_source(void **state)
{
    (void)state;
    struct board b;
    struct counted c = {0};
    uint8_t buf[64];
    const uint32_t select = (uint32_t)FWCFG_KERNEL_DATA << 16 | DMA_SELECT;
    board_create(&b);
    struct fwcfg_source s = source(&c);
    fwcfg_give_source(b.fw, FWCFG_KERNEL_DATA, &s);
    assert_true(fwcfg_ok(b.fw, &(struct error){0}));
    assert_int_equal(c.reads, 0); /* not before it is asked for */
    read_item(&b, FWCFG_KERNEL_DATA, buf, sizeof buf);
    check_source(buf, 0, sizeof buf);
    assert_int_equal(iomap_read_bulk(&b.io, DATA, 1, buf, sizeof buf), sizeof buf);
    check_source(buf, sizeof buf, sizeof buf);

    /* By DMA: many chunks, on from there to behind the end, and all outside of it. */
    memset(ram_host(&b.ram, 0x1000), 0xee, 0xf000);
    assert_int_equal(dma(&b, select | DMA_READ, 50001, 0x1000), 0);
    check_source(ram_host(&b.ram, 0x1000), 0, 50001);
    assert_int_equal(((uint8_t *)ram_host(&b.ram, 0x1000))[50001], 0xee);
    assert_int_equal(dma(&b, DMA_READ, 55001, 0x1000), 0);
    check_source(ram_host(&b.ram, 0x1000), 50001, 55001);
    assert_int_equal(dma(&b, DMA_READ, 55001, 0x1000), 0);
    check_source(ram_host(&b.ram, 0x1000), SOURCE_BYTES, 55001);
    assert_int_equal(dma(&b, select | DMA_SKIP, SOURCE_BYTES - 3, 0), 0);
    assert_int_equal(dma(&b, DMA_READ, 0, 0x1000), 0);
    assert_int_equal(dma(&b, DMA_READ, UINT32_MAX, 0x1000), DMA_ERROR); /* RAM ends before */
    check_source(ram_host(&b.ram, 0x1000), SOURCE_BYTES - 3, 0xf000);

    /* Nowhere, or to be written. */
    assert_int_equal(dma(&b, select | DMA_READ, 20000, 0x8000000000), DMA_ERROR);
    assert_int_equal(dma(&b, select | DMA_WRITE, 4, 0x1000), DMA_ERROR);

    fwcfg_give_source(b.fw, FWCFG_KERNEL_DATA, &s); /* there is one */
    assert_int_equal(c.closed, 1);
    assert_false(fwcfg_ok(b.fw, &(struct error){0}));
    board_destroy(&b);
    assert_int_equal(c.closed, 2);
}

/* Whatever the guest writes, nothing but its own memory changes. */
static void test_random_writes(void **state)
{
    (void)state;
    struct board b;
    board_create(&b);
    fwcfg_add_file(b.fw, "f", "0123456789", 10);
    fwcfg_add_writable(b.fw, "w", "0123456789", 10, NULL, NULL);
    rng_state = test_seed(3);
    for (int i = 0; i < 100000; i++) {
        uint16_t port = (uint16_t)(0x50e + below(16));
        unsigned size = 1u << below(3);
        if (one_in(8)) {
            const unsigned key = 0x20 + below(3), what = below(32), len = below(20);
            dma(&b, key << 16 | what, len, below(0x14000));
        } else if (one_in(2)) {
            iomap_write(&b.io, port, (uint32_t)rnd(), size);
        } else {
            iomap_read(&b.io, port, size);
        }
    }
    size_t len;
    assert_memory_equal(fwcfg_file(b.fw, "f", &len), "0123456789", 10);
    assert_int_equal(len, 10);
    board_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity),  cmocka_unit_test(test_items),
        cmocka_unit_test(test_directory), cmocka_unit_test(test_dma),
        cmocka_unit_test(test_writable),  cmocka_unit_test(test_on_select),
        cmocka_unit_test(test_refusals),  cmocka_unit_test(test_random_writes),
        cmocka_unit_test(test_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
