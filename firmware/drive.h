/*
 * The drives of the board, as POST found them, and the drivers' common shape. 16-bit code; POST
 * reads the tables through SHARED().
 */
#ifndef FIRMWARE_DRIVE_H
#define FIRMWARE_DRIVE_H

#include "mode.h"
#include "post16.h"

enum drive_kind { DRIVE_NONE, DRIVE_FLOPPY, DRIVE_ATA, DRIVE_ATAPI };

enum drive_flags {
    DRIVE_LBA48 = BIT(0),
    DRIVE_DMA = BIT(1),
    DRIVE_REMOVABLE = BIT(2),
};

#define DRIVE_IDE0     0 /* four of them: channel * 2 + unit */
#define DRIVE_FLOPPY0  4 /* two */
#define DRIVES         6
#define DRIVE_NO_INDEX 0xff

#define MODEL_BYTES    41

struct geometry {
    uint16_t cylinders, heads, sectors; /* sectors a track; 0: none */
};

struct drive {
    uint8_t kind, flags;
    uint8_t channel, unit; /* IDE: 0, 1 each; floppy: unit */
    uint8_t floppy_type;   /* CMOS 10h: 1 360 K, 2 1.2 M, 3 720 K, 4 1.44 M, 5 2.88 M */
    uint8_t index;         /* of itself */
    uint16_t sector_bytes; /* 512, 2048 */
    uint64_t sectors;      /* 0: not known, as of a CD that is not in */
    struct geometry physical, logical;
    char model[MODEL_BYTES];
};

extern struct drive drives[DRIVES];

/* INT 13h's numbers: which drive is 00h + n, 80h + n, E0h + n. */
extern uint8_t floppy_ids[2], disk_ids[4], cd_ids[4];
extern uint8_t floppy_count, disk_count, cd_count;

#define CD_FIRST_NUMBER 0xE0

/* AH of INT 13h, and 0040:0041, 0040:0074. */
enum disk_status {
    DISK_OK = 0x00,
    DISK_BAD_COMMAND = 0x01,
    DISK_NO_ADDRESS_MARK = 0x02,
    DISK_WRITE_PROTECTED = 0x03,
    DISK_NOT_FOUND = 0x04,
    DISK_CHANGED = 0x06,
    DISK_DMA_OVERRUN = 0x08,
    DISK_BOUNDARY = 0x09,
    DISK_BAD_CRC = 0x10,
    DISK_CONTROLLER = 0x20,
    DISK_BAD_SEEK = 0x40,
    DISK_TIMEOUT = 0x80,
    DISK_NOT_READY = 0xAA,
    DISK_NO_MEDIA = 0x31,
    DISK_NOT_REMOVABLE = 0xB2,
    DISK_EJECT_FAILED = 0xB5,
    DISK_LOCKED = 0xB1,
    DISK_NOT_LOCKED = 0xB0,
};

enum disk_command { DISK_READ, DISK_WRITE, DISK_VERIFY };

/* Where data go: a physical address; what PIO reaches lies below 10FFF0h. */
struct disk_op {
    struct drive *drive;
    enum disk_command command;
    uint64_t lba;
    uint16_t count; /* sectors; what was moved, in the end */
    uint64_t address;
};

#ifdef MODE16

/* disk.c: sends it to the driver. */
uint8_t disk_transfer(struct disk_op *op);

/* ata.c */
uint8_t ata_transfer(struct disk_op *op);
uint8_t ata_reset(const struct drive *d);

/* atapi.c */
uint8_t atapi_transfer(struct disk_op *op);
uint8_t atapi_ready(struct drive *d); /* a medium is in: its capacity is in d->sectors */
uint8_t atapi_eject(struct drive *d, bool load);
uint8_t atapi_lock(struct drive *d, bool lock);

/* floppy.c */
uint8_t floppy_transfer(struct disk_op *op);

/* CD sectors, IDENTIFY data: whoever needs 2 KiB for a moment. */
extern uint8_t disk_buffer[2048];

static inline uint64_t near_address(const void *p)
{
    return DATA_BASE + (uintptr_t)p;
}

#endif

/* Called by POST: finds IDE drives, floppy drives; gives INT 13h's numbers in boot order. */
service_fn ata_detect, floppy_detect, disk_assign;

#endif
