/*
 * The monitor's commands, apart from where they are typed: a console (monitor.c), or gdb's
 * "monitor" command (gdbstub.c). Each is one row of a table.
 */
#ifndef VITRINE_DEBUG_MONITOR_CMD_H
#define VITRINE_DEBUG_MONITOR_CMD_H

#include "debug/disas.h"
#include "machine.h"

struct key_queue;

/* One who gives commands: where answers go, and what is remembered between commands. */
struct mon {
    struct machine *machine;
    void (*write)(void *opaque, const char *text, size_t len); /* lines end in \n */
    void *opaque;
    unsigned cpu;        /* the one that info, x and p speak of */
    char format;         /* of the last x or xp: d, u, o, x, c, i */
    unsigned unit;       /* its size in bytes */
    struct disas *disas; /* made at first use */
    enum disas_syntax syntax;
    struct key_queue *keys; /* made at first use */
    bool by_gdb;            /* this is gdb's "monitor" */
};

struct mon_command {
    const char *name, *alias; /* name first, for word_nearest; alias may be NULL */
    const char *args, *help;
    void (*run)(struct mon *mon, char *args);
};

void mon_init(struct mon *mon, struct machine *m, void (*write)(void *, const char *, size_t),
              void *opaque);
void mon_release(struct mon *mon);

/* Runs one command line. Whatever is wrong with it is answered in one line. */
void mon_execute(struct mon *mon, const char *line);

/* The tables, for completion. info: what follows "info". */
const struct mon_command *mon_commands(size_t *count);
const struct mon_command *mon_info_commands(size_t *count);

/* For commands. */
void mon_printf(struct mon *mon, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void mon_line(void *mon, const char *line); /* a line callback whose opaque is the struct mon */
struct cpu *mon_cpu(struct mon *mon);
/* One of QEMU's commands ("info network") that Vitrine has not? Says so. */
bool mon_lacking(struct mon *mon, const char *name);
/* The next blank-separated word (or "quoted one") of *args, which moves on; NULL: none left. */
char *mon_word(char **args);
/* True when nothing is left of args; else says so. */
bool mon_no_more(struct mon *mon, char *args);
/* The next word as an expression (blanks inside brackets belong to it), or all that is left of
 * args; says what is wrong, or that what is missing. */
bool mon_number(struct mon *mon, char **args, const char *what, uint64_t *value);
bool mon_rest(struct mon *mon, char *args, const char *what, uint64_t *value);

/* monitor_expr.c: numbers, 'c', $register, + - * / % & | ^ ~ and brackets. *text moves behind it.
 */
bool mon_expression(struct mon *mon, const char **text, uint64_t *value);

/* monitor_mem.c. The disassembler is made at first use; NULL: there is none, which was said. */
struct disas *mon_disas(struct mon *mon);
void mon_cmd_x(struct mon *mon, char *args);
void mon_cmd_xp(struct mon *mon, char *args);
void mon_cmd_print(struct mon *mon, char *args);
void mon_cmd_in(struct mon *mon, char *args);
void mon_cmd_out(struct mon *mon, char *args);
void mon_cmd_memsave(struct mon *mon, char *args);
void mon_cmd_pmemsave(struct mon *mon, char *args);
void mon_cmd_sum(struct mon *mon, char *args);

/* monitor_info.c */
void mon_cmd_info(struct mon *mon, char *args);

/* monitor_media.c */
void mon_info_block(struct mon *mon, char *args);
void mon_cmd_eject(struct mon *mon, char *args);
void mon_cmd_change(struct mon *mon, char *args);

/* monitor_keys.c: sendkey holds a-b-c for ms of host time, one sendkey after the other. */
void mon_cmd_sendkey(struct mon *mon, char *args);
void mon_cmd_mouse_move(struct mon *mon, char *args);
void mon_cmd_mouse_button(struct mon *mon, char *args);
void mon_keys_release(struct mon *mon);

#endif
