/*
 * Building blocks of the hot integer handlers: operand forms, address forms, flags of a result.
 *
 * Forms:   rr register, register    ri register, immediate    rm register, memory
 *          mr memory, register      mi memory, immediate      r, m one operand
 * Address: f  64-bit flat: the sum is the linear address      g  everything else (ea_linear)
 * Widths:  8, 16, 32, 64. Byte registers are named by their offset in cpu->r, since AH is one.
 */
#ifndef VITRINE_CPU_OP_INT_H
#define VITRINE_CPU_OP_INT_H

#include "cpu/exec.h"

struct rm_forms { /* [address form f, g][width] */
    insn_fn *fn[2][4];
};
struct alu_forms {
    insn_fn *rr[4], *ri[4];
    struct rm_forms rm, mr, mi;
};
struct unary_forms {
    insn_fn *r[4];
    struct rm_forms m;
};
struct shift_forms { /* by CL and by immediate (D0/D1 included) */
    struct unary_forms cl, imm;
};

extern const struct alu_forms forms_add, forms_or, forms_adc, forms_sbb, forms_and, forms_sub,
    forms_xor, forms_cmp, forms_test, forms_mov;
extern const struct unary_forms forms_inc, forms_dec, forms_neg, forms_not;
extern const struct shift_forms forms_rol, forms_ror, forms_rcl, forms_rcr, forms_shl, forms_shr,
    forms_sar;
/* MOVZX and MOVSX: [source width 8, 16, 32][destination width 16, 32, 64]; memory by address form
 */
struct extend_forms {
    insn_fn *rr[3][3];
    insn_fn *rm[2][3][3];
};
extern const struct extend_forms forms_movzx, forms_movsx;
extern insn_fn *const lea_forms[2][3]; /* [asize 8, other][osize 16, 32, 64] */
extern insn_fn *const jcc_forms[16];
extern insn_fn *const setcc_r_forms[16];                           /* byte register */
extern insn_fn *const cmov_rr_forms[2][16];                        /* [32, 64] */
extern insn_fn *const cmp_jcc_rr[3][16], *const cmp_jcc_ri[3][16]; /* [8, 32, 64] fused pairs */
extern insn_fn *const cmp_jcc_rm[3][16], *const cmp_jcc_mi[3][16]; /* address form f */
extern insn_fn *const test_jcc_rr[3][16], *const test_jcc_ri[3][16];
/* MOVS, STOS, LODS without REP in flat modes; NULL: they have no special form here. */
insn_fn *bind_single_string(struct insn *u, uint32_t mode);

insn_fn jmp_direct, call_direct_64, call_direct_g, ret_64, ret_g, push_r64, push_i64, pop_r64;

/* The linear address of u's memory operand in address form f. */
static inline gla_t ea_f(const struct cpu *cpu, const struct insn *u)
{
    return cpu->r[u->base] + (cpu->r[u->xindex] << u->scale) + (uint64_t)u->disp +
           cpu->seg[u->seg].base;
}
/* In form g: flat 32-bit code inline, the rest with every check. */
static inline gla_t ea_g(struct cpu *cpu, const struct insn *u, unsigned size, enum access acc)
{
    if (likely(u->seg == SEG_FLAT && u->asize == 4 && !(cpu->mode & MODE_ALIGN)))
        return (uint32_t)(cpu->r[u->base] + (cpu->r[u->xindex] << u->scale) + (uint64_t)u->disp);
    return ea_linear(cpu, u, size, acc);
}

/* Host address of an operand to be read, then written; NULL: use load and store. */
static inline void *rmw_host(struct cpu *cpu, gla_t lin, unsigned size)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, size)))
        return (void *)(uintptr_t)(lin + h->addend);
    return rmw_slow(cpu, lin, size);
}

/* Conditions in encoding order (SDM 2D appendix B.1.4.7). */
static inline bool cond(const struct cpu *cpu, unsigned cc)
{
    bool v;
    switch (cc >> 1) {
    case 0:
        v = flag_of(cpu);
        break;
    case 1:
        v = flag_cf(cpu);
        break;
    case 2:
        v = flag_zf(cpu);
        break;
    case 3:
        v = (unsigned)flag_cf(cpu) | flag_zf(cpu);
        break;
    case 4:
        v = flag_sf(cpu);
        break;
    case 5:
        v = flag_pf(cpu);
        break;
    case 6:
        v = flag_sf(cpu) != flag_of(cpu);
        break;
    default:
        v = (unsigned)(flag_sf(cpu) != flag_of(cpu)) | flag_zf(cpu);
        break;
    }
    return v != (cc & 1);
}

/* Results of n bits with their carries (flags.h). */
#define DEFINE_SET_FLAGS(n)                                                                     \
    static inline void set_flags##n(struct cpu *cpu, uint##n##_t r, uint##n##_t carries)        \
    {                                                                                           \
        cpu->flag_z = r;                                                                        \
        cpu->flag_sp = (uint64_t)(int64_t)(int##n##_t)r;                                        \
        cpu->flag_aux =                                                                         \
            n == 64 ? carries : (uint64_t)carries | (uint64_t)carries << ((64 - n) & 63);       \
    }                                                                                           \
    static inline void set_logic##n(struct cpu *cpu, uint##n##_t r)                             \
    {                                                                                           \
        cpu->flag_z = r;                                                                        \
        cpu->flag_sp = (uint64_t)(int64_t)(int##n##_t)r;                                        \
        cpu->flag_aux = 0;                                                                      \
    }                                                                                           \
    static inline uint##n##_t do_add##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)          \
    {                                                                                           \
        const uint##n##_t r = a + b;                                                            \
        set_flags##n(cpu, r, (a & b) | ((a | b) & ~r));                                         \
        return r;                                                                               \
    }                                                                                           \
    static inline uint##n##_t do_adc##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)          \
    {                                                                                           \
        const uint##n##_t r = a + b + flag_cf(cpu);                                             \
        set_flags##n(cpu, r, (a & b) | ((a | b) & ~r));                                         \
        return r;                                                                               \
    }                                                                                           \
    static inline uint##n##_t do_sub##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)          \
    {                                                                                           \
        const uint##n##_t r = a - b;                                                            \
        set_flags##n(cpu, r, (~a & b) | ((~a | b) & r));                                        \
        return r;                                                                               \
    }                                                                                           \
    static inline uint##n##_t do_sbb##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)          \
    {                                                                                           \
        const uint##n##_t r = a - b - flag_cf(cpu);                                             \
        set_flags##n(cpu, r, (~a & b) | ((~a | b) & r));                                        \
        return r;                                                                               \
    }                                                                                           \
    static inline uint##n##_t do_and##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)          \
    {                                                                                           \
        set_logic##n(cpu, a &b);                                                                \
        return a & b;                                                                           \
    }                                                                                           \
    static inline uint##n##_t do_or##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)           \
    {                                                                                           \
        set_logic##n(cpu, a | b);                                                               \
        return a | b;                                                                           \
    }                                                                                           \
    static inline uint##n##_t do_xor##n(struct cpu *cpu, uint##n##_t a, uint##n##_t b)          \
    {                                                                                           \
        set_logic##n(cpu, a ^ b);                                                               \
        return a ^ b;                                                                           \
    }                                                                                           \
    /* INC and DEC leave CF: the toggle keeps OF, which is bit 63 ^ bit 62 */                   \
    static inline uint##n##_t do_inc##n(struct cpu *cpu, uint##n##_t a)                         \
    {                                                                                           \
        const uint64_t old = cpu->flag_aux;                                                     \
        const uint##n##_t r = do_add##n(cpu, a, 1);                                             \
        cpu->flag_aux ^= AUX_CF & -((cpu->flag_aux ^ old) >> 63);                               \
        return r;                                                                               \
    }                                                                                           \
    static inline uint##n##_t do_dec##n(struct cpu *cpu, uint##n##_t a)                         \
    {                                                                                           \
        const uint64_t old = cpu->flag_aux;                                                     \
        const uint##n##_t r = do_sub##n(cpu, a, 1);                                             \
        cpu->flag_aux ^= AUX_CF & -((cpu->flag_aux ^ old) >> 63);                               \
        return r;                                                                               \
    }                                                                                           \
    static inline uint##n##_t do_neg##n(struct cpu *cpu, uint##n##_t a)                         \
    {                                                                                           \
        return do_sub##n(cpu, 0, a);                                                            \
    }                                                                                           \
    static inline uint##n##_t do_not##n(struct cpu *cpu __attribute__((unused)), uint##n##_t a) \
    {                                                                                           \
        return (uint##n##_t) ~a;                                                                \
    }
DEFINE_SET_FLAGS(8)
DEFINE_SET_FLAGS(16)
DEFINE_SET_FLAGS(32)
DEFINE_SET_FLAGS(64)
#undef DEFINE_SET_FLAGS

/* At a size known when it runs: flags and result. */
static inline uint64_t do_sub_n(struct cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    switch (size) {
    case 1:
        return do_sub8(cpu, (uint8_t)a, (uint8_t)b);
    case 2:
        return do_sub16(cpu, (uint16_t)a, (uint16_t)b);
    case 4:
        return do_sub32(cpu, (uint32_t)a, (uint32_t)b);
    default:
        return do_sub64(cpu, a, b);
    }
}
static inline uint64_t do_add_n(struct cpu *cpu, uint64_t a, uint64_t b, unsigned size)
{
    switch (size) {
    case 1:
        return do_add8(cpu, (uint8_t)a, (uint8_t)b);
    case 2:
        return do_add16(cpu, (uint16_t)a, (uint16_t)b);
    case 4:
        return do_add32(cpu, (uint32_t)a, (uint32_t)b);
    default:
        return do_add64(cpu, a, b);
    }
}

/* Registers at a width; byte registers by offset. */
static inline uint8_t rd8(const struct cpu *cpu, unsigned off)
{
    return ((const uint8_t *)cpu->r)[off];
}
static inline void wr8(struct cpu *cpu, unsigned off, uint8_t v)
{
    ((uint8_t *)cpu->r)[off] = v;
}
static inline uint16_t rd16(const struct cpu *cpu, unsigned n)
{
    return (uint16_t)cpu->r[n];
}
static inline void wr16(struct cpu *cpu, unsigned n, uint16_t v)
{
    memcpy(&cpu->r[n], &v, sizeof v);
}
static inline uint32_t rd32(const struct cpu *cpu, unsigned n)
{
    return (uint32_t)cpu->r[n];
}
static inline void wr32(struct cpu *cpu, unsigned n, uint32_t v)
{
    cpu->r[n] = v;
}
static inline uint64_t rd64(const struct cpu *cpu, unsigned n)
{
    return cpu->r[n];
}
static inline void wr64(struct cpu *cpu, unsigned n, uint64_t v)
{
    cpu->r[n] = v;
}

/* X(0) to X(15), for the sixteen conditions; the names of a handler at the four widths. */
#define CCS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define WIDTHS(name)                          \
    {                                         \
        name##8, name##16, name##32, name##64 \
    }
#define WIDTHS_A(name, A)                                 \
    {                                                     \
        name##8##A, name##16##A, name##32##A, name##64##A \
    }

#endif
