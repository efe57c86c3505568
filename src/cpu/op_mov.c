/* Extensions, LEA, conditional moves and sets, conversions, flag instructions. SDM 2A, 2B. */
#include "cpu/handlers.h"
#include "cpu/op_int.h"

#define HANDLER(name) static const struct insn *name(struct cpu *cpu, const struct insn *u)

/* SRC: source bits; DST: destination bits; CAST: through the signed or the unsigned type */
#define EXTEND(NAME, CAST, SRC, DST)                                                         \
    HANDLER(NAME##_rr_##SRC##_##DST)                                                         \
    {                                                                                        \
        wr##DST(cpu, u->a, (uint##DST##_t)(CAST##SRC##_t)rd##SRC(cpu, u->b));                \
        NEXT(cpu, u);                                                                        \
    }                                                                                        \
    HANDLER(NAME##_rm_##SRC##_##DST##_f)                                                     \
    {                                                                                        \
        cpu->cur = u;                                                                        \
        wr##DST(cpu, u->a, (uint##DST##_t)(CAST##SRC##_t)load##SRC(cpu, ea_f(cpu, u)));      \
        NEXT(cpu, u);                                                                        \
    }                                                                                        \
    HANDLER(NAME##_rm_##SRC##_##DST##_g)                                                     \
    {                                                                                        \
        cpu->cur = u;                                                                        \
        wr##DST(cpu, u->a,                                                                   \
                (uint##DST##_t)(CAST##SRC##_t)load##SRC(cpu, ea_g(cpu, u, SRC / 8, ACC_R))); \
        NEXT(cpu, u);                                                                        \
    }
#define EXTENDS(NAME, CAST)    \
    EXTEND(NAME, CAST, 8, 16)  \
    EXTEND(NAME, CAST, 8, 32)  \
    EXTEND(NAME, CAST, 8, 64)  \
    EXTEND(NAME, CAST, 16, 16) \
    EXTEND(NAME, CAST, 16, 32) \
    EXTEND(NAME, CAST, 16, 64) \
    EXTEND(NAME, CAST, 32, 16) \
    EXTEND(NAME, CAST, 32, 32) \
    EXTEND(NAME, CAST, 32, 64)
EXTENDS(movzx, uint)
EXTENDS(movsx, int)
#define EXTEND_ROW(NAME, KIND, SRC, A)                                \
    {                                                                 \
        NAME##_##KIND##_##SRC##_16##A, NAME##_##KIND##_##SRC##_32##A, \
            NAME##_##KIND##_##SRC##_64##A                             \
    }
#define EXTEND_FORMS(NAME)                                                                         \
    const struct extend_forms forms_##NAME = {                                                     \
        .rr = {EXTEND_ROW(NAME, rr, 8, ), EXTEND_ROW(NAME, rr, 16, ), EXTEND_ROW(NAME, rr, 32, )}, \
        .rm = {{EXTEND_ROW(NAME, rm, 8, _f), EXTEND_ROW(NAME, rm, 16, _f),                         \
                EXTEND_ROW(NAME, rm, 32, _f)},                                                     \
               {EXTEND_ROW(NAME, rm, 8, _g), EXTEND_ROW(NAME, rm, 16, _g),                         \
                EXTEND_ROW(NAME, rm, 32, _g)}},                                                    \
    }
EXTEND_FORMS(movzx);
EXTEND_FORMS(movsx);

/* LEA is the offset, without segment base. */
#define LEA(A, EXPR)                         \
    HANDLER(lea_16_##A)                      \
    {                                        \
        wr16(cpu, u->reg, (uint16_t)(EXPR)); \
        NEXT(cpu, u);                        \
    }                                        \
    HANDLER(lea_32_##A)                      \
    {                                        \
        wr32(cpu, u->reg, (uint32_t)(EXPR)); \
        NEXT(cpu, u);                        \
    }                                        \
    HANDLER(lea_64_##A)                      \
    {                                        \
        wr64(cpu, u->reg, (EXPR));           \
        NEXT(cpu, u);                        \
    }
LEA(f, cpu->r[u->base] + (cpu->r[u->xindex] << u->scale) + (uint64_t)u->disp)
LEA(g, ea_offset(cpu, u))
insn_fn *const lea_forms[2][3] = {{lea_16_f, lea_32_f, lea_64_f}, {lea_16_g, lea_32_g, lea_64_g}};

#define SETCC(CC)                      \
    HANDLER(setcc_r_##CC)              \
    {                                  \
        wr8(cpu, u->a, cond(cpu, CC)); \
        NEXT(cpu, u);                  \
    }
CCS(SETCC)
#define NAME(CC) setcc_r_##CC,
insn_fn *const setcc_r_forms[16] = {CCS(NAME)};
#undef NAME

/* A 32-bit CMOV clears the upper half even when the condition fails (SDM 2A "CMOVcc"). */
#define CMOV(CC)                                                            \
    HANDLER(cmov_rr_32_##CC)                                                \
    {                                                                       \
        wr32(cpu, u->a, cond(cpu, CC) ? rd32(cpu, u->b) : rd32(cpu, u->a)); \
        NEXT(cpu, u);                                                       \
    }                                                                       \
    HANDLER(cmov_rr_64_##CC)                                                \
    {                                                                       \
        cpu->r[u->a] = cond(cpu, CC) ? cpu->r[u->b] : cpu->r[u->a];         \
        NEXT(cpu, u);                                                       \
    }
CCS(CMOV)
#define NAME32(CC) cmov_rr_32_##CC,
#define NAME64(CC) cmov_rr_64_##CC,
insn_fn *const cmov_rr_forms[2][16] = {{CCS(NAME32)}, {CCS(NAME64)}};

/* The other forms: memory (always read, faults and all), 16 bits. */
OP(op_cmov)
{
    const uint64_t v =
        u->mem ? load_n(cpu, ea_linear(cpu, u, u->osize, ACC_R), u->osize) : cpu->r[u->rm];
    const bool take = cond(cpu, (unsigned)(u->op - OP_CMOVO));
    reg_write(cpu, u->reg, take ? v : cpu->r[u->reg], u->osize);
}

OP(op_setcc)
{
    const uint8_t v = cond(cpu, (unsigned)(u->op - OP_SETO));
    if (u->mem)
        store8(cpu, ea_linear(cpu, u, 1, ACC_W), v);
    else
        *reg8(cpu, u->rm, u->rex) = v;
}

OP(op_xlat)
{
    const uint64_t off = (cpu->r[REG_RBX] + (uint8_t)cpu->r[REG_RAX]) & size_mask(u->asize);
    wr8(cpu, 0, load8(cpu, seg_linear(cpu, u->seg, off, 1, ACC_R)));
}

/* CBW, CWDE, CDQE */
OP(op_cbw)
{
    reg_write(cpu, REG_RAX, (uint64_t)sign_extend(cpu->r[REG_RAX], u->osize * 4), u->osize);
}

/* CWD, CDQ, CQO */
OP(op_cwd)
{
    const bool negative = (cpu->r[REG_RAX] >> (u->osize * 8 - 1)) & 1;
    reg_write(cpu, REG_RDX, negative ? ~UINT64_C(0) : 0, u->osize);
}

OP(op_lahf)
{
    wr8(cpu, 1, (uint8_t)(flags_arith(cpu) | FLAG_1));
}

OP(op_sahf)
{
    flags_set_arith(cpu, (rd8(cpu, 1) & 0xd5) | (flags_arith(cpu) & FLAG_OF));
}

OP(op_salc)
{
    wr8(cpu, 0, flag_cf(cpu) ? 0xff : 0);
}

static void set_cf(struct cpu *cpu, bool cf)
{
    cpu->flag_aux = flag_make_aux(cf, flag_of(cpu), flag_af(cpu));
}

OP(op_cmc)
{
    set_cf(cpu, !flag_cf(cpu));
}
OP(op_clc)
{
    set_cf(cpu, false);
}
OP(op_stc)
{
    set_cf(cpu, true);
}
OP(op_cld)
{
    cpu->eflags &= ~FLAG_DF;
}
OP(op_std)
{
    cpu->eflags |= FLAG_DF;
}

const struct insn *op_nop(struct cpu *cpu, const struct insn *u)
{
    NEXT(cpu, u);
}
