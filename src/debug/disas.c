/* See disas.h. */
#include "debug/disas.h"

#include <capstone/capstone.h>
#include <stdio.h>
#include <stdlib.h>

struct disas {
    csh handle[3]; /* 16, 32, 64 bits */
    bool open[3];
    cs_insn *insn;
};

static unsigned mode_index(unsigned bits)
{
    return bits == 16 ? 0 : bits == 32 ? 1 : 2;
}

struct disas *disas_create(enum disas_syntax syntax)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    struct disas *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if (cs_open(CS_ARCH_X86, modes[i], &d->handle[i]) != CS_ERR_OK)
            goto fail;
        d->open[i] = true;
        cs_option(d->handle[i], CS_OPT_SYNTAX,
                  syntax == DISAS_ATT ? CS_OPT_SYNTAX_ATT : CS_OPT_SYNTAX_INTEL);
    }
    d->insn = cs_malloc(d->handle[0]);
    if (d->insn)
        return d;
fail:
    disas_destroy(d);
    return NULL;
}

void disas_destroy(struct disas *d)
{
    if (!d)
        return;
    if (d->insn)
        cs_free(d->insn, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(d->handle); i++) {
        if (d->open[i])
            cs_close(&d->handle[i]);
    }
    free(d);
}

unsigned disas_one(struct disas *d, const uint8_t *code, size_t len, gla_t at, unsigned bits,
                   char *text, size_t size)
{
    const uint8_t *next = code;
    size_t left = MIN(len, (size_t)DISAS_MAX_BYTES);
    uint64_t address = at;
    if (cs_disasm_iter(d->handle[mode_index(bits)], &next, &left, &address, d->insn)) {
        snprintf(text, size, "%-8s %s", d->insn->mnemonic, d->insn->op_str);
        for (size_t n = strlen(text); n && text[n - 1] == ' '; n--)
            text[n - 1] = '\0';
        return (unsigned)(next - code);
    }
    *text = '\0';
    if (len)
        snprintf(text, size, ".byte    0x%02x", code[0]);
    return 0;
}
