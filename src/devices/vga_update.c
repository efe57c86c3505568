/*
 * What of the picture is to be drawn again for a window. Two things change it: registers, which are
 * compared with those of the last picture, and video memory, whose pages the dirty log of struct
 * ram watches (mmu/ram.h). When neither did, nothing is drawn. In linear VBE modes only lines on
 * pages that were written are drawn; in the VGA's own modes all are, since a line there may come
 * from anywhere. Which lines came out different, vga_render.c finds by comparing.
 *
 * Nothing of this is guest state: a machine without a window keeps no log and pays nothing.
 */
#include "devices/vga_core.h"

#include <stdlib.h>

/* All that a picture depends on beside video memory. */
struct shown_registers {
    uint8_t sr[SR_COUNT], gr[GR_COUNT], cr[CR_COUNT], ar[AR_COUNT];
    uint8_t ar_index, dac_mask;
    uint8_t blinks; /* phase of cursor, blinking characters and pixels */
    uint8_t dac[256 * 3];
    uint16_t vbe[VBE_COUNT];
};

struct vga_shown {
    struct shown_registers registers;
    const uint32_t *pixels; /* of the surface that holds the last picture */
    bool written[VGA_VRAM_BYTES >> PAGE_SHIFT];
};

/* As vga_render.c has it: the cursor turns every 8 frames, characters and pixels every 16. */
static uint8_t blink_phase(const struct vga *v)
{
    if (vbe_on(v))
        return 0;
    const bool text = !(v->gr[GR_MISC] & GR6_GRAPHICS);
    const bool cursor = text && !(v->cr[CR_CURSOR_START] & CRA_CURSOR_OFF);
    const bool blinking = v->ar[AR_MODE] & AR10_BLINK;
    return event_now(v->events) / v->frame_ns & ((cursor ? 8 : 0) | (blinking ? 16 : 0));
}

static void read_registers(const struct vga *v, struct shown_registers *r)
{
    memset(r, 0, sizeof *r); /* what lies between fields is compared too */
    memcpy(r->sr, v->sr, sizeof r->sr);
    memcpy(r->gr, v->gr, sizeof r->gr);
    memcpy(r->cr, v->cr, sizeof r->cr);
    memcpy(r->ar, v->ar, sizeof r->ar);
    memcpy(r->dac, v->dac, sizeof r->dac);
    memcpy(r->vbe, v->vbe, sizeof r->vbe);
    r->vbe[VBE_BANK] = 0;   /* the CPU's affair, */
    r->gr[GR_READ_MAP] = 0; /* and so are these */
    r->gr[GR_SET_RESET] = r->gr[GR_ENABLE_SET_RESET] = 0;
    r->gr[GR_BIT_MASK] = r->gr[GR_ROTATE] = 0;
    r->sr[SR_MAP_MASK] = 0;
    r->ar_index = v->ar_index & AR_INDEX_PAS;
    r->dac_mask = v->dac_mask;
    r->blinks = blink_phase(v);
}

bool vga_update(void *opaque, struct surface *s, struct line_set *changed)
{
    struct vga *v = opaque;
    struct shown_registers now;
    const bool first = !v->shown;
    if (first) {
        v->shown = calloc(1, sizeof *v->shown);
        if (!v->shown)
            return false;
        ram_log_start(v->ram, v->vram_at, VGA_VRAM_BYTES);
    }
    struct vga_shown *shown = v->shown;
    const bool written = ram_log_take_pages(v->ram, v->vram_at, VGA_VRAM_BYTES, shown->written);
    read_registers(v, &now);
    const bool whole = first || shown->pixels != s->pixels || !s->pixels ||
                       memcmp(&now, &shown->registers, sizeof now) != 0;
    if (!whole && !written)
        return false;
    shown->registers = now;
    const uint32_t width = s->width, height = s->height;
    struct line_set drawn = {0};
    vga_draw(v, &(struct vga_canvas){
                    .s = s, .changed = &drawn, .written = whole ? NULL : shown->written});
    if (s->pixels != shown->pixels || s->width != width || s->height != height)
        line_set_add_range(&drawn, 0, s->height);
    shown->pixels = s->pixels;
    uint32_t line = 0;
    if (!line_set_run(&drawn, &line))
        return false;
    for (unsigned i = 0; i < ARRAY_SIZE(drawn.bits); i++)
        changed->bits[i] |= drawn.bits[i];
    return true;
}
