/*
 * -kernel: boots a Linux kernel image without a boot loader. The image is taken apart here, by the
 * Linux/x86 boot protocol; a small option ROM (firmware/linuxboot.S) fetches the parts through
 * fw_cfg's DMA when the firmware boots it. OVMF takes the same parts itself.
 */
#ifndef VITRINE_BIOS_LINUXBOOT_H
#define VITRINE_BIOS_LINUXBOOT_H

#include "config.h"
#include "devices/fwcfg.h"

#define LINUXBOOT_ROM_FILE  "genroms/linuxboot.bin"
#define LINUXBOOT_BOOT_PATH "/rom@" LINUXBOOT_ROM_FILE

/* Puts kernel, initrd and command line into fw, and the ROM. below_4g: RAM below the PCI hole. */
bool linuxboot_setup(struct fwcfg *fw, const struct vm_config *cfg, uint64_t below_4g,
                     struct error *err);

#endif
