/*
 * See state.h. The format, little-endian throughout:
 *
 *      section  = u8 name_len, name, u32 version, u64 length of all fields, fields
 *      field    = u8 name_len, name, u64 length of the value, value
 *
 * Fields carry their names so that a state from another build fails with the name of the field
 * that differs, and so that a tool can list a state without knowing the devices.
 */
#include "core/state.h"
#include "core/event.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME  UINT64_C(0x100000001b3)

#define DUMP_BYTES 32 /* of a byte field that are shown */

static bool failed(const struct state *s)
{
    return s->err.msg[0] != '\0';
}

void state_init_save(struct state *s)
{
    *s = (struct state){.mode = STATE_SAVE};
}

void state_init_load(struct state *s, const void *buf, size_t len)
{
    /* Never written to in this mode. */
    *s = (struct state){.mode = STATE_LOAD, .buf = (uint8_t *)(uintptr_t)buf, .len = len};
}

void state_init_hash(struct state *s)
{
    *s = (struct state){.mode = STATE_HASH, .hash = FNV_OFFSET};
}

void state_init_dump(struct state *s, void (*line)(void *, const char *), void *opaque)
{
    *s = (struct state){.mode = STATE_DUMP, .line = line, .opaque = opaque};
}

void state_free(struct state *s)
{
    if (s->mode == STATE_SAVE)
        free(s->buf);
    s->buf = NULL;
    s->len = s->cap = s->pos = 0;
}

static void hash_bytes(struct state *s, const void *p, size_t n)
{
    const uint8_t *b = p;
    uint64_t h = s->hash;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * FNV_PRIME;
    s->hash = h;
}

static void put(struct state *s, const void *p, size_t n)
{
    if (failed(s) || !n)
        return;
    if (n > s->cap - s->len) {
        const size_t cap = MAX(s->cap * 2, s->len + n + 4096);
        uint8_t *buf = realloc(s->buf, cap);
        if (!buf) {
            error_set(&s->err, "saved state: out of memory at %zu bytes", cap);
            return;
        }
        s->buf = buf;
        s->cap = cap;
    }
    memcpy(s->buf + s->len, p, n);
    s->len += n;
}

/* Takes the next n bytes of the input; NULL, with the error set, if there are not so many. */
static const uint8_t *take(struct state *s, uint64_t n)
{
    if (failed(s))
        return NULL;
    if (n > s->len - s->pos) {
        error_set(&s->err, "saved state: cut short at byte %zu (section '%s')", s->pos,
                  s->section ? s->section : "none");
        return NULL;
    }
    const uint8_t *p = s->buf + s->pos;
    s->pos += (size_t)n;
    return p;
}

static void put_name(struct state *s, const char *name)
{
    const size_t n = strlen(name);
    assert(n < 256);
    put(s, &(uint8_t){(uint8_t)n}, 1);
    put(s, name, n);
}

static bool take_name(struct state *s, const char *what, const char *name)
{
    const size_t at = s->pos;
    const uint8_t *n = take(s, 1);
    const uint8_t *p = n ? take(s, *n) : NULL;
    if (!p)
        return false;
    if (*n == strlen(name) && !memcmp(p, name, *n))
        return true;
    char found[64];
    size_t k = 0;
    for (; k < *n && k < sizeof found - 1; k++)
        found[k] = p[k] >= ' ' && p[k] < 0x7f ? (char)p[k] : '?';
    found[k] = '\0';
    return error_set(&s->err, "saved state: %s '%s%s%s' expected at byte %zu, '%s' found", what,
                     s->section && s->section != name ? s->section : "",
                     s->section && s->section != name ? "." : "", name, at, found);
}

void state_begin(struct state *s, const char *section, uint32_t version)
{
    assert(!s->section && "sections do not nest");
    s->section = section;
    s->version = version;
    switch (s->mode) {
    case STATE_SAVE:
        put_name(s, section);
        put(s, &version, sizeof version);
        put(s, &(uint64_t){0}, sizeof(uint64_t)); /* the length, known at state_end */
        s->section_start = s->len;
        break;
    case STATE_LOAD: {
        if (!take_name(s, "section", section))
            return;
        const uint8_t *v = take(s, sizeof version);
        const uint8_t *n = v ? take(s, sizeof(uint64_t)) : NULL;
        if (!n)
            return;
        s->version = ld32(v);
        if (!s->version || s->version > version) {
            error_set(&s->err,
                      "saved state: section '%s' has version %" PRIu32
                      ", this build reads up to %" PRIu32,
                      section, s->version, version);
            return;
        }
        if (ld64(n) > s->len - s->pos) {
            error_set(&s->err, "saved state: section '%s' is cut short", section);
            return;
        }
        s->section_start = s->pos;
        s->cap = s->pos + (size_t)ld64(n); /* where the section must end */
        break;
    }
    case STATE_HASH:
        hash_bytes(s, section, strlen(section) + 1);
        break;
    case STATE_DUMP:
        break;
    }
}

void state_end(struct state *s)
{
    assert(s->section);
    if (s->mode == STATE_SAVE && !failed(s))
        st64(s->buf + s->section_start - sizeof(uint64_t), s->len - s->section_start);
    if (s->mode == STATE_LOAD && !failed(s) && s->pos != s->cap)
        error_set(&s->err, "saved state: section '%s' is %zu bytes long, its fields are %zu",
                  s->section, s->cap - s->section_start, s->pos - s->section_start);
    s->section = NULL;
}

void state_check(struct state *s, bool ok, const char *field)
{
    if (!ok && !failed(s))
        error_set(&s->err, "saved state: '%s.%s' has a value that cannot be",
                  s->section ? s->section : "", field);
}

static void dump_line(struct state *s, const char *field, const char *value)
{
    char line[256];
    snprintf(line, sizeof line, "%s.%s = %s", s->section, field, value);
    s->line(s->opaque, line);
}

/* One value of n bytes in every mode but DUMP. */
static void value(struct state *s, const char *field, void *p, size_t n)
{
    assert(s->section);
    switch (s->mode) {
    case STATE_SAVE:
        put_name(s, field);
        put(s, &(uint64_t){n}, sizeof(uint64_t));
        put(s, p, n);
        break;
    case STATE_LOAD: {
        if (failed(s) || !take_name(s, "field", field))
            return;
        const uint8_t *len = take(s, sizeof(uint64_t));
        if (!len)
            return;
        if (ld64(len) != n) {
            error_set(&s->err, "saved state: '%s.%s' has %" PRIu64 " bytes, not %zu", s->section,
                      field, ld64(len), n);
            return;
        }
        const uint8_t *v = take(s, n);
        if (v && n)
            memcpy(p, v, n);
        break;
    }
    case STATE_HASH:
        hash_bytes(s, field, strlen(field) + 1);
        hash_bytes(s, p, n);
        break;
    case STATE_DUMP:
        break;
    }
}

static void dump_number(struct state *s, const char *field, uint64_t v, unsigned bytes)
{
    char text[32];
    snprintf(text, sizeof text, "0x%0*" PRIx64, (int)bytes * 2, v);
    dump_line(s, field, text);
}

void state_bool(struct state *s, const char *field, bool *v)
{
    if (s->mode == STATE_DUMP) {
        dump_line(s, field, *v ? "true" : "false");
        return;
    }
    uint8_t b = *v;
    value(s, field, &b, 1);
    if (state_loading(s)) {
        state_check(s, b <= 1, field);
        if (!failed(s))
            *v = b;
    }
}

#define NUMBER(suffix, type)                                         \
    void state_##suffix(struct state *s, const char *field, type *v) \
    {                                                                \
        if (s->mode == STATE_DUMP)                                   \
            dump_number(s, field, (uint64_t)*v, sizeof *v);          \
        else                                                         \
            value(s, field, v, sizeof *v);                           \
    }
NUMBER(u8, uint8_t)
NUMBER(u16, uint16_t)
NUMBER(u32, uint32_t)
NUMBER(u64, uint64_t)

void state_i64(struct state *s, const char *field, int64_t *v)
{
    if (s->mode != STATE_DUMP) {
        value(s, field, v, sizeof *v);
        return;
    }
    char text[32];
    snprintf(text, sizeof text, "%" PRIi64, *v);
    dump_line(s, field, text);
}

void state_bytes(struct state *s, const char *field, void *p, size_t n)
{
    if (s->mode != STATE_DUMP) {
        value(s, field, p, n);
        return;
    }
    char text[DUMP_BYTES * 3 + 32] = "";
    size_t k = 0;
    for (size_t i = 0; i < n && i < DUMP_BYTES; i++)
        k += (size_t)snprintf(text + k, sizeof text - k, "%s%02x", i ? " " : "",
                              ((const uint8_t *)p)[i]);
    if (n > DUMP_BYTES)
        snprintf(text + k, sizeof text - k, " ... (%zu bytes)", n);
    dump_line(s, field, text);
}

void state_event(struct state *s, const char *field, struct event_queue *q, struct event *e)
{
    if (s->mode == STATE_DUMP) {
        char text[32] = "never";
        if (event_armed(e))
            snprintf(text, sizeof text, "%" PRIi64 " ns", e->due_ns);
        dump_line(s, field, text);
        return;
    }
    int64_t due_ns = e->due_ns;
    value(s, field, &due_ns, sizeof due_ns);
    if (!state_loading(s))
        return;
    state_check(s, due_ns >= 0, field);
    if (failed(s))
        return;
    if (due_ns == EVENT_NEVER)
        event_cancel(q, e);
    else
        event_arm(q, e, due_ns);
}
