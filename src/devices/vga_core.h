/*
 * What the files of the VGA share: its registers and what is worked out from them. Private to
 * vga.c (ports, life cycle), vga_mem.c (the window at A0000h), vga_render.c (the picture),
 * vga_update.c (what of it changed) and vbe.c (Bochs VBE, registers in BAR 2).
 *
 * Video memory is kept as the four planes interleaved, so that one 32-bit load gets what a memory
 * cycle of the VGA gets, and chain-4 and linear modes are plain memory:
 *
 *      byte in VRAM    0       1       2       3       4       5    ...
 *      planar          P0@0    P1@0    P2@0    P3@0    P0@1    P1@1 ...
 *      chain-4         0       1       2       3       4       5    ...
 *
 * Everything here runs under the machine's lock.
 */
#ifndef VITRINE_DEVICES_VGA_CORE_H
#define VITRINE_DEVICES_VGA_CORE_H

#include "devices/vga.h"

/* Bits of the registers, by the names of IBM's manual ("VGA Function" of the PS/2 manual). */
enum {
    MISC_COLOUR = BIT(0),     /* CRTC and status at 3Dxh, not 3Bxh */
    MISC_RAM_ENABLE = BIT(1), /* the CPU reaches video memory */

    SR_RESET = 0,
    SR_CLOCKING = 1,
    SR1_DOTS_8 = BIT(0),
    SR1_HALF_CLOCK = BIT(3),
    SR1_SCREEN_OFF = BIT(5),
    SR_MAP_MASK = 2,
    SR_CHAR_MAP = 3,
    SR_MEMORY_MODE = 4,
    SR4_SEQUENTIAL = BIT(2), /* odd/even off */
    SR4_CHAIN4 = BIT(3),

    GR_SET_RESET = 0,
    GR_ENABLE_SET_RESET = 1,
    GR_COLOUR_COMPARE = 2,
    GR_ROTATE = 3,
    GR_READ_MAP = 4,
    GR_MODE = 5,
    GR5_READ_COMPARE = BIT(3),
    GR5_ODD_EVEN = BIT(4),
    GR5_SHIFT_INTERLEAVE = BIT(5),
    GR5_SHIFT_256 = BIT(6),
    GR_MISC = 6,
    GR6_GRAPHICS = BIT(0),
    GR6_CHAIN_ODD_EVEN = BIT(1),
    GR_COLOUR_DONT_CARE = 7,
    GR_BIT_MASK = 8,

    CR_H_TOTAL = 0x00,
    CR_H_DISPLAY_END = 0x01,
    CR_OVERFLOW = 0x07,
    CR7_LINE_COMPARE_8 = BIT(4),
    CR_PRESET_ROW_SCAN = 0x08,
    CR_MAX_SCAN = 0x09,
    CR9_DOUBLE_SCAN = BIT(7),
    CR_CURSOR_START = 0x0a,
    CRA_CURSOR_OFF = BIT(5),
    CR_CURSOR_END = 0x0b,
    CR_START_HIGH = 0x0c,
    CR_START_LOW = 0x0d,
    CR_CURSOR_HIGH = 0x0e,
    CR_CURSOR_LOW = 0x0f,
    CR_V_RETRACE_START = 0x10,
    CR_V_RETRACE_END = 0x11,
    CR11_PROTECT = BIT(7), /* CR0 to CR7 are read-only but for CR7 bit 4 */
    CR_V_DISPLAY_END = 0x12,
    CR_OFFSET = 0x13,
    CR_UNDERLINE = 0x14,
    CR14_COUNT_BY_4 = BIT(5),
    CR14_DOUBLEWORD = BIT(6),
    CR_MODE = 0x17,
    CR17_NO_ROW_TO_MA13 = BIT(0),
    CR17_NO_ROW_TO_MA14 = BIT(1),
    CR17_COUNT_BY_2 = BIT(3),
    CR17_WRAP_MA15 = BIT(5),
    CR17_BYTE = BIT(6),
    CR17_SYNC_ENABLE = BIT(7),
    CR_LINE_COMPARE = 0x18,

    AR_INDEX_PAS = BIT(5), /* palette address source: 1 = the screen, 0 = the CPU (screen off) */
    AR_MODE = 0x10,
    AR10_MONO = BIT(1),
    AR10_LINE_GRAPHICS = BIT(2),
    AR10_BLINK = BIT(3),
    AR10_PAN_TOP_ONLY = BIT(5),
    AR10_PEL_256 = BIT(6),
    AR10_P54_SELECT = BIT(7),
    AR_PLANE_ENABLE = 0x12,
    AR_PAN = 0x13,
    AR_COLOUR_SELECT = 0x14,
};

enum { SR_COUNT = 5, GR_COUNT = 9, CR_COUNT = 0x19, AR_COUNT = 0x15 };

/* Bochs VBE, by its names without "VBE_DISPI_INDEX_". */
enum {
    VBE_ID,
    VBE_XRES,
    VBE_YRES,
    VBE_BPP,
    VBE_ENABLE,
    VBE_BANK,
    VBE_VIRT_WIDTH,
    VBE_VIRT_HEIGHT,
    VBE_X_OFFSET,
    VBE_Y_OFFSET,
    VBE_COUNT,
    VBE_VIDEO_MEMORY_64K = VBE_COUNT, /* read-only, not stored */

    VBE_ENABLED = BIT(0),
    VBE_GETCAPS = BIT(1),
    VBE_8BIT_DAC = BIT(5),
    VBE_LFB_ENABLED = BIT(6),
    VBE_NOCLEARMEM = BIT(7),
};

/* No picture is larger, whatever the registers say. */
enum { VGA_MAX_WIDTH = 3840, VGA_MAX_HEIGHT = 2160 };

/* How the window at A0000h behaves under the present registers. */
enum vga_access {
    VGA_ACCESS_OFF,    /* nobody there */
    VGA_ACCESS_PLANAR, /* anything, through latches and the graphics controller */
    VGA_ACCESS_TEXT,   /* odd/even on planes 0 and 1, nothing else switched on */
    VGA_ACCESS_LINEAR, /* plain memory */
};

/* Worked out by vga_mem_update from the registers. */
struct vga_window {
    enum vga_access access;
    uint32_t base, size;  /* within A0000h to BFFFFh */
    uint32_t bank;        /* added to a CPU address, in bytes of the window */
    uint32_t plane_mask;  /* of a planar address */
    uint32_t linear_mask; /* of an address in chain-4 or linear modes */
    bool chain4, odd_even_write, odd_even_read, odd_even_address;
    /* Registers spread so that a plane is a byte of a 32-bit word. */
    uint32_t map_mask, set_reset, enable_set_reset, bit_mask, compare, care;
};

/* A register group in the port space. */
struct vga_ports {
    struct vga *vga;
    struct io_region region;
};
enum { VGA_PORT_GROUPS = 5 };

struct vga {
    struct pci_device pci;
    struct iomap *io;
    struct memmap *mem;
    struct ram *ram;
    struct event_queue *events;
    struct log *log;
    struct display_source display;

    struct vga_ports ports[VGA_PORT_GROUPS];
    struct io_region vbe_ports;
    struct mem_region low, high; /* A0000h and B0000h as I/O */
    struct mem_region linear;    /* over low: A0000h as memory, while that is what it is */
    uint8_t *vram;
    ram_t vram_at;

    uint8_t misc, feature;
    uint8_t sr_index, sr[SR_COUNT];
    uint8_t gr_index, gr[GR_COUNT];
    uint8_t cr_index, cr[CR_COUNT];
    uint8_t ar_index, ar[AR_COUNT];
    bool ar_data; /* the flip-flop: the next write to 3C0h is data */
    uint8_t dac_mask, dac_state, dac_read, dac_write, dac_component;
    uint8_t dac_latch[3];
    uint8_t dac[256 * 3]; /* eight bits wide whatever the width in force, see vga.c */
    uint32_t latch;
    uint16_t vbe_index, vbe[VBE_COUNT];

    /* Worked out from the above. */
    struct vga_window window;
    uint32_t linear_uses; /* accesses to low since it has been plain memory */
    int64_t frame_ns, line_ns;
    int64_t display_ns;                          /* of a line's start that shows a picture */
    int64_t display_lines, retrace, retrace_end; /* in lines */
    uint8_t edid[128];

    struct vga_shown *shown; /* what a window shows, NULL: there is none. vga_update.c */
};

/* The window's mode, and its place in the map, from the registers. vga_mem.c */
void vga_mem_init(struct vga *v);
void vga_mem_update(struct vga *v);

/* Length of lines and frames from the registers. vga.c */
void vga_timing_update(struct vga *v);
uint8_t vga_port_read(struct vga *v, uint16_t port);
void vga_port_write(struct vga *v, uint16_t port, uint8_t value);

/* vbe.c */
void vbe_init(struct vga *v);
void vbe_reset(struct vga *v);
void vbe_state(struct vga *v, struct state *s);
void vbe_loaded(struct vga *v);
uint32_t vbe_pitch(const struct vga *v); /* bytes of VRAM from one line to the next */
static inline bool vbe_on(const struct vga *v)
{
    return v->vbe[VBE_ENABLE] & VBE_ENABLED;
}

/* Where a picture goes, and what of it needs not be drawn. */
struct vga_canvas {
    struct surface *s;
    /* s holds an older picture: gets the lines that differ from it. NULL: nobody asks. */
    struct line_set *changed;
    /* By page of VRAM: was it written since that picture? Lines of unwritten pages are as they
     * were. NULL: everything may be different. */
    const bool *written;
};
/* False: blank, and black then. vga_render.c */
bool vga_draw(const struct vga *v, const struct vga_canvas *to);

/* struct display_source. vga_render.c, vga_update.c */
bool vga_render(void *opaque, struct surface *s);
bool vga_update(void *opaque, struct surface *s, struct line_set *changed);
size_t vga_text(void *opaque, char *buf, size_t size);

#endif
