/*
 * Code that changes while it is cached, and exactness: stores into the running block and into
 * others, through aliases, by DMA, into the second page of an instruction, and by remapping; runs
 * cut into pieces of any size; single steps; what a fault leaves behind in the middle of REP or of
 * an access that crosses pages; interrupts and their shadows.
 *
 * Guest programs are assembled into this file; they are 64-bit code at CPL 0.
 */
#include "insn_rig.h"

#define CODE   UINT64_C(0x50000) /* identity-mapped */
#define DATA   UINT64_C(0x60000)
#define STACK  UINT64_C(0x78000)
#define HIGH   UINT64_C(0x40000000) /* where tests map what they like ... */
#define FRAMES UINT64_C(0x200000)   /* ... to these pages */

static struct rig rig;

#define PROGRAM(name, text)                    \
    extern const uint8_t name[], name##_end[]; \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")

static void begin(void)
{
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    for (unsigned i = 0; i < 16; i++)
        rig.cpu->r[i] = 0;
    rig.cpu->r[REG_RSP] = STACK;
    cpu_set_rflags(rig.cpu, FLAG_1);
    rig.cpu->rip = CODE;
    rig.cpu->halted = false;
}

static void put_code(gpa_t at, const uint8_t *from, const uint8_t *to)
{
    rig_put(&rig, at, from, (size_t)(to - from));
}
#define LOAD(at, name) put_code(at, name, name##_end)

static uint64_t reg(unsigned n)
{
    return rig.cpu->r[n];
}

/* Runs until HLT. */
static void run_to_halt(void)
{
    rig.cpu->halted = false;
    rig_run(&rig, 10000000);
    assert_true(rig.cpu->halted);
}

static struct rig_event run_to_event(uint64_t n)
{
    rig.cpu->halted = false;
    rig_run(&rig, n);
    return rig_event(&rig);
}

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
