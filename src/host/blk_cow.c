/*
 * A copy-on-write overlay, for -snapshot: writes go to a temporary file that has no name and
 * vanishes with the process; reads take each sector from where it was last written. A bit a sector
 * says which, so that no write ever has to read its surroundings first. Bits are set after the
 * data is there; two writes at once never touch one sector, but they may touch one word.
 */
#define _GNU_SOURCE /* O_TMPFILE */
#include "host/blk_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct cow {
    struct blk_driver driver;
    struct blk_driver *base;
    int fd;
    uint64_t *map; /* bit set: the sector is in the overlay; mapped lazily */
    size_t map_bytes;
};

static struct cow *cow_of(struct blk_driver *d)
{
    return container_of(d, struct cow, driver);
}

static bool is_ours(const struct cow *c, uint64_t sector)
{
    return __atomic_load_n(&c->map[sector / 64], __ATOMIC_ACQUIRE) & BIT64(sector % 64);
}

static void make_ours(struct cow *c, uint64_t sector, uint64_t count)
{
    while (count) {
        const uint64_t n = MIN(64 - sector % 64, count);
        const uint64_t mask = (~UINT64_C(0) >> (64 - n)) << (sector % 64);
        __atomic_fetch_or(&c->map[sector / 64], mask, __ATOMIC_RELEASE);
        sector += n;
        count -= n;
    }
}

/* How many of count sectors from here on are in the same place as the first. */
static uint64_t run_length(const struct cow *c, uint64_t sector, uint64_t count)
{
    const bool ours = is_ours(c, sector);
    uint64_t n = 1;
    while (n < count) {
        const uint64_t at = sector + n;
        const uint64_t word = __atomic_load_n(&c->map[at / 64], __ATOMIC_ACQUIRE);
        if (at % 64 == 0 && count - n >= 64 && word == (ours ? ~UINT64_C(0) : 0))
            n += 64;
        else if (!!(word & BIT64(at % 64)) == ours)
            n++;
        else
            break;
    }
    return n;
}

/* All of one list of pieces from or to the overlay. */
static int transfer(struct cow *c, bool write, uint64_t offset, struct iovec *list, unsigned n)
{
    struct blk_cursor cursor = {list, n, 0};
    struct iovec part[BLK_CURSOR_IOV];
    uint64_t bytes;
    unsigned k;
    while ((k = blk_cursor_list(&cursor, UINT64_MAX, part, &bytes)) > 0) {
        const ssize_t done = write ? pwritev(c->fd, part, (int)k, (off_t)offset)
                                   : preadv(c->fd, part, (int)k, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done ? errno : EIO;
        blk_cursor_advance(&cursor, (uint64_t)done);
        offset += (uint64_t)done;
    }
    return 0;
}

/* The parts may be split within a sector by the list's limit of pieces; runs are by sector. */
static int cow_read_via(struct cow *c, uint64_t offset, const struct iovec *iov, unsigned iov_len,
                        bool now)
{
    struct blk_cursor cursor = {iov, iov_len, 0};
    uint64_t left = blk_iov_bytes(iov, iov_len), run = 0;
    bool ours = false;
    while (left) {
        if (!run) {
            const uint64_t sector = offset / BLK_SECTOR;
            ours = is_ours(c, sector);
            run = run_length(c, sector, left / BLK_SECTOR) * BLK_SECTOR;
        }
        struct iovec list[BLK_CURSOR_IOV];
        uint64_t bytes;
        const unsigned n = blk_cursor_list(&cursor, run, list, &bytes);
        const struct blk_driver_ops *ops = c->base->ops;
        int r;
        if (ours)
            r = transfer(c, false, offset, list, n);
        else
            r = (now ? ops->read_now : ops->read)(c->base, offset, list, n);
        if (r)
            return r;
        blk_cursor_advance(&cursor, bytes);
        offset += bytes;
        left -= bytes;
        run -= bytes;
    }
    return 0;
}

static int cow_read(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                    unsigned iov_len)
{
    return cow_read_via(cow_of(d), offset, iov, iov_len, false);
}

/* The overlay was written moments ago and is in the host's memory. */
static int cow_read_now(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                        unsigned iov_len)
{
    struct cow *c = cow_of(d);
    return c->base->ops->read_now ? cow_read_via(c, offset, iov, iov_len, true) : EAGAIN;
}

static int cow_write(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                     unsigned iov_len)
{
    struct cow *c = cow_of(d);
    struct blk_cursor cursor = {iov, iov_len, 0};
    const uint64_t first = offset / BLK_SECTOR, total = blk_iov_bytes(iov, iov_len);
    for (uint64_t left = total; left;) {
        struct iovec list[BLK_CURSOR_IOV];
        uint64_t bytes;
        const unsigned n = blk_cursor_list(&cursor, left, list, &bytes);
        const int r = transfer(c, true, offset, list, n);
        if (r)
            return r;
        blk_cursor_advance(&cursor, bytes);
        offset += bytes;
        left -= bytes;
    }
    make_ours(c, first, total / BLK_SECTOR);
    return 0;
}

static void cow_close(struct blk_driver *d)
{
    struct cow *c = cow_of(d);
    c->base->ops->close(c->base);
    if (c->map)
        munmap(c->map, c->map_bytes);
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

/* In TMPDIR, else in /var/tmp: /tmp is often memory. */
static int open_temporary(struct error *err)
{
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/var/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    char path[512]; /* a filesystem without O_TMPFILE */
    snprintf(path, sizeof path, "%s/vitrine.XXXXXX", dir);
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    else
        error_set(err, "snapshot: cannot make a temporary file in %s: %s", dir, strerror(errno));
    return fd;
}

struct blk_driver *blk_cow_open(struct blk_driver *base, struct error *err)
{
    /* Nothing of a snapshot has to survive: no flush. */
    static const struct blk_driver_ops ops = {
        .read = cow_read, .write = cow_write, .read_now = cow_read_now, .close = cow_close};
    struct cow *c = calloc(1, sizeof *c);
    if (!c) {
        base->ops->close(base);
        error_set(err, "snapshot: out of memory");
        return NULL;
    }
    c->driver = (struct blk_driver){.ops = &ops, .size_bytes = base->size_bytes};
    c->base = base;
    c->fd = open_temporary(err);
    if (c->fd < 0)
        goto fail;
    c->map_bytes = (size_t)(base->size_bytes / BLK_SECTOR / 64 + 1) * sizeof *c->map;
    c->map = mmap(NULL, c->map_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (c->map == MAP_FAILED) {
        c->map = NULL;
        error_set(err, "snapshot: no memory for a map of the disk: %s", strerror(errno));
        goto fail;
    }
    return &c->driver;

fail:
    cow_close(&c->driver);
    return NULL;
}
