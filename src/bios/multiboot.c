/*
 * See multiboot.h. The Multiboot Specification, version 0.6.96. A kernel has a header in its first
 * 8 KiB and is an ELF file, or says in the header where its bytes go (the "a.out kludge"). It is
 * loaded, its modules page-aligned behind it, and entered in flat protected mode with the address
 * of the multiboot information in EBX.
 *
 * Everything is settled here but what only the running machine knows: the memory map and the video
 * mode, which the option ROM adds. The ROM's own places in low memory are in firmware/multiboot.S.
 *
 * Given: memory sizes and map, command line, modules, loader name, video mode (framebuffer and VBE
 * information). Not given, and their flags clear: boot device (there is none), section headers and
 * symbols, drives, configuration table, APM.
 */
#include "bios/multiboot.h"
#include "bios/multiboot_rom.h"
#include "bios/rom.h"

#include <stdio.h>
#include <stdlib.h>

/* Low memory as firmware/multiboot.S has it. */
enum {
    PARTS_ADDR = 0x8000,
    PARTS_BYTES = 0x1000,
    INFO_ADDR = 0x9000,
    INFO_BYTES = 0x6000,
    LOW_FIRST = 0x10000, /* where below 1 MiB a kernel may lie: above the ROM's tables, and */
    LOW_END = 0x80000,   /* clear of the firmware's EBDA, wherever it ends */
};

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

/* ELF: System V ABI, "Object Files". */
enum {
    EI_CLASS = 4,
    CLASS_32 = 1,
    CLASS_64 = 2,
    E_MACHINE = 18,
    EM_386 = 3,
    EM_X86_64 = 62,
    PT_LOAD = 1,
    PN_MAX = 64,
};

#define PART_BYTES  8
#define PARTS_MAX   (PARTS_BYTES / PART_BYTES - 1)
#define MODULES_MAX 256

struct loader {
    const struct kernel_image *im;
    struct error *err;
    size_t header;              /* offset in the file */
    uint32_t entry;             /* physical */
    uint64_t end;               /* of what has been placed above 1 MiB */
    uint8_t parts[PARTS_BYTES]; /* address, length; zeros end them */
    unsigned parts_count;
    uint8_t *data; /* the parts' bytes */
    size_t len;
    uint8_t info[INFO_BYTES]; /* multiboot information, module list, strings */
    size_t info_len;
};

/* ---- the header ---- */

static uint32_t header_field(const struct loader *l, unsigned field)
{
    return ld32(l->im->data + l->header + field);
}

/* §3.1.1: 4-byte aligned, whole within the first 8 KiB. */
static bool find_header(const struct kernel_image *im, size_t *at)
{
    for (size_t i = 0; i + 12 <= MIN(im->len, HEADER_SEARCH); i += 4) {
        const uint8_t *h = im->data + i;
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
        return error_set(l->err,
                         "kernel '%s': its multiboot header wants what is not known (flags %x)",
                         l->im->path, flags & WANTS_UNKNOWN);
    if (l->header + bytes > l->im->len)
        return error_set(l->err, "kernel '%s': its multiboot header is cut off", l->im->path);
    return true;
}

/* ---- placing ---- */

/* filled bytes from from, zeros up to len. what names it in an error. */
static bool add_part(struct loader *l, const char *what, uint64_t at, uint64_t len,
                     const uint8_t *from, uint64_t filled)
{
    const uint64_t end = at + len;
    const bool low = at >= LOW_FIRST && end <= LOW_END;
    if (!len)
        return true;
    if (!low && at < MiB)
        return error_set(l->err,
                         "kernel '%s': it is to be loaded to %llx-%llx, where firmware lives",
                         l->im->path, (unsigned long long)at, (unsigned long long)(end - 1));
    if (!low && end > l->im->ram_end)
        return error_set(l->err,
                         "%s: %llu bytes at %llx do not fit into the guest's memory; give a "
                         "larger -m",
                         what, (unsigned long long)len, (unsigned long long)at);
    if (l->len + len > l->im->ram_end) /* each fits, but not all beside one another */
        return error_set(l->err, "kernel '%s': its segments overlap", l->im->path);
    if (l->parts_count == PARTS_MAX)
        return error_set(l->err, "kernel '%s': more than %d parts and modules", l->im->path,
                         PARTS_MAX);
    uint8_t *data = realloc(l->data, l->len + len);
    if (!data)
        return error_set(l->err, "out of memory for kernel '%s'", l->im->path);
    memcpy(data + l->len, from, filled);
    memset(data + l->len + filled, 0, len - filled);
    l->data = data;
    l->len += len;
    uint8_t *part = l->parts + l->parts_count++ * (size_t)PART_BYTES;
    st32(part, (uint32_t)at);
    st32(part + 4, (uint32_t)len);
    l->end = MAX(l->end, end);
    return true;
}

/* §3.1.3 "The address fields of Multiboot header". */
static bool place_by_header(struct loader *l)
{
    const uint32_t header_addr = header_field(l, HDR_HEADER_ADDR);
    const uint32_t load = header_field(l, HDR_LOAD_ADDR);
    const uint32_t load_end = header_field(l, HDR_LOAD_END_ADDR);
    const uint32_t bss_end = header_field(l, HDR_BSS_END_ADDR);
    const uint64_t before = (uint64_t)header_addr - load; /* of the image, before its header */
    l->entry = header_field(l, HDR_ENTRY_ADDR);
    if (load > header_addr || before > l->header || (load_end && load_end < load))
        return error_set(l->err, "kernel '%s': the addresses in its multiboot header disagree",
                         l->im->path);
    const uint64_t offset = l->header - before;
    const uint64_t filled = load_end ? load_end - load : l->im->len - offset;
    if (filled > l->im->len - offset)
        return error_set(l->err, "kernel '%s': the file is cut off", l->im->path);
    const uint64_t len = bss_end ? (uint64_t)bss_end - load : filled;
    if (bss_end && (bss_end < load || len < filled))
        return error_set(l->err, "kernel '%s': the addresses in its multiboot header disagree",
                         l->im->path);
    return add_part(l, "kernel", load, len, l->im->data + offset, filled);
}

/* A program header of either class. */
struct segment {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz;
};

static struct segment segment_at(const uint8_t *p, bool wide)
{
    if (wide)
        return (struct segment){ld32(p),      ld64(p + 8),  ld64(p + 16),
                                ld64(p + 24), ld64(p + 32), ld64(p + 40)};
    return (struct segment){ld32(p),      ld32(p + 4),  ld32(p + 8),
                            ld32(p + 12), ld32(p + 16), ld32(p + 20)};
}

static bool place_segment(struct loader *l, const struct segment *s, uint64_t entry)
{
    if (s->filesz > s->memsz || s->offset > l->im->len || s->filesz > l->im->len - s->offset)
        return error_set(l->err, "kernel '%s': the file is cut off", l->im->path);
    if (s->paddr > UINT32_MAX || s->memsz > 4 * GiB - s->paddr)
        return error_set(l->err, "kernel '%s': a segment of it lies above 4 GiB", l->im->path);
    /* The entry point is a virtual address; it is entered before there is any paging. */
    if (entry >= s->vaddr && entry - s->vaddr < s->memsz)
        l->entry = (uint32_t)(s->paddr + (entry - s->vaddr));
    return add_part(l, "kernel", s->paddr, s->memsz, l->im->data + s->offset, s->filesz);
}

static bool place_elf(struct loader *l)
{
    const uint8_t *e = l->im->data;
    const bool wide = l->im->len > EI_CLASS && e[EI_CLASS] == CLASS_64;
    if (l->im->len < 64 || memcmp(e, "\177ELF", 4) != 0)
        return error_set(l->err,
                         "kernel '%s': a multiboot kernel that is no ELF file must say in its "
                         "header where it goes",
                         l->im->path);
    if (ld16(e + E_MACHINE) != (wide ? EM_X86_64 : EM_386))
        return error_set(l->err, "kernel '%s': an ELF file for another processor", l->im->path);
    const uint64_t entry = wide ? ld64(e + 24) : ld32(e + 24);
    const uint64_t table = wide ? ld64(e + 32) : ld32(e + 28);
    const size_t bytes = ld16(e + (wide ? 54 : 42)), count = ld16(e + (wide ? 56 : 44));
    if (bytes < (wide ? 56u : 32u) || count > PN_MAX || table > l->im->len ||
        bytes * count > l->im->len - table)
        return error_set(l->err, "kernel '%s': its ELF program headers are damaged", l->im->path);
    l->entry = (uint32_t)entry;
    for (size_t i = 0; i < count; i++) {
        const struct segment s = segment_at(e + table + i * bytes, wide);
        if (s.type == PT_LOAD && !place_segment(l, &s, entry))
            return false;
    }
    if (!l->parts_count)
        return error_set(l->err, "kernel '%s': the ELF file has nothing to load", l->im->path);
    return true;
}

/* ---- the information ---- */

static void info_set(struct loader *l, unsigned field, uint32_t v)
{
    st32(l->info + field, v);
}

/* Space at the end of the information; its address in the guest, 0 if there is none left. */
static uint32_t info_extend(struct loader *l, const void *data, size_t len)
{
    if (len > sizeof l->info - l->info_len) {
        error_set(l->err, "-append and -initrd: the command lines are too long for a multiboot "
                          "kernel");
        return 0;
    }
    const uint32_t at = INFO_ADDR + (uint32_t)l->info_len;
    if (data)
        memcpy(l->info + l->info_len, data, len);
    l->info_len += len;
    return at;
}

/* The file's name, a blank, and the arguments: as boot loaders pass it. */
static bool add_cmdline(struct loader *l, const char *append)
{
    const size_t path_len = strlen(l->im->path);
    const uint32_t at = info_extend(l, l->im->path, path_len);
    if (!at || !info_extend(l, " ", 1) || !info_extend(l, append, strlen(append) + 1))
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
    l->info[INFO_FB_BPP] = depth && depth <= 32 ? (uint8_t)depth : 32;
    l->info[INFO_FB_TYPE] = text ? FB_TEXT : FB_RGB;
    info_set(l, INFO_FLAGS, ld32(l->info + INFO_FLAGS) | FLAG_FRAMEBUFFER);
}

/* ---- modules ---- */

/* "FILE ARGS", loaded behind what there is; entry: its place in the list of modules. */
static bool add_module(struct loader *l, uint8_t *entry, const char *text)
{
    char path[4096];
    const char *blank = strchr(text, ' ');
    const size_t path_len = blank ? (size_t)(blank - text) : strlen(text);
    const uint64_t at = (MAX(l->end, MiB) + PAGE_SIZE - 1) & PAGE_MASK;
    size_t len;
    if (path_len >= sizeof path)
        return error_set(l->err, "-initrd: the name of a file is too long");
    memcpy(path, text, path_len);
    path[path_len] = '\0';
    uint8_t *data = rom_read_file(path, "module", KERNEL_MAX_BYTES, &len, l->err);
    if (!data)
        return false;
    char what[128];
    snprintf(what, sizeof what, "module '%.100s'", path);
    const bool ok = add_part(l, what, at, len, data, len);
    free(data);
    const uint32_t string = ok ? info_extend(l, text, strlen(text) + 1) : 0;
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
        return error_set(l->err, "-initrd: more than %d modules", MODULES_MAX);
    const uint32_t mods = info_extend(l, NULL, count * (size_t)MODULE_BYTES);
    if (!mods)
        return false;
    for (unsigned i = 0; i < count; i++) {
        char *text = next_module(&list);
        const bool ok =
            text && add_module(l, l->info + (mods - INFO_ADDR) + i * MODULE_BYTES, text);
        free(text);
        if (!ok)
            return l->err->msg[0] ? false : error_set(l->err, "out of memory");
    }
    info_set(l, INFO_MODS_COUNT, count);
    info_set(l, INFO_MODS_ADDR, mods);
    return true;
}

/* ---- all of it ---- */

static bool load(struct loader *l, const struct vm_config *cfg)
{
    l->info_len = INFO_HEADER_BYTES;
    info_set(l, INFO_FLAGS, FLAG_MEMORY | FLAG_CMDLINE | FLAG_MMAP | FLAG_LOADER_NAME | FLAG_MODS);
    if (!check_header(l) ||
        !(header_field(l, HDR_FLAGS) & HAS_ADDRESSES ? place_by_header(l) : place_elf(l)))
        return false;
    if (cfg->initrd && !add_modules(l, cfg->initrd))
        return false;
    const uint32_t name = info_extend(l, "vitrine", sizeof "vitrine");
    if (!name || !add_cmdline(l, cfg->append ? cfg->append : ""))
        return false;
    info_set(l, INFO_LOADER_NAME, name);
    if (header_field(l, HDR_FLAGS) & WANTS_VIDEO)
        add_video(l);
    return true;
}

static void add_to(struct fwcfg *fw, struct loader *l)
{
    fwcfg_add_u32(fw, FWCFG_SETUP_ADDR, PARTS_ADDR);
    fwcfg_add_u32(fw, FWCFG_SETUP_SIZE, sizeof l->parts);
    fwcfg_add_item(fw, FWCFG_SETUP_DATA, l->parts, sizeof l->parts);
    fwcfg_add_u32(fw, FWCFG_INITRD_ADDR, INFO_ADDR);
    fwcfg_add_u32(fw, FWCFG_INITRD_SIZE, (uint32_t)l->info_len);
    fwcfg_add_item(fw, FWCFG_INITRD_DATA, l->info, l->info_len);
    fwcfg_add_u32(fw, FWCFG_KERNEL_ENTRY, l->entry);
    fwcfg_give_item(fw, FWCFG_KERNEL_DATA, l->data, l->len);
    l->data = NULL;
    fwcfg_add_file(fw, MULTIBOOT_ROM_FILE, multiboot_rom, sizeof multiboot_rom);
}

bool multiboot_setup(struct fwcfg *fw, const struct vm_config *cfg, const struct kernel_image *im,
                     struct error *err)
{
    struct loader *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, "out of memory for kernel '%s'", im->path);
    l->im = im;
    l->err = err;
    const bool ok = find_header(im, &l->header) && load(l, cfg);
    if (ok)
        add_to(fw, l);
    free(l->data);
    free(l);
    return ok;
}
