/*
 * XCHG, CMPXCHG, XADD, CMPXCHG8B/16B, and everything under LOCK: read, changed and written by one
 * atomic operation of the host (lock_begin() in access.h), since CPUs may have threads of their
 * own. Nothing changes before the rights of the write are checked.
 */
#include "core/pair.h"
#include "cpu/handlers.h"
#include "cpu/op_atomic.h"

/* --- on the host --- */

static bool swap_host(void *p, uint64_t *old, uint64_t new, unsigned size)
{
    uint8_t old8 = (uint8_t)*old;
    uint16_t old16 = (uint16_t)*old;
    uint32_t old32 = (uint32_t)*old;
    bool done;
    switch (size) {
    case 1:
        done = __atomic_compare_exchange_n((uint8_t *)p, &old8, (uint8_t) new, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        *old = old8;
        return done;
    case 2:
        done = __atomic_compare_exchange_n((uint16_t *)p, &old16, (uint16_t) new, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        *old = old16;
        return done;
    case 4:
        done = __atomic_compare_exchange_n((uint32_t *)p, &old32, (uint32_t) new, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        *old = old32;
        return done;
    default:
        return __atomic_compare_exchange_n((uint64_t *)p, old, new, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_SEQ_CST);
    }
}

uint64_t locked_change(struct cpu *cpu, const struct insn *u, gla_t lin, unsigned size,
                       change_fn *change)
{
    void *host = lock_begin(cpu, lin, size);
    const uint64_t z = cpu->flag_z, sp = cpu->flag_sp, aux = cpu->flag_aux;
    uint64_t old = host ? ld_le(host, size) : load_n(cpu, lin, size);
    for (;;) {
        const uint64_t new = change(cpu, u, old) & size_mask(size);
        if (!host) {
            store_n(cpu, lin, new, size);
            break;
        }
        if (swap_host(host, &old, new, size))
            break;
        cpu->flag_z = z; /* another CPU was faster: once more, from the flags before */
        cpu->flag_sp = sp;
        cpu->flag_aux = aux;
    }
    lock_end(cpu, host, size);
    return old;
}

/* --- operands --- */

static uint64_t read_register(struct cpu *cpu, unsigned n, const struct insn *u)
{
    return u->osize == 1 ? *reg8(cpu, n, u->rex) : cpu->r[n] & size_mask(u->osize);
}

static void write_register(struct cpu *cpu, unsigned n, const struct insn *u, uint64_t v)
{
    if (u->osize == 1)
        *reg8(cpu, n, u->rex) = (uint8_t)v;
    else
        reg_write(cpu, n, v, u->osize);
}

static gla_t operand(struct cpu *cpu, const struct insn *u)
{
    return ea_linear(cpu, u, u->osize, ACC_RW);
}

/* --- LOCK before ADD, OR, ADC, SBB, AND, SUB, XOR, INC, DEC, NEG, NOT --- */

#define CASES(n)                                     \
    case OP_ADD:                                     \
        return do_add##n(cpu, (uint##n##_t)v, b##n); \
    case OP_OR:                                      \
        return do_or##n(cpu, (uint##n##_t)v, b##n);  \
    case OP_ADC:                                     \
        return do_adc##n(cpu, (uint##n##_t)v, b##n); \
    case OP_SBB:                                     \
        return do_sbb##n(cpu, (uint##n##_t)v, b##n); \
    case OP_AND:                                     \
        return do_and##n(cpu, (uint##n##_t)v, b##n); \
    case OP_SUB:                                     \
        return do_sub##n(cpu, (uint##n##_t)v, b##n); \
    case OP_XOR:                                     \
        return do_xor##n(cpu, (uint##n##_t)v, b##n); \
    case OP_INC:                                     \
        return do_inc##n(cpu, (uint##n##_t)v);       \
    case OP_DEC:                                     \
        return do_dec##n(cpu, (uint##n##_t)v);       \
    case OP_NEG:                                     \
        return do_neg##n(cpu, (uint##n##_t)v);       \
    default:                                         \
        return do_not##n(cpu, (uint##n##_t)v);

/* The second operand is an immediate or a register; INC and its kin have none and ignore it. */
static uint64_t second_operand(struct cpu *cpu, const struct insn *u)
{
    const enum operand src = u->row->opnd[1];
    if (src == O_Gb || src == O_Gv)
        return read_register(cpu, u->reg, u);
    return u->imm;
}

#define CHANGE(n)                                                             \
    static uint64_t alu##n(struct cpu *cpu, const struct insn *u, uint64_t v) \
    {                                                                         \
        const uint##n##_t b##n = (uint##n##_t)second_operand(cpu, u);         \
        switch (u->op) {                                                      \
            CASES(n)                                                          \
        }                                                                     \
    }
CHANGE(8)
CHANGE(16)
CHANGE(32)
CHANGE(64)

OP(op_locked_alu)
{
    change_fn *const change = u->osize == 1   ? alu8
                              : u->osize == 2 ? alu16
                              : u->osize == 4 ? alu32
                                              : alu64;
    locked_change(cpu, u, operand(cpu, u), u->osize, change);
}

bool locked_alu(const struct insn *u)
{
    if (!u->lock || !u->mem)
        return false;
    switch (u->op) {
    case OP_ADD:
    case OP_OR:
    case OP_ADC:
    case OP_SBB:
    case OP_AND:
    case OP_SUB:
    case OP_XOR:
    case OP_INC:
    case OP_DEC:
    case OP_NEG:
    case OP_NOT:
        return true;
    default:
        return false;
    }
}

/* --- exchanges: with a memory operand always locked, which is more than all but XCHG ask --- */

static uint64_t to_register(struct cpu *cpu, const struct insn *u, uint64_t old)
{
    (void)old;
    return read_register(cpu, u->reg, u);
}

OP(op_xchg)
{
    if (u->row->opnd[0] == O_Zv) {
        const uint64_t v = cpu->r[u->reg];
        reg_write(cpu, u->reg, cpu->r[REG_RAX], u->osize);
        reg_write(cpu, REG_RAX, v, u->osize);
        return;
    }
    if (u->mem) {
        write_register(cpu, u->reg, u,
                       locked_change(cpu, u, operand(cpu, u), u->osize, to_register));
        return;
    }
    const uint64_t v = read_register(cpu, u->rm, u);
    write_register(cpu, u->rm, u, read_register(cpu, u->reg, u));
    write_register(cpu, u->reg, u, v);
}

/* The destination is written in either case (SDM 2A "CMPXCHG"). */
static uint64_t if_equal(struct cpu *cpu, const struct insn *u, uint64_t old)
{
    const bool equal = old == (cpu->r[REG_RAX] & size_mask(u->osize));
    return equal ? read_register(cpu, u->reg, u) : old;
}

OP(op_cmpxchg)
{
    const unsigned size = u->osize;
    const uint64_t acc = cpu->r[REG_RAX] & size_mask(size);
    uint64_t old;
    if (u->mem) {
        old = locked_change(cpu, u, operand(cpu, u), size, if_equal);
    } else {
        old = read_register(cpu, u->rm, u);
        if (old == acc)
            write_register(cpu, u->rm, u, read_register(cpu, u->reg, u));
    }
    if (old != acc) {
        if (size == 1)
            wr8(cpu, 0, (uint8_t)old);
        else
            reg_write(cpu, REG_RAX, old, size);
    }
    do_sub_n(cpu, acc, old, size);
}

static uint64_t plus_register(struct cpu *cpu, const struct insn *u, uint64_t old)
{
    return old + read_register(cpu, u->reg, u);
}

OP(op_xadd)
{
    const uint64_t src = read_register(cpu, u->reg, u);
    uint64_t old;
    if (u->mem) {
        old = locked_change(cpu, u, operand(cpu, u), u->osize, plus_register);
        write_register(cpu, u->reg, u, old);
    } else {
        old = read_register(cpu, u->rm, u);
        write_register(cpu, u->reg, u, old);
        write_register(cpu, u->rm, u, old + src);
    }
    do_add_n(cpu, old, src, u->osize);
}

static uint64_t pair_if_equal(struct cpu *cpu, const struct insn *u, uint64_t old)
{
    (void)u;
    const bool equal = old == (cpu->r[REG_RDX] << 32 | (uint32_t)cpu->r[REG_RAX]);
    return equal ? cpu->r[REG_RCX] << 32 | (uint32_t)cpu->r[REG_RBX] : old;
}

OP(op_cmpxchg8b)
{
    const uint64_t want = cpu->r[REG_RDX] << 32 | (uint32_t)cpu->r[REG_RAX];
    const uint64_t old = locked_change(cpu, u, ea_linear(cpu, u, 8, ACC_RW), 8, pair_if_equal);
    if (old != want) {
        cpu->r[REG_RAX] = (uint32_t)old;
        cpu->r[REG_RDX] = old >> 32;
    }
    flags_set_zf(cpu, old == want);
}

OP(op_cmpxchg16b)
{
    const gla_t lin = ea_aligned(cpu, u, 16, ACC_RW);
    const uint64_t want[2] = {cpu->r[REG_RAX], cpu->r[REG_RDX]};
    const uint64_t new[2] = {cpu->r[REG_RBX], cpu->r[REG_RCX]};
    uint64_t old[2];
    void *host = lock_begin(cpu, lin, 16);
    if (host) {
        unsigned __int128 w, n, o;
        memcpy(&w, want, 16);
        memcpy(&n, new, 16);
        o = swap_pair(host, w, n);
        memcpy(old, &o, 16);
    } else {
        load128(cpu, lin, old);
        store128(cpu, lin, memcmp(old, want, 16) == 0 ? new : old);
    }
    lock_end(cpu, host, 16);
    const bool same = old[0] == want[0] && old[1] == want[1];
    if (!same) {
        cpu->r[REG_RAX] = old[0];
        cpu->r[REG_RDX] = old[1];
    }
    flags_set_zf(cpu, same);
}
