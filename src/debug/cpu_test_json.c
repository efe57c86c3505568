/*
 * Test sets in JSON: an array of cases, read one at a time, so that a file of any size needs little
 * memory. The fields are those of github.com/SingleStepTests, and some of our own for what their
 * processors did not have (docs/cpu-test.md).
 */
#include "debug/cpu_test_case.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- values --- */

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* "0x12" into little-endian bytes. */
static bool hex_number(const char *text, uint8_t *value, size_t bytes)
{
    memset(value, 0, bytes);
    if (text[0] != '0' || (text[1] | 0x20) != 'x' || !text[2])
        return false;
    const size_t digits = strlen(text + 2);
    for (size_t i = 0; i < digits; i++) {
        const int d = hex_digit(text[2 + digits - 1 - i]);
        if (d < 0 || (i / 2 >= bytes && d))
            return false;
        if (d)
            value[i / 2] |= (uint8_t)(d << (i % 2 * 4));
    }
    return true;
}

/* A number, or text in hexadecimal, of at most so many bytes. what names it in an error. */
static bool number(const json_t *j, const char *what, uint8_t *value, size_t bytes,
                   struct error *err)
{
    memset(value, 0, bytes);
    if (json_is_string(j))
        return hex_number(json_string_value(j), value, bytes) ||
               error_set(err, "%s: \"%.40s\" is no hexadecimal number of %zu bytes like 0x1f", what,
                         json_string_value(j), bytes);
    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return error_set(err, "%s is not a number", what);
    const uint64_t v = (uint64_t)json_integer_value(j);
    if (bytes < sizeof v && v >> (8 * bytes))
        return error_set(err, "%s: %llu is too large", what, (unsigned long long)v);
    memcpy(value, &v, MIN(bytes, sizeof v));
    return true;
}

static bool number64(const json_t *j, const char *what, uint64_t *v, struct error *err)
{
    return number(j, what, (uint8_t *)v, sizeof *v, err);
}

/* --- parts of a case --- */

static bool read_regs(json_t *j, const char *what, struct case_regs *list, struct error *err)
{
    const char *name;
    json_t *v;
    if (!json_is_object(j))
        return error_set(err, "%s is not an object of registers", what);
    json_object_foreach(j, name, v)
    {
        uint8_t value[CPU_REG_MAX_BYTES];
        const struct cpu_reg *reg = cpu_reg_find(name);
        if (!reg)
            return error_set(err, "%s: there is no register \"%.40s\"", what, name);
        if (!number(v, name, value, reg->bytes, err) || !case_add_reg(list, reg, value, err))
            return error_prefix(err, "%s", what);
    }
    return true;
}

/* [address, byte] or [address, "bytes in hexadecimal"]. */
static bool read_ram_entry(const json_t *j, struct case_ram *list, struct error *err)
{
    uint64_t at, value;
    if (json_array_size(j) != 2)
        return error_set(err, "not a pair of address and byte");
    const json_t *v = json_array_get(j, 1);
    if (!number64(json_array_get(j, 0), "address", &at, err))
        return false;
    if (!json_is_string(v))
        return number(v, "byte", (uint8_t *)&value, 1, err) &&
               case_add_byte(list, at, *(uint8_t *)&value, err);
    const char *text = json_string_value(v);
    const size_t digits = strlen(text);
    if (digits % 2)
        return error_set(err, "\"%.40s\" has half a byte", text);
    for (size_t i = 0; i < digits; i += 2) {
        const int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        if (high < 0 || low < 0)
            return error_set(err, "\"%.40s\" is not in hexadecimal", text);
        if (!case_add_byte(list, at + i / 2, (uint8_t)(high << 4 | low), err))
            return false;
    }
    return true;
}

static bool read_ram(json_t *j, const char *what, struct case_ram *list, struct error *err)
{
    if (!json_is_array(j))
        return error_set(err, "%s.ram is not an array", what);
    for (size_t i = 0; i < json_array_size(j); i++)
        if (!read_ram_entry(json_array_get(j, i), list, err))
            return error_prefix(err, "%s.ram", what);
    return true;
}

static bool read_state(json_t *j, const char *what, struct case_regs *regs, struct case_ram *ram,
                       struct error *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(j))
        return error_set(err, "%s is not an object", what);
    json_object_foreach(j, key, v)
    {
        bool ok = true;
        if (strcmp(key, "regs") == 0)
            ok = read_regs(v, what, regs, err);
        else if (strcmp(key, "ram") == 0)
            ok = read_ram(v, what, ram, err);
        else if (strcmp(key, "queue") != 0 && strcmp(key, "ea") != 0)
            ok = error_set(err, "%s: unknown key \"%.40s\"", what, key);
        if (!ok)
            return false;
    }
    return true;
}

static bool read_bytes(json_t *j, struct cpu_test_case *c, struct error *err)
{
    if (!json_is_array(j) || json_array_size(j) > CASE_MAX_BYTES)
        return error_set(err, "bytes is not an array of at most %d", CASE_MAX_BYTES);
    c->bytes_len = json_array_size(j);
    for (size_t i = 0; i < c->bytes_len; i++)
        if (!number(json_array_get(j, i), "bytes", &c->bytes[i], 1, err))
            return false;
    return true;
}

static bool read_exception(json_t *j, struct cpu_test_case *c, struct error *err)
{
    const char *key;
    json_t *v;
    uint64_t n = 0;
    c->exception.given = true;
    c->exception.none = json_is_null(j);
    if (c->exception.none)
        return true;
    if (!json_is_object(j))
        return error_set(err, "exception is neither an object nor null");
    json_object_foreach(j, key, v)
    {
        if (!number64(v, key, &n, err))
            return error_prefix(err, "exception");
        if (strcmp(key, "number") == 0) {
            c->exception.vector = (unsigned)n;
        } else if (strcmp(key, "error") == 0) {
            c->exception.has_error = true;
            c->exception.error = n;
        } else if (strcmp(key, "cr2") == 0) {
            c->exception.has_cr2 = true;
            c->exception.cr2 = n;
        } else if (strcmp(key, "flag_address") == 0) {
            c->exception.has_flags_at = true;
            c->exception.flags_at = n;
        } else {
            return error_set(err, "exception: unknown key \"%.40s\"", key);
        }
    }
    return json_object_get(j, "number") || error_set(err, "exception: number is missing");
}

static bool read_name(json_t *j, struct cpu_test_case *c, struct error *err)
{
    if (!json_is_string(j))
        return error_set(err, "name is not text");
    size_t n = 0;
    for (const char *s = json_string_value(j); *s && n < sizeof c->name - 1; s++)
        c->name[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
    c->name[n] = '\0';
    return true;
}

static bool read_a20(json_t *j, struct cpu_test_case *c, struct error *err)
{
    c->a20_given = true;
    c->a20 = json_is_true(j);
    return json_is_boolean(j) || error_set(err, "a20 is neither true nor false");
}

/* Keys of the published sets that say nothing about registers and memory. */
static bool is_other(const char *key)
{
    static const char *const others[] = {"cycles", "hash", "idx", "test_hash", "test_num"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (strcmp(key, others[i]) == 0)
            return true;
    return false;
}

static bool read_case(json_t *j, struct cpu_test_case *c, struct error *err)
{
    const char *key;
    json_t *v;
    if (!json_is_object(j))
        return error_set(err, "a case is not an object");
    json_object_foreach(j, key, v)
    {
        bool ok = true;
        if (strcmp(key, "name") == 0)
            ok = read_name(v, c, err);
        else if (strcmp(key, "bytes") == 0)
            ok = read_bytes(v, c, err);
        else if (strcmp(key, "initial") == 0)
            ok = read_state(v, key, &c->initial, &c->ram_before, err);
        else if (strcmp(key, "final") == 0)
            ok = read_state(v, key, &c->final, &c->ram_after, err);
        else if (strcmp(key, "mask") == 0)
            ok = read_regs(v, key, &c->mask, err);
        else if (strcmp(key, "exception") == 0)
            ok = read_exception(v, c, err);
        else if (strcmp(key, "steps") == 0)
            ok = number64(v, key, &c->steps, err);
        else if (strcmp(key, "a20") == 0)
            ok = read_a20(v, c, err);
        else if (!is_other(key))
            ok = error_set(err, "unknown key \"%.40s\"", key);
        if (!ok)
            return false;
    }
    return (json_object_get(j, "initial") && json_object_get(j, "final")) ||
           error_set(err, "initial or final is missing");
}

/* --- the array --- */

static void pass(struct case_file *f, size_t bytes)
{
    const uint8_t *n = f->data + f->pos, *end = n + bytes;
    while ((n = memchr(n, '\n', (size_t)(end - n))) != NULL) {
        f->line++;
        n++;
    }
    f->pos += bytes;
}

/* The next character that is no blank, not taken; 0 at the end. */
static char peek(struct case_file *f)
{
    while (f->pos < f->len && strchr(" \t\r\n", f->data[f->pos]) && f->data[f->pos])
        pass(f, 1);
    return f->pos < f->len ? (char)f->data[f->pos] : '\0';
}

/* Behind the text that begins at i; len if it does not end. */
static size_t behind_string(const uint8_t *d, size_t len, size_t i)
{
    for (i++; i < len && d[i] != '"'; i++)
        i += d[i] == '\\';
    return MIN(i + 1, len);
}

/* Behind the object or array that begins at i; len if it does not end. */
static size_t behind_value(const uint8_t *d, size_t len, size_t i)
{
    unsigned depth = 0;
    while (i < len) {
        const uint8_t c = d[i];
        if (c == '"') {
            i = behind_string(d, len, i);
            continue;
        }
        i++;
        depth += c == '{' || c == '[';
        if ((c == '}' || c == ']') && --depth == 0)
            return i;
    }
    return len;
}

/* "cycles" at i, and its array? Then where that begins, else 0. */
static size_t cycles_at(const uint8_t *d, size_t len, size_t i)
{
    static const char key[] = "\"cycles\"";
    if (len - i < sizeof key || memcmp(d + i, key, sizeof key - 1) != 0)
        return 0;
    for (i += sizeof key - 1; i < len && d[i] && strchr(" \t\r\n:", d[i]);)
        i++;
    return i < len && d[i] == '[' ? i : 0;
}

/*
 * The case at pos without what its bus did, which is most of a published set's bytes and would take
 * most of the time. Its lines stay. Returns how long it is in the file.
 */
static size_t copy_case(struct case_file *f)
{
    const uint8_t *d = f->data;
    size_t from = f->pos, out = 0, i = f->pos;
    for (unsigned depth = 0; i < f->len;) {
        const uint8_t c = d[i];
        if (c != '"') {
            i++;
            depth += c == '{' || c == '[';
            if ((c == '}' || c == ']') && --depth == 0)
                break;
            continue;
        }
        const size_t skip = cycles_at(d, f->len, i);
        i = skip ? behind_value(d, f->len, skip) : behind_string(d, f->len, i);
        if (!skip)
            continue;
        memcpy(f->scratch + out, d + from, skip - from);
        out += skip - from;
        f->scratch[out++] = '0';
        const uint8_t *n = d + skip;
        while ((n = memchr(n, '\n', (size_t)(d + i - n))) != NULL)
            f->scratch[out++] = *n++;
        from = i;
    }
    memcpy(f->scratch + out, d + from, i - from);
    f->scratch_len = out + i - from;
    return i - f->pos;
}

bool case_json_begin(struct case_file *f, struct error *err)
{
    f->line = 1;
    if (peek(f) != '[')
        return error_set(err, "neither a MOO file nor JSON that begins with [");
    pass(f, 1);
    f->scratch = malloc(f->len + 1); /* as long as the longest case there can be */
    return f->scratch || error_set(err, "out of memory");
}

static enum case_next fail_at(uint64_t line, struct error *err)
{
    error_prefix(err, "line %llu", (unsigned long long)line);
    return CASE_ERROR;
}

enum case_next case_json_next(struct case_file *f, struct cpu_test_case *c, struct error *err)
{
    const char next = peek(f);
    if (next == ']') {
        pass(f, 1);
        if (!peek(f))
            return CASE_END;
        error_set(err, "there is more behind the closing ]");
        return fail_at(f->line, err);
    }
    json_error_t why;
    if (next != '{') {
        error_set(err, "a case is not an object");
        return fail_at(f->line, err);
    }
    const size_t len = copy_case(f);
    json_t *j = json_loadb((const char *)f->scratch, f->scratch_len, JSON_REJECT_DUPLICATES, &why);
    if (!j) {
        error_set(err, "%s", why.text);
        return fail_at(f->line + (uint64_t)MAX(why.line, 1) - 1, err);
    }
    const uint64_t line = f->line;
    const bool ok = read_case(j, c, err);
    json_decref(j);
    if (!ok)
        return fail_at(line, err);
    pass(f, len);
    const char behind = peek(f);
    if (behind == ',')
        pass(f, 1);
    if (behind == ',' ? peek(f) != ']' : behind == ']')
        return CASE_READ;
    error_set(err, behind == ',' ? "a comma without a case behind it" : "expected , or ]");
    return fail_at(f->line, err);
}
