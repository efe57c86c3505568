/*
 * Every variant that glibc has of its string functions, against a loop of a few lines: strings
 * ROUNDS. Strings lie at all alignments, half of them up against a page that cannot be read, and
 * short ones are the most frequent, as each variant treats every length up to a few vectors apart.
 *
 * __libc_ifunc_impl_list is glibc's own way to reach the variants in its tests: all that the CPU
 * can run, whichever it would choose. What it chooses is one of them, which is checked too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "draw.h"

/* All arguments are integers or pointers: the System V ABI has them in the same registers whatever
 * their types, and a function does not look at more than it has. */
typedef uintptr_t function(uintptr_t, uintptr_t, uintptr_t, uintptr_t);

struct variant {
    const char *name; /* struct libc_ifunc_impl, glibc's include/ifunc-impl-list.h */
    function *call;
    bool usable;
};

enum kind {
    LENGTH,  /* of a string */
    FIND,    /* a character */
    COMPARE, /* two strings or memories */
    COPY,    /* one to another place */
    FILL,
    SPAN,  /* of characters of a set */
    INSIDE /* a string in a string */
};

enum {
    COUNTED = 1,    /* takes a length */
    ENDS = 2,       /* a zero ends it */
    LAST = 4,       /* finds the last one */
    OR_END = 8,     /* finds the end if nothing else */
    FOLDED = 16,    /* takes capital letters for small ones */
    EQUAL = 32,     /* says whether, not how, they differ */
    AFTER = 64,     /* returns what follows the copy */
    APPEND = 128,   /* to what is there */
    PAD = 256,      /* with zeros up to the length */
    OVERLAP = 512,  /* source and destination may */
    CHECKED = 1024, /* has the size of the destination as its last argument */
    CERTAIN = 2048, /* finds it always */
    OUTSIDE = 4096, /* of what is not in the set */
    POINTER = 8192, /* returns a pointer, or none at the end */
    LOCALE = 16384  /* takes one as its last argument */
};

static const struct row {
    const char *name, *symbol; /* in the list; what the linker knows */
    enum kind kind;
    unsigned flags, width;
} rows[] = {
    {"strlen", "strlen", LENGTH, ENDS, 1},
    {"strnlen", "strnlen", LENGTH, ENDS | COUNTED, 1},
    {"wcslen", "wcslen", LENGTH, ENDS, 4},
    {"wcsnlen", "wcsnlen", LENGTH, ENDS | COUNTED, 4},
    {"strchr", "strchr", FIND, ENDS, 1},
    {"strchrnul", "strchrnul", FIND, ENDS | OR_END, 1},
    {"strrchr", "strrchr", FIND, ENDS | LAST, 1},
    {"memchr", "memchr", FIND, COUNTED, 1},
    {"memrchr", "memrchr", FIND, COUNTED | LAST, 1},
    {"rawmemchr", "rawmemchr", FIND, CERTAIN, 1},
    {"wcschr", "wcschr", FIND, ENDS, 4},
    {"wcsrchr", "wcsrchr", FIND, ENDS | LAST, 4},
    {"wmemchr", "wmemchr", FIND, COUNTED, 4},
    {"strcmp", "strcmp", COMPARE, ENDS, 1},
    {"strncmp", "strncmp", COMPARE, ENDS | COUNTED, 1},
    {"strcasecmp", "strcasecmp", COMPARE, ENDS | FOLDED, 1},
    {"strcasecmp_l", "strcasecmp_l", COMPARE, ENDS | FOLDED | LOCALE, 1},
    {"strncasecmp", "strncasecmp", COMPARE, ENDS | FOLDED | COUNTED, 1},
    {"strncasecmp_l", "strncasecmp_l", COMPARE, ENDS | FOLDED | COUNTED | LOCALE, 1},
    {"memcmp", "memcmp", COMPARE, COUNTED, 1},
    {"__memcmpeq", "__memcmpeq", COMPARE, COUNTED | EQUAL, 1},
    {"wcscmp", "wcscmp", COMPARE, ENDS, 4},
    {"wcsncmp", "wcsncmp", COMPARE, ENDS | COUNTED, 4},
    {"wmemcmp", "wmemcmp", COMPARE, COUNTED, 4},
    {"memcpy", "memcpy", COPY, COUNTED, 1},
    {"memmove", "memmove", COPY, COUNTED | OVERLAP, 1},
    {"mempcpy", "mempcpy", COPY, COUNTED | AFTER, 1},
    {"__memcpy_chk", "__memcpy_chk", COPY, COUNTED | CHECKED, 1},
    {"__memmove_chk", "__memmove_chk", COPY, COUNTED | OVERLAP | CHECKED, 1},
    {"__mempcpy_chk", "__mempcpy_chk", COPY, COUNTED | AFTER | CHECKED, 1},
    {"strcpy", "strcpy", COPY, ENDS, 1},
    {"stpcpy", "stpcpy", COPY, ENDS | AFTER, 1},
    {"strncpy", "strncpy", COPY, ENDS | COUNTED | PAD, 1},
    {"stpncpy", "stpncpy", COPY, ENDS | COUNTED | PAD | AFTER, 1},
    {"strcat", "strcat", COPY, ENDS | APPEND, 1},
    {"strncat", "strncat", COPY, ENDS | COUNTED | APPEND, 1},
    {"wcscpy", "wcscpy", COPY, ENDS, 4},
    {"memset", "memset", FILL, COUNTED, 1},
    {"__memset_chk", "__memset_chk", FILL, COUNTED | CHECKED, 1},
    {"wmemset", "wmemset", FILL, COUNTED, 4},
    {"__wmemset_chk", "__wmemset_chk", FILL, COUNTED | CHECKED, 4},
    {"strspn", "strspn", SPAN, 0, 1},
    {"strcspn", "strcspn", SPAN, OUTSIDE, 1},
    {"strpbrk", "strpbrk", SPAN, OUTSIDE | POINTER, 1},
    {"strstr", "strstr", INSIDE, 0, 1},
};

/* Memory between two pages that fault. */
enum { ARENA = 64 * 4096, MAX_VARIANTS = 64, REDZONE = 128 };
struct arena {
    uint8_t *start, *end;
};
static struct arena source, other, target;
static uint8_t before[ARENA], expected[ARENA];

static uint64_t seed = 4;
static sigjmp_buf escape;
static locale_t c_locale;

static struct arena arena_create(void)
{
    uint8_t *p = mmap(NULL, ARENA + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + 4096, ARENA, PROT_READ | PROT_WRITE)) {
        perror("strings: mmap");
        exit(2);
    }
    return (struct arena){p + 4096, p + 4096 + ARENA};
}

/* A place for so many bytes: it ends or begins at a page that faults, or lies anywhere. */
static uint8_t *place(struct arena a, size_t bytes, unsigned width)
{
    const size_t room = ARENA - bytes;
    size_t at;
    switch (below(&seed, 6)) {
    case 0:
    case 1:
    case 2:
        at = room;
        break;
    case 3:
        at = 0;
        break;
    default: /* near the start of a page or the end of one */
        at = (4096 + 4096 * below(&seed, 3) + below(&seed, 256) - 128) % (room + 1);
        break;
    }
    return a.start + at / width * width;
}

static size_t length(void)
{
    const uint64_t r = below(&seed, 100);
    if (r < 50)
        return below(&seed, 80);
    if (r < 90)
        return below(&seed, 600);
    if (r < 99)
        return below(&seed, 5000);
    return below(&seed, 40000); /* long enough for what is not cached, and for REP MOVSB */
}

static uint32_t get(const uint8_t *p, size_t i, unsigned width)
{
    uint32_t v;
    if (width == 1)
        return p[i];
    __builtin_memcpy(&v, p + 4 * i, 4);
    return v;
}

static void put(uint8_t *p, size_t i, unsigned width, uint32_t v)
{
    if (width == 1)
        p[i] = (uint8_t)v;
    else
        __builtin_memcpy(p + 4 * i, &v, 4);
}

/* Not zero; of few values, so that there is something to find. Wide ones have zero bytes in them.
 */
static uint32_t letter(unsigned width, unsigned flags)
{
    static const uint32_t wide[] = {0x100, 0x61, 0x6100, 0x80000001, 0x61000061, 0x7fffffff};
    static const uint8_t folded[] = "aAbBzZ@[`{\xe1\xc1";
    if (width == 4)
        return wide[below(&seed, sizeof wide / sizeof wide[0])];
    if (flags & FOLDED)
        return folded[below(&seed, sizeof folded - 1)];
    return below(&seed, 4) ? 'a' + (uint32_t)below(&seed, 3) : 1 + (uint32_t)below(&seed, 255);
}

static uint32_t folded(uint32_t c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static void fill(uint8_t *p, size_t n, unsigned width, unsigned flags)
{
    const uint32_t most = letter(width, flags);
    for (size_t i = 0; i < n; i++)
        put(p, i, width, below(&seed, 16) ? most : letter(width, flags));
}

/* The naive ones. n: as many may be looked at, SIZE_MAX for all up to the zero. */
static size_t plain_length(const uint8_t *p, unsigned width, size_t n)
{
    size_t i = 0;
    while (i < n && get(p, i, width))
        i++;
    return i;
}

static const uint8_t *plain_find(const uint8_t *p, const struct row *r, uint32_t c, size_t n)
{
    const uint8_t *found = NULL;
    for (size_t i = 0; i < n; i++) {
        const uint32_t v = get(p, i, r->width);
        if (v == c) {
            found = p + i * r->width;
            if (!(r->flags & LAST))
                return found;
        }
        if ((r->flags & ENDS) && !v)
            return (r->flags & OR_END) ? p + i * r->width : found;
    }
    return found;
}

static int plain_compare(const uint8_t *a, const uint8_t *b, const struct row *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t x = get(a, i, r->width), y = get(b, i, r->width);
        if (r->flags & FOLDED) {
            x = folded(x);
            y = folded(y);
        }
        if (x != y)
            return (r->width == 4 ? (int32_t)x < (int32_t)y : x < y) ? -1 : 1;
        if ((r->flags & ENDS) && !x)
            break;
    }
    return 0;
}

static bool in_set(uint8_t c, const uint8_t *set)
{
    for (; *set; set++)
        if (*set == c)
            return true;
    return false;
}

/* One case: what goes in, and what must come out. */
struct given {
    uintptr_t args[4];
    uintptr_t result;
    uint8_t *window; /* memory that may change, to be as in expected[] afterwards */
    size_t window_bytes;
};

static void case_length(const struct row *r, struct given *g)
{
    const size_t n = length();
    uint8_t *p = place(source, (n + 1) * r->width, r->width);
    fill(p, n, r->width, r->flags);
    put(p, n, r->width, 0);
    size_t most = SIZE_MAX;
    if (r->flags & COUNTED) {
        most = below(&seed, 8) ? below(&seed, 2 * n + 2) : SIZE_MAX - below(&seed, 64);
        if (most <= n && below(&seed, 2)) { /* the zero out of reach, behind the end of the page */
            p = source.end - most * r->width;
            fill(p, most, r->width, r->flags);
        }
    }
    g->args[0] = (uintptr_t)p;
    g->args[1] = most;
    g->result = plain_length(p, r->width, most);
}

static void case_find(const struct row *r, struct given *g)
{
    size_t n = length();
    if ((r->flags & CERTAIN) && !n)
        n = 1;
    const bool zero = r->flags & ENDS;
    uint8_t *p = place(source, (n + zero) * r->width, r->width);
    fill(p, n, r->width, r->flags);
    if (zero)
        put(p, n, r->width, 0);
    uint32_t c = below(&seed, 8) ? letter(r->width, r->flags) : 0;
    if (r->flags & CERTAIN)
        put(p, n - 1, r->width, c);
    const bool far = !zero && !(r->flags & LAST) && plain_find(p, r, c, n) && !below(&seed, 4);
    g->args[0] = (uintptr_t)p;
    /* Of an int the low byte counts. */
    g->args[1] = r->width == 1 ? c | (uint32_t)below(&seed, 4) << 8 : c;
    g->args[2] = far ? n + below(&seed, 4096) : n; /* it is found before */
    g->result = (uintptr_t)plain_find(p, r, c, n + zero);
}

static void case_compare(const struct row *r, struct given *g)
{
    const size_t n = length();
    const bool zero = r->flags & ENDS;
    size_t na = n, nb = n;
    if (zero && !below(&seed, 4)) {
        na = below(&seed, n + 1);
        nb = below(&seed, 2) ? n : below(&seed, n + 1);
    }
    uint8_t *a = place(source, (na + zero) * r->width, r->width);
    uint8_t *b = place(other, (nb + zero) * r->width, r->width);
    fill(a, na, r->width, r->flags);
    fill(b, nb, r->width, r->flags);
    for (size_t i = 0; i < na && i < nb; i++)
        put(b, i, r->width, get(a, i, r->width));
    const size_t common = na < nb ? na : nb;
    for (uint64_t i = below(&seed, 3); i && common; i--)
        put(below(&seed, 2) ? a : b, below(&seed, common), r->width, letter(r->width, r->flags));
    if (zero) {
        put(a, na, r->width, 0);
        put(b, nb, r->width, 0);
    }
    size_t most = zero ? SIZE_MAX : n;
    if (zero && (r->flags & COUNTED))
        most = below(&seed, 4) ? below(&seed, n + 2) : SIZE_MAX - below(&seed, 64);
    g->args[0] = (uintptr_t)a;
    g->args[1] = (uintptr_t)b;
    g->args[2] = (r->flags & COUNTED) ? most : (uintptr_t)c_locale;
    g->args[3] = (uintptr_t)c_locale;
    g->result = (uintptr_t)plain_compare(a, b, r, most);
}

/* The part of the target that a call may change, and some bytes on both sides that it may not. */
static void window(struct given *g, uint8_t *at, size_t bytes)
{
    uint8_t *from = at - target.start < REDZONE ? target.start : at - REDZONE;
    uint8_t *to = (size_t)(target.end - at) < bytes + REDZONE ? target.end : at + bytes + REDZONE;
    g->window = from;
    g->window_bytes = (size_t)(to - from);
}

static void note_window(const struct given *g)
{
    for (size_t i = 0; i < g->window_bytes; i++)
        before[i] = expected[i] = g->window[i];
}

static void case_copy(const struct row *r, struct given *g)
{
    const unsigned width = r->width;
    const size_t n = length();
    const bool zero = r->flags & ENDS, counted = r->flags & COUNTED;
    const bool overlap = (r->flags & OVERLAP) && below(&seed, 4);
    uint8_t *from = place(overlap ? target : source, (n + zero) * width, width);
    const size_t most = zero && counted ? below(&seed, 2 * n + 2) : n;
    const size_t had = (r->flags & APPEND) ? length() % 1000 : 0;
    const size_t copied = most < n ? most : n;
    size_t written = had + ((r->flags & PAD)      ? most
                            : (r->flags & APPEND) ? copied + 1
                                                  : copied + zero);
    uint8_t *to;
    if (overlap) { /* by little, either way */
        const size_t room = ARENA - n, at = (size_t)(from - target.start);
        const size_t by = below(&seed, below(&seed, 2) ? 130 : n + 64);
        to = target.start +
             (below(&seed, 2) ? (at + by > room ? room : at + by) : (at < by ? 0 : at - by));
    } else {
        to = place(target, written * width, width);
    }
    fill(from, n, width, r->flags);
    if (zero) {
        put(from, n, width, 0);
        if (copied < n && below(&seed, 2)) { /* the zero out of reach, behind the end of the page */
            from = source.end - copied * width;
            fill(from, copied, width, r->flags);
        }
    }
    if (r->flags & APPEND) {
        fill(to, had, width, r->flags);
        put(to, had, width, 0);
    }
    window(g, to, written * width);
    if (overlap) { /* what is moved belongs to it */
        uint8_t *low = from < g->window ? from : g->window;
        uint8_t *high =
            from + n > g->window + g->window_bytes ? from + n : g->window + g->window_bytes;
        g->window = low;
        g->window_bytes = (size_t)(high - low);
    }
    note_window(g);
    uint8_t *out = expected + (to - g->window);
    for (size_t i = 0; i < copied; i++)
        put(out, had + i, width,
            overlap ? before[from - g->window + (ptrdiff_t)i] : get(from, i, width));
    if (zero)
        for (size_t i = had + copied; i < written; i++)
            put(out, i, width, 0);
    g->args[0] = (uintptr_t)to;
    g->args[1] = (uintptr_t)from;
    g->args[2] = most;
    g->args[3] = most + below(&seed, 2);
    g->result = (uintptr_t)to + ((r->flags & AFTER) ? (had + copied) * width : 0);
}

static void case_fill(const struct row *r, struct given *g)
{
    const size_t n = length();
    uint8_t *to = place(target, n * r->width, r->width);
    const uint32_t c = below(&seed, 3) ? (uint32_t)draw(&seed) : 0;
    window(g, to, n * r->width);
    note_window(g);
    for (size_t i = 0; i < n; i++)
        put(expected + (to - g->window), i, r->width, c);
    g->args[0] = (uintptr_t)to;
    g->args[1] = c;
    g->args[2] = n;
    g->args[3] = n + below(&seed, 2);
    g->result = (uintptr_t)to;
}

static void case_span(const struct row *r, struct given *g)
{
    const size_t n = length() % 700, k = below(&seed, 8) ? below(&seed, 20) : below(&seed, 80);
    uint8_t *p = place(source, n + 1, 1), *set = place(other, k + 1, 1);
    for (size_t i = 0; i < k; i++)
        set[i] = (uint8_t)(1 + below(&seed, 255));
    set[k] = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)(1 + below(&seed, 255));
        const bool stop = !below(&seed, 40);
        if (!(r->flags & OUTSIDE) && k && !stop)
            c = set[below(&seed, k)];
        else if ((r->flags & OUTSIDE) && !stop)
            while (in_set(c, set))
                c = c == 255 ? 1 : c + 1;
        p[i] = c;
    }
    p[n] = 0;
    size_t i = 0;
    while (p[i] && in_set(p[i], set) != !!(r->flags & OUTSIDE))
        i++;
    g->args[0] = (uintptr_t)p;
    g->args[1] = (uintptr_t)set;
    g->result = !(r->flags & POINTER) ? i : p[i] ? (uintptr_t)(p + i) : 0;
}

static void case_inside(const struct row *r, struct given *g)
{
    const size_t n = length() % 3000;
    const size_t k = below(&seed, 3) ? below(&seed, 12) : below(&seed, 300);
    uint8_t *p = place(source, n + 1, 1), *needle = place(other, k + 1, 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)('a' + (below(&seed, 8) == 0));
    for (size_t i = 0; i < k; i++)
        needle[i] = (uint8_t)('a' + (below(&seed, 8) == 0));
    if (k && k <= n && below(&seed, 2)) {
        const size_t at = below(&seed, n - k + 1);
        for (size_t i = 0; i < k; i++)
            needle[i] = p[at + i];
    }
    if (k && below(&seed, 2))
        needle[k - 1] = 'c';
    if (n && below(&seed, 2))
        p[n - 1] = 'c';
    p[n] = needle[k] = 0;
    g->args[0] = (uintptr_t)p;
    g->args[1] = (uintptr_t)needle;
    g->result = 0;
    for (size_t i = 0; i + k <= n && !g->result; i++) {
        size_t j = 0;
        while (j < k && p[i + j] == needle[j])
            j++;
        if (j == k)
            g->result = (uintptr_t)(p + i);
    }
    (void)r;
}

static void (*const make_case[])(const struct row *, struct given *) = {
    [LENGTH] = case_length, [FIND] = case_find, [COMPARE] = case_compare, [COPY] = case_copy,
    [FILL] = case_fill,     [SPAN] = case_span, [INSIDE] = case_inside,
};

static void on_fault(int number)
{
    siglongjmp(escape, number);
}

static bool as_expected(const struct row *r, const struct given *g, uintptr_t got)
{
    if (r->kind != COMPARE)
        return got == g->result;
    const int a = (int)got, b = (int)g->result; /* the upper half of a register is nobody's */
    if (r->flags & EQUAL)
        return !a == !b;
    return (a > 0) - (a < 0) == b;
}

/* One call of one variant; true if it did what it should. */
static bool try_one(const struct row *r, const struct variant *v, const struct given *g, int round)
{
    for (size_t i = 0; i < g->window_bytes; i++)
        g->window[i] = before[i];
    const int fault = sigsetjmp(escape, 1);
    if (fault) {
        printf("%s, case %d: signal %d (arguments %#zx %#zx %#zx)\n", v->name, round, fault,
               g->args[0], g->args[1], g->args[2]);
        return false;
    }
    const uintptr_t got = v->call(g->args[0], g->args[1], g->args[2], g->args[3]);
    if (!as_expected(r, g, got)) {
        printf("%s, case %d: %#zx, expected %#zx (arguments %#zx %#zx %#zx)\n", v->name, round, got,
               g->result, g->args[0], g->args[1], g->args[2]);
        return false;
    }
    for (size_t i = 0; i < g->window_bytes; i++)
        if (g->window[i] != expected[i]) {
            printf("%s, case %d: byte %td of the destination is %#x, expected %#x (arguments %#zx "
                   "%#zx %#zx)\n",
                   v->name, round, g->window + i - (uint8_t *)g->args[0], g->window[i], expected[i],
                   g->args[0], g->args[1], g->args[2]);
            return false;
        }
    return true;
}

/* All variants of a function. Returns how many could run, or -1. */
static int try_function(const struct row *r, const struct variant *variants, int n, int rounds)
{
    void *chosen = dlsym(RTLD_DEFAULT, r->symbol);
    bool good[MAX_VARIANTS];
    int usable = 0, failed = 0;
    const char *choice = NULL;
    for (int i = 0; i < n; i++) {
        good[i] = variants[i].usable;
        usable += variants[i].usable;
        if ((void *)variants[i].call == chosen && variants[i].usable)
            choice = variants[i].name;
    }
    if (!usable || !choice) {
        printf("%s: %d variants, %d usable, and the one chosen is none of them\n", r->name, n,
               usable);
        return -1;
    }
    for (int round = 0; round < rounds; round++) {
        struct given g = {0};
        make_case[r->kind](r, &g);
        for (int i = 0; i < n; i++)
            if (good[i] && !try_one(r, &variants[i], &g, round)) {
                good[i] = false; /* one report each */
                failed++;
            }
    }
    printf("%-16s %d of %d variants usable, %d wrong:", r->name, usable, n, failed);
    for (int i = 0; i < n; i++)
        if (variants[i].usable)
            printf(" %s", variants[i].name);
    printf("\n");
    return failed ? -1 : usable;
}

int main(int argc, char **argv)
{
    const int rounds = argc > 1 ? atoi(argv[1]) : 1000;
    size_t (*list)(const char *, struct variant *, size_t) =
        dlvsym(RTLD_DEFAULT, "__libc_ifunc_impl_list", "GLIBC_PRIVATE");
    if (!list) {
        printf("strings: this glibc has no __libc_ifunc_impl_list\n");
        return 2;
    }
    c_locale = newlocale(LC_ALL_MASK, "C", NULL);
    source = arena_create();
    other = arena_create();
    target = arena_create();
    struct sigaction sa = {.sa_handler = on_fault};
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);

    int wrong = 0, usable = 0, all = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct variant variants[MAX_VARIANTS];
        const size_t n = list(rows[i].name, variants, MAX_VARIANTS);
        const int ran = try_function(&rows[i], variants, (int)n, rounds);
        all += (int)n;
        if (ran < 0)
            wrong++;
        else
            usable += ran;
    }
    printf("strings: %zu functions, %d of %d variants, %d cases each: %d functions wrong\n",
           sizeof rows / sizeof rows[0], usable, all, rounds, wrong);
    return wrong != 0;
}
