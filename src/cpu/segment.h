/*
 * Descriptors and segment registers: fetching, checking in the manual's order, loading.
 * SDM 3A §3.4 "Logical and Linear Addresses", §5 "Protection".
 */
#ifndef VITRINE_CPU_SEGMENT_H
#define VITRINE_CPU_SEGMENT_H

#include "cpu/access.h"

struct desc {
    uint32_t lo, hi;
    uint64_t upper; /* second half of a 16-byte descriptor (gates, LDT, TSS in IA-32e mode) */
    gla_t at;       /* where it lies */
};

/* System descriptor types, SDM 3A table 3-2. */
enum {
    TYPE_TSS16 = 1,
    TYPE_LDT = 2,
    TYPE_TSS16_BUSY = 3,
    TYPE_CALL16 = 4,
    TYPE_TASK_GATE = 5,
    TYPE_INT16 = 6,
    TYPE_TRAP16 = 7,
    TYPE_TSS32 = 9,
    TYPE_TSS32_BUSY = 11,
    TYPE_CALL32 = 12,
    TYPE_INT32 = 14,
    TYPE_TRAP32 = 15,
};

static inline uint32_t desc_attr(const struct desc *d)
{
    return (d->hi >> 8) & 0xf0ff;
}
static inline unsigned desc_type(const struct desc *d)
{
    return (d->hi >> 8) & 0xf;
}
static inline unsigned desc_dpl(const struct desc *d)
{
    return (d->hi >> 13) & 3;
}
static inline bool desc_is_segment(const struct desc *d)
{
    return desc_attr(d) & ATTR_S;
}
static inline bool desc_is_code(const struct desc *d)
{
    return (desc_attr(d) & (ATTR_S | ATTR_CODE)) == (ATTR_S | ATTR_CODE);
}
static inline bool desc_conforming(const struct desc *d)
{
    return desc_attr(d) & ATTR_EC;
}
static inline bool desc_present(const struct desc *d)
{
    return desc_attr(d) & ATTR_P;
}
static inline bool sel_null(uint16_t sel)
{
    return (sel & 0xfffc) == 0;
}

/* Fetches the descriptor of a non-null selector; false with the reason when it lies beyond its
 * table. */
bool desc_fetch(struct cpu *cpu, uint16_t sel, struct desc *d, enum fault_reason *why);
/* The same, raising vector(sel) on failure. */
void desc_fetch_or(struct cpu *cpu, uint16_t sel, struct desc *d, unsigned vector);
/* Reads the upper half of a 16-byte system descriptor already fetched. */
bool desc_fetch_upper(struct cpu *cpu, uint16_t sel, struct desc *d);
/* Raises vector with the selector as error code. */
_Noreturn void sel_fault(struct cpu *cpu, unsigned vector, uint16_t sel, enum fault_reason why);

/* The hidden part that d gives. */
static inline struct segment desc_segment(uint16_t sel, const struct desc *d)
{
    struct segment s = {.sel = sel, .attr = desc_attr(d)};
    s.base = d->lo >> 16 | (d->hi & 0xff) << 16 | (d->hi & 0xff000000);
    s.base |= d->upper << 32;
    s.limit = (d->lo & 0xffff) | (d->hi & 0xf0000);
    if (s.attr & ATTR_G)
        s.limit = s.limit << 12 | 0xfff;
    return s;
}
/* What SYSCALL and its like load, from no descriptor: all of memory. */
static inline struct segment segment_flat(uint16_t sel, uint32_t attr)
{
    return (struct segment){.sel = sel,
                            .limit = 0xffffffff,
                            .attr = attr | ATTR_S | ATTR_P | ATTR_G | ATTR_A | ATTR_RW};
}
#define SYSRET_FLAGS UINT32_C(0x003c7fd7) /* those that SYSRET loads: SDM 2B "SYSRET" */
void desc_set_accessed(struct cpu *cpu, struct desc *d);
/* The same for a segment about to be loaded from d. May fault: before anything else changes. */
void segment_mark(struct cpu *cpu, struct segment *g, struct desc *d);
/* Returns what it was before. */
bool desc_set_busy(struct cpu *cpu, gla_t at, bool busy);

/* MOV, POP, LDS...: any segment register but CS, in the current mode, with every check. */
void segment_load(struct cpu *cpu, unsigned s, uint16_t sel);
/* Real and virtual-8086 mode: base = selector * 16; virtual-8086 also sets limit and rights. */
void segment_load_real(struct cpu *cpu, unsigned s, uint16_t sel);
void segment_load_vm86(struct cpu *cpu, unsigned s, uint16_t sel);
void segment_set_null(struct cpu *cpu, unsigned s, uint16_t sel);
/* Puts seg in place; the caller has made all checks. Calls cpu_update_mode(). */
void segment_set(struct cpu *cpu, unsigned s, const struct segment *seg);
/*
 * A stack segment for privilege level dpl: the checks of MOV SS with vector instead of #GP.
 */
struct segment segment_check_stack(struct cpu *cpu, uint16_t sel, unsigned dpl, unsigned vector,
                                   struct desc *d);
/* Data segments that an outer level may not use are made null (RET, IRET). */
void segment_drop_inner(struct cpu *cpu, unsigned cpl);
/* [off, last] within the limit of g. */
bool segment_limit_ok(const struct segment *g, uint64_t off, uint64_t last);

void segment_set_cpl(struct cpu *cpu, unsigned cpl);

#endif
