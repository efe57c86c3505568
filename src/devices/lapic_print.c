/* The text of "info lapic". */
#include "devices/lapic_internal.h"

#include <stdio.h>

static const char *mode_name(unsigned mode)
{
    static const char *const names[8] = {"Fixed", "LowPri", "SMI",  "?3",
                                         "NMI",   "INIT",   "SIPI", "ExtINT"};
    return names[mode & 7];
}

static void print_lvt(const struct lapic *l, enum lvt n, void (*line)(void *, const char *),
                      void *opaque)
{
    static const char *const names[LVTS] = {"LVTT", "LVTTHMR", "LVTPC", "LVT0", "LVT1", "LVTERR"};
    const uint32_t entry = l->lvt[n];
    char text[120];
    snprintf(text, sizeof text, "%-8s 0x%08x %-6s vec %3u %s%s%s%s", names[n], entry,
             mode_name(n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : lvt_mode(entry)),
             entry & LVT_VECTOR, entry & LVT_LEVEL ? "level" : "edge",
             entry & LVT_MASKED ? " masked" : "", entry & LVT_REMOTE_IRR ? " remote-irr" : "",
             n != LVT_TIMER         ? ""
             : entry & LVT_DEADLINE ? " tsc-deadline"
             : entry & LVT_PERIODIC ? " periodic"
                                    : " one-shot");
    line(opaque, text);
}

static void print_vectors(const char *what, const struct bitmap256 *b, const struct bitmap256 *tmr,
                          void (*line)(void *, const char *), void *opaque)
{
    char text[1400];
    int n = snprintf(text, sizeof text, "%-8s", what);
    for (unsigned v = 0; v < 256; v++)
        if (bit_test(b, (uint8_t)v))
            n += snprintf(text + n, sizeof text - (size_t)n, " %u%s", v,
                          bit_test(tmr, (uint8_t)v) ? "L" : "");
    if (n == 8)
        snprintf(text + n, sizeof text - (size_t)n, " (none)");
    line(opaque, text);
}

void lapic_print(const struct lapic *l, void (*line)(void *, const char *), void *opaque)
{
    char text[160];
    const char *mode = !lapic_globally_enabled(l) ? " (disabled)"
                       : lapic_x2apic(l)          ? " x2APIC"
                                                  : "";
    snprintf(text, sizeof text, "%s: id %u, base 0x%llx%s%s", l->name,
             lapic_x2apic(l) ? l->cfg.id : l->id, (unsigned long long)(l->base & PAGE_MASK), mode,
             l->base & APIC_BASE_BSP ? " BSP" : "");
    line(opaque, text);
    for (unsigned n = 0; n < LVTS; n++)
        print_lvt(l, (enum lvt)n, line, opaque);
    snprintf(text, sizeof text, "TIMER    DCR=0x%x (divide by %u) initial %u current %u",
             l->timer_divide, 1u << lapic_timer_shift(l), l->timer_initial, lapic_timer_count(l));
    line(opaque, text);
    snprintf(text, sizeof text, "SPIV     0x%08x APIC %s, spurious vec %u", l->svr,
             l->svr & SVR_ENABLE ? "enabled" : "disabled", l->svr & LVT_VECTOR);
    line(opaque, text);
    snprintf(text, sizeof text, "ICR      0x%08x %s, dest 0x%02x", l->icr_low,
             mode_name((unsigned)bits(l->icr_low, 10, 8)),
             lapic_x2apic(l) ? l->icr_high : l->icr_high >> 24);
    line(opaque, text);
    snprintf(text, sizeof text, "ESR      0x%08x pending 0x%08x", l->esr, l->esr_pending);
    line(opaque, text);
    print_vectors("ISR", &l->isr, &l->tmr, line, opaque);
    print_vectors("IRR", &l->irr, &l->tmr, line, opaque);
    if (l->tsc_deadline) {
        snprintf(text, sizeof text, "DEADLINE TSC 0x%llx", (unsigned long long)l->tsc_deadline);
        line(opaque, text);
    }
    snprintf(text, sizeof text, "LDR 0x%02x DFR 0x%x TPR 0x%02x PPR 0x%02x LINT0 %u LINT1 %u%s",
             lapic_x2apic(l) ? lapic_x2apic_ldr(l) : l->ldr, l->dfr_model, l->tpr,
             lapic_processor_priority(l), l->lint_level & 1, l->lint_level >> 1,
             l->extint ? " ExtINT waits" : "");
    line(opaque, text);
}
