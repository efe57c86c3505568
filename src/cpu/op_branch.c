/* Near branches: JMP, Jcc, CALL, RET, LOOP, JCXZ; and the pairs CMP/TEST + Jcc in one. SDM 2A. */
#include "cpu/handlers.h"
#include "cpu/op_int.h"
#include "cpu/run.h"
#include "cpu/stack.h"

/* u->imm is the mask that wraps IP or EIP (decode.c). */
static inline uint64_t target_of(const struct cpu *cpu, const struct insn *u)
{
    return (cpu->r[REG_PC] + (uint64_t)u->disp) & u->imm;
}
/*
 * A target beyond the CS limit or not canonical is #GP on the branch itself. What has no effect but
 * to go there is checked here outside flat modes only, since links exist only between blocks of
 * flat modes; leave_direct() sees to the canonical ones.
 */
static inline void check_target64(struct cpu *cpu, uint64_t target)
{
    if (unlikely(!cpu_canonical(cpu, target)))
        cpu_gp0(cpu, REASON_NONCANONICAL);
}
static inline void check_target(struct cpu *cpu, uint64_t target)
{
    if (cpu_code64(cpu)) {
        check_target64(cpu, target);
    } else if (unlikely(target > cpu->seg[SEG_CS].limit)) {
        cpu_gp0(cpu, REASON_CODE_LIMIT);
    }
}
static inline bool target_needs_check(const struct cpu *cpu)
{
    return !(cpu->mode & MODE_FLAT);
}

#define TAKE(cpu, u)                             \
    do {                                         \
        const uint64_t t_ = target_of(cpu, u);   \
        if (unlikely(target_needs_check(cpu))) { \
            (cpu)->cur = (u);                    \
            check_target(cpu, t_);               \
        }                                        \
        END_DIRECT(cpu, 1, t_);                  \
    } while (0)
#define FALL(cpu, u) END_DIRECT(cpu, 0, next_rip(cpu, u))

const struct insn *jmp_direct(struct cpu *cpu, const struct insn *u)
{
    TAKE(cpu, u);
}

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *u)

#define JCC(CC)            \
    HANDLER(jcc_##CC)      \
    {                      \
        if (cond(cpu, CC)) \
            TAKE(cpu, u);  \
        FALL(cpu, u);      \
    }
CCS(JCC)
#define NAME(CC) jcc_##CC,
insn_fn *const jcc_forms[16] = {CCS(NAME)};
#undef NAME

/*
 * Fused pairs: the compare, then its branch, which is the next instruction and keeps its place in
 * the block. The condition is computed from the operands; the lazy flags are stored all the same.
 */
#define CMP_COND(CC, N, a, b)                          \
    ((CC) == 2    ? (a) < (b)                          \
     : (CC) == 3  ? (a) >= (b)                         \
     : (CC) == 4  ? (a) == (b)                         \
     : (CC) == 5  ? (a) != (b)                         \
     : (CC) == 6  ? (a) <= (b)                         \
     : (CC) == 7  ? (a) > (b)                          \
     : (CC) == 12 ? (int##N##_t)(a) < (int##N##_t)(b)  \
     : (CC) == 13 ? (int##N##_t)(a) >= (int##N##_t)(b) \
     : (CC) == 14 ? (int##N##_t)(a) <= (int##N##_t)(b) \
     : (CC) == 15 ? (int##N##_t)(a) > (int##N##_t)(b)  \
                  : cond(cpu, CC))
#define TEST_COND(CC, N, r)             \
    ((CC) == 4   ? (r) == 0             \
     : (CC) == 5 ? (r) != 0             \
     : (CC) == 8 ? (int##N##_t)(r) < 0  \
     : (CC) == 9 ? (int##N##_t)(r) >= 0 \
                 : cond(cpu, CC))

#define CMP_JCC(FORM, N, CC, A, B, CUR)     \
    HANDLER(cmp_jcc_##FORM##_##N##_##CC)    \
    {                                       \
        CUR;                                \
        const uint##N##_t a = (A), b = (B); \
        do_sub##N(cpu, a, b);               \
        if (CMP_COND(CC, N, a, b))          \
            TAKE(cpu, u + 1);               \
        FALL(cpu, u + 1);                   \
    }
#define TEST_JCC(FORM, N, CC, B)                      \
    HANDLER(test_jcc_##FORM##_##N##_##CC)             \
    {                                                 \
        const uint##N##_t r = rd##N(cpu, u->a) & (B); \
        set_logic##N(cpu, r);                         \
        if (TEST_COND(CC, N, r))                      \
            TAKE(cpu, u + 1);                         \
        FALL(cpu, u + 1);                             \
    }
#define PAIRS(N, CC)                                                                  \
    CMP_JCC(rr, N, CC, rd##N(cpu, u->a), rd##N(cpu, u->b), (void)0)                   \
    CMP_JCC(ri, N, CC, rd##N(cpu, u->a), (uint##N##_t)u->imm, (void)0)                \
    CMP_JCC(rm, N, CC, rd##N(cpu, u->a), load##N(cpu, ea_f(cpu, u)), cpu->cur = u)    \
    CMP_JCC(mi, N, CC, load##N(cpu, ea_f(cpu, u)), (uint##N##_t)u->imm, cpu->cur = u) \
    TEST_JCC(rr, N, CC, rd##N(cpu, u->b))                                             \
    TEST_JCC(ri, N, CC, (uint##N##_t)u->imm)
#define PAIRS8(CC)  PAIRS(8, CC)
#define PAIRS32(CC) PAIRS(32, CC)
#define PAIRS64(CC) PAIRS(64, CC)
CCS(PAIRS8)
CCS(PAIRS32)
CCS(PAIRS64)

#define ENTRY_cmp_jcc_rr_8(CC)   cmp_jcc_rr_8_##CC,
#define ENTRY_cmp_jcc_rr_32(CC)  cmp_jcc_rr_32_##CC,
#define ENTRY_cmp_jcc_rr_64(CC)  cmp_jcc_rr_64_##CC,
#define ENTRY_cmp_jcc_ri_8(CC)   cmp_jcc_ri_8_##CC,
#define ENTRY_cmp_jcc_ri_32(CC)  cmp_jcc_ri_32_##CC,
#define ENTRY_cmp_jcc_ri_64(CC)  cmp_jcc_ri_64_##CC,
#define ENTRY_cmp_jcc_rm_8(CC)   cmp_jcc_rm_8_##CC,
#define ENTRY_cmp_jcc_rm_32(CC)  cmp_jcc_rm_32_##CC,
#define ENTRY_cmp_jcc_rm_64(CC)  cmp_jcc_rm_64_##CC,
#define ENTRY_cmp_jcc_mi_8(CC)   cmp_jcc_mi_8_##CC,
#define ENTRY_cmp_jcc_mi_32(CC)  cmp_jcc_mi_32_##CC,
#define ENTRY_cmp_jcc_mi_64(CC)  cmp_jcc_mi_64_##CC,
#define ENTRY_test_jcc_rr_8(CC)  test_jcc_rr_8_##CC,
#define ENTRY_test_jcc_rr_32(CC) test_jcc_rr_32_##CC,
#define ENTRY_test_jcc_rr_64(CC) test_jcc_rr_64_##CC,
#define ENTRY_test_jcc_ri_8(CC)  test_jcc_ri_8_##CC,
#define ENTRY_test_jcc_ri_32(CC) test_jcc_ri_32_##CC,
#define ENTRY_test_jcc_ri_64(CC) test_jcc_ri_64_##CC,
#define FUSED(NAME, FORM)                                                     \
    insn_fn *const NAME##_##FORM[3][16] = {{CCS(ENTRY_##NAME##_##FORM##_8)},  \
                                           {CCS(ENTRY_##NAME##_##FORM##_32)}, \
                                           {CCS(ENTRY_##NAME##_##FORM##_64)}}
FUSED(cmp_jcc, rr);
FUSED(cmp_jcc, ri);
FUSED(cmp_jcc, rm);
FUSED(cmp_jcc, mi);
FUSED(test_jcc, rr);
FUSED(test_jcc, ri);

/* --- calls, returns, indirect jumps --- */

const struct insn *call_direct_64(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t target = target_of(cpu, u), sp = cpu->r[REG_RSP] - 8;
    check_target64(cpu, target);
    store64(cpu, sp, next_rip(cpu, u));
    cpu->r[REG_RSP] = sp;
    END_DIRECT(cpu, 1, target);
}

const struct insn *call_direct_g(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t target = target_of(cpu, u);
    check_target(cpu, target);
    push_n(cpu, next_rip(cpu, u), u->osize);
    END_DIRECT(cpu, 1, target);
}

static uint64_t indirect_target(struct cpu *cpu, const struct insn *u)
{
    const uint64_t t = u->mem ? load_n(cpu, ea_linear(cpu, u, u->osize, ACC_R), u->osize)
                              : cpu->r[u->rm] & size_mask(u->osize);
    check_target(cpu, t);
    return t;
}

const struct insn *op_jmpn(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    END_INDIRECT(cpu, indirect_target(cpu, u));
}

const struct insn *op_calln(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t target = indirect_target(cpu, u);
    push_n(cpu, next_rip(cpu, u), u->osize);
    END_INDIRECT(cpu, target);
}

const struct insn *ret_64(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t target = load64(cpu, cpu->r[REG_RSP]);
    check_target64(cpu, target);
    cpu->r[REG_RSP] += 8 + u->imm;
    END_INDIRECT(cpu, target);
}

const struct insn *ret_g(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t target = stack_peek(cpu, 0, u->osize);
    check_target(cpu, target);
    stack_set(cpu, stack_pointer(cpu) + u->osize + u->imm);
    END_INDIRECT(cpu, target);
}

/* LOOP, LOOPE, LOOPNE count in rCX of the address size; JCXZ only looks (SDM 2A). */
const struct insn *op_loop(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    uint64_t cx = cpu->r[REG_RCX] & size_mask(u->asize);
    bool take;
    if (u->op == OP_JCXZ) {
        take = cx == 0;
    } else {
        cx = (cx - 1) & size_mask(u->asize);
        take = cx != 0 && (u->op == OP_LOOP || flag_zf(cpu) == (u->op == OP_LOOPE));
        if (take)
            check_target(cpu, target_of(cpu, u));
        reg_write(cpu, REG_RCX, cx, u->asize);
    }
    if (take)
        TAKE(cpu, u);
    FALL(cpu, u);
}
