/* -kernel with an ELF file that has a PVH entry, as Linux' vmlinux: started by
 * firmware/multiboot.S. */
#ifndef VITRINE_BIOS_PVH_H
#define VITRINE_BIOS_PVH_H

#include "bios/kernel_parts.h"

bool pvh_detect(const struct kernel_image *im);

/* Puts kernel, initrd and command line into fw, and the ROM. */
bool pvh_setup(struct fwcfg *fw, const struct vm_config *cfg, const struct kernel_image *im,
               struct error *err);

#endif
