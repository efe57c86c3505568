/* See kernel.h. */
#include "bios/kernel.h"
#include "bios/linuxboot.h"
#include "bios/multiboot.h"
#include "bios/pvh.h"

#include <stdlib.h>

bool kernel_image_read(const struct kernel_image *im, uint64_t at, void *buf, size_t len)
{
    return host_file_read(im->file, at, buf, len, im->err);
}

static bool is_gzip(const struct kernel_image *im)
{
    return im->len >= 3 && !memcmp(im->head, "\x1f\x8b\x08", 3); /* RFC 1952 */
}

static const char *take_apart(struct fwcfg *fw, const struct vm_config *cfg,
                              const struct kernel_image *im, struct error *err)
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

static bool read_head(struct kernel_image *im)
{
    const size_t bytes = MIN(im->len, KERNEL_HEAD_BYTES);
    im->head = malloc(bytes ? bytes : 1);
    if (!im->head)
        return error_set(im->err, "out of memory for kernel '%s'", im->path);
    return kernel_image_read(im, 0, im->head, bytes);
}

const char *kernel_setup(struct fwcfg *fw, const struct vm_config *cfg, uint64_t below_4g,
                         struct error *err)
{
    struct kernel_image im = {
        .path = cfg->kernel,
        .ram_end = below_4g > KERNEL_FIRMWARE_BYTES ? below_4g - KERNEL_FIRMWARE_BYTES : 0,
        .err = err,
    };
    im.file = host_file_open(cfg->kernel, "kernel", KERNEL_MAX_BYTES, err);
    if (!im.file)
        return NULL;
    im.len = host_file_bytes(im.file);
    const char *path = read_head(&im) ? take_apart(fw, cfg, &im, err) : NULL;
    free(im.head);
    host_file_close(im.file);
    return path;
}
