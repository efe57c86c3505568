/*
 * Host-side failures: a message that says what failed, on which file or option, and what to do.
 * Functions that can fail take a struct error * as their last argument and return false or NULL;
 * main.c turns the message into one line and exit status 1. Guest mistakes never come here.
 */
#ifndef VITRINE_CORE_ERROR_H
#define VITRINE_CORE_ERROR_H

#include "core/types.h"

struct error {
    char msg[512]; /* one line, no newline, no "error:" in front; empty = no error */
};

/* Sets the message, first error kept. Always returns false, so "return error_set(...)" reads well.
 */
bool error_set(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before an error already set. Always returns false. */
bool error_prefix(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
