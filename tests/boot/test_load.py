#!/usr/bin/env python3
"""Two CPUs under load in Debian: its compiler, Python's own tests, and a stress tool, for VITRINE_LOAD_MINUTES (5)."""
import os

import debian
import harness

MINUTES = float(os.environ.get("VITRINE_LOAD_MINUTES", "5"))

PROGRAM = r"""
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { N = 2000000, THREADS = 4 };
static unsigned char composite[N + 1];
static double part[THREADS];
static int before(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static void *sum(void *at)
{
    const int t = (double *)at - part;
    for (int i = t + 1; i <= N; i += THREADS)
        part[t] += sqrt(i);
    return NULL;
}
int main(void)
{
    int primes = 0;
    for (int i = 2; i <= N; i++) {
        primes += !composite[i];
        for (long k = (long)i * i; !composite[i] && k <= N; k += i)
            composite[k] = 1;
    }
    pthread_t thread[THREADS];
    double total = 0;
    for (int t = 0; t < THREADS; t++)
        pthread_create(&thread[t], NULL, sum, &part[t]);
    for (int t = 0; t < THREADS; t++) {
        pthread_join(thread[t], NULL);
        total += part[t];
    }
    static char *word[50000];
    for (int i = 0; i < 50000; i++) {
        word[i] = malloc(16);
        snprintf(word[i], 16, "%x", i * 2654435761u);
    }
    qsort(word, 50000, sizeof *word, before);
    printf("%d %.6f %s %s\n", primes, total, word[0], word[49999]);
    return 0;
}
"""
PRINTS = "148933 1885618790.063075 0 fffe90c3\n"

PYTHON_TESTS = """
    test_grammar test_builtin test_dict test_list test_set test_tuple test_unicode test_bytes test_int test_float test_long
    test_complex test_math test_cmath test_decimal test_fractions test_json test_re test_struct test_array test_zlib test_bz2
    test_lzma test_hashlib test_hmac test_pickle test_memoryview test_io test_generators test_coroutines test_exceptions
    test_ast test_compile test_dis test_traceback test_threading test_queue test_thread test_mmap test_select
    test_random test_statistics test_datetime test_heapq test_bisect test_itertools test_functools test_collections test_gc
    test_weakref test_ctypes
"""

# Processors, memory, the scheduler, signals, system calls, files; each checks its own results.
STRESS = ("--cpu 2 --vm 1 --vm-bytes 160M --mmap 1 --mmap-bytes 64M --fork 1 --clone 1 --switch 1 --pipe 1 --futex 1 --sem 1"
          " --timer 1 --sigfd 1 --hdd 1 --hdd-bytes 64M --dentry 1 --fault 1 --matrix 1 --qsort 1 --memcpy 1 --tree 1"
          " --verify --metrics-brief --temp-path /tmp")


class Load(debian.Guest):
    def start_guest(self):
        v = self.boot(harness.guest("load.img"), "-snapshot", "-smp", "2")
        self.command(v, "dmesg -n 1; ip link set lo up")
        return v

    def warnings(self, v):
        return harness.not_of_the_host(self.command(v, "dmesg --level=emerg,alert,crit,err,warn"))

    def test_compiler(self):
        v = self.start_guest()
        before = self.warnings(v)
        v.send("cat >p.c <<'END'" + PROGRAM + "END\n")
        v.expect("root@guest:# ")
        for options in ("-O0", "-O2", "-O3 -march=x86-64-v3"):
            self.command(v, f"gcc -Wall {options} p.c -o p -lm -lpthread", 300)
            self.assertEqual(PRINTS, self.command(v, "./p", 120))
        self.assertEqual(before, self.warnings(v))

    def test_python(self):
        v = self.start_guest()
        before = self.warnings(v)
        text = self.command(v, f"cd /tmp && python3 -m test -j2 --timeout 900 {' '.join(PYTHON_TESTS.split())} 2>&1 | tail -60;"
                               " test ${PIPESTATUS[0]} = 0", 3000)
        print(text.strip().splitlines()[-1], end=" ", flush=True)
        self.assertEqual(before, self.warnings(v))

    def test_mixed(self):
        v = self.start_guest()
        before = self.warnings(v)
        text = self.command(v, f"stress-ng {STRESS} --timeout {int(MINUTES * 60)}s 2>&1 | tail -60; test ${{PIPESTATUS[0]}} = 0",
                            MINUTES * 60 * 2 + 600)
        self.assertRegex(text, r"\bsuccessful run completed")
        self.assertNotIn("unexpected signal", text)     # which it calls a success, unless it was asked to verify
        self.assertEqual(before, self.warnings(v))
        self.assertEqual("running\n", self.command(v, "systemctl is-system-running", 120))


if __name__ == "__main__":
    harness.main()
