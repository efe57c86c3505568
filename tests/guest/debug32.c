/* Debug registers and single step in 32-bit protected mode. */
#include "rt.h"

const char image_name[] = "debug32";

#include "debug.inc"

/* A code segment with a base: breakpoints are linear addresses. */
static void bases(void)
{
    at_code16(RING3);
    gdt_set(SLOT(3), descriptor(0x8000, 0xffff, P | DPL(3) | T_XR, 0));
    ctx.cs = SLOT(3) | 3;
    ctx.cs_base = 0x8000;
    clear_dr();
    set_dr(0, 0x8001, EXECUTE, 1);
    TRY16("nop\n nop\n nop");
    check(last.vector == DB && last.ip == 1, "an instruction breakpoint in a segment with a base");
    set_dr(0, 1, EXECUTE, 1);
    TRY16("nop\n nop\n nop");
    check_eq(last.vector, DONE, "not an offset");
    gdt_set(SLOT(4), descriptor((word)data, 0xffff, P | DPL(3) | T_RW, 0));
    ctx.es = SLOT(4) | 3;
    set_dr(0, (word)data + 4, WRITE, 4);
    in = (struct regs){.di = 4};
    TRY16("movb %%al, %%es:(%%di)\n nop");
    check(last.vector == DB && last.ip == 3, "a data breakpoint in a segment with a base");
    clear_dr();
}

const struct test tests[] = {
    {"single_step", single_step}, {"iret_step", iret_step},
    {"branch_step", branch_step}, {"execute", execute},
    {"data_breaks", data_breaks}, {"io_breaks", io_breaks},
    {"registers", registers},     {"bases", bases},
    {"step_hlt", step_hlt},       {NULL, NULL},
};
