/* What ide.c, ide_command.c, ide_identify.c, ide_dma.c and atapi*.c share. */
#ifndef VITRINE_DEVICES_IDE_INTERNAL_H
#define VITRINE_DEVICES_IDE_INTERNAL_H

#include "devices/ide.h"

/* ACS-3 "Status field"; ATA/ATAPI-4 "Status register" for DSC, which later became obsolete. */
enum {
    ST_ERR = BIT(0),
    ST_DRQ = BIT(3),
    ST_DSC = BIT(4),
    ST_DF = BIT(5),
    ST_DRDY = BIT(6),
    ST_BSY = BIT(7),
    ST_READY = ST_DRDY | ST_DSC,
};

/* ACS-3 "Error field". */
enum {
    ER_ABRT = BIT(2),
    ER_IDNF = BIT(4),
    ER_UNC = BIT(6),
    ER_DIAG_PASSED = 0x01, /* after a reset it holds a diagnostic code instead */
};

/* ATA/ATAPI-7 "Device Control register". */
enum {
    DC_NIEN = BIT(1),
    DC_SRST = BIT(2),
    DC_HOB = BIT(7),
};

/* ATA/ATAPI-7 "Device register". */
enum {
    DEV_HEAD = 0x0F,
    DEV_DEV = BIT(4),
    DEV_LBA = BIT(6),
    DEV_OBSOLETE = 0xA0, /* read as ones */
};

#define IDE_SECTOR       512u
#define IDE_BUF_SECTORS  256u /* moved in one piece between disk and guest */
#define IDE_MAX_MULTIPLE 16u
#define PRD_MAX          8192u /* a table fits 64 KiB */

struct ide_channel;

/* A register two values deep: ATA/ATAPI-7 "48-bit Address feature set". */
struct ide_fifo {
    uint8_t now, before;
};

/* What a CD-ROM drive has beyond the task file; atapi.h says more. */
struct atapi {
    uint8_t key, asc, ascq; /* sense of the last command */
    bool info_valid;
    uint32_t info;     /* its information field: a block address */
    uint8_t attention; /* ATTENTION_*: not told yet */
    uint8_t events;    /* EVENT_*: likewise */
    bool tray_open, locked;
    bool cut;     /* the disc went away in the middle of a read */
    uint8_t form; /* CD_*: parts of a sector that the command under way asked for */
};

struct ide_drive {
    struct ide_channel *channel;
    enum ide_unit_kind kind;
    struct blk *blk; /* a CD-ROM drive's disc: NULL: none */
    unsigned number; /* 0..3 on the board */
    struct ide_fifo feature, count, lba[3];
    uint8_t device; /* as written, for its head or LBA bits */
    uint8_t status, error;
    bool intrq;       /* an interrupt is pending; only the selected drive's reaches the line */
    uint8_t multiple; /* sectors a block for READ/WRITE MULTIPLE, 0: not set */
    uint8_t heads, sectors; /* current CHS translation */
    uint8_t mwdma, udma;    /* bit n: that mode is selected */
    bool write_cache, look_ahead;
    bool standby, asleep;
    struct atapi atapi;
};

enum ide_phase {
    PHASE_IDLE,
    PHASE_DISK,     /* BSY: the disk is at work */
    PHASE_PIO_IN,   /* DRQ: the host takes buf[pos, block_end) */
    PHASE_PIO_OUT,  /* DRQ: the host fills it */
    PHASE_DMA_WAIT, /* a DMA command waits for the bus master */
};

enum ide_kind { KIND_NONE, KIND_READ, KIND_WRITE, KIND_VERIFY };

/* The command a channel is on; one at a time, since overlapped commands are not offered. */
struct ide_transfer {
    enum ide_phase phase;
    enum ide_kind kind;
    struct ide_drive *drive;
    bool dma, ext, flush_after;
    bool packet;    /* of a PACKET command: KIND_WRITE its 12 bytes, KIND_READ a disc's sectors */
    bool odd;       /* the last byte of buf only fills up a word */
    uint32_t limit; /* PACKET: bytes a DRQ block may have */
    uint64_t lba;   /* of the sector at buf[0] */
    uint32_t left;  /* sectors from lba on, those in buf included */
    uint32_t chunk; /* sectors in buf */
    uint32_t block_sectors;       /* a DRQ block */
    uint32_t pos, block_end, len; /* bytes of buf */
};

/* One region of a physical region descriptor table, as copied. */
struct prd {
    uint32_t gpa, len;
};

/* PIIX3 "Bus Master IDE I/O Registers". */
struct ide_dma {
    uint8_t command, status;
    uint32_t table; /* BMIDTP */
    bool loaded;    /* prd[] below is that table */
    uint32_t prd_count, prd_at, prd_skip;
    struct prd prd[PRD_MAX];
};

struct ide_channel {
    struct ide *ide;
    unsigned number;
    struct ide_drive drive[2];
    unsigned selected;
    uint8_t control;
    struct irq_line irq;
    int irq_level; /* as driven; derived */
    struct ide_transfer transfer;
    struct ide_dma dma;
    struct io_region data_port, registers, control_port;
    struct blk_request request;
    struct iovec iov;
    bool in_flight; /* request is with the block layer */
    bool aborting;  /* its outcome is of no interest */
    uint8_t buf[IDE_BUF_SECTORS * IDE_SECTOR];
};

struct ide {
    struct pci_device pci;
    struct memmap *mem;
    struct log *log;
    struct ide_channel channel[2];
};

/* ide.c */
void ide_update_irq(struct ide_channel *ch);
void ide_raise(struct ide_drive *d); /* INTRQ */
void ide_set_signature(struct ide_drive *d);
static inline bool ide_present(const struct ide_drive *d)
{
    return d->kind != IDE_ABSENT;
}
static inline uint64_t ide_sectors(const struct ide_drive *d)
{
    return d->blk->size_bytes / IDE_SECTOR;
}

/* ide_command.c */
void ide_execute(struct ide_drive *d, uint8_t opcode);
void ide_device_reset(struct ide_drive *d); /* DEVICE RESET, which is heard while BSY too */
/* Hands bytes from offset to buf, or back, to the block layer; the drive is busy until done(). */
void ide_ask_blk(struct ide_drive *d, enum blk_op op, uint64_t offset, size_t bytes,
                 void (*done)(struct blk_request *req));
void ide_end_transfer(struct ide_channel *ch);
void ide_default_settings(struct ide_drive *d);
/* The host has taken or filled the DRQ block. */
void ide_block_done(struct ide_channel *ch);
void ide_abort_transfer(struct ide_channel *ch);
/* The bus master is ready: moves on a command that waits for it. */
void ide_dma_continue(struct ide_channel *ch);
void ide_command_failed(struct ide_drive *d, uint8_t error);

/* ide_identify.c */
void ide_identify(const struct ide_drive *d, uint8_t *out);
void ide_identify_packet(const struct ide_drive *d, uint8_t *out);

/* atapi.c */
void atapi_packet(struct ide_drive *d); /* the PACKET command */
void atapi_block_done(struct ide_channel *ch);
void atapi_dma_continue(struct ide_channel *ch);
void atapi_reset(struct ide_drive *d);   /* any reset: told by a unit attention */
void atapi_restart(struct ide_drive *d); /* power-on and RESET# */
void atapi_state(struct state *s, struct ide_drive *d);

/* ide_dma.c */
extern const struct io_ops ide_dma_ops; /* opaque: struct ide */
void ide_dma_reset(struct ide_dma *dma);
bool ide_dma_active(const struct ide_channel *ch);
/* Copies the table when that has not been done. False: it could not be read. */
bool ide_dma_load(struct ide_channel *ch);
/* Moves len bytes between buf and the regions. */
enum ide_dma_moved {
    IDE_DMA_MOVED,
    IDE_DMA_SHORT,  /* the regions end before */
    IDE_DMA_FAILED, /* to the drive: there is no memory where a region is */
};
enum ide_dma_moved ide_dma_move(struct ide_channel *ch, bool to_memory, uint32_t len);
/* The drive has all it wanted. */
void ide_dma_finish(struct ide_channel *ch);
void ide_dma_interrupt(struct ide_channel *ch); /* INTRQ rose */

#endif
