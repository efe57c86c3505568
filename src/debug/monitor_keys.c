/*
 * sendkey: presses keys, holds them for a while of host time, lets go in reverse order. A queue of
 * such steps and one timer, so that a script may send many lines at once. And the mouse.
 */
#include "debug/monitor_cmd.h"
#include "devices/ps2_keys.h"

#include <stdio.h>
#include <stdlib.h>

#define HOLD_MS    100
#define MAX_HOLD   10000
#define MAX_CHORD  16
#define QUEUE_SIZE 4096 /* steps */
#define KEY_CHARS  24

struct key_step {
    char key[KEY_CHARS]; /* "" = a pause */
    bool down;
    unsigned wait_ms; /* before the next step */
};

struct key_queue {
    uv_timer_t timer;
    struct machine *machine;
    unsigned head, count;
    struct key_step step[QUEUE_SIZE];
};

/* Takes steps until one asks to wait. */
static void run_steps(uv_timer_t *timer)
{
    struct key_queue *q = timer->data;
    while (q->count) {
        const struct key_step *s = &q->step[q->head];
        machine_send_key(q->machine, s->key, s->down);
        q->head = (q->head + 1) % QUEUE_SIZE;
        q->count--;
        if (s->wait_ms) {
            uv_update_time(timer->loop);
            uv_timer_start(timer, run_steps, s->wait_ms, 0);
            return;
        }
    }
}

static void add_step(struct key_queue *q, const char *key, bool down, unsigned wait_ms)
{
    struct key_step *s = &q->step[(q->head + q->count++) % QUEUE_SIZE];
    snprintf(s->key, sizeof s->key, "%s", key);
    s->down = down;
    s->wait_ms = wait_ms;
}

static struct key_queue *queue_of(struct mon *mon)
{
    if (mon->keys)
        return mon->keys;
    struct key_queue *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    q->machine = mon->machine;
    uv_timer_init(&machine_loop(mon->machine)->uv, &q->timer);
    q->timer.data = q;
    return mon->keys = q;
}

static void queue_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void mon_keys_release(struct mon *mon)
{
    struct key_queue *q = mon->keys;
    if (!q)
        return;
    uv_close((uv_handle_t *)&q->timer, queue_closed);
    mon->keys = NULL;
}

/* "ctrl-alt-delete" in place to its keys. "-" alone and "a--" name the minus key. */
static unsigned split_chord(char *chord, const char **key)
{
    unsigned n = 0;
    while (*chord && n < MAX_CHORD) {
        char *end = *chord == '-' ? chord + 1 : chord + strcspn(chord, "-");
        key[n++] = *chord == '-' ? "minus" : chord;
        if (!*end)
            break;
        *end = '\0';
        chord = end + 1;
    }
    return n;
}

/* "0x1e" is the key of that number. */
static void name_numbers(const char **key, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char *end;
        if (strncmp(key[i], "0x", 2) != 0)
            continue;
        const unsigned long number = strtoul(key[i], &end, 16);
        const int found = *end || number > 0xff ? -1 : ps2_key_from_number((unsigned)number);
        if (found >= 0)
            key[i] = ps2_key_name((enum ps2_key)found);
    }
}

/* Names are checked by pressing nothing: an unknown one must not leave half a chord down. */
static bool known_keys(struct mon *mon, const char *const *key, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char *near = machine_key_nearest(mon->machine, key[i]);
        if (near && strcmp(near, key[i]) == 0)
            continue;
        if (near)
            mon_printf(mon, "unknown key: '%s', did you mean '%s'?\n", key[i], near);
        else
            mon_printf(mon, "unknown key: '%s'\n", key[i]);
        return false;
    }
    return true;
}

void mon_cmd_sendkey(struct mon *mon, char *args)
{
    const char *key[MAX_CHORD];
    uint64_t hold = HOLD_MS;
    char *chord = mon_word(&args);
    if (!chord) {
        mon_printf(mon, "which keys? for example ctrl-alt-delete\n");
        return;
    }
    while (*args == ' ')
        args++;
    if (*args && (!mon_number(mon, &args, "time", &hold) || !mon_no_more(mon, args)))
        return;
    const unsigned n = split_chord(chord, key);
    name_numbers(key, n);
    struct key_queue *q = queue_of(mon);
    if (!n || !known_keys(mon, key, n))
        return;
    if (!q || q->count + 2 * n > QUEUE_SIZE) {
        mon_printf(mon, "too many keys are waiting\n");
        return;
    }
    const bool idle = !q->count && !uv_is_active((uv_handle_t *)&q->timer);
    for (unsigned i = 0; i < n; i++)
        add_step(q, key[i], true, i == n - 1 ? (unsigned)MIN(hold, (uint64_t)MAX_HOLD) : 0);
    for (unsigned i = n; i-- > 0;)
        add_step(q, key[i], false, i == 0 ? HOLD_MS / 10 : 0);
    if (idle)
        run_steps(&q->timer);
}

/* --- mouse --- */

/* A whole number with a sign, no further than a mouse moves in one go. */
static bool distance(struct mon *mon, char **args, const char *what, int *value)
{
    enum { FAR = 10000 };
    char *end;
    char *word = mon_word(args);
    const long v = word ? strtol(word, &end, 0) : 0;
    if (!word) {
        mon_printf(mon, "which %s? for example mouse_move 10 -5\n", what);
        return false;
    }
    if (*end || end == word || v < -FAR || v > FAR) {
        mon_printf(mon, "%s: '%s' is not a number from -%d to %d\n", what, word, FAR, FAR);
        return false;
    }
    *value = (int)v;
    return true;
}

void mon_cmd_mouse_move(struct mon *mon, char *args)
{
    int dx, dy, dz = 0;
    if (!distance(mon, &args, "DX", &dx) || !distance(mon, &args, "DY", &dy))
        return;
    while (*args == ' ')
        args++;
    if ((*args && !distance(mon, &args, "DZ", &dz)) || !mon_no_more(mon, args))
        return;
    machine_mouse_move(mon->machine, dx, dy, dz);
}

void mon_cmd_mouse_button(struct mon *mon, char *args)
{
    uint64_t v;
    if (!mon_number(mon, &args, "buttons", &v) || !mon_no_more(mon, args))
        return;
    if (v > 7) {
        mon_printf(mon, "1 for left, 2 for middle, 4 for right, or their sum\n");
        return;
    }
    const unsigned left = v & 1, middle = v >> 1 & 1, right = v >> 2 & 1;
    machine_mouse_buttons(mon->machine, left | right << 1 | middle << 2);
}
