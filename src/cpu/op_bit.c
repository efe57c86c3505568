/* Bit tests and scans, BSWAP, POPCNT. SDM 2A "BT", "BTS", "BTR", "BTC", "BSF", "BSR", "BSWAP". */
#include "cpu/handlers.h"
#include "cpu/op_atomic.h"

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

static uint64_t bit_mask(const struct cpu *cpu, const struct insn *u)
{
    const uint64_t index = u->row->opnd[1] == O_Gv ? cpu->r[u->reg] : u->imm;
    return UINT64_C(1) << (index & (u->osize * 8 - 1));
}

static uint64_t with_bit_set(struct cpu *cpu, const struct insn *u, uint64_t v)
{
    return v | bit_mask(cpu, u);
}
static uint64_t with_bit_reset(struct cpu *cpu, const struct insn *u, uint64_t v)
{
    return v & ~bit_mask(cpu, u);
}
static uint64_t with_bit_complemented(struct cpu *cpu, const struct insn *u, uint64_t v)
{
    return v ^ bit_mask(cpu, u);
}

static inline void bit_op(struct cpu *cpu, const struct insn *u, enum bit_op op)
{
    change_fn *const change = op == BIT_SET     ? with_bit_set
                              : op == BIT_RESET ? with_bit_reset
                                                : with_bit_complemented;
    const unsigned size = u->osize;
    const uint64_t bit = bit_mask(cpu, u); /* the register it is in may be the operand */
    uint64_t v;
    if (!u->mem) {
        v = cpu->r[u->rm];
        if (op != BIT_TEST)
            reg_write(cpu, u->rm, change(cpu, u, v), size);
    } else if (op == BIT_TEST) {
        v = load_n(cpu, bit_address(cpu, u, size, ACC_R), size);
    } else {
        const gla_t lin = bit_address(cpu, u, size, ACC_RW);
        if (u->lock) {
            v = locked_change(cpu, u, lin, size, change);
        } else {
            rmw_host(cpu, lin, size); /* a read that faults does so as a write */
            v = load_n(cpu, lin, size);
            store_n(cpu, lin, change(cpu, u, v), size);
        }
    }
    /* ZF is unchanged, the others undefined: unchanged too */
    cpu->flag_aux = flag_make_aux(v & bit, flag_of(cpu), flag_af(cpu));
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
