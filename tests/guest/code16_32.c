/* 16-bit segments of protected mode: stacks and addresses that wrap, sizes mixed by prefixes. */
#include "rt.h"

const char image_name[] = "code16_32";

static volatile uint16_t *const w16 = (volatile uint16_t *)0;
#define LOWW(a) (((volatile uint16_t *)(uintptr_t)(a))[0])

static void stacks(void)
{
    for (enum level l = RING0; l <= RING3; l += 3) {
        at_code16(l);
        ctx.sp = 0x1234c000;
        in = (struct regs){.ax = 0xaaaa1111, .bx = 0xbbbb2222, .bp = 0x9999c010};
        TRY16("pushw %%ax\n movl %%esp, %%ecx\n popw %%dx");
        expect_done("pushw, level %u", l);
        check_eq(last.r.cx & 0xffff, 0xbffe, "SP");
        check_eq(last.r.dx & 0xffff, 0x1111, "popped");
        TRY16("pushl %%eax\n popl %%edx");
        check_eq(last.r.dx, 0xaaaa1111, "a doubleword");
        TRY16("pushw %%sp\n popw %%dx");
        check_eq(last.r.dx & 0xffff, 0xc000, "push sp pushes what it was");
        TRY16("movw $0xbff0, %%dx\n pushw %%dx\n popw %%sp\n movw %%sp, %%cx\n movw $0xc000, %%sp");
        check_eq(last.r.cx & 0xffff, 0xbff0, "pop sp");
        TRY16("pushaw\n movw %%sp, %%dx\n popaw\n movw %%sp, %%cx");
        expect_done("pusha, popa");
        check_eq(last.r.cx & 0xffff, 0xc000, "SP behind popa");
        TRY16("pushal\n movw %%sp, %%cx\n movw $0xc000, %%sp");
        check_eq(last.r.cx & 0xffff, 0xbfe0, "pushad");
        TRY16("enterw $0x20, $0\n movl %%ebp, %%ecx\n movw %%sp, %%dx\n leavew\n movw %%sp, %%si");
        expect_done("enter, leave");
        check_eq(last.r.cx, 0x9999bffe, "BP: its upper half stays");
        check_eq(last.r.dx & 0xffff, 0xbfde, "SP behind enter");
        check_eq(last.r.si & 0xffff, 0xc000, "SP behind leave");
        check_eq(last.r.bp, 0x9999c010, "BP is back");
        LOWW(0xc00e) = 0x1234;
        LOWW(0xc00c) = 0x5678;
        TRY16("enterw $4, $3\n movw %%sp, %%dx\n movw %%bp, %%cx\n movw (%%bp), %%ax\n movw "
              "-2(%%bp), %%bx\n movw -4(%%bp), %%si\n movw -6(%%bp), %%di\n movw $0xc000, %%sp");
        expect_done("enter with three levels");
        check_eq(last.r.dx & 0xffff, 0xbffe - 6 - 4, "SP");
        check_eq(last.r.cx & 0xffff, 0xbffe, "BP");
        check_eq(last.r.ax & 0xffff, 0xc010, "the old BP");
        check_eq(last.r.bx & 0xffff, 0x1234, "the first frame pointer copied");
        check_eq(last.r.si & 0xffff, 0x5678, "the second");
        check_eq(last.r.di & 0xffff, 0xbffe, "and the new one");
        /* SP wraps at 64 KiB, the limit is not in the way */
        ctx.sp = 0x77770000;
        TRY16("pushw %%ax\n movw %%sp, %%cx\n popw %%dx\n movw $0xc000, %%sp");
        expect_done("SP = 0");
        check_eq(last.r.cx & 0xffff, 0xfffe, "wraps to FFFE");
    }
    /* 32-bit code on a 16-bit stack, 16-bit code on a 32-bit stack */
    at(RING3);
    at_code16(RING3);
    const uint16_t ss = ctx.ss, cs = ctx.cs;
    at(RING3);
    ctx.ss = ss;
    ctx.sp = 0xdeadc000;
    in = (struct regs){.ax = 5};
    TRY("pushl %%eax\n call 1f\n 1: popl %%ecx\n popl %%edx\n movl %%esp, %%esi");
    expect_done("32-bit code, 16-bit stack");
    check_eq(last.r.dx, 5, "popped");
    check_eq(last.r.si & 0xffff, 0xc000, "SP");
    at_code16(RING3);
    ctx.cs = cs;
    ctx.ss = UDATA;
    ctx.sp = (word)user_stack_top;
    TRY16("pushw %%ax\n pushl %%eax\n movl %%esp, %%ecx\n popl %%edx\n popw %%dx");
    expect_done("16-bit code, 32-bit stack");
    check_eq(last.r.cx, (word)user_stack_top - 6, "ESP");
}

static void jumps(void)
{
    at_code16(RING3);
    in = (struct regs){.cx = 0x12340003, .ax = 0};
    TRY16("1: incw %%ax\n loop 1b");
    expect_done("loop counts CX");
    check_eq(last.r.ax, 3, "three times");
    check_eq(last.r.cx, 0x12340000, "the upper half of ECX stays");
    in = (struct regs){.cx = 0x10000};
    TRY16("jcxz 1f\n movb $1, %%al\n 1: nop");
    check_eq(last.r.ax, 0, "jcxz looks at CX");
    TRY16("addr32 jcxz 1f\n movb $1, %%al\n 1: nop");
    check_eq(last.r.ax, 1, "jecxz looks at ECX");
    in = (struct regs){0};
    TRY16("call 1f\n jmp 2f\n 1: movw %%sp, %%bx\n movw (%%bx), %%dx\n ret\n 2: nop");
    expect_done("call, ret");
    check_eq(last.r.dx & 0xffff, LOW_CODE + 3, "return IP");
    TRY16("calll 1f\n jmp 2f\n 1: movw %%sp, %%bx\n movl %%ss:(%%bx), %%edx\n retl\n 2: nop");
    expect_done("calll, retl");
    check_eq(last.r.dx, LOW_CODE + 6, "return EIP");
    in.ax = 0x12340000 | (LOW_CODE + 5);
    TRY16("jmp *%%ax\n ud2\n nop\n nop");
    check_eq(last.vector, DONE, "jmp ax takes 16 bits");
    /* IP wraps: a jump back over 0 */
    static const uint8_t at_top[] = {0xe9, 0x00, 0x00}; /* to the next instruction, which is at 0 */
    memcpy((void *)0xfffd, at_top, 3);
    TRY16("movw $0xfffd, %%ax\n jmp *%%ax");
    check(last.vector != GP || last.ip != 0xfffd,
          "a jump from FFFDh by 0 goes to 0, not beyond (vector %x at %lx)", last.vector, last.ip);
    /* a 32-bit displacement is not cut */
    TRY16(".byte 0x66, 0xe9, 0, 0, 1, 0");
    expect_fault(GP, 0, "jmpl beyond 64 KiB");
}

static void addresses(void)
{
    at_code16(RING3);
    ctx.ds = ctx.es = ctx.ss;
    ((volatile uint8_t *)0xd010)[0] = 0x42;
    ((volatile uint8_t *)0xffff)[0] = 0x11;
    ((volatile uint8_t *)0xd011)[0] = 0x43;
    in = (struct regs){.bx = 0x1000d000, .si = 0x20000010, .bp = 0xf000};
    TRY16("movb (%%bx,%%si), %%al");
    expect_done("bx + si");
    check_eq(last.r.ax & 0xff, 0x42, "upper halves are ignored");
    in.bx = 0xffff;
    in.si = 0xd011;
    TRY16("movb (%%bx,%%si), %%al");
    check_eq(last.r.ax & 0xff, 0x42, "the sum wraps");
    TRY16("leaw (%%bx,%%si), %%ax\n leal (%%bx,%%si), %%ecx\n addr32 leal (%%ebx,%%esi), %%edx");
    check_eq(last.r.ax & 0xffff, 0xd010, "lea of 16 bits");
    check_eq(last.r.cx, 0xd010, "lea to 32 bits of a 16-bit address");
    check_eq(last.r.dx, 0x1d010, "lea of a 32-bit address");
    TRY16("addr32 movb (%%ebx,%%esi), %%al");
    expect_fault(GP, 0, "a 32-bit address beyond the limit");
    in = (struct regs){.bp = 0xffff, .di = 0xd012};
    TRY16("movb (%%bp,%%di), %%al");
    check_eq(last.r.ax & 0xff, 0x43, "bp + di");
    TRY16("movb -0x2fef(%%bp), %%al");
    check_eq(last.r.ax & 0xff, 0x42, "bp + disp16");
    /* strings: SI, DI and CX of 16 bits, which wrap within a REP */
    in = (struct regs){.si = 0x1111fffe, .di = 0x2222d000, .cx = 0x33330004};
    w16[0] = 0;
    ((volatile uint8_t *)0)[0] = 0xe0;
    ((volatile uint8_t *)0)[1] = 0xe1;
    ((volatile uint8_t *)0xfffe)[0] = 0xfe;
    ((volatile uint8_t *)0xffff)[0] = 0xff;
    TRY16("cld\n rep movsb");
    expect_done("rep movsb across 64 KiB");
    check_eq(last.r.si, 0x11110002, "SI wraps, ESI's upper half stays");
    check_eq(last.r.di, 0x2222d004, "DI");
    check_eq(last.r.cx, 0x33330000, "CX");
    check_eq(*(volatile uint32_t *)0xd000, 0xe1e0fffe, "what was copied");
    in = (struct regs){.si = 0x0001, .di = 0xd003, .cx = 4};
    TRY16("std\n rep movsb\n cld");
    check_eq(last.r.si & 0xffff, 0xfffd, "SI wraps downwards");
    in = (struct regs){.si = 0xffff, .di = 0xd000, .cx = 4};
    TRY16("cld\n rep movsw");
    expect_at(GP, 0, 1, "a word at FFFFh");
    check_eq(last.r.cx, 4, "CX");
    in = (struct regs){.si = 0xd000, .di = 0xfffd, .cx = 4};
    TRY16("cld\n rep movsw");
    expect_at(GP, 0, 1, "the second word does not fit");
    check_eq(last.r.cx, 3, "CX");
    check_eq(last.r.di, 0xffff, "DI");
    /* sizes */
    in = (struct regs){.ax = 0x11223344};
    TRY16("movl %%eax, %%ecx\n movw $0x5566, %%cx\n movl $0x778899aa, %%edx\n cwtl\n cbtw");
    expect_done("operand sizes");
    check_eq(last.r.cx, 0x11225566, "16 bits of ECX");
    check_eq(last.r.dx, 0x778899aa, "all of EDX");
    TRY16("movw %%cs, %%ax\n lsll %%eax, %%ecx");
    check_eq(last.r.cx, 0xffff, "the limit of the segment");
}

/* Gates and interrupts from 16-bit code. */
static void events(void)
{
    at_code16(RING3);
    ctx.sp = 0x5555c000;
    ctx.flags = 0x202 & ~0x200;
    TRY16("nop");
    expect_done("int from a 16-bit stack");
    check_eq(last.sp & 0xffff, 0xc000, "SP");
    check_eq(last.cs, ctx.cs, "CS");
    TRY16("ud2");
    expect_fault(UD, 0, "ud2");
    at_code16(RING0);
    TRY16("ud2");
    expect_fault(UD, 0, "ud2 at level 0, on a 16-bit stack");
    at_code16(RING0);
    TRY16("pushfw\n pushw %%cs\n pushw $0x8000 + 1f - 77b\n iretw\n ud2\n 1: nop");
    expect_done("iretw");
    TRY16("pushfl\n pushl %%cs\n pushl $0x8000 + 1f - 77b\n iretl\n ud2\n 1: nop");
    expect_done("iretl");
}

const struct test tests[] = {
    {"stacks", stacks}, {"jumps", jumps}, {"addresses", addresses},
    {"events", events}, {NULL, NULL},
};
