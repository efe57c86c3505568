/* See pending.h. */
#include "cpu/jit/pending.h"
#include "cpu/op_int.h"

static void settle_shift(struct cpu *cpu, enum pending_op op, uint64_t a, unsigned n, unsigned c)
{
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

static void set_cf_of(struct cpu *cpu, bool cf, bool of)
{
    cpu->flag_aux = flag_make_aux(cf, of, flag_af(cpu));
}

static void settle_part(struct cpu *cpu, enum pending_part part, unsigned size)
{
    const uint64_t c = cpu->pending_c;
    const unsigned top = size * 8 - 1;
    switch (part) {
    case PART_NONE:
        break;
    case PART_INC:
    case PART_DEC:
        inc_dec(cpu, c, size, part == PART_DEC);
        break;
    case PART_BT:
        set_cf_of(cpu, c & 1, flag_of(cpu));
        break;
    case PART_ZF:
        cpu->flag_z = c & size_mask(size);
        break;
    case PART_ROL:
        set_cf_of(cpu, c & 1, ((c >> top) ^ c) & 1);
        break;
    case PART_ROR:
        set_cf_of(cpu, (c >> top) & 1, ((c >> top) ^ (c >> (top - 1))) & 1);
        break;
    }
}

static void settle_all(struct cpu *cpu, enum pending_op op, unsigned size)
{
    const uint64_t a = cpu->pending_a, b = cpu->pending_b;
    switch (op) {
    case PENDING_NONE:
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
    case PENDING_BMI:
        cpu->flag_z = a & size_mask(size);
        cpu->flag_sp = (uint64_t)sign_extend(a, size * 8);
        cpu->flag_aux = b & 1 ? AUX_CF : 0;
        break;
    case PENDING_RESULT:
        logic(cpu, a, size);
        cpu->flag_aux = flag_make_aux(b & 1, b >> 1 & 1, false);
        break;
    case PENDING_COUNT:
        flags_set_arith(cpu, a ? 0 : FLAG_ZF);
        break;
    case PENDING_ALL:
        all(cpu, a);
        break;
    }
}

static uint64_t value_of(const struct cpu *cpu, struct value v)
{
    return v.kind == V_REG ? cpu->r[v.v] : (uint64_t)v.v;
}

void jit_settle(struct cpu *cpu)
{
    uint32_t p = cpu->pending;
    if (!p)
        return;
    if (p >= PENDING_DEF) {
        const struct pending_def *d = (const struct pending_def *)(uintptr_t)p;
        cpu->pending_a = value_of(cpu, d->a);
        cpu->pending_b = value_of(cpu, d->b);
        p = d->kind;
    }
    cpu->pending = 0;
    /* Where nobody sees the flags of before a part, they may be half a def: any value will do. */
    settle_all(cpu, p & 0xff, 1u << (p >> 8 & 3));
    settle_part(cpu, p >> 16 & 0xff, 1u << (p >> 24 & 3));
}

uint32_t jit_flags(struct cpu *cpu)
{
    jit_settle(cpu);
    const uint32_t f = flags_arith(cpu);
    return (f & 0xff) << 8 | (f & FLAG_OF ? 1 : 0);
}
