/*
 * Far transfers: JMP, CALL, RET and IRET between segments, through gates and tasks; INT n.
 * SDM 2A under each mnemonic, in the order of its "Operation" section; SDM 3A §5.8.
 */
#include "cpu/except.h"
#include "cpu/frame.h"
#include "cpu/run.h"
#include "cpu/stack.h"
#include "cpu/sys.h"

static bool real_or_vm86(const struct cpu *cpu)
{
    return !cpu_prot(cpu) || cpu_vm86(cpu);
}

/* L and D together mean nothing (SDM 3A §5.2.1). */
static void check_code_size(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    if (cpu_long(cpu) && (desc_attr(d) & (ATTR_L | ATTR_DB)) == (ATTR_L | ATTR_DB))
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_CODE_LD);
}

/* Where a transfer may go: within the limit, or canonical. The last check, after the stack's. */
static void check_offset(struct cpu *cpu, const struct segment *cs, uint64_t offset)
{
    if (cpu_long(cpu) && (cs->attr & ATTR_L)) {
        if (!cpu_canonical(cpu, offset))
            cpu_gp0(cpu, REASON_NONCANONICAL);
    } else if (offset > cs->limit) {
        cpu_gp0(cpu, REASON_CODE_LIMIT);
    }
}

static struct segment code_segment(uint16_t sel, unsigned cpl, const struct desc *d)
{
    return desc_segment((uint16_t)((sel & ~3u) | cpl), d);
}

/*
 * From here on nothing may fault any more. Accessed bits were set before (segment_mark()): their
 * stores can.
 */
static void commit_code(struct cpu *cpu, const struct segment *cs, unsigned cpl, uint64_t offset)
{
    cpu->cpl = (uint8_t)cpl;
    segment_set(cpu, SEG_CS, cs);
    cpu->rip = offset;
}

/* The checks of a direct transfer to a code segment at the same level (JMP, CALL). */
static struct segment check_direct(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    const unsigned rpl = sel & 3, dpl = desc_dpl(d);
    check_code_size(cpu, sel, d);
    if (desc_conforming(d) ? dpl > cpu->cpl : rpl > cpu->cpl || dpl != cpu->cpl)
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_DPL);
    if (!desc_present(d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    return code_segment(sel, cpu->cpl, d);
}

static void check_gate_rights(struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    if (desc_dpl(d) < cpu->cpl || desc_dpl(d) < (sel & 3u))
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_DPL);
    if (!desc_present(d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
}

struct call_gate {
    uint16_t sel;
    uint64_t offset;
    unsigned params, size; /* size of a push */
    struct desc code;
};

static struct call_gate fetch_call_gate(struct cpu *cpu, uint16_t sel, struct desc *d, bool jump)
{
    struct call_gate g = {.sel = (uint16_t)(d->lo >> 16), .params = d->hi & 31};
    check_gate_rights(cpu, sel, d);
    g.offset = (d->lo & 0xffff) | (d->hi & 0xffff0000);
    g.size = desc_type(d) == TYPE_CALL32 ? 4 : 2;
    if (cpu_long(cpu)) {
        if (!desc_fetch_upper(cpu, sel, d))
            sel_fault(cpu, VEC_GP, sel, REASON_SEL_UPPER);
        g.offset |= d->upper << 32;
        g.size = 8;
    } else if (g.size == 2) {
        g.offset &= 0xffff;
    }
    if (sel_null(g.sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    desc_fetch_or(cpu, g.sel, &g.code, VEC_GP);
    if (!desc_is_code(&g.code) || desc_dpl(&g.code) > cpu->cpl)
        sel_fault(cpu, VEC_GP, g.sel, REASON_SEL_TYPE);
    if (jump && !desc_conforming(&g.code) && desc_dpl(&g.code) != cpu->cpl)
        sel_fault(cpu, VEC_GP, g.sel, REASON_SEL_DPL);
    if (cpu_long(cpu) && (desc_attr(&g.code) & (ATTR_L | ATTR_DB)) != ATTR_L)
        sel_fault(cpu, VEC_GP, g.sel, REASON_SEL_CODE_LD);
    if (!desc_present(&g.code))
        sel_fault(cpu, VEC_NP, g.sel, REASON_SEL_NOT_PRESENT);
    return g;
}

/* The TSS behind a selector or task gate, checked for a switch to it. */
static void fetch_task(struct cpu *cpu, uint16_t *sel, struct desc *d)
{
    if (cpu_long(cpu))
        sel_fault(cpu, VEC_GP, *sel, REASON_SEL_TYPE);
    if ((*sel & 4) && desc_type(d) != TYPE_TASK_GATE) /* a TSS is in the GDT (SDM 3A §7.2.2) */
        sel_fault(cpu, VEC_GP, *sel, REASON_TSS_TYPE);
    check_gate_rights(cpu, *sel, d);
    if (desc_type(d) == TYPE_TASK_GATE) {
        *sel = (uint16_t)(d->lo >> 16);
        if (sel_null(*sel) || (*sel & 4))
            sel_fault(cpu, VEC_GP, *sel, REASON_TSS_TYPE);
        desc_fetch_or(cpu, *sel, d, VEC_GP);
        if (desc_is_segment(d) || (desc_type(d) != TYPE_TSS16 && desc_type(d) != TYPE_TSS32))
            sel_fault(cpu, VEC_GP, *sel, REASON_TSS_TYPE);
        if (!desc_present(d))
            sel_fault(cpu, VEC_NP, *sel, REASON_SEL_NOT_PRESENT);
    }
}

static void leave_task(struct cpu *cpu, uint16_t sel, struct desc *d, enum task_reason why)
{
    const uint64_t return_ip = next_rip(cpu, cpu->cur);
    task_switch(cpu, sel, d, &(struct task_leave){why, return_ip, cpu_get_rflags(cpu), -1});
}

static void jump_far(struct cpu *cpu, uint16_t sel, uint64_t offset)
{
    struct desc d;
    if (real_or_vm86(cpu)) {
        if (offset > cpu->seg[SEG_CS].limit)
            cpu_gp0(cpu, REASON_CODE_LIMIT);
        if (cpu_vm86(cpu))
            segment_load_vm86(cpu, SEG_CS, sel);
        else
            segment_load_real(cpu, SEG_CS, sel);
        cpu->rip = offset;
        return;
    }
    if (sel_null(sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    desc_fetch_or(cpu, sel, &d, VEC_GP);
    if (desc_is_code(&d)) {
        struct segment cs = check_direct(cpu, sel, &d);
        check_offset(cpu, &cs, offset);
        segment_mark(cpu, &cs, &d);
        commit_code(cpu, &cs, cpu->cpl, offset);
        return;
    }
    if (desc_is_segment(&d))
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
    switch (desc_type(&d)) {
    case TYPE_CALL16:
        if (cpu_long(cpu))
            break;
        /* fall through */
    case TYPE_CALL32: {
        struct call_gate g = fetch_call_gate(cpu, sel, &d, true);
        struct segment cs = code_segment(g.sel, cpu->cpl, &g.code);
        check_offset(cpu, &cs, g.offset);
        segment_mark(cpu, &cs, &g.code);
        commit_code(cpu, &cs, cpu->cpl, g.offset);
        return;
    }
    case TYPE_TSS16:
    case TYPE_TSS32:
    case TYPE_TASK_GATE:
        fetch_task(cpu, &sel, &d);
        leave_task(cpu, sel, &d, TASK_JMP);
        return;
    }
    sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
}

/* A far pointer: from the instruction or from memory, offset first. */
static void far_pointer(struct cpu *cpu, const struct insn *u, uint16_t *sel, uint64_t *offset)
{
    if (!u->mem) {
        *sel = u->sel;
        *offset = u->imm;
        return;
    }
    ea_load_far(cpu, u, sel, offset);
}

OP_FAR(op_jmpf)
{
    uint16_t sel;
    uint64_t offset;
    far_pointer(cpu, u, &sel, &offset);
    jump_far(cpu, sel, offset);
}

static void set_stack_pointer(struct cpu *cpu, const struct frame *f)
{
    cpu->r[REG_RSP] = (cpu->r[REG_RSP] & ~f->mask) | (f->sp & f->mask);
}

/* SDM 2A "CALL", "MORE-PRIVILEGE" and "SAME-PRIVILEGE" call gates. */
static void call_gate(struct cpu *cpu, struct call_gate *g, uint64_t return_ip)
{
    const unsigned dpl = desc_dpl(&g->code);
    const bool inner = !desc_conforming(&g->code) && dpl < cpu->cpl;
    const unsigned cpl = inner ? dpl : cpu->cpl;
    struct frame f = frame_current(cpu);
    struct desc ssd;
    if (inner && cpu_long(cpu)) {
        f = (struct frame){.mask = ~UINT64_C(0),
                           .code64 = true,
                           .vector = VEC_SS,
                           .tlb_mode = frame_tlb_mode(cpl)};
        f.sp = task_stack64(cpu, cpl);
        frame_push(cpu, &f, cpu->seg[SEG_SS].sel, 8);
        frame_push(cpu, &f, cpu->r[REG_RSP], 8);
    } else if (inner) {
        uint16_t ss;
        uint64_t sp;
        task_stack(cpu, cpl, &ss, &sp);
        const struct segment stack = segment_check_stack(cpu, ss, cpl, VEC_TS, &ssd);
        f = frame_on(cpu, &stack, sp, cpl);
        f.error = ss & 0xfffc;
        frame_push(cpu, &f, cpu->seg[SEG_SS].sel, g->size);
        frame_push(cpu, &f, cpu->r[REG_RSP], g->size);
        for (unsigned i = g->params; i-- > 0;)
            frame_push(cpu, &f, stack_peek(cpu, i * g->size, g->size), g->size);
    } else if (cpu_long(cpu)) {
        f.code64 = true;
        f.mask = ~UINT64_C(0);
    }
    frame_push(cpu, &f, cpu->seg[SEG_CS].sel, g->size);
    frame_push(cpu, &f, return_ip, g->size);
    struct segment cs = code_segment(g->sel, cpl, &g->code);
    check_offset(cpu, &cs, g->offset);
    segment_mark(cpu, &cs, &g->code);
    if (inner && !cpu_long(cpu))
        segment_mark(cpu, &f.ss, &ssd);

    commit_code(cpu, &cs, cpl, g->offset);
    if (inner && cpu_long(cpu))
        segment_set_null(cpu, SEG_SS, (uint16_t)cpl);
    else if (inner)
        segment_set(cpu, SEG_SS, &f.ss);
    set_stack_pointer(cpu, &f);
}

static void call_far(struct cpu *cpu, uint16_t sel, uint64_t offset, unsigned size)
{
    const uint64_t return_ip = next_rip(cpu, cpu->cur);
    struct frame f = frame_current(cpu);
    struct desc d;
    if (real_or_vm86(cpu)) {
        if (offset > cpu->seg[SEG_CS].limit)
            cpu_gp0(cpu, REASON_CODE_LIMIT);
        frame_push(cpu, &f, cpu->seg[SEG_CS].sel, size);
        frame_push(cpu, &f, return_ip, size);
        set_stack_pointer(cpu, &f);
        jump_far(cpu, sel, offset);
        return;
    }
    if (sel_null(sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    desc_fetch_or(cpu, sel, &d, VEC_GP);
    if (desc_is_code(&d)) {
        struct segment cs = check_direct(cpu, sel, &d);
        frame_push(cpu, &f, cpu->seg[SEG_CS].sel, size);
        frame_push(cpu, &f, return_ip, size);
        check_offset(cpu, &cs, offset);
        segment_mark(cpu, &cs, &d);
        commit_code(cpu, &cs, cpu->cpl, offset);
        set_stack_pointer(cpu, &f);
        return;
    }
    if (desc_is_segment(&d))
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
    switch (desc_type(&d)) {
    case TYPE_CALL16:
        if (cpu_long(cpu))
            break;
        /* fall through */
    case TYPE_CALL32: {
        struct call_gate g = fetch_call_gate(cpu, sel, &d, false);
        call_gate(cpu, &g, return_ip);
        return;
    }
    case TYPE_TSS16:
    case TYPE_TSS32:
    case TYPE_TASK_GATE:
        fetch_task(cpu, &sel, &d);
        leave_task(cpu, sel, &d, TASK_CALL);
        return;
    }
    sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
}

OP_FAR(op_callf)
{
    uint16_t sel;
    uint64_t offset;
    far_pointer(cpu, u, &sel, &offset);
    call_far(cpu, sel, offset, u->osize);
}

/* The code segment that RET or IRET returns to; RPL is its level. */
static struct segment return_code(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    const unsigned rpl = sel & 3;
    if (sel_null(sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    desc_fetch_or(cpu, sel, d, VEC_GP);
    if (!desc_is_code(d))
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
    check_code_size(cpu, sel, d);
    if (rpl < cpu->cpl)
        sel_fault(cpu, VEC_GP, sel, REASON_RET_OUTER);
    if (desc_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl)
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_DPL);
    if (!desc_present(d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    return code_segment(sel, rpl, d);
}

/* The stack segment of the level returned to. A null one is fine for 64-bit code below CPL 3. */
static struct segment return_stack(struct cpu *cpu, uint16_t sel, unsigned rpl, bool code64,
                                   struct desc *d)
{
    if (sel_null(sel) && code64 && rpl != 3 && (sel & 3) == rpl) {
        d->at = 0;
        return (struct segment){.sel = sel, .attr = ATTR_NULL | rpl << ATTR_DPL_SHIFT};
    }
    if (sel_null(sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    return segment_check_stack(cpu, sel, rpl, VEC_GP, d);
}

static void commit_stack(struct cpu *cpu, const struct segment *ss, uint64_t sp)
{
    segment_set(cpu, SEG_SS, ss);
    cpu->r[REG_RSP] = cpu_code64(cpu)      ? sp
                      : ss->attr & ATTR_DB ? (uint32_t)sp
                                           : (cpu->r[REG_RSP] & ~UINT64_C(0xffff)) | (sp & 0xffff);
}

/* SDM 2B "RET", far return. */
OP_FAR(op_retf)
{
    const unsigned size = u->osize;
    struct frame f = frame_current(cpu);
    uint64_t ip = frame_pop(cpu, &f, size);
    const uint16_t sel = (uint16_t)frame_pop(cpu, &f, size);
    if (real_or_vm86(cpu)) {
        if (ip > cpu->seg[SEG_CS].limit)
            cpu_gp0(cpu, REASON_CODE_LIMIT);
        f.sp += u->imm;
        set_stack_pointer(cpu, &f);
        jump_far(cpu, sel, ip);
        return;
    }
    struct desc d, ssd;
    struct segment cs = return_code(cpu, sel, &d);
    const unsigned rpl = sel & 3;
    f.sp += u->imm;
    if (rpl == cpu->cpl) {
        check_offset(cpu, &cs, ip);
        segment_mark(cpu, &cs, &d);
        commit_code(cpu, &cs, rpl, ip);
        set_stack_pointer(cpu, &f);
        return;
    }
    const uint64_t sp = frame_pop(cpu, &f, size);
    const uint16_t ss_sel = (uint16_t)frame_pop(cpu, &f, size);
    struct segment ss = return_stack(cpu, ss_sel, rpl, cs.attr & ATTR_L && cpu_long(cpu), &ssd);
    check_offset(cpu, &cs, ip);
    segment_mark(cpu, &cs, &d);
    segment_mark(cpu, &ss, &ssd);
    commit_code(cpu, &cs, rpl, ip);
    commit_stack(cpu, &ss, sp + u->imm);
    segment_drop_inner(cpu, rpl);
    cpu_update_mode(cpu);
}

/* --- IRET: SDM 2A "IRET/IRETD/IRETQ" --- */

/* Which flags IRET may load, by the level it runs at (before the return). */
static void iret_flags(struct cpu *cpu, uint64_t v, unsigned size)
{
    uint32_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
    if (size >= 4)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (cpu->cpl <= cpu_iopl(cpu) || !cpu_prot(cpu))
        mask |= FLAG_IF;
    if (cpu->cpl == 0) {
        mask |= FLAG_IOPL;
        if (size >= 4 && cpu_prot(cpu))
            mask |= FLAG_VIF | FLAG_VIP;
    }
    cpu_set_rflags(cpu, (cpu_get_rflags(cpu) & ~(uint64_t)mask) | (v & mask));
}

static void iret_to_vm86(struct cpu *cpu, struct frame *f, uint64_t ip, uint16_t cs, uint64_t flags)
{
    const uint64_t sp = frame_pop(cpu, f, 4);
    uint16_t sel[5]; /* SS, ES, DS, FS, GS */
    for (unsigned i = 0; i < 5; i++)
        sel[i] = (uint16_t)frame_pop(cpu, f, 4);
    if (ip > 0xffff)
        cpu_gp0(cpu, REASON_CODE_LIMIT);
    cpu_set_rflags(cpu, (flags & UINT32_C(0x003f7fd7)) | FLAG_1);
    cpu->cpl = 3;
    segment_load_vm86(cpu, SEG_CS, cs);
    segment_load_vm86(cpu, SEG_SS, sel[0]);
    segment_load_vm86(cpu, SEG_ES, sel[1]);
    segment_load_vm86(cpu, SEG_DS, sel[2]);
    segment_load_vm86(cpu, SEG_FS, sel[3]);
    segment_load_vm86(cpu, SEG_GS, sel[4]);
    cpu->r[REG_RSP] = sp;
    cpu->rip = ip;
    cpu_update_mode(cpu);
}

static void iret_task(struct cpu *cpu)
{
    struct desc d;
    if (cpu_long(cpu))
        cpu_gp0(cpu, REASON_RET_FLAGS);
    const uint16_t sel = (uint16_t)sys_load(cpu, cpu->seg[SEG_TR].base, 2);
    if (sel & 4)
        sel_fault(cpu, VEC_TS, sel, REASON_TSS_TYPE);
    desc_fetch_or(cpu, sel, &d, VEC_TS);
    if (desc_is_segment(&d) ||
        (desc_type(&d) != TYPE_TSS16_BUSY && desc_type(&d) != TYPE_TSS32_BUSY))
        sel_fault(cpu, VEC_TS, sel, REASON_TSS_BUSY);
    if (!desc_present(&d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    leave_task(cpu, sel, &d, TASK_IRET);
}

static void iret_protected(struct cpu *cpu, unsigned size)
{
    if (cpu->eflags & FLAG_NT) {
        iret_task(cpu);
        return;
    }
    struct frame f = frame_current(cpu);
    const uint64_t ip = frame_pop(cpu, &f, size);
    const uint16_t sel = (uint16_t)frame_pop(cpu, &f, size);
    const uint64_t flags = frame_pop(cpu, &f, size);
    if (!cpu_long(cpu) && size == 4 && (flags & FLAG_VM) && cpu->cpl == 0) {
        iret_to_vm86(cpu, &f, ip, sel, flags);
        return;
    }
    struct desc d, ssd;
    struct segment cs = return_code(cpu, sel, &d);
    const unsigned rpl = sel & 3;
    /* in 64-bit mode SS:RSP is popped even at the same level */
    if (rpl == cpu->cpl && !cpu_code64(cpu)) {
        check_offset(cpu, &cs, ip);
        segment_mark(cpu, &cs, &d);
        iret_flags(cpu, flags, size);
        commit_code(cpu, &cs, rpl, ip);
        set_stack_pointer(cpu, &f);
        return;
    }
    const uint64_t sp = frame_pop(cpu, &f, size);
    const uint16_t ss_sel = (uint16_t)frame_pop(cpu, &f, size);
    struct segment ss = return_stack(cpu, ss_sel, rpl, cs.attr & ATTR_L && cpu_long(cpu), &ssd);
    const bool outer = rpl > cpu->cpl;
    check_offset(cpu, &cs, ip);
    segment_mark(cpu, &cs, &d);
    segment_mark(cpu, &ss, &ssd);
    iret_flags(cpu, flags, size);
    commit_code(cpu, &cs, rpl, ip);
    commit_stack(cpu, &ss, sp);
    if (outer)
        segment_drop_inner(cpu, rpl);
    cpu_update_mode(cpu);
}

OP_FAR(op_iret)
{
    const unsigned size = u->osize;
    /* whatever comes of it: an IRET that faults has let NMIs in (SDM 3A §6.7.1 "Handling Multiple
     * NMIs", SDM 3C §25.3 under "IRET") */
    cpu->nmi_masked = false;
    drain_stores(cpu);
    if (cpu_prot(cpu) && !cpu_vm86(cpu)) {
        iret_protected(cpu, size);
        return;
    }
    if (cpu_vm86(cpu) && cpu_iopl(cpu) != 3)
        cpu_gp0(cpu, REASON_VM86_IOPL);
    struct frame f = frame_current(cpu);
    const uint64_t ip = frame_pop(cpu, &f, size);
    const uint16_t sel = (uint16_t)frame_pop(cpu, &f, size);
    const uint64_t flags = frame_pop(cpu, &f, size);
    if (ip > cpu->seg[SEG_CS].limit)
        cpu_gp0(cpu, REASON_CODE_LIMIT);
    set_stack_pointer(cpu, &f);
    const uint32_t iopl = cpu->eflags & FLAG_IOPL;
    iret_flags(cpu, flags, size);
    if (cpu_vm86(cpu))
        cpu->eflags = (cpu->eflags & ~FLAG_IOPL) | iopl;
    jump_far(cpu, sel, ip);
    cpu_update_mode(cpu);
}

/* --- INT n, INT3, INTO, INT1 --- */

static void software_interrupt(struct cpu *cpu, unsigned vector, enum event_kind kind)
{
    cpu->rip = next_rip(cpu, cpu->cur); /* the return address; a fault goes back to cpu->cur */
    except_deliver(cpu, vector, kind, -1);
}

OP_FAR(op_int)
{
    if (cpu_vm86(cpu) && cpu_iopl(cpu) != 3)
        cpu_gp0(cpu, REASON_VM86_IOPL);
    software_interrupt(cpu, (uint8_t)u->imm, EVENT_SOFTWARE);
}

OP_FAR(op_int3)
{
    software_interrupt(cpu, VEC_BP, EVENT_SOFTWARE);
}

const struct insn *op_into(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    if (!flag_of(cpu))
        END_TO_LOOP(cpu, next_rip(cpu, u));
    software_interrupt(cpu, VEC_OF, EVENT_SOFTWARE);
    return NULL;
}

/* A debug exception without a bit in DR6; unlike INT n it counts as external (SDM 3A §6.13). */
OP_FAR(op_int1)
{
    cpu->ext = true;
    software_interrupt(cpu, VEC_DB, EVENT_ICEBP);
    cpu->ext = false;
    cpu->dr7 &= ~(uint64_t)BIT(13);
    cpu->msr_debugctl &= ~DEBUGCTL_BTF;
}
