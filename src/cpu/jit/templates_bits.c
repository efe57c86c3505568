/* Templates: bit tests, scans and counts, BMI. */
#include "cpu/jit/translate.h"

enum template bits_template(const struct insn *u, bool mem_ok)
{
    const bool wide = u->osize == 4 || u->osize == 8;
    if (!mem_ok || !wide)
        return T_HANDLER;
    switch (u->op) {
    case OP_BT:
        return u->mem ? T_HANDLER : T_BT;
    case OP_BTS:
    case OP_BTR:
    case OP_BTC:
        return u->mem ? T_HANDLER : T_BT_CHANGE;
    case OP_BSF:
    case OP_BSR:
        return T_SCAN;
    case OP_TZCNT:
    case OP_LZCNT:
    case OP_POPCNT:
        return T_COUNT;
    case OP_SHLX:
    case OP_SHRX:
    case OP_SARX:
    case OP_RORX:
    case OP_PDEP:
    case OP_PEXT:
        return T_BMI_SHIFT;
    case OP_ANDN:
    case OP_BLSI:
    case OP_BLSR:
    case OP_BLSMSK:
    case OP_BZHI:
    case OP_BEXTR:
        return T_BMI;
    case OP_MULX:
        return T_MULX;
    default:
        return T_HANDLER;
    }
}

/* The r/m operand, in memory or not. */
static struct host_rm source(struct tr *t)
{
    const struct insn *u = t->u;
    return u->mem ? memory_operand(t, u->osize, false) : guest_operand(u->rm);
}

void keep_carry(struct tr *t)
{
    if (!wanted(t))
        return;
    emit_rm(t->e, 1, 0x0f92, 0, CPU_SLOT(pending_c)); /* SETB */
    emit_store_imm(t->e, 2, h_state(offsetof(struct cpu, pending) + 2),
                   (int32_t)pending_part(PART_BT, t->u->osize));
    t->def.valid = false;
    t->host_flags = FLAG_CF;
}

static void bit_op(struct tr *t, struct host_rm rm)
{
    const struct insn *u = t->u;
    const unsigned n = u->op == OP_BT ? 0 : u->op == OP_BTS ? 1 : u->op == OP_BTR ? 2 : 3;
    if (u->row->opnd[1] != O_Gv)
        emit_rm_imm(t->e, u->osize, 0x0fba, 4 + n, rm, u->imm & (u->osize * 8u - 1), 1);
    else
        emit_rm(t->e, u->osize, 0x0fa3 + 8 * n, get(t, u->reg, H_R11), rm);
}

/* Changes CF; the undefined flags stay as they are (op_bit.c). */
void t_bt(struct tr *t)
{
    if (wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_CF_OF | PART_ZF);
    bit_op(t, h_reg(get(t, t->u->rm, H_R10)));
    keep_carry(t);
}

void t_bt_change(struct tr *t)
{
    const unsigned g = t->u->rm;
    if (wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_CF_OF | PART_ZF);
    const unsigned d = begin_change(t, g, H_R10);
    bit_op(t, h_reg(d));
    put(t, g, d);
    keep_carry(t);
}

/* With an immediate bit offset: one operand, where it says. */
void t_bt_mem(struct tr *t)
{
    const struct insn *u = t->u;
    if (wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_CF_OF | PART_ZF);
    if (is_atomic(t, u)) {
        atomic_bit(t, atomic_operand(t, effective_address(t, H_R10, u->osize)));
        keep_carry(t);
        return;
    }
    const struct host_rm m = memory_operand(t, u->osize, u->op != OP_BT);
    emit_load(t->e, u->osize, H_R11, m);
    bit_op(t, h_reg(H_R11));
    if (u->op != OP_BT)
        emit_store(t->e, u->osize, m, H_R11);
    keep_carry(t);
}

/* A source of zero leaves the destination alone; only ZF changes (op_bit.c). */
void t_scan(struct tr *t)
{
    const struct insn *u = t->u;
    if (wanted(t))
        settle_for(t, PART_ALL_BUT_CF | PART_CF | PART_CF_OF);
    clobber(t, u->reg);
    emit_load(t->e, u->osize, H_R11, source(t));
    emit_test(t->e, u->osize, h_reg(H_R11), H_R11);
    uint8_t *zero = emit_jcc_forward(t->e, CC_E);
    const unsigned d = home(u->reg, H_R10);
    emit_rm(t->e, u->osize, u->op == OP_BSF ? 0x0fbc : 0x0fbd, d, h_reg(H_R11));
    put(t, u->reg, d);
    emit_here(t->e, zero);
    t->host_flags = 0;
    if (!wanted(t))
        return;
    emit_store(t->e, 8, CPU_SLOT(pending_c), H_R11);
    emit_store_imm(t->e, 2, h_state(offsetof(struct cpu, pending) + 2),
                   (int32_t)pending_part(PART_ZF, u->osize));
    if (flags_read(t) & FLAG_ZF) {
        emit_test(t->e, u->osize, h_reg(H_R11), H_R11);
        t->host_flags = FLAG_ZF;
    }
    t->def.valid = false;
}

/* TZCNT, LZCNT: CF for a source of zero, ZF for a result of zero. POPCNT: ZF alone. */
void t_count(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->reg);
    const struct host_rm from = source(t);
    const unsigned d = home(u->reg, H_R10);
    const uint32_t opcode = u->op == OP_POPCNT ? 0x0fb8 : u->op == OP_TZCNT ? 0x0fbc : 0x0fbd;
    emit_sse(t->e, P_F3, u->osize == 8, opcode, d, from, -1);
    put(t, u->reg, d);
    if (u->op == OP_POPCNT) {
        flags_written_now(t, FLAG_ZF, pending_kind(PENDING_COUNT, u->osize), d, H_NONE, 0);
        return;
    }
    if (wanted(t))
        emit_rm(t->e, 1, 0x0f92, 0, CPU_SLOT(pending_b));
    flags_written_now(t, FLAG_CF | FLAG_ZF, pending_kind(PENDING_BMI, u->osize), d, H_NONE, 0);
}

/* SHLX, SHRX, SARX, RORX, PDEP, PEXT: no flags (SDM 2B) */
void t_bmi_shift(struct tr *t)
{
    const struct insn *u = t->u;
    const bool w = u->osize == 8, deposit = u->op == OP_PDEP || u->op == OP_PEXT;
    clobber(t, u->reg);
    struct host_rm from;
    if (u->mem) {
        emit_load(t->e, u->osize, H_R11, memory_operand(t, u->osize, false));
        from = h_reg(H_R11);
    } else {
        from = guest_operand(u->rm);
    }
    const unsigned d = home(u->reg, H_R10);
    if (u->op == OP_RORX)
        emit_vex(t->e, P_F2, 3, w, 0, 0xf0, d, 0, from, (int)(u->imm & 63));
    else if (deposit)
        emit_vex(t->e, u->op == OP_PDEP ? P_F2 : P_F3, 2, w, 0, 0xf5, d, get(t, u->vvvv, H_R14),
                 from, -1);
    else
        emit_vex(t->e,
                 u->op == OP_SHLX   ? P_66
                 : u->op == OP_SHRX ? P_F2
                                    : P_F3,
                 2, w, 0, 0xf7, d, get(t, u->vvvv, H_R14), from, -1);
    put(t, u->reg, d);
}

void t_bmi(struct tr *t)
{
    const struct insn *u = t->u;
    const bool w = u->osize == 8,
               group = u->op == OP_BLSI || u->op == OP_BLSR || u->op == OP_BLSMSK;
    const unsigned g = group ? u->vvvv : u->reg;
    clobber(t, g);
    struct host_rm from;
    if (u->mem) {
        emit_load(t->e, u->osize, H_R11, memory_operand(t, u->osize, false));
        from = h_reg(H_R11);
    } else {
        from = guest_operand(u->rm);
    }
    const unsigned d = home(g, H_R10);
    if (group) /* 0F38 F3 /1 BLSR, /2 BLSMSK, /3 BLSI */
        emit_vex(t->e, P_NONE, 2, w, 0, 0xf3,
                 u->op == OP_BLSR     ? 1
                 : u->op == OP_BLSMSK ? 2
                                      : 3,
                 d, from, -1);
    else if (u->op == OP_ANDN)
        emit_vex(t->e, P_NONE, 2, w, 0, 0xf2, d, get(t, u->vvvv, H_R14), from, -1);
    else
        emit_vex(t->e, P_NONE, 2, w, 0, u->op == OP_BZHI ? 0xf5 : 0xf7, d, get(t, u->vvvv, H_R14),
                 from, -1);
    put(t, g, d);
    const uint32_t known =
        u->op == OP_BEXTR ? FLAG_ZF | FLAG_CF | FLAG_OF : FLAG_ZF | FLAG_SF | FLAG_CF | FLAG_OF;
    if (wanted(t))
        emit_rm(t->e, 1, 0x0f92, 0, CPU_SLOT(pending_b));
    flags_written_now(t, known, pending_kind(PENDING_BMI, u->osize), d, H_NONE, 0);
}

/* RDX times r/m; no flags. Both destinations may be one register: it gets the upper half. */
void t_mulx(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->reg);
    clobber(t, u->vvvv);
    const struct host_rm from = source(t);
    const unsigned hi = home(u->reg, H_R11), lo = home(u->vvvv, u->vvvv == u->reg ? H_R11 : H_R14);
    emit_vex(t->e, P_F2, 2, u->osize == 8, 0, 0xf6, hi, lo, from, -1);
    put(t, u->vvvv, lo);
    put(t, u->reg, hi);
}
