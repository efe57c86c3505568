/*
 * VESA BIOS Extension 3.0: INT 10h AX=4F00h to 4F0Ah and 4F15h, on the adapter's registers
 * (dispi.c). Section titles are those of the standard.
 */
#include "vga.h"

enum {
    OK = 0x004f,
    FAILED = 0x014f,
    NOT_IN_THIS_MODE = 0x034f,
    MODE_LFB = 0x4000,
    MODE_NO_CLEAR = 0x8000,
    MODE_NUMBER = 0x01ff,
    MODE_VGA_PLANAR = 0x102, /* 800x600 in 16 colours is the VGA's mode 6Ah */
    BANK_BYTES = 0x10000,
};

/*
 * The modes: VESA's numbers to 11Fh; behind them those under which such adapters' BIOSes are known
 * to offer these, as boot loaders are configured by number.
 */
static ROM_DATA struct vbe_mode {
    uint16_t number, width, height;
    uint8_t bpp;
} modes[] = {
    {0x100, 640, 400, 8},    {0x101, 640, 480, 8},    {0x103, 800, 600, 8},
    {0x105, 1024, 768, 8},   {0x107, 1280, 1024, 8},  {0x10d, 320, 200, 15},
    {0x10e, 320, 200, 16},   {0x10f, 320, 200, 24},   {0x110, 640, 480, 15},
    {0x111, 640, 480, 16},   {0x112, 640, 480, 24},   {0x113, 800, 600, 15},
    {0x114, 800, 600, 16},   {0x115, 800, 600, 24},   {0x116, 1024, 768, 15},
    {0x117, 1024, 768, 16},  {0x118, 1024, 768, 24},  {0x119, 1280, 1024, 15},
    {0x11a, 1280, 1024, 16}, {0x11b, 1280, 1024, 24}, {0x11c, 1600, 1200, 8},
    {0x11d, 1600, 1200, 15}, {0x11e, 1600, 1200, 16}, {0x11f, 1600, 1200, 24},
    {0x140, 320, 200, 32},   {0x141, 640, 400, 32},   {0x142, 640, 480, 32},
    {0x143, 800, 600, 32},   {0x144, 1024, 768, 32},  {0x145, 1280, 1024, 32},
    {0x146, 320, 200, 8},    {0x147, 1600, 1200, 32}, {0x148, 1152, 864, 8},
    {0x149, 1152, 864, 15},  {0x14a, 1152, 864, 16},  {0x14b, 1152, 864, 24},
    {0x14c, 1152, 864, 32},  {0x175, 1280, 768, 16},  {0x176, 1280, 768, 24},
    {0x177, 1280, 768, 32},  {0x178, 1280, 800, 16},  {0x179, 1280, 800, 24},
    {0x17a, 1280, 800, 32},  {0x17b, 1280, 960, 16},  {0x17c, 1280, 960, 24},
    {0x17d, 1280, 960, 32},  {0x17e, 1440, 900, 16},  {0x17f, 1440, 900, 24},
    {0x180, 1440, 900, 32},  {0x181, 1400, 1050, 16}, {0x182, 1400, 1050, 24},
    {0x183, 1400, 1050, 32}, {0x184, 1680, 1050, 16}, {0x185, 1680, 1050, 24},
    {0x186, 1680, 1050, 32}, {0x187, 1920, 1200, 16}, {0x188, 1920, 1200, 24},
    {0x189, 1920, 1200, 32}, {0x18a, 2560, 1600, 16}, {0x18b, 2560, 1600, 24},
    {0x18c, 2560, 1600, 32}, {0x18d, 1280, 720, 16},  {0x18e, 1280, 720, 24},
    {0x18f, 1280, 720, 32},  {0x190, 1920, 1080, 16}, {0x191, 1920, 1080, 24},
    {0x192, 1920, 1080, 32}, {0x193, 1600, 900, 16},  {0x194, 1600, 900, 24},
    {0x195, 1600, 900, 32},  {0x196, 2560, 1440, 16}, {0x197, 2560, 1440, 24},
    {0x198, 2560, 1440, 32},
};

static uint32_t mode_line_bytes(const ROM struct vbe_mode *m)
{
    return m->width * ((m->bpp + 7u) / 8);
}

static uint32_t video_memory(void)
{
    const uint32_t blocks = dispi_read(DISPI_MEMORY_64K);
    return (blocks ? blocks : 256) * BANK_BYTES;
}

/* What the adapter can show at most. */
static uint16_t limit(uint16_t index)
{
    const uint16_t enable = dispi_read(DISPI_ENABLE);
    dispi_write(DISPI_ENABLE, enable | DISPI_GETCAPS);
    const uint16_t value = dispi_read(index);
    dispi_write(DISPI_ENABLE, enable);
    return value;
}

static bool usable(const ROM struct vbe_mode *m)
{
    return mode_line_bytes(m) * m->height <= video_memory() && m->width <= limit(DISPI_XRES) &&
           m->height <= limit(DISPI_YRES);
}

static const ROM struct vbe_mode *find(uint16_t number)
{
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (modes[i].number == number)
            return usable(&modes[i]) ? &modes[i] : NULL;
    return NULL;
}

/* --- "Function 00h: Return VBE Controller Information" ------------------------------------------
 */

enum { INFO_BYTES = 256, INFO_BYTES_VBE2 = 512, INFO_MODES = 34 };

static ROM_DATA char oem[] = "Vitrine VGA", vendor[] = "Vitrine", product[] = "Vitrine VGA BIOS",
                     revision[] = "1";

static void put_text(uint16_t es, uint16_t di, const ROM char *text)
{
    far_put16(es, di, (uint16_t)(uint32_t)text);
    far_put16(es, di + 2, rom_segment());
}

/* The list of modes lies in the block's reserved part. */
static void put_modes(uint16_t es, uint16_t di)
{
    uint16_t at = di + INFO_MODES;
    far_put16(es, di + 14, at);
    far_put16(es, di + 16, es);
    far_put16(es, at, MODE_VGA_PLANAR);
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        if (usable(&modes[i]))
            far_put16(es, at += 2, modes[i].number);
    far_put16(es, at + 2, 0xffff);
}
_Static_assert(INFO_MODES + (ARRAY_SIZE(modes) + 2) * 2 <= INFO_BYTES, "the list has room");

static uint16_t controller_information(struct regs *r)
{
    const uint16_t es = r->es, di = r->di;
    const bool vbe2 = far_get16(es, di) == 0x4256 && far_get16(es, di + 2) == 0x3245; /* "VBE2" */
    far_fill8(es, di, 0, vbe2 ? INFO_BYTES_VBE2 : INFO_BYTES);
    far_put32(es, di, 0x41534556); /* "VESA" */
    far_put16(es, di + 4, 0x0300);
    put_text(es, di + 6, oem);
    far_put32(es, di + 10, 1); /* the DAC can be eight bits wide */
    put_modes(es, di);
    far_put16(es, di + 18, (uint16_t)(video_memory() >> 16));
    if (vbe2) {
        far_put16(es, di + 20, 0x0100);
        put_text(es, di + 22, vendor);
        put_text(es, di + 26, product);
        put_text(es, di + 30, revision);
    }
    return OK;
}

/* --- "Function 01h: Return VBE Mode Information" ------------------------------------------------
 */

enum {
    ATTRIBUTE_SUPPORTED = 0x01,
    ATTRIBUTE_ALWAYS = 0x02, /* what VBE 1 left open is filled in */
    ATTRIBUTE_TEXT = 0x04,   /* output through INT 10h */
    ATTRIBUTE_COLOUR = 0x08,
    ATTRIBUTE_GRAPHICS = 0x10,
    ATTRIBUTE_NOT_VGA = 0x20,
    ATTRIBUTE_LFB = 0x80,
    WINDOW_RELOCATABLE_RW = 0x07,
    MODEL_PLANAR = 3,
    MODEL_PACKED = 4,
    MODEL_DIRECT = 6,
};

/* Size and position of red, green, blue and reserved bits. */
static ROM_DATA uint8_t fields_15[8] = {5, 10, 5, 5, 5, 0, 1, 15};
static ROM_DATA uint8_t fields_16[8] = {5, 11, 6, 5, 5, 0, 0, 0};
static ROM_DATA uint8_t fields_24[8] = {8, 16, 8, 8, 8, 0, 0, 0};
static ROM_DATA uint8_t fields_32[8] = {8, 16, 8, 8, 8, 0, 8, 24};

static const ROM uint8_t *fields(uint8_t bpp)
{
    return bpp == 15 ? fields_15 : bpp == 16 ? fields_16 : bpp == 24 ? fields_24 : fields_32;
}

static void put_window(uint16_t es, uint16_t di)
{
    far_put8(es, di + 2, WINDOW_RELOCATABLE_RW);
    far_put16(es, di + 4, BANK_BYTES / 1024); /* granularity, then size, in KiB */
    far_put16(es, di + 6, BANK_BYTES / 1024);
    far_put16(es, di + 8, 0xa000);
    extern const char window_far[]; /* rom.S: 4F05h as a far call */
    far_put16(es, di + 12, (uint16_t)(uint32_t)window_far);
    far_put16(es, di + 14, rom_segment());
}

static void put_geometry(uint16_t es, uint16_t di, uint16_t width, uint16_t height, uint8_t planes,
                         uint8_t bpp)
{
    far_put16(es, di + 18, width);
    far_put16(es, di + 20, height);
    far_put8(es, di + 22, 8); /* character cell */
    far_put8(es, di + 23, 16);
    far_put8(es, di + 24, planes);
    far_put8(es, di + 25, bpp);
    far_put8(es, di + 26, 1); /* banks that lines are spread over: none */
    far_put8(es, di + 30, 1); /* reserved, always 1 */
}

static void put_colours(uint16_t es, uint16_t di, uint8_t bpp)
{
    if (bpp < 15)
        return;
    const ROM uint8_t *f = fields(bpp);
    for (uint16_t i = 0; i < 8; i++) {
        far_put8(es, di + 31 + i, f[i]);
        far_put8(es, di + 54 + i, f[i]); /* in linear modes: the same */
    }
    far_put8(es, di + 39, bpp == 32 ? 2 : 0); /* the reserved bits may be used */
}

static uint16_t planar_mode_information(uint16_t es, uint16_t di)
{
    far_put16(es, di,
              ATTRIBUTE_SUPPORTED | ATTRIBUTE_ALWAYS | ATTRIBUTE_TEXT | ATTRIBUTE_COLOUR |
                  ATTRIBUTE_GRAPHICS);
    put_window(es, di);
    far_put16(es, di + 16, 800 / 8);
    put_geometry(es, di, 800, 600, 4, 4);
    far_put8(es, di + 27, MODEL_PLANAR);
    return OK;
}

static uint16_t mode_information(struct regs *r)
{
    const uint16_t es = r->es, di = r->di, number = r->cx & MODE_NUMBER;
    const ROM struct vbe_mode *m = find(number);
    if (!m && number != MODE_VGA_PLANAR)
        return FAILED;
    far_fill8(es, di, 0, 256);
    if (!m)
        return planar_mode_information(es, di);
    const uint16_t pitch = (uint16_t)mode_line_bytes(m);
    const uint32_t lfb = framebuffer();
    far_put16(es, di,
              ATTRIBUTE_SUPPORTED | ATTRIBUTE_ALWAYS | ATTRIBUTE_TEXT | ATTRIBUTE_COLOUR |
                  ATTRIBUTE_GRAPHICS | ATTRIBUTE_NOT_VGA | (lfb ? ATTRIBUTE_LFB : 0));
    put_window(es, di);
    far_put16(es, di + 16, pitch);
    put_geometry(es, di, m->width, m->height, 1, m->bpp);
    far_put8(es, di + 27, m->bpp == 8 ? MODEL_PACKED : MODEL_DIRECT);
    const uint32_t pages = video_memory() / ((uint32_t)pitch * m->height) - 1;
    far_put8(es, di + 29, pages > 255 ? 255 : (uint8_t)pages);
    put_colours(es, di, m->bpp);
    far_put32(es, di + 40, lfb);
    far_put16(es, di + 50, pitch); /* of linear modes, then their pages */
    far_put8(es, di + 52, pages > 255 ? 255 : (uint8_t)pages);
    far_put8(es, di + 53, pages > 255 ? 255 : (uint8_t)pages);
    return OK;
}

/* --- "Function 02h: Set VBE Mode", "03h: Return Current VBE Mode" -------------------------------
 */

/* The VGA behind it as in mode 13h, which makes the window plain memory on any adapter. */
static void set_vga_behind(const ROM struct vbe_mode *m)
{
    write_registers(mode_parameters(mode_find(0x13)));
    load_palette(PALETTE_256);
    bda.crtc = 0x3d4;
    bda.mode = 0xff;                                       /* none of IBM's */
    bda.columns = m->width < 255 * 8 ? m->width / 8 : 255; /* what a cursor can tell */
    bda.char_height = 16;
    bda.last_row = (uint8_t)(m->height / 16 - 1);
    bda.page_bytes = 0;
    bda.page_start = 0;
    bda.page = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(bda.cursor); i++)
        bda.cursor[i] = 0;
    bda.cursor_shape = 0;
}

bool vbe_set_mode(uint16_t mode)
{
    const uint16_t number = mode & MODE_NUMBER;
    const bool clear = !(mode & MODE_NO_CLEAR);
    if (number == MODE_VGA_PLANAR && !(mode & MODE_LFB)) {
        set_mode(0x6a, clear);
        bda.vbe_mode = mode & (MODE_NUMBER | MODE_NO_CLEAR);
        return true;
    }
    if (number < 0x100) {
        if (!mode_find((uint8_t)number))
            return false;
        set_mode((uint8_t)number, clear);
        return true;
    }
    const ROM struct vbe_mode *m = find(number);
    if (!m || ((mode & MODE_LFB) && !framebuffer()))
        return false;
    dispi_write(DISPI_ENABLE, 0);
    set_vga_behind(m);
    dispi_write(DISPI_XRES, m->width);
    dispi_write(DISPI_YRES, m->height);
    dispi_write(DISPI_BPP, m->bpp);
    dispi_write(DISPI_ENABLE,
                DISPI_ENABLED | (mode & MODE_LFB ? DISPI_LFB : 0) | (clear ? 0 : DISPI_NO_CLEAR));
    dispi_write(DISPI_BANK, 0);
    graphics_font(16);
    screen_on();
    bda.control = (bda.control & ~CONTROL_NO_CLEAR) | (clear ? 0 : CONTROL_NO_CLEAR);
    bda.vbe_mode = mode & (MODE_NUMBER | MODE_LFB | MODE_NO_CLEAR);
    return true;
}

static bool in_vbe_mode(void)
{
    return bda.vbe_mode && bda.mode == 0xff;
}

/* --- "Function 04h: Save/Restore State"
 * ----------------------------------------------------------- */

static uint16_t save_restore(struct regs *r)
{
    const uint16_t what = r->cx & (STATE_HARDWARE | STATE_BIOS | STATE_DAC | STATE_VBE);
    switch (r->dl) {
    case 0:
        r->bx = state_bytes(what) / 64;
        return OK;
    case 1:
        state_save(what, r->es, r->bx);
        return OK;
    case 2:
        state_restore(what, r->es, r->bx);
        return OK;
    default:
        return FAILED;
    }
}

/* --- "Function 05h: Display Window Control"
 * ------------------------------------------------------- */

uint16_t window_control(struct regs *r);
uint16_t window_control(struct regs *r)
{
    if (!in_vbe_mode())
        return NOT_IN_THIS_MODE;
    if (bda.vbe_mode & MODE_LFB)
        return NOT_IN_THIS_MODE;
    if (r->bl != 0 || r->bh > 1)
        return FAILED;
    if (r->bh == 1) {
        r->dx = dispi_read(DISPI_BANK);
        return OK;
    }
    if (r->dx >= video_memory() / BANK_BYTES)
        return FAILED;
    dispi_write(DISPI_BANK, r->dx);
    return OK;
}

/* --- "Function 06h: Set/Get Logical Scan Line Length", "07h: Set/Get Display Start" -------------
 */

static uint8_t pixel_bytes(void)
{
    return (uint8_t)((dispi_read(DISPI_BPP) + 7) / 8);
}

static uint16_t line_length(struct regs *r)
{
    if (!in_vbe_mode())
        return NOT_IN_THIS_MODE;
    const uint8_t bytes = pixel_bytes();
    const uint32_t lines_of = video_memory() / dispi_read(DISPI_YRES);
    const uint16_t most = (uint16_t)(lines_of / bytes > 0x3ff8 ? 0x3ff8 : lines_of / bytes & ~7u);
    uint16_t pixels = r->cx;
    switch (r->bl) {
    case 2: /* in bytes */
        pixels = (uint16_t)((pixels + bytes - 1u) / bytes);
        /* fall through */
    case 0:
        if (pixels > most)
            return 0x024f; /* the hardware cannot */
        dispi_write(DISPI_VIRT_WIDTH, (uint16_t)((pixels + 7) & ~7));
        /* fall through */
    case 1:
        r->cx = dispi_read(DISPI_VIRT_WIDTH);
        break;
    case 3:
        r->cx = most;
        break;
    default:
        return FAILED;
    }
    const uint32_t length = (uint32_t)r->cx * bytes, lines = video_memory() / length;
    r->bx = (uint16_t)length;
    r->dx = lines > 0xffff ? 0xffff : (uint16_t)lines;
    return OK;
}

/* Waiting for the vertical retrace (80h) is for pictures that must not tear. */
static void wait_for_retrace(void)
{
    enum { IN_RETRACE = 8 };
    for (uint32_t i = 0; i < 1000000 && inb(status_port()) & IN_RETRACE; i++)
        ;
    for (uint32_t i = 0; i < 1000000 && !(inb(status_port()) & IN_RETRACE); i++)
        ;
}

static uint16_t display_start(struct regs *r)
{
    if (!in_vbe_mode())
        return NOT_IN_THIS_MODE;
    switch (r->bl) {
    case 0x80:
        wait_for_retrace();
        /* fall through */
    case 0x00: {
        const uint32_t line = (uint32_t)dispi_read(DISPI_VIRT_WIDTH) * pixel_bytes();
        const uint32_t end = (uint32_t)(r->dx + dispi_read(DISPI_YRES)) * line;
        if ((uint32_t)r->cx + dispi_read(DISPI_XRES) > dispi_read(DISPI_VIRT_WIDTH) ||
            end > video_memory())
            return 0x024f;
        dispi_write(DISPI_X, r->cx);
        dispi_write(DISPI_Y, r->dx);
        return OK;
    }
    case 0x01:
        r->bh = 0;
        r->cx = dispi_read(DISPI_X);
        r->dx = dispi_read(DISPI_Y);
        return OK;
    default:
        return FAILED;
    }
}

/* --- "Function 08h: Set/Get DAC Palette Format", "09h: Set/Get Palette Data" --------------------
 */

static uint16_t dac_width(struct regs *r)
{
    const uint16_t enable = dispi_read(DISPI_ENABLE);
    if (in_vbe_mode() && dispi_read(DISPI_BPP) > 8)
        return NOT_IN_THIS_MODE;
    if (r->bl > 1)
        return FAILED;
    if (r->bl == 0)
        dispi_write(DISPI_ENABLE, r->bh >= 8 ? enable | DISPI_8BIT_DAC : enable & ~DISPI_8BIT_DAC);
    r->bh = dispi_read(DISPI_ENABLE) & DISPI_8BIT_DAC ? 8 : 6;
    return OK;
}

/* Entries of blue, green, red and nothing at ES:DI. */
static uint16_t palette_data(struct regs *r)
{
    uint16_t at = r->di;
    if (r->cx > 256 || r->dx > 255 || r->cx + r->dx > 256)
        return FAILED;
    switch (r->bl) {
    case 0x80:
        wait_for_retrace();
        /* fall through */
    case 0x00:
        outb(PORT_DAC_INDEX, r->dl);
        for (uint16_t n = r->cx; n; n--, at += 4)
            for (uint16_t i = 3; i--;)
                outb(PORT_DAC_DATA, far_get8(r->es, at + i));
        return OK;
    case 0x01:
        outb(PORT_DAC_STATE, r->dl);
        for (uint16_t n = r->cx; n; n--, at += 4) {
            for (uint16_t i = 3; i--;)
                far_put8(r->es, at + i, inb(PORT_DAC_DATA));
            far_put8(r->es, at + 3, 0);
        }
        return OK;
    default:
        return 0x024f; /* a secondary palette */
    }
}

/* --- "Function 0Ah: Return VBE Protected Mode Interface", "15h: Display Data Channel" -----------
 */

extern const char pm_interface[], pm_interface_end[]; /* rom.S */

static uint16_t protected_mode_interface(struct regs *r)
{
    if (r->bl != 0)
        return FAILED;
    r->es = rom_segment();
    r->di = (uint16_t)(uint32_t)pm_interface;
    r->cx = (uint16_t)(pm_interface_end - pm_interface);
    return OK;
}

/* VESA VBE/DDC 1.1: BL 0 what there is, BL 1 block DX of the EDID to ES:DI. */
static uint16_t display_data(struct regs *r)
{
    if (edid[1] != 0xff || edid[2] != 0xff)
        return FAILED;
    if (r->bl == 0) {
        r->bx = 0x0103; /* about a second a block; DDC1 and DDC2 */
        return OK;
    }
    if (r->bl != 1 || r->dx != 0)
        return FAILED;
    for (uint16_t i = 0; i < sizeof edid; i++)
        far_put8(r->es, r->di + i, edid[i]);
    return OK;
}

void vbe_service(struct regs *r)
{
    if (!dispi_present()) {
        r->ax = 0x0100 | r->al; /* AL is not 4Fh: no VBE */
        return;
    }
    switch (r->al) {
    case 0x00:
        r->ax = controller_information(r);
        break;
    case 0x01:
        r->ax = mode_information(r);
        break;
    case 0x02:
        r->ax = vbe_set_mode(r->bx) ? OK : FAILED;
        break;
    case 0x03:
        r->bx = bda.vbe_mode ? bda.vbe_mode : bda.mode;
        r->ax = OK;
        break;
    case 0x04:
        r->ax = save_restore(r);
        break;
    case 0x05:
        r->ax = window_control(r);
        break;
    case 0x06:
        r->ax = line_length(r);
        break;
    case 0x07:
        r->ax = display_start(r);
        break;
    case 0x08:
        r->ax = dac_width(r);
        break;
    case 0x09:
        r->ax = palette_data(r);
        break;
    case 0x0a:
        r->ax = protected_mode_interface(r);
        break;
    case 0x15:
        r->ax = display_data(r);
        break;
    default:
        r->ax = 0x0100 | r->al;
        break;
    }
}
