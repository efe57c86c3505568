/*
 * Why the CPU raised an exception, told to people: which check failed, with what it looked at - the
 * descriptor, the segment, the page walk level by level - and where the rule is written. For
 * "info fault" and -d int.
 */
#ifndef VITRINE_DEBUG_EXPLAIN_H
#define VITRINE_DEBUG_EXPLAIN_H

#include "cpu/cpu.h"
#include "debug/disas.h"

struct explain_out {
    void (*line)(void *opaque, const char *text);
    void *opaque;
    struct disas *disas; /* NULL: bytes only */
};

/* Number n (from 0) of those that cpu has raised, if it is still known. */
const struct fault_record *explain_find(const struct cpu *cpu, uint64_t n);

/* One line: "#12 #GP(0028) at 0010:... : words". */
void explain_title(const struct fault_record *r, char *text, size_t size);

/* All of it. Page tables are read as they stand now, and where they changed since it says so. */
void explain_fault(const struct cpu *cpu, const struct fault_record *r,
                   const struct explain_out *out);

/* explain_walk.c: the page walk of r, level by level. */
void explain_walk(const struct cpu *cpu, const struct fault_record *r,
                  const struct explain_out *out);
/* explain_table.c: the entry of a descriptor table that the error code names; a segment register.
 */
void explain_table(const struct fault_record *r, const struct explain_out *out);
void explain_segment(const struct fault_record *r, const struct explain_out *out);

void explain_line(const struct explain_out *out, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
