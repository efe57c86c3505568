/* See verify.h: plausible mistakes, one for each mnemonic that has a template. */
#include "cpu/jit/verify.h"

/* Another operation, or the same one with another operand. */
static const struct {
    uint16_t op, as;
} mistakes[] = {
    {OP_ADD, OP_SUB},
    {OP_OR, OP_XOR},
    {OP_ADC, OP_SBB},
    {OP_SBB, OP_ADC},
    {OP_AND, OP_OR},
    {OP_SUB, OP_ADD},
    {OP_XOR, OP_OR},
    {OP_CMP, OP_TEST},
    {OP_TEST, OP_CMP},
    {OP_MOV, OP_MOV},
    {OP_MOVZX, OP_MOVSX},
    {OP_MOVSX, OP_MOVZX},
    {OP_MOVSXD, OP_MOVSXD},
    {OP_LEA, OP_LEA},
    {OP_INC, OP_DEC},
    {OP_DEC, OP_INC},
    {OP_NOT, OP_NEG},
    {OP_NEG, OP_NOT},
    {OP_SHL, OP_SHR},
    {OP_SHR, OP_SAR},
    {OP_SAR, OP_SHR},
    {OP_ROL, OP_ROR},
    {OP_ROR, OP_ROL},
    {OP_IMUL, OP_IMUL},
    {OP_MUL, OP_IMUL1},
    {OP_IMUL1, OP_MUL},
    {OP_DIV, OP_DIV},
    {OP_IDIV, OP_DIV},
    {OP_XCHG, OP_XCHG},
    {OP_BSWAP, OP_BSWAP},
    {OP_CBW, OP_CWD},
    {OP_CWD, OP_CBW},
    {OP_BT, OP_BT},
    {OP_SHLX, OP_SHRX},
    {OP_SHRX, OP_SARX},
    {OP_SARX, OP_SHLX},
    {OP_RORX, OP_RORX},
    {OP_PUSH, OP_PUSH},
    {OP_POP, OP_POP},
    {OP_CALL, OP_CALL},
    {OP_RET, OP_RET},
    {OP_JMPN, OP_JMPN},
    {OP_CALLN, OP_CALLN},
    {OP_LOOP, OP_JCXZ},
    {OP_JCXZ, OP_LOOP},
    {OP_FADD_ST, OP_FADD_ST},
    {OP_FLD_M64, OP_FLD_M64},
    {OP_FSTP_M32, OP_FSTP_M32},
    {OP_FXCH, OP_FXCH},
    {OP_FCHS, OP_FCHS},
    {OP_FILD_M32, OP_FILD_M32},
    {OP_PADDB_MMX, OP_PADDB_MMX},
    {OP_BTS, OP_BTR},
    {OP_BTR, OP_BTC},
    {OP_BTC, OP_BTS},
    {OP_SHLD, OP_SHRD},
    {OP_SHRD, OP_SHLD},
    {OP_MOVS, OP_STOS},
    {OP_STOS, OP_LODS},
    {OP_LODS, OP_LODS},
    {OP_CLD, OP_STD},
    {OP_STD, OP_CLD},
    {OP_CLI, OP_STD},
    {OP_CMPXCHG16B, OP_CMPXCHG8B},
};

/* Groups of sixteen conditions: each is broken by its opposite. */
static const struct {
    uint16_t first;
    const char *name;
} conditions[] = {{OP_JO, "jcc"}, {OP_SETO, "setcc"}, {OP_CMOVO, "cmovcc"}};

const char *verify_breakable(unsigned i)
{
    if (i < ARRAY_SIZE(mistakes))
        return op_info[mistakes[i].op].mnemonic;
    i -= ARRAY_SIZE(mistakes);
    return i < ARRAY_SIZE(conditions) ? conditions[i].name : NULL;
}

bool verify_break(struct jit *j, const char *mnemonic)
{
    j->broken = j->broken_last = OP_COUNT;
    if (!mnemonic)
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++)
        if (!strcmp(op_info[mistakes[i].op].mnemonic, mnemonic))
            j->broken = j->broken_last = mistakes[i].op;
    for (unsigned i = 0; i < ARRAY_SIZE(conditions); i++) {
        if (strcmp(conditions[i].name, mnemonic) != 0)
            continue;
        j->broken = conditions[i].first;
        j->broken_last = (uint16_t)(conditions[i].first + 15);
    }
    return j->broken != OP_COUNT;
}

static void other_operand(struct insn *u)
{
    const uint8_t next = u->osize == 1 ? 8 : 1; /* byte registers are named by offset (bind.c) */
    if ((op_info[u->op].attr & OA_X87) && !u->mem) {
        u->modrm ^= 1;
    } else if (u->op == OP_CALL) { /* another return address */
        u->len++;
    } else if (u->op == OP_RET) {
        u->imm += 8;
    } else if (u->op == OP_LODS) {
        u->osize = u->osize == 8 ? 4 : 8;
    } else if (u->mem) {
        u->disp++;
    } else if (u->op == OP_PUSH || u->op == OP_POP || u->op == OP_BSWAP) {
        u->reg ^= 1;
        u->imm ^= 1;
    } else {
        u->rm ^= 1;
        u->b ^= u->op == OP_MOVSX || u->op == OP_MOVZX ? 0 : next;
        u->imm ^= 1;
    }
}

void verify_mutate(struct insn *u)
{
    for (unsigned i = 0; i < ARRAY_SIZE(conditions); i++) {
        const unsigned cc = (unsigned)u->op - conditions[i].first;
        if (cc < 16) {
            u->op = (uint16_t)(conditions[i].first + (cc ^ 1));
            return;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mistakes); i++) {
        if (mistakes[i].op != u->op)
            continue;
        if (mistakes[i].as == u->op)
            other_operand(u);
        u->op = mistakes[i].as;
        return;
    }
}
