/*
 * The floppy disk controller of a PC, an Intel 82077AA at 3F2h-3F5h and 3F7h, IRQ 6, DMA channel 2,
 * with two drives.
 */
#ifndef VITRINE_DEVICES_FDC_H
#define VITRINE_DEVICES_FDC_H

#include "core/device.h"
#include "devices/dma8237.h"
#include "devices/floppy.h"
#include "host/blk.h"
#include "mmu/iomap.h"

#define FDC_DRIVES 2

struct fdc;

struct fdc_wiring {
    struct iomap *io;
    struct event_queue *events;
    struct log *log;
    struct irq_line irq;
    struct dma8237 *dma;
    struct {
        enum floppy_type type; /* FLOPPY_NONE: no drive */
        struct blk *blk;       /* of a size that fits the drive; NULL: no disk */
    } drive[FDC_DRIVES];
};

/* The images stay the caller's; blk_drain() them before saving a state. NULL: out of memory. */
struct fdc *fdc_create(const struct fdc_wiring *wiring);
struct device *fdc_device(struct fdc *fdc);

/* Takes the disk out of drive n and puts another in, or none (NULL). Returns the one that was in.
 */
struct blk *fdc_change_disk(struct fdc *fdc, unsigned n, struct blk *disk);

#endif
