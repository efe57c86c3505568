/* See error.h. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

bool error_set(struct error *err, const char *fmt, ...)
{
    if (!err || err->msg[0])
        return false;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    return false;
}

bool error_prefix(struct error *err, const char *fmt, ...)
{
    if (!err)
        return false;
    struct error old = *err;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    /* Pasted by hand: a message cut at the end of the line is meant, not a mistake. */
    size_t at = MIN(n < 0 ? 0 : (size_t)n, sizeof err->msg - 1);
    for (const char *p = ": "; *p && at < sizeof err->msg - 1; p++)
        err->msg[at++] = *p;
    for (const char *p = old.msg; *p && at < sizeof err->msg - 1; p++)
        err->msg[at++] = *p;
    err->msg[at] = '\0';
    return false;
}
