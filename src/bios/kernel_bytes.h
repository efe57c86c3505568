/*
 * The bytes of a kernel, an initrd or modules as fw_cfg has them for the option ROM: pieces of
 * files, one behind the other. They stay in their files until the firmware asks for them, which it
 * does again after each reset: copies would take as much memory for the whole run.
 */
#ifndef VITRINE_BIOS_KERNEL_BYTES_H
#define VITRINE_BIOS_KERNEL_BYTES_H

#include "devices/fwcfg.h"
#include "host/file.h"

struct kernel_piece {
    struct host_file *file;
    uint64_t from, filled; /* in the file */
    uint64_t len;          /* zeros behind what is filled */
};

struct kernel_bytes {
    struct kernel_piece *piece;
    unsigned count;
    uint64_t len;
};

/* At the end. Shares the piece's file. False: out of memory. */
bool kernel_bytes_add(struct kernel_bytes *b, const struct kernel_piece *piece);
/* Leaves none in b. False and err on failure. */
bool kernel_bytes_give(struct kernel_bytes *b, struct fwcfg *fw, uint16_t key, struct error *err);
void kernel_bytes_clear(struct kernel_bytes *b);

#endif
