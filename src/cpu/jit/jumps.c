/*
 * The table of indirect branches (jit.h). A line holds for the generation it was filled in: the
 * lines of one are emptied when another comes into force, and put aside if it may come back.
 *
 * Compiled to use general registers only (see events.c): host code looks for a RIP that is not in
 * the table by jit_jump_find().
 */
#include "cpu/jit/jit.h"
#include "cpu/run.h"

/* Of a line in its mode's table. */
static unsigned index_of(const struct jit *j, const struct jit_jump *line)
{
    return (unsigned)(line - j->jump) & ((1u << j->jump_bits) - 1);
}

/* An empty line's RIP: one that belongs to other lines, so that no look-up finds it. */
static uint64_t no_rip(unsigned index)
{
    return index < 2;
}

static void empty_jumps(struct jit *j, unsigned user)
{
    struct jit_jump_log *log = &j->filled[user];
    if (log->n < JIT_JUMP_LOG) {
        for (unsigned i = 0; i < log->n; i++)
            *log->line[i] = (struct jit_jump){.rip = no_rip(index_of(j, log->line[i]))};
    } else {
        for (unsigned m = user; m < JIT_JUMP_MODES; m += 2) {
            if (!(j->jump_modes_used & BIT64(m)))
                continue;
            memset(jit_jumps(j, m), 0, sizeof *j->jump << j->jump_bits);
            jit_jumps(j, m)[0].rip = jit_jumps(j, m)[1].rip = no_rip(0);
        }
    }
    log->n = 0;
}

void jit_jumps_init(struct jit *j)
{
    for (unsigned m = 0; m < JIT_JUMP_MODES; m++)
        jit_jumps(j, m)[0].rip = jit_jumps(j, m)[1].rip = no_rip(0);
}

void jit_jumps_forget(struct jit *j)
{
    for (unsigned user = 0; user < 2; user++)
        empty_jumps(j, user);
    for (unsigned i = 0; i < JIT_JUMP_SETS; i++)
        j->jumps[i].gen = 0;
    memset(j->known, 0, sizeof *j->known << j->known_bits);
}

/* --- the table of entries --- */

/* Not 0: no mode of translated code is. */
static uint64_t known_key(ram_t start, uint32_t mode)
{
    static_assert(MODE_NO_AVX < 1u << PAGE_SHIFT, "modes fit in");
    return start << PAGE_SHIFT | mode;
}

/* Entries of a page lie close together. */
static struct jit_known_set *known_set(const struct jit *j, ram_t start)
{
    const uint32_t page = (uint32_t)(start >> PAGE_SHIFT) * JIT_JUMP_HASH >> (32 - j->known_bits);
    return &j->known[page ^ (unsigned)(start & ~PAGE_MASK) >> 4];
}

static const uint8_t *find_known(const struct jit *j, ram_t start, uint32_t mode)
{
    const struct jit_known_set *set = known_set(j, start);
    const uint64_t key = known_key(start, mode);
    for (unsigned way = 0; way < JIT_KNOWN_WAYS; way++)
        if (set->way[way].key == key)
            return set->way[way].code;
    return NULL;
}

/* In place of each of its set in turn. */
static void add_known(struct jit *j, const struct block *b)
{
    known_set(j, b->start)->way[j->known_way++ % JIT_KNOWN_WAYS] = (struct jit_known){
        .key = known_key(b->start, b->mode),
        .code = jit_runs_at(j, b->native->indirect),
    };
}

void jit_known_forget(struct jit *j, const struct block *b)
{
    struct jit_known_set *set = known_set(j, b->start);
    const uint64_t key = known_key(b->start, b->mode);
    for (unsigned way = 0; way < JIT_KNOWN_WAYS; way++)
        if (set->way[way].key == key)
            set->way[way] = (struct jit_known){.key = 0};
}

static bool is_empty(const struct jit *j, const struct jit_jump *line)
{
    return line->rip == no_rip(index_of(j, line));
}

static void put(struct jit *j, unsigned user, struct jit_jump *line, struct jit_jump v)
{
    struct jit_jump_log *log = &j->filled[user];
    if (is_empty(j, line) && log->n < JIT_JUMP_LOG)
        log->line[log->n++] = line;
    *line = v;
}

/* What is in its line moves to the neighbour. */
void jit_jump_fill(struct jit *j, unsigned mode, gla_t rip, const uint8_t *code)
{
    const unsigned index = jit_jump_index(j, rip), user = mode & JIT_JUMP_USER;
    struct jit_jump *line = &jit_jumps(j, mode)[index], *other = &jit_jumps(j, mode)[index ^ 1];
    j->jump_modes_used |= BIT64(mode);
    if (other->rip == rip)
        line = other;
    else if (line->rip != rip && !is_empty(j, line))
        put(j, user, other, *line);
    put(j, user, line, (struct jit_jump){.rip = rip, .code = code});
}

bool jit_jump_find(struct cpu *cpu, gla_t rip)
{
    struct jit *j = cpu->code->jit;
    if (j->full || j->no_find || run_needs_attention(cpu))
        return false;
    const ram_t page = cpu->mode & MODE_FLAT ? code_page_known(cpu, rip) : RAM_NONE;
    if (page == RAM_NONE)
        return false;
    const uint8_t *code = NULL;
    if (!jit_near_edge(cpu, rip, JIT_REACH_MAX))
        code = find_known(j, page | (rip & ~PAGE_MASK), cpu->mode);
    if (!code) {
        const struct block *b = code_known(cpu, rip);
        if (!b || !b->native || jit_near_edge(cpu, rip, b->native->reach))
            return false;
        code = jit_runs_at(j, b->native->indirect);
        if (b->page2 == RAM_NONE)
            add_known(j, b);
        jit_note_room(cpu, rip, b->native);
    }
    jit_jump_fill(j, jit_jump_mode(cpu->mode), rip, code);
    return true;
}

#define PATIENCE_MADE    8 /* a link that was made anew is the wrong one, until it is once more */
#define PATIENCE_REFUSED INT8_MAX

bool jit_relink(struct cpu *cpu, uintptr_t native_and_slot)
{
    struct native *n = (struct native *)(native_and_slot & ~(uintptr_t)1);
    const unsigned slot = native_and_slot & 1;
    gla_t lin = cpu->jit_page + (uint64_t)(int64_t)n->target_at[slot];
    if (!cpu_code64(cpu))
        lin = (uint32_t)lin;
    const bool missed = n->patience[slot] >= 0; /* by the table of indirect branches */
    n->patience[slot] = PATIENCE_REFUSED;
    if (n->target_page[slot] == JIT_NO_PAGE || n->target_ram[slot] == RAM_NONE ||
        jit_near_edge(cpu, lin, n->target_reach[slot]) ||
        code_page_known(cpu, lin) != n->target_ram[slot])
        return false;
    n->patience[slot] = PATIENCE_MADE;
    if (missed && n->hasty[slot]) /* they take turns: so that both find it there */
        jit_jump_find(cpu, lin);
    n->hasty[slot] = missed;
    n->generation[slot] = cpu_code_gen(cpu);
    n->target_page[slot] = lin & PAGE_MASK;
    return true;
}

static void save_jumps(struct jit *j, unsigned user, uint32_t gen)
{
    const struct jit_jump_log *log = &j->filled[user];
    if (log->n == 0 || log->n == JIT_JUMP_LOG)
        return;
    struct jit_jump_set *set = &j->jumps[0];
    for (unsigned i = 1; i < JIT_JUMP_SETS && set->gen; i++)
        if (!j->jumps[i].gen || j->jumps[i].saved_at < set->saved_at)
            set = &j->jumps[i];
    set->gen = gen;
    set->n = log->n;
    set->saved_at = ++j->jumps_clock;
    for (unsigned i = 0; i < log->n; i++) {
        set->saved[i].line = log->line[i];
        set->saved[i].was = *log->line[i];
    }
}

/* The table is empty. */
static void restore_jumps(struct jit *j, unsigned user, uint32_t gen)
{
    struct jit_jump_log *log = &j->filled[user];
    for (unsigned k = 0; k < JIT_JUMP_SETS; k++) {
        struct jit_jump_set *set = &j->jumps[k];
        if (set->gen != gen)
            continue;
        for (unsigned i = 0; i < set->n; i++) {
            *set->saved[i].line = set->saved[i].was;
            log->line[i] = set->saved[i].line;
        }
        log->n = set->n;
        set->gen = 0;
        return;
    }
}

void jit_new_generation(struct jit *j, unsigned user, uint32_t old, uint32_t gen)
{
    if (old)
        save_jumps(j, user, old);
    empty_jumps(j, user);
    restore_jumps(j, user, gen);
}
