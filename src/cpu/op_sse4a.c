/*
 * SSE4A, which is AMD's: bit fields of the low quadword. APM 4 "EXTRQ", "INSERTQ", "MOVNTSS",
 * "MOVNTSD". (The moves are MOVSS and MOVSD to memory.)
 *
 * The manual leaves open what becomes of bits 127:64, and of a field that reaches beyond bit 63:
 * seen on AMD family 1Ah, the former are cleared and the latter is cut off.
 */
#include "cpu/handlers.h"
#include "cpu/op_vec.h"

/* Length in bits: 0 is 64. Both count modulo 64. */
static inline uint64_t field_mask(unsigned length)
{
    return ~UINT64_C(0) >> (-length & 63);
}
static inline void extract(struct cpu *cpu, unsigned reg, unsigned length, unsigned index)
{
    const uint64_t v = xmm_read(cpu, reg)[0];
    xmm_write(cpu, reg, v128_of((v >> (index & 63)) & field_mask(length), 0));
}
static inline void insert(struct cpu *cpu, const struct insn *u, unsigned length, unsigned index)
{
    const uint64_t mask = field_mask(length) << (index & 63);
    const uint64_t to = xmm_read(cpu, u->reg)[0], from = xmm_read(cpu, u->rm)[0];
    xmm_write(cpu, u->reg, v128_of((to & ~mask) | ((from << (index & 63)) & mask), 0));
}

OP(op_extrq_i)
{
    extract(cpu, u->rm, (unsigned)u->imm, u->imm2);
}
OP(op_extrq)
{
    const uint64_t control = xmm_read(cpu, u->rm)[0];
    extract(cpu, u->reg, (unsigned)control, (unsigned)(control >> 8));
}
OP(op_insertq_i)
{
    insert(cpu, u, (unsigned)u->imm, u->imm2);
}
OP(op_insertq)
{
    const uint64_t control = xmm_read(cpu, u->rm)[1];
    insert(cpu, u, (unsigned)control, (unsigned)(control >> 8));
}
