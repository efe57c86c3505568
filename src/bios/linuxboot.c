/*
 * See linuxboot.h. The Linux/x86 boot protocol (Documentation/x86/boot.rst of Linux), 2.00 and
 * later. The image is a boot sector with a header at 1F1h, the rest of the real-mode setup code,
 * and the protected-mode kernel:
 *
 *      0A0000   +---------------------------+
 *               |  (free, EBDA)             |
 *      020000   |  command line             |  zImage: 98000h
 *               +---------------------------+
 *               |  heap and stack           |
 *      010000   |  setup: image's beginning |  zImage: 90000h
 *               +---------------------------+
 *      100000   |  kernel: image's rest     |  zImage: 10000h
 *               ...
 *      initrd   |  as high as the kernel allows, below what firmware keeps at the end of RAM
 */
#include "bios/linuxboot.h"
#include "bios/kernel_bytes.h"
#include "bios/linuxboot_rom.h"

#include <inttypes.h>
#include <stdlib.h>

/* The setup header: "The Real-Mode Kernel Header". */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_VID_MODE = 0x1fa,
    HDR_SIGNATURE = 0x202,
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_HEAP_END_PTR = 0x224,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_END = 0x268,

    OLD_CL_MAGIC = 0x20, /* how the command line is named before 2.02 */
    OLD_CL_OFFSET = 0x22,
    OLD_CL_VALUE = 0xa33f,

    LOADFLAG_LOADED_HIGH = BIT(0),
    LOADFLAG_CAN_USE_HEAP = BIT(7),
    LOADER_UNDEFINED = 0xff, /* no number has been assigned to us */
};

struct image {
    uint8_t *data; /* the file's beginning, with all of the setup code */
    size_t len, setup_len;
    unsigned version;
    bool high;
    uint64_t setup_addr, cmdline_addr, kernel_addr, kernel_end;
};

static bool parse_image(struct image *im, const char *path, struct error *err)
{
    im->version = ld16(im->data + HDR_VERSION);
    unsigned sectors = im->data[HDR_SETUP_SECTS] ? im->data[HDR_SETUP_SECTS] : 4;
    im->setup_len = (sectors + 1) * (size_t)512;
    if (im->version < 0x200 || im->setup_len >= im->len)
        return error_set(err,
                         "kernel '%s': the image is cut off or too old (boot protocol %u.%02u)",
                         path, im->version >> 8, im->version & 0xff);
    im->high = im->data[HDR_LOADFLAGS] & LOADFLAG_LOADED_HIGH;
    im->setup_addr = im->high ? 0x10000 : 0x90000;
    im->cmdline_addr = im->high ? 0x20000 : 0x98000;
    im->kernel_addr = im->high ? 0x100000 : 0x10000;
    im->kernel_end = im->kernel_addr + (im->len - im->setup_len);
    /* the protocol's "Memory Layout": a zImage ends where its setup code begins */
    if (!im->high && im->kernel_end > im->setup_addr)
        return error_set(err,
                         "kernel '%s': %zu bytes are too many for a zImage, which is loaded below "
                         "576 KiB",
                         path, im->len - im->setup_len);
    if (im->setup_addr + im->setup_len > im->cmdline_addr)
        return error_set(err, "kernel '%s': its setup code of %zu bytes is too long", path,
                         im->setup_len);
    return true;
}

/* "vga=" is for the boot loader to understand: the protocol's "Special Command Line Options". */
static void set_video_mode(struct image *im, const char *cmdline)
{
    const char *p = strstr(cmdline, "vga=");
    while (p && p != cmdline && p[-1] != ' ') /* the end of another option's name */
        p = strstr(p + 1, "vga=");
    if (!p)
        return;
    p += 4;
    uint16_t mode = 0xffff; /* normal */
    if (!strncmp(p, "ext", 3))
        mode = 0xfffe;
    else if (!strncmp(p, "ask", 3))
        mode = 0xfffd;
    else if (strncmp(p, "normal", 6) != 0)
        mode = (uint16_t)strtoul(p, NULL, 0);
    st16(im->data + HDR_VID_MODE, mode);
}

static bool add_cmdline(struct fwcfg *fw, struct image *im, const char *path, const char *cmdline,
                        struct error *err)
{
    size_t len = strlen(cmdline) + 1;
    size_t max = im->version >= 0x206 ? ld32(im->data + HDR_CMDLINE_SIZE) : 255;
    if (len - 1 > max || len > 32 * KiB)
        return error_set(err, "-append: %zu characters are too many for kernel '%s' (at most %zu)",
                         len - 1, path, max);
    if (im->version >= 0x202) {
        st32(im->data + HDR_CMD_LINE_PTR, (uint32_t)im->cmdline_addr);
    } else {
        st16(im->data + OLD_CL_MAGIC, OLD_CL_VALUE);
        st16(im->data + OLD_CL_OFFSET, (uint16_t)(im->cmdline_addr - im->setup_addr));
    }
    set_video_mode(im, cmdline);
    fwcfg_add_u32(fw, FWCFG_CMDLINE_ADDR, (uint32_t)im->cmdline_addr);
    fwcfg_add_u32(fw, FWCFG_CMDLINE_SIZE, (uint32_t)len);
    fwcfg_add_item(fw, FWCFG_CMDLINE_DATA, cmdline, len);
    return true;
}

/* What the firmware will ask for, from from on to the file's end. */
static bool give_file(struct fwcfg *fw, uint16_t key, struct host_file *file, uint64_t from,
                      struct error *err)
{
    struct kernel_bytes bytes = {0};
    const uint64_t len = host_file_bytes(file) - from;
    if (!kernel_bytes_add(&bytes, &(struct kernel_piece){file, from, len, len}))
        return error_set(err, "out of memory");
    const bool ok = kernel_bytes_give(&bytes, fw, key, err);
    kernel_bytes_clear(&bytes);
    return ok;
}

/* As high as the kernel and RAM allow, so that it is out of the way of what unpacks itself low. */
static bool add_initrd(struct fwcfg *fw, struct image *im, const char *path, uint64_t ram_end,
                       struct error *err)
{
    if (!path)
        return true;
    struct host_file *file = host_file_open(path, "initrd", KERNEL_MAX_BYTES, err);
    if (!file)
        return false;
    const uint64_t len = host_file_bytes(file);
    uint64_t last = im->version >= 0x203 ? ld32(im->data + HDR_INITRD_ADDR_MAX) : 0x37ffffff;
    uint64_t end = MIN(last + 1, ram_end);
    uint64_t start = end > len ? (end - len) & PAGE_MASK : 0;
    if (start < MAX(im->kernel_end, MiB)) {
        host_file_close(file);
        return error_set(err,
                         "initrd '%s': %" PRIu64
                         " bytes do not fit into the guest's memory beside the "
                         "kernel; give a larger -m",
                         path, len);
    }
    st32(im->data + HDR_RAMDISK_IMAGE, (uint32_t)start);
    st32(im->data + HDR_RAMDISK_SIZE, (uint32_t)len);
    fwcfg_add_u32(fw, FWCFG_INITRD_ADDR, (uint32_t)start);
    fwcfg_add_u32(fw, FWCFG_INITRD_SIZE, (uint32_t)len);
    const bool ok = give_file(fw, FWCFG_INITRD_DATA, file, 0, err);
    host_file_close(file);
    return ok;
}

/* Last, when the header has its final form. */
static bool add_kernel(struct fwcfg *fw, struct image *im, struct host_file *file,
                       struct error *err)
{
    im->data[HDR_TYPE_OF_LOADER] = LOADER_UNDEFINED;
    if (im->version >= 0x201) {
        im->data[HDR_LOADFLAGS] |= LOADFLAG_CAN_USE_HEAP;
        /* "heap_end_ptr": from setup's start, less 200h for the stack. */
        st16(im->data + HDR_HEAP_END_PTR, (uint16_t)(im->cmdline_addr - im->setup_addr - 0x200));
    }
    size_t kernel_len = im->len - im->setup_len;
    fwcfg_add_u32(fw, FWCFG_SETUP_ADDR, (uint32_t)im->setup_addr);
    fwcfg_add_u32(fw, FWCFG_SETUP_SIZE, (uint32_t)im->setup_len);
    fwcfg_add_item(fw, FWCFG_SETUP_DATA, im->data, im->setup_len);
    fwcfg_add_u32(fw, FWCFG_KERNEL_ADDR, (uint32_t)im->kernel_addr);
    fwcfg_add_u32(fw, FWCFG_KERNEL_SIZE, (uint32_t)kernel_len);
    return give_file(fw, FWCFG_KERNEL_DATA, file, im->setup_len, err);
}

bool linuxboot_detect(const struct kernel_image *image)
{
    return image->len >= HDR_END && !memcmp(image->head + HDR_SIGNATURE, "HdrS", 4);
}

bool linuxboot_setup(struct fwcfg *fw, const struct vm_config *cfg,
                     const struct kernel_image *image, struct error *err)
{
    struct image im = {.data = image->head, .len = image->len};
    if (!parse_image(&im, image->path, err))
        return false;
    if (im.high && im.kernel_end > image->ram_end)
        return error_set(
            err, "kernel '%s': %zu bytes do not fit into the guest's memory; give a larger -m",
            image->path, im.len);
    if (!add_cmdline(fw, &im, image->path, cfg->append ? cfg->append : "", err) ||
        !add_initrd(fw, &im, cfg->initrd, image->ram_end, err) ||
        !add_kernel(fw, &im, image->file, err))
        return false;
    fwcfg_add_file(fw, LINUXBOOT_ROM_FILE, linuxboot_rom, sizeof linuxboot_rom);
    return true;
}
