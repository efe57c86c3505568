/* INT 13h's drive numbers; 16-bit code. */
#ifndef FIRMWARE_DISK_H
#define FIRMWARE_DISK_H

#include "drive.h"

/* NULL if no drive of the board has the number. */
struct drive *disk_by_number(uint8_t number);

/* Numbers for the disks in order of the boot list; this disk becomes 80h, the rest moves up. */
void disk_number_all(void);
void disk_make_first(uint8_t drive);

#endif
