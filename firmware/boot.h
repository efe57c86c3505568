/*
 * The boot list: made by POST, worked off by INT 19h and 18h, which may come at any time; so it
 * lies in DATA_SEG.
 */
#ifndef FIRMWARE_BOOT_H
#define FIRMWARE_BOOT_H

#include "post16.h"

enum boot_kind {
    BOOT_NONE,
    BOOT_FLOPPY,
    BOOT_DISK,
    BOOT_CD,
    BOOT_BEV, /* an option ROM that loads a system itself */
    BOOT_BCV, /* an option ROM that adds disks to INT 13h */
};

#define BOOT_MAX        16
#define BOOT_NAME_BYTES 44

struct boot_entry {
    uint8_t kind;
    uint8_t drive;     /* FLOPPY, DISK, CD: index among struct drive */
    uint8_t priority;  /* the lower, the earlier */
    uint8_t skip;      /* only from the menu: -boot order= or strict=on leaves it out */
    uint16_t seg, off; /* BEV, BCV */
    char name[BOOT_NAME_BYTES];
};

extern struct boot_entry boot_list[BOOT_MAX];
extern uint8_t boot_count;
extern uint8_t boot_menu;     /* show the menu's prompt */
extern uint16_t boot_menu_ms; /* and wait that long for a key */
extern uint32_t boot_fail_ms; /* restart so long after nothing could be booted; all ones: never */

service_fn boot_start; /* what POST ends with */

#ifdef MODE32

/* Where an option ROM is from, for its place in the boot order. */
struct boot_source {
    const char *name; /* of the file, if it is not from PCI */
    bool is_pci;
    uint16_t bdf;
};

void boot_add_rom(enum boot_kind kind, uint16_t seg, uint16_t off, const char *name,
                  const struct boot_source *source, unsigned instance);

#endif

#endif
