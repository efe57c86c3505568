/* What the adapter and the BIOS are and are set to: INT 10h AH=12h, 1Ah and 1Bh. */
#include "vga.h"

enum { SR_CLOCKING = 1, SR1_SCREEN_OFF = 0x20, MISC_RAM_ENABLE = 2, DONE = 0x12 };

static void set_flag(uint8_t flag, bool set)
{
    bda.flags = set ? bda.flags | flag : bda.flags & ~flag;
}

/* AL 0: 200, 1: 350, 2: 400 lines, from the next mode set on. */
static bool select_lines(uint8_t al)
{
    static ROM_DATA uint8_t flags[3] = {FLAGS_200, 0, FLAGS_400};
    if (al > 2)
        return false;
    bda.flags = (bda.flags & ~(FLAGS_200 | FLAGS_400)) | flags[al];
    bda.switches = (bda.switches & 0xf0) | (al == 0 ? 8 : 9);
    return true;
}

/*
 * AH=12h, BL what. What is known answers AL=12h. Not there: BL=20h (another print-screen handler)
 * and BL=35h (switching between two adapters).
 */
void alternate_select(struct regs *r)
{
    const bool on = (r->al & 1) == 0; /* for these calls 0 means enable */
    switch (r->bl) {
    case 0x10:
        r->bh = bda.crtc == 0x3b4;
        r->bl = 3; /* 256 KiB */
        r->ch = bda.switches >> 4;
        r->cl = bda.switches & 15;
        return;
    case 0x30:
        if (!select_lines(r->al))
            return;
        break;
    case 0x31:
        set_flag(FLAGS_NO_PALETTE, !on);
        break;
    case 0x32: {
        const uint8_t misc = inb(PORT_MISC_READ);
        outb(PORT_MISC, on ? misc | MISC_RAM_ENABLE : misc & ~MISC_RAM_ENABLE);
        break;
    }
    case 0x33:
        set_flag(FLAGS_GREY, on);
        break;
    case 0x34:
        bda.control = on ? bda.control & ~CONTROL_NO_EMULATION : bda.control | CONTROL_NO_EMULATION;
        break;
    case 0x36: {
        const uint8_t clocking = in_index(PORT_SEQUENCER, SR_CLOCKING);
        out_index(PORT_SEQUENCER, SR_CLOCKING,
                  on ? clocking & ~SR1_SCREEN_OFF : clocking | SR1_SCREEN_OFF);
        break;
    }
    default:
        return;
    }
    r->al = DONE;
}

/* AH=1Ah */
void display_combination(struct regs *r)
{
    if (r->al == 0) {
        r->bx = bda.dcc_index; /* 8: a VGA with a colour monitor, and no second adapter */
        r->al = 0x1a;
    } else if (r->al == 1) {
        bda.dcc_index = r->bl;
        r->al = 0x1a;
    }
}

/* --- AH=1Bh ------------------------------------------------------------------------------- */

/* What any mode could have: IBM "Video Static Functionality". */
static ROM_DATA uint8_t functionality[16] = {
    0xff, 0xe0, 0x0f,          /* modes 00h to 07h; 0Dh to 0Fh; 10h to 13h */
    0,    0,    0,    0, 0x07, /* text of 200, 350 and 400 lines */
    2,    8,                   /* fonts shown at once, and loaded */
    0xff, /* all modes, grey, fonts, default palettes, cursor emulation, EGA palette, DAC, paging */
    0x0e, /* saving of states, background intensity, display combination */
    0,    0,    0,    0,
};

static uint16_t colours(void)
{
    switch (bda.mode) {
    case 0x04:
    case 0x05:
        return 4;
    case 0x06:
    case 0x11:
        return 2;
    case 0x07:
    case 0x0f:
        return 0; /* monochrome */
    case 0x13:
        return 256;
    default:
        return 16;
    }
}

/* 200, 350, 400, 480 lines as 0 to 3 */
static uint8_t lines_code(void)
{
    const ROM struct mode *m = mode_find(bda.mode);
    if (!m)
        return 3;
    const ROM struct parameters *p = mode_parameters(m);
    if (bda.mode == 0x11 || bda.mode == 0x12)
        return 3;
    if (p->char_height == 14)
        return 1;
    return m->layout == LAYOUT_TEXT && p->char_height == 16 ? 2 : 0;
}

/* Those that fit the mode's segment. */
static uint8_t pages(void)
{
    const uint32_t segment = bda.crtc == 0x3b4 || bda.mode < 7 ? 0x8000 : 0x10000;
    if (bda.mode == 0x13 || !bda.page_bytes || bda.page_bytes > segment)
        return 1;
    const uint32_t count = segment / bda.page_bytes;
    return count > 8 ? 8 : (uint8_t)count;
}

/* 64 bytes at ES:DI: IBM "Return Functionality and State Information". */
void state_information(struct regs *r)
{
    if (r->bx != 0)
        return;
    const uint16_t es = r->es, di = r->di;
    far_fill8(es, di, 0, 64);
    far_put16(es, di, (uint16_t)(uint32_t)functionality);
    far_put16(es, di + 2, rom_segment());
    far_copy_bytes(es, di + 0x04, 0x40, 0x49, 0x1e);
    far_put8(es, di + 0x22, bda.last_row + 1);
    far_put16(es, di + 0x23, bda.char_height);
    far_put8(es, di + 0x25, bda.dcc_index);
    far_put16(es, di + 0x27, colours());
    far_put8(es, di + 0x29, pages());
    far_put8(es, di + 0x2a, lines_code());
    const uint8_t map = in_index(PORT_SEQUENCER, 3);
    far_put8(es, di + 0x2b, (map & 3) | (map >> 2 & 4));      /* primary font */
    far_put8(es, di + 0x2c, (map >> 2 & 3) | (map >> 3 & 4)); /* secondary */
    uint8_t misc = 1;                                         /* all modes on all displays */
    misc |= bda.flags & FLAGS_GREY ? 2 : 0;
    misc |= bda.crtc == 0x3b4 ? 4 : 0;
    misc |= bda.flags & FLAGS_NO_PALETTE ? 8 : 0;
    misc |= bda.control & CONTROL_NO_EMULATION ? 0 : 0x10;
    misc |= attribute_read(0x10) & 8 ? 0x20 : 0;
    far_put8(es, di + 0x2d, misc);
    far_put8(es, di + 0x31, 3); /* 256 KiB */
    r->al = 0x1b;
}
