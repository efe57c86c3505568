/*
 * CPUs on host threads of their own, named as QEMU names them ("CPU 0/TCG"). The lock and what it
 * guards are core/world.h's. Who does what:
 *
 *   a CPU's thread        runs guest code in slices, without the lock; between two slices it looks
 *                         whether something is wanted of it. It fires the timers that are due, as
 *                         devices are called on the thread of the CPU that accesses them; asleep in
 *                         HLT, the one whose sleep is the shortest wakes for the next timer.
 *   the machine's thread  waits for the host: disks, consoles, monitor, gdb, signals. Whatever it
 *                         does then it does while all CPUs rest between two instructions, so it
 *                         sees them, and may change them, as it does where they take turns.
 *
 * Guest time is the host's monotonic clock from when the guest first ran, less what it was stopped
 * or, on a host with too much to do, not run. There is one for all CPUs, so their TSCs never
 * differ.
 */
#include "machine_internal.h"

#include "core/pair.h"
#include "cpu/cpu.h"
#include "host/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <time.h>

#define SLICE_NS        (5 * NS_PER_US) /* between two looks; in instructions: */
#define SLICE_MIN       1000
#define SLICE_MAX       40000
#define MWAIT_NS        (50 * NS_PER_US) /* how often a sleeper looks at its line of memory */
#define TOUCH_NS        (1 * NS_PER_MS)  /* how soon the host's loop looks at what was started */
#define LONGEST_REST_NS (3600 * NS_PER_SEC)
#define MAX_GAP_NS      (1 * NS_PER_MS) /* that guest time may leap */
#define CATCH_UP        4               /* makes up for a fourth of the time that passes */

/* Host time of the last look at the clock, and what is taken from host time; change together. */
union clock_state {
    struct {
        int64_t looked, offset;
    };
    unsigned __int128 pair;
};

struct cpu_thread {
    struct machine *m;
    struct cpu *cpu;
    pthread_t id;
    long number; /* the same for the host, as soon as it runs; atomic */
    pthread_cond_t wake;
    unsigned slice; /* instructions that take about SLICE_NS here */
    bool made;
    bool dozing; /* waits on wake */
};

struct threads {
    struct world world;
    struct cpu_thread *cpu;
    unsigned made;
    /* under the lock */
    pthread_cond_t rested;
    unsigned resting; /* threads that are between instructions, and stay there until they have
                         looked at go */
    unsigned dozing;  /* of which have nothing to do */
    bool go;          /* they may run guest code */
    bool over;        /* they are to end */
    int64_t alarm_ns; /* the earliest time a dozing one wakes for; EVENT_NEVER: none does */
    struct event touch;
    const struct world_member *accessing; /* atomic: to this CPU, at a device, it is access_ns */
    int64_t access_ns;
    /* atomic */
    bool attention;  /* look at what is under the lock */
    int64_t next_ns; /* the next timer is due */

    union clock_state clock;
    int64_t host_start; /* host time that is guest time 0, but for what is to be made up for */
    int64_t frozen_ns;
    bool frozen;
};

/* --- time --- */

static bool swap(union clock_state *at, union clock_state *old, union clock_state new)
{
    const unsigned __int128 seen = swap_pair(&at->pair, old->pair, new.pair);
    const bool done = seen == old->pair;
    old->pair = seen;
    return done;
}

static union clock_state clock_state(const struct threads *t)
{
    union clock_state s;
    do {
        s.offset = __atomic_load_n(&t->clock.offset, __ATOMIC_ACQUIRE);
        s.looked = __atomic_load_n(&t->clock.looked, __ATOMIC_ACQUIRE);
    } while (s.offset != __atomic_load_n(&t->clock.offset, __ATOMIC_ACQUIRE));
    return s;
}

/*
 * Whoever reads the clock has been running since the last look, or the host had something better to
 * do for us: what exceeds MAX_GAP_NS then is not guest time, or timers would find that everything
 * happened at once. It is made up for later, a part of the time that passes (CATCH_UP).
 *
 * Never goes back: between two looks it is host time less the offset, and a look that raises the
 * offset gives the time that all readers before it have not yet reached.
 */
int64_t threads_clock(const struct machine *m)
{
    struct threads *t = m->threads;
    if (t->frozen)
        return t->frozen_ns;
    for (;;) {
        union clock_state old = clock_state(t), new;
        const int64_t host = host_clock_ns(), gap = host - old.looked;
        if (gap < MAX_GAP_NS / 4)
            return host - old.offset;
        new.looked = host;
        new.offset = gap > MAX_GAP_NS
                         ? old.offset + gap - MAX_GAP_NS
                         : MAX(old.offset - gap / CATCH_UP, MIN(t->host_start, old.offset));
        if (swap(&t->clock, &old, new))
            return host - new.offset;
    }
}

/* While a CPU is at a device time stands still for it, so that no timer is due that did not fire.
 */
int64_t threads_now(const struct machine *m)
{
    const struct threads *t = m->threads;
    const struct world_member *at = __atomic_load_n(&t->accessing, __ATOMIC_RELAXED);
    return unlikely(at != NULL) && at == world_self() ? t->access_ns : threads_clock(m);
}

/*
 * If all slept, for good reason, until now or until the next timer was due, nothing of that is to
 * be made up for. Whoever ends such a sleep says so before it reads the clock.
 */
static void slept(struct machine *m)
{
    struct threads *t = m->threads;
    if (t->dozing < t->made)
        return;
    const int64_t due = event_next_due(&m->events);
    for (union clock_state old = clock_state(t), new;;) {
        const int64_t host = host_clock_ns();
        new.offset = old.offset;
        new.looked = MIN(host - old.offset, due) + old.offset; /* due may be in centuries */
        if (new.looked <= old.looked || swap(&t->clock, &old, new))
            return;
    }
}

void threads_freeze(struct machine *m, bool freeze)
{
    struct threads *t = m->threads;
    if (freeze == t->frozen)
        return;
    if (freeze) {
        t->frozen_ns = threads_clock(m);
    } else {
        t->clock.looked = host_clock_ns();
        const int64_t offset = t->clock.looked - t->frozen_ns;
        t->host_start += offset - t->clock.offset; /* what is to be made up for stays so */
        t->clock.offset = offset;
    }
    t->frozen = freeze;
}

long threads_number(const struct machine *m, unsigned n)
{
    if (!m->threads)
        return syscall(SYS_gettid);
    return __atomic_load_n(&m->threads->cpu[n].number, __ATOMIC_RELAXED);
}

uint64_t threads_icount(const struct machine *m)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < m->pc.cpus; i++)
        n += __atomic_load_n(&m->pc.cpu[i].cpu->seen, __ATOMIC_RELAXED);
    return n;
}

static void note_icount(struct cpu *cpu)
{
    __atomic_store_n(&cpu->seen, cpu_icount(cpu), __ATOMIC_RELAXED);
}

static void note_next(struct machine *m)
{
    __atomic_store_n(&m->threads->next_ns, event_next_due(&m->events), __ATOMIC_RELAXED);
}

static void wake(struct cpu_thread *c)
{
    pthread_cond_signal(&c->wake);
}

/* CPUs that run see it at their next look; if there is none, a sleeper has to wake earlier. */
void threads_deadline(struct machine *m)
{
    struct threads *t = m->threads;
    note_next(m);
    if (world_self() || t->next_ns >= t->alarm_ns)
        return;
    for (unsigned i = 0; i < t->made; i++) {
        if (t->cpu[i].dozing) {
            wake(&t->cpu[i]);
            return;
        }
    }
}

/* --- the lock --- */

/* Devices are accessed in the name of this CPU now. */
static void entered(void *opaque, struct world_member *who)
{
    struct machine *m = opaque;
    const struct cpu *cpu = container_of(who, struct cpu, member);
    m->turn.cpu = cpu->index;
    pc_select_cpu(&m->pc, cpu->index);
    m->in_cpu = true;
}

static void touch_due(void *opaque, int64_t now_ns)
{
    (void)now_ns;
    host_loop_wake(opaque);
}

static void leaving(void *opaque, struct world_member *who)
{
    struct machine *m = opaque;
    (void)who;
    m->in_cpu = false;
    if (m->threads->accessing)
        __atomic_store_n(&m->threads->accessing, NULL, __ATOMIC_RELAXED);
    if (unlikely(m->loop.touched)) {
        m->loop.touched = false;
        if (!event_armed(&m->threads->touch))
            event_arm(&m->events, &m->threads->touch, threads_clock(m) + TOUCH_NS);
    }
}

struct world *threads_world(struct machine *m)
{
    return m->threads ? &m->threads->world : NULL;
}

static void fire_timers(struct machine *m, int64_t now_ns)
{
    event_run(&m->events, now_ns);
    note_next(m);
}

static void settle(void *opaque, struct world_member *who)
{
    struct machine *m = opaque;
    struct threads *t = m->threads;
    if (t->accessing) /* it is who, inside another access */
        return;
    t->access_ns = threads_clock(m);
    __atomic_store_n(&t->accessing, who, __ATOMIC_RELAXED);
    if (t->next_ns <= t->access_ns)
        fire_timers(m, t->access_ns);
}

/* --- a CPU's thread; but for running guest code, under the lock --- */

static bool asked_for_something(const struct machine *m)
{
    return __atomic_load_n(&m->exit_asked, __ATOMIC_ACQUIRE) != MACHINE_RUNNING ||
           m->reset_pending || m->stop_asked;
}

static bool may_run(const struct cpu_thread *c)
{
    const struct machine *m = c->m;
    return m->threads->go && !asked_for_something(m) &&
           (!m->turn.only_one || m->turn.only == c->cpu->index);
}

/* Waits to be woken, or until guest time is due. */
static void rest(struct cpu_thread *c, int64_t due_ns)
{
    struct threads *t = c->m->threads;
    if (due_ns != EVENT_NEVER) /* a guest's timer may be due in centuries, which host time is not */
        due_ns = MIN(due_ns, threads_clock(c->m) + LONGEST_REST_NS);
    t->resting++;
    pthread_cond_signal(&t->rested);
    if (due_ns == EVENT_NEVER) {
        pthread_cond_wait(&c->wake, &t->world.lock);
    } else {
        const int64_t at = due_ns + clock_state(t).offset;
        const struct timespec ts = {at / NS_PER_SEC, at % NS_PER_SEC};
        pthread_cond_timedwait(&c->wake, &t->world.lock, &ts);
    }
    slept(c->m);
    t->resting--;
    entered(c->m, &c->cpu->member);
}

/* Nothing to do for this CPU, perhaps for none: sleeps, and of all sleepers one for the timers. */
static void doze(struct cpu_thread *c)
{
    struct threads *t = c->m->threads;
    const int64_t next = event_next_due(&c->m->events);
    const bool for_timers = next < t->alarm_ns;
    int64_t due = for_timers ? next : EVENT_NEVER;
    if (c->cpu->halted && c->cpu->mwait)
        due = MIN(due, threads_clock(c->m) + MWAIT_NS);
    if (for_timers)
        t->alarm_ns = next;
    c->dozing = true;
    t->dozing++;
    rest(c, due);
    t->dozing--;
    c->dozing = false;
    if (for_timers)
        t->alarm_ns = EVENT_NEVER;
}

/* A whole slice took so long: a tight loop runs ten times as many instructions in a time as others.
 */
static void adapt_slice(struct cpu_thread *c, int64_t ns)
{
    if (ns < SLICE_NS / 2)
        c->slice = MIN(2 * c->slice, (unsigned)SLICE_MAX);
    else if (ns > 2 * SLICE_NS)
        c->slice = MAX(c->slice / 2, (unsigned)SLICE_MIN);
}

/* One slice after the other, until something is to be done under the lock. */
static void run(struct cpu_thread *c)
{
    struct machine *m = c->m;
    struct threads *t = m->threads;
    struct cpu *cpu = c->cpu;
    const uint64_t n = cpu_icount(cpu);
    const bool step = m->stepping && m->step_cpu == cpu->index;
    world_leave(&t->world);
    int64_t now = threads_clock(m);
    do {
        const int64_t before = now;
        const uint64_t end = cpu_icount(cpu) + (step ? 1 : c->slice);
        cpu_set_end(cpu, end);
        cpu_run(cpu);
        note_icount(cpu);
        now = threads_clock(m);
        if (!step && cpu_icount(cpu) >= end)
            adapt_slice(c, now - before);
    } while (!step && !__atomic_load_n(&t->attention, __ATOMIC_ACQUIRE) &&
             !world_wanted(&t->world) && cpu_has_work(cpu) &&
             now < __atomic_load_n(&t->next_ns, __ATOMIC_RELAXED));
    world_enter(&t->world);
    if (step && cpu_icount(cpu) > n) {
        if (!m->stop_asked)
            m->stop_cpu = cpu->index;
        machine_stop(m, STOP_STEP);
    }
}

static void *cpu_thread(void *opaque)
{
    struct cpu_thread *c = opaque;
    struct machine *m = c->m;
    struct threads *t = m->threads;
    char name[16];
    snprintf(name, sizeof name, "CPU %u/TCG", c->cpu->index);
    prctl(PR_SET_NAME, name);
    __atomic_store_n(&c->number, syscall(SYS_gettid), __ATOMIC_RELAXED);
    prctl(PR_SET_TIMERSLACK, 1000); /* guests set timers to the microsecond */
    world_be(&c->cpu->member);
    world_enter(&t->world);
    while (!t->over) {
        if (!may_run(c)) {
            rest(c, EVENT_NEVER);
            continue;
        }
        const int64_t now = threads_clock(m);
        if (t->next_ns <= now) {
            fire_timers(m, now);
            if (!may_run(c)) /* one of them asked for something */
                continue;
            /* The next may be due already: the guest goes on all the same, and the lock is free. */
        }
        if (cpu_has_work(c->cpu))
            run(c);
        else
            doze(c);
    }
    m->in_cpu = false;
    pthread_mutex_unlock(&t->world.lock); /* never inside again */
    return NULL;
}

void threads_ask(struct machine *m)
{
    __atomic_store_n(&m->threads->attention, true, __ATOMIC_RELEASE);
    host_loop_wake(&m->loop);
}

void threads_woken(struct machine *m, unsigned n)
{
    if (n < m->threads->made && m->threads->cpu[n].dozing)
        wake(&m->threads->cpu[n]);
}

/* --- the machine's thread --- */

static void wake_all(struct threads *t)
{
    for (unsigned i = 0; i < t->made; i++)
        wake(&t->cpu[i]);
}

static void let_run(struct machine *m)
{
    struct threads *t = m->threads;
    note_next(m);
    t->go = true;
    __atomic_store_n(&t->attention, false, __ATOMIC_RELEASE);
    wake_all(t);
}

/* All CPUs come to rest between two instructions. */
static void have_rest(struct machine *m)
{
    struct threads *t = m->threads;
    t->go = false;
    __atomic_store_n(&t->attention, true, __ATOMIC_RELEASE);
    while (t->resting < t->made)
        pthread_cond_wait(&t->rested, &t->world.lock);
    slept(m); /* the host brings something */
    m->in_cpu = false;
}

static bool start(struct machine *m)
{
    struct threads *t = m->threads;
    sigset_t all, before;
    sigfillset(&all); /* signals are the first thread's */
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < m->pc.cpus; i++) {
        struct cpu_thread *c = &t->cpu[i];
        c->m = m;
        c->slice = SLICE_MIN;
        c->cpu = m->pc.cpu[i].cpu;
        if (pthread_create(&c->id, NULL, cpu_thread, c) != 0)
            break;
        t->made++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return t->made == m->pc.cpus;
}

static void end(struct machine *m)
{
    struct threads *t = m->threads;
    t->over = true;
    wake_all(t);
    pthread_mutex_unlock(&t->world.lock);
    for (unsigned i = 0; i < t->made; i++)
        pthread_join(t->cpu[i].id, NULL);
    t->made = 0;
}

void threads_run(struct machine *m)
{
    struct threads *t = m->threads;
    pthread_mutex_lock(&t->world.lock);
    if (!start(m)) {
        log_line(m->log, LOG_HOST, "the host gives no threads for %u CPUs: %s", m->pc.cpus,
                 strerror(errno));
        m->exit = MACHINE_KILLED;
    }
    have_rest(m);
    threads_freeze(m, !m->running);
    for (;;) {
        machine_take_requests(m);
        if (m->exit != MACHINE_RUNNING)
            break;
        const int patience = host_loop_patience(&m->loop);
        if (asked_for_something(m))
            continue;
        if (m->running)
            let_run(m);
        pthread_mutex_unlock(&t->world.lock);
        host_loop_block(&m->loop, patience);
        pthread_mutex_lock(&t->world.lock);
        have_rest(m);
        host_loop_poll(&m->loop);
        m->syncs++;
    }
    threads_freeze(m, true);
    end(m);
}

/* --- life --- */

static bool wanted(const struct vm_config *cfg)
{
    if (cfg->icount || cfg->jit_verify)
        return false; /* runs that repeat; lockstep looks at one memory alone */
    return cfg->thread == THREAD_MULTI || (cfg->thread == THREAD_DEFAULT && cfg->smp > 1);
}

bool threads_create(struct machine *m, struct error *err)
{
    if (!wanted(&m->cfg))
        return true;
    struct threads *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, "out of memory");
    m->threads = t;
    world_init(&t->world);
    t->world.entered = entered;
    t->world.leaving = leaving;
    t->world.settle = settle;
    t->world.opaque = m;
    t->alarm_ns = t->next_ns = EVENT_NEVER;
    t->frozen = true;
    event_init(&t->touch, "host loop", touch_due, &m->loop);
    pthread_cond_init(&t->rested, NULL);
    t->cpu = calloc(m->cfg.smp, sizeof *t->cpu);
    if (!t->cpu)
        return error_set(err, "out of memory");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    for (unsigned i = 0; i < m->cfg.smp; i++)
        pthread_cond_init(&t->cpu[i].wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return true;
}

void threads_destroy(struct machine *m)
{
    struct threads *t = m->threads;
    if (!t)
        return;
    for (unsigned i = 0; t->cpu && i < m->cfg.smp; i++)
        pthread_cond_destroy(&t->cpu[i].wake);
    pthread_cond_destroy(&t->rested);
    world_destroy(&t->world);
    free(t->cpu);
    free(t);
    m->threads = NULL;
}
