/*
 * 128-bit values and what SIMD integer instructions do to them: pure functions of one or two
 * 16-byte chunks. SSE applies them to one chunk; AVX and AVX-512 forms will to two and four (their
 * lanes are these chunks), MMX forms to the low eight bytes with the upper ones zero, which holds
 * for all that work element by element (the others say so).
 *
 * SDM 2A/2B under each mnemonic. vec_NAME is the operation of instruction NAME.
 */
#ifndef VITRINE_CPU_VEC_H
#define VITRINE_CPU_VEC_H

#include "core/types.h"

/* v128 is the common currency; the others are for arithmetic on elements. */
typedef uint64_t v128 __attribute__((vector_size(16)));
typedef uint8_t v16u8 __attribute__((vector_size(16)));
typedef int8_t v16s8 __attribute__((vector_size(16)));
typedef uint16_t v8u16 __attribute__((vector_size(16)));
typedef int16_t v8s16 __attribute__((vector_size(16)));
typedef uint32_t v4u32 __attribute__((vector_size(16)));
typedef int32_t v4s32 __attribute__((vector_size(16)));
typedef int64_t v2s64 __attribute__((vector_size(16)));

/* The same for code that walks elements. */
union chunk {
    v128 v;
    uint8_t b[16];
    uint16_t w[8];
    uint32_t d[4];
    uint64_t q[2];
    int8_t sb[16];
    int16_t sw[8];
    int32_t sd[4];
    int64_t sq[2];
};

static inline v128 v128_of(uint64_t lo, uint64_t hi)
{
    return (v128){lo, hi};
}
static inline v128 v128_load(const void *p)
{
    v128 v;
    memcpy(&v, p, sizeof v);
    return v;
}
/* Bits of a where mask is set, of b elsewhere. */
static inline v128 v128_select(v128 mask, v128 a, v128 b)
{
    return (a & mask) | (b & ~mask);
}

/* --- element by element: vector arithmetic --- */
#define VEC2(name, type, expr)                      \
    static inline v128 vec_##name(v128 va, v128 vb) \
    {                                               \
        const type a = (type)va, b = (type)vb;      \
        return (v128)(expr);                        \
    }
VEC2(paddb, v16u8, a + b)
VEC2(paddw, v8u16, a + b)
VEC2(paddd, v4u32, a + b)
VEC2(paddq, v128, a + b)
VEC2(psubb, v16u8, a - b)
VEC2(psubw, v8u16, a - b)
VEC2(psubd, v4u32, a - b)
VEC2(psubq, v128, a - b)
VEC2(pand, v128, a &b)
VEC2(pandn, v128, ~a &b)
VEC2(por, v128, a | b)
VEC2(pxor, v128, a ^ b)
VEC2(pcmpeqb, v16u8, a == b)
VEC2(pcmpeqw, v8u16, a == b)
VEC2(pcmpeqd, v4u32, a == b)
VEC2(pcmpeqq, v128, a == b)
VEC2(pcmpgtb, v16s8, a > b)
VEC2(pcmpgtw, v8s16, a > b)
VEC2(pcmpgtd, v4s32, a > b)
VEC2(pcmpgtq, v2s64, a > b)
VEC2(pmullw, v8u16, a *b)
VEC2(pmulld, v4u32, a *b)
VEC2(pmuludq, v128, (a & 0xffffffff) * (b & 0xffffffff))
VEC2(pmuldq, v128, (v128)((v2s64)(a << 32) >> 32) * (v128)((v2s64)(b << 32) >> 32))
VEC2(pavgb, v16u8, (a | b) - ((a ^ b) >> 1))
VEC2(pavgw, v8u16, (a | b) - ((a ^ b) >> 1))
VEC2(paddusb, v16u8, (a + b) | (v16u8)(a + b < a))
VEC2(paddusw, v8u16, (a + b) | (v8u16)(a + b < a))
VEC2(psubusb, v16u8, (a - b) & (v16u8)(a > b))
VEC2(psubusw, v8u16, (a - b) & (v8u16)(a > b))
#undef VEC2

/* Saturation: where the signed result overflowed, the extreme of a's sign. */
#define VEC_SATURATE(name, u, s, max, op, overflow)                            \
    static inline v128 vec_##name(v128 va, v128 vb)                            \
    {                                                                          \
        const u a = (u)va, b = (u)vb, r = a op b;                              \
        const u extreme = (u)((s)a < 0) ^ (max);                               \
        return v128_select((v128)((s)(overflow) < 0), (v128)extreme, (v128)r); \
    }
VEC_SATURATE(paddsb, v16u8, v16s8, (uint8_t)INT8_MAX, +, ~(a ^ b) & (a ^ r))
VEC_SATURATE(paddsw, v8u16, v8s16, (uint16_t)INT16_MAX, +, ~(a ^ b) & (a ^ r))
VEC_SATURATE(psubsb, v16u8, v16s8, (uint8_t)INT8_MAX, -, (a ^ b) & (a ^ r))
VEC_SATURATE(psubsw, v8u16, v8s16, (uint16_t)INT16_MAX, -, (a ^ b) & (a ^ r))
#undef VEC_SATURATE

#define VEC_MINMAX(name, type, op)                                \
    static inline v128 vec_##name(v128 va, v128 vb)               \
    {                                                             \
        return v128_select((v128)((type)va op(type) vb), va, vb); \
    }
VEC_MINMAX(pminsb, v16s8, <)
VEC_MINMAX(pminsw, v8s16, <)
VEC_MINMAX(pminsd, v4s32, <)
VEC_MINMAX(pminub, v16u8, <)
VEC_MINMAX(pminuw, v8u16, <)
VEC_MINMAX(pminud, v4u32, <)
VEC_MINMAX(pmaxsb, v16s8, >)
VEC_MINMAX(pmaxsw, v8s16, >)
VEC_MINMAX(pmaxsd, v4s32, >)
VEC_MINMAX(pmaxub, v16u8, >)
VEC_MINMAX(pmaxuw, v8u16, >)
VEC_MINMAX(pmaxud, v4u32, >)
#undef VEC_MINMAX

/* b's sign applied to a: -a, 0 or a. */
#define VEC_SIGN(name, u, s)                                          \
    static inline v128 vec_##name(v128 va, v128 vb)                   \
    {                                                                 \
        const u a = (u)va, negative = (u)((s)vb < 0);                 \
        return (v128)(((a ^ negative) - negative) & (u)((u)vb != 0)); \
    }
VEC_SIGN(psignb, v16u8, v16s8)
VEC_SIGN(psignw, v8u16, v8s16)
VEC_SIGN(psignd, v4u32, v4s32)
#undef VEC_SIGN
#define VEC_ABS(name, u, s)                           \
    static inline v128 vec_##name(v128 vb)            \
    {                                                 \
        const u negative = (u)((s)vb < 0);            \
        return (v128)(((u)vb ^ negative) - negative); \
    }
VEC_ABS(pabsb, v16u8, v16s8)
VEC_ABS(pabsw, v8u16, v8s16)
VEC_ABS(pabsd, v4u32, v4s32)
#undef VEC_ABS

/* Shifts of all elements by one count, which is not taken modulo the width. */
#define VEC_SHIFT(name, type, element, bits, op)                       \
    static inline v128 vec_##name(v128 a, uint64_t n)                  \
    {                                                                  \
        return n < (bits) ? (v128)((type)a op(element) n) : (v128){0}; \
    }
VEC_SHIFT(psllw, v8u16, uint16_t, 16, <<)
VEC_SHIFT(pslld, v4u32, uint32_t, 32, <<)
VEC_SHIFT(psllq, v128, uint64_t, 64, <<)
VEC_SHIFT(psrlw, v8u16, uint16_t, 16, >>)
VEC_SHIFT(psrld, v4u32, uint32_t, 32, >>)
VEC_SHIFT(psrlq, v128, uint64_t, 64, >>)
#undef VEC_SHIFT
static inline v128 vec_psraw(v128 a, uint64_t n)
{
    return (v128)((v8s16)a >> (int16_t)MIN(n, 15));
}
static inline v128 vec_psrad(v128 a, uint64_t n)
{
    return (v128)((v4s32)a >> (int32_t)MIN(n, 31));
}

/* --- element by element, or in pairs of elements: loops over the destination --- */
#define VEC_EACH(name, field, expr)                        \
    static inline v128 vec_##name(v128 va, v128 vb)        \
    {                                                      \
        const union chunk a = {.v = va}, b = {.v = vb};    \
        union chunk d;                                     \
        for (unsigned i = 0; i < ARRAY_SIZE(d.field); i++) \
            d.field[i] = (expr);                           \
        return d.v;                                        \
    }
static inline int16_t sat_s16(int32_t v)
{
    return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}
VEC_EACH(pmulhw, sw, (int16_t)((a.sw[i] * b.sw[i]) >> 16))
VEC_EACH(pmulhuw, w, (uint16_t)(((uint32_t)a.w[i] * b.w[i]) >> 16))
VEC_EACH(pmulhrsw, sw, (int16_t)((((a.sw[i] * b.sw[i]) >> 14) + 1) >> 1))
VEC_EACH(pmaddubsw, sw, sat_s16(a.b[2 * i] * b.sb[2 * i] + a.b[2 * i + 1] * b.sb[2 * i + 1]))
#undef VEC_EACH

/* Sum of absolute differences of each eight bytes: even and odd ones added, then the four sums. */
static inline v128 vec_psadbw(v128 a, v128 b)
{
    const v128 d = vec_psubb(vec_pmaxub(a, b), vec_pminub(a, b));
    const v128 pairs = (d & 0x00ff00ff00ff00ff) + ((d >> 8) & 0x00ff00ff00ff00ff);
    return (pairs * 0x0001000100010001) >> 48;
}

/* --- across elements: n is 16, or 8 for the MMX form --- */

/* Element i of the result from elements 2i and 2i+1 of a, then of b. */
#define VEC_HORIZONTAL(name, field, count, expr)                \
    static inline v128 vec_##name(v128 va, v128 vb, unsigned n) \
    {                                                           \
        const union chunk ab[2] = {{.v = va}, {.v = vb}};       \
        const unsigned half = n / (16 / (count)) / 2;           \
        union chunk d = {.v = {0}};                             \
        for (unsigned i = 0; i < 2 * half; i++) {               \
            const union chunk *s = &ab[i >= half];              \
            const unsigned j = 2 * (i % half);                  \
            d.field[i] = (expr);                                \
        }                                                       \
        return d.v;                                             \
    }
VEC_HORIZONTAL(phaddw, w, 8, (uint16_t)(s->w[j] + s->w[j + 1]))
VEC_HORIZONTAL(phaddd, d, 4, s->d[j] + s->d[j + 1])
VEC_HORIZONTAL(phaddsw, sw, 8, sat_s16(s->sw[j] + s->sw[j + 1]))
VEC_HORIZONTAL(phsubw, w, 8, (uint16_t)(s->w[j] - s->w[j + 1]))
VEC_HORIZONTAL(phsubd, d, 4, s->d[j] - s->d[j + 1])
VEC_HORIZONTAL(phsubsw, sw, 8, sat_s16(s->sw[j] - s->sw[j + 1]))
#undef VEC_HORIZONTAL

/* a's elements narrowed, then b's: clamped, then their low halves. */
#define VEC_CLAMP(name, type, element, lo, hi)                      \
    static inline v128 vec_clamp_##name(v128 va)                    \
    {                                                               \
        const type a = (type)va, low = (type){0} + (element)(lo);   \
        const type high = (type){0} + (element)(hi);                \
        const v128 v = v128_select((v128)(a < low), (v128)low, va); \
        return v128_select((v128)((type)v > high), (v128)high, v);  \
    }
VEC_CLAMP(sb, v8s16, int16_t, INT8_MIN, INT8_MAX)
VEC_CLAMP(ub, v8s16, int16_t, 0, UINT8_MAX)
VEC_CLAMP(sw, v4s32, int32_t, INT16_MIN, INT16_MAX)
VEC_CLAMP(uw, v4s32, int32_t, 0, UINT16_MAX)
#undef VEC_CLAMP
static inline v128 vec_low_bytes(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v16u8)a, (v16u8)b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20,
                                         22, 24, 26, 28, 30);
}
static inline v128 vec_low_words(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v8u16)a, (v8u16)b, 0, 2, 4, 6, 8, 10, 12, 14);
}
#define VEC_PACK(name, clamp, low)                                                \
    static inline v128 vec_##name(v128 a, v128 b, unsigned n)                     \
    {                                                                             \
        if (n == 8) /* both operands in one chunk */                              \
            a = b = v128_of(a[0], b[0]);                                          \
        const v128 d = vec_low_##low(vec_clamp_##clamp(a), vec_clamp_##clamp(b)); \
        return n == 8 ? v128_of(d[0], 0) : d;                                     \
    }
VEC_PACK(packsswb, sb, bytes)
VEC_PACK(packuswb, ub, bytes)
VEC_PACK(packssdw, sw, words)
VEC_PACK(packusdw, uw, words)
#undef VEC_PACK

/* The low (or high) halves' elements in turn. */
static inline v128 vec_punpcklbw(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v16u8)a, (v16u8)b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                         21, 6, 22, 7, 23);
}
static inline v128 vec_punpckhbw(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v16u8)a, (v16u8)b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                         13, 29, 14, 30, 15, 31);
}
static inline v128 vec_punpcklwd(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v8u16)a, (v8u16)b, 0, 8, 1, 9, 2, 10, 3, 11);
}
static inline v128 vec_punpckhwd(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v8u16)a, (v8u16)b, 4, 12, 5, 13, 6, 14, 7, 15);
}
static inline v128 vec_punpckldq(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v4u32)a, (v4u32)b, 0, 4, 1, 5);
}
static inline v128 vec_punpckhdq(v128 a, v128 b)
{
    return (v128)__builtin_shufflevector((v4u32)a, (v4u32)b, 2, 6, 3, 7);
}
static inline v128 vec_punpcklqdq(v128 a, v128 b)
{
    return __builtin_shufflevector(a, b, 0, 2);
}
static inline v128 vec_punpckhqdq(v128 a, v128 b)
{
    return __builtin_shufflevector(a, b, 1, 3);
}

/* Products of words, neighbours added: the products' halves are put together first. */
static inline v128 vec_pmaddwd(v128 a, v128 b)
{
    const v128 lo = vec_pmullw(a, b), hi = vec_pmulhw(a, b);
    const v4u32 p = (v4u32)vec_punpcklwd(lo, hi), q = (v4u32)vec_punpckhwd(lo, hi);
    return (v128)(__builtin_shufflevector(p, q, 0, 2, 4, 6) +
                  __builtin_shufflevector(p, q, 1, 3, 5, 7));
}

static inline v128 vec_pshufb(v128 va, v128 vb, unsigned n)
{
    const union chunk a = {.v = va}, b = {.v = vb};
    union chunk d = {.v = {0}};
    for (unsigned i = 0; i < n; i++)
        d.b[i] = b.b[i] & 0x80 ? 0 : a.b[b.b[i] & (n - 1)];
    return d.v;
}
static inline unsigned __int128 v128_to_int(v128 v)
{
    return v[0] | (unsigned __int128)v[1] << 64;
}
static inline v128 v128_from_int(unsigned __int128 v)
{
    return v128_of((uint64_t)v, (uint64_t)(v >> 64));
}
static inline v128 vec_pslldq(v128 a, unsigned n)
{
    return n > 15 ? (v128){0} : v128_from_int(v128_to_int(a) << (8 * n));
}
static inline v128 vec_psrldq(v128 a, unsigned n)
{
    return n > 15 ? (v128){0} : v128_from_int(v128_to_int(a) >> (8 * n));
}
/* n bytes of b (low) and a (high) joined, from byte imm on. */
static inline v128 vec_palignr(v128 a, v128 b, unsigned imm, unsigned n)
{
    if (n == 8)
        return v128_of(vec_psrldq(v128_of(b[0], a[0]), imm)[0], 0);
    return imm < 16 ? vec_psrldq(b, imm) | vec_pslldq(a, 16 - imm) : vec_psrldq(a, imm - 16);
}
static inline v128 vec_pshufd(v128 va, unsigned imm)
{
    const union chunk a = {.v = va};
    return (v128)(v4u32){a.d[imm & 3], a.d[(imm >> 2) & 3], a.d[(imm >> 4) & 3],
                         a.d[(imm >> 6) & 3]};
}
/* The four words of a quadword. */
static inline uint64_t vec_pshufw(uint64_t a, unsigned imm)
{
    uint64_t d = 0;
    for (unsigned i = 0; i < 4; i++)
        d |= ((a >> (16 * ((imm >> (2 * i)) & 3))) & 0xffff) << (16 * i);
    return d;
}
static inline v128 vec_shufps(v128 va, v128 vb, unsigned imm)
{
    const union chunk a = {.v = va}, b = {.v = vb};
    return (v128)(v4u32){a.d[imm & 3], a.d[(imm >> 2) & 3], b.d[(imm >> 4) & 3],
                         b.d[(imm >> 6) & 3]};
}
static inline v128 vec_shufpd(v128 a, v128 b, unsigned imm)
{
    return v128_of(a[imm & 1], b[(imm >> 1) & 1]);
}

/* Sign bits of the elements, element 0 lowest. */
static inline uint32_t vec_pmovmskb(v128 a)
{
#if defined(__SSE2__)
    return (uint32_t)__builtin_ia32_pmovmskb128((char __attribute__((vector_size(16))))a);
#else
    /* the multiplication gathers the eight bits in the top byte */
    const v128 m = (((a >> 7) & 0x0101010101010101) * 0x0102040810204080) >> 56;
    return (uint32_t)(m[0] | m[1] << 8);
#endif
}
static inline uint32_t vec_movmskps(v128 va)
{
    const v4u32 a = (v4u32)va >> 31;
    return a[0] | a[1] << 1 | a[2] << 2 | a[3] << 3;
}
static inline uint32_t vec_movmskpd(v128 a)
{
    return (uint32_t)(a[0] >> 63 | (a[1] >> 63) << 1);
}

/* Elements of b where the corresponding bit of imm is set, of a elsewhere. */
static inline v128 vec_blend(v128 va, v128 vb, unsigned imm, unsigned size)
{
    union chunk d = {.v = va}, b = {.v = vb};
    for (unsigned i = 0; i < 16; i += size, imm >>= 1)
        if (imm & 1)
            memcpy(d.b + i, b.b + i, size);
    return d.v;
}

/* Smallest word and its index. */
static inline v128 vec_phminposuw(v128 va)
{
    const union chunk a = {.v = va};
    unsigned at = 0;
    for (unsigned i = 1; i < 8; i++)
        if (a.w[i] < a.w[at])
            at = i;
    return v128_of(a.w[at] | (uint64_t)at << 16, 0);
}

/* Eight sums of absolute differences: of b's dword imm[1:0] with a's bytes from 4*imm[2] on. */
static inline v128 vec_mpsadbw(v128 va, v128 vb, unsigned imm)
{
    const union chunk a = {.v = va}, b = {.v = vb};
    const uint8_t *block = b.b + 4 * (imm & 3), *from = a.b + (imm & 4);
    union chunk d;
    for (unsigned i = 0; i < 8; i++) {
        d.w[i] = 0;
        for (unsigned k = 0; k < 4; k++)
            d.w[i] += (uint16_t)(from[i + k] > block[k] ? from[i + k] - block[k]
                                                        : block[k] - from[i + k]);
    }
    return d.v;
}

/* Elements of the low bytes of a widened. */
#define VEC_EXTEND(name, from, to)                      \
    static inline v128 vec_##name(v128 va)              \
    {                                                   \
        const union chunk a = {.v = va};                \
        union chunk d;                                  \
        for (unsigned i = 0; i < ARRAY_SIZE(d.to); i++) \
            d.to[i] = a.from[i];                        \
        return d.v;                                     \
    }
VEC_EXTEND(pmovsxbw, sb, sw)
VEC_EXTEND(pmovsxbd, sb, sd)
VEC_EXTEND(pmovsxbq, sb, sq)
VEC_EXTEND(pmovsxwd, sw, sd)
VEC_EXTEND(pmovsxwq, sw, sq)
VEC_EXTEND(pmovsxdq, sd, sq)
VEC_EXTEND(pmovzxbw, b, w)
VEC_EXTEND(pmovzxbd, b, d)
VEC_EXTEND(pmovzxbq, b, q)
VEC_EXTEND(pmovzxwd, w, d)
VEC_EXTEND(pmovzxwq, w, q)
VEC_EXTEND(pmovzxdq, d, q)
#undef VEC_EXTEND

#endif
