/* See shadow.h. The least recently used space is given up for a new one. */
#include "mmu/shadow.h"

#include <assert.h>
#include <stdlib.h>

struct shadow *shadow_create(void)
{
    return calloc(1, sizeof(struct shadow));
}

void shadow_destroy(struct shadow *sh)
{
    free(sh);
}

void shadow_renew(struct shadow *sh, struct shadow_list *l)
{
    if (++sh->last_gen == 0) /* 0 marks links that need no generation */
        sh->last_gen = 1;
    l->gen = sh->last_gen;
    if (l->n)
        memset(l->hash, 0, sizeof l->hash);
    if (l->incomplete)
        memset(l->missing, 0, sizeof l->missing);
    l->n = 0;
    l->shifts = 0;
    l->incomplete = l->local = false;
}

static bool same_root(const struct shadow_space *s, const struct walk_params *p)
{
    return p->mode == PAGING_PAE ? !memcmp(s->pdpte, p->pdpte, sizeof s->pdpte)
                                 : s->root == p->root;
}

enum shadow_entered shadow_enter(struct shadow *sh, const struct walk_params *p)
{
    struct shadow_space *s = sh->space;
    for (unsigned i = 0; i < SHADOW_SPACES; i++) {
        struct shadow_space *at = &sh->space[i];
        if (at->used_at && same_root(at, p)) {
            at->used_at = ++sh->clock;
            sh->cur = at;
            if (shadow_holds(&at->user, NULL))
                return SHADOW_KEPT;
            shadow_renew(sh, &at->user);
            return SHADOW_CHANGED;
        }
        if (at->used_at < s->used_at)
            s = at;
    }
    const bool recycled = s->used_at != 0;
    s->root = p->root;
    memcpy(s->pdpte, p->pdpte, sizeof s->pdpte);
    s->used_at = ++sh->clock;
    sh->cur = s;
    shadow_renew(sh, &s->user);
    return recycled ? SHADOW_RECYCLED : SHADOW_NEW;
}

bool shadow_lives(const struct shadow *sh, uint32_t gen)
{
    for (unsigned i = 0; i < SHADOW_SPACES; i++)
        if (sh->space[i].used_at && sh->space[i].user.gen == gen)
            return true;
    return false;
}

void shadow_forget(struct shadow *sh, const struct walk_params *p)
{
    for (unsigned i = 0; i < SHADOW_SPACES; i++)
        sh->space[i].used_at = 0;
    shadow_renew(sh, &sh->system);
    shadow_enter(sh, p);
}

/* --- lists --- */

static unsigned hash_of(gla_t page)
{
    return (unsigned)((page >> PAGE_SHIFT) * UINT32_C(0x9e3779b1) >> 16) & (SHADOW_HASH - 1);
}

/* The slot in the hash of a page of 1 << shift bytes: its own, or an empty one. */
static unsigned slot_of(const struct shadow_list *l, gla_t page, unsigned shift)
{
    unsigned i = hash_of(page);
    for (; l->hash[i]; i = (i + 1) & (SHADOW_HASH - 1)) {
        const struct shadow_page *at = &l->page[l->hash[i] - 1];
        if (at->page == page && at->shift == shift)
            break;
    }
    return i;
}

bool shadow_find(struct shadow_list *l, gla_t lin, gpa_t *gpa)
{
    for (uint64_t shifts = l->shifts; shifts; shifts &= shifts - 1) {
        const unsigned shift = (unsigned)__builtin_ctzll(shifts);
        const unsigned found = l->hash[slot_of(l, lin >> shift << shift, shift)];
        if (!found)
            continue;
        *gpa = l->page[found - 1].gpa + (lin & (BIT64(shift) - 1));
        return true;
    }
    return false;
}

static unsigned missing_bit(gla_t page, unsigned shift)
{
    return (unsigned)((page >> shift) * UINT32_C(0x9e3779b1) >> 16) % SHADOW_MISSING;
}

static bool may_miss(const struct shadow_list *l, gla_t lin)
{
    static const uint8_t shifts[] = {12, 21, 22, 30}; /* SDM 3A table 4-1 */
    for (unsigned i = 0; i < ARRAY_SIZE(shifts); i++) {
        const unsigned bit = missing_bit(lin, shifts[i]);
        if (l->missing[bit / 64] & BIT64(bit % 64))
            return true;
    }
    return false;
}

void shadow_add(struct shadow_list *l, gla_t lin, const struct walk_result *w, bool global,
                const struct walk_trail *trail)
{
    const uint8_t shift = (uint8_t)__builtin_ctzll(w->page_bytes);
    const gla_t page = lin >> shift << shift;
    if (!global)
        l->local = true;
    if (trail->unknown || l->n == SHADOW_PAGES) {
        const unsigned bit = missing_bit(page, shift);
        l->incomplete = true;
        l->missing[bit / 64] |= BIT64(bit % 64);
        return;
    }
    const unsigned slot = slot_of(l, page, shift);
    assert(!l->hash[slot]);
    l->page[l->n] = (struct shadow_page){
        .page = page, .gpa = w->gpa >> shift << shift, .shift = shift, .trail = *trail};
    l->shifts |= BIT64(shift);
    l->hash[slot] = (uint16_t)++l->n;
}

static bool starts_at(const struct walk_trail *t, const void *top)
{
    return !top || ((uintptr_t)t->step[0].host & PAGE_MASK) == (uintptr_t)top;
}

bool shadow_holds(const struct shadow_list *l, const void *top)
{
    if (l->incomplete)
        return false;
    const struct walk_trail *before = NULL;
    for (unsigned i = 0; i < l->n; i++) {
        const struct walk_trail *t = &l->page[i].trail;
        if (!starts_at(t, top) || !walk_trail_holds(t, before))
            return false;
        before = t;
    }
    return true;
}

bool shadow_holds_at(const struct shadow_list *l, gla_t lin, const void *top)
{
    if (l->incomplete && may_miss(l, lin))
        return false;
    for (uint64_t shifts = l->shifts; shifts; shifts &= shifts - 1) {
        const unsigned shift = (unsigned)__builtin_ctzll(shifts);
        const unsigned found = l->hash[slot_of(l, lin >> shift << shift, shift)];
        const struct walk_trail *t = found ? &l->page[found - 1].trail : NULL;
        if (t && (!starts_at(t, top) || !walk_trail_holds(t, NULL)))
            return false;
    }
    return true;
}
