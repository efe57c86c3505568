/* Delivery of interrupts and exceptions. SDM 3A §6 "Interrupt and Exception Handling". */
#ifndef VITRINE_CPU_EXCEPT_H
#define VITRINE_CPU_EXCEPT_H

#include "cpu/cpu.h"

enum event_kind {
    EVENT_HARDWARE,  /* INTR, NMI */
    EVENT_EXCEPTION, /* faults and traps the processor raised */
    EVENT_SOFTWARE,  /* INT n, INT3, INTO: gate DPL is checked */
    EVENT_ICEBP,     /* INT1: a software instruction without the DPL check */
};

/*
 * Delivers vector with cpu->rip as the return address. Faults on the way unwind; the caller has set
 * cpu->delivering so that they become #DF or shutdown. error < 0: none is pushed.
 */
void except_deliver(struct cpu *cpu, unsigned vector, enum event_kind kind, int64_t error);

/* What a fault becomes when it hits during the delivery of first: itself, #DF, or shutdown (-1). */
int except_combine(unsigned first, unsigned second);
bool except_has_error(unsigned vector);

struct desc;
enum task_reason { TASK_JMP, TASK_CALL, TASK_INT, TASK_IRET };
/* How a task is left: what goes into its TSS, and what the new one finds on its stack. */
struct task_leave {
    enum task_reason why;
    uint64_t ip, flags;
    int64_t error; /* < 0: none is pushed */
};
/* Switches to the task whose TSS descriptor (selector sel) is d; task.c. */
void task_switch(struct cpu *cpu, uint16_t sel, struct desc *d, const struct task_leave *how);
/* Reads the stack for privilege level dpl from the current TSS. */
void task_stack(struct cpu *cpu, unsigned dpl, uint16_t *ss, uint64_t *sp);
uint64_t task_stack64(struct cpu *cpu, unsigned slot);

#endif
