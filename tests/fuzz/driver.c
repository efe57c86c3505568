/*
 * Runs a fuzzer where libFuzzer is not: the corpus first, then what is made up, half of it from
 * scratch and half by damaging inputs of the corpus. Everything follows from the seed, which is
 * printed; an input that ends the process is kept in a file.
 */
#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct input {
    char *path;
    uint8_t *bytes;
    size_t len;
};

static struct {
    const char *name; /* of the program, without its folder */
    struct input *corpus;
    size_t corpus_len;
    uint64_t rng;
    /* the case that runs now, for those who tell of its end */
    const uint8_t *now;
    size_t now_len;
    const char *now_path; /* NULL: made up */
    char keep[4096];      /* where it is to be kept */
} driver;

/* --- the end of a process --- */

/* Only what a signal handler may do. */
static void put(const char *s)
{
    const ssize_t n = write(STDERR_FILENO, s, strlen(s));
    (void)n;
}

static void keep_input(void)
{
    if (!driver.now && !driver.now_path)
        return;
    put("fuzz: ended by ");
    if (driver.now_path) {
        put(driver.now_path);
    } else {
        const int fd = open(driver.keep, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        if (fd < 0 || write(fd, driver.now, driver.now_len) != (ssize_t)driver.now_len)
            put("an input that could not be written to ");
        put(driver.keep);
        if (fd >= 0)
            close(fd);
    }
    put(": give it to the program to see it again\n");
    driver.now = NULL;
    driver.now_path = NULL;
}

static void on_signal(int sig)
{
    if (sig == SIGPROF)
        put("fuzz: the case does not end\n");
    keep_input();
    signal(sig == SIGPROF ? SIGABRT : sig, SIG_DFL);
    raise(sig == SIGPROF ? SIGABRT : sig);
}

/* The sanitizers' hook, where they are linked in. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* --- inputs --- */

static uint64_t pick(uint64_t n)
{
    driver.rng ^= driver.rng << 13;
    driver.rng ^= driver.rng >> 7;
    driver.rng ^= driver.rng << 17;
    return ((driver.rng * UINT64_C(0x2545f4914f6cdd1d)) >> 16) % n;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", driver.name, what, why);
    exit(2);
}

static void add_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st) < 0)
        die(path, strerror(errno));
    struct input in = {.path = strdup(path), .bytes = malloc((size_t)st.st_size + 1)};
    in.len = fread(in.bytes, 1, (size_t)st.st_size, f);
    fclose(f);
    driver.corpus = realloc(driver.corpus, (driver.corpus_len + 1) * sizeof in);
    driver.corpus[driver.corpus_len++] = in;
}

static void add_path(const char *path)
{
    struct stat st;
    struct dirent **list;
    if (stat(path, &st) < 0)
        die(path, strerror(errno));
    if (!S_ISDIR(st.st_mode)) {
        add_file(path);
        return;
    }
    const int n = scandir(path, &list, NULL, alphasort); /* the order is part of the seed */
    if (n < 0)
        die(path, strerror(errno));
    for (int i = 0; i < n; i++) {
        char name[4096];
        if (list[i]->d_name[0] != '.') {
            snprintf(name, sizeof name, "%s/%s", path, list[i]->d_name);
            add_path(name);
        }
        free(list[i]);
    }
    free(list);
}

static size_t from_scratch(uint8_t *buf, size_t max)
{
    /* a bare seed most of the time: then the fuzzer's own sense of what is likely decides */
    const size_t len = pick(2) ? 8 : 8 + pick(max - 7);
    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)pick(256);
    return len;
}

/* An input of the corpus with some bytes changed, a piece repeated or taken out, or two joined. */
static size_t damaged(uint8_t *buf, size_t max)
{
    const struct input *in = &driver.corpus[pick(driver.corpus_len)];
    size_t len = MIN(in->len, max);
    memcpy(buf, in->bytes, len);
    const unsigned times = 1 + (unsigned)pick(8);
    for (unsigned i = 0; i < times; i++) {
        const size_t at = len ? pick(len) : 0, n = len ? 1 + pick(MIN(len - at, (size_t)16)) : 0;
        switch (pick(6)) {
        case 0:
            if (len)
                buf[at] ^= (uint8_t)(1u << pick(8));
            break;
        case 1:
            if (len)
                buf[at] = (uint8_t)pick(256);
            break;
        case 2: /* out */
            memmove(buf + at, buf + at + n, len - at - n);
            len -= n;
            break;
        case 3: /* again */
            if (len + n <= max) {
                memmove(buf + at + n, buf + at, len - at);
                len += n;
            }
            break;
        case 4: { /* from another */
            const struct input *other = &driver.corpus[pick(driver.corpus_len)];
            const size_t k = MIN(other->len, max - at);
            memcpy(buf + at, other->bytes, k);
            len = MAX(len, at + k);
            break;
        }
        default: /* more */
            for (size_t k = pick(16); k && len < max; k--)
                buf[len++] = (uint8_t)pick(256);
            break;
        }
    }
    return len;
}

static void run_case(const uint8_t *bytes, size_t len, const char *path)
{
    const struct itimerval limit = {.it_value.tv_sec = fuzz_program.seconds};
    driver.now = bytes;
    driver.now_len = len;
    driver.now_path = path;
    setitimer(ITIMER_PROF, &limit, NULL);
    LLVMFuzzerTestOneInput(bytes, len);
    driver.now = NULL;
    driver.now_path = NULL;
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_up(unsigned long cases, double until)
{
    uint8_t *buf = malloc(fuzz_program.max_len);
    unsigned long i = 0;
    for (; cases ? i < cases : seconds_now() < until; i++) {
        /* an exact copy, so that a sanitizer sees a read behind its end */
        const bool scratch = !driver.corpus_len || pick(2);
        const size_t len =
            scratch ? from_scratch(buf, fuzz_program.max_len) : damaged(buf, fuzz_program.max_len);
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, buf, len);
        run_case(exact, len, NULL);
        free(exact);
    }
    printf("%lu inputs made up\n", i);
    free(buf);
}

static void usage(void)
{
    printf("%s [--seconds N | --cases N] [--seed N] [--keep DIR] [FILE | DIR]...\n"
           "Replays the files, then makes up inputs for so long or so many (none if neither is "
           "given).\nAn input that ends the process is kept in DIR.\n",
           driver.name);
}

int main(int argc, char **argv)
{
    unsigned long cases = 0, seconds = 0;
    uint64_t seed = 1;
    const char *keep = ".";
    const char *slash = strrchr(argv[0], '/');
    driver.name = slash ? slash + 1 : argv[0];
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* its assertions end the process, too */
    for (int i = 1; i < argc; i++) {
        const bool more = i + 1 < argc;
        if (more && !strcmp(argv[i], "--cases"))
            cases = strtoul(argv[++i], NULL, 0);
        else if (more && !strcmp(argv[i], "--seconds"))
            seconds = strtoul(argv[++i], NULL, 0);
        else if (more && !strcmp(argv[i], "--seed"))
            seed = strtoull(argv[++i], NULL, 0);
        else if (more && !strcmp(argv[i], "--keep"))
            keep = argv[++i];
        else if (argv[i][0] == '-')
            return usage(), 2;
        else
            add_path(argv[i]);
    }
    driver.rng = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    snprintf(driver.keep, sizeof driver.keep, "%s/%s-found-%llu-%ld", keep, driver.name,
             (unsigned long long)seed, (long)getpid());
    signal(SIGPROF, on_signal);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(keep_input);
    } else {
        signal(SIGSEGV, on_signal);
        signal(SIGBUS, on_signal);
        signal(SIGFPE, on_signal);
        signal(SIGILL, on_signal);
    }
    signal(SIGABRT, on_signal);
    printf("%s: %zu inputs kept, seed %llu\n", driver.name, driver.corpus_len,
           (unsigned long long)seed);
    fflush(stdout);
    if (fuzz_program.fixed)
        fuzz_program.fixed();
    for (size_t i = 0; i < driver.corpus_len; i++)
        run_case(driver.corpus[i].bytes, driver.corpus[i].len, driver.corpus[i].path);
    if (cases || seconds)
        make_up(cases, seconds_now() + (double)seconds);
    if (fuzz_program.summary)
        fuzz_program.summary();
    for (size_t i = 0; i < driver.corpus_len; i++) {
        free(driver.corpus[i].path);
        free(driver.corpus[i].bytes);
    }
    free(driver.corpus);
    return 0;
}
