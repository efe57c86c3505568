/*
 * FMA: fused multiply-add in its three operand orders, and F16C: half precision. SDM 2C
 * "VFMADD132PD" and its kin, "VCVTPH2PS", "VCVTPS2PH".
 *
 * The host's unit computes where it has FMA and every exception is masked, fp_soft.c otherwise.
 */
#include "cpu/fp/fp_soft.h"
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* a: destination, b: VEX.vvvv, c: r/m. x * y + z by operand order: 132 a * c + b, 213 b * a + c,
 * 231 b * c + a. In FMADDSUB even elements are subtracted, in FMSUBADD odd ones. */
enum { MADD, MSUB, NMADD, NMSUB, MADDSUB, MSUBADD };

#define ORDER_132(a, b, c) (a), (c), (b)
#define ORDER_213(a, b, c) (b), (a), (c)
#define ORDER_231(a, b, c) (b), (c), (a)

static uint64_t one_element(struct cpu *cpu, bool f64, unsigned kind, unsigned i, uint64_t x,
                            uint64_t y, uint64_t z, uint32_t *flags)
{
    const bool subtract = kind == MSUB || kind == NMSUB || (kind == MADDSUB && !(i & 1)) ||
                          (kind == MSUBADD && (i & 1));
    uint32_t raised = 0;
    const uint64_t r =
        fp_soft_fma(f64, x, y, z, kind == NMADD || kind == NMSUB, subtract, cpu->mxcsr, &raised);
    *flags |= raised;
    return r;
}

/* n elements of a lane; the others are a's. */
static v128 soft_lane(struct cpu *cpu, unsigned kind, bool f64, unsigned n, v128 a, v128 x, v128 y,
                      v128 z, uint32_t *flags)
{
    const union chunk cx = {.v = x}, cy = {.v = y}, cz = {.v = z};
    union chunk d = {.v = a};
    for (unsigned i = 0; i < n; i++)
        if (f64)
            d.q[i] = one_element(cpu, true, kind, i, cx.q[i], cy.q[i], cz.q[i], flags);
        else
            d.d[i] = (uint32_t)one_element(cpu, false, kind, i, cx.d[i], cy.d[i], cz.d[i], flags);
    return d.v;
}

/* What the host's CPUID says, asked once a process: it does not change. */
static inline bool host_has_fma(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("fma") != 0;
#else
    return false;
#endif
}
#if defined(__x86_64__)
#define HOST_FMA(name) __asm__ volatile(#name " %2, %1, %0" : "+x"(a) : "x"(b), "x"(c))
#else
#define HOST_FMA(name) (void)0
#endif

#define FMA_PACKED(name, kind, order, f64, n)                                        \
    OP(op_##name)                                                                    \
    {                                                                                \
        const struct ymm w = ymm_w(cpu, u), h = ymm_read(cpu, u->vvvv);              \
        struct ymm d = ymm_read(cpu, u->reg);                                        \
        uint32_t flags = 0;                                                          \
        const bool host = host_has_fma() && fp_all_masked(cpu);                      \
        for (unsigned i = 0; i < lane_count(u); i++) {                               \
            v128 a = d.v[i], b = h.v[i], c = w.v[i];                                 \
            if (likely(host))                                                        \
                HOST_FMA(name);                                                      \
            else                                                                     \
                a = soft_lane(cpu, kind, f64, n, a, ORDER_##order(a, b, c), &flags); \
            d.v[i] = a;                                                              \
        }                                                                            \
        if (unlikely(flags))                                                         \
            fp_raise(cpu, flags);                                                    \
        ymm_write(cpu, u, u->reg, d);                                                \
    }
#define FMA_SCALAR(name, kind, order, f64, width)                                \
    OP(op_##name)                                                                \
    {                                                                            \
        const v128 c = xmm_w##width(cpu, u), b = xmm_read(cpu, u->vvvv);         \
        v128 a = xmm_read(cpu, u->reg);                                          \
        uint32_t flags = 0;                                                      \
        if (likely(host_has_fma() && fp_all_masked(cpu)))                        \
            HOST_FMA(name);                                                      \
        else                                                                     \
            a = soft_lane(cpu, kind, f64, 1, a, ORDER_##order(a, b, c), &flags); \
        if (unlikely(flags))                                                     \
            fp_raise(cpu, flags);                                                \
        xmm_write_vex(cpu, u->reg, a);                                           \
    }
#define FMA_P(stem, kind, order)                       \
    FMA_PACKED(stem##order##ps, kind, order, false, 4) \
    FMA_PACKED(stem##order##pd, kind, order, true, 2)
#define FMA_S(stem, kind, order)                        \
    FMA_SCALAR(stem##order##ss, kind, order, false, 32) \
    FMA_SCALAR(stem##order##sd, kind, order, true, 64)
#define FMA_ORDERS(F, stem, kind) F(stem, kind, 132) F(stem, kind, 213) F(stem, kind, 231)
FMA_ORDERS(FMA_P, vfmadd, MADD)
FMA_ORDERS(FMA_S, vfmadd, MADD)
FMA_ORDERS(FMA_P, vfmsub, MSUB)
FMA_ORDERS(FMA_S, vfmsub, MSUB)
FMA_ORDERS(FMA_P, vfnmadd, NMADD)
FMA_ORDERS(FMA_S, vfnmadd, NMADD)
FMA_ORDERS(FMA_P, vfnmsub, NMSUB)
FMA_ORDERS(FMA_S, vfnmsub, NMSUB)
FMA_ORDERS(FMA_P, vfmaddsub, MADDSUB)
FMA_ORDERS(FMA_P, vfmsubadd, MSUBADD)

/* --- half precision --- */

OP(op_vcvtph2ps)
{
    const union chunk b = {.v = ymm_w_half(cpu, u)};
    union chunk d[2];
    uint32_t flags = 0;
    for (unsigned i = 0; i < u->vl / 4; i++)
        d[i / 4].d[i % 4] = fp_soft_from_half(b.w[i], &flags);
    if (flags)
        fp_raise(cpu, flags);
    ymm_write(cpu, u, u->reg, (struct ymm){{d[0].v, d[1].v}});
}
/* Imm[2]: MXCSR.RC instead of imm[1:0]. The address is checked before the arithmetic. */
OP(op_vcvtps2ph)
{
    const unsigned bytes = u->vl / 2, imm = (unsigned)u->imm;
    const unsigned rc = imm & 4 ? (cpu->mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT : imm & 3;
    const struct ymm v = ymm_read(cpu, u->reg);
    const union chunk s[2] = {{.v = v.v[0]}, {.v = v.v[1]}};
    union chunk d = {.v = {0}};
    uint32_t flags = 0;
    for (unsigned i = 0; i < u->vl / 4; i++)
        d.w[i] = fp_soft_to_half(s[i / 4].d[i % 4], rc, cpu->mxcsr, &flags);
    gla_t lin = 0;
    if (u->mem) {
        lin = bytes == 16 ? vec_unaligned(cpu, u, 16, ACC_W) : vec_linear(cpu, u, 8, ACC_W);
        probe(cpu, lin, bytes, ACC_W);
    }
    if (flags)
        fp_raise(cpu, flags);
    if (!u->mem)
        xmm_write_vex(cpu, u->rm, d.v);
    else if (bytes == 16)
        store128(cpu, lin, &d);
    else
        store64(cpu, lin, d.q[0]);
}
