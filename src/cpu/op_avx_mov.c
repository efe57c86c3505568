/*
 * AVX moves, inserts, extracts and broadcasts. Those that only read vector registers, or write only
 * memory or general registers, are the SSE handlers. SDM 2B-2C under each mnemonic.
 */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* --- 16 or 32 bytes --- */

static inline struct ymm ymm_w_aligned(struct cpu *cpu, const struct insn *u)
{
    if (!u->mem)
        return ymm_read(cpu, u->rm);
    return ymm_load(cpu, vec_aligned(cpu, u, u->vl, ACC_R), u->vl);
}
OP(op_vmova) /* VMOVAPS, VMOVAPD, VMOVDQA, VMOVNTDQA */
{
    ymm_write(cpu, u, u->reg, ymm_w_aligned(cpu, u));
}
OP(op_vmovu) /* VMOVUPS, VMOVUPD, VMOVDQU, VLDDQU */
{
    ymm_write(cpu, u, u->reg, ymm_w(cpu, u));
}
OP(op_vmova_st) /* and VMOVNTPS, VMOVNTPD, VMOVNTDQ */
{
    const struct ymm v = ymm_read(cpu, u->reg);
    if (u->mem)
        ymm_store(cpu, vec_aligned(cpu, u, u->vl, ACC_W), &v, u->vl);
    else
        ymm_write(cpu, u, u->rm, v);
}
OP(op_vmovu_st)
{
    const struct ymm v = ymm_read(cpu, u->reg);
    if (u->mem)
        ymm_store(cpu, vec_unaligned(cpu, u, u->vl, ACC_W), &v, u->vl);
    else
        ymm_write(cpu, u, u->rm, v);
}

/* --- scalars: registers give the rest from VEX.vvvv --- */

OP(op_vmovss)
{
    xmm_write_vex(cpu, u->reg, xmm_w32(cpu, u));
}
OP(op_vmovsd)
{
    xmm_write_vex(cpu, u->reg, xmm_w64(cpu, u));
}
OP(op_vmovss_rr)
{
    xmm_write_vex(cpu, u->reg, vec_blend(xmm_read(cpu, u->vvvv), xmm_read(cpu, u->rm), 1, 4));
}
OP(op_vmovss_rr_st)
{
    xmm_write_vex(cpu, u->rm, vec_blend(xmm_read(cpu, u->vvvv), xmm_read(cpu, u->reg), 1, 4));
}
OP(op_vmovsd_rr)
{
    xmm_write_vex(cpu, u->reg, vec_blend(xmm_read(cpu, u->vvvv), xmm_read(cpu, u->rm), 1, 8));
}
OP(op_vmovsd_rr_st)
{
    xmm_write_vex(cpu, u->rm, vec_blend(xmm_read(cpu, u->vvvv), xmm_read(cpu, u->reg), 1, 8));
}
OP(op_vmovd)
{
    xmm_write_vex(cpu, u->reg, v128_of(gpr_e32(cpu, u), 0));
}
OP(op_vmovq_gpr)
{
    xmm_write_vex(cpu, u->reg, v128_of(gpr_e64(cpu, u), 0));
}
OP(op_vmovq)
{
    xmm_write_vex(cpu, u->reg, v128_of(xmm_w64(cpu, u)[0], 0));
}
OP(op_vmovq_st)
{
    const uint64_t v = xmm_read(cpu, u->reg)[0];
    if (u->mem)
        store64(cpu, vec_linear(cpu, u, 8, ACC_W), v);
    else
        xmm_write_vex(cpu, u->rm, v128_of(v, 0));
}

/* --- halves --- */

OP(op_vmovlp)
{
    const uint64_t v = xmm_w64(cpu, u)[0];
    xmm_write_vex(cpu, u->reg, v128_of(v, xmm_read(cpu, u->vvvv)[1]));
}
OP(op_vmovhp)
{
    const uint64_t v = xmm_w64(cpu, u)[0];
    xmm_write_vex(cpu, u->reg, v128_of(xmm_read(cpu, u->vvvv)[0], v));
}
OP(op_vmovhlps)
{
    xmm_write_vex(cpu, u->reg, v128_of(xmm_read(cpu, u->rm)[1], xmm_read(cpu, u->vvvv)[1]));
}
OP(op_vmovlhps)
{
    xmm_write_vex(cpu, u->reg, v128_of(xmm_read(cpu, u->vvvv)[0], xmm_read(cpu, u->rm)[0]));
}
YMM2(movsldup, vec_pshufd(b, 0xa0))
YMM2(movshdup, vec_pshufd(b, 0xf5))
OP(op_vmovddup)
{
    const struct ymm b = u->vl == 32 ? ymm_w(cpu, u) : (struct ymm){{xmm_w64(cpu, u)}};
    const struct ymm d = {{vec_punpcklqdq(b.v[0], b.v[0]), vec_punpcklqdq(b.v[1], b.v[1])}};
    ymm_write(cpu, u, u->reg, d);
}
OP(op_vmovmskps)
{
    const struct ymm v = ymm_read(cpu, u->rm);
    const uint32_t hi = u->vl == 32 ? vec_movmskps(v.v[1]) : 0;
    cpu->r[u->reg] = vec_movmskps(v.v[0]) | hi << 4;
}
OP(op_vmovmskpd)
{
    const struct ymm v = ymm_read(cpu, u->rm);
    const uint32_t hi = u->vl == 32 ? vec_movmskpd(v.v[1]) : 0;
    cpu->r[u->reg] = vec_movmskpd(v.v[0]) | hi << 2;
}
OP(op_vpmovmskb)
{
    const struct ymm v = ymm_read(cpu, u->rm);
    const uint32_t hi = u->vl == 32 ? vec_pmovmskb(v.v[1]) : 0;
    cpu->r[u->reg] = vec_pmovmskb(v.v[0]) | hi << 16;
}

/* --- elements --- */

#define INSERT(name, field, mask, value)                      \
    OP(op_##name)                                             \
    {                                                         \
        const uint64_t v = (value);                           \
        union chunk d = {.v = xmm_read(cpu, u->vvvv)};        \
        d.field[u->imm & (mask)] = (__typeof__(d.field[0]))v; \
        xmm_write_vex(cpu, u->reg, d.v);                      \
    }
INSERT(vpinsrb, b, 15, u->mem ? load8(cpu, vec_linear(cpu, u, 1, ACC_R)) : cpu->r[u->rm])
INSERT(vpinsrw, w, 7, u->mem ? load16(cpu, vec_linear(cpu, u, 2, ACC_R)) : cpu->r[u->rm])
INSERT(vpinsrd, d, 3, gpr_e32(cpu, u))
INSERT(vpinsrq, q, 1, gpr_e64(cpu, u))
OP(op_vinsertps)
{
    const union chunk b = {.v = xmm_w32(cpu, u)};
    union chunk d = {.v = xmm_read(cpu, u->vvvv)};
    d.d[(u->imm >> 4) & 3] = b.d[u->mem ? 0 : (u->imm >> 6) & 3];
    xmm_write_vex(cpu, u->reg, vec_blend(d.v, (v128){0}, u->imm & 15, 4));
}
OP(op_vinsert128) /* VINSERTF128, VINSERTI128 */
{
    const v128 b = xmm_w128_unaligned(cpu, u);
    struct ymm d = ymm_read(cpu, u->vvvv);
    d.v[u->imm & 1] = b;
    ymm_write(cpu, u, u->reg, d);
}
OP(op_vextract128) /* VEXTRACTF128, VEXTRACTI128 */
{
    const v128 v = ymm_read(cpu, u->reg).v[u->imm & 1];
    if (u->mem)
        store128(cpu, vec_unaligned(cpu, u, 16, ACC_W), &v);
    else
        xmm_write_vex(cpu, u->rm, v);
}

/* --- one element to all --- */

#define BROADCAST(name, bits, field)                         \
    OP(op_##name)                                            \
    {                                                        \
        const union chunk b = {.v = xmm_w##bits(cpu, u)};    \
        union chunk d;                                       \
        for (unsigned i = 0; i < ARRAY_SIZE(d.field); i++)   \
            d.field[i] = b.field[0];                         \
        ymm_write(cpu, u, u->reg, (struct ymm){{d.v, d.v}}); \
    }
static inline v128 xmm_w8(struct cpu *cpu, const struct insn *u)
{
    return u->mem ? v128_of(load8(cpu, vec_linear(cpu, u, 1, ACC_R)), 0) : xmm_read(cpu, u->rm);
}
BROADCAST(vpbroadcastb, 8, b)
BROADCAST(vpbroadcastw, 16, w)
BROADCAST(vpbroadcastd, 32, d) /* and VBROADCASTSS */
BROADCAST(vpbroadcastq, 64, q) /* and VBROADCASTSD */
OP(op_vbroadcast128)           /* VBROADCASTF128, VBROADCASTI128 */
{
    const v128 b = xmm_w128_unaligned(cpu, u);
    ymm_write(cpu, u, u->reg, (struct ymm){{b, b}});
}

/* --- all registers; those that 32-bit code cannot name stay --- */

static void clear_above(struct cpu *cpu, unsigned from)
{
    for (unsigned i = 0; i < (cpu_code64(cpu) ? 16 : 8); i++)
        memset((uint8_t *)&cpu->zmm[i] + from, 0, sizeof cpu->zmm[i] - from);
}
OP(op_vzeroupper)
{
    clear_above(cpu, 16);
}
OP(op_vzeroall)
{
    clear_above(cpu, 0);
}
