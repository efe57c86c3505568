/*
 * The process: options in, exit status out. Parses, builds the machine, gives it to the watchers
 * (monitor, gdb stub), runs it, and turns the outcome into a status: 0 for a guest that powered
 * off, rebooted under -no-reboot or was told to quit (by signal too, as QEMU's); isa-debug-exit's
 * own; 1 with one line on stderr for what failed on the host's side.
 */
#include "cli.h"
#include "core/log.h"
#include "cpu/features.h"
#include "debug/cpu_test.h"
#include "debug/gdbstub.h"
#include "debug/monitor.h"
#include "debug/trace.h"
#include "host/pidfile.h"
#include "machine.h"
#include "ui/window.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef VITRINE_VERSION
#define VITRINE_VERSION "(development)"
#endif

#define MAX_MONITORS (1 + CONFIG_MAX_MONITORS)

/* What lives as long as the machine does. */
struct process {
    struct vm_config cfg;
    struct log log;
    FILE *log_file;
    bool log_lost; /* part of what belongs there */
    struct machine *machine;
    struct monitor *monitor[MAX_MONITORS];
    unsigned monitors;
    struct trace *trace;
    struct window *window;
};

/* For signal handlers, which have no other way to know. */
static struct machine *volatile signal_machine;
static volatile sig_atomic_t signal_taken;
static struct pidfile signal_pidfile;

static void complain(const char *msg)
{
    fprintf(stderr, "vitrine: %s\n", msg);
}

/* --- words --- */

static void print_out(void *opaque, const char *line)
{
    (void)opaque;
    puts(line);
}

static void print_note(void *opaque, const char *line)
{
    (void)opaque;
    fprintf(stderr, "vitrine: warning: %s\n", line);
}

static void print_stats_line(void *opaque, const char *line)
{
    (void)opaque;
    fprintf(stderr, "stats: %s\n", line);
}

/* Room may come back, so it is tried again; but it is said once, and in the exit status. */
static void log_failed(struct process *p)
{
    if (!p->log_lost)
        fprintf(stderr, "vitrine: -D %s: %s: the log is not complete\n", p->cfg.log_file,
                strerror(errno));
    p->log_lost = true;
    clearerr(p->log_file);
}

/* LOG_HOST lines are for the person at the terminal, the others go to -D's file if there is one. */
static void log_sink(void *opaque, const char *line)
{
    struct process *p = opaque;
    if (p->log.category == LOG_HOST)
        complain(line);
    else if (!p->log_file)
        fprintf(stderr, "%s\n", line);
    else if (fprintf(p->log_file, "%s\n", line) < 0 || ferror(p->log_file))
        log_failed(p);
}

static bool open_log(struct process *p, struct error *err)
{
    log_init(&p->log, log_sink, p);
    p->log.mask |= p->cfg.log_mask;
    if (!p->cfg.log_file)
        return true;
    p->log_file = fopen(p->cfg.log_file, "we");
    if (!p->log_file)
        return error_set(err, "-D %s: %s", p->cfg.log_file, strerror(errno));
    setvbuf(p->log_file, NULL, _IOLBF, 0);
    return true;
}

/* --- signals --- */

/* The second time it no longer asks, nor while there is no machine yet, which may wait for a peer.
 */
static void on_quit_signal(int sig)
{
    struct machine *m = signal_machine;
    if (m && !signal_taken) {
        signal_taken = sig;
        machine_quit(m, MACHINE_KILLED, 0);
        return;
    }
    chr_stdio_restore();
    pidfile_remove(&signal_pidfile);
    signal(sig, SIG_DFL);
    raise(sig);
}

static struct sigaction crash_before[NSIG];

/* Gives the terminal back, then lets happen what would have happened. */
static void on_crash_signal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    chr_stdio_restore();
    sigaction(sig, &crash_before[sig], NULL);
    if (info->si_code <= 0 || sig == SIGABRT)
        raise(sig); /* sent, not caused: it would not come again by itself */
}

static void handle_signals(void)
{
    static const int quits[] = {SIGINT, SIGTERM, SIGHUP};
    static const int crashes[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,  SIGABRT, SIGQUIT,
                                  SIGALRM, SIGXCPU, SIGUSR1, SIGUSR2, SIGPROF, SIGVTALRM};
    static char stack[64 * 1024]; /* a crash may be an overflow of the ordinary one */
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&alternate, NULL);

    struct sigaction quit = {.sa_handler = on_quit_signal, .sa_flags = SA_RESTART};
    for (unsigned i = 0; i < ARRAY_SIZE(quits); i++) {
        struct sigaction now;
        sigaction(quits[i], NULL, &now);
        if (now.sa_handler != SIG_IGN) /* nohup stays in force */
            sigaction(quits[i], &quit, NULL);
    }
    struct sigaction crash = {.sa_sigaction = on_crash_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (unsigned i = 0; i < ARRAY_SIZE(crashes); i++)
        sigaction(crashes[i], &crash, &crash_before[crashes[i]]);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* EFBIG, from disk images */
}

/* --- life --- */

/* Whoever started us may have closed what others take to be there: libuv's own descriptors must not
 * become standard input, output or error. */
static void open_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            _exit(1); /* nobody could be told */
}

static bool add_monitor(struct process *p, const char *label, const char *spec, struct error *err)
{
    if (!spec)
        return true;
    struct chr *chr = machine_chr_open(p->machine, label, spec, err);
    if (!chr)
        return false;
    p->monitor[p->monitors] = monitor_create(p->machine, chr);
    if (!p->monitor[p->monitors])
        return error_set(err, "out of memory");
    p->monitors++;
    return true;
}

static bool add_watchers(struct process *p, struct error *err)
{
    p->trace = trace_create(p->machine);
    if (p->cfg.display == SHOW_SDL && !(p->window = window_create(p->machine, err)))
        return false;
    if (!add_monitor(p, "mux-monitor", p->cfg.mux_monitor, err))
        return false;
    for (unsigned i = 0; i < p->cfg.monitors; i++) {
        char label[24];
        snprintf(label, sizeof label, "monitor%u", i);
        if (!add_monitor(p, i ? label : "monitor", p->cfg.monitor[i], err))
            return false;
    }
    return !p->cfg.gdb || gdbserver_start(p->machine, p->cfg.gdb, err);
}

static void remove_watchers(struct process *p)
{
    window_destroy(p->window);
    gdbserver_stop(p->machine);
    while (p->monitors)
        monitor_destroy(p->monitor[--p->monitors]);
    trace_destroy(p->trace);
}

static int run(struct process *p)
{
    signal_machine = p->machine;
    enum machine_exit why = machine_run(p->machine);
    machine_loop(p->machine)->hurry = why == MACHINE_KILLED;
    chr_stdio_restore(); /* what the guest wrote last comes before our own words */
    if (p->cfg.stats)
        machine_print_stats(p->machine, print_stats_line, NULL);
    if (why == MACHINE_KILLED && signal_taken)
        fprintf(stderr, "vitrine: terminating on signal %d\n", (int)signal_taken);
    return why == MACHINE_DEBUG_EXIT ? machine_exit_status(p->machine) : 0;
}

/* Builds, runs and takes down the machine of p->cfg. */
static int live(struct process *p)
{
    struct error err = {0};
    int status = 1;
    if (!open_log(p, &err) ||
        (p->cfg.pidfile && !pidfile_create(&signal_pidfile, p->cfg.pidfile, &err)))
        goto out;
    if (p->cfg.process_name)
        prctl(PR_SET_NAME, p->cfg.process_name);
    p->machine = machine_create(&p->cfg, &p->log, &err);
    if (!p->machine)
        goto out;
    if (add_watchers(p, &err))
        status = run(p);
    remove_watchers(p);
    signal_machine = NULL;
    if (!machine_destroy(p->machine, &err))
        status = 1;
out:
    chr_stdio_restore();
    pidfile_remove(&signal_pidfile);
    if (*err.msg)
        complain(err.msg);
    if (p->log_file && fflush(p->log_file))
        log_failed(p);
    if (p->log_file)
        fclose(p->log_file);
    return p->log_lost ? 1 : status;
}

/* -cpu-test: status 0 if all cases of all files pass. */
static int run_cpu_tests(const struct vm_config *cfg)
{
    struct cpu_test_result total = {0};
    struct error err = {0};
    for (unsigned i = 0; i < cfg->cpu_tests; i++) {
        if (!cpu_test_file(cfg->cpu_test[i], cfg->cpu, cfg->ram_bytes, print_out, NULL, &total,
                           &err)) {
            fflush(stdout);
            complain(err.msg);
            return 1;
        }
    }
    printf("%" PRIu64 " cases, %" PRIu64 " failed\n", total.cases, total.failed);
    return total.failed != 0;
}

int main(int argc, char **argv)
{
    static struct process process;
    struct cli_io io = {print_out,       print_note,        NULL,
                        VITRINE_VERSION, cpu_features_help, window_sdl_possible};
    struct error err = {0};
    int status = 0;
    open_standard_files();
    switch (cli_parse(&process.cfg, argc, argv, &io, &err)) {
    case CLI_RUN:
        if (process.cfg.cpu_tests) {
            status = run_cpu_tests(&process.cfg);
            break;
        }
        handle_signals();
        status = live(&process);
        break;
    case CLI_DONE:
        break;
    case CLI_ERROR:
        complain(err.msg);
        status = 1;
        break;
    }
    vm_config_free(&process.cfg);
    if (fflush(stdout)) {
        complain("standard output: what was to be printed is lost");
        status = 1;
    }
    return status;
}
