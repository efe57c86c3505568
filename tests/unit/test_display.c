/* Pictures to files: PNG and PPM read back, and what happens when the disk says no. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/display.h"
#include "skip.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

static char dir[] = "/tmp/vitrine-display-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir); /* empty, or a test left something behind */
}

static char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static struct surface noise(uint32_t width, uint32_t height)
{
    struct surface s = {.width = width, .height = height};
    s.pixels = malloc((size_t)width * height * 4);
    uint32_t seed = 1;
    for (size_t i = 0; i < (size_t)width * height; i++) {
        seed = seed * 1664525 + 1013904223;
        s.pixels[i] = seed >> 8;
    }
    return s;
}

static uint8_t *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    uint8_t *buf = malloc(1 << 20);
    *len = fread(buf, 1, 1 << 20, f);
    fclose(f);
    return buf;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Undoes filters 0 (none) and 2 (up), the ones in use. */
static void check_lines(const struct surface *s, const uint8_t *raw)
{
    const size_t stride = 1 + (size_t)s->width * 3;
    uint8_t *line = calloc(1, stride);
    for (uint32_t y = 0; y < s->height; y++) {
        const uint8_t *in = raw + y * stride;
        assert_true(in[0] == 0 || in[0] == 2);
        for (size_t i = 1; i < stride; i++)
            line[i] = (uint8_t)(in[i] + (in[0] == 2 ? line[i] : 0));
        for (uint32_t x = 0; x < s->width; x++) {
            const uint8_t *rgb = line + 1 + 3 * (size_t)x;
            assert_int_equal(s->pixels[(size_t)y * s->width + x],
                             (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2]);
        }
    }
    free(line);
}

static void test_png(void **state)
{
    (void)state;
    struct surface s = noise(123, 45);
    struct error err = {0};
    size_t len;
    char *path = in_dir("noise.png");
    assert_true(surface_write(&s, path, SURFACE_PNG, &err));
    uint8_t *file = slurp(path, &len);
    assert_memory_equal(file, "\x89PNG\r\n\x1a\n", 8);
    unsigned chunks = 0;
    for (size_t at = 8; at < len; at += 12 + be32(file + at), chunks++) {
        static const char *const order[] = {"IHDR", "IDAT", "IEND"};
        const uint32_t n = be32(file + at);
        assert_true(chunks < 3 && at + 12 + n <= len);
        assert_memory_equal(file + at + 4, order[chunks], 4);
        assert_int_equal(be32(file + at + 8 + n), crc32(0, file + at + 4, n + 4));
        if (chunks == 0) {
            assert_int_equal(be32(file + at + 8), 123);
            assert_int_equal(be32(file + at + 12), 45);
            assert_memory_equal(file + at + 16, "\x08\x02\x00\x00\x00", 5);
        } else if (chunks == 1) {
            uLongf raw_len = 45 * (1 + 123 * 3) + 1;
            uint8_t *raw = malloc(raw_len);
            assert_int_equal(uncompress(raw, &raw_len, file + at + 8, n), Z_OK);
            assert_int_equal(raw_len, 45 * (1 + 123 * 3));
            check_lines(&s, raw);
            free(raw);
        }
    }
    assert_int_equal(chunks, 3);
    free(file);
    unlink(path);
    surface_free(&s);
    assert_null(s.pixels);
}

static void test_ppm(void **state)
{
    (void)state;
    struct surface s = noise(7, 5);
    struct error err = {0};
    size_t len;
    char *path = in_dir("noise.ppm");
    assert_true(surface_write(&s, path, SURFACE_PPM, &err));
    uint8_t *file = slurp(path, &len);
    assert_int_equal(len, 11 + 7 * 5 * 3);
    assert_memory_equal(file, "P6\n7 5\n255\n", 11);
    for (unsigned i = 0; i < 35; i++)
        assert_int_equal(file[11 + 3 * i] << 16 | file[12 + 3 * i] << 8 | file[13 + 3 * i],
                         s.pixels[i]);
    free(file);
    unlink(path);
    surface_free(&s);
}

static void test_disk_full(void **state)
{
    (void)state;
    struct surface s = noise(64, 64);
    struct error err = {0};
    if (access("/dev/full", W_OK) != 0)
        SKIP("no /dev/full");
    assert_false(surface_write(&s, "/dev/full", SURFACE_PNG, &err));
    assert_non_null(strstr(err.msg, "/dev/full: disk full"));
    surface_free(&s);
}

/* The file stops growing half way: it is gone afterwards. */
static void test_no_half_file(void **state)
{
    (void)state;
    struct surface s = noise(200, 200);
    struct error err = {0};
    struct stat st;
    struct rlimit old, small;
    char *path = in_dir("half.png");
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 10000;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    const bool ok = surface_write(&s, path, SURFACE_PNG, &err);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_false(ok);
    assert_non_null(strstr(err.msg, "half.png"));
    assert_int_not_equal(stat(path, &st), 0);
    surface_free(&s);
}

static void test_refused(void **state)
{
    (void)state;
    struct surface s = noise(2, 2), none = {0};
    struct error err = {0};
    assert_false(surface_write(&s, in_dir("no/such/place.png"), SURFACE_PNG, &err));
    assert_non_null(strstr(err.msg, "place.png: No such file or directory"));
    err = (struct error){0};
    assert_false(surface_write(&none, in_dir("none.png"), SURFACE_PNG, &err));
    assert_non_null(strstr(err.msg, "there is no picture"));
    surface_free(&s);
}

static void test_hash(void **state)
{
    (void)state;
    struct surface a = noise(8, 4), b = noise(8, 4), c = noise(4, 8);
    assert_true(surface_hash(&a) == surface_hash(&b));
    assert_true(surface_hash(&a) != surface_hash(&c)); /* same pixels, another shape */
    b.pixels[31] ^= 1;
    assert_true(surface_hash(&a) != surface_hash(&b));
    surface_free(&a);
    surface_free(&b);
    surface_free(&c);
}

static void test_lines(void **state)
{
    (void)state;
    struct line_set set = {0};
    uint32_t first = 0;
    assert_int_equal(line_set_run(&set, &first), 0);
    line_set_add(&set, 0);
    line_set_add_range(&set, 62, 70);
    line_set_add_range(&set, DISPLAY_MAX_LINES - 2, 10); /* what is too far is left out */
    static const uint32_t runs[][2] = {{0, 1}, {62, 70}, {DISPLAY_MAX_LINES - 2, 2}};
    first = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
        const uint32_t count = line_set_run(&set, &first);
        assert_int_equal(first, runs[i][0]);
        assert_int_equal(count, runs[i][1]);
        first += count;
    }
    assert_int_equal(line_set_run(&set, &first), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png),       cmocka_unit_test(test_ppm),
        cmocka_unit_test(test_disk_full), cmocka_unit_test(test_no_half_file),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_hash),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
