/*
 * tcp:[HOST]:PORT and unix:PATH, as server (one peer at a time, another may come when it left) or
 * as client (with reconnect=SECONDS it tries again, from the start on). An empty HOST is every
 * address for a server and this machine for a client. Output without a peer is dropped, counted.
 */
#define _GNU_SOURCE /* accept4 */
#include "core/words.h"
#include "host/chr_io.h"
#include "host/chr_telnet.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ADDRESSES 4

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};

/* What libuv watches outlives the back-end by one turn of the loop. */
struct watch {
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_timer_t timer;
    } handle;
    struct chr_socket *owner;
};

struct chr_socket {
    struct chr chr;
    struct chr_host host;              /* label: chr.label */
    char *what;                        /* "tcp:127.0.0.1:4444", for messages */
    struct address address[ADDRESSES]; /* a host name may have several */
    unsigned addresses, current;
    bool server, wait, nodelay, telnet;
    struct telnet telnet_state; /* of this connection */
    uint64_t reconnect_s;       /* 0: never */
    int listen_fd, fd, out_fd;
    struct watch *listen;  /* server: a peer may come */
    struct watch *connect; /* client: a connection is being made */
    struct watch *retry;   /* client: the time until the next try */
    struct chr_reader *in;
    struct chr_writer *out;
};

static void try_connect(struct chr_socket *s);

static bool is_unix(const struct chr_socket *s)
{
    return s->address[0].sa.ss_family == AF_UNIX;
}

static const char *unix_path(const struct chr_socket *s)
{
    return ((const struct sockaddr_un *)&s->address[0].sa)->sun_path;
}

static const struct sockaddr *sockaddr_of(const struct address *a)
{
    return (const struct sockaddr *)&a->sa;
}

/* ------------------------------------------------------------------ watching */

static void watch_freed(uv_handle_t *handle)
{
    free(container_of(handle, struct watch, handle.any));
}

static void watch_stop(struct watch **slot)
{
    if (*slot)
        uv_close(&(*slot)->handle.any, watch_freed);
    *slot = NULL;
}

static struct watch *watch_fd(struct chr_socket *s, int fd, int events, uv_poll_cb ready)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->owner = s;
    if (uv_poll_init(&s->host.loop->uv, &w->handle.poll, fd) != 0) {
        free(w);
        return NULL;
    }
    uv_poll_start(&w->handle.poll, events, ready);
    return w;
}

/* ------------------------------------------------------------------ one peer */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void hang_up(struct chr_socket *s, int wait_ms)
{
    chr_reader_destroy(s->in);
    chr_writer_destroy(s->out, wait_ms);
    s->in = NULL;
    s->out = NULL;
    close_fd(&s->out_fd);
    close_fd(&s->fd);
}

static void retry_now(uv_timer_t *timer)
{
    struct watch *w = container_of(timer, struct watch, handle.timer);
    struct chr_socket *s = w->owner;
    watch_stop(&s->retry);
    try_connect(s);
}

static void retry_later(struct chr_socket *s)
{
    if (!s->reconnect_s || s->retry)
        return;
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return;
    w->owner = s;
    uv_timer_init(&s->host.loop->uv, &w->handle.timer);
    uv_timer_start(&w->handle.timer, retry_now, s->reconnect_s * 1000, 0);
    s->retry = w;
}

static void listen_ready(uv_poll_t *poll, int status, int events);

static void listen_again(struct chr_socket *s)
{
    if (!s->listen)
        s->listen = watch_fd(s, s->listen_fd, UV_READABLE, listen_ready);
}

/* The peer left: from the loop, by the reader's or the writer's word. */
static void peer_left(void *opaque, int error)
{
    struct chr_socket *s = opaque;
    (void)error;
    hang_up(s, 0);
    if (s->server)
        listen_again(s);
    else
        retry_later(s);
    chr_set_connected(&s->chr, false);
}

/* fd is a connected, non-blocking socket and ours from now on. */
static bool peer_came(struct chr_socket *s, int fd)
{
    const int on = s->nodelay;
    if (!is_unix(s))
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    s->fd = fd;
    s->out_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* libuv polls each number once */
    if (s->out_fd >= 0) {
        s->in = chr_reader_create(&s->chr, s->host.loop, s->fd, peer_left, s);
        s->out = chr_writer_create(&s->chr, &s->host, s->out_fd, CHR_KEEP_BOUND, peer_left, s);
    }
    if (!s->in || !s->out) {
        hang_up(s, 0);
        return false;
    }
    s->telnet_state = (struct telnet){0};
    if (s->telnet && s->server)
        chr_writer_put(s->out, telnet_greeting, sizeof telnet_greeting);
    chr_set_connected(&s->chr, true);
    return true;
}

/* ------------------------------------------------------------------ server */

static void listen_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct chr_socket *s = container_of(poll, struct watch, handle.poll)->owner;
    const int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    watch_stop(&s->listen); /* the next one waits in the backlog */
    if (!peer_came(s, fd))
        listen_again(s);
}

/* A socket file that nobody listens on is left over from a run that was killed. */
static bool remove_stale(const struct chr_socket *s, struct error *err)
{
    const char *path = unix_path(s);
    struct stat st;
    if (lstat(path, &st) < 0)
        return true;
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, "%s: '%s' exists and is not a socket", s->chr.label, path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool alive = fd >= 0 && connect(fd, sockaddr_of(&s->address[0]), s->address[0].len) == 0;
    if (fd >= 0)
        close(fd);
    if (alive)
        return error_set(err, "%s: %s is in use by another program", s->chr.label, s->what);
    unlink(path);
    return true;
}

/* A socket that listens on a; -1 and errno on failure. */
static int listen_on(const struct address *a)
{
    const int on = 1;
    const int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, sockaddr_of(a), a->len) == 0 && listen(fd, 1) == 0)
        return fd;
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static bool start_listening(struct chr_socket *s, struct error *err)
{
    if (is_unix(s) && !remove_stale(s, err))
        return false;
    for (unsigned i = 0; s->listen_fd < 0 && i < s->addresses; i++)
        s->listen_fd = listen_on(&s->address[i]);
    if (s->listen_fd >= 0)
        return true;
    if (errno == EADDRINUSE)
        return error_set(err, "%s: %s is in use by another program", s->chr.label, s->what);
    return error_set(err, "%s: cannot listen on %s: %s", s->chr.label, s->what, strerror(errno));
}

static bool wait_for_peer(struct chr_socket *s, struct error *err)
{
    log_line(s->host.log, LOG_HOST, "%s: waiting for a connection on %s", s->chr.label, s->what);
    for (;;) {
        struct pollfd p = {.fd = s->listen_fd, .events = POLLIN};
        if (poll(&p, 1, -1) < 0)
            return error_set(err, "%s: interrupted while waiting for a connection on %s",
                             s->chr.label, s->what);
        const int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0 && peer_came(s, fd))
            return true;
        if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
            return error_set(err, "%s: %s: %s", s->chr.label, s->what, strerror(errno));
    }
}

/* Port 0 is any free one: says which. */
static void say_port(struct chr_socket *s)
{
    struct address at = {.len = sizeof at.sa};
    char port[16];
    if (is_unix(s) || ((const struct sockaddr_in *)&s->address[0].sa)->sin_port != 0 ||
        getsockname(s->listen_fd, (struct sockaddr *)&at.sa, &at.len) < 0 ||
        getnameinfo((struct sockaddr *)&at.sa, at.len, NULL, 0, port, sizeof port,
                    NI_NUMERICSERV) != 0)
        return;
    log_line(s->host.log, LOG_HOST, "%s: listening on port %s", s->chr.label, port);
}

static bool open_server(struct chr_socket *s, struct error *err)
{
    if (!start_listening(s, err))
        return false;
    say_port(s);
    if (s->wait)
        return wait_for_peer(s, err);
    listen_again(s);
    return s->listen || error_set(err, "%s: out of memory", s->chr.label);
}

/* ------------------------------------------------------------------ client */

static void connect_done(struct chr_socket *s, int fd, int error)
{
    if (!error && peer_came(s, fd))
        return;
    if (error)
        close(fd);
    retry_later(s);
}

static void connect_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct chr_socket *s = container_of(poll, struct watch, handle.poll)->owner;
    const int fd = s->fd;
    int error = 0;
    socklen_t len = sizeof error;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
    watch_stop(&s->connect);
    s->fd = -1;
    connect_done(s, fd, error);
}

/* Without waiting: the outcome comes by the loop. Each try takes the next address. */
static void try_connect(struct chr_socket *s)
{
    const struct address *a = &s->address[s->current++ % s->addresses];
    const int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        retry_later(s);
        return;
    }
    if (connect(fd, sockaddr_of(a), a->len) == 0) {
        connect_done(s, fd, 0);
        return;
    }
    const int error = errno;
    if (error == EINPROGRESS)
        s->connect = watch_fd(s, fd, UV_WRITABLE, connect_ready);
    if (s->connect)
        s->fd = fd;
    else
        connect_done(s, fd, error);
}

static bool open_client(struct chr_socket *s, struct error *err)
{
    if (s->reconnect_s) {
        try_connect(s);
        return true;
    }
    for (unsigned i = 0; i < s->addresses; i++) {
        const struct address *a = &s->address[i];
        const int fd = socket(a->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, sockaddr_of(a), a->len) == 0 &&
            fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0)
            return peer_came(s, fd) || error_set(err, "%s: out of memory", s->chr.label);
        const int error = errno;
        if (fd >= 0)
            close(fd);
        errno = error;
    }
    return error_set(err, "%s: cannot connect to %s: %s", s->chr.label, s->what, strerror(errno));
}

/* ------------------------------------------------------------------ the back-end */

static void telnet_answer(void *opaque, const uint8_t *buf, size_t len)
{
    chr_writer_put(((struct chr_socket *)opaque)->out, buf, len);
}

static void telnet_break(void *opaque)
{
    struct chr *chr = &((struct chr_socket *)opaque)->chr;
    if (!chr->front.send_break)
        return;
    if (chr->door)
        door_enter(chr->door, DOOR_CHR, "break", 5);
    chr->front.send_break(chr->front.opaque);
}

static size_t telnet_filter(struct chr *chr, uint8_t *buf, size_t len)
{
    struct chr_socket *s = container_of(chr, struct chr_socket, chr);
    const struct telnet_events events = {telnet_answer, telnet_break, s};
    return telnet_receive(&s->telnet_state, buf, len, &events);
}

/* A byte FFh that is none of telnet's own is sent twice. */
static void telnet_write(struct chr_socket *s, const uint8_t *buf, size_t len)
{
    while (len) {
        const uint8_t *ff = memchr(buf, 0xff, len);
        const size_t n = ff ? (size_t)(ff - buf) + 1 : len;
        chr_writer_put(s->out, buf, n);
        if (ff)
            chr_writer_put(s->out, ff, 1);
        buf += n;
        len -= n;
    }
}

static void socket_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    struct chr_socket *s = container_of(chr, struct chr_socket, chr);
    if (s->out && s->telnet)
        telnet_write(s, buf, len);
    else if (s->out)
        chr_writer_put(s->out, buf, len);
    else
        chr->dropped_bytes += len;
}

static void socket_accept_input(struct chr *chr)
{
    chr_reader_resume(container_of(chr, struct chr_socket, chr)->in);
}

static void socket_close(struct chr *chr)
{
    struct chr_socket *s = container_of(chr, struct chr_socket, chr);
    watch_stop(&s->listen);
    watch_stop(&s->connect);
    watch_stop(&s->retry);
    hang_up(s, CHR_CLOSE_WAIT_MS);
    if (s->listen_fd >= 0 && is_unix(s))
        unlink(unix_path(s));
    close_fd(&s->listen_fd);
    free(s->what);
    chr_free(chr);
}

static const struct option {
    const char *name; /* first: word_nearest() looks here */
    bool is_number;
} options[] = {
    {"server", false}, {"wait", false}, {"nodelay", false}, {"reconnect", true},
    {"ipv4", false},   {"ipv6", false}, {"telnet", false},
};

struct settings {
    bool server, wait, nodelay, telnet, ipv4, ipv6;
    uint64_t reconnect_s;
};

static bool set_option(struct settings *set, const char *label, const char *key, const char *value,
                       struct error *err)
{
    const struct option *o = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        if (strcmp(options[i].name, key) == 0)
            o = &options[i];
    if (!o) {
        const char *near = word_nearest(key, options, sizeof options[0], ARRAY_SIZE(options));
        return error_set(err, "%s: unknown socket option '%s'%s%s%s", label, key,
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    bool on = false;
    if (o->is_number) {
        if (!word_u64(value, &set->reconnect_s) || set->reconnect_s > 86400)
            return error_set(err, "%s: %s=%s is not a number of seconds", label, key, value);
        return true;
    }
    if (!word_bool(value, &on))
        return error_set(err, "%s: %s=%s is neither on nor off", label, key, value);
    if (strcmp(key, "server") == 0)
        set->server = on;
    else if (strcmp(key, "wait") == 0)
        set->wait = on; /* a client has nothing to wait for */
    else if (strcmp(key, "nodelay") == 0)
        set->nodelay = on;
    else if (strcmp(key, "telnet") == 0)
        set->telnet = on;
    else if ((strcmp(key, "ipv4") == 0) == on) /* ipv4=off is as much as ipv6=on */
        set->ipv4 = true;
    else
        set->ipv6 = true;
    return true;
}

static bool resolve_unix(struct chr_socket *s, const char *path, struct error *err)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&s->address[0].sa;
    if (strlen(path) >= sizeof un->sun_path)
        return error_set(err, "%s: the socket path '%s' is longer than %zu bytes", s->chr.label,
                         path, sizeof un->sun_path - 1);
    un->sun_family = AF_UNIX;
    strcpy(un->sun_path, path);
    s->address[0].len = sizeof *un;
    s->addresses = 1;
    return true;
}

/* where is HOST:PORT, [HOST]:PORT or :PORT. */
static bool resolve_tcp(struct chr_socket *s, const char *where, const struct settings *set,
                        struct error *err)
{
    const char *label = s->chr.label;
    const char *colon = strrchr(where, ':');
    uint64_t port;
    if (!colon || strchr(colon, ']'))
        return error_set(err, "%s: '%s' has no port: tcp:HOST:PORT", label, where);
    if (!word_u64(colon + 1, &port) || port > 65535)
        return error_set(err, "%s: '%s' is not a port number (0 to 65535)", label, colon + 1);
    char host[256], service[8];
    const bool bracketed = *where == '[' && colon > where && colon[-1] == ']';
    const char *first = bracketed ? where + 1 : where;
    const size_t n = (size_t)(colon - first) - bracketed;
    if (n >= sizeof host)
        return error_set(err, "%s: the host name in '%s' is too long", label, where);
    memcpy(host, first, n);
    host[n] = '\0';
    snprintf(service, sizeof service, "%u", (unsigned)port);

    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC}, *found;
    hints.ai_flags = AI_NUMERICSERV | (set->server ? AI_PASSIVE : 0);
    if (set->ipv4 != set->ipv6)
        hints.ai_family = set->ipv4 ? AF_INET : AF_INET6;
    else if (!n)
        hints.ai_family = AF_INET;
    const int r = getaddrinfo(n ? host : NULL, service, &hints, &found);
    if (r)
        return error_set(err, "%s: unknown host '%s': %s", label, host, gai_strerror(r));
    for (struct addrinfo *a = found; a && s->addresses < ADDRESSES; a = a->ai_next) {
        struct address *to = &s->address[s->addresses++];
        memcpy(&to->sa, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
    }
    freeaddrinfo(found);
    return true;
}

static bool configure(struct chr_socket *s, const char *spec, bool for_unix, struct error *err)
{
    struct word_pairs pairs;
    struct settings set = {.wait = true, .nodelay = true};
    if (!word_pairs_split(&pairs, spec, "where", err))
        return error_prefix(err, "%s", s->chr.label);
    bool ok = true;
    const char *where = word_pairs_get(&pairs, "where");
    for (unsigned i = 0; ok && i < pairs.count; i++)
        if (strcmp(pairs.key[i], "where") != 0)
            ok = set_option(&set, s->chr.label, pairs.key[i], pairs.value[i], err);
    if (ok && !where)
        ok = error_set(err, "%s: '%s' names no address", s->chr.label, spec);
    if (ok && set.reconnect_s && set.server)
        ok = error_set(err, "%s: reconnect= is for clients", s->chr.label);
    if (ok && asprintf(&s->what, "%s:%s",
                       for_unix    ? "unix"
                       : s->telnet ? "telnet"
                                   : "tcp",
                       where) < 0) {
        s->what = NULL;
        ok = error_set(err, "%s: out of memory", s->chr.label);
    }
    s->server = set.server;
    s->wait = set.wait;
    s->nodelay = set.nodelay;
    s->telnet |= set.telnet;
    if (ok && s->telnet && for_unix)
        ok = error_set(err, "%s: telnet=on is for TCP", s->chr.label);
    if (s->telnet)
        s->chr.filter = telnet_filter;
    s->reconnect_s = set.reconnect_s;
    ok = ok && (for_unix ? resolve_unix(s, where, err) : resolve_tcp(s, where, &set, err));
    word_pairs_free(&pairs);
    return ok;
}

enum socket_kind { SOCKET_TCP, SOCKET_TELNET, SOCKET_UNIX };

static struct chr *create(const struct chr_host *host, const char *spec, enum socket_kind kind,
                          struct error *err)
{
    static const struct chr_ops ops = {socket_write, socket_accept_input, socket_close};
    struct chr_socket *s = calloc(1, sizeof *s);
    if (!s || !chr_init(&s->chr, &ops, host)) {
        free(s);
        error_set(err, "%s: out of memory", host->label);
        return NULL;
    }
    s->host = *host;
    s->host.label = s->chr.label;
    s->listen_fd = s->fd = s->out_fd = -1;
    s->telnet = kind == SOCKET_TELNET;
    if (configure(s, spec, kind == SOCKET_UNIX, err) &&
        (s->server ? open_server(s, err) : open_client(s, err)))
        return &s->chr;
    socket_close(&s->chr);
    return NULL;
}

struct chr *chr_tcp_create(const struct chr_host *host, const char *spec, struct error *err)
{
    return create(host, spec, SOCKET_TCP, err);
}

struct chr *chr_telnet_create(const struct chr_host *host, const char *spec, struct error *err)
{
    return create(host, spec, SOCKET_TELNET, err);
}

struct chr *chr_unix_create(const struct chr_host *host, const char *spec, struct error *err)
{
    return create(host, spec, SOCKET_UNIX, err);
}
