/* The guest's x87 registers, tags and status in the host's unit while translated code uses them. */
#include "cpu/cpu.h"
#include "cpu/fp/fp.h"

#if defined(__x86_64__)

/* Called from host code that has guest values in vector registers: none of them may be touched. */
__attribute__((target("general-regs-only"), no_sanitize("address", "undefined"))) bool
fp_x87_load(struct cpu *cpu)
{
    const struct fpu *f = &cpu->fpu;
    if ((f->cw & FSW_EXC) != FSW_EXC || (f->sw & FSW_ES))
        return false;
    /* all eight, each where it was: whatever TOP is now, the first load goes below it */
    uint16_t sw;
    __asm__ volatile("fnstsw %0" : "=a"(sw));
    const unsigned top = sw >> FSW_TOP_SHIFT;
    for (unsigned i = 1; i <= 8; i++)
        __asm__ volatile("fldt %0" : : "m"(f->r[(top - i) & 7]));
    /* two bits of the tag word for each, 3 where it is empty */
    uint32_t empty = ~f->used & 0xff;
    empty = (empty | empty << 4) & 0x0f0f;
    empty = (empty | empty << 2) & 0x3333;
    empty = (empty | empty << 1) & 0x5555;
    const struct {
        uint32_t word[7]; /* FLDENV. SDM 1 figure 8-9 */
    } env = {{f->cw, f->sw, empty * 3, 0, 0, 0, 0}};
    __asm__ volatile("fldenv %0" : : "m"(env));
    cpu->x87_live = true;
    return true;
}

void fp_x87_store(struct cpu *cpu)
{
    struct fpu *f = &cpu->fpu;
    struct { /* SDM 2A "FXSAVE" table 3-44 */
        uint16_t cw, sw;
        uint8_t used, unused[27];
        union fpreg st[8];
        uint8_t rest[512 - 32 - 8 * 16];
    } image;
    __asm__ volatile("fxsave64 %0\n\temms" : "=m"(image));
    f->sw = image.sw;
    f->used = image.used;
    for (unsigned i = 0; i < 8; i++) {
        union fpreg *r = &f->r[((image.sw >> FSW_TOP_SHIFT) + i) & 7];
        r->mant = image.st[i].mant;
        r->sexp = image.st[i].sexp;
    }
    cpu->x87_live = false;
}

#endif
