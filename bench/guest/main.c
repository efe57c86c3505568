// Runs one program, or all: bench NAME|all|null [ROUNDS|PERCENT%], bench list.
//
// Prints "BENCH-START name" and then "RESULT name units N ns T ok" for each; the lines are what
// bench/mips waits for. "null" does nothing at all: what is left is the cost of starting.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bench.h"

static const struct bench programs[] = {
    // name, unit, units a round, rounds (about 400 million instructions), expected, round
    {"corelike", "iteration", 20, 250, 0xf24a, corelike_round},
    {"dhrylike", "iteration", 2000, 300, 0x35892, dhrylike_round},
    {"qsort", "element", 20000, 60, 0x1d2fc327b0051f12, qsort_round},
    {"vm_switch", "operation", 536630, 100, 0xd19f0226, vm_switch_round},
    {"vm_call", "operation", 536630, 60, 0xd19f0226, vm_call_round},
    {"fib", "call", 150049, 300, 0x24a210000b520, fib_round},
    {"ackermann", "call", 172233, 200, 0x2a0c9000001fd, ackermann_round},
    {"sha256c", "byte", 65536, 140, 0x4b640d85ab3ba30f, sha256c_round},
    {"queens", "node", 8394, 480, 0x20ca00000160, queens_round},
    {"divmod", "step", 75357, 600, 0x1265d01cd015c05, divmod_round},
};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static int run(const struct bench *b, uint64_t rounds)
{
    printf("BENCH-START %s\n", b->name);
    fflush(stdout);
    int64_t start_ns = now_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t result = b->round();
        if (result != b->expected) {
            printf("RESULT %s units %llu ns 0 WRONG round %llu gave %llx, expected %llx\n", b->name,
                   (unsigned long long)(i * b->units_per_round), (unsigned long long)i,
                   (unsigned long long)result, (unsigned long long)b->expected);
            return 1;
        }
    }
    printf("RESULT %s units %llu ns %lld ok\n", b->name,
           (unsigned long long)(rounds * b->units_per_round), (long long)(now_ns() - start_ns));
    fflush(stdout);
    return 0;
}

// "12" is a number of rounds, "10%" a part of what is usual; at least one round.
static uint64_t rounds_from(const struct bench *b, const char *text)
{
    if (!text)
        return b->default_rounds;
    char *end;
    double value = strtod(text, &end);
    if (*end == '%')
        value = value * (double)b->default_rounds / 100;
    else if (*end)
        value = 0;
    return value < 1 ? 1 : (uint64_t)value;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    const char *amount = argc > 2 ? argv[2] : NULL;
    int known = 0, failed = 0;
    if (!strcmp(name, "list")) {
        for (int i = 0; i < PROGRAMS; i++)
            printf("%s %s %llu %llu\n", programs[i].name, programs[i].unit,
                   (unsigned long long)programs[i].units_per_round,
                   (unsigned long long)programs[i].default_rounds);
        return 0;
    }
    if (!strcmp(name, "null")) {
        printf("BENCH-START null\nRESULT null units 0 ns 0 ok\n");
        return 0;
    }
    for (int i = 0; i < PROGRAMS; i++) {
        if (strcmp(name, "all") && strcmp(name, programs[i].name))
            continue;
        known = 1;
        failed |= run(&programs[i], rounds_from(&programs[i], amount));
    }
    if (!known) {
        fprintf(stderr, "usage: bench NAME|all|null [ROUNDS|PERCENT%%] or bench list\n");
        return 2;
    }
    return failed;
}
