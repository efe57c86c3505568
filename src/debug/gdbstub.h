/*
 * gdb's remote protocol on a character back-end: "target remote". The register file is always the
 * 64-bit one, whatever mode the CPU is in. A gdb that connects stops the machine, one that
 * detaches lets it go on. gdb's "monitor" gives commands to Vitrine's monitor.
 */
#ifndef VITRINE_DEBUG_GDBSTUB_H
#define VITRINE_DEBUG_GDBSTUB_H

#include "machine.h"

struct gdbstub;

/* Attaches to chr, which stays its owner's. NULL: out of memory. To be destroyed before m. */
struct gdbstub *gdbstub_create(struct machine *m, struct chr *chr);
void gdbstub_destroy(struct gdbstub *g); /* NULL is fine */

/*
 * The machine's one stub, on a back-end of its own: -gdb and the monitor's "gdbserver" both mean
 * this one. A socket is a server's that waits for nobody, unless device says otherwise; what was
 * there before is closed first. False and err on failure.
 */
bool gdbserver_start(struct machine *m, const char *device, struct error *err);
void gdbserver_stop(struct machine *m);

#endif
