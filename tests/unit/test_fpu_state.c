/*
 * What the oracle (tests/oracle) cannot see from a 64-bit process: x87 images in the formats
 * of other modes, CR0 and CR4 turning instructions off, FERR#, XCR0. Expected values are from
 * SDM 1 §8.1.10, §10.5, §13; SDM 3A §2.5, §9.2.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cpu/exec.h"
#include "cpu/fp/fp.h"
#include "cpu/xsave.h"

#define RAM_BYTES 0x4000
#define AT        0x1000 /* the operand: [RBX] */

static struct cpu *cpu;
static struct log quiet;
static struct ram ram;
static struct memmap map;
static struct mem_region region;
static uint8_t *memory;
static int ferr;

#undef OP
static insn_fn *const handlers[OP_COUNT] = {
#define OP(id, mnemonic, handler, fr, fw, fu, attr) [OP_##id] = handler,
#include "cpu/ops_x87.def"
#include "cpu/ops_simd.def"
#undef OP
};

static const struct insn *end_of_case(struct cpu *c, const struct insn *u)
{
    (void)c;
    (void)u;
    return NULL;
}

/* Runs one instruction, by fn or its own handler; the vector it raised, or -1. */
static int run_by(insn_fn *fn, const uint8_t *bytes, unsigned len)
{
    static struct insn u[2];
    assert_int_equal(decode(&u[0], bytes, len, cpu->mode, &cpu->feat, 0), DECODE_OK);
    assert_int_equal(u[0].len, len);
    u[0].fn = fn ? fn : handlers[u[0].op];
    u[1].fn = end_of_case;
    volatile int vector = -1;
    fp_enter(cpu);
    if (setjmp(cpu->unwind) == 0)
        u[0].fn(cpu, &u[0]);
    else
        vector = cpu->fault.vector;
    fp_leave(cpu);
    return vector;
}
#define RUN(...) \
    run_by(NULL, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define RUN_OFF(fn, ...) \
    run_by(fn, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void on_ferr(void *opaque, int level)
{
    (void)opaque;
    ferr = level;
}

enum kind { REAL, PROT16, PROT32, VM86, LONG };
static void enter(enum kind kind)
{
    static const uint32_t modes[] = {MODE_CODE16, MODE_CODE16 | MODE_PROT, MODE_CODE32 | MODE_PROT,
                                     MODE_CODE16 | MODE_PROT | MODE_VM86, MODE_CODE64 | MODE_PROT};
    memset(memory, 0xaa, RAM_BYTES);
    memset(cpu->r, 0, sizeof cpu->r);
    memset(&cpu->fpu, 0, sizeof cpu->fpu);
    memset(cpu->zmm, 0, sizeof cpu->zmm);
    for (unsigned s = 0; s < SEG_COUNT; s++)
        cpu->seg[s] =
            (struct segment){.limit = ~0u, .attr = ATTR_RW | ATTR_A | ATTR_S | ATTR_P, .sel = 0};
    cpu->seg[SEG_CS].sel = 0x1234;
    cpu->seg[SEG_DS].sel = 0x2345;
    cpu->mode = modes[kind];
    cpu->eflags = FLAG_1 | (kind == VM86 ? FLAG_VM : 0);
    cpu->cr0 = CR0_NE | (kind == REAL ? 0 : CR0_PE);
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    cpu->efer = kind == LONG ? EFER_LMA | EFER_LME : 0;
    cpu->xcr0 = XCR0_X87 | XCR0_SSE;
    cpu->mxcsr = MXCSR_INIT;
    cpu->fpu.cw = FCW_INIT;
    cpu->r[REG_RBX] = AT;
    cpu->r[REG_PC] = 0x5678;
    ferr = -1;
}

/* Recognisable state: R0 = 1.0, R1 = 0, R2 = infinity, the rest empty; TOP 1. */
static void fill_x87(void)
{
    struct fpu *f = &cpu->fpu;
    f->cw = 0x027f;
    f->sw = 1 << FSW_TOP_SHIFT | FSW_C3;
    f->used = 0x07;
    f->r[0] = (union fpreg){.mant = BIT64(63), .sexp = 0x3fff};
    f->r[2] = (union fpreg){.mant = BIT64(63), .sexp = 0x7fff};
    f->fop = 0x5a5;
    f->fip = 0x89abcdef;
    f->fcs = 0x1111;
    f->fdp = 0x76543210;
    f->fds = 0x2222;
}
#define TAGS 0xffe4 /* empty x 5, special, zero, valid */

static void assert_words(const uint16_t *want, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (ld16(memory + AT + 2 * i) != want[i])
            fail_msg("word %u: %04x, not %04x", i, ld16(memory + AT + 2 * i), want[i]);
    assert_int_equal(ld16(memory + AT + 2 * n), 0xaaaa);
}

static void test_environment_formats(void **state)
{
    (void)state;
    /* FNSTENV [BX]; [EBX] */
    enter(PROT16);
    fill_x87();
    assert_int_equal(RUN(0xd9, 0x37), -1);
    assert_words((const uint16_t[]){0x027f, 0x4800, TAGS, 0xcdef, 0x1111, 0x3210, 0x2222}, 7);
    assert_int_equal(cpu->fpu.cw, 0x027f | FSW_EXC);

    enter(PROT32);
    fill_x87();
    assert_int_equal(RUN(0xd9, 0x33), -1);
    assert_words((const uint16_t[]){0x027f, 0xffff, 0x4800, 0xffff, TAGS, 0xffff, 0xcdef, 0x89ab,
                                    0x1111, 0x05a5, 0x3210, 0x7654, 0x2222, 0xffff},
                 14);
    assert_int_equal(RUN(0x66, 0xd9, 0x33), -1); /* the 16-bit one again */
    assert_int_equal(ld16(memory + AT + 8), 0x1111);

    /* real mode: linear addresses, 89ABCDEF + 11110 and 76543210 + 22220 */
    enter(REAL);
    fill_x87();
    assert_int_equal(RUN(0xd9, 0x37), -1);
    assert_words((const uint16_t[]){0x027f, 0x4800, TAGS, 0xdeff, 0xc5a5, 0x5430, 0x6000}, 7);
    enter(VM86);
    fill_x87();
    assert_int_equal(RUN(0x66, 0xd9, 0x37), -1);
    assert_words((const uint16_t[]){0x027f, 0xffff, 0x4800, 0xffff, TAGS, 0xffff, 0xdeff, 0xffff,
                                    0xc5a5, 0x089a, 0x5430, 0xffff, 0x6000, 0x0765},
                 14);
}

static void test_environment_loads(void **state)
{
    (void)state;
    for (enum kind kind = REAL; kind <= LONG; kind++) {
        for (unsigned wide = 0; wide < 2; wide++) {
            const bool prefix = (kind == PROT32 || kind == LONG) != wide;
            const uint8_t modrm = kind == PROT32 || kind == LONG ? 0x33 : 0x37;
            enter(kind);
            fill_x87();
            assert_int_equal(prefix ? RUN(0x66, 0xdd, modrm) : RUN(0xdd, modrm), -1);
            assert_int_equal(cpu->fpu.cw, FCW_INIT); /* FNSAVE initialises */
            assert_int_equal(cpu->fpu.used, 0);
            uint8_t image[108];
            memcpy(image, memory + AT, sizeof image);
            memset(&cpu->fpu, 0, sizeof cpu->fpu);
            cpu->fpu.cw = FCW_INIT;
            const uint8_t frstor = modrm - 0x10;
            assert_int_equal(prefix ? RUN(0x66, 0xdd, frstor) : RUN(0xdd, frstor), -1);
            assert_int_equal(cpu->fpu.cw, 0x027f);
            assert_int_equal(cpu->fpu.sw, 0x4800);
            assert_int_equal(cpu->fpu.used, 0x07);
            assert_int_equal(cpu->fpu.r[2].sexp, 0x7fff);
            /* saved again it is the same image */
            assert_int_equal(prefix ? RUN(0x66, 0xdd, modrm) : RUN(0xdd, modrm), -1);
            assert_memory_equal(image, memory + AT, wide ? 108 : 94);
        }
    }
}

static void test_fxsave_outside_64_bit(void **state)
{
    (void)state;
    enter(PROT32);
    fill_x87();
    for (unsigned i = 0; i < 16; i++)
        cpu->zmm[i].q[0] = i + 1;
    assert_int_equal(RUN(0x0f, 0xae, 0x03), -1);
    assert_int_equal(memory[AT + 4], 0x07);
    assert_int_equal(ld16(memory + AT + 6), 0x5a5);
    assert_int_equal(ld64(memory + AT + 8), UINT64_C(0x111189abcdef));
    assert_int_equal(ld64(memory + AT + 16), UINT64_C(0x222276543210));
    assert_int_equal(ld64(memory + AT + 160 + 7 * 16), 8);
    assert_int_equal(memory[AT + 160 + 8 * 16], 0xaa); /* XMM8 is not there */

    enter(PROT32);
    cpu->cr4 &= ~CR4_OSFXSR;
    assert_int_equal(RUN(0x0f, 0xae, 0x03), -1);
    assert_int_equal(memory[AT + 160], 0xaa);

    enter(LONG); /* FXSAVE64: no selectors, all of the pointers */
    fill_x87();
    cpu->fpu.fip = UINT64_C(0x123456789abc);
    assert_int_equal(RUN(0x48, 0x0f, 0xae, 0x03), -1);
    assert_int_equal(ld64(memory + AT + 8), UINT64_C(0x123456789abc));
}

static void test_turned_off(void **state)
{
    (void)state;
    static const uint8_t fadd[] = {0xd8, 0xc1}, paddb[] = {0x0f, 0xfc, 0xc1},
                         addps[] = {0x0f, 0x58, 0xc1};
    static const struct {
        uint64_t cr0, cr4;
        int fadd, paddb, addps, fxsave, xsave, fwait;
    } cases[] = {
        /* SDM 3A table 2-2 "Action taken by x87 FPU instructions"; §12.1, §13.1.3 */
        {CR0_EM, CR4_OSFXSR | CR4_OSXSAVE, VEC_NM, VEC_UD, VEC_UD, VEC_NM, -1, -1},
        {CR0_TS, CR4_OSFXSR | CR4_OSXSAVE, VEC_NM, VEC_NM, VEC_NM, VEC_NM, VEC_NM, -1},
        {CR0_TS | CR0_MP, CR4_OSFXSR | CR4_OSXSAVE, VEC_NM, VEC_NM, VEC_NM, VEC_NM, VEC_NM, VEC_NM},
        {CR0_EM | CR0_TS, CR4_OSFXSR | CR4_OSXSAVE, VEC_NM, VEC_UD, VEC_UD, VEC_NM, VEC_NM, -1},
        {CR0_TS, 0, VEC_NM, VEC_NM, VEC_UD, VEC_NM, VEC_UD, -1},
        {0, 0, -1, -1, VEC_UD, -1, VEC_UD, -1},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        enter(PROT32);
        fill_x87();
        cpu->cr0 |= cases[i].cr0;
        cpu->cr4 = cases[i].cr4;
        /* as the binder chooses the handler */
        insn_fn *no_x87 = cases[i].cr0 & (CR0_EM | CR0_TS) ? op_x87_off : NULL;
        insn_fn *no_sse = no_x87 || !(cases[i].cr4 & CR4_OSFXSR) ? op_sse_off : NULL;
        assert_int_equal(run_by(no_x87, fadd, sizeof fadd), cases[i].fadd);
        assert_int_equal(run_by(no_x87, paddb, sizeof paddb), cases[i].paddb);
        assert_int_equal(run_by(no_sse, addps, sizeof addps), cases[i].addps);
        assert_int_equal(RUN(0x0f, 0xae, 0x03), cases[i].fxsave);
        memset(memory + AT + 512, 0, 64);
        assert_int_equal(RUN(0x0f, 0xae, 0x23), cases[i].xsave);
        assert_int_equal(RUN(0x9b), cases[i].fwait);
    }
}

/* With CR0.NE clear an unmasked exception drives FERR#, and waiting instructions go on. */
static void test_ferr(void **state)
{
    (void)state;
    enter(REAL);
    cpu->cr0 &= ~CR0_NE;
    cpu->fpu.cw = FCW_INIT & ~FSW_ZE;
    assert_int_equal(RUN(0xd9, 0xe8), -1); /* FLD1 */
    assert_int_equal(RUN(0xd9, 0xee), -1); /* FLDZ */
    assert_int_equal(ferr, -1);
    assert_int_equal(RUN(0xde, 0xf9), -1); /* FDIVP: 1/0 */
    assert_int_equal(ferr, 1);
    assert_int_equal(cpu->fpu.sw & (FSW_ES | FSW_B | FSW_ZE), FSW_ES | FSW_B | FSW_ZE);
    assert_int_equal((cpu->fpu.sw >> FSW_TOP_SHIFT) & 7, 6); /* nothing popped */
    assert_int_equal(RUN(0x9b), -1);
    assert_int_equal(RUN(0xdb, 0xe2), -1); /* FNCLEX */
    assert_int_equal(ferr, 0);

    enter(PROT32); /* natively */
    cpu->fpu.cw = FCW_INIT & ~FSW_ZE;
    RUN(0xd9, 0xe8);
    RUN(0xd9, 0xee);
    assert_int_equal(RUN(0xde, 0xf9), -1);
    assert_int_equal(ferr, -1);
    assert_int_equal(RUN(0xdd, 0x3b), -1); /* FNSTSW does not wait */
    assert_int_equal(RUN(0x0f, 0x77), VEC_MF);
    assert_int_equal(RUN(0x9b), VEC_MF);
}

/* Unmasked, a denormal operand keeps an instruction from its work, but a load has done it. */
static void test_denormal_unmasked(void **state)
{
    (void)state;
    static const uint8_t load[2][2] = {{0xd9, 0x03}, {0xdd, 0x03}}; /* FLD m32, m64 */
    static const uint16_t exponent[2] = {0x3f6a, 0x3bcd};           /* 2^-149, 2^-1074 */
    for (int i = 0; i < 2; i++) {
        enter(LONG);
        memset(memory + AT, 0, 8);
        memory[AT] = 1;
        cpu->fpu.cw = FCW_INIT & ~FSW_DE;
        assert_int_equal(RUN(0xd9, 0xe8), -1); /* FLD1 */
        assert_int_equal(run_by(NULL, load[i], 2), -1);
        assert_int_equal(cpu->fpu.sw & (FSW_ES | FSW_EXC), FSW_ES | FSW_DE);
        assert_int_equal((cpu->fpu.sw >> FSW_TOP_SHIFT) & 7, 6);
        const union fpreg *top = &cpu->fpu.r[6];
        assert_int_equal(top->sexp, exponent[i]);
        assert_true(top->mant == 1ull << 63);
        assert_int_equal(RUN(0xdb, 0xe2), -1); /* FNCLEX */

        assert_int_equal(RUN(0xdc, 0x03), -1); /* FADD m64: nothing is stored */
        assert_int_equal(cpu->fpu.sw & (FSW_ES | FSW_EXC), FSW_ES | FSW_DE);
        assert_int_equal(top->sexp, exponent[i]);

        enter(LONG); /* a signalling NaN is not loaded */
        memset(memory + AT, 0, 8);
        memory[AT] = 1;
        memory[AT + 2] = 0x80;
        memory[AT + 3] = 0x7f;
        memory[AT + 6] = 0xf0;
        memory[AT + 7] = 0x7f;
        cpu->fpu.cw = FCW_INIT & ~FSW_IE;
        assert_int_equal(run_by(NULL, load[i], 2), -1);
        assert_int_equal(cpu->fpu.sw & (FSW_ES | FSW_EXC), FSW_ES | FSW_IE);
        assert_int_equal((cpu->fpu.sw >> FSW_TOP_SHIFT) & 7, 0);
    }
}

static void test_simd_exception(void **state)
{
    (void)state;
    enter(LONG);
    cpu->mxcsr = MXCSR_INIT & ~(FSW_ZE << MXCSR_MASK_SHIFT);
    cpu->zmm[0].d[0] = 0x3f800000;
    assert_int_equal(RUN(0xf3, 0x0f, 0x5e, 0xc1), VEC_XM); /* DIVSS: 1/0 */
    assert_int_equal(cpu->zmm[0].d[0], 0x3f800000);
    assert_int_equal(cpu->mxcsr & MXCSR_EXC, FSW_ZE);
    cpu->cr4 &= ~CR4_OSXMMEXCPT;
    assert_int_equal(RUN(0xf3, 0x0f, 0x5e, 0xc1), VEC_UD);
}

static void test_xcr0(void **state)
{
    (void)state;
    static const struct {
        uint32_t ecx, eax, edx;
        uint8_t cpl;
        int vector;
    } cases[] = {
        {0, 1, 0, 0, -1},     {0, 3, 0, 0, -1},     {0, 3, 0, 3, VEC_GP}, {1, 3, 0, 0, VEC_GP},
        {0, 2, 0, 0, VEC_GP}, {0, 0, 0, 0, VEC_GP}, {0, 5, 0, 0, VEC_GP}, {0, 3, 1, 0, VEC_GP},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        enter(LONG);
        cpu->xcr0 = 1;
        cpu->cpl = cases[i].cpl;
        cpu->r[REG_RCX] = cases[i].ecx;
        cpu->r[REG_RAX] = cases[i].eax;
        cpu->r[REG_RDX] = cases[i].edx;
        assert_int_equal(RUN(0x0f, 0x01, 0xd1), cases[i].vector);
        assert_int_equal(cpu->xcr0, cases[i].vector < 0 ? cases[i].eax : 1);
    }
    enter(LONG);
    cpu->r[REG_RAX] = cpu->r[REG_RDX] = ~UINT64_C(0);
    assert_int_equal(RUN(0x0f, 0x01, 0xd0), -1);
    assert_int_equal(cpu->r[REG_RAX], 3);
    assert_int_equal(cpu->r[REG_RDX], 0);
    cpu->r[REG_RCX] = 1;
    cpu->zmm[3].q[1] = 1;
    cpu->zmm[3].q[2] = 1; /* AVX is not enabled */
    assert_int_equal(RUN(0x0f, 0x01, 0xd0), -1);
    assert_int_equal(cpu->r[REG_RAX], XCR0_SSE);
    cpu->r[REG_RCX] = 2;
    assert_int_equal(RUN(0x0f, 0x01, 0xd0), VEC_GP);
    cpu->r[REG_RCX] = 1;
    cpu->feat.has[FEAT_XGETBV1] = false;
    assert_int_equal(RUN(0x0f, 0x01, 0xd0), VEC_GP);
    cpu->feat.has[FEAT_XGETBV1] = true;
    cpu->cr4 = 0;
    assert_int_equal(RUN(0x0f, 0x01, 0xd0), VEC_UD);
    assert_int_equal(RUN(0x0f, 0x01, 0xd1), VEC_UD);
    assert_int_equal(xsave_area_size(3), 576);
    assert_int_equal(xsave_supported(&cpu->feat), 7 | XCR0_PKRU);
}

/* XSTATE_BV tells what is not in its initial state; XRSTOR brings the rest there. */
static void test_xsave_components(void **state)
{
    (void)state;
    enter(LONG);
    memset(memory + AT + 512, 0, 64);
    cpu->r[REG_RAX] = 3;
    assert_int_equal(RUN(0x0f, 0xae, 0x23), -1);
    assert_int_equal(ld64(memory + AT + 512), 0);
    cpu->zmm[15].q[1] = 1;
    assert_int_equal(RUN(0x0f, 0xae, 0x23), -1);
    assert_int_equal(ld64(memory + AT + 512), XCR0_SSE);
    fill_x87();
    cpu->zmm[15].q[1] = 2;
    cpu->r[REG_RAX] = 1; /* x87 alone: SSE's bit and bytes stay */
    assert_int_equal(RUN(0x0f, 0xae, 0x23), -1);
    assert_int_equal(ld64(memory + AT + 512), XCR0_X87 | XCR0_SSE);
    assert_int_equal(ld64(memory + AT + 160 + 15 * 16 + 8), 1);

    st64(memory + AT + 512, 0);
    cpu->r[REG_RAX] = 3;
    assert_int_equal(RUN(0x0f, 0xae, 0x2b), -1);
    assert_int_equal(cpu->zmm[15].q[1], 0);
    assert_int_equal(cpu->fpu.cw, FCW_INIT);
    assert_int_equal(cpu->fpu.r[0].sexp, 0);
    st64(memory + AT + 512, 4); /* not enabled */
    assert_int_equal(RUN(0x0f, 0xae, 0x2b), VEC_GP);
    st64(memory + AT + 512, 0);
    st64(memory + AT + 520, BIT64(63)); /* compacted */
    cpu->feat.has[FEAT_XSAVEC] = false;
    assert_int_equal(RUN(0x0f, 0xae, 0x2b), VEC_GP);
    cpu->feat.has[FEAT_XSAVEC] = true;
    assert_int_equal(RUN(0x0f, 0xae, 0x2b), -1);
}

/* XSAVEC, XSAVES, XRSTORS and PKRU: what a 64-bit process on the host cannot be asked for. */
static void test_xsave_compacted(void **state)
{
    (void)state;
    enum { AVX_AT = 576, PKRU_AT = AVX_AT + 256 };
    enter(LONG);
    cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU;
    memset(memory + AT, 0xaa, 4096);
    cpu->pkru = 0x12345678;
    cpu->zmm[2].q[3] = 0x99;
    cpu->r[REG_RAX] = cpu->xcr0;
    for (unsigned s = 0; s < 2; s++) {
        assert_int_equal(s ? RUN(0x0f, 0xc7, 0x2b) : RUN(0x0f, 0xc7, 0x23), -1);
        assert_int_equal(ld64(memory + AT + 512), XCR0_AVX | XCR0_PKRU);
        assert_int_equal(ld64(memory + AT + 520), cpu->xcr0 | BIT64(63));
        assert_int_equal(ld64(memory + AT + AVX_AT + 2 * 16 + 8), 0x99);
        assert_int_equal(ld64(memory + AT + PKRU_AT), 0x12345678);
        assert_int_equal(ld64(memory + AT), UINT64_C(0xaaaaaaaaaaaaaaaa)); /* not in use */
        assert_int_equal(ld64(memory + AT + 528), UINT64_C(0xaaaaaaaaaaaaaaaa));
    }
    /* MXCSR alone makes SSE be in use */
    fp_set_mxcsr(cpu, 0x1f81);
    assert_int_equal(RUN(0x0f, 0xc7, 0x23), -1);
    assert_int_equal(ld64(memory + AT + 512), XCR0_SSE | XCR0_AVX | XCR0_PKRU);
    assert_int_equal(ld32(memory + AT + 24), 0x1f81);
    /* the rest of the header counts in the compacted form */
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), VEC_GP);
    memset(memory + AT + 528, 0, 48);
    for (unsigned s = 0; s < 2; s++) {
        cpu->pkru = 0;
        cpu->zmm[2].q[3] = cpu->zmm[1].q[0] = 1;
        assert_int_equal(s ? RUN(0x0f, 0xc7, 0x1b) : RUN(0x0f, 0xae, 0x2b), -1);
        assert_int_equal(cpu->pkru, 0x12345678);
        assert_int_equal(cpu->zmm[2].q[3], 0x99);
        assert_int_equal(cpu->zmm[1].q[0], 0);
    }
    memory[AT + 575] = 1;
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), VEC_GP);
    memory[AT + 575] = 0;
    st64(memory + AT + 520, BIT64(63) | XCR0_SSE | XCR0_AVX); /* PKRU is in XSTATE_BV */
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), VEC_GP);
    st64(memory + AT + 512, XCR0_AVX); /* and then brought to its initial value */
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), -1);
    assert_int_equal(cpu->pkru, 0);
    assert_int_equal(fp_mxcsr(cpu), MXCSR_INIT); /* as part of SSE, unlike the standard form */
    assert_int_equal(cpu->zmm[2].q[3], 0x99);
    /* the standard format: XRSTOR takes it, XRSTORS does not */
    cpu->pkru = 0x55;
    memset(memory + AT + 512, 0, 64);
    assert_int_equal(RUN(0x0f, 0xae, 0x23), -1);
    assert_int_equal(ld32(memory + AT + 2688), 0x55);
    assert_int_equal(RUN(0x0f, 0xae, 0x2b), -1);
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), VEC_GP);
    /* level, CR4.OSXSAVE, CR0.TS, alignment */
    cpu->cpl = 3;
    assert_int_equal(RUN(0x0f, 0xc7, 0x2b), VEC_GP);
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), VEC_GP);
    assert_int_equal(RUN(0x0f, 0xc7, 0x23), -1);
    cpu->cr0 |= CR0_TS;
    assert_int_equal(RUN(0x0f, 0xc7, 0x2b), VEC_NM);
    cpu->cr4 = 0;
    assert_int_equal(RUN(0x0f, 0xc7, 0x2b), VEC_UD);
    assert_int_equal(RUN(0x0f, 0xc7, 0x1b), VEC_UD);
    assert_int_equal(RUN(0x0f, 0xae, 0x33), VEC_UD);
    cpu->cr4 = CR4_OSXSAVE;
    cpu->cr0 &= ~CR0_TS;
    cpu->cpl = 0;
    cpu->r[REG_RBX] += 32;
    assert_int_equal(RUN(0x0f, 0xc7, 0x2b), VEC_GP);
    assert_int_equal(RUN(0x0f, 0xae, 0x33), VEC_GP);
    cpu->pkru = 0;
}

/* XSAVEOPT stores what is in use, MXCSR in any case. */
static void test_xsaveopt(void **state)
{
    (void)state;
    enter(LONG);
    memset(memory + AT + 512, 0, 64);
    cpu->zmm[0].q[0] = 7;
    cpu->r[REG_RAX] = 3;
    st64(memory + AT + 512, XCR0_X87 | XCR0_AVX);
    assert_int_equal(RUN(0x0f, 0xae, 0x33), -1);
    assert_int_equal(ld64(memory + AT + 512), XCR0_SSE | XCR0_AVX);
    assert_int_equal(ld64(memory + AT + 160), 7);
    assert_int_equal(ld32(memory + AT + 24), MXCSR_INIT);
    assert_int_equal(ld16(memory + AT), 0xaaaa); /* x87 is as FNINIT leaves it */
    assert_int_equal(ld64(memory + AT + 520), 0);
}

static int setup(void **state)
{
    (void)state;
    struct error err = {0};
    cpu = calloc(1, sizeof *cpu);
    log_init(&quiet, NULL, NULL);
    if (!cpu || !ram_create(&ram, RAM_BYTES, &err))
        return -1;
    memmap_create(&map, &ram, &quiet);
    mem_region_init_ram(&region, "ram", ram_alloc(&ram, RAM_BYTES), RAM_BYTES);
    memmap_add(&map, &region, 0, 0);
    memory = ram_host(&ram, region.ram);
    cpu->mem = &map;
    cpu->hooks.ferr = on_ferr;
    for (unsigned i = 0; i < FEAT_COUNT + 1; i++)
        cpu->feat.has[i] = true;
    for (unsigned m = 0; m < TLB_MODES; m++)
        tlb_flush(&cpu->tlb[m]);
    cpu->tlb_cur = &cpu->tlb[TLB_KERNEL];
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    memmap_destroy(&map);
    ram_destroy(&ram);
    free(cpu);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_environment_formats),
        cmocka_unit_test(test_environment_loads),
        cmocka_unit_test(test_fxsave_outside_64_bit),
        cmocka_unit_test(test_turned_off),
        cmocka_unit_test(test_ferr),
        cmocka_unit_test(test_denormal_unmasked),
        cmocka_unit_test(test_simd_exception),
        cmocka_unit_test(test_xcr0),
        cmocka_unit_test(test_xsave_components),
        cmocka_unit_test(test_xsave_compacted),
        cmocka_unit_test(test_xsaveopt),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
