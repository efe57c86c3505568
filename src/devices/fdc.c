/*
 * The 82077AA (Intel data sheet 290166, "82077AA CHMOS Single-Chip Floppy Disk Controller", called
 * DS) in its PC/AT mode: registers, interrupts, phases, resets.
 *
 *      fdc.c             this
 *      fdc_command.c     the commands, those that move data only up to their start
 *      fdc_transfer.c    execution of those that move data
 *      floppy.c          drives and the layouts of disks
 *
 *           write 3F5h                   (event)                  read 3F5h
 *      COMMAND ----> all bytes there ----> EXECUTION ----> RESULT ----> all bytes taken
 *         ^            '- no data: at once ---------------'  |               |
 *         '--------------------------------------------------'---------------'
 *
 * A disk is an image of sectors: IDs are as a PC formats them, all of 512 bytes, every data address
 * mark is the normal one, every CRC right. A motor that is off reads like a drive without disk.
 * Not modelled: times of step, head and motor (fdc_internal.h has its own), FM, other sector
 * sizes, deleted marks (WRITE DELETED DATA writes normal ones and says so), overruns of a host that
 * is slow, precompensation, power-down, the registers of the PS/2 modes (3F0h, 3F1h).
 */
#include "devices/fdc_internal.h"

#include <stdlib.h>

enum {
    REG_DOR = 2, /* offsets from 3F0h */
    REG_TDR = 3,
    REG_MSR = 4, /* written: DSR */
    REG_FIFO = 5,
    REG_DIR = 7, /* written: CCR */
};

/* DS "Main Status Register"; 3:0: drives that seek. */
enum {
    MSR_BUSY = BIT(4),
    MSR_NO_DMA = BIT(5),
    MSR_TO_HOST = BIT(6),
    MSR_READY = BIT(7),
};

enum {
    DSR_RESET = BIT(7),
    RATE_BITS = 0x03,
    DIR_CHANGED = BIT(7),
};

static struct fdc *from_dev(struct device *dev)
{
    return container_of(dev, struct fdc, dev);
}

/* ------------------------------------------------------------------ interrupts, phases */

static int irq_wanted(const struct fdc *f)
{
    bool any = f->interrupt;
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        any |= f->drive[i].ended;
    return any && (f->dor & DOR_DMA_GATE) && (f->dor & DOR_NOT_RESET);
}

void fdc_update_irq(struct fdc *f)
{
    const int level = irq_wanted(f);
    if (level == f->irq_level)
        return;
    f->irq_level = level;
    irq_set(&f->irq, level);
}

void fdc_idle(struct fdc *f)
{
    f->phase = FDC_COMMAND;
    f->pos = f->len = 0;
}

void fdc_results(struct fdc *f, const uint8_t *bytes, unsigned count, bool interrupt)
{
    assert(count && count <= FDC_FIFO_MAX);
    memcpy(f->fifo, bytes, count);
    f->phase = FDC_RESULT;
    f->pos = 0;
    f->len = count;
    f->interrupt = interrupt;
    fdc_update_irq(f);
}

/* ------------------------------------------------------------------ resets */

/* DS "Reset": what is under way is forgotten; settings stay if LOCK was given. */
static void begin_reset(struct fdc *f)
{
    fdc_abort(f);
    fdc_idle(f);
    f->interrupt = false;
    f->reset_sense = 0;
    for (unsigned i = 0; i < FDC_SELECTS; i++) {
        struct fdc_drive *d = &f->drive[i];
        event_cancel(f->events, &d->seek);
        d->seeking = d->ended = false;
    }
    if (!f->locked) {
        f->config = CONFIG_NO_FIFO;
        f->precomp = 0;
    }
    f->perpendicular &= 0x3C; /* GAP and WGATE go */
}

static void end_reset(struct fdc *f)
{
    f->resetting = true;
    event_arm(f->events, &f->work, event_now(f->events) + FDC_RESET_NS);
}

static void work_due(void *opaque, int64_t now_ns)
{
    struct fdc *f = opaque;
    (void)now_ns;
    if (!f->resetting) {
        fdc_work(f);
        return;
    }
    f->resetting = false;
    if (!(f->config & CONFIG_NO_POLLING)) { /* all four drives became "ready" */
        f->reset_sense = FDC_SELECTS;
        f->interrupt = true;
    }
    fdc_update_irq(f);
}

static void dor_write(struct fdc *f, uint8_t value)
{
    const uint8_t old = f->dor;
    f->dor = value;
    if (!(value & DOR_NOT_RESET))
        begin_reset(f);
    else if (!(old & DOR_NOT_RESET))
        end_reset(f);
    fdc_update_irq(f);
}

static void dsr_write(struct fdc *f, uint8_t value)
{
    f->rate = value & RATE_BITS;
    if ((value & DSR_RESET) && (f->dor & DOR_NOT_RESET)) { /* clears itself */
        begin_reset(f);
        end_reset(f);
        fdc_update_irq(f);
    }
}

/* ------------------------------------------------------------------ registers */

static bool in_reset(const struct fdc *f)
{
    return !(f->dor & DOR_NOT_RESET) || f->resetting;
}

static uint8_t msr_read(const struct fdc *f)
{
    uint8_t v = 0;
    if (in_reset(f))
        return 0;
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        v |= (uint8_t)(f->drive[i].seeking << i);
    switch (f->phase) {
    case FDC_COMMAND:
        return v | MSR_READY | (f->pos ? MSR_BUSY : 0);
    case FDC_RESULT:
        return v | MSR_READY | MSR_TO_HOST | MSR_BUSY;
    default:
        break;
    }
    v |= MSR_BUSY;
    if (f->x.no_dma)
        v |= MSR_NO_DMA;
    if (f->x.host_turn)
        v |= MSR_READY | (f->x.op <= OP_READ_TRACK ? MSR_TO_HOST : 0);
    return v;
}

/* DS "Result Phase": the interrupt goes with the first byte, the command with the last. */
static uint8_t result_read(struct fdc *f)
{
    const uint8_t v = f->fifo[f->pos++];
    if (f->pos == f->len)
        fdc_idle(f);
    f->interrupt = false;
    fdc_update_irq(f);
    return v;
}

static uint8_t fifo_read(struct fdc *f)
{
    if (!in_reset(f) && f->phase == FDC_RESULT)
        return result_read(f);
    if (!in_reset(f) && f->phase == FDC_EXECUTION && f->x.host_turn && f->x.op <= OP_READ_TRACK)
        return fdc_data_read(f);
    log_guest(f->log, "fdc: data register read while the controller has nothing to say");
    return 0;
}

static void fifo_write(struct fdc *f, uint8_t value)
{
    if (!in_reset(f) && f->phase == FDC_COMMAND)
        fdc_command_byte(f, value);
    else if (!in_reset(f) && f->phase == FDC_EXECUTION && f->x.host_turn && f->x.op > OP_READ_TRACK)
        fdc_data_write(f, value);
    else
        log_guest(f->log, "fdc: data register written (%02xh) while the controller does not listen",
                  value);
}

/* The selected drive's line. A drive without a disk keeps it; no drive does not pull it. */
static uint8_t dir_read(const struct fdc *f)
{
    const unsigned n = f->dor & DOR_SELECT;
    const struct fdc_drive *d = &f->drive[n];
    const bool selected = f->dor & (DOR_MOTOR_0 << n);
    return selected && d->type != FLOPPY_NONE && d->changed ? DIR_CHANGED : 0;
}

static uint64_t low_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fdc *f = opaque;
    (void)size;
    switch (offset + REG_DOR) {
    case REG_DOR:
        return f->dor;
    case REG_TDR:
        return f->tdr;
    case REG_MSR:
        return msr_read(f);
    default:
        return fifo_read(f);
    }
}

static void low_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fdc *f = opaque;
    (void)size;
    switch (offset + REG_DOR) {
    case REG_DOR:
        dor_write(f, (uint8_t)value);
        break;
    case REG_TDR:
        f->tdr = value & 3;
        break;
    case REG_MSR:
        dsr_write(f, (uint8_t)value);
        break;
    default:
        fifo_write(f, (uint8_t)value);
        break;
    }
}

static uint64_t high_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    return dir_read(opaque);
}

static void high_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fdc *f = opaque;
    (void)offset, (void)size;
    f->rate = value & RATE_BITS;
}

static const struct io_ops low_ops = {.read = low_read, .write = low_write, .max_size = 1};
static const struct io_ops high_ops = {.read = high_read, .write = high_write, .max_size = 1};

/* ------------------------------------------------------------------ disks */

static void set_disk(struct fdc_drive *d, struct blk *disk)
{
    bool exact;
    d->blk = disk;
    d->format = disk ? floppy_format(disk->size_bytes, d->type, &exact) : NULL;
    if (!d->format)
        d->blk = NULL;
}

struct blk *fdc_change_disk(struct fdc *f, unsigned n, struct blk *disk)
{
    struct fdc_drive *d = &f->drive[n];
    struct blk *old = d->blk;
    assert(n < FDC_DRIVES && d->type != FLOPPY_NONE);
    if (old)
        blk_drain(old); /* a sector that is under way still goes there */
    set_disk(d, disk);
    d->changed = true;
    return old;
}

/* ------------------------------------------------------------------ the device */

static void fdc_reset(struct device *dev, enum reset_kind kind)
{
    struct fdc *f = from_dev(dev);
    f->locked = false;
    begin_reset(f);
    f->dor = f->tdr = 0;
    f->rate = RATE_250;
    f->specify[0] = f->specify[1] = f->eot = f->perpendicular = 0;
    f->irq_level = 0;
    memset(f->fifo, 0, sizeof f->fifo);
    memset(f->buf, 0, sizeof f->buf);
    f->x = (struct fdc_transfer){0};
    for (unsigned i = 0; i < FDC_SELECTS && kind == RESET_POWER_ON; i++) {
        f->drive[i].cylinder = f->drive[i].pcn = 0;
        f->drive[i].changed = true;
    }
}

static void fdc_reset_lines(struct device *dev)
{
    struct fdc *f = from_dev(dev);
    irq_set(&f->irq, f->irq_level);
    dma8237_set_dreq(f->dma, FDC_DMA, 0);
}

static void drive_state(struct state *s, struct fdc *f, struct fdc_drive *d)
{
    bool disk = d->blk != NULL;
    state_bool(s, "disk", &disk);
    state_check(s, disk == (d->blk != NULL), "disk");
    state_u8(s, "cylinder", &d->cylinder);
    state_bool(s, "changed", &d->changed);
    state_event(s, "seek", f->events, &d->seek);
    state_u8(s, "target", &d->target);
    state_bool(s, "seeking", &d->seeking);
    state_bool(s, "ended", &d->ended);
    state_u8(s, "outcome", &d->outcome);
    state_u8(s, "pcn", &d->pcn);
}

static void transfer_state(struct state *s, struct fdc *f)
{
    struct fdc_transfer *x = &f->x;
    uint8_t op = (uint8_t)x->op;
    state_u8(s, "op", &op);
    state_check(s, op < OPS, "op");
    state_u8(s, "drive", &x->drive);
    state_check(s, x->drive < FDC_SELECTS, "drive");
    state_u8(s, "head", &x->head);
    state_check(s, x->head <= 1, "head");
    state_u8(s, "c", &x->c);
    state_u8(s, "h", &x->h);
    state_u8(s, "r", &x->r);
    state_u8(s, "n", &x->n);
    state_u8(s, "eot", &x->eot);
    state_u8(s, "last", &x->last);
    state_bool(s, "multi_track", &x->multi_track);
    state_bool(s, "mfm", &x->mfm);
    state_bool(s, "skip", &x->skip);
    state_bool(s, "count_sectors", &x->count_sectors);
    state_bool(s, "no_dma", &x->no_dma);
    state_bool(s, "host_turn", &x->host_turn);
    state_bool(s, "scan_equal", &x->scan_equal);
    state_u8(s, "left", &x->left);
    state_u32(s, "pos", &x->pos);
    state_u32(s, "len", &x->len);
    state_check(s, x->len <= sizeof f->buf && x->pos <= x->len, "len");
    state_check(s, !x->host_turn || (f->phase == FDC_EXECUTION && x->pos < x->len), "host_turn");
    state_bytes(s, "buffer", f->buf, sizeof f->buf);
    if (!s->err.msg[0])
        x->op = (enum fdc_op)op;
}

static void fdc_state(struct device *dev, struct state *s)
{
    struct fdc *f = from_dev(dev);
    uint8_t phase = (uint8_t)f->phase, pos = (uint8_t)f->pos, len = (uint8_t)f->len;
    assert(!f->in_flight && "drained by the owner");
    state_begin(s, "fdc", 1);
    state_u8(s, "dor", &f->dor);
    state_u8(s, "tdr", &f->tdr);
    state_u8(s, "rate", &f->rate);
    state_bytes(s, "specify", f->specify, sizeof f->specify);
    state_u8(s, "config", &f->config);
    state_u8(s, "precomp", &f->precomp);
    state_u8(s, "perpendicular", &f->perpendicular);
    state_u8(s, "eot", &f->eot);
    state_bool(s, "locked", &f->locked);
    state_u8(s, "phase", &phase);
    state_check(s, phase < FDC_PHASES, "phase");
    state_bytes(s, "fifo", f->fifo, sizeof f->fifo);
    state_u8(s, "fifo_pos", &pos);
    state_u8(s, "fifo_len", &len);
    state_check(s, len <= FDC_FIFO_MAX && pos <= len, "fifo_pos");
    state_check(s, phase == FDC_EXECUTION || pos < len || (phase == FDC_COMMAND && !len),
                "fifo_len");
    state_bool(s, "interrupt", &f->interrupt);
    state_u8(s, "reset_sense", &f->reset_sense);
    state_check(s, f->reset_sense <= FDC_SELECTS, "reset_sense");
    state_event(s, "work", f->events, &f->work);
    state_bool(s, "resetting", &f->resetting);
    if (!s->err.msg[0]) {
        f->phase = (enum fdc_phase)phase;
        f->pos = pos;
        f->len = len;
    }
    transfer_state(s, f);
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        drive_state(s, f, &f->drive[i]);
    state_end(s);
}

static void fdc_loaded(struct device *dev)
{
    struct fdc *f = from_dev(dev);
    f->irq_level = irq_wanted(f);
}

static void fdc_destroy(struct device *dev)
{
    struct fdc *f = from_dev(dev);
    fdc_abort(f);
    for (unsigned i = 0; i < FDC_SELECTS; i++)
        event_cancel(f->events, &f->drive[i].seek);
    free(f);
}

static const struct device_ops fdc_ops = {
    .reset = fdc_reset,
    .reset_lines = fdc_reset_lines,
    .state = fdc_state,
    .loaded = fdc_loaded,
    .destroy = fdc_destroy,
};

struct device *fdc_device(struct fdc *f)
{
    return &f->dev;
}

struct fdc *fdc_create(const struct fdc_wiring *wiring)
{
    struct fdc *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->dev = (struct device){.name = "fdc", .ops = &fdc_ops};
    f->events = wiring->events;
    f->log = wiring->log;
    f->irq = wiring->irq;
    f->dma = wiring->dma;
    event_init(&f->work, "fdc.work", work_due, f);
    for (unsigned i = 0; i < FDC_SELECTS; i++) {
        struct fdc_drive *d = &f->drive[i];
        d->fdc = f;
        d->number = i;
        event_init(&d->seek, "fdc.seek", fdc_seek_done, d);
        if (i >= FDC_DRIVES)
            continue;
        d->type = wiring->drive[i].type;
        set_disk(d, wiring->drive[i].blk);
    }
    f->low_io = (struct io_region){.name = "fdc", .ops = &low_ops, .opaque = f};
    f->high_io = (struct io_region){.name = "fdc-dir", .ops = &high_ops, .opaque = f};
    iomap_add(wiring->io, &f->low_io, 0x3F2, 4);
    iomap_add(wiring->io, &f->high_io, 0x3F7, 1);
    fdc_reset(&f->dev, RESET_POWER_ON);
    return f;
}
