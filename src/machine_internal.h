/* What machine.c, machine_debug.c and machine_stats.c share: the machine itself. */
#ifndef VITRINE_MACHINE_INTERNAL_H
#define VITRINE_MACHINE_INTERNAL_H

#include "core/vclock.h"
#include "core/world.h"
#include "host/chr_mux.h"
#include "machine.h"
#include "machine_pc.h"

#define MAX_BACK_ENDS 16

struct back_end {
    char label[16];
    struct chr *chr;
};

struct machine {
    struct vm_config cfg;
    struct log *log;
    struct host_loop loop;
    bool loop_made;
    struct event_queue events;
    struct door door;
    struct vclock clock;
    struct pc pc;

    struct back_end back_end[MAX_BACK_ENDS];
    unsigned back_ends;
    struct chr *mux[CHR_MUX_PORTS]; /* ends not handed out yet */

    struct {                 /* machine_turns.c */
        uint32_t cpu;        /* the CPU that executes, or did last */
        uint64_t others;     /* instructions retired by the others */
        uint64_t began, end; /* of its turn, in instructions of the machine */
        bool contended;      /* another one has work, or will have as soon as this one stores */
        bool yielded;        /* it is to end at once */
        bool only_one;       /* a debugger lets one CPU run ... */
        unsigned only;       /* ... this one */
    } turn;

    struct threads *threads; /* machine_threads.c; NULL: CPUs take turns */

    bool running;
    bool in_cpu; /* cpu_run() is on the stack; with threads, on that of who holds the lock */
    enum stop_reason stop_reason;
    unsigned stop_cpu; /* the one that executed before the last stop */
    struct machine_listener *listeners;
    struct gdbstub *gdb;
    bool reset_pending;
    bool stepping;
    unsigned step_cpu;
    gla_t watch_hit, stop_at; /* of the last one; where the last breakpoint stopped it */
    unsigned mouse_buttons;
    uint64_t slice_end;
    int64_t paused_at;

    /* asked for by signals and other threads; read between instructions */
    volatile int stop_asked; /* enum stop_reason */
    volatile int exit_asked; /* enum machine_exit */
    volatile int exit_status;
    enum machine_exit exit;

    /* statistics: when each stage of the boot began; the last is where the run ended */
    struct stage {
        uint64_t icount;
        int64_t guest_ns, cpu_ns;
        bool reached;
    } stage[CPU_MILESTONES + 1];
    /* -icount sleep=on: guest time stands still until this host time, then jumps to due */
    struct sleep {
        int64_t due;
        uint64_t icount;
        int64_t until;
    } sleep;
    int64_t idle_ns;
    uint64_t syncs, idles;
};

/* Instructions retired so far by all CPUs. */
uint64_t machine_icount(const struct machine *m);
/* The CPU whose turn it is; NULL before there is one. */
struct cpu *machine_current(const struct machine *m);

/* machine_turns.c: settles whose turn it is. False: no CPU has anything to do. */
bool turns_next(struct machine *m);
/* The instruction at which it ends; UINT64_MAX while nobody else wants one. */
uint64_t turns_end(const struct machine *m);
/* After a reset: the boot CPU begins. */
void turns_reset(struct machine *m);
/* What the board tells (pc_signals). */
void turns_pause(void *opaque);
void turns_woken(void *opaque, unsigned n);
void turns_state(struct machine *m, struct state *s);

/*
 * machine_threads.c: CPUs on threads of their own. threads_create() leaves NULL where they take
 * turns; what follows may be called only where they do not.
 */
bool threads_create(struct machine *m, struct error *err);
void threads_destroy(struct machine *m);
struct world *threads_world(struct machine *m); /* NULL: they take turns */
/* machine_run() with threads; machine_take_requests() is called while all CPUs rest. */
void threads_run(struct machine *m);
void machine_take_requests(struct machine *m);
int64_t threads_clock(const struct machine *m);
int64_t threads_now(const struct machine *m); /* for whoever is at a device, or asks from outside */
long threads_number(const struct machine *m,
                    unsigned n); /* of the host's for CPU n; ours where they take turns */
uint64_t threads_icount(const struct machine *m);
void threads_deadline(struct machine *m);
void threads_woken(struct machine *m, unsigned n);
/* Something is asked for (stop, exit, reset). Any thread, signals too. */
void threads_ask(struct machine *m);
/* Guest time stands still, and goes on. */
void threads_freeze(struct machine *m, bool freeze);

/* machine_stats.c: a stage of the boot begins, or (CPU_MILESTONES) the run ends here. */
void machine_note_stage(struct machine *m, unsigned n);

#endif
