/*
 * The IDE function of the PIIX3: two channels of two drives each, at the ports every PC has them
 * (1F0h-1F7h and 3F6h, 170h-177h and 376h), with bus-master DMA.
 */
#ifndef VITRINE_DEVICES_IDE_H
#define VITRINE_DEVICES_IDE_H

#include "devices/pci.h"
#include "host/blk.h"

struct ide;

/*
 * irq: the lines of ISA IRQ 14 and 15. disk: primary master, primary slave, secondary master,
 * secondary slave; NULL where there is none. They stay the caller's, to be closed after the
 * device is gone; blk_drain() them before saving a state. NULL when out of memory.
 */
struct ide *ide_create(struct pci_bus *bus, uint8_t devfn, struct iomap *io, struct memmap *mem,
                       struct event_queue *events, struct log *log, const struct irq_line irq[2],
                       struct blk *disk[4]);
struct device *ide_device(struct ide *ide);

/* The geometry a disk of this size reports, for the firmware's tables. */
#define IDE_DEFAULT_HEADS   16
#define IDE_DEFAULT_SECTORS 63
uint16_t ide_default_cylinders(uint64_t sectors);

#endif
