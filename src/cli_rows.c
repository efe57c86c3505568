/* See cli_rows.h. */
#include "cli_rows.h"

#include <stdarg.h>
#include <stdio.h>

void cli_note(struct cli_parse *p, const char *fmt, ...)
{
    char text[400], line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(line, sizeof line, "%s: %s", p->option, text);
    if (p->note)
        p->note(p->note_opaque, line);
}

bool cli_fail(struct cli_parse *p, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return error_set(p->err, "%s: %s", p->option, text);
}

bool cli_apply_int(struct cli_parse *p, const char *key, const char *value, int *slot)
{
    uint64_t v;
    if (!word_u64(value, &v) || v > INT32_MAX)
        return cli_fail(p, "%s=%s is not a number from 0 to %d", key, value, INT32_MAX);
    *slot = (int)v;
    return true;
}

bool cli_apply_row(struct cli_parse *p, const struct key_row *row, const char *value, void *target)
{
    void *slot = (char *)target + row->offset;
    switch (row->kind) {
    case KEY_STR:
        return word_set(slot, value, p->err);
    case KEY_BOOL:
        return word_bool(value, slot) ||
               cli_fail(p, "%s=%s is neither on nor off", row->name, value);
    case KEY_INT:
        return cli_apply_int(p, row->name, value, slot);
    case KEY_ONLY:
        return word_one_of(row->text, value) ||
               cli_fail(p, "%s=%s is not to be had, only %s", row->name, value, row->text);
    case KEY_HINT:
        cli_note(p, "%s=%s taken as a hint: %s", row->name, value, row->text);
        return true;
    case KEY_LACK:
        return cli_fail(p, "%s=%s: %s", row->name, value, row->text);
    case KEY_CALL:
        return row->call(p, target, value);
    }
    return false;
}

bool cli_apply_key(struct cli_parse *p, const struct key_row *rows, size_t n, const char *key,
                   const char *value, void *target)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, key) == 0)
            return cli_apply_row(p, &rows[i], value, target);
    }
    const char *near = word_nearest(key, rows, sizeof *rows, n);
    if (near)
        return cli_fail(p, "unknown key \"%s\", did you mean \"%s\"?", key, near);
    return cli_fail(p, "unknown key \"%s\"", key);
}

static void help_key(struct cli_parse *p, const struct key_row *row)
{
    char line[256];
    const char *value = row->kind == KEY_BOOL                ? "on|off"
                        : row->kind == KEY_INT               ? "NUMBER"
                        : row->text && row->kind != KEY_HINT ? row->text
                                                             : "VALUE";
    snprintf(line, sizeof line, "%s=%s%s%s", row->name, value,
             row->kind == KEY_HINT ? "  changes nothing: " : "",
             row->kind == KEY_HINT ? row->text : "");
    if (row->kind != KEY_LACK)
        p->out(p->note_opaque, line);
}

/* The first row's key may go without its name ("-rtc help"), unless any word may stand there. */
bool cli_help_asked(struct cli_parse *p, const struct key_row *rows, size_t n,
                    const struct word_pairs *pairs)
{
    bool asked = false;
    for (unsigned i = 0; i < pairs->count; i++) {
        const char *key = pairs->key[i], *value = pairs->value[i];
        asked = asked || (strcmp(key, "help") == 0 && strcmp(value, "on") == 0) ||
                (strcmp(key, rows[0].name) == 0 && rows[0].kind != KEY_STR &&
                 (strcmp(value, "help") == 0 || strcmp(value, "?") == 0));
    }
    for (size_t i = 0; asked && !p->helped && i < n; i++)
        help_key(p, &rows[i]);
    p->helped = p->helped || asked;
    return asked;
}

bool cli_apply_pairs(struct cli_parse *p, const struct key_row *rows, size_t n,
                     const struct word_pairs *pairs, void *target)
{
    if (cli_help_asked(p, rows, n, pairs))
        return true;
    for (unsigned i = 0; i < pairs->count; i++) {
        if (!cli_apply_key(p, rows, n, pairs->key[i], pairs->value[i], target))
            return false;
    }
    return true;
}

/* Splits arg, applies its keys to target. */
bool cli_apply(struct cli_parse *p, const struct key_row *rows, size_t n, const char *arg,
               const char *implied, void *target)
{
    struct word_pairs pairs;
    if (!word_pairs_split(&pairs, arg, implied, p->err))
        return error_prefix(p->err, "%s", p->option);
    bool ok = cli_apply_pairs(p, rows, n, &pairs, target);
    word_pairs_free(&pairs);
    return ok;
}
