/*
 * Segmentation in 32-bit protected mode. Most tests go through every type, DPL, RPL and CPL and
 * compare with the rules of SDM 2 under the instruction, written down once more here.
 */
#include "rt.h"

const char image_name[] = "seg32";

#define IS_CODE(t) (((t)&0x18) == 0x18)
#define IS_DATA(t) (((t)&0x18) == 0x10)

/* A descriptor of this type that would work if its type allows it. */
static uint64_t typed(unsigned type, unsigned dpl, unsigned p)
{
    const unsigned limit = IS_DATA(type) && (type & 4) ? 0 : 0xfffff;
    return descriptor(0, limit, p | DPL(dpl) | type, F_G | F_D);
}

/* SDM 2B "MOV", loading a segment register in protected mode; 0: it loads. */
static unsigned load_outcome(bool ss, unsigned type, unsigned dpl, unsigned rpl, unsigned cpl,
                             unsigned p)
{
    const bool segment = type & 0x10, code = IS_CODE(type), rw = type & 2,
               conforming = code && (type & 4);
    if (ss) {
        if (rpl != cpl || !segment || code || !rw || dpl != cpl)
            return GP;
        return p ? 0 : SS;
    }
    if (!segment || (code && !rw))
        return GP;
    if (!conforming && (rpl > dpl || cpl > dpl))
        return GP;
    return p ? 0 : NP;
}

static void load_matrix(void)
{
    const unsigned s = SLOT(0);
    static uint8_t far_pointer[6];
    for (unsigned cpl = 0; cpl < 4; cpl++)
        for (unsigned type = 0; type < 32; type++)
            for (unsigned dpl = 0; dpl < 4; dpl++)
                for (unsigned rpl = 0; rpl < 4; rpl++)
                    for (unsigned p = 0; p <= P; p += P) {
                        at(cpl);
                        in = (struct regs){.ax = s | rpl, .bx = ctx.ss, .di = (word)far_pointer};
                        far_pointer[0] = 0x77;
                        far_pointer[4] = (uint8_t)(s | rpl);
                        const unsigned ss = load_outcome(true, type, dpl, rpl, cpl, p);
                        gdt_set(s, typed(type & ~1u, dpl, p));
                        TRY("mov %%ax, %%ss\n mov %%bx, %%ss");
                        if (type & 1) {
                        } else if (ss) {
                            expect_fault(ss, s, "mov ss: type %x DPL %u RPL %u CPL %u P %x", type,
                                         dpl, rpl, cpl, p);
                            check_eq(gdt_get(s), typed(type & ~1u, dpl, p), "untouched");
                        } else {
                            expect_done("mov ss: type %x DPL %u RPL %u CPL %u P %x", type, dpl, rpl,
                                        cpl, p);
                            check_eq(gdt_get(s), typed(type | 1, dpl, p), "accessed is set");
                        }
                        const unsigned ds = load_outcome(false, type, dpl, rpl, cpl, p);
                        gdt_set(s, typed(type, dpl, p));
                        TRY("mov %%ax, %%fs");
                        if (ds) {
                            expect_fault(ds, s, "mov fs: type %x DPL %u RPL %u CPL %u P %x", type,
                                         dpl, rpl, cpl, p);
                            check_eq(gdt_get(s), typed(type, dpl, p), "untouched");
                            check_eq(last.fs, ctx.fs, "FS untouched");
                        } else {
                            expect_done("mov fs: type %x DPL %u RPL %u CPL %u P %x", type, dpl, rpl,
                                        cpl, p);
                            check_eq(gdt_get(s), typed(type | 1, dpl, p), "accessed is set");
                            check_eq(last.fs, s | rpl, "FS");
                        }
                        TRY("pushl %%eax\n popl %%gs");
                        if (ds)
                            expect_at(ds, s, 1, "pop gs: type %x DPL %u RPL %u CPL %u P %x", type,
                                      dpl, rpl, cpl, p);
                        else
                            expect_done("pop gs");
                        TRY("lesl (%%edi), %%ecx");
                        if (ds) {
                            expect_fault(ds, s, "les: type %x DPL %u RPL %u CPL %u P %x", type, dpl,
                                         rpl, cpl, p);
                            check_eq(last.r.cx, 0, "les leaves the register");
                        } else {
                            expect_done("les");
                            check_eq(last.r.cx, 0x77, "les loads the register");
                        }
                    }
}

/* Null selectors and those that lie outside their table. */
static void selectors(void)
{
    static const uint16_t outside[] = {0x400, 0x403, 0x7ff8, 0xfff8, 0xfffb};
    for (enum level l = RING0; l <= RING3; l++) {
        at(l);
        for (unsigned rpl = 0; rpl < 4; rpl++) {
            in = (struct regs){.ax = rpl, .bx = 0x1000};
            TRY("mov %%ax, %%fs");
            expect_done("null FS, level %u", l);
            check_eq(last.fs, rpl, "its RPL stays");
            TRY("mov %%ax, %%ss");
            expect_fault(GP, 0, "null SS, RPL %u level %u", rpl, l);
            TRY("mov %%ax, %%es\n 1: movb %%es:(%%ebx), %%al");
            expect_at(GP, 0, 2, "a load through a null ES");
            TRY("mov %%ax, %%ds\n 1: movb %%al, (%%ebx)");
            expect_at(GP, 0, 2, "a store through a null DS");
        }
        for (unsigned i = 0; i < sizeof outside / 2; i++) {
            in.ax = outside[i];
            TRY("mov %%ax, %%fs");
            expect_fault(GP, outside[i] & ~3u, "selector %x, level %u", outside[i], l);
            TRY("mov %%ax, %%ss");
            expect_fault(GP, outside[i] & ~3u, "selector %x in SS, level %u", outside[i], l);
        }
        in.ax = 0xc | l;
        TRY("mov %%ax, %%fs");
        expect_fault(GP, 0xc, "the LDT when there is none, level %u", l);
        in.ax = 4 | l;
        TRY("mov %%ax, %%fs");
        expect_fault(GP, 4, "entry 0 of the LDT when there is none");
    }
    /* the GDT's own limit cuts through a descriptor */
    at(RING0);
    lgdt(gdt, SLOT(4) + 6);
    gdt_set(SLOT(4), typed(T_RW, 0, P));
    in.ax = SLOT(4);
    TRY("mov %%ax, %%fs");
    expect_fault(GP, SLOT(4), "a descriptor cut by the limit");
    lgdt(gdt, SLOT(4) + 7);
    TRY("mov %%ax, %%fs");
    expect_done("a descriptor just inside the limit");
    lgdt(gdt, sizeof gdt - 1);
}

static void local_table(void)
{
    at(RING0);
    for (unsigned type = 0; type < 32; type++)
        for (unsigned p = 0; p <= P; p += P) {
            gdt_set(SLOT(2), descriptor((word)ldt, sizeof ldt - 1, p | type, 0));
            in.ax = SLOT(2);
            TRY("lldt %%ax\n sldt %%cx\n xor %%ax, %%ax\n lldt %%ax");
            if (type != T_LDT)
                expect_fault(GP, SLOT(2), "lldt of type %x P %x", type, p);
            else if (!p)
                expect_fault(NP, SLOT(2), "lldt, not present");
            else
                expect_done("lldt");
        }
    gdt_set(SLOT(2), descriptor((word)ldt, 4 * 8 - 1, P | T_LDT, 0));
    in.ax = SLOT(2) | 4;
    TRY("lldt %%ax");
    expect_fault(GP, SLOT(2) | 4, "lldt of a selector with TI");
    in.ax = 0xfff8;
    TRY("lldt %%ax");
    expect_fault(GP, 0xfff8, "lldt beyond the GDT");
    in.ax = SLOT(2) | 3;
    TRY("lldt %%ax");
    expect_done("lldt ignores RPL");
    for (unsigned i = 0; i < 4; i++)
        ldt[i] = typed(T_RW, 3, P);
    in.ax = 4 | 3;
    TRY("mov %%ax, %%fs");
    expect_done("entry 0 of an LDT is not null");
    in.ax = 0x1c | 3;
    TRY("mov %%ax, %%fs");
    expect_done("the LDT's last entry");
    in.ax = 0x24 | 3;
    TRY("mov %%ax, %%fs");
    expect_fault(GP, 0x24, "beyond the LDT");
    ldt[1] = typed(T_RW, 3, 0);
    in.ax = 0xc;
    TRY("mov %%ax, %%gs");
    expect_fault(NP, 0xc, "not present in the LDT");
    ldt[1] = typed(T_RW, 0, 0);
    TRY("mov %%ax, %%ss");
    expect_fault(SS, 0xc, "SS not present in the LDT");
    in.ax = 3;
    TRY("lldt %%ax\n sldt %%cx");
    expect_done("a null LDTR");
    check_eq(last.r.cx & 0xffff, 3, "keeps its RPL");
    asm volatile("lldt %w0" ::"r"(0));
}

static void task_register(void)
{
    static uint32_t some_tss[26];
    at(RING0);
    for (unsigned type = 0; type < 32; type++)
        for (unsigned p = 0; p <= P; p += P) {
            gdt_set(SLOT(2), descriptor((word)some_tss, 103, p | DPL(type & 3) | type, 0));
            in.ax = SLOT(2);
            in.bx = TSS_MAIN;
            in.di = (word)gdt + TSS_MAIN + 5;
            TRY("ltr %%ax\n str %%cx\n andb $~2, (%%edi)\n ltr %%bx");
            if (type != T_TSS16 && type != T_TSS32) {
                expect_fault(GP, SLOT(2), "ltr of type %x P %x", type, p);
            } else if (!p) {
                expect_fault(NP, SLOT(2), "ltr of type %x, not present", type);
            } else {
                expect_done("ltr of type %x", type);
                check_eq(last.r.cx & 0xffff, SLOT(2), "STR");
                check_eq((gdt_get(SLOT(2)) >> 40) & 0x1f, type | 2, "busy now");
            }
        }
    for (unsigned rpl = 0; rpl < 4; rpl++) {
        in.ax = rpl;
        TRY("ltr %%ax");
        expect_fault(GP, 0, "ltr of null");
    }
    tss_reload();
    in.ax = 0xc;
    TRY("ltr %%ax");
    expect_fault(GP, 0xc, "ltr of a selector with TI");
}

static void verify(void)
{
    const unsigned s = SLOT(3);
    for (unsigned cpl = 0; cpl < 4; cpl++)
        for (unsigned type = 0; type < 32; type++)
            for (unsigned dpl = 0; dpl < 4; dpl++)
                for (unsigned rpl = 0; rpl < 4; rpl++)
                    for (unsigned p = 0; p <= P; p += P) {
                        at(cpl);
                        gdt_set(
                            s, descriptor(0x12345678, 0xabcde, p | DPL(dpl) | type, F_G | F_D | 1));
                        in = (struct regs){.ax = s | rpl, .cx = 0x55555555};
                        const bool conforming = IS_CODE(type) && (type & 4), segment = type & 0x10;
                        const bool seen = conforming || (dpl >= cpl && dpl >= rpl);
                        static const uint32_t lsl_types =
                            1u << 1 | 1u << 2 | 1u << 3 | 1u << 9 | 1u << 11;
                        const uint32_t lar_types = lsl_types | 1u << 4 | 1u << 5 | 1u << 12;
                        const bool lar = seen && (segment || (lar_types >> type & 1));
                        const bool lsl = seen && (segment || (lsl_types >> type & 1));
                        ctx.flags = 0x42 ^ (lar ? 0x40 : 0); /* the opposite of what ZF becomes */
                        TRY("larl %%eax, %%ecx");
                        expect_done("lar");
                        check_eq(last.flags & 0x40, lar ? 0x40 : 0,
                                 "lar: type %x DPL %u RPL %u CPL %u", type, dpl, rpl, cpl);
                        /* bits 16 to 19 are undefined (SDM 2A LAR) */
                        check_eq(last.r.cx & ~(lar ? 0xf0000u : 0),
                                 lar ? (p | DPL(dpl) | type) << 8 | 0xd00000 : 0x55555555,
                                 "lar's value, type %x", type);
                        TRY("larw %%ax, %%cx");
                        check_eq(last.r.cx,
                                 lar ? (((p | DPL(dpl) | type) << 8) & 0xff00) | 0x55550000
                                     : 0x55555555,
                                 "lar of 16 bits, type %x", type);
                        TRY("lsll %%eax, %%ecx");
                        expect_done("lsl");
                        check_eq(last.flags & 0x40, lsl ? 0x40 : 0,
                                 "lsl: type %x DPL %u RPL %u CPL %u", type, dpl, rpl, cpl);
                        check_eq(last.r.cx, lsl ? 0xabcdefff : 0x55555555, "lsl's value, type %x",
                                 type);
                        const bool verr = seen && segment && (!IS_CODE(type) || (type & 2));
                        const bool verw = seen && IS_DATA(type) && (type & 2);
                        TRY("verr %%ax");
                        expect_done("verr");
                        check_eq(last.flags & 0x40, verr ? 0x40 : 0,
                                 "verr: type %x DPL %u RPL %u CPL %u", type, dpl, rpl, cpl);
                        TRY("verw %%ax");
                        expect_done("verw");
                        check_eq(last.flags & 0x40, verw ? 0x40 : 0,
                                 "verw: type %x DPL %u RPL %u CPL %u", type, dpl, rpl, cpl);
                        check_eq(gdt_get(s) >> 40 & 1, type & 1, "none of them sets accessed");
                    }
    static const uint16_t none[] = {0, 1, 3, 0x400, 0xfff8, 4, 0xc, 0xffff};
    for (unsigned i = 0; i < sizeof none / 2; i++) {
        at(RING3);
        ctx.flags = 0x42;
        in = (struct regs){.ax = none[i], .cx = 7};
        TRY("larl %%eax, %%ecx");
        expect_done("lar of %x", none[i]);
        check_eq(last.flags & 0x40, 0, "lar of %x", none[i]);
        check_eq(last.r.cx, 7, "lar of %x", none[i]);
        TRY("lsll %%eax, %%ecx");
        check_eq(last.flags & 0x40, 0, "lsl of %x", none[i]);
        TRY("verr %%ax");
        check_eq(last.flags & 0x40, 0, "verr of %x", none[i]);
        TRY("verw %%ax");
        check_eq(last.flags & 0x40, 0, "verw of %x", none[i]);
    }
}

static void arpl(void)
{
    static uint16_t word_at;
    at(RING3);
    for (unsigned d = 0; d < 4; d++)
        for (unsigned s = 0; s < 4; s++) {
            in = (struct regs){.ax = 0x11110100 | d, .cx = 0x2000 | s, .bx = (word)&word_at};
            word_at = (uint16_t)(0x100 | d);
            TRY("arpl %%cx, %%ax");
            expect_done("arpl");
            check_eq(last.r.ax, 0x11110100 | (d < s ? s : d), "arpl %u %u", d, s);
            check_eq(last.flags & 0x40, d < s ? 0x40 : 0, "its ZF, %u %u", d, s);
            TRY("arpl %%cx, (%%ebx)");
            check_eq(word_at, 0x100 | (d < s ? s : d), "arpl in memory");
        }
}

/* --- limits --- */

static uint8_t area[0x3000] __attribute__((aligned(4096)));

static void limits(void)
{
    const unsigned s = SLOT(5);
    static const unsigned sizes[] = {1, 2, 4};
    at(RING0);
    for (unsigned db = 0; db < 2; db++)
        for (unsigned limit = 0x1f0; limit < 0x1f6; limit++)
            for (unsigned i = 0; i < 3; i++)
                for (unsigned off = 0x1e8; off < 0x1fa; off++) {
                    gdt_set(s, descriptor((word)area, limit, P | T_RW, db ? F_D : 0));
                    ctx.es = ctx.fs = s;
                    in = (struct regs){.bx = off, .di = off};
                    const bool ok = off + sizes[i] - 1 <= limit;
                    if (i == 0)
                        TRY("movb %%es:(%%ebx), %%al");
                    else if (i == 1)
                        TRY("movw %%ax, %%es:(%%ebx)");
                    else
                        TRY("incl %%fs:(%%ebx)");
                    if (ok)
                        expect_done("limit %x, %u bytes at %x", limit, sizes[i], off);
                    else
                        expect_fault(GP, 0, "limit %x, %u bytes at %x", limit, sizes[i], off);
                }
    /* granularity */
    gdt_set(s, descriptor((word)area, 1, P | T_RW, F_G | F_D));
    ctx.es = s;
    in.bx = 0x1ffc;
    TRY("movl %%es:(%%ebx), %%eax");
    expect_done("the last doubleword of two pages");
    in.bx = 0x1ffd;
    TRY("movl %%es:(%%ebx), %%eax");
    expect_fault(GP, 0, "beyond two pages");
    /* rights */
    static const struct {
        unsigned type;
        bool rd, wr;
    } rights[] = {{T_RO, 1, 0}, {T_RW, 1, 1}, {T_XR, 1, 0}, {T_XR_CONF, 1, 0}};
    for (unsigned i = 0; i < 4; i++) {
        gdt_set(s, descriptor((word)area, 0xfff, P | rights[i].type, F_D));
        in.bx = 8;
        TRY("movl %%es:(%%ebx), %%eax");
        if (rights[i].rd)
            expect_done("read of type %x", rights[i].type);
        TRY("movl %%eax, %%es:(%%ebx)");
        if (rights[i].wr)
            expect_done("write of type %x", rights[i].type);
        else
            expect_fault(GP, 0, "write of type %x", rights[i].type);
        TRY("addl $0, %%es:(%%ebx)");
        if (rights[i].wr)
            expect_done("rmw of type %x", rights[i].type);
        else
            expect_fault(GP, 0, "rmw of type %x", rights[i].type);
        TRY("cmpl $0, %%es:(%%ebx)");
        expect_done("compare with type %x", rights[i].type);
    }
    /* CS as a data segment */
    at(RING0);
    in.bx = (word)area;
    TRY("movl %%cs:(%%ebx), %%eax");
    expect_done("read through CS");
    TRY("movl %%eax, %%cs:(%%ebx)");
    expect_fault(GP, 0, "write through CS");
    gdt_set(s, descriptor(0, 0xfffff, P | T_XO, F_G | F_D));
    ctx.cs = s;
    TRY("movl %%cs:(%%ebx), %%eax");
    expect_fault(GP, 0, "read through an execute-only CS");
    TRY("nop");
    expect_done("code runs there");
}

static void expand_down(void)
{
    const unsigned s = SLOT(6);
    at(RING0);
    static const struct {
        unsigned limit, flags, off, size;
        bool ok;
    } cases[] = {
        {0xfff, F_D, 0x1000, 1, true},
        {0xfff, F_D, 0xfff, 1, false},
        {0xfff, F_D, 0xffe, 4, false},
        {0xfff, F_D, 0x1000, 4, true},
        {0xfff, F_D, 0xfffffffc, 4, true},
        {0xfff, F_D, 0xfffffffd, 4, false},
        {0xfff, F_D, 0xffffffff, 1, true},
        {0xfff, 0, 0x1000, 4, true},
        {0xfff, 0, 0xfffc, 4, true},
        {0xfff, 0, 0xfffd, 4, false},
        {0xfff, 0, 0x10000, 1, false},
        {0xfff, 0, 0xffff, 1, true},
        {0, F_D | F_G, 0xfff, 1, false},
        {0, F_D | F_G, 0x1000, 1, true},
        {0xffff, 0, 0xffff, 1, false},
        {0xfffff, F_D | F_G, 0xffffffff, 1, false},
        {0, F_D, 0, 1, false},
        {0, F_D, 1, 1, true},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        gdt_set(s, descriptor((word)area - 0x1000, cases[i].limit, P | T_RW_DOWN, cases[i].flags));
        ctx.es = s;
        in = (struct regs){.bx = cases[i].off};
        if (cases[i].size == 1)
            TRY("movb %%es:(%%ebx), %%al");
        else
            TRY("movl %%es:(%%ebx), %%eax");
        if (cases[i].ok)
            expect_done("expand-down limit %x flags %x, %u bytes at %x", cases[i].limit,
                        cases[i].flags, cases[i].size, cases[i].off);
        else
            expect_fault(GP, 0, "expand-down limit %x flags %x, %u bytes at %x", cases[i].limit,
                         cases[i].flags, cases[i].size, cases[i].off);
    }
    /* as a stack: #SS, and pushes that just fit */
    gdt_set(s, descriptor((word)area, 0xfff, P | T_RW_DOWN, F_D));
    in.ax = s;
    in.bx = KDATA;
    in.cx = 0x1004;
    TRY("mov %%ax, %%ss\n movl %%ecx, %%esp\n pushl %%edx\n movl %%esp, %%esi\n mov %%bx, %%ss\n "
        "movl $test_stack_top, %%esp");
    expect_done("a push into an expand-down stack");
    check_eq(last.r.si, 0x1000, "its ESP");
    at(RING3);
    gdt_set(s, descriptor((word)area, 0xfff, P | DPL(3) | T_RW_DOWN, F_D));
    ctx.ss = s | 3;
    ctx.sp = 0x1004;
    in.bp = 0xfff;
    TRY("movb (%%ebp), %%dl");
    expect_fault(SS, 0, "below an expand-down stack");
    TRY("pushl %%eax\n pushl %%eax");
    expect_at(SS, 0, 1, "a push out of an expand-down stack");
}

/* Offsets that wrap, and a base that carries past 4 GiB. */
static void wrap(void)
{
    const unsigned s = SLOT(6);
    static volatile uint32_t *const low = (volatile uint32_t *)0x9000;
    at(RING0);
    low[0] = 0x11223344;
    low[1] = 0x55667788;
    in = (struct regs){.bx = 0xfffffffc};
    gdt_set(s, descriptor(0x9004, 0xfffff, P | T_RW, F_G | F_D));
    ctx.es = s;
    TRY("movl %%es:(%%ebx), %%eax");
    expect_done("base + offset beyond 4 GiB");
    check_eq(last.r.ax, 0x11223344, "wraps to low memory");
    in.bx = 0xfffffffd;
    TRY("movl %%es:(%%ebx), %%eax");
    expect_fault(GP, 0, "an operand that wraps in a segment of 4 GiB");
    in.bx = 0xffffffff;
    TRY("movb %%es:(%%ebx), %%al");
    expect_done("its last byte");
    check_eq(last.r.ax & 0xff, 0x55 & 0x11, "the byte below the base");
    gdt_set(s, descriptor(0xffff9000, 0xfffff, P | T_RW, F_G | F_D));
    in.bx = 0x10000;
    TRY("movl %%es:(%%ebx), %%eax");
    expect_done("a negative base");
    check_eq(last.r.ax, 0x11223344, "a negative base");
    /* 16-bit addresses wrap at 64 KiB before the segment is asked */
    gdt_set(s, descriptor(0x9000, 0xffff, P | T_RW, 0));
    in = (struct regs){.bx = 0xfffe, .si = 2};
    TRY("addr16 movl %%es:(%%bx,%%si), %%eax");
    expect_done("bx + si wraps");
    check_eq(last.r.ax, 0x11223344, "bx + si wraps");
    in = (struct regs){.bx = 0xfffe};
    TRY("addr16 movl %%es:(%%bx), %%eax");
    expect_fault(GP, 0, "a doubleword at FFFEh of a 64-KiB segment");
    check_eq(low[0], 0x11223344, "untouched");
}

/* SS faults say #SS. */
static void stack_faults(void)
{
    const unsigned s = SLOT(7);
    for (enum level l = RING1; l <= RING3; l += 2) {
        at(l);
        gdt_set(s, descriptor((word)area, 0xfff, P | DPL(l) | T_RW, F_D));
        ctx.ss = (uint16_t)(s | l);
        ctx.sp = 0x1004;
        in = (struct regs){.ax = 7, .bx = 0x1000};
        TRY("pushl %%eax");
        expect_fault(SS, 0, "push beyond the limit, level %u", l);
        check_eq(last.sp, 0x1004, "ESP untouched");
        ctx.sp = 0xffe;
        TRY("popl %%eax");
        expect_fault(SS, 0, "pop beyond the limit");
        check_eq(last.r.ax, 7, "EAX untouched");
        ctx.sp = 2;
        TRY("pushl %%eax");
        expect_fault(SS, 0, "push that wraps below 0");
        ctx.sp = 0;
        TRY("pushl %%eax");
        expect_fault(SS, 0, "push at 0 goes to 4 GiB - 4");
        ctx.sp = 0xff0;
        in.bp = 0x1000;
        TRY("movl (%%ebp), %%eax");
        expect_fault(SS, 0, "through EBP");
        TRY("movl %%ss:(%%ebx), %%eax");
        expect_fault(SS, 0, "through an SS override");
        TRY("movl 0x20(%%esp), %%eax");
        expect_fault(SS, 0, "through ESP");
        ctx.sp = 0xff8;
        TRY("popal");
        expect_fault(SS, 0, "popa");
        check_eq(last.r.bx, 0x1000, "popa: nothing loaded");
        ctx.sp = 0x10;
        TRY("pushal");
        expect_fault(SS, 0, "pusha");
        check_eq(last.sp, 0x10, "pusha: ESP");
        ctx.sp = 0x10;
        TRY("enter $0x20, $0");
        expect_fault(SS, 0, "enter");
        check_eq(last.sp, 0x10, "enter: ESP");
        check_eq(last.r.bp, 0x1000, "enter: EBP");
        TRY("leave");
        expect_fault(SS, 0, "leave");
        ctx.sp = 2;
        TRY("call 1f\n 1:");
        expect_fault(SS, 0, "call");
        ctx.sp = 0xffe;
        TRY("ret");
        expect_fault(SS, 0, "ret");
        ctx.sp = 0xffc;
        TRY("lret");
        expect_fault(SS, 0, "lret");
        ctx.sp = 0xff8;
        TRY("iretl");
        expect_fault(SS, 0, "iret");
        ctx.sp = 0xffe;
        TRY("popfl");
        expect_fault(SS, 0, "popf");
        ctx.sp = 3;
        TRY("pushfl");
        expect_fault(SS, 0, "pushf");
    }
    /* 16-bit stack: SP wraps, the upper half of ESP stays */
    at(RING3);
    gdt_set(s, descriptor((word)area, 0xffff, P | DPL(3) | T_RW, 0));
    ctx.ss = s | 3;
    ctx.sp = 0x12340002;
    TRY("pushw %%ax\n pushw %%ax");
    check_eq(last.sp & 0xffff, 0xfffe, "SP wraps");
    ctx.sp = 0x12341000;
    TRY("pushl %%eax\n movl %%esp, %%ecx");
    check_eq(last.r.cx & 0xffff, 0xffc, "SP");
    ctx.sp = 2;
    TRY("pushl %%eax");
    expect_fault(SS, 0, "a doubleword that wraps around SP");
    ctx.sp = 1;
    TRY("pushw %%ax");
    expect_fault(SS, 0, "a word at FFFFh");
}

static void code_limit(void)
{
    const unsigned s = SLOT(8);
    at(RING3);
    ctx.copy = true;
    for (unsigned limit = LOW_CODE; limit < LOW_CODE + 8; limit++) {
        gdt_set(s, descriptor(0, limit, P | DPL(3) | T_XR, F_D));
        ctx.cs = s | 3;
        TRY("nop\n movl $1, %%eax\n nop"); /* 1, 5, 1, then INT 80h */
        if (limit < LOW_CODE + 5)
            expect_at(GP, 0, 1, "an instruction that crosses the limit %x", limit);
        else if (limit < LOW_CODE + 6)
            expect_at(GP, 0, 6, "an instruction behind the limit %x", limit);
        else
            expect_at(GP, 0, 7, "INT 80h behind the limit %x", limit);
    }
    gdt_set(s, descriptor(0, LOW_CODE + 0x1f, P | DPL(3) | T_XR, F_D));
    in = (struct regs){.ax = LOW_CODE + 0x20};
    TRY("jmp . + 0x20");
    expect_fault(GP, 0, "jmp behind the limit");
    TRY("call . + 0x25");
    expect_fault(GP, 0, "call behind the limit");
    check_eq(last.sp, ctx.sp, "nothing was pushed");
    TRY("jmp *%%eax");
    expect_fault(GP, 0, "jmp eax behind the limit");
    TRY("call *%%eax");
    expect_fault(GP, 0, "call eax behind the limit");
    TRY("pushl %%eax\n ret");
    expect_at(GP, 0, 1, "ret behind the limit");
    check_eq(last.sp, ctx.sp - 4, "nothing was popped");
    in.cx = 5;
    TRY("loop . + 0x22");
    expect_fault(GP, 0, "loop behind the limit");
    check_eq(last.r.cx, 5, "and ECX stays");
    TRY("xor %%ebx, %%ebx\n jz . + 0x22");
    expect_at(GP, 0, 2, "jz behind the limit");
}

const struct test tests[] = {
    {"load_matrix", load_matrix},
    {"selectors", selectors},
    {"local_table", local_table},
    {"task_register", task_register},
    {"verify", verify},
    {"arpl", arpl},
    {"limits", limits},
    {"expand_down", expand_down},
    {"wrap", wrap},
    {"stack_faults", stack_faults},
    {"code_limit", code_limit},
    {NULL, NULL},
};
