/*
 * The firmware configuration device: QEMU's docs/specs/fw_cfg "QEMU Firmware Configuration
 * (fw_cfg) Device".
 *
 *   510h  word, write   selector: the key of an item; reading starts at its first byte
 *   511h  byte, read    the next byte of the item; zeros behind its end and for unknown keys
 *   514h  dword         DMA address, upper half  } big-endian; writing the lower half starts it;
 *   518h  dword         DMA address, lower half  } both halves read as "QEMU CFG"
 *
 * The DMA address names a structure in guest memory, all of it big-endian:
 *
 *   0  control  bit 0 error, 1 read, 2 skip, 3 select (the key in 31:16), 4 write; 0 when done
 *   4  length
 *   8  address of the data
 *
 * Not modelled: the MMIO variant of other boards, writes through the data port (ignored there,
 * too).
 */
#include "devices/fwcfg.h"

#include <stdlib.h>

#define PORT_SELECTOR 0x510
#define PORT_DMA      0x514

enum {
    KEY_WRITE_CHANNEL = 0x4000,
    KEY_INDEX = 0x3fff,
    KEY_INVALID = 0xffff,
};

enum {
    DMA_ERROR = BIT(0),
    DMA_READ = BIT(1),
    DMA_SKIP = BIT(2),
    DMA_SELECT = BIT(3),
    DMA_WRITE = BIT(4),
};

enum {
    ID_TRADITIONAL = BIT(0),
    ID_DMA = BIT(1),
};

#define DMA_SIGNATURE   UINT64_C(0x51454d5520434647) /* "QEMU CFG", first character on top */

#define DIR_ENTRY_BYTES 64 /* size, select, reserved, name */

#define CHUNK_BYTES     (16 * KiB) /* what DMA takes from a source at a time */

struct item {
    uint8_t *data; /* NULL: there is none, or source has it */
    size_t len;
    struct fwcfg_source source; /* read is NULL: there is none */
};

struct file {
    char name[FWCFG_NAME_BYTES];
    struct item item;
    bool writable;
    void (*written)(void *opaque, const void *data, size_t len);
    void *written_opaque;
    void (*selected)(void *opaque);
    void *selected_opaque;
};

struct fwcfg {
    struct device dev;
    struct fwcfg_config cfg;
    struct item common[FWCFG_FILE_FIRST], arch[FWCFG_FILE_FIRST];
    struct file file[FWCFG_MAX_FILES]; /* sorted by name */
    unsigned files;
    struct error failed; /* first failure of an add */

    uint16_t key; /* selected, KEY_INVALID if there is no such item */
    uint32_t offset;
    uint64_t dma_address;

    struct io_region selector_ports, dma_ports;
};

static struct fwcfg *from_dev(struct device *dev)
{
    return container_of(dev, struct fwcfg, dev);
}

/* ---- what is offered ---- */

/* Where key's content is kept; NULL if no item can have that key. */
static struct item *slot(struct fwcfg *fw, uint16_t key)
{
    unsigned index = key & KEY_INDEX;
    if (key & FWCFG_ARCH)
        return index < FWCFG_FILE_FIRST ? &fw->arch[index] : NULL;
    if (index < FWCFG_FILE_FIRST)
        return &fw->common[index];
    index -= FWCFG_FILE_FIRST;
    return index < fw->files ? &fw->file[index].item : NULL;
}

static struct file *selected_file(struct fwcfg *fw)
{
    if (fw->key < FWCFG_FILE_FIRST || fw->key - FWCFG_FILE_FIRST >= (int)fw->files)
        return NULL;
    return &fw->file[fw->key - FWCFG_FILE_FIRST];
}

static struct file *find_file(const struct fwcfg *fw, const char *name)
{
    for (unsigned i = 0; i < fw->files; i++)
        if (!strcmp(fw->file[i].name, name))
            return (struct file *)&fw->file[i];
    return NULL;
}

static void *copy(struct fwcfg *fw, const void *data, size_t len)
{
    void *p = malloc(len ? len : 1);
    if (!p)
        error_set(&fw->failed, "out of memory for %zu bytes of firmware configuration", len);
    else if (len)
        memcpy(p, data, len);
    return p;
}

static void item_free(struct item *item)
{
    free(item->data);
    if (item->source.close)
        item->source.close(item->source.opaque);
}

static void put_item(struct fwcfg *fw, uint16_t key, struct item *new)
{
    struct item *item = slot(fw, key);
    if (!item || item->data || item->source.read || new->len > UINT32_MAX) {
        error_set(&fw->failed, "firmware configuration: item %x cannot be added", key);
        item_free(new);
        return;
    }
    *item = *new;
}

void fwcfg_give_item(struct fwcfg *fw, uint16_t key, void *data, size_t len)
{
    if (!data)
        return; /* its maker has failed, and said so */
    put_item(fw, key, &(struct item){.data = data, .len = len});
}

void fwcfg_give_source(struct fwcfg *fw, uint16_t key, const struct fwcfg_source *source)
{
    put_item(fw, key, &(struct item){.len = source->len, .source = *source});
}

void fwcfg_add_item(struct fwcfg *fw, uint16_t key, const void *data, size_t len)
{
    fwcfg_give_item(fw, key, copy(fw, data, len), len);
}

void fwcfg_add_u16(struct fwcfg *fw, uint16_t key, uint16_t v)
{
    fwcfg_add_item(fw, key, &v, sizeof v);
}

void fwcfg_add_u32(struct fwcfg *fw, uint16_t key, uint32_t v)
{
    fwcfg_add_item(fw, key, &v, sizeof v);
}

void fwcfg_add_u64(struct fwcfg *fw, uint16_t key, uint64_t v)
{
    fwcfg_add_item(fw, key, &v, sizeof v);
}

/* Item FWCFG_FILE_DIR: a count and an entry a file, numbers big-endian. */
static void build_directory(struct fwcfg *fw)
{
    size_t len = 4 + fw->files * (size_t)DIR_ENTRY_BYTES;
    uint8_t *dir = calloc(1, len);
    if (!dir) {
        error_set(&fw->failed, "out of memory for the firmware configuration's directory");
        return;
    }
    st32(dir, __builtin_bswap32(fw->files));
    for (unsigned i = 0; i < fw->files; i++) {
        uint8_t *entry = dir + 4 + i * (size_t)DIR_ENTRY_BYTES;
        st32(entry, __builtin_bswap32((uint32_t)fw->file[i].item.len));
        st16(entry + 4, __builtin_bswap16((uint16_t)(FWCFG_FILE_FIRST + i)));
        memcpy(entry + 8, fw->file[i].name, FWCFG_NAME_BYTES);
    }
    free(fw->common[FWCFG_FILE_DIR].data);
    fw->common[FWCFG_FILE_DIR] = (struct item){.data = dir, .len = len};
}

static struct file *give_file(struct fwcfg *fw, const char *name, void *data, size_t len)
{
    if (!data)
        return NULL;
    if (!name[0] || strlen(name) >= FWCFG_NAME_BYTES || find_file(fw, name) ||
        fw->files == FWCFG_MAX_FILES || len > UINT32_MAX) {
        error_set(&fw->failed, "firmware configuration: file '%.60s' cannot be added: %s", name,
                  find_file(fw, name)            ? "there is one of that name"
                  : fw->files == FWCFG_MAX_FILES ? "too many files"
                  : len > UINT32_MAX             ? "too long"
                                                 : "bad name (1 to 55 characters)");
        free(data);
        return NULL;
    }
    unsigned at = 0;
    while (at < fw->files && strcmp(fw->file[at].name, name) < 0)
        at++;
    memmove(&fw->file[at + 1], &fw->file[at], (fw->files - at) * sizeof fw->file[0]);
    fw->files++;
    fw->file[at] = (struct file){.item = {.data = data, .len = len}};
    memcpy(fw->file[at].name, name, strlen(name));
    build_directory(fw);
    return &fw->file[at];
}

void fwcfg_give_file(struct fwcfg *fw, const char *name, void *data, size_t len)
{
    give_file(fw, name, data, len);
}

void fwcfg_add_file(struct fwcfg *fw, const char *name, const void *data, size_t len)
{
    give_file(fw, name, copy(fw, data, len), len);
}

void fwcfg_add_writable(struct fwcfg *fw, const char *name, const void *data, size_t len,
                        void (*written)(void *, const void *, size_t), void *opaque)
{
    struct file *file = give_file(fw, name, copy(fw, data, len), len);
    if (!file)
        return;
    file->writable = true;
    file->written = written;
    file->written_opaque = opaque;
}

void fwcfg_on_select(struct fwcfg *fw, const char *name, void (*selected)(void *), void *opaque)
{
    struct file *file = find_file(fw, name);
    if (!file)
        return;
    file->selected = selected;
    file->selected_opaque = opaque;
}

bool fwcfg_update_file(struct fwcfg *fw, const char *name, const void *data, size_t len)
{
    struct file *file = find_file(fw, name);
    if (!file || file->item.len != len)
        return false;
    memcpy(file->item.data, data, len);
    return true;
}

bool fwcfg_ok(const struct fwcfg *fw, struct error *err)
{
    return !fw->failed.msg[0] || error_set(err, "%s", fw->failed.msg);
}

const void *fwcfg_item(const struct fwcfg *fw, uint16_t key, size_t *len)
{
    const struct item *item = slot((struct fwcfg *)fw, key);
    *len = item ? item->len : 0;
    return item ? item->data : NULL;
}

const void *fwcfg_file(const struct fwcfg *fw, const char *name, size_t *len)
{
    const struct file *file = find_file(fw, name);
    *len = file ? file->item.len : 0;
    return file ? file->item.data : NULL;
}

/* ---- the guest's side ---- */

static void select_key(struct fwcfg *fw, uint16_t value)
{
    uint16_t key = value & (uint16_t)~KEY_WRITE_CHANNEL;
    fw->key = slot(fw, key) ? key : KEY_INVALID;
    fw->offset = 0;
    struct file *file = selected_file(fw);
    if (file && file->selected)
        file->selected(file->selected_opaque);
}

/* The selected item, if the offset has not come to its end; how much of len bytes is left of it. */
static struct item *selected_item(struct fwcfg *fw, uint64_t len, uint64_t *left)
{
    struct item *item = fw->key == KEY_INVALID ? NULL : slot(fw, fw->key);
    if (!item || fw->offset >= item->len) {
        *left = 0;
        return NULL;
    }
    *left = MIN(len, item->len - fw->offset);
    return item;
}

/* From the offset on; there are so many. */
static void item_read(struct fwcfg *fw, const struct item *item, void *buf, size_t len)
{
    if (item->data)
        memcpy(buf, item->data + fw->offset, len);
    else
        item->source.read(item->source.opaque, fw->offset, buf, len, fw->cfg.log);
}

static unsigned data_read_bulk(void *opaque, uint64_t offset, unsigned size, void *buf,
                               unsigned count)
{
    struct fwcfg *fw = opaque;
    uint64_t n;
    if (size != 1)
        return 0;
    (void)offset;
    const struct item *item = selected_item(fw, count, &n);
    if (item)
        item_read(fw, item, buf, n);
    memset((uint8_t *)buf + n, 0, count - n);
    fw->offset += (uint32_t)n;
    return count;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    struct fwcfg *fw = opaque;
    if (size != 1) {
        log_guest(fw->cfg.log, "fw_cfg: word read of the data port");
        return 0;
    }
    uint8_t byte;
    data_read_bulk(fw, offset, 1, &byte, 1);
    return byte;
}

static void selector_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fwcfg *fw = opaque;
    if (size == 2 && offset == 0)
        select_key(fw, (uint16_t)value);
    else
        log_guest(fw->cfg.log, "fw_cfg: byte write, ignored");
}

static const struct io_ops selector_ops = {
    .read = data_read,
    .write = selector_write,
    .read_bulk = data_read_bulk,
    .min_size = 1,
    .max_size = 2,
};

/* The selected item's next len bytes to guest memory; false on a bad address. */
static bool dma_item(struct fwcfg *fw, const struct item *item, uint64_t address, uint64_t len)
{
    uint8_t chunk[CHUNK_BYTES];
    bool ok = true;
    if (item->data)
        return memmap_dma_write(fw->cfg.mem, address, item->data + fw->offset, len);
    /* All of them, as in one piece: what is behind a bad address is written as well. */
    for (uint64_t done = 0, n; done < len; done += n) {
        n = MIN(len - done, sizeof chunk);
        item->source.read(item->source.opaque, fw->offset + done, chunk, n, fw->cfg.log);
        ok &= memmap_dma_write(fw->cfg.mem, address + done, chunk, n);
    }
    return ok;
}

/* Copies between the selected item and guest memory; false on a bad address or a refused write. */
static bool dma_transfer(struct fwcfg *fw, uint32_t control, uint64_t address, uint64_t len)
{
    static const uint8_t zeros[4096];
    uint64_t n;
    const struct item *item = selected_item(fw, len, &n);
    bool ok = true;
    if (control & DMA_READ) {
        if (item)
            ok = dma_item(fw, item, address, n);
        for (uint64_t done = n, piece; ok && done < len; done += piece) {
            piece = MIN(len - done, sizeof zeros);
            ok = memmap_dma_write(fw->cfg.mem, address + done, zeros, piece);
        }
    } else if (control & DMA_WRITE) {
        struct file *file = selected_file(fw);
        if (!file || !file->writable || n != len)
            return false;
        if (item)
            ok = memmap_dma_read(fw->cfg.mem, address, item->data + fw->offset, n);
        if (ok && file->written)
            file->written(file->written_opaque, file->item.data, file->item.len);
    }
    fw->offset += (uint32_t)n;
    return ok;
}

static void dma_start(struct fwcfg *fw)
{
    uint8_t raw[16];
    uint64_t at = fw->dma_address;
    fw->dma_address = 0;
    bool ok = memmap_dma_read(fw->cfg.mem, at, raw, sizeof raw);
    if (ok) {
        uint32_t control = __builtin_bswap32(ld32(raw));
        uint32_t len = __builtin_bswap32(ld32(raw + 4));
        if (control & DMA_SELECT)
            select_key(fw, (uint16_t)(control >> 16));
        if (control & (DMA_READ | DMA_WRITE | DMA_SKIP))
            ok = dma_transfer(fw, control, __builtin_bswap64(ld64(raw + 8)), len);
    }
    if (!ok)
        log_guest(fw->cfg.log, "fw_cfg: a DMA transfer failed (item %x)", fw->key);
    uint32_t done = ok ? 0 : __builtin_bswap32(DMA_ERROR);
    memmap_dma_write(fw->cfg.mem, at, &done, sizeof done);
}

static uint64_t dma_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    return __builtin_bswap64(DMA_SIGNATURE) >> (8 * offset) & (~UINT64_C(0) >> (64 - 8 * size));
}

static void dma_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct fwcfg *fw = opaque;
    uint32_t half = __builtin_bswap32((uint32_t)value);
    if (size != 4 || (offset & 3))
        log_guest(fw->cfg.log, "fw_cfg: a DMA address is two aligned dwords");
    else if (offset == 0)
        fw->dma_address = (uint64_t)half << 32;
    else {
        fw->dma_address |= half;
        dma_start(fw);
    }
}

static const struct io_ops dma_ops = {
    .read = dma_read, .write = dma_write, .min_size = 1, .max_size = 4};

static void fwcfg_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct fwcfg *fw = from_dev(dev);
    fw->key = FWCFG_SIGNATURE;
    fw->offset = 0;
    fw->dma_address = 0;
}

/* Of the items only what the guest can have changed: the rest follows from the configuration. */
static void fwcfg_state(struct device *dev, struct state *s)
{
    struct fwcfg *fw = from_dev(dev);
    state_begin(s, "fwcfg", 1);
    state_u16(s, "key", &fw->key);
    state_check(s, fw->key == KEY_INVALID || slot(fw, fw->key), "key");
    state_u32(s, "offset", &fw->offset);
    state_u64(s, "dma_address", &fw->dma_address);
    for (unsigned i = 0; i < fw->files; i++)
        if (fw->file[i].writable)
            state_bytes(s, fw->file[i].name, fw->file[i].item.data, fw->file[i].item.len);
    state_end(s);
}

static void fwcfg_loaded(struct device *dev)
{
    struct fwcfg *fw = from_dev(dev);
    for (unsigned i = 0; i < fw->files; i++)
        if (fw->file[i].written)
            fw->file[i].written(fw->file[i].written_opaque, fw->file[i].item.data,
                                fw->file[i].item.len);
}

static void fwcfg_destroy(struct device *dev)
{
    struct fwcfg *fw = from_dev(dev);
    for (unsigned i = 0; i < FWCFG_FILE_FIRST; i++) {
        item_free(&fw->common[i]);
        item_free(&fw->arch[i]);
    }
    for (unsigned i = 0; i < fw->files; i++)
        item_free(&fw->file[i].item);
    free(fw);
}

static const struct device_ops fwcfg_ops = {
    .reset = fwcfg_reset,
    .state = fwcfg_state,
    .loaded = fwcfg_loaded,
    .destroy = fwcfg_destroy,
};

struct fwcfg *fwcfg_create(struct device_list *devices, const struct fwcfg_config *cfg)
{
    struct fwcfg *fw = calloc(1, sizeof *fw);
    if (!fw)
        return NULL;
    fw->dev = (struct device){.name = "fwcfg", .ops = &fwcfg_ops};
    fw->cfg = *cfg;
    fwcfg_add_item(fw, FWCFG_SIGNATURE, "QEMU", 4);
    fwcfg_add_u32(fw, FWCFG_ID, ID_TRADITIONAL | ID_DMA);
    build_directory(fw);
    fw->selector_ports = (struct io_region){.name = "fwcfg", .ops = &selector_ops, .opaque = fw};
    fw->dma_ports = (struct io_region){.name = "fwcfg.dma", .ops = &dma_ops, .opaque = fw};
    iomap_add(cfg->io, &fw->selector_ports, PORT_SELECTOR, 2);
    iomap_add(cfg->io, &fw->dma_ports, PORT_DMA, 8);
    device_add(devices, &fw->dev);
    return fw;
}
