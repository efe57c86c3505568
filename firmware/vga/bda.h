/*
 * Low memory: the interrupt vectors and the BIOS data area's part on video, as IBM's "BIOS
 * Interface Technical Reference" has them ("BIOS Data Area"). Addresses come from rom.lds.
 */
#ifndef VGAROM_BDA_H
#define VGAROM_BDA_H

#include "rom.h"

extern struct far_ptr LOW ivt[256];

enum {
    VECTOR_VIDEO = 0x10,
    VECTOR_CGA_PARAMETERS = 0x1d,
    VECTOR_FONT_HIGH = 0x1f, /* 8x8 glyphs 80h to FFh of the CGA modes */
    VECTOR_OLD_VIDEO = 0x42, /* the system BIOS' INT 10h */
    VECTOR_FONT = 0x43,      /* glyphs of graphics modes */
    VECTOR_VIDEO_COPY = 0x6d,
};

extern struct bda {
    uint8_t before_equipment[0x10];
    uint16_t equipment;
    uint8_t before_mode[0x49 - 0x12];
    uint8_t mode;
    uint16_t columns;
    uint16_t page_bytes;
    uint16_t page_start;
    uint16_t cursor[8]; /* row << 8 | column */
    uint16_t cursor_shape;
    uint8_t page;
    uint16_t crtc;
    uint8_t cga_mode;    /* what port 3D8h would hold */
    uint8_t cga_palette; /* and 3D9h */
    uint8_t before_rows[0x84 - 0x67];
    uint8_t last_row; /* rows - 1 */
    uint16_t char_height;
    uint8_t control;
    uint8_t switches;
    uint8_t flags;
    uint8_t dcc_index; /* display combination */
    uint8_t before_save[0xa8 - 0x8b];
    struct far_ptr save_table;
    uint8_t before_vbe[0xba - 0xac];
    uint16_t vbe_mode; /* ours: what 4F03h answers, or 0 in VGA modes */
} __attribute__((packed)) LOW bda;

_Static_assert(offsetof(struct bda, cursor_shape) == 0x60, "40:60");
_Static_assert(offsetof(struct bda, last_row) == 0x84, "40:84");
_Static_assert(offsetof(struct bda, save_table) == 0xa8, "40:A8");

enum {
    EQUIPMENT_VIDEO = 0x30,
    EQUIPMENT_COLOUR_80 = 0x20,

    CONTROL_NO_EMULATION = 0x01, /* of the CGA's cursor shapes */
    CONTROL_256K = 0x60,
    CONTROL_NO_CLEAR = 0x80,

    FLAGS_VGA = 0x01,
    FLAGS_GREY = 0x02,       /* colours are summed to grey */
    FLAGS_NO_PALETTE = 0x08, /* mode sets leave the palette alone */
    FLAGS_400 = 0x10,        /* scan lines of text; neither: 350 */
    FLAGS_200 = 0x80,
    FLAGS_SWITCHABLE = 0x40,
};

/* A guest may have written anything there. */
static inline uint8_t active_page(void)
{
    return bda.page & 7;
}

#endif
