/*
 * A window on the host's desktop: what a toolkit does for ui/window.c, which decides what keys, the
 * mouse and the picture mean. There is one toolkit, SDL (host/sdl). All of this is called on the
 * machine's thread and never waits for the desktop; events come during poll.
 */
#ifndef VITRINE_HOST_WINDOW_H
#define VITRINE_HOST_WINDOW_H

#include "host/display.h"

enum window_button {
    WINDOW_LEFT = BIT(0),
    WINDOW_RIGHT = BIT(1),
    WINDOW_MIDDLE = BIT(2),
    WINDOW_SIDE = BIT(3),
    WINDOW_EXTRA = BIT(4),
};

struct window_events {
    void (*key)(void *opaque, unsigned usage, bool down); /* hid_keys.h; again: a repeat */
    void (*motion)(void *opaque, int dx, int dy);         /* to the right, down */
    void (*wheel)(void *opaque, int dz);                  /* towards the user */
    void (*button)(void *opaque, enum window_button button, bool down);
    void (*focus)(void *opaque, bool gained);
    void (*exposed)(void *opaque); /* it must be drawn anew as a whole */
    void (*close)(void *opaque);
    void (*lost)(void *opaque); /* with its desktop: there is no window any more */
    void *opaque;
};

struct host_window;

struct host_window_ops {
    /* Hands on what has happened since the last call. */
    void (*poll)(struct host_window *w);
    /* Takes these lines of the picture to show them, scaled to fit; lines NULL: all, and what is
     * around it. False: it is still busy with what it has, ask again. */
    bool (*draw)(struct host_window *w, const struct surface *s, const struct line_set *lines);
    void (*size)(struct host_window *w, uint32_t *width, uint32_t *height);
    /* A wish: full-screen and maximised windows stay as they are. */
    void (*resize)(struct host_window *w, uint32_t width, uint32_t height);
    void (*set_title)(struct host_window *w, const char *title);
    void (*grab)(struct host_window *w, bool on); /* pointer (hidden then) and keyboard */
    void (*full_screen)(struct host_window *w, bool on);
    bool (*visible)(struct host_window *w);
    void (*destroy)(struct host_window *w);
};

struct host_window {
    const struct host_window_ops *ops;
};

/* NULL and err, with what to do, when this build or this host has no SDL, or there is no desktop.
 */
struct host_window *window_sdl_open(const char *title, uint32_t width, uint32_t height,
                                    const struct window_events *events, struct error *err);

/* Could it be opened? Without opening it; err says why not. */
bool window_sdl_possible(struct error *err);

#endif
