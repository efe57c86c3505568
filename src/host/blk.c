/*
 * See blk.h: the order of requests, who runs them, when they complete.
 *
 *      waiting --(no earlier one is in the way)--> running --> finished --> done()
 *                 |                                  ^ a worker             ^ from the loop
 *                 '--(needs no waiting)--------------'                      ^ or by the event
 *
 * All lists are under the machine's lock (core/world.h); a worker only sets node.finished, under
 * the lock, so that blk_drain() can wait for it without turning the loop (which would let others
 * run).
 */
#include "host/blk.h"
#include "host/blk_driver.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

/* A disk of its day's controller and cable, in guest time. */
#define LATENCY_NS    (20 * NS_PER_US)
#define LATENCY_4K_NS (1 * NS_PER_US)
#define KNOWN_ERRNOS  256

enum node_state { WAITING, RUNNING, TIMED };

struct node {
    struct front *front;
    struct node *next;
    struct blk_request *req; /* NULL once done() was called */
    enum node_state state;
    uint64_t len_bytes;
    int64_t due_ns; /* TIMED */
    int status;
    bool finished; /* RUNNING: the worker is through; under the lock */
    bool in_pool;  /* libuv still holds work */
    uv_work_t work;
};

struct front {
    struct blk blk;
    struct blk_driver *driver;
    struct blk_host host;
    struct node *head; /* in order of submission */
    struct node *spare;
    struct event event; /* the earliest TIMED one is due */
    bool dirty;         /* written since the last flush began */
    int lost;           /* a flush failed so: the host tells it once, and drops what it could not
                           write (fsync(2) "NOTES"), so no later one can succeed */
    uint8_t errno_seen[KNOWN_ERRNOS / 8];
    unsigned in_pool; /* nodes that libuv still holds */
    bool closed;
    uv_mutex_t lock;
    uv_cond_t finished;
};

static void start_ready(struct front *f);

uint64_t blk_iov_bytes(const struct iovec *iov, unsigned iov_len)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < iov_len; i++)
        sum += iov[i].iov_len;
    return sum;
}

unsigned blk_cursor_list(const struct blk_cursor *c, uint64_t max, struct iovec *list,
                         uint64_t *bytes)
{
    unsigned n = 0;
    size_t skip = c->skip;
    *bytes = 0;
    for (unsigned i = 0; i < c->iov_len && n < BLK_CURSOR_IOV && *bytes < max; i++, skip = 0) {
        const size_t len = MIN(c->iov[i].iov_len - skip, max - *bytes);
        if (!len)
            continue;
        list[n++] = (struct iovec){(char *)c->iov[i].iov_base + skip, len};
        *bytes += len;
    }
    return n;
}

void blk_cursor_advance(struct blk_cursor *c, uint64_t bytes)
{
    while (bytes) {
        const size_t len = MIN(c->iov[0].iov_len - c->skip, bytes);
        bytes -= len;
        c->skip += len;
        if (c->skip == c->iov[0].iov_len && c->iov_len) {
            c->iov++;
            c->iov_len--;
            c->skip = 0;
        }
    }
}

/* ------------------------------------------------------------------ nodes */

static struct node *node_new(struct front *f)
{
    struct node *n = f->spare;
    if (n)
        f->spare = n->next;
    else
        n = malloc(sizeof *n);
    if (n)
        *n = (struct node){.front = f};
    return n;
}

static void node_free(struct node *n)
{
    n->next = n->front->spare;
    n->front->spare = n;
}

static void front_free(struct front *f)
{
    while (f->spare) {
        struct node *n = f->spare;
        f->spare = n->next;
        free(n);
    }
    uv_mutex_destroy(&f->lock);
    uv_cond_destroy(&f->finished);
    free((char *)(uintptr_t)f->blk.path);
    free(f);
}

/* ------------------------------------------------------------------ completion */

static void say_error(struct front *f, const struct node *n)
{
    static const char *const what[] = {"reading", "writing", "flushing"};
    const unsigned e = (unsigned)n->status % KNOWN_ERRNOS;
    if (f->errno_seen[e / 8] & (1 << (e % 8)))
        return;
    f->errno_seen[e / 8] |= (uint8_t)(1 << (e % 8));
    if (n->req->op == BLK_FLUSH)
        log_line(f->host.log, LOG_HOST, "%s: flushing failed: %s; the guest gets a disk error",
                 f->blk.path, strerror(n->status));
    else
        log_line(f->host.log, LOG_HOST,
                 "%s: %s %" PRIu64 " bytes at %" PRIu64 " failed: %s; the guest gets a disk error",
                 f->blk.path, what[n->req->op], n->len_bytes, n->req->offset_bytes,
                 strerror(n->status));
}

/* Takes n out, lets go on what waited for it, and tells the owner. */
static void complete(struct node *n)
{
    struct front *f = n->front;
    struct blk_request *req = n->req;
    for (struct node **p = &f->head; *p; p = &(*p)->next) {
        if (*p == n) {
            *p = n->next;
            break;
        }
    }
    if (n->status)
        say_error(f, n);
    if (n->status && req->op == BLK_FLUSH)
        f->lost = n->status;
    const struct {
        uint64_t offset, len;
        uint32_t op, status;
    } entry = {req->offset_bytes, n->len_bytes, req->op, (uint32_t)n->status};
    if (f->host.door)
        door_enter(f->host.door, DOOR_BLK, &entry, sizeof entry);
    req->status = n->status;
    n->req = NULL;
    if (!n->in_pool)
        node_free(n);
    start_ready(f);
    req->done(req);
}

static struct node *earliest_timed(struct front *f)
{
    struct node *first = NULL;
    for (struct node *n = f->head; n; n = n->next)
        if (n->state == TIMED && (!first || n->due_ns < first->due_ns))
            first = n;
    return first;
}

static void arm(struct front *f)
{
    const struct node *n = earliest_timed(f);
    if (!n)
        event_cancel(f->host.events, &f->event);
    else if (f->event.due_ns != n->due_ns)
        event_arm(f->host.events, &f->event, n->due_ns);
}

static void timed_due(void *opaque, int64_t now_ns)
{
    struct front *f = opaque;
    struct node *n;
    while ((n = earliest_timed(f)) && n->due_ns <= now_ns)
        complete(n);
    arm(f);
}

/* ------------------------------------------------------------------ running */

static int run(struct node *n)
{
    struct blk_driver *d = n->front->driver;
    const struct blk_request *req = n->req;
    switch (req->op) {
    case BLK_READ:
        return d->ops->read(d, req->offset_bytes, req->iov, req->iov_len);
    case BLK_WRITE:
        return d->readonly ? EROFS : d->ops->write(d, req->offset_bytes, req->iov, req->iov_len);
    case BLK_FLUSH:
        return d->ops->flush ? d->ops->flush(d) : 0;
    }
    return EINVAL;
}

static void worker(uv_work_t *work)
{
    struct node *n = container_of(work, struct node, work);
    const int status = run(n);
    uv_mutex_lock(&n->front->lock);
    n->status = status;
    n->finished = true;
    uv_cond_broadcast(&n->front->finished);
    uv_mutex_unlock(&n->front->lock);
}

static void worker_done(uv_work_t *work, int status)
{
    (void)status;
    struct node *n = container_of(work, struct node, work);
    struct front *f = n->front;
    n->in_pool = false;
    f->in_pool--;
    if (n->req)
        complete(n); /* frees n */
    else
        node_free(n); /* a drain was faster */
    if (f->closed && !f->in_pool)
        front_free(f);
}

/* Done already, as far as the host goes; the guest learns it when the time has come. */
static void finish_timed(struct node *n, int status)
{
    struct front *f = n->front;
    n->status = status;
    n->state = TIMED;
    n->due_ns = event_now(f->host.events) + LATENCY_NS +
                (int64_t)((n->len_bytes + 4095) / 4096) * LATENCY_4K_NS;
}

static bool must_not_wait(const struct front *f)
{
    return !f->host.loop || !f->host.door || f->host.door->deterministic;
}

static void start(struct node *n)
{
    struct front *f = n->front;
    struct blk_driver *d = f->driver;
    const struct blk_request *req = n->req;
    const uint64_t end = req->offset_bytes + n->len_bytes;
    if (end > d->size_bytes || end < n->len_bytes) {
        finish_timed(n, EINVAL);
        return;
    }
    const bool clean_flush = req->op == BLK_FLUSH && !f->dirty;
    if (req->op == BLK_WRITE)
        f->dirty = true;
    else if (req->op == BLK_FLUSH)
        f->dirty = false;
    if (req->op == BLK_FLUSH && f->lost) {
        finish_timed(n, f->lost);
        return;
    }
    if (clean_flush || d->ops->instant || must_not_wait(f)) {
        finish_timed(n, clean_flush ? 0 : run(n));
        return;
    }
    if (req->op == BLK_READ && d->ops->read_now) {
        const int status = d->ops->read_now(d, req->offset_bytes, req->iov, req->iov_len);
        if (status != EAGAIN) {
            finish_timed(n, status);
            return;
        }
    }
    n->state = RUNNING;
    n->in_pool = true;
    f->in_pool++;
    uv_queue_work(&f->host.loop->uv, &n->work, worker, worker_done);
}

/* Must b, submitted later, wait for a? */
static bool in_the_way(const struct node *a, const struct node *b)
{
    if (a->state == TIMED) /* it has happened */
        return false;
    if (b->req->op == BLK_FLUSH)
        return a->req->op == BLK_WRITE;
    if (a->req->op == BLK_FLUSH || (a->req->op == BLK_READ && b->req->op == BLK_READ))
        return false;
    return a->req->offset_bytes < b->req->offset_bytes + b->len_bytes &&
           b->req->offset_bytes < a->req->offset_bytes + a->len_bytes;
}

static void start_ready(struct front *f)
{
    for (struct node *n = f->head; n; n = n->next) {
        bool free_to_go = n->state == WAITING;
        for (struct node *a = f->head; free_to_go && a != n; a = a->next)
            free_to_go = !in_the_way(a, n);
        if (free_to_go)
            start(n);
    }
    arm(f);
}

/* ------------------------------------------------------------------ interface */

void blk_submit(struct blk *blk, struct blk_request *req)
{
    struct front *f = container_of(blk, struct front, blk);
    assert(!(req->offset_bytes % BLK_SECTOR));
    struct node *n = node_new(f), **p;
    assert(n && "a disk request without memory for it"); /* a few hundred bytes */
    n->req = req;
    if (req->op != BLK_FLUSH)
        n->len_bytes = blk_iov_bytes(req->iov, req->iov_len);
    assert(!(n->len_bytes % BLK_SECTOR));
    for (p = &f->head; *p; p = &(*p)->next)
        ;
    *p = n;
    start_ready(f);
}

/* The first request that can complete; waits for a worker if there is only that. */
static struct node *next_finished(struct front *f)
{
    struct node *n = earliest_timed(f);
    if (n)
        return n;
    uv_mutex_lock(&f->lock);
    for (;;) {
        for (n = f->head; n && !(n->state == RUNNING && n->finished); n = n->next)
            ;
        if (n)
            break;
        uv_cond_wait(&f->finished, &f->lock);
    }
    uv_mutex_unlock(&f->lock);
    return n;
}

void blk_drain(struct blk *blk)
{
    struct front *f = container_of(blk, struct front, blk);
    while (f->head)
        complete(next_finished(f));
}

bool blk_close(struct blk *blk, struct error *err)
{
    if (!blk)
        return true;
    struct front *f = container_of(blk, struct front, blk);
    blk_drain(blk);
    event_cancel(f->host.events, &f->event);
    int status = f->lost;
    if (!status && f->dirty && f->driver->ops->flush)
        status = f->driver->ops->flush(f->driver);
    if (status)
        error_set(err, "%s: flushing failed: %s; what the guest wrote last may be lost",
                  f->blk.path, strerror(status));
    f->driver->ops->close(f->driver);
    f->closed = true;
    if (!f->in_pool)
        front_free(f);
    return status == 0;
}

struct blk *blk_create(struct blk_driver *driver, const char *path, const struct blk_host *host)
{
    struct front *f = calloc(1, sizeof *f);
    char *copy = strdup(path);
    if (!f || !copy) {
        free(f);
        free(copy);
        driver->ops->close(driver);
        return NULL;
    }
    f->driver = driver;
    f->host = *host;
    f->blk = (struct blk){driver->size_bytes, driver->readonly, copy, f};
    event_init(&f->event, "blk.done", timed_due, f);
    uv_mutex_init(&f->lock);
    uv_cond_init(&f->finished);
    return &f->blk;
}

struct blk_driver *blk_driver_of(struct blk *blk)
{
    return container_of(blk, struct front, blk)->driver;
}

/* A write beyond a file-size limit is an error of one request, not the end of the process. */
static void ignore_sigxfsz(void)
{
    struct sigaction old;
    if (sigaction(SIGXFSZ, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
        signal(SIGXFSZ, SIG_IGN);
}

struct blk *blk_open(const struct blk_options *opt, const struct blk_host *host, struct error *err)
{
    if (opt->format && strcmp(opt->format, "raw") != 0) {
        error_set(err, "%s: unknown image format '%s'; known is raw", opt->path, opt->format);
        return NULL;
    }
    ignore_sigxfsz();
    struct blk_driver *d = blk_raw_open(opt, host->log, err);
    if (d && opt->snapshot)
        d = blk_cow_open(d, err);
    if (!d)
        return NULL;
    if (opt->readonly)
        d->readonly = true;
    struct blk *blk = blk_create(d, opt->path, host);
    if (!blk)
        error_set(err, "%s: out of memory", opt->path);
    return blk;
}
