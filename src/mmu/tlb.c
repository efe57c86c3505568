/* See tlb.h. Filling is the CPU's (cpu/access.c), since it needs its paging state. */
#include "mmu/tlb.h"

static void empty(struct tlb_half *h, unsigned index)
{
    h->tag = tlb_empty_tag(index);
    h->addend = 0;
}

void tlb_flush(struct tlb *tlb)
{
    if (!tlb->used)
        return;
    memset(tlb->line, 0, sizeof tlb->line);
    empty(&tlb->line[0].rd, 0);
    empty(&tlb->line[0].wr, 0);
    memset(tlb->flags, 0, sizeof tlb->flags);
    tlb->n_local = 0;
    tlb->used = false;
    tlb->large = false;
    memset(tlb->large_pages, 0, sizeof tlb->large_pages);
    tlb->keyed = 0;
}

void tlb_flush_local(struct tlb *tlb)
{
    for (unsigned k = 0; k < tlb->n_local; k++) {
        const unsigned i = tlb->local[k];
        if (!(tlb->flags[i] & TLB_GLOBAL)) {
            empty(&tlb->line[i].rd, i);
            empty(&tlb->line[i].wr, i);
        }
        tlb->flags[i] &= (uint8_t)~TLB_LISTED;
    }
    tlb->n_local = 0;
}

/* Some line may be of a large page that holds lin: 2 and 4 MiB, 1 GiB (SDM 3A table 4-1). */
static bool in_large_page(const struct tlb *tlb, gla_t lin)
{
    static const uint8_t shifts[] = {21, 22, 30};
    for (unsigned k = 0; tlb->large && k < ARRAY_SIZE(shifts); k++) {
        const uint64_t number = lin >> shifts[k];
        if (tlb->large_pages[number % TLB_LARGE_BITS / 64] & BIT64(number % 64))
            return true;
    }
    return false;
}

void tlb_flush_page(struct tlb *tlb, gla_t lin)
{
    const unsigned i = tlb_index(lin);
    empty(&tlb->line[i].rd, i);
    empty(&tlb->line[i].wr, i);
    if (!in_large_page(tlb, lin))
        return;
    /* INVLPG drops a large page whole (SDM 3A §4.10.4.1), and our lines hold 4 KiB of it each. */
    for (unsigned n = 0; n < TLB_LINES; n++) {
        const unsigned shift = tlb->page_shift[n];
        if (shift <= PAGE_SHIFT)
            continue;
        struct tlb_line *l = &tlb->line[n];
        if (((l->rd.tag ^ lin) >> shift) == 0)
            empty(&l->rd, n);
        if (((l->wr.tag ^ lin) >> shift) == 0)
            empty(&l->wr, n);
    }
}

void tlb_drop_writes(struct tlb *tlb, const uint8_t *host, uint64_t len)
{
    if (!tlb->used)
        return;
    for (unsigned i = 0; i < TLB_LINES; i++) {
        struct tlb_half *wr = &tlb->line[i].wr;
        if (wr->tag == tlb_empty_tag(i))
            continue;
        const uint8_t *page = (const uint8_t *)(uintptr_t)(wr->tag + wr->addend);
        if (page + PAGE_SIZE > host && page < host + len)
            empty(wr, i);
    }
}
