/*
 * The window of a machine: its screen, and keys and mouse for it. It steers and watches like the
 * monitor does; the machine does not know it.
 */
#ifndef VITRINE_UI_WINDOW_H
#define VITRINE_UI_WINDOW_H

#include "host/window.h"
#include "machine.h"

struct window;

/* Opens a window as the machine's config asks. NULL and err on failure. */
struct window *window_create(struct machine *m, struct error *err);
void window_destroy(struct window *w); /* NULL is harmless */

/* For tests: the same around a window that is there already, made by open. */
typedef struct host_window *window_open_fn(const char *title, uint32_t width, uint32_t height,
                                           const struct window_events *events, struct error *err);
struct window *window_create_on(struct machine *m, window_open_fn *open, struct error *err);

#endif
