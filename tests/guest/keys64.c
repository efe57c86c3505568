/* Protection keys, FSGSBASE and the formats of XSAVE: what user programs have of the system. */
#include "paging.h"

const char image_name[] = "keys64";

extern uint64_t boot_pd[4 * 512];
static uint64_t pt[512] __attribute__((aligned(4096))), alias[512] __attribute__((aligned(4096)));

uint8_t frame_a[4096] __attribute__((aligned(4096))), frame_b[4096] __attribute__((aligned(4096))),
    frame_c[4096] __attribute__((aligned(4096)));

enum { CR4_OSFXSR = 1 << 9, CR4_FSGSBASE = 1 << 16, CR4_OSXSAVE = 1 << 18, CR4_PKE = 1 << 22 };
#define ALL    (PTE_P | PTE_W | PTE_U)
#define KEY(k) ((uint64_t)(k) << 59)
#define WRPKRU ".byte 0x0f, 0x01, 0xef\n"
#define RDPKRU ".byte 0x0f, 0x01, 0xee\n"

static void wrpkru(uint32_t v)
{
    asm volatile(WRPKRU ::"a"(v), "c"(0), "d"(0) : "memory");
}

/* The boot map becomes level 0's; TEST and ALIAS get tables, as in paging64. */
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
    flush_tlb();
}
static void unmap(void)
{
    for (unsigned i = 0; i < 2048; i++)
        boot_pd[i] = (uint64_t)i << 21 | PTE_PS | ALL;
    flush_tlb();
}

/* SDM 3A 4.6.2: keys are asked for data at user-mode addresses; WD binds level 0 by CR0.WP. */
static bool key_denies(unsigned rights, enum access access, unsigned cpl, bool wp, bool user)
{
    if (access == EXEC || !user)
        return false;
    return (rights & 1) || ((rights & 2) && access == WRITE && (cpl == 3 || wp));
}

static void keys(void)
{
    if (!(features() & HAS_PKU)) {
        skip("no PKU");
        return;
    }
    static const uint8_t tried[] = {0, 1, 7, 15};
    const word c0 = cr0();
    uint32_t r[4];
    map();
    write_cr4(cr4() | CR4_PKE);
    cpuid(7, 0, r);
    check(r[2] & (1 << 4), "OSPKE");
    for (unsigned k = 0; k < sizeof tried; k++)
        for (unsigned rights = 0; rights < 4; rights++)
            for (unsigned n = 0; n < 16; n++) {
                const bool wp = n & 1, user = n & 2, writable = n & 4;
                const unsigned key = tried[k], cpl = n & 8 ? 3 : 0;
                write_cr0((c0 & ~(word)CR0_WP) | (wp ? CR0_WP : 0));
                pt[0] =
                    (word)frame_a | PTE_P | (user ? PTE_U : 0) | (writable ? PTE_W : 0) | KEY(key);
                flush_tlb();
                for (enum access access = READ; access <= EXEC; access++) {
                    wrpkru(0); /* the TLB may know the page from then */
                    if (user)
                        asm volatile("mov (%0), %%al" ::"r"(TEST) : "rax");
                    wrpkru(rights << (2 * key));
                    at_level(cpl, false);
                    uint32_t error = (cpl ? PF_U : 0) | (access == WRITE ? PF_W : 0) | PF_P;
                    const bool key_no = key_denies(rights, access, cpl, wp, user);
                    const bool page_no =
                        (cpl && !user) || (access == WRITE && !writable && (cpl || wp));
                    in.cx = 0x80cd80cd;
                    attempt(access, TEST);
                    wrpkru(0);
                    judge(access, TEST, !key_no && !page_no, error | (key_no ? PF_PK : 0), "key",
                          key << 4 | rights, n);
                }
            }
    write_cr0(c0);
    /* without CR4.PKE there are none, nor are the instructions */
    pt[0] = (word)frame_a | ALL | KEY(7);
    wrpkru(~0u & ~3u);
    write_cr4(cr4() & ~(word)CR4_PKE);
    at_level(3, false);
    attempt(READ, TEST);
    judge(READ, TEST, true, 0, "PKE off", 0, 0);
    in = (struct regs){0};
    TRY(RDPKRU);
    expect_fault(UD, 0, "rdpkru without PKE");
    TRY(WRPKRU);
    expect_fault(UD, 0, "wrpkru without PKE");
    write_cr4(cr4() | CR4_PKE);
    attempt(READ, TEST);
    judge(READ, TEST, false, PF_P | PF_U | PF_PK, "PKE on again", 0, 0);
    wrpkru(0);
    for (unsigned cpl = 0; cpl < 4; cpl += 3) {
        at_level(cpl, false);
        in = (struct regs){.ax = 0x1248, .cx = UINT64_C(0x100000000)};
        TRY(WRPKRU "xor %%eax, %%eax\n not %%rdx\n" RDPKRU);
        expect_done("wrpkru, rdpkru");
        check_eq(last.r.ax, 0x1248, "PKRU");
        check_eq(last.r.dx, 0, "RDPKRU clears RDX");
        in = (struct regs){.cx = 1};
        TRY(WRPKRU);
        expect_fault(GP, 0, "wrpkru with ECX");
        TRY(RDPKRU);
        expect_fault(GP, 0, "rdpkru with ECX");
        in = (struct regs){.dx = 1};
        TRY(WRPKRU);
        expect_fault(GP, 0, "wrpkru with EDX");
    }
    wrpkru(0);
    write_cr4(cr4() & ~(word)CR4_PKE);
    unmap();
}

static void fsgsbase(void)
{
    if (!(features() & HAS_FSGSBASE)) {
        skip("no FSGSBASE");
        return;
    }
    const uint64_t fs = rdmsr(0xc0000100), gs = rdmsr(0xc0000101);
    for (unsigned on = 0; on < 2; on++) {
        write_cr4((cr4() & ~(word)CR4_FSGSBASE) | (on ? CR4_FSGSBASE : 0));
        for (enum level level = RING0; level <= RING3; level += 3) {
            at(level);
            in = (struct regs){.ax = UINT64_C(0x7fff12345678), .cx = ~(word)0, .dx = ~(word)0};
            TRY("wrfsbase %%rax\n wrgsbase %%eax\n rdfsbase %%rcx\n rdgsbase %%edx");
            if (!on) {
                expect_fault(UD, 0, "wrfsbase without CR4.FSGSBASE");
                TRY("rdgsbase %%rax");
                expect_fault(UD, 0, "rdgsbase without CR4.FSGSBASE");
                continue;
            }
            expect_done("wrfsbase and its kin");
            check_eq(last.r.cx, in.ax, "RDFSBASE");
            check_eq(last.r.dx, 0x12345678, "32 bits");
            in.ax = UINT64_C(0x0000800000000000);
            TRY("wrfsbase %%rax");
            expect_fault(GP, 0, "not canonical");
            TRY("wrgsbase %%rax");
            expect_fault(GP, 0, "not canonical");
            TRY("wrfsbase %%eax");
            expect_done("32 bits are canonical");
        }
    }
    at_compat(RING3);
    TRY32(".byte 0xf3, 0x0f, 0xae, 0xc0");
    expect_fault(UD, 0, "rdfsbase in compatibility mode");
    write_cr4(cr4() & ~(word)CR4_FSGSBASE);
    wrmsr(0xc0000100, fs);
    wrmsr(0xc0000101, gs);
}

static uint8_t area[4096] __attribute__((aligned(64)));
static uint64_t word_at(unsigned at)
{
    uint64_t v;
    memcpy(&v, area + at, 8);
    return v;
}
static void put_word(unsigned at, uint64_t v)
{
    memcpy(area + at, &v, 8);
}

static void xsave_formats(void)
{
    uint32_t r[4] = {0}, leaf[4];
    if (features() & HAS_XSAVE)
        cpuid(0xd, 1, r);
    if ((r[0] & 0xa) != 0xa) {
        skip("no XSAVEC or no XSAVES");
        return;
    }
    const word c4 = cr4();
    write_cr4(c4 | CR4_OSFXSR | CR4_OSXSAVE);
    cpuid(0xd, 0, leaf);
    const uint32_t all = leaf[0] & 0x207;
    asm volatile("xsetbv" ::"a"(all), "c"(0), "d"(0));
    /* where the compacted format puts what comes last */
    unsigned end = 576, last_at = 0, last_component = 0;
    for (unsigned i = 2; i < 32; i++)
        if (all & (1u << i)) {
            cpuid(0xd, i, leaf);
            last_at = end = leaf[2] & 2 ? (end + 63) & ~63u : end;
            end += leaf[0];
            last_component = i;
        }
    cpuid(0xd, 1, r);
    check_eq(r[1], end, "CPUID(0Dh, 1).EBX");
    memset(area, 0xee, sizeof area);
    asm volatile("fninit\n pxor %%xmm0, %%xmm0\n pcmpeqd %%xmm7, %%xmm7" ::: "memory");
    at(RING0);
    in = (struct regs){.ax = all, .bx = (word)area};
    TRY("xsavec64 (%%rbx)");
    expect_done("xsavec");
    check_eq(word_at(512) & 2, 2, "SSE is in use");
    check_eq(word_at(520), all | UINT64_C(1) << 63, "XCOMP_BV");
    check_eq(word_at(528), UINT64_C(0xeeeeeeeeeeeeeeee), "the rest of the header is not written");
    check_eq(word_at(160 + 7 * 16), ~UINT64_C(0), "XMM7");
    TRY("xrstor64 (%%rbx)");
    expect_fault(GP, 0, "rest of the header in the compacted form");
    memset(area + 528, 0, 48);
    asm volatile("pxor %%xmm7, %%xmm7" ::: "memory");
    TRY("xrstor64 (%%rbx)\n movq %%xmm7, %%rcx");
    expect_done("xrstor, compacted");
    check_eq(last.r.cx, ~UINT64_C(0), "XMM7 is back");
    TRY("xrstors64 (%%rbx)");
    expect_done("xrstors");
    put_word(512, word_at(512) | UINT64_C(1) << 40);
    TRY("xrstor64 (%%rbx)");
    expect_fault(GP, 0, "XSTATE_BV beyond XCOMP_BV");
    put_word(512, 0);
    TRY("xrstors64 (%%rbx)\n movq %%xmm7, %%rcx");
    expect_done("xrstors of initial state");
    check_eq(last.r.cx, 0, "XMM7 is zero");
    if (last_component) {
        put_word(512, UINT64_C(1) << last_component);
        put_word(last_at, 0x1234);
        TRY("xrstors64 (%%rbx)\n xsaves64 (%%rbx)");
        expect_done("xrstors, xsaves");
        check_eq(word_at(512) >> last_component, 1, "component %u is in use", last_component);
        check_eq(word_at(last_at), 0x1234, "component %u", last_component);
        put_word(512, 0);
        TRY("xrstors64 (%%rbx)");
        expect_done("xrstors");
    }
    memset(area + 512, 0, 64); /* the standard format */
    TRY("xrstor64 (%%rbx)");
    expect_done("xrstor, standard");
    TRY("xrstors64 (%%rbx)");
    expect_fault(GP, 0, "xrstors of the standard format");
    in.bx = (word)area + 32;
    TRY("xsavec64 (%%rbx)");
    expect_fault(GP, 0, "xsavec, not aligned");
    TRY("xsaves64 (%%rbx)");
    expect_fault(GP, 0, "xsaves, not aligned");
    in.bx = (word)area;
    at(RING3);
    TRY("xsaves64 (%%rbx)");
    expect_fault(GP, 0, "xsaves at level 3");
    TRY("xrstors64 (%%rbx)");
    expect_fault(GP, 0, "xrstors at level 3");
    write_cr4(c4 & ~(word)CR4_OSXSAVE);
    TRY("xsaves64 (%%rbx)");
    expect_fault(UD, 0, "xsaves without CR4.OSXSAVE");
    /* IA32_XSS: none of its components are there */
    at(RING0);
    in = (struct regs){.cx = 0xda0};
    TRY("rdmsr");
    expect_done("IA32_XSS");
    check_eq(last.r.ax | last.r.dx, 0, "IA32_XSS");
    in.ax = 1;
    TRY("wrmsr");
    expect_fault(GP, 0, "a user component in IA32_XSS");
    write_cr4(c4);
}

const struct test tests[] = {
    {"keys", keys},
    {"fsgsbase", fsgsbase},
    {"xsave_formats", xsave_formats},
    {NULL, NULL},
};
