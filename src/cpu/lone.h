/*
 * A CPU alone: memory from address 0 on, ports that nobody answers at, and no other device. For
 * running single instructions in a state of one's own making: test sets, experiments.
 */
#ifndef VITRINE_CPU_LONE_H
#define VITRINE_CPU_LONE_H

#include "core/error.h"
#include "cpu/cpu.h"

struct lone;

/* model: as -cpu. NULL and err on failure. */
struct lone *lone_create(const char *model, uint64_t ram_bytes, struct error *err);
void lone_destroy(struct lone *l);

struct cpu *lone_cpu(struct lone *l); /* cpu/cpu_regs.h says what is in it, and changes that */

/* Physical memory. False, and nothing done, beyond its end. */
bool lone_write(struct lone *l, gpa_t at, const void *bytes, size_t len);
bool lone_read(const struct lone *l, gpa_t at, void *bytes, size_t len);
/* As the CPU would read it, without rights and traces; the number of bytes. */
size_t lone_read_linear(struct lone *l, gla_t at, void *bytes, size_t len);
void lone_set_a20(struct lone *l, bool open);

/*
 * Executes count instructions: a REP with all of its iterations is one, and so is an instruction
 * that ends with an exception or interrupt delivered. Ends early when the CPU halts or shuts down.
 */
void lone_step(struct lone *l, uint64_t count);

/* What lone_step() last met: the first exception, which others may have followed on its delivery.
 */
struct lone_exception {
    bool taken;
    struct fault first;
    bool shutdown; /* it could not be delivered, nor could a double fault */
};
struct lone_exception lone_exception(const struct lone *l);

#endif
