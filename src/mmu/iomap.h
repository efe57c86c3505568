/*
 * The port space: 65,536 ports, each claimed by at most one region. A later claim goes on top and
 * uncovers the earlier one when it is released. Unclaimed reads return ones.
 */
#ifndef VITRINE_MMU_IOMAP_H
#define VITRINE_MMU_IOMAP_H

#include "core/log.h"
#include "core/world.h"
#include "mmu/io.h"

struct io_region {
    const char *name;
    const struct io_ops *ops;
    void *opaque;
    uint16_t base;
    uint32_t size; /* in ports */
    bool mapped;
    struct io_region *below; /* older regions, in order of mapping */
};

struct iomap {
    struct io_region *top;   /* newest first */
    struct io_region **port; /* 65,536 entries, the flattened view; NULL = nobody */
    struct log *log;
    struct world *world; /* of CPUs on threads of their own; NULL: there are none */
    uint64_t unclaimed;
};

bool iomap_create(struct iomap *map, struct log *log);
void iomap_destroy(struct iomap *map);

/* Claims [base, base+size) for region, whose name, ops and opaque are set. The region must outlive
 * it. */
void iomap_add(struct iomap *map, struct io_region *region, uint16_t base, uint32_t size);
void iomap_del(struct iomap *map, struct io_region *region); /* harmless when not mapped */

uint32_t iomap_read(struct iomap *map, uint16_t port, unsigned size);
void iomap_write(struct iomap *map, uint16_t port, uint32_t value, unsigned size);
/* For REP INS/OUTS: units moved, 0 if the port has no bulk path. */
unsigned iomap_read_bulk(struct iomap *map, uint16_t port, unsigned size, void *buf,
                         unsigned count);
unsigned iomap_write_bulk(struct iomap *map, uint16_t port, unsigned size, const void *buf,
                          unsigned count);

#endif
