/*
 * A VGA on PCI: its ports, its timing and its life. IBM "PS/2 Hardware Interface Technical
 * Reference", "VGA Function"; FreeVGA for what the clones agree on. Identity and BARs are those of
 * the standard adapter of Bochs and QEMU, which SeaBIOS' VGA ROM and Linux' bochs-drm drive:
 *
 *      BAR 0   video memory, 16 MiB, linear
 *      BAR 2   registers, 4 KiB (vbe.c)
 *      ROM     the VGA BIOS
 *
 * The legacy ports and the window at A0000h answer whatever the PCI command register says, so that
 * software that knows no PCI finds them. vga_mem.c is the data path, vga_render.c the picture.
 *
 * Not modelled: the vertical retrace interrupt (no PC board wires it), light pen, the feature
 * connector, the DAC's snow, borders, and index registers beyond IBM's.
 */
#include "devices/vga_core.h"

#include <stdlib.h>

/* Bits software can set; the others read as zero. */
static const uint8_t sr_mask[SR_COUNT] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t gr_mask[GR_COUNT] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t ar_mask[AR_COUNT] = {
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
    0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f,
};

enum { DAC_STATE_WRITE = 0, DAC_STATE_READ = 3 };

/* --- Timing: what the beam does now, from the CRTC and the guest's clock ----------------- */

static const uint32_t dot_clock_khz[4] = {25175, 28322, 25175, 25175};

static void vbe_timing(struct vga *v)
{
    /* No VBE register holds it: 60 Hz, and about the blanking a monitor would get. */
    const int64_t lines = v->vbe[VBE_YRES];
    v->display_lines = lines;
    v->retrace = lines + 3;
    v->retrace_end = lines + 9;
    v->frame_ns = NS_PER_SEC / 60;
    v->line_ns = v->frame_ns / (lines + lines / 20 + 10);
    v->display_ns = v->line_ns * 4 / 5;
}

void vga_timing_update(struct vga *v)
{
    if (vbe_on(v)) {
        vbe_timing(v);
        return;
    }
    const uint8_t *cr = v->cr, overflow = cr[CR_OVERFLOW];
    const uint32_t khz =
        dot_clock_khz[(v->misc >> 2) & 3] >> !!(v->sr[SR_CLOCKING] & SR1_HALF_CLOCK);
    const int64_t char_dots = v->sr[SR_CLOCKING] & SR1_DOTS_8 ? 8 : 9;
    const int64_t total = (cr[0x06] | (overflow & 1) << 8 | (overflow & 0x20) << 4) + 2;
    v->line_ns = (cr[CR_H_TOTAL] + 5) * char_dots * 1000000 / khz;
    v->display_ns = (cr[CR_H_DISPLAY_END] + 1) * char_dots * 1000000 / khz;
    v->frame_ns = v->line_ns * total;
    v->display_lines = (cr[CR_V_DISPLAY_END] | (overflow & 2) << 7 | (overflow & 0x40) << 3) + 1;
    v->retrace = cr[CR_V_RETRACE_START] | (overflow & 4) << 6 | (overflow & 0x80) << 2;
    /* It ends where the low four bits of the line counter match. */
    v->retrace_end = (v->retrace & ~INT64_C(15)) | (cr[CR_V_RETRACE_END] & 15);
    if (v->retrace_end <= v->retrace)
        v->retrace_end += 16;
}

/* Input status 1: bit 3 vertical retrace, bit 0 no picture now (either blanking). */
static uint8_t status1(const struct vga *v)
{
    const int64_t at = event_now(v->events) % v->frame_ns;
    const int64_t line = at / v->line_ns, x = at % v->line_ns;
    uint8_t status = 0;
    if (line >= v->display_lines || x >= v->display_ns)
        status |= BIT(0);
    if (line >= v->retrace && line < v->retrace_end)
        status |= BIT(3);
    return status;
}

/* --- Sequencer, graphics controller, CRTC ------------------------------------------------- */

static void sr_write(struct vga *v, uint8_t value)
{
    const unsigned i = v->sr_index;
    if (i >= SR_COUNT)
        return;
    value &= sr_mask[i];
    if (v->sr[i] == value)
        return;
    v->sr[i] = value;
    if (i == SR_MAP_MASK || i == SR_MEMORY_MODE)
        vga_mem_update(v);
    else if (i == SR_CLOCKING)
        vga_timing_update(v);
}

static void gr_write(struct vga *v, uint8_t value)
{
    const unsigned i = v->gr_index;
    if (i >= GR_COUNT)
        return;
    value &= gr_mask[i];
    if (v->gr[i] == value)
        return;
    v->gr[i] = value;
    vga_mem_update(v);
}

static void cr_write(struct vga *v, uint8_t value)
{
    const unsigned i = v->cr_index;
    if (i >= CR_COUNT)
        return;
    if ((v->cr[CR_V_RETRACE_END] & CR11_PROTECT) && i <= CR_OVERFLOW) {
        if (i != CR_OVERFLOW)
            return;
        value = (v->cr[i] & ~CR7_LINE_COMPARE_8) | (value & CR7_LINE_COMPARE_8);
    }
    v->cr[i] = value;
    if (i <= CR_OVERFLOW || (i >= CR_V_RETRACE_START && i <= CR_V_DISPLAY_END))
        vga_timing_update(v);
}

/* --- Attribute controller ----------------------------------------------------------------- */

/* Index and data share one port; a flip-flop that reading the status resets tells them apart. */
static void ar_write(struct vga *v, uint8_t value)
{
    if (!v->ar_data)
        v->ar_index = value & 0x3f;
    else if ((v->ar_index & 0x1f) < AR_COUNT)
        v->ar[v->ar_index & 0x1f] = value & ar_mask[v->ar_index & 0x1f];
    v->ar_data = !v->ar_data;
}

static uint8_t ar_read(const struct vga *v)
{
    const unsigned i = v->ar_index & 0x1f;
    return i < AR_COUNT ? v->ar[i] : 0;
}

/* --- DAC ---------------------------------------------------------------------------------- */

/*
 * Entries are kept eight bits wide. In six-bit mode a value goes to the upper six and is repeated
 * below them, so that white is white; switching the width leaves the picture alone, as on cards.
 */
static uint8_t dac_from_guest(const struct vga *v, uint8_t value)
{
    if (v->vbe[VBE_ENABLE] & VBE_8BIT_DAC)
        return value;
    value &= 0x3f;
    return (uint8_t)(value << 2 | value >> 4);
}

static void dac_data_write(struct vga *v, uint8_t value)
{
    v->dac_latch[v->dac_component] = dac_from_guest(v, value);
    if (++v->dac_component < 3)
        return;
    memcpy(&v->dac[v->dac_write * 3], v->dac_latch, 3);
    v->dac_component = 0;
    v->dac_write++;
}

static uint8_t dac_data_read(struct vga *v)
{
    uint8_t value = v->dac[v->dac_read * 3 + v->dac_component];
    if (++v->dac_component == 3) {
        v->dac_component = 0;
        v->dac_read++;
    }
    return v->vbe[VBE_ENABLE] & VBE_8BIT_DAC ? value : value >> 2;
}

/* --- Ports -------------------------------------------------------------------------------- */

/* CRTC, status and feature ports are at 3Dxh in colour and at 3Bxh in monochrome. */
static bool decoded(const struct vga *v, uint16_t port)
{
    if (port >= 0x3c0 && port < 0x3d0)
        return true;
    return (port >= 0x3d0) == !!(v->misc & MISC_COLOUR);
}

uint8_t vga_port_read(struct vga *v, uint16_t port)
{
    if (!decoded(v, port))
        return 0xff;
    switch (port) {
    case 0x3c0:
        return v->ar_index;
    case 0x3c1:
        return ar_read(v);
    case 0x3c2:
        return 0x10; /* input status 0: the sense comparator sees a colour monitor */
    case 0x3c4:
        return v->sr_index;
    case 0x3c5:
        return v->sr_index < SR_COUNT ? v->sr[v->sr_index] : 0;
    case 0x3c6:
        return v->dac_mask;
    case 0x3c7:
        return v->dac_state;
    case 0x3c8:
        return v->dac_write;
    case 0x3c9:
        return dac_data_read(v);
    case 0x3ca:
        return v->feature;
    case 0x3cc:
        return v->misc;
    case 0x3ce:
        return v->gr_index;
    case 0x3cf:
        return v->gr_index < GR_COUNT ? v->gr[v->gr_index] : 0;
    case 0x3b4:
    case 0x3d4:
        return v->cr_index;
    case 0x3b5:
    case 0x3d5:
        return v->cr_index < CR_COUNT ? v->cr[v->cr_index] : 0;
    case 0x3ba:
    case 0x3da:
        v->ar_data = false;
        return status1(v);
    default:
        return 0xff;
    }
}

static void misc_write(struct vga *v, uint8_t value)
{
    v->misc = value & 0xef;
    vga_mem_update(v);
    vga_timing_update(v);
}

void vga_port_write(struct vga *v, uint16_t port, uint8_t value)
{
    if (!decoded(v, port))
        return;
    switch (port) {
    case 0x3c0:
        ar_write(v, value);
        break;
    case 0x3c2:
        misc_write(v, value);
        break;
    case 0x3c4:
        v->sr_index = value & 7;
        break;
    case 0x3c5:
        sr_write(v, value);
        break;
    case 0x3c6:
        v->dac_mask = value;
        break;
    case 0x3c7:
        v->dac_read = value;
        v->dac_component = 0;
        v->dac_state = DAC_STATE_READ;
        break;
    case 0x3c8:
        v->dac_write = value;
        v->dac_component = 0;
        v->dac_state = DAC_STATE_WRITE;
        break;
    case 0x3c9:
        dac_data_write(v, value);
        break;
    case 0x3ce:
        v->gr_index = value & 15;
        break;
    case 0x3cf:
        gr_write(v, value);
        break;
    case 0x3b4:
    case 0x3d4:
        v->cr_index = value & 0x3f;
        break;
    case 0x3b5:
    case 0x3d5:
        cr_write(v, value);
        break;
    case 0x3ba:
    case 0x3da:
        v->feature = value & 3;
        break;
    default:
        break; /* read-only, or nobody's */
    }
}

static uint64_t ports_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct vga_ports *p = opaque;
    return vga_port_read(p->vga, (uint16_t)(p->region.base + offset));
}

static void ports_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct vga_ports *p = opaque;
    vga_port_write(p->vga, (uint16_t)(p->region.base + offset), (uint8_t)value);
}

/* Word accesses reach index and data: the core splits them in this order. */
static const struct io_ops ports_ops = {.read = ports_read, .write = ports_write, .max_size = 1};

/* Between these lie ports of the parallel port (3BCh) and of nobody. */
static const struct {
    const char *name;
    uint16_t base, size;
} port_groups[VGA_PORT_GROUPS] = {
    {"vga.crtc-mono", 0x3b4, 2}, {"vga.status-mono", 0x3ba, 1}, {"vga", 0x3c0, 16},
    {"vga.crtc", 0x3d4, 2},      {"vga.status", 0x3da, 1},
};

/* --- Reset, state, life ------------------------------------------------------------------- */

static struct vga *from_device(struct device *dev)
{
    return container_of(dev, struct vga, pci.dev);
}

static void vga_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct vga *v = from_device(dev);
    pci_device_reset(&v->pci);
    v->misc = v->feature = 0;
    v->sr_index = v->gr_index = v->cr_index = v->ar_index = 0;
    v->ar_data = false;
    memset(v->sr, 0, sizeof v->sr);
    memset(v->gr, 0, sizeof v->gr);
    memset(v->cr, 0, sizeof v->cr);
    memset(v->ar, 0, sizeof v->ar);
    v->dac_mask = 0xff;
    v->dac_state = v->dac_read = v->dac_write = v->dac_component = 0;
    memset(v->dac_latch, 0, sizeof v->dac_latch);
    memset(v->dac, 0, sizeof v->dac);
    v->latch = 0;
    vbe_reset(v);
}

static void vga_reset_lines(struct device *dev)
{
    struct vga *v = from_device(dev);
    vga_mem_update(v);
    vga_timing_update(v);
}

static void vga_state(struct device *dev, struct state *s)
{
    struct vga *v = from_device(dev);
    state_begin(s, "vga", 1);
    pci_device_state(&v->pci, s);
    state_u8(s, "misc", &v->misc);
    state_u8(s, "feature", &v->feature);
    state_u8(s, "sr_index", &v->sr_index);
    state_bytes(s, "sr", v->sr, sizeof v->sr);
    state_u8(s, "gr_index", &v->gr_index);
    state_bytes(s, "gr", v->gr, sizeof v->gr);
    state_u8(s, "cr_index", &v->cr_index);
    state_bytes(s, "cr", v->cr, sizeof v->cr);
    state_u8(s, "ar_index", &v->ar_index);
    state_bytes(s, "ar", v->ar, sizeof v->ar);
    state_bool(s, "ar_data", &v->ar_data);
    state_u8(s, "dac_mask", &v->dac_mask);
    state_u8(s, "dac_state", &v->dac_state);
    state_u8(s, "dac_read", &v->dac_read);
    state_u8(s, "dac_write", &v->dac_write);
    state_u8(s, "dac_component", &v->dac_component);
    state_check(s, v->dac_component < 3, "dac_component");
    state_bytes(s, "dac_latch", v->dac_latch, sizeof v->dac_latch);
    state_bytes(s, "dac", v->dac, sizeof v->dac);
    state_u32(s, "latch", &v->latch);
    vbe_state(v, s);
    state_end(s);
}

/* A file may hold bits no guest can set. */
static void vga_loaded(struct device *dev)
{
    struct vga *v = from_device(dev);
    for (unsigned i = 0; i < SR_COUNT; i++)
        v->sr[i] &= sr_mask[i];
    for (unsigned i = 0; i < GR_COUNT; i++)
        v->gr[i] &= gr_mask[i];
    for (unsigned i = 0; i < AR_COUNT; i++)
        v->ar[i] &= ar_mask[i];
    v->dac_component %= 3;
    vbe_loaded(v);
    vga_mem_update(v);
    vga_timing_update(v);
}

/* The maps go with the machine, and regions in them whose devices went first are no longer there.
 */
static void vga_destroy(struct device *dev)
{
    free(from_device(dev)->shown);
    free(from_device(dev));
}

static const struct device_ops vga_device_ops = {
    .reset = vga_reset,
    .reset_lines = vga_reset_lines,
    .state = vga_state,
    .loaded = vga_loaded,
    .destroy = vga_destroy,
};

static void claim_ports(struct vga *v)
{
    for (unsigned i = 0; i < VGA_PORT_GROUPS; i++) {
        struct vga_ports *p = &v->ports[i];
        p->vga = v;
        p->region = (struct io_region){.name = port_groups[i].name, .ops = &ports_ops, .opaque = p};
        iomap_add(v->io, &p->region, port_groups[i].base, port_groups[i].size);
    }
}

struct vga *vga_create(const struct vga_wiring *wiring)
{
    struct vga *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->io = wiring->io;
    v->mem = wiring->mem;
    v->ram = wiring->ram;
    v->events = wiring->events;
    v->log = wiring->log;
    v->vram_at = ram_alloc(v->ram, VGA_VRAM_BYTES);
    if (v->vram_at == RAM_NONE) {
        free(v);
        return NULL;
    }
    v->vram = ram_host(v->ram, v->vram_at);
    v->display = (struct display_source){
        .render = vga_render, .update = vga_update, .text = vga_text, .opaque = v};

    pci_device_init(&v->pci, wiring->bus, wiring->devfn, 0x1234, 0x1111, 0x030000, 2);
    v->pci.dev.name = "vga";
    v->pci.dev.ops = &vga_device_ops;
    pci_set_subsystem(&v->pci, 0x1af4, 0x1100);
    mem_region_init_ram(&v->pci.bar[0].mem, "vga.vram", v->vram_at, VGA_VRAM_BYTES);
    pci_add_mem_bar(&v->pci, 0, false, true);
    vbe_init(v); /* BAR 2 and ports 1CEh to 1D1h */
    if (wiring->rom_size) {
        assert(wiring->rom_size >= 2 * KiB && !(wiring->rom_size & (wiring->rom_size - 1)));
        mem_region_init_rom(&v->pci.rom, "vga.rom", wiring->rom, wiring->rom_size);
        pci_add_rom(&v->pci);
    }
    claim_ports(v);
    vga_mem_init(v);
    vga_reset(&v->pci.dev, RESET_POWER_ON);
    vga_reset_lines(&v->pci.dev);
    return v;
}

struct device *vga_device(struct vga *v)
{
    return &v->pci.dev;
}

struct display_source *vga_display(struct vga *v)
{
    return &v->display;
}
