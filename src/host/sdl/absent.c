/* What stands in for this folder's other files where SDL's headers were missing at build time. */
#include "host/window.h"

bool window_sdl_possible(struct error *err)
{
    return error_set(err, "this program was built without SDL 2; install libsdl2-dev and build it "
                          "again, or use -display none or -nographic");
}

struct host_window *window_sdl_open(const char *title, uint32_t width, uint32_t height,
                                    const struct window_events *events, struct error *err)
{
    (void)title, (void)width, (void)height, (void)events;
    window_sdl_possible(err);
    return NULL;
}
