/*
 * VGA pictures: each mode is set as a BIOS does, drawn into through the CPU's window, and every
 * pixel compared with what the manual says it is; some whole screens by hash as well.
 */
#include "device/vga_rig.h"

#include <inttypes.h>
#include <stdio.h>

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

static void render(struct rig *r, unsigned width, unsigned height)
{
    assert_true(r->display->render(r->display->opaque, &r->screen));
    assert_int_equal(r->screen.width, width);
    assert_int_equal(r->screen.height, height);
}

static void check_pixel(const struct rig *r, unsigned x, unsigned y, uint32_t want)
{
    if (pixel(r, x, y) != want)
        fail_msg("pixel %u,%u is %06x, not %06x", x, y, pixel(r, x, y), want);
}

/* A picture that differs is left behind to be looked at. */
static void check_hash(const struct rig *r, const char *name, uint64_t want)
{
    const uint64_t hash = surface_hash(&r->screen);
    if (hash == want)
        return;
    char path[80];
    struct error err = {0};
    snprintf(path, sizeof path, "failed-vga-%s.png", name);
    surface_write(&r->screen, path, SURFACE_PNG, &err);
    fail_msg("%s: hash %016" PRIx64 ", expected %016" PRIx64 "; picture in %s. If it is right, "
             "put the hash into this test.",
             name, hash, want, path);
}

/* --- Text ----------------------------------------------------------------------------------- */

/* A made-up font: no two glyphs alike, all dots used. */
static uint8_t glyph(unsigned font, unsigned code, unsigned row)
{
    return (uint8_t)((code * 37 + row * 11 + font * 101) ^ (code >> 3) ^ (row << 4));
}

static uint32_t font_offset(unsigned font)
{
    return (font & 3) * 0x4000 + (font >> 2) * 0x2000;
}

/* As the BIOS' character generator functions do it: plane 2, sequential, at A0000h. */
static void load_font(struct rig *r, const struct mode *m, unsigned font)
{
    out_index(r, 0x3c4, 2, 4);
    out_index(r, 0x3c4, 4, 6);
    out_index(r, 0x3ce, 4, 2);
    out_index(r, 0x3ce, 5, 0);
    out_index(r, 0x3ce, 6, 4);
    for (unsigned code = 0; code < 256; code++)
        for (unsigned row = 0; row < 32; row++)
            memmap_write(&r->mem, 0xa0000 + font_offset(font) + code * 32 + row,
                         glyph(font, code, row), 1);
    out_index(r, 0x3c4, 2, 3);
    out_index(r, 0x3c4, 4, m->sr[3]);
    for (unsigned i = 4; i < 7; i++)
        out_index(r, 0x3ce, (uint8_t)i, m->gr[i]);
}

static uint16_t cell(unsigned column, unsigned row)
{
    return (uint16_t)((column * 5 + row * 83) * 257 + (column << 9));
}

static void fill_text(struct rig *r, gpa_t at, unsigned columns, unsigned rows)
{
    for (unsigned i = 0; i < columns * rows; i++)
        memmap_write(&r->mem, at + 2 * i, cell(i % columns, i / columns), 2);
}

/* Colour number of a dot (0..15) as the attribute says; blinking characters are shown or not. */
static unsigned text_dot(uint16_t cell, unsigned font, unsigned dot, unsigned row, bool blink_on)
{
    const unsigned code = cell & 0xff, attr = cell >> 8;
    const bool joined = dot == 8 && code >= 0xc0 && code < 0xe0;
    const bool lit =
        dot == 8 ? joined && glyph(font, code, row) & 1 : glyph(font, code, row) >> (7 - dot) & 1;
    if (lit && (blink_on || !(attr & 0x80)))
        return attr & 15;
    return attr >> 4 & 7;
}

static void test_text(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    load_font(r, &mode_3, 0);
    fill_text(r, 0xb8000, 80, 25);
    out_index(r, 0x3d4, 0x0a, 0x20); /* no cursor */
    for (unsigned phase = 0; phase < 2; phase++) {
        render(r, 720, 400);
        for (unsigned y = 0; y < 400; y++)
            for (unsigned x = 0; x < 720; x++)
                check_pixel(
                    r, x, y,
                    test_colour(
                        mode_3.ar[text_dot(cell(x / 9, y / 16), 0, x % 9, y % 16, phase == 0)]));
        if (phase == 0)
            check_hash(r, "text", UINT64_C(0x59ad86d0e46dd470));
        event_step(&r->events, &r->now_ns, 230 * NS_PER_MS); /* half a blink at 70 Hz */
    }
    /* Without blinking, attribute bit 7 is a bright background; plane enable cuts colours. */
    out_attr(r, 0x10, 0x04);
    out_attr(r, 0x12, 0x07);
    out8(r, 0x3c0, 0x20);
    render(r, 720, 400);
    memmap_write(&r->mem, 0xb8000, 0xf800 | 'A', 2);
    render(r, 720, 400);
    for (unsigned x = 0; x < 8; x++)
        check_pixel(r, x, 0, test_colour(glyph(0, 'A', 0) >> (7 - x) & 1 ? 0 : mode_3.ar[7]));
}

static void test_text_40_columns(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_1);
    load_font(r, &mode_1, 0);
    fill_text(r, 0xb8000, 40, 25);
    out_index(r, 0x3d4, 0x0a, 0x20);
    render(r, 720, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 720; x++)
            check_pixel(
                r, x, y,
                test_colour(mode_1.ar[text_dot(cell(x / 18, y / 16), 0, x / 2 % 9, y % 16, true)]));
}

/* Eight dots a character: no ninth column. */
static void test_text_8_dots(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    load_font(r, &mode_3, 0);
    fill_text(r, 0xb8000, 80, 25);
    out_index(r, 0x3d4, 0x0a, 0x20);
    out_index(r, 0x3c4, 1, 1);
    out_attr(r, 0x13, 0);
    out8(r, 0x3c0, 0x20);
    render(r, 640, 400);
    for (unsigned x = 0; x < 640; x++)
        check_pixel(r, x, 37, test_colour(mode_3.ar[text_dot(cell(x / 8, 2), 0, x % 8, 5, true)]));
}

/* 512 characters: attribute bit 3 picks the font; every place a font may lie is tried. */
static void test_two_fonts(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    out_index(r, 0x3d4, 0x0a, 0x20);
    for (unsigned font = 0; font < 8; font++)
        load_font(r, &mode_3, font);
    fill_text(r, 0xb8000, 80, 25);
    for (unsigned a = 0; a < 8; a++) {
        const unsigned b = 7 - a;
        const unsigned map = (b & 3) | (b & 4) << 2 | (a & 3) << 2 | (a & 4) << 3;
        out_index(r, 0x3c4, 3, (uint8_t)map);
        render(r, 720, 400);
        for (unsigned x = 0; x < 720; x++) {
            const uint16_t c = cell(x / 9, 20);
            check_pixel(r, x, 329,
                        test_colour(mode_3.ar[text_dot(c, c & 0x800 ? a : b, x % 9, 9, true)]));
        }
    }
}

static void test_cursor(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    for (unsigned i = 0; i < 2000; i++)
        memmap_write(&r->mem, 0xb8000 + 2 * i, 0x1e20, 2);
    out_index(r, 0x3d4, 0x0e, (12 * 80 + 34) >> 8);
    out_index(r, 0x3d4, 0x0f, (12 * 80 + 34) & 0xff);
    for (unsigned phase = 0; phase < 2; phase++) {
        render(r, 720, 400);
        for (unsigned y = 0; y < 400; y++)
            for (unsigned x = 0; x < 720; x++) {
                const bool inside =
                    phase == 0 && x / 9 == 34 && (y == 12 * 16 + 13 || y == 12 * 16 + 14);
                check_pixel(r, x, y, test_colour(mode_3.ar[inside ? 14 : 1]));
            }
        event_step(&r->events, &r->now_ns, 115 * NS_PER_MS); /* eight frames */
    }
    event_step(&r->events, &r->now_ns, 115 * NS_PER_MS);
    out_index(r, 0x3d4, 0x0a, 0x0f); /* starts below its end: none */
    render(r, 720, 400);
    check_pixel(r, 34 * 9, 12 * 16 + 14, test_colour(1));
}

static void test_monochrome(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_7);
    memmap_write(&r->mem, 0xb0000, 0x0141, 2); /* underlined */
    memmap_write(&r->mem, 0xb0002, 0x0741, 2);
    memmap_write(&r->mem, 0xb0004, 0x0942, 2); /* underlined, bright */
    out_index(r, 0x3b4, 0x0a, 0x20);
    render(r, 720, 400);
    for (unsigned x = 0; x < 8; x++) {
        check_pixel(r, x, 13, test_colour(0x08));
        check_pixel(r, x, 12, test_colour(0));
        check_pixel(r, x + 9, 13, test_colour(0));
        check_pixel(r, x + 18, 13, test_colour(0x18));
    }
    char text[3000];
    r->display->text(r->display->opaque, text, sizeof text);
    assert_memory_equal(text, "AAB\n\n", 5);
}

/* The picture moves as a whole: compare with one taken at rest. */
static void test_panning(void **state)
{
    struct rig *r = *state;
    struct surface rest = {0};
    set_mode(r, &mode_3);
    load_font(r, &mode_3, 0);
    fill_text(r, 0xb8000, 80, 50);
    out_index(r, 0x3d4, 0x0a, 0x20);
    render(r, 720, 400);
    assert_true(r->display->render(r->display->opaque, &rest));
    for (unsigned pan = 0; pan < 9; pan++) {
        out_attr(r, 0x13, (uint8_t)(pan ? pan - 1 : 8));
        out8(r, 0x3c0, 0x20);
        out_index(r, 0x3d4, 8, (uint8_t)(pan | 2 << 5)); /* also down and two characters right */
        out_index(r, 0x3d4, 0x0d, 80 + 1);
        render(r, 720, 400);
        for (unsigned y = 0; y < 400 - 32; y++)
            for (unsigned x = 0; x < 720 - 36; x++)
                assert_int_equal(pixel(r, x, y), rest.pixels[(y + 16 + pan) * 720 + x + pan + 27]);
    }
    surface_free(&rest);
}

/* Below the line compare the screen starts anew at address 0, panned or not as AR10 bit 5 says. */
static void test_split(void **state)
{
    struct rig *r = *state;
    struct surface top = {0};
    set_mode(r, &mode_3);
    load_font(r, &mode_3, 0);
    fill_text(r, 0xb8000, 80, 100);
    out_index(r, 0x3d4, 0x0a, 0x20);
    render(r, 720, 400);
    assert_true(r->display->render(r->display->opaque, &top));
    const unsigned line = 299; /* 12Bh */
    out_index(r, 0x3d4, 0x18, line & 0xff);
    out_index(r, 0x3d4, 0x07, 0x1f);
    out_index(r, 0x3d4, 0x09, 0x0f);
    out_index(r, 0x3d4, 0x0c, 0x03);
    out_index(r, 0x3d4, 0x0d, 0x20); /* 320h: row 10 */
    out_attr(r, 0x13, 3);
    for (unsigned top_only = 0; top_only < 2; top_only++) {
        out_attr(r, 0x10, top_only ? 0x2c : 0x0c);
        out8(r, 0x3c0, 0x20);
        render(r, 720, 400);
        for (unsigned y = 0; y < 400; y++)
            for (unsigned x = 0; x < 700; x++) {
                const bool below = y > line;
                const unsigned from = below ? y - line - 1 : y + 160;
                if (from < 400)
                    assert_int_equal(pixel(r, x, y),
                                     top.pixels[from * 720 + x + (below && top_only ? 0 : 4)]);
            }
    }
    surface_free(&top);
}

static void put_text(struct rig *r, unsigned at, const char *s)
{
    for (; *s; s++, at++)
        memmap_write(&r->mem, 0xb8000 + 2 * at, 0x0700 | (uint8_t)*s, 2);
}

static void test_text_as_text(void **state)
{
    struct rig *r = *state;
    char text[8000];
    set_mode(r, &mode_3);
    put_text(r, 0, "GNU GRUB  version 2.06");
    put_text(r, 80 * 2 + 1, "\xda\xc4\xbf \x01 \x82t\x82 \xe3 \xfb\xff");
    put_text(r, 80 * 24 + 79, "!");
    const size_t len = r->display->text(r->display->opaque, text, sizeof text);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(text, "GNU GRUB  version 2.06\n\n ┌─┐ ☺ été π √\n", 48);
    assert_string_equal(text + len - 81, "                                        "
                                         "                                       !\n");
    unsigned lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 25);
    /* Cut off between characters, never within one. */
    assert_int_equal(r->display->text(r->display->opaque, text, 27), 25);
    assert_int_equal(r->display->text(r->display->opaque, text, 28), 25);
    assert_int_equal(r->display->text(r->display->opaque, text, 29), 28);
    assert_int_equal(r->display->text(r->display->opaque, text, 1), 0);
    set_mode(r, &mode_12h);
    assert_int_equal(r->display->text(r->display->opaque, text, sizeof text), 0);
}

static void test_blank(void **state)
{
    struct rig *r = *state;
    assert_false(r->display->render(r->display->opaque, &r->screen));
    set_mode(r, &mode_3);
    fill_text(r, 0xb8000, 80, 25);
    render(r, 720, 400);
    out_index(r, 0x3c4, 1, 0x20);
    assert_false(r->display->render(r->display->opaque, &r->screen));
    for (unsigned x = 0; x < 720; x++)
        check_pixel(r, x, 200, 0);
    out_index(r, 0x3c4, 1, 0x00);
    render(r, 720, 400);
    in8(r, 0x3da);
    out8(r, 0x3c0, 0);
    assert_false(r->display->render(r->display->opaque, &r->screen));
}

/* --- Graphics ------------------------------------------------------------------------------- */

static unsigned wanted(unsigned x, unsigned y)
{
    return x * 7 + y * 3 + (x * y >> 5);
}

/* One pixel the way the BIOS does: bit mask, set/reset, a read for the latches. */
static void plot_planar(struct rig *r, unsigned x, unsigned y, unsigned colour)
{
    const gpa_t at = 0xa0000 + y * 80 + x / 8;
    out_index(r, 0x3ce, 8, (uint8_t)(0x80 >> (x & 7)));
    out_index(r, 0x3ce, 0, (uint8_t)colour);
    memmap_read(&r->mem, at, 1);
    memmap_write(&r->mem, at, 0xff, 1);
}

static void test_mode_12h(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_12h);
    out_index(r, 0x3ce, 1, 15);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            plot_planar(r, x, y, wanted(x, y) & 15);
    render(r, 640, 480);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            check_pixel(r, x, y, test_colour(mode_12h.ar[wanted(x, y) & 15]));
    check_hash(r, "12h", UINT64_C(0x76b3aa5a270e6245));
    /* Panned by five pixels; colour select supplies bits 7 to 4. */
    out_attr(r, 0x13, 5);
    out_attr(r, 0x10, 0x81);
    out_attr(r, 0x14, 0x0e);
    out8(r, 0x3c0, 0x20);
    render(r, 640, 480);
    for (unsigned x = 0; x < 632; x++)
        check_pixel(r, x, 99, test_colour((mode_12h.ar[wanted(x + 5, 99) & 15] & 0x0f) | 0xe0));
}

static void test_mode_13h(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_13h);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 320; x++)
            memmap_write(&r->mem, 0xa0000 + y * 320 + x, (uint8_t)wanted(x, y), 1);
    render(r, 640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            check_pixel(r, x, y, test_colour(wanted(x / 2, y / 2) & 255));
    check_hash(r, "13h", UINT64_C(0xa8ebf091f5e47174));
    out8(r, 0x3c6, 0x0f);
    render(r, 640, 400);
    check_pixel(r, 100, 100, test_colour(wanted(50, 50) & 15));
    out8(r, 0x3c6, 0xff);
    out_index(r, 0x3d4, 0x0d, 80); /* one line down, in units of four pixels */
    render(r, 640, 400);
    check_pixel(r, 100, 100, test_colour(wanted(50, 51) & 255));
}

/* Mode X: 320x240, unchained, four pixels to an address. */
static void test_mode_x(void **state)
{
    struct rig *r = *state;
    static const uint8_t crtc[][2] = {{0x06, 0x0d}, {0x07, 0x3e}, {0x09, 0x41}, {0x10, 0xea},
                                      {0x11, 0xac}, {0x12, 0xdf}, {0x14, 0x00}, {0x15, 0xe7},
                                      {0x16, 0x06}, {0x17, 0xe3}};
    set_mode(r, &mode_13h);
    out_index(r, 0x3c4, 4, 6);
    out8(r, 0x3c2, 0xe3);
    out_index(r, 0x3d4, 0x11, 0x2c);
    for (unsigned i = 0; i < ARRAY_SIZE(crtc); i++)
        out_index(r, 0x3d4, crtc[i][0], crtc[i][1]);
    const unsigned page = 19200;
    for (unsigned y = 0; y < 240; y++)
        for (unsigned x = 0; x < 320; x++) {
            out_index(r, 0x3c4, 2, (uint8_t)(1u << (x & 3)));
            memmap_write(&r->mem, 0xa0000 + page + y * 80 + x / 4, (uint8_t)wanted(x, y), 1);
        }
    out_index(r, 0x3d4, 0x0c, page >> 8);
    out_index(r, 0x3d4, 0x0d, page & 0xff);
    render(r, 640, 480);
    for (unsigned y = 0; y < 480; y++)
        for (unsigned x = 0; x < 640; x++)
            check_pixel(r, x, y, test_colour(wanted(x / 2, y / 2) & 255));
}

/* CGA: odd lines 2000h further on; four colours in planes 0 and 1 by odd and even bytes. */
static void test_mode_4(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_4);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 320; x += 4) {
            unsigned byte = 0;
            for (unsigned i = 0; i < 4; i++)
                byte |= (wanted(x + i, y) & 3) << (6 - 2 * i);
            memmap_write(&r->mem, 0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 4, byte, 1);
        }
    render(r, 640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            check_pixel(r, x, y, test_colour(mode_4.ar[wanted(x / 2, y / 2) & 3]));
}

static void test_mode_6(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_6);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 640; x += 8) {
            unsigned byte = 0;
            for (unsigned i = 0; i < 8; i++)
                byte |= (wanted(x + i, y) & 1) << (7 - i);
            memmap_write(&r->mem, 0xb8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 8, byte, 1);
        }
    render(r, 640, 400);
    for (unsigned y = 0; y < 400; y++)
        for (unsigned x = 0; x < 640; x++)
            check_pixel(r, x, y, test_colour(mode_6.ar[wanted(x, y / 2) & 1]));
}

/* Monochrome graphics: black, lit, blinking (planes 2 alone), intense; only the third blinks. */
static void test_mode_0f(void **state)
{
    struct rig *r = *state;
    static const uint8_t entry[2][4] = {{0x00, 0x08, 0x18, 0x18}, {0x00, 0x08, 0x00, 0x18}};
    set_mode(r, &mode_0fh);
    out_index(r, 0x3c4, 2, 1);
    memmap_write(&r->mem, 0xa0000, 0x55, 1);
    out_index(r, 0x3c4, 2, 4);
    memmap_write(&r->mem, 0xa0000, 0x33, 1);
    for (unsigned off = 0; off < 4; off++) {
        render(r, 640, 350);
        for (unsigned x = 0; x < 8; x++)
            check_pixel(r, x, 0, test_colour(entry[off & 1][x & 3]));
        event_step(&r->events, &r->now_ns, 230 * NS_PER_MS); /* half a blink at 70 Hz */
    }
}

/* --- VBE ------------------------------------------------------------------------------------ */

static void set_vbe(struct rig *r, unsigned xres, unsigned yres, unsigned bpp)
{
    set_mode(r, &mode_12h);
    out_vbe(r, 4, 0);
    out_vbe(r, 1, (uint16_t)xres);
    out_vbe(r, 2, (uint16_t)yres);
    out_vbe(r, 3, (uint16_t)bpp);
    out_vbe(r, 4, 0x41);
}

/* What a value of that depth looks like: fields widened by repeating their upper bits. */
static uint32_t vbe_colour(unsigned bpp, uint32_t value)
{
    unsigned r, g, b;
    switch (bpp) {
    case 8:
        return test_colour(value & 255);
    case 15:
        r = value >> 10 & 31, g = value >> 5 & 31, b = value & 31;
        return (r * 33 / 4) << 16 | (g * 33 / 4) << 8 | b * 33 / 4;
    case 16:
        r = value >> 11 & 31, g = value >> 5 & 63, b = value & 31;
        return (r * 33 / 4) << 16 | (g * 65 / 16) << 8 | b * 33 / 4;
    default:
        return value & 0xffffff;
    }
}

static void test_vbe_depths(void **state)
{
    struct rig *r = *state;
    static const unsigned depths[] = {8, 15, 16, 24, 32};
    for (unsigned d = 0; d < ARRAY_SIZE(depths); d++) {
        const unsigned bpp = depths[d], bytes = (bpp + 7) / 8;
        set_vbe(r, 1024, 768, bpp);
        out_vbe(r, 6, 1040); /* wider than shown, and moved */
        out_vbe(r, 8, 11);
        out_vbe(r, 9, 5);
        for (unsigned y = 0; y < 768; y += 7)
            for (unsigned x = 0; x < 1024; x += 3) {
                const gpa_t at = LFB + (gpa_t)((y + 5) * 1040 + x + 11) * bytes;
                const uint32_t value = wanted(x, y) * 2654435761u;
                memmap_dma_write(&r->mem, at, &value, bytes);
            }
        render(r, 1024, 768);
        for (unsigned y = 0; y < 768; y += 7)
            for (unsigned x = 0; x < 1024; x += 3)
                check_pixel(r, x, y, vbe_colour(bpp, wanted(x, y) * 2654435761u));
        if (bpp == 32)
            check_hash(r, "1024x768x32", UINT64_C(0x9852f8f73033da77));
    }
}

/* 800x600 in 16 colours: planar through the window, more than 64 KiB a plane with the bank. */
static void test_vbe_planar(void **state)
{
    struct rig *r = *state;
    set_vbe(r, 1600, 1200, 4);
    out_index(r, 0x3ce, 1, 15);
    for (unsigned y = 0; y < 1200; y += 13)
        for (unsigned x = 0; x < 1600; x += 5) {
            const unsigned at = y * 200 + x / 8;
            out_vbe(r, 5, (uint16_t)(at >> 16));
            out_index(r, 0x3ce, 8, (uint8_t)(0x80 >> (x & 7)));
            out_index(r, 0x3ce, 0, wanted(x, y) & 15);
            memmap_read(&r->mem, 0xa0000 + (at & 0xffff), 1);
            memmap_write(&r->mem, 0xa0000 + (at & 0xffff), 0, 1);
        }
    render(r, 1600, 1200);
    for (unsigned y = 0; y < 1200; y += 13)
        for (unsigned x = 0; x < 1600; x += 5)
            check_pixel(r, x, y, test_colour(mode_12h.ar[wanted(x, y) & 15]));
    out_vbe(r, 1, 1280);
    out_vbe(r, 8, 15);
    render(r, 1280, 1200);
    check_pixel(r, 50, 26, test_colour(mode_12h.ar[wanted(65, 26) & 15]));
}

/* After VBE the text screen is as it was, but for what the clearing took. */
static void test_vbe_and_back(void **state)
{
    struct rig *r = *state;
    set_mode(r, &mode_3);
    load_font(r, &mode_3, 0);
    fill_text(r, 0xb8000, 80, 25);
    out_index(r, 0x3d4, 0x0a, 0x20);
    render(r, 720, 400);
    const uint64_t hash = surface_hash(&r->screen);
    out_vbe(r, 1, 640);
    out_vbe(r, 2, 480);
    out_vbe(r, 3, 32);
    out_vbe(r, 4, 0xc1);
    render(r, 640, 480);
    out_vbe(r, 4, 0);
    render(r, 720, 400);
    assert_true(surface_hash(&r->screen) == hash);
    assert_int_equal(memmap_read(&r->mem, 0xb8002, 2), cell(1, 0));
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        RIGGED(test_text),         RIGGED(test_text_40_columns), RIGGED(test_text_8_dots),
        RIGGED(test_two_fonts),    RIGGED(test_cursor),          RIGGED(test_monochrome),
        RIGGED(test_panning),      RIGGED(test_split),           RIGGED(test_text_as_text),
        RIGGED(test_blank),        RIGGED(test_mode_12h),        RIGGED(test_mode_13h),
        RIGGED(test_mode_x),       RIGGED(test_mode_4),          RIGGED(test_mode_6),
        RIGGED(test_mode_0f),      RIGGED(test_vbe_depths),      RIGGED(test_vbe_planar),
        RIGGED(test_vbe_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
