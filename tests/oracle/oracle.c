/*
 * The interpreter against the processor under us: random cases of every row of the opcode tables,
 * each run natively in a child process and in the interpreter, and everything compared. README.md
 * here says more.
 */
#include "pass.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_TOLD = 20,
    MAX_DEATHS = 20,
    HANG_SECONDS = 20,
    LOOKS_A_SECOND = 50,
    ROW_SEQUENCES = MAX_FORMS
};

static const char *const bits_name[CODE_MODES] = {"64", "32", "16"};

/* What the child has done, where the parent sees it. */
struct row_tally {
    uint64_t cases, completed, open;
    uint32_t none, mismatches;
};
struct progress {
    unsigned bits, row; /* of the case that runs now; row may be ROW_SEQUENCES */
    uint64_t n;
    uint64_t done; /* cases in all: the heartbeat */
    unsigned told;
    bool finished;
    struct row_tally rows[CODE_MODES][MAX_FORMS], sequences, prefixes;
};

static struct {
    uint64_t seed, cases, sequences;
    const char *only, *bits;
    bool prefixes, list;
} opt = {.seed = 1, .cases = 400, .sequences = 100000};

static struct form_list rows;
static struct progress *progress;
static const char *why_not[CODE_MODES][MAX_FORMS]; /* ... a row is not tested, or NULL */

/* --- which rows run --- */

static bool chosen(unsigned row)
{
    return !opt.only || !strcmp(opt.only, op_info[rows.form[row].row->op].mnemonic);
}

static const char *why_not_here(const struct form *f, enum code_bits bits)
{
    static char missing[FEAT_COUNT][60];
    static const char *const flag[FEAT_COUNT + 1] = {
#define FEATURE(name, leaf, sub, reg, bit, flag) [FEAT_##name] = flag,
#include "cpu/features.def"
#undef FEATURE
    };
    if (opt.bits && strcmp(opt.bits, bits_name[bits]))
        return "not asked for";
    const char *why = form_left_out(f, bits == CODE64);
    if (why || (why = native_why_not(bits)))
        return why;
    const enum cpu_feature feature = f->row->feature;
    if (host_has(feature))
        return NULL;
    snprintf(missing[feature], sizeof missing[0], "the host has no %s", flag[feature]);
    return missing[feature];
}

static void classify(void)
{
    for (unsigned bits = 0; bits < CODE_MODES; bits++)
        for (unsigned i = 0; i < rows.n; i++)
            why_not[bits][i] = why_not_here(&rows.form[i], bits);
}

/* Why a row is not tested at all, or NULL. */
static const char *why_never(unsigned row)
{
    for (unsigned bits = 0; bits < CODE_MODES; bits++)
        if (!why_not[bits][row])
            return NULL;
    /* that it is for other code is no reason yet */
    return why_not[rows.form[row].code64 == 0 ? CODE32 : CODE64][row];
}

/* --- the child --- */

static void tell(const char *what, unsigned bits, unsigned row, uint64_t n)
{
    char id[24] = "seq";
    if (row != ROW_SEQUENCES)
        snprintf(id, sizeof id, "%u/%s", row, bits_name[bits]);
    printf("%s: oracle --case %#" PRIx64 ":%s:%" PRIu64 " (%s)\n", what, opt.seed, id, n,
           row == ROW_SEQUENCES ? "a sequence" : form_name(&rows.form[row]));
}

static bool room_to_tell(void)
{
    return progress->told < MAX_TOLD;
}

static bool bad(enum result r)
{
    return r == CASE_DIFFERS || r == CASE_TABLE;
}

/* Counts a case, of which what differs was printed if there is room for more of that; true: the
 * line to run it again by is to follow. */
static bool count(struct row_tally *t, struct ran ran)
{
    progress->done++;
    if (ran.result == CASE_NONE) {
        t->none++;
        return false;
    }
    t->cases += ran.of_row || bad(ran.result);
    t->completed += ran.of_row && !ran.faulted;
    t->open += ran.result == CASE_OPEN;
    t->mismatches += bad(ran.result);
    return bad(ran.result) && progress->told++ < MAX_TOLD;
}

/* From where progress says on. */
static void run_rows(enum code_bits bits)
{
    if (progress->bits < bits) {
        progress->bits = bits;
        progress->row = 0;
        progress->n = 0;
    }
    if (native_why_not(bits))
        return;
    set_code_bits(bits);
    for (unsigned row = progress->row; row < rows.n; row++, progress->n = 0) {
        progress->row = row;
        if (why_not[bits][row] || !chosen(row))
            continue;
        for (uint64_t n = progress->n; n < opt.cases; n++) {
            progress->n = n;
            const struct ran ran = instruction_pass(&rows, opt.seed, row, n, room_to_tell(), false);
            if (count(&progress->rows[bits][row], ran))
                tell("mismatch", bits, row, n);
        }
    }
    progress->row = rows.n;
}

static void run_sequences(void)
{
    if (progress->row < ROW_SEQUENCES)
        progress->n = 0;
    progress->row = ROW_SEQUENCES;
    for (uint64_t n = progress->n; n < opt.sequences; n++) {
        progress->n = n;
        const struct ran ran = sequence_pass(opt.seed, n, room_to_tell(), false);
        if (count(&progress->sequences, ran))
            tell("mismatch", CODE64, ROW_SEQUENCES, n);
    }
}

static void run_prefixes(void)
{
    for (unsigned row = 0; row < rows.n; row++) {
        if (why_not[CODE64][row] || !chosen(row))
            continue;
        for (unsigned n = 0; n < PREFIX_CASES; n++)
            count(&progress->prefixes, prefix_pass(&rows, opt.seed, row, n, true, false));
    }
}

static void child(void)
{
    native_catch();
    native_set_gs(GS_BASE);
    native_seal();
    if (progress->row < ROW_SEQUENCES)
        for (unsigned bits = progress->bits; bits < CODE_MODES; bits++)
            run_rows(bits);
    set_code_bits(CODE64);
    run_sequences();
    if (opt.prefixes)
        run_prefixes();
    progress->finished = true;
    fflush(stdout);
    _exit(0);
}

/* --- the parent --- */

/* Waits for the child, or kills it when it no longer gets anywhere. Looks are counted, not seconds:
 * a clock goes on while the host as a whole stands still. */
static int wait_for(pid_t pid)
{
    uint64_t done = progress->done;
    unsigned looks = 0;
    for (;;) {
        int status;
        const pid_t r = waitpid(pid, &status, WNOHANG);
        if (r == pid)
            return status;
        if (done != progress->done) {
            done = progress->done;
            looks = 0;
        } else if (++looks > HANG_SECONDS * LOOKS_A_SECOND) {
            kill(pid, SIGKILL);
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000000 / LOOKS_A_SECOND}, NULL);
    }
}

/* Runs everything; a case that ends its process is told of, and the next process goes on behind it.
 */
static bool run_all(void)
{
    for (unsigned deaths = 0; deaths < MAX_DEATHS;) {
        fflush(stdout);
        const pid_t pid = fork();
        if (pid < 0) {
            fprintf(stderr, "oracle: error: fork: %s\n", strerror(errno));
            exit(2);
        }
        if (!pid)
            child();
        const int status = wait_for(pid);
        if (progress->finished)
            return deaths == 0;
        deaths++;
        printf("the process of this case ended with status %#x:\n", (unsigned)status);
        tell("died", progress->bits, progress->row, progress->n);
        progress->n++;
    }
    return false;
}

/* Lines "n  why", each reason once. */
static void print_reasons(void)
{
    for (unsigned i = 0; i < rows.n; i++) {
        unsigned n = 0, earlier = 0;
        const char *why = why_never(i);
        for (unsigned k = 0; why && k < rows.n; k++) {
            const char *other = why_never(k);
            const bool same = other && !strcmp(other, why);
            n += same;
            earlier += same && k < i;
        }
        if (n && !earlier)
            printf("  %5u not tested: %s\n", n, why);
    }
}

/* How many rows of code of one size were tested; what was not is printed and counted. */
static unsigned report_bits(enum code_bits bits, struct row_tally *all, unsigned *missed)
{
    unsigned tested = 0;
    for (unsigned i = 0; i < rows.n; i++) {
        const struct row_tally *t = &progress->rows[bits][i];
        all->cases += t->cases;
        all->open += t->open;
        all->mismatches += t->mismatches;
        if (why_not[bits][i] || !chosen(i))
            continue;
        /* an instruction that never gets to its end was not tested, only its exceptions */
        const bool must_complete =
            !form_privileged(&rows.form[i]) && !(op_info[rows.form[i].row->op].attr & OA_FAULT);
        if (t->cases && (t->completed || !must_complete)) {
            tested++;
            continue;
        }
        ++*missed;
        printf("  no %s of row %u/%s: %s\n", t->cases ? "case without an exception" : "case", i,
               bits_name[bits], form_name(&rows.form[i]));
    }
    return tested;
}

static bool report(bool alive)
{
    unsigned privileged = 0, reached = 0, missed = 0;
    struct row_tally all = {0};
    for (unsigned i = 0; i < rows.n; i++) {
        privileged += form_privileged(&rows.form[i]);
        reached += !why_never(i) && chosen(i);
    }
    printf("%u table rows, %u of user mode and %u whose exception at CPL 3 is compared\n", rows.n,
           rows.n - privileged, privileged);
    for (unsigned bits = 0; bits < CODE_MODES; bits++) {
        if (native_why_not(bits))
            printf("  %s-bit code: none, %s\n", bits_name[bits], native_why_not(bits));
        else
            printf("  %s-bit code: %u rows tested\n", bits_name[bits],
                   report_bits(bits, &all, &missed));
    }
    if (!opt.only)
        print_reasons();
    printf("  %5u can be tested, %u of them were not\n", reached, missed);
    printf("%" PRIu64 " cases (%" PRIu64 " of them with a result that is the processor's own), "
           "%u mismatches\n",
           all.cases, all.open, all.mismatches);
    const struct row_tally *q = &progress->sequences, *p = &progress->prefixes;
    if (opt.sequences)
        printf("%" PRIu64 " sequences, %u mismatches\n", q->cases, q->mismatches);
    if (opt.prefixes)
        printf("%" PRIu64 " prefixes, %u mismatches\n", p->cases, p->mismatches);
    return alive && reached && !missed && !all.mismatches && !q->mismatches && !p->mismatches;
}

/* --- set-up --- */

static bool map_window(void)
{
    uint8_t *at = (uint8_t *)(WINDOW - NOTHING_BYTES);
    if (mmap(at, WINDOW_BYTES + 2 * NOTHING_BYTES, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at)
        return false;
    uint8_t *window = host_memory();
    if (mprotect(window, WINDOW_BYTES, PROT_READ | PROT_WRITE))
        return false;
    memset(window, 0x5a, WINDOW_BYTES);
    return !mprotect(window + WINDOW_RW_BYTES, PAGE_SIZE, PROT_READ);
}

static int usage(int status)
{
    fprintf(status ? stderr : stdout,
            "usage: oracle [options]\n"
            "  --seed N            what all cases follow from\n"
            "  --cases N           of each row (default 400)\n"
            "  --total N           of all rows together, instead\n"
            "  --sequences N       of several instructions (default 100000)\n"
            "  --prefixes          and each prefix before each row\n"
            "  --op MNEMONIC       only the rows of that name\n"
            "  --bits 64|32|16     only code of that size\n"
            "  --case SEED:ROW/BITS:N, --case SEED:seq:N\n"
            "                      one case, with everything about it\n"
            "  --list              the rows by number, and why some are not tested\n");
    return status;
}

/* SEED:ROW/BITS:N or SEED:seq:N. */
static int one_case(char *id)
{
    char *at;
    opt.seed = strtoull(id, &at, 0);
    const bool sequence = !strncmp(at, ":seq:", 5);
    unsigned row = 0, bits = CODE64;
    if (sequence) {
        at += 4;
    } else if (*at == ':') {
        row = (unsigned)strtoul(at + 1, &at, 0);
        for (unsigned i = 0; i < CODE_MODES && *at == '/'; i++)
            if (!strncmp(at + 1, bits_name[i], 2)) {
                bits = i;
                at += 3;
            }
    }
    if (*at != ':' || row >= rows.n || native_why_not(bits))
        return usage(2);
    const uint64_t n = strtoull(at + 1, NULL, 0);
    native_catch();
    native_set_gs(GS_BASE);
    case_prepare(opt.seed);
    sequence_prepare(&rows);
    set_code_bits(bits);
    printf("%s\n", sequence ? "a sequence" : form_name(&rows.form[row]));
    const struct ran ran = sequence ? sequence_pass(opt.seed, n, true, true)
                                    : instruction_pass(&rows, opt.seed, row, n, true, true);
    static const char *const say[] = {
        [CASE_SAME] = "the same",
        [CASE_OPEN] = "the result is the processor's own",
        [CASE_NONE] = "no such case",
        [CASE_DIFFERS] = "a mismatch",
        [CASE_TABLE] = "the table is wrong",
    };
    printf("%s\n", say[ran.result]);
    return bad(ran.result);
}

static int list_rows(void)
{
    for (unsigned i = 0; i < rows.n; i++) {
        const char *why = why_never(i);
        printf("%4u %s%s%s%s\n", i, form_name(&rows.form[i]),
               form_privileged(&rows.form[i]) ? " [privileged]" : "", why ? ": not tested: " : "",
               why ? why : "");
    }
    return 0;
}

int main(int argc, char **argv)
{
    enum { SEED = 1, CASES, TOTAL, SEQUENCES, PREFIXES, ONLY, BITS, ONE, LIST, HELP };
    static const struct option options[] = {
        {"seed", required_argument, NULL, SEED},
        {"cases", required_argument, NULL, CASES},
        {"total", required_argument, NULL, TOTAL},
        {"sequences", required_argument, NULL, SEQUENCES},
        {"prefixes", no_argument, NULL, PREFIXES},
        {"op", required_argument, NULL, ONLY},
        {"bits", required_argument, NULL, BITS},
        {"case", required_argument, NULL, ONE},
        {"list", no_argument, NULL, LIST},
        {"help", no_argument, NULL, HELP},
        {0},
    };
    uint64_t total = 0;
    char *one = NULL;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (o) {
        case SEED:
            opt.seed = strtoull(optarg, NULL, 0);
            break;
        case CASES:
            opt.cases = strtoull(optarg, NULL, 0);
            break;
        case TOTAL:
            total = strtoull(optarg, NULL, 0);
            break;
        case SEQUENCES:
            opt.sequences = strtoull(optarg, NULL, 0);
            break;
        case PREFIXES:
            opt.prefixes = true;
            break;
        case ONLY:
            opt.only = optarg;
            break;
        case BITS:
            opt.bits = optarg;
            break;
        case ONE:
            one = optarg;
            break;
        case LIST:
            opt.list = true;
            break;
        case HELP:
            return usage(0);
        default:
            return usage(2);
        }
    if (optind < argc)
        return usage(2);

    rows_list(&rows);
    if (!native_create() || !map_window()) {
        fprintf(stderr, "oracle: error: the addresses of code or operands are taken\n");
        return 2;
    }
    classify();
    if (opt.list)
        return list_rows();
    guest_open();
    if (one)
        return one_case(one);

    unsigned runnable = 0;
    for (unsigned bits = 0; bits < CODE_MODES; bits++)
        for (unsigned i = 0; i < rows.n; i++)
            runnable += !why_not[bits][i] && chosen(i);
    if (total && runnable)
        opt.cases = (total + runnable - 1) / runnable;
    if (opt.only)
        opt.sequences = 0;
    progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED)
        return 2;
    printf("seed %#" PRIx64 ", %" PRIu64 " cases a row\n", opt.seed, opt.cases);
    case_prepare(opt.seed);
    sequence_prepare(&rows);
    const bool alive = run_all();
    const bool passed = report(alive);
    guest_close();
    native_destroy();
    return !passed;
}
