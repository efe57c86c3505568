/*
 * A format or a place where sectors are: what blk.c runs requests on. For src/host/blk*.c and
 * their tests only. Calls are synchronous and may come from several threads at once, but never for
 * overlapping ranges of which one is written. They return 0 or an errno value.
 */
#ifndef VITRINE_HOST_BLK_DRIVER_H
#define VITRINE_HOST_BLK_DRIVER_H

#include "host/blk.h"

struct blk_driver;

struct blk_driver_ops {
    /* Fills or stores all bytes of the scatter list at offset. */
    int (*read)(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned iov_len);
    int (*write)(struct blk_driver *d, uint64_t offset, const struct iovec *iov, unsigned iov_len);
    /* As read, but EAGAIN when it would wait for a disk; the buffers may be changed then. NULL: no
     * such way. */
    int (*read_now)(struct blk_driver *d, uint64_t offset, const struct iovec *iov,
                    unsigned iov_len);
    int (*flush)(struct blk_driver *d); /* NULL: nothing to do */
    void (*close)(struct blk_driver *d);
    bool instant; /* nothing here waits for a disk */
};

struct blk_driver {
    const struct blk_driver_ops *ops;
    uint64_t size_bytes; /* multiple of 512 */
    bool readonly;
};

/* The front of requests on a driver, which it closes with itself (at once if it fails: NULL). */
struct blk *blk_create(struct blk_driver *driver, const char *path, const struct blk_host *host);
struct blk_driver *blk_driver_of(struct blk *blk);

struct blk_driver *blk_raw_open(const struct blk_options *opt, struct log *log, struct error *err);
/* Takes base, which is only read from now on; on failure base is closed. */
struct blk_driver *blk_cow_open(struct blk_driver *base, struct error *err);

/* A place in a scatter list, for what moves in pieces. */
struct blk_cursor {
    const struct iovec *iov;
    unsigned iov_len;
    size_t skip; /* bytes of iov[0] that are done */
};
#define BLK_CURSOR_IOV 64
/* Up to max bytes from here on as a list of at most BLK_CURSOR_IOV pieces; their sum in *bytes. */
unsigned blk_cursor_list(const struct blk_cursor *c, uint64_t max, struct iovec *list,
                         uint64_t *bytes);
void blk_cursor_advance(struct blk_cursor *c, uint64_t bytes);
uint64_t blk_iov_bytes(const struct iovec *iov, unsigned iov_len);

#endif
