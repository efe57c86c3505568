/* Registers by name: the table is in order and complete, what is put in comes out, in any mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cpu/cpu_regs.h"
#include "cpu/lone.h"

#include <stdio.h>

#define MAX_VALUES 200

static struct lone *lone;
static struct cpu_reg_value values[MAX_VALUES];
static size_t count;

static int open_lone(void **state)
{
    struct error err = {0};
    (void)state;
    lone = lone_create("max", MiB, &err);
    return lone ? 0 : -1;
}

static int close_lone(void **state)
{
    (void)state;
    lone_destroy(lone);
    return 0;
}

static void give(const char *name, uint64_t v)
{
    const struct cpu_reg *reg = cpu_reg_find(name);
    assert_non_null(reg);
    assert_true(count < MAX_VALUES);
    values[count] = (struct cpu_reg_value){.reg = reg};
    memcpy(values[count++].value, &v, sizeof v);
}

static uint64_t get(const char *name)
{
    const struct cpu_reg *reg = cpu_reg_find(name);
    uint8_t bytes[CPU_REG_MAX_BYTES] = {0};
    assert_non_null(reg);
    cpu_reg_get(lone_cpu(lone), reg, bytes);
    return ld64(bytes);
}

static void load(void)
{
    struct error err = {0};
    if (!cpu_regs_load(lone_cpu(lone), values, count, &err))
        fail_msg("%s", err.msg);
    count = 0;
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < cpu_reg_count; i++) {
        const struct cpu_reg *reg = &cpu_reg_table[i];
        assert_ptr_equal(cpu_reg_find(reg->name), reg); /* needs them in order */
        assert_true(reg->bytes >= 1 && reg->bytes <= CPU_REG_MAX_BYTES);
        uint8_t mask[CPU_REG_MAX_BYTES] = {0}, any = 0;
        cpu_reg_significant(reg, mask);
        for (unsigned k = 0; k < reg->bytes; k++)
            any |= mask[k];
        assert_true(any);
    }
    assert_null(cpu_reg_find("eas"));
    assert_null(cpu_reg_find(""));
}

/* Every register that holds any value, each with another. */
static void test_round_trip(void **state)
{
    static const char *const names[] = {"rax",        "rbx",
                                        "rcx",        "rdx",
                                        "rsi",        "rdi",
                                        "rbp",        "rsp",
                                        "r8",         "r9",
                                        "r10",        "r11",
                                        "r12",        "r13",
                                        "r14",        "r15",
                                        "cr2",        "dr0",
                                        "dr1",        "dr2",
                                        "dr3",        "gdtr.base",
                                        "gdtr.limit", "idtr.base",
                                        "idtr.limit", "sysenter_cs",
                                        "lstar",      "cstar",
                                        "fmask",      "star",
                                        "fop",        "fip",
                                        "fdp",        "kernel_gs_base",
                                        "fs.base",    "gs.base",
                                        "es",         "ds",
                                        "pkru",       "sysenter_esp"};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        give(names[i], (UINT64_C(0x1122334455) + i) << 2); /* canonical, null selectors of RPL 0 */
    for (size_t i = 0; i < count; i++)
        if (!strcmp(values[i].reg->name, "es") || !strcmp(values[i].reg->name, "ds"))
            st64(values[i].value, 3);
    for (unsigned i = 0; i < 16; i++) {
        char name[8];
        snprintf(name, sizeof name, "ymm%u", i);
        give(name, 0x5500 + i);
    }
    give("cr0", 0x80000011);
    give("cr3", 0x5000);
    give("cr4", 0x40620);
    give("efer", 0x501);
    give("xcr0", 7);
    give("cs", 0x33);
    give("cs.attr", 0xa0fb);
    give("ss", 0x2b);
    give("ss.attr", 0xc0f3);
    give("rip", 0x7fff12345678);
    give("rflags", 0x246);
    struct cpu_reg_value kept[MAX_VALUES];
    const size_t n = count;
    memcpy(kept, values, sizeof kept);
    load();
    for (size_t i = 0; i < n; i++) {
        uint8_t got[CPU_REG_MAX_BYTES] = {0};
        if (!strcmp(kept[i].reg->name, "efer"))
            kept[i].value[1] |= 4; /* LMA follows */
        if (!strcmp(kept[i].reg->name, "fmask") || !strcmp(kept[i].reg->name, "sysenter_cs"))
            st32(kept[i].value + 4, 0); /* reserved */
        cpu_reg_get(lone_cpu(lone), kept[i].reg, got);
        if (memcmp(got, kept[i].value, kept[i].reg->bytes))
            fail_msg("%s is %llx", kept[i].reg->name, (unsigned long long)ld64(got));
    }
    assert_int_equal(get("cpl"), 3);
    assert_int_equal(get("eax"), (uint32_t)get("rax"));
    assert_int_equal(get("ax"), (uint16_t)get("rax"));
    load(); /* nothing given: all of it is gone */
    assert_int_equal(get("rax") | get("rip") | get("cs") | get("ymm3") | get("lstar"), 0);
    assert_int_equal(get("rflags"), 2);
}

static void test_segments(void **state)
{
    (void)state;
    give("cs", 0x1234);
    give("ds", 0x5678);
    give("ds.limit", 0xffffffff);
    load();
    assert_int_equal(get("cs.base"), 0x12340);
    assert_int_equal(get("cs.limit"), 0xffff);
    assert_int_equal(get("ds.base"), 0x56780);
    assert_int_equal(get("ds.limit"), 0xffffffff);
    give("cr0", 0x11);
    give("cs", 0x1b);
    give("cs.attr", 0xc0fb);
    give("ds", 0);
    load();
    assert_int_equal(get("cs.base"), 0);
    assert_int_equal(get("cs.limit"), 0xffffffff);
    assert_int_equal(get("ds.attr"), ATTR_NULL);
    assert_int_equal(get("cpl"), 3);
    give("cr0", 0x11);
    give("rflags", 0x20002);
    give("cs", 0x1000);
    load();
    assert_int_equal(get("cs.base"), 0x10000);
    assert_int_equal(get("cs.attr"), 0xfb);
    assert_int_equal(get("cpl"), 3);
}

/* A REP is one step however often it goes round; a step behind the end of a HLT is none. */
static void test_steps(void **state)
{
    static const uint8_t code[] = {0xf3, 0xaa, 0x40, 0xf4, 0x40}; /* REP STOSB; INC; HLT; INC */
    (void)state;
    assert_true(lone_write(lone, 0x1000, code, sizeof code));
    give("eip", 0x1000);
    give("ecx", 300);
    give("edi", 0x4000);
    give("eax", 0x11);
    load();
    lone_step(lone, 1);
    assert_int_equal(get("ecx"), 0);
    assert_int_equal(get("eip"), 0x1002);
    lone_step(lone, 5);
    assert_int_equal(get("eip"), 0x1004);
    assert_int_equal(get("ax"), 0x12);
    assert_false(lone_exception(lone).taken);
    uint8_t byte;
    assert_true(lone_read(lone, 0x4000 + 299, &byte, 1));
    assert_int_equal(byte, 0x11);
    assert_false(lone_write(lone, MiB, code, 1));
    assert_false(lone_read(lone, MiB - 1, values, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_steps),
    };
    return cmocka_run_group_tests(tests, open_lone, close_lone);
}
