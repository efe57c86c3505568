/*
 * What people type: numbers, sizes, key=value lists, and the nearest known spelling of a word
 * nobody knows. Used by the command line and by the monitor.
 */
#ifndef VITRINE_CORE_WORDS_H
#define VITRINE_CORE_WORDS_H

#include "core/error.h"
#include "core/types.h"

/* The whole of s is a number: decimal, 0x hexadecimal, or 0 octal. */
bool word_u64(const char *s, uint64_t *value);

/* A number, optionally with a fraction, and a suffix B K M G T; without one it counts in unit. */
bool word_size(const char *s, uint64_t unit, uint64_t *bytes);

/* Is value one of the words of "a|b|c"? */
bool word_one_of(const char *words, const char *value);

/* on|yes|true|y, off|no|false|n */
bool word_bool(const char *s, bool *value);

/* A copy of s replaces *slot, which is freed. False: out of memory. */
bool word_set(char **slot, const char *s, struct error *err);

/* Insertions, deletions, replacements and swaps of neighbours that lead from a to b; case is
 * ignored. */
unsigned word_distance(const char *a, const char *b);

/*
 * The entry of a table nearest to word, or NULL if none is near enough to be what was meant. The
 * first member of each of the count entries, stride bytes apart, is its const char *name.
 */
const char *word_nearest(const char *word, const void *table, size_t stride, size_t count);

/*
 * "a=b,c=d": commas separate, ",," is a comma in a value. A first item without '=' is the value
 * of the implied key (if there is one); a later one means key=on, and "nowait" wait=off.
 */
#define WORD_PAIRS 32
struct word_pairs {
    unsigned count;
    const char *key[WORD_PAIRS], *value[WORD_PAIRS];
    char *text; /* what they point into */
};
bool word_pairs_split(struct word_pairs *pairs, const char *text, const char *implied,
                      struct error *err);
const char *word_pairs_get(const struct word_pairs *pairs, const char *key); /* NULL: not there */
void word_pairs_free(struct word_pairs *pairs);

#endif
