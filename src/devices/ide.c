/*
 * The IDE function of the PIIX3 ("82371FB (PIIX) and 82371SB (PIIX3) PCI ISA IDE Xcelerator",
 * 290550) and the task files of its drives. ATA/ATAPI-7 (T13/1532D) volume 1 and 2 for registers
 * and protocols, ACS-3 (T13/2161-D) for commands and IDENTIFY data.
 *
 *      ide.c            ports, registers, interrupts, resets, configuration space
 *      ide_command.c    commands and the movement of sectors
 *      ide_identify.c   IDENTIFY DEVICE data
 *      ide_dma.c        bus-master registers and region descriptors
 *      atapi*.c         CD-ROM drives
 *
 * Not modelled: overlapped and queued commands, SMART, security, host protected
 * areas; timing (IDETIM and SIDETIM are stored; the ports are decoded whatever IDETIM says);
 * spinning down (STANDBY is remembered, and forgotten with the next access). A read error is
 * reported for the first sector of the piece it lies in.
 */
#include "devices/ide_internal.h"

#include <stdlib.h>

/* Offsets from 1F0h or 170h. */
enum {
    REG_ERROR = 1, /* written: FEATURES */
    REG_COUNT = 2,
    REG_LBA_LOW = 3,
    REG_LBA_MID = 4,
    REG_LBA_HIGH = 5,
    REG_DEVICE = 6,
    REG_STATUS = 7, /* written: COMMAND */
};

/* PIIX3 "PCI Configuration Registers - IDE Interface (Function 1)". */
enum {
    CFG_COMMAND = 0x04,
    CFG_STATUS = 0x06,
    CFG_IDETIM = 0x40, /* to 43h */
    CFG_SIDETIM = 0x44,
};

static_assert(offsetof(struct ide, pci) == 0 && offsetof(struct pci_device, dev) == 0,
              "ops get the device by its struct device");

static struct ide *from_dev(struct device *dev)
{
    return (struct ide *)dev;
}

static struct ide_drive *selected(struct ide_channel *ch)
{
    return &ch->drive[ch->selected];
}

/* ------------------------------------------------------------------ interrupts */

/* ATA/ATAPI-7 "INTRQ": driven by the selected drive, and not while nIEN is set. */
static int irq_wanted(const struct ide_channel *ch)
{
    return ch->drive[ch->selected].intrq && !(ch->control & DC_NIEN);
}

void ide_update_irq(struct ide_channel *ch)
{
    const int level = irq_wanted(ch);
    if (level == ch->irq_level)
        return;
    ch->irq_level = level;
    if (level)
        ide_dma_interrupt(ch);
    irq_set(&ch->irq, level);
}

void ide_raise(struct ide_drive *d)
{
    d->intrq = true;
    ide_update_irq(d->channel);
}

static void acknowledge(struct ide_drive *d)
{
    d->intrq = false;
    ide_update_irq(d->channel);
}

/* ------------------------------------------------------------------ resets */

/* ATA/ATAPI-7 volume 2 "Signature and persistence". DRDY of a packet drive is 0 until a command. */
void ide_set_signature(struct ide_drive *d)
{
    const bool packet = d->kind == IDE_CDROM;
    d->count = (struct ide_fifo){.now = 1};
    d->lba[0] = (struct ide_fifo){.now = 1};
    d->lba[1] = (struct ide_fifo){.now = packet ? 0x14 : 0};
    d->lba[2] = (struct ide_fifo){.now = packet ? 0xEB : 0};
    d->feature = (struct ide_fifo){0};
    d->device = 0;
    d->error = ER_DIAG_PASSED;
    d->status = d->kind == IDE_DISK ? ST_READY : 0;
    d->intrq = false;
}

/* ATA/ATAPI-7 volume 2 "Software reset protocol". Settings stay, as after SET FEATURES 66h. */
static void control_write(struct ide_channel *ch, uint8_t value)
{
    const uint8_t old = ch->control;
    ch->control = value;
    if ((value & DC_SRST) && !(old & DC_SRST)) {
        ide_abort_transfer(ch);
        for (unsigned i = 0; i < 2; i++) {
            ch->drive[i].intrq = false;
            if (ide_present(&ch->drive[i]))
                ch->drive[i].status = ST_BSY;
        }
    } else if (!(value & DC_SRST) && (old & DC_SRST)) {
        ch->selected = 0;
        for (unsigned i = 0; i < 2; i++) {
            ide_set_signature(&ch->drive[i]);
            atapi_reset(&ch->drive[i]);
            ch->drive[i].standby = ch->drive[i].asleep = false;
        }
    }
    ide_update_irq(ch);
}

/* ------------------------------------------------------------------ task file */

static uint8_t fifo_read(const struct ide_channel *ch, const struct ide_fifo *f)
{
    return ch->control & DC_HOB ? f->before : f->now;
}

static void fifo_write(struct ide_fifo *f, uint8_t value)
{
    f->before = f->now;
    f->now = value;
}

/*
 * A drive that is not there reads as zeros, whether the other one answers for it (ATA/ATAPI-7
 * volume 2 "Single device configurations": status 00h) or the whole channel is empty: firmware and
 * systems then go on at once, while ones would look like a busy drive to some.
 */
static uint64_t register_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct ide_channel *ch = opaque;
    struct ide_drive *d = selected(ch);
    if (!ide_present(d))
        return 0;
    switch (offset + 1) {
    case REG_ERROR:
        return d->error;
    case REG_COUNT:
        return fifo_read(ch, &d->count);
    case REG_LBA_LOW:
    case REG_LBA_MID:
    case REG_LBA_HIGH:
        return fifo_read(ch, &d->lba[offset + 1 - REG_LBA_LOW]);
    case REG_DEVICE:
        return (d->device & ~(unsigned)DEV_DEV) | DEV_OBSOLETE | (ch->selected ? DEV_DEV : 0);
    default: { /* REG_STATUS */
        const uint8_t status = d->status;
        acknowledge(d);
        return status;
    }
    }
}

static void command_write(struct ide_channel *ch, uint8_t opcode)
{
    struct ide_drive *d = selected(ch);
    if (ch->control & DC_SRST) /* not even DEVICE RESET: the drives are held in reset */
        return;
    if (!ide_present(d) && opcode == 0x90) /* EXECUTE DEVICE DIAGNOSTIC is for both */
        d = &ch->drive[!ch->selected];
    if (!ide_present(d))
        return;
    if (opcode == 0x08 && d->kind == IDE_CDROM) {
        ide_device_reset(d);
        return;
    }
    if ((d->status & (ST_BSY | ST_DRQ)) || d->asleep) {
        log_guest(ch->ide->log, "ide%u: command %02xh while the drive is %s", d->number, opcode,
                  d->asleep ? "asleep" : "busy");
        return;
    }
    acknowledge(d);
    ide_execute(d, opcode);
}

/* Both drives hear all writes; none counts while BSY or DRQ is set (ATA/ATAPI-7 "I/O registers").
 */
static void register_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct ide_channel *ch = opaque;
    const uint8_t v = (uint8_t)value;
    ch->control &= (uint8_t)~DC_HOB;
    if (offset + 1 == REG_STATUS) {
        command_write(ch, v);
        return;
    }
    if (selected(ch)->status & (ST_BSY | ST_DRQ))
        return;
    if (offset + 1 == REG_DEVICE)
        ch->selected = v & DEV_DEV ? 1 : 0;
    for (unsigned i = 0; i < 2; i++) {
        struct ide_drive *d = &ch->drive[i];
        switch (offset + 1) {
        case REG_ERROR:
            fifo_write(&d->feature, v);
            break;
        case REG_COUNT:
            fifo_write(&d->count, v);
            break;
        case REG_DEVICE:
            d->device = v;
            break;
        default: /* LBA low, mid, high */
            fifo_write(&d->lba[offset + 1 - REG_LBA_LOW], v);
            break;
        }
    }
    ide_update_irq(ch);
}

/* Alternate status: as the status, but the interrupt stays. */
static uint64_t control_port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    struct ide_channel *ch = opaque;
    return ide_present(selected(ch)) ? selected(ch)->status : 0;
}

static void control_port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    control_write(opaque, (uint8_t)value);
}

/* ------------------------------------------------------------------ data port */

static void moved(struct ide_channel *ch, uint32_t bytes)
{
    struct ide_transfer *t = &ch->transfer;
    t->pos += bytes;
    if (t->pos == t->block_end)
        ide_block_done(ch);
}

/* Units of size bytes that the DRQ block still has. */
static unsigned units_left(const struct ide_channel *ch, enum ide_phase phase, unsigned size)
{
    const struct ide_transfer *t = &ch->transfer;
    if (t->phase != phase || t->drive != &ch->drive[ch->selected])
        return 0;
    return (t->block_end - t->pos) / size;
}

static unsigned data_read_bulk(void *opaque, uint64_t offset, unsigned size, void *buf,
                               unsigned count)
{
    struct ide_channel *ch = opaque;
    const unsigned n = offset ? 0 : MIN(count, units_left(ch, PHASE_PIO_IN, size));
    if (n) {
        memcpy(buf, ch->buf + ch->transfer.pos, (size_t)n * size);
        moved(ch, n * size);
    }
    return n;
}

static unsigned data_write_bulk(void *opaque, uint64_t offset, unsigned size, const void *buf,
                                unsigned count)
{
    struct ide_channel *ch = opaque;
    const unsigned n = offset ? 0 : MIN(count, units_left(ch, PHASE_PIO_OUT, size));
    if (n) {
        memcpy(ch->buf + ch->transfer.pos, buf, (size_t)n * size);
        moved(ch, n * size);
    }
    return n;
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    if (data_read_bulk(opaque, offset, size, &value, 1))
        return value;
    if (size == 4) { /* the PIIX makes two cycles of it: the block may end in between */
        value = data_read(opaque, offset, 2);
        return value | data_read(opaque, offset, 2) << 16;
    }
    struct ide_channel *ch = opaque;
    log_guest(ch->ide->log, "ide channel %u: data read without DRQ", ch->number);
    return ide_present(selected(ch)) ? UINT16_MAX : 0;
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    if (data_write_bulk(opaque, offset, size, &value, 1))
        return;
    if (size == 4) {
        data_write(opaque, offset, value & 0xFFFF, 2);
        data_write(opaque, offset, value >> 16, 2);
        return;
    }
    struct ide_channel *ch = opaque;
    log_guest(ch->ide->log, "ide channel %u: data written without DRQ", ch->number);
}

static const struct io_ops data_ops = {.read = data_read,
                                       .write = data_write,
                                       .read_bulk = data_read_bulk,
                                       .write_bulk = data_write_bulk,
                                       .min_size = 2,
                                       .max_size = 4};
static const struct io_ops register_ops = {
    .read = register_read, .write = register_write, .min_size = 1, .max_size = 1};
static const struct io_ops control_ops = {
    .read = control_port_read, .write = control_port_write, .min_size = 1, .max_size = 1};

/* ------------------------------------------------------------------ the device */

/* The bus master may have been let loose. */
static void config_written(struct pci_device *pci, unsigned offset, unsigned size)
{
    struct ide *ide = container_of(pci, struct ide, pci);
    (void)size;
    for (unsigned c = 0; c < 2 && offset <= CFG_COMMAND; c++)
        ide_dma_continue(&ide->channel[c]);
}

static void ide_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct ide *ide = from_dev(dev);
    for (unsigned c = 0; c < 2; c++) {
        struct ide_channel *ch = &ide->channel[c];
        ide_abort_transfer(ch);
        ide_dma_reset(&ch->dma);
        ch->control = 0;
        ch->selected = 0;
        ch->irq_level = 0;
        for (unsigned i = 0; i < 2; i++) {
            ide_default_settings(&ch->drive[i]);
            ide_set_signature(&ch->drive[i]);
            atapi_restart(&ch->drive[i]);
        }
    }
    pci_device_reset(&ide->pci);
    memset(ide->pci.config + CFG_IDETIM, 0, 5);
}

static void ide_reset_lines(struct device *dev)
{
    struct ide *ide = from_dev(dev);
    for (unsigned c = 0; c < 2; c++)
        irq_set(&ide->channel[c].irq, ide->channel[c].irq_level);
}

static void fifo_state(struct state *s, const char *field, struct ide_fifo *f)
{
    uint16_t v = (uint16_t)(f->now | f->before << 8);
    state_u16(s, field, &v);
    *f = (struct ide_fifo){(uint8_t)v, (uint8_t)(v >> 8)};
}

static void drive_state(struct state *s, struct ide_drive *d)
{
    fifo_state(s, "feature", &d->feature);
    fifo_state(s, "count", &d->count);
    fifo_state(s, "lba_low", &d->lba[0]);
    fifo_state(s, "lba_mid", &d->lba[1]);
    fifo_state(s, "lba_high", &d->lba[2]);
    state_u8(s, "device", &d->device);
    state_u8(s, "status", &d->status);
    state_u8(s, "error", &d->error);
    state_bool(s, "intrq", &d->intrq);
    state_u8(s, "multiple", &d->multiple);
    state_check(s, d->multiple <= IDE_MAX_MULTIPLE, "multiple");
    state_u8(s, "heads", &d->heads);
    state_check(s, d->heads >= 1 && d->heads <= 16, "heads");
    state_u8(s, "sectors", &d->sectors);
    state_check(s, d->sectors >= 1, "sectors");
    state_u8(s, "mwdma", &d->mwdma);
    state_u8(s, "udma", &d->udma);
    state_bool(s, "write_cache", &d->write_cache);
    state_bool(s, "look_ahead", &d->look_ahead);
    state_bool(s, "standby", &d->standby);
    state_bool(s, "asleep", &d->asleep);
    if (d->kind == IDE_CDROM)
        atapi_state(s, d);
}

/* Requests have been drained: the disk is not at work, so buf holds all that is under way. */
static void transfer_state(struct state *s, struct ide_channel *ch)
{
    struct ide_transfer *t = &ch->transfer;
    uint8_t phase = (uint8_t)t->phase, kind = (uint8_t)t->kind;
    uint8_t drive = t->drive == &ch->drive[1];
    state_u8(s, "phase", &phase);
    state_check(s, phase <= PHASE_DMA_WAIT && phase != PHASE_DISK, "phase");
    state_u8(s, "kind", &kind);
    state_check(s, kind <= KIND_VERIFY, "kind");
    state_u8(s, "drive", &drive);
    state_check(s, drive <= 1 && (phase == PHASE_IDLE || ide_present(&ch->drive[drive & 1])),
                "drive");
    state_bool(s, "packet", &t->packet);
    state_check(s,
                phase == PHASE_IDLE || t->packet == (ch->drive[drive & 1].kind == IDE_CDROM) ||
                    (phase == PHASE_PIO_IN && kind == KIND_NONE),
                "packet"); /* IDENTIFY PACKET DEVICE is a command of the old kind */
    state_bool(s, "odd", &t->odd);
    state_u32(s, "limit", &t->limit);
    state_bool(s, "dma", &t->dma);
    state_bool(s, "ext", &t->ext);
    state_bool(s, "flush_after", &t->flush_after);
    state_u64(s, "lba", &t->lba);
    state_u32(s, "left", &t->left);
    state_u32(s, "chunk", &t->chunk);
    state_u32(s, "block_sectors", &t->block_sectors);
    state_u32(s, "pos", &t->pos);
    state_u32(s, "block_end", &t->block_end);
    state_u32(s, "len", &t->len);
    state_check(s, t->chunk <= MIN(t->left, IDE_BUF_SECTORS), "chunk");
    state_check(s, phase != PHASE_PIO_OUT || kind == KIND_WRITE, "kind");
    state_check(s,
                phase != PHASE_DMA_WAIT || kind == KIND_READ ||
                    (t->packet ? kind == KIND_NONE : kind == KIND_WRITE),
                "kind");
    state_check(s, !t->packet || phase != PHASE_PIO_OUT || t->len == 12, "len");
    state_check(s, !t->packet || !t->odd || t->len, "odd");
    state_check(s, !t->packet || phase != PHASE_PIO_IN || t->limit, "limit");
    state_check(s, t->block_sectors >= 1 && t->block_sectors <= IDE_MAX_MULTIPLE, "block_sectors");
    state_check(s, t->len <= sizeof ch->buf && t->block_end <= t->len && t->pos <= t->block_end,
                "len");
    if (s->err.msg[0])
        return;
    t->phase = (enum ide_phase)phase;
    t->kind = (enum ide_kind)kind;
    t->drive = &ch->drive[drive];
    state_bytes(s, "buffer", ch->buf, t->len);
}

static void ide_state(struct device *dev, struct state *s)
{
    struct ide *ide = from_dev(dev);
    state_begin(s, "piix3-ide", 1);
    pci_device_state(&ide->pci, s);
    for (unsigned c = 0; c < 2; c++) {
        struct ide_channel *ch = &ide->channel[c];
        uint8_t sel = (uint8_t)ch->selected;
        assert(!ch->in_flight && "drained by the owner");
        state_u8(s, "selected", &sel);
        state_check(s, sel <= 1, "selected");
        ch->selected = sel & 1;
        state_u8(s, "control", &ch->control);
        state_u8(s, "dma_command", &ch->dma.command);
        state_u8(s, "dma_status", &ch->dma.status);
        state_u32(s, "dma_table", &ch->dma.table);
        for (unsigned i = 0; i < 2; i++)
            drive_state(s, &ch->drive[i]);
        transfer_state(s, ch);
    }
    state_end(s);
}

static void ide_loaded(struct device *dev)
{
    struct ide *ide = from_dev(dev);
    for (unsigned c = 0; c < 2; c++) {
        ide->channel[c].irq_level = irq_wanted(&ide->channel[c]);
        ide->channel[c].dma.loaded = false;
    }
}

static void ide_destroy(struct device *dev)
{
    struct ide *ide = from_dev(dev);
    for (unsigned c = 0; c < 2; c++)
        ide_abort_transfer(&ide->channel[c]);
    free(ide);
}

static const struct device_ops ide_ops = {
    .reset = ide_reset,
    .reset_lines = ide_reset_lines,
    .state = ide_state,
    .loaded = ide_loaded,
    .destroy = ide_destroy,
};

static void init_config_space(struct ide *ide, struct pci_bus *bus, uint8_t devfn)
{
    struct pci_device *pci = &ide->pci;
    /* Class 0101h, interface 80h: bus master, both channels at their legacy ports for good. */
    pci_device_init(pci, bus, devfn, 0x8086, 0x7010, 0x010180, 0);
    pci_set_subsystem(pci, 0x1AF4, 0x1100);
    st16(pci->config + CFG_STATUS, 0x0280); /* DEVSEL# medium, fast back-to-back */
    st16(pci->wmask + CFG_COMMAND, 0x0005); /* I/O space, bus master; the rest is hardwired */
    st32(pci->wmask + CFG_IDETIM, 0xFFFFFFFF);
    pci->wmask[CFG_SIDETIM] = 0xFF;
    pci->config_written = config_written;
    pci_add_io_bar(pci, 4, "ide-dma", &ide_dma_ops, ide, 16);
}

static void init_channel(struct ide *ide, unsigned c, struct iomap *io)
{
    static const uint16_t ports[2][2] = {{0x1F0, 0x3F6}, {0x170, 0x376}};
    static const char *const names[2][3] = {{"ide0-data", "ide0", "ide0-control"},
                                            {"ide1-data", "ide1", "ide1-control"}};
    struct ide_channel *ch = &ide->channel[c];
    ch->data_port = (struct io_region){.name = names[c][0], .ops = &data_ops, .opaque = ch};
    ch->registers = (struct io_region){.name = names[c][1], .ops = &register_ops, .opaque = ch};
    ch->control_port = (struct io_region){.name = names[c][2], .ops = &control_ops, .opaque = ch};
    /* The data port is up to four bytes wide and lies under the others. */
    iomap_add(io, &ch->data_port, ports[c][0], 4);
    iomap_add(io, &ch->registers, ports[c][0] + 1, 7);
    iomap_add(io, &ch->control_port, ports[c][1], 1);
}

struct ide *ide_create(struct pci_bus *bus, uint8_t devfn, struct iomap *io, struct memmap *mem,
                       struct event_queue *events, struct log *log, const struct irq_line irq[2],
                       const struct ide_unit unit[4])
{
    (void)events; /* all waiting is the block layer's */
    struct ide *ide = calloc(1, sizeof *ide);
    if (!ide)
        return NULL;
    ide->pci.dev = (struct device){.name = "piix3-ide", .ops = &ide_ops};
    ide->mem = mem;
    ide->log = log;
    init_config_space(ide, bus, devfn);
    for (unsigned c = 0; c < 2; c++) {
        struct ide_channel *ch = &ide->channel[c];
        ch->ide = ide;
        ch->number = c;
        ch->irq = irq[c];
        for (unsigned i = 0; i < 2; i++) {
            struct ide_drive *d = &ch->drive[i];
            d->channel = ch;
            d->number = 2 * c + i;
            d->kind = unit[d->number].kind;
            d->blk = unit[d->number].blk;
            ide_default_settings(d);
            ide_set_signature(d);
        }
        ch->transfer.drive = &ch->drive[0];
        ch->transfer.block_sectors = 1;
        init_channel(ide, c, io);
    }
    return ide;
}

struct device *ide_device(struct ide *ide)
{
    return &ide->pci.dev;
}
