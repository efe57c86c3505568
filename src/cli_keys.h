/* The options that carry keys of their own ("-drive file=a,if=ide"): a part of cli.c. */
#ifndef VITRINE_CLI_KEYS_H
#define VITRINE_CLI_KEYS_H

#include "cli_rows.h"

bool cli_accel(struct cli_parse *p, const char *arg);
bool cli_action(struct cli_parse *p, const char *arg);
bool cli_audiodev(struct cli_parse *p, const char *arg);
bool cli_boot(struct cli_parse *p, const char *arg);
bool cli_chardev(struct cli_parse *p, const char *arg);
bool cli_device(struct cli_parse *p, const char *arg);
bool cli_display(struct cli_parse *p, const char *arg);
bool cli_drive(struct cli_parse *p, const char *arg);
bool cli_fw_cfg(struct cli_parse *p, const char *arg);
bool cli_global(struct cli_parse *p, const char *arg);
bool cli_icount(struct cli_parse *p, const char *arg);
bool cli_machine(struct cli_parse *p, const char *arg);
bool cli_memory(struct cli_parse *p, const char *arg);
bool cli_mon(struct cli_parse *p, const char *arg);
bool cli_name(struct cli_parse *p, const char *arg);
bool cli_msg(struct cli_parse *p, const char *arg);
bool cli_overcommit(struct cli_parse *p, const char *arg);
bool cli_rtc(struct cli_parse *p, const char *arg);
bool cli_smp(struct cli_parse *p, const char *arg);

/* A further drive at index (-1: next free). */
bool cli_add_drive(struct cli_parse *p, const char *file, enum drive_if bus, int index, bool cdrom);
/* -device help */
void cli_device_help(void (*line)(void *, const char *), void *opaque);

/* -chardev help */
void cli_chardev_help(void (*line)(void *, const char *), void *opaque);

/* "chardev:ID" in *spec becomes what that -chardev says; serial ports before monitors. */
bool cli_resolve_chardev(struct cli_parse *p, enum chardev_user user, char **spec);
/* Says which of them nobody has. */
bool cli_chardevs_done(struct cli_parse *p);
bool cli_add_monitor(struct cli_parse *p, const char *spec);
/* Says what -rtc clock= came to, once all are read. */
bool cli_rtc_done(struct cli_parse *p);
/* Says what -accel came to, once all are read. */
bool cli_accel_done(struct cli_parse *p);

#endif
