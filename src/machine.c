/*
 * See machine.h. The run loop: events that are due, then the CPU up to the next one, then, about
 * once a millisecond, the host: its event loop is polled and guest time set against host time.
 */
#include "machine_internal.h"

#include "core/words.h"
#include "core/world.h"
#include "cpu/cpu.h"
#include "cpu/jit/jit.h"
#include "devices/acpi_pm.h"
#include "devices/ps2_kbd.h"
#include "devices/ps2_keys.h"
#include "devices/ps2_mouse.h"
#include "devices/vga.h"
#include "host/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define SLICE_NS    (1 * NS_PER_MS)  /* between sync points, in host time */
#define FIXED_SLICE UINT64_C(500000) /* the same in instructions, for deterministic machines */

/* --- time --- */

static uint64_t icount_for_door(void *opaque)
{
    return machine_icount(opaque);
}

static int64_t read_clock(void *opaque)
{
    struct machine *m = opaque;
    if (m->threads)
        return threads_now(m);
    return vclock_ns(&m->clock, machine_icount(m));
}

/* A device moved the earliest event: the CPU must not run past it. */
static void deadline_changed(void *opaque)
{
    struct machine *m = opaque;
    if (m->threads)
        threads_deadline(m);
    else if (m->in_cpu)
        cpu_kick(machine_current(m));
}

static void note_rate(struct machine *m)
{
    const int64_t setting[2] = {m->clock.base_ns, (int64_t)m->clock.rate};
    door_enter(&m->door, DOOR_RATE, setting, sizeof setting);
}

/* --- back-ends --- */

static void quit_from_mux(void *opaque)
{
    machine_quit(opaque, MACHINE_POWERED_OFF, 0);
}

static struct chr *keep_chr(struct machine *m, const char *label, struct chr *chr,
                            struct error *err)
{
    if (m->back_ends == MAX_BACK_ENDS) {
        chr_close(chr);
        error_set(err, "%s: more than %u character devices", label, MAX_BACK_ENDS);
        return NULL;
    }
    struct back_end *b = &m->back_end[m->back_ends++];
    snprintf(b->label, sizeof b->label, "%s", label);
    b->chr = chr;
    return chr;
}

/* Label serialN gets the serial end of a mux, any other its monitor end. */
static struct chr *open_mux(struct machine *m, const char *label, const char *spec,
                            struct error *err)
{
    const bool serial = !strncmp(label, "serial", 6);
    const enum chr_mux_port end = serial ? CHR_MUX_SERIAL : CHR_MUX_MONITOR;
    if (!m->mux[end]) {
        const struct chr_mux_config cfg = {
            .label = label,
            .spec = spec,
            .loop = &m->loop,
            .door = &m->door,
            .log = m->log,
            .quit = quit_from_mux,
            .quit_opaque = m,
        };
        if (!chr_mux_open(&cfg, m->mux, err))
            return NULL;
    }
    struct chr *chr = m->mux[end];
    m->mux[end] = NULL;
    return keep_chr(m, label, chr, err);
}

struct chr *machine_chr_open(struct machine *m, const char *label, const char *spec,
                             struct error *err)
{
    if (chr_spec_is_mux(spec))
        return open_mux(m, label, spec, err);
    struct chr *chr = chr_open(label, spec, &m->loop, &m->door, m->log, err);
    return chr ? keep_chr(m, label, chr, err) : NULL;
}

void machine_chr_close(struct machine *m, struct chr *chr)
{
    for (unsigned i = 0; i < m->back_ends; i++) {
        if (m->back_end[i].chr == chr) {
            chr_close(chr);
            m->back_end[i] = m->back_end[--m->back_ends];
            return;
        }
    }
}

static struct chr *open_for_board(void *opaque, const char *label, const char *spec,
                                  struct error *err)
{
    return machine_chr_open(opaque, label, spec, err);
}

/* --- what the board says --- */

static void board_reset(void *opaque)
{
    machine_request_reset(opaque);
}
static void board_power_off(void *opaque)
{
    machine_guest_shutdown(opaque);
}
/* QEMU's status: odd, so that it cannot be mistaken for success. */
static void board_debug_exit(void *opaque, uint32_t value)
{
    struct machine *m = opaque;
    machine_quit(m, MACHINE_DEBUG_EXIT, (int)(value << 1 | 1));
    if (m->in_cpu)
        cpu_kick(machine_current(m)); /* what stands behind it is not meant to be executed */
}
static bool board_debug_stop(void *opaque, int why, gla_t at)
{
    struct machine *m = opaque;
    if (m->stop_asked)
        return false;
    if (why == CPU_STOP_WATCHPOINT)
        m->watch_hit = at;
    m->stop_at = at;
    m->stop_cpu = m->turn.cpu;
    machine_stop(m, why == CPU_STOP_WATCHPOINT ? STOP_WATCHPOINT : STOP_BREAKPOINT);
    cpu_kick(machine_current(m));
    return true;
}

static void board_milestone(void *opaque, enum cpu_milestone which)
{
    machine_note_stage(opaque, which);
}

/* Lockstep: the run ends at the first difference, with a status that says so. */
static void board_verify_failed(void *opaque)
{
    struct machine *m = opaque;
    machine_quit(m, MACHINE_DEBUG_EXIT, 1);
    cpu_kick(machine_current(m));
}

/* --- life --- */

static uint64_t guest_rip(void *opaque)
{
    struct machine *m = opaque;
    struct world_member *me = world_self(); /* perhaps without the lock, while another CPU has it */
    if (me)
        return cpu_cur_rip(container_of(me, struct cpu, member));
    return m->pc.cpus ? cpu_cur_rip(machine_current(m)) : 0;
}

/* -accel tcg, or none: the fastest engine that the host allows. */
static enum accel choose_engine(enum accel wanted, struct log *log)
{
    struct error why;
    if (wanted != ACCEL_FASTEST)
        return wanted;
    if (jit_available(&why))
        return ACCEL_JIT;
    log_line(log, LOG_HOST, "guests are interpreted, which is slower: %s", why.msg);
    return ACCEL_INTERP;
}

struct machine *machine_create(const struct vm_config *cfg, struct log *log, struct error *err)
{
    struct machine *m = calloc(1, sizeof *m);
    if (!m) {
        error_set(err, "out of memory");
        return NULL;
    }
    m->cfg = *cfg; /* its strings stay the caller's */
    m->cfg.accel = choose_engine(cfg->accel, log);
    m->log = log;
    log->where = guest_rip;
    log->where_opaque = m;
    m->events = (struct event_queue){
        .read_clock = read_clock,
        .clock_opaque = m,
        .line = &m->clock,
        .others = &m->turn.others,
        .deadline_changed = deadline_changed,
        .deadline_opaque = m,
    };
    door_init(&m->door, cfg->icount, cfg->seed);
    m->door.icount = icount_for_door;
    m->door.icount_opaque = m;
    if (cfg->icount)
        vclock_init_fixed(&m->clock, cfg->icount_shift);
    else
        vclock_init_host(&m->clock, host_clock_ns());
    if (!host_loop_create(&m->loop, err))
        goto fail;
    m->loop_made = true;
    if (!threads_create(m, err))
        goto fail;
    if (m->threads) /* time is not made of instructions then */
        m->events.line = NULL;
    const struct pc_config pc = {
        .vm = &m->cfg,
        .events = &m->events,
        .door = &m->door,
        .log = log,
        .loop = &m->loop,
        .world = threads_world(m),
        .signals =
            {
                .reset = board_reset,
                .power_off = board_power_off,
                .debug_exit = board_debug_exit,
                .debug_stop = board_debug_stop,
                .milestone = board_milestone,
                .verify_failed = board_verify_failed,
                .cpu_pause = turns_pause,
                .cpu_woken = turns_woken,
                .open_chr = open_for_board,
                .opaque = m,
            },
    };
    if (!pc_create(&m->pc, &pc, err))
        goto fail;
    turns_reset(m);
    m->running = !cfg->start_paused;
    m->stop_reason = cfg->start_paused ? STOP_USER : STOP_NONE;
    return m;
fail:
    machine_destroy(m, NULL);
    return NULL;
}

bool machine_destroy(struct machine *m, struct error *err)
{
    if (!m)
        return true;
    bool ok = pc_destroy(&m->pc, err);
    m->pc.cpus = 0;
    for (unsigned i = 0; i < m->back_ends; i++)
        chr_close(m->back_end[i].chr);
    for (unsigned i = 0; i < CHR_MUX_PORTS; i++)
        chr_close(m->mux[i]);
    ok = ok && !m->loop.lost;
    if (m->loop_made)
        host_loop_destroy(&m->loop);
    threads_destroy(m);
    m->log->where = NULL;
    free(m);
    return ok;
}

/* --- running --- */

static void tell_stopped(struct machine *m)
{
    for (struct machine_listener *l = m->listeners, *next; l; l = next) {
        next = l->next;
        if (l->stopped)
            l->stopped(l->opaque, m->stop_reason);
    }
}

static void pause(struct machine *m, enum stop_reason why)
{
    if (!m->running)
        return;
    m->running = false;
    m->stepping = false;
    m->stop_reason = why;
    if (m->threads)
        threads_freeze(m, true); /* who stopped it said so: stop_cpu */
    else
        m->stop_cpu = m->turn.cpu;
    m->paused_at = host_clock_ns();
    tell_stopped(m);
}

/* Host time spent paused is no guest time. */
static void resume(struct machine *m)
{
    if (m->running)
        return;
    const int64_t now = host_clock_ns();
    if (m->threads) {
        threads_freeze(m, false);
    } else {
        if (m->paused_at)
            m->clock.host_start += now - m->paused_at;
        vclock_resync(&m->clock, machine_icount(m), now);
    }
    struct cpu *stopped = machine_cpu(m, m->stop_cpu); /* the others have yet to stop at theirs */
    stopped->resume_over =
        m->stop_reason == STOP_BREAKPOINT && cpu_code_address(stopped) == m->stop_at;
    m->running = true;
    m->stop_reason = STOP_NONE;
    m->slice_end = 0;
    for (struct machine_listener *l = m->listeners; l; l = l->next)
        if (l->continued)
            l->continued(l->opaque);
}

static void take_stop(struct machine *m)
{
    const enum stop_reason why = (enum stop_reason)m->stop_asked;
    m->stop_asked = STOP_NONE;
    pause(m, why);
}

void machine_take_requests(struct machine *m)
{
    const int asked = __atomic_load_n(&m->exit_asked, __ATOMIC_ACQUIRE);
    if (asked != MACHINE_RUNNING) {
        m->exit = (enum machine_exit)asked;
        return;
    }
    if (m->reset_pending) {
        m->reset_pending = false;
        if (m->cfg.no_reboot) {
            if (m->cfg.no_shutdown)
                pause(m, STOP_SHUTDOWN);
            else
                m->exit = MACHINE_RESET_STOP;
            return;
        }
        pc_drain(&m->pc);
        pc_reset(&m->pc, RESET_HARD);
        turns_reset(m);
    }
    if (m->stop_asked)
        take_stop(m);
}

static void sync_point(struct machine *m)
{
    const uint64_t n = machine_icount(m);
    m->syncs++;
    host_loop_poll(&m->loop);
    if (!m->running)
        return;
    if (m->cfg.icount) {
        m->slice_end = n + FIXED_SLICE;
        return;
    }
    vclock_sync(&m->clock, n, host_clock_ns(), SLICE_NS);
    note_rate(m);
    m->slice_end = n + MAX(vclock_insns_in(&m->clock, SLICE_NS), 1000);
}

/* All CPUs wait: to the next event, or until the host brings something. */
static void idle(struct machine *m)
{
    const int64_t due = event_next_due(&m->events), now = read_clock(m);
    m->idles++;
    if (m->cfg.icount && !m->cfg.icount_sleep && due != EVENT_NEVER) {
        host_loop_poll(&m->loop);
        if (!m->running)
            return;
        vclock_jump(&m->clock, machine_icount(m), due);
        note_rate(m);
        return;
    }
    const int64_t before = host_clock_ns();
    const uint64_t n = machine_icount(m);
    int64_t wait = due == EVENT_NEVER ? EVENT_NEVER : MAX(due - now, 0);
    if (m->cfg.icount && due != EVENT_NEVER) {
        /* whatever else ends the wait, the next one goes on with this sleep */
        if (due != m->sleep.due || n != m->sleep.icount)
            m->sleep = (struct sleep){due, n, before + wait};
        wait = MAX(m->sleep.until - before, 0);
    }
    host_loop_wait(&m->loop, wait);
    const int64_t after = host_clock_ns();
    m->idle_ns += after - before;
    if (!m->running)
        return;
    if (m->cfg.icount) {
        if (due != EVENT_NEVER && after >= m->sleep.until) {
            vclock_jump(&m->clock, n, due);
            note_rate(m);
        }
        return;
    }
    vclock_jump(&m->clock, n, MIN(after - m->clock.host_start, due));
    vclock_resync(&m->clock, n, after);
    note_rate(m);
    m->slice_end = n + MAX(vclock_insns_in(&m->clock, SLICE_NS), 1000);
}

static void run_cpu(struct machine *m)
{
    struct cpu *cpu = machine_current(m);
    const uint64_t n = machine_icount(m);
    const bool step = m->stepping && m->step_cpu == m->turn.cpu;
    uint64_t end = vclock_icount(&m->clock, event_next_due(&m->events));
    end = MIN(end, m->slice_end);
    end = MIN(end, turns_end(m));
    if (step)
        end = n + 1;
    cpu_set_end(cpu, MAX(end, n + 1) - m->turn.others);
    m->in_cpu = true;
    cpu_run(cpu);
    m->in_cpu = false;
    if (step && machine_icount(m) > n)
        machine_stop(m, STOP_STEP);
}

static void run_slice(struct machine *m)
{
    event_run(&m->events, read_clock(m));
    machine_take_requests(m);
    if (!m->running || m->exit != MACHINE_RUNNING)
        return;
    if (!turns_next(m)) {
        idle(m);
        return;
    }
    if (machine_icount(m) >= m->slice_end)
        sync_point(m);
    if (m->running)
        run_cpu(m);
}

enum machine_exit machine_run(struct machine *m)
{
    if (m->threads) {
        threads_run(m);
    } else if (!m->cfg.icount) {
        /* what it took to set up is no guest time */
        m->clock.host_start += host_clock_ns() - m->clock.measured_host;
        vclock_resync(&m->clock, machine_icount(m), host_clock_ns());
        if (!m->running) /* -S */
            m->paused_at = host_clock_ns();
    }
    while (m->exit == MACHINE_RUNNING) {
        machine_take_requests(m);
        if (m->exit != MACHINE_RUNNING)
            break;
        if (m->running)
            run_slice(m);
        else
            host_loop_wait(&m->loop, EVENT_NEVER);
    }
    pc_drain(&m->pc);
    for (struct machine_listener *l = m->listeners; l; l = l->next)
        if (l->ended)
            l->ended(l->opaque, m->exit, m->exit_status);
    return m->exit;
}

int machine_exit_status(const struct machine *m)
{
    return m->exit_status;
}

/* --- requests --- */

static void wake(struct machine *m)
{
    if (m->threads)
        threads_ask(m);
    else if (!m->in_cpu) /* or it is looked at within a slice */
        host_loop_wake(&m->loop);
}

void machine_stop(struct machine *m, enum stop_reason reason)
{
    if (m->running && !m->stop_asked)
        m->stop_asked = reason;
    wake(m);
}

void machine_pause(struct machine *m)
{
    machine_stop(m, STOP_USER);
    if (m->stop_asked && !m->in_cpu)
        take_stop(m);
}

static void cont(struct machine *m, const struct cpu *only)
{
    m->stop_asked = STOP_NONE;
    m->turn.only_one = only != NULL;
    m->turn.only = only ? only->index : 0;
    resume(m);
    wake(m);
}

void machine_cont(struct machine *m)
{
    cont(m, NULL);
}

void machine_cont_alone(struct machine *m, struct cpu *cpu)
{
    cont(m, cpu);
}

void machine_step(struct machine *m, struct cpu *cpu, bool alone)
{
    cont(m, alone ? cpu : NULL);
    m->stepping = true;
    m->step_cpu = cpu->index;
    m->turn.yielded = true; /* so that the others get on, however many steps there are */
}

bool machine_running(const struct machine *m)
{
    return m->running;
}
struct cpu *machine_stop_cpu(struct machine *m)
{
    return machine_cpu(m, m->stop_cpu);
}
enum stop_reason machine_stop_reason(const struct machine *m)
{
    return m->stop_reason;
}

void machine_quit(struct machine *m, enum machine_exit why, int status)
{
    if (__atomic_load_n(&m->exit_asked, __ATOMIC_RELAXED) == MACHINE_RUNNING) {
        m->exit_status = status;
        __atomic_store_n(&m->exit_asked, why, __ATOMIC_RELEASE);
    }
    host_loop_wake(&m->loop); /* also out of a device's wait for room, within a slice */
    wake(m);
}

void machine_request_reset(struct machine *m)
{
    m->reset_pending = true;
    if (m->in_cpu)
        cpu_kick(machine_current(m));
    wake(m);
}

void machine_reset_button(struct machine *m)
{
    door_enter(&m->door, DOOR_CONTROL, "reset", 5);
    machine_request_reset(m);
}

void machine_power_button(struct machine *m)
{
    door_enter(&m->door, DOOR_CONTROL, "powerdown", 9);
    acpi_pm_power_button(m->pc.pm);
}

void machine_nmi(struct machine *m)
{
    door_enter(&m->door, DOOR_CONTROL, "nmi", 3);
    pc_nmi_button(&m->pc);
}

void machine_guest_shutdown(struct machine *m)
{
    if (m->cfg.no_shutdown)
        machine_stop(m, STOP_SHUTDOWN);
    else
        machine_quit(m, MACHINE_POWERED_OFF, 0);
    if (m->in_cpu)
        cpu_kick(machine_current(m));
}

void machine_listen(struct machine *m, struct machine_listener *l)
{
    l->next = m->listeners;
    m->listeners = l;
}

void machine_unlisten(struct machine *m, struct machine_listener *l)
{
    for (struct machine_listener **p = &m->listeners; *p; p = &(*p)->next) {
        if (*p == l) {
            *p = l->next;
            return;
        }
    }
}

/* --- parts --- */

struct cpu *machine_cpu(struct machine *m, unsigned n)
{
    return n < m->pc.cpus ? m->pc.cpu[n].cpu : NULL;
}
unsigned machine_cpus(const struct machine *m)
{
    return m->pc.cpus;
}
struct memmap *machine_memmap(struct machine *m)
{
    return &m->pc.mem;
}
struct iomap *machine_iomap(struct machine *m)
{
    return &m->pc.io;
}
struct host_loop *machine_loop(struct machine *m)
{
    return &m->loop;
}
struct door *machine_door(struct machine *m)
{
    return &m->door;
}
struct log *machine_log(struct machine *m)
{
    return m->log;
}
struct device_list *machine_devices(struct machine *m)
{
    return &m->pc.devices;
}
struct pci_bus *machine_pci(struct machine *m)
{
    return &m->pc.pci;
}
const struct vm_config *machine_config(const struct machine *m)
{
    return &m->cfg;
}
struct display_source *machine_display(struct machine *m)
{
    return m->pc.vga ? vga_display(m->pc.vga) : NULL;
}
long machine_cpu_thread(const struct machine *m, unsigned n)
{
    return threads_number(m, n);
}
struct gdbstub **machine_gdb(struct machine *m)
{
    return &m->gdb;
}
int64_t machine_time_ns(struct machine *m)
{
    return read_clock(m);
}

/* --- keys and mouse --- */

bool machine_send_key(struct machine *m, const char *qcode, bool down)
{
    const int key = ps2_key_from_name(qcode);
    if (key < 0)
        return false;
    const uint8_t entry[2] = {(uint8_t)key, down};
    door_enter(&m->door, DOOR_KEY, entry, sizeof entry);
    ps2_kbd_key(m->pc.kbd, (unsigned)key, down);
    return true;
}

static void mouse_input(struct machine *m, int dx, int dy, int dz)
{
    const int32_t entry[4] = {dx, dy, dz, (int32_t)m->mouse_buttons};
    door_enter(&m->door, DOOR_MOUSE, entry, sizeof entry);
    ps2_mouse_move(m->pc.mouse, dx, dy, dz, m->mouse_buttons);
}

void machine_mouse_move(struct machine *m, int dx, int dy, int dz)
{
    mouse_input(m, dx, dy, dz);
}

void machine_mouse_buttons(struct machine *m, unsigned buttons)
{
    m->mouse_buttons = buttons;
    mouse_input(m, 0, 0, 0);
}

const char *machine_key_nearest(struct machine *m, const char *qcode)
{
    const char *names[PS2_KEYS];
    (void)m;
    for (unsigned i = 0; i < PS2_KEYS; i++)
        names[i] = ps2_key_name((enum ps2_key)i);
    return word_nearest(qcode, names, sizeof names[0], PS2_KEYS);
}
