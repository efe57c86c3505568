/*
 * Execution of the commands that move data (DS "Data Transfer Commands"): sector by sector, each
 * after its time has come, between the image and the DMA channel or, without DMA, the host at the
 * data register.
 *
 *      work event --> find the sector --+--> image read --> to the host --+--> next sector: work
 * event
 *                                       '--> from the host --> image written --'--> results
 *
 * Terminal count ends a command well; the end of the cylinder without it is an error, which is how
 * every transfer without DMA ends on a PC.
 */
#include "devices/fdc_internal.h"

#define SIZE_CODE 2 /* N: 128 << 2 bytes a sector */

/* ------------------------------------------------------------------ the end */

static void set_dreq(struct fdc *f, int level)
{
    dma8237_set_dreq(f->dma, FDC_DMA, level);
}

static void finish(struct fdc *f, uint8_t st0, uint8_t st1, uint8_t st2)
{
    const struct fdc_transfer *x = &f->x;
    const uint8_t results[7] = {
        (uint8_t)(st0 | x->head << 2 | x->drive), st1, st2, x->c, x->h, x->r, x->n};
    f->x.host_turn = false;
    set_dreq(f, 0);
    fdc_results(f, results, sizeof results, true);
}

static void fail(struct fdc *f, uint8_t st1, uint8_t st2)
{
    finish(f, ST0_ABNORMAL, st1, st2);
}

void fdc_abort(struct fdc *f)
{
    event_cancel(f->events, &f->work);
    f->resetting = false;
    f->x.host_turn = false;
    if (f->in_flight) {
        f->aborting = true;
        blk_drain(f->drive[f->x.drive].blk);
        f->aborting = false;
    }
    assert(!f->in_flight);
    set_dreq(f, 0);
}

static void wait(struct fdc *f, int64_t ns)
{
    event_arm(f->events, &f->work, event_now(f->events) + ns);
}

/* ------------------------------------------------------------------ where a sector is */

static bool writes(enum fdc_op op)
{
    return op == OP_WRITE || op == OP_WRITE_DELETED || op == OP_FORMAT;
}

static bool scans(enum fdc_op op)
{
    return op >= OP_SCAN_EQUAL && op <= OP_SCAN_HIGH;
}

/* The track below the head can be read: disk, motor, density and recording are right. */
static bool track_found(const struct fdc *f, uint8_t *track)
{
    const struct fdc_transfer *x = &f->x;
    const struct fdc_drive *d = &f->drive[x->drive];
    if (!d->blk || !(f->dor & (DOR_MOTOR_0 << x->drive)) || !x->mfm)
        return false;
    *track = d->cylinder / floppy_steps(d->format, d->type);
    return f->rate == floppy_rate(d->format, d->type) && x->head < d->format->heads &&
           *track < d->format->cylinders;
}

/* False, and the command failed: no ID on the track is the one that was asked for. */
static bool sector_found(struct fdc *f, uint64_t *offset)
{
    const struct fdc_transfer *x = &f->x;
    const struct floppy_format *format = f->drive[x->drive].format;
    uint8_t track;
    if (!track_found(f, &track)) {
        fail(f, ST1_MISSING_ADDRESS, 0);
        return false;
    }
    if (x->c != track) {
        fail(f, ST1_NO_DATA,
             x->c == 0xFF ? ST2_BAD_CYLINDER | ST2_WRONG_CYLINDER : ST2_WRONG_CYLINDER);
        return false;
    }
    if (x->h != x->head || x->n != SIZE_CODE || x->r < 1 || x->r > format->per_track) {
        fail(f, ST1_NO_DATA, 0);
        return false;
    }
    const uint32_t index =
        ((uint32_t)track * format->heads + x->head) * format->per_track + x->r - 1;
    *offset = (uint64_t)index * FLOPPY_SECTOR;
    return true;
}

/* An image that ends before the disk does: its rest reads as zeros and cannot be written. */
static bool in_image(const struct fdc *f, uint64_t offset)
{
    return offset + FLOPPY_SECTOR <= f->drive[f->x.drive].blk->size_bytes;
}

static bool protected(const struct fdc *f, uint64_t offset)
{
    return f->drive[f->x.drive].blk->readonly || !in_image(f, offset);
}

/* ------------------------------------------------------------------ from sector to sector */

/*
 * The registers name the sector behind (DS "Result Phase Table"): after the last one of the
 * cylinder that is sector 1, with MT of the other side, else of the next cylinder. False: the end.
 */
static bool advance(struct fdc_transfer *x)
{
    const uint8_t step = scans(x->op) ? MAX(x->last, 1) : 1;
    if (x->r != x->eot && (!scans(x->op) || x->r + step <= x->eot)) {
        x->r = (uint8_t)(x->r + step);
        return true;
    }
    x->r = 1;
    if (x->multi_track) {
        x->h ^= 1;
        if (x->head == 0) {
            x->head = 1;
            return true;
        }
    }
    x->c++;
    return false;
}

/* A sector is through. tc: the DMA controller has had enough. */
static void sector_done(struct fdc *f, bool tc, uint8_t st2)
{
    struct fdc_transfer *x = &f->x;
    const bool counted = x->left && --x->left == 0;
    const bool quiet_end = x->op == OP_VERIFY || scans(x->op);
    const bool more = advance(x);
    if (tc || counted || (st2 & ST2_CONTROL_MARK && !x->skip))
        finish(f, 0, 0, st2);
    else if (more)
        wait(f, FDC_SECTOR_NS);
    else if (quiet_end)
        finish(f, 0, 0, st2);
    else
        fail(f, ST1_END_OF_CYLINDER, st2);
}

/* DS "Scan Commands": FFh from the host is equal to everything. */
static void compare(struct fdc *f, const uint8_t *host, bool tc)
{
    struct fdc_transfer *x = &f->x;
    bool equal = true, low = true, high = true;
    for (unsigned i = 0; i < FLOPPY_SECTOR; i++) {
        if (host[i] == 0xFF || f->buf[i] == host[i])
            continue;
        equal = false;
        low &= f->buf[i] < host[i];
        high &= f->buf[i] > host[i];
    }
    const bool hit = equal || (x->op == OP_SCAN_LOW && low) || (x->op == OP_SCAN_HIGH && high);
    if (hit) {
        advance(x);
        finish(f, 0, 0, equal ? ST2_SCAN_EQUAL : 0);
    } else {
        sector_done(f, tc, ST2_SCAN_FAILED);
    }
}

/* ------------------------------------------------------------------ the host's side */

static bool dma_allowed(const struct fdc *f)
{
    return f->dor & DOR_DMA_GATE;
}

/* Bytes moved by DMA; less than len only with *tc, else the command failed. */
static bool dma(struct fdc *f, void *buf, size_t len, bool to_memory, bool *tc)
{
    *tc = false;
    set_dreq(f, 1);
    const size_t n =
        dma_allowed(f) ? dma8237_transfer(f->dma, FDC_DMA, buf, len, to_memory, tc) : 0;
    if (n == len || *tc)
        return true;
    log_guest(f->log, "fdc: DMA channel 2 is not ready");
    fail(f, ST1_OVERRUN, 0);
    return false;
}

/* Without DMA: an interrupt for every byte. */
static void host_turn(struct fdc *f, uint32_t len)
{
    struct fdc_transfer *x = &f->x;
    x->host_turn = true;
    x->pos = 0;
    x->len = len;
    f->interrupt = true;
    fdc_update_irq(f);
}

static void next_byte(struct fdc *f)
{
    f->interrupt = false;
    fdc_update_irq(f);
    f->interrupt = f->x.host_turn;
    fdc_update_irq(f);
}

static void sector_in_buffer(struct fdc *f)
{
    const uint8_t st2 = f->x.op == OP_READ_DELETED ? ST2_CONTROL_MARK : 0;
    bool tc;
    if (f->x.op == OP_VERIFY) {
        sector_done(f, false, 0);
    } else if (scans(f->x.op)) {
        uint8_t host[FLOPPY_SECTOR] = {0};
        if (f->x.no_dma) /* the byte stream of a scan without DMA has nobody on a PC */
            fail(f, ST1_OVERRUN, 0);
        else if (dma(f, host, sizeof host, false, &tc))
            compare(f, host, tc);
    } else if (f->x.no_dma) {
        host_turn(f, FLOPPY_SECTOR);
    } else if (dma(f, f->buf, FLOPPY_SECTOR, true, &tc)) {
        sector_done(f, tc, st2);
    }
}

uint8_t fdc_data_read(struct fdc *f)
{
    struct fdc_transfer *x = &f->x;
    const uint8_t v = f->buf[x->pos++];
    if (x->pos == x->len)
        x->host_turn = false;
    next_byte(f);
    if (!x->host_turn)
        sector_done(f, false, x->op == OP_READ_DELETED ? ST2_CONTROL_MARK : 0);
    return v;
}

/* ------------------------------------------------------------------ the image's side */

static void image_done(struct blk_request *req)
{
    struct fdc *f = req->opaque;
    f->in_flight = false;
    if (f->aborting)
        return;
    if (req->status)
        fail(f, ST1_DATA_ERROR, ST2_DATA_ERROR);
    else if (req->op == BLK_READ)
        sector_in_buffer(f);
    else
        sector_done(f, f->x.pos == 1, 0);
}

static void ask_image(struct fdc *f, enum blk_op op, uint64_t offset)
{
    f->iov = (struct iovec){f->buf, FLOPPY_SECTOR};
    f->request = (struct blk_request){.op = op,
                                      .offset_bytes = offset,
                                      .iov = &f->iov,
                                      .iov_len = 1,
                                      .done = image_done,
                                      .opaque = f};
    f->in_flight = true;
    blk_submit(f->drive[f->x.drive].blk, &f->request);
}

static void read_sector(struct fdc *f, uint64_t offset)
{
    if (in_image(f, offset)) {
        ask_image(f, BLK_READ, offset);
        return;
    }
    memset(f->buf, 0, sizeof f->buf);
    sector_in_buffer(f);
}

/* buf is full, or filled up with zeros behind a terminal count, which is kept in x.pos. */
static void write_sector(struct fdc *f, bool tc)
{
    uint64_t offset;
    if (!sector_found(f, &offset)) /* the disk may have gone meanwhile */
        return;
    if (protected(f, offset)) {
        fail(f, ST1_NOT_WRITABLE, 0);
        return;
    }
    f->x.pos = tc;
    f->x.len = FLOPPY_SECTOR;
    ask_image(f, BLK_WRITE, offset);
}

static void take_sector(struct fdc *f)
{
    bool tc;
    memset(f->buf, 0, sizeof f->buf);
    if (f->x.no_dma)
        host_turn(f, FLOPPY_SECTOR);
    else if (dma(f, f->buf, FLOPPY_SECTOR, false, &tc))
        write_sector(f, tc);
}

/* ------------------------------------------------------------------ FORMAT TRACK */

/* The host has given cylinder, head, sector and size of an ID: that sector gets the filler. */
static void format_sector(struct fdc *f, bool tc)
{
    struct fdc_transfer *x = &f->x;
    x->c = f->buf[0];
    x->h = f->buf[1];
    x->r = f->buf[2];
    x->n = f->buf[3];
    uint64_t offset;
    if (!sector_found(f, &offset)) {
        log_unimp(f->log, "fdc: an image cannot hold sectors other than those of its format");
        return;
    }
    memset(f->buf, x->last, sizeof f->buf);
    write_sector(f, tc);
}

static void take_id(struct fdc *f)
{
    bool tc;
    memset(f->buf, 0, sizeof f->buf);
    if (f->x.no_dma)
        host_turn(f, 4);
    else if (dma(f, f->buf, 4, false, &tc))
        format_sector(f, tc);
}

void fdc_data_write(struct fdc *f, uint8_t value)
{
    struct fdc_transfer *x = &f->x;
    f->buf[x->pos++] = value;
    if (x->pos == x->len)
        x->host_turn = false;
    next_byte(f);
    if (x->host_turn)
        return;
    if (x->op == OP_FORMAT)
        format_sector(f, false);
    else
        write_sector(f, false);
}

/* ------------------------------------------------------------------ work */

/* The ID that passes below the head just now. */
static void read_id(struct fdc *f)
{
    struct fdc_transfer *x = &f->x;
    uint8_t track;
    if (!track_found(f, &track)) {
        fail(f, ST1_MISSING_ADDRESS, 0);
        return;
    }
    const uint8_t per_track = f->drive[x->drive].format->per_track;
    x->c = track;
    x->h = x->head;
    x->r = (uint8_t)(event_now(f->events) / FDC_SECTOR_NS % per_track + 1);
    x->n = SIZE_CODE;
    finish(f, 0, 0, 0);
}

/* DS "Skip": READ DELETED DATA with SK passes over what is not deleted, that is, over all. */
static bool skipped(struct fdc *f)
{
    if (f->x.op != OP_READ_DELETED || !f->x.skip)
        return false;
    if (advance(&f->x))
        wait(f, FDC_SECTOR_NS);
    else
        fail(f, ST1_END_OF_CYLINDER, ST2_CONTROL_MARK);
    return true;
}

void fdc_work(struct fdc *f)
{
    const enum fdc_op op = f->x.op;
    uint64_t offset;
    uint8_t track;
    if (f->phase != FDC_EXECUTION || f->in_flight || f->x.host_turn)
        return; /* only a made-up saved state brings that */
    if (op == OP_READ_ID) {
        read_id(f);
    } else if (op == OP_FORMAT) {
        if (!track_found(f, &track))
            fail(f, ST1_MISSING_ADDRESS, 0);
        else if (f->drive[f->x.drive].blk->readonly)
            fail(f, ST1_NOT_WRITABLE, 0);
        else
            take_id(f);
    } else if (sector_found(f, &offset) && !skipped(f)) {
        if (!writes(op))
            read_sector(f, offset);
        else if (protected(f, offset))
            fail(f, ST1_NOT_WRITABLE, 0);
        else
            take_sector(f);
    }
}

/* With implied seeks the heads go to the cylinder of the command first. */
static int64_t implied_seek(struct fdc *f)
{
    struct fdc_drive *d = &f->drive[f->x.drive];
    if (!(f->config & CONFIG_IMPLIED_SEEK) || f->x.op >= OP_READ_ID || !d->format)
        return 0;
    const unsigned to = MIN(f->x.c * (unsigned)floppy_steps(d->format, d->type), FDC_LAST_CYLINDER);
    const unsigned steps = to > d->cylinder ? to - d->cylinder : d->cylinder - to;
    d->cylinder = (uint8_t)to;
    d->pcn = f->x.c;
    if (steps && d->blk)
        d->changed = false;
    return (int64_t)steps * FDC_STEP_NS;
}

void fdc_start(struct fdc *f, enum fdc_op op)
{
    const uint8_t *c = f->fifo;
    struct fdc_transfer *x = &f->x;
    uint8_t track;
    *x = (struct fdc_transfer){.op = op,
                               .drive = c[1] & DOR_SELECT,
                               .head = c[1] >> 2 & 1,
                               .mfm = c[0] & CMD_MFM,
                               .no_dma = f->specify[1] & SPECIFY_NO_DMA};
    if (op == OP_FORMAT) {
        x->n = c[2];
        x->left = c[3];
        x->last = c[5]; /* the filler */
        f->eot = c[3];
    } else if (op != OP_READ_ID) {
        x->c = c[2];
        x->h = c[3];
        x->r = op == OP_READ_TRACK ? 1 : c[4];
        x->n = c[5];
        x->eot = f->eot = c[6];
        x->last = c[8];
        x->multi_track = (c[0] & CMD_MT) && op != OP_READ_TRACK;
        x->skip = c[0] & CMD_SK;
        if (op == OP_VERIFY && (c[1] & BIT(7))) /* EC: as many as SC says */
            x->left = c[8];
    }
    if (op == OP_WRITE_DELETED)
        log_unimp(f->log,
                  "fdc: deleted data address marks: the sectors are written as normal ones");
    f->phase = FDC_EXECUTION;
    f->pos = f->len = 0;
    const int64_t seek_ns = implied_seek(f);
    wait(f, seek_ns + (track_found(f, &track) ? FDC_SECTOR_NS : FDC_INDEX_NS));
}
