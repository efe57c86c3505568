/*
 * The terminal (or pipe, or file) that Vitrine was started from. A terminal is switched to raw
 * mode, so that the guest sees every key, and restored on every way out: chr_close(), suspension
 * (Ctrl-Z, SIGTSTP), and chr_stdio_restore() for signal handlers and exits nobody foresaw.
 *
 * With signals (plain "stdio") Ctrl-C and Ctrl-Z act on the process; without ("mon:stdio") they go
 * to the guest, as QEMU has it.
 *
 * A process has one terminal, and a signal handler cannot be handed a pointer: the state below is
 * the one exception to "no globals". A second machine that asks for stdio is refused.
 */
#include "host/chr_io.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

struct chr_stdio {
    struct chr chr;
    struct chr_reader *in;
    struct chr_writer *out;
    struct tty_signals *signals;
};

/* Handles that libuv may keep a little longer than the back-end lives. */
struct tty_signals {
    uv_signal_t stop, cont;
    unsigned handles;
};

static struct {
    struct chr_stdio *owner;
    bool is_tty; /* stdin is a terminal, and was as saved */
    volatile sig_atomic_t raw;
    struct termios saved, wanted;
    struct chr_writer *volatile out;
} tty;

/* SIGTTOU would stop a process in the background that touched its terminal. */
static bool in_foreground(void)
{
    return tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void tty_enter_raw(void)
{
    if (!tty.is_tty || !in_foreground())
        return;
    tty.raw = 1; /* first: a signal in between restores too often rather than not */
    tcsetattr(STDIN_FILENO, TCSANOW, &tty.wanted);
}

void chr_stdio_restore(void)
{
    const int saved_errno = errno;
    if (tty.out)
        chr_writer_rescue(tty.out);
    if (tty.raw) {
        tty.raw = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &tty.saved);
    }
    errno = saved_errno;
}

static void tty_leave_raw(void)
{
    if (tty.raw && in_foreground())
        tcsetattr(STDIN_FILENO, TCSANOW, &tty.saved);
    tty.raw = 0;
}

static void on_stop(uv_signal_t *stop, int number)
{
    chr_writer_flush(tty.out);
    tty_leave_raw();
    /*
     * The default action, which leaves a process alone that nobody could continue (an orphaned
     * process group), where SIGSTOP would not.
     */
    uv_signal_stop(stop);
    raise(number);
    uv_signal_start(stop, on_stop, number);
    tty_enter_raw();
}

static void on_cont(uv_signal_t *cont, int number)
{
    (void)cont;
    (void)number;
    tty_enter_raw();
}

static void signal_closed(uv_handle_t *handle)
{
    struct tty_signals *s = handle->data;
    if (--s->handles == 0)
        free(s);
}

/* Without job control (SIGTSTP ignored by whoever started us) there is nothing to watch. */
static struct tty_signals *signals_start(struct host_loop *loop)
{
    struct sigaction old;
    if (sigaction(SIGTSTP, NULL, &old) < 0 || old.sa_handler == SIG_IGN)
        return NULL;
    struct tty_signals *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->handles = 2;
    uv_signal_init(&loop->uv, &s->stop);
    uv_signal_init(&loop->uv, &s->cont);
    s->stop.data = s->cont.data = s;
    uv_signal_start(&s->stop, on_stop, SIGTSTP);
    uv_signal_start(&s->cont, on_cont, SIGCONT);
    return s;
}

static void stdio_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    chr_writer_put(container_of(chr, struct chr_stdio, chr)->out, buf, len);
}

static void stdio_accept_input(struct chr *chr)
{
    chr_reader_resume(container_of(chr, struct chr_stdio, chr)->in);
}

static void stdio_close(struct chr *chr)
{
    struct chr_stdio *s = container_of(chr, struct chr_stdio, chr);
    chr_reader_destroy(s->in);
    tty.out = NULL;
    chr_writer_destroy(s->out, -1);
    tty_leave_raw();
    if (s->signals) {
        uv_close((uv_handle_t *)&s->signals->stop, signal_closed);
        uv_close((uv_handle_t *)&s->signals->cont, signal_closed);
    }
    tty.owner = NULL;
    chr_free(chr);
}

static void tty_open(bool allow_signals)
{
    tty.is_tty = tcgetattr(STDIN_FILENO, &tty.saved) == 0;
    if (!tty.is_tty)
        return;
    tty.wanted = tty.saved;
    tty.wanted.c_iflag &=
        ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    tty.wanted.c_oflag |= OPOST; /* lines of the log, which end in LF alone, stay readable */
    tty.wanted.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | IEXTEN);
    if (!allow_signals)
        tty.wanted.c_lflag &= ~(tcflag_t)ISIG;
    tty.wanted.c_cflag = (tty.wanted.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    tty.wanted.c_cc[VMIN] = 1;
    tty.wanted.c_cc[VTIME] = 0;
    tty_enter_raw();
}

struct chr *chr_stdio_create(const struct chr_host *host, bool allow_signals, struct error *err)
{
    static const struct chr_ops ops = {stdio_write, stdio_accept_input, stdio_close};
    if (tty.owner) {
        error_set(err, "%s: stdio is in use by %s", host->label, tty.owner->chr.label);
        return NULL;
    }
    struct chr_stdio *s = calloc(1, sizeof *s);
    if (!s || !chr_init(&s->chr, &ops, host)) {
        free(s);
        error_set(err, "%s: out of memory", host->label);
        return NULL;
    }
    /* A closed stdin or stdout is nothing to read from, or to write to. */
    s->in = chr_reader_create(&s->chr, host->loop, STDIN_FILENO, NULL, NULL);
    s->out = chr_writer_create(&s->chr, host, STDOUT_FILENO, CHR_KEEP_ALL, NULL, NULL);
    s->chr.connected = true;
    tty.owner = s;
    tty.out = s->out;
    tty_open(allow_signals);
    if (tty.is_tty)
        s->signals = signals_start(host->loop);
    return &s->chr;
}
