/* Control registers, MSRs, CPUID and privileged instructions in IA-32e mode; leaving it and back.
 */
#include "rt.h"

const char image_name[] = "sys64";

#define BAD UINT64_C(0x0000800000000000)
enum {
    MSR_TSC = 0x10,
    MSR_APIC_BASE = 0x1b,
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_PAT = 0x277,
    MSR_MTRR_DEF_TYPE = 0x2ff,
    MSR_EFER = 0xc0000080u,
    MSR_STAR = 0xc0000081u,
    MSR_LSTAR = 0xc0000082u,
    MSR_CSTAR = 0xc0000083u,
    MSR_FMASK = 0xc0000084u,
    MSR_FS_BASE = 0xc0000100u,
    MSR_GS_BASE = 0xc0000101u,
    MSR_KGS_BASE = 0xc0000102u,
    MSR_TSC_AUX = 0xc0000103u,
};

static void try_cr0(word v)
{
    in.ax = v;
    in.cx = cr0();
    TRY("mov %%rax, %%cr0\n mov %%cr0, %%rbx\n mov %%rcx, %%cr0");
}
static void try_cr4(word v)
{
    in.ax = v;
    in.cx = cr4();
    TRY("mov %%rax, %%cr4\n mov %%cr4, %%rbx\n mov %%rcx, %%cr4");
}
static void try_wrmsr(uint32_t msr, uint64_t v)
{
    in.cx = msr;
    in.ax = (uint32_t)v;
    in.dx = (uint32_t)(v >> 32);
    TRY("wrmsr");
}

static void cr0_bits(void)
{
    const word c = cr0();
    at(RING0);
    for (unsigned bit = 32; bit < 64; bit++) {
        try_cr0(c | UINT64_C(1) << bit);
        expect_fault(GP, 0, "CR0 bit %u", bit);
    }
    static const uint8_t ignored[] = {6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 17,
                                      19, 20, 21, 22, 23, 24, 25, 26, 27, 28};
    for (unsigned i = 0; i < sizeof ignored; i++) {
        try_cr0(c | UINT64_C(1) << ignored[i]);
        expect_done("CR0 bit %u", ignored[i]);
        check_eq(last.r.bx, c, "CR0 bit %u reads as 0", ignored[i]);
    }
    static const uint8_t usable[] = {1, 2, 3, 5, 16, 18, 30};
    for (unsigned i = 0; i < sizeof usable; i++) {
        try_cr0(c ^ UINT64_C(1) << usable[i]);
        expect_done("CR0 bit %u", usable[i]);
        check_eq(last.r.bx, c ^ UINT64_C(1) << usable[i], "CR0 bit %u changes", usable[i]);
    }
    try_cr0(c & ~(word)0x10);
    expect_done("ET");
    check_eq(last.r.bx & 0x10, 0x10, "ET stays set");
    try_cr0((c | 1u << 29) & ~(word)(1u << 30));
    expect_fault(GP, 0, "NW without CD");
    try_cr0(c & ~(word)1);
    expect_fault(GP, 0, "PG without PE");
    try_cr0(c & 0x7fffffff);
    expect_fault(GP, 0, "paging off in 64-bit mode");
    check_eq(cr0(), c, "CR0 as before");
    TRY("smsw %%eax\n mov %%rax, %%rbx\n smsw %%rax");
    check_eq(last.r.ax, c, "smsw of 64 bits");
    in.ax = 0xe;
    TRY("lmsw %%ax\n smsw %%ebx\n clts");
    expect_done("lmsw");
    check_eq(last.r.bx & 0xf, 0xf, "PE stays, MP EM TS are set");
    write_cr0(c);
}

static void cr4_bits(void)
{
    const word c = cr4();
    at(RING0);
    for (unsigned bit = 13; bit < 64; bit++) {
        static const uint8_t known[] = {13, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25, 27, 28};
        bool maybe = false;
        for (unsigned i = 0; i < sizeof known; i++)
            maybe |= known[i] == bit;
        if (maybe)
            continue;
        try_cr4(c | UINT64_C(1) << bit);
        expect_fault(GP, 0, "CR4 bit %u", bit);
    }
    static const struct {
        uint8_t bit;
        uint32_t feature;
    } by[] = {{7, HAS_PGE},   {11, HAS_UMIP}, {16, HAS_FSGSBASE}, {18, HAS_XSAVE},
              {20, HAS_SMEP}, {21, HAS_SMAP}, {22, HAS_PKU}};
    for (unsigned i = 0; i < sizeof by / sizeof by[0]; i++) {
        if (by[i].bit == 20)
            continue; /* the code here lies in user pages */
        if (by[i].bit == 21)
            continue;
        try_cr4(c ^ UINT64_C(1) << by[i].bit);
        if (features() & by[i].feature)
            expect_done("CR4 bit %u", by[i].bit);
        else
            expect_fault(GP, 0, "CR4 bit %u", by[i].bit);
    }
    try_cr4(c & ~(word)(1 << 5));
    expect_fault(GP, 0, "PAE off in IA-32e mode");
    if (features() & HAS_LA57) {
        try_cr4(c ^ 1 << 12);
        expect_fault(GP, 0, "LA57 changes in IA-32e mode");
    }
    check_eq(cr4(), c, "CR4 as before");
    static const uint8_t none[] = {1, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15};
    (void)none;
    TRY("mov %%cr1, %%rax");
    expect_fault(UD, 0, "CR1");
    TRY(".byte 0x44, 0x0f, 0x20, 0xc8");
    expect_fault(UD, 0, "CR9");
    TRY(".byte 0x44, 0x0f, 0x23, 0xc0");
    expect_fault(UD, 0, "DR8");
}

static void cr3_cr8(void)
{
    const word c = cr3();
    uint32_t r[4];
    cpuid(0x80000008, 0, r);
    const unsigned width = r[0] & 0xff;
    at(RING0);
    for (unsigned bit = width; bit < 64; bit++) {
        in.ax = c | UINT64_C(1) << bit;
        in.cx = c;
        TRY("mov %%rax, %%cr3\n mov %%rcx, %%cr3");
        if (bit == 61 || bit == 62)
            continue; /* linear address masking, where there is any */
        expect_fault(GP, 0, "CR3 bit %u", bit);
    }
    in.ax = c | 0x18;
    in.cx = c;
    TRY("mov %%rax, %%cr3\n mov %%cr3, %%rbx\n mov %%rcx, %%cr3");
    expect_done("PCD and PWT");
    check_eq(last.r.bx, c | 0x18, "are kept");
    for (unsigned v = 0; v < 16; v++) {
        in.ax = v;
        TRY("mov %%rax, %%cr8\n mov %%cr8, %%rbx");
        expect_done("CR8");
        check_eq(last.r.bx, v, "CR8 is %u", v);
        check_eq(*(volatile uint32_t *)0xfee00080 >> 4, v, "and the APIC's TPR");
    }
    for (unsigned bit = 4; bit < 64; bit += 5) {
        in.ax = UINT64_C(1) << bit;
        TRY("mov %%rax, %%cr8");
        expect_fault(GP, 0, "CR8 bit %u", bit);
    }
    asm volatile("mov %0, %%cr8" ::"r"((word)0));
    at(RING3);
    TRY("mov %%cr8, %%rax");
    expect_fault(GP, 0, "CR8 at level 3");
    at(RING0);
    in.ax = UINT64_C(0x123456789abcdef0);
    TRY("mov %%rax, %%cr2\n mov %%cr2, %%rbx");
    expect_done("CR2 takes anything");
    check_eq(last.r.bx, in.ax, "CR2");
}

static void efer(void)
{
    const uint64_t e = rdmsr(MSR_EFER);
    at(RING0);
    for (unsigned bit = 0; bit < 64; bit++) {
        const bool ok = bit == 0 || (bit == 11 && (features() & HAS_NX));
        if (bit == 8 || bit == 10 || (bit >= 12 && bit <= 15) || bit == 20 || bit == 21)
            continue;
        try_wrmsr(MSR_EFER, e ^ UINT64_C(1) << bit);
        if (ok)
            expect_done("EFER bit %u", bit);
        else
            expect_fault(GP, 0, "EFER bit %u", bit);
        wrmsr(MSR_EFER, e);
    }
    try_wrmsr(MSR_EFER, e & ~UINT64_C(0x100));
    expect_fault(GP, 0, "LME off while paging");
    try_wrmsr(MSR_EFER, e & ~UINT64_C(0x400));
    expect_done("LMA is not written");
    check_eq(rdmsr(MSR_EFER), e, "EFER as before");
}

static void msrs(void)
{
    at(RING0);
    static const uint32_t addresses[] = {MSR_LSTAR,       MSR_CSTAR,    MSR_FS_BASE,
                                         MSR_GS_BASE,     MSR_KGS_BASE, MSR_SYSENTER_ESP,
                                         MSR_SYSENTER_EIP};
    for (unsigned i = 0; i < sizeof addresses / 4; i++) {
        const uint64_t keep = rdmsr(addresses[i]);
        static const uint64_t good[] = {0, UINT64_C(0x00007fffffffffff),
                                        UINT64_C(0xffff800000000000), UINT64_C(0xffffffffffffffff)};
        const uint64_t bad[] = {bad_base(false), bad_base(true), UINT64_C(0x8000000000000000),
                                UINT64_C(0x7fffffffffffffff)};
        for (unsigned k = 0; k < 4; k++) {
            try_wrmsr(addresses[i], good[k]);
            expect_done("MSR %x = %llx", addresses[i], good[k]);
            check_eq(rdmsr(addresses[i]), good[k], "MSR %x", addresses[i]);
            try_wrmsr(addresses[i], bad[k]);
            expect_fault(GP, 0, "MSR %x = %llx", addresses[i], bad[k]);
            check_eq(rdmsr(addresses[i]), good[k], "MSR %x stays", addresses[i]);
        }
        wrmsr(addresses[i], keep);
    }
    static const uint32_t unknown[] = {0x3,        0x12345678, 0xc0000105,
                                       0x40000fff, 0xffffffff, 0x00000ff0};
    for (unsigned i = 0; i < sizeof unknown / 4; i++) {
        in = (struct regs){.cx = unknown[i] | UINT64_C(0xffffffff00000000), .ax = 7, .dx = 8};
        TRY("rdmsr");
        expect_fault(GP, 0, "rdmsr %x", unknown[i]);
        check_eq(last.r.ax, 7, "EAX stays");
        TRY("wrmsr");
        expect_fault(GP, 0, "wrmsr %x", unknown[i]);
    }
    in.cx = MSR_EFER | UINT64_C(0x1234500000000);
    in.ax = in.dx = (word)-1;
    TRY("rdmsr");
    expect_done("rdmsr takes ECX");
    check_eq(last.r.ax >> 32 | last.r.dx >> 32, 0, "and clears the upper halves");
    /* PAT: types 0, 1, 4 to 7 in each byte */
    const uint64_t pat = rdmsr(MSR_PAT);
    for (unsigned i = 0; i < 64; i += 8)
        for (unsigned t = 0; t < 16; t++) {
            const bool ok = t < 8 && t != 2 && t != 3;
            try_wrmsr(MSR_PAT, (pat & ~(UINT64_C(0xff) << i)) | (uint64_t)t << i);
            if (ok)
                expect_done("PAT byte %u type %u", i / 8, t);
            else
                expect_fault(GP, 0, "PAT byte %u type %u", i / 8, t);
        }
    wrmsr(MSR_PAT, pat);
    if (features() & HAS_RDTSCP) {
        try_wrmsr(MSR_TSC_AUX, 0x12345678);
        expect_done("TSC_AUX");
        TRY("rdtscp");
        check_eq(last.r.cx, 0x12345678, "rdtscp gives it");
        try_wrmsr(MSR_TSC_AUX, UINT64_C(0x100000000));
        if (!vendor_amd())
            expect_fault(GP, 0, "TSC_AUX has 32 bits");
    }
    try_wrmsr(MSR_FMASK, 0xffffffff);
    expect_done("FMASK");
    try_wrmsr(MSR_FMASK, 0);
    try_wrmsr(MSR_STAR, UINT64_C(0xffffffffffffffff));
    expect_done("STAR takes anything");
    wrmsr(MSR_STAR, 0);
    try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | UINT64_C(1) << 52);
    expect_fault(GP, 0, "APIC_BASE: a reserved bit");
    at(RING3);
    in.cx = MSR_EFER;
    TRY("rdmsr");
    expect_fault(GP, 0, "rdmsr at level 3");
    TRY("wrmsr");
    expect_fault(GP, 0, "wrmsr at level 3");
    /* time goes on, and can be set */
    at(RING0);
    const uint64_t t0 = rdmsr(MSR_TSC);
    for (volatile unsigned i = 0; i < 1000; i++) {
    }
    const uint64_t t1 = rdmsr(MSR_TSC);
    check(t1 > t0, "TSC goes on");
    wrmsr(MSR_TSC, UINT64_C(0x100000000000));
    check(rdmsr(MSR_TSC) - UINT64_C(0x100000000000) < UINT64_C(0x100000000), "TSC can be set");
    wrmsr(MSR_TSC, t1);
    /* CR4.TSD */
    write_cr4(cr4() | 4);
    at(RING0);
    TRY("rdtsc");
    expect_done("rdtsc with TSD at level 0");
    at(RING3);
    TRY("rdtsc");
    expect_fault(GP, 0, "rdtsc with TSD at level 3");
    if (features() & HAS_RDTSCP) {
        TRY("rdtscp");
        expect_fault(GP, 0, "rdtscp with TSD at level 3");
    }
    write_cr4(cr4() & ~(word)4);
    TRY("rdtsc");
    expect_done("rdtsc at level 3");
}

static void umip(void)
{
    if (!(features() & HAS_UMIP)) {
        skip("no UMIP");
        return;
    }
    static uint8_t buf[16];
    for (unsigned on = 0; on < 2; on++)
        for (enum level l = RING0; l <= RING3; l += 3) {
            write_cr4((cr4() & ~(word)(1 << 11)) | on << 11);
            at(l);
            in.bx = (word)buf;
#define UMIP(text)                                             \
    TRY(text);                                                 \
    if (on && l)                                               \
        expect_fault(GP, 0, "%s with UMIP at level 3", #text); \
    else                                                       \
        expect_done("%s, UMIP %u, level %u", #text, on, l)
            UMIP("sgdt (%%rbx)");
            UMIP("sidt (%%rbx)");
            UMIP("sldt %%eax");
            UMIP("sldt (%%rbx)");
            UMIP("str %%eax");
            UMIP("str (%%rbx)");
            UMIP("smsw %%eax");
            UMIP("smsw (%%rbx)");
            in.bx = BAD;
            TRY("sgdt (%%rbx)");
            expect_fault(GP, 0, "sgdt to where it is not canonical");
        }
    write_cr4(cr4() & ~(word)(1 << 11));
}

static void privileged(void)
{
    static uint8_t buf[16];
    at(RING3);
    ctx.flags = 0x3002;
    in = (struct regs){.bx = (word)buf};
#define GP3(text) \
    TRY(text);    \
    expect_fault(GP, 0, "%s at level 3", #text)
    GP3("hlt");
    GP3("clts");
    GP3("lgdt (%%rbx)");
    GP3("lidt (%%rbx)");
    GP3("lldt %%ax");
    GP3("ltr %%ax");
    GP3("lmsw %%ax");
    GP3("mov %%cr0, %%rax");
    GP3("mov %%rax, %%cr3");
    GP3("mov %%cr4, %%rax");
    GP3("mov %%db7, %%rax");
    GP3("mov %%rax, %%db0");
    GP3("invlpg (%%rbx)");
    GP3("invd");
    GP3("wbinvd");
    TRY("mov %%cr1, %%rax");
    expect_fault(UD, 0, "CR1 at level 3: #UD first");
    ctx.flags = 2;
    GP3("cli");
    GP3("sti");
    GP3("in $0x80, %%al");
    GP3("out %%al, $0x80");
    GP3("insb");
    GP3("outsb");
    TRY("rdpmc");
    expect_fault(GP, 0, "rdpmc of a counter that is not there");
    /* XGETBV and XSETBV */
    if (features() & HAS_XSAVE) {
        at(RING0);
        in = (struct regs){0};
        TRY("xgetbv");
        expect_fault(UD, 0, "xgetbv without OSXSAVE");
        write_cr4(cr4() | 1 << 18);
        TRY("xgetbv");
        expect_done("xgetbv");
        check_eq(last.r.ax & 1, 1, "XCR0.x87");
        in.cx = 7;
        TRY("xgetbv");
        expect_fault(GP, 0, "xgetbv of XCR7");
        TRY("xsetbv");
        expect_fault(GP, 0, "xsetbv of XCR7");
        in = (struct regs){.ax = 2};
        TRY("xsetbv");
        expect_fault(GP, 0, "XCR0 without x87");
        in = (struct regs){.ax = 5};
        TRY("xsetbv");
        expect_fault(GP, 0, "XCR0: AVX without SSE");
        in = (struct regs){.ax = 1, .dx = 0x80000000};
        TRY("xsetbv");
        expect_fault(GP, 0, "XCR0 bit 63");
        in = (struct regs){.ax = 3};
        TRY("xsetbv");
        expect_done("XCR0 = 3");
        in.ax = 1;
        TRY("xsetbv");
        at(RING3);
        TRY("xsetbv");
        expect_fault(GP, 0, "xsetbv at level 3");
        TRY("xgetbv");
        expect_done("xgetbv at level 3");
        write_cr4(cr4() & ~(word)(1 << 18));
    }
}

static void cpuid_leaves(void)
{
    uint32_t r[4], s[4];
    cpuid(0, 0, r);
    const uint32_t max = r[0];
    check(max >= 0xd && max < 0x100, "highest basic leaf %x", max);
    cpuid(0x80000000, 0, r);
    check(r[0] >= 0x80000008 && r[0] < 0x80000100, "highest extended leaf %x", r[0]);
    cpuid(max, 0, r);
    if (!vendor_amd()) {
        cpuid(max + 1, 0, s);
        check(!memcmp(r, s, 12), "beyond the last leaf: the last leaf");
    }
    cpuid(0x80000008, 0, r);
    check((r[0] & 0xff) >= 32 && (r[0] & 0xff) <= 52, "physical address bits");
    check((r[0] >> 8 & 0xff) == 48 || (r[0] >> 8 & 0xff) == 57, "linear address bits");
    cpuid(1, 0, r);
    check(r[3] & 1 << 0 && r[3] & 1 << 4 && r[3] & 1 << 5 && r[3] & 1 << 6 && r[3] & 1 << 25 &&
              r[3] & 1 << 26,
          "FPU TSC MSR PAE SSE SSE2");
    check_eq(r[2] >> 27 & 1, cr4() >> 18 & 1, "OSXSAVE is CR4's");
    if (features() & HAS_XSAVE) {
        write_cr4(cr4() | 1 << 18);
        cpuid(1, 0, r);
        check_eq(r[2] >> 27 & 1, 1, "OSXSAVE follows CR4");
        write_cr4(cr4() & ~(word)(1 << 18));
        cpuid(0xd, 0, r);
        check((r[0] & 3) == 3 && r[1] >= 576 && r[2] >= r[1], "leaf 0Dh");
    }
    /* upper halves are cleared, and it does not depend on RAX's upper half */
    at(RING3);
    in = (struct regs){.ax = UINT64_C(0xdeadbeef00000000),
                       .cx = UINT64_C(0x100000000),
                       .bx = (word)-1,
                       .dx = (word)-1};
    TRY("cpuid");
    expect_done("cpuid at level 3");
    check_eq(last.r.ax >> 32 | last.r.bx >> 32 | last.r.cx >> 32 | last.r.dx >> 32, 0,
             "upper halves");
    check_eq(last.r.ax, max, "leaf 0");
    check(features() & HAS_LM && features() & HAS_SYSCALL, "LM and SYSCALL");
    /* features that are off are no instructions */
    if (!(features() & HAS_FSGSBASE)) {
        TRY("rdfsbase %%rax");
        expect_fault(UD, 0, "rdfsbase");
    }
    cpuid(7, 0, r);
    if (!(r[1] & 1 << 5)) {
        TRY("vpaddd %%ymm0, %%ymm1, %%ymm2");
        expect_fault(UD, 0, "AVX2");
    }
}

/* Out of IA-32e mode, down to real paging-less 32-bit code, and in again; what is illegal on the
 * way. */
static void leave_and_enter(void)
{
    extern uint8_t down[];
    asm volatile(
        ".pushsection .snip, \"ax\"\n .code32\n"
        "down: mov %%cr0, %%eax\n and $0x7fffffff, %%eax\n mov %%eax, %%cr0\n" /* compatibility
                                                                                  mode, so it may */
        "mov $0xc0000080, %%ecx\n rdmsr\n mov %%eax, down_efer\n"
        "and $0xfffffeff, %%eax\n wrmsr\n rdmsr\n mov %%eax, down_efer + 4\n"
        "mov %%cr4, %%eax\n and $~0x20, %%eax\n mov %%eax, %%cr4\n" /* PAE may go now */
        "or $0x20, %%eax\n mov %%eax, %%cr4\n"
        "mov $0xc0000080, %%ecx\n rdmsr\n or $0x100, %%eax\n wrmsr\n rdmsr\n mov %%eax, down_efer "
        "+ 8\n"
        "mov %%cr0, %%eax\n or $0x80000000, %%eax\n mov %%eax, %%cr0\n"
        "rdmsr\n mov %%eax, down_efer + 12\n"
        "ljmp %0, $1f\n .code64\n 1: int $0x80\n .popsection\n"
        ".pushsection .bss\n .globl down_efer\n down_efer: .skip 16\n .popsection" ::"i"(KCODE64));
    extern uint32_t down_efer[4];
    at_compat(RING0);
    run(down, down);
    check_eq(last.vector, DONE, "out and in again");
    check_eq(down_efer[0] & 0x500, 0x100, "paging off: LMA is off, LME on");
    check_eq(down_efer[1] & 0x500, 0, "LME off");
    check_eq(down_efer[2] & 0x500, 0x100, "LME on again");
    check_eq(down_efer[3] & 0x500, 0x500, "paging on: LMA on");
    at_compat(RING0);
    TRY32("mov %%cr4, %%eax\n and $~0x20, %%eax\n 1: mov %%eax, %%cr4");
    check(last.vector == GP, "PAE off in compatibility mode");
    if (features() & HAS_PCID) {
        write_cr4(cr4() | 1 << 17);
        TRY32("mov %%cr0, %%eax\n and $0x7fffffff, %%eax\n mov %%eax, %%cr0");
        check(last.vector == GP, "paging off with PCIDE");
        write_cr4(cr4() & ~(word)(1 << 17));
    }
}

const struct test tests[] = {
    {"cr0_bits", cr0_bits},
    {"cr4_bits", cr4_bits},
    {"cr3_cr8", cr3_cr8},
    {"efer", efer},
    {"msrs", msrs},
    {"umip", umip},
    {"privileged", privileged},
    {"cpuid_leaves", cpuid_leaves},
    {"leave_and_enter", leave_and_enter},
    {NULL, NULL},
};
