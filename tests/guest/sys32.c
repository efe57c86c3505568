/* Control registers in 32-bit protected mode, and the door to IA-32e mode from this side. */
#include "rt.h"

const char image_name[] = "sys32";

static uint64_t pdpt[4] __attribute__((aligned(4096))), pd[4 * 512] __attribute__((aligned(4096))),
    pml4[512] __attribute__((aligned(4096)));

static void identity(void)
{
    for (unsigned i = 0; i < 4 * 512; i++)
        pd[i] = (uint64_t)i << 21 | 0xe7;
    for (unsigned i = 0; i < 4; i++)
        pdpt[i] = (uint32_t)&pd[512 * i] | 1;
    pml4[0] = (uint32_t)pdpt | 7;
}

static void cr0_writes(void)
{
    const word c = cr0();
    at(RING0);
    in.cx = c;
    static const struct {
        uint32_t set, clear;
        bool ok;
    } cases[] = {{2, 0, 1},          {4, 0, 1},         {8, 0, 1},          {0x20, 0, 1},
                 {0x10000, 0, 1},    {0x40000, 0, 1},   {0x20000000, 0, 0}, {0x60000000, 0, 1},
                 {0x40000000, 0, 1}, {0x1fdaffc0, 0, 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        in.ax = (c | cases[i].set) & ~cases[i].clear;
        TRY("mov %%eax, %%cr0\n mov %%cr0, %%ebx\n mov %%ecx, %%cr0");
        if (cases[i].ok)
            expect_done("CR0 | %x", cases[i].set);
        else
            expect_fault(GP, 0, "CR0 | %x", cases[i].set);
    }
    check_eq(cr0(), c, "CR0 as before");
    /* PG without PE */
    in.ax = 0x80000010;
    TRY("mov %%eax, %%cr0");
    expect_fault(GP, 0, "PG without PE");
    /* PE off and on again within one segment, 32-bit code all along */
    TRY("mov %%cr0, %%eax\n and $~1, %%eax\n mov %%eax, %%cr0\n mov %%cr0, %%ebx\n or $1, %%eax\n "
        "mov %%eax, %%cr0");
    expect_done("PE off and on in 32-bit code");
    check_eq(last.r.bx & 1, 0, "PE was off");
}

static void cr4_writes(void)
{
    const word c = cr4();
    at(RING0);
    in.cx = c;
    for (unsigned bit = 0; bit < 32; bit++) {
        bool ok = bit == 2 || bit == 3 || bit == 4 || bit == 5 || bit == 6 || bit == 8 ||
                  bit == 9 || bit == 10;
        ok |= (bit < 2 && (features() & HAS_VME)) || (bit == 7 && (features() & HAS_PGE)) ||
              (bit == 11 && (features() & HAS_UMIP));
        ok |= (bit == 16 && (features() & HAS_FSGSBASE)) ||
              (bit == 18 && (features() & HAS_XSAVE)) || (bit == 20 && (features() & HAS_SMEP));
        ok |= (bit == 21 && (features() & HAS_SMAP)) || (bit == 22 && (features() & HAS_PKU)) ||
              (bit == 12 && (features() & HAS_LA57));
        if (bit >= 23 || bit == 13 || bit == 14) /* VMX and SMX, where there are any */
            continue;
        in.ax = c | 1u << bit;
        TRY("mov %%eax, %%cr4\n mov %%cr4, %%ebx\n mov %%ecx, %%cr4");
        if (ok)
            expect_done("CR4 bit %u", bit);
        else
            expect_fault(GP, 0, "CR4 bit %u", bit);
    }
    /* PCIDE is for IA-32e mode */
    if (features() & HAS_PCID) {
        in.ax = c | 1 << 17;
        TRY("mov %%eax, %%cr4");
        expect_fault(GP, 0, "PCIDE outside IA-32e mode");
    }
}

static void into_long(void)
{
    if (!(features() & HAS_LM)) {
        skip("no IA-32e mode");
        return;
    }
    identity();
    const uint64_t efer = rdmsr(0xc0000080);
    at(RING0);
    write_cr3((word)pml4);
    wrmsr(0xc0000080, efer | 0x100);
    in.ax = cr0() | 0x80000000;
    TRY("mov %%eax, %%cr0");
    expect_fault(GP, 0, "PG with LME and without PAE");
    write_cr4(cr4() | 0x20);
    /* a 16-bit TSS in TR */
    static struct tss16 small;
    gdt_set(SLOT(25), descriptor((word)&small, 0x2b, P | T_TSS16, 0));
    asm volatile("ltr %w0" ::"r"(SLOT(25)));
    TRY("mov %%eax, %%cr0");
    expect_fault(GP, 0, "PG with LME and a 16-bit TSS");
    tss_reload();
    /* CS with L set: legal to load while LMA is clear, where L means nothing */
    gdt_set(SLOT(26), descriptor(0, 0xfffff, P | T_XR, F_G | F_D | F_L));
    ctx.cs = SLOT(26);
    TRY("mov %%eax, %%cr0");
    expect_fault(GP, 0, "PG with LME and CS.L");
    at(RING0);
    TRY("nop");
    check_eq(rdmsr(0xc0000080) & 0x400, 0, "LMA is still off");
    /* in, in compatibility mode, and out: no interrupt or fault may come between */
    in.bx = cr0();
    TRY("mov %%eax, %%cr0\n mov $0xc0000080, %%ecx\n rdmsr\n mov %%eax, %%esi\n mov %%ebx, %%cr0\n "
        "rdmsr");
    expect_done("in and out");
    check_eq(last.r.si & 0x500, 0x500, "LMA was on");
    check_eq(last.r.ax & 0x500, 0x100, "and is off");
    /* MOV to CR0 with paging on: LME may not change; that is in sys64 */
    write_cr4(cr4() & ~(word)0x20);
    wrmsr(0xc0000080, efer);
    write_cr3(0);
}

static void efer_bits(void)
{
    if (!(features() & HAS_LM))
        return;
    const uint64_t e = rdmsr(0xc0000080);
    at(RING0);
    for (unsigned bit = 0; bit < 64; bit++) {
        const bool ok = bit == 0 || bit == 8 || (bit == 11 && (features() & HAS_NX));
        if (bit == 10 || (bit >= 12 && bit <= 15) || bit == 20 || bit == 21)
            continue;
        const uint64_t v = e ^ UINT64_C(1) << bit;
        in = (struct regs){.cx = 0xc0000080, .ax = (uint32_t)v, .dx = (uint32_t)(v >> 32)};
        TRY("wrmsr");
        if (ok)
            expect_done("EFER bit %u", bit);
        else
            expect_fault(GP, 0, "EFER bit %u", bit);
        wrmsr(0xc0000080, e);
    }
    in.ax = 0x400;
    in.dx = 0;
    TRY("wrmsr");
    expect_done("LMA is ignored");
    check_eq(rdmsr(0xc0000080) & 0x400, 0, "LMA stays off");
    wrmsr(0xc0000080, e);
}

/* Instructions of other modes. */
static void other_modes(void)
{
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        if (!vendor_amd()) {
            TRY("syscall");
            expect_fault(UD, 0, "syscall outside 64-bit mode, level %u", l);
            TRY(".byte 0x0f, 0x07");
            expect_fault(UD, 0, "sysret outside 64-bit mode, level %u", l);
        }
        TRY(".byte 0x0f, 0x01, 0xf8");
        expect_fault(UD, 0, "swapgs, level %u", l);
        TRY(".byte 0xf3, 0x0f, 0xae, 0xc0");
        expect_fault(UD, 0, "rdfsbase, level %u", l);
    }
    /* SYSENTER and SYSEXIT */
    if (!(features() & HAS_SEP))
        return;
    extern uint8_t sys_land[];
    asm volatile(".pushsection .snip, \"ax\"\n sys_land: mov %%cs, %%eax\n mov %%ss, %%ebx\n "
                 "pushfl\n pop %%edx\n mov %%esp, %%ecx\n int $0x80\n .popsection" ::);
    for (unsigned i = 0; i < 4; i++) /* nothing there: the descriptors are not read */
        gdt_set(SLOT(30 + i), i == 1 ? gdt_get(KDATA) : 0); /* but the runtime looks at SS */
    wrmsr(0x174, SLOT(30) | 3);
    wrmsr(0x175, (word)test_stack_top - 64);
    wrmsr(0x176, (word)sys_land);
    for (enum level l = RING0; l <= RING3; l++) {
        at(l);
        ctx.flags = 0x3a97;
        TRY("sysenter");
        check_eq(last.vector, DONE, "sysenter from level %u", l);
        check_eq(last.r.ax, SLOT(30), "CS");
        check_eq(last.r.bx, SLOT(31), "SS");
        check_eq(last.r.cx, (word)test_stack_top - 64, "ESP");
        check_eq(last.r.dx, 0x3897, "IF is off");
    }
    at(RING0);
    in = (struct regs){.dx = (word)sys_land + 100, .cx = (word)user_stack_top};
    extern uint8_t exit_land[];
    asm volatile(".pushsection .snip, \"ax\"\n exit_land: int $0x80\n .popsection" ::);
    in.dx = (word)exit_land;
    TRY("sysexit");
    check_eq(last.vector, DONE, "sysexit");
    check_eq(last.cs, SLOT(32) | 3, "CS");
    check_eq(last.ss, SLOT(33) | 3, "SS");
    check_eq(last.sp, (word)user_stack_top, "ESP");
    wrmsr(0x174, 3);
    TRY("sysexit");
    expect_fault(GP, 0, "sysexit with a null CS");
    TRY("sysenter");
    expect_fault(GP, 0, "sysenter with a null CS");
}

const struct test tests[] = {
    {"cr0_writes", cr0_writes}, {"cr4_writes", cr4_writes},   {"into_long", into_long},
    {"efer_bits", efer_bits},   {"other_modes", other_modes}, {NULL, NULL},
};
