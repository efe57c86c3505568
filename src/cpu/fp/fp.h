/*
 * Floating point under the guest's control words: what the handlers call, whoever computes it.
 *
 * fp_host.h lets the host's own units compute: between fp_enter() and fp_leave() the host's MXCSR
 * and x87 control word are the guest's with every exception masked, so that an operation costs no
 * control-register access; sticky flags gather in the host's registers. Whoever reads cpu->mxcsr
 * asks fp_mxcsr() or comes after fp_leave(). C floating point is not for this time: it would round
 * as the guest wishes and leave its flags behind.
 *
 * A host without these units would get a second header with the same functions.
 */
#ifndef VITRINE_CPU_FP_FP_H
#define VITRINE_CPU_FP_FP_H

#include "cpu/cpu.h"
#include "cpu/vec.h"

/* x87 status word. SDM 1 §8.1.3 "x87 FPU Status Register" */
enum {
    FSW_IE = BIT(0),
    FSW_DE = BIT(1),
    FSW_ZE = BIT(2),
    FSW_OE = BIT(3),
    FSW_UE = BIT(4),
    FSW_PE = BIT(5),
    FSW_EXC = 0x3f, /* the six above; the same bits of the control word mask them */
    FSW_SF = BIT(6),
    FSW_ES = BIT(7),
    FSW_C0 = BIT(8),
    FSW_C1 = BIT(9),
    FSW_C2 = BIT(10),
    FSW_TOP_SHIFT = 11,
    FSW_TOP = 7 << FSW_TOP_SHIFT,
    FSW_C3 = BIT(14),
    FSW_B = BIT(15),
    FSW_CC = FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3,
};
#define FCW_INIT UINT16_C(0x037f)

/* A status word with ES and B as the exceptions that are not masked want them (SDM 1 §8.1.3.3). */
static inline uint16_t fp_summary(uint16_t sw, uint16_t cw)
{
    const uint16_t both = FSW_ES | FSW_B;
    return (uint16_t)(sw & FSW_EXC & ~cw ? sw | both : sw & ~both);
}

/* Bits 7 and 13-15 of the control word read as 0, bit 6 as 1. SDM 1 figure 8-6 */
static inline uint16_t fp_valid_cw(uint16_t cw)
{
    return (cw & 0x1f3f) | 0x40;
}

/* SDM 1 §10.2.3 "MXCSR Control and Status Register" */
#define MXCSR_EXC        UINT32_C(0x003f) /* IE DE ZE OE UE PE, as in the x87 status word */
#define MXCSR_PRE        UINT32_C(0x0007) /* IE DE ZE: found before the operation is carried out */
#define MXCSR_DAZ        UINT32_C(0x0040)
#define MXCSR_MASKS      UINT32_C(0x1f80)
#define MXCSR_MASK_SHIFT 7
#define MXCSR_RC         UINT32_C(0x6000)
#define MXCSR_RC_SHIFT   13
#define MXCSR_FTZ        UINT32_C(0x8000)
#define MXCSR_INIT       UINT32_C(0x1f80)

/* Around cpu_run(): the guest's control words in, and out again with the flags folded in. Both may
 * be called twice. */
void fp_enter(struct cpu *cpu);
void fp_leave(struct cpu *cpu);
/* The guest's MXCSR with the flags raised so far. */
uint32_t fp_mxcsr(struct cpu *cpu);
void fp_set_mxcsr(struct cpu *cpu, uint32_t v);
/* Gives the unit the guest's C0, C2, C3, for operations that set them only sometimes. */
void fp_x87_set_cc(uint16_t fsw);
/* To be called after fpu.cw or the exception flags of fpu.sw were replaced. */
void fp_x87_changed(struct cpu *cpu);
/*
 * For code that computes on the host's x87 registers (jit/): the guest's registers, tags and status
 * word into the host's unit, and back. In between (cpu->x87_live) those in cpu->fpu are old, and
 * whoever asks for them stores first. fp_x87_load() leaves vector registers alone. False: an
 * exception is unmasked or pending, so each instruction has to be looked at.
 */
bool fp_x87_load(struct cpu *cpu);
void fp_x87_store(struct cpu *cpu);

/* What an arithmetic operation consists of, for fp_trap_end_arith(). */
enum fp_lanes { FP_SS, FP_SD, FP_PS, FP_PD };
enum fp_arith {
    FP_ADD,
    FP_SUB,
    FP_ADDSUB, /* odd elements added, even ones subtracted */
    FP_MUL,
    FP_DIV,
    FP_NARROW, /* double to single: b is the source */
};

/* No exception is unmasked: operations may run without looking. */
static inline bool fp_all_masked(const struct cpu *cpu)
{
    return (cpu->mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
}
static inline bool fp_x87_all_masked(const struct cpu *cpu)
{
    return (cpu->fpu.cw & FSW_EXC) == FSW_EXC;
}

/*
 * The slow way when something is unmasked: fp_trap_begin(), the operation into a temporary, then
 * fp_trap_end() raises #XM (it does not return then) or lets the result be written. The second
 * form is for a op b that can overflow or underflow.
 */
void fp_trap_begin(struct cpu *cpu);
void fp_trap_end(struct cpu *cpu);
/* n: how many pairs of a and b there are, one with SSE, two with 256 bits. */
void fp_trap_end_arith(struct cpu *cpu, enum fp_lanes lanes, enum fp_arith op, const v128 *a,
                       const v128 *b, unsigned n);
/* Exceptions found by code of our own: sets MXCSR flags and raises #XM if one is unmasked. */
void fp_raise(struct cpu *cpu, uint32_t flags);

#if defined(__x86_64__)
#include "cpu/fp/fp_host.h"
#else
#error "floating point for this host is still to be written: see fp_host.h for what it must offer"
#endif

#endif
