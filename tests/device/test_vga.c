/* VGA: registers, the data path between CPU and planes against a model, timing, state, abuse. */
#include "device/vga_rig.h"

static int setup(void **state)
{
    struct rig *r = malloc(sizeof *r);
    rig_open(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void test_identity(void **state)
{
    struct rig *r = *state;
    assert_int_equal(pci_config_read(&r->bus, VGA_SLOT, 0, 4), 0x11111234);
    assert_int_equal(pci_config_read(&r->bus, VGA_SLOT, 8, 4), 0x03000002);
    assert_int_equal(pci_config_read(&r->bus, VGA_SLOT, 0x2c, 4), 0x11001af4);
    pci_config_write(&r->bus, VGA_SLOT, 4, 0, 2);
    pci_config_write(&r->bus, VGA_SLOT, 0x10, 0xffffffff, 4);
    pci_config_write(&r->bus, VGA_SLOT, 0x18, 0xffffffff, 4);
    pci_config_write(&r->bus, VGA_SLOT, 0x30, 0xfffff800, 4);
    assert_int_equal(pci_config_read(&r->bus, VGA_SLOT, 0x10, 4), 0xff000008);
    assert_int_equal(pci_config_read(&r->bus, VGA_SLOT, 0x18, 4), 0xfffff000);
    assert_int_equal(pci_config_read(&r->bus, VGA_SLOT, 0x30, 4), 0xffff0000);
    pci_config_write(&r->bus, VGA_SLOT, 0x30, 0xd0000001, 4);
    pci_config_write(&r->bus, VGA_SLOT, 4, 2, 2);
    assert_int_equal(memmap_read(&r->mem, 0xd0000000, 2), 0xaa55);
}

static void test_registers(void **state)
{
    struct rig *r = *state;
    static const uint8_t sr[5] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
    static const uint8_t gr[9] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
    out8(r, 0x3c2, 0x01);
    for (unsigned i = 0; i < 5; i++) {
        out_index(r, 0x3c4, (uint8_t)i, 0xff);
        assert_int_equal(in_index(r, 0x3c4, (uint8_t)i), sr[i]);
    }
    for (unsigned i = 0; i < 9; i++) {
        out_index(r, 0x3ce, (uint8_t)i, 0xff);
        assert_int_equal(in_index(r, 0x3ce, (uint8_t)i), gr[i]);
    }
    for (unsigned i = 0; i < 25; i++) {
        out_index(r, 0x3d4, (uint8_t)i, (uint8_t)(i * 7));
        assert_int_equal(in_index(r, 0x3d4, (uint8_t)i), (uint8_t)(i * 7));
    }
    assert_int_equal(in_index(r, 0x3d4, 0x3e), 0);
    assert_int_equal(in8(r, 0x3cc), 0x01);
    out8(r, 0x3da, 3);
    assert_int_equal(in8(r, 0x3ca), 3);
}

/* CR11 bit 7 locks CR0 to CR7 but for the line compare bit in CR7. */
static void test_crtc_protect(void **state)
{
    struct rig *r = *state;
    out8(r, 0x3c2, 0x01);
    for (unsigned i = 0; i < 8; i++)
        out_index(r, 0x3d4, (uint8_t)i, 0x05);
    out_index(r, 0x3d4, 0x11, 0x80);
    for (unsigned i = 0; i < 8; i++)
        out_index(r, 0x3d4, (uint8_t)i, 0xfa);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(in_index(r, 0x3d4, (uint8_t)i), 0x05);
    assert_int_equal(in_index(r, 0x3d4, 7), 0x15);
    out_index(r, 0x3d4, 0x12, 0x8f);
    assert_int_equal(in_index(r, 0x3d4, 0x12), 0x8f);
}

static void test_mono_and_colour_addresses(void **state)
{
    struct rig *r = *state;
    out8(r, 0x3c2, 0x01);
    out_index(r, 0x3d4, 0x0e, 0x12);
    out_index(r, 0x3b4, 0x0e, 0x34);
    assert_int_equal(in8(r, 0x3b5), 0xff);
    assert_int_equal(in8(r, 0x3d5), 0x12);
    out8(r, 0x3c2, 0x00);
    assert_int_equal(in8(r, 0x3d5), 0xff);
    assert_int_equal(in8(r, 0x3b5), 0x12);
    assert_int_equal(in8(r, 0x3da), 0xff);
}

static void test_attribute_flip_flop(void **state)
{
    struct rig *r = *state;
    out8(r, 0x3c2, 0x01);
    in8(r, 0x3da);
    out8(r, 0x3c0, 0x03);
    out8(r, 0x3c0, 0x2a);
    out8(r, 0x3c0, 0x04);
    in8(r, 0x3da); /* forgets that data was due */
    out8(r, 0x3c0, 0x23);
    assert_int_equal(in8(r, 0x3c0), 0x23);
    assert_int_equal(in8(r, 0x3c1), 0x2a);
    out_attr(r, 0x10, 0xff);
    assert_int_equal(in8(r, 0x3c1), 0xef);
    out_attr(r, 0x1f, 0xff); /* nobody there */
    assert_int_equal(in8(r, 0x3c1), 0);
}

static void test_dac(void **state)
{
    struct rig *r = *state;
    out8(r, 0x3c8, 0x10);
    for (unsigned i = 0; i < 6; i++)
        out8(r, 0x3c9, (uint8_t)(0x30 + i));
    assert_int_equal(in8(r, 0x3c8), 0x12);
    assert_int_equal(in8(r, 0x3c7), 0);
    out8(r, 0x3c7, 0x10);
    assert_int_equal(in8(r, 0x3c7), 3);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(in8(r, 0x3c9), 0x30 + i);
    /* Half an entry is no entry. */
    out8(r, 0x3c8, 0x10);
    out8(r, 0x3c9, 1);
    out8(r, 0x3c9, 2);
    out8(r, 0x3c7, 0x10);
    assert_int_equal(in8(r, 0x3c9), 0x30);
    /* The same colours, seen eight bits wide. */
    out_vbe(r, 4, 0x20);
    out8(r, 0x3c7, 0x10);
    assert_int_equal(in8(r, 0x3c9), 0xc3);
    out8(r, 0x3c8, 0xff);
    out8(r, 0x3c9, 0x9a);
    out8(r, 0x3c9, 0x9b);
    out8(r, 0x3c9, 0x9c);
    out8(r, 0x3c7, 0xff);
    assert_int_equal(in8(r, 0x3c9), 0x9a);
    out_vbe(r, 4, 0);
    out8(r, 0x3c7, 0xff);
    assert_int_equal(in8(r, 0x3c9), 0x9a >> 2);
}

/* Retraces of a simulated second, and lines of one frame, in 80x25 text: 70.08 Hz, 449 lines. */
static void test_retrace(void **state)
{
    struct rig *r = *state;
    unsigned frames = 0, lines = 0;
    set_mode(r, &mode_3);
    uint8_t last = in8(r, 0x3da);
    for (unsigned i = 0; i < 500000; i++) {
        event_step(&r->events, &r->now_ns, 2000);
        const uint8_t now = in8(r, 0x3da);
        frames += (now & ~last & 8) != 0;
        assert_true(!(now & 8) || (now & 1));
        last = now;
    }
    assert_in_range(frames, 70, 71);
    while (!(in8(r, 0x3da) & 8))
        event_step(&r->events, &r->now_ns, 500);
    while (in8(r, 0x3da) & 8)
        event_step(&r->events, &r->now_ns, 500);
    for (last = 1; !(in8(r, 0x3da) & 8);) {
        const uint8_t now = in8(r, 0x3da);
        lines += (last & ~now & 1) != 0;
        last = now;
        event_step(&r->events, &r->now_ns, 500);
    }
    assert_int_equal(lines, 400);
    set_mode(r, &mode_12h);
    for (frames = 0, last = 0; r->now_ns < 3 * NS_PER_SEC;) {
        if (r->now_ns < 2 * NS_PER_SEC)
            event_step(&r->events, &r->now_ns, 2 * NS_PER_SEC - r->now_ns);
        event_step(&r->events, &r->now_ns, 5000);
        const uint8_t now = in8(r, 0x3da);
        frames += (now & ~last & 8) != 0;
        last = now;
    }
    assert_in_range(frames, 59, 60);
}

/* --- The data path against a model that works bit by bit on four separate planes ----------- */

struct model {
    uint8_t plane[4][65536];
    uint8_t latch[4];
    uint8_t sr[5], gr[9];
};

static bool model_decodes(const struct model *m, uint32_t at, uint32_t *a)
{
    static const uint32_t first[4] = {0xa0000, 0xa0000, 0xb0000, 0xb8000};
    static const uint32_t last[4] = {0xbffff, 0xaffff, 0xb7fff, 0xbffff};
    const unsigned map = m->gr[6] >> 2 & 3;
    *a = at - first[map];
    return at >= first[map] && at <= last[map];
}

/* Chained addresses are kept without gaps: plane offset a/4, not a & ~3. */
static unsigned model_cell(const struct model *m, uint32_t a)
{
    if (m->sr[4] & 8)
        return (a & 0xffff) / 4;
    if (m->gr[6] & 2)
        a = (a & 0xfffe) | (a >> 16 & 1);
    return a & 0xffff;
}

static uint8_t model_read(struct model *m, uint32_t at)
{
    uint32_t a;
    if (!model_decodes(m, at, &a))
        return 0xff;
    for (unsigned p = 0; p < 4; p++)
        m->latch[p] = m->plane[p][model_cell(m, a)];
    if (m->gr[5] & 8) {
        uint8_t match = 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            bool same = true;
            for (unsigned p = 0; p < 4; p++)
                if (m->gr[7] >> p & 1)
                    same &= (m->latch[p] >> bit & 1) == (m->gr[2] >> p & 1);
            match |= (uint8_t)(same << bit);
        }
        return match;
    }
    if (m->sr[4] & 8)
        return m->latch[a & 3];
    if (m->gr[5] & 0x10)
        return m->latch[(m->gr[4] & 2) | (a & 1)];
    return m->latch[m->gr[4] & 3];
}

static bool model_source_bit(const struct model *m, unsigned p, unsigned bit, uint8_t value)
{
    const bool cpu = value >> ((bit + (m->gr[3] & 7)) & 7) & 1;
    switch (m->gr[5] & 3) {
    case 0:
        return m->gr[1] >> p & 1 ? m->gr[0] >> p & 1 : cpu;
    case 2:
        return value >> p & 1;
    default:
        return m->gr[0] >> p & 1;
    }
}

static uint8_t model_plane_byte(const struct model *m, unsigned p, uint8_t value)
{
    uint8_t result = 0;
    if ((m->gr[5] & 3) == 1)
        return m->latch[p];
    for (unsigned bit = 0; bit < 8; bit++) {
        const bool old = m->latch[p] >> bit & 1;
        bool masked_in = m->gr[8] >> bit & 1;
        if ((m->gr[5] & 3) == 3)
            masked_in &= value >> ((bit + (m->gr[3] & 7)) & 7) & 1;
        bool now = model_source_bit(m, p, bit, value);
        switch (m->gr[3] >> 3 & 3) {
        case 1:
            now = now && old;
            break;
        case 2:
            now = now || old;
            break;
        case 3:
            now = now != old;
            break;
        }
        result |= (uint8_t)((masked_in ? now : old) << bit);
    }
    return result;
}

static void model_write(struct model *m, uint32_t at, uint8_t value)
{
    uint32_t a;
    if (!model_decodes(m, at, &a))
        return;
    for (unsigned p = 0; p < 4; p++) {
        bool chosen = m->sr[2] >> p & 1;
        if (m->sr[4] & 8)
            chosen &= p == (a & 3);
        else if (!(m->sr[4] & 4))
            chosen &= (p & 1) == (a & 1);
        if (chosen)
            m->plane[p][model_cell(m, a)] = model_plane_byte(m, p, value);
    }
}

static void model_compare(struct rig *r, const struct model *m)
{
    for (unsigned a = 0; a < 65536; a++)
        for (unsigned p = 0; p < 4; p++)
            if (memmap_read(&r->mem, LFB + 4 * a + p, 1) != m->plane[p][a])
                fail_msg("plane %u offset %04x: %02x, model says %02x", p, a,
                         (unsigned)memmap_read(&r->mem, LFB + 4 * a + p, 1), m->plane[p][a]);
}

static void model_set(struct rig *r, struct model *m, uint16_t port, unsigned index, uint8_t value)
{
    static const uint8_t sr[5] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
    static const uint8_t gr[9] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
    out_index(r, port, (uint8_t)index, value);
    if (port == 0x3c4)
        m->sr[index] = value & sr[index];
    else
        m->gr[index] = value & gr[index];
}

/* Mostly what software does: a known mode with one or two registers changed. */
static void model_random_setup(struct rig *r, struct model *m, uint32_t *seed)
{
    static const struct mode *const modes[] = {&mode_3, &mode_4, &mode_6, &mode_12h, &mode_13h};
    const struct mode *mode = modes[next_random(seed) % ARRAY_SIZE(modes)];
    for (unsigned i = 2; i < 5; i++)
        model_set(r, m, 0x3c4, i, mode->sr[i - 1]);
    for (unsigned i = 0; i < 9; i++)
        model_set(r, m, 0x3ce, i, mode->gr[i]);
    for (unsigned n = next_random(seed) % 5; n > 0; n--) {
        const uint32_t x = next_random(seed);
        if (x & 3)
            model_set(r, m, 0x3ce, (x >> 8) % 9, (uint8_t)(x >> 16));
        else
            model_set(r, m, 0x3c4, 2 + (x >> 8) % 3, (uint8_t)(x >> 16));
    }
}

static void model_random_access(struct rig *r, struct model *m, uint32_t *seed)
{
    static const uint32_t bases[4] = {0xa0000, 0xa0000, 0xb0000, 0xb8000};
    const uint32_t x = next_random(seed);
    const unsigned size = 1u << (x >> 8 & 3);
    uint32_t at = bases[m->gr[6] >> 2 & 3] + (x >> 12 & 0x7fff);
    if ((x & 15) == 0)
        at = 0xa0000 + (x >> 12 & 0x1ffff); /* anywhere, decoded or not */
    at &= ~(size - 1);
    if (x & 0x10) {
        uint64_t want = 0;
        for (unsigned i = 0; i < size; i++)
            want |= (uint64_t)model_read(m, at + i) << (8 * i);
        assert_int_equal(memmap_read(&r->mem, at, size), want);
    } else {
        const uint64_t value = (uint64_t)next_random(seed) << 32 | next_random(seed);
        for (unsigned i = 0; i < size; i++)
            model_write(m, at + i, (uint8_t)(value >> (8 * i)));
        memmap_write(&r->mem, at, value, size);
    }
}

static void test_data_path(void **state)
{
    struct rig *r = *state;
    struct model *m = calloc(1, sizeof *m);
    uint32_t seed = (uint32_t)test_seed(0x5eed1234);
    out8(r, 0x3c2, 0x63);
    for (unsigned round = 0; round < 3000; round++) {
        model_random_setup(r, m, &seed);
        /* A window that became memory loads no latches: set them by a read that is not. */
        model_set(r, m, 0x3ce, 5, m->gr[5] | 8);
        memmap_read(&r->mem, 0xb8000, 1);
        model_read(m, 0xb8000);
        memmap_read(&r->mem, 0xa0000, 1);
        model_read(m, 0xa0000);
        model_set(r, m, 0x3ce, 5, m->gr[5] & ~8);
        const bool plain = m->sr[4] & 8;
        for (unsigned i = 0; i < (plain && round % 8 == 0 ? 400 : 60); i++)
            model_random_access(r, m, &seed);
        if (plain) {
            /* Likewise after: bring both latches to the same value again. */
            model_set(r, m, 0x3ce, 5, m->gr[5] | 8);
            memmap_read(&r->mem, 0xa0000, 1);
            model_read(m, 0xa0000);
            memmap_read(&r->mem, 0xb8000, 1);
            model_read(m, 0xb8000);
        }
    }
    model_compare(r, m);
    free(m);
}

/* Misc output bit 1 takes the memory off the bus. */
static void test_ram_enable(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    memmap_write(&r->mem, 0xb8000, 0x0741, 2);
    out8(r, 0x3c2, 0x65);
    assert_int_equal(memmap_read(&r->mem, 0xb8000, 2), 0xffff);
    memmap_write(&r->mem, 0xb8000, 0, 2);
    out8(r, 0x3c2, 0x67);
    assert_int_equal(memmap_read(&r->mem, 0xb8000, 2), 0x0741);
}

/* In mode 13h the window becomes memory after some use, and only then costs the CPU its caches. */
static void test_linear_window(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    const unsigned before = r->map_changes;
    set_mode(r, &mode_13h);
    set_mode(r, &mode_12h);
    set_mode(r, &mode_13h);
    assert_int_equal(r->map_changes, before);
    for (unsigned i = 0; i < 1000; i++)
        memmap_write(&r->mem, 0xa0000 + i * 4, (i & 255) * 0x01010101u, 4);
    assert_int_equal(r->map_changes, before + 1);
    assert_true(memmap_ram(&r->mem, 0xa0000, true) != RAM_NONE);
    assert_true(memmap_ram(&r->mem, 0xb0000, true) == RAM_NONE);
    for (unsigned i = 0; i < 4000; i++)
        assert_int_equal(memmap_read(&r->mem, LFB + i, 1), (uint8_t)(i / 4));
    out_index(r, 0x3c4, 4, 6); /* unchained: mode X */
    assert_int_equal(r->map_changes, before + 2);
    assert_true(memmap_ram(&r->mem, 0xa0000, true) == RAM_NONE);
    out_index(r, 0x3c4, 2, 4);
    memmap_write(&r->mem, 0xa0010, 0xee, 1);
    assert_int_equal(memmap_read(&r->mem, LFB + 0x42, 1), 0xee);
    out_index(r, 0x3c4, 2, 15);
    out_index(r, 0x3c4, 4, 14);
    assert_int_equal(memmap_read(&r->mem, 0xa0042, 1), 0xee);
}

/* Stores through the window are seen by who watches the page behind it. */
static void test_dirty_log(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    const ram_t vram = memmap_ram(&r->mem, LFB, false);
    ram_log_start(&r->ram, vram, VGA_VRAM_BYTES);
    memmap_write(&r->mem, 0xb8000 + 0x400, 0x0741, 2);
    assert_false(ram_log_take(&r->ram, vram, PAGE_SIZE));
    assert_true(ram_log_take(&r->ram, vram + PAGE_SIZE, PAGE_SIZE));
    set_mode(r, &mode_12h);
    memmap_write(&r->mem, 0xa0000, 0xff, 1);
    assert_true(ram_log_take(&r->ram, vram, PAGE_SIZE));
    ram_log_stop(&r->ram, vram, VGA_VRAM_BYTES);
}

/* --- VBE registers ------------------------------------------------------------------------- */

static void vbe_mode(struct rig *r, uint16_t xres, uint16_t yres, uint16_t bpp)
{
    out_vbe(r, 4, 0);
    out_vbe(r, 1, xres);
    out_vbe(r, 2, yres);
    out_vbe(r, 3, bpp);
    out_vbe(r, 4, 0x41);
}

static void test_vbe_registers(void **state)
{
    struct rig *r = *state;
    assert_int_equal(in_vbe(r, 0), 0xb0c5);
    out_vbe(r, 0, 0xb0c0);
    assert_int_equal(in_vbe(r, 0), 0xb0c0);
    out_vbe(r, 0, 0xb0c9);
    assert_int_equal(in_vbe(r, 0), 0xb0c0);
    assert_int_equal(in_vbe(r, 10), 256);
    out_vbe(r, 4, 2);
    assert_int_equal(in_vbe(r, 1), 3840);
    assert_int_equal(in_vbe(r, 2), 2160);
    assert_int_equal(in_vbe(r, 3), 32);
    vbe_mode(r, 1024, 768, 32);
    assert_int_equal(in_vbe(r, 1), 1024);
    assert_int_equal(in_vbe(r, 6), 1024);
    assert_int_equal(in_vbe(r, 7), 4096);
    /* Data port at an even address, as on other machines than PCs. */
    iomap_write(&r->io, 0x1ce, 2, 2);
    assert_int_equal(iomap_read(&r->io, 0x1d0, 2), 768);
}

/* What cannot be shown is clamped, and read back so. */
static void test_vbe_clamps(void **state)
{
    struct rig *r = *state;
    vbe_mode(r, 0xffff, 0xffff, 16);
    assert_int_equal(in_vbe(r, 1), 3840);
    assert_int_equal(in_vbe(r, 2), 2160);
    vbe_mode(r, 0xffff, 0xffff, 32);
    assert_int_equal(in_vbe(r, 1), 3840);
    assert_int_equal(in_vbe(r, 2), 1092); /* as many as memory holds */
    vbe_mode(r, 0, 0, 77);
    assert_int_equal(in_vbe(r, 1), 8);
    assert_int_equal(in_vbe(r, 2), 1);
    assert_int_equal(in_vbe(r, 3), 8);
    vbe_mode(r, 1024, 768, 32);
    out_vbe(r, 9, 4000);
    assert_int_equal(in_vbe(r, 9), 0);
    out_vbe(r, 9, 4096 - 768);
    assert_int_equal(in_vbe(r, 9), 4096 - 768);
    out_vbe(r, 8, 1); /* one pixel beyond the end of memory */
    assert_int_equal(in_vbe(r, 9), 0);
    assert_int_equal(in_vbe(r, 8), 1);
    out_vbe(r, 6, 0xffff);
    assert_int_equal(in_vbe(r, 6), 0x4000);
    assert_int_equal(in_vbe(r, 2), 256);
}

static void test_vbe_window_and_clearing(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    memmap_write(&r->mem, LFB + 100, 0x12345678, 4);
    memmap_write(&r->mem, LFB + 640 * 480, 0x9abcdef0, 4);
    vbe_mode(r, 640, 480, 8);
    assert_int_equal(memmap_read(&r->mem, LFB + 100, 4), 0);
    assert_int_equal(memmap_read(&r->mem, LFB + 640 * 480, 4), 0x9abcdef0);
    memmap_write(&r->mem, LFB + 100, 0x12345678, 4);
    out_vbe(r, 4, 0);
    out_vbe(r, 4, 0xc1);
    assert_int_equal(memmap_read(&r->mem, LFB + 100, 4), 0x12345678);
    for (unsigned bank = 0; bank < 256; bank++) {
        out_vbe(r, 5, (uint16_t)bank);
        for (unsigned i = 0; i < (bank == 7 ? 300 : 2); i++)
            memmap_write(&r->mem, 0xa0000 + 0x1230, 0xc0de0000 + bank, 4);
        assert_int_equal(memmap_read(&r->mem, LFB + bank * 65536 + 0x1230, 4), 0xc0de0000 + bank);
        assert_int_equal(memmap_ram(&r->mem, 0xa0000, true) != RAM_NONE, bank >= 7);
    }
    out_vbe(r, 4, 0);
    assert_true(memmap_ram(&r->mem, 0xa0000, true) == RAM_NONE);
}

static void test_mmio(void **state)
{
    struct rig *r = *state;
    static const uint8_t head[8] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0};
    uint8_t sum = 0;
    for (unsigned i = 0; i < 128; i++) {
        const uint8_t byte = (uint8_t)memmap_read(&r->mem, MMIO + i, 1);
        assert_true(i >= 8 || byte == head[i]);
        sum = (uint8_t)(sum + byte);
    }
    assert_int_equal(sum, 0);
    assert_int_equal(memmap_read(&r->mem, MMIO + 0x600, 4), 8);
    assert_int_equal(memmap_read(&r->mem, MMIO + 0x604, 4), 0x1e1e1e1e);
    assert_int_equal(memmap_read(&r->mem, MMIO + 0x500, 2), 0xb0c5);
    assert_int_equal(memmap_read(&r->mem, MMIO + 0x514, 2), 256);
    memmap_write(&r->mem, MMIO + 0x506, 32, 2);
    memmap_write(&r->mem, MMIO + 0x502, 800 | 600 << 16, 4); /* at 502h: two words */
    memmap_write(&r->mem, MMIO + 0x508, 0x41, 2);
    assert_int_equal(in_vbe(r, 1), 800);
    assert_int_equal(in_vbe(r, 2), 600);
    assert_int_equal(in_vbe(r, 3), 32);
    memmap_write(&r->mem, MMIO + 0x402, 0x67, 1); /* misc output */
    assert_int_equal(in8(r, 0x3cc), 0x67);
    memmap_read(&r->mem, MMIO + 0x41a, 1);
    memmap_write(&r->mem, MMIO + 0x400, 0x20, 1);
    assert_true(r->display->render(r->display->opaque, &r->screen));
    memmap_read(&r->mem, MMIO + 0x41a, 1);
    memmap_write(&r->mem, MMIO + 0x400, 0, 1);
    assert_false(r->display->render(r->display->opaque, &r->screen));
    assert_int_equal(memmap_read(&r->mem, MMIO + 0x604, 4), 0x1e1e1e1e);
}

/* --- State and abuse ----------------------------------------------------------------------- */

static void random_step(struct rig *r, uint32_t *seed)
{
    const uint32_t x = next_random(seed), y = next_random(seed);
    const unsigned size = 1u << (x >> 4 & 3);
    switch (x & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        iomap_write(&r->io, (uint16_t)(0x3b0 + (x >> 8 & 0x2f)), y, 1u << (x >> 4 & 1));
        break;
    case 4:
        out_index(r, 0x3d4, (uint8_t)((x >> 8) % 26), (uint8_t)y);
        break;
    case 5:
        out_attr(r, 0x20 | ((x >> 8) % 22), (uint8_t)y);
        out8(r, 0x3c0, 0x20);
        break;
    case 6:
        out_index(r, x & 0x100 ? 0x3c4 : 0x3ce, (uint8_t)(y >> 8 & 15), (uint8_t)y);
        break;
    case 7:
        out_vbe(r, (uint16_t)(x >> 8 & 15), (uint16_t)(x & 0x10 ? y : y & 0x7ff));
        break;
    case 8:
        out_vbe(r, 4, (uint16_t)(y & (x & 0x100 ? 0xff : 0xfe)));
        break;
    case 9:
        memmap_write(&r->mem, (MMIO + (y & 0xfff)) & ~(gpa_t)(size - 1), y, size);
        break;
    case 10:
        memmap_read(&r->mem, (MMIO + (y & 0xfff)) & ~(gpa_t)(size - 1), size);
        break;
    case 11:
        iomap_read(&r->io, (uint16_t)(0x3b0 + (x >> 8 & 0x2f)), 1u << (x >> 4 & 1));
        break;
    case 12:
        out8(r, 0x3c2, (uint8_t)(y | 3));
        break;
    default:
        for (unsigned i = 0; i < (x & 0x80000000 ? 200 : 3); i++) {
            memmap_write(&r->mem, (0xa0000 + ((y + i * 8) & 0x1ffff)) & ~(gpa_t)(size - 1), y,
                         size);
            memmap_read(&r->mem, (0xa0000 + ((y >> 8) & 0x1ffff)) & ~(gpa_t)(size - 1), size);
        }
        break;
    }
}

/* Any register contents make some picture of bounded size; the sanitizers watch the rest. */
static void test_abuse(void **state)
{
    struct rig *r = *state;
    uint32_t seed = (uint32_t)test_seed(0xabadcafe);
    char text[700];
    unsigned shown = 0, texts = 0;
    for (unsigned i = 0; i < 60000; i++) {
        random_step(r, &seed);
        if (i % 200)
            continue;
        event_step(&r->events, &r->now_ns, next_random(&seed) % 100000000);
        shown += r->display->render(r->display->opaque, &r->screen);
        assert_true(r->screen.width <= 3840 && r->screen.height <= 2160);
        const size_t len = r->display->text(r->display->opaque, text, sizeof text);
        assert_true(len < sizeof text && text[len] == '\0');
        texts += len > 0;
        if (i % 10000 == 0)
            device_reset_all(&r->devices, RESET_HARD);
    }
    assert_true(shown > 50);
    assert_true(texts > 5);
}

static void save(struct rig *r, struct state *s)
{
    state_init_save(s);
    device_state_all(&r->devices, s);
    assert_string_equal(s->err.msg, "");
}

static void test_state(void **state)
{
    struct rig *r = *state;
    uint32_t seed = (uint32_t)test_seed(0x77777777);
    for (unsigned round = 0; round < 30; round++) {
        struct state first, disturbed, again, load;
        for (unsigned i = 0; i < 300; i++)
            random_step(r, &seed);
        save(r, &first);
        r->display->render(r->display->opaque, &r->screen);
        const uint64_t hash = surface_hash(&r->screen);
        /* Without touching memory, which is not the VGA's to save. */
        out8(r, 0x3c2, (uint8_t)(in8(r, 0x3cc) ^ 5));
        out_index(r, 0x3d4, 0x0c, (uint8_t)next_random(&seed));
        out_vbe(r, 8, (uint16_t)(in_vbe(r, 8) + 8));
        out_index(r, 0x3ce, 5, (uint8_t)(in_index(r, 0x3ce, 5) ^ 0x63));
        save(r, &disturbed);
        assert_true(first.len != disturbed.len || memcmp(first.buf, disturbed.buf, first.len));
        state_init_load(&load, first.buf, first.len);
        device_state_all(&r->devices, &load);
        assert_string_equal(load.err.msg, "");
        save(r, &again);
        assert_int_equal(first.len, again.len);
        assert_memory_equal(first.buf, again.buf, first.len);
        r->display->render(r->display->opaque, &r->screen);
        assert_true(surface_hash(&r->screen) == hash);
        state_free(&first);
        state_free(&disturbed);
        state_free(&again);
        state_free(&load);
    }
}

/* Damaged files are refused or make a VGA that some guest could have made. */
static void test_hostile_state(void **state)
{
    struct rig *r = *state;
    uint32_t seed = (uint32_t)test_seed(0x13572468);
    struct state good;
    set_mode(r, &mode_3);
    vbe_mode(r, 800, 600, 16);
    save(r, &good);
    for (unsigned round = 0; round < 300; round++) {
        uint8_t *bad = malloc(good.len);
        struct state load;
        memcpy(bad, good.buf, good.len);
        for (unsigned n = 0; n < 1 + round % 8; n++)
            bad[next_random(&seed) % good.len] = (uint8_t)next_random(&seed);
        state_init_load(&load, bad, good.len);
        device_state_all(&r->devices, &load);
        state_free(&load);
        free(bad);
        for (struct device *d = r->devices.head; d; d = d->next)
            d->ops->loaded(d);
        r->display->render(r->display->opaque, &r->screen);
        assert_true(r->screen.width <= 3840 && r->screen.height <= 2160);
        memmap_write(&r->mem, 0xafff8, 1, 8);
        in8(r, 0x3c9);
        out8(r, 0x3c9, 1);
    }
    state_free(&good);
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(test_identity),
        RIGGED(test_registers),
        RIGGED(test_crtc_protect),
        RIGGED(test_mono_and_colour_addresses),
        RIGGED(test_attribute_flip_flop),
        RIGGED(test_dac),
        RIGGED(test_retrace),
        RIGGED(test_data_path),
        RIGGED(test_ram_enable),
        RIGGED(test_linear_window),
        RIGGED(test_dirty_log),
        RIGGED(test_vbe_registers),
        RIGGED(test_vbe_clamps),
        RIGGED(test_vbe_window_and_clearing),
        RIGGED(test_mmio),
        RIGGED(test_abuse),
        RIGGED(test_state),
        RIGGED(test_hostile_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
