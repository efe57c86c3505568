/*
 * A serial port: PC16550D with FIFOs, eight ports from base. Bytes go out as soon as they are
 * written; they come in as fast as the FIFO takes them, the back-end waits meanwhile.
 */
#ifndef VITRINE_DEVICES_UART16550_H
#define VITRINE_DEVICES_UART16550_H

#include "core/device.h"
#include "host/chr.h"
#include "mmu/iomap.h"

struct uart16550;

/* Attaches itself to chr, which stays the caller's and may be NULL (nothing plugged in). */
struct uart16550 *uart16550_create(struct iomap *io, uint16_t base, struct event_queue *events,
                                   struct log *log, const struct irq_line *irq, struct chr *chr);
struct device *uart16550_device(struct uart16550 *uart);

#endif
