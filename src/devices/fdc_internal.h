/* What fdc.c, fdc_command.c and fdc_transfer.c share. */
#ifndef VITRINE_DEVICES_FDC_INTERNAL_H
#define VITRINE_DEVICES_FDC_INTERNAL_H

#include "devices/fdc.h"

#define FDC_DMA      2 /* channel */
#define FDC_SELECTS  4 /* drives that commands can name */
#define FDC_FIFO_MAX 16

/* DS "Digital Output Register". */
enum {
    DOR_SELECT = 0x03,
    DOR_NOT_RESET = BIT(2),
    DOR_DMA_GATE = BIT(3), /* lets interrupt and DMA request out */
    DOR_MOTOR_0 = BIT(4),
};

/* DS "Status Register Encoding". */
enum {
    ST0_ABNORMAL = 0x40,
    ST0_INVALID = 0x80,
    ST0_POLLING = 0xC0, /* a drive's readiness changed: after a reset */
    ST0_SEEK_END = BIT(5),
    ST0_EQUIPMENT_CHECK = BIT(4),

    ST1_MISSING_ADDRESS = BIT(0),
    ST1_NOT_WRITABLE = BIT(1),
    ST1_NO_DATA = BIT(2),
    ST1_OVERRUN = BIT(4),
    ST1_DATA_ERROR = BIT(5),
    ST1_END_OF_CYLINDER = BIT(7),

    ST2_BAD_CYLINDER = BIT(1),
    ST2_SCAN_FAILED = BIT(2),
    ST2_SCAN_EQUAL = BIT(3),
    ST2_WRONG_CYLINDER = BIT(4),
    ST2_DATA_ERROR = BIT(5),
    ST2_CONTROL_MARK = BIT(6),

    ST3_TWO_SIDES = BIT(3),
    ST3_TRACK_0 = BIT(4),
    ST3_READY = BIT(5), /* always: the part has no such input */
    ST3_WRITE_PROTECTED = BIT(6),
};

enum {
    CONFIG_NO_POLLING = BIT(4),
    CONFIG_NO_FIFO = BIT(5),
    CONFIG_IMPLIED_SEEK = BIT(6),
    SPECIFY_NO_DMA = BIT(0),
};

/* First byte of a command that moves data. */
enum { CMD_MT = BIT(7), CMD_MFM = BIT(6), CMD_SK = BIT(5) };

/* As plausible as quick: a disk of 1.44M takes a second and a half. No programmed rate counts. */
#define FDC_STEP_NS       (200 * NS_PER_US)
#define FDC_SECTOR_NS     (500 * NS_PER_US)
#define FDC_RESET_NS      (20 * NS_PER_US)
#define FDC_INDEX_NS      (20 * NS_PER_MS) /* two turns without what is looked for */

#define FDC_LAST_CYLINDER 84 /* where the heads of any drive meet their stop */

struct fdc_drive {
    struct fdc *fdc;
    unsigned number;
    enum floppy_type type;
    struct blk *blk;
    const struct floppy_format *format; /* of the disk; derived */
    uint8_t cylinder;                   /* where the heads are */
    bool changed;                       /* the disk change line */
    /* A seek: */
    struct event seek;
    uint8_t target;
    bool seeking;    /* the busy bit, till it was told */
    bool ended;      /* it waits for SENSE INTERRUPT STATUS */
    uint8_t outcome; /* ST0 of that */
    uint8_t pcn;     /* what the controller believes of the cylinder */
};

enum fdc_phase { FDC_COMMAND, FDC_EXECUTION, FDC_RESULT, FDC_PHASES };

enum fdc_op {
    OP_READ,
    OP_READ_DELETED,
    OP_READ_TRACK,
    OP_WRITE,
    OP_WRITE_DELETED,
    OP_VERIFY,
    OP_SCAN_EQUAL,
    OP_SCAN_LOW,
    OP_SCAN_HIGH,
    OP_READ_ID,
    OP_FORMAT,
    OPS,
};

/* The command in its execution phase. */
struct fdc_transfer {
    enum fdc_op op;
    uint8_t drive, head;
    uint8_t c, h, r, n, eot, last; /* as in the command; last: DTL, SC, STP */
    bool multi_track, mfm, skip, count_sectors;
    bool no_dma;
    bool host_turn;    /* without DMA: the FIFO waits for the host */
    bool scan_equal;   /* all compared so far was equal */
    uint8_t left;      /* FORMAT, VERIFY: sectors to go; 0: up to EOT */
    uint32_t pos, len; /* of buf */
};

struct fdc {
    struct device dev;
    struct io_region low_io, high_io;
    struct event_queue *events;
    struct log *log;
    struct irq_line irq;
    struct dma8237 *dma;
    uint8_t dor, tdr, rate;
    uint8_t specify[2], config, precomp, perpendicular, eot;
    bool locked;
    enum fdc_phase phase;
    uint8_t fifo[FDC_FIFO_MAX];
    unsigned pos, len;   /* command: bytes there, bytes wanted; result: next, end */
    bool interrupt;      /* of a reset, a result or data; seeks have theirs in the drive */
    uint8_t reset_sense; /* drives whose ready change is still to be told, after a reset */
    int irq_level;       /* as driven; derived */
    struct event work;   /* what execution waits for */
    bool resetting;      /* work is the end of a reset */
    struct fdc_transfer x;
    struct fdc_drive drive[FDC_SELECTS];
    struct blk_request request;
    struct iovec iov;
    bool in_flight, aborting;
    uint8_t buf[FLOPPY_SECTOR];
};

/* fdc.c */
void fdc_update_irq(struct fdc *f);
void fdc_results(struct fdc *f, const uint8_t *bytes, unsigned count, bool interrupt);
void fdc_idle(struct fdc *f); /* a command without results has ended */

/* fdc_command.c */
void fdc_command_byte(struct fdc *f, uint8_t value);
void fdc_seek_done(void *opaque, int64_t now_ns);

/* fdc_transfer.c */
void fdc_start(struct fdc *f, enum fdc_op op);
void fdc_work(struct fdc *f);
uint8_t fdc_data_read(struct fdc *f);
void fdc_data_write(struct fdc *f, uint8_t value);
void fdc_abort(struct fdc *f);

#endif
