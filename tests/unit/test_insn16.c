/*
 * 16 and 32-bit code, which the host may not run: decimal adjustments, PUSHA and POPA, ENTER and
 * LEAVE, BOUND, LES and its kin, 16-bit addresses, segment limits and types, the ends of 64 KiB
 * segments, and every mix of operand and stack size. Expected values are the manual's (SDM 2A, 2B
 * under each mnemonic; SDM 3A §5.3 "Limit Checking").
 *
 *      CS 10000   DS 20000   ES 30000   SS 40000, 64 KiB each
 */
#include "insn_rig.h"

#define CODE_BASE  0x10000u
#define DATA_BASE  0x20000u
#define EXTRA_BASE 0x30000u
#define STACK_BASE 0x40000u
#define CODE_AT    0x100u /* IP of the instruction */

/* Segments of CPL 3, so that exceptions change to the stack in the TSS. */
enum {
    S_CODE16 = SEL_SPARE | 3,
    S_DATA16 = S_CODE16 + 8,
    S_EXTRA16 = S_DATA16 + 8,
    S_STACK16 = S_EXTRA16 + 8,
    S_CODE32 = S_STACK16 + 8,
    S_DATA32 = S_CODE32 + 8,
    S_EXTRA32 = S_DATA32 + 8,
    S_STACK32 = S_EXTRA32 + 8,
    S_OTHER = S_STACK32 + 8,
};

enum mode { REAL, PROT16, PROT32, CODE16_STACK32, CODE32_STACK16 };

static struct rig rig;
static struct rig_event event;

#define A_DATA (ATTR_P | ATTR_S | ATTR_DPL | ATTR_A | ATTR_RW)
#define A_CODE (A_DATA | ATTR_CODE)

static void load_sreg(unsigned s, uint16_t sel)
{
    rig_load_seg(&rig, s, sel);
}

static void begin(enum mode mode)
{
    struct cpu *cpu = rig.cpu;
    if (mode == REAL) {
        static const uint16_t sel[] = {EXTRA_BASE >> 4, CODE_BASE >> 4, STACK_BASE >> 4,
                                       DATA_BASE >> 4};
        rig_real(&rig);
        for (unsigned s = SEG_ES; s <= SEG_DS; s++) {
            cpu->seg[s].sel = sel[s];
            cpu->seg[s].base = (uint32_t)sel[s] << 4;
        }
    } else {
        const bool code32 = mode == PROT32 || mode == CODE32_STACK16;
        const bool stack32 = mode == PROT32 || mode == CODE16_STACK32;
        rig_descriptor(&rig, S_CODE16, CODE_BASE, 0xffff, A_CODE);
        rig_descriptor(&rig, S_DATA16, DATA_BASE, 0xffff, A_DATA);
        rig_descriptor(&rig, S_EXTRA16, EXTRA_BASE, 0xffff, A_DATA);
        rig_descriptor(&rig, S_STACK16, STACK_BASE, 0xffff, A_DATA);
        rig_descriptor(&rig, S_CODE32, CODE_BASE, 0xfffff, A_CODE | ATTR_DB);
        rig_descriptor(&rig, S_DATA32, DATA_BASE, 0xffff, A_DATA | ATTR_DB);
        rig_descriptor(&rig, S_EXTRA32, EXTRA_BASE, 0xffff, A_DATA | ATTR_DB);
        rig_descriptor(&rig, S_STACK32, STACK_BASE, 0xfffff, A_DATA | ATTR_DB);
        rig_prot(&rig, SEL_CODE32, SEL_DATA);
        load_sreg(SEG_CS, code32 ? S_CODE32 : S_CODE16);
        load_sreg(SEG_SS, stack32 ? S_STACK32 : S_STACK16);
        load_sreg(SEG_DS, code32 ? S_DATA32 : S_DATA16);
        load_sreg(SEG_ES, code32 ? S_EXTRA32 : S_EXTRA16);
        load_sreg(SEG_FS, 0);
        load_sreg(SEG_GS, 0);
        cpu->cpl = 3;
    }
    cpu_loaded(cpu);
    for (unsigned i = 0; i < 8; i++)
        cpu->r[i] = UINT32_C(0xa5a50000) + i * 0x0101;
    cpu->r[REG_RSP] = 0x1000;
    cpu->rip = CODE_AT;
    cpu_set_rflags(cpu, FLAG_1);
    memset(rig_at(&rig, DATA_BASE), 0, 0x10000);
    memset(rig_at(&rig, EXTRA_BASE), 0, 0x10000);
    memset(rig_at(&rig, STACK_BASE), 0, 0x10000);
}

static void reg(unsigned n, uint32_t v)
{
    rig.cpu->r[n] = v;
}
static void flags(uint32_t v)
{
    cpu_set_rflags(rig.cpu, v | FLAG_1);
}
static void poke(gpa_t at, uint64_t v, unsigned size)
{
    st_le(rig_at(&rig, at), v, size);
}
static uint64_t peek(gpa_t at, unsigned size)
{
    return ld_le(rig_at(&rig, at), size);
}

/* n instructions from these bytes. */
static void run_bytes(const uint8_t *bytes, size_t len, unsigned n)
{
    rig_put(&rig, rig.cpu->seg[SEG_CS].base + rig.cpu->rip, bytes, len);
    rig_run(&rig, n);
    event = rig_event(&rig);
}
#define RUN(...)                                \
    do {                                        \
        const uint8_t bytes_[] = {__VA_ARGS__}; \
        run_bytes(bytes_, sizeof bytes_, 1);    \
    } while (0)
#define RUN_N(n, ...)                           \
    do {                                        \
        const uint8_t bytes_[] = {__VA_ARGS__}; \
        run_bytes(bytes_, sizeof bytes_, n);    \
    } while (0)

#define IS(n, v)          assert_int_equal((uint32_t)rig.cpu->r[n], (uint32_t)(v))
#define IS_MEM(at, v, n)  assert_int_equal(peek(at, n), v)
#define IS_FLAGS(mask, v) assert_int_equal(cpu_get_rflags(rig.cpu) & (mask), v)
#define IS_IP(v)                            \
    do {                                    \
        assert_int_equal(event.vector, -1); \
        assert_int_equal(rig.cpu->rip, v);  \
    } while (0)
/* The exception, with the address of the instruction on the stack. */
#define IS_FAULT(v, code)                     \
    do {                                      \
        assert_int_equal(event.vector, v);    \
        assert_int_equal(event.error, code);  \
        assert_int_equal(event.rip, CODE_AT); \
    } while (0)
#define NO_FAULT() assert_int_equal(event.vector, -1)

/* --- decimal --- */

#define OSZAPC FLAGS_ARITH
#define SZAPC  (FLAGS_ARITH & ~FLAG_OF)

static uint32_t bcd(unsigned v)
{
    return (v / 10 % 10) << 4 | v % 10;
}

/* The manual's examples, then every sum and difference of two packed numbers. */
static void test_daa_das(void **state)
{
    (void)state;
    begin(PROT16);
    reg(REG_RAX, 0xae);
    flags(FLAG_OF | FLAG_SF);
    RUN(0x27);
    IS(REG_RAX, 0x14);
    IS_FLAGS(SZAPC, FLAG_AF | FLAG_PF | FLAG_CF);
    begin(PROT16);
    reg(REG_RAX, 0x2e);
    flags(FLAG_OF | FLAG_SF);
    RUN(0x27);
    IS(REG_RAX, 0x34);
    IS_FLAGS(SZAPC, FLAG_AF);
    begin(PROT16);
    reg(REG_RAX, 0xee);
    flags(FLAG_SF | FLAG_AF | FLAG_PF | FLAG_CF);
    RUN(0x2f);
    IS(REG_RAX, 0x88);
    IS_FLAGS(SZAPC, FLAG_SF | FLAG_AF | FLAG_PF | FLAG_CF);

    begin(REAL);
    for (unsigned a = 0; a < 100; a++) {
        for (unsigned b = 0; b < 100; b++) {
            rig.cpu->rip = CODE_AT;
            reg(REG_RAX, bcd(a));
            reg(REG_RDX, bcd(b));
            RUN_N(2, 0x00, 0xd0, 0x27); /* ADD AL, DL; DAA */
            IS(REG_RAX, bcd(a + b));
            IS_FLAGS(FLAG_CF, a + b > 99 ? FLAG_CF : 0);
            IS_FLAGS(FLAG_ZF, (a + b) % 100 == 0 ? FLAG_ZF : 0);
            rig.cpu->rip = CODE_AT + 0x20;
            reg(REG_RAX, bcd(a));
            RUN_N(2, 0x28, 0xd0, 0x2f); /* SUB AL, DL; DAS */
            IS(REG_RAX, bcd(a + 100 - b));
            IS_FLAGS(FLAG_CF, a < b ? FLAG_CF : 0);
        }
    }
}

static void test_aaa_aas(void **state)
{
    (void)state;
    begin(REAL);
    for (unsigned a = 0; a < 10; a++) {
        for (unsigned b = 0; b < 10; b++) {
            rig.cpu->rip = CODE_AT;
            reg(REG_RAX, 0x500 | a);
            reg(REG_RDX, b);
            RUN_N(2, 0x00, 0xd0, 0x37); /* ADD AL, DL; AAA */
            IS(REG_RAX, (0x5 + (a + b) / 10) << 8 | (a + b) % 10);
            IS_FLAGS(FLAG_CF | FLAG_AF, a + b > 9 ? FLAG_CF | FLAG_AF : 0);
            rig.cpu->rip = CODE_AT + 0x20;
            reg(REG_RAX, 0x500 | a);
            RUN_N(2, 0x28, 0xd0, 0x3f); /* SUB AL, DL; AAS */
            IS(REG_RAX, (a < b ? 0x4u : 0x5u) << 8 | (a + 10 - b) % 10);
            IS_FLAGS(FLAG_CF | FLAG_AF, a < b ? FLAG_CF | FLAG_AF : 0);
        }
    }
    /* the adjustment carries from AL to AH: AX + 106h, AX - 6 and AH - 1 */
    begin(REAL);
    reg(REG_RAX, 0x00fa);
    RUN(0x37);
    IS(REG_RAX, 0x0200);
    begin(REAL);
    reg(REG_RAX, 0x0302);
    flags(FLAG_AF);
    RUN(0x3f);
    IS(REG_RAX, 0x010c);
}

static void test_aam_aad(void **state)
{
    (void)state;
    begin(PROT32);
    for (unsigned v = 0; v < 100; v++) {
        rig.cpu->rip = CODE_AT;
        reg(REG_RAX, 0xffff0000 | v);
        RUN(0xd4, 0x0a);
        IS(REG_RAX, 0xffff0000 | v / 10 << 8 | v % 10);
        IS_FLAGS(FLAG_ZF, v % 10 ? 0 : FLAG_ZF);
        rig.cpu->rip = CODE_AT + 0x20;
        RUN(0xd5, 0x0a);
        IS(REG_RAX, 0xffff0000 | v);
        IS_FLAGS(FLAG_ZF, v ? 0 : FLAG_ZF);
    }
    begin(PROT32);
    reg(REG_RAX, 0x12f7);
    RUN(0xd4, 0x10);
    IS(REG_RAX, 0x0f07);
    begin(PROT32);
    reg(REG_RAX, 0x12f7);
    RUN(0xd5, 0x10);
    IS(REG_RAX, 0x17);
    begin(PROT32);
    reg(REG_RAX, 0x1234);
    RUN(0xd4, 0);
    IS_FAULT(VEC_DE, 0);
}

static void test_one_byte_forms(void **state)
{
    (void)state;
    begin(REAL); /* INC SP; DEC EDI; neither touches CF */
    flags(FLAG_CF);
    reg(REG_RSP, 0x1234ffff);
    RUN(0x44);
    IS(REG_RSP, 0x12340000);
    IS_FLAGS(OSZAPC, FLAG_CF | FLAG_ZF | FLAG_AF | FLAG_PF);
    begin(REAL);
    reg(REG_RDI, 0x80000000);
    RUN(0x66, 0x4f);
    IS(REG_RDI, 0x7fffffff);
    IS_FLAGS(OSZAPC, FLAG_OF | FLAG_AF | FLAG_PF);
    begin(REAL); /* SALC */
    flags(FLAG_CF);
    RUN(0xd6);
    IS(REG_RAX, 0xa5a500ff);
    begin(PROT32);
    RUN(0xd6);
    IS(REG_RAX, 0xa5a50000);
    begin(PROT32); /* 82h is 80h outside 64-bit mode */
    RUN(0x82, 0xc1, 0x7f);
    IS(REG_RCX, 0xa5a50180);
}

/* --- the stack --- */

static void test_push_sizes(void **state)
{
    (void)state;
    begin(REAL);
    reg(REG_RSP, 0x77770010);
    RUN(0x50);
    IS(REG_RSP, 0x7777000e);
    IS_MEM(STACK_BASE + 0xe, 0x0000, 2);
    begin(REAL); /* wraps through 0 */
    reg(REG_RSP, 0x77770000);
    reg(REG_RAX, 0x1234);
    RUN(0x50);
    IS(REG_RSP, 0x7777fffe);
    IS_MEM(STACK_BASE + 0xfffe, 0x1234, 2);
    begin(REAL); /* PUSH EAX on a 16-bit stack */
    reg(REG_RSP, 0x77770000);
    RUN(0x66, 0x50);
    IS(REG_RSP, 0x7777fffc);
    IS_MEM(STACK_BASE + 0xfffc, 0xa5a50000, 4);
    begin(CODE16_STACK32); /* ESP, though the code is 16-bit */
    reg(REG_RSP, 0x00020010);
    RUN(0x50);
    IS(REG_RSP, 0x0002000e);
    begin(CODE32_STACK16);
    reg(REG_RSP, 0x77770000);
    RUN(0x50);
    IS(REG_RSP, 0x7777fffc);
    IS_MEM(STACK_BASE + 0xfffc, 0xa5a50000, 4);
    begin(CODE32_STACK16);
    reg(REG_RSP, 0x77770002);
    RUN(0x50);
    IS_FAULT(VEC_SS, 0);
    begin(PROT16); /* across the limit: #SS(0), and nothing moved */
    reg(REG_RSP, 0x77770001);
    RUN(0x50);
    IS_FAULT(VEC_SS, 0);
    assert_int_equal(event.rsp, 0x77770001);
    begin(PROT16);
    reg(REG_RSP, 0xffff);
    RUN(0x58);
    IS_FAULT(VEC_SS, 0);
    begin(PROT32);
    reg(REG_RSP, 0x000ffffe);
    RUN(0x58);
    IS_FAULT(VEC_SS, 0);
    begin(REAL); /* POP wraps, too */
    poke(STACK_BASE + 0xfffe, 0x4321, 2);
    reg(REG_RSP, 0x7777fffe);
    RUN(0x58);
    IS(REG_RSP, 0x77770000);
    IS(REG_RAX, 0xa5a54321);
    begin(REAL); /* PUSH SP pushes what it was, POP SP gives what was there */
    RUN(0x54);
    IS_MEM(STACK_BASE + 0xffe, 0x1000, 2);
    rig.cpu->rip = CODE_AT;
    poke(STACK_BASE + 0xffe, 0x2222, 2);
    RUN(0x5c);
    IS(REG_RSP, 0x2222);
    begin(REAL); /* PUSH imm8 is sign-extended to the operand size */
    RUN(0x6a, 0x80);
    IS_MEM(STACK_BASE + 0xffe, 0xff80, 2);
    begin(REAL);
    RUN(0x66, 0x6a, 0x80);
    IS_MEM(STACK_BASE + 0xffc, 0xffffff80, 4);
}

static void test_push_segment(void **state)
{
    (void)state;
    begin(REAL);
    RUN(0x0e);
    IS(REG_RSP, 0xffe);
    IS_MEM(STACK_BASE + 0xffe, CODE_BASE >> 4, 2);
    begin(PROT32); /* two bytes of the four are written (SDM 2B "PUSH") */
    poke(STACK_BASE + 0xffc, 0xdeadbeef, 4);
    RUN(0x1e);
    IS(REG_RSP, 0xffc);
    IS_MEM(STACK_BASE + 0xffc, 0xdead0000 | S_DATA32, 4);
    begin(PROT32);
    poke(STACK_BASE + 0x1000, 0xdead0000 | S_DATA16, 4);
    RUN(0x07);
    IS(REG_RSP, 0x1004);
    assert_int_equal(rig.cpu->seg[SEG_ES].sel, S_DATA16);
    assert_int_equal(rig.cpu->seg[SEG_ES].base, DATA_BASE);
    begin(PROT32); /* AMD's write and read all four */
    rig.cpu->feat.amd = true;
    poke(STACK_BASE + 0xffc, 0xdeadbeef, 4);
    RUN(0x1e);
    IS_MEM(STACK_BASE + 0xffc, S_DATA32, 4);
    begin(PROT16);
    reg(REG_RSP, 0xfffe);
    RUN(0x66, 0x07);
    IS_FAULT(VEC_SS, 0);
    rig.cpu->feat.amd = false;
    begin(REAL);
    poke(STACK_BASE + 0x1000, 0x1234, 2);
    RUN(0x0f, 0xa9);
    assert_int_equal(rig.cpu->seg[SEG_GS].base, 0x12340);
    begin(PROT32); /* POP ES of a selector beyond the table: #GP(selector), ESP stays */
    poke(STACK_BASE + 0x1000, 0x7ffb, 2);
    RUN(0x07);
    IS_FAULT(VEC_GP, 0x7ff8);
    assert_int_equal(event.rsp, 0x1000);
}

static void test_pop_memory(void **state)
{
    (void)state;
    begin(PROT32); /* the address is computed with ESP after the pop */
    poke(STACK_BASE + 0x1000, 0x11223344, 4);
    RUN(0x36, 0x8f, 0x44, 0x24, 0x08); /* POP SS:[ESP+8] */
    IS(REG_RSP, 0x1004);
    IS_MEM(STACK_BASE + 0x100c, 0x11223344, 4);
    begin(PROT32); /* and is as it was when the store faults */
    RUN(0x8f, 0x05, 0x00, 0x00, 0x01, 0x00);
    IS_FAULT(VEC_GP, 0);
    assert_int_equal(event.rsp, 0x1000);
    begin(REAL);
    poke(STACK_BASE + 0x1000, 0x3344, 2);
    RUN(0x8f, 0x06, 0x10, 0x00);
    IS_MEM(DATA_BASE + 0x10, 0x3344, 2);
    IS(REG_RSP, 0x1002);
}

static void test_pusha_popa(void **state)
{
    (void)state;
    begin(REAL);
    reg(REG_RSP, 0x9999000a); /* the frame wraps */
    RUN(0x60);
    IS(REG_RSP, 0x9999fffa);
    static const uint16_t frame[] = {0x0707, 0x0606, 0x0505, 0x000a, 0x0303, 0x0202, 0x0101, 0};
    for (unsigned i = 0; i < 8; i++)
        IS_MEM(STACK_BASE + ((0xfffa + 2 * i) & 0xffff), frame[i], 2);
    begin(PROT32);
    RUN(0x60);
    IS(REG_RSP, 0x1000 - 32);
    IS_MEM(STACK_BASE + 0x1000 - 4, 0xa5a50000, 4);
    IS_MEM(STACK_BASE + 0x1000 - 20, 0x1000, 4);
    IS_MEM(STACK_BASE + 0x1000 - 32, 0xa5a50707, 4);
    begin(CODE32_STACK16); /* PUSHAW */
    reg(REG_RSP, 0x99991000);
    RUN(0x66, 0x60);
    IS(REG_RSP, 0x99990ff0);
    IS_MEM(STACK_BASE + 0xff6, 0x1000, 2);
    begin(PROT16); /* no room: #SS before anything is written */
    reg(REG_RSP, 0x0009);
    poke(STACK_BASE, UINT64_C(0x1111111111111111), 8);
    RUN(0x60);
    IS_FAULT(VEC_SS, 0);
    IS_MEM(STACK_BASE, UINT64_C(0x1111111111111111), 8);

    begin(REAL);
    reg(REG_RSP, 0x9999fff6);
    for (unsigned i = 0; i < 8; i++)
        poke(STACK_BASE + ((0xfff6 + 2 * i) & 0xffff), 0x1110 + i, 2);
    RUN(0x61);
    IS(REG_RDI, 0xa5a51110);
    IS(REG_RSI, 0xa5a51111);
    IS(REG_RBP, 0xa5a51112);
    IS(REG_RSP, 0x99990006);
    IS(REG_RBX, 0xa5a51114);
    IS(REG_RAX, 0xa5a51117);
    begin(PROT32);
    for (unsigned i = 0; i < 8; i++)
        poke(STACK_BASE + 0x1000 + 4 * i, 0xbeef1110 + i, 4);
    RUN(0x61);
    IS(REG_RDI, 0xbeef1110);
    IS(REG_RSP, 0x1020);
    IS(REG_RCX, 0xbeef1116);
    IS(REG_RAX, 0xbeef1117);
    begin(PROT16); /* beyond the limit: no register changed */
    reg(REG_RSP, 0xfff3);
    RUN(0x61);
    IS_FAULT(VEC_SS, 0);
    IS(REG_RDI, 0xa5a50707);
}

static void test_enter_leave(void **state)
{
    (void)state;
    begin(REAL); /* ENTER 20h, 0 */
    reg(REG_RBP, 0x33334444);
    reg(REG_RSP, 0x77771000);
    RUN(0xc8, 0x20, 0x00, 0x00);
    IS_MEM(STACK_BASE + 0xffe, 0x4444, 2);
    IS(REG_RBP, 0x33330ffe);
    IS(REG_RSP, 0x77770fde);
    begin(REAL); /* ENTER 4, 1 pushes the frame pointer, too */
    reg(REG_RBP, 0x4444);
    RUN(0xc8, 0x04, 0x00, 0x01);
    IS_MEM(STACK_BASE + 0xffe, 0x4444, 2);
    IS_MEM(STACK_BASE + 0xffc, 0x0ffe, 2);
    IS(REG_RBP, 0x0ffe);
    IS(REG_RSP, 0x0ff8);
    begin(REAL); /* ENTER 0, 3 copies two outer frame pointers */
    reg(REG_RBP, 0x2000);
    poke(STACK_BASE + 0x1ffe, 0xaaaa, 2);
    poke(STACK_BASE + 0x1ffc, 0xbbbb, 2);
    RUN(0xc8, 0x00, 0x00, 0x23); /* 23h: modulo 32 */
    IS_MEM(STACK_BASE + 0xffe, 0x2000, 2);
    IS_MEM(STACK_BASE + 0xffc, 0xaaaa, 2);
    IS_MEM(STACK_BASE + 0xffa, 0xbbbb, 2);
    IS_MEM(STACK_BASE + 0xff8, 0x0ffe, 2);
    IS(REG_RBP, 0x0ffe);
    IS(REG_RSP, 0x0ff8);
    begin(PROT32);
    reg(REG_RBP, 0x2000);
    poke(STACK_BASE + 0x1ffc, 0xaaaabbbb, 4);
    RUN(0xc8, 0x10, 0x00, 0x02);
    IS_MEM(STACK_BASE + 0xffc, 0x2000, 4);
    IS_MEM(STACK_BASE + 0xff8, 0xaaaabbbb, 4);
    IS_MEM(STACK_BASE + 0xff4, 0x0ffc, 4);
    IS(REG_RBP, 0x0ffc);
    IS(REG_RSP, 0x0fe4);
    begin(CODE16_STACK32); /* 16-bit operands, 32-bit stack: BP only */
    reg(REG_RBP, 0x00052000);
    reg(REG_RSP, 0x00011000);
    RUN(0xc8, 0x04, 0x00, 0x00);
    IS_MEM(STACK_BASE + 0x10ffe, 0x2000, 2);
    IS(REG_RBP, 0x00050ffe);
    IS(REG_RSP, 0x00010ffa);
    begin(CODE32_STACK16); /* 32-bit operands, 16-bit stack: EBP := ESP */
    reg(REG_RBP, 0x11112000);
    reg(REG_RSP, 0x77771000);
    poke(STACK_BASE + 0x1ffc, 0xaaaabbbb, 4);
    RUN(0xc8, 0x04, 0x00, 0x02);
    IS_MEM(STACK_BASE + 0xffc, 0x11112000, 4);
    IS_MEM(STACK_BASE + 0xff8, 0xaaaabbbb, 4);
    IS_MEM(STACK_BASE + 0xff4, 0x77770ffc, 4);
    IS(REG_RBP, 0x77770ffc);
    IS(REG_RSP, 0x77770ff0);
    begin(PROT16); /* the end of the frame must be writable */
    rig_descriptor(&rig, S_OTHER, STACK_BASE, 0x7ff, A_DATA | ATTR_EC); /* 800h up */
    load_sreg(SEG_SS, S_OTHER);
    cpu_loaded(rig.cpu);
    RUN(0xc8, 0x00, 0x0a, 0x00);
    IS_FAULT(VEC_SS, 0);
    assert_int_equal(event.rsp, 0x1000);
    IS(REG_RBP, 0xa5a50505);

    begin(REAL);
    reg(REG_RBP, 0x12342000);
    poke(STACK_BASE + 0x2000, 0xbeef, 2);
    RUN(0xc9);
    IS(REG_RSP, 0x2002);
    IS(REG_RBP, 0x1234beef);
    begin(CODE32_STACK16);
    reg(REG_RSP, 0x77771000);
    reg(REG_RBP, 0x1234fffc);
    poke(STACK_BASE + 0xfffc, 0xdeadbeef, 4);
    RUN(0xc9);
    IS(REG_RSP, 0x77770000);
    IS(REG_RBP, 0xdeadbeef);
    begin(CODE16_STACK32);
    reg(REG_RBP, 0x00012000);
    poke(STACK_BASE + 0x12000, 0xbeef, 2);
    RUN(0xc9);
    IS(REG_RSP, 0x00012002);
    IS(REG_RBP, 0x0001beef);
}

static void test_calls(void **state)
{
    (void)state;
    begin(REAL);
    RUN(0xe8, 0x10, 0x00);
    IS_IP(CODE_AT + 0x13);
    IS_MEM(STACK_BASE + 0xffe, CODE_AT + 3, 2);
    begin(REAL); /* IP wraps */
    RUN(0xe8, 0x00, 0xff);
    IS_IP(0x0003);
    begin(REAL); /* backwards through 0 */
    RUN(0xeb, 0x80);
    IS_IP(0x82);
    begin(REAL);
    rig.cpu->rip = 0x10;
    RUN(0xeb, 0x80);
    IS_IP(0xff92);
    begin(PROT32); /* with 66 the target is 16 bits wide */
    rig.cpu->rip = 0x12340;
    RUN(0x66, 0xe9, 0x00, 0x00);
    IS_IP(0x2344);
    begin(PROT32);
    RUN(0xe8, 0x00, 0x10, 0x00, 0x00);
    IS_IP(CODE_AT + 0x1005);
    IS(REG_RSP, 0xffc);
    IS_MEM(STACK_BASE + 0xffc, CODE_AT + 5, 4);
    begin(PROT32); /* beyond the limit: #GP on the branch, nothing pushed */
    RUN(0xe8, 0x00, 0x00, 0x10, 0x00);
    IS_FAULT(VEC_GP, 0);
    assert_int_equal(event.rsp, 0x1000);
    begin(PROT32);
    RUN(0xe9, 0x00, 0x00, 0x10, 0x00);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32); /* LOOP counts only if it may branch */
    reg(REG_RCX, 5);
    rig.cpu->rip = 0x10;
    RUN(0xe2, 0x80);
    assert_int_equal(event.vector, VEC_GP);
    IS(REG_RCX, 5);
    begin(REAL);
    poke(STACK_BASE + 0x1000, 0x4567, 2);
    RUN(0xc2, 0x08, 0x00);
    IS_IP(0x4567);
    IS(REG_RSP, 0x100a);
    begin(REAL); /* RET of 32 bits to beyond the limit */
    poke(STACK_BASE + 0x1000, 0x14567, 4);
    RUN(0x66, 0xc3);
    IS_FAULT(VEC_GP, 0);
    begin(CODE32_STACK16);
    reg(REG_RSP, 0x7777fffc);
    poke(STACK_BASE + 0xfffc, 0x4567, 4);
    RUN(0xc3);
    IS_IP(0x4567);
    IS(REG_RSP, 0x77770000);
    begin(REAL); /* CALL [BX] */
    reg(REG_RBX, 0x20);
    poke(DATA_BASE + 0x20, 0x1111, 2);
    RUN(0xff, 0x17);
    IS_IP(0x1111);
    begin(REAL); /* JMP ECX, 32 bits */
    reg(REG_RCX, 0x2222);
    RUN(0x66, 0xff, 0xe1);
    IS_IP(0x2222);
}

static void test_far_real(void **state)
{
    (void)state;
    begin(REAL);
    RUN(0x9a, 0x34, 0x12, 0x00, 0x20);
    IS_IP(0x1234);
    assert_int_equal(rig.cpu->seg[SEG_CS].base, 0x20000);
    IS_MEM(STACK_BASE + 0xffc, (CODE_BASE >> 4) << 16 | (CODE_AT + 5), 4);
    begin(REAL);
    poke(STACK_BASE + 0x1000, 0x20001234, 4);
    RUN(0xca, 0x04, 0x00);
    IS_IP(0x1234);
    assert_int_equal(rig.cpu->seg[SEG_CS].sel, 0x2000);
    IS(REG_RSP, 0x1008);
    begin(REAL);
    reg(REG_RBX, 0x30);
    poke(DATA_BASE + 0x30, 0x30004321, 4);
    RUN(0xff, 0x2f);
    IS_IP(0x4321);
    assert_int_equal(rig.cpu->seg[SEG_CS].sel, 0x3000);
    begin(REAL); /* INT 21h and back */
    flags(FLAG_IF | FLAG_CF);
    RUN(0xcd, 0x21);
    assert_int_equal(event.vector, 0x21);
    assert_int_equal(event.rip, CODE_AT + 2);
    assert_int_equal(event.rflags, FLAG_IF | FLAG_CF | FLAG_1);
    IS_FLAGS(FLAG_IF, 0);
    rig.cpu->rip = CODE_AT + 0x40;
    rig.cpu->seg[SEG_CS].sel = CODE_BASE >> 4;
    rig.cpu->seg[SEG_CS].base = CODE_BASE;
    cpu_update_mode(rig.cpu);
    RUN(0xcf);
    IS_IP(CODE_AT + 2);
    IS_FLAGS(FLAG_IF | FLAG_CF, FLAG_IF | FLAG_CF);
    IS(REG_RSP, 0x1000);
    begin(REAL);
    RUN(0xce);
    IS_IP(CODE_AT + 1);
    begin(REAL);
    flags(FLAG_OF);
    RUN(0xce);
    assert_int_equal(event.vector, VEC_OF);
    assert_int_equal(event.rip, CODE_AT + 1);
    begin(REAL); /* POPF and PUSHF of 16 bits */
    poke(STACK_BASE + 0x1000, 0xffff, 2);
    RUN(0x9d);
    IS_FLAGS(0xffffffff, 0x7fd7);
    begin(REAL);
    flags(FLAG_CF | FLAG_IOPL);
    RUN(0x9c);
    IS_MEM(STACK_BASE + 0xffe, 0x3003, 2);
}

/* --- addresses --- */

static void test_address16(void **state)
{
    (void)state;
    /* every form but the plain displacement, with mod 0, 1, 2; offsets wrap at 64 KiB */
    static const struct {
        uint16_t at[3]; /* with no displacement, 80h, 8001h */
        bool stack;
    } form[8] = {
        {{0x1010 + 0x2020, 0x1010 + 0x2020 - 0x80, 0x1010 + 0x2020 + 0x8001}, false}, /* BX+SI */
        {{0x0100, 0x0080, 0x8101}, false},                                            /* BX+DI */
        {{0x4040 + 0x2020, 0x4040 + 0x2020 - 0x80, 0x4040 + 0x2020 + 0x8001}, true},  /* BP+SI */
        {{0x4040 - 0xf10 + 0, 0x4040 - 0xf10 - 0x80, 0x4040 - 0xf10 + 0x8001}, true}, /* BP+DI */
        {{0x2020, 0x2020 - 0x80, 0x2020 + 0x8001}, false},
        {{0xf0f0, 0xf0f0 - 0x80, 0xf0f0 - 0x7fff}, false},
        {{0, 0x4040 - 0x80, 0x4040 + 0x8001}, true},
        {{0x1010, 0x1010 - 0x80, 0x1010 + 0x8001}, false},
    };
    for (unsigned rm = 0; rm < 8; rm++) {
        for (unsigned mod = 0; mod < 3; mod++) {
            if (mod == 0 && rm == 6)
                continue;
            begin(REAL);
            reg(REG_RBX, 0xffff1010);
            reg(REG_RSI, 0xffff2020);
            reg(REG_RDI, 0xfffff0f0);
            reg(REG_RBP, 0xffff4040);
            const uint16_t at = form[rm].at[mod];
            const gpa_t base = form[rm].stack ? STACK_BASE : DATA_BASE;
            poke(base + at, 0x5a, 1);
            RUN(0x8a, (uint8_t)(mod << 6 | 1 << 3 | rm), mod == 1 ? 0x80 : 0x01, 0x80);
            NO_FAULT();
            IS(REG_RCX, 0xa5a5015a);
            /* LEA gives the same offset; the operand size decides how much is written */
            rig.cpu->rip = CODE_AT;
            RUN(0x8d, (uint8_t)(mod << 6 | 1 << 3 | rm), mod == 1 ? 0x80 : 0x01, 0x80);
            IS(REG_RCX, 0xa5a50000 | at);
            rig.cpu->rip = CODE_AT;
            RUN(0x66, 0x8d, (uint8_t)(mod << 6 | 1 << 3 | rm), mod == 1 ? 0x80 : 0x01, 0x80);
            IS(REG_RCX, at);
        }
    }
    begin(REAL);
    poke(DATA_BASE + 0x8765, 0x1234, 2);
    RUN(0x8b, 0x0e, 0x65, 0x87);
    IS(REG_RCX, 0xa5a51234);
    begin(REAL); /* MOV AX, moffs; with ES */
    poke(EXTRA_BASE + 0x8765, 0x1234, 2);
    RUN(0x26, 0xa1, 0x65, 0x87);
    IS(REG_RAX, 0xa5a51234);
    begin(REAL); /* 32-bit addresses in 16-bit code */
    reg(REG_RBX, 0x100);
    reg(REG_RCX, 0x20);
    poke(DATA_BASE + 0x100 + 0x20 * 4 + 7, 0x77, 1);
    RUN(0x67, 0x8a, 0x44, 0x8b, 0x07);
    IS(REG_RAX, 0xa5a50077);
    begin(REAL); /* ... which do not wrap, but end at the limit */
    reg(REG_RBX, 0x10000);
    RUN(0x67, 0x8a, 0x03);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32); /* 16-bit addresses in 32-bit code */
    reg(REG_RBX, 0xfffffff0);
    reg(REG_RSI, 0x20);
    poke(DATA_BASE + 0x10, 0x99, 1);
    RUN(0x67, 0x8a, 0x00);
    IS(REG_RAX, 0xa5a50099);
    begin(PROT32); /* MOV AL, [disp16] */
    poke(DATA_BASE + 0x1234, 0x42, 1);
    RUN(0x67, 0xa0, 0x34, 0x12);
    IS(REG_RAX, 0xa5a50042);
    begin(PROT32); /* EBP and ESP as bases mean SS, as an index EBP does not */
    reg(REG_RBP, 0x200);
    poke(STACK_BASE + 0x200, 0x11, 1);
    poke(DATA_BASE + 0x200, 0x22, 1);
    RUN(0x8a, 0x45, 0x00);
    IS(REG_RAX, 0xa5a50011);
    rig.cpu->rip = CODE_AT;
    RUN(0x8a, 0x04, 0x2d, 0x00, 0x00, 0x00, 0x00);
    IS(REG_RAX, 0xa5a50022);
    begin(REAL); /* XLAT wraps at 64 KiB */
    reg(REG_RBX, 0xfff0);
    reg(REG_RAX, 0x20);
    poke(DATA_BASE + 0x10, 0x66, 1);
    RUN(0xd7);
    IS(REG_RAX, 0x66);
    begin(REAL); /* BT reaches beyond the operand, and wraps */
    reg(REG_RBX, 0x0000);
    reg(REG_RCX, 0xfff7); /* -9: bit 7 of the word at -2 */
    poke(DATA_BASE + 0xfffe, 0x80, 2);
    RUN(0x0f, 0xa3, 0x0f);
    IS_FLAGS(FLAG_CF, FLAG_CF);
}

static void test_limits(void **state)
{
    (void)state;
    begin(REAL); /* across the end of the segment: #GP, through BP #SS */
    RUN(0xa1, 0xff, 0xff);
    IS_FAULT(VEC_GP, 0);
    begin(REAL);
    RUN(0xa1, 0xfe, 0xff);
    NO_FAULT();
    begin(REAL);
    RUN(0x66, 0xa1, 0xfd, 0xff);
    IS_FAULT(VEC_GP, 0);
    begin(REAL);
    reg(REG_RBP, 0xffff);
    RUN(0x8b, 0x46, 0x00);
    IS_FAULT(VEC_SS, 0);
    begin(REAL);
    reg(REG_RBP, 0xffff);
    RUN(0x8a, 0x46, 0x00);
    NO_FAULT();

    static const struct {
        uint32_t limit, attr; /* of DS */
        uint32_t at;
        uint8_t opcode; /* A0: AL := byte, A1: EAX := dword, A2 and A3: stores */
        bool ok;
    } cases[] = {
        {0x0fff, A_DATA, 0x0fff, 0xa0, true},
        {0x0fff, A_DATA, 0x1000, 0xa0, false},
        {0x0fff, A_DATA, 0x0ffc, 0xa1, true},
        {0x0fff, A_DATA, 0x0ffd, 0xa1, false},
        {0x0fff, A_DATA, 0xfffffffd, 0xa1, false},
        {0x0fff, A_DATA, 0xffffffff, 0xa0, false},
        {0xffffffff, A_DATA | ATTR_G, 0xffffffff, 0xa0, true},
        {0xffffffff, A_DATA | ATTR_G, 0xfffffffd, 0xa1, false},
        /* expand-down: what lies above the limit, up to 64 KiB or 4 GiB */
        {0x0fff, A_DATA | ATTR_EC, 0x0fff, 0xa0, false},
        {0x0fff, A_DATA | ATTR_EC, 0x1000, 0xa0, true},
        {0x0fff, A_DATA | ATTR_EC, 0x0ffe, 0xa1, false},
        {0x0fff, A_DATA | ATTR_EC, 0xfffc, 0xa1, true},
        {0x0fff, A_DATA | ATTR_EC, 0xfffd, 0xa1, false},
        {0x0fff, A_DATA | ATTR_EC, 0x10000, 0xa0, false},
        {0x0fff, A_DATA | ATTR_EC | ATTR_DB, 0x10000, 0xa0, true},
        {0x0fff, A_DATA | ATTR_EC | ATTR_DB, 0xfffffffc, 0xa1, true},
        {0x0fff, A_DATA | ATTR_EC | ATTR_DB, 0xfffffffd, 0xa1, false},
        {0xffffffff, A_DATA | ATTR_EC | ATTR_DB | ATTR_G, 0x1000, 0xa0, false},
        {0xffff, A_DATA | ATTR_EC, 0x1000, 0xa0, false},
        /* rights */
        {0xffff, A_DATA, 0x10, 0xa2, true},
        {0xffff, A_DATA & ~ATTR_RW, 0x10, 0xa2, false},
        {0xffff, A_DATA & ~ATTR_RW, 0x10, 0xa3, false},
        {0xffff, A_DATA & ~ATTR_RW, 0x10, 0xa0, true},
        {0xffff, A_CODE, 0x10, 0xa0, true},
        {0xffff, A_CODE, 0x10, 0xa2, false},
        {0xffff, A_CODE & ~ATTR_RW, 0x10, 0xa0, false},
        {0xffff, A_CODE & ~ATTR_RW, 0x10, 0xa2, false},
        /* a conforming code segment's bit 2 is not expand-down */
        {0x0fff, A_CODE | ATTR_EC, 0x10, 0xa0, true},
        {0x0fff, A_CODE | ATTR_EC, 0x1000, 0xa0, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(PROT32);
        /* with a base that wraps what lies high down into RAM */
        rig_descriptor(&rig, S_OTHER, DATA_BASE, cases[i].limit, cases[i].attr);
        load_sreg(SEG_DS, S_OTHER);
        cpu_loaded(rig.cpu);
        const uint32_t at = cases[i].at;
        RUN(cases[i].opcode, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16),
            (uint8_t)(at >> 24));
        if (cases[i].ok)
            IS_IP(CODE_AT + 5);
        else
            IS_FAULT(VEC_GP, 0);
    }
    begin(PROT32); /* null */
    load_sreg(SEG_DS, 0);
    cpu_loaded(rig.cpu);
    RUN(0xa0, 0, 0, 0, 0);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32); /* read-modify-write of what may only be read */
    rig_descriptor(&rig, S_OTHER, DATA_BASE, 0xffff, A_DATA & ~ATTR_RW);
    load_sreg(SEG_DS, S_OTHER);
    cpu_loaded(rig.cpu);
    RUN(0xff, 0x05, 0, 0, 0, 0);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32);
    rig_descriptor(&rig, S_OTHER, DATA_BASE, 0xffff, A_DATA & ~ATTR_RW);
    load_sreg(SEG_DS, S_OTHER);
    cpu_loaded(rig.cpu);
    RUN(0x3b, 0x05, 0, 0, 0, 0);
    NO_FAULT();
    begin(PROT32); /* an expand-down stack */
    rig_descriptor(&rig, S_OTHER, STACK_BASE, 0x0fff, A_DATA | ATTR_EC | ATTR_DB);
    load_sreg(SEG_SS, S_OTHER);
    cpu_loaded(rig.cpu);
    reg(REG_RSP, 0x1004);
    RUN_N(2, 0x50, 0x50);
    assert_int_equal(event.vector, VEC_SS);
    assert_int_equal(event.rip, CODE_AT + 1);
    assert_int_equal(event.rsp, 0x1000);
}

/* Instructions at the end of the code segment. */
static void test_code_end(void **state)
{
    (void)state;
    begin(REAL);
    rig.cpu->rip = 0xffff;
    RUN(0x90);
    assert_int_equal(rig.cpu->rip, 0x10000);
    rig_run(&rig, 1); /* the next one lies beyond the limit */
    event = rig_event(&rig);
    assert_int_equal(event.vector, VEC_GP);
    begin(REAL); /* one that crosses it */
    rig.cpu->rip = 0xfffe;
    RUN(0xb8, 0x34, 0x12);
    assert_int_equal(event.vector, VEC_GP);
    assert_int_equal(event.rip, 0xfffe);
    begin(REAL);
    rig.cpu->rip = 0xfffd;
    RUN(0xb8, 0x34, 0x12);
    NO_FAULT();
    IS(REG_RAX, 0xa5a51234);
    begin(REAL); /* a jump at the end, back */
    rig.cpu->rip = 0xfffe;
    RUN(0xeb, 0x10);
    IS_IP(0x10);
    begin(PROT32); /* a limit within a page, in the middle of a straight run */
    rig_descriptor(&rig, S_OTHER, CODE_BASE, CODE_AT + 2, A_CODE | ATTR_DB);
    load_sreg(SEG_CS, S_OTHER);
    cpu_loaded(rig.cpu);
    RUN_N(5, 0x40, 0x40, 0x40, 0x40, 0x40);
    assert_int_equal(event.vector, VEC_GP);
    assert_int_equal(event.rip, CODE_AT + 3);
    IS(REG_RAX, 0xa5a50003);
    /* the same bytes under a longer limit */
    begin(PROT32);
    RUN_N(5, 0x40, 0x40, 0x40, 0x40, 0x40);
    NO_FAULT();
    IS(REG_RAX, 0xa5a50005);
    begin(PROT32); /* 16 bytes: too long */
    RUN(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
        0x90);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32);
    RUN(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90);
    NO_FAULT();
}

/* --- strings --- */

static void test_strings16(void **state)
{
    (void)state;
    begin(REAL); /* SI and DI wrap; the upper halves stay */
    reg(REG_RSI, 0x1111ffff);
    reg(REG_RDI, 0x2222ffff);
    reg(REG_RCX, 0x33330003);
    poke(DATA_BASE + 0xffff, 0xaa, 1);
    poke(DATA_BASE, 0xccbb, 2);
    RUN_N(3, 0xf3, 0xa4);
    IS_IP(CODE_AT + 2);
    IS(REG_RSI, 0x11110002);
    IS(REG_RDI, 0x22220002);
    IS(REG_RCX, 0x33330000);
    IS_MEM(EXTRA_BASE + 0xffff, 0xaa, 1);
    IS_MEM(EXTRA_BASE, 0xccbb, 2);
    begin(REAL); /* CX = 0, whatever ECX is */
    reg(REG_RCX, 0x12340000);
    RUN(0xf3, 0xa4);
    IS_IP(CODE_AT + 2);
    IS(REG_RCX, 0x12340000);
    begin(REAL); /* backwards through 0 */
    flags(FLAG_DF);
    reg(REG_RSI, 0x0002);
    reg(REG_RDI, 0x0002);
    reg(REG_RCX, 3);
    poke(DATA_BASE, 0x11112222, 4);
    poke(DATA_BASE + 0xfffe, 0x3333, 2);
    RUN_N(3, 0xf3, 0xa5);
    IS(REG_RSI, 0xfffc);
    IS(REG_RDI, 0xfffc);
    IS_MEM(EXTRA_BASE, 0x11112222, 4);
    IS_MEM(EXTRA_BASE + 0xfffe, 0x3333, 2);
    begin(REAL); /* a word across the limit, in the middle of it all */
    reg(REG_RSI, 0xfffb);
    reg(REG_RDI, 0x0010);
    reg(REG_RCX, 5);
    RUN_N(5, 0xf3, 0xa5);
    IS_FAULT(VEC_GP, 0);
    IS(REG_RSI, 0xffff);
    IS(REG_RDI, 0x0014);
    IS(REG_RCX, 3);
    begin(REAL); /* 32-bit counts and addresses with 67 */
    reg(REG_RSI, 0x10);
    reg(REG_RDI, 0x20);
    reg(REG_RCX, 0x10000);
    RUN_N(2, 0x67, 0xf3, 0xa4);
    IS(REG_RCX, 0xfffe);
    IS(REG_RSI, 0x12);
    begin(REAL); /* STOSD, LODSW from CS, SCASB, CMPSW */
    reg(REG_RDI, 0x2222fffc);
    RUN(0x66, 0xab);
    IS_MEM(EXTRA_BASE + 0xfffc, 0xa5a50000, 4);
    IS(REG_RDI, 0x22220000);
    begin(REAL);
    reg(REG_RSI, CODE_AT);
    RUN(0x2e, 0xad);
    IS(REG_RAX, 0xa5a5ad2e);
    begin(REAL);
    reg(REG_RAX, 0x42);
    reg(REG_RDI, 0xfffe);
    reg(REG_RCX, 0x10);
    poke(EXTRA_BASE + 1, 0x42, 1);
    RUN_N(4, 0xf2, 0xae);
    IS_IP(CODE_AT + 2);
    IS(REG_RDI, 2);
    IS(REG_RCX, 0xc);
    IS_FLAGS(FLAG_ZF, FLAG_ZF);
    begin(REAL);
    reg(REG_RSI, 0x100);
    reg(REG_RDI, 0x200);
    reg(REG_RCX, 0x10);
    poke(DATA_BASE + 0x104, 1, 1);
    RUN_N(3, 0xf3, 0xa7);
    IS_IP(CODE_AT + 2);
    IS(REG_RCX, 0xd);
    IS_FLAGS(FLAG_ZF | FLAG_CF, 0);
    begin(PROT16); /* ES cannot be overridden and must be writable */
    rig_descriptor(&rig, S_OTHER, EXTRA_BASE, 0xffff, A_DATA & ~ATTR_RW);
    load_sreg(SEG_ES, S_OTHER);
    cpu_loaded(rig.cpu);
    RUN(0x3e, 0xaa);
    IS_FAULT(VEC_GP, 0);
    begin(REAL); /* a long run over several pages */
    reg(REG_RSI, 0x0123);
    reg(REG_RDI, 0x4321);
    reg(REG_RCX, 0x3000);
    for (unsigned i = 0; i < 0x3000; i++)
        poke(DATA_BASE + 0x123 + i, i * 7, 1);
    RUN_N(0x3000, 0xf3, 0xa4);
    IS_IP(CODE_AT + 2);
    assert_memory_equal(rig_at(&rig, DATA_BASE + 0x123), rig_at(&rig, EXTRA_BASE + 0x4321), 0x3000);
    IS(REG_RCX, 0);
}

static void test_loops(void **state)
{
    (void)state;
    begin(REAL);
    reg(REG_RCX, 0xffff0001);
    RUN(0xe2, 0x10);
    IS_IP(CODE_AT + 2);
    IS(REG_RCX, 0xffff0000);
    begin(REAL);
    reg(REG_RCX, 0xffff0000);
    RUN(0xe2, 0x10);
    IS_IP(CODE_AT + 0x12);
    IS(REG_RCX, 0xffffffff);
    begin(REAL); /* ECX with 67 */
    reg(REG_RCX, 0x00010000);
    RUN(0x67, 0xe2, 0x10);
    IS_IP(CODE_AT + 0x13);
    IS(REG_RCX, 0xffff);
    begin(REAL);
    reg(REG_RCX, 0xffff0000);
    RUN(0xe3, 0x10);
    IS_IP(CODE_AT + 0x12);
    begin(REAL);
    reg(REG_RCX, 0xffff0000);
    RUN(0x67, 0xe3, 0x10);
    IS_IP(CODE_AT + 3);
    begin(REAL);
    reg(REG_RCX, 2);
    flags(FLAG_ZF);
    RUN(0xe0, 0x10);
    IS_IP(CODE_AT + 2);
    IS(REG_RCX, 1);
}

/* --- the rest --- */

static void test_bound(void **state)
{
    (void)state;
    static const struct {
        int16_t v, low, high;
        bool ok;
    } cases[] = {{5, 0, 5, true},
                 {0, 0, 5, true},
                 {6, 0, 5, false},
                 {-1, 0, 5, false},
                 {-3, -4, -2, true},
                 {-5, -4, -2, false},
                 {-32768, -32768, 32767, true},
                 {1, 5, 0, false}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        begin(PROT16);
        reg(REG_RBX, 0x77770000 | (uint16_t)cases[i].v);
        poke(DATA_BASE + 0x40, (uint16_t)cases[i].low | (uint32_t)(uint16_t)cases[i].high << 16, 4);
        RUN(0x62, 0x1e, 0x40, 0x00);
        if (cases[i].ok)
            IS_IP(CODE_AT + 4);
        else
            IS_FAULT(VEC_BR, 0);
    }
    begin(PROT32);
    reg(REG_RBX, 0x12345678);
    poke(DATA_BASE + 0x40, UINT64_C(0x1234567812345678), 8);
    RUN(0x62, 0x1d, 0x40, 0, 0, 0);
    IS_IP(CODE_AT + 6);
    begin(PROT32);
    RUN(0x62, 0xc0); /* a register: #UD (EVEX is not here yet) */
    IS_FAULT(VEC_UD, 0);
}

static void test_load_pointers(void **state)
{
    (void)state;
    begin(REAL);
    poke(DATA_BASE + 0x10, 0x45671234, 4);
    RUN(0xc4, 0x1e, 0x10, 0x00);
    IS(REG_RBX, 0xa5a51234);
    assert_int_equal(rig.cpu->seg[SEG_ES].sel, 0x4567);
    assert_int_equal(rig.cpu->seg[SEG_ES].base, 0x45670);
    begin(REAL); /* LDS changes DS after it was used */
    poke(DATA_BASE + 0x10, UINT64_C(0x456712345678), 6);
    RUN(0x66, 0xc5, 0x36, 0x10, 0x00);
    IS(REG_RSI, 0x12345678);
    assert_int_equal(rig.cpu->seg[SEG_DS].sel, 0x4567);
    begin(REAL);
    poke(DATA_BASE + 0x10, 0x00201000, 4);
    RUN(0x0f, 0xb2, 0x26, 0x10, 0x00); /* LSS SP */
    IS(REG_RSP, 0x1000);
    assert_int_equal(rig.cpu->seg[SEG_SS].base, 0x200);
    begin(PROT32);
    poke(DATA_BASE + 0x10, (uint64_t)S_EXTRA16 << 32 | 0x11112222, 6);
    RUN(0x0f, 0xb4, 0x05, 0x10, 0, 0, 0); /* LFS EAX */
    IS(REG_RAX, 0x11112222);
    assert_int_equal(rig.cpu->seg[SEG_FS].base, EXTRA_BASE);
    begin(PROT32); /* a bad selector: the register keeps its value */
    poke(DATA_BASE + 0x10, UINT64_C(0x7ff300000000) | 0x11112222, 6);
    RUN(0xc4, 0x05, 0x10, 0, 0, 0);
    IS_FAULT(VEC_GP, 0x7ff0);
    IS(REG_RAX, 0xa5a50000);
    begin(PROT32); /* a null one is fine, but for SS */
    poke(DATA_BASE + 0x10, 0x11112222, 6);
    RUN(0xc4, 0x05, 0x10, 0, 0, 0);
    NO_FAULT();
    assert_true(rig.cpu->seg[SEG_ES].attr & ATTR_NULL);
    begin(PROT32);
    poke(DATA_BASE + 0x10, 0x11112222, 6);
    RUN(0x0f, 0xb2, 0x05, 0x10, 0, 0, 0);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32); /* across the limit */
    RUN(0xc4, 0x05, 0xfb, 0xff, 0, 0);
    IS_FAULT(VEC_GP, 0);
    begin(PROT32);
    RUN(0xc4, 0x05, 0xfa, 0xff, 0, 0);
    NO_FAULT();
}

static void test_segment_moves(void **state)
{
    (void)state;
    begin(REAL);
    reg(REG_RAX, 0x1111abcd);
    RUN(0x8e, 0xd8);
    assert_int_equal(rig.cpu->seg[SEG_DS].base, 0xabcd0);
    assert_int_equal(rig.cpu->seg[SEG_DS].limit, 0xffff);
    begin(REAL);
    RUN(0x8c, 0xc9); /* MOV CX, CS: the upper half stays */
    IS(REG_RCX, 0xa5a50000 | CODE_BASE >> 4);
    begin(PROT32);
    RUN(0x8c, 0xd9); /* MOV ECX, DS: it does not */
    IS(REG_RCX, S_DATA32);
    begin(PROT32);
    poke(DATA_BASE + 0x10, 0xdeadbeef, 4);
    RUN(0x8c, 0x1d, 0x10, 0, 0, 0);
    IS_MEM(DATA_BASE + 0x10, 0xdead0000 | S_DATA32, 4);
    begin(PROT32); /* ARPL */
    reg(REG_RCX, 0xffff0010);
    reg(REG_RDX, 0x3);
    RUN(0x63, 0xd1);
    IS(REG_RCX, 0xffff0013);
    IS_FLAGS(FLAG_ZF, FLAG_ZF);
    begin(REAL);
    RUN(0x63, 0xd1);
    IS_FAULT(VEC_UD, 0);
    begin(PROT32); /* VERW of read-only data; LSL with pages */
    rig_descriptor(&rig, S_OTHER, 0, 0x12345fff, (A_DATA & ~ATTR_RW) | ATTR_G);
    reg(REG_RAX, S_OTHER);
    flags(FLAG_ZF);
    RUN(0x0f, 0x00, 0xe8);
    IS_FLAGS(FLAG_ZF, 0);
    rig.cpu->rip = CODE_AT;
    RUN(0x0f, 0x00, 0xe0);
    IS_FLAGS(FLAG_ZF, FLAG_ZF);
    rig.cpu->rip = CODE_AT;
    RUN(0x0f, 0x03, 0xc8);
    IS(REG_RCX, 0x12345fff);
    rig.cpu->rip = CODE_AT;
    RUN(0x0f, 0x02, 0xc8);
    IS(REG_RCX, (((A_DATA & ~ATTR_RW) | ATTR_G) << 8 & 0xf0ff00));
    rig.cpu->rip = CODE_AT;
    reg(REG_RAX, SEL_CODE32); /* not for CPL 3 */
    RUN(0x0f, 0x03, 0xc8);
    IS_FLAGS(FLAG_ZF, 0);
}

/* Linear addresses of IA-32e compatibility mode have 32 bits (SDM 3A §3.4). */
static void test_four_gib(void **state)
{
    (void)state;
    static const uint8_t load[] = {0x65, 0xa1, 0xfe, 0xef, 0xff, 0xff}; /* mov eax, gs:[ffffeffe] */
    static const uint8_t store[] = {0x65, 0xa3, 0xfe, 0xef, 0xff, 0xff};
    const gpa_t top = 0x210000;
    rig_long(&rig, SEL_CODE32, SEL_DATA);
    rig_map(&rig, 0xfffff000, top, RIG_P | RIG_W);
    cpu_loaded(rig.cpu);
    rig.cpu->seg[SEG_GS].base = 0x1000;
    poke(top + 0xffe, 0x1122, 2);
    poke(0, 0x3344, 2);
    rig.cpu->rip = 0x50000;
    run_bytes(load, sizeof load, 1);
    NO_FAULT();
    IS(REG_RAX, 0x33441122);
    reg(REG_RAX, 0x55667788);
    run_bytes(store, sizeof store, 1);
    NO_FAULT();
    IS_MEM(top + 0xffe, 0x7788, 2);
    IS_MEM(0, 0x5566, 2);
}

/* 64-bit forms that do not exist here, the reverse, and operands of 32 bits in code of any size. */
static void test_modes(void **state)
{
    (void)state;
    begin(PROT32);
    RUN(0x48); /* DEC EAX, not REX */
    IS(REG_RAX, 0xa5a4ffff);
    begin(PROT32);
    RUN(0x0f, 0x05); /* SYSCALL outside 64-bit mode: Intel's #UD */
    IS_FAULT(VEC_UD, 0);
    begin(PROT32);
    RUN(0xc4, 0xc0); /* LES of a register: VEX in waiting, #UD */
    IS_FAULT(VEC_UD, 0);
    begin(REAL);
    RUN(0x0f, 0x00, 0xc0); /* SLDT in real mode */
    IS_FAULT(VEC_UD, 0);
    begin(PROT16); /* 66h of ADCX is no operand size, and without it ADOX has none of 16 bits */
    rig.cpu->r[REG_RCX] = 0xffffffff;
    rig.cpu->r[REG_RDX] = 2;
    RUN(0x66, 0x0f, 0x38, 0xf6, 0xca);
    IS(REG_RCX, 1);
    begin(PROT16);
    rig.cpu->r[REG_RCX] = 0xffff;
    rig.cpu->r[REG_RDX] = 1;
    RUN(0xf3, 0x0f, 0x38, 0xf6, 0xca);
    IS(REG_RCX, 0x10000);
    begin(PROT16); /* MOVDIRI has 32 bits as well ... */
    rig.cpu->r[REG_RCX] = 0xaabbccdd;
    rig.cpu->r[REG_RBX] = 0x800;
    RUN(0x0f, 0x38, 0xf9, 0x0f);
    IS_MEM(DATA_BASE + 0x800, 0xaabbccdd, 4);
    begin(PROT16); /* ... and RDPID */
    rig.cpu->r[REG_RCX] = 0x11111111;
    rig.cpu->msr_tsc_aux = 5;
    RUN(0xf3, 0x0f, 0xc7, 0xf9);
    IS(REG_RCX, 5);
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    static const uint8_t invalid[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27,
                                      0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x82, 0x9a,
                                      0xc4, 0xc5, 0xce, 0xd4, 0xd5, 0xd6, 0xea};
    for (unsigned i = 0; i < ARRAY_SIZE(invalid); i++) {
        rig_long(&rig, SEL_CODE64, SEL_DATA);
        rig.cpu->r[REG_RSP] = RIG_STACK0;
        rig.cpu->rip = 0x50000;
        rig_put(&rig, 0x50000, &invalid[i], 1);
        rig_run(&rig, 1);
        event = rig_event(&rig);
        assert_int_equal(event.vector, VEC_UD);
        assert_int_equal(event.rip, 0x50000);
    }
}

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daa_das),       cmocka_unit_test(test_aaa_aas),
        cmocka_unit_test(test_aam_aad),       cmocka_unit_test(test_one_byte_forms),
        cmocka_unit_test(test_push_sizes),    cmocka_unit_test(test_push_segment),
        cmocka_unit_test(test_pop_memory),    cmocka_unit_test(test_pusha_popa),
        cmocka_unit_test(test_enter_leave),   cmocka_unit_test(test_calls),
        cmocka_unit_test(test_far_real),      cmocka_unit_test(test_address16),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_code_end),
        cmocka_unit_test(test_strings16),     cmocka_unit_test(test_loops),
        cmocka_unit_test(test_bound),         cmocka_unit_test(test_load_pointers),
        cmocka_unit_test(test_segment_moves), cmocka_unit_test(test_modes),
        cmocka_unit_test(test_four_gib),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
