/*
 * The two 8237A DMA controllers of a PC with their page registers: channels 0 to 3 move bytes,
 * 5 to 7 words, 4 cascades the first controller into the second.
 *
 * A device on a channel calls dma8237_transfer() for what it can take or give now; the channel's
 * registers say where, which way and how much. Everything runs under the machine's lock.
 */
#ifndef VITRINE_DEVICES_DMA8237_H
#define VITRINE_DEVICES_DMA8237_H

#include "core/device.h"
#include "mmu/iomap.h"
#include "mmu/memmap.h"

struct dma8237;

struct dma8237 *dma8237_create(struct iomap *io, struct memmap *mem, struct log *log);
struct device *dma8237_device(struct dma8237 *dma);

/* The DREQ line of a channel, which software sees in the status register. */
void dma8237_set_dreq(void *opaque, unsigned channel, int level);

/* The channel would answer DREQ: programmed, not masked, its controller (and channel 4) enabled. */
bool dma8237_ready(const struct dma8237 *dma, unsigned channel);

/*
 * Moves up to len bytes between buf and memory on behalf of the device on channel: to_memory if the
 * device gives them. Stops at terminal count, which *tc tells (may be NULL). Returns bytes moved,
 * a multiple of the channel's width; 0 if the channel is not ready. In verify mode, and when the
 * channel is programmed for the other direction (a guest mistake), counts without moving.
 */
size_t dma8237_transfer(struct dma8237 *dma, unsigned channel, void *buf, size_t len,
                        bool to_memory, bool *tc);

#endif
