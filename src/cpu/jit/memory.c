/*
 * Guest memory from translated code: the address, the soft TLB inline (tlb.h), and everything else
 * out of line, where the instruction's handler does all of it (write_late() in branches.c).
 */
#include "cpu/jit/translate.h"
#include "mmu/tlb.h"

unsigned get(struct tr *t, unsigned g, unsigned scratch)
{
    if (g >= 16) { /* REG_ZERO, REG_PC never come here */
        emit_mov_imm(t->e, scratch, 0);
        return scratch;
    }
    if (guest_host[g] != H_NONE)
        return guest_host[g];
    emit_load(t->e, 8, scratch, h_gs(guest_slot(g)));
    return scratch;
}

void put(struct tr *t, unsigned g, unsigned from)
{
    if (guest_host[g] == H_NONE)
        emit_store(t->e, 8, h_gs(guest_slot(g)), from);
    else if (guest_host[g] != from)
        emit_mov(t->e, 8, guest_host[g], from);
}

/*
 * The linear address of u's memory operand (64-bit addresses only), in a register: a guest's own
 * or scratch. Keeps R14 and, unless there is an index in memory, R11; changes no flags but for a
 * segment base.
 */
unsigned effective_address(struct tr *t, unsigned scratch)
{
    const struct insn *u = t->u;
    unsigned base = H_NONE, index = H_NONE;
    int64_t disp = u->disp;
    if (u->base == REG_PC) {
        emit_load(t->e, 8, scratch, CPU_SLOT(jit_page));
        base = scratch;
        disp += (int64_t)(t->b->start & ~PAGE_MASK);
    } else if (u->base != REG_ZERO) {
        base = get(t, u->base, scratch);
    }
    if (u->xindex != REG_ZERO)
        index = get(t, u->xindex, base == scratch ? H_R11 : scratch);
    unsigned lin = scratch;
    if (base != H_NONE && index == H_NONE && disp == 0)
        lin = base;
    else
        emit_lea(t->e, 8, scratch,
                 h_sib(base, index, index == H_NONE ? 0 : u->scale, (int32_t)disp));
    if (u->seg == SEG_FS || u->seg == SEG_GS) {
        const int32_t slot = (int32_t)(offsetof(struct cpu, seg) + sizeof(struct segment) * u->seg +
                                       offsetof(struct segment, base));
        emit_mov(t->e, 8, scratch, lin);
        emit_alu(t->e, 8, X_ADD, scratch, h_gs(slot));
        t->host_flags = 0;
        lin = scratch;
    }
    return lin;
}

uint8_t *emit_look_up(struct emit *e, bool user, unsigned lin, unsigned size, bool write,
                      unsigned index, unsigned addend)
{
    const int32_t half =
        write ? (int32_t)offsetof(struct tlb_line, wr) : (int32_t)offsetof(struct tlb_line, rd);
    static_assert(sizeof(struct tlb_line) == 32 && PAGE_SHIFT == 12,
                  "the index is made by rotating the page number into place");
    emit_rorx(e, index, lin, PAGE_SHIFT - 5);
    emit_rorx(e, addend, lin, PAGE_SHIFT + TLB_BITS - 5);
    emit_alu(e, 4, X_XOR, index, h_reg(addend));
    emit_alu_imm(e, 4, X_AND, h_reg(index), (TLB_LINES - 1) * 32);
    struct host_rm tag, add;
    if (user) {
        const int32_t at = (int32_t)(offsetof(struct cpu, tlb) + sizeof(struct tlb) * TLB_USER +
                                     offsetof(struct tlb, line)) +
                           half;
        tag = h_gs_index(index, 0, at + (int32_t)offsetof(struct tlb_half, tag));
        add = h_gs_index(index, 0, at + (int32_t)offsetof(struct tlb_half, addend));
    } else { /* which of the two of the kernel depends on EFLAGS.AC */
        emit_alu(e, 8, X_ADD, index, CPU_SLOT(tlb_cur));
        tag = h_mem(index, half + (int32_t)offsetof(struct tlb_half, tag));
        add = h_mem(index, half + (int32_t)offsetof(struct tlb_half, addend));
    }
    emit_load(e, 8, addend, tag);
    emit_alu(e, 8, X_XOR, addend, h_reg(lin));
    emit_alu_imm(e, 8, X_CMP, h_reg(addend), (int32_t)(PAGE_SIZE - size));
    uint8_t *miss = emit_jcc_forward(e, CC_A);
    emit_load(e, 8, addend, add);
    return miss;
}

/* Uses R11; R14 is the addend. */
static uint8_t *look_up(struct tr *t, unsigned lin, unsigned size, bool write)
{
    return emit_look_up(t->e, t->b->mode & MODE_USER, lin, size, write, H_R11, H_R14);
}

/*
 * Looks lin up; the operand at its host address. Uses R11 and R14; the operand keeps lin and R14
 * in use. ends: the instruction is the last of its block. SDM 3A §4.10.2 for what a TLB may hold.
 */
struct host_rm address_check(struct tr *t, unsigned lin, unsigned size, bool write, bool ends)
{
    t->host_flags = 0;
    uint8_t *miss = look_up(t, lin, size, write);
    struct late *l = &t->late[t->n_late++];
    *l = (struct late){.from = miss, .u = t->u, .def = t->def};
    if (!ends)
        l->back = t->e->p; /* moved behind the instruction by translate_insn() */
    return h_sib(lin, H_R14, 0, 0);
}

/*
 * The stack's page is kept beside the TLB: one compare and no index. Anything that ends a TLB
 * line, or the privilege it is for, ends it (stack_limit = 0).
 */
struct host_rm stack_check(struct tr *t, unsigned lin, bool ends)
{
    struct emit *e = t->e;
    t->host_flags = 0;
    emit_load(e, 8, H_R14, CPU_SLOT(stack_page));
    emit_alu(e, 8, X_XOR, H_R14, h_reg(lin));
    emit_alu(e, 8, X_CMP, H_R14, CPU_SLOT(stack_limit));
    struct late *l = &t->late[t->n_late++];
    *l = (struct late){.from = emit_jcc_forward(e, CC_AE),
                       .u = t->u,
                       .def = t->def,
                       .stack = true,
                       .lin = (uint8_t)lin,
                       .found = e->p};
    if (!ends)
        l->back = e->p;
    emit_load(e, 8, H_R14, CPU_SLOT(stack_addend));
    return h_sib(lin, H_R14, 0, 0);
}

/* Out of line: fills it from the TLB's line; a miss there goes the usual way. */
void write_stack_look_up(struct tr *t, struct late *l)
{
    struct emit *e = t->e;
    emit_here(e, l->from);
    uint8_t *miss = look_up(t, l->lin, 8, true);
    emit_store(e, 8, CPU_SLOT(stack_addend), H_R14);
    emit_mov(e, 8, H_R11, l->lin);
    emit_alu_imm(e, 8, X_AND, h_reg(H_R11), -(int32_t)PAGE_SIZE);
    emit_store(e, 8, CPU_SLOT(stack_page), H_R11);
    emit_store_imm(e, 8, CPU_SLOT(stack_limit), PAGE_SIZE - 8 + 1);
    emit_jmp(e, l->found);
    struct late *rest = &t->late[t->n_late++];
    *rest = *l;
    rest->from = miss;
    rest->stack = false;
}

struct host_rm memory_operand(struct tr *t, unsigned size, bool write)
{
    const struct insn *u = t->u;
    const unsigned lin = effective_address(t, H_R10);
    if (u->base == REG_RSP && u->xindex == REG_ZERO && size <= 8 && u->seg != SEG_FS &&
        u->seg != SEG_GS)
        return stack_check(t, lin, false);
    return address_check(t, lin, size, write, false);
}
