/* Port 92h, system control port A: fast A20 gate and fast reset. */
#ifndef VITRINE_DEVICES_PORT92_H
#define VITRINE_DEVICES_PORT92_H

#include "core/device.h"
#include "mmu/iomap.h"

struct port92;

/* a20: driven at each write, also when the bit stays as it was. reset: pulsed. */
struct port92 *port92_create(struct iomap *io, const struct irq_line *a20,
                             const struct irq_line *reset);
struct device *port92_device(struct port92 *p);

#endif
