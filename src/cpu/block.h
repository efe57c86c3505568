/*
 * Decoded blocks: straight runs of instructions, keyed by where their first byte lies in host
 * memory (ram_t) and by MODE_*, so that one copy serves every linear address it is mapped at.
 * A block ends at an instruction with OA_END or at its page's end. An instruction that crosses
 * pages is a block of its own that remembers both.
 *
 * Blocks live in an arena. One that is dropped (its bytes were written) has every handler replaced
 * by op_stale, so that even the block that is running stops behind the store that changed it; the
 * next one of its size takes its place.
 *
 * Most code runs once or twice. So, whenever some MiB of blocks have been decoded, a sweep makes
 * holes of those that were dropped and of those that nobody entered between the last few sweeps,
 * for new ones to be put into. Blocks that have host code stay where they are, since that names
 * them, until there is no room for a new one: then the arena is emptied as a whole.
 */
#ifndef VITRINE_CPU_BLOCK_H
#define VITRINE_CPU_BLOCK_H

#include "cpu/cpu.h"
#include "cpu/decode.h"

#define BLOCK_MAX_INSNS 64

struct block {
    ram_t start; /* of its first byte */
    ram_t page2; /* second page's start, for the crossing kind; else RAM_NONE */
    uint32_t mode;
    uint16_t bytes;
    uint8_t n; /* instructions; 0: this is a hole */
    bool stale;
    bool cached;             /* in the tables (blocks from I/O memory are not) */
    uint8_t idle;            /* sweeps in a row that found its heat unchanged */
    uint32_t room;           /* bytes it takes in the arena */
    uint32_t serial;         /* no two blocks at one place have the same; 0: stale */
    uint32_t heat;           /* entries until it gets host code; 0: it has some, or gets none */
    uint32_t heat_then;      /* ... at the last sweep that looked for cold ones */
    struct native *native;   /* its host code, if it has any */
    struct block *hash_next; /* or the next hole, or dropped one */
    insn_fn *first; /* the handler of insn[0], also while a hook of the translator is there */
    struct block *page_next[2]; /* lists of the code pages it lies on */
    /* Where it continues: [0] fall-through, [1] taken. */
    struct block *link[2];
    /* Links to another page hold for the generation they were made in (0: to its own page, which
     * holds for ever) and for this target: the page may lie elsewhere too, with other neighbours.
     */
    uint32_t link_gen[2];
    gla_t link_lin[2];
    struct block *in_head; /* blocks that link here: list through in_next of their slot */
    struct block *in_next[2];
    struct insn insn[];
};
#define BLOCK_MAX_BYTES  (sizeof(struct block) + (BLOCK_MAX_INSNS + 1) * sizeof(struct insn))

#define JUMP_CACHE_LINES 16384

struct jump_line {
    gla_t lin;
    struct block *block;
    uint32_t gen, mode;
    uint32_t serial; /* of the block that is meant */
};

struct code_page {
    uint64_t code[PAGE_SIZE / 64]; /* a bit for each byte that was decoded */
    struct block *blocks;
    uint64_t swept; /* the last sweep that looked at it */
};

struct exec_line { /* instruction-fetch translations */
    gla_t page;
    uint32_t gen;
    bool user;
    ram_t ram;
    gpa_t gpa;
};
#define EXEC_LINES 1024

#define BLOCK_UNIT 8 /* blocks begin at multiples of that many bytes in the arena */

struct block_arena {
    uint8_t *at;
    size_t used, bytes;
    uint8_t *top, *end; /* where blocks are decoded now: a large hole, or the rest */
    bool fills_hole;    /* the former */
    struct block *last; /* that was put there */
    struct block *hole[BLOCK_MAX_INSNS]; /* by how many instructions they have room for, less 1 */
    uint64_t holes;                      /* a bit for each list that is not empty */
    struct block *dropped[BLOCK_MAX_INSNS]; /* blocks that may be replaced as they are */
    /* Blocks without host code, in units; behind them as much room for a sweep. How many of them
     * the last one left, and how many bytes of blocks came since. */
    uint32_t *young;
    unsigned n_young, survivors;
    size_t placed;
};

#define GHOST_BITS 16

struct code_cache {
    struct ram *ram;
    struct cpu *cpu;
    struct block_arena arena;
    uint32_t serial; /* of the newest block */
    uint64_t sweeps;
    /* Of cold blocks: how many sweeps leave them alone from now on, and from each one that did not;
     * how many were decoded since the last one, and which of them a sweep had taken. */
    unsigned cold_wait, cold_rest;
    uint64_t decoded, decoded_again;
    uint64_t *ghosts; /* of those that were taken: by 16 bits of a hash, 48 more and the heat */
    struct block **hash;
    struct code_page **pages; /* by page of struct ram */
    struct jump_line jump[JUMP_CACHE_LINES];
    struct exec_line exec[EXEC_LINES];
    struct block *io_block; /* one instruction fetched from where there is no host memory */
    struct jit *jit;        /* NULL: everything is interpreted */
};

struct code_cache *code_cache_create(struct cpu *cpu, struct ram *ram, struct error *err);
void code_cache_destroy(struct code_cache *cc);

/* The block at cpu->rip in the current mode, decoded if need be. Faults as the fetch would. */
struct block *code_find(struct cpu *cpu);

/*
 * The block at lin that code_find() would find there in flat code of the current mode, if it is
 * decoded and its pages are known without a walk; else NULL. General registers only.
 */
const struct block *code_known(struct cpu *cpu, gla_t lin);
/* The page of RAM that lin is in for fetches, if that is known without a walk; else RAM_NONE.
 * General registers only. */
ram_t code_page_known(struct cpu *cpu, gla_t lin);

/* [at, at+len) was written: drops the blocks it overlaps, those of first and of all behind it. */
void code_written(struct cpu *first, ram_t at, uint64_t len);
/* Whether another CPU has decoded any of [at, at+len), on one page. The lock is held. */
bool code_of_others(const struct cpu *cpu, ram_t at, unsigned len);
/* Whether code was decoded from the page of [at, at+len), but none from these bytes. */
bool code_beside(const struct cpu *cpu, ram_t at, unsigned len);
/* Drops everything, e.g. when breakpoints change. Not while a block runs. */
void code_flush(struct code_cache *cc);
/* Makes from continue at to, which lies at lin, from its slot on. */
void code_link(struct code_cache *cc, struct block *from, unsigned slot, struct block *to,
               gla_t lin, bool same_page);

/* block_arena.c. False: there is no memory. huge: of large pages, where there are any. */
bool block_arena_create(struct block_arena *a, size_t bytes, bool huge);
void block_arena_destroy(struct block_arena *a);
void block_arena_empty(struct block_arena *a);
/* The block behind b, the first one behind NULL; NULL at the end. */
struct block *block_arena_next(struct block_arena *a, const struct block *b);
/* Where any block may be decoded, its header cleared; overwritten by the next one. NULL: there is
 * no room. */
struct block *block_arena_top(struct block_arena *a);
/* The block that was decoded there is put where it stays. */
struct block *block_arena_place(struct block_arena *a);
/* The block is stale and no host code names it: the next of its size takes its place. */
void block_arena_drop(struct block_arena *a, struct block *b);
/* These n blocks become holes; no dropped one is left. */
void block_arena_free(struct block_arena *a, const uint32_t *gone, unsigned n);
static inline struct block *block_arena_at(const struct block_arena *a, uint32_t unit)
{
    return (struct block *)(a->at + (size_t)unit * BLOCK_UNIT);
}

static inline bool block_is_hole(const struct block *b)
{
    return b->n == 0;
}

static inline struct block *block_of(const struct insn *u)
{
    return (struct block *)((uintptr_t)(u - u->index) - offsetof(struct block, insn));
}

/* Where b continues (slot as in link) when its first instruction is at rip. */
static inline gla_t block_target(const struct cpu *cpu, const struct block *b, unsigned slot,
                                 uint64_t rip)
{
    const struct insn *last = &b->insn[b->n - 1];
    if (slot)
        return (rip + (uint64_t)last->disp) & last->imm;
    return cpu_code64(cpu) ? rip + b->bytes : (uint32_t)(rip + b->bytes);
}

static inline uint32_t block_gen(const struct cpu *cpu, const struct block *b)
{
    return cpu->code_gen[(b->mode & MODE_USER) != 0];
}

/* Whether a link from b to at, in the page b starts in, holds for ever: neither b nor what is there
 * reaches into the next page, which may be another one some day. */
static inline bool code_link_stays(const struct block *b, gla_t at)
{
    return b->page2 == RAM_NONE && (at & ~PAGE_MASK) + MAX_INSN_BYTES <= PAGE_SIZE;
}

/* The block that from goes on with at target; NULL: not known. Links never leave canonical space.
 */
static inline struct block *code_linked(const struct cpu *cpu, const struct block *from,
                                        unsigned slot, gla_t target)
{
    struct block *to = from->link[slot];
    const bool valid =
        to && (!from->link_gen[slot] ||
               (from->link_gen[slot] == block_gen(cpu, from) && from->link_lin[slot] == target));
    return likely(valid) ? to : NULL;
}

static inline unsigned jump_index(gla_t lin)
{
    return (unsigned)(lin >> 3 ^ lin >> 15) & (JUMP_CACHE_LINES - 1);
}

/* bind.c: chooses handlers for one instruction, and joins pairs of a finished block. */
void bind_insn(struct insn *u, uint32_t mode);
/* Whether the bound instruction leaves its block: single MOVS, STOS and LODS need not. */
bool bind_ends_block(const struct insn *u);
void bind_fuse(struct block *b);
/* The handler u would have if it were not fused with its successor. */
insn_fn *bind_plain(const struct insn *u, uint32_t mode);

#endif
