/*
 * The local APIC of one CPU, which it knows only by four lines. The CPU in turn asks
 *   lapic_pending()  before each instruction at which it may take an interrupt (the INTR line says
 *                    when the answer changed), and
 *   lapic_accept()   when it takes one: the interrupt acknowledge cycle;
 * moves CR8 through lapic_get_tpr/lapic_set_tpr and IA32_APIC_BASE through lapic_get_base/
 * lapic_set_base. CPUID.1:EDX.APIC follows bit 11 of the latter; CPUID.1:EBX[31:24] is lapic_id().
 */
#ifndef VITRINE_DEVICES_LAPIC_H
#define VITRINE_DEVICES_LAPIC_H

#include "core/device.h"
#include "devices/apic_bus.h"
#include "mmu/memmap.h"

struct lapic;

/* IA32_APIC_BASE, SDM 3A §11.4.4 "Local APIC Status and Location". */
#define APIC_BASE_BSP    BIT(8)
#define APIC_BASE_EXTD   BIT(10)
#define APIC_BASE_ENABLE BIT(11)

/* The timer's input clock: guest nanoseconds (for CPUID.15H and whoever calibrates). */
#define LAPIC_TIMER_HZ 1000000000

/* lapic_accept(): the vector is to be fetched from the 8259. */
#define LAPIC_EXTINT (-1)

/* Levels on the SIPI line: this bit and the vector, for as long as the call lasts. */
#define LAPIC_SIPI_VECTOR 0x100

struct lapic_config {
    struct apic_bus *bus;
    struct event_queue *queue;
    struct memmap *mem; /* where the register page appears */
    struct log *log;
    uint32_t id; /* the initial APIC ID; in xAPIC mode its low 8 bits */
    bool bsp;
    bool has_x2apic, has_tsc_deadline; /* as CPUID says */
    bool absent; /* a CPU from before there were any: it is as one that is disabled for good */
    struct irq_line intr; /* level: something can be accepted */
    struct irq_line nmi;  /* pulsed */
    struct irq_line init; /* pulsed */
    struct irq_line sipi; /* level LAPIC_SIPI_VECTOR | vector, then 0 */
};

/* Puts itself on cfg->bus. */
struct lapic *lapic_create(struct device_list *devices, const struct lapic_config *cfg);

uint32_t lapic_id(const struct lapic *l);

/* Interrupts for the CPU. accept returns a vector, or LAPIC_EXTINT; spurious if nothing is left. */
bool lapic_pending(const struct lapic *l);
int lapic_accept(struct lapic *l);

/* CR8: the task priority class, 0 to 15. */
unsigned lapic_get_tpr(const struct lapic *l);
void lapic_set_tpr(struct lapic *l, unsigned cr8);

/* IA32_APIC_BASE. False if the value is refused (#GP): reserved bits, a step between modes. */
uint64_t lapic_get_base(const struct lapic *l);
bool lapic_set_base(struct lapic *l, uint64_t value);

/* x2APIC mode: MSRs 800h to 8FFh. False: #GP. */
bool lapic_msr(struct lapic *l, bool write, uint32_t msr, uint64_t *value);

/* IA32_TSC_DEADLINE; due_ns: the guest time that tsc stands for. Ignored in other timer modes. */
uint64_t lapic_get_tsc_deadline(const struct lapic *l);
void lapic_set_tsc_deadline(struct lapic *l, uint64_t tsc, int64_t due_ns);

/* The pins LINT0 (INTR of the 8259 pair) and LINT1 (NMI): an irq_line's set, pin 0 or 1. */
void lapic_set_lint(void *opaque, unsigned pin, int level);

/* The CPU's INIT# pin was pulsed: the registers go to their reset values, the ID stays. */
void lapic_init_pin(struct lapic *l);

/* For apic_bus.c. */
bool lapic_addressed(const struct lapic *l, const struct apic_message *msg);
bool lapic_software_enabled(const struct lapic *l);
unsigned lapic_processor_priority(const struct lapic *l);
bool lapic_receive(struct lapic *l, const struct apic_message *msg);

/* Whether its registers appear at this page of memory. */
bool lapic_answers(const struct lapic *l, gpa_t page);

/* For "info lapic". */
void lapic_print(const struct lapic *l, void (*line)(void *, const char *), void *opaque);

#endif
