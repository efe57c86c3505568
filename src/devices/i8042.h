/*
 * The keyboard controller: ports 60h and 64h, between the CPU and the keyboard and mouse. It also
 * holds an A20 gate and the oldest way to reset a PC.
 */
#ifndef VITRINE_DEVICES_I8042_H
#define VITRINE_DEVICES_I8042_H

#include "core/device.h"
#include "devices/ps2.h"
#include "mmu/iomap.h"

struct i8042;

struct i8042_wiring {
    struct irq_line irq1, irq12;
    struct irq_line a20;   /* driven at reset (1) and whenever the guest writes the gate */
    struct irq_line reset; /* pulsed */
    struct ps2_port *kbd, *aux;
};

/* Takes the controller's side of both ports. The devices outlive it. */
struct i8042 *i8042_create(struct iomap *io, struct event_queue *events, struct log *log,
                           const struct i8042_wiring *wiring);
struct device *i8042_device(struct i8042 *k);

#endif
