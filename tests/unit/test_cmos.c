/* The bytes that firmware reads from battery-backed memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/cmos.h"

static uint8_t cmos[128];
static bool written[128];

static void set(void *opaque, uint8_t index, uint8_t value)
{
    assert_ptr_equal(opaque, cmos);
    assert_in_range(index, 0x10, 0x7f); /* the clock's registers are not ours */
    assert_int_not_equal(index, 0x32);
    cmos[index] = value;
    written[index] = true;
}

static const uint8_t no_floppies[CONFIG_MAX_FLOPPY];

static void fill(uint64_t ram_bytes, const char *order, unsigned smp)
{
    memset(cmos, 0xee, sizeof cmos);
    memset(written, 0, sizeof written);
    struct vm_config cfg = {.ram_bytes = ram_bytes, .smp = smp, .boot_order = (char *)order};
    bios_fill_cmos(&cfg, no_floppies, set, cmos);
}

static void test_memory(void **state)
{
    (void)state;
    static const struct {
        uint64_t ram;
        unsigned base, extended, above_16m, above_4g;
    } cases[] = {
        {MiB, 640, 0, 0, 0},
        {16 * MiB, 640, 15 * 1024, 0, 0},
        {128 * MiB, 640, 0xffff, 0x700, 0},
        {3 * GiB + 511 * MiB, 640, 0xffff, 0xdef0, 0},
        {3 * GiB + 512 * MiB, 640, 0xffff, 0xbf00, 0x2000},
        {64 * GiB, 640, 0xffff, 0xbf00, 0xf4000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        fill(cases[i].ram, NULL, 1);
        assert_int_equal(ld16(cmos + 0x15), cases[i].base);
        assert_int_equal(ld16(cmos + 0x17), cases[i].extended);
        assert_int_equal(ld16(cmos + 0x30), cases[i].extended);
        assert_int_equal(ld16(cmos + 0x34), cases[i].above_16m);
        assert_int_equal(ld16(cmos + 0x5b) | (unsigned)cmos[0x5d] << 16, cases[i].above_4g);
    }
}

static void test_boot_order(void **state)
{
    (void)state;
    static const struct {
        const char *order;
        unsigned flags_1, flags_2;
    } cases[] = {{NULL, 0x30, 0x12},   {"c", 0x00, 0x02}, {"dc", 0x00, 0x23},
                 {"ndca", 0x20, 0x34}, {"", 0, 0},        {"xc", 0, 2}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        fill(128 * MiB, cases[i].order, 3);
        assert_int_equal(cmos[0x38], cases[i].flags_1);
        assert_int_equal(cmos[0x3d], cases[i].flags_2);
        assert_int_equal(cmos[0x5f], 2);
        assert_int_equal(cmos[0x10], 0);
        assert_int_equal(cmos[0x14], 0x06);
    }
}

/* -boot once= holds until the order is set anew. */
static void test_boot_once(void **state)
{
    (void)state;
    struct vm_config cfg = {
        .ram_bytes = MiB, .smp = 1, .boot_order = (char *)"c", .boot_once = (char *)"da"};
    bios_fill_cmos(&cfg, no_floppies, set, cmos);
    assert_int_equal(cmos[0x3d], 0x13);
    assert_int_equal(cmos[0x38], 0x00);
    bios_fill_boot_order(&cfg, cfg.boot_order, set, cmos);
    assert_int_equal(cmos[0x3d], 0x02);
    cfg.no_fd_bootchk = true;
    bios_fill_boot_order(&cfg, NULL, set, cmos);
    assert_int_equal(cmos[0x3d], 0x12);
    assert_int_equal(cmos[0x38], 0x31);
}

static void test_floppies(void **state)
{
    (void)state;
    static const struct {
        uint8_t type[2], types, equipment;
    } cases[] = {
        {{0, 0}, 0x00, 0x06}, {{4, 0}, 0x40, 0x07}, {{4, 2}, 0x42, 0x47}, {{0, 5}, 0x05, 0x07}};
    struct vm_config cfg = {.ram_bytes = MiB, .smp = 1};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        bios_fill_cmos(&cfg, cases[i].type, set, cmos);
        assert_int_equal(cmos[0x10], cases[i].types);
        assert_int_equal(cmos[0x14], cases[i].equipment);
    }
}

static void test_disks(void **state)
{
    (void)state;
    memset(cmos, 0xee, sizeof cmos);
    struct bios_disk none[CONFIG_MAX_IDE] = {0};
    bios_fill_cmos_disks(none, set, cmos);
    assert_int_equal(cmos[0x12], 0);
    assert_int_equal(cmos[0x39], 0);

    struct bios_disk some[CONFIG_MAX_IDE] = {{135, 16, 63}, {16383, 16, 63}, {0}, {1025, 16, 63}};
    bios_fill_cmos_disks(some, set, cmos);
    assert_int_equal(cmos[0x12], 0xff);
    assert_int_equal(cmos[0x39], 0x44); /* hdb and hdd by blocks */
    assert_int_equal(cmos[0x19], 47);
    assert_int_equal(cmos[0x1a], 47);
    assert_memory_equal(cmos + 0x1b, "\x87\0\x10\xff\xff\xc8\x87\0\x3f", 9);
    assert_memory_equal(cmos + 0x24, "\xff\x3f\x10\xff\xff\xc8\xff\x3f\x3f", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_boot_order),
        cmocka_unit_test(test_boot_once), cmocka_unit_test(test_floppies),
        cmocka_unit_test(test_disks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
