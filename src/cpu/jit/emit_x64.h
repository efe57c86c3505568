/*
 * Encodes x86-64 instructions into a buffer: prefixes, REX or VEX, ModRM, SIB, displacement,
 * immediate (SDM 2A §2.1-2.3). It knows nothing of what the code is for. An instruction that no
 * longer fits is dropped and e->full is set: the caller looks once, at the end.
 *
 * Opcodes are written as in the manual: 0x89, 0x0faf, 0x0f38f1. Sizes are bytes: 1, 2, 4, 8.
 */
#ifndef VITRINE_CPU_JIT_EMIT_X64_H
#define VITRINE_CPU_JIT_EMIT_X64_H

#include "core/types.h"

/* Host registers, in encoding order. */
enum host_reg {
    H_RAX,
    H_RCX,
    H_RDX,
    H_RBX,
    H_RSP,
    H_RBP,
    H_RSI,
    H_RDI,
    H_R8,
    H_R9,
    H_R10,
    H_R11,
    H_R12,
    H_R13,
    H_R14,
    H_R15,
    H_NONE = 0xff,
};

struct emit {
    uint8_t *p, *end; /* where the next byte goes; the first that is not ours */
    bool full;
    uint32_t touched; /* general registers that were an operand, or may have changed in a call; not
                         those that only were part of an address */
};

/* An r/m operand: a register, [base + index << scale + disp], or gs:[... + disp]. */
struct host_rm {
    uint8_t base;  /* or the register; H_NONE: no base */
    uint8_t index; /* H_NONE: none; never RSP */
    uint8_t scale;
    bool mem, gs;
    int32_t disp;
};

static inline struct host_rm h_reg(unsigned r)
{
    return (struct host_rm){.base = (uint8_t)r, .index = H_NONE};
}
static inline struct host_rm h_mem(unsigned base, int32_t disp)
{
    return (struct host_rm){.base = (uint8_t)base, .index = H_NONE, .mem = true, .disp = disp};
}
static inline struct host_rm h_sib(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct host_rm){.base = (uint8_t)base,
                            .index = (uint8_t)index,
                            .scale = (uint8_t)scale,
                            .mem = true,
                            .disp = disp};
}
/* At an address below 2 GiB. */
static inline struct host_rm h_abs(const void *at)
{
    return (struct host_rm){
        .base = H_NONE, .index = H_NONE, .mem = true, .disp = (int32_t)(uintptr_t)at};
}
/* Thread-relative: the CPU's own state (GS base). */
static inline struct host_rm h_gs(int32_t disp)
{
    return (struct host_rm){.base = H_NONE, .index = H_NONE, .mem = true, .gs = true, .disp = disp};
}
static inline struct host_rm h_gs_mem(unsigned base, int32_t disp)
{
    return (struct host_rm){
        .base = (uint8_t)base, .index = H_NONE, .mem = true, .gs = true, .disp = disp};
}

/* The arithmetic group: opcode 8*op + form, and /op of 80h-83h. */
enum { X_ADD, X_OR, X_ADC, X_SBB, X_AND, X_SUB, X_XOR, X_CMP };
/* The shift group: /op of C0h, D0h, D2h. */
enum { X_ROL, X_ROR, X_RCL, X_RCR, X_SHL, X_SHR, X_SAR = 7 };
/* /op of F6h and F7h. */
enum { X_NOT = 2, X_NEG, X_MUL, X_IMUL, X_DIV, X_IDIV };
/* Conditions (SDM 2D appendix B.1.4.7). */
enum { CC_O, CC_NO, CC_B, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_L = 12 };
/* Mandatory prefixes, and the same as VEX.pp. */
enum { P_NONE, P_66, P_F3, P_F2 };

void emit_bytes(struct emit *e, const void *bytes, size_t n);
void emit_u8(struct emit *e, uint8_t v);
void emit_u32(struct emit *e, uint32_t v);

/* reg, r/m with an operand size; byte registers are SPL and the like, never AH. */
void emit_rm(struct emit *e, unsigned size, uint32_t opcode, unsigned reg, struct host_rm rm);
/* The same, imm_bytes of immediate behind it. */
void emit_rm_imm(struct emit *e, unsigned size, uint32_t opcode, unsigned reg, struct host_rm rm,
                 uint64_t imm, unsigned imm_bytes);
/* MOVZX and the like: the source's size says whether it needs a REX prefix for SPL. */
void emit_extend(struct emit *e, unsigned size, uint32_t opcode, unsigned reg, struct host_rm rm,
                 unsigned src_size);
/* With a mandatory prefix (P_*); w: REX.W. imm8 < 0: none. */
void emit_sse(struct emit *e, unsigned prefix, bool w, uint32_t opcode, unsigned reg,
              struct host_rm rm, int imm8);
/* VEX with vvvv = v; map: 1 = 0F, 2 = 0F38, 3 = 0F3A; l: VEX.L. imm8 < 0: none. */
void emit_vex(struct emit *e, unsigned prefix, unsigned map, bool w, unsigned l, uint8_t opcode,
              unsigned reg, unsigned v, struct host_rm rm, int imm8);

/* op r/m, imm with the shortest immediate. */
void emit_alu_imm(struct emit *e, unsigned size, unsigned op, struct host_rm rm, int32_t imm);
void emit_mov_imm(struct emit *e, unsigned reg, uint64_t imm); /* the shortest; keeps the flags */

static inline void emit_alu(struct emit *e, unsigned size, unsigned op, unsigned reg,
                            struct host_rm rm) /* reg = reg op r/m */
{
    emit_rm(e, size, (size == 1 ? 2 : 3) + 8 * op, reg, rm);
}
static inline void emit_alu_to(struct emit *e, unsigned size, unsigned op, struct host_rm rm,
                               unsigned reg) /* r/m = r/m op reg */
{
    emit_rm(e, size, (size == 1 ? 0 : 1) + 8 * op, reg, rm);
}
static inline void emit_load(struct emit *e, unsigned size, unsigned reg, struct host_rm rm)
{
    emit_rm(e, size, size == 1 ? 0x8a : 0x8b, reg, rm);
}
static inline void emit_store(struct emit *e, unsigned size, struct host_rm rm, unsigned reg)
{
    emit_rm(e, size, size == 1 ? 0x88 : 0x89, reg, rm);
}
void emit_store_imm(struct emit *e, unsigned size, struct host_rm rm, int32_t imm);
static inline void emit_mov(struct emit *e, unsigned size, unsigned reg, unsigned from)
{
    if (reg != from || size == 4)
        emit_load(e, size, reg, h_reg(from));
}
static inline void emit_lea(struct emit *e, unsigned size, unsigned reg, struct host_rm m)
{
    emit_rm(e, size, 0x8d, reg, m);
}
static inline void emit_test(struct emit *e, unsigned size, struct host_rm rm, unsigned reg)
{
    emit_rm(e, size, size == 1 ? 0x84 : 0x85, reg, rm);
}
void emit_test_imm(struct emit *e, unsigned size, struct host_rm rm, int32_t imm);
void emit_rorx(struct emit *e, unsigned reg, unsigned from, unsigned count); /* 64-bit, BMI2 */
void emit_push(struct emit *e, unsigned reg);
void emit_pop(struct emit *e, unsigned reg);

/* Jumps: to a place known already, or with a displacement to be filled in by emit_here(). */
void emit_jmp(struct emit *e, const uint8_t *to);
void emit_call(struct emit *e, const uint8_t *to);
void emit_jcc_short(struct emit *e, unsigned cc, const uint8_t *to); /* within 126 bytes back */
uint8_t *emit_jmp_forward(struct emit *e);
uint8_t *emit_jcc_forward(struct emit *e, unsigned cc);
/* The displacement at where (of emit_*_forward) leads to the next byte, or to another place. */
void emit_here(struct emit *e, uint8_t *where);
void emit_patch(uint8_t *where, const uint8_t *to);

#endif
