/*
 * Lazy arithmetic flags. An operation stores its result twice and its carries once; the flags are
 * worked out by whoever reads them, without branches:
 *
 *   flag_z    ZF = (flag_z == 0)
 *   flag_sp   the result sign-extended to 64 bits: SF = bit 63, PF = even parity of bits 7:0
 *   flag_aux  carry out of each bit position, the operand's top bit moved to bit 63:
 *             CF = bit 63, OF = bit 63 ^ bit 62, AF = bit 3
 */
#ifndef VITRINE_CPU_FLAGS_H
#define VITRINE_CPU_FLAGS_H

#include "cpu/cpu.h"

static inline bool flag_cf(const struct cpu *cpu)
{
    return cpu->flag_aux >> 63;
}
static inline bool flag_of(const struct cpu *cpu)
{
    return (cpu->flag_aux ^ (cpu->flag_aux << 1)) >> 63;
}
static inline bool flag_af(const struct cpu *cpu)
{
    return (cpu->flag_aux >> 3) & 1;
}
static inline bool flag_zf(const struct cpu *cpu)
{
    return cpu->flag_z == 0;
}
static inline bool flag_sf(const struct cpu *cpu)
{
    return cpu->flag_sp >> 63;
}
static inline bool flag_pf(const struct cpu *cpu)
{
    return !(__builtin_popcount((uint8_t)cpu->flag_sp) & 1);
}

#define AUX_CF UINT64_C(0xc000000000000000) /* CF set, OF clear */
#define AUX_OF UINT64_C(0x4000000000000000) /* toggles OF, leaves CF */
#define AUX_AF UINT64_C(8)

static inline uint64_t flag_make_aux(bool cf, bool of, bool af)
{
    return (cf ? AUX_CF : 0) ^ (of ? AUX_OF : 0) ^ (af ? AUX_AF : 0);
}

/* The arithmetic flags as in EFLAGS. */
static inline uint32_t flags_arith(const struct cpu *cpu)
{
    return (flag_cf(cpu) ? FLAG_CF : 0) | (flag_pf(cpu) ? FLAG_PF : 0) |
           (flag_af(cpu) ? FLAG_AF : 0) | (flag_zf(cpu) ? FLAG_ZF : 0) |
           (flag_sf(cpu) ? FLAG_SF : 0) | (flag_of(cpu) ? FLAG_OF : 0);
}

/* Sets the arithmetic flags from a value in EFLAGS layout. */
static inline void flags_set_arith(struct cpu *cpu, uint32_t v)
{
    cpu->flag_z = !(v & FLAG_ZF);
    cpu->flag_sp = (v & FLAG_SF ? UINT64_C(1) << 63 : 0) | (v & FLAG_PF ? 0 : 1);
    cpu->flag_aux = flag_make_aux(v & FLAG_CF, v & FLAG_OF, v & FLAG_AF);
}

/* Changes ZF alone. */
static inline void flags_set_zf(struct cpu *cpu, bool zf)
{
    flags_set_arith(cpu, (flags_arith(cpu) & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

#endif
