/*
 * The host's SSE2 and x87 as the guest's. SSE2 and x87 only: every x86-64 host has them, and what
 * later extensions add is composed of these (op_sse_fp.c), so the guest never sees the host's age.
 *
 * All arithmetic is volatile assembly: the compiler must neither fold it nor move it across a
 * change of the control registers.
 */
#ifndef VITRINE_CPU_FP_FP_HOST_H
#define VITRINE_CPU_FP_FP_HOST_H

#include "cpu/vec.h"

/* --- SSE: v128 fp_OP(a, b), a being the destination operand as it was --- */
#define FP_VV(name)                                           \
    static inline v128 fp_##name(v128 a, v128 b)              \
    {                                                         \
        __asm__ volatile(#name " %1, %0" : "+x"(a) : "x"(b)); \
        return a;                                             \
    }
#define FP_VV4(stem) FP_VV(stem##ps) FP_VV(stem##pd) FP_VV(stem##ss) FP_VV(stem##sd)
FP_VV4(add)
FP_VV4(sub)
FP_VV4(mul)
FP_VV4(div)
FP_VV4(min)
FP_VV4(max)
FP_VV4(sqrt)
FP_VV(rcpps)
FP_VV(rcpss)
FP_VV(rsqrtps)
FP_VV(rsqrtss)
FP_VV(cvtps2pd)
FP_VV(cvtpd2ps)
FP_VV(cvtss2sd)
FP_VV(cvtsd2ss)
FP_VV(cvtdq2ps)
FP_VV(cvtps2dq)
FP_VV(cvttps2dq)
FP_VV(cvtdq2pd)
FP_VV(cvtpd2dq)
FP_VV(cvttpd2dq)
#undef FP_VV4
#undef FP_VV

/* CMPccxx: predicate 0-7 (eq lt le unord neq nlt nle ord). SDM 2A "CMPPD" table 3-1 */
#define FP_CMP(type)                                                        \
    static inline v128 fp_cmp##type(v128 a, v128 b, unsigned predicate)     \
    {                                                                       \
        switch (predicate & 7) {                                            \
        case 0:                                                             \
            __asm__ volatile("cmp" #type " $0, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        case 1:                                                             \
            __asm__ volatile("cmp" #type " $1, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        case 2:                                                             \
            __asm__ volatile("cmp" #type " $2, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        case 3:                                                             \
            __asm__ volatile("cmp" #type " $3, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        case 4:                                                             \
            __asm__ volatile("cmp" #type " $4, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        case 5:                                                             \
            __asm__ volatile("cmp" #type " $5, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        case 6:                                                             \
            __asm__ volatile("cmp" #type " $6, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        default:                                                            \
            __asm__ volatile("cmp" #type " $7, %1, %0" : "+x"(a) : "x"(b)); \
            break;                                                          \
        }                                                                   \
        return a;                                                           \
    }
FP_CMP(ps)
FP_CMP(pd)
FP_CMP(ss)
FP_CMP(sd)
#undef FP_CMP

/* (U)COMISx: ZF, PF, CF at their places in EFLAGS. */
#define FP_COMI(name)                                                                            \
    static inline uint32_t fp_##name(v128 a, v128 b)                                             \
    {                                                                                            \
        bool z, p, c;                                                                            \
        __asm__ volatile(#name " %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(a), "x"(b)); \
        return (z ? FLAG_ZF : 0) | (p ? FLAG_PF : 0) | (c ? FLAG_CF : 0);                        \
    }
FP_COMI(comiss)
FP_COMI(comisd)
FP_COMI(ucomiss)
FP_COMI(ucomisd)
#undef FP_COMI

#define FP_FROM_INT(name, insn, type)                        \
    static inline v128 fp_##name(v128 a, type v)             \
    {                                                        \
        __asm__ volatile(insn " %1, %0" : "+x"(a) : "r"(v)); \
        return a;                                            \
    }
FP_FROM_INT(cvtsi2ss_32, "cvtsi2ssl", uint32_t)
FP_FROM_INT(cvtsi2ss_64, "cvtsi2ssq", uint64_t)
FP_FROM_INT(cvtsi2sd_32, "cvtsi2sdl", uint32_t)
FP_FROM_INT(cvtsi2sd_64, "cvtsi2sdq", uint64_t)
#undef FP_FROM_INT

#define FP_TO_INT(name, type)                                 \
    static inline uint64_t fp_##name##_32(v128 a)             \
    {                                                         \
        uint32_t v;                                           \
        __asm__ volatile(#name " %1, %0" : "=r"(v) : "x"(a)); \
        return v;                                             \
    }                                                         \
    static inline uint64_t fp_##name##_64(v128 a)             \
    {                                                         \
        uint64_t v;                                           \
        __asm__ volatile(#name " %1, %0" : "=r"(v) : "x"(a)); \
        return v;                                             \
    }
FP_TO_INT(cvtss2si, )
FP_TO_INT(cvttss2si, )
FP_TO_INT(cvtsd2si, )
FP_TO_INT(cvttsd2si, )
#undef FP_TO_INT

/*
 * --- x87 ---
 * Operands come from memory and go back there: the host's x87 stack is empty between operations.
 * Each function returns the host's status word right after the operation: C0-C3, and exception
 * flags. With everything masked these are sticky, and never more than the guest's own flags plus
 * this operation's (fp_x87_changed() clears them when the guest does).
 *
 * With something unmasked the operation runs under the guest's very control word: the host leaves
 * operands unchanged or scales results as the guest expects, and its exception stays pending until
 * FNCLEX, which does not wait, takes it back. No signal can come of it.
 */
#define X87_CLOBBERS "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)", "st(7)", "memory"
#define X87_RUN(cpu, sw, pre, insn, post, out, ...)                                   \
    do {                                                                              \
        if (likely(fp_x87_all_masked(cpu))) {                                         \
            __asm__ volatile(pre insn "fnstsw %%ax\n\t" post                          \
                             : "=&a"(sw), [r] "=m"(out)                               \
                             : __VA_ARGS__                                            \
                             : X87_CLOBBERS);                                         \
        } else {                                                                      \
            const uint16_t guest_cw = (cpu)->fpu.cw, masked_cw = guest_cw | FSW_EXC;  \
            __asm__ volatile(pre "fnclex\n\t"                                         \
                                 "fldcw %[gcw]\n\t" insn "fnstsw %%ax\n\t"            \
                                 "fnclex\n\t"                                         \
                                 "fldcw %[mcw]\n\t" post "fninit\n\t"                 \
                                 "fldcw %[mcw]\n\t"                                   \
                             : "=&a"(sw), [r] "=m"(out)                               \
                             : [gcw] "m"(guest_cw), [mcw] "m"(masked_cw), __VA_ARGS__ \
                             : X87_CLOBBERS);                                         \
        }                                                                             \
    } while (0)

/* r = a OP b; b is a register or a memory operand of the named kind. */
#define X87_BINARY(name, kind, type, insn)                                               \
    static inline uint16_t fp_x87_##name##_##kind(const struct cpu *cpu, union fpreg *r, \
                                                  const union fpreg *a, const type *b)   \
    {                                                                                    \
        uint16_t sw;                                                                     \
        X87_RUN(cpu, sw, "fldt %[a]\n\t", insn " %[b]\n\t", "fstpt %[r]\n\t",            \
                *r, [a] "m"(*a), [b] "m"(*b));                                           \
        return sw;                                                                       \
    }
#define X87_ARITH(name)                                                                   \
    static inline uint16_t fp_x87_##name##_st(const struct cpu *cpu, union fpreg *r,      \
                                              const union fpreg *a, const union fpreg *b) \
    {                                                                                     \
        uint16_t sw;                                                                      \
        X87_RUN(cpu, sw, "fldt %[b]\n\tfldt %[a]\n\t", "f" #name " %%st(1), %%st\n\t",    \
                "fstpt %[r]\n\tfstp %%st(0)\n\t", *r, [a] "m"(*a), [b] "m"(*b));          \
        return sw;                                                                        \
    }                                                                                     \
    X87_BINARY(name, m32, uint32_t, "f" #name "s")                                        \
    X87_BINARY(name, m64, uint64_t, "f" #name "l")                                        \
    X87_BINARY(name, i16, uint16_t, "fi" #name "s")                                       \
    X87_BINARY(name, i32, uint32_t, "fi" #name "l")
X87_ARITH(add)
X87_ARITH(mul)
X87_ARITH(sub)
X87_ARITH(subr)
X87_ARITH(div)
X87_ARITH(divr)
#undef X87_ARITH
#undef X87_BINARY

/* Comparisons: C0, C2, C3 of the returned status word. */
#define X87_COMPARE(name, type, insn)                                                 \
    static inline uint16_t fp_x87_##name(const struct cpu *cpu, const union fpreg *a, \
                                         const type *b)                               \
    {                                                                                 \
        uint16_t sw, unused;                                                          \
        X87_RUN(cpu, sw, "fldt %[a]\n\t", insn " %[b]\n\t", "fstp %%st(0)\n\t",       \
                unused, [a] "m"(*a), [b] "m"(*b));                                    \
        return sw;                                                                    \
    }
#define X87_COMPARE_ST(name)                                                               \
    static inline uint16_t fp_x87_##name##_st(const struct cpu *cpu, const union fpreg *a, \
                                              const union fpreg *b)                        \
    {                                                                                      \
        uint16_t sw, unused;                                                               \
        X87_RUN(cpu, sw, "fldt %[b]\n\tfldt %[a]\n\t", "f" #name " %%st(1)\n\t",           \
                "fstp %%st(0)\n\tfstp %%st(0)\n\t", unused, [a] "m"(*a), [b] "m"(*b));     \
        return sw;                                                                         \
    }
X87_COMPARE_ST(com)
X87_COMPARE_ST(ucom)
X87_COMPARE(com_m32, uint32_t, "fcoms")
X87_COMPARE(com_m64, uint64_t, "fcoml")
X87_COMPARE(com_i16, uint16_t, "ficoms")
X87_COMPARE(com_i32, uint32_t, "ficoml")
#undef X87_COMPARE_ST
#undef X87_COMPARE

static inline uint16_t fp_x87_tst(const struct cpu *cpu, const union fpreg *a)
{
    uint16_t sw, unused;
    X87_RUN(cpu, sw, "fldt %[a]\n\t", "ftst\n\t", "fstp %%st(0)\n\t", unused, [a] "m"(*a));
    return sw;
}

/* Loads that convert; the slot below the top is there for the load that does not push. */
#define X87_LOAD(name, type, insn)                                                             \
    static inline uint16_t fp_x87_##name(const struct cpu *cpu, union fpreg *r, const type *m) \
    {                                                                                          \
        uint16_t sw;                                                                           \
        X87_RUN(cpu, sw, "fldz\n\t", insn " %[m]\n\t", "fstpt %[r]\n\tfstp %%st(0)\n\t",       \
                *r, [m] "m"(*m));                                                              \
        return sw;                                                                             \
    }
X87_LOAD(fld_m32, uint32_t, "flds")
X87_LOAD(fld_m64, uint64_t, "fldl")
X87_LOAD(fild_i16, uint16_t, "filds")
X87_LOAD(fild_i32, uint32_t, "fildl")
X87_LOAD(fild_i64, uint64_t, "fildll")
X87_LOAD(fbld, union fpreg, "fbld")
#undef X87_LOAD

/* Stores that convert. With an unmasked exception other than inexact nothing is stored. */
#define X87_STORE(name, type, insn, post)                                                      \
    static inline uint16_t fp_x87_##name(const struct cpu *cpu, type *m, const union fpreg *a) \
    {                                                                                          \
        uint16_t sw;                                                                           \
        X87_RUN(cpu, sw, "fldt %[a]\n\t", insn " %[r]\n\t", post, *m, [a] "m"(*a));            \
        return sw;                                                                             \
    }
X87_STORE(fst_m32, uint32_t, "fsts", "fstp %%st(0)\n\t")
X87_STORE(fst_m64, uint64_t, "fstl", "fstp %%st(0)\n\t")
X87_STORE(fist_i16, uint16_t, "fists", "fstp %%st(0)\n\t")
X87_STORE(fist_i32, uint32_t, "fistl", "fstp %%st(0)\n\t")
X87_STORE(fist_i64, uint64_t, "fistpll", "")
X87_STORE(fbst, union fpreg, "fbstp", "")
#undef X87_STORE

/* FISTTP (SSE3) is FISTP rounding towards zero. */
#define X87_TRUNCATE(bits)                                                          \
    static inline uint16_t fp_x87_fistt_i##bits(struct cpu *cpu, uint##bits##_t *m, \
                                                const union fpreg *a)               \
    {                                                                               \
        const uint16_t saved = cpu->fpu.cw;                                         \
        uint16_t host_cw = saved | 0x0c00 | FSW_EXC;                                \
        __asm__ volatile("fldcw %0" : : "m"(host_cw));                              \
        cpu->fpu.cw = saved | 0x0c00;                                               \
        const uint16_t sw = fp_x87_fist_i##bits(cpu, m, a);                         \
        cpu->fpu.cw = saved;                                                        \
        host_cw = saved | FSW_EXC;                                                  \
        __asm__ volatile("fldcw %0" : : "m"(host_cw));                              \
        return sw & (uint16_t)~FSW_C1;                                              \
    }
X87_TRUNCATE(16)
X87_TRUNCATE(32)
X87_TRUNCATE(64)
#undef X87_TRUNCATE

/* r = OP a; constants ignore a. */
#define X87_UNARY(name)                                                                     \
    static inline uint16_t fp_x87_##name(const struct cpu *cpu, union fpreg *r,             \
                                         const union fpreg *a)                              \
    {                                                                                       \
        uint16_t sw;                                                                        \
        X87_RUN(cpu, sw, "fldt %[a]\n\t", #name "\n\t", "fstpt %[r]\n\t", *r, [a] "m"(*a)); \
        return sw;                                                                          \
    }
X87_UNARY(fsqrt)
X87_UNARY(frndint)
X87_UNARY(f2xm1)
X87_UNARY(fsin)
X87_UNARY(fcos)
#undef X87_UNARY
#define X87_CONSTANT(name)                                                  \
    static inline void fp_x87_##name(union fpreg *r)                        \
    {                                                                       \
        __asm__ volatile(#name "\n\tfstpt %0" : "=m"(*r) : : X87_CLOBBERS); \
    }
X87_CONSTANT(fld1)
X87_CONSTANT(fldl2t)
X87_CONSTANT(fldl2e)
X87_CONSTANT(fldpi)
X87_CONSTANT(fldlg2)
X87_CONSTANT(fldln2)
X87_CONSTANT(fldz)
#undef X87_CONSTANT

/* r = ST(0) OP ST(1), operands a and b. The first kind pops and leaves its result in ST(1)'s place.
 */
#define X87_BINARY_ST(name, post)                                                           \
    static inline uint16_t fp_x87_##name(const struct cpu *cpu, union fpreg *r,             \
                                         const union fpreg *a, const union fpreg *b)        \
    {                                                                                       \
        uint16_t sw;                                                                        \
        X87_RUN(cpu, sw, "fldt %[b]\n\tfldt %[a]\n\t", #name "\n\t", "fstpt %[r]\n\t" post, \
                *r, [a] "m"(*a), [b] "m"(*b));                                              \
        return sw;                                                                          \
    }
X87_BINARY_ST(fpatan, "")
X87_BINARY_ST(fyl2x, "")
X87_BINARY_ST(fyl2xp1, "")
X87_BINARY_ST(fscale, "fstp %%st(0)\n\t")
X87_BINARY_ST(fprem, "fstp %%st(0)\n\t")
X87_BINARY_ST(fprem1, "fstp %%st(0)\n\t")
#undef X87_BINARY_ST

/*
 * ST(0) becomes r[1] and r[0] is pushed, or (C2 set, or an unmasked exception) neither. The zero
 * below and the FNINIT make both ends the same.
 */
#define X87_PUSHING(name)                                                         \
    static inline uint16_t fp_x87_##name(const struct cpu *cpu, union fpreg r[2], \
                                         const union fpreg *a)                    \
    {                                                                             \
        const uint16_t host_cw = cpu->fpu.cw | FSW_EXC;                           \
        uint16_t sw, unused;                                                      \
        X87_RUN(cpu, sw, "fldz\n\tfldt %[a]\n\t", #name "\n\t",                   \
                "fstpt (%[p])\n\tfstpt 16(%[p])\n\tfninit\n\tfldcw %[hcw]\n\t",   \
                unused, [a] "m"(*a), [p] "r"(r), [hcw] "m"(host_cw));             \
        return sw;                                                                \
    }
X87_PUSHING(fptan)
X87_PUSHING(fsincos)
X87_PUSHING(fxtract)
#undef X87_PUSHING

#endif
