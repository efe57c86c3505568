/* See cpu_regs.h. */
#include "cpu/cpu_regs.h"
#include "cpu/debug.h"
#include "cpu/fp/fp.h"
#include "cpu/sys.h"
#include "cpu/xsave.h"

#include <inttypes.h>
#include <stdlib.h>

/* How a register is read, and when in cpu_regs_load() it is written: those with checks of their own
 * by what the guest's instructions call, in an order in which any state can be reached. */
enum {
    REG_KIND_FIELD, /* of struct cpu, at its offset */
    REG_KIND_SEL,   /* likewise, of its segment, which is settled when all are known */
    REG_KIND_SEG_BASE,
    REG_KIND_SEG_LIMIT,
    REG_KIND_SEG_ATTR,
    REG_KIND_FLAGS,
    REG_KIND_CPL,
    REG_KIND_CR0,
    REG_KIND_CR3,
    REG_KIND_CR4,
    REG_KIND_XCR0,
    REG_KIND_DR6,
    REG_KIND_DR7,
    REG_KIND_EFER, /* an MSR, its number in at */
    REG_KIND_MSR,
    REG_KIND_MXCSR,
    REG_KIND_FCW,
    REG_KIND_ST, /* ST(at) */
    REG_KINDS,
};

#define AT(field) offsetof(struct cpu, field)

/* clang-format off */
const struct cpu_reg cpu_reg_table[] = {
    {"ax", REG_KIND_FIELD, 2, AT(r[REG_RAX])},
    {"bp", REG_KIND_FIELD, 2, AT(r[REG_RBP])},
    {"bx", REG_KIND_FIELD, 2, AT(r[REG_RBX])},
    {"cpl", REG_KIND_CPL, 1, AT(cpl)},
    {"cr0", REG_KIND_CR0, 8, AT(cr0)},
    {"cr2", REG_KIND_FIELD, 8, AT(cr2)},
    {"cr3", REG_KIND_CR3, 8, AT(cr3)},
    {"cr4", REG_KIND_CR4, 8, AT(cr4)},
    {"cs", REG_KIND_SEL, 2, AT(seg[SEG_CS].sel)},
    {"cs.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_CS].attr)},
    {"cs.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_CS].base)},
    {"cs.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_CS].limit)},
    {"cstar", REG_KIND_MSR, 8, 0xc0000083},
    {"cx", REG_KIND_FIELD, 2, AT(r[REG_RCX])},
    {"debugctl", REG_KIND_MSR, 8, 0x1d9},
    {"di", REG_KIND_FIELD, 2, AT(r[REG_RDI])},
    {"dr0", REG_KIND_FIELD, 8, AT(dr[0])},
    {"dr1", REG_KIND_FIELD, 8, AT(dr[1])},
    {"dr2", REG_KIND_FIELD, 8, AT(dr[2])},
    {"dr3", REG_KIND_FIELD, 8, AT(dr[3])},
    {"dr6", REG_KIND_DR6, 8, AT(dr6)},
    {"dr7", REG_KIND_DR7, 8, AT(dr7)},
    {"ds", REG_KIND_SEL, 2, AT(seg[SEG_DS].sel)},
    {"ds.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_DS].attr)},
    {"ds.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_DS].base)},
    {"ds.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_DS].limit)},
    {"dx", REG_KIND_FIELD, 2, AT(r[REG_RDX])},
    {"eax", REG_KIND_FIELD, 4, AT(r[REG_RAX])},
    {"ebp", REG_KIND_FIELD, 4, AT(r[REG_RBP])},
    {"ebx", REG_KIND_FIELD, 4, AT(r[REG_RBX])},
    {"ecx", REG_KIND_FIELD, 4, AT(r[REG_RCX])},
    {"edi", REG_KIND_FIELD, 4, AT(r[REG_RDI])},
    {"edx", REG_KIND_FIELD, 4, AT(r[REG_RDX])},
    {"efer", REG_KIND_EFER, 8, 0xc0000080},
    {"eflags", REG_KIND_FLAGS, 4, 0},
    {"eip", REG_KIND_FIELD, 4, AT(rip)},
    {"es", REG_KIND_SEL, 2, AT(seg[SEG_ES].sel)},
    {"es.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_ES].attr)},
    {"es.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_ES].base)},
    {"es.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_ES].limit)},
    {"esi", REG_KIND_FIELD, 4, AT(r[REG_RSI])},
    {"esp", REG_KIND_FIELD, 4, AT(r[REG_RSP])},
    {"fcs", REG_KIND_FIELD, 2, AT(fpu.fcs)},
    {"fcw", REG_KIND_FCW, 2, AT(fpu.cw)},
    {"fdp", REG_KIND_FIELD, 8, AT(fpu.fdp)},
    {"fds", REG_KIND_FIELD, 2, AT(fpu.fds)},
    {"fip", REG_KIND_FIELD, 8, AT(fpu.fip)},
    {"flags", REG_KIND_FLAGS, 2, 0},
    {"fmask", REG_KIND_MSR, 8, 0xc0000084},
    {"fop", REG_KIND_FIELD, 2, AT(fpu.fop)},
    {"fs", REG_KIND_SEL, 2, AT(seg[SEG_FS].sel)},
    {"fs.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_FS].attr)},
    {"fs.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_FS].base)},
    {"fs.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_FS].limit)},
    {"fsw", REG_KIND_FIELD, 2, AT(fpu.sw)},
    {"ftw", REG_KIND_FIELD, 1, AT(fpu.used)},
    {"gdtr.base", REG_KIND_FIELD, 8, AT(gdtr.base)},
    {"gdtr.limit", REG_KIND_FIELD, 2, AT(gdtr.limit)},
    {"gs", REG_KIND_SEL, 2, AT(seg[SEG_GS].sel)},
    {"gs.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_GS].attr)},
    {"gs.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_GS].base)},
    {"gs.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_GS].limit)},
    {"idtr.base", REG_KIND_FIELD, 8, AT(idtr.base)},
    {"idtr.limit", REG_KIND_FIELD, 2, AT(idtr.limit)},
    {"ip", REG_KIND_FIELD, 2, AT(rip)},
    {"kernel_gs_base", REG_KIND_MSR, 8, 0xc0000102},
    {"ldtr", REG_KIND_SEL, 2, AT(seg[SEG_LDTR].sel)},
    {"ldtr.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_LDTR].attr)},
    {"ldtr.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_LDTR].base)},
    {"ldtr.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_LDTR].limit)},
    {"lstar", REG_KIND_MSR, 8, 0xc0000082},
    {"misc_enable", REG_KIND_MSR, 8, 0x1a0},
    {"mm0", REG_KIND_FIELD, 8, AT(fpu.r[0].mmx)},
    {"mm1", REG_KIND_FIELD, 8, AT(fpu.r[1].mmx)},
    {"mm2", REG_KIND_FIELD, 8, AT(fpu.r[2].mmx)},
    {"mm3", REG_KIND_FIELD, 8, AT(fpu.r[3].mmx)},
    {"mm4", REG_KIND_FIELD, 8, AT(fpu.r[4].mmx)},
    {"mm5", REG_KIND_FIELD, 8, AT(fpu.r[5].mmx)},
    {"mm6", REG_KIND_FIELD, 8, AT(fpu.r[6].mmx)},
    {"mm7", REG_KIND_FIELD, 8, AT(fpu.r[7].mmx)},
    {"mxcsr", REG_KIND_MXCSR, 4, AT(mxcsr)},
    {"pat", REG_KIND_MSR, 8, 0x277},
    {"pkru", REG_KIND_FIELD, 4, AT(pkru)},
    {"r10", REG_KIND_FIELD, 8, AT(r[REG_R10])},
    {"r11", REG_KIND_FIELD, 8, AT(r[REG_R11])},
    {"r12", REG_KIND_FIELD, 8, AT(r[REG_R12])},
    {"r13", REG_KIND_FIELD, 8, AT(r[REG_R13])},
    {"r14", REG_KIND_FIELD, 8, AT(r[REG_R14])},
    {"r15", REG_KIND_FIELD, 8, AT(r[REG_R15])},
    {"r8", REG_KIND_FIELD, 8, AT(r[REG_R8])},
    {"r9", REG_KIND_FIELD, 8, AT(r[REG_R9])},
    {"rax", REG_KIND_FIELD, 8, AT(r[REG_RAX])},
    {"rbp", REG_KIND_FIELD, 8, AT(r[REG_RBP])},
    {"rbx", REG_KIND_FIELD, 8, AT(r[REG_RBX])},
    {"rcx", REG_KIND_FIELD, 8, AT(r[REG_RCX])},
    {"rdi", REG_KIND_FIELD, 8, AT(r[REG_RDI])},
    {"rdx", REG_KIND_FIELD, 8, AT(r[REG_RDX])},
    {"rflags", REG_KIND_FLAGS, 8, 0},
    {"rip", REG_KIND_FIELD, 8, AT(rip)},
    {"rsi", REG_KIND_FIELD, 8, AT(r[REG_RSI])},
    {"rsp", REG_KIND_FIELD, 8, AT(r[REG_RSP])},
    {"si", REG_KIND_FIELD, 2, AT(r[REG_RSI])},
    {"sp", REG_KIND_FIELD, 2, AT(r[REG_RSP])},
    {"ss", REG_KIND_SEL, 2, AT(seg[SEG_SS].sel)},
    {"ss.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_SS].attr)},
    {"ss.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_SS].base)},
    {"ss.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_SS].limit)},
    {"st0", REG_KIND_ST, 10, 0},
    {"st1", REG_KIND_ST, 10, 1},
    {"st2", REG_KIND_ST, 10, 2},
    {"st3", REG_KIND_ST, 10, 3},
    {"st4", REG_KIND_ST, 10, 4},
    {"st5", REG_KIND_ST, 10, 5},
    {"st6", REG_KIND_ST, 10, 6},
    {"st7", REG_KIND_ST, 10, 7},
    {"star", REG_KIND_MSR, 8, 0xc0000081},
    {"sysenter_cs", REG_KIND_MSR, 8, 0x174},
    {"sysenter_eip", REG_KIND_MSR, 8, 0x176},
    {"sysenter_esp", REG_KIND_MSR, 8, 0x175},
    {"tr", REG_KIND_SEL, 2, AT(seg[SEG_TR].sel)},
    {"tr.attr", REG_KIND_SEG_ATTR, 4, AT(seg[SEG_TR].attr)},
    {"tr.base", REG_KIND_SEG_BASE, 8, AT(seg[SEG_TR].base)},
    {"tr.limit", REG_KIND_SEG_LIMIT, 4, AT(seg[SEG_TR].limit)},
    {"tsc_aux", REG_KIND_MSR, 8, 0xc0000103},
    {"xcr0", REG_KIND_XCR0, 8, AT(xcr0)},
    {"xmm0", REG_KIND_FIELD, 16, AT(zmm[0])},
    {"xmm1", REG_KIND_FIELD, 16, AT(zmm[1])},
    {"xmm10", REG_KIND_FIELD, 16, AT(zmm[10])},
    {"xmm11", REG_KIND_FIELD, 16, AT(zmm[11])},
    {"xmm12", REG_KIND_FIELD, 16, AT(zmm[12])},
    {"xmm13", REG_KIND_FIELD, 16, AT(zmm[13])},
    {"xmm14", REG_KIND_FIELD, 16, AT(zmm[14])},
    {"xmm15", REG_KIND_FIELD, 16, AT(zmm[15])},
    {"xmm2", REG_KIND_FIELD, 16, AT(zmm[2])},
    {"xmm3", REG_KIND_FIELD, 16, AT(zmm[3])},
    {"xmm4", REG_KIND_FIELD, 16, AT(zmm[4])},
    {"xmm5", REG_KIND_FIELD, 16, AT(zmm[5])},
    {"xmm6", REG_KIND_FIELD, 16, AT(zmm[6])},
    {"xmm7", REG_KIND_FIELD, 16, AT(zmm[7])},
    {"xmm8", REG_KIND_FIELD, 16, AT(zmm[8])},
    {"xmm9", REG_KIND_FIELD, 16, AT(zmm[9])},
    {"ymm0", REG_KIND_FIELD, 32, AT(zmm[0])},
    {"ymm1", REG_KIND_FIELD, 32, AT(zmm[1])},
    {"ymm10", REG_KIND_FIELD, 32, AT(zmm[10])},
    {"ymm11", REG_KIND_FIELD, 32, AT(zmm[11])},
    {"ymm12", REG_KIND_FIELD, 32, AT(zmm[12])},
    {"ymm13", REG_KIND_FIELD, 32, AT(zmm[13])},
    {"ymm14", REG_KIND_FIELD, 32, AT(zmm[14])},
    {"ymm15", REG_KIND_FIELD, 32, AT(zmm[15])},
    {"ymm2", REG_KIND_FIELD, 32, AT(zmm[2])},
    {"ymm3", REG_KIND_FIELD, 32, AT(zmm[3])},
    {"ymm4", REG_KIND_FIELD, 32, AT(zmm[4])},
    {"ymm5", REG_KIND_FIELD, 32, AT(zmm[5])},
    {"ymm6", REG_KIND_FIELD, 32, AT(zmm[6])},
    {"ymm7", REG_KIND_FIELD, 32, AT(zmm[7])},
    {"ymm8", REG_KIND_FIELD, 32, AT(zmm[8])},
    {"ymm9", REG_KIND_FIELD, 32, AT(zmm[9])},
};
/* clang-format on */
const size_t cpu_reg_count = ARRAY_SIZE(cpu_reg_table);

static int compare_name(const void *name, const void *reg)
{
    return strcmp(name, ((const struct cpu_reg *)reg)->name);
}

const struct cpu_reg *cpu_reg_find(const char *name)
{
    return bsearch(name, cpu_reg_table, cpu_reg_count, sizeof *cpu_reg_table, compare_name);
}

/* --- reading --- */

static const union fpreg *st_reg(const struct cpu *cpu, unsigned i)
{
    return &cpu->fpu.r[((cpu->fpu.sw >> FSW_TOP_SHIFT) + i) & 7];
}

void cpu_reg_get(const struct cpu *cpu, const struct cpu_reg *reg, uint8_t *value)
{
    uint64_t v = 0;
    switch (reg->kind) {
    case REG_KIND_FLAGS:
        v = cpu_get_rflags(cpu);
        memcpy(value, &v, reg->bytes);
        return;
    case REG_KIND_EFER:
    case REG_KIND_MSR:
        msr_read((struct cpu *)cpu, reg->at, &v); /* those of the table have no side effects */
        memcpy(value, &v, reg->bytes);
        return;
    case REG_KIND_ST:
        memcpy(value, st_reg(cpu, reg->at)->bytes, reg->bytes);
        return;
    default:
        memcpy(value, (const uint8_t *)cpu + reg->at, reg->bytes);
        return;
    }
}

#define RFLAGS_KNOWN                                                                       \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM | \
     FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID)
#define CR0_KNOWN \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define DR6_KNOWN UINT64_C(0xe00f) /* SDM 3B §17.2 "Debug Registers" */
#define DR7_KNOWN UINT64_C(0xffff23ff)
#define FCW_KNOWN UINT64_C(0x1f3f)

void cpu_reg_significant(const struct cpu_reg *reg, uint8_t *mask)
{
    static const uint64_t known[REG_KINDS] = {
        [REG_KIND_FLAGS] = RFLAGS_KNOWN, [REG_KIND_CR0] = CR0_KNOWN, [REG_KIND_DR6] = DR6_KNOWN,
        [REG_KIND_DR7] = DR7_KNOWN,      [REG_KIND_FCW] = FCW_KNOWN,
    };
    if (known[reg->kind])
        memcpy(mask, &known[reg->kind], reg->bytes);
    else
        memset(mask, 0xff, reg->bytes);
}

/* --- writing --- */

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
    return msr_write(l->cpu, v->reg->at, value) ||
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
        memcpy((void *)st_reg(l->cpu, v->reg->at)->bytes, v->value, v->reg->bytes);
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
