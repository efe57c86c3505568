/* What must agree, what need not, and how a difference is told. */
#ifndef VITRINE_ORACLE_COMPARE_H
#define VITRINE_ORACLE_COMPARE_H

#include "guest.h"

/* Not NT: an interrupt on the host may lose it. */
#define FLAGS_COMPARED (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_IF)

/* The window's bytes on the host's side, as instructions see them. */
static inline uint8_t *host_memory(void)
{
    return (uint8_t *)WINDOW;
}

/* Flags that the case's instruction leaves undefined. */
uint32_t undefined_flags(const struct oracle_case *t);
uint32_t undefined_after_shift(const struct insn *u, uint64_t rcx);
/* Results that the manual leaves open. */
bool result_undefined(const struct oracle_case *t);
/* Known differences of processors in what they should do; see the list there. */
bool host_differs(const struct oracle_case *t, const struct outcome *host,
                  const struct outcome *guest);

/* Takes out of both outcomes, and both memories, what need not agree. */
void mask_case(const struct oracle_case *t, struct outcome *host, struct outcome *guest);
/* The same for several instructions in a row; open: flags that are undefined in the end. */
void mask_sequence(uint32_t open, struct outcome *host, struct outcome *guest);

/* Outcomes and memories; what_else: not the exception's address and code. */
bool same_outcome(const struct outcome *host, const struct outcome *guest);

void print_state(const struct native_state *s);
void print_difference(const struct native_state *in, const struct outcome *host,
                      const struct outcome *guest);

#endif
