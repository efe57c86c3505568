/*
 * The life of one machine: create, run, pause, reset, destroy; and what watchers (monitor, gdb
 * stub, tests) may ask of it. No globals: many machines live in one process, each on its thread.
 * All functions are for the machine's thread unless they say otherwise.
 */
#ifndef VITRINE_MACHINE_H
#define VITRINE_MACHINE_H

#include "config.h"
#include "core/device.h"
#include "core/door.h"
#include "core/log.h"
#include "host/chr.h"
#include "host/display.h"
#include "host/loop.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"

struct machine;
struct cpu;
struct gdbstub;

enum machine_exit {
    MACHINE_RUNNING,
    MACHINE_POWERED_OFF, /* the guest turned itself off, or "quit": exit status 0 */
    MACHINE_RESET_STOP,  /* a reset under -no-reboot: exit status 0 as QEMU's */
    MACHINE_DEBUG_EXIT,  /* isa-debug-exit: status in machine_exit_status() */
    MACHINE_KILLED,      /* SIGINT/SIGTERM/SIGHUP */
};

/* Why the machine is (or just was) stopped; for the monitor and the gdb stub. */
enum stop_reason {
    STOP_NONE,
    STOP_USER, /* stop, -S, Ctrl-C in gdb */
    STOP_BREAKPOINT,
    STOP_WATCHPOINT,
    STOP_STEP,
    STOP_SHUTDOWN, /* -no-shutdown, or a reset under -no-reboot -no-shutdown */
};

/* Wires everything; files are opened here. NULL and err on failure. log may be shared by no other.
 */
struct machine *machine_create(const struct vm_config *cfg, struct log *log, struct error *err);
/* Flushes and frees. False with err when guest data could not be written, without when that is
 * true of a character device's output: its line is in the log. */
bool machine_destroy(struct machine *m, struct error *err);

/* Runs (guest and host loop) until the machine ends. */
enum machine_exit machine_run(struct machine *m);
int machine_exit_status(const struct machine *m);

/* Parts, for watchers. */
struct cpu *machine_cpu(struct machine *m, unsigned n);
unsigned machine_cpus(const struct machine *m);
struct memmap *machine_memmap(struct machine *m);
struct iomap *machine_iomap(struct machine *m);
struct host_loop *machine_loop(struct machine *m);
struct door *machine_door(struct machine *m);
struct log *machine_log(struct machine *m);
struct device_list *machine_devices(struct machine *m);
struct pci_bus *machine_pci(struct machine *m);
const struct vm_config *machine_config(const struct machine *m);
struct display_source *machine_display(struct machine *m); /* NULL: -vga none */
/* The back-end opened for a config spec; the mux lets serial and monitor share mon:stdio. */
struct chr *machine_chr_open(struct machine *m, const char *label, const char *spec,
                             struct error *err);
/* Closes what machine_chr_open() gave before machine_destroy() does it for all of them. */
void machine_chr_close(struct machine *m, struct chr *chr);
/* The host's number of the thread that CPU n runs on. */
long machine_cpu_thread(const struct machine *m, unsigned n);
/* Where the watchers keep the machine's gdb stub (debug/gdbstub.h). */
struct gdbstub **machine_gdb(struct machine *m);
int64_t machine_time_ns(struct machine *m);

/* Asked for by people or by devices; take effect between instructions. */
void machine_stop(struct machine *m, enum stop_reason reason); /* safe from a signal handler too */
void machine_pause(struct machine *m); /* STOP_USER, at once: from the host loop only */
void machine_cont(struct machine *m);
void machine_cont_alone(struct machine *m, struct cpu *cpu); /* the other CPUs stand still */
bool machine_running(const struct machine *m);
enum stop_reason machine_stop_reason(const struct machine *m);
struct cpu *machine_stop_cpu(struct machine *m); /* the one that executed last before the stop */
void machine_quit(struct machine *m, enum machine_exit why,
                  int status); /* any thread, signals too */
void machine_request_reset(struct machine *m);
void machine_reset_button(struct machine *m); /* the same, by a person */
void machine_power_button(struct machine *m);
void machine_nmi(struct machine *m); /* the NMI button */
/* The guest powered off (S5) or triple-faulted: -no-shutdown and -no-reboot are applied. */
void machine_guest_shutdown(struct machine *m);

/* Called whenever the machine goes from running to stopped or back. */
struct machine_listener {
    void (*stopped)(void *opaque, enum stop_reason reason);
    void (*continued)(void *opaque);
    void (*ended)(void *opaque, enum machine_exit why, int status);
    void *opaque;
    struct machine_listener *next;
};
void machine_listen(struct machine *m, struct machine_listener *l);
void machine_unlisten(struct machine *m, struct machine_listener *l);

/* Input, entering through the door. qcode names as QEMU's ("a", "ret", "ctrl"). False: unknown. */
bool machine_send_key(struct machine *m, const char *qcode, bool down);
/* dx to the right, dy down, dz of the wheel towards the user. */
void machine_mouse_move(struct machine *m, int dx, int dy, int dz);
/* All that are down now: bit 0 left, 1 right, 2 middle, 3 and 4 those at the side. */
void machine_mouse_buttons(struct machine *m, unsigned buttons);
/* qcode itself if there is such a key, else the known name nearest to it (core/words.h), or NULL.
 */
const char *machine_key_nearest(struct machine *m, const char *qcode);

/* Drives, and what is in those that can be opened (machine_media.c). */
struct machine_drive {
    char name[CONFIG_DRIVE_NAME];
    const struct config_drive *cfg;
    const char *file; /* NULL: nothing in it */
    bool readonly;
    const char *floppy; /* the kind of floppy drive, "1.44M"; NULL: no floppy drive */
    bool locked, tray_open;
};
/* Drive n of the configuration, from 0 on; false: there are not so many. */
bool machine_drive(struct machine *m, unsigned n, struct machine_drive *drive);
/*
 * Takes the medium out; one that the guest has locked only by force: without, the guest is told
 * that somebody wants it. False with err. Enters through the door, as all changes do.
 */
bool machine_eject(struct machine *m, const char *name, bool force, struct error *err);
/*
 * Puts the image at path in, in place of what is there. On failure that stays; when path is what is
 * there and that cannot be opened again, the drive is empty and err says so. readonly: "retain",
 * "read-only", "read-write".
 */
bool machine_change(struct machine *m, const char *name, const char *path, const char *format,
                    const char *readonly, bool force, struct error *err);

/*
 * Guest memory as a debugger sees it: linear through the current paging of that CPU without
 * setting A or D and ignoring permissions, or physical. I/O regions are not touched. Number of
 * bytes done.
 */
size_t machine_read_linear(struct machine *m, struct cpu *cpu, gla_t at, void *buf, size_t len);
size_t machine_write_linear(struct machine *m, struct cpu *cpu, gla_t at, const void *buf,
                            size_t len);
size_t machine_read_physical(struct machine *m, gpa_t at, void *buf, size_t len);
size_t machine_write_physical(struct machine *m, gpa_t at, const void *buf, size_t len);

/* A port of size bytes, 1, 2 or 4, as the guest would access it. Enters through the door. */
uint32_t machine_read_port(struct machine *m, uint16_t port, unsigned size);
void machine_write_port(struct machine *m, uint16_t port, uint32_t value, unsigned size);

/* Breakpoints on linear addresses of instructions; watchpoints on linear data; of every CPU. */
enum watch_kind { WATCH_WRITE = 1, WATCH_READ = 2, WATCH_ACCESS = 3 };
bool machine_breakpoint(struct machine *m, gla_t at, bool insert);
bool machine_watchpoint(struct machine *m, gla_t at, uint64_t len, enum watch_kind kind,
                        bool insert);
gla_t machine_watch_hit(const struct machine *m); /* address of the last watchpoint hit */
/*
 * Runs one instruction of that CPU and stops with STOP_STEP. Unless alone is set each of the others
 * may run before that, so that a loop of steps does not wait for them in vain.
 */
void machine_step(struct machine *m, struct cpu *cpu, bool alone);

/* Statistics for -accel ...,stats=on and "info stats": one line each. */
/* The part of it that is about the translator, and the host memory in use. */
void machine_print_jit(struct machine *m, void (*line)(void *, const char *), void *opaque);
void machine_print_stats(struct machine *m, void (*line)(void *, const char *), void *opaque);

#endif
