/* Virtual-8086 mode: in by IRET, out by interrupts, what IOPL guards, I/O bitmap. */
#include "rt.h"

const char image_name[] = "vm32";

static void enter_and_leave(void)
{
    at(VM86);
    ctx.cs = 0x0800;
    ctx.cs_base = 0x8000;
    ctx.ss = 0x0c00;
    ctx.sp = 0x400;
    ctx.ds = 0x1111;
    ctx.es = 0x2222;
    ctx.fs = 0x3333;
    ctx.gs = 0x4444;
    ctx.flags = 0x23202;
    in = (struct regs){.ax = 0x12345678, .bp = 0x55};
    TRY16(
        "movw %%ds, %%bx\n movw %%es, %%cx\n movw %%fs, %%dx\n movw %%gs, %%si\n movw %%ss, %%di");
    expect_done("enter and leave");
    check_eq(last.cs, 0x0800, "CS on the handler's stack");
    check_eq(last.ss, 0x0c00, "SS");
    check_eq(last.sp, 0x400, "SP");
    check_eq(last.flags, 0x23202, "EFLAGS");
    check_eq(last.r.bx & 0xffff, 0x1111, "DS inside");
    check_eq(last.r.cx & 0xffff, 0x2222, "ES inside");
    check_eq(last.r.dx & 0xffff, 0x3333, "FS inside");
    check_eq(last.r.si & 0xffff, 0x4444, "GS inside");
    check_eq(last.r.di & 0xffff, 0x0c00, "SS inside");
    /* frame: EIP CS EFLAGS ESP SS ES DS FS GS */
    check_eq(last.frame[5] & 0xffff, 0x2222, "pushed ES");
    check_eq(last.frame[6] & 0xffff, 0x1111, "pushed DS");
    check_eq(last.frame[7] & 0xffff, 0x3333, "pushed FS");
    check_eq(last.frame[8] & 0xffff, 0x4444, "pushed GS");
    check_eq(last.frame_at, (word)entry_stack_top - 36, "nine doublewords");
    check_eq(last.ds | last.es | last.fs | last.gs, 0, "the handler's data segments are null");
    /* bases and limits */
    at(VM86);
    ctx.flags = 0x23002;
    *(volatile uint32_t *)0xd000 = 0xcafe1234;
    ctx.ds = 0xd00;
    in = (struct regs){.bx = 0};
    TRY16("movl (%%bx), %%eax");
    expect_done("a load");
    check_eq(last.r.ax, 0xcafe1234, "base = selector * 16");
    in.bx = 0xffff;
    TRY16("movw (%%bx), %%ax");
    expect_fault(GP, 0, "a word at FFFFh");
    in.bx = 0x10000;
    TRY16("addr32 movb (%%ebx), %%al");
    expect_fault(GP, 0, "an offset above 64 KiB");
    in.bp = 0xfffd;
    TRY16("movl (%%bp), %%eax");
    expect_fault(SS, 0, "SS: a doubleword at FFFDh");
    ctx.ds = 0xffff;
    in.bx = 0xffff;
    TRY16("movb (%%bx), %%al");
    expect_done("FFFF:FFFF is 10FFEFh");
    TRY16("movw $0x1234, %%ax\n movw %%ax, %%es\n movw %%es, %%bx\n lfs %%cs:(0x8000), %%dx");
    expect_done("selectors are not looked up");
    check_eq(last.r.bx & 0xffff, 0x1234, "any value loads");
    TRY16("ljmp $0x700, $0x1000 + 1f - 77b\n ud2\n 1: movw %%cs, %%ax\n pushw $0\n pushw $0x8000 + "
          "2f - 77b\n lret\n 2: nop");
    expect_done("far jmp and ret");
    check_eq(last.r.ax & 0xffff, 0x700, "CS");
}

static void sensitive(void)
{
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        at(VM86);
        ctx.flags = 0x20002 | iopl << 12;
        const bool ok = iopl == 3;
        if (!ok) {
            TRY16("nop");
            expect_at(GP, 0, 1, "int n, IOPL %u", iopl);
        }
#define GUARDED(text)                    \
    TRY16(text);                         \
    if (ok)                              \
        expect_done("%s, IOPL 3", text); \
    else                                 \
        expect_fault(GP, 0, "%s, IOPL %u", text, iopl)
        GUARDED("cli");
        GUARDED("sti\n cli");
        GUARDED("pushfw\n popw %%ax");
        GUARDED("pushfl\n popl %%eax");
        if (ok) {
            TRY16("pushw $0x7fd7 - 0x4100\n popfw\n pushfw\n popw %%ax\n pushw $0x3002\n popfw");
            expect_done("popf");
            check_eq(last.r.ax & 0xffff, 0x3ed7, "popf: IOPL stays 3");
            TRY16("pushl $0x240002\n popfl\n pushfl\n popl %%eax\n pushl $2\n popfl");
            expect_done("popfd");
            check_eq(last.r.ax & 0xffff0000, 0x240000, "popfd: VM is pushed clear; AC and ID load");
            TRY16("pushfw\n pushw $0\n pushw $0x8000 + 1f - 77b\n iretw\n ud2\n 1: nop");
            expect_done("iret");
        } else {
            TRY16("popfw");
            expect_fault(GP, 0, "popf, IOPL %u", iopl);
            TRY16("iretw");
            expect_fault(GP, 0, "iret, IOPL %u", iopl);
        }
        /* these ask no IOPL */
        TRY16("int3");
        expect_trap(BP, "int3, IOPL %u", iopl);
        TRY16("int1");
        expect_trap(DB, "int1, IOPL %u", iopl);
        ctx.flags |= 0x800;
        TRY16("into");
        expect_trap(OF, "into, IOPL %u", iopl);
    }
    at(VM86);
    ctx.flags = 0x23002;
    in = (struct regs){.bx = 0xd000};
#define GP_HERE(text) \
    TRY16(text);      \
    expect_fault(GP, 0, "%s", #text)
    GP_HERE("hlt");
    GP_HERE("clts");
    GP_HERE("lgdt (%%bx)");
    GP_HERE("lidt (%%bx)");
    GP_HERE("lmsw %%ax");
    GP_HERE("mov %%cr0, %%eax");
    GP_HERE("mov %%eax, %%cr3");
    GP_HERE("mov %%db7, %%eax");
    GP_HERE("invd");
    GP_HERE("wbinvd");
    GP_HERE("invlpg (%%bx)");
    if (features() & HAS_INVPCID)
        GP_HERE("invpcid (%%bx), %%eax");
    GP_HERE("rdmsr");
    GP_HERE("wrmsr");
#define UD_HERE(text) \
    TRY16(text);      \
    expect_fault(UD, 0, "%s", #text)
    UD_HERE("lldt %%ax");
    UD_HERE("ltr %%ax");
    UD_HERE("sldt %%ax");
    UD_HERE("str %%ax");
    UD_HERE("verr %%ax");
    UD_HERE("larw %%ax, %%bx");
    UD_HERE("lslw %%ax, %%bx");
    UD_HERE(".byte 0x63, 0xd8");
    TRY16("smsw %%ax\n sgdt (%%bx)\n sidt (%%bx)");
    expect_done("smsw, sgdt, sidt");
    if (features() & HAS_UMIP) {
        write_cr4(cr4() | 1 << 11);
        GP_HERE("smsw %%ax");
        GP_HERE("sgdt (%%bx)");
        GP_HERE("sidt (%%bx)");
        UD_HERE("sldt %%ax");
        write_cr4(cr4() & ~(1u << 11));
    }
    if (features() & HAS_SEP) {
        GP_HERE("sysexit");
        extern uint8_t sysenter_land[];
        asm volatile(".pushsection .snip, \"ax\"\n sysenter_land: movl %%ss, %%eax\n pushfl\n popl "
                     "%%ebx\n int $0x80\n .popsection" ::);
        wrmsr(0x174, KCODE32);
        wrmsr(0x175, (word)test_stack_top);
        wrmsr(0x176, (word)sysenter_land);
        TRY16("sysenter");
        check_eq(last.vector, DONE, "sysenter from virtual-8086 mode");
        check_eq(last.r.ax, KDATA, "its SS");
        check_eq(last.r.bx & 0x20200, 0, "VM and IF are off");
        wrmsr(0x174, 0);
        GP_HERE("sysenter");
    }
}

/* Gates out of virtual-8086 mode lead to level 0 only. */
static void gates(void)
{
    at(VM86);
    ctx.flags = 0x23002;
    gdt_set(SLOT(0), descriptor(0, 0xfffff, P | T_XR_CONF, F_G | F_D));
    static const uint16_t bad[] = {R1CODE & ~3, SLOT(0), UCODE32 & ~3};
    for (unsigned i = 0; i < 3; i++) {
        idt_set(0x41, bad[i], stub_address(0x41), P | DPL(3) | T_INT32, 0);
        TRY16("int $0x41");
        expect_fault(GP, bad[i], "handler %x", bad[i]);
        idt_set(UD, bad[i], stub_address(UD), P | T_INT32, 0);
        TRY16("ud2");
        expect_fault(GP, bad[i] | 1, "exception to handler %x", bad[i]);
        idt_default(UD);
    }
    idt_set(0x41, KCODE32, stub_address(0x41), P | DPL(0) | T_INT32, 0);
    TRY16("int $0x41");
    expect_fault(GP, 0x41 * 8 + 2, "a gate of DPL 0");
    /* a 16-bit gate pushes nine words */
    extern uint8_t words_handler[];
    asm volatile(".pushsection .snip, \"ax\"\n words_handler: movl %%esp, %%eax\n movw 8(%%esp), "
                 "%%bx\n movw 16(%%esp), %%cx\n movw 4(%%esp), %%dx\n int $0x80\n .popsection" ::);
    gdt_set(SLOT(1), descriptor((word)words_handler, 0xffff, P | T_XR, F_D));
    idt_set(0x41, SLOT(1), 0, P | DPL(3) | T_INT16, 0);
    ctx.ss = 0x123;
    ctx.gs = 0x456;
    TRY16("int $0x41");
    check_eq(last.vector, DONE, "a 16-bit gate");
    check_eq(last.r.ax, (word)entry_stack_top - 18, "nine words");
    check_eq(last.r.bx & 0xffff, 0x123, "SS among them");
    check_eq(last.r.cx & 0xffff, 0x456, "GS on top");
    check_eq(last.r.dx & 0xffff, 0x3002, "FLAGS");
}

/* IRET into it: only from level 0, and only by a 32-bit frame with room for it. */
static void iret_checks(void)
{
    static uint32_t room[80], *const frame = room + 64; /* the fault's own frame goes below */
    at(RING0);
    ctx.sp = (word)frame;
    extern uint8_t land[];
    asm volatile(".pushsection .snip, \"ax\"\n land: int $0x80\n .popsection" ::);
    memcpy((void *)LOW_CODE, land, 2);
    const uint32_t image[] = {LOW_CODE, 0, 0x23002, 0x8000, 0x111, 0x222, 0x333, 0x444, 0x555};
    memcpy(frame, image, sizeof image);
    TRY("iretl");
    check(last.vector == DONE && last.ip == LOW_CODE + 2, "iret to virtual-8086 mode");
    check_eq(last.ss, 0x111, "SS");
    check_eq(last.frame[5] & 0xffff, 0x222, "ES");
    check_eq(last.frame[6] & 0xffff, 0x333, "DS");
    check_eq(last.frame[7] & 0xffff, 0x444, "FS");
    check_eq(last.frame[8] & 0xffff, 0x555, "GS");
    memcpy(frame, image, sizeof image);
    frame[0] = 0x10000;
    TRY("iretl");
    expect_fault(GP, 0, "EIP beyond 64 KiB");
    check_eq(last.flags & 0x20000, 0, "flags stay");
    /* EIP is checked, ESP is not: it is taken whole */
    memcpy(frame, image, sizeof image);
    frame[3] = 0x12348000;
    TRY("iretl");
    check(last.vector == DONE, "ESP beyond 64 KiB");
    check_eq(last.sp, 0x12348000, "ESP is loaded whole");
    /* a stack that ends within the frame */
    gdt_set(SLOT(2), descriptor((word)frame, 31, P | T_RW, F_D));
    memcpy(frame, image, sizeof image);
    at(RING1);
    gdt_set(SLOT(2), descriptor((word)frame, 35, P | DPL(1) | T_RW, F_D));
    ctx.ss = SLOT(2) | 1;
    ctx.sp = 0;
    frame[1] = R1CODE;
    frame[0] = (uint32_t)land;
    TRY("iretl");
    check(last.vector == DONE && last.cs == R1CODE, "VM in the frame at level 1 is ignored");
}

/* The I/O permission bitmap, at level 3 and in virtual-8086 mode. */
static void io_bitmap(void)
{
    static const uint16_t ports[] = {0x80, 0x87, 0x8f, 0x7ff8, 0xfff8, 0xffff};
    memset(tss.bitmap, 0, sizeof tss.bitmap);
    gdt_set(TSS_MAIN, descriptor((word)&tss, sizeof tss - 1, P | T_TSS32, 0));
    tss_reload();
    tss.iomap = 0x68;
    for (unsigned vm = 0; vm < 2; vm++)
        for (unsigned i = 0; i < sizeof ports / 2; i++)
            for (unsigned size = 1; size <= 4; size *= 2)
                for (unsigned bit = 0; bit < 8; bit++) {
                    const unsigned port = ports[i], n = port + bit - 2;
                    memset(tss.bitmap, 0, sizeof tss.bitmap);
                    tss.bitmap[8192] = 0xff;
                    tss.bitmap[n / 8] |= (uint8_t)(1 << n % 8);
                    bool ok = !(n >= port && n < port + size);
                    if (port + size > 0x10000)
                        ok = false; /* the byte of ones behind the bitmap */
                    at(vm ? VM86 : RING3);
                    ctx.flags |= vm ? 0x3000 : 0;
                    in = (struct regs){.dx = port};
                    if (vm) {
                        if (size == 1)
                            TRY16("inb %%dx, %%al");
                        else if (size == 2)
                            TRY16("inw %%dx, %%ax");
                        else
                            TRY16("inl %%dx, %%eax");
                    } else if (size == 1)
                        TRY("inb %%dx, %%al");
                    else if (size == 2)
                        TRY("inw %%dx, %%ax");
                    else
                        TRY("inl %%dx, %%eax");
                    if (ok)
                        expect_done("vm %u port %x size %u, bit of %x set", vm, port, size, n);
                    else
                        expect_fault(GP, 0, "vm %u port %x size %u, bit of %x set", vm, port, size,
                                     n);
                }
    memset(tss.bitmap, 0, sizeof tss.bitmap);
    at(RING3);
    in = (struct regs){.dx = 0x80, .di = LOW_DATA, .si = LOW_DATA, .cx = 2};
    TRY("inb $0x80, %%al\n outb %%al, $0x80\n insb\n outsb\n rep insb\n rep outsb");
    expect_done("IN, OUT, INS, OUTS");
    tss.bitmap[0x80 / 8] = 1;
    TRY("insb");
    expect_fault(GP, 0, "insb");
    TRY("outsb");
    expect_fault(GP, 0, "outsb");
    TRY("outb %%al, $0x80");
    expect_fault(GP, 0, "outb");
    /* the limit decides what there is of it */
    tss.bitmap[0x80 / 8] = 0;
    static const struct {
        unsigned limit, port;
        bool ok;
    } cut[] = {{0x68 + 0x11, 0x80, true},
               {0x68 + 0x10, 0x80, false},
               {0x68 + 0x10, 0x78, true},
               {0x67, 0, false},
               {0x66, 0, false},
               {0x68, 0, false},
               {0x69, 0, true}};
    for (unsigned i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        gdt_set(TSS_MAIN, descriptor((word)&tss, cut[i].limit, P | T_TSS32, 0));
        tss_reload();
        in.dx = cut[i].port;
        TRY("inb %%dx, %%al");
        if (cut[i].ok)
            expect_done("limit %x, port %x", cut[i].limit, cut[i].port);
        else
            expect_fault(GP, 0, "limit %x, port %x", cut[i].limit, cut[i].port);
    }
    gdt_set(TSS_MAIN, descriptor((word)&tss, sizeof tss - 1, P | T_TSS32, 0));
    tss_reload();
    tss.iomap = 0xfff0;
    TRY("inb %%dx, %%al");
    expect_fault(GP, 0, "the bitmap beyond the limit");
    tss.iomap = 0x68;
    /* a 16-bit TSS has none */
    static struct tss16 small = {.stack[0] = {.ss = SLOT(24), .sp = 0x1000}};
    static uint8_t stack[4096];
    gdt_set(SLOT(24), descriptor((word)stack, 0xffff, P | T_RW, 0));
    gdt_set(SLOT(25), descriptor((word)&small, 0x2b, P | T_TSS16, 0));
    asm volatile("ltr %w0" ::"r"(SLOT(25)));
    TRY("inb $0x80, %%al");
    expect_fault(GP, 0, "a 16-bit TSS");
    gdt_set(TSS_MAIN, descriptor((word)&tss, 0x67, P | T_TSS32, 0));
    tss_reload();
}

static void faults(void)
{
    at(VM86);
    ctx.flags = 0x23002;
    in = (struct regs){.cx = 0};
    TRY16("divw %%cx");
    expect_fault(DE, 0, "div");
    check_eq(last.flags & 0x20000, 0x20000, "VM in the frame");
    check_eq(last.flags & 0x10000, 0x10000, "RF in the frame of a fault");
    TRY16("ud2");
    expect_fault(UD, 0, "ud2");
    ctx.flags |= 0x100;
    write_dr6(0xffff0ff0);
    TRY16("nop\n nop");
    expect_at(DB, 0, 1, "single step");
    check_eq(last.flags & 0x10000, 0, "RF is clear in the frame of a trap");
    TRY16("movw %%ax, %%ss\n nop\n nop");
    expect_at(DB, 0, 3, "mov ss");
    ctx.flags &= ~0x100u;
    const word c0 = cr0();
    write_cr0(c0 | 1 << 18);
    ctx.flags |= 1 << 18;
    in.bx = 0xd001;
    TRY16("movw (%%bx), %%ax");
    expect_fault(AC, 0, "alignment");
    write_cr0(c0);
}

/* PUSHA as in real mode; IRET to beyond 64 KiB. */
static void stack_ends(void)
{
    at(VM86);
    ctx.flags = 0x23002;
    for (unsigned sp = 7; sp <= 17; sp += 2) {
        ctx.sp = sp;
        TRY16("pusha");
        if (sp <= 15)
            expect_fault(GP, 0, "pusha with SP %u", sp);
        else
            expect_done("pusha with SP %u", sp);
    }
    at(VM86);
    ctx.flags = 0x23002;
    TRY16("pushl $2\n pushl $0\n pushl $0x10000\n iretl");
    expect_at(GP, 0, 12, "iret beyond 64 KiB");
    check_eq(last.sp, LOW_STACK - 12, "iret: SP");
    TRY16("pushl $0\n pushl $0x10000\n lretl");
    expect_at(GP, 0, 9, "lret beyond 64 KiB");
}

/* A task in virtual-8086 mode. */
static void task(void)
{
    static struct tss other;
    static struct {
        uint32_t offset;
        uint16_t sel;
    } __attribute__((packed)) target = {0, SLOT(26)};
    extern uint8_t land[];
    memcpy((void *)LOW_CODE, land, 2);
    at(RING0);
    memset(&other, 0, sizeof other);
    other.eip = LOW_CODE & 0xff;
    other.seg[1].sel = LOW_CODE >> 4;
    other.seg[2].sel = 0x1234;
    other.seg[3].sel = 0x5678;
    other.reg[4] = 0x100;
    other.eflags = 0x23002;
    other.stack[0].esp = (word)entry_stack_top;
    other.stack[0].ss = KDATA;
    gdt_set(SLOT(26), descriptor((word)&other, 0x67, P | T_TSS32, 0));
    in = (struct regs){.di = (word)&target};
    TRY("ljmp *(%%edi)");
    check_eq(last.vector, DONE, "arrived");
    check_eq(last.cs, LOW_CODE >> 4, "CS");
    check_eq(last.ip, (LOW_CODE & 0xff) + 2, "IP");
    check_eq(last.ss, 0x1234, "SS");
    check_eq(last.frame[6] & 0xffff, 0x5678, "DS");
    check_eq(last.flags & 0x20000, 0x20000, "VM");
    asm volatile("clts");
    tss_reload();
}

const struct test tests[] = {
    {"enter_and_leave", enter_and_leave}, {"sensitive", sensitive}, {"gates", gates},
    {"iret_checks", iret_checks},         {"io_bitmap", io_bitmap}, {"faults", faults},
    {"stack_ends", stack_ends},           {"task", task},           {NULL, NULL},
};
