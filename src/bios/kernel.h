/*
 * -kernel: boots a kernel without a boot loader. Which kind of image it is, is found here; the
 * loaders (linuxboot.c, multiboot.c) take it apart, and an option ROM of ours fetches the parts
 * through fw_cfg's DMA when the firmware boots it.
 */
#ifndef VITRINE_BIOS_KERNEL_H
#define VITRINE_BIOS_KERNEL_H

#include "config.h"
#include "devices/fwcfg.h"
#include "host/file.h"

#define KERNEL_MAX_BYTES (1 * GiB) /* of each file */

/* SeaBIOS keeps at most this much at the end of RAM (its "high zone") for tables. */
#define KERNEL_FIRMWARE_BYTES (256 * KiB)

/*
 * What is read at the start: the setup code of a Linux image, which has at most 256 sectors, a
 * multiboot header or the beginning of an ELF file.
 */
#define KERNEL_HEAD_BYTES (128 * KiB)

struct kernel_image {
    const char *path;
    struct host_file *file;
    uint8_t *head;     /* min(len, KERNEL_HEAD_BYTES); may be changed by who takes it apart */
    size_t len;        /* of the file */
    uint64_t ram_end;  /* of what a kernel may be loaded to below 4 GiB */
    struct error *err; /* of kernel_image_read */
};

/* Of the file: at + len is at most its length. The first failure goes before all other errors. */
bool kernel_image_read(const struct kernel_image *im, uint64_t at, void *buf, size_t len);

/*
 * Puts kernel, initrd or modules and command line into fw, and the ROM. Returns the ROM's place in
 * the boot order; NULL and err on failure. below_4g: RAM below the PCI hole.
 */
const char *kernel_setup(struct fwcfg *fw, const struct vm_config *cfg, uint64_t below_4g,
                         struct error *err);

#endif
