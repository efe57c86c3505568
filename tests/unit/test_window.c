/* The window's manners: what becomes of keys, mouse and picture, on a desktop that takes notes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_machine.h"
#include "ui/window.h"

#include <stdlib.h>

enum {
    A = 0x04,
    F = 0x09,
    G = 0x0a,
    PLUS = 0x2e,
    MINUS = 0x2d,
    ZERO = 0x27,
    CTRL = 0xe0,
    SHIFT = 0xe1,
    ALT = 0xe2,
    CTRL_R = 0xe4
};

/* The desktop. */
static struct {
    struct host_window base;
    struct window_events events;
    char title[300], said[4096];
    uint32_t width, height;
    bool hidden, open, busy;
} desk;

static __attribute__((format(printf, 1, 2))) void say(const char *fmt, ...)
{
    const size_t n = strlen(desk.said);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(desk.said + n, sizeof desk.said - n, fmt, ap);
    va_end(ap);
}

static void poll(struct host_window *w)
{
    (void)w;
}
static bool draw(struct host_window *w, const struct surface *s, const struct line_set *lines)
{
    (void)w;
    uint32_t first = 0, count;
    if (desk.busy)
        return false;
    if (!lines)
        say("all(%ux%u) ", s->width, s->height);
    while (lines && (count = line_set_run(lines, &first))) {
        say("lines(%u+%u) ", first, count);
        first += count;
    }
    return true;
}
static void size(struct host_window *w, uint32_t *width, uint32_t *height)
{
    (void)w;
    *width = desk.width;
    *height = desk.height;
}
static void resize(struct host_window *w, uint32_t width, uint32_t height)
{
    (void)w;
    desk.width = width;
    desk.height = height;
    say("size(%ux%u) ", width, height);
}
static void set_title(struct host_window *w, const char *title)
{
    (void)w;
    snprintf(desk.title, sizeof desk.title, "%s", title);
}
static void grab(struct host_window *w, bool on)
{
    (void)w;
    say("grab(%d) ", on);
}
static void full_screen(struct host_window *w, bool on)
{
    (void)w;
    say("full(%d) ", on);
}
static bool visible(struct host_window *w)
{
    (void)w;
    return !desk.hidden;
}
static void destroy(struct host_window *w)
{
    (void)w;
    desk.open = false;
}

static struct host_window *open_desk(const char *title, uint32_t width, uint32_t height,
                                     const struct window_events *events, struct error *err)
{
    static const struct host_window_ops ops = {poll, draw,        size,    resize, set_title,
                                               grab, full_screen, visible, destroy};
    if (desk.hidden) /* a test wants it to fail */
        return error_set(err, "no desktop"), NULL;
    desk.base.ops = &ops;
    desk.events = *events;
    desk.width = width;
    desk.height = height;
    desk.open = true;
    set_title(&desk.base, title);
    return &desk.base;
}

/* The screen. */
static struct {
    uint32_t width, height;
    int changed; /* the line that did, or -1 */
} screen;

static bool update(void *opaque, struct surface *s, struct line_set *changed)
{
    (void)opaque;
    if (s->width != screen.width || s->height != screen.height) {
        surface_free(s);
        s->pixels = calloc((size_t)screen.width * screen.height, 4);
        s->width = screen.width;
        s->height = screen.height;
        line_set_add_range(changed, 0, s->height);
        return true;
    }
    if (screen.changed < 0)
        return false;
    line_set_add(changed, (uint32_t)screen.changed);
    screen.changed = -1;
    return true;
}

static struct display_source source = {.update = update};

struct rig {
    struct window *window;
};

/* One turn of the event loop that has the timer fire. */
static void frames(unsigned n)
{
    desk.said[0] = '\0';
    while (n--)
        uv_run(&fake.loop.uv, UV_RUN_ONCE);
}

static int setup(void **state)
{
    struct error err = {0};
    struct rig *r = calloc(1, sizeof *r);
    fake_init();
    fake.cfg.name = "test";
    fake.display = &source;
    memset(&desk, 0, sizeof desk);
    screen.width = 720;
    screen.height = 400;
    screen.changed = -1;
    assert_true(host_loop_create(&fake.loop, &err));
    r->window = window_create_on(&fake, open_desk, &err);
    assert_non_null(r->window);
    frames(1);
    desk.said[0] = '\0';
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;
    window_destroy(r->window);
    assert_false(desk.open);
    assert_null(fake.listener);
    host_loop_destroy(&fake.loop);
    free(r);
    return 0;
}

static void press(unsigned usage)
{
    desk.events.key(desk.events.opaque, usage, true);
}
static void release(unsigned usage)
{
    desk.events.key(desk.events.opaque, usage, false);
}
static void hot(unsigned usage)
{
    press(CTRL);
    press(ALT);
    press(usage);
    release(usage);
    release(ALT);
    release(CTRL);
}

#define expect_asked(words)                     \
    do {                                        \
        assert_string_equal(fake.asked, words); \
        fake.asked[0] = '\0';                   \
    } while (0)
#define expect_said(words)                     \
    do {                                       \
        assert_string_equal(desk.said, words); \
        desk.said[0] = '\0';                   \
    } while (0)

static void test_keys(void **state)
{
    (void)state;
    press(A);
    press(A); /* the host repeats it */
    release(A);
    release(A); /* once is enough */
    expect_asked("+a +a -a ");
    press(0);
    press(0x3ff);
    release(0x3ff);
    expect_asked("");
}

static void test_hot_keys(void **state)
{
    (void)state;
    hot(G);
    expect_said("grab(1) ");
    /* the guest sees the modifiers, not the key, and they are up again */
    expect_asked("+ctrl +alt -ctrl -alt ");
    assert_string_equal(desk.title, "Vitrine (test) - Press Ctrl-Alt-G to release grab");
    hot(G);
    expect_said("grab(0) ");
    assert_string_equal(desk.title, "Vitrine (test)");
    fake.asked[0] = '\0';
    hot(A);
    expect_asked("+ctrl +alt +a -a -alt -ctrl ");
    press(G);
    release(G);
    press(SHIFT);
    press(F);
    release(F);
    release(SHIFT);
    expect_said("");
    hot(F);
    expect_said("full(1) grab(1) ");
    hot(F);
    expect_said("full(0) grab(0) ");
    /* Held down, it acts once. */
    press(CTRL);
    press(ALT);
    press(G);
    press(G);
    press(G);
    expect_said("grab(1) ");
}

static void test_other_grab_keys(void **state)
{
    (void)state;
    fake.cfg.window.grab_mod = GRAB_SHIFT_CTRL_ALT;
    hot(G);
    expect_said("");
    press(SHIFT);
    hot(G);
    expect_said("grab(1) ");
    assert_string_equal(desk.title, "Vitrine (test) - Press Shift-Ctrl-Alt-G to release grab");
    release(SHIFT);
    fake.cfg.window.grab_mod = GRAB_RIGHT_CTRL;
    press(CTRL_R);
    press(G);
    expect_said("grab(0) ");
}

static void test_mouse(void **state)
{
    (void)state;
    const struct window_events *e = &desk.events;
    e->motion(e->opaque, 5, 5);
    e->wheel(e->opaque, 1);
    e->button(e->opaque, WINDOW_RIGHT, true);
    e->button(e->opaque, WINDOW_RIGHT, false);
    expect_asked("");
    e->button(e->opaque, WINDOW_LEFT, true); /* takes the mouse, and is not the guest's */
    e->button(e->opaque, WINDOW_LEFT, false);
    expect_said("grab(1) ");
    expect_asked("");
    e->motion(e->opaque, 5, -7);
    e->wheel(e->opaque, -1);
    e->button(e->opaque, WINDOW_LEFT, true);
    e->button(e->opaque, WINDOW_MIDDLE, true);
    e->button(e->opaque, WINDOW_LEFT, false);
    expect_asked("move(5,-7,0) move(0,0,-1) buttons(1) buttons(5) buttons(4) ");
    hot(G);
    assert_non_null(strstr(fake.asked, "buttons(0) ")); /* or it would be down for ever */
}

static void test_focus(void **state)
{
    (void)state;
    const struct window_events *e = &desk.events;
    e->button(e->opaque, WINDOW_LEFT, true);
    press(CTRL);
    press(A);
    desk.said[0] = fake.asked[0] = '\0';
    e->focus(e->opaque, false);
    expect_asked("-a -ctrl ");
    expect_said("grab(0) ");
    release(A); /* comes late */
    press(ALT);
    press(G); /* Ctrl is no longer held */
    expect_asked("+alt +g ");
    e->focus(e->opaque, true);
}

static void test_title_tells_the_state(void **state)
{
    (void)state;
    fake_stop(STOP_USER);
    assert_string_equal(desk.title, "Vitrine (test) [Paused]");
    fake.running = true;
    fake.listener->continued(fake.listener->opaque);
    assert_string_equal(desk.title, "Vitrine (test)");
}

static void test_close(void **state)
{
    (void)state;
    fake.cfg.window.no_close = true;
    desk.events.close(desk.events.opaque);
    expect_asked("");
    fake.cfg.window.no_close = false;
    desk.events.close(desk.events.opaque);
    expect_asked("quit(1,0) ");
}

/* The guest keeps no keys that nobody can let go of any more. */
static void test_lost(void **state)
{
    (void)state;
    fake.cfg.window.no_close = true;
    press(4);
    expect_asked("+a ");
    desk.events.lost(desk.events.opaque);
    expect_asked("-a ");
    fake.cfg.window.no_close = false;
    desk.events.lost(desk.events.opaque);
    expect_asked("quit(1,0) ");
}

static void test_picture(void **state)
{
    (void)state;
    frames(3);
    expect_said(""); /* nothing changed */
    screen.changed = 17;
    frames(2);
    expect_said("lines(17+1) ");
    desk.events.exposed(desk.events.opaque);
    frames(2);
    expect_said("all(720x400) ");
    desk.busy = true; /* what is not taken now comes later */
    screen.changed = 5;
    frames(1);
    screen.changed = 9;
    frames(1);
    expect_said("");
    desk.busy = false;
    frames(2);
    expect_said("lines(5+1) lines(9+1) ");
    desk.hidden = true;
    screen.changed = 3;
    frames(2);
    expect_said("");
    desk.hidden = false;
    frames(1);
    expect_said("lines(3+1) ");
}

static void test_sizes(void **state)
{
    (void)state;
    screen.width = 640;
    screen.height = 480;
    frames(1);
    expect_said("size(640x480) all(640x480) ");
    hot(PLUS);
    expect_said("size(1280x960) ");
    screen.width = 800; /* a new mode is shown as many times as large */
    screen.height = 600;
    frames(1);
    expect_said("size(1600x1200) all(800x600) ");
    hot(MINUS);
    hot(MINUS);
    hot(MINUS);
    expect_said("size(800x600) ");
    hot(PLUS);
    hot(PLUS);
    hot(ZERO);
    expect_said("size(1600x1200) size(2400x1800) size(800x600) ");
}

static void test_pace(void **state)
{
    (void)state;
    const uint64_t start = uv_hrtime();
    frames(31);
    const double seconds = (double)(uv_hrtime() - start) / 1e9;
    assert_true(seconds > 30 / 60.0 - 0.02); /* later on a busy host, never faster */
}

static void test_failures(void **state)
{
    struct error err = {0};
    (void)state;
    fake_init();
    assert_null(window_create_on(&fake, open_desk, &err));
    assert_non_null(strstr(err.msg, "-display sdl: there is no video card"));
    fake.display = &source;
    desk.hidden = true;
    err = (struct error){0};
    assert_null(window_create_on(&fake, open_desk, &err));
    assert_string_equal(err.msg, "-display sdl: no desktop");
    assert_null(fake.listener);
}

#define with_window(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_window(test_keys),
        with_window(test_hot_keys),
        with_window(test_other_grab_keys),
        with_window(test_mouse),
        with_window(test_focus),
        with_window(test_title_tells_the_state),
        with_window(test_close),
        with_window(test_lost),
        with_window(test_picture),
        with_window(test_sizes),
        with_window(test_pace),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
