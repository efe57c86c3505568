/* Where a picture lies in a window, and which rows show which lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "host/scale.h"

#include <stdlib.h>

static struct surface numbered(uint32_t width, uint32_t height)
{
    struct surface s = {.width = width, .height = height};
    s.pixels = malloc((size_t)width * height * 4);
    for (uint32_t i = 0; i < width * height; i++)
        s.pixels[i] = i;
    return s;
}

static void test_fit(void **state)
{
    static const struct {
        uint32_t width, height;
        struct scale_place want;
    } rows[] = {
        {720, 400, {0, 0, 720, 400}},
        {1440, 800, {0, 0, 1440, 800}},
        {1500, 1300, {30, 250, 1440, 800}}, /* twice, not two and a bit */
        {1439, 900, {359, 250, 720, 400}},
        {1920, 1080, {240, 140, 1440, 800}},
        {360, 400, {0, 100, 360, 200}}, /* too small: the shape stays */
        {720, 100, {270, 0, 180, 100}},
        {1, 1, {0, 0, 1, 0}},
        {0, 0, {0, 0, 0, 0}},
    };
    (void)state;
    const struct surface s = {.width = 720, .height = 400};
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct scale_place at = scale_fit(&s, rows[i].width, rows[i].height);
        assert_memory_equal(&at, &rows[i].want, sizeof at);
    }
    const struct surface none = {0};
    assert_int_equal(scale_fit(&none, 10, 10).width, 0);
}

/* Every row of the picture shows one line, the lines in order, and rows_of(line) is right. */
static void check(uint32_t width, uint32_t height)
{
    struct surface s = numbered(13, 7);
    const struct scale_place at = scale_fit(&s, width, height);
    uint32_t *row = malloc((at.width + 1) * 4), end = at.y;
    for (uint32_t line = 0; line < s.height; line++) {
        uint32_t top, bottom;
        scale_rows(&at, &s, line, 1, &top, &bottom);
        assert_int_equal(top, end);
        for (uint32_t y = top; y < bottom; y++) {
            row[at.width] = 0xdead;
            scale_row(&at, &s, y, row);
            assert_int_equal(row[at.width], 0xdead);
            for (uint32_t x = 0; x < at.width; x++)
                assert_int_equal(row[x], line * s.width + x * s.width / at.width);
        }
        end = bottom;
    }
    assert_int_equal(end, at.y + at.height);
    free(row);
    surface_free(&s);
}

static void test_rows(void **state)
{
    (void)state;
    for (uint32_t width = 1; width < 60; width++)
        for (uint32_t height = 1; height < 40; height++)
            check(width, height);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
