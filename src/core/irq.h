/*
 * An interrupt line (or any other wire): who is at the far end, and which of its pins.
 * Levels: 1 asserted, 0 not. A line that is not connected (set == NULL) swallows changes.
 */
#ifndef VITRINE_CORE_IRQ_H
#define VITRINE_CORE_IRQ_H

#include "core/types.h"

struct irq_line {
    void (*set)(void *opaque, unsigned pin, int level);
    void *opaque;
    unsigned pin;
};

static inline void irq_set(const struct irq_line *line, int level)
{
    if (line->set)
        line->set(line->opaque, line->pin, level);
}

/* A short positive pulse, for edge-triggered inputs. */
static inline void irq_pulse(const struct irq_line *line)
{
    irq_set(line, 1);
    irq_set(line, 0);
}

#endif
