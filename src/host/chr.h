/*
 * A character back-end: stdio, a file, a socket, a pty, nothing, or memory in tests. One front end
 * (a serial port, the monitor, a debug console, the gdb stub) is attached to it.
 * Input enters through the door (core/door.h, DOOR_CHR) before receive() is called.
 */
#ifndef VITRINE_HOST_CHR_H
#define VITRINE_HOST_CHR_H

#include "core/door.h"
#include "core/error.h"
#include "host/loop.h"

struct chr;

struct chr_ops {
    /* Writes all of it or queues it; never blocks the guest for long, never fails it. */
    void (*write)(struct chr *chr, const uint8_t *buf, size_t len);
    void (*accept_input)(struct chr *chr); /* the front end has room again; may be NULL */
    void (*close)(struct chr *chr);        /* frees the back-end; restores a terminal */
};

struct chr_front {
    size_t (*can_receive)(void *opaque); /* bytes it takes now */
    void (*receive)(void *opaque, const uint8_t *buf, size_t len); /* len <= can_receive() */
    void (*event)(void *opaque, bool open); /* a peer came or went; may be NULL */
    void *opaque;
};

struct chr {
    const struct chr_ops *ops;
    const char *label; /* "serial0", "monitor" */
    struct chr_front front;
    struct door *door;
    bool connected;
};

/*
 * Opens a back-end from QEMU's spelling: stdio, mon:stdio (the mux is chr_mux.c: Ctrl-A x h c b),
 * file:PATH, null, none, pty, tcp:HOST:PORT[,server=on|off][,wait=on|off][,nodelay],
 * unix:PATH[,server=on|off][,wait=on|off], vc (as null, said). NULL and err on failure.
 */
struct chr *chr_open(const char *label, const char *spec, struct host_loop *loop, struct door *door,
                     struct error *err);

struct chr *chr_mem_create(const char *label); /* for tests: see chr_mem_output/chr_mem_input */
const char *chr_mem_output(struct chr *chr, size_t *len);
void chr_mem_input(struct chr *chr, const void *buf, size_t len);

static inline void chr_attach(struct chr *chr, const struct chr_front *front)
{
    if (chr)
        chr->front = *front;
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

/* Restores the terminal as it was; async-signal-safe, for crash and exit paths. */
void chr_stdio_restore(void);

#endif
