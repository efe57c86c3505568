/* See log.h. Site counters are relaxed: they only bound how often a line is repeated. */
#include "core/log.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

#define GUEST_LINES_PER_SITE 20

void log_init(struct log *log, void (*sink)(void *, const char *), void *opaque)
{
    *log = (struct log){.mask = LOG_HOST, .sink = sink, .opaque = opaque};
}

static void emit(struct log *log, uint32_t category, const char *prefix, bool where,
                 const char *fmt, va_list ap)
{
    char line[1024];
    int n = 0;
    while (__atomic_test_and_set(&log->busy, __ATOMIC_ACQUIRE))
        sched_yield(); /* another CPU's thread: a line is short */
    if (where && log->where)
        n = snprintf(line, sizeof line, "%s[rip %" PRIx64 "] ", prefix,
                     log->where(log->where_opaque));
    else
        n = snprintf(line, sizeof line, "%s", prefix);
    vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    log->category = category;
    log->sink(log->opaque, line);
    __atomic_clear(&log->busy, __ATOMIC_RELEASE);
}

void log_line(struct log *log, uint32_t category, const char *fmt, ...)
{
    if (!log || !log->sink || !(log->mask & category))
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(log, category, "", false, fmt, ap);
    va_end(ap);
}

void log_guest_at(struct log *log, uint32_t *site, const char *fmt, ...)
{
    if (!log)
        return;
    __atomic_fetch_add(&log->guest_errors, 1, __ATOMIC_RELAXED);
    uint32_t n = __atomic_fetch_add(site, 1, __ATOMIC_RELAXED);
    if (!(log->mask & LOG_GUEST) || !log->sink || n >= GUEST_LINES_PER_SITE)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(log, LOG_GUEST, "guest: ", true, fmt, ap);
    va_end(ap);
}

void log_unimp_at(struct log *log, uint32_t *site, const char *fmt, ...)
{
    if (!log)
        return;
    __atomic_fetch_add(&log->unimp, 1, __ATOMIC_RELAXED);
    uint32_t n = __atomic_fetch_add(site, 1, __ATOMIC_RELAXED);
    if (!log->sink || (n && !(log->mask & LOG_UNIMP)) || n >= GUEST_LINES_PER_SITE)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(log, LOG_UNIMP, "not implemented: ", true, fmt, ap);
    va_end(ap);
}
