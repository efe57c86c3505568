/* How a block ends, and the code out of line behind it. */
#include "cpu/jit/translate.h"
#include "cpu/op_int.h"

static unsigned start_offset(const struct tr *t)
{
    return (unsigned)(t->b->start & ~PAGE_MASK);
}

static uint8_t *stub(const struct tr *t, enum jit_stub s)
{
    return (uint8_t *)(uintptr_t)t->j->stub[s];
}

/* Offset of a direct continuation from the start of the block's page. */
static int64_t continuation(const struct tr *t, unsigned slot)
{
    const struct insn *last = &t->b->insn[t->b->n - 1];
    return (int64_t)start_offset(t) + (slot ? last->disp : t->b->bytes);
}

static struct host_rm jump_line(const struct tr *t, size_t member)
{
    const uintptr_t table = (uintptr_t)jit_jumps(t->j, jit_jump_mode(t->b->mode));
    return h_sib(H_NONE, H_R14, 3, (int32_t)(table + member));
}

/* Compares RIP target (in a register) with that of its line in the table, which R14 names then. */
static void find_line(struct tr *t, unsigned target)
{
    struct emit *e = t->e;
    emit_rm_imm(e, 4, 0x69, H_R14, h_reg(target), JIT_JUMP_HASH, 4); /* IMUL */
    emit_rm_imm(e, 4, 0xc1, X_SHR, h_reg(H_R14), 32 - t->j->jump_bits, 1);
    static_assert(sizeof(struct jit_jump) == 2 * 8, "the index is doubled, then scaled by 8");
    emit_alu(e, 4, X_ADD, H_R14, h_reg(H_R14));
    emit_alu(e, 8, X_CMP, target, jump_line(t, offsetof(struct jit_jump, rip)));
}

static void jump_there(struct tr *t)
{
    emit_rm(t->e, 4, 0xff, 4, jump_line(t, offsetof(struct jit_jump, code)));
}

/*
 * A continuation at offset at, in another page: by the link in the generation and to the address it
 * was made for. In another address space, or where the same code is mapped elsewhere, by the table
 * of indirect branches; if that does not know the place, or has been asked for a while, the link is
 * made anew, which costs more if two of them take turns. Else on to the exit, behind this.
 */
static void write_far_link(struct tr *t, unsigned slot, int64_t at)
{
    struct emit *e = t->e;
    struct native *n = t->n;
    n->far[slot] = true;
    n->target_page[slot] = JIT_NO_PAGE;
    n->target_at[slot] = (int32_t)at;
    uint8_t *again = e->p;
    emit_load(e, 8, H_R10, CPU_SLOT(jit_page));
    if (at & (int64_t)PAGE_MASK)
        emit_alu_imm(e, t->word, X_ADD, h_reg(H_R10), (int32_t)(at & (int64_t)PAGE_MASK));
    emit_load(e, 4, H_R11, CPU_SLOT(code_gen[(t->b->mode & MODE_USER) != 0]));
    emit_alu(e, 4, X_CMP, H_R11, h_abs(&n->generation[slot]));
    uint8_t *other = emit_jcc_forward(e, CC_NE);
    emit_alu(e, 8, X_CMP, H_R10, h_abs(&n->target_page[slot]));
    uint8_t *elsewhere = emit_jcc_forward(e, CC_NE);
    emit_store(e, 8, CPU_SLOT(jit_page), H_R10);
    n->site[slot] = native_note(n, emit_jmp_forward(e));

    t->e = e = t->cold;
    emit_here(e, other);
    emit_here(e, elsewhere);
    if (t->j->no_chain || t->j->no_indirect)
        return;
    emit_rm_imm(e, 4, 0x81, X_CMP, h_abs(&n->target_page[slot]), JIT_NO_PAGE, 4);
    uint8_t *never = emit_jcc_forward(e, CC_E);
    emit_alu_imm(e, 1, X_SUB, h_abs(&n->patience[slot]), 1);
    uint8_t *spent = emit_jcc_forward(e, CC_S);
    emit_lea(e, t->word, H_R10, h_mem(H_R10, (int32_t)(at & ~(int64_t)PAGE_MASK)));
    find_line(t, H_R10);
    uint8_t *missed = emit_jcc_forward(e, CC_NE);
    emit_load(e, 8, H_R11, jump_line(t, offsetof(struct jit_jump, code)));
    if (t->def.valid) /* who is there was not asked whether it changes its registers too early */
        store_def(t, &t->def);
    emit_rm(e, 4, 0xff, 4, h_reg(H_R11)); /* JMP R11 */
    emit_here(e, spent);
    emit_here(e, missed);
    emit_mov_imm(e, H_R11, (uintptr_t)n | slot);
    emit_call(e, stub(t, STUB_RELINK));
    emit_patch(emit_jcc_forward(e, CC_NE), again);
    emit_here(e, never);
}

/*
 * What the jump at from leads to, until jit_link() knows better: the exit. For another page a
 * check that its address still means what it did comes first. Flags that are pending by registers
 * get their operands stored on the way, if the next block changes those before it has new flags.
 */
static void write_continuation(struct tr *t, unsigned slot, uint8_t *from)
{
    struct emit *const hot = t->e;
    struct native *n = t->n;
    const int64_t at = continuation(t, slot);
    const uint64_t away = (uint64_t)(at < 0 ? -at : at) + 2 * PAGE_SIZE;
    n->reach = MAX(n->reach, (uint8_t)(64 - __builtin_clzll(away)));
    const bool same_page = at >= 0 && at < (int64_t)PAGE_SIZE && code_link_stays(t->b, (gla_t)at);
    if (same_page) {
        t->e = t->cold;
        emit_here(t->e, from);
        n->site[slot] = native_note(n, from);
    } else {
        emit_here(t->e, from);
        if (at == (int32_t)at) /* else there is no link */
            write_far_link(t, slot, at);
    }
    n->exit[slot] = native_note(n, t->e->p);
    if (n->site[slot])
        emit_patch(native_place(n, n->site[slot]), t->e->p);
    emit_mov_imm(t->e, H_R11, (uintptr_t)t->b | slot);
    emit_jmp(t->e, stub(t, STUB_EXIT_LINK));
    if (t->def.valid) {
        n->storing[slot] = native_note(n, t->e->p);
        store_def(t, &t->def);
        n->storing_site[slot] = native_note(n, emit_jmp_forward(t->e));
    }
    t->e = hot;
}

/* Fall through to slot 0, or jump to slot 1. */
static void go_on(struct tr *t, unsigned slot)
{
    if (t->e == t->cold) { /* a copy goes on where the block does */
        share_join(t, &t->end);
        return;
    }
    share_note(t, &t->end);
    leave_flags(t);
    write_continuation(t, slot, emit_jmp_forward(t->e));
}

/* RIP behind u, into reg. */
static void next_rip(struct tr *t, unsigned reg)
{
    emit_load(t->e, 8, reg, CPU_SLOT(jit_page));
    emit_lea(t->e, t->word, reg, h_mem(reg, (int32_t)(start_offset(t) + t->u->off + t->u->len)));
}

/* This instruction's handler goes on instead; nothing of it has happened yet. */
static void bail_out(struct tr *t, uint8_t *from)
{
    *new_late(t) = (struct late){.from = from, .u = t->u};
}

/* Looks for host code of RIP target (in a register); R14 names its line then. */
static void look_up(struct tr *t, unsigned target)
{
    struct emit *e = t->e;
    if (unlikely(t->j->no_indirect))
        bail_out(t, emit_jmp_forward(e));
    const uint8_t *again = e->p;
    find_line(t, target);
    uint8_t *missed = emit_jcc_forward(e, CC_NE);
    *new_late(t) = (struct late){.from = missed,
                                 .u = t->u,
                                 .jump = true,
                                 .lin = (uint8_t)target,
                                 .again = again,
                                 .found = e->p};
}

/* Out of line: RIP may have the neighbour of its line, or some line once it is looked for. */
static void write_find(struct tr *t, const struct late *l)
{
    struct emit *e = t->e;
    emit_alu_imm(e, 4, X_XOR, h_reg(H_R14), 2); /* the index is doubled */
    emit_alu(e, 8, X_CMP, l->lin, jump_line(t, offsetof(struct jit_jump, rip)));
    emit_patch(emit_jcc_forward(e, CC_E), l->found);
    if (t->j->no_find)
        return;
    emit_mov(e, 8, H_R11, l->lin);
    emit_call(e, stub(t, STUB_FIND));
    emit_patch(emit_jcc_forward(e, CC_NE), l->again);
}

static void branch_conditionally(struct tr *t)
{
    need_flags(t, op_info[t->u->op].flags_read);
    leave_flags(t);
    uint8_t *taken = emit_jcc_forward(t->e, (unsigned)(t->u->op - OP_JO));
    uint8_t *not_taken = emit_jmp_forward(t->e);
    write_continuation(t, 0, not_taken);
    write_continuation(t, 1, taken);
}

static void count_and_branch(struct tr *t)
{
    const struct insn *u = t->u;
    if (u->op == OP_LOOP) {
        clobber(t, REG_RCX);
        emit_lea(t->e, u->asize, H_RCX, h_mem(H_RCX, -1));
    }
    emit_test(t->e, u->asize, h_reg(H_RCX), H_RCX);
    t->host_flags = 0;
    leave_flags(t);
    uint8_t *taken = emit_jcc_forward(t->e, u->op == OP_LOOP ? CC_NE : CC_E);
    uint8_t *not_taken = emit_jmp_forward(t->e);
    write_continuation(t, 0, not_taken);
    write_continuation(t, 1, taken);
}

static void call(struct tr *t)
{
    struct emit *e = t->e;
    const int32_t slot = -(int32_t)t->word;
    clobber(t, REG_RSP);
    const struct host_rm at = stack_operand(t, REG_RSP, slot, true, true);
    next_rip(t, H_R11);
    emit_store(e, t->word, at, H_R11);
    emit_lea(e, t->word, H_R15, h_mem(H_R15, slot));
    go_on(t, 1);
}

static void ret(struct tr *t)
{
    struct emit *e = t->e;
    flush_flags(t);
    const struct host_rm at = stack_operand(t, REG_RSP, 0, false, true);
    emit_load(e, t->word, H_R10, at);
    look_up(t, H_R10);
    emit_lea(e, t->word, H_R15, h_mem(H_R15, (int32_t)(t->word + t->u->imm)));
    jump_there(t);
}

/* Where an indirect JMP or CALL leads, into R10. */
static void load_target(struct tr *t)
{
    if (t->u->mem)
        emit_load(t->e, t->word, H_R10,
                  address_check(t, effective_address(t, H_R10, t->word), t->word, false, true));
    else
        emit_mov(t->e, t->word, H_R10, get(t, t->u->rm, H_R10));
}

static void jump_indirect(struct tr *t)
{
    flush_flags(t);
    load_target(t);
    look_up(t, H_R10);
    jump_there(t);
}

static void call_indirect(struct tr *t)
{
    struct emit *e = t->e;
    flush_flags(t);
    load_target(t);
    emit_store(e, 8, CPU_SLOT(jit_target), H_R10);
    emit_lea(e, t->word, H_R10, h_mem(H_R15, -(int32_t)t->word));
    emit_lea(e, 8, H_R10, stack_check(t, H_R10, true, true));
    emit_load(e, 8, H_R11, CPU_SLOT(jit_target));
    look_up(t, H_R11);
    next_rip(t, H_R11);
    emit_store(e, t->word, h_mem(H_R10, 0), H_R11);
    emit_lea(e, t->word, H_R15, h_mem(H_R15, -(int32_t)t->word));
    emit_load(e, 8, H_R10, CPU_SLOT(jit_target));
    jump_there(t);
}

void translate_end(struct tr *t)
{
    flush_note(t);
    switch (t->how[t->u->index]) {
    case T_JMP:
        go_on(t, 1);
        break;
    case T_JCC:
        branch_conditionally(t);
        break;
    case T_LOOP:
        count_and_branch(t);
        break;
    case T_CALL:
        call(t);
        break;
    case T_RET:
        ret(t);
        break;
    case T_JMP_IND:
        jump_indirect(t);
        break;
    case T_CALL_IND:
        call_indirect(t);
        break;
    case T_EVENT:
        flush_flags(t);
        emit_mov_imm(t->e, H_R11, (uintptr_t)t->u);
        emit_jmp(t->e, stub(t, STUB_EVENT));
        break;
    default:
        if (t->how[t->u->index] == T_HANDLER &&
            bind_ends_block(t->u)) { /* its handler knows where to go on */
            t->before = false;       /* the stub looks for them */
            flush_flags(t);
            emit_mov_imm(t->e, H_R11, (uintptr_t)t->u);
            emit_jmp(t->e, stub(t, STUB_EXIT_INSN));
        } else {
            translate_insn(t);
            flush_note(t);
            go_on(t, 0);
        }
        break;
    }
}

void write_late(struct tr *t)
{
    struct emit *const hot = t->e, *const e = t->e = t->cold;
    for (unsigned i = 0; i < t->n_late; i++) {
        struct late *l = &t->late[i];
        emit_here(e, l->from);
        if (l->settle) {
            emit_call(e, stub(t, STUB_FLAGS));
            emit_jmp(e, l->back);
            continue;
        }
        if (l->jump)
            write_find(t, l);
        else if (l->filled)
            write_fill(t, l);
        if (l->def.valid)
            store_def(t, &l->def);
        store_note(t, l->note);
        if (l->x87) {
            write_x87_load(t, l);
            continue;
        }
        emit_mov_imm(e, H_R11, (uintptr_t)l->u);
        if (l->back) {
            emit_call(e, stub(t, l->flags ? STUB_INSN_FLAGS : STUB_INSN));
            if (l->vectors)
                emit_call(e, stub(t, STUB_VECTORS));
            emit_jmp(e, l->back);
        } else {
            emit_jmp(e, stub(t, STUB_EXIT_INSN));
        }
    }
    t->e = hot;
}
