/*
 * What -kernel with an ELF or multiboot kernel comes to: parts, each with its address, that the
 * option ROM of firmware/multiboot.S fetches to their places, and information for the kernel. Low
 * memory, where the ROM has its tables, is laid out there, too.
 */
#ifndef VITRINE_BIOS_KERNEL_PARTS_H
#define VITRINE_BIOS_KERNEL_PARTS_H

#include "bios/kernel.h"
#include "bios/kernel_bytes.h"

#define MULTIBOOT_ROM_FILE  "genroms/multiboot.bin"
#define MULTIBOOT_BOOT_PATH "/rom@" MULTIBOOT_ROM_FILE

/* The ROM's tables, from their base on, which is a multiple of 16. */
enum {
    PARTS_BYTES = 0x1000, /* at the base: the parts' addresses and lengths */
    INFO_AT = 0x1000,     /* what the kernel is handed */
    INFO_BYTES = 0x6000,
    TABLES_BYTES = 0x8000, /* with a memory map, video modes and a stack behind it */
};

struct kernel_parts {
    const struct kernel_image *im;
    struct error *err;
    uint32_t base;              /* of the tables; parts_choose_base() */
    uint32_t entry;             /* physical */
    uint64_t end;               /* of what has been placed above 1 MiB */
    uint8_t parts[PARTS_BYTES]; /* address, length; zeros end them */
    unsigned count;
    struct kernel_bytes bytes; /* the parts' */
    uint8_t info[INFO_BYTES];
    size_t info_len;
};

/* For the guest's address at. what names it in an error. */
bool parts_add(struct kernel_parts *k, const char *what, uint64_t at,
               const struct kernel_piece *piece);

/* A program header of either class. */
struct elf_segment {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz;
};
bool parts_is_elf(const struct kernel_image *im);
/* Calls each for the program headers, until one returns false; false with err, too. */
bool parts_elf_segments(struct kernel_parts *k,
                        bool (*each)(struct kernel_parts *k, const struct elf_segment *s,
                                     void *opaque),
                        void *opaque);
/* All that is to be loaded; the entry is that of the ELF header. */
bool parts_place_elf(struct kernel_parts *k);

/* When the kernel has its place: where the tables have theirs. */
bool parts_choose_base(struct kernel_parts *k);
/* Space at the end of the information; its address in the guest, 0 if there is none left. */
uint32_t parts_info(struct kernel_parts *k, const void *data, size_t len);

/* Into fw_cfg, with the ROM. */
bool parts_give(struct kernel_parts *k, struct fwcfg *fw);

#endif
