/*
 * Every integer row of the opcode tables against the processor under us: the same bytes with the
 * same registers, flags and memory, through cpu_run() and natively, at CPL 3 in 64-bit mode.
 * Registers, memory, RIP, flags (undefined ones masked) and exceptions with their error codes must
 * agree. Then short programs of several instructions, for flags that are read later and for fused
 * pairs.
 *
 * ORACLE_SEED, ORACLE_CASES (per row), ORACLE_OP (mnemonic) choose what is run. Left out: what
 * reads or changes the host's own system state (segment loads, SGDT and its kin, SYSCALL, CPUID,
 * time), and, the host being what it is, the 66h prefix on near branches (Intel ignores it in
 * 64-bit mode, AMD does not).
 */
#include "insn_rig.h"
#include "native.inc"

#include "cpu/decode_tables.h"
#include "cpu/exec.h"

#include <sys/wait.h>
#include <unistd.h>

/* exec.h has the name, the tables have another */
#undef OP

/*
 * What operands point to, at the same linear address in both:
 *
 *      0ff00000   nothing
 *      10000000   two pages, read and write
 *      10002000   a page to be read only
 *      10003000   nothing
 */
#define WINDOW          UINT64_C(0x10000000)
#define WINDOW_RW_BYTES (2 * PAGE_SIZE)
#define WINDOW_BYTES    (3 * PAGE_SIZE)
#define WINDOW_GPA      UINT64_C(0x200000)
#define CODE_GPA        UINT64_C(0x210000)
#define NOTHING_BYTES   UINT64_C(0x100000)

/* Not NT: an interrupt on the host may lose it. */
#define FLAGS_COMPARED (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_IF)

static struct rig rig;
static uint8_t *const window = (uint8_t *)WINDOW;
static uint8_t before[WINDOW_RW_BYTES];
static uint8_t pool[WINDOW_RW_BYTES * 8]; /* what cases fill the window from */
static uint64_t host_fs_base;

static uint64_t code_at(void)
{
    return native_code_address();
}

/* --- random operands --- */

static uint64_t random_value(void)
{
    static const uint64_t edge[] = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0x8000,
        0xffff,
        0x10000,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        0x100000000,
        ~0ull,
        0x7fffffffffffffff,
        0x8000000000000000,
        0x5555555555555555,
        0xaaaaaaaaaaaaaaaa,
        0xfffffffffffffffe,
        0xffffffff7fffffff,
        0xffffffff80000000,
        63,
        64,
    };
    switch (below(6)) {
    case 0:
    case 1:
        return edge[below(ARRAY_SIZE(edge))];
    case 2:
        return rnd() >> below(64);
    case 3:
        return (uint64_t)((int64_t)rnd() >> below(64));
    case 4:
        return rnd() & rnd();
    default:
        return rnd();
    }
}

static void fill_pool(void)
{
    for (unsigned i = 0; i < sizeof pool; i += 8)
        st64(pool + i, random_value());
}

/* Where an operand shall lie: nearly always in the window, now and then where it faults. */
static uint64_t random_target(void)
{
    switch (below(64)) {
    case 0: /* read only */
        return WINDOW + WINDOW_RW_BYTES + below(PAGE_SIZE - 16);
    case 1: /* across either end */
        return WINDOW - 12 + below(24);
    case 2:
        return WINDOW + WINDOW_RW_BYTES - 12 + below(24);
    case 3: /* not canonical, or just not */
        return one_in(2) ? UINT64_C(0x0000800000000001) + below(64) : rnd() | BIT64(62);
    case 4:
    case 5:
    case 6:
    case 7:
    case 8: /* across the middle */
        return WINDOW + PAGE_SIZE - 12 + below(24);
    case 9:
    case 10: /* up to the middle or the end */
        return WINDOW + PAGE_SIZE * (1 + below(2)) - (8u << below(2));
    default:
        return one_in(2) ? WINDOW + 1024 + 8 * below(768) : WINDOW + 1024 + below(6144);
    }
}

/* --- forms: a row and how its encoding is reached --- */

struct form {
    const struct opcode *row;
    uint8_t opcode[3];
    uint8_t opcodes;
    bool by_prefix;      /* reached through a mandatory prefix ... */
    uint8_t prefix;      /* ... which is this one, or none */
    int8_t rex_w;        /* -1: either */
    int8_t vex_l;        /* -1: either */
    uint8_t vex;         /* VEX map 1, 2, 3; 0: none */
    int8_t mem, reg, rm; /* -1: any */
};

static unsigned rows_left_out;

typedef void form_fn(const struct form *f, void *opaque);

/* Rows that cannot run on the host, or not as they run here. */
static bool left_out(const struct opcode *row)
{
    switch (row->op) {
    case OP_MOV_TO_SREG:
    case OP_POP_SREG:
    case OP_LSS:
    case OP_LFS:
    case OP_LGS:
    case OP_SGDT:
    case OP_SIDT:
    case OP_SLDT:
    case OP_STR:
    case OP_SMSW:
    case OP_LAR:
    case OP_LSL:
    case OP_VERR:
    case OP_VERW:
    case OP_JMPF:
    case OP_CALLF:
    case OP_RETF:
    case OP_IRET:
    case OP_SYSCALL:
    case OP_SYSENTER:
    case OP_SYSEXIT:
    case OP_SYSRET:
    case OP_CPUID:
    case OP_RDTSC:
    case OP_RDTSCP:
    case OP_RDPMC:
    case OP_RDRAND:
    case OP_RDSEED:
    case OP_INT:
    case OP_INT1:
    case OP_INT3:
    case OP_MONITOR:
    case OP_MWAIT:
    case OP_INVPCID:
    case OP_RDPID: /* test_sys_insn.c has these */
    case OP_RDFSBASE:
    case OP_RDGSBASE:
    case OP_WRFSBASE:
    case OP_WRGSBASE:
    case OP_RDPKRU:
    case OP_WRPKRU:
    case OP_SERIALIZE:
        return true;
    default:
        return false;
    }
}

static void walk_slot(const struct opcode *o, struct form f, form_fn *fn, void *opaque)
{
    static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
    switch (o->kind) {
    case T_ROW:
        if (o->op >= OP_FADD_M32) /* test_simd_oracle.c has those */
            return;
        if (left_out(o) || (o->attr & A_I64)) {
            rows_left_out++;
            return;
        }
        f.row = o;
        fn(&f, opaque);
        break;
    case T_MAP:
        for (unsigned i = 0; i < 256; i++) {
            struct form g = f;
            g.opcode[g.opcodes++] = (uint8_t)i;
            walk_slot(&o->sub[i], g, fn, opaque);
        }
        break;
    case T_PFX:
        for (unsigned i = 0; i < 4; i++) {
            f.by_prefix = true;
            f.prefix = prefixes[i];
            walk_slot(&o->sub[i], f, fn, opaque);
        }
        break;
    case T_FEATURE:
        walk_slot(&o->sub[1], f, fn, opaque);
        break;
    case T_VEXL:
        for (int i = 0; i < 2; i++) {
            f.vex_l = (int8_t)i;
            walk_slot(&o->sub[i], f, fn, opaque);
        }
        break;
    case T_VEXW:
    case T_REXW:
        for (int i = 0; i < 2; i++) {
            f.rex_w = (int8_t)i;
            walk_slot(&o->sub[i], f, fn, opaque);
        }
        break;
    case T_MODE64:
        walk_slot(&o->sub[1], f, fn, opaque);
        break;
    case T_MOD:
        for (int i = 0; i < 2; i++) {
            f.mem = (int8_t)!i;
            walk_slot(&o->sub[i], f, fn, opaque);
        }
        break;
    case T_GROUP:
        for (int i = 0; i < 8; i++) {
            f.reg = (int8_t)i;
            walk_slot(&o->sub[i], f, fn, opaque);
        }
        break;
    case T_RM:
        for (int i = 0; i < 8; i++) {
            f.rm = (int8_t)i;
            walk_slot(&o->sub[i], f, fn, opaque);
        }
        break;
    default:
        break;
    }
}

static void walk_all(form_fn *fn, void *opaque)
{
    for (unsigned i = 0; i < 256; i++) {
        if ((i & 0xf0) == 0x40)
            continue; /* REX */
        const struct form f = {.opcode = {(uint8_t)i},
                               .opcodes = 1,
                               .rex_w = -1,
                               .vex_l = -1,
                               .mem = -1,
                               .reg = -1,
                               .rm = -1};
        walk_slot(&opcode_map[i], f, fn, opaque);
    }
    for (unsigned map = 1; map <= 3; map++)
        for (unsigned i = 0; i < 4 * 256; i++) {
            static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
            const struct form f = {.opcode = {(uint8_t)i},
                                   .opcodes = 1,
                                   .vex = (uint8_t)map,
                                   .by_prefix = true,
                                   .prefix = prefixes[i >> 8],
                                   .rex_w = -1,
                                   .vex_l = -1,
                                   .mem = -1,
                                   .reg = -1,
                                   .rm = -1};
            walk_slot(&vex_maps[map - 1][i], f, fn, opaque);
        }
}

/* --- encoding --- */

struct code_bytes {
    uint8_t b[256];
    unsigned n;
    unsigned modrm_at;
};

static bool is_string(const struct opcode *row)
{
    return op_info[row->op].attr & OA_STRING;
}
static bool is_near_branch(const struct opcode *row)
{
    switch (row->op) {
    case OP_JMP:
    case OP_JMPN:
    case OP_CALL:
    case OP_CALLN:
    case OP_RET:
    case OP_LOOP:
    case OP_LOOPE:
    case OP_LOOPNE:
    case OP_JCXZ:
        return true;
    default:
        return row->op >= OP_JO && row->op <= OP_JG;
    }
}

/* Not so for those the head comment names, and for LOOPcc, which on the host takes its condition
 * from F2h and F3h. */
static bool repeat_means_nothing(const struct opcode *row)
{
    return row->op != OP_LOOPE && row->op != OP_LOOPNE && !(row->attr & A_NO66);
}

/* LOCK before them names CR8 on the host, if it is AMD's. */
static bool moves_control_register(const struct opcode *row)
{
    return row->op == OP_MOV_FROM_CR || row->op == OP_MOV_TO_CR;
}

static void put(struct code_bytes *c, uint8_t b)
{
    c->b[c->n++] = b;
}

static bool wants(const struct opcode *row, enum operand lo, enum operand hi)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->opnd[i] >= lo && row->opnd[i] <= hi)
            return true;
    return false;
}

/* C4 or C5 with what the row asks for, nearly always; illegal prefixes before it now and then. */
static void put_vex(struct code_bytes *c, const struct form *f)
{
    static const uint8_t illegal[] = {0x66, 0xf0, 0xf2, 0xf3, 0x40};
    if (one_in(8))
        put(c, 0x67);
    if (one_in(64))
        put(c, illegal[below(ARRAY_SIZE(illegal))]);
    const uint8_t pp = f->prefix == 0x66 ? 1 : f->prefix == 0xf3 ? 2 : f->prefix == 0xf2 ? 3 : 0;
    const unsigned w = f->rex_w < 0 ? below(2) : (unsigned)f->rex_w;
    unsigned l = f->vex_l < 0 ? below(2) : (unsigned)f->vex_l, vvvv = 15;
    if ((f->row->attr & A_L0) && !one_in(32))
        l = 0;
    if (wants(f->row, O_By, O_By) || wants(f->row, O_Hss, O_Hx) || one_in(16))
        vvvv = below(16);
    const uint8_t last = (uint8_t)(w << 7 | vvvv << 3 | l << 2 | pp);
    if (f->vex == 1 && !w && one_in(2)) {
        put(c, 0xc5);
        put(c, (uint8_t)((rnd() & 0x80) | last));
    } else {
        put(c, 0xc4);
        put(c, (uint8_t)((rnd() & 0xe0) | f->vex));
        put(c, last);
    }
}

static void put_prefixes(struct code_bytes *c, const struct form *f)
{
    if (f->vex) {
        put_vex(c, f);
        return;
    }
    const bool branch = is_near_branch(f->row);
    if (one_in(4) && !branch && (!f->by_prefix || f->prefix == 0xf3))
        put(c, 0x66);
    if (one_in(8))
        put(c, 0x67);
    if (one_in(12)) {
        static const uint8_t seg[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
        put(c, seg[below(ARRAY_SIZE(seg))]);
    }
    if (one_in(f->row->attr & A_LOCK ? 8 : 64) && !moves_control_register(f->row))
        put(c, 0xf0);
    if (f->by_prefix && f->prefix)
        put(c, f->prefix);
    else if (is_string(f->row) && !one_in(3))
        put(c, one_in(2) ? 0xf2 : 0xf3);
    else if (!f->by_prefix && one_in(32) && repeat_means_nothing(f->row))
        put(c, one_in(2) ? 0xf2 : 0xf3);
    const bool wide = f->rex_w < 0 ? one_in(3) : f->rex_w;
    const uint8_t rex = (uint8_t)((wide ? 8 : 0) | (one_in(2) ? rnd() & 7 : 0));
    if (rex || one_in(4))
        put(c, 0x40 | rex);
}

/* Prefixes, opcode, ModRM and whatever may follow it. */
static void encode(struct code_bytes *c, const struct form *f)
{
    c->n = 0;
    put_prefixes(c, f);
    for (unsigned i = 0; i < f->opcodes; i++)
        put(c, f->opcode[i]);
    c->modrm_at = c->n;
    while (c->n < 32)
        put(c, one_in(3) ? (uint8_t)random_value() : (uint8_t)rnd());
    uint8_t *modrm = &c->b[c->modrm_at];
    const bool mem = f->mem >= 0 ? f->mem : one_in(2);
    *modrm = mem ? *modrm % 0xc0 : *modrm | 0xc0;
    if (f->reg >= 0)
        *modrm = (uint8_t)((*modrm & ~0x38) | f->reg << 3);
    if (f->rm >= 0)
        *modrm = (uint8_t)((*modrm & ~7) | f->rm);
}

/* --- one case --- */

struct test_case {
    const struct form *form;
    struct code_bytes code;
    struct insn u;
    enum decode_status status;
    unsigned len;
    struct native_state in;
    uint64_t exit_at;   /* where a branch is expected to go, or 0 */
    uint64_t undefined; /* flags */
};

/* The offset of a register-sized memory operand from the registers of the case. */
static uint64_t offset_of(const struct test_case *t)
{
    const struct insn *u = &t->u;
    uint64_t ea = (uint64_t)u->disp;
    if (u->base == REG_PC)
        ea += code_at();
    else if (u->base != REG_ZERO)
        ea += t->in.gpr[u->base];
    if (u->xindex != REG_ZERO)
        ea += t->in.gpr[u->xindex] << u->scale;
    return u->asize == 8 ? ea : (uint32_t)ea;
}

static uint64_t segment_base(const struct insn *u)
{
    return u->seg == SEG_FS ? host_fs_base : 0;
}

/* Nothing of the host may lie there but the window. */
static bool safe(uint64_t lin)
{
    return (lin >= WINDOW - NOTHING_BYTES + 65536 && lin < WINDOW + WINDOW_BYTES + NOTHING_BYTES) ||
           (lin >= UINT64_C(0x0000800000000000) && lin < UINT64_C(0xffff7fffffffff00));
}

/* Sets registers or displacement so that the memory operand lies at about target. */
static bool aim(struct test_case *t, uint64_t target)
{
    struct insn *u = &t->u;
    uint64_t want = target - segment_base(u);
    if (u->asize == 4 && want >> 32)
        return false;
    if (u->base != REG_ZERO && u->base != REG_PC && u->base != u->xindex) {
        uint64_t v = want - (uint64_t)u->disp;
        if (u->xindex != REG_ZERO)
            v -= t->in.gpr[u->xindex] << u->scale;
        if (u->asize == 4)
            v = (uint32_t)v | (one_in(2) ? rnd() << 32 : 0);
        t->in.gpr[u->base] = v;
    } else if (u->base != REG_ZERO && u->base != REG_PC) {
        t->in.gpr[u->base] = (want - (uint64_t)u->disp) / (1 + (UINT64_C(1) << u->scale));
    } else {
        /* the displacement: behind ModRM, and SIB if there is one; an index makes it inexact */
        const bool moffs = u->row->opnd[0] == O_Ob || u->row->opnd[0] == O_Ov ||
                           u->row->opnd[1] == O_Ob || u->row->opnd[1] == O_Ov;
        uint8_t *p = &t->code.b[t->code.modrm_at];
        if (u->xindex != REG_ZERO)
            t->in.gpr[u->xindex] = rnd() & 0xff;
        uint64_t disp = want;
        if (u->base == REG_PC)
            disp -= code_at() + t->len;
        if (moffs) {
            st_le(p, disp, u->asize);
        } else {
            if ((int64_t)disp != (int32_t)disp && u->asize == 8)
                return false;
            st32(p + ((*p & 7) == 4 ? 2 : 1), (uint32_t)disp);
        }
        if (decode(u, t->code.b, 15, rig.cpu->mode, &rig.cpu->feat, 0) != DECODE_OK ||
            u->len != t->len)
            return false;
    }
    return true;
}

static bool uses_reg(const struct insn *u, unsigned n)
{
    return u->mem && (u->base == n || u->xindex == n);
}

static void set_low(uint64_t *reg, uint64_t v, unsigned size)
{
    *reg = size == 8 ? v : (v & size_mask(size)) | (one_in(2) ? *reg & ~size_mask(size) : 0);
}

/* Bit offsets of BT and its kin that stay near the operand. */
static bool aim_bits(struct test_case *t)
{
    const struct insn *u = &t->u;
    const int bit = (int)below(1600) - 800;
    if (uses_reg(u, u->reg))
        return false;
    set_low(&t->in.gpr[u->reg], (uint64_t)bit, u->osize);
    return safe(offset_of(t) + segment_base(u) + (uint64_t)(bit / 8) - 8);
}

static void aim_string(struct test_case *t)
{
    const struct insn *u = &t->u;
    set_low(&t->in.gpr[REG_RDI], random_target(), u->asize);
    uint64_t from = random_target() - segment_base(u);
    if (one_in(3)) /* overlapping */
        from = t->in.gpr[REG_RDI] - segment_base(u) + below(32) - 16;
    set_low(&t->in.gpr[REG_RSI], from, u->asize);
    if (u->rep || u->repne)
        set_low(&t->in.gpr[REG_RCX], below(one_in(4) ? 100 : 12), u->asize);
}

static bool string_safe(const struct test_case *t)
{
    const uint64_t mask = size_mask(t->u.asize);
    return safe(t->in.gpr[REG_RDI] & mask) &&
           safe((t->in.gpr[REG_RSI] & mask) + segment_base(&t->u));
}

static void set_stack(struct test_case *t)
{
    t->in.gpr[REG_RSP] = one_in(3) ? WINDOW + 4096 + below(2048) : random_target();
    if (t->u.op == OP_ENTER || t->u.op == OP_LEAVE)
        t->in.gpr[REG_RBP] = one_in(3) ? WINDOW + 4096 + below(2048) : random_target();
}

/* A place in the code's page for a second way out. */
static uint64_t random_exit(const struct test_case *t, bool near)
{
    for (;;) {
        int d = near ? (int)below(256) - 128 : (int)below(3900) - 1900;
        if (d > -NATIVE_EXIT_BYTES - 1 && d < (int)t->len + NATIVE_EXIT_BYTES)
            continue;
        return code_at() + (uint64_t)(int64_t)d;
    }
}

static bool set_memory(uint64_t lin, uint64_t v, unsigned size)
{
    if (lin < WINDOW || lin + size > WINDOW + WINDOW_RW_BYTES)
        return false;
    st_le(before + (lin - WINDOW), v, size);
    return true;
}

/* Points the branch at an exit. */
static bool aim_branch(struct test_case *t)
{
    struct insn *u = &t->u;
    uint8_t *tail = &t->code.b[t->len];
    switch (u->row->opnd[0]) {
    case O_Jb:
        t->exit_at = random_exit(t, true);
        if ((int64_t)(t->exit_at - code_at() - t->len) != (int8_t)(t->exit_at - code_at() - t->len))
            return false;
        tail[-1] = (uint8_t)(t->exit_at - code_at() - t->len);
        break;
    case O_Jz:
        t->exit_at = random_exit(t, false);
        st32(tail - 4, (uint32_t)(t->exit_at - code_at() - t->len));
        break;
    case O_Ev:
        /* not with a stack that may fault: which of the two comes first is not written */
        t->exit_at = one_in(50) && u->op == OP_JMPN ? BIT64(47) : random_exit(t, false);
        if (!u->mem && u->rm == REG_RSP)
            return false;
        if (!u->mem)
            t->in.gpr[u->rm] = t->exit_at;
        else if (!set_memory(offset_of(t) + segment_base(u), t->exit_at, 8) && u->op == OP_CALLN)
            return false;
        break;
    default: /* RET */
        t->exit_at = one_in(50) ? BIT64(47) : random_exit(t, false);
        set_memory(t->in.gpr[REG_RSP], t->exit_at, 8);
        break;
    }
    const enum decode_status st = decode(u, t->code.b, 15, rig.cpu->mode, &rig.cpu->feat, 0);
    return st == DECODE_OK;
}

/* Flags that are not defined after a shift or rotate by this count (SDM 2B, each under its name).
 */
static uint32_t undefined_after_shift(const struct test_case *t)
{
    const struct insn *u = &t->u;
    const unsigned bits = u->osize * 8u;
    const enum operand by = u->row->opnd[u->op == OP_SHLD || u->op == OP_SHRD ? 2 : 1];
    unsigned c = by == O_CL ? (uint8_t)t->in.gpr[REG_RCX] : (uint8_t)u->imm;
    c &= u->osize == 8 ? 63 : 31;
    if (c == 0)
        return 0;
    const uint32_t of = c == 1 ? 0 : FLAG_OF;
    switch (u->op) {
    case OP_ROL:
    case OP_ROR:
    case OP_RCL:
    case OP_RCR:
        return of;
    case OP_SAR:
        return of | FLAG_AF;
    case OP_SHLD:
    case OP_SHRD:
        return c > bits ? FLAGS_ARITH : of | FLAG_AF;
    default:
        return of | FLAG_AF | (c > bits ? FLAG_CF : 0);
    }
}

static uint32_t undefined_flags(const struct test_case *t)
{
    if (t->u.op >= OP_ROL && t->u.op <= OP_SHRD)
        return undefined_after_shift(t);
    return op_info[t->u.op].flags_undefined;
}

/* Results that the manual leaves open. */
static bool result_undefined(const struct test_case *t)
{
    const struct insn *u = &t->u;
    if ((u->op == OP_SHLD || u->op == OP_SHRD) && u->osize == 2) {
        const unsigned c = u->row->opnd[2] == O_CL ? (uint8_t)t->in.gpr[REG_RCX] : (uint8_t)u->imm;
        return (c & 31) > 16;
    }
    return u->op == OP_BSWAP && u->osize == 2;
}

/* Makes a case of form f; false: this one would be no use, try again. */
static bool make_case(struct test_case *t, const struct form *f)
{
    struct insn *u = &t->u;
    t->form = f;
    t->exit_at = 0;
    encode(&t->code, f);
    t->status = decode(u, t->code.b, 15, rig.cpu->mode, &rig.cpu->feat, 0);
    t->len = t->status == DECODE_OK ? u->len : 15;
    for (unsigned i = 0; i < 16; i++)
        t->in.gpr[i] = random_value();
    t->in.rflags = (rnd() & (FLAGS_ARITH | FLAG_DF)) | 0x202;
    if (one_in(64))
        t->in.rflags |= rnd() & (FLAG_AC | FLAG_ID);
    if (t->status != DECODE_OK)
        return t->status == DECODE_UD;

    if (u->op == OP_XLAT)
        t->in.gpr[REG_RBX] = random_target() - segment_base(u) - (uint8_t)t->in.gpr[REG_RAX];
    if (op_info[u->op].attr & OA_STACK)
        set_stack(t);
    if (is_string(u->row)) {
        aim_string(t);
        return string_safe(t);
    }
    if (u->op == OP_XLAT)
        return safe(((t->in.gpr[REG_RBX] + (uint8_t)t->in.gpr[REG_RAX]) & size_mask(u->asize)) +
                    segment_base(u));
    if (u->mem && u->op != OP_LEA && u->op != OP_NOP) {
        if (!aim(t, random_target()))
            return false;
        if (u->row->opnd[1] == O_Gv && u->op >= OP_BT && u->op <= OP_BTC && !aim_bits(t))
            return false;
        if (!safe(offset_of(t) + segment_base(u)))
            return false;
    }
    if ((op_info[u->op].attr & OA_STACK) && !safe(t->in.gpr[REG_RSP]))
        return false;
    if (u->op == OP_POPF) /* TF */
        set_memory(t->in.gpr[REG_RSP] + 1, rnd() & 0xfe, 1);
    if (is_near_branch(u->row))
        return aim_branch(t);
    return true;
}

struct outcome {
    uint64_t gpr[16];
    uint64_t rflags, rip;
    int vector;
    uint64_t error, cr2;
};

static void run_host(const struct test_case *t, struct outcome *o)
{
    const unsigned at = (unsigned)(t->exit_at - (code_at() & PAGE_MASK));
    memcpy(window, before, WINDOW_RW_BYTES);
    native.in = t->in;
    if (at < PAGE_SIZE)
        native_put_exit(at);
    native_run(t->code.b, t->len);
    memset(native.buffer + NATIVE_CODE_AT, 0xcc, t->len + NATIVE_EXIT_BYTES);
    if (at < PAGE_SIZE)
        memset(native.buffer + at, 0xcc, NATIVE_EXIT_BYTES);
    *o = (struct outcome){.vector = native.vector};
    memcpy(o->gpr, native.out.gpr, sizeof o->gpr);
    o->rflags = native.out.rflags;
    o->rip = native.vector >= 0 ? native.rip : native.taken ? t->exit_at : code_at() + t->len;
    if (native.vector >= 0 && rig_has_error(native.vector))
        o->error = native.error;
    if (native.vector == VEC_PF)
        o->cr2 = native.address;
}

static void load_guest(const struct native_state *s)
{
    struct cpu *cpu = rig.cpu;
    if (cpu->cpl != 3)
        rig_user64(&rig);
    memcpy(cpu->r, s->gpr, sizeof s->gpr);
    cpu_set_rflags(cpu, s->rflags);
    cpu->rip = code_at();
}

static void read_guest(struct outcome *o)
{
    struct cpu *cpu = rig.cpu;
    const struct rig_event ev = rig_event(&rig);
    memcpy(o->gpr, cpu->r, sizeof o->gpr);
    o->rflags = cpu_get_rflags(cpu);
    o->rip = cpu->rip;
    o->vector = ev.vector;
    o->error = o->cr2 = 0;
    if (ev.vector >= 0) {
        o->gpr[REG_RSP] = ev.rsp;
        o->rflags = ev.rflags;
        o->rip = ev.rip;
        o->error = ev.error;
        if (ev.vector == VEC_PF)
            o->cr2 = cpu->cr2;
    }
}

static void put_guest_code(const uint8_t *bytes, unsigned len)
{
    const gpa_t at = CODE_GPA + (code_at() & ~PAGE_MASK);
    memcpy(rig_at(&rig, at), bytes, len);
    st16(rig_at(&rig, at + len), 0x0b0f); /* UD2 */
    ram_note_write(&rig.ram, rig.main.ram + at, len + 2);
}

/* One instruction; REP takes one a repetition, which are done a few at a time. */
static void run_guest(const struct test_case *t, struct outcome *o)
{
    struct cpu *cpu = rig.cpu;
    memcpy(rig_at(&rig, WINDOW_GPA), before, WINDOW_RW_BYTES);
    put_guest_code(t->code.b, t->len);
    load_guest(&t->in);
    rig_run(&rig, 1);
    while (cpu->rip == code_at() && cpu->cpl == 3 && is_string(t->form->row)) {
        const uint64_t left = cpu->r[REG_RCX] & size_mask(t->u.asize);
        /* no more than it will take: comparisons may end early */
        const uint64_t chunk = t->u.op == OP_CMPS || t->u.op == OP_SCAS ? 1 : 1 + below(5);
        rig_run(&rig, MIN(left, chunk));
    }
    read_guest(o);
}

struct tally {
    unsigned forms, left_out, cases, mismatches, faults;
    unsigned cases_per_form;
    const char *only;
    uint64_t seed; /* of the running case */
};

static const char *describe(const struct form *f)
{
    static char text[80];
    int n = snprintf(text, sizeof text, "%s", op_info[f->row->op].mnemonic);
    if (f->prefix)
        n += snprintf(text + n, sizeof text - (size_t)n, " %02x", f->prefix);
    for (unsigned i = 0; i < f->opcodes; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " %02x", f->opcode[i]);
    if (f->reg >= 0)
        snprintf(text + n, sizeof text - (size_t)n, " /%d", f->reg);
    return text;
}

static void print_difference(const struct outcome *in, const struct outcome *host,
                             const struct outcome *guest)
{
    static const char *const name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    for (unsigned i = 0; i < 16; i++)
        printf("%s%s %llx%s", i % 8 ? "" : "  ", name[i], (long long)in->gpr[i],
               i % 8 == 7 ? "\n" : " ");
    printf("  flags %llx\n", (long long)in->rflags);
    for (unsigned i = 0; i < 16; i++)
        if (host->gpr[i] != guest->gpr[i])
            printf("  %s: host %llx guest %llx\n", name[i], (long long)host->gpr[i],
                   (long long)guest->gpr[i]);
    if (host->rflags != guest->rflags)
        printf("  flags %llx -> host %llx guest %llx\n", (long long)in->rflags,
               (long long)host->rflags, (long long)guest->rflags);
    if (host->rip != guest->rip)
        printf("  rip +%lld -> host +%lld guest +%lld\n", (long long)(in->rip - code_at()),
               (long long)(host->rip - code_at()), (long long)(guest->rip - code_at()));
    if (host->vector != guest->vector || host->error != guest->error || host->cr2 != guest->cr2)
        printf("  vector host %d (%llx, %llx) guest %d (%llx, %llx)\n", host->vector,
               (long long)host->error, (long long)host->cr2, guest->vector, (long long)guest->error,
               (long long)guest->cr2);
    const uint8_t *memory = rig_at(&rig, WINDOW_GPA);
    for (unsigned i = 0; i < WINDOW_RW_BYTES; i++)
        if (memory[i] != window[i])
            printf("  [%x] %02x -> host %02x guest %02x\n", i, before[i], window[i], memory[i]);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return !memcmp(a->gpr, b->gpr, sizeof a->gpr) && a->rflags == b->rflags && a->rip == b->rip &&
           a->vector == b->vector && a->error == b->error && a->cr2 == b->cr2 &&
           !memcmp(window, rig_at(&rig, WINDOW_GPA), WINDOW_RW_BYTES);
}

static void mismatch(struct tally *t, const char *what, uint64_t seed, const uint8_t *bytes,
                     unsigned len, const struct native_state *in, const struct outcome *host,
                     const struct outcome *guest)
{
    if (t->mismatches++ >= 20)
        return;
    struct outcome old = {.rflags = in->rflags, .rip = code_at()};
    memcpy(old.gpr, in->gpr, sizeof old.gpr);
    printf("mismatch: %s: ORACLE_SEED=%#llx; bytes", what, (unsigned long long)seed);
    for (unsigned i = 0; i < len; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
    print_difference(&old, host, guest);
    fflush(stdout);
}

/* The table's flags read and written are what an instruction depends on and changes. */
static bool table_is_right(const struct test_case *t, const struct outcome *host,
                           const struct outcome *guest)
{
    const struct op_info *op = &op_info[t->u.op];
    const uint32_t arith = FLAGS_ARITH | FLAG_DF, changed = (uint32_t)(host->rflags ^ t->in.rflags);
    if (changed & arith & ~op->flags_written)
        return false;
    if (!one_in(8))
        return true;
    struct test_case again = *t;
    struct outcome o;
    again.in.rflags ^= arith & ~op->flags_read;
    run_guest(&again, &o);
    /* by a count of 0 */
    const bool may_keep = (t->u.op >= OP_ROL && t->u.op <= OP_SHRD) || is_string(t->u.row);
    const uint32_t compared = may_keep ? 0 : op->flags_written & ~op->flags_undefined;
    return !memcmp(o.gpr, guest->gpr, sizeof o.gpr) && o.rip == guest->rip &&
           !((o.rflags ^ guest->rflags) & compared) &&
           !memcmp(window, rig_at(&rig, WINDOW_GPA), WINDOW_RW_BYTES);
}

static void run_case(const struct form *f, struct tally *tally)
{
    static struct test_case t;
    struct outcome host, guest;
    uint64_t seed;
    do {
        seed = rng_state;
        memcpy(before, pool + below(sizeof pool - WINDOW_RW_BYTES), WINDOW_RW_BYTES);
    } while (!make_case(&t, f));
    tally->seed = seed;
    memcpy(t.in.fx, native.in.fx, sizeof t.in.fx);
    run_host(&t, &host);
    run_guest(&t, &guest);
    tally->cases++;
    tally->faults += host.vector >= 0;
    if (host.vector < 0 && guest.vector < 0 && t.status == DECODE_OK && !result_undefined(&t) &&
        !table_is_right(&t, &host, &guest) && !tally->mismatches++)
        printf("the row's flags are wrong: %s: ORACLE_SEED=%#llx\n", describe(f),
               (unsigned long long)seed);
    uint64_t mask = FLAGS_COMPARED;
    if (host.vector < 0 && t.status == DECODE_OK)
        mask &= ~(uint64_t)undefined_flags(&t);
    guest.rflags &= mask;
    host.rflags &= mask;
    if (host.vector < 0 && guest.vector < 0 && result_undefined(&t))
        return;
    if (!same(&host, &guest)) {
        /* a virtual host may stumble when it is interrupted: it has a second chance */
        run_host(&t, &host);
        host.rflags &= mask;
    }
    if (!same(&host, &guest))
        mismatch(tally, describe(f), seed, t.code.b, t.len, &t.in, &host, &guest);
}

static void run_form(const struct form *f, void *opaque)
{
    struct tally *t = opaque;
    if (t->only && strcmp(t->only, op_info[f->row->op].mnemonic))
        return;
    t->forms++;
    const unsigned bad = t->mismatches;
    for (unsigned i = 0; i < t->cases_per_form; i++)
        run_case(f, t);
    if (t->mismatches > bad)
        printf("%u of %u: %s\n", t->mismatches - bad, t->cases_per_form, describe(f));
}

/* --- several instructions in a row --- */

#define MAX_SEQUENCE 12

static struct form plain_forms[512];
static unsigned plain_form_count;

/* Forms that neither fault nor branch when their memory operand is at [r14 or r15 + disp8]. */
static void collect_plain(const struct form *f, void *opaque)
{
    (void)opaque;
    const struct opcode *row = f->row;
    if ((op_info[row->op].attr & (OA_FAULT | OA_IO | OA_STACK | OA_STRING | OA_END)) ||
        (row->attr & A_CPL0) || row->op == OP_XLAT || f->by_prefix)
        return;
    for (unsigned i = 0; i < 2; i++)
        if (row->opnd[i] == O_Ob || row->opnd[i] == O_Ov)
            return;
    if (row->opnd[1] == O_Gv && row->op >= OP_BT && row->op <= OP_BTC)
        return;
    assert_true(plain_form_count < ARRAY_SIZE(plain_forms));
    plain_forms[plain_form_count++] = *f;
}

struct sequence {
    struct code_bytes code;
    struct native_state in;
    unsigned count;   /* instructions */
    uint32_t open;    /* flags undefined at its end */
    uint64_t exit_at; /* where its branch goes, or 0 */
};

static bool keeps_pointers(const struct insn *u)
{
    return u->reg < 14 && (u->mem ? u->base >= 14 : u->rm < 14);
}

/* The flags that u leaves undefined when those in open were before. */
static uint32_t still_open(const struct insn *u, uint32_t open)
{
    const struct test_case t = {.u = *u};
    if (u->op < OP_ROL || u->op > OP_SHRD)
        return (open & ~op_info[u->op].flags_written) | op_info[u->op].flags_undefined;
    if (u->row->opnd[u->op == OP_SHLD || u->op == OP_SHRD ? 2 : 1] == O_CL)
        return open | FLAG_OF | FLAG_AF | FLAG_CF; /* who knows what CL is then */
    if (!((unsigned)u->imm & (u->osize == 8 ? 63 : 31)))
        return open;
    return (open & ~op_info[u->op].flags_written) | undefined_after_shift(&t);
}

static void put_plain(struct sequence *q)
{
    const struct form *f = &plain_forms[below(plain_form_count)];
    struct code_bytes one = {.n = 0};
    struct insn u;
    if (one_in(4))
        put(&one, 0x66);
    const bool mem = f->mem >= 0 ? f->mem : one_in(2);
    put(&one, (uint8_t)(0x40 | (rnd() & 0xe) | (mem || one_in(2))));
    for (unsigned i = 0; i < f->opcodes; i++)
        put(&one, f->opcode[i]);
    const unsigned reg = f->reg >= 0 ? (unsigned)f->reg : below(8);
    put(&one, (uint8_t)(mem ? 0x46 | reg << 3 | below(2) : 0xc0 | reg << 3 | below(8)));
    while (one.n < 15)
        put(&one, (uint8_t)rnd());
    if (decode(&u, one.b, one.n, rig.cpu->mode, &rig.cpu->feat, 0) != DECODE_OK)
        return;
    const bool open_result =
        u.osize == 2 && (u.op == OP_SHLD || u.op == OP_SHRD || u.op == OP_BSWAP);
    if (u.op == OP_CMPXCHG16B) /* it may fault */
        return;
    if (open_result || !keeps_pointers(&u) || (op_info[u.op].flags_read & q->open))
        return;
    q->open = still_open(&u, q->open);
    memcpy(q->code.b + q->code.n, one.b, u.len);
    q->code.n += u.len;
    q->count++;
}

/* A conditional branch to an exit, if the flags it looks at are defined. */
static void put_branch(struct sequence *q)
{
    const unsigned cc = below(16);
    const int d = NATIVE_EXIT_BYTES + (int)below(110);
    if (op_info[OP_JO + cc].flags_read & q->open)
        return;
    put(&q->code, (uint8_t)(0x70 | cc));
    put(&q->code, (uint8_t)d);
    q->exit_at = code_at() + q->code.n + (unsigned)d;
    q->count++;
}

/* A comparison and a branch: a pair that is fused. */
static void put_pair(struct sequence *q)
{
    static const uint8_t op[] = {0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x84, 0x85,
                                 0xa8, 0xa9, 0x80, 0x81, 0x83, 0xf6, 0xf7};
    const unsigned i = below(ARRAY_SIZE(op));
    const bool mem = one_in(2);
    struct insn u;
    const unsigned start = q->code.n;
    put(&q->code, (uint8_t)(0x40 | (rnd() & 0xe) | (mem || one_in(2))));
    put(&q->code, op[i]);
    const unsigned reg = op[i] >= 0xf6 ? 0 : op[i] >= 0x80 && op[i] <= 0x83 ? 7 : below(8);
    if (op[i] != 0x3c && op[i] != 0x3d && op[i] != 0xa8 && op[i] != 0xa9)
        put(&q->code, (uint8_t)(mem ? 0x46 | reg << 3 | below(2) : 0xc0 | reg << 3 | below(8)));
    const unsigned at = q->code.n;
    for (unsigned k = 0; k < 8; k++)
        q->code.b[at + k] = one_in(2) ? 0 : (uint8_t)rnd();
    const enum decode_status st =
        decode(&u, q->code.b + start, 15, rig.cpu->mode, &rig.cpu->feat, 0);
    assert_int_equal(st, DECODE_OK);
    if (u.mem && u.base < 14) {
        q->code.n = start;
        return;
    }
    q->code.n = start + u.len;
    q->count++;
    q->open = u.op == OP_TEST ? FLAG_AF : 0;
    put_branch(q);
}

static void make_sequence(struct sequence *q)
{
    *q = (struct sequence){.count = 0};
    const unsigned n = below(MAX_SEQUENCE);
    for (unsigned i = 0; i < n; i++)
        put_plain(q);
    if (one_in(2))
        put_pair(q);
    else
        put_branch(q);
    if (!q->count) {
        put(&q->code, 0x90);
        q->count = 1;
    }
    for (unsigned i = 0; i < 16; i++)
        q->in.gpr[i] = random_value();
    q->in.gpr[14] = WINDOW + 256 + 8 * below(900);
    q->in.gpr[15] = WINDOW + 256 + below(7800);
    q->in.rflags = (rnd() & (FLAGS_ARITH | FLAG_DF)) | 0x202;
    memcpy(q->in.fx, native.in.fx, sizeof q->in.fx);
}

static void run_sequence_host(const struct sequence *q, struct outcome *o)
{
    const struct test_case t = {
        .code = q->code, .len = q->code.n, .in = q->in, .exit_at = q->exit_at};
    native.any_rip = true;
    run_host(&t, o);
    native.any_rip = false;
}

/* All at once, or a few instructions at a time. */
static void run_sequence_guest(const struct sequence *q, struct outcome *o)
{
    memcpy(rig_at(&rig, WINDOW_GPA), before, WINDOW_RW_BYTES);
    put_guest_code(q->code.b, q->code.n);
    load_guest(&q->in);
    const unsigned chunk = one_in(2) ? q->count : 1 + below(4);
    for (unsigned left = q->count; left;) {
        const unsigned n = MIN(left, chunk);
        rig_run(&rig, n);
        left -= n;
    }
    read_guest(o);
}

static void run_sequence(struct tally *tally)
{
    static struct sequence q;
    struct outcome host, guest;
    tally->seed = rng_state;
    memcpy(before, pool + below(sizeof pool - WINDOW_RW_BYTES), WINDOW_RW_BYTES);
    make_sequence(&q);
    run_sequence_host(&q, &host);
    run_sequence_guest(&q, &guest);
    tally->cases++;
    host.rflags &= FLAGS_COMPARED & ~q.open;
    guest.rflags &= FLAGS_COMPARED & ~q.open;
    if (!same(&host, &guest)) { /* as in run_case() */
        run_sequence_host(&q, &host);
        host.rflags &= FLAGS_COMPARED & ~q.open;
    }
    if (!same(&host, &guest))
        mismatch(tally, "sequence", tally->seed, q.code.b, q.code.n, &q.in, &host, &guest);
}

/* --- the sandbox --- */

/* Runs fn in a child, so that nothing it does to registers or memory is left behind. */
static void in_child(void (*fn)(struct tally *), struct tally *tally)
{
    struct tally *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    *shared = *tally;
    fflush(stdout);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (!pid) {
        native_catch();
        fn(shared);
        fflush(stdout);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *tally = *shared;
    munmap(shared, sizeof *shared);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("the child died (status %x) in ORACLE_SEED=%#llx", status,
                 (unsigned long long)tally->seed);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s ? strtoull(s, NULL, 0) : otherwise;
}

static void all_rows(struct tally *t)
{
    rows_left_out = 0;
    walk_all(run_form, t);
    t->left_out = rows_left_out;
}

static void test_rows(void **state)
{
    (void)state;
    rng_state = number("ORACLE_SEED", UINT64_C(0x9e3779b97f4a7c15));
    struct tally t = {.cases_per_form = (unsigned)number("ORACLE_CASES", 400),
                      .only = getenv("ORACLE_OP")};
    printf("seed %#llx\n", (unsigned long long)rng_state);
    in_child(all_rows, &t);
    printf("%u rows (%u left out), %u cases (%u with an exception), %u mismatches\n", t.forms,
           t.left_out, t.cases, t.faults, t.mismatches);
    assert_int_equal(t.mismatches, 0);
    assert_true(t.forms > 0);
}

static void all_sequences(struct tally *t)
{
    walk_all(collect_plain, NULL);
    for (unsigned i = 0; i < t->cases_per_form; i++)
        run_sequence(t);
}

static void test_sequences(void **state)
{
    (void)state;
    rng_state = number("ORACLE_SEED", UINT64_C(0x9e3779b97f4a7c15));
    struct tally t = {.cases_per_form = (unsigned)number("ORACLE_CASES", 400) * 250};
    if (getenv("ORACLE_OP"))
        skip();
    in_child(all_sequences, &t);
    printf("%u sequences, %u mismatches\n", t.cases, t.mismatches);
    assert_int_equal(t.mismatches, 0);
}

/* --- set-up --- */

static int setup(void **state)
{
    (void)state;
    if (!native_create())
        return -1;
    uint8_t *at = (uint8_t *)(WINDOW - NOTHING_BYTES);
    if (mmap(at, WINDOW_BYTES + 2 * NOTHING_BYTES, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
        return -1;
    mprotect(window, WINDOW_BYTES, PROT_READ | PROT_WRITE);
    memset(window, 0x5a, WINDOW_BYTES);
    mprotect(window + WINDOW_RW_BYTES, PAGE_SIZE, PROT_READ);
    st16(native.in.fx, 0x37f);
    st32(native.in.fx + 24, 0x1f80);

    rig_open(&rig);
    rig_long_user(&rig);
    for (unsigned i = 0; i < WINDOW_BYTES; i += PAGE_SIZE)
        rig_map(&rig, WINDOW + i, WINDOW_GPA + i,
                RIG_P | RIG_U | (i < WINDOW_RW_BYTES ? RIG_W : 0));
    memset(rig_at(&rig, WINDOW_GPA), 0x5a, WINDOW_BYTES);
    rig_map(&rig, code_at() & PAGE_MASK, CODE_GPA, RIG_P | RIG_U);
    __asm__("mov %%fs:0, %0" : "=r"(host_fs_base)); /* the thread block points to itself */
    rig.seg[SEG_FS].base = host_fs_base;
    __asm__("mov %%fs, %0" : "=r"(rig.seg[SEG_FS].sel));
    __asm__("mov %%gs, %0" : "=r"(rig.seg[SEG_GS].sel));
    __asm__("mov %%ds, %0" : "=r"(rig.seg[SEG_DS].sel));
    __asm__("mov %%es, %0" : "=r"(rig.seg[SEG_ES].sel));
    rig_user64(&rig);
    fill_pool();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    native_destroy();
    munmap((void *)(WINDOW - NOTHING_BYTES), WINDOW_BYTES + 2 * NOTHING_BYTES);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sequences),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
