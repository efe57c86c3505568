/* See file.h. */
#define _GNU_SOURCE
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct host_file {
    int fd;
    unsigned owners;
    uint64_t bytes;
    struct timespec changed; /* the last time before it was opened */
    const char *what;
    bool told; /* what is wrong with it */
    char path[];
};

/* Opens a regular file and tells what stat() knows. */
static int open_regular(const char *path, const char *what, struct stat *st, struct error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, st) < 0)
        error_set(err, "%s '%s': %s", what, path, strerror(errno));
    else if (!S_ISREG(st->st_mode))
        error_set(err, "%s '%s': not a regular file", what, path);
    else
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

struct host_file *host_file_open(const char *path, const char *what, uint64_t max_bytes,
                                 struct error *err)
{
    struct stat st;
    struct host_file *f = NULL;
    int fd = open_regular(path, what, &st, err);
    if (fd < 0)
        return NULL;
    const uint64_t bytes = (uint64_t)st.st_size;
    const size_t path_bytes = strlen(path) + 1;
    if (bytes > max_bytes) {
        error_set(err, "%s '%s': %" PRIu64 " bytes are too many (at most %" PRIu64 ")", what, path,
                  bytes, max_bytes);
    } else if (!(f = malloc(sizeof *f + path_bytes))) {
        error_set(err, "%s '%s': %s", what, path, strerror(errno));
    } else {
        *f = (struct host_file){fd, 1, bytes, st.st_mtim, what, false};
        memcpy(f->path, path, path_bytes);
        return f;
    }
    close(fd);
    return NULL;
}

struct host_file *host_file_share(struct host_file *f)
{
    f->owners++;
    return f;
}

void host_file_close(struct host_file *f)
{
    if (!f || --f->owners)
        return;
    close(f->fd);
    free(f);
}

uint64_t host_file_bytes(const struct host_file *f)
{
    return f->bytes;
}

/* How many bytes there were before the end (errno is 0 then) or an error. */
static size_t read_some(const struct host_file *f, uint64_t at, void *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(f->fd, (uint8_t *)buf + done, len - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = 0;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

static const char *const shorter = "the file has become shorter";

static const char *reason(void)
{
    return errno ? strerror(errno) : shorter;
}

bool host_file_read(struct host_file *f, uint64_t at, void *buf, size_t len, struct error *err)
{
    return read_some(f, at, buf, len) == len ||
           error_set(err, "%s '%s': %s", f->what, f->path, reason());
}

/* NULL if nothing. A file that has been replaced under its name is still the one that is open. */
static const char *what_changed(const struct host_file *f)
{
    struct stat st;
    if (fstat(f->fd, &st) < 0)
        return strerror(errno);
    if ((uint64_t)st.st_size < f->bytes)
        return shorter;
    const bool same = (uint64_t)st.st_size == f->bytes && st.st_mtim.tv_sec == f->changed.tv_sec &&
                      st.st_mtim.tv_nsec == f->changed.tv_nsec;
    return same ? NULL : "the file has been written to since the start";
}

void host_file_fetch(struct host_file *f, uint64_t at, void *buf, size_t len, struct log *log)
{
    const size_t done = read_some(f, at, buf, len);
    const char *why = done < len ? reason() : f->told ? NULL : what_changed(f);
    memset((uint8_t *)buf + done, 0, len - done);
    if (why && !f->told) {
        f->told = true;
        log_line(log, LOG_HOST,
                 "%s '%s': %s: the guest gets what can be read now, and zeros for the rest",
                 f->what, f->path, why);
    }
}
