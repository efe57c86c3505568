/*
 * host/window.h by SDL 2. The picture goes into the window's surface by our own scaling, and only
 * the rows that changed go on to the display server. That takes no GPU and as good as nothing for a
 * text screen, which is why there is no OpenGL here.
 *
 * SDL counts windows by process, not by machine: a process should have one of them.
 */
#include "host/sdl/api.h"
#include "host/scale.h"
#include "host/window.h"

#include <stdlib.h>

#define MIN_WIDTH  160
#define MIN_HEIGHT 100
#define MAX_RECTS  32

struct sdl_window {
    struct host_window base;
    struct sdl sdl;
    struct window_events events;
    SDL_Window *window;
    bool hidden;
    uint32_t *row; /* of a window whose pixels are not 00RRGGBBh: one to be converted */
    uint32_t row_width;
};

static struct sdl_window *from(struct host_window *w)
{
    return container_of(w, struct sdl_window, base);
}

/* --- events --- */

static void window_event(struct sdl_window *w, const SDL_WindowEvent *e)
{
    const struct window_events *to = &w->events;
    switch (e->event) {
    case SDL_WINDOWEVENT_CLOSE:
        to->close(to->opaque);
        break;
    case SDL_WINDOWEVENT_FOCUS_GAINED:
    case SDL_WINDOWEVENT_FOCUS_LOST:
        to->focus(to->opaque, e->event == SDL_WINDOWEVENT_FOCUS_GAINED);
        break;
    case SDL_WINDOWEVENT_HIDDEN:
    case SDL_WINDOWEVENT_MINIMIZED:
        w->hidden = true;
        break;
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_MAXIMIZED:
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
        w->hidden = false;
        to->exposed(to->opaque);
        break;
    default:
        break;
    }
}

static void button_event(struct sdl_window *w, const SDL_MouseButtonEvent *e)
{
    static const enum window_button buttons[] = {
        [SDL_BUTTON_LEFT] = WINDOW_LEFT,   [SDL_BUTTON_MIDDLE] = WINDOW_MIDDLE,
        [SDL_BUTTON_RIGHT] = WINDOW_RIGHT, [SDL_BUTTON_X1] = WINDOW_SIDE,
        [SDL_BUTTON_X2] = WINDOW_EXTRA,
    };
    if (e->button < ARRAY_SIZE(buttons) && buttons[e->button])
        w->events.button(w->events.opaque, buttons[e->button], e->type == SDL_MOUSEBUTTONDOWN);
}

static void poll(struct host_window *hw)
{
    struct sdl_window *w = from(hw);
    const struct window_events *to = &w->events;
    SDL_Event e;
    while (w->sdl.PollEvent(&e)) {
        switch (e.type) {
        case SDL_WINDOWEVENT:
            window_event(w, &e.window);
            break;
        case SDL_KEYDOWN:
        case SDL_KEYUP: /* SDL's scan codes are USB's usage numbers */
            to->key(to->opaque, e.key.keysym.scancode, e.type == SDL_KEYDOWN);
            break;
        case SDL_MOUSEMOTION:
            to->motion(to->opaque, e.motion.xrel, e.motion.yrel);
            break;
        case SDL_MOUSEBUTTONDOWN:
        case SDL_MOUSEBUTTONUP:
            button_event(w, &e.button);
            break;
        case SDL_MOUSEWHEEL:
            to->wheel(to->opaque,
                      e.wheel.direction == SDL_MOUSEWHEEL_FLIPPED ? e.wheel.y : -e.wheel.y);
            break;
        default:
            break;
        }
    }
}

/* --- picture --- */

/* Pixels are 00RRGGBBh in the window too, so that rows need no conversion. */
static bool same_format(const SDL_Surface *to)
{
    const SDL_PixelFormat *f = to->format;
    return f->BytesPerPixel == 4 && f->Rmask == 0xff0000 && f->Gmask == 0xff00 && f->Bmask == 0xff;
}

static uint32_t *row_buffer(struct sdl_window *w, uint32_t width)
{
    if (width > w->row_width) {
        free(w->row);
        w->row = malloc((size_t)width * sizeof *w->row);
        w->row_width = w->row ? width : 0;
    }
    return w->row;
}

static void draw_rows(struct sdl_window *w, SDL_Surface *to, const struct scale_place *at,
                      const struct surface *s, uint32_t top, uint32_t bottom)
{
    const unsigned pixel_bytes = to->format->BytesPerPixel;
    const bool direct = same_format(to);
    uint32_t *buffer = direct ? NULL : row_buffer(w, at->width);
    if (!direct && !buffer)
        return;
    for (uint32_t y = top; y < bottom; y++) {
        uint8_t *out =
            (uint8_t *)to->pixels + (size_t)y * (size_t)to->pitch + (size_t)at->x * pixel_bytes;
        scale_row(at, s, y, direct ? (uint32_t *)(void *)out : buffer);
        if (!direct)
            w->sdl.ConvertPixels((int)at->width, 1, SDL_PIXELFORMAT_RGB888, buffer,
                                 (int)at->width * 4, to->format->format, out, to->pitch);
    }
}

static SDL_Rect rect(uint32_t x, uint32_t y, uint32_t width, uint32_t height)
{
    return (SDL_Rect){(int)x, (int)y, (int)width, (int)height};
}

/* The runs of changed lines; what is beyond MAX_RECTS goes with the last of them. */
static int draw_lines(struct sdl_window *w, SDL_Surface *to, const struct scale_place *at,
                      const struct surface *s, const struct line_set *lines, SDL_Rect *rects)
{
    uint32_t first = 0, count, top, bottom;
    int n = 0;
    while ((count = line_set_run(lines, &first)) && first < s->height) {
        scale_rows(at, s, first, MIN(count, s->height - first), &top, &bottom);
        first += count;
        if (top == bottom)
            continue;
        draw_rows(w, to, at, s, top, bottom);
        if (n == MAX_RECTS)
            rects[n - 1].h = (int)bottom - rects[n - 1].y;
        else
            rects[n++] = rect(at->x, top, at->width, bottom - top);
    }
    return n;
}

static void draw(struct host_window *hw, const struct surface *s, const struct line_set *lines)
{
    struct sdl_window *w = from(hw);
    SDL_Surface *to = w->sdl.GetWindowSurface(w->window);
    if (!to || (SDL_MUSTLOCK(to) && w->sdl.LockSurface(to) != 0))
        return;
    const struct scale_place at = scale_fit(s, (uint32_t)to->w, (uint32_t)to->h);
    SDL_Rect rects[MAX_RECTS];
    int n = 1;
    if (lines) {
        n = draw_lines(w, to, &at, s, lines, rects);
    } else {
        rects[0] = rect(0, 0, (uint32_t)to->w, (uint32_t)to->h);
        w->sdl.FillRect(to, NULL, 0);
        draw_rows(w, to, &at, s, at.y, at.y + at.height);
    }
    if (SDL_MUSTLOCK(to))
        w->sdl.UnlockSurface(to);
    if (n)
        w->sdl.UpdateWindowSurfaceRects(w->window, rects, n);
}

/* --- the window itself --- */

static void size(struct host_window *hw, uint32_t *width, uint32_t *height)
{
    struct sdl_window *w = from(hw);
    int x, y;
    w->sdl.GetWindowSize(w->window, &x, &y);
    *width = (uint32_t)x;
    *height = (uint32_t)y;
}

static void resize(struct host_window *hw, uint32_t width, uint32_t height)
{
    struct sdl_window *w = from(hw);
    const Uint32 fixed = SDL_WINDOW_FULLSCREEN_DESKTOP | SDL_WINDOW_MAXIMIZED;
    if (!(w->sdl.GetWindowFlags(w->window) & fixed))
        w->sdl.SetWindowSize(w->window, (int)width, (int)height);
}

static void set_title(struct host_window *hw, const char *title)
{
    from(hw)->sdl.SetWindowTitle(from(hw)->window, title);
}

static void grab(struct host_window *hw, bool on)
{
    struct sdl_window *w = from(hw);
    w->sdl.SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
    w->sdl.SetWindowKeyboardGrab(w->window, on ? SDL_TRUE : SDL_FALSE);
}

static void full_screen(struct host_window *hw, bool on)
{
    from(hw)->sdl.SetWindowFullscreen(from(hw)->window, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

static bool visible(struct host_window *hw)
{
    return !from(hw)->hidden;
}

static void destroy(struct host_window *hw)
{
    struct sdl_window *w = from(hw);
    if (w->window)
        w->sdl.DestroyWindow(w->window);
    w->sdl.QuitSubSystem(SDL_INIT_VIDEO);
    sdl_unload(&w->sdl);
    free(w->row);
    free(w);
}

static const struct host_window_ops ops = {
    .poll = poll,
    .draw = draw,
    .size = size,
    .resize = resize,
    .set_title = set_title,
    .grab = grab,
    .full_screen = full_screen,
    .visible = visible,
    .destroy = destroy,
};

/* A variable that is set to nothing counts as not set, as X's own library has it. */
static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value && *value;
}

static bool have_desktop(struct error *err)
{
    return is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") || is_set("SDL_VIDEODRIVER") ||
           error_set(err, "no desktop: neither DISPLAY nor WAYLAND_DISPLAY is set; use -display "
                          "none or -nographic");
}

bool window_sdl_possible(struct error *err)
{
    struct sdl sdl;
    if (!have_desktop(err) || !sdl_load(&sdl, err))
        return false;
    sdl_unload(&sdl);
    return true;
}

static void set_hints(const struct sdl *sdl)
{
    static const struct {
        const char *name, *value;
    } hints[] = {
        {SDL_HINT_NO_SIGNAL_HANDLERS, "1"}, /* main.c has its own */
        {SDL_HINT_APP_NAME, "Vitrine"},
        {SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1"},
        {SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0"},
        {SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0"},
        {SDL_HINT_FRAMEBUFFER_ACCELERATION, "0"}, /* rows go to the server, not to a GPU */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(hints); i++)
        sdl->SetHintWithPriority(hints[i].name, hints[i].value, SDL_HINT_OVERRIDE);
    /* SDL would try all it has, down to drivers that show nothing to anybody. */
    if (!is_set("SDL_VIDEODRIVER"))
        sdl->SetHintWithPriority(SDL_HINT_VIDEODRIVER, is_set("DISPLAY") ? "x11" : "wayland",
                                 SDL_HINT_OVERRIDE);
}

struct host_window *window_sdl_open(const char *title, uint32_t width, uint32_t height,
                                    const struct window_events *events, struct error *err)
{
    struct sdl_window *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(err, "out of memory");
        return NULL;
    }
    w->base.ops = &ops;
    w->events = *events;
    if (!have_desktop(err) || !sdl_load(&w->sdl, err))
        goto fail;
    set_hints(&w->sdl);
    if (w->sdl.InitSubSystem(SDL_INIT_VIDEO) != 0) {
        error_set(err, "no window: %s", w->sdl.GetError());
        goto fail_library;
    }
    w->window = w->sdl.CreateWindow(title, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                                    (int)width, (int)height, SDL_WINDOW_RESIZABLE);
    if (!w->window) {
        error_set(err, "no window: %s", w->sdl.GetError());
        goto fail_video;
    }
    w->sdl.SetWindowMinimumSize(w->window, MIN_WIDTH, MIN_HEIGHT);
    w->sdl.StopTextInput(); /* keys are wanted, not what an input method makes of them */
    return &w->base;
fail_video:
    w->sdl.QuitSubSystem(SDL_INIT_VIDEO);
fail_library:
    sdl_unload(&w->sdl);
fail:
    free(w);
    return NULL;
}
