/*
 * See pvh.h. Xen, docs/misc/pvh.pandoc "x86/HVM direct boot ABI", and its public headers
 * elfnote.h and arch-x86/hvm/start_info.h (version 1): a note in the ELF file says where in
 * physical memory the kernel is to be entered, in flat protected mode with the address of the start
 * information in EBX. A kernel with a multiboot header as well is started as that.
 *
 * The option ROM adds the memory map and the address of the ACPI tables' root pointer.
 */
#include "bios/pvh.h"

#include <inttypes.h>
#include <stdlib.h>

#define START_MAGIC UINT32_C(0x336ec578)
enum {
    PT_NOTE = 4,
    NOTE_HEAD = 12,
    XEN_ELFNOTE_PHYS32_ENTRY = 18,

    INFO_MAGIC = 0,
    INFO_VERSION = 4,
    INFO_MODULES = 12,
    INFO_MODULE_LIST = 16,
    INFO_CMDLINE = 24,
    INFO_HEAD_BYTES = 56,
    MODULE_BYTES = 32,
};

static uint64_t padded(uint64_t n)
{
    return (n + 3) & ~UINT64_C(3);
}

/* The entry in a segment of notes. */
static bool find_in_notes(const uint8_t *notes, uint64_t len, uint32_t *entry)
{
    while (len >= NOTE_HEAD) {
        const uint32_t name = ld32(notes), desc = ld32(notes + 4), type = ld32(notes + 8);
        const uint64_t at = NOTE_HEAD + padded(name);
        if (at > len || desc > len - at)
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && name == 4 && !memcmp(notes + NOTE_HEAD, "Xen", 4) &&
            (desc == 4 || desc == 8)) {
            *entry = ld32(notes + at);
            return true;
        }
        const uint64_t next = MIN(at + padded(desc), len);
        notes += next;
        len -= next;
    }
    return false;
}

struct search {
    bool found;
    uint32_t entry;
};

static bool read_notes(const struct kernel_image *im, const struct elf_segment *s,
                       struct search *search)
{
    uint8_t *notes = malloc(s->filesz ? s->filesz : 1);
    if (!notes)
        return error_set(im->err, "out of memory for kernel '%s'", im->path);
    const bool ok = kernel_image_read(im, s->offset, notes, s->filesz);
    if (ok)
        search->found = find_in_notes(notes, s->filesz, &search->entry);
    free(notes);
    return ok;
}

static bool look_at(struct kernel_parts *k, const struct elf_segment *s, void *opaque)
{
    struct search *search = opaque;
    if (s->type == PT_NOTE && !search->found && s->offset <= k->im->len &&
        s->filesz <= k->im->len - s->offset)
        return read_notes(k->im, s, search);
    return true;
}

static bool find_entry(const struct kernel_image *im, uint32_t *entry)
{
    struct error unsaid = {0};
    struct kernel_parts *k = calloc(1, sizeof *k);
    struct search search = {0};
    if (k && parts_is_elf(im)) {
        k->im = im;
        k->err = &unsaid;
        parts_elf_segments(k, look_at, &search);
    }
    free(k);
    *entry = search.entry;
    return search.found;
}

bool pvh_detect(const struct kernel_image *im)
{
    uint32_t entry;
    return find_entry(im, &entry);
}

/* At the end of memory, as for a bzImage. */
static bool add_initrd(struct kernel_parts *k, const char *path)
{
    struct host_file *file = host_file_open(path, "initrd", KERNEL_MAX_BYTES, k->err);
    if (!file)
        return false;
    const uint64_t len = host_file_bytes(file);
    const uint64_t room = k->im->ram_end > k->end ? k->im->ram_end - k->end : 0;
    uint8_t module[MODULE_BYTES] = {0};
    const uint64_t at = (k->im->ram_end - MIN(len, k->im->ram_end)) & PAGE_MASK;
    bool ok =
        (len + PAGE_SIZE <= room && at >= k->end) ||
        error_set(k->err,
                  "initrd '%s': %" PRIu64 " bytes do not fit into the guest's memory beside the "
                  "kernel; give a larger -m",
                  path, len);
    ok = ok && parts_add(k, "initrd", at, &(struct kernel_piece){file, 0, len, len});
    host_file_close(file);
    if (!ok)
        return false;
    st64(module, at);
    st64(module + 8, len);
    const uint32_t list = parts_info(k, module, sizeof module);
    st32(k->info + INFO_MODULES, 1);
    st64(k->info + INFO_MODULE_LIST, list);
    return list != 0;
}

static bool load(struct kernel_parts *k, const struct vm_config *cfg)
{
    const char *append = cfg->append ? cfg->append : "";
    if (!parts_place_elf(k) || !parts_choose_base(k) || !find_entry(k->im, &k->entry))
        return false;
    k->info_len = INFO_HEAD_BYTES;
    st32(k->info + INFO_MAGIC, START_MAGIC);
    st32(k->info + INFO_VERSION, 1);
    if (cfg->initrd && !add_initrd(k, cfg->initrd))
        return false;
    const uint32_t cmdline = parts_info(k, append, strlen(append) + 1);
    st64(k->info + INFO_CMDLINE, cmdline);
    return cmdline != 0;
}

bool pvh_setup(struct fwcfg *fw, const struct vm_config *cfg, const struct kernel_image *im,
               struct error *err)
{
    struct kernel_parts *k = calloc(1, sizeof *k);
    if (!k)
        return error_set(err, "out of memory for kernel '%s'", im->path);
    k->im = im;
    k->err = err;
    const bool ok = load(k, cfg) && parts_give(k, fw);
    kernel_bytes_clear(&k->bytes);
    free(k);
    return ok;
}
