/* -chardev and -mon: character back-ends that are described once and named where they are used. */
#include "cli_keys.h"

#include <stdio.h>
#include <stdlib.h>

enum given { NOT_GIVEN, GIVEN_OFF, GIVEN_ON };

struct chardev {
    char *backend, *id, *path, *host;
    int port, reconnect;
    bool server, wait, nodelay, telnet, mux, append;
    enum given ipv4, ipv6, signal;
};

static bool take_given(struct cli_parse *p, const char *key, const char *value, enum given *slot)
{
    bool on;
    if (!word_bool(value, &on))
        return cli_fail(p, "%s=%s is neither on nor off", key, value);
    *slot = on ? GIVEN_ON : GIVEN_OFF;
    return true;
}

static bool take_ipv4(struct cli_parse *p, void *target, const char *value)
{
    return take_given(p, "ipv4", value, &((struct chardev *)target)->ipv4);
}

static bool take_ipv6(struct cli_parse *p, void *target, const char *value)
{
    return take_given(p, "ipv6", value, &((struct chardev *)target)->ipv6);
}

static bool take_signal(struct cli_parse *p, void *target, const char *value)
{
    return take_given(p, "signal", value, &((struct chardev *)target)->signal);
}

static const struct key_row chardev_keys[] = {
    {"backend", KEY_STR, offsetof(struct chardev, backend), NULL, NULL},
    {"id", KEY_STR, offsetof(struct chardev, id), NULL, NULL},
    {"path", KEY_STR, offsetof(struct chardev, path), NULL, NULL},
    {"append", KEY_BOOL, offsetof(struct chardev, append), NULL, NULL},
    {"host", KEY_STR, offsetof(struct chardev, host), NULL, NULL},
    {"port", KEY_INT, offsetof(struct chardev, port), NULL, NULL},
    {"ipv4", KEY_CALL, 0, "on|off", take_ipv4},
    {"ipv6", KEY_CALL, 0, "on|off", take_ipv6},
    {"server", KEY_BOOL, offsetof(struct chardev, server), NULL, NULL},
    {"wait", KEY_BOOL, offsetof(struct chardev, wait), NULL, NULL},
    {"nodelay", KEY_BOOL, offsetof(struct chardev, nodelay), NULL, NULL},
    {"reconnect", KEY_INT, offsetof(struct chardev, reconnect), NULL, NULL},
    {"telnet", KEY_BOOL, offsetof(struct chardev, telnet), NULL, NULL},
    {"websocket", KEY_ONLY, 0, "off", NULL},
    {"tn3270", KEY_ONLY, 0, "off", NULL},
    {"to", KEY_LACK, 0, "a port is free or it is not; port=0 takes a free one and says which",
     NULL},
    {"abstract", KEY_ONLY, 0, "off", NULL},
    {"mux", KEY_BOOL, offsetof(struct chardev, mux), NULL, NULL},
    {"signal", KEY_CALL, 0, "on|off", take_signal},
    {"logfile", KEY_LACK, 0, "a back-end keeps no second log", NULL},
};

/* Which keys a back-end has besides id= and mux=; to name those that mean nothing to it. */
static const struct backend {
    const char *name; /* first, for word_nearest */
    const char *keys; /* "a|b" */
} backends[] = {
    {"stdio", "signal"},
    {"null", ""},
    {"pty", ""},
    {"file", "path|append"},
    {"socket", "path|host|port|ipv4|ipv6|server|wait|nodelay|reconnect|telnet|websocket|tn3270|to|"
               "abstract"},
    {"vc", ""},
};

void cli_chardev_help(void (*line)(void *, const char *), void *opaque)
{
    for (unsigned i = 0; i < ARRAY_SIZE(backends); i++)
        line(opaque, backends[i].name);
}

static const struct backend *find_backend(struct cli_parse *p, const char *name)
{
    for (unsigned i = 0; name && i < ARRAY_SIZE(backends); i++) {
        if (strcmp(backends[i].name, name) == 0)
            return &backends[i];
    }
    if (name)
        cli_fail(p, "no back-end \"%s\"; there are stdio, null, pty, file, socket, vc", name);
    else
        cli_fail(p, "which back-end? for example -chardev stdio,id=c0");
    return NULL;
}

/* A key that a back-end of another kind has. */
static bool check_keys(struct cli_parse *p, const struct backend *b, const struct word_pairs *pairs)
{
    for (unsigned i = 0; i < pairs->count; i++) {
        const char *key = pairs->key[i];
        bool foreign = false;
        for (unsigned k = 0; k < ARRAY_SIZE(backends); k++)
            foreign = foreign || word_one_of(backends[k].keys, key);
        if (foreign && !word_one_of(b->keys, key))
            return cli_fail(p, "%s has no %s=", b->name, key);
    }
    return true;
}

static bool check_values(struct cli_parse *p, const struct chardev *c)
{
    const bool file = strcmp(c->backend, "file") == 0, socket = strcmp(c->backend, "socket") == 0;
    if (!c->id || !*c->id)
        return cli_fail(p, "id= is missing");
    if ((file && !c->path) || (socket && !c->path && c->port < 0))
        return cli_fail(p, "%s: path=%s is missing", c->backend, socket ? " or port=" : "");
    if (c->path && !*c->path)
        return cli_fail(p, "%s: path= is empty", c->backend);
    if (socket && c->path && (c->port >= 0 || c->host || c->ipv4 || c->ipv6))
        return cli_fail(p, "socket: path= is for a Unix socket, host= and port= for TCP: which?");
    if (c->path && c->telnet)
        return cli_fail(p, "socket: telnet=on is for TCP, path= for a Unix socket");
    if (c->server && c->reconnect)
        return cli_fail(p, "reconnect= is for clients, not with server=on");
    if (c->signal == (c->mux ? GIVEN_ON : GIVEN_OFF))
        return cli_fail(p, "signal=%s: Ctrl-C goes to the guest with mux=on, to Vitrine without",
                        c->mux ? "on" : "off");
    return true;
}

/* In a list of keys a comma is doubled. */
static void double_commas(const char *text, char *to, size_t size)
{
    size_t n = 0;
    for (; *text && n + 3 < size; text++) {
        to[n++] = *text;
        if (*text == ',')
            to[n++] = ',';
    }
    to[n] = '\0';
}

static const char *given_words(enum given g, const char *on, const char *off)
{
    return g == GIVEN_ON ? on : g == GIVEN_OFF ? off : "";
}

static int socket_spec(const struct chardev *c, char *spec, size_t size)
{
    char where[512], place[600];
    const bool bracket = c->host && strchr(c->host, ':');
    if (c->path)
        snprintf(place, sizeof place, "unix:%s", c->path);
    else
        snprintf(place, sizeof place, "tcp:%s%s%s:%d", bracket ? "[" : "", c->host ? c->host : "",
                 bracket ? "]" : "", c->port);
    double_commas(place, where, sizeof where);
    const int n =
        snprintf(spec, size, "%s%s,server=%s,wait=%s%s%s%s%s", c->mux ? "mon:" : "", where,
                 c->server ? "on" : "off", c->wait ? "on" : "off", c->nodelay ? ",nodelay" : "",
                 c->telnet ? ",telnet=on" : "", given_words(c->ipv4, ",ipv4=on", ",ipv4=off"),
                 given_words(c->ipv6, ",ipv6=on", ",ipv6=off"));
    if (c->reconnect && n > 0 && (size_t)n < size)
        return n + snprintf(spec + n, size - (size_t)n, ",reconnect=%d", c->reconnect);
    return n;
}

/* The same in -serial's words. */
static bool chardev_spec(struct cli_parse *p, const struct chardev *c, char *spec, size_t size)
{
    const char *mon = c->mux ? "mon:" : "";
    int n;
    if (strcmp(c->backend, "file") == 0)
        n = snprintf(spec, size, "%s%s:%s", mon, c->append ? "append" : "file", c->path);
    else if (strcmp(c->backend, "socket") == 0)
        n = socket_spec(c, spec, size);
    else
        n = snprintf(spec, size, "%s%s", mon, c->backend);
    return (n > 0 && (size_t)n < size) || cli_fail(p, "the path is too long");
}

static bool add_chardev(struct cli_parse *p, const struct chardev *c)
{
    char spec[768];
    for (unsigned i = 0; i < p->chardevs; i++) {
        if (strcmp(p->chardev[i].id, c->id) == 0)
            return cli_fail(p, "id=%s is used twice", c->id);
    }
    if (p->chardevs == CLI_MAX_CHARDEVS)
        return cli_fail(p, "more than %d", CLI_MAX_CHARDEVS);
    if (!chardev_spec(p, c, spec, sizeof spec))
        return false;
    unsigned n = p->chardevs++;
    p->chardev[n].mux = c->mux;
    return word_set(&p->chardev[n].id, c->id, p->err) &&
           word_set(&p->chardev[n].spec, spec, p->err);
}

bool cli_chardev(struct cli_parse *p, const char *arg)
{
    struct chardev c = {.port = -1, .wait = true};
    struct word_pairs pairs;
    if (!word_pairs_split(&pairs, arg, "backend", p->err))
        return error_prefix(p->err, "%s", p->option);
    bool ok = cli_apply_pairs(p, chardev_keys, ARRAY_SIZE(chardev_keys), &pairs, &c);
    const struct backend *b = ok ? find_backend(p, c.backend) : NULL;
    ok = b && check_keys(p, b, &pairs) && check_values(p, &c) && add_chardev(p, &c);
    word_pairs_free(&pairs);
    free(c.backend);
    free(c.id);
    free(c.path);
    free(c.host);
    return ok;
}

/* Who has it already? Only mux=on is for two: a serial port and a monitor. */
static bool claim(struct cli_parse *p, struct cli_chardev_entry *c, enum chardev_user user)
{
    if (c->mux && user == CHARDEV_OTHER)
        return error_set(p->err,
                         "-chardev id=%s: mux=on is for a serial port and the monitor to share it",
                         c->id);
    if (c->users[user] || (!c->mux && (c->users[CHARDEV_SERIAL] || c->users[CHARDEV_MONITOR] ||
                                       c->users[CHARDEV_OTHER])))
        return error_set(
            p->err,
            "-chardev id=%s is used twice; mux=on lets one serial port and one monitor "
            "share it",
            c->id);
    c->users[user] = true;
    return true;
}

bool cli_resolve_chardev(struct cli_parse *p, enum chardev_user user, char **spec)
{
    if (!*spec || strncmp(*spec, "chardev:", 8) != 0)
        return true;
    for (unsigned i = 0; i < p->chardevs; i++) {
        struct cli_chardev_entry *c = &p->chardev[i];
        if (strcmp(c->id, *spec + 8) != 0)
            continue;
        if (!claim(p, c, user))
            return false;
        /* a monitor without a serial port beside it would wait for Ctrl-A c */
        const bool alone = c->mux && user == CHARDEV_MONITOR && !c->users[CHARDEV_SERIAL];
        return word_set(spec, c->spec + (alone ? 4 : 0), p->err);
    }
    return error_set(p->err, "there is no -chardev with id=%s", *spec + 8);
}

/* One that nobody names is not opened: no file is made, nobody can connect. */
bool cli_chardevs_done(struct cli_parse *p)
{
    snprintf(p->option, sizeof p->option, "-chardev");
    for (unsigned i = 0; i < p->chardevs; i++) {
        const bool *users = p->chardev[i].users;
        if (!users[CHARDEV_SERIAL] && !users[CHARDEV_MONITOR] && !users[CHARDEV_OTHER])
            cli_note(p, "nothing uses id=%s; -serial chardev:%s does, for example",
                     p->chardev[i].id, p->chardev[i].id);
    }
    return true;
}

/* --- monitors --- */

bool cli_add_monitor(struct cli_parse *p, const char *spec)
{
    struct vm_config *cfg = p->cfg;
    if (cfg->monitors == CONFIG_MAX_MONITORS)
        return cli_fail(p, "there are %d monitors at most", CONFIG_MAX_MONITORS);
    return word_set(&cfg->monitor[cfg->monitors++], spec, p->err);
}

struct mon {
    char *chardev;
};

static const struct key_row mon_keys[] = {
    {"chardev", KEY_STR, offsetof(struct mon, chardev), NULL, NULL},
    {"mode", KEY_ONLY, 0, "readline", NULL},
    {"pretty", KEY_ONLY, 0, "off", NULL},
};

bool cli_mon(struct cli_parse *p, const char *arg)
{
    struct mon mon = {0};
    char spec[128];
    bool ok = cli_apply(p, mon_keys, ARRAY_SIZE(mon_keys), arg, "chardev", &mon);
    if (ok && !mon.chardev)
        ok = cli_fail(p, "chardev= is missing");
    if (ok) {
        snprintf(spec, sizeof spec, "chardev:%s", mon.chardev);
        p->monitor_given = true;
        ok = cli_add_monitor(p, spec);
    }
    free(mon.chardev);
    return ok;
}
