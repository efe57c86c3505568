/* Debug registers and single step in IA-32e mode. */
#include "rt.h"

const char image_name[] = "debug64";

#include "debug.inc"

/* SYSCALL and SYSRET look at the TF they load. */
static void syscalls(void)
{
    extern uint8_t step_land[];
    asm volatile(".pushsection .snip, \"ax\"\n step_land: nop\n int $0x80\n .popsection" ::);
    gdt_set(SLOT(20), gdt_get(UCODE32 & ~7));
    gdt_set(SLOT(21), gdt_get(UDATA & ~7));
    gdt_set(SLOT(22), gdt_get(UCODE64 & ~7));
    gdt_set(SLOT(23), gdt_get(KCODE64));
    gdt_set(SLOT(24), gdt_get(KDATA));
    const uint64_t efer = rdmsr(0xc0000080);
    wrmsr(0xc0000080, efer | 1);
    wrmsr(0xc0000081, (uint64_t)(SLOT(20) | 3) << 48 | (uint64_t)SLOT(23) << 32);
    wrmsr(0xc0000082, (word)step_land);
    wrmsr(0xc0000084, 0x100);
    at(RING3);
    ctx.sp = (word)entry_stack_top - 256;
    ctx.flags = 0x102;
    write_dr6(DR6_CLEAR);
    TRY("syscall");
    check_eq(last.vector, DONE, "syscall with TF masked: no step");
    wrmsr(0xc0000084, 0);
    TRY("syscall");
    check_eq(last.vector, DB, "syscall with TF kept: a step");
    check_eq(last.ip, (word)step_land, "before the first instruction");
    at(RING0);
    in.cx = (word)step_land;
    TRY("mov $0x102, %%r11\n sysretq");
    check_eq(last.vector, DB, "sysret that sets TF");
    check_eq(last.ip, (word)step_land, "is stepped itself");
    check_eq(last.cs, SLOT(22) | 3, "at level 3");
    wrmsr(0xc0000080, efer);
}

static void compat(void)
{
    at_compat(RING3);
    ctx.flags = 0x102;
    write_dr6(DR6_CLEAR);
    TRY32("nop\n nop");
    expect_at(DB, 0, 1, "a step in compatibility mode");
    ctx.flags = 2;
    set_dr(0, (word)data, WRITE, 4);
    in.bx = (word)data;
    TRY32("movl %%eax, (%%ebx)");
    expect_trap(DB, "a data breakpoint in compatibility mode");
    clear_dr();
}

const struct test tests[] = {
    {"single_step", single_step},
    {"iret_step", iret_step},
    {"branch_step", branch_step},
    {"execute", execute},
    {"data_breaks", data_breaks},
    {"io_breaks", io_breaks},
    {"registers", registers},
    {"syscalls", syscalls},
    {"compat", compat},
    {"step_hlt", step_hlt},
    {NULL, NULL},
};
