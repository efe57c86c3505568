/* Where code lies and goes in IA-32e mode: near branches at the ends of the canonical halves, one
 * page of code at two addresses. SDM 2A "JMP", "CALL", "Jcc"; SDM 1 3.3.7.1; SDM 3A 4.10. */
#include "paging.h"

const char image_name[] = "code64";

uint8_t frame_a[4096] __attribute__((aligned(4096)));
uint8_t frame_b[4096] __attribute__((aligned(4096)));
uint8_t frame_c[4096] __attribute__((aligned(4096)));

extern uint64_t boot_pml4[512];
static uint64_t pdpt[2][512] __attribute__((aligned(4096)));
static uint64_t pd[2][512] __attribute__((aligned(4096)));
static uint64_t pt[2][512] __attribute__((aligned(4096)));

#define ALL      (PTE_P | PTE_W | PTE_U)
#define LOW_END  UINT64_C(0x0000800000000000) /* the first address that is not canonical */
#define HIGH     UINT64_C(0xffff800000000000) /* the first one that is again */
#define LOW_PAGE (LOW_END - 4096)
enum { UD_BYTE = 6 }; /* PUSH ES: no instruction here */

/* frame_a is the last page of the lower half, frame_b the first of the upper one. */
static void map_ends(void)
{
    boot_pml4[255] = (word)pdpt[0] | ALL;
    boot_pml4[256] = (word)pdpt[1] | ALL;
    for (unsigned i = 0; i < 2; i++) {
        const unsigned at_ = i ? 0 : 511;
        memset(pdpt[i], 0, 4096);
        memset(pd[i], 0, 4096);
        memset(pt[i], 0, 4096);
        pdpt[i][at_] = (word)pd[i] | ALL;
        pd[i][at_] = (word)pt[i] | ALL;
        pt[i][at_] = (word)(i ? frame_b : frame_a) | ALL;
    }
    memset(frame_a, UD_BYTE, 4096);
    memset(frame_b, UD_BYTE, 4096);
    flush_tlb();
}

static void unmap_ends(void)
{
    boot_pml4[255] = boot_pml4[256] = 0;
    flush_tlb();
}

struct piece {
    uint8_t n, bytes[15];
    const char *name;
};

/* Puts p at lin (on frame_a or frame_b) and goes there. */
static void go(const struct piece *p, word lin)
{
    uint8_t *frame = lin >= HIGH ? frame_b : frame_a;
    memcpy(frame + (lin & 4095), p->bytes, p->n);
    in.bx = lin;
    TRY("jmp *%%rbx");
    memset(frame, UD_BYTE, 4096);
}

/*
 * A branch that is taken to where it is not canonical faults itself, with nothing done. One that
 * is not taken goes on behind itself. The displacement of each is 70h bytes up or down.
 */
static void branches(void)
{
    static const struct piece up[] = {
        {2, {0xeb, 0x70}, "jmp rel8"},
        {5, {0xe9, 0x70}, "jmp rel32"},
        {2, {0x74, 0x70}, "jz rel8"},
        {6, {0x0f, 0x84, 0x70}, "jz rel32"},
        {4, {0x39, 0xc0, 0x74, 0x70}, "cmp, jz"},
        {4, {0x85, 0xff, 0x74, 0x70}, "test, jz"},
        {5, {0xe8, 0x70}, "call rel32"},
        {2, {0xe2, 0x70}, "loop"},
        {2, {0xe1, 0x70}, "loope"},
        {2, {0xe3, 0x70}, "jrcxz"},
        {3, {0x67, 0xe3, 0x70}, "jecxz"},
    };
    map_ends();
    for (enum level l = RING0; l <= RING3; l += 3)
        for (unsigned i = 0; i < sizeof up / sizeof up[0]; i++)
            for (unsigned half = 0; half < 2; half++) {
                struct piece p = up[i];
                const bool zero_cx = p.bytes[0] == 0xe3 || p.bytes[0] == 0x67;
                unsigned at_ = 0; /* of the displacement */
                while (p.bytes[at_] != 0x70)
                    at_++;
                if (half) { /* downwards from the upper half */
                    p.bytes[at_] = 0x90;
                    if (p.n - at_ == 4)
                        memset(p.bytes + at_ + 1, 0xff, 3);
                }
                /* its branch is the second instruction of a pair */
                const unsigned skipped = p.bytes[0] == 0x39 || p.bytes[0] == 0x85 ? 2 : 0;
                const word lin = half ? HIGH + 0x10 : LOW_END - 0x20;
                at(l);
                ctx.flags = 0x42; /* ZF */
                in = (struct regs){.cx = zero_cx ? 0 : 3};
                word *const slot = (word *)(ctx.sp - 8);
                *slot = 0x1234;
                go(&p, lin);
                check(last.vector == GP && last.error == 0, "%s half %u: vector %x error %x",
                      p.name, half, last.vector, last.error);
                check_eq(last.ip, lin + skipped, "%s half %u: IP", p.name, half);
                check_eq(last.sp, ctx.sp, "%s half %u: RSP", p.name, half);
                check_eq(*slot, 0x1234, "%s half %u: nothing is pushed", p.name, half);
                check_eq(last.r.cx, in.cx, "%s half %u: RCX", p.name, half);
                if (p.bytes[0] == 0xeb || p.bytes[0] == 0xe9 || p.bytes[0] == 0xe8)
                    continue;
                ctx.flags = 2;
                in.cx = 1; /* LOOP counts to 0 */
                if (skipped) {
                    p.bytes[2] = 0x75; /* ZF is set: the other condition */
                }
                go(&p, lin);
                check_eq(last.ip, lin + p.n, "%s half %u: not taken", p.name, half);
            }
    /* with TF, and at a far distance; the trap of the branch does not come */
    at(RING0);
    ctx.flags = 0x102;
    write_dr6(0xffff0ff0);
    static const struct piece far_up = {5, {0xe9, 0xff, 0xff, 0xff, 0x7f}, "jmp 2 GiB"};
    memcpy(frame_a + 0x800, far_up.bytes, far_up.n);
    at(RING0);
    in.bx = LOW_PAGE + 0x800;
    TRY("push $0x102\n popfq\n jmp *%%rbx");
    check_eq(last.vector, DB, "the step before");
    at(RING0);
    TRY("mov %%rsp, %%rax\n pushq $0x10\n push %%rax\n pushq $0x102\n mov %%cs, %%eax\n"
        "push %%rax\n push %%rbx\n iretq");
    check(last.vector == GP && last.ip == LOW_PAGE + 0x800,
          "a stepped jmp of 2 GiB: vector %x at %lx", last.vector, last.ip);
    unmap_ends();
}

/* What reaches the end of the lower half without a branch. */
static void ends(void)
{
    map_ends();
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        static const struct piece nop = {1, {0x90}, "nop"};
        go(&nop, LOW_END - 1);
        check(last.vector == GP && last.error == 0 && last.ip == LOW_END,
              "running off the end: vector %x at %lx", last.vector, last.ip);
        /* an instruction whose second byte is not canonical */
        static const struct piece mov = {2, {0xb8, 0x00}, "mov"};
        go(&mov, LOW_END - 2);
        check(last.vector == GP && last.error == 0 && last.ip == LOW_END - 2,
              "an instruction across the end: vector %x error %x at %lx", last.vector, last.error,
              last.ip);
        static const struct piece prefix = {1, {0x66}, "prefix"};
        go(&prefix, LOW_END - 1);
        check(last.vector == GP && last.error == 0 && last.ip == LOW_END - 1,
              "a prefix at the end: vector %x error %x at %lx", last.vector, last.error, last.ip);
        /* INT, whose return address is not canonical; IRET there is #GP */
        static const struct piece done = {2, {0xcd, 0x80}, "int"};
        go(&done, LOW_END - 2);
        check(last.vector == DONE && last.ip == LOW_END, "INT as the last: vector %x at %lx",
              last.vector, last.ip);
        /* CALL, and the RET back */
        static const struct piece call = {5, {0xe8, 0xeb, 0xff, 0xff, 0xff}, "call back"};
        memcpy(frame_a + 0xfeb, (uint8_t[]){0xc3}, 1);
        in.bp = 0;
        go(&call, LOW_END - 5);
        check(last.vector == GP && last.error == 0 && last.ip == LOW_END - 0x15,
              "RET to a CALL at the end: vector %x at %lx", last.vector, last.ip);
        check_eq(last.sp, ctx.sp - 8, "the return address is still there");
        /* a relative operand */
        static const struct piece load = {7, {0x48, 0x8b, 0x05, 0x10}, "mov"};
        go(&load, LOW_END - 7);
        check(last.vector == GP && last.error == 0 && last.ip == LOW_END - 7,
              "RIP-relative, not canonical: vector %x at %lx", last.vector, last.ip);
    }
    unmap_ends();
}

/* frame_a at two addresses, with another page behind it at each. */
static void aliases(void)
{
    extern uint64_t boot_pd[4 * 512];
    static const uint8_t add1[] = {0x83, 0xc0, 0x01, 0xc3};             /* add $1, %eax; ret */
    static const uint8_t add2[] = {0x05, 0x00, 0x00, 0x01, 0x00, 0xc3}; /* add $0x10000 */
    static const uint8_t jump[] = {0xe9, 0x1b, 0x00, 0x00, 0x00}; /* to 10h of the next page */
    static const uint8_t branch[] = {0x39, 0xc0, 0x0f, 0x84, 0x18, 0x00, 0x00, 0x00};
    static const uint8_t call[] = {0xe8, 0x1b, 0x00, 0x00, 0x00, 0xc3};
    const uint64_t keep = boot_pd[TEST >> 21];
    memset(pt[0], 0, 4096);
    pt[0][0] = pt[0][2] = (word)frame_a | ALL;
    pt[0][1] = (word)frame_b | ALL;
    pt[0][3] = (word)frame_c | ALL;
    boot_pd[TEST >> 21] = (word)pt[0] | ALL;
    flush_tlb();
    for (unsigned how = 0; how < 4; how++)
        for (enum level l = RING0; l <= RING3; l += 3) {
            memset(frame_a, 0x90, 4096);
            memset(frame_b, UD_BYTE, 4096);
            memset(frame_c, UD_BYTE, 4096);
            if (how == 1)
                memcpy(frame_a + 0xff0, jump, sizeof jump);
            if (how == 2)
                memcpy(frame_a + 0xff0, branch, sizeof branch);
            if (how == 3)
                memcpy(frame_a + 0xff0, call, sizeof call);
            memcpy(frame_b + (how ? 0x10 : 0), add1, sizeof add1);
            memcpy(frame_c + (how ? 0x10 : 0), add2, sizeof add2);
            static const char *const names[] = {"running on", "jmp", "jz", "call"};
            at(l);
            in = (struct regs){.bx = TEST + 0xff0, .si = TEST + 0x2ff0, .cx = 100};
            TRY("1: call *%%rbx\n call *%%rbx\n call *%%rsi\n xchg %%rbx, %%rsi\n loop 1b");
            expect_done("%s between two pages", names[how]);
            check_eq(last.r.ax, 150 * 0x10001, "%s: each with its own next page", names[how]);
        }
    boot_pd[TEST >> 21] = keep;
    flush_tlb();
}

const struct test tests[] = {
    {"branches", branches},
    {"ends", ends},
    {"aliases", aliases},
    {NULL, NULL},
};
