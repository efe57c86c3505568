/* See fp_soft.h. A finite value is significand * 2^exponent while it is worked on. */
#include "cpu/fp/fp_soft.h"
#include "cpu/fp/fp.h"

struct format {
    unsigned fraction, exponent; /* bits of each */
};
static const struct format half = {10, 5}, single = {23, 8}, twice = {52, 11};

enum { RC_NEAREST, RC_DOWN, RC_UP, RC_ZERO };

typedef unsigned __int128 wide;

static uint64_t infinity(const struct format *f)
{
    return (BIT64(f->exponent) - 1) << f->fraction;
}
static uint64_t sign_bit(const struct format *f)
{
    return BIT64(f->fraction + f->exponent);
}
static uint64_t magnitude(const struct format *f, uint64_t v)
{
    return v & (sign_bit(f) - 1);
}
static bool is_nan(const struct format *f, uint64_t v)
{
    return magnitude(f, v) > infinity(f);
}
static bool is_signalling(const struct format *f, uint64_t v)
{
    return is_nan(f, v) && !(v & BIT64(f->fraction - 1));
}
static bool is_infinite(const struct format *f, uint64_t v)
{
    return magnitude(f, v) == infinity(f);
}
static bool is_denormal(const struct format *f, uint64_t v)
{
    const uint64_t m = magnitude(f, v);
    return m && m < BIT64(f->fraction);
}
static int bias(const struct format *f)
{
    return (int)BIT(f->exponent - 1) - 1;
}
static bool masked(uint32_t mxcsr, uint32_t exception)
{
    return mxcsr & (exception << MXCSR_MASK_SHIFT);
}

/* v >> n with what falls off gathered in the lowest bit. */
static wide shift_sticky(wide v, unsigned n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | ((v << (128 - n)) != 0);
}

static unsigned top_bit(wide v)
{
    const uint64_t hi = (uint64_t)(v >> 64);
    return hi ? 127 - (unsigned)__builtin_clzll(hi) : 63 - (unsigned)__builtin_clzll((uint64_t)v);
}

/* m, shifted right by n, rounded; *inexact if there was anything to round. */
static wide round_shift(wide m, int n, bool negative, unsigned rc, bool *inexact)
{
    if (n <= 0) {
        *inexact = false;
        return m << -n;
    }
    /* so far to the right that all of it is less than half a unit */
    if (n > 127) {
        *inexact = true;
        return rc == (negative ? RC_DOWN : RC_UP);
    }
    const wide kept = m >> n;
    const wide rest = m & (((wide)1 << n) - 1), middle = (wide)1 << (n - 1);
    *inexact = rest != 0;
    const bool up = rc == RC_NEAREST ? rest > middle || (rest == middle && (kept & 1))
                                     : rest && rc == (negative ? RC_DOWN : RC_UP);
    return kept + up;
}

/*
 * m * 2^e to the format, m not zero and its lowest bit possibly sticky. Tininess is detected after
 * rounding (SDM 1 §4.9.1.5 "Numeric Underflow Exception (#U)"): as if the exponent had no end.
 */
static uint64_t pack(const struct format *f, bool negative, wide m, int e, unsigned rc,
                     uint32_t mxcsr, bool flush, uint32_t *flags)
{
    const uint64_t sign = negative ? sign_bit(f) : 0;
    const int top = (int)top_bit(m), least = 1 - bias(f) - (int)f->fraction;
    int drop = top - (int)f->fraction; /* bits below a normal result's last one */
    bool inexact;
    wide r = round_shift(m, drop, negative, rc, &inexact);
    int exponent = e + drop; /* of the last bit of r */
    if (r >> (f->fraction + 1)) {
        r >>= 1;
        exponent++;
    }
    if (exponent + (int)f->fraction > bias(f)) {
        *flags |= FSW_OE;
        if (inexact || masked(mxcsr, FSW_OE))
            *flags |= FSW_PE;
        const bool away = rc == RC_NEAREST || rc == (negative ? RC_DOWN : RC_UP);
        return sign | (infinity(f) - !away);
    }
    if (exponent >= least) {
        *flags |= inexact ? FSW_PE : 0;
        return sign | ((uint64_t)r + ((uint64_t)(exponent - least) << f->fraction));
    }

    bool denormal_inexact;
    r = round_shift(m, least - e, negative, rc, &denormal_inexact);
    if (!masked(mxcsr, FSW_UE)) {
        *flags |= FSW_UE | (inexact ? FSW_PE : 0);
        return sign;
    }
    if (flush) {
        *flags |= FSW_UE | FSW_PE;
        return sign;
    }
    if (denormal_inexact)
        *flags |= FSW_UE | FSW_PE;
    return sign | (uint64_t)r;
}

/* Significand and exponent of a finite number. */
static uint64_t unpack(const struct format *f, uint64_t v, int *e)
{
    const uint64_t m = magnitude(f, v), biased = m >> f->fraction;
    *e = (int)MAX(biased, 1) - bias(f) - (int)f->fraction;
    return (m & (BIT64(f->fraction) - 1)) | (biased ? BIT64(f->fraction) : 0);
}

/* The finite sum p * 2^pe + q * 2^qe, signs np and nq; zero has *m zero. */
static void add_exact(wide p, int pe, bool np, wide q, int qe, bool nq, wide *m, int *e, bool *n)
{
    if (!p || !q) {
        *m = p ? p : q;
        *e = p ? pe : qe;
        *n = p ? np : nq;
        return;
    }
    /* both with bit 125 as the highest, so that there is room for a carry and many bits below */
    const unsigned ps = 125 - top_bit(p), qs = 125 - top_bit(q);
    p <<= ps;
    q <<= qs;
    pe -= (int)ps;
    qe -= (int)qs;
    if (pe < qe || (pe == qe && p < q)) {
        const wide t = p;
        const int te = pe;
        const bool tn = np;
        p = q, pe = qe, np = nq;
        q = t, qe = te, nq = tn;
    }
    q = shift_sticky(q, (unsigned)(pe - qe));
    *m = np == nq ? p + q : p - q;
    *e = pe;
    *n = np;
}

/* The first NaN of x, y, z, made quiet. */
static uint64_t nan_of(const struct format *f, uint64_t x, uint64_t y, uint64_t z)
{
    return (is_nan(f, x) ? x : is_nan(f, y) ? y : z) | BIT64(f->fraction - 1);
}

uint64_t fp_soft_fma(bool f64, uint64_t x, uint64_t y, uint64_t z, bool negate_product,
                     bool negate_addend, uint32_t mxcsr, uint32_t *flags)
{
    const struct format *f = f64 ? &twice : &single;
    const uint64_t quiet = sign_bit(f) | infinity(f) | BIT64(f->fraction - 1);
    const unsigned rc = (mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT;
    uint64_t *operand[3] = {&x, &y, &z};
    bool denormal = false;
    for (unsigned i = 0; i < 3; i++) {
        if (!is_denormal(f, *operand[i]))
            continue;
        if (mxcsr & MXCSR_DAZ)
            *operand[i] &= sign_bit(f);
        else
            denormal = true;
    }
    const bool undefined =
        (is_infinite(f, x) && !magnitude(f, y)) || (is_infinite(f, y) && !magnitude(f, x));
    if (is_nan(f, x) || is_nan(f, y) || is_nan(f, z)) {
        if (is_signalling(f, x) || is_signalling(f, y) || is_signalling(f, z))
            *flags |= FSW_IE;
        return nan_of(f, x, y, z);
    }
    if (undefined) {
        *flags |= FSW_IE;
        return quiet;
    }
    const bool np = (((x ^ y) & sign_bit(f)) != 0) != negate_product;
    const bool nz = ((z & sign_bit(f)) != 0) != negate_addend;
    const bool infinite = is_infinite(f, x) || is_infinite(f, y);
    if (infinite && is_infinite(f, z) && np != nz) {
        *flags |= FSW_IE;
        return quiet;
    }
    if (denormal)
        *flags |= FSW_DE;
    if (infinite || is_infinite(f, z))
        return ((infinite ? np : nz) ? sign_bit(f) : 0) | infinity(f);

    int xe, ye, ze, e;
    wide m;
    bool negative;
    const uint64_t xm = unpack(f, x, &xe), ym = unpack(f, y, &ye), zm = unpack(f, z, &ze);
    add_exact((wide)xm * ym, xe + ye, np, zm, ze, nz, &m, &e, &negative);
    if (!m) {
        const bool both = (xm && ym) || zm; /* they cancelled */
        negative = both || np != nz ? rc == RC_DOWN : np;
        return negative ? sign_bit(f) : 0;
    }
    return pack(f, negative, m, e, rc, mxcsr, mxcsr & MXCSR_FTZ, flags);
}

uint32_t fp_soft_from_half(uint16_t v, uint32_t *flags)
{
    const uint32_t sign = (uint32_t)(v & 0x8000) << 16;
    const uint64_t m = magnitude(&half, v);
    if (is_nan(&half, v)) {
        if (is_signalling(&half, v))
            *flags |= FSW_IE;
        return sign | 0x7fc00000 | (uint32_t)(m & 0x3ff) << 13;
    }
    if (is_infinite(&half, v))
        return sign | 0x7f800000;
    if (!m)
        return sign;
    int e;
    uint32_t unused = 0;
    const uint64_t s = unpack(&half, v, &e);
    return (uint32_t)pack(&single, sign, s, e, RC_NEAREST, MXCSR_INIT, false, &unused);
}

uint16_t fp_soft_to_half(uint32_t v, unsigned rc, uint32_t mxcsr, uint32_t *flags)
{
    const uint16_t sign = (uint16_t)(v >> 16 & 0x8000);
    if (is_nan(&single, v)) {
        if (is_signalling(&single, v))
            *flags |= FSW_IE;
        return sign | 0x7e00 | (v >> 13 & 0x3ff);
    }
    if (is_infinite(&single, v))
        return sign | 0x7c00;
    if (is_denormal(&single, v)) {
        if (mxcsr & MXCSR_DAZ)
            return sign;
        *flags |= FSW_DE;
    }
    if (!magnitude(&single, v))
        return sign;
    int e;
    const uint64_t s = unpack(&single, v, &e);
    /* MXCSR.FTZ is ignored (SDM 2C "VCVTPS2PH") */
    return (uint16_t)pack(&half, sign, s, e, rc, mxcsr, false, flags);
}
