/*
 * The memory map: what there is, as the emulator says, and what the firmware keeps of it. The map
 * itself is in DATA_SEG, since INT 15h tells it for ever.
 */
#ifndef FIRMWARE_RAM_H
#define FIRMWARE_RAM_H

#include "mode.h"

enum {
    E820_RAM = 1,
    E820_RESERVED = 2,
    E820_ACPI = 3,
    E820_NVS = 4,
};

#define E820_MAX 32

struct e820_entry {
    uint64_t start, bytes;
    uint32_t type;
} PACKED;

extern struct e820_entry e820_map[E820_MAX];
extern uint16_t e820_count;

#ifdef MODE32

/* Asks for the map and puts the firmware's own places into it. */
void ram_init(void);

/* One range gets this type, whatever was there before. */
void e820_set(uint64_t start, uint64_t bytes, uint32_t type);

/* Where RAM below 4 GiB, and above, ends; 0 when there is none above. */
uint32_t ram_top_low(void);
uint64_t ram_top_high(void);

/* At the end of RAM below 4 GiB, for ever (type reserved), or in segment F000h; 0: no room. */
void *alloc_high(uint32_t bytes, uint32_t align);

/* In segment F000h, for ever; 0 when there is no room. */
void *alloc_fseg(uint32_t bytes, uint32_t align);

/* In conventional memory, until POST ends; 0 when there is no room. */
void *alloc_temp(uint32_t bytes);
void free_temp(void *p); /* and all that was taken after it */

#endif

#endif
