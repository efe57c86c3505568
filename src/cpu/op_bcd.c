/* Decimal adjustments, not valid in 64-bit mode. SDM 2A under each mnemonic, "Operation". */
#include "cpu/handlers.h"
#include "cpu/op_int.h"

static void set_al(struct cpu *cpu, uint8_t v)
{
    wr8(cpu, 0, v);
}

/* SF, ZF, PF from AL, with CF and AF as computed; OF undefined: clear. */
static void set_adjusted(struct cpu *cpu, uint8_t al, bool cf, bool af)
{
    set_al(cpu, al);
    set_logic8(cpu, al);
    cpu->flag_aux = flag_make_aux(cf, false, af);
}

OP(op_daa)
{
    const uint8_t old = (uint8_t)cpu->r[REG_RAX];
    const bool old_cf = flag_cf(cpu);
    uint8_t al = old;
    const bool af = (old & 0xf) > 9 || flag_af(cpu);
    if (af)
        al += 6;
    const bool cf = old > 0x99 || old_cf;
    if (cf)
        al += 0x60;
    set_adjusted(cpu, al, cf, af);
}

OP(op_das)
{
    const uint8_t old = (uint8_t)cpu->r[REG_RAX];
    const bool old_cf = flag_cf(cpu);
    uint8_t al = old;
    bool cf = false;
    const bool af = (old & 0xf) > 9 || flag_af(cpu);
    if (af) {
        cf = old_cf || old < 6;
        al -= 6;
    }
    if (old > 0x99 || old_cf) {
        al -= 0x60;
        cf = true;
    }
    set_adjusted(cpu, al, cf, af);
}

static void ascii_adjust(struct cpu *cpu, int sign)
{
    uint16_t ax = (uint16_t)cpu->r[REG_RAX];
    const bool adjust = (ax & 0xf) > 9 || flag_af(cpu);
    if (adjust)
        ax = (uint16_t)(ax + sign * 0x106);
    ax &= 0xff0f;
    reg_write(cpu, REG_RAX, ax, 2);
    set_logic8(cpu, (uint8_t)ax);
    cpu->flag_aux = flag_make_aux(adjust, false, adjust);
}

OP(op_aaa)
{
    ascii_adjust(cpu, 1);
}
OP(op_aas)
{
    ascii_adjust(cpu, -1);
}

OP(op_aam)
{
    const uint8_t base = (uint8_t)u->imm, al = (uint8_t)cpu->r[REG_RAX];
    if (!base)
        cpu_fault(cpu, VEC_DE, 0, REASON_DE_DIVIDE);
    reg_write(cpu, REG_RAX, (uint64_t)(al / base) << 8 | al % base, 2);
    set_logic8(cpu, al % base);
}

OP(op_aad)
{
    const uint16_t ax = (uint16_t)cpu->r[REG_RAX];
    const uint8_t al = (uint8_t)((ax & 0xff) + (ax >> 8) * (uint8_t)u->imm);
    reg_write(cpu, REG_RAX, al, 2);
    set_logic8(cpu, al);
}
