/*
 * All translations the guest's page tables hold, for "info tlb" and "info mem". Tables are read as
 * a debugger reads memory: nothing is set in them and no device is touched.
 */
#ifndef VITRINE_DEBUG_PAGETABLE_H
#define VITRINE_DEBUG_PAGETABLE_H

#include "cpu/cpu.h"
#include "machine.h"

struct page_leaf {
    gla_t lin;
    gpa_t gpa;
    uint64_t bytes;                  /* 4 KiB, 2 MiB, 4 MiB or 1 GiB */
    uint64_t entry;                  /* the one that maps it, as it stands in memory */
    bool user, writable, executable; /* what all levels together allow */
};

/*
 * Calls leaf for each, in order of linear address, until it returns false. False when paging is
 * off. Tables that refer to each other in circles are cut off after a bound, which *cut says.
 */
bool pagetable_each(struct machine *m, const struct cpu *cpu,
                    bool (*leaf)(void *opaque, const struct page_leaf *p), void *opaque, bool *cut);

#endif
