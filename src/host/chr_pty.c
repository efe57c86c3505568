/*
 * A pseudo-terminal for a terminal program to open. Its other side is kept open here too, so that
 * output from before anybody came is still there (CHR_QUEUE_BYTES of it), and so that programs may
 * come and go; Vitrine cannot tell whether one is there and counts as connected always.
 */
#define _GNU_SOURCE /* ptsname_r, F_DUPFD_CLOEXEC */
#include "host/chr_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

struct chr_pty {
    struct chr chr;
    int fd, out_fd, slave_fd; /* out_fd: a second number for fd, since libuv polls each fd once */
    struct chr_reader *in;
    struct chr_writer *out;
};

static void pty_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    chr_writer_put(container_of(chr, struct chr_pty, chr)->out, buf, len);
}

static void pty_accept_input(struct chr *chr)
{
    chr_reader_resume(container_of(chr, struct chr_pty, chr)->in);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void pty_close(struct chr *chr)
{
    struct chr_pty *p = container_of(chr, struct chr_pty, chr);
    chr_reader_destroy(p->in);
    chr_writer_destroy(p->out, 0);
    close_fd(p->slave_fd);
    close_fd(p->out_fd);
    close_fd(p->fd);
    chr_free(chr);
}

static bool open_pair(struct chr_pty *p, char *name, size_t size)
{
    p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->fd < 0 || grantpt(p->fd) < 0 || unlockpt(p->fd) < 0 || ptsname_r(p->fd, name, size) != 0)
        return false;
    p->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    p->out_fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 3);
    struct termios tio;
    if (p->slave_fd < 0 || p->out_fd < 0 || tcgetattr(p->slave_fd, &tio) < 0)
        return false;
    cfmakeraw(&tio);
    return tcsetattr(p->slave_fd, TCSANOW, &tio) == 0 &&
           fcntl(p->fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0;
}

struct chr *chr_pty_create(const struct chr_host *host, struct error *err)
{
    static const struct chr_ops ops = {pty_write, pty_accept_input, pty_close};
    struct chr_pty *p = calloc(1, sizeof *p);
    if (!p || !chr_init(&p->chr, &ops, host)) {
        free(p);
        error_set(err, "%s: out of memory", host->label);
        return NULL;
    }
    p->fd = p->out_fd = p->slave_fd = -1;
    char name[128];
    if (!open_pair(p, name, sizeof name)) {
        error_set(err, "%s: cannot open a pseudo-terminal: %s", host->label, strerror(errno));
        pty_close(&p->chr);
        return NULL;
    }
    p->in = chr_reader_create(&p->chr, host->loop, p->fd, NULL, NULL);
    p->out = chr_writer_create(&p->chr, host, p->out_fd, CHR_KEEP_BOUND, NULL, NULL);
    if (!p->in || !p->out) {
        error_set(err, "%s: out of memory", host->label);
        pty_close(&p->chr);
        return NULL;
    }
    p->chr.connected = true;
    log_line(host->log, LOG_HOST, "char device redirected to %s (label %s)", name, host->label);
    return &p->chr;
}
