/* Exceptions of 32-bit protected mode: vectors, error codes, priorities, what they leave behind. */
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
    at(RING0);
    in = (struct regs){.ax = 0x7f80, .cx = 0xff};
    TRY("idivb %%cl");
    expect_fault(DE, 0, "idivb overflow");
    in = (struct regs){.ax = 0x100, .cx = 1};
    TRY("divb %%cl");
    expect_fault(DE, 0, "divb overflow");
    in = (struct regs){.ax = 0xff80, .cx = 1};
    TRY("idivb %%cl");
    expect_done("idivb: -128 fits");
    in = (struct regs){.ax = 0x8000, .dx = 0xffff, .cx = 1};
    TRY("idivw %%cx");
    expect_done("idivw: -32768 fits");
}

static void software(void)
{
    for (enum level l = RING0; l <= RING3; l++) {
        at(l);
        TRY("int3");
        expect_trap(BP, "int3, level %u", l);
        TRY("int $3");
        expect_trap(BP, "int 3, level %u", l);
        TRY("int $0x41");
        expect_trap(0x41, "int 41h, level %u", l);
        TRY("into");
        expect_done("into without OF");
        ctx.flags = 0x802;
        TRY("into");
        expect_trap(OF, "into with OF, level %u", l);
        ctx.flags = 2;
        TRY("int1");
        expect_trap(DB, "int1, level %u", l);
    }
    /* gates a program may not use */
    for (enum level l = RING0; l <= RING3; l++)
        for (unsigned dpl = 0; dpl < 4; dpl++) {
            at(l);
            idt_set(0x41, KCODE32, stub_address(0x41), P | DPL(dpl) | T_INT32, 0);
            TRY("int $0x41");
            if (dpl < l)
                expect_fault(GP, 0x41 * 8 + 2, "int through a gate of DPL %u at level %u", dpl, l);
            else
                expect_trap(0x41, "int through a gate of DPL %u at level %u", dpl, l);
            idt_set(BP, KCODE32, stub_address(BP), P | DPL(dpl) | T_TRAP32, 0);
            TRY("int3");
            if (dpl < l)
                expect_fault(GP, BP * 8 + 2, "int3, gate DPL %u, level %u", dpl, l);
            else
                expect_trap(BP, "int3, gate DPL %u, level %u", dpl, l);
            idt_set(OF, KCODE32, stub_address(OF), P | DPL(dpl) | T_TRAP32, 0);
            ctx.flags = 0x802;
            TRY("into");
            if (dpl < l)
                expect_fault(GP, OF * 8 + 2, "into, gate DPL %u, level %u", dpl, l);
            else
                expect_trap(OF, "into, gate DPL %u, level %u", dpl, l);
            ctx.flags = 2;
            idt_set(DB, KCODE32, stub_address(DB), P | DPL(dpl) | T_TRAP32, 0);
            TRY("int1");
            expect_trap(DB, "int1 ignores the gate's DPL %u, level %u", dpl, l);
            idt_set(UD, KCODE32, stub_address(UD), P | DPL(dpl) | T_INT32, 0);
            TRY("ud2");
            expect_fault(UD, 0, "exceptions ignore the gate's DPL %u, level %u", dpl, l);
        }
}

/* What is wrong with a gate, through INT n (EXT clear) and through an exception (EXT set). */
static void bad_gates(void)
{
    const unsigned n = 0x41;
    for (unsigned type = 0; type < 32; type++) {
        const bool is_gate = type == T_INT16 || type == T_INT32 || type == T_TRAP16 ||
                             type == T_TRAP32 || type == T_TASK;
        if (is_gate)
            continue;
        for (unsigned p = 0; p <= P; p += P) {
            at(type & 1 ? RING3 : RING0);
            idt_set(n, KCODE32, stub_address(n), p | DPL(3) | type, 0);
            TRY("int $0x41");
            expect_fault(GP, n * 8 + 2, "int through a gate of type %x P %x", type, p);
            idt_set(UD, KCODE32, stub_address(UD), p | DPL(3) | type, 0);
            TRY("ud2");
            expect_fault(GP, UD * 8 + 3, "#UD through a gate of type %x P %x", type, p);
        }
    }
    static const uint8_t types[] = {T_INT16, T_INT32, T_TRAP16, T_TRAP32, T_TASK};
    for (unsigned i = 0; i < sizeof types; i++) {
        at(RING3);
        idt_set(n, KCODE32, stub_address(n), DPL(3) | types[i], 0);
        TRY("int $0x41");
        expect_fault(NP, n * 8 + 2, "int through an absent gate of type %x", types[i]);
        idt_set(n, KCODE32, stub_address(n), DPL(0) | types[i], 0);
        TRY("int $0x41");
        expect_fault(GP, n * 8 + 2, "int: DPL before P, type %x", types[i]);
        idt_set(UD, KCODE32, stub_address(UD), DPL(0) | types[i], 0);
        TRY("ud2");
        expect_fault(NP, UD * 8 + 3, "#UD through an absent gate of type %x", types[i]);
    }
    idt_default(n);
    idt_default(UD);
    /* the limit */
    at(RING3);
    lidt(idt, 0x81 * 8 - 1);
    TRY("int $0x81");
    expect_fault(GP, 0x81 * 8 + 2, "int beyond the limit");
    TRY("int $0xff");
    expect_fault(GP, 0xff * 8 + 2, "int 255 beyond the limit");
    lidt(idt, 0x82 * 8 - 2);
    TRY("int $0x81");
    expect_fault(GP, 0x81 * 8 + 2, "int: the limit one short");
    lidt(idt, 0x82 * 8 - 1);
    TRY("int $0x81");
    expect_trap(0x81, "int: the limit just enough");
    lidt(idt, 256 * 8 - 1);
}

/* The handler's code segment. */
static void handler_code(void)
{
    const unsigned n = 0x41, s = SLOT(0);
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        idt_set(n, 0, stub_address(n), P | DPL(3) | T_INT32, 0);
        idt_set(UD, 3, stub_address(UD), P | DPL(3) | T_INT32, 0);
        TRY("int $0x41");
        expect_fault(GP, 0, "int to a null CS, level %u", l);
        TRY("ud2");
        expect_fault(GP, 1, "#UD to a null CS, level %u", l);
        idt_set(n, 0x7f8, stub_address(n), P | DPL(3) | T_INT32, 0);
        idt_set(UD, 0x7fb, stub_address(UD), P | DPL(3) | T_INT32, 0);
        TRY("int $0x41");
        expect_fault(GP, 0x7f8, "int to a CS beyond the GDT, level %u", l);
        TRY("ud2");
        expect_fault(GP, 0x7f9, "#UD to a CS beyond the GDT, level %u", l);
        idt_set(n, 0xc, stub_address(n), P | DPL(3) | T_INT32, 0);
        TRY("int $0x41");
        expect_fault(GP, 0xc, "int to a CS in no LDT, level %u", l);
        idt_set(n, s, stub_address(n), P | DPL(3) | T_INT32, 0);
        idt_set(UD, s | 2, stub_address(UD), P | DPL(3) | T_INT32, 0);
        for (unsigned type = 0; type < 32; type++)
            for (unsigned dpl = 0; dpl < 4; dpl++)
                for (unsigned p = 0; p <= P; p += P) {
                    const bool code = (type & 0x18) == 0x18, conforming = code && (type & 4);
                    gdt_set(s, descriptor(0, 0xfffff, p | DPL(dpl) | type, F_G | F_D));
                    unsigned vector = 0;
                    if (!code || dpl > l)
                        vector = GP;
                    else if (!p)
                        vector = NP;
                    else if (dpl != 0 && dpl != 3)
                        continue; /* inner stacks, and ours cannot work there */
                    else if (dpl == 3 || (conforming && l))
                        continue;
                    TRY("int $0x41");
                    if (vector)
                        expect_fault(vector, s, "int: CS of type %x DPL %u P %x, level %u", type,
                                     dpl, p, l);
                    else
                        expect_trap(n, "int: CS of type %x DPL %u P %x, level %u", type, dpl, p, l);
                    TRY("ud2");
                    if (vector)
                        expect_fault(vector, s | 1, "#UD: CS of type %x DPL %u P %x, level %u",
                                     type, dpl, p, l);
                    else
                        expect_fault(UD, 0, "#UD: CS of type %x DPL %u P %x, level %u", type, dpl,
                                     p, l);
                }
        gdt_set(s, descriptor(0, 0xfffff, P | (T_XR & ~1), F_G | F_D));
        TRY("int $0x41");
        check_eq((gdt_get(s) >> 40) & 1, 1, "the accessed bit of the handler's CS");
        gdt_set(s, descriptor(0, 0xfff, P | T_XR, F_D));
        TRY("int $0x41");
        expect_fault(GP, 0, "int: offset beyond the handler's limit, level %u", l);
        TRY("ud2");
        expect_fault(GP, 1, "#UD: offset beyond the handler's limit, level %u", l);
    }
}

/* The stack that a handler of an inner level gets. */
static void handler_stack(void)
{
    const unsigned n = 0x41, s = SLOT(1);
    const struct tss keep = {.stack = {tss.stack[0], tss.stack[1], tss.stack[2]}};
    at(RING3);
    idt_set(n, SLOT(0), stub_address(n), P | DPL(3) | T_INT32, 0);
    idt_set(UD, SLOT(0), stub_address(UD), P | T_INT32, 0);
    gdt_set(SLOT(0), descriptor(0, 0xfffff, P | DPL(1) | T_XR, F_G | F_D));
    tss.stack[1].ss = 0;
    TRY("int $0x41");
    expect_fault(TS, 0, "null SS1");
    TRY("ud2");
    expect_fault(TS, 1, "null SS1, EXT");
    tss.stack[1].ss = 1;
    TRY("int $0x41");
    expect_fault(TS, 0, "null SS1 with RPL");
    tss.stack[1].ss = 0x7f9;
    TRY("int $0x41");
    expect_fault(TS, 0x7f8, "SS1 beyond the GDT");
    for (unsigned rpl = 0; rpl < 4; rpl++)
        for (unsigned type = 0; type < 32; type++)
            for (unsigned dpl = 0; dpl < 4; dpl++)
                for (unsigned p = 0; p <= P; p += P) {
                    const bool good = type == 0x12 || type == 0x13 || type == 0x16 || type == 0x17;
                    gdt_set(s,
                            descriptor(0, type & 4 ? 0 : 0xfffff, p | DPL(dpl) | type, F_G | F_D));
                    tss.stack[1].ss = (uint16_t)(s | rpl);
                    if (good && rpl == 1 && dpl == 1 && p)
                        continue; /* this one works, below */
                    const unsigned vector = rpl == 1 && dpl == 1 && good ? SS : TS;
                    TRY("int $0x41");
                    expect_fault(vector, s, "SS1 RPL %u type %x DPL %u P %x", rpl, type, dpl, p);
                    TRY("ud2");
                    expect_fault(vector, s | 1, "SS1 RPL %u type %x DPL %u P %x, EXT", rpl, type,
                                 dpl, p);
                }
    tss.stack[1].ss = s | 1;
    gdt_set(s, descriptor(0, 0xfff, P | DPL(1) | T_RW, F_D));
    TRY("int $0x41");
    expect_fault(SS, s, "the frame beyond the limit of SS1");
    TRY("ud2");
    expect_fault(SS, s | 1, "the frame beyond the limit of SS1, EXT");
    gdt_set(s, descriptor(0, 0xfff, P | DPL(1) | (T_RW & ~1), F_D));
    tss.stack[1].esp = 16;
    TRY("int $0x41");
    expect_fault(SS, s, "room for four words only");
    check_eq((gdt_get(s) >> 40) & 1, 0, "accessed is not set by a stack that failed");
    /* a TSS that ends before the stack; the fault's own handler needs stack 0 */
    gdt_set(TSS_MAIN, descriptor((word)&tss, 0x10, P | T_TSS32, 0));
    tss_reload();
    TRY("int $0x41");
    expect_fault(TS, TSS_MAIN, "TSS limit short of SS1");
    gdt_set(TSS_MAIN, descriptor((word)&tss, 0x67, P | T_TSS32, 0));
    tss_reload();
    tss = (struct tss){.stack = {keep.stack[0], keep.stack[1], keep.stack[2]}, .iomap = sizeof tss};
    /* a handler of ring 1 reached from ring 3, and what it sees */
    gdt_set(SLOT(0), descriptor(0, 0xfffff, P | DPL(1) | T_XR, F_G | F_D));
    extern uint8_t ring1_handler[];
    asm volatile(
        ".pushsection .snip, \"ax\"\n ring1_handler: mov %%cs, %%eax\n mov %%ss, %%ebx\n mov "
        "%%esp, %%ecx\n"
        "mov (%%esp), %%edx\n mov 12(%%esp), %%esi\n mov 16(%%esp), %%edi\n mov 8(%%esp), %%ebp\n"
        "int $0x80\n .popsection" ::);
    idt_set(n, SLOT(0), (word)ring1_handler, P | DPL(3) | T_INT32, 0);
    ctx.flags = 0x3202;
    TRY("int $0x41");
    check_eq(last.vector, DONE, "ring 1 handler ran");
    check_eq(last.r.ax, SLOT(0) | 1, "its CS");
    check_eq(last.r.bx, R1DATA, "its SS");
    check_eq(last.r.cx, (word)entry_stack_top - 20, "its ESP");
    check_eq(last.r.dx, last.end, "pushed EIP");
    check_eq(last.r.si, (word)user_stack_top, "pushed ESP");
    check_eq(last.r.di, UDATA, "pushed SS");
    check_eq(last.r.bp, 0x3202, "pushed EFLAGS");
    check_eq(last.flags & 0x200, 0, "IF cleared by an interrupt gate");
}

/* Flags: what the gates push and clear. */
static void gate_flags(void)
{
    const unsigned n = 0x41;
    extern uint8_t flags_handler[];
    asm volatile(
        ".pushsection .snip, \"ax\"\n flags_handler: pushfl\n popl %%eax\n movl 8(%%esp), %%ebx\n"
        "movw 4(%%esp), %%cx\n mov %%esp, %%edx\n int $0x80\n .popsection" ::);
    static const struct {
        unsigned type;
        uint32_t cleared;
    } gates[] = {{T_INT32, 0x34300}, {T_TRAP32, 0x34100}, {T_INT16, 0x34300}, {T_TRAP16, 0x34100}};
    for (unsigned i = 0; i < 4; i++)
        for (enum level l = RING0; l <= RING3; l += 3) {
            at(l);
            gdt_set(SLOT(0), descriptor((word)flags_handler & ~0xffu, 0xffff, P | T_XR, F_D));
            idt_set(n, SLOT(0), (word)flags_handler & 0xff, P | DPL(3) | gates[i].type, 0);
            ctx.flags = 0x47e97; /* AC, NT, IOPL 3, OF, IF and so on; NT leaves with the gate */
            in.si = 0;
            if (l == RING0)
                ctx.flags = 0x43e97;
            TRY("nop\n int $0x41");
            check_eq(last.vector, DONE, "gate type %x level %u", gates[i].type, l);
            check_eq(last.r.ax, ctx.flags & ~gates[i].cleared,
                     "flags in the handler, gate %x, level %u", gates[i].type, l);
            const bool wide = gates[i].type & 8;
            if (wide)
                check_eq(last.r.bx, ctx.flags, "pushed flags, gate %x, level %u", gates[i].type, l);
            const word top = l ? (word)entry_stack_top : (word)test_stack_top;
            check_eq(last.r.dx, top - (wide ? 4 : 2) * (l ? 5 : 3),
                     "ESP in the handler, gate %x, level %u", gates[i].type, l);
        }
    at(RING0);
    idt_default(n);
}

/* A conforming handler runs at the level it came from. */
static void conforming_handler(void)
{
    extern uint8_t conf_handler[];
    asm volatile(".pushsection .snip, \"ax\"\n conf_handler: mov %%cs, %%eax\n mov %%ss, %%ebx\n "
                 "mov %%esp, %%ecx\n int $0x80\n .popsection" ::);
    for (enum level l = RING0; l <= RING3; l++) {
        at(l);
        gdt_set(SLOT(0), descriptor(0, 0xfffff, P | T_XR_CONF, F_G | F_D));
        idt_set(0x41, SLOT(0), (word)conf_handler, P | DPL(3) | T_INT32, 0);
        TRY("int $0x41");
        check_eq(last.vector, DONE, "level %u", l);
        check_eq(last.r.ax, SLOT(0) | l, "CS, level %u", l);
        check_eq(last.r.bx, ctx.ss, "SS, level %u", l);
        check_eq(last.r.cx, ctx.sp - 12, "ESP, level %u", l);
    }
}

/* Exceptions while exceptions are delivered: benign, contributory, page faults. */
static void combinations(void)
{
    at(RING3);
    in = (struct regs){0};
    idt[DE] = 0; /* not a gate: #GP */
    TRY("divl %%ecx");
    check_eq(last.vector, DF, "#DE then #GP is #DF");
    check_eq(last.error, 0, "its error code");
    check_eq(last.ip, last.start, "where");
    check_eq(last.cs, UCODE32, "and from which CS");
    idt_default(DE);
    idt[GP] = 0;
    TRY("hlt");
    check_eq(last.vector, DF, "#GP then #GP is #DF");
    idt_default(GP);
    idt[NP] = 0;
    gdt_set(SLOT(0), descriptor(0, 0xfffff, DPL(3) | T_RW, F_G | F_D));
    in.ax = SLOT(0) | 3;
    TRY("mov %%ax, %%ds");
    check_eq(last.vector, DF, "#NP then #GP is #DF");
    idt_default(NP);
    idt_set(SS, KCODE32, 0, T_INT32, 0);
    TRY("movl $0x80, %%ebp\n .byte 0x36\n movl (%%ebp), %%eax");
    idt_default(SS);
    /* benign first: the second is delivered by itself */
    idt[UD] = 0;
    TRY("ud2");
    expect_fault(GP, UD * 8 + 3, "#UD then #GP is #GP");
    idt_default(UD);
    idt[BR] = 0;
    static int32_t bounds[2] = {1, 2};
    in.bx = (word)bounds;
    in.ax = 5;
    TRY("boundl %%eax, (%%ebx)");
    expect_fault(GP, BR * 8 + 3, "#BR then #GP is #GP");
    idt_default(BR);
    idt[NM] = 0;
    write_cr0(cr0() | 8);
    TRY("fnop");
    expect_fault(GP, NM * 8 + 3, "#NM then #GP is #GP");
    asm volatile("clts");
    idt_default(NM);
}

static void bound(void)
{
    static int32_t b[2] = {-5, 10};
    static int16_t h[2] = {-5, 10};
    at(RING3);
    for (int v = -7; v < 13; v++) {
        in.ax = (word)v;
        in.bx = (word)b;
        TRY("boundl %%eax, (%%ebx)");
        if (v < -5 || v > 10)
            expect_fault(BR, 0, "bound %x", v);
        else
            expect_done("bound %x", v);
        in.bx = (word)h;
        TRY("boundw %%ax, (%%ebx)");
        if (v < -5 || v > 10)
            expect_fault(BR, 0, "boundw %x", v);
        else
            expect_done("boundw %x", v);
    }
}

#define IS_UD(text)                                      \
    do {                                                 \
        TRY(text);                                       \
        expect_fault(UD, 0, "%s at level %u", #text, l); \
    } while (0)
#define NOT_UD(text)                                                            \
    do {                                                                        \
        TRY(text);                                                              \
        check(last.vector != UD, "%s at level %u is an instruction", #text, l); \
    } while (0)
static void undefined(void)
{
    static uint32_t data[16];
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        in = (struct regs){.bx = (word)data, .si = (word)data, .di = (word)data};
        IS_UD("ud2");
        IS_UD(".byte 0x0f, 0xb9, 0xc0"); /* UD1 */
        IS_UD(".byte 0x0f, 0xff, 0xc0"); /* UD0 */
        IS_UD(".byte 0x0f, 0x0a");
        IS_UD(".byte 0x0f, 0x04");
        IS_UD(".byte 0x0f, 0x24, 0xc0"); /* MOV from a test register */
        IS_UD(".byte 0x0f, 0xaa");       /* RSM outside SMM */
        IS_UD(".byte 0x0f, 0xa6, 0xc0");
        IS_UD(".byte 0x8e, 0xc8"); /* MOV CS, AX */
        IS_UD(".byte 0x8e, 0xf0"); /* MOV ?, AX */
        IS_UD(".byte 0x8c, 0xf0"); /* MOV AX, ? */
        IS_UD(".byte 0x8d, 0xc0"); /* LEA of a register */
        IS_UD(".byte 0xc4, 0xc0"); /* VEX without AVX, or LES of a register */
        IS_UD(".byte 0xff, 0xd8"); /* far CALL of a register */
        IS_UD(".byte 0xff, 0xe8"); /* far JMP of a register */
        IS_UD(".byte 0xff, 0xf8");
        IS_UD(".byte 0xfe, 0xd0");
        IS_UD(".byte 0xc6, 0xc8, 0");
        IS_UD(".byte 0x8f, 0xc8");
        IS_UD(".byte 0x0f, 0xba, 0xc0, 0");
        IS_UD(".byte 0x0f, 0xc7, 0xc8"); /* CMPXCHG8B of a register */
        IS_UD(".byte 0x0f, 0x01, 0xc0"); /* VMX, off */
        IS_UD(".byte 0x0f, 0x01, 0xc1");
        IS_UD(".byte 0x0f, 0x01, 0xf8"); /* SWAPGS outside 64-bit mode */
        IS_UD(".byte 0x0f, 0x01, 0xd8"); /* SVM, off */
        IS_UD(".byte 0x0f, 0x20, 0xc8"); /* MOV from CR1 */
        IS_UD(".byte 0x0f, 0x22, 0xe8"); /* MOV to CR5 */
        IS_UD(".byte 0x0f, 0x00, 0xf0");
        IS_UD(".byte 0x0f, 0x00, 0x38");
        IS_UD(".byte 0x0f, 0xb2, 0xc0"); /* LSS of a register */
        IS_UD(".byte 0x62, 0xc0");       /* BOUND of a register */
        /* LOCK where it may not be */
        IS_UD(".byte 0xf0, 0x90");
        IS_UD(".byte 0xf0, 0x01, 0xc3");       /* lock add %eax, %ebx */
        IS_UD(".byte 0xf0, 0x03, 0x03");       /* lock add (%ebx), %eax */
        IS_UD(".byte 0xf0, 0x39, 0x03");       /* lock cmp */
        IS_UD(".byte 0xf0, 0x83, 0x3b, 0");    /* lock cmp imm */
        IS_UD(".byte 0xf0, 0x85, 0x03");       /* lock test */
        IS_UD(".byte 0xf0, 0x89, 0x03");       /* lock mov */
        IS_UD(".byte 0xf0, 0x0f, 0xa3, 0x03"); /* lock bt */
        IS_UD(".byte 0xf0, 0x0f, 0xba, 0x23, 1");
        IS_UD(".byte 0xf0, 0xd1, 0x23");       /* lock shl */
        IS_UD(".byte 0xf0, 0xa4");             /* lock movsb */
        IS_UD(".byte 0xf0, 0xff, 0x33");       /* lock push */
        IS_UD(".byte 0xf0, 0xf7, 0x23");       /* lock mul */
        IS_UD(".byte 0xf0, 0x87, 0xc3");       /* lock xchg of registers */
        IS_UD(".byte 0xf0, 0x0f, 0xb1, 0xc3"); /* lock cmpxchg of registers */
        IS_UD(".byte 0xf0, 0x0f, 0x20, 0xc0"); /* lock mov cr0 */
        NOT_UD(".byte 0xf0, 0x01, 0x03");
        NOT_UD(".byte 0xf0, 0x0f, 0xab, 0x03");
        NOT_UD(".byte 0xf0, 0x0f, 0xb1, 0x03");
        NOT_UD(".byte 0xf0, 0x0f, 0xc1, 0x03");
        NOT_UD(".byte 0xf0, 0x0f, 0xc7, 0x0b");
        NOT_UD(".byte 0xf0, 0xf7, 0x13");
        NOT_UD(".byte 0xf0, 0xf7, 0x1b");
        NOT_UD(".byte 0xf0, 0xff, 0x03");
        NOT_UD(".byte 0xf0, 0x87, 0x03");
        NOT_UD(".byte 0x0f, 0x1f, 0x00");
        NOT_UD(".byte 0x0f, 0x0d, 0x00");
    }
}

static uint8_t long_code[32];
static void length(void)
{
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        TRY(".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
        expect_done("fifteen bytes");
        TRY(".byte "
            "0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90");
        expect_fault(GP, 0, "sixteen bytes at level %u", l);
        TRY(".byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0xc7,0x05,0,0xf0,0,0,1,0,0,0");
        expect_fault(GP, 0, "twenty bytes at level %u", l);
        TRY(".byte "
            "0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x0f,0x0b");
        expect_fault(GP, 0, "UD2 that is too long, at level %u", l);
    }
    (void)long_code;
}

#define NEEDS_CPL0(text)                                     \
    do {                                                     \
        for (enum level l = RING1; l <= RING3; l++) {        \
            at(l);                                           \
            ctx.flags = 0x3002;                              \
            TRY(text);                                       \
            expect_fault(GP, 0, "%s at level %u", #text, l); \
        }                                                    \
    } while (0)
static void privileged(void)
{
    static uint8_t data[16];
    in = (struct regs){.bx = (word)data, .cx = 0x1b};
    NEEDS_CPL0("hlt");
    NEEDS_CPL0("clts");
    NEEDS_CPL0("lgdt (%%ebx)");
    NEEDS_CPL0("lidt (%%ebx)");
    NEEDS_CPL0("lldt %%ax");
    NEEDS_CPL0("ltr %%ax");
    NEEDS_CPL0("lmsw %%ax");
    NEEDS_CPL0("mov %%cr0, %%eax");
    NEEDS_CPL0("mov %%eax, %%cr0");
    NEEDS_CPL0("mov %%cr2, %%eax");
    NEEDS_CPL0("mov %%eax, %%cr3");
    NEEDS_CPL0("mov %%cr4, %%eax");
    NEEDS_CPL0("mov %%db0, %%eax");
    NEEDS_CPL0("mov %%eax, %%db7");
    NEEDS_CPL0("invlpg (%%ebx)");
    NEEDS_CPL0("invd");
    NEEDS_CPL0("wbinvd");
    NEEDS_CPL0("rdmsr");
    NEEDS_CPL0("wrmsr");
    if (features() & HAS_SEP)
        NEEDS_CPL0("sysexit");
    if (features() & HAS_XSAVE) {
        write_cr4(cr4() | 1 << 18);
        NEEDS_CPL0("xsetbv");
        write_cr4(cr4() & ~(1u << 18));
    }
    /* memory operands that would fault: privilege is looked at first */
    in.bx = 0;
    for (unsigned s = 0; s < 1; s++) {
        at(RING3);
        ctx.ds = 0;
        TRY("lgdt (%%ebx)");
        expect_fault(GP, 0, "lgdt at level 3 through a null DS");
        TRY("invlpg (%%ebx)");
        expect_fault(GP, 0, "invlpg at level 3 through a null DS");
    }
    at(RING0);
    ctx.ds = 0;
    TRY("invlpg (%%ebx)");
    expect_done("invlpg asks no segment");
}

/* CLI, STI, IN, OUT against IOPL; POPF and IRET change IF and IOPL only as they may. */
static void iopl(void)
{
    for (enum level l = RING0; l <= RING3; l++)
        for (unsigned iopl = 0; iopl < 4; iopl++) {
            const bool ok = l <= iopl;
            at(l);
            ctx.flags = 2 | iopl << 12;
            in = (struct regs){.dx = 0x80, .ax = 0x41};
#define IOPL(text)                                          \
    TRY(text);                                              \
    if (ok)                                                 \
        expect_done("%s, level %u IOPL %u", text, l, iopl); \
    else                                                    \
        expect_fault(GP, 0, "%s, level %u IOPL %u", text, l, iopl)
            IOPL("cli");
            IOPL("sti\n cli");
            IOPL("out %%al, $0x80");
            IOPL("in $0x80, %%al");
            IOPL("outl %%eax, %%dx");
            IOPL("inw %%dx, %%ax");
            TRY("pushl $0x3202\n popfl\n pushfl\n popl %%eax\n pushl $2\n popfl");
            expect_done("popf, level %u IOPL %u", l, iopl);
            const uint32_t want = (l == 0 ? 0x3000 : iopl << 12) | (ok ? 0x200 : 0);
            check_eq(last.r.ax & 0x3200, want, "popf loads IF and IOPL, level %u IOPL %u", l, iopl);
            in.bx = ctx.cs;
            TRY("pushl $0x3203\n pushl %%ebx\n call 1f\n 1: addl $2f - 1b, (%%esp)\n iretl\n 2: "
                "pushfl\n popl %%eax\n pushl $2\n popfl");
            expect_done("iret, level %u IOPL %u", l, iopl);
            check_eq(last.r.ax & 0x3201, want | 1, "iret loads IF and IOPL, level %u IOPL %u", l,
                     iopl);
        }
}

/* Which POPF leaves RF clear, and the bits that always read as they must. */
static void flag_bits(void)
{
    at(RING0);
    TRY("pushl $0xffffbeff\n popfl\n pushfl\n popl %%eax\n pushl $2\n popfl"); /* all but NT and TF
                                                                                */
    expect_done("popf of ones");
    check_eq(last.r.ax, 0x243ed7 | (last.r.ax & 0x180000 & 0), "what stays of ones");
    TRY("pushl $0\n popfl\n pushfl\n popl %%eax");
    check_eq(last.r.ax, 2, "what stays of zeros");
    TRY("pushl $0x4002\n popfl\n pushw $0x3ed7\n popfw\n pushfl\n popl %%eax\n pushl $2\n popfl");
    check_eq(last.r.ax & 0xffff, 0x3ed7, "popfw");
}

/* #NM and #UD of x87, MMX and SSE by CR0 and CR4. */
static void fpu_off(void)
{
    const word c0 = cr0(), c4 = cr4();
    for (unsigned bits = 0; bits < 8; bits++) {
        const bool em = bits & 1, ts = bits & 2, mp = bits & 4;
        const word v = (c0 & ~14u) | (em ? 4 : 0) | (ts ? 8 : 0) | (mp ? 2 : 0);
        for (enum level l = RING0; l <= RING3; l += 3) {
            at(l);
            write_cr0(v);
            TRY("fnop");
            if (em || ts)
                expect_fault(NM, 0, "x87: EM %u TS %u MP %u", em, ts, mp);
            else
                expect_done("x87: EM %u TS %u MP %u", em, ts, mp);
            write_cr0(v);
            TRY("fwait");
            if (ts && mp)
                expect_fault(NM, 0, "fwait: EM %u TS %u MP %u", em, ts, mp);
            else
                expect_done("fwait: EM %u TS %u MP %u", em, ts, mp);
            write_cr0(v);
            TRY("emms");
            if (em)
                expect_fault(UD, 0, "mmx: EM %u TS %u MP %u", em, ts, mp);
            else if (ts)
                expect_fault(NM, 0, "mmx: EM %u TS %u MP %u", em, ts, mp);
            else
                expect_done("mmx: EM %u TS %u MP %u", em, ts, mp);
            for (unsigned osfxsr = 0; osfxsr < 2; osfxsr++) {
                write_cr4((c4 & ~0x200u) | osfxsr << 9);
                write_cr0(v);
                TRY("xorps %%xmm0, %%xmm0");
                if (em || !osfxsr)
                    expect_fault(UD, 0, "sse: EM %u TS %u OSFXSR %u", em, ts, osfxsr);
                else if (ts)
                    expect_fault(NM, 0, "sse: EM %u TS %u OSFXSR %u", em, ts, osfxsr);
                else
                    expect_done("sse: EM %u TS %u OSFXSR %u", em, ts, osfxsr);
            }
            static uint8_t image[512 + 16];
            in.bx = ((word)image + 15) & ~15u;
            TRY("fxsave (%%ebx)");
            if (em || ts)
                expect_fault(NM, 0, "fxsave: EM %u TS %u", em, ts);
            else
                expect_done("fxsave");
            /* neither of these is an x87 instruction to CR0 */
            TRY("prefetcht0 (%%ebx)");
            expect_done("prefetch: EM %u TS %u", em, ts);
            TRY("sfence");
            expect_done("sfence: EM %u TS %u", em, ts);
        }
    }
    write_cr0(c0);
    write_cr4(c4);
}

/* #MF waits for the next waiting instruction; #XM comes with its own. */
static void fpu_faults(void)
{
    const word c0 = cr0(), c4 = cr4();
    static float zero, one = 1;
    static uint32_t mxcsr_div0 = 0x1d80, mxcsr_default = 0x1f80;
    static uint16_t cw_div0 = 0x37b;
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        write_cr0(c0 | 0x20); /* NE */
        in = (struct regs){.bx = (word)&zero, .cx = (word)&one, .dx = (word)&cw_div0};
        asm volatile("fninit");
        TRY("fldcw (%%edx)\n fld1\n fdivs (%%ebx)\n 1: nop");
        expect_done("an unmasked x87 exception waits");
        TRY("fwait");
        expect_fault(MF, 0, "fwait, level %u", l);
        TRY("fld1");
        expect_fault(MF, 0, "fld1, level %u", l);
        TRY("fnstsw %%ax");
        expect_done("fnstsw does not wait");
        check_eq(last.r.ax & 0x8084, 0x8084, "its word: ES, B, ZE");
        TRY("emms");
        expect_fault(MF, 0, "emms, level %u", l);
        TRY("fnclex\n fwait");
        expect_done("fnclex");
        asm volatile("fninit");

        write_cr4(c4 | 0x600);
        in = (struct regs){.bx = (word)&zero, .cx = (word)&one, .dx = (word)&mxcsr_div0};
        TRY("ldmxcsr (%%edx)\n movss (%%ecx), %%xmm0");
        TRY("divss (%%ebx), %%xmm0");
        expect_fault(XM, 0, "divss by zero, level %u", l);
        write_cr4((c4 | 0x200) & ~0x400u);
        TRY("divss (%%ebx), %%xmm0");
        expect_fault(UD, 0, "divss by zero without OSXMMEXCPT, level %u", l);
        in.dx = (word)&mxcsr_default;
        TRY("ldmxcsr (%%edx)");
        expect_done("ldmxcsr");
        static uint32_t bad = 0x80000000;
        in.dx = (word)&bad;
        TRY("ldmxcsr (%%edx)");
        expect_fault(GP, 0, "ldmxcsr with a reserved bit");
        write_cr4(c4);
        write_cr0(c0);
    }
}

static uint8_t aligned[64] __attribute__((aligned(64)));
static void alignment(void)
{
    const word c0 = cr0();
    for (unsigned am = 0; am < 2; am++)
        for (unsigned ac = 0; ac < 2; ac++)
            for (enum level l = RING0; l <= RING3; l++)
                for (unsigned off = 0; off < 9; off++) {
                    const bool on = am && ac && l == RING3;
                    at(l);
                    write_cr0((c0 & ~(1u << 18)) | am << 18);
                    ctx.flags = 2 | ac << 18;
                    in.bx = (word)aligned + off;
#define ALIGNED(size, text)                                                           \
    TRY(text);                                                                        \
    if (on && (off & (size - 1)))                                                     \
        expect_fault(AC, 0, "%s at +%u, AM %u AC %u level %u", text, off, am, ac, l); \
    else                                                                              \
        expect_done("%s at +%u, AM %u AC %u level %u", text, off, am, ac, l)
                    ALIGNED(1, "movb (%%ebx), %%al");
                    ALIGNED(2, "movw (%%ebx), %%ax");
                    ALIGNED(2, "movw %%ax, (%%ebx)");
                    ALIGNED(4, "movl (%%ebx), %%eax");
                    ALIGNED(4, "movl %%eax, (%%ebx)");
                    ALIGNED(4, "addl %%eax, (%%ebx)");
                    ALIGNED(8, "fldl (%%ebx)\n fstp %%st(0)");
                    ALIGNED(4, "flds (%%ebx)\n fstp %%st(0)");
                    ALIGNED(2, "fldcw (%%ebx)\n fninit");
                    ALIGNED(8, "cmpxchg8b (%%ebx)");
                    ALIGNED(2, "verw (%%ebx)");
                    /* a word, then a doubleword that wants its own alignment (SDM 3A 3.5.1) */
                    in.bx += 2;
                    TRY("sgdt (%%ebx)");
                    if (on && (off & 3))
                        expect_fault(AC, 0, "sgdt at +%u", off + 2);
                    else
                        expect_done("sgdt at +%u", off + 2);
                    in.bx -= 2;
                }
    /* the stack, with its pointer odd */
    at(RING3);
    write_cr0(c0 | 1 << 18);
    ctx.flags = 0x40002;
    ctx.sp -= 2;
    TRY("pushl %%eax");
    expect_fault(AC, 0, "push");
    TRY("popl %%eax");
    expect_fault(AC, 0, "pop");
    TRY("pushw %%ax");
    expect_done("push of a word");
    TRY("call 1f\n 1:");
    expect_fault(AC, 0, "call");
    ctx.sp += 2;
    /* an alignment fault beats a page fault only if the page is there: no paging here; limits come
     * first */
    gdt_set(SLOT(0), descriptor(0, 0xfff, P | DPL(3) | T_RW, F_D));
    ctx.ds = SLOT(0) | 3;
    in.bx = 0x1001;
    TRY("movl (%%ebx), %%eax");
    expect_fault(GP, 0, "the limit before the alignment");
    write_cr0(c0);
}

const struct test tests[] = {
    {"divide", divide},
    {"software", software},
    {"bad_gates", bad_gates},
    {"handler_code", handler_code},
    {"handler_stack", handler_stack},
    {"gate_flags", gate_flags},
    {"conforming_handler", conforming_handler},
    {"combinations", combinations},
    {"bound", bound},
    {"undefined", undefined},
    {"length", length},
    {"privileged", privileged},
    {"iopl", iopl},
    {"flag_bits", flag_bits},
    {"fpu_off", fpu_off},
    {"fpu_faults", fpu_faults},
    {"alignment", alignment},
    {NULL, NULL},
};
