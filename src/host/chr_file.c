/* file:PATH takes output only, as QEMU's does: the file is made or emptied; append:PATH keeps it.
 */
#include "host/chr_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct chr_file {
    struct chr chr;
    int fd;
    struct chr_writer *out;
};

static void file_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    chr_writer_put(container_of(chr, struct chr_file, chr)->out, buf, len);
}

static void file_close(struct chr *chr)
{
    struct chr_file *f = container_of(chr, struct chr_file, chr);
    chr_writer_destroy(f->out, -1);
    close(f->fd);
    chr_free(chr);
}

static struct chr *create(const struct chr_host *host, const char *path, int flags,
                          struct error *err)
{
    static const struct chr_ops ops = {.write = file_write, .close = file_close};
    struct chr_file *f = calloc(1, sizeof *f);
    if (!f || !chr_init(&f->chr, &ops, host)) {
        error_set(err, "%s: out of memory", host->label);
        goto fail;
    }
    f->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);
    if (f->fd < 0) {
        error_set(err, "%s: cannot write to '%s': %s", host->label, path, strerror(errno));
        goto fail_chr;
    }
    f->out = chr_writer_create(&f->chr, host, f->fd, CHR_KEEP_ALL, NULL, NULL);
    if (!f->out) {
        error_set(err, "%s: out of memory", host->label);
        close(f->fd);
        goto fail_chr;
    }
    f->chr.connected = true;
    return &f->chr;

fail_chr:
    chr_free(&f->chr);
    return NULL;
fail:
    free(f);
    return NULL;
}

struct chr *chr_file_create(const struct chr_host *host, const char *path, struct error *err)
{
    return create(host, path, O_TRUNC, err);
}

struct chr *chr_append_create(const struct chr_host *host, const char *path, struct error *err)
{
    return create(host, path, O_APPEND, err);
}
