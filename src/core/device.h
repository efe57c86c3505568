/*
 * What every device has in common: a name, a two-step reset, its field list, and a line of text
 * about itself for the monitor. A device embeds struct device as its first member "dev".
 *
 * All callbacks run on one thread at a time: the machine's, or, where CPUs have threads of their
 * own, whichever has the lock (core/world.h), a CPU's among them in the middle of an access.
 */
#ifndef VITRINE_CORE_DEVICE_H
#define VITRINE_CORE_DEVICE_H

#include "core/event.h"
#include "core/irq.h"
#include "core/log.h"
#include "core/state.h"
#include "core/types.h"

enum reset_kind {
    RESET_POWER_ON,
    RESET_HARD, /* RESET# pin: port CF9h, keyboard controller, triple fault */
};

struct device;

struct device_ops {
    /* Step 1: sets the device's own fields to their reset values; touches nobody else. */
    void (*reset)(struct device *dev, enum reset_kind kind);
    /* Step 2: drives its lines and maps its regions from those fields. May be NULL. */
    void (*reset_lines)(struct device *dev);
    /* Lists every field once (core/state.h). On LOAD the owner re-derives caches in loaded(). */
    void (*state)(struct device *dev, struct state *s);
    void (*loaded)(struct device *dev); /* may be NULL */
    void (*destroy)(struct device *dev);
};

struct device {
    const char *name; /* "pit8254", "uart16550.0" */
    const struct device_ops *ops;
    struct device *next;
};

/* All devices of a machine, in the order they were wired. */
struct device_list {
    struct device *head, **tail;
};

void device_list_init(struct device_list *list);
void device_add(struct device_list *list, struct device *dev);
void device_reset_all(struct device_list *list, enum reset_kind kind);
void device_state_all(struct device_list *list, struct state *s);
void device_destroy_all(struct device_list *list); /* in reverse order of wiring */

#endif
