/* IA-32e mode: interrupts and stacks, far transfers between 64-bit and compatibility mode, fast
 * system calls, canonical addresses. */
#include "rt.h"

const char image_name[] = "long64";

#define BAD        UINT64_C(0x0000800000000000) /* the first address that is not canonical */
#define BADNEG     UINT64_C(0xffff7fffffffffff) /* and the last */
#define IS_CODE(t) (((t)&0x18) == 0x18)

extern uint8_t land[], land_end[], land32[];
asm(".pushsection .snip, \"ax\"\n land: int $0x80\n land_end: .popsection");

static struct {
    uint64_t room[128], word[16];
} frame;

/* --- interrupts --- */

static void gates(void)
{
    const unsigned n = 0x41;
    for (enum level l = RING0; l <= RING3; l += 3) {
        for (unsigned type = 0; type < 32; type++)
            for (unsigned p = 0; p <= P; p += P) {
                at(l);
                const bool ok = type == T_INT32 || type == T_TRAP32;
                idt_set(n, KCODE64, stub_address(n), p | DPL(3) | type, 1);
                TRY("int $0x41");
                if (!ok)
                    expect_fault(GP, n * 8 + 2, "int: gate type %x P %x", type, p);
                else if (!p)
                    expect_fault(NP, n * 8 + 2, "int: absent gate type %x", type);
                else
                    expect_trap(n, "int: gate type %x", type);
                idt_set(UD, KCODE64, stub_address(UD), p | type, 1);
                TRY("ud2");
                if (!ok)
                    expect_fault(GP, UD * 8 + 3, "#UD: gate type %x P %x", type, p);
                else if (!p)
                    expect_fault(NP, UD * 8 + 3, "#UD: absent gate type %x", type);
                else
                    expect_fault(UD, 0, "#UD: gate type %x", type);
            }
        idt_default(UD);
        for (unsigned dpl = 0; dpl < 4; dpl++) {
            idt_set(n, KCODE64, stub_address(n), P | DPL(dpl) | T_INT32, 1);
            TRY("int $0x41");
            if (dpl < l)
                expect_fault(GP, n * 8 + 2, "gate DPL %u, level %u", dpl, l);
            else
                expect_trap(n, "gate DPL %u, level %u", dpl, l);
        }
        lidt(idt, 0x81 * 16 - 1);
        TRY("int $0x81");
        expect_fault(GP, 0x81 * 8 + 2, "beyond the limit");
        lidt(idt, 0x81 * 16 + 7);
        TRY("int $0x81");
        expect_fault(GP, 0x81 * 8 + 2, "half a gate");
        lidt(idt, 256 * 16 - 1);
        TRY("int1");
        expect_trap(DB, "int1");
        TRY("int3");
        expect_trap(BP, "int3");
        idt_default(n);
    }
}

static void handler_code(void)
{
    const unsigned n = 0x41, s = SLOT(0);
    for (enum level l = RING0; l <= RING3; l += 3)
        for (unsigned type = 0; type < 32; type++)
            for (unsigned dpl = 0; dpl < 4; dpl++)
                for (unsigned ld = 0; ld < 4; ld++)
                    for (unsigned p = 0; p <= P; p += P) {
                        const bool code = IS_CODE(type), conforming = code && (type & 4);
                        unsigned v = 0;
                        at(l);
                        idt_set(n, s, stub_address(n), P | DPL(3) | T_INT32, 1);
                        idt_set(UD, s, stub_address(UD), P | T_INT32, 1);
                        gdt_set(s, descriptor(0, 0xfffff, p | DPL(dpl) | type,
                                              F_G | (ld & 1 ? F_L : 0) | (ld & 2 ? F_D : 0)));
                        if (!code || dpl > l || ld != 1)
                            v = GP;
                        else if (!p)
                            v = NP;
                        else if (dpl == 3 || (conforming && l) || dpl == 1 || dpl == 2)
                            continue;
                        if (v == GP && !p && code && dpl <= l)
                            continue; /* L and P both wrong: no order is written */
                        TRY("int $0x41");
                        if (v)
                            expect_fault(v, s, "int: CS type %x DPL %u LD %u P %x level %u", type,
                                         dpl, ld, p, l);
                        else
                            expect_trap(n, "int: CS type %x DPL %u LD %u P %x level %u", type, dpl,
                                        ld, p, l);
                        TRY("ud2");
                        if (v)
                            expect_fault(v, s | 1, "#UD: CS type %x DPL %u LD %u P %x level %u",
                                         type, dpl, ld, p, l);
                        else
                            expect_fault(UD, 0, "#UD: CS type %x DPL %u LD %u P %x level %u", type,
                                         dpl, ld, p, l);
                    }
    at(RING3);
    idt_set(n, KCODE64, BAD, P | DPL(3) | T_INT32, 1);
    TRY("int $0x41");
    expect_fault(GP, 0, "a handler that is not canonical");
    idt_set(UD, KCODE64, BADNEG, P | DPL(3) | T_INT32, 1);
    TRY("ud2");
    expect_fault(GP, 1, "a handler that is not canonical, EXT");
    idt_set(n, 0, 0, P | DPL(3) | T_INT32, 1);
    TRY("int $0x41");
    expect_fault(GP, 0, "a null CS");
    idt_default(UD);
    idt_default(n);
}

/* Stacks: alignment, IST, RSP0-2, what is pushed. */
static void stacks(void)
{
    const unsigned n = 0x41;
    extern uint8_t stack_handler[];
    asm volatile(".pushsection .snip, \"ax\"\n stack_handler: mov %%rsp, %%rax\n mov %%ss, %%ebx\n "
                 "mov 24(%%rsp), %%rcx\n mov 32(%%rsp), %%rdx\n mov 16(%%rsp), %%rsi\n pushfq\n "
                 "pop %%rdi\n int $0x80\n .popsection" ::);
    for (enum level l = RING0; l <= RING3; l += 3)
        for (unsigned ist = 0; ist < 8; ist++)
            for (unsigned off = 0; off < 16; off += 3) {
                if (ist == 1 || ist == 2)
                    continue; /* the runtime's own */
                at(l);
                ctx.sp -= off;
                ctx.flags = 0x240a97; /* ID, AC, OF, IF... */
                tss.ist[ist ? ist - 1 : 6] = (uint64_t)frame.word - 16 + off;
                tss.rsp[0] = (word)entry_stack_top - 64 + off;
                idt_set(n, KCODE64, (word)stack_handler,
                        P | DPL(3) | (ist & 1 ? T_TRAP32 : T_INT32), ist);
                TRY("int $0x41");
                const word top = ist ? (word)frame.word - 16 + off : l ? tss.rsp[0] : ctx.sp;
                check_eq(last.vector, DONE, "level %u IST %u", l, ist);
                check_eq(last.r.ax, (top & ~(word)15) - 40, "RSP is aligned, level %u IST %u", l,
                         ist);
                check_eq(last.r.bx, l ? 0 : KDATA, "SS, level %u IST %u", l, ist);
                check_eq(last.r.cx, ctx.sp, "pushed RSP");
                check_eq(last.r.dx, ctx.ss, "pushed SS");
                check_eq(last.r.si, ctx.flags, "pushed RFLAGS");
                check_eq(last.r.di, (ctx.flags & ~(word)(ist & 1 ? 0 : 0x200)),
                         "flags in the handler");
            }
    tss.rsp[0] = (word)entry_stack_top;
    /* stacks that are not canonical: #SS(0), with EXT from exceptions */
    at(RING3);
    idt_set(n, KCODE64, (word)stack_handler, P | DPL(3) | T_INT32, 3);
    tss.ist[2] = BAD + 64;
    TRY("int $0x41");
    expect_fault(SS, 0, "an IST that is not canonical");
    idt_set(UD, KCODE64, stub_address(UD), P | T_INT32, 3);
    TRY("ud2");
    expect_fault(SS, 1, "an IST that is not canonical, EXT");
    idt_set(n, KCODE64, (word)stack_handler, P | DPL(3) | T_INT32, 0);
    tss.rsp[0] = BAD + 8;
    TRY("int $0x41");
    expect_fault(SS, 0, "an RSP0 that is not canonical");
    tss.rsp[0] = (word)entry_stack_top;
    at(RING0);
    ctx.sp = BADNEG & ~7ull;
    TRY("int $0x41");
    expect_fault(SS, 0, "an RSP that is not canonical");
    idt_default(UD);
    /* a TSS too short for what is wanted */
    gdt_set(TSS_MAIN, descriptor((uint32_t)(word)&tss, 0x2b, P | T_TSS32, 0)); /* IST1 just fits */
    tss_reload();
    at(RING3);
    idt_set(n, KCODE64, (word)stack_handler, P | DPL(3) | T_INT32, 7);
    TRY("int $0x41");
    expect_fault(TS, TSS_MAIN, "an IST beyond the TSS");
    idt_set(UD, KCODE64, stub_address(UD), P | T_INT32, 4);
    TRY("ud2");
    expect_fault(TS, TSS_MAIN | 1, "an IST beyond the TSS, EXT");
    gdt_set(TSS_MAIN, descriptor((uint32_t)(word)&tss, 0x67, P | T_TSS32, 0));
    tss_reload();
    idt_default(n);
    idt_default(UD);
}

static void combinations(void)
{
    at(RING3);
    in.cx = 0;
    idt[2 * DE] = 0;
    TRY("div %%ecx");
    check(last.vector == DF && last.error == 0 && last.ip == last.start, "#DE, #GP: #DF");
    idt_default(DE);
    idt[2 * GP] = 0;
    TRY("hlt");
    check(last.vector == DF && last.error == 0, "#GP, #GP: #DF");
    idt_default(GP);
    idt[2 * UD] = 0;
    TRY("ud2");
    expect_fault(GP, UD * 8 + 3, "#UD, #GP: #GP");
    idt_default(UD);
}

/* --- far transfers --- */

static struct {
    uint32_t offset;
    uint16_t sel;
} __attribute__((packed)) far32;
static struct {
    uint64_t offset;
    uint16_t sel;
} __attribute__((packed)) far64;

static void landed(unsigned cs, const char *what, unsigned a)
{
    check(last.vector == DONE && last.ip == (word)land_end, "%s %x lands (vector %x error %x)",
          what, a, last.vector, last.error);
    check_eq(last.cs, cs, "%s %x: CS", what, a);
}

static void direct(void)
{
    const unsigned s = SLOT(1);
    far32.offset = (uint32_t)(word)land;
    far64.offset = (word)land;
    for (enum level l = RING0; l <= RING3; l += 3)
        for (unsigned from32 = 0; from32 < 2; from32++)
            for (unsigned type = 0; type < 32; type++)
                for (unsigned dpl = 0; dpl < 4; dpl += 3)
                    for (unsigned ld = 0; ld < 4; ld++)
                        for (unsigned p = 0; p <= P; p += P) {
                            if (type == 12)
                                continue; /* a call gate */
                            const bool conforming = type & 4;
                            unsigned v = 0;
                            if (!IS_CODE(type) || ld == 3 || (conforming ? dpl > l : dpl != l))
                                v = GP;
                            else if (!p)
                                v = NP;
                            if (v == GP && ld == 3 && !p)
                                continue;
                            if (from32)
                                at_compat(l);
                            else
                                at(l);
                            const unsigned size = ld == 0 ? 0 : 0;
                            (void)size;
                            gdt_set(s, descriptor(0, 0xfffff, p | DPL(dpl) | type,
                                                  F_G | (ld & 1 ? F_L : 0) | (ld & 2 ? F_D : 0)));
                            gdt_set(s + 8, 0);
                            far32.sel = (uint16_t)(s | l);
                            in.di = (word)&far32;
                            if (from32)
                                TRY32("ljmp *(%%edi)");
                            else
                                TRY("ljmp *(%%rdi)");
                            if (v)
                                expect_fault(v, s, "jmp: type %x DPL %u LD %u P %x level %u", type,
                                             dpl, ld, p, l);
                            else
                                landed(s | l, "jmp to type", type);
                            if (from32)
                                TRY32("lcall *(%%edi)");
                            else
                                TRY("lcall *(%%rdi)");
                            if (v)
                                expect_fault(v, s, "call: type %x DPL %u LD %u P %x level %u", type,
                                             dpl, ld, p, l);
                            else {
                                landed(s | l, "call to type", type);
                                check_eq(last.sp, ctx.sp - 8, "RSP");
                                check_eq(((uint32_t *)last.sp)[0], last.end, "return address");
                                check_eq(((uint32_t *)last.sp)[1] & 0xffff, ctx.cs, "return CS");
                            }
                        }
    at(RING0);
    far64.sel = KCODE64;
    in.di = (word)&far64;
    if (!vendor_amd()) { /* AMD ignores REX.W here */
        TRY("rex.w ljmp *(%%rdi)");
        landed(KCODE64, "jmp m16:64", 0);
        TRY("rex.w lcall *(%%rdi)");
        landed(KCODE64, "call m16:64", 0);
        check_eq(last.sp, ctx.sp - 16, "RSP");
        far64.offset = BAD;
        TRY("rex.w ljmp *(%%rdi)");
        expect_fault(GP, 0, "jmp to where it is not canonical");
        TRY("rex.w lcall *(%%rdi)");
        expect_fault(GP, 0, "call to where it is not canonical");
        check_eq(last.sp, ctx.sp, "nothing pushed");
    }
    TRY(".byte 0xea, 0, 0, 0, 0, 0, 0");
    expect_fault(UD, 0, "jmp ptr16:32");
    TRY(".byte 0x9a, 0, 0, 0, 0, 0, 0");
    expect_fault(UD, 0, "call ptr16:32");
    gdt_set(s, descriptor(0, 0xfff, P | T_XR, F_D));
    far32.sel = s;
    in.di = (word)&far32;
    TRY("ljmp *(%%rdi)");
    expect_fault(GP, 0, "jmp beyond the limit of a compatibility segment");
}

static void call_gates(void)
{
    const unsigned g = SLOT(2), s = SLOT(4);
    for (unsigned call = 0; call < 2; call++)
        for (enum level l = RING0; l <= RING3; l += 3)
            for (unsigned gdpl = 0; gdpl < 4; gdpl += 3)
                for (unsigned t = 0; t < 4; t++)
                    for (unsigned k = 0; k < 64; k++) {
                        const bool conforming = k & 1, from32 = k & 32;
                        const unsigned gp = k & 2 ? P : 0, sp = k & 4 ? P : 0, ld = k >> 3 & 3;
                        unsigned v = 0, e = 0;
                        if (gdpl < l)
                            v = GP, e = g;
                        else if (!gp)
                            v = NP, e = g;
                        else if (t > l || (!call && !conforming && t != l) || ld != 1)
                            v = GP, e = s;
                        else if (!sp)
                            v = NP, e = s;
                        if (v == GP && e == s && !sp)
                            continue;
                        if (from32)
                            at_compat(l);
                        else
                            at(l);
                        gdt_set(s, descriptor(0, 0xfffff,
                                              sp | DPL(t) | (conforming ? T_XR_CONF : T_XR),
                                              F_G | (ld & 1 ? F_L : 0) | (ld & 2 ? F_D : 0)));
                        gdt_set(g, gate(s, (uint32_t)(word)land, gp | DPL(gdpl) | T_CALL32, 5));
                        gdt_set(g + 8, 0);
                        far32.sel = (uint16_t)(g | l);
                        in.di = (word)&far32;
                        if (from32) {
                            if (call)
                                TRY32("lcall *(%%edi)");
                            else
                                TRY32("ljmp *(%%edi)");
                        } else if (call)
                            TRY("lcall *(%%rdi)");
                        else
                            TRY("ljmp *(%%rdi)");
                        if (v) {
                            expect_fault(v, e, "far %u: gate DPL %u level %u, code DPL %u, case %x",
                                         call, gdpl, l, t, k);
                            continue;
                        }
                        const unsigned now = call && !conforming ? t : (unsigned)l;
                        landed(s | now, "gate, case", k);
                        if (!call)
                            continue;
                        const word top = now < l ? (word)entry_stack_top : ctx.sp;
                        check_eq(last.sp, top - (now < l ? 32 : 16),
                                 "RSP behind the gate, level %u", now);
                        check_eq(last.ss, now < l ? now : ctx.ss, "SS behind the gate");
                        const uint64_t *f = (uint64_t *)last.sp;
                        check_eq(f[0], last.end, "return RIP");
                        check_eq(f[1], ctx.cs, "return CS");
                        if (now < l) {
                            check_eq(f[2], ctx.sp, "caller's RSP");
                            check_eq(f[3], ctx.ss, "caller's SS");
                        }
                    }
    at(RING3);
    far32.sel = g | 3;
    in.di = (word)&far32;
    gdt_set(s, descriptor(0, 0xfffff, P | T_XR, F_G | F_L));
    gdt_set(g, gate(s, (uint32_t)(word)land, P | DPL(3) | T_CALL32, 0));
    for (unsigned type = 1; type < 32; type++) {
        gdt_set(g + 8, (uint64_t)type << 40);
        TRY("lcall *(%%rdi)");
        expect_fault(GP, g, "the gate's upper half has type %x", type);
    }
    gdt_set(g + 8, BAD >> 32);
    TRY("lcall *(%%rdi)");
    expect_fault(GP, 0, "a gate to where it is not canonical");
    gdt_set(g + 8, 0);
    gdt_set(g, gate(s, (uint32_t)(word)land, P | DPL(3) | T_CALL16, 0));
    TRY("lcall *(%%rdi)");
    expect_fault(GP, g, "a 16-bit gate");
    static const uint8_t none[] = {T_TSS32, T_TSS32B, T_TASK, T_LDT, T_INT32, T_TRAP32, 0, 8};
    for (unsigned i = 0; i < sizeof none; i++) {
        gdt_set(g, gate(TSS_MAIN, 0, P | DPL(3) | none[i], 0));
        TRY("lcall *(%%rdi)");
        expect_fault(GP, g, "call to type %x: no tasks here", none[i]);
    }
    gdt_set(g, gate(s, (uint32_t)(word)land, P | DPL(3) | T_CALL32, 0));
    tss.rsp[0] = BAD;
    TRY("lcall *(%%rdi)");
    expect_fault(SS, 0, "RSP0 is not canonical");
    tss.rsp[0] = (word)entry_stack_top;
}

/* RET and IRET, 64-bit frames. */
static void returns(void)
{
    const unsigned s = SLOT(6);
    for (unsigned iret = 0; iret < 2; iret++)
        for (enum level l = RING0; l <= RING3; l += 3)
            for (unsigned type = 0; type < 32; type++)
                for (unsigned dpl = 0; dpl < 4; dpl += 3)
                    for (unsigned rpl = 0; rpl < 4; rpl += 3)
                        for (unsigned k = 0; k < 8; k++) {
                            const unsigned p = k & 1 ? P : 0, ld = k >> 1;
                            const bool conforming = type & 4;
                            unsigned v = 0;
                            if (!IS_CODE(type) || ld == 3 || rpl < l ||
                                (conforming ? dpl > rpl : dpl != rpl))
                                v = GP;
                            else if (!p)
                                v = NP;
                            if (v == GP && ld == 3 && !p)
                                continue;
                            at(l);
                            gdt_set(s, descriptor(0, 0xfffff, p | DPL(dpl) | type,
                                                  F_G | (ld & 1 ? F_L : 0) | (ld & 2 ? F_D : 0)));
                            uint64_t *f = frame.word;
                            *f++ = (word)land;
                            *f++ = s | rpl;
                            if (iret)
                                *f++ = 0x47;
                            *f++ = (word)user_stack_top;
                            *f++ = rpl ? UDATA : KDATA;
                            ctx.sp = (word)frame.word;
                            if (iret)
                                TRY("iretq");
                            else
                                TRY("lretq");
                            if (v) {
                                expect_fault(v, s,
                                             "return %u: type %x DPL %u RPL %u level %u LD %u P %x",
                                             iret, type, dpl, rpl, l, ld, p);
                                continue;
                            }
                            landed(s | rpl, iret ? "iretq to type" : "lretq to type", type);
                            if (iret || rpl > l) {
                                check_eq(last.sp, (word)user_stack_top, "RSP");
                                check_eq(last.ss, rpl ? UDATA : KDATA, "SS");
                            } else {
                                check_eq(last.sp, (word)(frame.word + 2), "RSP");
                            }
                        }
    /* targets and stacks that are not canonical */
    at(RING0);
    ctx.sp = (word)frame.word;
    frame.word[0] = BAD;
    frame.word[1] = KCODE64;
    frame.word[2] = 2;
    frame.word[3] = (word)user_stack_top;
    frame.word[4] = KDATA;
    TRY("iretq");
    expect_fault(GP, 0, "iretq to where it is not canonical");
    TRY("lretq");
    expect_fault(GP, 0, "lretq to where it is not canonical");
    frame.word[1] = UCODE64;
    frame.word[4] = UDATA;
    TRY("iretq");
    expect_fault(GP, 0, "iretq to level 3, not canonical");
    check_eq(last.cs, KCODE64, "still level 0");
    frame.word[0] = (word)land;
    frame.word[3] = BAD;
    TRY("iretq");
    landed(UCODE64, "RSP may be anything", 0);
    check_eq(last.sp, BAD, "RSP");
    /* a null SS: for 64-bit code of levels 0 to 2 */
    for (unsigned rpl = 0; rpl < 4; rpl++)
        for (unsigned ss = 0; ss < 4; ss++)
            for (unsigned l64 = 0; l64 < 2; l64++) {
                at(RING0);
                gdt_set(s, descriptor(0, 0xfffff, P | DPL(rpl) | T_XR, F_G | (l64 ? F_L : F_D)));
                frame.word[0] = (word)land;
                frame.word[1] = s | rpl;
                frame.word[2] = 2;
                frame.word[3] = (word)user_stack_top;
                frame.word[4] = ss;
                ctx.sp = (word)frame.word;
                TRY("iretq");
                if (l64 && rpl != 3 && ss == rpl) {
                    landed(s | rpl, "null SS, level", rpl);
                    check_eq(last.ss, ss, "SS");
                } else {
                    expect_fault(GP, 0, "null SS %x for level %u, L %u", ss, rpl, l64);
                }
            }
    /* compatibility mode: a 32-bit IRET pops SS only on the way out */
    at_compat(RING0);
    uint32_t *f = (uint32_t *)frame.word;
    f[0] = (uint32_t)(word)land;
    f[1] = KCODE32;
    f[2] = 0x8d7;
    ctx.sp = (word)f;
    TRY32("iretl");
    landed(KCODE32, "iretl in compatibility mode", 0);
    check_eq(last.sp, (word)f + 12, "RSP");
    f = (uint32_t *)frame.word;
    f[0] = (uint32_t)(word)land;
    f[1] = UCODE64;
    f[2] = 0x8d7;
    f[3] = 0x12345678;
    f[4] = UDATA;
    TRY32("iretl");
    landed(UCODE64, "iretl to 64-bit code", 0);
    check_eq(last.sp, 0x12345678, "RSP is zero-extended");
    at(RING0);
    ctx.sp = (word)frame.word;
    TRY("iretl");
    landed(UCODE64, "iretl in 64-bit mode", 0);
    /* NT and VM */
    at(RING0);
    frame.word[0] = (word)land;
    frame.word[1] = KCODE64;
    frame.word[2] = 0x20002;
    frame.word[3] = (word)user_stack_top;
    frame.word[4] = KDATA;
    ctx.sp = (word)frame.word;
    TRY("iretq");
    landed(KCODE64, "VM in the frame", 0);
    check_eq(last.flags & 0x20000, 0, "is not loaded");
    frame.word[0] = (word)land;
    frame.word[1] = KCODE64;
    frame.word[2] = 2;
    frame.word[3] = (word)user_stack_top;
    frame.word[4] = KDATA;
    ctx.flags = 0x4002;
    TRY("iretq");
    expect_fault(GP, 0, "iret with NT");
    at_compat(RING0);
    ctx.flags = 0x4002;
    TRY32("iretl");
    expect_fault(GP, 0, "iret with NT in compatibility mode");
}

/* --- segments --- */

static void segments(void)
{
    at(RING0);
    in.ax = 0;
    TRY("mov %%ax, %%ss\n push %%rax\n pop %%rax");
    expect_done("null SS at level 0");
    for (unsigned rpl = 1; rpl < 4; rpl++) {
        in.ax = rpl;
        TRY("mov %%ax, %%ss");
        expect_fault(GP, 0, "null SS with RPL %u at level 0", rpl);
    }
    at(RING3);
    in.ax = 3;
    TRY("mov %%ax, %%ss");
    expect_fault(GP, 0, "null SS at level 3");
    at_compat(RING0);
    in.ax = 0;
    TRY32("mov %%ax, %%ss");
    expect_fault(GP, 0, "null SS in compatibility mode");
    /* limits and null do not matter, bases of FS and GS do */
    at(RING3);
    ctx.ds = ctx.es = 0;
    in.bx = (word)&frame;
    TRY("mov (%%rbx), %%rax\n mov %%rax, %%es:(%%rbx)");
    expect_done("null DS and ES");
    gdt_set(SLOT(8), descriptor((uint32_t)(word)&frame, 0, P | DPL(3) | T_RO, 0));
    in.ax = SLOT(8) | 3;
    frame.room[2] = 0x1234567890;
    TRY("mov %%ax, %%fs\n mov %%fs:16, %%rcx\n mov %%rcx, %%fs:24");
    expect_done("FS: a base; no limit, no rights");
    check_eq(last.r.cx, 0x1234567890, "FS: the base");
    check_eq(frame.room[3], 0x1234567890, "written through a read-only segment");
    TRY("mov %%ax, %%ds\n mov 16(%%rbx), %%rcx");
    check_eq(last.r.cx, 0x1234567890, "DS has no base");
    TRY(".byte 0x06");
    expect_fault(UD, 0, "push es");
    TRY(".byte 0x0e");
    expect_fault(UD, 0, "push cs");
    TRY(".byte 0xc4, 0x03");
    check(last.vector == UD, "les");
    TRY(".byte 0xd4, 10");
    expect_fault(UD, 0, "aam");
    TRY(".byte 0x60");
    expect_fault(UD, 0, "pusha");
    TRY(".byte 0xce");
    expect_fault(UD, 0, "into");
    TRY(".byte 0x62, 0x03");
    check(last.vector == UD, "bound");
    TRY(".byte 0x82, 0xc0, 1");
    expect_fault(UD, 0, "opcode 82");
    TRY(".byte 0x27");
    expect_fault(UD, 0, "daa");
    TRY(".byte 0xd6");
    expect_fault(UD, 0, "salc");
    /* compatibility mode checks everything */
    at_compat(RING3);
    gdt_set(SLOT(8), descriptor((uint32_t)(word)&frame, 15, P | DPL(3) | T_RO, 0));
    in.ax = SLOT(8) | 3;
    TRY32("mov %%ax, %%es\n movl %%es:12, %%ecx");
    expect_done("compatibility: within the limit");
    TRY32("mov %%ax, %%es\n movl %%es:13, %%ecx");
    expect_at(GP, 0, 2, "compatibility: beyond the limit");
    TRY32("mov %%ax, %%es\n movl %%ecx, %%es:12");
    expect_at(GP, 0, 2, "compatibility: read-only");
    in.ax = 0;
    TRY32("mov %%ax, %%ds\n movl 12, %%ecx");
    expect_at(GP, 0, 2, "compatibility: null DS");
    /* 16-byte descriptors */
    at(RING0);
    gdt_set(SLOT(10), descriptor((uint32_t)(word)ldt, 0xff, P | T_LDT, 0));
    gdt_set(SLOT(11), 0);
    in.ax = SLOT(10);
    TRY("lldt %%ax");
    expect_done("lldt");
    gdt_set(SLOT(11), bad_base(false) >> 32);
    TRY("lldt %%ax");
    expect_fault(GP, SLOT(10), "lldt: a base that is not canonical");
    gdt_set(SLOT(11), UINT64_C(1) << 40);
    TRY("lldt %%ax");
    expect_fault(GP, SLOT(10), "lldt: a type in the upper half");
    gdt_set(SLOT(11), 0);
    gdt_set(SLOT(10), descriptor((uint32_t)(word)&tss, 0x67, P | T_TSS16, 0));
    TRY("ltr %%ax");
    expect_fault(GP, SLOT(10), "ltr: a 16-bit TSS");
    gdt_set(SLOT(10), descriptor((uint32_t)(word)&tss, 0x67, P | T_TSS32B, 0));
    TRY("ltr %%ax");
    expect_fault(GP, SLOT(10), "ltr: a busy TSS");
    gdt_set(SLOT(10), descriptor((uint32_t)(word)&tss, 0x67, P | T_TSS32, 0));
    gdt_set(SLOT(11), bad_base(false) >> 32);
    TRY("ltr %%ax");
    expect_fault(GP, SLOT(10), "ltr: a base that is not canonical");
    check_eq(gdt_get(SLOT(10)) >> 40 & 2, 0, "not busy");
    gdt_set(SLOT(11), 0);
    in.ax = 0;
    TRY("lldt %%ax");
    expect_done("lldt null");
    /* the GDT ends within a 16-byte descriptor */
    in.ax = SLOT(10);
    lgdt(gdt, SLOT(10) + 7);
    TRY("ltr %%ax");
    expect_fault(GP, SLOT(10), "ltr: the upper half is beyond the GDT");
    lgdt(gdt, sizeof gdt - 1);
    /* LAR, LSL: types of this mode */
    for (unsigned type = 0; type < 16; type++) {
        const bool lar = type == 2 || type == 9 || type == 11 || type == 12,
                   lsl = type == 2 || type == 9 || type == 11;
        gdt_set(SLOT(10), descriptor(0, 0x123, P | type, 0));
        at(RING0);
        in = (struct regs){.ax = SLOT(10), .cx = (word)-1};
        TRY("lar %%eax, %%ecx");
        check_eq(last.flags & 0x40, lar ? 0x40 : 0, "lar of type %x", type);
        TRY("lsl %%eax, %%ecx");
        check_eq(last.flags & 0x40, lsl ? 0x40 : 0, "lsl of type %x", type);
        if (lsl)
            check_eq(last.r.cx, 0x123, "lsl zero-extends");
    }
}

/* --- addresses that are not canonical --- */

static void canonical(void)
{
    static const uint64_t bad[] = {
        BAD,       BADNEG, BAD - 7, UINT64_C(0x8000000000000000), UINT64_C(0x7fffffffffffffff),
        BADNEG - 3};
    for (enum level l = RING0; l <= RING3; l += 3)
        for (unsigned i = 0; i < sizeof bad / 8; i++) {
            const uint64_t a = bad[i];
            const bool straddles = a == BAD - 7; /* its first bytes are canonical */
            at(l);
            in = (struct regs){.bx = a, .si = a, .di = a, .bp = a, .cx = 1};
            TRY("mov (%%rbx), %%rax");
            expect_fault(GP, 0, "mov from %llx", a);
            TRY("mov %%rax, (%%rbx)");
            expect_fault(GP, 0, "mov to %llx", a);
            TRY("mov (%%rbp), %%rax");
            expect_fault(SS, 0, "mov from (rbp), %llx", a);
            TRY("mov %%rax, %%ss:(%%rbx)");
            check(last.vector == GP || last.vector == SS, "an SS override, %llx: vector %x", a,
                  last.vector);
            if (!straddles) {
                TRY("rep stosb");
                expect_fault(GP, 0, "stosb to %llx", a);
                TRY("jmp *%%rbx");
                expect_fault(GP, 0, "jmp to %llx", a);
                TRY("call *%%rbx");
                expect_fault(GP, 0, "call to %llx", a);
                TRY("push %%rbx\n ret");
                expect_at(GP, 0, 1, "ret to %llx", a);
            }
            if (l == RING3) {
                ctx.sp = a;
                TRY("pop %%rax");
                expect_fault(SS, 0, "pop from %llx", a);
                if (!straddles) {
                    ctx.sp = a + 8;
                    TRY("push %%rax");
                    expect_fault(SS, 0, "push to %llx", a);
                    TRY("call 1f\n 1:");
                    expect_fault(SS, 0, "call with RSP %llx", a);
                }
                ctx.sp = a;
                TRY("ret");
                expect_fault(SS, 0, "ret with RSP %llx", a);
                TRY("leave");
                expect_fault(SS, 0, "leave with RBP %llx", a);
            }
            at(l);
            TRY("invlpg (%%rbx)");
            if (l)
                expect_fault(GP, 0, "invlpg at level 3");
            else
                expect_done("invlpg of %llx is nothing", a);
            TRY("prefetcht0 (%%rbx)\n lea (%%rbx), %%rax\n nopl (%%rbx)");
            expect_done("prefetch, lea, nop of %llx", a);
        }
    /* descriptor table registers */
    at(RING0);
    for (unsigned i = 0; i < sizeof bad / 8; i++) {
        const uint64_t base = bad[i] == BAD      ? bad_base(false)
                              : bad[i] == BADNEG ? bad_base(true)
                                                 : bad[i];
        if (bad[i] == BAD - 7 || bad[i] == BADNEG - 3)
            continue;
        struct pointer p = {0xfff, base};
        memcpy(frame.room, &p, sizeof p);
        in.bx = (word)frame.room;
        TRY("lgdt (%%rbx)");
        expect_fault(GP, 0, "lgdt of %llx", base);
        TRY("lidt (%%rbx)");
        expect_fault(GP, 0, "lidt of %llx", base);
    }
    in.bx = BAD;
    TRY("lgdt (%%rbx)");
    expect_fault(GP, 0, "lgdt from where it is not canonical");
}

/* --- SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS --- */

enum {
    MSR_EFER = 0xc0000080u,
    MSR_STAR = 0xc0000081u,
    MSR_LSTAR = 0xc0000082u,
    MSR_CSTAR = 0xc0000083u,
    MSR_FMASK = 0xc0000084u,
    MSR_FS_BASE = 0xc0000100u,
    MSR_GS_BASE = 0xc0000101u,
    MSR_KGS_BASE = 0xc0000102u
};

static void fast_calls(void)
{
    extern uint8_t sys_land[];
    asm volatile(".pushsection .snip, \"ax\"\n sys_land: mov %%cs, %%eax\n mov %%ss, %%ebx\n "
                 "pushfq\n pop %%rdx\n int $0x80\n .popsection" ::);
    /* SYSRET wants user SS, then CS32 before, CS64 behind: slots 20: CS32, 21: SS, 22: CS64 */
    gdt_set(SLOT(20), gdt_get(UCODE32 & ~7));
    gdt_set(SLOT(21), gdt_get(UDATA & ~7));
    gdt_set(SLOT(22), gdt_get(UCODE64 & ~7));
    gdt_set(SLOT(23), gdt_get(KCODE64));
    gdt_set(SLOT(24), gdt_get(KDATA));
    const uint64_t efer = rdmsr(MSR_EFER);
    wrmsr(MSR_STAR, (uint64_t)(SLOT(20) | 3) << 48 | (uint64_t)SLOT(23) << 32);
    wrmsr(MSR_LSTAR, (word)sys_land);
    wrmsr(MSR_FMASK, 0x47700);
    for (enum level l = RING0; l <= RING3; l += 3) {
        at(l);
        wrmsr(MSR_EFER, efer & ~UINT64_C(1));
        TRY("syscall");
        expect_fault(UD, 0, "syscall without SCE");
        wrmsr(MSR_EFER, efer | 1);
        ctx.flags = 0x240a97;
        ctx.sp = (word)entry_stack_top - 256; /* SYSCALL leaves RSP */
        TRY("syscall");
        check_eq(last.vector, DONE, "syscall from level %u", l);
        check_eq(last.r.cx, last.end, "RCX");
        check_eq(last.r.ax, SLOT(23), "CS");
        check_eq(last.r.bx, SLOT(24), "SS");
        check_eq(last.r.dx, ctx.flags & ~(word)0x47700, "RFLAGS");
        check_eq(last.sp, ctx.sp, "RSP is left alone");
    }
    if (!vendor_amd()) {
        at_compat(RING3);
        TRY32("syscall");
        expect_fault(UD, 0, "syscall in compatibility mode");
    }
    /* the descriptors are not read: anything may stand there */
    gdt_set(SLOT(23), 0);
    gdt_set(SLOT(24), 0);
    at(RING3);
    TRY("syscall");
    check_eq(last.vector, DONE, "syscall to an empty descriptor");
    check_eq(last.cs, SLOT(23), "CS");
    /* SYSRET */
    at(RING0);
    in = (struct regs){.cx = (word)land};
    TRY("mov $0x2240ad7, %%r11\n sysretq");
    landed(SLOT(22) | 3, "sysretq", 0);
    check_eq(last.ss, SLOT(21) | 3, "SS");
    check_eq(last.flags, 0x240ad7, "RFLAGS from R11");
    check_eq(last.sp, ctx.sp, "RSP is left alone");
    TRY("mov $0x30002, %%r11\n sysretq");
    check_eq(last.flags & 0x30000, 0, "RF and VM are not loaded");
    TRY("mov $2, %%r11\n sysretl");
    landed(SLOT(20) | 3, "sysretl", 0);
    in.cx = (word)land | UINT64_C(0x500000000);
    TRY("mov $2, %%r11\n sysretl");
    landed(SLOT(20) | 3, "sysretl takes ECX", 0);
    for (unsigned i = 0; i < 2; i++) {
        in.cx = i ? BADNEG : BAD;
        TRY("mov $2, %%r11\n 1: sysretq");
        expect_at(GP, 0, 7, "sysretq to where it is not canonical");
        check_eq(last.cs, KCODE64, "at level 0");
    }
    wrmsr(MSR_EFER, efer & ~UINT64_C(1));
    TRY("sysretq");
    expect_fault(UD, 0, "sysret without SCE");
    wrmsr(MSR_EFER, efer | 1);
    at(RING3);
    TRY("sysretq");
    expect_fault(GP, 0, "sysret at level 3");
    at_compat(RING0);
    if (!vendor_amd()) {
        TRY32("sysretl");
        expect_fault(UD, 0, "sysret in compatibility mode");
    }
    wrmsr(MSR_EFER, efer);
    /* SYSENTER: slots 30: CS64 0, 31: SS 0, 32: CS32 3, 33: SS 3, 34: CS64 3, 35: SS 3 */
    if (features() & HAS_SEP) {
        wrmsr(0x174, 0);
        at(RING3);
        TRY("sysenter");
        expect_fault(GP, 0, "sysenter with a null CS");
        wrmsr(0x174, 3);
        TRY("sysenter");
        expect_fault(GP, 0, "sysenter with CS 3, which is null");
        wrmsr(0x174, SLOT(30) | 3);
        wrmsr(0x175, (word)entry_stack_top - 128);
        wrmsr(0x176, (word)sys_land);
        for (unsigned compat = 0; compat < 2; compat++) {
            if (compat)
                at_compat(RING3);
            else
                at(RING3);
            if (vendor_amd() && (compat || 1))
                break;
            ctx.flags = 0x300a97;
            ctx.flags = 0xa97;
            if (compat)
                TRY32("sysenter");
            else
                TRY("sysenter");
            check_eq(last.vector, DONE, "sysenter");
            check_eq(last.r.ax, SLOT(30), "CS");
            check_eq(last.r.bx, SLOT(31), "SS");
            check_eq(last.r.dx, 0x897, "IF is off, the rest stays");
            check_eq(last.sp, (word)entry_stack_top - 128, "RSP");
        }
        if (!vendor_amd()) {
            at(RING3);
            TRY("sysexitl");
            expect_fault(GP, 0, "sysexit at level 3");
            at(RING0);
            in = (struct regs){.dx = (word)land, .cx = (word)user_stack_top};
            TRY("sysexitl");
            landed(SLOT(32) | 3, "sysexit", 0);
            check_eq(last.ss, SLOT(33) | 3, "SS");
            TRY("sysexitq");
            landed(SLOT(34) | 3, "sysexitq", 0);
            check_eq(last.ss, SLOT(35) | 3, "SS");
            check_eq(last.sp, (word)user_stack_top, "RSP");
            in.dx = BAD;
            TRY("sysexitq");
            expect_fault(GP, 0, "sysexitq: RDX is not canonical");
            in.dx = (word)land;
            in.cx = BADNEG;
            TRY("sysexitq");
            expect_fault(GP, 0, "sysexitq: RCX is not canonical");
            wrmsr(0x174, 0);
            TRY("sysexitq");
            expect_fault(GP, 0, "sysexit with a null CS");
        }
    }
    /* SWAPGS */
    at(RING0);
    wrmsr(MSR_GS_BASE, (word)&frame);
    wrmsr(MSR_KGS_BASE, UINT64_C(0xffff800000001000));
    TRY("swapgs");
    expect_done("swapgs");
    check_eq(rdmsr(MSR_GS_BASE), UINT64_C(0xffff800000001000), "GS base");
    check_eq(rdmsr(MSR_KGS_BASE), (word)&frame, "the other");
    at(RING3);
    TRY("swapgs");
    expect_fault(GP, 0, "swapgs at level 3");
    at_compat(RING0);
    TRY32(".byte 0x0f, 0x01, 0xf8");
    expect_fault(UD, 0, "swapgs in compatibility mode");
    /* selectors: a null one in GS keeps or clears the base, a real one loads 32 bits */
    at(RING0);
    in.ax = KDATA;
    wrmsr(MSR_GS_BASE, UINT64_C(0xffff800000001000));
    TRY("mov %%ax, %%gs");
    check_eq(rdmsr(MSR_GS_BASE), 0, "a selector loads the base");
    /* segment base plus offset wraps, and must be canonical then */
    wrmsr(MSR_FS_BASE, UINT64_C(0xffff800000000000));
    in.bx = UINT64_C(0x0000800000000000) + (word)&frame;
    frame.room[0] = 0x77;
    TRY("mov %%fs:(%%rbx), %%rax");
    expect_done("base + offset is canonical though the offset is not");
    check_eq(last.r.ax, 0x77, "what is there");
    in.bx = 0x1000;
    wrmsr(MSR_FS_BASE, BAD - 0x1000);
    TRY("mov %%fs:(%%rbx), %%rax");
    expect_fault(GP, 0, "base + offset is not canonical");
    TRY("mov %%fs:(%%rsp), %%rax");
    expect_fault(GP, 0, "not #SS, through RSP with FS");
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, 0);
}

static uint8_t aligned[64] __attribute__((aligned(64)));
static void alignment(void)
{
    const word c0 = cr0(), c4 = cr4();
    write_cr0(c0 | 1 << 18);
    write_cr4(c4 | 0x600);
    for (unsigned off = 0; off < 17; off++) {
        at(RING3);
        ctx.flags = 0x40002;
        in.bx = (word)aligned + off;
#define AC_IF(align, text)                            \
    TRY(text);                                        \
    if (off & (align - 1))                            \
        expect_fault(AC, 0, "%s at +%u", #text, off); \
    else                                              \
        expect_done("%s at +%u", #text, off)
        AC_IF(8, "mov (%%rbx), %%rax");
        AC_IF(8, "mov %%rax, (%%rbx)");
        AC_IF(4, "addl %%eax, (%%rbx)");
        AC_IF(2, "movw (%%rbx), %%ax");
        AC_IF(8, "lock xadd %%rax, (%%rbx)");
        AC_IF(8, "fldl (%%rbx)\n fstp %%st(0)");
        TRY("movb (%%rbx), %%al");
        expect_done("a byte");
        TRY("movaps (%%rbx), %%xmm0");
        if (off & 15)
            expect_fault(GP, 0, "movaps at +%u is #GP", off);
        in.bx = BAD + 1;
        TRY("mov (%%rbx), %%rax");
        expect_fault(GP, 0, "canonical before alignment");
        ctx.sp -= 4;
        TRY("push %%rax");
        expect_fault(AC, 0, "push");
        TRY("iretq");
        expect_fault(AC, 0, "iretq");
        TRY("lretq");
        expect_fault(AC, 0, "lretq");
    }
    write_cr4(c4);
    write_cr0(c0);
}

const struct test tests[] = {
    {"gates", gates},         {"handler_code", handler_code},
    {"stacks", stacks},       {"combinations", combinations},
    {"direct", direct},       {"call_gates", call_gates},
    {"returns", returns},     {"segments", segments},
    {"canonical", canonical}, {"fast_calls", fast_calls},
    {"alignment", alignment}, {NULL, NULL},
};
