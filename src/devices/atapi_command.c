/*
 * Commands of a CD-ROM drive: MMC-5 "Commands for Multi-Media devices", SPC-3 §6 "Commands for
 * all device types"; READ SUB-CHANNEL's and READ HEADER's answers and the medium types as in
 * SFF-8020i, which older systems were written for. A drive that only reads knows no writing
 * command, and has nothing to be set by MODE SELECT: those are unknown to it.
 */
#include "devices/atapi.h"

enum {
    ANY_TIME = BIT(0), /* runs in spite of a unit attention, which then stays */
    NEEDS_DISC = BIT(1),
};

struct command {
    uint8_t opcode, flags;
    void (*run)(struct ide_drive *d, const uint8_t *cdb);
};

/* ------------------------------------------------------------------ state of the drive */

static void test_unit_ready(struct ide_drive *d, const uint8_t *cdb)
{
    (void)cdb;
    atapi_succeed(d);
}

/* The sense that waits is told as data, be it of the last command or of a unit attention. */
static void request_sense(struct ide_drive *d, const uint8_t *cdb)
{
    struct atapi *a = &d->atapi;
    uint8_t *p = d->channel->buf;
    if (cdb[1] & BIT(0)) { /* DESC: there is no other format than the fixed one */
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    if (!a->key && (a->attention & ATTENTION_RESET)) {
        atapi_set_sense(d, SENSE_WAS_RESET);
        a->attention &= (uint8_t)~ATTENTION_RESET;
    } else if (!a->key && (a->attention & ATTENTION_DISC)) {
        atapi_set_sense(d, SENSE_NEW_DISC);
        a->attention &= (uint8_t)~ATTENTION_DISC;
    }
    memset(p, 0, 18);
    p[0] = 0x70 | (a->info_valid ? 0x80 : 0);
    p[2] = a->key;
    put32(p + 3, a->info_valid ? a->info : 0);
    p[7] = 18 - 8;
    p[12] = a->asc;
    p[13] = a->ascq;
    atapi_set_sense(d, SENSE_NONE);
    atapi_reply(d, 18, cdb[4]);
}

static void report_luns(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    const uint32_t allocated = be32(cdb + 6);
    if (allocated < 16 || cdb[2] > 2) { /* SPC-3 §6.21 "REPORT LUNS" */
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    const uint32_t len = cdb[2] == 1 ? 8 : 16; /* 1: well-known ones only, of which there is none */
    memset(p, 0, 16);
    put32(p, len - 8);
    atapi_reply(d, len, allocated);
}

/* MMC-5 "GET EVENT STATUS NOTIFICATION": one event a call. */
static void get_event_status(struct ide_drive *d, const uint8_t *cdb)
{
    enum { CLASS_MEDIA = 4, NO_EVENT = 0x80 };
    struct atapi *a = &d->atapi;
    uint8_t *p = d->channel->buf;
    if (!(cdb[1] & BIT(0))) { /* it cannot tell by itself, only be polled */
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    memset(p, 0, 8);
    p[3] = BIT(CLASS_MEDIA);
    if (!(cdb[4] & BIT(CLASS_MEDIA))) {
        put16(p, 2);
        p[2] = NO_EVENT;
        atapi_reply(d, 4, be16(cdb + 7));
        return;
    }
    static const struct {
        uint8_t event, code;
    } order[] = {{EVENT_REMOVAL, 3}, {EVENT_NEW_DISC, 2}, {EVENT_EJECT_REQUEST, 1}};
    put16(p, 6);
    p[2] = CLASS_MEDIA;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
        if (a->events & order[i].event) {
            a->events &= (uint8_t)~order[i].event;
            p[4] = order[i].code;
            break;
        }
    }
    p[5] = (uint8_t)((a->tray_open ? BIT(0) : 0) | (atapi_has_disc(d) ? BIT(1) : 0));
    atapi_reply(d, 8, be16(cdb + 7));
}

static void mechanism_status(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    memset(p, 0, 8);
    p[1] = d->atapi.tray_open ? BIT(4) : 0;
    atapi_reply(d, 8, be16(cdb + 8));
}

static void prevent_allow(struct ide_drive *d, const uint8_t *cdb)
{
    if (cdb[4] & ~BIT(0)) { /* a persistent prevent, which it has not */
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    d->atapi.locked = cdb[4] & BIT(0);
    atapi_succeed(d);
}

/* MMC-5 "START STOP UNIT". Starting and stopping the motor changes nothing. */
static void start_stop(struct ide_drive *d, const uint8_t *cdb)
{
    const bool start = cdb[4] & BIT(0), load_eject = cdb[4] & BIT(1);
    if (cdb[4] >> 4) { /* a power condition: LoEj and Start do not count */
        atapi_succeed(d);
        return;
    }
    if (load_eject && !start && d->atapi.locked) {
        atapi_fail(d, SENSE_REMOVAL_PREVENTED);
        return;
    }
    if (load_eject && start)
        atapi_close_tray(d);
    else if (load_eject)
        atapi_open_tray(d);
    else if (start && !atapi_has_disc(d)) {
        atapi_fail(d, d->atapi.tray_open ? SENSE_TRAY_OPEN : SENSE_NO_DISC);
        return;
    }
    atapi_succeed(d);
}

static void set_cd_speed(struct ide_drive *d, const uint8_t *cdb)
{
    (void)cdb;
    atapi_succeed(d); /* it has one speed, the nearest to every other */
}

/* ------------------------------------------------------------------ reading */

/* False, and the command failed: not all of these blocks are there. */
static bool in_range(struct ide_drive *d, uint32_t lba, uint32_t blocks)
{
    const uint32_t total = atapi_blocks(d);
    if (lba < total && blocks <= total - lba)
        return true;
    log_guest(d->channel->ide->log, "ide%u: block %u and %u more: the disc has %u", d->number, lba,
              blocks, total);
    atapi_fail(d, SENSE_BAD_ADDRESS);
    return false;
}

static void read_blocks(struct ide_drive *d, uint32_t lba, uint32_t blocks, uint8_t parts)
{
    if (!in_range(d, lba, blocks))
        return;
    if (blocks)
        atapi_read(d, lba, blocks, parts);
    else
        atapi_succeed(d);
}

static void read_10(struct ide_drive *d, const uint8_t *cdb)
{
    read_blocks(d, be32(cdb + 2), be16(cdb + 7), CD_USER);
}

static void read_12(struct ide_drive *d, const uint8_t *cdb)
{
    read_blocks(d, be32(cdb + 2), be32(cdb + 6), CD_USER);
}

/* MMC-5 "READ CD": what of each sector is wanted. False, and the command failed. */
static bool wanted_parts(struct ide_drive *d, const uint8_t *cdb, uint8_t *parts)
{
    enum { C2_ERRORS = 0x06, SUB_CHANNELS = 0x07 };
    const uint8_t type = cdb[1] >> 2 & 7;
    if (atapi_is_dvd(d)) {
        atapi_fail(d, SENSE_WRONG_DISC);
        return false;
    }
    if (type > 2 || type == 1) { /* neither any nor mode 1: there are no others on this disc */
        atapi_fail(d, SENSE_WRONG_MODE);
        return false;
    }
    *parts = cdb[9] & (CD_SYNC | CD_USER | CD_EDC);
    if (cdb[9] & CD_HEADER) /* sub-headers are for mode 2: mode 1 has none to add */
        *parts |= CD_HEADER;
    const bool together = !*parts || cdsector_bytes(*parts);
    if (!together || (cdb[9] & C2_ERRORS) || (cdb[10] & SUB_CHANNELS)) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return false;
    }
    return true;
}

static void read_cd_blocks(struct ide_drive *d, uint32_t lba, uint32_t blocks, const uint8_t *cdb)
{
    uint8_t parts;
    if (!wanted_parts(d, cdb, &parts))
        return;
    if (!parts) /* none: only goes there */
        blocks = 0;
    read_blocks(d, lba, blocks, parts);
}

static void read_cd(struct ide_drive *d, const uint8_t *cdb)
{
    read_cd_blocks(d, be32(cdb + 2), (uint32_t)cdb[6] << 16 | be16(cdb + 7), cdb);
}

static bool from_msf(const uint8_t *msf, uint32_t *lba)
{
    const uint32_t frames = (msf[0] * 60u + msf[1]) * 75 + msf[2];
    if (msf[1] >= 60 || msf[2] >= 75 || frames < CD_PREGAP)
        return false;
    *lba = frames - CD_PREGAP;
    return true;
}

static void read_cd_msf(struct ide_drive *d, const uint8_t *cdb)
{
    uint32_t start, stop;
    if (!from_msf(cdb + 3, &start) || !from_msf(cdb + 6, &stop) || stop < start)
        atapi_fail(d, SENSE_BAD_FIELD);
    else
        read_cd_blocks(d, start, stop - start, cdb);
}

static void seek_10(struct ide_drive *d, const uint8_t *cdb)
{
    if (in_range(d, be32(cdb + 2), 0))
        atapi_succeed(d);
}

static void read_capacity(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    if (!(cdb[8] & BIT(0)) && be32(cdb + 2)) { /* an address counts with PMI only */
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    put32(p, atapi_blocks(d) - 1);
    put32(p + 4, CD_USER_BYTES);
    atapi_reply(d, 8, 8);
}

/* ------------------------------------------------------------------ old ones */

static void read_header(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    const uint32_t lba = be32(cdb + 2);
    if (!in_range(d, lba, 1))
        return;
    memset(p, 0, 8);
    p[0] = 1; /* mode */
    put_address(p + 4, lba, cdb[1] & BIT(1));
    atapi_reply(d, 8, be16(cdb + 7));
}

/* Where the head is (at the start: nothing plays), or that there is no catalogue number or ISRC. */
static void read_subchannel(struct ide_drive *d, const uint8_t *cdb)
{
    enum { NO_AUDIO = 0x15 };
    uint8_t *p = d->channel->buf;
    const bool msf = cdb[1] & BIT(1), wanted = cdb[2] & BIT(6);
    uint32_t len = 4;
    if (wanted && (!cdb[3] || cdb[3] > 3)) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    memset(p, 0, 24);
    p[1] = NO_AUDIO;
    if (wanted && cdb[3] == 1) {
        p[5] = 0x14;     /* ADR 1: position; CONTROL: data */
        p[6] = p[7] = 1; /* track, index */
        put_address(p + 8, 0, msf);
        put_address(p + 12, 0, msf);
        if (msf) /* within the track it begins at 00:00:00 */
            memset(p + 12, 0, 4);
        len = 16;
    } else if (wanted) {
        len = 24;
        p[5] = cdb[3] == 3 ? 0x14 : 0;
        p[6] = cdb[3] == 3;
    }
    p[4] = wanted ? cdb[3] : 0;
    put16(p + 2, len - 4);
    atapi_reply(d, len, be16(cdb + 7));
}

/* ------------------------------------------------------------------ dispatch */

static const struct command commands[] = {
    {0x00, NEEDS_DISC, test_unit_ready},
    {0x03, ANY_TIME, request_sense},
    {0x12, ANY_TIME, atapi_inquiry},
    {0x1A, 0, atapi_mode_sense}, /* (6) */
    {0x1B, 0, start_stop},
    {0x1E, 0, prevent_allow},
    {0x25, NEEDS_DISC, read_capacity},
    {0x28, NEEDS_DISC, read_10},
    {0x2B, NEEDS_DISC, seek_10},
    {0x42, NEEDS_DISC, read_subchannel},
    {0x43, NEEDS_DISC, atapi_read_toc},
    {0x44, NEEDS_DISC, read_header},
    {0x46, ANY_TIME, atapi_get_configuration},
    {0x4A, ANY_TIME, get_event_status},
    {0x51, NEEDS_DISC, atapi_read_disc_information},
    {0x52, NEEDS_DISC, atapi_read_track_information},
    {0x5A, 0, atapi_mode_sense}, /* (10) */
    {0xA0, ANY_TIME, report_luns},
    {0xA8, NEEDS_DISC, read_12},
    {0xAD, NEEDS_DISC, atapi_read_dvd_structure},
    {0xB9, NEEDS_DISC, read_cd_msf},
    {0xBB, 0, set_cd_speed},
    {0xBD, 0, mechanism_status},
    {0xBE, NEEDS_DISC, read_cd},
};

static const struct command *find(uint8_t opcode)
{
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].opcode == opcode)
            return &commands[i];
    return NULL;
}

/* True, and the command failed: something has happened that the host does not know of yet. */
static bool attention(struct ide_drive *d)
{
    struct atapi *a = &d->atapi;
    enum atapi_sense sense = SENSE_WAS_RESET;
    uint8_t told = ATTENTION_RESET;
    if (!a->attention)
        return false;
    if (!(a->attention & ATTENTION_RESET)) {
        sense = SENSE_NEW_DISC;
        told = ATTENTION_DISC;
    }
    a->attention &= (uint8_t)~told;
    atapi_fail(d, sense);
    return true;
}

void atapi_execute(struct ide_drive *d, const uint8_t *cdb)
{
    const struct command *c = find(cdb[0]);
    if (cdb[0] != 0x03)
        atapi_set_sense(d, SENSE_NONE);
    if (!(c && (c->flags & ANY_TIME)) && attention(d))
        return;
    if (!c) {
        log_guest(d->channel->ide->log, "ide%u: unknown packet command %02xh", d->number, cdb[0]);
        atapi_fail(d, SENSE_BAD_COMMAND);
    } else if ((c->flags & NEEDS_DISC) && !atapi_has_disc(d)) {
        atapi_fail(d, d->atapi.tray_open ? SENSE_TRAY_OPEN : SENSE_NO_DISC);
    } else {
        d->standby = false;
        c->run(d, cdb);
    }
}
