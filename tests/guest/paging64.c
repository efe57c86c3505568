/* Paging of IA-32e mode: four levels, all page sizes, PCIDs, implicit accesses under SMAP. */
#include "paging.h"

#include "crossing.inc"

const char image_name[] = "paging64";

extern uint64_t boot_pml4[512], boot_pdpt[512], boot_pd[4 * 512];
static uint64_t pt[512] __attribute__((aligned(4096))), alias[512] __attribute__((aligned(4096))),
    pd_hi[512] __attribute__((aligned(4096))), pdpt_hi[512] __attribute__((aligned(4096))),
    pt_hi[512] __attribute__((aligned(4096)));

/* A second place for the page under test, with all four entries to itself. */
#define HIGH    UINT64_C(0xffff900000000000)
#define HI_PML4 boot_pml4[(HIGH >> 39) & 511]

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

#define ALL (PTE_P | PTE_W | PTE_U)

/* The boot map becomes level 0's; TEST and ALIAS get tables. */
static void map(void)
{
    fill_frames();
    for (unsigned i = 0; i < 2048; i++)
        boot_pd[i] = (uint64_t)i << 21 | PTE_PS | PTE_W | PTE_P;
    for (unsigned i = 0; i < 512; i++) {
        alias[i] = i << 12 | ALL;
        pt[i] = 0;
    }
    boot_pd[TEST >> 21] = (word)pt | ALL;
    boot_pd[ALIAS >> 21] = (word)alias | ALL;
    HI_PML4 = (word)pdpt_hi | ALL;
    pdpt_hi[0] = (word)pd_hi | ALL;
    pd_hi[0] = (word)pt_hi | ALL;
    pt_hi[0] = (word)frame_a | ALL;
    flush_tlb();
}

static void unmap(void)
{
    set_mode(&(struct mode){0});
    for (unsigned i = 0; i < 2048; i++)
        boot_pd[i] = (uint64_t)i << 21 | PTE_PS | ALL;
    HI_PML4 = 0;
    flush_tlb();
}

static void rights(void)
{
    const bool can_nx = features() & HAS_NX;
    map();
    set_nxe(can_nx);
    uint64_t *const entry[] = {&pt_hi[0], &pd_hi[0], &pdpt_hi[0], &HI_PML4};
    const uint64_t table[] = {(word)frame_a, (word)pt_hi, (word)pd_hi, (word)pdpt_hi};
    for (unsigned k = 0; k < 16; k++) {
        struct mode m = {.wp = k & 1, .smep = k & 2, .smap = k & 4, .ac = k & 8, .nxe = can_nx};
        if ((m.smep && !(features() & HAS_SMEP)) || (m.smap && !(features() & HAS_SMAP)))
            continue;
        m.tells_fetch = m.smep || can_nx;
        set_mode(&m);
        for (unsigned level = 0; level < 4; level++) /* which entry takes away what */
            for (unsigned bits = 0; bits < 8; bits++)
                for (unsigned cpl = 0; cpl < 4; cpl += 3)
                    for (enum access access = READ; access <= EXEC; access++) {
                        const bool w = bits & 1, u = bits & 2, nx = (bits & 4) && can_nx;
                        for (unsigned i = 0; i < 4; i++)
                            *entry[i] = table[i] | ALL;
                        *entry[level] = table[level] | PTE_P | (w ? PTE_W : 0) | (u ? PTE_U : 0) |
                                        (nx ? PTE_NX : 0);
                        flush_tlb();
                        at_level(cpl, m.ac);
                        uint32_t error;
                        const bool ok = allowed(&m, access, cpl, w, u, nx, &error);
                        in.cx = 0x80cd80cd;
                        attempt(access, HIGH);
                        judge(access, HIGH, ok, error, "level", level, bits << 8 | k * 4 | cpl);
                        check_eq(pt_hi[0] & (PTE_A | PTE_D),
                                 ok ? PTE_A | (access == WRITE ? PTE_D : 0) : 0,
                                 "A and D of the leaf");
                        if (ok)
                            for (unsigned i = 1; i < 4; i++)
                                check_eq(*entry[i] & (PTE_A | PTE_D), PTE_A, "A of level %u", i);
                    }
    }
    /* what is absent, at each level */
    const struct mode m = {.tells_fetch = can_nx};
    set_mode(&m);
    for (unsigned level = 0; level < 4; level++)
        for (unsigned cpl = 0; cpl < 4; cpl += 3)
            for (enum access access = READ; access <= EXEC; access++) {
                for (unsigned i = 0; i < 4; i++)
                    *entry[i] = table[i] | ALL;
                *entry[level] = ~UINT64_C(0) & ~(uint64_t)PTE_P;
                flush_tlb();
                at_level(cpl, false);
                attempt(access, HIGH + 0x800);
                judge(access, HIGH + 0x800, false, error_of(&m, access, cpl), "absent at level",
                      level, 0);
            }
    /* reserved bits */
    uint32_t r[4];
    cpuid(0x80000008, 0, r);
    const unsigned width = r[0] & 0xff;
    for (unsigned level = 0; level < 4; level++)
        for (unsigned bit = 7; bit < 64; bit++) {
            const bool reserved = (bit >= width && bit < 52) || (bit == 7 && level == 3) ||
                                  (bit == 7 && level == 2 && !(features() & HAS_GIB));
            if (!reserved)
                continue;
            for (unsigned cpl = 0; cpl < 4; cpl += 3)
                for (enum access access = READ; access <= EXEC; access++) {
                    for (unsigned i = 0; i < 4; i++)
                        *entry[i] = table[i] | ALL;
                    *entry[level] |= UINT64_C(1) << bit;
                    flush_tlb();
                    at_level(cpl, false);
                    attempt(access, HIGH);
                    judge(access, HIGH, false, error_of(&m, access, cpl) | PF_P | PF_RSVD,
                          "reserved bit", bit, level);
                }
        }
    for (unsigned level = 1; level < 3; level++)
        for (unsigned bit = 13; bit < (level == 1 ? 21u : 30u); bit++) {
            if (level == 2 && !(features() & HAS_GIB))
                continue;
            for (unsigned i = 0; i < 4; i++)
                *entry[i] = table[i] | ALL;
            *entry[level] = PTE_PS | ALL | UINT64_C(1) << bit;
            flush_tlb();
            at_level(0, false);
            attempt(READ, HIGH);
            judge(READ, HIGH, false, PF_P | PF_RSVD, "reserved bit of a large page", bit, level);
        }
    /* bits that are free: 8 to 11, 52 to 58 in tables */
    for (unsigned level = 0; level < 4; level++) {
        for (unsigned i = 0; i < 4; i++)
            *entry[i] = table[i] | ALL;
        *entry[level] |= UINT64_C(0x07f0000000000e00) | (level ? 0x40 : 0x18);
        flush_tlb();
        at_level(3, false);
        attempt(READ, HIGH);
        judge(READ, HIGH, true, 0, "ignored bits", level, 0);
    }
    /* NX is reserved while NXE is off */
    if (can_nx)
        for (unsigned level = 0; level < 4; level++)
            for (enum access access = READ; access <= EXEC; access++) {
                set_nxe(false);
                for (unsigned i = 0; i < 4; i++)
                    *entry[i] = table[i] | ALL;
                *entry[level] |= PTE_NX;
                flush_tlb();
                at_level(0, false);
                attempt(access, HIGH);
                judge(access, HIGH, false, PF_P | PF_RSVD | (access == WRITE ? PF_W : 0),
                      "NX without NXE, level", level, 0);
                set_nxe(true);
            }
    unmap();
}

static void sizes(void)
{
    map();
    const word low = (word)frame_a & 0x1fffff;
    pd_hi[0] = ((word)frame_a & ~(word)0x1fffff) | PTE_PS | ALL;
    flush_tlb();
    at_level(3, false);
    in.cx = 0x80cd80cd;
    attempt(WRITE, HIGH + low);
    judge(WRITE, HIGH + low, true, 0, "2 MiB", 0, 0);
    check_eq(pd_hi[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "A and D of a 2-MiB page");
    attempt(EXEC, HIGH + low);
    judge(EXEC, HIGH + low, true, 0, "2 MiB", 0, 0);
    if (features() & HAS_GIB) {
        pdpt_hi[0] = PTE_PS | ALL;
        flush_tlb();
        attempt(WRITE, HIGH + (word)frame_b);
        judge(WRITE, HIGH + (word)frame_b, true, 0, "1 GiB", 0, 0);
        check_eq(pdpt_hi[0] & (PTE_A | PTE_D), PTE_A | PTE_D, "A and D of a 1-GiB page");
        pdpt_hi[0] = 0x40000000 | PTE_PS | PTE_U | PTE_P;
        invlpg(HIGH);
        attempt(WRITE, HIGH + (word)frame_b);
        judge(WRITE, HIGH + (word)frame_b, false, PF_P | PF_W | PF_U, "1 GiB, read-only", 0, 0);
    }
    unmap();
}

static void invalidation(void)
{
    map();
    volatile uint64_t *const p = (volatile uint64_t *)(TEST + 8);
    for (unsigned global = 0; global < 2; global++) {
        const word c4 = cr4();
        write_cr4(c4 | CR4_PGE);
        const uint64_t g = (global ? PTE_G : 0) | PTE_W | PTE_P;
        pt[0] = (word)frame_a | g;
        invlpg(TEST);
        check_eq((uint8_t)*p, 0x11, "frame a");
        pt[0] = (word)frame_b | g;
        invlpg(TEST + 0xfff);
        check_eq((uint8_t)*p, 0x22, "INVLPG, global %u", global);
        pt[0] = (word)frame_c | g;
        write_cr4(cr4() & ~(word)CR4_PGE);
        check_eq((uint8_t)*p, 0x33, "CR4.PGE off");
        pt[0] = (word)frame_a | g;
        write_cr4(cr4() | CR4_PGE);
        check_eq((uint8_t)*p, 0x11, "CR4.PGE on");
        if (features() & HAS_INVPCID) {
            static struct {
                uint64_t pcid, address;
            } d __attribute__((aligned(16)));
            for (uint64_t type = 0; type < 4; type++) {
                if (global && type != 2)
                    continue; /* the others may keep global pages */
                pt[0] = (word)frame_b | g;
                d.pcid = 0;
                d.address = TEST;
                asm volatile("invpcid %0, %1" ::"m"(d), "r"(type) : "memory");
                check_eq((uint8_t)*p, 0x22, "INVPCID type %u, global %u", (unsigned)type, global);
                pt[0] = (word)frame_a | g;
                invlpg(TEST);
                check_eq((uint8_t)*p, 0x11, "back");
            }
        }
        write_cr4(c4);
    }
    unmap();
}

static void pcid(void)
{
    if (!(features() & HAS_PCID)) {
        skip("no PCID");
        return;
    }
    map();
    const word c3 = cr3(), c4 = cr4();
    volatile uint8_t *const p = (volatile uint8_t *)(TEST + 8);
    at(RING0);
    in = (struct regs){.ax = c3 | 1, .cx = c4 | CR4_PCIDE, .bx = c3};
    TRY("mov %%rax, %%cr3\n 1: mov %%rcx, %%cr4\n mov %%rbx, %%cr3");
    expect_at(GP, 0, 3, "PCIDE while CR3[11:0] is not 0");
    write_cr3(c3);
    write_cr4(c4 | CR4_PCIDE);
    pt[0] = (word)frame_a | PTE_W | PTE_P;
    for (unsigned id = 0; id < 6; id++) {
        write_cr3(c3 | id);
        check_eq(cr3(), c3 | id, "CR3 with PCID %u", id);
        check_eq(*p, 0x11, "PCID %u", id);
    }
    /* without bit 63 a load of CR3 forgets what the PCID had */
    pt[0] = (word)frame_b | PTE_W | PTE_P;
    for (unsigned id = 0; id < 6; id++) {
        write_cr3(c3 | id);
        check_eq(*p, 0x22, "PCID %u, forgotten", id);
    }
    /* bit 63 is not kept in CR3 */
    write_cr3(c3 | 3 | UINT64_C(1) << 63);
    check_eq(cr3(), c3 | 3, "bit 63 is not stored");
    check_eq(*p, 0x22, "what PCID 3 knew is still true");
    /* INVPCID: what may be wrong with it */
    if (features() & HAS_INVPCID) {
        static struct {
            uint64_t pcid, address;
        } d __attribute__((aligned(16)));
        in = (struct regs){.bx = (word)&d};
        for (unsigned type = 0; type < 8; type++) {
            in.ax = type;
            d.pcid = 3;
            d.address = TEST;
            TRY("invpcid (%%rbx), %%rax");
            if (type < 4)
                expect_done("invpcid %u", type);
            else
                expect_fault(GP, 0, "invpcid %u", type);
            d.pcid = 0x1003;
            TRY("invpcid (%%rbx), %%rax");
            expect_fault(GP, 0, "invpcid %u with a PCID of 13 bits", type);
            d.pcid = 3;
            d.address = bad_base(false);
            TRY("invpcid (%%rbx), %%rax");
            if (type && type < 4)
                expect_done("invpcid %u looks at no address", type);
            else
                expect_fault(GP, 0, "invpcid %u of an address that is not canonical", type);
        }
        in.ax = UINT64_C(0x100000000);
        d.address = 0;
        TRY("invpcid (%%rbx), %%rax");
        expect_fault(GP, 0, "the type has 64 bits");
        at(RING3);
        boot_pd[(word)&d >> 21] |= PTE_U;
        in.ax = 0;
        ctx.copy = true;
        ctx.cs_base = -ALIAS;
        ctx.sp = ALIAS + LOW_STACK;
        flush_tlb();
        TRY("invpcid (%%rbx), %%rax");
        expect_fault(GP, 0, "invpcid at level 3");
        at(RING0);
        /* another PCID's page */
        write_cr3(c3 | 4);
        pt[0] = (word)frame_a | PTE_W | PTE_P;
        invlpg(TEST);
        check_eq(*p, 0x11, "PCID 4");
        write_cr3(c3 | 5);
        pt[0] = (word)frame_c | PTE_W | PTE_P;
        d.pcid = 4;
        d.address = TEST;
        asm volatile("invpcid %0, %1" ::"m"(d), "r"((uint64_t)0) : "memory");
        write_cr3(c3 | 4 | UINT64_C(1) << 63);
        check_eq(*p, 0x33, "dropped by INVPCID from afar");
        write_cr3(c3);
        write_cr4(c4);
        d.pcid = 1;
        in = (struct regs){.bx = (word)&d};
        for (unsigned type = 0; type < 4; type++) {
            in.ax = type;
            TRY("invpcid (%%rbx), %%rax");
            if (type < 2)
                expect_fault(GP, 0, "invpcid %u of PCID 1 without PCIDE", type);
            else
                expect_done("invpcid %u without PCIDE", type);
        }
    }
    write_cr3(c3);
    write_cr4(c4);
    /* clearing PCIDE forgets the other spaces */
    unmap();
}

static void crossing_pages(void)
{
    write_cr4(cr4() | 0x600);
    map();
    pt[0] = (word)frame_a | PTE_W | PTE_P;
    pt[1] = 0;
    flush_tlb();
    crossing_tests();
    /* 64-bit accesses */
    for (unsigned n = 1; n < 8; n++) {
        at(RING0);
        in = (struct regs){
            .ax = 0x12345678, .bx = TEST + 4096 - n, .di = TEST + 4096 - n, .si = TEST};
        CROSS("mov %%rax, (%%rbx)", n, PF_W, 0);
        CROSS("mov (%%rbx), %%rax", n, 0, 0);
        CROSS("lock add %%rax, (%%rbx)", n, PF_W, 0);
        CROSS("stosq", n, PF_W, 0);
        CROSS("movsq", n, PF_W, 0);
        CROSS("sgdt (%%rbx)", n, PF_W, 0);
    }
    in.bx = TEST + 4096 - 16;
    TRY("cmpxchg16b (%%rbx)");
    expect_done("cmpxchg16b at the end of the page");
    /* the last page of the address space, then page 0 */
    unmap();
}

/* Descriptor tables and the TSS are read as by a supervisor, and AC does not lift SMAP for them. */
static void implicit(void)
{
    map();
    static uint8_t table[4096] __attribute__((aligned(4096)));
    memcpy(table, gdt, sizeof gdt);
    *(uint64_t *)(table + SLOT(3)) = descriptor(0, 0xfffff, P | DPL(3) | T_RW, F_G | F_D);
    pt[0] = (word)table | PTE_W | PTE_P; /* supervisor */
    pt[1] = (word)table | PTE_W | PTE_P | PTE_U;
    flush_tlb();
    at_level(3, false);
    in.ax = SLOT(3) | 3;
    lgdt((void *)TEST, sizeof gdt - 1);
    TRY("mov %%ax, %%fs");
    expect_done("level 3 loads from a supervisor's GDT");
    if (features() & HAS_SMAP) {
        lgdt((void *)(TEST + 4096), sizeof gdt - 1);
        write_cr4(cr4() | CR4_SMAP);
        /* the catcher reads descriptors too; a user GDT breaks it, so ask with LAR, which reads one
         */
        static volatile uint32_t zf;
        (void)zf;
        lgdt(gdt, sizeof gdt - 1);
        gdt_set(SLOT(4), descriptor(TEST + 4096, 0xfff, P | T_LDT, 0));
        gdt_set(SLOT(5), 0);
        asm volatile("lldt %w0" ::"r"(SLOT(4)));
        for (unsigned ac = 0; ac < 2; ac++)
            for (unsigned cpl = 0; cpl < 4; cpl += 3) {
                at_level(cpl, ac);
                in.ax = SLOT(3) | 7;
                TRY("lar %%eax, %%ecx");
                expect_fault(PF, PF_P, "an LDT in user pages under SMAP, AC %u level %u", ac, cpl);
                check_eq(last.cr2, TEST + 4096 + SLOT(3), "CR2");
                TRY("mov %%ax, %%fs");
                expect_fault(PF, PF_P, "loading from it, AC %u level %u", ac, cpl);
            }
        /* the program's own stack is explicit: AC lifts it for PUSH, RET and IRET */
        asm volatile("lldt %w0" ::"r"(0));
        pt[2] = (word)frame_a | PTE_W | PTE_P | PTE_U;
        flush_tlb();
        extern uint8_t smap_land[];
        asm volatile(".pushsection .snip, \"ax\"\n smap_land: mov $entry_stack_top, %%esp\n clac\n "
                     "int $0x80\n .popsection" ::);
        uint64_t *f = (uint64_t *)frame_a;
        for (unsigned ac = 0; ac < 2; ac++) {
            at_level(0, ac);
            f[0] = (word)smap_land;
            f[1] = KCODE64;
            f[2] = 0x40002;
            f[3] = (word)test_stack_top;
            f[4] = KDATA;
            in.ax = TEST + 2 * 4096;
            in.bx = (word)test_stack_top;
            TRY("mov %%rax, %%rsp\n push %%rcx\n mov %%rbx, %%rsp");
            if (ac)
                expect_done("push with AC");
            else
                expect_at(PF, PF_P | PF_W, 3, "push under SMAP");
            TRY("mov %%rax, %%rsp\n pop %%rcx\n mov %%rbx, %%rsp");
            if (ac)
                expect_done("pop with AC");
            else
                expect_at(PF, PF_P, 3, "pop under SMAP");
            TRY("mov %%rax, %%rsp\n lretq");
            if (ac)
                check(last.vector == DONE, "lretq with AC: vector %x error %x", last.vector,
                      last.error);
            else
                expect_at(PF, PF_P, 3, "lretq under SMAP");
            TRY("mov %%rax, %%rsp\n iretq");
            if (ac)
                check(last.vector == DONE, "iretq with AC: vector %x error %x", last.vector,
                      last.error);
            else
                expect_at(PF, PF_P, 3, "iretq under SMAP");
        }
        /* STAC and CLAC are seen at once; WRUSS and the like do not exist */
        at_level(0, false);
        in.bx = TEST + 4096;
        TRY("stac\n mov (%%rbx), %%al\n clac\n mov (%%rbx), %%al");
        expect_at(PF, PF_P, 8, "stac, clac");
        TRY("stac\n pushfq\n pop %%rax\n clac\n pushfq\n pop %%rcx");
        expect_done("stac, clac, pushf");
        check_eq(last.r.ax & 0x40000, 0x40000, "AC set");
        check_eq(last.r.cx & 0x40000, 0, "AC clear");
        at_level(3, false);
        TRY("stac");
        expect_fault(UD, 0, "stac at level 3");
        TRY("clac");
        expect_fault(UD, 0, "clac at level 3");
        write_cr4(cr4() & ~(word)CR4_SMAP);
        at_level(0, false);
        TRY("stac\n clac");
        expect_done("stac without CR4.SMAP");
    }
    lgdt(gdt, sizeof gdt - 1);
    unmap();
}

/* Fetches of one level must not serve the other: same page, first level 0, then 3, SMEP and back.
 */
static void fetches(void)
{
    map();
    const bool nx = features() & HAS_NX;
    set_nxe(nx);
    pt[0] = (word)frame_a | ALL;
    flush_tlb();
    for (unsigned round = 0; round < 3; round++) {
        at_level(0, false);
        attempt(EXEC, TEST);
        judge(EXEC, TEST, true, 0, "level 0", round, 0);
        at_level(3, false);
        attempt(EXEC, TEST);
        judge(EXEC, TEST, true, 0, "level 3", round, 0);
        if (features() & HAS_SMEP) {
            write_cr4(cr4() | CR4_SMEP);
            at_level(0, false);
            attempt(EXEC, TEST);
            judge(EXEC, TEST, false, PF_P | PF_I, "SMEP", round, 0);
            at_level(3, false);
            attempt(EXEC, TEST);
            judge(EXEC, TEST, true, 0, "SMEP, level 3", round, 0);
            write_cr4(cr4() & ~(word)CR4_SMEP);
        }
        if (nx) {
            pt[0] |= PTE_NX;
            invlpg(TEST);
            at_level(3, false);
            attempt(EXEC, TEST);
            judge(EXEC, TEST, false, PF_P | PF_I | PF_U, "NX", round, 0);
            pt[0] &= ~PTE_NX;
            invlpg(TEST);
        }
    }
    /* the page is mapped elsewhere: new code at the same address */
    at_level(0, false);
    frame_b[0] = 0xb0; /* MOV AL, 0x5c; INT 80h */
    frame_b[1] = 0x5c;
    frame_b[2] = 0xcd;
    frame_b[3] = 0x80;
    pt[0] = (word)frame_b | ALL;
    invlpg(TEST);
    attempt(EXEC, TEST);
    check(last.vector == DONE && (last.r.ax & 0xff) == 0x5c, "another frame's code");
    /* a write through another address is seen */
    frame_b[1] = 0x5d;
    attempt(EXEC, TEST);
    check(last.vector == DONE && (last.r.ax & 0xff) == 0x5d,
          "code written through its other address");
    /* page tables are data: written by the program through the direct map, no flush for absent
     * pages */
    pt[1] = 0;
    in.bx = TEST + 4096;
    TRY("mov (%%rbx), %%eax");
    expect_fault(PF, 0, "absent");
    in.cx = (word)frame_c | ALL;
    in.dx = (word)&pt[1];
    TRY("mov %%rcx, (%%rdx)\n mov (%%rbx), %%eax");
    expect_done("mapped by the instruction before");
    /* code that spans two pages, the second of which changes frames */
    pt[0] = (word)frame_a | ALL;
    pt[1] = (word)frame_b | ALL;
    flush_tlb();
    frame_a[4095] = 0xb0;
    frame_b[0] = 1;
    frame_b[1] = 0xcd;
    frame_b[2] = 0x80;
    memcpy(frame_c, frame_b, 3);
    frame_c[0] = 2;
    in.bx = TEST + 4095;
    TRY("jmp *%%rbx");
    check(last.vector == DONE && (last.r.ax & 0xff) == 1, "an instruction on two pages");
    pt[1] = (word)frame_c | ALL;
    invlpg(TEST + 4096);
    TRY("jmp *%%rbx");
    check(last.vector == DONE && (last.r.ax & 0xff) == 2, "its second page changed");
    frame_c[0] = 3;
    TRY("jmp *%%rbx");
    check(last.vector == DONE && (last.r.ax & 0xff) == 3, "its second page was written");
    set_nxe(false);
    unmap();
}

const struct test tests[] = {
    {"rights", rights},
    {"sizes", sizes},
    {"invalidation", invalidation},
    {"pcid", pcid},
    {"crossing_pages", crossing_pages},
    {"implicit", implicit},
    {"fetches", fetches},
    {NULL, NULL},
};
