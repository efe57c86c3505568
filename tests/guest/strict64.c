/* Reserved bits of MSRs, instructions that write in any case, stack frames that end in a fault,
 * FXSAVE's image, MONITOR and MWAIT: what the other 64-bit images leave out. */
#include "paging.h"

const char image_name[] = "strict64";

uint8_t frame_a[4096] __attribute__((aligned(4096)));
uint8_t frame_b[4096] __attribute__((aligned(4096)));
uint8_t frame_c[4096] __attribute__((aligned(4096)));

#include "lock.inc"

extern uint64_t boot_pd[4 * 512];
static uint64_t pt[512] __attribute__((aligned(4096)));

static void try_wrmsr(uint32_t msr, uint64_t v)
{
    in = (struct regs){.cx = msr, .ax = (uint32_t)v, .dx = (uint32_t)(v >> 32)};
    TRY("wrmsr");
}

static void judge_wrmsr(bool ok, const char *what, uint32_t msr, uint64_t v)
{
    try_wrmsr(msr, v);
    if (ok)
        expect_done("%s %x = %llx", what, msr, v);
    else
        expect_fault(GP, 0, "%s %x = %llx", what, msr, v);
}

/* Memory types and reserved bits: SDM 3A 12.11.2. */
static void mtrrs(void)
{
    static const uint32_t fixed[] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                     0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
    uint32_t r[4];
    cpuid(1, 0, r);
    if (!(r[3] & 1 << 12)) {
        skip("no MTRRs");
        return;
    }
    cpuid(0x80000008, 0, r);
    const unsigned width = r[0] & 0xff;
    at(RING0);
    for (unsigned i = 0; i < sizeof fixed / 4; i++) {
        const uint64_t keep = rdmsr(fixed[i]);
        for (unsigned at_ = 0; at_ < 64; at_ += 8)
            for (unsigned t = 0; t < 12; t++) {
                const uint64_t v = UINT64_C(0x0606060606060606) & ~(UINT64_C(0xff) << at_);
                judge_wrmsr(t <= 6 && t != 2 && t != 3, "fixed range", fixed[i],
                            v | (uint64_t)t << at_);
            }
        wrmsr(fixed[i], keep);
    }
    const unsigned variable = rdmsr(0xfe) & 0xff;
    check(variable && variable <= 16, "%u variable ranges", variable);
    for (unsigned i = 0; i < variable; i++) {
        const uint32_t base = 0x200 + 2 * i, mask = base + 1;
        for (unsigned t = 0; t < 16; t++)
            judge_wrmsr(t <= 6 && t != 2 && t != 3, "base", base, t);
        for (unsigned bit = 8; bit < 64; bit++)
            judge_wrmsr(bit >= 12 && bit < width, "base", base, UINT64_C(1) << bit);
        for (unsigned bit = 0; bit < 64; bit++)
            if (bit != 11) /* V: it would be in force */
                judge_wrmsr(bit >= 12 && bit < width, "mask", mask, UINT64_C(1) << bit);
        wrmsr(base, 0);
        wrmsr(mask, 0);
    }
    const uint64_t keep = rdmsr(0x2ff);
    for (unsigned t = 0; t < 16; t++)
        judge_wrmsr(t <= 6 && t != 2 && t != 3, "default type", 0x2ff, t);
    for (unsigned bit = 8; bit < 64; bit++)
        judge_wrmsr(bit == 10 || bit == 11, "default type", 0x2ff, UINT64_C(1) << bit | 6);
    wrmsr(0x2ff, keep);
    judge_wrmsr(false, "MTRRCAP", 0xfe, rdmsr(0xfe));
}

/* A bank's status, address and rest are cleared by software, not written: SDM 3B 16.3.2. */
static void machine_check(void)
{
    uint32_t r[4];
    cpuid(1, 0, r);
    if (!(r[3] & 1 << 14)) {
        skip("no machine-check architecture");
        return;
    }
    at(RING0);
    in.cx = 0x179;
    TRY("rdmsr");
    expect_done("MCG_CAP");
    if (last.vector != DONE)
        return;
    const unsigned banks = last.r.ax & 0xff;
    for (unsigned i = 0; i < banks; i++) {
        const uint32_t ctl = 0x400 + 4 * i;
        judge_wrmsr(true, "MC_CTL", ctl, ~UINT64_C(0));
        judge_wrmsr(true, "MC_CTL", ctl, 0);
        judge_wrmsr(true, "MC_STATUS", ctl + 1, 0);
        judge_wrmsr(false, "MC_STATUS", ctl + 1, 1);
        judge_wrmsr(false, "MC_STATUS", ctl + 1, UINT64_C(1) << 63);
    }
    judge_wrmsr(false, "MCG_CAP", 0x179, rdmsr(0x179));
    judge_wrmsr(true, "MCG_STATUS", 0x17a, 0);
    judge_wrmsr(false, "MC_CTL beyond the last bank", 0x400 + 4 * banks, 0);
}

static void misc_msrs(void)
{
    at(RING0);
    in.cx = 0x1a0;
    TRY("rdmsr");
    expect_done("MISC_ENABLE");
    const uint64_t keep = (uint64_t)last.r.dx << 32 | (uint32_t)last.r.ax;
    for (unsigned bit = 40; bit < 64; bit++)
        judge_wrmsr(false, "MISC_ENABLE", 0x1a0, keep | UINT64_C(1) << bit);
    judge_wrmsr(true, "MISC_ENABLE", 0x1a0, keep);
    judge_wrmsr(true, "SYSENTER_CS", 0x174, 0x12345678);
    check_eq(rdmsr(0x174), 0x12345678, "SYSENTER_CS");
    wrmsr(0x174, 0);
    judge_wrmsr(false, "ARCH_CAPABILITIES", 0x10a, 0);
}

/* TEST maps frame_a as said, TEST + 4096 nothing. */
static void map_test(uint64_t rights)
{
    memset(pt, 0, sizeof pt);
    pt[0] = (word)frame_a | rights;
    boot_pd[TEST >> 21] = (word)pt | PTE_P | PTE_W | PTE_U;
    flush_tlb();
}
static void unmap_test(void)
{
    boot_pd[TEST >> 21] = TEST | PTE_PS | PTE_P | PTE_W | PTE_U;
    flush_tlb();
}

/* Read-modify-write is a write, also where it would store what was there: SDM 2A "CMPXCHG". */
static void always_writes(void)
{
    write_cr0(cr0() | CR0_WP);
    write_cr4(cr4() | 0x600); /* for STMXCSR */
    for (enum level l = RING0; l <= RING3; l += 3) {
        map_test(PTE_P | PTE_U);
        memset(frame_a, 0x11, 64);
        at(l);
        in = (struct regs){.ax = 1, .bx = TEST, .cx = 2, .dx = 3, .si = 4};
        const uint32_t e = PF_P | PF_W | (l ? PF_U : 0);
#define WRITES(text)                               \
    TRY(text);                                     \
    expect_fault(PF, e, "%s, level %u", #text, l); \
    check(!memcmp(&last.r, &in, sizeof in), "%s changes no register", #text)
        WRITES("cmpxchgb %%cl, (%%rbx)");
        WRITES("cmpxchgl %%ecx, (%%rbx)");
        WRITES("lock cmpxchgq %%rcx, (%%rbx)");
        WRITES("cmpxchg8b (%%rbx)");
        WRITES("lock cmpxchg8b (%%rbx)");
        WRITES("cmpxchg16b (%%rbx)");
        WRITES("xaddl %%ecx, (%%rbx)");
        WRITES("xchgl %%ecx, (%%rbx)");
        WRITES("orl $0, (%%rbx)");
        WRITES("addl $0, (%%rbx)");
        WRITES("andl $-1, (%%rbx)");
        WRITES("incb (%%rbx)");
        WRITES("notw (%%rbx)");
        WRITES("negq (%%rbx)");
        WRITES("btsl $0, (%%rbx)");
        WRITES("btrl $1, (%%rbx)");
        WRITES("btcl %%esi, (%%rbx)");
        WRITES("shll (%%rbx)");
        WRITES("shldl $1, %%ecx, (%%rbx)");
        WRITES("setc (%%rbx)");
        WRITES("popq (%%rbx)");
        WRITES("fnstcw (%%rbx)");
        WRITES("stmxcsr (%%rbx)");
        WRITES("sgdt (%%rbx)");
        TRY("cmpl $1, (%%rbx)\n testl $1, (%%rbx)\n btl $1, (%%rbx)\n cmovcl (%%rbx), %%ecx");
        expect_done("what only reads");
        for (unsigned i = 0; i < 64; i++)
            check_eq(frame_a[i], 0x11, "byte %u", i);
        check_eq(pt[0] & PTE_D, 0, "D");
    }
    write_cr0(cr0() & ~(word)CR0_WP);
    unmap_test();
}

/* A register's bit offset reaches to where it is not canonical; SDM 2A "BT". */
static void bit_offsets(void)
{
    map_test(PTE_P | PTE_W | PTE_U);
    memset(frame_a, 0, 64);
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        in = (struct regs){.bx = TEST, .bp = TEST, .ax = UINT64_C(1) << 62};
        TRY("bt %%rax, (%%rbx)");
        expect_fault(GP, 0, "bt far up");
        TRY("bts %%rax, (%%rbx)");
        expect_fault(GP, 0, "bts far up");
        TRY("bts %%rax, (%%rbp)");
        expect_fault(SS, 0, "bts through RBP");
        in.ax = (word)-1;
        in.bx = TEST + 16;
        TRY("bts %%rax, (%%rbx)");
        expect_done("bts of bit -1");
        check_eq(((uint64_t *)frame_a)[1], UINT64_C(1) << 63, "is bit 63 of the word before");
        TRY("btr %%eax, (%%rbx)");
        check_eq(frame_a[15], 0, "bit -1 of 32");
        TRY("btc %%ax, (%%rbx)");
        check_eq(frame_a[15], 0x80, "bit -1 of 16");
        memset(frame_a, 0, 64);
        in.bx = TEST + 4096 - 4;
        in.ax = 32;
        TRY("btsl %%eax, (%%rbx)");
        expect_fault(PF, PF_W | (l ? PF_U : 0), "bts of the next page");
        check_eq(last.cr2, TEST + 4096, "CR2");
        in.ax = 31;
        TRY("btsl %%eax, (%%rbx)");
        expect_done("bts of the last bit");
    }
    unmap_test();
}

/* ENTER and LEAVE that fault leave rSP and rBP; ENTER asks for the page it ends on. */
static void frames(void)
{
    map_test(PTE_P | PTE_W | PTE_U);
    pt[2] = (word)frame_b | PTE_P | PTE_W | PTE_U;
    flush_tlb();
    for (enum level l = RING0; l <= RING3; l += 3) {
        const uint32_t u = l ? PF_U : 0;
        at(l);
        ctx.sp = TEST + 0x2100;
        in = (struct regs){.bp = TEST + 0x800};
        TRY("enter $0x200, $0");
        expect_fault(PF, PF_W | u, "enter that ends below the page");
        check_eq(last.sp, ctx.sp, "enter: RSP");
        check_eq(last.r.bp, in.bp, "enter: RBP");
        in.bp = TEST + 4096 + 64;
        ctx.sp = TEST + 0x400;
        TRY("enter $8, $3");
        expect_fault(PF, u, "enter whose display is not there");
        check_eq(last.cr2, in.bp - 8, "its CR2");
        check_eq(last.sp, ctx.sp, "enter: RSP");
        check_eq(last.r.bp, in.bp, "enter: RBP");
        in.bp = TEST + 0x800;
        TRY("enter $8, $3\n mov %%rsp, %%rcx");
        expect_done("enter");
        check_eq(last.r.bp, ctx.sp - 8, "enter: RBP");
        check_eq(last.r.cx, ctx.sp - 8 - 3 * 8 - 8, "enter: RSP");
        in.bp = TEST + 4096 + 64;
        TRY("leave");
        expect_fault(PF, u, "leave");
        check_eq(last.sp, ctx.sp, "leave: RSP");
        check_eq(last.r.bp, in.bp, "leave: RBP");
        in.bp = UINT64_C(0x800000000000);
        TRY("leave");
        expect_fault(SS, 0, "leave through what is not canonical");
        in.bp = UINT64_C(0x800000000008);
        TRY("enter $8, $2");
        expect_fault(SS, 0, "enter with such an RBP");
        check_eq(last.sp, ctx.sp, "enter: RSP");
    }
    unmap_test();
}

/* FXSAVE: alignment, the bytes it leaves alone, and all or nothing across pages. */
static void fxsave(void)
{
    static uint8_t area[1024] __attribute__((aligned(64)));
    write_cr4(cr4() | 0x600);
    map_test(PTE_P | PTE_W | PTE_U);
    asm volatile("fninit");
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        for (unsigned off = 1; off < 16; off++) {
            in = (struct regs){.bx = (word)area + off};
            TRY("fxsave (%%rbx)");
            expect_fault(GP, 0, "fxsave at %u", off);
            TRY("fxrstor (%%rbx)");
            expect_fault(GP, 0, "fxrstor at %u", off);
        }
        memset(area, 0xa5, sizeof area);
        in.bx = (word)area;
        TRY("fninit\n fld1\n fldpi\n fxsave (%%rbx)\n fninit");
        expect_done("fxsave");
        for (unsigned i = 464; i < 1024; i++)
            check_eq(area[i], 0xa5, "byte %u is left alone", i);
        check_eq(area[4], 0xc0, "abridged tags");
        check_eq(area[5], 0, "byte 5");
        for (unsigned i = 0; i < 8; i++)
            for (unsigned k = 10; k < 16; k++)
                check_eq(area[32 + 16 * i + k], 0, "the bytes above ST(%u)", i);
        memset(frame_a + 4096 - 256, 0x5a, 256);
        in.bx = TEST + 4096 - 256;
        TRY("fxsave (%%rbx)");
        expect_fault(PF, PF_W | (l ? PF_U : 0), "fxsave into a page that is not there");
        TRY("fnsave (%%rbx)\n nop");
        expect_done("fnsave within the page");
        memset(frame_a + 4096 - 256, 0x5a, 256);
        in.bx = TEST + 4096 - 20;
        TRY("fnstenv (%%rbx)");
        expect_fault(PF, PF_W | (l ? PF_U : 0), "fnstenv across");
        TRY("fnsave (%%rbx)");
        expect_fault(PF, PF_W | (l ? PF_U : 0), "fnsave across");
        for (unsigned i = 0; i < 256; i++)
            check_eq(frame_a[4096 - 256 + i], 0x5a, "nothing is written, -%u", 256 - i);
        /* a bad MXCSR in the image changes nothing */
        in.bx = (word)area;
        area[24 + 3] = 0x80;
        TRY("fxrstor (%%rbx)");
        expect_fault(GP, 0, "fxrstor of a reserved bit in MXCSR");
    }
    unmap_test();
}

/* SDM 2B "MONITOR", "MWAIT". */
static void monitor(void)
{
    static uint8_t line[64] __attribute__((aligned(64)));
    uint32_t r[4];
    cpuid(1, 0, r);
    if (!(r[2] & 8)) {
        at(RING0);
        TRY("monitor");
        expect_fault(UD, 0, "monitor without the feature");
        TRY("mwait");
        expect_fault(UD, 0, "mwait without the feature");
        return;
    }
    at(RING0);
    in = (struct regs){.ax = (word)line};
    TRY("monitor");
    expect_done("monitor");
    in.cx = 1;
    TRY("monitor");
    expect_fault(GP, 0, "monitor with ECX = 1");
    in.cx = 0x80000000;
    TRY("monitor");
    expect_fault(GP, 0, "monitor with ECX bit 31");
    TRY("mwait");
    expect_fault(GP, 0, "mwait with ECX bit 31");
    in.cx = 2;
    TRY("mwait");
    expect_fault(GP, 0, "mwait with ECX = 2");
    in = (struct regs){.ax = UINT64_C(0x800000000000)};
    TRY("monitor");
    expect_fault(GP, 0, "monitor of what is not canonical");
    map_test(PTE_P | PTE_W | PTE_U);
    in.ax = TEST + 4096;
    TRY("monitor");
    expect_fault(PF, 0, "monitor of what is not there");
    unmap_test();
    at(RING3);
    in = (struct regs){.ax = (word)line};
    TRY("monitor");
    expect_fault(UD, 0, "monitor at level 3");
    TRY("mwait");
    expect_fault(UD, 0, "mwait at level 3");
    /* a line that has changed ends the wait before it begins */
    at(RING0);
    TRY("xorl %%ecx, %%ecx\n xorl %%edx, %%edx\n monitor\n incb (%%rax)\n xorl %%eax, %%eax\n "
        "mwait");
    expect_done("mwait on a line that was stored to");
}

const struct test tests[] = {
    {"mtrrs", mtrrs},
    {"machine_check", machine_check},
    {"misc_msrs", misc_msrs},
    {"always_writes", always_writes},
    {"bit_offsets", bit_offsets},
    {"frames", frames},
    {"fxsave", fxsave},
    {"monitor", monitor},
    {"lock_prefix", lock_prefix},
    {NULL, NULL},
};
