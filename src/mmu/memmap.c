/*
 * See memmap.h. The flattened views are rebuilt as a whole whenever the map changes:
 *
 *      priority 2       [ VGA ]  [PAM alias]
 *      priority 1                                       [ BAR ]       [ BIOS ]
 *      priority 0   [ RAM below 4 GiB              ]                           [ RAM above ]
 *      view         |RAM| VGA |RAM| alias's |  RAM  | - | BAR |  -  | | BIOS  | | RAM      | - |
 *                               |  target |
 *
 * Maps have a few dozen regions and change when firmware sets PAM or a BAR, so a plain method will
 * do: cut the space at every edge, ask for each piece who is on top, join equal neighbours.
 */
#include "mmu/memmap.h"

#include "mmu/io_access.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SPACE_END (UINT64_C(1) << 52) /* the architecture's limit: SDM 3A §4.1.4 "MAXPHYADDR" */

#define A20       BIT64(20)

enum { VIEW_READ, VIEW_WRITE };

/* What a mapped region shows: a part of itself, or of what its chain of aliases ends at. */
struct shown {
    gpa_t start, end;
    struct mem_region *region;
    uint64_t offset;
};

static struct shown resolve(struct mem_region *r)
{
    struct shown s = {.start = r->base, .region = r};
    uint64_t size = r->size;
    for (unsigned depth = 0; s.region->kind == MEM_ALIAS; depth++) {
        assert(depth < 8); /* our wiring made a circle */
        s.offset += s.region->target_offset;
        s.region = s.region->target;
        uint64_t left = s.offset < s.region->size ? s.region->size - s.offset : 0;
        size = MIN(size, left);
    }
    s.end = r->base + size;
    return s;
}

static int compare_gpa(const void *a, const void *b)
{
    gpa_t x = *(const gpa_t *)a, y = *(const gpa_t *)b;
    return (x > y) - (x < y);
}

static void append(struct mem_range *view, size_t *len, struct mem_range piece)
{
    struct mem_range *last = *len ? &view[*len - 1] : NULL;
    if (last && last->region == piece.region &&
        (!piece.region || last->offset + (last->end - last->start) == piece.offset))
        last->end = piece.end;
    else
        view[(*len)++] = piece;
}

/* shown[] is in order of rank, topmost first; edges[] is sorted and holds 0 and SPACE_END. */
static void flatten(struct mem_range *view, size_t *len, const struct shown *shown, size_t count,
                    const gpa_t *edges, size_t edge_count)
{
    *len = 0;
    for (size_t i = 0; i + 1 < edge_count; i++) {
        struct mem_range piece = {.start = edges[i], .end = edges[i + 1]};
        if (piece.start == piece.end)
            continue;
        for (size_t k = 0; k < count; k++) {
            if (piece.start < shown[k].start || piece.start >= shown[k].end)
                continue;
            piece.region = shown[k].region;
            piece.offset = shown[k].offset + (piece.start - shown[k].start);
            break;
        }
        append(view, len, piece);
    }
}

static void build_view(struct memmap *map, unsigned v)
{
    size_t regions = 0;
    for (struct mem_region *r = map->regions; r; r = r->next)
        regions++;
    struct shown *shown = malloc((regions + 1) * sizeof *shown);
    gpa_t *edges = malloc((2 * regions + 2) * sizeof *edges);
    struct mem_range *view = malloc((2 * regions + 1) * sizeof *view);
    if (!shown || !edges || !view) {
        /* A few hundred bytes; without them there is no map to go on with. */
        abort();
    }
    size_t count = 0, edge_count = 0;
    edges[edge_count++] = 0;
    edges[edge_count++] = SPACE_END;
    for (struct mem_region *r = map->regions; r; r = r->next) {
        if (!(v == VIEW_READ ? r->reads : r->writes))
            continue;
        shown[count] = resolve(r);
        edges[edge_count++] = shown[count].start;
        edges[edge_count++] = shown[count].end;
        count++;
    }
    qsort(edges, edge_count, sizeof edges[0], compare_gpa);
    flatten(view, &map->view_len[v], shown, count, edges, edge_count);
    free(map->view[v]);
    map->view[v] = view;
    map->view_hint[v] = 0;
    free(shown);
    free(edges);
}

/* From the first change until the views are right again nobody may look. */
static void keep_out(struct memmap *map)
{
    world_enter(map->world);
    world_stop(map->world);
}

static void let_in(struct memmap *map)
{
    if (map->changed)
        map->changed(map->changed_opaque);
    world_go(map->world);
    world_leave(map->world);
}

static void changed(struct memmap *map)
{
    if (!map->stale)
        keep_out(map);
    map->stale = true;
    if (map->batch)
        return;
    build_view(map, VIEW_READ);
    build_view(map, VIEW_WRITE);
    map->stale = false;
    let_in(map);
}

void memmap_create(struct memmap *map, struct ram *ram, struct log *log)
{
    *map = (struct memmap){.ram = ram, .log = log, .a20_mask = ~UINT64_C(0)};
    changed(map);
}

/* Regions are left alone: their devices may be gone already. */
void memmap_destroy(struct memmap *map)
{
    free(map->view[VIEW_READ]);
    free(map->view[VIEW_WRITE]);
    *map = (struct memmap){0};
}

static void init_region(struct mem_region *r, const char *name, enum mem_kind kind, uint64_t size)
{
    assert(size > 0 && size <= SPACE_END);
    *r = (struct mem_region){
        .name = name, .kind = kind, .size = size, .reads = true, .writes = true, .ram = RAM_NONE};
}

void mem_region_init_ram(struct mem_region *r, const char *name, ram_t ram, uint64_t size)
{
    init_region(r, name, MEM_RAM, size);
    r->ram = ram;
}

void mem_region_init_rom(struct mem_region *r, const char *name, ram_t ram, uint64_t size)
{
    init_region(r, name, MEM_ROM, size);
    r->ram = ram;
}

void mem_region_init_io(struct mem_region *r, const char *name, const struct io_ops *ops,
                        void *opaque, uint64_t size)
{
    init_region(r, name, MEM_IO, size);
    r->ops = ops;
    r->opaque = opaque;
}

void mem_region_init_alias(struct mem_region *r, const char *name, struct mem_region *target,
                           uint64_t target_offset, uint64_t size)
{
    init_region(r, name, MEM_ALIAS, size);
    r->target = target;
    r->target_offset = target_offset;
}

/* The list is kept topmost first: by priority, the newest of equals on top. */
void memmap_add(struct memmap *map, struct mem_region *r, gpa_t base, int priority)
{
    assert(!r->mapped && base <= SPACE_END && r->size <= SPACE_END - base);
    r->base = base;
    r->priority = priority;
    r->mapped = true;
    struct mem_region **link = &map->regions;
    while (*link && (*link)->priority > priority)
        link = &(*link)->next;
    r->next = *link;
    *link = r;
    changed(map);
}

void memmap_del(struct memmap *map, struct mem_region *r)
{
    if (!r->mapped)
        return;
    struct mem_region **link = &map->regions;
    while (*link != r)
        link = &(*link)->next;
    *link = r->next;
    r->next = NULL;
    r->mapped = false;
    changed(map);
}

void memmap_set_views(struct memmap *map, struct mem_region *r, bool reads, bool writes)
{
    if (r->reads == reads && r->writes == writes)
        return;
    r->reads = reads;
    r->writes = writes;
    if (r->mapped)
        changed(map);
}

/* The views do not depend on A20, but what the CPU cached does. */
void memmap_set_a20(struct memmap *map, bool enabled)
{
    gpa_t mask = enabled ? ~UINT64_C(0) : ~A20;
    if (map->a20_mask == mask)
        return;
    keep_out(map);
    map->a20_mask = mask;
    let_in(map);
}

void memmap_begin(struct memmap *map)
{
    map->batch++;
}

void memmap_end(struct memmap *map)
{
    assert(map->batch > 0);
    if (--map->batch == 0 && map->stale)
        changed(map);
}

const struct mem_range *memmap_find(const struct memmap *map, gpa_t gpa, bool write)
{
    static const struct mem_range beyond = {.start = SPACE_END, .end = UINT64_MAX};
    const struct mem_range *view = map->view[write];
    assert(!map->stale); /* no accesses between memmap_begin and memmap_end */

    const struct mem_range *last = &view[__atomic_load_n(&map->view_hint[write], __ATOMIC_RELAXED)];
    if (likely(gpa - last->start < last->end - last->start))
        return last;
    if (gpa >= SPACE_END)
        return &beyond;
    size_t low = 0, high = map->view_len[write];
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (view[mid].start <= gpa)
            low = mid;
        else
            high = mid;
    }
    /* Only remembered: the map itself stays what it is. */
    __atomic_store_n(&((struct memmap *)map)->view_hint[write], low, __ATOMIC_RELAXED);
    return &view[low];
}

/* ram_t of gpa in this piece, or RAM_NONE. */
static inline ram_t range_ram(const struct mem_range *range, gpa_t gpa, bool write)
{
    const struct mem_region *r = range->region;
    if (r && (r->kind == MEM_RAM || (r->kind == MEM_ROM && !write)))
        return r->ram + range->offset + (gpa - range->start);
    return RAM_NONE;
}

ram_t memmap_ram(const struct memmap *map, gpa_t gpa, bool write)
{
    return range_ram(memmap_find(map, gpa, write), gpa, write);
}

/* Bytes of this piece from gpa on; behind the space's end there is no end to nothing. */
static inline uint64_t range_left(const struct mem_range *range, gpa_t gpa)
{
    return range->end == UINT64_MAX ? UINT64_MAX : range->end - gpa;
}

/* One piece of an access, within one range; sets *n to the bytes it took. */
static uint64_t read_piece(struct memmap *map, gpa_t gpa, unsigned size, unsigned *n, bool *missed)
{
    const struct mem_range *range = memmap_find(map, gpa, false);
    const struct mem_region *r = range->region;
    *n = (unsigned)MIN(size, range_left(range, gpa));
    ram_t at = range_ram(range, gpa, false);
    if (likely(at != RAM_NONE))
        return ld_le(ram_host(map->ram, at), *n);
    if (unlikely(!r)) {
        *missed = true;
        return io_size_mask(*n);
    }
    uint64_t offset = range->offset + (gpa - range->start);
    *n = io_piece(r->ops, offset, *n, r->size - offset, true);
    world_enter_device(map->world);
    const uint64_t value = io_read_piece(r->ops, r->opaque, offset, *n);
    world_leave(map->world);
    return value;
}

static void write_piece(struct memmap *map, gpa_t gpa, uint64_t value, unsigned size, unsigned *n,
                        bool *missed)
{
    const struct mem_range *range = memmap_find(map, gpa, true);
    const struct mem_region *r = range->region;
    *n = (unsigned)MIN(size, range_left(range, gpa));
    ram_t at = range_ram(range, gpa, true);
    if (likely(at != RAM_NONE)) {
        st_le(ram_host(map->ram, at), value, *n);
        ram_note_write(map->ram, at, *n);
        return;
    }
    if (unlikely(!r)) {
        *missed = true;
        return;
    }
    if (r->kind == MEM_ROM)
        return;
    uint64_t offset = range->offset + (gpa - range->start);
    *n = io_piece(r->ops, offset, *n, r->size - offset, true);
    world_enter_device(map->world);
    io_write_piece(r->ops, r->opaque, offset, value, *n);
    world_leave(map->world);
}

static void unclaimed(struct memmap *map, gpa_t gpa, uint64_t size, const char *what)
{
    world_enter(map->world);
    map->unclaimed++;
    log_guest(map->log, "%s %" PRIu64 " byte(s) at physical %" PRIx64 "h, which nothing claims",
              what, size, gpa);
    world_leave(map->world);
}

uint64_t memmap_read(struct memmap *map, gpa_t gpa, unsigned size)
{
    bool missed = false;
    unsigned n;
    uint64_t value = read_piece(map, gpa, size, &n, &missed);
    for (unsigned done = n; unlikely(done < size); done += n)
        value |= read_piece(map, gpa + done, size - done, &n, &missed) << (8 * done);
    if (unlikely(missed))
        unclaimed(map, gpa, size, "read of");
    return value;
}

void memmap_write(struct memmap *map, gpa_t gpa, uint64_t value, unsigned size)
{
    bool missed = false;
    unsigned n;
    write_piece(map, gpa, value, size, &n, &missed);
    for (unsigned done = n; unlikely(done < size); done += n)
        write_piece(map, gpa + done, value >> (8 * done), size - done, &n, &missed);
    if (unlikely(missed))
        unclaimed(map, gpa, size, "write of");
}

/* The widest single access at gpa that is aligned and no longer than len, at most a dword. */
static unsigned dma_unit(gpa_t gpa, uint64_t len)
{
    unsigned n = 4;
    while (n > len || (gpa & (n - 1)))
        n /= 2;
    return n;
}

bool memmap_dma_read(struct memmap *map, gpa_t gpa, void *buf, size_t len)
{
    uint8_t *out = buf;
    bool missed = false;
    for (size_t done = 0; done < len;) {
        gpa_t at = gpa + done;
        const struct mem_range *range = memmap_find(map, at, false);
        size_t n = MIN(len - done, range_left(range, at));
        ram_t ram = range_ram(range, at, false);
        if (ram != RAM_NONE) {
            memcpy(out + done, ram_host(map->ram, ram), n);
        } else if (!range->region) {
            memset(out + done, 0xff, n);
            missed = true;
        } else {
            unsigned unit = dma_unit(at, n), got;
            st_le(out + done, read_piece(map, at, unit, &got, &missed), unit);
            n = got;
        }
        done += n;
    }
    if (missed)
        unclaimed(map, gpa, len, "bus-master read of");
    return !missed;
}

bool memmap_dma_write(struct memmap *map, gpa_t gpa, const void *buf, size_t len)
{
    const uint8_t *in = buf;
    bool missed = false;
    for (size_t done = 0; done < len;) {
        gpa_t at = gpa + done;
        const struct mem_range *range = memmap_find(map, at, true);
        size_t n = MIN(len - done, range_left(range, at));
        ram_t ram = range_ram(range, at, true);
        if (ram != RAM_NONE) {
            memcpy(ram_host(map->ram, ram), in + done, n);
            ram_note_write(map->ram, ram, n);
        } else if (!range->region) {
            missed = true;
        } else if (range->region->kind == MEM_IO) {
            unsigned unit = dma_unit(at, n), put;
            write_piece(map, at, ld_le(in + done, unit), unit, &put, &missed);
            n = put;
        }
        done += n;
    }
    if (missed)
        unclaimed(map, gpa, len, "bus-master write of");
    return !missed;
}

static const char *kind_name(enum mem_kind kind)
{
    static const char *const names[] = {"ram", "rom", "i/o", "alias"};
    return names[kind];
}

static void print_piece(gpa_t start, gpa_t end, const char *rights, const struct mem_range *range,
                        void (*line)(void *, const char *), void *opaque)
{
    char buf[160];
    const struct mem_region *r = range->region;
    if (!r)
        return;
    uint64_t offset = range->offset + (start - range->start);
    int n = snprintf(buf, sizeof buf, "%016" PRIx64 "-%016" PRIx64 " %s %s %.60s", start, end - 1,
                     rights, kind_name(r->kind), r->name);
    if (offset && n > 0 && (size_t)n < sizeof buf)
        snprintf(buf + n, sizeof buf - (size_t)n, " @%" PRIx64, offset);
    line(opaque, buf);
}

static bool same_place(const struct mem_range *a, const struct mem_range *b, gpa_t at)
{
    return a->region == b->region &&
           (!a->region || a->offset + (at - a->start) == b->offset + (at - b->start));
}

/* Both views in one list: "rw" where they agree, else a line for each. */
void memmap_print(const struct memmap *map, void (*line)(void *, const char *), void *opaque)
{
    for (gpa_t at = 0; at < SPACE_END;) {
        const struct mem_range *rd = memmap_find(map, at, false);
        const struct mem_range *wr = memmap_find(map, at, true);
        gpa_t end = MIN(rd->end, wr->end);
        if (same_place(rd, wr, at)) {
            print_piece(at, end, "rw", rd, line, opaque);
        } else {
            print_piece(at, end, "r-", rd, line, opaque);
            print_piece(at, end, "-w", wr, line, opaque);
        }
        at = end;
    }
}
