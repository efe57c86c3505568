/*
 * The registers of a CPU by name, each with its width: what a program outside the guest reads, and
 * how it puts a CPU into any state there is (a test case, a script). One table serves both.
 *
 * Names are lower case: "rax", "eax", "ax" (the same register in its widths), "rip", "rflags",
 * "cs" (the selector), "cs.base", "cs.limit", "cs.attr" (struct segment's), "cr0", "lstar", "st0",
 * "mm0", "xmm0", "ymm0" and so on.
 */
#ifndef VITRINE_CPU_CPU_REGS_H
#define VITRINE_CPU_CPU_REGS_H

#include "core/error.h"
#include "cpu/cpu.h"

#define CPU_REG_MAX_BYTES 32

struct cpu_reg {
    const char *name;
    uint8_t kind;  /* cpu_regs_kinds.h's */
    uint8_t bytes; /* how wide its values are */
    uint32_t at;   /* where it is in struct cpu; ST(i): i */
    uint32_t msr;  /* an MSR's number */
};

/* The table, sorted by name (strcmp). */
extern const struct cpu_reg cpu_reg_table[];
extern const size_t cpu_reg_count;

const struct cpu_reg *cpu_reg_find(const char *name); /* NULL: there is none */

/* Little-endian, reg->bytes of it. Between instructions only. */
void cpu_reg_get(const struct cpu *cpu, const struct cpu_reg *reg, uint8_t *value);

/*
 * The bits of a value that count, at any CPU and in any state: the others are ignored when the
 * register is loaded, and read as they must. Ones for all but flags, CR0, DR6, DR7 and the like.
 */
void cpu_reg_significant(const struct cpu_reg *reg, uint8_t *mask);

struct cpu_reg_value {
    const struct cpu_reg *reg;
    uint8_t value[CPU_REG_MAX_BYTES];
};

/*
 * Puts cpu into the state that these registers describe; the others are zero or as a reset leaves
 * them. False with err, which names the register, for what no CPU can hold (a reserved bit of CR4)
 * and for combinations that no CPU can be in. Of memory, only what CR3 points to in PAE paging is
 * looked at.
 *
 * Segments of which only the selector is given have the base and limits of real-address or virtual-
 * 8086 mode there; in protected mode they are null if the selector is, else "cs.attr" is needed,
 * and base and limit are 0 and FFFFFFFFh unless given. CPL is CS.RPL unless "cpl" is given.
 * EFER.LMA follows from LME and paging. Bits that a CPU ignores or holds at a value (CR0, DR6, DR7,
 * flags) are ignored.
 */
bool cpu_regs_load(struct cpu *cpu, const struct cpu_reg_value *values, size_t count,
                   struct error *err);

#endif
