/*
 * SYSCALL, SYSRET and IRET of 64-bit code, when they do what kernels have them do all day: between
 * flat 64-bit segments, with everything they read in the TLB. What they would have to check is
 * checked; whatever is not as expected is left to the handler, and only that ever raises a fault.
 * The next block is looked for in the table of indirect branches, so host code goes on in it.
 *
 * This file is compiled to use general registers only, and calls nothing that is not: the guest's
 * vector and x87 registers stay in the host's meanwhile.
 */
#include "cpu/jit/events.h"
#include "cpu/jit/translate.h"
#include "cpu/run.h"
#include "cpu/segment.h"
#include "cpu/sys.h"

/* --- what they share --- */

static uint64_t rflags(const struct cpu *cpu)
{
    return cpu->eflags | flags_arith(cpu) | FLAG_1;
}

/* May be loaded here: no trap behind it, no alignment checks at level cpl. */
static bool flags_easy(const struct cpu *cpu, uint64_t v, unsigned cpl)
{
    return !(v & (FLAG_TF | FLAG_VM)) && (cpl == 0 || !(v & FLAG_AC) || !(cpu->cr0 & CR0_AM));
}

/* 64-bit code at level cpl follows 64-bit code: of what cpu_update_mode() derives, the rest stays.
 */
static void enter(struct cpu *cpu, uint64_t rip, uint64_t flags, unsigned cpl)
{
    flags_set_arith(cpu, (uint32_t)flags);
    cpu->eflags = (uint32_t)flags & ~FLAGS_ARITH;
    cpu->cpl = (uint8_t)cpl;
    cpu->mode &= ~(uint32_t)(MODE_USER | MODE_CPL0);
    cpu->mode |= cpl ? MODE_USER : MODE_CPL0;
    const bool lifted = (cpu->cr4 & CR4_SMAP) && (flags & FLAG_AC);
    cpu->tlb_cur = &cpu->tlb[cpl ? TLB_USER : lifted ? TLB_KERNEL_AC : TLB_KERNEL];
    cpu_forget_stack(cpu);
    cpu->rip = rip;
}

/* n bytes at lin, if the TLB knows them; else NULL. */
static const uint8_t *in_tlb(const struct tlb *tlb, gla_t lin, unsigned n)
{
    const struct tlb_half *h = &tlb->line[tlb_index(lin)].rd;
    return tlb_hit(h, lin, n) ? (const uint8_t *)(uintptr_t)(lin + h->addend) : NULL;
}

/* --- SYSCALL, SYSRET: SDM 2B --- */

static bool do_syscall(struct cpu *cpu, const struct insn *u)
{
    const uint64_t old = rflags(cpu);
    const uint64_t new = (old & ~(cpu->msr_fmask | FLAG_RF)) | FLAG_1;
    if (!(cpu->efer & EFER_SCE) || !flags_easy(cpu, new, 0))
        return false;
    const uint16_t cs = (cpu->msr_star >> 32) & 0xfffc;
    cpu->r[REG_RCX] = next_rip(cpu, u);
    cpu->r[REG_R11] = old & ~(uint64_t)FLAG_RF;
    cpu->seg[SEG_CS] = segment_flat(cs, ATTR_CODE | ATTR_L);
    cpu->seg[SEG_SS] = segment_flat((uint16_t)(cs + 8), ATTR_DB);
    enter(cpu, cpu->msr_lstar, new, 0);
    return true;
}

static bool do_sysret(struct cpu *cpu)
{
    const uint64_t new = (cpu->r[REG_R11] & SYSRET_FLAGS) | FLAG_1;
    const uint64_t rip = cpu->r[REG_RCX];
    if (!(cpu->efer & EFER_SCE) || !flags_easy(cpu, new, 3) || !cpu_canonical(cpu, rip))
        return false;
    const uint16_t base = (uint16_t)(cpu->msr_star >> 48);
    cpu->seg[SEG_CS] = segment_flat((uint16_t)(base + 16) | 3, ATTR_CODE | ATTR_DPL | ATTR_L);
    cpu->seg[SEG_SS] = segment_flat((uint16_t)(base + 8) | 3, ATTR_DPL | ATTR_DB);
    enter(cpu, rip, new, 3);
    return true;
}

/* --- IRET: SDM 2A "IRET/IRETD/IRETQ" --- */

/*
 * The descriptor of sel, in the GDT, becomes *g: it must have these attributes of those that are
 * asked for, with RPL and DPL cpl, and be marked as accessed.
 */
static bool easy_segment(const struct cpu *cpu, uint64_t sel, unsigned cpl, uint32_t attr,
                         uint32_t care, struct segment *g)
{
    sel &= 0xffff;
    if ((sel & 7) != cpl || sel < 8 || (sel | 7) > cpu->gdtr.limit)
        return false;
    const uint8_t *at = in_tlb(&cpu->tlb[TLB_KERNEL], cpu->gdtr.base + (sel & ~UINT64_C(7)), 8);
    if (!at)
        return false;
    const uint64_t v = ld64(at);
    const struct desc d = {.lo = (uint32_t)v, .hi = (uint32_t)(v >> 32)};
    attr |= ATTR_S | ATTR_P | ATTR_A | cpl << ATTR_DPL_SHIFT;
    if ((desc_attr(&d) & (care | ATTR_S | ATTR_P | ATTR_A | ATTR_DPL | ATTR_CODE)) != attr)
        return false;
    *g = desc_segment((uint16_t)sel, &d);
    return true;
}

static bool easy_stack(const struct cpu *cpu, uint64_t sel, unsigned cpl, struct segment *g)
{
    if ((sel & 0xffff) == 0 && cpl == 0) {
        *g = (struct segment){.attr = ATTR_NULL};
        return true;
    }
    return easy_segment(cpu, sel, cpl, ATTR_RW, ATTR_RW, g);
}

/* Segments that level 3 may not use would become null (segment_drop_inner()). */
static bool keeps_segments(const struct cpu *cpu)
{
    static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        const uint32_t attr = cpu->seg[data[i]].attr;
        if (!(attr & ATTR_NULL) && (attr & ATTR_DPL) != ATTR_DPL)
            return false;
    }
    return true;
}

static bool do_iret(struct cpu *cpu)
{
    /* what the CPL 0 that a block with this template has may load */
    const uint64_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID |
                          FLAG_IF | FLAG_IOPL | FLAG_VIF | FLAG_VIP;
    const uint8_t *frame = in_tlb(cpu->tlb_cur, cpu->r[REG_RSP], 5 * 8);
    if (!frame || (cpu->eflags & FLAG_NT))
        return false;
    const uint64_t rip = ld64(frame), cs_sel = ld64(frame + 8), sp = ld64(frame + 24);
    const uint64_t new = (rflags(cpu) & ~mask) | (ld64(frame + 16) & mask);
    const unsigned cpl = cs_sel & 3;
    struct segment cs, ss;
    if ((cpl != 0 && cpl != 3) || !cpu_canonical(cpu, rip) || !flags_easy(cpu, new, cpl) ||
        (cpl && !keeps_segments(cpu)) ||
        !easy_segment(cpu, cs_sel, cpl, ATTR_CODE | ATTR_L, ATTR_EC | ATTR_L | ATTR_DB, &cs) ||
        !easy_stack(cpu, ld64(frame + 32), cpl, &ss))
        return false;
    cpu->nmi_masked = false;
    cpu->seg[SEG_CS] = cs;
    cpu->seg[SEG_SS] = ss;
    cpu->r[REG_RSP] = sp;
    enter(cpu, rip, new, cpl);
    drain_stores(cpu);
    return true;
}

/* --- from host code --- */

static bool done(struct cpu *cpu, const struct insn *u)
{
    switch (u->op) {
    case OP_SYSCALL:
        return do_syscall(cpu, u);
    case OP_SYSRET:
        return do_sysret(cpu);
    default:
        return do_iret(cpu);
    }
}

const uint8_t *jit_event(struct cpu *cpu, const struct insn *u)
{
    struct jit *j = cpu->code->jit;
    struct block *b = block_of(u);
    cpu->cur = u;
    cpu->block = b;
    cpu->r[REG_PC] = cpu->jit_page | (b->start & ~PAGE_MASK);
    jit_settle(cpu);
    if (!done(cpu, u))
        return jit_runs_at(j, j->stub[STUB_EXIT_INSN]);
    cpu->cur = NULL;
    if (run_needs_attention(cpu) || j->full || j->no_indirect)
        return jit_runs_at(j, j->stub[STUB_EXIT_DONE]);
    const struct jit_jump *line = jit_jump_line(j, jit_jump_mode(cpu->mode), cpu->rip);
    if (!line && jit_jump_find(cpu, cpu->rip))
        line = jit_jump_line(j, jit_jump_mode(cpu->mode), cpu->rip);
    return line ? line->code : jit_runs_at(j, j->stub[STUB_EXIT_DONE]);
}
