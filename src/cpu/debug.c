/* See debug.h. DR7: L and G bits 0-7, then a type and a length for each (SDM 3B figure 17-1). */
#include "cpu/debug.h"

enum { DR_EXECUTE, DR_WRITE, DR_IO, DR_ACCESS };

static bool enabled(const struct cpu *cpu, unsigned i)
{
    return (cpu->dr7 >> (i * 2)) & 3;
}
static unsigned type_of(const struct cpu *cpu, unsigned i)
{
    return (cpu->dr7 >> (16 + i * 4)) & 3;
}
static unsigned length_of(const struct cpu *cpu, unsigned i)
{
    static const uint8_t length[] = {1, 2, 8, 4};
    return length[(cpu->dr7 >> (18 + i * 4)) & 3];
}
static bool overlaps(gla_t a, uint64_t an, gla_t b, uint64_t bn)
{
    return a - b < bn || b - a < an; /* the last page ends where the first begins */
}

bool debug_page_watched(const struct cpu *cpu, gla_t page)
{
    for (unsigned i = 0; i < 4; i++) {
        const unsigned t = type_of(cpu, i);
        if (enabled(cpu, i) && (t == DR_WRITE || t == DR_ACCESS) &&
            overlaps(cpu->dr[i], length_of(cpu, i), page, PAGE_SIZE))
            return true;
    }
    for (unsigned i = 0; i < cpu->watchpoints; i++)
        if (overlaps(cpu->watch[i].at, cpu->watch[i].len, page, PAGE_SIZE))
            return true;
    return false;
}

static void note(struct cpu *cpu)
{
    cpu_set_event(cpu, EV_DEBUG);
    cpu_stop_after_current(cpu);
}

void debug_access_watched(struct cpu *cpu, gla_t lin, size_t size, enum access acc)
{
    for (unsigned i = 0; i < 4; i++) {
        const unsigned t = type_of(cpu, i);
        const bool kind = t == DR_ACCESS || (t == DR_WRITE && (acc & ACC_W));
        const unsigned n = length_of(cpu, i);
        if (enabled(cpu, i) && kind && overlaps(cpu->dr[i] & ~(uint64_t)(n - 1), n, lin, size)) {
            cpu->pending_dr6 |= BIT(i);
            note(cpu);
        }
    }
    for (unsigned i = 0; i < cpu->watchpoints; i++) {
        const struct cpu_watch *w = &cpu->watch[i];
        const bool kind = ((w->kind & 1) && (acc & ACC_W)) || ((w->kind & 2) && (acc & ACC_R));
        if (kind && overlaps(w->at, w->len, lin, size)) {
            cpu->watch_hit = true;
            cpu->watch_at = MAX(lin, w->at); /* within it: gdb asks */
            note(cpu);
        }
    }
}

uint32_t debug_code_match(const struct cpu *cpu, gla_t lin)
{
    uint32_t hit = 0;
    for (unsigned i = 0; i < 4; i++)
        if (enabled(cpu, i) && type_of(cpu, i) == DR_EXECUTE && cpu->dr[i] == lin)
            hit |= BIT(i);
    return hit;
}

void debug_io(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!(cpu->cr4 & CR4_DE))
        return;
    for (unsigned i = 0; i < 4; i++) {
        const unsigned n = length_of(cpu, i);
        if (enabled(cpu, i) && type_of(cpu, i) == DR_IO &&
            overlaps(cpu->dr[i] & ~(uint64_t)(n - 1), n, port, size)) {
            cpu->pending_dr6 |= BIT(i);
            note(cpu);
        }
    }
}

void debug_changed(struct cpu *cpu)
{
    cpu_flush_tlb(cpu);
}
