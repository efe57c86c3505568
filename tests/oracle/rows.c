/* See rows.h. */
#include "rows.h"

#include "cpu/cpu.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>

/* --- the walk --- */

static const uint8_t mandatory[4] = {0, 0x66, 0xf3, 0xf2}; /* by PFX_* */

static void walk_slot(struct form_list *list, const struct opcode *o, struct form f);

/* The n slots below o, with *field saying which. */
static void walk_each(struct form_list *list, const struct opcode *o, unsigned n, struct form *f,
                      int8_t *field)
{
    for (unsigned i = 0; i < n; i++) {
        *field = (int8_t)i;
        walk_slot(list, &o->sub[i], *f);
    }
}

static void walk_slot(struct form_list *list, const struct opcode *o, struct form f)
{
    switch (o->kind) {
    case T_NONE:
    case T_PREFIX:
        break;
    case T_ROW:
        if (list->n == MAX_FORMS) {
            fprintf(stderr, "more than %d rows\n", MAX_FORMS);
            abort();
        }
        f.row = o;
        if (o->attr & A_I64)
            f.code64 = 0;
        if (o->attr & A_O64)
            f.code64 = 1;
        list->form[list->n++] = f;
        break;
    case T_MAP:
        for (unsigned i = 0; i < 256; i++) {
            struct form g = f;
            g.opcode[g.opcodes++] = (uint8_t)i;
            walk_slot(list, &o->sub[i], g);
        }
        break;
    case T_PFX:
        for (unsigned i = 0; i < 4; i++) {
            f.by_prefix = true;
            f.prefix = mandatory[i];
            walk_slot(list, &o->sub[i], f);
        }
        break;
    case T_FEATURE:
        for (unsigned i = 0; i < 2; i++) {
            struct form g = f;
            g.older = !i;
            walk_slot(list, &o->sub[i], g);
        }
        break;
    case T_VEXL:
        walk_each(list, o, 2, &f, &f.vex_l);
        break;
    case T_VEXW:
        walk_each(list, o, 2, &f, &f.rex_w);
        break;
    case T_REXW:
        f.rex_w = 0;
        walk_slot(list, &o->sub[0], f);
        f.rex_w = 1;
        f.code64 = 1; /* there is no REX elsewhere */
        walk_slot(list, &o->sub[1], f);
        break;
    case T_MODE64:
        walk_each(list, o, 2, &f, &f.code64);
        break;
    case T_MOD:
        for (unsigned i = 0; i < 2; i++) {
            f.mem = !i;
            walk_slot(list, &o->sub[i], f);
        }
        break;
    case T_GROUP:
        walk_each(list, o, 8, &f, &f.reg);
        break;
    case T_RM:
        walk_each(list, o, 8, &f, &f.rm);
        break;
    default:
        fprintf(stderr, "a table slot of kind %u, which nobody told the oracle about\n", o->kind);
        abort();
    }
}

void rows_list(struct form_list *list)
{
    const struct form any = {
        .rex_w = -1, .vex_l = -1, .mem = -1, .reg = -1, .rm = -1, .code64 = -1};
    list->n = 0;
    for (unsigned i = 0; i < 256; i++) {
        struct form f = any;
        f.opcode[f.opcodes++] = (uint8_t)i;
        if ((i & 0xf0) == 0x40) /* REX in 64-bit mode */
            f.code64 = 0;
        walk_slot(list, &opcode_map[i], f);
    }
    for (unsigned map = 1; map <= 3; map++)
        for (unsigned i = 0; i < 4 * 256; i++) {
            struct form f = any;
            f.opcode[f.opcodes++] = (uint8_t)i;
            f.vex = (uint8_t)map;
            f.by_prefix = true;
            f.prefix = mandatory[i >> 8];
            walk_slot(list, &vex_maps[map - 1][i], f);
        }
}

const char *form_name(const struct form *f)
{
    static const char *const vex_map[] = {"", " vex.0f", " vex.0f38", " vex.0f3a"};
    static char text[120];
    unsigned n = 0;
#define ADD(...) n += (unsigned)snprintf(text + n, sizeof text - n, __VA_ARGS__)
    ADD("%s%s", op_info[f->row->op].mnemonic, vex_map[f->vex]);
    if (f->prefix)
        ADD("%s%02x", f->vex ? "." : " ", f->prefix);
    if (f->vex_l >= 0)
        ADD(".l%d", f->vex_l);
    if (f->rex_w >= 0)
        ADD("%s%d", f->vex ? ".w" : " rex.w", f->rex_w);
    for (unsigned i = 0; i < f->opcodes; i++)
        ADD(" %02x", f->opcode[i]);
    if (f->reg >= 0)
        ADD(" /%d", f->reg);
    if (f->rm >= 0)
        ADD(" rm%d", f->rm);
    if (f->mem >= 0)
        ADD("%s", f->mem ? " mem" : " reg");
    if (f->code64 == 0)
        ADD(" (not 64-bit)");
#undef ADD
    return text;
}

/* --- what rows are like --- */

bool row_has(const struct opcode *row, enum operand lo, enum operand hi)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->opnd[i] >= lo && row->opnd[i] <= hi)
            return true;
    return false;
}
bool row_memory_only(const struct opcode *row)
{
    return row_has(row, O_M, O_Mt) || (row->attr & A_MEM);
}
bool row_register_only(const struct opcode *row)
{
    return row_has(row, O_Rd, O_Ry) || row_has(row, O_Ups, O_Ux) || row_has(row, O_Nq, O_Nq) ||
           row_has(row, O_STi, O_STi) || (row->attr & A_REG);
}
bool row_is_x87(const struct opcode *row)
{
    return op_info[row->op].attr & OA_X87;
}
bool row_is_vector(const struct opcode *row)
{
    return row_is_x87(row) || (row->attr & (A_SSE | A_MMX | A_VEX)) || row_has(row, O_Vss, O_Nq) ||
           op_is_image(row->op) || row->op == OP_FWAIT;
}
bool row_is_string(const struct opcode *row)
{
    return op_info[row->op].attr & OA_STRING;
}
bool row_is_near_branch(const struct opcode *row)
{
    return row_has(row, O_Jb, O_Jz) || row->op == OP_JMPN || row->op == OP_CALLN ||
           row->op == OP_RET;
}
bool op_is_xsave(enum op op)
{
    return op == OP_XSAVE || op == OP_XSAVEOPT || op == OP_XSAVEC;
}
bool op_is_image(enum op op)
{
    switch (op) {
    case OP_FXSAVE:
    case OP_FXRSTOR:
    case OP_XSAVE:
    case OP_XSAVEOPT:
    case OP_XSAVEC:
    case OP_XSAVES:
    case OP_XRSTOR:
    case OP_XRSTORS:
    case OP_FNSAVE:
    case OP_FRSTOR:
    case OP_FNSTENV:
    case OP_FLDENV:
        return true;
    default:
        return false;
    }
}

/* --- what can run --- */

/* The few that cannot, for what they would do to this process or show of its system. */
static const struct {
    enum op op;
    const char *why;
} left_out[] = {
    {OP_SYSCALL, "enters the host's kernel"},
    {OP_SYSENTER, "enters the host's kernel"},
    {OP_SYSRET, "its fault is a model's own: #UD or #GP"},
    {OP_SYSEXIT, "its fault is a model's own: #UD or #GP"},
    {OP_SGDT, "shows the host's tables"},
    {OP_SIDT, "shows the host's tables"},
    {OP_SLDT, "shows the host's tables"},
    {OP_STR, "shows the host's tables"},
    {OP_SMSW, "shows the host's CR0"},
    {OP_LFS, "FS and GS are what the host's process hangs on"},
    {OP_LGS, "FS and GS are what the host's process hangs on"},
    {OP_RDPKRU, "shows the host's protection keys"},
    {OP_WRPKRU, "takes memory away from the host's process"},
    {OP_RDPMC, "whether user mode may is the host's choice"},
    {OP_MONITOR, "whether user mode may is the host's choice"},
    {OP_MWAIT, "whether user mode may is the host's choice"},
};

const char *form_left_out(const struct form *f, bool code64)
{
    if (f->older)
        return "only a CPU model without the feature gets there";
    if (f->code64 >= 0 && f->code64 != code64)
        return code64 ? "no instruction of 64-bit mode" : "only an instruction of 64-bit mode";
    for (unsigned i = 0; i < ARRAY_SIZE(left_out); i++)
        if (left_out[i].op == f->row->op)
            return left_out[i].why;
    if (f->row->op == OP_POP_SREG && row_has(f->row, O_FS, O_GS))
        return "FS and GS are what the host's process hangs on";
    return NULL;
}

bool form_privileged(const struct form *f)
{
    if (f->row->attr & A_CPL0)
        return true;
    /* IOPL decides (SDM 1 §19.5.1 "I/O Privilege Level"): 0 in both */
    return (op_info[f->row->op].attr & OA_IO) || f->row->op == OP_CLI || f->row->op == OP_STI ||
           f->row->op == OP_CLAC || f->row->op == OP_STAC || f->row->op == OP_INVPCID ||
           f->row->op == OP_XSETBV || f->row->op == OP_XSAVES || f->row->op == OP_XRSTORS;
}

static bool cpuid_says(enum cpu_feature feature)
{
    enum { EAX, EBX, ECX, EDX };
    static const struct {
        uint32_t leaf, sub;
        uint8_t reg, bit;
    } where[FEAT_COUNT] = {
#define FEATURE(name, leaf, sub, reg, bit, flag) [FEAT_##name] = {leaf, sub, reg, bit},
#include "cpu/features.def"
#undef FEATURE
    };
    uint32_t r[4] = {0};
    return __get_cpuid_count(where[feature].leaf, where[feature].sub, &r[EAX], &r[EBX], &r[ECX],
                             &r[EDX]) &&
           r[where[feature].reg] & BIT(where[feature].bit);
}

/* CPUID may leave the machine for a while, so it is asked once. */
bool host_has(enum cpu_feature feature)
{
    static enum { UNKNOWN, NO, YES } known[FEAT_COUNT];
    if (feature == FEAT_NONE)
        return true;
    if (feature == FEAT_FSGSBASE) /* the kernel must allow it, and keep what is written */
        return getauxval(AT_HWCAP2) & BIT(1);
    if (known[feature] == UNKNOWN)
        known[feature] = cpuid_says(feature) ? YES : NO;
    return known[feature] == YES;
}
