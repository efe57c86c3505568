/*
 * Two 8237A DMA controllers (Intel data sheet 231466, called DS below) and the page registers, as
 * in the 82371SB PIIX3 (data sheet 290550, "DMA Registers"), with the high page registers
 * 481h-48Bh that put a channel anywhere below 4 GiB.
 *
 *      channels 0-3: address = high page:page:A15-A0          1 byte a transfer
 *      channels 5-7: address = high page:page(7-1):A15-A0:0   2 bytes a transfer
 *
 * The address counter does not carry into the page. Not modelled: memory-to-memory transfers and
 * compressed or fixed timing (the PIIX3 has none either), software requests (the bits can be read,
 * no device waits for them), single against demand and block mode (a device gets as much of the bus
 * as it asks for).
 */
#include "devices/dma8237.h"

#include <stdlib.h>

enum {
    REG_COMMAND = 8, /* read: status */
    REG_REQUEST = 9,
    REG_MASK_ONE = 10,
    REG_MODE = 11,
    REG_CLEAR_FLIP_FLOP = 12,
    REG_MASTER_CLEAR = 13, /* read: temporary register */
    REG_CLEAR_MASK = 14,
    REG_MASK_ALL = 15,
    COMMAND_MEM_TO_MEM = BIT(0),
    COMMAND_DISABLE = BIT(2),
    MODE_TRANSFER = 0x0c, /* 0 verify, 4 to memory, 8 from memory */
    MODE_TO_MEMORY = 0x04,
    MODE_FROM_MEMORY = 0x08,
    MODE_AUTOINIT = BIT(4),
    MODE_DECREMENT = BIT(5),
    MODE_SELECT = 0xc0,
    MODE_CASCADE = 0xc0,
    SET_BIT = BIT(2), /* in REQUEST and MASK_ONE: set, not clear */
};

#define CASCADE_CHANNEL 4
#define PAGE_REGISTERS  16

struct channel {
    uint16_t base_address, base_count;
    uint16_t address, count;
    uint8_t mode;
};

struct controller {
    struct dma8237 *dma;
    struct io_region io;
    struct channel channel[4];
    uint8_t command, request, mask, dreq, tc; /* the last four: a bit a channel */
    bool flip_flop; /* the next byte of an address or count is the high one */
};

struct dma8237 {
    struct device dev;
    struct memmap *mem;
    struct log *log;
    struct io_region pages_io, high_io;
    struct controller controller[2];
    uint8_t page[PAGE_REGISTERS], high_page[PAGE_REGISTERS]; /* by port & 15 */
};

/* Which page register belongs to a channel; the others are plain storage. */
static const uint8_t page_of[8] = {0x7, 0x3, 0x1, 0x2, 0xf, 0xb, 0x9, 0xa};

static const struct channel *channel_of(const struct dma8237 *dma, unsigned channel)
{
    return &dma->controller[channel >> 2].channel[channel & 3];
}

/* DS "REGISTER DESCRIPTION", "Clear First/Last Flip-Flop": low byte first, then the high one. */
static uint8_t read_half(struct controller *c, uint16_t v)
{
    c->flip_flop = !c->flip_flop;
    return (uint8_t)(c->flip_flop ? v : v >> 8);
}

static void write_half(struct controller *c, uint16_t *base, uint16_t *current, uint8_t v)
{
    *base = (uint16_t)(c->flip_flop ? (*base & 0x00ff) | v << 8 : (*base & 0xff00) | v);
    *current = *base;
    c->flip_flop = !c->flip_flop;
}

/* DS "Status Register": terminal counts since the last read, and who asks. */
static uint8_t read_status(struct controller *c)
{
    const uint8_t v = (uint8_t)(c->tc | (c->dreq | c->request) << 4);
    c->tc = 0;
    return v;
}

/* DS "Master Clear": as a reset. */
static void clear_controller(struct controller *c)
{
    c->command = c->request = c->tc = 0;
    c->flip_flop = false;
    c->mask = 0x0f;
}

static uint8_t read_register(struct controller *c, unsigned reg)
{
    if (reg < REG_COMMAND) {
        const struct channel *ch = &c->channel[reg >> 1];
        return read_half(c, reg & 1 ? ch->count : ch->address);
    }
    switch (reg) {
    case REG_COMMAND:
        return read_status(c);
    case REG_MASK_ALL: /* PIIX3; not readable on the 8237A */
        return c->mask | 0xf0;
    default:
        return 0;
    }
}

static void write_bit(uint8_t *set, uint8_t v)
{
    const uint8_t bit = (uint8_t)BIT(v & 3);
    *set = v & SET_BIT ? *set | bit : *set & ~bit;
}

static void write_register(struct controller *c, unsigned reg, uint8_t v)
{
    if (reg < REG_COMMAND) {
        struct channel *ch = &c->channel[reg >> 1];
        if (reg & 1)
            write_half(c, &ch->base_count, &ch->count, v);
        else
            write_half(c, &ch->base_address, &ch->address, v);
        return;
    }
    switch (reg) {
    case REG_COMMAND:
        c->command = v;
        if (v & COMMAND_MEM_TO_MEM)
            log_unimp(c->dma->log, "8237: memory-to-memory transfers");
        break;
    case REG_REQUEST:
        write_bit(&c->request, v);
        break;
    case REG_MASK_ONE:
        write_bit(&c->mask, v);
        break;
    case REG_MODE:
        c->channel[v & 3].mode = v & 0xfc;
        break;
    case REG_CLEAR_FLIP_FLOP:
        c->flip_flop = false;
        break;
    case REG_MASTER_CLEAR:
        clear_controller(c);
        break;
    case REG_CLEAR_MASK:
        c->mask = 0;
        break;
    default: /* REG_MASK_ALL */
        c->mask = v & 0x0f;
        break;
    }
}

/* The first controller's registers lie a port apart, the second's two: its A0 is the bus's A1. */
static unsigned register_of(const struct controller *c, uint64_t offset)
{
    return (unsigned)(c == &c->dma->controller[0] ? offset : offset >> 1);
}

static uint64_t dma8237_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct controller *c = opaque;
    return read_register(c, register_of(c, offset));
}

static void dma8237_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct controller *c = opaque;
    write_register(c, register_of(c, offset), (uint8_t)value);
}

static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    const struct dma8237 *dma = opaque;
    return dma->page[offset + 1];
}

/* Writing the page register clears the high one: code from before it existed sees 16 MiB. */
static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct dma8237 *dma = opaque;
    dma->page[offset + 1] = (uint8_t)value;
    dma->high_page[offset + 1] = 0;
}

static uint64_t high_page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    const struct dma8237 *dma = opaque;
    return dma->high_page[offset + 1];
}

static void high_page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct dma8237 *dma = opaque;
    dma->high_page[offset + 1] = (uint8_t)value;
}

void dma8237_set_dreq(void *opaque, unsigned channel, int level)
{
    struct dma8237 *dma = opaque;
    assert(channel < 8);
    write_bit(&dma->controller[channel >> 2].dreq,
              (uint8_t)((channel & 3) | (level ? SET_BIT : 0)));
}

static bool enabled(const struct dma8237 *dma, unsigned channel)
{
    const struct controller *c = &dma->controller[channel >> 2];
    return !(c->command & COMMAND_DISABLE) && !(c->mask & BIT(channel & 3));
}

bool dma8237_ready(const struct dma8237 *dma, unsigned channel)
{
    assert(channel < 8);
    if (!enabled(dma, channel) || (channel_of(dma, channel)->mode & MODE_SELECT) == MODE_CASCADE)
        return false;
    if (channel > CASCADE_CHANNEL)
        return true;
    return enabled(dma, CASCADE_CHANNEL) &&
           (channel_of(dma, CASCADE_CHANNEL)->mode & MODE_SELECT) == MODE_CASCADE;
}

static gpa_t address_of(const struct dma8237 *dma, unsigned channel)
{
    const uint16_t a = channel_of(dma, channel)->address;
    const gpa_t page =
        (gpa_t)dma->high_page[page_of[channel]] << 24 | (gpa_t)dma->page[page_of[channel]] << 16;
    return channel < 4 ? page | a : (page & ~(gpa_t)0x1ffff) | (gpa_t)a << 1;
}

static void move(struct dma8237 *dma, unsigned channel, void *buf, size_t len, bool to_memory)
{
    const uint8_t transfer = channel_of(dma, channel)->mode & MODE_TRANSFER;
    const gpa_t at = address_of(dma, channel);
    if (transfer == MODE_TO_MEMORY && to_memory)
        memmap_dma_write(dma->mem, at, buf, len);
    else if (transfer == MODE_FROM_MEMORY && !to_memory)
        memmap_dma_read(dma->mem, at, buf, len);
    else if (transfer)
        log_guest(dma->log, "8237: channel %u is programmed (mode %02xh) against its device",
                  channel, channel_of(dma, channel)->mode);
}

/* Transfers that can be done as one block: up to the end of the page and of the count. */
static uint32_t run_length(const struct channel *ch, size_t wanted)
{
    const uint32_t to_end = ch->mode & MODE_DECREMENT ? 1 : 0x10000u - ch->address;
    return (uint32_t)MIN(wanted, MIN(to_end, ch->count + 1u));
}

/* DS "Terminal count": autoinitialize, or be masked. */
static void terminal_count(struct controller *c, unsigned n)
{
    struct channel *ch = &c->channel[n];
    c->tc |= BIT(n);
    c->request &= ~BIT(n);
    if (ch->mode & MODE_AUTOINIT) {
        ch->address = ch->base_address;
        ch->count = ch->base_count;
    } else {
        c->mask |= BIT(n);
    }
}

size_t dma8237_transfer(struct dma8237 *dma, unsigned channel, void *buf, size_t len,
                        bool to_memory, bool *tc)
{
    assert(channel < 8 && channel != CASCADE_CHANNEL);
    struct controller *c = &dma->controller[channel >> 2];
    struct channel *ch = &c->channel[channel & 3];
    const unsigned width = channel < 4 ? 1 : 2;
    size_t done = 0;
    bool ended = false;
    while (!ended && len - done >= width && dma8237_ready(dma, channel)) {
        const uint32_t n = run_length(ch, (len - done) / width);
        move(dma, channel, (uint8_t *)buf + done, (size_t)n * width, to_memory);
        ch->address = (uint16_t)(ch->mode & MODE_DECREMENT ? ch->address - n : ch->address + n);
        ch->count = (uint16_t)(ch->count - n);
        done += (size_t)n * width;
        ended = ch->count == 0xffff;
    }
    if (ended)
        terminal_count(c, channel & 3);
    if (tc)
        *tc = ended;
    return done;
}

static void dma8237_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct dma8237 *dma = container_of(dev, struct dma8237, dev);
    for (unsigned i = 0; i < 2; i++) {
        struct controller *c = &dma->controller[i];
        clear_controller(c);
        c->dreq = 0;
        memset(c->channel, 0, sizeof c->channel);
    }
    memset(dma->page, 0, sizeof dma->page);
    memset(dma->high_page, 0, sizeof dma->high_page);
}

static void controller_state(struct controller *c, struct state *s, const char *section)
{
    state_begin(s, section, 1);
    for (unsigned i = 0; i < 4; i++) {
        struct channel *ch = &c->channel[i];
        state_u16(s, "base_address", &ch->base_address);
        state_u16(s, "base_count", &ch->base_count);
        state_u16(s, "address", &ch->address);
        state_u16(s, "count", &ch->count);
        state_u8(s, "mode", &ch->mode);
    }
    state_u8(s, "command", &c->command);
    state_u8(s, "request", &c->request);
    state_u8(s, "mask", &c->mask);
    state_u8(s, "dreq", &c->dreq);
    state_u8(s, "tc", &c->tc);
    state_bool(s, "flip_flop", &c->flip_flop);
    state_end(s);
}

static void dma8237_state(struct device *dev, struct state *s)
{
    struct dma8237 *dma = container_of(dev, struct dma8237, dev);
    controller_state(&dma->controller[0], s, "dma8237.0");
    controller_state(&dma->controller[1], s, "dma8237.1");
    state_begin(s, "dma8237.pages", 1);
    state_bytes(s, "page", dma->page, sizeof dma->page);
    state_bytes(s, "high_page", dma->high_page, sizeof dma->high_page);
    state_end(s);
}

static void dma8237_destroy(struct device *dev)
{
    free(container_of(dev, struct dma8237, dev));
}

static const struct device_ops dma8237_ops = {
    .reset = dma8237_reset,
    .state = dma8237_state,
    .destroy = dma8237_destroy,
};

static const struct io_ops controller_ops = {
    .read = dma8237_read,
    .write = dma8237_write,
    .max_size = 1,
};

static const struct io_ops page_ops = {.read = page_read, .write = page_write, .max_size = 1};

static const struct io_ops high_page_ops = {
    .read = high_page_read,
    .write = high_page_write,
    .max_size = 1,
};

struct device *dma8237_device(struct dma8237 *dma)
{
    return &dma->dev;
}

static void wire_controller(struct dma8237 *dma, struct iomap *io, unsigned n)
{
    struct controller *c = &dma->controller[n];
    c->dma = dma;
    c->io = (struct io_region){
        .name = n ? "dma8237.1" : "dma8237.0", .ops = &controller_ops, .opaque = c};
    iomap_add(io, &c->io, n ? 0xc0 : 0x00, n ? 32 : 16);
}

/* Port 80h, which would be the first page register, belongs to the POST code latch (post80.c). */
struct dma8237 *dma8237_create(struct iomap *io, struct memmap *mem, struct log *log)
{
    struct dma8237 *dma = calloc(1, sizeof *dma);
    if (!dma)
        return NULL;
    dma->dev = (struct device){.name = "dma8237", .ops = &dma8237_ops};
    dma->mem = mem;
    dma->log = log;
    wire_controller(dma, io, 0);
    wire_controller(dma, io, 1);
    dma->pages_io = (struct io_region){.name = "dma8237.pages", .ops = &page_ops, .opaque = dma};
    dma->high_io =
        (struct io_region){.name = "dma8237.high_pages", .ops = &high_page_ops, .opaque = dma};
    iomap_add(io, &dma->pages_io, 0x81, PAGE_REGISTERS - 1);
    iomap_add(io, &dma->high_io, 0x481, PAGE_REGISTERS - 1);
    dma8237_reset(&dma->dev, RESET_POWER_ON);
    return dma;
}
