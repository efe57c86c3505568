/*
 * The emitter against the disassembler: each form over all registers, sizes, addressing modes and
 * displacement sizes, as text; lengths, and that exactly one instruction was written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/jit/emit_x64.h"
#include "debug/disas.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct disas *disas;
static uint8_t buffer[1024];
static uint8_t *const code = buffer + 256; /* jumps lead to either side */
enum { CODE_BYTES = 64 };
static struct emit e;
static unsigned cases;

static void begin(void)
{
    e = (struct emit){.p = code, .end = code + CODE_BYTES};
    memset(code, 0xcc, CODE_BYTES);
}

/* What was written is this one instruction. */
static void expect(const char *want)
{
    char text[160], got[160];
    const size_t len = (size_t)(e.p - code);
    const unsigned n = disas_one(disas, code, len, 0x1000, 64, text, sizeof text);
    /* one space, as the rest of this file writes */
    char *args = strchr(text, ' ');
    size_t skip = args ? strspn(args, " ") : 0;
    snprintf(got, sizeof got, "%.*s%s%s", (int)(args ? args - text : 100), text, args ? " " : "",
             args ? args + skip : "");
    cases++;
    if (n != len || strcmp(got, want) != 0)
        fail_msg("%s is \"%s\", %u of %zu bytes", want, got, n, len);
}

static const char *reg(unsigned size, unsigned r)
{
    static const char *const names[4][16] = {
        {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b",
         "r13b", "r14b", "r15b"},
        {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w",
         "r13w", "r14w", "r15w"},
        {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d",
         "r12d", "r13d", "r14d", "r15d"},
        {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
         "r13", "r14", "r15"}};
    return names[__builtin_ctz(size)][r];
}

/* The disassembler's way of writing m. */
static const char *memory(unsigned size, struct host_rm m)
{
    static char buf[2][96];
    static unsigned turn;
    char *s = buf[turn ^= 1], sum[64] = "";
    static const char *const width[] = {"byte", "word", "dword", "qword"};
    unsigned at = 0;
    if (m.base != H_NONE)
        at += (unsigned)snprintf(sum, sizeof sum, "%s", reg(8, m.base));
    if (m.index != H_NONE)
        at += (unsigned)snprintf(sum + at, sizeof sum - at, "%s%s%s", at ? " + " : "",
                                 reg(8, m.index), (const char *[]){"", "*2", "*4", "*8"}[m.scale]);
    const int64_t d = m.disp;
    const uint64_t size_of = (uint64_t)(d < 0 ? -d : d);
    char number[32];
    snprintf(number, sizeof number, size_of > 9 ? "0x%" PRIx64 : "%" PRIu64, size_of);
    if (!at && d < 0)
        snprintf(sum, sizeof sum, "0x%" PRIx64, (uint64_t)d);
    else if (!at)
        snprintf(sum, sizeof sum, "%s", number);
    else if (d)
        snprintf(sum + at, sizeof sum - at, " %c %s", d < 0 ? '-' : '+', number);
    snprintf(s, sizeof buf[0], "%s ptr %s[%s]", width[__builtin_ctz(size)], m.gs ? "gs:" : "", sum);
    return s;
}

static const int32_t displacements[] = {0, 8, 127, 128, -128, -129, 0x12345678};

/* Every addressing mode there is. */
static void each_memory(void (*check)(struct host_rm m))
{
    for (unsigned d = 0; d < ARRAY_SIZE(displacements); d++) {
        const int32_t disp = displacements[d];
        if (disp >= 0) /* of others the disassembler leaves out the sign */
            check(h_gs(disp));
        for (unsigned base = 0; base < 16; base++) {
            check(h_mem(base, disp));
            for (unsigned index = 0; index < 16; index++)
                if (index != H_RSP)
                    check(h_sib(base, index, (base + index) & 3, disp));
        }
        for (unsigned index = 0; index < 16; index++) {
            if (index == H_RSP)
                continue;
            for (unsigned scale = 0; scale < 4; scale++)
                check(h_sib(H_NONE, index, scale, disp));
            if (disp >= 0)
                check(h_gs_mem(index, disp));
        }
    }
}

static unsigned the_size, the_reg;

static void check_load(struct host_rm m)
{
    char want[128];
    begin();
    emit_load(&e, the_size, the_reg, m);
    snprintf(want, sizeof want, "mov %s, %s", reg(the_size, the_reg), memory(the_size, m));
    expect(want);
}

static void check_store(struct host_rm m)
{
    char want[128];
    begin();
    emit_store(&e, the_size, m, the_reg);
    snprintf(want, sizeof want, "mov %s, %s", memory(the_size, m), reg(the_size, the_reg));
    expect(want);
}

static void test_memory(void **state)
{
    (void)state;
    for (the_size = 1; the_size <= 8; the_size *= 2)
        for (the_reg = 0; the_reg < 16; the_reg += the_size == 8 ? 1 : 3) {
            if (the_reg == H_RAX) /* an address of its own has a form that is written otherwise */
                continue;
            each_memory(check_load);
            each_memory(check_store);
        }
}

static const char *const alu[] = {"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"};

static void number(char *s, size_t n, int64_t v, unsigned size)
{
    const uint64_t u = (uint64_t)v & (~UINT64_C(0) >> (64 - 8 * size));
    const uint64_t size_of = v < 0 ? -(uint64_t)v : u;
    const bool negative = v < 0 && size_of <= 9;
    if (negative)
        snprintf(s, n, "-%" PRIu64, size_of);
    else
        snprintf(s, n, u > 9 ? "0x%" PRIx64 : "%" PRIu64, u);
}

static void test_registers(void **state)
{
    (void)state;
    char want[128], imm[32];
    for (unsigned size = 1; size <= 8; size *= 2) {
        for (unsigned a = 0; a < 16; a++) {
            for (unsigned b = 0; b < 16; b++) {
                for (unsigned op = 0; op < 8; op++) {
                    begin();
                    emit_alu(&e, size, op, a, h_reg(b));
                    snprintf(want, sizeof want, "%s %s, %s", alu[op], reg(size, a), reg(size, b));
                    expect(want);
                    begin();
                    emit_alu_to(&e, size, op, h_reg(b), a);
                    snprintf(want, sizeof want, "%s %s, %s", alu[op], reg(size, b), reg(size, a));
                    expect(want);
                }
                begin();
                emit_test(&e, size, h_reg(a), b);
                snprintf(want, sizeof want, "test %s, %s", reg(size, a), reg(size, b));
                expect(want);
                if (size >= 2) {
                    begin();
                    emit_extend(&e, size, 0x0fb6, a, h_reg(b), 1);
                    snprintf(want, sizeof want, "movzx %s, %s", reg(size, a), reg(1, b));
                    expect(want);
                }
                if (size >= 4) {
                    begin();
                    emit_extend(&e, size, 0x0fbf, a, h_reg(b), 2);
                    snprintf(want, sizeof want, "movsx %s, %s", reg(size, a), reg(2, b));
                    expect(want);
                }
            }
            static const int32_t values[] = {0,    1,   9,    10,     127,    -1,
                                             -128, 128, -129, 0x7fff, 0x12345};
            for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
                const int64_t v =
                    sign_extend((uint64_t)(int64_t)values[i], size == 8 ? 32 : size * 8);
                number(imm, sizeof imm, v, size);
                for (unsigned op = 0; op < 8; op++) {
                    begin();
                    emit_alu_imm(&e, size, op, h_reg(a), (int32_t)v);
                    assert_true(e.p - code <= (v >= -128 && v <= 127 ? 5 : 7));
                    if (v < 0) /* how it is written depends on the operation */
                        continue;
                    snprintf(want, sizeof want, "%s %s, %s", alu[op], reg(size, a), imm);
                    expect(want);
                }
                if (v < 0)
                    continue;
                begin();
                emit_test_imm(&e, size, h_reg(a), (int32_t)v);
                snprintf(want, sizeof want, "test %s, %s", reg(size, a), imm);
                expect(want);
                begin();
                emit_store_imm(&e, size, h_reg(a), (int32_t)v);
                snprintf(want, sizeof want, "mov %s, %s", reg(size, a), imm);
                expect(want);
            }
        }
    }
}

/* The same below zero, where it stands behind GS alone: a segment's base may be above it. */
static void test_negative_displacement(void **state)
{
    (void)state;
    begin();
    emit_load(&e, 8, H_R9, h_gs(-129));
    static const uint8_t want[] = {0x65, 0x4c, 0x8b, 0x0c, 0x25, 0x7f, 0xff, 0xff, 0xff};
    assert_int_equal(e.p - code, sizeof want);
    assert_memory_equal(code, want, sizeof want);
}

/* The value that comes of it, since there are several ways to write it. */
static void test_constants(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,
                                      1,
                                      0x7fffffff,
                                      0x80000000,
                                      0xffffffff,
                                      UINT64_MAX,
                                      UINT64_C(0x1234567890),
                                      (uint64_t)INT32_MIN};
    char want[128];
    for (unsigned r = 0; r < 16; r++) {
        for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
            const uint64_t v = values[i];
            begin();
            emit_mov_imm(&e, r, v);
            const size_t len = (size_t)(e.p - code), high = r >> 3;
            if (v <= UINT32_MAX) {
                snprintf(want, sizeof want, v > 9 ? "mov %s, 0x%" PRIx64 : "mov %s, %" PRIu64,
                         reg(4, r), v);
                assert_int_equal(len, 5 + high);
                expect(want);
            } else if ((int64_t)v == (int32_t)v) {
                assert_int_equal(len, 7);
                assert_int_equal(code[1], 0xc7);
                assert_int_equal((int32_t)ld32(code + 3), (int32_t)v);
            } else {
                snprintf(want, sizeof want, "movabs %s, 0x%" PRIx64, reg(8, r), v);
                assert_int_equal(len, 10);
                expect(want);
            }
        }
    }
}

static void test_one_operand(void **state)
{
    (void)state;
    char want[128];
    for (unsigned r = 0; r < 16; r++) {
        begin();
        emit_push(&e, r);
        snprintf(want, sizeof want, "push %s", reg(8, r));
        expect(want);
        begin();
        emit_pop(&e, r);
        snprintf(want, sizeof want, "pop %s", reg(8, r));
        expect(want);
        static const char *const group3[] = {"not", "neg", "mul", "imul", "div", "idiv"};
        static const char *const shifts[] = {"rol", "ror", "rcl", "rcr", "shl", "shr", NULL, "sar"};
        for (unsigned size = 1; size <= 8; size *= 2) {
            for (unsigned op = X_NOT; op <= X_IDIV; op++) {
                begin();
                emit_rm(&e, size, size == 1 ? 0xf6 : 0xf7, op, h_reg(r));
                snprintf(want, sizeof want, "%s %s", group3[op - X_NOT], reg(size, r));
                expect(want);
            }
            for (unsigned op = 0; op < 8; op++) {
                if (!shifts[op])
                    continue;
                begin();
                emit_rm_imm(&e, size, size == 1 ? 0xc0 : 0xc1, op, h_reg(r), 5, 1);
                snprintf(want, sizeof want, "%s %s, 5", shifts[op], reg(size, r));
                expect(want);
            }
        }
        for (unsigned from = 0; from < 16; from++) {
            begin();
            emit_rorx(&e, r, from, 7);
            snprintf(want, sizeof want, "rorx %s, %s, 7", reg(8, r), reg(8, from));
            expect(want);
            begin();
            emit_mov(&e, 8, r, from);
            snprintf(want, sizeof want, "mov %s, %s", reg(8, r), reg(8, from));
            if (r == from)
                assert_ptr_equal(e.p, code);
            else
                expect(want);
            for (unsigned count = 0; count < 16; count++) {
                begin();
                emit_vex(&e, P_66, 2, count & 1, 0, 0xf7, r, count, h_reg(from), -1);
                const unsigned size = count & 1 ? 8 : 4;
                snprintf(want, sizeof want, "shlx %s, %s, %s", reg(size, r), reg(size, from),
                         reg(size, count));
                expect(want);
            }
        }
    }
}

static void test_vectors(void **state)
{
    (void)state;
    char want[128];
    for (unsigned r = 0; r < 16; r++) {
        for (unsigned b = 0; b < 16; b++) {
            begin();
            emit_sse(&e, P_66, false, 0x0fef, r, h_reg(b), -1);
            snprintf(want, sizeof want, "pxor xmm%u, xmm%u", r, b);
            expect(want);
            begin();
            emit_sse(&e, P_F2, true, 0x0f2a, r, h_reg(b), -1);
            snprintf(want, sizeof want, "cvtsi2sd xmm%u, %s", r, reg(8, b));
            expect(want);
            begin();
            emit_sse(&e, P_66, false, 0x0f70, r, h_reg(b), 3);
            snprintf(want, sizeof want, "pshufd xmm%u, xmm%u, 3", r, b);
            expect(want);
            for (unsigned v = 0; v < 16; v++) {
                begin();
                emit_vex(&e, P_66, 1, false, v & 1, 0xfe, r, v, h_reg(b), -1);
                const char c = v & 1 ? 'y' : 'x';
                snprintf(want, sizeof want, "vpaddd %cmm%u, %cmm%u, %cmm%u", c, r, c, v, c, b);
                expect(want);
            }
        }
    }
}

static void test_jumps(void **state)
{
    (void)state;
    static const char *const cc[] = {"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns"};
    char want[64];
    for (unsigned i = 0; i < ARRAY_SIZE(cc); i++) {
        begin();
        uint8_t *where = emit_jcc_forward(&e, i);
        emit_patch(where, code + 0x123);
        snprintf(want, sizeof want, "j%s 0x1123", cc[i]);
        expect(want);
    }
    begin();
    emit_jmp(&e, code + 0x80);
    expect("jmp 0x1080");
    begin();
    emit_call(&e, code - 0x80);
    expect("call 0xf80");
    begin();
    emit_here(&e, emit_jmp_forward(&e));
    expect("jmp 0x1005");
}

/* What does not fit is left out whole, and said. */
static void test_full(void **state)
{
    (void)state;
    for (unsigned room = 0; room < 12; room++) {
        begin();
        e.end = code + room;
        emit_mov_imm(&e, H_R15, UINT64_C(0x1234567890));
        assert_int_equal(e.full, room < 10);
        assert_int_equal(e.p - code, room < 10 ? 0 : 10);
        begin();
        e.end = code + room;
        emit_here(&e, emit_jcc_forward(&e, CC_E));
        assert_int_equal(e.full, room < 6);
        for (unsigned i = room; i < CODE_BYTES; i++)
            assert_int_equal(code[i], 0xcc);
    }
}

static int setup(void **state)
{
    (void)state;
    disas = disas_create(DISAS_INTEL, &(struct error){0});
    return disas ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    printf("%u instructions\n", cases);
    disas_destroy(disas);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_registers),
        cmocka_unit_test(test_negative_displacement),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_one_operand),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
