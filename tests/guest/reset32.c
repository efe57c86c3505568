/* Triple faults and every other way to reset: each phase resets the machine and goes on in the
 * next. */
#include "rt.h"

const char image_name[] = "reset32";

static void expect_reset(unsigned n)
{
    for (volatile unsigned i = 0; i < 20000000; i++) {
    }
    check(false, "phase %u did not reset", n);
}

static void phases(void)
{
    const unsigned n = phase();
    /* what a reset leaves: the stub has set PE and cleared CD and NW, nothing else */
    check_eq(cr0() & ~(word)0x60000000, 0x11, "CR0");
    check_eq(cr4(), 0, "CR4");
    check_eq(cr3(), 0, "CR3");
    check_eq(dr7(), 0x400, "DR7");
    check_eq(dr6(), 0xffff0ff0, "DR6");
    if (features() & HAS_LM)
        check_eq(rdmsr(0xc0000080), 0, "EFER");
    write_dr6(0xffff0ff5);
    write_dr7(0x455);
    write_dr7(0x400);
    set_phase(n + 1);
    switch (n) {
    case 0: /* no IDT at all */
        lidt(idt, 0);
        asm volatile("ud2");
        break;
    case 1: /* #GP, #GP in #DF's place, and no gate for #DF */
        idt[GP] = idt[DF] = 0;
        idt[0x41] = 0;
        asm volatile("int $0x41");
        break;
    case 2: /* a stack that cannot be pushed to */
        idt_set(DF, KCODE32, stub_address(DF), P | T_INT32, 0);
        gdt_set(SLOT(0), descriptor(0, 0xf, P | T_RW, F_D));
        asm volatile("mov %0, %%ss\n mov $0, %%esp\n ud2" ::"r"(SLOT(0)));
        break;
    case 3: /* page tables that map nothing */
        write_cr3(0x300000);
        memset((void *)0x300000, 0, 4096);
        write_cr0(cr0() | 0x80000000);
        break;
    case 4:
        outb(0x92, (uint8_t)(inb(0x92) | 1));
        break;
    case 5:
        outb(0xcf9, 2);
        outb(0xcf9, 6);
        break;
    case 6:
        outb(0x64, 0xfe);
        break;
    case 7: /* from real mode: no IDT there either */
        at_real();
        real.idt_limit = 0;
        TRY_REAL("ud2");
        break;
    default:
        set_phase(0);
        check(true, "all phases");
        return;
    }
    expect_reset(n);
}

const struct test tests[] = {
    {"phases", phases},
    {NULL, NULL},
};
