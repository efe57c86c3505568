/*
 * Bit manipulation on general registers: BMI1, BMI2, LZCNT, and with them MOVBE and ADX. SDM 2A-2B
 * under each mnemonic. Portable: no host instruction of these is asked for.
 */
#include "cpu/op_int.h"

static inline unsigned width_bits(const struct insn *u)
{
    return 8u * u->osize;
}

/* ZF and SF of a result at operand size, CF as given, OF clear; AF and PF are undefined. */
static inline void set_bmi_flags(struct cpu *cpu, const struct insn *u, uint64_t r, bool cf)
{
    cpu->flag_z = r;
    cpu->flag_sp = (uint64_t)sign_extend(r, width_bits(u));
    cpu->flag_aux = cf ? AUX_CF : 0;
}

OP(op_andn)
{
    const uint64_t b = rm_read(cpu, u), r = ~cpu->r[u->vvvv] & b;
    reg_write(cpu, u->reg, r, u->osize);
    set_bmi_flags(cpu, u, r, false);
}
/* Start in bits 7:0 of the control, length in 15:8. */
OP(op_bextr)
{
    const uint64_t v = rm_read(cpu, u), control = cpu->r[u->vvvv];
    const unsigned start = control & 0xff, len = (control >> 8) & 0xff;
    uint64_t r = start < 64 ? v >> start : 0;
    if (len < 64)
        r &= BIT64(len) - 1;
    reg_write(cpu, u->reg, r, u->osize);
    set_bmi_flags(cpu, u, r, false);
}
OP(op_blsi)
{
    const uint64_t v = rm_read(cpu, u), r = v & -v;
    reg_write(cpu, u->vvvv, r, u->osize);
    set_bmi_flags(cpu, u, r, v != 0);
}
OP(op_blsmsk)
{
    const uint64_t v = rm_read(cpu, u), r = (v ^ (v - 1)) & size_mask(u->osize);
    reg_write(cpu, u->vvvv, r, u->osize);
    set_bmi_flags(cpu, u, r, v == 0);
}
OP(op_blsr)
{
    const uint64_t v = rm_read(cpu, u), r = v & (v - 1);
    reg_write(cpu, u->vvvv, r, u->osize);
    set_bmi_flags(cpu, u, r, v == 0);
}
OP(op_bzhi)
{
    const uint64_t v = rm_read(cpu, u);
    const unsigned from = cpu->r[u->vvvv] & 0xff;
    const uint64_t r = from < 64 ? v & (BIT64(from) - 1) : v;
    reg_write(cpu, u->reg, r, u->osize);
    set_bmi_flags(cpu, u, r, from >= width_bits(u));
}

/* CF: the source is zero, which makes the count the operand size. */
static inline void count_zeros(struct cpu *cpu, const struct insn *u, uint64_t v, unsigned n)
{
    reg_write(cpu, u->reg, n, u->osize);
    set_bmi_flags(cpu, u, n, v == 0);
}
OP(op_tzcnt)
{
    const uint64_t v = rm_read(cpu, u);
    count_zeros(cpu, u, v, v ? (unsigned)__builtin_ctzll(v) : width_bits(u));
}
OP(op_lzcnt)
{
    const uint64_t v = rm_read(cpu, u);
    const unsigned n = width_bits(u);
    count_zeros(cpu, u, v, v ? (unsigned)__builtin_clzll(v) - (64 - n) : n);
}

/* Both destinations may be one register: it gets the high half. */
OP(op_mulx)
{
    const uint64_t a = rm_read(cpu, u), b = cpu->r[REG_RDX] & size_mask(u->osize);
    const unsigned __int128 r = (unsigned __int128)a * b;
    reg_write(cpu, u->vvvv, (uint64_t)r, u->osize);
    reg_write(cpu, u->reg, (uint64_t)(r >> width_bits(u)), u->osize);
}
OP(op_pdep)
{
    uint64_t mask = rm_read(cpu, u), v = cpu->r[u->vvvv], r = 0;
    for (; mask; mask &= mask - 1, v >>= 1)
        if (v & 1)
            r |= mask & -mask;
    reg_write(cpu, u->reg, r, u->osize);
}
OP(op_pext)
{
    uint64_t mask = rm_read(cpu, u), r = 0;
    const uint64_t v = cpu->r[u->vvvv];
    for (unsigned i = 0; mask; mask &= mask - 1, i++)
        if (v & mask & -mask)
            r |= BIT64(i);
    reg_write(cpu, u->reg, r, u->osize);
}

OP(op_rorx)
{
    const uint64_t v = rm_read(cpu, u);
    const unsigned n = (unsigned)u->imm & (width_bits(u) - 1);
    reg_write(cpu, u->reg, n ? v >> n | v << (width_bits(u) - n) : v, u->osize);
}
static inline unsigned shift_count(const struct cpu *cpu, const struct insn *u)
{
    return cpu->r[u->vvvv] & (width_bits(u) - 1);
}
OP(op_sarx)
{
    const int64_t v = sign_extend(rm_read(cpu, u), width_bits(u));
    reg_write(cpu, u->reg, (uint64_t)(v >> shift_count(cpu, u)), u->osize);
}
OP(op_shlx)
{
    const uint64_t v = rm_read(cpu, u);
    reg_write(cpu, u->reg, v << shift_count(cpu, u), u->osize);
}
OP(op_shrx)
{
    const uint64_t v = rm_read(cpu, u);
    reg_write(cpu, u->reg, v >> shift_count(cpu, u), u->osize);
}

static inline uint64_t swap_bytes(uint64_t v, unsigned size)
{
    return __builtin_bswap64(v) >> (64 - 8 * size);
}
OP(op_movbe)
{
    reg_write(cpu, u->reg, swap_bytes(rm_read(cpu, u), u->osize), u->osize);
}
OP(op_movbe_st)
{
    const uint64_t v = swap_bytes(cpu->r[u->reg], u->osize);
    store_n(cpu, ea_linear(cpu, u, u->osize, ACC_W), v, u->osize);
}

/* The sum with a carry in; the carry out to *carry. */
static inline void add_carry(struct cpu *cpu, const struct insn *u, bool *carry)
{
    const uint64_t b = rm_read(cpu, u), a = cpu->r[u->reg] & size_mask(u->osize);
    const unsigned __int128 r = (unsigned __int128)a + b + *carry;
    *carry = (r >> width_bits(u)) & 1;
    reg_write(cpu, u->reg, (uint64_t)r, u->osize);
}
OP(op_adcx)
{
    bool carry = flag_cf(cpu);
    add_carry(cpu, u, &carry);
    cpu->flag_aux = flag_make_aux(carry, flag_of(cpu), flag_af(cpu));
}
OP(op_adox)
{
    bool carry = flag_of(cpu);
    add_carry(cpu, u, &carry);
    cpu->flag_aux = flag_make_aux(flag_cf(cpu), carry, flag_af(cpu));
}
