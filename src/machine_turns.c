/*
 * Whose turn it is. All CPUs take turns on the machine's thread, in the order of their numbers:
 *
 *   - a turn ends after TURN instructions, or when its CPU halts, or when it says PAUSE and has had
 *     MIN_TURN (a spin loop is waiting for one of the others);
 *   - a CPU that has nothing to do has no turn, and one that is alone needs no end of it;
 *   - who is woken while one runs alone is next, at once.
 *
 * All of this depends on instruction counts and the guest's state alone. The machine's count, which
 * guest time is made of, is the sum over all CPUs: while one executes the others stand still in
 * time, so they never see it, the TSC among it, go back or differ.
 */
#include "machine_internal.h"

#include "cpu/cpu.h"

#define TURN     10000
#define MIN_TURN 64

struct cpu *machine_current(const struct machine *m)
{
    return m->pc.cpus ? m->pc.cpu[m->turn.cpu].cpu : NULL;
}

uint64_t machine_icount(const struct machine *m)
{
    if (m->threads)
        return threads_icount(m);
    return m->pc.cpus ? m->turn.others + cpu_icount(machine_current(m)) : 0;
}

static void begin_turn(struct machine *m, unsigned n)
{
    const uint64_t now = machine_icount(m);
    m->turn.others = now - cpu_icount(m->pc.cpu[n].cpu);
    m->turn.cpu = n;
    m->turn.began = now;
    m->turn.end = now + TURN;
    pc_select_cpu(&m->pc, n);
}

void turns_reset(struct machine *m)
{
    m->turn.yielded = m->turn.contended = false;
    if (m->threads)
        pc_select_cpu(&m->pc, m->turn.cpu = 0);
    else
        begin_turn(m, 0);
}

/* Nobody else wants it: as if turns had followed one another, whenever we happen to look. */
static void prolong_turn(struct machine *m)
{
    const uint64_t now = machine_icount(m);
    if (m->turn.yielded)
        m->turn.began = now;
    if (now >= m->turn.end)
        m->turn.end += ((now - m->turn.end) / TURN + 1) * TURN;
}

static bool may_run(const struct machine *m, unsigned n)
{
    return !m->turn.only_one || m->turn.only == n;
}

bool turns_next(struct machine *m)
{
    const struct pc *pc = &m->pc;
    const unsigned cpus = pc->cpus, mine = m->turn.cpu;
    const bool over = m->turn.yielded || machine_icount(m) >= m->turn.end;
    unsigned busy = 0, watching = 0, next = cpus;
    for (unsigned i = 1; i <= cpus; i++) { /* the current one is the last of them */
        const unsigned n = (mine + i) % cpus;
        const struct cpu *cpu = pc->cpu[n].cpu;
        if (!may_run(m, n))
            continue;
        if (!cpu_has_work(cpu)) {
            watching += cpu->mwait != MWAIT_NOT; /* a store of another's may end it */
            continue;
        }
        busy++;
        if (next == cpus || (n == mine && !over))
            next = n;
    }
    m->turn.contended = busy > 1 || watching;
    if (next == mine && over)
        prolong_turn(m);
    else if (next != mine && next != cpus)
        begin_turn(m, next);
    m->turn.yielded = false;
    return next != cpus;
}

uint64_t turns_end(const struct machine *m)
{
    return m->turn.contended ? m->turn.end : UINT64_MAX;
}

void turns_pause(void *opaque)
{
    struct machine *m = opaque;
    if (!m->turn.contended || machine_icount(m) - m->turn.began < MIN_TURN)
        return;
    m->turn.yielded = true;
    cpu_kick(machine_current(m));
}

void turns_woken(void *opaque, unsigned n)
{
    struct machine *m = opaque;
    if (m->threads) {
        threads_woken(m, n);
        return;
    }
    if (n == m->turn.cpu || m->turn.contended)
        return;
    m->turn.contended = m->turn.yielded = true;
    if (m->in_cpu)
        cpu_kick(machine_current(m));
}

void turns_state(struct machine *m, struct state *s)
{
    state_begin(s, "turns", 1);
    state_u32(s, "cpu", &m->turn.cpu);
    state_check(s, m->turn.cpu < m->pc.cpus, "cpu");
    state_u64(s, "began", &m->turn.began);
    state_u64(s, "end", &m->turn.end);
    state_end(s);
}
