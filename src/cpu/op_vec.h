/*
 * Operands of vector handlers: registers and memory of the sizes instructions name. A legacy SSE
 * instruction writes bits 127:0 of its destination and leaves the rest alone.
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
/* What need not be aligned, unless alignment is checked: 16 bytes are one datum then. */
static inline gla_t vec_unaligned(struct cpu *cpu, const struct insn *u, unsigned size,
                                  enum access acc)
{
    const gla_t lin = vec_linear(cpu, u, size, acc);
    x87_check_alignment(cpu, lin, size);
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
