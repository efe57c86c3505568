/*
 * Where translated code goes on: branches to other pages, and the same code at other addresses, as
 * when a program is started once more.
 */
#include "insn_rig.h"

enum { CODE = 0x40000, STACK = 0x42000 };

static void start(struct rig *r, gla_t rip)
{
    r->cpu->halted = false;
    r->cpu->rip = rip;
    r->cpu->r[REG_RSP] = STACK;
    rig_run(r, 10000);
    assert_true(r->cpu->halted);
}

/* The farthest a branch reaches, forward and backward: from the start of its page, where links
 * count from, it is farther than 32 bits with a sign say. */
static void test_two_gib(void **state)
{
    (void)state;
    static const uint8_t forth[] = {0xe9, 0xff, 0xff, 0xff, 0x7f}; /* jmp $+2 GiB */
    static const uint8_t back[] = {0xe9, 0x00, 0x00, 0x00, 0x80};
    static const uint8_t target[] = {
        0xff, 0xc9,       /* dec ecx */
        0x74, 0x02,       /* jz 1f */
        0xff, 0xe0, 0xf4, /* jmp rax; 1: hlt */
    };
    static const gla_t low = 0x40000000, high = 0xc0000000;
    static const struct {
        gla_t from, to;
        const uint8_t *code;
    } cases[] = {{low + 0xff0, high + 0xff4, forth}, {high + 0x010, low + 0x015, back}};
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rig r;
        rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
        rig_long(&r, SEL_CODE64, SEL_DATA);
        rig_map(&r, low, CODE, RIG_P | RIG_W);
        rig_map(&r, high, CODE + PAGE_SIZE, RIG_P | RIG_W);
        const gpa_t at[] = {CODE, CODE + PAGE_SIZE};
        rig_put(&r, at[cases[i].from >= high] + (cases[i].from & ~PAGE_MASK), cases[i].code, 5);
        rig_put(&r, at[cases[i].to >= high] + (cases[i].to & ~PAGE_MASK), target, sizeof target);
        r.cpu->r[REG_RAX] = cases[i].from;
        r.cpu->r[REG_RCX] = 100;
        start(&r, cases[i].from);
        assert_int_equal(r.cpu->r[REG_RCX], 0);
        assert_int_equal(r.cpu->rip, cases[i].to + sizeof target);
        assert_true(r.cpu->stats.translated_blocks);
        rig_close(&r);
    }
}

/* Two pages that call each other, at one address after the other: nothing is translated again, and
 * what is changed in between counts. */
static void test_moves(void **state)
{
    (void)state;
    static const uint8_t first[] = {
        0x31, 0xc0,                   /* xor eax, eax */
        0xe8, 0xf9, 0x0f, 0x00, 0x00, /* call next page */
        0x05, 0x00, 0x01, 0x00, 0x00, /* add eax, 100h */
        0xff, 0xd2, 0xf4,             /* call rdx; hlt */
    };
    static const uint8_t second[] = {0x83, 0xc0, 0x01, 0xc3}; /* add eax, 1; ret */
    struct rig r;
    rig_open_with(&r, "max", RIG_RAM_BYTES, 1, false);
    rig_put(&r, CODE, first, sizeof first);
    uint64_t translated = 0;
    for (unsigned round = 0; round < 24; round++) {
        const gla_t at = 0x40000000 + 0x7000 * (gla_t)(round / 2);
        const uint8_t step = round < 12 ? 1 : 2;
        if (round % 12 == 0) {
            rig_put(&r, CODE + PAGE_SIZE, second, sizeof second);
            rig_put(&r, CODE + PAGE_SIZE + 2, &step, 1);
        }
        rig_long(&r, SEL_CODE64, SEL_DATA);
        rig_map(&r, at, CODE, RIG_P | RIG_W);
        rig_map(&r, at + PAGE_SIZE, CODE + PAGE_SIZE, RIG_P | RIG_W);
        cpu_loaded(r.cpu);
        r.cpu->r[REG_RDX] = at + PAGE_SIZE;
        for (unsigned i = 0; i < 3; i++) {
            start(&r, at);
            assert_int_equal(r.cpu->r[REG_RAX], 0x100 + 2 * step);
        }
        if (round % 12 == 1)
            translated = r.cpu->stats.translated_blocks;
        if (round % 12 > 1)
            assert_int_equal(r.cpu->stats.translated_blocks, translated);
    }
    assert_true(translated);
    rig_close(&r);
}

/* A branch of 16-bit operand size leads below 64 KiB, wherever its page is mapped: into the page
 * itself only while that lies there (SDM 2A "JMP": tempEIP AND 0000FFFFH). */
static void test_cut(void **state)
{
    (void)state;
    static const uint8_t jump[] = {0x66, 0xeb, 0x10}; /* at 100h, to 113h */
    static const gpa_t page[] = {CODE, CODE + PAGE_SIZE};
    for (unsigned threshold = 0; threshold < 2; threshold++) {
        struct rig r;
        rig_open_with(&r, "max", RIG_RAM_BYTES, threshold, false);
        rig_long(&r, SEL_CODE32, SEL_DATA);
        rig_put(&r, page[0] + 0x100, jump, sizeof jump);
        for (unsigned i = 0; i < 2; i++)
            rig_put(&r, page[i] + 0x113, (uint8_t[]){0xb8, (uint8_t)i, 0, 0, 0, 0xf4}, 6);
        for (unsigned i = 0; i < 2; i++) {
            rig_map(&r, 0xf000, page[i], RIG_P | RIG_W);
            rig_map(&r, 0x1f000, page[0], RIG_P | RIG_W);
            cpu_loaded(r.cpu);
            for (unsigned n = 0; n < 4; n++) {
                start(&r, i ? 0x1f100 : 0xf100);
                assert_int_equal(r.cpu->r[REG_RAX], i);
            }
        }
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_gib),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
