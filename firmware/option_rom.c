/*
 * Option ROMs: those of PCI functions, and those that the emulator hands over as files. Each is
 * copied to C0000h or behind the one before, called at offset 3 in real mode, and keeps what its
 * length byte says afterwards (PCI FW 3.0 §5.2 "PC-compatible Expansion ROMs"; PnP BIOS 1.0A
 * §3 "Option ROM Support").
 *
 *      0   55h AAh
 *      2   length in 512 bytes
 *      3   entry: far call
 *      18  offset of the PCI data structure "PCIR"
 *      1A  offset of the PnP header "$PnP": from it the boot list gets its entries
 */
#include "boot.h"
#include "fwcfg.h"
#include "pci.h"
#include "pci_init.h"
#include "pnp.h"
#include "post.h"
#include "post16.h"
#include "print.h"
#include "ram.h"

#define ROM_BLOCK       512u
#define ROM_ALIGN       2048u
#define ROM_ENABLE      0x1u
#define CLASS_VGA       0x0300

#define PCIR_VENDOR     0x04
#define TEXT_MODE       0x0003 /* INT 10h: 80x25 */

#define PCIR_LENGTH     0x10 /* of the image, in 512 bytes */
#define PCIR_CODE_TYPE  0x14
#define PCIR_INDICATOR  0x15
#define CODE_TYPE_PC    0
#define INDICATOR_LAST  0x80

#define PNP_NEXT        0x06
#define PNP_PRODUCT     0x10
#define PNP_BCV         0x16
#define PNP_BEV         0x1A

#define MAX_PNP_HEADERS 8

#define FONT_BYTES      1024

extern const uint8_t font_8x8[]; /* tables.S */

static uint32_t next_rom = OPTION_ROM_BASE;

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t image_bytes(const uint8_t *rom)
{
    return rom[0] == 0x55 && rom[1] == 0xaa ? rom[2] * ROM_BLOCK : 0;
}

static bool checksum_ok(const uint8_t *rom, uint32_t bytes)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + rom[i]);
    return sum == 0;
}

/* ---- boot entries ---- */

static void add_boot_entries(uint8_t *rom, uint32_t bytes, const struct boot_source *source)
{
    const uint16_t seg = (uint16_t)((uint32_t)rom >> 4);
    uint16_t at = read16(rom + 0x1a);
    for (unsigned n = 0; n < MAX_PNP_HEADERS && at && at + 0x20u <= bytes; n++) {
        const uint8_t *pnp = rom + at;
        if (memcmp(pnp, "$PnP", 4))
            return;
        const uint16_t product = read16(pnp + PNP_PRODUCT);
        const char *name = product && product < bytes ? (const char *)rom + product : "option ROM";
        if (read16(pnp + PNP_BEV))
            boot_add_rom(BOOT_BEV, seg, read16(pnp + PNP_BEV), name, source, n);
        else if (read16(pnp + PNP_BCV))
            boot_add_rom(BOOT_BCV, seg, read16(pnp + PNP_BCV), name, source, n);
        at = read16(pnp + PNP_NEXT);
    }
}

/* ---- installing one ---- */

/* Entry conditions: PCI FW 3.0 §5.2.1.16 "POST Code Extensions", PnP BIOS 1.0A §3.1. */
static void call_init(const uint8_t *rom, uint16_t bdf)
{
    struct bregs r = {
        .cs = (uint16_t)((uint32_t)rom >> 4),
        .ip = 3,
        .ax = bdf,
        .bx = 0xffff,
        .dx = 0xffff,
        .es = CODE_SEG,
        .di = pnp_structure_offset(),
        .flags = FLAG_IF,
    };
    call_far(&r);
}

/* image is somewhere else; the copy may grow no further than the data segment. */
static void install(const uint8_t *image, const struct boot_source *source, uint16_t bdf)
{
    const uint32_t bytes = image_bytes(image);
    if (!bytes || !checksum_ok(image, bytes)) {
        print("Option ROM of %s: its checksum is wrong; left out\n", source->name);
        return;
    }
    if (next_rom + bytes > DATA_BASE) {
        print("Option ROM of %s: no room for %u KiB below E8000h; left out\n", source->name,
              bytes / 1024);
        return;
    }
    uint8_t *rom = (uint8_t *)next_rom;
    memcpy(rom, image, bytes);
    call_init(rom, bdf);
    const uint32_t kept = image_bytes(rom);
    debug("option ROM of %s at %05x, %x of %x bytes kept\n", source->name, next_rom, kept, bytes);
    if (!kept)
        return;
    next_rom = ALIGN_UP(next_rom + MIN(kept, bytes), ROM_ALIGN);
    add_boot_entries(rom, MIN(kept, bytes), source);
}

/* ---- PCI ---- */

/* The image for this kind of machine among those in the ROM; NULL if there is none. */
static const uint8_t *find_image(const uint8_t *rom, uint32_t size)
{
    uint32_t at = 0;
    while (at + ROM_BLOCK <= size) {
        const uint8_t *image = rom + at;
        if (read16(image) != 0xaa55)
            return NULL;
        const uint16_t pcir = read16(image + 0x18);
        if (!pcir || at + pcir + 0x18u > size || memcmp(image + pcir, "PCIR", 4))
            return at == 0 && at + image_bytes(image) <= size ? image : NULL; /* from before PCI */
        const uint32_t bytes = read16(image + pcir + PCIR_LENGTH) * ROM_BLOCK;
        if (!bytes)
            return NULL;
        if (image[pcir + PCIR_CODE_TYPE] == CODE_TYPE_PC)
            return at + image_bytes(image) <= size ? image : NULL;
        if (image[pcir + PCIR_INDICATOR] & INDICATOR_LAST)
            return NULL;
        at += bytes;
    }
    return NULL;
}

static uint32_t rom_size(uint16_t bdf, uint32_t base)
{
    pci_write32(bdf, PCI_ROM, ~ROM_ENABLE);
    const uint32_t mask = pci_read32(bdf, PCI_ROM) & ~0x7ffu;
    pci_write32(bdf, PCI_ROM, base);
    return mask ? ~mask + 1 : 0;
}

static void install_pci(const struct pci_function *f)
{
    const uint32_t base = pci_read32(f->bdf, PCI_ROM) & ~0x7ffu;
    if (!base)
        return;
    const uint32_t size = rom_size(f->bdf, base);
    const uint16_t command = pci_read16(f->bdf, PCI_COMMAND);
    pci_write16(f->bdf, PCI_COMMAND, command | PCI_COMMAND_MEMORY);
    pci_write32(f->bdf, PCI_ROM, base | ROM_ENABLE);
    const uint8_t *image = find_image((const uint8_t *)base, size);
    uint8_t *copy = NULL;
    if (image) {
        const uint32_t bytes = image_bytes(image);
        copy = alloc_temp(bytes);
        if (copy)
            memcpy(copy, image, bytes);
    }
    pci_write32(f->bdf, PCI_ROM, base);
    pci_write16(f->bdf, PCI_COMMAND, command);
    if (!copy)
        return;
    const struct boot_source source = {.name = "a PCI card", .bdf = f->bdf, .is_pci = true};
    install(copy, &source, f->bdf);
    free_temp(copy);
}

/* ---- files ---- */

static void install_files(const char *folder)
{
    struct fwcfg_file f;
    for (uint32_t i = 0; fwcfg_file(i, &f); i++) {
        if (strncmp(f.name, folder, strlen(folder)))
            continue;
        uint8_t *copy = alloc_temp(f.size);
        if (!copy || f.size < ROM_BLOCK) {
            print("Option ROM of %s: its size of %u bytes is out of range\n", f.name, f.size);
            continue;
        }
        fwcfg_read(f.key, copy, f.size);
        const struct boot_source source = {.name = f.name};
        if (image_bytes(copy) <= f.size)
            install(copy, &source, 0);
        free_temp(copy);
    }
}

/* The video BIOS comes first, and gets C0000h: until then there is no screen. */
void video_rom_init(void)
{
    for (unsigned i = 0; pci_function(i); i++)
        if (pci_function(i)->class == CLASS_VGA && next_rom == OPTION_ROM_BASE) {
            const uint16_t bdf = pci_function(i)->bdf;
            pci_write16(bdf, PCI_COMMAND,
                        pci_read16(bdf, PCI_COMMAND) | PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
            install_pci(pci_function(i));
        }
    if (next_rom == OPTION_ROM_BASE)
        install_files("vgaroms/");
    if (next_rom == OPTION_ROM_BASE)
        return;
    struct bregs r = {.ax = TEXT_MODE};
    call_int(0x10, &r);
}

/* The video BIOS' 8x8 font also where programs of the PC's first years look for it. */
void video_font_init(void)
{
    enum { FONT_8X8_LOW = 0x03 };
    struct bregs r = {.ax = 0x1130, .bx = FONT_8X8_LOW << 8};
    call_int(0x10, &r);
    if (next_rom != OPTION_ROM_BASE && r.es >= OPTION_ROM_BASE >> 4)
        memcpy((void *)(CODE_BASE + (uint32_t)font_8x8), (void *)(((uint32_t)r.es << 4) + r.bp),
               FONT_BYTES);
}

void option_roms_init(void)
{
    next_rom = MAX(next_rom, 0xC8000u);
    for (unsigned i = 0; pci_function(i); i++)
        if (pci_function(i)->class != CLASS_VGA)
            install_pci(pci_function(i));
    install_files("genroms/");
}
