/*
 * How memmap.c and iomap.c pass an access on to a device: cut at the device's
 * max_size, widened to its min_size (io.h). Private to this folder.
 */
#ifndef VITRINE_MMU_IO_ACCESS_H
#define VITRINE_MMU_IO_ACCESS_H

#include "mmu/io.h"

static inline unsigned io_min_size(const struct io_ops *ops)
{
    return ops->min_size ? ops->min_size : 1;
}

static inline unsigned io_max_size(const struct io_ops *ops)
{
    return ops->max_size ? ops->max_size : 4;
}

static inline uint64_t io_size_mask(unsigned size)
{
    return ~UINT64_C(0) >> (64 - 8 * size);
}

/*
 * Bytes of the first piece of an access of size bytes at offset, when room bytes of the region are
 * left: a power of two that fits and is no more than the device's max_size. Memory accesses are
 * also cut at natural alignment; ports are not, since some lie at odd addresses and are a word
 * wide (the Bochs VBE data port 1CFh).
 */
static inline unsigned io_piece(const struct io_ops *ops, uint64_t offset, unsigned size,
                                uint64_t room, bool aligned)
{
    unsigned n = 1;
    unsigned limit = MIN(size, io_max_size(ops));
    while (2 * n <= limit && 2 * n <= room && !(aligned && (offset & (2 * n - 1))))
        n *= 2;
    return n;
}

/* One piece, no wider than max_size. */
static inline uint64_t io_read_piece(const struct io_ops *ops, void *opaque, uint64_t offset,
                                     unsigned size)
{
    unsigned min = io_min_size(ops);
    if (likely(size >= min))
        return ops->read(opaque, offset, size) & io_size_mask(size);
    uint64_t base = offset & ~(uint64_t)(min - 1);
    return (ops->read(opaque, base, min) >> (8 * (offset - base))) & io_size_mask(size);
}

static inline void io_write_piece(const struct io_ops *ops, void *opaque, uint64_t offset,
                                  uint64_t value, unsigned size)
{
    unsigned min = io_min_size(ops);
    value &= io_size_mask(size);
    if (likely(size >= min)) {
        ops->write(opaque, offset, value, size);
        return;
    }
    uint64_t base = offset & ~(uint64_t)(min - 1);
    ops->write(opaque, base, value << (8 * (offset - base)), min);
}

#endif
