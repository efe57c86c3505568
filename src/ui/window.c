/*
 * See window.h. A timer on the machine's event loop, sixty times a second: what the window brought
 * goes to the guest through the door, what changed on the screen goes to the window. That is
 * between guest instructions, so it is short; what may take its time has a thread of its own in the
 * toolkit.
 *
 *      Ctrl-Alt-G   mouse and keyboard to the guest alone, or back; a click does it too
 *      Ctrl-Alt-F   full screen, or back
 *      Ctrl-Alt-+ - a whole factor larger, smaller
 *      Ctrl-Alt-0 U the picture's own size
 *
 * (-display sdl,grab-mod= chooses other keys for Ctrl-Alt.) The guest sees Ctrl and Alt go down,
 * and up again when one of these comes; it does not see the rest. Keys it was told of are let go
 * when the window loses the focus, or they would be stuck there.
 */
#include "ui/window.h"

#include "host/clock.h"
#include "host/hid_keys.h"

#include <stdio.h>
#include <stdlib.h>

#define FRAME_NS  (NS_PER_SEC / 60)
#define MAX_ZOOM  8
#define MAX_TITLE 256

enum { FIRST_WIDTH = 720, FIRST_HEIGHT = 400 }; /* until there is a picture: the text screen's */

/* Usage numbers (host/hid_keys.h) of the keys that mean something here. */
enum {
    KEY_F = 0x09,
    KEY_G = 0x0a,
    KEY_U = 0x18,
    KEY_0 = 0x27,
    KEY_MINUS = 0x2d,
    KEY_EQUAL = 0x2e,
    KEY_KP_MINUS = 0x56,
    KEY_KP_PLUS = 0x57,
    KEY_KP_0 = 0x62,
    KEY_LEFT_CTRL = 0xe0,
    KEY_LEFT_SHIFT = 0xe1,
    KEY_LEFT_ALT = 0xe2,
    KEY_RIGHT_CTRL = 0xe4,
    KEYS = 256,
};

struct window {
    struct machine *machine;
    struct host_window *host;
    struct machine_listener listener;
    uv_timer_t timer;
    int64_t next_frame_ns;

    struct surface picture;
    struct line_set changed;
    bool draw_all;
    bool waiting;           /* changed is still to be drawn */
    uint32_t width, height; /* of the picture the window was fitted to */

    bool held[KEYS]; /* at the host */
    bool told[KEYS]; /* and the guest knows */
    unsigned buttons;
    bool grabbed, full_screen;
};

/* --- title --- */

static const char *grab_words(const struct window *w)
{
    switch (machine_config(w->machine)->window.grab_mod) {
    case GRAB_RIGHT_CTRL:
        return "Right-Ctrl";
    case GRAB_SHIFT_CTRL_ALT:
        return "Shift-Ctrl-Alt";
    case GRAB_CTRL_ALT:
        break;
    }
    return "Ctrl-Alt";
}

static void make_title(const struct window *w, char title[MAX_TITLE])
{
    const char *name = machine_config(w->machine)->name;
    char grab[64] = "";
    if (w->grabbed)
        snprintf(grab, sizeof grab, " - Press %s-G to release grab", grab_words(w));
    snprintf(title, MAX_TITLE, "Vitrine%s%.100s%s%s%s", name ? " (" : "", name ? name : "",
             name ? ")" : "", machine_running(w->machine) ? "" : " [Paused]", grab);
}

static void show_title(struct window *w)
{
    char title[MAX_TITLE];
    make_title(w, title);
    w->host->ops->set_title(w->host, title);
}

static void stopped(void *opaque, enum stop_reason reason)
{
    (void)reason;
    show_title(opaque);
}

static void continued(void *opaque)
{
    show_title(opaque);
}

/* --- input --- */

static void tell(struct window *w, unsigned usage, bool down)
{
    const char *name = hid_key_name(usage);
    if (name && machine_send_key(w->machine, name, down))
        w->told[usage] = down;
}

static void let_go(struct window *w)
{
    for (unsigned usage = 0; usage < KEYS; usage++) {
        if (w->told[usage])
            tell(w, usage, false);
    }
    if (w->buttons)
        machine_mouse_buttons(w->machine, w->buttons = 0);
}

static void set_grab(struct window *w, bool on)
{
    if (w->grabbed == on)
        return;
    w->grabbed = on;
    let_go(w);
    w->host->ops->grab(w->host, on);
    show_title(w);
}

static void set_full_screen(struct window *w, bool on)
{
    w->full_screen = on;
    w->host->ops->full_screen(w->host, on);
    set_grab(w, on);
    w->draw_all = true;
}

/* How many whole times the picture fits the window. */
static uint32_t zoom(struct window *w)
{
    uint32_t width, height;
    if (!w->width || !w->height)
        return 1;
    w->host->ops->size(w->host, &width, &height);
    const uint32_t times = MIN(width / w->width, height / w->height);
    return MIN(MAX(times, 1), MAX_ZOOM);
}

static void set_zoom(struct window *w, uint32_t times)
{
    if (times >= 1 && times <= MAX_ZOOM && w->width)
        w->host->ops->resize(w->host, w->width * times, w->height * times);
}

static bool grab_keys_held(const struct window *w)
{
    const bool *held = w->held;
    switch (machine_config(w->machine)->window.grab_mod) {
    case GRAB_RIGHT_CTRL:
        return held[KEY_RIGHT_CTRL];
    case GRAB_SHIFT_CTRL_ALT:
        return held[KEY_LEFT_SHIFT] && held[KEY_LEFT_CTRL] && held[KEY_LEFT_ALT];
    case GRAB_CTRL_ALT:
        break;
    }
    return held[KEY_LEFT_CTRL] && held[KEY_LEFT_ALT];
}

/* True: the key was meant for us. */
static bool hot_key(struct window *w, unsigned usage)
{
    if (!grab_keys_held(w))
        return false;
    switch (usage) {
    case KEY_G:
        set_grab(w, !w->grabbed);
        break;
    case KEY_F:
        set_full_screen(w, !w->full_screen);
        break;
    case KEY_EQUAL:
    case KEY_KP_PLUS:
        set_zoom(w, zoom(w) + 1);
        break;
    case KEY_MINUS:
    case KEY_KP_MINUS:
        set_zoom(w, zoom(w) - 1);
        break;
    case KEY_0:
    case KEY_KP_0:
    case KEY_U:
        set_zoom(w, 1);
        break;
    default:
        return false;
    }
    let_go(w);
    return true;
}

static void key(void *opaque, unsigned usage, bool down)
{
    struct window *w = opaque;
    if (usage >= KEYS)
        return;
    const bool repeat = down && w->held[usage];
    w->held[usage] = down;
    if (!down) {
        if (w->told[usage])
            tell(w, usage, false);
        return;
    }
    if (repeat ? w->told[usage] : !hot_key(w, usage))
        tell(w, usage, true);
}

static void motion(void *opaque, int dx, int dy)
{
    struct window *w = opaque;
    if (w->grabbed)
        machine_mouse_move(w->machine, dx, dy, 0);
}

static void wheel(void *opaque, int dz)
{
    struct window *w = opaque;
    if (w->grabbed)
        machine_mouse_move(w->machine, 0, 0, dz);
}

/* The click that gives the mouse to the guest is not the guest's. */
static void button(void *opaque, enum window_button which, bool down)
{
    struct window *w = opaque;
    if (!w->grabbed) {
        if (down && which == WINDOW_LEFT)
            set_grab(w, true);
        return;
    }
    const unsigned buttons = down ? w->buttons | which : w->buttons & ~which;
    if (buttons != w->buttons)
        machine_mouse_buttons(w->machine, w->buttons = buttons);
}

static void focus(void *opaque, bool gained)
{
    struct window *w = opaque;
    if (gained)
        return;
    memset(w->held, 0, sizeof w->held);
    let_go(w);
    if (!w->full_screen)
        set_grab(w, false);
}

static void exposed(void *opaque)
{
    struct window *w = opaque;
    w->draw_all = true;
}

static void close_asked(void *opaque)
{
    struct window *w = opaque;
    if (!machine_config(w->machine)->window.no_close)
        machine_quit(w->machine, MACHINE_POWERED_OFF, 0);
}

/* The X server ended, or the connection to it. What is left of the window is destroyed as usual. */
static void lost(void *opaque)
{
    struct window *w = opaque;
    log_line(machine_log(w->machine), LOG_HOST, "the desktop is gone, and the window with it");
    memset(w->held, 0, sizeof w->held);
    let_go(w);
    close_asked(w);
}

/* --- picture --- */

/* The window follows the guest's mode by as many times as the picture was enlarged before. */
static void follow_size(struct window *w)
{
    if (w->picture.width == w->width && w->picture.height == w->height)
        return;
    const uint32_t times = zoom(w);
    w->width = w->picture.width;
    w->height = w->picture.height;
    set_zoom(w, times);
    w->draw_all = true;
}

static void show(struct window *w)
{
    struct display_source *source = machine_display(w->machine);
    if (!w->host->ops->visible(w->host))
        return;
    const bool changed = source->update(source->opaque, &w->picture, &w->changed);
    if ((!changed && !w->waiting && !w->draw_all) || !w->picture.pixels)
        return;
    follow_size(w);
    if (!w->host->ops->draw(w->host, &w->picture, w->draw_all ? NULL : &w->changed)) {
        w->waiting = true;
        return;
    }
    w->waiting = false;
    w->changed = (struct line_set){0};
    w->draw_all = false;
}

/* Sixty times a second on average, though libuv counts in milliseconds. */
static void frame(uv_timer_t *timer)
{
    struct window *w = timer->data;
    w->host->ops->poll(w->host);
    show(w);
    const int64_t now = host_clock_ns();
    w->next_frame_ns = MAX(w->next_frame_ns + FRAME_NS, now);
    uv_update_time(timer->loop);
    uv_timer_start(timer, frame, (uint64_t)((w->next_frame_ns - now) / NS_PER_MS) + 1, 0);
}

/* --- life --- */

struct window *window_create_on(struct machine *m, window_open_fn *open, struct error *err)
{
    char title[MAX_TITLE];
    if (!machine_display(m)) {
        error_set(err, "-display sdl: there is no video card to show (-vga none)");
        return NULL;
    }
    struct window *w = calloc(1, sizeof *w);
    if (!w) {
        error_set(err, "out of memory");
        return NULL;
    }
    w->machine = m;
    make_title(w, title);
    const struct window_events events = {
        .key = key,
        .motion = motion,
        .wheel = wheel,
        .button = button,
        .focus = focus,
        .exposed = exposed,
        .close = close_asked,
        .lost = lost,
        .opaque = w,
    };
    w->host = open(title, FIRST_WIDTH, FIRST_HEIGHT, &events, err);
    if (!w->host) {
        error_prefix(err, "-display sdl");
        free(w);
        return NULL;
    }
    w->width = FIRST_WIDTH;
    w->height = FIRST_HEIGHT;
    w->listener =
        (struct machine_listener){.stopped = stopped, .continued = continued, .opaque = w};
    machine_listen(m, &w->listener);
    if (machine_config(m)->window.full_screen)
        set_full_screen(w, true);
    w->draw_all = true;
    w->next_frame_ns = host_clock_ns();
    w->timer.data = w;
    uv_timer_init(&machine_loop(m)->uv, &w->timer);
    uv_timer_start(&w->timer, frame, 0, 0);
    return w;
}

struct window *window_create(struct machine *m, struct error *err)
{
    return window_create_on(m, window_sdl_open, err);
}

static void timer_closed(uv_handle_t *handle)
{
    struct window *w = handle->data;
    surface_free(&w->picture);
    free(w);
}

void window_destroy(struct window *w)
{
    if (!w)
        return;
    machine_unlisten(w->machine, &w->listener);
    w->host->ops->destroy(w->host);
    uv_close((uv_handle_t *)&w->timer, timer_closed);
}
