/*
 * Block back-ends: data, order, drain, flush, deterministic completion, snapshots, locks, and what
 * becomes of host errors. A slow driver with a gate makes order visible.
 */
#define _GNU_SOURCE
#include "host/blk.h"
#include "host/blk_driver.h"
#include "rng.h"
#include "seed.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static struct {
    struct host_loop loop;
    struct door door;
    struct log log;
    struct event_queue events;
    int64_t now_ns;
    struct blk_host host;
    char lines[4096];
    char dir[64];
} t;

static void log_sink(void *opaque, const char *line)
{
    (void)opaque;
    strncat(t.lines, line, sizeof t.lines - strlen(t.lines) - 2);
    strcat(t.lines, "\n");
}

static int setup(void **unused)
{
    (void)unused;
    struct error err = {0};
    memset(&t, 0, sizeof t);
    if (!host_loop_create(&t.loop, &err))
        return -1;
    door_init(&t.door, false, 0);
    log_init(&t.log, log_sink, NULL);
    event_queue_init_stepped(&t.events, &t.now_ns);
    t.host = (struct blk_host){&t.loop, &t.events, &t.door, &t.log};
    strcpy(t.dir, "/tmp/test_blk.XXXXXX");
    return mkdtemp(t.dir) ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    host_loop_destroy(&t.loop);
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", t.dir);
    return system(cmd);
}

static const char *image_path(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", t.dir, name);
    return path;
}

static const char *make_image(const char *name, size_t bytes)
{
    const char *path = image_path(name);
    FILE *f = fopen(path, "w");
    for (size_t i = 0; i < bytes; i++)
        fputc((int)(i / 512 + 1), f);
    fclose(f);
    return path;
}

static struct blk *open_ok(const struct blk_options *opt)
{
    struct error err = {0};
    struct blk *blk = blk_open(opt, &t.host, &err);
    if (!blk)
        fail_msg("%s", err.msg);
    return blk;
}

static void close_ok(struct blk *blk)
{
    struct error err = {0};
    if (!blk_close(blk, &err))
        fail_msg("%s", err.msg);
}

/* ------------------------------------------------------------------ one request */

struct job {
    struct blk_request req;
    struct iovec iov[3];
    bool done;
    unsigned order;
    int64_t at_ns;
};

static unsigned done_count;
static bool submitting;

static void job_done(struct blk_request *req)
{
    struct job *j = req->opaque;
    assert_false(submitting);
    assert_false(j->done);
    j->done = true;
    j->order = ++done_count;
    j->at_ns = t.now_ns;
}

static void submit(struct blk *blk, struct job *j, enum blk_op op, uint64_t offset, void *buf,
                   size_t len)
{
    *j = (struct job){.req = {.op = op, .offset_bytes = offset, .done = job_done}};
    j->req.opaque = j;
    j->req.iov = j->iov;
    if (len) { /* in three odd pieces */
        const size_t a = len / 3, b = len / 5;
        j->iov[0] = (struct iovec){buf, a};
        j->iov[1] = (struct iovec){(char *)buf + a, b};
        j->iov[2] = (struct iovec){(char *)buf + a + b, len - a - b};
        j->req.iov_len = 3;
    }
    submitting = true;
    blk_submit(blk, &j->req);
    submitting = false;
}

/* Turns loop and guest time until it is done. */
static int finish(struct job *j)
{
    for (unsigned i = 0; !j->done; i++) {
        if (i == 500)
            fail_msg("request not done");
        event_step(&t.events, &t.now_ns, 1 * NS_PER_MS);
        if (!j->done)
            host_loop_wait(&t.loop, 10 * NS_PER_MS);
    }
    return j->req.status;
}

static int transfer(struct blk *blk, enum blk_op op, uint64_t offset, void *buf, size_t len)
{
    struct job j;
    submit(blk, &j, op, offset, buf, len);
    return finish(&j);
}

/* ------------------------------------------------------------------ raw */

static void test_raw(void **unused)
{
    (void)unused;
    const char *path = make_image("disk", 8 * 512);
    struct blk *blk = open_ok(&(struct blk_options){.path = path});
    assert_int_equal(blk->size_bytes, 8 * 512);
    assert_false(blk->readonly);
    static uint8_t buf[8 * 512], back[4096];
    assert_int_equal(transfer(blk, BLK_READ, 0, buf, sizeof buf), 0);
    for (unsigned i = 0; i < sizeof buf; i++)
        assert_int_equal(buf[i], i / 512 + 1);
    memset(buf, 0xaa, 1024);
    assert_int_equal(transfer(blk, BLK_WRITE, 1024, buf, 1024), 0);
    assert_int_equal(transfer(blk, BLK_FLUSH, 0, NULL, 0), 0);
    assert_int_equal(transfer(blk, BLK_READ, 512, back, 2048), 0);
    assert_int_equal(back[511], 2);
    assert_int_equal(back[512], 0xaa);
    assert_int_equal(back[1535], 0xaa);
    assert_int_equal(back[1536], 5);
    assert_int_equal(transfer(blk, BLK_READ, 8 * 512, buf, 512), EINVAL); /* beyond the end */
    assert_int_equal(transfer(blk, BLK_READ, UINT64_MAX - 511, buf, 512), EINVAL);
    assert_true(t.door.entered[DOOR_BLK] == 6);
    close_ok(blk);
    FILE *f = fopen(path, "r");
    fseek(f, 1024, SEEK_SET);
    assert_int_equal(fgetc(f), 0xaa);
    fclose(f);
}

static void test_odd_size(void **unused)
{
    (void)unused;
    const char *path = make_image("odd", 1000);
    struct blk *blk = open_ok(&(struct blk_options){.path = path});
    char message[256];
    snprintf(message, sizeof message,
             "%s: 1000 bytes are no whole number of 512-byte sectors; the last one is filled up "
             "with zeros\n",
             path);
    assert_string_equal(t.lines, message);
    assert_int_equal(blk->size_bytes, 1024);
    uint8_t buf[512];
    assert_int_equal(transfer(blk, BLK_READ, 512, buf, 512), 0);
    assert_int_equal(buf[487], 2);
    assert_int_equal(buf[488], 0);
    assert_int_equal(buf[511], 0);
    memset(buf, 7, sizeof buf);
    assert_int_equal(transfer(blk, BLK_WRITE, 512, buf, 512), 0);
    close_ok(blk);
    struct stat st;
    stat(path, &st);
    assert_int_equal(st.st_size, 1024);
}

static void expect_error(const struct blk_options *opt, const char *fmt)
{
    struct error err = {0};
    char message[512];
    snprintf(message, sizeof message, fmt, opt->path);
    assert_null(blk_open(opt, &t.host, &err));
    assert_string_equal(err.msg, message);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void test_open_errors(void **unused)
{
    (void)unused;
    expect_error(&(struct blk_options){.path = image_path("none")},
                 "%s: No such file or directory");
    expect_error(&(struct blk_options){.path = t.dir}, "%s: is a directory, not a disk image");
    expect_error(&(struct blk_options){.path = t.dir, .readonly = true},
                 "%s: is a directory, not a disk image");
    expect_error(&(struct blk_options){.path = make_image("empty", 0)}, "%s: is empty");
    expect_error(&(struct blk_options){.path = "/dev/null"},
                 "%s: is neither a file nor a block device");
    mkfifo(image_path("fifo"), 0600);
    expect_error(&(struct blk_options){.path = image_path("fifo"), .readonly = true},
                 "%s: is neither a file nor a block device");
    expect_error(&(struct blk_options){.path = "x", .format = "qcow2"},
                 "%s: unknown image format 'qcow2'; known is raw");
    FILE *f = fopen(image_path("q"), "w");
    fwrite("QFI\xfb\0\0\0\3", 1, 8, f);
    fclose(f);
    expect_error(&(struct blk_options){.path = image_path("q")},
                 "%s: this looks like a qcow2 image; convert it with qemu-img convert -O raw, or "
                 "say format=raw");
    close_ok(open_ok(&(struct blk_options){.path = image_path("q"), .format = "raw"}));
}
#pragma GCC diagnostic pop

static void test_readonly(void **unused)
{
    (void)unused;
    const char *path = make_image("ro", 1024);
    struct blk *blk = open_ok(&(struct blk_options){.path = path, .readonly = true});
    uint8_t buf[512] = {0};
    assert_true(blk->readonly);
    assert_int_equal(transfer(blk, BLK_READ, 0, buf, 512), 0);
    assert_int_equal(transfer(blk, BLK_WRITE, 0, buf, 512), EROFS);
    assert_int_equal(transfer(blk, BLK_FLUSH, 0, NULL, 0), 0);
    close_ok(blk);
}

static void test_locks(void **unused)
{
    (void)unused;
    const char *path = make_image("locked", 1024);
    const struct blk_options rw = {.path = path}, ro = {.path = path, .readonly = true},
                             snap = {.path = path, .snapshot = true};
    struct error err = {0};
    char message[512];
    struct blk *writer = open_ok(&rw);
    snprintf(message, sizeof message, "%s: another program has this image open for writing", path);
    const struct blk_options *const late[] = {&rw, &ro, &snap};
    for (unsigned i = 0; i < 3; i++) {
        err.msg[0] = '\0';
        assert_null(blk_open(late[i], &t.host, &err));
        assert_string_equal(err.msg, message);
    }
    close_ok(writer);

    struct blk *reader = open_ok(&ro), *another = open_ok(&snap);
    err.msg[0] = '\0';
    assert_null(blk_open(&rw, &t.host, &err));
    snprintf(message, sizeof message,
             "%s: another program uses this image; -snapshot or readonly=on lets two share it",
             path);
    assert_string_equal(err.msg, message);
    close_ok(reader);
    close_ok(another);
    close_ok(open_ok(&rw));
}

/* ------------------------------------------------------------------ snapshot */

static void test_snapshot(void **unused)
{
    (void)unused;
    enum { SECTORS = 300 };
    const char *path = make_image("base", SECTORS * 512);
    struct blk *blk = open_ok(&(struct blk_options){.path = path, .snapshot = true});
    assert_false(blk->readonly);
    static uint8_t model[SECTORS * 512], buf[SECTORS * 512];
    for (unsigned i = 0; i < sizeof model; i++)
        model[i] = (uint8_t)(i / 512 + 1);
    rng_state = test_seed(1);
    for (unsigned round = 0; round < 400; round++) {
        const unsigned first = below(SECTORS);
        const unsigned n = 1 + below(MIN(SECTORS - first, 150u));
        if (one_in(2)) {
            for (unsigned i = 0; i < n * 512; i++)
                model[first * 512 + i] = buf[i] = (uint8_t)rnd();
            assert_int_equal(transfer(blk, BLK_WRITE, first * 512, buf, n * 512), 0);
        } else {
            assert_int_equal(transfer(blk, BLK_READ, first * 512, buf, n * 512), 0);
            assert_memory_equal(buf, model + first * 512, n * 512);
        }
    }
    close_ok(blk);
    FILE *f = fopen(path, "r"); /* the image itself was never touched */
    for (unsigned i = 0; i < SECTORS * 512; i++)
        if (fgetc(f) != (uint8_t)(i / 512 + 1))
            fail_msg("byte %u changed", i);
    fclose(f);
}

/* ------------------------------------------------------------------ a driver with a gate */

struct gated {
    struct blk_driver driver;
    uv_mutex_t lock;
    uv_cond_t opened;
    bool open;
    unsigned running, most;
    char log[64]; /* r, w, f in order of execution, capitals when they end */
    unsigned flushes;
    int fail_with;
};

static void gate_set(struct gated *g, bool open)
{
    uv_mutex_lock(&g->lock);
    g->open = open;
    uv_cond_broadcast(&g->opened);
    uv_mutex_unlock(&g->lock);
}

static void gate_log(struct gated *g, char name)
{
    const size_t n = strlen(g->log);
    assert(n + 1 < sizeof g->log);
    g->log[n] = name;
}

static int gated_op(struct blk_driver *d, char name)
{
    struct gated *g = container_of(d, struct gated, driver);
    uv_mutex_lock(&g->lock);
    gate_log(g, name);
    g->running++;
    g->most = MAX(g->most, g->running);
    while (!g->open)
        uv_cond_wait(&g->opened, &g->lock);
    g->running--;
    name = (char)(name - 32);
    gate_log(g, name);
    g->flushes += name == 'F';
    const int r = g->fail_with;
    uv_mutex_unlock(&g->lock);
    return r;
}

static int gated_read(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned n)
{
    (void)offset;
    (void)iov;
    (void)n;
    return gated_op(d, 'r');
}

static int gated_write(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned n)
{
    (void)offset;
    (void)iov;
    (void)n;
    return gated_op(d, 'w');
}

static int gated_flush(struct blk_driver *d)
{
    return gated_op(d, 'f');
}

static void gated_close(struct blk_driver *d)
{
    strcat(container_of(d, struct gated, driver)->log, "c");
}

static struct blk *gated_create(struct gated *g)
{
    static const struct blk_driver_ops ops = {
        .read = gated_read, .write = gated_write, .flush = gated_flush, .close = gated_close};
    *g = (struct gated){.driver = {.ops = &ops, .size_bytes = 1 << 20}};
    uv_mutex_init(&g->lock);
    uv_cond_init(&g->opened);
    return blk_create(&g->driver, "gated", &t.host);
}

static void wait_log(struct gated *g, size_t len)
{
    for (unsigned i = 0; i < 60000; i++) { /* a minute: only what hangs takes so long */
        uv_mutex_lock(&g->lock);
        const bool there = strlen(g->log) >= len;
        uv_mutex_unlock(&g->lock);
        if (there)
            return;
        usleep(1000);
    }
    fail_msg("the driver did not get there: %s", g->log);
}

static void test_overlap(void **unused)
{
    (void)unused;
    struct gated g;
    struct blk *blk = gated_create(&g);
    struct job w1, r1, w2, r2;
    static uint8_t buf[4][4096];
    done_count = 0;
    submit(blk, &w1, BLK_WRITE, 0, buf[0], 4096);
    wait_log(&g, 1);
    submit(blk, &r1, BLK_READ, 2048, buf[1], 4096);  /* overlaps w1: waits */
    submit(blk, &w2, BLK_WRITE, 4096, buf[2], 4096); /* overlaps r1, not w1: waits all the same */
    submit(blk, &r2, BLK_READ, 65536, buf[3], 512);  /* on its own: starts */
    wait_log(&g, 2);
    usleep(20000);
    assert_string_equal(g.log, "wr");
    gate_set(&g, true);
    assert_int_equal(finish(&w2), 0);
    assert_true(w1.done && r1.done);
    assert_true(w1.order < r1.order && r1.order < w2.order);
    finish(&r2);
    close_ok(blk);
    assert_int_equal(g.log[strlen(g.log) - 1], 'c');
}

static void test_reads_share(void **unused)
{
    (void)unused;
    struct gated g;
    struct blk *blk = gated_create(&g);
    struct job a, b;
    static uint8_t buf[2][512];
    submit(blk, &a, BLK_READ, 0, buf[0], 512);
    submit(blk, &b, BLK_READ, 0, buf[1], 512);
    wait_log(&g, 2);
    assert_int_equal(g.most, 2);
    gate_set(&g, true);
    finish(&a);
    finish(&b);
    close_ok(blk);
}

static void test_flush_order(void **unused)
{
    (void)unused;
    struct gated g;
    struct blk *blk = gated_create(&g);
    struct job w1, w2, f1, f2, r;
    static uint8_t buf[3][512];
    done_count = 0;
    submit(blk, &w1, BLK_WRITE, 0, buf[0], 512);
    submit(blk, &w2, BLK_WRITE, 512, buf[1], 512);
    submit(blk, &f1, BLK_FLUSH, 0, NULL, 0);
    submit(blk, &r, BLK_READ, 4096, buf[2], 512);
    wait_log(&g, 3);
    usleep(20000);
    assert_null(strchr(g.log, 'f'));
    gate_set(&g, true);
    assert_int_equal(finish(&f1), 0);
    assert_true(w1.done && w2.done);
    assert_true(f1.order > w1.order && f1.order > w2.order);
    assert_int_equal(g.flushes, 1);
    /* Nothing was written since: the disk need not be asked, nor at the close. */
    submit(blk, &f2, BLK_FLUSH, 0, NULL, 0);
    assert_int_equal(finish(&f2), 0);
    finish(&r);
    assert_int_equal(g.flushes, 1);
    close_ok(blk);
    assert_int_equal(g.flushes, 1);
}

static void *open_gate_soon(void *opaque)
{
    usleep(30000);
    gate_set(opaque, true);
    return NULL;
}

struct chain {
    struct job first, second;
    struct blk *blk;
};

static uint8_t chain_buf[2][512];

static void chain_done(struct blk_request *req)
{
    struct chain *c = req->opaque;
    c->first.done = true;
    submit(c->blk, &c->second, BLK_WRITE, 0, chain_buf[1], 512);
}

static void test_drain(void **unused)
{
    (void)unused;
    struct gated g;
    struct blk *blk = gated_create(&g);
    struct job w, r;
    static uint8_t buf[2][512];
    struct chain c = {.blk = blk};
    submit(blk, &w, BLK_WRITE, 1024, buf[0], 512);
    submit(blk, &r, BLK_READ, 1024, buf[1], 512);
    submit(blk, &c.first, BLK_READ, 0, chain_buf[0], 512);
    c.first.req.done = chain_done;
    c.first.req.opaque = &c;
    pthread_t thread;
    pthread_create(&thread, NULL, open_gate_soon, &g);
    blk_drain(blk); /* without a turn of the loop, and what done() submits as well */
    assert_true(w.done && r.done && c.first.done && c.second.done);
    pthread_join(thread, NULL);
    blk_drain(blk);
    submit(blk, &w, BLK_WRITE, 0, buf[0], 512);
    close_ok(blk); /* drains */
    assert_true(w.done);
    assert_int_equal(g.log[strlen(g.log) - 1], 'c');
}

static void test_errors(void **unused)
{
    (void)unused;
    struct gated g;
    struct blk *blk = gated_create(&g);
    uint8_t buf[512] = {0};
    gate_set(&g, true);
    g.fail_with = ENOSPC;
    assert_int_equal(transfer(blk, BLK_WRITE, 512, buf, 512), ENOSPC);
    assert_int_equal(transfer(blk, BLK_WRITE, 512, buf, 512), ENOSPC);
    assert_string_equal(t.lines, "gated: writing 512 bytes at 512 failed: No space left on device; "
                                 "the guest gets a disk error\n");
    t.lines[0] = '\0';
    g.fail_with = EIO;
    assert_int_equal(transfer(blk, BLK_FLUSH, 0, NULL, 0), EIO);
    assert_int_equal(transfer(blk, BLK_READ, 0, buf, 512), EIO);
    assert_string_equal(
        t.lines, "gated: flushing failed: Input/output error; the guest gets a disk error\n");
    g.fail_with = 0;
    assert_int_equal(transfer(blk, BLK_READ, 0, buf, 512), 0);

    /* What a failed flush left is lost, whatever the host says of a later one. */
    const unsigned flushes = g.flushes;
    assert_int_equal(transfer(blk, BLK_FLUSH, 0, NULL, 0), EIO);
    assert_int_equal(g.flushes, flushes);
    struct error err = {0};
    assert_false(blk_close(blk, &err));
    assert_string_equal(err.msg, "gated: flushing failed: Input/output error; what the guest wrote "
                                 "last may be lost");
}

/* Deterministic: all is done at submission, and completes at one fixed guest time. */
static void test_deterministic(void **unused)
{
    (void)unused;
    t.door.deterministic = true;
    struct gated g;
    struct blk *blk = gated_create(&g);
    gate_set(&g, true);
    struct job w, r, f;
    static uint8_t buf[2][16384];
    t.now_ns = 1000;
    done_count = 0;
    submit(blk, &w, BLK_WRITE, 0, buf[0], 16384);
    assert_string_equal(g.log, "wW");
    submit(blk, &r, BLK_READ, 0, buf[1], 512);
    submit(blk, &f, BLK_FLUSH, 0, NULL, 0);
    assert_string_equal(g.log, "wWrRfF");
    assert_int_equal(done_count, 0);
    event_step(&t.events, &t.now_ns, 100000);
    assert_true(w.at_ns == 1000 + 20000 + 4 * 1000);
    assert_true(r.at_ns == 1000 + 20000 + 1000);
    assert_true(f.at_ns == 1000 + 20000);
    assert_int_equal(f.order, 1);
    assert_int_equal(w.order, 3);

    submit(blk, &r, BLK_READ, 0, buf[1], 512);
    assert_true(event_next_due(&t.events) != EVENT_NEVER);
    blk_drain(blk);
    assert_true(r.done);
    assert_true(event_next_due(&t.events) == EVENT_NEVER);
    close_ok(blk);
}

static void test_mem(void **unused)
{
    (void)unused;
    struct blk *blk = blk_mem_create(4096, &(struct blk_host){.events = &t.events});
    uint8_t buf[1024];
    memset(buf, 5, sizeof buf);
    assert_int_equal(transfer(blk, BLK_WRITE, 1024, buf, sizeof buf), 0);
    assert_int_equal(blk_mem_data(blk)[1023], 0);
    assert_int_equal(blk_mem_data(blk)[1024], 5);
    assert_int_equal(blk_mem_data(blk)[2047], 5);
    blk_mem_data(blk)[1030] = 9;
    assert_int_equal(transfer(blk, BLK_READ, 1024, buf, sizeof buf), 0);
    assert_int_equal(buf[6], 9);
    close_ok(blk);
}

/* A file-size limit stands for a full disk: in a child, which it would otherwise kill. */
static void test_disk_full(void **unused)
{
    (void)unused;
    const char *path = make_image("full", 512);
    assert_int_equal(truncate(path, 1 << 20), 0);
    const pid_t pid = fork();
    if (pid == 0) {
        struct blk *blk = open_ok(&(struct blk_options){.path = path, .snapshot = true});
        const struct rlimit limit = {65536, 65536};
        setrlimit(RLIMIT_FSIZE, &limit);
        static uint8_t buf[8192];
        memset(buf, 3, sizeof buf);
        int bad = transfer(blk, BLK_WRITE, 131072, buf, sizeof buf) != EFBIG;
        bad |=
            transfer(blk, BLK_WRITE, 65536 - 4096, buf, sizeof buf) != EFBIG; /* half of it fits */
        bad |= transfer(blk, BLK_WRITE, 4096, buf, sizeof buf) != 0;
        memset(buf, 0, sizeof buf);
        bad |= transfer(blk, BLK_READ, 4096, buf, sizeof buf) != 0 || buf[0] != 3;
        bad |= transfer(blk, BLK_READ, 131072, buf, sizeof buf) != 0 || buf[0] != 0;
        bad |= !strstr(t.lines, "File too large") || strchr(t.lines, '\n')[1] != '\0';
        close_ok(blk);
        host_loop_destroy(&t.loop);
        _exit(bad);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_raw),         T(test_odd_size),  T(test_open_errors), T(test_readonly),
        T(test_locks),       T(test_snapshot),  T(test_overlap),     T(test_reads_share),
        T(test_flush_order), T(test_drain),     T(test_errors),      T(test_deterministic),
        T(test_mem),         T(test_disk_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
