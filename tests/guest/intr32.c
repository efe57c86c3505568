/* External interrupts, NMI, HLT, shadows; the 8259 pair, the 8254 and the local APIC bring them. */
#include "rt.h"

const char image_name[] = "intr32";

extern word raw[];
#define IRQ0      0x20
#define APIC(reg) (*(volatile uint32_t *)(0xfee00000 + (reg)))

static unsigned seen, seen_vector, nested, deepest;
static word seen_ip, seen_flags;
static unsigned (*inside)(void);

static void pic_setup(uint8_t mask)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, IRQ0);
    outb(0xa1, IRQ0 + 8);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, mask);
    APIC(0xf0) = 0x1ff; /* the 8259 comes through LINT0: virtual wire */
    APIC(0x350) = 0x700;
    outb(0xa1, 0xff);
}

static void pit_once(unsigned count)
{
    outb(0x43, 0x30);
    outb(0x40, (uint8_t)count);
    outb(0x40, (uint8_t)(count >> 8));
}

/* Until the 8259 has a request waiting (IF is clear). */
static bool wait_irr(void)
{
    for (unsigned i = 0; i < 2000000; i++) {
        outb(0x20, 0x0a);
        if (inb(0x20) & 1)
            return true;
    }
    return false;
}

static bool taker(word *f)
{
    const unsigned v = (unsigned)raw[11];
    if (v == DONE || v == GP || v == NP || v == UD || v == PF || v == DB)
        return false;
    seen++;
    seen_vector = v;
    seen_ip = f[0];
    seen_flags = f[2];
    if (++nested > deepest)
        deepest = nested;
    if (inside)
        inside();
    nested--;
    if (v >= IRQ0 && v < IRQ0 + 16)
        outb(0x20, 0x20);
    if (v >= 0x50 && v < 0x60)
        APIC(0xb0) = 0;
    return true;
}

static void start(void)
{
    seen = nested = deepest = 0;
    inside = NULL;
    hook = taker;
    at(RING0);
}

/* A request that waits while IF is clear, and where the processor takes it. */
#define PENDING(text)                             \
    do {                                          \
        start();                                  \
        pic_setup(0xfe);                          \
        pit_once(200);                            \
        check(wait_irr(), "the timer's request"); \
        TRY(text);                                \
        hook = NULL;                              \
    } while (0)

static void shadows(void)
{
    PENDING("nop\n nop\n nop");
    check_eq(seen, 0, "nothing while IF is clear");
    PENDING("sti\n nop\n nop\n cli");
    check_eq(seen, 1, "sti");
    check_eq(seen_vector, IRQ0, "its vector");
    check_eq(seen_ip - last.start, 2, "one instruction later");
    check_eq(seen_flags & 0x200, 0x200, "IF in the frame");
    check_eq(seen_flags & 0x10000, 0, "RF is clear there");
    PENDING("sti\n cli\n nop\n nop");
    check_eq(seen, 0, "sti, cli");
    PENDING("pushl $0x202\n popfl\n nop\n cli");
    check_eq(seen, 1, "popf");
    check_eq(seen_ip - last.start, 6, "casts no shadow");
    PENDING("pushl $0x202\n push %%cs\n call 1f\n 1: addl $2f - 1b, (%%esp)\n iretl\n nop\n 2: "
            "nop\n cli");
    check_eq(seen, 1, "iret");
    PENDING("sti\n hlt\n nop\n cli");
    check_eq(seen, 1, "sti, hlt");
    check_eq(seen_ip - last.start, 2, "behind the hlt");
    expect_done("goes on behind it");
    in.ax = KDATA;
    PENDING("pushl $0x202\n mov %%ax, %%ss\n popfl\n nop\n nop\n cli");
    check_eq(seen, 1, "popf behind mov ss");
    check(seen_ip - last.start >= 8, "not before popf has ended");
    /* the request goes away before it is taken: masked at the 8259 */
    PENDING("movb $0xff, %%al\n outb %%al, $0x21\n sti\n nop\n nop\n cli");
    check_eq(seen, 0, "masked");
    pic_setup(0xff);
}

/* HLT until something comes. */
static void halt(void)
{
    start();
    pic_setup(0xfe);
    pit_once(3000);
    TRY("sti\n hlt\n nop\n cli");
    hook = NULL;
    expect_done("hlt");
    check_eq(seen, 1, "woken by the timer");
    check_eq(seen_ip - last.start, 2, "behind hlt");
    /* from level 0 with IF clear only an NMI wakes it */
    start();
    APIC(0xf0) = 0x1ff;
    APIC(0x380) = 0;
    APIC(0x310) = APIC(0x20) & 0xff000000;
    in.bx = 0xfee00300;
    in.ax = 0x4400; /* NMI to the APIC's own ID */
    TRY("movl %%eax, (%%ebx)\n nop\n nop");
    hook = NULL;
    check_eq(seen, 1, "an NMI by IPI");
    check_eq(seen_vector, NMI, "its vector");
    check_eq(seen_flags & 0x200, 0, "though IF is clear");
    pic_setup(0xff);
}

static unsigned rounds;
static unsigned second_nmi(void)
{
    if (rounds++ == 0) {
        APIC(0x300) = 0x4400;
        for (volatile unsigned i = 0; i < 1000; i++) {
        }
        check_eq(seen, 1, "the second NMI waits for IRET");
    }
    return 0;
}

static void nmi(void)
{
    start();
    rounds = 0;
    inside = second_nmi;
    APIC(0xf0) = 0x1ff;
    APIC(0x310) = APIC(0x20) & 0xff000000;
    in.bx = 0xfee00300;
    in.ax = 0x4400;
    TRY("movl %%eax, (%%ebx)\n nop\n nop\n nop");
    hook = NULL;
    check_eq(seen, 2, "both NMIs came");
    check_eq(deepest, 1, "one after the other");
    /* an NMI whose gate is bad */
    start();
    idt_set(NMI, KCODE32, stub_address(NMI), T_INT32, 0);
    TRY("movl %%eax, (%%ebx)\n nop\n nop\n nop");
    hook = NULL;
    check(last.vector == NP && last.error == NMI * 8 + 3,
          "an NMI through an absent gate: vector %x error %x", last.vector, last.error);
    idt_default(NMI);
    start();
    TRY("nop"); /* its IRET unmasked? no NMI was delivered to return from: return once by hand */
    TRY("pushfl\n push %%cs\n call 1f\n 1: addl $2f - 1b, (%%esp)\n iretl\n 2: nop");
    TRY("movl %%eax, (%%ebx)\n nop\n nop\n nop");
    hook = NULL;
    check_eq(seen, 1, "after an IRET NMIs come again");
}

/*
 * An IRET that faults has let NMIs in: the one that waits comes before the fault's handler runs.
 * EBP counts NMIs; the first sends a second one and returns to a null CS.
 */
static void nmi_iret(void)
{
    extern uint8_t faulting_nmi[];
    asm volatile(".pushsection .snip, \"ax\"\n"
                 "faulting_nmi: incl %%ebp\n cmpl $1, %%ebp\n jne 1f\n movl %%eax, (%%ebx)\n"
                 "nop\n nop\n pushl $2\n pushl $0\n pushl $0\n"
                 "2: iretl\n 1: iretl\n .popsection" ::);
    APIC(0xf0) = 0x1ff;
    APIC(0x310) = APIC(0x20) & 0xff000000;
    idt_set(NMI, KCODE32, (word)faulting_nmi, P | T_INT32, 0);
    at(RING0);
    in = (struct regs){.ax = 0x4400, .bx = 0xfee00300};
    TRY("movl %%eax, (%%ebx)\n nop\n nop\n nop");
    check(last.vector == GP && last.error == 0, "IRET to a null CS: vector %x error %x",
          last.vector, last.error);
    check_eq(last.r.bp, 2, "the NMI that waited came before #GP's handler");
    in.bp = 1; /* let in what may still wait */
    TRY("pushfl\n push %%cs\n call 1f\n 1: addl $2f - 1b, (%%esp)\n iretl\n 2: nop\n nop");
    idt_default(NMI);
}

/* With CR0.NE clear an unmasked x87 exception is IRQ 13, and port F0h lets the program go on
 * (IGNNE#): SDM 3A 9.2.2; a PC's wiring. */
static unsigned clear_ferr(void)
{
    outb(0xf0, 0);
    asm volatile("fnclex");
    outb(0xa0, 0x20);
    return 0;
}

static void ferr(void)
{
    const word c0 = cr0();
    static const uint16_t unmasked = 0x37b; /* all but division by zero are masked */
    static double result;
    write_cr0(c0 & ~(word)0x20);
    asm volatile("fninit");
    start();
    pic_setup(0xfb);
    outb(0xa1, 0xdf);
    inside = clear_ferr;
    in = (struct regs){.bx = (word)&unmasked, .si = (word)&result};
    ctx.flags = 0x202;
    TRY("fldcw (%%ebx)\n fld1\n fldz\n fdivrp\n fwait\n nop\n fstpl (%%esi)\n cli");
    hook = NULL;
    expect_done("goes on behind it");
    check_eq(seen, 1, "IRQ 13");
    check_eq(seen_vector, IRQ0 + 13, "its vector");
    /* masked at the 8259 the program waits for nothing: IGNNE# cannot be told from the outside, but
     * the flag stays and nobody is told by #MF */
    asm volatile("fninit");
    outb(0xa1, 0xff);
    start();
    TRY("fldcw (%%ebx)\n fld1\n fldz\n fdivrp\n fnstsw %%ax\n fnclex");
    hook = NULL;
    expect_done("no #MF with NE clear");
    check_eq(last.r.ax & 0x84, 0x84, "ES and ZE");
    write_cr0(c0 | 0x20);
    asm volatile("fninit");
    TRY("fldcw (%%ebx)\n fld1\n fldz\n fdivrp\n fwait");
    check_eq(last.vector, MF, "#MF with NE set");
    asm volatile("fninit");
    write_cr0(c0);
    pic_setup(0xff);
}

/* Errors on the way of an external interrupt carry EXT. */
static void errors(void)
{
    static const struct {
        unsigned access, sel, vector, error;
    } cases[] = {
        {T_INT32, KCODE32, NP, IRQ0 * 8 + 3},
        {P | T_RW, KCODE32, GP, IRQ0 * 8 + 3},
        {P | T_INT32, 0, GP, 1},
        {P | T_INT32, 0x7f8, GP, 0x7f9},
        {P | T_INT32, KDATA, GP, KDATA | 1},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        idt_set(IRQ0, cases[i].sel, stub_address(IRQ0), cases[i].access, 0);
        PENDING("sti\n nop\n nop\n cli");
        check(last.vector == cases[i].vector && last.error == cases[i].error,
              "case %u: expected %x %x, got %x %x", i, cases[i].vector, cases[i].error, last.vector,
              last.error);
        check_eq(last.ip - last.start, 2, "case %u: where the interrupt came", i);
        idt_default(IRQ0);
    }
    lidt(idt, IRQ0 * 8 - 1);
    PENDING("sti\n nop\n nop\n cli");
    check(last.vector == GP && last.error == IRQ0 * 8 + 3, "beyond the limit");
    lidt(idt, 256 * 8 - 1);
    outb(0x20, 0x20);
    pic_setup(0xff);
}

/* REP is interrupted between iterations and goes on; RF says so in the frame. Before its first
   iteration (an interrupt was due at STI) it is not. */
#define REP_FROM 0x1000000
static unsigned mid, mid_rf;
static unsigned look_mid(void)
{
    if (seen_ip == last.start + 2 && *(volatile uint8_t *)REP_FROM == 0x5a) {
        mid++;
        if (seen_flags & 0x10000)
            mid_rf++;
    }
    return 0;
}
static void repeated(void)
{
    start();
    mid = mid_rf = 0;
    inside = look_mid;
    pic_setup(0xfe);
    outb(0x43, 0x34);
    outb(0x40, 0x00);
    outb(0x40, 0x02); /* every 0.43 ms */
    in = (struct regs){.di = REP_FROM, .cx = 0x1800000, .ax = 0x5a};
    memset((void *)REP_FROM, 0, 16);
    TRY("sti\n cld\n rep stosb\n cli");
    hook = NULL;
    pic_setup(0xff);
    outb(0x43, 0x30);
    expect_done("rep stosb under interrupts");
    check_eq(last.r.cx, 0, "ECX");
    check_eq(last.r.di, 0x2800000, "EDI");
    check(*(volatile uint8_t *)REP_FROM == 0x5a && *(volatile uint8_t *)0x27fffff == 0x5a,
          "all of it");
    check_eq(mid_rf, mid, "RF in every frame between iterations (%u of %u interrupts)", mid, seen);
}

static void apic_timer(void)
{
    start();
    pic_setup(0xff);
    APIC(0xf0) = 0x1ff;
    APIC(0x80) = 0;
    APIC(0x3e0) = 0xb;
    APIC(0x320) = 0x50;
    APIC(0x380) = 20000;
    TRY("sti\n hlt\n nop\n cli");
    check_eq(seen, 1, "the APIC's timer");
    check_eq(seen_vector, 0x50, "its vector");
    /* TPR holds it back */
    APIC(0x80) = 0x50;
    APIC(0x380) = 2000;
    for (unsigned i = 0; i < 1000000 && APIC(0x390); i++) {
    }
    TRY("sti\n nop\n nop\n nop\n cli");
    check_eq(seen, 1, "held back by TPR");
    check_eq(APIC(0x200 + 0x20) >> 16 & 1, 1, "it waits in IRR");
    APIC(0x80) = 0;
    TRY("sti\n nop\n nop\n cli");
    check_eq(seen, 2, "and comes when TPR lets it");
    check_eq(seen_ip - last.start, 2, "behind the shadow");
    /* lowering TPR by the program itself */
    APIC(0x80) = 0x50;
    APIC(0x380) = 2000;
    for (unsigned i = 0; i < 1000000 && APIC(0x390); i++) {
    }
    in.bx = 0xfee00080;
    TRY("sti\n nop\n movl $0, (%%ebx)\n nop\n nop\n cli");
    check_eq(seen, 3, "TPR written by the program");
    /* a self-IPI */
    in.bx = 0xfee00300;
    TRY("sti\n nop\n movl $0x44051, (%%ebx)\n nop\n nop\n cli");
    check_eq(seen, 4, "a self-IPI");
    check_eq(seen_vector, 0x51, "its vector");
    APIC(0x320) = 0x10000;
    hook = NULL;
}

/* Interrupts from level 3 and from virtual-8086 mode. */
static void outer_levels(void)
{
    for (unsigned vm = 0; vm < 2; vm++) {
        start();
        pic_setup(0xfe);
        pit_once(200);
        check(wait_irr(), "the timer's request");
        at(vm ? VM86 : RING3);
        ctx.flags = vm ? 0x23202 : 0x3202;
        if (vm)
            TRY16("nop\n nop");
        else
            TRY("nop\n nop");
        hook = NULL;
        check_eq(seen, 1, "an interrupt, vm %u", vm);
        check_eq(seen_ip, last.start, "before the first instruction: IRET casts no shadow");
        expect_done("and back");
        check_eq(last.flags & 0x3200, 0x3200, "IF is set again");
    }
    pic_setup(0xff);
}

const struct test tests[] = {
    {"shadows", shadows},
    {"halt", halt},
    {"nmi", nmi},
    {"nmi_iret", nmi_iret},
    {"errors", errors},
    {"repeated", repeated},
    {"apic_timer", apic_timer},
    {"outer_levels", outer_levels},
    {"ferr", ferr}, /* last: QEMU aborts here */
    {NULL, NULL},
};
