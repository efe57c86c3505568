/* Into any state: cpu_regs_load(), see cpu_regs.h. */
#include "cpu/cpu_regs_kinds.h"
#include "cpu/debug.h"
#include "cpu/fp/fp.h"
#include "cpu/sys.h"
#include "cpu/xsave.h"

#include <inttypes.h>

/* What is given, by kind: the last one; segments apart, as there are several. */
struct load {
    struct cpu *cpu;
    struct error *err;
    const struct cpu_reg_value *given[REG_KINDS];
    uint8_t segment[SEG_COUNT]; /* SEG_GIVEN */
};
enum { GIVEN_SEL = BIT(0), GIVEN_BASE = BIT(1), GIVEN_LIMIT = BIT(2), GIVEN_ATTR = BIT(3) };

static uint64_t value_of(const struct cpu_reg_value *v)
{
    uint64_t n = 0;
    memcpy(&n, v->value, MIN(v->reg->bytes, sizeof n));
    return n;
}

static void write_cr0(struct cpu *cpu, uint64_t v)
{
    cr0_write(cpu, (uint32_t)v);
}

/* A write that may raise as the guest's would: what it raised is the explanation. */
static bool try_write(struct load *l, const char *name, void (*write)(struct cpu *, uint64_t),
                      uint64_t v)
{
    if (setjmp(l->cpu->unwind))
        return error_set(l->err, "%s=%" PRIx64 ": %s", name, v,
                         fault_reason_text(l->cpu->fault.reason));
    write(l->cpu, v);
    return true;
}

static bool write_msr(struct load *l, const struct cpu_reg_value *v, uint64_t value)
{
    return msr_write(l->cpu, v->reg->msr, value) ||
           error_set(l->err, "%s=%" PRIx64 ": this CPU cannot hold that", v->reg->name, value);
}

/*
 * Into a mode as software goes there: CR4 but for what long mode comes first, EFER, CR3, paging;
 * then the rest of CR4, and CR3 again with its PCID.
 */
static bool enter_mode(struct load *l)
{
    const struct cpu_reg_value *cr0 = l->given[REG_KIND_CR0], *cr3 = l->given[REG_KIND_CR3];
    const struct cpu_reg_value *cr4 = l->given[REG_KIND_CR4], *efer = l->given[REG_KIND_EFER];
    if (cr4 && !try_write(l, "cr4", cr4_write, value_of(cr4) & ~CR4_PCIDE))
        return false;
    if (efer && !write_msr(l, efer, value_of(efer) & ~EFER_LMA))
        return false;
    if (cr3 && !try_write(l, "cr3", cr3_write, value_of(cr3) & ~UINT64_C(0xfff)))
        return false;
    if (cr0 && !try_write(l, "cr0", write_cr0, value_of(cr0)))
        return false;
    if (efer && (value_of(efer) & EFER_LMA) && !cpu_long(l->cpu))
        return error_set(l->err, "efer=%" PRIx64 ": LMA without LME and paging", value_of(efer));
    if (cr4 && (value_of(cr4) & CR4_PCIDE) && !try_write(l, "cr4", cr4_write, value_of(cr4)))
        return false;
    return !cr3 || try_write(l, "cr3", cr3_write, value_of(cr3));
}

/* What a segment is when only its selector is known. */
static bool settle_segment(struct load *l, unsigned n, const char *name)
{
    struct segment *s = &l->cpu->seg[n];
    const uint8_t given = l->segment[n];
    const uint32_t data = ATTR_P | ATTR_S | ATTR_RW | ATTR_A;
    const bool real = !cpu_prot(l->cpu) || cpu_vm86(l->cpu);
    const bool system = n == SEG_LDTR || n == SEG_TR;
    if (real && !system) {
        if (!(given & GIVEN_BASE) && (given & GIVEN_SEL))
            s->base = (uint64_t)s->sel << 4;
        if (!(given & GIVEN_LIMIT))
            s->limit = 0xffff;
        if (!(given & GIVEN_ATTR))
            s->attr = data | (n == SEG_CS ? ATTR_CODE : 0) | (cpu_vm86(l->cpu) ? ATTR_DPL : 0);
    } else if (!(given & GIVEN_ATTR) && !(s->sel & ~3u)) {
        if (n == SEG_CS)
            return error_set(l->err, "cs: its selector is null");
        if (!system)
            *s = (struct segment){
                .sel = s->sel, .base = given & GIVEN_BASE ? s->base : 0, .attr = ATTR_NULL};
    } else if (!(given & GIVEN_ATTR)) {
        return error_set(l->err, "%s=%x: in protected mode %s.attr is needed, too", name, s->sel,
                         name);
    } else {
        if (!(given & GIVEN_BASE))
            s->base = 0;
        if (!(given & GIVEN_LIMIT))
            s->limit = 0xffffffff;
    }
    s->attr &= 0xff | ATTR_AVL | ATTR_L | ATTR_DB | ATTR_G | ATTR_NULL;
    if (!cpu_long(l->cpu))
        s->base = (uint32_t)s->base;
    return true;
}

static bool settle_segments(struct load *l)
{
    static const struct {
        const char *name;
        uint8_t n;
    } all[] = {
        {"es", SEG_ES}, {"cs", SEG_CS}, {"ss", SEG_SS},     {"ds", SEG_DS},
        {"fs", SEG_FS}, {"gs", SEG_GS}, {"ldtr", SEG_LDTR}, {"tr", SEG_TR},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        if (!settle_segment(l, all[i].n, all[i].name))
            return false;
    return true;
}

static bool settle_flags(struct load *l)
{
    const struct cpu_reg_value *v = l->given[REG_KIND_FLAGS];
    const uint64_t flags = v ? value_of(v) & RFLAGS_KNOWN : 0;
    if ((flags & FLAG_VM) && (!cpu_prot(l->cpu) || cpu_long(l->cpu)))
        return error_set(l->err, "%s=%" PRIx64 ": VM outside protected mode", v->reg->name, flags);
    cpu_set_rflags(l->cpu, flags | FLAG_1);
    return true;
}

static bool settle_cpl(struct load *l)
{
    struct cpu *cpu = l->cpu;
    const struct cpu_reg_value *v = l->given[REG_KIND_CPL];
    const unsigned natural = !cpu_prot(cpu) ? 0 : cpu_vm86(cpu) ? 3 : cpu->seg[SEG_CS].sel & 3;
    const uint64_t cpl = v ? value_of(v) : natural;
    if (cpl > 3 || ((!cpu_prot(cpu) || cpu_vm86(cpu)) && cpl != natural))
        return error_set(l->err, "cpl=%" PRIu64 ": not in this mode", cpl);
    cpu->cpl = (uint8_t)cpl;
    return true;
}

static bool settle_vectors(struct load *l)
{
    const struct cpu_reg_value *xcr0 = l->given[REG_KIND_XCR0], *mxcsr = l->given[REG_KIND_MXCSR];
    const struct cpu_reg_value *fcw = l->given[REG_KIND_FCW];
    if (xcr0) {
        const uint64_t v = value_of(xcr0);
        if (!(v & XCR0_X87) || (v & ~xsave_supported(&l->cpu->feat)) ||
            ((v & XCR0_AVX) && !(v & XCR0_SSE)))
            return error_set(l->err, "xcr0=%" PRIx64 ": this CPU cannot hold that", v);
        l->cpu->xcr0 = v;
    }
    if (mxcsr) {
        if (value_of(mxcsr) & ~UINT64_C(0xffff))
            return error_set(l->err, "mxcsr=%" PRIx64 ": reserved bits", value_of(mxcsr));
        l->cpu->mxcsr = (uint32_t)value_of(mxcsr);
    }
    if (fcw)
        l->cpu->fpu.cw = fp_valid_cw((uint16_t)value_of(fcw));
    return true;
}

static void settle_debug(struct load *l)
{
    const struct cpu_reg_value *dr6 = l->given[REG_KIND_DR6], *dr7 = l->given[REG_KIND_DR7];
    if (dr6)
        l->cpu->dr6 = (value_of(dr6) & DR6_KNOWN) | UINT32_C(0xffff0ff0);
    if (dr7)
        l->cpu->dr7 = (value_of(dr7) & DR7_KNOWN) | 0x400;
    if (dr7)
        debug_changed(l->cpu);
}

static bool settle_rip(struct load *l)
{
    struct cpu *cpu = l->cpu;
    if (!cpu_long(cpu) || !(cpu->seg[SEG_CS].attr & ATTR_L))
        cpu->rip = (uint32_t)cpu->rip;
    else if (!cpu_canonical(cpu, cpu->rip))
        return error_set(l->err, "rip=%" PRIx64 ": not canonical", cpu->rip);
    return true;
}

/* Where a segment register's field lies: which of them it is. */
static unsigned segment_of(const struct cpu_reg *reg)
{
    return (unsigned)((reg->at - offsetof(struct cpu, seg)) / sizeof(struct segment));
}

static void take(struct load *l, const struct cpu_reg_value *v)
{
    const struct cpu_reg *reg = v->reg;
    uint8_t *at = (uint8_t *)l->cpu + reg->at;
    l->given[reg->kind] = v;
    switch (reg->kind) {
    case REG_KIND_FIELD:
        memcpy(at, v->value, reg->bytes);
        return;
    case REG_KIND_SEL:
    case REG_KIND_SEG_BASE:
    case REG_KIND_SEG_LIMIT:
    case REG_KIND_SEG_ATTR:
        memcpy(at, v->value, reg->bytes);
        l->segment[segment_of(reg)] |= (uint8_t)BIT(reg->kind - REG_KIND_SEL);
        return;
    default:
        return; /* later, with its checks */
    }
}

/* What depends on others of those that are given: the top of the stack, the mode. */
static bool take_late(struct load *l, const struct cpu_reg_value *v)
{
    if (v->reg->kind == REG_KIND_ST)
        memcpy((void *)cpu_reg_st(l->cpu, v->reg->at)->bytes, v->value, v->reg->bytes);
    return v->reg->kind != REG_KIND_MSR || write_msr(l, v, value_of(v));
}

bool cpu_regs_load(struct cpu *cpu, const struct cpu_reg_value *values, size_t count,
                   struct error *err)
{
    struct load l = {.cpu = cpu, .err = err};
    cpu_reset(cpu, false);
    cpu->r[REG_RDX] = 0;
    cpu->wait_sipi = false;
    cpu->seg[SEG_CS].sel = 0; /* the reset vector is nobody's business here */
    cpu->seg[SEG_CS].base = 0;
    cpu->rip = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i].reg->kind < REG_KIND_SEL || values[i].reg->kind > REG_KIND_SEG_ATTR)
            take(&l, &values[i]);
    /* before the segments: CR0 is only changed where CS and TR allow it, and decides what they are
     */
    if (!enter_mode(&l) || !settle_flags(&l))
        return false;
    for (size_t i = 0; i < count; i++)
        if (values[i].reg->kind >= REG_KIND_SEL && values[i].reg->kind <= REG_KIND_SEG_ATTR)
            take(&l, &values[i]);
    if (!settle_segments(&l) || !settle_cpl(&l) || !settle_vectors(&l) || !settle_rip(&l))
        return false;
    settle_debug(&l);
    for (size_t i = 0; i < count; i++)
        if (!take_late(&l, &values[i]))
            return false;
    cpu_loaded(cpu);
    return true;
}
