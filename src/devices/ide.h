/*
 * The IDE function of the PIIX3: two channels of two drives each, at the ports every PC has them
 * (1F0h-1F7h and 3F6h, 170h-177h and 376h), with bus-master DMA.
 */
#ifndef VITRINE_DEVICES_IDE_H
#define VITRINE_DEVICES_IDE_H

#include "devices/pci.h"
#include "host/blk.h"

struct ide;

/* What is plugged in: a disk with its image, or a CD-ROM drive with a disc's image or without. */
enum ide_unit_kind { IDE_ABSENT, IDE_DISK, IDE_CDROM };

struct ide_unit {
    enum ide_unit_kind kind;
    struct blk *blk; /* a CD-ROM drive may have NULL: no disc */
};

/*
 * irq: the lines of ISA IRQ 14 and 15. unit: primary master, primary slave, secondary master,
 * secondary slave. The images stay the caller's, to be closed after the device is gone; blk_drain()
 * them before saving a state. NULL when out of memory.
 */
struct ide *ide_create(struct pci_bus *bus, uint8_t devfn, struct iomap *io, struct memmap *mem,
                       struct event_queue *events, struct log *log, const struct irq_line irq[2],
                       const struct ide_unit unit[4]);
struct device *ide_device(struct ide *ide);

/* The disc of CD-ROM drive n (0 to 3), from outside. */
bool ide_tray_open(const struct ide *ide, unsigned n);
bool ide_disc_locked(const struct ide *ide, unsigned n); /* the guest asked that it stay */
/* Tells the guest that somebody pressed the eject button; it may let go. */
void ide_request_eject(struct ide *ide, unsigned n);
/* Puts a disc in and closes the tray; or (NULL) opens the tray and takes the disc out, locked or
 * not. Returns the one that was in, which is not read from any more. */
struct blk *ide_change_disc(struct ide *ide, unsigned n, struct blk *disc);

/* The geometry a disk of this size reports, for the firmware's tables. */
#define IDE_DEFAULT_HEADS   16
#define IDE_DEFAULT_SECTORS 63
uint16_t ide_default_cylinders(uint64_t sectors);

#endif
