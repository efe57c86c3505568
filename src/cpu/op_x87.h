/*
 * The x87 register stack and the bookkeeping every x87 instruction shares. SDM 1 §8.1 "x87 FPU
 * Execution Environment". Arithmetic is in fp/; this knows stack, tags, pointers and exceptions.
 */
#ifndef VITRINE_CPU_OP_X87_H
#define VITRINE_CPU_OP_X87_H

#include "cpu/exec.h"
#include "cpu/fp/fp.h"

/* Rows of the x87 tables carry the low three bits of their opcode byte (D8-DF), for FOP. */
#define A_ESC_SHIFT 24
#define A_ESC_MASK  7

static inline unsigned x87_top(const struct cpu *cpu)
{
    return (cpu->fpu.sw >> FSW_TOP_SHIFT) & 7;
}
static inline void x87_set_top(struct cpu *cpu, unsigned top)
{
    cpu->fpu.sw = (uint16_t)((cpu->fpu.sw & ~FSW_TOP) | (top & 7) << FSW_TOP_SHIFT);
}
static inline unsigned x87_index(const struct cpu *cpu, unsigned i)
{
    return (x87_top(cpu) + i) & 7;
}
static inline union fpreg *x87_st(struct cpu *cpu, unsigned i)
{
    return &cpu->fpu.r[x87_index(cpu, i)];
}
static inline bool x87_empty(const struct cpu *cpu, unsigned i)
{
    return !((cpu->fpu.used >> x87_index(cpu, i)) & 1);
}
static inline void x87_write(struct cpu *cpu, unsigned i, const union fpreg *v)
{
    union fpreg *r = x87_st(cpu, i);
    r->mant = v->mant;
    r->sexp = v->sexp;
    cpu->fpu.used |= (uint8_t)(1u << x87_index(cpu, i));
}
static inline void x87_free(struct cpu *cpu, unsigned i)
{
    cpu->fpu.used &= (uint8_t) ~(1u << x87_index(cpu, i));
}
static inline void x87_pop(struct cpu *cpu)
{
    x87_free(cpu, 0);
    x87_set_top(cpu, x87_top(cpu) + 1);
}
static inline void x87_push(struct cpu *cpu, const union fpreg *v)
{
    x87_set_top(cpu, x87_top(cpu) - 1);
    x87_write(cpu, 0, v);
}

/* The QNaN floating-point indefinite. SDM 1 table 4-3 */
#define X87_INDEFINITE ((union fpreg){.mant = UINT64_C(0xc000000000000000), .sexp = 0xffff})

/* A waiting instruction met an unmasked exception: #MF, or with CR0.NE clear the FERR# pin, whose
 * interrupt comes before the next instruction; then (as with IGNNE#) it goes on. */
__attribute__((cold, noinline)) void x87_pending(struct cpu *cpu);
/* Works out ES and B from the flags and masks, and drives FERR#. */
__attribute__((cold, noinline)) void x87_update_es(struct cpu *cpu);
/* FNINIT */
void x87_init(struct cpu *cpu);
/* Full tag word from contents. SDM 1 §8.1.7 */
uint16_t x87_tag_word(const struct cpu *cpu);
/* Tags as FXSAVE has them from a full tag word. */
uint8_t x87_used_from_tags(uint16_t tags);

/* Every waiting instruction begins with this. */
static inline void x87_ready(struct cpu *cpu)
{
    if (unlikely(cpu->fpu.sw & FSW_ES))
        x87_pending(cpu);
}

/* The low bits of its opcode byte and ModRM: FOP */
static inline unsigned x87_opcode(const struct insn *u)
{
    return ((u->row->attr >> A_ESC_SHIFT) & A_ESC_MASK) << 8 | u->modrm;
}
/* SEG_FLAT no longer says which: the default of the base register, which an override to another
 * flat segment is not told apart from */
static inline unsigned x87_data_segment(const struct insn *u)
{
    return u->seg != SEG_FLAT                                          ? u->seg
           : !u->seg_ovr && (u->base == REG_RSP || u->base == REG_RBP) ? SEG_SS
                                                                       : SEG_DS;
}
/* Last-instruction pointers, kept by all but control instructions. SDM 1 §8.1.8 */
static inline void x87_note(struct cpu *cpu, const struct insn *u)
{
    cpu->fpu.fop = (uint16_t)x87_opcode(u);
    cpu->fpu.fip = cpu_cur_rip(cpu);
    cpu->fpu.fcs = cpu->seg[SEG_CS].sel;
}
static inline void x87_note_mem(struct cpu *cpu, const struct insn *u, uint64_t off)
{
    x87_note(cpu, u);
    cpu->fpu.fdp = off;
    cpu->fpu.fds = cpu->seg[x87_data_segment(u)].sel;
}

/* seg_linear() of a memory operand at off, flat addresses in line. */
static inline gla_t x87_linear(struct cpu *cpu, const struct insn *u, uint64_t off, unsigned size,
                               enum access acc)
{
    if (likely(u->seg == SEG_FLAT && !(cpu->mode & MODE_ALIGN)))
        return off;
    return seg_linear(cpu, u->seg, off, size, acc);
}

/* #AC for operands of which seg_linear() does not know what they are to be aligned to: those longer
 * than 8 bytes. SDM 3A table 6-7 */
static inline void x87_check_alignment(struct cpu *cpu, gla_t lin, unsigned align)
{
    if (unlikely((cpu->mode & MODE_ALIGN) && (lin & (align - 1))))
        alignment_fault(cpu, lin);
}

/* An unmasked exception was recorded. */
__attribute__((cold, noinline)) void x87_raise(struct cpu *cpu);

/*
 * Takes over what the unit reported in sw: its exception flags and, of the condition codes, those
 * in cc. True: the result counts. False: an unmasked exception of a kind in blocking forbids it.
 */
static inline bool x87_report(struct cpu *cpu, uint16_t sw, uint16_t cc, uint16_t blocking)
{
    const uint16_t unmasked = sw & FSW_EXC & (uint16_t)~cpu->fpu.cw;
    if (likely(!unmasked)) {
        cpu->fpu.sw = (uint16_t)((cpu->fpu.sw & ~cc) | (sw & (cc | FSW_EXC)));
        return true;
    }
    const bool blocked = unmasked & blocking;
    cpu->fpu.sw = (uint16_t)((cpu->fpu.sw & ~cc) | (sw & (cc | FSW_EXC)));
    x87_raise(cpu);
    return !blocked;
}
enum {
    X87_BLOCK_REG = FSW_IE | FSW_DE | FSW_ZE,                   /* result to a register */
    X87_BLOCK_MEM = FSW_IE | FSW_DE | FSW_ZE | FSW_OE | FSW_UE, /* result to memory */
};

/* Stack overflow (C1 set) or underflow. True if masked: the indefinite is to be delivered. */
__attribute__((cold, noinline)) bool x87_stack_fault(struct cpu *cpu, bool overflow);

/* Pushes the result of a load; the caller knows the slot to be empty. */
static inline bool x87_can_push(struct cpu *cpu)
{
    if (likely(x87_empty(cpu, 7)))
        return true;
    if (x87_stack_fault(cpu, true))
        x87_push(cpu, &X87_INDEFINITE);
    return false;
}

#endif
