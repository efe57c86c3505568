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

static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vendor),
        cmocka_unit_test(test_signature),
        cmocka_unit_test(test_bhi),
        cmocka_unit_test(test_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
