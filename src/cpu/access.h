/*
 * Guest memory as instructions see it. Two steps: ea_*() turns a memory operand into a linear
 * address with every segment check; load/store go through the TLB. Everything may fault, and then
 * does not return; cpu->cur must be set before (OP() in exec.h does).
 *
 * An access that crosses pages checks both before it writes either.
 */
#ifndef VITRINE_CPU_ACCESS_H
#define VITRINE_CPU_ACCESS_H

#include "cpu/cpu.h"
#include "cpu/decode.h"

enum access {
    ACC_R = 1,
    ACC_W = 2,
    ACC_RW = 3,
};

/*
 * Linear address of [off, off+size) in segment s after the checks of SDM 3A §5.3-5.5: canonical in
 * 64-bit mode, else null, type, limit; then alignment (#AC). size 0: no limit check beyond off.
 */
gla_t seg_linear(struct cpu *cpu, unsigned s, uint64_t off, unsigned size, enum access acc);

/* The offset of u's memory operand in its segment (what LEA gives), wrapped to the address size. */
static inline uint64_t ea_offset(const struct cpu *cpu, const struct insn *u)
{
    const uint64_t ea = cpu->r[u->base] + (cpu->r[u->xindex] << u->scale) + (uint64_t)u->disp;
    return u->asize == 8 ? ea : u->asize == 4 ? (uint32_t)ea : (uint16_t)ea;
}

/* Linear address of u's memory operand of size bytes. */
static inline gla_t ea_linear(struct cpu *cpu, const struct insn *u, unsigned size, enum access acc)
{
    return seg_linear(cpu, u->seg, ea_offset(cpu, u), size, acc);
}
/*
 * Two values one behind the other (far pointers, pseudo-descriptors, bounds): limits for both at
 * once, alignment of each for itself. at: their linear addresses.
 */
void ea_pair(struct cpu *cpu, const struct insn *u, unsigned first, unsigned second,
             enum access acc, gla_t at[2]);
/* Reads a far pointer, offset first. */
void ea_load_far(struct cpu *cpu, const struct insn *u, uint16_t *sel, uint64_t *offset);
/* #AC for an operand at lin; an address that is not canonical comes first (SDM 3A table 6-2). */
_Noreturn void alignment_fault(struct cpu *cpu, gla_t lin);
/* #GP(0) for an FXSAVE area that is not aligned, after the same check: #SS through rSP or rBP. SSE
 * operands and XSAVE areas are looked at the other way round (seen on AMD family 1Ah). */
_Noreturn void misaligned_fault(struct cpu *cpu, gla_t lin, enum fault_reason why);

/* The same as ea_linear(), and #GP(0) unless it is aligned to size (16, 32, 64): SSE operands. */
gla_t ea_aligned(struct cpu *cpu, const struct insn *u, unsigned size, enum access acc);

/* Slow halves: TLB miss, page crossing, I/O, traced pages. */
uint64_t load_slow(struct cpu *cpu, gla_t lin, unsigned size, unsigned tlb_mode);
void store_slow(struct cpu *cpu, gla_t lin, uint64_t v, unsigned size, unsigned tlb_mode);
/* Host pointer if [lin, lin+size) can be read and written in place (RAM, one page, untraced), else
 * NULL with the rights checked as for a write; the caller then uses load and store. */
void *rmw_slow(struct cpu *cpu, gla_t lin, unsigned size);

/*
 * A locked operation of size bytes at lin. Begins: the rights of a write are checked, and comes
 * back where the operand is, for atomic operations of the host; or NULL, and until the end nobody
 * else runs, so that load_n() and store_n() will do (I/O, two pages, not aligned, watched).
 */
void *lock_slow(struct cpu *cpu, gla_t lin, unsigned size);
void lock_end_slow(struct cpu *cpu, const void *host, unsigned size);

static inline void *lock_begin(struct cpu *cpu, gla_t lin, unsigned size)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, size) && !(lin & (size - 1))))
        return (void *)(uintptr_t)(lin + h->addend);
    return lock_slow(cpu, lin, size);
}
static inline void lock_end(struct cpu *cpu, const void *host, unsigned size)
{
    if (unlikely(!host || cpu->locked_traced != RAM_NONE))
        lock_end_slow(cpu, host, size);
}

/*
 * Fills the TLB's line for an access to [lin, lin+size) that missed it, as the access would. False:
 * it would not hit now, and has to be made, as there is more to it (a fault, two pages, a device, a
 * trace, a watchpoint). once: also true if it would not, but the half to read does, and this one
 * store may go there, beside code of its page. General registers only, for the translator.
 */
bool access_fill(struct cpu *cpu, gla_t lin, unsigned size, bool write, bool once);

static inline unsigned tlb_mode_of(const struct cpu *cpu)
{
    return (unsigned)(cpu->tlb_cur - cpu->tlb);
}

#define DEFINE_ACCESS(bits)                                                      \
    static inline uint##bits##_t load##bits(struct cpu *cpu, gla_t lin)          \
    {                                                                            \
        const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].rd;       \
        if (likely(tlb_hit(h, lin, bits / 8))) {                                 \
            uint##bits##_t v;                                                    \
            memcpy(&v, (const void *)(uintptr_t)(lin + h->addend), sizeof v);    \
            return v;                                                            \
        }                                                                        \
        return (uint##bits##_t)load_slow(cpu, lin, bits / 8, tlb_mode_of(cpu));  \
    }                                                                            \
    static inline void store##bits(struct cpu *cpu, gla_t lin, uint##bits##_t v) \
    {                                                                            \
        const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;       \
        if (likely(tlb_hit(h, lin, bits / 8)))                                   \
            memcpy((void *)(uintptr_t)(lin + h->addend), &v, sizeof v);          \
        else                                                                     \
            store_slow(cpu, lin, v, bits / 8, tlb_mode_of(cpu));                 \
    }
DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)
#undef DEFINE_ACCESS

static inline uint64_t load_n(struct cpu *cpu, gla_t lin, unsigned size)
{
    switch (size) {
    case 1:
        return load8(cpu, lin);
    case 2:
        return load16(cpu, lin);
    case 4:
        return load32(cpu, lin);
    default:
        return load64(cpu, lin);
    }
}
static inline void store_n(struct cpu *cpu, gla_t lin, uint64_t v, unsigned size)
{
    switch (size) {
    case 1:
        store8(cpu, lin, (uint8_t)v);
        break;
    case 2:
        store16(cpu, lin, (uint16_t)v);
        break;
    case 4:
        store32(cpu, lin, (uint32_t)v);
        break;
    default:
        store64(cpu, lin, v);
        break;
    }
}

/* Longer operands (10, 16, 32, 64, 512... bytes); a store writes nothing if any part faults. */
void load_bytes(struct cpu *cpu, gla_t lin, void *buf, size_t n);
void store_bytes(struct cpu *cpu, gla_t lin, const void *buf, size_t n);
/* Faults if [lin, lin+n) could not be written (or read) now. */
/* Where a byte that can be read lies; RAM_NONE: in no host memory. */
ram_t linear_ram(struct cpu *cpu, gla_t lin);
void probe(struct cpu *cpu, gla_t lin, size_t n, enum access acc);

static inline void load128(struct cpu *cpu, gla_t lin, void *buf)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].rd;
    if (likely(tlb_hit(h, lin, 16)))
        memcpy(buf, (const void *)(uintptr_t)(lin + h->addend), 16);
    else
        load_bytes(cpu, lin, buf, 16);
}
static inline void store128(struct cpu *cpu, gla_t lin, const void *buf)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, 16)))
        memcpy((void *)(uintptr_t)(lin + h->addend), buf, 16);
    else
        store_bytes(cpu, lin, buf, 16);
}

static inline void load256(struct cpu *cpu, gla_t lin, void *buf)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].rd;
    if (likely(tlb_hit(h, lin, 32)))
        memcpy(buf, (const void *)(uintptr_t)(lin + h->addend), 32);
    else
        load_bytes(cpu, lin, buf, 32);
}
static inline void store256(struct cpu *cpu, gla_t lin, const void *buf)
{
    const struct tlb_half *h = &cpu->tlb_cur->line[tlb_index(lin)].wr;
    if (likely(tlb_hit(h, lin, 32)))
        memcpy((void *)(uintptr_t)(lin + h->addend), buf, 32);
    else
        store_bytes(cpu, lin, buf, 32);
}

/* Implicit supervisor accesses: descriptor tables, TSS, frames pushed by the processor. */
uint64_t sys_load(struct cpu *cpu, gla_t lin, unsigned size);
void sys_store(struct cpu *cpu, gla_t lin, uint64_t v, unsigned size);
/* Sets and clears bits of a dword in one locked operation (SDM 3A §8.1.2.1 "Automatic Locking").
 * Returns what it was before. */
uint32_t sys_lock_bits(struct cpu *cpu, gla_t lin, uint32_t set, uint32_t clear);
/* Faults as a store of a byte would. */
void sys_probe_store(struct cpu *cpu, gla_t lin);

#endif
