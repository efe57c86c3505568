/* -kernel with a multiboot kernel: taken apart here, started by firmware/multiboot.S. */
#ifndef VITRINE_BIOS_MULTIBOOT_H
#define VITRINE_BIOS_MULTIBOOT_H

#include "bios/kernel_parts.h"

bool multiboot_detect(const struct kernel_image *im);

/* Puts kernel, modules (-initrd "FILE ARGS,FILE ARGS") and command line into fw, and the ROM. */
bool multiboot_setup(struct fwcfg *fw, const struct vm_config *cfg, const struct kernel_image *im,
                     struct error *err);

#endif
