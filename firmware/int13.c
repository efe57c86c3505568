/*
 * INT 13h: disks. By CHS as the AT has it, by blocks as the BIOS Enhanced Disk Drive Specification
 * ("EDD", T13 1572D) has it; El Torito's functions are in eltorito.c.
 *
 *      00h - 01h  reset, last status                  41h  extensions there?
 *      02h - 04h  read, write, verify                 42h - 44h  read, write, verify
 *      05h        format track (floppies)             45h, 46h, 49h  lock, eject, changed
 *      08h, 15h   geometry, kind of drive             47h, 48h  seek, parameters
 *      09h, 0Ch - 11h, 14h  what needs nothing done   4Ah - 4Dh  El Torito
 *      16h - 18h  floppies: changed, set the format   4Eh  PIO and DMA modes: no
 */
#include "bda.h"
#include "disk.h"
#include "eltorito.h"
#include "floppy.h"
#include "io.h"
#include "vectors.h"

#define DISK_TABLE_SEG CODE_SEG
#define DISK_TABLE_OFF 0xEFC7

/* Never more at once: what a bus master's table and an ATA command hold. */
#define PIECE_BYTES (127 * 512u)

struct packet {
    uint8_t size, reserved;
    uint16_t count, off, seg;
    uint64_t lba;
    uint64_t flat;
} PACKED;

#define PACKET_SHORT 16

/* What r->dl means now: with a CD emulating it, the CD; otherwise a drive. */
struct target {
    struct drive *drive;
    bool emulated;
};

static struct target find_target(uint8_t number)
{
    const struct cd_emulation *e = &cd_emulation;
    struct target t = {NULL, false};
    if (e->active && number == e->number) {
        t.drive = &drives[e->drive];
        t.emulated = true;
        return t;
    }
    /* the drives of its kind have moved up by one */
    if (e->active && (number & 0xe0) == e->number)
        number--;
    t.drive = disk_by_number(number);
    return t;
}

static bool is_floppy(const struct bregs *r)
{
    return r->dl < 0x80;
}

static struct geometry geometry_of(struct target t)
{
    if (t.emulated)
        return cd_emulation.geometry;
    if (t.drive->kind == DRIVE_FLOPPY)
        return floppy_geometry(t.drive);
    return t.drive->logical;
}

/* Moves *count sectors; *count is what was moved. */
static uint8_t transfer(struct target t, enum disk_command command, uint64_t lba, uint16_t *count,
                        uint64_t address)
{
    if (t.emulated) {
        if (command == DISK_WRITE)
            *count = 0;
        return command == DISK_READ    ? eltorito_read((uint32_t)lba, count, address)
               : command == DISK_WRITE ? DISK_WRITE_PROTECTED
                                       : DISK_OK;
    }
    const uint16_t size = t.drive->sector_bytes, most = (uint16_t)(PIECE_BYTES / size);
    uint16_t left = *count;
    *count = 0;
    while (left) {
        const uint16_t piece = MIN(left, most);
        struct disk_op op = {t.drive, command, lba, piece, address};
        const uint8_t status = disk_transfer(&op);
        *count = (uint16_t)(*count + op.count);
        if (status)
            return status;
        left = (uint16_t)(left - piece);
        lba += piece;
        address += piece * size;
    }
    return DISK_OK;
}

/* ---- by cylinder, head, sector ---- */

static uint8_t chs_transfer(struct bregs *r, struct target t, enum disk_command command)
{
    const struct geometry g = geometry_of(t);
    const uint16_t cylinder = (uint16_t)(r->ch | (r->cl & 0xc0) << 2), sector = r->cl & 0x3f;
    uint16_t count = r->al;
    r->al = 0;
    if (t.drive->kind == DRIVE_ATAPI && !t.emulated)
        return DISK_BAD_COMMAND; /* by blocks only */
    if (t.drive->kind == DRIVE_FLOPPY && !t.emulated) {
        const uint8_t status = floppy_chs(r, t.drive, command, &count);
        r->al = (uint8_t)count;
        return status;
    }
    if (!count || count > 128 || !sector || sector > g.sectors || r->dh >= g.heads ||
        cylinder >= g.cylinders)
        return DISK_BAD_COMMAND;
    const uint32_t lba = ((uint32_t)cylinder * g.heads + r->dh) * g.sectors + sector - 1;
    const uint8_t status = transfer(t, command, lba, &count, ((uint32_t)r->es << 4) + r->bx);
    r->al = (uint8_t)count;
    return status;
}

/* AH=08h. */
static uint8_t get_geometry(struct bregs *r, struct target t)
{
    const struct geometry g = geometry_of(t);
    const uint16_t last = (uint16_t)(g.cylinders - 1);
    if (t.drive->kind == DRIVE_ATAPI && !t.emulated)
        return DISK_BAD_COMMAND;
    r->al = 0;
    r->ch = (uint8_t)last;
    r->cl = (uint8_t)((last >> 2 & 0xc0) | (g.sectors & 0x3f));
    r->dh = (uint8_t)(g.heads - 1);
    if (is_floppy(r)) {
        static const uint8_t types[] = {[MEDIA_1200K] = 2, [MEDIA_1440K] = 4, [MEDIA_2880K] = 6};
        r->bx = t.emulated ? types[cd_emulation.media] : t.drive->floppy_type;
        r->dl =
            (uint8_t)(floppy_count + (t.emulated || (cd_emulation.active && !cd_emulation.number)));
        r->es = DISK_TABLE_SEG;
        r->di = DISK_TABLE_OFF;
    } else {
        r->dl = BDA->hd_count;
    }
    return DISK_OK;
}

/* AH=15h. Does not use CF and AH as the others do: AH is the answer. */
static void get_kind(struct bregs *r, struct target t)
{
    set_flag(r, FLAG_CF, 0);
    if (is_floppy(r)) {
        r->ah = t.emulated || t.drive->floppy_type == 1 ? 1 : 2; /* 2: with a change line */
        return;
    }
    const struct geometry g = geometry_of(t);
    const uint32_t sectors = t.drive->kind == DRIVE_ATAPI && !t.emulated
                                 ? (uint32_t)t.drive->sectors
                                 : (uint32_t)g.cylinders * g.heads * g.sectors;
    r->ah = 3;
    r->cx = (uint16_t)(sectors >> 16);
    r->dx = (uint16_t)sectors;
}

/* ---- by blocks: EDD ---- */

static uint8_t edd_check(struct bregs *r)
{
    if (r->bx != 0x55aa)
        return DISK_BAD_COMMAND;
    r->bx = 0xaa55;
    r->ah = 0x30;   /* version 3.0 */
    r->cx = 0x0007; /* extended access, locking and ejecting, EDD parameters */
    return DISK_OK;
}

static uint64_t last_block(struct target t)
{
    if (t.emulated)
        return eltorito_sectors();
    if (t.drive->kind == DRIVE_ATAPI && !t.drive->sectors)
        atapi_ready(t.drive);
    return t.drive->sectors;
}

static uint8_t edd_transfer(struct bregs *r, struct target t, enum disk_command command, bool seek)
{
    struct packet p = {0};
    far_to_near(&p, r->ds, r->si, PACKET_SHORT);
    if (p.size < PACKET_SHORT)
        return DISK_BAD_COMMAND;
    uint64_t address = ((uint32_t)p.seg << 4) + p.off;
    if (p.seg == 0xffff && p.off == 0xffff && p.size >= sizeof p) {
        far_to_near(&p, r->ds, r->si, sizeof p);
        address = p.flat;
    }
    uint16_t count = seek ? 0 : p.count;
    const uint64_t end = last_block(t);
    uint8_t status = DISK_BAD_COMMAND;
    if (p.lba < end && count <= end - p.lba)
        status = transfer(t, command, p.lba, &count, address);
    else
        count = 0;
    if (t.drive->kind == DRIVE_ATAPI && !t.drive->sectors && !t.emulated)
        status = DISK_NO_MEDIA;
    if (!seek)
        far_write16(r->ds, (uint16_t)(r->si + offsetof(struct packet, count)), count);
    return status;
}

/* AH=48h: EDD "Get Device Parameters". */
struct parameters {
    uint16_t size, flags;
    uint32_t cylinders, heads, sectors_per_track;
    uint64_t sectors;
    uint16_t sector_bytes;
    uint16_t dpte_off, dpte_seg; /* from 1Eh on */
    uint16_t key;                /* from 42h on: the device path */
    uint8_t path_bytes, reserved_21[3];
    char host_bus[4], interface[8];
    uint8_t interface_path[8], device_path[8];
    uint8_t reserved_40, checksum;
} PACKED;

_Static_assert(sizeof(struct parameters) == 0x42, "EDD");

#define PARAMETERS_1 0x1a
#define PARAMETERS_2 0x1e

/* The device parameter table extension, which the parameters point to. */
static struct dpte {
    uint16_t command_port, control_port;
    uint8_t device, reserved_5, irq, block;
    uint8_t dma, pio;
    uint16_t flags;
    uint16_t reserved_c;
    uint8_t revision, checksum;
} PACKED dpte;

_Static_assert(sizeof(struct dpte) == 16, "EDD");

static uint8_t zero_sum(const void *data, unsigned bytes)
{
    uint8_t sum = 0;
    for (unsigned i = 0; i < bytes; i++)
        sum = (uint8_t)(sum - ((const uint8_t *)data)[i]);
    return sum;
}

enum {
    DPTE_DMA = BIT(1),
    DPTE_TRANSLATED = BIT(3),
    DPTE_LBA = BIT(4),
    DPTE_REMOVABLE = BIT(5),
    DPTE_ATAPI = BIT(6),
};

static void fill_dpte(const struct drive *d)
{
    dpte = (struct dpte){
        .command_port = d->channel ? 0x170 : 0x1F0,
        .control_port = d->channel ? 0x376 : 0x3F6,
        .device = (uint8_t)(0xE0 | d->unit << 4),
        .irq = (uint8_t)(14 + d->channel),
        .block = 1,
        .flags = DPTE_LBA | (d->flags & DRIVE_DMA ? DPTE_DMA : 0) |
                 (d->kind == DRIVE_ATAPI ? DPTE_REMOVABLE | DPTE_ATAPI : 0) |
                 (d->logical.heads != d->physical.heads ? DPTE_TRANSLATED : 0),
        .revision = 0x11,
    };
    dpte.checksum = zero_sum(&dpte, sizeof dpte - 1);
}

enum {
    INFO_DMA_BOUNDARY = BIT(0),
    INFO_CHS = BIT(1),
    INFO_REMOVABLE = BIT(2),
    INFO_CHANGE = BIT(4),
    INFO_LOCKABLE = BIT(5),
    INFO_NO_MEDIA = BIT(6)
};

static void fill_parameters(struct parameters *p, const struct drive *d)
{
    p->sector_bytes = d->sector_bytes;
    p->sectors = d->sectors;
    p->flags = INFO_DMA_BOUNDARY; /* crossing 64 KiB is taken care of */
    if (d->kind == DRIVE_ATAPI) {
        p->flags |= INFO_REMOVABLE | INFO_CHANGE | INFO_LOCKABLE | (d->sectors ? 0 : INFO_NO_MEDIA);
        p->cylinders = p->heads = p->sectors_per_track = 0xffffffff;
        if (!d->sectors)
            p->sectors = ~0ull;
    } else if (d->sectors <= 63ull * 255 * 1024 * 16 && d->physical.sectors) {
        p->flags |= INFO_CHS;
        p->cylinders = d->physical.cylinders;
        p->heads = d->physical.heads;
        p->sectors_per_track = d->physical.sectors;
    }
    p->dpte_seg = DATA_SEG;
    p->dpte_off = (uint16_t)(uintptr_t)&dpte;
    p->key = 0xBEDD;
    p->path_bytes = 0x24;
    memcpy(p->host_bus, "PCI ", 4);
    memcpy(p->interface, d->kind == DRIVE_ATAPI ? "ATAPI   " : "ATA     ", 8);
    p->interface_path[1] = 1; /* 00:01.1 */
    p->interface_path[2] = 1;
    p->interface_path[3] = d->channel;
    p->device_path[0] = d->unit;
    p->checksum = zero_sum(&p->key, 0x23);
}

static uint8_t edd_parameters(struct bregs *r, struct target t)
{
    const uint16_t room = far_read16(r->ds, r->si);
    struct parameters p = {0};
    if (room < PARAMETERS_1 || t.emulated || t.drive->kind == DRIVE_FLOPPY)
        return DISK_BAD_COMMAND;
    fill_dpte(t.drive);
    fill_parameters(&p, t.drive);
    p.size = room >= sizeof p ? sizeof p : room >= PARAMETERS_2 ? PARAMETERS_2 : PARAMETERS_1;
    near_to_far(r->ds, r->si, &p, p.size);
    return DISK_OK;
}

/* AH=45h: AL 0 lock, 1 unlock, 2 status. */
static uint8_t lock(struct bregs *r, struct target t)
{
    static uint8_t locks[DRIVES];
    uint8_t *n = &locks[t.drive->index];
    if (t.drive->kind != DRIVE_ATAPI)
        return DISK_OK;
    switch (r->al) {
    case 0:
        if (*n == 0xff)
            return DISK_LOCKED;
        if ((*n)++ == 0)
            atapi_lock(t.drive, true);
        break;
    case 1:
        if (!*n)
            return DISK_NOT_LOCKED;
        if (--*n == 0)
            atapi_lock(t.drive, false);
        break;
    case 2:
        break;
    default:
        return DISK_BAD_COMMAND;
    }
    r->al = *n != 0;
    return DISK_OK;
}

static uint8_t eject(struct bregs *r, struct target t)
{
    (void)r;
    if (t.drive->kind != DRIVE_ATAPI)
        return DISK_NOT_REMOVABLE;
    return atapi_eject(t.drive, false);
}

static uint8_t ready(struct target t)
{
    if (t.drive->kind == DRIVE_ATAPI)
        return atapi_ready(t.drive);
    return DISK_OK;
}

static uint8_t reset(struct target t)
{
    if (t.drive->kind == DRIVE_FLOPPY)
        return floppy_reset(t.drive);
    return ata_reset(t.drive);
}

/* ---- dispatch ---- */

static void answer(struct bregs *r, uint8_t status)
{
    r->ah = status;
    set_flag(r, FLAG_CF, status != DISK_OK);
}

static void keep_status(const struct bregs *r, uint8_t status)
{
    if (is_floppy(r))
        BDA->fd_status = status;
    else
        BDA->hd_status = status;
}

/* Functions that every kind of drive has; -1 for one that is not among them. */
static int common(struct bregs *r, struct target t)
{
    switch (r->ah) {
    case 0x00:
        return reset(t);
    case 0x02:
        return chs_transfer(r, t, DISK_READ);
    case 0x03:
        return chs_transfer(r, t, DISK_WRITE);
    case 0x04:
        return chs_transfer(r, t, DISK_VERIFY);
    case 0x08:
        return get_geometry(r, t);
    case 0x09: /* parameters are from the drive itself */
    case 0x0c: /* seek */
    case 0x0d:
    case 0x11: /* recalibrate */
    case 0x14:
        return is_floppy(r) ? -1 : DISK_OK;
    case 0x10:
        return is_floppy(r) ? -1 : ready(t);
    case 0x42:
        return edd_transfer(r, t, DISK_READ, false);
    case 0x43:
        return edd_transfer(r, t, DISK_WRITE, false);
    case 0x44:
        return edd_transfer(r, t, DISK_VERIFY, false);
    case 0x45:
        return lock(r, t);
    case 0x46:
        return eject(r, t);
    case 0x47:
        return edd_transfer(r, t, DISK_VERIFY, true);
    case 0x48:
        return edd_parameters(r, t);
    case 0x49:
        return t.drive->kind == DRIVE_ATAPI ? ready(t) : DISK_OK;
    default:
        return -1;
    }
}

void handle_13(struct bregs *r)
{
    const uint8_t function = r->ah;
    if (function >= 0x4a && function <= 0x4d) {
        answer(r, eltorito_service(r));
        return;
    }
    const struct target t = find_target(r->dl);
    if (function == 0x15) {
        if (t.drive)
            get_kind(r, t);
        else
            answer(r, is_floppy(r) ? 0 : DISK_BAD_COMMAND);
        return;
    }
    if (!t.drive) {
        answer(r, DISK_BAD_COMMAND);
        keep_status(r, DISK_BAD_COMMAND);
        return;
    }
    if (function == 0x01) {
        answer(r, is_floppy(r) ? BDA->fd_status : BDA->hd_status);
        return;
    }
    if (function == 0x41 && !is_floppy(r)) {
        const uint8_t status = edd_check(r);
        if (status)
            answer(r, status);
        else
            set_flag(r, FLAG_CF, 0);
        return;
    }
    int status = function >= 0x41 && is_floppy(r) ? DISK_BAD_COMMAND : common(r, t);
    if (status < 0 && is_floppy(r) && !t.emulated)
        status = floppy_service(r, t.drive);
    if (status < 0)
        status = DISK_BAD_COMMAND;
    answer(r, (uint8_t)status);
    keep_status(r, (uint8_t)status);
}

void handle_76(struct bregs *r)
{
    (void)r;
    BDA->hd_irq_flag = 0xff;
    pic_eoi(14);
}

void handle_77(struct bregs *r)
{
    (void)r;
    BDA->hd_irq_flag = 0xff;
    pic_eoi(15);
}
