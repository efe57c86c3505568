/*
 * Random programs (jit_gen.h) on two machines, one interpreting, one that translates everything at
 * once: after every slice of the same length they must agree in every register, flag (undefined
 * ones too), in what faulted, in the instruction count, and at the end in memory.
 *
 * FUZZ_SEED and FUZZ_CASES choose what is run. A difference is located: the first count at which
 * the machines differ, and the instructions that led there.
 */
#include "jit_gen.h"
#include "cpu/jit/jit.h"

#include "core/state.h"
#include "core/vclock.h"
#include "debug/disas.h"

#include <inttypes.h>

#define RAM_BYTES (512 * KiB)
#define STEPS     1500u

static struct rig plain, jit;
static struct gen gen;
static uint8_t before[RAM_BYTES];
static uint64_t instructions;
static struct { /* what ran in each kind of machine */
    uint64_t programs, instructions, translated;
} ran[GEN_PAE + 1];
static uint64_t began[2]; /* the counts of both at the start */

/* Time is a line over the instructions since the start: what RDTSC reads. */
static struct vclock line = {.base_ns = 12345, .base_icount = 7, .rate = UINT64_C(0x3a5c69e12)};
static uint64_t others[2];

static int64_t read_plain(void *opaque)
{
    (void)opaque;
    return vclock_ns(&line, others[0] + cpu_icount(plain.cpu));
}
static int64_t read_jit(void *opaque)
{
    (void)opaque;
    return vclock_ns(&line, others[1] + cpu_icount(jit.cpu));
}

/* --- bringing both to the same state --- */

static void set_memory(struct rig *r)
{
    for (unsigned i = 0; i < RAM_BYTES; i += 256)
        if (memcmp(before + i, rig_at(r, i), 256))
            rig_put(r, i, before + i, 256);
}

static void set_state(struct rig *r, const struct state *save)
{
    struct state load;
    cpu_reset(r->cpu, false);
    state_init_load(&load, save->buf, save->len);
    cpu_state(r->cpu, &load);
    assert_string_equal(load.err.msg, "");
    cpu_loaded(r->cpu);
    state_free(&load);
    door_init(&r->door, true, 1);
}

static void start(const struct state *save)
{
    set_memory(&plain);
    set_memory(&jit);
    set_state(&plain, save);
    set_state(&jit, save);
    began[0] = cpu_icount(plain.cpu);
    began[1] = cpu_icount(jit.cpu);
    for (unsigned i = 0; i < 2; i++)
        others[i] = 100 - began[i];
}

/* --- comparing --- */

static uint64_t count(unsigned which)
{
    return cpu_icount(which ? jit.cpu : plain.cpu) - began[which];
}

static bool same_segments(const struct cpu *a, const struct cpu *b)
{
    for (unsigned i = 0; i < SEG_COUNT; i++) {
        const struct segment *x = &a->seg[i], *y = &b->seg[i];
        if (x->sel != y->sel || x->base != y->base || x->limit != y->limit || x->attr != y->attr)
            return false;
    }
    return true;
}

static bool same_state(void)
{
    struct cpu *a = plain.cpu, *b = jit.cpu;
    return !memcmp(a->r, b->r, 16 * sizeof a->r[0]) && a->rip == b->rip && a->cpl == b->cpl &&
           cpu_get_rflags(a) == cpu_get_rflags(b) && a->cr2 == b->cr2 && count(0) == count(1) &&
           a->halted == b->halted && a->mxcsr == b->mxcsr &&
           !memcmp(a->zmm, b->zmm, sizeof a->zmm) && same_segments(a, b) &&
           !memcmp(&a->fpu, &b->fpu, sizeof a->fpu) && a->cr0 == b->cr0;
}

static bool same_memory(void)
{
    return !memcmp(rig_at(&plain, 0), rig_at(&jit, 0), RAM_BYTES);
}

static void print_differences(void)
{
    static const char *const name[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                         "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    struct cpu *a = plain.cpu, *b = jit.cpu;
    printf("  rip %" PRIx64 ", translated %" PRIx64 "; flags %03" PRIx64 ", translated %03" PRIx64
           "; count %" PRIu64 ", translated %" PRIu64 "; cr2 %" PRIx64 ", translated %" PRIx64 "\n",
           a->rip, b->rip, cpu_get_rflags(a), cpu_get_rflags(b), count(0), count(1), a->cr2,
           b->cr2);
    for (unsigned i = 0; i < 16; i++) {
        if (a->r[i] != b->r[i])
            printf("  %s %" PRIx64 ", translated %" PRIx64 "\n", name[i], a->r[i], b->r[i]);
        if (memcmp(&a->zmm[i], &b->zmm[i], sizeof a->zmm[i]))
            printf("  xmm%u %016" PRIx64 "%016" PRIx64 ", translated %016" PRIx64 "%016" PRIx64
                   "\n",
                   i, a->zmm[i].q[1], a->zmm[i].q[0], b->zmm[i].q[1], b->zmm[i].q[0]);
    }
    const struct fpu *fa = &a->fpu, *fb = &b->fpu;
    if (memcmp(fa, fb, sizeof *fa)) {
        printf("  fpu cw %x sw %x used %x op %x ip %" PRIx64 " dp %" PRIx64 " cs %x ds %x\n",
               fa->cw, fa->sw, fa->used, fa->fop, fa->fip, fa->fdp, fa->fcs, fa->fds);
        printf("  ..translated %x sw %x used %x op %x ip %" PRIx64 " dp %" PRIx64 " cs %x ds %x\n",
               fb->cw, fb->sw, fb->used, fb->fop, fb->fip, fb->fdp, fb->fcs, fb->fds);
    }
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(&fa->r[i], &fb->r[i], sizeof fa->r[i]))
            printf("  x87 r%u %04x:%016" PRIx64 ", translated %04x:%016" PRIx64 "\n", i,
                   fa->r[i].sexp, fa->r[i].mant, fb->r[i].sexp, fb->r[i].mant);
    for (unsigned i = 0, n = 0; i < RAM_BYTES && n < 8; i++) {
        if (*rig_at(&plain, i) == *rig_at(&jit, i))
            continue;
        printf("  [%x] was %02x: %02x, translated %02x\n", i, before[i], *rig_at(&plain, i),
               *rig_at(&jit, i));
        n++;
    }
}

/* --- locating --- */

/* A change of MXCSR ends a run early where there is code to be thrown away. */
static void run_all(struct rig *r, uint64_t n)
{
    const uint64_t end = cpu_icount(r->cpu) + n;
    while (cpu_icount(r->cpu) < end && !r->cpu->halted)
        rig_run(r, end - cpu_icount(r->cpu));
}

static void run_both(uint64_t n)
{
    run_all(&plain, n);
    run_all(&jit, n);
}

static void print_insn(const struct cpu *cpu)
{
    struct disas *d = disas_create(DISAS_INTEL, &(struct error){0});
    char text[160];
    gla_t at = cpu->rip;
    if (at >= GEN_HIGH)
        at += GEN_CODE - GEN_HIGH;
    if (d && at < RAM_BYTES - 16) {
        disas_one(d, rig_at(&plain, at), 15, at, cpu_code64(cpu) ? 64 : 32, text, sizeof text);
        printf("  %" PRIx64 "  %-40s", at, text);
        for (unsigned i = 0; i < (cpu_code64(cpu) ? 16 : 8); i++)
            printf(" %" PRIx64, cpu->r[i]);
        printf(" %03" PRIx64 "\n", cpu_get_rflags(cpu));
    }
    disas_destroy(d);
}

/* A run in one piece that ends differently: how long it is at least, and what ran last. */
static void locate(const struct state *save)
{
    for (unsigned n = 1; n <= STEPS; n++) {
        start(save);
        run_both(n);
        if (same_state() && same_memory())
            continue;
        printf("  after %u instructions in one piece:\n", n);
        print_differences();
        start(save);
        const unsigned shown = MIN(n, 24u);
        run_all(&plain, n - shown);
        for (unsigned i = 0; i < shown; i++) {
            print_insn(plain.cpu);
            rig_run(&plain, 1);
        }
        return;
    }
    printf("  not if it is run in one piece\n");
}

/* --- one program --- */

/* The sizes of slices: everything at once, long ones, short ones. */
static uint64_t slice(unsigned kind)
{
    return kind == 0 ? STEPS : kind == 1 ? 1 + below(200) : 1 + below(12);
}

static bool fuzz_one(void)
{
    struct state save;
    gen.rig = &plain;
    rig_tables(&plain); /* the last program may have written anywhere */
    ram_note_write(&plain.ram, plain.main.ram, RAM_BYTES);
    gen_machine(&gen);
    gen_program(&gen);
    jit.cpu->code->jit->atomic = one_in(2); /* as for CPUs on threads */
    memcpy(before, rig_at(&plain, 0), RAM_BYTES);
    state_init_save(&save);
    cpu_state(plain.cpu, &save);
    start(&save);
    const unsigned kind = below(3);
    const uint64_t translated = jit.cpu->stats.translated_insns;
    bool same = true;
    for (uint64_t done = 0; same && done < STEPS && !plain.cpu->halted;) {
        const uint64_t n = slice(kind);
        run_both(n);
        done += n;
        instructions += n;
        same = same_state();
    }
    ran[gen.machine].programs++;
    ran[gen.machine].instructions += count(1);
    ran[gen.machine].translated += jit.cpu->stats.translated_insns - translated;
    if (!same || !same_memory()) {
        same = false;
        printf("machine %u, %s: differs in slices of kind %u (cache emptied %" PRIu64
               " times, code %" PRIu64 "):\n",
               gen.machine, gen.user ? "user" : "kernel", kind, jit.cpu->stats.cache_flushes,
               jit.cpu->stats.code_flushes);
        print_differences();
        locate(&save);
    }
    state_free(&save);
    return same;
}

static void test_programs(void **state)
{
    (void)state;
    const char *seed = getenv("FUZZ_SEED"), *cases = getenv("FUZZ_CASES");
    if (seed)
        rng_state = strtoull(seed, NULL, 0);
    const unsigned n = cases ? (unsigned)atoi(cases) : 3000;
    unsigned wrong = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t this = rng_state;
        if (!fuzz_one() && wrong++ < 10)
            printf("reproduce: FUZZ_SEED=%#" PRIx64 " FUZZ_CASES=1 (program %u)\n\n", this, i);
    }
    uint64_t faults = 0;
    for (unsigned i = 0; i < 32; i++)
        faults += jit.cpu->stats.exceptions[i];
    const struct cpu_stats *s = &jit.cpu->stats;
    printf("%u programs, %" PRIu64 " instructions, %" PRIu64 " exceptions, %" PRIu64
           " blocks translated, %" PRIu64 " dropped, %u differ\n",
           n, instructions, faults, s->translated_blocks, s->blocks_dropped, wrong);
    for (unsigned i = 0; i < ARRAY_SIZE(ran); i++)
        printf("  machine %u: %" PRIu64 " programs, %" PRIu64 " instructions, %" PRIu64
               " translated\n",
               i, ran[i].programs, ran[i].instructions, ran[i].translated);
    assert_int_equal(wrong, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(ran) && n >= 1000; i++) {
        assert_true(ran[i].instructions > STEPS / 2 * ran[i].programs);
        assert_true(ran[i].translated > 20 * ran[i].programs);
    }
    assert_true(s->translated_blocks > n && faults > n);
}

static int setup(void **state)
{
    (void)state;
    rig_open_with(&plain, "max,+sse4a", RAM_BYTES, 0, false);
    rig_open_with(&jit, "max,+sse4a", RAM_BYTES, 1, false);
    plain.time.read_clock = read_plain;
    jit.time.read_clock = read_jit;
    jit.time.line = &line;
    jit.time.others = &others[1];
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_close(&plain);
    rig_close(&jit);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
