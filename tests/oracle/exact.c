/* See exact.h. */
#include "exact.h"

#include "cpu/fp/fp.h"

const struct exact_format exact_half = {11, -14}, exact_single = {24, -126},
                          exact_double = {53, -1022}, exact_extended = {64, -16382};

enum { BIAS = 16383 };

static mpfr_rnd_t rounding(unsigned rc)
{
    static const mpfr_rnd_t mode[4] = {MPFR_RNDN, MPFR_RNDD, MPFR_RNDU, MPFR_RNDZ};
    return mode[rc & 3];
}

/* --- formats and numbers --- */

/* A format of fraction and exponent bits, as memory has it, to a number and back. */
static struct exact_number widen(uint64_t v, unsigned fraction, unsigned exponent)
{
    const int bias = (1 << (exponent - 1)) - 1;
    const uint64_t m = v & (BIT64(fraction) - 1);
    const int e = (int)(v >> fraction & (BIT64(exponent) - 1));
    struct exact_number n = {.sexp = v >> (fraction + exponent) & 1 ? 0x8000 : 0};
    if (!e && !m)
        return n;
    n.mant = (e ? m | BIT64(fraction) : m) << (63 - fraction);
    int at = MAX(e, 1) - bias + BIAS;
    for (; !(n.mant >> 63); n.mant <<= 1)
        at--;
    n.sexp |= (uint16_t)at;
    return n;
}
static uint64_t narrow(struct exact_number n, unsigned fraction, unsigned exponent)
{
    const int bias = (1 << (exponent - 1)) - 1;
    const uint64_t sign = (uint64_t)(n.sexp >> 15) << (fraction + exponent);
    const int e = (n.sexp & 0x7fff) - BIAS + bias;
    if (!n.mant)
        return sign;
    if (e >= (1 << exponent) - 1)
        return sign | (BIT64(exponent) - 1) << fraction;
    const uint64_t m = n.mant >> (63 - fraction);
    if (e <= 0)
        return sign | m >> (1 - e);
    return sign | (uint64_t)e << fraction | (m & (BIT64(fraction) - 1));
}

struct exact_number exact_from_half(uint16_t v)
{
    return widen(v, 10, 5);
}
struct exact_number exact_from_single(uint32_t v)
{
    return widen(v, 23, 8);
}
struct exact_number exact_from_double(uint64_t v)
{
    return widen(v, 52, 11);
}
uint16_t exact_to_half(struct exact_number v)
{
    return (uint16_t)narrow(v, 10, 5);
}
uint32_t exact_to_single(struct exact_number v)
{
    return (uint32_t)narrow(v, 23, 8);
}
uint64_t exact_to_double(struct exact_number v)
{
    return narrow(v, 52, 11);
}

static void set_number(mpfr_t r, struct exact_number v)
{
    const int e = MAX(v.sexp & 0x7fff, 1) - BIAS - 63;
    mpfr_set_uj_2exp(r, v.mant, e, MPFR_RNDN);
    if (v.sexp & 0x8000)
        mpfr_neg(r, r, MPFR_RNDN);
}

/* An 80-bit number; below its least normal one it is a denormal. Infinity as the mantissa's top bit
 * and exponent 7FFFh. */
static struct exact_number get_number(const mpfr_t r)
{
    struct exact_number v = {.sexp = mpfr_signbit(r) ? 0x8000 : 0};
    if (mpfr_zero_p(r))
        return v;
    if (mpfr_inf_p(r)) {
        v.mant = BIT64(63);
        v.sexp |= 0x7fff;
        return v;
    }
    const int e = (int)mpfr_get_exp(r) - 1 + BIAS;
    mpfr_t m;
    mpfr_init2(m, 64);
    mpfr_abs(m, r, MPFR_RNDN);
    mpfr_mul_2si(m, m, 64 - mpfr_get_exp(r), MPFR_RNDN);
    v.mant = mpfr_get_uj(m, MPFR_RNDN);
    mpfr_clear(m);
    if (e <= 0)
        v.mant >>= 1 - e;
    else
        v.sexp |= (uint16_t)e;
    return v;
}

struct exact_number exact_from_int(int64_t v)
{
    mpfr_t r;
    mpfr_init2(r, 64);
    mpfr_set_sj(r, v, MPFR_RNDN);
    const struct exact_number n = get_number(r);
    mpfr_clear(r);
    return n;
}

/* --- the operations --- */

static int apply(mpfr_t r, enum exact_op op, mpfr_t in[3], mpfr_rnd_t mode)
{
    switch (op) {
    case EXACT_ADD:
        return mpfr_add(r, in[0], in[1], mode);
    case EXACT_SUB:
        return mpfr_sub(r, in[0], in[1], mode);
    case EXACT_MUL:
        return mpfr_mul(r, in[0], in[1], mode);
    case EXACT_DIV:
        return mpfr_div(r, in[0], in[1], mode);
    case EXACT_SQRT:
        return mpfr_sqrt(r, in[0], mode);
    case EXACT_FMA:
        return mpfr_fma(r, in[0], in[1], in[2], mode);
    default:
        return mpfr_set(r, in[0], mode);
    }
}

/* Of a result below the least normal number: rounded to a multiple of 2^unit. Returns the ternary
 * value, as mpfr's functions do. */
static int round_tiny(mpfr_t r, enum exact_op op, mpfr_t in[3], int unit, mpfr_rnd_t mode)
{
    mpfr_set_prec(r, 64);
    const int cut = apply(r, op, in, MPFR_RNDZ);
    const int bits = (int)mpfr_get_exp(r) - unit;
    if (bits >= 1) {
        mpfr_set_prec(r, bits);
        return apply(r, op, in, mode);
    }
    /* less than one unit: nothing or one */
    const bool negative = mpfr_signbit(r);
    const bool is_half = bits == 0 && !cut && mpfr_min_prec(r) == 1;
    const bool away =
        mode == MPFR_RNDN ? bits == 0 && !is_half : mode == (negative ? MPFR_RNDD : MPFR_RNDU);
    mpfr_set_prec(r, 2);
    mpfr_set_si_2exp(r, away, unit, MPFR_RNDN);
    mpfr_setsign(r, r, negative, MPFR_RNDN);
    return away != negative ? 1 : -1;
}

static void overflow(mpfr_t r, const struct exact_format *f, mpfr_rnd_t mode)
{
    const bool negative = mpfr_signbit(r);
    if (mode == MPFR_RNDN || mode == (negative ? MPFR_RNDD : MPFR_RNDU)) {
        mpfr_set_inf(r, negative ? -1 : 1);
        return;
    }
    /* the greatest finite one: every bit set below 2^(1 - least + 1) */
    mpfr_set_ui_2exp(r, 1, 2 - f->least, MPFR_RNDN);
    mpfr_nextbelow(r);
    mpfr_setsign(r, r, negative, MPFR_RNDN);
}

struct exact_result exact_compute(enum exact_op op, const struct exact_number in[3],
                                  const struct exact_format *f, unsigned precision, unsigned rc)
{
    const mpfr_rnd_t mode = rounding(rc);
    mpfr_t x[3], r;
    for (unsigned i = 0; i < 3; i++) {
        mpfr_init2(x[i], 64);
        set_number(x[i], in[i]);
    }
    mpfr_init2(r, precision ? precision : f->precision);
    int ternary = apply(r, op, x, mode);
    struct exact_result out = {0};
    /* the exponent has no end yet: this is what "after rounding" means */
    if (!mpfr_zero_p(r) && mpfr_get_exp(r) - 1 < f->least) {
        out.tiny = true;
        ternary = round_tiny(r, op, x, f->least - (int)f->precision + 1, mode);
        if (ternary)
            out.flags |= FSW_UE;
    } else if (!mpfr_zero_p(r) && mpfr_get_exp(r) - 1 > 1 - f->least) {
        out.flags |= FSW_OE;
        ternary = mpfr_signbit(r) ? -1 : 1;
        overflow(r, f, mode);
        if (!mpfr_inf_p(r))
            ternary = -ternary;
    }
    if (ternary)
        out.flags |= FSW_PE;
    out.up = ternary && (ternary > 0) != (mpfr_signbit(r) != 0);
    out.v = get_number(r);
    mpfr_clear(r);
    for (unsigned i = 0; i < 3; i++)
        mpfr_clear(x[i]);
    return out;
}

int64_t exact_to_int(struct exact_number v, unsigned rc, bool *inexact, bool *fits)
{
    mpfr_t x, r;
    mpfr_init2(x, 64);
    mpfr_init2(r, 80);
    set_number(x, v);
    *inexact = mpfr_rint(r, x, rounding(rc)) != 0;
    *fits = mpfr_fits_intmax_p(r, MPFR_RNDN);
    const int64_t n = *fits ? mpfr_get_sj(r, MPFR_RNDN) : INT64_MIN;
    mpfr_clear(x);
    mpfr_clear(r);
    return n;
}
