/* INT 10h AH=00h: setting a VGA mode. */
#include "vga.h"

enum { SR_RESET = 0, CR_V_RETRACE_END = 0x11 };

/*
 * All registers, from a screen that is off to one that stays off (screen_on ends it): sequencer
 * in reset while the clock changes, CR0 to CR7 unlocked first.
 */
void write_registers(const ROM struct parameters *p)
{
    const uint16_t crtc = p->misc & 1 ? 0x3d4 : 0x3b4;
    inb(crtc + 6);
    outb(PORT_ATTRIBUTE, 0);
    out_index(PORT_SEQUENCER, SR_RESET, 1);
    for (uint8_t i = 0; i < sizeof p->sr; i++)
        out_index(PORT_SEQUENCER, i + 1, p->sr[i]);
    outb(PORT_MISC, p->misc);
    out_index(PORT_SEQUENCER, SR_RESET, 3);
    out_index(crtc, CR_V_RETRACE_END, 0);
    for (uint8_t i = 0; i < sizeof p->cr; i++)
        out_index(crtc, i, p->cr[i]);
    for (uint8_t i = 0; i < sizeof p->gr; i++)
        out_index(PORT_GRAPHICS, i, p->gr[i]);
    inb(crtc + 6);
    for (uint8_t i = 0; i < sizeof p->ar; i++) {
        outb(PORT_ATTRIBUTE, i);
        outb(PORT_ATTRIBUTE, p->ar[i]);
    }
    outb(PORT_ATTRIBUTE, 0x14);
    outb(PORT_ATTRIBUTE, 0);
}

static void set_bda(const ROM struct mode *m, const ROM struct parameters *p, bool clear)
{
    /* What the CGA's mode and colour registers would hold; later modes have no say there. */
    static ROM_DATA uint8_t cga_mode[8] = {0x2c, 0x28, 0x2d, 0x29, 0x2a, 0x2e, 0x1e, 0x29};
    bda.mode = m->number;
    bda.columns = p->columns;
    bda.page_bytes = p->page_bytes;
    bda.page_start = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bda.cursor); i++)
        bda.cursor[i] = 0;
    bda.cursor_shape = m->layout == LAYOUT_TEXT ? 0x0607 : 0;
    bda.page = 0;
    bda.crtc = p->misc & 1 ? 0x3d4 : 0x3b4;
    if (m->number < ARRAY_SIZE(cga_mode)) {
        bda.cga_mode = cga_mode[m->number];
        bda.cga_palette = m->number == 6 ? 0x3f : 0x30;
    }
    bda.last_row = p->last_row;
    bda.char_height = p->char_height;
    bda.control = (bda.control & ~CONTROL_NO_CLEAR) | CONTROL_256K | (clear ? 0 : CONTROL_NO_CLEAR);
    bda.vbe_mode = 0;
}

static void clear_memory(const ROM struct mode *m)
{
    if (m->layout == LAYOUT_TEXT)
        far_fill16(m->segment, 0, 0x0720, 0x4000);
    else
        far_fill16(m->segment, 0, 0, m->segment == 0xa000 ? 0x8000 : 0x4000);
}

void set_mode(uint8_t number, bool clear)
{
    const ROM struct mode *m = mode_find(number);
    if (!m)
        return;
    const ROM struct parameters *p = mode_parameters(m);
    if (dispi_present())
        dispi_write(DISPI_ENABLE, 0);
    write_registers(p);
    set_bda(m, p, clear);
    if (!(bda.flags & FLAGS_NO_PALETTE)) {
        load_palette(mode_palette(m));
        if (bda.flags & FLAGS_GREY)
            grey_scale(0, 256);
    }
    if (clear)
        clear_memory(m);
    if (m->layout == LAYOUT_TEXT)
        load_font(p->char_height);
    else
        graphics_font(p->char_height);
    screen_on();
}
