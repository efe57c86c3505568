/* See count.h. */
#include "cpu/jit/count.h"
#include "cpu/jit/translate.h"

#include <inttypes.h>
#include <stdio.h>

enum { LISTED = 15 };

void jit_count_call(struct jit *j, const struct block *b, const struct insn *u, bool last)
{
    enum jit_call kind = CALL_LAST;
    if (!last)
        kind = jit_has_template(j, b, u) ? CALL_OUT_OF_LINE : CALL_NO_TEMPLATE;
    j->count->called[kind][u->op]++;
}

/* Indices of the largest, in order; how many. */
static unsigned largest(const uint64_t *n, unsigned top[LISTED])
{
    unsigned found = 0;
    for (unsigned op = 0; op < OP_COUNT; op++) {
        unsigned at = found;
        while (at > 0 && n[top[at - 1]] < n[op])
            at--;
        if (n[op] == 0 || at == LISTED)
            continue;
        found = MIN(found + 1, (unsigned)LISTED);
        for (unsigned i = found - 1; i > at; i--)
            top[i] = top[i - 1];
        top[at] = op;
    }
    return found;
}

void jit_count_print(const struct jit_count *c, void (*line)(void *, const char *), void *opaque)
{
    static const char *const names[CALL_KINDS] = {"without a template", "out of line",
                                                  "at the end of a block"};
    char text[256];
    for (unsigned kind = 0; kind < CALL_KINDS; kind++) {
        uint64_t all = 0;
        for (unsigned op = 0; op < OP_COUNT; op++)
            all += c->called[kind][op];
        snprintf(text, sizeof text, "handlers called %s %" PRIu64, names[kind], all);
        line(opaque, text);
        unsigned top[LISTED];
        const unsigned found = largest(c->called[kind], top);
        for (unsigned i = 0; i < found; i++) {
            snprintf(text, sizeof text, "  %-12s %12" PRIu64, op_info[top[i]].mnemonic,
                     c->called[kind][top[i]]);
            line(opaque, text);
        }
    }
}
