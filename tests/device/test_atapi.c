/*
 * CD-ROM drives on the IDE function: how they are found, the PACKET protocol by port and by bus
 * master, every command with what it answers and refuses, discs that come and go, and random
 * accesses. The drive with the disc is secondary master, an empty one secondary slave.
 */
#include "fixture.h"

#include "devices/cdsector.h"
#include "devices/ide.h"
#include "host/blk_driver.h"

#include <errno.h>
#include <stdio.h>

enum {
    DATA = 0x170,
    ERROR = 0x171,
    FEATURE = 0x171,
    REASON = 0x172,
    LBA0 = 0x173,
    BYTES_LOW = 0x174,
    BYTES_HIGH = 0x175,
    DEVICE = 0x176,
    STATUS = 0x177,
    COMMAND = 0x177,
    CONTROL = 0x376,
    BM = 0xC000,
    BM2 = BM + 8,
    RAM = 1 << 20,
    DEVFN = 1 << 3 | 1,
    BLOCKS = 300,
    LATENCY = 200000, /* ns: more than a chunk takes */
};

/* Key, ASC, ASCQ. */
enum {
    NO_SENSE = 0,
    NO_DISC = 0x023A01,
    TRAY_OPEN = 0x023A02,
    READ_ERROR = 0x031100,
    BAD_COMMAND = 0x052000,
    BAD_ADDRESS = 0x052100,
    BAD_FIELD = 0x052400,
    WRONG_DISC = 0x053002,
    NO_SAVED = 0x053900,
    PREVENTED = 0x055302,
    WRONG_MODE = 0x056400,
    NEW_DISC = 0x062800,
    WAS_RESET = 0x062900,
};

static struct {
    struct fixture f;
    struct pci_bus bus;
    struct mem_region ram;
    struct ide *ide;
    struct blk *disc, *other;
    struct recorder irq[2];
    uint8_t data[256 * 1024]; /* of the last command */
} t;

static uint8_t in(unsigned port)
{
    return (uint8_t)iomap_read(&t.f.io, (uint16_t)port, 1);
}

static void out(unsigned port, unsigned value)
{
    iomap_write(&t.f.io, (uint16_t)port, value, 1);
}

static void step(void)
{
    event_step(&t.f.queue, &t.f.now_ns, LATENCY);
}

static uint8_t pattern(uint32_t i)
{
    return (uint8_t)(i / 2048 * 7 + i % 2048 * 3 + i / 97);
}

static const uint8_t *block(unsigned n)
{
    return blk_mem_data(t.disc) + n * 2048;
}

/* ------------------------------------------------------------------ packets */

static void start(const uint8_t *cdb, unsigned limit, bool dma)
{
    out(FEATURE, dma);
    out(BYTES_LOW, limit & 0xFF);
    out(BYTES_HIGH, limit >> 8);
    out(COMMAND, 0xA0);
    assert_int_equal(in(CONTROL), 0x58);
    assert_int_equal(in(REASON), 1); /* a command is to be written */
    assert_int_equal(t.irq[1].level, 0);
    for (unsigned i = 0; i < 12; i += 2)
        iomap_write(&t.f.io, DATA, ld16(cdb + i), 2);
}

/* Takes DRQ blocks until the end; the byte count of each in blocks. Returns bytes. */
static unsigned take_all(unsigned *blocks)
{
    unsigned total = 0, n = 0;
    for (;; n++) {
        while (in(CONTROL)&0x80)
            step();
        assert_int_equal(t.irq[1].level, 1);
        const uint8_t status = in(STATUS);
        assert_int_equal(t.irq[1].level, 0);
        if (!(status & 0x08))
            break;
        assert_int_equal(in(REASON), 2);
        const unsigned bytes = in(BYTES_LOW) | in(BYTES_HIGH) << 8;
        assert_in_range(bytes, 1, sizeof t.data - total);
        for (unsigned i = 0; i < bytes; i += 2)
            st16(t.data + total + i, (uint16_t)iomap_read(&t.f.io, DATA, 2));
        total += bytes;
        if (blocks)
            blocks[n] = bytes;
    }
    assert_int_equal(in(REASON), 3);
    if (blocks)
        blocks[n] = 0;
    return total;
}

static uint32_t sense(void)
{
    uint8_t kept[sizeof t.data];
    memcpy(kept, t.data, sizeof kept);
    start((uint8_t[12]){3, 0, 0, 0, 18}, 0xFFFE, false);
    assert_int_equal(take_all(NULL), 18);
    assert_int_equal(t.data[0] & 0x7F, 0x70);
    assert_int_equal(t.data[7], 10);
    const uint32_t s = (uint32_t)t.data[2] << 16 | (uint32_t)t.data[12] << 8 | t.data[13];
    memcpy(t.data, kept, sizeof kept);
    return s;
}

static unsigned packet(const uint8_t *cdb)
{
    start(cdb, 0xFFFE, false);
    return take_all(NULL);
}

/* The command brings so many bytes. */
static void expect(const uint8_t *cdb, unsigned bytes)
{
    const unsigned got = packet(cdb);
    if (got != bytes || (in(STATUS)&1))
        fail_msg("command %02x: %u bytes, not %u; sense %06x", cdb[0], got, bytes, sense());
}

/* CHECK CONDITION with that sense, once. */
static void refused(const uint8_t *cdb, uint32_t with)
{
    assert_int_equal(packet(cdb), 0);
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR) >> 4, with >> 16);
    const uint32_t got = sense();
    if (got != with)
        fail_msg("command %02x: sense %06x, not %06x", cdb[0], got, with);
}

#define CDB(...) ((const uint8_t[12]){__VA_ARGS__})
#define READY()  CDB(0)

/* READ(10) and READ(12) */
static void read10(uint8_t *cdb, uint32_t lba, unsigned n)
{
    const uint8_t c[12] = {0x28,
                           0,
                           (uint8_t)(lba >> 24),
                           (uint8_t)(lba >> 16),
                           (uint8_t)(lba >> 8),
                           (uint8_t)lba,
                           0,
                           (uint8_t)(n >> 8),
                           (uint8_t)n};
    memcpy(cdb, c, 12);
}

/* ------------------------------------------------------------------ the rig */

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    fixture_init(&t.f, 16 * MiB);
    mem_region_init_ram(&t.ram, "ram", ram_alloc(&t.f.ram, RAM), RAM);
    memmap_add(&t.f.mem, &t.ram, 0, 0);
    pci_bus_init(&t.bus, &t.f.io, &t.f.mem, &t.f.log);
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    t.disc = blk_mem_create(BLOCKS * 2048, &host);
    t.other = blk_mem_create(100 * 2048, &host);
    for (unsigned i = 0; i < BLOCKS * 2048; i++)
        blk_mem_data(t.disc)[i] = pattern(i);
    const struct irq_line irq[2] = {recorder_line(&t.irq[0]), recorder_line(&t.irq[1])};
    const struct ide_unit unit[4] = {[2] = {IDE_CDROM, t.disc}, [3] = {IDE_CDROM, NULL}};
    t.ide = ide_create(&t.bus, DEVFN, &t.f.io, &t.f.mem, &t.f.queue, &t.f.log, irq, unit);
    device_add(&t.f.devices, ide_device(t.ide));
    device_reset_all(&t.f.devices, RESET_POWER_ON);
    pci_config_write(&t.bus, DEVFN, 0x20, BM, 4);
    pci_config_write(&t.bus, DEVFN, 0x04, 5, 2);
    return 0;
}

/* With the reset told already. */
static int setup_ready(void **state)
{
    setup(state);
    refused(READY(), WAS_RESET);
    assert_int_equal(sense(), NO_SENSE); /* told once */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_free(&t.f);
    struct error err = {0};
    assert_true(blk_close(t.disc, &err));
    assert_true(blk_close(t.other, &err));
    return 0;
}

/* ------------------------------------------------------------------ finding the drive */

static void expect_signature(unsigned status)
{
    assert_int_equal(in(CONTROL), status);
    assert_int_equal(in(REASON), 1);
    assert_int_equal(in(LBA0), 1);
    assert_int_equal(in(BYTES_LOW), 0x14);
    assert_int_equal(in(BYTES_HIGH), 0xEB);
}

static void test_signature(void **state)
{
    (void)state;
    expect_signature(0x00);
    assert_int_equal(in(ERROR), 1);
    out(BYTES_LOW, 1);
    out(COMMAND, 0xEC); /* IDENTIFY DEVICE */
    assert_int_equal(t.irq[1].level, 1);
    expect_signature(0x51);
    assert_int_equal(in(ERROR), 4);
    in(STATUS);
    out(BYTES_LOW, 1);
    out(COMMAND, 0x20); /* READ SECTOR(S) */
    expect_signature(0x51);
    out(CONTROL, 4);
    assert_int_equal(in(CONTROL), 0x80);
    out(CONTROL, 0);
    expect_signature(0x00);
    out(BYTES_LOW, 1);
    out(COMMAND, 0x90); /* EXECUTE DEVICE DIAGNOSTIC */
    expect_signature(0x00);
    assert_int_equal(in(ERROR), 1);
    out(DEVICE, 0xB0);
    expect_signature(0x00);
    out(BYTES_LOW, 1);
    t.irq[1].rises = 0;
    out(COMMAND, 0x08); /* DEVICE RESET: of the selected one, without interrupt */
    expect_signature(0x00);
    assert_int_equal(in(DEVICE), 0xB0);
    assert_int_equal(t.irq[1].rises, 0);
    /* A disk's commands are none of a packet drive's. */
    static const uint8_t none[] = {0x21, 0x25, 0x30, 0x40, 0x70, 0x91,
                                   0xC4, 0xC6, 0xC8, 0xE7, 0xF8};
    out(DEVICE, 0xA0);
    for (unsigned i = 0; i < sizeof none; i++) {
        out(COMMAND, none[i]);
        assert_int_equal(in(STATUS), 0x51);
        assert_int_equal(in(ERROR), 4);
    }
}

static void test_device_reset_while_busy(void **state)
{
    (void)state;
    uint8_t cdb[12];
    read10(cdb, 5, 3);
    start(cdb, 0xFFFE, false);
    assert_int_equal(in(CONTROL), 0x80);
    out(COMMAND, 0xA1); /* not heard */
    assert_int_equal(in(CONTROL), 0x80);
    out(COMMAND, 0x08);
    expect_signature(0x00);
    step();
    assert_int_equal(in(STATUS), 0x00);
    assert_int_equal(t.irq[1].level, 0);
    refused(READY(), WAS_RESET);
    expect(READY(), 0);
    /* In the middle of the packet. */
    out(COMMAND, 0xA0);
    iomap_write(&t.f.io, DATA, 0x28, 2);
    out(COMMAND, 0x08);
    assert_int_equal(in(STATUS), 0x00);
    refused(READY(), WAS_RESET);
    expect(READY(), 0);
}

/* What is written to the command register while SRST is set is lost, whatever it is. */
static void test_commands_in_reset(void **state)
{
    (void)state;
    uint8_t cdb[12];
    out(CONTROL, 0x04);
    assert_int_equal(in(CONTROL), 0x80);
    out(COMMAND, 0x08);
    assert_int_equal(in(CONTROL), 0x80);
    read10(cdb, 5, 3);
    for (unsigned n = 0; n < 2; n++) { /* the first would get the unit attention */
        out(COMMAND, 0xA0);
        for (unsigned i = 0; i < 12; i += 2)
            iomap_write(&t.f.io, DATA, ld16(cdb + i), 2);
    }
    out(CONTROL, 0x00);
    expect_signature(0x00);
    refused(READY(), WAS_RESET);
    read10(cdb, 9, 1);
    expect(cdb, 2048);
    assert_memory_equal(t.data, block(9), 2048);
}

static void expect_text(const uint16_t *w, unsigned words, const char *text)
{
    for (unsigned i = 0; i < 2 * words; i++) {
        const char c = (char)(w[i / 2] >> (i % 2 ? 0 : 8));
        assert_int_equal(c, i < strlen(text) ? text[i] : ' ');
    }
}

static void test_identify(void **state)
{
    (void)state;
    uint16_t w[256];
    uint8_t sum = 0;
    out(COMMAND, 0xA1);
    assert_int_equal(t.irq[1].level, 1);
    assert_int_equal(in(STATUS), 0x58);
    for (unsigned i = 0; i < 256; i++)
        w[i] = (uint16_t)iomap_read(&t.f.io, DATA, 2);
    assert_int_equal(in(STATUS), 0x50);
    static const struct {
        uint8_t word;
        uint16_t value;
    } expected[] = {{0, 0x85C0},  {49, 0x0B00}, {53, 6},      {63, 0x0007}, {64, 3},
                    {65, 120},    {68, 120},    {80, 0x00F0}, {82, 0x4218}, {83, 0x4000},
                    {85, 0x4218}, {88, 0x203F}, {1, 0},       {60, 0},      {93, 0x603B}};
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
        if (w[expected[i].word] != expected[i].value)
            fail_msg("word %u: %04x", expected[i].word, w[expected[i].word]);
    expect_text(w + 10, 10, "VT00003");
    expect_text(w + 27, 20, "VITRINE DVD-ROM");
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + ((uint8_t *)w)[i]);
    assert_int_equal(sum, 0);
    out(FEATURE, 3);
    out(REASON, 0x22);
    out(COMMAND, 0xEF); /* SET FEATURES: multiword DMA 2 */
    assert_int_equal(in(STATUS), 0x50);
    out(FEATURE, 2);
    out(COMMAND, 0xEF); /* there is no write cache */
    assert_int_equal(in(STATUS), 0x51);
    out(COMMAND, 0xA1);
    for (unsigned i = 0; i < 256; i++)
        w[i] = (uint16_t)iomap_read(&t.f.io, DATA, 2);
    assert_int_equal(w[63], 0x0407);
    assert_int_equal(w[88], 0x003F);
}

/* ------------------------------------------------------------------ moving data */

static void test_read_pio(void **state)
{
    (void)state;
    uint8_t cdb[12];
    unsigned blocks[80];
    /* A block at most as large as asked for, even, and an interrupt for each and for the status. */
    read10(cdb, 10, 3);
    t.irq[1].rises = 0;
    start(cdb, 2048, false);
    assert_int_equal(take_all(blocks), 3 * 2048);
    assert_int_equal(t.irq[1].rises, 4);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(blocks[i], 2048);
    assert_memory_equal(t.data, block(10), 3 * 2048);
    assert_int_equal(in(STATUS), 0x50);
    assert_int_equal(in(ERROR), 0);

    start(cdb, 4097, false);
    assert_int_equal(take_all(blocks), 3 * 2048);
    assert_int_equal(blocks[0], 4096);
    assert_int_equal(blocks[1], 2048);
    assert_memory_equal(t.data, block(10), 3 * 2048);

    start(cdb, 1, false); /* one byte is no word */
    read10(cdb, 0, 0);
    assert_int_equal(in(CONTROL), 0x80);
    step();
    assert_int_equal(in(BYTES_LOW), 2);
    out(COMMAND, 0x08);
    refused(READY(), WAS_RESET);

    read10(cdb, 100, 100); /* more than the buffer holds; 65535 counts as 65534 */
    start(cdb, 0xFFFF, false);
    assert_int_equal(take_all(blocks), 100 * 2048);
    assert_int_equal(blocks[0], 0xFFFE);
    assert_memory_equal(t.data, block(100), 100 * 2048);

    const uint8_t read12[12] = {0xA8, 0, 0, 0, 0, 7, 0, 0, 0, 2};
    expect(read12, 2 * 2048);
    assert_memory_equal(t.data, block(7), 2 * 2048);
    read10(cdb, 7, 0);
    expect(cdb, 0);

    out(BYTES_LOW, 0); /* no limit for a command with data: aborted */
    read10(cdb, 7, 1);
    start(cdb, 0, false);
    step();
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 4);
    start(READY(), 0, false); /* and of no matter without */
    assert_int_equal(in(STATUS), 0x50);

    out(FEATURE, 2); /* overlapped: not to be had */
    out(COMMAND, 0xA0);
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 4);
}

/* An odd number of bytes: the count says so, the last word is filled up. */
static void test_odd(void **state)
{
    (void)state;
    unsigned blocks[8];
    start(CDB(0x12, 0, 0, 0, 5), 0xFFFE, false);
    assert_int_equal(take_all(blocks), 5);
    assert_int_equal(blocks[0], 5);
    start(CDB(0x12, 0, 0, 0, 7), 4, false);
    assert_int_equal(take_all(blocks), 7);
    assert_int_equal(blocks[0], 4);
    assert_int_equal(blocks[1], 3);
    /* Wide accesses stop where the block does. */
    start(CDB(0x12, 0, 0, 0, 6), 0xFFFE, false);
    assert_int_equal(iomap_read(&t.f.io, DATA, 4), 0x02058005);
    assert_int_equal(iomap_read(&t.f.io, DATA, 4) & 0xFFFF, 31);
    assert_int_equal(in(STATUS), 0x50);
}

static void prd(unsigned at, uint32_t gpa, uint32_t len, bool last)
{
    uint8_t e[8];
    st32(e, gpa);
    st32(e + 4, len | (last ? UINT32_C(1) << 31 : 0));
    memmap_dma_write(&t.f.mem, at, e, 8);
}

static void bus_master(void)
{
    iomap_write(&t.f.io, BM2 + 4, 0x1000, 4);
    out(BM2 + 2, 6);
    out(BM2, 9);
}

static void test_read_dma(void **state)
{
    (void)state;
    uint8_t cdb[12];
    static uint8_t got[90 * 2048];
    prd(0x1000, 0x10000, 0x10000 & 0xFFFF, false);
    prd(0x1008, 0x20000, 0x10000 & 0xFFFF, false);
    prd(0x1010, 0x30000, 90 * 2048 - 0x20000, true);
    read10(cdb, 20, 90);
    t.irq[1].rises = 0;
    start(cdb, 0, true); /* the byte count limit is not for DMA */
    bus_master();
    while (in(CONTROL)&0x80)
        step();
    assert_int_equal(t.irq[1].rises, 1);
    assert_int_equal(in(BM2 + 2), 4); /* INTR, no longer ACTIVE */
    assert_int_equal(in(STATUS), 0x50);
    assert_int_equal(in(REASON), 3);
    out(BM2, 0);
    memmap_dma_read(&t.f.mem, 0x10000, got, sizeof got);
    assert_memory_equal(got, block(20), sizeof got);

    /* Short answers leave the rest of the regions alone: ACTIVE stays. */
    prd(0x1000, 0x50000, 96, true);
    start(CDB(0x12, 0, 0, 0, 96), 0, true);
    bus_master();
    assert_int_equal(in(BM2 + 2), 5);
    assert_int_equal(in(STATUS), 0x50);
    memmap_dma_read(&t.f.mem, 0x50000, got, 96);
    assert_memory_equal(got + 8, "VITRINE DVD-ROM", 15);
    out(BM2, 0);

    /* Regions that are too short: it waits. */
    prd(0x1000, 0x50000, 2048, true);
    read10(cdb, 0, 2);
    start(cdb, 0, true);
    bus_master();
    step();
    assert_int_equal(in(BM2 + 2), 0);
    assert_int_equal(in(CONTROL), 0x58);
    out(BM2, 0);
    prd(0x1000, 0x50000, 4096, true);
    bus_master();
    assert_int_equal(in(BM2 + 2), 4);
    assert_int_equal(in(STATUS), 0x50);
    out(BM2, 0);

    /* A command that fails ends with an interrupt, bus master or not. */
    read10(cdb, BLOCKS, 1);
    start(cdb, 0, true);
    out(BM2, 9);
    assert_int_equal(in(BM2 + 2), 5);
    assert_int_equal(in(STATUS), 0x51);
    out(BM2, 0);
    assert_int_equal(sense(), BAD_ADDRESS);

    /* A table where there is no memory. */
    read10(cdb, 0, 1);
    start(cdb, 0, true);
    iomap_write(&t.f.io, BM2 + 4, 0xF0000000, 4);
    out(BM2, 9);
    step();
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(BM2 + 2) & 2, 2);
    out(BM2, 0);
    assert_int_equal(sense(), 0x0B4B00);
}

static void test_range(void **state)
{
    (void)state;
    uint8_t cdb[12];
    read10(cdb, BLOCKS - 1, 1);
    expect(cdb, 2048);
    read10(cdb, BLOCKS - 1, 2);
    refused(cdb, BAD_ADDRESS);
    read10(cdb, BLOCKS, 0);
    refused(cdb, BAD_ADDRESS);
    read10(cdb, 0xFFFFFFFF, 0xFFFF);
    refused(cdb, BAD_ADDRESS);
    refused(CDB(0xA8, 0, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF), BAD_ADDRESS);
    expect(CDB(0x2B, 0, 0, 0, 0, 9), 0); /* SEEK */
    refused(CDB(0x2B, 0, 0, 0, 9, 9), BAD_ADDRESS);
    expect(CDB(0x25), 8); /* READ CAPACITY */
    assert_memory_equal(t.data, ((uint8_t[]){0, 0, 1, 0x2B, 0, 0, 8, 0}), 8);
    refused(CDB(0x25, 0, 0, 0, 0, 1), BAD_FIELD);
}

/* ------------------------------------------------------------------ whole sectors */

/* The defining sums of both codes, straight from the annex: all zero for a right sector. */
static void check_ecc(const uint8_t *raw)
{
    uint8_t log[256] = {0}, power[510];
    unsigned x = 1;
    for (unsigned i = 0; i < 255; i++, x = x << 1 ^ (x & 0x80 ? 0x11D : 0)) {
        power[i] = power[i + 255] = (uint8_t)x;
        log[x] = (uint8_t)i;
    }
    for (unsigned byte = 0; byte < 2; byte++) {
        for (unsigned n = 0; n < 43 + 26; n++) {
            const bool q = n >= 43;
            uint8_t s0 = 0, s1 = 0;
            for (unsigned m = 0; m < (q ? 45 : 26); m++) {
                const unsigned word = !q       ? 43 * m + n
                                      : m < 43 ? (44 * m + 43 * (n - 43)) % 1118
                                               : 1118 + 26 * (m - 43) + n - 43;
                const uint8_t v = raw[12 + 2 * word + byte];
                s0 ^= v;
                s1 ^= v ? power[(log[v] + (q ? 44 : 25) - m) % 255] : 0;
            }
            assert_int_equal(s0, 0);
            assert_int_equal(s1, 0);
        }
    }
}

static void test_read_cd(void **state)
{
    (void)state;
    static uint8_t raw[2352];
    expect(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 2, 0x10), 2 * 2048);
    assert_memory_equal(t.data, block(9), 2 * 2048);
    expect(CDB(0xBE, 2 << 2, 0, 0, 0, 9, 0, 0, 60, 0xF8), 60 * 2352); /* mode 1, everything */
    for (unsigned i = 0; i < 60; i++) {
        const uint8_t *p = t.data + i * 2352;
        assert_memory_equal(p, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", 12);
        const unsigned frame = 9 + i + 150;
        assert_int_equal(p[12], 0);
        assert_int_equal(p[13], frame / 75);
        assert_int_equal(p[14], frame % 75 / 10 << 4 | frame % 75 % 10);
        assert_int_equal(p[15], 1);
        assert_memory_equal(p + 16, block(9 + i), 2048);
        check_ecc(p);
        /* EDC: sync to EDC as one polynomial leaves no remainder. */
        uint32_t crc = 0;
        for (unsigned k = 0; k < 2068; k++)
            for (unsigned bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ ((crc ^ p[k] >> bit) & 1 ? 0xD8018001 : 0);
        assert_int_equal(crc, 0);
    }
    memcpy(raw, t.data, sizeof raw);
    static const struct {
        uint8_t flags;
        uint16_t start, bytes;
    } parts[] = {{0x80, 0, 12},    {0x20, 12, 4},    {0xA0, 0, 16},     {0x30, 12, 2052},
                 {0xB0, 0, 2064},  {0x18, 16, 2336}, {0x08, 2064, 288}, {0x78, 12, 2340},
                 {0x10, 16, 2048}, {0x40, 0, 0},     {0x00, 0, 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        expect(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, parts[i].flags), parts[i].bytes);
        assert_memory_equal(t.data, raw + parts[i].start, parts[i].bytes);
    }
    expect(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 3, 0x20), 12); /* small pieces of several sectors */
    assert_memory_equal(t.data, ((uint8_t[]){0, 2, 9, 1, 0, 2, 0x10, 1, 0, 2, 0x11, 1}), 12);
    refused(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x90), BAD_FIELD);       /* sync, then user data */
    refused(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x28), BAD_FIELD);       /* header, then EDC */
    refused(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x12), BAD_FIELD);       /* C2 errors */
    refused(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x10, 1), BAD_FIELD);    /* sub-channels */
    refused(CDB(0xBE, 1 << 2, 0, 0, 0, 9, 0, 0, 1, 0x10), WRONG_MODE); /* audio */
    refused(CDB(0xBE, 3 << 2, 0, 0, 0, 9, 0, 0, 1, 0x10), WRONG_MODE);
    refused(CDB(0xBE, 0, 0, 0, 1, 0x2B, 0, 0, 2, 0x10), BAD_ADDRESS);

    expect(CDB(0xB9, 0, 0, 0, 2, 9, 0, 2, 11, 0x10), 2 * 2048); /* MSF: up to, not with the end */
    assert_memory_equal(t.data, block(9), 2 * 2048);
    refused(CDB(0xB9, 0, 0, 0, 2, 75, 0, 3, 0, 0x10), BAD_FIELD);
    refused(CDB(0xB9, 0, 0, 0, 1, 74, 0, 3, 0, 0x10), BAD_FIELD); /* before block 0 */
    refused(CDB(0xB9, 0, 0, 0, 2, 9, 0, 2, 8, 0x10), BAD_FIELD);
    expect(CDB(0x44, 0, 0, 0, 0, 9, 0, 0, 8), 8); /* READ HEADER */
    assert_memory_equal(t.data, ((uint8_t[]){1, 0, 0, 0, 0, 0, 0, 9}), 8);
    expect(CDB(0x44, 2, 0, 0, 0, 9, 0, 0, 8), 8);
    assert_memory_equal(t.data, ((uint8_t[]){1, 0, 0, 0, 0, 0, 2, 9}), 8);
}

/* ------------------------------------------------------------------ what it tells */

static void test_inquiry(void **state)
{
    (void)state;
    expect(CDB(0x12, 0, 0, 0, 96), 36); /* in spite of the reset that is not told yet */
    assert_memory_equal(t.data, "\x05\x80\x05\x02\x1f\0\0\0VITRINE DVD-ROM         1.0 ", 36);
    expect(CDB(0x12, 1, 0, 0, 96), 7);
    assert_memory_equal(t.data, "\x05\0\0\x03\0\x80\x83", 7);
    expect(CDB(0x12, 1, 0x80, 0, 96), 11);
    assert_memory_equal(t.data + 4, "VT00003", 7);
    expect(CDB(0x12, 1, 0x83, 0, 96), 8 + 31);
    assert_memory_equal(t.data + 4, "\x02\x01\0\x1fVITRINE DVD-ROM         VT00003", 35);
    expect(CDB(0x12, 1, 0x80, 0, 0), 0);
    refused(CDB(0x12, 1, 0x90, 0, 96), BAD_FIELD);
    refused(CDB(0x12, 0, 1, 0, 96), BAD_FIELD);
    expect(CDB(0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 16), 16); /* REPORT LUNS: one, number 0 */
    assert_memory_equal(t.data, "\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    refused(CDB(0xA0, 0, 0, 0, 0, 0, 0, 0, 0, 15), BAD_FIELD);
    refused(READY(), WAS_RESET);
}

static void test_mode_sense(void **state)
{
    (void)state;
    expect(CDB(0x5A, 0, 0x2A, 0, 0, 0, 0, 1, 0), 30);
    assert_memory_equal(t.data, "\0\x1c\x01\0\0\0\0\0\x2a\x14\x3b\0\x70\0\x29\0", 16);
    expect(CDB(0x1E, 0, 0, 0, 1), 0); /* locked: it shows */
    expect(CDB(0x5A, 0, 0x2A, 0, 0, 0, 0, 1, 0), 30);
    assert_int_equal(t.data[14], 0x2B);
    expect(CDB(0x5A, 0, 0x3F, 0, 0, 0, 0, 1, 0), 8 + 12 + 8 + 16 + 22);
    assert_int_equal(t.data[8], 0x01);
    assert_int_equal(t.data[20], 0x0D);
    assert_memory_equal(t.data + 24, "\0\x3c\0\x4b", 4); /* 60 seconds, 75 frames */
    assert_int_equal(t.data[28], 0x0E);
    expect(CDB(0x5A, 0, 0x3F, 0, 0, 0, 0, 0, 10), 10);
    expect(CDB(0x5A, 0, 0x41, 0, 0, 0, 0, 1, 0), 20); /* nothing can be changed */
    for (unsigned i = 10; i < 20; i++)
        assert_int_equal(t.data[i], 0);
    expect(CDB(0x5A, 0, 0x81, 0, 0, 0, 0, 1, 0), 20); /* the defaults */
    assert_int_equal(t.data[11], 5);
    refused(CDB(0x5A, 0, 0xC1, 0, 0, 0, 0, 1, 0), NO_SAVED);
    refused(CDB(0x5A, 0, 0x05, 0, 0, 0, 0, 1, 0), BAD_FIELD);
    expect(CDB(0x1A, 0, 0x01, 0, 255), 16);
    assert_memory_equal(t.data, "\x0f\x01\0\0\x01\x0a", 6);
    refused(CDB(0x55, 0x10), BAD_COMMAND); /* MODE SELECT: there is nothing to set */
    refused(CDB(0x15, 0x10), BAD_COMMAND);
    refused(CDB(0x2A), BAD_COMMAND); /* WRITE */
    refused(CDB(0x45), BAD_COMMAND); /* PLAY AUDIO */
    refused(CDB(0x08), BAD_COMMAND); /* READ(6) */
}

static void test_toc(void **state)
{
    (void)state;
    expect(CDB(0x43, 0, 0, 0, 0, 0, 0, 1, 0), 20);
    assert_memory_equal(t.data, "\0\x12\x01\x01\0\x14\x01\0\0\0\0\0\0\x14\xaa\0\0\0\x01\x2c", 20);
    expect(CDB(0x43, 2, 0, 0, 0, 0, 0, 1, 0), 20);
    assert_memory_equal(t.data + 8, "\0\0\x02\0", 4);
    assert_memory_equal(t.data + 16, "\0\0\x06\0", 4); /* 300 + 150 frames */
    expect(CDB(0x43, 0, 0, 0, 0, 0, 0xAA, 1, 0), 12);
    assert_int_equal(t.data[6], 0xAA);
    refused(CDB(0x43, 0, 0, 0, 0, 0, 2, 1, 0), BAD_FIELD);
    expect(CDB(0x43, 0, 0, 0, 0, 0, 0, 0, 4), 4);
    for (unsigned old = 0; old < 2; old++) { /* the format where MMC has it, or SFF-8020i */
        expect(CDB(0x43, 0, old ? 0 : 1, 0, 0, 0, 0, 1, 0, old ? 0x40 : 0), 12);
        assert_memory_equal(t.data, "\0\x0a\x01\x01\0\x14\x01\0\0\0\0\0", 12);
        expect(CDB(0x43, 0, old ? 0 : 2, 0, 0, 0, 0, 1, 0, old ? 0x80 : 0), 4 + 4 * 11);
        assert_memory_equal(t.data, "\0\x2e\x01\x01", 4);
        assert_memory_equal(t.data + 4, "\x01\x14\0\xa0\0\0\0\0\x01\0\0", 11);
        assert_memory_equal(t.data + 15, "\x01\x14\0\xa1\0\0\0\0\x01\0\0", 11);
        assert_memory_equal(t.data + 26, "\x01\x14\0\xa2\0\0\0\0\0\x06\0", 11);
        assert_memory_equal(t.data + 37, "\x01\x14\0\x01\0\0\0\0\0\x02\0", 11);
    }
    refused(CDB(0x43, 0, 4, 0, 0, 0, 0, 1, 0), BAD_FIELD); /* ATIP: of recordable ones */
    refused(CDB(0x43, 0, 5, 0, 0, 0, 0, 1, 0), BAD_FIELD);
}

static void test_disc_and_track(void **state)
{
    (void)state;
    expect(CDB(0x51, 0, 0, 0, 0, 0, 0, 1, 0), 34);
    assert_memory_equal(t.data, "\0\x20\x0e\x01\x01\x01\x01\x20\0", 9);
    refused(CDB(0x51, 1, 0, 0, 0, 0, 0, 1, 0), BAD_FIELD);
    const uint8_t track[36] = {0, 34, 1, 1, 0, 4, 1, 2, [26] = 1, [27] = 0x2C, [30] = 1, 0x2B};
    for (unsigned by = 0; by < 3; by++) { /* block, track, session */
        expect(CDB(0x52, by, 0, 0, 0, 1, 0, 1, 0), 36);
        assert_memory_equal(t.data, track, 36);
    }
    refused(CDB(0x52, 0, 0, 0, 2, 0, 0, 1, 0), BAD_ADDRESS);
    refused(CDB(0x52, 1, 0, 0, 0, 2, 0, 1, 0), BAD_FIELD);
    refused(CDB(0x52, 3, 0, 0, 0, 1, 0, 1, 0), BAD_FIELD);
    expect(CDB(0x42, 0, 0x40, 1, 0, 0, 0, 0, 24), 16); /* READ SUB-CHANNEL */
    assert_memory_equal(t.data, "\0\x15\0\x0c\x01\x14\x01\x01\0\0\0\0\0\0\0\0", 16);
    expect(CDB(0x42, 2, 0x40, 1, 0, 0, 0, 0, 24), 16);
    assert_memory_equal(t.data + 8, "\0\0\x02\0\0\0\0\0", 8);
    expect(CDB(0x42, 0, 0, 0, 0, 0, 0, 0, 24), 4);
    refused(CDB(0x42, 0, 0x40, 4, 0, 0, 0, 0, 24), BAD_FIELD);
}

static void test_configuration(void **state)
{
    (void)state;
    expect(CDB(0x46, 0, 0, 0, 0, 0, 0, 1, 0), 80);
    assert_memory_equal(t.data, "\0\0\0\x4c\0\0\0\x08", 8); /* profile CD-ROM */
    assert_memory_equal(t.data + 8, "\0\0\x03\x08\0\x10\0\0\0\x08\x01\0", 12);
    expect(CDB(0x46, 2, 0, 0x1E, 0, 0, 0, 1, 0), 16);
    assert_memory_equal(t.data + 8, "\0\x1e\x09\x04", 4); /* current */
    expect(CDB(0x46, 2, 0, 0x1F, 0, 0, 0, 1, 0), 16);
    assert_memory_equal(t.data + 8, "\0\x1f\x04\x04", 4); /* not */
    expect(CDB(0x46, 2, 0, 0x2D, 0, 0, 0, 1, 0), 8);      /* no such feature: the header */
    expect(CDB(0x46, 1, 0, 0x10, 0, 0, 0, 1, 0), 8 + 12 + 4 + 8);
    refused(CDB(0x46, 3, 0, 0, 0, 0, 0, 1, 0), BAD_FIELD);
    out(DEVICE, 0xB0); /* the empty one: no profile */
    expect(CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    assert_int_equal(t.data[7], 0);
}

/* ------------------------------------------------------------------ discs that come and go */

static unsigned event(void)
{
    expect(CDB(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
    assert_memory_equal(t.data, "\0\x06\x04\x10", 4);
    return t.data[4] << 8 | t.data[5]; /* code, status: bit 0 open, bit 1 disc */
}

static void test_empty(void **state)
{
    (void)state;
    out(DEVICE, 0xB0);
    refused(READY(), WAS_RESET);
    refused(READY(), NO_DISC);
    static const uint8_t media[] = {0x25, 0x28, 0x2B, 0x42, 0x43, 0x44,
                                    0x51, 0x52, 0xA8, 0xAD, 0xB9, 0xBE};
    for (unsigned i = 0; i < sizeof media; i++)
        refused(CDB(media[i], 0, 0, 0, 0, 0, 0, 0, 1, 0x10), NO_DISC);
    assert_int_equal(event(), 0x0000);
    refused(CDB(0x1B, 0, 0, 0, 1), NO_DISC); /* start */
    expect(CDB(0x5A, 0, 0x01, 0, 0, 0, 0, 1, 0), 20);
    assert_int_equal(t.data[2], 0x70); /* medium type: none */
    expect(CDB(0x1B, 0, 0, 0, 2), 0);  /* the tray opens and closes all the same */
    refused(READY(), TRAY_OPEN);
    assert_int_equal(event(), 0x0001);
    expect(CDB(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8); /* MECHANISM STATUS */
    assert_int_equal(t.data[1], 0x10);
    expect(CDB(0x1B, 0, 0, 0, 3), 0);
    refused(READY(), NO_DISC);

    assert_null(ide_change_disc(t.ide, 3, t.other));
    assert_int_equal(event(), 0x0202); /* new medium; present */
    assert_int_equal(event(), 0x0002);
    refused(READY(), NEW_DISC);
    expect(READY(), 0);
    expect(CDB(0x25), 8);
    assert_int_equal(t.data[3], 99);
    assert_ptr_equal(ide_change_disc(t.ide, 3, NULL), t.other);
    assert_true(ide_tray_open(t.ide, 3));
    assert_int_equal(event(), 0x0301); /* removed; open */
    refused(READY(), TRAY_OPEN);
}

static void test_change(void **state)
{
    (void)state;
    assert_ptr_equal(ide_change_disc(t.ide, 2, t.other), t.disc);
    assert_int_equal(event(), 0x0302);
    assert_int_equal(event(), 0x0202);
    assert_int_equal(event(), 0x0002);
    refused(CDB(0x25), NEW_DISC); /* whatever the command */
    expect(CDB(0x25), 8);
    assert_int_equal(t.data[3], 99);
    /* REQUEST SENSE tells it as well, and then it is told. */
    ide_change_disc(t.ide, 2, t.disc);
    assert_int_equal(sense(), NEW_DISC);
    expect(READY(), 0);
    /* A reset comes first. */
    ide_change_disc(t.ide, 2, t.other);
    out(CONTROL, 4);
    out(CONTROL, 0);
    refused(READY(), WAS_RESET);
    refused(READY(), NEW_DISC);
    expect(READY(), 0);
    ide_change_disc(t.ide, 2, t.disc);
    ide_change_disc(t.ide, 2, NULL);
    refused(READY(), TRAY_OPEN); /* the disc that was new is gone */
    ide_change_disc(t.ide, 2, t.disc);
}

static void test_eject_and_lock(void **state)
{
    (void)state;
    expect(CDB(0x1E, 0, 0, 0, 1), 0);
    assert_true(ide_disc_locked(t.ide, 2));
    refused(CDB(0x1B, 0, 0, 0, 2), PREVENTED);
    expect(READY(), 0);
    ide_request_eject(t.ide, 2);
    assert_int_equal(event(), 0x0102);
    assert_int_equal(event(), 0x0002);
    expect(CDB(0x1E, 0, 0, 0, 0), 0);
    expect(CDB(0x1B, 0, 0, 0, 2), 0);
    assert_true(ide_tray_open(t.ide, 2));
    refused(READY(), TRAY_OPEN);
    assert_int_equal(event(), 0x0301);
    expect(CDB(0x1B, 0, 0, 0, 3), 0); /* with the same disc in it: that is no attention */
    assert_int_equal(event(), 0x0202);
    expect(READY(), 0);
    expect(CDB(0x1B, 0, 0, 0, 0x21), 0); /* a power condition */
    refused(CDB(0x1E, 0, 0, 0, 3), BAD_FIELD);
    expect(CDB(0x1E, 0, 0, 0, 1), 0);
    device_reset_all(&t.f.devices, RESET_HARD);
    assert_false(ide_disc_locked(t.ide, 2));
    refused(READY(), WAS_RESET);

    refused(CDB(0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8), BAD_FIELD); /* not polled */
    expect(CDB(0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8), 4);          /* a class it has not */
    assert_memory_equal(t.data, "\0\x02\x80\x10", 4);
}

/* The disc goes away between two pieces of a read. */
static void test_cut(void **state)
{
    (void)state;
    uint8_t cdb[12];
    read10(cdb, 0, 100);
    start(cdb, 0xFFFE, false);
    ide_change_disc(t.ide, 2, t.other); /* the piece that is under way is still the old disc's */
    unsigned total = take_all(NULL);
    assert_int_equal(total, 64 * 2048);
    assert_memory_equal(t.data, blk_mem_data(t.disc), total);
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(sense(), NEW_DISC);
    expect(READY(), 0);
    read10(cdb, 0, 1);
    expect(cdb, 2048);
    assert_int_equal(t.data[5], 0);
    ide_change_disc(t.ide, 2, t.disc);
}

static int failing_read(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned n)
{
    (void)d, (void)iov, (void)n;
    return offset >= 100 * 2048 ? EIO : 0;
}

static void nothing(struct blk_driver *d)
{
    (void)d;
}

static void test_read_error(void **state)
{
    (void)state;
    static const struct blk_driver_ops ops = {
        .read = failing_read, .close = nothing, .instant = true};
    static struct blk_driver driver = {.ops = &ops, .size_bytes = 200 * 2048, .readonly = true};
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    struct blk *bad = blk_create(&driver, "failing", &host);
    uint8_t cdb[12];
    ide_change_disc(t.ide, 2, bad);
    refused(READY(), NEW_DISC);
    read10(cdb, 36, 70);
    start(cdb, 0xFFFE, false);
    assert_int_equal(take_all(NULL), 64 * 2048);
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 0x30);
    start((uint8_t[12]){3, 0, 0, 0, 18}, 0xFFFE, false);
    take_all(NULL);
    assert_memory_equal(t.data, "\xf0\0\x03\0\0\0\x64", 7); /* information: block 100 */
    assert_int_equal(t.data[12], 0x11);
    ide_change_disc(t.ide, 2, t.disc);
    struct error err = {0};
    assert_true(blk_close(bad, &err));
}

/* What is larger than a CD is a DVD: an image of which only the size is there. */
static void test_dvd(void **state)
{
    (void)state;
    static const struct blk_driver_ops ops = {
        .read = failing_read, .close = nothing, .instant = true};
    static struct blk_driver driver = {.ops = &ops, .size_bytes = UINT64_C(4000000) * 2048};
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    struct blk *dvd = blk_create(&driver, "dvd", &host);
    refused(CDB(0xAD, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0), WRONG_DISC); /* of a CD */
    ide_change_disc(t.ide, 2, dvd);
    refused(READY(), NEW_DISC);
    expect(CDB(0x46, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    assert_int_equal(t.data[7], 0x10);
    expect(CDB(0xAD, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0), 2052);
    assert_memory_equal(t.data, "\x08\x02\0\0\x01\x0f\x01\0\0\x03\0\0\0\x40\x08\xff", 16);
    expect(CDB(0xAD, 0, 0, 0, 0, 0, 0, 1, 0xFF, 0), 8);
    assert_memory_equal(t.data, "\0\x06\0\0\0\0\0\0", 8);
    expect(CDB(0xAD, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0), 16);
    refused(CDB(0xAD, 0, 0, 0, 0, 0, 0, 2, 0xFF, 0), BAD_FIELD);
    refused(CDB(0xAD, 0, 0, 0, 0, 0, 1, 0, 0xFF, 0), BAD_FIELD);
    refused(CDB(0xBE, 0, 0, 0, 0, 9, 0, 0, 1, 0x10), WRONG_DISC);
    refused(CDB(0x43, 0, 2, 0, 0, 0, 0, 1, 0), BAD_FIELD);
    expect(CDB(0x43, 2, 0, 0, 0, 0, 0, 1, 0), 20);
    assert_memory_equal(t.data + 16, "\0\xff\x3b\x4a", 4); /* further than the clock goes */
    ide_change_disc(t.ide, 2, t.disc);
    struct error err = {0};
    assert_true(blk_close(dvd, &err));
}

/* ------------------------------------------------------------------ state, chaos */

static void disturb(void *opaque)
{
    (void)opaque;
    for (unsigned i = 0; i < 1024; i++)
        iomap_read(&t.f.io, DATA, 2);
    while (in(CONTROL)&0x08)
        iomap_read(&t.f.io, DATA, 2);
    packet(CDB(0x1E, 0, 0, 0, 1));
}

static void test_state(void **state)
{
    (void)state;
    uint8_t cdb[12];
    unsigned blocks[4];
    read10(cdb, 50, 4);
    start(cdb, 3000, false);
    step();
    fixture_check_round_trip(&t.f, disturb, NULL);
    ide_device(t.ide)->ops->reset_lines(ide_device(t.ide));
    assert_int_equal(take_all(blocks), 4 * 2048);
    assert_memory_equal(t.data, block(50), 4 * 2048);
    assert_false(ide_disc_locked(t.ide, 2));
    /* A disc in the drive is part of the machine, not of the state: it must be as it was. */
    struct state first, load;
    fixture_save(&t.f, &first);
    ide_change_disc(t.ide, 2, NULL);
    state_init_load(&load, first.buf, first.len);
    device_state_all(&t.f.devices, &load);
    assert_non_null(strstr(load.err.msg, "disc"));
    state_free(&load);
    state_free(&first);
    ide_change_disc(t.ide, 2, t.disc);
}

static void random_access(uint64_t *seed)
{
    const uint32_t r = fixture_random(seed), v = fixture_random(seed);
    const unsigned size = 1u << (r >> 4 & 3) % 3;
    const unsigned base = r & 0x100 ? DATA : BM2;
    const unsigned port = (r & 0xFF0000) == 0x10000 ? CONTROL : base + (r >> 24) % 8;
    static uint8_t bulk[4096];
    uint8_t cdb[12];
    switch (r & 7) {
    case 0:
    case 1:
        iomap_write(&t.f.io, (uint16_t)port, v, size);
        break;
    case 2:
        iomap_read(&t.f.io, (uint16_t)port, size);
        break;
    case 3:
        iomap_read_bulk(&t.f.io, DATA, size, bulk, v % 1024);
        break;
    case 4:
    case 5: { /* a packet of a known command with random fields */
        static const uint8_t known[] = {0x00, 0x03, 0x12, 0x1A, 0x1B, 0x1E, 0x25, 0x28,
                                        0x2B, 0x42, 0x43, 0x44, 0x46, 0x4A, 0x51, 0x52,
                                        0x5A, 0xA0, 0xA8, 0xAD, 0xB9, 0xBB, 0xBD, 0xBE};
        out(CONTROL, 0);
        out(DEVICE, v & 0x10);
        out(FEATURE, v >> 5 & 1);
        out(BYTES_LOW, v >> 8);
        out(BYTES_HIGH, v & 0x40 ? v >> 16 : 0);
        out(COMMAND, 0xA0);
        for (unsigned i = 0; i < 12; i++)
            cdb[i] = (uint8_t)(fixture_random(seed) >> (fixture_random(seed) & 0x1F));
        cdb[0] = r & 0x800 ? known[(v >> 24) % sizeof known] : cdb[0];
        if (r & 0x1000) /* an address that exists */
            cdb[2] = cdb[3] = cdb[6] = 0;
        iomap_write_bulk(&t.f.io, DATA, 2, cdb, 6);
        break;
    }
    case 6:
        if ((v & 0xFF) == 0)
            ide_change_disc(t.ide, 2, v & 0x300 ? v & 0x100 ? t.disc : t.other : NULL);
        else if (v & 1)
            out(BM2, 9);
        break;
    default:
        event_step(&t.f.queue, &t.f.now_ns, v % 100000);
        break;
    }
}

/* Any sequence of accesses: nothing crashes, and a reset makes the drive usable again. */
static void test_chaos(void **state)
{
    (void)state;
    uint64_t seed = test_seed(7);
    prd(0x1000, 0x10000, 0x8000, false);
    prd(0x1008, 0x20000, 0x8000, true);
    for (unsigned round = 0; round < 300000; round++) {
        random_access(&seed);
        if (round % 5000 == 0) {
            struct state s;
            blk_drain(t.disc);
            blk_drain(t.other);
            fixture_save(&t.f, &s);
            state_free(&s);
        }
    }
    device_reset_all(&t.f.devices, RESET_HARD);
    ide_change_disc(t.ide, 2, t.disc);
    out(CONTROL, 0);
    while (sense() != NO_SENSE)
        ;
    test_range(state);
}

#define T(f)      cmocka_unit_test_setup_teardown(f, setup, teardown)
#define READY_(f) cmocka_unit_test_setup_teardown(f, setup_ready, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_signature),
        READY_(test_device_reset_while_busy),
        READY_(test_commands_in_reset),
        T(test_identify),
        READY_(test_read_pio),
        READY_(test_odd),
        READY_(test_read_dma),
        READY_(test_range),
        READY_(test_read_cd),
        T(test_inquiry),
        READY_(test_mode_sense),
        READY_(test_toc),
        READY_(test_disc_and_track),
        READY_(test_configuration),
        T(test_empty),
        READY_(test_change),
        READY_(test_eject_and_lock),
        READY_(test_cut),
        READY_(test_read_error),
        READY_(test_dvd),
        READY_(test_state),
        T(test_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
