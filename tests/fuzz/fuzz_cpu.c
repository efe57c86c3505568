/*
 * Random code on random machines, in every mode: nothing crashes (the sanitizers look on), nothing
 * of the host is touched that is not the guest's (pages around it end the process), no run takes
 * more instructions than it was given, and every state that is reached could be one of a processor.
 * And the outcome is the same whether a run is interpreted or translated (where the host can), in
 * one piece, from cached blocks, or in pieces of a few instructions; and whether translations of
 * addresses are forgotten between some of these (which a program that changed its tables may
 * notice), or the whole state that was saved and is loaded.
 */
#include "cpu_machine.h"

#include "core/state.h"

static uint8_t before[RAM_BYTES], after[RAM_BYTES], rom_before[ROM_BYTES];

/* What comes from outside, and when. */
static struct arrival {
    unsigned at; /* instructions from the start */
    enum { INTR, NMI, A20, INIT } what;
    uint8_t vector;
} arrivals[6];
static unsigned arrivals_len;
static unsigned steps;

static struct {
    unsigned long cases, instructions, exceptions, interrupts;
} seen;

static void random_arrivals(void)
{
    arrivals_len = one_in(2) ? 0 : below(ARRAY_SIZE(arrivals) + 1);
    for (unsigned i = 0; i < arrivals_len; i++) {
        arrivals[i].at = (i ? arrivals[i - 1].at : 0) + below(steps / 2);
        arrivals[i].what = one_in(32) ? INIT : one_in(4) ? NMI : one_in(8) ? A20 : INTR;
        arrivals[i].vector = (uint8_t)below(256);
    }
}

static void arrive(const struct arrival *a)
{
    log_line(&rig.log, LOG_INT, "arrival %u", a->what);
    switch (a->what) {
    case INTR:
        interrupt(a->vector);
        break;
    case NMI:
        cpu_set_nmi(rig.cpu, 0, 1);
        break;
    case A20:
        memmap_set_a20(&rig.mem, a->vector & 1);
        break;
    case INIT:
        cpu_set_init(rig.cpu, 0, 1);
        break;
    }
}

/* --- states --- */

#define MUST(condition)                                 \
    do {                                                \
        if (!(condition))                               \
            fuzz_fail("no such state: %s", #condition); \
    } while (0)

/* SDM 3A §2.5, §3.4, §5: what holds between any two instructions. */
static void check_state(struct cpu *cpu)
{
    const bool pe = cpu_prot(cpu), pg = cpu->cr0 & CR0_PG, lma = cpu_long(cpu), vm = cpu_vm86(cpu);
    const uint64_t flags = cpu_get_rflags(cpu);
    MUST(cpu->cpl <= 3);
    MUST(pe || (!pg && cpu->cpl == 0));
    MUST(!(cpu->cr0 & CR0_NW) || (cpu->cr0 & CR0_CD));
    MUST(!(cpu->cr0 & ~UINT64_C(0xe005003f)) && (cpu->cr0 & CR0_ET));
    MUST(lma == (pg && (cpu->efer & EFER_LME)));
    MUST(!lma || (cpu->cr4 & CR4_PAE));
    MUST(!(cpu->cr4 & CR4_PCIDE) || lma);
    MUST(!vm || (pe && !lma && cpu->cpl == 3));
    MUST(cpu_code64(cpu) == (lma && (cpu->seg[SEG_CS].attr & ATTR_L)));
    MUST(cpu_code64(cpu) || !(cpu->rip >> 32));
    MUST(!pe || vm || (cpu->seg[SEG_SS].attr & ATTR_DPL) >> ATTR_DPL_SHIFT == cpu->cpl);
    MUST((flags & FLAG_1) && !(flags & ~UINT64_C(0x3f7fd7)));
    MUST(!(cpu->mxcsr & ~UINT32_C(0xffff)));
    MUST((cpu->xcr0 & XCR0_X87) && (!(cpu->xcr0 & XCR0_AVX) || (cpu->xcr0 & XCR0_SSE)));
    MUST(!(cpu->dr6 >> 32) && !(cpu->dr7 >> 32));
    for (unsigned s = 0; s < SEG_COUNT; s++)
        MUST(cpu_canonical_base(cpu, cpu->seg[s].base));
    const uint32_t mode = cpu->mode;
    cpu_update_mode(cpu);
    MUST(mode == cpu->mode);
}

static void save(struct state *s)
{
    state_init_save(s);
    cpu_state(rig.cpu, s);
    assert_string_equal(s->err.msg, "");
}

static void load(const struct state *saved)
{
    struct state s;
    cpu_reset(rig.cpu, false);
    state_init_load(&s, saved->buf, saved->len);
    cpu_state(rig.cpu, &s);
    assert_string_equal(s.err.msg, "");
    cpu_loaded(rig.cpu);
    state_free(&s);
}

static uint64_t hash(void)
{
    struct state s;
    state_init_hash(&s);
    cpu_state(rig.cpu, &s);
    return s.hash;
}

/* What is saved is all there is. */
static void forget_and_load(void)
{
    struct state s;
    const uint64_t now = hash();
    save(&s);
    load(&s);
    if (hash() != now)
        fuzz_fail("a state has another hash when it was saved and loaded");
    state_free(&s);
}

/* --- running --- */

enum manner { INTERPRETED, WHOLE, CACHED, PIECES, FLUSHED, LOADED };
static const char *const manners[] = {
    [INTERPRETED] = "interpreted",
    [WHOLE] = "in one piece",
    [CACHED] = "from cached blocks",
    [PIECES] = "in pieces",
    [FLUSHED] = "in pieces, with empty TLBs",
    [LOADED] = "in pieces, saved and loaded",
};

/* From here on code is translated when it is first entered, or never. Nothing is cached. */
static void choose_engine(bool translate)
{
    struct code_cache *cc = rig.cpu->code;
    if (!cc->jit)
        return;
    code_flush(cc);
    cc->jit->threshold = translate ? 1 : UINT32_MAX;
}

/* How long the pieces are and what is between them: the same for all ways that have some. */
static uint64_t pieces_seed, pieces_rng;

static unsigned piece(unsigned n)
{
    pieces_rng = mixed(pieces_rng + 1);
    return (unsigned)((pieces_rng >> 20) % n);
}

static void run_to(uint64_t end)
{
    struct cpu *cpu = rig.cpu;
    const uint64_t start = cpu_icount(cpu);
    cpu_set_end(cpu, end);
    cpu_run(cpu);
    const uint64_t now = cpu_icount(cpu);
    log_line(&rig.log, LOG_EXEC, "asked for %llu", (unsigned long long)(end - log_from));
    if (now > end)
        fuzz_fail("%llu instructions were run, not %llu", (unsigned long long)(now - start),
                  (unsigned long long)(end - start));
    check_state(cpu);
}

static void run(enum manner how)
{
    struct cpu *cpu = rig.cpu;
    const uint64_t start = cpu_icount(cpu), end = start + steps;
    unsigned next = 0, idle = 0;
    pieces_rng = pieces_seed;
    const unsigned most = 1 + piece(8);
    log_from = start;
    log_line(&rig.log, LOG_INT, "-- run %u to %u", how, steps);
    for (;;) {
        const uint64_t now = cpu_icount(cpu);
        /* who sleeps does so until the next arrival, whenever that is */
        while (next < arrivals_len && (now - start >= arrivals[next].at || !cpu_has_work(cpu)))
            arrive(&arrivals[next++]);
        if (now >= end || !cpu_has_work(cpu))
            return;
        uint64_t stop = next < arrivals_len ? MIN(end, start + arrivals[next].at) : end;
        if (how >= PIECES) {
            const uint64_t short_stop = now + 1 + piece(most);
            stop = MIN(stop, short_stop);
        }
        run_to(stop);
        const bool forget = how >= FLUSHED && !piece(4);
        if (forget && how == FLUSHED)
            cpu_flush_tlb(cpu);
        else if (forget)
            forget_and_load();
        idle = cpu_icount(cpu) == now ? idle + 1 : 0;
        if (idle > 100)
            fuzz_fail("nothing is run any more");
    }
}

static void dump_line(void *opaque, const char *line)
{
    fprintf(opaque, "%s\n", line);
}

static char *dump_state(uint64_t start)
{
    struct state s;
    char *text;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    state_init_dump(&s, dump_line, f);
    cpu_state(rig.cpu, &s);
    fprintf(f, "icount %llu\ndevices %llx %llu\na20 %llx\n",
            (unsigned long long)(cpu_icount(rig.cpu) - start), (unsigned long long)devices.sum,
            (unsigned long long)devices.reads, (unsigned long long)rig.mem.a20_mask);
    fclose(f);
    state_free(&s);
    return text;
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
static void start_again(const struct state *saved, gpa_t a20_mask)
{
    for (unsigned i = 0; i < RAM_BYTES; i += 64)
        if (memcmp(before + i, rig_at(&rig, i), 64)) {
            memcpy(rig_at(&rig, i), before + i, 64);
            ram_note_write(&rig.ram, rig.main.ram + i, 64);
        }
    memset(&devices, 0, sizeof devices);
    door_init(&rig.door, true, 1);
    memmap_set_a20(&rig.mem, a20_mask == ~UINT64_C(0));
    load(saved);
}

/* What one way comes to is what another came to, of which this is the text and after the memory. */
static void compare(enum manner how, enum manner with, const char *whole, const char *again)
{
    if (!strcmp(whole, again) && !memcmp(after, rig_at(&rig, 0), RAM_BYTES))
        return;
    print_difference(whole, again);
    for (unsigned i = 0, n = 0; i < RAM_BYTES && n < 16; i++) {
        if (after[i] == *rig_at(&rig, i))
            continue;
        printf("  [%x] was %02x: %02x   %02x\n", i, before[i], after[i], *rig_at(&rig, i));
        n++;
    }
    fuzz_fail("a run %s comes to something else than one %s", manners[how], manners[with]);
}

static void count(void)
{
    const struct cpu_stats *s = &rig.cpu->stats;
    seen.cases++;
    seen.instructions = cpu_icount(rig.cpu);
    seen.interrupts = s->interrupts;
    seen.exceptions = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(s->exceptions); i++)
        seen.exceptions += s->exceptions[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct state saved;
    fuzz_begin(data, len);
    if (!rig.cpu)
        open_machine();
    memset(&devices, 0, sizeof devices);
    steps = 20 + below(one_in(8) ? 2000 : 300);
    random_machine();
    random_arrivals();
    pieces_seed = rnd();
    door_init(&rig.door, true, 1);
    memcpy(before, rig_at(&rig, 0), RAM_BYTES);
    memcpy(rom_before, ram_host(&rig.ram, rom.ram), ROM_BYTES);
    const gpa_t a20_mask = rig.mem.a20_mask;
    check_state(rig.cpu);
    save(&saved);

    char *text = NULL;
    const enum manner first = rig.cpu->code->jit ? INTERPRETED : WHOLE;
    choose_engine(false);
    for (enum manner how = first, with = first; how <= LOADED; how++) {
        if (how != first)
            start_again(&saved, a20_mask);
        if (how == WHOLE)
            choose_engine(true);
        const uint64_t start = cpu_icount(rig.cpu);
        run(how);
        char *now = dump_state(start);
        if (how == first || how == FLUSHED) { /* what those that follow are held against */
            memcpy(after, rig_at(&rig, 0), RAM_BYTES);
            free(text);
            text = now;
            with = how;
        } else {
            compare(how, with, text, now);
            free(now);
        }
    }
    if (memcmp(rom_before, ram_host(&rig.ram, rom.ram), ROM_BYTES))
        fuzz_fail("ROM was written");
    free(text);
    state_free(&saved);
    count();
    return 0;
}

static void summary(void)
{
    if (!rig.cpu)
        return;
    printf("%lu cases, %lu instructions, %lu exceptions, %lu interrupts; %s\n", seen.cases,
           seen.instructions, seen.exceptions, seen.interrupts,
           rig.cpu->code->jit ? "interpreted and translated" : "interpreted: no translator here");
    memmap_del(&rig.mem, &mmio);
    rig_close(&rig);
}

const struct fuzz_program fuzz_program = {.max_len = 4096, .seconds = 20, .summary = summary};
