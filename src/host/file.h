/*
 * A regular file on the host that is read piece by piece, the last time perhaps long after the
 * start. It is not mapped: a file that somebody cuts off is then an error that can be told, and no
 * signal.
 */
#ifndef VITRINE_HOST_FILE_H
#define VITRINE_HOST_FILE_H

#include "core/error.h"
#include "core/log.h"

struct host_file;

/* what names it in what is said about it. NULL and err on failure. */
struct host_file *host_file_open(const char *path, const char *what, uint64_t max_bytes,
                                 struct error *err);
/* Another owner; the last one that closes it ends it. On one thread at a time. */
struct host_file *host_file_share(struct host_file *f);
void host_file_close(struct host_file *f); /* may be NULL */

/* As it was opened: what comes later does not change it. */
uint64_t host_file_bytes(const struct host_file *f);

/* At the start: all len bytes, or false and err. */
bool host_file_read(struct host_file *f, uint64_t at, void *buf, size_t len, struct error *err);
/*
 * While the machine runs: always fills buf, with zeros from the first byte on that cannot be read.
 * That, and that the file is not what it was at the start, is logged, once a file.
 */
void host_file_fetch(struct host_file *f, uint64_t at, void *buf, size_t len, struct log *log);

#endif
