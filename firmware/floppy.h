/* Diskette drives; 16-bit code. */
#ifndef FIRMWARE_FLOPPY_H
#define FIRMWARE_FLOPPY_H

#include "drive.h"

/* INT 13h AH=02h to 04h; *count: sectors asked for, then moved. */
uint8_t floppy_chs(const struct bregs *r, struct drive *d, enum disk_command command,
                   uint16_t *count);

/* AH=05h, 16h, 17h, 18h; -1: not one of these. */
int floppy_service(struct bregs *r, struct drive *d);

uint8_t floppy_reset(struct drive *d);

/* The largest that the drive takes, which is what AH=08h tells. */
struct geometry floppy_geometry(const struct drive *d);

/* IRQ 0 calls it: stops the motors when their time is over. */
void floppy_tick(void);

#endif
