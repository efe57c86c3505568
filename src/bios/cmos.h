/* The bytes of battery-backed memory that firmware reads before it knows fw_cfg, or besides it. */
#ifndef VITRINE_BIOS_CMOS_H
#define VITRINE_BIOS_CMOS_H

#include "config.h"

/* An IDE disk as its IDENTIFY DEVICE data describe it; sectors 0: none. */
struct bios_disk {
    uint16_t cylinders;
    uint8_t heads, sectors; /* per cylinder, per track */
};

/*
 * Memory sizes, equipment, boot order, number of CPUs. Registers of the clock are not touched.
 * floppy: types of the drives (devices/floppy.h), 0: none.
 */
void bios_fill_cmos(const struct vm_config *cfg, const uint8_t floppy[CONFIG_MAX_FLOPPY],
                    void (*set)(void *opaque, uint8_t index, uint8_t value), void *opaque);

/* The boot order alone, in -boot's letters; NULL: the firmware's own. */
void bios_fill_boot_order(const struct vm_config *cfg, const char *order,
                          void (*set)(void *opaque, uint8_t index, uint8_t value), void *opaque);

/* Types and geometries of hda to hdd. */
void bios_fill_cmos_disks(const struct bios_disk disk[CONFIG_MAX_IDE],
                          void (*set)(void *opaque, uint8_t index, uint8_t value), void *opaque);

#endif
