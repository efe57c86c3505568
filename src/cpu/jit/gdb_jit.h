/* Translated code for a debugger of this process: symbols, and how to unwind through it. */
#ifndef VITRINE_CPU_JIT_GDB_JIT_H
#define VITRINE_CPU_JIT_GDB_JIT_H

#include "cpu/jit/jit.h"

struct gdb_image;

/* Once the common code is there. NULL: there is not enough memory, and nothing is registered. */
struct gdb_image *gdb_jit_register(const struct jit *j);
void gdb_jit_forget(struct gdb_image *g);

#endif
