/* See chr_mux.h. */
#include "host/chr_mux.h"
#include "host/chr_io.h"

#include <stdlib.h>

#define ESCAPE 0x01 /* Ctrl-A */

struct mux_port {
    struct chr chr;
    struct chr_mux *mux;
    bool open;
    uint8_t ring[CHR_MUX_BYTES];
    size_t head, count; /* kept input: count bytes from ring[head] on */
};

struct chr_mux {
    struct chr *back;
    struct mux_port *port[CHR_MUX_PORTS]; /* NULL once closed */
    enum chr_mux_port focus;
    bool escaped; /* Ctrl-A was typed, its key is still to come */
    void (*quit)(void *opaque);
    void *quit_opaque;
    uv_idle_t deliver; /* a front end has room again for kept input */
};

bool chr_spec_is_mux(const char *spec)
{
    return strncmp(spec, "mon:", 4) == 0;
}

static void say(struct chr_mux *mux, const char *text)
{
    chr_write(mux->back, text, strlen(text));
}

/* Kept input, as far as the front end has room. */
static void port_deliver(struct mux_port *p)
{
    while (p->count) {
        const size_t room = chr_room(&p->chr);
        const size_t n = MIN(MIN(room, p->count), CHR_MUX_BYTES - p->head);
        if (!n)
            return;
        uint8_t now[256];
        const size_t k = MIN(n, sizeof now);
        memcpy(now, p->ring + p->head, k);
        p->head = (p->head + k) % CHR_MUX_BYTES;
        p->count -= k;
        chr_deliver(&p->chr, now, k);
    }
}

static void port_input(struct mux_port *p, uint8_t byte)
{
    if (!p || !p->chr.front.receive || p->count == CHR_MUX_BYTES)
        return;
    p->ring[(p->head + p->count++) % CHR_MUX_BYTES] = byte;
}

static void deliver_later(uv_idle_t *idle)
{
    struct chr_mux *mux = container_of(idle, struct chr_mux, deliver);
    uv_idle_stop(idle);
    for (unsigned i = 0; i < CHR_MUX_PORTS; i++)
        if (mux->port[i])
            port_deliver(mux->port[i]);
    chr_accept_input(mux->back);
}

static void switch_focus(struct chr_mux *mux)
{
    const enum chr_mux_port to = mux->focus == CHR_MUX_SERIAL ? CHR_MUX_MONITOR : CHR_MUX_SERIAL;
    if (!mux->port[to])
        return;
    mux->focus = to;
    if (mux->port[CHR_MUX_MONITOR])
        chr_set_connected(&mux->port[CHR_MUX_MONITOR]->chr, to == CHR_MUX_MONITOR);
}

static void help(struct chr_mux *mux)
{
    say(mux, "\r\n"
             "Ctrl-A h    print this help\r\n"
             "Ctrl-A x    quit\r\n"
             "Ctrl-A c    switch between serial console and monitor\r\n"
             "Ctrl-A b    send a break\r\n"
             "Ctrl-A Ctrl-A    send Ctrl-A\r\n");
}

static void escape_key(struct chr_mux *mux, uint8_t key)
{
    struct mux_port *p = mux->port[mux->focus];
    switch (key) {
    case ESCAPE:
        port_input(p, ESCAPE);
        break;
    case 'x':
        say(mux, "\r\nVitrine: terminated\r\n");
        mux->quit(mux->quit_opaque);
        break;
    case 'c':
        switch_focus(mux);
        break;
    case 'b':
        if (p && p->chr.front.send_break) {
            if (p->chr.door)
                door_enter(p->chr.door, DOOR_CHR, "break", 5);
            p->chr.front.send_break(p->chr.front.opaque);
        }
        break;
    case 'h':
    case '?':
        help(mux);
        break;
    default: /* 's' among them */
        break;
    }
}

static size_t mux_can_receive(void *opaque)
{
    struct chr_mux *mux = opaque;
    const struct mux_port *p = mux->port[mux->focus];
    return p ? CHR_MUX_BYTES - p->count : CHR_MUX_BYTES;
}

static void mux_receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct chr_mux *mux = opaque;
    for (size_t i = 0; i < len; i++) {
        if (mux->escaped) {
            mux->escaped = false;
            /* What was typed before the key arrives before it takes effect. */
            if (mux->port[mux->focus])
                port_deliver(mux->port[mux->focus]);
            escape_key(mux, buf[i]);
        } else if (buf[i] == ESCAPE) {
            mux->escaped = true;
        } else {
            port_input(mux->port[mux->focus], buf[i]);
        }
    }
    if (mux->port[mux->focus])
        port_deliver(mux->port[mux->focus]);
}

static void mux_event(void *opaque, bool open)
{
    struct chr_mux *mux = opaque;
    mux->escaped = false;
    if (mux->port[CHR_MUX_SERIAL])
        chr_set_connected(&mux->port[CHR_MUX_SERIAL]->chr, open);
}

static void port_write(struct chr *chr, const uint8_t *buf, size_t len)
{
    chr_write(container_of(chr, struct mux_port, chr)->mux->back, buf, len);
}

static void port_accept_input(struct chr *chr)
{
    struct mux_port *p = container_of(chr, struct mux_port, chr);
    if (p->count) {
        uv_idle_start(&p->mux->deliver, deliver_later);
        host_loop_touch(p->mux->deliver.loop);
    }
}

static void mux_freed(uv_handle_t *handle)
{
    free(container_of((uv_idle_t *)handle, struct chr_mux, deliver));
}

static void port_close(struct chr *chr)
{
    struct mux_port *p = container_of(chr, struct mux_port, chr);
    struct chr_mux *mux = p->mux;
    bool last = true;
    for (unsigned i = 0; i < CHR_MUX_PORTS; i++) {
        if (mux->port[i] == p)
            mux->port[i] = NULL;
        last = last && !mux->port[i];
    }
    chr_free(chr);
    if (!last)
        return;
    chr_close(mux->back);
    uv_close((uv_handle_t *)&mux->deliver, mux_freed);
}

static struct mux_port *port_create(struct chr_mux *mux, const struct chr_mux_config *cfg,
                                    const char *label)
{
    static const struct chr_ops ops = {port_write, port_accept_input, port_close};
    const struct chr_host host = {label, cfg->loop, cfg->door, cfg->log};
    struct mux_port *p = calloc(1, sizeof *p);
    if (!p || !chr_init(&p->chr, &ops, &host)) {
        free(p);
        return NULL;
    }
    p->mux = mux;
    return p;
}

bool chr_mux_open(const struct chr_mux_config *cfg, struct chr *port[CHR_MUX_PORTS],
                  struct error *err)
{
    const char *spec = chr_spec_is_mux(cfg->spec) ? cfg->spec + 4 : cfg->spec;
    struct chr_mux *mux = calloc(1, sizeof *mux);
    if (!mux)
        return error_set(err, "%s: out of memory", cfg->label);
    *mux = (struct chr_mux){.quit = cfg->quit, .quit_opaque = cfg->quit_opaque};
    /* The door is passed when a port gets its bytes: that is when they enter the guest. */
    const struct chr_host host = {cfg->label, cfg->loop, NULL, cfg->log};
    mux->back = strcmp(spec, "stdio") == 0
                    ? chr_stdio_create(&host, false, err)
                    : chr_open(cfg->label, spec, cfg->loop, NULL, cfg->log, err);
    if (!mux->back)
        goto fail;
    mux->port[CHR_MUX_SERIAL] = port_create(mux, cfg, cfg->label);
    mux->port[CHR_MUX_MONITOR] = port_create(mux, cfg, "monitor");
    if (!mux->port[CHR_MUX_SERIAL] || !mux->port[CHR_MUX_MONITOR]) {
        error_set(err, "%s: out of memory", cfg->label);
        goto fail_ports;
    }
    mux->port[CHR_MUX_SERIAL]->chr.connected = mux->back->connected;
    uv_idle_init(&cfg->loop->uv, &mux->deliver);
    chr_attach(mux->back, &(struct chr_front){.can_receive = mux_can_receive,
                                              .receive = mux_receive,
                                              .event = mux_event,
                                              .opaque = mux});
    for (unsigned i = 0; i < CHR_MUX_PORTS; i++)
        port[i] = &mux->port[i]->chr;
    return true;

fail_ports:
    for (unsigned i = 0; i < CHR_MUX_PORTS; i++)
        if (mux->port[i])
            chr_free(&mux->port[i]->chr);
    chr_close(mux->back);
fail:
    free(mux);
    return false;
}
