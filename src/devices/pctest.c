/*
 * pc-testdev, as known from QEMU (hw/misc/pc-testdev.c is its only description), which test suites
 * for CPUs and hypervisors use:
 *
 *   E0h-E3h      a scratch register of four bytes, read and written in any width
 *   E4h          dword, write only: a physical address whose page the emulator is to forget what it
 *                knows about; the guest sees no effect
 *   E8h-EBh      the scratch register once more, reached a byte at a time
 *   2000h-2017h  interrupt lines 0 to 23: a byte that is not zero raises the line, zero lowers it
 *   FF000000h    64 KiB that behave as memory, but are registers: each access is one of its own
 *
 * It ends no machine: that is isa-debug-exit's business.
 */
#include "devices/pctest.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SCRATCH_PORT = 0xe0,
    FLUSH_PORT = 0xe4,
    SCRATCH_BYTE_PORT = 0xe8,
    LINE_PORT = 0x2000,
};

struct pctest {
    struct device dev;
    struct pctest_config cfg;
    struct io_region scratch, flush, scratch_bytes, lines;
    struct mem_region mem;
    uint8_t data[4];
    uint32_t level; /* bit n: line n is high */
    uint8_t bytes[PCTEST_MEM_BYTES];
};

static uint64_t scratch_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct pctest *t = opaque;
    uint64_t v = 0;
    memcpy(&v, t->data + offset, MIN(size, sizeof t->data - offset));
    return v;
}

static void scratch_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pctest *t = opaque;
    memcpy(t->data + offset, &value, MIN(size, sizeof t->data - offset));
}

/* An empty port, as far as reading goes. */
static uint64_t nothing_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset;
    return ~UINT64_C(0) >> (64 - 8 * size);
}

/* What was decoded from the page is decoded anew. */
static void flush_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    const struct pctest *t = opaque;
    (void)offset, (void)size;
    const ram_t at = memmap_ram(t->cfg.mem, value & PAGE_MASK, false);
    if (at != RAM_NONE)
        ram_note_write(t->cfg.mem->ram, at, PAGE_SIZE);
    else
        log_line(t->cfg.log, LOG_GUEST, "pc-testdev: %" PRIx64 " is no page of memory", value);
}

static void line_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pctest *t = opaque;
    (void)size;
    const struct irq_line *line = &t->cfg.line[offset];
    if (!line->set) {
        log_line(t->cfg.log, LOG_GUEST, "pc-testdev: nobody drives line %u", (unsigned)offset);
        return;
    }
    const uint32_t bit = BIT(offset);
    t->level = value ? t->level | bit : t->level & ~bit;
    irq_set(line, value != 0);
}

static uint64_t mem_read(void *opaque, uint64_t offset, unsigned size)
{
    const struct pctest *t = opaque;
    uint64_t v = 0;
    memcpy(&v, t->bytes + offset, size);
    return v;
}

static void mem_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    struct pctest *t = opaque;
    memcpy(t->bytes + offset, &value, size);
}

/* What tests have left there outlasts a reset, the lines do not. */
static void pctest_reset(struct device *dev, enum reset_kind kind)
{
    struct pctest *t = container_of(dev, struct pctest, dev);
    t->level = 0;
    if (kind != RESET_POWER_ON)
        return;
    memset(t->data, 0, sizeof t->data);
    memset(t->bytes, 0, sizeof t->bytes);
}

static void drive_lines(struct device *dev)
{
    const struct pctest *t = container_of(dev, struct pctest, dev);
    for (unsigned n = 0; n < PCTEST_LINES; n++)
        irq_set(&t->cfg.line[n], t->level >> n & 1);
}

static void pctest_state(struct device *dev, struct state *s)
{
    struct pctest *t = container_of(dev, struct pctest, dev);
    state_begin(s, "pctest", 1);
    state_bytes(s, "data", t->data, sizeof t->data);
    state_u32(s, "level", &t->level);
    state_check(s, !(t->level >> PCTEST_LINES), "level");
    state_bytes(s, "bytes", t->bytes, sizeof t->bytes);
    state_end(s);
}

static void pctest_destroy(struct device *dev)
{
    free(container_of(dev, struct pctest, dev));
}

static const struct device_ops pctest_ops = {
    .reset = pctest_reset,
    .reset_lines = drive_lines,
    .state = pctest_state,
    .destroy = pctest_destroy,
};

static const struct io_ops scratch_ops = {.read = scratch_read, .write = scratch_write};
static const struct io_ops byte_ops = {.read = scratch_read, .write = scratch_write, .max_size = 1};
static const struct io_ops flush_ops = {
    .read = nothing_read, .write = flush_write, .min_size = 4, .max_size = 4};
static const struct io_ops line_ops = {.read = nothing_read, .write = line_write, .max_size = 1};
static const struct io_ops mem_ops = {.read = mem_read, .write = mem_write, .max_size = 8};

static void add_ports(struct pctest *t, struct io_region *region, const char *name,
                      const struct io_ops *ops, uint16_t base, uint32_t size)
{
    *region = (struct io_region){.name = name, .ops = ops, .opaque = t};
    iomap_add(t->cfg.io, region, base, size);
}

struct pctest *pctest_create(struct device_list *devices, const struct pctest_config *cfg)
{
    struct pctest *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->dev = (struct device){.name = "pctest", .ops = &pctest_ops};
    t->cfg = *cfg;
    add_ports(t, &t->scratch, "pctest-scratch", &scratch_ops, SCRATCH_PORT, 4);
    add_ports(t, &t->flush, "pctest-flush", &flush_ops, FLUSH_PORT, 4);
    add_ports(t, &t->scratch_bytes, "pctest-bytes", &byte_ops, SCRATCH_BYTE_PORT, 4);
    add_ports(t, &t->lines, "pctest-lines", &line_ops, LINE_PORT, PCTEST_LINES);
    mem_region_init_io(&t->mem, "pctest-mem", &mem_ops, t, PCTEST_MEM_BYTES);
    memmap_add(cfg->mem, &t->mem, PCTEST_MEM_BASE, 0);
    device_add(devices, &t->dev);
    return t;
}
