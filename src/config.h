/*
 * What to build and how to run it: the outcome of the command line (cli.c), the input of
 * machine_create(). Strings are owned by the config and freed by vm_config_free().
 */
#ifndef VITRINE_CONFIG_H
#define VITRINE_CONFIG_H

#include "core/error.h"
#include "core/topology.h"
#include "core/types.h"

#define CONFIG_MAX_CPUS    255 /* and local APIC IDs below it: what xAPIC mode has room for */
#define CONFIG_MAX_DRIVES  16
#define CONFIG_MAX_IDE     4
#define CONFIG_MAX_SERIAL  4
#define CONFIG_MAX_DEVICES 32
#define CONFIG_MAX_KEYS    16
#define CONFIG_MAX_FWCFG   16
#define CONFIG_MAX_DIRS    8

enum drive_if { DRIVE_IDE, DRIVE_NONE };

struct config_drive {
    char *file, *format, *id;
    enum drive_if bus;
    int index;     /* IDE: 0..3 = hda..hdd; -1 = next free until vm_config_check() settled it */
    int bootindex; /* place in the firmware's boot order, -1 = none asked for */
    bool cdrom, snapshot, readonly;
};

/* -device NAME,key=value,... that the board understands: numbers have been checked */
struct config_device {
    char *name; /* "isa-debug-exit" */
    char *key[CONFIG_MAX_KEYS], *value[CONFIG_MAX_KEYS];
    unsigned count;
};

enum rtc_base { RTC_UTC, RTC_LOCALTIME, RTC_DATE };
enum accel { ACCEL_FASTEST, ACCEL_INTERP };

struct vm_config {
    const char *version; /* of this program, for those who ask; not owned */
    uint64_t ram_bytes;              /* -m, default 128 MiB as QEMU's */
    unsigned smp;                    /* -smp, at most CONFIG_MAX_CPUS */
    struct cpu_topology topology;    /* -smp sockets=,cores=,threads= */
    enum accel accel;                /* -accel: tcg means the fastest engine there is */
    char *name;                      /* -name, NULL = none */
    char *process_name;              /* -name ...,process=, NULL = as started */
    bool debug_threads;              /* -name ...,debug-threads=on */
    char *cpu;                       /* -cpu, default "max" */
    char *machine;                   /* -machine/-M: "pc" */
    char *bios;                      /* -bios, NULL = the default firmware */
    char *data_dir[CONFIG_MAX_DIRS]; /* -L, where firmware files are looked for first */
    unsigned data_dirs;
    char *vga; /* -vga: "std", "none" */
    char *kernel, *initrd, *append;
    char *boot_order; /* -boot order=, e.g. "c"; NULL = the firmware's own */
    bool boot_menu, boot_strict;
    int boot_menu_ms; /* -boot splash-time=: how long the menu waits; -1 = not given */
    int boot_fail_ms; /* -boot reboot-timeout=: when nothing boots; -1 = not given */
    bool no_acpi;     /* -no-acpi: no ACPI tables */
    bool uuid_set;    /* -uuid, for SMBIOS */
    uint8_t uuid[16]; /* in the order it is written */
    struct config_drive drive[CONFIG_MAX_DRIVES];
    unsigned drives;
    char *serial[CONFIG_MAX_SERIAL]; /* chr specs; NULL = none */
    unsigned serials;
    char *monitor; /* chr spec of -monitor; NULL = none */
    char *
        mux_monitor; /* a serial port's "mon:..." spec whose other face is a monitor; NULL = none */
    char *debugcon;  /* chr spec for port E9h (and 402h), NULL = none */
    uint16_t debugcon_port; /* E9h unless a command line moved it */
    char *gdb;              /* chr spec; NULL = none */
    struct config_device device[CONFIG_MAX_DEVICES];
    unsigned devices;
    struct {
        char *name, *file, *string;
    } fw_cfg[CONFIG_MAX_FWCFG];
    unsigned fw_cfgs;

    bool nographic;
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

    bool stats;        /* -accel ...,stats=on */
    uint32_t log_mask; /* -d, core/log.h */
    char *log_file;    /* -D */
    char *pidfile;     /* -pidfile */
};

void vm_config_init(struct vm_config *cfg); /* the defaults */
void vm_config_free(struct vm_config *cfg);

/*
 * What no single option can know: a drive without a file, two drives in one place, -append
 * without -kernel. Attaches -device ide-hd to its drive and settles every IDE drive's index.
 */
bool vm_config_check(struct vm_config *cfg, struct error *err);

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
