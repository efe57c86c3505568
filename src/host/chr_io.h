/*
 * What the character back-ends share: reading a descriptor into a front end under flow control,
 * gathering output and writing it without holding up the guest. For src/host/chr*.c only.
 */
#ifndef VITRINE_HOST_CHR_IO_H
#define VITRINE_HOST_CHR_IO_H

#include "host/chr.h"

/* Everything a back-end is made from. */
struct chr_host {
    const char *label;
    struct host_loop *loop;
    struct door *door;
    struct log *log;
};

/* Fills the common part, which is a back-end's first member; false when out of memory. */
bool chr_init(struct chr *chr, const struct chr_ops *ops, const struct chr_host *host);
void chr_free(struct chr *chr); /* the label and the back-end that begins at chr */

/* Bytes the front end takes now; 0 while there is none. */
size_t chr_room(const struct chr *chr);
/* Hands len <= chr_room() bytes through the door to the front end. */
void chr_deliver(struct chr *chr, const uint8_t *buf, size_t len);
void chr_set_connected(struct chr *chr, bool connected); /* tells the front end */

/*
 * A reader watches a descriptor while the front end has room. It frees itself once libuv lets go
 * of its handle, so its owner may go away right after chr_reader_destroy().
 */
struct chr_reader;
typedef void chr_eof_fn(void *opaque, int error); /* 0: end of file; else an errno value */
struct chr_reader *chr_reader_create(struct chr *chr, struct host_loop *loop, int fd,
                                     chr_eof_fn *eof, void *opaque);
void chr_reader_resume(struct chr_reader *r);  /* the front end has room again; r may be NULL */
void chr_reader_destroy(struct chr_reader *r); /* does not close the descriptor; r may be NULL */

/* What becomes of output that the descriptor does not take at once. */
enum chr_keep {
    CHR_KEEP_ALL,   /* kept; beyond CHR_QUEUE_BYTES the guest waits (stdio, files) */
    CHR_KEEP_BOUND, /* kept up to CHR_QUEUE_BYTES, then dropped and counted (sockets, ptys) */
};
#define CHR_QUEUE_BYTES   (1 * MiB)
#define CHR_CLOSE_WAIT_MS 2000       /* for a reader that takes nothing, at the end */
#define CHR_QUEUE_MOST    (64 * MiB) /* if the window is to live on while the guest waits */

struct chr_writer;
typedef void chr_broken_fn(void *opaque, int error); /* from the loop: nobody will read any more */
struct chr_writer *chr_writer_create(struct chr *chr, const struct chr_host *host, int fd,
                                     enum chr_keep keep, chr_broken_fn *broken, void *opaque);
void chr_writer_put(struct chr_writer *w, const uint8_t *buf, size_t len); /* w may be NULL */
/*
 * Writes what has not left yet, as long as the reader takes it; what it does not take stays.
 * Async-signal-safe, for the way out after a crash.
 */
void chr_writer_rescue(struct chr_writer *w);
/* The loop's part of writing, now: as much as goes without waiting. w may be NULL. */
void chr_writer_flush(struct chr_writer *w);
/*
 * Writes what is left, waiting up to timeout_ms for a reader that takes nothing (-1: until it is
 * gone or three signals came; CHR_CLOSE_WAIT_MS where the loop is in a hurry), and ends the writer.
 * Does not close the descriptor; w may be NULL.
 */
void chr_writer_destroy(struct chr_writer *w, int timeout_ms);

/* The back-ends, by what follows the colon of their spelling. NULL and err on failure. */
struct chr *chr_stdio_create(const struct chr_host *host, bool allow_signals, struct error *err);
struct chr *chr_file_create(const struct chr_host *host, const char *path, struct error *err);
struct chr *chr_append_create(const struct chr_host *host, const char *path, struct error *err);
struct chr *chr_null_create(const struct chr_host *host, struct error *err);
struct chr *chr_pty_create(const struct chr_host *host, struct error *err);
struct chr *chr_tcp_create(const struct chr_host *host, const char *spec, struct error *err);
struct chr *chr_telnet_create(const struct chr_host *host, const char *spec, struct error *err);
struct chr *chr_unix_create(const struct chr_host *host, const char *spec, struct error *err);

#endif
