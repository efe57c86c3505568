/*
 * Saving and restoring the adapter's state: INT 10h AH=1Ch and VBE's 4F04h. The buffer has one part
 * for each bit of CX, in this order, each padded to 64 bytes:
 *
 *      hardware   SR0-4, CR0-18h, AR0-14h, GR0-8, misc, feature, their index registers, latches
 *      BIOS data  40:10, 40:49-66, 40:84-8A, 40:A8, 40:BA, vectors 1Fh and 43h
 *      DAC        mask, state, write index, 256 entries of three
 *      VBE        the ten registers of the adapter
 */
#include "vga.h"

enum { SR_COUNT = 5, CR_COUNT = 25, AR_COUNT = 21, GR_COUNT = 9, CR_V_RETRACE_END = 0x11 };

/* A buffer that is filled or emptied byte by byte. */
struct stream {
    uint16_t seg, off;
};

__attribute__((noinline)) static void put(struct stream *s, uint8_t value)
{
    far_put8(s->seg, s->off++, value);
}

__attribute__((noinline)) static uint8_t get(struct stream *s)
{
    return far_get8(s->seg, s->off++);
}

/* --- Hardware ----------------------------------------------------------------------------- */

static void save_group(struct stream *s, uint16_t port, uint8_t count)
{
    for (uint8_t i = 0; i < count; i++)
        put(s, in_index(port, i));
}

static void restore_group(struct stream *s, uint16_t port, uint8_t first, uint8_t count)
{
    for (uint8_t i = first; i < count; i++)
        out_index(port, i, get(s));
}

static void save_hardware(struct stream *s)
{
    const uint8_t misc = inb(PORT_MISC_READ), sr = inb(PORT_SEQUENCER), gr = inb(PORT_GRAPHICS);
    const uint8_t cr = inb(bda.crtc);
    inb(status_port());
    const uint8_t ar = inb(PORT_ATTRIBUTE);
    put(s, misc);
    put(s, inb(PORT_FEATURE_READ));
    save_group(s, PORT_SEQUENCER, SR_COUNT);
    save_group(s, bda.crtc, CR_COUNT);
    save_group(s, PORT_GRAPHICS, GR_COUNT);
    for (uint8_t i = 0; i < AR_COUNT; i++)
        put(s, attribute_read(i));
    outb(PORT_SEQUENCER, sr);
    outb(PORT_GRAPHICS, gr);
    outb(bda.crtc, cr);
    put(s, sr);
    put(s, cr);
    put(s, gr);
    put(s, ar);
    inb(status_port());
    outb(PORT_ATTRIBUTE, ar);
    inb(status_port());
}

static void restore_hardware(struct stream *s)
{
    const uint8_t misc = get(s), feature = get(s);
    const uint16_t crtc = misc & 1 ? 0x3d4 : 0x3b4;
    outb(PORT_MISC, misc);
    outb(crtc + 6, feature);
    restore_group(s, PORT_SEQUENCER, 0, SR_COUNT);
    out_index(crtc, CR_V_RETRACE_END, 0);
    restore_group(s, crtc, 0, CR_COUNT);
    restore_group(s, PORT_GRAPHICS, 0, GR_COUNT);
    inb(crtc + 6);
    for (uint8_t i = 0; i < AR_COUNT; i++) {
        outb(PORT_ATTRIBUTE, i);
        outb(PORT_ATTRIBUTE, get(s));
    }
    outb(PORT_SEQUENCER, get(s));
    outb(crtc, get(s));
    outb(PORT_GRAPHICS, get(s));
    outb(PORT_ATTRIBUTE, get(s));
    inb(crtc + 6);
}

/* --- BIOS data ---------------------------------------------------------------------------- */

/* Ranges of low memory. */
static ROM_DATA struct {
    uint16_t at, bytes;
} bios_data[] = {
    {0x449, 0x1e},        {0x484, 7}, {0x4a8, 4}, {0x4ba, 2}, {VECTOR_FONT_HIGH * 4, 4},
    {VECTOR_FONT * 4, 4},
};

static void save_bios(struct stream *s)
{
    put(s, bda.equipment & EQUIPMENT_VIDEO);
    for (unsigned i = 0; i < ARRAY_SIZE(bios_data); i++)
        for (uint16_t n = 0; n < bios_data[i].bytes; n++)
            put(s, far_get8(0, bios_data[i].at + n));
}

static void restore_bios(struct stream *s)
{
    bda.equipment = (bda.equipment & ~EQUIPMENT_VIDEO) | (get(s) & EQUIPMENT_VIDEO);
    for (unsigned i = 0; i < ARRAY_SIZE(bios_data); i++)
        for (uint16_t n = 0; n < bios_data[i].bytes; n++)
            far_put8(0, bios_data[i].at + n, get(s));
}

/* --- DAC ---------------------------------------------------------------------------------- */

static void save_dac(struct stream *s)
{
    put(s, inb(PORT_DAC_MASK));
    put(s, inb(PORT_DAC_STATE));
    put(s, inb(PORT_DAC_INDEX));
    outb(PORT_DAC_STATE, 0);
    for (uint16_t i = 0; i < 768; i++)
        put(s, inb(PORT_DAC_DATA));
}

static void restore_dac(struct stream *s)
{
    outb(PORT_DAC_MASK, get(s));
    const uint8_t state = get(s), index = get(s);
    outb(PORT_DAC_INDEX, 0);
    for (uint16_t i = 0; i < 768; i++)
        outb(PORT_DAC_DATA, get(s));
    outb(state & 3 ? PORT_DAC_STATE : PORT_DAC_INDEX, index);
}

/* --- VBE ---------------------------------------------------------------------------------- */

static void save_vbe(struct stream *s)
{
    for (uint16_t i = DISPI_XRES; i <= DISPI_Y; i++) {
        const uint16_t value = dispi_read(i);
        put(s, (uint8_t)value);
        put(s, value >> 8);
    }
}

/* Geometry while the mode is off, then what enabling it resets. */
static void restore_vbe(struct stream *s)
{
    uint16_t value[DISPI_Y + 1];
    for (uint16_t i = DISPI_XRES; i <= DISPI_Y; i++) {
        value[i] = get(s);
        value[i] |= get(s) << 8;
    }
    dispi_write(DISPI_ENABLE, 0);
    for (uint16_t i = DISPI_XRES; i <= DISPI_BPP; i++)
        dispi_write(i, value[i]);
    dispi_write(DISPI_ENABLE, value[DISPI_ENABLE] | DISPI_NO_CLEAR);
    if (value[DISPI_ENABLE] & DISPI_ENABLED) {
        dispi_write(DISPI_BANK, value[DISPI_BANK]);
        dispi_write(DISPI_VIRT_WIDTH, value[DISPI_VIRT_WIDTH]);
        dispi_write(DISPI_X, value[DISPI_X]);
        dispi_write(DISPI_Y, value[DISPI_Y]);
    }
}

/* --- The four together -------------------------------------------------------------------- */

/* save, then restore, in the order of CX's bits; padded bytes of each */
static ROM_DATA uint16_t part_bytes[4] = {128, 64, 832, 64};

uint16_t state_bytes(uint16_t what)
{
    uint16_t bytes = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(part_bytes); i++)
        if (what >> i & 1)
            bytes += part_bytes[i];
    return bytes;
}

void state_save(uint16_t what, uint16_t seg, uint16_t off)
{
    struct stream s = {seg, off};
    if (what & STATE_HARDWARE)
        save_hardware(&s);
    off += state_bytes(what & STATE_HARDWARE);
    s.off = off;
    if (what & STATE_BIOS)
        save_bios(&s);
    off += state_bytes(what & STATE_BIOS);
    s.off = off;
    if (what & STATE_DAC)
        save_dac(&s);
    off += state_bytes(what & STATE_DAC);
    s.off = off;
    if (what & STATE_VBE)
        save_vbe(&s);
}

/* VBE's before the VGA's, since leaving a VBE mode is what makes those count. */
void state_restore(uint16_t what, uint16_t seg, uint16_t off)
{
    struct stream s = {seg, off + state_bytes(what & (STATE_VBE - 1))};
    if (what & STATE_VBE)
        restore_vbe(&s);
    s.off = off;
    if (what & STATE_HARDWARE)
        restore_hardware(&s);
    off += state_bytes(what & STATE_HARDWARE);
    s.off = off;
    if (what & STATE_BIOS)
        restore_bios(&s);
    off += state_bytes(what & STATE_BIOS);
    s.off = off;
    if (what & STATE_DAC)
        restore_dac(&s);
}

/* AH=1Ch. AL 0: BX = size in 64 bytes; 1: save at ES:BX; 2: restore. CX: what, without VBE. */
void state_service(struct regs *r)
{
    const uint16_t what = r->cx & (STATE_HARDWARE | STATE_BIOS | STATE_DAC);
    if (!what || r->al > 2)
        return;
    if (r->al == 0)
        r->bx = state_bytes(what) / 64;
    else if (r->al == 1)
        state_save(what, r->es, r->bx);
    else
        state_restore(what, r->es, r->bx);
    r->al = 0x1c;
}
