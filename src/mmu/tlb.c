/* See tlb.h. Filling is the CPU's (cpu/access.c), since it needs its paging state. */
#include "mmu/tlb.h"

static void empty(struct tlb_half *h, unsigned index)
{
    h->tag = tlb_empty_tag(index);
    h->addend = 0;
}

static bool is_empty(const struct tlb *tlb, unsigned i)
{
    return tlb->line[i].wr.tag == tlb_empty_tag(i);
}

void tlb_forget_near(struct tlb *tlb, unsigned i)
{
    const unsigned at = tlb_near_index(tlb->line[i].rd.tag);
    struct tlb_near *near = &tlb->near[at];
    if (near->rd == tlb->line[i].rd.tag)
        near->rd = near->wr = tlb_empty_tag(at);
}

static void empty_line(struct tlb *tlb, unsigned i)
{
    tlb_forget_near(tlb, i);
    empty(&tlb->line[i].rd, i);
    empty(&tlb->line[i].wr, i);
}

void tlb_drop_write(struct tlb *tlb, unsigned i)
{
    if (!is_empty(tlb, i))
        tlb_forget_near(tlb, i);
    empty(&tlb->line[i].wr, i);
}

void tlb_flush(struct tlb *tlb)
{
    if (!tlb->used)
        return;
    memset(tlb->near, 0, sizeof tlb->near);
    tlb->near[0].rd = tlb->near[0].wr = tlb_empty_tag(0);
    memset(tlb->line, 0, sizeof tlb->line);
    empty(&tlb->line[0].rd, 0);
    empty(&tlb->line[0].wr, 0);
    memset(tlb->flags, 0, sizeof tlb->flags);
    tlb->n_local = 0;
    tlb->used = false;
    memset(tlb->written, 0, sizeof tlb->written);
    if (tlb->large) {
        memset(tlb->large_page, 0, sizeof tlb->large_page);
        memset(tlb->large_others, 0, sizeof tlb->large_others);
    }
    tlb->large = false;
    tlb->keyed = 0;
}

void tlb_flush_local(struct tlb *tlb)
{
    for (unsigned k = 0; k < tlb->n_local; k++) {
        const unsigned i = tlb->local[k];
        if (!(tlb->flags[i] & TLB_GLOBAL))
            empty_line(tlb, i);
        tlb->flags[i] &= (uint8_t)~TLB_LISTED;
    }
    tlb->n_local = 0;
}

/* Some line may be of a large page that holds lin: 2 and 4 MiB, 1 GiB (SDM 3A table 4-1). */
static bool in_large_page(const struct tlb *tlb, gla_t lin)
{
    static const uint8_t shifts[] = {21, 22, 30};
    for (unsigned k = 0; tlb->large && k < ARRAY_SIZE(shifts); k++) {
        const uint64_t key = tlb_large_key(lin, shifts[k]);
        if (tlb->large_page[key % TLB_LARGE_PAGES] == key ||
            (tlb->large_others[key % TLB_LARGE_PAGES / 64] & BIT64(key % 64)))
            return true;
    }
    return false;
}

void tlb_flush_page(struct tlb *tlb, gla_t lin)
{
    empty_line(tlb, tlb_index(lin));
    if (!in_large_page(tlb, lin))
        return;
    /* INVLPG drops a large page whole (SDM 3A §4.10.4.1), and our lines hold 4 KiB of it each. */
    for (unsigned n = 0; n < TLB_LINES; n++) {
        const unsigned shift = tlb->page_shift[n];
        if (shift <= PAGE_SHIFT)
            continue;
        if (((tlb->line[n].rd.tag ^ lin) >> shift) == 0)
            empty_line(tlb, n);
    }
}

/* --- who writes which host page --- */

static uint16_t *written_by(struct tlb *tlb, uintptr_t host)
{
    return &tlb->written[(host >> PAGE_SHIFT) % TLB_WRITTEN];
}

static uintptr_t host_page(const struct tlb_half *h)
{
    return h->tag + h->addend;
}

/* Line i is the one of those that share at, or one of many. */
static void note_write(struct tlb *tlb, uint16_t *at, unsigned i)
{
    const unsigned other = *at - 1u;
    const bool alone =
        *at == 0 || other == i ||
        (*at != TLB_MANY &&
         (is_empty(tlb, other) || written_by(tlb, host_page(&tlb->line[other].wr)) != at));
    *at = alone ? (uint16_t)(i + 1) : TLB_MANY;
}

void tlb_fill_write(struct tlb *tlb, unsigned i)
{
    tlb->line[i].wr = tlb->line[i].rd;
    note_write(tlb, written_by(tlb, host_page(&tlb->line[i].wr)), i);
}

static void drop_write(struct tlb *tlb, unsigned i, uintptr_t host, uint64_t len)
{
    const uintptr_t page = host_page(&tlb->line[i].wr);
    if (!is_empty(tlb, i) && page + PAGE_SIZE > host && page < host + len)
        tlb_drop_write(tlb, i);
}

void tlb_drop_writes(struct tlb *tlb, const uint8_t *from, uint64_t len)
{
    const uintptr_t host = (uintptr_t)from;
    uint16_t *const at = written_by(tlb, host);
    const bool one_page = (host & ~PAGE_MASK) + len <= PAGE_SIZE;
    if (!tlb->used || (one_page && *at == 0))
        return;
    if (one_page && *at != TLB_MANY) {
        drop_write(tlb, *at - 1u, host, len);
        if (is_empty(tlb, *at - 1u)) /* not that of another page */
            *at = 0;
        return;
    }
    if (one_page)
        *at = 0;
    for (unsigned i = 0; i < TLB_LINES; i++) {
        drop_write(tlb, i, host, len);
        if (one_page && !is_empty(tlb, i) && written_by(tlb, host_page(&tlb->line[i].wr)) == at)
            note_write(tlb, at, i);
    }
}
