/* Exceptions of 32-bit protected mode: vectors, error codes, what they leave behind. */
#include "rt.h"

const char image_name[] = "exc32";

static void divide(void)
{
    for (enum level l = RING0; l <= RING3; l++) {
        at(l);
        in = (struct regs){.ax = 1, .cx = 0};
        TRY("divl %%ecx");
        expect_fault(DE, 0, "div by zero, level %u", l);
        in.ax = 0x80000000;
        in.dx = 0xffffffff;
        in.cx = (word)-1;
        TRY("idivl %%ecx");
        expect_fault(DE, 0, "idiv overflow, level %u", l);
        check_eq(last.r.ax, 0x80000000, "eax untouched");
        TRY("aam $0");
        expect_fault(DE, 0, "aam 0");
    }
}

const struct test tests[] = {
    {"divide", divide},
    {NULL, NULL},
};
