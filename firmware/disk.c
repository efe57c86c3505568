/* What INT 13h knows of the drives, whatever they are: numbers, geometry, who transfers. */
#include "disk.h"

#include "bda.h"
#include "boot.h"
#include "io.h"

#define CMOS_TRANSLATION 0x39 /* two bits a disk */

struct drive drives[DRIVES];
uint8_t floppy_ids[2], disk_ids[4], cd_ids[4];
uint8_t floppy_count, disk_count, cd_count;

struct drive *disk_by_number(uint8_t number)
{
    if (number >= 0x80 && number < 0x80 + disk_count)
        return &drives[disk_ids[number - 0x80]];
    if (number >= CD_FIRST_NUMBER && number < CD_FIRST_NUMBER + cd_count)
        return &drives[cd_ids[number - CD_FIRST_NUMBER]];
    if (number < floppy_count)
        return &drives[floppy_ids[number]];
    return NULL;
}

uint8_t disk_transfer(struct disk_op *op)
{
    switch (op->drive->kind) {
    case DRIVE_ATA:
        return ata_transfer(op);
    case DRIVE_ATAPI:
        return atapi_transfer(op);
    case DRIVE_FLOPPY:
        return floppy_transfer(op);
    default:
        op->count = 0;
        return DISK_BAD_COMMAND;
    }
}

/* ---- geometry ---- */

/*
 * INT 13h has 10 bits for a cylinder. A disk with more cylinders than that gets more heads: as many
 * as "LBA-assisted" translation gives it (Phoenix, "Enhanced Disk Drive Specification" 1.1, §5).
 */
static struct geometry assisted(uint64_t sectors)
{
    static const uint8_t heads[] = {16, 32, 64, 128};
    struct geometry g = {0, 255, 63};
    for (unsigned i = 0; i < ARRAY_SIZE(heads); i++)
        if (sectors <= (uint32_t)heads[i] * 63 * 1024) {
            g.heads = heads[i];
            break;
        }
    const uint32_t all = (uint32_t)MIN(sectors, 1024ull * 255 * 63);
    g.cylinders = (uint16_t)MIN(all / (g.heads * 63u), 1024u);
    return g;
}

/* "Large": cylinders halved and heads doubled until they fit. */
static struct geometry large(struct geometry g)
{
    while (g.cylinders > 1024 && g.heads <= 127) {
        g.cylinders >>= 1;
        g.heads <<= 1;
    }
    g.cylinders = MIN(g.cylinders, 1024);
    return g;
}

static void set_geometry(struct drive *d)
{
    enum { NONE, LBA, LARGE, RECHS };
    const uint8_t how = (cmos_read(CMOS_TRANSLATION) >> (2 * (d->index - DRIVE_IDE0))) & 3;
    struct geometry g = d->physical;
    if (!g.cylinders || !g.heads || !g.sectors || how == LBA) {
        g = assisted(d->sectors);
    } else if (how == LARGE) {
        g = large(g);
    } else if (how == RECHS) { /* 15 heads instead of 16, so that doubling ends at 240 */
        if (g.heads == 16) {
            g.cylinders = (uint16_t)MIN(g.cylinders * 16u / 15, 0xffffu);
            g.heads = 15;
        }
        g = large(g);
    } else {
        g.cylinders = MIN(g.cylinders, 1024);
    }
    d->logical = g;
}

/* ---- numbers ---- */

/*
 * Fixed disk parameter tables, behind INT 41h and 46h (Ralf Brown, "INT 41"): by the physical
 * geometry, and translated ones marked so (EDD 1.1 §5.1).
 */
static void set_table(unsigned n, const struct drive *d)
{
    const uint16_t at = (uint16_t)(offsetof(struct ebda, disk_table) + 16 * n);
    const struct geometry *l = &d->logical, *p = &d->physical;
    uint8_t t[16] = {0};
    t[0] = (uint8_t)l->cylinders;
    t[1] = (uint8_t)(l->cylinders >> 8);
    t[2] = (uint8_t)l->heads;
    t[3] = 0xA0; /* signature of a translated table */
    t[4] = (uint8_t)p->sectors;
    t[5] = t[6] = 0xff; /* no write precompensation */
    t[8] = 0xC0 | (l->heads > 8 ? 0x08 : 0);
    t[9] = (uint8_t)p->cylinders;
    t[10] = (uint8_t)(p->cylinders >> 8);
    t[11] = (uint8_t)p->heads;
    t[14] = (uint8_t)l->sectors;
    for (unsigned i = 0; i < 15; i++)
        t[15] = (uint8_t)(t[15] - t[i]);
    near_to_far(EBDA_SEG, at, t, sizeof t);
    VECTOR(n ? 0x46 : 0x41) = (uint32_t)EBDA_SEG << 16 | at;
}

/* The disks in order of the boot list, so that the first to be booted is 80h. */
void disk_number_all(void)
{
    disk_count = 0;
    for (unsigned i = 0; i < boot_count; i++)
        if (boot_list[i].kind == BOOT_DISK && disk_count < ARRAY_SIZE(disk_ids))
            disk_ids[disk_count++] = boot_list[i].drive;
    for (unsigned n = 0; n < MIN(disk_count, 2); n++)
        set_table(n, &drives[disk_ids[n]]);
    BDA->hd_count = disk_count;
}

void disk_make_first(uint8_t drive)
{
    for (unsigned n = 1; n < disk_count; n++) {
        if (disk_ids[n] != drive)
            continue;
        for (; n; n--)
            disk_ids[n] = disk_ids[n - 1];
        disk_ids[0] = drive;
        for (n = 0; n < MIN(disk_count, 2); n++)
            set_table(n, &drives[disk_ids[n]]);
    }
}

uint32_t disk_assign(uint32_t unused)
{
    (void)unused;
    floppy_count = cd_count = 0;
    for (uint8_t i = 0; i < DRIVES; i++) {
        if (drives[i].kind == DRIVE_ATA)
            set_geometry(&drives[i]);
        if (drives[i].kind == DRIVE_ATAPI)
            cd_ids[cd_count++] = i;
        if (drives[i].kind == DRIVE_FLOPPY)
            floppy_ids[floppy_count++] = i;
    }
    disk_number_all();
    BDA->equipment =
        (uint16_t)((BDA->equipment & ~0x00C1) | (floppy_count ? 1 | (floppy_count - 1) << 6 : 0));
    return 0;
}
