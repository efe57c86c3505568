/*
 * The soft TLB against what it promises: after INVLPG no line of the page is left, of a large page
 * none of its parts; after a host page is traced no line writes it; and lines of other pages stay.
 * The near lines never hold what the lines do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mmu/tlb.h"
#include "rng.h"
#include "seed.h"

#include <stdlib.h>
#include <string.h>

#define HOST UINT64_C(0x7f0000000000)

static struct tlb tlb, before;

static gla_t random_page(void)
{
    static const gla_t bases[] = {0, 0x400000, 0x7f1200000000, 0xffff888000000000,
                                  0xffffffff81000000};
    return bases[below(ARRAY_SIZE(bases))] + (gla_t)below(6000) * PAGE_SIZE;
}

/* As translated code does with a line it needs. */
static void fetch_near(gla_t lin)
{
    const struct tlb_line *l = &tlb.line[tlb_index(lin)];
    if (tlb_hit(&l->rd, lin, 1))
        tlb.near[tlb_near_index(lin)] =
            (struct tlb_near){l->rd.tag, l->wr.tag == l->rd.tag ? l->rd.tag : l->rd.tag ^ PAGE_SIZE,
                              l->rd.addend, l->rd.tag + l->rd.addend};
}

/* What is found near is found in the lines. */
static void check_near(void)
{
    for (unsigned i = 0; i < TLB_LINES; i++) {
        const struct tlb_near *near = &tlb.near[i];
        const struct tlb_line *rd = &tlb.line[tlb_index(near->rd)];
        const struct tlb_line *wr = &tlb.line[tlb_index(near->wr)];
        if (tlb_near_index(near->rd) == i)
            assert_true(rd->rd.tag == near->rd && rd->rd.addend == near->addend &&
                        near->rd + near->addend == near->host);
        if (tlb_near_index(near->wr) == i)
            assert_true(wr->wr.tag == near->wr && near->wr == near->rd);
    }
}

/* Few, of which several share an entry of tlb.written. */
static unsigned random_host_page(void)
{
    return below(4) * TLB_WRITTEN + below(256);
}

static void fill(gla_t lin, unsigned shift, unsigned host_page, bool write)
{
    const unsigned i = tlb_index(lin);
    const uint64_t host = HOST + (uint64_t)host_page * PAGE_SIZE;
    tlb_forget_near(&tlb, i);
    tlb.line[i].rd = (struct tlb_half){lin, host - lin};
    tlb.line[i].wr = (struct tlb_half){.tag = tlb_empty_tag(i)};
    if (write)
        tlb_fill_write(&tlb, i);
    tlb_note_fill(&tlb, i, shift, one_in(4));
}

static bool is_empty(const struct tlb_half *h, unsigned i)
{
    return h->tag == tlb_empty_tag(i);
}

static bool same_half(const struct tlb_half *a, const struct tlb_half *b)
{
    return a->tag == b->tag && a->addend == b->addend;
}

static void check_traced(unsigned host_page)
{
    const uint64_t host = HOST + (uint64_t)host_page * PAGE_SIZE;
    const unsigned at = below(PAGE_SIZE - 8);
    before = tlb;
    tlb_drop_writes(&tlb, (const uint8_t *)(uintptr_t)(host + at), 1 + below(8));
    for (unsigned i = 0; i < TLB_LINES; i++) {
        const struct tlb_half *was = &before.line[i].wr, *is = &tlb.line[i].wr;
        assert_true(same_half(&before.line[i].rd, &tlb.line[i].rd));
        if (!is_empty(was, i) && was->tag + was->addend == host)
            assert_true(is_empty(is, i));
        else
            assert_true(same_half(was, is));
    }
}

static void check_invlpg(gla_t lin)
{
    before = tlb;
    tlb_flush_page(&tlb, lin);
    for (unsigned i = 0; i < TLB_LINES; i++) {
        const struct tlb_half *was = &before.line[i].rd, *is = &tlb.line[i].rd;
        if (!is_empty(was, i) && (was->tag ^ lin) >> tlb.page_shift[i] == 0)
            assert_true(is_empty(is, i) && is_empty(&tlb.line[i].wr, i));
        else if (i != tlb_index(lin))
            assert_true(same_half(was, is) && same_half(&before.line[i].wr, &tlb.line[i].wr));
    }
}

static void test_random(void **state)
{
    (void)state;
    rng_state = test_seed(rng_state);
    tlb.used = true;
    tlb_flush(&tlb);
    for (unsigned n = 0; n < 100000; n++) {
        const unsigned what = below(100);
        const gla_t lin = random_page();
        fetch_near(random_page());
        if (what < 80)
            fill(lin, one_in(3) ? 21 : one_in(20) ? 30 : PAGE_SHIFT, random_host_page(), one_in(2));
        else if (what < 90)
            check_traced(random_host_page());
        else if (what < 95)
            check_invlpg(lin);
        else if (what < 96)
            tlb_flush_local(&tlb);
        else if (one_in(30))
            tlb_flush(&tlb);
        fetch_near(lin);
        if (one_in(10))
            check_near();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
