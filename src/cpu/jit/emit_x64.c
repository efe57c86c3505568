/* See emit_x64.h. */
#include "cpu/jit/emit_x64.h"

#define INSN_MAX 16 /* no instruction we write is longer */

static bool room(struct emit *e, size_t n)
{
    if ((size_t)(e->end - e->p) >= n)
        return true;
    e->full = true;
    return false;
}

void emit_bytes(struct emit *e, const void *bytes, size_t n)
{
    if (!room(e, n))
        return;
    memcpy(e->p, bytes, n);
    e->p += n;
}

void emit_u8(struct emit *e, uint8_t v)
{
    emit_bytes(e, &v, 1);
}

void emit_u32(struct emit *e, uint32_t v)
{
    emit_bytes(e, &v, 4);
}

static void touch(struct emit *e, unsigned reg, const struct host_rm *rm)
{
    e->touched |= BIT(reg & 15);
    if (!rm->mem)
        e->touched |= BIT(rm->base & 15);
}

/* --- one instruction, put together here and written at once --- */

struct piece {
    uint8_t b[INSN_MAX];
    unsigned n;
};

static void put(struct piece *s, unsigned byte)
{
    s->b[s->n++] = (uint8_t)byte;
}

static void put_n(struct piece *s, uint64_t v, unsigned n)
{
    memcpy(s->b + s->n, &v, n);
    s->n += n;
}

static unsigned high(unsigned reg)
{
    return reg != H_NONE && (reg & 8) ? 1 : 0;
}

/* ModRM, SIB and displacement. SDM 2A tables 2-2 and 2-3. */
static void put_modrm(struct piece *s, unsigned reg, const struct host_rm *rm)
{
    const unsigned r = (reg & 7) << 3;
    if (!rm->mem) {
        put(s, 0xc0 | r | (rm->base & 7));
        return;
    }
    const bool sib = rm->index != H_NONE || rm->base == H_NONE || (rm->base & 7) == 4;
    const unsigned index = rm->index == H_NONE ? 4 : rm->index & 7;
    if (rm->base == H_NONE) { /* disp32 without a base needs the SIB form in 64-bit mode */
        put(s, r | 4);
        put(s, (unsigned)rm->scale << 6 | index << 3 | 5);
        put_n(s, (uint32_t)rm->disp, 4);
        return;
    }
    const unsigned mod = rm->disp == 0 && (rm->base & 7) != 5  ? 0
                         : rm->disp >= -128 && rm->disp <= 127 ? 1
                                                               : 2;
    put(s, mod << 6 | r | (sib ? 4 : rm->base & 7));
    if (sib)
        put(s, (unsigned)rm->scale << 6 | index << 3 | (rm->base & 7));
    if (mod)
        put_n(s, (uint32_t)rm->disp, mod == 1 ? 1 : 4);
}

static void put_opcode(struct piece *s, uint32_t opcode)
{
    if (opcode > 0xffff)
        put(s, opcode >> 16);
    if (opcode > 0xff)
        put(s, opcode >> 8 & 0xff);
    put(s, opcode & 0xff);
}

static void put_rex(struct piece *s, bool w, unsigned reg, const struct host_rm *rm, bool force)
{
    const unsigned rex =
        (unsigned)w << 3 | high(reg) << 2 | (rm->mem ? high(rm->index) << 1 : 0) | high(rm->base);
    if (rex || force)
        put(s, 0x40 | rex);
}

static void rm_insn(struct emit *e, unsigned size, bool byte_reg, bool byte_rm, uint32_t opcode,
                    unsigned reg, const struct host_rm *rm, uint64_t imm, unsigned imm_bytes)
{
    struct piece s = {.n = 0};
    if (rm->gs)
        put(&s, 0x65);
    if (size == 2)
        put(&s, 0x66);
    const bool force = (byte_reg && reg >= 4) || (byte_rm && !rm->mem && rm->base >= 4);
    put_rex(&s, size == 8, reg, rm, force);
    put_opcode(&s, opcode);
    put_modrm(&s, reg, rm);
    put_n(&s, imm, imm_bytes);
    emit_bytes(e, s.b, s.n);
    touch(e, reg, rm);
}

void emit_rm(struct emit *e, unsigned size, uint32_t opcode, unsigned reg, struct host_rm rm)
{
    rm_insn(e, size, size == 1, size == 1, opcode, reg, &rm, 0, 0);
}

void emit_rm_imm(struct emit *e, unsigned size, uint32_t opcode, unsigned reg, struct host_rm rm,
                 uint64_t imm, unsigned imm_bytes)
{
    rm_insn(e, size, size == 1, size == 1, opcode, reg, &rm, imm, imm_bytes);
}

void emit_extend(struct emit *e, unsigned size, uint32_t opcode, unsigned reg, struct host_rm rm,
                 unsigned src_size)
{
    rm_insn(e, size, false, src_size == 1, opcode, reg, &rm, 0, 0);
}

void emit_sse(struct emit *e, unsigned prefix, bool w, uint32_t opcode, unsigned reg,
              struct host_rm rm, int imm8)
{
    static const uint8_t bytes[] = {[P_66] = 0x66, [P_F3] = 0xf3, [P_F2] = 0xf2};
    struct piece s = {.n = 0};
    if (rm.gs)
        put(&s, 0x65);
    if (prefix != P_NONE)
        put(&s, bytes[prefix]);
    put_rex(&s, w, reg, &rm, false);
    put_opcode(&s, opcode);
    put_modrm(&s, reg, &rm);
    if (imm8 >= 0)
        put(&s, (unsigned)imm8);
    emit_bytes(e, s.b, s.n);
    touch(e, reg, &rm);
}

/* SDM 2A §2.3.5 "The VEX Prefix", the three-byte form always. */
void emit_vex(struct emit *e, unsigned prefix, unsigned map, bool w, unsigned l, uint8_t opcode,
              unsigned reg, unsigned v, struct host_rm rm, int imm8)
{
    struct piece s = {.n = 0};
    if (rm.gs)
        put(&s, 0x65);
    const unsigned r = high(reg), x = rm.mem ? high(rm.index) : 0, b = high(rm.base);
    static const uint8_t pp[] = {[P_NONE] = 0, [P_66] = 1, [P_F3] = 2, [P_F2] = 3};
    put(&s, 0xc4);
    put(&s, (r ^ 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | map);
    put(&s, (unsigned)w << 7 | (~v & 15) << 3 | l << 2 | pp[prefix]);
    put(&s, opcode);
    put_modrm(&s, reg, &rm);
    if (imm8 >= 0)
        put(&s, (unsigned)imm8);
    emit_bytes(e, s.b, s.n);
    touch(e, reg, &rm);
    e->touched |= BIT(v & 15);
}

void emit_alu_imm(struct emit *e, unsigned size, unsigned op, struct host_rm rm, int32_t imm)
{
    if (size == 1)
        emit_rm_imm(e, 1, 0x80, op, rm, (uint8_t)imm, 1);
    else if (imm >= -128 && imm <= 127)
        emit_rm_imm(e, size, 0x83, op, rm, (uint8_t)imm, 1);
    else
        emit_rm_imm(e, size, 0x81, op, rm, (uint32_t)imm, size == 2 ? 2 : 4);
}

void emit_store_imm(struct emit *e, unsigned size, struct host_rm rm, int32_t imm)
{
    emit_rm_imm(e, size, size == 1 ? 0xc6 : 0xc7, 0, rm, (uint32_t)imm, MIN(size, 4u));
}

void emit_test_imm(struct emit *e, unsigned size, struct host_rm rm, int32_t imm)
{
    emit_rm_imm(e, size, size == 1 ? 0xf6 : 0xf7, 0, rm, (uint32_t)imm, MIN(size, 4u));
}

void emit_mov_imm(struct emit *e, unsigned reg, uint64_t imm)
{
    struct piece s = {.n = 0};
    const struct host_rm rm = h_reg(reg);
    if (imm == (uint32_t)imm) {
        put_rex(&s, false, 0, &rm, false);
        put(&s, 0xb8 | (reg & 7));
        put_n(&s, imm, 4);
    } else if ((int64_t)imm == (int32_t)imm) {
        put_rex(&s, true, 0, &rm, false);
        put(&s, 0xc7);
        put_modrm(&s, 0, &rm);
        put_n(&s, imm, 4);
    } else {
        put_rex(&s, true, 0, &rm, false);
        put(&s, 0xb8 | (reg & 7));
        put_n(&s, imm, 8);
    }
    emit_bytes(e, s.b, s.n);
    e->touched |= BIT(reg);
}

void emit_rorx(struct emit *e, unsigned reg, unsigned from, unsigned count)
{
    emit_vex(e, P_F2, 3, true, 0, 0xf0, reg, 0, h_reg(from), (int)count);
}

void emit_push(struct emit *e, unsigned reg)
{
    if (reg & 8)
        emit_u8(e, 0x41);
    emit_u8(e, (uint8_t)(0x50 | (reg & 7)));
}

void emit_pop(struct emit *e, unsigned reg)
{
    if (reg & 8)
        emit_u8(e, 0x41);
    emit_u8(e, (uint8_t)(0x58 | (reg & 7)));
    e->touched |= BIT(reg);
}

/* --- jumps --- */

void emit_patch(uint8_t *where, const uint8_t *to)
{
    if (!where)
        return;
    const int32_t d = (int32_t)(to - (where + 4));
    if (memcmp(where, &d, 4) != 0) /* a store to code is dear even if it changes nothing */
        memcpy(where, &d, 4);
}

/* opcode and a displacement to come; NULL when there was no room. */
static uint8_t *displacement(struct emit *e, const void *opcode, size_t n)
{
    if (!room(e, n + 4))
        return NULL;
    emit_bytes(e, opcode, n);
    uint8_t *where = e->p;
    emit_u32(e, 0);
    return where;
}

uint8_t *emit_jmp_forward(struct emit *e)
{
    return displacement(e, "\xe9", 1);
}

uint8_t *emit_jcc_forward(struct emit *e, unsigned cc)
{
    const uint8_t op[2] = {0x0f, (uint8_t)(0x80 | cc)};
    return displacement(e, op, 2);
}

void emit_jcc_short(struct emit *e, unsigned cc, const uint8_t *to)
{
    const ptrdiff_t by = to - (e->p + 2);
    assert(e->full || (by >= INT8_MIN && by <= INT8_MAX));
    const uint8_t insn[2] = {(uint8_t)(0x70 | cc), (uint8_t)by};
    emit_bytes(e, insn, sizeof insn);
}

void emit_jmp(struct emit *e, const uint8_t *to)
{
    emit_patch(emit_jmp_forward(e), to);
}

void emit_call(struct emit *e, const uint8_t *to)
{
    emit_patch(displacement(e, "\xe8", 1), to);
    e->touched = ~UINT32_C(0);
}

void emit_here(struct emit *e, uint8_t *where)
{
    emit_patch(where, e->p);
}
