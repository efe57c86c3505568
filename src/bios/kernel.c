/* See kernel.h. */
#include "bios/kernel.h"
#include "bios/linuxboot.h"
#include "bios/multiboot.h"
#include "bios/pvh.h"
#include "bios/rom.h"

#include <stdlib.h>

static bool is_gzip(const struct kernel_image *im)
{
    return im->len >= 3 && !memcmp(im->data, "\x1f\x8b\x08", 3); /* RFC 1952 */
}

static const char *take_apart(struct fwcfg *fw, const struct vm_config *cfg,
                              struct kernel_image *im, struct error *err)
{
    /* Some images are both: a Linux image's own start is the one that its makers test. */
    if (linuxboot_detect(im))
        return linuxboot_setup(fw, cfg, im, err) ? LINUXBOOT_BOOT_PATH : NULL;
    if (multiboot_detect(im))
        return multiboot_setup(fw, cfg, im, err) ? MULTIBOOT_BOOT_PATH : NULL;
    if (pvh_detect(im))
        return pvh_setup(fw, cfg, im, err) ? MULTIBOOT_BOOT_PATH : NULL;
    if (is_gzip(im))
        error_set(err, "kernel '%s' is compressed: unpack it with gunzip first", im->path);
    else
        error_set(
            err,
            "kernel '%s': neither a Linux kernel image (bzImage) nor a multiboot kernel nor an "
            "ELF file with a PVH note",
            im->path);
    return NULL;
}

const char *kernel_setup(struct fwcfg *fw, const struct vm_config *cfg, uint64_t below_4g,
                         struct error *err)
{
    struct kernel_image im = {
        .path = cfg->kernel,
        .ram_end = below_4g > KERNEL_FIRMWARE_BYTES ? below_4g - KERNEL_FIRMWARE_BYTES : 0,
    };
    im.data = rom_read_file(cfg->kernel, "kernel", KERNEL_MAX_BYTES, &im.len, err);
    if (!im.data)
        return NULL;
    const char *path = take_apart(fw, cfg, &im, err);
    free(im.data);
    return path;
}
