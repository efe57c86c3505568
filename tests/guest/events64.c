/*
 * What IRET and SYSRET of 64-bit code let in: interrupts and NMIs that wait, instruction
 * breakpoints, alignment checks. Each several times over, so that a fast way to do it has warmed
 * up.
 */
#include "rt.h"

const char image_name[] = "events64";

extern word raw[];
extern uint8_t events_land[], events_load[];

#define APIC(reg)  (*(volatile uint32_t *)(uintptr_t)(0xfee00000u + (reg)))
#define VECTOR     0x50
#define ICR_SELF   0x40000
#define ICR_NMI    0x4400 /* to the one named in the upper half */
#define EFER       0xc0000080u
#define STAR       0xc0000081u
#define TIMES      5
#define FLAG_IF    0x200
#define FLAG_RF    0x10000
#define FLAG_AC    0x40000
#define CR0_AM     0x40000
#define DR7_EXEC_0 0x401

static struct {
    word at[5];
} __attribute__((aligned(64))) frame;

static unsigned seen;
static word seen_ip, seen_cs, seen_flags;

static bool taker(word *f)
{
    const unsigned v = (unsigned)raw[11];
    if (v != VECTOR && v != NMI)
        return false;
    seen++;
    seen_ip = f[0];
    seen_cs = f[1];
    seen_flags = f[2];
    if (v == VECTOR)
        APIC(0xb0) = 0;
    return true;
}

static void start(void)
{
    at(RING0);
    APIC(0xf0) = 0x1ff;
    seen = 0;
    hook = taker;
}

static void set_frame(word ip, bool user, word flags)
{
    frame.at[0] = ip;
    frame.at[1] = user ? UCODE64 : KCODE64;
    frame.at[2] = flags | 2;
    frame.at[3] = (word)user_stack_top;
    frame.at[4] = user ? UDATA : KDATA;
    ctx.sp = (word)frame.at;
}

asm(".pushsection .snip, \"ax\"\n events_land: nop\n nop\n int $0x80\n"
    "events_load: mov 1(%rdi), %eax\n int $0x80\n .popsection");

/* One request that waits while IF is clear. */
static void pending(void)
{
    for (unsigned i = 0; i < TIMES * 4; i++) {
        const bool user = i & 1, lets_in = !(i & 2);
        start();
        set_frame((word)events_land, user, lets_in ? FLAG_IF : 0);
        APIC(0x300) = ICR_SELF | VECTOR;
        TRY("iretq");
        check_eq(last.vector, DONE, "goes on");
        check_eq(seen, lets_in, "iretq, IF %u, to level %u", lets_in, user ? 3 : 0);
        if (lets_in) {
            check_eq(seen_ip, (word)events_land, "before the next instruction");
            check_eq(seen_cs, user ? UCODE64 : KCODE64, "of the level returned to");
            check_eq(seen_flags & FLAG_RF, 0, "RF");
        } else { /* take it */
            asm volatile("sti\n nop\n cli");
            check_eq(seen, 1, "later");
        }
    }
    const uint64_t efer = rdmsr(EFER), star = rdmsr(STAR);
    wrmsr(EFER, efer | 1);
    gdt_set(SLOT(20), gdt_get(UCODE32 & ~7));
    gdt_set(SLOT(21), gdt_get(UDATA & ~7));
    gdt_set(SLOT(22), gdt_get(UCODE64 & ~7));
    wrmsr(STAR, (uint64_t)(SLOT(20) | 3) << 48);
    for (unsigned i = 0; i < TIMES; i++) {
        start();
        APIC(0x300) = ICR_SELF | VECTOR;
        in.cx = (word)events_land;
        TRY("mov $0x202, %%r11\n sysretq");
        check_eq(last.vector, DONE, "goes on");
        check_eq(seen, 1, "sysretq");
        check_eq(seen_ip, (word)events_land, "before the program's instruction");
        check_eq(seen_cs, SLOT(22) | 3, "at level 3");
    }
    wrmsr(STAR, star);
    wrmsr(EFER, efer);
    hook = NULL;
}

/* In an NMI's handler another one waits for IRET. */
static bool nmi_taker(word *f)
{
    if (raw[11] != NMI)
        return false;
    seen++;
    seen_ip = f[0];
    if (seen == 1)
        APIC(0x300) = ICR_NMI;
    return true;
}

static void nmi(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        start();
        hook = nmi_taker;
        in.di = 0xfee00300;
        APIC(0x310) = APIC(0x20) & 0xff000000;
        TRY("movl $0x4400, (%%rdi)\n 1: nop\n nop");
        expect_done("NMI");
        check_eq(seen, 2, "the second one comes behind the first one's IRET");
        check(seen_ip >= last.start + 6 && seen_ip <= last.end, "where the first came");
    }
    hook = NULL;
}

/* RF in the frame lets the breakpoint at the target pass, once. */
static void resume(void)
{
    for (unsigned i = 0; i < TIMES * 4; i++) {
        const bool user = i & 1, rf = i & 2;
        at(RING0);
        set_frame((word)events_land, user, rf ? FLAG_RF : 0);
        write_dr0((word)events_land);
        write_dr7(DR7_EXEC_0 | 2);
        TRY("iretq");
        write_dr7(0x400);
        check_eq(last.vector, rf ? DONE : DB, "iretq to a breakpoint, RF %u", rf);
        check_eq(last.flags & FLAG_RF, 0, "RF in the frame");
        if (!rf)
            check_eq(last.ip, (word)events_land, "at it");
        write_dr6(0xffff0ff0);
    }
}

/* AC counts at level 3 if CR0.AM is set. */
static void alignment(void)
{
    const word old = cr0();
    for (unsigned i = 0; i < TIMES * 8; i++) {
        const bool user = i & 1, ac = i & 2, am = i & 4;
        at(RING0);
        write_cr0(am ? old | CR0_AM : old & ~(word)CR0_AM);
        in.di = (word)frame.at;
        set_frame((word)events_load, user, ac ? FLAG_AC : 0);
        TRY("iretq");
        check_eq(last.vector, user && ac && am ? AC : DONE, "level %u, AC %u, AM %u", user ? 3 : 0,
                 ac, am);
    }
    write_cr0(old);
}

/* What else IRET does to segments: descriptors become accessed, data of level 0 is taken away. */
static void segments(void)
{
    for (unsigned i = 0; i < TIMES; i++) {
        at(RING0);
        gdt_set(SLOT(1), descriptor(0, 0xfffff, P | DPL(3) | (T_XR & ~1u), F_G | F_L));
        gdt_set(SLOT(2), descriptor(0, 0xfffff, P | DPL(3) | (T_RW & ~1u), F_G | F_D));
        set_frame((word)events_land, true, 0);
        frame.at[1] = SLOT(1) | 3;
        frame.at[4] = SLOT(2) | 3;
        ctx.ds = i & 1 ? KDATA : UDATA;
        ctx.es = i & 2 ? KDATA : UDATA;
        TRY("iretq");
        check_eq(last.vector, DONE, "to fresh segments");
        check_eq(gdt_get(SLOT(1)) >> 40 & 1, 1, "CS is accessed");
        check_eq(gdt_get(SLOT(2)) >> 40 & 1, 1, "SS is accessed");
        check_eq(last.ds, i & 1 ? 0 : UDATA, "DS");
        check_eq(last.es, i & 2 ? 0 : UDATA, "ES");
    }
    /* a null selector is null, whatever lies in the GDT's first slot */
    const uint64_t first = gdt_get(0);
    for (unsigned i = 0; i < TIMES; i++) {
        at(RING0);
        gdt_set(0, gdt_get(i & 1 ? KCODE64 : UCODE64 & ~7));
        set_frame((word)events_land, !(i & 1), 0);
        frame.at[1] = i & 1 ? 0 : 3;
        TRY("iretq");
        expect_fault(GP, 0, "a null CS");
    }
    gdt_set(0, first);
}

const struct test tests[] = {
    {"pending", pending},     {"nmi", nmi},           {"resume", resume},
    {"alignment", alignment}, {"segments", segments}, {NULL, NULL},
};
