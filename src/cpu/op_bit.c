/* Bit tests and scans, BSWAP, POPCNT. SDM 2A "BT", "BTS", "BTR", "BTC", "BSF", "BSR", "BSWAP". */
#include "cpu/handlers.h"
#include "cpu/op_int.h"

/* A register bit offset into memory is signed and reaches beyond the operand (SDM 2A "BT"). */
static gla_t bit_address(struct cpu *cpu, const struct insn *u, unsigned size, enum access acc)
{
    uint64_t off = ea_offset(cpu, u);
    if (u->row->opnd[1] == O_Gv) {
        const int64_t bit = sign_extend(cpu->r[u->reg], size * 8);
        const unsigned shift = size == 2 ? 4 : size == 4 ? 5 : 6;
        off += (uint64_t)((bit >> shift) * (int64_t)size);
        off &= size_mask(u->asize);
    }
    return seg_linear(cpu, u->seg, off, size, acc);
}

enum bit_op { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static inline void bit_op(struct cpu *cpu, const struct insn *u, enum bit_op op)
{
    const unsigned size = u->osize;
    const uint64_t index = u->row->opnd[1] == O_Gv ? cpu->r[u->reg] : u->imm;
    const uint64_t bit = UINT64_C(1) << (index & (size * 8 - 1));
    gla_t lin = 0;
    uint64_t v;
    if (u->mem) {
        lin = bit_address(cpu, u, size, op == BIT_TEST ? ACC_R : ACC_RW);
        if (op != BIT_TEST)
            rmw_host(cpu, lin, size);
        v = load_n(cpu, lin, size);
    } else {
        v = cpu->r[u->rm];
    }
    const bool cf = v & bit;
    if (op != BIT_TEST) {
        const uint64_t r = op == BIT_SET ? v | bit : op == BIT_RESET ? v & ~bit : v ^ bit;
        if (u->mem)
            store_n(cpu, lin, r, size);
        else
            reg_write(cpu, u->rm, r, size);
    }
    /* ZF is unchanged, the others undefined: unchanged too */
    cpu->flag_aux = flag_make_aux(cf, flag_of(cpu), flag_af(cpu));
}

OP(op_bt)
{
    bit_op(cpu, u, BIT_TEST);
}
OP(op_bts)
{
    bit_op(cpu, u, BIT_SET);
}
OP(op_btr)
{
    bit_op(cpu, u, BIT_RESET);
}
OP(op_btc)
{
    bit_op(cpu, u, BIT_COMPLEMENT);
}

/* A zero source leaves the destination unchanged, all 64 bits of it, on every known processor. */
static inline void scan(struct cpu *cpu, const struct insn *u, bool reverse)
{
    const uint64_t v = rm_read(cpu, u);
    if (v)
        reg_write(cpu, u->reg,
                  reverse ? 63u - (unsigned)__builtin_clzll(v) : (unsigned)__builtin_ctzll(v),
                  u->osize);
    cpu->flag_z = v;
}

OP(op_bsf)
{
    scan(cpu, u, false);
}
OP(op_bsr)
{
    scan(cpu, u, true);
}

OP(op_popcnt)
{
    const uint64_t v = rm_read(cpu, u);
    reg_write(cpu, u->reg, (unsigned)__builtin_popcountll(v), u->osize);
    flags_set_arith(cpu, v ? 0 : FLAG_ZF);
}

/* 16-bit operands are undefined; hardware clears the register's low word. */
OP(op_bswap)
{
    if (u->osize == 8)
        cpu->r[u->reg] = __builtin_bswap64(cpu->r[u->reg]);
    else if (u->osize == 4)
        cpu->r[u->reg] = __builtin_bswap32((uint32_t)cpu->r[u->reg]);
    else
        reg_write(cpu, u->reg, 0, 2);
}
