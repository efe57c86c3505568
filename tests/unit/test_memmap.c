/*
 * The physical map: the flattened views against a byte-by-byte model of random regions, priorities,
 * views and aliases; access splitting; bus masters; A20; batches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/memmap.h"
#include "rng.h"
#include "seed.h"

#include <stdio.h>
#include <stdlib.h>

static char probe_text[512];

static uint64_t probe_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    size_t n = strlen(probe_text);
    snprintf(probe_text + n, sizeof probe_text - n, "r%x/%u ", (unsigned)offset, size);
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)(0x10 + ((offset + i) & 0xff)) << (8 * i);
    return v;
}

static void probe_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque;
    size_t n = strlen(probe_text);
    snprintf(probe_text + n, sizeof probe_text - n, "w%x/%u=%llx ", (unsigned)offset, size,
             (unsigned long long)value);
}

static void expect(const char *text)
{
    assert_string_equal(probe_text, text);
    probe_text[0] = 0;
}

static const struct io_ops any_ops = {.read = probe_read, .write = probe_write};
static const struct io_ops dword_ops = {
    .read = probe_read, .write = probe_write, .min_size = 4, .max_size = 4};
static const struct io_ops wide_ops = {
    .read = probe_read, .write = probe_write, .min_size = 1, .max_size = 8};

struct setup {
    struct ram ram;
    struct memmap map;
    unsigned changed;
};

static void on_changed(void *opaque)
{
    ((struct setup *)opaque)->changed++;
}

static void setup_create(struct setup *w)
{
    struct error err = {0};
    *w = (struct setup){0};
    assert_true(ram_create(&w->ram, 16 * MiB, &err));
    memmap_create(&w->map, &w->ram, NULL);
    w->map.changed = on_changed;
    w->map.changed_opaque = w;
    probe_text[0] = 0;
}

static void setup_destroy(struct setup *w)
{
    memmap_destroy(&w->map);
    ram_destroy(&w->ram);
}

/* What the topmost region shows at gpa, worked out anew for the one byte. */
static struct mem_region *model(struct mem_region **order, int count, gpa_t gpa, bool write,
                                uint64_t *offset)
{
    struct mem_region *best = NULL;
    for (int i = 0; i < count; i++) { /* in order of mapping: later ones win ties */
        struct mem_region *r = order[i];
        if (!(write ? r->writes : r->reads) || gpa < r->base || gpa - r->base >= r->size)
            continue;
        struct mem_region *leaf = r;
        uint64_t at = gpa - r->base;
        bool inside = true;
        while (leaf->kind == MEM_ALIAS) {
            at += leaf->target_offset;
            leaf = leaf->target;
            inside = inside && at < leaf->size;
        }
        if (!inside)
            continue; /* the alias reaches past its target: what lies below shows */
        if (!best || r->priority >= best->priority) {
            best = r;
            *offset = at;
        }
    }
    while (best && best->kind == MEM_ALIAS)
        best = best->target;
    return best;
}

enum { SPAN = 96, REGIONS = 14, UNMAPPED = 3 };

static void check_against_model(struct memmap *map, struct mem_region **order, int count)
{
    for (int write = 0; write < 2; write++) {
        gpa_t expected_start = 0;
        for (size_t i = 0; i < map->view_len[write]; i++) {
            const struct mem_range *p = &map->view[write][i];
            assert_int_equal(p->start, expected_start); /* gapless */
            assert_true(p->end > p->start);
            expected_start = p->end;
            if (i) /* equal neighbours were joined */
                assert_false(p->region == p[-1].region &&
                             (!p->region || p->offset == p[-1].offset + p[-1].end - p[-1].start));
        }
        assert_int_equal(expected_start, UINT64_C(1) << 52);
        for (gpa_t gpa = 0; gpa < SPAN + 4; gpa++) {
            uint64_t offset = 0;
            struct mem_region *want = model(order, count, gpa, write, &offset);
            const struct mem_range *got = memmap_find(map, gpa, write);
            assert_true(gpa >= got->start && gpa < got->end);
            assert_ptr_equal(got->region, want);
            if (want)
                assert_int_equal(got->offset + (gpa - got->start), offset);
            ram_t ram = want && (want->kind == MEM_RAM || (want->kind == MEM_ROM && !write))
                            ? want->ram + offset
                            : RAM_NONE;
            assert_true(memmap_ram(map, gpa, write) == ram);
        }
    }
}

static void test_flatten_random(void **state)
{
    (void)state;
    struct setup w;
    struct mem_region r[REGIONS];
    struct mem_region *order[REGIONS];
    int count = 0;
    setup_create(&w);
    rng_state = test_seed(7);
    for (int i = 0; i < REGIONS; i++) {
        uint64_t size = 1 + below(40);
        if (i < UNMAPPED || i % 3 == 0)
            mem_region_init_ram(&r[i], "ram", (ram_t)i * 4096, size);
        else if (i % 4 == 1)
            mem_region_init_rom(&r[i], "rom", (ram_t)i * 4096, size);
        else if (i % 4 == 2)
            mem_region_init_io(&r[i], "io", &any_ops, NULL, size);
        else { /* of any earlier region, aliases and regions that are never mapped included */
            const unsigned of = below((unsigned)i), offset = below(20);
            mem_region_init_alias(&r[i], "alias", &r[of], offset, size);
        }
    }
    for (int step = 0; step < 3000; step++) {
        int i = UNMAPPED + (int)below(REGIONS - UNMAPPED);
        if (one_in(4)) {
            const bool reads = one_in(2), writes = one_in(2);
            memmap_set_views(&w.map, &r[i], reads, writes);
        } else if (r[i].mapped) {
            memmap_del(&w.map, &r[i]);
            int k = 0;
            while (order[k] != &r[i])
                k++;
            memmove(&order[k], &order[k + 1], (size_t)(--count - k) * sizeof order[0]);
        } else {
            const unsigned at = below(SPAN);
            memmap_add(&w.map, &r[i], at, (int)below(4));
            order[count++] = &r[i];
        }
        check_against_model(&w.map, order, count);
    }
    setup_destroy(&w);
}

static void test_rom_and_pam(void **state)
{
    (void)state;
    struct setup w;
    struct mem_region ram, rom, window;
    setup_create(&w);
    ram_t ram_at = ram_alloc(&w.ram, MiB), rom_at = ram_alloc(&w.ram, 64 * KiB);
    mem_region_init_ram(&ram, "ram", ram_at, MiB);
    mem_region_init_rom(&rom, "rom", rom_at, 64 * KiB);
    mem_region_init_alias(&window, "pam", &rom, 0, 64 * KiB);
    memset(ram_host(&w.ram, rom_at), 0xee, 64 * KiB);
    memmap_add(&w.map, &ram, 0, 0);
    memmap_add(&w.map, &window, 0xf0000, 2);

    assert_int_equal(memmap_read(&w.map, 0xf0000, 4), 0xeeeeeeee);
    memmap_write(&w.map, 0xf0000, 0x12345678, 4); /* to ROM: dropped */
    assert_int_equal(memmap_read(&w.map, 0xf0000, 4), 0xeeeeeeee);
    assert_true(memmap_ram(&w.map, 0xf0000, false) == rom_at);
    assert_true(memmap_ram(&w.map, 0xf0000, true) == RAM_NONE);

    memmap_set_views(&w.map, &window, true, false); /* reads ROM, writes RAM: shadowing */
    memmap_write(&w.map, 0xf0000, 0x12345678, 4);
    assert_int_equal(memmap_read(&w.map, 0xf0000, 4), 0xeeeeeeee);
    assert_true(memmap_ram(&w.map, 0xf0000, true) == ram_at + 0xf0000);
    memmap_set_views(&w.map, &window, false, false);
    assert_int_equal(memmap_read(&w.map, 0xf0000, 4), 0x12345678);
    assert_int_equal(w.map.unclaimed, 0);
    setup_destroy(&w);
}

static void test_access_sizes(void **state)
{
    (void)state;
    struct setup w;
    struct mem_region any, dword, wide, ram;
    setup_create(&w);
    mem_region_init_io(&any, "any", &any_ops, NULL, 0x10);
    mem_region_init_io(&dword, "dword", &dword_ops, NULL, 0x10);
    mem_region_init_io(&wide, "wide", &wide_ops, NULL, 0x10);
    mem_region_init_ram(&ram, "ram", ram_alloc(&w.ram, PAGE_SIZE), 0x100);
    memmap_add(&w.map, &any, 0x1000, 1);
    memmap_add(&w.map, &dword, 0x2000, 1);
    memmap_add(&w.map, &wide, 0x3000, 1);
    memmap_add(&w.map, &ram, 0x1010, 1);

    assert_int_equal(memmap_read(&w.map, 0x1008, 8), 0x1f1e1d1c1b1a1918);
    expect("r8/4 rc/4 ");
    assert_int_equal(memmap_read(&w.map, 0x3008, 8), 0x1f1e1d1c1b1a1918);
    expect("r8/8 ");
    assert_int_equal(memmap_read(&w.map, 0x1002, 4), 0x15141312);
    expect("r2/2 r4/2 "); /* cut at natural alignment */
    assert_int_equal(memmap_read(&w.map, 0x1001, 4), 0x14131211);
    expect("r1/1 r2/2 r4/1 ");
    assert_int_equal(memmap_read(&w.map, 0x2006, 2), 0x1716);
    expect("r4/4 ");
    assert_int_equal(memmap_read(&w.map, 0x2008, 8), 0x1f1e1d1c1b1a1918);
    expect("r8/4 rc/4 ");
    memmap_write(&w.map, 0x2001, 0xffffab, 1);
    expect("w0/4=ab00 ");
    memmap_write(&w.map, 0x1000, 0x8877665544332211, 8);
    expect("w0/4=44332211 w4/4=88776655 ");

    memmap_write(&w.map, 0x100e, 0x44332211, 4); /* device, then RAM */
    expect("we/2=2211 ");
    assert_int_equal(memmap_read(&w.map, 0x1010, 2), 0x4433);
    assert_int_equal(memmap_read(&w.map, 0x100e, 4), 0x44331f1e);
    expect("re/2 ");
    assert_int_equal(memmap_read(&w.map, 0x110e, 4), 0xffff0000); /* RAM, then nobody */
    assert_int_equal(w.map.unclaimed, 1);
    memmap_write(&w.map, 0x110e, 0xabcdabcd, 4);
    assert_int_equal(w.map.unclaimed, 2);
    assert_int_equal(memmap_read(&w.map, 0x110e, 2), 0xabcd);

    assert_true(memmap_read(&w.map, 0x100000, 8) == UINT64_MAX);
    assert_int_equal(memmap_read(&w.map, UINT64_C(1) << 52, 4), 0xffffffff);
    assert_int_equal(memmap_read(&w.map, UINT64_MAX - 1, 4), 0xffffffff);
    memmap_write(&w.map, UINT64_MAX - 1, 0, 4);
    uint8_t buf[4] = {0};
    assert_false(memmap_dma_read(&w.map, UINT64_MAX - 1, buf, 4));
    assert_int_equal(ld32(buf), 0xffffffff);
    assert_false(memmap_dma_write(&w.map, UINT64_MAX - 1, buf, 4));
    setup_destroy(&w);
}

static void on_traced(void *opaque, ram_t at, uint64_t len)
{
    (void)at;
    *(uint64_t *)opaque += len;
}

static void test_dma(void **state)
{
    (void)state;
    struct setup w;
    struct mem_region ram, rom, io;
    uint8_t buf[0x4000], back[0x4000];
    uint64_t traced = 0;
    setup_create(&w);
    ram_t ram_at = ram_alloc(&w.ram, 0x4000);
    ram_t rom_at = ram_alloc(&w.ram, 0x1000);
    mem_region_init_ram(&ram, "ram", ram_at, 0x4000);
    mem_region_init_rom(&rom, "rom", rom_at, 0x1000);
    mem_region_init_io(&io, "io", &any_ops, NULL, 0x10);
    memmap_add(&w.map, &ram, 0x1000, 0);
    memmap_add(&w.map, &rom, 0x5000, 0);
    memmap_add(&w.map, &io, 0x6000, 0);
    w.ram.traced_write = on_traced;
    w.ram.opaque = &traced;
    ram_set_flags(&w.ram, ram_at + 0x1000, RAM_CODE);

    for (size_t i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 7 + i / 256);
    assert_true(memmap_dma_write(&w.map, 0x1004, buf, 0x3ffc));
    assert_int_equal(traced, 0x1000);
    assert_true(memmap_dma_read(&w.map, 0x1004, back, 0x3ffc));
    assert_memory_equal(buf, back, 0x3ffc);

    /* RAM, ROM (kept), device, nobody */
    assert_false(memmap_dma_write(&w.map, 0x4ffe, buf, 0x1017));
    assert_int_equal(w.map.unclaimed, 1);
    assert_int_equal(ram_host(&w.ram, rom_at)[0], 0);
    assert_int_equal(ram_host(&w.ram, ram_at)[0x3fff], buf[1]);
    char want[128];
    snprintf(want, sizeof want, "w0/4=%x w4/4=%x w8/4=%x wc/4=%x ", ld32(buf + 0x1002),
             ld32(buf + 0x1006), ld32(buf + 0x100a), ld32(buf + 0x100e));
    expect(want);

    assert_false(memmap_dma_read(&w.map, 0x5ffe, back, 0x17));
    expect("r0/4 r4/4 r8/4 rc/4 ");
    assert_int_equal(back[0], 0);
    assert_int_equal(back[2], 0x10);
    assert_int_equal(back[0x11], 0x1f);
    assert_int_equal(back[0x12], 0xff);
    assert_int_equal(back[0x16], 0xff);

    assert_true(memmap_dma_read(&w.map, 0x6001, back, 4));
    expect("r1/1 r2/2 r4/1 ");
    assert_true(memmap_dma_read(&w.map, 0x6003, back, 0));
    expect("");
    setup_destroy(&w);
}

static void test_changes_are_told_once(void **state)
{
    (void)state;
    struct setup w;
    struct mem_region a, b;
    setup_create(&w);
    mem_region_init_ram(&a, "a", 0, PAGE_SIZE);
    mem_region_init_ram(&b, "b", PAGE_SIZE, PAGE_SIZE);
    memmap_add(&w.map, &a, 0, 0);
    assert_int_equal(w.changed, 1);
    memmap_begin(&w.map);
    memmap_begin(&w.map);
    memmap_add(&w.map, &b, 0, 1);
    memmap_del(&w.map, &a);
    memmap_end(&w.map);
    assert_int_equal(w.changed, 1);
    memmap_end(&w.map);
    assert_int_equal(w.changed, 2);
    assert_ptr_equal(memmap_find(&w.map, 0, false)->region, &b);
    memmap_begin(&w.map);
    memmap_end(&w.map); /* nothing happened */
    memmap_del(&w.map, &a);
    memmap_set_views(&w.map, &b, true, true);
    memmap_set_views(&w.map, &a, false, false); /* not mapped */
    assert_int_equal(w.changed, 2);
    memmap_set_a20(&w.map, true);
    assert_int_equal(w.changed, 2);
    memmap_set_a20(&w.map, false);
    assert_int_equal(w.changed, 3);
    assert_true(w.map.a20_mask == ~UINT64_C(0x100000));
    memmap_set_a20(&w.map, true);
    assert_true(w.map.a20_mask == UINT64_MAX);
    setup_destroy(&w);
}

static void gather(void *opaque, const char *line)
{
    strcat(opaque, line);
    strcat(opaque, "\n");
}

static void test_print(void **state)
{
    (void)state;
    struct setup w;
    struct mem_region ram, rom, io;
    char text[1024] = "";
    setup_create(&w);
    mem_region_init_ram(&ram, "pc.ram", 0, MiB);
    mem_region_init_rom(&rom, "pc.bios", 2 * MiB, 64 * KiB);
    mem_region_init_io(&io, "lapic", &any_ops, NULL, PAGE_SIZE);
    memmap_add(&w.map, &ram, 0, 0);
    memmap_add(&w.map, &rom, 0xf0000, 1);
    memmap_add(&w.map, &io, 0xfee00000, 3);
    memmap_set_views(&w.map, &rom, true, false);
    memmap_print(&w.map, gather, text);
    assert_string_equal(text, "0000000000000000-00000000000effff rw ram pc.ram\n"
                              "00000000000f0000-00000000000fffff r- rom pc.bios\n"
                              "00000000000f0000-00000000000fffff -w ram pc.ram @f0000\n"
                              "00000000fee00000-00000000fee00fff rw i/o lapic\n");
    setup_destroy(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flatten_random),        cmocka_unit_test(test_rom_and_pam),
        cmocka_unit_test(test_access_sizes),          cmocka_unit_test(test_dma),
        cmocka_unit_test(test_changes_are_told_once), cmocka_unit_test(test_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
