/* See loop.h. */
#include "host/loop.h"

#include "core/event.h"

#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_TURNS 8 /* before somebody else may have one */

static void woken(uv_async_t *wake)
{
    (void)wake; /* the wait has ended: that is all */
}

static void timer_expired(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct host_loop *loop = container_of(poll, struct host_loop, sleep);
    uint64_t ticks;
    if (read(loop->timer_fd, &ticks, sizeof ticks) == (ssize_t)sizeof ticks)
        loop->timer_armed = false;
}

bool host_loop_create(struct host_loop *loop, struct error *err)
{
    *loop = (struct host_loop){.timer_fd = -1};
    int r = uv_loop_init(&loop->uv);
    if (r)
        return error_set(err, "host event loop: %s", uv_strerror(r));
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_fd < 0) {
        error_set(err, "host timer: %s", strerror(errno));
        goto fail_loop;
    }
    r = uv_async_init(&loop->uv, &loop->wake, woken);
    if (r) {
        error_set(err, "host event loop: %s", uv_strerror(r));
        goto fail_timer;
    }
    r = uv_poll_init(&loop->uv, &loop->sleep, loop->timer_fd);
    if (!r)
        r = uv_poll_start(&loop->sleep, UV_READABLE, timer_expired);
    if (!r)
        return true;
    error_set(err, "host timer: %s", uv_strerror(r));
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
fail_timer:
    close(loop->timer_fd);
fail_loop:
    uv_loop_close(&loop->uv);
    return false;
}

void host_loop_destroy(struct host_loop *loop)
{
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->sleep, NULL);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    close(loop->timer_fd);
    const int r = uv_loop_close(&loop->uv);
    assert(r == 0 && "a handle is still open");
    (void)r;
}

void host_loop_poll(struct host_loop *loop)
{
    uv_run(&loop->uv, UV_RUN_NOWAIT);
}

void host_loop_wait(struct host_loop *loop, int64_t timeout_ns)
{
    if (timeout_ns <= 0) {
        host_loop_poll(loop);
        return;
    }
    const bool limited = timeout_ns != EVENT_NEVER;
    if (limited || loop->timer_armed) {
        struct itimerspec at = {0};
        if (limited) {
            at.it_value.tv_sec = timeout_ns / NS_PER_SEC;
            at.it_value.tv_nsec = timeout_ns % NS_PER_SEC;
        }
        timerfd_settime(loop->timer_fd, 0, &at, NULL);
        loop->timer_armed = limited;
    }
    uv_run(&loop->uv, UV_RUN_ONCE);
}

/* As libuv's manual has it for those who embed a loop: uv_backend_fd(), uv_backend_timeout(). */
int host_loop_patience(struct host_loop *loop)
{
    /* what was started meanwhile has its turn, and is known to the kernel only behind one */
    unsigned turns = 0;
    do {
        loop->touched = false;
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    } while (loop->touched && ++turns < MAX_TURNS);
    return loop->touched ? 0 : uv_backend_timeout(&loop->uv);
}

void host_loop_block(struct host_loop *loop, int patience_ms)
{
    struct pollfd fd = {.fd = uv_backend_fd(&loop->uv), .events = POLLIN};
    poll(&fd, 1, patience_ms);
}

void host_loop_touch(uv_loop_t *uv)
{
    container_of(uv, struct host_loop, uv)->touched = true;
}

void host_loop_wake(struct host_loop *loop)
{
    uv_async_send(&loop->wake);
}
