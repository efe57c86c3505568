/*
 * What IDENTIFY DEVICE tells: ACS-3 §7.12 "IDENTIFY DEVICE", with the words of ATA/ATAPI-7 that
 * later became obsolete, since the drive claims ATA/ATAPI-4 to ATA/ATAPI-7.
 */
#include "devices/ide_internal.h"

#include <stdio.h>

#define LBA28_MAX UINT64_C(0x0FFFFFFF)

/* At most 16383 cylinders: what lies beyond 8 GB is reached by LBA only. */
uint16_t ide_default_cylinders(uint64_t sectors)
{
    const uint64_t n = sectors / (IDE_DEFAULT_HEADS * IDE_DEFAULT_SECTORS);
    return (uint16_t)MIN(MAX(n, 1), 16383);
}

/* Two characters a word, the first in the high byte; filled up with spaces. */
static void put_string(uint16_t *word, unsigned words, const char *text)
{
    for (unsigned i = 0; i < words; i++) {
        const uint8_t a = *text ? (uint8_t)*text++ : ' ';
        const uint8_t b = *text ? (uint8_t)*text++ : ' ';
        word[i] = (uint16_t)(a << 8 | b);
    }
}

static void put_geometry(const struct ide_drive *d, uint16_t *w)
{
    const uint64_t total = ide_sectors(d);
    w[1] = ide_default_cylinders(ide_sectors(d));
    w[3] = IDE_DEFAULT_HEADS;
    w[6] = IDE_DEFAULT_SECTORS;
    const uint32_t cylinder = (uint32_t)d->heads * d->sectors;
    const bool is_default = d->heads == IDE_DEFAULT_HEADS && d->sectors == IDE_DEFAULT_SECTORS;
    w[54] = is_default ? w[1] : (uint16_t)MIN(total / cylinder, 65535);
    w[55] = d->heads;
    w[56] = d->sectors;
    const uint32_t chs = w[54] * cylinder;
    w[57] = (uint16_t)chs;
    w[58] = (uint16_t)(chs >> 16);
    const uint32_t lba28 = (uint32_t)MIN(total, LBA28_MAX);
    w[60] = (uint16_t)lba28;
    w[61] = (uint16_t)(lba28 >> 16);
    for (unsigned i = 0; i < 4; i++)
        w[100 + i] = (uint16_t)(total >> (16 * i));
}

/* Word 93: how the drives of the channel found each other; an 80-conductor cable. */
static uint16_t reset_result(const struct ide_drive *d)
{
    const bool slave = d == &d->channel->drive[1];
    if (slave) /* jumpered, PDIAG- asserted */
        return BIT(14) | BIT(13) | BIT(11) | BIT(9) | BIT(8);
    const bool other = d->channel->drive[1].kind != IDE_ABSENT;
    /* Passed its diagnostics; jumpered. With a drive 1: DASP- and PDIAG- were seen. */
    return (uint16_t)(BIT(14) | BIT(13) | (other ? BIT(5) | BIT(4) : 0) | BIT(3) | BIT(1) | BIT(0));
}

/* Word 255: a checksum that makes the sum of all bytes 0. */
static void finish(uint16_t *w, uint8_t *out)
{
    uint8_t sum = 0;
    w[255] = 0x00A5;
    memcpy(out, w, 512);
    for (unsigned i = 0; i < 511; i++)
        sum = (uint8_t)(sum + out[i]);
    out[511] = (uint8_t)-sum;
}

void ide_identify(const struct ide_drive *d, uint8_t *out)
{
    uint16_t w[256] = {0};
    char serial[21];
    snprintf(serial, sizeof serial, "VT%05u", d->number + 1);
    w[0] = 0x0040; /* an ATA drive, fixed */
    put_geometry(d, w);
    put_string(&w[10], 10, serial);
    put_string(&w[23], 4, "1.0");
    put_string(&w[27], 20, "VITRINE HARDDISK");
    w[47] = 0x8000 | IDE_MAX_MULTIPLE;
    w[49] = BIT(11) | BIT(9) | BIT(8); /* IORDY, LBA, DMA */
    w[50] = BIT(14);
    w[51] = 0x0200; /* PIO mode 2 without IORDY */
    w[53] = 0x0007; /* words 54-58, 64-70 and 88 mean something */
    w[59] = d->multiple ? BIT(8) | d->multiple : 0;
    w[63] = (uint16_t)(d->mwdma << 8 | 0x07);
    w[64] = 0x0003;                             /* PIO modes 3 and 4 */
    w[65] = w[66] = w[67] = w[68] = 120;        /* ns a cycle, with and without flow control */
    w[80] = 0x00F0;                             /* ATA/ATAPI-4 to ATA/ATAPI-7 */
    w[82] = BIT(14) | BIT(6) | BIT(5) | BIT(3); /* NOP, look-ahead, write cache, power management */
    w[83] = BIT(14) | BIT(13) | BIT(12) | BIT(10); /* FLUSH CACHE EXT, FLUSH CACHE, 48-bit */
    w[84] = BIT(14);
    w[85] =
        (uint16_t)(BIT(14) | (d->look_ahead ? BIT(6) : 0) | (d->write_cache ? BIT(5) : 0) | BIT(3));
    w[86] = BIT(13) | BIT(12) | BIT(10);
    w[87] = BIT(14);
    w[88] = (uint16_t)(d->udma << 8 | 0x3F); /* Ultra DMA modes 0 to 5 */
    w[93] = reset_result(d);
    w[106] = BIT(14); /* one logical sector a physical one */
    finish(w, out);
}

/*
 * ATA/ATAPI-7 "IDENTIFY PACKET DEVICE". No overlap, no queue; the serial number is the
 * drive's place, so that two drives differ.
 */
void ide_identify_packet(const struct ide_drive *d, uint8_t *out)
{
    uint16_t w[256] = {0};
    char serial[21];
    snprintf(serial, sizeof serial, "VT%05u", d->number + 1);
    /* ATAPI, CD-ROM, removable, DRQ within 50 us of PACKET, packets of 12 bytes */
    w[0] = 2 << 14 | 5 << 8 | 1 << 7 | 2 << 5;
    put_string(&w[10], 10, serial);
    put_string(&w[23], 4, "1.0");
    put_string(&w[27], 20, "VITRINE DVD-ROM");
    w[49] = BIT(11) | BIT(9) | BIT(8); /* IORDY, LBA, DMA */
    w[50] = BIT(14);
    w[51] = 0x0200;
    w[53] = 0x0006; /* words 64-70 and 88 mean something */
    w[63] = (uint16_t)(d->mwdma << 8 | 0x07);
    w[64] = 0x0003;
    w[65] = w[66] = w[67] = w[68] = 120;
    w[80] = 0x00F0;
    w[82] = w[85] = BIT(14) | BIT(9) | BIT(4) | BIT(3); /* NOP, DEVICE RESET, PACKET, power */
    w[83] = BIT(14);
    w[84] = w[87] = BIT(14);
    w[88] = (uint16_t)(d->udma << 8 | 0x3F);
    w[93] = reset_result(d);
    finish(w, out);
}
