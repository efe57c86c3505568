/* XMM moves: whole and partial registers, with memory and general registers, non-temporal stores.
 */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* --- 16 bytes --- */

OP(op_mova) /* MOVAPS, MOVAPD, MOVDQA, MOVNTDQA */
{
    xmm_write(cpu, u->reg, xmm_w128(cpu, u));
}
OP(op_movu) /* MOVUPS, MOVUPD, MOVDQU, LDDQU */
{
    xmm_write(cpu, u->reg, xmm_w128_unaligned(cpu, u));
}
OP(op_mova_st) /* and MOVNTPS, MOVNTPD, MOVNTDQ */
{
    if (u->mem)
        xmm_store128(cpu, u, xmm_read(cpu, u->reg));
    else
        xmm_write(cpu, u->rm, xmm_read(cpu, u->reg));
}
OP(op_movu_st)
{
    const v128 v = xmm_read(cpu, u->reg);
    if (u->mem)
        store128(cpu, vec_unaligned(cpu, u, 16, ACC_W), &v);
    else
        xmm_write(cpu, u->rm, v);
}

/* --- scalars: from memory they clear the rest, from a register they leave it --- */

OP(op_movss)
{
    const v128 b = xmm_w32(cpu, u);
    xmm_write(cpu, u->reg, u->mem ? b : vec_blend(xmm_read(cpu, u->reg), b, 1, 4));
}
OP(op_movss_st)
{
    const v128 v = xmm_read(cpu, u->reg);
    if (u->mem)
        store32(cpu, vec_linear(cpu, u, 4, ACC_W), (uint32_t)v[0]);
    else
        xmm_write(cpu, u->rm, vec_blend(xmm_read(cpu, u->rm), v, 1, 4));
}
OP(op_movsd)
{
    const v128 b = xmm_w64(cpu, u);
    xmm_write(cpu, u->reg, u->mem ? b : v128_of(b[0], xmm_read(cpu, u->reg)[1]));
}
OP(op_movsd_st)
{
    const uint64_t v = xmm_read(cpu, u->reg)[0];
    if (u->mem)
        store64(cpu, vec_linear(cpu, u, 8, ACC_W), v);
    else
        xmm_write(cpu, u->rm, v128_of(v, xmm_read(cpu, u->rm)[1]));
}

/* --- MOVD, MOVQ --- */

OP(op_movd)
{
    xmm_write(cpu, u->reg, v128_of(gpr_e32(cpu, u), 0));
}
OP(op_movq_gpr)
{
    xmm_write(cpu, u->reg, v128_of(gpr_e64(cpu, u), 0));
}
OP(op_movd_st)
{
    const uint32_t v = (uint32_t)xmm_read(cpu, u->reg)[0];
    if (u->mem)
        store32(cpu, vec_linear(cpu, u, 4, ACC_W), v);
    else
        cpu->r[u->rm] = v;
}
OP(op_movq_gpr_st)
{
    const uint64_t v = xmm_read(cpu, u->reg)[0];
    if (u->mem)
        store64(cpu, vec_linear(cpu, u, 8, ACC_W), v);
    else
        cpu->r[u->rm] = v;
}
OP(op_movq)
{
    xmm_write(cpu, u->reg, v128_of(xmm_w64(cpu, u)[0], 0));
}
OP(op_movq_st)
{
    const uint64_t v = xmm_read(cpu, u->reg)[0];
    if (u->mem)
        store64(cpu, vec_linear(cpu, u, 8, ACC_W), v);
    else
        xmm_write(cpu, u->rm, v128_of(v, 0));
}

/* --- halves --- */

OP(op_movlp) /* MOVLPS, MOVLPD: memory only */
{
    xmm_write(cpu, u->reg, v128_of(xmm_w64(cpu, u)[0], xmm_read(cpu, u->reg)[1]));
}
OP(op_movhp)
{
    xmm_write(cpu, u->reg, v128_of(xmm_read(cpu, u->reg)[0], xmm_w64(cpu, u)[0]));
}
OP(op_movlp_st)
{
    store64(cpu, vec_linear(cpu, u, 8, ACC_W), xmm_read(cpu, u->reg)[0]);
}
OP(op_movhp_st)
{
    store64(cpu, vec_linear(cpu, u, 8, ACC_W), xmm_read(cpu, u->reg)[1]);
}
OP(op_movhlps)
{
    xmm_write(cpu, u->reg, v128_of(xmm_read(cpu, u->rm)[1], xmm_read(cpu, u->reg)[1]));
}
OP(op_movlhps)
{
    xmm_write(cpu, u->reg, v128_of(xmm_read(cpu, u->reg)[0], xmm_read(cpu, u->rm)[0]));
}
OP(op_movddup)
{
    const uint64_t v = xmm_w64(cpu, u)[0];
    xmm_write(cpu, u->reg, v128_of(v, v));
}
OP(op_movsldup)
{
    xmm_write(cpu, u->reg, vec_pshufd(xmm_w128(cpu, u), 0xa0));
}
OP(op_movshdup)
{
    xmm_write(cpu, u->reg, vec_pshufd(xmm_w128(cpu, u), 0xf5));
}

/* --- elements --- */

static inline union chunk xmm_chunk(const struct cpu *cpu, unsigned n)
{
    return (union chunk){.v = xmm_read(cpu, n)};
}
OP(op_pextrb)
{
    const uint8_t v = xmm_chunk(cpu, u->reg).b[u->imm & 15];
    if (u->mem)
        store8(cpu, vec_linear(cpu, u, 1, ACC_W), v);
    else
        cpu->r[u->rm] = v;
}
OP(op_pextrw_st) /* 0F3A 15: to r/m */
{
    const uint16_t v = xmm_chunk(cpu, u->reg).w[u->imm & 7];
    if (u->mem)
        store16(cpu, vec_linear(cpu, u, 2, ACC_W), v);
    else
        cpu->r[u->rm] = v;
}
OP(op_pextrw) /* 0F C5: from r/m */
{
    cpu->r[u->reg] = xmm_chunk(cpu, u->rm).w[u->imm & 7];
}
OP(op_pextrd) /* and EXTRACTPS */
{
    const uint32_t v = xmm_chunk(cpu, u->reg).d[u->imm & 3];
    if (u->mem)
        store32(cpu, vec_linear(cpu, u, 4, ACC_W), v);
    else
        cpu->r[u->rm] = v;
}
OP(op_pextrq)
{
    const uint64_t v = xmm_read(cpu, u->reg)[u->imm & 1];
    if (u->mem)
        store64(cpu, vec_linear(cpu, u, 8, ACC_W), v);
    else
        cpu->r[u->rm] = v;
}
OP(op_pinsrb)
{
    const uint8_t v = u->mem ? load8(cpu, vec_linear(cpu, u, 1, ACC_R)) : (uint8_t)cpu->r[u->rm];
    cpu->zmm[u->reg].b[u->imm & 15] = v;
}
OP(op_pinsrw)
{
    const uint16_t v = u->mem ? load16(cpu, vec_linear(cpu, u, 2, ACC_R)) : (uint16_t)cpu->r[u->rm];
    cpu->zmm[u->reg].w[u->imm & 7] = v;
}
OP(op_pinsrd)
{
    cpu->zmm[u->reg].d[u->imm & 3] = (uint32_t)gpr_e32(cpu, u);
}
OP(op_pinsrq)
{
    cpu->zmm[u->reg].q[u->imm & 1] = gpr_e64(cpu, u);
}
/* Imm: source element (of a register) 7:6, destination element 5:4, elements to clear 3:0. */
OP(op_insertps)
{
    const union chunk b = {.v = xmm_w32(cpu, u)};
    union chunk d = xmm_chunk(cpu, u->reg);
    d.d[(u->imm >> 4) & 3] = b.d[u->mem ? 0 : (u->imm >> 6) & 3];
    xmm_write(cpu, u->reg, vec_blend(d.v, (v128){0}, u->imm & 15, 4));
}

OP(op_pmovmskb)
{
    cpu->r[u->reg] = vec_pmovmskb(xmm_read(cpu, u->rm));
}
OP(op_movmskps)
{
    cpu->r[u->reg] = vec_movmskps(xmm_read(cpu, u->rm));
}
OP(op_movmskpd)
{
    cpu->r[u->reg] = vec_movmskpd(xmm_read(cpu, u->rm));
}

/* --- to memory past the caches, which we have none of --- */

OP(op_movnti)
{
    if (u->rex & 8)
        store64(cpu, vec_linear(cpu, u, 8, ACC_W), cpu->r[u->reg]);
    else
        store32(cpu, vec_linear(cpu, u, 4, ACC_W), (uint32_t)cpu->r[u->reg]);
}

void store_masked(struct cpu *cpu, const struct insn *u, v128 v, uint32_t mask, unsigned n)
{
    const union chunk c = {.v = v};
    const uint64_t off = u->asize == 8   ? cpu->r[REG_RDI]
                         : u->asize == 4 ? (uint32_t)cpu->r[REG_RDI]
                                         : (uint16_t)cpu->r[REG_RDI];
    /* the row has no memory operand that would have given the decoder a default segment */
    const gla_t lin = seg_linear(cpu, u->seg_ovr ? u->seg : SEG_DS, off, n, ACC_W);
    x87_check_alignment(cpu, lin, 8);
    if (!mask)
        return;
    const unsigned first = (unsigned)__builtin_ctz(mask), last = 31 - (unsigned)__builtin_clz(mask);
    probe(cpu, lin + first, last - first + 1, ACC_W);
    for (; mask; mask &= mask - 1) {
        const unsigned i = (unsigned)__builtin_ctz(mask);
        store8(cpu, lin + i, c.b[i]);
    }
}
OP(op_maskmovdqu)
{
    store_masked(cpu, u, xmm_read(cpu, u->reg), vec_pmovmskb(xmm_read(cpu, u->rm)), 16);
}

/* PREFETCHh, PREFETCHW, LFENCE, SFENCE, CLFLUSH on a machine without caches and with one memory
 * order; MFENCE, which CPUs on threads of their own see (SDM 3A §8.2.5). */
OP(op_hint)
{
    if (u->op == OP_MFENCE && cpu->world)
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
/* Direct stores are stores: SDM 2B "MOVDIRI". */
OP(op_movdiri)
{
    store_n(cpu, vec_linear(cpu, u, u->osize, ACC_W), cpu->r[u->reg], u->osize);
}
/*
 * From the memory operand to ES:reg, both with the address size. The source is read before the
 * destination is looked at in any way, and is one of 16-byte parts to alignment checks: seen on
 * AMD's Zen 5, where SDM 2B "MOVDIR64B" leaves it open.
 */
OP(op_movdir64b)
{
    uint8_t line[64];
    load_bytes(cpu, vec_unaligned(cpu, u, sizeof line, ACC_R), line, sizeof line);
    const gla_t to =
        seg_linear(cpu, SEG_ES, cpu->r[u->reg] & size_mask(u->asize), sizeof line, ACC_W);
    if (to & (sizeof line - 1))
        cpu_gp0(cpu, REASON_ALIGN_64);
    if (cpu_code64(cpu) && !cpu_canonical(cpu, to)) /* whatever register the source is named by */
        cpu_gp0(cpu, REASON_NONCANONICAL);
    store_bytes(cpu, to, line, sizeof line);
}
/* The line that holds the byte at rAX. APM 3 "CLZERO" */
OP(op_clzero)
{
    static const uint8_t zeros[64];
    const gla_t lin = seg_linear(cpu, u->seg, cpu->r[REG_RAX] & size_mask(u->asize), 1, ACC_W);
    store_bytes(cpu, lin & ~(gla_t)63, zeros, sizeof zeros);
}
/* CLFLUSH, CLFLUSHOPT and CLWB are checked like a byte load. SDM 2A "CLFLUSH", "CLFLUSHOPT", "CLWB"
 */
OP(op_clflush)
{
    load8(cpu, vec_linear(cpu, u, 1, ACC_R));
}
