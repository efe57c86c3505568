/* Control registers of the host's SSE and x87 units, and SIMD exceptions found after the fact. */
#include "cpu/fp/fp.h"
#include "cpu/jit/jit.h"

#if defined(__x86_64__)

static inline void load_mxcsr(uint32_t v)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(v));
}
static inline uint32_t store_mxcsr(void)
{
    uint32_t v;
    __asm__ volatile("stmxcsr %0" : "=m"(v));
    return v;
}
static inline void load_cw(uint16_t v)
{
    __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(v));
}

/* The guest's MXCSR as the host runs it: every exception masked, flags gathered from none. */
static inline uint32_t host_mxcsr(const struct cpu *cpu)
{
    return (cpu->mxcsr & ~MXCSR_EXC) | MXCSR_MASKS;
}

void fp_enter(struct cpu *cpu)
{
    jit_mxcsr_changed(cpu, false);
    cpu->fp_on = true;
    load_mxcsr(host_mxcsr(cpu));
    load_cw(cpu->fpu.cw | FSW_EXC);
}

void fp_leave(struct cpu *cpu)
{
    if (!cpu->fp_on)
        return;
    cpu->fp_on = false;
    cpu->mxcsr |= store_mxcsr() & MXCSR_EXC;
    load_mxcsr(MXCSR_INIT);
    const uint16_t cw = FCW_INIT;
    __asm__ volatile("fldcw %0" : : "m"(cw)); /* flags may stay: all is masked */
}

uint32_t fp_mxcsr(struct cpu *cpu)
{
    if (cpu->fp_on)
        cpu->mxcsr |= store_mxcsr() & MXCSR_EXC;
    return cpu->mxcsr;
}

void fp_set_mxcsr(struct cpu *cpu, uint32_t v)
{
    cpu->mxcsr = v;
    if (cpu->fp_on)
        load_mxcsr(host_mxcsr(cpu));
    jit_mxcsr_changed(cpu, cpu->fp_on);
}

void fp_x87_set_cc(uint16_t fsw)
{
    /* what FXAM says of each: C3, C2, C0 */
    static const union fpreg unsupported = {.mant = 1, .sexp = 0x3fff};      /* 000 */
    static const union fpreg nan = {.mant = ~UINT64_C(0), .sexp = 0x7fff};   /* 001 */
    static const union fpreg normal = {.mant = BIT64(63), .sexp = 0x3fff};   /* 010 */
    static const union fpreg infinity = {.mant = BIT64(63), .sexp = 0x7fff}; /* 011 */
    static const union fpreg zero = {.mant = 0, .sexp = 0};                  /* 100 */
    static const union fpreg denormal = {.mant = 1, .sexp = 0};              /* 110 */
    const union fpreg *v;
    switch (fsw & (FSW_C3 | FSW_C2 | FSW_C0)) {
    case 0:
        v = &unsupported;
        break;
    case FSW_C0:
        v = &nan;
        break;
    case FSW_C2:
        v = &normal;
        break;
    case FSW_C2 | FSW_C0:
        v = &infinity;
        break;
    case FSW_C3:
        v = &zero;
        break;
    case FSW_C3 | FSW_C2:
        v = &denormal;
        break;
    case FSW_C3 | FSW_C0: /* an empty register */
        __asm__ volatile("fxam");
        return;
    default: /* no class has all three, an unordered comparison does */
        __asm__ volatile("fldt %0\n\tfucom %%st(0)\n\tfstp %%st(0)" : : "m"(nan) : X87_CLOBBERS);
        return;
    }
    __asm__ volatile("fldt %0\n\tfxam\n\tfstp %%st(0)" : : "m"(*v) : X87_CLOBBERS);
}

void fp_x87_changed(struct cpu *cpu)
{
    if (cpu->fp_on)
        load_cw(cpu->fpu.cw | FSW_EXC);
}

static _Noreturn void simd_exception(struct cpu *cpu)
{
    /* SDM 3A §6.15 "Interrupt 19": #UD while the system does not know #XM */
    if (!(cpu->cr4 & CR4_OSXMMEXCPT))
        cpu_ud(cpu, REASON_UD_FEATURE);
    cpu_fault(cpu, VEC_XM, 0, REASON_XM_SIMD);
}

static uint32_t unmasked(const struct cpu *cpu, uint32_t flags)
{
    return flags & ~(cpu->mxcsr >> MXCSR_MASK_SHIFT) & MXCSR_EXC;
}

void fp_raise(struct cpu *cpu, uint32_t flags)
{
    if (unmasked(cpu, flags & MXCSR_PRE))
        flags &= MXCSR_PRE;
    cpu->mxcsr |= flags;
    if (unmasked(cpu, flags))
        simd_exception(cpu);
}

/* With underflow unmasked nothing is flushed to zero (SDM 1 §10.2.3.3). */
static uint32_t trap_mxcsr(const struct cpu *cpu)
{
    const uint32_t v = host_mxcsr(cpu);
    return unmasked(cpu, FSW_UE) ? v & ~MXCSR_FTZ : v;
}
void fp_trap_begin(struct cpu *cpu)
{
    fp_mxcsr(cpu);
    load_mxcsr(trap_mxcsr(cpu));
}

/* Operands a and b of element i, in the low element; NARROW has b only, and twice as wide. */
static void element(v128 *a, v128 *b, unsigned i, bool f64, enum fp_arith op)
{
    if (op == FP_NARROW) {
        *b = v128_of((*b)[i], 0);
    } else if (f64) {
        *a = v128_of((*a)[i], 0);
        *b = v128_of((*b)[i], 0);
    } else {
        *a = v128_of((uint32_t)((*a)[i / 2] >> (32 * (i % 2))), 0);
        *b = v128_of((uint32_t)((*b)[i / 2] >> (32 * (i % 2))), 0);
    }
}

static v128 scalar(v128 a, v128 b, bool f64, enum fp_arith op)
{
    switch (op) {
    case FP_ADD:
        return f64 ? fp_addsd(a, b) : fp_addss(a, b);
    case FP_SUB:
        return f64 ? fp_subsd(a, b) : fp_subss(a, b);
    case FP_MUL:
        return f64 ? fp_mulsd(a, b) : fp_mulss(a, b);
    case FP_DIV:
        return f64 ? fp_divsd(a, b) : fp_divss(a, b);
    default:
        return fp_cvtsd2ss(v128_of(0, 0), b);
    }
}

/* A denormal result that is exact is no underflow while that is masked, but is one otherwise. */
static bool tiny(uint64_t r, bool f64)
{
    return f64 ? !(r & UINT64_C(0x7ff0000000000000)) && r << 1
               : !(r & UINT64_C(0x7f800000)) && (uint32_t)r << 1;
}

/* Whether the operation would need rounding if exponents had no end: in extended precision, whose
 * exponents reach far enough, it is inexact or has bits below the last one of the format. */
static bool inexact_unbounded(struct cpu *cpu, v128 a, v128 b, bool f64, enum fp_arith op)
{
    const uint16_t saved = cpu->fpu.cw;
    const uint64_t qa = a[0], qb = b[0];
    const uint32_t da = (uint32_t)qa, db = (uint32_t)qb;
    union fpreg x, y, r;
    uint16_t sw = 0;
    cpu->fpu.cw = FCW_INIT;
    fp_x87_changed(cpu);
    if (f64 || op == FP_NARROW) {
        fp_x87_fld_m64(cpu, &x, &qa);
        fp_x87_fld_m64(cpu, &y, &qb);
    } else {
        fp_x87_fld_m32(cpu, &x, &da);
        fp_x87_fld_m32(cpu, &y, &db);
    }
    switch (op) {
    case FP_ADD:
        sw = fp_x87_add_st(cpu, &r, &x, &y);
        break;
    case FP_SUB:
        sw = fp_x87_sub_st(cpu, &r, &x, &y);
        break;
    case FP_MUL:
        sw = fp_x87_mul_st(cpu, &r, &x, &y);
        break;
    case FP_DIV:
        sw = fp_x87_div_st(cpu, &r, &x, &y);
        break;
    default:
        r = y;
        break;
    }
    cpu->fpu.cw = saved;
    fp_x87_changed(cpu);
    return (sw & FSW_PE) || (r.mant & (BIT64(f64 ? 64 - 53 : 64 - 24) - 1));
}

/* The flags of one element's operation as #XM is to report them. SDM 1 §11.5.2.4-6: overflow and
 * underflow, once unmasked, are about the result before it is made to fit, and so is inexact. */
static uint32_t element_flags(struct cpu *cpu, v128 a, v128 b, bool f64, enum fp_arith op)
{
    load_mxcsr(trap_mxcsr(cpu));
    const uint64_t r = scalar(a, b, f64, op)[0];
    uint32_t flags = store_mxcsr() & MXCSR_EXC;
    if (tiny(r, f64))
        flags |= unmasked(cpu, FSW_UE);
    if (unmasked(cpu, flags & (FSW_OE | FSW_UE))) {
        flags &= ~(uint32_t)FSW_PE;
        if (inexact_unbounded(cpu, a, b, f64, op))
            flags |= FSW_PE;
    }
    return flags;
}

void fp_trap_end(struct cpu *cpu)
{
    const uint32_t flags = store_mxcsr() & MXCSR_EXC;
    load_mxcsr(host_mxcsr(cpu));
    fp_raise(cpu, flags);
}

void fp_trap_end_arith(struct cpu *cpu, enum fp_lanes lanes, enum fp_arith op, const v128 *a,
                       const v128 *b, unsigned pairs)
{
    uint32_t flags = store_mxcsr() & MXCSR_EXC;
    /* only an unmasked overflow or underflow makes a closer look worth while; an exact denormal,
     * which is the latter, has not shown in the flags */
    if (unmasked(cpu, FSW_OE | FSW_UE) && !unmasked(cpu, flags & MXCSR_PRE)) {
        const bool f64 = lanes == FP_SD || lanes == FP_PD;
        const unsigned n = lanes == FP_PS ? 4 : lanes == FP_PD ? 2 : 1;
        flags = 0;
        for (unsigned k = 0; k < pairs; k++)
            for (unsigned i = 0; i < (op == FP_NARROW ? MIN(n, 2) : n); i++) {
                const enum fp_arith one = op != FP_ADDSUB ? op : i & 1 ? FP_ADD : FP_SUB;
                v128 x = a[k], y = b[k];
                element(&x, &y, i, f64, one);
                flags |= element_flags(cpu, x, y, f64, one);
            }
    }
    load_mxcsr(host_mxcsr(cpu));
    fp_raise(cpu, flags);
}

#endif
