/*
 * Guest memory from translated code: the address, the soft TLB inline (tlb.h), and everything else
 * out of line, where the instruction's handler does all of it (write_late() in branches.c).
 */
#include "cpu/jit/translate.h"
#include "mmu/tlb.h"

unsigned get(struct tr *t, unsigned g, unsigned scratch)
{
    if (g >= 16) { /* REG_ZERO */
        emit_mov_imm(t->e, scratch, 0);
        return scratch;
    }
    if (guest_host[g] != H_NONE)
        return guest_host[g];
    emit_load(t->e, 8, scratch, h_state(guest_slot(g)));
    return scratch;
}

void put(struct tr *t, unsigned g, unsigned from)
{
    t->changed |= BIT(g);
    if (guest_host[g] == H_NONE)
        emit_store(t->e, 8, h_state(guest_slot(g)), from);
    else if (guest_host[g] != from)
        emit_mov(t->e, 8, guest_host[g], from);
}

/* A field of u's segment register. */
static struct host_rm segment_field(const struct insn *u, size_t field)
{
    return h_state(offsetof(struct cpu, seg) + sizeof(struct segment) * u->seg + field);
}

/*
 * FS and GS outside 64-bit mode: a writable data segment that grows upwards and holds size bytes
 * at offset off; all others are the handler's (SDM 3A §5.3, §5.5). Uses R11.
 */
static void check_segment(struct tr *t, unsigned off, unsigned size)
{
    struct emit *e = t->e;
    const unsigned late = t->n_late;
    emit_load(e, 4, H_R11, segment_field(t->u, offsetof(struct segment, attr)));
    emit_alu_imm(e, 4, X_AND, h_reg(H_R11), ATTR_NULL | ATTR_CODE | ATTR_EC | ATTR_RW);
    emit_alu_imm(e, 4, X_CMP, h_reg(H_R11), ATTR_RW);
    leave_line(t, emit_jcc_forward(e, CC_NE));
    emit_load(e, 4, H_R11, segment_field(t->u, offsetof(struct segment, limit)));
    emit_alu_imm(e, 8, X_SUB, h_reg(H_R11), (int32_t)size - 1);
    emit_alu(e, 8, X_CMP, H_R11, h_reg(off));
    leave_line(t, emit_jcc_forward(e, CC_L));
    if (t->how[t->u->index] >= T_JMP) /* a branch's handler does not come back */
        for (unsigned i = late; i < t->n_late; i++)
            t->late[i].back = NULL;
}

/*
 * The linear address of u's memory operand of size bytes, in a register: a guest's own or scratch.
 * size 0: without segment, for LEA. Keeps R14 and, unless there is an index in memory or a segment
 * to be checked, R11; changes no flags but for a segment.
 */
unsigned effective_address(struct tr *t, unsigned scratch, unsigned size)
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
    if (base == H_NONE || index != H_NONE || disp != 0)
        emit_lea(t->e, u->asize, scratch,
                 h_sib(base, index, index == H_NONE ? 0 : u->scale, (int32_t)disp));
    else if (u->asize == 4) /* the upper half does not count */
        emit_mov(t->e, 4, scratch, base);
    else
        lin = base;
    if (size && (u->seg == SEG_FS || u->seg == SEG_GS)) {
        t->host_flags = 0;
        if (t->word == 4)
            check_segment(t, scratch, size);
        emit_mov(t->e, 8, scratch, lin);
        emit_alu(t->e, t->word, X_ADD, scratch, segment_field(u, offsetof(struct segment, base)));
        lin = scratch;
    }
    return lin;
}

/* Page numbers are shifted into place by these, and one TLB further to the right. */
#define LINE_SHIFT 5
static_assert(sizeof(struct tlb_line) == 1 << LINE_SHIFT &&
                  sizeof(struct tlb_near) == 1 << LINE_SHIFT && offsetof(struct tlb, near) == 0,
              "so that tlb_cur + index is a near line");

struct host_rm near_at(bool user, unsigned index, size_t member)
{
    struct host_rm m = h_gs_mem(index, (int32_t)member);
    m.gs = user;
    return m;
}

#define NEAR_MASK ((TLB_LINES - 1) << LINE_SHIFT)

void emit_near_index(struct emit *e, unsigned lin, unsigned index)
{
    emit_rorx(e, index, lin, PAGE_SHIFT - LINE_SHIFT);
    emit_alu_imm(e, 4, X_AND, h_reg(index), NEAR_MASK);
    emit_alu(e, 8, X_ADD, index, CPU_SLOT_GS(tlb_cur));
}

/* The same in a block, for near_at(), with the constant in memory: two bytes less. */
static void near_index(struct tr *t, unsigned lin, unsigned index)
{
    emit_rorx(t->e, index, lin, PAGE_SHIFT - LINE_SHIFT);
    emit_alu(t->e, 4, X_AND, index, CPU_SLOT(near_mask));
    if (!(t->b->mode & MODE_USER)) /* which of the two of the kernel depends on EFLAGS.AC */
        emit_alu(t->e, 8, X_ADD, index, CPU_SLOT(tlb_cur));
}

uint8_t *emit_line_look_up(struct emit *e, unsigned lin, unsigned size, bool write, unsigned index,
                           unsigned addend)
{
    const int32_t half =
        (int32_t)(offsetof(struct tlb, line) +
                  (write ? offsetof(struct tlb_line, wr) : offsetof(struct tlb_line, rd)));
    emit_rorx(e, index, lin, PAGE_SHIFT - LINE_SHIFT);
    emit_rorx(e, addend, lin, PAGE_SHIFT - LINE_SHIFT + TLB_BITS);
    emit_alu(e, 4, X_XOR, index, h_reg(addend));
    emit_alu_imm(e, 4, X_AND, h_reg(index), (TLB_LINES - 1) << LINE_SHIFT);
    emit_alu(e, 8, X_ADD, index, CPU_SLOT_GS(tlb_cur));
    emit_load(e, 8, addend, h_mem(index, half + (int32_t)offsetof(struct tlb_half, tag)));
    emit_alu(e, 8, X_XOR, addend, h_reg(lin));
    emit_alu_imm(e, 8, X_CMP, h_reg(addend), (int32_t)(PAGE_SIZE - size));
    uint8_t *miss = emit_jcc_forward(e, CC_A);
    emit_load(e, 8, addend, h_mem(index, half + (int32_t)offsetof(struct tlb_half, addend)));
    return miss;
}

static struct host_rm near_tag(bool user, unsigned index, bool write)
{
    return near_at(user, index,
                   write ? offsetof(struct tlb_near, wr) : offsetof(struct tlb_near, rd));
}

/* Jumps if offset (in a register) in a page is not that of size bytes in it. */
static uint8_t *check_offset(struct emit *e, unsigned offset, unsigned size)
{
    if (size == 8 || size == 4)
        emit_alu(e, 8, X_CMP, offset,
                 h_state(offsetof(struct cpu, near_limit) + (size == 4 ? sizeof(uint64_t) : 0)));
    else
        emit_alu_imm(e, 8, X_CMP, h_reg(offset), (int32_t)(PAGE_SIZE - size));
    return emit_jcc_forward(e, CC_A);
}

void jit_constants(struct cpu *cpu)
{
    cpu->near_limit[0] = PAGE_SIZE - 8;
    cpu->near_limit[1] = PAGE_SIZE - 4;
    cpu->near_mask = NEAR_MASK;
    cpu->page_mask = PAGE_MASK;
}

/* The addend in R14, or a jump. Uses R11. */
static uint8_t *look_up(struct tr *t, unsigned lin, unsigned size, bool write)
{
    struct emit *e = t->e;
    const bool user = t->b->mode & MODE_USER;
    near_index(t, lin, H_R11);
    emit_load(e, 8, H_R14, near_tag(user, H_R11, write));
    emit_alu(e, 8, X_XOR, H_R14, h_reg(lin));
    uint8_t *miss = check_offset(e, H_R14, size);
    emit_load(e, 8, H_R14, near_at(user, H_R11, offsetof(struct tlb_near, addend)));
    return miss;
}

uint8_t *emit_near_look_up(struct tr *t, unsigned index, unsigned size, bool write)
{
    const bool user = t->b->mode & MODE_USER;
    near_index(t, H_R10, index);
    emit_alu(t->e, 8, X_XOR, H_R10, near_tag(user, index, write));
    return check_offset(t->e, H_R10, size);
}

/* A TLB miss of u at from. Where it goes on is moved behind u by translate_insn(). */
static struct late *miss_late(struct tr *t, uint8_t *from, unsigned lin, unsigned size, bool write)
{
    struct late *l = new_late(t);
    *l = (struct late){.from = from,
                       .back = t->e->p,
                       .u = t->u,
                       .def = t->def,
                       .filled = t->e->p,
                       .lin = (uint8_t)lin,
                       .size = (uint8_t)size,
                       .write = write};
    return l;
}

/*
 * Looks lin up; the operand at its host address. Uses R11 and R14; the operand keeps lin and R14
 * in use. ends: the instruction is the last of its block. SDM 3A §4.10.2 for what a TLB may hold.
 */
struct host_rm address_check(struct tr *t, unsigned lin, unsigned size, bool write, bool ends)
{
    t->host_flags = 0;
    uint8_t *miss = look_up(t, lin, size, write);
    struct late *l = miss_late(t, miss, lin, size, write);
    if (ends)
        l->back = NULL;
    return h_sib(lin, H_R14, 0, 0);
}

/*
 * The same for u's memory operand; lin, if it is R10, is used up, which spares an instruction: R10
 * becomes the offset in the page, and the operand is found again by its base, or from the page on.
 */
struct host_rm operand_check(struct tr *t, unsigned lin, unsigned size, bool write)
{
    const struct insn *u = t->u;
    struct emit *e = t->e;
    if (lin != H_R10)
        return address_check(t, lin, size, write, false);
    t->host_flags = 0;
    const bool user = t->b->mode & MODE_USER;
    const bool by_base = u->base < 16 && guest_host[u->base] != H_NONE && u->xindex == REG_ZERO &&
                         u->asize == 8 && u->seg != SEG_FS && u->seg != SEG_GS;
    uint8_t *miss = emit_near_look_up(t, H_R11, size, write);
    if (by_base)
        emit_load(e, 8, H_R14, near_at(user, H_R11, offsetof(struct tlb_near, addend)));
    else
        emit_alu(e, 8, X_ADD, H_R10, near_at(user, H_R11, offsetof(struct tlb_near, host)));
    struct late *l = miss_late(t, miss, H_R10, size, write);
    l->offset = true;
    l->host = !by_base;
    return by_base ? h_sib(guest_host[u->base], H_R14, 0, (int32_t)u->disp) : h_mem(H_R10, 0);
}

uint8_t *emit_stack_look_up(struct emit *e, unsigned lin, unsigned size, unsigned scratch)
{
    unsigned span = 0;
    while (stack_span[span] < size)
        span++;
    emit_load(e, 8, scratch, CPU_SLOT(stack_page));
    emit_alu(e, 8, X_XOR, scratch, h_reg(lin));
    emit_alu(e, 8, X_CMP, scratch, CPU_SLOT(stack_limit[span]));
    return emit_jcc_forward(e, CC_AE);
}

/*
 * The stack's page is kept beside the TLB: one compare and no index. Any flush, and the end of the
 * privilege it is for, ends it (cpu_forget_stack()); a line that displaces its line does not.
 */
struct host_rm stack_check(struct tr *t, unsigned lin, bool write, bool ends)
{
    struct emit *e = t->e;
    t->host_flags = 0;
    uint8_t *miss = emit_stack_look_up(e, lin, t->word, H_R14);
    emit_load(e, 8, H_R14, CPU_SLOT(stack_addend));
    struct late *l = miss_late(t, miss, lin, t->word, write);
    l->stack = true;
    if (ends)
        l->back = NULL;
    return h_sib(lin, H_R14, 0, 0);
}

/* CALL first sees that its target is canonical, before it touches the stack (SDM 2A). */
static enum stack_use stack_use(const struct tr *t, const struct late *l)
{
    if (!l->write)
        return STACK_READ;
    return t->how[l->u->index] == T_CALL_IND ? STACK_CHECK : STACK_WRITE;
}

/* Smaller sizes than 64 that are no power of two stand for the next one, which only may cross. */
void write_fill(struct tr *t, const struct late *l)
{
    struct emit *e = t->e;
    if (l->size > 64)
        return;
    const unsigned log2 = l->size > 1 ? 32 - (unsigned)__builtin_clz(l->size - 1u) : 0;
    const unsigned stub = l->stack ? STUB_STACK + stack_use(t, l) + (t->word == 4 ? STACK_USES : 0)
                                   : STUB_FILL + log2 + (l->write ? FILL_SIZES : 0);
    if (l->offset)
        emit_alu(e, 8, X_XOR, H_R10, near_tag(t->b->mode & MODE_USER, H_R11, l->write));
    emit_mov(e, 8, H_R11, l->lin);
    emit_call(e, t->j->stub[stub]);
    if (!l->host) {
        emit_patch(emit_jcc_forward(e, CC_NE), l->filled);
        return;
    }
    uint8_t *none = emit_jcc_forward(e, CC_E);
    emit_alu(e, 8, X_ADD, H_R10, h_reg(H_R14));
    emit_jmp(e, l->filled);
    emit_here(e, none);
}

static bool in_stack(const struct tr *t, unsigned size)
{
    const struct insn *u = t->u;
    return u->base == REG_RSP && u->xindex == REG_ZERO && size <= t->word && u->seg != SEG_FS &&
           u->seg != SEG_GS;
}

struct host_rm memory_operand(struct tr *t, unsigned size, bool write)
{
    struct host_rm m;
    if (share_operand(t, size, write, &m))
        return m;
    const unsigned lin = effective_address(t, H_R10, size);
    return in_stack(t, size) ? stack_check(t, lin, write, false)
                             : operand_check(t, lin, size, write);
}

struct host_rm linear_operand(struct tr *t, unsigned size, bool write)
{
    const unsigned lin = effective_address(t, H_R10, size);
    return in_stack(t, size) ? stack_check(t, lin, write, false)
                             : address_check(t, lin, size, write, false);
}

struct host_rm stack_operand(struct tr *t, unsigned base, int32_t disp, bool write, bool ends)
{
    struct host_rm m;
    if (share_stack(t, base, disp, write, &m))
        return m;
    unsigned lin = guest_host[base];
    if (disp) {
        emit_lea(t->e, t->word, H_R10, h_mem(lin, disp));
        lin = H_R10;
    } else if (t->word == 4) {
        emit_mov(t->e, 4, H_R10, lin);
        lin = H_R10;
    }
    return stack_check(t, lin, write, ends);
}
