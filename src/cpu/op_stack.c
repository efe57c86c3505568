/* PUSH, POP, PUSHA, POPA, ENTER, LEAVE. SDM 2A, 2B. */
#include "cpu/handlers.h"
#include "cpu/op_int.h"
#include "cpu/stack.h"

const struct insn *push_r64(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t sp = cpu->r[REG_RSP] - 8;
    store64(cpu, sp, cpu->r[u->reg]);
    cpu->r[REG_RSP] = sp;
    NEXT(cpu, u);
}

const struct insn *push_i64(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t sp = cpu->r[REG_RSP] - 8;
    store64(cpu, sp, u->imm);
    cpu->r[REG_RSP] = sp;
    NEXT(cpu, u);
}

const struct insn *pop_r64(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    const uint64_t v = load64(cpu, cpu->r[REG_RSP]);
    cpu->r[REG_RSP] += 8;
    cpu->r[u->reg] = v;
    NEXT(cpu, u);
}

OP(op_push)
{
    uint64_t v;
    switch (u->row->opnd[0]) {
    case O_Zv:
        v = cpu->r[u->reg];
        break;
    case O_Ev:
        v = u->mem ? load_n(cpu, ea_linear(cpu, u, u->osize, ACC_R), u->osize) : cpu->r[u->rm];
        break;
    default:
        v = u->imm;
        break;
    }
    push_n(cpu, v, u->osize);
}

/* A memory destination is addressed with rSP already incremented (SDM 2B "POP"). */
OP(op_pop)
{
    const unsigned size = u->osize;
    const uint64_t v = stack_peek(cpu, 0, size);
    const uint64_t old = cpu->r[REG_RSP];
    stack_set(cpu, stack_pointer(cpu) + size);
    if (u->row->opnd[0] == O_Zv) {
        reg_write(cpu, u->reg, v, size);
        return;
    }
    if (!u->mem) {
        reg_write(cpu, u->rm, v, size);
        return;
    }
    const uint64_t off = ea_offset(cpu, u), new_sp = cpu->r[REG_RSP];
    cpu->r[REG_RSP] = old; /* as it must be if the store faults */
    store_n(cpu, seg_linear(cpu, u->seg, off, size, ACC_W), v, size);
    cpu->r[REG_RSP] = new_sp;
}

OP(op_pusha)
{
    const unsigned size = u->osize;
    uint8_t frame[32];
    /* of real and virtual-8086 mode; 1, 3 and 5 come to a shutdown by themselves, as the stack is
     * no good for an exception either (SDM 2B "PUSHA/PUSHAD", Real-Address Mode Exceptions) */
    const uint64_t top = stack_pointer(cpu);
    if ((!cpu_prot(cpu) || cpu_vm86(cpu)) && (top & 1) && top >= 7 && top <= 15)
        cpu_gp0(cpu, REASON_STACK_ODD);
    for (unsigned i = 0; i < 8; i++)
        st_le(frame + (7 - i) * size, cpu->r[i] & size_mask(size), size);
    const uint64_t sp = (top - 8 * size) & stack_mask(cpu);
    /* one access per register, each with its own limit check, EAX first (SDM 2B "PUSHA/PUSHAD",
     * Operation), all before the first write */
    for (unsigned i = 8; i-- > 0;)
        probe(cpu, stack_linear(cpu, sp + i * size, size, ACC_W), size, ACC_W);
    for (unsigned i = 0; i < 8; i++)
        store_n(cpu, stack_linear(cpu, sp + i * size, size, ACC_W), ld_le(frame + i * size, size),
                size);
    stack_set(cpu, sp);
}

OP(op_popa)
{
    const unsigned size = u->osize;
    uint64_t v[8];
    for (unsigned i = 0; i < 8; i++)
        v[i] = stack_peek(cpu, i * size, size);
    stack_set(cpu, stack_pointer(cpu) + 8 * size);
    for (unsigned i = 0; i < 8; i++)
        if (7 - i != REG_RSP)
            reg_write(cpu, 7 - i, v[i], size);
}

OP(op_enter)
{
    const unsigned size = u->osize, level = u->imm2 & 31;
    const uint64_t mask = stack_mask(cpu);
    uint64_t sp = (stack_pointer(cpu) - size) & mask, bp = cpu->r[REG_RBP];
    store_n(cpu, stack_linear(cpu, sp, size, ACC_W), bp, size);
    /* all of ESP, also when SP is the stack pointer (SDM 2A "ENTER", FrameTemp) */
    const uint64_t frame = (cpu->r[REG_RSP] & ~mask) | sp;
    for (unsigned i = 1; i < level; i++) {
        bp = (bp - size) & mask;
        const uint64_t v = load_n(cpu, stack_linear(cpu, bp, size, ACC_R), size);
        sp = (sp - size) & mask;
        store_n(cpu, stack_linear(cpu, sp, size, ACC_W), v, size);
    }
    if (level) {
        sp = (sp - size) & mask;
        store_n(cpu, stack_linear(cpu, sp, size, ACC_W), frame, size);
    }
    sp = (sp - u->imm) & mask;
    /* the final stack pointer must be writable (SDM 2A "ENTER") */
    probe(cpu, stack_linear(cpu, sp, size, ACC_W), size, ACC_W);
    reg_write(cpu, REG_RBP, frame, size);
    stack_set(cpu, sp);
}

OP(op_leave)
{
    const uint64_t sp = cpu->r[REG_RBP] & stack_mask(cpu);
    const uint64_t v = load_n(cpu, stack_linear(cpu, sp, u->osize, ACC_R), u->osize);
    stack_set(cpu, sp + u->osize);
    reg_write(cpu, REG_RBP, v, u->osize);
}
