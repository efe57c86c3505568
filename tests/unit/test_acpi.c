/*
 * The ACPI tables as the firmware leaves them in memory: the loader script is run here as SeaBIOS
 * runs it, then every table is found from the RSDP, measured and summed. The AML writer's encodings
 * are checked byte by byte, and the whole DSDT by the ACPI compiler where it is installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/acpi.h"
#include "bios/aml.h"
#include "skip.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the AML writer ---- */

static void expect_aml(struct aml *a, const void *bytes, size_t len)
{
    assert_false(a->failed);
    assert_int_equal(a->depth, 0);
    assert_int_equal(a->len, len);
    assert_memory_equal(a->buf, bytes, len);
    aml_free(a);
}

#define EXPECT_AML(a, bytes) expect_aml(a, bytes, sizeof bytes - 1)

static void test_aml_data(void **state)
{
    (void)state;
    struct aml a = {0};
    aml_int(&a, 0);
    aml_int(&a, 1);
    aml_int(&a, 2);
    aml_int(&a, 0xff);
    aml_int(&a, 0x100);
    aml_int(&a, 0x12345);
    aml_int(&a, 0x123456789);
    aml_string(&a, "ab");
    EXPECT_AML(&a, "\x00\x01\x0a\x02\x0a\xff\x0b\x00\x01\x0c\x45\x23\x01\x00"
                   "\x0e\x89\x67\x45\x23\x01\x00\x00\x00\x0d"
                   "ab\0");
    aml_eisaid(&a, "PNP0A03"); /* ACPI 6.5 §19.3.4: 030AD041h */
    EXPECT_AML(&a, "\x0c\x41\xd0\x0a\x03");
    aml_ref(&a, "A");
    aml_ref(&a, "\\_SB");
    aml_ref(&a, "^^AB.CDEF");
    aml_ref(&a, "\\A.B.C");
    EXPECT_AML(&a, "A___\\_SB_^^\x2e"
                   "AB__CDEF\\\x2f\x03"
                   "A___B___C___");
}

/* A package's length is one to four bytes, itself included. */
static void test_aml_lengths(void **state)
{
    (void)state;
    static const struct {
        size_t content;
        unsigned bytes;
    } cases[] = {{0, 1},     {0x3e, 1},    {0x3f, 2},    {0xffd, 2},
                 {0xffe, 3}, {0xffffc, 3}, {0xffffd, 4}, {0x200000, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct aml a = {0};
        aml_if(&a);
        for (size_t n = 0; n < cases[i].content; n++)
            aml_op(&a, AML_ONE);
        aml_close(&a);
        assert_int_equal(a.len, 1 + cases[i].bytes + cases[i].content);
        size_t length = a.buf[1] & 0x3f;
        assert_int_equal(a.buf[1] >> 6, cases[i].bytes - 1);
        if (cases[i].bytes > 1) {
            length &= 0xf;
            for (unsigned k = 1; k < cases[i].bytes; k++)
                length |= (size_t)a.buf[1 + k] << (8 * k - 4);
        }
        assert_int_equal(length, cases[i].bytes + cases[i].content);
        assert_int_equal(a.buf[1 + cases[i].bytes], cases[i].content ? AML_ONE : a.buf[2]);
        aml_free(&a);
    }
}

static void test_aml_terms(void **state)
{
    (void)state;
    struct aml a = {0};
    aml_scope(&a, "\\_SB");
    aml_device(&a, "D");
    aml_name_int(&a, "_UID", 0);
    aml_close(&a);
    aml_close(&a);
    EXPECT_AML(&a, "\x10\x13\\_SB_"
                   "\x5b\x82\x0b"
                   "D___\x08_UID\x00");
    aml_name(&a, "R");
    aml_resources(&a);
    aml_res_io(&a, 0x3f8, 8);
    aml_res_irq(&a, 4);
    aml_close(&a);
    EXPECT_AML(&a, "\x08R___\x11\x10\x0a\x0d"
                   "\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00\x79\x00");
    aml_method(&a, "M", 2, true);
    aml_op(&a, AML_RETURN);
    aml_op(&a, AML_ARG0);
    aml_close(&a);
    EXPECT_AML(&a, "\x14\x08M___\x0a\xa4\x68");
    aml_byte_field(&a, "R", (const char *const[]){"A", "B"}, 2);
    EXPECT_AML(&a, "\x5b\x81\x10R___\x01"
                   "A___\x08"
                   "B___\x08");
}

/* ---- the tables ---- */

/* What the firmware does: all of it within one "memory" in which addresses are offsets. */
struct firmware {
    uint8_t mem[64 * 1024];
    size_t used;
    struct {
        char name[56];
        size_t at, len;
    } file[4];
    unsigned files;
    const struct acpi_blobs *blobs;
};

static size_t find(struct firmware *fw, const char *name, size_t *len)
{
    for (unsigned i = 0; i < fw->files; i++)
        if (!strcmp(fw->file[i].name, name)) {
            *len = fw->file[i].len;
            return fw->file[i].at;
        }
    fail_msg("the script names %s before it is there", name);
    return 0;
}

static void do_allocate(struct firmware *fw, const uint8_t *entry)
{
    const char *name = (const char *)entry + 4;
    uint32_t align = ld32(entry + 60);
    bool rsdp = !strcmp(name, ACPI_RSDP_FILE);
    assert_true(rsdp || !strcmp(name, ACPI_TABLES_FILE));
    assert_int_equal(entry[64], rsdp ? 2 : 1);
    assert_true(align && !(align & (align - 1)));
    size_t at = (fw->used + align - 1) & ~(size_t)(align - 1);
    size_t len = rsdp ? ACPI_RSDP_BYTES : fw->blobs->tables_len;
    assert_true(at + len <= sizeof fw->mem);
    memcpy(fw->mem + at, rsdp ? fw->blobs->rsdp : fw->blobs->tables, len);
    strcpy(fw->file[fw->files].name, name);
    fw->file[fw->files].at = at;
    fw->file[fw->files++].len = len;
    fw->used = at + len;
}

static void do_pointer(struct firmware *fw, const uint8_t *entry)
{
    size_t dest_len, src_len;
    size_t dest = find(fw, (const char *)entry + 4, &dest_len);
    size_t src = find(fw, (const char *)entry + 60, &src_len);
    uint32_t offset = ld32(entry + 116);
    unsigned size = entry[120];
    assert_true(size == 4 || size == 8);
    assert_true(offset + size <= dest_len);
    uint64_t v = ld_le(fw->mem + dest + offset, size);
    assert_true(v < src_len);
    st_le(fw->mem + dest + offset, v + src, size);
}

static void do_checksum(struct firmware *fw, const uint8_t *entry)
{
    size_t len = 0;
    size_t file = find(fw, (const char *)entry + 4, &len);
    uint32_t at = ld32(entry + 60), start = ld32(entry + 64), length = ld32(entry + 68);
    assert_true(at < len && (uint64_t)start + length <= len);
    uint8_t sum = 0;
    for (uint32_t i = 0; i < length; i++)
        sum = (uint8_t)(sum + fw->mem[file + start + i]);
    fw->mem[file + at] = (uint8_t)(fw->mem[file + at] - sum);
}

static struct firmware *load(const struct acpi_blobs *blobs)
{
    struct firmware *fw = calloc(1, sizeof *fw);
    assert_non_null(fw);
    fw->used = 0x1230;
    fw->blobs = blobs;
    assert_int_equal(blobs->loader_len % ACPI_LOADER_ENTRY, 0);
    for (size_t i = 0; i < blobs->loader_len; i += ACPI_LOADER_ENTRY) {
        const uint8_t *entry = blobs->loader + i;
        switch (ld32(entry)) {
        case 1:
            do_allocate(fw, entry);
            break;
        case 2:
            do_pointer(fw, entry);
            break;
        case 3:
            do_checksum(fw, entry);
            break;
        default:
            fail_msg("unknown command %u", ld32(entry));
        }
    }
    return fw;
}

static void expect_sum(const uint8_t *p, size_t len)
{
    uint8_t sum = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + p[i]);
    assert_int_equal(sum, 0);
}

static const uint8_t *table_at(struct firmware *fw, uint64_t at, const char *signature)
{
    assert_true(at + 36 <= fw->used);
    const uint8_t *t = fw->mem + at;
    assert_memory_equal(t, signature, 4);
    assert_true(at + ld32(t + 4) <= fw->used);
    expect_sum(t, ld32(t + 4));
    return t;
}

static const uint8_t *find_rsdp(struct firmware *fw)
{
    size_t len;
    const uint8_t *rsdp = fw->mem + find(fw, ACPI_RSDP_FILE, &len);
    assert_int_equal((rsdp - fw->mem) % 16, 0);
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(rsdp[15], 2);
    expect_sum(rsdp, 20);
    expect_sum(rsdp, 36);
    return rsdp;
}

/* The table named by an RSDT and an XSDT entry alike. */
static const uint8_t *find_table(struct firmware *fw, const char *signature)
{
    const uint8_t *rsdp = find_rsdp(fw);
    const uint8_t *rsdt = table_at(fw, ld32(rsdp + 16), "RSDT");
    const uint8_t *xsdt = table_at(fw, ld64(rsdp + 24), "XSDT");
    unsigned count = (ld32(rsdt + 4) - 36) / 4;
    assert_int_equal(count, (ld32(xsdt + 4) - 36) / 8);
    const uint8_t *found = NULL;
    for (unsigned i = 0; i < count; i++) {
        uint32_t at = ld32(rsdt + 36 + 4 * i);
        assert_int_equal(at, ld64(xsdt + 36 + 8 * i));
        if (!memcmp(fw->mem + at, signature, 4))
            found = table_at(fw, at, signature);
    }
    assert_non_null(found);
    return found;
}

static const struct acpi_board small = {
    .cpus = 1, .below_4g = 512 * MiB, .com = {true}, .pm_base = 0xb000};
static const struct acpi_board large = {.cpus = 4,
                                        .topology = {2, 3, 1}, /* three cores: IDs 0-2 and 4-6 */
                                        .below_4g = 3 * GiB,
                                        .above_4g = 61 * GiB,
                                        .com = {true, true, true, true},
                                        .lpt = true,
                                        .hpet = true,
                                        .fdc = true,
                                        .pm_base = 0x600};

static void test_fadt(void **state)
{
    (void)state;
    struct acpi_blobs blobs;
    assert_true(acpi_build(&small, &blobs));
    struct firmware *fw = load(&blobs);
    const uint8_t *t = find_table(fw, "FACP");
    assert_int_equal(ld32(t + 4), 244);
    assert_int_equal(t[8], 3);
    const uint8_t *facs = fw->mem + ld32(t + 36);
    assert_memory_equal(facs, "FACS\x40\0\0", 8);
    assert_int_equal(ld32(t + 36) % 64, 0);
    assert_int_equal(ld64(t + 132), ld32(t + 36));
    table_at(fw, ld32(t + 40), "DSDT");
    assert_int_equal(ld32(t + 40), ld64(t + 140));
    assert_int_equal(ld16(t + 46), 9);      /* SCI */
    assert_int_equal(ld32(t + 48), 0xb2);   /* SMI_CMD */
    assert_int_equal(ld16(t + 52), 0xf0f1); /* enable, disable */
    assert_int_equal(ld32(t + 56), 0xb000); /* PM1a_EVT */
    assert_int_equal(ld32(t + 64), 0xb004); /* PM1a_CNT */
    assert_int_equal(ld32(t + 76), 0xb008); /* PM_TMR */
    assert_int_equal(ld32(t + 80), 0xb00c); /* GPE0 */
    assert_int_equal(t[108], 0x32);
    assert_int_equal(ld32(t + 112) & BIT(4), 0); /* the power button is a fixed one */
    assert_memory_equal(t + 116, "\x01\x08\x00\x01\xf9\x0c\0\0\0\0\0\0\x06", 13);
    static const struct {
        unsigned x, old, length; /* offsets of the extended and the old address, the length byte */
    } blocks[] = {{148, 56, 88}, {172, 64, 89}, {208, 76, 91}, {220, 80, 92}};
    for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
        assert_int_equal(t[blocks[i].x], 1);
        assert_int_equal(t[blocks[i].x + 1], 8 * t[blocks[i].length]);
        assert_int_equal(ld64(t + blocks[i].x + 4), ld32(t + blocks[i].old));
    }
    free(fw);
    acpi_blobs_free(&blobs);
}

static void test_madt(void **state)
{
    (void)state;
    struct acpi_blobs blobs;
    assert_true(acpi_build(&large, &blobs));
    struct firmware *fw = load(&blobs);
    const uint8_t *t = find_table(fw, "APIC");
    unsigned cpus = 0, ioapics = 0, overrides = 0, nmis = 0;
    assert_int_equal(ld32(t + 36), 0xfee00000);
    assert_int_equal(ld32(t + 40), 1);
    const uint8_t *p = t + 44, *end = t + ld32(t + 4);
    for (; p < end; p += p[1]) {
        static const uint8_t lengths[] = {8, 12, 10, 0, 6};
        assert_in_range(p[0], 0, 4);
        assert_int_equal(p[1], lengths[p[0]]);
        switch (p[0]) {
        case 0:
            assert_int_equal(p[2], cpus);
            assert_int_equal(p[3], cpus < 3 ? cpus : cpus + 1);
            cpus++;
            assert_int_equal(ld32(p + 4), 1);
            break;
        case 1:
            assert_int_equal(ld32(p + 4), 0xfec00000);
            ioapics++;
            break;
        case 2:
            assert_int_equal(ld32(p + 4), p[3] ? p[3] : 2);
            assert_int_equal(ld16(p + 8), p[3] ? 0x0d : 0);
            overrides |= BIT(p[3]);
            break;
        case 4:
            assert_int_equal(p[2], 0xff);
            assert_int_equal(p[5], 1);
            nmis++;
            break;
        default:
            break;
        }
    }
    assert_ptr_equal(p, end);
    assert_int_equal(cpus, 4);
    assert_int_equal(ioapics, 1);
    assert_int_equal(nmis, 1);
    assert_int_equal(overrides, BIT(0) | BIT(5) | BIT(9) | BIT(10) | BIT(11));
    find_table(fw, "WAET");
    free(fw);
    acpi_blobs_free(&blobs);
}

static void test_hpet(void **state)
{
    (void)state;
    struct acpi_blobs blobs;
    assert_true(acpi_build(&large, &blobs));
    struct firmware *fw = load(&blobs);
    const uint8_t *t = find_table(fw, "HPET");
    assert_int_equal(ld32(t + 4), 56);
    assert_int_equal(ld32(t + 36), 0x8086a201); /* as the device's own register says */
    assert_int_equal(t[40], 0);                 /* memory */
    assert_int_equal(ld64(t + 44), 0xfed00000);
    assert_int_equal(t[52], 0);
    free(fw);
    acpi_blobs_free(&blobs);
}

/* The firmware may choose PMBASE after the lengths have been told. */
static void test_pm_base_changes_no_length(void **state)
{
    (void)state;
    struct acpi_blobs a, b;
    struct acpi_board board = small;
    assert_true(acpi_build(&board, &a));
    board.pm_base = 0;
    assert_true(acpi_build(&board, &b));
    assert_int_equal(a.tables_len, b.tables_len);
    assert_int_equal(a.loader_len, b.loader_len);
    assert_memory_equal(a.loader, b.loader, a.loader_len);
    assert_memory_equal(a.rsdp, b.rsdp, sizeof a.rsdp);
    acpi_blobs_free(&a);
    acpi_blobs_free(&b);
}

static void test_pci_hole64(void **state)
{
    (void)state;
    uint64_t first, last;
    acpi_pci_hole64(&small, &first, &last);
    assert_true(first == 4 * GiB && last == 6 * GiB - 1);
    acpi_pci_hole64(&large, &first, &last);
    assert_true(first == 65 * GiB && last == 67 * GiB - 1);
    acpi_pci_hole64(&(struct acpi_board){.above_4g = MiB}, &first, &last);
    assert_true(first == 5 * GiB);
}

/* Disassembles a table, then compiles it again; warnings count. */
static void check_with_iasl(const char *dir, const uint8_t *table, bool compile)
{
    char path[128], command[512];
    snprintf(path, sizeof path, "%s/t.aml", dir);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(table, 1, ld32(table + 4), f), ld32(table + 4));
    fclose(f);
    snprintf(command, sizeof command,
             "cd %s && iasl -d t.aml >log 2>&1 && ! grep -iE 'error|warning' log%s", dir,
             compile ? " && iasl -p again t.dsl >>log 2>&1 && "
                       "grep -q ' 0 Errors, 0 Warnings' log && ! grep -i 'warning ' log"
                     : "");
    if (system(command) != 0) {
        snprintf(command, sizeof command, "cat %s/log >&2", dir);
        if (system(command) != 0)
            print_message("no log\n");
        fail_msg("iasl finds fault with %.4s", (const char *)table);
    }
}

static void test_iasl(void **state)
{
    (void)state;
    if (system("command -v iasl >/dev/null 2>&1") != 0)
        SKIP("iasl is not installed");
    char dir[] = "/tmp/vitrine-acpi-XXXXXX", command[64];
    assert_non_null(mkdtemp(dir));
    const struct acpi_board *boards[] = {&small, &large};
    for (size_t i = 0; i < ARRAY_SIZE(boards); i++) {
        struct acpi_blobs blobs;
        assert_true(acpi_build(boards[i], &blobs));
        struct firmware *fw = load(&blobs);
        const uint8_t *fadt = find_table(fw, "FACP");
        check_with_iasl(dir, fw->mem + ld32(fadt + 40), true);
        check_with_iasl(dir, fadt, false);
        check_with_iasl(dir, find_table(fw, "APIC"), false);
        check_with_iasl(dir, find_table(fw, "WAET"), false);
        if (boards[i]->hpet)
            check_with_iasl(dir, find_table(fw, "HPET"), false);
        free(fw);
        acpi_blobs_free(&blobs);
    }
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aml_data),
        cmocka_unit_test(test_aml_lengths),
        cmocka_unit_test(test_aml_terms),
        cmocka_unit_test(test_fadt),
        cmocka_unit_test(test_hpet),
        cmocka_unit_test(test_madt),
        cmocka_unit_test(test_pm_base_changes_no_length),
        cmocka_unit_test(test_pci_hole64),
        cmocka_unit_test(test_iasl),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
