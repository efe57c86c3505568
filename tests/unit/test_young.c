/*
 * More code than there is room for young blocks (cpu/block.h): what is seldom entered is decoded
 * again and again, until it has been entered often enough; what is often is kept, with its links.
 */
#include "insn_rig.h"

enum { TEXT = 0x100000, STACK = 0x42000, CELLS = 30000, CELL = 7, THRESHOLD = 16 };

/* A block each, whose two successors are one; some cross pages. Together they take more than is
 * there: 144 bytes each, and 64 for each instruction and one more. */
static void put_cell(struct rig *r, unsigned i, uint8_t add)
{
    const uint8_t cell[CELL] = {0x05, add, 0, 0, 0, 0x74, 0}; /* add eax, add; jz $+2 */
    rig_put(r, TEXT + i * CELL, cell, sizeof cell);
}

static void open(struct rig *r)
{
    static const uint8_t end = 0xf4; /* hlt */
    rig_open_with(r, "max", RIG_RAM_BYTES, THRESHOLD, false);
    for (unsigned i = 0; i < CELLS; i++)
        put_cell(r, i, 1);
    rig_put(r, TEXT + CELLS * CELL, &end, 1);
    rig_long(r, SEL_CODE64, SEL_DATA);
    for (gla_t at = TEXT; at < TEXT + (CELLS + 1) * CELL; at += PAGE_SIZE)
        rig_map(r, at, at, RIG_P | RIG_W);
}

static uint64_t run_from(struct rig *r, unsigned cell)
{
    r->cpu->halted = false;
    r->cpu->rip = TEXT + cell * CELL;
    r->cpu->r[REG_RAX] = 0;
    r->cpu->r[REG_RSP] = STACK;
    rig_run(r, 2 * CELLS + 10);
    assert_true(r->cpu->halted);
    return r->cpu->r[REG_RAX];
}

static void test_all_of_it(void **state)
{
    (void)state;
    struct rig r;
    open(&r);
    const struct cpu_stats *const s = &r.cpu->stats;
    for (unsigned round = 1; round <= THRESHOLD + 4; round++) {
        assert_int_equal(run_from(&r, 0), CELLS);
        if (round == THRESHOLD / 4) {
            assert_true(s->young_emptied);
            assert_true(s->blocks_decoded > CELLS * 2); /* more than once */
            assert_true(s->translated_blocks < CELLS / 4);
        }
    }
    assert_true(s->translated_blocks > CELLS / 10 * 9);
    assert_int_equal(s->cache_flushes, 0);
    const uint64_t decoded = s->blocks_decoded;
    assert_int_equal(run_from(&r, 0), CELLS);
    assert_true(s->blocks_decoded - decoded < CELLS / 10);
    rig_close(&r);
}

/* Bytes change under blocks that are young, kept or gone. */
static void test_writes(void **state)
{
    (void)state;
    struct rig r;
    open(&r);
    for (unsigned round = 0; round < 3 * THRESHOLD; round++) {
        const unsigned cell = round * 7919 % CELLS;
        for (unsigned i = 0; i < THRESHOLD; i++) /* those of the end are kept */
            assert_int_equal(run_from(&r, CELLS - 100), 100);
        put_cell(&r, cell, 3);
        assert_int_equal(run_from(&r, 0), CELLS + 2);
        put_cell(&r, cell, 1);
        assert_int_equal(run_from(&r, 0), CELLS);
    }
    assert_true(r.cpu->stats.young_emptied && r.cpu->stats.blocks_dropped);
    rig_close(&r);
}

/* Blocks that lead to themselves, and to each other both ways, when they move. */
static void test_loops(void **state)
{
    (void)state;
    static const uint8_t code[] = {
        0xff, 0xc9,          /* 0: dec ecx */
        0x75, 0xfc,          /* jnz 0 */
        0xb9, 0x03, 0, 0, 0, /* mov ecx, 3 */
        0xff, 0xc0,          /* 9: inc eax */
        0xa8, 0x01,          /* test al, 1 */
        0x75, 0xfa,          /* jnz 9 */
        0xff, 0xca,          /* dec edx */
        0x75, 0xed,          /* jnz 0 */
        0xe9, 0,    0, 0, 0, /* jmp to the cells */
    };
    enum { AT = 0x60000 };
    struct rig r;
    open(&r);
    uint8_t bytes[sizeof code];
    memcpy(bytes, code, sizeof code);
    st32(bytes + sizeof code - 4, TEXT - (AT + sizeof code));
    rig_put(&r, AT, bytes, sizeof bytes);
    for (unsigned round = 1; round < THRESHOLD; round++) {
        r.cpu->halted = false;
        r.cpu->rip = AT;
        r.cpu->r[REG_RAX] = 0;
        r.cpu->r[REG_RCX] = 3;
        r.cpu->r[REG_RDX] = 2;
        r.cpu->r[REG_RSP] = STACK;
        rig_run(&r, 3 * CELLS);
        assert_true(r.cpu->halted);
        assert_int_equal(r.cpu->r[REG_RAX], CELLS + 4);
        assert_int_equal(r.cpu->r[REG_RCX], 3);
    }
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it),
        cmocka_unit_test(test_writes),
        cmocka_unit_test(test_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
