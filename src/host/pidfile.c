/* See pidfile.h. */
#define _GNU_SOURCE /* F_OFD_SETLK: not given up by closing another descriptor of the file */
#include "host/pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool lock(int fd)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &all) == 0 || (errno != EAGAIN && errno != EACCES);
}

/* Is what was opened still what path names? Its former owner may have removed it before we had the
 * lock. */
static bool is_still(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
           opened.st_dev == named.st_dev;
}

static bool write_number(int fd, const char *path, struct error *err)
{
    char text[32];
    struct stat st;
    const bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    const int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (regular && ftruncate(fd, 0) < 0)
        return error_set(err, "-pidfile %s: %s", path, strerror(errno));
    if (write(fd, text, (size_t)n) != n)
        return error_set(err, "-pidfile %s: %s", path, strerror(errno));
    return true;
}

bool pidfile_create(struct pidfile *p, const char *path, struct error *err)
{
    *p = (struct pidfile){.fd = -1};
    do {
        if (p->fd >= 0)
            close(p->fd);
        p->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
        if (p->fd < 0)
            return error_set(err, "-pidfile %s: %s", path, strerror(errno));
        if (!lock(p->fd)) {
            close(p->fd);
            return error_set(err, "-pidfile %s: the process that wrote it is still there", path);
        }
    } while (!is_still(p->fd, path));
    struct stat st;
    if (fstat(p->fd, &st) == 0 && S_ISREG(st.st_mode))
        p->path = realpath(path, NULL); /* of a symbolic link what it leads to */
    if (write_number(p->fd, path, err))
        return true;
    pidfile_remove(p);
    p->path = NULL;
    return false;
}

void pidfile_remove(const struct pidfile *p)
{
    if (p->path)
        unlink(p->path);
}
