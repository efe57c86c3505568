/*
 * XCHG, CMPXCHG, XADD, CMPXCHG8B/16B. With one vCPU a thread of its own runs at a time, so LOCK
 * needs no host atomics here; the rights of the write are checked before anything changes.
 */
#include "cpu/handlers.h"
#include "cpu/op_int.h"

static uint64_t read_rm(struct cpu *cpu, const struct insn *u, gla_t lin)
{
    if (u->mem)
        return load_n(cpu, lin, u->osize);
    return u->osize == 1 ? *reg8(cpu, u->rm, u->rex) : cpu->r[u->rm] & size_mask(u->osize);
}

static void write_rm(struct cpu *cpu, const struct insn *u, gla_t lin, uint64_t v)
{
    if (u->mem)
        store_n(cpu, lin, v, u->osize);
    else if (u->osize == 1)
        *reg8(cpu, u->rm, u->rex) = (uint8_t)v;
    else
        reg_write(cpu, u->rm, v, u->osize);
}

static uint64_t read_reg(struct cpu *cpu, const struct insn *u)
{
    return u->osize == 1 ? *reg8(cpu, u->reg, u->rex) : cpu->r[u->reg] & size_mask(u->osize);
}

static void write_reg(struct cpu *cpu, const struct insn *u, uint64_t v)
{
    if (u->osize == 1)
        *reg8(cpu, u->reg, u->rex) = (uint8_t)v;
    else
        reg_write(cpu, u->reg, v, u->osize);
}

static gla_t rmw_linear(struct cpu *cpu, const struct insn *u)
{
    if (!u->mem)
        return 0;
    const gla_t lin = ea_linear(cpu, u, u->osize, ACC_RW);
    rmw_host(cpu, lin, u->osize);
    return lin;
}

OP(op_xchg)
{
    if (u->row->opnd[0] == O_Zv) {
        const uint64_t v = cpu->r[u->reg];
        reg_write(cpu, u->reg, cpu->r[REG_RAX], u->osize);
        reg_write(cpu, REG_RAX, v, u->osize);
        return;
    }
    const gla_t lin = rmw_linear(cpu, u);
    const uint64_t v = read_rm(cpu, u, lin);
    write_rm(cpu, u, lin, read_reg(cpu, u));
    write_reg(cpu, u, v);
}

/* The destination is written in either case (SDM 2A "CMPXCHG"). */
OP(op_cmpxchg)
{
    const unsigned size = u->osize;
    const gla_t lin = rmw_linear(cpu, u);
    const uint64_t acc = cpu->r[REG_RAX] & size_mask(size), dst = read_rm(cpu, u, lin);
    if (acc == dst) {
        write_rm(cpu, u, lin, read_reg(cpu, u));
    } else {
        if (u->mem)
            store_n(cpu, lin, dst, size);
        if (size == 1)
            wr8(cpu, 0, (uint8_t)dst);
        else
            reg_write(cpu, REG_RAX, dst, size);
    }
    do_sub_n(cpu, acc, dst, size);
}

OP(op_xadd)
{
    const gla_t lin = rmw_linear(cpu, u);
    const uint64_t dst = read_rm(cpu, u, lin), src = read_reg(cpu, u);
    if (u->mem) {
        write_rm(cpu, u, lin, dst + src);
        write_reg(cpu, u, dst);
    } else {
        write_reg(cpu, u, dst);
        write_rm(cpu, u, lin, dst + src);
    }
    do_add_n(cpu, dst, src, u->osize);
}

OP(op_cmpxchg8b)
{
    const gla_t lin = ea_linear(cpu, u, 8, ACC_RW);
    rmw_host(cpu, lin, 8);
    const uint64_t old = load64(cpu, lin);
    const uint64_t want = cpu->r[REG_RDX] << 32 | (uint32_t)cpu->r[REG_RAX];
    const bool same = old == want;
    store64(cpu, lin, same ? cpu->r[REG_RCX] << 32 | (uint32_t)cpu->r[REG_RBX] : old);
    if (!same) {
        cpu->r[REG_RAX] = (uint32_t)old;
        cpu->r[REG_RDX] = old >> 32;
    }
    flags_set_zf(cpu, same);
}

OP(op_cmpxchg16b)
{
    const gla_t lin = ea_aligned(cpu, u, 16, ACC_RW);
    rmw_host(cpu, lin, 16);
    uint64_t old[2];
    load128(cpu, lin, old);
    const bool same = old[0] == cpu->r[REG_RAX] && old[1] == cpu->r[REG_RDX];
    const uint64_t new[2] = {cpu->r[REG_RBX], cpu->r[REG_RCX]};
    store128(cpu, lin, same ? new : old);
    if (!same) {
        cpu->r[REG_RAX] = old[0];
        cpu->r[REG_RDX] = old[1];
    }
    flags_set_zf(cpu, same);
}
