/* What atapi.c, atapi_command.c and atapi_info.c share. */
#ifndef VITRINE_DEVICES_ATAPI_H
#define VITRINE_DEVICES_ATAPI_H

#include "devices/cdsector.h"
#include "devices/ide_internal.h"

/* SPC-3 §4.5 "Sense data", §4.5.6 "Sense key and sense code definitions": key, ASC, ASCQ. */
enum atapi_sense {
    SENSE_NONE = 0,
    SENSE_NO_DISC = 0x023A01,
    SENSE_TRAY_OPEN = 0x023A02,
    SENSE_READ_ERROR = 0x031100,
    SENSE_BAD_COMMAND = 0x052000,
    SENSE_BAD_ADDRESS = 0x052100,
    SENSE_BAD_FIELD = 0x052400,
    SENSE_WRONG_DISC = 0x053002, /* cannot read medium, incompatible format */
    SENSE_NO_SAVED_PAGES = 0x053900,
    SENSE_REMOVAL_PREVENTED = 0x055302,
    SENSE_WRONG_MODE = 0x056400, /* illegal mode for this track */
    SENSE_NEW_DISC = 0x062800,
    SENSE_WAS_RESET = 0x062900,
    SENSE_NO_TRANSFER = 0x0B4B00, /* data phase error */
};

/* Unit attentions not told yet; SAM-3 "Unit attention condition". */
enum { ATTENTION_RESET = BIT(0), ATTENTION_DISC = BIT(1) };

/* MMC-5 "GET EVENT STATUS NOTIFICATION", media class. */
enum { EVENT_EJECT_REQUEST = BIT(0), EVENT_REMOVAL = BIT(1), EVENT_NEW_DISC = BIT(2) };

#define CD_MAX_BLOCKS (80u * 60 * 75) /* 80 minutes; what is larger is a DVD */

static inline bool atapi_has_disc(const struct ide_drive *d)
{
    return d->blk && !d->atapi.tray_open;
}
/* Blocks of the disc; the numbers of all must fit 32 bits. */
static inline uint32_t atapi_blocks(const struct ide_drive *d)
{
    return d->blk ? (uint32_t)MIN(d->blk->size_bytes / CD_USER_BYTES, UINT64_C(0xFFFFFFFE)) : 0;
}
static inline bool atapi_is_dvd(const struct ide_drive *d)
{
    return atapi_blocks(d) > CD_MAX_BLOCKS;
}

/* SCSI's numbers are big-endian. */
static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}
static inline void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void put24(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 16);
    put16(p + 1, v);
}
static inline void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v);
}
/* An address on the disc: a number, or 0, minute, second, frame. */
static inline void put_address(uint8_t *p, uint32_t lba, bool msf)
{
    put32(p, lba);
    if (!msf)
        return;
    p[0] = 0;
    cdsector_msf(lba, p + 1);
}

/* atapi.c: how a command ends, or goes on */
void atapi_succeed(struct ide_drive *d);
void atapi_fail(struct ide_drive *d, enum atapi_sense sense);
void atapi_set_sense(struct ide_drive *d, enum atapi_sense sense);
/* The host gets len bytes of the channel's buffer, or as many as it allocated. */
void atapi_reply(struct ide_drive *d, uint32_t len, uint32_t allocated);
/* The host gets these parts of so many blocks, at least one, which exist. */
void atapi_read(struct ide_drive *d, uint32_t lba, uint32_t blocks, uint8_t parts);
void atapi_open_tray(struct ide_drive *d);
void atapi_close_tray(struct ide_drive *d);

/* atapi_command.c */
void atapi_execute(struct ide_drive *d, const uint8_t *cdb);

/* atapi_info.c: commands that describe drive and disc */
void atapi_inquiry(struct ide_drive *d, const uint8_t *cdb);
void atapi_mode_sense(struct ide_drive *d, const uint8_t *cdb);
void atapi_get_configuration(struct ide_drive *d, const uint8_t *cdb);
void atapi_read_toc(struct ide_drive *d, const uint8_t *cdb);
void atapi_read_disc_information(struct ide_drive *d, const uint8_t *cdb);
void atapi_read_track_information(struct ide_drive *d, const uint8_t *cdb);
void atapi_read_dvd_structure(struct ide_drive *d, const uint8_t *cdb);

#endif
