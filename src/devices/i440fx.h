/*
 * The host bridge (82441FX PMC): configuration ports, where RAM, ROM and SMRAM show up, PAM.
 * One allocation of RAM is handed in; its first below_4g bytes lie at 0, the rest at 4 GiB.
 */
#ifndef VITRINE_DEVICES_I440FX_H
#define VITRINE_DEVICES_I440FX_H

#include "devices/pci.h"

struct i440fx;

struct i440fx_config {
    struct pci_bus *bus;         /* its io and mem are the maps everything is wired to */
    ram_t ram;                   /* of below_4g + above_4g bytes */
    uint64_t below_4g, above_4g; /* page multiples; below_4g at least 1 MiB */
    ram_t bios;                  /* the firmware image: at 4 GiB - bios_size, and */
    uint64_t bios_size;          /* its last 128 KiB at E0000h; page multiple, at most 16 MiB */
};

/*
 * How a PC of this class splits its RAM around the PCI hole: all of it below while less than
 * 3.5 GiB, else 3 GiB below and the rest above 4 GiB (what firmware for it expects).
 */
void i440fx_split_ram(uint64_t ram_bytes, uint64_t *below_4g, uint64_t *above_4g);

/* Function 00.0; claims ports CF8h-CFFh. To be created before piix3, whose CF9h lies over them. */
struct i440fx *i440fx_create(struct device_list *devices, const struct i440fx_config *cfg);

#endif
