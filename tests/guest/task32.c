/* Hardware tasks: every way to switch, 16- and 32-bit TSS, and what may fail on the way. */
#include "rt.h"

const char image_name[] = "task32";

enum { EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI };
enum { ES, CS, SS_, DS, FS, GS };
#define TASK SLOT(20)
#define GATE SLOT(21)

static struct tss other __attribute__((aligned(128)));
static struct tss16 other16 __attribute__((aligned(64)));
static uint8_t task_stack[4096];
static uint32_t code_base;
static struct {
    uint32_t offset;
    uint16_t sel;
} __attribute__((packed)) target;

/* The other task's code: says that it was reached; then again; then goes back. */
extern uint8_t task_land[], task_iret[], task_iret_end[];
asm(".pushsection .snip, \"ax\"\n"
    "task_land: int $0x80\n"
    "task_iret: iretl\n"
    "task_iret_end: int $0x81\n .popsection");

static void task_reset(bool wide, const uint8_t *code)
{
    memset(&other, 0, sizeof other);
    memset(&other16, 0, sizeof other16);
    code_base = wide ? 0 : (uint32_t)code - 0x40;
    gdt_set(SLOT(22), descriptor(code_base, 0xfffff, P | T_XR, F_G | F_D));
    gdt_set(SLOT(23), descriptor(0, 0xfffff, P | T_RW, F_G | F_D));
    for (unsigned i = 0; i < 8; i++) {
        other.reg[i] = 0x1000 + i;
        other16.reg[i] = (uint16_t)(0x2000 + i);
    }
    other.reg[ESP] = (uint32_t)task_stack + sizeof task_stack;
    other.eip = (uint32_t)code;
    other.eflags = 0x8d7;
    other.iomap = sizeof other;
    for (unsigned i = 0; i < 6; i++)
        other.seg[i].sel = i == CS ? SLOT(22) : SLOT(23);
    /* a 16-bit stack pointer needs a stack with a base */
    gdt_set(SLOT(24), descriptor((uint32_t)task_stack, 0xffff, P | T_RW, 0));
    other16.reg[ESP] = 0x1000;
    other16.ip = 0x40;
    other16.flags = 0x8d7;
    for (unsigned i = 0; i < 4; i++)
        other16.seg[i] = i == CS ? SLOT(22) : i == SS_ ? SLOT(24) : SLOT(23);
    if (wide)
        gdt_set(TASK, descriptor((uint32_t)&other, 0x67, P | DPL(3) | T_TSS32, 0));
    else
        gdt_set(TASK, descriptor((uint32_t)&other16, 0x2b, P | DPL(3) | T_TSS16, 0));
    gdt_set(GATE, gate(TASK, 0, P | DPL(3) | T_TASK, 0));
    idt_set(0x42, TASK, 0, P | DPL(3) | T_TASK, 0);
    idt_set(UD, TASK, 0, P | T_TASK, 0);
    idt_set(GP, KCODE32, stub_address(GP), P | DPL(3) | T_INT32, 0);
    target.offset = 0;
    memset((uint8_t *)&tss + 0x20, 0xee, 0x28);
    tss.link = 0xeeee;
}

/* Back in the runtime, whichever task it is: TSS_MAIN is current again. */
static void home(void)
{
    asm volatile("clts");
    gdt[TASK / 8] &= ~(UINT64_C(2) << 40);
    tss_reload();
    idt_default(UD);
    asm volatile("lldt %w0" ::"r"(0));
}

static unsigned type_of(unsigned sel)
{
    return (unsigned)(gdt_get(sel) >> 40) & 0x1f;
}
static unsigned tr(void)
{
    unsigned v;
    asm volatile("str %0" : "=r"(v));
    return v & 0xffff;
}

/* Everything a switch should have done, the way it was made. */
enum how { JMP, CALL, INT, EXC };
static const char *const how_names[] = {"jmp", "call", "int", "exception"};

static void switched(enum how how, bool wide, unsigned via)
{
    const char *n = how_names[how];
    const bool nested = how != JMP;
    const uint32_t land = (uint32_t)task_land - code_base;
    check_eq(tr() & ~3, TASK, "%s %u: TR", n, wide);
    check(cr0() & 8, "%s: CR0.TS", n);
    check_eq(last.vector, DONE, "%s: arrived", n);
    check_eq(last.ip, land + 2, "%s: EIP", n);
    check_eq(last.cs, SLOT(22), "%s: CS", n);
    check_eq(last.flags, 0x8d7 | (nested ? 0x4000 : 0), "%s: EFLAGS", n);
    const uint32_t hi = wide ? 0 : last.r.ax & 0xffff0000, base = wide ? 0x1000 : 0x2000;
    check_eq(last.r.ax, hi | (base + EAX), "%s: EAX", n);
    check_eq(last.r.cx, hi | (base + ECX), "%s: ECX", n);
    check_eq(last.r.di, hi | (base + EDI), "%s: EDI", n);
    check_eq(last.r.bp, hi | (base + EBP), "%s: EBP", n);
    check_eq(last.ds, SLOT(23), "%s: DS", n);
    check_eq(last.es, SLOT(23), "%s: ES", n);
    check_eq(last.fs, wide ? SLOT(23) : 0, "%s: FS", n);
    check_eq(type_of(TASK) & 2, 2, "%s: the new task is busy", n);
    check_eq(type_of(TSS_MAIN) & 2, nested ? 2 : 0, "%s: the old task's busy bit", n);
    const uint16_t link = wide ? other.link : other16.link;
    check_eq(link, nested ? TSS_MAIN : 0, "%s: the link", n);
    /* the old task's image */
    check_eq(tss.link, 0xeeee, "%s: the old link is left alone", n);
    check_eq(tss.eip, how == EXC ? last.start : last.end, "%s: saved EIP", n);
    check_eq(tss.reg[EAX], 0xaaaa0001, "%s: saved EAX", n);
    check_eq(tss.reg[EBX], 0xaaaa0002, "%s: saved EBX", n);
    check_eq(tss.reg[ESP], ctx.sp, "%s: saved ESP", n);
    check_eq(tss.seg[CS].sel, ctx.cs, "%s: saved CS", n);
    check_eq(tss.seg[SS_].sel, ctx.ss, "%s: saved SS", n);
    check_eq(tss.seg[FS].sel, ctx.fs, "%s: saved FS", n);
    check_eq(tss.eflags, ctx.flags | (how == EXC ? 0x10000 : 0), "%s: saved EFLAGS", n);
    (void)via;
}

static void switches(void)
{
    for (unsigned wide = 0; wide < 2; wide++)
        for (enum level l = RING0; l <= RING3; l += 3)
            for (unsigned via = 0; via < 2; via++) {
                at(l);
                ctx.flags = 0x3093;
                in = (struct regs){.ax = 0xaaaa0001, .bx = 0xaaaa0002, .di = (word)&target};
                target.sel = (uint16_t)((via ? GATE : TASK) | l);
                task_reset(wide, task_land);
                TRY("ljmp *(%%edi)");
                switched(JMP, wide, via);
                home();
                task_reset(wide, task_land);
                TRY("lcall *(%%edi)");
                switched(CALL, wide, via);
                home();
                task_reset(wide, task_land);
                TRY("int $0x42");
                switched(INT, wide, via);
                home();
                task_reset(wide, task_land);
                TRY("ud2");
                switched(EXC, wide, via);
                home();
            }
}

/* CALL and IRET, and the task goes on behind its IRET the next time. */
static void nested(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        at(RING0);
        task_reset(wide, task_iret);
        target.sel = TASK;
        in = (struct regs){.ax = 0x77, .di = (word)&target, .si = 0x1234};
        ctx.flags = 0x97;
        TRY("lcall *(%%edi)");
        expect_done("call and iret, %u", wide);
        check_eq(last.flags, 0x97, "flags are back");
        check_eq(last.r.si, 0x1234, "ESI is back");
        check_eq(tr(), TSS_MAIN, "TR is back");
        check_eq(type_of(TASK) & 2, 0, "the other task is free again");
        check_eq(type_of(TSS_MAIN) & 2, 2, "and this one busy");
        const uint32_t flags = wide ? other.eflags : other16.flags;
        check_eq(flags & 0x4000, 0, "NT is off in what was saved");
        check_eq(wide ? other.eip : other16.ip, (uint32_t)task_iret_end - code_base,
                 "it goes on behind its IRET");
        TRY("lcall *(%%edi)");
        check_eq(last.vector, 0x81, "there it is");
        home();
        /* a nested task by interrupt, which returns to where it was */
        task_reset(wide, task_iret);
        TRY("int $0x42");
        expect_done("int and iret, %u", wide);
        at(RING3);
        TRY("int $0x42");
        check_eq(last.vector, 0x81, "the second time it goes on behind its IRET");
        home();
        task_reset(wide, task_iret);
        at(RING3);
        TRY("int $0x42");
        expect_done("int from level 3 and back");
        check_eq(last.cs, UCODE32, "CS");
        check_eq(last.ss, UDATA, "SS");
        home();
    }
}

/* An exception with an error code leaves it on the new task's stack. */
static void error_codes(void)
{
    for (unsigned wide = 0; wide < 2; wide++) {
        at(RING3);
        task_reset(wide, task_land);
        idt_set(GP, TASK, 0, P | T_TASK, 0);
        in.ax = 0x7f8;
        TRY("mov %%ax, %%ds");
        check_eq(last.vector, DONE, "#GP through a task");
        const uint8_t *top = task_stack + sizeof task_stack;
        if (wide) {
            check_eq(last.sp, (word)top - 4, "its stack");
            check_eq(*(uint32_t *)(top - 4), 0x7f8, "the error code");
        } else {
            check_eq(*(uint16_t *)(top - 2), 0x7f8, "the error code");
        }
        check_eq(tss.eip, last.start, "a fault's EIP");
        home();
        idt_default(GP);
    }
}

/* What keeps a switch from happening: faults of the old task. */
static void refused(void)
{
    for (unsigned wide = 0; wide < 2; wide++)
        for (unsigned dpl = 0; dpl < 4; dpl++)
            for (unsigned rpl = 0; rpl < 4; rpl++)
                for (unsigned cpl = 0; cpl < 4; cpl++)
                    for (unsigned k = 0; k < 4; k++) {
                        const bool busy = k & 1;
                        const unsigned p = k & 2 ? P : 0;
                        unsigned v = 0;
                        if (dpl < cpl || dpl < rpl || busy)
                            v = GP;
                        else if (!p)
                            v = NP;
                        task_reset(wide, task_land);
                        idt_default(UD);
                        uint64_t d = gdt_get(TASK) & ~((uint64_t)(P | DPL(3) | 2) << 40);
                        d |= (uint64_t)(p | DPL(dpl) | (busy ? 2 : 0)) << 40;
                        gdt_set(TASK, d);
                        at(cpl);
                        target.sel = (uint16_t)(TASK | rpl);
                        in = (struct regs){.di = (word)&target};
                        TRY("ljmp *(%%edi)");
                        if (v)
                            expect_fault(v, TASK, "jmp to a TSS, DPL %u RPL %u CPL %u busy %u P %x",
                                         dpl, rpl, cpl, busy, p);
                        else
                            check_eq(last.vector, DONE, "jmp to a TSS, DPL %u RPL %u CPL %u", dpl,
                                     rpl, cpl);
                        if (!v) {
                            home();
                            continue;
                        }
                        TRY("lcall *(%%edi)");
                        expect_fault(v, TASK, "call to a TSS, DPL %u RPL %u CPL %u busy %u P %x",
                                     dpl, rpl, cpl, busy, p);
                        /* through a gate only the gate's DPL counts */
                        target.sel = (uint16_t)(GATE | rpl);
                        TRY("lcall *(%%edi)");
                        if (busy)
                            expect_fault(GP, TASK, "gate to a busy TSS");
                        else if (!p)
                            expect_fault(NP, TASK, "gate to an absent TSS");
                        else
                            check_eq(last.vector, DONE, "gate to a TSS of DPL %u", dpl);
                        if (!busy && p)
                            home();
                        gdt_set(TASK, d);
                        TRY("int $0x42");
                        if (busy)
                            expect_fault(GP, TASK, "int to a busy TSS");
                        else if (!p)
                            expect_fault(NP, TASK, "int to an absent TSS");
                        if (!busy && p) {
                            home();
                            continue;
                        }
                        idt_set(UD, TASK | rpl, 0, P | T_TASK, 0);
                        TRY("ud2");
                        expect_fault(busy ? GP : NP, TASK | 1, "exception to a TSS: EXT");
                        idt_default(UD);
                    }
    home();
    /* a TSS is in the GDT */
    task_reset(1, task_land);
    ldt[1] = gdt_get(TASK);
    gdt_set(SLOT(34), descriptor((word)ldt, 0xff, P | T_LDT, 0));
    at(RING0);
    target.sel = 0xc;
    in = (struct regs){.di = (word)&target, .ax = SLOT(34)};
    TRY("lldt %%ax\n ljmp *(%%edi)");
    check_eq(last.vector, GP, "jmp to a TSS in the LDT");
    check_eq(last.error, 0xc, "its selector");
    TRY("lldt %%ax\n lcall *(%%edi)");
    check_eq(last.vector, GP, "call to a TSS in the LDT");
    home();
    /* gates */
    at(RING3);
    target.sel = GATE | 3;
    in = (struct regs){.di = (word)&target};
    task_reset(1, task_land);
    idt_default(UD);
    gdt_set(GATE, gate(TASK, 0, P | DPL(2) | T_TASK, 0));
    TRY("lcall *(%%edi)");
    expect_fault(GP, GATE, "gate of an inner DPL");
    gdt_set(GATE, gate(TASK, 0, DPL(3) | T_TASK, 0));
    TRY("lcall *(%%edi)");
    expect_fault(NP, GATE, "absent gate");
    static const uint16_t bad[] = {0, 3, KDATA, 0x7f8, 4, 0xc, UCODE32, GATE};
    for (unsigned i = 0; i < sizeof bad / 2; i++) {
        gdt_set(GATE, gate(bad[i], 0, P | DPL(3) | T_TASK, 0));
        TRY("ljmp *(%%edi)");
        expect_fault(GP, bad[i] & ~3u, "gate to selector %x", bad[i]);
        idt_set(0x42, bad[i], 0, P | DPL(3) | T_TASK, 0);
        TRY("int $0x42");
        expect_fault(GP, bad[i] & ~3u, "int through a task gate to selector %x", bad[i]);
    }
    /* limits */
    task_reset(1, task_land);
    idt_default(UD);
    target.sel = TASK | 3;
    gdt_set(TASK, descriptor((uint32_t)&other, 0x66, P | DPL(3) | T_TSS32, 0));
    TRY("lcall *(%%edi)");
    expect_fault(TS, TASK, "a 32-bit TSS of 103 bytes");
    gdt_set(TASK, descriptor((uint32_t)&other16, 0x2a, P | DPL(3) | T_TSS16, 0));
    TRY("lcall *(%%edi)");
    expect_fault(TS, TASK, "a 16-bit TSS of 43 bytes");
    check_eq(tr(), TSS_MAIN, "still the old task");
}

/* IRET with NT set. */
static void iret_nt(void)
{
    task_reset(1, task_land);
    idt_default(UD);
    at(RING0);
    ctx.flags = 0x4002;
    static const uint16_t bad[] = {0, 4, KDATA, 0x7f8, TASK};
    for (unsigned i = 0; i < sizeof bad / 2; i++) {
        tss.link = bad[i];
        TRY("iretl");
        expect_fault(TS, bad[i] & ~3u, "iret to the task %x", bad[i]);
    }
    gdt[TASK / 8] |= UINT64_C(2) << 40;
    gdt[TASK / 8] &= ~(UINT64_C(0x80) << 40);
    tss.link = TASK;
    TRY("iretl");
    expect_fault(NP, TASK, "iret to an absent task");
    task_reset(1, task_land);
    idt_default(UD);
    gdt[TASK / 8] |= UINT64_C(2) << 40;
    tss.link = TASK;
    TRY("iretl");
    check_eq(last.vector, DONE, "iret to a busy task");
    check_eq(tss.eflags & 0x4000, 0, "NT is off in the task it left");
    check_eq(type_of(TSS_MAIN) & 2, 0, "which is free now");
    check_eq(other.link, 0, "no link is made");
    check_eq(last.flags, 0x8d7, "flags of the new task");
    home();
    tss.link = 0;
}

/* Faults behind the switch: they are the new task's, and CS:EIP says so. */
static void bad_images(void)
{
    enum { N_LDT = 6 };
    static const struct {
        uint8_t seg;
        uint16_t sel;
        uint8_t vector;
        const char *what;
    } cases[] = {
        {CS, 0, TS, "null CS"},
        {CS, 0x7f8, TS, "CS beyond the GDT"},
        {CS, KDATA, TS, "CS is data"},
        {CS, UCODE32 & ~3, TS, "CS of another DPL"},
        {CS, SLOT(30), NP, "CS absent"},
        {CS, 4, TS, "CS in no LDT"},
        {SS_, 0, TS, "null SS"},
        {SS_, 0x7f8, TS, "SS beyond the GDT"},
        {SS_, KCODE32, TS, "SS is code"},
        {SS_, SLOT(31), TS, "SS read-only"},
        {SS_, UDATA, TS, "SS of another level"},
        {SS_, KDATA | 1, TS, "SS with another RPL"},
        {SS_, SLOT(32), SS, "SS absent"},
        {DS, 0x7f8, TS, "DS beyond the GDT"},
        {DS, TSS_MAIN, TS, "DS is a TSS"},
        {DS, SLOT(33), TS, "DS execute-only"},
        {DS, SLOT(32), NP, "DS absent"},
        {DS, KDATA | 3, TS, "DS with RPL above DPL"},
        {ES, 0x7f8, TS, "ES"},
        {FS, 0x7f8, TS, "FS"},
        {GS, SLOT(32), NP, "GS absent"},
        {N_LDT, KDATA, TS, "LDT is data"},
        {N_LDT, 0x7f8, TS, "LDT beyond the GDT"},
        {N_LDT, 0xc, TS, "LDT in the LDT"},
        {N_LDT, SLOT(34), TS, "LDT absent"},
    };
    gdt_set(SLOT(30), descriptor(0, 0xfffff, T_XR, F_G | F_D));
    gdt_set(SLOT(31), descriptor(0, 0xfffff, P | T_RO, F_G | F_D));
    gdt_set(SLOT(32), descriptor(0, 0xfffff, T_RW, F_G | F_D));
    gdt_set(SLOT(33), descriptor(0, 0xfffff, P | T_XO, F_G | F_D));
    gdt_set(SLOT(34), descriptor((word)ldt, 0xff, T_LDT, 0));
    /* The handlers of these run on what stack there is, which may be none: a task of their own. */
    for (unsigned how = 0; how < 2; how++)
        for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            task_reset(1, task_land);
            idt_default(UD);
            extern uint8_t df_entry[];
            (void)df_entry;
            for (unsigned v = TS; v <= GP; v++)
                idt_set(v, SLOT(35), 0, P | T_TASK, 0);
            static struct tss catcher;
            extern uint8_t caught[];
            asm volatile(
                ".pushsection .snip, \"ax\"\n caught: popl %%eax\n int $0x80\n .popsection" ::);
            memset(&catcher, 0, sizeof catcher);
            catcher.eip = (uint32_t)caught;
            catcher.eflags = 2;
            catcher.reg[ESP] = (uint32_t)test_stack_top;
            for (unsigned s = 0; s < 4; s++)
                catcher.seg[s].sel = s == CS ? KCODE32 : KDATA;
            gdt_set(SLOT(35), descriptor((uint32_t)&catcher, 0x67, P | T_TSS32, 0));
            if (cases[i].seg == N_LDT)
                other.ldt = cases[i].sel;
            else
                other.seg[cases[i].seg].sel = cases[i].sel;
            at(how ? RING3 : RING0);
            in = (struct regs){.di = (word)&target};
            target.sel = TASK | 3;
            if (how)
                TRY("int $0x42");
            else
                TRY("ljmp *(%%edi)");
            check_eq(last.vector, DONE, "%s: caught", cases[i].what);
            check_eq(last.r.ax, (cases[i].sel & ~3u), "%s: error code", cases[i].what);
            check_eq(catcher.link & ~3, TASK, "%s: the fault is the new task's", cases[i].what);
            check_eq(other.eip, (word)task_land, "%s: at its first instruction", cases[i].what);
            check_eq(other.reg[EAX], 0x1000, "%s: with its registers", cases[i].what);
            /* which vector: only one gate at a time would tell; take the others away */
            for (unsigned v = TS; v <= GP; v++)
                idt_default(v);
            home();
            task_reset(1, task_land);
            idt_default(UD);
            for (unsigned v = TS; v <= GP; v++)
                idt[v] = 0;
            idt_set(cases[i].vector, SLOT(35), 0, P | T_TASK, 0);
            if (cases[i].seg == N_LDT)
                other.ldt = cases[i].sel;
            else
                other.seg[cases[i].seg].sel = cases[i].sel;
            gdt_set(SLOT(35), descriptor((uint32_t)&catcher, 0x67, P | T_TSS32, 0));
            catcher.eip = (uint32_t)caught;
            catcher.reg[ESP] = (uint32_t)test_stack_top;
            if (how)
                TRY("int $0x42");
            else
                TRY("ljmp *(%%edi)");
            check_eq(last.vector, DONE, "%s: the vector is %x", cases[i].what, cases[i].vector);
            for (unsigned v = TS; v <= GP; v++)
                idt_default(v);
            home();
        }
}

/* Where a new task may begin: within its code segment, at a level that RPL and DPL allow. */
static void entries(void)
{
    static struct tss catcher;
    extern uint8_t caught[];
    for (unsigned k = 0; k < 5; k++) {
        task_reset(1, task_land);
        idt_default(UD);
        /* a handler on a stack of its own: the catcher of bad_images */
        memset(&catcher, 0, sizeof catcher);
        catcher.eip = (uint32_t)caught;
        catcher.eflags = 2;
        catcher.reg[ESP] = (uint32_t)test_stack_top;
        for (unsigned s = 0; s < 4; s++)
            catcher.seg[s].sel = s == CS ? KCODE32 : KDATA;
        gdt_set(SLOT(35), descriptor((uint32_t)&catcher, 0x67, P | T_TSS32, 0));
        for (unsigned v = TS; v <= GP; v++)
            idt[v] = 0;
        idt_set(k == 0 ? GP : TS, SLOT(35), 0, P | T_TASK, 0);
        at(RING0);
        in = (struct regs){.di = (word)&target};
        target.sel = TASK;
        const uint32_t land = (uint32_t)task_land;
        unsigned error = SLOT(36);
        bool ok = false;
        switch (k) {
        case 0: /* one byte short */
            gdt_set(SLOT(36), descriptor(land - 0x100, 0xff, P | T_XR, F_D));
            other.seg[CS].sel = SLOT(36);
            other.eip = 0x100;
            error = 0;
            break;
        case 1:
            gdt_set(SLOT(36), descriptor(land - 0x100, 0x101, P | T_XR, F_D));
            other.seg[CS].sel = SLOT(36);
            other.eip = 0x100;
            ok = true;
            break;
        case 2: /* conforming: DPL above RPL */
            gdt_set(SLOT(36), descriptor(0, 0xfffff, P | DPL(1) | T_XR_CONF, F_G | F_D));
            other.seg[CS].sel = SLOT(36);
            break;
        case 3: /* conforming of level 0, entered at level 3 */
        case 4: /* and not conforming */
            gdt_set(SLOT(36), descriptor(0, 0xfffff, P | (k == 3 ? T_XR_CONF : T_XR), F_G | F_D));
            for (unsigned s = 0; s < 6; s++)
                other.seg[s].sel = s == CS ? SLOT(36) | 3 : UDATA;
            other.stack[0].esp = (word)entry_stack_top;
            other.stack[0].ss = KDATA;
            ok = k == 3;
            break;
        }
        TRY("ljmp *(%%edi)");
        check_eq(last.vector, DONE, "entry %u", k);
        if (ok) {
            check_eq(last.cs, other.seg[CS].sel, "entry %u: CS", k);
        } else {
            check_eq(last.r.ax, error, "entry %u: error code", k);
            check_eq(catcher.link & ~3, TASK, "entry %u: the fault is the new task's", k);
        }
        for (unsigned v = TS; v <= GP; v++)
            idt_default(v);
        home();
    }
}

/* The T bit: a debug trap before the first instruction. */
static void trap_bit(void)
{
    at(RING0);
    task_reset(1, task_land);
    idt_default(UD);
    other.trap = 1;
    write_dr6(0xffff0ff0);
    in = (struct regs){.di = (word)&target};
    target.sel = TASK;
    TRY("ljmp *(%%edi)");
    check_eq(last.vector, DB, "T: #DB");
    check_eq(last.ip, (word)task_land, "T: before the first instruction");
    check_eq(last.dr6 & 0xe00f, 0x8000, "T: DR6.BT");
    home();
    /* the switch clears the local breakpoints */
    task_reset(1, task_land);
    idt_default(UD);
    write_dr0(0x1000);
    write_dr7(0x400 | 0x3ff);
    TRY("ljmp *(%%edi)");
    check_eq(dr7() & 0x3ff, 0x2aa, "L0-L3 and LE are off, G0-G3 and GE stay");
    write_dr7(0x400);
    home();
}

/* The double-fault task, and stacks by TSS of either size. */
static void inner_stacks(void)
{
    static struct tss16 small;
    at(RING3);
    small.stack[0].sp = 0x1000;
    small.stack[0].ss = SLOT(24);
    gdt_set(SLOT(24), descriptor((uint32_t)task_stack, 0xffff, P | T_RW, 0));
    gdt_set(SLOT(25), descriptor((uint32_t)&small, 0x2b, P | T_TSS16, 0));
    asm volatile("ltr %w0" ::"r"(SLOT(25)));
    TRY("nop");
    check_eq(last.vector, DONE, "a stack from a 16-bit TSS");
    uint32_t *top = (uint32_t *)(task_stack + 0x1000);
    check_eq(top[-1], UDATA, "SS on it");
    check_eq(top[-4], UCODE32, "CS on it");
    gdt_set(SLOT(25), descriptor((uint32_t)&small, 4, P | T_TSS16, 0));
    gdt_set(SLOT(25), descriptor((uint32_t)&small, 0x2b, P | T_TSS16, 0));
    tss_reload();
    TRY("nop");
    check_eq(last.vector, DONE, "and back");
}

const struct test tests[] = {
    {"switches", switches}, {"nested", nested},     {"error_codes", error_codes},
    {"refused", refused},   {"iret_nt", iret_nt},   {"bad_images", bad_images},
    {"entries", entries},   {"trap_bit", trap_bit}, {"inner_stacks", inner_stacks},
    {NULL, NULL},
};
