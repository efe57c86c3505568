/* See chr_io.h. Descriptors stay blocking: O_NONBLOCK on a terminal would show in other processes.
 */
#include "host/chr_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES     4096
#define RESCUE_WAIT_MS 1000       /* for a reader that hangs while we crash */
#define EARLY_BYTES    (16 * KiB) /* gathered output that does not wait for the loop to turn */

bool chr_init(struct chr *chr, const struct chr_ops *ops, const struct chr_host *host)
{
    *chr = (struct chr){.ops = ops, .label = strdup(host->label), .door = host->door};
    return chr->label != NULL;
}

void chr_free(struct chr *chr)
{
    free((char *)(uintptr_t)chr->label);
    free(chr);
}

size_t chr_room(const struct chr *chr)
{
    return chr->front.receive ? chr->front.can_receive(chr->front.opaque) : 0;
}

void chr_deliver(struct chr *chr, const uint8_t *buf, size_t len)
{
    if (chr->door)
        door_enter(chr->door, DOOR_CHR, buf, len);
    chr->front.receive(chr->front.opaque, buf, len);
}

void chr_set_connected(struct chr *chr, bool connected)
{
    if (chr->connected == connected)
        return;
    chr->connected = connected;
    if (chr->front.event)
        chr->front.event(chr->front.opaque, connected);
}

/* Regular files and /dev/null are always ready, and epoll refuses them. */
static bool pollable(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
        return false;
    /* Of the character devices only those with a poll method, such as terminals. */
    return !S_ISCHR(st.st_mode) || isatty(fd);
}

/* uv_poll_init makes the descriptor non-blocking; this puts back what it was. */
static bool poll_init(struct host_loop *loop, uv_poll_t *poll, int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    const int r = uv_poll_init(&loop->uv, poll, fd);
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags);
    return r == 0;
}

/* ------------------------------------------------------------------ reading */

struct chr_reader {
    struct chr *chr;
    int fd;
    bool pollable, reading, ended;
    chr_eof_fn *eof;
    void *opaque;
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_idle_t idle; /* for what is always ready */
    } handle;
};

static void reader_pause(struct chr_reader *r)
{
    if (r->reading && r->pollable)
        uv_poll_stop(&r->handle.poll);
    else if (r->reading)
        uv_idle_stop(&r->handle.idle);
    r->reading = false;
}

static void reader_turn(struct chr_reader *r)
{
    uint8_t buf[READ_BYTES];
    const size_t room = chr_room(r->chr);
    if (!room) {
        reader_pause(r);
        return;
    }
    const ssize_t n = read(r->fd, buf, MIN(room, sizeof buf));
    if (n > 0) {
        const size_t left = r->chr->filter ? r->chr->filter(r->chr, buf, (size_t)n) : (size_t)n;
        if (left)
            chr_deliver(r->chr, buf, left);
        return;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    const int error = n < 0 ? errno : 0;
    reader_pause(r);
    r->ended = true;
    if (r->eof)
        r->eof(r->opaque, error);
}

static void reader_ready(uv_poll_t *poll, int status, int events)
{
    (void)status; /* whatever it is, read() says it better */
    (void)events;
    reader_turn(container_of(poll, struct chr_reader, handle.poll));
}

static void reader_idle(uv_idle_t *idle)
{
    reader_turn(container_of(idle, struct chr_reader, handle.idle));
}

struct chr_reader *chr_reader_create(struct chr *chr, struct host_loop *loop, int fd,
                                     chr_eof_fn *eof, void *opaque)
{
    struct chr_reader *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    *r = (struct chr_reader){.chr = chr, .fd = fd, .eof = eof, .opaque = opaque};
    r->pollable = pollable(fd);
    if (!r->pollable) {
        uv_idle_init(&loop->uv, &r->handle.idle);
    } else if (!poll_init(loop, &r->handle.poll, fd)) {
        free(r);
        return NULL;
    }
    chr_reader_resume(r);
    return r;
}

void chr_reader_resume(struct chr_reader *r)
{
    if (!r || r->reading || r->ended || !r->chr->front.receive)
        return;
    r->reading = true;
    if (r->pollable)
        uv_poll_start(&r->handle.poll, UV_READABLE, reader_ready);
    else
        uv_idle_start(&r->handle.idle, reader_idle);
    host_loop_touch(r->handle.any.loop);
}

static void reader_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct chr_reader, handle.any));
}

void chr_reader_destroy(struct chr_reader *r)
{
    if (!r)
        return;
    r->ended = true;
    uv_close(&r->handle.any, reader_closed);
}

/* ------------------------------------------------------------------ writing */

struct chr_writer {
    struct chr *chr;
    struct log *log;
    int fd;
    enum chr_keep keep;
    bool pollable, is_socket;
    bool said_drop;
    int broken; /* errno of the write that showed that nobody reads any more */
    int said_errno;
    chr_broken_fn *on_broken;
    void *opaque;
    uint8_t *buf; /* gathered output: buf[start..end) */
    size_t start, end, cap;
    uv_prepare_t prepare; /* runs just before the loop looks at descriptors */
    uv_poll_t poll;       /* the descriptor was full */
    bool waiting;
    unsigned handles;
};

static void writer_settle(struct chr_writer *w);

static void drop(struct chr_writer *w, size_t n, const char *why)
{
    w->chr->dropped_bytes += n;
    if (n && !w->said_drop)
        log_line(w->log, LOG_HOST, "%s: %s: output is dropped", w->chr->label, why);
    w->said_drop = w->said_drop || n;
}

static bool means_broken(int error)
{
    return error == EPIPE || error == ECONNRESET || error == EIO || error == EBADF ||
           error == ENXIO || error == ENOTCONN || error == ETIMEDOUT;
}

/* A write failed for good: the peer is gone, or this output cannot be stored. */
static void writer_failed(struct chr_writer *w, int error)
{
    const size_t lost = w->end - w->start;
    w->start = w->end = 0;
    w->chr->dropped_bytes += lost;
    struct stat st;
    const bool is_file = fstat(w->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!is_file && means_broken(error)) {
        w->broken = error;
        if (!w->on_broken)
            log_line(w->log, LOG_HOST, "%s: nobody reads the output any more (%s)", w->chr->label,
                     strerror(error));
        return;
    }
    if (error != w->said_errno)
        log_line(w->log, LOG_HOST, "%s: output is lost: %s", w->chr->label, strerror(error));
    container_of(w->prepare.loop, struct host_loop, uv)->lost = true;
    w->said_errno = error; /* later output is tried again: room may come back */
}

/* Writes as much as goes without waiting. */
static void writer_flush(struct chr_writer *w)
{
    while (w->start < w->end) {
        size_t n = w->end - w->start;
        ssize_t done;
        if (w->is_socket) {
            done = send(w->fd, w->buf + w->start, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        } else {
            if (w->pollable) {
                struct pollfd p = {.fd = w->fd, .events = POLLOUT};
                if (poll(&p, 1, 0) <= 0)
                    return;
                n = MIN(n, PIPE_BUF); /* a pipe that is ready takes this much without blocking */
            }
            done = write(w->fd, w->buf + w->start, n);
        }
        if (done > 0) {
            w->start += (size_t)done;
            w->said_errno = 0;
        } else if (done < 0 && errno == EAGAIN) {
            return;
        } else if (done < 0 && errno != EINTR) {
            writer_failed(w, errno);
            return;
        }
    }
    w->start = w->end = 0;
}

/* Waits until the descriptor takes more. False: interrupted or timed out. */
static bool writer_wait(struct chr_writer *w, int timeout_ms)
{
    if (!w->pollable)
        return true;
    struct pollfd p = {.fd = w->fd, .events = POLLOUT};
    return poll(&p, 1, timeout_ms) > 0;
}

/*
 * Milliseconds until the loop's next timer, the window's perhaps, which do not show at its
 * descriptor; -1: there is none. The loop's own time stands still until it turns, so that nobody
 * waits again once one is due.
 */
static int until_next_timer(const uv_loop_t *loop)
{
    const int from_turn = uv_backend_timeout(loop);
    if (from_turn <= 0)
        return from_turn;
    const uint64_t due = uv_now(loop) + (uint64_t)from_turn, now = uv_hrtime() / NS_PER_MS;
    return due > now ? (int)(due - now) : 0;
}

/* Waits until there may be room; not while somebody wants the machine: a signal, the monitor, a
 * timer. The last come for ever, so from some point on the queue does not grow for them. */
static bool writer_wait_for_room(struct chr_writer *w)
{
    if (!w->pollable)
        return true;
    const bool timers = w->end - w->start < CHR_QUEUE_MOST;
    struct pollfd p[2] = {{.fd = w->fd, .events = POLLOUT},
                          {.fd = uv_backend_fd(w->prepare.loop), .events = POLLIN}};
    return poll(p, 2, timers ? until_next_timer(w->prepare.loop) : -1) > 0 && p[0].revents;
}

static void writer_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct chr_writer *w = container_of(poll, struct chr_writer, poll);
    writer_flush(w);
    writer_settle(w);
}

static void writer_turn(uv_prepare_t *prepare)
{
    struct chr_writer *w = container_of(prepare, struct chr_writer, prepare);
    uv_prepare_stop(prepare);
    writer_flush(w);
    writer_settle(w);
}

/* After a flush on the loop's behalf: waits for room if there is a rest, reports a lost peer. */
static void writer_settle(struct chr_writer *w)
{
    const bool wait = w->pollable && !w->broken && w->start < w->end;
    if (wait && !w->waiting)
        uv_poll_start(&w->poll, UV_WRITABLE, writer_ready);
    else if (!wait && w->waiting)
        uv_poll_stop(&w->poll);
    w->waiting = wait;
    if (w->broken && w->on_broken)
        w->on_broken(w->opaque, w->broken);
}

/* A reader that went away is an error of one back-end, not the end of the process. */
static void ignore_sigpipe(void)
{
    struct sigaction old;
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

struct chr_writer *chr_writer_create(struct chr *chr, const struct chr_host *host, int fd,
                                     enum chr_keep keep, chr_broken_fn *broken, void *opaque)
{
    struct chr_writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct chr_writer){.chr = chr, .log = host->log, .fd = fd, .keep = keep};
    w->on_broken = broken;
    w->opaque = opaque;
    struct stat st;
    w->is_socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    if (!w->is_socket)
        ignore_sigpipe();
    w->pollable = pollable(fd);
    if (w->pollable && !poll_init(host->loop, &w->poll, fd)) {
        free(w);
        return NULL;
    }
    uv_prepare_init(&host->loop->uv, &w->prepare);
    w->handles = w->pollable ? 2 : 1;
    return w;
}

static bool writer_grow(struct chr_writer *w, size_t len)
{
    if (w->start) {
        memmove(w->buf, w->buf + w->start, w->end - w->start);
        w->end -= w->start;
        w->start = 0;
    }
    if (len <= w->cap - w->end)
        return true;
    const size_t cap = MAX(w->end + len, w->cap * 2);
    uint8_t *buf = realloc(w->buf, cap);
    if (!buf)
        return false;
    w->buf = buf;
    w->cap = cap;
    return true;
}

void chr_writer_put(struct chr_writer *w, const uint8_t *buf, size_t len)
{
    if (!w || !len)
        return;
    if (w->broken) {
        w->chr->dropped_bytes += len;
        return;
    }
    if (w->end - w->start + len > CHR_QUEUE_BYTES) {
        writer_flush(w);
        /* Where the wait is not for room, the queue grows. */
        while (w->keep == CHR_KEEP_ALL && !w->broken && w->end - w->start + len > CHR_QUEUE_BYTES &&
               w->start < w->end) {
            if (!writer_wait_for_room(w))
                break;
            writer_flush(w);
        }
        const size_t queued = w->end - w->start;
        if (w->keep == CHR_KEEP_BOUND && queued + len > CHR_QUEUE_BYTES) {
            const size_t room = CHR_QUEUE_BYTES - queued;
            drop(w, len - room, "the peer does not read");
            len = room;
        }
    }
    if (!w->broken && (len <= w->cap - w->end || writer_grow(w, len))) {
        memcpy(w->buf + w->end, buf, len);
        w->end += len;
        if (w->end - w->start >= EARLY_BYTES && !w->waiting)
            writer_flush(w);
    } else {
        drop(w, len, w->broken ? "nobody reads" : "out of memory");
    }
    if (!w->waiting) {
        uv_prepare_start(&w->prepare, writer_turn);
        host_loop_touch(w->prepare.loop);
    }
}

void chr_writer_rescue(struct chr_writer *w)
{
    while (!w->broken && w->start < w->end) {
        struct pollfd p = {.fd = w->fd, .events = POLLOUT};
        if (w->pollable && poll(&p, 1, RESCUE_WAIT_MS) <= 0)
            return;
        const ssize_t n = write(w->fd, w->buf + w->start, MIN(w->end - w->start, PIPE_BUF));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        w->start += (size_t)n;
    }
}

void chr_writer_flush(struct chr_writer *w)
{
    if (w)
        writer_flush(w);
}

static void writer_handle_closed(struct chr_writer *w)
{
    if (--w->handles == 0) {
        free(w->buf);
        free(w);
    }
}

static void prepare_closed(uv_handle_t *handle)
{
    writer_handle_closed(container_of((uv_prepare_t *)handle, struct chr_writer, prepare));
}

static void poll_closed(uv_handle_t *handle)
{
    writer_handle_closed(container_of((uv_poll_t *)handle, struct chr_writer, poll));
}

void chr_writer_destroy(struct chr_writer *w, int timeout_ms)
{
    if (!w)
        return;
    unsigned signals = 0;
    if (timeout_ms < 0 && container_of(w->prepare.loop, struct host_loop, uv)->hurry)
        timeout_ms = CHR_CLOSE_WAIT_MS;
    writer_flush(w);
    while (!w->broken && w->start < w->end) {
        if (!writer_wait(w, timeout_ms) && (timeout_ms >= 0 || ++signals == 3))
            break;
        writer_flush(w);
    }
    if (w->start < w->end && w->keep == CHR_KEEP_ALL)
        log_line(w->log, LOG_HOST, "%s: nobody read the last of the output", w->chr->label);
    w->chr->dropped_bytes += w->end - w->start;
    uv_close((uv_handle_t *)&w->prepare, prepare_closed);
    if (w->pollable)
        uv_close((uv_handle_t *)&w->poll, poll_closed);
}
