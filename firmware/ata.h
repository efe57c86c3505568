/* Registers of an IDE channel, and what ata.c and atapi.c share. 16-bit code. */
#ifndef FIRMWARE_ATA_H
#define FIRMWARE_ATA_H

#include "drive.h"

/* Offsets from the command block's first port. */
enum {
    ATA_DATA = 0,
    ATA_ERROR = 1, /* read; FEATURES on writing */
    ATA_COUNT = 2, /* ATAPI: interrupt reason */
    ATA_LBA0 = 3,
    ATA_LBA1 = 4, /* ATAPI: byte count */
    ATA_LBA2 = 5,
    ATA_DEVICE = 6,
    ATA_STATUS = 7, /* read; COMMAND on writing */
};

enum {
    STATUS_ERR = BIT(0),
    STATUS_DRQ = BIT(3),
    STATUS_DF = BIT(5),
    STATUS_DRDY = BIT(6),
    STATUS_BSY = BIT(7),
};

enum {
    ATA_ERROR_ABRT = BIT(2),
    ATA_ERROR_IDNF = BIT(4),
    ATA_ERROR_UNC = BIT(6),
};

#define DEVICE_UNIT  BIT(4)
#define DEVICE_LBA   BIT(6)

#define CONTROL_NIEN BIT(1) /* no interrupts */
#define CONTROL_SRST BIT(2)

/* Bus master, of the channel's own eight ports. */
#define BM_COMMAND     0
#define BM_STATUS      2
#define BM_TABLE       4
#define BM_START       BIT(0)
#define BM_TO_MEMORY   BIT(3)
#define BM_ERROR       BIT(1)
#define BM_INTERRUPT   BIT(2)

#define ATA_TIMEOUT_MS 10000

/* BAR 4 of the IDE function; 0: no DMA. POST sets it. */
extern uint16_t ide_bus_master;

static inline uint16_t ata_command_port(const struct drive *d)
{
    return d->channel ? 0x170 : 0x1F0;
}

static inline uint16_t ata_control_port(const struct drive *d)
{
    return d->channel ? 0x376 : 0x3F6;
}

static inline uint16_t ata_bm_port(const struct drive *d)
{
    return ide_bus_master + (d->channel ? 8 : 0);
}

/* Until BSY is clear. The status; or STATUS_BSY after ATA_TIMEOUT_MS. */
uint8_t ata_wait(const struct drive *d);

/* Selects the drive and waits until it is free; false when it is not. interrupts: let INTRQ out. */
bool ata_select(const struct drive *d, uint8_t device, bool interrupts);

/* Whether the bus master reaches this. */
bool ata_dma_possible(const struct drive *d, uint64_t address, uint32_t bytes);

/* Sets the table up and the direction; start; wait for the end and stop: true, no error. */
void ata_dma_prepare(const struct drive *d, uint64_t address, uint32_t bytes, bool to_memory);
void ata_dma_start(const struct drive *d);
bool ata_dma_finish(const struct drive *d);

/* 16-bit words between the data register and memory below 10FFF0h. */
void ata_words_in(const struct drive *d, uint32_t address, uint16_t words);
void ata_words_out(const struct drive *d, uint32_t address, uint16_t words);

/* By an ATA error register. */
uint8_t ata_error_status(const struct drive *d);

/* atapi.c: what IDENTIFY PACKET DEVICE does not say. */
void atapi_found(struct drive *d);

#endif
