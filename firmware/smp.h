/* The processors; 32-bit code. post.h has the calls of POST. */
#ifndef FIRMWARE_SMP_H
#define FIRMWARE_SMP_H

#include <stdint.h>

/* Their local APIC IDs, the boot processor's first. */
#define MAX_CPUS 255
extern uint8_t cpu_apic_id[MAX_CPUS];
unsigned cpu_count(void);

/* CPUID.1: EAX and EDX, of the boot processor. */
uint32_t cpu_signature(void);
uint32_t cpu_features(void);

#endif
