/* SSE4.2 string comparison and CRC32. SDM 2B §4.1 "Imm8 Control Byte Operation for PCMPxSTRx". */
#include "cpu/op_vec.h"
#include "cpu/handlers.h"

/* --- PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM --- */

/* Fields of the immediate, SDM 2B tables 4-1 to 4-5. */
enum {
    STR_WORDS = BIT(0),
    STR_SIGNED = BIT(1),
    STR_AGGREGATION = 3 << 2,
    STR_EQUAL_ANY = 0 << 2,
    STR_RANGES = 1 << 2,
    STR_EQUAL_EACH = 2 << 2,
    STR_EQUAL_ORDERED = 3 << 2,
    STR_NEGATE = BIT(4),
    STR_VALID_ONLY = BIT(5), /* with STR_NEGATE: only where operand 2 is valid */
    STR_MSB = BIT(6),        /* index of the last match; mask of whole elements */
};

struct string {
    int32_t element[16];
    unsigned length;
};

static void read_elements(struct string *s, v128 v, unsigned imm)
{
    const union chunk c = {.v = v};
    for (unsigned i = 0; i < 16; i++) {
        if (imm & STR_WORDS)
            s->element[i] = imm & STR_SIGNED ? c.sw[i & 7] : c.w[i & 7];
        else
            s->element[i] = imm & STR_SIGNED ? c.sb[i] : c.b[i];
    }
}

/* The length of a string that ends with a zero element. */
static unsigned implicit_length(const struct string *s, unsigned n)
{
    unsigned i = 0;
    while (i < n && s->element[i])
        i++;
    return i;
}
/* The length in EAX or EDX (RAX, RDX with REX.W): its magnitude, at most n. */
static unsigned explicit_length(uint64_t reg, bool wide, unsigned n)
{
    const int64_t v = wide ? (int64_t)reg : (int32_t)reg;
    const uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
    return (unsigned)MIN(magnitude, n);
}

/* Is a's element i in relation with b's element j? With the overrides for elements past an end,
 * SDM 2B table 4-6. */
static bool equal_override(const struct string *a, unsigned i, const struct string *b, unsigned j,
                           bool a_invalid_matches)
{
    if (i >= a->length)
        return a_invalid_matches || j >= b->length;
    return j < b->length && a->element[i] == b->element[j];
}

/* IntRes1: bit j is about b's element j. */
static uint32_t aggregate(const struct string *a, const struct string *b, unsigned n, unsigned imm)
{
    uint32_t result = 0;
    for (unsigned j = 0; j < n; j++) {
        bool match = false;
        switch (imm & STR_AGGREGATION) {
        case STR_EQUAL_ANY:
            for (unsigned i = 0; j < b->length && i < a->length; i++)
                match |= a->element[i] == b->element[j];
            break;
        case STR_RANGES:
            for (unsigned i = 0; j < b->length && i + 1 < a->length; i += 2)
                match |= a->element[i] <= b->element[j] && b->element[j] <= a->element[i + 1];
            break;
        case STR_EQUAL_EACH:
            match = equal_override(a, j, b, j, false);
            break;
        default:
            match = true;
            for (unsigned i = 0; i + j < n; i++)
                match &= equal_override(a, i, b, i + j, true);
            break;
        }
        result |= (uint32_t)match << j;
    }
    return result;
}

/* IntRes2, and the flags. a is the first operand, b the second. */
static uint32_t compare(struct cpu *cpu, const struct string *a, const struct string *b, unsigned n,
                        unsigned imm)
{
    uint32_t result = aggregate(a, b, n, imm);
    const uint32_t all = (1u << n) - 1;
    if (imm & STR_NEGATE)
        result ^= imm & STR_VALID_ONLY ? (1u << b->length) - 1 : all;
    /* CF: any; ZF: b ends here; SF: a ends here; OF: the first; AF, PF cleared */
    cpu->flag_z = b->length >= n;
    cpu->flag_sp = (a->length < n ? BIT64(63) : 0) | 1;
    cpu->flag_aux = flag_make_aux(result, result & 1, false);
    return result;
}

static uint32_t run_compare(struct cpu *cpu, const struct insn *u, bool explicit_lengths)
{
    const unsigned imm = (unsigned)u->imm, n = imm & STR_WORDS ? 8 : 16;
    const v128 vb = xmm_w128_unaligned(cpu, u);
    struct string a, b;
    read_elements(&a, xmm_read(cpu, u->reg), imm);
    read_elements(&b, vb, imm);
    if (explicit_lengths) {
        a.length = explicit_length(cpu->r[REG_RAX], u->rex & 8, n);
        b.length = explicit_length(cpu->r[REG_RDX], u->rex & 8, n);
    } else {
        a.length = implicit_length(&a, n);
        b.length = implicit_length(&b, n);
    }
    return compare(cpu, &a, &b, n, imm);
}

static void deliver_index(struct cpu *cpu, const struct insn *u, uint32_t result)
{
    const unsigned n = u->imm & STR_WORDS ? 8 : 16;
    if (!result)
        cpu->r[REG_RCX] = n;
    else if (u->imm & STR_MSB)
        cpu->r[REG_RCX] = 31 - (unsigned)__builtin_clz(result);
    else
        cpu->r[REG_RCX] = (unsigned)__builtin_ctz(result);
}
static void deliver_mask(struct cpu *cpu, const struct insn *u, uint32_t result)
{
    v128 mask = v128_of(result, 0);
    if (u->imm & STR_MSB)
        mask = vec_blend((v128){0}, ~(v128){0}, result, u->imm & STR_WORDS ? 2 : 1);
    xmm_write(cpu, 0, mask);
}

OP(op_pcmpestri)
{
    deliver_index(cpu, u, run_compare(cpu, u, true));
}
OP(op_pcmpestrm)
{
    deliver_mask(cpu, u, run_compare(cpu, u, true));
}
OP(op_vpcmpestrm)
{
    deliver_mask(cpu, u, run_compare(cpu, u, true));
    xmm_write_vex(cpu, 0, xmm_read(cpu, 0));
}
OP(op_vpcmpistrm)
{
    deliver_mask(cpu, u, run_compare(cpu, u, false));
    xmm_write_vex(cpu, 0, xmm_read(cpu, 0));
}
OP(op_pcmpistri)
{
    deliver_index(cpu, u, run_compare(cpu, u, false));
}
OP(op_pcmpistrm)
{
    deliver_mask(cpu, u, run_compare(cpu, u, false));
}

/* --- CRC32: polynomial 11EDC6F41h, bits reflected. SDM 2A "CRC32" --- */

static uint32_t crc32c(uint32_t crc, uint64_t v, unsigned bytes)
{
    /* what the low and the high half of a byte become, a byte later */
    static const uint32_t lo[16] = {
        0x00000000, 0xf26b8303, 0xe13b70f7, 0x1350f3f4, 0xc79a971f, 0x35f1141c,
        0x26a1e7e8, 0xd4ca64eb, 0x8ad958cf, 0x78b2dbcc, 0x6be22838, 0x9989ab3b,
        0x4d43cfd0, 0xbf284cd3, 0xac78bf27, 0x5e133c24,
    };
    static const uint32_t hi[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (unsigned i = 0; i < bytes; i++, v >>= 8) {
        const uint8_t x = (uint8_t)(crc ^ v);
        crc = (crc >> 8) ^ lo[x & 15] ^ hi[x >> 4];
    }
    return crc;
}

OP(op_crc32)
{
    uint64_t v;
    if (u->mem)
        v = load_n(cpu, vec_linear(cpu, u, u->osize, ACC_R), u->osize);
    else if (u->osize == 1)
        v = *reg8(cpu, u->rm, u->rex);
    else
        v = cpu->r[u->rm] & size_mask(u->osize);
    cpu->r[u->reg] = crc32c((uint32_t)cpu->r[u->reg], v, u->osize);
}
