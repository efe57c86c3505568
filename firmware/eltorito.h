/* Booting CDs, and the disks that some of them pretend to be; 16-bit code. */
#ifndef FIRMWARE_ELTORITO_H
#define FIRMWARE_ELTORITO_H

#include "drive.h"

enum eltorito_media { MEDIA_NONE, MEDIA_1200K, MEDIA_1440K, MEDIA_2880K, MEDIA_DISK };

/* The emulation that is going on, as the specification packet of INT 13h AX=4B01h tells it. */
struct cd_emulation {
    bool active; /* media is something and INT 13h of number is ours */
    uint8_t media, number;
    uint8_t drive; /* the CD's index among drives[] */
    uint32_t lba;  /* of the image, in 2048 bytes */
    uint16_t load_seg, load_sectors;
    struct geometry geometry;
};

extern struct cd_emulation cd_emulation;

/* Loads what the disc boots; NULL, or why it cannot be booted. */
const char *eltorito_load(struct drive *d, uint8_t cd_number, uint16_t *seg, uint8_t *number);

/* INT 13h for the emulated drive: 512-byte sectors of the image. */
uint8_t eltorito_read(uint32_t lba, uint16_t *count, uint64_t address);
uint32_t eltorito_sectors(void);

/* INT 13h AH=4Ah to 4Dh; the status. */
uint8_t eltorito_service(struct bregs *r);

#endif
