// Runs one program, or all of a group: bench NAME|GROUP|all|null [ROUNDS|PERCENT%], bench list.
//
// Prints "BENCH-START name" and then "RESULT name units N ns T cpu C ok" for each; the lines are
// what bench/run and bench/mips wait for. C is the CPU time of this process and its children.
// "null" does nothing at all: what is left is the cost of starting. A command has its output
// hashed; its RESULT ends in "sum H ok".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"

static const struct bench *const tables[] = {int_programs,    simd_programs,    fp_programs,
                                             x87_programs,    memory_programs,  code_programs,
                                             system_programs, parallel_programs};
enum { TABLES = sizeof tables / sizeof tables[0] };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int64_t used_ns(int whose)
{
    struct rusage u;
    getrusage(whose, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000ll +
           (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000ll;
}

static int64_t cpu_ns(void)
{
    return used_ns(RUSAGE_SELF) + used_ns(RUSAGE_CHILDREN);
}

static int run(const struct bench *b, uint64_t rounds)
{
    printf("BENCH-START %s\n", b->name);
    fflush(stdout);
    const int64_t start_ns = now_ns(), start_cpu_ns = cpu_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t result = b->round();
        if (result != b->expected) {
            printf("RESULT %s units %llu ns 0 cpu 0 WRONG round %llu gave %llx, expected %llx\n",
                   b->name, (unsigned long long)(i * b->units_per_round), (unsigned long long)i,
                   (unsigned long long)result, (unsigned long long)b->expected);
            return 1;
        }
    }
    printf("RESULT %s units %llu ns %lld cpu %lld ok\n", b->name,
           (unsigned long long)(rounds * b->units_per_round), (long long)(now_ns() - start_ns),
           (long long)(cpu_ns() - start_cpu_ns));
    fflush(stdout);
    return 0;
}

// The output of a shell command through a pipe into a hash; -1 if it fails.
static int hash_output(const char *shell, uint64_t *hash)
{
    static unsigned char buffer[65536];
    FILE *f = popen(shell, "r");
    size_t n;
    if (!f)
        return -1;
    *hash = BENCH_HASH_START;
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
        *hash = bench_hash(*hash, buffer, n);
    return pclose(f) == 0 ? 0 : -1;
}

static int run_command(const struct command *c, uint64_t rounds)
{
    uint64_t hash = 0;
    if (chdir("/bench"))
        return 1;
    printf("BENCH-START %s\n", c->name);
    fflush(stdout);
    const int64_t start_ns = now_ns(), start_cpu_ns = cpu_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        if (hash_output(c->shell, &hash)) {
            printf("RESULT %s units 0 ns 0 cpu 0 WRONG the command failed\n", c->name);
            return 1;
        }
    }
    printf("RESULT %s units %llu ns %lld cpu %lld sum %016llx ok\n", c->name,
           (unsigned long long)(rounds * c->units), (long long)(now_ns() - start_ns),
           (long long)(cpu_ns() - start_cpu_ns), (unsigned long long)hash);
    fflush(stdout);
    return 0;
}

// "12" is a number of rounds, "10%" a part of what is usual; at least one round.
static uint64_t rounds_from(uint64_t usual, const char *text)
{
    if (!text)
        return usual;
    char *end;
    double value = strtod(text, &end);
    if (*end == '%')
        value = value * (double)usual / 100;
    else if (*end)
        value = 0;
    return value < 1 ? 1 : (uint64_t)value;
}

static int list(void)
{
    for (int t = 0; t < TABLES; t++)
        for (const struct bench *b = tables[t]; b->name; b++)
            printf("%s\t%s\t%s\t%llu\t%llu\n", b->name, b->group, b->unit,
                   (unsigned long long)b->units_per_round, (unsigned long long)b->default_rounds);
    for (const struct command *c = commands; c->name; c++)
        printf("%s\t%s\t%s\t%llu\t1\n", c->name, c->group, c->unit, (unsigned long long)c->units);
    return 0;
}

static int wanted(const char *what, const char *name, const char *group)
{
    return !strcmp(what, "all") || !strcmp(what, name) || !strcmp(what, group);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const char *amount = argc > 2 ? argv[2] : NULL;
    int known = 0, failed = 0;
    if (!strcmp(name, "list"))
        return list();
    if (!strcmp(name, "exit") && amount)
        return atoi(amount);
    if (!strcmp(name, "data") && argc > 3)
        return write_data(amount, strtoull(argv[3], NULL, 0));
    if (!strcmp(name, "null")) {
        printf("BENCH-START null\nRESULT null units 0 ns 0 cpu 0 ok\n");
        return 0;
    }
    for (int t = 0; t < TABLES; t++) {
        for (const struct bench *b = tables[t]; b->name; b++) {
            if (!wanted(name, b->name, b->group))
                continue;
            known = 1;
            failed |= run(b, rounds_from(b->default_rounds, amount));
        }
    }
    for (const struct command *c = commands; c->name; c++) {
        if (!wanted(name, c->name, c->group))
            continue;
        known = 1;
        failed |= run_command(c, rounds_from(1, amount));
    }
    if (!known) {
        fprintf(stderr, "usage: bench NAME|GROUP|all|null [ROUNDS|PERCENT%%] or bench list\n");
        return 2;
    }
    return failed;
}
