/* Control registers of the host's SSE and x87 units, and SIMD exceptions found after the fact. */
#include "cpu/fp/fp.h"

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
    load_cw(FCW_INIT);
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

void fp_trap_begin(struct cpu *cpu)
{
    fp_mxcsr(cpu);
    /* with underflow unmasked nothing is flushed to zero (SDM 1 §10.2.3.3) */
    const bool no_flush = unmasked(cpu, FSW_UE);
    load_mxcsr(no_flush ? host_mxcsr(cpu) & ~MXCSR_FTZ : host_mxcsr(cpu));
}

/* A denormal result that is exact is no underflow while that is masked, but is one otherwise. */
static bool any_tiny(const void *result, enum fp_lanes lanes)
{
    const uint8_t *r = result;
    const unsigned n32 = lanes == FP_PS ? 4 : lanes == FP_SS ? 1 : 0;
    const unsigned n64 = lanes == FP_PD ? 2 : lanes == FP_SD ? 1 : 0;
    for (unsigned i = 0; i < n32; i++) {
        const uint32_t v = ld32(r + 4 * i);
        if (!(v & 0x7f800000) && v << 1)
            return true;
    }
    for (unsigned i = 0; i < n64; i++) {
        const uint64_t v = ld64(r + 8 * i);
        if (!(v & UINT64_C(0x7ff0000000000000)) && v << 1)
            return true;
    }
    return false;
}

/* SDM 1 §4.9.2, §11.5.3: unmasked exceptions found before the operation keep the later ones from
 * being looked for. */
void fp_trap_end(struct cpu *cpu, const void *result, enum fp_lanes lanes)
{
    uint32_t flags = store_mxcsr() & MXCSR_EXC;
    load_mxcsr(host_mxcsr(cpu));
    if (unmasked(cpu, FSW_UE) && any_tiny(result, lanes))
        flags |= FSW_UE;
    fp_raise(cpu, flags);
}

#endif
