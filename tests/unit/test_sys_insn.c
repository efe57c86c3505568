/*
 * System instructions of the younger kind, by the manual: RDPID, FSGSBASE, protection keys,
 * MOVDIR64B, CLZERO, MONITOR; with what they need of CR4, MSRs and the TLB.
 */
#include "insn_rig.h"

#include "cpu/sys.h"

static struct rig rig;
static struct cpu *cpu;

enum {
    CODE = RIG_FREE,           /* the instruction under test */
    KEYED = RIG_FREE + 0x1000, /* a user page with a key */
    PLAIN = RIG_FREE + 0x2000, /* one with key 0 */
    KERNEL = RIG_FREE + 0x3000,
    AREA = RIG_FREE + 0x4000,
};

static int with_model(const char *model)
{
    if (rig.cpu)
        rig_close(&rig);
    rig_open_sized(&rig, model, RIG_RAM_BYTES);
    cpu = rig.cpu;
    return 0;
}
static int setup(void **state)
{
    (void)state;
    return with_model("max");
}
static int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* Runs one instruction at CODE, or n; the vector it raised, or -1. */
static struct rig_event event;
static int run_bytes(unsigned n, const uint8_t *bytes, unsigned len)
{
    rig_put(&rig, CODE, bytes, len);
    cpu->rip = CODE;
    cpu->r[REG_RSP] = RIG_STACK0;
    rig_run(&rig, n);
    event = rig_event(&rig);
    return event.vector;
}
#define RUN(...) \
    run_bytes(1, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void user_page(gla_t at, unsigned key)
{
    rig_map(&rig, at, at, RIG_P | RIG_W | RIG_U | (uint64_t)key << 59);
}
static void kernel64(void)
{
    rig_long(&rig, SEL_CODE64, SEL_DATA);
}
static void user64(void)
{
    rig_long_user(&rig);
    user_page(CODE, 0);
    user_page(PLAIN, 0);
    user_page(KEYED, 5);
    user_page(AREA, 0);
}

static void test_rdpid(void **state)
{
    (void)state;
    user64();
    cpu->msr_tsc_aux = 0x80000003;
    cpu->r[REG_RAX] = cpu->r[REG_R9] = ~UINT64_C(0);
    assert_int_equal(RUN(0xf3, 0x0f, 0xc7, 0xf8), -1);
    assert_int_equal(cpu->r[REG_RAX], 0x80000003);
    assert_int_equal(RUN(0x66, 0xf3, 0x41, 0x0f, 0xc7, 0xf9), -1); /* 66 does nothing */
    assert_int_equal(cpu->r[REG_R9], 0x80000003);
    /* its MSR is there for it alone */
    uint64_t v;
    with_model("max,-rdtscp");
    assert_true(msr_write(cpu, 0xc0000103, 5));
    with_model("max,-rdtscp,-rdpid");
    assert_false(msr_write(cpu, 0xc0000103, 5));
    assert_false(msr_read(cpu, 0xc0000103, &v));
    user64();
    assert_int_equal(RUN(0xf3, 0x0f, 0xc7, 0xf8), VEC_UD);
    with_model("max");
}

static void test_fsgsbase(void **state)
{
    (void)state;
    user64();
    assert_int_equal(RUN(0xf3, 0x0f, 0xae, 0xc0), VEC_UD); /* CR4.FSGSBASE is clear */
    user64();
    cpu->cr4 |= CR4_FSGSBASE;
    cpu->r[REG_RBX] = UINT64_C(0x7123456789ab);
    assert_int_equal(RUN(0xf3, 0x48, 0x0f, 0xae, 0xd3), -1); /* WRFSBASE RBX */
    assert_int_equal(cpu->seg[SEG_FS].base, UINT64_C(0x7123456789ab));
    assert_int_equal(RUN(0xf3, 0x0f, 0xae, 0xdb), -1); /* WRGSBASE EBX */
    assert_int_equal(cpu->seg[SEG_GS].base, 0x456789ab);
    cpu->r[REG_RAX] = cpu->r[REG_R8] = ~UINT64_C(0);
    assert_int_equal(RUN(0xf3, 0x0f, 0xae, 0xc0), -1); /* RDFSBASE EAX */
    assert_int_equal(cpu->r[REG_RAX], 0x456789ab);
    assert_int_equal(RUN(0xf3, 0x49, 0x0f, 0xae, 0xc0), -1); /* RDFSBASE R8 */
    assert_int_equal(cpu->r[REG_R8], UINT64_C(0x7123456789ab));
    assert_int_equal(RUN(0xf3, 0x49, 0x0f, 0xae, 0xc8), -1); /* RDGSBASE R8 */
    assert_int_equal(cpu->r[REG_R8], 0x456789ab);
    cpu->r[REG_RBX] = UINT64_C(0x800000000000);
    assert_int_equal(RUN(0xf3, 0x0f, 0xae, 0xd3), -1); /* 32 bits are always canonical */
    assert_int_equal(cpu->seg[SEG_FS].base, 0);
    assert_int_equal(RUN(0xf3, 0x48, 0x0f, 0xae, 0xd3), VEC_GP);
    assert_int_equal(event.error, 0);
    assert_int_equal(cpu->seg[SEG_FS].base, 0);
    user64();
    cpu->cr4 |= CR4_FSGSBASE;
    assert_int_equal(RUN(0xf3, 0x0f, 0xae, 0x03), VEC_UD); /* memory */
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    cpu->cr4 |= CR4_FSGSBASE;
    assert_int_equal(RUN(0xf3, 0x0f, 0xae, 0xc0), VEC_UD);
}

static void test_pkru_registers(void **state)
{
    (void)state;
    uint32_t r[4];
    user64();
    assert_int_equal(RUN(0x0f, 0x01, 0xee), VEC_UD); /* CR4.PKE is clear */
    user64();
    assert_int_equal(RUN(0x0f, 0x01, 0xef), VEC_UD);
    cpuid(cpu, 7, 0, r);
    assert_int_equal(r[2] & (BIT(3) | BIT(4)), BIT(3));
    user64();
    cr4_write(cpu, cpu->cr4 | CR4_PKE);
    cpuid(cpu, 7, 0, r);
    assert_int_equal(r[2] & (BIT(3) | BIT(4)), BIT(3) | BIT(4)); /* OSPKE */
    cpu->r[REG_RAX] = UINT64_C(0xf00000000055aa50);
    cpu->r[REG_RCX] = cpu->r[REG_RDX] = UINT64_C(0x100000000); /* upper halves */
    assert_int_equal(RUN(0x0f, 0x01, 0xef), -1);
    assert_int_equal(cpu->pkru, 0x55aa50);
    cpu->r[REG_RAX] = ~UINT64_C(0);
    assert_int_equal(RUN(0x0f, 0x01, 0xee), -1);
    assert_int_equal(cpu->r[REG_RAX], 0x55aa50);
    assert_int_equal(cpu->r[REG_RDX], 0);
    cpu->r[REG_RDX] = 1;
    assert_int_equal(RUN(0x0f, 0x01, 0xef), VEC_GP);
    for (uint8_t op = 0xee; op <= 0xef; op++) {
        user64();
        cpu->cr4 |= CR4_PKE;
        cpu->r[REG_RCX] = 1;
        assert_int_equal(RUN(0x0f, 0x01, op), VEC_GP);
    }
    with_model("max,-pku");
    user64();
    assert_int_equal(RUN(0x0f, 0x01, 0xee), VEC_UD);
    with_model("max");
}

/* WRPKRU in front of each access: what the TLB holds from before must not count. */
static int access_under(uint32_t pkru, bool write, gla_t at)
{
    cpu->r[REG_RAX] = pkru;
    cpu->r[REG_RCX] = cpu->r[REG_RDX] = 0;
    cpu->r[REG_RBX] = at;
    const uint8_t code[] = {0x0f, 0x01, 0xef, write ? 0x88 : 0x8a,
                            0x0b}; /* MOV CL, [RBX] or back */
    const int vector = run_bytes(2, code, sizeof code);
    rig_user64(&rig);
    return vector;
}

static void test_protection_keys(void **state)
{
    (void)state;
    enum { P = 1, W = 2, U = 4, PK = 32 };
    const uint32_t ad5 = 1u << 10, wd5 = 2u << 10;
    user64();
    cr4_write(cpu, cpu->cr4 | CR4_PKE);
    for (unsigned round = 0; round < 2; round++) {
        assert_int_equal(access_under(0, true, KEYED), -1); /* fills the TLB */
        assert_int_equal(access_under(ad5, false, KEYED), VEC_PF);
        assert_int_equal(event.error, P | U | PK);
        assert_int_equal(cpu->cr2, KEYED);
        assert_int_equal(access_under(0, false, KEYED), -1);
        assert_int_equal(access_under(wd5, true, KEYED), VEC_PF);
        assert_int_equal(event.error, P | U | W | PK);
        assert_int_equal(access_under(wd5, false, KEYED), -1);
        assert_int_equal(access_under(~(ad5 | wd5), true, KEYED), -1); /* the others' */
        assert_int_equal(access_under(0, true, PLAIN), -1);
        assert_int_equal(access_under(1, false, PLAIN), VEC_PF); /* key 0 is a key */
        assert_int_equal(event.error, P | U | PK);
        assert_int_equal(access_under(2, true, PLAIN), VEC_PF);
    }
    /* told beside the ordinary rights */
    rig_map(&rig, KEYED, KEYED, RIG_P | RIG_U | UINT64_C(5) << 59);
    assert_int_equal(access_under(wd5, true, KEYED), VEC_PF);
    assert_int_equal(event.error, P | U | W | PK);
    assert_int_equal(access_under(0, true, KEYED), VEC_PF);
    assert_int_equal(event.error, P | U | W);
    user_page(KEYED, 5);

    /* a supervisor's accesses to user pages; its own pages have no keys */
    rig_map(&rig, KERNEL, KERNEL, RIG_P | RIG_W | UINT64_C(5) << 59);
    rig_segments(&rig, SEL_CODE64, SEL_DATA);
    cpu->pkru = ~0u;
    cpu_loaded(cpu);
    rig_map(&rig, CODE, CODE, RIG_P | RIG_W);
    cpu->r[REG_RBX] = KERNEL;
    assert_int_equal(RUN(0x88, 0x0b), -1);
    cpu->r[REG_RBX] = KEYED;
    assert_int_equal(RUN(0x8a, 0x0b), VEC_PF);
    assert_int_equal(event.error, P | PK);
    cpu_set_pkru(cpu, wd5);
    cpu->r[REG_RSP] = RIG_STACK0;
    assert_int_equal(RUN(0x88, 0x0b), VEC_PF);
    assert_int_equal(event.error, P | W | PK);
    cr0_write(cpu, cpu->cr0 & ~CR0_WP); /* WD binds supervisors by CR0.WP */
    assert_int_equal(RUN(0x88, 0x0b), -1);
    cr0_write(cpu, cpu->cr0 | CR0_WP);
    assert_int_equal(RUN(0x88, 0x0b), VEC_PF);
    /* without CR4.PKE there are no keys */
    cr4_write(cpu, cpu->cr4 & ~CR4_PKE);
    cpu_set_pkru(cpu, ~0u);
    assert_int_equal(RUN(0x88, 0x0b), -1);
    cr4_write(cpu, cpu->cr4 | CR4_PKE);
    assert_int_equal(RUN(0x88, 0x0b), VEC_PF);
}

/* Fetches have no keys; XRSTOR changes PKRU with effect at once. */
static void test_keys_and_xrstor(void **state)
{
    (void)state;
    user64();
    user_page(CODE, 7);
    cr4_write(cpu, cpu->cr4 | CR4_PKE | CR4_OSXSAVE);
    cpu->xcr0 = XCR0_X87 | XCR0_PKRU;
    assert_int_equal(access_under(3u << 14, true, KEYED), -1); /* the code's own key is denied */
    uint8_t *area = rig_at(&rig, AREA);
    memset(area, 0, 4096);
    st64(area + 512, XCR0_PKRU);
    st32(area + 2688, 1u << 10);
    cpu->r[REG_RAX] = XCR0_PKRU;
    cpu->r[REG_RDX] = 0;
    cpu->r[REG_RBX] = KEYED;
    cpu->r[REG_RSI] = AREA;
    static const uint8_t code[] = {0x0f, 0xae, 0x2e, 0x8a, 0x0b}; /* XRSTOR [RSI]; MOV CL, [RBX] */
    assert_int_equal(run_bytes(2, code, sizeof code), VEC_PF);
    assert_int_equal(event.error, 0x25);
    assert_int_equal(event.rip, CODE + 3);
}

/* Keys are for IA-32e mode: CR4.PKE does nothing elsewhere. SDM 3A §4.6.2 */
static void test_no_keys_outside_long_mode(void **state)
{
    (void)state;
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    uint8_t *pd = rig_at(&rig, RIG_TABLES);
    memset(pd, 0, PAGE_SIZE);
    st32(pd, 0x87); /* 4 MiB, user */
    cr4_write(cpu, cpu->cr4 | CR4_PKE | CR4_PSE);
    cr3_write(cpu, RIG_TABLES);
    cr0_write(cpu, cpu->cr0 | CR0_PG);
    cpu_set_pkru(cpu, ~0u);
    cpu->r[REG_RBX] = KEYED;
    assert_int_equal(RUN(0x88, 0x0b), -1);
}

static void test_movdir64b(void **state)
{
    (void)state;
    uint8_t *from = rig_at(&rig, AREA + 0x101), *to = rig_at(&rig, AREA + 0x400);
    for (unsigned i = 0; i < 64; i++)
        from[i] = (uint8_t)(i * 3);
    /* 32-bit mode: ES is the destination's whatever the prefix says, and the linear address is to
     * be aligned */
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    cpu->seg[SEG_ES].base = 0x20;
    cpu_update_mode(cpu);
    cpu->r[REG_RSI] = AREA + 0x101;
    cpu->r[REG_RAX] = AREA + 0x400 - 0x20;
    assert_int_equal(RUN(0x3e, 0x66, 0x0f, 0x38, 0xf8, 0x06), -1);
    assert_memory_equal(to, from, 64);
    cpu->r[REG_RAX] = AREA + 0x400;
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0x06), VEC_GP);
    /* its limit */
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    cpu->seg[SEG_ES].limit = AREA + 0x400 + 62;
    cpu_update_mode(cpu);
    cpu->r[REG_RSI] = AREA + 0x101;
    cpu->r[REG_RAX] = AREA + 0x400;
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0x06), VEC_GP);
    cpu->seg[SEG_ES].limit++;
    rig_load_seg(&rig, SEG_CS, SEL_CODE32);
    cpu_update_mode(cpu);
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0x06), -1);
    /* 67: both registers have 16 bits */
    memset(to, 0, 64);
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    cpu->seg[SEG_ES].base = cpu->seg[SEG_DS].base = AREA;
    cpu_update_mode(cpu);
    cpu->r[REG_RBX] = 0xabcd0101;
    cpu->r[REG_RCX] = 0xabcd0400;
    assert_int_equal(RUN(0x67, 0x66, 0x0f, 0x38, 0xf8, 0x0f), -1); /* MOVDIR64B CX, [BX] */
    assert_memory_equal(to, from, 64);
    /* 64-bit mode: the source faults first, then alignment counts */
    kernel64();
    cpu->r[REG_RSI] = 3 * MiB;
    cpu->r[REG_RAX] = AREA + 8;
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0x06), VEC_PF);
    assert_int_equal(cpu->cr2, 3 * MiB);
    cpu->r[REG_RSI] = AREA;
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0x06), VEC_GP);
    cpu->r[REG_RBP] = AREA;
    cpu->r[REG_RAX] = UINT64_C(0x8000000000000000); /* #GP although RBP names the source */
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0x45, 0x00), VEC_GP);
    assert_int_equal(RUN(0x66, 0x0f, 0x38, 0xf8, 0xc0), VEC_UD);
    /* MOVDIRI stores */
    cpu->r[REG_RAX] = UINT64_C(0x1122334455667788);
    assert_int_equal(RUN(0x48, 0x0f, 0x38, 0xf9, 0x06), -1);
    assert_int_equal(ld64(rig_at(&rig, AREA)), UINT64_C(0x1122334455667788));
}

static void test_clzero(void **state)
{
    (void)state;
    with_model("max,+clzero"); /* AMD's */
    uint8_t *p = rig_at(&rig, AREA);
    user64();
    memset(p, 0xee, 256);
    cpu->r[REG_RAX] = AREA + 127;
    assert_int_equal(RUN(0x0f, 0x01, 0xfc), -1);
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(p[i], i >= 64 && i < 128 ? 0 : 0xee);
    rig_map(&rig, AREA, AREA, RIG_P | RIG_U);
    assert_int_equal(RUN(0x0f, 0x01, 0xfc), VEC_PF);
    assert_int_equal(event.error, 7);
    /* a segment prefix, 32-bit addresses */
    rig_prot(&rig, SEL_CODE32, SEL_DATA);
    memset(p, 0xee, 256);
    cpu->seg[SEG_FS].base = AREA;
    cpu->r[REG_RAX] = UINT64_C(0x100000000);
    assert_int_equal(RUN(0x64, 0x0f, 0x01, 0xfc), -1);
    assert_int_equal(p[0] | p[63], 0);
    assert_int_equal(p[64], 0xee);
    cpu->seg[SEG_FS].attr &= ~(uint32_t)ATTR_RW;
    assert_int_equal(RUN(0x64, 0x0f, 0x01, 0xfc), VEC_GP);
    with_model("max");
}

/* RCX counts whole in 64-bit mode: SDM 2B "MONITOR", "MWAIT". */
static void test_monitor_extensions(void **state)
{
    (void)state;
    with_model("max,+monitor");
    for (unsigned code64 = 0; code64 < 2; code64++)
        for (unsigned op = 0; op < 2; op++) {
            if (code64)
                kernel64();
            else
                rig_prot(&rig, SEL_CODE32, SEL_DATA);
            cpu->r[REG_RAX] = AREA;
            cpu->r[REG_RCX] = UINT64_C(0x100000000);
            assert_int_equal(RUN(0x0f, 0x01, (uint8_t)(0xc8 + op)), code64 ? VEC_GP : -1);
            cpu->halted = false;
        }
    with_model("max");
}

static void test_xss(void **state)
{
    (void)state;
    uint64_t v = 1;
    assert_true(msr_read(cpu, 0xda0, &v));
    assert_int_equal(v, 0);
    assert_true(msr_write(cpu, 0xda0, 0));
    assert_false(msr_write(cpu, 0xda0, 0x100));
    with_model("max,-xsaves");
    assert_false(msr_read(cpu, 0xda0, &v));
    assert_false(msr_write(cpu, 0xda0, 0));
    with_model("max");
}

/* Leaf Dh: sizes of what is enabled, in both formats. */
static void test_xsave_leaf(void **state)
{
    (void)state;
    uint32_t r[4];
    cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU;
    cpuid(cpu, 0xd, 0, r);
    assert_int_equal(r[0], 0x207);
    assert_int_equal(r[1], 2696);
    assert_int_equal(r[2], 2696);
    cpuid(cpu, 0xd, 1, r);
    assert_int_equal(r[0], 15);
    assert_int_equal(r[1], 576 + 256 + 8);
    assert_int_equal(r[2] | r[3], 0);
    cpuid(cpu, 0xd, 9, r);
    assert_int_equal(r[0], 8);
    assert_int_equal(r[1], 2688);
    assert_int_equal(r[2], 0); /* XCR0's, and not aligned */
    with_model("max,-xsavec,-pku");
    cpuid(cpu, 0xd, 0, r);
    assert_int_equal(r[0], 7);
    assert_int_equal(r[2], 832);
    cpuid(cpu, 0xd, 1, r);
    assert_int_equal(r[0], 5); /* XSAVES goes with XSAVEC */
    assert_int_equal(r[1], 0);
    cpuid(cpu, 0xd, 9, r);
    assert_int_equal(r[0] | r[1], 0);
    with_model("max");
}

/* --- where Intel's and AMD's differ --- */

static const char *const vendors[] = {"max", "EPYC,+fsgsbase"};

/* In 64-bit mode 66 cuts near branches to 16 bits on AMD's only: APM 1 §3.5.1, SDM 2A §2.2.1.7. */
static void test_near_branches(void **state)
{
    (void)state;
    for (unsigned amd = 0; amd < 2; amd++) {
        with_model(vendors[amd]);
        kernel64();
        cpu->r[REG_RBX] = 0x12345;
        assert_int_equal(RUN(0x66, 0xff, 0xe3), -1); /* JMP RBX or BX */
        assert_int_equal(cpu->rip, amd ? 0x2345 : 0x12345);
        assert_int_equal(RUN(0x66, 0x48, 0xff, 0xe3), -1);
        assert_int_equal(cpu->rip, 0x12345);
        assert_int_equal(RUN(0x66, 0xe8, 0x10, 0x00, 0x01, 0x00), -1); /* CALL rel16 or rel32 */
        assert_int_equal(cpu->rip, amd ? 0x0014 : CODE + 6 + 0x10010);
        assert_int_equal(cpu->r[REG_RSP], RIG_STACK0 - (amd ? 2 : 8));
        cpu->r[REG_RBX] = 0x56789;
        static const uint8_t push_ret[] = {0x53, 0x66, 0xc3};
        assert_int_equal(run_bytes(2, push_ret, sizeof push_ret), -1);
        assert_int_equal(cpu->rip, amd ? 0x6789 : 0x56789);
        assert_int_equal(cpu->r[REG_RSP], RIG_STACK0 - (amd ? 6 : 0));
        assert_int_equal(RUN(0x66, 0xeb, 0x02), -1);
        assert_int_equal(cpu->rip, amd ? (CODE + 5) & 0xffff : CODE + 5);
    }
    with_model("max");
}

/* REX.W with a far pointer: 16:64 on Intel's, as without on AMD's. APM 3 "LDS" */
static void test_far_pointers(void **state)
{
    (void)state;
    for (unsigned amd = 0; amd < 2; amd++) {
        with_model(vendors[amd]);
        kernel64();
        memset(rig_at(&rig, AREA), 0, 16);
        st32(rig_at(&rig, AREA), 0x11223344);
        st16(rig_at(&rig, AREA + 4), amd ? SEL_DATA : 0xfff8); /* a selector, or beyond the GDT */
        st16(rig_at(&rig, AREA + 8), amd ? 0xfff8 : SEL_DATA);
        cpu->gdtr.limit = 0xff;
        cpu->r[REG_RSI] = AREA;
        assert_int_equal(RUN(0x48, 0x0f, 0xb4, 0x06), -1); /* LFS RAX, [RSI] */
        assert_int_equal(cpu->seg[SEG_FS].sel, SEL_DATA);
        assert_int_equal((uint32_t)cpu->r[REG_RAX], 0x11223344);
    }
    with_model("max");
}

/* A null selector clears the base on Intel's; AMD's before Zen 2 keep it. */
static void test_null_selector(void **state)
{
    (void)state;
    for (unsigned amd = 0; amd < 2; amd++) {
        with_model(vendors[amd]);
        user64();
        cpu->seg[SEG_FS].base = 0x12345678;
        cpu->r[REG_RAX] = 0;
        assert_int_equal(RUN(0x8e, 0xe0), -1);
        assert_int_equal(cpu->seg[SEG_FS].base, amd ? 0x12345678 : 0);
    }
    with_model("max");
}

static void test_fast_calls(void **state)
{
    (void)state;
    for (unsigned amd = 0; amd < 2; amd++) {
        with_model(vendors[amd]);
        /* SYSENTER in IA-32e mode: none on AMD's */
        user64();
        cpu->msr_sysenter_cs = SEL_CODE64;
        cpu->msr_sysenter_eip = PLAIN;
        assert_int_equal(RUN(0x0f, 0x34), amd ? VEC_UD : -1);
        assert_int_equal(cpu->rip == PLAIN, !amd);
        /* SYSCALL in compatibility mode: #UD on Intel's, to CSTAR on AMD's */
        rig_long(&rig, SEL_CODE32_USER, SEL_DATA_USER);
        user_page(CODE, 0);
        cpu->msr_star = (uint64_t)SEL_CODE64 << 32;
        cpu->msr_lstar = PLAIN;
        cpu->msr_cstar = KERNEL;
        cpu->msr_fmask = FLAG_IF;
        cpu_set_rflags(cpu, FLAG_1 | FLAG_IF);
        assert_int_equal(RUN(0x0f, 0x05), amd ? -1 : VEC_UD);
        if (amd) {
            assert_int_equal(cpu->rip, KERNEL);
            assert_int_equal(cpu->r[REG_RCX], CODE + 2);
            assert_int_equal(cpu->r[REG_R11], FLAG_1 | FLAG_IF);
            assert_true(cpu_code64(cpu) && cpu->cpl == 0 && !(cpu->eflags & FLAG_IF));
            /* and back, by the 32-bit form of SYSRET */
            cpu->msr_star |= (uint64_t)(SEL_CODE32_USER & ~3) << 48;
            cpu->r[REG_RCX] = PLAIN;
            assert_int_equal(RUN(0x0f, 0x07), -1);
            assert_int_equal(cpu->rip, PLAIN);
            assert_true(!cpu_code64(cpu) && cpu->cpl == 3 && (cpu->eflags & FLAG_IF));
        }
        /* in protected mode: to STAR */
        rig_prot(&rig, SEL_CODE32_USER, SEL_DATA_USER);
        cpu->efer = EFER_SCE;
        cpu->msr_star = (uint64_t)SEL_CODE32 << 32 | PLAIN;
        cpu->r[REG_R11] = 7;
        cpu_set_rflags(cpu, FLAG_1 | FLAG_IF);
        assert_int_equal(RUN(0x0f, 0x05), amd ? -1 : VEC_UD);
        if (amd) {
            assert_int_equal(cpu->rip, PLAIN);
            assert_int_equal(cpu->r[REG_RCX], CODE + 2);
            assert_int_equal(cpu->r[REG_R11], 7);
            assert_true(cpu->cpl == 0 && !(cpu->eflags & FLAG_IF));
            cpu->msr_star = (uint64_t)(SEL_CODE32_USER & ~3) << 48;
            assert_int_equal(RUN(0x0f, 0x07), -1);
            assert_true(cpu->cpl == 3 && (cpu->eflags & FLAG_IF));
            assert_int_equal(cpu->rip, CODE + 2);
            cpu->efer = 0;
            assert_int_equal(RUN(0x0f, 0x05), VEC_UD);
        }
        /* SYSRET to an address that is not canonical: #GP before or behind the change of level */
        kernel64();
        cpu->msr_star = (uint64_t)(SEL_CODE32_USER & ~3) << 48;
        cpu->r[REG_RCX] = UINT64_C(0x800000000000);
        cpu->r[REG_R11] = FLAG_1;
        static const uint8_t sysretq[] = {0x48, 0x0f, 0x07};
        assert_int_equal(run_bytes(amd ? 2 : 1, sysretq, sizeof sysretq), VEC_GP);
        assert_int_equal(event.cs & 3, amd ? 3 : 0);
    }
    with_model("max");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rdpid),
        cmocka_unit_test(test_fsgsbase),
        cmocka_unit_test(test_pkru_registers),
        cmocka_unit_test(test_protection_keys),
        cmocka_unit_test(test_keys_and_xrstor),
        cmocka_unit_test(test_no_keys_outside_long_mode),
        cmocka_unit_test(test_movdir64b),
        cmocka_unit_test(test_clzero),
        cmocka_unit_test(test_monitor_extensions),
        cmocka_unit_test(test_xss),
        cmocka_unit_test(test_xsave_leaf),
        cmocka_unit_test(test_near_branches),
        cmocka_unit_test(test_far_pointers),
        cmocka_unit_test(test_null_selector),
        cmocka_unit_test(test_fast_calls),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
