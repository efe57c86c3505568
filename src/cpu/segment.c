/* See segment.h. */
#include "cpu/segment.h"
#include "cpu/exec.h"

_Noreturn void sel_fault(struct cpu *cpu, unsigned vector, uint16_t sel, enum fault_reason why)
{
    cpu_fault(cpu, vector, sel & 0xfffc, why);
}

bool desc_fetch(struct cpu *cpu, uint16_t sel, struct desc *d, enum fault_reason *why)
{
    uint64_t base = cpu->gdtr.base;
    uint32_t limit = cpu->gdtr.limit;
    if (sel & 4) {
        const struct segment *ldt = &cpu->seg[SEG_LDTR];
        if (ldt->attr & ATTR_NULL) {
            *why = REASON_SEL_LDT_NULL;
            return false;
        }
        base = ldt->base;
        limit = ldt->limit;
    }
    if ((sel | 7u) > limit) {
        *why = REASON_SEL_TABLE_LIMIT;
        return false;
    }
    d->at = base + (sel & ~7u);
    if (!cpu_long(cpu))
        d->at = (uint32_t)d->at;
    const uint64_t v = sys_load(cpu, d->at, 8);
    d->lo = (uint32_t)v;
    d->hi = (uint32_t)(v >> 32);
    d->upper = 0;
    return true;
}

void desc_fetch_or(struct cpu *cpu, uint16_t sel, struct desc *d, unsigned vector)
{
    enum fault_reason why;
    if (!desc_fetch(cpu, sel, d, &why))
        sel_fault(cpu, vector, sel, why);
}

bool desc_fetch_upper(struct cpu *cpu, uint16_t sel, struct desc *d)
{
    const uint32_t limit = sel & 4 ? cpu->seg[SEG_LDTR].limit : cpu->gdtr.limit;
    if ((sel & ~7u) + 15 > limit)
        return false;
    d->upper = sys_load(cpu, d->at + 8, 8);
    return ((d->upper >> 40) & 0x1f) == 0; /* the type field there must be 0 (SDM 3A §3.5.2) */
}

void desc_set_accessed(struct cpu *cpu, struct desc *d)
{
    if (d->hi & BIT(8))
        return;
    d->hi |= BIT(8);
    sys_lock_bits(cpu, d->at + 4, BIT(8), 0);
}

void segment_mark(struct cpu *cpu, struct segment *g, struct desc *d)
{
    if (g->attr & ATTR_NULL)
        return;
    desc_set_accessed(cpu, d);
    g->attr |= ATTR_A;
}

bool desc_set_busy(struct cpu *cpu, gla_t at, bool busy)
{
    const uint32_t bit = BIT(9);
    return sys_lock_bits(cpu, at + 4, busy ? bit : 0, busy ? 0 : bit) & bit;
}

void segment_set(struct cpu *cpu, unsigned s, const struct segment *seg)
{
    cpu->seg[s] = *seg;
    if (s <= SEG_DS)
        cpu_update_mode(cpu);
}

void segment_set_cpl(struct cpu *cpu, unsigned cpl)
{
    cpu->cpl = (uint8_t)cpl;
    cpu_update_mode(cpu);
}

void segment_load_real(struct cpu *cpu, unsigned s, uint16_t sel)
{
    struct segment seg = cpu->seg[s];
    seg.sel = sel;
    seg.base = (uint32_t)sel << 4;
    seg.attr &= ~ATTR_NULL;
    if (s == SEG_CS) /* a far jump in real mode makes CS a writable data-like segment again */
        seg.attr =
            (seg.attr & ~(uint32_t)(ATTR_TYPE | ATTR_DPL)) | ATTR_RW | ATTR_A | ATTR_S | ATTR_P;
    segment_set(cpu, s, &seg);
}

void segment_load_vm86(struct cpu *cpu, unsigned s, uint16_t sel)
{
    const struct segment seg = {
        .sel = sel,
        .base = (uint32_t)sel << 4,
        .limit = 0xffff,
        .attr = ATTR_RW | ATTR_A | ATTR_S | ATTR_P | ATTR_DPL,
    };
    segment_set(cpu, s, &seg);
}

/* The base goes too, of FS and GS as well (AMD keeps it); SS stays usable in 64-bit mode with its
 * DPL = CPL. */
void segment_set_null(struct cpu *cpu, unsigned s, uint16_t sel)
{
    struct segment seg = {.sel = sel, .attr = ATTR_NULL};
    if (cpu->feat.amd && s != SEG_SS && s < SEG_FLAT) { /* AMD's before Zen 2 keep these */
        seg.base = cpu->seg[s].base;
        seg.limit = cpu->seg[s].limit;
    }
    if (s == SEG_SS)
        seg.attr |= (uint32_t)cpu->cpl << ATTR_DPL_SHIFT;
    segment_set(cpu, s, &seg);
}

struct segment segment_check_stack(struct cpu *cpu, uint16_t sel, unsigned dpl, unsigned vector,
                                   struct desc *d)
{
    if (sel_null(sel))
        sel_fault(cpu, vector, sel, REASON_SEL_NULL);
    desc_fetch_or(cpu, sel, d, vector);
    const uint32_t attr = desc_attr(d);
    if ((sel & 3) != dpl)
        sel_fault(cpu, vector, sel, REASON_SEL_DPL);
    if (!(attr & ATTR_S) || (attr & ATTR_CODE) || !(attr & ATTR_RW))
        sel_fault(cpu, vector, sel, REASON_SEL_TYPE);
    if (desc_dpl(d) != dpl)
        sel_fault(cpu, vector, sel, REASON_SEL_DPL);
    if (!desc_present(d))
        sel_fault(cpu, VEC_SS, sel, REASON_SEL_SS_NOT_PRESENT);
    return desc_segment(sel, d);
}

/* SDM 2B "MOV-Move", "Loading a segment register while in protected mode". */
static void load_protected(struct cpu *cpu, unsigned s, uint16_t sel)
{
    struct desc d;
    struct segment seg;
    if (s == SEG_SS) {
        if (sel_null(sel)) {
            /* allowed in 64-bit mode at CPL 0-2 with RPL = CPL (SDM 3A §5.4.1.1) */
            if (!cpu_code64(cpu) || cpu->cpl == 3 || (sel & 3) != cpu->cpl)
                cpu_gp0(cpu, REASON_SEL_NULL);
            segment_set_null(cpu, s, sel);
            return;
        }
        seg = segment_check_stack(cpu, sel, cpu->cpl, VEC_GP, &d);
    } else {
        if (sel_null(sel)) {
            segment_set_null(cpu, s, sel);
            return;
        }
        desc_fetch_or(cpu, sel, &d, VEC_GP);
        const uint32_t attr = desc_attr(&d);
        if (!(attr & ATTR_S) || ((attr & ATTR_CODE) && !(attr & ATTR_RW)))
            sel_fault(cpu, VEC_GP, sel, REASON_SEL_TYPE);
        const bool conforming = (attr & ATTR_CODE) && (attr & ATTR_EC);
        if (!conforming && (desc_dpl(&d) < cpu->cpl || desc_dpl(&d) < (sel & 3u)))
            sel_fault(cpu, VEC_GP, sel, REASON_SEL_DPL);
        if (!desc_present(&d))
            sel_fault(cpu, VEC_NP, sel, REASON_SEL_NOT_PRESENT);
        seg = desc_segment(sel, &d);
    }
    segment_mark(cpu, &seg, &d);
    segment_set(cpu, s, &seg);
}

void segment_load(struct cpu *cpu, unsigned s, uint16_t sel)
{
    if (!cpu_prot(cpu))
        segment_load_real(cpu, s, sel);
    else if (cpu_vm86(cpu))
        segment_load_vm86(cpu, s, sel);
    else
        load_protected(cpu, s, sel);
}

void segment_drop_inner(struct cpu *cpu, unsigned cpl)
{
    static const uint8_t data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        struct segment *g = &cpu->seg[data[i]];
        const unsigned dpl = (g->attr & ATTR_DPL) >> ATTR_DPL_SHIFT;
        const bool conforming = (g->attr & ATTR_CODE) && (g->attr & ATTR_EC);
        if (!(g->attr & ATTR_NULL) && dpl < cpl && !conforming) {
            const uint64_t base = g->base; /* as the processors leave it */
            segment_set_null(cpu, data[i], 0);
            g->base = base;
        }
    }
}
