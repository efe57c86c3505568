/*
 * What a CD-ROM drive tells about itself and its disc: SPC-3 §6.4 "INQUIRY", §7.4 "Mode
 * parameters"; MMC-5 "Features and profiles", "GET CONFIGURATION", "READ DISC INFORMATION", "READ
 * DISC STRUCTURE", "READ TOC/PMA/ATIP", "READ TRACK INFORMATION", "Mode parameters for Multi-Media
 * devices"; page 2Ah as in MMC-3 "MM Capabilities and Mechanical Status Page".
 */
#include "devices/atapi.h"

#include <stdio.h>

#define LEAD_OUT   0xAA
#define DATA_TRACK 0x14 /* ADR 1: position; CONTROL 4: data, no copying */

/* ------------------------------------------------------------------ INQUIRY */

static void put_padded(uint8_t *p, unsigned width, const char *text)
{
    const size_t n = MIN(strlen(text), width);
    memcpy(p, text, n);
    memset(p + n, ' ', width - n);
}

/* SPC-3 §7.6 "Vital product data parameters". 0: no such page. */
static uint32_t vital_page(const struct ide_drive *d, uint8_t page, uint8_t *p)
{
    static const uint8_t pages[] = {0x00, 0x80, 0x83};
    char serial[9];
    uint32_t len = 0;
    snprintf(serial, sizeof serial, "VT%05u", d->number + 1);
    memset(p, 0, 64);
    switch (page) {
    case 0x00:
        memcpy(p + 4, pages, len = sizeof pages);
        break;
    case 0x80: /* unit serial number */
        memcpy(p + 4, serial, len = (uint32_t)strlen(serial));
        break;
    case 0x83:       /* device identification: one designator, T10 vendor ID based */
        p[4] = 0x02; /* ASCII */
        p[5] = 0x01;
        put_padded(p + 8, 8, "VITRINE");
        put_padded(p + 16, 16, "DVD-ROM");
        memcpy(p + 32, serial, strlen(serial));
        p[7] = (uint8_t)(24 + strlen(serial));
        len = 4u + p[7];
        break;
    default:
        return 0;
    }
    p[0] = 0x05;
    p[1] = page;
    put16(p + 2, len);
    return 4 + len;
}

void atapi_inquiry(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    const uint32_t allocated = be16(cdb + 3);
    if (cdb[1] & BIT(0)) {
        const uint32_t len = vital_page(d, cdb[2], p);
        if (len)
            atapi_reply(d, len, allocated);
        else
            atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    if (cdb[2]) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    memset(p, 0, 36);
    p[0] = 0x05; /* CD/DVD device */
    p[1] = 0x80; /* removable medium */
    p[2] = 0x05; /* SPC-3 */
    p[3] = 0x02; /* format of these data */
    p[4] = 36 - 5;
    put_padded(p + 8, 8, "VITRINE");
    put_padded(p + 16, 16, "DVD-ROM");
    put_padded(p + 32, 4, "1.0");
    atapi_reply(d, 36, allocated);
}

/* ------------------------------------------------------------------ MODE SENSE */

#define SPEED_KBYTES 4234 /* a second: 24 times a CD */

/* The page without its two bytes of code and length. Nothing in any of them can be changed. */
static uint32_t mode_page(const struct ide_drive *d, uint8_t page, uint8_t *p)
{
    switch (page) {
    case 0x01: /* read error recovery: all there is, five retries */
        memset(p, 0, 10);
        p[1] = 5;
        return 10;
    case 0x0D: /* CD device parameters: seconds a minute, frames a second */
        memset(p, 0, 6);
        put16(p + 2, 60);
        put16(p + 4, 75);
        return 6;
    case 0x0E: /* CD audio control: no port is connected */
        memset(p, 0, 14);
        p[0] = 0x04; /* "immediate", always */
        return 14;
    case 0x2A:
        memset(p, 0, 20);
        p[0] = 0x3B; /* reads CD-R, CD-RW, method 2, DVD-ROM, DVD-R, DVD-RAM */
        p[2] = 0x70; /* mode 2 forms 1 and 2, several sessions; no audio */
        p[4] = (uint8_t)(0x29 | (d->atapi.locked ? 0x02 : 0)); /* a tray; lock and eject work */
        put16(p + 6, SPEED_KBYTES);
        put16(p + 8, 0);    /* volume levels */
        put16(p + 10, 512); /* KiB of buffer */
        put16(p + 12, SPEED_KBYTES);
        return 20;
    default:
        return 0;
    }
}

/* SFF-8020i "Medium Type Codes". */
static uint8_t medium_type(const struct ide_drive *d)
{
    return d->atapi.tray_open ? 0x71 : d->blk ? 0x01 : 0x70;
}

void atapi_mode_sense(struct ide_drive *d, const uint8_t *cdb)
{
    enum { CHANGEABLE = 1, SAVED = 3, ALL_PAGES = 0x3F };
    static const uint8_t pages[] = {0x01, 0x0D, 0x0E, 0x2A};
    const bool ten = cdb[0] == 0x5A;
    const uint8_t control = cdb[2] >> 6, wanted = cdb[2] & 0x3F;
    uint8_t *p = d->channel->buf;
    const uint32_t header = ten ? 8 : 4;
    uint32_t len = header;
    if (control == SAVED) {
        atapi_fail(d, SENSE_NO_SAVED_PAGES);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
        if (wanted != ALL_PAGES && wanted != pages[i])
            continue;
        const uint32_t n = mode_page(d, pages[i], p + len + 2);
        if (control == CHANGEABLE)
            memset(p + len + 2, 0, n);
        p[len] = pages[i];
        p[len + 1] = (uint8_t)n;
        len += n + 2;
    }
    if (len == header) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    memset(p, 0, header);
    if (ten) {
        put16(p, len - 2);
        p[2] = medium_type(d);
    } else {
        p[0] = (uint8_t)(len - 1);
        p[1] = medium_type(d);
    }
    atapi_reply(d, len, ten ? be16(cdb + 7) : cdb[4]);
}

/* ------------------------------------------------------------------ GET CONFIGURATION */

enum { PROFILE_NONE = 0, PROFILE_CD_ROM = 0x08, PROFILE_DVD_ROM = 0x10 };

static uint16_t current_profile(const struct ide_drive *d)
{
    return !atapi_has_disc(d) ? PROFILE_NONE : atapi_is_dvd(d) ? PROFILE_DVD_ROM : PROFILE_CD_ROM;
}

/* A feature descriptor: number, what goes with it, and with which profiles it is current. */
static const struct feature {
    uint16_t number;
    uint8_t version;
    bool persistent, on_cd, on_dvd;
    uint8_t len;
    uint8_t data[12];
} features[] = {
    {0x0000, 0, true, true, true, 8, {0, PROFILE_DVD_ROM, 0, 0, 0, PROFILE_CD_ROM, 0, 0}},
    {0x0001, 2, true, true, true, 8, {0, 0, 0, 2, 1}},     /* core: ATAPI; DBE */
    {0x0002, 1, true, true, true, 4, {0x02}},              /* morphing: polled; OCEvent */
    {0x0003, 0, true, true, true, 4, {0x29}},              /* removable: tray, eject, lock */
    {0x0010, 0, false, true, true, 8, {0, 0, 8, 0, 0, 1}}, /* random readable: 2048 bytes, 1 */
    {0x001D, 0, false, true, true, 0, {0}},                /* multi-read */
    {0x001E, 2, false, true, false, 4, {0}},               /* CD read */
    {0x001F, 1, false, false, true, 4, {0}},               /* DVD read */
};

void atapi_get_configuration(struct ide_drive *d, const uint8_t *cdb)
{
    enum { RT_ALL, RT_CURRENT, RT_ONE, RT_RESERVED };
    const uint8_t rt = cdb[1] & 3;
    const uint16_t start = be16(cdb + 2), profile = current_profile(d);
    uint8_t *p = d->channel->buf;
    uint32_t len = 8;
    if (rt == RT_RESERVED) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        const bool current = f->persistent || (f->on_cd && profile == PROFILE_CD_ROM) ||
                             (f->on_dvd && profile == PROFILE_DVD_ROM);
        if (rt == RT_ONE ? f->number != start : f->number < start)
            continue;
        if (rt == RT_CURRENT && !current)
            continue;
        put16(p + len, f->number);
        p[len + 2] = (uint8_t)(f->version << 2 | (f->persistent ? 2 : 0) | current);
        p[len + 3] = f->len;
        memcpy(p + len + 4, f->data, f->len);
        if (f->number == 0) { /* CurrentP of each profile */
            p[len + 6] = profile == PROFILE_DVD_ROM;
            p[len + 10] = profile == PROFILE_CD_ROM;
        }
        len += 4u + f->len;
    }
    put32(p, len - 4);
    p[4] = p[5] = 0;
    put16(p + 6, profile);
    atapi_reply(d, len, be16(cdb + 7));
}

/* ------------------------------------------------------------------ READ TOC */

/* A track descriptor of formats 0 and 1. */
static uint32_t put_track(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
    memset(p, 0, 8);
    p[1] = DATA_TRACK;
    p[2] = track;
    put_address(p + 4, lba, msf);
    return 8;
}

/* Format 0: tracks from a number on, and the lead-out. 0: no such track. */
static uint32_t toc_tracks(const struct ide_drive *d, uint8_t *p, uint8_t from, bool msf)
{
    uint32_t len = 4;
    if (from > 1 && from != LEAD_OUT)
        return 0;
    if (from != LEAD_OUT)
        len += put_track(p + len, 1, 0, msf);
    return len + put_track(p + len, LEAD_OUT, atapi_blocks(d), msf);
}

/* Format 2: what the lead-in holds. Times are minute, second, frame whatever the MSF bit says. */
static uint32_t toc_raw(const struct ide_drive *d, uint8_t *p)
{
    static const uint8_t points[] = {0xA0, 0xA1, 0xA2, 1};
    uint32_t len = 4;
    for (unsigned i = 0; i < ARRAY_SIZE(points); i++, len += 11) {
        uint8_t *q = p + len;
        memset(q, 0, 11);
        q[0] = 1; /* session */
        q[1] = DATA_TRACK;
        q[3] = points[i];
        if (points[i] == 0xA2)
            cdsector_msf(atapi_blocks(d), q + 8);
        else if (points[i] == 1)
            cdsector_msf(0, q + 8);
        else
            q[8] = 1; /* first, last track; disc type 0: CD-ROM */
    }
    return len;
}

void atapi_read_toc(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    const bool msf = cdb[1] & BIT(1);
    /* SFF-8020i had the format in the control byte. */
    const uint8_t format = cdb[2] & 0x0F ? cdb[2] & 0x0F : cdb[9] >> 6;
    uint32_t len = 0;
    if (format == 0)
        len = toc_tracks(d, p, cdb[6], msf);
    else if (format == 1)
        len = 4 + put_track(p + 4, 1, 0, msf);
    else if (format == 2 && !atapi_is_dvd(d) && cdb[6] <= 1)
        len = toc_raw(d, p);
    if (!len) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    put16(p, len - 2);
    p[2] = p[3] = 1; /* first and last track, or session */
    atapi_reply(d, len, be16(cdb + 7));
}

/* ------------------------------------------------------------------ disc and track */

void atapi_read_disc_information(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    if (cdb[1] & 7) { /* other than the standard ones are about BD-R */
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    memset(p, 0, 34);
    put16(p, 34 - 2);
    p[2] = 0x0E;                   /* disc and last session are complete */
    p[3] = p[4] = p[5] = p[6] = 1; /* first track; sessions; first and last track of the last one */
    p[7] = 0x20;                   /* unrestricted use */
    p[8] = atapi_is_dvd(d) ? 0xFF : 0x00; /* undefined; CD-ROM */
    memset(p + 16, 0xFF, 8);              /* no further session can begin or end anywhere */
    atapi_reply(d, 34, be16(cdb + 7));
}

void atapi_read_track_information(struct ide_drive *d, const uint8_t *cdb)
{
    enum { BY_BLOCK, BY_TRACK, BY_SESSION };
    uint8_t *p = d->channel->buf;
    const uint32_t number = be32(cdb + 2), blocks = atapi_blocks(d);
    const uint8_t by = cdb[1] & 3;
    const bool found = by == BY_BLOCK ? number < blocks : by <= BY_SESSION && number == 1;
    if (!found) {
        atapi_fail(d, by == BY_BLOCK ? SENSE_BAD_ADDRESS : SENSE_BAD_FIELD);
        return;
    }
    memset(p, 0, 36);
    put16(p, 36 - 2);
    p[2] = p[3] = 1; /* track, session */
    p[5] = 0x04;     /* track mode: data */
    p[6] = 0x01;     /* data mode 1 */
    p[7] = 0x02;     /* the last recorded address is valid */
    put32(p + 24, blocks);
    put32(p + 28, blocks - 1);
    atapi_reply(d, 36, be16(cdb + 7));
}

/* ------------------------------------------------------------------ READ DISC STRUCTURE */

#define DVD_FIRST_SECTOR 0x30000 /* physical number of block 0 */

/* Physical format information of a single-layer DVD-ROM, sectors only as far as there is an image.
 */
static uint32_t dvd_physical(const struct ide_drive *d, uint8_t *p)
{
    memset(p, 0, 4 + 2048);
    p[4] = 0x01; /* DVD-ROM, version 1 */
    p[5] = 0x0F; /* 120 mm; no highest rate said */
    p[6] = 0x01; /* one layer, embossed */
    put24(p + 9, DVD_FIRST_SECTOR);
    put24(p + 13, MIN(DVD_FIRST_SECTOR + (uint64_t)atapi_blocks(d) - 1, 0xFFFFFF));
    return 4 + 2048;
}

static uint32_t dvd_list(uint8_t *p)
{
    static const uint16_t formats[][2] = {{0x00, 4 + 2048}, {0x01, 8}, {0x04, 4 + 2048}};
    uint32_t len = 4;
    memset(p, 0, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++, len += 4) {
        p[len] = (uint8_t)formats[i][0];
        p[len + 1] = 0x40; /* can be read */
        put16(p + len + 2, formats[i][1]);
    }
    return len;
}

void atapi_read_dvd_structure(struct ide_drive *d, const uint8_t *cdb)
{
    uint8_t *p = d->channel->buf;
    uint32_t len = 0;
    if (!atapi_is_dvd(d)) {
        atapi_fail(d, SENSE_WRONG_DISC);
        return;
    }
    if ((cdb[1] & 0x0F) == 0 && cdb[6] == 0) { /* media type DVD, layer 0 */
        switch (cdb[7]) {
        case 0x00:
            len = dvd_physical(d, p);
            break;
        case 0x01: /* copyright: not protected, all regions */
            memset(p, 0, len = 8);
            break;
        case 0x04: /* manufacturer's: blank */
            memset(p, 0, len = 4 + 2048);
            break;
        case 0xFF:
            len = dvd_list(p);
            break;
        default:
            break;
        }
    }
    if (!len) {
        atapi_fail(d, SENSE_BAD_FIELD);
        return;
    }
    put16(p, len - 2);
    atapi_reply(d, len, be16(cdb + 8));
}
