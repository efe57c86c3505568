/* Finding and loading firmware images, and every way in which one can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/rom.h"
#include "skip.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/vitrine-rom-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t len)
{
    FILE *f = fopen(path_of(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static struct ram ram_of(uint64_t bytes)
{
    struct ram ram;
    struct error err = {0};
    assert_true(ram_create(&ram, bytes, &err));
    return ram;
}

static void bios_fails(const char *path, const char *why)
{
    struct ram ram = ram_of(MiB);
    struct vm_config cfg = {.bios = (char *)path};
    struct rom rom;
    struct error err = {0};
    assert_false(rom_load_bios(&cfg, &ram, &rom, &err));
    if (!strstr(err.msg, why))
        fail_msg("'%s' has no '%s'", err.msg, why);
    assert_null(strchr(err.msg, '\n'));
    ram_destroy(&ram);
}

static void test_bios(void **state)
{
    (void)state;
    static uint8_t image[128 * KiB];
    struct ram ram = ram_of(MiB);
    struct rom rom;
    struct error err = {0};
    image[0] = 0x11;
    image[sizeof image - 1] = 0x99;
    write_file("a.bin", image, sizeof image);

    struct vm_config cfg = {.bios = (char *)path_of("a.bin")};
    assert_true(rom_load_bios(&cfg, &ram, &rom, &err));
    assert_int_equal(rom.size_bytes, sizeof image);
    assert_memory_equal(ram_host(&ram, rom.at), image, sizeof image);

    struct vm_config by_name = {.bios = "a.bin", .data_dir = {dir}, .data_dirs = 1};
    assert_true(rom_load_bios(&by_name, &ram, &rom, &err));
    assert_int_equal(rom.at, sizeof image);
    ram_destroy(&ram);

    bios_fails("no-such-firmware.bin", "seabios");
    bios_fails("/no/such/file", "No such file");
    bios_fails("/tmp", "not a regular file");
    write_file("a.bin", image, sizeof image - 1);
    bios_fails(path_of("a.bin"), "multiple of 64 KiB");
    write_file("a.bin", image, 0);
    bios_fails(path_of("a.bin"), "multiple of 64 KiB");
    assert_int_equal(truncate(path_of("a.bin"), 17 * 1024 * 1024), 0);
    bios_fails(path_of("a.bin"), "too many");
    assert_int_equal(truncate(path_of("a.bin"), 2 * 1024 * 1024), 0);
    bios_fails(path_of("a.bin"), "no room");
    unlink(path_of("a.bin"));
}

static void option_fails(const uint8_t *image, size_t len, const char *why)
{
    const char *got = NULL;
    assert_false(rom_check_option(image, len, &got));
    assert_non_null(strstr(got, why));
}

static void test_option(void **state)
{
    (void)state;
    uint8_t image[3 * 512 + 7] = {0x55, 0xaa, 3};
    const char *why;
    option_fails(image, sizeof image, "checksum");
    image[100] = (uint8_t)(0 - 0x55 - 0xaa - 3);
    assert_true(rom_check_option(image, sizeof image, &why));
    option_fails(image, 3 * 512 - 1, "length");
    image[2] = 0;
    option_fails(image, sizeof image, "length");
    image[2] = 3;
    image[1] = 0;
    option_fails(image, sizeof image, "55h");
    option_fails(image, 2, "55h");
    image[1] = 0xaa;

    struct ram ram = ram_of(MiB);
    struct rom rom;
    struct error err = {0};
    struct vm_config cfg = {.data_dir = {dir}, .data_dirs = 1};
    write_file("o.bin", image, sizeof image);
    assert_true(rom_load_option(&cfg, "o.bin", &ram, &rom, &err));
    assert_int_equal(rom.size_bytes, 2 * KiB); /* a power of two, zeros behind the image */
    assert_memory_equal(ram_host(&ram, rom.at), image, sizeof image);
    assert_int_equal(ram_host(&ram, rom.at)[sizeof image], 0);
    image[7]++;
    write_file("o.bin", image, sizeof image);
    assert_false(rom_load_option(&cfg, "o.bin", &ram, &rom, &err));
    assert_non_null(strstr(err.msg, "o.bin': its checksum"));
    unlink(path_of("o.bin"));
    ram_destroy(&ram);
}

/* Debian's images, where they are installed. */
static void test_stock_images(void **state)
{
    (void)state;
    struct ram ram = ram_of(4 * MiB);
    struct rom rom;
    struct error err = {0};
    struct vm_config cfg = {0};
    if (access("/usr/share/seabios/bios-256k.bin", R_OK) != 0) {
        ram_destroy(&ram);
        SKIP("SeaBIOS is not installed");
    }
    cfg.bios = "bios-256k.bin";
    assert_true(rom_load_bios(&cfg, &ram, &rom, &err));
    assert_int_equal(rom.size_bytes, 256 * KiB);
    assert_int_equal(ram_host(&ram, rom.at)[rom.size_bytes - 16],
                     0xea); /* the reset vector's jump */
    assert_true(rom_load_option(&cfg, ROM_DEFAULT_VGA, &ram, &rom, &err));
    assert_int_equal(rom.size_bytes, 64 * KiB);
    ram_destroy(&ram);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bios),
        cmocka_unit_test(test_option),
        cmocka_unit_test(test_stock_images),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
