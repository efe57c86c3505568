/* Real mode: interrupts, limits, unreal segments, A20, and what is no instruction there. */
#include "rt.h"

const char image_name[] = "real32";

static volatile uint8_t *const mem = (volatile uint8_t *)0; /* physical memory; 0 is the IVT */

static void basics(void)
{
    at_real();
    in = (struct regs){.ax = 0x11112222, .bx = 3};
    TRY_REAL("movw %%cs, %%cx\n movw %%ss, %%dx");
    expect_done("a program");
    check_eq(last.r.cx & 0xffff, 0, "CS");
    check_eq(last.r.ax, 0x11112222, "EAX comes and goes");
    TRY_REAL("ud2");
    expect_fault(UD, 0, "ud2");
    check_eq(last.sp, LOW_STACK, "no error code is pushed");
    in.cx = 0;
    TRY_REAL("divw %%cx");
    expect_fault(DE, 0, "div by zero");
    TRY_REAL("int3");
    expect_trap(BP, "int3");
    TRY_REAL("int $0x21");
    expect_trap(0x21, "int 21h");
    real.flags = 0x802;
    TRY_REAL("into");
    expect_trap(OF, "into");
    at_real();
    real.flags = 0xed7; /* DF, IF, OF and so on */
    TRY_REAL("int $0x60");
    check_eq(last.flags, 0xed7, "pushed flags");
    TRY_REAL("movw $0x8000 + 1f - 77b, %%ax\n pushfw\n pushw %%cs\n pushw %%ax\n iretw\n ud2\n 1: "
             "pushfw\n popw %%bx");
    expect_done("iret");
    check_eq(last.r.bx & 0xffff, 0xed7, "its flags");
    real.flags = 2;
    /* the upper flags of IRETD: VM, VIF and VIP stay (SDM 2A IRET, real-address mode) */
    TRY_REAL("movl $0x8000 + 1f - 77b, %%eax\n pushl $0x3f7ad5\n pushl $0\n pushl %%eax\n iretl\n "
             "ud2\n 1: pushfl\n popl %%ebx\n pushw $2\n popfw");
    expect_done("iretd");
    check_eq(last.r.bx & 0x3a0000, 0x200000, "VIP, VIF and VM are not loaded by iretd");
}

static void undefined(void)
{
    at_real();
    in.bx = LOW_DATA;
#define NONE_HERE(text) \
    TRY_REAL(text);     \
    expect_fault(UD, 0, "%s is undefined", #text)
    NONE_HERE("lldt %%ax");
    NONE_HERE("ltr %%ax");
    NONE_HERE("sldt %%ax");
    NONE_HERE("str %%ax");
    NONE_HERE("verr %%ax");
    NONE_HERE("verw %%ax");
    NONE_HERE("larw %%ax, %%bx");
    NONE_HERE("lslw %%ax, %%bx");
    NONE_HERE(".byte 0x63, 0xd8"); /* ARPL */
    NONE_HERE(".byte 0xf0, 0x90");
    if (features() & HAS_INVPCID) {
        in.ax = 9;
        TRY_REAL("invpcid (%%bx), %%eax");
        expect_fault(GP, 0, "invpcid of no type is there to refuse it");
    }
    if (features() & HAS_SEP) {
        TRY_REAL("sysenter");
        expect_fault(GP, 0, "sysenter");
        TRY_REAL("sysexit");
        expect_fault(GP, 0, "sysexit");
    }
    TRY_REAL("smsw %%ax");
    expect_done("smsw");
    TRY_REAL("sgdt (%%bx)\n sidt (%%bx)");
    expect_done("sgdt, sidt");
    TRY_REAL("mov %%cr0, %%eax");
    expect_done("mov from cr0");
    check_eq(last.r.ax & 1, 0, "PE is off");
    TRY_REAL("clts\n cli\n sti\n cli\n inb $0x80, %%al");
    expect_done("privileged ones are free");
}

static void limits(void)
{
    at_real();
    in = (struct regs){.bx = 0xffff, .si = 0xfffd, .di = 0xffff, .ax = 0x1234};
#define FAULTS(v, text) \
    TRY_REAL(text);     \
    expect_fault(v, 0, "%s", #text)
    FAULTS(GP, "movw (%%bx), %%ax");
    FAULTS(GP, "movw %%ax, (%%bx)");
    FAULTS(GP, "movl (%%si), %%eax");
    FAULTS(GP, "incw (%%bx)");
    FAULTS(GP, "movsw");
    FAULTS(GP, "stosw");
    FAULTS(GP, "addr32 movl 0x10000, %%eax");
    TRY_REAL("movb (%%bx), %%al");
    expect_done("a byte at FFFFh");
    in.bp = 0xffff;
    FAULTS(SS, "movw (%%bp), %%ax");
    real.sp = 1;
    /* the push faults, and so do the pushes of the interrupt: three faults; so only look at pops */
    real.sp = 0xffff;
    FAULTS(SS, "popw %%ax");
    real.sp = 0xfffe;
    FAULTS(SS, "popl %%eax");
    real.sp = 2;
    TRY_REAL("pushw %%ax\n pushw %%ax\n movw %%sp, %%cx");
    expect_done("SP wraps");
    check_eq(last.r.cx & 0xffff, 0xfffe, "SP wraps");
    /* an address that wraps in 16 bits, one that does not in 32 */
    at_real();
    mem[0xd000] = 0x5a;
    in = (struct regs){.bx = 0xffff, .si = 0xd001};
    TRY_REAL("movb (%%bx,%%si), %%al");
    expect_done("bx + si wraps");
    check_eq(last.r.ax & 0xff, 0x5a, "bx + si wraps");
    in = (struct regs){.bx = 0xffff, .si = 0xd001};
    FAULTS(GP, "movb (%%ebx,%%esi), %%al");
    /* IP runs off the end of CS */
    mem[0xfffe] = 0x90;
    mem[0xffff] = 0x90;
    TRY_REAL("ljmp $0, $0xfffe");
    check(last.vector == GP && last.ip == 0x0000 + 0x10000 * 0, "IP behind FFFFh is #GP");
    TRY_REAL(".byte 0x66, 0xea, 0, 0, 1, 0, 0, 0");
    expect_fault(GP, 0, "a 32-bit far jmp beyond the limit");
    in.ax = 0x10000;
    TRY_REAL("jmpl *%%eax");
    expect_fault(GP, 0, "a 32-bit near jmp beyond the limit");
}

/* Far transfers with 32-bit operands to beyond 64 KiB: nothing is pushed or popped. */
static void far_limits(void)
{
    at_real();
    *(volatile uint32_t *)(LOW_STACK - 4) = 0x12345678;
    TRY_REAL(".byte 0x66, 0x9a, 0, 0, 1, 0, 0, 0");
    expect_fault(GP, 0, "lcall");
    check_eq(last.sp, LOW_STACK, "lcall: SP");
    TRY_REAL("pushl $0\n pushl $0x10000\n lretl");
    expect_at(GP, 0, 9, "lret");
    check_eq(last.sp, LOW_STACK - 8, "lret: SP");
    TRY_REAL("pushl $2\n pushl $0\n pushl $0x10000\n iretl");
    expect_at(GP, 0, 12, "iret");
    check_eq(last.sp, LOW_STACK - 12, "iret: SP");
    TRY_REAL("pushl $0\n pushl $0x8000 + 1f - 77b\n lretl\n ud2\n 1: nop");
    expect_done("lret within 64 KiB");
}

/* PUSHA whose stack would wrap inside a word: #GP for 7 to 15, not the #SS of a single push. */
static void pusha(void)
{
    /* handlers that bring a stack of their own and say who they are */
    static const uint8_t handler[] = {0xbc, 0, 0xb0, 0xb8, 0, 0, 0xcd, 0x80}; /* SP, AX, INT 80h */
    at_real();
    for (unsigned v = SS; v <= GP; v++) {
        uint8_t *const code = (uint8_t *)(0x9000 + 16 * v);
        memcpy(code, handler, sizeof handler);
        code[4] = (uint8_t)v;
        ((volatile uint32_t *)0)[v] = (uint32_t)code;
    }
    for (unsigned sp = 6; sp < 24; sp++) {
        const bool odd = sp >= 7 && sp <= 15 && (sp & 1);
        real.sp = (uint16_t)sp;
        in = (struct regs){.ax = 0x99};
        TRY_REAL("pusha\n movw %%sp, %%cx\n movw $0xc000, %%sp");
        check_eq(last.vector, DONE, "pusha with SP %u", sp);
        check_eq(last.r.ax & 0xffff, odd ? GP : 0x99, "pusha with SP %u: vector", sp);
        if (!odd) {
            check_eq(last.r.cx & 0xffff, (sp - 16) & 0xffff, "pusha with SP %u: SP", sp);
            continue;
        }
        TRY_REAL("pushal");
        check_eq(last.r.ax & 0xffff, GP, "pushal with SP %u: vector", sp);
    }
    at_real();
}

/* The interrupt table: anywhere, and with a limit. */
static void table(void)
{
    at_real();
    memcpy((void *)0x2000, (void *)4, 0x400 - 4); /* shorter by one entry at the front */
    memcpy((void *)0x3000, (void *)0, 0x400);
    real.idt_base = 0x3000;
    TRY_REAL("ud2");
    expect_fault(UD, 0, "a table at 3000h");
    real.idt_limit = 0x80 * 4 + 3;
    TRY_REAL("int $0x81");
    expect_fault(GP, 0, "int beyond the limit");
    TRY_REAL("int $0x80");
    expect_trap(0x80, "int just inside");
    real.idt_limit = 0x80 * 4 + 2;
    TRY_REAL("nop");
    expect_at(GP, 0, 1, "int with its last byte outside");
    /* #UD's own entry is out, #GP's is too: a double fault */
    real.idt_limit = 8 * 4 + 3;
    TRY_REAL("int $0x80");
    check_eq(last.vector, DF, "#GP beyond the limit too: #DF");
}

static void unreal(void)
{
    at_real();
    real.keep_limits = true;
    *(volatile uint32_t *)0x200000 = 0x12345678;
    in = (struct regs){.bx = 0x200000};
    TRY_REAL("movl (%%ebx), %%eax");
    expect_done("4-GiB segments stay in real mode");
    check_eq(last.r.ax, 0x12345678, "what is there");
    TRY_REAL("movw $0x100, %%ax\n movw %%ax, %%ds\n movl -0x1000(%%ebx), %%eax");
    expect_done("and when they are loaded again");
    check_eq(last.r.ax, 0x12345678, "what is there, with a base");
    at_real();
    TRY_REAL("movl (%%ebx), %%eax");
    expect_fault(GP, 0, "64-KiB segments");
    /* into protected mode by hand, and back with big limits */
    TRY_REAL(
        "movw $0, %%ax\n movw %%ax, %%ds\n movl %%cr0, %%eax\n orb $1, %%al\n movl %%eax, %%cr0\n"
        "movw $0x10, %%cx\n movw %%cx, %%ds\n andb $0xfe, %%al\n movl %%eax, %%cr0\n"
        "movl (%%ebx), %%eax");
    expect_done("made unreal without a far jump");
    check_eq(last.r.ax, 0x12345678, "what is there");
    /* REP over 64 KiB in a big segment */
    at_real();
    real.keep_limits = true;
    in = (struct regs){.si = 0x200000, .di = 0x220000, .cx = 0x4000};
    ((volatile uint8_t *)0x20ffff)[0] = 0x77;
    TRY_REAL("cld\n addr32 rep movsl");
    expect_done("addr32 rep movsl");
    check_eq(((volatile uint8_t *)0x22ffff)[0], 0x77, "copied");
    check_eq(last.r.si, 0x210000, "ESI");
}

/* The image itself lies in an odd megabyte, so all of this runs low. */
static void a20(void)
{
    volatile uint8_t *const even = (volatile uint8_t *)0x200500, *const odd =
                                                                     (volatile uint8_t *)0x300500;
    at_real();
    real.keep_limits = true;
    *even = 4;
    *odd = 2;
    in = (struct regs){.bx = 0x300500, .si = 0x200500};
    TRY_REAL("inb $0x92, %%al\n andb $0xfc, %%al\n outb %%al, $0x92\n movb (%%ebx), %%cl\n movb "
             "$3, (%%ebx)\n movb (%%esi), %%dl\n"
             "orb $2, %%al\n outb %%al, $0x92\n movb (%%ebx), %%ch\n movb (%%esi), %%dh");
    expect_done("A20 off and on");
    check_eq(last.r.cx & 0xff, 4, "A20 off: 300500h is 200500h");
    check_eq(last.r.dx & 0xff, 3, "and written there");
    check_eq(last.r.cx >> 8 & 0xff, 2, "A20 on: 300500h is itself");
    check_eq(last.r.dx >> 8 & 0xff, 3, "and 200500h is what was written");
    /* FFFF:xxxx from real mode; the code itself lies below 1 MiB, odd megabytes vanish */
    at_real();
    real.ds = 0xffff;
    *(volatile uint8_t *)0x600 = 0; /* no phase */
    mem[0x7fe] = 0x11;
    in.bx = 0x10 + 0x7fe;
    TRY_REAL("inb $0x92, %%al\n orb $2, %%al\n outb %%al, $0x92\n movb (%%bx), %%cl\n andb $0xfd, "
             "%%al\n outb %%al, $0x92\n"
             "movb (%%bx), %%ch\n orb $2, %%al\n outb %%al, $0x92\n movb (%%bx), %%dl");
    expect_done("FFFF:080E");
    const uint8_t at_1m = ((volatile uint8_t *)0x1007fe)[0];
    check_eq(last.r.cx & 0xff, at_1m, "with A20 it is at 1 MiB");
    check_eq(last.r.cx >> 8 & 0xff, 0x11, "without it wraps to 0");
    check_eq(last.r.dx & 0xff, at_1m, "and back");
}

/* Code that changes itself, one instruction ahead, and through another address. */
static void self_modifying(void)
{
    at_real();
    in = (struct regs){0};
    TRY_REAL("movb $0x42, %%cs:1f - 77b + 0x8001\n 1: movb $0, %%al"); /* the immediate of the next
                                                                          one */
    expect_done("the next instruction's immediate");
    check_eq(last.r.ax & 0xff, 0x42, "the next instruction's immediate");
    in.cx = 4;
    TRY_REAL("1: incw %%cs:2f - 77b + 0x8001\n 2: movw $0, %%ax\n loop 1b");
    expect_done("a loop that counts in its own code");
    check_eq(last.r.ax & 0xffff, 4, "a loop that counts in its own code");
    in.ax = 0;
    TRY_REAL("movw %%cs, %%bx\n movw $0x700, %%bx\n movw %%bx, %%es\n movb $0x43, %%es:1f - 77b + "
             "0x1001\n 1: movb $0, %%al");
    check_eq(last.r.ax & 0xff, 0x43, "through another segment");
    /* REP STOS over the instruction behind it */
    in = (struct regs){.ax = 0x9090, .cx = 3};
    TRY_REAL("cld\n movw $1f - 77b + 0x8000, %%di\n rep stosb\n 1: .byte 0x0f, 0x0b, 0x90\n movb "
             "$1, %%dl");
    expect_done("rep stosb over what follows");
    check_eq(last.r.dx & 0xff, 1, "rep stosb over what follows");
}

/* Changes of mode in one program: real, protected 16, real. */
static void mode_changes(void)
{
    at_real();
    in = (struct regs){0};
    TRY_REAL("movl %%cr0, %%eax\n orb $1, %%al\n movl %%eax, %%cr0\n smsw %%bx\n movw %%cs, %%cx\n"
             "andb $0xfe, %%al\n movl %%eax, %%cr0");
    expect_done("PE on and off without a jump");
    check_eq(last.r.bx & 1, 1, "PE was on");
    TRY_REAL("smsw %%ax\n orw $1, %%ax\n lmsw %%ax\n smsw %%bx\n andw $0xfffe, %%ax\n lmsw %%ax\n "
             "smsw %%cx\n"
             "movl %%cr0, %%eax\n andb $0xfe, %%al\n movl %%eax, %%cr0");
    expect_done("lmsw");
    check_eq(last.r.bx & 1, 1, "lmsw sets PE");
    check_eq(last.r.cx & 1, 1, "and cannot clear it");
    TRY_REAL("movl %%cr0, %%eax\n orl $0x80000000, %%eax\n movl %%eax, %%cr0");
    expect_at(GP, 0, 9, "PG without PE");
    TRY_REAL("movl %%cr0, %%eax\n orl $0x20000000, %%eax\n movl %%eax, %%cr0");
    expect_at(GP, 0, 9, "NW without CD");
}

/* TF in real mode: every instruction but those behind MOV SS. */
static void single_step(void)
{
    at_real();
    write_dr6(0xffff0ff0);
    real.flags = 0x102;
    TRY_REAL("nop\n nop");
    expect_at(DB, 0, 1, "a step");
    check_eq(last.dr6 & 0x4000, 0x4000, "DR6.BS");
    TRY_REAL("movw %%ss, %%ax\n nop");
    expect_at(DB, 0, 2, "mov from ss");
    TRY_REAL("movw %%ax, %%ss\n nop\n nop");
    expect_at(DB, 0, 3, "mov ss holds it off for one");
    TRY_REAL("pushw %%ss\n nop");
    expect_at(DB, 0, 1, "push ss");
    TRY_REAL("int $0x60");
    check_eq(last.vector, 0x60, "INT clears TF before the step");
    check_eq(last.flags & 0x100, 0x100, "and pushes it");
}

const struct test tests[] = {
    {"basics", basics},
    {"undefined", undefined},
    {"limits", limits},
    {"far_limits", far_limits},
    {"pusha", pusha},
    {"table", table},
    {"unreal", unreal},
    {"a20", a20},
    {"self_modifying", self_modifying},
    {"mode_changes", mode_changes},
    {"single_step", single_step},
    {NULL, NULL},
};
