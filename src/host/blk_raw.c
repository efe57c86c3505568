/*
 * An image whose bytes are the disk's: a regular file or a block device. A file that ends within a
 * sector reads as if zeros followed, and grows to whole sectors when that one is written.
 *
 * Two programs that write one image destroy it, so images are locked, in QEMU's way (its
 * block/file-posix.c speaks through these bytes of the file), so that each sees the other:
 *
 *      byte 100+n  somebody uses permission n        n: 0 consistent reads, 1 writes, 3 resizing
 *      byte 200+n  somebody cannot bear that others use permission n
 *
 * each held with a shared lock, and probed for by asking whether an exclusive one could be had.
 */
#define _GNU_SOURCE /* preadv2, F_OFD_SETLK */
#include "host/blk_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_USES   100
#define LOCK_DENIES 200
#define PERM_READ   0
#define PERM_WRITE  1
#define PERM_RESIZE 3

struct raw {
    struct blk_driver driver;
    int fd;
    bool no_nowait; /* the filesystem does not know RWF_NOWAIT */
};

static struct raw *raw_of(struct blk_driver *d)
{
    return container_of(d, struct raw, driver);
}

static void zero_list(const struct iovec *list, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        memset(list[i].iov_base, 0, list[i].iov_len);
}

static int read_flags(struct raw *r, uint64_t offset, const struct iovec *iov, unsigned iov_len,
                      int flags)
{
    struct blk_cursor c = {iov, iov_len, 0};
    struct iovec list[BLK_CURSOR_IOV];
    uint64_t bytes;
    unsigned n;
    while ((n = blk_cursor_list(&c, UINT64_MAX, list, &bytes)) > 0) {
        const ssize_t got = preadv2(r->fd, list, (int)n, (off_t)offset, flags);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        /* not only at the end: Linux 5.9 and 5.10 say so of what is not cached (readv(2) "BUGS") */
        if (got == 0 && (flags & RWF_NOWAIT))
            return EAGAIN;
        if (got == 0) { /* past the end */
            zero_list(list, n);
            blk_cursor_advance(&c, bytes);
            offset += bytes;
            continue;
        }
        blk_cursor_advance(&c, (uint64_t)got);
        offset += (uint64_t)got;
    }
    return 0;
}

static int raw_read(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                    unsigned iov_len)
{
    return read_flags(raw_of(d), offset, iov, iov_len, 0);
}

static int raw_read_now(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                        unsigned iov_len)
{
    struct raw *r = raw_of(d);
    if (r->no_nowait)
        return EAGAIN;
    const int status = read_flags(r, offset, iov, iov_len, RWF_NOWAIT);
    if (status == EOPNOTSUPP || status == ENOSYS || status == EINVAL) {
        r->no_nowait = true;
        return EAGAIN;
    }
    return status;
}

static int raw_write(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                     unsigned iov_len)
{
    struct raw *r = raw_of(d);
    struct blk_cursor c = {iov, iov_len, 0};
    struct iovec list[BLK_CURSOR_IOV];
    uint64_t bytes;
    unsigned n;
    while ((n = blk_cursor_list(&c, UINT64_MAX, list, &bytes)) > 0) {
        const ssize_t put = pwritev(r->fd, list, (int)n, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put ? errno : EIO;
        blk_cursor_advance(&c, (uint64_t)put);
        offset += (uint64_t)put;
    }
    return 0;
}

static int raw_flush(struct blk_driver *d)
{
    int r;
    do
        r = fdatasync(raw_of(d)->fd);
    while (r < 0 && errno == EINTR);
    /* EINVAL: a special file that has nothing to flush. */
    return r < 0 && errno != EINVAL ? errno : 0;
}

static void raw_close(struct blk_driver *d)
{
    close(raw_of(d)->fd); /* and with it the locks */
    free(raw_of(d));
}

/* ------------------------------------------------------------------ locks */

/* 0, EAGAIN when held otherwise, or why locks are not to be had here. */
static int lock_byte(int fd, int command, off_t byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, command, &lock) < 0)
        return errno == EACCES ? EAGAIN : errno;
    return command == F_OFD_GETLK && lock.l_type != F_UNLCK ? EAGAIN : 0;
}

static bool lock_image(int fd, const char *path, bool writes, struct error *err)
{
    /* Ours first, the others' after: two that start at once may both fail, never both go on. */
    static const struct {
        off_t byte;
        bool only_writer;
    } held[] = {{LOCK_USES + PERM_READ, false},
                {LOCK_USES + PERM_WRITE, true},
                {LOCK_USES + PERM_RESIZE, true},
                {LOCK_DENIES + PERM_WRITE, false},
                {LOCK_DENIES + PERM_RESIZE, false}};
    for (unsigned i = 0; i < ARRAY_SIZE(held); i++) {
        if (held[i].only_writer && !writes)
            continue;
        const int r = lock_byte(fd, F_OFD_SETLK, held[i].byte, F_RDLCK);
        if (r == EAGAIN)
            return error_set(err, "%s: is locked by another program", path);
        if (r)
            return true; /* a filesystem without locks */
    }
    if (lock_byte(fd, F_OFD_GETLK, LOCK_USES + PERM_WRITE, F_WRLCK) == EAGAIN)
        return error_set(err, "%s: another program has this image open for writing", path);
    if (writes && lock_byte(fd, F_OFD_GETLK, LOCK_DENIES + PERM_WRITE, F_WRLCK) == EAGAIN)
        return error_set(err,
                         "%s: another program uses this image; -snapshot or readonly=on lets two "
                         "share it",
                         path);
    return true;
}

/* ------------------------------------------------------------------ opening */

static const struct magic {
    const char *format;
    uint64_t offset;
    const char *bytes;
    size_t len;
} magics[] = {
    {"qcow2", 0, "QFI\xfb", 4},     {"VMDK", 0, "KDMV", 4},    {"VDI", 64, "\x7f\x10\xda\xbe", 4},
    {"VHDX", 0, "vhdxfile", 8},     {"VHD", 0, "conectix", 8}, {"QED", 0, "QED\0", 4},
    {"LUKS", 0, "LUKS\xba\xbe", 6},
};

/* Without format=raw, what starts like another format is most likely that. */
static bool is_raw(int fd, const char *path, struct error *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(magics); i++) {
        const struct magic *m = &magics[i];
        char head[8];
        if (pread(fd, head, m->len, (off_t)m->offset) == (ssize_t)m->len &&
            !memcmp(head, m->bytes, m->len))
            return error_set(err,
                             "%s: this looks like a %s image; convert it with qemu-img convert -O "
                             "raw, or say format=raw",
                             path, m->format);
    }
    return true;
}

static bool find_size(int fd, const char *path, uint64_t *size, struct error *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return error_set(err, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return error_set(err, "%s: is a directory, not a disk image", path);
    if (S_ISREG(st.st_mode))
        *size = (uint64_t)st.st_size;
    else if (!S_ISBLK(st.st_mode))
        return error_set(err, "%s: is neither a file nor a block device", path);
    else if (ioctl(fd, BLKGETSIZE64, size) < 0)
        return error_set(err, "%s: size: %s", path, strerror(errno));
    if (!*size)
        return error_set(err, "%s: is empty", path);
    return true;
}

static int open_image(const struct blk_options *opt, bool writes, struct error *err)
{
    /* Non-blocking for the open only: a FIFO is refused below, not waited for. */
    const int fd = open(opt->path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
        return fd;
    }
    const int error = errno;
    if (error == EISDIR)
        error_set(err, "%s: is a directory, not a disk image", opt->path);
    else if (writes && (error == EACCES || error == EROFS) && access(opt->path, R_OK) == 0)
        error_set(err, "%s: cannot be written (%s); -snapshot or readonly=on do without", opt->path,
                  strerror(error));
    else
        error_set(err, "%s: %s", opt->path, strerror(error));
    return -1;
}

struct blk_driver *blk_raw_open(const struct blk_options *opt, struct log *log, struct error *err)
{
    static const struct blk_driver_ops ops = {.read = raw_read,
                                              .write = raw_write,
                                              .read_now = raw_read_now,
                                              .flush = raw_flush,
                                              .close = raw_close};
    const bool writes = !opt->readonly && !opt->snapshot;
    const unsigned unit = opt->unit_bytes ? opt->unit_bytes : BLK_SECTOR;
    const int fd = open_image(opt, writes, err);
    if (fd < 0)
        return NULL;
    uint64_t size = 0;
    struct raw *r = NULL;
    if (!find_size(fd, opt->path, &size, err) || (!opt->format && !is_raw(fd, opt->path, err)) ||
        !lock_image(fd, opt->path, writes, err))
        goto fail;
    r = calloc(1, sizeof *r);
    if (!r) {
        error_set(err, "%s: out of memory", opt->path);
        goto fail;
    }
    r->fd = fd;
    r->driver.ops = &ops;
    r->driver.readonly = !writes;
    r->driver.size_bytes = (size + unit - 1) / unit * unit;
    if (r->driver.size_bytes != size && !opt->any_size)
        log_line(log, LOG_HOST,
                 "%s: %" PRIu64 " bytes are no whole number of %u-byte sectors; the last one is "
                 "filled up with zeros",
                 opt->path, size, unit);
    return &r->driver;

fail:
    close(fd);
    return NULL;
}
