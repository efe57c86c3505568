/*
 * The guest-physical address space. Regions of RAM, ROM, device registers (I/O) and aliases lie
 * over one another by priority; only the flattened result is used at access time, one for reads
 * and one for writes, because PAM may send them to different places (82441FX §3.2.18).
 *
 *      priority 3   local APIC page (one address, each CPU sees its own), opened SMRAM
 *               2   VGA window, RAM shadowed by PAM, IOAPIC, HPET
 *               1   BIOS ROM below 4 GiB and below 1 MiB
 *               0   RAM below the hole, RAM above 4 GiB
 *              -1   PCI BARs: the host bridge answers for all of the above before PCI is asked
 *
 * Unclaimed reads return ones, unclaimed writes are dropped. CPUs on threads of their own look
 * things up without a lock, so the map changes only while all of them are outside (core/world.h).
 */
#ifndef VITRINE_MMU_MEMMAP_H
#define VITRINE_MMU_MEMMAP_H

#include "core/log.h"
#include "core/world.h"
#include "mmu/io.h"
#include "mmu/ram.h"

enum mem_kind {
    MEM_RAM,   /* host memory, read and write */
    MEM_ROM,   /* host memory, writes dropped */
    MEM_IO,    /* calls a device */
    MEM_ALIAS, /* a window on another region */
};

struct mem_region {
    const char *name;
    enum mem_kind kind;
    gpa_t base;
    uint64_t size;
    int priority;
    bool mapped;
    bool reads, writes;        /* takes part in the read and the write view (default both) */
    ram_t ram;                 /* MEM_RAM, MEM_ROM: where it is */
    const struct io_ops *ops;  /* MEM_IO */
    void *opaque;              /* MEM_IO */
    struct mem_region *target; /* MEM_ALIAS */
    uint64_t target_offset;    /* MEM_ALIAS */
    struct mem_region *next;
};

/* One piece of the flattened view: never an alias. */
struct mem_range {
    gpa_t start, end;          /* [start, end) */
    struct mem_region *region; /* NULL: nobody */
    uint64_t offset;           /* of start within region */
};

struct memmap {
    struct ram *ram;
    struct log *log;
    struct world *world; /* of CPUs on threads of their own; NULL: there are none */
    struct mem_region *regions;
    struct mem_range *view[2]; /* [0] reads, [1] writes; sorted, gapless over 0..2^52 */
    size_t view_len[2];
    size_t view_hint[2]; /* where memmap_find found the last piece */
    gpa_t a20_mask;      /* ANDed with every CPU address; ~0 or ~1 MiB */
    unsigned batch;      /* >0: views are rebuilt at the last memmap_end */
    bool stale;
    /* The map changed: every cached translation is void. Given by the CPUs; may be NULL. */
    void (*changed)(void *opaque);
    void *changed_opaque;
    uint64_t unclaimed;
};

void memmap_create(struct memmap *map, struct ram *ram, struct log *log);
void memmap_destroy(struct memmap *map);

/* Regions belong to the caller and must outlive their mapping. */
void mem_region_init_ram(struct mem_region *r, const char *name, ram_t ram, uint64_t size);
void mem_region_init_rom(struct mem_region *r, const char *name, ram_t ram, uint64_t size);
void mem_region_init_io(struct mem_region *r, const char *name, const struct io_ops *ops,
                        void *opaque, uint64_t size);
void mem_region_init_alias(struct mem_region *r, const char *name, struct mem_region *target,
                           uint64_t target_offset, uint64_t size);

void memmap_add(struct memmap *map, struct mem_region *r, gpa_t base, int priority);
void memmap_del(struct memmap *map, struct mem_region *r); /* harmless when not mapped */
/* Which views r takes part in; for PAM: reads from ROM while writes go to RAM. */
void memmap_set_views(struct memmap *map, struct mem_region *r, bool reads, bool writes);
void memmap_set_a20(struct memmap *map, bool enabled);
/* Brackets several changes so that views are rebuilt once. */
void memmap_begin(struct memmap *map);
void memmap_end(struct memmap *map);

/* The piece of the read or write view that holds gpa; never NULL. A20 is not applied here. */
const struct mem_range *memmap_find(const struct memmap *map, gpa_t gpa, bool write);

/* ram_t of gpa if it is host memory in that view (for writes: MEM_RAM only), else RAM_NONE. */
ram_t memmap_ram(const struct memmap *map, gpa_t gpa, bool write);

/* Accesses of 1, 2, 4 or 8 bytes within one page, to whatever is there, split as the region asks.
 */
uint64_t memmap_read(struct memmap *map, gpa_t gpa, unsigned size);
void memmap_write(struct memmap *map, gpa_t gpa, uint64_t value, unsigned size);

/*
 * Bus-master access by devices, any length. RAM and ROM by memcpy (traced pages are told), I/O by
 * single accesses. Returns false if part of it hit nobody (reads give ones, writes are dropped).
 */
bool memmap_dma_read(struct memmap *map, gpa_t gpa, void *buf, size_t len);
bool memmap_dma_write(struct memmap *map, gpa_t gpa, const void *buf, size_t len);

/* One line per flattened piece, for "info mtree". */
void memmap_print(const struct memmap *map, void (*line)(void *, const char *), void *opaque);

#endif
