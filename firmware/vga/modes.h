/* The VGA's modes: what INT 10h knows of each, and the values of the registers. */
#ifndef VGAROM_MODES_H
#define VGAROM_MODES_H

#include "rom.h"

/* How a mode's memory is laid out. */
enum layout {
    LAYOUT_TEXT,   /* character and attribute */
    LAYOUT_CGA4,   /* two bits a pixel, odd lines 2000h higher */
    LAYOUT_CGA2,   /* one bit, the same */
    LAYOUT_PLANAR, /* a bit in each of four planes */
    LAYOUT_PACKED, /* a byte a pixel */
    LAYOUT_VBE,    /* one to four bytes a pixel, through a window of 64 KiB */
};

enum palette { PALETTE_EGA, PALETTE_CGA, PALETTE_MONO, PALETTE_256 };

/* An entry of IBM's video parameter table, "Video Parameter Table" (40:A8). */
struct parameters {
    uint8_t columns, last_row, char_height;
    uint16_t page_bytes;
    uint8_t sr[4]; /* from SR1 */
    uint8_t misc;
    uint8_t cr[25];
    uint8_t ar[20];
    uint8_t gr[9];
} __attribute__((packed));
_Static_assert(sizeof(struct parameters) == 64, "IBM's size");

struct mode {
    uint8_t number;
    uint8_t layout;
    uint8_t palette;
    uint8_t parameters; /* index */
    uint16_t segment;
};

enum { PARAMETERS_COUNT = 30 };
extern const ROM struct parameters parameters[PARAMETERS_COUNT];

/* NULL if there is no such mode. */
const ROM struct mode *mode_find(uint8_t number);

/* Its registers, for the number of scan lines that text is to have (bda.flags). */
const ROM struct parameters *mode_parameters(const ROM struct mode *m);

/* And the palette that goes with them. */
enum palette mode_palette(const ROM struct mode *m);

#endif
