/*
 * A character back-end: stdio, a file, a socket, a pty, nothing, or memory in tests. One front end
 * (a serial port, the monitor, a debug console, the gdb stub) is attached to it.
 * Input enters through the door (core/door.h, DOOR_CHR) before receive() is called.
 *
 * Everything runs under the machine's lock (core/world.h). receive() and event() are called from
 * the host loop only (chr_mem excepted, which has none), never from within chr_write() or
 * chr_accept_input().
 *
 * Output is gathered and leaves at the next turn of the host loop (host_loop_poll/wait), so that a
 * serial port that writes byte by byte does not cost a system call each. What stdio or a file
 * cannot take at once is kept until it does; a socket or pty whose peer does not read loses what
 * exceeds its bound, which is counted and said once.
 */
#ifndef VITRINE_HOST_CHR_H
#define VITRINE_HOST_CHR_H

#include "core/door.h"
#include "core/error.h"
#include "core/log.h"
#include "host/loop.h"

struct chr;

struct chr_ops {
    /* Writes all of it or queues it; never blocks the guest for long, never fails it. */
    void (*write)(struct chr *chr, const uint8_t *buf, size_t len);
    void (*accept_input)(struct chr *chr); /* the front end has room again; may be NULL */
    void (*close)(struct chr *chr);        /* frees the back-end; restores a terminal */
};

struct chr_front {
    size_t (*can_receive)(void *opaque);                           /* bytes it takes now */
    void (*receive)(void *opaque, const uint8_t *buf, size_t len); /* len <= can_receive() */
    void (*event)(void *opaque, bool open); /* a peer came or went; may be NULL */
    void *opaque;
    void (*send_break)(void *opaque); /* a break was received (Ctrl-A b); may be NULL */
};

struct chr {
    const struct chr_ops *ops;
    /* Leaves in buf what of it is meant for the front end, returns its length; may be NULL. */
    size_t (*filter)(struct chr *chr, uint8_t *buf, size_t len);
    const char *label; /* "serial0", "monitor" */
    struct chr_front front;
    struct door *door;
    bool connected;
    uint64_t dropped_bytes; /* output that no peer took */
};

/*
 * Opens a back-end from QEMU's spelling: stdio, file:PATH, append:PATH (which is ours, for
 * -chardev file,append=on), null, none, pty,
 * tcp:[HOST]:PORT[,server=on|off][,wait=on|off][,nodelay=on|off][,reconnect=SECONDS],
 * telnet:... (the same as tcp:...,telnet=on),
 * unix:PATH[,server=on|off][,wait=on|off][,reconnect=SECONDS], vc (as null, said). mon:stdio has
 * two front ends and is opened by chr_mux_open() (chr_mux.h). A server waits for its first peer
 * unless wait=off. label is copied. NULL and err on failure.
 */
struct chr *chr_open(const char *label, const char *spec, struct host_loop *loop, struct door *door,
                     struct log *log, struct error *err);

struct chr *chr_mem_create(const char *label); /* for tests: see chr_mem_output/chr_mem_input */
const char *chr_mem_output(struct chr *chr, size_t *len);
void chr_mem_input(struct chr *chr, const void *buf, size_t len);

static inline void chr_attach(struct chr *chr, const struct chr_front *front)
{
    if (!chr)
        return;
    chr->front = *front;
    if (chr->ops->accept_input)
        chr->ops->accept_input(chr); /* reading begins, or goes on */
}
static inline void chr_write(struct chr *chr, const void *buf, size_t len)
{
    if (chr)
        chr->ops->write(chr, buf, len);
}
static inline void chr_accept_input(struct chr *chr)
{
    if (chr && chr->ops->accept_input)
        chr->ops->accept_input(chr);
}
static inline void chr_close(struct chr *chr)
{
    if (chr)
        chr->ops->close(chr);
}

/*
 * Writes what stdio still holds and restores the terminal as it was. Async-signal-safe, for crash
 * and exit paths; harmless when nothing is open.
 */
void chr_stdio_restore(void);

#endif
