/*
 * Leaving a block: the three ways an instruction with OA_END goes on. They keep the invariant
 *     instructions retired = icount_end - budget   at every block's start.
 */
#ifndef VITRINE_CPU_RUN_H
#define VITRINE_CPU_RUN_H

#include "cpu/block.h"
#include "cpu/exec.h"

/* Handlers that stand for no instruction of the guest. */
insn_fn op_stale;     /* in a dropped block: go back to the loop before this instruction */
insn_fn op_break;     /* the same, put there by the run loop to stop at an exact count */
insn_fn op_block_end; /* behind the last instruction of a block that no branch ends */
insn_fn op_too_long;  /* an instruction over 15 bytes */
insn_fn op_unbound;   /* never executed: bind.c replaces it */
insn_fn op_cpl_fault; /* A_CPL0 at CPL > 0 */

/* Makes the running block leave before its instruction index (1..n-1). */
void run_set_break(struct cpu *cpu, unsigned index);
/* Whether anything but the next block asks for attention. */
static inline bool run_needs_attention(const struct cpu *cpu)
{
    return cpu_events(cpu) || cpu->shadow || (cpu->eflags & (FLAG_TF | FLAG_RF)) ||
           (cpu->dr7 & 0xff) || cpu->breakpoints;
}
bool cpu_breakpoint_at(const struct cpu *cpu, gla_t lin);

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ENTER_INSN(cpu, u) return (u)->fn((cpu), (u))
#else
#define ENTER_INSN(cpu, u) return (u)
#endif

static inline uint64_t next_rip(const struct cpu *cpu, const struct insn *u)
{
    const uint64_t rip = cpu->r[REG_PC] + u->off + u->len;
    /* outside 64-bit mode EIP wraps at 4 GiB; IP's wrap at 64 KiB is caught by the CS limit */
    return cpu_code64(cpu) ? rip : (uint32_t)rip;
}

/* Goes on at target, by the run loop: after anything that may have changed mode or state. */
#define END_TO_LOOP(cpu, target) \
    do {                         \
        (cpu)->rip = (target);   \
        return NULL;             \
    } while (0)

#define ENTER_BLOCK(cpu, b, target)                      \
    do {                                                 \
        struct block *enter_ = (b);                      \
        const int64_t left_ = (cpu)->budget - enter_->n; \
        if (unlikely(left_ < 0))                         \
            END_TO_LOOP(cpu, target);                    \
        (cpu)->budget = left_;                           \
        (cpu)->block = enter_;                           \
        (cpu)->r[REG_PC] = (target);                     \
        ENTER_INSN(cpu, enter_->insn);                   \
    } while (0)

/*
 * Leaves the block that a direct branch (slot 1) or nothing (slot 0) ends, by the run loop, which
 * links it to what it finds at target. A branch to where it is not canonical is #GP on the branch
 * itself (SDM 2A "JMP", "Jcc"); running off the end of the canonical half faults there.
 */
const struct insn *leave_direct(struct cpu *cpu, unsigned slot, uint64_t target);

/* A direct continuation through link slot 0 (fall-through) or 1 (taken). */
#define END_DIRECT(cpu, slot, target)                                                \
    do {                                                                             \
        const uint64_t target_ = (target);                                           \
        struct block *const to_ = code_linked((cpu), (cpu)->block, (slot), target_); \
        if (likely(to_ != NULL))                                                     \
            ENTER_BLOCK(cpu, to_, target_);                                          \
        return leave_direct((cpu), (slot), target_);                                 \
    } while (0)

/* An indirect continuation through the jump cache; flat modes only. */
#define END_INDIRECT(cpu, target)                                                \
    do {                                                                         \
        const uint64_t target_ = (target);                                       \
        const struct jump_line *j_ = &(cpu)->code->jump[jump_index(target_)];    \
        if (likely(j_->lin == target_ && j_->gen == cpu_code_gen(cpu) &&         \
                   j_->mode == (cpu)->mode && j_->block->serial == j_->serial && \
                   ((cpu)->mode & MODE_FLAT)))                                   \
            ENTER_BLOCK(cpu, j_->block, target_);                                \
        END_TO_LOOP(cpu, target_);                                               \
    } while (0)

/* An instruction that ends its block goes on behind itself, by the loop. */
#define OP_END(name) DEFINE_OP(name, END_TO_LOOP(cpu, next_rip(cpu, u)))
/* A far or otherwise special transfer: the body sets cpu->rip itself. */
#define OP_FAR(name) DEFINE_OP(name, return NULL)

#endif
