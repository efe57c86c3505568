/*
 * Lockstep: every translated block runs in both engines, from the same state, and what comes out
 * is compared: registers, flags (undefined ones too), memory, the fault, the place it goes on at.
 * See ARCHITECTURE.md "Lockstep".
 */
#ifndef VITRINE_CPU_JIT_VERIFY_H
#define VITRINE_CPU_JIT_VERIFY_H

#include "cpu/jit/jit.h"

struct verify;

/* NULL: out of memory. */
struct verify *verify_create(void);
void verify_destroy(struct verify *v);

/* In place of op_jit_enter(): the block cpu->block at cpu->r[REG_PC] in both engines. */
const struct insn *verify_block(struct cpu *cpu);

/* From access.c while cpu->verify: the page of at may be written now; a line can be written
 * through. */
void verify_note_page(struct cpu *cpu, ram_t at);
void verify_note_line(struct cpu *cpu, unsigned tlb_mode, unsigned index);

/*
 * For tests of the tests: instructions of this mnemonic are translated wrongly from now on, where
 * they have a template; NULL: none. False: we know no wrong form of it. verify_breakable(i) is the
 * i-th that we know one of, NULL behind the last.
 */
bool verify_break(struct jit *j, const char *mnemonic);
const char *verify_breakable(unsigned i);
/* From translate.c: makes u a wrong form of itself. */
void verify_mutate(struct insn *u);

#endif
