/*
 * Each exception that a program can cause, and what Linux' signal frame says of it: one line each
 * with signal, code, address, vector, error code, CR2, RIP, flags and the registers that tell how
 * far an instruction got. Then the extended state in the frame: what was in the registers is found
 * there, and what the handler puts there is in the registers afterwards.
 *
 * Addresses are printed as distances to what they lie in, so that they are the same everywhere.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "draw.h"

/* Two pages to write to, one that is not there, one to read only, one past the end of its file. */
enum { PAGE = 4096 };
static uint8_t *memory, *none, *constant, *past_end;

/* Where the faulting instructions of a case begin, and where to go on with what stack. */
uint64_t case_start, case_resume, case_stack, case_frame;
static const char *case_name;
static int signals_seen;
static void (*look)(ucontext_t *);
static bool avx;

static const char *place(uint64_t a)
{
    static char text[8][40];
    static int turn;
    char *out = text[turn++ & 7];
    const struct {
        const char *name;
        uint64_t start;
        int64_t below, size;
    } known[] = {{"code", case_start, 128, 128},
                 {"none", (uint64_t)none, 0, PAGE},
                 {"constant", (uint64_t)constant, 0, PAGE},
                 {"past_end", (uint64_t)past_end, 0, PAGE},
                 {"memory", (uint64_t)memory, 8 * PAGE, 2 * PAGE}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const int64_t by = (int64_t)(a - known[i].start);
        if (by >= -known[i].below && by < known[i].size) {
            snprintf(out, sizeof text[0], "%s%+lld", known[i].name, (long long)by);
            return out;
        }
    }
    snprintf(out, sizeof text[0], "%#llx", (unsigned long long)a);
    return out;
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    /* Linux leaves AC on, and the C library reads what is not aligned. */
    __asm__ volatile("pushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq" ::: "cc", "memory");
    ucontext_t *u = context;
    const greg_t *r = u->uc_mcontext.gregs;
    const int trap = (int)r[REG_TRAPNO];
    if (++signals_seen > 20) {
        printf("%s: does not get on\n", case_name);
        _exit(1);
    }
    /* Undefined after a division: the arithmetic flags. RF after an iteration of a repeated
     * instruction is set by Intel's (SDM 3B §17.3.1.1 "Instruction-Breakpoint Exception
     * Condition"), not by AMD's. */
    const unsigned flags = (unsigned)r[REG_EFL] & (trap == 0   ? ~0x8d5u
                                                   : trap == 1 ? ~0x10000u
                                                               : ~0u);
    /* Of an image some processors try the end first. */
    const uint64_t page = strncmp(case_name, "image", 5) ? UINT64_MAX : -(uint64_t)PAGE;
    printf(
        "%s: %s code %d addr %s trap %d err %#x cr2 %s rip %s flags %#x rcx %#llx rsi %s rdi %s\n",
        case_name, sigabbrev_np(number), info->si_code, place((uint64_t)info->si_addr & page), trap,
        (unsigned)r[REG_ERR], trap == 14 ? place((uint64_t)r[REG_CR2] & page) : "-",
        place((uint64_t)r[REG_RIP]), flags, (unsigned long long)r[REG_RCX],
        place((uint64_t)r[REG_RSI]), place((uint64_t)r[REG_RDI]));
    if (look)
        look(u);
    u->uc_mcontext.gregs[REG_RIP] = (greg_t)case_resume;
    u->uc_mcontext.gregs[REG_RSP] = (greg_t)case_stack;
    u->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)0x40500; /* AC, DF, TF */
    /* The exceptions are masked again, and none is pending. */
    u->uc_mcontext.fpregs->mxcsr = 0x1f80;
    u->uc_mcontext.fpregs->cwd = 0x37f;
    u->uc_mcontext.fpregs->swd = 0;
}

/* Code with rsi the page to read only, rdi the memory, r8 the missing page, r9 what is past the end
 * of a file; before may set up more, and the case begins behind it. */
#define CASE(name, before, code)                                                              \
    do {                                                                                      \
        case_name = name;                                                                     \
        signals_seen = 0;                                                                     \
        register uint64_t r8_ __asm__("r8") = (uint64_t)none;                                 \
        register uint64_t r9_ __asm__("r9") = (uint64_t)past_end;                             \
        uint64_t si = (uint64_t)constant, di = (uint64_t)memory;                              \
        __asm__ volatile(                                                                     \
            START before                                                                      \
            "\n98:\n\t" code                                                                  \
            "\n99:\n\tmov case_stack(%%rip), %%rsp\n\tmov case_frame(%%rip), %%rbp\n\tcld"    \
            : "+S"(si), "+D"(di), "+r"(r8_), "+r"(r9_)                                        \
            :                                                                                 \
            : "rax", "rbx", "rcx", "rdx", "r10", "r11", "r12", "r13", "r14", "r15", "memory", \
              "cc", "st", "xmm0", "xmm1", "xmm2", "xmm3");                                    \
        if (!signals_seen)                                                                    \
            printf("%s: no signal\n", name);                                                  \
    } while (0)

/* What was below the stack pointer stays: the compiler may have its own there. */
#define START                                                                             \
    "mov %%rsp, case_stack(%%rip)\n\tmov %%rbp, case_frame(%%rip)\n\tsub $256, %%rsp\n\t" \
    "lea 98f(%%rip), %%rax\n\tmov %%rax, case_start(%%rip)\n\t"                           \
    "lea 99f(%%rip), %%rax\n\tmov %%rax, case_resume(%%rip)\n\txor %%ecx, %%ecx\n\t"

#define FLAGS(bits) "pushfq\n\torl $" #bits ", (%%rsp)\n\tpopfq"

static void integer_cases(void)
{
    CASE("divide by zero", "xor %%edx, %%edx", "div %%ecx");
    CASE("quotient too large", "mov $0x80000000, %%eax\n\tcltd\n\tor $-1, %%ecx", "idiv %%ecx");
    CASE("trap flag", FLAGS(0x100), "nop\n\tnop");
    CASE("trap flag, repeated string", "mov $3, %%ecx\n\t" FLAGS(0x100), "rep stosb");
    CASE("icebp", "", ".byte 0xf1");
    CASE("int3", "", "int3");
    CASE("int $3", "", "int $3");
    CASE("int $4", "", "int $4");
    CASE("int $0x50", "", "int $0x50");
    CASE("ud2", "", "ud2");
    CASE("lock on a register", "", ".byte 0xf0, 0x01, 0xc8");
    CASE("push es in 64-bit mode", "", ".byte 0x06");
    CASE("evex with reserved bits", "", ".byte 0x62, 0xff, 0x7c, 0x48, 0x58, 0xc0");
    CASE("vex after lock", "", ".byte 0xf0, 0xc5, 0xf8, 0x58, 0xc0");
    CASE("sixteen bytes", "", ".fill 15, 1, 0x66\n\tnop");
    CASE("hlt", "", "hlt");
    CASE("cli", "", "cli");
    CASE("in", "mov $0x80, %%edx", "in %%dx, %%al");
    CASE("mov from cr0", "", "mov %%cr0, %%rax");
    CASE("wrmsr", "", "wrmsr");
    CASE("a selector past the table", "mov $0xfff8, %%eax", "mov %%eax, %%ds");
    CASE("null for ss", "xor %%eax, %%eax", "mov %%eax, %%ss");
    CASE("iret to a bad selector", "push $0x2b\n\tpush %%rsp\n\tpushfq\n\tpush $0xfff8\n\tpush $0",
         "iretq");
    CASE("aligned operand is not", "", "movaps 1(%%rdi), %%xmm0");
    CASE("not canonical", "mov $0x100000000000000, %%rax", "mov (%%rax), %%al");
    CASE("not canonical, stack", "mov $0x100000000000000, %%rbp", "mov (%%rbp), %%al");
    CASE("not canonical, push", "mov $0x100000000000100, %%rsp", "push %%rax");
    CASE("not canonical, jump", "mov $0x100000000000000, %%rax", "jmp *%%rax");
    CASE("not canonical, return", "mov $0x100000000000000, %%rax\n\tpush %%rax", "ret");
    CASE("alignment check", FLAGS(0x40000), "mov 1(%%rdi), %%eax");
    CASE("alignment check, stack", FLAGS(0x40000) "\n\tlea 1(%%rsp), %%rsp", "push %%rax");
    CASE("alignment check, vector", FLAGS(0x40000), "movups 2(%%rdi), %%xmm0");
}

static void state_cases(void)
{
    CASE("mxcsr, reserved bits", "movl $0x10000000, (%%rdi)", "ldmxcsr (%%rdi)");
    CASE("fxsave, not aligned", "", "fxsave 8(%%rdi)");
    CASE("fxrstor, reserved bits", "fxsave (%%rdi)\n\tmovl $-1, 24(%%rdi)", "fxrstor (%%rdi)");
    if (!avx)
        return;
    CASE("vmovaps, not aligned", "", "vmovaps 16(%%rdi), %%ymm0");
    CASE("vaddps, not aligned", "", "vaddps 1(%%rdi), %%ymm0, %%ymm0");
    CASE("vmaskmov, all masked out", "vpxor %%xmm1, %%xmm1, %%xmm1",
         "vmaskmovps (%%r8), %%ymm1, %%ymm0");
    CASE("vmaskmov, across the end", "vpcmpeqd %%xmm1, %%xmm1, %%xmm1",
         "vmaskmovps -16(%%r8), %%ymm1, %%ymm0\n\tvmaskmovps %%ymm0, %%ymm1, -12(%%r8)");
    CASE("xgetbv of nothing", "mov $5, %%ecx", "xgetbv");
    CASE("xsetbv", "", "xsetbv");
    CASE("xsave, not aligned", "mov $7, %%eax\n\txor %%edx, %%edx", "xsave 16(%%rdi)");
    CASE("image across the end, xsave", "mov $7, %%eax\n\txor %%edx, %%edx", "xsave -512(%%r8)");
    CASE("xrstor, reserved bits",
         "mov $7, %%eax\n\txor %%edx, %%edx\n\txsave (%%rdi)\n\tmovb $0x80, 519(%%rdi)",
         "xrstor (%%rdi)");
    CASE("xrstor, reserved header",
         "mov $7, %%eax\n\txor %%edx, %%edx\n\txsave (%%rdi)\n\tmovb $1, 530(%%rdi)",
         "xrstor (%%rdi)");
    CASE("xrstor, reserved mxcsr",
         "mov $7, %%eax\n\txor %%edx, %%edx\n\txsave (%%rdi)\n\tmovb $1, 27(%%rdi)",
         "xrstor (%%rdi)");
    CASE("vzeroupper with a prefix", "", ".byte 0x66, 0xc5, 0xf8, 0x77");
    CASE("vvvv where there is none", "", ".byte 0xc5, 0x70, 0x10, 0x07");
    CASE("vector length of a scalar test", "", ".byte 0xc4, 0xe2, 0x7c, 0xf3, 0xc8");
}

static void page_cases(void)
{
    CASE("read nothing", "", "mov (%%r8), %%al");
    CASE("write nothing", "", "mov %%al, 5(%%r8)");
    CASE("read null", "xor %%eax, %%eax", "mov 8(%%rax), %%al");
    CASE("write a constant", "", "mov %%al, 7(%%rsi)");
    CASE("read and write a constant", "", "lock addl $1, 8(%%rsi)");
    CASE("compare with a constant", "xor %%eax, %%eax", "lock cmpxchg %%ecx, 16(%%rsi)");
    CASE("the kernel's memory", "mov $-4096, %%rax", "mov (%%rax), %%al");
    CASE("execute memory", "", "jmp *%%rdi");
    CASE("execute nothing", "", "jmp *%%r8");
    CASE("call nothing", "", "call *%%r8");
    CASE("past the end of a file", "", "mov 3(%%r9), %%al");
    CASE("across the end, read", "", "mov -3(%%r8), %%rax");
    CASE("across the end, write", "", "mov %%rax, -1(%%r8)");
    CASE("across the end, vector", "", "movups %%xmm0, -15(%%r8)");
    CASE("across the end, push", "lea 4(%%r8), %%rsp", "push %%rax\n\tpush %%rax");
    CASE("image across the end, fnsave", "", "fnsave -100(%%r8)");
    CASE("image across the end, fxsave", "", "fxsave -496(%%r8)");
    CASE("across the end, cmpxchg8b", "", "cmpxchg8b -4(%%r8)");
    CASE("string up to the end", "mov $100, %%ecx\n\tlea -40(%%r8), %%rdi", "rep stosb");
    CASE("string of words up to the end", "mov $100, %%ecx\n\tlea -41(%%r8), %%rdi", "rep stosl");
    CASE("string backwards", "mov $100, %%ecx\n\tlea 30(%%rsi), %%rdi\n\tstd", "rep movsb");
    CASE("string from the end", "mov $1000, %%ecx\n\tlea -64(%%r8), %%rsi", "rep movsq");
    CASE("compare strings", "mov $1000, %%ecx\n\tlea -64(%%r8), %%rsi\n\tmov %%rsi, %%rdi",
         "repe cmpsb");
    CASE("push from nothing", "", "push (%%r8)");
    CASE("pop into a constant", "push %%rax", "pop (%%rsi)");
    CASE("enter", "lea 16(%%rdi), %%rsp\n\tmov %%rsp, %%rbx\n\txchg %%rbp, %%rbx",
         "enter $0x7000, $0\n\tpush %%rax");
}

static void float_cases(void)
{
#define X87(name, mask, code)                                                                     \
    CASE(name, "fninit\n\tfnstcw (%%rdi)\n\tandw $~" #mask ", (%%rdi)\n\tfldcw (%%rdi)\n\t" code, \
         "fwait\n\tnop")
    X87("x87 invalid", 1, "fldz\n\tfldz\n\tfdivp");
    X87("x87 stack underflow", 1, "fadd %%st(1), %%st");
    X87("x87 denormal", 2, "movq $1, 8(%%rdi)\n\tfldl 8(%%rdi)");
    X87("x87 division by zero", 4, "fld1\n\tfldz\n\tfdivrp");
    X87("x87 overflow", 8,
        "movw $0x3000, 8(%%rdi)\n\tfilds 8(%%rdi)\n\tfld1\n\tfscale\n\tfmul %%st, %%st");
    X87("x87 underflow", 16,
        "movw $-0x3000, 8(%%rdi)\n\tfilds 8(%%rdi)\n\tfld1\n\tfscale\n\tfmul %%st, %%st");
    X87("x87 inexact", 32, "fld1\n\tfldpi\n\tfdivrp");
    X87("x87 store, inexact", 32, "fldpi\n\tfstpl 16(%%rdi)");
#define SSE(name, mask, code)                                                               \
    CASE(name,                                                                              \
         "stmxcsr (%%rdi)\n\tandl $~" #mask ", (%%rdi)\n\tldmxcsr (%%rdi)\n\t"              \
         "xorps %%xmm0, %%xmm0\n\tmovl $0x3f800000, 4(%%rdi)\n\tmovss 4(%%rdi), %%xmm1\n\t" \
         "movl $1, 8(%%rdi)\n\tmovss 8(%%rdi), %%xmm2\n\tmovl $0x7f000000, 12(%%rdi)\n\t"   \
         "movss 12(%%rdi), %%xmm3",                                                         \
         code)
    SSE("sse invalid", 0x80, "divss %%xmm0, %%xmm0");
    SSE("sse denormal", 0x100, "addss %%xmm2, %%xmm1");
    SSE("sse division by zero", 0x200, "divss %%xmm0, %%xmm1");
    SSE("sse overflow", 0x400, "mulss %%xmm3, %%xmm3");
    SSE("sse underflow", 0x800, "mulss %%xmm2, %%xmm2");
    SSE("sse inexact", 0x1000, "addss %%xmm2, %%xmm1");
    SSE("sse inexact conversion", 0x1000, "cvtss2si %%xmm2, %%eax");
    SSE("sse compare", 0x80, "pcmpeqd %%xmm0, %%xmm0\n\tcomiss %%xmm0, %%xmm1");
}

/* ---- extended state -------------------------------------------------------------------------- */

/* As XSAVE lays it out; what follows the header is where CPUID Dh says. SDM 1 §13.4. */
struct image {
    struct _libc_fpstate legacy;
    uint64_t in_use, compacted, reserved[6];
    uint8_t more[2048];
};
struct software { /* Linux' in the last bytes of the legacy image: asm/sigcontext.h */
    uint32_t magic, size;
    uint64_t features;
    uint32_t image_size;
};
static unsigned avx_offset;
static uint8_t loaded[16 * 32] __attribute__((aligned(32))),
    stored[16 * 32] __attribute__((aligned(32)));

static const struct software *software(const struct image *f)
{
    return (const struct software *)((const uint8_t *)f + 464);
}

static void look_at_state(ucontext_t *u)
{
    struct image *f = (struct image *)u->uc_mcontext.fpregs;
    const struct _libc_fpstate *l = &f->legacy;
    uint64_t st = 0, xmm = 0, ymm = 0;
    for (int i = 0; i < 8; i++)
        st = mix_bytes(st, &l->_st[i], 10);
    for (int i = 0; i < 16; i++) {
        xmm = mix_bytes(xmm, &l->_xmm[i], 16);
        /* A component that is not in use is as after reset. */
        if (avx && (f->in_use & 4))
            ymm = mix_bytes(ymm, (uint8_t *)f + avx_offset + 16 * i, 16);
    }
    printf("  cwd %#x swd %#x ftw %#x mxcsr %#x mask %#x st %016llx xmm %016llx ymm %016llx\n",
           l->cwd, l->swd, l->ftw, l->mxcsr, l->mxcr_mask & 0xffff, (unsigned long long)st,
           (unsigned long long)xmm, (unsigned long long)ymm);
    if (l->swd &
        0x80) /* while no exception is pending, AMD's have nothing to say: APM 3 "FXSAVE" */
        printf("  fop %#x rip %s rdp %s\n", l->fop, place(l->rip), place(l->rdp));
    const struct software *s = software(f);
    if (avx)
        printf("  magic %#x, %sits end marked, features %#llx, compacted %#llx\n", s->magic,
               *(uint32_t *)((uint8_t *)f + s->image_size) == 0x46505845 ? "" : "not ",
               (unsigned long long)s->features & 7, (unsigned long long)f->compacted);
}

/* Everything that is in the vectors and on the x87 stack is turned round. */
static void change_state(ucontext_t *u)
{
    look_at_state(u);
    struct image *f = (struct image *)u->uc_mcontext.fpregs;
    for (int i = 0; i < 16; i++) {
        uint8_t *low = (uint8_t *)&f->legacy._xmm[i], *high = (uint8_t *)f + avx_offset + 16 * i;
        for (int k = 0; k < 16; k++) {
            low[k] = (uint8_t)~low[k];
            if (avx)
                high[k] = (uint8_t)~high[k];
        }
    }
    for (int i = 0; i < 8; i++)
        f->legacy._st[i].exponent ^= 0x8000; /* the sign */
}

/* No bits in use: registers are as after reset when the handler has returned. */
static void clear_state(ucontext_t *u)
{
    ((struct image *)u->uc_mcontext.fpregs)->in_use = 0;
}

#define EACH(DO) \
    DO(0)        \
    DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define LOAD_AVX(n)  "vmovaps 32*" #n "(%%rbx), %%ymm" #n "\n\t"
#define STORE_AVX(n) "vmovaps %%ymm" #n ", 32*" #n "(%%rdx)\n\t"
#define LOAD_SSE(n)  "movaps 32*" #n "(%%rbx), %%xmm" #n "\n\t"
#define STORE_SSE(n) "movaps %%xmm" #n ", 32*" #n "(%%rdx)\n\t"
#define STACK        "fninit\n\tfld1\n\tfldpi\n\tfldl2e\n\tfldln2\n\tfldz\n\t"

static void state_case(const char *name, void (*at)(ucontext_t *))
{
    case_name = name;
    signals_seen = 0;
    look = at;
    uint64_t seed = 11;
    for (size_t i = 0; i < sizeof loaded; i++)
        loaded[i] = (uint8_t)draw(&seed);
    memset(stored, 0, sizeof stored);
    long double top = 0;
    uint16_t status = 0;
    uint32_t mxcsr = 0;
#define RUN(load, store)                                                                          \
    __asm__ volatile(START STACK EACH(load) "98: ud2\n99:\n\t" EACH(                              \
                         store) "mov case_stack(%%rip), %%rsp\n\t"                                \
                                "stmxcsr %[mxcsr]\n\tfnstsw %[status]\n\tfstpt %[top]\n\tfninit"  \
                     : [mxcsr] "=m"(mxcsr), [status] "=m"(status), [top] "=m"(top)                \
                     : "b"(loaded), "d"(stored)                                                   \
                     : "rax", "rcx", "memory", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", \
                       "st(6)", "st(7)", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",  \
                       "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",       \
                       "xmm15")
    if (avx)
        RUN(LOAD_AVX, STORE_AVX);
    else
        RUN(LOAD_SSE, STORE_SSE);
    uint64_t sum = 0;
    int same = 0, inverted = 0, zero = 0;
    for (size_t i = 0; i < sizeof stored; i++) {
        if (!avx && i % 32 >= 16)
            continue;
        same += stored[i] == loaded[i];
        inverted += (stored[i] ^ loaded[i]) == 0xff;
        zero += !stored[i];
    }
    printf("  then: bytes the same %d, inverted %d, zero %d, mxcsr %#x, status %#x, top %016llx\n",
           same, inverted, zero, mxcsr, status, (unsigned long long)mix_bytes(sum, &top, 10));
    look = NULL;
}

int main(int argc, char **argv)
{
    /* signals [avx]: without it no vectors wider than SSE's */
    setvbuf(stdout, NULL, _IOLBF, 0);
    char name[] = "/tmp/signals.XXXXXX";
    const int file = mkstemp(name);
    unlink(name);
    memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    past_end = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || memory == MAP_FAILED || past_end == MAP_FAILED) {
        perror("signals");
        return 2;
    }
    none = memory + 2 * PAGE;
    constant = memory + 3 * PAGE;
    munmap(none, PAGE);
    mprotect(constant, PAGE, PROT_READ);

    stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&stack, NULL);
    struct sigaction sa = {.sa_sigaction = on_signal,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &sa, NULL);

    unsigned a, b = 0, c, d;
    avx = argc > 1 && !strcmp(argv[1], "avx");
    if (avx && __get_cpuid_count(0xd, 2, &a, &b, &c, &d))
        avx_offset = b;
    integer_cases();
    state_cases();
    page_cases();
    float_cases();
    look = look_at_state;
    float_cases();
    state_case("state, looked at", look_at_state);
    state_case("state, changed", change_state);
    if (avx)
        state_case("state, cleared", clear_state);
    printf("signals: done\n");
    return 0;
}
