/* Segment registers, descriptor tables and rights. SDM 2A, 2B. */
#include "cpu/run.h"
#include "cpu/segment.h"
#include "cpu/stack.h"
#include "cpu/sys.h"

/* Loading SS holds off interrupts and debug traps for one instruction (SDM 3A §6.8.3). */
static void ss_shadow(struct cpu *cpu)
{
    cpu->shadow = cpu->shadow_ss = true;
}

OP_END(op_mov_to_sreg)
{
    const uint16_t sel =
        (uint16_t)(u->mem ? load16(cpu, ea_linear(cpu, u, 2, ACC_R)) : cpu->r[u->rm]);
    segment_load(cpu, u->reg, sel);
    if (u->reg == SEG_SS)
        ss_shadow(cpu);
}

/* To a register the whole operand size is written, to memory always a word. */
OP(op_mov_sreg)
{
    const uint16_t sel = cpu->seg[u->reg].sel;
    if (u->mem)
        store16(cpu, ea_linear(cpu, u, 2, ACC_W), sel);
    else
        reg_write(cpu, u->rm, sel, u->osize);
}

static unsigned sreg_of(const struct insn *u)
{
    return (unsigned)(u->row->opnd[0] - O_ES) + SEG_ES;
}

/* A 32-bit push of a selector writes two bytes only (SDM 2B "PUSH"), but on AMD's all four; and as
 * many as are pushed a pop reads there. */
OP(op_push_sreg)
{
    const unsigned size = u->osize;
    const uint64_t sp = (stack_pointer(cpu) - size) & stack_mask(cpu);
    const unsigned n = size == 8 || cpu->feat.amd ? size : 2;
    store_n(cpu, stack_linear(cpu, sp, n, ACC_W), cpu->seg[sreg_of(u)].sel, n);
    stack_set(cpu, sp);
}

OP_END(op_pop_sreg)
{
    const unsigned s = sreg_of(u), size = u->osize;
    const uint16_t sel = (uint16_t)stack_peek(cpu, 0, cpu->feat.amd ? size : 2);
    const uint64_t old_mask = stack_mask(cpu), sp = stack_pointer(cpu) + size;
    segment_load(cpu, s, sel);
    cpu->r[REG_RSP] =
        old_mask == UINT32_MAX ? (uint32_t)sp : (cpu->r[REG_RSP] & ~old_mask) | (sp & old_mask);
    if (s == SEG_SS)
        ss_shadow(cpu);
}

OP_END(op_lseg)
{
    static const uint8_t target[] = {SEG_ES, SEG_DS, SEG_SS, SEG_FS, SEG_GS};
    const unsigned s = target[u->op - OP_LES];
    uint64_t off;
    uint16_t sel;
    ea_load_far(cpu, u, &sel, &off);
    segment_load(cpu, s, sel);
    reg_write(cpu, u->reg, off, u->osize);
}

/* --- LDTR, TR, GDTR, IDTR --- */

static void check_umip(struct cpu *cpu)
{
    if ((cpu->cr4 & CR4_UMIP) && cpu->cpl > 0)
        cpu_gp0(cpu, REASON_UMIP);
}

static uint16_t read_selector(struct cpu *cpu, const struct insn *u)
{
    return (uint16_t)(u->mem ? load16(cpu, ea_linear(cpu, u, 2, ACC_R)) : cpu->r[u->rm]);
}

static void store_selector(struct cpu *cpu, const struct insn *u, uint64_t v)
{
    check_umip(cpu);
    if (u->mem)
        store16(cpu, ea_linear(cpu, u, 2, ACC_W), (uint16_t)v);
    else
        reg_write(cpu, u->rm, v, u->osize);
}

OP(op_sldt)
{
    store_selector(cpu, u, cpu->seg[SEG_LDTR].sel);
}
OP(op_str)
{
    store_selector(cpu, u, cpu->seg[SEG_TR].sel);
}

static struct segment load_system(struct cpu *cpu, uint16_t sel, struct desc *d, bool tss)
{
    if (sel & 4)
        sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
    desc_fetch_or(cpu, sel, d, VEC_GP);
    const bool ok = !desc_is_segment(d) && (tss ? desc_type(d) == TYPE_TSS32 ||
                                                      (desc_type(d) == TYPE_TSS16 && !cpu_long(cpu))
                                                : desc_type(d) == TYPE_LDT);
    if (!ok)
        sel_fault(cpu, VEC_GP, sel, tss ? REASON_TSS_TYPE : REASON_SEL_TYPE);
    if (!desc_present(d))
        sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
    if (cpu_long(cpu)) {
        if (!desc_fetch_upper(cpu, sel, d))
            sel_fault(cpu, VEC_GP, sel, REASON_SEL_UPPER);
        d->upper &= 0xffffffff;
        if (!cpu_canonical_base(cpu, desc_segment(sel, d).base))
            sel_fault(cpu, VEC_GP, sel, REASON_NONCANONICAL);
    }
    return desc_segment(sel, d);
}

OP_END(op_lldt)
{
    const uint16_t sel = read_selector(cpu, u);
    struct desc d;
    drain_stores(cpu);
    if (sel_null(sel))
        segment_set_null(cpu, SEG_LDTR, sel);
    else
        cpu->seg[SEG_LDTR] = load_system(cpu, sel, &d, false);
}

OP_END(op_ltr)
{
    const uint16_t sel = read_selector(cpu, u);
    struct desc d;
    if (sel_null(sel))
        cpu_gp0(cpu, REASON_SEL_NULL);
    drain_stores(cpu);
    const struct segment tr = load_system(cpu, sel, &d, true);
    if (desc_set_busy(cpu, d.at, true)) /* by another CPU, since it was looked at */
        sel_fault(cpu, VEC_GP, sel, REASON_TSS_TYPE);
    cpu->seg[SEG_TR] = tr;
    cpu->seg[SEG_TR].attr |= 2;
}

/* The limit, then 4 or 8 bytes of base. */
static void store_table(struct cpu *cpu, const struct insn *u, const struct table_reg *t)
{
    const unsigned size = cpu_code64(cpu) ? 8 : 4;
    gla_t at[2];
    check_umip(cpu);
    ea_pair(cpu, u, 2, size, ACC_W, at);
    probe(cpu, at[0], 2, ACC_W);
    probe(cpu, at[1], size, ACC_W);
    store16(cpu, at[0], t->limit);
    store_n(cpu, at[1], t->base, size);
}

static void load_table(struct cpu *cpu, const struct insn *u, struct table_reg *t)
{
    uint8_t image[10] = {0};
    const unsigned n = cpu_code64(cpu) ? 10 : 6;
    load_bytes(cpu, ea_linear(cpu, u, n, ACC_R), image, n);
    uint64_t base = ld64(image + 2);
    if (n == 10 && !cpu_canonical_base(cpu, base))
        cpu_gp0(cpu, REASON_NONCANONICAL);
    if (n == 6)
        base = u->osize == 2 ? base & 0xffffff : (uint32_t)base;
    drain_stores(cpu);
    *t = (struct table_reg){.base = base, .limit = ld16(image)};
}

OP(op_sgdt)
{
    store_table(cpu, u, &cpu->gdtr);
}
OP(op_sidt)
{
    store_table(cpu, u, &cpu->idtr);
}
OP(op_lgdt)
{
    load_table(cpu, u, &cpu->gdtr);
}
OP(op_lidt)
{
    load_table(cpu, u, &cpu->idtr);
}

/* --- LAR, LSL, VERR, VERW, ARPL --- */

/* Whether a descriptor may be looked at from here; conforming code always. */
static bool visible(const struct cpu *cpu, uint16_t sel, const struct desc *d)
{
    if (desc_is_code(d) && desc_conforming(d))
        return true;
    return desc_dpl(d) >= cpu->cpl && desc_dpl(d) >= (sel & 3u);
}

static bool fetch_visible(struct cpu *cpu, uint16_t sel, struct desc *d, uint32_t types)
{
    enum fault_reason why;
    if (sel_null(sel) || !desc_fetch(cpu, sel, d, &why))
        return false;
    if (!desc_is_segment(d) && !(types & BIT(desc_type(d))))
        return false;
    return visible(cpu, sel, d);
}

#define TYPES_LSL                                             \
    (BIT(TYPE_LDT) | BIT(TYPE_TSS32) | BIT(TYPE_TSS32_BUSY) | \
     (cpu_long(cpu) ? 0 : BIT(TYPE_TSS16) | BIT(TYPE_TSS16_BUSY)))
#define TYPES_LAR \
    (TYPES_LSL | BIT(TYPE_CALL32) | (cpu_long(cpu) ? 0 : BIT(TYPE_CALL16) | BIT(TYPE_TASK_GATE)))

OP(op_lar)
{
    const uint16_t sel = read_selector(cpu, u);
    struct desc d;
    const bool ok = fetch_visible(cpu, sel, &d, TYPES_LAR);
    if (ok)
        reg_write(cpu, u->reg, d.hi & 0x00f0ff00, u->osize);
    flags_set_zf(cpu, ok);
}

OP(op_lsl)
{
    const uint16_t sel = read_selector(cpu, u);
    struct desc d;
    const bool ok = fetch_visible(cpu, sel, &d, TYPES_LSL);
    if (ok)
        reg_write(cpu, u->reg, desc_segment(sel, &d).limit, u->osize);
    flags_set_zf(cpu, ok);
}

OP(op_verr)
{
    const uint16_t sel = read_selector(cpu, u);
    struct desc d;
    const bool ok = fetch_visible(cpu, sel, &d, 0);
    flags_set_zf(cpu, ok && (!desc_is_code(&d) || (desc_attr(&d) & ATTR_RW)));
}

OP(op_verw)
{
    const uint16_t sel = read_selector(cpu, u);
    struct desc d;
    const bool ok = fetch_visible(cpu, sel, &d, 0);
    flags_set_zf(cpu, ok && !desc_is_code(&d) && (desc_attr(&d) & ATTR_RW));
}

OP(op_arpl)
{
    const gla_t lin = u->mem ? ea_linear(cpu, u, 2, ACC_RW) : 0;
    const uint16_t dst = (uint16_t)(u->mem ? load16(cpu, lin) : cpu->r[u->rm]);
    const unsigned rpl = cpu->r[u->reg] & 3;
    const bool lower = (dst & 3u) < rpl;
    if (lower) {
        const uint16_t v = (uint16_t)((dst & ~3u) | rpl);
        if (u->mem)
            store16(cpu, lin, v);
        else
            reg_write(cpu, u->rm, v, 2);
    }
    flags_set_zf(cpu, lower);
}

OP(op_bound)
{
    const unsigned size = u->osize;
    gla_t at[2];
    ea_pair(cpu, u, size, size, ACC_R, at);
    const int64_t low = sign_extend(load_n(cpu, at[0], size), size * 8);
    const int64_t high = sign_extend(load_n(cpu, at[1], size), size * 8);
    const int64_t v = sign_extend(cpu->r[u->reg], size * 8);
    if (v < low || v > high)
        cpu_fault(cpu, VEC_BR, 0, REASON_BR_BOUND);
}
