/*
 * The host event loop of one machine: libuv's, run by the machine's thread at its sync points and
 * while the guest halts. Back-ends hang their handles on it; their callbacks therefore run on the
 * machine's thread, between guest instructions.
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
};

bool host_loop_create(struct host_loop *loop, struct error *err);
/* Every handle on it must have been given to uv_close() before; their callbacks run here. */
void host_loop_destroy(struct host_loop *loop);

/* Runs what is ready and returns at once. */
void host_loop_poll(struct host_loop *loop);

/* Waits until something happened, was woken, or timeout_ns passed (EVENT_NEVER: no limit). */
void host_loop_wait(struct host_loop *loop, int64_t timeout_ns);

/* Makes a wait return; safe from any thread and from signal handlers (uv_async_send is). */
void host_loop_wake(struct host_loop *loop);

#endif
