/* Far transfers in 32-bit protected mode: JMP, CALL, RET, IRET, call gates, by every privilege. */
#include "rt.h"

const char image_name[] = "far32";

#define IS_CODE(t) (((t)&0x18) == 0x18)

/* Where transfers land: it says so at once. */
extern uint8_t land[], land_end[];
asm(".pushsection .snip, \"ax\"\n land: int $0x80\n land_end: .popsection");

static struct {
    uint32_t room[64], word[16];
} frame;
static struct {
    uint32_t offset;
    uint16_t sel;
} __attribute__((packed)) target;

static void landed(unsigned cs, const char *what, unsigned a, unsigned b)
{
    check(last.vector == DONE && last.ip == (word)land_end, "%s %x %x lands (vector %x error %x)",
          what, a, b, last.vector, last.error);
    check_eq(last.cs, cs, "%s %x %x: CS", what, a, b);
}

static bool is_system_that_goes_on(unsigned type)
{
    return type == 1 || type == 4 || type == 5 || type == 9 || type == 12;
}

static void direct(void)
{
    const unsigned s = SLOT(0);
    target.offset = (uint32_t)land;
    for (unsigned call = 0; call < 2; call++)
        for (unsigned cpl = 0; cpl < 4; cpl++)
            for (unsigned type = 0; type < 32; type++)
                for (unsigned dpl = 0; dpl < 4; dpl++)
                    for (unsigned rpl = 0; rpl < 4; rpl++)
                        for (unsigned p = 0; p <= P; p += P) {
                            if (is_system_that_goes_on(type))
                                continue;
                            unsigned v = 0;
                            const bool conforming = type & 4;
                            if (!IS_CODE(type) ||
                                (conforming ? dpl > cpl : rpl > cpl || dpl != cpl))
                                v = GP;
                            else if (!p)
                                v = NP;
                            at(cpl);
                            gdt_set(s,
                                    descriptor(0, 0xfffff, p | DPL(dpl) | (type & ~1u), F_G | F_D));
                            if (type < 16)
                                gdt_set(s, descriptor(0, 0xfffff, p | DPL(dpl) | type, F_G | F_D));
                            else if (type & 1)
                                continue;
                            const uint64_t before = gdt_get(s);
                            target.sel = (uint16_t)(s | rpl);
                            in.di = (word)&target;
                            if (call)
                                TRY("lcall *(%%edi)");
                            else
                                TRY("ljmp *(%%edi)");
                            if (v) {
                                expect_fault(v, s, "far %u: type %x DPL %u RPL %u CPL %u P %x",
                                             call, type, dpl, rpl, cpl, p);
                                check_eq(gdt_get(s), before, "descriptor untouched");
                            } else {
                                landed(s | cpl, call ? "call to type, RPL" : "jmp to type, RPL",
                                       type, rpl);
                                check_eq(gdt_get(s) >> 40 & 1, 1, "accessed");
                            }
                            if (call && !v) {
                                const uint32_t *sp = (uint32_t *)last.sp;
                                check_eq(last.sp, ctx.sp - 8, "ESP");
                                check_eq(sp[0], last.end, "return address");
                                check_eq(sp[1] & 0xffff, ctx.cs, "return CS");
                            }
                        }
    at(RING0);
    static const uint16_t bad[] = {0, 3, 0x400, 0xfffc, 4};
    for (unsigned i = 0; i < sizeof bad / 2; i++) {
        target.sel = bad[i];
        in.di = (word)&target;
        TRY("ljmp *(%%edi)");
        expect_fault(GP, bad[i] & ~3u, "jmp to selector %x", bad[i]);
        TRY("lcall *(%%edi)");
        expect_fault(GP, bad[i] & ~3u, "call to selector %x", bad[i]);
    }
    gdt_set(s, descriptor(0, (uint32_t)land - 1, P | T_XR, F_D));
    target.sel = s;
    TRY("ljmp *(%%edi)");
    expect_fault(GP, 0, "jmp beyond the limit");
    TRY("lcall *(%%edi)");
    expect_fault(GP, 0, "call beyond the limit");
    check_eq(last.sp, ctx.sp, "nothing pushed");
    /* the stack is looked at before the target's limit */
    gdt_set(SLOT(1), descriptor(0, 0xfff, P | DPL(3) | T_RW, F_D));
    gdt_set(s, descriptor(0, 0xfff, P | DPL(3) | T_XR, F_D));
    at(RING3);
    ctx.ss = SLOT(1) | 3;
    target.sel = s | 3;
    in.di = (word)&target;
    TRY("lcall *(%%edi)");
    expect_fault(SS, 0, "call: no room on the stack, and beyond the limit");
}

static void operand_sizes(void)
{
    const unsigned s = SLOT(0);
    static struct {
        uint16_t offset, sel;
    } __attribute__((packed)) short_target;
    at(RING0);
    gdt_set(s, descriptor((uint32_t)land - 0x10, 0xffff, P | T_XR, F_D));
    short_target.offset = 0x10;
    short_target.sel = s;
    in.di = (word)&short_target;
    TRY("data16 ljmp *(%%edi)");
    check(last.vector == DONE && last.ip == 0x12, "a 16-bit far jmp");
    TRY("data16 lcall *(%%edi)");
    check(last.vector == DONE && last.ip == 0x12, "a 16-bit far call");
    check_eq(last.sp, ctx.sp - 4, "pushes two words");
    check_eq(*(uint16_t *)last.sp, last.end & 0xffff, "IP");
    check_eq(*(uint16_t *)(last.sp + 2), KCODE32, "CS");
    frame.word[0] = 0x12340010;
    ((uint16_t *)frame.word)[0] = 0x10;
    ((uint16_t *)frame.word)[1] = s;
    ctx.sp = (word)frame.word;
    TRY("data16 lret");
    check(last.vector == DONE && last.ip == 0x12, "a 16-bit far ret");
    check_eq(last.sp, ctx.sp + 4, "pops two words");
    frame.word[0] = s << 16 | 0x10;
    ((uint16_t *)frame.word)[2] = 0x8d5;
    TRY("data16 iret");
    check(last.vector == DONE && last.ip == 0x12, "a 16-bit iret");
    check_eq(last.flags & 0xffff, 0x8d7, "its flags");
}

static void call_gates(void)
{
    const unsigned g = SLOT(2), s = SLOT(3);
    target.offset = 0xdeadbeef; /* ignored */
    for (unsigned call = 0; call < 2; call++)
        for (unsigned cpl = 0; cpl < 4; cpl++)
            for (unsigned gdpl = 0; gdpl < 4; gdpl++)
                for (unsigned rpl = 0; rpl < 4; rpl++)
                    for (unsigned t = 0; t < 4; t++)
                        for (unsigned k = 0; k < 16; k++) {
                            const bool conforming = k & 1;
                            const unsigned gp = k & 2 ? P : 0, sp = k & 4 ? P : 0,
                                           gtype = k & 8 ? T_CALL32 : T_CALL16;
                            unsigned v = 0, e = 0;
                            if (gdpl < cpl || gdpl < rpl)
                                v = GP, e = g;
                            else if (!gp)
                                v = NP, e = g;
                            else if (t > cpl || (!call && !conforming && t != cpl))
                                v = GP, e = s;
                            else if (!sp)
                                v = NP, e = s;
                            at(cpl);
                            const uint32_t base = gtype == T_CALL16 ? (uint32_t)land - 0x20 : 0;
                            gdt_set(s, descriptor(base, 0xfffff,
                                                  sp | DPL(t) | (conforming ? T_XR_CONF : T_XR),
                                                  F_G | F_D));
                            gdt_set(g,
                                    gate(s | 3, (uint32_t)land - base, gp | DPL(gdpl) | gtype, 0));
                            target.sel = (uint16_t)(g | rpl);
                            in.di = (word)&target;
                            if (call)
                                TRY("lcall *(%%edi)");
                            else
                                TRY("ljmp *(%%edi)");
                            if (v) {
                                expect_fault(
                                    v, e, "far %u: gate DPL %u RPL %u CPL %u, code DPL %u, case %x",
                                    call, gdpl, rpl, cpl, t, k);
                                continue;
                            }
                            const unsigned now = call && !conforming ? t : cpl;
                            check(last.vector == DONE && last.ip == (word)land + 2 - base,
                                  "gate %u %u %u %u %x lands: vector %x error %x", cpl, gdpl, rpl,
                                  t, k, last.vector, last.error);
                            check_eq(last.cs, s | now, "CS behind the gate");
                            if (!call)
                                continue;
                            const unsigned size = gtype == T_CALL16 ? 2 : 4;
                            const word top = now < cpl ? (word)entry_stack_top : ctx.sp;
                            if (now > 0) { /* at level 0 the INT 80h changes no stack, and sp is
                                              counted from there */
                                check_eq(last.sp, top - size * (now < cpl ? 4 : 2),
                                         "ESP behind the gate, level %u", now);
                                check_eq(last.ss, now < cpl ? (now == 1 ? R1DATA : R2DATA) : ctx.ss,
                                         "SS behind the gate, level %u", now);
                            }
                        }
    /* what is behind the gate */
    at(RING3);
    in.di = (word)&target;
    target.sel = g | 3;
    static const struct {
        uint16_t sel;
        uint8_t vector;
        uint16_t error;
    } bad[] = {{0, GP, 0},         {3, GP, 0}, {0x7f8, GP, 0x7f8},      {0x7fb, GP, 0x7f8},
               {KDATA, GP, KDATA}, {4, GP, 4}, {TSS_MAIN, GP, TSS_MAIN}};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        gdt_set(g, gate(bad[i].sel, (uint32_t)land, P | DPL(3) | T_CALL32, 0));
        TRY("lcall *(%%edi)");
        expect_fault(bad[i].vector, bad[i].error, "gate to selector %x", bad[i].sel);
    }
    gdt_set(s, descriptor(0, 0xfff, P | T_XR, F_D));
    gdt_set(g, gate(s, (uint32_t)land, P | DPL(3) | T_CALL32, 0));
    TRY("lcall *(%%edi)");
    expect_fault(GP, 0, "gate to beyond the limit");
}

static void gate_parameters(void)
{
    const unsigned g = SLOT(2), s = SLOT(3);
    static uint32_t params[40];
    tss.stack[1].esp = (word)test_stack_top; /* apart from level 0's */
    for (unsigned n = 0; n < 32; n++)
        for (unsigned wide = 0; wide < 2; wide++) {
            const unsigned size = wide ? 4 : 2;
            const uint32_t base = wide ? 0 : (uint32_t)land - 0x20;
            for (unsigned i = 0; i < 40; i++)
                params[i] = 0x11110000 * (i & 7) + 0x0101 * i;
            at(RING3);
            gdt_set(s, descriptor(base, 0xfffff, P | DPL(1) | T_XR, F_G | F_D));
            gdt_set(g,
                    gate(s, (uint32_t)land - base, P | DPL(3) | (wide ? T_CALL32 : T_CALL16), n));
            ctx.sp = (word)params;
            target.sel = g | 3;
            in.di = (word)&target;
            TRY("lcall *(%%edi)");
            check(last.vector == DONE, "gate with %u parameters: vector %x error %x", n,
                  last.vector, last.error);
            check_eq(last.sp, (word)test_stack_top - size * (n + 4), "ESP, %u parameters", n);
            const uint8_t *sp = (uint8_t *)last.sp;
            check_eq(memcmp(sp + 2 * size, params, n * size), 0, "%u parameters of %u bytes", n,
                     size);
            check_eq(*(uint16_t *)(sp + size), UCODE32, "return CS");
            check_eq(*(uint16_t *)(sp + (n + 3) * size), UDATA, "caller's SS");
            if (wide) {
                check_eq(*(uint32_t *)sp, last.end, "return EIP");
                check_eq(*(uint32_t *)(sp + (n + 2) * size), (word)params, "caller's ESP");
            } else {
                check_eq(*(uint16_t *)sp, last.end & 0xffff, "return IP");
            }
        }
    /* the outer stack is too short for them */
    gdt_set(SLOT(4), descriptor((word)params, 7, P | DPL(3) | T_RW, F_D));
    gdt_set(s, descriptor(0, 0xfffff, P | DPL(1) | T_XR, F_G | F_D));
    gdt_set(g, gate(s, (uint32_t)land, P | DPL(3) | T_CALL32, 3));
    at(RING3);
    ctx.ss = SLOT(4) | 3;
    ctx.sp = 0;
    TRY("lcall *(%%edi)");
    expect_fault(SS, 0, "parameters beyond the caller's stack");
    /* the inner stack: as for interrupts, but the selector's own error code */
    at(RING3);
    const uint16_t keep = tss.stack[1].ss;
    const uint32_t keep_sp = tss.stack[1].esp;
    tss.stack[1].ss = 0;
    TRY("lcall *(%%edi)");
    expect_fault(TS, 0, "null SS1");
    tss.stack[1].ss = KDATA;
    TRY("lcall *(%%edi)");
    expect_fault(TS, KDATA, "SS1 of the wrong level");
    gdt_set(SLOT(5), descriptor((word)params, 63, DPL(1) | T_RW, F_D));
    tss.stack[1].ss = SLOT(5) | 1;
    TRY("lcall *(%%edi)");
    expect_fault(SS, SLOT(5), "SS1 not present");
    gdt_set(SLOT(5), descriptor((word)params, 63, P | DPL(1) | (T_RW & ~1), F_D));
    tss.stack[1].esp = 24;
    TRY("lcall *(%%edi)");
    expect_fault(SS, SLOT(5), "SS1 too short: room for 6 of 7 words");
    check_eq(gdt_get(SLOT(5)) >> 40 & 1, 0, "accessed is not set");
    tss.stack[1].esp = 28;
    TRY("lcall *(%%edi)");
    check_eq(last.vector, DONE, "room for 7 words");
    check_eq(gdt_get(SLOT(5)) >> 40 & 1, 1, "accessed is set");
    tss.stack[1].ss = keep;
    tss.stack[1].esp = keep_sp;
    tss.stack[1].esp = (word)entry_stack_top;
}

/* lret and iret with a frame made by hand; what comes of its CS. */
static void return_code(void)
{
    const unsigned s = SLOT(6);
    for (unsigned iret = 0; iret < 2; iret++)
        for (unsigned cpl = 0; cpl < 4; cpl++)
            for (unsigned type = 0; type < 32; type++)
                for (unsigned dpl = 0; dpl < 4; dpl++)
                    for (unsigned rpl = 0; rpl < 4; rpl++)
                        for (unsigned p = 0; p <= P; p += P) {
                            static const uint16_t stacks[] = {KDATA, R1DATA, R2DATA, UDATA};
                            const bool conforming = type & 4;
                            unsigned v = 0;
                            if (!IS_CODE(type) || rpl < cpl ||
                                (conforming ? dpl > rpl : dpl != rpl))
                                v = GP;
                            else if (!p)
                                v = NP;
                            at(cpl);
                            gdt_set(s, descriptor(0, 0xfffff, p | DPL(dpl) | type, F_G | F_D));
                            uint32_t *f = frame.word;
                            *f++ = (uint32_t)land;
                            *f++ = s | rpl;
                            if (iret)
                                *f++ = 0x47; /* CF, PF, ZF */
                            *f++ = (uint32_t)user_stack_top;
                            *f++ = stacks[rpl];
                            ctx.sp = (word)frame.word;
                            if (iret)
                                TRY("iretl");
                            else
                                TRY("lret");
                            if (v) {
                                expect_fault(v, s, "return %u: type %x DPL %u RPL %u CPL %u P %x",
                                             iret, type, dpl, rpl, cpl, p);
                                continue;
                            }
                            landed(s | rpl, iret ? "iret to type, RPL" : "lret to type, RPL", type,
                                   rpl);
                            if (rpl > cpl) {
                                check_eq(last.sp, (word)user_stack_top, "outer ESP");
                                check_eq(last.ss, stacks[rpl], "outer SS");
                                check_eq(last.ds, rpl > cpl ? 0 : ctx.ds,
                                         "DS of an inner level is dropped");
                            } else if (rpl) {
                                check_eq(last.sp, (word)frame.word + (iret ? 12 : 8), "same ESP");
                                check_eq(last.ds, ctx.ds, "DS stays");
                            }
                            if (iret)
                                check_eq(last.flags & 0x8d5, 0x45, "flags");
                        }
    at(RING0);
    ctx.sp = (word)frame.word;
    static const uint16_t bad[] = {0, 3, 0x7f8, 0xfffb, 4};
    for (unsigned i = 0; i < sizeof bad / 2; i++) {
        frame.word[1] = bad[i];
        TRY("lret");
        expect_fault(GP, bad[i] & ~3u, "lret to selector %x", bad[i]);
        TRY("iretl");
        expect_fault(GP, bad[i] & ~3u, "iret to selector %x", bad[i]);
    }
    gdt_set(s, descriptor(0, (uint32_t)land - 1, P | T_XR, F_D));
    frame.word[1] = s;
    frame.word[2] = 0x8d7;
    TRY("lret");
    expect_fault(GP, 0, "lret beyond the limit");
    check_eq(last.sp, ctx.sp, "ESP stays");
    TRY("iretl");
    expect_fault(GP, 0, "iret beyond the limit");
    check_eq(last.flags & 0x8d5, 0, "flags stay");
}

static void return_stack(void)
{
    const unsigned s = SLOT(7);
    for (unsigned iret = 0; iret < 2; iret++)
        for (unsigned cpl = 0; cpl < 3; cpl++)
            for (unsigned type = 0; type < 32; type++)
                for (unsigned dpl = 0; dpl < 4; dpl++)
                    for (unsigned rpl = 0; rpl < 4; rpl++)
                        for (unsigned p = 0; p <= P; p += P) {
                            const bool writable =
                                type == 0x12 || type == 0x13 || type == 0x16 || type == 0x17;
                            unsigned v = 0;
                            if (rpl != 3 || !writable || dpl != 3)
                                v = GP;
                            else if (!p)
                                v = SS;
                            at(cpl);
                            gdt_set(s, descriptor(0, type & 4 ? 0 : 0xfffff, p | DPL(dpl) | type,
                                                  F_G | F_D));
                            uint32_t *f = frame.word;
                            *f++ = (uint32_t)land;
                            *f++ = UCODE32;
                            if (iret)
                                *f++ = 0x47;
                            *f++ = (uint32_t)user_stack_top;
                            *f++ = s | rpl;
                            ctx.sp = (word)frame.word;
                            if (iret)
                                TRY("iretl");
                            else
                                TRY("lret");
                            if (v) {
                                expect_fault(v, s,
                                             "return %u: SS type %x DPL %u RPL %u CPL %u P %x",
                                             iret, type, dpl, rpl, cpl, p);
                                check_eq(last.cs & 3, cpl, "still in the old CS");
                            } else {
                                landed(UCODE32, "return with SS type, CPL", type, cpl);
                                check_eq(last.ss, s | 3, "outer SS");
                            }
                        }
    at(RING0);
    ctx.sp = (word)frame.word;
    static const uint16_t bad[] = {0, 3, 0x7fb, 7};
    for (unsigned i = 0; i < sizeof bad / 2; i++) {
        frame.word[1] = UCODE32;
        frame.word[3] = bad[i];
        TRY("lret");
        expect_fault(GP, bad[i] & ~3u, "lret with SS %x", bad[i]);
        frame.word[2] = 2;
        frame.word[4] = bad[i];
        TRY("iretl");
        expect_fault(GP, bad[i] & ~3u, "iret with SS %x", bad[i]);
    }
    /* RET n takes its bytes from both stacks */
    frame.word[0] = (uint32_t)land;
    frame.word[1] = UCODE32;
    frame.word[4] = (uint32_t)user_stack_top - 64;
    frame.word[5] = UDATA;
    TRY("lret $8");
    landed(UCODE32, "lret 8", 0, 0);
    check_eq(last.sp, (word)user_stack_top - 56, "ESP behind lret 8");
    frame.word[1] = KCODE32;
    TRY("lret $0x10");
    landed(KCODE32, "lret 10h, same level", 0, 0);
    check_eq(last.sp, ctx.sp + 24, "ESP behind lret 10h");
    /* a 16-bit outer stack takes SP only */
    gdt_set(s, descriptor(0, 0xffff, P | DPL(3) | T_RW, 0));
    frame.word[0] = (uint32_t)land;
    frame.word[1] = UCODE32;
    frame.word[2] = 0x5678c000;
    frame.word[3] = s | 3;
    TRY("lret");
    landed(UCODE32, "lret to a 16-bit stack", 0, 0);
    check_eq(last.sp & 0xffff, 0xc000, "SP");
    check_eq(last.sp >> 16, ctx.sp >> 16, "the rest of ESP stays");
}

/* DS, ES, FS, GS: dropped on the way out if the level may not have them. */
static void dropped(void)
{
    const unsigned s = SLOT(8);
    for (unsigned to = 1; to < 4; to++)
        for (unsigned type = 0x10; type < 32; type++)
            for (unsigned dpl = 0; dpl < 4; dpl++) {
                static const uint16_t cs[] = {KCODE32, R1CODE, R2CODE, UCODE32};
                static const uint16_t ss[] = {KDATA, R1DATA, R2DATA, UDATA};
                const bool code = IS_CODE(type), conforming = code && (type & 4);
                if (code && !(type & 2))
                    continue;
                at(RING0);
                gdt_set(s, descriptor(0, type & 4 && !code ? 0 : 0xfffff, P | DPL(dpl) | type,
                                      F_G | F_D));
                ctx.ds = ctx.es = ctx.fs = ctx.gs = s;
                frame.word[0] = (uint32_t)land;
                frame.word[1] = cs[to];
                frame.word[2] = 2;
                frame.word[3] = (uint32_t)user_stack_top;
                frame.word[4] = ss[to];
                ctx.sp = (word)frame.word;
                TRY("iretl");
                const unsigned want = dpl >= to || conforming ? s : 0;
                check(last.vector == DONE, "lands");
                check_eq(last.ds, want, "DS type %x DPL %u to level %u", type, dpl, to);
                check_eq(last.es, want, "ES type %x DPL %u to level %u", type, dpl, to);
                check_eq(last.fs, want, "FS type %x DPL %u to level %u", type, dpl, to);
                check_eq(last.gs, want, "GS type %x DPL %u to level %u", type, dpl, to);
            }
}

/* IRET pops what it may: the flags of each level are in exc32's iopl. */
static void iret_flags(void)
{
    for (enum level l = RING0; l <= RING3; l++) {
        at(l);
        ctx.sp = (word)frame.word;
        frame.word[0] = (uint32_t)land;
        frame.word[1] = ctx.cs;
        frame.word[2] = 0x240dd5 | 0x10000; /* ID, AC, RF and the arithmetic ones */
        frame.word[3] = ctx.sp;
        frame.word[4] = ctx.ss;
        TRY("iretl");
        landed(ctx.cs, "iret at level", l, 0);
        check_eq(last.flags & 0x3c4dd7, 0x240dd7 & ~0u, "flags loaded at level %u", l);
        frame.word[0] = (uint32_t)land;
        frame.word[1] = ctx.cs;
        frame.word[2] = 0xffc08028 | 2; /* reserved bits */
        frame.word[3] = ctx.sp;
        frame.word[4] = ctx.ss;
        TRY("iretl");
        landed(ctx.cs, "iret with reserved bits, level", l, 0);
        check_eq(last.flags & ~0x10000u, 2, "reserved bits stay clear");
        frame.word[2] = 0x20002; /* VM, which only level 0 may set */
        if (l) {
            frame.word[0] = (uint32_t)land;
            frame.word[1] = ctx.cs;
            TRY("iretl");
            landed(ctx.cs, "iret with VM at level", l, 0);
            check_eq(last.flags & 0x20000, 0, "VM is not loaded at level %u", l);
        }
    }
}

const struct test tests[] = {
    {"direct", direct},
    {"operand_sizes", operand_sizes},
    {"call_gates", call_gates},
    {"gate_parameters", gate_parameters},
    {"return_code", return_code},
    {"return_stack", return_stack},
    {"dropped", dropped},
    {"iret_flags", iret_flags},
    {NULL, NULL},
};
