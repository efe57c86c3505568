/* See pending.h. */
#include "cpu/jit/pending.h"
#include "cpu/op_int.h"

static void settle_shift(struct cpu *cpu, enum pending_op op, uint64_t a, unsigned n, unsigned c)
{
    if (!c)
        return;
    /* SDM 2B "SAL/SAR/SHL/SHR"; OF beyond a count of one as op_shift.inc has it */
    const uint64_t mask = ~UINT64_C(0) >> (64 - n);
    a &= mask;
    uint64_t r;
    bool cf, of;
    if (op == PENDING_SHL) {
        r = c < n ? a << c & mask : 0;
        cf = c <= n && (a >> (n - c)) & 1;
        of = ((r >> (n - 1)) & 1) ^ cf;
    } else if (op == PENDING_SHR) {
        r = c < n ? a >> c : 0;
        cf = c <= n && (a >> (c - 1)) & 1;
        of = ((r >> (n - 1)) ^ (r >> (n - 2))) & 1;
    } else {
        const int64_t s = sign_extend(a, n);
        r = (uint64_t)(s >> (c < n ? c : n - 1)) & mask;
        cf = (s >> ((c <= n ? c : n) - 1)) & 1;
        of = false;
    }
    cpu->flag_z = r;
    cpu->flag_sp = (uint64_t)sign_extend(r, n);
    cpu->flag_aux = flag_make_aux(cf, of, false);
}

static void inc_dec(struct cpu *cpu, uint64_t r, unsigned size, bool dec)
{
    const uint64_t old = cpu->flag_aux;
    if (dec)
        do_sub_n(cpu, r + 1, 1, size);
    else
        do_add_n(cpu, r - 1, 1, size);
    cpu->flag_aux ^= AUX_CF & -((cpu->flag_aux ^ old) >> 63);
}

static void logic(struct cpu *cpu, uint64_t r, unsigned size)
{
    cpu->flag_z = r & size_mask(size);
    cpu->flag_sp = (uint64_t)sign_extend(r, size * 8);
    cpu->flag_aux = 0;
}

/* LAHF has SF ZF 0 AF 0 PF 1 CF in bits 15:8, SETO is bit 0. */
static void all(struct cpu *cpu, uint64_t v)
{
    flags_set_arith(cpu, (uint32_t)(v >> 8 & (FLAGS_ARITH & 0xff)) | (v & 1 ? FLAG_OF : 0));
}

void jit_settle(struct cpu *cpu)
{
    const enum pending_op op = cpu->pending & 0xff;
    if (op == PENDING_NONE)
        return;
    const unsigned size = 1u << (cpu->pending >> 8);
    const uint64_t a = cpu->pending_a, b = cpu->pending_b;
    cpu->pending = PENDING_NONE;
    switch (op) {
    case PENDING_NONE:
        break;
    case PENDING_INC:
    case PENDING_DEC:
        inc_dec(cpu, a, size, op == PENDING_DEC);
        break;
    case PENDING_BT:
        cpu->flag_aux = flag_make_aux(b & 1, flag_of(cpu), flag_af(cpu));
        break;
    case PENDING_SHL:
    case PENDING_SHR:
    case PENDING_SAR:
        settle_shift(cpu, op, a, size * 8, (unsigned)b & (size == 8 ? 63 : 31));
        break;
    case PENDING_ADD:
        do_add_n(cpu, a - b, b, size);
        break;
    case PENDING_SUB:
        do_sub_n(cpu, a + b, b, size);
        break;
    case PENDING_ADD2:
        do_add_n(cpu, a, b, size);
        break;
    case PENDING_CMP:
        do_sub_n(cpu, a, b, size);
        break;
    case PENDING_LOGIC:
        logic(cpu, a, size);
        break;
    case PENDING_NEG:
        do_sub_n(cpu, 0, -a, size);
        break;
    case PENDING_IMUL:
        logic(cpu, a, size);
        cpu->flag_aux = flag_make_aux(b & 1, b & 1, false);
        break;
    case PENDING_ALL:
        all(cpu, a);
        break;
    }
}
