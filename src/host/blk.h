/*
 * A block back-end: requests with scatter lists against an image. Formats stack: raw on a file,
 * copy-on-write overlay (-snapshot) on raw.
 *
 * What needs no waiting (reads that the host has in memory, flushes with nothing to flush) is done
 * within blk_submit() and completes a fixed guest time later; in a deterministic machine that is
 * so for everything (the machine waits for the host then), so that runs repeat exactly. The rest is
 * served by worker threads and completes from the host loop. Either way done() runs under
 * the machine's lock (core/world.h), after passing the door (DOOR_BLK).
 *
 * Order: a request that overlaps an earlier one in flight is started after it (reads pass reads);
 * BLK_FLUSH starts after all earlier writes and ends when they are on the disk (fdatasync).
 *
 * A failed request tells its errno to the guest's device through status; the host gets one line
 * each time an errno appears that this image did not show before.
 */
#ifndef VITRINE_HOST_BLK_H
#define VITRINE_HOST_BLK_H

#include "core/door.h"
#include "core/error.h"
#include "core/event.h"
#include "core/log.h"
#include "host/loop.h"
#include <sys/uio.h>

#define BLK_SECTOR 512

enum blk_op { BLK_READ, BLK_WRITE, BLK_FLUSH };

struct blk_request {
    enum blk_op op;
    uint64_t offset_bytes; /* multiple of 512 */
    struct iovec *iov;     /* host memory that stays valid until done() */
    unsigned iov_len;
    void (*done)(struct blk_request *req); /* under the machine's lock */
    void *opaque;
    int status; /* 0 or an errno value, set before done() */
    void *priv; /* the block layer's own */
};

struct blk {
    uint64_t size_bytes; /* multiple of 512, rounded up (the tail reads as zeros) */
    bool readonly;
    const char *path;
    void *priv; /* the block layer's own */
};

struct blk_options {
    const char *path;
    const char *format; /* "raw" or NULL: raw, but refused if it starts like another format */
    bool readonly;
    bool snapshot;       /* writes go to a temporary overlay and are forgotten */
    unsigned unit_bytes; /* the size is rounded up to whole ones: a multiple of 512; 0: 512 */
    bool any_size;       /* without a word: the caller has one of its own */
};

/* Everything a back-end needs from its machine. */
struct blk_host {
    struct host_loop *loop;
    struct event_queue *events;
    struct door *door;
    struct log *log;
};

struct blk *blk_open(const struct blk_options *opt, const struct blk_host *host, struct error *err);
/*
 * For tests: a disk in memory whose requests never need waiting for. host->loop, door and log may
 * be NULL. size_bytes is a multiple of 512; NULL when out of memory.
 */
struct blk *blk_mem_create(uint64_t size_bytes, const struct blk_host *host);
uint8_t *blk_mem_data(struct blk *blk);

/* Takes req until done() is called; done() is never called from within blk_submit(). */
void blk_submit(struct blk *blk, struct blk_request *req);

/* Waits for all requests in flight (their done() runs). For reset, stop and exit. */
void blk_drain(struct blk *blk);
/* Drains, flushes and closes. False: that flush failed (err says so). blk may be NULL. */
bool blk_close(struct blk *blk, struct error *err);

#endif
