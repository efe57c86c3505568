/*
 * Random operands that like the edges: floating-point values in three formats, vectors of them and
 * of integers and letters, control words. Repeatable from rng_state.
 */
#ifndef VITRINE_ORACLE_OPERANDS_H
#define VITRINE_ORACLE_OPERANDS_H

#include "core/types.h"
#include "cpu/fp/fp.h"
#ifndef VITRINE_RANDOM /* the fuzzers have their own */
#include "unit/rng.h"
#endif

static inline uint32_t random_f32(void)
{
    static const uint32_t edge[] = {
        0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000, 0x00800001,
        0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
        0xffbfffff, 0x7fc12345, 0x3f800000, 0xbf800000, 0x3f000000, 0x3f7fffff, 0x3f800001,
        0x3fc00000, 0x40200000, 0x4b000000, 0x4b000001, 0x4f000000, 0xcf000000, 0x4effffff,
        0x5f000000, 0xdf000000, 0x4f800000, 0x3effffff, 0x33800000, 0x00400000, 0x40490fdb,
    };
    switch (below(6)) {
    case 0:
    case 1:
        return edge[below(ARRAY_SIZE(edge))];
    case 2: /* near one */
        return (uint32_t)((rnd() & 0x807fffff) | (below(8) + 123) << 23);
    case 3: /* of a size where integers end */
        return (uint32_t)((rnd() & 0x807fffff) | (below(70) + 120) << 23);
    case 4: /* tiny */
        return (uint32_t)((rnd() & 0x807fffff) | below(40) << 23);
    default:
        return (uint32_t)rnd();
    }
}
static inline uint64_t random_f64(void)
{
    static const uint64_t edge[] = {
        0,
        0x8000000000000000,
        1,
        0x800fffffffffffff,
        0x0010000000000000,
        0x0010000000000001,
        0x7fefffffffffffff,
        0xffefffffffffffff,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0xfff8000000000000,
        0x7ff0000000000001,
        0xfff7ffffffffffff,
        0x7ff8000000012345,
        0x3ff0000000000000,
        0xbff0000000000000,
        0x3fe0000000000000,
        0x3fefffffffffffff,
        0x3ff8000000000000,
        0x4004000000000000,
        0x4330000000000000,
        0x4330000000000001,
        0x41dfffffffc00000,
        0x41dfffffffe00000,
        0xc1e0000000000000,
        0xc1e0000000100000,
        0x43e0000000000000,
        0xc3e0000000000000,
        0x36a0000000000000,
        0x380fffffffffffff,
        0x3810000000000000,
        0x47efffffe0000000,
        0x47effffff0000000,
        0x400921fb54442d18,
    };
    switch (below(6)) {
    case 0:
    case 1:
        return edge[below(ARRAY_SIZE(edge))];
    case 2:
        return (rnd() & 0x800fffffffffffff) | (uint64_t)(below(8) + 1019) << 52;
    case 3:
        return (rnd() & 0x800fffffffffffff) | (uint64_t)(below(80) + 1015) << 52;
    case 4: /* about the ends of single precision, or tiny */
        return (rnd() & 0x800fffffffffffff) | (uint64_t)(one_in(2)   ? below(60)
                                                         : one_in(2) ? 1023 - 160 + below(45)
                                                                     : 1023 + 120 + below(12))
                                                  << 52;
    default:
        return rnd();
    }
}
static inline void random_f80(uint8_t *p)
{
    static const uint64_t mantissa[] = {
        0,
        1,
        0x8000000000000000,
        0x8000000000000001,
        0xc000000000000000,
        0xc000000000000001,
        0xffffffffffffffff,
        0x7fffffffffffffff,
        0x4000000000000000,
        0xbfffffffffffffff,
        0xa000000000000000,
    };
    static const uint16_t exponent[] = {0,      1,      2,      0x3fff, 0x3ffe, 0x4000,
                                        0x7ffe, 0x7fff, 0x3fdf, 0x403e, 0x401e, 0x400e};
    uint64_t m = one_in(2) ? mantissa[below(ARRAY_SIZE(mantissa))] : rnd();
    uint16_t e = exponent[below(ARRAY_SIZE(exponent))];
    switch (below(6)) {
    case 0:
        e = (uint16_t)(rnd() & 0x7fff);
        break;
    case 1: /* near one, normal */
        e = (uint16_t)(0x3fff - 6 + below(12));
        m |= BIT64(63);
        break;
    case 2:
        e = (uint16_t)(0x3fff + below(70));
        m |= BIT64(63);
        break;
    case 3: /* where single or double precision ends */
        e = (uint16_t)(one_in(2) ? 0x3fff - 126 - 30 + below(40) : 0x3fff - 1022 - 60 + below(70));
        if (one_in(3))
            e = (uint16_t)(one_in(2) ? 0x3fff + 120 + below(12) : 0x3fff + 1018 + below(10));
        m |= BIT64(63);
        break;
    case 4:
        e = (uint16_t)below(80);
        if (e)
            m |= BIT64(63);
        break;
    default:
        break;
    }
    if (one_in(4)) /* an integer or half of one */
        m &= ~UINT64_C(0) << below(64);
    st64(p, m);
    st16(p + 8, (uint16_t)(e | (rnd() & 0x8000)));
}

/* n bytes of one kind of element. */
static inline void random_bytes(uint8_t *p, unsigned n)
{
    const unsigned kind = below(8);
    static const uint64_t ints[] = {0,
                                    1,
                                    0x7f,
                                    0x80,
                                    0xff,
                                    0x7fff,
                                    0x8000,
                                    0xffff,
                                    0x7fffffff,
                                    0x80000000,
                                    ~0ull,
                                    0x8000000000000000,
                                    0x7fffffffffffffff};
    for (unsigned i = 0; i < n; i += 8) {
        uint8_t v[16];
        switch (kind) {
        case 0:
        case 1:
            st32(v, random_f32());
            st32(v + 4, random_f32());
            break;
        case 2:
        case 3:
            st64(v, random_f64());
            break;
        case 4: /* small bytes with zeros: strings */
            for (unsigned k = 0; k < 8; k++)
                v[k] = (uint8_t)(one_in(12) ? 0 : 'a' + below(4));
            break;
        case 5:
            for (unsigned k = 0; k < 8; k += 2)
                st16(v + k, (uint16_t)(one_in(2) ? ints[below(ARRAY_SIZE(ints))] : rnd()));
            break;
        case 6:
            st32(v, (uint32_t)ints[below(ARRAY_SIZE(ints))]);
            st32(v + 4, (uint32_t)ints[below(ARRAY_SIZE(ints))]);
            break;
        default:
            st64(v, rnd());
            break;
        }
        memcpy(p + i, v, MIN(8, n - i));
    }
}

static inline uint32_t random_mxcsr(void)
{
    uint32_t v = 0x1f80;
    if (one_in(2))
        v |= (uint32_t)below(4) << 13;
    if (one_in(4))
        v |= MXCSR_DAZ;
    if (one_in(4))
        v |= MXCSR_FTZ;
    if (one_in(3))
        v |= rnd() & 0x3f;
    if (one_in(8)) { /* something unmasked, whose flag may be set: that alone raises nothing */
        v &= ~(uint32_t)(rnd() & 0x1f80);
        if (one_in(2))
            v &= ~UINT32_C(0x3f);
    }
    return v;
}

#endif
