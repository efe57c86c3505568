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
    uv_async_t wake;   /* host_loop_wake(), from any thread */
    uv_timer_t sleep;
};

bool host_loop_create(struct host_loop *loop, struct error *err);
void host_loop_destroy(struct host_loop *loop);

/* Runs what is ready and returns at once. */
void host_loop_poll(struct host_loop *loop);

/* Waits until something happened, was woken, or timeout_ns passed (EVENT_NEVER: no limit). */
void host_loop_wait(struct host_loop *loop, int64_t timeout_ns);

/* Makes a wait return; safe from any thread (not from a signal handler). */
void host_loop_wake(struct host_loop *loop);

#endif
