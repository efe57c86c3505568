/*
 * Glyphs, lines and pixels in graphics modes. Each layout of memory says here once how a line is
 * found and how eight dots of a character become bytes:
 *
 *      CGA4, CGA2   segment B800h: 80 bytes a line, odd lines 2000h higher; 2 or 1 bytes a
 * character planar       segment A000h: a byte a character, in four planes at a time packed segment
 * A000h: 8 bytes a character VBE          memory of any size, of which the bank register shows 64
 * KiB at A0000h
 */
#include "vga.h"

enum {
    SR_MAP_MASK = 2,
    GR_SET_RESET = 0,
    GR_ENABLE_SET_RESET = 1,
    GR_ROTATE = 3,
    GR_READ_MAP = 4,
    GR_MODE = 5,
    GR_BIT_MASK = 8,
    ROTATE_XOR = 0x18,
    ATTRIBUTE_XOR = 0x80,
};

static void gr(uint8_t index, uint8_t value)
{
    out_index(PORT_GRAPHICS, index, value);
}

/* What planar code leaves behind, which is what software expects. */
static void gr_restore(void)
{
    gr(GR_SET_RESET, 0);
    gr(GR_ENABLE_SET_RESET, 0);
    gr(GR_ROTATE, 0);
    gr(GR_MODE, 0);
    gr(GR_BIT_MASK, 0xff);
}

/* --- Where things are --------------------------------------------------------------------- */

static uint32_t line_at(const struct screen *s, uint8_t page, uint16_t y)
{
    switch (s->layout) {
    case LAYOUT_CGA4:
    case LAYOUT_CGA2:
        return (y >> 1) * 80u + (y & 1) * 0x2000u;
    case LAYOUT_PLANAR:
        return (uint16_t)(page * bda.page_bytes + y * s->line_bytes);
    default:
        return y * s->line_bytes;
    }
}

static uint16_t cell_bytes(const struct screen *s)
{
    switch (s->layout) {
    case LAYOUT_CGA4:
        return 2;
    case LAYOUT_CGA2:
    case LAYOUT_PLANAR:
        return 1;
    default:
        return 8 * s->pixel_bytes;
    }
}

/* Memory at "at" as an offset in the segment, the bank being made right; *room is how far it goes.
 */
static uint16_t window_at(const struct screen *s, uint32_t at, uint32_t *room)
{
    *room = 0x10000 - (at & 0xffff);
    if (s->layout == LAYOUT_VBE)
        dispi_write(DISPI_BANK, (uint16_t)(at >> 16));
    return (uint16_t)at;
}

static void put_bytes(const struct screen *s, uint32_t at, const uint8_t *bytes, uint16_t count)
{
    while (count) {
        uint32_t room;
        const uint16_t off = window_at(s, at, &room);
        const uint16_t n = count < room ? count : (uint16_t)room;
        far_copy(s->segment, off, stack_segment(), (uint16_t)(uint32_t)bytes, n);
        at += n;
        bytes += n;
        count -= n;
    }
}

static void get_bytes(const struct screen *s, uint32_t at, uint8_t *bytes, uint16_t count)
{
    while (count) {
        uint32_t room;
        const uint16_t off = window_at(s, at, &room);
        const uint16_t n = count < room ? count : (uint16_t)room;
        far_copy(stack_segment(), (uint16_t)(uint32_t)bytes, s->segment, off, n);
        at += n;
        bytes += n;
        count -= n;
    }
}

/* --- Colours ------------------------------------------------------------------------------ */

/* One of 16 (256 where pixels are bytes) colours as a pixel of a VBE mode. */
static uint32_t vbe_colour(const struct screen *s, uint8_t colour)
{
    if (s->pixel_bytes == 1)
        return colour;
    /* The text colours, of which bit 3 is intensity; dark yellow is brown. */
    const uint32_t low = colour & 8 ? 0x55 : 0, high = low + 0xaa;
    const uint32_t red = colour & 4 ? high : low, blue = colour & 1 ? high : low;
    uint32_t green = colour & 2 ? high : low;
    if ((colour & 15) == 6)
        green = 0x55;
    if (s->pixel_bytes > 2)
        return red << 16 | green << 8 | blue;
    if (dispi_read(DISPI_BPP) == 15)
        return red >> 3 << 10 | green >> 3 << 5 | blue >> 3;
    return red >> 3 << 11 | green >> 2 << 5 | blue >> 3;
}

/* Eight dots of a character's line, a set bit in fg and a clear one in bg, in this mode's bytes. */
static void expand(const struct screen *s, uint8_t dots, uint32_t fg, uint32_t bg, uint8_t out[32])
{
    if (s->layout == LAYOUT_CGA2) {
        out[0] = (uint8_t)((dots & (fg & 1 ? 0xff : 0)) | (~dots & (bg & 1 ? 0xff : 0)));
        return;
    }
    if (s->layout == LAYOUT_CGA4) {
        uint16_t pixels = 0;
        for (unsigned i = 0; i < 8; i++)
            pixels = (uint16_t)(pixels << 2 | ((dots << i & 0x80 ? fg : bg) & 3));
        out[0] = (uint8_t)(pixels >> 8);
        out[1] = (uint8_t)pixels;
        return;
    }
    for (unsigned i = 0; i < 8; i++, dots <<= 1) {
        uint32_t pixel = dots & 0x80 ? fg : bg;
        for (unsigned n = s->pixel_bytes; n; n--, pixel >>= 8)
            *out++ = (uint8_t)pixel;
    }
}

/* --- Lines -------------------------------------------------------------------------------- */

void copy_line(const struct screen *s, uint8_t page, uint16_t to_y, uint16_t from_y,
               uint16_t column, uint16_t columns)
{
    const uint16_t cell = cell_bytes(s);
    uint32_t to = line_at(s, page, to_y) + column * cell;
    uint32_t from = line_at(s, page, from_y) + column * cell;
    uint32_t bytes = columns * cell;
    if (s->layout == LAYOUT_PLANAR) {
        gr(GR_MODE, 1); /* the latches, all planes at a time */
        far_copy_bytes(s->segment, (uint16_t)to, s->segment, (uint16_t)from, (uint16_t)bytes);
        gr(GR_MODE, 0);
        return;
    }
    if (s->layout != LAYOUT_VBE) {
        far_copy(s->segment, (uint16_t)to, s->segment, (uint16_t)from, (uint16_t)bytes);
        return;
    }
    if (bytes >= 512 && framebuffer_copy(to, from, bytes))
        return;
    /* The two may be in different banks: by way of the stack. */
    uint8_t part[128];
    while (bytes) {
        const uint16_t n = bytes < sizeof part ? (uint16_t)bytes : sizeof part;
        get_bytes(s, from, part, n);
        put_bytes(s, to, part, n);
        from += n;
        to += n;
        bytes -= n;
    }
}

bool copy_lines(const struct screen *s, uint16_t to_y, uint16_t from_y, uint16_t lines,
                uint16_t columns)
{
    const uint32_t line = columns * cell_bytes(s);
    return s->layout == LAYOUT_VBE && line == s->line_bytes &&
           framebuffer_copy(to_y * line, from_y * line, lines * line);
}

void fill_line(const struct screen *s, uint8_t page, uint16_t y, uint16_t column, uint16_t columns,
               uint8_t colour)
{
    const uint16_t cell = cell_bytes(s);
    uint32_t at = line_at(s, page, y) + column * cell;
    if (s->layout == LAYOUT_PLANAR) {
        gr(GR_SET_RESET, colour & 15);
        gr(GR_ENABLE_SET_RESET, 15);
        far_fill8(s->segment, (uint16_t)at, 0, columns);
        gr_restore();
        return;
    }
    uint8_t dots[32];
    const uint32_t pixel = s->layout == LAYOUT_VBE ? vbe_colour(s, colour) : colour;
    expand(s, 0, 0, pixel, dots);
    for (; columns; columns--, at += cell)
        put_bytes(s, at, dots, cell);
}

/* --- Glyphs ------------------------------------------------------------------------------- */

/* Line y of character c, from the fonts that the vectors point to. */
static uint8_t glyph_line(const struct screen *s, uint8_t c, uint16_t y)
{
    const bool cga = s->layout == LAYOUT_CGA4 || s->layout == LAYOUT_CGA2;
    if (cga && c >= 0x80)
        return far_get8(ivt[VECTOR_FONT_HIGH].seg,
                        (uint16_t)(ivt[VECTOR_FONT_HIGH].off + (c - 0x80) * 8 + y));
    return far_get8(ivt[VECTOR_FONT].seg,
                    (uint16_t)(ivt[VECTOR_FONT].off + c * s->char_height + y));
}

/*
 * First the whole cell in colour 0 through set/reset, then the dots in theirs: in write mode 3 the
 * CPU's byte is the bit mask, and reading before it fills the latches with the rest.
 */
static void draw_planar(const struct screen *s, uint32_t at, uint8_t c, uint8_t attribute)
{
    const bool xor = attribute & ATTRIBUTE_XOR;
    if (!xor) {
        gr(GR_SET_RESET, 0);
        gr(GR_ENABLE_SET_RESET, 15);
        for (uint16_t y = 0; y < s->char_height; y++)
            far_put8(s->segment, (uint16_t)(at + y * s->line_bytes), 0);
    }
    gr(GR_SET_RESET, attribute & 15);
    gr(GR_ROTATE, xor? ROTATE_XOR : 0);
    gr(GR_MODE, 3);
    for (uint16_t y = 0; y < s->char_height; y++) {
        const uint16_t off = (uint16_t)(at + y * s->line_bytes);
        far_get8(s->segment, off);
        far_put8(s->segment, off, glyph_line(s, c, y));
    }
    gr_restore();
}

void draw_glyph(const struct screen *s, uint8_t page, uint16_t column, uint16_t row, uint8_t c,
                uint8_t attribute)
{
    const uint16_t cell = cell_bytes(s), top = row * s->char_height;
    if (column >= s->columns || row >= s->rows)
        return;
    if (s->layout == LAYOUT_PLANAR) {
        draw_planar(s, line_at(s, page, top) + column, c, attribute);
        return;
    }
    const bool cga = s->layout == LAYOUT_CGA4 || s->layout == LAYOUT_CGA2;
    const bool xor = cga && attribute & ATTRIBUTE_XOR;
    const uint32_t fg = s->layout == LAYOUT_VBE ? vbe_colour(s, attribute) : attribute;
    for (uint16_t y = 0; y < s->char_height; y++) {
        const uint32_t at = line_at(s, page, top + y) + column * cell;
        uint8_t dots[32], before[2];
        expand(s, glyph_line(s, c, y), fg, 0, dots);
        if (xor) {
            get_bytes(s, at, before, cell);
            dots[0] ^= before[0];
            if (cell == 2)
                dots[1] ^= before[1];
        }
        put_bytes(s, at, dots, cell);
    }
}

/* --- Pixels ------------------------------------------------------------------------------- */

static uint32_t pixel_at(const struct screen *s, uint8_t page, uint16_t x, uint16_t y)
{
    const uint32_t line = line_at(s, page, y);
    switch (s->layout) {
    case LAYOUT_CGA4:
        return line + x / 4;
    case LAYOUT_CGA2:
    case LAYOUT_PLANAR:
        return line + x / 8;
    default:
        return line + (uint32_t)x * s->pixel_bytes;
    }
}

static uint32_t get_pixel(const struct screen *s, uint8_t page, uint16_t x, uint16_t y)
{
    const uint32_t at = pixel_at(s, page, x, y);
    uint32_t value = 0;
    switch (s->layout) {
    case LAYOUT_CGA4:
        return far_get8(s->segment, (uint16_t)at) >> (6 - 2 * (x & 3)) & 3;
    case LAYOUT_CGA2:
        return far_get8(s->segment, (uint16_t)at) >> (7 - (x & 7)) & 1;
    case LAYOUT_PLANAR:
        for (uint8_t plane = 0; plane < 4; plane++) {
            gr(GR_READ_MAP, plane);
            value |= (far_get8(s->segment, (uint16_t)at) >> (7 - (x & 7)) & 1u) << plane;
        }
        gr(GR_READ_MAP, 0);
        return value;
    default:
        get_bytes(s, at, (uint8_t *)&value, s->pixel_bytes);
        return value;
    }
}

static void put_planar(uint16_t seg, uint16_t off, uint8_t mask, uint8_t colour)
{
    gr(GR_SET_RESET, colour & 15);
    gr(GR_ENABLE_SET_RESET, 15);
    gr(GR_BIT_MASK, mask);
    gr(GR_ROTATE, colour & ATTRIBUTE_XOR ? ROTATE_XOR : 0);
    far_get8(seg, off);
    far_put8(seg, off, 0);
    gr_restore();
}

/* AH=0Ch: colour AL at column CX, line DX; bit 7: exclusive or, but where pixels are bytes. */
void write_pixel(const struct regs *r)
{
    struct screen s;
    screen_get(&s);
    const uint32_t at = pixel_at(&s, r->bh & 7, r->cx, r->dx);
    const uint8_t colour = r->al;
    uint8_t shift, mask, byte;
    uint32_t pixel;
    switch (s.layout) {
    case LAYOUT_TEXT:
        return;
    case LAYOUT_PLANAR:
        put_planar(s.segment, (uint16_t)at, 0x80 >> (r->cx & 7), colour);
        return;
    case LAYOUT_CGA4:
    case LAYOUT_CGA2:
        shift = s.layout == LAYOUT_CGA4 ? 6 - 2 * (r->cx & 3) : 7 - (r->cx & 7);
        mask = s.layout == LAYOUT_CGA4 ? 3 : 1;
        byte = far_get8(s.segment, (uint16_t)at);
        if (!(colour & ATTRIBUTE_XOR))
            byte &= ~(mask << shift);
        far_put8(s.segment, (uint16_t)at, byte ^ (uint8_t)((colour & mask) << shift));
        return;
    default:
        if (s.layout == LAYOUT_VBE && r->cx >= dispi_read(DISPI_VIRT_WIDTH))
            return;
        pixel = s.layout == LAYOUT_VBE ? vbe_colour(&s, colour) : colour;
        put_bytes(&s, at, (const uint8_t *)&pixel, s.pixel_bytes);
        return;
    }
}

/* AH=0Dh */
void read_pixel(struct regs *r)
{
    struct screen s;
    screen_get(&s);
    if (s.layout != LAYOUT_TEXT)
        r->al = (uint8_t)get_pixel(&s, r->bh & 7, r->cx, r->dx);
}

/* The character whose glyph is at a place, dots being what is not colour 0; 0 if none is. */
uint8_t recognise_glyph(const struct screen *s, uint8_t page, uint16_t column, uint16_t row)
{
    uint8_t lines[32];
    const uint16_t height = s->char_height <= sizeof lines ? s->char_height : sizeof lines;
    for (uint16_t y = 0; y < height; y++) {
        lines[y] = 0;
        for (uint16_t x = 0; x < 8; x++)
            if (get_pixel(s, page, column * 8 + x, row * s->char_height + y))
                lines[y] |= 0x80 >> x;
    }
    /* Blanks look alike, and a space is what is meant. */
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t c = (uint8_t)(i + ' ');
        uint16_t y = 0;
        while (y < height && glyph_line(s, c, y) == lines[y])
            y++;
        if (y == height)
            return c;
    }
    return 0;
}
