/* -kernel: taking a kernel image apart by the Linux boot protocol, and the option ROM it ends in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/linuxboot.h"
#include "bios/linuxboot_rom.h"
#include "bios/rom.h"
#include "skip.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/vitrine-linux-XXXXXX";
static char kernel_path[64], initrd_path[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(kernel_path, sizeof kernel_path, "%s/kernel", dir);
    snprintf(initrd_path, sizeof initrd_path, "%s/initrd", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(kernel_path);
    unlink(initrd_path);
    return rmdir(dir);
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

/* Four sectors of setup, then 100 KiB of kernel. */
enum { SETUP_BYTES = 4 * 512, KERNEL_BYTES = 100 * 1024 };
static uint8_t image[SETUP_BYTES + KERNEL_BYTES];

static void make_image(uint16_t version, bool high)
{
    memset(image, 0x11, SETUP_BYTES);
    memset(image + SETUP_BYTES, 0x22, KERNEL_BYTES);
    image[0x1f1] = 3;
    memcpy(image + 0x202, "HdrS", 4);
    st16(image + 0x206, version);
    image[0x211] = high;
    st32(image + 0x22c, 0x7fffffff);
    st32(image + 0x238, 100);
}

struct rig {
    struct iomap io;
    struct device_list devices;
    struct fwcfg *fw;
};

static void rig_create(struct rig *rig)
{
    assert_true(iomap_create(&rig->io, NULL));
    device_list_init(&rig->devices);
    rig->fw = fwcfg_create(&rig->devices, &(struct fwcfg_config){&rig->io, NULL, NULL});
    assert_non_null(rig->fw);
}

static void rig_destroy(struct rig *rig)
{
    device_destroy_all(&rig->devices);
    iomap_destroy(&rig->io);
}

static uint32_t number(struct rig *rig, uint16_t key)
{
    size_t len;
    const void *p = fwcfg_item(rig->fw, key, &len);
    assert_non_null(p);
    assert_int_equal(len, 4);
    return ld32(p);
}

static const uint8_t *data(struct rig *rig, uint16_t key, size_t want_len)
{
    size_t len;
    const uint8_t *p = fwcfg_item(rig->fw, key, &len);
    assert_int_equal(len, want_len);
    return p;
}

/* What the guest reads of it, through the data port. */
static void check_read(struct rig *rig, uint16_t key, const uint8_t *want, size_t len)
{
    static uint8_t got[KERNEL_BYTES + 1];
    assert_true(len < sizeof got);
    got[len] = 0xee;
    iomap_write(&rig->io, 0x510, key, 2);
    for (size_t done = 0; done <= len;)
        done += iomap_read_bulk(&rig->io, 0x511, 1, got + done, (unsigned)(len + 1 - done));
    assert_memory_equal(got, want, len);
    assert_int_equal(got[len], 0); /* nothing behind it */
}

static struct vm_config config(const char *append, bool initrd)
{
    return (struct vm_config){
        .kernel = kernel_path, .append = (char *)append, .initrd = initrd ? initrd_path : NULL};
}

static bool take(struct fwcfg *fw, const struct vm_config *cfg, uint64_t below_4g,
                 struct error *err)
{
    const char *path = kernel_setup(fw, cfg, below_4g, err);
    if (path)
        assert_string_equal(path, LINUXBOOT_BOOT_PATH);
    return path != NULL;
}

static void test_bzimage(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    static const uint8_t initrd[5000] = {7};
    make_image(0x20f, true);
    write_file(kernel_path, image, sizeof image);
    write_file(initrd_path, initrd, sizeof initrd);
    rig_create(&rig);
    struct vm_config cfg = config("console=ttyS0 vga=0x317", true);
    assert_true(take(rig.fw, &cfg, 128 * MiB, &err));

    uint32_t setup_addr = number(&rig, FWCFG_SETUP_ADDR), cl = number(&rig, FWCFG_CMDLINE_ADDR);
    assert_int_equal(setup_addr, 0x10000);
    assert_int_equal(number(&rig, FWCFG_SETUP_SIZE), SETUP_BYTES);
    assert_int_equal(number(&rig, FWCFG_KERNEL_ADDR), 0x100000);
    assert_int_equal(number(&rig, FWCFG_KERNEL_SIZE), KERNEL_BYTES);
    check_read(&rig, FWCFG_KERNEL_DATA, image + SETUP_BYTES, KERNEL_BYTES);
    assert_int_equal(number(&rig, FWCFG_CMDLINE_SIZE), 24);
    assert_string_equal((const char *)data(&rig, FWCFG_CMDLINE_DATA, 24),
                        "console=ttyS0 vga=0x317");

    uint32_t at = number(&rig, FWCFG_INITRD_ADDR);
    assert_int_equal(at % 4096, 0);
    assert_true(at + sizeof initrd <= 128 * MiB - 256 * KiB);
    check_read(&rig, FWCFG_INITRD_DATA, initrd, sizeof initrd);
    check_read(&rig, FWCFG_INITRD_DATA, initrd, sizeof initrd); /* as after a reset */
    assert_null(data(&rig, FWCFG_KERNEL_DATA, KERNEL_BYTES));   /* no copies of them */
    assert_null(data(&rig, FWCFG_INITRD_DATA, sizeof initrd));

    const uint8_t *setup = data(&rig, FWCFG_SETUP_DATA, SETUP_BYTES);
    assert_int_equal(setup[0x210], 0xff);
    assert_int_equal(setup[0x211], 0x81);
    assert_int_equal(ld32(setup + 0x228), cl);
    assert_int_equal(ld32(setup + 0x218), at);
    assert_int_equal(ld32(setup + 0x21c), sizeof initrd);
    assert_int_equal(ld16(setup + 0x224), cl - setup_addr - 0x200);
    assert_int_equal(ld16(setup + 0x1fa), 0x317);
    assert_int_equal(setup[0x1ff], 0x11); /* the rest is as it was */

    size_t len;
    const char *why;
    const uint8_t *rom = fwcfg_file(rig.fw, LINUXBOOT_ROM_FILE, &len);
    assert_true(rom_check_option(rom, len, &why));
    rig_destroy(&rig);
}

/* Longer than what is read at the start; every byte comes from its place. */
static void test_large_kernel(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    static uint8_t large[SETUP_BYTES + 2 * KERNEL_HEAD_BYTES], got[2 * KERNEL_HEAD_BYTES];
    make_image(0x20f, true);
    memcpy(large, image, SETUP_BYTES);
    for (size_t i = SETUP_BYTES; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7 >> 3);
    write_file(kernel_path, large, sizeof large);
    rig_create(&rig);
    struct vm_config cfg = config(NULL, false);
    assert_true(take(rig.fw, &cfg, 128 * MiB, &err));
    assert_int_equal(number(&rig, FWCFG_KERNEL_SIZE), sizeof got);
    iomap_write(&rig.io, 0x510, FWCFG_KERNEL_DATA, 2);
    for (size_t done = 0; done < sizeof got;)
        done += iomap_read_bulk(&rig.io, 0x511, 1, got + done, (unsigned)(sizeof got - done));
    assert_memory_equal(got, large + SETUP_BYTES, sizeof got);
    rig_destroy(&rig);
}

static void test_old_images(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    make_image(0x201, false); /* a zImage */
    image[0x1f1] = 0;         /* which means 4 */
    write_file(kernel_path, image, sizeof image);
    rig_create(&rig);
    struct vm_config cfg = config("foo.vga=1 vga=ask", false);
    assert_true(take(rig.fw, &cfg, 16 * MiB, &err));
    assert_int_equal(number(&rig, FWCFG_SETUP_ADDR), 0x90000);
    assert_int_equal(number(&rig, FWCFG_SETUP_SIZE), 5 * 512);
    assert_int_equal(number(&rig, FWCFG_KERNEL_ADDR), 0x10000);
    const uint8_t *setup = data(&rig, FWCFG_SETUP_DATA, 5 * 512);
    assert_int_equal(ld16(setup + 0x20), 0xa33f);
    assert_int_equal(ld16(setup + 0x22), 0x8000);
    assert_int_equal(ld16(setup + 0x1fa), 0xfffd);
    size_t len;
    assert_null(fwcfg_item(rig.fw, FWCFG_INITRD_ADDR, &len));
    rig_destroy(&rig);

    /* No initrd_addr_max before 2.03: below 38000000h. */
    make_image(0x202, true);
    write_file(kernel_path, image, sizeof image);
    write_file(initrd_path, "x", 1);
    rig_create(&rig);
    cfg = config(NULL, true);
    assert_true(take(rig.fw, &cfg, 3 * GiB, &err));
    assert_int_equal(number(&rig, FWCFG_INITRD_ADDR), 0x37fff000);
    rig_destroy(&rig);
}

static void fails(const struct vm_config *cfg, uint64_t below_4g, const char *why)
{
    struct rig rig;
    struct error err = {0};
    rig_create(&rig);
    assert_false(take(rig.fw, cfg, below_4g, &err));
    if (!strstr(err.msg, why))
        fail_msg("'%s' has no '%s'", err.msg, why);
    rig_destroy(&rig);
}

static void test_errors(void **state)
{
    (void)state;
    struct vm_config cfg = config(NULL, false);
    unlink(kernel_path);
    fails(&cfg, 128 * MiB, "No such file");
    write_file(kernel_path, "MZ", 2);
    fails(&cfg, 128 * MiB, "neither a Linux kernel");
    make_image(0x20f, true);
    image[0x202] = 'h';
    write_file(kernel_path, image, sizeof image);
    fails(&cfg, 128 * MiB, "neither a Linux kernel");
    write_file(kernel_path, "\x1f\x8b\x08", 4);
    fails(&cfg, 128 * MiB, "gunzip");
    make_image(0x1ff, true);
    write_file(kernel_path, image, sizeof image);
    fails(&cfg, 128 * MiB, "too old");
    make_image(0x20f, true);
    write_file(kernel_path, image, SETUP_BYTES);
    fails(&cfg, 128 * MiB, "cut off");
    image[0x1f1] = 200;
    write_file(kernel_path, image, sizeof image);
    fails(&cfg, 128 * MiB, "too long");
    image[0x1f1] = 3;
    write_file(kernel_path, image, sizeof image);
    fails(&cfg, 1 * MiB, "larger -m");
    image[0x211] = 0;
    write_file(kernel_path, image, sizeof image);
    assert_int_equal(truncate(kernel_path, SETUP_BYTES + 512 * 1024 + 1), 0);
    fails(&cfg, 128 * MiB, "too many for a zImage");
    image[0x211] = 1;
    write_file(kernel_path, image, sizeof image);

    char words[102];
    memset(words, 'a', 101);
    words[101] = 0;
    cfg = config(words, false);
    fails(&cfg, 128 * MiB, "at most 100");

    cfg = config(NULL, true);
    unlink(initrd_path);
    fails(&cfg, 128 * MiB, "initrd");
    cfg.initrd = dir;
    fails(&cfg, 128 * MiB, "not a regular file");
    cfg.initrd = initrd_path;
    write_file(initrd_path, "", 0);
    assert_int_equal(truncate(initrd_path, 2 * 1024 * 1024), 0);
    fails(&cfg, 3 * MiB, "larger -m");
    assert_int_equal(truncate(initrd_path, 1024 * 1024 * 1024 + 1), 0);
    fails(&cfg, 3 * GiB, "too many");
}

/* The bytes in the tree are what the source assembles to. */
static void test_rom_is_its_source(void **state)
{
    (void)state;
    if (system("as --32 -o /dev/null /dev/null 2>/dev/null && command -v objcopy >/dev/null && "
               "command -v python3 >/dev/null") != 0)
        SKIP("as, objcopy or python3 is not installed");
    char command[512];
    snprintf(
        command, sizeof command,
        "cd '%s' && for n in linuxboot multiboot; do firmware/build-option-rom $n >%s/rom.h && "
        "cmp %s/rom.h src/bios/${n}_rom.h || exit 1; done; rm %s/rom.h",
        SOURCE_DIR, dir, dir, dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bzimage),           cmocka_unit_test(test_large_kernel),
        cmocka_unit_test(test_old_images),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_rom_is_its_source),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
