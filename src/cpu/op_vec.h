/*
 * Operands of vector handlers: registers and memory of the sizes instructions name. A legacy SSE
 * instruction writes bits 127:0 of its destination and leaves the rest alone; one with VEX clears
 * what it does not write. SDM 1 §14.1.4 "Legacy SSE ... and AVX"
 */
#ifndef VITRINE_CPU_OP_VEC_H
#define VITRINE_CPU_OP_VEC_H

#include "cpu/exec.h"
#include "cpu/fp/fp.h"
#include "cpu/op_x87.h"
#include "cpu/vec.h"

static inline v128 xmm_read(const struct cpu *cpu, unsigned n)
{
    return v128_load(&cpu->zmm[n]);
}
static inline void xmm_write(struct cpu *cpu, unsigned n, v128 v)
{
    memcpy(&cpu->zmm[n], &v, sizeof v);
}

/* ea_linear(), ea_aligned() with 64-bit flat addresses in line; in 32-bit flat segments too. */
static inline gla_t vec_linear(struct cpu *cpu, const struct insn *u, unsigned size,
                               enum access acc)
{
    const gla_t sum = cpu->r[u->base] + (cpu->r[u->xindex] << u->scale) + (uint64_t)u->disp;
    if (likely(u->seg == SEG_FLAT && !(cpu->mode & MODE_ALIGN))) {
        if (likely(u->asize == 8))
            return sum;
        if (u->asize == 4)
            return (uint32_t)sum;
    }
    return ea_linear(cpu, u, size, acc);
}
/* What need not be aligned, unless alignment is checked: 16 bytes are one datum then, 32 are two
 * (seen on AMD family 1Ah; the SDM leaves it open, 2A §2.4.4). */
static inline gla_t vec_unaligned(struct cpu *cpu, const struct insn *u, unsigned size,
                                  enum access acc)
{
    const gla_t lin = vec_linear(cpu, u, size, acc);
    x87_check_alignment(cpu, lin, MIN(size, 16));
    return lin;
}
static inline gla_t vec_aligned(struct cpu *cpu, const struct insn *u, unsigned size,
                                enum access acc)
{
    const gla_t lin = vec_linear(cpu, u, size, acc);
    return likely(!(lin & (size - 1))) ? lin : ea_aligned(cpu, u, size, acc);
}

/* r/m as an XMM register or a memory operand; what is narrower than 16 bytes is zero-extended
 * from memory and a whole register otherwise. */
static inline v128 xmm_w128(struct cpu *cpu, const struct insn *u)
{
    if (!u->mem)
        return xmm_read(cpu, u->rm);
    v128 v;
    load128(cpu, vec_aligned(cpu, u, 16, ACC_R), &v);
    return v;
}
static inline v128 xmm_w128_unaligned(struct cpu *cpu, const struct insn *u)
{
    if (!u->mem)
        return xmm_read(cpu, u->rm);
    v128 v;
    load128(cpu, vec_unaligned(cpu, u, 16, ACC_R), &v);
    return v;
}
#define XMM_W_NARROW(bits)                                                               \
    static inline v128 xmm_w##bits(struct cpu *cpu, const struct insn *u)                \
    {                                                                                    \
        return u->mem ? v128_of(load##bits(cpu, vec_linear(cpu, u, bits / 8, ACC_R)), 0) \
                      : xmm_read(cpu, u->rm);                                            \
    }
XMM_W_NARROW(16)
XMM_W_NARROW(32)
XMM_W_NARROW(64)
#undef XMM_W_NARROW

static inline void xmm_store128(struct cpu *cpu, const struct insn *u, v128 v)
{
    store128(cpu, vec_aligned(cpu, u, 16, ACC_W), &v);
}

/*
 * VEX: one or two lanes of 16 bytes, by VEX.L. Memory operands need no alignment but in the moves
 * that say so.
 */
struct ymm {
    v128 v[2];
};
static inline unsigned lane_count(const struct insn *u)
{
    return u->vl / 16;
}
static inline struct ymm ymm_read(const struct cpu *cpu, unsigned n)
{
    struct ymm r;
    memcpy(&r, &cpu->zmm[n], sizeof r);
    return r;
}
/* Writes n bytes (16 or 32) and clears the rest. */
static inline void ymm_write_n(struct cpu *cpu, unsigned reg, const struct ymm *v, unsigned n)
{
    memset((uint8_t *)&cpu->zmm[reg] + 16, 0, sizeof cpu->zmm[reg] - 16);
    memcpy(&cpu->zmm[reg], v, n);
}
static inline void ymm_write(struct cpu *cpu, const struct insn *u, unsigned reg, struct ymm v)
{
    ymm_write_n(cpu, reg, &v, u->vl);
}
static inline void xmm_write_vex(struct cpu *cpu, unsigned reg, v128 v)
{
    const struct ymm r = {{v, {0}}};
    ymm_write_n(cpu, reg, &r, 32);
}
static inline struct ymm ymm_load(struct cpu *cpu, gla_t lin, unsigned n)
{
    struct ymm r = {{{0}, {0}}};
    if (n == 32)
        load256(cpu, lin, &r);
    else
        load128(cpu, lin, &r);
    return r;
}
static inline void ymm_store(struct cpu *cpu, gla_t lin, const struct ymm *v, unsigned n)
{
    if (n == 32)
        store256(cpu, lin, v);
    else
        store128(cpu, lin, v);
}
/* r/m as a YMM register, or n bytes of memory (zero-extended). */
static inline struct ymm ymm_w_n(struct cpu *cpu, const struct insn *u, unsigned n)
{
    if (!u->mem)
        return ymm_read(cpu, u->rm);
    return ymm_load(cpu, vec_unaligned(cpu, u, n, ACC_R), n);
}
static inline struct ymm ymm_w(struct cpu *cpu, const struct insn *u)
{
    return ymm_w_n(cpu, u, u->vl);
}
/* As many lanes as there are of xmm/m64 (m128), for what widens. */
static inline v128 ymm_w_half(struct cpu *cpu, const struct insn *u)
{
    return u->vl == 32 ? xmm_w128_unaligned(cpu, u) : xmm_w64(cpu, u);
}

/* ymm = f(a = VEX.vvvv, b = ymm/mem), lane by lane; lane and imm are for f to use. */
#define YMM2(name, f)                                                        \
    OP(op_v##name)                                                           \
    {                                                                        \
        const struct ymm w = ymm_w(cpu, u), h = ymm_read(cpu, u->vvvv);      \
        struct ymm d;                                                        \
        const unsigned imm __attribute__((unused)) = (unsigned)u->imm;       \
        for (unsigned lane = 0; lane < lane_count(u); lane++) {              \
            const v128 a __attribute__((unused)) = h.v[lane], b = w.v[lane]; \
            d.v[lane] = (f);                                                 \
        }                                                                    \
        ymm_write(cpu, u, u->reg, d);                                        \
    }

/* xmm = f(a = xmm, b = xmm/m128), and for the VEX form lane by lane; f may use imm and lane */
#define XMM2_SSE(name, f)                                              \
    OP(op_##name)                                                      \
    {                                                                  \
        const v128 b = xmm_w128(cpu, u);                               \
        const v128 a __attribute__((unused)) = xmm_read(cpu, u->reg);  \
        const unsigned imm __attribute__((unused)) = (unsigned)u->imm; \
        const unsigned lane __attribute__((unused)) = 0;               \
        xmm_write(cpu, u->reg, f);                                     \
    }
#define XMM2(name, f) XMM2_SSE(name, f) YMM2(name, f)

/* r/m as a general register or memory. */
static inline uint64_t gpr_e32(struct cpu *cpu, const struct insn *u)
{
    return u->mem ? load32(cpu, vec_linear(cpu, u, 4, ACC_R)) : (uint32_t)cpu->r[u->rm];
}
static inline uint64_t gpr_e64(struct cpu *cpu, const struct insn *u)
{
    return u->mem ? load64(cpu, vec_linear(cpu, u, 8, ACC_R)) : cpu->r[u->rm];
}

/*
 * MMX. An instruction first looks for a pending x87 exception (mmx_ready), then reads its operands,
 * and only when nothing can fault any more takes the x87 registers over (mmx_enter): TOP 0, all
 * tags valid. SDM 1 §9.5.1 "MMX Instructions and the x87 FPU Tag Word", SDM 3A table 12-1.
 */
static inline void mmx_ready(struct cpu *cpu)
{
    if (unlikely(cpu->fpu.sw & FSW_ES))
        x87_pending(cpu);
}
static inline void mmx_enter(struct cpu *cpu)
{
    cpu->fpu.sw &= (uint16_t)~FSW_TOP;
    cpu->fpu.used = 0xff;
}
/* ModRM fields name MM0-MM7 whatever REX says. */
static inline v128 mmx_read(const struct cpu *cpu, unsigned n)
{
    return v128_of(cpu->fpu.r[n & 7].mmx, 0);
}
static inline void mmx_write(struct cpu *cpu, unsigned n, uint64_t v)
{
    cpu->fpu.r[n & 7].mmx = v;
    cpu->fpu.r[n & 7].sexp = 0xffff;
}
static inline v128 mmx_q64(struct cpu *cpu, const struct insn *u)
{
    return u->mem ? v128_of(load64(cpu, vec_linear(cpu, u, 8, ACC_R)), 0) : mmx_read(cpu, u->rm);
}
static inline v128 mmx_q32(struct cpu *cpu, const struct insn *u)
{
    return u->mem ? v128_of(load32(cpu, vec_linear(cpu, u, 4, ACC_R)), 0) : mmx_read(cpu, u->rm);
}

/*
 * MASKMOVQ and MASKMOVDQU: the bytes of v whose mask bit is set, to DS:rDI. Which faults the
 * unselected bytes may cause is left to the implementation (SDM 2B "MASKMOVDQU"): here none.
 */
void store_masked(struct cpu *cpu, const struct insn *u, v128 v, uint32_t mask, unsigned n);

#endif
