/* Colours: INT 10h AH=0Bh (as the CGA had them) and AH=10h (attribute controller and DAC). */
#include "vga.h"

enum {
    AR_MODE = 0x10,
    AR10_BLINK = 0x08,
    AR10_P54_SELECT = 0x80,
    AR_OVERSCAN = 0x11,
    AR_COLOUR_SELECT = 0x14,
    AR_COUNT = 17, /* palettes and overscan, which calls for "all" take */
    AR_SCREEN_ON = 0x20,
};

/* --- Attribute controller: index and data share a port, a flip-flop tells them apart --------- */

static void reset_flip_flop(void)
{
    inb(status_port());
}

void screen_on(void)
{
    reset_flip_flop();
    outb(PORT_ATTRIBUTE, AR_SCREEN_ON);
}

void attribute_write(uint8_t index, uint8_t value)
{
    reset_flip_flop();
    outb(PORT_ATTRIBUTE, index);
    outb(PORT_ATTRIBUTE, value);
    outb(PORT_ATTRIBUTE, AR_SCREEN_ON);
}

uint8_t attribute_read(uint8_t index)
{
    reset_flip_flop();
    outb(PORT_ATTRIBUTE, index);
    const uint8_t value = inb(PORT_ATTRIBUTE_READ);
    screen_on();
    return value;
}

/* --- DAC ---------------------------------------------------------------------------------- */

static void dac_put(uint8_t red, uint8_t green, uint8_t blue)
{
    outb(PORT_DAC_DATA, red);
    outb(PORT_DAC_DATA, green);
    outb(PORT_DAC_DATA, blue);
}

/* 30 % of red, 59 % of green, 11 % of blue: IBM "Sum DAC Registers to Gray Shades". */
void grey_scale(uint16_t first, uint16_t count)
{
    for (; count; first++, count--) {
        outb(PORT_DAC_STATE, (uint8_t)first);
        uint16_t sum = inb(PORT_DAC_DATA) * 77;
        sum += inb(PORT_DAC_DATA) * 151;
        sum += inb(PORT_DAC_DATA) * 28;
        const uint8_t grey = (uint8_t)((sum + 128) >> 8);
        outb(PORT_DAC_INDEX, (uint8_t)first);
        dac_put(grey, grey, grey);
    }
}

/* Of an EGA monitor's signals: rgbRGB, the small letters a third, the capitals two thirds. */
static void put_ega(uint8_t i)
{
    static ROM_DATA uint8_t level[4] = {0x00, 0x15, 0x2a, 0x3f};
    dac_put(level[(i >> 1 & 2) | (i >> 5 & 1)], level[(i & 2) | (i >> 4 & 1)],
            level[(i << 1 & 2) | (i >> 3 & 1)]);
}

/* Of a CGA monitor's: IRGB, of which it shows dark yellow as brown. */
static void put_cga(uint8_t irgb)
{
    const uint8_t low = irgb & 8 ? 0x15 : 0, high = low + 0x2a;
    uint8_t green = irgb & 2 ? high : low;
    if (irgb == 6)
        green = 0x15;
    dac_put(irgb & 4 ? high : low, green, irgb & 1 ? high : low);
}

/*
 * Mode 13h: the CGA's colours, shades of grey, then nine times round the colour wheel: bright,
 * medium, dark, each in three saturations; the last eight are black.
 */
static void put_256(uint8_t i)
{
    static ROM_DATA uint8_t grey[16] = {0x00, 0x05, 0x08, 0x0b, 0x0e, 0x11, 0x14, 0x18,
                                        0x1c, 0x20, 0x24, 0x28, 0x2d, 0x32, 0x38, 0x3f};
    static ROM_DATA uint8_t steps[9][5] = {
        {0, 16, 31, 47, 63}, {31, 39, 47, 55, 63}, {45, 49, 54, 58, 63},
        {0, 7, 14, 21, 28},  {14, 17, 21, 24, 28}, {20, 22, 24, 26, 28},
        {0, 4, 8, 12, 16},   {8, 10, 12, 14, 16},  {11, 12, 13, 15, 16},
    };
    if (i < 16) {
        put_cga(i);
    } else if (i < 32) {
        dac_put(grey[i - 16], grey[i - 16], grey[i - 16]);
    } else if (i < 32 + 9 * 24) {
        /* From blue: red comes, blue goes, green comes, red goes, blue comes, green goes. */
        const uint8_t at = (i - 32) % 24, sixth = at / 4, part = at % 4;
        const ROM uint8_t *step = steps[(i - 32) / 24];
        const uint8_t comes = step[part], goes = step[4 - part];
        static ROM_DATA uint8_t red[6] = {1, 2, 2, 3, 0, 0}; /* none, comes, all, goes */
        static ROM_DATA uint8_t green[6] = {0, 0, 1, 2, 2, 3};
        static ROM_DATA uint8_t blue[6] = {2, 3, 0, 0, 1, 2};
        const uint32_t level =
            step[0] | comes << 8 | (uint32_t)step[4] << 16 | (uint32_t)goes << 24;
        dac_put((uint8_t)(level >> 8 * red[sixth]), (uint8_t)(level >> 8 * green[sixth]),
                (uint8_t)(level >> 8 * blue[sixth]));
    } else {
        dac_put(0, 0, 0);
    }
}

/* Three palettes have 64 entries; what lies behind them is made black. */
void load_palette(enum palette palette)
{
    static ROM_DATA uint8_t mono[4] = {0x00, 0x2a, 0x2a, 0x3f};
    outb(PORT_DAC_MASK, 0xff);
    outb(PORT_DAC_INDEX, 0);
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t m = mono[i >> 3 & 3];
        if (palette == PALETTE_256)
            put_256((uint8_t)i);
        else if (i >= 64)
            dac_put(0, 0, 0);
        else if (palette == PALETTE_EGA)
            put_ega((uint8_t)i);
        else if (palette == PALETTE_CGA)
            put_cga((uint8_t)((i & 7) | (i >> 1 & 8)));
        else
            dac_put(m, m, m);
    }
}

/* --- AH=0Bh: BH 0 background or border BL; BH 1 which of two palettes --------------------------
 */

void set_cga_palette(const struct regs *r)
{
    uint8_t palette = bda.cga_palette;
    if (r->bh == 0) {
        palette = (palette & ~0x1f) | (r->bl & 0x1f);
        const uint8_t colour = (r->bl & 7) | (r->bl << 1 & 0x10);
        attribute_write(AR_OVERSCAN, colour);
        if (bda.mode >= 4 && bda.mode <= 6)
            attribute_write(0, colour);
    } else {
        palette = (palette & ~0x20) | (r->bl & 1) << 5;
    }
    bda.cga_palette = palette;
    /* Green, red, brown, or cyan, magenta, white; intense by the bit that is beside the background.
     */
    if (bda.mode == 4 || bda.mode == 5)
        for (uint8_t i = 1; i < 4; i++)
            attribute_write(i, i * 2 + (palette >> 5 & 1) + (palette & 0x10));
}

/* --- AH=10h ------------------------------------------------------------------------------- */

static void set_all(const struct regs *r)
{
    for (uint8_t i = 0; i < AR_COUNT; i++)
        attribute_write(i < 16 ? i : AR_OVERSCAN, far_get8(r->es, r->dx + i));
}

static void get_all(const struct regs *r)
{
    for (uint8_t i = 0; i < AR_COUNT; i++)
        far_put8(r->es, r->dx + i, attribute_read(i < 16 ? i : AR_OVERSCAN));
}

static void set_blink(bool blink)
{
    attribute_write(AR_MODE, (attribute_read(AR_MODE) & ~AR10_BLINK) | (blink ? AR10_BLINK : 0));
    bda.cga_mode = (bda.cga_mode & ~0x20) | (blink ? 0x20 : 0);
}

static void set_dac_block(const struct regs *r)
{
    outb(PORT_DAC_INDEX, r->bl);
    uint16_t at = r->dx;
    for (uint16_t n = r->cx <= 256 ? r->cx : 256; n; n--, at += 3)
        dac_put(far_get8(r->es, at), far_get8(r->es, at + 1), far_get8(r->es, at + 2));
}

static void get_dac_block(const struct regs *r)
{
    outb(PORT_DAC_STATE, r->bl);
    uint16_t at = r->dx;
    for (uint16_t n = r->cx <= 256 ? r->cx * 3 : 768; n; n--)
        far_put8(r->es, at++, inb(PORT_DAC_DATA));
}

/* BL 0: BH chooses four pages of 64 entries or sixteen of 16; BL 1: BH is the page. */
static void set_paging(const struct regs *r)
{
    const uint8_t mode = attribute_read(AR_MODE);
    if (r->bl == 0)
        attribute_write(AR_MODE, (mode & ~AR10_P54_SELECT) | (r->bh & 1 ? AR10_P54_SELECT : 0));
    else if (r->bl == 1)
        attribute_write(AR_COLOUR_SELECT, mode & AR10_P54_SELECT ? r->bh & 15 : (r->bh & 3) << 2);
}

static void get_paging(struct regs *r)
{
    const bool sixteen = attribute_read(AR_MODE) & AR10_P54_SELECT;
    const uint8_t select = attribute_read(AR_COLOUR_SELECT);
    r->bl = sixteen;
    r->bh = sixteen ? select & 15 : select >> 2 & 3;
}

void palette_service(struct regs *r)
{
    switch (r->al) {
    case 0x00:
        attribute_write(r->bl & 0x1f, r->bh);
        break;
    case 0x01:
        attribute_write(AR_OVERSCAN, r->bh);
        break;
    case 0x02:
        set_all(r);
        break;
    case 0x03:
        set_blink(r->bl & 1);
        break;
    case 0x07:
        r->bh = attribute_read(r->bl & 0x1f);
        break;
    case 0x08:
        r->bh = attribute_read(AR_OVERSCAN);
        break;
    case 0x09:
        get_all(r);
        break;
    case 0x10:
        outb(PORT_DAC_INDEX, r->bl);
        dac_put(r->dh, r->ch, r->cl);
        break;
    case 0x12:
        set_dac_block(r);
        break;
    case 0x13:
        set_paging(r);
        break;
    case 0x15:
        outb(PORT_DAC_STATE, r->bl);
        r->dh = inb(PORT_DAC_DATA);
        r->ch = inb(PORT_DAC_DATA);
        r->cl = inb(PORT_DAC_DATA);
        break;
    case 0x17:
        get_dac_block(r);
        break;
    case 0x18:
        outb(PORT_DAC_MASK, r->bl);
        break;
    case 0x19:
        r->bl = inb(PORT_DAC_MASK);
        break;
    case 0x1a:
        get_paging(r);
        break;
    case 0x1b:
        grey_scale(r->bl, r->cx <= 256 ? r->cx : 256);
        break;
    }
}
