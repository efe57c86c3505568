/*
 * What a window is told to draw again: after whatever a guest does, the updated picture is the one
 * a full rendering gives, and lines that are not named have not changed.
 */
#include "device/vga_rig.h"

struct window {
    struct rig rig;
    struct surface shown, before;
};

static int setup(void **state)
{
    struct window *w = calloc(1, sizeof *w);
    assert_non_null(w);
    rig_open(&w->rig);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct window *w = *state;
    surface_free(&w->shown);
    surface_free(&w->before);
    rig_close(&w->rig);
    free(w);
    return 0;
}

static void keep(struct window *w)
{
    surface_free(&w->before);
    w->before = w->shown;
    if (!w->shown.pixels)
        return;
    const size_t bytes = (size_t)w->shown.width * w->shown.height * 4;
    w->before.pixels = malloc(bytes);
    memcpy(w->before.pixels, w->shown.pixels, bytes);
}

static bool has(const struct line_set *set, uint32_t line)
{
    return set->bits[line / 64] >> (line % 64) & 1;
}

static bool same_line(const struct surface *a, const struct surface *b, uint32_t y)
{
    return memcmp(a->pixels + (size_t)y * a->width, b->pixels + (size_t)y * b->width,
                  (size_t)a->width * 4) == 0;
}

/* Updates, checks the outcome, and returns how many lines were named. */
static unsigned update(struct window *w, struct line_set *changed)
{
    struct rig *r = &w->rig;
    unsigned lines = 0;
    *changed = (struct line_set){0};
    keep(w);
    const bool any = r->display->update(r->display->opaque, &w->shown, changed);
    r->display->render(r->display->opaque, &r->screen);
    assert_int_equal(w->shown.width, r->screen.width);
    assert_int_equal(w->shown.height, r->screen.height);
    const bool new_size = w->before.width != w->shown.width || w->before.height != w->shown.height;
    for (uint32_t y = 0; y < w->shown.height; y++) {
        if (!same_line(&w->shown, &r->screen, y))
            fail_msg("line %u is not as it should be", y);
        lines += has(changed, y);
        if (!has(changed, y) && (new_size || !same_line(&w->shown, &w->before, y)))
            fail_msg("line %u changed without a word", y);
    }
    for (uint32_t y = w->shown.height; y < DISPLAY_MAX_LINES; y++)
        assert_false(has(changed, y));
    assert_int_equal(any, lines != 0);
    return lines;
}

/* Glyphs are solid or have a hole, so that every character shows. */
static void load_font(struct rig *r)
{
    uint8_t *plane = ram_host(&r->ram, memmap_ram(&r->mem, LFB, true));
    for (unsigned code = 0; code < 256; code++)
        for (unsigned row = 0; row < 32; row++)
            plane[(code * 32 + row) * 4 + 2] = (uint8_t)(code + row + 1);
}

static void test_nothing_is_logged_without_a_window(void **state)
{
    struct window *w = *state;
    struct line_set changed;
    const ram_t vram = memmap_ram(&w->rig.mem, LFB, true);
    w->rig.display->render(w->rig.display->opaque, &w->rig.screen);
    assert_int_equal(ram_flags(&w->rig.ram, vram) & RAM_LOG, 0);
    update(w, &changed);
    assert_int_equal(ram_flags(&w->rig.ram, vram) & RAM_LOG, RAM_LOG);
}

static void test_text(void **state)
{
    struct window *w = *state;
    struct line_set changed;
    set_mode(&w->rig, &mode_3);
    load_font(&w->rig);
    out_index(&w->rig, 0x3d4, 0x0a, 0x20); /* no cursor */
    for (unsigned i = 0; i < 2000; i++)
        memmap_write(&w->rig.mem, 0xb8000 + 2 * i, 0x0720, 2);
    assert_int_equal(update(w, &changed), 400);
    assert_int_equal(update(w, &changed), 0);
    memmap_write(&w->rig.mem, 0xb8000 + 2 * (5 * 80 + 7), 0x0741, 2);
    assert_int_equal(update(w, &changed), 16);
    assert_true(has(&changed, 80) && has(&changed, 95));
    memmap_write(&w->rig.mem, 0xb8000 + 2 * (5 * 80 + 7), 0x0741, 2); /* the same again */
    assert_int_equal(update(w, &changed), 0);
    out_index(&w->rig, 0x3d4, 0x0d, 80); /* a line up */
    assert_true(update(w, &changed) >= 32);
}

/* How often something blinks, of so many lines at most. */
static unsigned turns_in_a_second(struct window *w, unsigned most)
{
    unsigned turns = 0;
    for (unsigned ms = 0; ms < 1000; ms += 10) {
        struct line_set changed;
        event_step(&w->rig.events, &w->rig.now_ns, 10 * NS_PER_MS);
        const unsigned lines = update(w, &changed);
        assert_in_range(lines, 0, most);
        turns += lines != 0;
    }
    return turns;
}

static void test_blinking_cursor(void **state)
{
    struct window *w = *state;
    struct line_set changed;
    set_mode(&w->rig, &mode_3);
    load_font(&w->rig);
    out_index(&w->rig, 0x3d4, 0x0f, 2 * 80);
    for (unsigned i = 0; i < 2000; i++)
        memmap_write(&w->rig.mem, 0xb8000 + 2 * i, 0x0720, 2);
    update(w, &changed);
    assert_in_range(turns_in_a_second(w, 2), 8, 9); /* 70 frames, one turn every eight */
}

/* Mode 0Fh has "blinking" for a colour. */
static void test_blinking_graphics(void **state)
{
    struct window *w = *state;
    struct line_set changed;
    set_mode(&w->rig, &mode_0fh);
    out_index(&w->rig, 0x3c4, 2, 4); /* plane 2 alone */
    memmap_write(&w->rig.mem, 0xa0000 + 100 * 80, 0xff, 1);
    update(w, &changed);
    assert_in_range(turns_in_a_second(w, 1), 4, 5); /* 70 frames, one turn every sixteen */
}

static void test_linear(void **state)
{
    struct window *w = *state;
    struct line_set changed;
    struct rig *r = &w->rig;
    out_attr(r, 0x20, 0);
    out_vbe(r, 1, 1024);
    out_vbe(r, 2, 768);
    out_vbe(r, 3, 32);
    out_vbe(r, 4, 0x41);
    assert_int_equal(update(w, &changed), 768);
    assert_int_equal(update(w, &changed), 0);
    memmap_write(&r->mem, LFB + 100 * 4096 + 16, 0x00ffffff, 4);
    memmap_write(&r->mem, LFB + 700 * 4096, 0x00ffffff, 4);
    assert_int_equal(update(w, &changed), 2);
    assert_true(has(&changed, 100) && has(&changed, 700));
    memmap_write(&r->mem, LFB + 4 * MiB, 1, 4); /* not shown */
    assert_int_equal(update(w, &changed), 0);
    const uint32_t line[2] = {0x112233, 0x445566}; /* a device writes */
    memmap_dma_write(&r->mem, LFB + 300 * 4096, line, sizeof line);
    assert_int_equal(update(w, &changed), 1);
    out_vbe(r, 9, 1); /* the picture begins a line further down */
    assert_int_equal(update(w, &changed), 6);
    out_vbe(r, 2, 600);
    out_vbe(r, 1, 800);
    assert_int_equal(update(w, &changed), 600);
}

/* Four planes, moved by a dot: the last eight dots of a line come from two groups of bytes. */
static void test_planar_offset(void **state)
{
    struct window *w = *state;
    struct line_set changed;
    struct rig *r = &w->rig;
    set_mode(r, &mode_12h); /* colours */
    out_vbe(r, 1, 1024);    /* 512 bytes a line, so that every eighth ends with a page */
    out_vbe(r, 2, 64);
    out_vbe(r, 3, 4);
    out_vbe(r, 4, 0x41);
    out_vbe(r, 8, 1);
    assert_int_equal(update(w, &changed), 64);
    memmap_write(&r->mem, 0xa0000 + 8 * 128, 0x80, 1); /* the first dot of line 8, last of line 7 */
    update(w, &changed);
    assert_true(has(&changed, 7));
}

static void set_random_mode(struct rig *r, uint32_t *seed)
{
    static const struct mode *const modes[] = {&mode_1, &mode_3,   &mode_7,  &mode_4,
                                               &mode_6, &mode_12h, &mode_13h};
    static const uint16_t depths[] = {4, 8, 15, 16, 24, 32};
    const unsigned n = next_random(seed) % (ARRAY_SIZE(modes) + 3);
    out_vbe(r, 4, 0);
    if (n < ARRAY_SIZE(modes)) {
        set_mode(r, modes[n]);
        return;
    }
    out_vbe(r, 1, (uint16_t)(next_random(seed) % 1100));
    out_vbe(r, 2, (uint16_t)(next_random(seed) % 800));
    out_vbe(r, 3, depths[next_random(seed) % ARRAY_SIZE(depths)]);
    out_vbe(r, 4, 0x41);
}

static void act(struct rig *r, uint32_t *seed)
{
    const uint32_t what = next_random(seed), at = next_random(seed), value = next_random(seed);
    switch (what % 10) {
    case 0:
    case 1:
    case 2:
        memmap_write(&r->mem, 0xa0000 + at % 0x20000, value & 0xff, 1);
        break;
    case 3:
    case 4:
        memmap_write(&r->mem, LFB + (at % (4 * MiB) & ~UINT32_C(3)), value, 4);
        break;
    case 5:
        out_index(r, 0x3d4, (uint8_t)(8 + at % 0x11), (uint8_t)value);
        break;
    case 6:
        out8(r, 0x3c8, (uint8_t)at);
        for (unsigned i = 0; i < 3; i++)
            out8(r, 0x3c9, (uint8_t)(value >> (8 * i)));
        break;
    case 7:
        out_index(r, 0x3c4, (uint8_t)(1 + at % 4), (uint8_t)value);
        out_index(r, 0x3ce, (uint8_t)(at >> 8) % 9, (uint8_t)(value >> 8));
        break;
    case 8:
        out_attr(r, (uint8_t)(at % 0x15) | 0x20, (uint8_t)value);
        out_vbe(r, (uint16_t)(8 + at % 2), (uint16_t)(value % 64));
        break;
    default:
        event_step(&r->events, &r->now_ns, value % (100 * NS_PER_MS));
        break;
    }
}

static void test_random(void **state)
{
    struct window *w = *state;
    uint32_t seed = (uint32_t)test_seed(2463534242u);
    struct line_set changed;
    load_font(&w->rig);
    for (unsigned round = 0; round < 60; round++) {
        set_random_mode(&w->rig, &seed);
        for (unsigned i = 0; i < 12; i++) {
            for (unsigned n = next_random(&seed) % 8; n; n--)
                act(&w->rig, &seed);
            update(w, &changed);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nothing_is_logged_without_a_window, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blinking_cursor, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blinking_graphics, setup, teardown),
        cmocka_unit_test_setup_teardown(test_planar_offset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linear, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
