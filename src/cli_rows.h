/*
 * What options with keys are made of: tables of rows, each a key, a kind, and where its value goes.
 * A key no row knows is an error with the nearest known spelling. A part of cli.c.
 */
#ifndef VITRINE_CLI_ROWS_H
#define VITRINE_CLI_ROWS_H

#include "config.h"
#include "core/words.h"

#define CLI_MAX_CHARDEVS 16

/* A -chardev, and who named it. */
enum chardev_user { CHARDEV_SERIAL, CHARDEV_MONITOR, CHARDEV_OTHER, CHARDEV_USERS };
struct cli_chardev_entry {
    char *id, *spec;
    bool mux, users[CHARDEV_USERS];
};

/* One run over a command line. */
struct cli_parse {
    struct vm_config *cfg;
    struct error *err;
    char option[32]; /* as in the table: "-drive" */
    void (*out)(void *opaque, const char *line);
    bool helped; /* the keys of an option were asked for, and listed */
    void (*note)(void *opaque, const char *line);
    void *note_opaque;

    bool serial_given, parallel_given, monitor_given, display_given, nodefaults;
    bool cdrom_given, floppy_given; /* by -device: no empty one is added */
    bool vga_device, seed_given, icount_auto;
    char rtc_clock[8];    /* -rtc clock=, other than vm */
    char for_machine[32]; /* the first option that -cpu-test has no use for */
    bool accel_given, accel_found;
    char accel_refused[32];
    struct cli_chardev_entry chardev[CLI_MAX_CHARDEVS];
    unsigned chardevs;
};

/* One line to the user: "-option: ..." */
void cli_note(struct cli_parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets the error "-option: ...". Always false. */
bool cli_fail(struct cli_parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

enum key_kind {
    KEY_STR,  /* char * at offset */
    KEY_BOOL, /* bool at offset */
    KEY_INT,  /* int at offset, not negative */
    KEY_ONLY, /* one of the words in text, "a|b"; the value is kept nowhere */
    KEY_HINT, /* taken with a word */
    KEY_LACK, /* refused: text says why */
    KEY_CALL, /* text: what help calls the value */
};

struct key_row {
    const char *name; /* first, for word_nearest */
    enum key_kind kind;
    size_t offset;
    const char *text;
    bool (*call)(struct cli_parse *p, void *target, const char *value);
};

bool cli_apply_int(struct cli_parse *p, const char *key, const char *value, int *slot);
bool cli_apply_row(struct cli_parse *p, const struct key_row *row, const char *value, void *target);
bool cli_apply_key(struct cli_parse *p, const struct key_row *rows, size_t n, const char *key,
                   const char *value, void *target);
/* ",help" among the pairs: lists the keys and is done. */
bool cli_help_asked(struct cli_parse *p, const struct key_row *rows, size_t n,
                    const struct word_pairs *pairs);
bool cli_apply_pairs(struct cli_parse *p, const struct key_row *rows, size_t n,
                     const struct word_pairs *pairs, void *target);
/* Splits arg, applies its keys to target. */
bool cli_apply(struct cli_parse *p, const struct key_row *rows, size_t n, const char *arg,
               const char *implied, void *target);

#endif
