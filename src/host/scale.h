/* A picture in a window of another size: by a whole factor where it fits, its shape kept always. */
#ifndef VITRINE_HOST_SCALE_H
#define VITRINE_HOST_SCALE_H

#include "host/display.h"

/* Where the picture lies in the window, in the window's pixels. */
struct scale_place {
    uint32_t x, y, width, height;
};

/* In the middle, as many whole times as large as fits; smaller only where it does not fit at all.
 */
struct scale_place scale_fit(const struct surface *s, uint32_t width, uint32_t height);

/* The window's rows that show the picture's lines from first on: [*top, *bottom). */
void scale_rows(const struct scale_place *at, const struct surface *s, uint32_t first,
                uint32_t count, uint32_t *top, uint32_t *bottom);

/* One of these rows, at->width pixels. */
void scale_row(const struct scale_place *at, const struct surface *s, uint32_t row, uint32_t *out);

#endif
