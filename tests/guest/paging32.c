/* Paging of 32-bit protected mode: two levels with 4-MiB pages, and PAE. */
#include "paging.h"

#include "crossing.inc"

const char image_name[] = "paging32";

static uint32_t pd32[1024] __attribute__((aligned(4096))),
    pt32[1024] __attribute__((aligned(4096))), alias32[1024] __attribute__((aligned(4096)));
static uint64_t pdpt[4] __attribute__((aligned(4096))), pd[4][512] __attribute__((aligned(4096))),
    pt[512] __attribute__((aligned(4096))), alias[512] __attribute__((aligned(4096)));

static void paging_off(void)
{
    write_cr0(cr0() & 0x7fffffff & ~(word)CR0_WP);
    write_cr4(cr4() & ~(word)(CR4_PAE | CR4_PSE | CR4_PGE | CR4_SMEP | CR4_SMAP));
}

/* The identity map is for level 0, by 4-MiB pages. */
static void paging_on_32(void)
{
    paging_off();
    fill_frames();
    for (unsigned i = 0; i < 1024; i++) {
        pd32[i] = i << 22 | PTE_PS | PTE_W | PTE_P;
        alias32[i] = i << 12 | PTE_U | PTE_W | PTE_P;
        pt32[i] = 0;
    }
    pd32[TEST >> 22] = (uint32_t)pt32 | PTE_U | PTE_W | PTE_P;
    pd32[ALIAS >> 22] = (uint32_t)alias32 | PTE_U | PTE_W | PTE_P;
    write_cr3((word)pd32);
    write_cr4(cr4() | CR4_PSE);
    write_cr0(cr0() | 0x80000000);
}

static void paging_on_pae(void)
{
    paging_off();
    fill_frames();
    for (unsigned i = 0; i < 2048; i++)
        pd[i / 512][i % 512] = (uint64_t)i << 21 | PTE_PS | PTE_W | PTE_P;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (uint32_t)pd[i] | PTE_P;
    for (unsigned i = 0; i < 512; i++) {
        alias[i] = i << 12 | PTE_U | PTE_W | PTE_P;
        pt[i] = 0;
    }
    pd[1][(TEST >> 21) & 511] = (uint32_t)pt | PTE_U | PTE_W | PTE_P;
    pd[1][(ALIAS >> 21) & 511] = (uint32_t)alias | PTE_U | PTE_W | PTE_P;
    write_cr4(cr4() | CR4_PAE);
    write_cr3((word)pdpt);
    write_cr0(cr0() | 0x80000000);
}

static void set_nxe(bool on)
{
    wrmsr(0xc0000080, (rdmsr(0xc0000080) & ~UINT64_C(0x800)) | (on ? 0x800 : 0));
}

static void set_mode(const struct mode *m)
{
    write_cr0((cr0() & ~(word)CR0_WP) | (m->wp ? CR0_WP : 0));
    write_cr4((cr4() & ~(word)(CR4_SMEP | CR4_SMAP)) | (m->smep ? CR4_SMEP : 0) |
              (m->smap ? CR4_SMAP : 0));
}

/* All rights of two levels, every access, both levels of privilege, all of WP, SMEP, SMAP, AC. */
static void rights(bool pae, bool large)
{
    const bool can_nx = pae && (features() & HAS_NX);
    const word target = large ? TEST + 0x1000000 : TEST;
    for (unsigned k = 0; k < 16; k++) {
        struct mode m = {.wp = k & 1, .smep = k & 2, .smap = k & 4, .ac = k & 8, .nxe = can_nx};
        if ((m.smep && !(features() & HAS_SMEP)) || (m.smap && !(features() & HAS_SMAP)))
            continue;
        m.tells_fetch = m.smep || (can_nx && pae);
        set_mode(&m);
        for (unsigned bits = 0; bits < 64; bits++) {
            const bool w1 = bits & 1, u1 = bits & 2, w2 = bits & 4, u2 = bits & 8, nx1 = bits & 16,
                       nx2 = bits & 32;
            if ((nx1 || nx2) && !can_nx)
                continue;
            if (large && (w2 || u2 || nx2))
                continue;
            const uint64_t top = PTE_P | (w1 ? PTE_W : 0) | (u1 ? PTE_U : 0) | (nx1 ? PTE_NX : 0);
            const uint64_t leaf = PTE_P | (w2 ? PTE_W : 0) | (u2 ? PTE_U : 0) | (nx2 ? PTE_NX : 0);
            for (unsigned cpl = 0; cpl < 4; cpl += 3)
                for (enum access access = READ; access <= EXEC; access++) {
                    if (large && pae)
                        pd[1][(target >> 21) & 511] =
                            ((uint32_t)frame_a & ~0x1fffffu) | PTE_PS | top;
                    else if (large)
                        pd32[target >> 22] =
                            (uint32_t)(((uint32_t)frame_a & ~0x3fffffu) | PTE_PS | top);
                    else if (pae) {
                        pd[1][(TEST >> 21) & 511] = (uint32_t)pt | top;
                        pt[0] = (uint32_t)frame_a | leaf;
                    } else {
                        pd32[TEST >> 22] = (uint32_t)pt32 | (uint32_t)top;
                        pt32[0] = (uint32_t)((uint32_t)frame_a | leaf);
                    }
                    flush_tlb();
                    at_level(cpl, m.ac);
                    uint32_t error;
                    const bool w = large ? w1 : w1 && w2, u = large ? u1 : u1 && u2,
                               nx = nx1 || nx2;
                    const bool ok = allowed(&m, access, cpl, w, u, nx, &error);
                    const word lin =
                        large ? target + ((uint32_t)frame_a & (pae ? 0x1fffff : 0x3fffff)) : TEST;
                    in.cx = 0x80cd80cd; /* what is written keeps the INT 80h */
                    attempt(access, lin);
                    judge(access, lin, ok, error, large ? "large" : "small", bits, k * 4 + cpl);
                    const uint64_t now =
                        large ? (pae ? pd[1][(target >> 21) & 511] : pd32[target >> 22])
                        : pae ? pt[0]
                              : pt32[0];
                    const uint64_t want = ok ? PTE_A | (access == WRITE ? PTE_D : 0) : 0;
                    check_eq(now & (PTE_A | PTE_D), want,
                             "A and D of the leaf: %s, bits %x mode %x", access_names[access], bits,
                             k * 4 + cpl);
                    if (ok && !large)
                        check_eq((pae ? pd[1][(TEST >> 21) & 511] : pd32[TEST >> 22]) &
                                     (PTE_A | PTE_D),
                                 PTE_A, "A of the upper entry");
                }
        }
    }
    set_mode(&(struct mode){0});
}

/* Absent and reserved entries. */
static void absent(bool pae)
{
    const struct mode m = {.tells_fetch = pae && (features() & HAS_NX)};
    for (unsigned cpl = 0; cpl < 4; cpl += 3)
        for (enum access access = READ; access <= EXEC; access++) {
            const uint32_t e = error_of(&m, access, cpl);
            at_level(cpl, false);
            if (pae) {
                pd[1][(TEST >> 21) & 511] = ((uint32_t)pt | PTE_U | PTE_W) & ~(uint32_t)PTE_P;
                pt[0] = (uint32_t)frame_a | PTE_U | PTE_W | PTE_P;
                flush_tlb();
                attempt(access, TEST);
                judge(access, TEST, false, e, "no PDE", cpl, 0);
                pd[1][(TEST >> 21) & 511] |= PTE_P;
                pt[0] = 0xfffffffe; /* everything but P */
                flush_tlb();
                attempt(access, TEST);
                judge(access, TEST, false, e, "no PTE", cpl, 0);
                for (unsigned bit = 52; bit < 63; bit++) { /* reserved in PAE whatever MAXPHYADDR */
                    pt[0] = (uint32_t)frame_a | PTE_P | PTE_W | PTE_U | UINT64_C(1) << bit;
                    flush_tlb();
                    attempt(access, TEST);
                    judge(access, TEST, false, e | PF_P | PF_RSVD, "reserved bit in a PTE", cpl,
                          bit);
                }
                pt[0] = (uint32_t)frame_a | PTE_P | PTE_W | PTE_U;
                pd[1][(TEST >> 21) & 511] |= UINT64_C(1) << 55;
                flush_tlb();
                attempt(access, TEST);
                judge(access, TEST, false, e | PF_P | PF_RSVD, "reserved bit in a PDE", cpl, 55);
                pd[1][(TEST >> 21) & 511] = (uint32_t)pt | PTE_U | PTE_W | PTE_P;
                for (unsigned bit = 13; bit < 21; bit++) {
                    pd[1][(TEST >> 21) & 511] = PTE_PS | PTE_U | PTE_W | PTE_P | UINT64_C(1) << bit;
                    flush_tlb();
                    attempt(access, TEST);
                    judge(access, TEST, false, e | PF_P | PF_RSVD, "reserved bit in a 2-MiB page",
                          cpl, bit);
                }
                pd[1][(TEST >> 21) & 511] = (uint32_t)pt | PTE_U | PTE_W | PTE_P;
                const uint64_t keep = pdpt[3];
                pdpt[3] = 0;
                flush_tlb();
                attempt(access, 0xd0000000);
                judge(access, 0xd0000000, false, e, "no PDPTE", cpl, 0);
                pdpt[3] = keep;
                flush_tlb();
            } else {
                pd32[TEST >> 22] = ((uint32_t)pt32 | PTE_U | PTE_W) & ~(uint32_t)PTE_P;
                pt32[0] = (uint32_t)frame_a | PTE_U | PTE_W | PTE_P;
                flush_tlb();
                attempt(access, TEST);
                judge(access, TEST, false, e, "no PDE", cpl, 0);
                pd32[TEST >> 22] |= PTE_P;
                pt32[0] = 0xfffffffe;
                flush_tlb();
                attempt(access, TEST);
                judge(access, TEST, false, e, "no PTE", cpl, 0);
                const uint32_t keep = pd32[TEST >> 22];
                pd32[TEST >> 22] = PTE_PS | PTE_U | PTE_W | PTE_P | 1u << 21;
                flush_tlb();
                attempt(access, TEST);
                judge(access, TEST, false, e | PF_P | PF_RSVD, "reserved bit in a 4-MiB page", cpl,
                      21);
                pd32[TEST >> 22] = keep;
            }
        }
}

static void two_levels(void)
{
    paging_on_32();
    rights(false, false);
    paging_on_32();
    rights(false, true);
    paging_on_32();
    absent(false);
    paging_off();
}

static void pae(void)
{
    set_nxe(features() & HAS_NX);
    paging_on_pae();
    rights(true, false);
    paging_on_pae();
    rights(true, true);
    paging_on_pae();
    absent(true);
    if (features() & HAS_NX) { /* without NXE the bit is reserved, and fetches are not told apart */
        paging_on_pae();
        set_nxe(false);
        for (enum access access = READ; access <= EXEC; access++) {
            pt[0] = (uint32_t)frame_a | PTE_P | PTE_W | PTE_U | PTE_NX;
            flush_tlb();
            at_level(0, false);
            attempt(access, TEST);
            judge(access, TEST, false, PF_P | PF_RSVD | (access == WRITE ? PF_W : 0),
                  "NX without NXE", 0, 0);
        }
    }
    paging_off();
}

/* CR4.PSE off: bit 7 of a PDE means nothing. */
static void no_pse(void)
{
    paging_on_32();
    static uint32_t identity[1024] __attribute__((aligned(4096)));
    for (unsigned i = 0; i < 1024; i++)
        identity[i] = i << 12 | PTE_W | PTE_P;
    pd32[0] = (uint32_t)identity | PTE_W | PTE_P;
    pd32[TEST >> 22] = (uint32_t)pt32 | PTE_PS | PTE_W | PTE_P;
    pt32[0] = (uint32_t)frame_a | PTE_W | PTE_P;
    write_cr4(cr4() & ~(word)CR4_PSE);
    flush_tlb();
    at(RING0);
    frame_a[4] = 0x99;
    in.bx = TEST;
    TRY("movb 4(%%ebx), %%al");
    expect_done("PS without CR4.PSE");
    check_eq(last.r.ax & 0xff, 0x99, "is a table");
    paging_off();
}

static void pdptes(void)
{
    paging_on_pae();
    static uint64_t bad[4] __attribute__((aligned(32)));
    for (unsigned i = 0; i < 4; i++)
        for (unsigned bit = 1; bit < 64; bit++) {
            if ((bit > 2 && bit < 5) || (bit > 8 && bit < 52))
                continue; /* allowed, or by MAXPHYADDR */
            memcpy(bad, pdpt, sizeof bad);
            bad[i] |= UINT64_C(1) << bit;
            at(RING0);
            in.ax = (word)bad;
            TRY("mov %%eax, %%cr3");
            expect_fault(GP, 0, "PDPTE %u bit %u", i, bit);
            check_eq(cr3(), (word)pdpt, "CR3 stays");
            bad[i] &= ~UINT64_C(1);
            if (i == 3) {
                in.bx = (word)pdpt;
                TRY("mov %%eax, %%cr3\n mov %%ebx, %%cr3");
                expect_done("PDPTE %u bit %u, not present", i, bit);
            }
        }
    /* written by CR4.PGE, PSE, SMEP and by CR0.CD, NW: what they would load is looked at first */
    const uint64_t good = pdpt[2];
    pdpt[2] |= 0x20;
    static const uint8_t cr4_bits[] = {4, 7, 20};
    for (unsigned i = 0; i < 3; i++) {
        if ((cr4_bits[i] == 7 && !(features() & HAS_PGE)) ||
            (cr4_bits[i] == 20 && !(features() & HAS_SMEP)))
            continue;
        in = (struct regs){.ax = cr4() ^ 1u << cr4_bits[i], .bx = cr4()};
        TRY("mov %%eax, %%cr4\n mov %%ebx, %%cr4");
        expect_fault(GP, 0, "a bad PDPTE and CR4 bit %u", cr4_bits[i]);
        check_eq(cr4(), in.bx, "CR4 stays");
    }
    in = (struct regs){.ax = cr0() ^ 1u << 30, .bx = cr0()};
    TRY("mov %%eax, %%cr0\n mov %%ebx, %%cr0");
    expect_fault(GP, 0, "a bad PDPTE and CR0.CD");
    check_eq(cr0(), in.bx, "CR0 stays");
    in.ax = cr4() ^ 1u << 2; /* TSD loads none */
    in.bx = cr4();
    TRY("mov %%eax, %%cr4\n mov %%ebx, %%cr4");
    expect_done("CR4.TSD loads no PDPTEs");
    pdpt[2] = good;
    /* they are registers: memory counts only when CR3, CR0 or CR4 is written */
    const uint64_t keep = pdpt[3];
    in.bx = 0xc0000000 + 0x9000;
    pd[3][0] = 0x200000 * 0 | PTE_PS | PTE_W | PTE_P;
    flush_tlb();
    TRY("movl (%%ebx), %%eax");
    expect_done("before");
    pdpt[3] = 0;
    invlpg(in.bx);
    TRY("movl (%%ebx), %%eax");
    expect_done("a PDPTE changed in memory only");
    flush_tlb();
    TRY("movl (%%ebx), %%eax");
    expect_fault(PF, 0, "after CR3 is written");
    pdpt[3] = keep;
    write_cr4(cr4() ^ CR4_PGE);
    TRY("movl (%%ebx), %%eax");
    expect_done("after CR4.PGE changed");
    write_cr4(cr4() & ~(word)CR4_PGE);
    for (unsigned cd = 0; cd < 2; cd++) {
        pdpt[3] = 0;
        flush_tlb();
        TRY("movl (%%ebx), %%eax");
        expect_fault(PF, 0, "after CR3 is written");
        pdpt[3] = keep;
        write_cr0(cr0() ^ 1u << 30);
        TRY("movl (%%ebx), %%eax");
        expect_done("after CR0.CD changed");
    }
    paging_off();
}

static void invalidation(void)
{
    volatile uint32_t *const p = (volatile uint32_t *)(TEST + 8);
    for (unsigned global = 0; global < 2; global++) {
        paging_on_32();
        write_cr4(cr4() | CR4_PGE);
        const uint32_t g = global ? PTE_G : 0;
        pt32[0] = (uint32_t)frame_a | PTE_W | PTE_P | g;
        check_eq(*p, 0x11111111, "frame a");
        pt32[0] = (uint32_t)frame_b | PTE_W | PTE_P | g;
        invlpg(TEST + 0xfff);
        check_eq(*p, 0x22222222, "INVLPG, global %u", global);
        pt32[0] = (uint32_t)frame_c | PTE_W | PTE_P | g;
        write_cr4(cr4() ^ CR4_PGE);
        check_eq(*p, 0x33333333, "CR4.PGE, global %u", global);
        pt32[0] = (uint32_t)frame_a | PTE_W | PTE_P;
        invlpg(TEST);
        check_eq(*p, 0x11111111, "INVLPG again");
        pt32[0] = (uint32_t)frame_b | PTE_W | PTE_P;
        flush_tlb();
        check_eq(*p, 0x22222222, "CR3");
        /* absent entries are not remembered */
        pt32[1] = 0;
        at(RING0);
        in.bx = TEST + 4096;
        TRY("movl (%%ebx), %%eax");
        expect_fault(PF, 0, "absent");
        pt32[1] = (uint32_t)frame_c | PTE_W | PTE_P;
        TRY("movl (%%ebx), %%eax");
        expect_done("present now, nothing invalidated");
        /* a page walked while read-only, then made writable: the fault itself forgets it */
        pt32[1] = (uint32_t)frame_c | PTE_P;
        write_cr0(cr0() | CR0_WP);
        invlpg(TEST + 4096);
        TRY("movl (%%ebx), %%eax\n movl %%eax, (%%ebx)");
        expect_at(PF, PF_P | PF_W, 2, "read-only");
        pt32[1] |= PTE_W;
        TRY("movl %%eax, (%%ebx)");
        expect_done("writable now");
        /* D is set by the first write, even if reads came before */
        pt32[1] = (uint32_t)frame_c | PTE_P | PTE_W;
        invlpg(TEST + 4096);
        TRY("movl (%%ebx), %%eax");
        check_eq(pt32[1] & (PTE_A | PTE_D), PTE_A, "A after a read");
        TRY("movl %%eax, (%%ebx)");
        check_eq(pt32[1] & (PTE_A | PTE_D), PTE_A | PTE_D, "D after a write");
        /* a page directory entry is walked again as well */
        static uint32_t other[1024] __attribute__((aligned(4096)));
        other[0] = (uint32_t)frame_c | PTE_W | PTE_P;
        pd32[TEST >> 22] = (uint32_t)other | PTE_U | PTE_W | PTE_P;
        invlpg(TEST);
        check_eq(p[1], 0x33333333, "a new table");
        /* INVLPG of any byte drops a 4-MiB page */
        volatile uint32_t *const big = (volatile uint32_t *)(TEST + 0x1000000);
        pd32[(word)big >> 22] = 0x400000 | PTE_PS | PTE_W | PTE_P | g;
        *(volatile uint32_t *)0x400100 = 0xaaaa;
        *(volatile uint32_t *)0x800100 = 0xbbbb;
        check_eq(big[0x40], 0xaaaa, "a 4-MiB page");
        pd32[(word)big >> 22] = 0x800000 | PTE_PS | PTE_W | PTE_P | g;
        invlpg((word)big + 0x3ff000);
        check_eq(big[0x40], 0xbbbb, "dropped whole");
        write_cr0(cr0() & ~(word)CR0_WP);
        paging_off();
    }
}

static void crossing_pages(void)
{
    write_cr4(cr4() | 0x600);
    paging_on_32();
    pt32[0] = (uint32_t)frame_a | PTE_W | PTE_P;
    pt32[1] = 0;
    flush_tlb();
    crossing_tests();
    paging_on_pae();
    pt[0] = (uint32_t)frame_a | PTE_W | PTE_P;
    pt[1] = 0;
    flush_tlb();
    crossing_tests();
    paging_off();
    write_cr4(cr4() & ~0x600u);
}

/* The stack of a handler, the tables and the TSS may lie in pages that fault. */
static void implicit(void)
{
    paging_on_32();
    pt32[0] = (uint32_t)frame_a | PTE_W | PTE_P;
    pt32[1] = 0;
    pt32[2] = (uint32_t)frame_b | PTE_P; /* read-only */
    flush_tlb();
    write_cr0(cr0() | CR0_WP);
    at_level(3, false);
    /* level 1's stack in the absent page; level 0 takes the #PF */
    gdt_set(SLOT(0), descriptor(0, 0xfffff, P | DPL(1) | T_XR, F_G | F_D));
    idt_set(0x41, SLOT(0), stub_address(0x41), P | DPL(3) | T_INT32, 0);
    const uint32_t keep = tss.stack[1].esp;
    tss.stack[1].esp = TEST + 4096 + 8;
    TRY("int $0x41");
    expect_fault(PF, PF_W, "pushes into an absent page");
    check_eq(last.cr2 & ~0xfffu, TEST + 4096, "CR2");
    check_eq(last.sp, ctx.sp, "ESP stays");
    tss.stack[1].esp = TEST + 2 * 4096 + 64;
    TRY("int $0x41");
    expect_fault(PF, PF_W | PF_P, "pushes into a read-only page");
    tss.stack[1].esp = keep;
    idt_default(0x41);
    /* a descriptor in an absent page: supervisor whatever the level */
    gdt_set(SLOT(1), descriptor(TEST + 4096, 0xff, P | T_LDT, 0));
    asm volatile("lldt %w0" ::"r"(SLOT(1)));
    in.ax = 0xf;
    TRY("mov %%ax, %%es");
    expect_fault(PF, 0, "a descriptor in an absent page");
    check_eq(last.cr2, TEST + 4096 + 8, "CR2");
    gdt_set(SLOT(1), descriptor(TEST + 2 * 4096, 0xff, P | T_LDT, 0));
    asm volatile("lldt %w0" ::"r"(SLOT(1)));
    *(uint64_t *)(frame_b + 8) = descriptor(0, 0xfffff, P | DPL(3) | (T_RW & ~1), F_G | F_D);
    TRY("mov %%ax, %%es");
    expect_fault(PF, PF_P | PF_W, "the accessed bit in a read-only page");
    check_eq(last.es, ctx.es, "ES stays");
    *(uint64_t *)(frame_b + 8) |= UINT64_C(1) << 40;
    TRY("mov %%ax, %%es");
    expect_done("no store where the bit is set");
    *(uint64_t *)(frame_b + 8) &= ~(UINT64_C(1) << 40);
    write_cr0(cr0() & ~(word)CR0_WP);
    TRY("mov %%ax, %%es");
    expect_done("without WP it is stored");
    check_eq(frame_b[8 + 5] & 1, 1, "there it is");
    /* RET to an outer level: SS's accessed bit is what faults; nothing has changed */
    write_cr0(cr0() | CR0_WP);
    static uint32_t room[64], *const frame = room + 50;
    extern uint8_t land[];
    asm volatile(".pushsection .snip, \"ax\"\n land: int $0x80\n .popsection" ::);
    *(uint64_t *)(frame_b + 8) = descriptor(0, 0xfffff, P | DPL(3) | (T_RW & ~1), F_G | F_D);
    at(RING0);
    ctx.sp = (word)frame;
    frame[0] = (uint32_t)land;
    frame[1] = UCODE32;
    frame[2] = (uint32_t)user_stack_top;
    frame[3] = 0xf;
    TRY("lret");
    expect_fault(PF, PF_P | PF_W, "lret: the accessed bit of SS");
    check_eq(last.cs, KCODE32, "CS stays");
    check_eq(last.sp, ctx.sp, "ESP stays");
    check_eq(last.ds, ctx.ds, "DS stays");
    frame[0] = (uint32_t)land;
    frame[1] = UCODE32;
    frame[2] = 0x8d7;
    frame[3] = (uint32_t)user_stack_top;
    frame[4] = 0xf;
    TRY("iretl");
    expect_fault(PF, PF_P | PF_W, "iret: the accessed bit of SS");
    check_eq(last.cs, KCODE32, "CS stays");
    check_eq(last.flags & 0x8d5, 0, "flags stay");
    /* a task switch into a TSS that ends in an absent page: nothing has happened */
    static struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) target = {0, SLOT(2)};
    gdt_set(SLOT(2), descriptor(TEST + 4096 - 64, 0x67, P | T_TSS32, 0));
    at(RING0);
    in = (struct regs){.di = (word)&target};
    TRY("ljmp *(%%edi)");
    expect_fault(PF, 0, "a TSS across an absent page");
    check_eq(gdt_get(SLOT(2)) >> 40 & 2, 0, "the new TSS is not busy");
    check_eq(gdt_get(TSS_MAIN) >> 40 & 2, 2, "the old one is");
    asm volatile("lldt %w0" ::"r"(0));
    write_cr0(cr0() & ~(word)CR0_WP);
    paging_off();
}

/* What is contributory and what is not, with page faults. */
static void double_faults(void)
{
    paging_on_32();
    at_level(3, false);
    in.bx = TEST + 4096;
    idt[PF] = 0;
    TRY("movl (%%ebx), %%eax");
    check_eq(last.vector, DF, "#PF then #GP is #DF");
    check_eq(last.cr2, TEST + 4096, "CR2 of the first");
    idt_default(PF);
    /* #GP then #PF: the #PF is delivered */
    idt_set(GP, SLOT(3), 0, P | T_INT32, 0);
    gdt_set(SLOT(3), descriptor(0, 0xfffff, P | DPL(1) | T_XR, F_G | F_D));
    const uint32_t keep = tss.stack[1].esp;
    tss.stack[1].esp = TEST + 2 * 4096;
    TRY("hlt");
    expect_fault(PF, PF_W, "#GP then #PF is #PF");
    /* #PF then #PF */
    idt_set(PF, SLOT(3), 0, P | T_INT32, 0);
    TRY("movl (%%ebx), %%eax");
    check_eq(last.vector, DF, "#PF then #PF is #DF");
    check_eq(last.cr2 & ~0xfffu, TEST + 4096, "CR2 of the second");
    idt_default(PF);
    idt_default(GP);
    tss.stack[1].esp = keep;
    paging_off();
}

const struct test tests[] = {
    {"two_levels", two_levels},
    {"pae", pae},
    {"no_pse", no_pse},
    {"pdptes", pdptes},
    {"invalidation", invalidation},
    {"crossing_pages", crossing_pages},
    {"implicit", implicit},
    {"double_faults", double_faults},
    {NULL, NULL},
};
