/*
 * What to build and how to run it: the outcome of the command line (cli.c), the input of
 * machine_create(). Strings are owned by the config and freed by vm_config_free().
 */
#ifndef VITRINE_CONFIG_H
#define VITRINE_CONFIG_H

#include "core/error.h"
#include "core/types.h"

#define CONFIG_MAX_DRIVES  16
#define CONFIG_MAX_SERIAL  4
#define CONFIG_MAX_DEVICES 32
#define CONFIG_MAX_FWCFG   16

enum drive_if { DRIVE_IDE, DRIVE_NONE };

struct config_drive {
    char *file, *format, *id;
    enum drive_if bus;
    int index;    /* IDE: 0..3 = hda..hdd; -1 = next free */
    bool cdrom, snapshot, readonly;
};

/* -device NAME,key=value,... that the board or the machine understands */
struct config_device {
    char *name;                 /* "isa-debug-exit", "ide-hd" */
    char *key[16], *value[16];
    unsigned count;
};

enum rtc_base { RTC_UTC, RTC_LOCALTIME, RTC_DATE };

struct vm_config {
    uint64_t ram_bytes;         /* -m, default 128 MiB as QEMU's */
    unsigned smp;               /* -smp, 1 for now */
    char *name;                 /* -name */
    bool debug_threads;         /* -name ...,debug-threads=on */
    char *cpu;                  /* -cpu, default "max" */
    char *machine;              /* -machine/-M: "pc" */
    char *bios;                 /* -bios, NULL = the default firmware */
    char *vga;                  /* -vga: "std", "none" */
    char *kernel, *initrd, *append;
    char *boot_order;           /* -boot order=, e.g. "c" */
    bool boot_menu, boot_strict;
    struct config_drive drive[CONFIG_MAX_DRIVES];
    unsigned drives;
    char *serial[CONFIG_MAX_SERIAL]; /* chr specs; NULL = none */
    unsigned serials;
    char *monitor;              /* chr spec; NULL = none */
    char *debugcon;             /* chr spec for port E9h (and 402h), NULL = none */
    char *gdb;                  /* chr spec; NULL = none */
    struct config_device device[CONFIG_MAX_DEVICES];
    unsigned devices;
    struct { char *name, *file, *string; } fw_cfg[CONFIG_MAX_FWCFG];
    unsigned fw_cfgs;

    bool nographic;
    bool no_reboot, no_shutdown;
    bool start_paused;          /* -S */
    bool snapshot;              /* -snapshot: every drive */

    bool icount;                /* deterministic: fixed rate of 2^icount_shift ns an instruction */
    unsigned icount_shift;
    bool icount_sleep;          /* sleep=on: pace against the host; off: HLT jumps (default here: off) */
    uint64_t seed;              /* -seed N: entropy of deterministic runs */
    enum rtc_base rtc_base;
    int64_t rtc_date;           /* RTC_DATE: seconds since 1970 UTC */
    bool rtc_set;               /* -rtc was given */

    bool stats;                 /* -accel ...,stats=on */
    uint32_t log_mask;          /* -d, core/log.h */
    char *log_file;             /* -D */
};

void vm_config_init(struct vm_config *cfg); /* the defaults */
void vm_config_free(struct vm_config *cfg);
/* What no single option can know: e.g. a drive without a file. */
bool vm_config_check(struct vm_config *cfg, struct error *err);

#endif
