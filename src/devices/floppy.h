/*
 * Floppy drives and the disks that fit them: which layout an image of so many bytes has.
 */
#ifndef VITRINE_DEVICES_FLOPPY_H
#define VITRINE_DEVICES_FLOPPY_H

#include "core/types.h"

#define FLOPPY_SECTOR 512u

/* Numbered as the AT's CMOS byte 10h does. */
enum floppy_type {
    FLOPPY_NONE,
    FLOPPY_360K,
    FLOPPY_1200K,
    FLOPPY_720K,
    FLOPPY_1440K,
    FLOPPY_2880K,
    FLOPPY_TYPES,
};

/* Data rate codes of the 82077AA's DSR and CCR, in kbit/s. */
enum { RATE_500, RATE_300, RATE_250, RATE_1000 };

struct floppy_format {
    uint16_t sectors; /* of the whole disk */
    uint8_t cylinders, heads, per_track;
    uint8_t drives; /* BIT(type) of those that take it */
    uint8_t rate;   /* in its own drive */
};

const char *floppy_type_name(enum floppy_type type); /* "1.44M" */

/*
 * The layout of an image of that size in a drive; drive FLOPPY_NONE: in any. A size of no layout
 * (*exact false) is the beginning of a disk of the drive's own layout, or without a drive of 1.44M
 * or 2.88M. NULL: too large, or a disk for another drive.
 */
const struct floppy_format *floppy_format(uint64_t bytes, enum floppy_type drive, bool *exact);
/* The drive whose own format it is. */
enum floppy_type floppy_home(const struct floppy_format *format);
/* Data rate in that drive; steps from one cylinder of the disk to the next: 1 or 2. */
uint8_t floppy_rate(const struct floppy_format *format, enum floppy_type drive);
uint8_t floppy_steps(const struct floppy_format *format, enum floppy_type drive);

#endif
