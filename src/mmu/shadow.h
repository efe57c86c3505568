/*
 * What a CPU knows of address spaces beyond what the architecture lets it keep: the pages code was
 * fetched from, each with the paging-structure entries that said where it lies. When CR3 is loaded
 * a processor forgets an address space, or keeps it if the guest vouches for it (PCID); here the
 * entries are looked at again, and what they say unchanged is as true as if it were walked anew.
 * So nothing is traced: whoever changes page tables (a store, DMA, another CPU) is seen by what it
 * wrote, and neither PCIDs nor the invalidation of spaces that are not in force matter.
 *
 *   spaces by root:  [ root | generation | pages: linear address, entries and their values ]
 *   global pages:    [        generation | pages ]           kept while CR3 changes
 *
 * A generation names everything that was derived from a list of pages (links of blocks, tables of
 * branches: cpu.h); it holds as long as all of the list does.
 *
 * Legal because entries that are unchanged have A set still (SDM 3A §4.8), and a processor may
 * load translations at any time (§4.10.2.3 "Details of TLB Use").
 */
#ifndef VITRINE_MMU_SHADOW_H
#define VITRINE_MMU_SHADOW_H

#include "mmu/walk.h"

#define SHADOW_SPACES  16
#define SHADOW_PAGES   512
#define SHADOW_HASH    (2 * SHADOW_PAGES)
#define SHADOW_MISSING 4096

struct shadow_page {
    gla_t page;
    gpa_t gpa;     /* where it lies */
    uint8_t shift; /* size of the guest's page */
    struct walk_trail trail;
};

struct shadow_list {
    uint32_t gen; /* never 0 */
    unsigned n;
    bool incomplete;            /* pages are missing, so nothing can be said of all of it later */
    bool local;                 /* some page is not global */
    uint64_t shifts;            /* sizes of pages in the list, a bit each */
    uint16_t hash[SHADOW_HASH]; /* index + 1 into page */
    uint64_t missing[SHADOW_MISSING / 64]; /* which may be missing, by a hash of their addresses */
    struct shadow_page page[SHADOW_PAGES];
};

struct shadow_space {
    gpa_t root;
    uint64_t pdpte[4]; /* PAE */
    uint64_t used_at;  /* 0: never */
    struct shadow_list user;
};

struct shadow {
    uint64_t clock;
    uint32_t last_gen;
    struct shadow_space *cur;
    struct shadow_list system; /* code at CPL 0 to 2 */
    struct shadow_space space[SHADOW_SPACES];
};

struct shadow *shadow_create(void);
void shadow_destroy(struct shadow *sh);

/* Nothing is known any more: modes or the memory map changed. */
void shadow_forget(struct shadow *sh, const struct walk_params *p);
/* Whether this is the generation of some space, and may come back. */
bool shadow_lives(const struct shadow *sh, uint32_t gen);
/* The list starts anew, with a generation of its own. */
void shadow_renew(struct shadow *sh, struct shadow_list *l);
/*
 * Where code at lin is fetched from: until something is flushed a page that was fetched from stays
 * where it was found, whatever is in memory now, so that a guest which changed its tables and did
 * not say so sees the same from every engine. False: it must be walked for.
 */
bool shadow_find(struct shadow_list *l, gla_t lin, gpa_t *gpa);
/* Adds a page that code was fetched from, and that was not found. */
void shadow_add(struct shadow_list *l, gla_t lin, const struct walk_result *w, bool global,
                const struct walk_trail *trail);
/*
 * Whether all of the list would be walked the same way now. top: the host page of the table that
 * walks start at, since a global page may have been found by way of another root; NULL where all
 * of the list is of the root in force.
 */
bool shadow_holds(const struct shadow_list *l, const void *top);
/* The same of the page that lin is on, if it is in the list or may be missing there. */
bool shadow_holds_at(const struct shadow_list *l, gla_t lin, const void *top);

enum shadow_entered { SHADOW_KEPT, SHADOW_CHANGED, SHADOW_NEW, SHADOW_RECYCLED };
/* The space of p comes into force; its list is started anew unless it was kept. */
enum shadow_entered shadow_enter(struct shadow *sh, const struct walk_params *p);

#endif
