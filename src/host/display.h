/*
 * A picture of the guest's screen. The video device implements display_source; screendump, the
 * window (later) and tests ask it to draw.
 */
#ifndef VITRINE_HOST_DISPLAY_H
#define VITRINE_HOST_DISPLAY_H

#include "core/error.h"
#include "core/types.h"

struct surface {
    uint32_t width, height;
    uint32_t *pixels; /* 0x00RRGGBB, width*height, no padding */
};

struct display_source {
    /* Draws the whole screen into s, (re)allocating s->pixels. False when the display is blank. */
    bool (*render)(void *opaque, struct surface *s);
    /* Copies the text screen as UTF-8 lines separated by '\n' into buf; 0 if not in a text mode. */
    size_t (*text)(void *opaque, char *buf, size_t size);
    void *opaque;
};

void surface_free(struct surface *s);
uint64_t surface_hash(const struct surface *s); /* FNV-1a over size and pixels */

/* Writes PNG, or PPM when path ends in .ppm. */
bool surface_write(const struct surface *s, const char *path, struct error *err);

#endif
