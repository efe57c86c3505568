/*
 * The floppy controller with real DMA and a stepped clock: resets, every command with its results
 * bit by bit, transfers with and without DMA, disks of several kinds, the change line, what cannot
 * be read or written, and random accesses.
 */
#include "fixture.h"

#include "devices/fdc.h"
#include "host/blk_driver.h"

#include <errno.h>
#include <stdio.h>

enum {
    DOR = 0x3F2,
    TDR = 0x3F3,
    MSR = 0x3F4,
    DSR = 0x3F4,
    FIFO = 0x3F5,
    CHANGE = 0x3F7,
    CCR = 0x3F7,
    RAM = 1 << 20,
    BUFFER = 0x20000,
    MS = 1000000,
};

static struct {
    struct fixture f;
    struct mem_region ram;
    struct dma8237 *dma;
    struct fdc *fdc;
    struct blk *a, *b; /* 1.44M and 360K */
    struct recorder irq;
    uint8_t result[16];
} t;

static uint8_t in(unsigned port)
{
    return (uint8_t)iomap_read(&t.f.io, (uint16_t)port, 1);
}

static void out(unsigned port, unsigned value)
{
    iomap_write(&t.f.io, (uint16_t)port, value, 1);
}

static void step(int64_t ns)
{
    event_step(&t.f.queue, &t.f.now_ns, ns);
}

static struct blk *disk_of(unsigned kib)
{
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    struct blk *blk = blk_mem_create(kib * KiB, &host);
    uint8_t *p = blk_mem_data(blk);
    for (unsigned i = 0; i < kib * KiB; i++)
        p[i] = (uint8_t)(i / 512 * 5 + i % 512 * 3 + i / 131072);
    return blk;
}

static int setup(void **state)
{
    (void)state;
    memset(&t, 0, sizeof t);
    fixture_init(&t.f, 4 * MiB);
    mem_region_init_ram(&t.ram, "ram", ram_alloc(&t.f.ram, RAM), RAM);
    memmap_add(&t.f.mem, &t.ram, 0, 0);
    t.dma = dma8237_create(&t.f.io, &t.f.mem, &t.f.log);
    t.a = disk_of(1440);
    t.b = disk_of(360);
    const struct fdc_wiring wiring = {
        .io = &t.f.io,
        .events = &t.f.queue,
        .log = &t.f.log,
        .irq = recorder_line(&t.irq),
        .dma = t.dma,
        .drive = {{FLOPPY_1440K, t.a}, {FLOPPY_360K, t.b}},
    };
    t.fdc = fdc_create(&wiring);
    device_add(&t.f.devices, dma8237_device(t.dma));
    device_add(&t.f.devices, fdc_device(t.fdc));
    device_reset_all(&t.f.devices, RESET_POWER_ON);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_free(&t.f);
    struct error err = {0};
    assert_true(blk_close(t.a, &err));
    assert_true(blk_close(t.b, &err));
    return 0;
}

static const uint8_t *sector(struct blk *blk, unsigned n)
{
    return blk_mem_data(blk) + n * 512;
}

/* ------------------------------------------------------------------ as software does it */

static void give(const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(in(MSR)&0xC0, 0x80);
        out(FIFO, bytes[i]);
    }
}

#define GIVE(...) give((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Waits for the results; how many there are. */
static unsigned results(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 1000 && !(in(MSR)&0x80); i++)
        step(MS);
    while ((in(MSR)&0xD0) == 0xD0)
        t.result[n++] = in(FIFO);
    if (n == 7)
        assert_int_equal(t.irq.level, 0);
    assert_int_equal(in(MSR)&0xF0, 0x80);
    return n;
}

static void expect(const uint8_t *bytes, unsigned n)
{
    assert_int_equal(results(), n);
    for (unsigned i = 0; i < n; i++)
        if (t.result[i] != bytes[i])
            fail_msg("result %u: %02x, not %02x", i, t.result[i], bytes[i]);
}

#define EXPECT(...) expect((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* SENSE INTERRUPT STATUS */
static void sense(unsigned st0, unsigned pcn)
{
    GIVE(8);
    EXPECT((uint8_t)st0, (uint8_t)pcn);
}

static void reset(void)
{
    out(DOR, 0);
    out(DOR, 0x3C); /* both motors, DMA, drive 0 */
    assert_int_equal(in(MSR), 0);
    step(MS);
    assert_int_equal(t.irq.level, 1);
    for (unsigned i = 0; i < 4; i++)
        sense(0xC0 | i, 0);
    assert_int_equal(t.irq.level, 0);
}

/* Reset, SPECIFY, high density. */
static void ready(void)
{
    out(0xD6, 0xC0); /* channel 4: cascade */
    out(0xD4, 0x00);
    reset();
    GIVE(3, 0xDF, 0x02);
    out(CCR, 0);
}

static void seek(unsigned drive, unsigned cylinder)
{
    GIVE(0x0F, (uint8_t)drive, (uint8_t)cylinder);
    step(100 * MS);
    assert_int_equal(t.irq.level, 1);
    sense(0x20 | drive, cylinder);
}

/* Channel 2, single mode: 44h to memory, 48h from it. */
static void program_dma(unsigned mode, unsigned count)
{
    out(0x0A, 6);
    out(0x0B, mode | 2);
    out(0x0C, 0);
    out(0x04, BUFFER & 0xFF);
    out(0x04, BUFFER >> 8 & 0xFF);
    out(0x81, BUFFER >> 16);
    out(0x05, (count - 1) & 0xFF);
    out(0x05, (count - 1) >> 8);
    out(0x0A, 2);
}

enum { TO_MEMORY = 0x44, FROM_MEMORY = 0x48 };

static void memory_is(const void *with, unsigned bytes)
{
    static uint8_t got[65536];
    memmap_dma_read(&t.f.mem, BUFFER, got, bytes);
    assert_memory_equal(got, with, bytes);
}

/* ------------------------------------------------------------------ resets, registers */

static void test_registers(void **state)
{
    (void)state;
    assert_int_equal(in(DOR), 0);
    assert_int_equal(in(MSR), 0); /* in reset */
    out(FIFO, 8);                 /* and deaf */
    reset();
    assert_int_equal(in(DOR), 0x3C);
    assert_int_equal(in(MSR), 0x80);
    GIVE(8); /* nothing to sense */
    EXPECT(0x80);
    out(TDR, 0xFF);
    assert_int_equal(in(TDR), 3);
    out(DSR, 0x80); /* the other reset */
    assert_int_equal(in(MSR), 0);
    step(MS);
    assert_int_equal(t.irq.level, 1);
    sense(0xC0, 0);
    assert_int_equal(t.irq.level, 0); /* one interrupt for all four */
    sense(0xC1, 0);
    sense(0xC2, 0);
    sense(0xC3, 0);
    GIVE(8);
    EXPECT(0x80);
    out(DOR, 0x34); /* DMAGATE off: no interrupt gets out */
    out(DSR, 0x80);
    step(MS);
    assert_int_equal(t.irq.level, 0);
    out(DOR, 0x3C);
    assert_int_equal(t.irq.level, 1);
    reset();
    /* Polling off: a reset says nothing. Forgotten with the reset, unless locked. */
    GIVE(0x13, 0, 0x10 | 0x57, 0x12);
    GIVE(0x94);
    EXPECT(0x10);
    out(DSR, 0x80);
    step(MS);
    assert_int_equal(t.irq.level, 0);
    GIVE(0x0E);
    assert_int_equal(results(), 10);
    assert_int_equal(t.result[7] & 0x80, 0x80);
    assert_int_equal(t.result[8], 0x57);
    assert_int_equal(t.result[9], 0x12);
    GIVE(0x14);
    EXPECT(0x00);
    out(DSR, 0x80);
    step(MS);
    assert_int_equal(t.irq.level, 1); /* the settings were gone: it polls again */
}

static void test_settings(void **state)
{
    (void)state;
    ready();
    GIVE(0x10);
    EXPECT(0x90); /* VERSION */
    static const uint8_t invalid[] = {0x00, 0x01, 0x0B, 0x17, 0x18, 0x1F,
                                      0x2E, 0x33, 0x4E, 0x8E, 0x30, 0x50};
    for (unsigned i = 0; i < sizeof invalid; i++) { /* PART ID among them, SAVE, OPTION */
        give(&invalid[i], 1);
        EXPECT(0x80);
    }
    GIVE(3, 0xAF, 0x1E);
    GIVE(0x13, 0, 0x5A, 0x34);
    GIVE(0x12, 0x80 | 0x14); /* PERPENDICULAR MODE: D0 and D2 */
    GIVE(0x12, 0x03);        /* without OW only GAP and WGATE */
    seek(1, 7);
    GIVE(0x0E);
    EXPECT(0, 7, 0, 0, 0xAF, 0x1E, 0, 0x17, 0x5A, 0x34);
    GIVE(4, 0); /* SENSE DRIVE STATUS */
    EXPECT(0x38);
    GIVE(4, 5);
    EXPECT(0x2D); /* head 1, drive 1, not at track 0 */
    GIVE(4, 2);
    EXPECT(0x2A); /* no drive: no track 0 */
    t.a->readonly = true;
    GIVE(4, 0);
    EXPECT(0x78);
}

static void test_seeks(void **state)
{
    (void)state;
    ready();
    GIVE(0x0F, 0, 40);
    assert_int_equal(in(MSR), 0x81); /* drive 0 seeks, commands are heard */
    GIVE(0x0F, 1, 10);
    assert_int_equal(in(MSR), 0x83);
    step(100 * MS);
    assert_int_equal(in(MSR), 0x83); /* until they are told of */
    sense(0x20, 40);
    assert_int_equal(in(MSR), 0x82);
    assert_int_equal(t.irq.level, 1);
    sense(0x21, 10);
    assert_int_equal(t.irq.level, 0);
    GIVE(0x0A | 0x40, 0);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[3], 40); /* really there */
    GIVE(0xCF, 0, 5);                  /* RELATIVE SEEK inwards */
    step(100 * MS);
    sense(0x20, 45);
    GIVE(0x8F, 0, 44);
    step(100 * MS);
    sense(0x20, 1);
    GIVE(7, 0);
    assert_int_equal(in(MSR), 0x81);
    step(100 * MS);
    sense(0x20, 0);
    GIVE(7, 2); /* no drive */
    step(100 * MS);
    sense(0x72, 0);
    GIVE(0x0F, 0, 83); /* beyond RECALIBRATE's 79 steps */
    step(100 * MS);
    sense(0x20, 83);
    GIVE(7, 0);
    step(100 * MS);
    sense(0x70, 0);
    GIVE(7, 0);
    step(100 * MS);
    sense(0x20, 0);
    GIVE(0x0F, 0, 20);
    out(DSR, 0x80); /* a reset forgets it */
    step(200 * MS);
    sense(0xC0, 20); /* what the controller believes */
}

/* ------------------------------------------------------------------ reading and writing */

static void test_read(void **state)
{
    (void)state;
    ready();
    seek(0, 2);
    program_dma(TO_MEMORY, 3 * 512);
    t.irq.rises = 0;
    GIVE(0xE6, 4, 2, 1, 5, 2, 18, 0x1B, 0xFF); /* MT MFM SK, head 1 */
    assert_int_equal(in(MSR), 0x10);
    step(100 * MS);
    assert_int_equal(in(MSR), 0xD0);
    assert_int_equal(t.irq.level, 1);
    assert_int_equal(t.irq.rises, 1);
    EXPECT(0x04, 0, 0, 2, 1, 8, 2); /* the sector behind */
    memory_is(sector(t.a, (2 * 2 + 1) * 18 + 4), 3 * 512);
    assert_int_equal(in(8) & 4, 4); /* terminal count */

    /* From side 0 over to side 1, and to the end of the cylinder exactly: next cylinder. */
    program_dma(TO_MEMORY, 20 * 512);
    GIVE(0xC6, 0, 2, 0, 17, 2, 18, 0x1B, 0xFF);
    EXPECT(0x04, 0, 0, 3, 0, 1, 2);
    memory_is(sector(t.a, 2 * 2 * 18 + 16), 20 * 512);
    /* One sector less, without MT. */
    program_dma(TO_MEMORY, 18 * 512);
    GIVE(0x46, 0, 2, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 3, 0, 1, 2);
    /* No terminal count: end of cylinder. */
    program_dma(TO_MEMORY, 60 * 512);
    GIVE(0x46, 0, 2, 0, 18, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x80, 0, 3, 0, 1, 2);
    /* In the middle of a sector. */
    program_dma(TO_MEMORY, 700);
    GIVE(0x46, 0, 2, 0, 3, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 2, 0, 5, 2);
    memory_is(sector(t.a, 2 * 2 * 18 + 2), 700);
    /* READ TRACK: from sector 1, as many as EOT says. */
    program_dma(TO_MEMORY, 4 * 512);
    GIVE(0x42, 0, 2, 0, 9, 2, 4, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 3, 0, 1, 2);
    memory_is(sector(t.a, 2 * 2 * 18), 4 * 512);
    /* READ DELETED DATA: nothing is deleted; the first sector comes with the mark, or is skipped.
     */
    program_dma(TO_MEMORY, 2 * 512);
    GIVE(0x4C, 0, 2, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0x40, 2, 0, 2, 2);
    GIVE(0x6C, 0, 2, 0, 17, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x80, 0x40, 3, 0, 1, 2);
    /* DMA that nobody programmed. */
    out(0x0A, 6);
    GIVE(0x46, 0, 2, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x10, 0, 2, 0, 1, 2);
}

static void test_write(void **state)
{
    (void)state;
    static uint8_t data[3 * 512];
    for (unsigned i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 11 >> 2);
    memmap_dma_write(&t.f.mem, BUFFER, data, sizeof data);
    ready();
    seek(0, 79);
    program_dma(FROM_MEMORY, sizeof data);
    GIVE(0xC5, 4, 79, 1, 16, 2, 18, 0x1B, 0xFF);
    EXPECT(0x04, 0, 0, 80, 0, 1, 2);
    assert_memory_equal(sector(t.a, 2877), data, sizeof data);
    program_dma(FROM_MEMORY, 100); /* the rest of the sector is zeros */
    GIVE(0x45, 0, 79, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 79, 0, 2, 2);
    assert_memory_equal(sector(t.a, 79 * 36), data, 100);
    for (unsigned i = 100; i < 512; i++)
        assert_int_equal(sector(t.a, 79 * 36)[i], 0);
    program_dma(FROM_MEMORY, 512); /* WRITE DELETED DATA: as data */
    GIVE(0x49, 0, 79, 0, 3, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 79, 0, 4, 2);
    assert_memory_equal(sector(t.a, 79 * 36 + 2), data, 512);
    t.a->readonly = true;
    program_dma(FROM_MEMORY, 512);
    GIVE(0x45, 0, 79, 0, 5, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x02, 0, 79, 0, 5, 2);
    GIVE(0x4D, 0, 2, 18, 0x6C, 0xF6);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[1], 0x02);
}

static void test_not_found(void **state)
{
    (void)state;
    ready();
    seek(0, 3);
    program_dma(TO_MEMORY, 512);
    GIVE(0x46, 0, 4, 0, 1, 2, 18, 0x1B, 0xFF); /* another cylinder */
    EXPECT(0x40, 0x04, 0x10, 4, 0, 1, 2);
    GIVE(0x46, 0, 0xFF, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x04, 0x12, 0xFF, 0, 1, 2);
    GIVE(0x46, 0, 3, 1, 1, 2, 18, 0x1B, 0xFF); /* another head in the ID */
    EXPECT(0x40, 0x04, 0, 3, 1, 1, 2);
    GIVE(0x46, 0, 3, 0, 19, 2, 18, 0x1B, 0xFF); /* sector */
    EXPECT(0x40, 0x04, 0, 3, 0, 19, 2);
    GIVE(0x46, 0, 3, 0, 0, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x04, 0, 3, 0, 0, 2);
    GIVE(0x46, 0, 3, 0, 1, 3, 18, 0x1B, 0xFF); /* size */
    EXPECT(0x40, 0x04, 0, 3, 0, 1, 3);
    GIVE(0x06, 0, 3, 0, 1, 2, 18, 0x1B, 0xFF); /* FM */
    EXPECT(0x40, 0x01, 0, 3, 0, 1, 2);
    out(CCR, 2); /* data rate */
    GIVE(0x46, 0, 3, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x01, 0, 3, 0, 1, 2);
    GIVE(0x4A, 0);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[0] | t.result[1] << 8, 0x0140);
    out(DSR, 0); /* is the same two bits */
    GIVE(0x4A, 4);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[0] | t.result[1] << 8, 0x0004);
    assert_int_equal(t.result[3], 3);
    assert_int_equal(t.result[4], 1);
    assert_in_range(t.result[5], 1, 18);
    assert_int_equal(t.result[6], 2);
    out(DOR, 0x2C); /* motor off */
    GIVE(0x4A, 0);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[1], 0x01);
    out(DOR, 0x3C);
    GIVE(0x4A, 2); /* no drive */
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[0] | t.result[1] << 8, 0x0142);
    seek(0, 81); /* beyond the last track */
    GIVE(0x4A, 0);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[1], 0x01);
}

static void test_implied_seek(void **state)
{
    (void)state;
    ready();
    GIVE(0x13, 0, 0x57, 0);
    program_dma(TO_MEMORY, 512);
    GIVE(0x46, 0, 30, 0, 2, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 30, 0, 3, 2);
    memory_is(sector(t.a, 30 * 36 + 1), 512);
    GIVE(0x0E);
    assert_int_equal(results(), 10);
    assert_int_equal(t.result[0], 30);
}

static void test_verify_and_scan(void **state)
{
    (void)state;
    static uint8_t data[512];
    ready();
    GIVE(0x56, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF); /* VERIFY up to EOT */
    EXPECT(0x00, 0, 0, 1, 0, 1, 2);
    GIVE(0x56, 0x80, 0, 0, 1, 2, 18, 0x1B, 5); /* EC: five sectors */
    EXPECT(0x00, 0, 0, 0, 0, 6, 2);

    memcpy(data, sector(t.a, 4), 512);
    memset(data + 100, 0xFF, 50); /* equal to everything */
    memmap_dma_write(&t.f.mem, BUFFER, data, 512);
    program_dma(FROM_MEMORY | 0x10, 512); /* autoinit: the same for each sector */
    GIVE(0x51, 0, 0, 0, 5, 2, 18, 0x1B, 1);
    EXPECT(0x00, 0, 0x08, 0, 0, 6, 2);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x51, 0, 0, 0, 6, 2, 18, 0x1B, 1); /* not met when the count ends */
    EXPECT(0x00, 0, 0x04, 0, 0, 7, 2);
    memset(blk_mem_data(t.a) + 8 * 512, 5, 512);
    memset(data, 9, 512);
    memmap_dma_write(&t.f.mem, BUFFER, data, 512);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x59, 0, 0, 0, 9, 2, 18, 0x1B, 1); /* low: 5 is below 9 */
    EXPECT(0x00, 0, 0x00, 0, 0, 10, 2);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x5D, 0, 0, 0, 9, 2, 18, 0x1B, 1); /* high: it is not above */
    EXPECT(0x00, 0, 0x04, 0, 0, 10, 2);
    memset(data, 3, 512);
    memmap_dma_write(&t.f.mem, BUFFER, data, 512);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x5D, 0, 0, 0, 9, 2, 18, 0x1B, 2);
    EXPECT(0x00, 0, 0x00, 0, 0, 11, 2);
}

static void test_format(void **state)
{
    (void)state;
    uint8_t id[18][4];
    ready();
    seek(0, 5);
    for (unsigned i = 0; i < 18; i++) {
        id[i][0] = 5;
        id[i][1] = 1;
        id[i][2] = (uint8_t)(i * 7 % 18 + 1); /* interleaved */
        id[i][3] = 2;
    }
    memmap_dma_write(&t.f.mem, BUFFER, id, sizeof id);
    program_dma(FROM_MEMORY, sizeof id);
    GIVE(0x4D, 4, 2, 18, 0x6C, 0xF6);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[0], 0x04);
    assert_int_equal(t.result[1] | t.result[2], 0);
    for (unsigned i = 0; i < 18 * 512; i++)
        assert_int_equal(sector(t.a, 5 * 36 + 18)[i], 0xF6);
    assert_int_equal(sector(t.a, 5 * 36 + 17)[1],
                     (uint8_t)((5 * 36 + 17) * 5 + 3 + (5 * 36 + 17) * 512 / 131072));
    id[3][3] = 3; /* what no image can hold */
    memmap_dma_write(&t.f.mem, BUFFER, id, sizeof id);
    program_dma(FROM_MEMORY, sizeof id);
    GIVE(0x4D, 4, 2, 18, 0x6C, 0xF6);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[0] & 0xC0, 0x40);
    assert_int_equal(t.f.log.unimp, 1);
}

static void test_without_dma(void **state)
{
    (void)state;
    ready();
    GIVE(3, 0xDF, 0x03); /* ND */
    t.irq.rises = 0;
    GIVE(0x46, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF);
    assert_int_equal(in(MSR), 0x30);
    for (unsigned i = 0; i < 1024; i++) {
        for (unsigned wait = 0; !(in(MSR)&0x80) && wait < 50; wait++)
            step(MS);
        assert_int_equal(in(MSR), 0xF0);
        assert_int_equal(t.irq.level, 1);
        assert_int_equal(in(FIFO), sector(t.a, 16)[i]);
    }
    assert_int_equal(t.irq.level,
                     1); /* the result: there is no TC, so it is the end of the track */
    EXPECT(0x40, 0x80, 0, 1, 0, 1, 2);
    assert_int_equal(t.irq.rises, 1024 + 1);

    GIVE(0x45, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF);
    step(MS);
    assert_int_equal(in(MSR), 0xB0);
    for (unsigned i = 0; i < 512; i++)
        out(FIFO, i & 0xFF);
    EXPECT(0x40, 0x80, 0, 1, 0, 1, 2);
    for (unsigned i = 0; i < 512; i++)
        assert_int_equal(sector(t.a, 17)[i], i & 0xFF);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF); /* given up in the middle */
    step(MS);
    in(FIFO);
    out(DSR, 0x80);
    step(MS);
    sense(0xC0, 0);
}

/* ------------------------------------------------------------------ disks */

static void test_other_drive(void **state)
{
    (void)state;
    ready();
    seek(1, 39);
    program_dma(TO_MEMORY, 512);
    GIVE(0x46, 5, 39, 1, 9, 2, 9, 0x2A, 0xFF);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[1], 0x01); /* at 500 kbit/s nothing can be read of it */
    out(CCR, 2);
    GIVE(0x46, 5, 39, 1, 9, 2, 9, 0x2A, 0xFF);
    EXPECT(0x05, 0, 0, 40, 1, 1, 2);
    memory_is(sector(t.b, 719), 512);
}

static void test_change(void **state)
{
    (void)state;
    ready();
    assert_int_equal(in(CHANGE), 0x80); /* since power-on */
    seek(0, 1);
    assert_int_equal(in(CHANGE), 0x00);
    out(DOR, 0x3D);
    assert_int_equal(in(CHANGE), 0x80); /* drive 1's */
    out(DOR, 0x3E);
    assert_int_equal(in(CHANGE), 0x00); /* nobody's */
    out(DOR, 0x3C);
    assert_ptr_equal(fdc_change_disk(t.fdc, 0, NULL), t.a);
    assert_int_equal(in(CHANGE), 0x80);
    GIVE(7, 0);
    step(100 * MS);
    sense(0x20, 0);
    assert_int_equal(in(CHANGE), 0x80); /* as long as there is none */
    program_dma(TO_MEMORY, 512);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x01, 0, 0, 0, 1, 2);
    struct blk *small = disk_of(720); /* a 1.44M drive takes it */
    assert_null(fdc_change_disk(t.fdc, 0, small));
    assert_int_equal(in(CHANGE), 0x80);
    seek(0, 1);
    assert_int_equal(in(CHANGE), 0x00);
    out(CCR, 2);
    GIVE(0x46, 0, 1, 0, 9, 2, 9, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 2, 0, 1, 2);
    memory_is(sector(small, 26), 512);
    /* While a transfer runs: the rest of it finds nothing. */
    program_dma(TO_MEMORY, 5 * 512);
    GIVE(0x46, 0, 1, 0, 1, 2, 9, 0x1B, 0xFF);
    step(MS);
    assert_ptr_equal(fdc_change_disk(t.fdc, 0, NULL), small);
    assert_int_equal(results(), 7);
    assert_int_equal(t.result[0] | t.result[1] << 8, 0x0140);
    struct error err = {0};
    assert_true(blk_close(small, &err));
    fdc_change_disk(t.fdc, 0, t.a);
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        unsigned kib;
        enum floppy_type home;
        unsigned cylinders, heads, per_track;
    } rows[] = {
        {160, FLOPPY_360K, 40, 1, 8},    {180, FLOPPY_360K, 40, 1, 9},
        {320, FLOPPY_360K, 40, 2, 8},    {360, FLOPPY_360K, 40, 2, 9},
        {720, FLOPPY_720K, 80, 2, 9},    {1200, FLOPPY_1200K, 80, 2, 15},
        {1440, FLOPPY_1440K, 80, 2, 18}, {1680, FLOPPY_1440K, 80, 2, 21},
        {1722, FLOPPY_1440K, 82, 2, 21}, {2880, FLOPPY_2880K, 80, 2, 36},
    };
    bool exact;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct floppy_format *f = floppy_format(rows[i].kib * KiB, FLOPPY_NONE, &exact);
        assert_true(exact);
        assert_int_equal(floppy_home(f), rows[i].home);
        assert_int_equal(f->cylinders, rows[i].cylinders);
        assert_int_equal(f->heads, rows[i].heads);
        assert_int_equal(f->per_track, rows[i].per_track);
        assert_int_equal(f->cylinders * f->heads * f->per_track, f->sectors);
        assert_int_equal(f->sectors, rows[i].kib * 2);
    }
    const struct floppy_format *f = floppy_format(512, FLOPPY_NONE, &exact);
    assert_false(exact);
    assert_int_equal(f->sectors, 2880);
    assert_int_equal(floppy_format(1440 * KiB + 512, FLOPPY_NONE, &exact)->sectors, 5760);
    assert_null(floppy_format(2880 * KiB + 512, FLOPPY_NONE, &exact));
    assert_int_equal(floppy_format(512, FLOPPY_360K, &exact)->sectors, 720);
    assert_null(floppy_format(1200 * KiB, FLOPPY_1440K, &exact)); /* of another drive */
    assert_null(floppy_format(2880 * KiB, FLOPPY_1440K, &exact));
    /* 360K in a 1.2M drive: the bits are faster, and there are two steps to a cylinder. */
    f = floppy_format(360 * KiB, FLOPPY_1200K, &exact);
    assert_int_equal(floppy_rate(f, FLOPPY_1200K), RATE_300);
    assert_int_equal(floppy_rate(f, FLOPPY_360K), RATE_250);
    assert_int_equal(floppy_steps(f, FLOPPY_1200K), 2);
    assert_int_equal(floppy_steps(f, FLOPPY_360K), 1);
}

/* An image that ends before the disk: zeros behind it, which cannot be written. */
static void test_short_image(void **state)
{
    (void)state;
    static const uint8_t zeros[512];
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    struct blk *boot = blk_mem_create(1024, &host);
    memset(blk_mem_data(boot), 0x77, 1024);
    ready();
    fdc_change_disk(t.fdc, 0, boot);
    program_dma(TO_MEMORY, 3 * 512);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 0, 0, 4, 2);
    memory_is(blk_mem_data(boot), 1024);
    static uint8_t got[512];
    memmap_dma_read(&t.f.mem, BUFFER + 1024, got, 512);
    assert_memory_equal(got, zeros, 512);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x45, 0, 0, 0, 2, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 0, 0, 3, 2);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x45, 0, 0, 0, 3, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x02, 0, 0, 0, 3, 2);
    fdc_change_disk(t.fdc, 0, t.a);
    struct error err = {0};
    assert_true(blk_close(boot, &err));
}

static int failing(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned n)
{
    (void)d, (void)offset, (void)iov, (void)n;
    return EIO;
}

static void nothing(struct blk_driver *d)
{
    (void)d;
}

static void test_host_errors(void **state)
{
    (void)state;
    static const struct blk_driver_ops ops = {
        .read = failing, .write = failing, .close = nothing, .instant = true};
    static struct blk_driver driver = {.ops = &ops, .size_bytes = 1440 * KiB};
    const struct blk_host host = {.events = &t.f.queue, .log = &t.f.log};
    struct blk *bad = blk_create(&driver, "failing", &host);
    ready();
    fdc_change_disk(t.fdc, 0, bad);
    program_dma(TO_MEMORY, 512);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x20, 0x20, 0, 0, 1, 2);
    program_dma(FROM_MEMORY, 512);
    GIVE(0x45, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x40, 0x20, 0x20, 0, 0, 1, 2);
    fdc_change_disk(t.fdc, 0, t.a);
    struct error err = {0};
    assert_true(blk_close(bad, &err));
}

/* ------------------------------------------------------------------ state, chaos */

static void disturb(void *opaque)
{
    (void)opaque;
    step(20 * MS);
    results();
    seek(1, 30);
    GIVE(3, 1, 2);
}

static void test_state(void **state)
{
    (void)state;
    ready();
    seek(0, 2);
    program_dma(TO_MEMORY, 4 * 512);
    GIVE(0x46, 0, 2, 0, 1, 2, 18, 0x1B, 0xFF);
    step(MS);
    blk_drain(t.a);
    fixture_check_round_trip(&t.f, disturb, NULL);
    fdc_device(t.fdc)->ops->reset_lines(fdc_device(t.fdc));
    EXPECT(0x00, 0, 0, 2, 0, 5, 2); /* and goes on where it was */
    memory_is(sector(t.a, 72), 4 * 512);
}

static void random_access(uint64_t *seed)
{
    static const uint8_t opcodes[] = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09,
                                      0x0A, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x11, 0x12,
                                      0x13, 0x14, 0x16, 0x19, 0x1D, 0x8F, 0xCF, 0x94};
    const uint32_t r = fixture_random(seed), v = fixture_random(seed);
    switch (r & 7) {
    case 0:
        out(0x3F2 + (r >> 8) % 6, v & 0xFF);
        break;
    case 1:
        in(0x3F2 + (r >> 8) % 6);
        break;
    case 2: /* a whole command that may even make sense */
        out(DOR, 0x3C | (v & 1));
        out(FIFO, opcodes[v % sizeof opcodes] | (v >> 24 & 0xC0));
        for (unsigned i = 0; i < 8; i++)
            out(FIFO, i == 4 ? 2 : fixture_random(seed) % (i == 0 ? 8 : 20));
        break;
    case 3:
        program_dma(v & 1 ? TO_MEMORY : FROM_MEMORY, (v >> 8) % 8192 + 1);
        break;
    case 4:
        for (unsigned i = 0; i < v % 600; i++)
            in(FIFO);
        break;
    case 5:
        for (unsigned i = 0; i < v % 600; i++)
            out(FIFO, i);
        break;
    case 6:
        if ((v & 0x3F) == 0)
            fdc_change_disk(t.fdc, v >> 8 & 1, v >> 9 & 1 ? v >> 8 & 1 ? t.b : t.a : NULL);
        break;
    default:
        step(v % (5 * MS));
        break;
    }
}

static void test_chaos(void **state)
{
    (void)state;
    uint64_t seed = test_seed(6);
    for (unsigned round = 0; round < 200000; round++) {
        random_access(&seed);
        if (round % 5000 == 0) {
            struct state s;
            blk_drain(t.a);
            blk_drain(t.b);
            fixture_save(&t.f, &s);
            state_free(&s);
        }
    }
    device_reset_all(&t.f.devices, RESET_HARD);
    fdc_change_disk(t.fdc, 0, t.a);
    step(100 * MS);
    out(0xD6, 0xC0);
    out(0xD4, 0x00);
    out(DOR, 0);
    out(DOR, 0x3C);
    step(MS);
    for (unsigned i = 0; i < 4; i++) {
        GIVE(8);
        results();
    }
    for (unsigned i = 0; i < 2; i++) { /* from wherever the heads are */
        GIVE(7, 0);
        step(100 * MS);
        GIVE(8);
        results();
    }
    GIVE(3, 0xDF, 0x02);
    out(CCR, 0);
    program_dma(TO_MEMORY, 512);
    GIVE(0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF);
    EXPECT(0x00, 0, 0, 0, 0, 2, 2);
    memory_is(sector(t.a, 0), 512);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_registers), T(test_settings),    T(test_seeks),        T(test_read),
        T(test_write),     T(test_not_found),   T(test_implied_seek), T(test_verify_and_scan),
        T(test_format),    T(test_without_dma), T(test_other_drive),  T(test_change),
        T(test_formats),   T(test_short_image), T(test_host_errors),  T(test_state),
        T(test_chaos),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
