/*
 * The decoder against capstone: length, validity and mnemonic, for every opcode of every map under
 * many prefixes and ModRM bytes, and for random and damaged bytes, in 16, 32 and 64-bit mode.
 *
 * Capstone knows more instructions than this CPU has, and is wrong in places: what it says is
 * passed over only by a rule below that gives the manual's word for it. decode_cases.txt has an
 * example of each, with what both say (Capstone 4.0.2); FUZZ_LIST=1 prints new ones.
 *
 * DECODE_ALL=1 tries every ModRM byte of the fixed part.
 */
#include "fuzz.h"

#include "cpu/cpu.h"
#include "cpu/decode_tables.h"
#include "cpu/fault.h"

#include <capstone/capstone.h>
#include <string.h>

static csh handle[3]; /* 16, 32, 64 bits */
static cs_insn *cs;
static struct cpu_features feat;
static const uint32_t modes[3] = {
    MODE_CODE16 | MODE_PROT | MODE_CPL0,
    MODE_CODE32 | MODE_PROT | MODE_CPL0,
    MODE_CODE64 | MODE_FLAT | MODE_PROT | MODE_CPL0,
};

struct text {
    uint8_t b[16];
    unsigned mode; /* 0, 1, 2: 16, 32, 64 bits */
};

/* What both say of one string. */
struct verdict {
    struct insn u;
    enum decode_status status;
    unsigned len;    /* ours, 0: invalid */
    unsigned cs_len; /* capstone's */
    /* the string without its prefixes */
    uint8_t rex;
    unsigned at; /* of the opcode */
    bool lock, rep, repne, has66;
};

struct tally {
    unsigned long cases, both, neither, passed_over, wrong;
};

static void split(const struct text *t, struct verdict *v)
{
    for (v->at = 0; v->at < 15; v->at++) {
        const uint8_t b = t->b[v->at];
        if (t->mode == 2 && (b & 0xf0) == 0x40) {
            v->rex = b; /* only the last one counts */
            continue;
        }
        if (b == 0xf0)
            v->lock = true;
        else if (b == 0xf2 || b == 0xf3)
            v->rep = b == 0xf3, v->repne = b == 0xf2;
        else if (b == 0x66)
            v->has66 = true;
        else if (b != 0x26 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x64 && b != 0x65 &&
                 b != 0x67)
            return;
        v->rex = 0;
    }
}

/* --- where they differ --- */

static uint8_t opcode_0f(const struct text *t, const struct verdict *v)
{
    return t->b[v->at] == 0x0f ? t->b[v->at + 1] : 0;
}

static bool in_group(unsigned group)
{
    for (unsigned i = 0; i < cs->detail->groups_count; i++)
        if (cs->detail->groups[i] == group)
            return true;
    return false;
}

/* Instructions that this CPU does not have. */
static bool not_ours(void)
{
    static const uint8_t groups[] = {X86_GRP_3DNOW, X86_GRP_AVX512, X86_GRP_BWI,  X86_GRP_CDI,
                                     X86_GRP_DQI,   X86_GRP_VLX,    X86_GRP_FMA4, X86_GRP_HLE,
                                     X86_GRP_RTM,   X86_GRP_XOP,    X86_GRP_TBM,  X86_GRP_VM};
    static const uint16_t more[] = {
        X86_INS_GETSEC,    X86_INS_RSM,       X86_INS_FEMMS,     X86_INS_XSHA1,
        X86_INS_XSHA256,   X86_INS_XCRYPTECB, X86_INS_XCRYPTCBC, X86_INS_XCRYPTCTR,
        X86_INS_XCRYPTCFB, X86_INS_XCRYPTOFB, X86_INS_XSTORE,    X86_INS_MONTMUL,
        X86_INS_XTEST,     X86_INS_ENCLU,     X86_INS_ENCLS,     X86_INS_PCOMMIT};
    for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
        if (in_group(groups[i]))
            return true;
    for (unsigned i = 0; i < ARRAY_SIZE(more); i++)
        if (cs->id == more[i])
            return true;
    return false;
}

/* Do 66, F2, F3 mean anything to this row? */
static bool mandatory_row(const struct verdict *v)
{
    return (v->u.row->attr & (A_SSE | A_MMX)) || v->u.op == OP_INVPCID || v->u.op == OP_ADCX ||
           v->u.op == OP_ADOX;
}
static bool means_66(const struct text *t, const struct verdict *v)
{
    if (v->u.op == OP_POPCNT || v->u.op == OP_CRC32 || v->u.op == OP_TZCNT || v->u.op == OP_LZCNT)
        return true;
    if (mandatory_row(v) || (v->u.row->attr & A_OP32))
        return v->u.pfx == PFX_66;
    /* SDM 2A §2.2.1.2: near branches have 64 bits whatever 66 says */
    return !(v->u.row->attr & (A_F64 | A_NEAR)) || t->mode != 2;
}
static bool means_rep(const struct verdict *v)
{
    return (v->u.op >= OP_RDFSBASE && v->u.op <= OP_WRGSBASE) ||
           (v->u.row->attr & (A_REP | A_SSE)) || v->u.op == OP_POPCNT || v->u.op == OP_CRC32 ||
           v->u.op == OP_TZCNT || v->u.op == OP_LZCNT || v->u.op == OP_ADOX || v->u.op == OP_PAUSE;
}

/*
 * The length that capstone gives when what it trips over is put in other words: prefixes that mean
 * nothing dropped, the mandatory one last; and 16-bit mode as 32-bit mode, in which it does not
 * know vector instructions with 66.
 */
static unsigned second_opinion(const struct text *t, const struct verdict *v)
{
    uint8_t out[24];
    unsigned n = 0, mode = t->mode;
    bool has67 = false, has66 = v->has66 && means_66(t, v);
    unsigned dropped = v->at;
    for (unsigned i = 0; i < v->at; i++)
        has67 |= t->b[i] == 0x67;
    if (mode == 2 && (v->rex & 8) && !v->has66) /* or it reads 66 where 67 is */
        has67 = false;
    if (mode == 0) {
        mode = 1;
        has67 = !has67;
        if (!mandatory_row(v))
            has66 = !has66;
    }
    if (has67)
        out[n++] = 0x67;
    if (v->u.seg_ovr)
        out[n++] = 0x64;
    if (has66)
        out[n++] = 0x66;
    if ((v->rep || v->repne) && means_rep(v))
        out[n++] = v->rep ? 0xf3 : 0xf2;
    if (v->rex)
        out[n++] = v->rex;
    dropped -= n;
    memcpy(out + n, t->b + v->at, 15 - v->at);
    const uint8_t *code = out;
    size_t left = n + 15 - v->at;
    uint64_t address = 0;
    return cs_disasm_iter(handle[mode], &code, &left, &address, cs) ? cs->size + dropped : 0;
}

/* Why what capstone says does not count, or NULL: it does. */
static const char *rule(const struct text *t, const struct verdict *v)
{
    const uint8_t map0f = opcode_0f(t, v);
    if (!v->len && v->cs_len && not_ours())
        return "no such feature";
    if (!v->len && v->lock && v->u.imm == REASON_UD_LOCK)
        return "LOCK: #UD unless the row allows it and the destination is memory (SDM 2A \"LOCK\")";
    if (!v->len && map0f && (v->rep || v->repne) && v->u.imm == REASON_UD_OPCODE)
        return "F2 and F3 are part of the opcode in vector rows: an empty slot is #UD (SDM 2D "
               "A.2.1)";
    if (!v->len && map0f && v->has66 && v->u.imm == REASON_UD_OPCODE)
        return "and so is 66 there";
    if (!v->len && (cs->id == X86_INS_SYSCALL || cs->id == X86_INS_SYSRET))
        return "only in 64-bit mode on Intel's (SDM 2B \"SYSCALL\")";
    if (!v->len && (map0f == 0x20 || map0f == 0x22) && v->u.imm == REASON_UD_OPERAND)
        return "CR1, CR5-7, CR9-15: #UD (SDM 2B \"MOV-Move to/from Control Registers\")";
    if (v->len && (map0f == 0x0d || map0f == 0x18 || (map0f >= 0x19 && map0f <= 0x1f)))
        return "0F 0D, 0F 18-1F: NOPs with ModRM (SDM 2B \"NOP\", \"PREFETCHh\", \"PREFETCHW\")";
    if (!v->len && v->u.imm == REASON_UD_OPERAND && cs->id == X86_INS_MOV && map0f == 0)
        return "MOV to CS: #UD (SDM 2B \"MOV\")";
    if (!v->len && (map0f == 0x21 || map0f == 0x23) && (v->rex & 4))
        return "DR8-15: #UD (SDM 2B \"MOV-Move to/from Debug Registers\")";
    if (!v->len && (map0f == 0x12 || map0f == 0x16 || map0f == 0xd6) &&
        v->u.imm == REASON_UD_OPERAND)
        return "MOVLPD, MOVHPD: memory only; MOVQ2DQ, MOVDQ2Q: registers only";
    if (!v->len && cs->id == X86_INS_SWAPGS)
        return "only in 64-bit mode";
    if (!v->len && (t->b[v->at] & 0xfe) == 0xc4 &&
        (v->has66 || v->rep || v->repne || v->lock || v->rex))
        return "66, F2, F3, LOCK, REX before VEX: #UD (SDM 2A §2.3.2 to §2.3.4)";
    if (v->len && !v->cs_len &&
        (v->u.row->feature == FEAT_GFNI || v->u.row->feature == FEAT_VAES ||
         v->u.row->feature == FEAT_VPCLMULQDQ))
        return "unknown to capstone 4: SDM 2A \"GF2P8MULB\", \"AESENC\", 2B \"PCLMULQDQ\"";
    if (v->u.op == OP_VBROADCASTI128 && !v->cs_len)
        return "VEX.256.66.0F38.W0 5A (SDM 2C \"VPBROADCAST\")";
    if (!v->len && (t->b[v->at] & 0xfe) == 0xc4 && v->u.imm == REASON_UD_OPERAND)
        return "VEX.W and L as the row has them, vvvv ones where no operand is in it (SDM 2A "
               "§2.3.5.6, 2D A.2)";
    if (!v->len && t->b[v->at] == 0x62)
        return "EVEX is not here yet";
    if (v->len && v->rex && (v->u.op == OP_RET || v->u.op == OP_CALL))
        return "RET has 16 bits, CALL 32, whatever 67 and REX.W say";
    if (v->len && v->rex && (v->u.op == OP_MOV_SREG || v->u.op == OP_MOV_TO_SREG))
        return "REX.R is ignored for segment registers (SDM 2A §2.2.1.2)";
    if (v->len && map0f == 0xae && v->u.modrm >= 0xe8)
        return "fences ignore ModRM.rm (SDM 2A \"LFENCE\", 2B \"MFENCE\", \"SFENCE\")";
    if (!v->len && map0f && v->rex & 8 && v->u.imm == REASON_UD_OPCODE &&
        (!second_opinion(t, v) || not_ours()))
        return "67 before REX.W is no 66: these are rows with 66 only (SDM 2A §2.1.1, 2D A.2.1)";
    if (v->len && second_opinion(t, v) == v->len)
        return "without prefixes that mean nothing, capstone agrees";
    if (v->len && !v->cs_len &&
        (v->u.op == OP_MOVDIRI || v->u.op == OP_MOVDIR64B || v->u.op == OP_CLZERO ||
         v->u.op == OP_RDPID || v->u.op == OP_SERIALIZE || v->u.op == OP_RDPKRU ||
         v->u.op == OP_WRPKRU))
        return "younger than capstone 4 (SDM 2B \"MOVDIRI\" and so on, APM 3 \"CLZERO\")";
    if (v->len && (v->u.op == OP_UD0 || v->u.op == OP_UD1))
        return "UD0 and UD1 have ModRM (SDM 2B \"UD\")";
    return NULL;
}

/* --- names --- */

static bool names_match(const char *ours, const char *theirs)
{
    static const char *const aliases[][2] = {
        {"cbw", "cwde"},
        {"cbw", "cdqe"},
        {"cwd", "cdq"},
        {"cwd", "cqo"},
        {"mov", "movabs"},
        {"lret", "retf"},
        {"lret", "retfq"},
        {"fwait", "wait"},
        {"shl", "sal"},
        {"jcxz", "jecxz"},
        {"jcxz", "jrcxz"},
        {"xchg", "nop"},
        {"fstp1", "fstpnce"},
        {"fnsetpm", "fsetpm"},
        {"fneni", "feni8087_nop"},
        {"fndisi", "fdisi8087_nop"},
        {"pusha", "pushal"},
        {"pusha", "pushaw"},
        {"popa", "popal"},
        {"popa", "popaw"},
        {"movq2dq", "movq"},
        {"movdq2q", "movq"},
        {"movq", "movd"},
        {"pause", "xchg"},
        {"nop", "endbr32"},
        {"nop", "endbr64"},
        {"vpinsrd", "vpinsrq"}, /* W outside 64-bit mode is ignored */
        {"vpextrd", "vpextrq"},
        {"wbnoinvd", "wbinvd"}, /* what F3 makes of them is younger than capstone 4 */
        {"rdpid", "rdseed"},
        {"clwb", "xsaveopt"}, /* 66 is overlooked in 16-bit mode and with REX.W */
        {"clwb", "xsaveopt64"},
        {"clflushopt", "clflush"},
    };
    const size_t n = strlen(ours), m = strlen(theirs);
    if (!strcmp(ours, theirs))
        return true;
    for (unsigned i = 0; i < ARRAY_SIZE(aliases); i++)
        if (!strcmp(ours, aliases[i][0]) && !strcmp(theirs, aliases[i][1]))
            return true;
    /* a size behind it, or a predicate within */
    if (!strncmp(ours, theirs, n) &&
        (!strcmp(theirs + n, "64") || (m == n + 1 && strchr("bwdqxy", theirs[n]))))
        return true;
    if (n == 6 && m > 6 && ours[0] == 'v' && theirs[0] == 'v')
        return names_match(ours + 1, theirs + 1);
    return n == 5 && m > 5 && !strncmp(ours, "cmp", 3) && !strncmp(theirs, "cmp", 3) &&
           !strcmp(ours + 3, theirs + m - 2);
}

static bool names_agree(const struct text *t, struct verdict *v)
{
    const char *ours = op_info[v->u.op].mnemonic, *blank = strrchr(cs->mnemonic, ' ');
    if (names_match(ours, blank ? blank + 1 : cs->mnemonic))
        return true;
    split(t, v);
    if (second_opinion(t, v) != v->len)
        return false;
    blank = strrchr(cs->mnemonic, ' ');
    return names_match(ours, blank ? blank + 1 : cs->mnemonic);
}

/* --- memory operands --- */

static unsigned our_register(x86_reg r)
{
    static const uint8_t order[] = {0, 1, 2, 3, 4, 5, 6, 7};
    static const x86_reg low[3][8] = {
        {X86_REG_AX, X86_REG_CX, X86_REG_DX, X86_REG_BX, X86_REG_SP, X86_REG_BP, X86_REG_SI,
         X86_REG_DI},
        {X86_REG_EAX, X86_REG_ECX, X86_REG_EDX, X86_REG_EBX, X86_REG_ESP, X86_REG_EBP, X86_REG_ESI,
         X86_REG_EDI},
        {X86_REG_RAX, X86_REG_RCX, X86_REG_RDX, X86_REG_RBX, X86_REG_RSP, X86_REG_RBP, X86_REG_RSI,
         X86_REG_RDI},
    };
    for (unsigned s = 0; s < 3; s++)
        for (unsigned i = 0; i < 8; i++)
            if (r == low[s][i])
                return order[i];
    if (r >= X86_REG_R8 && r <= X86_REG_R15)
        return REG_R8 + (r - X86_REG_R8);
    if (r >= X86_REG_R8D && r <= X86_REG_R15D)
        return REG_R8 + (r - X86_REG_R8D);
    return r == X86_REG_RIP || r == X86_REG_EIP ? REG_PC : REG_ZERO;
}

/* The registers, scale and displacement of the one memory operand, where there is one. */
static bool addresses_agree(const struct insn *u)
{
    const cs_x86_op *op = NULL;
    if (!u->mem || (op_info[u->op].attr & (OA_STRING | OA_STACK)) || u->op == OP_XLAT)
        return true;
    for (unsigned i = 0; i < cs->detail->x86.op_count; i++)
        if (cs->detail->x86.operands[i].type == X86_OP_MEM)
            op = &cs->detail->x86.operands[i];
    if (!op)
        return true;
    const unsigned base = our_register(op->mem.base), index = our_register(op->mem.index);
    int64_t disp = op->mem.disp;
    if (base == REG_PC)
        disp += u->len;
    if (base != u->base || index != u->xindex || (unsigned)op->mem.scale != 1u << u->scale)
        return false;
    return ((disp ^ u->disp) & (int64_t)(~UINT64_C(0) >> (64 - 8 * u->asize))) == 0;
}

/* --- examples of the rules --- */

#define MAX_RULES 64
static struct {
    const char *why;
    bool modes[3];
} rules[MAX_RULES];

/* One of a line of decode_cases.txt: "64: 66 90 ...| 2 nop | 2 xchg | why". */
static void print_case(const struct text *t, const struct verdict *v, const char *why)
{
    printf("case %u:", 16 << t->mode);
    for (unsigned i = 0; i < MAX(v->len, v->cs_len); i++)
        printf(" %02x", t->b[i]);
    printf(" | %u %s | %u %s | %s\n", v->len, v->len ? op_info[v->u.op].mnemonic : "-", v->cs_len,
           v->cs_len ? cs->mnemonic : "-", why);
}

static void note_rule(const struct text *t, const struct verdict *v, const char *why)
{
    static int list = -1;
    unsigned i = 0;
    if (list < 0)
        list = getenv("FUZZ_LIST") != NULL;
    while (i < MAX_RULES && rules[i].why && strcmp(rules[i].why, why))
        i++;
    if (i == MAX_RULES || rules[i].modes[t->mode])
        return;
    rules[i].why = why;
    rules[i].modes[t->mode] = true;
    if (list) {
        struct verdict again = *v;
        const uint8_t *code = t->b; /* the second opinion is in cs now */
        size_t left = 15;
        uint64_t address = 0;
        again.cs_len = cs_disasm_iter(handle[t->mode], &code, &left, &address, cs) ? cs->size : 0;
        print_case(t, &again, why);
    }
}

static void complain(const struct text *t, const struct verdict *v, struct tally *tally)
{
    if (tally->wrong++ >= 100000)
        return;
    printf("%u:", 16 << t->mode);
    for (unsigned i = 0; i < 15; i++)
        printf(" %02x", t->b[i]);
    printf(" ours %u %s (%d) capstone %u %s %s\n", v->len, v->len ? op_info[v->u.op].mnemonic : "",
           v->len ? 0 : (int)v->u.imm, v->cs_len, v->cs_len ? cs->mnemonic : "",
           v->cs_len ? cs->op_str : "");
}

static void compare(const struct text *t, struct tally *tally)
{
    struct verdict v = {.len = 0};
    v.status = decode(&v.u, t->b, 15, modes[t->mode], &feat, 0);
    v.len = v.status == DECODE_OK ? v.u.len : 0;
    const uint8_t *code = t->b;
    size_t left = 15;
    uint64_t address = 0;
    v.cs_len = cs_disasm_iter(handle[t->mode], &code, &left, &address, cs) ? cs->size : 0;
    tally->cases++;
    if (v.len == v.cs_len) {
        if (v.len)
            tally->both++;
        else
            tally->neither++;
        if (v.len && (!addresses_agree(&v.u) || !names_agree(t, &v)))
            complain(t, &v, tally);
        return;
    }
    split(t, &v);
    const char *why = rule(t, &v);
    if (why) {
        tally->passed_over++;
        note_rule(t, &v, why);
        return;
    }
    complain(t, &v, tally);
}

static struct tally total;

static void random_tail(struct text *t, unsigned from)
{
    for (unsigned i = from; i < 16; i++)
        t->b[i] = (uint8_t)fuzz_take(1);
}

static void end_part(const char *name, const struct tally *tally)
{
    printf("%s: %lu strings: %lu valid, %lu invalid, %lu passed over, %lu wrong\n", name,
           tally->cases, tally->both, tally->neither, tally->passed_over, tally->wrong);
    if (tally->wrong)
        fuzz_fail("the decoder and capstone disagree, and no rule says why");
}

static void systematic(void)
{
    static const struct {
        uint8_t b[3], n;
    } prefixes[] = {
        {{0}, 0},          {{0x66}, 1},       {{0x67}, 1},       {{0xf2}, 1},
        {{0xf3}, 1},       {{0xf0}, 1},       {{0x66, 0xf2}, 2}, {{0xf3, 0x66}, 2},
        {{0x66, 0x67}, 2}, {{0x2e}, 1},       {{0x64}, 1},       {{0x48}, 1},
        {{0x41}, 1},       {{0x4f}, 1},       {{0x66, 0x48}, 2}, {{0xf2, 0x48}, 2},
        {{0xf3, 0x44}, 2}, {{0xf0, 0x48}, 2}, {{0x48, 0x66}, 2}, {{0x67, 0x40}, 2},
    };
    static const struct {
        uint8_t b[2], n;
    } maps[] = {{{0}, 0}, {{0x0f}, 1}, {{0x0f, 0x38}, 2}, {{0x0f, 0x3a}, 2}};
    struct tally tally = {0};
    const bool all = getenv("DECODE_ALL");
    for (unsigned mode = 0; mode < 3; mode++)
        for (unsigned p = 0; p < ARRAY_SIZE(prefixes); p++)
            for (unsigned m = 0; m < ARRAY_SIZE(maps); m++)
                for (unsigned op = 0; op < 256; op++)
                    for (unsigned modrm = 0; modrm < 256; modrm++) {
                        if (!all && (modrm & 7) != 4 && (modrm & 7) != 5 && (rnd() & 3))
                            continue;
                        struct text t = {.mode = mode};
                        unsigned n = prefixes[p].n;
                        memcpy(t.b, prefixes[p].b, n);
                        memcpy(t.b + n, maps[m].b, maps[m].n);
                        n += maps[m].n;
                        t.b[n++] = (uint8_t)op;
                        t.b[n++] = (uint8_t)modrm;
                        random_tail(&t, n);
                        compare(&t, &tally);
                    }
    end_part("every opcode", &tally);
}

/* C4 with each map, W, L and prefix, and C5; ModRM sampled. */
static void vex(void)
{
    struct tally tally = {0};
    for (unsigned mode = 0; mode < 3; mode++)
        for (unsigned map = 0; map < 5; map++)
            for (unsigned last = 0; last < 256; last++)
                for (unsigned op = 0; op < 256; op++)
                    for (unsigned n = 0; n < 2; n++) {
                        struct text t = {.mode = mode};
                        /* vvvv: mostly 15, as those have it that do not use it */
                        if ((last & 0x78) != 0x78 && (last & 0x78) != 0x68 && (rnd() & 7))
                            continue;
                        unsigned at = 0;
                        t.b[at++] = map == 4 ? 0xc5 : 0xc4;
                        if (map < 4)
                            t.b[at++] = (uint8_t)((rnd() & 0xe0) | (mode < 2 ? 0xc0 : 0) | map);
                        t.b[at++] = (uint8_t)(map == 4 && mode < 2 ? last | 0xc0 : last);
                        t.b[at++] = (uint8_t)op;
                        random_tail(&t, at);
                        compare(&t, &tally);
                    }
    end_part("every VEX opcode", &tally);
}

/* --- the list --- */

static void check_case(const char *line, unsigned number)
{
    struct text t = {0};
    struct verdict v = {0};
    struct tally tally = {0};
    unsigned bits, len, n = 0;
    char name[32];
    int used;
    if (sscanf(line, "case %u:%n", &bits, &used) != 1)
        fuzz_fail("decode_cases.txt:%u: no case", number);
    t.mode = bits == 16 ? 0 : bits == 32 ? 1 : 2;
    for (line += used; n < 15 && sscanf(line, " %2hhx%n", &t.b[n], &used) == 1; n++)
        line += used;
    if (sscanf(line, " | %u %31s |", &len, name) != 2)
        fuzz_fail("decode_cases.txt:%u: what is ours?", number);
    v.status = decode(&v.u, t.b, 15, modes[t.mode], &feat, 0);
    v.len = v.status == DECODE_OK ? v.u.len : 0;
    if (v.len != len || strcmp(v.len ? op_info[v.u.op].mnemonic : "-", name))
        fuzz_fail("decode_cases.txt:%u: now %u %s", number, v.len,
                  v.len ? op_info[v.u.op].mnemonic : "-");
    compare(&t, &tally);
    if (tally.wrong)
        fuzz_fail("decode_cases.txt:%u: no rule says why any more", number);
}

static void check_list(void)
{
    char line[512];
    unsigned number = 0, cases = 0;
    FILE *f = fopen(FUZZ_DECODE_CASES, "r");
    if (!f)
        fuzz_fail("there is no %s", FUZZ_DECODE_CASES);
    while (fgets(line, sizeof line, f)) {
        number++;
        if (line[0] == '#' || line[0] == '\n')
            continue;
        check_case(line, number);
        cases++;
    }
    fclose(f);
    printf("decode_cases.txt: %u cases\n", cases);
    if (!cases)
        fuzz_fail("decode_cases.txt is empty");
}

static void open_all(void)
{
    static const cs_mode cs_modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};
    struct error err = {0};
    if (cs)
        return;
    if (!cpu_features_parse(&feat, "max,+monitor,+sse4a", &err))
        fuzz_fail("%s", err.msg);
    for (unsigned i = 0; i < 3; i++)
        if (cs_open(CS_ARCH_X86, cs_modes[i], &handle[i]) != CS_ERR_OK ||
            cs_option(handle[i], CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK)
            fuzz_fail("no capstone");
    cs = cs_malloc(handle[0]);
}

static void fixed(void)
{
    open_all();
    fuzz_begin(NULL, 0);
    if (!getenv("FUZZ_LIST"))
        check_list();
    systematic();
    vex();
}

/* --- inputs --- */

/* A string as an input has it, or as it is likely to be something. */
static void likely_string(struct text *t)
{
    static const uint8_t prefix[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x64, 0x48, 0x41, 0x4f};
    unsigned n = 0;
    while (n < 4 && one_in(3))
        t->b[n++] = prefix[below(ARRAY_SIZE(prefix))];
    switch (below(6)) {
    case 0:
        t->b[n++] = 0x0f;
        break;
    case 1:
        t->b[n++] = 0x0f;
        t->b[n++] = one_in(2) ? 0x38 : 0x3a;
        break;
    case 2:
        t->b[n++] = 0xc5;
        break;
    case 3:
        t->b[n++] = 0xc4;
        t->b[n++] = (uint8_t)(fuzz_take(1) & 0xe3);
        break;
    default:
        break;
    }
    random_tail(t, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const unsigned long wrong = total.wrong;
    struct text t;
    open_all();
    fuzz_begin(data, len);
    t.mode = below(3);
    do {
        if (len > 8 || one_in(4))
            random_tail(&t, 0);
        else
            likely_string(&t);
        compare(&t, &total);
        for (unsigned i = 0; i < 4; i++) { /* and its neighbours */
            t.b[below(8)] = (uint8_t)fuzz_take(1);
            compare(&t, &total);
        }
    } while (len > 8 ? fuzz_source.at < len : !one_in(64));
    if (total.wrong != wrong && !getenv("FUZZ_LIST"))
        fuzz_fail("the decoder and capstone disagree, and no rule says why");
    return 0;
}

static void summary(void)
{
    end_part("inputs", &total);
    cs_free(cs, 1);
    for (unsigned i = 0; i < 3; i++)
        cs_close(&handle[i]);
}

const struct fuzz_program fuzz_program = {
    .max_len = 256, .seconds = 20, .fixed = fixed, .summary = summary};
