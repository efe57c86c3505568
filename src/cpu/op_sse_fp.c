/*
 * SSE to SSE4.1 floating point. The arithmetic is fp.h's under the guest's MXCSR; #XM per SDM 1
 * §11.5 "SSE, SSE2, and SSE3 Exceptions".
 */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/*
 * type r = expr, and with something unmasked #XM instead if expr raises it. lanes: what in r
 * (a v128) can be tiny.
 */
#define FP(type, r, lanes, expr)      \
    type r;                           \
    if (likely(fp_all_masked(cpu))) { \
        r = (expr);                   \
    } else {                          \
        fp_trap_begin(cpu);           \
        r = (expr);                   \
        fp_trap_end(cpu, &r, lanes);  \
    }

/* xmm = f(a = xmm, b = xmm/mem of the named width) */
#define FP2(name, width, lanes, f)            \
    OP(op_##name)                             \
    {                                         \
        const v128 b = xmm_w##width(cpu, u);  \
        const v128 a = xmm_read(cpu, u->reg); \
        FP(v128, r, lanes, f)                 \
        xmm_write(cpu, u->reg, r);            \
    }
#define FP2_TYPES(stem)                            \
    FP2(stem##ps, 128, FP_PS, fp_##stem##ps(a, b)) \
    FP2(stem##pd, 128, FP_PD, fp_##stem##pd(a, b)) \
    FP2(stem##ss, 32, FP_SS, fp_##stem##ss(a, b))  \
    FP2(stem##sd, 64, FP_SD, fp_##stem##sd(a, b))
/* Results that cannot be tiny, or are an operand. */
#define FP2_TYPES_EXACT(stem)                        \
    FP2(stem##ps, 128, FP_NONE, fp_##stem##ps(a, b)) \
    FP2(stem##pd, 128, FP_NONE, fp_##stem##pd(a, b)) \
    FP2(stem##ss, 32, FP_NONE, fp_##stem##ss(a, b))  \
    FP2(stem##sd, 64, FP_NONE, fp_##stem##sd(a, b))
FP2_TYPES(add)
FP2_TYPES(sub)
FP2_TYPES(mul)
FP2_TYPES(div)
FP2_TYPES_EXACT(min)
FP2_TYPES_EXACT(max)
FP2_TYPES_EXACT(sqrt)
FP2(cmpps, 128, FP_NONE, fp_cmpps(a, b, (unsigned)u->imm))
FP2(cmppd, 128, FP_NONE, fp_cmppd(a, b, (unsigned)u->imm))
FP2(cmpss, 32, FP_NONE, fp_cmpss(a, b, (unsigned)u->imm))
FP2(cmpsd, 64, FP_NONE, fp_cmpsd(a, b, (unsigned)u->imm))

/* Approximations raise nothing. */
#define APPROXIMATE(name, width)                                     \
    OP(op_##name)                                                    \
    {                                                                \
        const v128 b = xmm_w##width(cpu, u);                         \
        xmm_write(cpu, u->reg, fp_##name(xmm_read(cpu, u->reg), b)); \
    }
APPROXIMATE(rcpps, 128)
APPROXIMATE(rcpss, 32)
APPROXIMATE(rsqrtps, 128)
APPROXIMATE(rsqrtss, 32)

/* --- SSE3 and SSE4.1, composed of the above --- */

/* Subtract even elements, add odd ones; zeros stand in for the others and raise nothing. */
static inline v128 addsubps(v128 a, v128 b)
{
    const v128 odd = v128_of(UINT64_C(0xffffffff00000000), UINT64_C(0xffffffff00000000));
    return fp_addps(a & odd, b & odd) | fp_subps(a & ~odd, b & ~odd);
}
static inline v128 addsubpd(v128 a, v128 b)
{
    return v128_of(fp_subsd(a, b)[0], fp_addsd(v128_of(a[1], 0), v128_of(b[1], 0))[0]);
}
FP2(addsubps, 128, FP_PS, addsubps(a, b))
FP2(addsubpd, 128, FP_PD, addsubpd(a, b))
FP2(haddps, 128, FP_PS, fp_addps(vec_shufps(a, b, 0x88), vec_shufps(a, b, 0xdd)))
FP2(hsubps, 128, FP_PS, fp_subps(vec_shufps(a, b, 0x88), vec_shufps(a, b, 0xdd)))
FP2(haddpd, 128, FP_PD, fp_addpd(vec_shufpd(a, b, 0), vec_shufpd(a, b, 3)))
FP2(hsubpd, 128, FP_PD, fp_subpd(vec_shufpd(a, b, 0), vec_shufpd(a, b, 3)))

/* Imm: elements to multiply 7:4, elements to receive the sum 3:0. SDM 2A "DPPS", "DPPD" */
static inline v128 dpps(v128 a, v128 b, unsigned imm)
{
    const v128 none = {0};
    const v128 p =
        vec_blend(none, fp_mulps(vec_blend(none, a, imm >> 4, 4), vec_blend(none, b, imm >> 4, 4)),
                  imm >> 4, 4);
    const v128 pairs = fp_addps(vec_shufps(p, none, 0x08), vec_shufps(p, none, 0x0d));
    const v128 sum = fp_addps(v128_of((uint32_t)pairs[0], 0), v128_of(pairs[0] >> 32, 0));
    return vec_blend(none, vec_pshufd(sum, 0), imm & 15, 4);
}
static inline v128 dppd(v128 a, v128 b, unsigned imm)
{
    const v128 none = {0};
    const v128 p = vec_blend(
        none,
        fp_mulpd(vec_blend(none, a, (imm >> 4) & 3, 8), vec_blend(none, b, (imm >> 4) & 3, 8)),
        (imm >> 4) & 3, 8);
    const v128 sum = fp_addsd(v128_of(p[0], 0), v128_of(p[1], 0));
    return vec_blend(none, v128_of(sum[0], sum[0]), imm & 3, 8);
}
FP2(dpps, 128, FP_PS, dpps(a, b, (unsigned)u->imm))
FP2(dppd, 128, FP_PD, dppd(a, b, (unsigned)u->imm))

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

static inline v128 round_lanes(struct cpu *cpu, const struct insn *u, v128 a, v128 b,
                               enum fp_lanes lanes)
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
    if (flags)
        fp_raise(cpu, flags);
    return d.v;
}
#define ROUND(name, width, lanes)                                                     \
    OP(op_##name)                                                                     \
    {                                                                                 \
        const v128 b = xmm_w##width(cpu, u);                                          \
        xmm_write(cpu, u->reg, round_lanes(cpu, u, xmm_read(cpu, u->reg), b, lanes)); \
    }
ROUND(roundps, 128, FP_PS)
ROUND(roundpd, 128, FP_PD)
ROUND(roundss, 32, FP_SS)
ROUND(roundsd, 64, FP_SD)

/* --- comparison into flags --- */

#define COMPARE(name, width)                                            \
    OP(op_##name)                                                       \
    {                                                                   \
        const v128 b = xmm_w##width(cpu, u), a = xmm_read(cpu, u->reg); \
        FP(uint32_t, flags, FP_NONE, fp_##name(a, b))                   \
        cpu->flag_z = !(flags & FLAG_ZF);                               \
        cpu->flag_sp = !(flags & FLAG_PF);                              \
        cpu->flag_aux = flags & FLAG_CF ? AUX_CF : 0;                   \
    }
COMPARE(comiss, 32)
COMPARE(ucomiss, 32)
COMPARE(comisd, 64)
COMPARE(ucomisd, 64)

/* --- conversion --- */

FP2(cvtps2pd, 64, FP_NONE, fp_cvtps2pd(a, b))
FP2(cvtpd2ps, 128, FP_PS, fp_cvtpd2ps(a, b))
FP2(cvtss2sd, 32, FP_NONE, fp_cvtss2sd(a, b))
FP2(cvtsd2ss, 64, FP_SS, fp_cvtsd2ss(a, b))
FP2(cvtdq2ps, 128, FP_NONE, fp_cvtdq2ps(a, b))
FP2(cvtdq2pd, 64, FP_NONE, fp_cvtdq2pd(a, b))
FP2(cvtps2dq, 128, FP_NONE, fp_cvtps2dq(a, b))
FP2(cvttps2dq, 128, FP_NONE, fp_cvttps2dq(a, b))
FP2(cvtpd2dq, 128, FP_NONE, fp_cvtpd2dq(a, b))
FP2(cvttpd2dq, 128, FP_NONE, fp_cvttpd2dq(a, b))

/* Between general registers and scalars; REX.W makes the integer 64 bits. */
#define FROM_INT(name)                                                                     \
    OP(op_##name)                                                                          \
    {                                                                                      \
        const bool wide = u->rex & 8;                                                      \
        const uint64_t v = wide ? gpr_e64(cpu, u) : gpr_e32(cpu, u);                       \
        const v128 a = xmm_read(cpu, u->reg);                                              \
        FP(v128, r, FP_NONE, wide ? fp_##name##_64(a, v) : fp_##name##_32(a, (uint32_t)v)) \
        xmm_write(cpu, u->reg, r);                                                         \
    }
FROM_INT(cvtsi2ss)
FROM_INT(cvtsi2sd)
#define TO_INT(name, width)                                                          \
    OP(op_##name)                                                                    \
    {                                                                                \
        const v128 b = xmm_w##width(cpu, u);                                         \
        FP(uint64_t, r, FP_NONE, u->rex & 8 ? fp_##name##_64(b) : fp_##name##_32(b)) \
        cpu->r[u->reg] = r;                                                          \
    }
TO_INT(cvtss2si, 32)
TO_INT(cvttss2si, 32)
TO_INT(cvtsd2si, 64)
TO_INT(cvttsd2si, 64)

/*
 * Between MMX and XMM registers. Two elements only: the others are zeros, which convert without
 * exceptions.
 */
OP(op_cvtpi2ps)
{
    mmx_ready(cpu);
    const v128 b = mmx_q64(cpu, u), a = xmm_read(cpu, u->reg);
    FP(v128, r, FP_NONE, fp_cvtdq2ps(a, b))
    if (!u->mem)
        mmx_enter(cpu);
    xmm_write(cpu, u->reg, v128_of(r[0], a[1]));
}
OP(op_cvtpi2pd)
{
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
        FP(v128, r, FP_NONE, f)              \
        mmx_enter(cpu);                      \
        mmx_write(cpu, u->reg, r[0]);        \
    }
TO_MMX(cvtps2pi, 64, fp_cvtps2dq(b, v128_of(b[0], 0)))
TO_MMX(cvttps2pi, 64, fp_cvttps2dq(b, v128_of(b[0], 0)))
TO_MMX(cvtpd2pi, 128, fp_cvtpd2dq(b, b))
TO_MMX(cvttpd2pi, 128, fp_cvttpd2dq(b, b))

/* What stands in for SSE handlers in blocks decoded under MODE_NO_SSE. SDM 3A §13.1.3 */
OP(op_sse_off)
{
    if ((cpu->cr0 & CR0_EM) || !(cpu->cr4 & CR4_OSFXSR))
        cpu_ud(cpu, REASON_UD_SSE);
    cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
}
