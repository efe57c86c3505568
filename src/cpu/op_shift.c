/*
 * Shifts, rotates and double shifts. SDM 2B "SAL/SAR/SHL/SHR", "RCL/RCR/ROL/ROR", "SHLD", "SHRD".
 * OF for counts other than 1 is undefined; we give what the last one-bit step would.
 */
#include "cpu/handlers.h"
#include "cpu/op_int.h"

/* Rotates change CF and OF only. */
static inline void set_cf_of(struct cpu *cpu, bool cf, bool of)
{
    cpu->flag_aux = flag_make_aux(cf, of, false) | (cpu->flag_aux & AUX_AF);
}

#define W 8
#include "cpu/op_shift.inc"
#define W 16
#include "cpu/op_shift.inc"
#define W 32
#include "cpu/op_shift.inc"
#define W 64
#include "cpu/op_shift.inc"

#define SHIFT_HALF(name)                                                                 \
    {                                                                                    \
        .r = WIDTHS(name##_r), .m = { {WIDTHS_A(name##_m, _f), WIDTHS_A(name##_m, _g)} } \
    }
#define SHIFT_FORMS(OPN)                                                        \
    const struct shift_forms forms_##OPN = {.cl = SHIFT_HALF(shift_##OPN##_cl), \
                                            .imm = SHIFT_HALF(shift_##OPN##_imm)}
SHIFT_FORMS(rol);
SHIFT_FORMS(ror);
SHIFT_FORMS(rcl);
SHIFT_FORMS(rcr);
SHIFT_FORMS(shl);
SHIFT_FORMS(shr);
SHIFT_FORMS(sar);

/* Flags of an n-byte result whose CF and OF are known. */
static void set_result(struct cpu *cpu, uint64_t r, unsigned size, bool cf, bool of)
{
    cpu->flag_z = r & size_mask(size);
    cpu->flag_sp = (uint64_t)sign_extend(r, size * 8);
    cpu->flag_aux = flag_make_aux(cf, of, false);
}

/* Counts above 16 on 16-bit operands are undefined: the operands rotate on, as on hardware. */
static void double_shift(struct cpu *cpu, const struct insn *u, bool left)
{
    const unsigned size = u->osize, n = size * 8;
    const unsigned raw = u->row->opnd[2] == O_CL ? (unsigned)cpu->r[REG_RCX] : (unsigned)u->imm;
    const unsigned c = raw & (size == 8 ? 63 : 31);
    const gla_t lin = u->mem ? ea_linear(cpu, u, size, ACC_RW) : 0;
    if (u->mem)
        rmw_host(cpu, lin, size); /* a write fault comes first, even for a count of 0 */
    uint64_t d = (u->mem ? load_n(cpu, lin, size) : cpu->r[u->rm]) & size_mask(size);
    const uint64_t s = cpu->r[u->reg] & size_mask(size);
    if (c) {
        uint64_t r;
        bool cf;
        if (size == 2) {
            const uint64_t wide = left ? d << 32 | s << 16 | d : (uint64_t)d << 32 | s << 16 | d;
            r = left ? (wide << c) >> 32 : wide >> c;
            cf = left ? (wide >> (48 - c)) & 1 : (wide >> (c - 1)) & 1;
        } else if (left) {
            r = d << c | s >> (n - c);
            cf = (d >> (n - c)) & 1;
        } else {
            r = d >> c | s << (n - c);
            cf = (d >> (c - 1)) & 1;
        }
        r &= size_mask(size);
        const bool of = ((r ^ d) >> (n - 1)) & 1;
        if (u->mem)
            store_n(cpu, lin, r, size);
        set_result(cpu, r, size, cf, of);
        d = r;
    }
    if (!u->mem)
        reg_write(cpu, u->rm, d, size);
}

OP(op_shld)
{
    double_shift(cpu, u, true);
}

OP(op_shrd)
{
    double_shift(cpu, u, false);
}
