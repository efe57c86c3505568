/*
 * The decoder: walks the tables of decode_tables.c. SDM 2A §2 "Instruction Format".
 * EVEX prefixes have their fields in struct insn and no rows yet: 62 is #UD where it does not mean
 * BOUND.
 */
#include "cpu/decode.h"
#include "cpu/cpu.h"
#include "cpu/decode_tables.h"

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct reader {
    const uint8_t *bytes;
    size_t avail;
    size_t pos;
    bool is_short, too_long;
};

static uint64_t fetch(struct reader *r, unsigned n)
{
    if (r->pos + n > MAX_INSN_BYTES) {
        r->too_long = true;
        return 0;
    }
    if (r->pos + n > r->avail) {
        r->is_short = true;
        return 0;
    }
    const uint64_t v = ld_le(r->bytes + r->pos, n);
    r->pos += n;
    return v;
}

static int64_t fetch_signed(struct reader *r, unsigned n)
{
    return sign_extend(fetch(r, n), n * 8);
}

static bool stopped(const struct reader *r)
{
    return r->is_short || r->too_long;
}

/* Legacy prefixes and REX (SDM 2A §2.1.1, §2.2.1); a REX byte counts only right before the opcode.
 */
static uint8_t fetch_prefixes(struct reader *r, struct insn *u, bool code64)
{
    for (;;) {
        const uint8_t b = (uint8_t)fetch(r, 1);
        if (stopped(r))
            return 0;
        switch (b) {
        case 0x66:
            u->has66 = true;
            break;
        case 0x67:
            u->asize = 0xff; /* resolved by the caller */
            break;
        case 0xf0:
            u->lock = true;
            break;
        case 0xf2:
            u->repne = true;
            u->rep = false;
            break;
        case 0xf3:
            u->rep = true;
            u->repne = false;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            /* ES, CS, SS, DS: no effect in 64-bit mode, where they do not undo FS or GS either */
            if (!code64) {
                u->seg = SEG_ES + ((b >> 3) & 3);
                u->seg_ovr = true;
            }
            break;
        case 0x64:
        case 0x65:
            u->seg = b == 0x64 ? SEG_FS : SEG_GS;
            u->seg_ovr = true;
            break;
        default:
            if (code64 && (b & 0xf0) == 0x40) {
                u->rex = b;
                continue;
            }
            return b;
        }
        u->rex = 0;
    }
}

/* The mandatory prefix: F2 and F3 win over 66. */
static unsigned mandatory_prefix(const struct insn *u)
{
    return u->rep ? PFX_F3 : u->repne ? PFX_F2 : u->has66 ? PFX_66 : PFX_NONE;
}

/* Follows the tables to a row; *opcode is the last opcode byte, *modrm says that ModRM chose the
 * row. NULL: no such instruction. */
static const struct opcode *find_row(struct reader *r, struct insn *u, const struct opcode *o,
                                     bool code64, const struct cpu_features *feat, uint8_t *opcode,
                                     bool *modrm)
{
    for (;;) {
        switch (o->kind) {
        case T_ROW:
            return o;
        case T_MAP:
            u->opcode = u->opcode >> 8 == 0 ? 0x100 : *opcode == 0x38 ? 0x200 : 0x300;
            *opcode = (uint8_t)fetch(r, 1);
            if (stopped(r))
                return NULL;
            u->opcode |= *opcode;
            o = &o->sub[*opcode];
            break;
        case T_PFX:
            o = &o->sub[u->pfx];
            break;
        case T_REXW:
            o = &o->sub[!!(u->rex & REX_W)];
            break;
        case T_VEXW:
            o = &o->sub[u->vex_w];
            break;
        case T_VEXL:
            o = &o->sub[u->vl == 32];
            break;
        case T_FEATURE:
            o = &o->sub[feat->has[o->feature]];
            break;
        case T_MODE64:
            o = &o->sub[code64];
            break;
        case T_GROUP:
        case T_MOD:
        case T_RM: {
            if (r->pos >= MAX_INSN_BYTES || r->pos >= r->avail) {
                fetch(r, 1); /* says which */
                return NULL;
            }
            const uint8_t v = r->bytes[r->pos];
            o = &o->sub[o->kind == T_GROUP ? (v >> 3) & 7 : o->kind == T_RM ? v & 7 : v >= 0xc0];
            *modrm = true;
            break;
        }
        default:
            return NULL;
        }
    }
}

/* Whether an operand of this kind is encoded in ModRM. */
static bool needs_modrm(enum operand o)
{
    return (o >= O_Eb && o <= O_Mt) || o == O_Sw || o == O_Cy || o == O_Dy ||
           (o >= O_Vss && o <= O_Ux) || (o >= O_Pq && o <= O_Nq) || o == O_STi;
}

static bool row_has_modrm(const struct opcode *row)
{
    if (row->attr & (A_MODRM | A_MEM | A_REG))
        return true;
    for (unsigned i = 0; i < 4; i++)
        if (needs_modrm(row->opnd[i]))
            return true;
    return false;
}

/* 16-bit address forms, SDM 2A table 2-1. Returns the default segment. */
static unsigned decode_address16(struct reader *r, struct insn *u, unsigned mod, unsigned rm)
{
    static const uint8_t base[8] = {REG_RBX, REG_RBX, REG_RBP, REG_RBP,
                                    REG_RSI, REG_RDI, REG_RBP, REG_RBX};
    static const uint8_t index[8] = {REG_RSI,  REG_RDI,  REG_RSI,  REG_RDI,
                                     REG_ZERO, REG_ZERO, REG_ZERO, REG_ZERO};
    if (mod == 0 && rm == 6) {
        u->disp = fetch_signed(r, 2);
        return SEG_DS;
    }
    u->base = base[rm];
    u->xindex = index[rm];
    if (mod == 1)
        u->disp = fetch_signed(r, 1);
    else if (mod == 2)
        u->disp = fetch_signed(r, 2);
    return u->base == REG_RBP ? SEG_SS : SEG_DS;
}

/* 32- and 64-bit address forms, SDM 2A tables 2-2 and 2-3. Returns the default segment. */
static unsigned decode_address(struct reader *r, struct insn *u, unsigned mod, unsigned rm,
                               bool code64, bool *rip_relative)
{
    unsigned seg = SEG_DS;
    bool no_base = false;
    if (rm == 4) {
        const uint8_t sib = (uint8_t)fetch(r, 1);
        const unsigned index = ((sib >> 3) & 7) | (u->rex & REX_X ? 8 : 0);
        u->scale = sib >> 6;
        u->xindex = index == 4 || (u->row->attr & A_VSIB) ? REG_ZERO : index;
        u->imm2 = (uint8_t)index;
        no_base = mod == 0 && (sib & 7) == 5;
        if (!no_base)
            u->base = (sib & 7) | (u->rex & REX_B ? 8 : 0);
    } else if (mod == 0 && rm == 5) {
        no_base = true;
        *rip_relative = code64;
    } else {
        u->base = rm | (u->rex & REX_B ? 8 : 0);
    }
    if (u->base == REG_RSP || u->base == REG_RBP)
        seg = SEG_SS;
    if (mod == 1)
        u->disp = fetch_signed(r, 1);
    else if (mod == 2 || no_base)
        u->disp = fetch_signed(r, 4);
    return seg;
}

static void decode_modrm(struct reader *r, struct insn *u, const struct opcode *row, bool code64,
                         bool *rip_relative, unsigned *default_seg)
{
    u->modrm = (uint8_t)fetch(r, 1);
    unsigned mod = u->modrm >> 6;
    const unsigned rm = u->modrm & 7;
    u->reg = ((u->modrm >> 3) & 7) | (u->rex & REX_R ? 8 : 0);
    /* MOV to and from control and debug registers ignore mod */
    if (row->opnd[0] == O_Ry || row->opnd[1] == O_Ry)
        mod = 3;
    if (mod == 3) {
        u->rm = rm | (u->rex & REX_B ? 8 : 0);
        return;
    }
    u->mem = true;
    if (u->asize == 2)
        *default_seg = decode_address16(r, u, mod, rm);
    else
        *default_seg = decode_address(r, u, mod, rm, code64, rip_relative);
}

/*
 * Far pointers have a 64-bit offset with REX.W on Intel's, not on AMD's (APM 3 "JMP Far", "LDS"),
 * where 66h cuts near branches to 16 bits (APM 1 §3.5.1 "... in 64-Bit Mode").
 */
static bool is_far_pointer(enum op op)
{
    return op == OP_JMPF || op == OP_CALLF || op == OP_LSS || op == OP_LFS || op == OP_LGS;
}

static unsigned operand_size(const struct insn *u, const struct opcode *row, uint32_t mode,
                             bool amd)
{
    const bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
    if (row->attr & A_BYTE)
        return 1;
    if (u->vex || (row->attr & A_OP32))
        return u->rex & REX_W ? 8 : 4;
    if (code64) {
        if (row->attr & A_F64)
            return 8;
        if (row->attr & A_NEAR)
            return amd && u->has66 && !(u->rex & REX_W) ? 2 : 8;
        if ((u->rex & REX_W) && !(amd && is_far_pointer(row->op)))
            return 8;
        if (u->has66)
            return 2;
        return row->attr & A_D64 ? 8 : 4;
    }
    return ((mode & MODE_CODE_MASK) == MODE_CODE32) != u->has66 ? 4 : 2;
}

static void decode_operand(struct reader *r, struct insn *u, enum operand o, uint8_t opcode,
                           bool code64, unsigned *default_seg, bool *relative)
{
    switch (o) {
    case O_Ib:
        u->imm = fetch(r, 1);
        break;
    case O_Ib2:
        u->imm2 = (uint8_t)fetch(r, 1);
        break;
    case O_Ib_s:
        u->imm = (uint64_t)fetch_signed(r, 1);
        break;
    case O_Iw:
        u->imm = fetch(r, 2);
        break;
    case O_Iz:
        u->imm = (uint64_t)fetch_signed(r, u->osize == 2 ? 2 : 4);
        break;
    case O_Iv:
        u->imm = fetch(r, u->osize);
        break;
    case O_1:
        u->imm = 1;
        break;
    case O_Jb:
        u->disp = fetch_signed(r, 1);
        *relative = true;
        break;
    case O_Jz:
        u->disp = fetch_signed(r, u->osize == 2 ? 2 : 4);
        *relative = true;
        break;
    case O_Ap:
        u->imm = fetch(r, u->osize == 2 ? 2 : 4);
        u->sel = (uint16_t)fetch(r, 2);
        break;
    case O_Ob:
    case O_Ov:
        u->mem = true;
        u->disp = u->asize == 8 ? (int64_t)fetch(r, 8) : (int64_t)fetch(r, u->asize);
        break;
    case O_Zb:
    case O_Zv:
    case O_Zy:
    case O_Zv64:
        u->reg = (opcode & 7) | (u->rex & REX_B ? 8 : 0);
        break;
    case O_Xb:
    case O_Xv:
    case O_Xz:
        *default_seg = SEG_DS;
        break;
    case O_Lx:
        u->imm = fetch(r, 1);
        u->imm2 = (uint8_t)(u->imm >> 4) & (code64 ? 15 : 7);
        break;
    case O_Sw:
        u->reg = (u->modrm >> 3) & 7; /* REX.R is ignored */
        break;
    default:
        break;
    }
}

static bool is_string_or_moffs_or_xlat(const struct insn *u)
{
    return (op_info[u->op].attr & OA_STRING) || u->op == OP_XLAT || u->op == OP_MONITOR ||
           u->op == OP_CLZERO;
}

/* LOCK is legal on the rows that say so, with a memory destination (SDM 2A "LOCK"). */
static bool lock_legal(const struct insn *u)
{
    return (u->row->attr & A_LOCK) && u->mem;
}

/* Whatever the outcome, len says how many bytes it depends on, for the cache. */
static enum decode_status cut_off(struct insn *u, const struct reader *r)
{
    u->len = (uint8_t)MAX(r->pos, 1);
    return r->too_long ? DECODE_TOO_LONG : DECODE_SHORT;
}

static enum decode_status bad(struct insn *u, const struct reader *r, enum fault_reason why)
{
    u->op = OP_UD;
    u->row = &opcode_ud;
    u->imm = why;
    u->len = (uint8_t)MAX(r->pos, 1);
    u->mem = false;
    return DECODE_UD;
}

/* Whether an operand of this kind is in VEX.vvvv. */
static bool in_vvvv(enum operand o)
{
    return (o >= O_Hss && o <= O_Hx) || o == O_By;
}

/* SDM 2A §2.4 "AVX and SSE Instruction Exception Classification", §2.6 for general registers: W and
 * L as the row wants them, vvvv all ones where no operand is in it. */
static enum fault_reason vex_illegal(const struct insn *u, const struct cpu_features *feat)
{
    const uint32_t attr = u->row->attr;
    if ((attr & A_VEX) && !feat->has[FEAT_AVX])
        return REASON_UD_FEATURE;
    if ((attr & A_L1_AVX2) && u->vl == 32 && !feat->has[FEAT_AVX2])
        return REASON_UD_FEATURE;
    if (((attr & A_W0) && u->vex_w) || ((attr & A_W1) && !u->vex_w))
        return REASON_UD_OPERAND;
    if (((attr & A_L0) && u->vl != 16) || ((attr & A_L1) && u->vl != 32))
        return REASON_UD_OPERAND;
    for (unsigned i = 0; i < 4; i++)
        if (in_vvvv(u->row->opnd[i]))
            return REASON_NONE;
    return u->vvvv ? REASON_UD_OPERAND : REASON_NONE;
}

static enum fault_reason row_illegal(const struct insn *u, uint32_t mode,
                                     const struct cpu_features *feat)
{
    const struct opcode *row = u->row;
    const bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
    if (!feat->has[row->feature])
        return REASON_UD_FEATURE;
    if ((row->attr & A_I64) && code64)
        return REASON_UD_MODE;
    if ((row->attr & (feat->amd ? A_O64 : A_O64 | A_O64_INTEL)) && !code64)
        return REASON_UD_MODE;
    if ((row->attr & A_PROT) && (!(mode & MODE_PROT) || (mode & MODE_VM86)))
        return REASON_UD_MODE;
    if ((row->attr & A_NO66) && (u->has66 || u->rep || u->repne))
        return REASON_UD_OPCODE;
    return u->vex ? vex_illegal(u, feat) : REASON_NONE;
}

static enum fault_reason operand_illegal(const struct insn *u)
{
    if ((u->row->attr & A_MEM) && !u->mem)
        return REASON_UD_OPERAND;
    if ((u->row->attr & A_REG) && u->mem)
        return REASON_UD_OPERAND;
    for (unsigned i = 0; i < 4; i++) {
        const enum operand o = u->row->opnd[i];
        if (o >= O_M && o <= O_Mt && !u->mem)
            return REASON_UD_OPERAND;
        if (((o >= O_Rd && o <= O_Ry) || (o >= O_Ups && o <= O_Ux) || o == O_Nq) && u->mem)
            return REASON_UD_OPERAND;
        /* CR1, CR5-7 and CR9-15 do not exist, at any privilege (SDM 2B "MOV-Move to/from Control
         * Registers"); nor do DR8-15 */
        if (o == O_Cy && !(BIT(u->reg) & (BIT(0) | BIT(2) | BIT(3) | BIT(4) | BIT(8))))
            return REASON_UD_OPERAND;
        if (o == O_Dy && u->reg > 7)
            return REASON_UD_OPERAND;
        if (o == O_Sw && (u->reg > SEG_GS || (u->op == OP_MOV_TO_SREG && u->reg == SEG_CS)))
            return REASON_UD_OPERAND;
    }
    /* VSIB needs a SIB byte, which 16-bit addresses do not have (SDM 2A §2.3.12 "Vector SIB"); a
     * gather's three registers must differ (SDM 2C "VGATHERDPS") */
    if ((u->row->attr & A_VSIB) && (u->asize == 2 || (u->modrm & 7) != 4 || u->reg == u->vvvv ||
                                    u->reg == u->imm2 || u->vvvv == u->imm2))
        return REASON_UD_OPERAND;
    if (u->lock && !lock_legal(u))
        return REASON_UD_LOCK;
    return REASON_NONE;
}

/*
 * C4 and C5 are VEX in 64-bit mode, and where LES and LDS would have a register; not in real and
 * virtual-8086 mode, where those are #UD then. SDM 2A §2.3.5 "The VEX Prefix"
 */
static bool is_vex(const struct reader *r, uint8_t opcode, uint32_t mode)
{
    if (opcode != 0xc4 && opcode != 0xc5)
        return false;
    if ((mode & MODE_CODE_MASK) == MODE_CODE64)
        return true;
    if (!(mode & MODE_PROT) || (mode & MODE_VM86))
        return false;
    return r->pos < MIN(r->avail, MAX_INSN_BYTES) && r->bytes[r->pos] >= 0xc0;
}

/* The rest of a VEX prefix and the opcode byte; where to look for the row. Registers above 7 are
 * out of reach outside 64-bit mode. */
static const struct opcode *decode_vex(struct reader *r, struct insn *u, uint8_t *opcode,
                                       bool code64)
{
    static const struct opcode none = {0};
    static const uint8_t pfx[4] = {PFX_NONE, PFX_66, PFX_F3, PFX_F2};
    const uint8_t first = (uint8_t)fetch(r, 1);
    uint8_t rex = first & 0x80 ? 0 : REX_R, map = 1, last = first;
    if (*opcode == 0xc4) {
        rex |= (first & 0x40 ? 0 : REX_X) | (first & 0x20 ? 0 : REX_B);
        map = first & 0x1f;
        last = (uint8_t)fetch(r, 1);
        u->vex_w = last & 0x80;
        rex |= u->vex_w ? REX_W : 0;
    }
    *opcode = (uint8_t)fetch(r, 1);
    u->opcode = (uint16_t)(map << 8 | *opcode);
    u->vex = true;
    u->rex = code64 ? rex : 0;
    u->vvvv = (uint8_t)(~last >> 3) & 15;
    u->vl = last & 4 ? 32 : 16;
    u->pfx = pfx[last & 3];
    if (map < 1 || map > 3)
        return &none;
    return &vex_maps[map - 1][u->pfx << 8 | *opcode];
}

enum decode_status decode(struct insn *u, const uint8_t *bytes, size_t avail, uint32_t mode,
                          const struct cpu_features *feat, unsigned off)
{
    const bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
    struct reader r = {.bytes = bytes, .avail = avail};
    *u = (struct insn){.base = REG_ZERO, .xindex = REG_ZERO, .off = (uint16_t)off};

    uint8_t opcode = fetch_prefixes(&r, u, code64);
    if (stopped(&r))
        return cut_off(u, &r);
    const bool has67 = u->asize == 0xff;
    if (code64)
        u->asize = has67 ? 4 : 8;
    else
        u->asize = ((mode & MODE_CODE_MASK) == MODE_CODE32) != has67 ? 4 : 2;

    const bool is_90 = opcode == 0x90;
    bool modrm = false;
    const struct opcode *slot = &opcode_map[opcode];
    u->opcode = opcode;
    u->pfx = (uint8_t)mandatory_prefix(u);
    if (is_vex(&r, opcode, mode)) {
        const bool prefixed = u->lock || u->has66 || u->rep || u->repne || u->rex;
        slot = decode_vex(&r, u, &opcode, code64);
        if (!stopped(&r) && prefixed)
            return bad(u, &r, REASON_UD_OPCODE);
    }
    const struct opcode *row =
        stopped(&r) ? NULL : find_row(&r, u, slot, code64, feat, &opcode, &modrm);
    if (stopped(&r))
        return cut_off(u, &r);
    if (!row) {
        r.pos += modrm; /* it was looked at */
        return bad(u, &r, REASON_UD_OPCODE);
    }
    u->row = row;
    u->op = row->op;
    u->osize = (uint8_t)operand_size(u, row, mode, feat->amd);
    enum fault_reason why = row_illegal(u, mode, feat);
    if (why != REASON_NONE) {
        r.pos += modrm;
        return bad(u, &r, why);
    }
    if (is_90 && !u->vex && !(u->rex & REX_B))
        u->op = u->rep ? OP_PAUSE : OP_NOP;

    bool rip_relative = false, relative = false;
    unsigned default_seg = SEG_DS;
    if (modrm || row_has_modrm(row))
        decode_modrm(&r, u, row, code64, &rip_relative, &default_seg);
    for (unsigned i = 0; i < 4; i++)
        decode_operand(&r, u, row->opnd[i], opcode, code64, &default_seg, &relative);
    if (stopped(&r))
        return cut_off(u, &r);
    if (!code64)
        u->vvvv &= 7; /* the check of an unused vvvv is behind us */
    u->len = (uint8_t)r.pos;
    why = operand_illegal(u);
    if (why != REASON_NONE)
        return bad(u, &r, why);

    if (relative) {
        u->disp += off + u->len;
        u->imm = u->osize == 2 ? 0xffff : code64 ? ~UINT64_C(0) : 0xffffffff;
    }
    if (rip_relative) {
        u->base = REG_PC;
        u->disp += off + u->len;
    }
    if (u->mem || is_string_or_moffs_or_xlat(u)) {
        if (!u->seg_ovr)
            u->seg = (uint8_t)default_seg;
        /* CS keeps its checks: a flat code segment still cannot be written */
        if (u->seg < SEG_FS && (code64 || ((mode & MODE_FLAT) && u->seg != SEG_CS)))
            u->seg = SEG_FLAT;
    }
    return DECODE_OK;
}
