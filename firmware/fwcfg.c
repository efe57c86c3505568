/* See fwcfg.h. Numbers of the device itself are big-endian. */
#include "fwcfg.h"

#include "io.h"
#include "mode.h"

#define PORT_SELECTOR 0x510
#define PORT_DATA     0x511
#define PORT_DMA_HIGH 0x514 /* writing the low half starts the transfer */
#define PORT_DMA_LOW  0x518

#define ID_DMA        BIT(1)

enum {
    DMA_ERROR = BIT(0),
    DMA_READ = BIT(1),
    DMA_SKIP = BIT(2),
    DMA_SELECT = BIT(3),
    DMA_WRITE = BIT(4)
};

struct dma_access {
    uint32_t control;
    uint32_t length;
    uint32_t address_high, address_low;
};

static bool present, has_dma;

/* What the device wrote to memory is not to be read before. */
static bool dma(uint32_t control, void *to, uint32_t bytes)
{
    volatile struct dma_access a = {bswap32(control), bswap32(bytes), 0, bswap32((uintptr_t)to)};
    outl(PORT_DMA_HIGH, 0);
    outl(PORT_DMA_LOW, bswap32((uintptr_t)&a));
    while (bswap32(a.control) & ~(uint32_t)DMA_ERROR)
        ;
    return !(bswap32(a.control) & DMA_ERROR);
}

static void select_item(uint16_t key)
{
    outw(PORT_SELECTOR, key);
}

static void read_on(void *to, uint32_t bytes)
{
    if (has_dma && bytes > 16) {
        dma(DMA_READ, to, bytes);
        return;
    }
    uint8_t *p = to;
    while (bytes--)
        *p++ = inb(PORT_DATA);
}

bool fwcfg_init(void)
{
    char signature[4];
    uint32_t id;
    present = true;
    fwcfg_read(FWCFG_SIGNATURE, signature, sizeof signature);
    present = !memcmp(signature, "QEMU", 4);
    if (present) {
        fwcfg_read(FWCFG_ID, &id, sizeof id);
        has_dma = id & ID_DMA;
    }
    return present;
}

void fwcfg_read(uint16_t key, void *to, uint32_t bytes)
{
    if (!present) {
        memset(to, 0, bytes);
        return;
    }
    select_item(key);
    read_on(to, bytes);
}

bool fwcfg_write(uint16_t key, uint32_t offset, const void *from, uint32_t bytes)
{
    return has_dma && dma((uint32_t)key << 16 | DMA_SELECT | DMA_SKIP, NULL, offset) &&
           dma(DMA_WRITE, (void *)(uintptr_t)from, bytes);
}

uint16_t fwcfg_u16(uint16_t key)
{
    uint16_t v;
    fwcfg_read(key, &v, sizeof v);
    return v;
}

bool fwcfg_file(uint32_t n, struct fwcfg_file *file)
{
    uint32_t count = 0;
    struct {
        uint32_t size;
        uint16_t key, reserved;
        char name[56];
    } entry;
    *file = (struct fwcfg_file){0};
    if (!present)
        return false;
    select_item(FWCFG_FILE_DIR);
    read_on(&count, sizeof count);
    if (n >= bswap32(count))
        return false;
    if (has_dma && n)
        dma(DMA_SKIP, 0, n * sizeof entry);
    for (uint32_t i = has_dma ? n : 0; i <= n; i++)
        read_on(&entry, sizeof entry);
    file->size = bswap32(entry.size);
    file->key = (uint16_t)(entry.key << 8 | entry.key >> 8);
    memcpy(file->name, entry.name, sizeof file->name);
    file->name[sizeof file->name - 1] = 0;
    return true;
}

bool fwcfg_find(const char *name, struct fwcfg_file *file)
{
    for (uint32_t i = 0; fwcfg_file(i, file); i++)
        if (!strcmp(file->name, name))
            return true;
    *file = (struct fwcfg_file){0};
    return false;
}
