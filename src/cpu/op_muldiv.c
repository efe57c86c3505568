/* Multiplication and division. SDM 2A "MUL", "IMUL", "DIV", "IDIV". */
#include "cpu/handlers.h"
#include "cpu/op_int.h"

typedef unsigned __int128 u128;
typedef __int128 s128;

/* CF and OF say that the upper half matters; SF, ZF, AF, PF are undefined: from the low half. */
static void set_product_flags(struct cpu *cpu, uint64_t low, unsigned size, bool wide)
{
    cpu->flag_z = low & size_mask(size);
    cpu->flag_sp = (uint64_t)sign_extend(low, size * 8);
    cpu->flag_aux = flag_make_aux(wide, wide, false);
}

static void write_product(struct cpu *cpu, uint64_t low, uint64_t high, unsigned size)
{
    if (size == 1) {
        reg_write(cpu, REG_RAX, (low & 0xff) | (high & 0xff) << 8, 2);
    } else {
        reg_write(cpu, REG_RAX, low, size);
        reg_write(cpu, REG_RDX, high, size);
    }
}

OP(op_mul)
{
    const unsigned size = u->osize, n = size * 8;
    const u128 p = (u128)(cpu->r[REG_RAX] & size_mask(size)) * rm_read(cpu, u);
    const uint64_t low = (uint64_t)p & size_mask(size), high = (uint64_t)(p >> n) & size_mask(size);
    write_product(cpu, low, high, size);
    set_product_flags(cpu, low, size, high != 0);
}

OP(op_imul1)
{
    const unsigned size = u->osize, n = size * 8;
    const s128 p = (s128)sign_extend(cpu->r[REG_RAX], n) * sign_extend(rm_read(cpu, u), n);
    const uint64_t low = (uint64_t)p & size_mask(size), high = (uint64_t)(p >> n) & size_mask(size);
    write_product(cpu, low, high, size);
    set_product_flags(cpu, low, size, p != sign_extend(low, n));
}

OP(op_imul)
{
    const unsigned size = u->osize, n = size * 8;
    const int64_t a = sign_extend(rm_read(cpu, u), n);
    const int64_t b = u->row->opnd[2] == O_NONE ? sign_extend(cpu->r[u->reg], n) : (int64_t)u->imm;
    const s128 p = (s128)a * b;
    reg_write(cpu, u->reg, (uint64_t)p, size);
    set_product_flags(cpu, (uint64_t)p, size, p != sign_extend((uint64_t)p, n));
}

static _Noreturn void divide_error(struct cpu *cpu)
{
    cpu_fault(cpu, VEC_DE, 0, REASON_DE_DIVIDE);
}

/* The dividend: AX, DX:AX, EDX:EAX or RDX:RAX. */
static u128 dividend(const struct cpu *cpu, unsigned size)
{
    if (size == 1)
        return (uint16_t)cpu->r[REG_RAX];
    const uint64_t m = size_mask(size);
    return (u128)(cpu->r[REG_RDX] & m) << (size * 8) | (cpu->r[REG_RAX] & m);
}

OP(op_div)
{
    const unsigned size = u->osize;
    const uint64_t d = rm_read(cpu, u);
    const u128 v = dividend(cpu, size);
    if (!d || (uint64_t)(v >> (size * 8)) >= d)
        divide_error(cpu);
    uint64_t q, r;
    if (!(v >> 64)) {
        q = (uint64_t)v / d;
        r = (uint64_t)v % d;
    } else {
        q = (uint64_t)(v / d);
        r = (uint64_t)(v % d);
    }
    write_product(cpu, q, r, size);
}

OP(op_idiv)
{
    const unsigned size = u->osize, n = size * 8;
    const int64_t d = sign_extend(rm_read(cpu, u), n);
    const s128 v = (s128)(dividend(cpu, size) << (128 - 2 * n)) >> (128 - 2 * n);
    if (!d)
        divide_error(cpu);
    /* the one quotient that 128 bits do not hold */
    if (d == -1 && v == (s128)((u128)1 << 127))
        divide_error(cpu);
    const s128 q = v / d;
    if (q != sign_extend((uint64_t)q, n))
        divide_error(cpu);
    write_product(cpu, (uint64_t)q, (uint64_t)(v % d), size);
}
