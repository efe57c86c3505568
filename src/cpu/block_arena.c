/* Where decoded blocks lie, and the holes between them. */
#include "cpu/block.h"

#include <string.h>
#include <sys/mman.h>

#define BLOCK_BYTES(n) (sizeof(struct block) + ((n) + 1u) * sizeof(struct insn))

static void *reserve(size_t bytes, int flags)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

static size_t list_bytes(const struct block_arena *a)
{
    return 2 * sizeof *a->young * (a->bytes / BLOCK_BYTES(1));
}

bool block_arena_create(struct block_arena *a, size_t bytes, bool huge)
{
    /* low, where it can be, so that translated code names blocks by 32 bits */
    void *at = reserve(bytes, MAP_32BIT);
    *a = (struct block_arena){.at = at ? at : reserve(bytes, 0), .bytes = bytes};
    a->young = reserve(list_bytes(a), 0);
    if (huge && a->at)
        madvise(a->at, bytes, MADV_HUGEPAGE); /* it is filled from its start */
    return a->at && a->young;
}

void block_arena_destroy(struct block_arena *a)
{
    if (a->at)
        munmap(a->at, a->bytes);
    if (a->young)
        munmap(a->young, list_bytes(a));
}

void block_arena_empty(struct block_arena *a)
{
    a->used = 0;
    a->top = a->end = NULL;
    a->fills_hole = false;
    a->n_young = a->survivors = 0;
    a->placed = 0;
    memset(a->hole, 0, sizeof a->hole);
    memset(a->dropped, 0, sizeof a->dropped);
    a->holes = 0;
}

/* --- holes: hole[i] has room for i + 1 instructions, the last of them for that or more --- */

static unsigned hole_index(size_t room)
{
    const size_t insns = (room - BLOCK_BYTES(0)) / sizeof(struct insn);
    return (unsigned)MIN(insns, (size_t)BLOCK_MAX_INSNS) - 1;
}

static void add_hole(struct block_arena *a, uint8_t *from, const uint8_t *to)
{
    if (from == to)
        return;
    struct block *b = (struct block *)from;
    const size_t room = (size_t)(to - from);
    const unsigned i = hole_index(room);
    b->n = 0;
    b->room = (uint32_t)room;
    b->hash_next = a->hole[i];
    a->hole[i] = b;
    a->holes |= BIT64(i);
}

static struct block *take_hole(struct block_arena *a, unsigned i)
{
    struct block *b = a->hole[i];
    a->hole[i] = b->hash_next;
    if (!a->hole[i])
        a->holes &= ~BIT64(i);
    return b;
}

/* --- new blocks --- */

/* What is left of the hole that is being filled is a smaller one. */
static void leave_hole(struct block_arena *a)
{
    if (a->fills_hole) {
        const size_t left = (size_t)(a->end - a->top);
        if (left >= BLOCK_BYTES(1))
            add_hole(a, a->top, a->end);
        else if (left)
            a->last->room += (uint32_t)left;
    }
    a->top = a->end = NULL;
    a->fills_hole = false;
}

static void choose_top(struct block_arena *a)
{
    leave_hole(a);
    if (a->hole[BLOCK_MAX_INSNS - 1]) {
        struct block *b = take_hole(a, BLOCK_MAX_INSNS - 1);
        a->top = (uint8_t *)b;
        a->end = a->top + b->room;
        a->fills_hole = true;
    } else if (a->bytes - a->used >= BLOCK_MAX_BYTES) {
        a->top = a->at + a->used;
        a->end = a->at + a->bytes;
    }
}

struct block *block_arena_top(struct block_arena *a)
{
    const bool fits = a->top && (size_t)(a->end - a->top) >= BLOCK_MAX_BYTES;
    if (unlikely(!fits || (!a->fills_hole && a->hole[BLOCK_MAX_INSNS - 1])))
        choose_top(a);
    return a->top ? memset(a->top, 0, sizeof(struct block)) : NULL;
}

/* A hole for a block of so many bytes and n instructions; NULL: there is none. */
static struct block *find_hole(struct block_arena *a, unsigned n, size_t bytes)
{
    const uint64_t fit = a->holes & ~(BIT64(n - 1) - 1);
    if (!fit)
        return NULL;
    struct block *b = take_hole(a, (unsigned)__builtin_ctzll(fit));
    if (b->room - bytes >= BLOCK_BYTES(1)) {
        add_hole(a, (uint8_t *)b + bytes, (uint8_t *)b + b->room);
        b->room = (uint32_t)bytes;
    }
    return b;
}

static struct block *put_into(struct block *place, struct block *b)
{
    b->room = place->room;
    return memcpy(place, b, BLOCK_BYTES(b->n));
}

struct block *block_arena_place(struct block_arena *a)
{
    struct block *b = (struct block *)a->top, **const dropped = &a->dropped[b->n - 1];
    const size_t bytes = BLOCK_BYTES(b->n);
    if (*dropped) {
        struct block *const place = *dropped;
        *dropped = place->hash_next;
        return put_into(place, b);
    }
    struct block *const hole = a->fills_hole ? NULL : find_hole(a, b->n, bytes);
    if (hole) {
        b = put_into(hole, b);
    } else {
        b->room = (uint32_t)bytes;
        a->top += bytes;
        if (!a->fills_hole)
            a->used += bytes;
        a->last = b;
    }
    a->placed += bytes;
    a->young[a->n_young++] = (uint32_t)(((uint8_t *)b - a->at) / BLOCK_UNIT);
    return b;
}

void block_arena_drop(struct block_arena *a, struct block *b)
{
    b->hash_next = a->dropped[b->n - 1];
    a->dropped[b->n - 1] = b;
}

/* --- sweeps --- */

void block_arena_free(struct block_arena *a, const uint32_t *gone, unsigned n)
{
    leave_hole(a);
    memset(a->dropped, 0, sizeof a->dropped);
    uint8_t *from = NULL, *to = NULL; /* neighbours that were put there one after the other */
    for (unsigned i = 0; i < n; i++) {
        struct block *b = block_arena_at(a, gone[i]);
        if ((uint8_t *)b != to) {
            add_hole(a, from, to);
            from = (uint8_t *)b;
        }
        to = (uint8_t *)b + b->room;
    }
    if (n)
        add_hole(a, from, to);
}

struct block *block_arena_next(struct block_arena *a, const struct block *b)
{
    leave_hole(a);
    uint8_t *const end = a->at + a->used;
    uint8_t *next = b ? (uint8_t *)(uintptr_t)b + b->room : a->at;
    while (next < end && block_is_hole((struct block *)next))
        next += ((struct block *)next)->room;
    return next < end ? (struct block *)next : NULL;
}
