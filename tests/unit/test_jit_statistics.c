/* What is counted of translated code, and the listing of it for -d out_asm. */
#include "insn_rig.h"

#include "cpu/jit/jit.h"

#define CODE  UINT64_C(0x50000)
#define STACK UINT64_C(0x78000)

static struct rig rig;

/* mov $1000, %ecx; 1: dec %ecx; jnz 1b; hlt */
static const uint8_t program[] = {0xb9, 0xe8, 3, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4};
#define LOOP_AT 5

static void run_on(gla_t at)
{
    rig.cpu->r[REG_RSP] = STACK;
    rig.cpu->rip = at;
    rig.cpu->halted = false;
    rig_run(&rig, 100000);
    assert_true(rig.cpu->halted);
}

static void run_from(gla_t at)
{
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    run_on(at);
}

static void run_program(void)
{
    run_from(CODE);
}

static void test_instructions(void **state)
{
    (void)state;
    const struct cpu_stats *s = &rig.cpu->stats;
    const uint64_t before = cpu_icount(rig.cpu);
    run_program();
    assert_int_equal(cpu_icount(rig.cpu) - before, 1 + 2 * 1000 + 1);
    /* HLT is the handler's, so it is not among them */
    assert_in_range(s->jit_insns, 2000, 2001);
    assert_int_equal(s->jit_exits[EXIT_FAULT], 0);
    assert_true(s->jit_exits[EXIT_END] + s->jit_exits[EXIT_LINK] > 0);
    assert_false(rig.cpu->jit_inside);
    size_t used, size;
    cpu_code_memory(rig.cpu, &used, &size);
    assert_true(s->translated_bytes > 0 && s->translated_bytes < used && used < size);
}

/* An instruction that crosses pages is a block of its own, which others go on at and from without
 * the run loop. */
static void test_crossing(void **state)
{
    (void)state;
    /* mov $1000, %ecx; 1: nop; lea 0(%rax,%rax,1), %rax; dec %ecx; jnz 1b; hlt */
    static const uint8_t loop[] = {0xb9, 0xe8, 3, 0, 0,    0x90, 0x48, 0x8d, 0x84, 0,
                                   0,    0,    0, 0, 0xff, 0xc9, 0x75, 0xf3, 0xf4};
    const struct cpu_stats *s = &rig.cpu->stats;
    for (unsigned before = 5; before < 20; before++) { /* also: the branch back crosses */
        const gla_t at = CODE + 2 * PAGE_SIZE - before;
        rig_put(&rig, at, loop, sizeof loop);
        run_from(at);
        const uint64_t exits = s->jit_exits[EXIT_LINK] + s->jit_exits[EXIT_LOOP];
        run_from(at);
        assert_in_range(s->jit_exits[EXIT_LINK] + s->jit_exits[EXIT_LOOP] - exits, 0, 10);
    }
}

static uint64_t by_host_code(gla_t at)
{
    const uint64_t before = rig.cpu->stats.jit_insns;
    run_on(at);
    return rig.cpu->stats.jit_insns - before;
}

/* Code runs as host code up to the end of canonical space, where Linux has its libraries without
 * ASLR, but where a branch would leave it. */
static void test_edge(void **state)
{
    (void)state;
    const gla_t library = 0x7ffff7dd5000, last = 0x7ffffffff000;
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig_map(&rig, library, CODE, RIG_P | RIG_W);
    rig_map(&rig, last, CODE, RIG_P | RIG_W);
    assert_in_range(by_host_code(library), 1990, 2001);
    assert_int_equal(by_host_code(last), 0);
    assert_in_range(by_host_code(library), 1990, 2001);
}

/*
 * A block within a jump of another of its page: the jump holds in all of the page's mappings, but
 * in one of them the CALL behind it leaves canonical space, which is its own fault: RSP stays.
 */
static void test_edge_within_a_page(void **state)
{
    (void)state;
    /* from: nop; jmp to; to: nop; call .+4M; hlt */
    static const uint8_t code[] = {0x90, 0xeb, 0, 0x90, 0xe8, 0, 0, 0x40, 0, 0xf4};
    static const uint8_t jump[] = {0xff, 0xe0}, back[] = {0xc3}; /* jmp *%rax; ret */
    enum { CALL = 4, HLT = 9, JUMP = CODE + 3 * PAGE_SIZE };
    const gla_t last = 0x7fffffe00000, far = CODE + HLT + (4 << 20);
    /* CODE is host code when what it jumps to becomes that: before the edge was seen, or behind */
    for (unsigned before = 0; before < 16; before++) {
        rig_close(&rig);
        rig_open_with(&rig, "max", RIG_RAM_BYTES, 8, false);
        rig_long(&rig, SEL_CODE64, SEL_DATA);
        rig_put(&rig, CODE, code, sizeof code);
        rig_put(&rig, JUMP, jump, sizeof jump);
        rig_put(&rig, CODE + PAGE_SIZE + (far & ~PAGE_MASK), back, sizeof back);
        rig_map(&rig, far & PAGE_MASK, CODE + PAGE_SIZE, RIG_P | RIG_W);
        rig_map(&rig, last, CODE, RIG_P | RIG_W);
        rig.cpu->r[REG_RAX] = CODE + HLT;
        for (unsigned i = 0; i < 100; i++)
            run_on(JUMP);
        for (unsigned i = 0; i < before; i++)
            run_on(CODE);
        rig.cpu->rip = CODE;
        rig.cpu->halted = false;
        rig_run(&rig, 1);
        rig.cpu->r[REG_RAX] = last;
        for (unsigned i = 0; i < 4; i++) {
            rig.cpu->r[REG_RSP] = STACK;
            rig.cpu->rip = JUMP;
            rig.cpu->halted = false;
            rig_run(&rig, 100);
            const struct rig_event e = rig_event(&rig);
            assert_int_equal(e.vector, VEC_GP);
            assert_int_equal(e.rip, last + CALL);
            assert_int_equal(e.rsp, STACK);
        }
    }
}

/* As many accesses as a block has room for, each with a check of its alignment. */
static void test_aligned(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 60; n++) {
        /* mov $1000, %ecx; 1: n times movaps 16*i(%rsi), %xmm14; dec %ecx; jnz 1b; hlt */
        uint8_t code[512] = {0xb9, 0xe8, 3, 0, 0}, *p = code + 5;
        for (unsigned i = 0; i < n; i++, p += 8) {
            memcpy(p, "\x44\x0f\x28\xb6", 4);
            st32(p + 4, 16 * i);
        }
        memcpy(p, "\xff\xc9\x0f\x85", 4);
        st32(p + 4, (uint32_t)(code + 5 - (p + 8)));
        p[8] = 0xf4;
        rig_put(&rig, CODE, code, sizeof code);
        rig_long(&rig, SEL_CODE64, SEL_DATA);
        rig.cpu->r[REG_RSI] = 0x60000;
        const uint64_t bytes = rig.cpu->stats.translated_bytes + rig.cpu->stats.cold_bytes;
        assert_in_range(by_host_code(CODE), (n + 2) * 990, (n + 2) * 1000 + 1);
        assert_in_range(rig.cpu->stats.translated_bytes + rig.cpu->stats.cold_bytes - bytes, 0,
                        n * 320 + 500);
    }
}

/* Nothing is translated twice but what was written to, or all after the cache was emptied. */
static void test_again(void **state)
{
    (void)state;
    const struct cpu_stats *s = &rig.cpu->stats;
    run_program();
    const uint64_t blocks = s->translated_blocks;
    run_program();
    assert_int_equal(s->translated_blocks, blocks);
    assert_int_equal(s->retranslated[AGAIN_WRITTEN], 0);
    rig_put(&rig, CODE + LOOP_AT, program + LOOP_AT, 2);
    run_program();
    const uint64_t written = s->translated_blocks - blocks;
    assert_true(written > 0);
    assert_int_equal(s->retranslated[AGAIN_WRITTEN], written);
    assert_int_equal(s->retranslated[AGAIN_FULL], 0);
    code_flush(rig.cpu->code);
    run_program();
    assert_int_equal(s->retranslated[AGAIN_FULL], s->translated_blocks - blocks - written);
    assert_int_equal(s->retranslated[AGAIN_WRITTEN], written);
    assert_int_equal(s->retranslated[AGAIN_MXCSR], 0);
}

static uint64_t handlers(enum jit_call kind)
{
    uint64_t n = 0;
    for (unsigned op = 0; op < OP_COUNT; op++)
        n += rig.cpu->code->jit->count->called[kind][op];
    return n;
}

/* Two pages with one line of the TLB: it is filled without the handler of what missed. */
static void test_fill(void **state)
{
    (void)state;
    /* mov $1000, %ecx; 1: mov (%rbx), %eax; mov (%rsi), %edx; mov %edx, (%rbx); mov %eax, (%rsi);
     * dec %ecx; jnz 1b; hlt */
    static const uint8_t swap[] = {0xb9, 0xe8, 3,    0,    0,    0x8b, 0x03, 0x8b, 0x16,
                                   0x89, 0x13, 0x89, 0x06, 0xff, 0xc9, 0x75, 0xf4, 0xf4};
    const gla_t data = 0x60000, twin = data + TLB_TWIN;
    const uint64_t *const misses = rig.cpu->stats.tlb_misses;
    rig.cpu->code->jit->count = calloc(1, sizeof(struct jit_count));
    for (unsigned off = 0; off < 2; off++) { /* 1: by the handlers */
        const uint64_t before = misses[WALK_READ] + misses[WALK_WRITE];
        const uint64_t called = handlers(CALL_OUT_OF_LINE);
        rig.cpu->code->jit->no_fill = off;
        code_flush(rig.cpu->code);
        rig_put(&rig, CODE, swap, sizeof swap);
        rig_long(&rig, SEL_CODE64, SEL_DATA);
        rig_map(&rig, twin, data + PAGE_SIZE, RIG_P | RIG_W);
        rig.cpu->r[REG_RBX] = data;
        rig.cpu->r[REG_RSI] = twin;
        st32(rig_at(&rig, data), 11);
        st32(rig_at(&rig, data + PAGE_SIZE), 22);
        rig.cpu->rip = CODE;
        rig.cpu->halted = false;
        rig_run(&rig, 10000);
        assert_true(rig.cpu->halted);
        assert_int_equal(ld32(rig_at(&rig, data)), 11);
        assert_int_equal(ld32(rig_at(&rig, data + PAGE_SIZE)), 22);
        assert_in_range(misses[WALK_READ] + misses[WALK_WRITE] - before, 2000, 4100);
        if (off)
            assert_true(handlers(CALL_OUT_OF_LINE) - called > 1900);
        else
            assert_in_range(handlers(CALL_OUT_OF_LINE) - called, 0, 20);
    }
}

/* Three targets of indirect jumps for which the table has two lines. */
static void test_find(void **state)
{
    (void)state;
    const struct jit *j = rig.cpu->code->jit;
    gla_t target[3] = {CODE};
    unsigned n = 1;
    for (gla_t at = CODE + 32; n < 3; at++) {
        assert_true(at < CODE + 0x10000);
        if ((at & ~PAGE_MASK) < 0xfc0 && at - target[n - 1] >= 32 &&
            (jit_jump_index(j, at) | 1) == (jit_jump_index(j, CODE) | 1))
            target[n++] = at;
    }
    rig.cpu->code->jit->count = calloc(1, sizeof(struct jit_count));
    for (unsigned off = 0; off < 2; off++) {
        const uint64_t called = handlers(CALL_LAST);
        rig.cpu->code->jit->no_find = off;
        code_flush(rig.cpu->code);
        for (unsigned i = 0; i < 3; i++) {
            /* mov $next, %eax; dec %ecx; js 1f; jmp *%rax; 1: hlt */
            uint8_t code[] = {0xb8, 0, 0, 0, 0, 0xff, 0xc9, 0x78, 2, 0xff, 0xe0, 0xf4};
            st32(code + 1, (uint32_t)target[(i + 1) % 3]);
            rig_put(&rig, target[i], code, sizeof code);
        }
        /* mov $1000, %ecx; jmp to the first */
        uint8_t start[] = {0xb9, 0xe8, 3, 0, 0, 0xe9, 0, 0, 0, 0};
        st32(start + 6, (uint32_t)(CODE - (CODE + 0x10000 + sizeof start)));
        rig_put(&rig, CODE + 0x10000, start, sizeof start);
        run_from(CODE + 0x10000);
        if (off)
            assert_true(handlers(CALL_LAST) - called > 300);
        else
            assert_in_range(handlers(CALL_LAST) - called, 0, 20);
    }
}

static unsigned listed;

static void hear(void *opaque, const struct cpu *cpu, const struct cpu_translation *c)
{
    (void)opaque;
    listed++;
    assert_true(c->lin >= CODE && c->lin + c->guest_len <= CODE + sizeof program);
    assert_memory_equal(c->guest, program + (c->lin - CODE), c->guest_len);
    assert_true(c->insns > 0 && c->guest_at[0] == 0 && c->guest_at[c->insns] == c->guest_len);
    for (unsigned i = 0; i < c->insns; i++) {
        assert_true(c->guest_at[i] < c->guest_at[i + 1]);
        assert_true(c->host_at[i] <= c->host_at[i + 1]);
    }
    assert_true(c->host_at[c->insns] <= c->host_len);
    /* it can be read where it runs, too */
    assert_memory_equal(c->host, (const void *)c->runs_at, c->host_len);
    assert_ptr_equal(cpu, rig.cpu);
}

static void test_listing(void **state)
{
    (void)state;
    rig.cpu->trace = (struct cpu_trace){.translated = hear};
    code_flush(rig.cpu->code);
    run_program();
    assert_int_equal(listed, 0); /* nobody asked */
    rig.log.mask |= LOG_OUT;
    code_flush(rig.cpu->code);
    const uint64_t blocks = rig.cpu->stats.translated_blocks;
    run_program();
    assert_int_equal(listed, rig.cpu->stats.translated_blocks - blocks);
    assert_true(listed > 0);
}

static int setup(void **state)
{
    (void)state;
    rig_open_with(&rig, "max", RIG_RAM_BYTES, 1, false);
    rig_put(&rig, CODE, program, sizeof program);
    memset(&rig.cpu->stats, 0, sizeof rig.cpu->stats);
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
        cmocka_unit_test_setup_teardown(test_instructions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_crossing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_edge_within_a_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
