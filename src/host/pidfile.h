/*
 * The file that says which process this is, in QEMU's way: it is locked as long as the process
 * lives, so that a second one is refused and a file left behind is not in the way.
 */
#ifndef VITRINE_HOST_PIDFILE_H
#define VITRINE_HOST_PIDFILE_H

#include "core/error.h"

struct pidfile {
    int fd;
    char *path; /* what is to be removed; NULL: nothing */
};

/* False and err on failure; *p is nothing to remove then. */
bool pidfile_create(struct pidfile *p, const char *path, struct error *err);
/* Async-signal-safe. */
void pidfile_remove(const struct pidfile *p);

#endif
