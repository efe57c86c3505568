/* See ram.h. */
#include "ram.h"

#include "fwcfg.h"
#include "io.h"
#include "print.h"

/* Where POST may allocate from at the end of RAM: less than what a loaded kernel may not touch. */
#define HIGH_ZONE_BYTES (256 * 1024u)

#define MIB             0x100000u
#define GIB4            0x100000000ull

#define CMOS_ABOVE_1M   0x30 /* KiB, at most 64 MiB */
#define CMOS_ABOVE_16M  0x34 /* units of 64 KiB */
#define CMOS_ABOVE_4G   0x5b /* units of 64 KiB, three bytes */

extern const uint8_t seg_f_code_end[];

static uint32_t top_low;
static uint64_t top_high;
static uint32_t high_next, high_end;
static uint32_t fseg_next;
static uint32_t temp_next = POST_HEAP;

/* ---- the map ---- */

static void insert(unsigned at, uint64_t start, uint64_t end, uint32_t type)
{
    struct e820_entry *map = SHARED(e820_map);
    if (start >= end)
        return;
    if (SHARED(e820_count) == E820_MAX) {
        debug("e820: no room for %lx\n", (unsigned long)start);
        return;
    }
    for (unsigned i = SHARED(e820_count)++; i > at; i--)
        map[i] = map[i - 1];
    map[at] = (struct e820_entry){start, end - start, type};
}

static void remove(unsigned at)
{
    struct e820_entry *map = SHARED(e820_map);
    const unsigned count = --SHARED(e820_count);
    for (unsigned i = at; i < count; i++)
        map[i] = map[i + 1];
}

/* The map is sorted, without overlaps: what the new range covers is cut off the others. Type 0:
 * only that. */
void e820_set(uint64_t start, uint64_t bytes, uint32_t type)
{
    struct e820_entry *map = SHARED(e820_map);
    const uint64_t end = start + bytes;
    unsigned i = 0;
    while (i < SHARED(e820_count)) {
        const struct e820_entry old = map[i];
        const uint64_t old_end = old.start + old.bytes;
        if (old_end <= start || old.start >= end) {
            i++;
            continue;
        }
        remove(i);
        insert(i, end, old_end, old.type);
        insert(i, old.start, start, old.type);
        i += old.start < start;
    }
    if (!type)
        return;
    for (i = 0; i < SHARED(e820_count) && map[i].start < start; i++)
        ;
    insert(i, start, end, type);
    /* neighbours of one kind become one */
    for (i = 1; i < SHARED(e820_count);) {
        struct e820_entry *a = &map[i - 1], *b = &map[i];
        if (a->type == b->type && a->start + a->bytes == b->start) {
            a->bytes += b->bytes;
            remove(i);
        } else {
            i++;
        }
    }
}

/* ---- where it comes from ---- */

static void from_cmos(void)
{
    const uint32_t above_16m = cmos_read(CMOS_ABOVE_16M) | cmos_read(CMOS_ABOVE_16M + 1) << 8;
    const uint32_t above_1m = cmos_read(CMOS_ABOVE_1M) | cmos_read(CMOS_ABOVE_1M + 1) << 8;
    const uint32_t above_4g = cmos_read(CMOS_ABOVE_4G) | cmos_read(CMOS_ABOVE_4G + 1) << 8 |
                              cmos_read(CMOS_ABOVE_4G + 2) << 16;
    const uint32_t low = above_16m ? 16 * MIB + (above_16m << 16) : MIB + (above_1m << 10);
    e820_set(0, low, E820_RAM);
    if (above_4g)
        e820_set(GIB4, (uint64_t)above_4g << 16, E820_RAM);
}

static bool from_fwcfg(void)
{
    struct fwcfg_file f;
    if (!fwcfg_find("etc/e820", &f))
        return false;
    const uint32_t count = MIN(f.size / sizeof(struct e820_entry), E820_MAX / 2);
    struct e820_entry entries[E820_MAX / 2];
    fwcfg_read(f.key, entries, count * sizeof *entries);
    for (uint32_t i = 0; i < count; i++)
        e820_set(entries[i].start, entries[i].bytes, entries[i].type);
    return count != 0;
}

static void find_tops(void)
{
    for (unsigned i = 0; i < SHARED(e820_count); i++) {
        const struct e820_entry *e = &SHARED(e820_map)[i];
        const uint64_t end = e->start + e->bytes;
        if (e->type != E820_RAM)
            continue;
        if (end <= GIB4 && end > top_low)
            top_low = (uint32_t)end;
        if (end > GIB4 && end > top_high)
            top_high = end;
    }
}

void ram_init(void)
{
    if (!from_fwcfg())
        from_cmos();
    find_tops();
    fseg_next = CODE_BASE + (uint32_t)seg_f_code_end;
    high_end = top_low;
    high_next = top_low >= 2 * MIB ? top_low - HIGH_ZONE_BYTES : top_low;
    e820_set(EBDA_ADDRESS, 0xA0000 - EBDA_ADDRESS, E820_RESERVED);
    e820_set(0xA0000, 0x60000, 0); /* a hole: no RAM, but for what follows */
    e820_set(DATA_BASE, 0x100000 - DATA_BASE, E820_RESERVED);
    e820_set(IMAGE_BASE - 0x20000, 0x40000, E820_RESERVED);
}

uint32_t ram_top_low(void)
{
    return top_low;
}

uint64_t ram_top_high(void)
{
    return top_high;
}

/* ---- allocation ---- */

static void *take(uint32_t *next, uint32_t end, uint32_t bytes, uint32_t align)
{
    const uint32_t at = ALIGN_UP(*next, align);
    if (at + bytes > end || at + bytes < at)
        return NULL;
    *next = at + bytes;
    return (void *)at;
}

void *alloc_fseg(uint32_t bytes, uint32_t align)
{
    return take(&fseg_next, CODE_BASE + 0xE000, bytes, align);
}

void *alloc_high(uint32_t bytes, uint32_t align)
{
    /* from the end downwards, so that what is reserved is no more than what is used */
    const uint32_t at = (high_end - bytes) & ~(align - 1);
    if (bytes > high_end || at < high_next)
        return alloc_fseg(bytes, align); /* a machine of a megabyte */
    high_end = at;
    const uint32_t page = at & ~0xfffu;
    e820_set(page, top_low - page, E820_RESERVED);
    memset((void *)at, 0, bytes);
    return (void *)at;
}

void *alloc_temp(uint32_t bytes)
{
    return take(&temp_next, POST_HEAP_END, bytes, 16);
}

void free_temp(void *p)
{
    temp_next = (uint32_t)p;
}
