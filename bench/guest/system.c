// What a kernel is busy with: one kind of event a program, counted.
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#include <x86intrin.h>
#include <cpuid.h>
#include "bench.h"

enum {
    CALLS = 10000,
    TRIPS = 200,
    FORKS = 5,
    PAGES = 256,
    MAPS = 50,
    SIGNALS = 200,
    RING = 12,
    LAPS = 10
};

static uint64_t getpid_round(void)
{
    const long self = syscall(SYS_getpid);
    uint64_t same = 0;
    for (int i = 0; i < CALLS; i++)
        same += syscall(SYS_getpid) == self;
    return same;
}

// A byte to another process and back.
static uint64_t pipe_round(void)
{
    int to[2], from[2];
    char byte = 0;
    if (pipe(to) || pipe(from))
        return 0;
    const pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < TRIPS; i++)
            if (read(to[0], &byte, 1) != 1 || write(from[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    uint64_t trips = 0;
    for (int i = 0; i < TRIPS; i++) {
        byte = (char)i;
        if (write(to[1], &byte, 1) == 1 && read(from[0], &byte, 1) == 1)
            trips += byte == (char)i;
    }
    int status = 1;
    waitpid(child, &status, 0);
    close(to[0]), close(to[1]), close(from[0]), close(from[1]);
    return status ? 0 : trips;
}

// A token goes round a ring of processes; whoever has it works through 64 KiB of its own before it
// passes it on.
static uint64_t ring_round(void)
{
    int link[RING + 1][2];
    static unsigned char own[65536];
    char byte = 1;
    for (int i = 0; i <= RING; i++)
        if (pipe(link[i]))
            return 0;
    for (int n = 0; n < RING; n++) {
        if (fork() != 0)
            continue;
        for (int lap = 0; lap < LAPS; lap++) {
            if (read(link[n][0], &byte, 1) != 1)
                _exit(1);
            for (unsigned i = 0; i < sizeof own; i += 64)
                own[i]++;
            byte = (char)(byte + 1);
            if (write(link[n + 1][1], &byte, 1) != 1)
                _exit(1);
        }
        _exit(own[64] != LAPS);
    }
    for (int lap = 0; lap < LAPS; lap++)
        if (write(link[0][1], &byte, 1) != 1 || read(link[RING][0], &byte, 1) != 1)
            return 0;
    uint64_t good = 0;
    for (int n = 0; n < RING; n++) {
        int status = 1;
        wait(&status);
        good += status == 0;
    }
    for (int i = 0; i <= RING; i++)
        close(link[i][0]), close(link[i][1]);
    return good << 8 | (unsigned char)byte;
}

static uint64_t fork_round(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < FORKS; i++) {
        const pid_t child = fork();
        int status = 0;
        if (child == 0)
            _exit(i + 1);
        waitpid(child, &status, 0);
        sum += (uint64_t)WEXITSTATUS(status);
    }
    return sum;
}

static uint64_t forkexec_round(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < FORKS; i++) {
        const pid_t child = fork();
        int status = 0;
        if (child == 0) {
            execl("/proc/self/exe", "bench", "exit", "7", (char *)NULL);
            _exit(1);
        }
        waitpid(child, &status, 0);
        sum += (uint64_t)WEXITSTATUS(status);
    }
    return sum;
}

static unsigned char *map(size_t bytes, int protection)
{
    void *p = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

// First touch of fresh pages; in fours of a kilobyte, whatever the kernel's opinion of huge pages.
static uint64_t pagefault_round(void)
{
    unsigned char *p = map(PAGES * 4096ul, PROT_READ | PROT_WRITE);
    uint64_t sum = 0;
    madvise(p, PAGES * 4096ul, MADV_NOHUGEPAGE);
    for (unsigned i = 0; i < PAGES; i++)
        sum += p[i * 4096ul]++ + 1u;
    munmap(p, PAGES * 4096ul);
    return sum;
}

static uint64_t mmap_round(void)
{
    uint64_t sum = 0;
    for (int i = 0; i < MAPS; i++) {
        unsigned char *p = map(16 * 4096, PROT_READ | PROT_WRITE);
        p[0] = 1;
        p[15 * 4096] = 2;
        sum += p[0] + p[15 * 4096];
        munmap(p, 16 * 4096);
    }
    return sum;
}

static uint64_t mprotect_round(void)
{
    static unsigned char *p;
    uint64_t good = 0;
    if (!p)
        p = map(4096, PROT_READ | PROT_WRITE);
    for (int i = 0; i < MAPS; i++) {
        good += mprotect(p, 4096, PROT_READ) == 0;
        good += mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0;
        p[0] = (unsigned char)i;
    }
    return good;
}

static volatile uint64_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static uint64_t signal_round(void)
{
    signals = 0;
    signal(SIGUSR1, count_signal);
    for (int i = 0; i < SIGNALS; i++)
        raise(SIGUSR1);
    return signals;
}

// A load from a page without rights; the handler goes on behind it (mov (%rdi), %al has two bytes).
static void skip_load(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    signals++;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}

static uint64_t fault_round(void)
{
    static unsigned char *p;
    struct sigaction action = {.sa_sigaction = skip_load, .sa_flags = SA_SIGINFO}, before;
    if (!p)
        p = map(4096, PROT_NONE);
    signals = 0;
    sigaction(SIGSEGV, &action, &before);
    for (int i = 0; i < SIGNALS; i++)
        __asm__ volatile(".byte 0x8a, 0x07" : : "D"(p) : "rax", "memory");
    sigaction(SIGSEGV, &before, NULL);
    return signals;
}

static uint64_t rdtsc_round(void)
{
    uint64_t last = __rdtsc(), forward = 0;
    for (int i = 0; i < CALLS; i++) {
        const uint64_t now = __rdtsc();
        forward += now >= last;
        last = now;
    }
    return forward;
}

static uint64_t cpuid_round(void)
{
    unsigned a, b, c, d;
    uint64_t seen = 0;
    for (int i = 0; i < 100; i++) {
        __cpuid(0, a, b, c, d);
        seen += a >= 1;
    }
    return seen;
}

// An exclusive addition and a compare-and-exchange, by one processor.
static uint64_t atomic_round(void)
{
    static uint64_t word;
    __atomic_store_n(&word, 0, __ATOMIC_SEQ_CST);
    for (int i = 0; i < CALLS; i++) {
        uint64_t seen = __atomic_fetch_add(&word, 3, __ATOMIC_SEQ_CST) + 3;
        __atomic_compare_exchange_n(&word, &seen, seen + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    return word;
}

const struct bench system_programs[] = {
    {"getpid", "system", "call", CALLS, 200, CALLS, getpid_round},
    {"pipe", "system", "round trip", TRIPS, 80, TRIPS, pipe_round},
    {"ring", "system", "switch", RING *LAPS, 60, RING << 8 | (1 + RING * LAPS), ring_round},
    {"fork", "system", "fork", FORKS, 120, FORKS *(FORKS + 1) / 2, fork_round},
    {"forkexec", "system", "exec", FORKS, 50, FORKS * 7, forkexec_round},
    {"pagefault", "system", "page", PAGES, 200, PAGES, pagefault_round},
    {"mmap", "system", "round", MAPS, 150, MAPS * 3, mmap_round},
    {"mprotect", "system", "pair", MAPS, 800, MAPS * 2, mprotect_round},
    {"signal", "system", "signal", SIGNALS, 250, SIGNALS, signal_round},
    {"fault", "system", "fault", SIGNALS, 250, SIGNALS, fault_round},
    {"rdtsc", "system", "read", CALLS, 3000, CALLS, rdtsc_round},
    {"cpuid", "system", "cpuid", 100, 5000, 100, cpuid_round},
    {"atomic", "system", "pair", CALLS, 3000, CALLS * 4, atomic_round},
    {.name = NULL},
};
