/*
 * ATA disks: finding them, and moving sectors by bus-master DMA, or by PIO where DMA cannot be used
 * (ACS-3; ATA/ATAPI-4 for the PIO protocols; "Programming Interface for Bus Master IDE
 * Controller").
 *
 * While a transfer runs the processor sleeps (HLT) and IRQ 14 or 15 wakes it, unless the caller has
 * that line masked: then the status is polled.
 */
#include "ata.h"

#include "bda.h"
#include "int15.h"
#include "io.h"
#include "print.h"
#include "timer.h"

enum {
    CMD_READ_SECTORS = 0x20,
    CMD_READ_SECTORS_EXT = 0x24,
    CMD_READ_DMA_EXT = 0x25,
    CMD_WRITE_SECTORS = 0x30,
    CMD_WRITE_SECTORS_EXT = 0x34,
    CMD_WRITE_DMA_EXT = 0x35,
    CMD_VERIFY = 0x40,
    CMD_VERIFY_EXT = 0x42,
    CMD_IDENTIFY_PACKET = 0xA1,
    CMD_READ_DMA = 0xC8,
    CMD_WRITE_DMA = 0xCA,
    CMD_IDENTIFY = 0xEC,
};

#define LBA28_END        0x0FFFFFFFu
#define RESET_TIMEOUT_MS 2000
#define POLLS_BEFORE_HLT 8 /* what is done at once needs no sleep */

/* A table must not cross 64 KiB; DATA_SEG does not. 255 sectors touch at most three pieces. */
struct prd {
    uint32_t address;
    uint16_t bytes, flags; /* 0 bytes: 64 KiB; 8000h: the last */
};
#define PRDS     4
#define PRD_LAST 0x8000

static struct prd prd_table[PRDS] __attribute__((aligned(4)));

uint16_t ide_bus_master;
uint8_t disk_buffer[2048] __attribute__((aligned(4)));

/* ---- waiting ---- */

uint8_t ata_wait(const struct drive *d)
{
    struct timeout t = timeout_ms(ATA_TIMEOUT_MS);
    const uint16_t port = ata_control_port(d);
    uint8_t status;
    while ((status = inb(port)) & STATUS_BSY)
        if (timed_out(&t))
            return STATUS_BSY;
    return status;
}

bool ata_select(const struct drive *d, uint8_t device, bool interrupts)
{
    outb(ata_control_port(d), interrupts ? 0 : CONTROL_NIEN);
    if (ata_wait(d) & STATUS_BSY)
        return false;
    outb(ata_command_port(d) + ATA_DEVICE, device | (d->unit ? DEVICE_UNIT : 0) | 0xA0);
    return !(ata_wait(d) & STATUS_BSY);
}

uint8_t ata_error_status(const struct drive *d)
{
    const uint8_t error = inb(ata_command_port(d) + ATA_ERROR);
    BDA->hd_error_reg = error;
    if (error & ATA_ERROR_UNC)
        return DISK_BAD_CRC;
    if (error & ATA_ERROR_IDNF)
        return DISK_NOT_FOUND;
    return error & ATA_ERROR_ABRT ? DISK_BAD_COMMAND : DISK_CONTROLLER;
}

/* ---- DMA ---- */

static bool in_protected_mode(void)
{
    uint16_t msw;
    __asm__("smsw %0" : "=r"(msw));
    return msw & 1;
}

/*
 * Not in V86 mode, where a monitor may have put other memory at the addresses we see; not to video
 * memory and ROM; not to odd addresses, which the bus master does not know.
 */
bool ata_dma_possible(const struct drive *d, uint64_t address, uint32_t bytes)
{
    const uint64_t end = address + bytes;
    if (!(d->flags & DRIVE_DMA) || !ide_bus_master || (address & 1) || in_protected_mode())
        return false;
    if (end <= 0xA0000)
        return true;
    if (address >= DATA_BASE && end <= DATA_BASE + DATA_BYTES)
        return true;
    return address >= 0x100000 && end <= 0x100000000ull && (end > 0x10FFF0 || !a20_off());
}

void ata_dma_prepare(const struct drive *d, uint64_t address, uint32_t bytes, bool to_memory)
{
    const uint16_t bm = ata_bm_port(d);
    uint32_t at = (uint32_t)address;
    unsigned n = 0;
    while (bytes) {
        const uint32_t piece = MIN(0x10000 - (at & 0xffff), bytes);
        bytes -= piece;
        prd_table[n++] = (struct prd){at, (uint16_t)piece, bytes ? 0 : PRD_LAST};
        at += piece;
    }
    outb(bm + BM_COMMAND, to_memory ? BM_TO_MEMORY : 0);
    outl(bm + BM_TABLE, (uint32_t)near_address(prd_table));
    outb(bm + BM_STATUS, inb(bm + BM_STATUS) | BM_ERROR | BM_INTERRUPT); /* clears both */
    BDA->hd_irq_flag = 0;
}

void ata_dma_start(const struct drive *d)
{
    const uint16_t bm = ata_bm_port(d);
    outb(bm + BM_COMMAND, inb(bm + BM_COMMAND) | BM_START);
}

static bool irq_masked(const struct drive *d)
{
    return (inb(PIC_SLAVE + 1) & (d->channel ? BIT(7) : BIT(6))) || (inb(PIC_MASTER + 1) & BIT(2));
}

bool ata_dma_finish(const struct drive *d)
{
    const uint16_t bm = ata_bm_port(d);
    struct timeout t = timeout_ms(ATA_TIMEOUT_MS);
    const bool polling = irq_masked(d);
    unsigned polls = 0;
    uint8_t status;
    while (!((status = inb(bm + BM_STATUS)) & BM_INTERRUPT) && !timed_out(&t))
        if (!polling && ++polls > POLLS_BEFORE_HLT)
            wait_irq();
    outb(bm + BM_COMMAND, inb(bm + BM_COMMAND) & ~BM_START);
    /* what the interrupt, if it is still to come, would be about is over: see to it now */
    outb(bm + BM_STATUS, status | BM_ERROR | BM_INTERRUPT);
    return (status & (BM_INTERRUPT | BM_ERROR)) == BM_INTERRUPT;
}

/* ---- PIO ---- */

void ata_words_in(const struct drive *d, uint32_t address, uint16_t words)
{
    const uint16_t seg = (uint16_t)(MIN(address, 0xFFFF0u) >> 4);
    uint32_t off = address - ((uint32_t)seg << 4), n = words;
    __asm__ volatile("pushw %%es\n\t"
                     "movw %w3, %%es\n\t"
                     "rep insw\n\t"
                     "popw %%es"
                     : "+D"(off), "+c"(n)
                     : "d"(ata_command_port(d) + ATA_DATA), "a"(seg)
                     : "memory");
}

void ata_words_out(const struct drive *d, uint32_t address, uint16_t words)
{
    const uint16_t seg = (uint16_t)(MIN(address, 0xFFFF0u) >> 4);
    uint32_t off = address - ((uint32_t)seg << 4), n = words;
    __asm__ volatile("pushw %%ds\n\t"
                     "movw %w3, %%ds\n\t"
                     "rep outsw\n\t"
                     "popw %%ds"
                     : "+S"(off), "+c"(n)
                     : "d"(ata_command_port(d) + ATA_DATA), "a"(seg)
                     : "memory");
}

static uint8_t pio(struct disk_op *op)
{
    const struct drive *d = op->drive;
    const uint16_t sectors = op->count;
    uint32_t address = (uint32_t)op->address;
    for (op->count = 0; op->count < sectors; op->count++) {
        uint8_t status = ata_wait(d);
        if (status & STATUS_BSY)
            return DISK_TIMEOUT;
        if (status & (STATUS_ERR | STATUS_DF))
            return ata_error_status(d);
        if (!(status & STATUS_DRQ))
            return DISK_CONTROLLER;
        if (op->command == DISK_READ)
            ata_words_in(d, address, 256);
        else
            ata_words_out(d, address, 256);
        address += 512;
    }
    if (op->command == DISK_WRITE && (ata_wait(d) & (STATUS_BSY | STATUS_ERR | STATUS_DF)))
        return ata_error_status(d);
    inb(ata_command_port(d) + ATA_STATUS);
    return DISK_OK;
}

/* ---- a transfer ---- */

struct opcodes {
    uint8_t pio, pio_ext, dma, dma_ext;
};

static const struct opcodes opcodes[] = {
    [DISK_READ] = {CMD_READ_SECTORS, CMD_READ_SECTORS_EXT, CMD_READ_DMA, CMD_READ_DMA_EXT},
    [DISK_WRITE] = {CMD_WRITE_SECTORS, CMD_WRITE_SECTORS_EXT, CMD_WRITE_DMA, CMD_WRITE_DMA_EXT},
    [DISK_VERIFY] = {CMD_VERIFY, CMD_VERIFY_EXT, 0, 0},
};

/* The task file; count up to 255. */
static bool issue(const struct disk_op *op, bool dma)
{
    const struct drive *d = op->drive;
    const uint16_t port = ata_command_port(d);
    const bool ext = op->lba + op->count > LBA28_END;
    const struct opcodes *o = &opcodes[op->command];
    const uint8_t device = DEVICE_LBA | (ext ? 0 : (uint8_t)(op->lba >> 24) & 0x0f);
    if (!ata_select(d, device, dma))
        return false;
    if (ext) {
        outb(port + ATA_COUNT, 0);
        outb(port + ATA_LBA0, (uint8_t)(op->lba >> 24));
        outb(port + ATA_LBA1, (uint8_t)(op->lba >> 32));
        outb(port + ATA_LBA2, (uint8_t)(op->lba >> 40));
    }
    outb(port + ATA_COUNT, (uint8_t)op->count);
    outb(port + ATA_LBA0, (uint8_t)op->lba);
    outb(port + ATA_LBA1, (uint8_t)(op->lba >> 8));
    outb(port + ATA_LBA2, (uint8_t)(op->lba >> 16));
    outb(port + ATA_STATUS, dma ? (ext ? o->dma_ext : o->dma) : (ext ? o->pio_ext : o->pio));
    return true;
}

static uint8_t end_of_command(const struct drive *d)
{
    const uint8_t wait = ata_wait(d);
    const uint8_t status = inb(ata_command_port(d) + ATA_STATUS); /* takes INTRQ back */
    BDA->hd_status_reg = status;
    if (wait & STATUS_BSY)
        return DISK_TIMEOUT;
    return status & (STATUS_ERR | STATUS_DF) ? ata_error_status(d) : DISK_OK;
}

static uint8_t transfer_dma(struct disk_op *op)
{
    const struct drive *d = op->drive;
    ata_dma_prepare(d, op->address, op->count * 512u, op->command == DISK_READ);
    if (!issue(op, true)) {
        op->count = 0;
        return DISK_TIMEOUT;
    }
    ata_dma_start(d);
    const bool ok = ata_dma_finish(d);
    uint8_t status = end_of_command(d);
    if (!ok && status == DISK_OK)
        status = DISK_CONTROLLER;
    if (status)
        op->count = 0;
    return status;
}

uint8_t ata_transfer(struct disk_op *op)
{
    if (op->command == DISK_VERIFY) {
        const uint8_t status = issue(op, false) ? end_of_command(op->drive) : DISK_TIMEOUT;
        if (status)
            op->count = 0;
        return status;
    }
    if (ata_dma_possible(op->drive, op->address, op->count * 512u))
        return transfer_dma(op);
    if (op->address + op->count * 512u > 0x10FFF0) {
        op->count = 0;
        return DISK_BOUNDARY;
    }
    if (issue(op, false))
        return pio(op);
    op->count = 0;
    return DISK_TIMEOUT;
}

/* ---- finding ---- */

uint8_t ata_reset(const struct drive *d)
{
    const uint16_t control = ata_control_port(d);
    outb(control, CONTROL_SRST | CONTROL_NIEN);
    delay_us(5);
    outb(control, CONTROL_NIEN);
    delay_us(2000);
    if (inb(control) == 0xff)
        return DISK_NOT_FOUND; /* nobody drives the bus */
    return ata_wait(d) & STATUS_BSY ? DISK_TIMEOUT : DISK_OK;
}

/* Bytes of each word the other way round, trailing blanks gone. */
static void model_name(struct drive *d, const uint16_t *identify)
{
    unsigned n = 0;
    for (unsigned i = 27; i < 47; i++) {
        d->model[n++] = (char)(identify[i] >> 8);
        d->model[n++] = (char)identify[i];
    }
    while (n && (d->model[n - 1] == ' ' || !d->model[n - 1]))
        n--;
    d->model[n] = 0;
}

static bool identify(struct drive *d, uint8_t command)
{
    if (!ata_select(d, 0, false))
        return false;
    outb(ata_command_port(d) + ATA_STATUS, command);
    const uint8_t status = ata_wait(d);
    if ((status & (STATUS_BSY | STATUS_ERR | STATUS_DRQ)) != STATUS_DRQ)
        return false;
    ata_words_in(d, (uint32_t)near_address(disk_buffer), 256);
    inb(ata_command_port(d) + ATA_STATUS);
    return true;
}

/* ACS-3 "IDENTIFY DEVICE data": word 49 capabilities, 60 and 100 capacity, 83 LBA48. */
static void take_identity(struct drive *d)
{
    const uint16_t *id = (const uint16_t *)disk_buffer;
    model_name(d, id);
    if (id[49] & BIT(8))
        d->flags |= DRIVE_DMA;
    if (d->kind != DRIVE_ATA)
        return;
    d->physical = (struct geometry){id[1], id[3], id[6]};
    d->sector_bytes = 512;
    d->sectors = id[60] | (uint32_t)id[61] << 16;
    if ((id[83] & 0xC400) == 0x4400) {
        d->flags |= DRIVE_LBA48;
        const uint64_t sectors =
            id[100] | (uint32_t)id[101] << 16 | (uint64_t)id[102] << 32 | (uint64_t)id[103] << 48;
        if (sectors)
            d->sectors = sectors;
    }
}

/* What selects itself and holds a value in a register is there (an empty channel floats). */
static bool responds(const struct drive *d)
{
    const uint16_t port = ata_command_port(d);
    outb(port + ATA_DEVICE, 0xA0 | (d->unit ? DEVICE_UNIT : 0));
    if (inb(port + ATA_STATUS) == 0xff || (ata_wait(d) & STATUS_BSY))
        return false;
    outb(port + ATA_COUNT, 0x55);
    outb(port + ATA_LBA0, 0xaa);
    return inb(port + ATA_COUNT) == 0x55 && inb(port + ATA_LBA0) == 0xaa;
}

static void detect_one(struct drive *d)
{
    if (!responds(d))
        return;
    d->kind = DRIVE_ATA;
    if (identify(d, CMD_IDENTIFY)) {
        take_identity(d);
        return;
    }
    d->kind = DRIVE_ATAPI;
    if (identify(d, CMD_IDENTIFY_PACKET)) {
        take_identity(d);
        d->sector_bytes = 2048;
        d->flags |= DRIVE_REMOVABLE;
        return;
    }
    d->kind = DRIVE_NONE;
}

uint32_t ata_detect(uint32_t unused)
{
    (void)unused;
    for (unsigned channel = 0; channel < 2; channel++) {
        /* software before a warm start may have left a drive in the middle of something */
        const struct drive any = {.channel = (uint8_t)channel};
        if (inb(ata_control_port(&any)) & (STATUS_BSY | STATUS_DRQ))
            ata_reset(&any);
        for (unsigned unit = 0; unit < 2; unit++) {
            struct drive *d = &drives[DRIVE_IDE0 + 2 * channel + unit];
            d->channel = (uint8_t)channel;
            d->unit = (uint8_t)unit;
            d->index = (uint8_t)(DRIVE_IDE0 + 2 * channel + unit);
            detect_one(d);
            if (d->kind != DRIVE_NONE)
                pic_unmask(14 + channel);
        }
    }
    return 0;
}
