/*
 * MMX forms: of MMX itself and of the later extensions that gave MMX registers more operations.
 * SDM 1 §9 "Programming with Intel MMX Technology". The operations are vec.h's on eight bytes.
 */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* mm = f(mm, mm/m64) */
#define MMX2(name, f)                                              \
    OP(op_##name##_mmx)                                            \
    {                                                              \
        mmx_ready(cpu);                                            \
        const v128 b = mmx_q64(cpu, u), a = mmx_read(cpu, u->reg); \
        mmx_enter(cpu);                                            \
        mmx_write(cpu, u->reg, (f)[0]);                            \
    }
#define MMX2_PLAIN(name) MMX2(name, vec_##name(a, b))
#define MMX2_WIDTH(name) MMX2(name, vec_##name(a, b, 8))
MMX2_PLAIN(paddb)
MMX2_PLAIN(paddw)
MMX2_PLAIN(paddd)
MMX2_PLAIN(paddq)
MMX2_PLAIN(psubb)
MMX2_PLAIN(psubw)
MMX2_PLAIN(psubd)
MMX2_PLAIN(psubq)
MMX2_PLAIN(paddsb)
MMX2_PLAIN(paddsw)
MMX2_PLAIN(paddusb)
MMX2_PLAIN(paddusw)
MMX2_PLAIN(psubsb)
MMX2_PLAIN(psubsw)
MMX2_PLAIN(psubusb)
MMX2_PLAIN(psubusw)
MMX2_PLAIN(pand)
MMX2_PLAIN(pandn)
MMX2_PLAIN(por)
MMX2_PLAIN(pxor)
MMX2_PLAIN(pcmpeqb)
MMX2_PLAIN(pcmpeqw)
MMX2_PLAIN(pcmpeqd)
MMX2_PLAIN(pcmpgtb)
MMX2_PLAIN(pcmpgtw)
MMX2_PLAIN(pcmpgtd)
MMX2_PLAIN(pmullw)
MMX2_PLAIN(pmulhw)
MMX2_PLAIN(pmulhuw)
MMX2_PLAIN(pmulhrsw)
MMX2_PLAIN(pmuludq)
MMX2_PLAIN(pmaddwd)
MMX2_PLAIN(pmaddubsw)
MMX2_PLAIN(pavgb)
MMX2_PLAIN(pavgw)
MMX2_PLAIN(pminub)
MMX2_PLAIN(pminsw)
MMX2_PLAIN(pmaxub)
MMX2_PLAIN(pmaxsw)
MMX2_PLAIN(psadbw)
MMX2_PLAIN(psignb)
MMX2_PLAIN(psignw)
MMX2_PLAIN(psignd)
MMX2_WIDTH(packsswb)
MMX2_WIDTH(packssdw)
MMX2_WIDTH(packuswb)
MMX2_WIDTH(phaddw)
MMX2_WIDTH(phaddd)
MMX2_WIDTH(phaddsw)
MMX2_WIDTH(phsubw)
MMX2_WIDTH(phsubd)
MMX2_WIDTH(phsubsw)
MMX2_WIDTH(pshufb)
MMX2(pabsb, vec_pabsb(b) | (a & 0))
MMX2(pabsw, vec_pabsw(b) | (a & 0))
MMX2(pabsd, vec_pabsd(b) | (a & 0))
MMX2(palignr, vec_palignr(a, b, (unsigned)u->imm, 8))
/* the upper halves' elements in turn: what the 16-byte form makes of the low halves, further up */
MMX2(punpckhbw, vec_psrldq(vec_punpcklbw(a, b), 8))
MMX2(punpckhwd, vec_psrldq(vec_punpcklwd(a, b), 8))
MMX2(punpckhdq, vec_psrldq(vec_punpckldq(a, b), 8))

/* The low halves' elements: only four bytes are read from memory. */
#define MMX_LOW(name)                                              \
    OP(op_##name##_mmx)                                            \
    {                                                              \
        mmx_ready(cpu);                                            \
        const v128 b = mmx_q32(cpu, u), a = mmx_read(cpu, u->reg); \
        mmx_enter(cpu);                                            \
        mmx_write(cpu, u->reg, vec_##name(a, b)[0]);               \
    }
MMX_LOW(punpcklbw)
MMX_LOW(punpcklwd)
MMX_LOW(punpckldq)

/* Shifts: the count in a register or memory, or an immediate. */
#define MMX_SHIFT(name)                                                              \
    MMX2(name, vec_##name(a, b[0]))                                                  \
    OP(op_##name##_i_mmx)                                                            \
    {                                                                                \
        mmx_ready(cpu);                                                              \
        mmx_enter(cpu);                                                              \
        mmx_write(cpu, u->rm, vec_##name(mmx_read(cpu, u->rm), (uint8_t)u->imm)[0]); \
    }
MMX_SHIFT(psllw)
MMX_SHIFT(pslld)
MMX_SHIFT(psllq)
MMX_SHIFT(psrlw)
MMX_SHIFT(psrld)
MMX_SHIFT(psrlq)
MMX_SHIFT(psraw)
MMX_SHIFT(psrad)

OP(op_pshufw_mmx)
{
    mmx_ready(cpu);
    const v128 b = mmx_q64(cpu, u);
    mmx_enter(cpu);
    mmx_write(cpu, u->reg, vec_pshufw(b[0], (unsigned)u->imm));
}

/* --- moves --- */

static inline void load_mmx(struct cpu *cpu, const struct insn *u, uint64_t v)
{
    mmx_enter(cpu);
    mmx_write(cpu, u->reg, v);
}
OP(op_movd_mmx)
{
    mmx_ready(cpu);
    load_mmx(cpu, u, gpr_e32(cpu, u));
}
OP(op_movq_gpr_mmx)
{
    mmx_ready(cpu);
    load_mmx(cpu, u, gpr_e64(cpu, u));
}
OP(op_movq_mmx)
{
    mmx_ready(cpu);
    load_mmx(cpu, u, mmx_q64(cpu, u)[0]);
}
OP(op_movdq2q)
{
    mmx_ready(cpu);
    load_mmx(cpu, u, xmm_read(cpu, u->rm)[0]);
}
OP(op_movq2dq)
{
    mmx_ready(cpu);
    mmx_enter(cpu);
    xmm_write(cpu, u->reg, mmx_read(cpu, u->rm));
}

OP(op_movd_st_mmx)
{
    mmx_ready(cpu);
    const uint32_t v = (uint32_t)mmx_read(cpu, u->reg)[0];
    if (u->mem)
        store32(cpu, vec_linear(cpu, u, 4, ACC_W), v);
    else
        cpu->r[u->rm] = v;
    mmx_enter(cpu);
}
static inline void store_mmx(struct cpu *cpu, const struct insn *u)
{
    mmx_ready(cpu);
    store64(cpu, vec_linear(cpu, u, 8, ACC_W), mmx_read(cpu, u->reg)[0]);
    mmx_enter(cpu);
}
OP(op_movq_gpr_st_mmx)
{
    if (u->mem) {
        store_mmx(cpu, u);
    } else {
        mmx_ready(cpu);
        mmx_enter(cpu);
        cpu->r[u->rm] = mmx_read(cpu, u->reg)[0];
    }
}
OP(op_movq_st_mmx)
{
    if (u->mem) {
        store_mmx(cpu, u);
    } else {
        mmx_ready(cpu);
        mmx_enter(cpu);
        mmx_write(cpu, u->rm, mmx_read(cpu, u->reg)[0]);
    }
}
OP(op_movntq)
{
    store_mmx(cpu, u);
}

OP(op_pinsrw_mmx)
{
    mmx_ready(cpu);
    const uint64_t v = u->mem ? load16(cpu, vec_linear(cpu, u, 2, ACC_R)) : (uint16_t)cpu->r[u->rm];
    const unsigned shift = 16 * (u->imm & 3);
    const uint64_t a = mmx_read(cpu, u->reg)[0];
    load_mmx(cpu, u, (a & ~(UINT64_C(0xffff) << shift)) | v << shift);
}
OP(op_pextrw_mmx)
{
    mmx_ready(cpu);
    mmx_enter(cpu);
    cpu->r[u->reg] = (uint16_t)(mmx_read(cpu, u->rm)[0] >> (16 * (u->imm & 3)));
}
OP(op_pmovmskb_mmx)
{
    mmx_ready(cpu);
    mmx_enter(cpu);
    cpu->r[u->reg] = vec_pmovmskb(mmx_read(cpu, u->rm));
}

OP(op_maskmovq)
{
    mmx_ready(cpu);
    store_masked(cpu, u, mmx_read(cpu, u->reg), vec_pmovmskb(mmx_read(cpu, u->rm)), 8);
    mmx_enter(cpu);
}

OP(op_emms)
{
    mmx_ready(cpu);
    mmx_enter(cpu);
    cpu->fpu.used = 0;
}
