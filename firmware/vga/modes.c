/* See modes.h. Register values: IBM "PS/2 Hardware Interface Technical Reference", "VGA Function",
 * tables of values per mode; FreeVGA. */
#include "modes.h"

#include "bda.h"

/* Horizontal timing, CR0 to CR5: 40 and 80 columns, with text's and graphics' delays of a column */
#define H40_TEXT 0x2d, 0x27, 0x28, 0x90, 0x2b, 0xa0
#define H40      0x2d, 0x27, 0x28, 0x90, 0x2b, 0x80
#define H80_TEXT 0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81
#define H80      0x5f, 0x4f, 0x50, 0x82, 0x54, 0x80
#define H100     0x7b, 0x63, 0x64, 0x80, 0x67, 0x10 /* 800 of 1024 dots, sync from 824 to 896 */

/* CR6 to CR18h with what differs between modes of as many lines; nothing of memory is skipped. */
#define CR_400(max_scan, first, last, pitch, underline, mode)                                   \
    0xbf, 0x1f, 0, max_scan, first, last, 0, 0, 0, 0, 0x9c, 0x8e, 0x8f, pitch, underline, 0x96, \
        0xb9, mode, 0xff
#define CR_350(max_scan, first, last, pitch, underline, mode)                                   \
    0xbf, 0x1f, 0, max_scan, first, last, 0, 0, 0, 0, 0x83, 0x85, 0x5d, pitch, underline, 0x63, \
        0xba, mode, 0xff
#define CR_480(max_scan, pitch, underline, mode)                                               \
    0x0b, 0x3e, 0, max_scan, 0, 0, 0, 0, 0, 0, 0xea, 0x8c, 0xdf, pitch, underline, 0xe7, 0x04, \
        mode, 0xff
#define CR_600(max_scan, pitch, underline, mode) /* 600 of 625 lines, sync from 601 to 603 */   \
    0x6f, 0xf0, 0, max_scan | 0x20, 0, 0, 0, 0, 0, 0, 0x59, 0x8b, 0x57, pitch, underline, 0x58, \
        0x6f, mode, 0xff

/* Palettes of the attribute controller, then mode, overscan, plane enable and panning */
#define AR_EGA \
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f
#define AR_CGA \
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
#define AR_CGA4 \
    0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
#define AR_CGA2 \
    0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17
#define AR_MONO \
    0x00, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18
#define AR_EGA_MONO \
    0x00, 0x08, 0x00, 0x00, 0x18, 0x18, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00
#define AR_TWO \
    0x00, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f
#define AR_LINEAR \
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f

#define GR_TEXT                            \
    {                                      \
        0, 0, 0, 0, 0, 0x10, 0x0e, 0, 0xff \
    }
#define GR_TEXT_MONO                       \
    {                                      \
        0, 0, 0, 0, 0, 0x10, 0x0a, 0, 0xff \
    }
#define GR_PLANAR                          \
    {                                      \
        0, 0, 0, 0, 0, 0, 0x05, 0x0f, 0xff \
    }

#define TEXT_200_40                                                                                \
    {                                                                                              \
        40, 24, 8, 0x800, {0x09, 3, 0, 2}, 0x63, {H40_TEXT, CR_400(0xc7, 6, 7, 0x14, 0x1f, 0xa3)}, \
            {AR_CGA, 0x08, 0, 0x0f, 0}, GR_TEXT                                                    \
    }
#define TEXT_200_80                                                                               \
    {                                                                                             \
        80, 24, 8, 0x1000, {0x01, 3, 0, 2}, 0x63,                                                 \
            {H80_TEXT, CR_400(0xc7, 6, 7, 0x28, 0x1f, 0xa3)}, {AR_CGA, 0x08, 0, 0x0f, 0}, GR_TEXT \
    }
#define TEXT_350_40                                                                             \
    {                                                                                           \
        40, 24, 14, 0x800, {0x09, 3, 0, 2}, 0xa3,                                               \
            {H40_TEXT, CR_350(0x4d, 0x0b, 0x0c, 0x14, 0x1f, 0xa3)}, {AR_EGA, 0x08, 0, 0x0f, 0}, \
            GR_TEXT                                                                             \
    }
#define TEXT_350_80                                                                             \
    {                                                                                           \
        80, 24, 14, 0x1000, {0x01, 3, 0, 2}, 0xa3,                                              \
            {H80_TEXT, CR_350(0x4d, 0x0b, 0x0c, 0x28, 0x1f, 0xa3)}, {AR_EGA, 0x08, 0, 0x0f, 0}, \
            GR_TEXT                                                                             \
    }

/* In IBM's order, so that software which finds it through 40:A8 finds what it expects. */
ROM_DATA struct parameters parameters[PARAMETERS_COUNT] = {
    /* 00h: modes 0 to 3 with 200 lines */
    TEXT_200_40,
    TEXT_200_40,
    TEXT_200_80,
    TEXT_200_80,
    /* 04h: CGA graphics */
    {40,
     24,
     8,
     0x4000,
     {0x09, 3, 0, 2},
     0x63,
     {H40, CR_400(0xc1, 0, 0, 0x14, 0, 0xa2)},
     {AR_CGA4, 0x01, 0, 0x03, 0},
     {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff}},
    {40,
     24,
     8,
     0x4000,
     {0x09, 3, 0, 2},
     0x63,
     {H40, CR_400(0xc1, 0, 0, 0x14, 0, 0xa2)},
     {AR_CGA4, 0x01, 0, 0x03, 0},
     {0, 0, 0, 0, 0, 0x30, 0x0f, 0, 0xff}},
    {80,
     24,
     8,
     0x4000,
     {0x01, 1, 0, 6},
     0x63,
     {H80, CR_400(0xc1, 0, 0, 0x28, 0, 0xc2)},
     {AR_CGA2, 0x01, 0, 0x01, 0},
     {0, 0, 0, 0, 0, 0, 0x0d, 0, 0xff}},
    /* 07h: monochrome text with 350 lines */
    {80,
     24,
     14,
     0x1000,
     {0x00, 3, 0, 2},
     0xa6,
     {H80_TEXT, CR_350(0x4d, 0x0b, 0x0c, 0x28, 0x0d, 0xa3)},
     {AR_MONO, 0x0e, 0, 0x0f, 0},
     GR_TEXT_MONO},
    /* 08h to 0Ch: not on a VGA */
    {0},
    {0},
    {0},
    {0},
    {0},
    /* 0Dh: modes 0Dh, 0Eh; 0Fh, 10h with 64 KiB, then with 256 KiB, which is what there is */
    {40,
     24,
     8,
     0x2000,
     {0x09, 0x0f, 0, 6},
     0x63,
     {H40, CR_400(0xc0, 0, 0, 0x14, 0, 0xe3)},
     {AR_CGA, 0x01, 0, 0x0f, 0},
     GR_PLANAR},
    {80,
     24,
     8,
     0x4000,
     {0x01, 0x0f, 0, 6},
     0x63,
     {H80, CR_400(0xc0, 0, 0, 0x28, 0, 0xe3)},
     {AR_CGA, 0x01, 0, 0x0f, 0},
     GR_PLANAR},
    {0},
    {0},
    {80,
     24,
     14,
     0x8000,
     {0x01, 0x0f, 0, 6},
     0xa2,
     {H80, CR_350(0x40, 0, 0, 0x28, 0x0f, 0xe3)},
     {AR_EGA_MONO, 0x0b, 0, 0x05, 0},
     {0, 0, 0, 0, 0, 0, 0x05, 0x05, 0xff}},
    {80,
     24,
     14,
     0x8000,
     {0x01, 0x0f, 0, 6},
     0xa3,
     {H80, CR_350(0x40, 0, 0, 0x28, 0x0f, 0xe3)},
     {AR_EGA, 0x01, 0, 0x0f, 0},
     GR_PLANAR},
    /* 13h: modes 0 to 3 with 350 lines */
    TEXT_350_40,
    TEXT_350_40,
    TEXT_350_80,
    TEXT_350_80,
    /* 17h: text with 400 lines: modes 0 and 1, 2 and 3, 7 */
    {40,
     24,
     16,
     0x800,
     {0x08, 3, 0, 2},
     0x67,
     {H40_TEXT, CR_400(0x4f, 0x0d, 0x0e, 0x14, 0x1f, 0xa3)},
     {AR_EGA, 0x0c, 0, 0x0f, 8},
     GR_TEXT},
    {80,
     24,
     16,
     0x1000,
     {0x00, 3, 0, 2},
     0x67,
     {H80_TEXT, CR_400(0x4f, 0x0d, 0x0e, 0x28, 0x1f, 0xa3)},
     {AR_EGA, 0x0c, 0, 0x0f, 8},
     GR_TEXT},
    {80,
     24,
     16,
     0x1000,
     {0x00, 3, 0, 2},
     0x66,
     {H80_TEXT, CR_400(0x4f, 0x0d, 0x0e, 0x28, 0x0f, 0xa3)},
     {AR_MONO, 0x0e, 0, 0x0f, 8},
     GR_TEXT_MONO},
    /* 1Ah: modes 11h, 12h, 13h */
    {80,
     29,
     16,
     0xa000,
     {0x01, 0x0f, 0, 6},
     0xe3,
     {H80, CR_480(0x40, 0x28, 0, 0xc3)},
     {AR_TWO, 0x01, 0, 0x0f, 0},
     GR_PLANAR},
    {80,
     29,
     16,
     0xa000,
     {0x01, 0x0f, 0, 6},
     0xe3,
     {H80, CR_480(0x40, 0x28, 0, 0xe3)},
     {AR_EGA, 0x01, 0, 0x0f, 0},
     GR_PLANAR},
    {40,
     24,
     8,
     0x0000,
     {0x01, 0x0f, 0, 0x0e},
     0x63,
     {H80, CR_400(0x41, 0, 0, 0x28, 0x40, 0xa3)},
     {AR_LINEAR, 0x41, 0, 0x0f, 0},
     {0, 0, 0, 0, 0, 0x40, 0x05, 0x0f, 0xff}},
    /* 1Dh: mode 6Ah, 800x600 (VESA's, behind IBM's); timing of VESA's 56 Hz but for the clock */
    {100,
     36,
     16,
     0xea60,
     {0x01, 0x0f, 0, 6},
     0xe3,
     {H100, CR_600(0x40, 0x32, 0, 0xe3)},
     {AR_EGA, 0x01, 0, 0x0f, 0},
     GR_PLANAR},
};

/* Text modes name the entry for 200 lines; the others follow from bda.flags. */
static ROM_DATA struct mode modes[] = {
    {0x00, LAYOUT_TEXT, PALETTE_EGA, 0x00, 0xb800},
    {0x01, LAYOUT_TEXT, PALETTE_EGA, 0x01, 0xb800},
    {0x02, LAYOUT_TEXT, PALETTE_EGA, 0x02, 0xb800},
    {0x03, LAYOUT_TEXT, PALETTE_EGA, 0x03, 0xb800},
    {0x04, LAYOUT_CGA4, PALETTE_CGA, 0x04, 0xb800},
    {0x05, LAYOUT_CGA4, PALETTE_CGA, 0x05, 0xb800},
    {0x06, LAYOUT_CGA2, PALETTE_CGA, 0x06, 0xb800},
    {0x07, LAYOUT_TEXT, PALETTE_MONO, 0x07, 0xb000},
    {0x0d, LAYOUT_PLANAR, PALETTE_CGA, 0x0d, 0xa000},
    {0x0e, LAYOUT_PLANAR, PALETTE_CGA, 0x0e, 0xa000},
    {0x0f, LAYOUT_PLANAR, PALETTE_MONO, 0x11, 0xa000},
    {0x10, LAYOUT_PLANAR, PALETTE_EGA, 0x12, 0xa000},
    {0x11, LAYOUT_PLANAR, PALETTE_EGA, 0x1a, 0xa000},
    {0x12, LAYOUT_PLANAR, PALETTE_EGA, 0x1b, 0xa000},
    {0x13, LAYOUT_PACKED, PALETTE_256, 0x1c, 0xa000},
    {0x6a, LAYOUT_PLANAR, PALETTE_EGA, 0x1d, 0xa000},
};

const ROM struct mode *mode_find(uint8_t number)
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].number == number)
            return &modes[i];
    return NULL;
}

const ROM struct parameters *mode_parameters(const ROM struct mode *m)
{
    unsigned i = m->parameters;
    if (m->layout == LAYOUT_TEXT) {
        if (m->number == 7)
            i = bda.flags & FLAGS_400 ? 0x19 : 0x07;
        else if (bda.flags & FLAGS_400)
            i = 0x17 + m->number / 2;
        else if (!(bda.flags & FLAGS_200))
            i = 0x13 + m->number;
    }
    return &parameters[i];
}
