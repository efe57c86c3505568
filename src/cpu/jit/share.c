/*
 * Accesses that share one look-up. Those of a block whose addresses differ by constants mostly lie
 * in one page: the first of them looks up the page for all (its range as a whole must lie there),
 * R14 keeps the addend, and the others go without a check as long as nothing needs R14 for
 * something else. What lies between and is elsewhere is looked up by R10 and R11 alone.
 *
 * A look-up that fails (the range crosses a page, a miss, a page that may only be read) leads to a
 * copy of the instructions from there up to the last that uses R14, out of line, in which each
 * access is checked by itself. It joins the block behind them, and its accesses may fault.
 *
 * Which addresses differ by constants: a register's value is a number and a constant. The number is
 * new whenever the register changes (clobber()), but by instructions that add a constant or copy.
 */
#include "cpu/jit/translate.h"
#include "mmu/tlb.h"

#define SPAN  256 /* bytes: the wider, the more often a range crosses a page */
#define AHEAD 32  /* instructions */
#define SPARE 8u

/* --- values --- */

void share_start(struct tr *t)
{
    for (unsigned g = 0; g < REG_COUNT; g++)
        t->value[g] = (struct reg_value){.of = (uint16_t)g};
    t->values = REG_COUNT;
    t->changed = 0;
    t->shared.live = false;
    t->n_copies = t->copied = 0;
    t->share = t->word == 8 && !t->j->no_share;
    t->rsp_lag = 0;
}

static bool register_alone(const struct insn *u)
{
    return !u->mem && u->osize == 8;
}

/*
 * What u makes of the values, which has changed the registers of a mask: those it changes by a
 * constant keep their number.
 */
static void follow(struct reg_value v[], uint16_t *numbers, const struct insn *u, enum template how,
                   uint32_t changed)
{
    struct reg_value keep[2];
    unsigned g[2] = {REG_ZERO, REG_ZERO};
    switch (how) {
    case T_PUSH:
        g[0] = REG_RSP;
        keep[0] = (struct reg_value){v[REG_RSP].of, v[REG_RSP].plus - 8};
        break;
    case T_POP:
        g[0] = u->reg == REG_RSP ? REG_ZERO : REG_RSP;
        keep[0] = (struct reg_value){v[REG_RSP].of, v[REG_RSP].plus + 8};
        break;
    case T_LEAVE:
        g[0] = REG_RSP;
        keep[0] = (struct reg_value){v[REG_RBP].of, v[REG_RBP].plus + 8};
        break;
    case T_ALU:
        if (register_alone(u) && is_imm(u->row->opnd[1]) && (u->op == OP_ADD || u->op == OP_SUB)) {
            const int64_t by = u->op == OP_ADD ? immediate(u) : -(int64_t)immediate(u);
            g[0] = u->a;
            keep[0] = (struct reg_value){v[u->a].of, v[u->a].plus + by};
        }
        break;
    case T_INCDEC:
        if (register_alone(u)) {
            g[0] = u->a;
            keep[0] = (struct reg_value){v[u->a].of, v[u->a].plus + (u->op == OP_INC ? 1 : -1)};
        }
        break;
    case T_LEA:
        if (u->osize == 8 && u->asize == 8 && u->xindex == REG_ZERO) {
            g[0] = u->reg;
            keep[0] = (struct reg_value){v[u->base].of, v[u->base].plus + u->disp};
        }
        break;
    case T_MOV:
        if (register_alone(u) && !is_imm(u->row->opnd[1])) {
            g[0] = u->a;
            keep[0] = v[u->b];
        }
        break;
    default:
        break;
    }
    for (unsigned r = 0; r < 16; r++)
        if (changed & BIT(r))
            v[r] = (struct reg_value){.of = (*numbers)++};
    if (g[0] != REG_ZERO)
        v[g[0]] = keep[0];
}

/* --- looking ahead --- */

struct access {
    uint8_t base, index, scale; /* REG_ZERO: none */
    bool write, stack;
    unsigned size; /* 0: there is none */
    int64_t disp;
};

static bool to_memory(const struct insn *u)
{
    const enum operand to = u->row->opnd[0];
    return (to >= O_Eb && to <= O_Ey) || to == O_Ob || to == O_Ov;
}

static bool may_share(const struct insn *u)
{
    return u->asize == 8 && u->seg != SEG_FS && u->seg != SEG_GS;
}

static struct access of_operand(const struct insn *u, unsigned size, bool write)
{
    return (struct access){.base = u->base,
                           .index = u->xindex,
                           .scale = u->xindex == REG_ZERO ? 0 : u->scale,
                           .disp = u->disp,
                           .size = size,
                           .write = write,
                           .stack = u->base == REG_RSP && u->xindex == REG_ZERO};
}

static struct access of_stack(unsigned base, int64_t disp, bool write)
{
    return (struct access){.base = (uint8_t)base,
                           .index = REG_ZERO,
                           .disp = disp,
                           .size = 8,
                           .write = write,
                           .stack = true};
}

/* What u will ask for, as far as that is known without translating it. */
static struct access expected(const struct insn *u, enum template how)
{
    const struct access none = {.size = 0};
    switch (how) {
    case T_PUSH:
    case T_CALL:
        return of_stack(REG_RSP, -8, true);
    case T_POP:
    case T_RET:
        return of_stack(REG_RSP, 0, false);
    case T_LEAVE:
        return of_stack(REG_RBP, 0, false);
    default:
        break;
    }
    /* MMX first sees to the x87 unit, which may take R14 */
    if (!u->mem || !may_share(u) || (u->row->attr & A_MMX))
        return none;
    switch (how) {
    case T_MOV:
    case T_ALU:
        return of_operand(u, u->osize, to_memory(u) && u->op != OP_CMP && u->op != OP_TEST);
    case T_EXTEND: {
        const enum operand from = u->row->opnd[1];
        return of_operand(u, from == O_Eb ? 1 : from == O_Ew ? 2 : 4, false);
    }
    case T_IMUL:
    case T_CMOV:
    case T_COUNT:
    case T_SCAN:
    case T_BMI:
    case T_BMI_SHIFT:
        return of_operand(u, u->osize, false);
    case T_RMW_UNARY:
    case T_RMW_SHIFT:
        return of_operand(u, u->osize, true);
    case T_SETCC_MEM:
        return of_operand(u, 1, true);
    case T_VEC: {
        bool write;
        const unsigned size = vector_access(u, &write);
        return of_operand(u, size, write);
    }
    default:
        return none;
    }
}

/* The registers u changes; more than that does no harm. ~0: it may need R14, or it is not known. */
static uint32_t changes(const struct insn *u, enum template how)
{
    switch (how) {
    case T_NOP:
    case T_BT:
    case T_PUSH:
    case T_RMW_UNARY:
    case T_RMW_SHIFT:
    case T_SETCC_MEM:
    case T_JMP:
    case T_JCC:
    case T_CALL:
    case T_RET:
        return 0;
    case T_MOV:
    case T_ALU:
        return (u->mem && to_memory(u)) || u->op == OP_CMP || u->op == OP_TEST
                   ? 0
                   : BIT(reg_of(u->a, u->osize));
    case T_EXTEND:
        return BIT(u->a);
    case T_INCDEC:
    case T_NOTNEG:
    case T_SHIFT_IMM:
    case T_SHIFT_CL:
    case T_BT_CHANGE:
        return BIT(reg_of(u->a, u->osize)) | BIT(u->rm & 15);
    case T_SETCC:
        return BIT(reg_of(u->a, 1));
    case T_LEA:
    case T_IMUL:
    case T_BSWAP:
    case T_SCAN:
    case T_COUNT:
        return BIT(u->reg);
    case T_CMOV:
        return BIT(u->reg) | BIT(u->a & 15);
    case T_BMI:
    case T_BMI_SHIFT:
        return BIT(u->reg) | BIT(u->vvvv & 15);
    case T_WIDEN:
        return BIT(REG_RAX) | BIT(REG_RDX);
    case T_POP:
        return BIT(u->reg);
    case T_LEAVE:
        return BIT(REG_RBP);
    case T_VEC:
        return u->row->attr & A_MMX ? ~UINT32_C(0) : vector_changes(u);
    default:
        return ~UINT32_C(0);
    }
}

static bool same_value(struct reg_value a, struct reg_value b)
{
    return a.of == b.of && a.plus == b.plus;
}

/* Whether a is relative to what s is about; then *at is where, as s counts. */
static bool relative(const struct shared *s, const struct reg_value v[], const struct access *a,
                     int64_t *at)
{
    if (v[a->base].of != s->base || a->scale != s->scale || !same_value(v[a->index], s->index))
        return false;
    *at = v[a->base].plus + a->disp;
    return true;
}

/* What a, of the instruction at hand, and those behind it may share. False: nothing. */
static bool plan(const struct tr *t, const struct access *a, struct shared *s)
{
    struct reg_value v[REG_COUNT];
    uint16_t numbers = t->values;
    const struct block *b = t->b;
    const unsigned first = t->u->index;
    memcpy(v, t->value, sizeof v);
    const int64_t at = v[a->base].plus + a->disp;
    *s = (struct shared){.base = v[a->base].of,
                         .index = v[a->index],
                         .scale = a->scale,
                         .stack = a->stack,
                         .write = a->write || a->stack,
                         .lo = at,
                         .hi = at + a->size,
                         .last = (uint8_t)first,
                         .used = (uint8_t)first};
    for (unsigned i = first; i < b->n && i < first + AHEAD; i++) {
        const struct insn *u = &b->insn[i];
        const uint32_t changed = is_atomic(t, u) ? ~UINT32_C(0) : changes(u, t->how[i]);
        if (changed == ~UINT32_C(0) && i > first)
            break;
        const struct access next = expected(u, t->how[i]);
        int64_t where;
        if (i > first && next.size && relative(s, v, &next, &where)) {
            const int64_t lo = MIN(s->lo, where), hi = MAX(s->hi, where + (int64_t)next.size);
            if (hi - lo <= SPAN) {
                s->lo = lo;
                s->hi = hi;
                s->write |= next.write;
                s->last = (uint8_t)i;
            }
        }
        follow(v, &numbers, u, t->how[i], changed);
    }
    return s->last > first;
}

/* --- copies --- */

/* The jump at from leads to a copy of what is from this instruction on. */
static void to_copy(struct tr *t, uint8_t *from)
{
    t->too_much |= t->n_copies == MAX_COPIES;
    if (t->n_copies == MAX_COPIES)
        return;
    t->copy[t->n_copies++] = (struct copy){.from = from, .at = t->u->index, .open = true};
}

bool share_leave(struct tr *t, uint8_t *from)
{
    if (t->shared.live)
        to_copy(t, from);
    return t->shared.live;
}

static void end_sharing(struct tr *t)
{
    t->shared.live = false;
    for (unsigned i = t->n_copies; i-- > 0 && t->copy[i].open;) {
        t->copy[i].until = MAX(t->copy[i].at, t->shared.used);
        t->copy[i].open = false;
    }
}

static bool addend_lost(const struct tr *t)
{
    return t->e->touched & BIT(H_R14);
}

void share_next(struct tr *t, unsigned late)
{
    struct shared *s = &t->shared;
    follow(t->value, &t->values, t->u, t->how[t->u->index], t->changed);
    t->changed = 0;
    /* what comes back from out of line has nothing in R14 */
    bool back = false;
    for (; late < t->n_late; late++)
        back |= t->late[late].back && !t->late[late].settle;
    if (s->live && (addend_lost(t) || back || s->last <= t->u->index))
        end_sharing(t);
}

void share_end(struct tr *t)
{
    if (t->shared.live)
        end_sharing(t);
}

static struct between state_of(const struct tr *t)
{
    return (struct between){.host_flags = t->host_flags,
                            .def = t->def,
                            .stored = t->stored,
                            .before = t->before,
                            .vectors = t->vectors,
                            .x87 = t->x87,
                            .note = t->note};
}

void share_note(struct tr *t, struct between *at)
{
    *at = state_of(t);
    at->code = t->e->p;
}

/* Makes of the copy's state the one of the block there; then goes on there. */
void share_join(struct tr *t, const struct between *at)
{
    if (t->def.valid && !at->def.valid)
        flush_flags(t);
    if (at->vectors)
        need_vectors(t);
    if (at->host_flags & flags_read(t) & ~t->host_flags) {
        flush_flags(t);
        emit_call(t->e, (uint8_t *)(uintptr_t)t->j->stub[STUB_FLAGS]);
    }
    emit_jmp(t->e, at->code);
}

static void write_copy(struct tr *t, unsigned at, unsigned until)
{
    const struct between *s = &t->between[at];
    t->host_flags = 0;
    t->def = s->def;
    t->stored = s->stored;
    t->before = s->before;
    t->vectors = s->vectors;
    t->x87 = s->x87;
    t->note = s->note;
    for (unsigned i = at; i <= until; i++)
        translate_one(t, i);
    if (until + 1 < t->b->n)
        share_join(t, &t->between[until + 1]);
}

void share_write_copies(struct tr *t)
{
    struct emit *const hot = t->e;
    t->e = t->cold;
    t->share = false;
    for (unsigned i = 0; i < t->n_copies;) {
        const struct copy *c = &t->copy[i];
        for (; i < t->n_copies && t->copy[i].at == c->at; i++)
            emit_here(t->e, t->copy[i].from);
        write_copy(t, c->at, c->until);
    }
    t->e = hot;
}

/* --- operands --- */

/* Where a is, and delta beyond, in a register: scratch or a guest's. */
static unsigned address(struct tr *t, const struct access *a, int64_t delta, unsigned scratch)
{
    const struct insn u = {.base = a->base,
                           .xindex = a->index,
                           .scale = a->scale,
                           .disp = a->disp + delta,
                           .asize = 8,
                           .seg = SEG_FLAT};
    const struct insn *const is = t->u;
    t->u = &u;
    const unsigned lin = effective_address(t, scratch, 0);
    t->u = is;
    return lin;
}

/* The same as emit_near_look_up(), of any register, with a copy for misses. */
static void look_up_offset(struct tr *t, unsigned lin, unsigned index, bool write, unsigned size)
{
    if (lin != H_R10)
        emit_mov(t->e, 8, H_R10, lin);
    to_copy(t, emit_near_look_up(t, index, size, write));
}

/* For all that s is about: the addend in R14. */
static void look_up_for_all(struct tr *t, const struct access *a, const struct shared *s)
{
    struct emit *e = t->e;
    const int64_t from_here = s->lo - (t->value[a->base].plus + a->disp);
    const unsigned lin = address(t, a, from_here, H_R10);
    const unsigned size = (unsigned)(s->hi - s->lo);
    t->host_flags = 0;
    if (s->stack) {
        to_copy(t, emit_stack_look_up(e, lin, size, H_R14));
        emit_load(e, 8, H_R14, CPU_SLOT(stack_addend));
    } else {
        look_up_offset(t, lin, H_R14, s->write, size);
        emit_load(e, 8, H_R14,
                  near_at(t->b->mode & MODE_USER, H_R14, offsetof(struct tlb_near, addend)));
    }
    e->touched &= ~BIT(H_R14);
}

/* By R10 and R11 alone; the operand keeps R10 in use. */
static struct host_rm look_up_beside(struct tr *t, const struct access *a)
{
    struct emit *e = t->e;
    const unsigned lin = address(t, a, 0, H_R10);
    t->host_flags = 0;
    if (!a->stack) {
        look_up_offset(t, lin, H_R11, a->write, a->size);
        emit_alu(e, 8, X_ADD, H_R10,
                 near_at(t->b->mode & MODE_USER, H_R11, offsetof(struct tlb_near, host)));
        return h_mem(H_R10, 0);
    }
    to_copy(t, emit_stack_look_up(e, lin, a->size, H_R11));
    if (lin == H_R10) {
        emit_alu(e, 8, X_ADD, H_R10, CPU_SLOT(stack_addend));
        return h_mem(H_R10, 0);
    }
    emit_load(e, 8, H_R10, CPU_SLOT(stack_addend));
    return h_sib(lin, H_R10, 0, 0);
}

/* By the addend in R14. */
static struct host_rm with_addend(struct tr *t, const struct access *a)
{
    if (a->index == REG_ZERO && a->base < 16 && guest_host[a->base] != H_NONE)
        return h_sib(guest_host[a->base], H_R14, 0,
                     (int32_t)a->disp + (a->base == REG_RSP ? t->rsp_lag : 0));
    return h_sib(address(t, a, 0, H_R10), H_R14, 0, 0);
}

/* Whether a is one of those that share now. */
static bool shares(const struct tr *t, const struct access *a)
{
    const struct shared *s = &t->shared;
    int64_t at;
    return s->live && !addend_lost(t) && (!a->write || s->write) && relative(s, t->value, a, &at) &&
           at >= s->lo && at + (int64_t)a->size <= s->hi;
}

/* Copies take room: twice so many instructions as the block has, and a few. */
static bool afford(struct tr *t, unsigned last)
{
    const unsigned more = last + 1 - t->u->index;
    if (t->n_copies >= MAX_COPIES / 2 || t->copied + more > 2u * t->b->n + SPARE)
        return false;
    t->copied += more;
    return true;
}

static bool share(struct tr *t, const struct access *a, struct host_rm *m)
{
    struct shared *s = &t->shared;
    if (!t->share || a->size > SPAN)
        return false;
    if (s->live && addend_lost(t))
        end_sharing(t);
    if (shares(t, a)) {
        s->used = t->u->index;
        *m = with_addend(t, a);
        return true;
    }
    if (s->live && s->last > t->u->index && afford(t, s->last)) {
        *m = look_up_beside(t, a);
        return true;
    }
    if (s->live)
        end_sharing(t);
    struct shared next;
    if (!plan(t, a, &next) || !afford(t, next.last))
        return false;
    *s = next;
    s->live = true;
    look_up_for_all(t, a, s);
    *m = with_addend(t, a);
    return true;
}

bool share_operand(struct tr *t, unsigned size, bool write, struct host_rm *m)
{
    const struct access a = of_operand(t->u, size, write);
    return may_share(t->u) && expected(t->u, t->how[t->u->index]).size && share(t, &a, m);
}

bool share_stack(struct tr *t, unsigned base, int64_t disp, bool write, struct host_rm *m)
{
    const struct access a = of_stack(base, disp, write);
    return share(t, &a, m);
}

static void settle_rsp(struct tr *t)
{
    emit_lea(t->e, t->word, H_R15, h_mem(H_R15, t->rsp_lag));
    t->rsp_lag = 0;
}

/*
 * Pushes and pops in a row that share a look-up cannot fault, so nobody sees RSP between them: it
 * is changed once, behind the last.
 */
void share_move_rsp(struct tr *t, int32_t by)
{
    const bool copy = t->e == t->cold, last = t->u->index + 1u == t->b->n;
    t->rsp_lag += by;
    if (!t->shared.live || copy || last)
        settle_rsp(t);
}

void share_settle_rsp(struct tr *t, unsigned i)
{
    if (!t->rsp_lag)
        return;
    const struct insn *u = &t->b->insn[i];
    const bool push = t->how[i] == T_PUSH;
    const struct access a = of_stack(REG_RSP, push ? -8 : 0, push);
    /* what POP changes may have to be stored as an operand of pending flags, by R14 */
    const bool stores = t->def.valid && (pending_registers(&t->def) & BIT(u->reg));
    if ((push || t->how[i] == T_POP) && u->reg != REG_RSP && !stores && shares(t, &a))
        return;
    settle_rsp(t);
}
