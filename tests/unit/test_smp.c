/*
 * Two CPUs that share a memory, taken in turns by hand: code that one changes and the other has
 * decoded, marks of code pages that both hold, changes of the memory map, INIT and SIPI, MONITOR
 * and MWAIT, PAUSE.
 */
#include "insn_rig.h"

#include "cpu/block.h"

#define CODE  UINT64_C(0x50000) /* identity-mapped */
#define DATA  UINT64_C(0x60000)
#define STACK UINT64_C(0x78000)

static struct rig rig;
static struct cpu *cpus[2];
static unsigned pauses, wakes;
static uint64_t apic_base_of_1;

static void on_pause(void *opaque)
{
    (void)opaque;
    pauses++;
}

static void on_woken(void *opaque)
{
    (void)opaque;
    wakes++;
}

GENERAL_ONLY static uint64_t apic_base(void *opaque)
{
    (void)opaque;
    return apic_base_of_1;
}

static int open_rig(void **state)
{
    (void)state;
    struct error err = {0};
    rig_open_sized(&rig, "max,+monitor", RIG_RAM_BYTES);
    cpus[0] = rig.cpu;
    const struct cpu_config cfg = {
        .mem = &rig.mem,
        .io = &rig.io,
        .time = &rig.time,
        .door = &rig.door,
        .log = &rig.log,
        .model = "max,+monitor",
        .index = 1,
        .tsc_hz = 1000000000,
        .hooks = {.pause = on_pause, .woken = on_woken, .apic_base = apic_base},
    };
    cpus[1] = cpu_create(&cfg, &err);
    assert_non_null(cpus[1]);
    pauses = wakes = 0;
    apic_base_of_1 = 0xFEE00800;
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    cpu_destroy(cpus[1]);
    rig.cpu = cpus[0];
    rig_close(&rig);
    return 0;
}

#define PROGRAM(name, text)                    \
    extern const uint8_t name[], name##_end[]; \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n")
#define LOAD(at, name) rig_put(&rig, at, name, (size_t)(name##_end - name))

/* CPU n in 64-bit mode at rip. */
static void start(unsigned n, uint64_t rip)
{
    rig.cpu = cpus[n];
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig.cpu->wait_sipi = false;
    for (unsigned i = 0; i < 16; i++)
        rig.cpu->r[i] = 0;
    rig.cpu->r[REG_RSP] = STACK - 0x1000 * n;
    cpu_set_rflags(rig.cpu, FLAG_1);
    rig.cpu->rip = rip;
    rig.cpu->halted = false;
}

static void run(unsigned n, uint64_t instructions)
{
    rig.cpu = cpus[n];
    rig_run(&rig, instructions);
}

static bool marked(uint64_t at)
{
    return ram_flags(&rig.ram, at) & RAM_CODE;
}

/* --- code --- */

PROGRAM(count, "1: inc %rax\n"
               "jmp 1b\n");
PROGRAM(patcher, "movb $0xc8, 0x50002\n" /* INC RAX becomes DEC RAX */
                 "hlt\n");

/* A store is seen by the other CPU's next instruction, in the middle of its block too. */
static void test_cross_modifying(void **state)
{
    (void)state;
    LOAD(CODE, count);
    LOAD(CODE + 0x1000, patcher);
    start(0, CODE);
    run(0, 1001); /* it stops in front of the jump */
    assert_int_equal(cpus[0]->r[REG_RAX], 501);
    start(1, CODE + 0x1000);
    run(1, 10);
    assert_true(cpus[1]->halted);
    run(0, 3);
    assert_int_equal(cpus[0]->r[REG_RAX], 500);
}

PROGRAM(store_once, "mov %al, (%rdi)\n"
                    "hlt\n");

/* A write line that was filled before the other CPU decoded the page. */
static void test_write_line_before_code(void **state)
{
    (void)state;
    LOAD(CODE, count);
    LOAD(CODE + 0x1000, store_once);
    start(1, CODE + 0x1000);
    cpus[1]->r[REG_RDI] = CODE + 0x800; /* the same page, beside the code */
    run(1, 10);
    assert_true(cpus[1]->halted);
    start(0, CODE);
    run(0, 101);
    assert_true(marked(CODE));
    start(1, CODE + 0x1000);
    cpus[1]->r[REG_RDI] = CODE + 2;
    cpus[1]->r[REG_RAX] = 0xc8;
    run(1, 10);
    run(0, 1);
    const uint64_t before = cpus[0]->r[REG_RAX];
    run(0, 4);
    assert_int_equal(cpus[0]->r[REG_RAX], before - 2);
}

/* The page stays marked until neither CPU has code of it. */
static void test_shared_page(void **state)
{
    (void)state;
    LOAD(CODE, count);
    LOAD(CODE + 0x40, count);
    start(0, CODE);
    run(0, 10);
    start(1, CODE + 0x40);
    run(1, 10);
    assert_true(marked(CODE));
    code_flush(cpus[0]->code);
    assert_true(marked(CODE));
    ram_note_write(&rig.ram, CODE + 0x40, 1); /* DMA drops what CPU 1 has */
    assert_false(marked(CODE));
    run(0, 10);
    assert_true(marked(CODE));
    ram_note_write(&rig.ram, CODE, 1);
    assert_false(marked(CODE));
}

/* DMA into code that both have decoded reaches both. */
static void test_dma(void **state)
{
    (void)state;
    static const uint8_t dec[] = {0x48, 0xff, 0xc8};
    LOAD(CODE, count);
    for (unsigned n = 0; n < 2; n++) {
        start(n, CODE);
        run(n, 100);
        assert_int_equal(cpus[n]->r[REG_RAX], 50);
    }
    assert_true(memmap_dma_write(&rig.mem, CODE, dec, sizeof dec));
    for (unsigned n = 0; n < 2; n++) {
        run(n, 100);
        assert_int_equal(cpus[n]->r[REG_RAX], 0);
    }
}

/* The code cache of one that is gone is looked for no more. */
static void test_leaving(void **state)
{
    (void)state;
    struct error err = {0};
    LOAD(CODE, count);
    const struct cpu_config cfg = {.mem = &rig.mem,
                                   .io = &rig.io,
                                   .time = &rig.time,
                                   .door = &rig.door,
                                   .log = &rig.log,
                                   .index = 2,
                                   .tsc_hz = 1};
    struct cpu *third = cpu_create(&cfg, &err);
    assert_non_null(third);
    assert_ptr_equal(cpu_first(&rig.ram), cpus[0]);
    assert_ptr_equal(cpus[1]->next, third);
    cpu_destroy(third);
    assert_null(cpus[1]->next);
    start(0, CODE);
    run(0, 10);
    ram_note_write(&rig.ram, CODE, 1);
    assert_false(marked(CODE));
}

/* --- the map --- */

PROGRAM(load_loop, "1: mov (%rdi), %rax\n"
                   "jmp 1b\n");

static uint64_t io_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)opaque, (void)offset, (void)size;
    return 0x1234;
}

static void io_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)opaque, (void)offset, (void)value, (void)size;
}

/* A region that appears is seen by both, whatever their TLBs hold. */
static void test_map_change(void **state)
{
    (void)state;
    static const struct io_ops ops = {
        .read = io_read, .write = io_write, .min_size = 1, .max_size = 8};
    struct mem_region r = {0};
    LOAD(CODE, load_loop);
    st64(ram_host(&rig.ram, DATA), 77);
    for (unsigned n = 0; n < 2; n++) {
        start(n, CODE);
        cpus[n]->r[REG_RDI] = DATA;
        run(n, 10);
        assert_int_equal(cpus[n]->r[REG_RAX], 77);
    }
    mem_region_init_io(&r, "io", &ops, NULL, PAGE_SIZE);
    memmap_add(&rig.mem, &r, DATA, 1);
    for (unsigned n = 0; n < 2; n++) {
        run(n, 10);
        assert_int_equal(cpus[n]->r[REG_RAX], 0x1234);
    }
    memmap_del(&rig.mem, &r);
    for (unsigned n = 0; n < 2; n++) {
        run(n, 10);
        assert_int_equal(cpus[n]->r[REG_RAX], 77);
    }
}

/* --- starting and stopping --- */

static void test_init_and_sipi(void **state)
{
    (void)state;
    struct cpu *ap = cpus[1];
    cpu_reset(ap, false);
    assert_true(ap->wait_sipi);
    assert_false(cpu_has_work(ap));
    assert_false(cpus[0]->wait_sipi);
    cpu_set_nmi(ap, 0, 1); /* waits, as all but a SIPI does */
    assert_false(cpu_has_work(ap));

    /* SIPI: CS = vector * 100h, IP 0; a second one has no effect. */
    static const uint8_t hlt_at_9000[] = {0x40, 0xf4}; /* INC AX; HLT */
    rig_put(&rig, 0x9000, hlt_at_9000, sizeof hlt_at_9000);
    cpu_set_init(ap, 0, 1); /* takes the NMI with it */
    cpu_set_sipi(ap, 9);
    assert_int_equal(wakes, 3);
    assert_true(cpu_has_work(ap));
    run(1, 10);
    assert_true(ap->halted);
    assert_int_equal(ap->seg[SEG_CS].sel, 0x900);
    assert_int_equal(ap->seg[SEG_CS].base, 0x9000);
    assert_int_equal(ap->rip, 2);
    assert_int_equal(ap->r[REG_RAX], 1);
    cpu_set_sipi(ap, 8);
    run(1, 10);
    assert_true(ap->halted);
    assert_int_equal(ap->seg[SEG_CS].sel, 0x900);

    /* INIT while halted; a SIPI from before it is lost. */
    cpu_set_sipi(ap, 8);
    cpu_set_init(ap, 0, 1);
    run(1, 10);
    assert_true(ap->wait_sipi);
    assert_int_equal(ap->rip, 0xfff0);
    assert_false(ap->halted);
    cpu_set_sipi(ap, 9);
    run(1, 1);
    assert_int_equal(ap->r[REG_RAX], 1);
}

/* The one with the BSP flag starts at the reset vector after INIT. */
static void test_init_of_the_bsp(void **state)
{
    (void)state;
    apic_base_of_1 = 0xFEE00900;
    cpu_set_init(cpus[1], 0, 1);
    cpus[1]->events |= EV_STOP;
    cpu_run(cpus[1]);
    assert_false(cpus[1]->wait_sipi);
    assert_int_equal(cpus[1]->rip, 0xfff0);
}

/* --- waiting for a store --- */

PROGRAM(wait_line, "mov %rdi, %rax\n"
                   "xor %ecx, %ecx\n"
                   "xor %edx, %edx\n"
                   "monitor\n"
                   "mov %rsi, %rcx\n"
                   "xor %eax, %eax\n"
                   "mwait\n"
                   "inc %rbx\n"
                   "cli\n"
                   "hlt\n");

static void wait_on(uint64_t at, uint64_t hints)
{
    LOAD(CODE, wait_line);
    start(1, CODE);
    cpus[1]->r[REG_RDI] = at;
    cpus[1]->r[REG_RSI] = hints;
    run(1, 100);
}

static void test_mwait(void **state)
{
    (void)state;
    LOAD(CODE + 0x1000, store_once);
    wait_on(DATA + 0x48, 0);
    assert_int_equal(cpus[1]->r[REG_RBX], 0);
    assert_false(cpu_has_work(cpus[1]));
    /* a store beside the line does not count, one into it does */
    for (unsigned in = 0; in < 2; in++) {
        start(0, CODE + 0x1000);
        cpus[0]->r[REG_RDI] = in ? DATA + 0x7f : DATA + 0x80;
        cpus[0]->r[REG_RAX] = 1;
        run(0, 10);
        assert_int_equal(cpu_has_work(cpus[1]), in);
    }
    run(1, 100);
    assert_int_equal(cpus[1]->r[REG_RBX], 1);
    assert_false(cpu_has_work(cpus[1])); /* in HLT now, which watches nothing */
}

/* A store between MONITOR and MWAIT. */
static void test_mwait_late(void **state)
{
    (void)state;
    LOAD(CODE, wait_line);
    start(1, CODE);
    cpus[1]->r[REG_RDI] = DATA;
    run(1, 5);
    *ram_host(&rig.ram, DATA + 3) ^= 1;
    run(1, 2);
    assert_true(cpu_has_work(cpus[1]));
    run(1, 100);
    assert_int_equal(cpus[1]->r[REG_RBX], 1);
}

/* An interrupt ends it although IF is clear if ECX bit 0 said so; it is not taken. */
static void test_mwait_interrupt(void **state)
{
    (void)state;
    wait_on(DATA, 0);
    cpu_set_intr(cpus[1], 0, 1);
    assert_false(cpu_has_work(cpus[1]));
    cpu_set_intr(cpus[1], 0, 0);
    wait_on(DATA, 1);
    assert_false(cpu_has_work(cpus[1]));
    wakes = 0;
    cpu_set_intr(cpus[1], 0, 1);
    assert_int_equal(wakes, 1);
    assert_true(cpu_has_work(cpus[1]));
    run(1, 1);
    assert_int_equal(cpus[1]->r[REG_RBX], 1);
}

PROGRAM(spin, "1: pause\n"
              "jmp 1b\n");

static void test_pause(void **state)
{
    (void)state;
    LOAD(CODE, spin);
    start(0, CODE); /* nobody to give way to */
    run(0, 10);
    assert_int_equal(cpus[0]->rip, CODE);
    start(1, CODE);
    run(1, 10);
    assert_int_equal(pauses, 5);
}

#define T(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_cross_modifying), T(test_write_line_before_code),
        T(test_shared_page),     T(test_dma),
        T(test_leaving),         T(test_map_change),
        T(test_init_and_sipi),   T(test_init_of_the_bsp),
        T(test_mwait),           T(test_mwait_late),
        T(test_mwait_interrupt), T(test_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
