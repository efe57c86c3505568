/*
 * x87: loads, stores, arithmetic, comparison, register moves, control. SDM 1 §8 "Programming with
 * the x87 FPU"; SDM 2 under each mnemonic. Transcendentals are in op_x87_trans.c, environment and
 * state images in op_x87_env.c.
 *
 * Order in each handler: pending exception, operand from memory (or a probe of where the result
 * goes), last-instruction pointers, stack fault, the operation, its exceptions, write and pop.
 */
#include "cpu/op_x87.h"
#include "cpu/handlers.h"

/* --- bookkeeping --- */

static void drive_ferr(struct cpu *cpu, int level)
{
    world_enter(cpu->world);
    cpu->hooks.ferr(cpu->hooks.opaque, level);
    world_leave(cpu->world);
}

void x87_update_es(struct cpu *cpu)
{
    cpu->fpu.sw = fp_summary(cpu->fpu.sw, cpu->fpu.cw);
    if (!(cpu->cr0 & CR0_NE) && cpu->hooks.ferr)
        drive_ferr(cpu, (cpu->fpu.sw & FSW_ES) != 0);
}

void x87_raise(struct cpu *cpu)
{
    x87_update_es(cpu);
}

/* SDM 3A §9.2.2 "x87 FPU exceptions": native with CR0.NE, through FERR# and IRQ 13 without. */
void x87_pending(struct cpu *cpu)
{
    if (cpu->cr0 & CR0_NE)
        cpu_fault(cpu, VEC_MF, 0, REASON_MF_X87);
    if (cpu->hooks.ferr)
        drive_ferr(cpu, 1);
}

bool x87_stack_fault(struct cpu *cpu, bool overflow)
{
    cpu->fpu.sw |= FSW_IE | FSW_SF;
    if (overflow)
        cpu->fpu.sw |= FSW_C1;
    else
        cpu->fpu.sw &= (uint16_t)~FSW_C1;
    if (cpu->fpu.cw & FSW_IE)
        return true;
    x87_raise(cpu);
    return false;
}

void x87_init(struct cpu *cpu)
{
    cpu->fpu.cw = FCW_INIT;
    cpu->fpu.sw = 0;
    cpu->fpu.used = 0;
    cpu->fpu.fop = 0;
    cpu->fpu.fip = cpu->fpu.fdp = 0;
    cpu->fpu.fcs = cpu->fpu.fds = 0;
    fp_x87_changed(cpu);
}

static inline void clear_c1(struct cpu *cpu)
{
    cpu->fpu.sw &= (uint16_t)~FSW_C1;
}

/* The memory operand's value, with pointers noted once nothing can fault any more. */
#define FETCH(bits, v)                                                                  \
    x87_ready(cpu);                                                                     \
    const uint64_t off = ea_offset(cpu, u);                                             \
    const uint##bits##_t v = load##bits(cpu, x87_linear(cpu, u, off, bits / 8, ACC_R)); \
    x87_note_mem(cpu, u, off)
/* Where a result of n bytes goes: fit to be written, for what is computed leaves flags behind. */
static inline void check_target(struct cpu *cpu, gla_t lin, unsigned n)
{
    if (unlikely(!tlb_hit(&cpu->tlb_cur->line[tlb_index(lin)].wr, lin, n)))
        probe(cpu, lin, n, ACC_W);
}
#define TARGET(n, lin)                                   \
    x87_ready(cpu);                                      \
    const uint64_t off = ea_offset(cpu, u);              \
    const gla_t lin = x87_linear(cpu, u, off, n, ACC_W); \
    if ((n) > 8)                                         \
        x87_check_alignment(cpu, lin, 8);                \
    check_target(cpu, lin, n);                           \
    x87_note_mem(cpu, u, off)

/* Ten bytes, as load128() does it. */
static inline void load80(struct cpu *cpu, gla_t lin, union fpreg *v)
{
    x87_check_alignment(cpu, lin, 8);
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].rd;
    if (likely(tlb_hit(h, lin, 10)))
        memcpy(v, (const void *)(uintptr_t)(lin + h->addend), 10);
    else
        load_bytes(cpu, lin, v, 10);
}
static inline void store80(struct cpu *cpu, gla_t lin, const union fpreg *v)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, 10)))
        memcpy((void *)(uintptr_t)(lin + h->addend), v, 10);
    else
        store_bytes(cpu, lin, v, 10);
}

/* ST(i) for a register form. */
static inline unsigned sti(const struct insn *u)
{
    return u->modrm & 7;
}

/* --- arithmetic --- */

/* Empty operand of an operation that writes ST(dest): the masked response. */
static inline void underflow_to(struct cpu *cpu, unsigned dest, bool pop)
{
    if (!x87_stack_fault(cpu, false))
        return;
    x87_write(cpu, dest, &X87_INDEFINITE);
    if (pop)
        x87_pop(cpu);
}
static inline void finish_to(struct cpu *cpu, unsigned dest, const union fpreg *r, uint16_t sw,
                             bool pop)
{
    if (!x87_report(cpu, sw, FSW_C1, X87_BLOCK_REG))
        return;
    x87_write(cpu, dest, r);
    if (pop)
        x87_pop(cpu);
}

#define ARITH_MEM(name, operation, kind, bits)                                            \
    OP(name)                                                                              \
    {                                                                                     \
        FETCH(bits, m);                                                                   \
        if (x87_empty(cpu, 0)) {                                                          \
            underflow_to(cpu, 0, false);                                                  \
        } else {                                                                          \
            union fpreg r;                                                                \
            const uint16_t sw = fp_x87_##operation##_##kind(cpu, &r, x87_st(cpu, 0), &m); \
            finish_to(cpu, 0, &r, sw, false);                                             \
        }                                                                                 \
    }
/* ST(dest) = ST(dest) OP ST(other) */
#define ARITH_ST(name, operation, dest, other, pop)                                      \
    OP(name)                                                                             \
    {                                                                                    \
        x87_ready(cpu);                                                                  \
        x87_note(cpu, u);                                                                \
        if (x87_empty(cpu, dest) || x87_empty(cpu, other)) {                             \
            underflow_to(cpu, dest, pop);                                                \
        } else {                                                                         \
            union fpreg r;                                                               \
            const uint16_t sw =                                                          \
                fp_x87_##operation##_st(cpu, &r, x87_st(cpu, dest), x87_st(cpu, other)); \
            finish_to(cpu, dest, &r, sw, pop);                                           \
        }                                                                                \
    }
#define ARITH(operation)                                         \
    ARITH_MEM(op_f##operation##_m32, operation, m32, 32)         \
    ARITH_MEM(op_f##operation##_m64, operation, m64, 64)         \
    ARITH_MEM(op_fi##operation##_m16, operation, i16, 16)        \
    ARITH_MEM(op_fi##operation##_m32, operation, i32, 32)        \
    ARITH_ST(op_f##operation##_st, operation, 0, sti(u), false)  \
    ARITH_ST(op_f##operation##_sti, operation, sti(u), 0, false) \
    ARITH_ST(op_f##operation##p, operation, sti(u), 0, true)
ARITH(add)
ARITH(mul)
ARITH(sub)
ARITH(subr)
ARITH(div)
ARITH(divr)

#define UNARY(name)                                                     \
    OP(op_##name)                                                       \
    {                                                                   \
        x87_ready(cpu);                                                 \
        x87_note(cpu, u);                                               \
        if (x87_empty(cpu, 0)) {                                        \
            underflow_to(cpu, 0, false);                                \
        } else {                                                        \
            union fpreg r;                                              \
            const uint16_t sw = fp_x87_##name(cpu, &r, x87_st(cpu, 0)); \
            finish_to(cpu, 0, &r, sw, false);                           \
        }                                                               \
    }
UNARY(fsqrt)
UNARY(frndint)

/* FCHS and FABS touch the sign only: no exception but underflow of the stack. */
#define SIGN(name, expr)                                \
    OP(name)                                            \
    {                                                   \
        x87_ready(cpu);                                 \
        x87_note(cpu, u);                               \
        clear_c1(cpu);                                  \
        if (x87_empty(cpu, 0)) {                        \
            underflow_to(cpu, 0, false);                \
        } else {                                        \
            const uint16_t sexp = x87_st(cpu, 0)->sexp; \
            x87_st(cpu, 0)->sexp = (uint16_t)(expr);    \
        }                                               \
    }
SIGN(op_fchs, sexp ^ 0x8000)
SIGN(op_fabs, sexp & 0x7fff)

/* --- comparison --- */

#define CC_COMPARE (FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)

static inline void pop_n(struct cpu *cpu, unsigned n)
{
    for (; n; n--)
        x87_pop(cpu);
}
/* An empty operand compares as unordered. */
static inline void underflow_compare(struct cpu *cpu, unsigned pops)
{
    cpu->fpu.sw |= FSW_C0 | FSW_C2 | FSW_C3;
    if (x87_stack_fault(cpu, false))
        pop_n(cpu, pops);
}
/* With something unmasked a comparison may not come to setting them. */
static inline void offer_cc(const struct cpu *cpu)
{
    if (unlikely(!fp_x87_all_masked(cpu)))
        fp_x87_set_cc(cpu->fpu.sw);
}
static inline void finish_compare(struct cpu *cpu, uint16_t sw, unsigned pops)
{
    if (x87_report(cpu, sw, CC_COMPARE, X87_BLOCK_REG))
        pop_n(cpu, pops);
}

#define COMPARE_MEM(name, kind, bits, pops)                                        \
    OP(name)                                                                       \
    {                                                                              \
        FETCH(bits, m);                                                            \
        if (x87_empty(cpu, 0)) {                                                   \
            underflow_compare(cpu, pops);                                          \
        } else {                                                                   \
            offer_cc(cpu);                                                         \
            finish_compare(cpu, fp_x87_com_##kind(cpu, x87_st(cpu, 0), &m), pops); \
        }                                                                          \
    }
COMPARE_MEM(op_fcom_m32, m32, 32, 0)
COMPARE_MEM(op_fcomp_m32, m32, 32, 1)
COMPARE_MEM(op_fcom_m64, m64, 64, 0)
COMPARE_MEM(op_fcomp_m64, m64, 64, 1)
COMPARE_MEM(op_ficom_m16, i16, 16, 0)
COMPARE_MEM(op_ficomp_m16, i16, 16, 1)
COMPARE_MEM(op_ficom_m32, i32, 32, 0)
COMPARE_MEM(op_ficomp_m32, i32, 32, 1)

#define COMPARE_ST(name, operation, other, pops)                                                  \
    OP(name)                                                                                      \
    {                                                                                             \
        x87_ready(cpu);                                                                           \
        x87_note(cpu, u);                                                                         \
        if (x87_empty(cpu, 0) || x87_empty(cpu, other)) {                                         \
            underflow_compare(cpu, pops);                                                         \
        } else {                                                                                  \
            offer_cc(cpu);                                                                        \
            const uint16_t sw = fp_x87_##operation##_st(cpu, x87_st(cpu, 0), x87_st(cpu, other)); \
            finish_compare(cpu, sw, pops);                                                        \
        }                                                                                         \
    }
COMPARE_ST(op_fcom_st, com, sti(u), 0)
COMPARE_ST(op_fcomp_st, com, sti(u), 1)
COMPARE_ST(op_fcompp, com, 1, 2)
COMPARE_ST(op_fucom, ucom, sti(u), 0)
COMPARE_ST(op_fucomp, ucom, sti(u), 1)
COMPARE_ST(op_fucompp, ucom, 1, 2)

OP(op_ftst)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    if (x87_empty(cpu, 0)) {
        underflow_compare(cpu, 0);
    } else {
        offer_cc(cpu);
        finish_compare(cpu, fp_x87_tst(cpu, x87_st(cpu, 0)), 0);
    }
}

/*
 * FCOMI family: the result in ZF, PF, CF; OF, SF, AF cleared; C0, C2, C3 untouched. Unordered is
 * reported even if #IA is unmasked, by FCOM as well: so APM 5 and AMD family 1Ah; SDM 2A "FCOM" has
 * the flags untouched then.
 */
static inline void set_eflags(struct cpu *cpu, uint16_t cc)
{
    cpu->flag_z = !(cc & FSW_C3);
    cpu->flag_sp = !(cc & FSW_C2);
    cpu->flag_aux = cc & FSW_C0 ? AUX_CF : 0;
}
#define COMPARE_I(name, operation, pops)                                                       \
    OP(name)                                                                                   \
    {                                                                                          \
        x87_ready(cpu);                                                                        \
        x87_note(cpu, u);                                                                      \
        if (x87_empty(cpu, 0) || x87_empty(cpu, sti(u))) {                                     \
            set_eflags(cpu, FSW_C0 | FSW_C2 | FSW_C3);                                         \
            if (x87_stack_fault(cpu, false))                                                   \
                pop_n(cpu, pops);                                                              \
            return;                                                                            \
        }                                                                                      \
        const uint16_t sw = fp_x87_##operation##_st(cpu, x87_st(cpu, 0), x87_st(cpu, sti(u))); \
        set_eflags(cpu, sw);                                                                   \
        if (x87_report(cpu, sw, FSW_C1, X87_BLOCK_REG))                                        \
            pop_n(cpu, pops);                                                                  \
    }
COMPARE_I(op_fcomi, com, 0)
COMPARE_I(op_fcomip, com, 1)
COMPARE_I(op_fucomi, ucom, 0)
COMPARE_I(op_fucomip, ucom, 1)

/* SDM 2A "FXAM" table 3-30: class in C3, C2, C0; sign in C1, of empty registers too. */
OP(op_fxam)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    const union fpreg *r = x87_st(cpu, 0);
    const unsigned exponent = r->sexp & 0x7fff;
    const bool integer_bit = r->mant >> 63;
    uint16_t cc;
    if (x87_empty(cpu, 0))
        cc = FSW_C3 | FSW_C0;
    else if (exponent == 0)
        cc = r->mant ? FSW_C3 | FSW_C2 : FSW_C3;
    else if (!integer_bit)
        cc = 0;
    else if (exponent == 0x7fff)
        cc = r->mant << 1 ? FSW_C0 : FSW_C2 | FSW_C0;
    else
        cc = FSW_C2;
    if (r->sexp & 0x8000)
        cc |= FSW_C1;
    cpu->fpu.sw = (uint16_t)((cpu->fpu.sw & ~FSW_CC) | cc);
}

/* --- loads --- */

/* A denormal number is pushed even where its exception is unmasked; SDM 2A "FLD" says so in a note,
 * against SDM 1 §8.5.2 "Denormal Operand Exception (#D)", and a processor of AMD's does. */
#define LOAD_FP(bits)                                        \
    OP(op_fld_m##bits)                                       \
    {                                                        \
        FETCH(bits, m);                                      \
        if (!x87_can_push(cpu))                              \
            return;                                          \
        union fpreg r;                                       \
        const uint16_t sw = fp_x87_fld_m##bits(cpu, &r, &m); \
        if (x87_report(cpu, sw, FSW_C1, FSW_IE))             \
            x87_push(cpu, &r);                               \
    }
LOAD_FP(32)
LOAD_FP(64)

#define LOAD_INT(bits)                    \
    OP(op_fild_m##bits)                   \
    {                                     \
        FETCH(bits, m);                   \
        if (!x87_can_push(cpu))           \
            return;                       \
        union fpreg r;                    \
        fp_x87_fild_i##bits(cpu, &r, &m); \
        clear_c1(cpu);                    \
        x87_push(cpu, &r);                \
    }
LOAD_INT(16)
LOAD_INT(32)
LOAD_INT(64)

/* Ten bytes at the memory operand. */
#define FETCH80(v)                                       \
    x87_ready(cpu);                                      \
    const uint64_t off = ea_offset(cpu, u);              \
    union fpreg v = {.mant = 0};                         \
    load80(cpu, x87_linear(cpu, u, off, 10, ACC_R), &v); \
    x87_note_mem(cpu, u, off)

OP(op_fld_m80)
{
    FETCH80(m);
    if (!x87_can_push(cpu))
        return;
    clear_c1(cpu);
    x87_push(cpu, &m);
}
OP(op_fbld)
{
    FETCH80(m);
    if (!x87_can_push(cpu))
        return;
    union fpreg r;
    fp_x87_fbld(cpu, &r, &m);
    clear_c1(cpu);
    x87_push(cpu, &r);
}
OP(op_fld_st)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    if (x87_empty(cpu, sti(u))) {
        if (x87_stack_fault(cpu, false))
            x87_push(cpu, &X87_INDEFINITE);
        return;
    }
    const union fpreg r = *x87_st(cpu, sti(u));
    if (!x87_can_push(cpu))
        return;
    clear_c1(cpu);
    x87_push(cpu, &r);
}
#define LOAD_CONST(name)        \
    OP(op_##name)               \
    {                           \
        x87_ready(cpu);         \
        x87_note(cpu, u);       \
        if (!x87_can_push(cpu)) \
            return;             \
        union fpreg r;          \
        fp_x87_##name(&r);      \
        clear_c1(cpu);          \
        x87_push(cpu, &r);      \
    }
LOAD_CONST(fld1)
LOAD_CONST(fldl2t)
LOAD_CONST(fldl2e)
LOAD_CONST(fldpi)
LOAD_CONST(fldlg2)
LOAD_CONST(fldln2)
LOAD_CONST(fldz)

/* --- stores --- */

/* convert(cpu, &m, ST(0)); an empty ST(0) stores the indefinite of the format. */
#define STORE(name, type, convert, indefinite, pop, write)                                      \
    OP(name)                                                                                    \
    {                                                                                           \
        TARGET(sizeof(type) == 16 ? 10 : sizeof(type), lin);                                    \
        type m = indefinite;                                                                    \
        if (x87_empty(cpu, 0)) {                                                                \
            if (!x87_stack_fault(cpu, false))                                                   \
                return;                                                                         \
        } else if (!x87_report(cpu, convert(cpu, &m, x87_st(cpu, 0)), FSW_C1, X87_BLOCK_MEM)) { \
            return;                                                                             \
        }                                                                                       \
        write;                                                                                  \
        if (pop)                                                                                \
            x87_pop(cpu);                                                                       \
    }
#define INT16_INDEFINITE UINT16_C(0x8000)
#define INT32_INDEFINITE UINT32_C(0x80000000)
#define INT64_INDEFINITE UINT64_C(0x8000000000000000)
#define BCD_INDEFINITE   ((union fpreg){.mant = UINT64_C(0xc000000000000000), .sexp = 0xffff})
STORE(op_fst_m32, uint32_t, fp_x87_fst_m32, UINT32_C(0xffc00000), false, store32(cpu, lin, m))
STORE(op_fstp_m32, uint32_t, fp_x87_fst_m32, UINT32_C(0xffc00000), true, store32(cpu, lin, m))
STORE(op_fst_m64, uint64_t, fp_x87_fst_m64, UINT64_C(0xfff8000000000000), false,
      store64(cpu, lin, m))
STORE(op_fstp_m64, uint64_t, fp_x87_fst_m64, UINT64_C(0xfff8000000000000), true,
      store64(cpu, lin, m))
STORE(op_fist_m16, uint16_t, fp_x87_fist_i16, INT16_INDEFINITE, false, store16(cpu, lin, m))
STORE(op_fistp_m16, uint16_t, fp_x87_fist_i16, INT16_INDEFINITE, true, store16(cpu, lin, m))
STORE(op_fist_m32, uint32_t, fp_x87_fist_i32, INT32_INDEFINITE, false, store32(cpu, lin, m))
STORE(op_fistp_m32, uint32_t, fp_x87_fist_i32, INT32_INDEFINITE, true, store32(cpu, lin, m))
STORE(op_fistp_m64, uint64_t, fp_x87_fist_i64, INT64_INDEFINITE, true, store64(cpu, lin, m))
STORE(op_fisttp_m16, uint16_t, fp_x87_fistt_i16, INT16_INDEFINITE, true, store16(cpu, lin, m))
STORE(op_fisttp_m32, uint32_t, fp_x87_fistt_i32, INT32_INDEFINITE, true, store32(cpu, lin, m))
STORE(op_fisttp_m64, uint64_t, fp_x87_fistt_i64, INT64_INDEFINITE, true, store64(cpu, lin, m))
STORE(op_fbstp, union fpreg, fp_x87_fbst, BCD_INDEFINITE, true, store80(cpu, lin, &m))

static inline uint16_t move80(struct cpu *cpu __attribute__((unused)), union fpreg *m,
                              const union fpreg *a)
{
    *m = *a;
    return 0;
}
STORE(op_fstp_m80, union fpreg, move80, X87_INDEFINITE, true, store80(cpu, lin, &m))

static inline void store_st(struct cpu *cpu, const struct insn *u, bool pop)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    union fpreg r = X87_INDEFINITE;
    if (x87_empty(cpu, 0)) {
        if (!x87_stack_fault(cpu, false))
            return;
    } else {
        r = *x87_st(cpu, 0);
        clear_c1(cpu);
    }
    x87_write(cpu, sti(u), &r);
    if (pop)
        x87_pop(cpu);
}
OP(op_fst_st)
{
    store_st(cpu, u, false);
}
OP(op_fstp_st)
{
    store_st(cpu, u, true);
}
/* D9 D8+i, undocumented twin of FSTP: with an empty ST(0) it only pops. */
OP(op_fstp1)
{
    if (!x87_empty(cpu, 0)) {
        store_st(cpu, u, true);
        return;
    }
    x87_ready(cpu);
    x87_note(cpu, u);
    clear_c1(cpu);
    x87_pop(cpu);
}

/* --- register moves --- */

OP(op_fxch)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    clear_c1(cpu);
    const bool empty0 = x87_empty(cpu, 0), empty_i = x87_empty(cpu, sti(u));
    if ((empty0 || empty_i) && !x87_stack_fault(cpu, false))
        return;
    const union fpreg a = empty0 ? X87_INDEFINITE : *x87_st(cpu, 0);
    const union fpreg b = empty_i ? X87_INDEFINITE : *x87_st(cpu, sti(u));
    x87_write(cpu, 0, &b);
    x87_write(cpu, sti(u), &a);
}

#define FCMOV(name, condition)                             \
    OP(name)                                               \
    {                                                      \
        x87_ready(cpu);                                    \
        x87_note(cpu, u);                                  \
        if (x87_empty(cpu, 0) || x87_empty(cpu, sti(u))) { \
            underflow_to(cpu, 0, false);                   \
        } else if (condition) {                            \
            const union fpreg r = *x87_st(cpu, sti(u));    \
            x87_write(cpu, 0, &r);                         \
        }                                                  \
    }
FCMOV(op_fcmovb, flag_cf(cpu))
FCMOV(op_fcmove, flag_zf(cpu))
FCMOV(op_fcmovbe, flag_cf(cpu) || flag_zf(cpu))
FCMOV(op_fcmovu, flag_pf(cpu))
FCMOV(op_fcmovnb, !flag_cf(cpu))
FCMOV(op_fcmovne, !flag_zf(cpu))
FCMOV(op_fcmovnbe, !flag_cf(cpu) && !flag_zf(cpu))
FCMOV(op_fcmovnu, !flag_pf(cpu))

OP(op_ffree)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    clear_c1(cpu);
    x87_free(cpu, sti(u));
}
/* DF C0+i, undocumented twin of FFREE that pops: in Intel's 287 manuals, and every CPU since. */
OP(op_ffreep)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    clear_c1(cpu);
    x87_free(cpu, sti(u));
    x87_pop(cpu);
}
OP(op_fincstp)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    clear_c1(cpu);
    x87_set_top(cpu, x87_top(cpu) + 1);
}
OP(op_fdecstp)
{
    x87_ready(cpu);
    x87_note(cpu, u);
    clear_c1(cpu);
    x87_set_top(cpu, x87_top(cpu) - 1);
}
OP(op_fnop)
{
    x87_ready(cpu);
    x87_note(cpu, u);
}

/* --- control: these leave the last-instruction pointers alone --- */

/* FNENI, FNDISI (8087), FNSETPM (287): no operation since the 387. SDM 1 §18.20 */
OP(op_fnop_8087)
{
}
OP(op_fninit)
{
    x87_init(cpu);
    x87_update_es(cpu);
}
OP(op_fnclex)
{
    cpu->fpu.sw &= (uint16_t) ~(FSW_EXC | FSW_SF);
    x87_update_es(cpu);
    fp_x87_changed(cpu);
}
OP(op_fldcw)
{
    x87_ready(cpu);
    cpu->fpu.cw = fp_valid_cw(load16(cpu, ea_linear(cpu, u, 2, ACC_R)));
    x87_update_es(cpu);
    fp_x87_changed(cpu);
}
OP(op_fnstcw)
{
    store16(cpu, ea_linear(cpu, u, 2, ACC_W), cpu->fpu.cw);
}
OP(op_fnstsw)
{
    store16(cpu, ea_linear(cpu, u, 2, ACC_W), cpu->fpu.sw);
}
OP(op_fnstsw_ax)
{
    reg_write(cpu, REG_RAX, cpu->fpu.sw, 2);
}

/* WAIT is outside the rule that CR0.EM and TS turn x87 off: it faults only with MP and TS set. */
OP(op_fwait)
{
    if ((cpu->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
    x87_ready(cpu);
}

/* What stands in for x87 and MMX handlers in blocks decoded under MODE_NO_X87. MMX treats CR0.EM
 * as #UD: SDM 3A §12.1 "Emulation of the MMX Instruction Set". */
OP(op_x87_off)
{
    if (cpu->cr0 & CR0_EM) {
        if (u->row->attr & A_MMX)
            cpu_ud(cpu, REASON_UD_SSE);
        cpu_fault(cpu, VEC_NM, 0, REASON_NM_EM);
    }
    cpu_fault(cpu, VEC_NM, 0, REASON_NM_TS);
}
