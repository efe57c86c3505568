/* See pagetable.h. SDM 3A §4.3 "32-Bit Paging", §4.4 "PAE Paging", §4.5 "4-Level and 5-Level
 * Paging". */
#include "debug/pagetable.h"

#define PTE_P  BIT64(0)
#define PTE_RW BIT64(1)
#define PTE_US BIT64(2)
#define PTE_PS BIT64(7)
#define PTE_XD BIT64(63)

/* A full map of 4-KiB pages of 2 GiB takes 1024 tables; a kernel's, some thousands. */
#define MAX_TABLES 262144

struct rights {
    bool user, writable, executable;
};

struct listing {
    struct machine *machine;
    const struct cpu *cpu;
    bool (*leaf)(void *opaque, const struct page_leaf *p);
    void *opaque;
    unsigned tables;
    bool done, cut;
};

static uint64_t address_mask(const struct cpu *cpu)
{
    const unsigned n = cpu->feat.phys_bits ? cpu->feat.phys_bits : 52;
    return ((UINT64_C(1) << n) - 1) & PAGE_MASK;
}

static bool read_table(struct listing *l, gpa_t at, void *buf)
{
    if (l->done)
        return false;
    if (++l->tables > MAX_TABLES) {
        l->cut = l->done = true;
        return false;
    }
    return machine_read_physical(l->machine, at, buf, PAGE_SIZE) == PAGE_SIZE;
}

static void give(struct listing *l, const struct page_leaf *p)
{
    if (!l->done && !l->leaf(l->opaque, p))
        l->done = true;
}

static struct rights narrowed(struct rights r, uint64_t entry, bool has_xd)
{
    return (struct rights){
        .user = r.user && entry & PTE_US,
        .writable = r.writable && entry & PTE_RW,
        .executable = r.executable && !(has_xd && entry & PTE_XD),
    };
}

static gla_t canonical(const struct cpu *cpu, gla_t lin)
{
    return (gla_t)sign_extend(lin, cpu->cr4 & CR4_LA57 ? 57 : 48);
}

/* Eight-byte entries: level 1 = page table. lin is where the table's reach begins. */
static void list_wide(struct listing *l, gpa_t table, unsigned level, gla_t lin, struct rights r)
{
    uint64_t entry[512];
    const unsigned shift = PAGE_SHIFT + 9 * (level - 1);
    const bool nx = l->cpu->efer & EFER_NXE;
    if (!read_table(l, table, entry))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(entry) && !l->done; i++) {
        const uint64_t e = entry[i];
        const gla_t at = lin | (uint64_t)i << shift;
        const struct rights now = narrowed(r, e, nx);
        if (!(e & PTE_P))
            continue;
        if (level > 1 && !(level <= 3 && e & PTE_PS)) {
            list_wide(l, e & address_mask(l->cpu), level - 1, at, now);
            continue;
        }
        const uint64_t bytes = UINT64_C(1) << shift;
        give(l, &(struct page_leaf){.lin = cpu_long(l->cpu) ? canonical(l->cpu, at) : at,
                                    .gpa = e & address_mask(l->cpu) & ~(bytes - 1),
                                    .bytes = bytes,
                                    .entry = e,
                                    .user = now.user,
                                    .writable = now.writable,
                                    .executable = now.executable});
    }
}

static void list_pae(struct listing *l)
{
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t e = l->cpu->pdpte[i];
        if (e & PTE_P)
            list_wide(l, e & address_mask(l->cpu), 2, (gla_t)i << 30,
                      (struct rights){true, true, true});
    }
}

/* Bits 20:13 of a 4-MiB entry are bits 39:32 of its page (PSE-36, SDM 3A §4.3). */
static gpa_t big_page(uint32_t e)
{
    return (e & UINT32_C(0xffc00000)) | bits(e, 20, 13) << 32;
}

static void list_page_table(struct listing *l, uint32_t pde, gla_t lin)
{
    uint32_t entry[1024];
    const struct rights above = narrowed((struct rights){true, true, true}, pde, false);
    if (!read_table(l, pde & PAGE_MASK, entry))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(entry) && !l->done; i++) {
        const uint32_t e = entry[i];
        const struct rights now = narrowed(above, e, false);
        if (e & PTE_P)
            give(l, &(struct page_leaf){.lin = lin | (gla_t)i << PAGE_SHIFT,
                                        .gpa = e & PAGE_MASK,
                                        .bytes = PAGE_SIZE,
                                        .entry = e,
                                        .user = now.user,
                                        .writable = now.writable,
                                        .executable = true});
    }
}

static void list_32bit(struct listing *l)
{
    uint32_t entry[1024];
    if (!read_table(l, l->cpu->cr3 & UINT32_C(0xfffff000), entry))
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(entry) && !l->done; i++) {
        const uint32_t e = entry[i];
        const gla_t lin = (gla_t)i << 22;
        if (!(e & PTE_P))
            continue;
        if (!(e & PTE_PS && l->cpu->cr4 & CR4_PSE)) {
            list_page_table(l, e, lin);
            continue;
        }
        give(l, &(struct page_leaf){.lin = lin,
                                    .gpa = big_page(e),
                                    .bytes = 4 * MiB,
                                    .entry = e,
                                    .user = e & PTE_US,
                                    .writable = e & PTE_RW,
                                    .executable = true});
    }
}

bool pagetable_each(struct machine *m, const struct cpu *cpu,
                    bool (*leaf)(void *opaque, const struct page_leaf *p), void *opaque, bool *cut)
{
    struct listing l = {.machine = m, .cpu = cpu, .leaf = leaf, .opaque = opaque};
    *cut = false;
    if (!(cpu->cr0 & CR0_PG))
        return false;
    if (cpu_long(cpu))
        list_wide(&l, cpu->cr3 & address_mask(cpu), cpu->cr4 & CR4_LA57 ? 5 : 4, 0,
                  (struct rights){true, true, true});
    else if (cpu->cr4 & CR4_PAE)
        list_pae(&l);
    else
        list_32bit(&l);
    *cut = l.cut;
    return true;
}
