/* The stack's page that translated code keeps (memory.c) ends with the right to write to it, and is
 * none that holds code; RSP is right wherever somebody sees it, though pushes and pops in a row
 * change it once (share.c). */
#include "insn_rig.h"

enum { CODE = 0x40000, STACK = 0x42000 };

static void test_protection_key(void **state)
{
    (void)state;
    /* SDM 3A §4.6.2: key 1, access disabled */
    static const uint8_t code[] = {
        0x50, 0x50, 0x58, 0x50,       /* push rax, push rax, pop rax, push rax */
        0x31, 0xc9, 0x31, 0xd2,       /* xor ecx, ecx; xor edx, edx */
        0xb8, 0x04, 0x00, 0x00, 0x00, /* mov eax, 4 */
        0x0f, 0x01, 0xef,             /* wrpkru */
        0x50, 0xf4,                   /* push rax; hlt, which ends the block */
    };
    struct rig r;
    rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
    rig_long_user(&r);
    rig_map(&r, CODE, CODE, RIG_P | RIG_U);
    rig_map(&r, STACK - PAGE_SIZE, STACK - PAGE_SIZE, RIG_P | RIG_W | RIG_U | UINT64_C(1) << 59);
    rig_put(&r, CODE, code, sizeof code);
    for (unsigned round = 0; round < 3; round++) {
        rig_user64(&r);
        cpu_set_pkru(r.cpu, 0);
        r.cpu->cr4 |= CR4_PKE;
        r.cpu->rip = CODE;
        r.cpu->r[REG_RSP] = STACK;
        cpu_loaded(r.cpu);
        rig_run(&r, 100);
        const struct rig_event ev = rig_event(&r);
        assert_int_equal(ev.vector, VEC_PF);
        assert_int_equal(ev.rip, CODE + sizeof code - 2);
        assert_int_equal(ev.error & 0x27, 0x27); /* present, write, user, key */
    }
    assert_true(r.cpu->stats.translated_blocks);
    rig_close(&r);
}

/* A block that its page's end cuts off between pushes, and goes on with more of them. */
static void test_row_ends_with_block(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0x50, 0x51, 0x6a, 0x10, /* push rax; push rcx; push 10h, and the page ends */
        0x52, 0x53, 0x5e, 0x5f, /* push rdx; push rbx; pop rsi; pop rdi */
        0x54, 0x5d, 0xf4,       /* push rsp; pop rbp; hlt */
    };
    const gla_t at = CODE + PAGE_SIZE - 4;
    struct rig r;
    rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
    rig_put(&r, at, code, sizeof code);
    for (unsigned round = 0; round < 3; round++) {
        rig_long(&r, SEL_CODE64, SEL_DATA);
        r.cpu->halted = false;
        r.cpu->rip = at;
        r.cpu->r[REG_RSP] = STACK;
        r.cpu->r[REG_RDX] = 22;
        r.cpu->r[REG_RBX] = 33;
        rig_run(&r, 100);
        assert_true(r.cpu->halted);
        assert_int_equal(r.cpu->r[REG_RSP], STACK - 3 * 8);
        assert_int_equal(r.cpu->r[REG_RBP], STACK - 3 * 8);
        assert_int_equal(r.cpu->r[REG_RSI], 33);
        assert_int_equal(r.cpu->r[REG_RDI], 22);
        assert_int_equal(ld64(rig_at(&r, STACK - 3 * 8)), 0x10);
    }
    assert_true(r.cpu->stats.translated_blocks);
    rig_close(&r);
}

/* What a POP in a row changes is an operand of flags that are still to be seen: it is stored first,
 * which may take the register of the shared look-up. */
static void test_row_and_flags(void **state)
{
    (void)state;
    static const uint8_t code[][16] = {
        /* test r14, r14; pop rbx; pop r14; jmp $+2; hlt */
        {0x4d, 0x85, 0xf6, 0x5b, 0x41, 0x5e, 0xeb, 0x00, 0xf4},
        /* test r14, r14; pop rbx; pop r14; pop rbp; jmp $+2; hlt */
        {0x4d, 0x85, 0xf6, 0x5b, 0x41, 0x5e, 0x5d, 0xeb, 0x00, 0xf4},
        /* cmp rbp, r13; setb al; pop rbx; pop rbp; pop r13; jmp $+2; hlt */
        {0x4c, 0x39, 0xed, 0x0f, 0x92, 0xc0, 0x5b, 0x5d, 0x41, 0x5d, 0xeb, 0x00, 0xf4},
    };
    for (unsigned n = 0; n < ARRAY_SIZE(code); n++) {
        const unsigned pops = n ? 3 : 2;
        struct rig r;
        rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
        rig_put(&r, CODE, code[n], sizeof code[n]);
        for (unsigned i = 0; i < 4; i++)
            st64(rig_at(&r, STACK - 32 + 8 * i), 100 + i);
        for (unsigned round = 0; round < 5; round++) {
            rig_long(&r, SEL_CODE64, SEL_DATA); /* forgets the stack's page */
            r.cpu->halted = false;
            r.cpu->rip = CODE;
            r.cpu->r[REG_RSP] = STACK - 32;
            r.cpu->r[REG_R13] = r.cpu->r[REG_R14] = r.cpu->r[REG_RBP] = 7;
            rig_run(&r, 100);
            assert_true(r.cpu->halted);
            assert_int_equal(r.cpu->r[REG_RSP], STACK - 32 + pops * 8);
            assert_int_equal(r.cpu->r[REG_RBX], 100);
            assert_int_equal(r.cpu->r[n < 2 ? REG_R14 : REG_RBP], 101);
            if (n)
                assert_int_equal(r.cpu->r[n < 2 ? REG_RBP : REG_R13], 102);
        }
        assert_true(r.cpu->stats.translated_blocks);
        rig_close(&r);
    }
}

/* The third of four pushes faults: two have happened. */
static void test_row_faults(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x50, 0x51, 0x52, 0x53, 0xf4}; /* push rax, rcx, rdx, rbx; hlt */
    struct rig r;
    rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
    rig_long_user(&r);
    rig_map(&r, CODE, CODE, RIG_P | RIG_U);
    rig_map(&r, STACK, STACK, RIG_P | RIG_W | RIG_U);
    rig_map(&r, STACK - PAGE_SIZE, 0, 0);
    rig_put(&r, CODE, code, sizeof code);
    for (unsigned round = 0; round < 3; round++) {
        rig_user64(&r);
        r.cpu->rip = CODE;
        r.cpu->r[REG_RSP] = STACK + 16;
        rig_run(&r, 100);
        const struct rig_event ev = rig_event(&r);
        assert_int_equal(ev.vector, VEC_PF);
        assert_int_equal(ev.rip, CODE + 2);
        assert_int_equal(ev.rsp, STACK);
    }
    assert_true(r.cpu->stats.translated_blocks);
    rig_close(&r);
}

/* One page for code and stack: a push beside the code gives no leave to push over it. */
static void test_stack_among_code(void **state)
{
    (void)state;
    enum { F = CODE + 0x100, TOP = CODE + 0x800 };
    static const uint8_t f[] = {0xb8, 0x11, 0, 0, 0, 0xc3}; /* mov eax, 11h; ret */
    static const uint8_t code[] = {
        0xbc, 0x00, 0x08, 0x04, 0x00, /* mov esp, TOP */
        0xe8, 0xf6, 0x00, 0x00, 0x00, /* call F */
        0x89, 0xc1,                   /* mov ecx, eax */
        0xbc, 0x08, 0x01, 0x04, 0x00, /* mov esp, F + 8 */
        0x53,                         /* push rbx, which changes the 11h to 22h */
        0xbc, 0x00, 0x08, 0x04, 0x00, /* mov esp, TOP */
        0xe8, 0xe4, 0x00, 0x00, 0x00, /* call F */
        0xf4,                         /* hlt */
    };
    struct rig r;
    rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
    rig_put(&r, CODE, code, sizeof code);
    for (unsigned round = 0; round < 5; round++) {
        rig_put(&r, F, f, sizeof f);
        rig_long(&r, SEL_CODE64, SEL_DATA);
        r.cpu->halted = false;
        r.cpu->rip = CODE;
        r.cpu->r[REG_RBX] = UINT64_C(0xc300000022b8);
        rig_run(&r, 100);
        assert_true(r.cpu->halted);
        assert_int_equal(r.cpu->r[REG_RCX], 0x11);
        assert_int_equal(r.cpu->r[REG_RAX], 0x22);
        assert_int_equal(r.cpu->r[REG_RSP], TOP);
    }
    assert_true(r.cpu->stats.translated_blocks);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protection_key),   cmocka_unit_test(test_row_ends_with_block),
        cmocka_unit_test(test_row_and_flags),    cmocka_unit_test(test_row_faults),
        cmocka_unit_test(test_stack_among_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
