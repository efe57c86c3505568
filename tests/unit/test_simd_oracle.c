/*
 * Every x87, MMX, SSE and AVX row of the opcode tables against the processor under us: the same
 * bytes with the same registers and memory, through decode() and the handler, and natively.
 * Registers, memory, flags, status, control and tag words, MXCSR, last-instruction pointers and
 * exceptions must agree.
 *
 * ORACLE_SEED, ORACLE_CASES (per row), ORACLE_OP (mnemonic) choose what is run. Rows that the host
 * refuses are counted as not tested.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "cpu/decode_tables.h"
#include "cpu/exec.h"
#include "cpu/fp/fp.h"
#include "cpu/handlers.h"
#include "cpu/op_x87.h"
#include "native.inc"
#include "random_operands.h"

/* Operands lie in a window of three pages: writable, read-only, absent. */
#define WINDOW_BYTES 8192
#define DATA_AT      2048 /* more or less */

static struct cpu *cpu;
static struct log quiet;
static struct ram ram;
static struct memmap map;
static struct mem_region region, tables;
static uint8_t *host_window, *guest_window; /* host's addresses of the bytes */
static uintptr_t window;                    /* where instructions see them, host's and guest's */
static uint8_t before[WINDOW_BYTES];

/* exec.h has the name, the tables need it */
#undef OP
static const struct {
    insn_fn *fn;
} handlers[OP_COUNT] = {
#define OP(id, mnemonic, handler, fr, fw, fu, attr) [OP_##id] = {handler},
#include "cpu/ops_x87.def"
#include "cpu/ops_simd.def"
#include "cpu/ops_avx.def"
#undef OP
};

/* --- state of both --- */

static void random_fx(uint8_t *fx, bool pending)
{
    memset(fx, 0, 512);
    uint16_t cw = 0x007f, sw = (uint16_t)(rnd() & 0x7f00);
    if (one_in(3))
        sw |= rnd() & 0x7f;
    cw |= (uint16_t)((one_in(2) ? 3 : below(4)) << 8 | below(4) << 10);
    if (one_in(6))
        cw &= ~(uint16_t)(rnd() & 0x3f);
    if (!pending && (sw & ~cw & 0x3f))
        sw &= (uint16_t)~0x3f;
    if (sw & ~cw & 0x3f)
        sw |= 0x8080;
    st16(fx, cw);
    st16(fx + 2, sw);
    static const uint8_t tags[] = {0xff, 0xff, 0x0f, 0x1e, 0x3c, 0x78, 0xf0, 0};
    fx[4] = one_in(3) ? (uint8_t)rnd() : tags[below(ARRAY_SIZE(tags))];
    st16(fx + 6, (uint16_t)(rnd() & 0x7ff));
    st64(fx + 8, rnd() & 0x7fffffffffff);
    st64(fx + 16, rnd() & 0x7fffffffffff);
    st32(fx + 24, random_mxcsr());
    for (unsigned i = 0; i < 8; i++)
        random_f80(fx + 32 + 16 * i);
    for (unsigned i = 0; i < 16; i++)
        random_bytes(fx + 160 + 16 * i, 16);
}
/* The upper halves, if the host has any; now and then all zeros, as after VZEROUPPER. */
static void random_ymm(struct native_state *s)
{
    memset(s->ymm, 0, sizeof s->ymm);
    for (unsigned i = 0; native.avx && i < 16; i++)
        random_bytes(s->ymm[i], 16);
}

static void to_guest(const struct native_state *s)
{
    memset(cpu->zmm, 0, sizeof cpu->zmm);
    for (unsigned i = 0; i < 16; i++)
        cpu->r[i] = s->gpr[i];
    flags_set_arith(cpu, (uint32_t)s->rflags);
    cpu->fpu.cw = ld16(s->fx);
    cpu->fpu.sw = ld16(s->fx + 2);
    cpu->fpu.used = s->fx[4];
    cpu->fpu.fop = ld16(s->fx + 6);
    cpu->fpu.fip = ld64(s->fx + 8);
    cpu->fpu.fdp = ld64(s->fx + 16);
    cpu->fpu.fcs = cpu->fpu.fds = 0;
    cpu->mxcsr = ld32(s->fx + 24);
    for (unsigned i = 0; i < 8; i++) {
        union fpreg *r = &cpu->fpu.r[(i + (cpu->fpu.sw >> 11)) & 7];
        r->mant = ld64(s->fx + 32 + 16 * i);
        r->sexp = ld16(s->fx + 40 + 16 * i);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(&cpu->zmm[i], s->fx + 160 + 16 * i, 16);
    for (unsigned i = 0; i < 16; i++)
        memcpy(&cpu->zmm[i].q[2], s->ymm[i], 16);
    cpu->eflags = FLAG_1 | FLAG_IF | (s->rflags & FLAG_AC);
    cpu->mode = (cpu->mode & ~(uint32_t)MODE_ALIGN) | (s->rflags & FLAG_AC ? MODE_ALIGN : 0);
    cpu->r[REG_ZERO] = 0;
    cpu->r[REG_PC] = native_code_address();
}
static void from_guest(struct native_state *s)
{
    memset(s, 0, sizeof *s);
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = cpu->r[i];
    s->rflags = flags_arith(cpu);
    s->env[3] = (uint32_t)cpu->fpu.fip;
    s->env[4] = cpu->fpu.fcs | (uint32_t)cpu->fpu.fop << 16;
    s->env[5] = (uint32_t)cpu->fpu.fdp;
    s->env[6] = 0xffff0000 | cpu->fpu.fds;
    st16(s->fx, cpu->fpu.cw);
    st16(s->fx + 2, cpu->fpu.sw);
    s->fx[4] = cpu->fpu.used;
    st32(s->fx + 24, cpu->mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        const union fpreg *r = &cpu->fpu.r[(i + (cpu->fpu.sw >> 11)) & 7];
        st64(s->fx + 32 + 16 * i, r->mant);
        st16(s->fx + 40 + 16 * i, r->sexp);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(s->fx + 160 + 16 * i, &cpu->zmm[i], 16);
    for (unsigned i = 0; i < 16; i++)
        memcpy(s->ymm[i], &cpu->zmm[i].q[2], 16);
}

/* Ends the handler's chain. */
static const struct insn *end_of_case(struct cpu *c, const struct insn *u)
{
    (void)c;
    (void)u;
    return NULL;
}

/* The vector of the exception taken, or -1. */
static int guest_run(const uint8_t *bytes, unsigned len)
{
    static struct insn u[2];
    if (decode(&u[0], bytes, len, cpu->mode, &cpu->feat, 0) != DECODE_OK)
        return VEC_UD;
    if (u[0].len != len)
        return -2;
    u[0].fn = handlers[u[0].op].fn;
    u[1].fn = end_of_case;
    int vector = -1;
    fp_enter(cpu);
    if (setjmp(cpu->unwind) == 0)
        u[0].fn(cpu, &u[0]);
    else
        vector = cpu->fault.vector;
    fp_leave(cpu);
    return vector;
}

/* --- forms: a row and how its encoding is reached --- */

struct form {
    const struct opcode *row;
    uint8_t opcode[3];
    uint8_t opcodes;
    uint8_t prefix;      /* mandatory, or 0 */
    int8_t rex_w;        /* -1: either */
    int8_t vex_l;        /* -1: either */
    uint8_t vex;         /* VEX map 1, 2, 3; 0: none */
    int8_t mem, reg, rm; /* -1: any */
};

static bool has_operand(const struct opcode *row, enum operand lo, enum operand hi)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->opnd[i] >= lo && row->opnd[i] <= hi)
            return true;
    return false;
}
static bool form_has_modrm(const struct form *f)
{
    return f->row->op != OP_EMMS && f->row->op != OP_VZEROUPPER && f->row->op != OP_VZEROALL;
}
static bool memory_only(const struct opcode *row)
{
    return has_operand(row, O_M, O_Mt);
}
static bool register_only(const struct opcode *row)
{
    return has_operand(row, O_Rd, O_Ry) || has_operand(row, O_Ups, O_Ux) ||
           has_operand(row, O_Nq, O_Nq) || (row->attr & A_REG) || has_operand(row, O_STi, O_STi);
}

typedef void form_fn(const struct form *f, void *opaque);

static void walk_slot(const struct opcode *o, struct form f, form_fn *fn, void *opaque)
{
    static const uint8_t prefixes[4] = {0, 0x66, 0xf3, 0xf2};
    switch (o->kind) {
    case T_ROW:
        if (o->op < OP_FADD_M32 || o->op == OP_XGETBV || o->op == OP_XSETBV || o->op == OP_FWAIT ||
            o->op == OP_XSAVES || o->op == OP_XRSTORS)
            return;
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
            f.prefix = prefixes[i];
            walk_slot(&o->sub[i], f, fn, opaque);
        }
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
        if (i != 0x0f && (i < 0xd8 || i > 0xdf))
            continue;
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
                                   .prefix = prefixes[i >> 8],
                                   .rex_w = -1,
                                   .vex_l = -1,
                                   .mem = -1,
                                   .reg = -1,
                                   .rm = -1};
            walk_slot(&vex_maps[map - 1][i], f, fn, opaque);
        }
}

/* --- one case --- */

struct test_case {
    const struct form *form;
    uint64_t seed;
    uint8_t bytes[16];
    unsigned len;
    unsigned at;      /* of the memory operand in the window; 0: none */
    int imm;          /* of the immediate byte, or -1: any */
    bool in_sequence; /* RBX points at DATA_AT and stays */
    bool odd;         /* VEX fields that the row does not allow */
    struct native_state guest;
    int vector; /* exception in the guest, or -1 */
};

/* C4 or C5 with what the row asks for, and now and then with what it does not. Returns its length.
 */
static unsigned encode_vex(struct test_case *c, uint8_t rex, unsigned reg, unsigned index)
{
    const struct form *f = c->form;
    const uint32_t attr = f->row->attr;
    const uint8_t pp = f->prefix == 0x66 ? 1 : f->prefix == 0xf3 ? 2 : f->prefix == 0xf2 ? 3 : 0;
    unsigned w = attr & A_W0 ? 0 : attr & A_W1 ? 1 : rex >> 3;
    unsigned l = attr & A_L0 ? 0 : attr & A_L1 ? 1 : f->vex_l >= 0 ? (unsigned)f->vex_l : below(2);
    unsigned vvvv = has_operand(f->row, O_Hss, O_Hx) ? below(16) : 15; /* as encoded: inverted */
    if (attr & A_VSIB) { /* now and then not three different ones, which is #UD */
        c->odd = one_in(40);
        while (!c->odd && ((vvvv ^ 15) == index || (vvvv ^ 15) == reg))
            vvvv = below(16);
    } else {
        c->odd = !c->in_sequence && one_in(40);
    }
    /* AMD family 1Ah takes VPERMQ and VPERMPD with W clear; VEX.W1 in SDM 2C "VPERMQ" */
    if (c->odd && one_in(3) && !(attr & A_W1))
        w ^= 1;
    else if (c->odd && one_in(2))
        l ^= 1;
    else if (c->odd)
        vvvv = below(16);
    const uint8_t last = (uint8_t)(w << 7 | vvvv << 3 | l << 2 | pp);
    const uint8_t first = (uint8_t)((~rex & 7u) << 5);
    if (f->vex == 1 && !w && !(rex & 3) && one_in(2)) {
        c->bytes[0] = 0xc5;
        c->bytes[1] = (uint8_t)((first & 0x80) | last);
        return 2;
    }
    c->bytes[0] = 0xc4;
    c->bytes[1] = (uint8_t)((first & 0x80) | (rex & 2 ? 0 : 0x40) | (rex & 1 ? 0 : 0x20) | f->vex);
    c->bytes[2] = last;
    return 3;
}
/* A SIB byte with a vector register of small indices, and base register rm. */
static uint8_t encode_sib(struct native_state *s, unsigned index, bool quad, unsigned rm)
{
    const unsigned scale = below(4);
    uint8_t *lanes[2] = {s->fx + 160 + 16 * index, s->ymm[index]};
    for (unsigned i = 0; i < (native.avx ? 2 : 1); i++)
        for (unsigned k = 0; k < 16; k += quad ? 8 : 4) {
            const int64_t v = ((int)below(one_in(20) ? 8000 : 2000) - 1000) >> scale;
            st32(lanes[i] + k, (uint32_t)v);
            if (quad)
                st32(lanes[i] + k + 4, (uint32_t)(v >> 32));
        }
    return (uint8_t)(scale << 6 | (index & 7) << 3 | rm);
}

/* Encodes the form with random registers, and points its memory operand into the window. */
static void encode(struct test_case *c, struct native_state *s)
{
    const struct form *f = c->form;
    uint8_t *out = c->bytes;
    unsigned n = 0;
    c->at = 0;
    const bool wide = f->rex_w < 0 ? one_in(3) : f->rex_w;
    uint8_t rex = (uint8_t)((wide ? 8 : 0) | (one_in(2) ? rnd() & 5 : 0));
    const unsigned index = below(16); /* of VSIB */
    if (f->row->attr & A_VSIB)
        rex |= (uint8_t)(index >> 2 & 2);
    c->odd = false;
    if (f->vex)
        rex = (uint8_t)(rex & 7) | (wide ? 8 : 0);
    else if (f->prefix)
        out[n++] = f->prefix;
    else if (f->opcode[0] != 0x0f && one_in(8))
        out[n++] = 0x66; /* selects the 16-bit image of FNSAVE and its kin, else nothing */
    const bool sse42_osize = !f->vex && f->prefix == 0xf2 && f->opcodes == 3 && one_in(3);
    if (sse42_osize)
        out[n++] = 0x66;

    const bool mem = f->mem >= 0             ? f->mem
                     : memory_only(f->row)   ? true
                     : register_only(f->row) ? false
                                             : one_in(2);
    unsigned reg = f->reg >= 0 ? (unsigned)f->reg : below(8);
    unsigned rm = f->rm >= 0 ? (unsigned)f->rm : below(8);
    if ((f->row->attr & A_VSIB) && (reg | (rex & 4 ? 8 : 0)) == index)
        reg ^= 1;
    static const uint8_t bases[] = {3, 5, 6, 8, 9, 10, 11, 13, 14, 15};
    const unsigned base = c->in_sequence ? REG_RBX : bases[below(ARRAY_SIZE(bases))];
    if (!mem && !(rex & 1) && rm == 4 && has_operand(f->row, O_Eb, O_Ry_Mw))
        rm = 3; /* not RSP */
    if (has_operand(f->row, O_Gb, O_Gz) && !(rex & 4) && reg == 4)
        reg = 1;
    if (mem) {
        rm = base & 7;
        rex = (uint8_t)((rex & ~1) | base >> 3);
    }
    if (f->vex)
        n = encode_vex(c, rex, reg | (rex & 4 ? 8 : 0), index);
    else if (rex || one_in(4))
        out[n++] = 0x40 | rex;
    memcpy(out + n, f->opcode, f->opcodes);
    n += f->opcodes;
    if (form_has_modrm(f)) {
        if (mem) {
            int8_t disp = (int8_t)rnd();
            unsigned at = DATA_AT + 64 * below(8);
            if (c->in_sequence) {
                disp &= f->row->attr & A_ALIGN ? ~15 : ~0;
                at = (unsigned)(DATA_AT + disp);
            } else if (one_in(
                           30)) { /* at the end of a page, or on the one that cannot be written */
                at = (1 + below(2)) * 4096 - (one_in(2) ? 64 * below(9) : below(32));
            } else if (one_in(f->row->attr & A_ALIGN ? 40 : 3)) {
                at += below(64);
            }
            c->at = at;
            s->gpr[base] = window + at - (uint64_t)(int64_t)disp;
            const bool vsib = f->row->attr & A_VSIB;
            out[n++] = (uint8_t)(0x40 | reg << 3 | (vsib ? 4 : rm));
            if (vsib)
                out[n++] = encode_sib(s, index, f->opcode[0] & 1, rm);
            out[n++] = (uint8_t)disp;
        } else {
            out[n++] = (uint8_t)(0xc0 | reg << 3 | rm);
        }
    }
    if (has_operand(f->row, O_Ib, O_Ib) || has_operand(f->row, O_Lx, O_Lx))
        out[n++] = (uint8_t)(c->imm >= 0 ? c->imm : one_in(3) ? (int)rnd() : (int)below(20));
    if (has_operand(f->row, O_Ib2, O_Ib2))
        out[n++] = (uint8_t)rnd();
    c->len = n;
}

static bool is_xsave(enum op op)
{
    return op == OP_XSAVE || op == OP_XSAVEOPT || op == OP_XSAVEC;
}
/* Where MOVDIR64B and CLZERO write to: what their rows do not say. */
static void point_registers(const struct test_case *c, struct native_state *s)
{
    const unsigned page = one_in(8) ? 1 + below(2) : 0;
    const uint64_t to = window + page * 4096 + DATA_AT / 2 + 64 * below(16);
    struct insn u;
    if (c->form->row->op == OP_CLZERO)
        s->gpr[REG_RAX] = to + below(64);
    else if (c->form->row->op == OP_MOVDIR64B &&
             decode(&u, c->bytes, c->len, cpu->mode, &cpu->feat, 0) == DECODE_OK &&
             u.reg != u.base && !one_in(30))
        s->gpr[u.reg] = to + (one_in(10) ? below(64) : 0);
}

/* Memory that makes sense for those that want some sense in it, from the operand on. */
static void prepare_memory(const struct test_case *c, struct native_state *s)
{
    const enum op op = c->form->row->op;
    unsigned at = c->at;
    point_registers(c, s);
    if (op == OP_MASKMOVQ || op == OP_MASKMOVDQU || op == OP_VMASKMOVDQU) {
        at = one_in(8) ? (1 + below(2)) * 4096 - below(20) : DATA_AT + below(64);
        s->gpr[REG_RDI] = window + at;
    }
    if (op == OP_PCMPESTRI || op == OP_PCMPESTRM || op == OP_VPCMPESTRI || op == OP_VPCMPESTRM) {
        s->gpr[REG_RAX] = one_in(4) ? rnd() : (uint64_t)(int64_t)((int)below(40) - 20);
        s->gpr[REG_RDX] = one_in(4) ? rnd() : (uint64_t)(int64_t)((int)below(40) - 20);
    }
    if (!at)
        return;
    for (unsigned i = at & ~15u; i < MIN(at + 900, WINDOW_BYTES); i += 16) {
        if (c->form->opcode[0] != 0x0f && one_in(2))
            random_f80(before + i);
        else
            random_bytes(before + i, 16);
    }
    if (at >= WINDOW_BYTES)
        return;
    uint8_t operand[900];
    memcpy(operand, before + at, MIN(900, WINDOW_BYTES - at));
    if (op == OP_FXRSTOR || op == OP_XRSTOR || is_xsave(op))
        st32(operand + 24, one_in(16) ? (uint32_t)rnd() | 0x10000 : random_mxcsr());
    if (op == OP_LDMXCSR || op == OP_VLDMXCSR)
        st32(operand, one_in(16) ? (uint32_t)rnd() | 0x10000 : random_mxcsr());
    if (op == OP_XRSTOR && !one_in(16)) {
        memset(operand + 512, 0, one_in(40) ? 16 : 64);
        operand[512] = (uint8_t)below(8);
        if (one_in(2)) { /* compacted */
            operand[520] = operand[512] | (uint8_t)below(one_in(8) ? 16 : 8);
            operand[527] = one_in(20) ? 0xc0 : 0x80;
        }
    }
    if (op == OP_FBLD)
        for (unsigned i = 0; i < 9; i++)
            operand[i] = (uint8_t)(below(10) | below(10) << 4);
    memcpy(before + at, operand, MIN(900, WINDOW_BYTES - at));
    if (is_xsave(op) || op == OP_XRSTOR) {
        s->gpr[REG_RAX] = rnd() & (native.avx ? 7 : 3);
        s->gpr[REG_RDX] = 0;
    }
}

struct tally {
    unsigned forms, tested, cases, mismatches, faults;
    unsigned cases_per_form;
    const char *only;
};

static const char *describe(const struct form *f)
{
    static char text[80];
    snprintf(text, sizeof text, "%s (op %u, prefix %02x, opcode %02x %02x %02x)",
             op_info[f->row->op].mnemonic, f->row->op, f->prefix, f->opcode[0], f->opcode[1],
             f->opcode[2]);
    return text;
}

static void print_difference(const struct native_state *in, const struct native_state *host,
                             const struct native_state *guest)
{
    for (unsigned i = 0; i < 16; i++)
        if (host->gpr[i] != guest->gpr[i])
            printf("  gpr %u: in %llx host %llx guest %llx\n", i, (long long)in->gpr[i],
                   (long long)host->gpr[i], (long long)guest->gpr[i]);
    if (host->rflags != guest->rflags)
        printf("  flags: in %llx host %llx guest %llx\n", (long long)in->rflags,
               (long long)host->rflags, (long long)guest->rflags);
    static const struct {
        const char *name;
        unsigned at, n;
    } fields[] = {{"fcw", 0, 2}, {"fsw", 2, 2}, {"ftw", 4, 1}, {"mxcsr", 24, 4}};
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        const uint64_t h = ld_le(host->fx + fields[i].at, fields[i].n);
        const uint64_t g = ld_le(guest->fx + fields[i].at, fields[i].n);
        printf("  %s %s: in %llx host %llx guest %llx\n", h == g ? " " : "!", fields[i].name,
               (long long)ld_le(in->fx + fields[i].at, fields[i].n), (long long)h, (long long)g);
    }
    for (unsigned i = 3; i < 7; i++)
        if (host->env[i] != guest->env[i])
            printf("  env[%u]: host %x guest %x\n", i, host->env[i], guest->env[i]);
    for (unsigned at = 32; at < 416; at += 16)
        if (memcmp(host->fx + at, guest->fx + at, 16))
            printf("  %s%u: in %04llx.%016llx host %04llx.%016llx guest %04llx.%016llx\n",
                   at < 160 ? "st" : "xmm", at < 160 ? (at - 32) / 16 : (at - 160) / 16,
                   (long long)ld64(in->fx + at + 8), (long long)ld64(in->fx + at),
                   (long long)ld64(host->fx + at + 8), (long long)ld64(host->fx + at),
                   (long long)ld64(guest->fx + at + 8), (long long)ld64(guest->fx + at));
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(host->ymm[i], guest->ymm[i], 16))
            printf("  ymm%u above: in %016llx.%016llx host %016llx.%016llx guest %016llx.%016llx\n",
                   i, (long long)ld64(in->ymm[i] + 8), (long long)ld64(in->ymm[i]),
                   (long long)ld64(host->ymm[i] + 8), (long long)ld64(host->ymm[i]),
                   (long long)ld64(guest->ymm[i] + 8), (long long)ld64(guest->ymm[i]));
}

/*
 * Where the host is known to differ from the manuals, or the manuals leave it open:
 *  - FCOMI and its kin: "C1 set to 0" (SDM 2A "FCOMI"); AMD family 1Ah leaves it.
 *  - FLD of a denormal with DE unmasked: "TOP and source operands remain unchanged" (SDM 1 §8.5.2;
 *    APM 1 table 6-22 "The destination and the TOP are not changed"); family 1Ah pushes it.
 *  - FXSAVE, XSAVE: last-instruction pointers are stored; AMD stores zeros while ES is clear.
 *    MXCSR_MASK is the model's own.
 *  - CLZERO: family 1Ah has P clear in the error code for a page that is there and read-only.
 *  - MASKMOVQ, MASKMOVDQU: which faults unselected bytes cause (SDM 2B "MASKMOVDQU"), and
 *    whether MMX state is entered before.
 *  - SHA: exceptions of class 4 (SDM 2B "SHA1RNDS4"), which is #GP for an operand that is not
 *    aligned; family 1Ah does not mind.
 */
static bool host_differs(const struct test_case *c)
{
    const enum op op = c->form->row->op;
    const uint16_t cw = ld16(c->guest.fx), sw = ld16(c->guest.fx + 2);
    if (c->form->row->feature == FEAT_SHA)
        return (c->at & 15) && c->vector == VEC_GP;
    if (op == OP_CLZERO)
        return native.vector == VEC_PF;
    if (op == OP_MASKMOVQ || op == OP_MASKMOVDQU || op == OP_VMASKMOVDQU)
        return native.vector == VEC_PF || native.vector == VEC_AC;
    return (op == OP_FLD_M32 || op == OP_FLD_M64) && (sw & ~cw & FSW_DE);
}
static bool is_fcomi(enum op op)
{
    return op == OP_FCOMI || op == OP_FCOMIP || op == OP_FUCOMI || op == OP_FUCOMIP;
}
static void mask_image(const struct test_case *c, uint8_t *memory)
{
    const enum op op = c->form->row->op;
    if ((op != OP_FXSAVE && !is_xsave(op)) || c->at + 512 > WINDOW_BYTES)
        return;
    memset(memory + c->at + 28, 0, 4);
    if (!(ld16(native.in.fx + 2) & FSW_ES))
        memset(memory + c->at + 6, 0, 18);
}

/* What the host need not agree on. */
static void mask_state(const struct form *f, struct native_state *s)
{
    if (is_fcomi(f->row->op))
        st16(s->fx + 2, ld16(s->fx + 2) & (uint16_t)~FSW_C1);
    memset(s->env, 0, 12);
    if (native.vector >= 0) /* there is no FNSTENV in a signal handler's context */
        memset(s->env, 0, sizeof s->env);
    memset(s->pad, 0, sizeof s->pad);
    memset(s->fx + 6, 0, 18);
    s->rflags &= FLAGS_ARITH & ~op_info[f->row->op].flags_undefined;
    memset(s->fx + 28, 0, 4);
    memset(s->fx + 416, 0, 96);
    for (unsigned i = 0; i < 8; i++)
        memset(s->fx + 32 + 16 * i + 10, 0, 6);
    s->fx[5] = 0;
}

/* Operands of many bytes: which is touched first, and so reported in CR2, is the model's own. */
static bool is_image(enum op op)
{
    return op == OP_FXSAVE || op == OP_FXRSTOR || is_xsave(op) || op == OP_XRSTOR ||
           op == OP_FNSAVE || op == OP_FRSTOR || op == OP_FNSTENV || op == OP_FLDENV;
}
/* #PF: error code and address; the others' codes the host's kernel does not always tell. */
static bool same_fault(const struct test_case *c)
{
    return native.vector != VEC_PF || is_image(c->form->row->op) ||
           (cpu->fault.error == native.error && cpu->fault.cr2 == native.address);
}

/* One run on either; true if they agree. */
static bool compare(struct test_case *c)
{
    memcpy(host_window, before, WINDOW_BYTES);
    native_run(c->bytes, c->len);
    mask_image(c, host_window);
    mask_state(c->form, &native.out);

    memcpy(guest_window, before, WINDOW_BYTES);
    to_guest(&native.in);
    c->vector = guest_run(c->bytes, c->len);
    from_guest(&c->guest);
    mask_image(c, guest_window);
    mask_state(c->form, &c->guest);
    return c->vector == native.vector && same_fault(c) &&
           !memcmp(&c->guest, &native.out, sizeof c->guest) &&
           !memcmp(guest_window, host_window, WINDOW_BYTES);
}

static void report(const struct test_case *c)
{
    printf("mismatch: %s seed %#llx bytes", describe(c->form), (unsigned long long)c->seed);
    for (unsigned i = 0; i < c->len; i++)
        printf(" %02x", c->bytes[i]);
    printf("\n");
    if (c->vector != native.vector)
        printf("  vector: host %d guest %d\n", native.vector, c->vector);
    else if (!same_fault(c))
        printf("  error: host %llx guest %x, cr2: host +%llx guest +%llx\n",
               (long long)native.error, cpu->fault.error, (long long)(native.address - window),
               (long long)(cpu->fault.cr2 - window));
    print_difference(&native.in, &native.out, &c->guest);
    for (unsigned i = 0; i < WINDOW_BYTES; i++)
        if (guest_window[i] != host_window[i])
            printf("  [+%x]: in %02x host %02x guest %02x\n", i, before[i], host_window[i],
                   guest_window[i]);
}

/* The i-th random case of the form: the first 256 have all immediates. False: the host refuses the
 * instruction. */
static bool run_case(const struct form *f, unsigned i, struct tally *t)
{
    static struct test_case c;
    c.form = f;
    c.imm = i < 256 ? (int)i : -1;
    c.seed = rng_state;
    for (unsigned k = 0; k < 16; k++)
        native.in.gpr[k] = rnd();
    native.in.gpr[REG_RSP] = window + 256;
    native.in.rflags = (rnd() & FLAGS_ARITH) | 0x202;
    if (one_in(20))
        native.in.rflags |= FLAG_AC;
    random_fx(native.in.fx, one_in(12));
    random_ymm(&native.in);
    encode(&c, &native.in);
    prepare_memory(&c, &native.in);

    /* A second try: the host's kernel may take the thread between instruction and FNSTENV, and some
     * processors lose the last-instruction pointers then. */
    const bool same = compare(&c) || compare(&c);
    if (native.vector == VEC_UD && !c.odd)
        return false;
    t->cases++;
    t->faults += native.vector >= 0;
    if (!same && !host_differs(&c) && t->mismatches++ < 20)
        report(&c);
    return true;
}

static void run_form(const struct form *f, void *opaque)
{
    struct tally *t = opaque;
    if (t->only && strcmp(t->only, op_info[f->row->op].mnemonic))
        return;
    t->forms++;
    const unsigned bad = t->mismatches;
    unsigned i = 0;
    while (i < t->cases_per_form && run_case(f, i, t))
        i++;
    if (i < t->cases_per_form)
        printf("not tested, the host refuses it: %s\n", describe(f));
    else
        t->tested++;
    if (t->mismatches > bad)
        printf("%u of %u: %s\n", t->mismatches - bad, t->cases_per_form, describe(f));
}

/* --- sequences: what one instruction leaves for the next, the control registers kept loaded --- */

#define MAX_SEQUENCE 12

struct pool {
    struct form form[1600];
    unsigned n;
};

/* Forms that neither need nor change general registers. */
static void collect(const struct form *f, void *opaque)
{
    struct pool *pool = opaque;
    struct form g = *f;
    const enum op op = f->row->op;
    if (has_operand(f->row, O_Gb, O_Gz) || has_operand(f->row, O_Rd, O_Ry))
        return;
    if (has_operand(f->row, O_Eb, O_Ed_q) || has_operand(f->row, O_Rv_Mw, O_Ry_Mw)) {
        if (f->mem == 0)
            return;
        g.mem = 1;
    }
    if (op == OP_FNSTSW_AX || op == OP_PCMPESTRI || op == OP_PCMPESTRM || is_fcomi(op) ||
        op == OP_FXSAVE || is_xsave(op) || op == OP_XRSTOR || op == OP_MASKMOVQ ||
        op == OP_CLZERO || op == OP_MOVDIRI || op == OP_MOVDIR64B || op == OP_MASKMOVDQU ||
        op == OP_VMASKMOVDQU || op == OP_VPCMPESTRI || op == OP_VPCMPESTRM ||
        (f->row->attr & A_VSIB))
        return;
    assert_true(pool->n < ARRAY_SIZE(pool->form));
    pool->form[pool->n++] = g;
}

static bool loads_fcw(enum op op)
{
    return op == OP_FLDCW || op == OP_FLDENV || op == OP_FRSTOR || op == OP_FXRSTOR;
}
static bool converts_to_st(enum op op)
{
    return op == OP_FLD_M32 || op == OP_FLD_M64;
}

/* Runs the instructions one behind the other, as in a block; RIP of a fault to *rip. */
static int guest_run_all(const uint8_t *bytes, unsigned len, uint64_t *rip)
{
    static struct insn u[2];
    u[1].fn = end_of_case;
    volatile unsigned off = 0;
    volatile int vector = -1;
    fp_enter(cpu);
    while (off < len && vector < 0) {
        if (decode(&u[0], bytes + off, len - off, cpu->mode, &cpu->feat, off) != DECODE_OK) {
            vector = VEC_UD;
            break;
        }
        u[0].fn = handlers[u[0].op].fn;
        if (setjmp(cpu->unwind) == 0) {
            u[0].fn(cpu, &u[0]);
            off += u[0].len;
        } else {
            vector = cpu->fault.vector;
        }
    }
    fp_leave(cpu);
    *rip = native_code_address() + off;
    return vector;
}

static bool run_sequence(const struct pool *pool, bool verbose)
{
    static struct native_state guest;
    uint8_t bytes[16 * MAX_SEQUENCE];
    unsigned len = 0;
    /* see host_differs(): either no denormal is loaded or DE stays masked */
    const bool control = one_in(2);
    for (unsigned i = 0; i < 16; i++)
        native.in.gpr[i] = rnd();
    native.in.gpr[REG_RSP] = window + 256;
    native.in.gpr[REG_RBX] = window + DATA_AT;
    native.in.rflags = (rnd() & FLAGS_ARITH) | 0x202;
    random_fx(native.in.fx, one_in(12));
    random_ymm(&native.in);
    if (!control) {
        st16(native.in.fx, ld16(native.in.fx) | FSW_DE);
        st16(native.in.fx + 2, ld16(native.in.fx + 2) & (uint16_t) ~(FSW_DE | FSW_ES | FSW_B));
        if (ld16(native.in.fx + 2) & ~ld16(native.in.fx) & FSW_EXC)
            st16(native.in.fx + 2, ld16(native.in.fx + 2) | FSW_ES | FSW_B);
    }
    const unsigned want = 2 + below(MAX_SEQUENCE - 2);
    for (unsigned n = 0; n < want;) {
        struct test_case c = {.form = &pool->form[below(pool->n)], .imm = -1, .in_sequence = true};
        const enum op op = c.form->row->op;
        if (control ? converts_to_st(op) : loads_fcw(op))
            continue;
        encode(&c, &native.in);
        if (c.at) {
            prepare_memory(&c, &native.in);
            if (op == OP_FLDCW && one_in(2))
                st16(before + c.at, 0x37f);
        }
        memcpy(bytes + len, c.bytes, c.len);
        len += c.len;
        n++;
    }
    for (unsigned try = 0; try < 3; try++) { /* more than one for the reason in run_case() */
        uint64_t rip;
        const struct form any = {.row = &opcode_ud};
        memcpy(host_window, before, WINDOW_BYTES);
        native_run(bytes, len);
        if (ld32(native.out.fx + 24) & BIT(17)) /* MXCSR.MM, which AMD has and we refuse */
            return true;
        mask_state(&any, &native.out);
        memcpy(guest_window, before, WINDOW_BYTES);
        to_guest(&native.in);
        const int vector = guest_run_all(bytes, len, &rip);
        from_guest(&guest);
        mask_state(&any, &guest);
        if (vector == native.vector && (vector < 0 || rip == native.rip) &&
            !memcmp(&guest, &native.out, sizeof guest) &&
            !memcmp(guest_window, host_window, WINDOW_BYTES))
            return true;
        if (try == 2 && verbose)
            printf("  vector: host %d at +%llx guest %d at +%llx\n", native.vector,
                   (long long)(native.rip - native_code_address()), vector,
                   (long long)(rip - native_code_address()));
    }
    if (verbose) {
        for (unsigned i = 0; i < len; i++)
            printf(" %02x", bytes[i]);
        printf("\n");
        print_difference(&native.in, &native.out, &guest);
    }
    return false;
}

static void test_sequences(void **state)
{
    (void)state;
    native_catch();
    native.any_rip = true;
    const char *cases = getenv("ORACLE_CASES");
    const unsigned n = cases ? 100 * (unsigned)atoi(cases) : 50000;
    static struct pool pool;
    pool.n = 0;
    walk_all(collect, &pool);
    unsigned mismatches = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t seed = rng_state;
        if (run_sequence(&pool, mismatches < 10))
            continue;
        mismatches++;
        printf("sequence mismatch, seed %#llx\n", (unsigned long long)seed);
    }
    printf("%u sequences of up to %u of %u forms, %u mismatches\n", n, MAX_SEQUENCE, pool.n,
           mismatches);
    assert_int_equal(mismatches, 0);
}

static void test_rows(void **state)
{
    (void)state;
    native_catch();
    const char *seed = getenv("ORACLE_SEED"), *cases = getenv("ORACLE_CASES");
    rng_state = seed ? strtoull(seed, NULL, 0) : UINT64_C(0x9e3779b97f4a7c15);
    struct tally t = {.cases_per_form = cases ? (unsigned)atoi(cases) : 1000,
                      .only = getenv("ORACLE_OP")};
    printf("seed %#llx\n", (unsigned long long)rng_state);
    walk_all(run_form, &t);
    printf("%u rows, %u tested, %u cases (%u with an exception), %u mismatches\n", t.forms,
           t.tested, t.cases, t.faults, t.mismatches);
    assert_int_equal(t.mismatches, 0);
    assert_true(t.tested > 0);
}

/* --- prefixes: what they make of each form, and whether it is one at all --- */

struct prefix_tally {
    unsigned encodings, illegal, mismatches;
};

/* Another prefix makes these MOVBE and instructions of features to come: CLWB, CLFLUSHOPT, RDFSBASE
 * and kin (never to be run here: they change what TLS hangs on). */
static bool has_other_meaning(const struct form *f)
{
    return (f->opcodes == 2 && f->opcode[1] == 0xae) ||
           (f->opcodes == 3 && f->opcode[1] == 0x38 && (f->opcode[2] & 0xfe) == 0xf0);
}

static void try_prefixes(const struct form *f, void *opaque)
{
    static const uint8_t prefixes[][2] = {{0x66},       {0xf3},       {0xf2},       {0xf0},
                                          {0x66, 0xf3}, {0x66, 0xf2}, {0x66, 0xf0}, {0}};
    struct prefix_tally *t = opaque;
    if (has_other_meaning(f))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
        struct form plain = *f;
        plain.prefix = 0;
        struct test_case c = {.form = &plain, .imm = -1, .in_sequence = true};
        memset(native.in.gpr, 0, sizeof native.in.gpr);
        native.in.gpr[REG_RSP] = window + 256;
        native.in.gpr[REG_RBX] = native.in.gpr[REG_RDI] = window + DATA_AT;
        native.in.rflags = 0x202;
        random_fx(native.in.fx, false);
        random_ymm(&native.in);
        st16(native.in.fx, FCW_INIT);
        st32(native.in.fx + 24, MXCSR_INIT);
        do {
            encode(&c, &native.in);
        } while (c.bytes[0] == 0x66);
        uint8_t bytes[20];
        unsigned len = 0;
        for (unsigned k = 0; k < 2 && prefixes[i][k]; k++)
            bytes[len++] = prefixes[i][k];
        memcpy(bytes + len, c.bytes, c.len);
        len += c.len;
        struct insn u;
        const bool illegal = decode(&u, bytes, len, cpu->mode, &cpu->feat, 0) == DECODE_UD;
        memcpy(host_window, before, WINDOW_BYTES);
        native_run(bytes, len);
        t->encodings++;
        t->illegal += illegal;
        if (illegal == (native.vector == VEC_UD))
            continue;
        t->mismatches++;
        printf("%s:", illegal ? "legal on the host only" : "illegal on the host only");
        for (unsigned k = 0; k < len; k++)
            printf(" %02x", bytes[k]);
        printf(" (%s)\n", describe(f));
    }
}

static void test_prefixes(void **state)
{
    (void)state;
    native_catch();
    native.any_rip = true;
    struct prefix_tally t = {0};
    walk_all(try_prefixes, &t);
    printf("%u encodings, %u illegal, %u mismatches\n", t.encodings, t.illegal, t.mismatches);
    assert_int_equal(t.mismatches, 0);
}

/* --- set-up --- */

static bool map_host(void)
{
    FILE *f = tmpfile();
    if (!f || ftruncate(fileno(f), WINDOW_BYTES))
        return false;
    uint8_t *view = mmap(NULL, WINDOW_BYTES + PAGE_SIZE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    host_window = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(f), 0);
    if (view == MAP_FAILED || host_window == MAP_FAILED)
        return false;
    const int shared = MAP_SHARED | MAP_FIXED;
    if (mmap(view, PAGE_SIZE, PROT_READ | PROT_WRITE, shared, fileno(f), 0) == MAP_FAILED ||
        mmap(view + PAGE_SIZE, PAGE_SIZE, PROT_READ, shared, fileno(f), PAGE_SIZE) == MAP_FAILED)
        return false;
    window = (uintptr_t)view;
    fclose(f);
    return true;
}

/* The same through page tables at TABLES_AT; the window's bytes lie at physical 0. */
#define TABLES_AT UINT64_C(0x10000)
static bool map_guest(void)
{
    enum { P = 1, W = 2, U = 4 };
    struct error err = {0};
    log_init(&quiet, NULL, NULL);
    if (!ram_create(&ram, WINDOW_BYTES + 4 * PAGE_SIZE, &err))
        return false;
    memmap_create(&map, &ram, &quiet);
    const ram_t at = ram_alloc(&ram, WINDOW_BYTES), tables_at = ram_alloc(&ram, 4 * PAGE_SIZE);
    mem_region_init_ram(&region, "window", at, WINDOW_BYTES);
    mem_region_init_ram(&tables, "tables", tables_at, 4 * PAGE_SIZE);
    memmap_add(&map, &region, 0, 0);
    memmap_add(&map, &tables, TABLES_AT, 0);
    guest_window = ram_host(&ram, at);
    uint8_t *t = ram_host(&ram, tables_at);
    for (unsigned level = 3; level; level--, t += PAGE_SIZE)
        st64(t + 8 * ((window >> (12 + 9 * level)) & 511),
             (TABLES_AT + (4 - level) * PAGE_SIZE) | P | W | U);
    const unsigned i = (window >> 12) & 511;
    if (i == 511) /* would take a second table */
        return false;
    st64(t + 8 * i, 0 | P | W | U);
    st64(t + 8 * (i + 1), PAGE_SIZE | P | U);
    cpu->mem = &map;
    cpu->walk = (struct walk_params){
        .mode = PAGING_4LEVEL, .root = TABLES_AT, .phys_bits = 40, .nxe = true, .wp = true};
    return true;
}

static int setup(void **state)
{
    (void)state;
    if (!native_create())
        return -1;
    cpu = calloc(1, sizeof *cpu);
    if (!cpu || !map_host() || !map_guest())
        return -1;
    for (unsigned i = 0; i < FEAT_COUNT + 1; i++)
        cpu->feat.has[i] = true;
    cpu->mode = MODE_CODE64 | MODE_FLAT | MODE_PROT | MODE_USER;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_MP | CR0_AM;
    cpu->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->efer = EFER_LME | EFER_LMA;
    cpu->xcr0 = XCR0_X87 | XCR0_SSE | (native.avx ? XCR0_AVX : 0);
    cpu->cpl = 3;
    cpu->seg[SEG_CS].sel = 0x33; /* as FCS and FDS show */
    cpu->seg[SEG_SS].sel = 0x2b;
    cpu->seg[SEG_CS].attr = ATTR_L | ATTR_P | ATTR_S | ATTR_CODE;
    for (unsigned m = 0; m < TLB_MODES; m++)
        tlb_flush(&cpu->tlb[m]);
    cpu->tlb_cur = &cpu->tlb[TLB_USER];
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    native_destroy();
    munmap(host_window, WINDOW_BYTES);
    munmap((void *)window, WINDOW_BYTES + PAGE_SIZE);
    memmap_destroy(&map);
    ram_destroy(&ram);
    free(cpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
