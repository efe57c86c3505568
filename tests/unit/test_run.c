/*
 * The run loop's promises: not one instruction more than asked for, whatever is delivered on the
 * way, and a state that is saved between any two of them goes on as if it had not been.
 */
#include "insn_rig.h"

#include "core/state.h"
#include "cpu/debug.h"

static struct rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}
static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void put_code(const void *code, size_t n)
{
    rig_put(&rig, RIG_FREE, code, n);
    rig.cpu->rip = RIG_FREE;
    rig.cpu->r[REG_RSP] = RIG_STACK0;
}

/* Runs n more; returns how many were. */
static uint64_t run(uint64_t n)
{
    const uint64_t start = cpu_icount(rig.cpu);
    rig_run(&rig, n);
    return cpu_icount(rig.cpu) - start;
}

static void save_reset_load(void)
{
    struct state save, load;
    state_init_save(&save);
    cpu_state(rig.cpu, &save);
    cpu_reset(rig.cpu, false);
    state_init_load(&load, save.buf, save.len);
    cpu_state(rig.cpu, &load);
    assert_string_equal(load.err.msg, "");
    cpu_loaded(rig.cpu);
    state_free(&load);
    state_free(&save);
}

/* A trap counts as an instruction: it waits for the next budget when this one is used up. */
static void test_trap_waits(void **state)
{
    static const uint8_t nops[] = {0x90, 0x90, 0x90};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    put_code(nops, sizeof nops);
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
    assert_int_equal(run(1), 1);
    assert_int_equal(rig.cpu->rip, RIG_FREE + 1);
    save_reset_load(); /* the pending trap is part of the state */
    assert_int_equal(run(1), 1);
    const struct rig_event ev = rig_event(&rig);
    assert_int_equal(ev.vector, VEC_DB);
    assert_int_equal(ev.rip, RIG_FREE + 1);
}

/* ... also behind HLT, which it ends. */
static void test_trap_behind_hlt(void **state)
{
    static const uint8_t hlt[] = {0xf4};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    put_code(hlt, sizeof hlt);
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_TF);
    assert_int_equal(run(1), 1);
    assert_true(cpu_has_work(rig.cpu));
    assert_int_equal(run(1), 1);
    assert_int_equal(rig_event(&rig).vector, VEC_DB);
    assert_false(rig.cpu->halted);
}

static int take_interrupt(void *opaque)
{
    cpu_set_intr(opaque, 0, 0);
    return 0x40;
}

/* An interrupt that finds no budget is not taken yet. */
static void test_interrupt_waits(void **state)
{
    static const uint8_t sti_nops[] = {0xfb, 0x90, 0x90};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig.cpu->hooks.intr_ack = take_interrupt;
    rig.cpu->hooks.opaque = rig.cpu;
    put_code(sti_nops, sizeof sti_nops);
    cpu_set_intr(rig.cpu, 0, 1);
    assert_int_equal(run(2), 2); /* STI and the one in its shadow */
    assert_int_equal(rig.cpu->rip, RIG_FREE + 2);
    assert_int_equal(run(1), 1);
    assert_int_equal(rig_event(&rig).vector, 0x40);
}

/* #UD whose gate is not present: #NP, whose is not either: #DF. All of it is one instruction. */
static void test_nested_faults(void **state)
{
    static const uint8_t ud2[] = {0x0f, 0x0b};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    put_code(ud2, sizeof ud2);
    rig_at(&rig, RIG_IDT32 + VEC_UD * 8)[5] = 0x0e;
    rig_at(&rig, RIG_IDT32 + VEC_NP * 8)[5] = 0x0e;
    assert_int_equal(run(1), 1);
    assert_int_equal(rig_event(&rig).vector, VEC_DF);
    rig_tables(&rig);
}

/* The shadow of STI ends with the exception that comes in it: a shut-down CPU hears an NMI. */
static void test_shadow_ends(void **state)
{
    static const uint8_t sti_nop[] = {0xfb, 0x90};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    put_code(sti_nop, sizeof sti_nop);
    rig.cpu->idtr.limit = VEC_NMI * 8 + 7; /* DB, and not even DF */
    rig_at(&rig, RIG_IDT32 + VEC_DB * 8)[5] = 0x0e;
    rig.cpu->dr[0] = RIG_FREE + 1;
    rig.cpu->dr7 = 0x401;
    run(2);
    assert_true(rig.cpu->halted);
    assert_false(rig.cpu->shadow);
    cpu_set_nmi(rig.cpu, 0, 1);
    assert_int_equal(run(1), 1);
    assert_int_equal(rig_event(&rig).vector, VEC_NMI);
    rig_tables(&rig);
}

/* Where the address space ends, behind which there is its beginning. */
static void test_data_breakpoint_on_the_last_page(void **state)
{
    const gla_t last = UINT64_MAX & PAGE_MASK;
    (void)state;
    rig.cpu->dr[0] = UINT64_MAX - 7;
    rig.cpu->dr7 = UINT64_C(0x90402); /* enabled, writes, 8 bytes */
    assert_true(debug_page_watched(rig.cpu, last));
    assert_false(debug_page_watched(rig.cpu, 0));
    assert_false(debug_page_watched(rig.cpu, last - PAGE_SIZE));
    rig.cpu->dr[0] = 0;
    assert_true(debug_page_watched(rig.cpu, 0));
    assert_false(debug_page_watched(rig.cpu, last));
    rig.cpu->dr7 = 0x400;
}

/* Whether an interrupt comes between two iterations of REP shows in the RF it pushes. */
static void test_rep_state(void **state)
{
    static const uint8_t rep_stosb[] = {0xf3, 0xaa};
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    rig.cpu->hooks.intr_ack = take_interrupt;
    rig.cpu->hooks.opaque = rig.cpu;
    put_code(rep_stosb, sizeof rep_stosb);
    cpu_set_rflags(rig.cpu, FLAG_1 | FLAG_IF);
    rig.cpu->r[REG_RDI] = RIG_FREE + 0x1000;
    rig.cpu->r[REG_RCX] = 10;
    assert_int_equal(run(3), 3);
    assert_int_equal(rig.cpu->r[REG_RCX], 7);
    save_reset_load();
    cpu_set_intr(rig.cpu, 0, 1);
    run(1);
    const struct rig_event ev = rig_event(&rig);
    assert_int_equal(ev.vector, 0x40);
    assert_int_equal(ev.rip, RIG_FREE);
    assert_int_equal(ev.rflags & FLAG_RF, FLAG_RF);
}

/* However many string instructions follow each other without a look at the loop, none of them
 * leaves anything on the host's stack. */
static void test_many_strings(void **state)
{
    (void)state;
    /* std, for the handler: 1: mov $1, %ecx; mov $60000h, %edi; repne scasb; dec %ebx; jnz 1b; hlt
     */
    static const uint8_t code[] = {0xfd, 0xb9, 1,    0,    0,    0,    0xbf, 0,    0,
                                   6,    0,    0xf2, 0xae, 0xff, 0xcb, 0x75, 0xf0, 0xf4};
    const unsigned n = 400000;
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    put_code(code, sizeof code);
    rig.cpu->r[REG_RBX] = n;
    rig.cpu->r[REG_RAX] = 1;
    assert_int_equal(run(10 * (uint64_t)n), 5 * (uint64_t)n + 2);
    assert_true(rig.cpu->halted);
}

static unsigned stops;
static gla_t stopped_at;

static bool note_stop(void *opaque, int why, gla_t at)
{
    (void)opaque;
    stops += why == CPU_STOP_WATCHPOINT;
    stopped_at = at;
    return stops != 1; /* the first time nobody has time for it */
}

/* A debugger's watchpoint: what is told lies in it, wherever the access began; and it is told until
 * somebody listens. */
static void test_watchpoint(void **state)
{
    (void)state;
    static const uint8_t code[] = {0x48, 0x89, 0x03, 0x90, 0x90, 0x90}; /* mov %rax, (%rbx) */
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    put_code(code, sizeof code);
    rig.cpu->hooks.debug_stop = note_stop;
    rig.cpu->watch[0] = (struct cpu_watch){.at = 0x60004, .len = 2, .kind = 1};
    rig.cpu->watchpoints = 1;
    cpu_flush_tlb(rig.cpu);
    rig.cpu->r[REG_RBX] = 0x60000;
    run(1);
    run(1);
    assert_int_equal(stops, 2);
    assert_int_equal(stopped_at, 0x60004);
    rig.cpu->watchpoints = 0;
    cpu_flush_tlb(rig.cpu);
    rig.cpu->hooks.debug_stop = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trap_waits),
        cmocka_unit_test(test_trap_behind_hlt),
        cmocka_unit_test(test_interrupt_waits),
        cmocka_unit_test(test_nested_faults),
        cmocka_unit_test(test_many_strings),
        cmocka_unit_test(test_rep_state),
        cmocka_unit_test(test_data_breakpoint_on_the_last_page),
        cmocka_unit_test(test_shadow_ends),
        cmocka_unit_test(test_watchpoint),
    };
    return cmocka_run_group_tests(tests, open_rig, close_rig);
}
