/*
 * Diskette drives: the 82077AA ("82077AA CHMOS Single-Chip Floppy Disk Controller", 290166) with
 * DMA channel 2 and IRQ 6, as the AT wires them.
 *
 * A drive's medium is found out by trying to read a sector's mark at each data rate it may have.
 * Not done: waiting for the motor to reach its speed (a command waits for the index hole, errors
 * are tried again), perpendicular recording's set-up of 2.88 MB media.
 */
#include "floppy.h"

#include "bda.h"
#include "io.h"
#include "timer.h"
#include "vectors.h"

#define FDC_DOR     0x3F2 /* 7:4 motors, 3 DMA and IRQ on, 2 not reset, 1:0 drive */
#define FDC_MSR     0x3F4
#define FDC_FIFO    0x3F5
#define FDC_DIR     0x3F7 /* read: 7 disk changed */
#define FDC_CCR     0x3F7 /* write: 1:0 data rate */

#define DOR_RUN     0x0C
#define MSR_RQM     0x80
#define MSR_DIO     0x40 /* to the processor */
#define DIR_CHANGED 0x80

enum {
    FDC_SPECIFY = 0x03,
    FDC_RECALIBRATE = 0x07,
    FDC_SENSE_INTERRUPT = 0x08,
    FDC_FORMAT = 0x4D,
    FDC_READ_ID = 0x4A,
    FDC_WRITE = 0xC5,
    FDC_READ = 0xE6,
    FDC_SEEK = 0x0F,
};

#define ST0_ABNORMAL     0xC0
#define ST0_SEEK_END     0x20
#define ST1_MISSING_MARK 0x01
#define ST1_PROTECTED    0x02
#define ST1_NO_DATA      0x04
#define ST1_OVERRUN      0x10
#define ST1_CRC          0x20
#define ST1_END          0x80

#define DMA_ADDRESS      0x04 /* channel 2 */
#define DMA_COUNT        0x05
#define DMA_MASK         0x0A
#define DMA_MODE         0x0B
#define DMA_FLIP_FLOP    0x0C
#define DMA_PAGE         0x81

#define IRQ_TIMEOUT_MS   3000
#define FIFO_TIMEOUT_MS  500
#define TRIES            3

#define FDC_INTERRUPT    0x80 /* BDA: 0040:003E bit 7 */
#define MEDIA_KNOWN      0x10 /* BDA: 0040:0090 */

#define CMOS_FLOPPIES    0x10

/* Diskette parameters, INT 1Eh: the AT's for 1.44 MB. */
extern const uint8_t disk_table[];
__attribute__((section(".fixed.efc7"))) const uint8_t disk_table[11] = {
    0xAF, /* SPECIFY: step rate 6 ms, head unload 240 ms */
    0x02, /* head load 4 ms, DMA */
    0x25, /* motor off after 37 ticks */
    0x02, /* 512 bytes a sector */
    18,   /* sectors a track */
    0x1B, /* gap */
    0xFF, /* data length */
    0x6C, /* gap of formatting */
    0xF6, /* fill byte */
    0x0F, /* head settle, ms */
    0x08, /* motor start, 1/8 s */
};
#define SPECIFY_1        0xAF
#define SPECIFY_2        0x02
#define MOTOR_TICKS      0x25
#define TABLE_GAP        0x1B
#define TABLE_FORMAT_GAP 0x6C

struct format {
    uint8_t rate; /* CCR: 0 500, 1 300, 2 250, 3 1000 kbit/s */
    uint8_t cylinders, sectors;
    bool double_step; /* 40 cylinders on a drive of 80 */
};

#define FORMATS 3

/* By the CMOS drive type; the first is the drive's own. 0 sectors: no more. */
static const struct format formats[6][FORMATS] = {
    [1] = {{2, 40, 9, false}},
    [2] = {{0, 80, 15, false}, {1, 40, 9, true}},
    [3] = {{2, 80, 9, false}},
    [4] = {{0, 80, 18, false}, {2, 80, 9, false}},
    [5] = {{3, 80, 36, false}, {0, 80, 18, false}, {2, 80, 9, false}},
};

static const struct format *medium[2]; /* NULL: not known yet */
static uint8_t cylinder_now[2];

/* ---- the controller ---- */

static bool put(uint8_t byte)
{
    struct timeout t = timeout_ms(FIFO_TIMEOUT_MS);
    while ((inb(FDC_MSR) & (MSR_RQM | MSR_DIO)) != MSR_RQM)
        if (timed_out(&t))
            return false;
    outb(FDC_FIFO, byte);
    return true;
}

static bool get(uint8_t *byte)
{
    struct timeout t = timeout_ms(FIFO_TIMEOUT_MS);
    while ((inb(FDC_MSR) & (MSR_RQM | MSR_DIO)) != (MSR_RQM | MSR_DIO))
        if (timed_out(&t))
            return false;
    *byte = inb(FDC_FIFO);
    return true;
}

static bool command(const uint8_t *bytes, unsigned n)
{
    BDA->fd_recalibrate &= (uint8_t)~FDC_INTERRUPT;
    for (unsigned i = 0; i < n; i++)
        if (!put(bytes[i]))
            return false;
    return true;
}

static bool results(uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!get(&bytes[i]))
            return false;
    return true;
}

static bool wait_interrupt(void)
{
    struct timeout t = timeout_ms(IRQ_TIMEOUT_MS);
    pic_unmask(6);
    while (!(BDA->fd_recalibrate & FDC_INTERRUPT)) {
        if (timed_out(&t))
            return false;
        wait_irq();
    }
    BDA->fd_recalibrate &= (uint8_t)~FDC_INTERRUPT;
    return true;
}

static void select(const struct drive *d)
{
    const uint8_t motors = (uint8_t)((BDA->fd_motor & 0x0f) | BIT(d->unit));
    BDA->fd_motor = (uint8_t)((BDA->fd_motor & 0xf0) | motors);
    BDA->fd_motor_ticks = MOTOR_TICKS;
    outb(FDC_DOR, (uint8_t)(motors << 4 | DOR_RUN | d->unit));
}

static bool sense(uint8_t st[2])
{
    const uint8_t c[] = {FDC_SENSE_INTERRUPT};
    return command(c, 1) && results(st, 2);
}

uint8_t floppy_reset(struct drive *d)
{
    const uint8_t specify[] = {FDC_SPECIFY, SPECIFY_1, SPECIFY_2};
    uint8_t st[2];
    BDA->fd_recalibrate = 0;
    outb(FDC_DOR, DOR_RUN & ~0x04);
    delay_us(20);
    outb(FDC_DOR, (uint8_t)(DOR_RUN | BDA->fd_motor << 4 | d->unit));
    if (!wait_interrupt())
        return DISK_TIMEOUT;
    for (unsigned i = 0; i < 4; i++) /* one for each drive the controller could have */
        if (!sense(st))
            return DISK_CONTROLLER;
    return command(specify, sizeof specify) ? DISK_OK : DISK_CONTROLLER;
}

static uint8_t move_heads(const struct drive *d, const uint8_t *c, unsigned n, uint8_t cylinder)
{
    uint8_t st[2];
    if (!command(c, n))
        return DISK_CONTROLLER;
    if (!wait_interrupt())
        return DISK_TIMEOUT;
    if (!sense(st) || (st[0] & (ST0_ABNORMAL | ST0_SEEK_END)) != ST0_SEEK_END)
        return DISK_BAD_SEEK;
    cylinder_now[d->unit] = cylinder;
    return DISK_OK;
}

static uint8_t recalibrate(const struct drive *d)
{
    const uint8_t c[] = {FDC_RECALIBRATE, d->unit};
    uint8_t status = move_heads(d, c, sizeof c, 0);
    if (status == DISK_BAD_SEEK) /* 79 steps may not reach from cylinder 80 and beyond */
        status = move_heads(d, c, sizeof c, 0);
    if (!status)
        BDA->fd_recalibrate |= BIT(d->unit);
    return status;
}

static uint8_t seek(const struct drive *d, uint8_t cylinder)
{
    const uint8_t c[] = {FDC_SEEK, d->unit, cylinder};
    if (!(BDA->fd_recalibrate & BIT(d->unit))) {
        const uint8_t status = recalibrate(d);
        if (status)
            return status;
    }
    return cylinder_now[d->unit] == cylinder ? DISK_OK : move_heads(d, c, sizeof c, cylinder);
}

/* ---- the medium ---- */

static bool read_id(const struct drive *d)
{
    const uint8_t c[] = {FDC_READ_ID, d->unit};
    uint8_t st[7];
    return command(c, sizeof c) && wait_interrupt() && results(st, sizeof st) &&
           !(st[0] & ST0_ABNORMAL);
}

/* 0040:0090: 7:6 rate, 5 double step, 4 known, 2:0 what is in which drive. */
static void note_medium(const struct drive *d, const struct format *f)
{
    const uint8_t established = f->double_step ? 3 : f->sectors == 15 ? 5 : f->sectors == 9 ? 4 : 7;
    medium[d->unit] = f;
    BDA->fd_media[d->unit] =
        (uint8_t)(f->rate << 6 | f->double_step << 5 | MEDIA_KNOWN | established);
    BDA->fd_data_rate = (uint8_t)(f->rate << 6);
}

static void forget_medium(const struct drive *d)
{
    medium[d->unit] = NULL;
    BDA->fd_media[d->unit] = 0;
}

/* The changed line falls when the heads step with a disk in. */
static uint8_t clear_changed(const struct drive *d)
{
    uint8_t status = recalibrate(d);
    if (!status)
        status = seek(d, 1);
    if (!status)
        status = seek(d, 0);
    if (!status && (inb(FDC_DIR) & DIR_CHANGED))
        return DISK_TIMEOUT; /* none in */
    return status;
}

static uint8_t find_medium(struct drive *d)
{
    if (inb(FDC_DIR) & DIR_CHANGED) {
        const bool was_known = medium[d->unit] != NULL;
        forget_medium(d);
        const uint8_t status = clear_changed(d);
        if (status || was_known)
            return status ? status : DISK_CHANGED;
    }
    if (medium[d->unit]) {
        outb(FDC_CCR, medium[d->unit]->rate);
        return DISK_OK;
    }
    const struct format *f = formats[d->floppy_type];
    uint8_t status = recalibrate(d);
    for (unsigned i = 0; !status && i < FORMATS && f[i].sectors; i++) {
        outb(FDC_CCR, f[i].rate);
        if (read_id(d)) {
            note_medium(d, &f[i]);
            return DISK_OK;
        }
    }
    return status ? status : DISK_NO_ADDRESS_MARK;
}

struct geometry floppy_geometry(const struct drive *d)
{
    const struct format *f = formats[d->floppy_type];
    return (struct geometry){f->cylinders, 2, f->sectors};
}

/* ---- transfers ---- */

static void set_up_dma(uint8_t mode, uint32_t address, uint32_t bytes)
{
    outb(DMA_MASK, 0x04 | 2);
    outb(DMA_FLIP_FLOP, 0);
    outb(DMA_MODE, mode);
    outb(DMA_ADDRESS, (uint8_t)address);
    outb(DMA_ADDRESS, (uint8_t)(address >> 8));
    outb(DMA_PAGE, (uint8_t)(address >> 16));
    outb(DMA_COUNT, (uint8_t)(bytes - 1));
    outb(DMA_COUNT, (uint8_t)((bytes - 1) >> 8));
    outb(DMA_MASK, 2);
}

static uint8_t result_status(const uint8_t *st)
{
    if (!(st[0] & ST0_ABNORMAL))
        return DISK_OK;
    if (st[0] & 0x08)
        return DISK_TIMEOUT; /* not ready */
    if (st[1] & ST1_PROTECTED)
        return DISK_WRITE_PROTECTED;
    if (st[1] & ST1_CRC)
        return DISK_BAD_CRC;
    if (st[1] & ST1_OVERRUN)
        return DISK_DMA_OVERRUN;
    if (st[1] & (ST1_NO_DATA | ST1_END))
        return DISK_NOT_FOUND;
    return st[1] & ST1_MISSING_MARK ? DISK_NO_ADDRESS_MARK : DISK_CONTROLLER;
}

static uint8_t data_command(const uint8_t *c, unsigned n)
{
    uint8_t st[7];
    if (!command(c, n))
        return DISK_CONTROLLER;
    if (!wait_interrupt())
        return DISK_TIMEOUT;
    if (!results(st, sizeof st))
        return DISK_CONTROLLER;
    for (unsigned i = 0; i < sizeof st; i++)
        BDA->fd_result[i] = st[i];
    return result_status(st);
}

struct track_piece {
    uint8_t cylinder, head, sector, count;
    uint32_t address;
};

static uint8_t one_piece(const struct drive *d, enum disk_command what, const struct track_piece *p)
{
    static const uint8_t modes[] = {[DISK_READ] = 0x46, [DISK_WRITE] = 0x4A, [DISK_VERIFY] = 0x42};
    const struct format *f = medium[d->unit];
    const uint8_t c[] = {
        what == DISK_WRITE ? FDC_WRITE : FDC_READ,
        (uint8_t)(p->head << 2 | d->unit),
        p->cylinder,
        p->head,
        p->sector,
        2, /* 512 bytes */
        f->sectors,
        TABLE_GAP,
        0xff,
    };
    uint8_t status = DISK_OK;
    for (unsigned tries = 0; tries < TRIES; tries++) {
        status = seek(d, (uint8_t)(p->cylinder << f->double_step));
        if (status)
            return status;
        set_up_dma(modes[what], p->address, p->count * 512u);
        status = data_command(c, sizeof c);
        if (status == DISK_OK || status == DISK_WRITE_PROTECTED || status == DISK_TIMEOUT)
            return status;
        recalibrate(d);
    }
    return status;
}

/* By logical sectors, each track by itself; DMA cannot cross 64 KiB. */
uint8_t floppy_transfer(struct disk_op *op)
{
    struct drive *d = op->drive;
    const uint16_t asked = op->count;
    uint32_t lba = (uint32_t)op->lba, address = (uint32_t)op->address;
    op->count = 0;
    select(d);
    uint8_t status = find_medium(d);
    if (status)
        return status;
    const struct format *f = medium[d->unit];
    while (op->count < asked && !status) {
        const struct track_piece p = {
            .cylinder = (uint8_t)(lba / f->sectors / 2),
            .head = lba / f->sectors & 1,
            .sector = (uint8_t)(lba % f->sectors + 1),
            .count = (uint8_t)MIN(asked - op->count, f->sectors - (int)(lba % f->sectors)),
            .address = address,
        };
        if (p.cylinder >= f->cylinders)
            return DISK_NOT_FOUND;
        if ((address & 0xffff) + p.count * 512u > 0x10000)
            return DISK_BOUNDARY;
        status = one_piece(d, op->command, &p);
        if (!status) {
            op->count = (uint16_t)(op->count + p.count);
            lba += p.count;
            address += p.count * 512u;
        }
    }
    BDA->fd_cylinder[d->unit] = cylinder_now[d->unit];
    return status;
}

uint8_t floppy_chs(const struct bregs *r, struct drive *d, enum disk_command what, uint16_t *count)
{
    const uint16_t asked = *count, cylinder = r->ch, sector = r->cl;
    *count = 0;
    if (!asked || !sector || r->dh > 1)
        return DISK_BAD_COMMAND;
    select(d);
    const uint8_t status = find_medium(d);
    if (status)
        return status;
    const struct format *f = medium[d->unit];
    if (sector > f->sectors || cylinder >= f->cylinders)
        return DISK_NOT_FOUND;
    struct disk_op op = {
        .drive = d,
        .command = what,
        .lba = (cylinder * 2u + r->dh) * f->sectors + sector - 1,
        .count = asked,
        .address = ((uint32_t)r->es << 4) + r->bx,
    };
    const uint8_t done = floppy_transfer(&op);
    *count = op.count;
    return done;
}

/* ---- the rest of INT 13h ---- */

/* AH=05h: ES:BX has four bytes for each sector: cylinder, head, number, size. */
static uint8_t format_track(const struct bregs *r, struct drive *d)
{
    select(d);
    if (inb(FDC_DIR) & DIR_CHANGED) {
        const uint8_t status = clear_changed(d);
        if (status)
            return status;
    }
    if (!medium[d->unit])
        note_medium(d, formats[d->floppy_type]);
    const struct format *f = medium[d->unit];
    const uint32_t address = ((uint32_t)r->es << 4) + r->bx;
    const uint8_t c[] = {
        FDC_FORMAT, (uint8_t)(r->dh << 2 | d->unit), 2, f->sectors, TABLE_FORMAT_GAP, 0xF6};
    if (r->ch >= f->cylinders || r->dh > 1)
        return DISK_BAD_COMMAND;
    if ((address & 0xffff) + f->sectors * 4u > 0x10000)
        return DISK_BOUNDARY;
    outb(FDC_CCR, f->rate);
    const uint8_t status = seek(d, (uint8_t)(r->ch << f->double_step));
    if (status)
        return status;
    set_up_dma(0x4A, address, f->sectors * 4u);
    return data_command(c, sizeof c);
}

static uint8_t changed(struct drive *d)
{
    select(d);
    return inb(FDC_DIR) & DIR_CHANGED ? DISK_CHANGED : DISK_OK;
}

/* AH=18h: the medium that will be formatted, by its last cylinder and sector. */
static uint8_t set_media_type(struct bregs *r, struct drive *d)
{
    const struct format *f = formats[d->floppy_type];
    for (unsigned i = 0; i < FORMATS && f[i].sectors; i++)
        if (f[i].cylinders == r->ch + 1 && f[i].sectors == r->cl) {
            note_medium(d, &f[i]);
            r->es = CODE_SEG;
            r->di = (uint16_t)(uintptr_t)disk_table;
            return DISK_OK;
        }
    return 0x0C; /* not supported */
}

/* AH=17h: AL 1: 360K in 360K, 2: 360K in 1.2M, 3: 1.2M in 1.2M, 4: 720K in 720K. */
static uint8_t set_disk_type(const struct bregs *r, struct drive *d)
{
    static const uint8_t sectors[] = {0, 9, 9, 15, 9};
    const struct format *f = formats[d->floppy_type];
    if (r->al == 0 || r->al > 4)
        return DISK_BAD_COMMAND;
    for (unsigned i = 0; i < FORMATS && f[i].sectors; i++)
        if (f[i].sectors == sectors[r->al]) {
            note_medium(d, &f[i]);
            return DISK_OK;
        }
    return DISK_BAD_COMMAND;
}

int floppy_service(struct bregs *r, struct drive *d)
{
    switch (r->ah) {
    case 0x05:
        return format_track(r, d);
    case 0x16:
        return changed(d);
    case 0x17:
        return set_disk_type(r, d);
    case 0x18:
        return set_media_type(r, d);
    default:
        return -1;
    }
}

void floppy_tick(void)
{
    if (!BDA->fd_motor_ticks || --BDA->fd_motor_ticks)
        return;
    BDA->fd_motor &= 0xf0;
    outb(FDC_DOR, DOR_RUN);
}

void handle_0e(struct bregs *r)
{
    (void)r;
    BDA->fd_recalibrate |= FDC_INTERRUPT;
    pic_eoi(6);
}

/* CMOS 10h names the drives; whether there is a controller shows when it is reset. */
uint32_t floppy_detect(uint32_t unused)
{
    (void)unused;
    const uint8_t types = cmos_read(CMOS_FLOPPIES);
    for (uint8_t unit = 0; unit < 2; unit++) {
        struct drive *d = &drives[DRIVE_FLOPPY0 + unit];
        const uint8_t type = unit ? types & 0x0f : types >> 4;
        if (!type || type > 5)
            continue;
        d->unit = unit;
        d->index = (uint8_t)(DRIVE_FLOPPY0 + unit);
        d->floppy_type = type;
        d->sector_bytes = 512;
        d->flags = DRIVE_REMOVABLE;
        if (floppy_reset(d) == DISK_OK)
            d->kind = DRIVE_FLOPPY;
    }
    BDA->fd_motor = 0;
    return 0;
}
