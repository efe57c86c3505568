/* See words.h. */
#include "core/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#define WORD_MAX 64 /* longer words are not looked for among the known ones */

bool word_u64(const char *s, uint64_t *value)
{
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 0);
    if (*end || errno)
        return false;
    *value = v;
    return true;
}

static unsigned suffix_shift(char c)
{
    switch (toupper((unsigned char)c)) {
    case 'B':
        return 0;
    case 'K':
        return 10;
    case 'M':
        return 20;
    case 'G':
        return 30;
    case 'T':
        return 40;
    default:
        return 64;
    }
}

bool word_size(const char *s, uint64_t unit, uint64_t *bytes)
{
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    unsigned long long whole = strtoull(s, &end, strncasecmp(s, "0x", 2) == 0 ? 16 : 10);
    if (errno)
        return false;
    double fraction = 0;
    if (*end == '.') {
        double scale = 0.1;
        for (end++; isdigit((unsigned char)*end); end++, scale /= 10)
            fraction += (*end - '0') * scale;
    }
    if (*end) {
        unsigned shift = suffix_shift(*end);
        if (shift == 64 || end[1])
            return false;
        unit = UINT64_C(1) << shift;
    }
    if (whole > UINT64_MAX / unit)
        return false;
    uint64_t v = whole * unit, part = (uint64_t)(fraction * (double)unit);
    if (v + part < v)
        return false;
    *bytes = v + part;
    return true;
}

bool word_one_of(const char *words, const char *value)
{
    size_t len = strlen(value);
    for (const char *w = words; *w; w += strcspn(w, "|"), w += *w == '|') {
        if (strcspn(w, "|") == len && strncmp(w, value, len) == 0)
            return true;
    }
    return false;
}

bool word_bool(const char *s, bool *value)
{
    static const char *const on[] = {"on", "yes", "true", "y"};
    static const char *const off[] = {"off", "no", "false", "n"};
    for (unsigned i = 0; i < ARRAY_SIZE(on); i++) {
        if (strcmp(s, on[i]) == 0 || strcmp(s, off[i]) == 0) {
            *value = strcmp(s, on[i]) == 0;
            return true;
        }
    }
    return false;
}

bool word_set(char **slot, const char *s, struct error *err)
{
    char *copy = strdup(s);
    if (!copy)
        return error_set(err, "out of memory");
    free(*slot);
    *slot = copy;
    return true;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment: three rows of the table are enough. */
unsigned word_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    if (la >= WORD_MAX || lb >= WORD_MAX)
        return WORD_MAX;
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = last[j - 1] + !same(a[i - 1], b[j - 1]);
            best = MIN(best, last[j] + 1);
            best = MIN(best, row[j - 1] + 1);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                best = MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[lb];
}

const char *word_nearest(const char *word, const void *table, size_t stride, size_t count)
{
    /* A third of the letters may differ, at least one, at most three; all of them never. */
    unsigned len = (unsigned)strlen(word);
    unsigned limit = MIN(MAX(len / 3, 1u), 3u);
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name;
        memcpy(&name, (const char *)table + i * stride, sizeof name);
        unsigned d = word_distance(word, name);
        if (d <= limit && d < MAX(len, 1u)) {
            best = name;
            if (d == 0)
                break;
            limit = d - 1;
        }
    }
    return best;
}

/* The first item has no '=' before its comma, so it is the value of the implied key. */
static bool is_bare(const char *s)
{
    for (; *s && *s != '='; s++) {
        if (*s == ',') {
            if (s[1] != ',')
                return true;
            s++;
        }
    }
    return !*s;
}

static void add_flag(struct word_pairs *pairs, const char *name)
{
    bool off = strcmp(name, "nowait") == 0;
    pairs->key[pairs->count] = off ? name + 2 : name;
    pairs->value[pairs->count++] = off ? "off" : "on";
}

bool word_pairs_split(struct word_pairs *pairs, const char *text, const char *implied,
                      struct error *err)
{
    *pairs = (struct word_pairs){0};
    pairs->text = strdup(text);
    if (!pairs->text)
        return error_set(err, "out of memory");
    char *in = pairs->text, *out = pairs->text;
    for (bool first = true; *in; first = false) {
        if (pairs->count == WORD_PAIRS) {
            word_pairs_free(pairs);
            return error_set(err, "more than %d items", WORD_PAIRS);
        }
        bool bare = is_bare(in), is_implied = bare && first && implied;
        char *start = out, *equals = NULL;
        for (; *in; in++) {
            if (*in == ',') {
                in++;
                if (*in != ',')
                    break;
            }
            if (*in == '=' && !equals && !bare)
                equals = out;
            *out++ = *in;
        }
        /* "out" never overtakes "in": each item lost at least its comma, or was the last. */
        *out++ = '\0';
        if (is_implied) {
            pairs->key[pairs->count] = implied;
            pairs->value[pairs->count++] = start;
        } else if (equals) {
            *equals = '\0';
            pairs->key[pairs->count] = start;
            pairs->value[pairs->count++] = equals + 1;
        } else if (*start) {
            add_flag(pairs, start);
        }
    }
    return true;
}

const char *word_pairs_get(const struct word_pairs *pairs, const char *key)
{
    const char *value = NULL;
    for (unsigned i = 0; i < pairs->count; i++) {
        if (strcmp(pairs->key[i], key) == 0)
            value = pairs->value[i];
    }
    return value;
}

void word_pairs_free(struct word_pairs *pairs)
{
    free(pairs->text);
    *pairs = (struct word_pairs){0};
}
