/* See native.h. */
#include "native.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

struct native native;

void native_enter(void);
extern const char native_leave[], native_leave_taken[], native_faulted[], native_far[];

static_assert(offsetof(struct native_state, fx) == 192, "native_enter");
static_assert(sizeof(struct native_state) == 960, "native_enter");
static_assert(offsetof(struct native_state, sel) == 164, "native_enter");

/* Offsets below: in.gpr 0, in.rflags 128, in.fx 192; in.ymm 704; out starts at 960; code, host_rsp
 * behind. */
static_assert(offsetof(struct native, out) == 960, "native_enter");
static_assert(offsetof(struct native, entry) == 1920, "native_enter");
static_assert(offsetof(struct native, host_rsp) == 1928, "native_enter");
static_assert(offsetof(struct native, avx) == 1936, "native_enter");
static_assert(offsetof(struct native, taken) == 1944, "native_enter");
static_assert(offsetof(struct native, in_sel) == 1952, "native_far");
static_assert(offsetof(struct native, far_offset) == 1964, "native_far");
static_assert(offsetof(struct native, far_sel) == 1968, "native_far");

__asm__(".text\n"
        ".globl native_enter, native_leave, native_leave_taken, native_faulted, native_far\n"
        "native_enter:\n"
        "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; sub $8, %rsp\n"
        "  mov %rsp, native+1928(%rip)\n"
        "  fxrstor64 native+192(%rip)\n"
        "  cmpq $0, native+1936(%rip); je 1f\n"
        "  vinsertf128 $1, native+704(%rip), %ymm0, %ymm0\n"
        "  vinsertf128 $1, native+720(%rip), %ymm1, %ymm1\n"
        "  vinsertf128 $1, native+736(%rip), %ymm2, %ymm2\n"
        "  vinsertf128 $1, native+752(%rip), %ymm3, %ymm3\n"
        "  vinsertf128 $1, native+768(%rip), %ymm4, %ymm4\n"
        "  vinsertf128 $1, native+784(%rip), %ymm5, %ymm5\n"
        "  vinsertf128 $1, native+800(%rip), %ymm6, %ymm6\n"
        "  vinsertf128 $1, native+816(%rip), %ymm7, %ymm7\n"
        "  vinsertf128 $1, native+832(%rip), %ymm8, %ymm8\n"
        "  vinsertf128 $1, native+848(%rip), %ymm9, %ymm9\n"
        "  vinsertf128 $1, native+864(%rip), %ymm10, %ymm10\n"
        "  vinsertf128 $1, native+880(%rip), %ymm11, %ymm11\n"
        "  vinsertf128 $1, native+896(%rip), %ymm12, %ymm12\n"
        "  vinsertf128 $1, native+912(%rip), %ymm13, %ymm13\n"
        "  vinsertf128 $1, native+928(%rip), %ymm14, %ymm14\n"
        "  vinsertf128 $1, native+944(%rip), %ymm15, %ymm15\n"
        "1:\n"
        "  pushq native+128(%rip); popfq\n"
        "  mov native+0(%rip), %rax; mov native+8(%rip), %rcx; mov native+16(%rip), %rdx\n"
        "  mov native+24(%rip), %rbx; mov native+32(%rip), %rsp; mov native+40(%rip), %rbp\n"
        "  mov native+48(%rip), %rsi; mov native+56(%rip), %rdi; mov native+64(%rip), %r8\n"
        "  mov native+72(%rip), %r9; mov native+80(%rip), %r10; mov native+88(%rip), %r11\n"
        "  mov native+96(%rip), %r12; mov native+104(%rip), %r13; mov native+112(%rip), %r14\n"
        "  mov native+120(%rip), %r15\n"
        "  jmp *native+1920(%rip)\n"
        "native_far:\n"
        "  mov native+1952(%rip), %ds; mov native+1956(%rip), %es; mov native+1960(%rip), %ss\n"
        "  ljmpl *native+1964(%rip)\n"
        "native_leave_taken:\n"
        "  movq $1, native+1944(%rip)\n"
        "native_leave:\n"
        "  mov %rax, native+960(%rip); mov %rcx, native+968(%rip); mov %rdx, native+976(%rip)\n"
        "  mov %rbx, native+984(%rip); mov %rsp, native+992(%rip); mov %rbp, native+1000(%rip)\n"
        "  mov %rsi, native+1008(%rip); mov %rdi, native+1016(%rip); mov %r8, native+1024(%rip)\n"
        "  mov %r9, native+1032(%rip); mov %r10, native+1040(%rip); mov %r11, native+1048(%rip)\n"
        "  mov %r12, native+1056(%rip); mov %r13, native+1064(%rip); mov %r14, native+1072(%rip)\n"
        "  mov %r15, native+1080(%rip)\n"
        "  mov native+1928(%rip), %rsp\n"
        "  pushfq; popq native+1088(%rip)\n"
        "  pushq $0x202; popfq\n" /* no alignment checks from here on */
        "  mov %ds, native+1124(%rip); mov %es, native+1128(%rip); mov %ss, native+1132(%rip)\n"
        "  fxsave64 native+1152(%rip)\n"
        "  fnstenv native+1096(%rip)\n"
        "  cmpq $0, native+1936(%rip); je native_faulted\n"
        "  vextractf128 $1, %ymm0, native+1664(%rip)\n"
        "  vextractf128 $1, %ymm1, native+1680(%rip)\n"
        "  vextractf128 $1, %ymm2, native+1696(%rip)\n"
        "  vextractf128 $1, %ymm3, native+1712(%rip)\n"
        "  vextractf128 $1, %ymm4, native+1728(%rip)\n"
        "  vextractf128 $1, %ymm5, native+1744(%rip)\n"
        "  vextractf128 $1, %ymm6, native+1760(%rip)\n"
        "  vextractf128 $1, %ymm7, native+1776(%rip)\n"
        "  vextractf128 $1, %ymm8, native+1792(%rip)\n"
        "  vextractf128 $1, %ymm9, native+1808(%rip)\n"
        "  vextractf128 $1, %ymm10, native+1824(%rip)\n"
        "  vextractf128 $1, %ymm11, native+1840(%rip)\n"
        "  vextractf128 $1, %ymm12, native+1856(%rip)\n"
        "  vextractf128 $1, %ymm13, native+1872(%rip)\n"
        "  vextractf128 $1, %ymm14, native+1888(%rip)\n"
        "  vextractf128 $1, %ymm15, native+1904(%rip)\n"
        "  vzeroupper\n"
        "native_faulted:\n"
        "  fninit\n"
        "  push $0x1f80; ldmxcsr (%rsp); pop %rax\n"
        "  add $8, %rsp; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "  ret\n");

/* The system call alone: what the C library does around one may need FS. */
static inline void arch_prctl(int what, uint64_t v)
{
    long r = SYS_arch_prctl;
    __asm__ volatile("syscall" : "+a"(r) : "D"((long)what), "S"(v) : "rcx", "r11", "memory");
}

static inline void read_selectors(uint32_t sel[3])
{
    __asm__ volatile("mov %%ds, %0" : "=r"(sel[0]));
    __asm__ volatile("mov %%es, %0" : "=r"(sel[1]));
    __asm__ volatile("mov %%ss, %0" : "=r"(sel[2]));
}

/* Not instrumented, and without a stack protector: FS may still be the code's. */
__attribute__((no_sanitize("address", "undefined"), optimize("no-stack-protector"))) static void
on_fault(int sig, siginfo_t *info, void *context)
{
    (void)info;
    if (native.fs_base)
        arch_prctl(ARCH_SET_FS, native.host_fs);
    /* the kernel leaves EFLAGS.AC as it was: not for us */
    __asm__ volatile("lea -128(%%rsp), %%rsp; pushfq; andl $~0x40000, (%%rsp); popfq;"
                     "lea 128(%%rsp), %%rsp" ::
                         : "memory", "cc");
    if (!native.running) { /* a fault of ours: once more, and no one will catch it */
        signal(sig, SIG_DFL);
        return;
    }
    /* gregs[] holds r8-r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags, ..., trapno at 20
     * (sys/ucontext.h names them, but only beside names of ours) */
    static const int order[16] = {13, 14, 12, 11, 15, 10, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7};
    enum { GREG_RSP = 15, GREG_RIP, GREG_EFL, GREG_CSGSFS, GREG_ERR, GREG_TRAPNO, GREG_CR2 = 22 };
    ucontext_t *uc = context;
    greg_t *g = uc->uc_mcontext.gregs;
    for (unsigned i = 0; i < 16; i++)
        native.out.gpr[i] = (uint64_t)g[order[i]];
    native.out.rflags = (uint64_t)g[GREG_EFL];
    memcpy(native.out.fx, uc->uc_mcontext.fpregs, sizeof native.out.fx);
    /* the XSAVE image: the component is there if it was in use */
    const uint8_t *image = (const uint8_t *)uc->uc_mcontext.fpregs;
    memset(native.out.ymm, 0, sizeof native.out.ymm);
    if (native.avx && ld64(image + 512) & 4)
        memcpy(native.out.ymm, image + 576, sizeof native.out.ymm);
    read_selectors(native.out.sel);
    native.out.sel[2] = (uint16_t)(g[GREG_CSGSFS] >> 48);
    native.vector = (int)g[GREG_TRAPNO];
    native.rip = (uint64_t)g[GREG_RIP] + native_code_base();
    native.error = (uint64_t)g[GREG_ERR];
    native.address = (uint64_t)g[GREG_CR2];
    /* leave with registers that cannot trap */
    uc->uc_mcontext.fpregs->cwd = 0x37f;
    uc->uc_mcontext.fpregs->swd = 0;
    uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
    g[GREG_CSGSFS] = (greg_t)((uint64_t)native.sel[2] << 48 | GDT_CODE64);
    g[GREG_RIP] = (greg_t)(uintptr_t)native_faulted;
    g[GREG_RSP] = (greg_t)native.host_rsp;
    g[GREG_EFL] = 0x202;
}

/* --- code of other sizes --- */

/* Whether the processor would take it as a code segment of user mode, of this size. */
static bool is_code(uint16_t sel, bool big)
{
    enum { LAR_CODE = 0x1800, LAR_USER = 0x6000, LAR_PRESENT = 0x8000, LAR_BIG = 0x400000 };
    uint32_t rights = 0;
    bool ok;
    __asm__("lar %2, %0; setz %1" : "+r"(rights), "=q"(ok) : "r"((uint32_t)sel) : "cc");
    const uint32_t want = LAR_CODE | LAR_USER | LAR_PRESENT;
    return ok && (rights & want) == want && !!(rights & LAR_BIG) == big;
}

static void set_local(uint16_t sel, uint64_t base, bool code, bool big)
{
    const struct user_desc d = {
        .entry_number = sel >> 3,
        .base_addr = (uint32_t)base,
        .limit = big ? 0xfffff : 0xffff,
        .limit_in_pages = big,
        .seg_32bit = big,
        .contents = code ? MODIFY_LDT_CONTENTS_CODE : MODIFY_LDT_CONTENTS_DATA,
    };
    syscall(SYS_modify_ldt, 0x11, &d, sizeof d); /* is_code() will see what came of it */
}

/* Some hosts have the system call and no local descriptors: their hypervisor keeps them away. */
static void find_code_segments(void)
{
    set_local(LDT_CODE32, 0, true, true);
    set_local(LDT_CODE16, NATIVE_PAGE, true, false);
    set_local(LDT_DATA16, NATIVE_DATA, false, false);
    native.cs[CODE64] = GDT_CODE64;
    native.cs[CODE32] = is_code(GDT_CODE32, true)   ? GDT_CODE32
                        : is_code(LDT_CODE32, true) ? LDT_CODE32
                                                    : 0;
    native.cs[CODE16] = is_code(LDT_CODE16, false) ? LDT_CODE16 : 0;
}

const char *native_why_not(enum code_bits bits)
{
    if (native.cs[bits])
        return NULL;
    return bits == CODE16 ? "the host has no 16-bit code segment (modify_ldt())"
                          : "the host has no 32-bit code segment (modify_ldt(), selector 23h)";
}

void native_set_bits(enum code_bits bits)
{
    native.bits = bits;
    native.far_sel = native.cs[bits];
    native.far_offset = (uint32_t)(NATIVE_CODE - native_code_base());
    native.entry = bits == CODE64 ? (const void *)NATIVE_CODE : native_far;
    for (unsigned i = 0; i < 3; i++)
        native.in_sel[i] = bits == CODE16 ? LDT_DATA16 : GDT_DATA;
}

uint64_t native_code_base(void)
{
    return native.bits == CODE16 ? NATIVE_PAGE : 0;
}

/* --- life --- */

/* The start of the code's page: two pointers, and jumps through them for far jumps to come to. */
enum { SLOTS = 0, JUMPS = 64, EACH = 16 };

/* jmp *slot(%rip); the slots lie aligned, for EFLAGS.AC may be set. */
static void put_jump(uint8_t *p, unsigned slot)
{
    p[0] = 0xff;
    p[1] = 0x25;
    st32(p + 2, (uint32_t)(native.buffer + SLOTS + slot * 8 - (p + 6)));
}

/* A way out at p: directly, or by a far jump. At most NATIVE_EXIT_BYTES. */
static void put_exit(uint8_t *p, unsigned slot)
{
    if (native.bits == CODE64) {
        put_jump(p, slot);
        return;
    }
    if (native.bits == CODE16)
        *p++ = 0x66;
    *p = 0xea;
    st32(p + 1, (uint32_t)(NATIVE_PAGE + JUMPS + slot * EACH));
    st16(p + 5, GDT_CODE64);
}

/* Whether FXRSTOR and FNSTENV know of the pointers; an emulator may not. */
static void find_pointers(void)
{
    native.in = (struct native_state){.rflags = 0x202};
    st16(native.in.fx, 0x37f);
    st64(native.in.fx + 8, 0x12345678);
    st32(native.in.fx + 24, 0x1f80);
    native.no_pointers = true;
    for (unsigned i = 0; i < 10 && native.no_pointers; i++) { /* a task switch may lose them */
        native_run((const uint8_t[]){0x90}, 1, 0);
        native.no_pointers = native.out.env[3] != 0x12345678;
    }
}

static const int signals[] = {SIGILL, SIGSEGV, SIGFPE, SIGBUS, SIGTRAP};

void native_catch(void)
{
    static uint8_t stack[65536];
    const stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    sigaltstack(&ss, NULL);
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &sa, NULL);
}

/* No signal is caught any more. */
static void release(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        signal(signals[i], SIG_DFL);
}

/* Runs what raises an exception, with this RAX. */
static void raise_one(const uint8_t *bytes, unsigned len, uint64_t rax)
{
    native.in = (struct native_state){.rflags = 0x202, .gpr = {rax}};
    st16(native.in.fx, 0x37f);
    st32(native.in.fx + 24, 0x1f80);
    native_catch();
    native_run(bytes, len, 0);
    release();
}

/* Under 5-level paging addresses reach further than 2^47. (Nothing is mapped there, and so there is
 * an exception in either case: which, says it.) */
static void find_canonical(void)
{
    raise_one((const uint8_t[]){0x8a, 0x00}, 2, BIT64(47)); /* MOV AL, [RAX] */
    native.not_canonical = native.vector == 13 ? BIT64(47) : BIT64(56);
}

/* INT1 is a trap (SDM 2A "INT n/INTO/INT3/INT1"); a hypervisor that takes #DB for itself and passes
 * it on may make a fault of it. */
static void find_int1(void)
{
    raise_one((const uint8_t[]){0xf1}, 1, 0);
    native.int1_early = native.rip == NATIVE_CODE;
}

bool native_create(void)
{
    native.buffer = mmap((void *)NATIVE_PAGE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (native.buffer != (void *)NATIVE_PAGE)
        return false;
    native.avx = __builtin_cpu_supports("avx") != 0;
    memset(native.buffer, 0xcc, 4096);
    st64(native.buffer + SLOTS, (uintptr_t)native_leave);
    st64(native.buffer + SLOTS + 8, (uintptr_t)native_leave_taken);
    for (unsigned slot = 0; slot < 2; slot++)
        put_jump(native.buffer + JUMPS + slot * EACH, slot);
    __asm__("mov %%fs:0, %0" : "=r"(native.host_fs)); /* the thread block points to itself */
    read_selectors(native.sel);
    find_code_segments();
    native_set_bits(CODE64);
    find_pointers();
    find_canonical();
    find_int1();
    return true;
}

void native_seal(void)
{
#ifndef __SANITIZE_ADDRESS__
    static const int allowed[] = {SYS_write,  SYS_rt_sigreturn, SYS_arch_prctl, SYS_exit_group,
                                  SYS_brk,    SYS_mmap,         SYS_munmap,     SYS_mremap,
                                  SYS_fstat,  SYS_newfstatat,   SYS_madvise,    SYS_rt_sigaction,
                                  SYS_getpid, SYS_gettid,       SYS_tgkill,     SYS_rt_sigprocmask};
    enum { N = ARRAY_SIZE(allowed) };
    struct sock_filter f[N + 5] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, N + 1),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    for (unsigned i = 0; i < N; i++)
        f[3 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i],
                                                (uint8_t)(N - i), 0);
    f[N + 3] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    f[N + 4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {.len = N + 5, .filter = f};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        perror("note: this system has no seccomp filters");
#endif
}

void native_destroy(void)
{
    munmap(native.buffer, 4096);
}

void native_set_gs(uint64_t base)
{
    native.gs_base = base;
    native.gs_shared = getenv("VITRINE_TEST_JIT") != NULL;
    arch_prctl(ARCH_SET_GS, base);
}

void native_put_exit(unsigned at)
{
    put_exit(native.buffer + at, 1);
}

__attribute__((no_sanitize("address", "undefined"), optimize("no-stack-protector"))) void
native_run(const uint8_t *bytes, unsigned len, uint64_t fs_base)
{
    uint8_t *p = native.buffer + NATIVE_CODE_AT;
    memcpy(p, bytes, len);
    put_exit(p + len, 0);
    native.vector = -1;
    native.taken = 0;
    native.fs_base = fs_base;
    native.running = true;
    uint64_t gs = 0;
    if (native.gs_shared) {
        arch_prctl(ARCH_GET_GS, (uintptr_t)&gs);
        arch_prctl(ARCH_SET_GS, native.gs_base);
    }
    if (fs_base)
        arch_prctl(ARCH_SET_FS, fs_base);
    native_enter();
    if (native.gs_shared)
        arch_prctl(ARCH_SET_GS, gs);
    if (fs_base)
        arch_prctl(ARCH_SET_FS, native.host_fs);
    native.running = false;
    if (memcmp(native.out.sel, native.sel, sizeof native.sel))
        __asm__ volatile("mov %0, %%ds; mov %1, %%es; mov %2, %%ss" ::"r"(native.sel[0]),
                         "r"(native.sel[1]), "r"(native.sel[2]));
}
