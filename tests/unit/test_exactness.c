/*
 * Exactness, whatever is cached: runs cut into pieces of any size; single steps; what a fault
 * leaves behind in the middle of REP or of an access that crosses pages; interrupts and their
 * shadows; jumps that are remembered.
 */
#include "program_rig.h"
#include "seed.h"

/* --- pieces --- */

/* Arithmetic, calls, strings, stores into code, exceptions; everything ends in memory. */
PROGRAM(mixture, "mov $40, %ebp\n"
                 "1: lea 0x60000, %rdi\n"
                 "mov %rbp, %rax\n"
                 "imul $0x1234567, %rax, %rbx\n"
                 "mov %rbx, (%rdi,%rbp,8)\n"
                 "xor %rbx, %r8\n"
                 "adc %rbp, %r9\n"
                 "rcl $3, %r8\n"
                 "lea 0x60100, %rsi\n"
                 "lea 0x60103, %rdi\n"
                 "mov $37, %ecx\n"
                 "rep movsb\n"
                 "mov $9, %ecx\n"
                 "rep stosq\n"
                 "incb 3f+3(%rip)\n" /* into a block to come */
                 "call 2f\n"
                 "push %rax\n"
                 "pop %r10\n"
                 "add %r10, %r11\n"
                 "ud2\n"
                 "cmp $20, %ebp\n"
                 "jne 5f\n"
                 "movb $0xe9, 4f+1(%rip)\n" /* into the running one: ADD becomes SUB */
                 "nop\n"
                 "4: add %ebp, %ecx\n"
                 "5: lea 0x60000, %rsi\n"
                 "lea 0x60008, %rdi\n"
                 "mov $60, %ecx\n"
                 "repe cmpsb\n"
                 "add %rcx, %r12\n"
                 "dec %ebp\n"
                 "jnz 1b\n"
                 "pushfq\n"
                 "andl $~0x100, (%rsp)\n" /* no trap behind HLT, which would leave it */
                 "popfq\n"
                 "hlt\n"
                 ".balign 64\n"
                 "2: 3: .byte 0x48, 0x8d, 0x40, 0\n" /* lea 0(%rax), %rax */
                 "bt $5, %rax\n"
                 "jnc 6f\n"
                 "not %rax\n"
                 "6: ret\n");
PROGRAM(skip_two, "addq $2, (%rsp)\n"
                  "incq 0x60800\n"
                  "iretq\n");

struct snapshot {
    uint64_t r[16], rip, rflags, icount;
    uint8_t code[512], data[PAGE_SIZE];
};

static void snapshot(struct snapshot *s)
{
    memcpy(s->r, rig.cpu->r, sizeof s->r);
    s->rip = rig.cpu->rip;
    s->rflags = cpu_get_rflags(rig.cpu);
    s->icount = cpu_icount(rig.cpu);
    memcpy(s->code, rig_at(&rig, CODE), sizeof s->code);
    memcpy(s->data, rig_at(&rig, DATA), sizeof s->data);
}

static void begin_mixture(bool tf)
{
    begin();
    LOAD(CODE, mixture);
    LOAD(RIG_HANDLERS + VEC_UD * 16, skip_two);
    memset(rig_at(&rig, DATA), 0x11, PAGE_SIZE);
    if (tf)
        cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
}

static void check_pieces(bool tf)
{
    static struct snapshot whole, piece, at_end[64];
    begin_mixture(tf);
    uint64_t start = cpu_icount(rig.cpu);
    rig_run(&rig, 1000000);
    assert_true(rig.cpu->halted);
    snapshot(&whole);
    const uint64_t total = whole.icount - start;
    whole.icount = total;
    assert_true(total > 5000);

    rng_state = test_seed(rng_state);
    for (unsigned k = 1; k < 20; k++) {
        begin_mixture(tf);
        start = cpu_icount(rig.cpu);
        uint64_t due = start;
        while (!rig.cpu->halted) {
            const unsigned n = 1 + below(k);
            due = MAX(due, cpu_icount(rig.cpu)) + n;
            cpu_set_end(rig.cpu, due);
            cpu_run(rig.cpu);
            /* the budget is kept to the instruction; a trap behind one counts as another */
            if (!rig.cpu->halted)
                assert_in_range(cpu_icount(rig.cpu), due, due + (tf ? 1 : 0));
        }
        snapshot(&piece);
        piece.icount -= start;
        assert_memory_equal(&piece, &whole, sizeof whole);
    }
    /* the state in between is the same, too, however one gets there */
    for (unsigned pass = 0; pass < 2; pass++) {
        begin_mixture(tf);
        start = cpu_icount(rig.cpu);
        for (unsigned i = 0; i < ARRAY_SIZE(at_end); i++) {
            const uint64_t stop = start + total * (i + 1) / (ARRAY_SIZE(at_end) + 1);
            while (cpu_icount(rig.cpu) < stop) {
                const uint64_t left = stop - cpu_icount(rig.cpu);
                rig_run(&rig, pass ? 1 : left);
            }
            snapshot(&piece);
            piece.icount -= start;
            if (pass)
                assert_memory_equal(&piece, &at_end[i], sizeof piece);
            at_end[i] = piece;
        }
    }
}

static void test_pieces(void **state)
{
    (void)state;
    check_pieces(false);
}

/* --- single steps --- */

PROGRAM(count_steps, "push %rax\n"
                     "incq 0x60900\n"
                     "mov 8(%rsp), %rax\n"
                     "xor %rax, 0x60908\n" /* where it stopped */
                     "pop %rax\n"
                     "iretq\n");

static void test_pieces_with_steps(void **state)
{
    (void)state;
    begin();
    LOAD(RIG_HANDLERS + VEC_DB * 16, count_steps);
    check_pieces(true);
    assert_true(ld64(rig_at(&rig, DATA + 0x900)) > 5000);
}

PROGRAM(traced, "pushfq\n"
                "orl $0x100, (%rsp)\n"
                "popfq\n"          /* no trap behind this one */
                "nop\n"            /* 1 */
                "mov $3, %ecx\n"   /* 2 */
                "rep movsb\n"      /* 3, 4, 5: each repetition */
                "mov %ss, %eax\n"  /* 6 */
                "mov %eax, %ss\n"  /* none: the shadow */
                "nop\n"            /* 7 */
                "cmp %eax, %eax\n" /* 8 */
                "je 1f\n"          /* 9 */
                "hlt\n"
                "1: pushfq\n"            /* 10 */
                "andl $~0x100, (%rsp)\n" /* 11 */
                "popfq\n"                /* 12: TF was set when it began */
                "hlt\n");

static void test_single_step(void **state)
{
    (void)state;
    begin();
    LOAD(CODE, traced);
    LOAD(RIG_HANDLERS + VEC_DB * 16, count_steps);
    st64(rig_at(&rig, DATA + 0x900), 0);
    rig.cpu->r[REG_RSI] = rig.cpu->r[REG_RDI] = DATA;
    run_to_halt();
    assert_int_equal(ld64(rig_at(&rig, DATA + 0x900)), 12);
    assert_int_equal(rig.cpu->dr6 & 0xf00f, 0x4000); /* BS */

    /* one by one: its trap counts as the second, and its frame has the next instruction and TF */
    begin();
    st16(rig_at(&rig, RIG_HANDLERS + VEC_DB * 16), 0xfeeb);
    ram_note_write(&rig.ram, rig.main.ram + RIG_HANDLERS + VEC_DB * 16, 2);
    rig_put(&rig, CODE, "\x90\xff\xc0", 3);
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
    struct rig_event ev = run_to_event(2);
    assert_int_equal(ev.vector, VEC_DB);
    assert_int_equal(ev.rip, CODE + 1);
    assert_int_equal(ev.rflags & (FLAG_TF | FLAG_RF), FLAG_TF);
    assert_int_equal(cpu_get_rflags(rig.cpu) & FLAG_TF, 0);
    /* an exception instead of the trap: the instruction did not complete */
    begin();
    rig_put(&rig, CODE, "\x0f\x0b", 2);
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
    ev = run_to_event(1);
    assert_int_equal(ev.vector, VEC_UD);
    assert_int_equal(ev.rip, CODE);
    assert_int_equal(ev.rflags & FLAG_TF, FLAG_TF);
    /* INT n: no trap behind it, its handler runs without TF (SDM 3B §17.3.1.4) */
    begin();
    rig_put(&rig, CODE, "\xcd\x40", 2);
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
    ev = run_to_event(1);
    assert_int_equal(ev.vector, 0x40);
    assert_int_equal(ev.rip, CODE + 2);
}

/* --- faults in the middle --- */

static void test_fault_in_rep(void **state)
{
    (void)state;
    static const struct {
        uint8_t code[3];
        unsigned size;
        bool back;   /* DF */
        bool source; /* the source runs out, not the destination */
        bool moves_source;
    } cases[] = {
        {{0xf3, 0xa4}, 1, false, false, true},       {{0xf3, 0xa4}, 1, false, true, true},
        {{0xf3, 0xa5}, 4, false, false, true},       {{0xf3, 0x48, 0xa5}, 8, false, true, true},
        {{0xf3, 0xa4}, 1, true, false, true},        {{0xf3, 0xa5}, 4, true, true, true},
        {{0xf3, 0xaa}, 1, false, false, false},      {{0xf3, 0x48, 0xab}, 8, false, false, false},
        {{0xf3, 0x48, 0xab}, 8, true, false, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const unsigned size = cases[i].size, fits = 5;
        begin();
        rig_map(&rig, HIGH + PAGE_SIZE, FRAMES, RIG_P | RIG_W); /* nothing around it */
        memset(rig_at(&rig, FRAMES), 0xee, PAGE_SIZE);
        memset(rig_at(&rig, DATA), 0x33, PAGE_SIZE);
        rig_put(&rig, CODE, cases[i].code, 3);
        const gla_t edge = cases[i].back ? HIGH + PAGE_SIZE + (fits - 1) * size
                                         : HIGH + 2 * PAGE_SIZE - fits * size;
        const gla_t cr2 = cases[i].back ? HIGH + PAGE_SIZE - size : HIGH + 2 * PAGE_SIZE;
        rig.cpu->r[REG_RSI] = cases[i].source ? edge : DATA + 0x800;
        rig.cpu->r[REG_RDI] = cases[i].source ? DATA + 0x800 : edge;
        rig.cpu->r[REG_RCX] = 20;
        const uint64_t rsi = reg(REG_RSI), rdi = reg(REG_RDI);
        cpu_set_rflags(rig.cpu, FLAG_1 | (cases[i].back ? FLAG_DF : 0));
        const uint64_t start = cpu_icount(rig.cpu);
        const struct rig_event ev = run_to_event(fits + 1);
        assert_int_equal(ev.vector, VEC_PF);
        assert_int_equal(ev.rip, CODE);
        assert_int_equal(ev.error, cases[i].source ? 0 : 2);
        assert_int_equal(rig.cpu->cr2, cr2);
        assert_int_equal(cpu_icount(rig.cpu) - start, fits + 1);
        const uint64_t moved = cases[i].back ? (uint64_t)0 - fits * size : fits * size;
        assert_int_equal(reg(REG_RCX), 20 - fits);
        assert_int_equal(reg(REG_RSI), rsi + (cases[i].moves_source ? moved : 0));
        assert_int_equal(reg(REG_RDI), rdi + moved);
        assert_true(ev.rflags & FLAG_RF);
    }
    /* an element that crosses into nothing is not begun */
    begin();
    rig_map(&rig, HIGH, FRAMES, RIG_P | RIG_W);
    memset(rig_at(&rig, FRAMES), 0xee, PAGE_SIZE);
    rig_put(&rig, CODE, "\xf3\x48\xab", 3);
    rig.cpu->r[REG_RDI] = HIGH + PAGE_SIZE - 12;
    rig.cpu->r[REG_RCX] = 3;
    const struct rig_event ev = run_to_event(2);
    assert_int_equal(ev.vector, VEC_PF);
    assert_int_equal(rig.cpu->cr2, HIGH + PAGE_SIZE);
    assert_int_equal(reg(REG_RDI), HIGH + PAGE_SIZE - 4);
    assert_int_equal(reg(REG_RCX), 2);
    assert_int_equal(ld32(rig_at(&rig, FRAMES + PAGE_SIZE - 4)), 0xeeeeeeee);
    assert_int_equal(ld64(rig_at(&rig, FRAMES + PAGE_SIZE - 12)), 0);
}

/* Accesses that cross pages: nothing is written if either may not be; CR2 is the byte at fault. */
static void test_crossing_data(void **state)
{
    (void)state;
    static const struct {
        uint8_t code[8];
        unsigned len, size; /* operand at (%rdi) */
        bool writes;
    } cases[] = {
        {{0x66, 0x89, 0x07}, 3, 2, true},             /* mov %ax, (%rdi) */
        {{0x89, 0x07}, 2, 4, true},                   /* mov %eax, (%rdi) */
        {{0x48, 0x89, 0x07}, 3, 8, true},             /* mov %rax, (%rdi) */
        {{0x48, 0x01, 0x07}, 3, 8, true},             /* add %rax, (%rdi) */
        {{0x48, 0xd1, 0x27}, 3, 8, true},             /* shlq (%rdi) */
        {{0xf0, 0x48, 0x0f, 0xb1, 0x0f}, 5, 8, true}, /* lock cmpxchg %rcx, (%rdi) */
        {{0x48, 0x87, 0x07}, 3, 8, true},             /* xchg %rax, (%rdi) */
        {{0x48, 0x0f, 0xc1, 0x07}, 4, 8, true},       /* xadd %rax, (%rdi) */
        {{0x0f, 0xc7, 0x0f}, 3, 8, true},             /* cmpxchg8b (%rdi) */
        {{0x0f, 0x11, 0x07}, 3, 16, true},            /* movups %xmm0, (%rdi) */
        {{0xdd, 0x37}, 2, 108, true},                 /* fnsave (%rdi) */
        {{0xdb, 0x3f}, 2, 10, true},                  /* fstpt (%rdi) */
        {{0x8f, 0x07}, 2, 8, true},                   /* pop (%rdi) */
        {{0x48, 0x8b, 0x07}, 3, 8, false},            /* mov (%rdi), %rax */
        {{0xff, 0x37}, 2, 8, false},                  /* push (%rdi) */
        {{0x0f, 0x10, 0x07}, 3, 16, false},           /* movups (%rdi), %xmm0 */
        {{0xdb, 0x2f}, 2, 10, false},                 /* fldt (%rdi) */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned missing = 0; missing < 2; missing++) { /* first or second page */
            for (unsigned present = 0; present <= cases[i].writes; present++) { /* read-only */
                begin();
                rig.cpu->cr4 |= CR4_OSFXSR;
                const uint64_t bad = present ? RIG_P : 0, good = RIG_P | RIG_W;
                rig_map(&rig, HIGH, FRAMES, missing == 0 ? bad : good);
                rig_map(&rig, HIGH + PAGE_SIZE, FRAMES + PAGE_SIZE, missing == 1 ? bad : good);
                cpu_update_mode(rig.cpu);
                memset(rig_at(&rig, FRAMES), 0x5a, 2 * PAGE_SIZE);
                rig_put(&rig, CODE, cases[i].code, cases[i].len);
                const gla_t at = HIGH + PAGE_SIZE - 1;
                for (unsigned k = 0; k < 16; k++)
                    if (k != REG_RSP)
                        rig.cpu->r[k] = 0x0101010101010101 * k;
                rig.cpu->r[REG_RDI] = at;
                uint64_t regs[16];
                memcpy(regs, rig.cpu->r, sizeof regs);
                const struct rig_event ev = run_to_event(1);
                assert_int_equal(ev.vector, VEC_PF);
                assert_int_equal(ev.rip, CODE);
                assert_int_equal(rig.cpu->cr2, missing ? HIGH + PAGE_SIZE : at);
                assert_int_equal(ev.error, (present ? 1 : 0) | (cases[i].writes ? 2 : 0));
                regs[REG_RSP] = ev.rsp;
                assert_int_equal(ev.rsp, STACK);
                rig.cpu->r[REG_RSP] = ev.rsp;
                assert_memory_equal(regs, rig.cpu->r, sizeof regs);
                for (unsigned k = 0; k < 2 * PAGE_SIZE; k++)
                    assert_int_equal(rig_at(&rig, FRAMES)[k], 0x5a);
            }
        }
    }
}

/* --- interrupts --- */

static unsigned acks;

static int ack(void *opaque)
{
    (void)opaque;
    acks++;
    cpu_set_intr(rig.cpu, 0, 0);
    return 0x50;
}

static void port_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    cpu_set_intr(rig.cpu, 0, value & 1);
}

static uint64_t port_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque;
    (void)offset;
    (void)size;
    return 0;
}

static const struct io_ops port_ops = {.read = port_read, .write = port_write};

static void test_interrupts(void **state)
{
    (void)state;
    struct io_region port = {.name = "test", .ops = &port_ops};
    iomap_add(&rig.io, &port, 0x80, 1);
    rig.cpu->hooks.intr_ack = ack;
    static const struct {
        uint8_t code[12];
        uint32_t flags;
        unsigned before; /* instructions that run before the interrupt */
        unsigned at;     /* where it is taken; AL = 1 */
    } cases[] = {
        {{0xe6, 0x80, 0x90, 0x90}, FLAG_IF, 1, 2}, /* out: at once */
        {{0x90, 0xe6, 0x80, 0x90}, FLAG_IF, 2, 3},
        {{0xe6, 0x80, 0x90, 0xfb, 0x90, 0x90}, 0, 4, 5},       /* sti: one more */
        {{0xe6, 0x80, 0xfb, 0xfb, 0x90}, 0, 3, 4},             /* a second one casts none */
        {{0xe6, 0x80, 0xfb, 0xfa, 0x90, 0xfb, 0x90}, 0, 6, 7}, /* sti; cli */
        {{0x8c, 0xd2, 0xe6, 0x80, 0xfb, 0x8e, 0xd2, 0x90, 0x90}, 0, 5, 8}, /* sti; mov ss */
        {{0xe6, 0x80, 0xfb, 0xf4, 0x90}, 0, 3, 4}, /* sti; hlt: out of the halt */
        {{0xe6, 0x80, 0x9d, 0x90, 0x90}, 0, 2, 3}, /* popf sets IF: no shadow */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        begin();
        rig_put(&rig, CODE, cases[i].code, sizeof cases[i].code);
        rig.cpu->r[REG_RAX] = 1;
        rig.cpu->r[REG_RSP] = STACK - 8;
        st64(rig_at(&rig, STACK - 8), FLAG_IF | FLAG_1);
        cpu_set_rflags(rig.cpu, FLAG_1 | cases[i].flags);
        acks = 0;
        const uint64_t start = cpu_icount(rig.cpu);
        struct rig_event ev = {.vector = -1};
        for (unsigned n = 0; n < 12 && ev.vector < 0; n++) {
            cpu_set_end(rig.cpu, cpu_icount(rig.cpu) + 1);
            cpu_run(rig.cpu);
            ev = rig_event(&rig);
        }
        assert_int_equal(ev.vector, 0x50);
        assert_int_equal(ev.rip, CODE + cases[i].at);
        assert_int_equal(acks, 1);
        assert_in_range(cpu_icount(rig.cpu) - start, cases[i].before, cases[i].before + 1);

        /* in one go it is the same */
        begin();
        rig.cpu->r[REG_RAX] = 1;
        rig.cpu->r[REG_RSP] = STACK - 8;
        st64(rig_at(&rig, STACK - 8), FLAG_IF | FLAG_1);
        cpu_set_rflags(rig.cpu, FLAG_1 | cases[i].flags);
        rig_run(&rig, 1000);
        rig_run(&rig, 1000);
        ev = rig_event(&rig);
        assert_int_equal(ev.vector, 0x50);
        assert_int_equal(ev.rip, CODE + cases[i].at);
    }
    iomap_del(&rig.io, &port);
}

PROGRAM(jump, "jmp *%rax\n");
PROGRAM(arrived, "hlt\n");

/* What is remembered of a jump is no answer for addresses that differ above bit 47 only. */
static void test_noncanonical_jump(void **state)
{
    (void)state;
    for (unsigned high = 1; high < 128; high++) {
        begin();
        LOAD(CODE, jump);
        LOAD(CODE + 0x100, arrived);
        rig.cpu->r[REG_RAX] = CODE + 0x100;
        run_to_halt();
        for (unsigned i = 0; i < high; i++)
            cpu_flush_tlb(rig.cpu);
        rig.cpu->rip = CODE;
        rig.cpu->r[REG_RAX] = (CODE + 0x100) ^ (uint64_t)high << 57;
        assert_int_equal(run_to_event(2).vector, VEC_GP);
    }
}

/* Nor are lines that hold nothing an answer for address 0. */
static void test_jump_to_zero(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 130; i++) {
        begin();
        code_flush(rig.cpu->code);
        cpu_flush_tlb(rig.cpu);
        LOAD(CODE, jump);
        LOAD(0, arrived);
        rig.cpu->r[REG_RAX] = 0;
        run_to_halt();
        assert_int_equal(rig.cpu->rip, 1);
    }
}

PROGRAM(two_blocks, "add $1, %eax\n"
                    "jmp 1f\n"
                    "nop\n"
                    "1: add $0x100, %eax\n"
                    "hlt\n");
PROGRAM(handler, "add $0x10000, %eax\n"
                 "iretq\n");

/* An interrupt, or a debugger's new RIP, between two blocks: neither is what the first goes on
 * with. */
static void test_between_blocks(void **state)
{
    (void)state;
    rig.cpu->hooks.intr_ack = ack;
    for (unsigned moved = 0; moved < 2; moved++) {
        begin();
        code_flush(rig.cpu->code);
        LOAD(CODE, two_blocks);
        LOAD(RIG_HANDLERS + 0x500, handler);
        cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_IF);
        rig_run(&rig, 2); /* behind the jump, which has never been followed */
        if (moved) {
            rig.cpu->rip = RIG_HANDLERS + 0x500;
            rig_run(&rig, 1);
        } else {
            cpu_set_intr(rig.cpu, 0, 1);
            run_to_halt();
            assert_int_equal(reg(REG_RAX), 0x10101);
        }
        rig.cpu->rip = CODE; /* not begin(): its TLB flush would cut the links */
        rig.cpu->r[REG_RAX] = 0;
        run_to_halt();
        assert_int_equal(reg(REG_RAX), 0x101);
    }
    rig_tables(&rig); /* the handler was overwritten */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_pieces_with_steps),
        cmocka_unit_test(test_single_step),
        cmocka_unit_test(test_fault_in_rep),
        cmocka_unit_test(test_crossing_data),
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_noncanonical_jump),
        cmocka_unit_test(test_jump_to_zero),
        cmocka_unit_test(test_between_blocks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
