/* See kernel_parts.h. ELF: System V ABI, "Object Files". */
#include "bios/kernel_parts.h"
#include "bios/multiboot_rom.h"

#include <stdlib.h>

/* Where below 1 MiB a kernel may lie: clear of the vectors and the BIOS data area, and of the
 * firmware's EBDA, wherever it ends. Stacks and buffers of firmware are no longer needed then. */
enum { LOW_FIRST = 0x1000, LOW_END = 0x80000, FIRST_BASE = 0x8000 };

enum {
    EI_CLASS = 4,
    CLASS_64 = 2,
    E_MACHINE = 18,
    EM_386 = 3,
    EM_X86_64 = 62,
    PT_LOAD = 1,
    PN_MAX = 64,
};

#define PART_BYTES 8
#define PARTS_MAX  (PARTS_BYTES / PART_BYTES - 1)

bool parts_add(struct kernel_parts *k, const char *what, uint64_t at,
               const struct kernel_piece *piece)
{
    const uint64_t len = piece->len, end = at + len;
    const bool low = at >= LOW_FIRST && end <= LOW_END;
    if (!len)
        return true;
    if (!low && at < MiB)
        return error_set(k->err,
                         "kernel '%s': it is to be loaded to %llx-%llx, where firmware lives",
                         k->im->path, (unsigned long long)at, (unsigned long long)(end - 1));
    if (!low && end > k->im->ram_end)
        return error_set(k->err,
                         "%s: %llu bytes at %llx do not fit into the guest's memory; give a "
                         "larger -m",
                         what, (unsigned long long)len, (unsigned long long)at);
    if (k->bytes.len + len > k->im->ram_end) /* each fits, but not all beside one another */
        return error_set(k->err, "kernel '%s': its segments overlap", k->im->path);
    if (k->count == PARTS_MAX)
        return error_set(k->err, "kernel '%s': more than %d parts and modules", k->im->path,
                         PARTS_MAX);
    if (!kernel_bytes_add(&k->bytes, piece))
        return error_set(k->err, "out of memory for kernel '%s'", k->im->path);
    uint8_t *part = k->parts + k->count++ * (size_t)PART_BYTES;
    st32(part, (uint32_t)at);
    st32(part + 4, (uint32_t)len);
    k->end = MAX(k->end, end);
    return true;
}

/* ---- ELF files ---- */

static struct elf_segment segment_at(const uint8_t *p, bool wide)
{
    if (wide)
        return (struct elf_segment){ld32(p),      ld64(p + 8),  ld64(p + 16),
                                    ld64(p + 24), ld64(p + 32), ld64(p + 40)};
    return (struct elf_segment){ld32(p),      ld32(p + 4),  ld32(p + 8),
                                ld32(p + 12), ld32(p + 16), ld32(p + 20)};
}

bool parts_is_elf(const struct kernel_image *im)
{
    return im->len >= 64 && !memcmp(im->head, "\177ELF", 4);
}

static bool is_wide(const struct kernel_image *im)
{
    return im->head[EI_CLASS] == CLASS_64;
}

static uint64_t elf_entry(const struct kernel_image *im)
{
    return is_wide(im) ? ld64(im->head + 24) : ld32(im->head + 24);
}

bool parts_elf_segments(struct kernel_parts *k,
                        bool (*each)(struct kernel_parts *k, const struct elf_segment *s,
                                     void *opaque),
                        void *opaque)
{
    const uint8_t *e = k->im->head;
    const bool wide = is_wide(k->im);
    if (ld16(e + E_MACHINE) != (wide ? EM_X86_64 : EM_386))
        return error_set(k->err, "kernel '%s': an ELF file for another processor", k->im->path);
    const uint64_t table = wide ? ld64(e + 32) : ld32(e + 28);
    const size_t bytes = ld16(e + (wide ? 54 : 42)), count = ld16(e + (wide ? 56 : 44));
    if (bytes < (wide ? 56u : 32u) || count > PN_MAX || table > k->im->len ||
        bytes * count > k->im->len - table)
        return error_set(k->err, "kernel '%s': its ELF program headers are damaged", k->im->path);
    for (size_t i = 0; i < count; i++) {
        uint8_t header[56];
        if (!kernel_image_read(k->im, table + i * bytes, header, wide ? 56 : 32))
            return false;
        const struct elf_segment s = segment_at(header, wide);
        if (!each(k, &s, opaque))
            return false;
    }
    return true;
}

static bool place_segment(struct kernel_parts *k, const struct elf_segment *s, void *opaque)
{
    const uint64_t entry = elf_entry(k->im);
    (void)opaque;
    if (s->type != PT_LOAD)
        return true;
    if (s->filesz > s->memsz || s->offset > k->im->len || s->filesz > k->im->len - s->offset)
        return error_set(k->err, "kernel '%s': the file is cut off", k->im->path);
    if (s->paddr > UINT32_MAX || s->memsz > 4 * GiB - s->paddr)
        return error_set(k->err, "kernel '%s': a segment of it lies above 4 GiB", k->im->path);
    /* The entry point is a virtual address; it is entered before there is any paging. */
    if (entry >= s->vaddr && entry - s->vaddr < s->memsz)
        k->entry = (uint32_t)(s->paddr + (entry - s->vaddr));
    return parts_add(k, "kernel", s->paddr,
                     &(struct kernel_piece){k->im->file, s->offset, s->filesz, s->memsz});
}

bool parts_place_elf(struct kernel_parts *k)
{
    k->entry = (uint32_t)elf_entry(k->im);
    if (!parts_elf_segments(k, place_segment, NULL))
        return false;
    return k->count ||
           error_set(k->err, "kernel '%s': the ELF file has nothing to load", k->im->path);
}

/* ---- the tables in low memory ---- */

static bool is_free(const struct kernel_parts *k, uint64_t at)
{
    for (unsigned i = 0; i < k->count; i++) {
        const uint8_t *p = k->parts + i * (size_t)PART_BYTES;
        if (ld32(p) < at + TABLES_BYTES && at < (uint64_t)ld32(p) + ld32(p + 4))
            return false;
    }
    return true;
}

bool parts_choose_base(struct kernel_parts *k)
{
    for (uint32_t at = FIRST_BASE; at + TABLES_BYTES <= LOW_END; at += 0x1000) {
        if (is_free(k, at)) {
            k->base = at;
            return true;
        }
    }
    return error_set(k->err,
                     "kernel '%s': it leaves no %d KiB free below 512 KiB for what it is handed",
                     k->im->path, TABLES_BYTES / 1024);
}

uint32_t parts_info(struct kernel_parts *k, const void *data, size_t len)
{
    if (len > sizeof k->info - k->info_len) {
        error_set(k->err, "-append and -initrd: the command lines are too long for this kind of "
                          "kernel");
        return 0;
    }
    const uint32_t at = k->base + INFO_AT + (uint32_t)k->info_len;
    if (data)
        memcpy(k->info + k->info_len, data, len);
    k->info_len += len;
    return at;
}

bool parts_give(struct kernel_parts *k, struct fwcfg *fw)
{
    if (!kernel_bytes_give(&k->bytes, fw, FWCFG_KERNEL_DATA, k->err))
        return false;
    fwcfg_add_u32(fw, FWCFG_SETUP_ADDR, k->base);
    fwcfg_add_u32(fw, FWCFG_SETUP_SIZE, sizeof k->parts);
    fwcfg_add_item(fw, FWCFG_SETUP_DATA, k->parts, sizeof k->parts);
    fwcfg_add_u32(fw, FWCFG_INITRD_ADDR, k->base + INFO_AT);
    fwcfg_add_u32(fw, FWCFG_INITRD_SIZE, (uint32_t)k->info_len);
    fwcfg_add_item(fw, FWCFG_INITRD_DATA, k->info, k->info_len);
    fwcfg_add_u32(fw, FWCFG_KERNEL_ENTRY, k->entry);
    fwcfg_add_file(fw, MULTIBOOT_ROM_FILE, multiboot_rom, sizeof multiboot_rom);
    return true;
}
