/*
 * See multiboot.h. The Multiboot Specification, version 0.6.96. A kernel has a header in its first
 * 8 KiB and is an ELF file, or says in the header where its bytes go (the "a.out kludge"). It is
 * loaded, its modules page-aligned behind it, and entered in flat protected mode with the address
 * of the multiboot information in EBX.
 *
 * Everything is settled here but what only the running machine knows: the memory map and the video
 * mode, which the option ROM adds. Where its tables lie in low memory is up to kernel_parts.c.
 *
 * Given: memory sizes and map, command line, modules, loader name, video mode (framebuffer and VBE
 * information). Not given, and their flags clear: boot device (there is none), section headers and
 * symbols, drives, configuration table, APM.
 */
#include "bios/multiboot.h"
#include "bios/kernel_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* §3.1 "OS image format". */
#define HEADER_MAGIC UINT32_C(0x1badb002)
enum {
    HEADER_SEARCH = 8192,
    HDR_FLAGS = 4,
    HDR_CHECKSUM = 8,
    HDR_HEADER_ADDR = 12,
    HDR_LOAD_ADDR = 16,
    HDR_LOAD_END_ADDR = 20,
    HDR_BSS_END_ADDR = 24,
    HDR_ENTRY_ADDR = 28,
    HDR_MODE_TYPE = 32,
    HDR_WIDTH = 36,
    HDR_HEIGHT = 40,
    HDR_DEPTH = 44,

    WANTS_PAGE_ALIGN = BIT(0),
    WANTS_MEMORY = BIT(1),
    WANTS_VIDEO = BIT(2),
    WANTS_UNKNOWN = 0xffff & ~(WANTS_PAGE_ALIGN | WANTS_MEMORY | WANTS_VIDEO),
    HAS_ADDRESSES = BIT(16),
    MODE_TEXT = 1,
};

/* §3.3 "Boot information format". */
enum {
    INFO_FLAGS = 0,
    INFO_CMDLINE = 16,
    INFO_MODS_COUNT = 20,
    INFO_MODS_ADDR = 24,
    INFO_LOADER_NAME = 64,
    INFO_FB_WIDTH = 100,
    INFO_FB_HEIGHT = 104,
    INFO_FB_BPP = 108,
    INFO_FB_TYPE = 109,
    INFO_HEADER_BYTES = 116,
    MODULE_BYTES = 16,

    FLAG_MEMORY = BIT(0),
    FLAG_CMDLINE = BIT(2),
    FLAG_MODS = BIT(3),
    FLAG_MMAP = BIT(6),
    FLAG_LOADER_NAME = BIT(9),
    FLAG_FRAMEBUFFER = BIT(12),
    FB_RGB = 1,
    FB_TEXT = 2,
};

#define MODULES_MAX 256

struct loader {
    struct kernel_parts k;
    size_t header; /* offset in the file */
};

/* ---- the header ---- */

static uint32_t header_field(const struct loader *l, unsigned field)
{
    return ld32(l->k.im->head + l->header + field);
}

/* §3.1.1: 4-byte aligned, whole within the first 8 KiB. */
static bool find_header(const struct kernel_image *im, size_t *at)
{
    for (size_t i = 0; i + 12 <= MIN(im->len, HEADER_SEARCH); i += 4) {
        const uint8_t *h = im->head + i;
        if (ld32(h) == HEADER_MAGIC &&
            (uint32_t)(ld32(h) + ld32(h + HDR_FLAGS) + ld32(h + HDR_CHECKSUM)) == 0) {
            *at = i;
            return true;
        }
    }
    return false;
}

bool multiboot_detect(const struct kernel_image *im)
{
    size_t at;
    return find_header(im, &at);
}

static bool check_header(struct loader *l)
{
    const uint32_t flags = header_field(l, HDR_FLAGS);
    const unsigned bytes = flags & WANTS_VIDEO     ? HDR_DEPTH + 4
                           : flags & HAS_ADDRESSES ? HDR_ENTRY_ADDR + 4
                                                   : HDR_CHECKSUM + 4;
    if (flags & WANTS_UNKNOWN)
        return error_set(l->k.err,
                         "kernel '%s': its multiboot header wants what is not known (flags %x)",
                         l->k.im->path, flags & WANTS_UNKNOWN);
    if (l->header + bytes > l->k.im->len)
        return error_set(l->k.err, "kernel '%s': its multiboot header is cut off", l->k.im->path);
    return true;
}

/* ---- placing ---- */

/* §3.1.3 "The address fields of Multiboot header". */
static bool place_by_header(struct loader *l)
{
    const uint32_t header_addr = header_field(l, HDR_HEADER_ADDR);
    const uint32_t load = header_field(l, HDR_LOAD_ADDR);
    const uint32_t load_end = header_field(l, HDR_LOAD_END_ADDR);
    const uint32_t bss_end = header_field(l, HDR_BSS_END_ADDR);
    const uint64_t before = (uint64_t)header_addr - load; /* of the image, before its header */
    l->k.entry = header_field(l, HDR_ENTRY_ADDR);
    if (load > header_addr || before > l->header || (load_end && load_end < load))
        return error_set(l->k.err, "kernel '%s': the addresses in its multiboot header disagree",
                         l->k.im->path);
    const uint64_t offset = l->header - before;
    const uint64_t filled = load_end ? load_end - load : l->k.im->len - offset;
    if (filled > l->k.im->len - offset)
        return error_set(l->k.err, "kernel '%s': the file is cut off", l->k.im->path);
    const uint64_t len = bss_end ? (uint64_t)bss_end - load : filled;
    if (bss_end && (bss_end < load || len < filled))
        return error_set(l->k.err, "kernel '%s': the addresses in its multiboot header disagree",
                         l->k.im->path);
    return parts_add(&l->k, "kernel", load,
                     &(struct kernel_piece){l->k.im->file, offset, filled, len});
}

static bool place_elf(struct loader *l)
{
    if (!parts_is_elf(l->k.im))
        return error_set(l->k.err,
                         "kernel '%s': a multiboot kernel that is no ELF file must say in its "
                         "header where it goes",
                         l->k.im->path);
    return parts_place_elf(&l->k);
}

/* ---- the information ---- */

static void info_set(struct loader *l, unsigned field, uint32_t v)
{
    st32(l->k.info + field, v);
}

/* The file's name, a blank, and the arguments: as boot loaders pass it. */
static bool add_cmdline(struct loader *l, const char *append)
{
    const size_t path_len = strlen(l->k.im->path);
    const uint32_t at = parts_info(&l->k, l->k.im->path, path_len);
    if (!at || !parts_info(&l->k, " ", 1) || !parts_info(&l->k, append, strlen(append) + 1))
        return false;
    info_set(l, INFO_CMDLINE, at);
    return true;
}

static void add_video(struct loader *l)
{
    const bool text = header_field(l, HDR_MODE_TYPE) == MODE_TEXT;
    const uint32_t width = header_field(l, HDR_WIDTH), height = header_field(l, HDR_HEIGHT);
    const uint32_t depth = header_field(l, HDR_DEPTH);
    info_set(l, INFO_FB_WIDTH, width ? width : 1024); /* 0: the kernel has no preference */
    info_set(l, INFO_FB_HEIGHT, height ? height : 768);
    l->k.info[INFO_FB_BPP] = depth && depth <= 32 ? (uint8_t)depth : 32;
    l->k.info[INFO_FB_TYPE] = text ? FB_TEXT : FB_RGB;
    info_set(l, INFO_FLAGS, ld32(l->k.info + INFO_FLAGS) | FLAG_FRAMEBUFFER);
}

/* ---- modules ---- */

/* "FILE ARGS", loaded behind what there is; entry: its place in the list of modules. */
static bool add_module(struct loader *l, uint8_t *entry, const char *text)
{
    char path[4096];
    const char *blank = strchr(text, ' ');
    const size_t path_len = blank ? (size_t)(blank - text) : strlen(text);
    const uint64_t at = (MAX(l->k.end, MiB) + PAGE_SIZE - 1) & PAGE_MASK;
    if (path_len >= sizeof path)
        return error_set(l->k.err, "-initrd: the name of a file is too long");
    memcpy(path, text, path_len);
    path[path_len] = '\0';
    struct host_file *file = host_file_open(path, "module", KERNEL_MAX_BYTES, l->k.err);
    if (!file)
        return false;
    char what[128];
    snprintf(what, sizeof what, "module '%.100s'", path);
    const uint64_t len = host_file_bytes(file);
    const bool ok = parts_add(&l->k, what, at, &(struct kernel_piece){file, 0, len, len});
    host_file_close(file);
    const uint32_t string = ok ? parts_info(&l->k, text, strlen(text) + 1) : 0;
    st32(entry, (uint32_t)at);
    st32(entry + 4, (uint32_t)(at + len));
    st32(entry + 8, string);
    st32(entry + 12, 0);
    return string != 0;
}

/* The next of a list parted by commas, ",," being one of the text's; NULL at the end. */
static char *next_module(const char **list)
{
    const char *s = *list;
    char *text = malloc(strlen(s) + 1), *out = text;
    if (!text)
        return NULL;
    for (; *s; s++) {
        if (*s == ',' && *++s != ',')
            break;
        *out++ = *s;
    }
    *out = '\0';
    *list = s;
    return text;
}

static unsigned count_modules(const char *list)
{
    unsigned count = 1;
    for (const char *s = list; *s; s++) {
        if (*s == ',' && *++s != ',') {
            count++;
            s--;
        }
    }
    return count;
}

static bool add_modules(struct loader *l, const char *list)
{
    const unsigned count = count_modules(list);
    if (count > MODULES_MAX)
        return error_set(l->k.err, "-initrd: more than %d modules", MODULES_MAX);
    const uint32_t mods = parts_info(&l->k, NULL, count * (size_t)MODULE_BYTES);
    if (!mods)
        return false;
    for (unsigned i = 0; i < count; i++) {
        char *text = next_module(&list);
        const bool ok =
            text &&
            add_module(l, l->k.info + (mods - l->k.base - INFO_AT) + i * MODULE_BYTES, text);
        free(text);
        if (!ok)
            return l->k.err->msg[0] ? false : error_set(l->k.err, "out of memory");
    }
    info_set(l, INFO_MODS_COUNT, count);
    info_set(l, INFO_MODS_ADDR, mods);
    return true;
}

/* ---- all of it ---- */

static bool load(struct loader *l, const struct vm_config *cfg)
{
    info_set(l, INFO_FLAGS, FLAG_MEMORY | FLAG_CMDLINE | FLAG_MMAP | FLAG_LOADER_NAME | FLAG_MODS);
    if (!check_header(l) ||
        !(header_field(l, HDR_FLAGS) & HAS_ADDRESSES ? place_by_header(l) : place_elf(l)) ||
        !parts_choose_base(&l->k))
        return false;
    l->k.info_len = INFO_HEADER_BYTES;
    if (cfg->initrd && !add_modules(l, cfg->initrd))
        return false;
    const uint32_t name = parts_info(&l->k, "vitrine", sizeof "vitrine");
    if (!name || !add_cmdline(l, cfg->append ? cfg->append : ""))
        return false;
    info_set(l, INFO_LOADER_NAME, name);
    if (header_field(l, HDR_FLAGS) & WANTS_VIDEO)
        add_video(l);
    return true;
}

bool multiboot_setup(struct fwcfg *fw, const struct vm_config *cfg, const struct kernel_image *im,
                     struct error *err)
{
    struct loader *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, "out of memory for kernel '%s'", im->path);
    l->k.im = im;
    l->k.err = err;
    const bool ok = find_header(im, &l->header) && load(l, cfg) && parts_give(&l->k, fw);
    kernel_bytes_clear(&l->k.bytes);
    free(l);
    return ok;
}
