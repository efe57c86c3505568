/*
 * How a device answers accesses, the same for ports and for memory-mapped registers. The device
 * states the access sizes it implements; memmap.c and iomap.c split wider accesses and widen
 * narrower ones (a read is widened and shifted; a write narrower than min_size is passed on at
 * min_size with the other bytes zero, which only devices may ask for whose registers allow it).
 * All callbacks run under the machine's lock (core/world.h), on the thread of who makes the access.
 */
#ifndef VITRINE_MMU_IO_H
#define VITRINE_MMU_IO_H

#include "core/types.h"

struct io_ops {
    /* offset from the region's start; size 1, 2, 4 or 8 within [min_size, max_size]. */
    uint64_t (*read)(void *opaque, uint64_t offset, unsigned size);
    void (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size);
    /*
     * Optional, for data ports under REP INS/OUTS: moves up to count units of size bytes and
     * returns how many; 0 lets the CPU fall back to single accesses. Must have the same effect as
     * that many single accesses.
     */
    unsigned (*read_bulk)(void *opaque, uint64_t offset, unsigned size, void *buf, unsigned count);
    unsigned (*write_bulk)(void *opaque, uint64_t offset, unsigned size, const void *buf,
                           unsigned count);
    uint8_t min_size, max_size; /* 0 means 1 and 4 */
};

#endif
