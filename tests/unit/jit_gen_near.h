/*
 * For jit_gen.h, 64-bit code: runs of accesses near each other, off one register or a copy of it,
 * at times across the end of a page, with a few other instructions in between. It is what the
 * translator looks up once for (share.c).
 */
#ifndef VITRINE_TEST_JIT_GEN_NEAR_H
#define VITRINE_TEST_JIT_GEN_NEAR_H

/* opcode reg, r/m with the prefixes it needs; opcodes as in the manual, 0x0faf. */
static inline void gen_near_insn(struct gen *g, unsigned prefix, bool w, unsigned opcode,
                                 unsigned reg, unsigned base, int index, int disp)
{
    if (prefix)
        gen_u8(g, prefix);
    gen_u8(g, 0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | (index > 7 ? 2 : 0) | base >> 3);
    if (opcode > 0xff)
        gen_u8(g, 0x0f);
    gen_u8(g, opcode & 0xff);
    const bool sib = index >= 0 || (base & 7) == 4;
    gen_u8(g, 0x40 | (reg & 7) << 3 | (sib ? 4 : base & 7));
    if (sib)
        gen_u8(g, (index >= 0 ? (unsigned)(index & 7) << 3 : 4u << 3) | (base & 7));
    gen_u8(g, (uint8_t)disp);
}

static inline void gen_near_reg(struct gen *g, bool w, unsigned opcode, unsigned reg, unsigned rm)
{
    gen_u8(g, 0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | rm >> 3);
    if (opcode > 0xff)
        gen_u8(g, 0x0f);
    gen_u8(g, opcode & 0xff);
    gen_u8(g, 0xc0 | (reg & 7) << 3 | (rm & 7));
}

static inline unsigned gen_near_other(unsigned base, unsigned copy)
{
    unsigned r;
    do
        r = below(16);
    while (r == base || r == copy || r == REG_RSP);
    return r;
}

/* An addition, a load over one of its registers or another one, and who takes the carry, at times
 * only as the next but one. */
static inline void gen_near_carry(struct gen *g, unsigned at, unsigned copy, int disp)
{
    const unsigned sum = gen_near_other(at, copy), by = gen_near_other(at, copy);
    const bool w = !one_in(4);
    gen_near_reg(g, w, 0x03, sum, by);
    if (!one_in(4))
        gen_near_insn(g, 0, !one_in(4), 0x8b,
                      one_in(3)   ? gen_near_other(at, copy)
                      : one_in(2) ? sum
                                  : by,
                      one_in(3) ? gen_pointer(g) : at, -1, disp);
    if (one_in(6))
        gen_near_insn(g, 0, one_in(2), 0x89, gen_near_other(at, copy), at, -1, disp + 8);
    if (one_in(2)) {
        gen_near_reg(g, w, one_in(4) ? 0x1b : 0x13, gen_near_other(at, copy),
                     gen_near_other(at, copy));
    } else {
        gen_near_reg(g, w, 0x83, 2, gen_near_other(at, copy));
        gen_u8(g, below(3));
    }
}

static inline void gen_near(struct gen *g)
{
    static const struct {
        uint8_t prefix;
        uint16_t opcode;
        bool vector;
    } memory[] = {{0, 0x8b, 0},      {0, 0x8b, 0},      {0, 0x89, 0},      {0, 0x89, 0},
                  {0, 0x03, 0},      {0, 0x01, 0},      {0, 0x3b, 0},      {0, 0x13, 0},
                  {0, 0x0fb6, 0},    {0, 0x0fb7, 0},    {0, 0x88, 0},      {0, 0x0faf, 0},
                  {0, 0x0f10, 1},    {0, 0x0f11, 1},    {0xf3, 0x0f58, 1}, {0x66, 0x0ffe, 1},
                  {0x66, 0x0f7f, 1}, {0xf2, 0x0f2c, 0}, {0, 0x0f44, 0},    {0x66, 0x0f28, 1}};
    const unsigned base = one_in(6) ? REG_RSP : gen_pointer(g);
    unsigned copy = base;
    const bool end = one_in(3); /* of a page */
    if (base != REG_RSP) {
        gen_u8(g, 0x48 | base >> 3);
        gen_u8(g, 0xc7);
        gen_u8(g, 0xc0 | (base & 7));
        gen_n(g, end ? (gen_data_address(g) & ~0xfffu) + 0xfc0 + below(0x50) : gen_data_address(g),
              4);
    }
    for (unsigned n = 3 + below(9); n > 0 && g->at + 64 < sizeof g->code; n--) {
        const unsigned at = one_in(3) ? copy : base, other = gen_near_other(base, copy);
        const int disp = (int)(one_in(2) ? below(8) * 16 : below(100)) - 32;
        switch (below(15)) {
        case 0: /* a constant is added */
            gen_near_insn(g, 0, true, 0x8d, at, at, -1, (int)below(32) - 8);
            break;
        case 1:
            gen_near_reg(g, true, 0x83, one_in(2) ? 0 : 5, at);
            gen_u8(g, below(16) & (at == REG_RSP ? 8 : 15));
            break;
        case 2: /* one more register that is near */
            copy = gen_pointer(g);
            gen_near_reg(g, true, 0x8b, copy, at);
            break;
        case 3: /* the flags of something */
            gen_near_reg(g, one_in(2), one_in(2) ? 0x3b : 0x13, other, gen_near_other(base, copy));
            break;
        case 4:
            gen_near_reg(g, false, 0x0f90 + below(16), 0, gen_near_other(base, copy));
            break;
        case 5: /* one that is elsewhere */
            gen_near_insn(g, 0, one_in(2), one_in(2) ? 0x8b : 0x89, other, gen_pointer(g), -1,
                          disp);
            break;
        case 6:
            if (other & 8)
                gen_u8(g, 0x41);
            gen_u8(g, (one_in(2) ? 0x50 : 0x58) + (other & 7));
            break;
        case 7: /* the sum of one that is near and the register it is put in */
            gen_near_insn(g, 0, one_in(2), 0x8d, other, at, (int)other, disp);
            break;
        case 8:
            gen_near_carry(g, at, copy, disp);
            break;
        default: {
            const unsigned k = below(ARRAY_SIZE(memory));
            gen_near_insn(g, memory[k].prefix, one_in(2), memory[k].opcode,
                          memory[k].vector ? below(16) : other, at,
                          one_in(8) ? (int)gen_near_other(base, copy) : -1, disp);
        }
        }
    }
}

#endif
