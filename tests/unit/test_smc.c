/*
 * Code that changes while it is cached: stores into the running block and into others, through
 * aliases, by DMA, into the second page of an instruction, and by remapping.
 */
#include "program_rig.h"

/* --- stores --- */

PROGRAM(next_insn, "movb $0xc8, 1f+1(%rip)\n" /* INC EAX becomes DEC EAX */
                   "nop\n"
                   "1: inc %eax\n"
                   "hlt\n");

static void test_next_instruction(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        begin();
        LOAD(CODE, next_insn);
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0xffffffff);
        /* the same bytes again: the store changes nothing */
        rig.cpu->rip = CODE;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0xfffffffe);
    }
}

PROGRAM(very_next, "mov $0xc8, %bl\n"
                   "movb %bl, 1f+1(%rip)\n"
                   "1: inc %eax\n"
                   "hlt\n");
PROGRAM(by_rmw, "orb $0x08, 1f+1(%rip)\n"
                "1: inc %eax\n" /* FF C0 to FF C8 */
                "hlt\n");
PROGRAM(by_push, "lea 1f+2(%rip), %rsp\n"
                 "pushw $0xc8ff\n"
                 "1: inc %eax\n"
                 "hlt\n");
PROGRAM(by_vector, "movups 2f(%rip), %xmm0\n"
                   "movups %xmm0, 1f(%rip)\n"
                   "1: inc %eax\n"
                   "hlt\n"
                   ".skip 13, 0x90\n"
                   "2: dec %eax\n"
                   "hlt\n"
                   ".skip 13, 0x90\n");
PROGRAM(by_xchg, "mov $0xc8, %bl\n"
                 "xchg %bl, 1f+1(%rip)\n"
                 "1: inc %eax\n"
                 "hlt\n");
PROGRAM(by_movs, "lea 2f(%rip), %rsi\n"
                 "lea 1f(%rip), %rdi\n"
                 "mov $2, %ecx\n"
                 "rep movsb\n"
                 "1: inc %eax\n"
                 "hlt\n"
                 "2: dec %eax\n");

static void test_every_store(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *from, *to;
    } programs[] = {{very_next, very_next_end}, {by_rmw, by_rmw_end},   {by_push, by_push_end},
                    {by_vector, by_vector_end}, {by_xchg, by_xchg_end}, {by_movs, by_movs_end}};
    for (unsigned i = 0; i < ARRAY_SIZE(programs); i++) {
        for (unsigned step = 0; step < 2; step++) {
            begin();
            rig.cpu->cr4 |= CR4_OSFXSR;
            cpu_update_mode(rig.cpu);
            put_code(CODE, programs[i].from, programs[i].to);
            while (step && !rig.cpu->halted)
                rig_run(&rig, 1);
            if (!step)
                run_to_halt();
            assert_int_equal(reg(REG_RAX), 0xffffffff);
        }
    }
}

/* REP MOVSB that changes itself into REP STOSB: what was fetched goes on. */
PROGRAM(movs_itself, "lea 2f(%rip), %rsi\n"
                     "lea 1f(%rip), %rdi\n"
                     "mov $16, %ecx\n"
                     "1: rep movsb\n"
                     "nop; nop; nop; nop; nop; nop; nop\n"
                     "hlt\n"
                     ".skip 16, 0x90\n"
                     "2: rep movsb\n" /* the same two bytes, then INC EBX, then HLT */
                     "inc %ebx; inc %ebx; hlt\n"
                     ".skip 16, 0xf4\n");

static void test_rep_over_itself(void **state)
{
    (void)state;
    begin();
    LOAD(CODE, movs_itself);
    run_to_halt();
    assert_int_equal(reg(REG_RCX), 0);
    assert_int_equal(reg(REG_RBX), 2);
}

PROGRAM(later_block, "mov $3, %ecx\n"
                     "1: mov %cl, 2f+1(%rip)\n" /* the immediate */
                     "call 2f\n"
                     "add %eax, %edx\n"
                     "dec %ecx\n"
                     "jnz 1b\n"
                     "hlt\n"
                     ".balign 256\n"
                     "2: mov $0, %eax\n"
                     "ret\n");

static void test_later_block(void **state)
{
    (void)state;
    begin();
    LOAD(CODE, later_block);
    run_to_halt();
    assert_int_equal(reg(REG_RDX), 6);
}

/* The return address lands in code: CALL overwrites what it returns to. */
PROGRAM(call_over, "lea 1f+8(%rip), %rsp\n"
                   "1: call 2f\n"
                   "nop; nop; nop\n"
                   "hlt\n"
                   "2: pop %rax\n"
                   "hlt\n");

static void test_call_over_code(void **state)
{
    (void)state;
    begin();
    LOAD(CODE, call_over);
    run_to_halt();
    assert_int_equal(reg(REG_RAX), CODE + 7 + 5);
}

PROGRAM(through_alias, "1: inc %eax\n"
                       "movb $0xc8, 1b+1+0x10000(%rip)\n" /* another name of this page */
                       "dec %ecx\n"
                       "jns 1b\n"
                       "hlt\n");

static void test_alias(void **state)
{
    (void)state;
    begin();
    rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
    rig_map(&rig, HIGH + 0x10000, FRAMES, RIG_P | RIG_W);
    LOAD(FRAMES, through_alias);
    rig.cpu->rip = HIGH;
    rig.cpu->r[REG_RCX] = 4;
    run_to_halt();
    assert_int_equal((uint32_t)reg(REG_RAX), (uint32_t)(1 - 4));
}

/* --- two pages --- */

/* MOV EAX, imm32 with one to four bytes of it on the second page. */
static void test_crossing_instruction(void **state)
{
    (void)state;
    for (unsigned on_first = 1; on_first < 5; on_first++) {
        begin();
        rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
        rig_map(&rig, HIGH + PAGE_SIZE, FRAMES + 2 * PAGE_SIZE, RIG_P | RIG_W);
        uint8_t code[] = {0xb8, 0x44, 0x33, 0x22, 0x11, 0xf4};
        const gla_t at = HIGH + PAGE_SIZE - on_first;
        const gpa_t first = FRAMES + PAGE_SIZE - on_first, second = FRAMES + 2 * PAGE_SIZE;
        rig_put(&rig, first, code, on_first);
        rig_put(&rig, second, code + on_first, 6 - on_first);
        rig.cpu->rip = at;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x11223344);

        /* the guest writes to the second page */
        static const uint8_t store[] = {0xc6, 0x07, 0x55, 0xf4}; /* movb $0x55, (%rdi); hlt */
        rig_put(&rig, CODE, store, sizeof store);
        rig.cpu->r[REG_RDI] = HIGH + PAGE_SIZE + 4 - on_first;
        rig.cpu->rip = CODE;
        run_to_halt();
        rig.cpu->rip = at;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x55223344);

        /* a device does */
        rig_put(&rig, second + 4 - on_first, "\x66", 1);
        rig.cpu->rip = at;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x66223344);

        /* the second page is another one */
        code[4] = 0x77;
        rig_put(&rig, FRAMES + 5 * PAGE_SIZE, code + on_first, 6 - on_first);
        rig_map(&rig, HIGH + PAGE_SIZE, FRAMES + 5 * PAGE_SIZE, RIG_P | RIG_W);
        rig.cpu->rip = at;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x77223344);

        /* and then gone: the fault is at its first byte */
        rig_map(&rig, HIGH + PAGE_SIZE, 0, 0);
        rig.cpu->rip = at;
        const struct rig_event ev = run_to_event(1);
        assert_int_equal(ev.vector, VEC_PF);
        assert_int_equal(ev.rip, at);
        assert_int_equal(rig.cpu->cr2, HIGH + PAGE_SIZE);
    }
}

/* An instruction that ends on the last byte of a page does not touch the next one. */
static void test_page_end(void **state)
{
    (void)state;
    begin();
    rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
    rig_put(&rig, FRAMES + PAGE_SIZE - 2, "\xff\xc0", 2);
    rig.cpu->rip = HIGH + PAGE_SIZE - 2;
    rig_run(&rig, 1);
    assert_int_equal(reg(REG_RAX), 1);
    assert_int_equal(rig.cpu->rip, HIGH + PAGE_SIZE);
    const struct rig_event ev = run_to_event(1);
    assert_int_equal(ev.vector, VEC_PF);
    assert_int_equal(ev.rip, HIGH + PAGE_SIZE);
    assert_int_equal(rig.cpu->cr2, HIGH + PAGE_SIZE);
}

/* What does not decode depends on its bytes as well, on both pages. */
static void test_invalid_changes(void **state)
{
    (void)state;
    for (unsigned on_first = 1; on_first < 4; on_first++) {
        begin();
        rig_map(&rig, HIGH, FRAMES, RIG_P);
        rig_map(&rig, HIGH + PAGE_SIZE, FRAMES + PAGE_SIZE, RIG_P);
        const gpa_t at = FRAMES + PAGE_SIZE - on_first;
        rig_put(&rig, at, "\x0f\x00\xf0\xf4", 4); /* group 6 /6 */
        rig.cpu->rip = HIGH + (at - FRAMES);
        assert_int_equal(run_to_event(1).vector, VEC_UD);
        rig_put(&rig, at + 2, "\xe0", 1); /* VERR */
        rig.cpu->rip = HIGH + (at - FRAMES);
        run_to_halt();
    }
    for (unsigned on_first = 1; on_first < 16; on_first++) {
        begin();
        rig_map(&rig, HIGH, FRAMES, RIG_P);
        rig_map(&rig, HIGH + PAGE_SIZE, FRAMES + PAGE_SIZE, RIG_P);
        const gpa_t at = FRAMES + PAGE_SIZE - on_first;
        rig_put(&rig, at, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xf4", 16);
        rig.cpu->rip = HIGH + (at - FRAMES);
        assert_int_equal(run_to_event(1).vector, VEC_GP);
        rig_put(&rig, at + 14, "\xf4", 1);
        rig.cpu->rip = HIGH + (at - FRAMES);
        run_to_halt();
    }
}

/* An instruction from the end of a page to the start of the very same one. */
static void test_page_behind_itself(void **state)
{
    (void)state;
    begin();
    rig_map(&rig, HIGH, FRAMES, RIG_P);
    rig_map(&rig, HIGH + PAGE_SIZE, FRAMES, RIG_P);
    rig_put(&rig, FRAMES + PAGE_SIZE - 2, "\xb8\x11", 2);
    rig_put(&rig, FRAMES, "\x22\x33\x44\xf4", 4);
    for (unsigned i = 0; i < 3; i++) {
        rig.cpu->rip = HIGH + PAGE_SIZE - 2;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x44332211 + i);
        const uint8_t next = (uint8_t)(0x12 + i);
        rig_put(&rig, FRAMES + PAGE_SIZE - 1, &next, 1);
    }
}

PROGRAM(two_pages, "1: inc %eax\n"
                   "jmp 1b+0x1000\n");
PROGRAM(second_page, "add $0x100, %eax\n"
                     "hlt\n");
PROGRAM(other_page, "add $0x200, %eax\n"
                    "hlt\n");

/* The page-table entry of lin becomes v, behind the TLB's back. */
static void change_entry(gla_t lin, uint64_t v)
{
    gpa_t table = RIG_TABLES;
    for (unsigned level = 3; level > 0; level--)
        table = ld64(rig_at(&rig, table + ((lin >> (12 + 9 * level)) & 511) * 8)) &
                UINT64_C(0xffffffffff000);
    uint8_t entry[8];
    st64(entry, v);
    rig_put(&rig, table + ((lin >> 12) & 511) * 8, entry, 8);
}

/* A linked branch to a page that is mapped elsewhere later; INVLPG and MOV CR3 make it void. */
static void test_remap(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        begin();
        rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
        rig_map(&rig, HIGH + PAGE_SIZE, FRAMES + 2 * PAGE_SIZE, RIG_P | RIG_W);
        LOAD(FRAMES, two_pages);
        LOAD(FRAMES + 2 * PAGE_SIZE, second_page);
        LOAD(FRAMES + 4 * PAGE_SIZE, other_page);
        for (unsigned i = 0; i < 4; i++) {
            rig.cpu->rip = HIGH;
            run_to_halt();
        }
        assert_int_equal(reg(REG_RAX), 0x404);
        const gla_t lin = HIGH + PAGE_SIZE;
        change_entry(lin, (FRAMES + 4 * PAGE_SIZE) | RIG_P | RIG_W);
        /* invlpg (%rdi); hlt, or mov %rdi, %cr3; hlt */
        rig_put(&rig, CODE, how ? "\x0f\x22\xdf\xf4" : "\x0f\x01\x3f\xf4", 4);
        rig.cpu->r[REG_RDI] = how ? RIG_TABLES : lin;
        rig.cpu->rip = CODE;
        run_to_halt();
        rig.cpu->rip = HIGH;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x605);
    }
}

PROGRAM(store_eax, "movl %eax, 0x800(%rdi)\n"
                   "hlt\n");

/*
 * An entry that was changed without INVLPG: whether the old translation is still used for a write
 * must not depend on whether code was run from the page, before or since.
 */
static void test_stale_write(void **state)
{
    (void)state;
    enum { DATA_ONLY, CODE_BEFORE, CODE_SINCE };
    for (unsigned how = DATA_ONLY; how <= CODE_SINCE; how++) {
        begin();
        rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
        LOAD(CODE, store_eax);
        rig_put(&rig, FRAMES, "\xf4", 1); /* hlt */
        rig.cpu->r[REG_RDI] = HIGH;
        for (unsigned i = 0; i < 3; i++) {
            if ((how == CODE_BEFORE && i == 0) || (how == CODE_SINCE && i == 1)) {
                rig.cpu->rip = HIGH;
                run_to_halt();
            }
            if (i == 1)
                change_entry(HIGH, 0);
            rig.cpu->r[REG_RAX] = 100 * how + i;
            rig.cpu->rip = CODE;
            run_to_halt();
            assert_int_equal(ld32(rig_at(&rig, FRAMES + 0x800)), 100 * how + i);
        }
        rig_put(&rig, CODE + PAGE_SIZE / 2, "\x0f\x01\x3f\xf4", 4); /* invlpg (%rdi); hlt */
        rig.cpu->rip = CODE + PAGE_SIZE / 2;
        run_to_halt();
        rig.cpu->rip = CODE;
        assert_int_equal(run_to_event(1).vector, VEC_PF);
    }
}

/* The same of fetches: whether another page's was looked up in between must not matter either. */
static void test_stale_fetch(void **state)
{
    (void)state;
    const gla_t other = HIGH + EXEC_LINES * PAGE_SIZE;
    for (unsigned displaced = 0; displaced < 2; displaced++) {
        begin();
        rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
        rig_map(&rig, other, FRAMES + 2 * PAGE_SIZE, RIG_P | RIG_W);
        for (unsigned i = 0; i < 3; i++) { /* mov $i, %eax; hlt */
            const uint8_t code[] = {0xb8, (uint8_t)i, 0, 0, 0, 0xf4};
            rig_put(&rig, FRAMES + i * PAGE_SIZE, code, sizeof code);
            rig_put(&rig, FRAMES + i * PAGE_SIZE + 0x100, code, sizeof code);
        }
        rig.cpu->rip = HIGH;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0);
        change_entry(HIGH, (FRAMES + PAGE_SIZE) | RIG_P | RIG_W);
        if (displaced) {
            rig.cpu->rip = other;
            run_to_halt();
            assert_int_equal(reg(REG_RAX), 2);
        }
        rig.cpu->rip = HIGH + 0x100;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0);
        cpu_flush_page(rig.cpu, HIGH);
        rig.cpu->rip = HIGH + 0x100;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 1);
    }
}

/* --- DMA, flushes --- */

static void test_dma(void **state)
{
    (void)state;
    begin();
    rig_put(&rig, CODE, "\xff\xc0\xf4", 3);
    for (unsigned i = 0; i < 3; i++) {
        rig.cpu->rip = CODE;
        run_to_halt();
    }
    assert_int_equal(reg(REG_RAX), 3);
    const uint64_t dropped = rig.cpu->stats.blocks_dropped;
    rig_put(&rig, CODE + 0x100, "abc", 3); /* beside it */
    assert_int_equal(rig.cpu->stats.blocks_dropped, dropped);
    rig_put(&rig, CODE + 1, "\xc8", 1);
    assert_true(rig.cpu->stats.blocks_dropped > dropped);
    rig.cpu->rip = CODE;
    run_to_halt();
    assert_int_equal(reg(REG_RAX), 2);
    /* a long write that covers many pages */
    static uint8_t zeros[8 * PAGE_SIZE];
    memset(zeros, 0xf4, sizeof zeros);
    rig_put(&rig, CODE - 4 * PAGE_SIZE, zeros, sizeof zeros);
    rig.cpu->rip = CODE;
    run_to_halt();
    assert_int_equal(reg(REG_RAX), 2);
}

/* More code than the cache holds, twice. */
static void test_cache_full(void **state)
{
    (void)state;
    enum { BYTES = 2600 * 1024 };
    begin();
    memset(rig_at(&rig, FRAMES), 0x90, BYTES);
    ram_note_write(&rig.ram, rig.main.ram + FRAMES, BYTES);
    rig_put(&rig, FRAMES + BYTES, "\xff\xc0\xf4", 3);
    for (gla_t at = 0; at < BYTES + PAGE_SIZE; at += PAGE_SIZE)
        rig_map(&rig, HIGH + at, FRAMES + at, RIG_P);
    for (unsigned i = 1; i < 4; i++) {
        const uint64_t before = cpu_icount(rig.cpu);
        rig.cpu->rip = HIGH;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), i);
        assert_int_equal(cpu_icount(rig.cpu) - before, BYTES + 2);
    }
    assert_true(rig.cpu->stats.cache_flushes > 0);
    code_flush(rig.cpu->code);
    rig.cpu->rip = HIGH;
    run_to_halt();
    assert_int_equal(reg(REG_RAX), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_instruction),
        cmocka_unit_test(test_every_store),
        cmocka_unit_test(test_rep_over_itself),
        cmocka_unit_test(test_later_block),
        cmocka_unit_test(test_call_over_code),
        cmocka_unit_test(test_alias),
        cmocka_unit_test(test_crossing_instruction),
        cmocka_unit_test(test_page_end),
        cmocka_unit_test(test_invalid_changes),
        cmocka_unit_test(test_page_behind_itself),
        cmocka_unit_test(test_remap),
        cmocka_unit_test(test_stale_write),
        cmocka_unit_test(test_stale_fetch),
        cmocka_unit_test(test_dma),
        cmocka_unit_test(test_cache_full),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
