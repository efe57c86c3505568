/*
 * Templates: what is locked, where CPUs have threads of their own (jit->atomic): one locked
 * instruction of the host does it, on an operand that lies in one piece. One that is not aligned
 * is the handler's, which stops the other CPUs: across two cache lines the host would lock its bus,
 * or forbid it. SDM 3A §8.1.2 "Bus Locking".
 */
#include "cpu/jit/translate.h"

#define LOCK 0xf0

bool is_atomic(const struct tr *t, const struct insn *u)
{
    return t->j->atomic && u->mem && (u->lock || u->op == OP_XCHG);
}

bool atomic_in_line(const struct insn *u)
{
    return u->op != OP_ADC && u->op != OP_SBB; /* they need a flag when none can be kept */
}

struct host_rm atomic_operand(struct tr *t, unsigned lin)
{
    const unsigned size = t->u->osize;
    if (size > 1) {
        t->host_flags = 0;
        emit_test_imm(t->e, 4, h_reg(lin), (int32_t)size - 1);
        leave_line(t, emit_jcc_forward(t->e, CC_NE));
    }
    return address_check(t, lin, size, true, false);
}

/* The operand, looked up for writing. Uses R10, R11 and R14; keeps the first and the last in use.
 */
static struct host_rm operand(struct tr *t)
{
    return atomic_operand(t, effective_address(t, H_R10, t->u->osize));
}

/* LOCK XADD: the operand becomes itself plus R11, and R11 what it was. */
static void exchange_add(struct tr *t, struct host_rm m)
{
    emit_u8(t->e, LOCK);
    emit_rm(t->e, t->u->osize, t->u->osize == 1 ? 0x0fc0 : 0x0fc1, H_R11, m);
}

void atomic_alu(struct tr *t, unsigned x, bool imm, unsigned g)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned size = u->osize;
    const struct host_rm m = operand(t);
    if (imm)
        emit_mov_imm(e, H_R11, (uint64_t)(int64_t)immediate(u));
    else
        emit_load(e, size, H_R11, guest_operand(g));
    if (!wanted(t) || (x != X_ADD && x != X_SUB)) {
        emit_u8(e, LOCK);
        emit_alu_to(e, size, x, m, H_R11);
        if (wanted(t))
            flags_from_host(t);
        else
            flags_written(t, FLAGS_ARITH, 0, v_none, v_none);
        return;
    }
    if (x == X_SUB)
        emit_rm(e, size, size == 1 ? 0xf6 : 0xf7, X_NEG, h_reg(H_R11));
    exchange_add(t, m);
    if (imm)
        emit_alu_imm(e, size, x, h_reg(H_R11), immediate(u));
    else
        emit_alu(e, size, x, H_R11, guest_operand(g));
    flags_written_now(t, FLAGS_ARITH, pending_kind(x == X_ADD ? PENDING_ADD : PENDING_SUB, size),
                      H_R11, imm ? H_NONE : get(t, g, H_R14), immediate(u));
}

/* INC, DEC, NOT, NEG. INC and DEC, whose CF stays, leave their result in R11 if flags are wanted.
 */
void atomic_unary(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned size = u->osize;
    const bool step = u->op == OP_INC || u->op == OP_DEC;
    const unsigned opcode = (step ? 0xfe : 0xf6) | (size != 1);
    const unsigned n = step ? u->op == OP_DEC : u->op == OP_NEG ? X_NEG : X_NOT;
    const struct host_rm m = operand(t);
    if (step && wanted(t)) {
        emit_mov_imm(e, H_R11, u->op == OP_DEC ? UINT64_MAX : 1);
        exchange_add(t, m);
        emit_rm(e, size, opcode, n, h_reg(H_R11));
        return;
    }
    emit_u8(e, LOCK);
    emit_rm(e, size, opcode, n, m);
    if (u->op != OP_NEG)
        return;
    if (wanted(t))
        flags_from_host(t);
    else
        flags_written(t, FLAGS_ARITH, 0, v_none, v_none);
}

void atomic_xchg(struct tr *t)
{
    const struct insn *u = t->u;
    const struct host_rm m = operand(t);
    emit_load(t->e, u->osize, H_R11, guest_operand(u->reg));
    emit_rm(t->e, u->osize, 0x87, H_R11, m); /* locked by itself */
    put(t, u->reg, H_R11);
}

/* RAX changes only if they differ, also its upper half. */
void atomic_cmpxchg(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const struct host_rm m = operand(t);
    emit_mov(e, 8, H_R11, H_RAX);
    emit_u8(e, LOCK);
    emit_rm(e, u->osize, 0x0fb1, guest_host[u->reg], m);
    flags_written_now(t, FLAGS_ARITH, pending_kind(PENDING_CMP, u->osize), H_R11, H_RAX, 0);
    uint8_t *differs = emit_jcc_forward(e, CC_NE);
    emit_mov(e, 8, H_RAX, H_R11);
    emit_here(e, differs);
}

void atomic_xadd(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned r = guest_host[u->reg];
    const struct host_rm m = operand(t);
    emit_load(t->e, u->osize, H_R11, h_reg(r));
    exchange_add(t, m);
    flags_written_now(t, 0, pending_kind(PENDING_ADD2, u->osize), H_R11, r, 0);
    emit_load(t->e, u->osize, r, h_reg(H_R11));
}

/* BTS, BTR, BTC of m: bit number u->imm, or what a register says below the operand's size. Leaves
 * CF. */
void atomic_bit(struct tr *t, struct host_rm m)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned n = u->op == OP_BTS ? 1 : u->op == OP_BTR ? 2 : 3, mask = u->osize * 8u - 1;
    if (u->row->opnd[1] != O_Gv) {
        emit_u8(e, LOCK);
        emit_rm_imm(e, u->osize, 0x0fba, 4 + n, m, u->imm & mask, 1);
        return;
    }
    emit_load(e, 4, H_R11, guest_operand(u->reg));
    emit_alu_imm(e, 4, X_AND, h_reg(H_R11), (int32_t)mask);
    emit_u8(e, LOCK);
    emit_rm(e, u->osize, 0x0fa3 + 8 * n, H_R11, m);
}
