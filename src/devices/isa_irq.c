/* See isa_irq.h. A line's drivers are a bit each; the line is up while any bit is. */
#include "devices/isa_irq.h"

#include <stdlib.h>

#define MAX_DRIVERS 8

struct isa_irq {
    struct device dev;
    uint8_t driven[ISA_IRQS];  /* by driver: who asserts the line */
    uint8_t drivers[ISA_IRQS]; /* connected so far */
    struct irq_line pic, ioapic;
};

static void fan_out(const struct isa_irq *s, unsigned irq, int level)
{
    struct irq_line pic = s->pic, ioapic = s->ioapic;
    pic.pin = irq;
    ioapic.pin = irq == 0 ? 2 : irq;
    irq_set(&pic, level);
    irq_set(&ioapic, level);
}

/* pin: line in bits 3..0, driver in bits 6..4. */
static void isa_irq_set(void *opaque, unsigned pin, int level)
{
    struct isa_irq *s = opaque;
    const unsigned irq = pin & 15, driver = pin >> 4;
    const uint8_t old = s->driven[irq];
    const uint8_t new = (uint8_t)(level ? old | BIT(driver) : old & ~BIT(driver));
    s->driven[irq] = new;
    if (!old != !new)
        fan_out(s, irq, new != 0);
}

struct irq_line isa_irq_connect(struct isa_irq *s, unsigned irq)
{
    assert(irq < ISA_IRQS && irq != 2 && s->drivers[irq] < MAX_DRIVERS);
    const unsigned driver = s->drivers[irq]++;
    return (struct irq_line){.set = isa_irq_set, .opaque = s, .pin = irq | driver << 4};
}

int isa_irq_level(const struct isa_irq *s, unsigned irq)
{
    return s->driven[irq] != 0;
}

/*
 * The controllers forget their inputs in the same step, and every driver says its level again in
 * the next, so nothing needs to be passed on here.
 */
static void isa_irq_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct isa_irq *s = (struct isa_irq *)dev;
    memset(s->driven, 0, sizeof s->driven);
}

static void isa_irq_state(struct device *dev, struct state *st)
{
    struct isa_irq *s = (struct isa_irq *)dev;
    state_begin(st, "isa_irq", 1);
    state_bytes(st, "driven", s->driven, sizeof s->driven);
    state_end(st);
}

static void isa_irq_destroy(struct device *dev)
{
    free(dev);
}

static const struct device_ops isa_irq_ops = {
    .reset = isa_irq_reset,
    .state = isa_irq_state,
    .destroy = isa_irq_destroy,
};

struct isa_irq *isa_irq_create(struct device_list *devices, struct irq_line pic,
                               struct irq_line ioapic)
{
    struct isa_irq *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->dev = (struct device){.name = "isa_irq", .ops = &isa_irq_ops};
    s->pic = pic;
    s->ioapic = ioapic;
    device_add(devices, &s->dev);
    return s;
}
