/*
 * SSE to SSE4.1 and AVX floating point. The arithmetic is fp.h's under the guest's MXCSR; #XM per
 * SDM 1 §11.5 "SSE, SSE2, and SSE3 Exceptions".
 */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/*
 * type r = expr, and with something unmasked #XM instead if expr raises it.
 */
#define FP(type, r, expr)             \
    type r;                           \
    if (likely(fp_all_masked(cpu))) { \
        r = (expr);                   \
    } else {                          \
        fp_trap_begin(cpu);           \
        r = (expr);                   \
        fp_trap_end(cpu);             \
    }

/* The same for one arithmetic operation, whose exceptions depend on its exact result: r = a op b.
 */
#define FP_ARITH(r, lanes, op, a, b, expr)                \
    v128 r;                                               \
    if (likely(fp_all_masked(cpu))) {                     \
        r = (expr);                                       \
    } else {                                              \
        fp_trap_begin(cpu);                               \
        r = (expr);                                       \
        const v128 fp_a[1] = {a}, fp_b[1] = {b};          \
        fp_trap_end_arith(cpu, lanes, op, fp_a, fp_b, 1); \
    }

/*
 * The VEX forms: two lanes take their exceptions together; scalars have the rest of their result
 * from VEX.vvvv.
 */
#define FP_EACH_LANE(expr)                                               \
    for (unsigned lane = 0; lane < lane_count(u); lane++) {              \
        const v128 a __attribute__((unused)) = h.v[lane], b = w.v[lane]; \
        d.v[lane] = (expr);                                              \
    }
#define FP2_V128(name, f)                                               \
    OP(op_v##name)                                                      \
    {                                                                   \
        const struct ymm w = ymm_w(cpu, u), h = ymm_read(cpu, u->vvvv); \
        struct ymm d;                                                   \
        if (likely(fp_all_masked(cpu))) {                               \
            FP_EACH_LANE(f)                                             \
        } else {                                                        \
            fp_trap_begin(cpu);                                         \
            FP_EACH_LANE(f)                                             \
            fp_trap_end(cpu);                                           \
        }                                                               \
        ymm_write(cpu, u, u->reg, d);                                   \
    }
#define FP2_V_SCALAR(name, width, f)           \
    OP(op_v##name)                             \
    {                                          \
        const v128 b = xmm_w##width(cpu, u);   \
        const v128 a = xmm_read(cpu, u->vvvv); \
        FP(v128, r, f)                         \
        xmm_write_vex(cpu, u->reg, r);         \
    }
#define FP2_V32(name, f) FP2_V_SCALAR(name, 32, f)
#define FP2_V64(name, f) FP2_V_SCALAR(name, 64, f)
#define FP2_ARITH_LANES(name, lanes, op, f)                             \
    OP(op_v##name)                                                      \
    {                                                                   \
        const struct ymm w = ymm_w(cpu, u), h = ymm_read(cpu, u->vvvv); \
        struct ymm d;                                                   \
        if (likely(fp_all_masked(cpu))) {                               \
            FP_EACH_LANE(f)                                             \
        } else {                                                        \
            fp_trap_begin(cpu);                                         \
            FP_EACH_LANE(f)                                             \
            fp_trap_end_arith(cpu, lanes, op, h.v, w.v, lane_count(u)); \
        }                                                               \
        ymm_write(cpu, u, u->reg, d);                                   \
    }
#define FP2_ARITH_V_SCALAR(name, width, lanes, op)    \
    OP(op_v##name)                                    \
    {                                                 \
        const v128 b = xmm_w##width(cpu, u);          \
        const v128 a = xmm_read(cpu, u->vvvv);        \
        FP_ARITH(r, lanes, op, a, b, fp_##name(a, b)) \
        xmm_write_vex(cpu, u->reg, r);                \
    }
#define FP2_ARITH_V128(name, lanes, op) FP2_ARITH_LANES(name, lanes, op, fp_##name(a, b))
#define FP2_ARITH_V32(name, lanes, op)  FP2_ARITH_V_SCALAR(name, 32, lanes, op)
#define FP2_ARITH_V64(name, lanes, op)  FP2_ARITH_V_SCALAR(name, 64, lanes, op)

/* r[i] = f(a[i], b[i]) for n lanes, whose exceptions are taken together. */
#define FP_ARITH_N(r, lanes, op, a, b, f, n)            \
    if (unlikely(!fp_all_masked(cpu)))                  \
        fp_trap_begin(cpu);                             \
    {                                                   \
        v128 fp_results[2];                             \
        for (unsigned i = 0; i < (n); i++)              \
            fp_results[i] = f((a)[i], (b)[i]);          \
        if (unlikely(!fp_all_masked(cpu)))              \
            fp_trap_end_arith(cpu, lanes, op, a, b, n); \
        for (unsigned i = 0; i < (n); i++)              \
            (r)[i] = fp_results[i];                     \
    }

/* xmm = f(a = xmm, b = xmm/mem of the named width) */
#define FP2(name, width, f) FP2_SSE(name, width, f) FP2_V##width(name, f)
#define FP2_ARITH(name, width, lanes, op) \
    FP2_ARITH_SSE(name, width, lanes, op) FP2_ARITH_V##width(name, lanes, op)
#define FP2_SSE(name, width, f)               \
    OP(op_##name)                             \
    {                                         \
        const v128 b = xmm_w##width(cpu, u);  \
        const v128 a = xmm_read(cpu, u->reg); \
        FP(v128, r, f)                        \
        xmm_write(cpu, u->reg, r);            \
    }
#define FP2_ARITH_SSE(name, width, lanes, op)         \
    OP(op_##name)                                     \
    {                                                 \
        const v128 b = xmm_w##width(cpu, u);          \
        const v128 a = xmm_read(cpu, u->reg);         \
        FP_ARITH(r, lanes, op, a, b, fp_##name(a, b)) \
        xmm_write(cpu, u->reg, r);                    \
    }
#define FP2_TYPES(stem, op)             \
    FP2_ARITH(stem##ps, 128, FP_PS, op) \
    FP2_ARITH(stem##pd, 128, FP_PD, op) \
    FP2_ARITH(stem##ss, 32, FP_SS, op)  \
    FP2_ARITH(stem##sd, 64, FP_SD, op)
/* Results that cannot be tiny, or are an operand. */
#define FP2_TYPES_EXACT(stem)               \
    FP2(stem##ps, 128, fp_##stem##ps(a, b)) \
    FP2(stem##pd, 128, fp_##stem##pd(a, b)) \
    FP2(stem##ss, 32, fp_##stem##ss(a, b))  \
    FP2(stem##sd, 64, fp_##stem##sd(a, b))
FP2_TYPES(add, FP_ADD)
FP2_TYPES(sub, FP_SUB)
FP2_TYPES(mul, FP_MUL)
FP2_TYPES(div, FP_DIV)
FP2_TYPES_EXACT(min)
FP2_TYPES_EXACT(max)
FP2_TYPES_EXACT(sqrt)
FP2_SSE(cmpps, 128, fp_cmpps(a, b, (unsigned)u->imm))
FP2_SSE(cmppd, 128, fp_cmppd(a, b, (unsigned)u->imm))
FP2_SSE(cmpss, 32, fp_cmpss(a, b, (unsigned)u->imm))
FP2_SSE(cmpsd, 64, fp_cmpsd(a, b, (unsigned)u->imm))

/*
 * The 32 predicates of VEX (SDM 2A "CMPPD" table 3-1). What all of them decide by is worked out
 * with four comparisons in which unordered elements are zeros; a signalling predicate is LT for the
 * flags' sake. Bits of the table: less, equal, greater, unordered.
 */
static const uint8_t cmp_true[16] = {2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15};
#define CMP_SIGNALS 0x6666u /* bit n: predicate n; bit 4 of the predicate inverts it */
#define CMP_VEX(type)                                                                         \
    static v128 cmp_vex_##type(v128 a, v128 b, unsigned predicate)                            \
    {                                                                                         \
        const v128 unordered = fp_cmp##type(a, b, 3), x = a & ~unordered, y = b & ~unordered; \
        if (((CMP_SIGNALS >> (predicate & 15)) & 1) != ((predicate >> 4) & 1))                \
            fp_cmp##type(a, b, 1);                                                            \
        const v128 less = fp_cmp##type(x, y, 1) & ~unordered;                                 \
        const v128 equal = fp_cmp##type(x, y, 0) & ~unordered;                                \
        const unsigned t = cmp_true[predicate & 15];                                          \
        v128 r = {0};                                                                         \
        r |= t & 1 ? less : r;                                                                \
        r |= t & 2 ? equal : r;                                                               \
        r |= t & 4 ? ~(less | equal | unordered) : r;                                         \
        return r | (t & 8 ? unordered : r);                                                   \
    }
CMP_VEX(ps)
CMP_VEX(pd)
static inline v128 low32(v128 v)
{
    return v128_of((uint32_t)v[0], 0);
}
static inline v128 low64(v128 v)
{
    return v128_of(v[0], 0);
}
FP2_V128(cmpps, cmp_vex_ps(a, b, (unsigned)u->imm))
FP2_V128(cmppd, cmp_vex_pd(a, b, (unsigned)u->imm))
FP2_V32(cmpss, vec_blend(a, cmp_vex_ps(low32(a), low32(b), (unsigned)u->imm), 1, 4))
FP2_V64(cmpsd, vec_blend(a, cmp_vex_pd(low64(a), low64(b), (unsigned)u->imm), 1, 8))

/* Approximations raise nothing. */
#define APPROXIMATE_V128(name) YMM2(name, fp_##name(a, b))
#define APPROXIMATE_V32(name)  FP2_V32(name, fp_##name(a, b))
#define APPROXIMATE(name, width)                                     \
    OP(op_##name)                                                    \
    {                                                                \
        const v128 b = xmm_w##width(cpu, u);                         \
        xmm_write(cpu, u->reg, fp_##name(xmm_read(cpu, u->reg), b)); \
    }                                                                \
    APPROXIMATE_V##width(name)
APPROXIMATE(rcpps, 128)
APPROXIMATE(rcpss, 32)
APPROXIMATE(rsqrtps, 128)
APPROXIMATE(rsqrtss, 32)

/* --- SSE3 and SSE4.1, composed of the above --- */

/* Subtract even elements, add odd ones; zeros stand in for the others and raise nothing. */
static inline v128 fp_addsubps(v128 a, v128 b)
{
    const v128 odd = v128_of(UINT64_C(0xffffffff00000000), UINT64_C(0xffffffff00000000));
    return v128_select(odd, fp_addps(a & odd, b & odd), fp_subps(a & ~odd, b & ~odd));
}
static inline v128 fp_addsubpd(v128 a, v128 b)
{
    return v128_of(fp_subsd(a, b)[0], fp_addsd(v128_of(a[1], 0), v128_of(b[1], 0))[0]);
}
FP2_ARITH(addsubps, 128, FP_PS, FP_ADDSUB)
FP2_ARITH(addsubpd, 128, FP_PD, FP_ADDSUB)

/* Even elements of a, then of b, with the odd ones. */
#define HORIZONTAL(name, lanes, op, shuffle, even, odd, operation)              \
    OP(op_##name)                                                               \
    {                                                                           \
        const v128 b = xmm_w128(cpu, u), a = xmm_read(cpu, u->reg);             \
        const v128 x = vec_##shuffle(a, b, even), y = vec_##shuffle(a, b, odd); \
        FP_ARITH(r, lanes, op, x, y, fp_##operation(x, y))                      \
        xmm_write(cpu, u->reg, r);                                              \
    }                                                                           \
    OP(op_v##name)                                                              \
    {                                                                           \
        const struct ymm b = ymm_w(cpu, u), a = ymm_read(cpu, u->vvvv);         \
        struct ymm x, y, d;                                                     \
        for (unsigned i = 0; i < lane_count(u); i++) {                          \
            x.v[i] = vec_##shuffle(a.v[i], b.v[i], even);                       \
            y.v[i] = vec_##shuffle(a.v[i], b.v[i], odd);                        \
        }                                                                       \
        FP_ARITH_N(d.v, lanes, op, x.v, y.v, fp_##operation, lane_count(u))     \
        ymm_write(cpu, u, u->reg, d);                                           \
    }
HORIZONTAL(haddps, FP_PS, FP_ADD, shufps, 0x88, 0xdd, addps)
HORIZONTAL(hsubps, FP_PS, FP_SUB, shufps, 0x88, 0xdd, subps)
HORIZONTAL(haddpd, FP_PD, FP_ADD, shufpd, 0, 3, addpd)
HORIZONTAL(hsubpd, FP_PD, FP_SUB, shufpd, 0, 3, subpd)

/* Imm: elements to multiply 7:4, elements to receive the sum 3:0. SDM 2A "DPPS", "DPPD". Each
 * step raises its own exceptions. d, a, b: n lanes. */
static inline void dot_ps(struct cpu *cpu, v128 *d, v128 *a, v128 *b, unsigned imm, unsigned n)
{
    const v128 none = {0};
    v128 p[2];
    for (unsigned i = 0; i < n; i++) {
        b[i] = vec_blend(none, b[i], imm >> 4, 4);
        a[i] = vec_blend(none, a[i], imm >> 4, 4);
    }
    FP_ARITH_N(p, FP_PS, FP_MUL, a, b, fp_mulps, n)
    for (unsigned i = 0; i < n; i++) {
        a[i] = vec_shufps(p[i], none, 0x08);
        b[i] = vec_shufps(p[i], none, 0x0d);
    }
    FP_ARITH_N(p, FP_PS, FP_ADD, a, b, fp_addps, n)
    for (unsigned i = 0; i < n; i++) {
        a[i] = v128_of((uint32_t)p[i][0], 0);
        b[i] = v128_of(p[i][0] >> 32, 0);
    }
    FP_ARITH_N(p, FP_PS, FP_ADD, a, b, fp_addps, n)
    for (unsigned i = 0; i < n; i++)
        d[i] = vec_blend(none, vec_pshufd(p[i], 0), imm & 15, 4);
}
OP(op_dpps)
{
    v128 b = xmm_w128(cpu, u), a = xmm_read(cpu, u->reg), d;
    dot_ps(cpu, &d, &a, &b, (unsigned)u->imm, 1);
    xmm_write(cpu, u->reg, d);
}
OP(op_vdpps)
{
    struct ymm b = ymm_w(cpu, u), a = ymm_read(cpu, u->vvvv), d;
    dot_ps(cpu, d.v, a.v, b.v, (unsigned)u->imm, lane_count(u));
    ymm_write(cpu, u, u->reg, d);
}
static inline v128 dot_pd(struct cpu *cpu, v128 a, v128 b, unsigned imm)
{
    const v128 none = {0};
    b = vec_blend(none, b, (imm >> 4) & 3, 8);
    a = vec_blend(none, a, (imm >> 4) & 3, 8);
    FP_ARITH(p, FP_PD, FP_MUL, a, b, fp_mulpd(a, b))
    const v128 hi = v128_of(p[1], 0);
    FP_ARITH(sum, FP_SD, FP_ADD, p, hi, fp_addsd(p, hi))
    return vec_blend(none, v128_of(sum[0], sum[0]), imm & 3, 8);
}
OP(op_dppd)
{
    const v128 b = xmm_w128(cpu, u);
    xmm_write(cpu, u->reg, dot_pd(cpu, xmm_read(cpu, u->reg), b, (unsigned)u->imm));
}
OP(op_vdppd)
{
    const v128 b = xmm_w128_unaligned(cpu, u);
    xmm_write_vex(cpu, u->reg, dot_pd(cpu, xmm_read(cpu, u->vvvv), b, (unsigned)u->imm));
}

/* --- ROUND: no unit needed, only bits --- */

enum { ROUND_NEAREST, ROUND_DOWN, ROUND_UP, ROUND_ZERO };
enum { ROUND_USE_MXCSR = 4, ROUND_NO_INEXACT = 8 };

/* v rounded to an integral value; m bits of fraction, e of exponent. *flags gathers IE and PE. */
static inline uint64_t round_bits(uint64_t v, unsigned m, unsigned e, unsigned mode, bool daz,
                                  uint32_t *flags)
{
    const uint64_t sign = v & BIT64(m + e), magnitude = v ^ sign;
    const unsigned exponent = (unsigned)(magnitude >> m), bias = (1u << (e - 1)) - 1;
    if (exponent == (1u << e) - 1) { /* infinity, NaN */
        if (bits(v, m - 1, 0) && !(v & BIT64(m - 1)))
            *flags |= FSW_IE;
        return bits(v, m - 1, 0) ? v | BIT64(m - 1) : v;
    }
    if (exponent >= bias + m || magnitude == 0)
        return v;
    if (exponent == 0 && daz)
        return sign;
    const bool away = mode == (sign ? ROUND_DOWN : ROUND_UP);
    if (exponent < bias) { /* below one */
        *flags |= FSW_PE;
        const uint64_t one = (uint64_t)bias << m, half = (uint64_t)(bias - 1) << m;
        return sign | (away || (mode == ROUND_NEAREST && magnitude > half) ? one : 0);
    }
    const uint64_t unit = BIT64(m - (exponent - bias)), fraction = v & (unit - 1);
    if (!fraction)
        return v;
    *flags |= FSW_PE;
    /* a carry out of the fraction goes to the exponent, as it should */
    const uint64_t down = v - fraction;
    const bool odd = unit == BIT64(m) || (v & unit);
    const bool up =
        mode == ROUND_NEAREST ? fraction > unit / 2 || (fraction == unit / 2 && odd) : away;
    return up ? down + unit : down;
}

static inline v128 round_lanes(const struct cpu *cpu, const struct insn *u, v128 a, v128 b,
                               enum fp_lanes lanes, uint32_t *raised)
{
    const unsigned imm = (unsigned)u->imm;
    const unsigned mode =
        imm & ROUND_USE_MXCSR ? (cpu->mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT : imm & 3;
    const bool daz = cpu->mxcsr & MXCSR_DAZ;
    const union chunk s = {.v = b};
    union chunk d = {.v = a};
    uint32_t flags = 0;
    for (unsigned i = 0; i < (lanes == FP_PS ? 4 : lanes == FP_SS ? 1 : 0); i++)
        d.d[i] = (uint32_t)round_bits(s.d[i], 23, 8, mode, daz, &flags);
    for (unsigned i = 0; i < (lanes == FP_PD ? 2 : lanes == FP_SD ? 1 : 0); i++)
        d.q[i] = round_bits(s.q[i], 52, 11, mode, daz, &flags);
    if (imm & ROUND_NO_INEXACT)
        flags &= ~(uint32_t)FSW_PE;
    *raised |= flags;
    return d.v;
}
#define ROUND(name, width, lanes)                                                    \
    OP(op_##name)                                                                    \
    {                                                                                \
        uint32_t flags = 0;                                                          \
        const v128 b = xmm_w##width(cpu, u);                                         \
        const v128 d = round_lanes(cpu, u, xmm_read(cpu, u->reg), b, lanes, &flags); \
        if (flags)                                                                   \
            fp_raise(cpu, flags);                                                    \
        xmm_write(cpu, u->reg, d);                                                   \
    }                                                                                \
    ROUND_V##width(name, lanes)
#define ROUND_V128(name, lanes)                                          \
    OP(op_v##name)                                                       \
    {                                                                    \
        uint32_t flags = 0;                                              \
        struct ymm d = ymm_w(cpu, u);                                    \
        for (unsigned i = 0; i < lane_count(u); i++)                     \
            d.v[i] = round_lanes(cpu, u, d.v[i], d.v[i], lanes, &flags); \
        if (flags)                                                       \
            fp_raise(cpu, flags);                                        \
        ymm_write(cpu, u, u->reg, d);                                    \
    }
#define ROUND_V_SCALAR(name, width, lanes)                                            \
    OP(op_v##name)                                                                    \
    {                                                                                 \
        uint32_t flags = 0;                                                           \
        const v128 b = xmm_w##width(cpu, u);                                          \
        const v128 d = round_lanes(cpu, u, xmm_read(cpu, u->vvvv), b, lanes, &flags); \
        if (flags)                                                                    \
            fp_raise(cpu, flags);                                                     \
        xmm_write_vex(cpu, u->reg, d);                                                \
    }
#define ROUND_V32(name, lanes) ROUND_V_SCALAR(name, 32, lanes)
#define ROUND_V64(name, lanes) ROUND_V_SCALAR(name, 64, lanes)
ROUND(roundps, 128, FP_PS)
ROUND(roundpd, 128, FP_PD)
ROUND(roundss, 32, FP_SS)
ROUND(roundsd, 64, FP_SD)

/* --- comparison into flags --- */

#define COMPARE(name, width)                                            \
    OP(op_##name)                                                       \
    {                                                                   \
        const v128 b = xmm_w##width(cpu, u), a = xmm_read(cpu, u->reg); \
        FP(uint32_t, flags, fp_##name(a, b))                            \
        cpu->flag_z = !(flags & FLAG_ZF);                               \
        cpu->flag_sp = !(flags & FLAG_PF);                              \
        cpu->flag_aux = flags & FLAG_CF ? AUX_CF : 0;                   \
    }
COMPARE(comiss, 32)
COMPARE(ucomiss, 32)
COMPARE(comisd, 64)
COMPARE(ucomisd, 64)

/* --- conversion --- */

/* VEX forms whose elements change size: from the halves of b, or to the halves of the result. */
#define WIDEN(name)                                                 \
    OP(op_v##name)                                                  \
    {                                                               \
        const v128 b = ymm_w_half(cpu, u);                          \
        const struct ymm w = {{b, v128_of(b[1], 0)}}, h = {{b, b}}; \
        struct ymm d;                                               \
        if (unlikely(!fp_all_masked(cpu)))                          \
            fp_trap_begin(cpu);                                     \
        FP_EACH_LANE(fp_##name(a, b))                               \
        if (unlikely(!fp_all_masked(cpu)))                          \
            fp_trap_end(cpu);                                       \
        ymm_write(cpu, u, u->reg, d);                               \
    }
#define NARROW(name, trap_end)                                     \
    OP(op_v##name)                                                 \
    {                                                              \
        const struct ymm w = ymm_w(cpu, u), h = w;                 \
        struct ymm d = {{{0}, {0}}};                               \
        if (unlikely(!fp_all_masked(cpu)))                         \
            fp_trap_begin(cpu);                                    \
        FP_EACH_LANE(fp_##name(a, b))                              \
        if (unlikely(!fp_all_masked(cpu)))                         \
            trap_end;                                              \
        xmm_write_vex(cpu, u->reg, v128_of(d.v[0][0], d.v[1][0])); \
    }

FP2_SSE(cvtps2pd, 64, fp_cvtps2pd(a, b))
WIDEN(cvtps2pd)
FP2_ARITH_SSE(cvtpd2ps, 128, FP_PS, FP_NARROW)
NARROW(cvtpd2ps, fp_trap_end_arith(cpu, FP_PS, FP_NARROW, w.v, w.v, lane_count(u)))
FP2(cvtss2sd, 32, fp_cvtss2sd(a, b))
FP2_ARITH(cvtsd2ss, 64, FP_SS, FP_NARROW)
FP2(cvtdq2ps, 128, fp_cvtdq2ps(a, b))
FP2_SSE(cvtdq2pd, 64, fp_cvtdq2pd(a, b))
WIDEN(cvtdq2pd)
FP2(cvtps2dq, 128, fp_cvtps2dq(a, b))
FP2(cvttps2dq, 128, fp_cvttps2dq(a, b))
FP2_SSE(cvtpd2dq, 128, fp_cvtpd2dq(a, b))
NARROW(cvtpd2dq, fp_trap_end(cpu))
FP2_SSE(cvttpd2dq, 128, fp_cvttpd2dq(a, b))
NARROW(cvttpd2dq, fp_trap_end(cpu))

/* Between general registers and scalars; REX.W makes the integer 64 bits. */
#define FROM_INT(name)                                                            \
    OP(op_##name)                                                                 \
    {                                                                             \
        const bool wide = u->rex & 8;                                             \
        const uint64_t v = wide ? gpr_e64(cpu, u) : gpr_e32(cpu, u);              \
        const v128 a = xmm_read(cpu, u->reg);                                     \
        FP(v128, r, wide ? fp_##name##_64(a, v) : fp_##name##_32(a, (uint32_t)v)) \
        xmm_write(cpu, u->reg, r);                                                \
    }                                                                             \
    OP(op_v##name)                                                                \
    {                                                                             \
        const bool wide = u->rex & 8;                                             \
        const uint64_t v = wide ? gpr_e64(cpu, u) : gpr_e32(cpu, u);              \
        const v128 a = xmm_read(cpu, u->vvvv);                                    \
        FP(v128, r, wide ? fp_##name##_64(a, v) : fp_##name##_32(a, (uint32_t)v)) \
        xmm_write_vex(cpu, u->reg, r);                                            \
    }
FROM_INT(cvtsi2ss)
FROM_INT(cvtsi2sd)
#define TO_INT(name, width)                                                 \
    OP(op_##name)                                                           \
    {                                                                       \
        const v128 b = xmm_w##width(cpu, u);                                \
        FP(uint64_t, r, u->rex & 8 ? fp_##name##_64(b) : fp_##name##_32(b)) \
        cpu->r[u->reg] = r;                                                 \
    }
TO_INT(cvtss2si, 32)
TO_INT(cvttss2si, 32)
TO_INT(cvtsd2si, 64)
TO_INT(cvttsd2si, 64)

/*
 * Between MMX and XMM registers. Two elements only: the others are zeros, which convert without
 * exceptions. The change to MMX state happens even if #XM follows (seen on AMD family 1Ah).
 */
OP(op_cvtpi2ps)
{
    if (!u->mem)
        mmx_ready(cpu);
    const v128 b = mmx_q64(cpu, u), a = xmm_read(cpu, u->reg);
    if (!u->mem)
        mmx_enter(cpu);
    FP(v128, r, fp_cvtdq2ps(a, b))
    xmm_write(cpu, u->reg, v128_of(r[0], a[1]));
}
OP(op_cvtpi2pd)
{
    if (!u->mem)
        mmx_ready(cpu);
    const v128 b = mmx_q64(cpu, u);
    if (!u->mem)
        mmx_enter(cpu);
    xmm_write(cpu, u->reg, fp_cvtdq2pd(b, b));
}
#define TO_MMX(name, width, f)               \
    OP(op_##name)                            \
    {                                        \
        mmx_ready(cpu);                      \
        const v128 b = xmm_w##width(cpu, u); \
        mmx_enter(cpu);                      \
        FP(v128, r, f)                       \
        mmx_write(cpu, u->reg, r[0]);        \
    }
TO_MMX(cvtps2pi, 64, fp_cvtps2dq(b, v128_of(b[0], 0)))
TO_MMX(cvttps2pi, 64, fp_cvttps2dq(b, v128_of(b[0], 0)))
TO_MMX(cvtpd2pi, 128, fp_cvtpd2dq(b, b))
TO_MMX(cvttpd2pi, 128, fp_cvttpd2dq(b, b))

/* What stands in for AVX handlers in blocks decoded under MODE_NO_AVX. SDM 2A table 2-17 */
OP(op_avx_off)
{
    if (!(cpu->cr4 & CR4_OSXSAVE) || (~cpu->xcr0 & (XCR0_SSE | XCR0_AVX)))
        cpu_ud(cpu, REASON_UD_SSE);
    cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
}

/* What stands in for SSE handlers in blocks decoded under MODE_NO_SSE. SDM 3A §13.1.3 */
OP(op_sse_off)
{
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
        cpu_ud(cpu, REASON_UD_SSE);
    cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
}
