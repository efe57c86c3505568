/*
 * Random code on random machines, in every mode: nothing crashes (the sanitizers look on), nothing
 * of the host is touched, and the outcome is the same whether a run is made in one piece, from
 * cached blocks, or in pieces of a few instructions after its state was saved and loaded.
 *
 * FUZZ_SEED and FUZZ_CASES choose what is run.
 */
#include "insn_rig.h"

#include "core/state.h"
#include "cpu/decode_tables.h"

#define RAM_BYTES (512 * KiB)
#define CODE      0x50000u
#define STEPS     300u

static struct rig rig;
static uint8_t before[RAM_BYTES], after[RAM_BYTES];

/* Addresses that are mostly somewhere in RAM, and mostly not in the tables. */
static uint64_t random_register(void)
{
    switch (below(8)) {
    case 0:
        return rnd();
    case 1:
        return rnd() >> below(64);
    case 2:
        return below(64);
    default:
        return 0x40000 + below(0x3f000);
    }
}

/* Instructions of the current mode one after the other, most of them harmless. */
static void random_code(gpa_t at, unsigned bytes)
{
    uint8_t code[1024];
    unsigned n = 0;
    while (n < bytes) {
        struct insn u;
        for (unsigned i = 0; i < 15; i++)
            code[n + i] = one_in(4) ? (uint8_t)random_register() : (uint8_t)rnd();
        if (one_in(3))
            code[n] = 0x0f;
        const enum decode_status st = decode(&u, code + n, 15, rig.cpu->mode, &rig.cpu->feat, 0);
        if (st != DECODE_OK && !one_in(50))
            continue;
        const struct op_info *op = &op_info[st == DECODE_OK ? u.op : OP_UD];
        if ((op->attr & OA_FAULT) && !one_in(20))
            continue;
        n += st == DECODE_OK ? u.len : 2;
    }
    rig_put(&rig, at, code, bytes);
}

static void random_segment(unsigned s)
{
    struct segment *g = &rig.cpu->seg[s];
    g->base = one_in(2) ? 0 : below(0x40000) & ~15u;
    g->limit = one_in(2) ? 0xffff : one_in(2) ? 0xffffffff : below(0x80000);
}

static void random_machine(void)
{
    struct cpu *cpu = rig.cpu;
    switch (below(7)) {
    case 0:
        rig_real(&rig);
        cpu->seg[SEG_CS].base = 0x48000; /* CODE - 8000 */
        for (unsigned s = SEG_ES; s <= SEG_GS; s++)
            if (s != SEG_CS)
                random_segment(s);
        break;
    case 1:
        rig_prot(&rig, SEL_CODE32, SEL_DATA);
        break;
    case 2:
        rig_prot(&rig, SEL_CODE16, SEL_DATA16);
        cpu->seg[SEG_CS].base = 0x48000;
        random_segment(SEG_DS);
        random_segment(SEG_SS);
        break;
    case 3:
        rig_prot(&rig, SEL_CODE32, SEL_DATA);
        for (unsigned s = SEG_ES; s <= SEG_GS; s++)
            if (s != SEG_CS)
                random_segment(s);
        break;
    case 4:
        rig_long(&rig, SEL_CODE64, SEL_DATA);
        break;
    case 5:
        rig_long(&rig, SEL_CODE64_USER, SEL_DATA_USER);
        break;
    default:
        rig_long(&rig, SEL_CODE32_USER, SEL_DATA_USER);
        break;
    }
    if (cpu_long(cpu) && cpu->cpl)
        for (gla_t at = 0x40000; at < RAM_BYTES; at += PAGE_SIZE)
            rig_map(&rig, at, at, RIG_P | RIG_U | (one_in(16) ? 0 : RIG_W));
    cpu->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | (one_in(2) ? CR4_OSXSAVE : 0);
    cpu->xcr0 = XCR0_X87 | XCR0_SSE;
    cpu_loaded(cpu);
    for (unsigned i = 0; i < 16; i++)
        cpu->r[i] = cpu_code64(cpu) || i < 8 ? random_register() : 0;
    for (unsigned i = 0; i < 8 && !cpu_long(cpu); i++)
        cpu->r[i] = (uint32_t)cpu->r[i];
    if (cpu->seg[SEG_CS].base)
        cpu->rip = CODE - cpu->seg[SEG_CS].base;
    else
        cpu->rip = CODE;
    cpu->r[REG_RSP] = 0x70000 + below(0x1000);
    cpu_set_rflags(cpu, (rnd() & (FLAGS_ARITH | FLAG_DF | FLAG_IF)) | FLAG_1 |
                            (one_in(8) ? FLAG_TF : 0) | (one_in(16) ? FLAG_AC : 0));
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < 2; k++)
            cpu->zmm[i].q[k] = rnd();
    cpu->fpu.cw = 0x37f;
}

/* Handlers that go on one byte behind what faulted, so that a case does not end there. */
static void skip_handlers(void)
{
    static const uint8_t real[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
    static const uint8_t prot[] = {0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf};
    static const uint8_t longs[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    for (unsigned v = 0; v < 32; v++) {
        uint8_t *p = rig_at(&rig, RIG_HANDLERS + v * 16);
        const bool error = rig_has_error((int)v);
        if (!cpu_prot(rig.cpu))
            memcpy(p, real, sizeof real);
        else if (cpu_long(rig.cpu))
            memcpy(p, longs + (error ? 0 : 4), sizeof longs - (error ? 0 : 4));
        else
            memcpy(p, prot + (error ? 0 : 3), sizeof prot - (error ? 0 : 3));
    }
}

static void random_memory(void)
{
    for (gpa_t at = 0x40000; at < RAM_BYTES; at += 8)
        st64(rig_at(&rig, at), at & 0xf000 ? rnd() : random_register());
    if (!one_in(4))
        skip_handlers();
    for (unsigned v = 0; v < 32; v++)
        if (one_in(16))
            random_code(RIG_HANDLERS + v * 16, 16);
    ram_note_write(&rig.ram, rig.main.ram, RAM_BYTES);
    random_code(CODE, 256);
    random_code(CODE + 0xf80, 256); /* across a page */
}

static bool stopped(void)
{
    return rig.cpu->halted || rig.cpu->wait_sipi;
}

static void run_whole(uint64_t end)
{
    while (!stopped() && cpu_icount(rig.cpu) < end) {
        cpu_set_end(rig.cpu, end);
        cpu_run(rig.cpu);
    }
}

static void run_pieces(uint64_t end, unsigned k)
{
    while (!stopped() && cpu_icount(rig.cpu) < end) {
        const uint64_t n = cpu_icount(rig.cpu) + 1 + below(k);
        cpu_set_end(rig.cpu, MIN(n, end));
        cpu_run(rig.cpu);
    }
}

static char *dump;
static size_t dump_len;

static void dump_line(void *opaque, const char *line)
{
    FILE *f = opaque;
    fprintf(f, "%s\n", line);
}

static char *dump_state(uint64_t start)
{
    struct state s;
    FILE *f = open_memstream(&dump, &dump_len);
    assert_non_null(f);
    state_init_dump(&s, dump_line, f);
    cpu_state(rig.cpu, &s);
    fprintf(f, "icount %llu\n", (unsigned long long)(cpu_icount(rig.cpu) - start));
    fclose(f);
    state_free(&s);
    return dump;
}

static void print_difference(const char *a, const char *b)
{
    while (*a || *b) {
        const size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n))
            printf("  %.*s   %.*s\n", (int)n, a, (int)m, b);
        a += n + (a[n] != 0);
        b += m + (b[m] != 0);
    }
}

/* Back to where the case began. What was not written meanwhile stays in the cache of code. */
static void start_again(const struct state *save)
{
    struct state load;
    for (unsigned i = 0; i < RAM_BYTES; i += 64)
        if (memcmp(before + i, rig_at(&rig, i), 64))
            rig_put(&rig, i, before + i, 64);
    door_init(&rig.door, true, 1);
    cpu_reset(rig.cpu, false);
    state_init_load(&load, save->buf, save->len);
    cpu_state(rig.cpu, &load);
    assert_string_equal(load.err.msg, "");
    cpu_loaded(rig.cpu);
    state_free(&load);
}

static bool same_as(const char *whole, const char *again)
{
    if (!strcmp(whole, again) && !memcmp(after, rig_at(&rig, 0), RAM_BYTES))
        return true;
    print_difference(whole, again);
    for (unsigned i = 0, n = 0; i < RAM_BYTES && n < 16; i++) {
        if (after[i] == *rig_at(&rig, i))
            continue;
        printf("  [%x] was %02x: %02x   %02x\n", i, before[i], after[i], *rig_at(&rig, i));
        n++;
    }
    return false;
}

static bool fuzz_one(void)
{
    struct state save;
    rig_tables(&rig);
    random_machine();
    random_memory();
    door_init(&rig.door, true, 1);
    memcpy(before, rig_at(&rig, 0), RAM_BYTES);
    state_init_save(&save);
    cpu_state(rig.cpu, &save);

    uint64_t start = cpu_icount(rig.cpu);
    run_whole(start + STEPS);
    memcpy(after, rig_at(&rig, 0), RAM_BYTES);
    char *whole = dump_state(start);

    bool same = true;
    for (unsigned pass = 0; pass < 2 && same; pass++) {
        start_again(&save);
        start = cpu_icount(rig.cpu);
        if (pass)
            run_whole(start + STEPS);
        else
            run_pieces(start + STEPS, 1 + below(8));
        char *again = dump_state(start);
        same = same_as(whole, again);
        free(again);
    }
    free(whole);
    state_free(&save);
    return same;
}

static void test_fuzz(void **state)
{
    (void)state;
    const char *seed = getenv("FUZZ_SEED"), *cases = getenv("FUZZ_CASES");
    if (seed)
        rng_state = strtoull(seed, NULL, 0);
    const unsigned n = cases ? (unsigned)atoi(cases) : 2000;
    unsigned wrong = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t this = rng_state;
        if (!fuzz_one() && wrong++ < 20)
            printf("differs: FUZZ_SEED=%#llx FUZZ_CASES=1\n", (unsigned long long)this);
    }
    uint64_t exceptions = 0;
    for (unsigned i = 0; i < 32; i++)
        exceptions += rig.cpu->stats.exceptions[i];
    printf("%u cases, %llu instructions, %llu exceptions, %u differ\n", n,
           (unsigned long long)cpu_icount(rig.cpu), (unsigned long long)exceptions, wrong);
    assert_int_equal(wrong, 0);
}

static int setup(void **state)
{
    (void)state;
    rig_open_sized(&rig, "max,+sse4a", RAM_BYTES);
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
        cmocka_unit_test(test_fuzz),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
