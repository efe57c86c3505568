/*
 * See walk.h. Two walks: 32-bit paging with its 4-byte entries (SDM 3A §4.3 "32-Bit Paging"), and
 * PAE, 4-level and 5-level paging, which share 8-byte entries and differ in where they start and in
 * what is reserved (§4.4 "PAE Paging", §4.5 "4-Level Paging and 5-Level Paging").
 *
 *       63 62  59 58   52 51        M M-1          13 12 11 9 8 7 6 5 4 3 2 1 0
 *      +--+------+-------+-----------+--------------+---+----+-+-+-+-+-+-+-+-+-+
 *      |XD| key  | ign.  | reserved  |   address    |PAT|ign.|G|S|D|A|C|T|U|W|P|   leaf, S = 1
 *      +--+------+-------+-----------+--------------+---+----+-+-+-+-+-+-+-+-+-+
 *
 * In order, at each level: present, reserved bits, then down; at the leaf the access rights
 * (§4.6.1 "Determination of Access Rights"), protection keys (§4.6.2), and only when all of that
 * allows the access, A and D (§4.8 "Accessed and Dirty Flags"). A of the upper entries is set as
 * they are used, also when a lower one then fails, as processors do.
 *
 * Left out: shadow stacks, HLAT, nested paging (the walk is to be used again for it).
 */
#include "mmu/walk.h"

enum {
    PTE_P = BIT(0),
    PTE_W = BIT(1),
    PTE_U = BIT(2),
    PTE_A = BIT(5),
    PTE_D = BIT(6),
    PTE_PS = BIT(7),
    PTE_G = BIT(8),
};
#define PTE_XD      BIT64(63)

#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)

/* What all levels of one walk share. */
struct walker {
    struct memmap *map;
    const struct walk_params *p;
    enum walk_access access;
    bool user, ac, set_ad;
    bool plain; /* walk_plain() */
    struct walk_result *r;
    struct walk_trail *trail; /* NULL: nobody asks */
    /* RAM that held the last table: the next one is most likely in the same piece. */
    gpa_t piece_start;
    uint64_t piece_bytes;
    uint8_t *piece_host;
};

/* Where the entry lies on the host, NULL when it is not in RAM or ROM. */
static inline void *entry_host(struct walker *w, gpa_t gpa, unsigned size)
{
    if (likely(gpa - w->piece_start < w->piece_bytes))
        return w->piece_host + (gpa - w->piece_start);
    const struct mem_range *range = memmap_find(w->map, gpa, false);
    const struct mem_region *region = range->region;
    if (!region || region->kind == MEM_IO || range->end - gpa < size)
        return NULL;
    /* Whole entries only, aligned on the host as in the guest. */
    uint8_t *piece_host = ram_host(w->map->ram, region->ram + range->offset);
    if (((uintptr_t)piece_host | range->start) & (size - 1))
        return NULL;
    w->piece_host = piece_host;
    w->piece_start = range->start;
    w->piece_bytes = (range->end - range->start) & ~(uint64_t)(size - 1);
    return w->piece_host + (gpa - range->start);
}

static inline uint64_t load_entry(struct walker *w, void *host, gpa_t gpa, unsigned size)
{
    if (unlikely(!host))
        return w->plain ? 0 : memmap_read(w->map, gpa, size);
    return size == 8 ? __atomic_load_n((uint64_t *)host, __ATOMIC_RELAXED)
                     : __atomic_load_n((uint32_t *)host, __ATOMIC_RELAXED);
}

static void leave_trail(struct walk_trail *t, const void *host, uint64_t entry)
{
    t->unknown |= !host;
    t->step[t->n].host = host;
    t->step[t->n++].value = entry | PTE_A;
}

static bool swap_entry(void *host, uint64_t old, uint64_t new, unsigned size)
{
    if (size == 8)
        return __atomic_compare_exchange_n((uint64_t *)host, &old, new, false, __ATOMIC_SEQ_CST,
                                           __ATOMIC_RELAXED);
    uint32_t old32 = (uint32_t)old;
    return __atomic_compare_exchange_n((uint32_t *)host, &old32, (uint32_t) new, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/*
 * Sets bits in an entry; false if it is no longer what was read, and the walk must start over.
 * Tables that writes do not reach (ROM, or PAM sending writes elsewhere) keep what they hold, and
 * the walk goes on as hardware would, which does not look at the outcome of its write.
 */
static bool mark_entry(struct walker *w, void *host, gpa_t gpa, uint64_t entry, uint64_t set,
                       unsigned size)
{
    if ((entry & set) == set || !w->set_ad)
        return true;
    ram_t at = host ? memmap_ram(w->map, gpa, true) : RAM_NONE;
    const bool in_place = at != RAM_NONE && ram_host(w->map->ram, at) == host;
    if (w->plain && (!in_place || (ram_flags(w->map->ram, at) & RAM_TRACED)))
        return false;
    if (!in_place) {
        memmap_write(w->map, gpa, entry | set, size);
        return true;
    }
    if (!swap_entry(host, entry, entry | set, size))
        return false;
    if (unlikely(ram_flags(w->map->ram, at) & RAM_TRACED))
        ram_note_write(w->map->ram, at, size);
    return true;
}

/* I/D is told only where fetches can be denied at all: SDM 3A §4.7 "Page-Fault Exceptions". */
static uint32_t access_bits(const struct walker *w)
{
    const struct walk_params *p = w->p;
    uint32_t code = w->user ? PF_U : 0;
    if (w->access == WALK_WRITE)
        code |= PF_W;
    if (w->access == WALK_EXEC && (p->smep || (p->nxe && p->mode != PAGING_32BIT)))
        code |= PF_I;
    return code;
}

static bool fail(struct walker *w, enum walk_reason reason, uint32_t more)
{
    w->r->reason = reason;
    w->r->error_code = access_bits(w) | more;
    return false;
}

/* SDM 3A §4.6.2 "Protection Keys": data accesses in 4- and 5-level paging only. */
static bool key_denies(const struct walker *w)
{
    const struct walk_params *p = w->p;
    const struct walk_result *r = w->r;
    if (w->access == WALK_EXEC || !(r->user ? p->pke : p->pks) || p->mode < PAGING_4LEVEL)
        return false;
    uint32_t rights = (r->user ? p->pkru : p->pkrs) >> (2 * r->pkey);
    bool access_disabled = rights & 1, write_disabled = rights & 2;
    return access_disabled || (write_disabled && w->access == WALK_WRITE && (w->user || p->wp));
}

/* SDM 3A §4.6.1; WALK_OK if the rights collected in r allow the access. */
static enum walk_reason check_rights(const struct walker *w)
{
    const struct walk_params *p = w->p;
    const struct walk_result *r = w->r;
    if (w->user && !r->user)
        return WALK_SUPERVISOR_PAGE;
    if (w->access == WALK_EXEC) {
        if (!r->executable)
            return WALK_NX;
        return !w->user && r->user && p->smep ? WALK_SMEP : WALK_OK;
    }
    if (!w->user && r->user && p->smap && !w->ac)
        return WALK_SMAP;
    if (w->access == WALK_WRITE && !r->writable && (w->user || p->wp))
        return WALK_READ_ONLY;
    return WALK_OK;
}

enum outcome { DONE, FAILED, AGAIN };

/* The leaf is found and r holds its rights and address: allow or deny, then mark it. */
static enum outcome finish(struct walker *w, void *host, unsigned size)
{
    struct walk_result *r = w->r;
    enum walk_reason reason = check_rights(w);
    bool key = unlikely(w->p->pke || w->p->pks) && key_denies(w);
    if (unlikely(reason != WALK_OK || key)) {
        /* PK is told also when the ordinary rights deny the access too (§4.7). */
        fail(w, reason != WALK_OK ? reason : WALK_PKEY, PF_P | (key ? PF_PK : 0));
        return FAILED;
    }
    uint64_t set = PTE_A | (w->access == WALK_WRITE ? PTE_D : 0);
    if (unlikely(!mark_entry(w, host, r->entry_gpa, r->entry, set, size)))
        return AGAIN;
    r->dirty = (r->entry | (w->set_ad ? set : 0)) & PTE_D;
    r->gpa &= w->map->a20_mask;
    return DONE;
}

static enum outcome denied(struct walker *w, enum walk_reason reason, uint32_t more)
{
    fail(w, reason, more);
    return FAILED;
}

/*
 * SDM 3A Figure 4-4 "Formats of CR3 and Paging-Structure Entries with 32-Bit Paging". A 4-MiB page
 * has address bits 39:32 in bits 20:13 as far as MAXPHYADDR reaches; bit 21 and the rest of those
 * are reserved (§4.3, Table 4-4).
 */
static enum outcome walk_32bit(struct walker *w, gla_t lin)
{
    const struct walk_params *p = w->p;
    struct walk_result *r = w->r;
    gpa_t gpa = ((p->root & 0xfffff000) | bits(lin, 31, 22) << 2) & w->map->a20_mask;
    void *host = entry_host(w, gpa, 4);
    uint64_t pde = load_entry(w, host, gpa, 4);
    if (w->trail)
        leave_trail(w->trail, host, pde);
    r->level = 2;
    r->entry_gpa = gpa;
    r->entry = pde;
    if (!(pde & PTE_P))
        return denied(w, WALK_NOT_PRESENT, 0);
    r->writable = pde & PTE_W;
    r->user = pde & PTE_U;

    if ((pde & PTE_PS) && p->pse) {
        unsigned high_bits = p->phys_bits <= 32 ? 0 : MIN(p->phys_bits, 40) - 32u;
        uint64_t reserved = BIT(21) | (0x1fe000 & ~((BIT(high_bits) - 1) << 13));
        if (pde & reserved)
            return denied(w, WALK_RESERVED, PF_P | PF_RSVD);
        r->page_bytes = 4 * MiB;
        r->global = pde & PTE_G;
        r->gpa = bits(pde, 20, 13) << 32 | (pde & 0xffc00000) | bits(lin, 21, 0);
        return finish(w, host, 4);
    }
    if (unlikely(!mark_entry(w, host, gpa, pde, PTE_A, 4)))
        return AGAIN;

    gpa = ((pde & 0xfffff000) | bits(lin, 21, 12) << 2) & w->map->a20_mask;
    host = entry_host(w, gpa, 4);
    uint64_t pte = load_entry(w, host, gpa, 4);
    if (w->trail)
        leave_trail(w->trail, host, pte);
    r->level = 1;
    r->entry_gpa = gpa;
    r->entry = pte;
    if (!(pte & PTE_P))
        return denied(w, WALK_NOT_PRESENT, 0);
    r->writable &= !!(pte & PTE_W);
    r->user &= !!(pte & PTE_U);
    r->global = pte & PTE_G;
    r->page_bytes = PAGE_SIZE;
    r->gpa = (pte & 0xfffff000) | bits(lin, 11, 0);
    return finish(w, host, 4);
}

/* Reserved in every entry: SDM 3A Tables 4-9 to 4-20. In PAE paging, bits 62:52 are too. */
static uint64_t reserved_always(const struct walk_params *p)
{
    uint64_t top = p->mode == PAGING_PAE ? PTE_XD - 1 : BIT64(52) - 1;
    uint64_t reserved = top & ~(BIT64(p->phys_bits) - 1);
    return p->nxe ? reserved : reserved | PTE_XD;
}

/* Reserved beyond that, at this level, given whether PS is set. */
static uint64_t reserved_at(const struct walk_params *p, unsigned level, uint64_t entry)
{
    if (!(entry & PTE_PS))
        return 0;
    switch (level) {
    case 1:
        return 0; /* the bit is PAT */
    case 2:
        return bits(~UINT64_C(0), 20, 13) << 13;
    case 3:
        return p->gib_pages ? bits(~UINT64_C(0), 29, 13) << 13 : PTE_PS;
    default:
        return PTE_PS;
    }
}

static enum outcome walk_wide(struct walker *w, gla_t lin)
{
    const struct walk_params *p = w->p;
    struct walk_result *r = w->r;
    uint64_t reserved = reserved_always(p);
    unsigned level = p->mode == PAGING_5LEVEL ? 5 : p->mode == PAGING_4LEVEL ? 4 : 2;
    gpa_t table = p->root;
    r->writable = r->user = r->executable = true;

    if (p->mode == PAGING_PAE) {
        /* The PDPTE registers were checked when MOV CR3 loaded them (§4.4.1). */
        unsigned i = (unsigned)bits(lin, 31, 30);
        r->level = 3;
        r->entry_gpa = (p->root & ~UINT64_C(31)) + 8 * i;
        r->entry = p->pdpte[i];
        if (!(p->pdpte[i] & PTE_P))
            return denied(w, WALK_NOT_PRESENT, 0);
        table = p->pdpte[i];
    }
    for (;; level--) {
        unsigned shift = PAGE_SHIFT + 9 * (level - 1);
        gpa_t gpa = ((table & PTE_ADDRESS) | (lin >> shift & 511) << 3) & w->map->a20_mask;
        void *host = entry_host(w, gpa, 8);
        uint64_t entry = load_entry(w, host, gpa, 8);
        if (w->trail)
            leave_trail(w->trail, host, entry);
        r->level = (uint8_t)level;
        r->entry_gpa = gpa;
        r->entry = entry;
        if (unlikely(!(entry & PTE_P)))
            return denied(w, WALK_NOT_PRESENT, 0);
        if (unlikely(entry & (reserved | reserved_at(p, level, entry))))
            return denied(w, WALK_RESERVED, PF_P | PF_RSVD);
        r->writable &= !!(entry & PTE_W);
        r->user &= !!(entry & PTE_U);
        r->executable &= !(entry & PTE_XD);
        if (level == 1 || (entry & PTE_PS)) {
            r->page_bytes = BIT64(shift);
            r->global = entry & PTE_G;
            r->pkey = p->mode >= PAGING_4LEVEL ? bits(entry, 62, 59) : 0;
            r->gpa = (entry & PTE_ADDRESS & ~(BIT64(shift) - 1)) | (lin & (BIT64(shift) - 1));
            return finish(w, host, 8);
        }
        if (unlikely(!(entry & PTE_A)) && !mark_entry(w, host, gpa, entry, PTE_A, 8))
            return AGAIN;
        table = entry;
    }
}

static bool walk_from(struct walker *w, gla_t lin)
{
    const struct walk_params *p = w->p;
    struct walk_result *r = w->r;
    enum outcome outcome = DONE;
    if (p->mode < PAGING_4LEVEL)
        lin = (uint32_t)lin;
    do {
        *r = (struct walk_result){.executable = true};
        if (w->trail)
            *w->trail = (struct walk_trail){.wide = p->mode != PAGING_32BIT};
        switch (p->mode) {
        case PAGING_NONE:
            r->gpa = lin & w->map->a20_mask;
            r->page_bytes = PAGE_SIZE;
            r->user = r->writable = r->dirty = true;
            break;
        case PAGING_32BIT:
            outcome = walk_32bit(w, lin);
            break;
        default:
            outcome = walk_wide(w, lin);
            break;
        }
    } while (unlikely(outcome == AGAIN) && !w->plain);
    return outcome == DONE;
}

bool walk(struct memmap *map, const struct walk_params *p, gla_t lin, enum walk_access access,
          bool user, bool ac, bool set_ad, struct walk_result *r)
{
    struct walker w = {
        .map = map, .p = p, .access = access, .user = user, .ac = ac, .set_ad = set_ad, .r = r};
    return walk_from(&w, lin);
}

bool walk_plain(struct memmap *map, const struct walk_params *p, gla_t lin, enum walk_access access,
                bool user, bool ac, struct walk_result *r)
{
    struct walker w = {.map = map,
                       .p = p,
                       .access = access,
                       .user = user,
                       .ac = ac,
                       .set_ad = true,
                       .plain = true,
                       .r = r};
    return walk_from(&w, lin);
}

bool walk_fetch(struct memmap *map, const struct walk_params *p, gla_t lin, bool user,
                struct walk_result *r, struct walk_trail *trail)
{
    struct walker w = {.map = map,
                       .p = p,
                       .access = WALK_EXEC,
                       .user = user,
                       .set_ad = true,
                       .r = r,
                       .trail = trail};
    return walk_from(&w, lin);
}

static bool step_holds(const struct walk_trail *t, unsigned i)
{
    const uint64_t now = t->wide
                             ? __atomic_load_n((const uint64_t *)t->step[i].host, __ATOMIC_RELAXED)
                             : __atomic_load_n((const uint32_t *)t->step[i].host, __ATOMIC_RELAXED);
    return ((now ^ t->step[i].value) & ~(uint64_t)PTE_D) == 0;
}

bool walk_trail_holds(const struct walk_trail *t, const struct walk_trail *before)
{
    for (unsigned i = t->n; i-- > 0;) {
        /* neighbours share the upper entries */
        if (before && i < before->n && before->step[i].host == t->step[i].host &&
            before->step[i].value == t->step[i].value)
            continue;
        if (!step_holds(t, i))
            return false;
    }
    return true;
}

const char *walk_reason_text(enum walk_reason reason)
{
    switch (reason) {
    case WALK_OK:
        return "the access is allowed";
    case WALK_NOT_PRESENT:
        return "a paging entry is not present";
    case WALK_RESERVED:
        return "a paging entry has a reserved bit set";
    case WALK_SUPERVISOR_PAGE:
        return "user access to a supervisor page";
    case WALK_READ_ONLY:
        return "write to a read-only page";
    case WALK_NX:
        return "instruction fetch from a no-execute page";
    case WALK_SMEP:
        return "supervisor instruction fetch from a user page (SMEP)";
    case WALK_SMAP:
        return "supervisor data access to a user page (SMAP)";
    case WALK_PKEY:
        return "the page's protection key denies the access";
    }
    return "unknown";
}
