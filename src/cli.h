/*
 * The command line, in QEMU's spellings, into a struct vm_config. Every option is one row of one
 * table (cli.c), which drives parsing, -h and the suggestion for a misspelt one. What Vitrine has
 * is taken; a harmless hint is taken with a word; what it lacks is refused in one line: nothing is
 * ignored silently.
 */
#ifndef VITRINE_CLI_H
#define VITRINE_CLI_H

#include "config.h"

enum cli_outcome {
    CLI_RUN,   /* cfg is complete and checked */
    CLI_DONE,  /* -h, -version, "-cpu help": what was asked for has been printed */
    CLI_ERROR, /* err says why, in one line */
};

/* Where words for the user go; lines without newline. */
struct cli_io {
    void (*out)(void *opaque, const char *line);  /* what was asked for: help */
    void (*note)(void *opaque, const char *line); /* a word on an option taken as a hint */
    void *opaque;
    const char *version;
    /* "-cpu help" is answered by who knows the models (a floor above); may be NULL. */
    void (*cpu_help)(void (*line)(void *, const char *), void *opaque);
    /* Can there be a window when nobody says what to show? err: why not. May be NULL: no. */
    bool (*window_possible)(struct error *err);
};

/* argv[0] is the program's name. cfg is initialised here and to be freed by the caller always. */
enum cli_outcome cli_parse(struct vm_config *cfg, int argc, char *const *argv,
                           const struct cli_io *io, struct error *err);

#endif
