/*
 * Host memory behind everything that can be read without calling a device: guest RAM, ROM images
 * and video memory. All of it sits in one reservation of anonymous memory, mapped lazily and in
 * huge pages where the host has them (shared memory gets none on most hosts, and 4-KiB pages cost a
 * guest with a large working set half its speed), so that a page of it is named by one number, its
 * ram_t (byte offset in the reservation). Decoded code, dirty logs and translated code are
 * keyed by that, so A20, PAM and SMRAM remappings never confuse them.
 */
#ifndef VITRINE_MMU_RAM_H
#define VITRINE_MMU_RAM_H

#include "core/error.h"
#include "core/types.h"

typedef uint64_t ram_t; /* byte offset into struct ram */
#define RAM_NONE UINT64_MAX

/* Flags per page; a page with any of RAM_TRACED never gets a writable TLB line. */
enum {
    RAM_CODE = BIT(0),    /* decoded blocks came from it */
    RAM_WATCH = BIT(2),   /* a watchpoint lies on it */
    RAM_LOG = BIT(3),     /* writes are to be logged in RAM_DIRTY */
    RAM_DIRTY = BIT(4),   /* written since ram_log_start/ram_log_take */
    RAM_LINED = BIT(5),   /* some TLB may hold a line to write it */
    RAM_PRESENT = BIT(7), /* on a chunk's first page: the host has been asked for all of it */
    RAM_TRACED = RAM_CODE | RAM_WATCH | RAM_LOG,
};

struct ram {
    uint8_t *host;       /* start of the reservation */
    uint64_t size_bytes; /* length of the reservation */
    uint64_t used_bytes; /* handed out so far */
    uint8_t *page_flags; /* one byte a page */
    int pagemap;         /* which pages exist: proc(5); -1: cannot be told */
    /* Write tags of [start, start+len) must be re-read: flags were set. Given by the CPUs; may be
     * NULL. */
    void (*flags_set)(void *opaque, ram_t start, uint64_t len);
    /* Something other than a CPU store (DMA, debugger, loader) changed traced bytes. May be NULL.
     */
    void (*traced_write)(void *opaque, ram_t start, uint64_t len);
    void *opaque; /* the first of the CPUs (cpu_first()) */
};

/* Reserves max_bytes (page multiple) of address space; nothing is committed until touched. */
bool ram_create(struct ram *ram, uint64_t max_bytes, struct error *err);
void ram_destroy(struct ram *ram);

/* Takes the next size_bytes (rounded up to pages; 2-MiB aligned when that large). RAM_NONE if full.
 */
ram_t ram_alloc(struct ram *ram, uint64_t size_bytes);

static inline uint8_t *ram_host(const struct ram *ram, ram_t at)
{
    return ram->host + at;
}
static inline uint8_t ram_flags(const struct ram *ram, ram_t at)
{
    return __atomic_load_n(&ram->page_flags[at >> PAGE_SHIFT], __ATOMIC_RELAXED);
}

/*
 * May a TLB have a line to write the page of at? Asked before it gets one. A page that becomes
 * traced meanwhile is told to flags_set, which waits for every CPU; one that never had a line needs
 * no such thing. Both change the same byte by one atomic operation, so one of them sees the other.
 */
static inline bool ram_may_line(struct ram *ram, ram_t at)
{
    uint8_t *page = &ram->page_flags[at >> PAGE_SHIFT];
    uint8_t flags = __atomic_load_n(page, __ATOMIC_RELAXED);
    if (!(flags & (RAM_TRACED | RAM_LINED)))
        flags = __atomic_fetch_or(page, RAM_LINED, __ATOMIC_SEQ_CST);
    return !(flags & RAM_TRACED);
}

/* For flags_set, while nobody runs: no TLB has a line to write these pages any more. */
void ram_lines_taken(struct ram *ram, ram_t start, uint64_t len);

/*
 * Sets or clears flags on the page of at, telling flags_set when a traced flag came up on a page
 * that a TLB may have a line to write. The lock is held (core/world.h) but for RAM_LOG and
 * RAM_DIRTY, which a store changes.
 */
void ram_set_flags(struct ram *ram, ram_t at, uint8_t flags);
void ram_clear_flags(struct ram *ram, ram_t at, uint8_t flags);

/* A non-CPU write to [at, at+len) happened: marks logged pages dirty, tells traced_write. */
void ram_note_write(struct ram *ram, ram_t at, uint64_t len);

/*
 * The CPU is about to use the page of at: has the host provide the whole chunk around it at once,
 * since a host fault a page costs a hundred times as much.
 */
#define RAM_CHUNK (256 * KiB)
void ram_provide_chunk(struct ram *ram, ram_t at);
static inline bool ram_touched(const struct ram *ram, ram_t at)
{
    return ram_flags(ram, at & ~(RAM_CHUNK - 1)) & RAM_PRESENT;
}
static inline void ram_touch(struct ram *ram, ram_t at)
{
    if (unlikely(!ram_touched(ram, at)))
        ram_provide_chunk(ram, at);
}

/*
 * The next pages from *at on that may hold something else than zeros: [*at, *end), at most
 * RAM_DATA_BYTES of them. False if there are none up to limit.
 */
#define RAM_DATA_BYTES (2 * MiB)
bool ram_next_data(const struct ram *ram, ram_t *at, ram_t *end, ram_t limit);

/* Dirty log, for displays and snapshots. take: true if [at, at+len) was written since the last
 * take. */
void ram_log_start(struct ram *ram, ram_t at, uint64_t len);
void ram_log_stop(struct ram *ram, ram_t at, uint64_t len);
bool ram_log_take(struct ram *ram, ram_t at, uint64_t len);
/* The same page by page: dirty[i] becomes whether page i of the range (whole pages) was written. */
bool ram_log_take_pages(struct ram *ram, ram_t at, uint64_t len, bool *dirty);

#endif
