/*
 * Vector instructions where the oracle (tests/oracle) does not look or its host may differ:
 * faults in the middle of gathers and masked moves, alignment, other modes, features turned off.
 */
#include "insn_rig.h"

#include "cpu/fault.h"

#define CODE     UINT64_C(0x50000)
#define PRESENT  UINT64_C(0x300000) /* a page, and behind it one that is not there at first */
#define PHYSICAL UINT64_C(0x60000)
#define ABSENT   (PRESENT + PAGE_SIZE)

static struct rig rig;

static void begin(void)
{
    rig_long(&rig, SEL_CODE64, SEL_DATA);
    rig_map(&rig, PRESENT, PHYSICAL, RIG_P | RIG_W);
    rig.cpu->cr4 |= CR4_OSXSAVE;
    rig.cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    cpu_loaded(rig.cpu);
    rig.cpu->r[REG_RSP] = RIG_STACK0;
    for (unsigned i = 0; i < 2 * PAGE_SIZE; i += 8)
        st64(rig_at(&rig, PHYSICAL + i), UINT64_C(0x0101010101010101) * (uint8_t)(i / 8) + i);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < 4; k++)
            rig.cpu->zmm[i].q[k] = rnd();
}
static void bring_in(void)
{
    rig_map(&rig, ABSENT, PHYSICAL + PAGE_SIZE, RIG_P | RIG_W);
}

/* Runs one instruction; the exception it took, or -1. */
static int run(const uint8_t *bytes, unsigned n)
{
    rig_put(&rig, CODE, bytes, n);
    rig.cpu->rip = CODE;
    rig.cpu->r[REG_RSP] = RIG_STACK0;
    rig_run(&rig, 1);
    return rig_event(&rig).vector;
}
#define RUN(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* --- gathers --- */

static uint64_t element(const union vec *v, unsigned i, unsigned size)
{
    return size == 4 ? v->d[i] : v->q[i];
}
static void set_element(union vec *v, unsigned i, unsigned size, uint64_t value)
{
    if (size == 4)
        v->d[i] = (uint32_t)value;
    else
        v->q[i] = value;
}
static void assert_vec(const union vec *got, const union vec *want, unsigned bytes)
{
    assert_memory_equal(got, want, bytes);
}

/*
 * What a gather of n elements with the bad-th on a page that is not there leaves: those before are
 * loaded and their masks zero, the rest as it was, and the next try does the rest. Element 1 is not
 * selected.
 */
static void try_gather(uint8_t opcode, bool wide_element, bool l, unsigned bad)
{
    const unsigned size = wide_element ? 8 : 4, index_size = opcode & 1 ? 8 : 4;
    const unsigned n = (l ? 32 : 16) / MAX(size, index_size);
    if (bad >= n || bad == 1)
        return;
    begin();
    union vec *data = &rig.cpu->zmm[1], *index = &rig.cpu->zmm[2], *mask = &rig.cpu->zmm[3];
    uint64_t memory[8];
    rig.cpu->r[REG_RBX] = PRESENT + 2048;
    for (unsigned i = 0; i < n; i++) {
        const int64_t at = i == bad ? 2048 : -8 * (int)(i + 3);
        set_element(index, i, index_size, (uint64_t)at);
        const uint64_t sign = i == 1 ? 0 : BIT64(8 * size - 1);
        set_element(mask, i, size, sign | (rnd() & (BIT64(8 * size - 1) - 1)));
        memory[i] = ld_le(rig_at(&rig, PHYSICAL + 2048 + (uint64_t)at), size);
    }
    union vec want = *data, want_mask = *mask;
    for (unsigned i = 0; i < bad; i++) {
        if (i != 1)
            set_element(&want, i, size, memory[i]);
        set_element(&want_mask, i, size, 0);
    }
    const uint8_t code[] = {0xc4,   0xe2, (uint8_t)(wide_element << 7 | 0x61 | l << 2),
                            opcode, 0x0c, 0x13};
    assert_int_equal(run(code, sizeof code), VEC_PF);
    assert_true(rig.cpu->cr2 == ABSENT);
    assert_true(rig_event(&rig).rip == CODE);
    assert_vec(data, &want, 32);
    assert_vec(mask, &want_mask, 32);
    bring_in();
    assert_int_equal(run(code, sizeof code), -1);
    for (unsigned i = bad; i < n; i++)
        if (i != 1)
            set_element(&want, i, size, memory[i]);
    memset((uint8_t *)&want + n * size, 0, sizeof want - n * size);
    memset(&want_mask, 0, sizeof want_mask);
    assert_vec(data, &want, sizeof want);
    assert_vec(mask, &want_mask, sizeof want_mask);
}

static void test_gather_faults(void **state)
{
    (void)state;
    for (unsigned opcode = 0x90; opcode <= 0x93; opcode++)
        for (unsigned form = 0; form < 4; form++)
            for (unsigned bad = 0; bad < 8; bad++)
                try_gather((uint8_t)opcode, form & 1, form & 2, bad);
}

/* SDM 2A §2.3.12 "Vector SIB", 2C "VGATHERDPS": #UD without SIB byte and with registers alike. */
static void test_gather_encodings(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[7], n;
        uint32_t mode;
        bool legal;
    } t[] = {
        {{0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x13}, 6, MODE_CODE64, true},
        {{0x67, 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x13}, 7, MODE_CODE64, true},
        {{0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x13}, 6, MODE_CODE32, true},
        {{0xc4, 0xe2, 0x65, 0x90, 0x0b}, 5, MODE_CODE64, false},             /* no SIB */
        {{0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x0b}, 6, MODE_CODE64, false},       /* index is data */
        {{0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x1b}, 6, MODE_CODE64, false},       /* index is mask */
        {{0xc4, 0xe2, 0x75, 0x90, 0x0c, 0x13}, 6, MODE_CODE64, false},       /* mask is data */
        {{0x67, 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x13}, 7, MODE_CODE32, false}, /* 16-bit address */
        {{0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x13}, 6, MODE_CODE16, false},
        {{0x67, 0xc4, 0xe2, 0x65, 0x90, 0x0c, 0x13}, 7, MODE_CODE16, true},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        struct insn u;
        uint8_t bytes[15] = {0};
        memcpy(bytes, t[i].bytes, t[i].n);
        const enum decode_status st =
            decode(&u, bytes, sizeof bytes, t[i].mode | MODE_PROT, &rig.cpu->feat, 0);
        assert_int_equal(st, t[i].legal ? DECODE_OK : DECODE_UD);
        assert_true(!t[i].legal || u.len == t[i].n);
    }
}

/* --- masked moves: SDM 2C "VPMASKMOV", "VMASKMOV", 2B "MASKMOVDQU" --- */

/* Eight elements (or four) of which the last one of the page's is selected, then one beyond it. */
static void try_masked_move(uint8_t load, uint8_t store, bool w, unsigned size)
{
    const unsigned n = 32 / size, inside = n / 2;
    const uint64_t at = ABSENT - inside * size;
    union vec *data = &rig.cpu->zmm[1], *mask = &rig.cpu->zmm[3], want = {.q = {0}};
    const uint8_t loading[] = {0xc4, 0xe2, (uint8_t)(w << 7 | 0x65), load, 0x0b};
    const uint8_t storing[] = {0xc4, 0xe2, (uint8_t)(w << 7 | 0x65), store, 0x0b};
    uint8_t before[32];
    begin();
    rig.cpu->r[REG_RBX] = at;
    uint8_t *memory = rig_at(&rig, PHYSICAL + (at - PRESENT));
    memcpy(before, memory, sizeof before);
    for (unsigned i = 0; i < n; i++)
        set_element(mask, i, size, i < inside && i != 1 ? ~UINT64_C(0) : 1);
    for (unsigned i = 0; i < inside; i++)
        if (i != 1)
            set_element(&want, i, size, ld_le(memory + i * size, size));
    const union vec old = *data;
    assert_int_equal(run(storing, sizeof storing), -1);
    for (unsigned i = 0; i < n; i++)
        assert_true(
            ld_le(memory + i * size, size) ==
            (i < inside && i != 1 ? element(&old, i, size) : ld_le(before + i * size, size)));
    memcpy(memory, before, sizeof before);
    assert_int_equal(run(loading, sizeof loading), -1);
    assert_vec(data, &want, 32);
    /* one beyond: nothing is loaded or stored */
    *data = old;
    set_element(mask, inside + 1, size, ~UINT64_C(0));
    assert_int_equal(run(loading, sizeof loading), VEC_PF);
    assert_true(rig.cpu->cr2 == ABSENT + size);
    assert_vec(data, &old, 32);
    assert_int_equal(run(storing, sizeof storing), VEC_PF);
    assert_true(rig.cpu->cr2 == ABSENT + size);
    assert_memory_equal(memory, before, sizeof before);
}

static void test_masked_moves(void **state)
{
    (void)state;
    try_masked_move(0x2c, 0x2e, false, 4); /* VMASKMOVPS */
    try_masked_move(0x2d, 0x2f, false, 8); /* VMASKMOVPD */
    try_masked_move(0x8c, 0x8e, false, 4); /* VPMASKMOVD */
    try_masked_move(0x8c, 0x8e, true, 8);  /* VPMASKMOVQ */
}

/* No fault for bytes that are not selected; nothing is written before a fault. */
static void test_maskmovdqu(void **state)
{
    (void)state;
    for (unsigned vex = 0; vex < 2; vex++) {
        const uint8_t code[2][4] = {{0x66, 0x0f, 0xf7, 0xca}, {0xc5, 0xf9, 0xf7, 0xca}};
        begin();
        rig.cpu->r[REG_RDI] = ABSENT - 8;
        rig.cpu->zmm[2].q[0] = UINT64_C(0x8000000000000080);
        rig.cpu->zmm[2].q[1] = 0x7f7f7f7f7f7f7f7f;
        uint8_t *memory = rig_at(&rig, PHYSICAL + PAGE_SIZE - 8);
        uint8_t want[16];
        memcpy(want, memory, sizeof want);
        want[0] = rig.cpu->zmm[1].b[0];
        want[7] = rig.cpu->zmm[1].b[7];
        assert_int_equal(run(code[vex], 4), -1);
        assert_memory_equal(memory, want, sizeof want);
        rig.cpu->zmm[2].q[0] = ~UINT64_C(0);
        rig.cpu->zmm[2].b[12] = 0x80;
        assert_int_equal(run(code[vex], 4), VEC_PF);
        assert_memory_equal(memory, want, sizeof want);
    }
}

/* --- alignment --- */

/* Legacy SSE operands must be aligned (SDM 2A §2.4.4 "Class 4"), those with VEX need not. */
static void test_alignment(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[6], n;
        bool aligned;
    } t[] = {
        {{0x66, 0x0f, 0x38, 0xdc, 0x0b}, 5, true},     /* AESENC */
        {{0x66, 0x0f, 0x38, 0xdb, 0x0b}, 5, true},     /* AESIMC */
        {{0x66, 0x0f, 0x3a, 0xdf, 0x0b, 1}, 6, true},  /* AESKEYGENASSIST */
        {{0x66, 0x0f, 0x3a, 0x44, 0x0b, 1}, 6, true},  /* PCLMULQDQ */
        {{0x66, 0x0f, 0x38, 0xcf, 0x0b}, 5, true},     /* GF2P8MULB */
        {{0x66, 0x0f, 0x3a, 0xce, 0x0b, 1}, 6, true},  /* GF2P8AFFINEQB */
        {{0x0f, 0x38, 0xc8, 0x0b}, 4, true},           /* SHA1NEXTE */
        {{0x0f, 0x38, 0xcb, 0x0b}, 4, true},           /* SHA256RNDS2 */
        {{0x0f, 0x3a, 0xcc, 0x0b, 1}, 5, true},        /* SHA1RNDS4 */
        {{0xc4, 0xe2, 0x65, 0xdc, 0x0b}, 5, false},    /* VAESENC */
        {{0xc4, 0xe2, 0x61, 0xdc, 0x0b}, 5, false},    /* the same, 128 bits */
        {{0xc4, 0xe3, 0x65, 0x44, 0x0b, 1}, 6, false}, /* VPCLMULQDQ */
        {{0xc4, 0xe2, 0x65, 0xcf, 0x0b}, 5, false},    /* VGF2P8MULB */
        {{0xf3, 0x0f, 0x2b, 0x0b}, 4, false},          /* MOVNTSS */
        {{0xf2, 0x0f, 0x2b, 0x0b}, 4, false},          /* MOVNTSD */
    };
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        begin();
        rig.cpu->r[REG_RBX] = PRESENT;
        assert_int_equal(run(t[i].bytes, t[i].n), -1);
        rig.cpu->r[REG_RBX] = PRESENT + 8;
        assert_int_equal(run(t[i].bytes, t[i].n), t[i].aligned ? VEC_GP : -1);
        rig.cpu->r[REG_RBX] = ABSENT;
        assert_int_equal(run(t[i].bytes, t[i].n), VEC_PF);
    }
}

/* --- SSE4A: APM 4 "EXTRQ", "INSERTQ" --- */

static void test_fields(void **state)
{
    (void)state;
    begin();
    union vec *a = &rig.cpu->zmm[1], *b = &rig.cpu->zmm[2];
    const uint64_t v = 0x0123456789abcdef;
    a->q[0] = v;
    assert_int_equal(RUN(0x66, 0x0f, 0x78, 0xc1, 12, 8), -1); /* 12 bits from bit 8 */
    assert_true(a->q[0] == 0xbcd);
    a->q[0] = v;
    assert_int_equal(RUN(0x66, 0x0f, 0x78, 0xc1, 0xc0, 0x40), -1); /* all 64, modulo 64 */
    assert_true(a->q[0] == v);
    a->q[0] = v;
    b->q[0] = 0xc4c0 | 36; /* 36 bits from bit 4 */
    assert_int_equal(RUN(0x66, 0x0f, 0x79, 0xca), -1);
    assert_true(a->q[0] == 0x6789abcde);
    a->q[0] = v;
    b->q[0] = ~UINT64_C(0);
    assert_int_equal(RUN(0xf2, 0x0f, 0x78, 0xca, 4, 60), -1);
    assert_true(a->q[0] == 0xf123456789abcdef);
    a->q[0] = v;
    b->q[0] = 0x55;
    b->q[1] = 0x0c08; /* 8 bits to bit 12 */
    assert_int_equal(RUN(0xf2, 0x0f, 0x79, 0xca), -1);
    assert_true(a->q[0] == 0x0123456789a55def);
    a->q[0] = v;
    b->q[1] = 0;
    assert_int_equal(RUN(0xf2, 0x0f, 0x79, 0xca), -1);
    assert_true(a->q[0] == 0x55);
    /* registers only, and only /0 */
    assert_int_equal(RUN(0x66, 0x0f, 0x78, 0x03, 1, 1), VEC_UD);
    assert_int_equal(RUN(0x66, 0x0f, 0x79, 0x0b), VEC_UD);
    assert_int_equal(RUN(0xf2, 0x0f, 0x78, 0x0b, 1, 1), VEC_UD);
    assert_int_equal(RUN(0x66, 0x0f, 0x78, 0xc9, 1, 1), VEC_UD);
    assert_int_equal(RUN(0x0f, 0x78, 0xc1, 1, 1), VEC_UD);
    assert_int_equal(RUN(0xf3, 0x0f, 0x2b, 0xc1), VEC_UD);
}

/* --- other modes --- */

/* 32-bit code reaches registers 0 to 7 only. SDM 2C "VZEROALL", "VZEROUPPER" */
static void test_zero_in_32_bits(void **state)
{
    (void)state;
    for (unsigned all = 0; all < 2; all++) {
        begin();
        rig_segments(&rig, SEL_CODE32, SEL_DATA);
        union vec want[16];
        memcpy(want, rig.cpu->zmm, sizeof want);
        for (unsigned i = 0; i < 8; i++)
            memset((uint8_t *)&want[i] + (all ? 0 : 16), 0, sizeof want[i] - (all ? 0 : 16));
        assert_int_equal(RUN(0xc5, (uint8_t)(0xf8 | all << 2), 0x77), -1);
        assert_true(rig.cpu->rip == CODE + 3);
        assert_memory_equal(rig.cpu->zmm, want, sizeof want);
    }
}

/* --- features: what is off is #UD, and says so --- */

static void test_features(void **state)
{
    (void)state;
    static const struct {
        const char *with, *without;
        uint8_t bytes[6];
    } t[] = {
        {"max", "max,-aes", {0x66, 0x0f, 0x38, 0xdc, 0xc1}},
        {"max", "max,-aes", {0x66, 0x0f, 0x3a, 0xdf, 0xc1, 1}},
        {"max", "max,-aes", {0xc4, 0xe2, 0x61, 0xdc, 0xc1}},
        {"max", "max,-aes", {0xc4, 0xe2, 0x79, 0xdb, 0xc1}},
        {"max,-aes", "max,-vaes", {0xc4, 0xe2, 0x65, 0xdc, 0xc1}},
        {"max,-avx", "qemu64", {0x66, 0x0f, 0x38, 0xde, 0xc1}},
        {"max,-vaes", "max,-avx", {0xc4, 0xe2, 0x61, 0xde, 0xc1}},
        {"max", "max,-avx", {0xc4, 0xe2, 0x65, 0xde, 0xc1}},
        {"max,-avx", "max,-pclmulqdq", {0x66, 0x0f, 0x3a, 0x44, 0xc1, 1}},
        {"max,-vpclmulqdq", "max,-pclmulqdq", {0xc4, 0xe3, 0x61, 0x44, 0xc1, 1}},
        {"max", "max,-avx", {0xc4, 0xe3, 0x61, 0x44, 0xc1, 1}},
        {"max,-pclmulqdq", "max,-vpclmulqdq", {0xc4, 0xe3, 0x65, 0x44, 0xc1, 1}},
        {"max,-avx", "max,-gfni", {0x66, 0x0f, 0x38, 0xcf, 0xc1}},
        {"max", "max,-gfni", {0xc4, 0xe2, 0x61, 0xcf, 0xc1}},
        {"max", "max,-avx", {0xc4, 0xe2, 0x61, 0xcf, 0xc1}},
        {"max,-avx2", "max,-gfni", {0xc4, 0xe3, 0xe5, 0xce, 0xc1, 1}},
        {"max", "max,-sha-ni", {0x0f, 0x38, 0xc8, 0xc1}},
        {"max", "x86-64-v3", {0x0f, 0x3a, 0xcc, 0xc1, 1}},
        {"max,+sse4a", "max", {0x66, 0x0f, 0x79, 0xc1}},
        {"max,+sse4a", "max", {0xf2, 0x0f, 0x2b, 0x03}},
        {"qemu64,+aes", "x86-64-v3", {0x66, 0x0f, 0x38, 0xdc, 0xc1}},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
        for (unsigned on = 0; on < 2; on++) {
            struct error err = {0};
            struct cpu_features feat;
            struct insn u;
            uint8_t bytes[15] = {0};
            memcpy(bytes, t[i].bytes, sizeof t[i].bytes);
            assert_true(cpu_features_parse(&feat, on ? t[i].with : t[i].without, &err));
            const uint32_t mode = MODE_CODE64 | MODE_FLAT | MODE_PROT;
            const enum decode_status st = decode(&u, bytes, sizeof bytes, mode, &feat, 0);
            assert_int_equal(st, on ? DECODE_OK : DECODE_UD);
            assert_true(on || u.imm == REASON_UD_FEATURE);
        }
}

static int setup(void **state)
{
    (void)state;
    rig_open_sized(&rig, "max,+sse4a", RIG_RAM_BYTES);
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
        cmocka_unit_test(test_gather_faults),   cmocka_unit_test(test_gather_encodings),
        cmocka_unit_test(test_masked_moves),    cmocka_unit_test(test_maskmovdqu),
        cmocka_unit_test(test_alignment),       cmocka_unit_test(test_fields),
        cmocka_unit_test(test_zero_in_32_bits), cmocka_unit_test(test_features),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
