/*
 * Pushing and popping in every stack size. The pointer moves only after the access succeeded.
 * SDM 1 §6.2.3 "Address-Size Attributes for Stack".
 */
#ifndef VITRINE_CPU_STACK_H
#define VITRINE_CPU_STACK_H

#include "cpu/access.h"
#include "cpu/exec.h"

static inline unsigned stack_size(const struct cpu *cpu)
{
    return cpu_code64(cpu) ? 8 : cpu->mode & MODE_SS32 ? 4 : 2;
}
static inline uint64_t stack_mask(const struct cpu *cpu)
{
    return size_mask(stack_size(cpu));
}
/* rSP as the stack size sees it, and its update, which leaves the bits above alone. */
static inline uint64_t stack_pointer(const struct cpu *cpu)
{
    return cpu->r[REG_RSP] & stack_mask(cpu);
}
static inline void stack_set(struct cpu *cpu, uint64_t sp)
{
    reg_write(cpu, REG_RSP, sp, stack_size(cpu));
}
static inline gla_t stack_linear(struct cpu *cpu, uint64_t sp, unsigned size, enum access acc)
{
    return seg_linear(cpu, SEG_SS, sp & stack_mask(cpu), size, acc);
}

static inline void push_n(struct cpu *cpu, uint64_t v, unsigned size)
{
    const uint64_t sp = (stack_pointer(cpu) - size) & stack_mask(cpu);
    store_n(cpu, stack_linear(cpu, sp, size, ACC_W), v, size);
    stack_set(cpu, sp);
}
/* The value at rSP + skip, not popped yet. */
static inline uint64_t stack_peek(struct cpu *cpu, uint64_t skip, unsigned size)
{
    return load_n(cpu, stack_linear(cpu, stack_pointer(cpu) + skip, size, ACC_R), size);
}
static inline uint64_t pop_n(struct cpu *cpu, unsigned size)
{
    const uint64_t v = stack_peek(cpu, 0, size);
    stack_set(cpu, stack_pointer(cpu) + size);
    return v;
}

#endif
