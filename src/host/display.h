/*
 * A picture of the guest's screen. The video device implements display_source; screendump, the
 * window and tests ask it to draw.
 */
#ifndef VITRINE_HOST_DISPLAY_H
#define VITRINE_HOST_DISPLAY_H

#include "core/error.h"
#include "core/types.h"

struct surface {
    uint32_t width, height;
    uint32_t *pixels; /* 0x00RRGGBB, width*height, no padding */
};

/* Lines of a picture: which of them changed. */
#define DISPLAY_MAX_LINES 4096
struct line_set {
    uint64_t bits[DISPLAY_MAX_LINES / 64];
};

static inline void line_set_add(struct line_set *set, uint32_t line)
{
    set->bits[line / 64] |= BIT64(line % 64);
}
void line_set_add_range(struct line_set *set, uint32_t first, uint32_t count);
/* The next run of lines in set at or after *first: moves *first to its start and returns its
 * length, 0 if there is none. */
uint32_t line_set_run(const struct line_set *set, uint32_t *first);

struct display_source {
    /* Draws the whole screen into s, (re)allocating s->pixels. False when the display is blank. */
    bool (*render)(void *opaque, struct surface *s);
    /*
     * For a window: s holds what the last update made of it (at first nothing). Draws what is
     * different now and adds those lines to changed, all of them when the size is new. False:
     * nothing is different. From the first call on the device keeps track of what is written.
     */
    bool (*update)(void *opaque, struct surface *s, struct line_set *changed);
    /* Copies the text screen as UTF-8 lines separated by '\n' into buf; 0 if not in a text mode. */
    size_t (*text)(void *opaque, char *buf, size_t size);
    void *opaque;
};

void surface_free(struct surface *s);
uint64_t surface_hash(const struct surface *s); /* FNV-1a over size and pixels */

enum surface_format { SURFACE_PNG, SURFACE_PPM };
bool surface_write(const struct surface *s, const char *path, enum surface_format format,
                   struct error *err);

#endif
