/* What -d in_asm, cpu_reset and int put in the log: code, registers, explained faults as text. */
#ifndef VITRINE_DEBUG_TRACE_H
#define VITRINE_DEBUG_TRACE_H

#include "machine.h"

struct trace;

/* Hangs the writers on the CPUs of m. NULL: out of memory. To be destroyed before m. */
struct trace *trace_create(struct machine *m);
void trace_destroy(struct trace *t);

#endif
