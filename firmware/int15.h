/* The parts of INT 15h, by file. Each is given the frame when AH (or AX) is its own. */
#ifndef FIRMWARE_INT15_H
#define FIRMWARE_INT15_H

#include "regs.h"

#include <stdbool.h>

/* memory.c: 24h A20, 87h block move, 88h and E8h sizes and map */
void a20_service(struct bregs *r);
void block_move(struct bregs *r);
void extended_memory(struct bregs *r);
void memory_map(struct bregs *r);

/* By what it does to addresses. Interrupts off, real mode. memory.c */
bool a20_off(void);

/* wait.c: 83h, 86h; pointer.c: C2h; apm.c: 53h */
void event_wait(struct bregs *r);
void pointer_service(struct bregs *r);
void wait_service(struct bregs *r);
void apm_service(struct bregs *r);

/* What a service that is not there answers. */
static inline void unsupported(struct bregs *r)
{
    r->ah = 0x86;
    set_flag(r, FLAG_CF, 1);
}

#endif
