/* What machine.c, machine_debug.c and machine_stats.c share: the machine itself. */
#ifndef VITRINE_MACHINE_INTERNAL_H
#define VITRINE_MACHINE_INTERNAL_H

#include "core/vclock.h"
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

    bool running;
    bool in_cpu; /* cpu_run() is on the stack */
    enum stop_reason stop_reason;
    struct machine_listener *listeners;
    bool reset_pending;
    bool stepping;
    gla_t watch_hit;
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
    int64_t idle_ns;
    uint64_t syncs, idles;
};

/* Instructions retired so far. */
uint64_t machine_icount(const struct machine *m);

/* machine_stats.c: a stage of the boot begins, or (CPU_MILESTONES) the run ends here. */
void machine_note_stage(struct machine *m, unsigned n);

#endif
