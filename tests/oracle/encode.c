/* Bytes for a row: the prefixes it wants, those it allows, and now and then one it does not. */
#include "case.h"

#include "unit/rng.h"

static void put(struct code_bytes *c, uint8_t b)
{
    c->b[c->n++] = b;
}

/* LOOPcc takes its condition from F2h and F3h on some; A_NO66 rows are others with them. */
static bool repeat_means_nothing(const struct opcode *row)
{
    return row->op != OP_LOOPE && row->op != OP_LOOPNE && !(row->attr & A_NO66);
}

/* LOCK before MOV CR names CR8 on AMD's; family 1Ah takes it before VERW. */
static bool lock_means_something(const struct opcode *row)
{
    return row->op == OP_MOV_FROM_CR || row->op == OP_MOV_TO_CR || row->op == OP_VERW;
}

static uint8_t random_segment_prefix(void)
{
    static const uint8_t seg[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    return seg[below(ARRAY_SIZE(seg))];
}

static uint8_t vex_pp(const struct form *f)
{
    return f->prefix == 0x66 ? 1 : f->prefix == 0xf3 ? 2 : f->prefix == 0xf2 ? 3 : 0;
}

/* C4 or C5; last without pp and first with the register bits as they are in the byte, inverted. */
static void put_vex_bytes(struct code_bytes *c, const struct form *f, unsigned w, uint8_t first,
                          unsigned vvvv, unsigned l, bool may_be_short)
{
    if (case_mode.bits != CODE64) { /* else they are LES and LDS; nor are there other registers */
        first |= 0xc0;
        vvvv |= 8;
    }
    const uint8_t last = (uint8_t)(w << 7 | vvvv << 3 | l << 2 | vex_pp(f));
    if (f->vex == 1 && !w && may_be_short) {
        put(c, 0xc5);
        put(c, (uint8_t)((first & 0x80) | last));
    } else {
        put(c, 0xc4);
        put(c, (uint8_t)((first & 0xe0) | f->vex));
        put(c, last);
    }
}

static unsigned vex_w_of(const struct form *f)
{
    if (f->row->attr & A_W0)
        return 0;
    if (f->row->attr & A_W1)
        return 1;
    return f->rex_w < 0 ? below(2) : (unsigned)f->rex_w;
}
static unsigned vex_l_of(const struct form *f)
{
    if (f->row->attr & A_L0)
        return 0;
    if (f->row->attr & A_L1)
        return 1;
    if ((f->row->attr & A_L1_AVX2) && !case_mode.avx2)
        return 0;
    return f->vex_l < 0 ? below(2) : (unsigned)f->vex_l;
}
static bool has_vvvv(const struct opcode *row)
{
    return row_has(row, O_Hss, O_Hx) || row_has(row, O_By, O_By);
}

/* With what the row asks for, nearly always; illegal prefixes before it now and then. */
static void put_vex(struct code_bytes *c, const struct form *f)
{
    static const uint8_t illegal[] = {0x66, 0xf0, 0xf2, 0xf3, 0x40};
    /* vector indices want 32-bit addresses at least */
    if (one_in(8) != (case_mode.bits == CODE16 && (f->row->attr & A_VSIB)))
        put(c, 0x67);
    if (one_in(12))
        put(c, random_segment_prefix());
    if (one_in(64)) /* the last one is REX */
        put(c, illegal[below(ARRAY_SIZE(illegal) - (case_mode.bits != CODE64))]);
    unsigned w = vex_w_of(f), l = vex_l_of(f);
    unsigned vvvv = has_vvvv(f->row) || one_in(40) ? below(16) : 15;
    /* AMD family 1Ah takes VPERMQ and VPERMPD with W clear; VEX.W1 in SDM 2C "VPERMQ" */
    if (one_in(60) && !(f->row->attr & A_W1))
        w ^= 1;
    if (one_in(60))
        l ^= 1;
    put_vex_bytes(c, f, w, (uint8_t)rnd(), vvvv, l, one_in(2));
}

static void put_prefixes(struct code_bytes *c, const struct form *f)
{
    if (f->vex) {
        put_vex(c, f);
        return;
    }
    /* Not before near branches: Intel ignores it in 64-bit mode, AMD does not. Before F2h and F3h
     * it only changes the size. */
    if (!row_is_near_branch(f->row) && (!f->by_prefix || f->prefix > 0x66) && one_in(4))
        put(c, 0x66);
    if (one_in(8))
        put(c, 0x67);
    if (one_in(12))
        put(c, random_segment_prefix());
    if (one_in(f->row->attr & A_LOCK ? 8 : 64) && !lock_means_something(f->row))
        put(c, 0xf0);
    if (f->by_prefix && f->prefix)
        put(c, f->prefix);
    else if (row_is_string(f->row) && !one_in(3))
        put(c, one_in(2) ? 0xf2 : 0xf3);
    else if (!f->by_prefix && one_in(32) && repeat_means_nothing(f->row))
        put(c, one_in(2) ? 0xf2 : 0xf3);
    if (case_mode.bits != CODE64)
        return;
    const bool wide = f->rex_w < 0 ? one_in(3) : f->rex_w;
    const uint8_t rex = (uint8_t)((wide ? 8 : 0) | (one_in(2) ? rnd() & 7 : 0));
    if (rex || one_in(4))
        put(c, 0x40 | rex);
}

void encode(struct code_bytes *c, const struct form *f)
{
    c->n = 0;
    put_prefixes(c, f);
    for (unsigned i = 0; i < f->opcodes; i++)
        put(c, f->opcode[i]);
    c->modrm_at = c->n;
    while (c->n < 32)
        put(c, one_in(3) ? (uint8_t)random_value() : (uint8_t)rnd());
    if (f->row->op == OP_ENTER && !one_in(3)) { /* else it hardly ever gets to its end */
        c->b[c->modrm_at + 1] = 0;
        c->b[c->modrm_at + 2] &= 3;
    }
    uint8_t *modrm = &c->b[c->modrm_at];
    bool mem = one_in(2);
    if (f->mem >= 0)
        mem = f->mem;
    else if (!one_in(40) && (row_memory_only(f->row) || row_register_only(f->row)))
        mem = row_memory_only(f->row);
    *modrm = mem ? *modrm % 0xc0 : *modrm | 0xc0;
    if (f->reg >= 0)
        *modrm = (uint8_t)((*modrm & ~0x38) | f->reg << 3);
    if (f->rm >= 0)
        *modrm = (uint8_t)((*modrm & ~7) | f->rm);
    if ((f->row->attr & A_VSIB) && !one_in(40))
        *modrm = (uint8_t)((*modrm & ~7) | 4);
    if (row_has(f->row, O_Ib, O_Ib) && row_is_vector(f->row) && one_in(2))
        for (unsigned i = c->modrm_at + 1; i < c->n; i++)
            c->b[i] &= 15; /* lanes and counts that mean something */
}

void encode_plain(struct code_bytes *c, const struct form *f)
{
    c->n = 0;
    const bool mem = f->mem >= 0                 ? f->mem
                     : row_memory_only(f->row)   ? true
                     : row_register_only(f->row) ? false
                                                 : one_in(2);
    const bool wide = f->rex_w < 0 ? one_in(2) : f->rex_w;
    const unsigned reg = f->reg >= 0 ? (unsigned)f->reg : below(8);
    const bool aligned = f->row->attr & A_ALIGN;
    const unsigned rm = mem          ? (aligned ? 6 : 6 + below(2)) /* R14, R15 */
                        : f->rm >= 0 ? (unsigned)f->rm
                                     : below(8);
    const uint8_t rex = (uint8_t)((wide ? 8 : 0) | (rnd() & 4) | (mem || one_in(2)));
    if (f->vex) {
        put_vex_bytes(c, f, vex_w_of(f), (uint8_t)((~rex & 7u) << 5),
                      has_vvvv(f->row) ? below(16) : 15, vex_l_of(f), !(rex & 1));
    } else {
        if (f->by_prefix && f->prefix)
            put(c, f->prefix);
        else if (!f->by_prefix && one_in(4) && !(f->row->attr & A_NO66))
            put(c, 0x66);
        put(c, 0x40 | rex);
    }
    for (unsigned i = 0; i < f->opcodes; i++)
        put(c, f->opcode[i]);
    put(c, (uint8_t)((mem ? 0x40 : 0xc0) | reg << 3 | rm));
    if (mem)
        put(c, (uint8_t)(aligned ? rnd() & ~15u : rnd()));
    while (c->n < 15)
        put(c, (uint8_t)rnd());
}
