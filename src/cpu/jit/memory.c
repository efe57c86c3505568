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
        emit_lea(t->e, 8, scratch, h_sib(base, index, index == H_NONE ? 0 : u->scale, (int32_t)disp));
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

/*
 * Looks lin up; the operand at its host address. Uses R11 and R14; the operand keeps lin and R14
 * in use. ends: the instruction is the last of its block. SDM 3A §4.10.2 for what a TLB may hold.
 */
struct host_rm address_check(struct tr *t, unsigned lin, unsigned size, bool write, bool ends)
{
    struct emit *e = t->e;
    const int32_t half = write ? (int32_t)offsetof(struct tlb_line, wr)
                               : (int32_t)offsetof(struct tlb_line, rd);
    static_assert(sizeof(struct tlb_line) == 32 && PAGE_SHIFT == 12,
                  "the index is made by rotating the page number into place");
    t->host_flags = 0;
    emit_rorx(e, H_R11, lin, PAGE_SHIFT - 5);
    emit_rorx(e, H_R14, lin, PAGE_SHIFT + TLB_BITS - 5);
    emit_alu(e, 4, X_XOR, H_R11, h_reg(H_R14));
    emit_alu_imm(e, 4, X_AND, h_reg(H_R11), (TLB_LINES - 1) * 32);
    struct host_rm tag, addend;
    if (t->b->mode & MODE_USER) {
        const int32_t at = (int32_t)(offsetof(struct cpu, tlb) + sizeof(struct tlb) * TLB_USER +
                                     offsetof(struct tlb, line)) +
                           half;
        tag = h_gs_index(H_R11, 0, at + (int32_t)offsetof(struct tlb_half, tag));
        addend = h_gs_index(H_R11, 0, at + (int32_t)offsetof(struct tlb_half, addend));
    } else { /* which of the two depends on EFLAGS.AC */
        emit_alu(e, 8, X_ADD, H_R11, CPU_SLOT(tlb_cur));
        tag = h_mem(H_R11, half + (int32_t)offsetof(struct tlb_half, tag));
        addend = h_mem(H_R11, half + (int32_t)offsetof(struct tlb_half, addend));
    }
    emit_load(e, 8, H_R14, tag);
    emit_alu(e, 8, X_XOR, H_R14, h_reg(lin));
    emit_alu_imm(e, 8, X_CMP, h_reg(H_R14), (int32_t)(PAGE_SIZE - size));
    uint8_t *miss = emit_jcc_forward(e, CC_A);
    emit_load(e, 8, H_R14, addend);
    struct late *l = &t->late[t->n_late++];
    *l = (struct late){.from = miss, .u = t->u, .def = t->def};
    if (!ends)
        l->back = e->p; /* moved behind the instruction by translate_block() */
    return h_sib(lin, H_R14, 0, 0);
}

struct host_rm memory_operand(struct tr *t, unsigned size, bool write)
{
    return address_check(t, effective_address(t, H_R10), size, write, false);
}
