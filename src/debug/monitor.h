/*
 * The monitor: commands in the words of QEMU's, on a character back-end with line editing. Its
 * prompt is "(vitrine) ". Lines end in CR LF, as terminals in raw mode want them.
 */
#ifndef VITRINE_DEBUG_MONITOR_H
#define VITRINE_DEBUG_MONITOR_H

#include "machine.h"

struct monitor;

/* Attaches to chr, which stays its owner's. NULL: out of memory. To be destroyed before m. */
struct monitor *monitor_create(struct machine *m, struct chr *chr);
void monitor_destroy(struct monitor *mon);

#endif
