/*
 * The VGA's window on its memory at A0000h to BFFFFh: the graphics controller's data path between
 * the CPU and four planes. IBM "VGA Function", "Graphics Controller" and "Sequencer"; FreeVGA
 * "Accessing the VGA Display Memory".
 *
 *      CPU byte -> rotate -> set/reset -> logic unit -> bit mask -> map mask -> planes
 *                                            ^             ^                      |
 *                                            +-- latches --+<---------------------+ on reads
 *
 * Where all of this comes to nothing (chain-4 as in mode 13h, banked VBE modes) the first 64 KiB
 * are mapped as memory. Each change of the map costs the CPU all it has cached of it, so that is
 * done only when software has used the window for a while in such a mode.
 *
 * Not modelled: the page bit of the miscellaneous output register (every BIOS leaves it at the
 * value assumed here), latches behind a window mapped as memory.
 */
#include "devices/vga_core.h"

#define WINDOW_PRIORITY     2 /* below SMRAM, which hides this window while it is open: memmap.h */
#define WINDOW_BASE         UINT64_C(0xa0000)
#define HALF_BYTES          (64 * KiB)

#define USES_BEFORE_MAPPING 128

/* Bit n of a register to byte n. */
static uint32_t spread4(uint8_t planes)
{
    uint32_t bits = planes & 15u;
    return ((bits * 0x00204081u) & 0x01010101u) * 0xffu;
}

static inline void written(struct vga *v, uint32_t at, uint32_t bytes)
{
    ram_t where = v->vram_at + at;
    if (unlikely((ram_flags(v->ram, where) | ram_flags(v->ram, where + bytes - 1)) & RAM_TRACED))
        ram_note_write(v->ram, where, bytes);
}

/* Planar address of window address a in odd/even addressing: A0 chose the plane, A16 takes its
 * place if the window is large enough to have one. */
static inline uint32_t odd_even_address(uint32_t a)
{
    return (a & ~1u) | ((a >> 16) & 1);
}

/* Where in VRAM the four bytes of a's memory cycle are. */
static inline uint32_t cycle_at(const struct vga_window *w, uint32_t a)
{
    if (w->chain4)
        return a & w->linear_mask & ~3u;
    if (w->odd_even_address)
        a = odd_even_address(a);
    return (a & w->plane_mask) * 4;
}

static uint8_t planar_read(struct vga *v, uint32_t a)
{
    const struct vga_window *w = &v->window;
    v->latch = ld32(v->vram + cycle_at(w, a));
    if (v->gr[GR_MODE] & GR5_READ_COMPARE) {
        uint32_t differs = (v->latch ^ w->compare) & w->care;
        differs |= differs >> 16;
        return (uint8_t) ~(differs | differs >> 8);
    }
    unsigned plane = v->gr[GR_READ_MAP] & 3;
    if (w->chain4)
        plane = a & 3;
    else if (w->odd_even_read)
        plane = (plane & 2) | (a & 1);
    return (uint8_t)(v->latch >> (8 * plane));
}

static uint32_t logic_unit(const struct vga *v, uint32_t data)
{
    switch ((v->gr[GR_ROTATE] >> 3) & 3) {
    case 1:
        return data & v->latch;
    case 2:
        return data | v->latch;
    case 3:
        return data ^ v->latch;
    default:
        return data;
    }
}

static uint8_t rotate(const struct vga *v, uint8_t value)
{
    unsigned n = v->gr[GR_ROTATE] & 7;
    return (uint8_t)(value >> n | value << (8 - n));
}

/* What the graphics controller puts before the map mask. */
static uint32_t write_data(const struct vga *v, uint8_t value)
{
    const struct vga_window *w = &v->window;
    uint32_t data, mask = w->bit_mask;
    switch (v->gr[GR_MODE] & 3) {
    case 0:
        data = rotate(v, value) * 0x01010101u;
        data = (data & ~w->enable_set_reset) | (w->set_reset & w->enable_set_reset);
        break;
    case 1:
        return v->latch;
    case 2:
        data = spread4(value);
        break;
    default:
        data = w->set_reset;
        mask &= rotate(v, value) * 0x01010101u;
        break;
    }
    return (logic_unit(v, data) & mask) | (v->latch & ~mask);
}

static void planar_write(struct vga *v, uint32_t a, uint8_t value)
{
    const struct vga_window *w = &v->window;
    uint32_t planes = w->map_mask;
    if (w->chain4)
        planes &= 0xffu << (8 * (a & 3));
    else if (w->odd_even_write)
        planes &= a & 1 ? 0xff00ff00u : 0x00ff00ffu;
    uint32_t at = cycle_at(w, a);
    uint8_t *cell = v->vram + at;
    st32(cell, (ld32(cell) & ~planes) | (write_data(v, value) & planes));
    written(v, at, 4);
}

/* Characters and attributes, usually a word at a time: byte 0 and 1 of the cell. */
static uint64_t text_read(struct vga *v, uint32_t a, unsigned size)
{
    const uint8_t *cell = v->vram + cycle_at(&v->window, a);
    uint64_t value = 0;
    if (size == 1) {
        value = cell[a & 1];
    } else {
        /* The core keeps accesses aligned, so cells are whole and follow each other evenly. */
        for (unsigned i = 0; i < size; i += 2, cell += 8)
            value |= (uint64_t)ld16(cell) << (8 * i);
        cell -= 8;
    }
    v->latch = ld32(cell);
    return value;
}

static void text_write(struct vga *v, uint32_t a, uint64_t value, unsigned size)
{
    uint32_t at = cycle_at(&v->window, a);
    uint8_t *cell = v->vram + at;
    if (size == 1) {
        cell[a & 1] = (uint8_t)value;
    } else {
        for (unsigned i = 0; i < size; i += 2, cell += 8)
            st16(cell, (uint16_t)(value >> (8 * i)));
    }
    written(v, at, 4 * size);
}

static void count_linear_use(struct vga *v)
{
    const struct vga_window *w = &v->window;
    if (v->linear.mapped || w->base != 0 || w->size != HALF_BYTES)
        return;
    if (++v->linear_uses < USES_BEFORE_MAPPING)
        return;
    /* Whoever holds on to the I/O region during this access still gets right answers from it. */
    mem_region_init_ram(&v->linear, "vga.linear", v->vram_at + (w->bank & w->linear_mask),
                        HALF_BYTES);
    memmap_add(v->mem, &v->linear, WINDOW_BASE, WINDOW_PRIORITY);
}

/* at: address within A0000h to BFFFFh; size 1, 2, 4 or 8, naturally aligned. */
static uint64_t window_read(struct vga *v, uint32_t at, unsigned size)
{
    const struct vga_window *w = &v->window;
    uint32_t a = at - w->base;
    if (a >= w->size)
        return ~UINT64_C(0);
    a += w->bank;
    uint64_t value = 0;
    switch (w->access) {
    case VGA_ACCESS_TEXT:
        return text_read(v, a, size);
    case VGA_ACCESS_LINEAR:
        count_linear_use(v);
        return ld_le(v->vram + (a & w->linear_mask), size);
    case VGA_ACCESS_PLANAR:
        for (unsigned i = 0; i < size; i++)
            value |= (uint64_t)planar_read(v, a + i) << (8 * i);
        return value;
    case VGA_ACCESS_OFF:
        break;
    }
    return ~UINT64_C(0);
}

static void window_write(struct vga *v, uint32_t at, uint64_t value, unsigned size)
{
    const struct vga_window *w = &v->window;
    uint32_t a = at - w->base;
    if (a >= w->size)
        return;
    a += w->bank;
    switch (w->access) {
    case VGA_ACCESS_TEXT:
        text_write(v, a, value, size);
        break;
    case VGA_ACCESS_LINEAR:
        count_linear_use(v);
        st_le(v->vram + (a & w->linear_mask), value, size);
        written(v, a & w->linear_mask, size);
        break;
    case VGA_ACCESS_PLANAR:
        for (unsigned i = 0; i < size; i++)
            planar_write(v, a + i, (uint8_t)(value >> (8 * i)));
        break;
    case VGA_ACCESS_OFF:
        break;
    }
}

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
    return window_read(opaque, (uint32_t)offset, size);
}

static void low_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    window_write(opaque, (uint32_t)offset, value, size);
}

static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
    return window_read(opaque, (uint32_t)(offset + HALF_BYTES), size);
}

static void high_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    window_write(opaque, (uint32_t)(offset + HALF_BYTES), value, size);
}

static const struct io_ops low_ops = {.read = low_read, .write = low_write, .max_size = 8};
static const struct io_ops high_ops = {.read = high_read, .write = high_write, .max_size = 8};

/* The data path does nothing to what passes through it. */
static bool transparent(const struct vga *v)
{
    return (v->gr[GR_MODE] & (3 | GR5_READ_COMPARE)) == 0 && v->gr[GR_ENABLE_SET_RESET] == 0 &&
           v->gr[GR_ROTATE] == 0 && v->gr[GR_BIT_MASK] == 0xff;
}

static enum vga_access access_mode(const struct vga *v, const struct vga_window *w)
{
    /* Direct and packed modes of VBE are linear whatever the VGA's registers say, as on Bochs. */
    if (vbe_on(v) && v->vbe[VBE_BPP] != 4)
        return VGA_ACCESS_LINEAR;
    if (!(v->misc & MISC_RAM_ENABLE))
        return VGA_ACCESS_OFF;
    if (!transparent(v))
        return VGA_ACCESS_PLANAR;
    if (w->chain4)
        return v->sr[SR_MAP_MASK] == 15 ? VGA_ACCESS_LINEAR : VGA_ACCESS_PLANAR;
    if (w->odd_even_write && w->odd_even_read && w->odd_even_address && w->bank == 0 &&
        v->sr[SR_MAP_MASK] == 3 && !(v->gr[GR_READ_MAP] & 2))
        return VGA_ACCESS_TEXT;
    return VGA_ACCESS_PLANAR;
}

/* Takes the memory mapping away when it is wrong now, and moves it when only the bank changed. */
static void follow_in_map(struct vga *v)
{
    const struct vga_window *w = &v->window;
    if (!v->linear.mapped) {
        v->linear_uses = 0;
        return;
    }
    bool fits = w->access == VGA_ACCESS_LINEAR && w->base == 0 && w->size == HALF_BYTES;
    ram_t want = v->vram_at + (w->bank & w->linear_mask);
    if (fits && v->linear.ram == want)
        return;
    memmap_begin(v->mem);
    memmap_del(v->mem, &v->linear);
    v->linear_uses = 0;
    if (fits) {
        v->linear.ram = want;
        memmap_add(v->mem, &v->linear, WINDOW_BASE, WINDOW_PRIORITY);
    }
    memmap_end(v->mem);
}

/* GR6 bits 3 and 2, "Memory Map". */
static const struct {
    uint32_t base, size;
} memory_maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};

void vga_mem_update(struct vga *v)
{
    struct vga_window *w = &v->window;
    const unsigned map = vbe_on(v) ? 1 : (v->gr[GR_MISC] >> 2) & 3;
    w->base = memory_maps[map].base;
    w->size = memory_maps[map].size;
    /* A VGA has 64 KiB a plane and addresses wrap there; VBE modes reach all of VRAM. */
    const uint32_t reach = vbe_on(v) ? (uint32_t)VGA_VRAM_BYTES : 256 * 1024;
    w->bank = vbe_on(v) ? v->vbe[VBE_BANK] * 0x10000u : 0;
    w->plane_mask = reach / 4 - 1;
    w->linear_mask = vbe_on(v) ? reach - 1 : 0xffff;
    w->chain4 = v->sr[SR_MEMORY_MODE] & SR4_CHAIN4;
    w->odd_even_write = !(v->sr[SR_MEMORY_MODE] & SR4_SEQUENTIAL);
    w->odd_even_read = v->gr[GR_MODE] & GR5_ODD_EVEN;
    w->odd_even_address = v->gr[GR_MISC] & GR6_CHAIN_ODD_EVEN;
    w->map_mask = spread4(v->sr[SR_MAP_MASK]);
    w->set_reset = spread4(v->gr[GR_SET_RESET]);
    w->enable_set_reset = spread4(v->gr[GR_ENABLE_SET_RESET]);
    w->compare = spread4(v->gr[GR_COLOUR_COMPARE]);
    w->care = spread4(v->gr[GR_COLOUR_DONT_CARE]);
    w->bit_mask = v->gr[GR_BIT_MASK] * 0x01010101u;
    w->access = access_mode(v, w);
    follow_in_map(v);
}

void vga_mem_init(struct vga *v)
{
    mem_region_init_io(&v->low, "vga.a0000", &low_ops, v, HALF_BYTES);
    mem_region_init_io(&v->high, "vga.b0000", &high_ops, v, HALF_BYTES);
    memmap_begin(v->mem);
    memmap_add(v->mem, &v->low, WINDOW_BASE, WINDOW_PRIORITY);
    memmap_add(v->mem, &v->high, WINDOW_BASE + HALF_BYTES, WINDOW_PRIORITY);
    memmap_end(v->mem);
}
