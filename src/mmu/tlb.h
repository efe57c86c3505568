/*
 * The soft TLB: per CPU and privilege mode, direct-mapped lines with a read and a write half of
 * {tag, addend}. host address = linear address + addend.
 *
 * One compare covers page match and page crossing: for a line that holds the page of lin,
 * lin ^ tag is the offset in the page, otherwise it is at least PAGE_SIZE; an access of n bytes
 * hits when (lin ^ tag) <= PAGE_SIZE - n.
 *
 * A line that holds nothing has a tag whose own index is another line's, so that no address that
 * is looked up there can match: page 0 for all lines but line 0, page 1 for line 0.
 *
 * The write half is valid only if D is set and the page is not RAM_TRACED (ram.h); everything
 * else takes the slow path, which is how self-modifying code, watchpoints and dirty logging work.
 * Whether a page is traced must not decide what a guest that changed its tables still finds here:
 * the slow path sees in writable[] that a page was walked for a write, and does not walk again.
 *
 * Translated code looks first in near[], whose index takes two instructions less: copies of some of
 * the lines, each where its page number alone says, so pages as far apart as it reaches have one
 * place and fetch their line again and again. Whatever a line loses its copy loses, too, so near[]
 * holds nothing that the lines do not, and no guest can tell it is there.
 */
#ifndef VITRINE_MMU_TLB_H
#define VITRINE_MMU_TLB_H

#include "mmu/ram.h"

#define TLB_BITS  11
#define TLB_LINES (1u << TLB_BITS)

/* Privilege modes with a table of their own. */
enum {
    TLB_USER,      /* CPL 3 */
    TLB_KERNEL,    /* CPL 0-2, SMAP in force; also all implicit supervisor accesses */
    TLB_KERNEL_AC, /* CPL 0-2 with EFLAGS.AC set or without SMAP */
    TLB_MODES,
};

struct tlb_half {
    uint64_t tag;
    uint64_t addend;
};
struct tlb_line {
    struct tlb_half rd, wr;
};
struct tlb_near {
    uint64_t rd, wr; /* tags */
    uint64_t addend;
    uint64_t host; /* the page's address */
};
#define TLB_LARGE_PAGES 1024u
#define TLB_WRITTEN     1024u
#define TLB_MANY        UINT16_MAX
struct tlb {
    struct tlb_near near[TLB_LINES];
    struct tlb_line line[TLB_LINES];
    uint8_t page_shift[TLB_LINES]; /* size of the guest's page each line came from */
    bool writable[TLB_LINES];      /* rd was walked for a write, even if its page is traced */
    uint8_t flags[TLB_LINES];      /* TLB_GLOBAL, TLB_LISTED */
    uint16_t local[TLB_LINES];     /* the lines that may hold pages that are not global */
    unsigned n_local;
    bool used;      /* something was filled since the last flush */
    uint32_t keyed; /* ... that PKRU governs: its two bits of each such key */
    bool large;     /* ... from pages above 4 KiB; by the low bits of tlb_large_key(): */
    uint64_t large_page[TLB_LARGE_PAGES];        /* which; 0: none */
    uint64_t large_others[TLB_LARGE_PAGES / 64]; /* bits: and others */
    uint16_t written[TLB_WRITTEN]; /* by host page: the writing line + 1; 0: none; TLB_MANY */
};

enum {
    TLB_GLOBAL = BIT(0), /* survives loads of CR3 */
    TLB_LISTED = BIT(1), /* in tlb.local */
};

static inline unsigned tlb_index(gla_t lin)
{
    return ((lin >> PAGE_SHIFT) ^ (lin >> (PAGE_SHIFT + TLB_BITS))) & (TLB_LINES - 1);
}
static inline unsigned tlb_near_index(gla_t lin)
{
    return (lin >> PAGE_SHIFT) & (TLB_LINES - 1);
}
/* An even page and the one so far behind it share a line; any page and the other, a near one. */
#define TLB_TWIN      ((TLB_LINES + 1) << PAGE_SHIFT)
#define TLB_NEAR_TWIN (TLB_LINES << PAGE_SHIFT)
static inline uint64_t tlb_empty_tag(unsigned index)
{
    return index ? 0 : PAGE_SIZE;
}
static inline bool tlb_hit(const struct tlb_half *h, gla_t lin, unsigned size)
{
    return (lin ^ h->tag) <= PAGE_SIZE - size;
}

/* A page of 1 << shift bytes, with its size: numbers have less than 58 bits. */
static inline uint64_t tlb_large_key(gla_t lin, unsigned shift)
{
    return lin >> shift | (uint64_t)shift << 58;
}

/* Line i was filled with (part of) a page of 1 << shift bytes. */
static inline void tlb_note_fill(struct tlb *tlb, unsigned i, unsigned shift, bool global)
{
    tlb->page_shift[i] = (uint8_t)shift;
    tlb->used = true;
    if (shift > PAGE_SHIFT) {
        const uint64_t key = tlb_large_key(tlb->line[i].rd.tag, shift);
        uint64_t *known = &tlb->large_page[key % TLB_LARGE_PAGES];
        tlb->large = true;
        if (!*known)
            *known = key;
        else if (*known != key)
            tlb->large_others[key % TLB_LARGE_PAGES / 64] |= BIT64(key % 64);
    }
    if (global) {
        tlb->flags[i] |= TLB_GLOBAL;
    } else {
        if (!(tlb->flags[i] & TLB_LISTED))
            tlb->local[tlb->n_local++] = (uint16_t)i;
        tlb->flags[i] = TLB_LISTED;
    }
}

/* Whether the same flushes would empty line i if it were filled so. */
static inline bool tlb_same_page(const struct tlb *tlb, unsigned i, unsigned shift, bool global)
{
    return tlb->page_shift[i] == shift && !!(tlb->flags[i] & TLB_GLOBAL) == global;
}

/* Line i is about to change: its copy in near[] goes. */
void tlb_forget_near(struct tlb *tlb, unsigned i);
/* Line i does not let write any more. */
void tlb_drop_write(struct tlb *tlb, unsigned i);
/* Line i may be written, too, from now on. */
void tlb_fill_write(struct tlb *tlb, unsigned i);
void tlb_flush(struct tlb *tlb);
/* All but global pages: costs what was filled. */
void tlb_flush_local(struct tlb *tlb);
void tlb_flush_page(struct tlb *tlb, gla_t lin);
/* Drops the write halves that reach host memory [host, host+len). */
void tlb_drop_writes(struct tlb *tlb, const uint8_t *host, uint64_t len);

#endif
