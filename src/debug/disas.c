/* See disas.h. */
#include "debug/disas.h"

#include <capstone/capstone.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)
/* That whose headers we were built with. */
#define LIBRARY               "libcapstone.so." TEXT(CS_API_MAJOR)

#define CAPSTONE_FUNCTIONS(F) F(open) F(close) F(option) F(malloc) F(free) F(disasm_iter)

struct capstone {
    void *library;
#define MEMBER(name) __typeof__(cs_##name) *name;
    CAPSTONE_FUNCTIONS(MEMBER)
#undef MEMBER
};

struct disas {
    struct capstone cs;
    csh handle[3]; /* 16, 32, 64 bits */
    bool open[3];
    cs_insn *insn;
};

static unsigned mode_index(unsigned bits)
{
    return bits == 16 ? 0 : bits == 32 ? 1 : 2;
}

static bool load(struct capstone *cs, struct error *err)
{
    cs->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!cs->library)
        return error_set(err, "Capstone is missing (%s); install libcapstone" TEXT(CS_API_MAJOR),
                         dlerror());
#define LOOK_UP(name)                                                    \
    cs->name = (__typeof__(cs_##name) *)dlsym(cs->library, "cs_" #name); \
    if (!cs->name)                                                       \
        return error_set(err, LIBRARY " has no cs_" #name "; install a newer Capstone");
    CAPSTONE_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    return true;
}

static bool open_handles(struct disas *d, enum disas_syntax syntax)
{
    static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
        if (d->cs.open(CS_ARCH_X86, modes[i], &d->handle[i]) != CS_ERR_OK)
            return false;
        d->open[i] = true;
        d->cs.option(d->handle[i], CS_OPT_SYNTAX,
                     syntax == DISAS_ATT ? CS_OPT_SYNTAX_ATT : CS_OPT_SYNTAX_INTEL);
    }
    d->insn = d->cs.malloc(d->handle[0]);
    return d->insn != NULL;
}

struct disas *disas_create(enum disas_syntax syntax, struct error *err)
{
    struct disas *d = calloc(1, sizeof *d);
    if (!d) {
        error_set(err, "out of memory");
        return NULL;
    }
    if (load(&d->cs, err)) {
        if (open_handles(d, syntax))
            return d;
        error_set(err, "Capstone: out of memory");
    }
    disas_destroy(d);
    return NULL;
}

void disas_destroy(struct disas *d)
{
    if (!d)
        return;
    if (d->insn)
        d->cs.free(d->insn, 1);
    for (unsigned i = 0; i < ARRAY_SIZE(d->handle); i++) {
        if (d->open[i])
            d->cs.close(&d->handle[i]);
    }
    if (d->cs.library)
        dlclose(d->cs.library);
    free(d);
}

unsigned disas_one(struct disas *d, const uint8_t *code, size_t len, gla_t at, unsigned bits,
                   char *text, size_t size)
{
    const uint8_t *next = code;
    size_t left = MIN(len, (size_t)DISAS_MAX_BYTES);
    uint64_t address = at;
    if (d->cs.disasm_iter(d->handle[mode_index(bits)], &next, &left, &address, d->insn)) {
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
