/*
 * The border between POST (32-bit) and the 16-bit code.
 *
 * A service is a 16-bit function that POST may call: declared here, defined with SERVICE in 16-bit
 * code, called with call_service() from 32-bit code.
 */
#ifndef FIRMWARE_POST16_H
#define FIRMWARE_POST16_H

#include "mode.h"
#include "regs.h"

typedef uint32_t service_fn(uint32_t argument);

service_fn put_char_service;

#define call_int  MODE_FN(call_int)
#define call_far  MODE_FN(call_far)
#define call_iret MODE_FN(call_iret)

/*
 * Calls 16-bit code with these registers and takes its back; interrupts are off after. call_int
 * goes through the vector table; call_iret to r->cs:r->ip as INT does; call_far to something that
 * returns by RETF, with interrupts on if r->flags says so. For 32-bit code this is a visit to real
 * mode, and r lies below 64 KiB as all on POST's stack does.
 */
void call_int(uint8_t vector, struct bregs *r);
void call_iret(struct bregs *r);
void call_far(struct bregs *r);

#ifdef MODE16

/* Waits for the next interrupt, with interrupts on; they are off again after. */
void wait_irq(void);

#else

/* Runs a 16-bit function of ours; interrupts are off unless it enables them. */
uint32_t call_service(service_fn *fn, uint32_t argument);

#endif

#endif
