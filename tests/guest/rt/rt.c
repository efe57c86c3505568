/* See rt.h. */
#include "rt.h"

#include <stdarg.h>

uint64_t gdt[GDT_BYTES / 8] __attribute__((aligned(4096)));
uint64_t ldt[32] __attribute__((aligned(64)));
uint64_t idt[256 * GATE_WORDS] __attribute__((aligned(4096)));
struct tss tss __attribute__((aligned(4096)));
struct context ctx;
struct regs in;
struct outcome last;
bool (*hook)(word *f);

/* shared with catch.S */
word raw[28], rec_sp;
struct {
    word at;
    uint32_t ss;
} raw_stack; /* where raw was, as LSS takes it */
uint32_t df_error;
uint8_t ctx_vm86, ctx_set_fs_gs;
void enter(word ip);
void rt_main(void);
int catch (void);
void catch_df(void);
extern uint8_t stubs[], ist_stack_top[], df_stack_top[], df_entry[], real_load[], real_bytes[];

static bool armed;
static unsigned group_checks, group_fails, total_checks, total_fails, groups_failed;
static const char *group_name, *group_skip;

/* --- memory --- */

void *memset(void *p, int c, size_t n)
{
    void *d = p;
    asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return p;
}
void *memcpy(void *p, const void *s, size_t n)
{
    void *d = p;
    asm volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n)::"memory");
    return p;
}
int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

/* --- output: COM1 and port E9h --- */

static void put(char c)
{
    for (unsigned n = 0; n < 10000 && !(inb(0x3fd) & 0x20); n++) {
    }
    outb(0x3f8, (uint8_t)c);
    outb(0xe9, (uint8_t)c);
}

static void put_string(const char *s)
{
    while (*s)
        put(*s++);
}

static void put_hex(uint64_t v)
{
    char buf[17];
    unsigned i = 16;
    buf[16] = 0;
    do {
        buf[--i] = "0123456789abcdef"[v & 15];
        v >>= 4;
    } while (v);
    put_string(buf + i);
}

static void put_decimal(uint32_t v)
{
    char buf[11];
    unsigned i = 10;
    buf[10] = 0;
    do {
        buf[--i] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    put_string(buf + i);
}

/* %s, %d and %u (32 bits), %x (32 bits), %lx (a word), %llx */
static void vprint(const char *fmt, va_list ap)
{
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(*fmt);
            continue;
        }
        fmt++;
        if (*fmt == 's') {
            put_string(va_arg(ap, const char *));
        } else if (*fmt == 'd' || *fmt == 'u') {
            put_decimal(va_arg(ap, uint32_t));
        } else if (*fmt == 'x') {
            put_hex(va_arg(ap, uint32_t));
        } else if (*fmt == 'l' && fmt[1] == 'l') {
            fmt += 2;
            put_hex(va_arg(ap, uint64_t));
        } else if (*fmt == 'l') {
            fmt++;
            put_hex(va_arg(ap, word));
        }
    }
}

void print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprint(fmt, ap);
    va_end(ap);
}

/* isa-debug-exit (status * 2 + 1), then Bochs' shutdown port, then nothing */
_Noreturn void quit(unsigned status)
{
    for (unsigned n = 0; n < 1000000 && !(inb(0x3fd) & 0x40); n++) {
    }
    outl(0xf4, status);
    for (const char *s = "Shutdown"; *s; s++)
        outb(0x8900, (uint8_t)*s);
    for (;;)
        asm volatile("cli; hlt");
}

/* --- tables --- */

uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
           (uint64_t)((limit >> 16) & 15) << 48 | (uint64_t)flags << 52 |
           (uint64_t)(base >> 24) << 56;
}

uint64_t gate(unsigned sel, uint32_t offset, unsigned access, unsigned count)
{
    return (offset & 0xffff) | (uint64_t)sel << 16 | (uint64_t)count << 32 |
           (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}

void gdt_set(unsigned sel, uint64_t d)
{
    gdt[sel / 8] = d;
}
uint64_t gdt_get(unsigned sel)
{
    return gdt[sel / 8];
}

void idt_set(unsigned vector, unsigned sel, word offset, unsigned access, unsigned ist)
{
    idt[vector * GATE_WORDS] = gate(sel, (uint32_t)offset, access, ist);
#ifdef __x86_64__
    idt[vector * 2 + 1] = offset >> 32;
#endif
}

word stub_address(unsigned vector)
{
    return (word)stubs + vector * 16;
}

void idt_default(unsigned vector)
{
#ifdef __x86_64__
    idt_set(vector, KCODE, stub_address(vector), P | DPL(3) | T_INT32, vector == DF ? 2 : 1);
#else
    if (vector == DF)
        idt_set(DF, TSS_DF, 0, P | T_TASK, 0);
    else
        idt_set(vector, KCODE, stub_address(vector), P | DPL(3) | T_INT32, 0);
#endif
}

#ifdef __x86_64__
static void system_descriptor(unsigned sel, word base, uint32_t limit, unsigned access)
{
    gdt_set(sel, descriptor((uint32_t)base, limit, access, 0));
    gdt_set(sel + 8, base >> 32);
}
#else
static struct tss df_tss __attribute__((aligned(128)));
#endif

void tss_reload(void)
{
    gdt[TSS_MAIN / 8] &= ~(UINT64_C(2) << 40);
    asm volatile("ltr %w0" ::"r"(TSS_MAIN));
}

static void tables(void)
{
    const unsigned d = F_G | F_D;
    memset(gdt, 0, sizeof gdt);
    memset(&tss, 0, sizeof tss);
    gdt_set(KCODE32, descriptor(0, 0xfffff, P | T_XR, d));
    gdt_set(KDATA, descriptor(0, 0xfffff, P | T_RW, d));
    gdt_set(UCODE32 & ~7, descriptor(0, 0xfffff, P | DPL(3) | T_XR, d));
    gdt_set(UDATA & ~7, descriptor(0, 0xfffff, P | DPL(3) | T_RW, d));
    gdt_set(KCODE64, descriptor(0, 0xfffff, P | T_XR, F_G | F_L));
    gdt_set(UCODE64 & ~7, descriptor(0, 0xfffff, P | DPL(3) | T_XR, F_G | F_L));
    gdt_set(KCODE16, descriptor(0, 0xffff, P | T_XR, 0));
    gdt_set(KDATA16, descriptor(0, 0xffff, P | T_RW, 0));
    gdt_set(R1CODE & ~7, descriptor(0, 0xfffff, P | DPL(1) | T_XR, d));
    gdt_set(R1DATA & ~7, descriptor(0, 0xfffff, P | DPL(1) | T_RW, d));
    gdt_set(R2CODE & ~7, descriptor(0, 0xfffff, P | DPL(2) | T_XR, d));
    gdt_set(R2DATA & ~7, descriptor(0, 0xfffff, P | DPL(2) | T_RW, d));
    tss.iomap = sizeof tss;
#ifdef __x86_64__
    system_descriptor(TSS_MAIN, (word)&tss, 0x67, P | T_TSS32);
    for (unsigned i = 0; i < 3; i++)
        tss.rsp[i] = (word)entry_stack_top;
    for (unsigned i = 0; i < 7; i++)
        tss.ist[i] = i == 1 ? (word)df_stack_top : (word)ist_stack_top;
#else
    gdt_set(TSS_MAIN, descriptor((word)&tss, 0x67, P | T_TSS32, 0));
    tss.stack[0].esp = (word)entry_stack_top;
    tss.stack[0].ss = KDATA;
    tss.stack[1].esp = tss.stack[2].esp = (word)entry_stack_top;
    tss.stack[1].ss = R1DATA;
    tss.stack[2].ss = R2DATA;
    memset(&df_tss, 0, sizeof df_tss);
    gdt_set(TSS_DF, descriptor((word)&df_tss, 0x67, P | T_TSS32, 0));
    df_tss.eip = (word)df_entry;
    df_tss.eflags = 2;
    df_tss.reg[4] = (word)df_stack_top;
    for (unsigned i = 0; i < 4; i++)
        df_tss.seg[i].sel = i == 1 ? KCODE32 : KDATA;
#endif
    for (unsigned i = 0; i < 256; i++)
        idt_default(i);
    lgdt(gdt, sizeof gdt - 1);
    lidt(idt, sizeof idt - 1);
#ifdef __x86_64__
    asm volatile("pushq %0\n pushq $1f\n lretq\n 1:" ::"i"(KCODE64) : "memory");
#else
    asm volatile("ljmp %0, $1f\n 1:" ::"i"(KCODE32));
#endif
    asm volatile("mov %0, %%ds\n mov %0, %%es\n mov %0, %%ss" ::"r"(KDATA));
    asm volatile("mov %0, %%fs\n mov %0, %%gs" ::"r"(0));
    tss_reload();
}

/* --- running a program --- */

void at(enum level level)
{
    static const uint16_t cs[] = {KCODE, R1CODE, R2CODE, UCODE};
    static const uint16_t ss[] = {KDATA, R1DATA, R2DATA, UDATA};
    ctx = (struct context){.flags = 2};
    if (level == VM86) {
        ctx.vm86 = ctx.copy = true;
        ctx.flags = 0x20002;
        ctx.sp = LOW_STACK & 0xffff;
        ctx.cs_base = 0;
        return;
    }
    ctx.cs = cs[level];
    ctx.ds = ctx.es = ctx.ss = ss[level];
#ifdef __x86_64__
    if (level == RING3)
        ctx.cs = UCODE64;
#endif
    ctx.sp = level == RING0 ? (word)test_stack_top : (word)user_stack_top;
}

void at_code16(enum level level)
{
    at(level);
    ctx.copy = true;
    ctx.sp = LOW_STACK;
    gdt_set(SLOT(0x6a), descriptor(0, 0xffff, P | DPL(level) | T_XR, 0));
    gdt_set(SLOT(0x6b), descriptor(0, 0xffff, P | DPL(level) | T_RW, 0));
    ctx.cs = (uint16_t)(SLOT(0x6a) | level);
    ctx.ss = (uint16_t)(SLOT(0x6b) | level);
}

#ifdef __x86_64__
void at_compat(enum level level)
{
    static const uint16_t cs[] = {KCODE32, R1CODE, R2CODE, UCODE32};
    at(level);
    ctx.cs = cs[level];
    if (level == RING0)
        ctx.ss = KDATA;
}
#endif

void run(const uint8_t *start, const uint8_t *end)
{
    word ip = (word)start;
    last = (struct outcome){.vector = 0xffff, .start = ip, .end = (word)end};
    if (ctx.copy) {
        memcpy((void *)LOW_CODE, start, (size_t)(end - start) + 2);
        ip = LOW_CODE - ctx.cs_base;
        last.end = ip + (word)(end - start);
        last.start = ip;
    }
#ifndef __x86_64__
    df_tss.cr3 = (uint32_t)cr3();
#endif
    ctx_vm86 = ctx.vm86;
    ctx_set_fs_gs = ctx.set_fs_gs;
    armed = true;
    enter(ip);
    armed = false;
}

#ifndef __x86_64__
struct real real;
extern uint32_t real_regs[7], real_cr0, real_keep_limits;
extern uint16_t real_sregs[7], real_target[2], real_out[];
extern struct {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed)) real_idt;
extern uint8_t real_stubs[];
void real_enter(void);

void at_real(void)
{
    real = (struct real){.sp = LOW_STACK, .flags = 2, .ip = LOW_CODE, .idt_limit = 0x3ff};
    real.cr0 = cr0() & ~(uint32_t)1;
    for (unsigned i = 0; i < 256; i++)
        ((volatile uint32_t *)0)[i] = (uint32_t)real_stubs + 8 * i; /* 0000:offset */
}

void run_real(const uint8_t *start, const uint8_t *end)
{
    memcpy((void *)LOW_CODE, start, (size_t)(end - start) + 2);
    memcpy(real_regs, &in, sizeof real_regs);
    memcpy(real_sregs, &real, sizeof real_sregs);
    real_target[0] = real.ip;
    real_target[1] = real.cs;
    real_idt.limit = real.idt_limit;
    real_idt.base = real.idt_base;
    real_cr0 = real.cr0;
    real_keep_limits = real.keep_limits;
    last = (struct outcome){.start = real.ip, .end = real.ip + (word)(end - start)};
    real_enter();
    lidt(idt, sizeof idt - 1);
    const uint16_t *o = real_out;
    last.vector = o[0];
    last.ip = o[1];
    last.cs = o[2];
    last.flags = o[3];
    last.sp = o[4];
    last.ss = o[5];
    last.ds = o[6];
    last.es = o[7];
    last.fs = o[8];
    last.gs = o[9];
    memcpy(&last.r, &o[10], sizeof last.r);
    last.dr6 = dr6();
}
#endif

static void fill_outcome(void)
{
    last.vector = (unsigned)raw[11];
    last.error = (uint32_t)raw[12];
    last.ip = raw[13];
    last.cs = raw[14] & 0xffff;
    last.flags = raw[15];
    last.sp = raw[16];
    last.ss = raw[17] & 0xffff;
    last.gs = raw[0] & 0xffff;
    last.fs = raw[1] & 0xffff;
    last.es = raw[2] & 0xffff;
    last.ds = raw[3] & 0xffff;
    last.r = (struct regs){raw[10], raw[9], raw[8], raw[7], raw[6], raw[5], raw[4]};
    last.cr2 = cr2();
    last.dr6 = dr6();
    last.frame_at = raw_stack.at + 13 * sizeof(word);
    const bool error =
        last.vector == 8 || (last.vector >= 10 && last.vector <= 14) || last.vector == 17;
    if (error)
        last.frame_at -= sizeof(word);
    memcpy(last.frame, &raw[error ? 12 : 13], sizeof last.frame);
#ifndef __x86_64__
    if (!(last.cs & 3) && !(last.flags & 0x20000)) { /* no change of stack */
        last.sp = last.frame_at + (error ? 4 : 3) * 4;
        if (error)
            last.sp = last.frame_at + 16;
        last.ss = raw_stack.ss;
    }
#endif
}

int catch (void)
{
    if (hook && hook((word *)(raw_stack.at + 13 * sizeof(word))))
        return 1;
    fill_outcome();
    if (!armed) {
        print("FAIL %s/%s: exception %x error %x at %lx cr2 %lx outside a program\n", image_name,
              group_name ? group_name : "-", last.vector, last.error, last.ip, last.cr2);
        quit(3);
    }
    return 0;
}

#ifndef __x86_64__
void catch_df(void)
{
    last.vector = DF;
    last.error = df_error;
    last.nested = true;
    last.ip = tss.eip;
    last.flags = tss.eflags;
    last.cs = tss.seg[1].sel;
    last.sp = tss.reg[4];
    last.cr2 = cr2();
    asm volatile("clts");
    gdt[TSS_DF / 8] &= ~(UINT64_C(2) << 40);
    asm volatile("pushl $2\n popfl");
    tss_reload();
    if (!armed) {
        print("FAIL %s/%s: double fault at %lx outside a program\n", image_name,
              group_name ? group_name : "-", last.ip);
        quit(3);
    }
}
#endif

/* --- verdicts --- */

static void fail_begin(const char *fmt, va_list ap)
{
    group_fails++;
    print("FAIL %s/", group_name);
    vprint(fmt, ap);
    print(": ");
}

static bool passed(bool ok)
{
    group_checks++;
    if (!ok && group_fails == 40)
        print("(more of %s not shown)\n", group_name);
    if (!ok && group_fails >= 40) {
        group_fails++;
        return true;
    }
    return ok;
}

static void expect(unsigned vector, uint32_t error, word ip, bool any_error, const char *fmt,
                   va_list ap)
{
    const bool ok = last.vector == vector && (any_error || last.error == error) && last.ip == ip;
    if (passed(ok))
        return;
    fail_begin(fmt, ap);
    if (vector == DONE)
        print("expected to run to its end");
    else
        print("expected vector %x error %x at +%lx", vector, error, ip - last.start);
    print(", got vector %x error %x at +%lx\n", last.vector, last.error, last.ip - last.start);
}

void expect_done(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    expect(DONE, 0, last.end + 2, true, fmt, ap);
    va_end(ap);
}

void expect_fault(unsigned vector, uint32_t error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    expect(vector, error, last.start, false, fmt, ap);
    va_end(ap);
}

void expect_at(unsigned vector, uint32_t error, unsigned off, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    expect(vector, error, last.start + off, false, fmt, ap);
    va_end(ap);
}

void expect_trap(unsigned vector, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    expect(vector, 0, last.end, false, fmt, ap);
    va_end(ap);
}

void check(bool ok, const char *fmt, ...)
{
    if (passed(ok))
        return;
    va_list ap;
    va_start(ap, fmt);
    fail_begin(fmt, ap);
    va_end(ap);
    print("expected true, got false\n");
}

void check_eq(uint64_t got, uint64_t expected, const char *fmt, ...)
{
    if (passed(got == expected))
        return;
    va_list ap;
    va_start(ap, fmt);
    fail_begin(fmt, ap);
    va_end(ap);
    print("expected %llx, got %llx\n", expected, got);
}

void skip(const char *why)
{
    group_skip = why;
}

/* --- features --- */

uint32_t features(void)
{
    static uint32_t f;
    if (f)
        return f;
    uint32_t r[4], max, ext;
    cpuid(0, 0, r);
    max = r[0];
    cpuid(0x80000000, 0, r);
    ext = r[0];
    cpuid(1, 0, r);
    f = 1u << 31;
    f |= r[2] & (1 << 17) ? HAS_PCID : 0;
    f |= r[2] & (1 << 26) ? HAS_XSAVE : 0;
    f |= r[3] & (1 << 13) ? HAS_PGE : 0;
    f |= r[3] & (1 << 1) ? HAS_VME : 0;
    f |= r[3] & (1 << 11) ? HAS_SEP : 0;
    if (max >= 7) {
        cpuid(7, 0, r);
        f |= r[1] & (1 << 7) ? HAS_SMEP : 0;
        f |= r[1] & (1 << 20) ? HAS_SMAP : 0;
        f |= r[1] & (1 << 10) ? HAS_INVPCID : 0;
        f |= r[1] & (1 << 0) ? HAS_FSGSBASE : 0;
        f |= r[2] & (1 << 2) ? HAS_UMIP : 0;
        f |= r[2] & (1 << 16) ? HAS_LA57 : 0;
        f |= r[2] & (1 << 3) ? HAS_PKU : 0;
    }
    if (ext >= 0x80000001) {
        cpuid(0x80000001, 0, r);
        f |= r[3] & (1 << 20) ? HAS_NX : 0;
        f |= r[3] & (1 << 26) ? HAS_GIB : 0;
        f |= r[3] & (1 << 27) ? HAS_RDTSCP : 0;
        f |= r[3] & (1 << 29) ? HAS_LM : 0;
        f |= r[3] & (1 << 11) ? HAS_SYSCALL : 0;
    }
    return f;
}

bool vendor_amd(void)
{
    uint32_t r[4];
    cpuid(0, 0, r);
    return r[1] == 0x68747541; /* "Auth" */
}

/* --- phases across a reset: the magic word and its number at 600h --- */

#define PHASE ((volatile uint32_t *)0x600)
unsigned phase(void)
{
    return PHASE[0] == 0x50484153 ? PHASE[1] : 0;
}
void set_phase(unsigned n)
{
    PHASE[0] = 0x50484153;
    PHASE[1] = n;
}

/* --- the image's run --- */

void rt_main(void)
{
    memcpy((void *)0x7000, real_load, (size_t)real_bytes);
    outb(0x3fb, 3);   /* 8 bits a character */
    outb(0x21, 0xff); /* the interrupt controllers keep still until a test wants them */
    outb(0xa1, 0xff);
    tables();
    asm volatile("fninit");
    for (const struct test *t = tests; t->name; t++) {
        group_name = t->name;
        group_skip = NULL;
        group_checks = group_fails = 0;
        hook = NULL;
        in = (struct regs){0};
        at(RING0);
        t->fn();
        total_checks += group_checks;
        total_fails += group_fails;
        if (group_fails)
            groups_failed++;
        else if (group_skip && !group_checks)
            print("SKIP %s: %s\n", t->name, group_skip);
        else
            print("PASS %s (%u)\n", t->name, group_checks);
        for (unsigned i = 0; i < 256; i++)
            idt_default(i);
        lidt(idt, sizeof idt - 1);
    }
    print("DONE %s: %u checks, %u failed\n", image_name, total_checks, total_fails);
    quit(total_fails ? 1 : 0);
}
