/* The port space: claims on top of one another, splitting, widening, bulk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/iomap.h"
#include "rng.h"
#include "seed.h"

#include <stdio.h>
#include <stdlib.h>

/* A device that notes what it is asked. */
struct probe {
    char text[256];
    struct io_region region;
};

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    struct probe *p = opaque;
    size_t n = strlen(p->text);
    snprintf(p->text + n, sizeof p->text - n, "r%x/%u ", (unsigned)offset, size);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(0x10 + offset + i) << (8 * i);
    return v;
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct probe *p = opaque;
    size_t n = strlen(p->text);
    snprintf(p->text + n, sizeof p->text - n, "w%x/%u=%llx ", (unsigned)offset, size,
             (unsigned long long)value);
}

static unsigned probe_read_bulk(void *opaque, uint64_t offset, unsigned size, void *buf,
                                unsigned count)
{
    (void)opaque;
    (void)offset;
    unsigned n = count < 3 ? count : 3;
    memset(buf, 0xab, (size_t)n * size);
    return n;
}

static const struct io_ops any_ops = {.read = probe_read, .write = probe_write};
static const struct io_ops byte_ops = {
    .read = probe_read, .write = probe_write, .min_size = 1, .max_size = 1};
static const struct io_ops dword_ops = {
    .read = probe_read, .write = probe_write, .min_size = 4, .max_size = 4};
static const struct io_ops bulk_ops = {.read = probe_read,
                                       .write = probe_write,
                                       .read_bulk = probe_read_bulk,
                                       .min_size = 2,
                                       .max_size = 4};

static void probe_init(struct probe *p, const struct io_ops *ops)
{
    *p = (struct probe){.region = {.name = "probe", .ops = ops, .opaque = p}};
}

static void expect(struct probe *p, const char *text)
{
    assert_string_equal(p->text, text);
    p->text[0] = 0;
}

static void test_sizes(void **state)
{
    (void)state;
    struct iomap map;
    struct probe any, byte, dword;
    assert_true(iomap_create(&map, NULL));
    probe_init(&any, &any_ops);
    probe_init(&byte, &byte_ops);
    probe_init(&dword, &dword_ops);
    iomap_add(&map, &any.region, 0x100, 8);
    iomap_add(&map, &byte.region, 0x108, 4);
    iomap_add(&map, &dword.region, 0x200, 8);

    assert_int_equal(iomap_read(&map, 0x102, 4), 0x15141312);
    expect(&any, "r2/4 ");
    assert_int_equal(iomap_read(&map, 0x103, 2), 0x1413); /* odd, but whole: ports need it */
    expect(&any, "r3/2 ");
    assert_int_equal(iomap_read(&map, 0x108, 4), 0x13121110);
    expect(&byte, "r0/1 r1/1 r2/1 r3/1 ");
    iomap_write(&map, 0x109, 0xbeef, 2);
    expect(&byte, "w1/1=ef w2/1=be ");
    assert_int_equal(iomap_read(&map, 0x106, 4), 0x11101716); /* over the seam */
    expect(&any, "r6/2 ");
    expect(&byte, "r0/1 r1/1 ");

    assert_int_equal(iomap_read(&map, 0x206, 1), 0x16);
    expect(&dword, "r4/4 ");
    iomap_write(&map, 0x202, 0x12345, 2);
    expect(&dword, "w0/4=23450000 ");
    iomap_destroy(&map);
}

static void test_unclaimed(void **state)
{
    (void)state;
    struct iomap map;
    struct probe p;
    assert_true(iomap_create(&map, NULL));
    probe_init(&p, &any_ops);
    assert_int_equal(iomap_read(&map, 0x80, 1), 0xff);
    assert_int_equal(iomap_read(&map, 0x80, 2), 0xffff);
    assert_int_equal(iomap_read(&map, 0x80, 4), 0xffffffff);
    iomap_write(&map, 0x80, 1, 4);
    assert_int_equal(map.unclaimed, 4);

    iomap_add(&map, &p.region, 0xfffe, 2); /* the last two; nothing lies beyond */
    assert_int_equal(iomap_read(&map, 0xfffe, 4), 0xffff1110);
    expect(&p, "r0/2 ");
    iomap_write(&map, 0xffff, 0xaabb, 2);
    expect(&p, "w1/1=bb ");
    iomap_destroy(&map);
}

static void test_dword_under_a_later_byte(void **state)
{
    (void)state;
    struct iomap map;
    struct probe config, reset;
    assert_true(iomap_create(&map, NULL));
    probe_init(&config, &any_ops);
    probe_init(&reset, &byte_ops);
    iomap_add(&map, &config.region, 0xcf8, 4);
    iomap_add(&map, &reset.region, 0xcf9, 1);
    iomap_write(&map, 0xcf8, 0x80000000, 4);
    expect(&config, "w0/4=80000000 ");
    expect(&reset, "");
    iomap_write(&map, 0xcf9, 6, 1);
    expect(&config, "");
    expect(&reset, "w0/1=6 ");
    iomap_destroy(&map);
}

static void test_bulk(void **state)
{
    (void)state;
    struct iomap map;
    struct probe p, plain;
    uint8_t buf[64] = {0};
    assert_true(iomap_create(&map, NULL));
    probe_init(&p, &bulk_ops);
    probe_init(&plain, &any_ops);
    iomap_add(&map, &p.region, 0x1f0, 4);
    iomap_add(&map, &plain.region, 0x300, 4);
    assert_int_equal(iomap_read_bulk(&map, 0x1f0, 2, buf, 8), 3);
    assert_int_equal(buf[5], 0xab);
    assert_int_equal(buf[6], 0);
    assert_int_equal(iomap_read_bulk(&map, 0x1f0, 2, buf, 0), 0);
    assert_int_equal(iomap_read_bulk(&map, 0x1f0, 1, buf, 8), 0); /* below min_size */
    assert_int_equal(iomap_read_bulk(&map, 0x1f3, 2, buf, 8), 0); /* not whole */
    assert_int_equal(iomap_read_bulk(&map, 0x300, 2, buf, 8), 0); /* no bulk path */
    assert_int_equal(iomap_read_bulk(&map, 0x400, 2, buf, 8), 0); /* nobody */
    assert_int_equal(iomap_write_bulk(&map, 0x1f0, 2, buf, 8), 0);
    iomap_destroy(&map);
}

/* Random claims and releases against a list kept in order of claiming. */
static void test_stacking_random(void **state)
{
    (void)state;
    enum { REGIONS = 12, SPAN = 64 };
    struct iomap map;
    struct io_region r[REGIONS] = {0};
    int order[REGIONS], count = 0;
    assert_true(iomap_create(&map, NULL));
    rng_state = test_seed(1);
    for (int i = 0; i < REGIONS; i++)
        r[i] = (struct io_region){.name = "r", .ops = &any_ops};
    for (int step = 0; step < 4000; step++) {
        int i = (int)below(REGIONS);
        if (r[i].mapped) {
            iomap_del(&map, &r[i]);
            int k = 0;
            while (order[k] != i)
                k++;
            memmove(&order[k], &order[k + 1], (size_t)(--count - k) * sizeof order[0]);
        } else {
            unsigned base = below(SPAN);
            const unsigned size = 1 + below(SPAN - base);
            iomap_add(&map, &r[i], (uint16_t)base, size);
            order[count++] = i;
        }
        for (unsigned p = 0; p <= SPAN; p++) {
            struct io_region *want = NULL;
            for (int k = 0; k < count; k++)
                if (p >= r[order[k]].base && p < r[order[k]].base + r[order[k]].size)
                    want = &r[order[k]];
            assert_ptr_equal(map.port[p], want);
        }
    }
    iomap_del(&map, &(struct io_region){.name = "never mapped"});
    iomap_destroy(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_unclaimed),
        cmocka_unit_test(test_dword_under_a_later_byte),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_stacking_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
