/*
 * The page walk in every mode: what each bit does, one by one with expected values, and a million
 * random walks against a model that is written the other way round (reserved bits as the tables of
 * SDM 3A §4 list them, rights as the sentences of §4.6.1 say them).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/walk.h"
#include "rng.h"
#include "seed.h"

#include <stdlib.h>

enum {
    P = 1 << 0,
    W = 1 << 1,
    U = 1 << 2,
    A = 1 << 5,
    D = 1 << 6,
    PS = 1 << 7,
    G = 1 << 8,
};
#define XD     (UINT64_C(1) << 63)
#define KEY(n) ((uint64_t)(n) << 59)

/* 64 KiB of tables at 0; the mapped pages need not exist. */
struct setup {
    struct ram ram;
    struct memmap map;
    struct mem_region tables;
    struct walk_params p;
    struct walk_result r;
};

static void setup_create(struct setup *w, enum paging_mode mode)
{
    struct error err = {0};
    *w = (struct setup){0};
    assert_true(ram_create(&w->ram, MiB, &err));
    memmap_create(&w->map, &w->ram, NULL);
    mem_region_init_ram(&w->tables, "ram", ram_alloc(&w->ram, 64 * KiB), 64 * KiB);
    memmap_add(&w->map, &w->tables, 0, 0);
    w->p = (struct walk_params){
        .mode = mode, .root = 0x1000, .phys_bits = 40, .nxe = true, .wp = true, .pse = true};
    w->p.gib_pages = true;
}

static void setup_destroy(struct setup *w)
{
    memmap_destroy(&w->map);
    ram_destroy(&w->ram);
}

static void put32(struct setup *w, gpa_t at, uint32_t v)
{
    st32(ram_host(&w->ram, at), v);
}

static void put64(struct setup *w, gpa_t at, uint64_t v)
{
    st64(ram_host(&w->ram, at), v);
}

static uint32_t get32(struct setup *w, gpa_t at)
{
    return ld32(ram_host(&w->ram, at));
}

static uint64_t get64(struct setup *w, gpa_t at)
{
    return ld64(ram_host(&w->ram, at));
}

static bool go(struct setup *w, gla_t lin, enum walk_access access, bool user)
{
    return walk(&w->map, &w->p, lin, access, user, false, true, &w->r);
}

#define expect_page(w, lin, access, user, where)  \
    do {                                          \
        assert_true(go(w, lin, access, user));    \
        assert_int_equal((w)->r.reason, WALK_OK); \
        assert_int_equal((w)->r.gpa, where);      \
    } while (0)

#define expect_fault(w, lin, access, user, why, code) \
    do {                                              \
        assert_false(go(w, lin, access, user));       \
        assert_int_equal((w)->r.reason, why);         \
        assert_int_equal((w)->r.error_code, code);    \
    } while (0)

static void test_none(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_NONE);
    expect_page(&w, 0x123456789, WALK_WRITE, true, 0x23456789);
    assert_true(w.r.user && w.r.writable && w.r.executable && w.r.dirty);
    assert_int_equal(w.r.page_bytes, PAGE_SIZE);
    memmap_set_a20(&w.map, false);
    expect_page(&w, 0x123456789, WALK_READ, false, 0x23456789 & ~0x100000);
    setup_destroy(&w);
}

static void test_32bit(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_32BIT);
    gla_t lin = 0xc0401234; /* PDE 301h, PTE 1 */
    put32(&w, 0x1000 + 4 * 0x301, 0x2000 | P | W | U);
    put32(&w, 0x2004, 0xabcde000 | P | W | G);

    expect_fault(&w, lin + 0x1000, WALK_READ, false, WALK_NOT_PRESENT, 0);
    assert_int_equal(w.r.level, 1);
    assert_int_equal(w.r.entry_gpa, 0x2008);
    expect_fault(&w, 0, WALK_WRITE, true, WALK_NOT_PRESENT, PF_W | PF_U);
    assert_int_equal(w.r.level, 2);
    assert_int_equal(w.r.entry_gpa, 0x1000);

    expect_page(&w, lin, WALK_READ, false, 0xabcde234);
    assert_true(!w.r.user && w.r.writable && w.r.executable && w.r.global && !w.r.dirty);
    assert_int_equal(get32(&w, 0x1000 + 4 * 0x301), 0x2000 | P | W | U | A);
    assert_int_equal(get32(&w, 0x2004), 0xabcde000 | P | W | G | A);
    expect_page(&w, lin, WALK_WRITE, false, 0xabcde234);
    assert_true(w.r.dirty);
    assert_int_equal(get32(&w, 0x2004), 0xabcde000 | P | W | G | A | D);
    assert_int_equal(get32(&w, 0x1000 + 4 * 0x301) & D, 0); /* no D in upper entries */
    expect_page(&w, lin | UINT64_C(0xffffffff00000000), WALK_EXEC, false, 0xabcde234);

    expect_fault(&w, lin, WALK_READ, true, WALK_SUPERVISOR_PAGE, PF_P | PF_U);
    /* No NX in this mode: I/D is told with SMEP only. */
    expect_fault(&w, lin, WALK_EXEC, true, WALK_SUPERVISOR_PAGE, PF_P | PF_U);
    w.p.smep = true;
    expect_fault(&w, lin, WALK_EXEC, true, WALK_SUPERVISOR_PAGE, PF_P | PF_U | PF_I);
    put32(&w, 0x2004, 0xabcde000 | P | U);
    expect_fault(&w, lin, WALK_EXEC, false, WALK_SMEP, PF_P | PF_I);
    expect_page(&w, lin, WALK_EXEC, true, 0xabcde234);
    setup_destroy(&w);
}

static void test_32bit_write_protect(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_32BIT);
    put32(&w, 0x1000, 0x2000 | P | U | W);
    put32(&w, 0x2000, 0x5000 | P | U);
    put32(&w, 0x1004, 0x2000 | P | U); /* read-only above, writable below */
    put32(&w, 0x2004, 0x6000 | P | U | W);
    for (gla_t lin = 0; lin <= 0x401000; lin += 0x401000) {
        w.p.wp = true;
        expect_fault(&w, lin, WALK_WRITE, true, WALK_READ_ONLY, PF_P | PF_W | PF_U);
        expect_fault(&w, lin, WALK_WRITE, false, WALK_READ_ONLY, PF_P | PF_W);
        assert_int_equal(w.r.level, 1);
        w.p.wp = false;
        expect_fault(&w, lin, WALK_WRITE, true, WALK_READ_ONLY, PF_P | PF_W | PF_U);
        assert_int_equal(get32(&w, w.r.entry_gpa) & (A | D), 0); /* denied: not marked */
        expect_page(&w, lin, WALK_WRITE, false, lin ? 0x6000 : 0x5000);
        assert_false(w.r.writable);
    }
    setup_destroy(&w);
}

static void test_pse(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_32BIT);
    put32(&w, 0x1000, 0x00800000 | P | W | PS | G);
    expect_page(&w, 0x3fffff, WALK_WRITE, false, 0xbfffff);
    assert_int_equal(w.r.page_bytes, 4 * MiB);
    assert_int_equal(w.r.level, 2);
    assert_true(w.r.global && w.r.dirty);
    assert_int_equal(get32(&w, 0x1000), 0x00800000 | P | W | PS | G | A | D);

    /* PSE-36 and beyond: bits 20:13 are address bits 39:32, bit 12 is PAT */
    put32(&w, 0x1000, 0xffc00000 | 0xff << 13 | 1 << 12 | P | PS);
    expect_page(&w, 0x123, WALK_READ, false, 0xffffc00123);
    w.p.phys_bits = 36;
    expect_fault(&w, 0x123, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
    put32(&w, 0x1000, 0xffc00000 | 0x0f << 13 | P | PS);
    expect_page(&w, 0x123, WALK_READ, false, 0xfffc00123);
    w.p.phys_bits = 32;
    expect_fault(&w, 0x123, WALK_READ, true, WALK_RESERVED, PF_P | PF_RSVD | PF_U);
    w.p.phys_bits = 52;
    put32(&w, 0x1000, 1 << 21 | P | PS | W);
    expect_fault(&w, 0, WALK_WRITE, false, WALK_RESERVED, PF_P | PF_RSVD | PF_W);
    assert_int_equal(w.r.level, 2);
    assert_int_equal(get32(&w, 0x1000) & A, 0);

    w.p.pse = false; /* PS is ignored */
    put32(&w, 0x1000, 0x2000 | P | PS | W);
    put32(&w, 0x2000, 0x7000 | P | PS /* PAT here */);
    expect_page(&w, 0x123, WALK_READ, false, 0x7123);
    setup_destroy(&w);
}

static void test_pae(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_PAE);
    gla_t lin = 0x80201234; /* PDPTE 2, PDE 1, PTE 1 */
    expect_fault(&w, lin, WALK_READ, false, WALK_NOT_PRESENT, 0);
    assert_int_equal(w.r.level, 3);
    w.p.pdpte[2] = 0x3000 | P;
    expect_fault(&w, lin, WALK_EXEC, true, WALK_NOT_PRESENT, PF_U | PF_I);
    assert_int_equal(w.r.level, 2);
    assert_int_equal(w.r.entry_gpa, 0x3008);
    put64(&w, 0x3008, 0x4000 | P | W | U);
    put64(&w, 0x4008, UINT64_C(0x1234567000) | P | W | U);
    expect_page(&w, lin, WALK_WRITE, true, 0x1234567234);
    assert_int_equal(get64(&w, 0x4008), UINT64_C(0x1234567000) | P | W | U | A | D);

    put64(&w, 0x3008, 0x4000 | P | W | U | XD); /* XD is the OR of all levels */
    expect_fault(&w, lin, WALK_EXEC, true, WALK_NX, PF_P | PF_U | PF_I);
    expect_page(&w, lin, WALK_READ, true, 0x1234567234);
    assert_false(w.r.executable);
    w.p.nxe = false; /* now the bit is reserved, and fetches are not told */
    expect_fault(&w, lin, WALK_EXEC, true, WALK_RESERVED, PF_P | PF_U | PF_RSVD);
    w.p.smep = true;
    expect_fault(&w, lin, WALK_EXEC, true, WALK_RESERVED, PF_P | PF_U | PF_RSVD | PF_I);

    /* 62:52 are reserved here, unlike in 4-level paging */
    for (unsigned bit = 40; bit < 63; bit++) {
        put64(&w, 0x3008, 0x4000 | P | W | U | UINT64_C(1) << bit);
        expect_fault(&w, lin, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
        assert_int_equal(w.r.level, 2);
    }
    put64(&w, 0x3008, 0x600000 | P | W | U | PS);
    expect_page(&w, lin, WALK_READ, false, 0x601234);
    assert_int_equal(w.r.page_bytes, 2 * MiB);
    for (unsigned bit = 13; bit < 21; bit++) {
        put64(&w, 0x3008, 0x600000 | P | PS | 1u << bit);
        expect_fault(&w, lin, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
    }
    setup_destroy(&w);
}

/* A chain of tables at 1000h, 2000h ... for lin, all rights; returns the address of the leaf. */
static gpa_t chain(struct setup *w, gla_t lin, unsigned leaf_level, uint64_t leaf)
{
    gpa_t table = 0x1000;
    for (unsigned level = w->p.mode == PAGING_5LEVEL ? 5 : 4;; level--, table += 0x1000) {
        gpa_t at = table + 8 * (lin >> (12 + 9 * (level - 1)) & 511);
        if (level == leaf_level) {
            put64(w, at, leaf);
            return at;
        }
        put64(w, at, (table + 0x1000) | P | W | U);
    }
}

static void test_long_modes(void **state)
{
    (void)state;
    for (enum paging_mode mode = PAGING_4LEVEL; mode <= PAGING_5LEVEL; mode++) {
        struct setup w;
        setup_create(&w, mode);
        gla_t lin = 0xffff876543210fed;
        unsigned top = mode == PAGING_5LEVEL ? 5 : 4;

        chain(&w, lin, 1, UINT64_C(0xfedcba9000) | P | W | U | G | PS /* PAT */ | KEY(5));
        expect_page(&w, lin, WALK_WRITE, true, 0xfedcba9fed);
        assert_true(w.r.user && w.r.writable && w.r.executable && w.r.global && w.r.dirty);
        assert_int_equal(w.r.pkey, 5);
        assert_int_equal(w.r.level, 1);
        for (unsigned level = 1; level <= top; level++) /* A everywhere, D in the leaf */
            assert_int_equal(
                get64(&w, 0x1000 * (top - level + 1) + 8 * (lin >> (12 + 9 * (level - 1)) & 511)) &
                    (A | D),
                level == 1 ? A | D : A);

        chain(&w, lin, 2, UINT64_C(0xfedca00000) | 1 << 12 /* PAT */ | P | W | PS);
        expect_page(&w, lin, WALK_READ, false, 0xfedca10fed);
        assert_int_equal(w.r.page_bytes, 2 * MiB);
        assert_true(!w.r.user && !w.r.dirty && !w.r.global);

        gpa_t leaf = chain(&w, lin, 3, UINT64_C(0xc0000000) | 1 << 12 | P | W | PS | U);
        expect_page(&w, lin, WALK_READ, false, 0xc3210fed);
        assert_int_equal(w.r.page_bytes, GiB);
        w.p.gib_pages = false;
        expect_fault(&w, lin, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
        assert_int_equal(w.r.entry_gpa, leaf);
        w.p.gib_pages = true;

        /* reserved: above MAXPHYADDR at each level, low bits of large pages, PS at the top */
        for (unsigned level = 1; level <= top; level++) {
            for (unsigned bit = 12; bit < 64; bit++) {
                bool large = level == 2 || level == 3;
                bool reserved = (bit >= 40 && bit < 52) ||
                                (large && bit >= 13 && bit < (level == 2 ? 21u : 30u));
                leaf = chain(&w, lin, level, P | W | U | (large ? PS : 0) | UINT64_C(1) << bit);
                if (level > 3)
                    put64(&w, leaf, get64(&w, leaf) | PS);
                bool ok = go(&w, lin, WALK_READ, false);
                assert_int_equal(ok, !reserved && level <= 3);
                if (ok)
                    continue;
                assert_int_equal(w.r.reason, WALK_RESERVED);
                assert_int_equal(w.r.error_code, PF_P | PF_RSVD);
                assert_int_equal(w.r.level, level);
            }
        }
        leaf = chain(&w, lin, 1, P | W | U | XD | (UINT64_C(0x7ff) << 52) /* ignored */);
        expect_page(&w, lin, WALK_READ, false, 0xfed);
        expect_fault(&w, lin, WALK_EXEC, false, WALK_NX, PF_P | PF_I);
        w.p.nxe = false;
        expect_fault(&w, lin, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
        w.p.phys_bits = 52;
        put64(&w, leaf, P | W | U | UINT64_C(0x000ffffffffff000));
        expect_page(&w, lin, WALK_READ, false, 0x000fffffffffffed);
        setup_destroy(&w);
    }
}

static void test_smap_smep(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_4LEVEL);
    gla_t lin = 0x7000;
    gpa_t leaf = chain(&w, lin, 1, 0x9000 | P | W | U);
    w.p.smap = w.p.smep = true;
    expect_fault(&w, lin, WALK_READ, false, WALK_SMAP, PF_P);
    expect_fault(&w, lin, WALK_WRITE, false, WALK_SMAP, PF_P | PF_W);
    expect_fault(&w, lin, WALK_EXEC, false, WALK_SMEP, PF_P | PF_I);
    assert_int_equal(get64(&w, leaf) & (A | D), 0);
    assert_true(walk(&w.map, &w.p, lin, WALK_WRITE, false, true, true, &w.r)); /* AC */
    assert_false(walk(&w.map, &w.p, lin, WALK_EXEC, false, true, true, &w.r)); /* not SMEP's */
    expect_page(&w, lin, WALK_WRITE, true, 0x9000);
    w.p.wp = false; /* does not lift SMAP */
    expect_fault(&w, lin, WALK_WRITE, false, WALK_SMAP, PF_P | PF_W);
    put64(&w, leaf, 0x9000 | P | W); /* a supervisor page is none of theirs */
    expect_page(&w, lin, WALK_WRITE, false, 0x9000);
    expect_page(&w, lin, WALK_EXEC, false, 0x9000);
    setup_destroy(&w);
}

static void test_protection_keys(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_4LEVEL);
    gla_t lin = 0x7000;
    gpa_t leaf = chain(&w, lin, 1, 0x9000 | P | W | U | KEY(15));
    w.p.pkru = UINT32_C(1) << 30;                  /* key 15: access disabled */
    expect_page(&w, lin, WALK_READ, true, 0x9000); /* not in force */
    w.p.pke = true;
    expect_fault(&w, lin, WALK_READ, true, WALK_PKEY, PF_P | PF_U | PF_PK);
    expect_fault(&w, lin, WALK_READ, false, WALK_PKEY, PF_P | PF_PK);
    expect_page(&w, lin, WALK_EXEC, true, 0x9000);
    w.p.pkru = UINT32_C(2) << 30; /* write disabled */
    expect_page(&w, lin, WALK_READ, true, 0x9000);
    expect_fault(&w, lin, WALK_WRITE, true, WALK_PKEY, PF_P | PF_W | PF_U | PF_PK);
    expect_fault(&w, lin, WALK_WRITE, false, WALK_PKEY, PF_P | PF_W | PF_PK);
    w.p.wp = false;
    expect_page(&w, lin, WALK_WRITE, false, 0x9000);
    expect_fault(&w, lin, WALK_WRITE, true, WALK_PKEY, PF_P | PF_W | PF_U | PF_PK);
    put64(&w, leaf, 0x9000 | P | U | KEY(15)); /* both deny it: PK is told too */
    expect_fault(&w, lin, WALK_WRITE, true, WALK_READ_ONLY, PF_P | PF_W | PF_U | PF_PK);

    put64(&w, leaf, 0x9000 | P | W | KEY(1)); /* supervisor pages have PKRS */
    w.p.pkru = UINT32_MAX;
    expect_page(&w, lin, WALK_WRITE, false, 0x9000);
    w.p.pkrs = 4;
    expect_page(&w, lin, WALK_WRITE, false, 0x9000);
    w.p.pks = true;
    expect_fault(&w, lin, WALK_READ, false, WALK_PKEY, PF_P | PF_PK);
    setup_destroy(&w);
}

static void test_debugger_leaves_no_trace(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_4LEVEL);
    gpa_t leaf = chain(&w, 0x7000, 1, 0x9000 | P | W | U);
    assert_true(walk(&w.map, &w.p, 0x7000, WALK_WRITE, false, false, false, &w.r));
    assert_false(w.r.dirty);
    assert_int_equal(get64(&w, leaf), 0x9000 | P | W | U);
    assert_int_equal(get64(&w, 0x1000), 0x2000 | P | W | U);
    put64(&w, leaf, 0x9000 | P | W | U | D);
    assert_true(walk(&w.map, &w.p, 0x7000, WALK_READ, false, false, false, &w.r));
    assert_true(w.r.dirty);
    setup_destroy(&w);
}

static void test_tables_outside_ram(void **state)
{
    (void)state;
    struct setup w;
    /* Nobody there: all ones. 4-level: present, reserved bits set; PAE the same. */
    setup_create(&w, PAGING_4LEVEL);
    w.p.root = 0x80000;
    expect_fault(&w, 0, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
    assert_true(w.r.entry == UINT64_MAX);
    w.p.mode = PAGING_PAE;
    w.p.pdpte[0] = 0x80000 | P;
    expect_fault(&w, 0, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
    /* 32-bit: with PSE bit 21 is reserved; without it a table at FFFFF000h, all ones again. */
    w.p.mode = PAGING_32BIT;
    expect_fault(&w, 0, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
    w.p.pse = false;
    expect_page(&w, 0x123, WALK_WRITE, true, 0xfffff123);
    setup_destroy(&w);

    /* In ROM: the walk goes on, the bits stay. */
    setup_create(&w, PAGING_4LEVEL);
    gpa_t leaf = chain(&w, 0x7000, 1, 0x9000 | P | W | U);
    struct mem_region rom;
    mem_region_init_rom(&rom, "rom", w.tables.ram, 64 * KiB);
    memmap_add(&w.map, &rom, 0, 1);
    expect_page(&w, 0x7000, WALK_WRITE, true, 0x9000);
    assert_int_equal(get64(&w, leaf), 0x9000 | P | W | U);

    /* PAM: reads from ROM, writes to the RAM below it. */
    memmap_set_views(&w.map, &rom, true, false);
    struct mem_region shadow;
    mem_region_init_ram(&shadow, "shadow", ram_alloc(&w.ram, 64 * KiB), 64 * KiB);
    memmap_del(&w.map, &w.tables);
    memmap_add(&w.map, &shadow, 0, 0);
    expect_page(&w, 0x7000, WALK_WRITE, true, 0x9000);
    assert_int_equal(get64(&w, leaf), 0x9000 | P | W | U);
    assert_int_equal(ld64(ram_host(&w.ram, shadow.ram + leaf)), 0x9000 | P | W | U | A | D);
    setup_destroy(&w);
}

static void test_a20(void **state)
{
    (void)state;
    struct setup w;
    setup_create(&w, PAGING_4LEVEL);
    chain(&w, 0x7000, 1, 0x9000 | P | W | U);
    put64(&w, 0x3000, get64(&w, 0x3000) | 0x100000); /* a table one MiB up, where nothing is */
    w.p.root |= 0x100000;
    expect_fault(&w, 0x7000, WALK_READ, false, WALK_RESERVED, PF_P | PF_RSVD);
    memmap_set_a20(&w.map, false);
    expect_page(&w, 0x7000, WALK_READ, false, 0x9000);
    setup_destroy(&w);
}

static void on_traced(void *opaque, ram_t at, uint64_t len)
{
    assert_int_equal(len, 8);
    *(ram_t *)opaque = at;
}

static void test_marking_traced_pages_is_told(void **state)
{
    (void)state;
    struct setup w;
    ram_t told = 0;
    setup_create(&w, PAGING_4LEVEL);
    gpa_t leaf = chain(&w, 0x7000, 1, 0x9000 | P | W | U);
    w.ram.traced_write = on_traced;
    w.ram.opaque = &told;
    ram_set_flags(&w.ram, leaf, RAM_WATCH | RAM_LOG);
    expect_page(&w, 0x7000, WALK_READ, true, 0x9000);
    assert_int_equal(told, leaf);
    assert_true(ram_log_take(&w.ram, leaf, 8));
    told = 0;
    expect_page(&w, 0x7000, WALK_READ, true, 0x9000); /* A is there: nothing is written */
    assert_int_equal(told, 0);
    assert_false(ram_log_take(&w.ram, leaf, 8));
    setup_destroy(&w);
}

static bool plain(struct setup *w, enum walk_access access)
{
    return walk_plain(&w->map, &w->p, 0x7000, access, true, false, &w->r);
}

/* Only what needs nobody but host memory is done. */
static void test_plain(void **state)
{
    (void)state;
    struct setup w;
    ram_t told = 0;
    setup_create(&w, PAGING_4LEVEL);
    const uint64_t entry = 0x9000 | P | W | U;
    const gpa_t leaf = chain(&w, 0x7000, 1, entry);
    w.ram.traced_write = on_traced;
    w.ram.opaque = &told;
    assert_true(plain(&w, WALK_READ));
    assert_true(w.r.gpa == 0x9000 && !w.r.dirty);
    assert_int_equal(get64(&w, leaf), entry | A);

    ram_set_flags(&w.ram, leaf, RAM_WATCH);
    assert_true(plain(&w, WALK_READ)); /* A is there */
    assert_false(plain(&w, WALK_WRITE));
    assert_int_equal(told, 0);
    assert_int_equal(get64(&w, leaf), entry | A);
    ram_clear_flags(&w.ram, leaf, RAM_WATCH);
    assert_true(plain(&w, WALK_WRITE));
    assert_true(w.r.dirty);
    assert_int_equal(get64(&w, leaf), entry | A | D);

    put64(&w, leaf, entry & ~(uint64_t)W);
    assert_false(plain(&w, WALK_WRITE));
    put64(&w, leaf, entry);
    struct mem_region rom;
    mem_region_init_rom(&rom, "rom", w.tables.ram, 64 * KiB);
    memmap_add(&w.map, &rom, 0, 1);
    assert_false(plain(&w, WALK_READ));
    put64(&w, leaf, entry | A);
    assert_true(plain(&w, WALK_READ));
    w.p.root = 0x80000; /* nobody */
    assert_false(plain(&w, WALK_READ));
    setup_destroy(&w);
}

/* ---- the model ---- */

struct range {
    enum paging_mode mode;
    int level, large;   /* -1: either */
    unsigned high, low; /* 0 as high: MAXPHYADDR is low; 63: only without NXE */
};

/* SDM 3A Tables 4-4 to 4-6, 4-9 to 4-11, 4-14 to 4-20 */
static const struct range reserved_table[] = {
    {PAGING_32BIT, 2, 1, 21, 21},    {PAGING_PAE, 2, -1, 62, 0},    {PAGING_PAE, 1, -1, 62, 0},
    {PAGING_PAE, 2, 1, 20, 13},      {PAGING_PAE, -1, -1, 63, 63},  {PAGING_4LEVEL, -1, -1, 51, 0},
    {PAGING_4LEVEL, 4, 1, 7, 7},     {PAGING_4LEVEL, 3, 1, 29, 13}, {PAGING_4LEVEL, 2, 1, 20, 13},
    {PAGING_4LEVEL, -1, -1, 63, 63},
};

static bool model_reserved(const struct walk_params *p, int level, uint64_t entry)
{
    bool large = level > 1 && (entry & PS) && (p->mode != PAGING_32BIT || p->pse);
    enum paging_mode mode = p->mode == PAGING_5LEVEL ? PAGING_4LEVEL : p->mode;
    if (large && mode == PAGING_32BIT)
        for (unsigned b = 13; b <= 20; b++)
            if ((entry >> b & 1) && b - 13 + 32 >= p->phys_bits)
                return true;
    if (large && (level == 5 || (level == 3 && !p->gib_pages)))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(reserved_table); i++) {
        const struct range *t = &reserved_table[i];
        if (t->mode != mode || (t->level != -1 && t->level != level) ||
            (t->large != -1 && t->large != large) || (t->high == 63 && p->nxe))
            continue;
        for (unsigned b = t->low ? t->low : p->phys_bits; b <= t->high; b++)
            if (entry >> b & 1)
                return true;
    }
    return false;
}

struct model_result {
    bool ok;
    uint32_t code;
    uint64_t gpa, bytes;
};

static struct model_result model(struct setup *w, gla_t lin, enum walk_access access, bool user,
                                 bool ac)
{
    const struct walk_params *p = &w->p;
    struct model_result m = {0};
    bool id = access == WALK_EXEC && (p->smep || (p->nxe && p->mode != PAGING_32BIT));
    m.code = (user ? 4u : 0) | (access == WALK_WRITE ? 2u : 0) | (id ? 16u : 0);

    uint64_t all = ~UINT64_C(0), any = 0, entry, table = p->root;
    int level = p->mode == PAGING_5LEVEL ? 5 : p->mode == PAGING_4LEVEL ? 4 : 2;
    unsigned index_bits = p->mode == PAGING_32BIT ? 10 : 9;
    unsigned entry_bytes = p->mode == PAGING_32BIT ? 4 : 8;
    if (p->mode == PAGING_PAE) {
        table = p->pdpte[lin >> 30 & 3];
        if (!(table & 1))
            return m;
    }
    for (;; level--) {
        unsigned shift = 12 + index_bits * (unsigned)(level - 1);
        table &= UINT64_C(0x000ffffffffff000);
        entry = memmap_read(
            &w->map, table + (lin >> shift & ((1u << index_bits) - 1)) * entry_bytes, entry_bytes);
        if (!(entry & 1))
            return m;
        m.code |= 1;
        if (model_reserved(p, level, entry)) {
            m.code |= 8;
            return m;
        }
        m.code &= ~1u;
        all &= entry;
        any |= entry;
        if (level == 1 || ((entry & PS) && (p->mode != PAGING_32BIT || p->pse))) {
            m.bytes = UINT64_C(1) << shift;
            break;
        }
        table = entry;
    }
    m.code |= 1;
    uint64_t frame = entry & UINT64_C(0x000ffffffffff000);
    if (p->mode == PAGING_32BIT && level == 2)
        frame = (entry & 0xffc00000) | (entry >> 13 & 0xff) << 32;
    m.gpa = (frame & ~(m.bytes - 1)) | (lin & (m.bytes - 1));

    bool user_page = all & U, write_page = all & W, no_exec = (any & XD) && entry_bytes == 8;
    bool ok;
    if (user)
        ok = user_page && (access != WALK_WRITE || write_page) && (access != WALK_EXEC || !no_exec);
    else if (access == WALK_EXEC)
        ok = !no_exec && !(user_page && p->smep);
    else
        ok = (!user_page || !p->smap || ac) && (access == WALK_READ || write_page || !p->wp);
    if (p->mode >= PAGING_4LEVEL && access != WALK_EXEC && (user_page ? p->pke : p->pks)) {
        unsigned key = entry >> 59 & 15;
        uint32_t rights = (user_page ? p->pkru : p->pkrs) >> 2 * key & 3;
        if ((rights & 1) || ((rights & 2) && access == WALK_WRITE && (user || p->wp))) {
            m.code |= 32;
            ok = false;
        }
    }
    m.ok = ok;
    return m;
}

static bool often(void)
{
    return rnd() % 16;
}

/* Entries point into the 15 table pages, now and then with one odd bit. */
static uint64_t random_entry(bool wide)
{
    uint64_t e = (1 + rnd() % 15) << 12;
    e |= often() ? P : 0;
    e |= often() ? W : 0;
    e |= often() ? U : 0;
    e |= rnd() % 8 == 0 ? PS : 0;
    e |= (rnd() & 1 ? A : 0) | (rnd() & 1 ? D : 0);
    if (wide && rnd() % 4 == 0)
        e |= KEY(rnd() % 16);
    if (rnd() % 8 == 0)
        e ^= UINT64_C(1) << rnd() % (wide ? 64 : 32);
    if ((e & PS) && !(rnd() % 4 == 0))
        e &= wide ? ~UINT64_C(0x3fffe000) : ~UINT64_C(0x3fe000);
    return e;
}

static void random_tables(struct setup *w)
{
    bool wide = w->p.mode != PAGING_32BIT;
    for (gpa_t at = 0; at < 64 * KiB; at += wide ? 8 : 4) {
        if (wide)
            put64(w, at, random_entry(true));
        else
            put32(w, at, (uint32_t)random_entry(false));
    }
}

static void random_params(struct walk_params *p)
{
    static const uint8_t widths[] = {32, 36, 39, 40, 46, 52};
    p->phys_bits = widths[rnd() % ARRAY_SIZE(widths)];
    p->nxe = often();
    p->wp = rnd() & 1;
    p->pse = often();
    p->smep = rnd() & 1;
    p->smap = rnd() & 1;
    p->gib_pages = often();
    p->pke = rnd() & 1;
    p->pks = rnd() % 4 == 0;
    p->pkru = (uint32_t)(rnd() & rnd());
    p->pkrs = (uint32_t)(rnd() & rnd() & rnd());
    for (int i = 0; i < 4; i++)
        p->pdpte[i] = ((1 + rnd() % 15) << 12) | often();
}

static void test_random(void **state)
{
    (void)state;
    rng_state = test_seed(88172645463325252u);
    unsigned ok = 0, in_place = 0, faults[64] = {0};
    for (enum paging_mode mode = PAGING_32BIT; mode <= PAGING_5LEVEL; mode++) {
        struct setup w;
        setup_create(&w, mode);
        for (int round = 0; round < 40; round++) {
            random_tables(&w);
            for (int i = 0; i < 6000; i++) {
                random_params(&w.p);
                gla_t lin = rnd();
                if (mode < PAGING_4LEVEL)
                    lin = (uint32_t)lin;
                enum walk_access access = rnd() % 3;
                bool user = rnd() & 1, ac = rnd() % 4 == 0, set_ad = rnd() & 1;
                struct model_result m = model(&w, lin, access, user, ac);
                struct walk_result r;
                if (set_ad && walk_plain(&w.map, &w.p, lin, access, user, ac, &r)) {
                    assert_true(m.ok && r.gpa == m.gpa && r.page_bytes == m.bytes);
                    in_place++;
                }
                bool got = walk(&w.map, &w.p, lin, access, user, ac, set_ad, &w.r);
                assert_int_equal(got, m.ok);
                assert_int_equal(got, w.r.reason == WALK_OK);
                if (got) {
                    assert_true(w.r.gpa == m.gpa);
                    assert_true(w.r.page_bytes == m.bytes);
                    uint64_t now = memmap_read(&w.map, w.r.entry_gpa, mode == PAGING_32BIT ? 4 : 8);
                    if (set_ad)
                        assert_true((now & A) && (access != WALK_WRITE || (now & D)));
                    assert_int_equal(w.r.dirty, !!(now & D));
                    ok++;
                } else {
                    assert_int_equal(w.r.error_code, m.code);
                    faults[m.code]++;
                }
            }
        }
        setup_destroy(&w);
    }
    /* The dice reached what they are thrown for. */
    assert_in_range(ok, 50000, 960000);
    assert_in_range(in_place, ok / 4, ok);
    static const uint8_t must[] = {0,  2, 4,  6,  16, 20, 1,  3,  5,  7,  17,
                                   21, 9, 11, 13, 15, 25, 29, 33, 35, 37, 39};
    for (size_t i = 0; i < ARRAY_SIZE(must); i++)
        assert_true(faults[must[i]] > 0);
}

static void test_reasons_have_words(void **state)
{
    (void)state;
    for (enum walk_reason reason = WALK_OK; reason <= WALK_PKEY; reason++)
        assert_string_not_equal(walk_reason_text(reason), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_32bit),
        cmocka_unit_test(test_32bit_write_protect),
        cmocka_unit_test(test_pse),
        cmocka_unit_test(test_pae),
        cmocka_unit_test(test_long_modes),
        cmocka_unit_test(test_smap_smep),
        cmocka_unit_test(test_protection_keys),
        cmocka_unit_test(test_debugger_leaves_no_trace),
        cmocka_unit_test(test_tables_outside_ram),
        cmocka_unit_test(test_a20),
        cmocka_unit_test(test_marking_traced_pages_is_told),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_reasons_have_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
