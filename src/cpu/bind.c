/*
 * Chooses the handler of a decoded instruction by operation, operand form, width and mode, and
 * joins a compare with the branch behind it. Everything that has no special form runs the handler
 * named in ops.def.
 */
#include "cpu/block.h"
#include "cpu/op_atomic.h"
#include "cpu/run.h"

#undef OP /* of exec.h */
static insn_fn *const plain_handler[OP_COUNT] = {
#define OP(id, mnemonic, handler, fr, fw, fu, attr) [OP_##id] = handler,
#include "cpu/ops.def"
#undef OP
};

const struct insn *op_unbound(struct cpu *cpu, const struct insn *u)
{
    cpu->cur = u;
    cpu_ud(cpu, REASON_INTERNAL);
}

/* Index of an operand size in the form tables. */
static unsigned width(unsigned size)
{
    return (unsigned)__builtin_ctz(size);
}

/* Byte registers are named by offset (op_int.h). */
static uint8_t reg_operand(const struct insn *u, unsigned n, unsigned size)
{
    if (size != 1)
        return (uint8_t)n;
    return (uint8_t)(!u->rex && n >= 4 && n < 8 ? (n - 4) * 8 + 1 : n * 8);
}

/* Address form f: 64-bit flat addresses with no alignment checks; else g. */
static unsigned address_form(const struct insn *u, uint32_t mode)
{
    return (mode & MODE_CODE_MASK) == MODE_CODE64 && u->asize == 8 && !(mode & MODE_ALIGN) ? 0 : 1;
}

static bool is_E(enum operand o)
{
    return (o >= O_Eb && o <= O_Ey) || o == O_Ob || o == O_Ov;
}
static bool is_imm(enum operand o)
{
    return o >= O_Ib && o <= O_1;
}

/* The register an operand names when it is not memory. */
static unsigned named_reg(const struct insn *u, enum operand o)
{
    switch (o) {
    case O_AL:
    case O_rAX:
        return REG_RAX;
    case O_Eb:
    case O_Ew:
    case O_Ed:
    case O_Eq:
    case O_Ev:
    case O_Ey:
        return u->rm;
    default:
        return u->reg;
    }
}

static insn_fn *bind_alu(struct insn *u, uint32_t mode, const struct alu_forms *forms)
{
    const enum operand dst = u->row->opnd[0], src = u->row->opnd[1];
    const unsigned w = width(u->osize), form = address_form(u, mode);
    if (u->mem && is_E(dst)) {
        if (is_imm(src))
            return forms->mi.fn[form][w];
        u->b = reg_operand(u, named_reg(u, src), u->osize);
        return forms->mr.fn[form][w];
    }
    u->a = reg_operand(u, named_reg(u, dst), u->osize);
    if (u->mem)
        return forms->rm.fn[form][w];
    if (is_imm(src))
        return forms->ri[w];
    u->b = reg_operand(u, named_reg(u, src), u->osize);
    return forms->rr[w];
}

static insn_fn *bind_unary(struct insn *u, uint32_t mode, const struct unary_forms *forms)
{
    const unsigned w = width(u->osize);
    if (u->mem)
        return forms->m.fn[address_form(u, mode)][w];
    u->a = reg_operand(u, named_reg(u, u->row->opnd[0]), u->osize);
    return forms->r[w];
}

static insn_fn *bind_shift(struct insn *u, uint32_t mode, const struct shift_forms *forms)
{
    return bind_unary(u, mode, u->row->opnd[1] == O_CL ? &forms->cl : &forms->imm);
}

static insn_fn *bind_extend(struct insn *u, uint32_t mode, const struct extend_forms *forms)
{
    const enum operand src = u->row->opnd[1];
    const unsigned s = src == O_Eb ? 0 : src == O_Ew ? 1 : 2, d = width(u->osize) - 1;
    u->a = u->reg;
    if (u->mem)
        return forms->rm[address_form(u, mode)][s][d];
    u->b = reg_operand(u, u->rm, s == 0 ? 1 : 4);
    return forms->rr[s][d];
}

static insn_fn *bind_special(struct insn *u, uint32_t mode)
{
    const bool code64 = (mode & MODE_CODE_MASK) == MODE_CODE64;
    const bool fast_stack = code64 && u->osize == 8 && !(mode & MODE_ALIGN);
    switch (u->op) {
    case OP_ADD:
        return bind_alu(u, mode, &forms_add);
    case OP_OR:
        return bind_alu(u, mode, &forms_or);
    case OP_ADC:
        return bind_alu(u, mode, &forms_adc);
    case OP_SBB:
        return bind_alu(u, mode, &forms_sbb);
    case OP_AND:
        return bind_alu(u, mode, &forms_and);
    case OP_SUB:
        return bind_alu(u, mode, &forms_sub);
    case OP_XOR:
        return bind_alu(u, mode, &forms_xor);
    case OP_CMP:
        return bind_alu(u, mode, &forms_cmp);
    case OP_TEST:
        return bind_alu(u, mode, &forms_test);
    case OP_MOV:
        return bind_alu(u, mode, &forms_mov);
    case OP_INC:
        return bind_unary(u, mode, &forms_inc);
    case OP_DEC:
        return bind_unary(u, mode, &forms_dec);
    case OP_NEG:
        return bind_unary(u, mode, &forms_neg);
    case OP_NOT:
        return bind_unary(u, mode, &forms_not);
    case OP_ROL:
        return bind_shift(u, mode, &forms_rol);
    case OP_ROR:
        return bind_shift(u, mode, &forms_ror);
    case OP_RCL:
        return bind_shift(u, mode, &forms_rcl);
    case OP_RCR:
        return bind_shift(u, mode, &forms_rcr);
    case OP_SHL:
        return bind_shift(u, mode, &forms_shl);
    case OP_SHR:
        return bind_shift(u, mode, &forms_shr);
    case OP_SAR:
        return bind_shift(u, mode, &forms_sar);
    case OP_MOVZX:
        return bind_extend(u, mode, &forms_movzx);
    case OP_MOVSX:
    case OP_MOVSXD:
        return bind_extend(u, mode, &forms_movsx);
    case OP_LEA:
        return lea_forms[u->asize == 8 ? 0 : 1][width(u->osize) - 1];
    case OP_JMP:
        return jmp_direct;
    case OP_CALL:
        return fast_stack ? call_direct_64 : call_direct_g;
    case OP_RET:
        return fast_stack ? ret_64 : ret_g;
    case OP_PUSH:
        if (fast_stack && u->row->opnd[0] == O_Zv)
            return push_r64;
        if (fast_stack && u->row->opnd[0] != O_Ev)
            return push_i64;
        return op_push;
    case OP_MOVS:
    case OP_STOS:
    case OP_LODS: {
        insn_fn *single = bind_single_string(u, mode);
        return single ? single : plain_handler[u->op];
    }
    case OP_POP:
        return fast_stack && u->row->opnd[0] == O_Zv ? pop_r64 : op_pop;
    default:
        break;
    }
    if (u->op >= OP_JO && u->op <= OP_JG)
        return jcc_forms[u->op - OP_JO];
    if (u->op >= OP_SETO && u->op <= OP_SETG && !u->mem) {
        u->a = reg_operand(u, u->rm, 1);
        return setcc_r_forms[u->op - OP_SETO];
    }
    if (u->op >= OP_CMOVO && u->op <= OP_CMOVG && !u->mem && u->osize >= 4) {
        u->a = u->reg;
        u->b = u->rm;
        return cmov_rr_forms[u->osize == 8][u->op - OP_CMOVO];
    }
    return plain_handler[u->op];
}

void bind_insn(struct insn *u, uint32_t mode)
{
    const uint32_t attr = u->row->attr;
    const bool x87 = op_info[u->op].attr & OA_X87;
    if ((attr & A_CPL0) && !(mode & MODE_CPL0))
        u->fn = op_cpl_fault;
    else if ((attr & A_SSE) && (mode & MODE_NO_SSE))
        u->fn = op_sse_off;
    else if ((attr & A_VEX) && (mode & MODE_NO_AVX))
        u->fn = op_avx_off;
    else if (((attr & A_MMX) || x87) && (mode & MODE_NO_X87))
        u->fn = op_x87_off;
    else
        u->fn = bind_special(u, mode);
    if (locked_alu(u)) /* behind that, which names the operands for templates */
        u->fn = op_locked_alu;
}

bool bind_ends_block(const struct insn *u)
{
    if ((u->op == OP_MOVS || u->op == OP_STOS || u->op == OP_LODS) && u->fn != plain_handler[u->op])
        return false;
    return op_info[u->op].attr & OA_END;
}

insn_fn *bind_plain(const struct insn *u, uint32_t mode)
{
    struct insn copy = *u;
    bind_insn(&copy, mode);
    return copy.fn;
}

/* Index into the fused tables: widths 8, 32, 64. */
static int fused_width(unsigned size)
{
    return size == 1 ? 0 : size == 4 ? 1 : size == 8 ? 2 : -1;
}

void bind_fuse(struct block *b)
{
    if (b->n < 2)
        return;
    struct insn *u = &b->insn[b->n - 2], *jcc = u + 1;
    const int w = fused_width(u->osize);
    if (w < 0 || jcc->op < OP_JO || jcc->op > OP_JG)
        return;
    const unsigned cc = jcc->op - OP_JO, i = width(u->osize);
    insn_fn *fn = NULL;
    if (u->op == OP_CMP) {
        fn = u->fn == forms_cmp.rr[i]         ? cmp_jcc_rr[w][cc]
             : u->fn == forms_cmp.ri[i]       ? cmp_jcc_ri[w][cc]
             : u->fn == forms_cmp.rm.fn[0][i] ? cmp_jcc_rm[w][cc]
             : u->fn == forms_cmp.mi.fn[0][i] ? cmp_jcc_mi[w][cc]
                                              : NULL;
    } else if (u->op == OP_TEST) {
        fn = u->fn == forms_test.rr[i]   ? test_jcc_rr[w][cc]
             : u->fn == forms_test.ri[i] ? test_jcc_ri[w][cc]
                                         : NULL;
    }
    if (fn) {
        u->fn = fn;
        u->fused = true;
    }
}
