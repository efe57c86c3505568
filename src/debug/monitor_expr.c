/* Expressions of the monitor: see mon_expression() in monitor_cmd.h. Precedence is C's. */
#include "debug/monitor_cmd.h"
#include "debug/regs.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_DEPTH 64 /* of brackets and signs: what people type stays far below */

struct parser {
    struct mon *mon;
    const char *at;
    unsigned depth;
    bool failed;
};

static void skip_blanks(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static uint64_t fail(struct parser *p, const char *why)
{
    if (!p->failed)
        mon_printf(p->mon, "%s\n", why);
    p->failed = true;
    return 0;
}

static uint64_t unknown_register(struct parser *p, const char *name)
{
    char why[64];
    snprintf(why, sizeof why, "unknown register $%s", name);
    return fail(p, why);
}

static uint64_t parse_or(struct parser *p);

static uint64_t parse_register(struct parser *p)
{
    char name[32];
    size_t n = 0;
    for (p->at++; isalnum((unsigned char)*p->at) || *p->at == '_' || *p->at == '.'; p->at++) {
        if (n < sizeof name - 1)
            name[n++] = *p->at;
    }
    name[n] = '\0';
    uint64_t value;
    return regs_get(mon_cpu(p->mon), name, &value) ? value : unknown_register(p, name);
}

static uint64_t parse_number(struct parser *p)
{
    char *end;
    errno = 0;
    uint64_t v = strtoull(p->at, &end, 0);
    if (errno)
        return fail(p, "number too large");
    p->at = end;
    return v;
}

static uint64_t parse_primary(struct parser *p)
{
    skip_blanks(p);
    if (p->failed || ++p->depth > MAX_DEPTH)
        return fail(p, "expression too deep");
    uint64_t v;
    if (*p->at == '(') {
        p->at++;
        v = parse_or(p);
        skip_blanks(p);
        if (*p->at != ')')
            return fail(p, "')' expected");
        p->at++;
    } else if (*p->at == '-' || *p->at == '+' || *p->at == '~') {
        const char sign = *p->at++;
        v = parse_primary(p);
        v = sign == '-' ? -v : sign == '~' ? ~v : v;
    } else if (*p->at == '\'' && p->at[1] && p->at[2] == '\'') {
        v = (uint8_t)p->at[1];
        p->at += 3;
    } else if (*p->at == '$') {
        v = parse_register(p);
    } else if (isdigit((unsigned char)*p->at)) {
        v = parse_number(p);
    } else {
        return fail(p, *p->at ? "number or $register expected" : "unexpected end of expression");
    }
    p->depth--;
    return v;
}

static uint64_t parse_product(struct parser *p)
{
    uint64_t v = parse_primary(p);
    for (skip_blanks(p); !p->failed && *p->at && strchr("*/%", *p->at); skip_blanks(p)) {
        const char op = *p->at++;
        const uint64_t w = parse_primary(p);
        if (op != '*' && !w)
            return fail(p, "division by zero");
        v = op == '*' ? v * w : op == '/' ? v / w : v % w;
    }
    return v;
}

static uint64_t parse_sum(struct parser *p)
{
    uint64_t v = parse_product(p);
    for (skip_blanks(p); !p->failed && (*p->at == '+' || *p->at == '-'); skip_blanks(p)) {
        const char op = *p->at++;
        const uint64_t w = parse_product(p);
        v = op == '+' ? v + w : v - w;
    }
    return v;
}

static uint64_t parse_and(struct parser *p)
{
    uint64_t v = parse_sum(p);
    for (skip_blanks(p); !p->failed && *p->at == '&'; skip_blanks(p)) {
        p->at++;
        v &= parse_sum(p);
    }
    return v;
}

static uint64_t parse_xor(struct parser *p)
{
    uint64_t v = parse_and(p);
    for (skip_blanks(p); !p->failed && *p->at == '^'; skip_blanks(p)) {
        p->at++;
        v ^= parse_and(p);
    }
    return v;
}

static uint64_t parse_or(struct parser *p)
{
    uint64_t v = parse_xor(p);
    for (skip_blanks(p); !p->failed && *p->at == '|'; skip_blanks(p)) {
        p->at++;
        v |= parse_xor(p);
    }
    return v;
}

bool mon_expression(struct mon *mon, const char **text, uint64_t *value)
{
    struct parser p = {.mon = mon, .at = *text};
    *value = parse_or(&p);
    *text = p.at;
    return !p.failed;
}
