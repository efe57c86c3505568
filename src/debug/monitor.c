/*
 * See monitor.h: the console of the monitor. Keys as in a shell: arrows, Home, End, Backspace,
 * Delete, Ctrl-A E B F U K W L C P N, and Tab to complete the names of commands.
 */
#include "debug/monitor.h"
#include "debug/monitor_cmd.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define PROMPT      "(vitrine) "
#define LINE_SIZE   1024
#define HISTORY     64
#define ROOM        4096 /* bytes taken at once */

#define KEY_CTRL(c) ((c)&0x1f)

enum escape { ESC_NONE, ESC_ESC, ESC_CSI, ESC_SS3 };

struct monitor {
    struct mon mon;
    struct chr *chr;
    char line[LINE_SIZE];
    size_t len, at; /* at: the cursor */
    char *history[HISTORY];
    unsigned history_len;
    unsigned history_at; /* == history_len: the line being typed */
    enum escape escape;
    unsigned escape_number;
    bool after_cr; /* a LF now belongs to the CR before it */
    bool greeted;
};

/* --- output --- */

/* Terminals in raw mode need a CR before each LF. */
static void put(void *opaque, const char *text, size_t len)
{
    struct monitor *mon = opaque;
    while (len) {
        const char *lf = memchr(text, '\n', len);
        const size_t n = lf ? (size_t)(lf - text) : len;
        chr_write(mon->chr, text, n);
        if (!lf)
            return;
        chr_write(mon->chr, "\r\n", 2);
        text += n + 1;
        len -= n + 1;
    }
}

static void puts_to(struct monitor *mon, const char *text)
{
    put(mon, text, strlen(text));
}

static void prompt(struct monitor *mon)
{
    mon->len = mon->at = 0;
    mon->history_at = mon->history_len;
    puts_to(mon, PROMPT);
}

/* Writes the line again and puts the cursor where it belongs. */
static void redraw(struct monitor *mon)
{
    char back[32];
    puts_to(mon, "\r" PROMPT);
    put(mon, mon->line, mon->len);
    puts_to(mon, "\x1b[K");
    if (mon->at < mon->len) {
        snprintf(back, sizeof back, "\x1b[%zuD", mon->len - mon->at);
        puts_to(mon, back);
    }
}

static void greet(struct monitor *mon)
{
    const char *version = machine_config(mon->mon.machine)->version;
    mon_printf(&mon->mon, "Vitrine %s monitor - type 'help' for more information\n",
               version ? version : "");
    mon->greeted = true;
    prompt(mon);
}

/* --- editing --- */

static void insert(struct monitor *mon, char c)
{
    if (mon->len + 1 >= LINE_SIZE)
        return;
    memmove(mon->line + mon->at + 1, mon->line + mon->at, mon->len - mon->at);
    mon->line[mon->at++] = c;
    mon->len++;
    if (mon->at == mon->len)
        put(mon, &c, 1);
    else
        redraw(mon);
}

/* Takes [from, to) out; the cursor ends at from. */
static void erase(struct monitor *mon, size_t from, size_t to)
{
    const bool last = from + 1 == to && to == mon->len;
    memmove(mon->line + from, mon->line + to, mon->len - to);
    mon->len -= to - from;
    mon->at = from;
    if (last)
        puts_to(mon, "\b \b");
    else
        redraw(mon);
}

static size_t word_start(const struct monitor *mon)
{
    size_t i = mon->at;
    while (i && mon->line[i - 1] == ' ')
        i--;
    while (i && mon->line[i - 1] != ' ')
        i--;
    return i;
}

static void move_to(struct monitor *mon, size_t at)
{
    mon->at = at;
    redraw(mon);
}

static void set_line(struct monitor *mon, const char *text)
{
    mon->len = mon->at = MIN(strlen(text), (size_t)LINE_SIZE - 1);
    memcpy(mon->line, text, mon->len);
    redraw(mon);
}

/* --- history --- */

static void remember(struct monitor *mon, const char *line)
{
    if (!*line || (mon->history_len && strcmp(mon->history[mon->history_len - 1], line) == 0))
        return;
    char *copy = strdup(line);
    if (!copy)
        return;
    if (mon->history_len == HISTORY) {
        free(mon->history[0]);
        memmove(mon->history, mon->history + 1, (HISTORY - 1) * sizeof *mon->history);
        mon->history_len--;
    }
    mon->history[mon->history_len++] = copy;
}

static void recall(struct monitor *mon, bool older)
{
    if (older ? mon->history_at == 0 : mon->history_at >= mon->history_len)
        return;
    mon->history_at += older ? -1u : 1u;
    set_line(mon, mon->history_at < mon->history_len ? mon->history[mon->history_at] : "");
}

/* --- completion --- */

/* The names that go on from the first n characters of stem; *common is what they share. */
static unsigned candidates(const struct mon_command *table, size_t count, const char *stem,
                           size_t n, const char **first, size_t *common)
{
    unsigned found = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = table[i].name;
        if (strncmp(name, stem, n) != 0)
            continue;
        if (!found++) {
            *first = name;
            *common = strlen(name);
        }
        size_t same = 0;
        while (same < *common && (*first)[same] == name[same])
            same++;
        *common = same;
    }
    return found;
}

static void list_candidates(struct monitor *mon, const struct mon_command *table, size_t count,
                            const char *stem, size_t n)
{
    puts_to(mon, "\n");
    for (size_t i = 0; i < count; i++) {
        if (strncmp(table[i].name, stem, n) == 0)
            mon_printf(&mon->mon, "%s\n", table[i].name);
    }
    redraw(mon);
}

static void complete(struct monitor *mon)
{
    size_t count, common = 0;
    const char *first = NULL;
    const size_t start = word_start(mon);
    const bool info = mon->at > 5 && strncmp(mon->line, "info ", 5) == 0;
    const bool help = mon->at > 5 && strncmp(mon->line, "help ", 5) == 0;
    if ((start && !info && !help) || mon->at != mon->len)
        return;
    const struct mon_command *table = info ? mon_info_commands(&count) : mon_commands(&count);
    const char *stem = mon->line + start;
    const size_t n = mon->at - start;
    const unsigned found = candidates(table, count, stem, n, &first, &common);
    if (found > 1 && common == n)
        list_candidates(mon, table, count, stem, n);
    for (size_t i = n; found && i < common; i++)
        insert(mon, first[i]);
    if (found == 1)
        insert(mon, ' ');
}

/* --- keys --- */

static void enter(struct monitor *mon)
{
    mon->line[mon->len] = '\0';
    puts_to(mon, "\n");
    remember(mon, mon->line);
    mon_execute(&mon->mon, mon->line);
    prompt(mon);
}

static void control_key(struct monitor *mon, char c)
{
    switch (c) {
    case '\r':
    case '\n':
        enter(mon);
        break;
    case '\t':
        complete(mon);
        break;
    case '\b':
    case 0x7f:
        if (mon->at)
            erase(mon, mon->at - 1, mon->at);
        break;
    case KEY_CTRL('A'):
        move_to(mon, 0);
        break;
    case KEY_CTRL('E'):
        move_to(mon, mon->len);
        break;
    case KEY_CTRL('B'):
        if (mon->at)
            move_to(mon, mon->at - 1);
        break;
    case KEY_CTRL('F'):
        if (mon->at < mon->len)
            move_to(mon, mon->at + 1);
        break;
    case KEY_CTRL('D'):
        if (mon->at < mon->len)
            erase(mon, mon->at, mon->at + 1);
        break;
    case KEY_CTRL('U'):
        erase(mon, 0, mon->at);
        break;
    case KEY_CTRL('K'):
        erase(mon, mon->at, mon->len);
        break;
    case KEY_CTRL('W'):
        erase(mon, word_start(mon), mon->at);
        break;
    case KEY_CTRL('P'):
        recall(mon, true);
        break;
    case KEY_CTRL('N'):
        recall(mon, false);
        break;
    case KEY_CTRL('L'):
        puts_to(mon, "\x1b[H\x1b[2J");
        redraw(mon);
        break;
    case KEY_CTRL('C'):
        puts_to(mon, "^C\n");
        prompt(mon);
        break;
    case 0x1b:
        mon->escape = ESC_ESC;
        break;
    default:
        break;
    }
}

/* ESC [ A and the like, as terminals send arrows and Home, End, Delete. */
static void escape_key(struct monitor *mon, char c)
{
    static const struct {
        char final;
        unsigned number; /* before '~' */
        char key;
    } keys[] = {
        {'A', 0, KEY_CTRL('P')}, {'B', 0, KEY_CTRL('N')}, {'C', 0, KEY_CTRL('F')},
        {'D', 0, KEY_CTRL('B')}, {'H', 0, KEY_CTRL('A')}, {'F', 0, KEY_CTRL('E')},
        {'~', 1, KEY_CTRL('A')}, {'~', 7, KEY_CTRL('A')}, {'~', 4, KEY_CTRL('E')},
        {'~', 8, KEY_CTRL('E')}, {'~', 3, KEY_CTRL('D')},
    };
    if (mon->escape == ESC_ESC) {
        mon->escape = c == '[' ? ESC_CSI : c == 'O' ? ESC_SS3 : ESC_NONE;
        mon->escape_number = 0;
        return;
    }
    if (mon->escape == ESC_CSI && isdigit((unsigned char)c)) {
        mon->escape_number = (mon->escape_number * 10 + (unsigned)(c - '0')) % 100;
        return;
    }
    mon->escape = ESC_NONE;
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        if (keys[i].final == c && (c != '~' || keys[i].number == mon->escape_number)) {
            control_key(mon, keys[i].key);
            return;
        }
    }
}

static void key(struct monitor *mon, char c)
{
    const bool second = mon->after_cr && c == '\n';
    mon->after_cr = c == '\r';
    if (second)
        return;
    if (mon->escape != ESC_NONE)
        escape_key(mon, c);
    else if ((unsigned char)c < 0x20 || c == 0x7f)
        control_key(mon, c);
    else
        insert(mon, c);
}

/* --- the back-end --- */

static size_t can_receive(void *opaque)
{
    (void)opaque;
    return ROOM;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct monitor *mon = opaque;
    for (size_t i = 0; i < len; i++)
        key(mon, (char)buf[i]);
}

/* On mon:stdio this is Ctrl-A c: the terminal shows something else in between, so begin a line. */
static void event(void *opaque, bool open)
{
    struct monitor *mon = opaque;
    const bool shared = machine_config(mon->mon.machine)->mux_monitor;
    mon->escape = ESC_NONE;
    mon->after_cr = false;
    if (!open)
        return;
    if (shared)
        puts_to(mon, "\n");
    if (shared && mon->greeted)
        redraw(mon);
    else
        greet(mon);
}

struct monitor *monitor_create(struct machine *m, struct chr *chr)
{
    struct monitor *mon = calloc(1, sizeof *mon);
    if (!mon)
        return NULL;
    mon->chr = chr;
    mon_init(&mon->mon, m, put, mon);
    if (chr->connected)
        greet(mon);
    chr_attach(chr, &(struct chr_front){can_receive, receive, event, mon, NULL});
    return mon;
}

void monitor_destroy(struct monitor *mon)
{
    if (!mon)
        return;
    chr_attach(mon->chr, &(struct chr_front){0});
    mon_release(&mon->mon);
    for (unsigned i = 0; i < mon->history_len; i++)
        free(mon->history[i]);
    free(mon);
}
