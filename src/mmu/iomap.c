/* See iomap.h. The flattened view is one pointer a port, filled as regions come and go. */
#include "mmu/iomap.h"

#include "mmu/io_access.h"

#include <stdlib.h>

#define PORTS 0x10000u

bool iomap_create(struct iomap *map, struct log *log)
{
    *map = (struct iomap){.log = log};
    map->port = calloc(PORTS, sizeof map->port[0]);
    return map->port != NULL;
}

/* Regions are left alone: their devices may be gone already. */
void iomap_destroy(struct iomap *map)
{
    free(map->port);
    *map = (struct iomap){0};
}

static bool covers(const struct io_region *r, unsigned port)
{
    return port >= r->base && port - r->base < r->size;
}

void iomap_add(struct iomap *map, struct io_region *region, uint16_t base, uint32_t size)
{
    assert(!region->mapped && size > 0 && size <= PORTS - base);
    region->base = base;
    region->size = size;
    region->mapped = true;
    region->below = map->top;
    map->top = region;
    for (unsigned p = base; p < base + size; p++)
        map->port[p] = region;
}

void iomap_del(struct iomap *map, struct io_region *region)
{
    if (!region->mapped)
        return;
    struct io_region **link = &map->top;
    while (*link != region)
        link = &(*link)->below;
    *link = region->below;
    region->mapped = false;
    region->below = NULL;
    for (unsigned p = region->base; p < region->base + region->size; p++) {
        if (map->port[p] != region)
            continue; /* somebody newer has it */
        struct io_region *r = map->top;
        while (r && !covers(r, p))
            r = r->below;
        map->port[p] = r;
    }
}

static void unclaimed(struct iomap *map, unsigned port, unsigned size, const char *what)
{
    map->unclaimed++;
    log_guest(map->log, "%s %u byte(s) at port %xh, which no device claims", what, size, port);
}

/*
 * The region of the first byte takes as much of the access as it can, even where another region
 * lies over a later byte: a dword at CF8h is one access although CF9h is the reset register's.
 */
uint32_t iomap_read(struct iomap *map, uint16_t port, unsigned size)
{
    uint64_t value = 0;
    bool missed = false;
    world_enter_device(map->world);
    for (unsigned done = 0; done < size;) {
        unsigned at = port + done;
        struct io_region *r = at < PORTS ? map->port[at] : NULL;
        unsigned n = 1;
        uint64_t piece = 0xff;
        if (likely(r)) {
            uint64_t offset = at - r->base;
            n = io_piece(r->ops, offset, size - done, r->size - offset, false);
            piece = io_read_piece(r->ops, r->opaque, offset, n);
        }
        missed |= !r;
        value |= piece << (8 * done);
        done += n;
    }
    if (unlikely(missed))
        unclaimed(map, port, size, "read of");
    world_leave(map->world);
    return (uint32_t)value;
}

void iomap_write(struct iomap *map, uint16_t port, uint32_t value, unsigned size)
{
    bool missed = false;
    world_enter_device(map->world);
    for (unsigned done = 0; done < size;) {
        unsigned at = port + done;
        struct io_region *r = at < PORTS ? map->port[at] : NULL;
        unsigned n = 1;
        if (likely(r)) {
            uint64_t offset = at - r->base;
            n = io_piece(r->ops, offset, size - done, r->size - offset, false);
            io_write_piece(r->ops, r->opaque, offset, value >> (8 * done), n);
        }
        missed |= !r;
        done += n;
    }
    if (unlikely(missed))
        unclaimed(map, port, size, "write of");
    world_leave(map->world);
}

/* The region that takes accesses of size bytes at port whole, or NULL. */
static struct io_region *whole(struct iomap *map, uint16_t port, unsigned size)
{
    struct io_region *r = map->port[port];
    if (!r || size < io_min_size(r->ops) || size > io_max_size(r->ops) ||
        port - r->base + size > r->size)
        return NULL;
    return r;
}

unsigned iomap_read_bulk(struct iomap *map, uint16_t port, unsigned size, void *buf, unsigned count)
{
    struct io_region *r = whole(map, port, size);
    if (!r || !r->ops->read_bulk || !count)
        return 0;
    world_enter_device(map->world);
    unsigned n = r->ops->read_bulk(r->opaque, port - r->base, size, buf, count);
    world_leave(map->world);
    assert(n <= count);
    return n;
}

unsigned iomap_write_bulk(struct iomap *map, uint16_t port, unsigned size, const void *buf,
                          unsigned count)
{
    struct io_region *r = whole(map, port, size);
    if (!r || !r->ops->write_bulk || !count)
        return 0;
    world_enter_device(map->world);
    unsigned n = r->ops->write_bulk(r->opaque, port - r->base, size, buf, count);
    world_leave(map->world);
    assert(n <= count);
    return n;
}
