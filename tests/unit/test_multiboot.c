/* -kernel with a multiboot header: ELF files of both classes, the a.out kludge, modules, video,
 * and all that can be wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/multiboot.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/vitrine-multiboot-XXXXXX";
static char kernel_path[64], module_path[64];

/* Where the option ROM has its tables: firmware/multiboot.S. */
enum { INFO_ADDR = 0x9000 };

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(kernel_path, sizeof kernel_path, "%s/kernel", dir);
    snprintf(module_path, sizeof module_path, "%s/a,b", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(kernel_path);
    unlink(module_path);
    return rmdir(dir);
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

/* A kernel file: ELF header and program headers, the multiboot header at HEADER, bytes at BODY. */
enum { HEADER = 0x100, BODY = 0x200, FILE_BYTES = 0x1200 };
static uint8_t file[FILE_BYTES];

static void put_header(uint32_t flags)
{
    uint8_t *h = file + HEADER;
    st32(h, 0x1badb002);
    st32(h + 4, flags);
    st32(h + 8, -(0x1badb002 + flags));
}

static void put_words(uint8_t *p, const uint32_t *words, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        st32(p + 4 * (size_t)i, words[i]);
}

static void clear_file(void)
{
    memset(file, 0, BODY);
    for (unsigned i = BODY; i < FILE_BYTES; i++)
        file[i] = (uint8_t)(i * 7);
}

/* Two segments: FFC00000h+ on 1 MiB, 100h bytes of file and as many zeros; 20 bytes at 20000h. */
static void make_elf32(uint32_t flags)
{
    clear_file();
    memcpy(file, "\177ELF\1\1\1", 7);
    st16(file + 18, 3);
    st32(file + 24, 0xffc00010); /* entry */
    st32(file + 28, 52);
    st16(file + 42, 32);
    st16(file + 44, 3);
    put_words(file + 52, (const uint32_t[]){4, 0, 0, 0, 0, 0, 0, 0}, 8); /* a note */
    put_words(file + 84, (const uint32_t[]){1, BODY, 0xffc00000, 0x100000, 0x100, 0x200, 7, 0x1000},
              8);
    put_words(file + 116, (const uint32_t[]){1, 0x1000, 0x20000, 0x20000, 20, 20, 7, 0x1000}, 8);
    put_header(flags);
}

static void make_elf64(void)
{
    clear_file();
    memcpy(file, "\177ELF\2\1\1", 7);
    st16(file + 18, 62);
    st64(file + 24, 0x100040);
    st64(file + 32, 64);
    st16(file + 54, 56);
    st16(file + 56, 1);
    st32(file + 64, 1);
    st64(file + 72, BODY);
    st64(file + 80, UINT64_C(0x100000));
    st64(file + 88, UINT64_C(0x100000));
    st64(file + 96, 0x80);
    st64(file + 104, 0x80);
    put_header(0);
}

struct rig {
    struct iomap io;
    struct device_list devices;
    struct fwcfg *fw;
    const uint8_t *parts, *info;
    uint8_t *data; /* the parts' bytes, as the guest reads them */
    size_t data_len;
    struct log log;
    unsigned lines;
    char last[512];
};

static void sink(void *opaque, const char *line)
{
    struct rig *rig = opaque;
    snprintf(rig->last, sizeof rig->last, "%s", line);
    rig->lines++;
}

static void rig_create(struct rig *rig)
{
    *rig = (struct rig){0};
    log_init(&rig->log, sink, rig);
    assert_true(iomap_create(&rig->io, NULL));
    device_list_init(&rig->devices);
    rig->fw = fwcfg_create(&rig->devices, &(struct fwcfg_config){&rig->io, NULL, &rig->log});
    assert_non_null(rig->fw);
}

static void rig_destroy(struct rig *rig)
{
    device_destroy_all(&rig->devices);
    iomap_destroy(&rig->io);
    free(rig->data);
}

static uint32_t number(struct rig *rig, uint16_t key)
{
    size_t len;
    const void *p = fwcfg_item(rig->fw, key, &len);
    assert_non_null(p);
    assert_int_equal(len, 4);
    return ld32(p);
}

static struct vm_config config(char *append, char *initrd)
{
    return (struct vm_config){.kernel = kernel_path, .append = append, .initrd = initrd};
}

/* By pieces of an odd length, which end within the parts and at their ends. */
static void read_data(struct rig *rig, unsigned piece)
{
    memset(rig->data, 0xee, rig->data_len);
    iomap_write(&rig->io, 0x510, FWCFG_KERNEL_DATA, 2);
    for (size_t done = 0; done < rig->data_len;)
        done += iomap_read_bulk(&rig->io, 0x511, 1, rig->data + done,
                                (unsigned)MIN(piece, rig->data_len - done));
}

static uint32_t tables = 0x8000; /* where they are expected */

static void boots(struct rig *rig, const struct vm_config *cfg)
{
    struct error err = {0};
    size_t len;
    write_file(kernel_path, file, sizeof file);
    rig_create(rig);
    const char *path = kernel_setup(rig->fw, cfg, 64 * MiB, &err);
    if (!path)
        fail_msg("%s", err.msg);
    assert_string_equal(path, MULTIBOOT_BOOT_PATH);
    assert_int_equal(number(rig, FWCFG_SETUP_ADDR), tables);
    assert_int_equal(number(rig, FWCFG_INITRD_ADDR), tables + 0x1000);
    rig->parts = fwcfg_item(rig->fw, FWCFG_SETUP_DATA, &len);
    assert_int_equal(len, number(rig, FWCFG_SETUP_SIZE));
    rig->info = fwcfg_item(rig->fw, FWCFG_INITRD_DATA, &len);
    assert_int_equal(len, number(rig, FWCFG_INITRD_SIZE));
    assert_null(fwcfg_item(rig->fw, FWCFG_KERNEL_DATA, &rig->data_len)); /* no copy */
    rig->data = malloc(rig->data_len);
    assert_non_null(rig->data);
    read_data(rig, 4096);
    assert_non_null(fwcfg_file(rig->fw, MULTIBOOT_ROM_FILE, &len));
}

static void check_part(const struct rig *rig, unsigned n, uint32_t addr, uint32_t len)
{
    assert_int_equal(ld32(rig->parts + 8 * (size_t)n), addr);
    assert_int_equal(ld32(rig->parts + 8 * (size_t)n + 4), len);
}

static uint32_t info(const struct rig *rig, unsigned field)
{
    return ld32(rig->info + field);
}

static const char *string(const struct rig *rig, uint32_t addr)
{
    return (const char *)rig->info + (addr - INFO_ADDR);
}

static void test_elf32(void **state)
{
    (void)state;
    struct rig rig;
    char expected[128];
    static const uint8_t zeros[0x100];
    make_elf32(3);
    struct vm_config cfg = config("a=b c", NULL);
    boots(&rig, &cfg);
    check_part(&rig, 0, 0x100000, 0x200);
    check_part(&rig, 1, 0x20000, 20);
    check_part(&rig, 2, 0, 0);
    assert_int_equal(rig.data_len, 0x214);
    assert_memory_equal(rig.data, file + BODY, 0x100);
    assert_memory_equal(rig.data + 0x100, zeros, 0x100);
    assert_memory_equal(rig.data + 0x200, file + 0x1000, 20);
    for (unsigned piece = 1; piece < 0x204; piece += 0x67) {
        read_data(&rig, piece);
        assert_memory_equal(rig.data, file + BODY, 0x100);
        assert_memory_equal(rig.data + 0x100, zeros, 0x100);
        assert_memory_equal(rig.data + 0x200, file + 0x1000, 20);
    }
    assert_int_equal(number(&rig, FWCFG_KERNEL_ENTRY), 0x100010); /* the physical one */
    assert_int_equal(info(&rig, 0), 0x24d); /* memory, command line, modules, map, loader */
    snprintf(expected, sizeof expected, "%s a=b c", kernel_path);
    assert_string_equal(string(&rig, info(&rig, 16)), expected);
    assert_int_equal(info(&rig, 20), 0);
    assert_string_equal(string(&rig, info(&rig, 64)), "vitrine");
    rig_destroy(&rig);
}

static void test_elf64(void **state)
{
    (void)state;
    struct rig rig;
    make_elf64();
    struct vm_config cfg = config(NULL, NULL);
    boots(&rig, &cfg);
    check_part(&rig, 0, 0x100000, 0x80);
    assert_int_equal(number(&rig, FWCFG_KERNEL_ENTRY), 0x100040);
    rig_destroy(&rig);
}

static void put_addresses(uint32_t header, uint32_t load, uint32_t load_end, uint32_t bss_end)
{
    put_words(file + HEADER + 12, (const uint32_t[]){header, load, load_end, bss_end, 0x200030}, 5);
}

static void test_kludge(void **state)
{
    (void)state;
    struct rig rig;
    struct vm_config cfg = config(NULL, NULL);
    clear_file();
    put_header(0x10000);
    put_addresses(0x200080, 0x200000, 0x200200, 0x200300); /* the image begins 80h before it */
    boots(&rig, &cfg);
    check_part(&rig, 0, 0x200000, 0x300);
    assert_memory_equal(rig.data, file + HEADER - 0x80, 0x200);
    assert_int_equal(rig.data[0x2ff], 0);
    assert_int_equal(number(&rig, FWCFG_KERNEL_ENTRY), 0x200030);
    rig_destroy(&rig);

    put_addresses(0x200000, 0x200000, 0, 0); /* the whole file from the header on, no bss */
    boots(&rig, &cfg);
    check_part(&rig, 0, 0x200000, FILE_BYTES - HEADER);
    rig_destroy(&rig);
}

static void test_modules(void **state)
{
    (void)state;
    struct rig rig;
    char list[300], first[100];
    static const uint8_t module[5000] = {9};
    make_elf32(0);
    write_file(module_path, module, sizeof module);
    write_file(kernel_path, file, sizeof file);
    snprintf(list, sizeof list, "%s/a,,b x y,%s", dir, kernel_path);
    struct vm_config cfg = config(NULL, list);
    boots(&rig, &cfg);
    check_part(&rig, 2, 0x101000, sizeof module);
    check_part(&rig, 3, 0x103000, FILE_BYTES);
    check_part(&rig, 4, 0, 0);
    assert_memory_equal(rig.data + 0x214, module, sizeof module);
    assert_int_equal(info(&rig, 20), 2);
    const uint8_t *mods = rig.info + (info(&rig, 24) - INFO_ADDR);
    assert_int_equal(ld32(mods), 0x101000);
    assert_int_equal(ld32(mods + 4), 0x101000 + sizeof module);
    snprintf(first, sizeof first, "%s/a,b x y", dir);
    assert_string_equal(string(&rig, ld32(mods + 8)), first);
    assert_int_equal(ld32(mods + 16), 0x103000);
    assert_string_equal(string(&rig, ld32(mods + 24)), kernel_path);
    rig_destroy(&rig);
}

/* While the guest runs: zeros for what is missing, and a line. */
static void test_module_that_shrinks(void **state)
{
    (void)state;
    struct rig rig;
    static uint8_t module[5000];
    memset(module, 9, sizeof module);
    make_elf32(0);
    write_file(module_path, module, sizeof module);
    char list[100];
    snprintf(list, sizeof list, "%s/a,,b", dir);
    struct vm_config cfg = config(NULL, list);
    boots(&rig, &cfg);
    assert_memory_equal(rig.data + 0x214, module, sizeof module);
    assert_int_equal(rig.lines, 0);
    assert_int_equal(truncate(module_path, 1000), 0);
    memset(module + 1000, 0, sizeof module - 1000);
    for (unsigned reset = 0; reset < 2; reset++) {
        read_data(&rig, 700);
        assert_memory_equal(rig.data, file + BODY, 0x100);
        assert_memory_equal(rig.data + 0x214, module, sizeof module);
        assert_int_equal(rig.lines, 1);
        assert_non_null(strstr(rig.last, "a,b': the file has become shorter"));
    }
    rig_destroy(&rig);
}

static void test_video(void **state)
{
    (void)state;
    struct rig rig;
    struct vm_config cfg = config(NULL, NULL);
    make_elf32(4);
    put_words(file + HEADER + 32, (const uint32_t[]){0, 800, 600, 24}, 4);
    boots(&rig, &cfg);
    assert_true(info(&rig, 0) & 1 << 12);
    assert_int_equal(info(&rig, 100), 800);
    assert_int_equal(info(&rig, 104), 600);
    assert_int_equal(rig.info[108], 24);
    assert_int_equal(rig.info[109], 1);
    rig_destroy(&rig);

    put_words(file + HEADER + 32, (const uint32_t[]){1, 0, 0, 0}, 4);
    boots(&rig, &cfg);
    assert_int_equal(rig.info[109], 2);
    rig_destroy(&rig);
}

static void fails(char *initrd, uint64_t below_4g, const char *why)
{
    struct rig rig;
    struct error err = {0};
    struct vm_config cfg = config(NULL, initrd);
    write_file(kernel_path, file, sizeof file);
    rig_create(&rig);
    assert_null(kernel_setup(rig.fw, &cfg, below_4g, &err));
    if (!strstr(err.msg, why))
        fail_msg("'%s' has no '%s'", err.msg, why);
    rig_destroy(&rig);
}

static void test_bad_headers(void **state)
{
    (void)state;
    make_elf32(0);
    file[HEADER + 8]++; /* the checksum is what makes it a header */
    fails(NULL, 64 * MiB, "neither a Linux kernel image (bzImage) nor a multiboot kernel");
    make_elf32(8);
    fails(NULL, 64 * MiB, "wants what is not known (flags 8)");
    clear_file();
    put_header(0);
    fails(NULL, 64 * MiB, "must say in its header where it goes");
    put_header(0x10000);
    put_addresses(0x200080, 0x200081, 0, 0);
    fails(NULL, 64 * MiB, "disagree");
    put_addresses(0x200200, 0x200000, 0, 0); /* the image would begin before the file */
    fails(NULL, 64 * MiB, "disagree");
    put_addresses(0x200080, 0x200000, 0x300000, 0);
    fails(NULL, 64 * MiB, "cut off");
    put_addresses(0x200080, 0x200000, 0x200200, 0x200100);
    fails(NULL, 64 * MiB, "disagree");
    put_addresses(0x200080, 0x200000, 0x1fffff, 0);
    fails(NULL, 64 * MiB, "disagree");
    put_addresses(0xf00, 0xf00, 0, 0);
    fails(NULL, 64 * MiB, "where firmware lives");
    put_addresses(0x1000, 0x1000, 0, 0x80000); /* all that there is */
    fails(NULL, 64 * MiB, "leaves no 32 KiB free");
    put_addresses(0x9f000, 0x9f000, 0, 0);
    fails(NULL, 64 * MiB, "where firmware lives");
    put_addresses(0xfffff000, 0xfffff000, 0, 0);
    fails(NULL, 64 * MiB, "larger -m");
    put_addresses(0x200000, 0x200000, 0, 0xffffffff);
    fails(NULL, 64 * MiB, "larger -m");
}

static void test_bad_files(void **state)
{
    (void)state;
    make_elf32(0);
    file[18] = 62;
    fails(NULL, 64 * MiB, "another processor");
    make_elf32(0);
    st32(file + 28, 0xffffffff);
    fails(NULL, 64 * MiB, "damaged");
    make_elf32(0);
    st16(file + 44, 65535);
    fails(NULL, 64 * MiB, "damaged");
    make_elf32(0);
    st16(file + 44, 1);
    fails(NULL, 64 * MiB, "nothing to load");
    make_elf32(0);
    st32(file + 84 + 4, FILE_BYTES - 1);
    fails(NULL, 64 * MiB, "cut off");
    make_elf32(0);
    st32(file + 84 + 16, 0x300);
    fails(NULL, 64 * MiB, "cut off");
    make_elf64();
    st64(file + 88, 4 * GiB);
    fails(NULL, 64 * MiB, "above 4 GiB");
    st64(file + 88, MiB);
    st64(file + 104, UINT64_MAX);
    fails(NULL, 64 * MiB, "above 4 GiB");
    make_elf32(0); /* or host memory would be as large as there are segments */
    st32(file + 84 + 20, 40 * MiB);
    put_words(file + 116, (const uint32_t[]){1, BODY, MiB, MiB, 0, 40 * MiB, 7, 0x1000}, 8);
    fails(NULL, 64 * MiB, "overlap");
    make_elf32(0);
    fails(NULL, MiB, "larger -m");
    fails("/nonexistent x,y", 64 * MiB, "/nonexistent");

    char *commas = calloc(1, 1000);
    memset(commas, ',', 999);
    for (unsigned i = 0; i < 999; i += 2)
        commas[i] = 'x';
    fails(commas, 64 * MiB, "more than 256 modules");
    free(commas);
    char *arguments = calloc(1, 40000);
    memset(arguments, 'x', 39999);
    memcpy(arguments, kernel_path, strlen(kernel_path));
    arguments[strlen(kernel_path)] = ' ';
    fails(arguments, 64 * MiB, "too long");
    free(arguments);
}

/* Below 64 KiB the kernel comes first and the tables go elsewhere, whole. */
static void test_low(void **state)
{
    (void)state;
    struct rig rig;
    clear_file();
    put_header(0x10000);
    put_addresses(0x8000 + HEADER, 0x8000, 0, 0);
    struct vm_config cfg = config("x", NULL);
    tables = 0xa000; /* the first page behind the file's 1200h bytes at 8000h */
    boots(&rig, &cfg);
    check_part(&rig, 0, 0x8000, FILE_BYTES);
    const uint32_t at = info(&rig, 16);
    assert_in_range(at, tables + 0x1000, tables + 0x7000);
    assert_string_equal((const char *)rig.info + (at - tables - 0x1000) + strlen(kernel_path),
                        " x");
    rig_destroy(&rig);
    put_addresses(0xf000 + HEADER, 0xf000, 0, 0); /* reaches into where they are otherwise */
    tables = 0x11000;
    boots(&rig, &cfg);
    rig_destroy(&rig);
    put_addresses(0x1000 + HEADER, 0x1000, 0, 0); /* does not */
    tables = 0x8000;
    boots(&rig, &cfg);
    rig_destroy(&rig);
}

/* The file with a second program header, of notes that lie at BODY. */
static void make_pvh(uint32_t type, uint32_t name, uint32_t desc)
{
    make_elf64();
    memset(file + HEADER, 0, 12);
    st16(file + 56, 2);
    st32(file + 120, 4);
    st64(file + 128, BODY);
    st64(file + 152, 0x28);
    put_words(file + BODY, (const uint32_t[]){4, 2, 7, 0x006e6558, 0xffff},
              5); /* another of Xen's */
    put_words(file + BODY + 20, (const uint32_t[]){name, desc, type, 0x006e6558, 0x100060}, 5);
}

static void test_pvh(void **state)
{
    (void)state;
    struct rig rig;
    make_pvh(18, 4, 4);
    write_file(module_path, "module", 6);
    struct vm_config cfg = config("one two", module_path);
    boots(&rig, &cfg);
    check_part(&rig, 0, 0x100000, 0x80);
    check_part(&rig, 1, 64 * MiB - 256 * KiB - PAGE_SIZE, 6);
    assert_int_equal(number(&rig, FWCFG_KERNEL_ENTRY), 0x100060); /* the note's, not the file's */
    assert_int_equal(info(&rig, 0), 0x336ec578);
    assert_int_equal(info(&rig, 4), 1);
    assert_int_equal(info(&rig, 12), 1);
    const uint8_t *module = rig.info + (info(&rig, 16) - INFO_ADDR);
    assert_int_equal(ld64(module), 64 * MiB - 256 * KiB - PAGE_SIZE);
    assert_int_equal(ld64(module + 8), 6);
    assert_string_equal(string(&rig, info(&rig, 24)), "one two");
    rig_destroy(&rig);
}

static void test_bad_pvh(void **state)
{
    static const char *const no = "nor an ELF file with a PVH note";
    (void)state;
    make_pvh(17, 4, 4);
    fails(NULL, 64 * MiB, no);
    make_pvh(18, 5, 4);
    fails(NULL, 64 * MiB, no);
    make_pvh(18, 4, 12);
    fails(NULL, 64 * MiB, no);
    make_pvh(18, 4, 4);
    st64(file + 128, sizeof file - 8); /* notes outside the file */
    fails(NULL, 64 * MiB, no);
    make_pvh(18, 4, 4);
    put_words(file + BODY, (const uint32_t[]){0xfffffff0, 0xfffffff0}, 2);
    fails(NULL, 64 * MiB, no);
    make_pvh(18, 4, 4);
    fails("/nonexistent/initrd", 64 * MiB, "initrd '/nonexistent/initrd'");
    make_pvh(18, 4, 4);
    write_file(module_path, file, sizeof file);
    fails(module_path, MiB + 256 * KiB + PAGE_SIZE, "beside the kernel; give a larger -m");
    make_pvh(18, 4, 4);
    st16(file + 18, 183);
    fails(NULL, 64 * MiB, no);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elf32),
        cmocka_unit_test(test_elf64),
        cmocka_unit_test(test_kludge),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_module_that_shrinks),
        cmocka_unit_test(test_video),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_low),
        cmocka_unit_test(test_pvh),
        cmocka_unit_test(test_bad_pvh),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
