/*
 * See scale.h. Nearest neighbour: letters of eight dots look best with hard edges. Pixels are taken
 * as square, as the other emulators do, though a monitor shows 720x400 as 4:3.
 */
#include "host/scale.h"

struct scale_place scale_fit(const struct surface *s, uint32_t width, uint32_t height)
{
    struct scale_place at = {0};
    if (!s->width || !s->height)
        return at;
    const uint32_t times = MIN(width / s->width, height / s->height);
    if (times) {
        at.width = s->width * times;
        at.height = s->height * times;
    } else if ((uint64_t)width * s->height <= (uint64_t)height * s->width) {
        at.width = width;
        at.height = (uint32_t)((uint64_t)width * s->height / s->width);
    } else {
        at.width = (uint32_t)((uint64_t)height * s->width / s->height);
        at.height = height;
    }
    at.x = (width - at.width) / 2;
    at.y = (height - at.height) / 2;
    return at;
}

/* The first row below the place's top that shows this line or a later one. */
static uint32_t first_row(const struct scale_place *at, const struct surface *s, uint32_t line)
{
    return (uint32_t)(((uint64_t)line * at->height + s->height - 1) / s->height);
}

void scale_rows(const struct scale_place *at, const struct surface *s, uint32_t first,
                uint32_t count, uint32_t *top, uint32_t *bottom)
{
    *top = at->y + first_row(at, s, first);
    *bottom = at->y + first_row(at, s, first + count);
}

void scale_row(const struct scale_place *at, const struct surface *s, uint32_t row, uint32_t *out)
{
    const uint32_t line = (uint32_t)((uint64_t)(row - at->y) * s->height / at->height);
    const uint32_t *in = s->pixels + (size_t)line * s->width;
    const uint32_t times = at->width / s->width;
    if (at->width == s->width) {
        memcpy(out, in, (size_t)s->width * sizeof *out);
    } else if (times) { /* scale_fit() makes whole multiples only */
        for (uint32_t x = 0; x < s->width; x++)
            for (uint32_t i = 0; i < times; i++)
                *out++ = in[x];
    } else {
        for (uint32_t x = 0; x < at->width; x++)
            out[x] = in[(uint64_t)x * s->width / at->width];
    }
}
