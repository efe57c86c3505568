/*
 * The telnet protocol (RFC 854, 855) as far as a serial line needs it: the other side is asked to
 * send each key as it is typed and to leave the echo to us; commands are taken out of what comes;
 * a break is one. For chr_socket.c.
 */
#ifndef VITRINE_HOST_CHR_TELNET_H
#define VITRINE_HOST_CHR_TELNET_H

#include "core/types.h"

struct telnet {
    enum { TELNET_DATA, TELNET_COMMAND, TELNET_OPTION, TELNET_SUB, TELNET_SUB_COMMAND } state;
    uint8_t verb; /* TELNET_OPTION: WILL, WONT, DO or DONT */
    bool binary;  /* the other side sends CR as it is; else a NUL behind it is none */
    bool after_cr;
};

struct telnet_events {
    void (*answer)(void *opaque, const uint8_t *buf, size_t len);
    void (*got_break)(void *opaque);
    void *opaque;
};

/* What a server says first. */
extern const uint8_t telnet_greeting[12];

/* Leaves in buf what is data, and returns its length. */
size_t telnet_receive(struct telnet *t, uint8_t *buf, size_t len,
                      const struct telnet_events *events);

#endif
