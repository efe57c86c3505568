/*
 * The registers as gdb sees them, numbered in the order of the target description. One table gives
 * the description, the "g" packet and single registers. Always the 64-bit file.
 */
#ifndef VITRINE_DEBUG_GDB_REGS_H
#define VITRINE_DEBUG_GDB_REGS_H

#include "cpu/cpu.h"

#define GDB_REG_MAX_BYTES 16

unsigned gdb_reg_count(void);
const char *gdb_reg_name(unsigned n);

/* Register n, little-endian; returns its bytes, 0 if there is none of that number. */
unsigned gdb_reg_read(const struct cpu *cpu, unsigned n, uint8_t buf[GDB_REG_MAX_BYTES]);

/*
 * Sets register n. False if there is none, or for a change that would need checks only an
 * instruction makes: a selector in protected mode, CR0, CR4, EFER.
 */
bool gdb_reg_write(struct cpu *cpu, unsigned n, const uint8_t *buf);

/* The target description, to be freed. NULL: out of memory. */
char *gdb_target_xml(void);

#endif
