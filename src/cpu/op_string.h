/* What REP loops share: counting, stepping, and finding runs in host memory (op_string.c). */
#ifndef VITRINE_CPU_OP_STRING_H
#define VITRINE_CPU_OP_STRING_H

#include "cpu/op_int.h"

struct string_op {
    unsigned size; /* of an element */
    uint64_t mask; /* of the address size */
    int64_t step;  /* size, negative with DF */
    bool rep;
    uint64_t left; /* iterations to go */
    uint64_t done;
};

void string_begin(struct string_op *s, struct cpu *cpu, const struct insn *u);
uint64_t string_allowed(const struct string_op *s, const struct cpu *cpu);
void string_advance(struct string_op *s, struct cpu *cpu, unsigned reg, uint64_t n);
void string_count(struct string_op *s, struct cpu *cpu, uint64_t n);
/* Goes on behind u, or at u again when iterations are left and stop is false. */
const struct insn *string_end(struct string_op *s, struct cpu *cpu, const struct insn *u,
                              bool stop);
gla_t string_linear(struct string_op *s, struct cpu *cpu, unsigned seg, unsigned reg,
                    enum access acc);
uint64_t string_run(const struct string_op *s, const struct cpu *cpu, unsigned seg, unsigned reg,
                    gla_t lin, uint64_t want);
/* Host memory of [lin, lin+bytes), NULL if it is not plain memory on one page. May fault. */
const uint8_t *string_read_host(struct cpu *cpu, gla_t lin, uint64_t bytes);
uint8_t *string_write_host(struct cpu *cpu, gla_t lin, uint64_t bytes);
unsigned string_dest_seg(const struct cpu *cpu);

#endif
