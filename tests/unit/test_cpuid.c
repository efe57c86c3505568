/* CPUID and the MSRs that go with its bits: what guests decide by. */
#include "insn_rig.h"

#include "cpu/sys.h"

enum { EAX, EBX, ECX, EDX };

static struct rig rig;

static uint32_t ask(uint32_t leaf, uint32_t subleaf, unsigned reg)
{
    uint32_t r[4];
    cpuid(rig.cpu, leaf, subleaf, r);
    return r[reg];
}

static void with_model(const char *model)
{
    if (rig.cpu)
        rig_close(&rig);
    rig_open_sized(&rig, model, RIG_RAM_BYTES);
}

static void test_vendor(void **state)
{
    (void)state;
    with_model("max");
    assert_int_equal(ask(0, 0, EBX), 0x756e6547); /* GenuineIntel */
    assert_int_equal(ask(0, 0, EDX), 0x49656e69);
    assert_int_equal(ask(0, 0, ECX), 0x6c65746e);
    /* beyond the last leaf: the last one, as Intel's have it */
    for (unsigned r = EAX; r <= EDX; r++) {
        assert_int_equal(ask(ask(0, 0, EAX) + 1, 0, r), ask(ask(0, 0, EAX), 0, r));
        assert_int_equal(ask(0x8fffffff, 0, r), ask(ask(0, 0, EAX), 0, r));
    }
}

/*
 * Linux gives up PCID where INVLPG is known to leave global pages behind: family 6 models of
 * invlpg_miss_ids in arch/x86/mm/init.c.
 */
static void test_signature(void **state)
{
    (void)state;
    static const uint8_t misses[] = {0x97, 0x9a, 0xbe, 0xb7, 0xba, 0xbf};
    with_model("max");
    const uint32_t sig = ask(1, 0, EAX);
    const uint8_t model = (uint8_t)(((sig >> 4) & 15) | ((sig >> 12) & 0xf0));
    assert_int_equal((sig >> 8) & 15, 6);
    for (unsigned i = 0; i < sizeof misses; i++)
        assert_int_not_equal(model, misses[i]);
    assert_int_equal(ask(1, 0, ECX) >> 17 & 1, 1); /* PCID */
}

/* SYSCALL of Intel's, and MONITOR where IA32_MISC_ENABLE has it off. */
static void test_bits_that_change(void **state)
{
    (void)state;
    with_model("max,+monitor");
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    assert_int_equal(ask(0x80000001, 0, EDX) >> 11 & 1, 1);
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    assert_int_equal(ask(0x80000001, 0, EDX) >> 11 & 1, 0);
    assert_int_equal(ask(1, 0, ECX) >> 3 & 1, 1);
    assert_int_equal(rig.cpu->msr_misc_enable >> 18 & 1, 1);
    rig.cpu->msr_misc_enable &= ~BIT64(18);
    assert_int_equal(ask(1, 0, ECX) >> 3 & 1, 0);
    with_model("EPYC");
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    assert_int_equal(ask(0x80000001, 0, EDX) >> 11 & 1, 1);
}

/* BHI_DIS_S: without it Linux clears the branch history by a loop at every system call. */
static void test_bhi(void **state)
{
    (void)state;
    uint64_t v;
    with_model("max");
    assert_int_equal(ask(7, 0, EAX), 2);
    assert_int_equal(ask(7, 2, EDX), BIT(4));
    assert_int_equal(ask(7, 1, EDX), 0);
    assert_true(msr_write(rig.cpu, 0x48, 0x401));
    assert_true(msr_read(rig.cpu, 0x48, &v));
    assert_int_equal(v, 0x401);
    assert_false(msr_write(rig.cpu, 0x48, 0x800));
    with_model("max,-bhi-ctrl");
    assert_int_equal(ask(7, 0, EAX), 0);
    assert_int_equal(ask(7, 2, EDX), 0);
    assert_false(msr_write(rig.cpu, 0x48, 0x401));
    assert_true(msr_write(rig.cpu, 0x48, 1));
    with_model("qemu64");
    assert_false(msr_write(rig.cpu, 0x48, 1));
    assert_false(msr_read(rig.cpu, 0x48, &v));
}

/* Leaf 2 names nothing that would have to be looked up in a leaf that is not there (FEh: 18h). */
static void test_descriptors(void **state)
{
    (void)state;
    with_model("max");
    assert_int_equal(ask(2, 0, EAX) & 0xff, 1);
    for (unsigned r = EAX; r <= EDX; r++) {
        assert_int_equal(ask(2, 0, r) >> 31, 0);
        for (unsigned i = 0; i < 32; i += 8)
            assert_int_not_equal((ask(2, 0, r) >> i) & 0xff, 0xfe);
    }
}

/* Bits of vector extensions by name, and which of them fall with AVX. */
static void test_vector_bits(void **state)
{
    (void)state;
    static const struct {
        const char *flag;
        uint32_t leaf;
        uint8_t reg, bit;
        bool in_max, without_avx;
    } t[] = {
        {"pclmulqdq", 1, ECX, 1, true, true},
        {"fma", 1, ECX, 12, true, false},
        {"aes", 1, ECX, 25, true, true},
        {"avx", 1, ECX, 28, true, false},
        {"f16c", 1, ECX, 29, true, false},
        {"avx2", 7, EBX, 5, true, false},
        {"sha-ni", 7, EBX, 29, true, true},
        {"gfni", 7, ECX, 8, true, true},
        {"vaes", 7, ECX, 9, true, false},
        {"vpclmulqdq", 7, ECX, 10, true, false},
        {"sse4a", 0x80000001, ECX, 6, false, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        char model[64];
        with_model("max");
        assert_int_equal(ask(t[i].leaf, 0, t[i].reg) >> t[i].bit & 1, t[i].in_max);
        for (unsigned on = 0; on < 2; on++) {
            snprintf(model, sizeof model, "max,%c%s", on ? '+' : '-', t[i].flag);
            with_model(model);
            assert_int_equal(ask(t[i].leaf, 0, t[i].reg) >> t[i].bit & 1, on);
        }
        with_model("max,-avx");
        assert_int_equal(ask(t[i].leaf, 0, t[i].reg) >> t[i].bit & 1, t[i].without_avx);
    }
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* Leaves 1, 4, Bh and 1Fh of one in the second socket of -smp sockets=2,cores=3,threads=2. */
static void test_topology(void **state)
{
    (void)state;
    with_model("max");
    assert_int_equal(ask(1, 0, EBX) >> 16 & 0xff, 1);
    assert_int_equal(ask(1, 0, EDX) >> 28 & 1, 0); /* HTT */
    assert_int_equal(ask(4, 3, EAX) >> 14, 0);
    rig.cpu->topology = (struct cpu_topology){2, 3, 2};
    rig.cpu->apic_id = topology_apic_id(&rig.cpu->topology, 9);
    assert_int_equal(rig.cpu->apic_id, 8 + 2 + 1); /* socket 1, core 1, thread 1 */
    assert_int_equal(ask(1, 0, EBX) >> 24, 11);
    assert_int_equal(ask(1, 0, EBX) >> 16 & 0xff, 6);
    assert_int_equal(ask(1, 0, EDX) >> 28 & 1, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(ask(4, i, EAX) >> 14 & 0xfff, i == 3 ? 7 : 1); /* IDs that share it */
        assert_int_equal(ask(4, i, EAX) >> 26, 3);                      /* IDs of cores */
    }
    assert_int_equal(ask(4, 4, EAX), 0);
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t leaf = i ? 0x1f : 0xb;
        assert_int_equal(ask(leaf, 0, EAX), 1);
        assert_int_equal(ask(leaf, 0, EBX), 2);
        assert_int_equal(ask(leaf, 0, ECX), 0x100);
        assert_int_equal(ask(leaf, 1, EAX), 3);
        assert_int_equal(ask(leaf, 1, EBX), 6);
        assert_int_equal(ask(leaf, 1, ECX), 0x201);
        assert_int_equal(ask(leaf, 2, EAX) | ask(leaf, 2, EBX), 0);
        assert_int_equal(ask(leaf, 2, ECX), 2);
        for (unsigned sub = 0; sub < 3; sub++)
            assert_int_equal(ask(leaf, sub, EDX), 11);
    }
}

/* --- the TSC, and when it will reach a value --- */

static struct {
    uint64_t apic_base, deadline;
    int64_t due_ns;
} board;

GENERAL_ONLY static uint64_t apic_base(void *opaque)
{
    (void)opaque;
    return board.apic_base;
}
static uint64_t deadline(void *opaque)
{
    (void)opaque;
    return board.deadline;
}
static void set_deadline(void *opaque, uint64_t tsc, int64_t due_ns)
{
    (void)opaque;
    board.deadline = tsc;
    board.due_ns = due_ns;
}

#define TSC          0x10
#define TSC_ADJUST   0x3b
#define TSC_DEADLINE 0x6e0

static void test_tsc_deadline(void **state)
{
    (void)state;
    uint64_t v;
    with_model("max,-tsc-deadline,-tsc_adjust");
    assert_false(msr_write(rig.cpu, TSC_DEADLINE, 0));
    assert_false(msr_read(rig.cpu, TSC_ADJUST, &v));
    with_model("max");
    assert_int_equal(ask(1, 0, ECX) >> 24 & 1, 1);
    assert_false(msr_read(rig.cpu, TSC_DEADLINE, &v)); /* a CPU without an APIC */
    rig.cpu->hooks.tsc_deadline = deadline;
    rig.cpu->hooks.set_tsc_deadline = set_deadline;
    rig.cpu->tsc_hz = 250000000; /* 4 ns a tick */
    rig.now_ns = 4000;
    assert_true(msr_write(rig.cpu, TSC_DEADLINE, 1500));
    assert_int_equal(board.due_ns, 6000);
    assert_true(msr_read(rig.cpu, TSC_DEADLINE, &v));
    assert_int_equal(v, 1500);
    /* the TSC leaps, and the deadline with it */
    assert_true(msr_write(rig.cpu, TSC, 1400));
    assert_int_equal(board.due_ns, 4400);
    assert_true(msr_read(rig.cpu, TSC_ADJUST, &v));
    assert_int_equal(v, 400);
    assert_true(msr_write(rig.cpu, TSC_ADJUST, 600)); /* the TSC is 1600: past */
    assert_int_equal(board.due_ns, 4000);
    assert_true(msr_read(rig.cpu, TSC, &v));
    assert_int_equal(v, 1600);
    assert_true(msr_write(rig.cpu, TSC_DEADLINE, UINT64_MAX));
    assert_true(board.due_ns == EVENT_NEVER);
    assert_true(msr_write(rig.cpu, TSC_DEADLINE, 0));
    assert_int_equal(board.deadline, 0);
    board.due_ns = 1;
    assert_true(msr_write(rig.cpu, TSC, 0)); /* nothing is armed */
    assert_int_equal(board.due_ns, 1);
    /* the offset wraps around, as the counter does */
    assert_true(msr_write(rig.cpu, TSC_ADJUST, INT64_MAX));
    assert_true(msr_write(rig.cpu, TSC_ADJUST, UINT64_C(1) << 63));
    assert_true(msr_read(rig.cpu, TSC, &v));
    assert_true(v == (UINT64_C(1) << 63) + 1000);
}

/* SDM 3A §11.4.3: the APIC bit shows IA32_APIC_BASE's enable bit. x2APIC MSRs without an APIC. */
static void test_apic_bit(void **state)
{
    (void)state;
    uint64_t v;
    with_model("max");
    rig.cpu->hooks.apic_base = apic_base;
    board.apic_base = 0xfee00900;
    assert_int_equal(ask(1, 0, EDX) >> 9 & 1, 1);
    board.apic_base = 0xfee00100;
    assert_int_equal(ask(1, 0, EDX) >> 9 & 1, 0);
    assert_false(msr_read(rig.cpu, 0x802, &v));
    assert_false(msr_write(rig.cpu, 0x8ff, 0));
    with_model("qemu64");
    assert_int_equal(ask(1, 0, ECX) >> 21 & 1, 0);
}

/* AMD's leaves, and zeros where Intel's repeat the last one. APM 3 §E */
static void test_amd(void **state)
{
    (void)state;
    with_model("EPYC");
    rig.cpu->topology = (struct cpu_topology){2, 3, 2};
    rig.cpu->apic_id = topology_apic_id(&rig.cpu->topology, 9);
    for (unsigned i = 0; i < 2; i++) {
        const uint32_t leaf = i ? 0x80000000 : 0;
        assert_int_equal(ask(leaf, 0, EBX), 0x68747541); /* AuthenticAMD */
        assert_int_equal(ask(leaf, 0, EDX), 0x69746e65);
        assert_int_equal(ask(leaf, 0, ECX), 0x444d4163);
    }
    assert_int_equal(ask(0, 0, EAX), 0xd);
    assert_int_equal(ask(0x80000000, 0, EAX), 0x8000001e);
    assert_int_equal(ask(1, 0, EAX), 0x800f12);
    assert_int_equal(ask(0x80000001, 0, EAX), 0x800f12);
    /* what of leaf 1 is there once more: not SEP (SYSCALL has its place), nor SSE */
    assert_int_equal(ask(0x80000001, 0, EDX) & 0x183f7ff & ~(uint32_t)BIT(11),
                     ask(1, 0, EDX) & 0x183f3ff);
    assert_int_equal(ask(0x80000001, 0, EDX) >> 25 & 3, 2); /* PDPE1GB, no FFXSR */
    assert_int_equal(ask(0x80000001, 0, ECX) >> 1 & 1, 1);  /* CmpLegacy */
    for (unsigned r = EAX; r <= EDX; r++) {
        assert_int_equal(ask(2, 0, r), 0);
        assert_int_equal(ask(4, 0, r), 0);
        assert_int_equal(ask(0xe, 0, r), 0);
        assert_int_equal(ask(0x8000001f, 0, r), 0);
    }
    assert_int_equal(ask(0x80000005, 0, ECX) >> 24, 32);
    assert_int_equal(ask(0x80000006, 0, ECX) >> 16, 1024);
    assert_int_equal(ask(0x80000006, 0, EDX) >> 18, 32); /* times 512 KiB */
    assert_int_equal(ask(0x80000008, 0, ECX), 3 << 12 | 5);
    assert_int_equal(ask(0x8000001d, 3, EAX), 3 | 3 << 5 | BIT(8) | 7 << 14);
    assert_int_equal(ask(0x8000001d, 3, ECX), 16383);
    assert_int_equal(ask(0x8000001d, 4, EAX), 0);
    assert_int_equal(ask(0x8000001e, 0, EAX), 11);
    assert_int_equal(ask(0x8000001e, 0, EBX), 1 << 8 | 1); /* two threads; core 1 */
    uint64_t v = 1;
    assert_true(msr_read(rig.cpu, 0xc0010015, &v)); /* HWCR */
    assert_int_equal(v, 0);
    assert_true(msr_write(rig.cpu, 0xc0010010, 0x40000)); /* SYSCFG */
    assert_true(msr_read(rig.cpu, 0xc0010010, &v));
    assert_int_equal(v, 0x40000);
    with_model("max");
    assert_false(msr_read(rig.cpu, 0xc0010010, &v));
    assert_false(msr_read(rig.cpu, 0xc0010055, &v));
    with_model("EPYC");
    assert_false(msr_read(rig.cpu, 0xc0010055, &v)); /* INT_PENDING, before Zen */
    with_model("qemu64");
    assert_true(msr_read(rig.cpu, 0xc0010055, &v));
    assert_int_equal(v, 0);
    with_model("EPYC,-topoext");
    assert_int_equal(ask(0x8000001d, 3, EAX) | ask(0x8000001e, 0, EBX), 0);
}

/* Old processors: no leaf, register bit or MSR from after their time. */
static void test_old_models(void **state)
{
    (void)state;
    static const struct {
        uint32_t msr;
        bool on_486, on_pentium3, on_max;
    } msrs[] = {
        {0x10, false, true, true},        {0x17, false, true, true},
        {0x1b, false, true, true},        {0x3a, false, false, true},
        {0x8b, false, true, true},        {0xfe, false, true, true},
        {0x174, false, true, true},       {0x179, false, true, true},
        {0x1a0, false, false, true},      {0x1d9, false, true, true},
        {0x200, false, true, true},       {0x26f, false, true, true},
        {0x277, false, true, true},       {0x2ff, false, true, true},
        {0x400, false, true, true},       {0xda0, false, false, true},
        {0xc0000080, false, false, true}, {0xc0000081, false, false, true},
        {0xc0000084, false, false, true}, {0xc0000101, false, false, true},
        {0xc0000103, false, false, true},
    };
    static const char *const models[] = {"486", "pentium3", "max"};
    for (unsigned m = 0; m < 3; m++) {
        with_model(models[m]);
        for (unsigned i = 0; i < sizeof msrs / sizeof msrs[0]; i++) {
            uint64_t v = 0;
            const bool there = m == 0   ? msrs[i].on_486
                               : m == 1 ? msrs[i].on_pentium3
                                        : msrs[i].on_max;
            if (msr_read(rig.cpu, msrs[i].msr, &v) != there)
                fail_msg("%s: RDMSR %x", models[m], msrs[i].msr);
            if (!there && msr_write(rig.cpu, msrs[i].msr, 0))
                fail_msg("%s: WRMSR %x", models[m], msrs[i].msr);
        }
    }
    with_model("486");
    assert_int_equal(ask(0, 0, EAX), 1);
    assert_int_equal(ask(1, 0, EAX), 0x480);
    assert_int_equal(ask(1, 0, EDX), BIT(0) | BIT(3));
    assert_int_equal(ask(1, 0, EBX) >> 8 & 0xff, 0); /* no CLFLUSH */
    for (unsigned r = EAX; r <= EDX; r++) {          /* no extended leaves: the last basic one */
        assert_int_equal(ask(0x80000000, 0, r), ask(1, 0, r));
        assert_int_equal(ask(0x80000001, 0, r), ask(1, 0, r));
    }
    with_model("pentium3");
    assert_int_equal(ask(0, 0, EAX), 3);
    assert_int_equal(ask(2, 0, EBX) & 0xff00, 0); /* no leaf 4 to refer to */
    /* EFER has the bits of what there is */
    with_model("max,-nx");
    assert_true(msr_write(rig.cpu, 0xc0000080, 0x101));
    assert_false(msr_write(rig.cpu, 0xc0000080, 0x800));
    with_model("max,-lm,-syscall");
    assert_true(msr_write(rig.cpu, 0xc0000080, 0x800));
    assert_false(msr_write(rig.cpu, 0xc0000080, 0x100));
    assert_false(msr_write(rig.cpu, 0xc0000080, 1));
}

static bool cr4_faults(uint64_t v)
{
    if (setjmp(rig.cpu->unwind))
        return true;
    cr4_write(rig.cpu, v);
    return false;
}

/* CR4's bits come with features, too. */
static void test_cr4(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        uint64_t allowed;
    } cases[] = {{"486", CR4_PSE | CR4_PCE},
                 {"pentium3", CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
                                  CR4_OSFXSR | CR4_OSXMMEXCPT}};
    for (unsigned i = 0; i < 2; i++)
        for (unsigned bit = 0; bit < 32; bit++) {
            with_model(cases[i].model);
            assert_int_equal(cr4_faults(BIT64(bit)), !(cases[i].allowed & BIT64(bit)));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vendor),      cmocka_unit_test(test_signature),
        cmocka_unit_test(test_bhi),         cmocka_unit_test(test_descriptors),
        cmocka_unit_test(test_topology),    cmocka_unit_test(test_tsc_deadline),
        cmocka_unit_test(test_apic_bit),    cmocka_unit_test(test_amd),
        cmocka_unit_test(test_old_models),  cmocka_unit_test(test_cr4),
        cmocka_unit_test(test_vector_bits), cmocka_unit_test(test_bits_that_change),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
