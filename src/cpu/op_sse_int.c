/* Integer operations, SSE2 to SSE4.2 and AVX, and the bitwise ones of floating point. See vec.h. */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

#define XMM2_PLAIN(name)          XMM2(name, vec_##name(a, b))
#define XMM2_WIDTH(name)          XMM2(name, vec_##name(a, b, 16))
#define XMM2_IMM(name, lane_bits) XMM2(name, vec_##name(a, b, imm >> (lane_bits)*lane))
XMM2_PLAIN(paddb)
XMM2_PLAIN(paddw)
XMM2_PLAIN(paddd)
XMM2_PLAIN(paddq)
XMM2_PLAIN(psubb)
XMM2_PLAIN(psubw)
XMM2_PLAIN(psubd)
XMM2_PLAIN(psubq)
XMM2_PLAIN(paddsb)
XMM2_PLAIN(paddsw)
XMM2_PLAIN(paddusb)
XMM2_PLAIN(paddusw)
XMM2_PLAIN(psubsb)
XMM2_PLAIN(psubsw)
XMM2_PLAIN(psubusb)
XMM2_PLAIN(psubusw)
XMM2_PLAIN(pand)
XMM2_PLAIN(pandn)
XMM2_PLAIN(por)
XMM2_PLAIN(pxor)
XMM2_PLAIN(pcmpeqb)
XMM2_PLAIN(pcmpeqw)
XMM2_PLAIN(pcmpeqd)
XMM2_PLAIN(pcmpeqq)
XMM2_PLAIN(pcmpgtb)
XMM2_PLAIN(pcmpgtw)
XMM2_PLAIN(pcmpgtd)
XMM2_PLAIN(pcmpgtq)
XMM2_PLAIN(pmullw)
XMM2_PLAIN(pmulld)
XMM2_PLAIN(pmulhw)
XMM2_PLAIN(pmulhuw)
XMM2_PLAIN(pmulhrsw)
XMM2_PLAIN(pmuludq)
XMM2_PLAIN(pmuldq)
XMM2_PLAIN(pmaddwd)
XMM2_PLAIN(pmaddubsw)
XMM2_PLAIN(pavgb)
XMM2_PLAIN(pavgw)
XMM2_PLAIN(pminub)
XMM2_PLAIN(pminuw)
XMM2_PLAIN(pminud)
XMM2_PLAIN(pminsb)
XMM2_PLAIN(pminsw)
XMM2_PLAIN(pminsd)
XMM2_PLAIN(pmaxub)
XMM2_PLAIN(pmaxuw)
XMM2_PLAIN(pmaxud)
XMM2_PLAIN(pmaxsb)
XMM2_PLAIN(pmaxsw)
XMM2_PLAIN(pmaxsd)
XMM2_PLAIN(psadbw)
XMM2_PLAIN(psignb)
XMM2_PLAIN(psignw)
XMM2_PLAIN(psignd)
XMM2_PLAIN(punpcklbw)
XMM2_PLAIN(punpcklwd)
XMM2_PLAIN(punpckldq)
XMM2_PLAIN(punpcklqdq)
XMM2_PLAIN(punpckhbw)
XMM2_PLAIN(punpckhwd)
XMM2_PLAIN(punpckhdq)
XMM2_PLAIN(punpckhqdq)
XMM2_WIDTH(packsswb)
XMM2_WIDTH(packssdw)
XMM2_WIDTH(packuswb)
XMM2_WIDTH(packusdw)
XMM2_WIDTH(phaddw)
XMM2_WIDTH(phaddd)
XMM2_WIDTH(phaddsw)
XMM2_WIDTH(phsubw)
XMM2_WIDTH(phsubd)
XMM2_WIDTH(phsubsw)
XMM2_WIDTH(pshufb)
/* the second lane's part of the immediate lies so many bits above */
XMM2_IMM(shufps, 0)
XMM2_IMM(shufpd, 2)
XMM2_IMM(mpsadbw, 3)
XMM2(palignr, vec_palignr(a, b, imm, 16))
XMM2(pblendw, vec_blend(a, b, imm, 2))
XMM2(blendps, vec_blend(a, b, imm >> 4 * lane, 4))
XMM2(blendpd, vec_blend(a, b, imm >> 2 * lane, 8))
/* The mask is XMM0's sign bits; with VEX those of the register in imm8[7:4]. */
XMM2_SSE(pblendvb, v128_select((v128)((v16s8)xmm_read(cpu, 0) < 0), b, a))
YMM2(pblendvb, v128_select((v128)((v16s8)ymm_read(cpu, u->imm2).v[lane] < 0), b, a))
XMM2_SSE(blendvps, v128_select((v128)((v4s32)xmm_read(cpu, 0) < 0), b, a))
YMM2(blendvps, v128_select((v128)((v4s32)ymm_read(cpu, u->imm2).v[lane] < 0), b, a))
XMM2_SSE(blendvpd, v128_select((v128)((v2s64)xmm_read(cpu, 0) < 0), b, a))
YMM2(blendvpd, v128_select((v128)((v2s64)ymm_read(cpu, u->imm2).v[lane] < 0), b, a))

/* xmm = f(xmm/m128) */
XMM2(pabsb, vec_pabsb(b))
XMM2(pabsw, vec_pabsw(b))
XMM2(pabsd, vec_pabsd(b))
XMM2(phminposuw, vec_phminposuw(b))
XMM2(pshufd, vec_pshufd(b, (unsigned)u->imm))
XMM2(pshuflw, v128_of(vec_pshufw(b[0], (unsigned)u->imm), b[1]))
XMM2(pshufhw, v128_of(b[0], vec_pshufw(b[1], (unsigned)u->imm)))

/* PMOVSX, PMOVZX: as much memory as they use. */
#define EXTEND_SRC_16 xmm_w32
#define EXTEND_SRC_32 xmm_w64
#define EXTEND_SRC_64 xmm_w128_unaligned
#define EXTEND(name, bits)                                                               \
    OP(op_##name)                                                                        \
    {                                                                                    \
        xmm_write(cpu, u->reg, vec_##name(xmm_w##bits(cpu, u)));                         \
    }                                                                                    \
    OP(op_v##name)                                                                       \
    {                                                                                    \
        if (u->vl == 16) {                                                               \
            xmm_write_vex(cpu, u->reg, vec_##name(xmm_w##bits(cpu, u)));                 \
        } else {                                                                         \
            const v128 b = EXTEND_SRC_##bits(cpu, u);                                    \
            const struct ymm d = {{vec_##name(b), vec_##name(vec_psrldq(b, bits / 8))}}; \
            ymm_write(cpu, u, u->reg, d);                                                \
        }                                                                                \
    }
EXTEND(pmovsxbw, 64)
EXTEND(pmovsxbd, 32)
EXTEND(pmovsxbq, 16)
EXTEND(pmovsxwd, 64)
EXTEND(pmovsxwq, 32)
EXTEND(pmovsxdq, 64)
EXTEND(pmovzxbw, 64)
EXTEND(pmovzxbd, 32)
EXTEND(pmovzxbq, 16)
EXTEND(pmovzxwd, 64)
EXTEND(pmovzxwq, 32)
EXTEND(pmovzxdq, 64)

#define SHIFT_I_VEX(name, f)                         \
    OP(op_v##name)                                   \
    {                                                \
        struct ymm d = ymm_read(cpu, u->rm);         \
        for (unsigned i = 0; i < lane_count(u); i++) \
            d.v[i] = f(d.v[i], (uint8_t)u->imm);     \
        ymm_write(cpu, u, u->vvvv, d);               \
    }
/* The count comes from xmm/m128 in the 256-bit form too; of an immediate, to VEX.vvvv. */
#define SHIFT(name)                                                               \
    XMM2_SSE(name, vec_##name(a, b[0]))                                           \
    OP(op_v##name)                                                                \
    {                                                                             \
        const v128 b = xmm_w128_unaligned(cpu, u);                                \
        struct ymm d = ymm_read(cpu, u->vvvv);                                    \
        for (unsigned i = 0; i < lane_count(u); i++)                              \
            d.v[i] = vec_##name(d.v[i], b[0]);                                    \
        ymm_write(cpu, u, u->reg, d);                                             \
    }                                                                             \
    SHIFT_I_VEX(name##_i, vec_##name)                                             \
    OP(op_##name##_i)                                                             \
    {                                                                             \
        xmm_write(cpu, u->rm, vec_##name(xmm_read(cpu, u->rm), (uint8_t)u->imm)); \
    }
SHIFT(psllw)
SHIFT(pslld)
SHIFT(psllq)
SHIFT(psrlw)
SHIFT(psrld)
SHIFT(psrlq)
SHIFT(psraw)
SHIFT(psrad)
OP(op_pslldq)
{
    xmm_write(cpu, u->rm, vec_pslldq(xmm_read(cpu, u->rm), (uint8_t)u->imm));
}
OP(op_psrldq)
{
    xmm_write(cpu, u->rm, vec_psrldq(xmm_read(cpu, u->rm), (uint8_t)u->imm));
}

SHIFT_I_VEX(pslldq, vec_pslldq)
SHIFT_I_VEX(psrldq, vec_psrldq)

/* ZF: b has no bit of a; CF: b has no bit outside a; the others are cleared. */
static inline void test_bits(struct cpu *cpu, v128 both, v128 only_b)
{
    cpu->flag_z = both[0] | both[1];
    cpu->flag_sp = 1;
    cpu->flag_aux = only_b[0] | only_b[1] ? 0 : AUX_CF;
}
OP(op_ptest)
{
    const v128 b = xmm_w128(cpu, u), a = xmm_read(cpu, u->reg);
    test_bits(cpu, a & b, ~a & b);
}
/* VPTEST; VTESTPS, VTESTPD look at the sign bits only */
#define TEST_VEX(name, bits)                                           \
    OP(op_##name)                                                      \
    {                                                                  \
        const struct ymm b = ymm_w(cpu, u), a = ymm_read(cpu, u->reg); \
        v128 both = {0}, only_b = {0};                                 \
        for (unsigned i = 0; i < lane_count(u); i++) {                 \
            both |= a.v[i] & b.v[i] & v128_of(bits, bits);             \
            only_b |= ~a.v[i] & b.v[i] & v128_of(bits, bits);          \
        }                                                              \
        test_bits(cpu, both, only_b);                                  \
    }
TEST_VEX(vptest, ~UINT64_C(0))
TEST_VEX(vtestps, UINT64_C(0x8000000080000000))
TEST_VEX(vtestpd, BIT64(63))
