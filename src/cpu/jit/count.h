/* What translated code left to C, by operation: counted with stats=on only. */
#ifndef VITRINE_CPU_JIT_COUNT_H
#define VITRINE_CPU_JIT_COUNT_H

#include "cpu/block.h"
#include "cpu/decode.h"

struct jit;

enum jit_call {
    CALL_NO_TEMPLATE, /* in the middle of a block */
    CALL_OUT_OF_LINE, /* there is a template, which found something unusual, such as a TLB miss */
    CALL_LAST,        /* the last instruction of a block */
    CALL_KINDS,
};

struct jit_count {
    uint64_t called[CALL_KINDS][OP_COUNT];
};

/* u, of b, is run by its handler now. */
void jit_count_call(struct jit *j, const struct block *b, const struct insn *u, bool last);
/* What was called most. */
void jit_count_print(const struct jit_count *c, void (*line)(void *, const char *), void *opaque);

#endif
