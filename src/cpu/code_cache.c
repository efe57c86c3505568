/* See block.h: finding, decoding, linking and dropping blocks. */
#define _GNU_SOURCE
#include "cpu/block.h"
#include "cpu/access.h"
#include "cpu/decode_tables.h"
#include "cpu/handlers.h"
#include "cpu/jit/jit.h"
#include "cpu/run.h"

#include <stdlib.h>
#include <sys/mman.h>

#define ARENA_BYTES    (128 * MiB)
#define SWEEPS         64 /* one when that part of the arena is new... */
#define SWEEP_COST     64 /* ... and so many bytes for each block that has to be looked at again */
#define SWEEP_AHEAD    8  /* blocks, lines */
#define COLD_SWEEPS    3  /* in a row that nobody entered a block between: it goes */
#define TOO_MANY_AGAIN 4  /* that part of what is decoded had been taken by a sweep */
#define HASH_BITS      18

struct code_cache *code_cache_create(struct cpu *cpu, struct ram *ram, struct error *err)
{
    struct code_cache *cc = calloc(1, sizeof *cc);
    if (!cc)
        goto fail;
    cc->cpu = cpu;
    cc->ram = ram;
    const size_t bytes = cpu_share(cpu, ARENA_BYTES);
    const bool arena = block_arena_create(&cc->arena, bytes, bytes == ARENA_BYTES);
    cc->ghosts = calloc(UINT64_C(1) << GHOST_BITS, sizeof *cc->ghosts);
    cc->hash = calloc(UINT64_C(1) << HASH_BITS, sizeof *cc->hash);
    /* one pointer a page, committed as it is touched */
    cc->pages = mmap(NULL, (ram->size_bytes >> PAGE_SHIFT) * sizeof *cc->pages,
                     PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cc->io_block = calloc(1, BLOCK_MAX_BYTES);
    if (!arena || cc->pages == MAP_FAILED || !cc->hash || !cc->io_block || !cc->ghosts)
        goto fail;
    return cc;
fail:
    error_set(err, "not enough host memory for the decoder's cache (%u MiB)",
              (unsigned)(cpu_share(cpu, ARENA_BYTES) / MiB));
    if (cc)
        code_cache_destroy(cc);
    return NULL;
}

/* The page holds no block of ours any more; its mark goes with the last CPU that had one. */
static void forget_page(struct code_cache *cc, ram_t page)
{
    struct code_page **cp = &cc->pages[page >> PAGE_SHIFT];
    if (!*cp)
        return;
    free(*cp);
    *cp = NULL;
    for (const struct cpu *cpu = cpu_first(cc->ram); cpu; cpu = cpu->next)
        if (cpu->code->pages[page >> PAGE_SHIFT])
            return;
    ram_clear_flags(cc->ram, page, RAM_CODE);
}

static void free_pages(struct code_cache *cc)
{
    for (struct block *b = block_arena_next(&cc->arena, NULL); b;
         b = block_arena_next(&cc->arena, b)) {
        forget_page(cc, b->start & PAGE_MASK);
        if (b->page2 != RAM_NONE)
            forget_page(cc, b->page2);
    }
}

void code_cache_destroy(struct code_cache *cc)
{
    if (!cc)
        return;
    if (cc->pages && cc->pages != MAP_FAILED) {
        free_pages(cc);
        munmap(cc->pages, (cc->ram->size_bytes >> PAGE_SHIFT) * sizeof *cc->pages);
    }
    block_arena_destroy(&cc->arena);
    jit_destroy(cc->jit);
    free(cc->ghosts);
    free(cc->hash);
    free(cc->io_block);
    free(cc);
}

void code_flush(struct code_cache *cc)
{
    struct world *const world = cc->cpu->world;
    world_enter(world);
    free_pages(cc);
    world_leave(world);
    block_arena_empty(&cc->arena);
    cc->serial = 0;
    memset(cc->hash, 0, sizeof *cc->hash << HASH_BITS);
    memset(cc->jump, 0, sizeof cc->jump);
    if (cc->jit)
        jit_flush(cc->jit);
    cc->cpu->link_from = NULL;
    cc->cpu->broken = cc->cpu->unfused = NULL;
    cc->cpu->stats.cache_flushes++;
}

/* Blocks of a page have heads close together: who runs one will soon look for the next. */
static unsigned hash_index(ram_t start, uint32_t mode)
{
    const uint64_t h = (start >> PAGE_SHIFT ^ (uint64_t)mode << 40) * UINT64_C(0x9e3779b97f4a7c15);
    return (unsigned)(h >> (64 - HASH_BITS)) ^ (unsigned)(start & ~PAGE_MASK) >> 3;
}

/* The block decoded behind b often is wanted behind it once more; its header is not in the cache.
 */
static void expect_next(const struct block *b)
{
    const uint8_t *next = (const uint8_t *)b + b->room;
    for (unsigned i = 0; i < sizeof *b; i += 64)
        __builtin_prefetch(next + i);
}

/* --- links --- */

static void unlink_outgoing(struct block *b, unsigned slot)
{
    struct block *to = b->link[slot];
    if (!to)
        return;
    /* the list threads through (block, slot) pairs; slot is kept in bit 0 of the pointer */
    for (uintptr_t *p = (uintptr_t *)&to->in_head; *p;) {
        struct block *from = (struct block *)(*p & ~(uintptr_t)1);
        const unsigned s = *p & 1;
        if (from == b && s == slot) {
            *p = (uintptr_t)from->in_next[s];
            break;
        }
        p = (uintptr_t *)&from->in_next[s];
    }
    b->link[slot] = NULL;
    jit_unlink(b, slot);
}

static void unlink_incoming(struct block *b)
{
    uintptr_t p = (uintptr_t)b->in_head;
    while (p) {
        struct block *from = (struct block *)(p & ~(uintptr_t)1);
        const unsigned s = p & 1;
        p = (uintptr_t)from->in_next[s];
        from->link[s] = NULL;
        jit_unlink(from, s);
    }
    b->in_head = NULL;
}

void code_link(struct code_cache *cc, struct block *from, unsigned slot, struct block *to,
               gla_t lin, bool same_page)
{
    if (from->stale || to->stale || !from->cached || !to->cached)
        return;
    if (unlikely(cc->jit && cc->jit->no_chain))
        return;
    if (from->link[slot] != to) {
        unlink_outgoing(from, slot);
        from->link[slot] = to;
        from->in_next[slot] = to->in_head;
        to->in_head = (struct block *)((uintptr_t)from | slot);
    }
    from->link_gen[slot] = same_page ? 0 : block_gen(cc->cpu, from);
    from->link_lin[slot] = lin;
    if (cc->jit)
        jit_link(cc->jit, from, slot, to);
}

/* --- dropping --- */

/* Out of the table and of all links. */
static void take_out(struct code_cache *cc, struct block *b)
{
    b->stale = true;
    b->serial = 0;
    for (struct block **p = &cc->hash[hash_index(b->start, b->mode)]; *p; p = &(*p)->hash_next) {
        if (*p == b) {
            *p = b->hash_next;
            break;
        }
    }
    unlink_incoming(b);
    unlink_outgoing(b, 0);
    unlink_outgoing(b, 1);
}

static void drop(struct code_cache *cc, struct block *b)
{
    if (b->stale)
        return;
    for (unsigned i = 0; i <= b->n; i++)
        b->insn[i].fn = op_stale;
    jit_drop(cc->jit, b);
    take_out(cc, b);
    cc->cpu->stats.blocks_dropped++;
    if (!b->native && b->page2 == RAM_NONE) /* another page would have it in its list still */
        block_arena_drop(&cc->arena, b);
}

static struct block **page_list_next(struct block *b, ram_t page)
{
    return &b->page_next[(b->start & PAGE_MASK) == page ? 0 : 1];
}

/* Bytes of b on this page, as [from, to) offsets. */
static void page_extent(const struct block *b, ram_t page, unsigned *from, unsigned *to)
{
    if ((b->start & PAGE_MASK) == page) {
        *from = b->start & ~PAGE_MASK;
        *to = MIN(*from + b->bytes, (unsigned)PAGE_SIZE);
    } else {
        *from = 0;
        *to = (unsigned)((b->start & ~PAGE_MASK) + b->bytes - PAGE_SIZE);
    }
}

/* The bits of word w of a page's map that [from, to) covers. */
static uint64_t word_bits(unsigned w, unsigned from, unsigned to)
{
    const unsigned lo = MAX(from, w * 64), hi = MIN(to, w * 64 + 64);
    return bits(~UINT64_C(0), hi - 1 - lo, 0) << (lo - w * 64);
}

static void mark_code(struct code_page *cp, unsigned from, unsigned to)
{
    for (unsigned w = from / 64; w <= (to - 1) / 64; w++)
        cp->code[w] |= word_bits(w, from, to);
}

static bool holds_code(const struct code_page *cp, unsigned from, unsigned to)
{
    for (unsigned w = from / 64; w <= (to - 1) / 64; w++)
        if (cp->code[w] & word_bits(w, from, to))
            return true;
    return false;
}

/* Takes the blocks that lie in [from, to) off the page, and those that are stale. */
static void clear_page(struct code_cache *cc, ram_t page, unsigned from, unsigned to)
{
    struct code_page *cp = cc->pages[page >> PAGE_SHIFT];
    memset(cp->code, 0, sizeof cp->code);
    struct block **p = &cp->blocks;
    while (*p) {
        struct block *b = *p;
        unsigned bf, bt;
        page_extent(b, page, &bf, &bt);
        if (b->stale || (bf < to && from < bt)) {
            *p = *page_list_next(b, page);
            drop(cc, b);
        } else {
            mark_code(cp, bf, bt);
            p = page_list_next(b, page);
        }
    }
    if (!cp->blocks)
        forget_page(cc, page);
}

static void page_written(struct code_cache *cc, ram_t page, unsigned from, unsigned to)
{
    struct code_page *cp = cc->pages[page >> PAGE_SHIFT];
    if (cp && holds_code(cp, from, to))
        clear_page(cc, page, from, to);
}

bool code_of_others(const struct cpu *cpu, ram_t at, unsigned len)
{
    const unsigned from = at & ~PAGE_MASK;
    for (const struct cpu *c = cpu_first(cpu->mem->ram); c; c = c->next) {
        const struct code_page *cp = c->code->pages[at >> PAGE_SHIFT];
        if (c != cpu && cp && holds_code(cp, from, from + len))
            return true;
    }
    return false;
}

bool code_beside(const struct cpu *cpu, ram_t at, unsigned len)
{
    const unsigned from = at & ~PAGE_MASK;
    bool any = false;
    for (const struct cpu *c = cpu_first(cpu->mem->ram); c; c = c->next) {
        const struct code_page *cp = c->code->pages[at >> PAGE_SHIFT];
        any |= cp != NULL;
        if (cp && holds_code(cp, from, from + len))
            return false;
    }
    return any;
}

/* Blocks of a CPU that runs are dropped while it does not. */
static void piece_written(struct cpu *first, ram_t page, unsigned from, unsigned to)
{
    struct world *const world = first->world;
    const struct world_member *const self = world_self();
    bool stopped = false, any = false;
    for (struct cpu *cpu = first; cpu; cpu = cpu->next) {
        const struct code_page *cp = cpu->code->pages[page >> PAGE_SHIFT];
        any |= cp != NULL;
        if (!cp || !holds_code(cp, from, to))
            continue;
        if (world && self != &cpu->member) {
            if (!stopped)
                world_stop(world);
            stopped = true;
            cpu->code_patched = true;
        }
        page_written(cpu->code, page, from, to);
    }
    if (stopped)
        world_go(world);
    if (!any) /* marked for a block that was not kept */
        ram_clear_flags(first->mem->ram, page, RAM_CODE);
}

void code_written(struct cpu *first, ram_t at, uint64_t len)
{
    world_enter(first->world);
    while (len) {
        const unsigned off = at & ~PAGE_MASK;
        const uint64_t n = MIN(len, PAGE_SIZE - off);
        piece_written(first, at & PAGE_MASK, off, (unsigned)(off + n));
        at += n;
        len -= n;
    }
    world_leave(first->world);
}

/* True: it was not marked before. */
static bool mark_page(struct code_cache *cc, ram_t page)
{
    if (ram_flags(cc->ram, page) & RAM_CODE)
        return false;
    ram_set_flags(cc->ram, page, RAM_CODE);
    return true;
}

static void enter_page(struct code_cache *cc, struct block *b, ram_t page)
{
    struct code_page **cp = &cc->pages[page >> PAGE_SHIFT];
    mark_page(cc, page);
    if (!*cp) {
        *cp = calloc(1, sizeof **cp);
        if (!*cp) {
            b->cached = false;
            return;
        }
    }
    unsigned from, to;
    page_extent(b, page, &from, &to);
    mark_code(*cp, from, to);
    *page_list_next(b, page) = (*cp)->blocks;
    (*cp)->blocks = b;
}

/* --- sweeping --- */

static uint64_t *ghost_of(struct code_cache *cc, const struct block *b, uint64_t *tag)
{
    const uint64_t h = (b->start ^ (uint64_t)b->mode << 40) * UINT64_C(0x9e3779b97f4a7c15);
    *tag = h << GHOST_BITS;
    return &cc->ghosts[h >> (64 - GHOST_BITS)];
}

#define GHOST_HEAT ((uint32_t)BIT(GHOST_BITS) - 1) /* that much, or more */

/* The block goes; should it come back, it is as near to being translated as it was. */
static void leave_ghost(struct code_cache *cc, const struct block *b)
{
    uint64_t tag, *const ghost = ghost_of(cc, b, &tag);
    *ghost = tag | MIN(b->heat, GHOST_HEAT);
}

static void recall_ghost(struct code_cache *cc, struct block *b)
{
    uint64_t tag, *const ghost = ghost_of(cc, b, &tag);
    const uint32_t heat = *ghost & GHOST_HEAT; /* 0: nobody's */
    cc->decoded++;
    b->heat_then = b->heat;
    if (!heat || !b->heat || (*ghost ^ tag) >> GHOST_BITS)
        return;
    if (heat < GHOST_HEAT)
        b->heat = b->heat_then = MIN(heat, b->heat);
    *ghost = 0;
    cc->decoded_again++;
    cc->cpu->stats.blocks_again++;
}

static void sweep_page(struct code_cache *cc, ram_t page)
{
    struct code_page *cp = cc->pages[page >> PAGE_SHIFT];
    if (!cp || cp->swept == cc->sweeps)
        return;
    cp->swept = cc->sweeps;
    clear_page(cc, page, 0, 0);
}

/* Whether this sweep looks for cold blocks, and takes them. If too many of them come back, only
 * later ones do. */
static bool takes_cold(struct code_cache *cc)
{
    if (cc->cold_wait) {
        cc->cold_wait--;
        return false;
    }
    const bool too_many = cc->decoded_again > cc->decoded / TOO_MANY_AGAIN;
    cc->cold_rest = too_many ? MIN(2 * cc->cold_rest + 1, 63U) : cc->cold_rest / 2;
    cc->cold_wait = cc->cold_rest;
    cc->decoded = cc->decoded_again = 0;
    return !too_many;
}

/* Whether b stays, which it does not if it is cold and those go. */
static bool survives(struct code_cache *cc, struct block *b, bool cold_go)
{
    if (b->stale || !cold_go || !b->heat)
        return !b->stale;
    b->idle = b->heat == b->heat_then ? b->idle + 1 : 0;
    b->heat_then = b->heat;
    if (b->idle < COLD_SWEEPS)
        return true;
    leave_ghost(cc, b);
    take_out(cc, b);
    cc->cpu->stats.blocks_swept++;
    return false;
}

/* Blocks that have host code now are no longer listed as young ones. Those that go are listed
 * behind what was there; returns how many. */
static unsigned sort_young(struct code_cache *cc)
{
    struct block_arena *const a = &cc->arena;
    const bool cold_go = takes_cold(cc);
    const unsigned n = a->n_young;
    uint32_t *const gone = a->young + n;
    unsigned stay = 0, go = 0;
    for (unsigned i = 0; i < n; i++) {
        struct block *b = block_arena_at(a, a->young[i]);
        if (i + SWEEP_AHEAD < n)
            __builtin_prefetch(block_arena_at(a, a->young[i + SWEEP_AHEAD]));
        if (b->native)
            continue;
        if (survives(cc, b, cold_go))
            a->young[stay++] = a->young[i];
        else
            gone[go++] = a->young[i];
    }
    a->n_young = a->survivors = stay;
    a->placed = 0;
    return go;
}

/* Blocks whose places are free now. */
static void forget_gone(struct cpu *cpu)
{
    if (cpu->link_from && (cpu->link_from->stale || !cpu->link_from->cached))
        cpu->link_from = NULL;
    if (cpu->broken && block_of(cpu->broken)->stale)
        cpu->broken = cpu->unfused = NULL;
}

static void forget_gone_jumps(struct code_cache *cc)
{
    for (unsigned i = 0; i < JUMP_CACHE_LINES; i++) {
        __builtin_prefetch(cc->jump[(i + SWEEP_AHEAD) % JUMP_CACHE_LINES].block);
        if (cc->jump[i].block && cc->jump[i].block->stale)
            cc->jump[i] = (struct jump_line){0};
    }
}

/* Not while a block runs. The world is held: stores of others are looked for in the lists. */
static void sweep(struct code_cache *cc)
{
    struct block_arena *const a = &cc->arena;
    const uint32_t *const gone = a->young + a->n_young;
    const unsigned n = sort_young(cc);
    cc->sweeps++;
    for (unsigned i = 0; i < n; i++) {
        const struct block *b = block_arena_at(a, gone[i]);
        sweep_page(cc, b->start & PAGE_MASK);
        if (b->page2 != RAM_NONE)
            sweep_page(cc, b->page2);
    }
    forget_gone(cc->cpu);
    forget_gone_jumps(cc);
    block_arena_free(a, gone, n);
}

/* --- fetching --- */

/* Linear address of an instruction offset: CS base outside 64-bit mode. */
static gla_t code_linear(const struct cpu *cpu, uint64_t rip)
{
    if (cpu_code64(cpu))
        return rip;
    return (uint32_t)(cpu->seg[SEG_CS].base + rip);
}

static struct exec_line *exec_line_of(struct cpu *cpu, gla_t lin)
{
    return &cpu->code->exec[(lin >> PAGE_SHIFT) & (EXEC_LINES - 1)];
}

static bool exec_hit(const struct cpu *cpu, const struct exec_line *e, gla_t lin)
{
    return e->page == (lin & PAGE_MASK) && e->gen == cpu_code_gen(cpu) &&
           e->user == (cpu->cpl == 3);
}

static struct shadow_list *code_list(struct cpu *cpu)
{
    return cpu->cpl == 3 ? &cpu->spaces->cur->user : &cpu->spaces->system;
}

static const struct exec_line *exec_fill(struct cpu *cpu, gla_t lin, gpa_t gpa)
{
    struct exec_line *e = exec_line_of(cpu, lin);
    gpa &= PAGE_MASK & cpu->mem->a20_mask;
    *e = (struct exec_line){
        .page = lin & PAGE_MASK,
        .gen = cpu_code_gen(cpu),
        .user = cpu->cpl == 3,
        .ram = memmap_ram(cpu->mem, gpa, false),
        .gpa = gpa,
    };
    return e;
}

/*
 * Translates a page for execution; faults with CR2 = lin, or because that is not canonical. A walk
 * that sets A where there is code lets other CPUs go on, and one may change the memory map: what
 * was found by then is of a generation that is no more.
 */
static const struct exec_line *exec_translate(struct cpu *cpu, gla_t lin)
{
    const struct exec_line *e = exec_line_of(cpu, lin);
    if (likely(exec_hit(cpu, e, lin)))
        return e;
    struct walk_result w = {.gpa = lin};
    if (unlikely(cpu_code64(cpu) && !cpu_canonical(cpu, lin)))
        cpu_gp0(cpu, REASON_NONCANONICAL);
    cpu->stats.tlb_misses[WALK_EXEC]++;
    while (cpu->walk.mode != PAGING_NONE && !shadow_find(code_list(cpu), lin, &w.gpa)) {
        const bool user = cpu->cpl == 3;
        const uint32_t gen = cpu_code_gen(cpu);
        struct walk_trail trail;
        if (!walk_fetch(cpu->mem, &cpu->walk, lin, user, &w, &trail))
            cpu_fault_page(cpu, lin, &w, WALK_EXEC, user, false);
        if (unlikely(cpu_code_gen(cpu) != gen))
            continue;
        shadow_add(code_list(cpu), lin, &w, w.global && (cpu->cr4 & CR4_PGE), &trail);
        break;
    }
    return exec_fill(cpu, lin, w.gpa);
}

/* The same where that takes no walk; else NULL. */
static const struct exec_line *exec_known(struct cpu *cpu, gla_t lin)
{
    const struct exec_line *e = exec_line_of(cpu, lin);
    gpa_t gpa = lin;
    if (likely(exec_hit(cpu, e, lin)))
        return e;
    if (cpu->walk.mode != PAGING_NONE && !shadow_find(code_list(cpu), lin, &gpa))
        return NULL;
    cpu->stats.tlb_misses[WALK_EXEC]++;
    return exec_fill(cpu, lin, gpa);
}

/* One more instruction into b; false: the block ends before it. */
static bool add_insn(struct cpu *cpu, struct block *b, struct insn *u, enum decode_status st)
{
    if (st == DECODE_TOO_LONG) {
        *u = (struct insn){
            .fn = op_too_long, .row = &opcode_ud, .op = OP_UD, .off = b->bytes, .len = u->len};
    } else {
        bind_insn(u, b->mode);
    }
    u->index = b->n++;
    b->bytes += u->len;
    cpu->stats.insns_decoded++;
    return st == DECODE_OK && !bind_ends_block(u);
}

/* Ends the instruction array with a handler that leaves the block. */
static void finish(struct block *b)
{
    struct insn *last = &b->insn[b->n];
    *last = (struct insn){.fn = op_block_end, .row = &opcode_ud, .op = OP_UD};
    last->off = b->bytes;
    last->index = b->n;
    bind_fuse(b);
    b->first = b->insn->fn;
}

/* Fetches up to 15 bytes that may lie on two pages or in I/O memory. Returns how many. */
static size_t fetch_bytes(struct cpu *cpu, gla_t lin, const struct exec_line *first, uint8_t *buf,
                          size_t want, ram_t *page2)
{
    *page2 = RAM_NONE;
    struct exec_line e = *first;
    for (size_t i = 0; i < want; i++) {
        const gla_t at = cpu_code64(cpu) ? lin + i : (uint32_t)(lin + i);
        if (i && !(at & ~PAGE_MASK)) {
            e = *exec_translate(cpu, at);
            *page2 = e.ram;
        }
        const unsigned off = at & ~PAGE_MASK;
        if (e.ram != RAM_NONE)
            buf[i] = *ram_host(cpu->mem->ram, e.ram + off);
        else
            buf[i] = (uint8_t)memmap_read(cpu->mem, e.gpa + off, 1);
    }
    return want;
}

/*
 * The instruction at lin crosses a page, or lies in I/O memory, or near the CS limit: fetched byte
 * by byte, so that only bytes it really has are touched. It becomes a block of its own.
 */
static struct block *decode_single(struct cpu *cpu, gla_t lin, const struct exec_line *first,
                                   struct block *b, uint64_t bytes_left)
{
    uint8_t buf[16];
    ram_t page2 = RAM_NONE;
    enum decode_status st = DECODE_SHORT;
    for (size_t have = 1; st == DECODE_SHORT; have++) {
        if (have > bytes_left)
            cpu_fault(cpu, VEC_GP, 0, REASON_CODE_LIMIT);
        fetch_bytes(cpu, lin, first, buf, have, &page2);
        st = decode(&b->insn[0], buf, have, b->mode, &cpu->feat, 0);
        if (page2 != RAM_NONE && mark_page(cpu->code, page2)) {
            st = DECODE_SHORT; /* once more, as it may have changed until then */
            have--;
        }
    }
    add_insn(cpu, b, &b->insn[0], st);
    b->page2 = page2;
    finish(b);
    return b;
}

static void decode_run(struct cpu *cpu, struct block *b, const uint8_t *host, size_t avail,
                       gla_t lin)
{
    while (b->n < BLOCK_MAX_INSNS) {
        struct insn *u = &b->insn[b->n];
        if (cpu->breakpoints && b->n && cpu_breakpoint_at(cpu, lin + b->bytes))
            break;
        const enum decode_status st =
            decode(u, host + b->bytes, avail - b->bytes, b->mode, &cpu->feat, b->bytes);
        if (st == DECODE_SHORT)
            break; /* crosses the page: a block of its own; b->n may be 0 */
        if (!add_insn(cpu, b, u, st))
            break;
    }
}

static struct block *new_block(struct code_cache *cc)
{
    struct block_arena *const a = &cc->arena;
    forget_gone(cc->cpu);
    if (unlikely(a->placed >= a->bytes / SWEEPS + a->survivors * SWEEP_COST))
        sweep(cc);
    struct block *b = cc->serial < UINT32_MAX ? block_arena_top(a) : NULL;
    if (unlikely(!b)) {
        code_flush(cc);
        b = block_arena_top(a);
    }
    return b;
}

static void reach(struct cpu *cpu, enum cpu_milestone which)
{
    if (cpu->milestones & BIT(which))
        return;
    cpu->milestones |= (uint8_t)BIT(which);
    if (cpu->hooks.milestone)
        cpu->hooks.milestone(cpu->hooks.opaque, which);
}

/* Seen when code is decoded, which the first instruction of each stage is. */
static void note_milestones(struct cpu *cpu, gla_t lin)
{
    if (lin == 0x7c00 && !cpu_prot(cpu))
        reach(cpu, CPU_BOOT_SECTOR);
    if ((cpu->milestones & BIT(CPU_BOOT_SECTOR)) && cpu_prot(cpu) && !cpu_vm86(cpu))
        reach(cpu, CPU_PROTECTED); /* firmware is there long before a boot sector */
    if (cpu->cr0 & CR0_PG)
        reach(cpu, cpu->cpl == 3 ? CPU_USER : CPU_PAGING);
}

/* The bytes of a block are read when its page is marked already: nobody changes them unseen. The
 * translator works from what was decoded: by then they may be others. */
static struct block *decode_block(struct cpu *cpu, gla_t lin, uint64_t bytes_left)
{
    struct code_cache *cc = cpu->code;
    struct block *b = new_block(cc);
    const struct exec_line e = *exec_translate(cpu, lin);
    const unsigned off = lin & ~PAGE_MASK;
    const bool is_ram = e.ram != RAM_NONE;
    if (!is_ram)
        b = memset(cc->io_block, 0, sizeof *b);
    b->mode = cpu->mode;
    b->start = is_ram ? e.ram + off : RAM_NONE;
    b->page2 = RAM_NONE;
    cpu->stats.blocks_decoded++;
    if (unlikely(cpu->milestones != BIT(CPU_MILESTONES) - 1))
        note_milestones(cpu, lin);
    if (is_ram)
        mark_page(cc, b->start);
    if (is_ram && bytes_left >= PAGE_SIZE - off)
        decode_run(cpu, b, ram_host(cc->ram, b->start), PAGE_SIZE - off, lin);
    if (b->n)
        finish(b);
    else
        decode_single(cpu, lin, &e, b, bytes_left);
    if (!is_ram || (b->page2 == RAM_NONE && off + b->bytes > PAGE_SIZE))
        return b; /* partly in I/O memory: used once */
    if (b->page2 == (b->start & PAGE_MASK))
        return b; /* both of its pages are the same one, whose list has room for it once */
    if (unlikely(log_on(cpu->log, LOG_ASM)) && cpu->trace.code && b->page2 == RAM_NONE)
        cpu->trace.code(cpu->trace.opaque, cpu, lin, ram_host(cc->ram, b->start), b->bytes);

    b->cached = true;
    b->serial = ++cc->serial;
    forget_gone(cpu); /* fetching may have changed the block that led here */
    b = block_arena_place(&cc->arena);
    enter_page(cc, b, b->start & PAGE_MASK);
    if (b->page2 != RAM_NONE)
        enter_page(cc, b, b->page2);
    struct block **head = &cc->hash[hash_index(b->start, b->mode)];
    b->hash_next = *head;
    *head = b;
    if (cc->jit) {
        jit_watch(cc->jit, b);
        recall_ghost(cc, b);
    }
    return b;
}

/* A crossing block found by its first page is right only if the second is still the same. */
static bool second_page_matches(struct cpu *cpu, const struct block *b, gla_t lin)
{
    if (b->page2 == RAM_NONE)
        return true;
    const gla_t next = (lin & PAGE_MASK) + PAGE_SIZE;
    return exec_translate(cpu, cpu_code64(cpu) ? next : (uint32_t)next)->ram == b->page2;
}

static struct jump_line line_for(const struct cpu *cpu, gla_t lin, struct block *b)
{
    return (struct jump_line){
        .lin = lin, .block = b, .gen = cpu_code_gen(cpu), .mode = cpu->mode, .serial = b->serial};
}

/*
 * The block that was at lin in another address space, if the page there now, e, is its page. Where
 * the same program runs again, that saves a walk through the table of blocks.
 */
static struct block *recall(struct cpu *cpu, struct jump_line *j, gla_t lin,
                            const struct exec_line *e)
{
    struct block *b = j->block;
    if (j->lin != lin || j->mode != cpu->mode || !b || b->serial != j->serial ||
        b->page2 != RAM_NONE || (b->start & PAGE_MASK) != e->ram)
        return NULL;
    j->gen = cpu_code_gen(cpu);
    return b;
}

ram_t code_page_known(struct cpu *cpu, gla_t lin)
{
    const struct exec_line *e = exec_known(cpu, lin);
    return e ? e->ram : RAM_NONE;
}

const struct block *code_known(struct cpu *cpu, gla_t lin)
{
    struct code_cache *cc = cpu->code;
    struct jump_line *j = &cc->jump[jump_index(lin)];
    if (!(cpu->mode & MODE_FLAT))
        return NULL;
    if (j->lin == lin && j->gen == cpu_code_gen(cpu) && j->mode == cpu->mode &&
        j->block->serial == j->serial)
        return j->block;
    const struct exec_line *e = exec_known(cpu, lin);
    if (!e || e->ram == RAM_NONE)
        return NULL;
    struct block *b = recall(cpu, j, lin, e);
    if (b)
        return b;
    const ram_t start = e->ram + (lin & ~PAGE_MASK);
    b = cc->hash[hash_index(start, cpu->mode)];
    while (b && (b->start != start || b->mode != cpu->mode || b->page2 != RAM_NONE))
        b = b->hash_next;
    if (b) {
        *j = line_for(cpu, lin, b);
        expect_next(b);
    }
    return b;
}

struct block *code_find(struct cpu *cpu)
{
    struct code_cache *cc = cpu->code;
    const gla_t lin = code_linear(cpu, cpu->rip);
    if (unlikely(cc->jit && cc->jit->full))
        code_flush(cc);
    struct jump_line *j = &cc->jump[jump_index(lin)];
    uint64_t bytes_left = UINT64_MAX; /* up to the CS limit */

    cpu->stats.block_lookups++;
    if (unlikely(!(cpu->mode & MODE_FLAT))) {
        if (cpu->rip > cpu->seg[SEG_CS].limit)
            cpu_fault(cpu, VEC_GP, 0, REASON_CODE_LIMIT);
        bytes_left = cpu->seg[SEG_CS].limit - cpu->rip + UINT64_C(1);
    }
    if (likely(j->lin == lin && j->gen == cpu_code_gen(cpu) && j->mode == cpu->mode &&
               j->block->serial == j->serial && j->block->bytes <= bytes_left))
        return j->block;
    cpu->stats.jump_cache_misses++;

    const struct exec_line *e = exec_translate(cpu, lin);
    const uint32_t gen = cpu_code_gen(cpu);
    struct block *b = NULL;
    if (e->ram != RAM_NONE) {
        b = recall(cpu, j, lin, e);
        if (b && b->bytes <= bytes_left)
            return b;
        const ram_t start = e->ram + (lin & ~PAGE_MASK);
        for (b = cc->hash[hash_index(start, cpu->mode)]; b; b = b->hash_next)
            if (b->start == start && b->mode == cpu->mode && b->bytes <= bytes_left &&
                second_page_matches(cpu, b, lin))
                break;
        /* the walk for its second page set a bit in its bytes, or see exec_translate() */
        if (b && (b->stale || cpu_code_gen(cpu) != gen))
            b = NULL;
    }
    if (!b) {
        world_enter(cpu->world);
        b = decode_block(cpu, lin, bytes_left);
        world_leave(cpu->world);
    }
    if (b->cached) {
        *j = line_for(cpu, lin, b);
        expect_next(b);
    }
    return b;
}
