/*
 * ATA commands (ACS-3 §7 "Command descriptions"; for those gone from it ATA/ATAPI-4 and -7) and the
 * movement of sectors between disk, buffer and guest (ATA/ATAPI-7 volume 2 "PIO data-in command
 * protocol", "PIO data-out command protocol", "DMA command protocol").
 *
 *                     .------ next chunk ------.            .-------- next chunk --------.
 *                     v                        |            v                            |
 *      PIO in   DISK (read) --> PIO_IN, a DRQ block at a time, each with INTRQ --> IDLE
 *      PIO out  PIO_OUT, a DRQ block at a time --> DISK (write) --> INTRQ --> IDLE
 *      DMA      DMA_WAIT (bus master on) --> DISK (read or write) --> INTRQ --> IDLE
 */
#include "devices/ide_internal.h"

typedef void command_fn(struct ide_drive *d, uint8_t opcode);

static void disk_done(struct blk_request *req);

/* ------------------------------------------------------------------ outcomes */

void ide_end_transfer(struct ide_channel *ch)
{
    ch->transfer = (struct ide_transfer){.drive = ch->transfer.drive, .block_sectors = 1};
}

static void succeed(struct ide_drive *d)
{
    ide_end_transfer(d->channel);
    d->status = ST_READY;
    d->error = 0;
    ide_raise(d);
}

void ide_command_failed(struct ide_drive *d, uint8_t error)
{
    ide_end_transfer(d->channel);
    d->status = ST_READY | ST_ERR;
    d->error = error;
    ide_raise(d);
}

/* ------------------------------------------------------------------ addresses */

static bool is_lba(const struct ide_drive *d)
{
    return d->device & DEV_LBA;
}

/* The address of sector lba, in the form the command was given in. */
static void put_address(struct ide_drive *d, uint64_t lba, bool ext)
{
    uint8_t head;
    if (ext) {
        for (unsigned i = 0; i < 3; i++)
            d->lba[i] =
                (struct ide_fifo){(uint8_t)(lba >> (8 * i)), (uint8_t)(lba >> (24 + 8 * i))};
        return;
    }
    if (is_lba(d)) {
        for (unsigned i = 0; i < 3; i++)
            d->lba[i].now = (uint8_t)(lba >> (8 * i));
        head = (lba >> 24) & DEV_HEAD;
    } else {
        const uint64_t track = lba / d->sectors;
        const uint64_t cylinder = track / d->heads;
        d->lba[0].now = (uint8_t)(lba % d->sectors + 1);
        d->lba[1].now = (uint8_t)cylinder;
        d->lba[2].now = (uint8_t)(cylinder >> 8);
        head = (uint8_t)(track % d->heads);
    }
    d->device = (uint8_t)((d->device & ~DEV_HEAD) | head);
}

static void put_count(struct ide_drive *d, uint32_t count)
{
    d->count = (struct ide_fifo){(uint8_t)count, (uint8_t)(count >> 8)};
}

/* False: such a cylinder, head and sector does not exist. */
static bool get_address(const struct ide_drive *d, bool ext, uint64_t *lba)
{
    const struct ide_fifo *r = d->lba;
    *lba = (uint64_t)(r[0].now | r[1].now << 8 | r[2].now << 16);
    if (ext) {
        *lba |=
            (uint64_t)r[0].before << 24 | (uint64_t)r[1].before << 32 | (uint64_t)r[2].before << 40;
        return true;
    }
    const uint8_t head = d->device & DEV_HEAD;
    if (is_lba(d)) {
        *lba |= (uint64_t)head << 24;
        return true;
    }
    const uint64_t cylinder = (uint64_t)(r[1].now | r[2].now << 8);
    *lba = (cylinder * d->heads + head) * d->sectors + r[0].now - 1u;
    return r[0].now >= 1 && r[0].now <= d->sectors && head < d->heads;
}

static uint32_t get_count(const struct ide_drive *d, bool ext)
{
    if (ext) {
        const uint32_t n = (uint32_t)(d->count.now | d->count.before << 8);
        return n ? n : 65536;
    }
    return d->count.now ? d->count.now : 256;
}

/* ------------------------------------------------------------------ the disk */

void ide_ask_blk(struct ide_drive *d, enum blk_op op, uint64_t offset, size_t bytes,
                 void (*done)(struct blk_request *req))
{
    struct ide_channel *ch = d->channel;
    assert(!ch->in_flight && bytes <= sizeof ch->buf);
    ch->transfer.phase = PHASE_DISK;
    ch->transfer.drive = d;
    d->status = ST_BSY;
    ch->iov = (struct iovec){ch->buf, bytes};
    ch->request = (struct blk_request){.op = op,
                                       .offset_bytes = offset,
                                       .iov = &ch->iov,
                                       .iov_len = bytes ? 1 : 0,
                                       .done = done,
                                       .opaque = ch};
    ch->in_flight = true;
    blk_submit(d->blk, &ch->request);
}

/* sectors: 0 for a flush. */
static void ask_disk(struct ide_drive *d, enum blk_op op, uint32_t sectors)
{
    const uint64_t offset = sectors ? d->channel->transfer.lba * IDE_SECTOR : 0;
    ide_ask_blk(d, op, offset, (size_t)sectors * IDE_SECTOR, disk_done);
}

void ide_abort_transfer(struct ide_channel *ch)
{
    if (ch->in_flight) {
        ch->aborting = true;
        blk_drain(ch->transfer.drive->blk);
        ch->aborting = false;
    }
    assert(!ch->in_flight);
    ide_end_transfer(ch);
}

static void start_chunk(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    t->chunk = MIN(t->left, IDE_BUF_SECTORS);
}

/* ------------------------------------------------------------------ PIO */

/* The next DRQ block of buf is the host's. */
static void offer_block(struct ide_channel *ch, enum ide_phase phase, bool interrupt)
{
    struct ide_transfer *t = &ch->transfer;
    t->phase = phase;
    t->block_end = MIN(t->pos + t->block_sectors * IDE_SECTOR, t->len);
    t->drive->status = ST_READY | ST_DRQ;
    t->drive->error = 0;
    if (interrupt)
        ide_raise(t->drive);
}

static void offer_chunk_out(struct ide_channel *ch, bool interrupt)
{
    struct ide_transfer *t = &ch->transfer;
    start_chunk(ch);
    t->pos = 0;
    t->len = t->chunk * IDE_SECTOR;
    offer_block(ch, PHASE_PIO_OUT, interrupt);
}

/* All sectors are where they belong: the registers name the last one (ATA-2 "READ SECTOR(S)"). */
static void transfer_done(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    put_count(t->drive, 0);
    put_address(t->drive, t->lba - 1, t->ext);
}

static void advance(struct ide_transfer *t)
{
    t->lba += t->chunk;
    t->left -= t->chunk;
    t->chunk = 0;
}

void ide_block_done(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    struct ide_drive *d = t->drive;
    if (t->packet) {
        atapi_block_done(ch);
    } else if (t->pos < t->len) {
        offer_block(ch, t->phase, true);
    } else if (t->phase == PHASE_PIO_OUT) {
        ask_disk(d, BLK_WRITE, t->chunk);
    } else {
        advance(t);
        if (t->left) {
            start_chunk(ch);
            ask_disk(d, BLK_READ, t->chunk);
            return;
        }
        /* The interrupts announced the blocks: none tells that the last one was taken. */
        if (t->kind == KIND_READ)
            transfer_done(ch);
        ide_end_transfer(ch);
        d->status = ST_READY;
    }
}

/* 512 bytes that are no sector: IDENTIFY data. */
static void offer_data(struct ide_drive *d)
{
    struct ide_channel *ch = d->channel;
    ch->transfer =
        (struct ide_transfer){.kind = KIND_NONE, .drive = d, .block_sectors = 1, .len = IDE_SECTOR};
    offer_block(ch, PHASE_PIO_IN, true);
}

/* ------------------------------------------------------------------ DMA */

static void dma_done(struct ide_channel *ch)
{
    struct ide_drive *d = ch->transfer.drive;
    transfer_done(ch);
    ide_dma_finish(ch);
    succeed(d);
}

static void dma_wait(struct ide_channel *ch)
{
    ch->transfer.phase = PHASE_DMA_WAIT;
    ch->transfer.drive->status = ST_READY | ST_DRQ;
}

/* The bus master runs and has its table; if that cannot be read the command fails. */
static bool dma_ready(struct ide_channel *ch)
{
    if (!ide_dma_active(ch))
        return false;
    if (ide_dma_load(ch))
        return true;
    ide_command_failed(ch->transfer.drive, ER_ABRT);
    return false;
}

void ide_dma_continue(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    if (t->phase != PHASE_DMA_WAIT)
        return;
    if (t->packet) {
        atapi_dma_continue(ch);
        return;
    }
    if (!dma_ready(ch))
        return;
    start_chunk(ch);
    if (t->kind == KIND_READ)
        ask_disk(t->drive, BLK_READ, t->chunk);
    else
        switch (ide_dma_move(ch, false, t->chunk * IDE_SECTOR)) {
        case IDE_DMA_MOVED:
            ask_disk(t->drive, BLK_WRITE, t->chunk);
            break;
        case IDE_DMA_SHORT: /* it waits */
            break;
        case IDE_DMA_FAILED:
            ide_command_failed(t->drive, ER_ABRT);
            break;
        }
}

/* ------------------------------------------------------------------ what the disk answers */

static void disk_failed(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    struct ide_drive *d = t->drive;
    uint8_t error = ER_ABRT;
    if (ch->request.op != BLK_FLUSH) {
        put_address(d, t->lba, t->ext);
        put_count(d, t->left);
    }
    if (ch->request.op == BLK_READ)
        error = ER_UNC;
    if (t->dma)
        ide_dma_finish(ch);
    ide_command_failed(d, error);
}

static void disk_read(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    if (t->kind == KIND_VERIFY) {
        advance(t);
        if (t->left) {
            start_chunk(ch);
            ask_disk(t->drive, BLK_READ, t->chunk);
            return;
        }
        transfer_done(ch);
        succeed(t->drive);
    } else if (!t->dma) {
        t->pos = 0;
        t->len = t->chunk * IDE_SECTOR;
        offer_block(ch, PHASE_PIO_IN, true);
    } else {
        dma_wait(ch);
        /* The bus master was stopped meanwhile, or the regions were too short: still waiting. If it
         * was started again, it has its regions to read again. */
        if (!dma_ready(ch) || ide_dma_move(ch, true, t->chunk * IDE_SECTOR) != IDE_DMA_MOVED)
            return;
        advance(t);
        if (t->left)
            ide_dma_continue(ch);
        else
            dma_done(ch);
    }
}

static void disk_written(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    advance(t);
    if (t->left && t->dma) {
        dma_wait(ch);
        ide_dma_continue(ch);
    } else if (t->left) {
        offer_chunk_out(ch, true);
    } else if (t->flush_after) {
        t->flush_after = false;
        ask_disk(t->drive, BLK_FLUSH, 0);
    } else if (t->dma) {
        dma_done(ch);
    } else {
        transfer_done(ch);
        succeed(t->drive);
    }
}

/* From the block layer, under the machine's lock. */
static void disk_done(struct blk_request *req)
{
    struct ide_channel *ch = req->opaque;
    struct ide_transfer *t = &ch->transfer;
    ch->in_flight = false;
    if (ch->aborting)
        return;
    if (req->status)
        disk_failed(ch);
    else if (req->op == BLK_READ)
        disk_read(ch);
    else if (req->op == BLK_WRITE || t->kind == KIND_WRITE)
        disk_written(ch);
    else
        succeed(t->drive); /* FLUSH CACHE */
}

/* ------------------------------------------------------------------ commands that move sectors */

/* What the opcode says about a transfer. */
struct transfer_op {
    uint8_t opcode;
    enum ide_kind kind;
    bool dma, ext, multiple, fua;
};

static const struct transfer_op transfer_ops[] = {
    {.opcode = 0x20, .kind = KIND_READ}, /* READ SECTOR(S) */
    {.opcode = 0x21, .kind = KIND_READ}, /* without retries */
    {.opcode = 0x24, .kind = KIND_READ, .ext = true},
    {.opcode = 0x25, .kind = KIND_READ, .dma = true, .ext = true},
    {.opcode = 0x29, .kind = KIND_READ, .ext = true, .multiple = true},
    {.opcode = 0x30, .kind = KIND_WRITE}, /* WRITE SECTOR(S) */
    {.opcode = 0x31, .kind = KIND_WRITE},
    {.opcode = 0x34, .kind = KIND_WRITE, .ext = true},
    {.opcode = 0x35, .kind = KIND_WRITE, .dma = true, .ext = true},
    {.opcode = 0x39, .kind = KIND_WRITE, .ext = true, .multiple = true},
    {.opcode = 0x3D, .kind = KIND_WRITE, .dma = true, .ext = true, .fua = true},
    {.opcode = 0x40, .kind = KIND_VERIFY}, /* READ VERIFY SECTOR(S) */
    {.opcode = 0x41, .kind = KIND_VERIFY},
    {.opcode = 0x42, .kind = KIND_VERIFY, .ext = true},
    {.opcode = 0xC4, .kind = KIND_READ, .multiple = true},
    {.opcode = 0xC5, .kind = KIND_WRITE, .multiple = true},
    {.opcode = 0xC8, .kind = KIND_READ, .dma = true}, /* READ DMA */
    {.opcode = 0xC9, .kind = KIND_READ, .dma = true},
    {.opcode = 0xCA, .kind = KIND_WRITE, .dma = true},
    {.opcode = 0xCB, .kind = KIND_WRITE, .dma = true},
    {.opcode = 0xCE, .kind = KIND_WRITE, .ext = true, .multiple = true, .fua = true},
};

static const struct transfer_op *find_transfer(uint8_t opcode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(transfer_ops); i++)
        if (transfer_ops[i].opcode == opcode)
            return &transfer_ops[i];
    return NULL;
}

/* False, and the command failed: no such sectors. */
static bool locate(struct ide_drive *d, const struct transfer_op *op, struct ide_transfer *t)
{
    const uint64_t total = ide_sectors(d);
    const bool exists = get_address(d, op->ext, &t->lba);
    t->left = get_count(d, op->ext);
    if (exists && t->lba < total && t->left <= total - t->lba)
        return true;
    if (exists && t->lba < total) { /* the first that is not there */
        put_count(d, (uint32_t)(t->left - (total - t->lba)));
        put_address(d, total, op->ext);
    }
    log_guest(d->channel->ide->log, "ide%u: command %02xh beyond the end of the disk", d->number,
              op->opcode);
    ide_command_failed(d, ER_IDNF);
    return false;
}

static bool may_transfer(const struct ide_drive *d, const struct transfer_op *op)
{
    if (op->multiple && !d->multiple) /* SET MULTIPLE MODE comes first */
        return false;
    if (op->kind != KIND_WRITE || !d->blk->readonly)
        return true;
    log_guest(d->channel->ide->log, "ide%u: write to a read-only disk", d->number);
    return false;
}

static void start_transfer(struct ide_drive *d, uint8_t opcode)
{
    const struct transfer_op *op = find_transfer(opcode);
    struct ide_channel *ch = d->channel;
    struct ide_transfer t = {.kind = op->kind, .drive = d, .dma = op->dma, .ext = op->ext};
    if (!may_transfer(d, op)) {
        ide_command_failed(d, ER_ABRT);
        return;
    }
    if (!locate(d, op, &t))
        return;
    t.block_sectors = op->multiple ? d->multiple : 1;
    t.flush_after = op->kind == KIND_WRITE && (op->fua || !d->write_cache);
    ch->transfer = t;
    d->standby = false;
    if (t.dma) {
        dma_wait(ch);
        ide_dma_continue(ch);
    } else if (t.kind == KIND_WRITE) {
        offer_chunk_out(ch, false);
    } else {
        start_chunk(ch);
        ask_disk(d, BLK_READ, ch->transfer.chunk);
    }
}

/* ------------------------------------------------------------------ other commands */

/* NOP: aborts by definition. */
static void nop(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    ide_command_failed(d, ER_ABRT);
}

static void seek(struct ide_drive *d, uint8_t opcode)
{
    uint64_t lba;
    (void)opcode;
    if (get_address(d, false, &lba) && lba < ide_sectors(d))
        succeed(d);
    else
        ide_command_failed(d, ER_IDNF);
}

/* RECALIBRATE: to cylinder 0. */
static void recalibrate(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    d->lba[1].now = d->lba[2].now = 0;
    succeed(d);
}

/* EXECUTE DEVICE DIAGNOSTIC: both drives, whichever is selected. */
static void diagnose(struct ide_drive *d, uint8_t opcode)
{
    struct ide_channel *ch = d->channel;
    (void)opcode;
    ch->selected = 0;
    for (unsigned i = 0; i < 2; i++)
        ide_set_signature(&ch->drive[i]);
    ide_raise(ide_present(&ch->drive[0]) ? &ch->drive[0] : d);
}

/* DEVICE RESET: ends whatever a packet drive is doing. No interrupt. */
void ide_device_reset(struct ide_drive *d)
{
    struct ide_channel *ch = d->channel;
    const uint8_t device = d->device;
    if (ch->transfer.drive == d)
        ide_abort_transfer(ch);
    ide_set_signature(d);
    d->device = device & DEV_DEV;
    d->standby = d->asleep = false;
    atapi_reset(d);
    ide_update_irq(ch);
}

/* INITIALIZE DEVICE PARAMETERS: ATA/ATAPI-5. */
static void set_geometry(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    if (!d->count.now) {
        ide_command_failed(d, ER_ABRT);
        return;
    }
    d->sectors = d->count.now;
    d->heads = (uint8_t)((d->device & DEV_HEAD) + 1);
    succeed(d);
}

static void set_multiple(struct ide_drive *d, uint8_t opcode)
{
    const uint8_t n = d->count.now;
    (void)opcode;
    if (n > IDE_MAX_MULTIPLE || (n & (n - 1))) {
        d->multiple = 0; /* disabled by a bad count */
        ide_command_failed(d, ER_ABRT);
        return;
    }
    d->multiple = n;
    succeed(d);
}

static void identify(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    ide_identify(d, d->channel->buf);
    offer_data(d);
}

static void identify_packet(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    ide_identify_packet(d, d->channel->buf);
    offer_data(d);
}

static void packet(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    atapi_packet(d);
}

/* ATA/ATAPI-7 "IDENTIFY DEVICE", "READ SECTOR(S)": a packet drive tells what it is, and aborts. */
static void show_signature(struct ide_drive *d, uint8_t opcode)
{
    const uint8_t device = d->device;
    (void)opcode;
    ide_set_signature(d);
    d->device = device & DEV_DEV;
    ide_command_failed(d, ER_ABRT);
}

static void flush(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    d->channel->transfer = (struct ide_transfer){.kind = KIND_NONE, .drive = d, .block_sectors = 1};
    ask_disk(d, BLK_FLUSH, 0);
}

static void enter_standby(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    d->standby = true;
    succeed(d);
}

static void enter_idle(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    d->standby = false;
    succeed(d);
}

/* SLEEP: only a reset wakes it. */
static void fall_asleep(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    succeed(d);
    d->asleep = true;
}

static void check_power(struct ide_drive *d, uint8_t opcode)
{
    (void)opcode;
    d->count.now = d->standby ? 0x00 : 0xFF;
    succeed(d);
}

/* READ NATIVE MAX ADDRESS (EXT): the last sector, since nothing is hidden. */
static void read_native_max(struct ide_drive *d, uint8_t opcode)
{
    const uint64_t last = ide_sectors(d) - 1;
    const bool ext = opcode == 0x27;
    if (!is_lba(d)) {
        ide_command_failed(d, ER_ABRT);
        return;
    }
    put_address(d, ext ? last : MIN(last, UINT64_C(0x0FFFFFFF)), ext);
    succeed(d);
}

/* ACS-3 "SET FEATURES", "Set transfer mode". False: not one of ours. */
static bool set_transfer_mode(struct ide_drive *d, uint8_t mode)
{
    const uint8_t n = mode & 7;
    switch (mode >> 3) {
    case 0: /* PIO default */
        return n <= 1;
    case 1: /* PIO with flow control */
        return n <= 4;
    case 4: /* multiword DMA */
        if (n > 2)
            return false;
        d->mwdma = (uint8_t)BIT(n);
        d->udma = 0;
        return true;
    case 8: /* Ultra DMA */
        if (n > 5)
            return false;
        d->udma = (uint8_t)BIT(n);
        d->mwdma = 0;
        return true;
    default:
        return false;
    }
}

static void set_features(struct ide_drive *d, uint8_t opcode)
{
    const uint8_t feature = d->feature.now;
    if (d->kind == IDE_CDROM && feature != 0x03 && feature != 0x66) {
        ide_command_failed(d, ER_ABRT); /* no cache to speak of */
        return;
    }
    switch (feature) {
    case 0x02:
        d->write_cache = true;
        break;
    case 0x03:
        if (!set_transfer_mode(d, d->count.now)) {
            ide_command_failed(d, ER_ABRT);
            return;
        }
        break;
    case 0x55:
        d->look_ahead = false;
        break;
    case 0x66: /* settings survive a software reset: they do anyway */
        break;
    case 0x82: /* what the cache holds is written first */
        d->write_cache = false;
        flush(d, opcode);
        return;
    case 0xAA:
        d->look_ahead = true;
        break;
    default:
        ide_command_failed(d, ER_ABRT);
        return;
    }
    succeed(d);
}

enum { FOR_DISK = BIT(0), FOR_CD = BIT(1), FOR_BOTH = FOR_DISK | FOR_CD };

static const struct command {
    uint8_t first, last, drives;
    command_fn *run;
} commands[] = {
    {0x00, 0x00, FOR_BOTH, nop},
    {0x10, 0x1F, FOR_DISK, recalibrate},
    {0x20, 0x20, FOR_CD, show_signature},
    {0x27, 0x27, FOR_DISK, read_native_max},
    {0x70, 0x7F, FOR_DISK, seek},
    {0x90, 0x90, FOR_BOTH, diagnose},
    {0x91, 0x91, FOR_DISK, set_geometry},
    {0x94, 0x94, FOR_DISK, enter_standby}, /* STANDBY IMMEDIATE */
    {0x95, 0x95, FOR_DISK, enter_idle},    /* IDLE IMMEDIATE */
    {0x96, 0x96, FOR_DISK, enter_standby}, /* STANDBY */
    {0x97, 0x97, FOR_DISK, enter_idle},    /* IDLE */
    {0x98, 0x98, FOR_DISK, check_power},
    {0x99, 0x99, FOR_DISK, fall_asleep},
    {0xA0, 0xA0, FOR_CD, packet},
    {0xA1, 0xA1, FOR_CD, identify_packet},
    {0xC6, 0xC6, FOR_DISK, set_multiple},
    {0xE0, 0xE0, FOR_BOTH, enter_standby},
    {0xE1, 0xE1, FOR_BOTH, enter_idle},
    {0xE2, 0xE2, FOR_DISK, enter_standby},
    {0xE3, 0xE3, FOR_DISK, enter_idle},
    {0xE5, 0xE5, FOR_BOTH, check_power},
    {0xE6, 0xE6, FOR_BOTH, fall_asleep},
    {0xE7, 0xE7, FOR_DISK, flush}, /* FLUSH CACHE */
    {0xEA, 0xEA, FOR_DISK, flush}, /* FLUSH CACHE EXT */
    {0xEC, 0xEC, FOR_DISK, identify},
    {0xEC, 0xEC, FOR_CD, show_signature},
    {0xEF, 0xEF, FOR_BOTH, set_features},
    {0xF8, 0xF8, FOR_DISK, read_native_max},
};

void ide_default_settings(struct ide_drive *d)
{
    d->multiple = IDE_MAX_MULTIPLE; /* or Linux, which does not set it, moves sector by sector */
    d->heads = IDE_DEFAULT_HEADS;
    d->sectors = IDE_DEFAULT_SECTORS;
    d->mwdma = 0;
    d->udma = BIT(5);
    d->write_cache = d->look_ahead = true;
    d->standby = d->asleep = false;
}

void ide_execute(struct ide_drive *d, uint8_t opcode)
{
    const uint8_t drive = d->kind == IDE_CDROM ? FOR_CD : FOR_DISK;
    if (drive == FOR_DISK && find_transfer(opcode)) {
        start_transfer(d, opcode);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (opcode >= commands[i].first && opcode <= commands[i].last &&
            (commands[i].drives & drive)) {
            commands[i].run(d, opcode);
            return;
        }
    }
    /* A disk's IDENTIFY PACKET DEVICE and PACKET among them: so systems tell drives apart. */
    log_guest(d->channel->ide->log, "ide%u: unknown command %02xh", d->number, opcode);
    ide_command_failed(d, ER_ABRT);
}
