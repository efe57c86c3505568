/*
 * The host event loop of one machine: libuv's, run by the machine's thread at its sync points and
 * while the guest halts. Back-ends hang their handles on it; their callbacks therefore run on the
 * machine's thread, between guest instructions.
 *
 * Where CPUs have threads of their own, device code on those starts handles, too, under the
 * machine's lock. So the loop's thread waits without the lock and without being in libuv
 * (host_loop_block()), and has to be told to look again: host_loop_touch().
 */
#ifndef VITRINE_HOST_LOOP_H
#define VITRINE_HOST_LOOP_H

#include "core/error.h"
#include "core/types.h"
#include <uv.h>

struct host_loop {
    uv_loop_t uv;
    uv_async_t wake; /* host_loop_wake(), from any thread */
    uv_poll_t sleep; /* on timer_fd: libuv's own timers count milliseconds only */
    int timer_fd;
    bool timer_armed;
    bool hurry;   /* the process is asked to end: a reader that takes nothing is not waited for */
    bool lost;    /* output could not be stored, which was said: the exit status has to tell */
    bool touched; /* a handle was started: the loop should look, within a millisecond or so */
};

bool host_loop_create(struct host_loop *loop, struct error *err);
/* Every handle on it must have been given to uv_close() before; their callbacks run here. */
void host_loop_destroy(struct host_loop *loop);

/* Runs what is ready and returns at once. */
void host_loop_poll(struct host_loop *loop);

/* Waits until something happened, was woken, or timeout_ns passed (EVENT_NEVER: no limit). */
void host_loop_wait(struct host_loop *loop, int64_t timeout_ns);

/*
 * Waits without the lock until host_loop_poll() would do something, at most patience_ms as
 * host_loop_patience() said under the lock.
 */
int host_loop_patience(struct host_loop *loop);
void host_loop_block(struct host_loop *loop, int patience_ms);

/* A handle of uv was started by whoever holds the lock. */
void host_loop_touch(uv_loop_t *uv);

/* Makes a wait return; safe from any thread and from signal handlers (uv_async_send is). */
void host_loop_wake(struct host_loop *loop);

#endif
