/*
 * Lockstep on random programs (jit_gen.h): no block differs, most can be verified; and with one
 * instruction at a time translated wrongly, that is found, and named.
 *
 * FUZZ_SEED and FUZZ_CASES choose the programs of the first test.
 */
#include "jit_gen.h"

#include "cpu/jit/verify.h"

#include <inttypes.h>

#define RAM_BYTES (512 * KiB)
#define STEPS     600u
#define PROGRAMS  100000u /* until one meets a mistake: the rarest operations need thousands */

static struct rig rig;
static struct gen gen = {.rig = &rig};
static char said[16384]; /* the last report */

static void hear(void *opaque, const char *line)
{
    (void)opaque;
    if (strstr(line, "translated code differs"))
        said[0] = '\0';
    const size_t at = strlen(said);
    snprintf(said + at, sizeof said - at, "%s\n", line);
}

/* Ends the run at the first difference. */
static void failed(void *opaque)
{
    (void)opaque;
    cpu_kick(rig.cpu);
}

static void run_program(void)
{
    rig_tables(&rig);
    ram_note_write(&rig.ram, rig.main.ram, RAM_BYTES);
    gen_machine(&gen);
    gen_program(&gen);
    rig.cpu->code->jit->atomic = one_in(2); /* as for CPUs on threads */
    const uint64_t end = cpu_icount(rig.cpu) + STEPS;
    while (cpu_icount(rig.cpu) < end && !rig.cpu->halted && !rig.cpu->stats.verify_differences)
        rig_run(&rig, MIN(1 + below(200), end - cpu_icount(rig.cpu)));
}

static void test_no_difference(void **state)
{
    (void)state;
    const char *seed = getenv("FUZZ_SEED"), *cases = getenv("FUZZ_CASES");
    if (seed)
        rng_state = strtoull(seed, NULL, 0);
    const unsigned n = cases ? (unsigned)atoi(cases) : 1000;
    const struct cpu_stats *s = &rig.cpu->stats;
    for (unsigned i = 0; i < n && !s->verify_differences; i++) {
        const uint64_t this = rng_state;
        run_program();
        if (s->verify_differences)
            printf("FUZZ_SEED=%#" PRIx64 " FUZZ_CASES=1\n%s", this, said);
    }
    printf("%" PRIu64 " blocks verified, %" PRIu64 " not, %" PRIu64 " differ\n", s->verified_blocks,
           s->unverified_blocks, s->verify_differences);
    assert_int_equal(s->verify_differences, 0);
    assert_true(s->verified_blocks > 20 * n && s->verified_blocks > 10 * s->unverified_blocks);
}

/* Whether what was said blames the instruction. */
static bool blamed(const char *mnemonic)
{
    char name[32];
    if (!strcmp(mnemonic, "jcc"))
        return strstr(said, " (j") != NULL;
    if (!strcmp(mnemonic, "setcc") || !strcmp(mnemonic, "cmovcc"))
        snprintf(name, sizeof name, " (%.*s", mnemonic[0] == 's' ? 3 : 4, mnemonic);
    else
        snprintf(name, sizeof name, " (%s):", mnemonic);
    return strstr(said, name) != NULL;
}

static void test_every_break_is_found(void **state)
{
    (void)state;
    struct jit *j = rig.cpu->code->jit;
    unsigned missed = 0, broken = 0;
    rng_state = 1;
    for (const char *name; (name = verify_breakable(broken)); broken++) {
        unsigned programs = 0;
        assert_true(verify_break(j, name));
        code_flush(rig.cpu->code);
        rig.cpu->stats.verify_differences = 0;
        while (!rig.cpu->stats.verify_differences && programs++ < PROGRAMS)
            run_program();
        const bool found = rig.cpu->stats.verify_differences, right = found && blamed(name);
        if (!right) {
            printf("%s: %s\n%s", name, found ? "found, not located" : "not found",
                   found ? said : "");
            missed++;
        }
    }
    verify_break(j, NULL);
    code_flush(rig.cpu->code);
    assert_false(verify_break(j, "nosuch"));
    printf("%u mistakes, %u missed\n", broken, missed);
    assert_int_equal(missed, 0);
}

static int setup(void **state)
{
    (void)state;
    rig_open_with(&rig, "max", RAM_BYTES, 1, true);
    log_init(&rig.log, hear, NULL);
    rig.cpu->hooks.verify_failed = failed;
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
        cmocka_unit_test(test_no_difference),
        cmocka_unit_test(test_every_break_is_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
