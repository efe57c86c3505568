/*
 * Cursor, pages and text: INT 10h AH=01h to 0Ah, 0Eh and 13h. In text modes on the characters in
 * memory, in the others through graphics.c, a character being a glyph of eight dots' width.
 */
#include "vga.h"

enum {
    CR_CURSOR_START = 0x0a,
    CR_CURSOR_END = 0x0b,
    CR_START_HIGH = 0x0c,
    CR_CURSOR_HIGH = 0x0e,
    CURSOR_OFF = 0x20,
    BELL = 7,
    BACKSPACE = 8,
    LINE_FEED = 10,
    CARRIAGE_RETURN = 13,
};

static uint8_t vbe_pixel_bytes(void)
{
    return (uint8_t)((dispi_read(DISPI_BPP) + 7) / 8);
}

void screen_get(struct screen *s)
{
    const ROM struct mode *m = bda.vbe_mode ? NULL : mode_find(bda.mode);
    s->columns = bda.columns ? bda.columns : 80;
    s->rows = bda.last_row + 1;
    s->char_height = bda.char_height ? bda.char_height : 16;
    s->segment = 0xa000;
    s->pixel_bytes = 1;
    s->line_bytes = s->columns;
    if (bda.vbe_mode && dispi_present()) {
        s->layout = LAYOUT_VBE;
        s->pixel_bytes = vbe_pixel_bytes();
        s->line_bytes = (uint32_t)dispi_read(DISPI_VIRT_WIDTH) * s->pixel_bytes;
        return;
    }
    s->layout = m ? m->layout : LAYOUT_TEXT;
    if (m)
        s->segment = m->segment;
    if (s->layout == LAYOUT_PACKED)
        s->line_bytes = s->columns * 8;
    else if (s->layout == LAYOUT_CGA4)
        s->line_bytes = 80;
}

static bool is_text(void)
{
    return !bda.vbe_mode && (bda.mode <= 3 || bda.mode == 7);
}

static uint16_t text_segment(void)
{
    return bda.mode == 7 ? 0xb000 : 0xb800;
}

/* --- Cursor ------------------------------------------------------------------------------- */

/*
 * Callers think in the CGA's eight lines. Lines counted from the top stay; lines counted from the
 * bottom (an underline is 6 and 7) count from the bottom of the taller character, one above it.
 */
static uint8_t taller(uint8_t line)
{
    const uint8_t height = (uint8_t)bda.char_height;
    if (line < 4)
        return line;
    return line == 4 ? height / 2 : height - 9 + line;
}

void set_cursor_shape(uint16_t shape)
{
    uint8_t first = shape >> 8 & 0x3f, last = shape & 0x1f;
    bda.cursor_shape = shape;
    const bool emulate = !(bda.control & CONTROL_NO_EMULATION) && bda.char_height > 8;
    if (emulate && first <= last && last < 8) {
        first = taller(first);
        last = taller(last);
    }
    out_index(bda.crtc, CR_CURSOR_START, first);
    out_index(bda.crtc, CR_CURSOR_END, last);
}

/* Tells the CRTC, if the page is the one shown. */
void set_cursor(uint8_t page, uint16_t at)
{
    page &= 7;
    bda.cursor[page] = at;
    if (page != active_page() || !is_text())
        return;
    const uint16_t cell = bda.page_start / 2 + (at >> 8) * bda.columns + (at & 0xff);
    out_index(bda.crtc, CR_CURSOR_HIGH, (uint8_t)(cell >> 8));
    out_index(bda.crtc, CR_CURSOR_HIGH + 1, (uint8_t)cell);
}

void get_cursor(struct regs *r)
{
    r->cx = bda.cursor_shape;
    r->dx = bda.cursor[r->bh & 7];
}

/* The CRTC counts characters in text modes, words in the CGA's, bytes of a plane in planar ones. */
void set_page(uint8_t page)
{
    struct screen s;
    screen_get(&s);
    if (page > 7 || s.layout == LAYOUT_PACKED || s.layout == LAYOUT_VBE)
        return;
    bda.page = page;
    bda.page_start = page * bda.page_bytes;
    const uint16_t start = s.layout == LAYOUT_PLANAR ? bda.page_start : bda.page_start / 2;
    out_index(bda.crtc, CR_START_HIGH, (uint8_t)(start >> 8));
    out_index(bda.crtc, CR_START_HIGH + 1, (uint8_t)start);
    set_cursor(page, bda.cursor[page]);
}

/* --- Cells ------------------------------------------------------------------------------------ */

static uint16_t text_at(uint8_t page, uint16_t row, uint16_t column)
{
    return page * bda.page_bytes + (row * bda.columns + column) * 2;
}

/* A rectangle of characters, inclusive. */
struct window {
    uint16_t top, left, bottom, right;
};

static void text_scroll(const struct window *w, uint16_t lines, uint8_t attribute, bool down)
{
    const uint16_t seg = text_segment(), pitch = bda.columns * 2;
    const uint16_t rows = w->bottom - w->top + 1, moved = rows - lines;
    const uint16_t width = w->right - w->left + 1;
    uint16_t top = text_at(active_page(), w->top, w->left);
    const uint16_t blank = (uint16_t)(attribute << 8 | ' ');
    if (!down && width == bda.columns) {
        /* Rows follow each other without gaps: all at once. */
        far_copy(seg, top, seg, top + lines * pitch, moved * pitch);
        far_fill16(seg, top + moved * pitch, blank, lines * width);
        return;
    }
    for (uint16_t i = 0; i < rows; i++) {
        const uint16_t row = down ? rows - 1 - i : i;
        const uint16_t to = top + row * pitch;
        if (i >= moved)
            far_fill16(seg, to, blank, width);
        else
            far_copy(seg, to, seg, down ? to - lines * pitch : to + lines * pitch, width * 2);
    }
}

static void graphics_scroll(const struct screen *s, const struct window *w, uint16_t lines,
                            uint8_t colour, bool down)
{
    const uint16_t height = s->char_height, first = w->top * height, step = lines * height;
    const uint16_t all = (w->bottom - w->top + 1) * height, moved = all - step;
    const uint16_t width = w->right - w->left + 1;
    uint16_t i = 0;
    if (!down && copy_lines(s, first, first + step, moved, width))
        i = moved;
    for (; i < all; i++) {
        const uint16_t y = first + (down ? all - 1 - i : i);
        if (i >= moved)
            fill_line(s, active_page(), y, w->left, width, colour);
        else
            copy_line(s, active_page(), y, down ? y - step : y + step, w->left, width);
    }
}

/* lines 0 clears the window. Windows that reach beyond the screen are cut. */
static void scroll_window(struct window *w, uint16_t lines, uint8_t attribute, bool down)
{
    struct screen s;
    screen_get(&s);
    if (w->bottom >= s.rows)
        w->bottom = s.rows - 1;
    if (w->right >= s.columns)
        w->right = s.columns - 1;
    if (w->top > w->bottom || w->left > w->right)
        return;
    const uint16_t rows = w->bottom - w->top + 1;
    if (lines == 0 || lines > rows)
        lines = rows;
    if (s.layout == LAYOUT_TEXT)
        text_scroll(w, lines, attribute, down);
    else
        graphics_scroll(&s, w, lines, attribute, down);
}

/* AH=06h, 07h */
void scroll(const struct regs *r, bool down)
{
    struct window w = {r->ch, r->cl, r->dh, r->dl};
    scroll_window(&w, r->al, r->bh, down);
}

/* AH=08h */
void read_char(struct regs *r)
{
    const uint8_t page = r->bh & 7, column = (uint8_t)bda.cursor[page], row = bda.cursor[page] >> 8;
    if (is_text()) {
        r->ax = far_get16(text_segment(), text_at(page, row, column));
        return;
    }
    struct screen s;
    screen_get(&s);
    r->al = recognise_glyph(&s, page, column, row);
    r->ah = 0;
}

/* As many as the page has room for behind the cursor, which stays. AH=09h, 0Ah */
void write_char(const struct regs *r, bool with_attribute)
{
    const uint8_t page = is_text() ? r->bh & 7 : bda.mode == 0x13 || bda.vbe_mode ? 0 : r->bh & 7;
    uint16_t column = (uint8_t)bda.cursor[page], row = bda.cursor[page] >> 8;
    struct screen s;
    screen_get(&s);
    uint16_t count = r->cx;
    const uint16_t at = row * s.columns + column, cells = s.rows * s.columns;
    if (at >= cells)
        return;
    if (count > cells - at)
        count = cells - at;
    if (s.layout != LAYOUT_TEXT) {
        for (; count; count--) {
            draw_glyph(&s, page, column, row, r->al, r->bl);
            if (++column == s.columns) {
                column = 0;
                row++;
            }
        }
        return;
    }
    uint16_t to = text_at(page, row, column);
    if (with_attribute)
        far_fill16(s.segment, to, (uint16_t)(r->bl << 8 | r->al), count);
    else
        for (; count; count--, to += 2)
            far_put8(s.segment, to, r->al);
}

/* --- Teletype --------------------------------------------------------------------------------- */

/*
 * An eighth of a second at about 900 Hz from the speaker. Time is counted in changes of the refresh
 * bit of port 61h, every 15 us; where it does not change the reads themselves are the limit. That
 * is two ticks of the clock, which whoever had interrupts on does not lose.
 */
static void bell(bool interrupts)
{
    enum { PORT_SPEAKER = 0x61, SPEAKER_ON = 3, REFRESH = 0x10, CHANGES = 8000, READS = 60000 };
    const uint16_t divisor = 1331;
    outb(0x43, 0xb6); /* 8254: counter 2, both bytes, square wave */
    outb(0x42, (uint8_t)divisor);
    outb(0x42, divisor >> 8);
    const uint8_t before = inb(PORT_SPEAKER);
    outb(PORT_SPEAKER, before | SPEAKER_ON);
    uint8_t last = before;
    if (interrupts)
        __asm__ volatile("sti" : : : "memory");
    for (uint16_t changes = 0, reads = 0; changes < CHANGES && reads < READS; reads++) {
        const uint8_t now = inb(PORT_SPEAKER);
        if ((now ^ last) & REFRESH) {
            changes++;
            reads = 0;
        }
        last = now;
    }
    if (interrupts)
        __asm__ volatile("cli" : : : "memory");
    outb(PORT_SPEAKER, before & ~SPEAKER_ON);
}

struct tty {
    uint8_t page, row, column;
    bool interrupts; /* the caller has them on */
};

/* What the new line at the bottom is filled with: in text, the attribute at the cursor. */
static void tty_line_feed(struct tty *t)
{
    if (t->row < bda.last_row) {
        t->row++;
        return;
    }
    t->row = bda.last_row;
    const uint8_t column = t->column < bda.columns ? t->column : (uint8_t)(bda.columns - 1);
    const uint8_t fill =
        is_text() ? far_get8(text_segment(), text_at(t->page, t->row, column) + 1) : 0;
    const uint8_t shown = bda.page;
    struct window w = {0, 0, bda.last_row, bda.columns - 1};
    bda.page = t->page; /* the window is that of a page */
    scroll_window(&w, 1, fill, false);
    bda.page = shown;
}

static void tty_put(struct tty *t, uint8_t c, uint8_t attribute, bool with_attribute)
{
    switch (c) {
    case BELL:
        bell(t->interrupts);
        return;
    case BACKSPACE:
        if (t->column)
            t->column--;
        return;
    case LINE_FEED:
        tty_line_feed(t);
        return;
    case CARRIAGE_RETURN:
        t->column = 0;
        return;
    }
    if (is_text()) {
        const uint16_t at = text_at(t->page, t->row, t->column);
        far_put8(text_segment(), at, c);
        if (with_attribute)
            far_put8(text_segment(), at + 1, attribute);
    } else {
        struct screen s;
        screen_get(&s);
        draw_glyph(&s, t->page, t->column, t->row, c, attribute);
    }
    if (++t->column >= bda.columns) {
        tty_line_feed(t);
        t->column = 0;
    }
}

/* AH=0Eh, always on the page that is shown. */
void teletype(const struct regs *r)
{
    const uint8_t page = active_page();
    struct tty t = {page, bda.cursor[page] >> 8, (uint8_t)bda.cursor[page], r->flags & FLAG_IF};
    tty_put(&t, r->al, r->bl, false);
    set_cursor(page, (uint16_t)(t.row << 8 | t.column));
}

/* AH=13h. AL bit 0: the cursor moves; bit 1: attributes in the string. */
void write_string(const struct regs *r)
{
    const uint8_t page = r->bh & 7;
    struct tty t = {page, r->dh, r->dl, r->flags & FLAG_IF};
    if (r->dh == 0xff) {
        t.row = bda.cursor[page] >> 8;
        t.column = (uint8_t)bda.cursor[page];
    }
    uint16_t at = r->bp;
    uint8_t attribute = r->bl;
    for (uint16_t n = r->cx; n; n--) {
        const uint8_t c = far_get8(r->es, at++);
        if (r->al & 2)
            attribute = far_get8(r->es, at++);
        tty_put(&t, c, attribute, true);
    }
    if (r->al & 1)
        set_cursor(page, (uint16_t)(t.row << 8 | t.column));
}
