/* What the board hands to the firmware through fw_cfg, by option and by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/acpi.h"
#include "bios/linuxboot.h"
#include "bios/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct rig {
    struct ram ram;
    struct iomap io;
    struct memmap mem;
    struct pci_bus pci;
    struct pci_device pm;
    struct device_list devices;
    struct fwcfg *fw;
};

static void rig_create(struct rig *rig)
{
    struct error err = {0};
    *rig = (struct rig){0};
    assert_true(ram_create(&rig->ram, MiB, &err));
    assert_true(iomap_create(&rig->io, NULL));
    memmap_create(&rig->mem, &rig->ram, NULL);
    device_list_init(&rig->devices);
    pci_bus_init(&rig->pci, &rig->io, &rig->mem, NULL);
    pci_device_init(&rig->pm, &rig->pci, 1 << 3 | 3, 0x8086, 0x7113, 0x068000, 3);
    rig->fw = fwcfg_create(&rig->devices, &(struct fwcfg_config){&rig->io, &rig->mem, NULL});
    assert_non_null(rig->fw);
}

static void rig_destroy(struct rig *rig)
{
    device_destroy_all(&rig->devices);
    memmap_destroy(&rig->mem);
    iomap_destroy(&rig->io);
    ram_destroy(&rig->ram);
}

static bool setup(struct rig *rig, const struct vm_config *cfg, struct error *err)
{
    uint64_t below_4g = MIN(cfg->ram_bytes, 3 * GiB);
    rig_create(rig);
    return bios_setup(&rig->devices,
                      &(struct bios_board){.cfg = cfg,
                                           .fw = rig->fw,
                                           .pci = &rig->pci,
                                           .below_4g = below_4g,
                                           .above_4g = cfg->ram_bytes - below_4g},
                      err);
}

static void expect_file(struct rig *rig, const char *name, const void *want, size_t want_len)
{
    size_t len;
    const void *p = fwcfg_file(rig->fw, name, &len);
    assert_non_null(p);
    assert_int_equal(len, want_len);
    assert_memory_equal(p, want, len);
}

static bool has_file(struct rig *rig, const char *name)
{
    size_t len;
    return fwcfg_file(rig->fw, name, &len) != NULL;
}

static void expect_item(struct rig *rig, uint16_t key, const void *want, size_t want_len)
{
    size_t len;
    const void *p = fwcfg_item(rig->fw, key, &len);
    assert_non_null(p);
    assert_int_equal(len, want_len);
    assert_memory_equal(p, want, len);
}

static void test_plain_machine(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    struct vm_config cfg;
    vm_config_init(&cfg);
    assert_true(setup(&rig, &cfg, &err));
    expect_file(&rig, "etc/e820", "\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\1\0\0\0", 20);
    expect_item(&rig, FWCFG_RAM_SIZE, "\0\0\0\x08\0\0\0\0", 8);
    expect_item(&rig, FWCFG_NB_CPUS, "\1\0", 2);
    expect_item(&rig, FWCFG_MAX_CPUS, "\1\0", 2);
    expect_item(&rig, FWCFG_NOGRAPHIC, "\0\0", 2);
    expect_item(&rig, FWCFG_BOOT_MENU, "\0\0", 2);
    expect_item(&rig, FWCFG_IRQ0_OVERRIDE, "\1\0\0\0", 4);
    expect_file(&rig, "etc/system-states", "\x80\0\0\1\2\x80", 6);
    static const char *const there[] = {"etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader",
                                        "etc/smbios/smbios-tables", "etc/smbios/smbios-anchor"};
    for (size_t i = 0; i < ARRAY_SIZE(there); i++)
        assert_true(has_file(&rig, there[i]));
    expect_file(&rig, "etc/boot-fail-wait", "\xff\xff\xff\xff", 4); /* no second try */
    static const char *const absent[] = {"bootorder", "etc/boot-menu-wait", LINUXBOOT_ROM_FILE};
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        assert_false(has_file(&rig, absent[i]));
    size_t len;
    assert_null(fwcfg_item(rig.fw, FWCFG_UUID, &len));
    rig_destroy(&rig);
    vm_config_free(&cfg);
}

static void test_options(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    struct vm_config cfg;
    vm_config_init(&cfg);
    cfg.ram_bytes = 6 * GiB;
    cfg.smp = 4;
    cfg.topology = (struct cpu_topology){2, 3, 1};
    cfg.nographic = cfg.no_acpi = cfg.boot_menu = cfg.uuid_set = true;
    cfg.boot_menu_ms = 100000;
    cfg.boot_fail_ms = 70000;
    memcpy(cfg.uuid, "0123456789abcdef", 16);
    assert_true(setup(&rig, &cfg, &err));
    expect_file(&rig, "etc/e820",
                "\0\0\0\0\0\0\0\0\0\0\0\xc0\0\0\0\0\1\0\0\0"
                "\0\0\0\0\1\0\0\0\0\0\0\xc0\0\0\0\0\1\0\0\0",
                40);
    expect_item(&rig, FWCFG_NB_CPUS, "\4\0", 2);
    expect_item(&rig, FWCFG_MAX_CPUS, "\5\0", 2); /* the last one's APIC ID is 4 */
    expect_item(&rig, FWCFG_NOGRAPHIC, "\1\0", 2);
    expect_item(&rig, FWCFG_BOOT_MENU, "\1\0", 2);
    expect_item(&rig, FWCFG_UUID, "0123456789abcdef", 16);
    expect_file(&rig, "etc/boot-menu-wait", "\xff\xff", 2);
    expect_file(&rig, "etc/boot-fail-wait", "\x70\x11\1\0", 4);
    assert_false(has_file(&rig, "etc/acpi/tables"));
    rig_destroy(&rig);
    vm_config_free(&cfg);
}

static void test_boot_order(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    struct vm_config cfg;
    vm_config_init(&cfg);
    cfg.drives = 4;
    cfg.drive[3] = (struct config_drive){.bus = DRIVE_FLOPPY, .index = 1, .bootindex = 7};
    cfg.drive[0] = (struct config_drive){.bus = DRIVE_IDE, .index = 0, .bootindex = 5};
    cfg.drive[1] = (struct config_drive){.bus = DRIVE_IDE, .index = 1, .bootindex = -1};
    cfg.drive[2] = (struct config_drive){.bus = DRIVE_IDE, .index = 3, .bootindex = 0};
    cfg.boot_strict = true;
    assert_true(setup(&rig, &cfg, &err));
    static const char want[] = "/pci@i0cf8/ide@1,1/drive@1/disk@1\n"
                               "/pci@i0cf8/ide@1,1/drive@0/disk@0\n"
                               "/pci@i0cf8/isa@1/fdc@03f0/floppy@1\nHALT";
    expect_file(&rig, "bootorder", want, sizeof want);
    rig_destroy(&rig);
    cfg.drives = 0;
    vm_config_free(&cfg);
}

/* The address of PM1a_EVT in the FADT that a guest reads. */
static uint32_t guest_sees_pm_base(struct rig *rig)
{
    uint8_t table[8192];
    size_t len, dir_len;
    assert_non_null(fwcfg_file(rig->fw, ACPI_TABLES_FILE, &len));
    assert_true(len <= sizeof table);
    const uint8_t *dir = fwcfg_item(rig->fw, FWCFG_FILE_DIR, &dir_len);
    for (size_t i = 4; i < dir_len; i += 64)
        if (!strcmp((const char *)dir + i + 8, ACPI_TABLES_FILE))
            iomap_write(&rig->io, 0x510, __builtin_bswap16(ld16(dir + i + 4)), 2);
    for (size_t i = 0; i < len; i++)
        table[i] = (uint8_t)iomap_read(&rig->io, 0x511, 1);
    for (size_t i = 0; i < len; i += 16)
        if (!memcmp(table + i, "FACP", 4))
            return ld32(table + i + 56);
    fail_msg("no FADT");
    return 0;
}

static void test_acpi_follows_the_firmware(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    struct vm_config cfg;
    vm_config_init(&cfg);
    assert_true(setup(&rig, &cfg, &err));
    assert_int_equal(guest_sees_pm_base(&rig), 0x600);
    st32(rig.pm.config + 0x40, 0xb001);
    assert_int_equal(guest_sees_pm_base(&rig), 0xb000);
    rig_destroy(&rig);
    vm_config_free(&cfg);
}

static void test_user_files(void **state)
{
    (void)state;
    struct rig rig;
    struct error err = {0};
    struct vm_config cfg;
    char path[] = "/tmp/vitrine-fwcfg-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from a file", 11), 11);
    close(fd);
    vm_config_init(&cfg);
    cfg.fw_cfgs = 2;
    cfg.fw_cfg[0].name = "opt/text";
    cfg.fw_cfg[0].string = "words";
    cfg.fw_cfg[1].name = "opt/file";
    cfg.fw_cfg[1].file = path;
    assert_true(setup(&rig, &cfg, &err));
    expect_file(&rig, "opt/text", "words", 5);
    expect_file(&rig, "opt/file", "from a file", 11);
    rig_destroy(&rig);

    cfg.fw_cfg[0].name = "etc/e820";
    assert_false(setup(&rig, &cfg, &err));
    assert_non_null(strstr(err.msg, "etc/e820"));
    rig_destroy(&rig);

    unlink(path);
    err.msg[0] = 0;
    assert_false(setup(&rig, &cfg, &err));
    assert_non_null(strstr(err.msg, "No such file"));
    rig_destroy(&rig);

    cfg.fw_cfgs = 0;
    cfg.kernel = path;
    err.msg[0] = 0;
    assert_false(setup(&rig, &cfg, &err));
    assert_non_null(strstr(err.msg, "kernel"));
    rig_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_machine), cmocka_unit_test(test_options),
        cmocka_unit_test(test_boot_order),    cmocka_unit_test(test_acpi_follows_the_firmware),
        cmocka_unit_test(test_user_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
