/*
 * AVX and AVX2 permutations, variable shifts, masked moves and gathers. SDM 2C under each mnemonic.
 */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* The elements of a YMM register. */
union elements {
    struct ymm y;
    uint32_t d[8];
    int32_t sd[8];
    uint64_t q[4];
    int64_t sq[4];
};

/* --- permutations within lanes --- */

static inline v128 permilps(v128 va, v128 vcontrol)
{
    const union chunk a = {.v = va}, c = {.v = vcontrol};
    return (v128)(v4u32){a.d[c.d[0] & 3], a.d[c.d[1] & 3], a.d[c.d[2] & 3], a.d[c.d[3] & 3]};
}
static inline v128 permilpd(v128 a, v128 control)
{
    return v128_of(a[(control[0] >> 1) & 1], a[(control[1] >> 1) & 1]);
}
YMM2(permilps, permilps(a, b))
YMM2(permilpd, permilpd(a, b))
YMM2(permilps_i, vec_pshufd(b, imm))
YMM2(permilpd_i, vec_shufpd(b, b, imm >> 2 * lane))
YMM2(pblendd, vec_blend(a, b, imm >> 4 * lane, 4))

/* --- across lanes --- */

OP(op_vperm2x128) /* VPERM2F128, VPERM2I128 */
{
    const struct ymm b = ymm_w(cpu, u), a = ymm_read(cpu, u->vvvv);
    struct ymm d;
    for (unsigned i = 0; i < 2; i++) {
        const unsigned control = (unsigned)u->imm >> 4 * i;
        const struct ymm *from = control & 2 ? &b : &a;
        d.v[i] = control & 8 ? (v128){0} : from->v[control & 1];
    }
    ymm_write(cpu, u, u->reg, d);
}
OP(op_vpermd) /* VPERMD, VPERMPS: indices in VEX.vvvv */
{
    const union elements b = {.y = ymm_w(cpu, u)}, at = {.y = ymm_read(cpu, u->vvvv)};
    union elements d;
    for (unsigned i = 0; i < 8; i++)
        d.d[i] = b.d[at.d[i] & 7];
    ymm_write(cpu, u, u->reg, d.y);
}
OP(op_vpermq) /* VPERMQ, VPERMPD */
{
    const union elements b = {.y = ymm_w(cpu, u)};
    union elements d;
    for (unsigned i = 0; i < 4; i++)
        d.q[i] = b.q[(u->imm >> 2 * i) & 3];
    ymm_write(cpu, u, u->reg, d.y);
}

/* --- shifts by a count for each element --- */

#define SHIFT_EACH(name, field, n, expr)                  \
    OP(op_##name)                                         \
    {                                                     \
        const union elements c = {.y = ymm_w(cpu, u)};    \
        union elements d = {.y = ymm_read(cpu, u->vvvv)}; \
        for (unsigned i = 0; i < n; i++)                  \
            d.field[i] = (expr);                          \
        ymm_write(cpu, u, u->reg, d.y);                   \
    }
SHIFT_EACH(vpsllvd, d, 8, c.d[i] < 32 ? d.d[i] << c.d[i] : 0)
SHIFT_EACH(vpsllvq, q, 4, c.q[i] < 64 ? d.q[i] << c.q[i] : 0)
SHIFT_EACH(vpsrlvd, d, 8, c.d[i] < 32 ? d.d[i] >> c.d[i] : 0)
SHIFT_EACH(vpsrlvq, q, 4, c.q[i] < 64 ? d.q[i] >> c.q[i] : 0)
SHIFT_EACH(vpsravd, sd, 8, d.sd[i] >> MIN(c.d[i], 31))

/* --- masked moves: what is not selected is not accessed --- */

/* Where an element at an offset in the segment lies. No alignment check: SDM 2A §2.4.6 and
 * §2.4.12, whose classes have no #AC. */
static gla_t element_linear(struct cpu *cpu, const struct insn *u, uint64_t off, unsigned size,
                            enum access acc)
{
    const uint64_t mask = size_mask(u->asize);
    seg_linear(cpu, u->seg, (off + size - 1) & mask, 1, acc);
    return seg_linear(cpu, u->seg, off & mask, 1, acc);
}
static inline bool selected(const union elements *m, unsigned i, unsigned size)
{
    return size == 4 ? m->sd[i] < 0 : m->sq[i] < 0;
}
static void masked_load(struct cpu *cpu, const struct insn *u, unsigned size)
{
    const union elements m = {.y = ymm_read(cpu, u->vvvv)};
    union elements d = {.y = {{{0}, {0}}}};
    const uint64_t off = ea_offset(cpu, u);
    for (unsigned i = 0; i < u->vl / size; i++) {
        if (!selected(&m, i, size))
            continue;
        const gla_t lin = element_linear(cpu, u, off + i * size, size, ACC_R);
        if (size == 4)
            d.d[i] = load32(cpu, lin);
        else
            d.q[i] = load64(cpu, lin);
    }
    ymm_write(cpu, u, u->reg, d.y);
}
static void masked_store(struct cpu *cpu, const struct insn *u, unsigned size)
{
    const union elements m = {.y = ymm_read(cpu, u->vvvv)}, v = {.y = ymm_read(cpu, u->reg)};
    const uint64_t off = ea_offset(cpu, u);
    gla_t at[8];
    for (unsigned i = 0; i < u->vl / size; i++) {
        if (!selected(&m, i, size))
            continue;
        at[i] = element_linear(cpu, u, off + i * size, size, ACC_W);
        probe(cpu, at[i], size, ACC_W);
    }
    for (unsigned i = 0; i < u->vl / size; i++)
        if (selected(&m, i, size))
            store_n(cpu, at[i], size == 4 ? v.d[i] : v.q[i], size);
}
OP(op_vmaskmov_d) /* VMASKMOVPS, VPMASKMOVD */
{
    masked_load(cpu, u, 4);
}
OP(op_vmaskmov_q)
{
    masked_load(cpu, u, 8);
}
OP(op_vmaskmov_d_st)
{
    masked_store(cpu, u, 4);
}
OP(op_vmaskmov_q_st)
{
    masked_store(cpu, u, 8);
}

/*
 * Gathers: element i from base + index[i] * scale + displacement. Each element done is written at
 * once and its mask cleared, so that a fault leaves the rest for the next try; the mask of those
 * left stays as it was, sign bit and all. SDM 2C "VGATHERDPS"
 */
static void gather(struct cpu *cpu, const struct insn *u, unsigned index_size, unsigned size)
{
    const unsigned n = u->vl / MAX(index_size, size);
    const union elements index = {.y = ymm_read(cpu, u->imm2)};
    union elements d = {.y = ymm_read(cpu, u->reg)}, m = {.y = ymm_read(cpu, u->vvvv)};
    for (unsigned i = 0; i < n; i++) {
        if (!selected(&m, i, size)) {
            memset((uint8_t *)&m + i * size, 0, size);
            continue;
        }
        const int64_t at = index_size == 4 ? index.sd[i] : index.sq[i];
        const uint64_t off = cpu->r[u->base] + ((uint64_t)at << u->scale) + (uint64_t)u->disp;
        ymm_write_n(cpu, u->reg, &d.y, 32);
        ymm_write_n(cpu, u->vvvv, &m.y, 32);
        const gla_t lin = element_linear(cpu, u, off, size, ACC_R);
        if (size == 4) {
            d.d[i] = load32(cpu, lin);
            m.d[i] = 0;
        } else {
            d.q[i] = load64(cpu, lin);
            m.q[i] = 0;
        }
    }
    const struct ymm none = {{{0}, {0}}};
    memset((uint8_t *)&d + n * size, 0, sizeof d - n * size);
    ymm_write_n(cpu, u->reg, &d.y, 32);
    ymm_write_n(cpu, u->vvvv, &none, 32);
}
OP(op_vgather_dd) /* index size, element size */
{
    gather(cpu, u, 4, 4);
}
OP(op_vgather_dq)
{
    gather(cpu, u, 4, 8);
}
OP(op_vgather_qd)
{
    gather(cpu, u, 8, 4);
}
OP(op_vgather_qq)
{
    gather(cpu, u, 8, 8);
}
