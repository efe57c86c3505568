/* What the files of the ROM ask of each other. */
#ifndef VGAROM_VGA_H
#define VGAROM_VGA_H

#include "bda.h"
#include "far.h"
#include "modes.h"

/* Ports; those of the CRTC are at bda.crtc. */
enum {
    PORT_ATTRIBUTE = 0x3c0,
    PORT_ATTRIBUTE_READ = 0x3c1,
    PORT_MISC = 0x3c2,
    PORT_SEQUENCER = 0x3c4,
    PORT_DAC_MASK = 0x3c6,
    PORT_DAC_STATE = 0x3c7, /* writing: the entry to read */
    PORT_DAC_INDEX = 0x3c8,
    PORT_DAC_DATA = 0x3c9,
    PORT_FEATURE_READ = 0x3ca,
    PORT_MISC_READ = 0x3cc,
    PORT_GRAPHICS = 0x3ce,
};

static inline uint16_t status_port(void)
{
    return bda.crtc + 6;
}

/* mode_set.c: INT 10h AH=00h, and its parts */
void set_mode(uint8_t number, bool clear);
void write_registers(const ROM struct parameters *p);

/* What the screen is like now, from the BIOS data area and, in VBE modes, the adapter. screen.c */
struct screen {
    uint8_t layout; /* enum layout */
    uint8_t pixel_bytes;
    uint16_t segment;
    uint16_t columns, rows;
    uint16_t char_height;
    uint32_t line_bytes;
};
void screen_get(struct screen *s);

/* screen.c: cursor, pages, text in all modes */
void set_cursor_shape(uint16_t shape);
void set_cursor(uint8_t page, uint16_t at);
void get_cursor(struct regs *r);
void set_page(uint8_t page);
void scroll(const struct regs *r, bool down);
void read_char(struct regs *r);
void write_char(const struct regs *r, bool with_attribute);
void teletype(const struct regs *r);
void write_string(const struct regs *r);

/* graphics.c. Columns and rows of characters; y in lines. */
void draw_glyph(const struct screen *s, uint8_t page, uint16_t column, uint16_t row, uint8_t c,
                uint8_t attribute);
uint8_t recognise_glyph(const struct screen *s, uint8_t page, uint16_t column, uint16_t row);
void copy_line(const struct screen *s, uint8_t page, uint16_t to_y, uint16_t from_y,
               uint16_t column, uint16_t columns);
/* Whole lines that follow each other, upwards. False: not possible, and nothing done. */
bool copy_lines(const struct screen *s, uint16_t to_y, uint16_t from_y, uint16_t lines,
                uint16_t columns);
void fill_line(const struct screen *s, uint8_t page, uint16_t y, uint16_t column, uint16_t columns,
               uint8_t colour);
void write_pixel(const struct regs *r);
void read_pixel(struct regs *r);

/* palette.c: INT 10h AH=0Bh and 10h */
void load_palette(enum palette palette);
void set_cga_palette(const struct regs *r);
void palette_service(struct regs *r);
void grey_scale(uint16_t first, uint16_t count);
uint8_t attribute_read(uint8_t index);
void attribute_write(uint8_t index, uint8_t value);
void screen_on(void);

/* font.c: INT 10h AH=11h */
extern const ROM uint8_t font8[256 * 8], font14[256 * 14], font16[256 * 16 + 1];
void load_font(uint8_t char_height);
void graphics_font(uint8_t char_height);
void font_service(struct regs *r);

/* info.c: INT 10h AH=12h, 1Ah, 1Bh */
void alternate_select(struct regs *r);
void display_combination(struct regs *r);
void state_information(struct regs *r);

/* state.c: INT 10h AH=1Ch, and 4F04h */
enum { STATE_HARDWARE = 1, STATE_BIOS = 2, STATE_DAC = 4, STATE_VBE = 8 };
uint16_t state_bytes(uint16_t what);
void state_save(uint16_t what, uint16_t seg, uint16_t off);
void state_restore(uint16_t what, uint16_t seg, uint16_t off);
void state_service(struct regs *r);

/* vbe.c: INT 10h AH=4Fh; dispi.c: the adapter's registers behind it, and PCI */
void vbe_service(struct regs *r);
bool vbe_set_mode(uint16_t mode);

enum dispi {
    DISPI_ID,
    DISPI_XRES,
    DISPI_YRES,
    DISPI_BPP,
    DISPI_ENABLE,
    DISPI_BANK,
    DISPI_VIRT_WIDTH,
    DISPI_VIRT_HEIGHT,
    DISPI_X,
    DISPI_Y,
    DISPI_MEMORY_64K,

    DISPI_ENABLED = 0x01,
    DISPI_GETCAPS = 0x02,
    DISPI_8BIT_DAC = 0x20,
    DISPI_LFB = 0x40,
    DISPI_NO_CLEAR = 0x80,
};
static inline uint16_t dispi_read(uint16_t index)
{
    outw(0x1ce, index);
    return inw(0x1cf);
}
static inline void dispi_write(uint16_t index, uint16_t value)
{
    outw(0x1ce, index);
    outw(0x1cf, value);
}
bool dispi_present(void);
void adapter_init(uint16_t bdf);
uint32_t framebuffer(void);
/* Within video memory, upwards. False: not possible (virtual-8086 mode; A20 closed), and nothing
 * done. */
bool framebuffer_copy(uint32_t to, uint32_t from, uint32_t bytes);
extern ROM uint8_t edid[128];

#endif
