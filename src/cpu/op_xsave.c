/*
 * FXSAVE, FXRSTOR, XSAVE and its kin, MXCSR, XCR0. SDM 1 §10.5 "FXSAVE and FXRSTOR Instructions",
 * §13 "Managing State Using the XSAVE Feature Set".
 *
 * A component is a row of xsave_components[] (xsave.c) and one of component_ops[]. There are no
 * supervisor components: IA32_XSS is 0.
 */
#include "cpu/xsave.h"
#include "cpu/run.h"
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* --- MXCSR --- */

/* Without SSE2 there is no DAZ. */
static uint32_t mxcsr_mask(const struct cpu *cpu)
{
    return cpu->feat.has[FEAT_SSE2] ? 0xffff : 0xffbf;
}
static void check_mxcsr(struct cpu *cpu, uint32_t v)
{
    if (v & ~mxcsr_mask(cpu))
        cpu_gp0(cpu, REASON_MXCSR);
}
OP(op_ldmxcsr)
{
    const uint32_t v = load32(cpu, ea_linear(cpu, u, 4, ACC_R));
    check_mxcsr(cpu, v);
    fp_set_mxcsr(cpu, v);
}
OP(op_stmxcsr)
{
    store32(cpu, ea_linear(cpu, u, 4, ACC_W), fp_mxcsr(cpu));
}

/* --- the legacy region: SDM 1 tables 10-2, 10-3; figure 13-2 --- */

enum {
    AT_FCW = 0,
    AT_FSW = 2,
    AT_FTW = 4,
    AT_FOP = 6,
    AT_FIP = 8,
    AT_FCS = 12,
    AT_FDP = 16,
    AT_FDS = 20,
    AT_MXCSR = 24,
    AT_MXCSR_MASK = 28,
    AT_ST = 32,
    AT_XMM = 160
};

/* 64-bit pointers and no selectors: with REX.W. */
static bool wide_pointers(const struct insn *u)
{
    return u->rex & 8;
}
static unsigned xmm_count(const struct cpu *cpu)
{
    return cpu_code64(cpu) ? 16 : 8;
}

/* All of bytes 0-159 but MXCSR and its mask. */
static void save_x87(struct cpu *cpu, const struct insn *u, uint8_t *image)
{
    const struct fpu *f = &cpu->fpu;
    memset(image, 0, AT_MXCSR);
    st16(image + AT_FCW, f->cw);
    st16(image + AT_FSW, f->sw);
    image[AT_FTW] = f->used;
    st16(image + AT_FOP, f->fop);
    if (wide_pointers(u)) {
        st64(image + AT_FIP, f->fip);
        st64(image + AT_FDP, f->fdp);
    } else {
        st32(image + AT_FIP, (uint32_t)f->fip);
        st16(image + AT_FCS, f->fcs);
        st32(image + AT_FDP, (uint32_t)f->fdp);
        st16(image + AT_FDS, f->fds);
    }
    for (unsigned i = 0; i < 8; i++) {
        memcpy(image + AT_ST + 16 * i, x87_st(cpu, i)->bytes, 10);
        memset(image + AT_ST + 16 * i + 10, 0, 6);
    }
}
static void restore_x87(struct cpu *cpu, const struct insn *u, const uint8_t *image)
{
    struct fpu *f = &cpu->fpu;
    f->cw = fp_valid_cw(ld16(image + AT_FCW));
    f->sw = ld16(image + AT_FSW);
    f->used = image[AT_FTW];
    f->fop = ld16(image + AT_FOP) & 0x7ff;
    f->fip = wide_pointers(u) ? ld64(image + AT_FIP) : ld32(image + AT_FIP);
    f->fdp = wide_pointers(u) ? ld64(image + AT_FDP) : ld32(image + AT_FDP);
    f->fcs = wide_pointers(u) ? 0 : ld16(image + AT_FCS);
    f->fds = wide_pointers(u) ? 0 : ld16(image + AT_FDS);
    for (unsigned i = 0; i < 8; i++)
        memcpy(x87_st(cpu, i)->bytes, image + AT_ST + 16 * i, 10);
    x87_update_es(cpu);
    fp_x87_changed(cpu);
}
static void reset_x87(struct cpu *cpu)
{
    x87_init(cpu);
    for (unsigned i = 0; i < 8; i++)
        cpu->fpu.r[i].mant = cpu->fpu.r[i].sexp = 0;
    x87_update_es(cpu);
}
static bool x87_in_use(const struct cpu *cpu)
{
    const struct fpu *f = &cpu->fpu;
    if (f->cw != FCW_INIT || f->sw || f->used || f->fop || f->fip || f->fdp || f->fcs || f->fds)
        return true;
    for (unsigned i = 0; i < 8; i++)
        if (f->r[i].mant || f->r[i].sexp)
            return true;
    return false;
}

static void save_mxcsr(struct cpu *cpu, uint8_t *image)
{
    st32(image + AT_MXCSR, fp_mxcsr(cpu));
    st32(image + AT_MXCSR_MASK, mxcsr_mask(cpu));
}
static void save_sse(struct cpu *cpu, const struct insn *u, uint8_t *image)
{
    (void)u;
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(image + AT_XMM + 16 * i, &cpu->zmm[i], 16);
}
static void restore_sse(struct cpu *cpu, const struct insn *u, const uint8_t *image)
{
    (void)u;
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(&cpu->zmm[i], image + AT_XMM + 16 * i, 16);
}
static void reset_sse(struct cpu *cpu)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memset(&cpu->zmm[i], 0, 16);
}
static bool sse_in_use(const struct cpu *cpu)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        if (cpu->zmm[i].q[0] | cpu->zmm[i].q[1])
            return true;
    return false;
}

/* Bits 255:128 of the vector registers. SDM 1 §13.5.3 "AVX State" */
static void save_avx(struct cpu *cpu, const struct insn *u, uint8_t *at)
{
    (void)u;
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(at + 16 * i, &cpu->zmm[i].q[2], 16);
}
static void restore_avx(struct cpu *cpu, const struct insn *u, const uint8_t *at)
{
    (void)u;
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(&cpu->zmm[i].q[2], at + 16 * i, 16);
}
static void reset_avx(struct cpu *cpu)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memset(&cpu->zmm[i].q[2], 0, 16);
}
static bool avx_in_use(const struct cpu *cpu)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        if (cpu->zmm[i].q[2] | cpu->zmm[i].q[3])
            return true;
    return false;
}

/* SDM 1 §13.5.7 "PKRU State" */
static void save_pkru(struct cpu *cpu, const struct insn *u, uint8_t *at)
{
    (void)u;
    st64(at, cpu->pkru);
}
static void restore_pkru(struct cpu *cpu, const struct insn *u, const uint8_t *at)
{
    (void)u;
    cpu_set_pkru(cpu, ld32(at));
}
static void reset_pkru(struct cpu *cpu)
{
    cpu_set_pkru(cpu, 0);
}
static bool pkru_in_use(const struct cpu *cpu)
{
    return cpu->pkru != 0;
}

/* at: the area for x87 and SSE, the component's place in it for the others. */
static const struct component_ops {
    void (*save)(struct cpu *cpu, const struct insn *u, uint8_t *at);
    void (*restore)(struct cpu *cpu, const struct insn *u, const uint8_t *at);
    void (*reset)(struct cpu *cpu);
    bool (*in_use)(const struct cpu *cpu);
} component_ops[XSAVE_COMPONENTS] = {
    [0] = {save_x87, restore_x87, reset_x87, x87_in_use},
    [1] = {save_sse, restore_sse, reset_sse, sse_in_use},
    [2] = {save_avx, restore_avx, reset_avx, avx_in_use},
    [9] = {save_pkru, restore_pkru, reset_pkru, pkru_in_use},
};

/* --- FXSAVE, FXRSTOR --- */

/* The x87 rules for CR0, though no SSE ones: SDM 2A "FXSAVE". */
static void check_fxsave(struct cpu *cpu)
{
    if (cpu->cr0 & CR0_EM)
        cpu_fault(cpu, VEC_NM, 0, REASON_NM_EM);
    if (cpu->cr0 & CR0_TS)
        cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
}
static gla_t aligned_area(struct cpu *cpu, const struct insn *u, unsigned bytes, unsigned align,
                          enum access acc)
{
    const gla_t lin = ea_linear(cpu, u, bytes, acc);
    if (align == 16) /* SDM 2A "FXSAVE" leaves open which comes first; AMD checks dwords */
        x87_check_alignment(cpu, lin, 4);
    if (lin & (align - 1))
        align == 64 ? cpu_gp0(cpu, REASON_ALIGN_XSAVE)
                    : misaligned_fault(cpu, lin, REASON_ALIGN_SSE);
    return lin;
}

/* An area to be written in parts: in place where that can be, else a copy to be stored whole. */
static uint8_t *open_area(struct cpu *cpu, gla_t lin, uint8_t *copy, unsigned n)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, n)))
        return (uint8_t *)(uintptr_t)(lin + h->addend);
    uint8_t *in_place = rmw_slow(cpu, lin, n);
    if (in_place)
        return in_place;
    load_bytes(cpu, lin, copy, n);
    return copy;
}
static void close_area(struct cpu *cpu, gla_t lin, const uint8_t *area, const uint8_t *copy,
                       unsigned n)
{
    if (area == copy)
        store_bytes(cpu, lin, copy, n);
}

/* Without CR4.OSFXSR the SSE half stays out, as on all CPUs of Intel's. */
OP(op_fxsave)
{
    check_fxsave(cpu);
    const gla_t lin = aligned_area(cpu, u, XSAVE_LEGACY_BYTES, 16, ACC_W);
    uint8_t copy[XSAVE_LEGACY_BYTES];
    uint8_t *area = open_area(cpu, lin, copy, sizeof copy);
    save_x87(cpu, u, area);
    save_mxcsr(cpu, area);
    if (cpu->cr4 & CR4_OSFXSR)
        save_sse(cpu, u, area);
    close_area(cpu, lin, area, copy, sizeof copy);
}
OP(op_fxrstor)
{
    check_fxsave(cpu);
    const gla_t lin = aligned_area(cpu, u, XSAVE_LEGACY_BYTES, 16, ACC_R);
    uint8_t image[XSAVE_LEGACY_BYTES];
    load_bytes(cpu, lin, image, sizeof image);
    if (cpu->cr4 & CR4_OSFXSR) {
        check_mxcsr(cpu, ld32(image + AT_MXCSR));
        restore_sse(cpu, u, image);
        fp_set_mxcsr(cpu, ld32(image + AT_MXCSR));
    }
    restore_x87(cpu, u, image);
}

/* --- XSAVE and its kin --- */

enum { AT_XSTATE_BV = 512, AT_XCOMP_BV = 520 };
#define XCOMP_COMPACTED BIT64(63)

static void check_xsave(struct cpu *cpu, const struct insn *u)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if (cpu->cr0 & CR0_TS)
        cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
    if ((u->op == OP_XSAVES || u->op == OP_XRSTORS) && cpu->cpl)
        cpu_gp0(cpu, REASON_CPL);
}
/* The requested components that are enabled: RFBM. */
static uint64_t requested(const struct cpu *cpu)
{
    return cpu->xcr0 & ((uint32_t)cpu->r[REG_RAX] | cpu->r[REG_RDX] << 32);
}
/* XINUSE, as far as enabled. SDM 1 §13.6 "Processor Tracking of XSAVE-Managed State" */
static uint64_t in_use(const struct cpu *cpu)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++)
        if ((cpu->xcr0 & BIT64(i)) && component_ops[i].in_use(cpu))
            mask |= BIT64(i);
    return mask;
}
/* Where a component lies; xcomp: XCOMP_BV of a compacted area, 0 in the standard format. SDM 1
 * §13.4.3 "Extended Region of an XSAVE Area" */
static unsigned component_at(unsigned i, uint64_t xcomp)
{
    return i < 2   ? 0
           : xcomp ? xsave_compacted_size(xcomp & (BIT64(i) - 1))
                   : xsave_components[i].offset;
}
static void save_components(struct cpu *cpu, const struct insn *u, uint8_t *area, uint64_t mask,
                            uint64_t xcomp)
{
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++)
        if (mask & BIT64(i))
            component_ops[i].save(cpu, u, area + component_at(i, xcomp));
}

/*
 * SDM 1 §13.7 "Operation of XSAVE", §13.9 "Operation of XSAVEOPT": the latter stores what is in use
 * only. What was not modified since XRSTOR it may skip, and does not.
 */
OP(op_xsave)
{
    check_xsave(cpu, u);
    const uint64_t mask = requested(cpu), used = in_use(cpu);
    const unsigned n = xsave_area_size(mask);
    const gla_t lin = aligned_area(cpu, u, n, 64, ACC_W);
    uint8_t copy[XSAVE_MAX_BYTES];
    uint8_t *area = open_area(cpu, lin, copy, n);
    save_components(cpu, u, area, u->op == OP_XSAVEOPT ? mask & used : mask, 0);
    if (mask & (XCR0_SSE | XCR0_AVX))
        save_mxcsr(cpu, area);
    st64(area + AT_XSTATE_BV, (ld64(area + AT_XSTATE_BV) & ~mask) | (used & mask));
    close_area(cpu, lin, area, copy, n);
}

/*
 * SDM 1 §13.10 "Operation of XSAVEC", §13.11 "Operation of XSAVES": MXCSR is part of the SSE
 * component here, in the area and for the question whether that is in use.
 */
OP(op_xsavec)
{
    check_xsave(cpu, u);
    const uint64_t mask = requested(cpu);
    uint64_t used = in_use(cpu) & mask;
    if ((mask & XCR0_SSE) && fp_mxcsr(cpu) != MXCSR_INIT)
        used |= XCR0_SSE;
    const unsigned n = xsave_compacted_size(mask);
    const gla_t lin = aligned_area(cpu, u, n, 64, ACC_W);
    uint8_t copy[XSAVE_MAX_BYTES];
    uint8_t *area = open_area(cpu, lin, copy, n);
    save_components(cpu, u, area, used, mask | XCOMP_COMPACTED);
    if (used & XCR0_SSE)
        save_mxcsr(cpu, area);
    st64(area + AT_XSTATE_BV, used);
    st64(area + AT_XCOMP_BV, mask | XCOMP_COMPACTED);
    close_area(cpu, lin, area, copy, n);
}

/* SDM 1 §13.8.1 "Standard Form of XRSTOR", §13.8.2 "Compacted Form of XRSTOR" */
static bool header_valid(const struct cpu *cpu, const struct insn *u, const uint8_t *header)
{
    const uint64_t bv = ld64(header), xcomp = ld64(header + 8);
    if (!(xcomp & XCOMP_COMPACTED))
        return u->op != OP_XRSTORS && !(bv & ~cpu->xcr0) && !xcomp && !ld64(header + 16);
    if (!cpu->feat.has[u->op == OP_XRSTORS ? FEAT_XSAVES : FEAT_XSAVEC])
        return false;
    uint64_t rest = 0;
    for (unsigned i = 16; i < XSAVE_HEADER_BYTES; i += 8)
        rest |= ld64(header + i);
    return !(xcomp & ~XCOMP_COMPACTED & ~cpu->xcr0) && !(bv & ~xcomp) && !rest;
}

/* XRSTOR and XRSTORS. SDM 1 §13.8 "Operation of XRSTOR", §13.12 "Operation of XRSTORS" */
OP(op_xrstor)
{
    check_xsave(cpu, u);
    const uint64_t mask = requested(cpu);
    uint8_t image[XSAVE_MAX_BYTES];
    const gla_t lin = aligned_area(cpu, u, XSAVE_MIN_BYTES, 64, ACC_R);
    load_bytes(cpu, lin, image, XSAVE_MIN_BYTES);
    if (!header_valid(cpu, u, image + AT_XSTATE_BV))
        cpu_gp0(cpu, REASON_XSAVE_HEADER);
    const uint64_t bv = ld64(image + AT_XSTATE_BV), xcomp = ld64(image + AT_XCOMP_BV);
    const unsigned n = xcomp ? xsave_compacted_size(xcomp) : xsave_area_size(mask);
    if (n > XSAVE_MIN_BYTES)
        load_bytes(cpu, aligned_area(cpu, u, n, 64, ACC_R) + XSAVE_MIN_BYTES,
                   image + XSAVE_MIN_BYTES, n - XSAVE_MIN_BYTES);
    /* in the standard format whatever XSTATE_BV says, else as part of the SSE component */
    const bool mxcsr = mask & (xcomp ? XCR0_SSE : XCR0_SSE | XCR0_AVX);
    const bool mxcsr_there = !xcomp || (bv & XCR0_SSE);
    if (mxcsr && mxcsr_there)
        check_mxcsr(cpu, ld32(image + AT_MXCSR));

    if (mxcsr)
        fp_set_mxcsr(cpu, mxcsr_there ? ld32(image + AT_MXCSR) : MXCSR_INIT);
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++) {
        if (!(mask & BIT64(i)))
            continue;
        if (bv & BIT64(i))
            component_ops[i].restore(cpu, u, image + component_at(i, xcomp));
        else
            component_ops[i].reset(cpu);
    }
}

/* --- XCR0 --- */

/* With ECX = 1: what is in use of what XCR0 enables. SDM 2C "XGETBV" */
OP(op_xgetbv)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    const uint32_t n = (uint32_t)cpu->r[REG_RCX];
    if (n > 1 || (n == 1 && !cpu->feat.has[FEAT_XGETBV1]))
        cpu_gp0(cpu, REASON_XCR_VALUE);
    const uint64_t v = n ? in_use(cpu) : cpu->xcr0;
    cpu->r[REG_RAX] = (uint32_t)v;
    cpu->r[REG_RDX] = v >> 32;
}
/* SDM 1 §13.3 "Enabling the XSAVE Feature Set and XSAVE-Enabled Features" */
OP_END(op_xsetbv)
{
    if (!(cpu->cr4 & CR4_OSXSAVE))
        cpu_ud(cpu, REASON_UD_FEATURE);
    if (cpu->cpl != 0)
        cpu_gp0(cpu, REASON_CPL);
    const uint64_t v = (uint32_t)cpu->r[REG_RAX] | cpu->r[REG_RDX] << 32;
    if ((uint32_t)cpu->r[REG_RCX] != 0 || !(v & XCR0_X87) || (v & ~xsave_supported(&cpu->feat)) ||
        ((v & XCR0_AVX) && !(v & XCR0_SSE)))
        cpu_gp0(cpu, REASON_XCR_VALUE);
    cpu->xcr0 = v;
    cpu_update_mode(cpu); /* whether AVX runs is part of the decoded blocks' key */
}
