/* Finds firmware and option ROM images on the host and loads them into the machine's memory. */
#ifndef VITRINE_BIOS_ROM_H
#define VITRINE_BIOS_ROM_H

#include "config.h"
#include "mmu/ram.h"

#define ROM_DEFAULT_BIOS   "vitrine-bios.bin"
#define ROM_DEFAULT_VGA    "vitrine-vgabios.bin"

#define ROM_BIOS_MAX_BYTES (16 * MiB)

struct rom {
    ram_t at;
    uint64_t size_bytes; /* of the memory taken: the image and its padding of zeros */
};

/*
 * The path of a ROM file: name as given if there is such a file; else, if it has no slash, in the
 * -L directories, in roms beside or above the running program's directory, in share/vitrine, and
 * where Debian puts SeaBIOS and QEMU. The caller frees it; NULL and err if there is none.
 */
char *rom_find(const struct vm_config *cfg, const char *name, struct error *err);

/* The firmware, -bios or the default one: a multiple of 64 KiB, at most 16 MiB. */
bool rom_load_bios(const struct vm_config *cfg, struct ram *ram, struct rom *rom,
                   struct error *err);

/* An option ROM, checked (rom_check_option) and padded to a power of two of at least 2 KiB. */
bool rom_load_option(const struct vm_config *cfg, const char *name, struct ram *ram,
                     struct rom *rom, struct error *err);

/* Signature, length and checksum (PCI FW 3.0 §5.1). On failure why says what is wrong. */
bool rom_check_option(const uint8_t *image, size_t len, const char **why);

/* Reads a whole file of at most max_bytes into malloc()ed memory; what names it in the error. */
void *rom_read_file(const char *path, const char *what, uint64_t max_bytes, size_t *len,
                    struct error *err);

#endif
