/* The SMBIOS structures: walked as the specification says, and by dmidecode where it is installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "bios/smbios.h"
#include "skip.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct smbios_board small = {.cpus = 1, .below_4g = 512 * MiB};
static const struct smbios_board large = {
    .cpus = 7, /* of eight: the second socket is not full */
    .topology = {2, 2, 2},
    .below_4g = 3 * GiB,
    .above_4g = 1021 * GiB,
    .uuid_set = true,
    .uuid = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
             0xee, 0xff},
    .cpu_signature = 0x000806ea,
    .cpu_features = 0x0783fbff,
};

/* The n-th structure of a type; walks all of them to the end and checks their shape. */
static const uint8_t *find(const struct smbios_blobs *b, uint8_t type, unsigned n)
{
    const uint8_t *p = b->tables, *end = p + b->tables_len, *found = NULL;
    unsigned count = 0, longest = 0;
    uint8_t last_type = 0;
    while (p < end) {
        const uint8_t *start = p;
        assert_true(p[1] >= 4 && p + p[1] + 2 <= end);
        if (p[0] == type && n-- == 0)
            found = p;
        last_type = p[0];
        p += p[1];
        while (p[0] || p[1]) {
            assert_true(p + 2 < end);
            p++;
        }
        p += 2;
        count++;
        longest = MAX(longest, (unsigned)(p - start));
    }
    assert_ptr_equal(p, end);
    assert_int_equal(last_type, 127);
    assert_int_equal(ld16(b->anchor + 22), b->tables_len);
    assert_int_equal(ld16(b->anchor + 28), count);
    assert_int_equal(ld16(b->anchor + 8), longest);
    return found;
}

static const char *string_of(const uint8_t *structure, unsigned offset)
{
    const char *s = (const char *)structure + structure[1];
    unsigned n = structure[offset];
    assert_true(n > 0);
    while (--n)
        s += strlen(s) + 1;
    return s;
}

static void test_structures(void **state)
{
    (void)state;
    struct smbios_blobs b;
    assert_true(smbios_build(&large, &b));
    assert_memory_equal(b.anchor, "_SM_", 4);
    assert_memory_equal(b.anchor + 16, "_DMI_", 5);
    assert_null(find(&b, 0, 0)); /* the firmware's */
    static const struct {
        uint8_t type, length;
    } all[] = {{1, 27}, {3, 22}, {4, 42}, {16, 23}, {17, 40}, {19, 31}, {32, 11}, {127, 4}};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        const uint8_t *s = find(&b, all[i].type, 0);
        assert_non_null(s);
        assert_int_equal(s[1], all[i].length);
    }
    const uint8_t *system = find(&b, 1, 0);
    assert_string_equal(string_of(system, 4), "Vitrine");
    assert_string_equal(string_of(system, 5), "Standard PC (i440FX + PIIX, 1996)");
    assert_memory_equal(system + 8,
                        "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
    const uint8_t *cpu = find(&b, 4, 0);
    assert_int_equal(ld32(cpu + 8), 0x000806ea);
    assert_string_equal(string_of(cpu, 4), "CPU 0");
    assert_int_equal(cpu[0x23], 2); /* cores, cores enabled, threads */
    assert_int_equal(cpu[0x24], 2);
    assert_int_equal(cpu[0x25], 4);
    const uint8_t *second = find(&b, 4, 1);
    assert_string_equal(string_of(second, 4), "CPU 1");
    assert_int_not_equal(ld16(second + 2), ld16(cpu + 2));
    assert_int_equal(second[0x24], 2);
    assert_null(find(&b, 4, 2));
    smbios_blobs_free(&b);
}

static void test_memory(void **state)
{
    (void)state;
    struct smbios_blobs b;
    assert_true(smbios_build(&small, &b));
    const uint8_t *array = find(&b, 16, 0), *dimm = find(&b, 17, 0), *mapped = find(&b, 19, 0);
    assert_int_equal(ld32(array + 7), 512 * KiB);
    assert_int_equal(ld16(array + 13), 1);
    assert_int_equal(ld16(dimm + 12), 512);
    assert_int_equal(ld16(dimm + 4), ld16(array + 2));
    assert_string_equal(string_of(dimm, 16), "DIMM 0");
    assert_int_equal(ld32(mapped + 4), 0);
    assert_int_equal(ld32(mapped + 8), 512 * KiB - 1);
    assert_null(find(&b, 19, 1));
    smbios_blobs_free(&b);

    assert_true(smbios_build(&large, &b));
    uint64_t sum = 0;
    for (unsigned n = 0; (dimm = find(&b, 17, n)); n++)
        sum += ld16(dimm + 12);
    assert_int_equal(sum, 1024 * KiB);
    mapped = find(&b, 19, 1);
    assert_int_equal(ld32(mapped + 4), 4 * MiB);
    assert_int_equal(ld32(mapped + 8), 1025 * MiB - 1);
    smbios_blobs_free(&b);

    /* An odd size: what is not a multiple of 16 GiB is in the last module. */
    assert_true(smbios_build(
        &(struct smbios_board){.cpus = 1, .below_4g = 3 * GiB, .above_4g = 14 * GiB}, &b));
    assert_int_equal(ld16(find(&b, 17, 0) + 12), 16 * KiB);
    assert_int_equal(ld16(find(&b, 17, 1) + 12), 1 * KiB);
    assert_null(find(&b, 17, 2));
    smbios_blobs_free(&b);
}

/* The file that "dmidecode --from-dump" reads: entry point, then the structures at 20h. */
static void write_dump(const char *path, const struct smbios_blobs *b)
{
    uint8_t head[32] = {0};
    memcpy(head, b->anchor, SMBIOS_ANCHOR_BYTES);
    st32(head + 24, sizeof head);
    for (unsigned i = 16; i < 31; i++)
        head[21] = (uint8_t)(head[21] - (i == 21 ? 0 : head[i]));
    for (unsigned i = 0; i < 31; i++)
        head[4] = (uint8_t)(head[4] - (i == 4 ? 0 : head[i]));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(head, 1, sizeof head, f), sizeof head);
    assert_int_equal(fwrite(b->tables, 1, b->tables_len, f), b->tables_len);
    fclose(f);
}

static void test_dmidecode(void **state)
{
    (void)state;
    if (system("PATH=$PATH:/usr/sbin command -v dmidecode >/dev/null 2>&1") != 0)
        SKIP("dmidecode is not installed");
    const struct smbios_board *boards[] = {&small, &large};
    for (size_t i = 0; i < ARRAY_SIZE(boards); i++) {
        struct smbios_blobs b;
        char path[] = "/tmp/vitrine-smbios-XXXXXX", command[512];
        int fd = mkstemp(path);
        assert_true(fd >= 0);
        close(fd);
        assert_true(smbios_build(boards[i], &b));
        write_dump(path, &b);
        snprintf(command, sizeof command,
                 "PATH=$PATH:/usr/sbin; dmidecode --from-dump %s >%s.out 2>&1 && "
                 "grep -q 'Standard PC' %s.out && ! grep -iE 'bad|warn|invalid|out of spec|broken|"
                 "wrong|truncated' %s.out",
                 path, path, path, path);
        int status = system(command);
        unlink(path);
        snprintf(command, sizeof command, "%s.out", path);
        unlink(command);
        smbios_blobs_free(&b);
        assert_int_equal(status, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_dmidecode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
