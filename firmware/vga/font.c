/* Fonts: INT 10h AH=11h, and what a mode set loads. The character generator reads plane 2, where a
 * font has 256 glyphs of 32 bytes each (IBM "Character Generator"). */
#include "vga.h"

enum {
    SR_MAP_MASK = 2,
    SR_CHAR_MAP = 3,
    SR_MEMORY_MODE = 4,
    GR_READ_MAP = 4,
    GR_MODE = 5,
    GR_MISC = 6,
    CR_V_RETRACE_END = 0x11,
    CR_OVERFLOW = 7,
    CR_MAX_SCAN = 9,
    CR_V_DISPLAY_END = 0x12,
    CR_UNDERLINE = 0x14,
    GLYPH_BYTES = 32,
};

/* The registers between the CPU and the planes. */
struct access {
    uint8_t map_mask, memory_mode, read_map, mode, misc;
};

/* Plane 2 alone at A0000h; what was there before is kept. */
static void open_plane_2(struct access *before)
{
    before->map_mask = in_index(PORT_SEQUENCER, SR_MAP_MASK);
    before->memory_mode = in_index(PORT_SEQUENCER, SR_MEMORY_MODE);
    before->read_map = in_index(PORT_GRAPHICS, GR_READ_MAP);
    before->mode = in_index(PORT_GRAPHICS, GR_MODE);
    before->misc = in_index(PORT_GRAPHICS, GR_MISC);
    out_index(PORT_SEQUENCER, SR_MAP_MASK, 4);
    out_index(PORT_SEQUENCER, SR_MEMORY_MODE, 7);
    out_index(PORT_GRAPHICS, GR_READ_MAP, 2);
    out_index(PORT_GRAPHICS, GR_MODE, 0);
    out_index(PORT_GRAPHICS, GR_MISC, 4);
}

static void close_plane_2(const struct access *before)
{
    out_index(PORT_SEQUENCER, SR_MAP_MASK, before->map_mask);
    out_index(PORT_SEQUENCER, SR_MEMORY_MODE, before->memory_mode);
    out_index(PORT_GRAPHICS, GR_READ_MAP, before->read_map);
    out_index(PORT_GRAPHICS, GR_MODE, before->mode);
    out_index(PORT_GRAPHICS, GR_MISC, before->misc);
}

/* Blocks 0 to 3 are 16 KiB apart, 4 to 7 lie between them. */
static uint16_t block_at(uint8_t block)
{
    return (uint16_t)((block & 3) << 14 | (block & 4) << 11);
}

static void load_glyphs(uint8_t block, uint16_t seg, uint16_t off, uint8_t height, uint16_t first,
                        uint16_t count)
{
    uint16_t to = block_at(block) + (uint16_t)(first * GLYPH_BYTES);
    if (height > GLYPH_BYTES)
        height = GLYPH_BYTES;
    if (count > 256)
        count = 256;
    struct access before;
    open_plane_2(&before);
    for (; count; count--, to += GLYPH_BYTES, off += height) {
        if (off > 0x10000 - GLYPH_BYTES) /* which a caller's font may cross */
            far_copy_bytes(0xa000, to, seg, off, height);
        else
            far_copy(0xa000, to, seg, off, height);
    }
    close_plane_2(&before);
}

static uint16_t rom_font(uint8_t height)
{
    const ROM uint8_t *font = height == 8 ? font8 : height == 14 ? font14 : font16;
    return (uint16_t)(uint32_t)font;
}

static void load_rom_font(uint8_t block, uint8_t height)
{
    load_glyphs(block, rom_segment(), rom_font(height), height, 0, 256);
}

void load_font(uint8_t char_height)
{
    load_rom_font(0, char_height);
    graphics_font(char_height);
}

/* The glyphs that text in graphics modes is drawn with. */
void graphics_font(uint8_t char_height)
{
    ivt[VECTOR_FONT].seg = rom_segment();
    ivt[VECTOR_FONT].off = rom_font(char_height);
}

/* --- Text of another height ------------------------------------------------------------------ */

/* Those the mode has, or bda.flags asked for when it was set; not what an earlier font left of
 * them. */
static uint16_t scan_lines(void)
{
    const ROM struct mode *m = mode_find(bda.mode);
    if (!m || m->layout != LAYOUT_TEXT)
        return 0;
    const ROM struct parameters *p = mode_parameters(m);
    return (uint16_t)((p->last_row + 1) * p->char_height);
}

/* As many rows as fit the lines that are shown, which end with the last row. */
static void fit_rows(uint8_t height)
{
    const uint8_t max_scan = in_index(bda.crtc, CR_MAX_SCAN);
    const uint16_t rows = scan_lines() / height;
    if (!rows || height > 32)
        return;
    uint16_t end = rows * height;
    if (max_scan & 0x80)
        end *= 2;
    end--;
    const uint8_t overflow = in_index(bda.crtc, CR_OVERFLOW);
    out_index(bda.crtc, CR_MAX_SCAN, (max_scan & 0xe0) | (height - 1));
    out_index(bda.crtc, CR_V_DISPLAY_END, (uint8_t)end);
    out_index(bda.crtc, CR_OVERFLOW, (overflow & ~0x42) | (end >> 7 & 2) | (end >> 3 & 0x40));
    if (bda.crtc == 0x3b4)
        out_index(bda.crtc, CR_UNDERLINE, height - 1);
    bda.char_height = height;
    bda.last_row = (uint8_t)(rows - 1);
    /* A page is what it shows, and IBM leaves some bytes behind it. */
    bda.page_bytes = (uint16_t)((rows * bda.columns * 2 + 0xff) & ~0xff);
    set_cursor_shape(bda.cursor_shape);
}

/* --- AH=11h ------------------------------------------------------------------------------- */

static void user_graphics_font(const struct regs *r, uint16_t seg, uint16_t off, uint16_t height)
{
    static ROM_DATA uint8_t rows[4] = {25, 14, 25, 43};
    ivt[VECTOR_FONT].off = off;
    ivt[VECTOR_FONT].seg = seg;
    bda.char_height = height;
    const uint8_t count = r->bl ? rows[r->bl & 3] : r->dl;
    bda.last_row = count - 1;
}

static void font_information(struct regs *r)
{
    struct far_ptr at = {0, rom_segment()};
    switch (r->bh) {
    case 0:
        at.off = ivt[VECTOR_FONT_HIGH].off;
        at.seg = ivt[VECTOR_FONT_HIGH].seg;
        break;
    case 1:
        at.off = ivt[VECTOR_FONT].off;
        at.seg = ivt[VECTOR_FONT].seg;
        break;
    case 2:
        at.off = rom_font(14);
        break;
    case 3:
        at.off = rom_font(8);
        break;
    case 4:
        at.off = rom_font(8) + 128 * 8;
        break;
    case 5: /* glyphs that replace others where characters have nine dots: none do */
    case 7:
        at.off = (uint16_t)(uint32_t)&font16[256 * 16];
        break;
    case 6:
        at.off = rom_font(16);
        break;
    default:
        return;
    }
    r->es = at.seg;
    r->bp = at.off;
    r->cx = bda.char_height;
    r->dl = bda.last_row;
}

void font_service(struct regs *r)
{
    /* From 10h on the same, and rows are fitted to the new height. */
    const bool fit = r->al & 0x10;
    switch (r->al) {
    case 0x00:
    case 0x10:
        load_glyphs(r->bl, r->es, r->bp, r->bh, r->dx & 0xff, r->cx);
        if (fit && r->bh)
            fit_rows(r->bh);
        break;
    case 0x01:
    case 0x11:
        load_rom_font(r->bl, 14);
        if (fit)
            fit_rows(14);
        break;
    case 0x02:
    case 0x12:
        load_rom_font(r->bl, 8);
        if (fit)
            fit_rows(8);
        break;
    case 0x04:
    case 0x14:
        load_rom_font(r->bl, 16);
        if (fit)
            fit_rows(16);
        break;
    case 0x03:
        out_index(PORT_SEQUENCER, SR_CHAR_MAP, r->bl);
        break;
    case 0x20:
        ivt[VECTOR_FONT_HIGH].off = r->bp;
        ivt[VECTOR_FONT_HIGH].seg = r->es;
        break;
    case 0x21:
        user_graphics_font(r, r->es, r->bp, r->cx);
        break;
    case 0x22:
        user_graphics_font(r, rom_segment(), rom_font(14), 14);
        break;
    case 0x23:
        user_graphics_font(r, rom_segment(), rom_font(8), 8);
        break;
    case 0x24:
        user_graphics_font(r, rom_segment(), rom_font(16), 16);
        break;
    case 0x30:
        font_information(r);
        break;
    }
}
