/*
 * The picture: what a monitor on this VGA shows, scan line by scan line as the CRTC walks through
 * memory, so that splits, panning and double scanning come out by themselves. IBM "VGA Function",
 * "CRT Controller" and "Attribute Controller"; FreeVGA "VGA Text Mode Operation", "VGA Sequencer".
 *
 *      counter (MA) -> byte/word/doubleword address -> four planes -> serializer -> 4-bit index
 *        -> palette -> DAC mask -> DAC -> 00RRGGBBh
 *
 * Pictures are as large as the monitor's raster: mode 13h is 640x400, each pixel two dots wide and
 * two lines high. All sizes and addresses are bounded here: registers may hold anything.
 *
 * Not modelled: borders, the serializer's 16- and 32-dot loads, lines clocked by two (CR17 bit 2),
 * blanking within the displayed area.
 */
#include "devices/vga_core.h"

#include <stdlib.h>

enum { MAX_COLUMNS = 256, MAX_LINE_DOTS = (MAX_COLUMNS + 1) * 9 };

/* The CRTC and attribute controller, unpacked for one picture. */
struct crt {
    const uint8_t *vram;
    unsigned columns, char_dots, lines; /* displayed */
    bool doubled;                       /* each dot twice: the dot clock is halved */
    unsigned count_shift;               /* the counter steps every 1, 2 or 4 characters */
    unsigned word_wrap_bit;
    bool byte_mode, doubleword, chain4, row_to_13, row_to_14;
    uint16_t start, step;
    uint8_t max_row, first_row;
    bool double_scan, pan_top_only;
    unsigned line_compare, byte_pan, pan;
    uint8_t palette[16]; /* to DAC entries */
    uint32_t font[2];    /* in plane 2, by attribute bit 3 */
    bool blink, blink_off, mono, line_graphics;
    uint8_t underline_row, cursor_first, cursor_last;
    uint16_t cursor;
    bool cursor_shown;
};

/* Where the CRTC is. */
struct beam {
    uint16_t ma;
    uint8_t row; /* scan line within the character row */
    bool repeated;
    unsigned pan;
};

/* Nothing is shown: by the CPU's wish, or because the monitor gets no syncs. */
static bool blank(const struct vga *v)
{
    if (!(v->ar_index & AR_INDEX_PAS))
        return true;
    if (vbe_on(v))
        return false;
    return (v->sr[SR_CLOCKING] & SR1_SCREEN_OFF) || !(v->cr[CR_MODE] & CR17_SYNC_ENABLE);
}

static bool is_text(const struct vga *v)
{
    return !vbe_on(v) && !(v->gr[GR_MISC] & GR6_GRAPHICS);
}

static unsigned line_count(const struct vga *v)
{
    const unsigned overflow = v->cr[CR_OVERFLOW];
    return (v->cr[CR_V_DISPLAY_END] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1u;
}

static unsigned line_compare(const struct vga *v)
{
    return v->cr[CR_LINE_COMPARE] | (v->cr[CR_OVERFLOW] & 0x10u) << 4 |
           (v->cr[CR_MAX_SCAN] & 0x40u) << 3;
}

/*
 * "Color Select" and "Internal palette size": four bits of the planes to an entry of the DAC. flip:
 * bits inverted behind the plane enable.
 */
static uint8_t palette_entry(const struct vga *v, unsigned index, unsigned flip)
{
    const unsigned select = v->ar[AR_COLOUR_SELECT];
    unsigned entry = v->ar[(index & v->ar[AR_PLANE_ENABLE] & 15) ^ flip] & 0x3f;
    if (v->ar[AR_MODE] & AR10_P54_SELECT)
        entry = (entry & 0x0f) | (select & 3) << 4;
    return (uint8_t)(entry | (select & 0x0c) << 4);
}

/* "Character Map Select": a three-bit number whose low two bits count 16 KiB and high one 8 KiB. */
static uint32_t font_at(unsigned low2, unsigned high)
{
    return low2 * 0x4000 + high * 0x2000;
}

/* "Horizontal Pixel Panning": 9-dot text counts from 8 (none) over 0 (one dot) to 7. */
static unsigned panned_dots(const struct vga *v, unsigned char_dots)
{
    const unsigned pan = v->ar[AR_PAN];
    if (char_dots == 9)
        return pan >= 8 ? 0 : pan + 1;
    return pan & 7;
}

static void unpack_addressing(const struct vga *v, struct crt *c)
{
    const uint8_t *cr = v->cr, mode = cr[CR_MODE];
    c->doubleword = cr[CR_UNDERLINE] & CR14_DOUBLEWORD;
    c->byte_mode = mode & CR17_BYTE;
    c->word_wrap_bit = mode & CR17_WRAP_MA15 ? 15 : 13;
    c->row_to_13 = !(mode & CR17_NO_ROW_TO_MA13);
    c->row_to_14 = !(mode & CR17_NO_ROW_TO_MA14);
    c->chain4 = v->sr[SR_MEMORY_MODE] & SR4_CHAIN4;
    c->count_shift = cr[CR_UNDERLINE] & CR14_COUNT_BY_4 ? 2 : mode & CR17_COUNT_BY_2 ? 1 : 0;
    c->start = (uint16_t)(cr[CR_START_HIGH] << 8 | cr[CR_START_LOW]);
    c->step = (uint16_t)(cr[CR_OFFSET] * 2);
    c->max_row = cr[CR_MAX_SCAN] & 0x1f;
    c->first_row = cr[CR_PRESET_ROW_SCAN] & 0x1f;
    c->byte_pan = (cr[CR_PRESET_ROW_SCAN] >> 5) & 3;
    c->double_scan = cr[CR_MAX_SCAN] & CR9_DOUBLE_SCAN;
    c->line_compare = line_compare(v);
    c->pan_top_only = v->ar[AR_MODE] & AR10_PAN_TOP_ONLY;
    c->pan = panned_dots(v, c->char_dots);
}

/* Characters and pixels blink at 1/32 of the frame rate: in the second half they are off. */
static bool blink_off(const struct vga *v)
{
    return event_now(v->events) / v->frame_ns & 16;
}

static void unpack_text(const struct vga *v, struct crt *c)
{
    const uint8_t *cr = v->cr, mode = v->ar[AR_MODE], map = v->sr[SR_CHAR_MAP];
    const int64_t frame = event_now(v->events) / v->frame_ns;
    c->font[0] = font_at(map & 3, (map >> 4) & 1);
    c->font[1] = font_at((map >> 2) & 3, (map >> 5) & 1);
    c->blink = mode & AR10_BLINK;
    c->blink_off = blink_off(v);
    c->mono = mode & AR10_MONO;
    c->line_graphics = mode & AR10_LINE_GRAPHICS;
    c->underline_row = cr[CR_UNDERLINE] & 0x1f;
    c->cursor_first = cr[CR_CURSOR_START] & 0x1f;
    c->cursor_last = cr[CR_CURSOR_END] & 0x1f;
    const unsigned skew = (cr[CR_CURSOR_END] >> 5) & 3;
    c->cursor = (uint16_t)((cr[CR_CURSOR_HIGH] << 8 | cr[CR_CURSOR_LOW]) + skew);
    /* The cursor blinks twice as fast as characters. */
    c->cursor_shown = !(cr[CR_CURSOR_START] & CRA_CURSOR_OFF) && !(frame & 8);
}

/*
 * In graphics modes blinking inverts bit 3 for half of the time. No manual says so, but the palette
 * that IBM gives mode 0Fh does: of what planes 0 and 2 can say there, only the value that is named
 * "blinking" has another colour eight entries on.
 */
static unsigned graphics_flip(const struct vga *v)
{
    return !is_text(v) && (v->ar[AR_MODE] & AR10_BLINK) && blink_off(v) ? 8 : 0;
}

static void unpack(const struct vga *v, struct crt *c)
{
    *c = (struct crt){.vram = v->vram};
    c->char_dots = is_text(v) && !(v->sr[SR_CLOCKING] & SR1_DOTS_8) ? 9 : 8;
    c->doubled = v->sr[SR_CLOCKING] & SR1_HALF_CLOCK;
    const unsigned widest = VGA_MAX_WIDTH / (c->char_dots << c->doubled);
    c->columns = MIN(v->cr[CR_H_DISPLAY_END] + 1u, widest);
    c->lines = MIN(line_count(v), (unsigned)VGA_MAX_HEIGHT);
    unpack_addressing(v, c);
    const unsigned flip = graphics_flip(v);
    for (unsigned i = 0; i < 16; i++)
        c->palette[i] = palette_entry(v, i, flip);
    if (is_text(v))
        unpack_text(v, c);
}

/* The four planes at counter value ma, one a byte: IBM "Memory Address Bit Mapping". */
static inline uint32_t fetch(const struct crt *c, uint16_t ma, uint8_t row)
{
    uint32_t a = ma;
    if (c->doubleword)
        a = a << 2 | (a >> 14 & 3);
    else if (!c->byte_mode)
        a = a << 1 | (a >> c->word_wrap_bit & 1);
    if (c->row_to_13)
        a = (a & ~0x2000u) | (row & 1u) << 13;
    if (c->row_to_14)
        a = (a & ~0x4000u) | (row & 2u) << 13;
    a &= 0xffff;
    if (c->chain4)
        a >>= 2; /* our planes hold chained bytes without gaps */
    return ld32(c->vram + 4 * a);
}

static void beam_start(const struct crt *c, struct beam *b)
{
    *b =
        (struct beam){.ma = (uint16_t)(c->start + c->byte_pan), .row = c->first_row, .pan = c->pan};
}

/* On to the line after "line". True when a row of characters begins there. */
static bool beam_next(const struct crt *c, struct beam *b, unsigned line)
{
    if (line == c->line_compare) {
        *b = (struct beam){.ma = (uint16_t)(c->pan_top_only ? 0 : c->byte_pan),
                           .pan = c->pan_top_only ? 0 : c->pan};
        return true;
    }
    if (c->double_scan) {
        b->repeated = !b->repeated;
        if (b->repeated)
            return false;
    }
    if (b->row != c->max_row) {
        b->row = (b->row + 1) & 0x1f;
        return false;
    }
    b->row = 0;
    b->ma = (uint16_t)(b->ma + c->step);
    return true;
}

/* --- Serializers: columns characters from b into out, a DAC entry a dot -------------------- */

struct cell {
    uint8_t dots, fg, bg;
    bool solid; /* the cursor: all dots, the ninth too */
};

static struct cell text_cell(const struct crt *c, const struct beam *b, uint16_t ma,
                             uint32_t planes)
{
    const unsigned attr = planes >> 8 & 0xff;
    struct cell cell = {
        .dots = c->vram[(c->font[attr >> 3 & 1] + (planes & 0xff) * 32 + b->row) * 4 + 2],
        .fg = c->palette[attr & 15],
        .bg = c->palette[c->blink ? attr >> 4 & 7 : attr >> 4],
    };
    if (c->mono && (attr & 7) == 1 && b->row == c->underline_row)
        cell.dots = 0xff;
    if (c->blink && (attr & 0x80) && c->blink_off)
        cell.dots = 0;
    cell.solid =
        c->cursor_shown && ma == c->cursor && b->row >= c->cursor_first && b->row <= c->cursor_last;
    if (cell.solid)
        cell.dots = 0xff;
    return cell;
}

static void text_line(const struct crt *c, const struct beam *b, unsigned columns, uint8_t *out)
{
    for (unsigned x = 0; x < columns; x++) {
        const uint16_t ma = (uint16_t)(b->ma + (x >> c->count_shift));
        const uint32_t planes = fetch(c, ma, b->row);
        const struct cell cell = text_cell(c, b, ma, planes);
        for (unsigned i = 0; i < 8; i++)
            out[i] = cell.dots & (0x80 >> i) ? cell.fg : cell.bg;
        if (c->char_dots == 9) {
            /* "Enable Line Graphics Character Codes": C0h to DFh join their right neighbour. */
            bool joined = c->line_graphics && (planes & 0xe0) == 0xc0;
            out[8] = cell.solid || (joined && cell.dots & 1) ? cell.fg : cell.bg;
        }
        out += c->char_dots;
    }
}

/* Bit 7 to byte 0 ... bit 0 to byte 7, each as 0 or 1. */
static inline uint64_t spread8(uint8_t bits)
{
    uint64_t v = bits * UINT64_C(0x0101010101010101) & UINT64_C(0x0102040810204080);
    return (v + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7 & UINT64_C(0x0101010101010101);
}

/* Eight four-bit indices, one from each plane's byte. */
static inline void planar_dots(uint32_t planes, const uint8_t palette[16], uint8_t out[8])
{
    uint64_t dots = 0;
    for (unsigned p = 0; p < 4; p++)
        dots |= spread8((uint8_t)(planes >> (8 * p))) << p;
    for (unsigned i = 0; i < 8; i++)
        out[i] = palette[dots >> (8 * i) & 15];
}

/* "Shift Register Interleave": CGA pixels, two bits each, from planes 0 then 1 (and 2 then 3). */
static void interleaved_dots(uint32_t planes, const uint8_t palette[16], uint8_t out[8])
{
    for (unsigned i = 0; i < 8; i++) {
        const unsigned shift = 6 - 2 * (i & 3) + (i & 4) * 2;
        const unsigned low = planes >> shift & 3, high = planes >> (shift + 16) & 3;
        out[i] = palette[low | high << 2];
    }
}

/* Four pixels of two dots. Without "PEL width" the two halves of a byte are shown one by one. */
static void packed_dots(uint32_t planes, const uint8_t palette[16], bool pel_256, uint8_t out[8])
{
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t pixel = (uint8_t)(planes >> (8 * i));
        out[2 * i] = pel_256 ? pixel : palette[pixel >> 4];
        out[2 * i + 1] = pel_256 ? pixel : palette[pixel & 15];
    }
}

static void graphics_line(const struct vga *v, const struct crt *c, const struct beam *b,
                          unsigned columns, uint8_t *out)
{
    const uint8_t mode = v->gr[GR_MODE];
    const bool pel_256 = v->ar[AR_MODE] & AR10_PEL_256;
    for (unsigned x = 0; x < columns; x++, out += 8) {
        const uint32_t planes = fetch(c, (uint16_t)(b->ma + (x >> c->count_shift)), b->row);
        if (mode & GR5_SHIFT_256)
            packed_dots(planes, c->palette, pel_256, out);
        else if (mode & GR5_SHIFT_INTERLEAVE)
            interleaved_dots(planes, c->palette, out);
        else
            planar_dots(planes, c->palette, out);
    }
}

/* --- Pictures ------------------------------------------------------------------------------- */

static uint32_t dac_colour(const struct vga *v, unsigned index)
{
    const uint8_t *rgb = &v->dac[(index & v->dac_mask) * 3];
    return (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
}

/* A line of the picture is ready. Comparing is cheaper than showing what has not changed. */
static void put_line(const struct vga_canvas *to, unsigned y, const uint32_t *line)
{
    uint32_t *at = to->s->pixels + (size_t)y * to->s->width;
    const size_t bytes = (size_t)to->s->width * sizeof *line;
    if (to->changed) {
        if (memcmp(at, line, bytes) == 0)
            return;
        line_set_add(to->changed, y);
    }
    memcpy(at, line, bytes);
}

static void render_vga(const struct vga *v, const struct crt *c, const uint32_t colours[256],
                       const struct vga_canvas *to)
{
    struct beam b;
    uint8_t dots[MAX_LINE_DOTS];
    uint32_t out[VGA_MAX_WIDTH];
    const unsigned width = c->columns * c->char_dots;
    beam_start(c, &b);
    for (unsigned line = 0; line < c->lines; line++) {
        uint32_t *pixel = out;
        const unsigned columns = c->columns + (b.pan ? 1 : 0);
        if (is_text(v))
            text_line(c, &b, columns, dots);
        else
            graphics_line(v, c, &b, columns, dots);
        for (unsigned x = 0; x < width; x++) {
            const uint32_t colour = colours[dots[x + b.pan]];
            *pixel++ = colour;
            if (c->doubled)
                *pixel++ = colour;
        }
        put_line(to, line, out);
        beam_next(c, &b, line);
    }
}

/* Scales a field of n bits to eight by repeating its upper bits. */
static inline uint32_t scale5(uint32_t x)
{
    return x << 3 | x >> 2;
}
static inline uint32_t scale6(uint32_t x)
{
    return x << 2 | x >> 4;
}

static void vbe_planar_line(const struct vga *v, uint32_t at, const uint32_t colours[256],
                            unsigned width, uint32_t *out)
{
    uint8_t palette[16], dots[8];
    const unsigned pan = v->vbe[VBE_X_OFFSET] & 7;
    for (unsigned i = 0; i < 16; i++)
        palette[i] = palette_entry(v, i, 0);
    for (unsigned x = 0; x < width + pan; x++) {
        if (x % 8 == 0)
            planar_dots(ld32(v->vram + ((at + x / 2) & (VGA_VRAM_BYTES - 1))), palette, dots);
        if (x >= pan)
            out[x - pan] = colours[dots[x % 8]];
    }
}

static void vbe_line(const struct vga *v, uint32_t at, const uint32_t colours[256], unsigned width,
                     uint32_t *out)
{
    const uint8_t *in = v->vram + at;
    switch (v->vbe[VBE_BPP]) {
    case 4:
        vbe_planar_line(v, at, colours, width, out);
        break;
    case 8:
        for (unsigned x = 0; x < width; x++)
            out[x] = colours[in[x]];
        break;
    case 15:
        for (unsigned x = 0; x < width; x++, in += 2)
            out[x] = scale5(ld16(in) >> 10 & 31) << 16 | scale5(ld16(in) >> 5 & 31) << 8 |
                     scale5(ld16(in) & 31);
        break;
    case 16:
        for (unsigned x = 0; x < width; x++, in += 2)
            out[x] = scale5(ld16(in) >> 11) << 16 | scale6(ld16(in) >> 5 & 63) << 8 |
                     scale5(ld16(in) & 31);
        break;
    case 24:
        for (unsigned x = 0; x < width; x++, in += 3)
            out[x] = (uint32_t)in[2] << 16 | (uint32_t)in[1] << 8 | in[0];
        break;
    default:
        for (unsigned x = 0; x < width; x++, in += 4)
            out[x] = ld32(in) & 0xffffff;
        break;
    }
}

/* len > 0 bytes of VRAM, or where they end the whole of it */
static bool any_written(const bool *written, uint32_t at, uint32_t len)
{
    const uint32_t last = MIN(at + len, (uint32_t)VGA_VRAM_BYTES) - 1;
    for (uint32_t page = at >> PAGE_SHIFT; page <= last >> PAGE_SHIFT; page++) {
        if (written[page])
            return true;
    }
    return false;
}

/* vbe.c has clamped size and offsets so that all lines lie within VRAM. */
static void render_vbe(const struct vga *v, const uint32_t colours[256],
                       const struct vga_canvas *to)
{
    uint32_t out[VGA_MAX_WIDTH];
    const uint32_t pitch = vbe_pitch(v), bpp = v->vbe[VBE_BPP];
    const uint32_t left = v->vbe[VBE_X_OFFSET];
    uint32_t at = v->vbe[VBE_Y_OFFSET] * pitch;
    at += bpp == 4 ? left / 8 * 4 : left * ((bpp + 7) / 8);
    /* of four planes a line begins within eight dots, and ends within the eight behind its pitch */
    const uint32_t len = bpp == 4 ? pitch + 4 : pitch;
    for (uint32_t y = 0; y < to->s->height; y++, at += pitch) {
        if (to->written && !any_written(to->written, at, len))
            continue;
        vbe_line(v, at, colours, to->s->width, out);
        put_line(to, y, out);
    }
}

static bool resize(struct surface *s, uint32_t width, uint32_t height)
{
    if (s->pixels && s->width == width && s->height == height)
        return true;
    free(s->pixels);
    s->pixels = malloc((size_t)width * height * sizeof s->pixels[0]);
    s->width = s->pixels ? width : 0;
    s->height = s->pixels ? height : 0;
    return s->pixels;
}

/* A black picture, so that there is one to show or to keep: as large as the text screen. */
static bool render_blank(const struct vga_canvas *to)
{
    static const uint32_t black[720];
    if (resize(to->s, ARRAY_SIZE(black), 400)) {
        for (unsigned y = 0; y < to->s->height; y++)
            put_line(to, y, black);
    }
    return false;
}

bool vga_draw(const struct vga *v, const struct vga_canvas *to)
{
    struct surface *s = to->s;
    uint32_t colours[256];
    if (blank(v))
        return render_blank(to);
    for (unsigned i = 0; i < 256; i++)
        colours[i] = dac_colour(v, i);
    if (vbe_on(v)) {
        if (!resize(s, v->vbe[VBE_XRES], v->vbe[VBE_YRES]))
            return false;
        render_vbe(v, colours, to);
        return true;
    }
    struct crt c;
    unpack(v, &c);
    if (!resize(s, c.columns * c.char_dots << c.doubled, c.lines))
        return false;
    render_vga(v, &c, colours, to);
    return true;
}

bool vga_render(void *opaque, struct surface *s)
{
    return vga_draw(opaque, &(struct vga_canvas){.s = s});
}

/* --- The text screen as text ---------------------------------------------------------------- */

/* Code page 437, the character set of the VGA's own fonts, where it is not ASCII. */
static const uint16_t cp437_low[32] = {
    ' ',    0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022, 0x25d8, 0x25cb, 0x25d9,
    0x2642, 0x2640, 0x266a, 0x266b, 0x263c, 0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7,
    0x25ac, 0x21a8, 0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc,
};
static const uint16_t cp437_high[129] = {
    0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8,
    0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb,
    0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3,
    0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab,
    0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551,
    0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e,
    0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565,
    0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590,
    0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9,
    0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7,
    0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, ' ',
};

static uint16_t cp437(uint8_t code)
{
    if (code < 0x20)
        return cp437_low[code];
    return code < 0x7f ? code : cp437_high[code - 0x7f];
}

struct text_out {
    char *buf;
    size_t size, len; /* size leaves room for the final NUL */
    bool full;
};

/* Whole characters only. */
static void put(struct text_out *t, uint16_t code)
{
    char utf8[3];
    size_t n = 0;
    if (code < 0x80) {
        utf8[n++] = (char)code;
    } else if (code < 0x800) {
        utf8[n++] = (char)(0xc0 | code >> 6);
        utf8[n++] = (char)(0x80 | (code & 0x3f));
    } else {
        utf8[n++] = (char)(0xe0 | code >> 12);
        utf8[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (code & 0x3f));
    }
    t->full = t->full || n > t->size - t->len;
    if (t->full)
        return;
    memcpy(t->buf + t->len, utf8, n);
    t->len += n;
}

/* One row without the blanks at its end. */
static void put_row(const struct crt *c, const struct beam *b, struct text_out *t)
{
    uint16_t row[MAX_COLUMNS];
    unsigned used = 0;
    for (unsigned x = 0; x < c->columns; x++) {
        row[x] = cp437((uint8_t)fetch(c, (uint16_t)(b->ma + (x >> c->count_shift)), b->row));
        if (row[x] != ' ')
            used = x + 1;
    }
    for (unsigned x = 0; x < used; x++)
        put(t, row[x]);
    put(t, '\n');
}

size_t vga_text(void *opaque, char *buf, size_t size)
{
    const struct vga *v = opaque;
    if (!size)
        return 0;
    buf[0] = '\0';
    if (blank(v) || !is_text(v))
        return 0;
    struct text_out t = {.buf = buf, .size = size - 1};
    struct crt c;
    struct beam b;
    unpack(v, &c);
    beam_start(&c, &b);
    bool first = true;
    for (unsigned line = 0; line < c.lines; line++) {
        if (first)
            put_row(&c, &b, &t);
        first = beam_next(&c, &b, line);
    }
    buf[t.len] = '\0';
    return t.len;
}
