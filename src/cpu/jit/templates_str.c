/*
 * Templates: string instructions with 64-bit addresses (SDM 2A "MOVS", "CMPS", 2B "REP", "STOS").
 * What goes backwards, or does not lie in plain memory, is the handler's.
 *
 * REP uses the host's own string instruction, a page at a time, in common code: RCX, RSI and RDI
 * are the guest's, so only the distance between guest and host addresses is added and taken away.
 * Each iteration counts as an instruction, as in op_string.c. Iterations that the budget does not
 * allow, an element across two pages and a miss in the TLB are left to the handler, which goes on
 * where the registers say.
 */
#include "cpu/jit/translate.h"

enum kind { MOVS, STOS, CMPS_E, CMPS_NE, SCAS_E, SCAS_NE };

static bool plain_segment(const struct insn *u)
{
    return u->seg != SEG_FS && u->seg != SEG_GS;
}

enum template string_template(const struct insn *u)
{
    const bool repeated = u->rep || u->repne;
    if (u->asize != 8)
        return T_HANDLER;
    switch (u->op) {
    case OP_MOVS:
        return !repeated ? T_STRING : plain_segment(u) ? T_REP : T_HANDLER;
    case OP_STOS:
        return repeated ? T_REP : T_STRING;
    case OP_LODS:
        return repeated ? T_HANDLER : T_STRING;
    case OP_CMPS:
        return repeated && plain_segment(u) ? T_REP : T_HANDLER;
    case OP_SCAS:
        return repeated ? T_REP : T_HANDLER;
    default:
        return T_HANDLER;
    }
}

static uint8_t *backwards(struct emit *e)
{
    emit_test_imm(e, 1, h_cpu(offsetof(struct cpu, eflags) + 1), (int32_t)(FLAG_DF >> 8));
    return emit_jcc_forward(e, CC_NE);
}

/* --- one element --- */

static unsigned source_address(struct tr *t)
{
    struct insn u = *t->u;
    if (plain_segment(&u))
        return H_RSI;
    u.base = REG_RSI;
    u.xindex = REG_ZERO;
    u.disp = 0;
    const struct insn *const is = t->u;
    t->u = &u;
    const unsigned lin = effective_address(t, H_R10, u.osize);
    t->u = is;
    return lin;
}

void t_string(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned size = u->osize;
    if (u->op != OP_STOS)
        clobber(t, REG_RSI);
    clobber(t, u->op == OP_LODS ? REG_RAX : REG_RDI);
    t->host_flags = 0;
    leave_line(t, backwards(e));
    if (u->op != OP_STOS)
        emit_load(e, size, u->op == OP_LODS ? H_RAX : H_R10,
                  address_check(t, source_address(t), size, false, false));
    if (u->op != OP_LODS)
        emit_store(e, size, address_check(t, H_RDI, size, true, false),
                   u->op == OP_STOS ? H_RAX : H_R10);
    if (u->op != OP_STOS)
        emit_lea(e, 8, H_RSI, h_mem(H_RSI, (int32_t)size));
    if (u->op != OP_LODS)
        emit_lea(e, 8, H_RDI, h_mem(H_RDI, (int32_t)size));
}

/* --- REP --- */

static unsigned string_stub(const struct insn *u)
{
    const unsigned ne = !u->rep;
    const unsigned kind = u->op == OP_MOVS   ? MOVS
                          : u->op == OP_STOS ? STOS
                          : u->op == OP_CMPS ? CMPS_E + ne
                                             : SCAS_E + ne;
    return STUB_STRING + kind * 4 + (unsigned)__builtin_ctz(u->osize);
}

void t_rep(struct tr *t)
{
    const struct insn *u = t->u;
    const bool compares = u->op == OP_CMPS || u->op == OP_SCAS;
    if (compares)
        flush_flags(t);
    clobber(t, REG_RCX);
    clobber(t, REG_RSI);
    clobber(t, REG_RDI);
    emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[string_stub(u)]);
    *new_late(t) = (struct late){.from = emit_jcc_forward(t->e, CC_NE), .u = u, .def = t->def};
    if (compares) /* a count of 0 leaves them as they were */
        flags_unknown(t);
    t->host_flags = 0;
}

/* R11 = elements that may be done at once; jumps if that is none. Uses R10. */
static uint8_t *write_count(struct emit *e, bool source, bool dest, unsigned shift)
{
    emit_mov(e, 4, H_R10, source ? H_RSI : H_RDI);
    emit_alu_imm(e, 4, X_AND, h_reg(H_R10), PAGE_SIZE - 1);
    if (source && dest) { /* the one that is farther into its page */
        emit_mov(e, 4, H_R11, H_RDI);
        emit_alu_imm(e, 4, X_AND, h_reg(H_R11), PAGE_SIZE - 1);
        emit_alu(e, 4, X_CMP, H_R10, h_reg(H_R11));
        emit_rm(e, 4, 0x0f40 | CC_B, H_R10, h_reg(H_R11));
    }
    emit_mov_imm(e, H_R11, PAGE_SIZE);
    emit_alu(e, 4, X_SUB, H_R11, h_reg(H_R10));
    if (shift)
        emit_rm_imm(e, 4, 0xc1, X_SHR, h_reg(H_R11), shift, 1);
    emit_alu(e, 8, X_CMP, H_R11, h_reg(H_RCX));
    emit_rm(e, 8, 0x0f40 | CC_A, H_R11, h_reg(H_RCX));
    emit_alu(e, 8, X_CMP, H_R11, h_reg(H_R13)); /* which is never negative in a block */
    emit_rm(e, 8, 0x0f40 | CC_A, H_R11, h_reg(H_R13));
    emit_test(e, 8, h_reg(H_R11), H_R11);
    return emit_jcc_forward(e, CC_E);
}

static void write_host_string(struct emit *e, enum kind kind, unsigned size)
{
    static const uint8_t opcode[] = {[MOVS] = 0xa4,    [STOS] = 0xaa,   [CMPS_E] = 0xa6,
                                     [CMPS_NE] = 0xa6, [SCAS_E] = 0xae, [SCAS_NE] = 0xae};
    emit_u8(e, kind == CMPS_NE || kind == SCAS_NE ? 0xf2 : 0xf3);
    if (size == 2)
        emit_u8(e, 0x66);
    if (size == 8)
        emit_u8(e, 0x48);
    emit_u8(e, opcode[kind] | (size > 1));
}

/* The guest's flags are the host's; whether the repetition ends is in jit_target. Keeps R11. */
static void write_comparison(struct emit *e, enum kind kind)
{
    const bool while_equal = kind == CMPS_E || kind == SCAS_E;
    emit_rm(e, 1, 0x0f90 | (while_equal ? CC_NE : CC_E), 0, CPU_SLOT_GS(jit_target));
    emit_mov(e, 8, H_R14, H_RAX);
    emit_rm(e, 1, 0x0f90 | CC_O, 0, h_reg(H_RAX));
    emit_u8(e, 0x9f); /* LAHF */
    emit_store(e, 8, CPU_SLOT_GS(pending_a), H_RAX);
    emit_mov(e, 8, H_RAX, H_R14);
    emit_store_imm(e, 4, CPU_SLOT_GS(pending), (int32_t)pending_kind(PENDING_ALL, 8));
}

static void write_return(struct emit *e, bool done)
{
    emit_pop(e, H_R12);
    emit_pop(e, H_RBX);
    emit_pop(e, H_RDX);
    if (done)
        emit_alu(e, 4, X_XOR, H_R10, h_reg(H_R10));
    else
        emit_alu_imm(e, 4, X_OR, h_reg(H_R10), -1);
    stub_returns(e);
}

/* ZF says whether all is done; else the handler has to go on. Uses R10, R11, R14. */
static void write_string(struct emit *e, enum kind kind, unsigned shift)
{
    const bool source = kind == MOVS || kind == CMPS_E || kind == CMPS_NE;
    const bool writes = kind == MOVS || kind == STOS;
    stub_starts(e);
    emit_push(e, H_RDX);
    emit_push(e, H_RBX);
    emit_push(e, H_R12);
    emit_mov(e, 8, H_R12, H_RCX); /* the guest's while RCX is not */
    uint8_t *unusual[4];
    unusual[0] = backwards(e);
    emit_test(e, 8, h_reg(H_RCX), H_RCX);
    uint8_t *none = emit_jcc_forward(e, CC_E);

    const uint8_t *again = e->p;
    unusual[1] = write_count(e, source, true, shift);
    unusual[2] = source ? emit_line_look_up(e, H_RSI, 1, false, H_R10, H_RDX) : NULL;
    unusual[3] = emit_line_look_up(e, H_RDI, 1, writes, H_R10, H_RBX);
    if (source)
        emit_alu(e, 8, X_ADD, H_RSI, h_reg(H_RDX));
    emit_alu(e, 8, X_ADD, H_RDI, h_reg(H_RBX));
    emit_mov(e, 8, H_RCX, H_R11);
    write_host_string(e, kind, 1u << shift);
    if (!writes)
        write_comparison(e, kind);
    if (source)
        emit_alu(e, 8, X_SUB, H_RSI, h_reg(H_RDX));
    emit_alu(e, 8, X_SUB, H_RDI, h_reg(H_RBX));
    emit_alu(e, 8, X_SUB, H_R11, h_reg(H_RCX)); /* how many were done */
    emit_alu(e, 8, X_SUB, H_R13, h_reg(H_R11));
    emit_alu(e, 8, X_SUB, H_R12, h_reg(H_R11));
    emit_mov(e, 8, H_RCX, H_R12);
    uint8_t *ended = NULL;
    if (!writes) {
        emit_alu_imm(e, 1, X_CMP, CPU_SLOT_GS(jit_target), 0);
        ended = emit_jcc_forward(e, CC_NE);
    }
    emit_test(e, 8, h_reg(H_RCX), H_RCX);
    emit_patch(emit_jcc_forward(e, CC_NE), again);
    if (ended)
        emit_here(e, ended);
    emit_alu_imm(e, 8, X_ADD, h_reg(H_R13), 1); /* the block took one already */
    emit_here(e, none);
    write_return(e, true);
    for (unsigned i = 0; i < ARRAY_SIZE(unusual); i++)
        if (unusual[i])
            emit_here(e, unusual[i]);
    write_return(e, false);
}

void write_string_stub(struct emit *e, unsigned n)
{
    write_string(e, (enum kind)(n / 4), n % 4);
}
