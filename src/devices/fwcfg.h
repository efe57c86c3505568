/*
 * The firmware configuration device: named blobs that the board hands to the firmware, under the
 * keys and file names that SeaBIOS, OVMF and Linux' qemu_fw_cfg driver know.
 *
 * Everything is added before the machine runs. The first failure of an add is kept and reported by
 * fwcfg_ok(), so that callers check once, at the end.
 */
#ifndef VITRINE_DEVICES_FWCFG_H
#define VITRINE_DEVICES_FWCFG_H

#include "core/device.h"
#include "core/error.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"

/* Keys with a fixed meaning; files get theirs from FWCFG_FILE_FIRST on, in order of their names. */
enum {
    FWCFG_SIGNATURE = 0x00,
    FWCFG_ID = 0x01,
    FWCFG_UUID = 0x02,
    FWCFG_RAM_SIZE = 0x03,
    FWCFG_NOGRAPHIC = 0x04,
    FWCFG_NB_CPUS = 0x05,
    FWCFG_KERNEL_ADDR = 0x07,
    FWCFG_KERNEL_SIZE = 0x08,
    FWCFG_INITRD_ADDR = 0x0a,
    FWCFG_INITRD_SIZE = 0x0b,
    FWCFG_BOOT_DEVICE = 0x0c,
    FWCFG_NUMA = 0x0d,
    FWCFG_BOOT_MENU = 0x0e,
    FWCFG_MAX_CPUS = 0x0f,
    FWCFG_KERNEL_ENTRY = 0x10,
    FWCFG_KERNEL_DATA = 0x11,
    FWCFG_INITRD_DATA = 0x12,
    FWCFG_CMDLINE_ADDR = 0x13,
    FWCFG_CMDLINE_SIZE = 0x14,
    FWCFG_CMDLINE_DATA = 0x15,
    FWCFG_SETUP_ADDR = 0x16,
    FWCFG_SETUP_SIZE = 0x17,
    FWCFG_SETUP_DATA = 0x18,
    FWCFG_FILE_DIR = 0x19,
    FWCFG_FILE_FIRST = 0x20,
    FWCFG_ARCH = 0x8000, /* keys of the PC */
    FWCFG_IRQ0_OVERRIDE = FWCFG_ARCH + 2,
    FWCFG_HPET = FWCFG_ARCH + 4,
};

#define FWCFG_NAME_BYTES 56 /* of a file, with its NUL */
#define FWCFG_MAX_FILES  64

struct fwcfg;

struct fwcfg_config {
    struct iomap *io;   /* gets ports 510h, 511h and 514h to 51Bh */
    struct memmap *mem; /* what its DMA reaches */
    struct log *log;
};

struct fwcfg *fwcfg_create(struct device_list *devices, const struct fwcfg_config *cfg);

/* False and err if anything could not be added since creation. */
bool fwcfg_ok(const struct fwcfg *fw, struct error *err);

/* Items by key. The data are copied; numbers are little-endian, as all legacy items are. */
void fwcfg_add_item(struct fwcfg *fw, uint16_t key, const void *data, size_t len);
void fwcfg_add_u16(struct fwcfg *fw, uint16_t key, uint16_t v);
void fwcfg_add_u32(struct fwcfg *fw, uint16_t key, uint32_t v);
void fwcfg_add_u64(struct fwcfg *fw, uint16_t key, uint64_t v);
/* For what is large: data come from malloc() and belong to fw from now on. */
void fwcfg_give_item(struct fwcfg *fw, uint16_t key, void *data, size_t len);

/*
 * For what is larger still and lies elsewhere: it is asked for, each time the guest reads it,
 * under the machine's lock.
 */
struct fwcfg_source {
    size_t len;
    /* Fills buf, whatever happens; at + len is at most the length above. */
    void (*read)(void *opaque, uint64_t at, void *buf, size_t len, struct log *log);
    void (*close)(void *opaque); /* once, at the end or when it cannot be added */
    void *opaque;
};
void fwcfg_give_source(struct fwcfg *fw, uint16_t key, const struct fwcfg_source *source);

/* Files by name, which must be new and shorter than FWCFG_NAME_BYTES. */
void fwcfg_add_file(struct fwcfg *fw, const char *name, const void *data, size_t len);
void fwcfg_give_file(struct fwcfg *fw, const char *name, void *data, size_t len);

/*
 * A file the guest may write by DMA. written (may be NULL) is called after each write, under
 * the machine's lock; data stay valid until the next write.
 */
void fwcfg_add_writable(struct fwcfg *fw, const char *name, const void *data, size_t len,
                        void (*written)(void *opaque, const void *data, size_t len), void *opaque);

/*
 * Called each time the guest selects the file, before it reads: for content that depends on what
 * the firmware has set up. It may call fwcfg_update_file.
 */
void fwcfg_on_select(struct fwcfg *fw, const char *name, void (*selected)(void *opaque),
                     void *opaque);
/* New content of the same length; false if there is no such file or the length differs. */
bool fwcfg_update_file(struct fwcfg *fw, const char *name, const void *data, size_t len);

/* For tests and inspection: the content, NULL if there is none or a source has it. */
const void *fwcfg_item(const struct fwcfg *fw, uint16_t key, size_t *len);
const void *fwcfg_file(const struct fwcfg *fw, const char *name, size_t *len);

#endif
