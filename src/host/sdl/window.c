/*
 * host/window.h by SDL 2. The picture goes into the window's surface by our own scaling, and only
 * the rows that changed go on to the display server. That takes no GPU and as good as nothing for a
 * text screen, which is why there is no OpenGL here.
 *
 * SDL wants all it does with a window on one thread, and some of that waits for the display server,
 * which a guest must not. So the window has a thread of its own, the only one that calls SDL:
 *
 *      machine's thread                        window's thread
 *      draw: lines -> picture, changed  --->   scales them into the surface, shows them
 *      wishes: size, title, grab        --->   carries them out
 *      poll: takes what is in input     <---   events
 *
 * "lock" guards all three and is held for moments. "drawing" guards the picture and is held for as
 * long as scaling takes; draw never waits for it, it comes again with the next frame.
 *
 * SDL counts windows by process, not by machine: a process should have one of them.
 *
 * When the X server goes away (the user logs out, a dropped ssh -X) Xlib calls its handler of I/O
 * errors on whichever thread notices, and exit() when that returns. Ours does not return: the
 * window's thread stays in it for ever, the machine's thread, which X calls only to wake the other,
 * jumps out; from then on nobody calls SDL for this window again ("lost").
 */
#define _GNU_SOURCE
#include "host/sdl/api.h"
#include "host/scale.h"
#include "host/window.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define MIN_WIDTH  160
#define MIN_HEIGHT 100
#define MAX_RECTS  32
#define MAX_INPUT  512
#define MAX_TITLE  256
#define FIXED      (SDL_WINDOW_FULLSCREEN_DESKTOP | SDL_WINDOW_MAXIMIZED)
#define LOST_MS    100 /* should a wake-up get lost, this is how long it takes */

enum input_kind {
    INPUT_KEY,
    INPUT_MOTION,
    INPUT_WHEEL,
    INPUT_BUTTON,
    INPUT_FOCUS,
    INPUT_EXPOSED,
    INPUT_CLOSE,
    INPUT_LOST,
};

struct input {
    enum input_kind kind;
    int a, b;
};

typedef int io_error_fn(void *display); /* XIOErrorHandler, of <X11/Xlib.h> */

struct sdl_window {
    struct host_window base;
    struct sdl sdl;
    struct window_events events;
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed_state;
    enum { OPENING, OPEN, FAILED, CLOSED } state;
    struct error *err; /* why it FAILED */
    bool woken, quit;
    bool lost; /* and its thread does not end any more */
    struct input input[MAX_INPUT];
    unsigned inputs;
    uint32_t width, height; /* the window's */
    bool hidden, fixed;     /* fixed: full-screen or maximised, it keeps its size */
    struct wishes {
        bool resize, title, grab, full_screen; /* which of them there are */
        uint32_t width, height;
        bool grabbed, full;
        char text[MAX_TITLE];
    } wishes;

    pthread_mutex_t drawing;
    struct surface picture;
    struct line_set changed;
    bool whole, pending;

    /* the window's thread alone */
    SDL_Window *window;
    io_error_fn *io_error_before;
    uint32_t *row; /* of a window whose pixels are not 00RRGGBBh: one to be converted */
    uint32_t row_width;
};

static struct sdl_window *from(struct host_window *w)
{
    return container_of(w, struct sdl_window, base);
}

/* --- the desktop is gone --- */

static _Thread_local struct sdl_window *threads_window; /* of the window's thread */
static _Thread_local jmp_buf *way_out;                  /* of a thread that calls X and may leave */

/* Lock is held. There is always room for this input: it is the last. */
static void lose(struct sdl_window *w)
{
    w->lost = true;
    if (w->state == OPENING) {
        error_set(w->err, "no window: the desktop is gone");
        w->err = NULL;
        w->state = FAILED;
    }
    w->inputs = MIN(w->inputs, (unsigned)MAX_INPUT - 1);
    w->input[w->inputs++] = (struct input){INPUT_LOST, 0, 0};
    pthread_cond_signal(&w->changed_state);
}

static int on_io_error(void *display)
{
    struct sdl_window *w = threads_window;
    (void)display;
    if (way_out)
        longjmp(*way_out, 1);
    if (!w)
        return 0;            /* another user of X: as ever */
    if (w->state != OPENING) /* it has the lock then */
        pthread_mutex_lock(&w->lock);
    if (!w->lost)
        lose(w);
    pthread_mutex_unlock(&w->lock);
    for (;;)
        pause();
}

/* SDL has loaded Xlib if it uses it, from where we would not look. NULL: there is none. */
static io_error_fn *set_io_error_handler(io_error_fn *handler)
{
    void *xlib = dlopen("libX11.so.6", RTLD_NOW | RTLD_NOLOAD);
    if (!xlib)
        return NULL;
    io_error_fn *(*set)(io_error_fn *) =
        (io_error_fn * (*)(io_error_fn *)) dlsym(xlib, "XSetIOErrorHandler");
    io_error_fn *before = set ? set(handler) : NULL;
    dlclose(xlib);
    return before;
}

/* --- the window's thread: events --- */

static void put_input(struct sdl_window *w, enum input_kind kind, int a, int b)
{
    pthread_mutex_lock(&w->lock);
    struct input *last = w->inputs ? &w->input[w->inputs - 1] : NULL;
    if (kind == INPUT_MOTION && last && last->kind == INPUT_MOTION) {
        last->a += a;
        last->b += b;
    } else if (w->inputs < MAX_INPUT) {
        w->input[w->inputs++] = (struct input){kind, a, b};
    }
    pthread_mutex_unlock(&w->lock);
}

static void window_event(struct sdl_window *w, const SDL_WindowEvent *e)
{
    bool hidden = false;
    switch (e->event) {
    case SDL_WINDOWEVENT_CLOSE:
        put_input(w, INPUT_CLOSE, 0, 0);
        return;
    case SDL_WINDOWEVENT_FOCUS_GAINED:
    case SDL_WINDOWEVENT_FOCUS_LOST:
        put_input(w, INPUT_FOCUS, e->event == SDL_WINDOWEVENT_FOCUS_GAINED, 0);
        return;
    case SDL_WINDOWEVENT_HIDDEN:
    case SDL_WINDOWEVENT_MINIMIZED:
        hidden = true;
        break;
    case SDL_WINDOWEVENT_SHOWN:
    case SDL_WINDOWEVENT_RESTORED:
    case SDL_WINDOWEVENT_MAXIMIZED:
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
        break;
    default:
        return;
    }
    int width, height;
    w->sdl.GetWindowSize(w->window, &width, &height);
    pthread_mutex_lock(&w->lock);
    w->hidden = hidden;
    w->fixed = w->sdl.GetWindowFlags(w->window) & FIXED;
    w->width = (uint32_t)width;
    w->height = (uint32_t)height;
    pthread_mutex_unlock(&w->lock);
    put_input(w, INPUT_EXPOSED, 0, 0);
}

static void button_event(struct sdl_window *w, const SDL_MouseButtonEvent *e)
{
    static const enum window_button buttons[] = {
        [SDL_BUTTON_LEFT] = WINDOW_LEFT,   [SDL_BUTTON_MIDDLE] = WINDOW_MIDDLE,
        [SDL_BUTTON_RIGHT] = WINDOW_RIGHT, [SDL_BUTTON_X1] = WINDOW_SIDE,
        [SDL_BUTTON_X2] = WINDOW_EXTRA,
    };
    if (e->button < ARRAY_SIZE(buttons) && buttons[e->button])
        put_input(w, INPUT_BUTTON, (int)buttons[e->button], e->type == SDL_MOUSEBUTTONDOWN);
}

static void handle(struct sdl_window *w, const SDL_Event *e)
{
    switch (e->type) {
    case SDL_WINDOWEVENT:
        window_event(w, &e->window);
        break;
    case SDL_KEYDOWN:
    case SDL_KEYUP: /* SDL's scan codes are USB's usage numbers */
        put_input(w, INPUT_KEY, (int)e->key.keysym.scancode, e->type == SDL_KEYDOWN);
        break;
    case SDL_MOUSEMOTION:
        put_input(w, INPUT_MOTION, e->motion.xrel, e->motion.yrel);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        button_event(w, &e->button);
        break;
    case SDL_MOUSEWHEEL:
        put_input(w, INPUT_WHEEL,
                  e->wheel.direction == SDL_MOUSEWHEEL_FLIPPED ? e->wheel.y : -e->wheel.y, 0);
        break;
    default:
        break; /* a wake-up among them */
    }
}

/* --- the window's thread: picture --- */

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

static void show(struct sdl_window *w)
{
    SDL_Rect rects[MAX_RECTS];
    SDL_Surface *to = w->sdl.GetWindowSurface(w->window);
    if (!to || (SDL_MUSTLOCK(to) && w->sdl.LockSurface(to) != 0))
        return;
    pthread_mutex_lock(&w->drawing);
    const struct surface *s = &w->picture;
    const struct scale_place at = scale_fit(s, (uint32_t)to->w, (uint32_t)to->h);
    int n = w->pending;
    if (w->pending && w->whole) {
        rects[0] = rect(0, 0, (uint32_t)to->w, (uint32_t)to->h);
        w->sdl.FillRect(to, NULL, 0);
        draw_rows(w, to, &at, s, at.y, at.y + at.height);
    } else if (w->pending) {
        n = draw_lines(w, to, &at, s, &w->changed, rects);
    }
    w->whole = w->pending = false;
    w->changed = (struct line_set){0};
    pthread_mutex_unlock(&w->drawing);
    if (SDL_MUSTLOCK(to))
        w->sdl.UnlockSurface(to);
    if (n)
        w->sdl.UpdateWindowSurfaceRects(w->window, rects, n);
}

/* --- the window's thread: life --- */

static void carry_out(struct sdl_window *w, const struct wishes *wish)
{
    if (wish->full_screen)
        w->sdl.SetWindowFullscreen(w->window, wish->full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    if (wish->resize && !(w->sdl.GetWindowFlags(w->window) & FIXED))
        w->sdl.SetWindowSize(w->window, (int)wish->width, (int)wish->height);
    if (wish->grab) {
        w->sdl.SetRelativeMouseMode(wish->grabbed ? SDL_TRUE : SDL_FALSE);
        w->sdl.SetWindowKeyboardGrab(w->window, wish->grabbed ? SDL_TRUE : SDL_FALSE);
    }
    if (wish->title)
        w->sdl.SetWindowTitle(w->window, wish->text);
}

static void serve(struct sdl_window *w)
{
    for (;;) {
        SDL_Event e;
        if (w->sdl.WaitEventTimeout(&e, LOST_MS))
            handle(w, &e);
        while (w->sdl.PollEvent(&e))
            handle(w, &e);
        pthread_mutex_lock(&w->lock);
        const struct wishes wishes = w->wishes;
        const bool quit = w->quit;
        w->wishes = (struct wishes){0};
        w->woken = false;
        pthread_mutex_unlock(&w->lock);
        if (quit)
            return;
        carry_out(w, &wishes);
        show(w);
    }
}

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

static void close_video(struct sdl_window *w)
{
    w->sdl.QuitSubSystem(SDL_INIT_VIDEO);
    set_io_error_handler(w->io_error_before);
}

static bool open_window(struct sdl_window *w, struct error *err)
{
    set_hints(&w->sdl);
    if (w->sdl.InitSubSystem(SDL_INIT_VIDEO) != 0)
        return error_set(err, "no window: %s", w->sdl.GetError());
    w->io_error_before = set_io_error_handler(on_io_error);
    w->window =
        w->sdl.CreateWindow(w->wishes.text, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                            (int)w->width, (int)w->height, SDL_WINDOW_RESIZABLE);
    if (!w->window) {
        error_set(err, "no window: %s", w->sdl.GetError());
        close_video(w);
        return false;
    }
    w->sdl.SetWindowMinimumSize(w->window, MIN_WIDTH, MIN_HEIGHT);
    w->sdl.StopTextInput(); /* keys are wanted, not what an input method makes of them */
    return true;
}

static void *window_thread(void *opaque)
{
    struct sdl_window *w = opaque;
    threads_window = w;
    pthread_mutex_lock(&w->lock);
    w->state = open_window(w, w->err) ? OPEN : FAILED;
    w->err = NULL;
    const bool open = w->state == OPEN;
    pthread_cond_signal(&w->changed_state);
    pthread_mutex_unlock(&w->lock);
    if (!open)
        return NULL;
    serve(w);
    w->sdl.DestroyWindow(w->window);
    close_video(w);
    pthread_mutex_lock(&w->lock);
    w->state = CLOSED;
    pthread_cond_signal(&w->changed_state);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are for the threads that were there before. */
static bool start_thread(struct sdl_window *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&w->thread, NULL, window_thread, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return !failed;
}

/* --- the machine's thread --- */

/* Lock is held. There is something to do for the window's thread. */
static void wake(struct sdl_window *w)
{
    SDL_Event e = {.type = SDL_USEREVENT};
    jmp_buf out;
    if (w->lost || w->woken)
        return;
    w->woken = true;
    way_out = &out;
    if (!setjmp(out))
        w->sdl.PushEvent(&e);
    else
        lose(w); /* with locks of SDL's, which the window's thread may wait for in vain */
    way_out = NULL;
}

static void give(const struct window_events *to, const struct input *i)
{
    switch (i->kind) {
    case INPUT_KEY:
        to->key(to->opaque, (unsigned)i->a, i->b);
        break;
    case INPUT_MOTION:
        to->motion(to->opaque, i->a, i->b);
        break;
    case INPUT_WHEEL:
        to->wheel(to->opaque, i->a);
        break;
    case INPUT_BUTTON:
        to->button(to->opaque, (enum window_button)i->a, i->b);
        break;
    case INPUT_FOCUS:
        to->focus(to->opaque, i->a);
        break;
    case INPUT_EXPOSED:
        to->exposed(to->opaque);
        break;
    case INPUT_CLOSE:
        to->close(to->opaque);
        break;
    case INPUT_LOST:
        to->lost(to->opaque);
        break;
    }
}

static void poll(struct host_window *hw)
{
    struct sdl_window *w = from(hw);
    struct input input[MAX_INPUT];
    pthread_mutex_lock(&w->lock);
    const unsigned n = w->inputs;
    memcpy(input, w->input, n * sizeof *input);
    w->inputs = 0;
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < n; i++)
        give(&w->events, &input[i]);
}

/* The lines of s into the picture that the window's thread draws from. */
static bool take_lines(struct sdl_window *w, const struct surface *s, const struct line_set *lines)
{
    struct surface *to = &w->picture;
    if (to->width != s->width || to->height != s->height) {
        surface_free(to);
        to->pixels = malloc((size_t)s->width * s->height * sizeof *to->pixels);
        if (!to->pixels)
            return false;
        to->width = s->width;
        to->height = s->height;
        lines = NULL;
    }
    struct line_set all = {0};
    if (!lines) {
        line_set_add_range(&all, 0, s->height);
        lines = &all;
        w->whole = true;
    }
    uint32_t first = 0, count;
    while ((count = line_set_run(lines, &first)) && first < s->height) {
        const size_t at = (size_t)first * s->width;
        count = MIN(count, s->height - first);
        memcpy(to->pixels + at, s->pixels + at, (size_t)count * s->width * sizeof *to->pixels);
        line_set_add_range(&w->changed, first, count);
        first += count;
    }
    w->pending = true;
    return true;
}

static bool draw(struct host_window *hw, const struct surface *s, const struct line_set *lines)
{
    struct sdl_window *w = from(hw);
    if (pthread_mutex_trylock(&w->drawing) != 0)
        return false;
    const bool taken = take_lines(w, s, lines);
    pthread_mutex_unlock(&w->drawing);
    pthread_mutex_lock(&w->lock);
    wake(w);
    pthread_mutex_unlock(&w->lock);
    return taken;
}

static void size(struct host_window *hw, uint32_t *width, uint32_t *height)
{
    struct sdl_window *w = from(hw);
    pthread_mutex_lock(&w->lock);
    *width = w->width;
    *height = w->height;
    pthread_mutex_unlock(&w->lock);
}

/* From here to end_wish() the wishes may be added to. */
static struct wishes *begin_wish(struct host_window *hw)
{
    pthread_mutex_lock(&from(hw)->lock);
    return &from(hw)->wishes;
}

static void end_wish(struct host_window *hw)
{
    wake(from(hw));
    pthread_mutex_unlock(&from(hw)->lock);
}

static void resize(struct host_window *hw, uint32_t width, uint32_t height)
{
    struct wishes *wish = begin_wish(hw);
    wish->resize = true;
    wish->width = width;
    wish->height = height;
    if (!from(hw)->fixed) { /* whoever asks before that is done is told what will be */
        from(hw)->width = width;
        from(hw)->height = height;
    }
    end_wish(hw);
}

static void set_title(struct host_window *hw, const char *title)
{
    struct wishes *wish = begin_wish(hw);
    wish->title = true;
    strncpy(wish->text, title, sizeof wish->text - 1);
    end_wish(hw);
}

static void grab(struct host_window *hw, bool on)
{
    struct wishes *wish = begin_wish(hw);
    wish->grab = true;
    wish->grabbed = on;
    end_wish(hw);
}

static void full_screen(struct host_window *hw, bool on)
{
    struct wishes *wish = begin_wish(hw);
    wish->full_screen = true;
    wish->full = on;
    end_wish(hw);
}

static bool visible(struct host_window *hw)
{
    struct sdl_window *w = from(hw);
    pthread_mutex_lock(&w->lock);
    const bool shown = !w->hidden && !w->lost;
    pthread_mutex_unlock(&w->lock);
    return shown;
}

static void release(struct sdl_window *w)
{
    surface_free(&w->picture);
    sdl_unload(&w->sdl);
    pthread_cond_destroy(&w->changed_state);
    pthread_mutex_destroy(&w->drawing);
    pthread_mutex_destroy(&w->lock);
    free(w->row);
    free(w);
}

/* Lock is held. What a thread that does not end may still look at stays for it. */
static void leave(struct sdl_window *w)
{
    const bool lost = w->lost;
    pthread_mutex_unlock(&w->lock);
    if (lost) {
        pthread_detach(w->thread);
        return;
    }
    pthread_join(w->thread, NULL);
    release(w);
}

static void destroy(struct host_window *hw)
{
    struct sdl_window *w = from(hw);
    pthread_mutex_lock(&w->lock);
    w->quit = true;
    wake(w);
    while (w->state != CLOSED && !w->lost)
        pthread_cond_wait(&w->changed_state, &w->lock);
    leave(w);
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

static struct sdl_window *create(uint32_t width, uint32_t height)
{
    struct sdl_window *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    pthread_mutex_init(&w->lock, NULL);
    pthread_mutex_init(&w->drawing, NULL);
    pthread_cond_init(&w->changed_state, NULL);
    w->base.ops = &ops;
    w->width = width;
    w->height = height;
    return w;
}

struct host_window *window_sdl_open(const char *title, uint32_t width, uint32_t height,
                                    const struct window_events *events, struct error *err)
{
    struct sdl_window *w = create(width, height);
    if (!w) {
        error_set(err, "out of memory");
        return NULL;
    }
    w->events = *events;
    w->err = err;
    strncpy(w->wishes.text, title, sizeof w->wishes.text - 1);
    if (!have_desktop(err) || !sdl_load(&w->sdl, err))
        goto fail;
    if (!start_thread(w)) {
        error_set(err, "no thread for the window");
        goto fail;
    }
    pthread_mutex_lock(&w->lock);
    while (w->state == OPENING)
        pthread_cond_wait(&w->changed_state, &w->lock);
    if (w->state == OPEN) {
        pthread_mutex_unlock(&w->lock);
        return &w->base;
    }
    leave(w);
    return NULL;
fail:
    release(w);
    return NULL;
}
