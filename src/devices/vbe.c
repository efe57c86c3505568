/*
 * Bochs VBE ("DISPI"): the registers behind VBE modes, an index and a data port, and the same in
 * BAR 2 with the VGA's ports and an EDID. Bochs "VBE Display API" (doc/docbook, vbe_display_api.txt
 * of the vgabios project) and QEMU docs/specs/standard-vga.rst.
 *
 *      BAR 2   000h  EDID
 *              400h  ports 3C0h to 3DFh, a byte each
 *              500h  DISPI registers, a word each
 *              600h  extension: its size, byte order (little-endian is all we have)
 *
 * Values a guest asks for are clamped to what can be shown as soon as the mode is on, so that what
 * draws the picture need not check again; the guest reads back what it got.
 *
 * Not modelled: separate read and write banks, the bit-banged DDC of Bochs' index 0Bh.
 */
#include "devices/vga_core.h"

enum {
    VBE_ID0 = 0xb0c0,
    VBE_ID5 = 0xb0c5,
    MMIO_EDID = 0x000,
    MMIO_PORTS = 0x400,
    MMIO_DISPI = 0x500,
    MMIO_EXT = 0x600,
    EXT_BYTES = 8,
    EXT_LITTLE_ENDIAN = 0x1e1e1e1e,
    MAX_VIRT_WIDTH = 0x4000,
    VBE_MAX_BPP = 32,
};

static bool known_depth(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Bytes of VRAM that hold this many pixels side by side; four bits are four planes of a bit. */
static uint32_t pixel_bytes(const struct vga *v, uint32_t pixels)
{
    const unsigned bpp = v->vbe[VBE_BPP];
    return bpp == 4 ? pixels / 8 * 4 : pixels * ((bpp + 7) / 8);
}

uint32_t vbe_pitch(const struct vga *v)
{
    return pixel_bytes(v, v->vbe[VBE_VIRT_WIDTH]);
}

static void clamp_mode(struct vga *v)
{
    uint16_t *r = v->vbe;
    if (!known_depth(r[VBE_BPP]))
        r[VBE_BPP] = 8;
    r[VBE_XRES] = (uint16_t)MAX(8, MIN(r[VBE_XRES], VGA_MAX_WIDTH) & ~7);
    r[VBE_VIRT_WIDTH] = (uint16_t)(MIN(r[VBE_VIRT_WIDTH], MAX_VIRT_WIDTH) & ~7);
    r[VBE_VIRT_WIDTH] = MAX(r[VBE_VIRT_WIDTH], r[VBE_XRES]);
    const uint32_t lines = (uint32_t)VGA_VRAM_BYTES / vbe_pitch(v);
    r[VBE_YRES] = (uint16_t)MAX(1, MIN(MIN(r[VBE_YRES], VGA_MAX_HEIGHT), lines));
    r[VBE_VIRT_HEIGHT] = (uint16_t)MIN(lines, 0xffff);
}

static bool shown_fits(const struct vga *v)
{
    const uint64_t end = pixel_bytes(v, v->vbe[VBE_X_OFFSET]) +
                         (uint64_t)vbe_pitch(v) * (v->vbe[VBE_Y_OFFSET] + v->vbe[VBE_YRES]);
    return end <= VGA_VRAM_BYTES;
}

static void clamp(struct vga *v)
{
    if (!vbe_on(v))
        return;
    clamp_mode(v);
    if (!shown_fits(v))
        v->vbe[VBE_Y_OFFSET] = 0;
    if (!shown_fits(v))
        v->vbe[VBE_X_OFFSET] = 0;
}

static uint16_t dispi_read(const struct vga *v, unsigned index)
{
    if (index == VBE_VIDEO_MEMORY_64K)
        return VGA_VRAM_BYTES / (64 * KiB);
    if (index >= VBE_COUNT)
        return 0;
    if (v->vbe[VBE_ENABLE] & VBE_GETCAPS) {
        switch (index) {
        case VBE_XRES:
            return VGA_MAX_WIDTH;
        case VBE_YRES:
            return VGA_MAX_HEIGHT;
        case VBE_BPP:
            return VBE_MAX_BPP;
        default:
            break;
        }
    }
    return v->vbe[index];
}

static void clear_screen(struct vga *v)
{
    const uint64_t bytes = (uint64_t)vbe_pitch(v) * v->vbe[VBE_YRES];
    memset(v->vram, 0, bytes);
    ram_note_write(v->ram, v->vram_at, bytes);
}

static void write_enable(struct vga *v, uint16_t value)
{
    const bool was_on = vbe_on(v), on = value & VBE_ENABLED;
    v->vbe[VBE_ENABLE] =
        value & (VBE_ENABLED | VBE_GETCAPS | VBE_8BIT_DAC | VBE_LFB_ENABLED | VBE_NOCLEARMEM);
    if (was_on == on)
        return;
    v->vbe[VBE_BANK] = 0;
    if (!on)
        return;
    v->vbe[VBE_VIRT_WIDTH] = v->vbe[VBE_X_OFFSET] = v->vbe[VBE_Y_OFFSET] = 0;
    clamp(v);
    if (!(value & VBE_NOCLEARMEM))
        clear_screen(v);
}

static void dispi_write(struct vga *v, unsigned index, uint16_t value)
{
    switch (index) {
    case VBE_ID: /* software asks for the version it speaks and sees whether it sticks */
        if (value >= VBE_ID0 && value <= VBE_ID5)
            v->vbe[VBE_ID] = value;
        return;
    case VBE_ENABLE:
        write_enable(v, value);
        break;
    case VBE_BANK:
        v->vbe[VBE_BANK] = value & (VGA_VRAM_BYTES / (64 * KiB) - 1);
        break;
    case VBE_XRES:
    case VBE_YRES:
    case VBE_BPP:
    case VBE_VIRT_WIDTH:
    case VBE_X_OFFSET:
    case VBE_Y_OFFSET:
        v->vbe[index] = value;
        clamp(v);
        break;
    case VBE_VIRT_HEIGHT: /* follows from the width; bochs-drm writes it all the same */
        return;
    default:
        log_guest(v->log, "vga: write of %xh to read-only VBE register %xh", value, index);
        return;
    }
    vga_mem_update(v);
    vga_timing_update(v);
}

/* --- Ports 1CEh (index) and 1CFh or 1D0h (data), words ------------------------------------ */

enum { PORT_INDEX = 0, PORT_DATA = 1, PORT_DATA_EVEN = 2, PORT_BYTES = 4 };

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size; /* the core cuts off the upper byte of byte reads */
    const struct vga *v = opaque;
    if (offset == PORT_INDEX)
        return v->vbe_index;
    if (offset == PORT_DATA || offset == PORT_DATA_EVEN)
        return dispi_read(v, v->vbe_index);
    return ~UINT64_C(0);
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;
    if (size != 2)
        log_guest(v->log, "vga: byte write to VBE port %xh", 0x1ceu + (unsigned)offset);
    else if (offset == PORT_INDEX)
        v->vbe_index = (uint16_t)value;
    else if (offset == PORT_DATA || offset == PORT_DATA_EVEN)
        dispi_write(v, v->vbe_index, (uint16_t)value);
}

static const struct io_ops ports_ops = {.read = ports_read, .write = ports_write, .max_size = 2};

/* --- BAR 2 --------------------------------------------------------------------------- */

static uint8_t mmio_read_byte(struct vga *v, uint32_t at)
{
    if (at < MMIO_EDID + sizeof v->edid)
        return v->edid[at];
    if (at >= MMIO_PORTS && at < MMIO_PORTS + 0x20)
        return vga_port_read(v, (uint16_t)(0x3c0 + at - MMIO_PORTS));
    if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * (VBE_VIDEO_MEMORY_64K + 1))
        return (uint8_t)(dispi_read(v, (at - MMIO_DISPI) / 2) >> (8 * (at & 1)));
    if (at >= MMIO_EXT && at < MMIO_EXT + EXT_BYTES) {
        const uint64_t ext = EXT_BYTES | (uint64_t)EXT_LITTLE_ENDIAN << 32;
        return (uint8_t)(ext >> (8 * (at - MMIO_EXT)));
    }
    return at < MMIO_PORTS ? 0 : 0xff;
}

static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)mmio_read_byte(opaque, (uint32_t)offset + i) << (8 * i);
    return value;
}

static void mmio_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct vga *v = opaque;
    const uint32_t at = (uint32_t)offset;
    if (at >= MMIO_PORTS && at < MMIO_PORTS + 0x20) {
        for (unsigned i = 0; i < size; i++)
            vga_port_write(v, (uint16_t)(0x3c0 + at - MMIO_PORTS + i), (uint8_t)(value >> (8 * i)));
    } else if (at >= MMIO_DISPI && at < MMIO_DISPI + 2 * VBE_COUNT && size >= 2) {
        for (unsigned i = 0; i < size / 2; i++)
            dispi_write(v, (at - MMIO_DISPI) / 2 + i, (uint16_t)(value >> (16 * i)));
    } else if (at == MMIO_EXT + 4 && value == EXT_LITTLE_ENDIAN) {
        return; /* bochs-drm asks for the host's byte order; that is the one there is */
    } else {
        log_guest(v->log, "vga: write of %u byte(s) at %xh of BAR 2", size, at);
    }
}

static const struct io_ops mmio_ops = {.read = mmio_read, .write = mmio_write, .max_size = 4};

/* --- EDID: VESA E-EDID A2 "Extended Display Identification Data" ------------------------ */

/* A monitor that likes 1280x800 at 60 Hz (CVT timing, 83.5 MHz) and takes usual lesser modes. */
/* clang-format off */
static const uint8_t edid_head[126] = {
    0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, /* header */
    0x5a, 0x54, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, /* "VRT", product 1, no serial number */
    0x00, 0x1e, 0x01, 0x04,                         /* made in 2020, EDID 1.4 */
    0xa5, 0x20, 0x14, 0x78, 0x06,                   /* digital, 32x20 cm, gamma 2.2, sRGB */
    0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54, /* sRGB primaries */
    0x21, 0x08, 0x00,                               /* 640x480, 800x600, 1024x768 at 60 Hz */
    /* standard timings: 1280x800, 1280x1024, 1920x1080, then none */
    0x81, 0x00, 0x81, 0x80, 0xd1, 0xc0, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    /* 1280x800: 1280 + 400 dots, 800 + 31 lines; hsync 72/128, vsync 3/6 */
    0x9e, 0x20, 0x00, 0x90, 0x51, 0x20, 0x1f, 0x30, 0x48, 0x80, 0x36, 0x00, 0x40, 0xc8, 0x10,
    0x00, 0x00, 0x1c,
    /* name */
    0x00, 0x00, 0x00, 0xfc, 0x00, 'V', 'i', 't', 'r', 'i', 'n', 'e', '\n', ' ', ' ', ' ', ' ', ' ',
    /* range limits: 50 to 75 Hz, 30 to 85 kHz, 160 MHz */
    0x00, 0x00, 0x00, 0xfd, 0x00, 50, 75, 30, 85, 16, 0x00, '\n', ' ', ' ', ' ', ' ', ' ', ' ',
    /* unused descriptor */
    0x00, 0x00, 0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00,
};
/* clang-format on */

static void make_edid(struct vga *v)
{
    uint8_t sum = 0;
    memcpy(v->edid, edid_head, sizeof edid_head);
    for (unsigned i = 0; i < sizeof v->edid; i++)
        sum = (uint8_t)(sum + v->edid[i]);
    v->edid[127] = (uint8_t)-sum;
}

/* --- Life ---------------------------------------------------------------------------- */

void vbe_reset(struct vga *v)
{
    memset(v->vbe, 0, sizeof v->vbe);
    v->vbe_index = 0;
    v->vbe[VBE_ID] = VBE_ID5;
    v->vbe[VBE_BPP] = 8;
}

void vbe_state(struct vga *v, struct state *s)
{
    static const char *const names[VBE_COUNT] = {
        "vbe_id",   "vbe_xres",       "vbe_yres",        "vbe_bpp",      "vbe_enable",
        "vbe_bank", "vbe_virt_width", "vbe_virt_height", "vbe_x_offset", "vbe_y_offset",
    };
    state_u16(s, "vbe_index", &v->vbe_index);
    for (unsigned i = 0; i < VBE_COUNT; i++)
        state_u16(s, names[i], &v->vbe[i]);
}

/* A file is no guest: it gets no more than one could set. */
void vbe_loaded(struct vga *v)
{
    if (v->vbe[VBE_ID] < VBE_ID0 || v->vbe[VBE_ID] > VBE_ID5)
        v->vbe[VBE_ID] = VBE_ID5;
    v->vbe[VBE_BANK] &= VGA_VRAM_BYTES / (64 * KiB) - 1;
    clamp(v);
}

void vbe_init(struct vga *v)
{
    make_edid(v);
    mem_region_init_io(&v->pci.bar[2].mem, "vga.mmio", &mmio_ops, v, PAGE_SIZE);
    pci_add_mem_bar(&v->pci, 2, false, false);
    v->vbe_ports = (struct io_region){.name = "vga.vbe", .ops = &ports_ops, .opaque = v};
    iomap_add(v->io, &v->vbe_ports, 0x1ce, PORT_BYTES);
}
