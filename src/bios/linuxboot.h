/*
 * -kernel with a Linux kernel image: taken apart here, by the Linux/x86 boot protocol; started by
 * firmware/linuxboot.S. OVMF takes the same parts itself.
 */
#ifndef VITRINE_BIOS_LINUXBOOT_H
#define VITRINE_BIOS_LINUXBOOT_H

#include "bios/kernel.h"

#define LINUXBOOT_ROM_FILE  "genroms/linuxboot.bin"
#define LINUXBOOT_BOOT_PATH "/rom@" LINUXBOOT_ROM_FILE

bool linuxboot_detect(const struct kernel_image *image);

/* Puts kernel, initrd and command line into fw, and the ROM. Fills in the header in image's head.
 */
bool linuxboot_setup(struct fwcfg *fw, const struct vm_config *cfg,
                     const struct kernel_image *image, struct error *err);

#endif
