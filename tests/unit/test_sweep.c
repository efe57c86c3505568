/*
 * Blocks that make room (cpu/block.h): those whose bytes were written, and those that nobody enters
 * any more. What is there after each run: every byte of the arena belongs to a block or a hole, and
 * the lists hold what they should.
 */
#include "insn_rig.h"

#include "cpu/block.h"

enum { TEXT = 0x100000, STACK = 0x42000, CELLS = 120000, CELL = 7, THRESHOLD = 16 };
enum { LOOP = 0x60000 };

/* A block each, whose two successors are one; some cross pages. */
static void put_cell(struct rig *r, unsigned i, uint8_t add)
{
    const uint8_t cell[CELL] = {0x05, add, 0, 0, 0, 0x74, 0}; /* add eax, add; jz $+2 */
    rig_put(r, TEXT + i * CELL, cell, sizeof cell);
}

static void open(struct rig *r, unsigned threshold)
{
    static const uint8_t end = 0xf4; /* hlt */
    rig_open_with(r, "max", RIG_RAM_BYTES, threshold, false);
    for (unsigned i = 0; i < CELLS; i++)
        put_cell(r, i, 1);
    rig_put(r, TEXT + CELLS * CELL, &end, 1);
    rig_long(r, SEL_CODE64, SEL_DATA);
    for (gla_t at = TEXT; at < TEXT + (CELLS + 1) * CELL; at += PAGE_SIZE)
        rig_map(r, at, at, RIG_P | RIG_W);
}

static uint64_t run_at(struct rig *r, gla_t at, uint64_t most)
{
    r->cpu->halted = false;
    r->cpu->rip = at;
    r->cpu->r[REG_RAX] = 0;
    r->cpu->r[REG_RSP] = STACK;
    rig_run(r, most);
    assert_true(r->cpu->halted);
    return r->cpu->r[REG_RAX];
}

static uint64_t run_from(struct rig *r, unsigned cell)
{
    return run_at(r, TEXT + cell * CELL, 2 * CELLS + 10);
}

static bool in_page_list(const struct code_cache *cc, struct block *b, ram_t page)
{
    const struct code_page *cp = cc->pages[page >> PAGE_SHIFT];
    struct block *p = cp ? cp->blocks : NULL;
    while (p && p != b)
        p = p->page_next[(p->start & PAGE_MASK) == page ? 0 : 1];
    return p != NULL;
}

static void check(struct rig *r)
{
    struct code_cache *cc = r->cpu->code;
    struct block_arena *a = &cc->arena;
    size_t blocks = 0, holes = 0, listed = 0;
    unsigned young = 0;
    for (struct block *b = block_arena_next(a, NULL); b; b = block_arena_next(a, b)) {
        blocks += b->room;
        young += !b->native;
        assert_int_equal(b->stale, !b->serial);
        if (b->stale)
            continue;
        assert_true(in_page_list(cc, b, b->start & PAGE_MASK));
        assert_true(b->page2 == RAM_NONE || in_page_list(cc, b, b->page2));
        for (unsigned slot = 0; slot < 2; slot++)
            assert_true(!b->link[slot] || !b->link[slot]->stale);
    }
    for (const uint8_t *p = a->at; p < a->at + a->used; p += ((const struct block *)p)->room)
        holes += block_is_hole((const struct block *)p) ? ((const struct block *)p)->room : 0;
    for (unsigned i = 0; i < BLOCK_MAX_INSNS; i++)
        for (struct block *h = a->hole[i]; h; h = h->hash_next)
            listed += h->room;
    assert_int_equal(blocks + holes, a->used);
    assert_int_equal(holes, listed);
    for (unsigned i = 0; i < a->n_young; i++)
        young -= !block_arena_at(a, a->young[i])->native;
    assert_int_equal(young, 0);
}

/* What runs once leaves soon; what runs again and again is decoded once. */
static void test_cold_goes(void **state)
{
    (void)state;
    enum { PART = 2000 };
    struct rig r;
    open(&r, THRESHOLD);
    const struct cpu_stats *const s = &r.cpu->stats;
    size_t most = 0;
    for (unsigned cell = CELLS; cell > PART; cell -= PART) {
        uint8_t jump[5] = {0xe9}; /* leaves the cells where the ones before began */
        st32(jump + 1, (uint32_t)(TEXT + CELLS * CELL - (TEXT + cell * CELL + sizeof jump)));
        if (cell < CELLS)
            rig_put(&r, TEXT + cell * CELL, jump, sizeof jump);
        for (unsigned again = 0; again < 4; again++)
            assert_int_equal(run_from(&r, CELLS - 100), 100);
        assert_int_equal(run_from(&r, cell - PART), PART);
        most = MAX(most, r.cpu->code->arena.used);
        check(&r);
    }
    assert_true(s->blocks_swept > CELLS / 2);
    assert_true(s->blocks_again < CELLS / 100);
    assert_true(most < CELLS / 2 * (sizeof(struct block) + 3 * sizeof(struct insn)));
    assert_int_equal(s->cache_flushes, 0);
    rig_close(&r);
}

/* All of it in turn: nothing is gained by taking it, and that is noticed. */
static void test_cold_comes_back(void **state)
{
    (void)state;
    struct rig r;
    open(&r, THRESHOLD);
    const struct cpu_stats *const s = &r.cpu->stats;
    uint64_t before = 0;
    for (unsigned round = 0; round < THRESHOLD + 4; round++) {
        before = s->blocks_decoded;
        assert_int_equal(run_from(&r, 0), CELLS);
    }
    assert_true(s->blocks_decoded - before < CELLS / 100);
    assert_true(s->blocks_decoded < 3 * CELLS);
    assert_true(s->translated_blocks > CELLS / 10 * 9);
    check(&r);
    rig_close(&r);
}

/* Bytes change under blocks that are new, cold, translated or gone. */
static void test_writes(unsigned threshold)
{
    enum { ROUNDS = 400, TAIL = 30000 };
    struct rig r;
    open(&r, threshold);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const unsigned cell = CELLS - 1 - round * 7919 % TAIL;
        put_cell(&r, cell, 3);
        if (round % 16 == 0)
            assert_int_equal(run_from(&r, CELLS - TAIL), TAIL + 2);
        assert_int_equal(run_from(&r, cell), CELLS - cell + 2);
        put_cell(&r, cell, 1);
        assert_int_equal(run_from(&r, cell), CELLS - cell);
        if (round % 16 == 0)
            check(&r);
    }
    assert_true(r.cpu->stats.blocks_dropped >= ROUNDS);
    rig_close(&r);
}

static void test_writes_translated(void **state)
{
    (void)state;
    test_writes(THRESHOLD);
}

static void test_writes_interpreted(void **state)
{
    (void)state;
    test_writes(0);
}

/* A loop that changes the block it runs before each round: those that were dropped are replaced,
 * and the arena does not grow. */
static void test_rewritten_for_ever(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0xfe, 0x05, 0x01, 0, 0, 0, /* 0: inc byte [rip + 1]: the immediate of ADD */
        0x05, 0,    0,    0, 0,    /* 6: add eax, 0 */
        0xff, 0xc9,                /* dec ecx */
        0x75, 0xf1,                /* jnz 0 */
        0xf4,                      /* hlt */
    };
    enum { ROUNDS = 300000 };
    struct rig r;
    open(&r, THRESHOLD);
    rig_put(&r, LOOP, code, sizeof code);
    r.cpu->r[REG_RCX] = ROUNDS;
    uint64_t sum = 0;
    for (unsigned i = 1; i <= ROUNDS; i++)
        sum += i & 0xff;
    assert_int_equal(run_at(&r, LOOP, 4 * ROUNDS + 10), (uint32_t)sum);
    assert_true(r.cpu->stats.blocks_dropped >= ROUNDS);
    assert_true(r.cpu->code->arena.used < 64 * KiB);
    check(&r);
    rig_close(&r);
}

/*
 * A block that begins with the last byte of a page table, and goes on in the page of that table's
 * last entry: the walk to its second half sets the entry's A, and so drops it while it is looked
 * up.
 */
static void test_found_and_dropped(void **state)
{
    (void)state;
    enum { TABLE_AT = 0x3fe000, NEXT_AT = 0x3ff000, NEXT = 0x50000, ADD = 0x05, LAST = 511 * 8 };
    static const uint8_t rest[] = {1, 0, 0, 0, 0xf4}; /* of ADD EAX, 1; hlt */
    struct rig r;
    open(&r, THRESHOLD);
    rig_map(&r, NEXT_AT, NEXT, RIG_P | RIG_W);
    const gpa_t table = r.next_table - PAGE_SIZE; /* the last that was made */
    rig_map(&r, TABLE_AT, table, RIG_P | RIG_W);
    assert_int_equal(ld64(rig_at(&r, table + LAST)), NEXT | RIG_P | RIG_W);
    rig_put(&r, table + LAST + 7, &(uint8_t){ADD}, 1); /* bits that the walk ignores */
    rig_put(&r, NEXT, rest, sizeof rest);
    for (unsigned round = 0; round < 4 * THRESHOLD; round++) {
        rig_put(&r, table + LAST, &(uint8_t){RIG_P | RIG_W}, 1);
        cpu_flush_tlb(r.cpu);
        assert_int_equal(run_at(&r, TABLE_AT + PAGE_SIZE - 1, 10), 1);
        assert_true(*rig_at(&r, table + LAST) & 0x20);
    }
    assert_true(r.cpu->stats.blocks_dropped >= 4 * THRESHOLD - 1);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cold_goes),          cmocka_unit_test(test_cold_comes_back),
        cmocka_unit_test(test_writes_translated),  cmocka_unit_test(test_writes_interpreted),
        cmocka_unit_test(test_rewritten_for_ever), cmocka_unit_test(test_found_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
