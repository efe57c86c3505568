/*
 * The guest's arithmetic flags in translated code. They are needed rarely: flags that the next
 * instruction overwrites cost nothing, a condition reads the host's own flags, and exact flags at
 * a fault or an exit are described by an operation and its operands, which usually still are in
 * registers when they are asked for, and stored just before they would not be any more.
 */
#include "cpu/jit/translate.h"

/* --- which flags matter --- */

/* All flags, whatever the operands are. */
static uint32_t written_for_sure(const struct insn *u, enum template how)
{
    const uint32_t w = op_info[u->op].flags_written;
    switch (how) {
    case T_HANDLER: /* some leave flags alone that they may change */
    case T_SHIFT_CL:
    case T_DIV:
    case T_REP:
        return 0;
    case T_DOUBLE_SHIFT:
        return u->row->opnd[2] == O_CL ? 0 : w;
    case T_BT:
    case T_BT_CHANGE:
    case T_BT_MEM:
    case T_BT_STRING:
        return FLAG_CF;
    case T_SCAN:
        return FLAG_ZF;
    default:
        return w;
    }
}

static uint32_t read_by(const struct insn *u, enum template how)
{
    if (how == T_HANDLER)
        return 0; /* it looks into memory: see may_be_seen() */
    return op_info[u->op].flags_read & FLAGS_ARITH;
}

/* May fault, or runs by its handler: then the flags in front of it have to be exact. */
static bool may_be_seen(const struct insn *u, enum template how)
{
    switch (how) {
    case T_HANDLER:
    case T_PUSH:
    case T_POP:
    case T_LEAVE:
    case T_CALL:
    case T_RET:
    case T_JMP_IND:
    case T_CALL_IND:
    case T_EVENT:
    case T_DIV:
    case T_X87: /* looks whether the host may compute at all */
    case T_STRING:
    case T_REP:
    case T_STI:
    case T_RDPKRU:
    case T_PUSH_MEM:
    case T_PUSHF:
    case T_POPF:
    case T_RDTSC:
    case T_READ_BASE:
    case T_WRITE_BASE:
    case T_DOUBLE_SHIFT:
        return true;
    case T_LEA:
    case T_FENCE:
    case T_STATE:
    case T_CPUID:
    case T_NOP:
        return false;
    default:
        return u->mem || (u->row->attr & A_MMX);
    }
}

bool ends_before(const struct tr *t, unsigned i)
{
    return t->how[i] == T_HANDLER || written_for_sure(&t->b->insn[i], t->how[i]) == FLAGS_ARITH;
}

void analyse_flags(struct tr *t)
{
    bool seen = true; /* by what follows the block */
    uint32_t read = 0;
    for (unsigned i = t->b->n; i-- > 0;) {
        const struct insn *u = &t->b->insn[i];
        t->seen[i] = seen;
        t->read[i] = read;
        const uint32_t w = written_for_sure(u, t->how[i]);
        if (w == FLAGS_ARITH)
            seen = false;
        read &= ~w;
        read |= read_by(u, t->how[i]);
        if (may_be_seen(u, t->how[i]))
            seen = true;
    }
    t->n->wants_flags = seen || read;
    t->before = true;
}

/* --- storing --- */

static void store_value(struct tr *t, struct value v, int32_t slot)
{
    if (v.kind == V_IMM) {
        emit_store_imm(t->e, 8, h_state(slot), (int32_t)v.v);
    } else if (v.kind == V_REG) {
        const unsigned g = (unsigned)v.v;
        const unsigned h = get(t, g, H_R14);
        emit_store(t->e, 8, h_state(slot), h);
    }
}

/* Moves only: the host's flags stay. Uses R14. */
void store_def(struct tr *t, const struct pending_def *d)
{
    if (d->part) {
        store_value(t, d->a, offsetof(struct cpu, pending_c));
        emit_store_imm(t->e, 2, h_state(offsetof(struct cpu, pending) + 2), (int32_t)d->kind);
        return;
    }
    store_value(t, d->a, offsetof(struct cpu, pending_a));
    store_value(t, d->b, offsetof(struct cpu, pending_b));
    emit_store_imm(t->e, 4, CPU_SLOT(pending), (int32_t)d->kind);
}

void store_pending(struct tr *t, uint32_t kind)
{
    emit_store_imm(t->e, 4, CPU_SLOT(pending), (int32_t)kind);
    t->stored = kind;
}

void flush_flags(struct tr *t)
{
    if (t->def.valid) {
        store_def(t, &t->def);
        t->stored = t->def.part ? 0 : t->def.kind;
    } else if (t->before) { /* those of before the block are not: no register may name them */
        t->n->changes = ~UINT32_C(0);
    }
    t->def.valid = false;
}

static uint32_t named(struct value v)
{
    return v.kind == V_REG ? BIT(v.v) : 0;
}

uint32_t pending_registers(const struct pending_def *d)
{
    return named(d->a) | named(d->b);
}

void leave_flags(struct tr *t)
{
    if (t->before)
        t->n->changes = ~UINT32_C(0); /* the next one would not be asked */
    if (t->def.valid && (t->def.part || !pending_registers(&t->def)))
        flush_flags(t);
    if (!t->def.valid)
        return;
    t->n->def = t->def;
    emit_store_imm(t->e, 4, CPU_SLOT(pending), (int32_t)(uintptr_t)&t->n->def);
}

static bool names(struct value v, unsigned g)
{
    return v.kind == V_REG && v.v == g;
}

void clobber(struct tr *t, unsigned g)
{
    t->changed |= BIT(g);
    if (t->before)
        t->n->changes |= BIT(g);
    if (t->def.valid && (names(t->def.a, g) || names(t->def.b, g)))
        flush_flags(t);
}

/* --- after an instruction that writes flags --- */

void flags_written(struct tr *t, uint32_t mask, uint32_t kind, struct value a, struct value b)
{
    t->host_flags = mask;
    t->def =
        (struct pending_def){.valid = flags_seen(t) || flags_read(t), .kind = kind, .a = a, .b = b};
}

void flags_written_part(struct tr *t, uint32_t mask, enum pending_part part, unsigned g)
{
    t->host_flags = mask;
    t->def = (struct pending_def){.valid = flags_seen(t) || flags_read(t),
                                  .part = true,
                                  .kind = pending_part(part, t->u->osize),
                                  .a = {V_REG, g}};
}

void flags_written_now(struct tr *t, uint32_t mask, uint32_t kind, unsigned ha, unsigned hb,
                       int64_t imm)
{
    t->host_flags = mask;
    t->def.valid = false;
    if (!flags_seen(t) && !flags_read(t))
        return;
    if ((kind & 0xff) == PENDING_CMP && hb == H_NONE && imm == 0) /* the same, and shorter */
        kind = PENDING_LOGIC | (kind & ~UINT32_C(0xff));
    emit_store(t->e, 8, CPU_SLOT(pending_a), ha);
    const enum pending_op op = kind & 0xff;
    if (op == PENDING_LOGIC || op == PENDING_NEG || op == PENDING_COUNT || op == PENDING_BMI)
        ; /* of the result alone, or with a CF that is there already */
    else if (hb != H_NONE)
        emit_store(t->e, 8, CPU_SLOT(pending_b), hb);
    else
        emit_store_imm(t->e, 8, CPU_SLOT(pending_b), (int32_t)imm);
    store_pending(t, kind);
}

void flags_unknown(struct tr *t)
{
    t->host_flags = 0;
    t->def.valid = false;
    t->stored = 0;
}

/* --- before one that reads them --- */

static bool set_again(struct tr *t);
static uint32_t set_from_memory(struct tr *t, uint32_t mask);
static uint32_t recoverable(uint32_t kind);

void need_flags(struct tr *t, uint32_t mask)
{
    if ((t->host_flags & mask) == mask)
        return;
    if (set_again(t)) {
        t->host_flags = FLAGS_ARITH;
        return;
    }
    flush_flags(t);
    if (mask & ~recoverable(t->stored)) {
        emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[STUB_FLAGS]);
        t->host_flags = FLAGS_ARITH;
        return;
    }
    emit_alu_imm(t->e, 4, X_CMP, CPU_SLOT(pending), (int32_t)t->stored);
    struct late *l = new_late(t);
    *l = (struct late){.from = emit_jcc_forward(t->e, CC_NE), .u = t->u, .settle = true};
    t->host_flags = set_from_memory(t, mask);
    l->back = t->e->p;
}

/* Which flags set_from_memory() finds out about. */
static uint32_t recoverable(uint32_t kind)
{
    switch ((enum pending_op)(kind & 0xff)) {
    case PENDING_ALL:
    case PENDING_CMP:
    case PENDING_ADD:
    case PENDING_SUB:
    case PENDING_ADD2:
    case PENDING_NEG:
        return FLAGS_ARITH;
    case PENDING_LOGIC:
        return FLAGS_ARITH & ~FLAG_AF;
    case PENDING_SHL:
    case PENDING_SHR:
    case PENDING_SAR:
        return kind >> 8 >= 2 ? FLAG_ZF | FLAG_SF | FLAG_PF : 0;
    case PENDING_BMI:
        return FLAG_ZF | FLAG_SF;
    case PENDING_COUNT:
        return FLAG_ZF;
    case PENDING_IMUL:
    case PENDING_RESULT:
        return FLAG_CF;
    case PENDING_NONE:
        break;
    }
    return 0;
}

/*
 * What is pending is t->stored: the host's flags by doing it again. Those of mask at least, which
 * are recoverable(); says which. Uses R10 and R11.
 */
static uint32_t set_from_memory(struct tr *t, uint32_t mask)
{
    struct emit *e = t->e;
    const enum pending_op op = t->stored & 0xff;
    const unsigned size = 1u << (t->stored >> 8);
    const struct host_rm a = CPU_SLOT(pending_a), b = CPU_SLOT(pending_b);
    if (op == PENDING_ALL && mask == FLAG_CF) {
        emit_rm_imm(e, 4, 0x0fba, 4, a, 8, 1); /* BT */
        return FLAG_CF;
    }
    if (op == PENDING_IMUL || op == PENDING_RESULT) {
        emit_rm_imm(e, 4, 0x0fba, 4, b, 0, 1);
        return FLAG_CF;
    }
    if (op == PENDING_ALL) {
        emit_mov(e, 8, H_R10, H_RAX);
        emit_load(e, 4, H_RAX, a);
        emit_alu_imm(e, 1, X_ADD, h_reg(H_RAX), 0x7f); /* OF */
        emit_u8(e, 0x9e);                              /* SAHF */
        emit_mov(e, 8, H_RAX, H_R10);
        return FLAGS_ARITH;
    }
    emit_load(e, 8, H_R10, a);
    switch (op) {
    case PENDING_ADD:
        if (mask == FLAG_CF) {
            emit_alu(e, size, X_CMP, H_R10, b);
            return FLAG_CF;
        }
        emit_alu(e, size, X_SUB, H_R10, b);
        emit_alu(e, size, X_ADD, H_R10, b);
        break;
    case PENDING_SUB:
        emit_alu(e, size, X_ADD, H_R10, b);
        emit_alu(e, size, X_CMP, H_R10, b);
        break;
    case PENDING_CMP:
        emit_alu(e, size, X_CMP, H_R10, b);
        break;
    case PENDING_ADD2:
        emit_alu(e, size, X_ADD, H_R10, b);
        break;
    case PENDING_NEG:
        emit_rm(e, size, size == 1 ? 0xf6 : 0xf7, X_NEG, h_reg(H_R10));
        emit_rm(e, size, size == 1 ? 0xf6 : 0xf7, X_NEG, h_reg(H_R10));
        break;
    case PENDING_SHL:
    case PENDING_SHR:
    case PENDING_SAR: /* SHLX, SHRX, SARX */
        emit_load(e, 4, H_R11, b);
        emit_vex(e,
                 op == PENDING_SHL   ? P_66
                 : op == PENDING_SHR ? P_F2
                                     : P_F3,
                 2, size == 8, 0, 0xf7, H_R10, H_R11, h_reg(H_R10), -1);
        emit_test(e, size, h_reg(H_R10), H_R10);
        break;
    case PENDING_COUNT:
        emit_test(e, 8, h_reg(H_R10), H_R10);
        break;
    default:
        emit_test(e, size, h_reg(H_R10), H_R10);
        break;
    }
    return recoverable(t->stored);
}

bool carry_known(const struct tr *t)
{
    const struct pending_def *d = &t->def;
    return d->valid && !d->part && (d->kind & 0xff) == PENDING_ADD && d->kind >> 8 >= 2 &&
           d->a.kind == V_REG && d->b.kind == V_REG;
}

void carry_to_host(struct tr *t)
{
    const struct pending_def *d = &t->def;
    const unsigned size = 1u << (d->kind >> 8), a = (unsigned)d->a.v;
    const unsigned b = get(t, (unsigned)d->b.v, H_R11);
    const struct host_rm sum =
        guest_host[a] != H_NONE ? h_reg(guest_host[a]) : h_state(guest_slot(a));
    emit_alu_to(t->e, size, X_CMP, sum, b);
    t->host_flags = FLAG_CF;
    t->def.valid = false;
    t->stored = 0;
}

/* Repeats a comparison whose operands still are there. */
static bool set_again(struct tr *t)
{
    const struct pending_def *d = &t->def;
    if (!d->valid || d->part)
        return false;
    const unsigned size = 1u << (d->kind >> 8);
    unsigned a = H_NONE;
    if (d->a.kind == V_REG)
        a = get(t, (unsigned)d->a.v, H_R10);
    switch (d->kind & 0xff) {
    case PENDING_LOGIC:
        if (a == H_NONE)
            return false;
        emit_test(t->e, size, h_reg(a), a);
        return true;
    case PENDING_CMP:
        if (a == H_NONE || d->b.kind == V_NONE)
            return false;
        if (d->b.kind == V_IMM)
            emit_alu_imm(t->e, size, X_CMP, h_reg(a), (int32_t)d->b.v);
        else
            emit_alu(t->e, size, X_CMP, a, h_reg(get(t, (unsigned)d->b.v, H_R11)));
        return true;
    case PENDING_SUB:
        if (a == H_NONE)
            return false;
        emit_mov(t->e, 8, H_R10, a);
        if (d->b.kind == V_IMM) {
            emit_alu_imm(t->e, size, X_ADD, h_reg(H_R10), (int32_t)d->b.v);
            emit_alu_imm(t->e, size, X_CMP, h_reg(H_R10), (int32_t)d->b.v);
        } else {
            const unsigned b = get(t, (unsigned)d->b.v, H_R11);
            emit_alu(t->e, size, X_ADD, H_R10, h_reg(b));
            emit_alu(t->e, size, X_CMP, H_R10, h_reg(b));
        }
        return true;
    default:
        return false;
    }
}
