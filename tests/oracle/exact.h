/*
 * What a floating-point operation must give: libmpfr computes it, correctly rounded for any
 * precision and an exponent without end; here the ends of a format's exponent are put in, and the
 * exceptions, all of them masked (SDM 1 §4.9.1 "Floating-Point Exception Conditions"). Finite
 * operands only: NaNs and infinities are the other passes' subject.
 */
#ifndef VITRINE_ORACLE_EXACT_H
#define VITRINE_ORACLE_EXACT_H

#include "core/types.h"

#include <mpfr.h>

struct exact_format {
    unsigned precision; /* bits of the significand, the first one too */
    int least;          /* exponent of the smallest normal number, 2^least */
};
extern const struct exact_format exact_half, exact_single, exact_double, exact_extended;

enum exact_op {
    EXACT_ADD,
    EXACT_SUB,
    EXACT_MUL,
    EXACT_DIV,
    EXACT_SQRT,
    EXACT_FMA, /* x * y + z */
    EXACT_COPY,
    EXACT_OPS,
};

/* Sign and exponent as in an 80-bit number, whatever the format: no value is lost. */
struct exact_number {
    uint64_t mant;
    uint16_t sexp;
};

struct exact_result {
    struct exact_number v; /* rounded to the format */
    uint32_t flags;        /* OE, UE, PE as in MXCSR */
    bool up;               /* rounded away from zero */
    bool tiny;
};

struct exact_number exact_from_single(uint32_t v);
struct exact_number exact_from_double(uint64_t v);
struct exact_number exact_from_half(uint16_t v);
struct exact_number exact_from_int(int64_t v);
uint32_t exact_to_single(struct exact_number v);
uint64_t exact_to_double(struct exact_number v);
uint16_t exact_to_half(struct exact_number v);

/* x op y to a format. rc: 0 nearest, 1 down, 2 up, 3 to zero. precision: of the significand, if not
 * the format's own (x87 precision control). */
struct exact_result exact_compute(enum exact_op op, const struct exact_number in[3],
                                  const struct exact_format *f, unsigned precision, unsigned rc);
/* To an integer; *inexact and *fits say what became of it. */
int64_t exact_to_int(struct exact_number v, unsigned rc, bool *inexact, bool *fits);

#endif
