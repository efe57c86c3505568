/*
 * #AC: which operands are checked, whose privilege, and what comes before it. SDM 3A §6.15
 * "Interrupt 17 - Alignment Check Exception (#AC)", table 6-7; the order of exceptions is table
 * 6-2.
 */
#include "insn_rig.h"

#define CODE UINT64_C(0x400000)
#define DATA UINT64_C(0x500000)

static struct rig rig;

/* Runs one instruction with RBX at address and EFLAGS.AC set; the exception's vector, or -1. */
static int run(const uint8_t *bytes, unsigned len, uint64_t address)
{
    struct cpu *cpu = rig.cpu;
    rig_user64(&rig);
    rig_put(&rig, RIG_FREE, bytes, len);
    cpu->fpu = (struct fpu){.cw = 0x37f};
    cpu->r[REG_RBX] = address;
    cpu->rip = CODE;
    cpu_set_rflags(cpu, FLAG_1 | FLAG_IF | FLAG_AC);
    rig_run(&rig, 1);
    return rig_event(&rig).vector;
}
#define RUN(address, ...) \
    run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), address)

static int setup(void **state)
{
    (void)state;
    rig_open(&rig);
    rig_long_user(&rig);
    rig.cpu->cr4 |= CR4_OSXSAVE;
    rig.cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    rig_map(&rig, CODE, RIG_FREE, RIG_P | RIG_U);
    rig_map(&rig, DATA, RIG_FREE + PAGE_SIZE, RIG_P | RIG_U | RIG_W);
    return 0;
}
static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(RUN(DATA + 1, 0x8a, 0x03), -1);           /* MOV AL, [RBX] */
    assert_int_equal(RUN(DATA + 1, 0x66, 0x8b, 0x03), VEC_AC); /* AX */
    assert_int_equal(RUN(DATA + 2, 0x66, 0x8b, 0x03), -1);
    assert_int_equal(RUN(DATA + 2, 0x8b, 0x03), VEC_AC); /* EAX */
    assert_int_equal(RUN(DATA + 4, 0x8b, 0x03), -1);
    assert_int_equal(RUN(DATA + 4, 0x48, 0x8b, 0x03), VEC_AC); /* RAX */
    assert_int_equal(RUN(DATA + 8, 0x48, 0x8b, 0x03), -1);
    assert_int_equal(RUN(DATA + 4, 0xdb, 0x2b), VEC_AC); /* FLD m80 */
    assert_int_equal(RUN(DATA + 8, 0xdb, 0x2b), -1);
    assert_int_equal(RUN(DATA + 8, 0x0f, 0x10, 0x03), VEC_AC); /* MOVUPS */
    assert_int_equal(RUN(DATA + 16, 0x0f, 0x10, 0x03), -1);
}

static void test_not_canonical_comes_first(void **state)
{
    (void)state;
    const uint64_t nowhere = UINT64_C(0x0000900000000001);
    assert_int_equal(RUN(nowhere, 0x8b, 0x03), VEC_GP);
    assert_int_equal(RUN(nowhere, 0xdb, 0x2b), VEC_GP);             /* FLD m80 */
    assert_int_equal(RUN(nowhere, 0x0f, 0x10, 0x03), VEC_GP);       /* MOVUPS */
    assert_int_equal(RUN(nowhere, 0xc5, 0xfc, 0x58, 0x03), VEC_GP); /* VADDPS ymm */
    assert_int_equal(RUN(nowhere, 0xd9, 0x33), VEC_GP);             /* FNSTENV */
}

/* Through RBP that is #SS: for areas that must be aligned the first, for SSE operands the second to
 * be looked at. */
static void test_not_canonical_stack(void **state)
{
    (void)state;
    rig.cpu->r[REG_RBP] = UINT64_C(0x0000900000000001);
    assert_int_equal(RUN(DATA, 0x0f, 0x28, 0x45, 0x00), VEC_GP); /* MOVAPS XMM0, [RBP] */
    assert_int_equal(RUN(DATA, 0x0f, 0xae, 0x4d, 0x00), VEC_SS); /* FXRSTOR [RBP] */
    rig.cpu->r[REG_RBP] = UINT64_C(0x0000900000000000);
    assert_int_equal(RUN(DATA, 0x0f, 0x28, 0x45, 0x00), VEC_SS);
}

/* It comes before a page fault. */
static void test_before_a_page_fault(void **state)
{
    (void)state;
    assert_int_equal(RUN(DATA + PAGE_SIZE + 1, 0x8b, 0x03), VEC_AC);
    assert_int_equal(RUN(DATA + PAGE_SIZE + 8, 0x0f, 0x10, 0x03), VEC_AC);
    assert_int_equal(RUN(DATA + PAGE_SIZE, 0x0f, 0x10, 0x03), VEC_PF);
}

static void test_only_with_am(void **state)
{
    (void)state;
    rig.cpu->cr0 &= ~CR0_AM;
    assert_int_equal(RUN(DATA + 1, 0x8b, 0x03), -1);
    assert_int_equal(RUN(DATA + 1, 0x0f, 0x10, 0x03), -1);
    rig.cpu->cr0 |= CR0_AM;
    assert_int_equal(RUN(DATA + 1, 0x8b, 0x03), VEC_AC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_not_canonical_comes_first),
        cmocka_unit_test(test_not_canonical_stack),
        cmocka_unit_test(test_before_a_page_fault),
        cmocka_unit_test(test_only_with_am),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
