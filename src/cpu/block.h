/*
 * Decoded blocks: straight runs of instructions, keyed by where their first byte lies in host
 * memory (ram_t) and by MODE_*, so that one copy serves every linear address it is mapped at.
 * A block ends at an instruction with OA_END or at its page's end. An instruction that crosses
 * pages is a block of its own that remembers both.
 *
 * Blocks live in an arena that is emptied as a whole. A block that is dropped earlier (its bytes
 * were written) has every handler replaced by op_stale, so that even the block that is running
 * stops behind the store that changed it.
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
    uint8_t n; /* instructions */
    bool stale;
    bool cached; /* in the tables (blocks from I/O memory are not) */
    struct block *hash_next;
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
    insn_fn *first; /* the handler of insn[0], also while a hook of the translator is there */
    struct native *native; /* its host code, if it has any */
    uint32_t heat;         /* entries until it gets some */
    struct insn insn[];
};

#define JUMP_CACHE_LINES 16384

struct jump_line {
    gla_t lin;
    struct block *block;
    uint32_t gen, mode;
};

struct code_page {
    uint64_t code[PAGE_SIZE / 64]; /* a bit for each byte that was decoded */
    struct block *blocks;
};

struct exec_line { /* instruction-fetch translations */
    gla_t page;
    uint32_t gen;
    bool user;
    ram_t ram;
    gpa_t gpa;
};
#define EXEC_LINES 1024

struct code_cache {
    struct ram *ram;
    struct cpu *cpu;
    uint8_t *arena;
    size_t arena_used, arena_bytes;
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
