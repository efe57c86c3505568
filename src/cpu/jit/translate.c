/* One block to host code: chooses templates, looks where flags matter, then writes in one pass. */
#include "cpu/jit/translate.h"
#include "cpu/jit/verify.h"

/* Bytes of an address in b's code. */
static unsigned word_of(const struct block *b)
{
    return (b->mode & MODE_CODE_MASK) == MODE_CODE64 ? 8 : 4;
}

bool jit_has_template(const struct jit *j, const struct block *b, const struct insn *u)
{
    struct tr t;
    t.j = (struct jit *)(uintptr_t)j;
    t.b = (struct block *)(uintptr_t)b;
    t.word = word_of(b);
    return template_of(&t, u) != T_HANDLER;
}

/* Where other blocks and indirect branches enter. */
static void write_entry(struct tr *t)
{
    struct emit *e = t->e;
    const struct block *b = t->b;
    const uint8_t *const spent = e->p; /* near enough for a jump of two bytes */
    t->spent = emit_jmp_forward(e);
    t->n->indirect = e->p; /* R10 = RIP */
    emit_alu(e, 8, X_AND, H_R10, CPU_SLOT(page_mask));
    emit_store(e, 8, CPU_SLOT(jit_page), H_R10);
    t->n->entry = native_note(t->n, e->p);
    emit_alu_imm(e, 8, X_SUB, h_reg(H_R13), b->n);
    emit_jcc_short(e, CC_S, spent);
    t->n->body = native_note(t->n, e->p);
}

static void write_leaving(struct tr *t)
{
    struct emit *e = t->cold;
    emit_here(e, t->spent);
    emit_alu_imm(e, 8, X_ADD, h_reg(H_R13), t->b->n);
    t->n->left = native_note(t->n, e->p);
    emit_mov_imm(e, H_R10, (uintptr_t)t->b);
    emit_jmp(e, (uint8_t *)(uintptr_t)t->j->stub[STUB_EXIT_START]);
}

void translate_one(struct tr *t, unsigned i)
{
    const struct insn *u = t->u = &t->b->insn[i];
    unsigned late = t->n_late;
    struct insn wrong;
    if (unlikely(u->op >= t->j->broken && u->op <= t->j->broken_last) &&
        t->how[u->index] != T_HANDLER) {
        wrong = *u;
        verify_mutate(&wrong);
        t->u = &wrong;
    }
    if (u->index + 1u < t->b->n)
        translate_insn(t);
    else
        translate_end(t);
    for (; late < t->n_late; late++)
        t->late[late].u = u; /* the handler is right */
    t->u = u;
    if (ends_before(t, i))
        t->before = false;
}

/* -d out_asm; host[i] is where instruction i's code begins, with one more behind the last. */
static void list_code(const struct tr *t, uint8_t *const *host, const uint8_t *cold)
{
    const struct block *b = t->b;
    struct cpu *cpu = t->j->cpu;
    uint16_t guest_at[BLOCK_MAX_INSNS + 1];
    uint32_t host_at[BLOCK_MAX_INSNS + 1];
    for (unsigned i = 0; i <= b->n; i++) {
        guest_at[i] = i < b->n ? b->insn[i].off : b->bytes;
        host_at[i] = (uint32_t)(host[i] - t->n->indirect);
    }
    const struct cpu_translation code = {
        .lin = cpu->r[REG_PC],
        .guest = b->page2 == RAM_NONE ? ram_host(cpu->mem->ram, b->start) : NULL,
        .guest_len = b->bytes,
        .insns = b->n,
        .host = t->n->indirect,
        .runs_at = (uintptr_t)jit_runs_at(t->j, t->n->indirect),
        .host_len = (size_t)(t->e->p - t->n->indirect),
        .cold = cold,
        .cold_runs_at = (uintptr_t)jit_runs_at(t->j, cold),
        .cold_len = (size_t)(t->cold->p - cold),
        .guest_at = guest_at,
        .host_at = host_at,
    };
    cpu->trace.translated(cpu->trace.opaque, cpu, &code);
}

static bool try_to(struct jit *j, struct block *b, struct native *n, struct emit *e,
                   struct emit *cold, bool share)
{
    const uint8_t *const cold_start = cold->p;
    *n = (struct native){.reach = JIT_REACH_MIN, .room = JIT_REACH_MAX};
    struct tr tr, *t = &tr;
    memset(t, 0, offsetof(struct tr, late));
    t->n_late = 0;
    t->j = j;
    t->b = b;
    t->n = n;
    t->word = word_of(b);
    t->e = e;
    t->cold = cold;
    for (unsigned i = 0; i < b->n; i++)
        t->how[i] = template_of(t, &b->insn[i]);
    analyse_flags(t);
    uint8_t *host[BLOCK_MAX_INSNS + 1];
    write_entry(t);
    if (share)
        share_start(t);
    for (unsigned i = 0; i < b->n; i++) {
        const unsigned late = t->n_late;
        host[i] = e->p;
        share_settle_rsp(t, i);
        share_note(t, &t->between[i]);
        translate_one(t, i);
        share_next(t, late);
    }
    share_end(t);
    host[b->n] = e->p;
    share_write_copies(t);
    write_late(t);
    write_leaving(t);
    if (e->full || cold->full || t->too_much)
        return false;
    if (unlikely(log_on(j->cpu->log, LOG_OUT)) && j->cpu->trace.translated)
        list_code(t, host, cold_start);
    return true;
}

bool translate_block(struct jit *j, struct block *b, struct native *n, struct emit *e,
                     struct emit *cold)
{
    const struct emit hot_before = *e, cold_before = *cold;
    if (try_to(j, b, n, e, cold, true))
        return true;
    *e = hot_before;
    *cold = cold_before;
    return try_to(j, b, n, e, cold, false); /* which takes less room */
}
