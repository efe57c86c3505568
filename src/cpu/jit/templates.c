/* Templates: which instructions have one, and the code of those that do not end a block. */
#include "cpu/jit/translate.h"
#include "cpu/op_int.h"

/* --- choosing --- */

static bool address_ok(const struct insn *u)
{
    if (u->asize == 4) /* CS keeps its checks in 32-bit code (decode.c) */
        return u->seg == SEG_FLAT || u->seg == SEG_FS || u->seg == SEG_GS;
    /* an address relative to RIP is the displacement behind an offset in the page */
    return u->asize == 8 && u->disp >= INT32_MIN + 2 * (int64_t)PAGE_SIZE &&
           u->disp <= INT32_MAX - 2 * (int64_t)PAGE_SIZE;
}

/* Byte operands are named by offset in cpu->r (bind.c): AH and its like are odd. */
static bool high_byte(unsigned operand, unsigned size)
{
    return size == 1 && (operand & 1);
}

static enum template alu(const struct insn *u)
{
    const enum operand src = u->row->opnd[1];
    const bool to_mem = u->mem && ((u->row->opnd[0] >= O_Eb && u->row->opnd[0] <= O_Ey) ||
                                   u->row->opnd[0] == O_Ob || u->row->opnd[0] == O_Ov);
    if (u->mem && !address_ok(u)) /* LOCK: see templates_atomic.c */
        return T_HANDLER;
    const bool carry = u->op == OP_ADC || u->op == OP_SBB;
    const bool from_high = !is_imm(src) && (!u->mem || to_mem) && high_byte(u->b, u->osize);
    if (to_mem && (carry || (from_high && u->op != OP_MOV)))
        return T_HANDLER;
    if (!to_mem && (high_byte(u->a, u->osize) || from_high)) {
        const bool pinned = guest_host[u->a >> 3] != H_NONE;
        return carry || !pinned ? T_HANDLER : T_HIGH_BYTE;
    }
    return u->op == OP_MOV ? T_MOV : T_ALU;
}

static enum template shift(const struct insn *u)
{
    if (high_byte(u->a, u->osize))
        return T_HANDLER;
    if (u->row->opnd[1] == O_CL)
        return (u->op == OP_SHL || u->op == OP_SHR || u->op == OP_SAR) && u->osize >= 4 ? T_SHIFT_CL
                                                                                        : T_HANDLER;
    const unsigned count = u->imm & (u->osize == 8 ? 63 : 31);
    if (count == 0 || count >= u->osize * 8u || u->op == OP_RCL || u->op == OP_RCR)
        return T_HANDLER;
    return T_SHIFT_IMM;
}

static enum template by_op(const struct tr *t, const struct insn *u)
{
    const bool mem_ok = !u->mem || address_ok(u), word = u->osize == t->word;
    switch (u->op) {
    case OP_ADD:
    case OP_OR:
    case OP_ADC:
    case OP_SBB:
    case OP_AND:
    case OP_SUB:
    case OP_XOR:
    case OP_CMP:
    case OP_TEST:
    case OP_MOV:
        return alu(u);
    case OP_NOP:
        return T_NOP;
    case OP_MOVZX:
    case OP_MOVSX:
    case OP_MOVSXD:
        return mem_ok ? T_EXTEND : T_HANDLER;
    case OP_LEA:
        return mem_ok && u->osize >= 4 ? T_LEA : T_HANDLER;
    case OP_INC:
    case OP_DEC:
        return u->mem ? rmw_template(u, mem_ok) : high_byte(u->a, u->osize) ? T_HANDLER : T_INCDEC;
    case OP_NOT:
    case OP_NEG:
        return u->mem ? rmw_template(u, mem_ok) : high_byte(u->a, u->osize) ? T_HANDLER : T_NOTNEG;
    case OP_SHL:
    case OP_SHR:
    case OP_SAR:
    case OP_ROL:
    case OP_ROR:
        return u->mem ? rmw_template(u, mem_ok) : shift(u);
    case OP_IMUL:
        return mem_ok && u->osize >= 4 ? T_IMUL : T_HANDLER;
    case OP_MUL:
    case OP_IMUL1:
        return mem_ok && u->osize >= 4 ? T_MUL : T_HANDLER;
    case OP_XCHG:
        return u->osize < 4 || u->row->opnd[0] != O_Ev ? T_HANDLER
               : u->mem                                ? rmw_template(u, mem_ok)
                                                       : T_XCHG;
    case OP_BSWAP:
        return u->osize >= 4 ? T_BSWAP : T_HANDLER;
    case OP_CBW:
    case OP_CWD:
        return T_WIDEN;
    case OP_DIV:
    case OP_IDIV:
        return mem_ok && u->osize >= 4 ? T_DIV : T_HANDLER;
    case OP_PUSH:
        return word && (u->row->opnd[0] == O_Zv || is_imm(u->row->opnd[0])) ? T_PUSH : T_HANDLER;
    case OP_POP:
        return word && u->row->opnd[0] == O_Zv ? T_POP : T_HANDLER;
    case OP_LEAVE:
        return word ? T_LEAVE : T_HANDLER;
    case OP_JMP:
        return u->osize == 2 ? T_HANDLER : T_JMP;
    case OP_LOOP:
    case OP_JCXZ:
        return u->osize != 2 && u->asize >= 4 ? T_LOOP : T_HANDLER;
    case OP_CALL:
        return word ? T_CALL : T_HANDLER;
    case OP_RET:
        return word ? T_RET : T_HANDLER;
    case OP_JMPN:
        return mem_ok && word ? T_JMP_IND : T_HANDLER;
    case OP_CALLN:
        return mem_ok && word ? T_CALL_IND : T_HANDLER;
    default:
        break;
    }
    if (u->op >= OP_JO && u->op <= OP_JG)
        return u->osize == 2 ? T_HANDLER : T_JCC;
    const enum template other = u->mem ? rmw_template(u, mem_ok) : T_HANDLER;
    if (other != T_HANDLER)
        return other;
    if (u->op >= OP_SETO && u->op <= OP_SETG)
        return !u->mem && !high_byte(u->a, 1) ? T_SETCC : T_HANDLER;
    if (u->op >= OP_CMOVO && u->op <= OP_CMOVG)
        return mem_ok && u->osize >= 4 ? T_CMOV : T_HANDLER;
    const enum template bits = bits_template(u, mem_ok);
    return bits != T_HANDLER ? bits : string_template(u);
}

enum template template_of(const struct tr *t, const struct insn *u)
{
    const bool mem_ok = !u->mem || address_ok(u);
    if (is_atomic(t, u) && !atomic_in_line(u))
        return T_HANDLER;
    enum template how = by_op(t, u);
    if (how == T_HANDLER)
        how = system_template(t, u, mem_ok);
    if (how != T_HANDLER)
        return how;
    if ((op_info[u->op].attr & OA_X87) || (u->row->attr & A_MMX) || u->op == OP_FWAIT) {
        const enum template x87 = x87_template(t, u, mem_ok);
        if (x87 != T_VEC)
            return x87;
    }
    return vector_template(t, u, mem_ok);
}

/* --- small things --- */

void leave_line(struct tr *t, uint8_t *from)
{
    if (!share_leave(t, from))
        *new_late(t) = (struct late){.from = from, .back = t->e->p, .u = t->u, .def = t->def};
}

void leave_for_good(struct tr *t, uint8_t *from)
{
    *new_late(t) = (struct late){.from = from, .u = t->u, .def = t->def};
}

void call_stub(struct tr *t, enum jit_stub s)
{
    emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[s]);
    t->vectors = false;
}

void by_handler(struct tr *t)
{
    t->before = false; /* the stub looks for them */
    t->changed = ~UINT32_C(0);
    flush_flags(t);
    flush_note(t);
    emit_mov_imm(t->e, H_R11, (uintptr_t)&t->b->insn[t->u->index]);
    call_stub(t, STUB_INSN);
    t->x87 = false;
    flags_unknown(t);
}

unsigned begin_change(struct tr *t, unsigned g, unsigned scratch)
{
    clobber(t, g);
    return get(t, g, scratch);
}

/*
 * Register g, to be changed by one instruction: where it lives, but for 32-bit operands of one that
 * lives in memory, which clear its upper half: R10, and end_in_place() puts it back.
 */
static struct host_rm begin_in_place(struct tr *t, unsigned g)
{
    clobber(t, g);
    if (guest_host[g] != H_NONE || t->u->osize != 4)
        return guest_operand(g);
    return h_reg(get(t, g, H_R10));
}

static void end_in_place(struct tr *t, unsigned g)
{
    if (guest_host[g] == H_NONE && t->u->osize == 4)
        put(t, g, H_R10);
}

/* --- ADD to CMP, TEST --- */

enum { TEST = 8 };

static unsigned alu_index(const struct insn *u)
{
    static const uint8_t index[] = {
        [OP_ADD - OP_ADD] = X_ADD, [OP_OR - OP_ADD] = X_OR,   [OP_ADC - OP_ADD] = X_ADC,
        [OP_SBB - OP_ADD] = X_SBB, [OP_AND - OP_ADD] = X_AND, [OP_SUB - OP_ADD] = X_SUB,
        [OP_XOR - OP_ADD] = X_XOR, [OP_CMP - OP_ADD] = X_CMP, [OP_TEST - OP_ADD] = TEST};
    return index[u->op - OP_ADD];
}

static void op_reg(struct tr *t, unsigned x, unsigned a, struct host_rm b)
{
    if (x == TEST)
        emit_test(t->e, t->u->osize, b, a);
    else
        emit_alu(t->e, t->u->osize, x, a, b);
}

static void op_imm(struct tr *t, unsigned x, struct host_rm a)
{
    if (x == TEST)
        emit_test_imm(t->e, t->u->osize, a, immediate(t->u));
    else
        emit_alu_imm(t->e, t->u->osize, x, a, immediate(t->u));
}

/* a op= b, either of which may be in memory. Uses R11. */
static void op_to(struct tr *t, unsigned x, struct host_rm a, struct host_rm b)
{
    const unsigned size = t->u->osize;
    if (!a.mem) {
        emit_alu(t->e, size, x, a.base, b);
        return;
    }
    if (b.mem) {
        emit_load(t->e, size, H_R11, b);
        b = h_reg(H_R11);
    }
    emit_alu_to(t->e, size, x, a, b.base);
}

static uint32_t kind_of(unsigned x, unsigned size)
{
    switch (x) {
    case X_ADD:
        return pending_kind(PENDING_ADD, size);
    case X_SUB:
        return pending_kind(PENDING_SUB, size);
    case X_CMP:
        return pending_kind(PENDING_CMP, size);
    default:
        return pending_kind(PENDING_LOGIC, size);
    }
}

/* ADC, SBB: their flags are taken from the host as they are. Uses R10. */
void flags_from_host(struct tr *t)
{
    struct emit *e = t->e;
    t->host_flags = FLAGS_ARITH;
    t->def.valid = false;
    if (!flags_seen(t) && !flags_read(t))
        return;
    emit_mov(e, 8, H_R10, H_RAX);
    emit_rm(e, 1, 0x0f90, 0, h_reg(H_RAX)); /* SETO AL */
    emit_u8(e, 0x9f);                       /* LAHF */
    emit_store(e, 8, CPU_SLOT(pending_a), H_RAX);
    emit_mov(e, 8, H_RAX, H_R10);
    store_pending(t, pending_kind(PENDING_ALL, 8));
}

static void with_carry(struct tr *t, unsigned x)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, g = reg_of(u->a, size);
    if (u->mem) {
        clobber(t, g);
        emit_load(t->e, size, H_R11, memory_operand(t, size, false));
        emit_store(t->e, 8, CPU_SLOT(jit_target), H_R11);
    }
    need_flags(t, FLAG_CF);
    const struct host_rm d = begin_in_place(t, g);
    if (u->mem)
        op_to(t, x, d, CPU_SLOT(jit_target));
    else if (is_imm(u->row->opnd[1]))
        op_imm(t, x, d);
    else
        op_to(t, x, d, guest_operand(reg_of(u->b, size)));
    end_in_place(t, g);
    flags_from_host(t);
}

/* Operands in registers, or a register and an immediate; nothing is written. */
static void compare_registers(struct tr *t, unsigned x)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, ga = reg_of(u->a, size);
    const bool imm = is_imm(u->row->opnd[1]);
    const unsigned gb = imm ? 0 : reg_of(u->b, size);
    if (x == TEST && (imm || ga != gb) && wanted(t)) { /* the result is in no register */
        emit_load(t->e, 8, H_R10, guest_operand(ga));
        if (imm)
            op_imm(t, X_AND, h_reg(H_R10));
        else
            op_reg(t, X_AND, H_R10, guest_operand(gb));
        flags_written_now(t, FLAGS_ARITH, kind_of(x, size), H_R10, H_NONE, 0);
        return;
    }
    if (imm)
        op_imm(t, x, guest_operand(ga));
    else
        op_reg(t, x, get(t, ga, H_R10), guest_operand(gb));
    flags_written(t, FLAGS_ARITH, kind_of(x, size), v_reg(ga),
                  x == TEST ? v_none
                  : imm     ? v_imm(immediate(u))
                            : v_reg(gb));
}

static void alu_registers(struct tr *t, unsigned x)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, g = reg_of(u->a, size);
    const bool imm = is_imm(u->row->opnd[1]);
    const unsigned gb = imm ? 0 : reg_of(u->b, size);
    const bool twice = x == X_ADD && !imm && gb == g;
    t->def.valid = false; /* overwritten, and nothing can fault before */
    const struct host_rm d = begin_in_place(t, g);
    if (twice && wanted(t)) {
        const unsigned v = get(t, g, H_R11);
        emit_store(t->e, 8, CPU_SLOT(pending_a), v);
        emit_store(t->e, 8, CPU_SLOT(pending_b), v);
        store_pending(t, pending_kind(PENDING_ADD2, size));
    }
    if (imm)
        op_imm(t, x, d);
    else
        op_to(t, x, d, guest_operand(gb));
    end_in_place(t, g);
    if (twice) {
        t->host_flags = FLAGS_ARITH;
        t->def.valid = false;
    } else if (x == X_SUB && !imm && gb == g) {
        flags_written(t, FLAGS_ARITH, pending_kind(PENDING_LOGIC, size), v_imm(0), v_none);
    } else {
        const bool logic = x != X_ADD && x != X_SUB;
        flags_written(t, FLAGS_ARITH, kind_of(x, size), v_reg(g),
                      logic ? v_none
                      : imm ? v_imm(immediate(u))
                            : v_reg(gb));
    }
}

/* reg op= [mem], or compares them */
static void alu_from_memory(struct tr *t, unsigned x)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, g = reg_of(u->a, size);
    const bool changes = x != X_CMP && x != TEST;
    const bool logic = x != X_ADD && x != X_SUB && x != X_CMP;
    const struct host_rm m = memory_operand(t, size, false);
    if (changes) {
        t->def.valid = false; /* overwritten; a miss has put it into memory, should that fault */
        clobber(t, g);
    }
    if (guest_host[g] != H_NONE && (!wanted(t) || (logic && x != TEST))) {
        if (x == TEST)
            emit_test(t->e, size, m, guest_host[g]);
        else
            emit_alu(t->e, size, x, guest_host[g], m);
        if (x == TEST || !logic)
            flags_written(t, FLAGS_ARITH, 0, v_none, v_none); /* which nobody wants */
        else
            flags_written(t, FLAGS_ARITH, kind_of(x, size), v_reg(g), v_none);
        return;
    }
    emit_load(t->e, size, H_R11, m);
    const unsigned d = get(t, g, H_R10);
    if (x == TEST) {
        emit_alu(t->e, size, X_AND, H_R11, h_reg(d));
        flags_written_now(t, FLAGS_ARITH, kind_of(x, size), H_R11, H_NONE, 0);
        return;
    }
    emit_alu(t->e, size, x, d, h_reg(H_R11));
    if (changes)
        put(t, g, d);
    flags_written_now(t, FLAGS_ARITH, kind_of(x, size), d, H_R11, 0);
}

/* [mem] op= reg or immediate, or compares them */
static void alu_to_memory(struct tr *t, unsigned x)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize;
    const bool changes = x != X_CMP && x != TEST, imm = is_imm(u->row->opnd[1]);
    const unsigned g = imm ? 0 : reg_of(u->b, size);
    if (changes && is_atomic(t, u)) {
        atomic_alu(t, x, imm, g);
        return;
    }
    const struct host_rm m = memory_operand(t, size, changes);
    if (!wanted(t)) {
        if (imm)
            op_imm(t, x, m);
        else if (x == TEST)
            emit_test(t->e, size, m, get(t, g, H_R11));
        else
            emit_alu_to(t->e, size, x, m, get(t, g, H_R11));
        flags_written(t, FLAGS_ARITH, 0, v_none, v_none);
        return;
    }
    emit_load(t->e, size, H_R11, m);
    if (x == X_CMP) { /* both operands are kept */
        if (imm)
            op_imm(t, x, h_reg(H_R11));
        else
            emit_alu(t->e, size, x, H_R11, guest_operand(g));
    } else {
        if (imm)
            op_imm(t, x == TEST ? X_AND : x, h_reg(H_R11));
        else
            emit_alu(t->e, size, x == TEST ? X_AND : x, H_R11, guest_operand(g));
        if (changes)
            emit_store(t->e, size, m, H_R11);
    }
    flags_written_now(t, FLAGS_ARITH, kind_of(x, size), H_R11, imm ? H_NONE : get(t, g, H_R14),
                      immediate(u));
}

static void t_alu(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned x = alu_index(u);
    const enum operand to = u->row->opnd[0];
    if (x == X_ADC || x == X_SBB)
        with_carry(t, x);
    else if (u->mem && ((to >= O_Eb && to <= O_Ey) || to == O_Ob || to == O_Ov))
        alu_to_memory(t, x);
    else if (u->mem)
        alu_from_memory(t, x);
    else if (x == X_CMP || x == TEST)
        compare_registers(t, x);
    else
        alu_registers(t, x);
}

/* --- moves --- */

static void move_immediate(struct tr *t, unsigned g)
{
    const struct insn *u = t->u;
    clobber(t, g);
    if (u->osize >= 4) {
        const unsigned d = home(g, H_R10);
        emit_mov_imm(t->e, d, u->osize == 8 ? u->imm : (uint32_t)u->imm);
        put(t, g, d);
        return;
    }
    const unsigned d = get(t, g, H_R10);
    emit_store_imm(t->e, u->osize, h_reg(d), immediate(u));
    put(t, g, d);
}

/*
 * The next instruction is an ADC or SBB on registers, which takes the carry of an addition and
 * leaves nothing else of it to be seen.
 */
static bool carry_is_next(const struct tr *t)
{
    const struct insn *next = &t->b->insn[t->u->index + 1]; /* or the one behind the last */
    return t->u->index + 1u < t->b->n && t->how[next->index] == T_ALU && !next->mem &&
           (next->op == OP_ADC || next->op == OP_SBB) && flags_read(t) == FLAG_CF && !flags_seen(t);
}

static void t_mov(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize;
    const enum operand to = u->row->opnd[0];
    const bool imm = is_imm(u->row->opnd[1]);
    if (u->mem && ((to >= O_Eb && to <= O_Ey) || to == O_Ob || to == O_Ov)) {
        const struct host_rm m = memory_operand(t, size, true);
        if (imm)
            emit_store_imm(t->e, size, m, immediate(u));
        else
            emit_store(t->e, size, m, size == 1 ? get_byte(t, u->b, H_R11) : get(t, u->b, H_R11));
        return;
    }
    const unsigned g = reg_of(u->a, size);
    if (imm) {
        move_immediate(t, g);
        return;
    }
    struct host_rm from;
    if (u->mem && carry_is_next(t) && carry_known(t)) {
        from = memory_operand(t, size, false);
        carry_to_host(t);
        clobber(t, g);
    } else {
        clobber(t, g);
        from = u->mem ? memory_operand(t, size, false) : guest_operand(reg_of(u->b, size));
    }
    if (size == 8 && guest_host[g] == H_NONE && !u->mem) {
        put(t, g, get(t, u->b, H_R10));
    } else if (size >= 4) {
        const unsigned d = home(g, H_R10);
        emit_load(t->e, size, d, from);
        put(t, g, d);
    } else if (guest_host[g] != H_NONE) {
        emit_load(t->e, size, guest_host[g], from);
    } else { /* the rest of the register stays: it is written where it lives */
        emit_load(t->e, size, H_R11, from);
        emit_store(t->e, size, h_state(guest_slot(g)), H_R11);
    }
}

static void t_extend(struct tr *t)
{
    const struct insn *u = t->u;
    const enum operand src = u->row->opnd[1];
    const unsigned from = src == O_Eb ? 1 : src == O_Ew ? 2 : 4, g = u->a;
    clobber(t, g);
    struct host_rm m;
    if (u->mem)
        m = memory_operand(t, from, false);
    else
        m = from == 1 ? h_reg(get_byte(t, u->b, H_R11)) : guest_operand(u->b);
    const unsigned d = u->osize == 2 && guest_host[g] == H_NONE ? H_R10 : home(g, H_R10);
    uint32_t opcode;
    if (u->op == OP_MOVZX)
        opcode = from == 1 ? 0x0fb6 : 0x0fb7;
    else
        opcode = from == 1 ? 0x0fbe : from == 2 ? 0x0fbf : 0x63;
    if (from >= u->osize) /* nothing to extend */
        opcode = 0x8b;
    emit_extend(t->e, u->osize, opcode, d, m, from);
    if (u->osize == 2 && guest_host[g] == H_NONE)
        emit_store(t->e, 2, h_state(guest_slot(g)), d);
    else
        put(t, g, d);
}

static void t_lea(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->reg);
    if (u->osize == 8) {
        /* a base that has to be loaded must not take the place of the index */
        const bool there = u->base < 16 && guest_host[u->base] != H_NONE;
        put(t, u->reg, effective_address(t, there ? home(u->reg, H_R10) : H_R10, 0));
    } else {
        const unsigned lin = effective_address(t, H_R10, 0);
        const unsigned d = home(u->reg, H_R10);
        emit_load(t->e, 4, d, h_reg(lin));
        put(t, u->reg, d);
    }
}

static void t_xchg(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->rm);
    clobber(t, u->reg);
    const unsigned a = get(t, u->rm, H_R10), b = get(t, u->reg, H_R11);
    emit_load(t->e, u->osize, H_R14, h_reg(a));
    emit_load(t->e, u->osize, home(u->rm, H_R10), h_reg(b));
    put(t, u->rm, home(u->rm, H_R10));
    put(t, u->reg, H_R14);
}

static void t_bswap(struct tr *t)
{
    const unsigned g = t->u->reg, d = begin_change(t, g, H_R10);
    const uint8_t code[3] = {(uint8_t)(0x40 | (t->u->osize == 8 ? 8 : 0) | (d >> 3)), 0x0f,
                             (uint8_t)(0xc8 | (d & 7))};
    emit_bytes(t->e, code, 3);
    put(t, g, d);
}

static void t_widen(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, u->op == OP_CBW ? REG_RAX : REG_RDX);
    if (u->osize != 4)
        emit_u8(t->e, u->osize == 2 ? 0x66 : 0x48);
    emit_u8(t->e, u->op == OP_CBW ? 0x98 : 0x99);
}

/* --- one operand, shifts, products --- */

/*
 * For an instruction that changes some flags: those of before are put into memory, and no other
 * such part is left pending there whose flags it does not cover (in: enum pending_part's bits).
 */
void settle_for(struct tr *t, unsigned in)
{
    if (t->def.valid && !t->def.part) { /* known to be alone */
        flush_flags(t);
        return;
    }
    flush_flags(t);
    emit_test_imm(t->e, 1, h_state(offsetof(struct cpu, pending) + 2), (int32_t)in);
    uint8_t *fine = emit_jcc_forward(t->e, CC_E);
    emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[STUB_SETTLE]);
    emit_here(t->e, fine);
    t->host_flags = 0;
}

static void t_incdec(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, g = reg_of(u->a, size);
    const bool dec = u->op == OP_DEC;
    const bool carry = flags_read(t) & FLAG_CF;
    if (carry)
        need_flags(t, FLAG_CF);
    const uint32_t had = t->host_flags;
    if (wanted(t) && !(carry && (t->def.valid ? t->def.part : true)))
        settle_for(t, PART_CF | PART_CF_OF);
    else if (wanted(t)) { /* the host's CF is kept, so all is settled without a look */
        flush_flags(t);
        emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[STUB_FLAGS]);
    }
    emit_rm(t->e, size, size == 1 ? 0xfe : 0xff, dec ? 1 : 0, begin_in_place(t, g));
    end_in_place(t, g);
    flags_written_part(t, (FLAGS_ARITH & ~FLAG_CF) | (carry ? had & FLAG_CF : 0),
                       dec ? PART_DEC : PART_INC, g);
}

static void t_notneg(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, g = reg_of(u->a, size);
    emit_rm(t->e, size, size == 1 ? 0xf6 : 0xf7, u->op == OP_NEG ? X_NEG : X_NOT,
            begin_in_place(t, g));
    end_in_place(t, g);
    if (u->op == OP_NEG)
        flags_written(t, FLAGS_ARITH, pending_kind(PENDING_NEG, size), v_reg(g), v_none);
}

static unsigned shift_index(const struct insn *u)
{
    switch (u->op) {
    case OP_ROL:
        return X_ROL;
    case OP_ROR:
        return X_ROR;
    case OP_SHL:
        return X_SHL;
    case OP_SHR:
        return X_SHR;
    default:
        return X_SAR;
    }
}

static enum pending_op shift_pending(unsigned x)
{
    return x == X_SHL ? PENDING_SHL : x == X_SHR ? PENDING_SHR : PENDING_SAR;
}

/* OF is defined for a count of one only, AF never: the host's are not looked at. */
static void t_shift_imm(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned size = u->osize, g = reg_of(u->a, size), x = shift_index(u);
    const unsigned count = u->imm & (size == 8 ? 63 : 31);
    const bool rotate = x == X_ROL || x == X_ROR;
    if (rotate && wanted(t)) {
        settle_for(t, PART_ALL_BUT_CF | PART_ZF);
        emit_rm_imm(t->e, size, size == 1 ? 0xc0 : 0xc1, x, begin_in_place(t, g), count, 1);
        end_in_place(t, g);
        flags_written_part(t, FLAG_CF, x == X_ROL ? PART_ROL : PART_ROR, g);
        return;
    }
    if (!rotate)
        t->def.valid = false;
    const struct host_rm d = begin_in_place(t, g);
    if (wanted(t)) {
        emit_store(t->e, 8, CPU_SLOT(pending_a), get(t, g, H_R11));
        emit_store_imm(t->e, 8, CPU_SLOT(pending_b), (int32_t)count);
        /* a full writer: what was pending before does not matter */
        store_pending(t, pending_kind(shift_pending(x), size));
    }
    emit_rm_imm(t->e, size, size == 1 ? 0xc0 : 0xc1, x, d, count, 1);
    end_in_place(t, g);
    t->def.valid = false;
    t->host_flags = rotate ? 0 : FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_PF;
}

/* By a count that may be 0, which changes no flag. BMI2's shifts change none ever. */
static void t_shift_cl(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned g = u->a, x = shift_index(u);
    if (wanted(t))
        flush_flags(t);
    const unsigned d = begin_change(t, g, H_R10);
    if (wanted(t)) {
        emit_test_imm(t->e, 1, h_reg(H_RCX), u->osize == 8 ? 63 : 31);
        uint8_t *none = emit_jcc_forward(t->e, CC_E);
        emit_store(t->e, 8, CPU_SLOT(pending_a), d);
        emit_store(t->e, 8, CPU_SLOT(pending_b), H_RCX);
        store_pending(t, pending_kind(shift_pending(x), u->osize));
        emit_here(t->e, none);
        t->host_flags = 0;
    }
    emit_vex(t->e,
             x == X_SHL   ? P_66
             : x == X_SHR ? P_F2
                          : P_F3,
             2, u->osize == 8, 0, 0xf7, d, H_RCX, h_reg(d), -1);
    put(t, g, d);
}

/* CF and OF are the host's; SF, ZF, AF and PF are undefined and come from the lower half. */
static void product_flags(struct tr *t, unsigned low)
{
    t->host_flags = FLAG_CF | FLAG_OF;
    t->def.valid = false;
    if (!wanted(t))
        return;
    emit_rm(t->e, 1, 0x0f90, 0, CPU_SLOT(pending_b)); /* SETO */
    emit_store(t->e, 8, CPU_SLOT(pending_a), low);
    store_pending(t, pending_kind(PENDING_IMUL, t->u->osize));
}

static void t_imul(struct tr *t)
{
    const struct insn *u = t->u;
    const bool imm = u->row->opnd[2] != O_NONE;
    clobber(t, u->reg);
    struct host_rm m;
    if (u->mem)
        m = memory_operand(t, u->osize, false);
    else
        m = guest_operand(u->rm);
    unsigned d = home(u->reg, H_R10);
    if (imm) {
        emit_rm_imm(t->e, u->osize, 0x69, d, m, (uint32_t)u->imm, 4);
    } else {
        if (guest_host[u->reg] == H_NONE) { /* R10 may be the address */
            emit_load(t->e, u->osize, H_R11, m);
            m = h_reg(H_R11);
            d = get(t, u->reg, H_R10);
        }
        emit_rm(t->e, u->osize, 0x0faf, d, m);
    }
    put(t, u->reg, d);
    product_flags(t, d);
}

static void t_mul(struct tr *t)
{
    const struct insn *u = t->u;
    clobber(t, REG_RAX);
    clobber(t, REG_RDX);
    struct host_rm m;
    if (u->mem)
        m = memory_operand(t, u->osize, false);
    else
        m = guest_operand(u->rm);
    emit_rm(t->e, u->osize, 0xf7, u->op == OP_MUL ? X_MUL : X_IMUL, m);
    product_flags(t, H_RAX);
}

/* What cannot be divided goes to the handler, which raises #DE. The quotient fits if the upper half
 * of the dividend is less than the divisor (DIV), or is the sign of the lower one (IDIV). */
static void t_div(struct tr *t)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    const unsigned size = u->osize;
    clobber(t, REG_RAX);
    clobber(t, REG_RDX);
    if (u->mem)
        emit_load(e, size, H_R10, memory_operand(t, size, false));
    else
        emit_load(e, size, H_R10, h_reg(get(t, u->rm, H_R10)));
    t->host_flags = 0;
    if (u->op == OP_DIV) {
        emit_alu(e, size, X_CMP, H_RDX, h_reg(H_R10));
        leave_line(t, emit_jcc_forward(e, CC_AE));
    } else { /* neither 0 nor -1 */
        emit_lea(e, size, H_R11, h_mem(H_R10, 1));
        emit_alu_imm(e, size, X_CMP, h_reg(H_R11), 1);
        leave_line(t, emit_jcc_forward(e, CC_BE));
        emit_mov(e, size, H_R11, H_RAX);
        emit_rm_imm(e, size, 0xc1, X_SAR, h_reg(H_R11), size * 8 - 1, 1);
        emit_alu(e, size, X_CMP, H_R11, h_reg(H_RDX));
        leave_line(t, emit_jcc_forward(e, CC_NE));
    }
    emit_rm(e, size, 0xf7, u->op == OP_DIV ? X_DIV : X_IDIV, h_reg(H_R10));
}

/* --- conditions and bits --- */

static void t_setcc(struct tr *t)
{
    const struct insn *u = t->u;
    const unsigned g = reg_of(u->a, 1);
    need_flags(t, op_info[u->op].flags_read);
    clobber(t, g);
    const unsigned cc = (unsigned)(u->op - OP_SETO);
    if (guest_host[g] != H_NONE)
        emit_rm(t->e, 1, 0x0f90 | cc, 0, h_reg(guest_host[g]));
    else
        emit_rm(t->e, 1, 0x0f90 | cc, 0, h_state(guest_slot(g)));
}

static void t_cmov(struct tr *t)
{
    const struct insn *u = t->u;
    if (u->mem) { /* loaded whatever the condition is, and before the flags are looked for */
        clobber(t, u->reg);
        emit_load(t->e, u->osize, H_R11, memory_operand(t, u->osize, false));
        emit_store(t->e, 8, CPU_SLOT(jit_target), H_R11);
        need_flags(t, op_info[u->op].flags_read);
        const unsigned d = get(t, u->reg, H_R10);
        emit_rm(t->e, u->osize, 0x0f40 | (unsigned)(u->op - OP_CMOVO), d, CPU_SLOT(jit_target));
        put(t, u->reg, d);
        return;
    }
    need_flags(t, op_info[u->op].flags_read);
    clobber(t, u->a);
    const unsigned d = get(t, u->a, H_R10);
    emit_rm(t->e, u->osize, 0x0f40 | (unsigned)(u->op - OP_CMOVO), d, guest_operand(u->b));
    put(t, u->a, d);
}

/* --- the stack --- */

/* A pointer to the stack as it counts, in a register: reg's own, or scratch. */
unsigned stack_pointer(struct tr *t, unsigned reg, unsigned scratch)
{
    if (t->word == 8)
        return reg;
    emit_mov(t->e, 4, scratch, reg);
    return scratch;
}

static void t_push(struct tr *t)
{
    const struct insn *u = t->u;
    const int32_t slot = -(int32_t)t->word;
    clobber(t, REG_RSP);
    const struct host_rm m = stack_operand(t, REG_RSP, slot, true, false);
    if (u->row->opnd[0] == O_Zv)
        emit_store(t->e, t->word, m, get(t, u->reg, H_R11));
    else
        emit_store_imm(t->e, t->word, m, (int32_t)u->imm);
    share_move_rsp(t, slot);
}

static void t_pop(struct tr *t)
{
    const unsigned g = t->u->reg;
    clobber(t, g);
    clobber(t, REG_RSP);
    const struct host_rm m = stack_operand(t, REG_RSP, 0, false, false);
    if (g == REG_RSP) {
        emit_load(t->e, t->word, H_R15, m);
        return;
    }
    const unsigned d = home(g, H_R10);
    emit_load(t->e, t->word, d, m);
    share_move_rsp(t, (int32_t)t->word);
    put(t, g, d);
}

static void t_leave(struct tr *t)
{
    clobber(t, REG_RSP);
    clobber(t, REG_RBP);
    const struct host_rm m = stack_operand(t, REG_RBP, 0, false, false);
    emit_load(t->e, t->word, H_R11, m);
    emit_lea(t->e, t->word, H_R15, h_mem(H_RBP, (int32_t)t->word));
    emit_mov(t->e, 8, H_RBP, H_R11);
}

static void t_nop(struct tr *t)
{
    (void)t;
}

static template_fn *const templates[] = {
    [T_HANDLER] = by_handler,
    [T_NOP] = t_nop,
    [T_ALU] = t_alu,
    [T_MOV] = t_mov,
    [T_EXTEND] = t_extend,
    [T_LEA] = t_lea,
    [T_INCDEC] = t_incdec,
    [T_NOTNEG] = t_notneg,
    [T_SHIFT_IMM] = t_shift_imm,
    [T_SHIFT_CL] = t_shift_cl,
    [T_IMUL] = t_imul,
    [T_MUL] = t_mul,
    [T_SETCC] = t_setcc,
    [T_CMOV] = t_cmov,
    [T_XCHG] = t_xchg,
    [T_BSWAP] = t_bswap,
    [T_WIDEN] = t_widen,
    [T_BT] = t_bt,
    [T_DIV] = t_div,
    [T_BT_CHANGE] = t_bt_change,
    [T_BMI_SHIFT] = t_bmi_shift,
    [T_BMI] = t_bmi,
    [T_SCAN] = t_scan,
    [T_COUNT] = t_count,
    [T_MULX] = t_mulx,
    [T_RMW_UNARY] = t_rmw_unary,
    [T_RMW_SHIFT] = t_rmw_shift,
    [T_SETCC_MEM] = t_setcc_mem,
    [T_XCHG_MEM] = t_xchg_mem,
    [T_CMPXCHG] = t_cmpxchg,
    [T_XADD] = t_xadd,
    [T_BT_MEM] = t_bt_mem,
    [T_VEC] = t_vec,
    [T_X87] = t_x87,
    [T_PUSH] = t_push,
    [T_POP] = t_pop,
    [T_LEAVE] = t_leave,
    [T_HIGH_BYTE] = t_high_byte,
    [T_DOUBLE_SHIFT] = t_double_shift,
    [T_BT_STRING] = t_bt_string,
    [T_CMPXCHG_WIDE] = t_cmpxchg_wide,
    [T_STRING] = t_string,
    [T_FENCE] = t_fence,
    [T_STATE] = t_state,
    [T_CPUID] = t_cpuid,
    [T_RDPKRU] = t_rdpkru,
    [T_PUSH_MEM] = t_push_mem,
    [T_STI] = t_sti,
    [T_PUSHF] = t_pushf,
    [T_POPF] = t_popf,
    [T_RDTSC] = t_rdtsc,
    [T_READ_BASE] = t_read_base,
    [T_READ_SEG] = t_read_seg,
    [T_WRITE_BASE] = t_write_base,
    [T_REP] = t_rep,
};

void translate_insn(struct tr *t)
{
    const unsigned late = t->n_late;
    const struct x87_note before = t->note;
    templates[t->how[t->u->index]](t);
    /* what left the line comes back behind the whole instruction */
    for (unsigned i = late; i < t->n_late; i++) {
        t->late[i].note = before;
        if (t->late[i].back && !t->late[i].x87 && !t->late[i].settle) {
            t->late[i].back = t->e->p;
            t->late[i].flags = t->host_flags && flags_read(t);
            t->late[i].vectors = t->vectors;
        }
    }
}
