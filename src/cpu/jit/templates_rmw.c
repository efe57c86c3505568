/*
 * Templates: instructions that change memory and are not of the ALU group. The operand is looked
 * up for writing, changed in R11, and stored: nothing can fault in between. LOCK needs nothing
 * more while all CPUs take turns on one thread (else: templates_atomic.c).
 */
#include "cpu/jit/translate.h"

enum template rmw_template(const struct insn *u, bool mem_ok)
{
    if (!mem_ok)
        return T_HANDLER;
    switch (u->op) {
    case OP_INC:
    case OP_DEC:
    case OP_NOT:
    case OP_NEG:
        return T_RMW_UNARY;
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_ROL:
    case OP_ROR: {
        const unsigned count = u->imm & (u->osize == 8 ? 63 : 31);
        return u->row->opnd[1] != O_CL && count && count < u->osize * 8u ? T_RMW_SHIFT : T_HANDLER;
    }
    case OP_XCHG:
        return u->osize >= 4 ? T_XCHG_MEM : T_HANDLER;
    case OP_CMPXCHG:
        return u->osize >= 4 && guest_host[u->reg] != H_NONE ? T_CMPXCHG : T_HANDLER;
    case OP_XADD:
        return u->osize >= 4 && guest_host[u->reg] != H_NONE ? T_XADD : T_HANDLER;
    case OP_BT:
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        return u->osize >= 4 && u->row->opnd[1] != O_Gv ? T_BT_MEM : T_HANDLER;
    default:
        return u->op >= OP_SETO && u->op <= OP_SETG ? T_SETCC_MEM : T_HANDLER;
    }
}

/* Only some flags changed: what is left of those is in R11. */
static void part_now(struct tr *t, uint32_t mask, enum pending_part part)
{
    t->host_flags = mask;
    if (!wanted(t))
        return;
    emit_store(t->e, 8, CPU_SLOT(pending_c), H_R11);
    emit_store_imm(t->e, 2, h_state(offsetof(struct cpu, pending) + 2),
                   (int32_t)pending_part(part, t->u->osize));
    t->def.valid = false;
}

void t_rmw_unary(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize;
    const bool step = u->op == OP_INC || u->op == OP_DEC;
    if (step && wanted(t))
        settle_for(t, PART_CF | PART_CF_OF);
    if (is_atomic(t, u)) {
        atomic_unary(t);
        if (step)
            part_now(t, FLAGS_ARITH & ~FLAG_CF, u->op == OP_DEC ? PART_DEC : PART_INC);
        return;
    }
    const struct host_rm m = memory_operand(t, size, true);
    emit_load(t->e, size, H_R11, m);
    if (step)
        emit_rm(t->e, size, size == 1 ? 0xfe : 0xff, u->op == OP_DEC, h_reg(H_R11));
    else
        emit_rm(t->e, size, size == 1 ? 0xf6 : 0xf7, u->op == OP_NEG ? X_NEG : X_NOT, h_reg(H_R11));
    emit_store(t->e, size, m, H_R11);
    if (step)
        part_now(t, FLAGS_ARITH & ~FLAG_CF, u->op == OP_DEC ? PART_DEC : PART_INC);
    else if (u->op == OP_NEG)
        flags_written_now(t, FLAGS_ARITH, pending_kind(PENDING_NEG, size), H_R11, H_NONE, 0);
}

void t_rmw_shift(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, count = u->imm & (size == 8 ? 63 : 31);
    const bool rotate = u->op == OP_ROL || u->op == OP_ROR;
    const unsigned x = u->op == OP_ROL   ? X_ROL
                       : u->op == OP_ROR ? X_ROR
                       : u->op == OP_SHL ? X_SHL
                       : u->op == OP_SHR ? X_SHR
                                         : X_SAR;
    if (rotate && wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_ZF);
    const struct host_rm m = memory_operand(t, size, true);
    emit_load(t->e, size, H_R11, m);
    if (!rotate && wanted(t)) {
        const enum pending_op p = x == X_SHL ? PENDING_SHL : x == X_SHR ? PENDING_SHR : PENDING_SAR;
        flags_written_now(t, 0, pending_kind(p, size), H_R11, H_NONE, (int64_t)count);
    }
    emit_rm_imm(t->e, size, size == 1 ? 0xc0 : 0xc1, x, h_reg(H_R11), count, 1);
    emit_store(t->e, size, m, H_R11);
    if (rotate)
        part_now(t, FLAG_CF, x == X_ROL ? PART_ROL : PART_ROR);
    else
        t->host_flags = FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_PF;
}

void t_setcc_mem(struct tr *t)
{
    const struct insn *u = t->u;
    need_flags(t, op_info[u->op].flags_read);
    emit_rm(t->e, 1, 0x0f90 | (unsigned)(u->op - OP_SETO), 0, CPU_SLOT(jit_target));
    const struct host_rm m = memory_operand(t, 1, true);
    emit_load(t->e, 1, H_R11, CPU_SLOT(jit_target));
    emit_store(t->e, 1, m, H_R11);
}

void t_xchg_mem(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->reg);
    if (is_atomic(t, u)) {
        atomic_xchg(t);
        return;
    }
    const struct host_rm m = memory_operand(t, u->osize, true);
    emit_load(t->e, u->osize, H_R11, m);
    if (guest_host[u->reg] != H_NONE) {
        emit_store(t->e, u->osize, m, guest_host[u->reg]);
    } else { /* one register short: through the slot of the target */
        emit_store(t->e, 8, CPU_SLOT(jit_target), H_R11);
        emit_load(t->e, 8, H_R11, h_state(guest_slot(u->reg)));
        emit_store(t->e, u->osize, m, H_R11);
        emit_load(t->e, 8, H_R11, CPU_SLOT(jit_target));
    }
    put(t, u->reg, H_R11);
}

/* Memory is written in either case (SDM 2A "CMPXCHG"): with itself, which nobody sees. */
void t_cmpxchg(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    clobber(t, REG_RAX);
    if (is_atomic(t, u)) {
        atomic_cmpxchg(t);
        return;
    }
    const struct host_rm m = memory_operand(t, u->osize, true);
    emit_load(e, u->osize, H_R11, m);
    emit_alu(e, u->osize, X_CMP, H_RAX, h_reg(H_R11));
    flags_written_now(t, FLAGS_ARITH, pending_kind(PENDING_CMP, u->osize), H_RAX, H_R11, 0);
    uint8_t *differs = emit_jcc_forward(e, CC_NE);
    emit_store(e, u->osize, m, guest_host[u->reg]);
    uint8_t *done = emit_jmp_forward(e);
    emit_here(e, differs);
    emit_load(e, u->osize, H_RAX, h_reg(H_R11));
    emit_here(e, done);
}

void t_xadd(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned r = guest_host[u->reg];
    clobber(t, u->reg);
    if (is_atomic(t, u)) {
        atomic_xadd(t);
        return;
    }
    const struct host_rm m = memory_operand(t, u->osize, true);
    emit_load(t->e, u->osize, H_R11, m);
    flags_written_now(t, 0, pending_kind(PENDING_ADD2, u->osize), H_R11, r, 0);
    /* r may be the address: it changes last */
    emit_alu(t->e, u->osize, X_ADD, H_R11, h_reg(r));
    emit_store(t->e, u->osize, m, H_R11);
    emit_alu(t->e, u->osize, X_SUB, H_R11, h_reg(r));
    emit_load(t->e, u->osize, r, h_reg(H_R11));
}
