/* Five-level paging: the fifth level's entry, and 57-bit canonical addresses. SDM 3A 4.5. */
#include "paging.h"

const char image_name[] = "la57_64";

uint8_t frame_a[4096] __attribute__((aligned(4096)));
uint8_t frame_b[4096] __attribute__((aligned(4096)));
uint8_t frame_c[4096] __attribute__((aligned(4096)));

extern uint64_t boot_pml4[512];
static uint64_t pml5[512] __attribute__((aligned(4096))), pml4[512] __attribute__((aligned(4096))),
    pdpt[512] __attribute__((aligned(4096))), pd[512] __attribute__((aligned(4096))),
    pt[512] __attribute__((aligned(4096)));

#define ALL      (PTE_P | PTE_W | PTE_U)
#define FAR      UINT64_C(0x00f0000000000000) /* canonical with 57 bits, not with 48 */
#define BAD57    UINT64_C(0x0100000000000000)
#define BAD57NEG UINT64_C(0xfeffffffffffffff)
#define BAD48    UINT64_C(0x0000800000000000)

/* Paging off, LA57 as said, paging on with this CR3; through compatibility mode. */
static void change(bool la57, const void *root)
{
    extern uint8_t switch_levels[];
    asm volatile(".pushsection .snip, \"ax\"\n .code32\n"
                 "switch_levels: mov %%cr0, %%ebx\n and $0x7fffffff, %%ebx\n mov %%ebx, %%cr0\n"
                 "mov %%eax, %%cr4\n mov %%ecx, %%cr3\n or $0x80000000, %%ebx\n mov %%ebx, %%cr0\n"
                 "ljmp %0, $1f\n .code64\n 1: int $0x80\n .popsection\n" ::"i"(KCODE64));
    at_compat(RING0);
    in = (struct regs){.ax = (cr4() & ~(word)(1 << 12)) | la57 << 12, .cx = (word)root};
    run(switch_levels, switch_levels);
    check_eq(last.vector, DONE, "switch to %u levels", 4 + la57);
    check_eq(cr4() >> 12 & 1, la57, "CR4.LA57");
    at(RING0);
}

static void begin(void)
{
    fill_frames();
    memset(pml5, 0, sizeof pml5);
    pml5[0] = (word)boot_pml4 | ALL;
    pml5[(FAR >> 48) & 511] = (word)pml4 | ALL;
    pml4[0] = (word)pdpt | ALL;
    pdpt[0] = (word)pd | ALL;
    pd[0] = (word)pt | ALL;
    pt[0] = (word)frame_a | ALL;
    change(true, pml5);
}

static void levels(void)
{
    if (!(features() & HAS_LA57)) {
        skip("no LA57");
        return;
    }
    begin();
    uint64_t *const entry[] = {&pt[0], &pd[0], &pdpt[0], &pml4[0], &pml5[(FAR >> 48) & 511]};
    const uint64_t table[] = {(word)frame_a, (word)pt, (word)pd, (word)pdpt, (word)pml4};
    struct mode m = {0};
    for (unsigned wp = 0; wp < 2; wp++) {
        m.wp = wp;
        write_cr0((cr0() & ~(word)CR0_WP) | (wp ? CR0_WP : 0));
        for (unsigned level = 0; level < 5; level++)
            for (unsigned bits = 0; bits < 4; bits++)
                for (unsigned cpl = 0; cpl < 4; cpl += 3)
                    for (enum access access = READ; access <= EXEC; access++) {
                        const bool w = bits & 1, u = bits & 2;
                        for (unsigned i = 0; i < 5; i++)
                            *entry[i] = table[i] | ALL;
                        *entry[level] = table[level] | PTE_P | (w ? PTE_W : 0) | (u ? PTE_U : 0);
                        flush_tlb();
                        at(cpl ? RING3 : RING0);
                        uint32_t error;
                        const bool ok = allowed(&m, access, cpl, w, u, false, &error);
                        in.cx = 0x80cd80cd;
                        attempt(access, FAR);
                        judge(access, FAR, ok, error, "level", level, bits << 4 | cpl);
                        if (ok)
                            check_eq(*entry[4] & (PTE_A | PTE_D), PTE_A, "A of the fifth level");
                    }
    }
    write_cr0(cr0() & ~(word)CR0_WP);
    at(RING0);
    for (unsigned level = 0; level < 5; level++) {
        for (unsigned i = 0; i < 5; i++)
            *entry[i] = table[i] | ALL;
        *entry[level] &= ~(uint64_t)PTE_P;
        flush_tlb();
        attempt(WRITE, FAR);
        judge(WRITE, FAR, false, PF_W, "absent at level", level, 0);
        if (level < 3)
            continue;
        *entry[level] |= PTE_P | PTE_PS;
        flush_tlb();
        attempt(READ, FAR);
        judge(READ, FAR, false, PF_P | PF_RSVD, "PS is reserved at level", level, 0);
    }
    for (unsigned i = 0; i < 5; i++)
        *entry[i] = table[i] | ALL;
    change(false, boot_pml4);
}

static void canonical(void)
{
    if (!(features() & HAS_LA57)) {
        skip("no LA57");
        return;
    }
    begin();
    static const uint64_t good[] = {BAD48, FAR, BAD57 - 8, UINT64_C(0xff00000000000000),
                                    UINT64_C(0xffff7ffffffffff8)};
    static const uint64_t bad[] = {BAD57, BAD57NEG - 7, UINT64_C(0x8000000000000000)};
    for (enum level l = RING0; l <= RING3; l += 3) {
        for (unsigned i = 0; i < 5; i++) {
            at(l);
            in.bx = in.bp = good[i];
            TRY("mov (%%rbx), %%rax");
            check(good[i] == FAR ? last.vector == DONE : last.vector == PF,
                  "%llx is canonical: vector %x", good[i], last.vector);
            if (good[i] != FAR)
                check_eq(last.cr2, good[i], "CR2");
            TRY("jmp *%%rbx");
            check(good[i] == FAR ? last.vector == DONE : last.vector == PF && last.ip == good[i],
                  "jmp to %llx: vector %x", good[i], last.vector);
        }
        for (unsigned i = 0; i < 3; i++) {
            in.bx = in.bp = bad[i];
            TRY("mov (%%rbx), %%rax");
            expect_fault(GP, 0, "%llx", bad[i]);
            TRY("mov (%%rbp), %%rax");
            expect_fault(SS, 0, "%llx through RBP", bad[i]);
            TRY("jmp *%%rbx");
            expect_fault(GP, 0, "jmp to %llx", bad[i]);
        }
    }
    at(RING0);
    static const uint32_t msrs[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                    0xc0000102, 0x175,      0x176};
    for (unsigned i = 0; i < sizeof msrs / 4; i++) {
        const uint64_t keep = rdmsr(msrs[i]);
        in = (struct regs){.cx = msrs[i], .ax = 0, .dx = FAR >> 32};
        TRY("wrmsr");
        expect_done("MSR %x takes 57 bits", msrs[i]);
        check_eq(rdmsr(msrs[i]), FAR, "MSR %x", msrs[i]);
        in.dx = BAD57 >> 32;
        TRY("wrmsr");
        expect_fault(GP, 0, "MSR %x takes no 58", msrs[i]);
        wrmsr(msrs[i], keep);
    }
    in.ax = cr4() & ~(word)(1 << 12);
    TRY("mov %%rax, %%cr4");
    expect_fault(GP, 0, "LA57 off in IA-32e mode");
    /* a TSS and an IDT out there */
    change(false, boot_pml4);
    in.bx = FAR;
    TRY("mov (%%rbx), %%rax");
    expect_fault(GP, 0, "with four levels it is not canonical again");
}

/* With four levels bases may have 57 bits all the same: they are not used yet. */
static void bases(void)
{
    if (!(features() & HAS_LA57)) {
        skip("no LA57");
        return;
    }
    static const uint32_t msrs[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                                    0xc0000102, 0x175,      0x176};
    at(RING0);
    for (unsigned i = 0; i < sizeof msrs / 4; i++) {
        const uint64_t keep = rdmsr(msrs[i]);
        in = (struct regs){.cx = msrs[i], .ax = 0, .dx = FAR >> 32};
        TRY("wrmsr");
        expect_done("MSR %x takes 57 bits with four levels", msrs[i]);
        check_eq(rdmsr(msrs[i]), FAR, "MSR %x", msrs[i]);
        in.dx = BAD57 >> 32;
        TRY("wrmsr");
        expect_fault(GP, 0, "MSR %x takes no 58", msrs[i]);
        wrmsr(msrs[i], keep);
    }
    wrmsr(0xc0000100, FAR);
    in = (struct regs){0};
    TRY("mov %%fs:(%%rbx), %%rax");
    expect_fault(GP, 0, "but an access there is not canonical");
    wrmsr(0xc0000100, 0);
    static struct pointer p;
    p = (struct pointer){sizeof gdt - 1, FAR};
    in = (struct regs){.bx = (word)&p};
    static uint8_t old[10], now[10];
    in.si = (word)old;
    in.di = (word)now;
    TRY("sgdt (%%rsi)\n lgdt (%%rbx)\n sgdt (%%rdi)\n lgdt (%%rsi)");
    expect_done("lgdt");
    check(!memcmp(now, &p, 10), "GDTR");
    /* a descriptor read from there: #GP, though the selector comes through RBP */
    gdt_set(SLOT(10), descriptor((uint32_t)FAR, 0xff, P | T_LDT, 0));
    gdt_set(SLOT(11), FAR >> 32);
    static uint16_t selector = 4;
    in = (struct regs){.ax = SLOT(10), .bp = (word)&selector};
    TRY("lldt %%ax\n mov (%%rbp), %%es");
    expect_at(GP, 0, 3, "an LDT where it is not canonical");
    in.ax = 0;
    TRY("lldt %%ax");
    if (features() & HAS_INVPCID) {
        static uint64_t d[2];
        d[1] = FAR;
        in = (struct regs){.bx = (word)d, .ax = 0};
        TRY("invpcid (%%rbx), %%rax");
        expect_done("invpcid");
    }
}

const struct test tests[] = {
    {"levels", levels},
    {"canonical", canonical},
    {"bases", bases},
    {NULL, NULL},
};
