/*
 * A CD-ROM drive on an IDE channel, which also takes discs as large as a DVD: the PACKET protocol
 * (ATA/ATAPI-7 volume 2 "PACKET command protocol"), how its commands end, and the tray.
 *
 *      atapi.c            this
 *      atapi_command.c    commands that do something: read, eject, tell events
 *      atapi_info.c       commands that describe drive and disc
 *      cdsector.c         a whole sector around its user data
 *
 *      PACKET --> PIO_OUT, 12 bytes --> command --+--> INTRQ                          (no data)
 *                                                 +--> PIO_IN, a DRQ block at a time  --> INTRQ
 *                                                 +--> DMA_WAIT (bus master on)       --> INTRQ
 *
 * The sector count register is the interrupt reason; LBA mid and high count the bytes of a DRQ
 * block. What is on a disc is one data track of mode 1 in one session, as an ISO image says.
 *
 * Not modelled: audio, sub-channels beyond the position, burning; overlapped commands; rotation and
 * seeking (a block comes as fast as the block layer has it). The drive has no password and no
 * region: DVD key commands are unknown.
 */
#include "devices/atapi.h"

/* ATA/ATAPI-7 volume 1 "Interrupt Reason register". */
enum {
    REASON_COMMAND = BIT(0),
    REASON_TO_HOST = BIT(1),
    REASON_STATUS = REASON_COMMAND | REASON_TO_HOST,
};

/* ATA/ATAPI-7 "PACKET", Features. */
enum { FEATURE_DMA = BIT(0), FEATURE_OVERLAP = BIT(1) };

#define PACKET_BYTES 12

/* ------------------------------------------------------------------ outcomes */

static void end(struct ide_drive *d, uint8_t status, uint8_t error)
{
    struct ide_channel *ch = d->channel;
    if (ch->transfer.dma)
        ide_dma_finish(ch);
    ide_end_transfer(ch);
    d->count.now = REASON_STATUS;
    d->status = status;
    d->error = error;
    ide_raise(d);
}

void atapi_succeed(struct ide_drive *d)
{
    end(d, ST_READY, 0);
}

void atapi_set_sense(struct ide_drive *d, enum atapi_sense sense)
{
    struct atapi *a = &d->atapi;
    a->key = (uint8_t)(sense >> 16);
    a->asc = (uint8_t)(sense >> 8);
    a->ascq = (uint8_t)sense;
    a->info_valid = false;
}

/* CHECK CONDITION: ERR, and the sense key in the error register; ABRT: the command was no good. */
void atapi_fail(struct ide_drive *d, enum atapi_sense sense)
{
    atapi_set_sense(d, sense);
    const uint8_t key = d->atapi.key;
    end(d, ST_READY | ST_ERR, (uint8_t)(key << 4 | (key == 5 || key == 0xB ? ER_ABRT : 0)));
}

/* ------------------------------------------------------------------ data to the host */

/* ATA/ATAPI-7 "Byte Count": what a block holds, at most the limit, odd only at the end. */
static void offer_block(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    struct ide_drive *d = t->drive;
    const uint32_t rest = t->len - t->pos, limit = MAX(t->limit & ~UINT32_C(1), 2);
    const uint32_t block = MIN(rest, limit);
    const uint32_t shown = block - (t->odd && block == rest);
    t->phase = PHASE_PIO_IN;
    t->block_end = t->pos + block;
    d->count.now = REASON_TO_HOST;
    d->lba[1].now = (uint8_t)shown;
    d->lba[2].now = (uint8_t)(shown >> 8);
    d->status = ST_READY | ST_DRQ;
    d->error = 0;
    ide_raise(d);
}

/* buf[0, len) is there. */
static void deliver(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    struct ide_drive *d = t->drive;
    t->pos = 0;
    if (t->dma) {
        t->phase = PHASE_DMA_WAIT;
        d->count.now = REASON_TO_HOST;
        d->status = ST_READY | ST_DRQ;
        atapi_dma_continue(ch);
    } else if (t->limit) {
        offer_block(ch);
    } else {
        log_guest(ch->ide->log, "ide%u: PACKET with a byte count limit of 0", d->number);
        end(d, ST_READY | ST_ERR, ER_ABRT);
    }
}

void atapi_reply(struct ide_drive *d, uint32_t len, uint32_t allocated)
{
    struct ide_channel *ch = d->channel;
    struct ide_transfer *t = &ch->transfer;
    const uint32_t n = MIN(len, allocated);
    assert(len < sizeof ch->buf);
    if (!n) {
        atapi_succeed(d);
        return;
    }
    t->kind = KIND_NONE;
    t->odd = n & 1;
    ch->buf[n] = t->odd ? 0 : ch->buf[n];
    t->len = n + t->odd;
    deliver(ch);
}

/* ------------------------------------------------------------------ reading the disc */

/* User data become the parts that were asked for, the last sector first as they may grow. */
static void shape_sectors(struct ide_channel *ch)
{
    const struct ide_transfer *t = &ch->transfer;
    const uint8_t form = t->drive->atapi.form;
    const uint32_t bytes = cdsector_bytes(form), start = cdsector_start(form);
    uint8_t raw[CD_RAW_BYTES];
    uint8_t(*user)[CD_USER_BYTES] = (void *)ch->buf;
    if (bytes <= CD_USER_BYTES) { /* these shrink */
        for (uint32_t i = 0; i < t->chunk; i++) {
            cdsector_build(raw, (uint32_t)t->lba + i, user[i]);
            memcpy(ch->buf + i * bytes, raw + start, bytes);
        }
        return;
    }
    for (uint32_t i = t->chunk; i-- > 0;) {
        cdsector_build(raw, (uint32_t)t->lba + i, user[i]);
        memcpy(ch->buf + i * bytes, raw + start, bytes);
    }
}

static void sectors_read(struct blk_request *req)
{
    struct ide_channel *ch = req->opaque;
    struct ide_transfer *t = &ch->transfer;
    struct ide_drive *d = t->drive;
    ch->in_flight = false;
    if (ch->aborting)
        return;
    if (req->status) {
        const uint32_t lba = (uint32_t)t->lba;
        atapi_fail(d, SENSE_READ_ERROR);
        d->atapi.info_valid = true;
        d->atapi.info = lba;
        return;
    }
    if (d->atapi.form != CD_USER)
        shape_sectors(ch);
    t->len = t->chunk * cdsector_bytes(d->atapi.form);
    deliver(ch);
}

static void read_on(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    struct ide_drive *d = t->drive;
    if (d->atapi.cut || !d->blk) {
        d->atapi.attention &= (uint8_t)~ATTENTION_DISC; /* told with this */
        atapi_fail(d, SENSE_NEW_DISC);
        return;
    }
    const uint32_t sector = MAX(CD_USER_BYTES, cdsector_bytes(d->atapi.form));
    t->chunk = MIN(t->left, (uint32_t)sizeof ch->buf / sector);
    ide_ask_blk(d, BLK_READ, t->lba * CD_USER_BYTES, (size_t)t->chunk * CD_USER_BYTES,
                sectors_read);
}

void atapi_read(struct ide_drive *d, uint32_t lba, uint32_t blocks, uint8_t parts)
{
    struct ide_transfer *t = &d->channel->transfer;
    assert(blocks && (uint64_t)lba + blocks <= atapi_blocks(d) && cdsector_bytes(parts));
    t->kind = KIND_READ;
    t->lba = lba;
    t->left = blocks;
    d->atapi.form = parts;
    d->atapi.cut = false;
    read_on(d->channel);
}

/* The host has all that buf held. */
static void taken(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    t->lba += t->chunk;
    t->left -= t->chunk;
    t->chunk = 0;
    if (t->left)
        read_on(ch);
    else
        atapi_succeed(t->drive);
}

void atapi_dma_continue(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    if (t->phase != PHASE_DMA_WAIT || !ide_dma_active(ch))
        return;
    if (!ide_dma_load(ch))
        atapi_fail(t->drive, SENSE_NO_TRANSFER);
    else if (ide_dma_move(ch, true, t->len) == IDE_DMA_MOVED)
        taken(ch); /* else the regions were too short: it waits */
}

/* ------------------------------------------------------------------ PACKET */

void atapi_packet(struct ide_drive *d)
{
    struct ide_channel *ch = d->channel;
    const uint8_t feature = d->feature.now;
    if (feature & FEATURE_OVERLAP) {
        ide_command_failed(d, ER_ABRT);
        return;
    }
    const uint32_t limit = d->lba[1].now | (uint32_t)d->lba[2].now << 8;
    ch->transfer = (struct ide_transfer){.phase = PHASE_PIO_OUT,
                                         .kind = KIND_WRITE,
                                         .packet = true,
                                         .drive = d,
                                         .dma = feature & FEATURE_DMA,
                                         .limit = MIN(limit, 0xFFFE),
                                         .block_sectors = 1,
                                         .block_end = PACKET_BYTES,
                                         .len = PACKET_BYTES};
    d->count.now = REASON_COMMAND;
    d->status = ST_READY | ST_DRQ; /* without an interrupt: word 0 of the IDENTIFY data */
    d->error = 0;
}

void atapi_block_done(struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    if (t->kind == KIND_WRITE) {
        uint8_t cdb[PACKET_BYTES];
        memcpy(cdb, ch->buf, sizeof cdb);
        t->kind = KIND_NONE;
        t->pos = t->len = t->block_end = 0;
        atapi_execute(t->drive, cdb);
    } else if (t->pos < t->len) {
        offer_block(ch);
    } else {
        taken(ch);
    }
}

/* ------------------------------------------------------------------ tray, resets, state */

static void disc_gone(struct ide_drive *d)
{
    struct atapi *a = &d->atapi;
    a->cut = true;
    a->events = (uint8_t)((a->events & ~(EVENT_NEW_DISC | EVENT_EJECT_REQUEST)) | EVENT_REMOVAL);
    a->attention &= (uint8_t)~ATTENTION_DISC;
}

void atapi_open_tray(struct ide_drive *d)
{
    if (!d->atapi.tray_open && d->blk)
        disc_gone(d);
    d->atapi.tray_open = true;
}

/*
 * The guest closes it with the disc that was in: an event, but no unit attention, though a drive
 * that cannot know what was done to the disc has one. Linux, which closes the tray to mount what is
 * in it, would refuse to read until it is opened once more.
 */
void atapi_close_tray(struct ide_drive *d)
{
    struct atapi *a = &d->atapi;
    if (a->tray_open && d->blk)
        a->events |= EVENT_NEW_DISC;
    a->tray_open = false;
}

static struct ide_drive *cd_drive(struct ide *ide, unsigned n)
{
    struct ide_drive *d = &ide->channel[n / 2].drive[n % 2];
    assert(n < 4 && d->kind == IDE_CDROM);
    return d;
}

bool ide_tray_open(const struct ide *ide, unsigned n)
{
    return ide->channel[n / 2].drive[n % 2].atapi.tray_open;
}

bool ide_disc_locked(const struct ide *ide, unsigned n)
{
    return ide->channel[n / 2].drive[n % 2].atapi.locked;
}

void ide_request_eject(struct ide *ide, unsigned n)
{
    cd_drive(ide, n)->atapi.events |= EVENT_EJECT_REQUEST;
}

struct blk *ide_change_disc(struct ide *ide, unsigned n, struct blk *disc)
{
    struct ide_drive *d = cd_drive(ide, n);
    struct blk *old = d->blk;
    if (old)
        blk_drain(old); /* what was asked for is still read from it */
    atapi_open_tray(d);
    d->blk = disc;
    if (disc) {
        atapi_close_tray(d);
        d->atapi.attention |= ATTENTION_DISC;
    }
    return old;
}

void atapi_reset(struct ide_drive *d)
{
    d->atapi.attention |= ATTENTION_RESET;
}

/* MMC-5 "PREVENT ALLOW MEDIUM REMOVAL": a reset ends it. A disc that is in is no news. */
void atapi_restart(struct ide_drive *d)
{
    const bool tray_open = d->atapi.tray_open;
    d->atapi =
        (struct atapi){.attention = ATTENTION_RESET, .tray_open = tray_open, .form = CD_USER};
}

void atapi_state(struct state *s, struct ide_drive *d)
{
    struct atapi *a = &d->atapi;
    bool disc = d->blk != NULL;
    state_bool(s, "disc", &disc);
    state_check(s, disc == (d->blk != NULL), "disc");
    state_u8(s, "sense_key", &a->key);
    state_check(s, a->key <= 0xF, "sense_key");
    state_u8(s, "asc", &a->asc);
    state_u8(s, "ascq", &a->ascq);
    state_bool(s, "info_valid", &a->info_valid);
    state_u32(s, "info", &a->info);
    state_u8(s, "attention", &a->attention);
    state_u8(s, "events", &a->events);
    state_bool(s, "tray_open", &a->tray_open);
    state_bool(s, "locked", &a->locked);
    state_bool(s, "cut", &a->cut);
    state_u8(s, "form", &a->form);
    state_check(s, cdsector_bytes(a->form) != 0, "form");
}
