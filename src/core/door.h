/*
 * The one way in for all that is not deterministic: bytes typed at a console, keys, mouse moves,
 * completions of host I/O, host dates, entropy, and the settings that make guest time follow host
 * time. Everything passes door_enter(), which stamps it with the instruction count, so that a log
 * of the door together with the initial state reproduces the run.
 *
 * Host threads leave what they have with the host loop (host/loop.h), which lets it in.
 */
#ifndef VITRINE_CORE_DOOR_H
#define VITRINE_CORE_DOOR_H

#include "core/types.h"

enum door_kind {
    DOOR_CHR,     /* bytes arrived on a character back-end */
    DOOR_BLK,     /* a block request completed */
    DOOR_KEY,     /* a key went down or up */
    DOOR_MOUSE,   /* the mouse moved or a button changed */
    DOOR_DATE,    /* the host's date was read */
    DOOR_ENTROPY, /* random bytes were drawn */
    DOOR_RATE,    /* guest time was set against host time */
    DOOR_CONTROL, /* reset, power button, media, ports: asked for from outside */
    DOOR_KINDS,
};

struct door {
    uint64_t (*icount)(void *opaque); /* instructions retired so far */
    void *icount_opaque;
    bool deterministic; /* -icount: dates are fixed, entropy is seeded, completions are timed */
    uint64_t seed;      /* state of the seeded generator */
    uint64_t entered[DOOR_KINDS];
    /* Called for each entry, before its effect; for recording. May be NULL. */
    void (*log)(void *opaque, enum door_kind kind, uint64_t icount, const void *data, size_t len);
    void *log_opaque;
};

void door_init(struct door *door, bool deterministic, uint64_t seed);

/* Notes that data (len bytes) of this kind enters the guest now. */
void door_enter(struct door *door, enum door_kind kind, const void *data, size_t len);

/* Random bytes for RDRAND and friends: from the host, or from the seed when deterministic. */
void door_entropy(struct door *door, void *buf, size_t len);

/* Seconds since 1970-01-01 UTC and ns within the second: the host's, or a fixed date. */
int64_t door_date(struct door *door, int64_t *ns);

/* The date a deterministic machine starts at: 2020-01-01 00:00:00 UTC. */
#define DOOR_FIXED_DATE INT64_C(1577836800)

#endif
