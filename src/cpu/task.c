/*
 * Task-state segments: stacks for inner levels and the hardware task switch.
 * SDM 3A §7 "Task Management", §8.7 "Task Management in 64-bit Mode".
 */
#include "cpu/except.h"
#include "cpu/exec.h"
#include "cpu/segment.h"
#include "cpu/sys.h"

void task_stack(struct cpu *cpu, unsigned dpl, uint16_t *ss, uint64_t *sp)
{
    const struct segment *tr = &cpu->seg[SEG_TR];
    const bool is32 = tr->attr & 8;
    const unsigned at = is32 ? 4 + dpl * 8 : 2 + dpl * 4, size = is32 ? 4 : 2;
    if (at + size + 1 > tr->limit)
        sel_fault(cpu, VEC_TS, tr->sel, REASON_TSS_LIMIT);
    *sp = sys_load(cpu, tr->base + at, size);
    *ss = (uint16_t)sys_load(cpu, tr->base + at + size, 2);
}

/* slot 0-2: RSP0-2; 7-13: IST1-7 (64-bit TSS, SDM 3A figure 8-11). */
uint64_t task_stack64(struct cpu *cpu, unsigned slot)
{
    const struct segment *tr = &cpu->seg[SEG_TR];
    const unsigned at = slot < 3 ? 4 + slot * 8 : 0x24 + (slot - 7) * 8;
    if (at + 7 > tr->limit)
        sel_fault(cpu, VEC_TS, tr->sel, REASON_TSS_LIMIT);
    const uint64_t sp = sys_load(cpu, tr->base + at, 8);
    if (!cpu_canonical(cpu, sp))
        cpu_fault(cpu, VEC_SS, 0, REASON_STACK_NONCANONICAL);
    return sp;
}

/* What a TSS holds, whichever its size. */
struct task_image {
    uint64_t cr3, ip, flags, reg[8];
    uint16_t seg[6], ldt, link;
    bool trap;
};

enum { TSS32_BYTES = 104, TSS16_BYTES = 44 };

static void image_load32(struct cpu *cpu, gla_t base, struct task_image *t)
{
    t->link = (uint16_t)sys_load(cpu, base, 2);
    t->cr3 = sys_load(cpu, base + 0x1c, 4);
    t->ip = sys_load(cpu, base + 0x20, 4);
    t->flags = sys_load(cpu, base + 0x24, 4);
    for (unsigned i = 0; i < 8; i++)
        t->reg[i] = sys_load(cpu, base + 0x28 + i * 4, 4);
    for (unsigned i = 0; i < 6; i++)
        t->seg[i] = (uint16_t)sys_load(cpu, base + 0x48 + i * 4, 2);
    t->ldt = (uint16_t)sys_load(cpu, base + 0x60, 2);
    t->trap = sys_load(cpu, base + 0x64, 2) & 1;
}

static void image_load16(struct cpu *cpu, gla_t base, struct task_image *t)
{
    t->link = (uint16_t)sys_load(cpu, base, 2);
    t->cr3 = cpu->cr3;
    t->ip = sys_load(cpu, base + 0x0e, 2);
    t->flags = sys_load(cpu, base + 0x10, 2);
    for (unsigned i = 0; i < 8; i++)
        t->reg[i] = 0xffff0000 | sys_load(cpu, base + 0x12 + i * 2, 2);
    for (unsigned i = 0; i < 4; i++)
        t->seg[i] = (uint16_t)sys_load(cpu, base + 0x22 + i * 2, 2);
    t->seg[SEG_FS] = t->seg[SEG_GS] = 0;
    t->ldt = (uint16_t)sys_load(cpu, base + 0x2a, 2);
    t->trap = false;
}

/* The dynamic fields of the outgoing task (SDM 3A §7.2.1). */
static void image_save(struct cpu *cpu, gla_t base, bool is32, uint64_t ip, uint64_t flags)
{
    const unsigned size = is32 ? 4 : 2;
    gla_t at = base + (is32 ? 0x20 : 0x0e);
    sys_store(cpu, at, ip & size_mask(size), size);
    sys_store(cpu, at += size, flags & size_mask(size), size);
    for (unsigned i = 0; i < 8; i++)
        sys_store(cpu, at += size, cpu->r[i] & size_mask(size), size);
    at = base + (is32 ? 0x48 : 0x22);
    for (unsigned i = 0; i < (is32 ? 6u : 4u); i++)
        sys_store(cpu, at + i * size, cpu->seg[i].sel, 2);
}

static void load_ldt(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (sel_null(sel)) {
        segment_set_null(cpu, SEG_LDTR, sel);
        return;
    }
    if (sel & 4)
        sel_fault(cpu, VEC_TS, sel, REASON_TSS_SEGMENT);
    desc_fetch_or(cpu, sel, &d, VEC_TS);
    if (desc_is_segment(&d) || desc_type(&d) != TYPE_LDT)
        sel_fault(cpu, VEC_TS, sel, REASON_SEL_TYPE);
    if (!desc_present(&d))
        sel_fault(cpu, VEC_TS, sel, REASON_SEL_NOT_PRESENT);
    cpu->seg[SEG_LDTR] = desc_segment(sel, &d);
}

static void load_new_cs(struct cpu *cpu, uint16_t sel)
{
    struct desc d;
    if (sel_null(sel))
        sel_fault(cpu, VEC_TS, sel, REASON_TSS_SEGMENT);
    desc_fetch_or(cpu, sel, &d, VEC_TS);
    const unsigned rpl = sel & 3;
    if (!desc_is_code(&d))
        sel_fault(cpu, VEC_TS, sel, REASON_SEL_TYPE);
    if (desc_conforming(&d) ? desc_dpl(&d) > rpl : desc_dpl(&d) != rpl)
        sel_fault(cpu, VEC_TS, sel, REASON_SEL_DPL);
    if (!desc_present(&d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    desc_set_accessed(cpu, &d);
    struct segment cs = desc_segment(sel, &d);
    cs.attr |= ATTR_A;
    segment_set(cpu, SEG_CS, &cs);
}

static void load_new_data(struct cpu *cpu, unsigned s, uint16_t sel)
{
    struct desc d;
    if (sel_null(sel)) {
        segment_set_null(cpu, s, sel);
        return;
    }
    desc_fetch_or(cpu, sel, &d, VEC_TS);
    const uint32_t attr = desc_attr(&d);
    if (!(attr & ATTR_S) || ((attr & ATTR_CODE) && !(attr & ATTR_RW)))
        sel_fault(cpu, VEC_TS, sel, REASON_SEL_TYPE);
    const bool conforming = (attr & ATTR_CODE) && (attr & ATTR_EC);
    if (!conforming && (desc_dpl(&d) < cpu->cpl || desc_dpl(&d) < (sel & 3u)))
        sel_fault(cpu, VEC_TS, sel, REASON_SEL_DPL);
    if (!desc_present(&d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    desc_set_accessed(cpu, &d);
    struct segment seg = desc_segment(sel, &d);
    seg.attr |= ATTR_A;
    segment_set(cpu, s, &seg);
}

static void load_new_segments(struct cpu *cpu, const struct task_image *t)
{
    load_ldt(cpu, t->ldt);
    if (cpu_vm86(cpu)) {
        for (unsigned s = 0; s < 6; s++)
            segment_load_vm86(cpu, s, t->seg[s]);
        return;
    }
    load_new_cs(cpu, t->seg[SEG_CS]);
    struct desc d;
    struct segment ss = segment_check_stack(cpu, t->seg[SEG_SS], cpu->cpl, VEC_TS, &d);
    desc_set_accessed(cpu, &d);
    ss.attr |= ATTR_A;
    segment_set(cpu, SEG_SS, &ss);
    load_new_data(cpu, SEG_ES, t->seg[SEG_ES]);
    load_new_data(cpu, SEG_DS, t->seg[SEG_DS]);
    load_new_data(cpu, SEG_FS, t->seg[SEG_FS]);
    load_new_data(cpu, SEG_GS, t->seg[SEG_GS]);
}

/* Registers of the new task before its selectors are checked: faults belong to the new task. */
static void commit_image(struct cpu *cpu, const struct task_image *t)
{
    for (unsigned i = 0; i < 8; i++)
        cpu->r[i] = t->reg[i];
    cpu_set_rflags(cpu, (t->flags | FLAG_1) & UINT32_C(0x003f7fd7));
    cpu->cpl = t->flags & FLAG_VM ? 3 : t->seg[SEG_CS] & 3;
    for (unsigned s = 0; s < 6; s++)
        cpu->seg[s] = (struct segment){.sel = t->seg[s], .attr = ATTR_NULL};
    cpu->seg[SEG_CS].attr |= (uint32_t)cpu->cpl << ATTR_DPL_SHIFT;
    cpu->seg[SEG_SS].attr |= (uint32_t)cpu->cpl << ATTR_DPL_SHIFT; /* which is where CPL is kept */
    cpu->seg[SEG_LDTR] = (struct segment){.sel = t->ldt, .attr = ATTR_NULL};
    cpu->rip = t->ip;
    cpu->cur = NULL; /* rip is exact from here on */
    cpu->in_new_task = true;
    cpu_update_mode(cpu);
}

/* Faults now, not halfway, if [lin, lin+n) cannot be written. */
static void touch(struct cpu *cpu, gla_t lin, unsigned n)
{
    sys_probe_store(cpu, lin);
    sys_probe_store(cpu, lin + n - 1);
}

static void push_error(struct cpu *cpu, uint64_t error, unsigned size)
{
    const uint64_t mask = cpu->seg[SEG_SS].attr & ATTR_DB ? 0xffffffff : 0xffff;
    const uint64_t sp = (cpu->r[REG_RSP] - size) & mask;
    store_n(cpu, seg_linear(cpu, SEG_SS, sp, size, ACC_W), error, size);
    reg_write(cpu, REG_RSP, sp, mask == 0xffff ? 2 : 4);
}

/* SDM 3A §7.3 "Task Switching", steps in its order. */
void task_switch(struct cpu *cpu, uint16_t sel, struct desc *d, const struct task_leave *how)
{
    const enum task_reason why = how->why;
    const struct segment next = desc_segment(sel, d);
    const struct segment old = cpu->seg[SEG_TR];
    const bool next32 = desc_type(d) & 8, old32 = old.attr & 8;
    struct task_image t;
    if (next.limit < (next32 ? TSS32_BYTES : TSS16_BYTES) - 1u)
        sel_fault(cpu, VEC_TS, sel, REASON_TSS_LIMIT);
    if (next32)
        image_load32(cpu, next.base, &t);
    else
        image_load16(cpu, next.base, &t);

    struct desc od = {.at = d->at};
    if (why == TASK_JMP || why == TASK_IRET)
        desc_fetch_or(cpu, old.sel, &od, VEC_TS);
    touch(cpu, old.base, old32 ? TSS32_BYTES : TSS16_BYTES);
    touch(cpu, od.at, 8);
    touch(cpu, d->at, 8);
    if (why == TASK_CALL || why == TASK_INT)
        touch(cpu, next.base, 2);

    const uint64_t flags = why == TASK_IRET ? how->flags & ~(uint64_t)FLAG_NT : how->flags;
    image_save(cpu, old.base, old32, how->ip, flags);
    if (why == TASK_JMP || why == TASK_IRET)
        desc_set_busy(cpu, od.at, false);
    if (why != TASK_IRET)
        desc_set_busy(cpu, d->at, true);
    if (why == TASK_CALL || why == TASK_INT) {
        sys_store(cpu, next.base, old.sel, 2);
        t.flags |= FLAG_NT;
    }

    cpu->seg[SEG_TR] = next;
    cpu->seg[SEG_TR].attr |= 2; /* busy */
    cpu->cr0 |= CR0_TS;
    cpu->dr7 &= ~UINT64_C(0x155); /* local breakpoints, and LE */
    commit_image(cpu, &t);
    if ((cpu->cr0 & CR0_PG) && next32)
        cr3_write(cpu, t.cr3);
    load_new_segments(cpu, &t);
    if (how->error >= 0)
        push_error(cpu, (uint64_t)how->error, next32 ? 4 : 2);
    if (cpu->rip > cpu->seg[SEG_CS].limit)
        cpu_gp0(cpu, REASON_CODE_LIMIT);
    if (t.trap)
        cpu_fault_debug(cpu, BIT(15), REASON_DB_TASK);
    cpu->in_new_task = false;
}
