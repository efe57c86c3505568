/* What stands in for this folder's other files where SDL's headers were missing at build time. */
#include "host/audio.h"
#include "host/window.h"

#define WITHOUT "this program was built without SDL 2; install libsdl2-dev and build it again"

bool window_sdl_possible(struct error *err)
{
    return error_set(err, WITHOUT ", or use -display none or -nographic");
}

struct audio *audio_sdl_open(const struct config_audio *cfg, bool at_once, struct log *log,
                             struct error *err)
{
    (void)cfg, (void)at_once, (void)log;
    error_set(err, "-audiodev sdl: " WITHOUT);
    return NULL;
}

struct host_window *window_sdl_open(const char *title, uint32_t width, uint32_t height,
                                    const struct window_events *events, struct error *err)
{
    (void)title, (void)width, (void)height, (void)events;
    window_sdl_possible(err);
    return NULL;
}
