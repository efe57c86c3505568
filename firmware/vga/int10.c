/* INT 10h, service by service, and what happens once when the system BIOS initialises the ROM. */
#include "vga.h"

void int10_c(struct regs *r);
void init_c(struct regs *r);
void int10_entry(void); /* rom.S */

enum { AL_BIT_NO_CLEAR = 0x80 };

/* AH=00h. AL answers what kind of mode it is, as IBM's BIOS does. */
static void service_set_mode(struct regs *r)
{
    const uint8_t mode = r->al & ~AL_BIT_NO_CLEAR;
    set_mode(mode, !(r->al & AL_BIT_NO_CLEAR));
    r->al = mode > 7 ? 0x20 : mode == 6 ? 0x3f : 0x30;
}

/* AH=0Fh */
static void service_get_mode(struct regs *r)
{
    r->al = bda.mode | (bda.control & CONTROL_NO_CLEAR);
    r->ah = (uint8_t)bda.columns;
    r->bh = bda.page;
}

void int10_c(struct regs *r)
{
    switch (r->ah) {
    case 0x0e: /* first, as nothing is called as often */
        teletype(r);
        break;
    case 0x00:
        service_set_mode(r);
        break;
    case 0x01:
        set_cursor_shape(r->cx);
        break;
    case 0x02:
        set_cursor(r->bh, r->dx);
        break;
    case 0x03:
        get_cursor(r);
        break;
    case 0x04: /* no light pen */
        r->ah = 0;
        break;
    case 0x05:
        set_page(r->al);
        break;
    case 0x06:
        scroll(r, false);
        break;
    case 0x07:
        scroll(r, true);
        break;
    case 0x08:
        read_char(r);
        break;
    case 0x09:
        write_char(r, true);
        break;
    case 0x0a:
        write_char(r, false);
        break;
    case 0x0b:
        set_cga_palette(r);
        break;
    case 0x0c:
        write_pixel(r);
        break;
    case 0x0d:
        read_pixel(r);
        break;
    case 0x0f:
        service_get_mode(r);
        break;
    case 0x10:
        palette_service(r);
        break;
    case 0x11:
        font_service(r);
        break;
    case 0x12:
        alternate_select(r);
        break;
    case 0x13:
        write_string(r);
        break;
    case 0x1a:
        display_combination(r);
        break;
    case 0x1b:
        state_information(r);
        break;
    case 0x1c:
        state_service(r);
        break;
    case 0x4f:
        vbe_service(r);
        break;
    }
}

/* --- Initialisation --------------------------------------------------------------------------- */

/*
 * IBM "Video Save Pointer Table", at 40:A8: far pointers to the parameter table and to six kinds of
 * overrides, of which there are none. Segments are filled in when they are known.
 */
static ROM_VARIABLE struct far_ptr save_table[7];

/* INT 1Dh: the 6845's sixteen registers for modes 0 and 1, 2 and 3, 4 to 6, 7, as on a CGA and MDA;
 * then bytes of memory and columns. Old software looks here, nothing on a VGA uses it. */
static ROM_DATA struct {
    uint8_t crtc[4][16];
    uint16_t page_bytes[4];
    uint8_t columns[8];
    uint8_t mode[8];
} cga_parameters = {
    {{0x38, 0x28, 0x2d, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7},
     {0x71, 0x50, 0x5a, 0x0a, 0x1f, 6, 0x19, 0x1c, 2, 7, 6, 7},
     {0x38, 0x28, 0x2d, 0x0a, 0x7f, 6, 0x64, 0x70, 2, 1, 6, 7},
     {0x61, 0x50, 0x52, 0x0f, 0x19, 6, 0x19, 0x19, 2, 0x0d, 0x0b, 0x0c}},
    {0x800, 0x1000, 0x4000, 0x4000},
    {40, 40, 80, 80, 40, 40, 80, 80},
    {0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29},
};

static void set_vector(uint8_t vector, uint16_t off)
{
    ivt[vector].off = off;
    ivt[vector].seg = rom_segment();
}

static void init_vectors(void)
{
    const uint16_t entry = (uint16_t)(uint32_t)int10_entry;
    ivt[VECTOR_OLD_VIDEO].off = ivt[VECTOR_VIDEO].off;
    ivt[VECTOR_OLD_VIDEO].seg = ivt[VECTOR_VIDEO].seg;
    set_vector(VECTOR_VIDEO, entry);
    set_vector(VECTOR_VIDEO_COPY, entry);
    set_vector(VECTOR_CGA_PARAMETERS, (uint16_t)(uint32_t)&cga_parameters);
    set_vector(VECTOR_FONT_HIGH, (uint16_t)(uint32_t)&font8[128 * 8]);
}

static void init_bda(void)
{
    bda.equipment = (bda.equipment & ~EQUIPMENT_VIDEO) | EQUIPMENT_COLOUR_80;
    bda.control = CONTROL_256K;
    bda.switches = 0xf9; /* as a colour monitor of 350 or more lines would set an EGA's */
    bda.flags = FLAGS_SWITCHABLE | FLAGS_400 | FLAGS_VGA;
    bda.dcc_index = 8;
    save_table[0].off = (uint16_t)(uint32_t)parameters;
    save_table[0].seg = rom_segment();
    bda.save_table.off = (uint16_t)(uint32_t)save_table;
    bda.save_table.seg = rom_segment();
}

extern ROM uint8_t rom_variables[], rom_variables_end[], rom_checksum[]; /* rom.lds, rom.S */

static uint8_t sum_of_variables(void)
{
    uint8_t sum = 0;
    for (const ROM uint8_t *p = rom_variables; p < rom_variables_end; p++)
        sum += *p;
    return sum;
}

/* The sum of the image stays 0 although it is written to: PCI FW 3.0 section 5.2.1.6. */
void init_c(struct regs *r)
{
    const uint8_t before = sum_of_variables();
    init_vectors();
    init_bda();
    adapter_init(r->ax);
    *rom_checksum += before - sum_of_variables();
    outb(0x3c3, 1); /* video subsystem enable */
    set_mode(3, true);
}
