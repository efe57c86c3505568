/* A stack that is being built before it becomes the current one: events, gates, far calls. */
#ifndef VITRINE_CPU_FRAME_H
#define VITRINE_CPU_FRAME_H

#include "cpu/segment.h"

struct frame {
    struct segment ss;
    uint64_t sp;
    uint64_t mask;     /* of the stack size */
    bool code64;       /* no segmentation */
    unsigned tlb_mode; /* privilege the frame is written with */
    bool align;        /* the program's own stack at CPL 3 with alignment checks on */
    unsigned vector;   /* raised when it does not fit: #SS, error code below */
    uint32_t error;
};

void frame_push(struct cpu *cpu, struct frame *f, uint64_t v, unsigned size);
uint64_t frame_pop(struct cpu *cpu, struct frame *f, unsigned size);
/* The current stack as a frame. */
struct frame frame_current(struct cpu *cpu);
/* A frame on ss:sp for privilege level cpl outside 64-bit mode. */
struct frame frame_on(struct cpu *cpu, const struct segment *ss, uint64_t sp, unsigned cpl);
/* TLB mode of an implicit access on behalf of privilege level cpl. */
unsigned frame_tlb_mode(unsigned cpl);

#endif
