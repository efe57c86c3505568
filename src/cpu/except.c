/* See except.h. One function a mode: real, protected (with virtual-8086), IA-32e. */
#include "cpu/except.h"
#include "cpu/exec.h"
#include "cpu/frame.h"

bool except_has_error(unsigned vector)
{
    return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC;
}

/* SDM 3A table 6-5 "Conditions for Generating a Double Fault". */
int except_combine(unsigned first, unsigned second)
{
    const bool c1 = first == VEC_DE || (first >= VEC_TS && first <= VEC_GP);
    const bool c2 = second == VEC_DE || (second >= VEC_TS && second <= VEC_GP);
    const bool second_pf = second == VEC_PF;
    if (first == VEC_DF && (c2 || second_pf))
        return -1;
    if ((c1 && c2) || (first == VEC_PF && (c2 || second_pf)))
        return VEC_DF;
    return (int)second;
}

/* --- frames --- */

unsigned frame_tlb_mode(unsigned cpl)
{
    return cpl == 3 ? TLB_USER : TLB_KERNEL;
}

struct frame frame_on(struct cpu *cpu, const struct segment *ss, uint64_t sp, unsigned cpl)
{
    (void)cpu;
    return (struct frame){
        .ss = *ss,
        .sp = sp,
        .mask = ss->attr & ATTR_DB ? 0xffffffff : 0xffff,
        .tlb_mode = frame_tlb_mode(cpl),
        .vector = VEC_SS,
    };
}

struct frame frame_current(struct cpu *cpu)
{
    const struct segment *ss = &cpu->seg[SEG_SS];
    const bool code64 = cpu_code64(cpu);
    return (struct frame){
        .ss = *ss,
        .sp = cpu->r[REG_RSP],
        .mask = code64               ? ~UINT64_C(0)
                : ss->attr & ATTR_DB ? 0xffffffff
                                     : 0xffff,
        .code64 = code64,
        .tlb_mode = tlb_mode_of(cpu), /* EFLAGS.AC counts: this stack is the program's choice */
        .align = cpu->mode & MODE_ALIGN,
        .vector = VEC_SS,
    };
}

static gla_t frame_linear(struct cpu *cpu, const struct frame *f, uint64_t sp, unsigned size)
{
    gla_t lin = sp;
    if (f->code64) {
        if (!cpu_canonical(cpu, sp) || !cpu_canonical(cpu, sp + size - 1)) {
            fault_about_linear(cpu, sp, size);
            cpu_fault(cpu, f->vector, f->error, REASON_STACK_NONCANONICAL);
        }
    } else {
        const uint64_t off = sp & f->mask;
        if (!segment_limit_ok(&f->ss, off, off + size - 1)) {
            fault_about_segment(cpu, SEG_SS, &f->ss, off, size, ACC_W);
            cpu_fault(cpu, f->vector, f->error, REASON_STACK_LIMIT);
        }
        lin = (uint32_t)(f->ss.base + off);
    }
    if (unlikely(f->align && (lin & (size - 1)))) {
        fault_about_linear(cpu, lin, size);
        cpu_fault(cpu, VEC_AC, 0, REASON_ALIGN);
    }
    return lin;
}

void frame_push(struct cpu *cpu, struct frame *f, uint64_t v, unsigned size)
{
    const uint64_t sp = (f->sp & ~f->mask) | ((f->sp - size) & f->mask);
    const gla_t lin = frame_linear(cpu, f, sp, size);
    const struct tlb_half *h = &cpu->tlb[f->tlb_mode].line[tlb_index(lin)].wr;
    v &= size_mask(size);
    if (likely(tlb_hit(h, lin, size)))
        st_le((void *)(uintptr_t)(lin + h->addend), v, size);
    else
        store_slow(cpu, lin, v, size, f->tlb_mode);
    f->sp = sp;
}

uint64_t frame_pop(struct cpu *cpu, struct frame *f, unsigned size)
{
    const gla_t lin = frame_linear(cpu, f, f->sp, size);
    const struct tlb_half *h = &cpu->tlb[f->tlb_mode].line[tlb_index(lin)].rd;
    const uint64_t v = likely(tlb_hit(h, lin, size))
                           ? ld_le((const void *)(uintptr_t)(lin + h->addend), size)
                           : load_slow(cpu, lin, size, f->tlb_mode);
    f->sp = (f->sp & ~f->mask) | ((f->sp + size) & f->mask);
    return v;
}

/* --- real mode: SDM 3B §20.1.4 --- */

static void deliver_real(struct cpu *cpu, unsigned vector)
{
    if (vector * 4 + 3u > cpu->idtr.limit)
        cpu_fault(cpu, VEC_GP, 0, REASON_GATE_LIMIT);
    const uint32_t entry = (uint32_t)sys_load(cpu, cpu->idtr.base + vector * 4, 4);
    struct frame f = frame_current(cpu);
    frame_push(cpu, &f, cpu_get_rflags(cpu), 2);
    frame_push(cpu, &f, cpu->seg[SEG_CS].sel, 2);
    frame_push(cpu, &f, cpu->rip, 2);
    cpu->r[REG_RSP] = (cpu->r[REG_RSP] & ~f.mask) | (f.sp & f.mask);
    cpu->eflags &= ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    segment_load_real(cpu, SEG_CS, (uint16_t)(entry >> 16));
    cpu->rip = entry & 0xffff;
}

/* --- gates --- */

struct gate {
    unsigned type, dpl, ist;
    uint16_t sel;
    uint64_t offset;
    bool present;
};

static uint32_t idt_error(unsigned vector)
{
    return vector * 8 + 2; /* IDT flag, SDM 3A §6.13 */
}

static struct gate fetch_gate(struct cpu *cpu, unsigned vector)
{
    const unsigned size = cpu_long(cpu) ? 16 : 8;
    if (vector * size + size - 1 > cpu->idtr.limit)
        cpu_fault(cpu, VEC_GP, idt_error(vector), REASON_GATE_LIMIT);
    const gla_t at = cpu->idtr.base + vector * size;
    const uint64_t v = sys_load(cpu, at, 8);
    struct gate g = {
        .type = (v >> 40) & 0x1f,
        .dpl = (v >> 45) & 3,
        .present = (v >> 47) & 1,
        .sel = (uint16_t)(v >> 16),
        .offset = (v & 0xffff) | ((v >> 32) & 0xffff0000),
    };
    if (size == 16) {
        g.ist = (v >> 32) & 7;
        g.offset |= sys_load(cpu, at + 8, 4) << 32;
    }
    return g;
}

static void check_gate(struct cpu *cpu, const struct gate *g, unsigned vector, enum event_kind kind)
{
    const uint32_t error = idt_error(vector);
    const bool ok = cpu_long(cpu) ? g->type == TYPE_INT32 || g->type == TYPE_TRAP32
                                  : g->type == TYPE_INT32 || g->type == TYPE_TRAP32 ||
                                        g->type == TYPE_INT16 || g->type == TYPE_TRAP16 ||
                                        g->type == TYPE_TASK_GATE;
    if (!ok)
        cpu_fault(cpu, VEC_GP, error, REASON_GATE_TYPE);
    if (kind == EVENT_SOFTWARE && g->dpl < cpu->cpl)
        cpu_fault(cpu, VEC_GP, error, REASON_GATE_DPL);
    if (!g->present)
        cpu_fault(cpu, VEC_NP, error, REASON_GATE_NOT_PRESENT);
}

/* The handler's code segment; *cpl becomes the level it runs at. */
static struct desc handler_segment(struct cpu *cpu, uint16_t sel, unsigned *cpl)
{
    struct desc d;
    if (sel_null(sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    desc_fetch_or(cpu, sel, &d, VEC_GP);
    if (!desc_is_code(&d))
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
    if (desc_dpl(&d) > cpu->cpl)
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_DPL);
    if (cpu_long(cpu) && (desc_attr(&d) & (ATTR_L | ATTR_DB)) != ATTR_L)
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_CODE_LD);
    if (!desc_present(&d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    *cpl = desc_conforming(&d) ? cpu->cpl : desc_dpl(&d);
    return d;
}

/* Nothing may fault from here on. */
static void enter_handler(struct cpu *cpu, const struct segment *cs, const struct gate *g)
{
    cpu->eflags &= ~(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT);
    if (g->type == TYPE_INT32 || g->type == TYPE_INT16)
        cpu->eflags &= ~FLAG_IF;
    cpu->cpl = cs->sel & 3;
    segment_set(cpu, SEG_CS, cs);
    cpu->rip = g->offset;
}

static void deliver_task_gate(struct cpu *cpu, const struct gate *g, int64_t error, uint64_t flags)
{
    struct desc d;
    if (sel_null(g->sel) || (g->sel & 4))
        sel_fault(cpu, VEC_GP, g->sel, REASON_TSS_TYPE);
    desc_fetch_or(cpu, g->sel, &d, VEC_GP);
    if (desc_is_segment(&d) || (desc_type(&d) != TYPE_TSS16 && desc_type(&d) != TYPE_TSS32))
        sel_fault(cpu, VEC_GP, g->sel, REASON_TSS_TYPE);
    if (!desc_present(&d))
        sel_fault(cpu, VEC_NP, g->sel, REASON_SEL_NOT_PRESENT);
    task_switch(cpu, g->sel, &d, &(struct task_leave){TASK_INT, cpu->rip, flags, error});
}

/* --- protected mode: SDM 3A §6.12 --- */

static void push_frame(struct cpu *cpu, struct frame *f, unsigned size, uint64_t flags,
                       int64_t error)
{
    frame_push(cpu, f, flags, size);
    frame_push(cpu, f, cpu->seg[SEG_CS].sel, size);
    frame_push(cpu, f, cpu->rip, size);
    if (error >= 0)
        frame_push(cpu, f, (uint64_t)error, size);
}

static void deliver_protected(struct cpu *cpu, unsigned vector, enum event_kind kind, int64_t error,
                              uint64_t flags)
{
    struct gate g = fetch_gate(cpu, vector);
    check_gate(cpu, &g, vector, kind);
    if (g.type == TYPE_TASK_GATE) {
        deliver_task_gate(cpu, &g, error, flags);
        return;
    }
    unsigned cpl;
    struct desc d = handler_segment(cpu, g.sel, &cpl);
    const unsigned size = g.type & 8 ? 4 : 2;
    if (size == 2)
        g.offset &= 0xffff;
    const bool vm86 = cpu_vm86(cpu);
    if (vm86 && cpl != 0)
        sel_fault(cpu, VEC_GP, g.sel, REASON_SEL_DPL);
    struct frame f;
    struct desc ssd;
    if (cpl < cpu->cpl) {
        uint16_t ss;
        uint64_t sp;
        task_stack(cpu, cpl, &ss, &sp);
        const struct segment stack = segment_check_stack(cpu, ss, cpl, VEC_TS, &ssd);
        f = frame_on(cpu, &stack, sp, cpl);
        f.error = ss & 0xfffc;
        if (vm86) {
            frame_push(cpu, &f, cpu->seg[SEG_GS].sel, size);
            frame_push(cpu, &f, cpu->seg[SEG_FS].sel, size);
            frame_push(cpu, &f, cpu->seg[SEG_DS].sel, size);
            frame_push(cpu, &f, cpu->seg[SEG_ES].sel, size);
        }
        frame_push(cpu, &f, cpu->seg[SEG_SS].sel, size);
        frame_push(cpu, &f, cpu->r[REG_RSP], size);
    } else {
        f = frame_current(cpu);
    }
    push_frame(cpu, &f, size, flags, error);
    struct segment cs = desc_segment((uint16_t)((g.sel & ~3u) | cpl), &d);
    if (g.offset > cs.limit)
        cpu_gp0(cpu, REASON_CODE_LIMIT);
    const bool inner = cpl < cpu->cpl;
    segment_mark(cpu, &cs, &d);
    if (inner)
        segment_mark(cpu, &f.ss, &ssd);

    enter_handler(cpu, &cs, &g);
    if (inner) {
        segment_set(cpu, SEG_SS, &f.ss);
        if (vm86) {
            segment_set_null(cpu, SEG_ES, 0);
            segment_set_null(cpu, SEG_DS, 0);
            segment_set_null(cpu, SEG_FS, 0);
            segment_set_null(cpu, SEG_GS, 0);
        }
    }
    cpu->r[REG_RSP] = (cpu->r[REG_RSP] & ~f.mask) | (f.sp & f.mask);
    cpu_update_mode(cpu);
}

/* --- IA-32e mode: SDM 3A §6.14 --- */

static void deliver_long(struct cpu *cpu, unsigned vector, enum event_kind kind, int64_t error,
                         uint64_t flags)
{
    const struct gate g = fetch_gate(cpu, vector);
    check_gate(cpu, &g, vector, kind);
    unsigned cpl;
    struct desc d = handler_segment(cpu, g.sel, &cpl);
    const bool inner = cpl < cpu->cpl;
    struct frame f = {
        .mask = ~UINT64_C(0),
        .code64 = true,
        .tlb_mode = inner ? frame_tlb_mode(cpl) : tlb_mode_of(cpu),
        .vector = VEC_SS,
    };
    if (g.ist)
        f.sp = task_stack64(cpu, 6 + g.ist); /* IST1 at 24h */
    else if (inner)
        f.sp = task_stack64(cpu, cpl); /* RSP0 at 04h */
    else
        f.sp = cpu->r[REG_RSP];
    f.sp &= ~UINT64_C(15);
    frame_push(cpu, &f, cpu->seg[SEG_SS].sel, 8);
    frame_push(cpu, &f, cpu->r[REG_RSP], 8);
    push_frame(cpu, &f, 8, flags, error);
    if (!cpu_canonical(cpu, g.offset))
        cpu_gp0(cpu, REASON_NONCANONICAL);
    struct segment cs = desc_segment((uint16_t)((g.sel & ~3u) | cpl), &d);
    segment_mark(cpu, &cs, &d);

    enter_handler(cpu, &cs, &g);
    if (inner)
        segment_set_null(cpu, SEG_SS, (uint16_t)cpl);
    cpu->r[REG_RSP] = f.sp;
    cpu_update_mode(cpu);
}

/*
 * Faults push RF set, so that an instruction breakpoint does not hold up the instruction a second
 * time; not so that breakpoint itself, whose handler sets RF. What comes between two iterations of
 * a REP pushes it too (SDM 3B §17.3.1.1).
 */
static bool pushes_rf(const struct cpu *cpu, unsigned vector)
{
    switch (vector) {
    case VEC_DB:
        return cpu->fault.reason == REASON_DB_GD || cpu->fault.rf;
    case VEC_BP:
    case VEC_OF:
    case VEC_DF:
    case VEC_MC:
        return false;
    default:
        return true;
    }
}

void except_deliver(struct cpu *cpu, unsigned vector, enum event_kind kind, int64_t error)
{
    cpu->no_step_trap = true;
    if (!cpu_prot(cpu)) {
        deliver_real(cpu, vector);
        cpu_update_mode(cpu);
        return;
    }
    uint64_t flags = cpu_get_rflags(cpu);
    if (kind == EVENT_EXCEPTION ? pushes_rf(cpu, vector) : kind == EVENT_HARDWARE && cpu->fault.rf)
        flags |= FLAG_RF;
    if (cpu_long(cpu))
        deliver_long(cpu, vector, kind, error, flags);
    else
        deliver_protected(cpu, vector, kind, error, flags);
}
