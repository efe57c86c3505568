/* One block to host code: chooses templates, looks where flags matter, then writes in one pass. */
#include "cpu/jit/translate.h"
#include "cpu/jit/verify.h"

/* Where other blocks and indirect branches enter. */
static void write_entry(struct tr *t)
{
    struct emit *e = t->e;
    const struct block *b = t->b;
    t->n->indirect = e->p; /* R10 = RIP */
    emit_alu_imm(e, 8, X_AND, h_reg(H_R10), -(int32_t)PAGE_SIZE);
    emit_store(e, 8, CPU_SLOT(jit_page), H_R10);
    emit_mov_imm(e, H_R11, 0);
    t->n->entry = e->p;
    emit_alu_imm(e, 8, X_SUB, h_reg(H_R13), b->n);
    uint8_t *spent = emit_jcc_forward(e, CC_S);
    t->n->body = e->p;
    t->spent = spent;
}

static void write_leaving(struct tr *t)
{
    struct emit *e = t->e;
    emit_here(e, t->spent);
    emit_alu_imm(e, 8, X_ADD, h_reg(H_R13), t->b->n);
    t->n->left = e->p;
    emit_mov_imm(e, H_R10, (uintptr_t)t->b);
    emit_jmp(e, (uint8_t *)(uintptr_t)t->j->stub[STUB_EXIT_START]);
}

static void translate_one(struct tr *t)
{
    const struct insn *u = t->u;
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
}

bool translate_block(struct jit *j, struct block *b, struct native *n, struct emit *e)
{
    struct tr tr, *t = &tr;
    memset(t, 0, offsetof(struct tr, late));
    t->n_late = 0;
    t->j = j;
    t->b = b;
    t->n = n;
    t->word = (b->mode & MODE_CODE_MASK) == MODE_CODE64 ? 8 : 4;
    t->e = e;
    for (unsigned i = 0; i < b->n; i++)
        t->how[i] = template_of(t, &b->insn[i]);
    analyse_flags(t);
    write_entry(t);
    for (unsigned i = 0; i < b->n; i++) {
        t->u = &b->insn[i];
        translate_one(t);
    }
    write_late(t);
    write_leaving(t);
    return !e->full;
}
