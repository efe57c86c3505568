/*
 * CD drives: packets of SCSI commands through an IDE channel (ATA/ATAPI-4 §9.8 "PACKET command
 * protocols"; MMC-3; SFF-8020i). Data come by DMA where they can, else by PIO.
 */
#include "ata.h"

#include "bda.h"
#include "io.h"
#include "timer.h"

#define CMD_PACKET  0xA0

#define FEATURE_DMA BIT(0)

/* Interrupt reason, in the sector count register. */
#define REASON_CD BIT(0) /* the drive expects a packet */
#define REASON_IO BIT(1) /* data go to the host */

enum {
    MMC_TEST_UNIT_READY = 0x00,
    MMC_REQUEST_SENSE = 0x03,
    MMC_START_STOP_UNIT = 0x1B,
    MMC_PREVENT_ALLOW = 0x1E,
    MMC_READ_CAPACITY = 0x25,
    MMC_READ_10 = 0x28,
};

#define SENSE_NOT_READY      0x2
#define SENSE_UNIT_ATTENTION 0x6
#define ASC_BECOMING_READY   0x04
#define ASC_NO_MEDIUM        0x3A

#define READY_TIMEOUT_MS     10000

struct packet {
    uint8_t byte[12];
};

struct sense {
    uint8_t key, asc;
};

static void put_be32(uint8_t *to, uint32_t v)
{
    v = bswap32(v);
    memcpy(to, &v, 4);
}

static uint32_t get_be32(const uint8_t *from)
{
    uint32_t v;
    memcpy(&v, from, 4);
    return bswap32(v);
}

/* The packet phase; the drive goes on by itself then. */
static bool send_packet(const struct drive *d, const struct packet *packet, bool dma)
{
    const uint16_t port = ata_command_port(d);
    if (!ata_select(d, 0, dma))
        return false;
    outb(port + ATA_ERROR, dma ? FEATURE_DMA : 0);
    outb(port + ATA_LBA1, (uint8_t)0xfe); /* at most so many bytes at a time: an even number */
    outb(port + ATA_LBA2, 0xff);
    outb(port + ATA_STATUS, CMD_PACKET);
    const uint8_t status = ata_wait(d);
    if ((status & (STATUS_BSY | STATUS_ERR | STATUS_DRQ)) != STATUS_DRQ)
        return false;
    ata_words_out(d, (uint32_t)near_address(packet), sizeof *packet / 2);
    return true;
}

static uint8_t end_status(const struct drive *d)
{
    const uint8_t wait = ata_wait(d);
    const uint8_t status = inb(ata_command_port(d) + ATA_STATUS);
    if (wait & STATUS_BSY)
        return DISK_TIMEOUT;
    return status & (STATUS_ERR | STATUS_DF) ? DISK_CONTROLLER : DISK_OK;
}

/* Data to the host in as many pieces as the drive makes of them. */
static uint8_t take_data(const struct drive *d, uint32_t address, uint32_t bytes)
{
    const uint16_t port = ata_command_port(d);
    while (bytes) {
        const uint8_t status = ata_wait(d);
        if (status & STATUS_BSY)
            return DISK_TIMEOUT;
        if (status & (STATUS_ERR | STATUS_DF))
            return DISK_CONTROLLER;
        if (!(status & STATUS_DRQ))
            return DISK_OK; /* less than asked for */
        const uint32_t offered = inb(port + ATA_LBA1) | (uint32_t)inb(port + ATA_LBA2) << 8;
        const uint32_t piece = MIN(offered, bytes);
        ata_words_in(d, address, (uint16_t)(piece / 2));
        for (uint32_t rest = piece; rest < offered; rest += 2)
            inw(port + ATA_DATA);
        if (!piece)
            return DISK_CONTROLLER;
        address += piece;
        bytes -= piece;
    }
    return DISK_OK;
}

static uint8_t command_pio(const struct drive *d, const struct packet *packet, uint32_t address,
                           uint32_t bytes)
{
    if (!send_packet(d, packet, false))
        return DISK_CONTROLLER;
    const uint8_t status = take_data(d, address, bytes);
    const uint8_t end = end_status(d);
    return status ? status : end;
}

static uint8_t command_dma(const struct drive *d, const struct packet *packet, uint64_t address,
                           uint32_t bytes)
{
    ata_dma_prepare(d, address, bytes, true);
    if (!send_packet(d, packet, true))
        return DISK_CONTROLLER;
    ata_dma_start(d);
    const bool ok = ata_dma_finish(d);
    const uint8_t end = end_status(d);
    return end == DISK_OK && !ok ? DISK_CONTROLLER : end;
}

static struct sense request_sense(const struct drive *d)
{
    struct packet p = {{MMC_REQUEST_SENSE, [4] = 18}};
    uint8_t data[18] = {0};
    if (command_pio(d, &p, (uint32_t)near_address(data), sizeof data))
        return (struct sense){0xff, 0xff};
    return (struct sense){data[2] & 0x0f, data[12]};
}

static uint8_t sense_status(struct sense s)
{
    return s.key == SENSE_NOT_READY ? (s.asc == ASC_NO_MEDIUM ? DISK_NO_MEDIA : DISK_NOT_READY)
                                    : DISK_CONTROLLER;
}

/* A medium that has just been put in first answers UNIT ATTENTION, then takes its time. */
uint8_t atapi_ready(struct drive *d)
{
    struct packet test = {{MMC_TEST_UNIT_READY}};
    struct timeout t = timeout_ms(READY_TIMEOUT_MS);
    while (command_pio(d, &test, 0, 0)) {
        const struct sense s = request_sense(d);
        const bool comes = s.key == SENSE_UNIT_ATTENTION || s.asc == ASC_BECOMING_READY;
        d->sectors = 0;
        if (!comes || timed_out(&t))
            return sense_status(s);
    }
    struct packet capacity = {{MMC_READ_CAPACITY}};
    uint8_t data[8];
    if (command_pio(d, &capacity, (uint32_t)near_address(data), sizeof data))
        return sense_status(request_sense(d));
    d->sectors = (uint64_t)get_be32(data) + 1;
    return DISK_OK;
}

uint8_t atapi_transfer(struct disk_op *op)
{
    struct drive *d = op->drive;
    const uint16_t sectors = op->count;
    const uint32_t bytes = sectors * 2048u;
    op->count = 0;
    if (op->command == DISK_WRITE)
        return DISK_WRITE_PROTECTED;
    if (op->command == DISK_VERIFY)
        return atapi_ready(d);
    struct packet p = {{MMC_READ_10}};
    put_be32(p.byte + 2, (uint32_t)op->lba);
    p.byte[7] = (uint8_t)(sectors >> 8);
    p.byte[8] = (uint8_t)sectors;
    const bool dma = ata_dma_possible(d, op->address, bytes);
    if (!dma && op->address + bytes > 0x10FFF0)
        return DISK_BOUNDARY;
    for (unsigned tries = 0; tries < 3; tries++) {
        const uint8_t status = dma ? command_dma(d, &p, op->address, bytes)
                                   : command_pio(d, &p, (uint32_t)op->address, bytes);
        if (status == DISK_OK) {
            op->count = sectors;
            return DISK_OK;
        }
        if (status == DISK_TIMEOUT)
            return status;
        const struct sense s = request_sense(d);
        if (s.key == SENSE_UNIT_ATTENTION)
            continue; /* said once */
        const uint8_t ready = atapi_ready(d);
        return ready ? ready : DISK_CONTROLLER;
    }
    return DISK_CHANGED;
}

uint8_t atapi_eject(struct drive *d, bool load)
{
    struct packet p = {{MMC_START_STOP_UNIT, [4] = load ? 3 : 2}};
    return command_pio(d, &p, 0, 0) ? DISK_EJECT_FAILED : DISK_OK;
}

uint8_t atapi_lock(struct drive *d, bool lock)
{
    struct packet p = {{MMC_PREVENT_ALLOW, [4] = lock}};
    return command_pio(d, &p, 0, 0) ? DISK_CONTROLLER : DISK_OK;
}
