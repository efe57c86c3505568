/* The firmware configuration device: what the emulator tells us (QEMU, docs/specs/fw_cfg). */
#ifndef FIRMWARE_FWCFG_H
#define FIRMWARE_FWCFG_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_NOGRAPHIC = 0x04,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_NUMA = 0x0d,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_IRQ0_OVERRIDE = 0x8002,
};

struct fwcfg_file {
    uint32_t size;
    uint16_t key; /* 0: there is no such file */
    char name[56];
};

/* Whether the device is there; to be called first. */
bool fwcfg_init(void);

/* The first bytes of an item; zeros where it ends before. */
void fwcfg_read(uint16_t key, void *to, uint32_t bytes);

/* Into an item, by DMA; false if the device does not take it. */
bool fwcfg_write(uint16_t key, uint32_t offset, const void *from, uint32_t bytes);

uint16_t fwcfg_u16(uint16_t key);

/* The n-th file of the directory; false behind the last. */
bool fwcfg_file(uint32_t n, struct fwcfg_file *file);

bool fwcfg_find(const char *name, struct fwcfg_file *file);

#endif
