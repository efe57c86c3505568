/* What cpu_regs.c and cpu_regs_load.c share. */
#ifndef VITRINE_CPU_CPU_REGS_KINDS_H
#define VITRINE_CPU_CPU_REGS_KINDS_H

#include "cpu/cpu_regs.h"

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
    REG_KIND_EFER, /* MSRs */
    REG_KIND_MSR,
    REG_KIND_MXCSR,
    REG_KIND_FCW,
    REG_KIND_ST, /* ST(at) */
    REG_KINDS,
};

#define RFLAGS_KNOWN                                                                       \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM | \
     FLAG_AC | FLAG_VIF | FLAG_VIP | FLAG_ID)
#define CR0_KNOWN \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define DR6_KNOWN UINT64_C(0xe00f) /* SDM 3B §17.2 "Debug Registers" */
#define DR7_KNOWN UINT64_C(0xffff23ff)
#define FCW_KNOWN UINT64_C(0x1f3f)

/* ST(i) as the top of the stack is now. */
const union fpreg *cpu_reg_st(const struct cpu *cpu, unsigned i);

#endif
