/* Read-modify-writes that are atomic towards other CPUs. */
#ifndef VITRINE_CPU_OP_ATOMIC_H
#define VITRINE_CPU_OP_ATOMIC_H

#include "cpu/op_int.h"

/* What becomes of an operand that held old; sets the flags. May be asked again with another old. */
typedef uint64_t change_fn(struct cpu *cpu, const struct insn *u, uint64_t old);

/* Changes size bytes (up to 8) at lin, atomically. What was there. */
uint64_t locked_change(struct cpu *cpu, const struct insn *u, gla_t lin, unsigned size,
                       change_fn *change);

/* Whether u is of the ALU group under LOCK: op_locked_alu executes it. */
bool locked_alu(const struct insn *u);
insn_fn op_locked_alu;

#endif
