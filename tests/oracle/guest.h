/* The interpreter's side: a CPU at CPL 3 that sees the same window and code page as the host. */
#ifndef VITRINE_ORACLE_GUEST_H
#define VITRINE_ORACLE_GUEST_H

#include "case.h"

/* How an instruction came out, on either side. */
struct outcome {
    struct native_state s;
    uint64_t rip; /* as a linear address */
    int vector;   /* of the exception, or -1 */
    uint64_t error, cr2;
};

void guest_open(void);
void guest_close(void);
/* Both sides run such code from now on; the host must have it. */
void set_code_bits(enum code_bits bits);
/* The window's bytes that can be written. */
uint8_t *guest_memory(void);

/* Runs a case's instruction, all iterations of a REP, from case_memory. */
void guest_run(const struct oracle_case *t, struct outcome *o);
/* Runs count instructions, in pieces of chunk. */
void guest_run_code(const uint8_t *bytes, unsigned len, const struct native_state *in,
                    unsigned count, unsigned chunk, struct outcome *o);

#endif
