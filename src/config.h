/*
 * What to build and how to run it: the outcome of the command line (cli.c), the input of
 * machine_create(). Strings are owned by the config and freed by vm_config_free().
 */
#ifndef VITRINE_CONFIG_H
#define VITRINE_CONFIG_H

#include "core/error.h"
#include "core/topology.h"
#include "core/types.h"

#define CONFIG_MAX_CPUS      255 /* and local APIC IDs below it: what xAPIC mode has room for */
#define CONFIG_MAX_DRIVES    16
#define CONFIG_MAX_IDE       4
#define CONFIG_MAX_FLOPPY    2
#define CONFIG_MAX_SERIAL    4
#define CONFIG_MAX_DEVICES   32
#define CONFIG_MAX_KEYS      16
#define CONFIG_MAX_FWCFG     16
#define CONFIG_MAX_DIRS      8
#define CONFIG_MAX_CONSOLES  4
#define CONFIG_MAX_MONITORS  4
#define CONFIG_MAX_CPU_TESTS 1024

enum drive_if { DRIVE_IDE, DRIVE_FLOPPY, DRIVE_NONE };

struct config_drive {
    char *file; /* NULL: a CD-ROM or floppy drive with nothing in it */
    char *format, *id;
    enum drive_if bus;
    int index;     /* IDE: 0..3 = hda..hdd, floppy: 0..1; -1 = next free until vm_config_check() */
    int floppy_kb; /* floppy: the drive, 360, 720, 1200, 1440, 2880; 0 = as the image wants it */
    int bootindex; /* place in the firmware's boot order, -1 = none asked for */
    bool cdrom, snapshot, readonly;
};

/* isa-debug-exit where nothing is said: QEMU's. */
#define CONFIG_EXIT_IOBASE 0x501
#define CONFIG_EXIT_IOSIZE 2

/* -device NAME,key=value,... that the board understands: numbers have been checked */
struct config_device {
    char *name; /* "isa-debug-exit" */
    char *key[CONFIG_MAX_KEYS], *value[CONFIG_MAX_KEYS];
    unsigned count;
};

enum config_display { SHOW_NOTHING, SHOW_SDL };
/* What -display sdl,grab-mod= names: the keys beside G, F and so on. */
enum config_grab { GRAB_CTRL_ALT, GRAB_SHIFT_CTRL_ALT, GRAB_RIGHT_CTRL };

enum config_audio_driver { AUDIO_NONE, AUDIO_SDL, AUDIO_WAV };

struct config_audio {
    char *id;
    enum config_audio_driver driver;
    char *path;       /* wav */
    uint32_t rate_hz; /* samples a second */
};
#define CONFIG_MAX_AUDIO 4
#define CONFIG_AUDIO_HZ  48000

enum rtc_base { RTC_UTC, RTC_LOCALTIME, RTC_DATE };
enum accel { ACCEL_FASTEST, ACCEL_INTERP, ACCEL_JIT };
enum thread_mode { THREAD_DEFAULT, THREAD_SINGLE, THREAD_MULTI };

struct vm_config {
    const char *version;             /* of this program, for those who ask; not owned */
    uint64_t ram_bytes;              /* -m, default 128 MiB as QEMU's */
    unsigned smp;                    /* -smp, at most CONFIG_MAX_CPUS */
    struct cpu_topology topology;    /* -smp sockets=,cores=,threads= */
    enum accel accel;                /* -accel: tcg means the fastest engine there is */
    enum thread_mode thread;         /* thread=: CPUs take turns on one thread, or have their own */
    bool jit_chain;                  /* chain=: blocks go on at the next one without the loop */
    bool jit_indirect;               /* indirect=: so do indirect branches */
    bool jit_events;                 /* events=: system calls and returns without leaving */
    bool jit_find;                   /* find=: indirect branches without the handler, if known */
    bool jit_share;                  /* share=: one look-up for accesses near each other */
    bool jit_fill;                   /* fill=: TLB misses without the handler of what missed */
    bool jit_x87;                    /* x87=: x87 and MMX on the host's unit */
    bool jit_perfmap;                /* -perfmap: /tmp/perf-PID.map names translated code */
    bool shadow;                     /* shadow=: what is known outlives flushes of the TLB */
    bool jit_verify;                 /* -accel jit,verify=on: lockstep with the interpreter */
    int jit_threshold;               /* -accel jit,threshold=: entries before translation */
    char *name;                      /* -name, NULL = none */
    char *process_name;              /* -name ...,process=, NULL = as started */
    bool debug_threads;              /* -name ...,debug-threads=on */
    char *cpu;                       /* -cpu, default "max" */
    char *machine;                   /* -machine/-M: "pc" */
    char *bios;                      /* -bios, NULL = the default firmware */
    char *data_dir[CONFIG_MAX_DIRS]; /* -L, where firmware files are looked for first */
    unsigned data_dirs;
    char *vga;     /* -vga: "std", "none" */
    char *vga_rom; /* -device VGA,romfile=: NULL = our own, "" = none */
    char *kernel, *initrd, *append;
    char *boot_order; /* -boot order=, e.g. "c"; NULL = the firmware's own */
    char *boot_once;  /* -boot once=: until the first reset */
    bool boot_menu, boot_strict;
    bool no_fd_bootchk; /* -no-fd-bootchk: floppy disks boot without the signature */
    int boot_menu_ms;   /* -boot splash-time=: how long the menu waits; -1 = not given */
    int boot_fail_ms;   /* -boot reboot-timeout=: when nothing boots; -1 = not given */
    bool no_acpi;       /* -no-acpi: no ACPI tables */
    bool no_hpet;       /* -no-hpet: no high precision event timers */
    bool uuid_set;      /* -uuid, for SMBIOS */
    uint8_t uuid[16];   /* in the order it is written */
    struct config_drive drive[CONFIG_MAX_DRIVES];
    unsigned drives;
    bool default_cdrom, default_floppy; /* an empty drive where hdc, the first floppy would be */
    char *serial[CONFIG_MAX_SERIAL];    /* chr specs; NULL = none */
    unsigned serials;
    char *parallel;                     /* chr spec of the printer port, NULL = none */
    char *monitor[CONFIG_MAX_MONITORS]; /* chr specs of -monitor and -mon */
    unsigned monitors;
    char *
        mux_monitor; /* a serial port's "mon:..." spec whose other face is a monitor; NULL = none */
    char *debugcon;  /* chr spec for port E9h (and 402h), NULL = none */
    uint16_t debugcon_port; /* E9h unless a command line moved it */
    struct {
        char *spec; /* chr spec */
        uint16_t port;
    } console[CONFIG_MAX_CONSOLES]; /* -device isa-debugcon: further ports of that kind */
    unsigned consoles;
    char *gdb; /* as gdbserver_start() takes it; NULL = none */
    struct config_device device[CONFIG_MAX_DEVICES];
    unsigned devices;
    struct {
        char *name, *file, *string;
    } fw_cfg[CONFIG_MAX_FWCFG];
    unsigned fw_cfgs;

    bool nographic, no_graphics; /* -nographic; -machine graphics=off */
    enum config_display display;
    struct {
        bool full_screen, no_close; /* -full-screen; window-close=off */
        enum config_grab grab_mod;
    } window;
    struct config_audio audio[CONFIG_MAX_AUDIO];
    unsigned audios;
    char *pcspk_audio; /* -machine pcspk-audiodev=: the id of one of them; NULL: none asked for */

    bool no_reboot, no_shutdown;
    bool start_paused; /* -S */
    bool snapshot;     /* -snapshot: every drive */

    bool icount; /* deterministic: fixed rate of 2^icount_shift ns an instruction */
    unsigned icount_shift;
    bool icount_sleep; /* sleep=on: pace against the host; off: HLT jumps (default here: off) */
    uint64_t seed;     /* -seed N: entropy of deterministic runs */
    enum rtc_base rtc_base;
    int64_t rtc_date; /* RTC_DATE: seconds since 1970 UTC */
    bool rtc_set;     /* -rtc was given */

    char *cpu_test[CONFIG_MAX_CPU_TESTS]; /* -cpu-test: run these, and no machine */
    unsigned cpu_tests;

    bool stats;        /* -accel ...,stats=on */
    uint32_t log_mask; /* -d, core/log.h */
    char *log_file;    /* -D */
    char *pidfile;     /* -pidfile */
};

void vm_config_init(struct vm_config *cfg); /* the defaults */
void vm_config_free(struct vm_config *cfg);

/*
 * What no single option can know: a drive without a file, two drives in one place, -append
 * without -kernel. Attaches -device ide-hd, ide-cd and floppy to their drives, settles the index of
 * every drive and adds the empty ones.
 */
bool vm_config_check(struct vm_config *cfg, struct error *err);

/* The -audiodev of that id, or NULL. */
const struct config_audio *config_audio_find(const struct vm_config *cfg, const char *id);

/* What the monitor calls a drive: its id, or QEMU's "ide1-cd0", "floppy0". */
#define CONFIG_DRIVE_NAME 64
void config_drive_name(const struct config_drive *d, char name[CONFIG_DRIVE_NAME]);
/* Can what is in it be changed? */
static inline bool config_drive_removable(const struct config_drive *d)
{
    return d->cdrom || d->bus == DRIVE_FLOPPY;
}

/* What -d and the monitor's "log" know, ended by a NULL name. mask 0: accepted, nothing to do. */
struct config_log_item {
    const char *name;
    uint32_t mask;
    const char *help;
};
extern const struct config_log_item config_log_items[];

/* "int,exec" to a mask. */
bool config_log_mask(const char *items, uint32_t *mask, struct error *err);

#endif
