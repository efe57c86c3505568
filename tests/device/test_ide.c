/*
 * The IDE function against disks in memory: every transfer protocol with its interrupts, register
 * by register; IDENTIFY word by word; DMA in all the ways it can end; resets, absent drives,
 * errors.
 */
#include "fixture.h"

#include "devices/ide.h"
#include "host/blk_driver.h"

#include <errno.h>
#include <stdio.h>

enum {
    DATA = 0x1F0,
    ERROR = 0x1F1,
    FEATURE = 0x1F1,
    COUNT = 0x1F2,
    LBA0 = 0x1F3,
    LBA1 = 0x1F4,
    LBA2 = 0x1F5,
    DEVICE = 0x1F6,
    STATUS = 0x1F7,
    COMMAND = 0x1F7,
    CONTROL = 0x3F6,
    SECOND = 0x170 - 0x1F0, /* to the second channel */
    BM = 0xC000,
    RAM = 1 << 20,
    DEVFN = 1 << 3 | 1,
    SECTORS = 4096,
    LATENCY = 100000, /* ns: more than a chunk takes */
};

static struct {
    struct fixture f;
    struct pci_bus bus;
    struct mem_region ram;
    struct ide *ide;
    struct blk *disk[4];
    struct recorder irq[2];
} t;

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    fixture_init(&t.f, 16 * MiB);
    mem_region_init_ram(&t.ram, "ram", ram_alloc(&t.f.ram, RAM), RAM);
    memmap_add(&t.f.mem, &t.ram, 0, 0);
    pci_bus_init(&t.bus, &t.f.io, &t.f.mem, &t.f.log);
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    t.disk[0] = blk_mem_create(SECTORS * 512, &host);
    t.disk[3] = blk_mem_create(UINT64_C(200) * 512, &host);
    for (unsigned i = 0; i < SECTORS * 512; i++)
        blk_mem_data(t.disk[0])[i] = (uint8_t)(i / 512 * 7 + i % 512 * 3);
    const struct irq_line irq[2] = {recorder_line(&t.irq[0]), recorder_line(&t.irq[1])};
    struct ide_unit unit[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        unit[i] = (struct ide_unit){t.disk[i] ? IDE_DISK : IDE_ABSENT, t.disk[i]};
    t.ide = ide_create(&t.bus, DEVFN, &t.f.io, &t.f.mem, &t.f.queue, &t.f.log, irq, unit);
    device_add(&t.f.devices, ide_device(t.ide));
    device_reset_all(&t.f.devices, RESET_POWER_ON);
    pci_config_write(&t.bus, DEVFN, 0x20, BM, 4);
    pci_config_write(&t.bus, DEVFN, 0x04, 5, 2);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_free(&t.f);
    struct error err = {0};
    for (unsigned i = 0; i < 4; i++)
        assert_true(blk_close(t.disk[i], &err));
    return 0;
}

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

static void command(unsigned count, uint64_t lba, unsigned opcode)
{
    out(COUNT, count & 0xFF);
    out(LBA0, lba & 0xFF);
    out(LBA1, lba >> 8 & 0xFF);
    out(LBA2, lba >> 16 & 0xFF);
    out(DEVICE, 0xE0 | (lba >> 24 & 0xF));
    out(COMMAND, opcode);
}

static void command_ext(unsigned count, uint64_t lba, unsigned opcode)
{
    out(COUNT, count >> 8);
    out(LBA0, lba >> 24 & 0xFF);
    out(LBA1, lba >> 32 & 0xFF);
    out(LBA2, lba >> 40 & 0xFF);
    command(count, lba & 0xFFFFFF, opcode);
}

static const uint8_t *sector(unsigned n)
{
    return blk_mem_data(t.disk[0]) + n * 512;
}

/* Reads a DRQ block of n sectors in words, in bulk as REP INSW does. */
static void take(void *buf, unsigned sectors)
{
    unsigned words = sectors * 256, done = 0;
    while (done < words) {
        const unsigned n =
            iomap_read_bulk(&t.f.io, DATA, 2, (uint8_t *)buf + 2 * done, words - done);
        assert_true(n > 0);
        done += n;
    }
}

static void give(const void *buf, unsigned sectors)
{
    unsigned words = sectors * 256, done = 0;
    while (done < words) {
        const unsigned n =
            iomap_write_bulk(&t.f.io, DATA, 2, (const uint8_t *)buf + 2 * done, words - done);
        assert_true(n > 0);
        done += n;
    }
}

static void expect_status(unsigned status, int irq)
{
    assert_int_equal(in(CONTROL), status); /* alternate: leaves the interrupt */
    assert_int_equal(t.irq[0].level, irq);
    assert_int_equal(in(STATUS), status);
    assert_int_equal(t.irq[0].level, 0);
}

/* ------------------------------------------------------------------ PIO */

static void test_read_sectors(void **state)
{
    (void)state;
    uint8_t buf[512];
    t.irq[0].rises = 0;
    command(3, 10, 0x20);
    expect_status(0x80, 0);
    step();
    for (unsigned i = 0; i < 3; i++) {
        expect_status(0x58, 1);
        if (i == 1) /* single accesses do as well */
            for (unsigned w = 0; w < 256; w++)
                st16(buf + 2 * w, (uint16_t)iomap_read(&t.f.io, DATA, 2));
        else if (i == 2)
            for (unsigned w = 0; w < 128; w++)
                st32(buf + 4 * w, iomap_read(&t.f.io, DATA, 4));
        else
            take(buf, 1);
        assert_memory_equal(buf, sector(10 + i), 512);
    }
    expect_status(0x50, 0); /* none after the last block */
    assert_int_equal(t.irq[0].rises, 3);
    assert_int_equal(in(COUNT), 0);
    assert_int_equal(in(LBA0), 12); /* the last sector */
    assert_int_equal(in(ERROR), 0);
}

static void test_write_sectors(void **state)
{
    (void)state;
    uint8_t buf[1024];
    memset(buf, 0x5A, sizeof buf);
    t.irq[0].rises = 0;
    command(2, 100, 0x30);
    expect_status(0x58, 0); /* none before the first block */
    give(buf, 1);
    expect_status(0x58, 1);
    for (unsigned w = 0; w < 128; w++)
        iomap_write(&t.f.io, DATA, 0x5A5A5A5A, 4);
    expect_status(0x80, 0);
    step();
    expect_status(0x50, 1);
    assert_int_equal(t.irq[0].rises, 2);
    assert_memory_equal(sector(100), buf, 1024);
    assert_int_equal(sector(102)[0], (uint8_t)(102 * 7));
}

static void test_long_transfers(void **state)
{
    (void)state;
    static uint8_t buf[600 * 512], back[600 * 512];
    command(0, 0, 0x20); /* 256 sectors */
    step();
    for (unsigned i = 0; i < 256; i++) {
        assert_int_equal(in(STATUS), 0x58);
        take(buf + i * 512, 1);
    }
    assert_memory_equal(buf, sector(0), 256 * 512);
    assert_int_equal(in(STATUS), 0x50);

    command_ext(600, 5, 0x24); /* more than one piece */
    for (unsigned i = 0; i < 600; i++) {
        if (in(STATUS) == 0x80)
            step();
        assert_int_equal(in(STATUS), 0x58);
        take(buf + i * 512, 1);
    }
    assert_memory_equal(buf, sector(5), 600 * 512);
    assert_int_equal(in(STATUS), 0x50);

    for (unsigned i = 0; i < sizeof back; i++)
        back[i] = (uint8_t)(i * 31 >> 3);
    command_ext(600, 1000, 0x34);
    for (unsigned i = 0; i < 600; i++) {
        if (in(STATUS) == 0x80)
            step();
        assert_int_equal(in(STATUS), 0x58);
        give(back + i * 512, 1);
    }
    assert_int_equal(in(STATUS), 0x80);
    step();
    assert_int_equal(in(STATUS), 0x50);
    assert_memory_equal(sector(1000), back, sizeof back);
}

static void test_multiple(void **state)
{
    (void)state;
    static uint8_t buf[16 * 512];
    command(20, 20, 0xC4); /* at power-on: 16 sectors, as word 59 says */
    step();
    expect_status(0x58, 1);
    take(buf, 16);
    expect_status(0x58, 1);
    take(buf, 4);
    expect_status(0x50, 0);
    command(32, 0, 0xC6); /* more than word 47 says */
    assert_int_equal(in(STATUS), 0x51);
    command(10, 20, 0xC4); /* disabled by that */
    expect_status(0x51, 1);
    assert_int_equal(in(ERROR), 0x04);
    command(3, 0, 0xC6);
    assert_int_equal(in(STATUS), 0x51);
    command(4, 0, 0xC6);
    expect_status(0x50, 1);

    t.irq[0].rises = 0;
    command(10, 20, 0xC4);
    step();
    const unsigned blocks[] = {4, 4, 2};
    for (unsigned i = 0, at = 0; i < 3; at += blocks[i++]) {
        expect_status(0x58, 1);
        take(buf + at * 512, blocks[i]);
    }
    expect_status(0x50, 0);
    assert_int_equal(t.irq[0].rises, 3);
    assert_memory_equal(buf, sector(20), sizeof buf);

    memset(buf, 9, sizeof buf);
    t.irq[0].rises = 0;
    command_ext(6, 200, 0x39);
    give(buf, 4);
    expect_status(0x58, 1);
    give(buf, 2);
    step();
    expect_status(0x50, 1);
    assert_int_equal(t.irq[0].rises, 2);
    assert_memory_equal(sector(200), buf, 6 * 512);
    command(0, 0, 0xC6); /* off again */
    assert_int_equal(in(STATUS), 0x50);
    command(1, 0, 0xC4);
    assert_int_equal(in(STATUS), 0x51);
}

/* Bulk moves stop at the end of a DRQ block, where the interrupt is. */
static void test_bulk_stops(void **state)
{
    (void)state;
    static uint8_t buf[1024];
    command(2, 0, 0x20);
    step();
    in(STATUS);
    assert_int_equal(iomap_read_bulk(&t.f.io, DATA, 2, buf, 512), 256);
    assert_int_equal(t.irq[0].level, 1);
    assert_int_equal(iomap_read_bulk(&t.f.io, DATA, 4, buf, 512), 128);
    assert_int_equal(iomap_read_bulk(&t.f.io, DATA, 2, buf, 512), 0);
    assert_int_equal(iomap_read(&t.f.io, DATA, 2), 0xFFFF);
    assert_int_equal(iomap_write_bulk(&t.f.io, DATA, 2, buf, 4), 0);

    /* A dword across the end of the block is two words, of which the second is nobody's. */
    command(1, 0, 0x20);
    step();
    iomap_read(&t.f.io, DATA, 2);
    for (unsigned i = 0; i < 127; i++)
        iomap_read(&t.f.io, DATA, 4);
    assert_int_equal(iomap_read(&t.f.io, DATA, 4), 0xFFFF0000u | ld16(sector(0) + 510));
    assert_int_equal(in(STATUS), 0x50);
}

static void test_chs(void **state)
{
    (void)state;
    uint8_t buf[512];
    /* Default translation: 16 heads, 63 sectors. Cylinder 1, head 2, sector 3. */
    out(COUNT, 1);
    out(LBA0, 3);
    out(LBA1, 1);
    out(LBA2, 0);
    out(DEVICE, 0xA2);
    out(COMMAND, 0x20);
    step();
    assert_int_equal(in(STATUS), 0x58);
    take(buf, 1);
    assert_memory_equal(buf, sector((1 * 16 + 2) * 63 + 2), 512);
    assert_int_equal(in(DEVICE), 0xA2);

    out(LBA0, 0); /* there is no sector 0 */
    out(COUNT, 1);
    out(COMMAND, 0x20);
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 0x10);
    out(LBA0, 64);
    out(COMMAND, 0x20);
    assert_int_equal(in(STATUS), 0x51);

    /* INITIALIZE DEVICE PARAMETERS: 8 heads, 17 sectors. */
    out(COUNT, 17);
    out(DEVICE, 0xA7);
    out(COMMAND, 0x91);
    expect_status(0x50, 1);
    out(COUNT, 2);
    out(LBA0, 17);
    out(LBA1, 5);
    out(DEVICE, 0xA7);
    out(COMMAND, 0x20);
    step();
    take(buf, 1);
    assert_memory_equal(buf, sector((5 * 8 + 7) * 17 + 16), 512);
    take(buf, 1); /* goes on with the next cylinder */
    assert_int_equal(in(LBA0), 1);
    assert_int_equal(in(LBA1), 6);
    assert_int_equal(in(DEVICE), 0xA0);
    out(DEVICE, 0xA9); /* head 9 of 8 */
    out(COMMAND, 0x20);
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 0x10);
    out(COUNT, 0);
    out(COMMAND, 0x91);
    assert_int_equal(in(STATUS), 0x51);
}

static void test_range(void **state)
{
    (void)state;
    command(2, SECTORS - 1, 0x20);
    expect_status(0x51, 1);
    assert_int_equal(in(ERROR), 0x10); /* IDNF */
    assert_int_equal(in(COUNT), 1);
    assert_int_equal(in(LBA0) | in(LBA1) << 8, SECTORS & 0xFFFF);
    command(1, SECTORS, 0x30);
    assert_int_equal(in(STATUS), 0x51);
    command_ext(1, UINT64_C(0xFFFFFFFFFFFF), 0x25);
    assert_int_equal(in(STATUS), 0x51);
    command_ext(0, 1, 0x24); /* 65536 sectors */
    assert_int_equal(in(STATUS), 0x51);
    command(1, SECTORS - 1, 0x40);
    step();
    expect_status(0x50, 1);
    command(0, SECTORS - 256, 0x41);
    step();
    assert_int_equal(in(STATUS), 0x50);
    command(1, SECTORS, 0x70); /* SEEK */
    assert_int_equal(in(STATUS), 0x51);
    command(1, 0, 0x70);
    assert_int_equal(in(STATUS), 0x50);
    command(1, 0, 0x10); /* RECALIBRATE */
    assert_int_equal(in(STATUS), 0x50);
}

/* ------------------------------------------------------------------ IDENTIFY, features */

static void identify(unsigned offset, uint16_t *w)
{
    out(COMMAND + offset, 0xEC);
    assert_int_equal(in(STATUS + offset), 0x58);
    for (unsigned i = 0; i < 256; i++)
        w[i] = (uint16_t)iomap_read(&t.f.io, (uint16_t)(DATA + offset), 2);
    assert_int_equal(in(STATUS + offset), 0x50);
}

static void expect_text(const uint16_t *w, unsigned words, const char *text)
{
    char s[41] = "";
    for (unsigned i = 0; i < words; i++) {
        s[2 * i] = (char)(w[i] >> 8);
        s[2 * i + 1] = (char)w[i];
    }
    assert_memory_equal(s, text, strlen(text));
    for (size_t i = strlen(text); i < 2 * words; i++)
        assert_int_equal(s[i], ' ');
}

static void test_identify(void **state)
{
    (void)state;
    uint16_t w[256];
    uint8_t sum = 0;
    identify(0, w);
    static const struct {
        uint8_t word;
        uint16_t value;
    } expected[] = {{0, 0x0040},  {1, 4096 / 1008}, {3, 16},      {6, 63},      {47, 0x8010},
                    {49, 0x0B00}, {50, 0x4000},     {53, 7},      {54, 4},      {55, 16},
                    {56, 63},     {57, 4032},       {58, 0},      {59, 0x0110}, {60, 4096},
                    {61, 0},      {63, 0x0007},     {64, 3},      {65, 120},    {68, 120},
                    {80, 0x00F0}, {82, 0x4068},     {83, 0x7400}, {84, 0x4000}, {85, 0x4068},
                    {86, 0x3400}, {87, 0x4000},     {88, 0x203F}, {93, 0x600B}, {100, 4096},
                    {101, 0},     {102, 0},         {103, 0},     {106, 0x4000}};
    for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
        if (w[expected[i].word] != expected[i].value)
            fail_msg("word %u: %04x", expected[i].word, w[expected[i].word]);
    expect_text(w + 10, 10, "VT00001");
    expect_text(w + 27, 20, "VITRINE HARDDISK");
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + ((uint8_t *)w)[i]);
    assert_int_equal(sum, 0);

    out(DEVICE + SECOND, 0xB0); /* the only one of its channel, as drive 1 */
    identify(SECOND, w);
    expect_text(w + 10, 10, "VT00004");
    assert_int_equal(w[93], 0x6B00);
    assert_int_equal(w[60], 200);
    assert_int_equal(w[1], 1);
    assert_int_equal(t.irq[1].level, 0);
    assert_int_equal(t.irq[1].rises, 1);

    /* What SET FEATURES and friends change shows. */
    command(0x22, 0, 0xEF); /* not a feature: 0 */
    assert_int_equal(in(STATUS), 0x51);
    out(FEATURE, 0x03);
    command(0x22, 0, 0xEF); /* multiword DMA 2 */
    assert_int_equal(in(STATUS), 0x50);
    out(FEATURE, 0x82);
    command(0, 0, 0xEF);
    step();
    assert_int_equal(in(STATUS), 0x50);
    out(FEATURE, 0x55);
    command(0, 0, 0xEF);
    command(8, 0, 0xC6);
    identify(0, w);
    assert_int_equal(w[63], 0x0407);
    assert_int_equal(w[88], 0x003F);
    assert_int_equal(w[85], 0x4008);
    assert_int_equal(w[59], 0x0108);
    out(FEATURE, 0x03);
    command(0x46, 0, 0xEF); /* Ultra DMA 6 is not offered */
    expect_status(0x51, 1);
    assert_int_equal(in(ERROR), 0x04);
    out(FEATURE, 0x03);
    command(0x45, 0, 0xEF);
    identify(0, w);
    assert_int_equal(w[88], 0x203F);
    assert_int_equal(w[63], 0x0007);
}

static void test_other_commands(void **state)
{
    (void)state;
    static const uint8_t unknown[] = {0x00, 0x08, 0xA0, 0xA1, 0xB0, 0xF5, 0xFF};
    for (unsigned i = 0; i < sizeof unknown; i++) {
        command(1, 0, unknown[i]);
        expect_status(0x51, 1);
        assert_int_equal(in(ERROR), 0x04);
    }
    command(0x12, 0, 0xE5); /* CHECK POWER MODE */
    expect_status(0x50, 1);
    assert_int_equal(in(COUNT), 0xFF);
    command(0, 0, 0xE0); /* STANDBY IMMEDIATE */
    assert_int_equal(in(STATUS), 0x50);
    command(0x12, 0, 0x98);
    assert_int_equal(in(COUNT), 0x00);
    command(0, 0, 0xE3); /* IDLE */
    command(0x12, 0, 0x98);
    assert_int_equal(in(COUNT), 0xFF);

    command(0, 0, 0xF8); /* READ NATIVE MAX ADDRESS */
    assert_int_equal(in(LBA0) | in(LBA1) << 8, SECTORS - 1);
    command(0, 0, 0x27);
    assert_int_equal(in(LBA0) | in(LBA1) << 8, SECTORS - 1);
    out(CONTROL, 0x80); /* the other value of the pair */
    assert_int_equal(in(LBA0), 0);
    out(CONTROL, 0x00);

    for (unsigned i = 0; i < 2; i++) { /* FLUSH CACHE, EXT */
        command(0, 0, i ? 0xEA : 0xE7);
        expect_status(0x80, 0);
        step();
        expect_status(0x50, 1);
    }
    command(0, 0, 0xE6); /* SLEEP */
    expect_status(0x50, 1);
    command(1, 0, 0xEC);
    expect_status(0x50, 0); /* does not hear it */
    out(CONTROL, 0x04);
    out(CONTROL, 0x00);
    uint16_t w[256];
    identify(0, w);
}

static void test_hob(void **state)
{
    (void)state;
    out(COUNT, 0x11);
    out(COUNT, 0x22);
    out(LBA1, 0x33);
    out(LBA1, 0x44);
    assert_int_equal(in(COUNT), 0x22);
    out(CONTROL, 0x80);
    assert_int_equal(in(COUNT), 0x11);
    assert_int_equal(in(LBA1), 0x33);
    out(FEATURE, 0); /* any write clears it */
    assert_int_equal(in(LBA1), 0x44);
}

/* ------------------------------------------------------------------ who is there */

static void test_absent(void **state)
{
    (void)state;
    out(COUNT, 0x55);
    out(LBA0, 0xAA);
    assert_int_equal(in(COUNT), 0x55);
    out(DEVICE, 0xB0); /* slave: not there */
    assert_int_equal(in(STATUS), 0);
    assert_int_equal(in(CONTROL), 0);
    assert_int_equal(in(COUNT), 0);
    assert_int_equal(in(DEVICE), 0);
    out(COMMAND, 0xEC); /* nobody hears it */
    assert_int_equal(in(STATUS), 0);
    assert_int_equal(t.irq[0].level, 0);
    out(DEVICE, 0xA0);
    assert_int_equal(in(STATUS), 0x50);
    assert_int_equal(in(DEVICE), 0xA0);
    assert_int_equal(in(STATUS + SECOND), 0); /* master of the second channel */
    out(DEVICE + SECOND, 0xB0);
    assert_int_equal(in(STATUS + SECOND), 0x50);
    assert_int_equal(in(DEVICE + SECOND), 0xB0);

    out(COMMAND, 0xEC); /* DRQ: the interrupt is the master's */
    assert_int_equal(t.irq[0].level, 1);
    out(DEVICE, 0xB0); /* not while DRQ is set */
    assert_int_equal(in(CONTROL), 0x58);
}

static void test_srst(void **state)
{
    (void)state;
    command(4, 77, 0x20);
    step();
    out(CONTROL, 0x04);
    assert_int_equal(in(STATUS), 0x80);
    assert_int_equal(t.irq[0].level, 0);
    out(CONTROL, 0x00);
    assert_int_equal(in(STATUS), 0x50);
    assert_int_equal(in(ERROR), 0x01);
    assert_int_equal(in(COUNT), 0x01);
    assert_int_equal(in(LBA0), 0x01);
    assert_int_equal(in(LBA1), 0x00);
    assert_int_equal(in(LBA2), 0x00);
    assert_int_equal(in(DEVICE), 0xA0);
    assert_int_equal(t.irq[0].level, 0);

    /* With the disk at work: what it still delivers is nobody's. */
    command(4, 77, 0x20);
    out(CONTROL, 0x04);
    out(CONTROL, 0x00);
    step();
    expect_status(0x50, 0);
    uint8_t buf[512];
    command(1, 3, 0x20);
    step();
    take(buf, 1);
    assert_memory_equal(buf, sector(3), 512);

    command(1, 3, 0x90); /* EXECUTE DEVICE DIAGNOSTIC */
    expect_status(0x50, 1);
    assert_int_equal(in(ERROR), 0x01);
    assert_int_equal(in(COUNT), 0x01);

    /* A hard reset with a request under way, too. */
    command(4, 77, 0x20);
    device_reset_all(&t.f.devices, RESET_HARD);
    step();
    expect_status(0x50, 0);
    assert_int_equal(pci_config_read(&t.bus, DEVFN, 0x04, 2), 0);
}

static void test_nien(void **state)
{
    (void)state;
    out(CONTROL, 0x02);
    command(0, 0, 0xE1);
    assert_int_equal(t.irq[0].level, 0);
    out(CONTROL, 0x00); /* it was pending */
    assert_int_equal(t.irq[0].level, 1);
    out(CONTROL, 0x02);
    assert_int_equal(t.irq[0].level, 0);
    assert_int_equal(in(STATUS), 0x50);
    out(CONTROL, 0x00);
    assert_int_equal(t.irq[0].level, 0);
    command(0, 0, 0xE1);
    assert_int_equal(t.irq[0].level, 1);
    out(COMMAND, 0xE1); /* a new command clears it, then raises its own */
    assert_int_equal(t.irq[0].rises, 3);
}

/* ------------------------------------------------------------------ DMA */

struct region {
    uint32_t gpa, len;
};

static void put_prds(const struct region *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t e[8];
        st32(e, r[i].gpa);
        st32(e + 4, (r[i].len & 0xFFFF) | (i + 1 == n ? 0x80000000 : 0));
        memmap_dma_write(&t.f.mem, 0x1000 + 8 * i, e, 8);
    }
    iomap_write(&t.f.io, BM + 4, 0x1000, 4);
    out(BM + 2, 0x06);
}

static uint8_t *ram(unsigned at)
{
    return ram_host(&t.f.ram, t.ram.ram + at);
}

static void test_dma_read(void **state)
{
    (void)state;
    const struct region r[] = {{0x20000, 1000}, {0x30002, 24}, {0x40000, 512}};
    put_prds(r, 3);
    t.irq[0].rises = 0;
    command(3, 50, 0xC8);
    assert_int_equal(in(BM + 2), 0x00);
    out(BM, 0x08);
    out(BM, 0x09);
    assert_int_equal(in(BM + 2), 0x01);
    assert_int_equal(in(CONTROL), 0x80);
    step();
    assert_int_equal(in(BM + 2), 0x04); /* the regions were as long as the transfer */
    expect_status(0x50, 1);
    assert_int_equal(t.irq[0].rises, 1);
    assert_memory_equal(ram(0x20000), sector(50), 1000);
    assert_memory_equal(ram(0x30002), sector(50) + 1000, 24);
    assert_memory_equal(ram(0x40000), sector(52), 512);
    assert_int_equal(ram(0x40200)[0], 0);
    out(BM + 2, 0x04);
    assert_int_equal(in(BM + 2), 0x00);
    out(BM, 0x00);

    /* The bus master first, the command after. */
    memset(ram(0x20000), 0, 2000);
    put_prds(r, 3);
    out(BM, 0x09);
    command_ext(3, 60, 0x25);
    step();
    expect_status(0x50, 1);
    assert_memory_equal(ram(0x20000), sector(60), 1000);
    out(BM, 0x00);
}

static void test_dma_write(void **state)
{
    (void)state;
    const struct region r[] = {{0x50000, 0}, {0x60000, 0}, {0x70000, 0}}; /* 64 KiB each */
    for (unsigned i = 0; i < 3 * 65536; i++)
        ram(0x50000)[i] = (uint8_t)(i * 13 >> 4);
    put_prds(r, 3);
    command_ext(384, 2000, 0x35); /* in more than one piece */
    out(BM, 0x01);
    step();
    step();
    assert_int_equal(in(BM + 2), 0x04);
    expect_status(0x50, 1);
    assert_memory_equal(sector(2000), ram(0x50000), 3 * 65536);
    out(BM, 0x00);
    command(1, 2000, 0xCA); /* 64 KiB offered, one sector wanted: stays active */
    put_prds(r, 1);
    out(BM, 0x01);
    step();
    assert_int_equal(in(BM + 2), 0x05);
    expect_status(0x50, 1);
    out(BM, 0x00);
    assert_int_equal(in(BM + 2), 0x04);
}

static void test_dma_ends(void **state)
{
    (void)state;
    const struct region tiny[] = {{0x20000, 512}};
    put_prds(tiny, 1);
    command(2, 50, 0xC8); /* the regions are too short: the drive waits */
    out(BM, 0x09);
    step();
    assert_int_equal(in(BM + 2), 0x00);
    expect_status(0x58, 0);
    out(BM, 0x00);
    out(CONTROL, 0x04);
    out(CONTROL, 0x00);
    expect_status(0x50, 0);

    put_prds(tiny, 1);
    command(2, 50, 0xCA);
    out(BM, 0x01);
    step();
    assert_int_equal(in(BM + 2), 0x00);
    expect_status(0x58, 0);
    out(BM, 0x00);
    out(CONTROL, 0x04);
    out(CONTROL, 0x00);

    /* Stopped and started again while the disk is at work: the whole transfer, once. */
    const struct region r[] = {{0x20000, 1024}};
    put_prds(r, 1);
    command(2, 50, 0xC8);
    out(BM, 0x09);
    out(BM, 0x08);
    assert_int_equal(in(BM + 2), 0x00);
    memset(ram(0x20000), 0xEE, 1024);
    step();
    assert_int_equal(ram(0x20000)[0], 0xEE);
    expect_status(0x58, 0);
    out(BM, 0x09);
    step();
    expect_status(0x50, 1);
    assert_memory_equal(ram(0x20000), sector(50), 1024);
    out(BM, 0x00);

    /* The same in the middle of a transfer in more than one piece, with another table. */
    const struct region elsewhere[] = {{0x20000, 0}, {0x30000, 0}, {0x40000, 0}, {0x50000, 0}};
    const struct region here[] = {{0x60000, 0}, {0x70000, 0}, {0x80000, 0}, {0x90000, 0}};
    memset(ram(0x20000), 0xEE, 8 * 65536);
    put_prds(elsewhere, 4);
    command_ext(512, 100, 0x25);
    out(BM, 0x09);
    out(BM, 0x08);
    put_prds(here, 4);
    out(BM, 0x09);
    for (unsigned i = 0; i < 4; i++)
        step();
    expect_status(0x50, 1);
    assert_memory_equal(ram(0x60000), sector(100), 4 * 65536);
    assert_int_equal(ram(0x20000)[0], 0xEE);
    out(BM, 0x00);

    /* Bus mastering switched off: nothing moves until it is on. */
    pci_config_write(&t.bus, DEVFN, 0x04, 1, 2);
    put_prds(r, 1);
    command(2, 60, 0xC8);
    out(BM, 0x09);
    step();
    expect_status(0x58, 0);
    pci_config_write(&t.bus, DEVFN, 0x04, 5, 2);
    step();
    expect_status(0x50, 1);
    assert_memory_equal(ram(0x20000), sector(60), 1024);
    out(BM, 0x00);

    /* A region, then a table, where there is no memory. */
    const struct region nowhere[] = {{0x08000000, 1024}};
    put_prds(nowhere, 1);
    command(2, 60, 0xC8);
    out(BM, 0x09);
    step();
    assert_int_equal(in(BM + 2), 0x06);
    expect_status(0x50, 1);
    out(BM, 0x00);
    out(BM + 2, 0x06);
    uint8_t before[1024];
    memcpy(before, sector(60), sizeof before);
    put_prds(nowhere, 1);
    command(2, 60, 0xCA); /* what comes from there is not written to the disk */
    out(BM, 0x01);
    step();
    assert_int_equal(in(BM + 2), 0x06);
    expect_status(0x51, 1);
    assert_memory_equal(sector(60), before, sizeof before);
    out(BM, 0x00);
    out(BM + 2, 0x06);
    iomap_write(&t.f.io, BM + 4, 0x08000003, 4);
    assert_int_equal(iomap_read(&t.f.io, BM + 4, 4), 0x08000000);
    command(2, 60, 0xC8);
    out(BM, 0x09);
    assert_int_equal(in(BM + 2), 0x06);
    expect_status(0x51, 1);
}

static void test_dma_registers(void **state)
{
    (void)state;
    assert_int_equal(iomap_read(&t.f.io, BM, 4), 0);
    out(BM + 2, 0xFF); /* only the capability bits are plain */
    assert_int_equal(in(BM + 2), 0x60);
    out(BM + 8, 0xF8);
    assert_int_equal(in(BM + 8), 0x08);
    iomap_write(&t.f.io, BM + 12, 0x12345677, 4);
    assert_int_equal(iomap_read(&t.f.io, BM + 12, 4), 0x12345674);
    assert_int_equal(iomap_read(&t.f.io, BM + 14, 2), 0x1234);
    assert_int_equal(in(BM + 1), 0);

    assert_int_equal(pci_config_read(&t.bus, DEVFN, 0, 4), 0x70108086);
    assert_int_equal(pci_config_read(&t.bus, DEVFN, 8, 4), 0x01018000);
    assert_int_equal(pci_config_read(&t.bus, DEVFN, 0x20, 4), BM | 1);
    pci_config_write(&t.bus, DEVFN, 0x40, 0x8000A307, 4);
    assert_int_equal(pci_config_read(&t.bus, DEVFN, 0x40, 4), 0x8000A307);
}

/* ------------------------------------------------------------------ host errors */

static int failing_read(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned n)
{
    (void)d, (void)iov, (void)n;
    return offset >= 300 * 512 ? EIO : 0;
}

static int failing_write(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned n)
{
    (void)d, (void)offset, (void)iov, (void)n;
    return ENOSPC;
}

static int failing_flush(struct blk_driver *d)
{
    (void)d;
    return EIO;
}

static void nothing(struct blk_driver *d)
{
    (void)d;
}

static void test_host_errors(void **state)
{
    (void)state;
    static const struct blk_driver_ops ops = {.read = failing_read,
                                              .write = failing_write,
                                              .flush = failing_flush,
                                              .close = nothing,
                                              .instant = true};
    static struct blk_driver driver = {.ops = &ops, .size_bytes = SECTORS * 512};
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};

    struct pci_bus bus;
    struct iomap io;
    pci_bus_init(&bus, &io, &t.f.mem, &t.f.log);
    assert_true(iomap_create(&io, &t.f.log));
    struct blk *disk = blk_create(&driver, "failing", &host);
    const struct ide_unit unit[4] = {{IDE_DISK, disk}};
    struct recorder rec[2] = {0};
    const struct irq_line irq[2] = {recorder_line(&rec[0]), recorder_line(&rec[1])};
    struct ide *ide = ide_create(&bus, DEVFN, &io, &t.f.mem, &t.f.queue, &t.f.log, irq, unit);
    struct iomap mine = t.f.io;
    t.f.io = io; /* the helpers' ports are this one's now */

    static uint8_t buf[512];
    command(1, 5, 0x30);
    give(buf, 1);
    step();
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 0x04);
    assert_int_equal(in(LBA0), 5);
    assert_int_equal(rec[0].rises, 1);
    command(0, 0, 0xE7);
    step();
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 0x04);
    command_ext(300, 100, 0x24); /* the second piece fails */
    step();
    for (unsigned i = 0; i < 256; i++)
        take(buf, 1);
    step();
    assert_int_equal(in(STATUS), 0x51);
    assert_int_equal(in(ERROR), 0x40); /* UNC */
    assert_int_equal(in(LBA0) | in(LBA1) << 8, 356);
    assert_int_equal(in(COUNT), 44);

    ide_device(ide)->ops->destroy(ide_device(ide));
    struct error err = {0};
    assert_false(blk_close(disk, &err));
    iomap_destroy(&t.f.io);
    t.f.io = mine;
}

static void test_readonly(void **state)
{
    (void)state;
    t.disk[0]->readonly = true;
    command(1, 0, 0x30);
    expect_status(0x51, 1);
    assert_int_equal(in(ERROR), 0x04);
    command(1, 0, 0xCA);
    assert_int_equal(in(STATUS), 0x51);
    command(1, 0, 0x20);
    step();
    assert_int_equal(in(STATUS), 0x58);
}

/* ------------------------------------------------------------------ state, chaos */

static void disturb(void *opaque)
{
    (void)opaque;
    uint8_t buf[512];
    take(buf, 1);
    command(1, 9, 0x30);
    out(BM + 2, 0x60);
    out(DEVICE + SECOND, 0xB0);
}

static void test_state(void **state)
{
    (void)state;
    uint8_t buf[512];
    command(4, 0, 0xC6);
    command(6, 40, 0xC4);
    step();
    take(buf, 1);
    fixture_check_round_trip(&t.f, disturb, NULL);
    take(buf, 1); /* and goes on where it was */
    assert_memory_equal(buf, sector(41), 512);
    take(buf, 1);
    take(buf, 1);
    assert_int_equal(in(CONTROL), 0x58);
    take(buf, 1);
    assert_memory_equal(buf, sector(44), 512);
}

/* Any sequence of accesses: nothing crashes, and a reset makes the drive usable again. */
static void test_chaos(void **state)
{
    (void)state;
    uint64_t seed = test_seed(42);
    static uint8_t bulk[4096];
    for (unsigned round = 0; round < 200000; round++) {
        const uint32_t r = fixture_random(&seed), v = fixture_random(&seed);
        const unsigned size = 1u << (r >> 4 & 3) % 3;
        const unsigned base = r & 0x100 ? (r & 0x200 ? 0x170 : 0x1F0) : BM;
        const unsigned port = (r & 0xFF0000) == 0x10000 ? (r & 0x200 ? 0x376 : 0x3F6)
                                                        : base + (r >> 24) % (base == BM ? 16 : 8);
        switch (r & 7) {
        case 0:
        case 1:
        case 2:
            iomap_write(&t.f.io, (uint16_t)port, v, size);
            break;
        case 3:
            iomap_read(&t.f.io, (uint16_t)port, size);
            break;
        case 4:
            iomap_read_bulk(&t.f.io, (uint16_t)base, size, bulk, v % 1024);
            break;
        case 5:
            iomap_write_bulk(&t.f.io, (uint16_t)base, size, bulk, v % 1024);
            break;
        case 6: /* something sensible now and then */
            out(0x3F6, 0);
            out(0x376, 0);
            command(v & 0xFF, v >> 8 & 0xFFF, (uint8_t[]){0x20, 0x30, 0xC8, 0xCA}[v >> 28 & 3]);
            break;
        default:
            event_step(&t.f.queue, &t.f.now_ns, v % 50000);
            break;
        }
        if (round % 5000 == 0)
            device_reset_all(&t.f.devices, RESET_HARD),
                pci_config_write(&t.bus, DEVFN, 0x20, BM, 4),
                pci_config_write(&t.bus, DEVFN, 0x04, 5, 2);
    }
    device_reset_all(&t.f.devices, RESET_HARD);
    uint16_t w[256];
    identify(0, w);
    expect_text(w + 27, 20, "VITRINE HARDDISK");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_read_sectors),   T(test_write_sectors), T(test_long_transfers), T(test_multiple),
        T(test_bulk_stops),     T(test_chs),           T(test_range),          T(test_identify),
        T(test_other_commands), T(test_hob),           T(test_absent),         T(test_srst),
        T(test_nien),           T(test_dma_read),      T(test_dma_write),      T(test_dma_ends),
        T(test_dma_registers),  T(test_host_errors),   T(test_readonly),       T(test_state),
        T(test_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
