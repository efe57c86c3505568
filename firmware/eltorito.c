/*
 * See eltorito.h. Phoenix/IBM, "El Torito" Bootable CD-ROM Format Specification 1.0: a boot record
 * in sector 17 names the boot catalog; its first entry validates, its second is the default one.
 *
 * Not done: further sections of the catalog (only the default entry boots), AH=4Ah's and 4Ch's
 * start of an emulation from elsewhere on the disc.
 */
#include "eltorito.h"

#include "bda.h"

#define BOOT_RECORD_LBA  17
#define CATALOG_POINTER  0x47

#define ENTRY_VALIDATION 0x00
#define ENTRY_DEFAULT    0x20
#define DEFAULT_BOOTABLE 0x88

#define TERMINATE        0x00 /* AL of AH=4Bh */

struct default_entry {
    uint8_t indicator, media;
    uint16_t load_seg;
    uint8_t system, unused;
    uint16_t sectors; /* of 512 bytes */
    uint32_t lba;
} PACKED;

struct specification {
    uint8_t size, media, number, controller;
    uint32_t lba;
    uint16_t device, user_seg, load_seg, sectors;
    uint8_t cylinders_low, cylinders_sectors, heads;
} PACKED;

struct cd_emulation cd_emulation;

/* The sector that disk_buffer holds for eltorito_read; all ones: none. */
static uint32_t buffered = 0xffffffff;

static bool read_sector(struct drive *d, uint32_t lba)
{
    struct disk_op op = {d, DISK_READ, lba, 1, near_address(disk_buffer)};
    buffered = 0xffffffff;
    return disk_transfer(&op) == DISK_OK;
}

static bool catalog_valid(void)
{
    uint16_t sum = 0;
    for (unsigned i = 0; i < 16; i++)
        sum = (uint16_t)(sum + ((const uint16_t *)disk_buffer)[i]);
    return disk_buffer[ENTRY_VALIDATION] == 1 && disk_buffer[0x1e] == 0x55 &&
           disk_buffer[0x1f] == 0xaa && sum == 0;
}

/* The disk's geometry is that of its partition's end; a floppy's is known. */
static bool find_geometry(struct cd_emulation *e, struct drive *d)
{
    static const struct geometry floppies[] = {
        [MEDIA_1200K] = {80, 2, 15}, [MEDIA_1440K] = {80, 2, 18}, [MEDIA_2880K] = {80, 2, 36}};
    if (e->media != MEDIA_DISK) {
        e->geometry = floppies[e->media];
        return true;
    }
    if (!read_sector(d, e->lba))
        return false;
    const uint8_t *end = disk_buffer + 446 + 5;
    e->geometry.heads = end[0] + 1u;
    e->geometry.sectors = end[1] & 0x3f;
    e->geometry.cylinders = ((end[1] & 0xc0u) << 2 | end[2]) + 1u;
    return e->geometry.sectors != 0;
}

static bool load_image(const struct cd_emulation *e, struct drive *d)
{
    uint32_t lba = e->lba, left = (e->load_sectors + 3u) / 4;
    uint64_t address = (uint32_t)e->load_seg << 4;
    while (left) {
        struct disk_op op = {d, DISK_READ, lba, (uint16_t)MIN(left, 16u), address};
        const uint16_t asked = op.count;
        if (disk_transfer(&op) != DISK_OK)
            return false;
        lba += asked;
        left -= asked;
        address += asked * 2048u;
    }
    return true;
}

static void start(const struct cd_emulation *e)
{
    cd_emulation = *e;
    if (!e->active)
        return;
    if (e->number & 0x80)
        BDA->hd_count = BDA->hd_count + 1;
    else
        BDA->equipment =
            (uint16_t)(BDA->equipment & 1 ? BDA->equipment | 0x40 : BDA->equipment | 1);
}

const char *eltorito_load(struct drive *d, uint8_t cd_number, uint16_t *seg, uint8_t *number)
{
    const uint8_t ready = atapi_ready(d);
    if (ready == DISK_NO_MEDIA)
        return "no disc in the drive";
    if (ready)
        return "the drive is not ready";
    if (!read_sector(d, BOOT_RECORD_LBA))
        return "sector 17 cannot be read";
    if (disk_buffer[0] || memcmp(disk_buffer + 1, "CD001\1EL TORITO SPECIFICATION", 29))
        return "the disc is not bootable (no El Torito boot record)";
    uint32_t catalog;
    memcpy(&catalog, disk_buffer + CATALOG_POINTER, 4);
    if (!read_sector(d, catalog))
        return "the boot catalog cannot be read";
    struct default_entry entry;
    memcpy(&entry, disk_buffer + ENTRY_DEFAULT, sizeof entry);
    if (!catalog_valid() || entry.indicator != DEFAULT_BOOTABLE)
        return "the disc is not bootable (its boot catalog has no valid default entry)";
    struct cd_emulation e = {
        .media = entry.media & 0x0f,
        .drive = d->index,
        .lba = entry.lba,
        .load_seg = entry.load_seg ? entry.load_seg : 0x7C0,
        .load_sectors = entry.sectors ? entry.sectors : 1,
    };
    if (e.media > MEDIA_DISK)
        return "its boot entry has an unknown kind of medium";
    e.active = e.media != MEDIA_NONE;
    e.number = !e.active ? cd_number : e.media == MEDIA_DISK ? 0x80 : 0;
    if (((uint32_t)e.load_seg << 4) + e.load_sectors * 512u > EBDA_ADDRESS)
        return "its boot image does not fit below 639 KiB";
    if (e.active && !find_geometry(&e, d))
        return "its boot image cannot be read, or has no partition table";
    if (!load_image(&e, d))
        return "its boot image cannot be read";
    start(&e);
    *seg = e.load_seg;
    *number = e.number;
    return NULL;
}

/* ---- INT 13h of the emulated drive ---- */

uint32_t eltorito_sectors(void)
{
    const struct geometry *g = &cd_emulation.geometry;
    return (uint32_t)g->cylinders * g->heads * g->sectors;
}

/* A quarter of a CD sector at a time, but a CD sector is read once. */
uint8_t eltorito_read(uint32_t lba, uint16_t *count, uint64_t address)
{
    struct drive *d = &drives[cd_emulation.drive];
    const uint16_t asked = *count;
    for (*count = 0; *count < asked; ++*count, lba++, address += 512) {
        const uint32_t sector = cd_emulation.lba + lba / 4;
        if (buffered != sector && !read_sector(d, sector))
            return DISK_BAD_CRC;
        buffered = sector;
        const uint32_t to = (uint32_t)address;
        near_to_far((uint16_t)(to >> 4), to & 0xf, disk_buffer + (lba & 3) * 512, 512);
    }
    return DISK_OK;
}

/* ---- AH=4Bh ---- */

static void tell(struct bregs *r)
{
    const struct cd_emulation *e = &cd_emulation;
    const struct drive *d = &drives[e->drive];
    const struct geometry *g = &e->geometry;
    const uint16_t last = (uint16_t)(g->cylinders - 1);
    struct specification s = {
        .size = sizeof s,
        .media = e->media,
        .number = e->number,
        .controller = d->channel,
        .lba = e->lba,
        .device = d->unit,
        .load_seg = e->load_seg,
        .sectors = e->load_sectors,
    };
    if (e->active) {
        s.cylinders_low = (uint8_t)last;
        s.cylinders_sectors = (uint8_t)((last >> 2 & 0xc0) | g->sectors);
        s.heads = (uint8_t)(g->heads - 1);
    }
    near_to_far(r->ds, r->si, &s, sizeof s);
}

uint8_t eltorito_service(struct bregs *r)
{
    struct cd_emulation *e = &cd_emulation;
    if (r->ah != 0x4b || r->al > 1 || !e->lba)
        return DISK_BAD_COMMAND;
    tell(r);
    if (r->al == TERMINATE && e->active) {
        e->active = false;
        if (e->number & 0x80)
            BDA->hd_count = BDA->hd_count - 1;
    }
    return DISK_OK;
}
