/*
 * Bus-master registers (PIIX3 "Bus Master IDE I/O Registers"; SFF-8038i "Bus Master Programming
 * Interface for IDE ATA Controllers") and the movement of data by region descriptors:
 *
 *       31                              1 0
 *      +---------------------------------+-+
 *      | physical address of the region  |0|
 *      +-+---------------+---------------+-+
 *      |E|   reserved    | byte count    |0|    E: last entry; a count of 0 is 64 KiB
 *      +-+---------------+---------------+-+
 *
 * How a transfer ends shows in two status bits: INTR without ACTIVE, the regions were as long as
 * the transfer; INTR with ACTIVE, they are longer; neither, they were shorter and the drive still
 * waits.
 */
#include "devices/ide_internal.h"

enum { BM_COMMAND = 0, BM_STATUS = 2, BM_TABLE = 4, BM_CHANNEL = 8 };

enum {
    CMD_START = BIT(0),
    CMD_TO_MEMORY = BIT(3),
};

enum {
    BMS_ACTIVE = BIT(0),
    BMS_ERROR = BIT(1), /* a PCI cycle found no target */
    BMS_INTR = BIT(2),
    BMS_CAPABLE = BIT(5) | BIT(6), /* notes of the firmware to the system: drive 0, 1 can DMA */
};

#define PRD_LAST BIT(31)

void ide_dma_reset(struct ide_dma *dma)
{
    dma->command = dma->status = 0;
    dma->table = 0;
    dma->loaded = false;
}

bool ide_dma_active(const struct ide_channel *ch)
{
    return (ch->dma.status & BMS_ACTIVE) && pci_bus_master_enabled(&ch->ide->pci);
}

void ide_dma_interrupt(struct ide_channel *ch)
{
    ch->dma.status |= BMS_INTR;
}

static void target_missing(struct ide_channel *ch, gpa_t gpa)
{
    ch->dma.status |= BMS_ERROR;
    log_guest(ch->ide->log, "ide channel %u: DMA at %llxh, where there is no memory", ch->number,
              (unsigned long long)gpa);
}

bool ide_dma_load(struct ide_channel *ch)
{
    struct ide_dma *dma = &ch->dma;
    if (dma->loaded)
        return true;
    dma->prd_count = dma->prd_at = dma->prd_skip = 0;
    for (bool last = false; !last && dma->prd_count < PRD_MAX; dma->prd_count++) {
        const gpa_t at = dma->table + 8 * (gpa_t)dma->prd_count;
        uint8_t entry[8];
        if (!memmap_dma_read(ch->ide->mem, at, entry, sizeof entry)) {
            target_missing(ch, at);
            dma->status &= (uint8_t)~BMS_ACTIVE;
            return false;
        }
        const uint32_t count = ld32(entry + 4) & 0xFFFE;
        dma->prd[dma->prd_count] =
            (struct prd){ld32(entry) & ~UINT32_C(1), count ? count : 0x10000};
        last = ld32(entry + 4) & PRD_LAST;
    }
    dma->loaded = true;
    return true;
}

static bool piece(struct ide_channel *ch, bool to_memory, gpa_t gpa, uint8_t *buf, uint32_t len)
{
    struct memmap *mem = ch->ide->mem;
    if (to_memory ? memmap_dma_write(mem, gpa, buf, len) : memmap_dma_read(mem, gpa, buf, len))
        return true;
    target_missing(ch, gpa);
    return false;
}

enum ide_dma_moved ide_dma_move(struct ide_channel *ch, bool to_memory, uint32_t len)
{
    struct ide_dma *dma = &ch->dma;
    for (uint32_t done = 0; done < len;) {
        if (dma->prd_at == dma->prd_count) {
            dma->status &= (uint8_t)~BMS_ACTIVE;
            return IDE_DMA_SHORT;
        }
        const struct prd *p = &dma->prd[dma->prd_at];
        const uint32_t n = MIN(p->len - dma->prd_skip, len - done);
        if (!piece(ch, to_memory, (gpa_t)p->gpa + dma->prd_skip, ch->buf + done, n) && !to_memory) {
            dma->status &= (uint8_t)~BMS_ACTIVE; /* nobody's bytes are no data for a disk */
            return IDE_DMA_FAILED;
        }
        done += n;
        dma->prd_skip += n;
        if (dma->prd_skip == p->len) {
            dma->prd_at++;
            dma->prd_skip = 0;
        }
    }
    return IDE_DMA_MOVED;
}

void ide_dma_finish(struct ide_channel *ch)
{
    if (ch->dma.loaded && ch->dma.prd_at == ch->dma.prd_count)
        ch->dma.status &= (uint8_t)~BMS_ACTIVE;
    ch->dma.loaded = false;
}

static void command_write(struct ide_channel *ch, uint8_t value)
{
    struct ide_dma *dma = &ch->dma;
    const uint8_t old = dma->command;
    dma->command = value & (CMD_START | CMD_TO_MEMORY);
    if ((value & CMD_START) && !(old & CMD_START)) {
        dma->status |= BMS_ACTIVE;
        dma->loaded = false;
        ide_dma_continue(ch);
    } else if (!(value & CMD_START)) {
        dma->status &= (uint8_t)~BMS_ACTIVE;
    }
}

static uint8_t byte_read(struct ide *ide, unsigned offset)
{
    const struct ide_dma *dma = &ide->channel[offset / BM_CHANNEL].dma;
    switch (offset % BM_CHANNEL) {
    case BM_COMMAND:
        return dma->command;
    case BM_STATUS:
        return dma->status;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3:
        return (uint8_t)(dma->table >> (8 * (offset % BM_CHANNEL - BM_TABLE)));
    default: /* reserved */
        return 0;
    }
}

static void byte_write(struct ide *ide, unsigned offset, uint8_t value)
{
    struct ide_channel *ch = &ide->channel[offset / BM_CHANNEL];
    struct ide_dma *dma = &ch->dma;
    switch (offset % BM_CHANNEL) {
    case BM_COMMAND:
        command_write(ch, value);
        break;
    case BM_STATUS:
        dma->status = (uint8_t)((dma->status & ~(BMS_CAPABLE | (value & (BMS_ERROR | BMS_INTR)))) |
                                (value & BMS_CAPABLE));
        break;
    case BM_TABLE:
    case BM_TABLE + 1:
    case BM_TABLE + 2:
    case BM_TABLE + 3: {
        const unsigned shift = 8 * (offset % BM_CHANNEL - BM_TABLE);
        dma->table = (dma->table & ~(UINT32_C(0xFF) << shift)) | (uint32_t)value << shift;
        dma->table &= ~UINT32_C(3);
        break;
    }
    default:
        break;
    }
}

/* The registers have no side effect across bytes, so any width is that many bytes. */
static uint64_t dma_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size && offset + i < 2 * BM_CHANNEL; i++)
        v |= (uint64_t)byte_read(opaque, (unsigned)offset + i) << (8 * i);
    return v;
}

static void dma_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size && offset + i < 2 * BM_CHANNEL; i++)
        byte_write(opaque, (unsigned)offset + i, (uint8_t)(value >> (8 * i)));
}

const struct io_ops ide_dma_ops = {
    .read = dma_read, .write = dma_write, .min_size = 1, .max_size = 4};
