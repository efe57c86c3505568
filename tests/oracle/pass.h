/* What the oracle does with a case: of one instruction, of a sequence, of a prefix. */
#ifndef VITRINE_ORACLE_PASS_H
#define VITRINE_ORACLE_PASS_H

#include "compare.h"

enum result {
    CASE_SAME,
    CASE_OPEN,    /* ran, but the manual leaves the result open */
    CASE_NONE,    /* none was found that is any use */
    CASE_DIFFERS, /* a mismatch */
    CASE_TABLE,   /* the table's flags read or written are not what the instruction does */
};

struct ran {
    enum result result;
    bool faulted; /* the host took an exception */
    bool of_row;  /* the bytes are the row's, not an illegal neighbour's */
};

/* One instruction of row number row. verbose: print what differs, all: and the state before. */
struct ran instruction_pass(const struct form_list *rows, uint64_t seed, unsigned row, uint64_t n,
                            bool verbose, bool all);

/* Several instructions in a row: what one leaves for the next, flags that are read later, fused
 * pairs, control registers that stay loaded. */
void sequence_prepare(const struct form_list *rows);
struct ran sequence_pass(uint64_t seed, uint64_t n, bool verbose, bool all);

/* Each prefix before the row: whether that is an instruction at all. */
enum { PREFIX_CASES = 8 };
struct ran prefix_pass(const struct form_list *rows, uint64_t seed, unsigned row, unsigned n,
                       bool verbose, bool all);

#endif
