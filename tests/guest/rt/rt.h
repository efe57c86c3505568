/*
 * The runtime of the bare-metal tests, for 32-bit and for 64-bit images.
 *
 *   TRY("lldt %%ax")     runs the assembly text as a guest program of its own, in the world that
 * ctx describes (level, segments, flags, stack), with the registers of in; what ends it, a fault or
 * the INT 80h behind the text, is in last. expect_fault(...)    compares last with what the manual
 * says.
 *
 * A test is a function listed in the image's tests[]; each prints one PASS or its FAIL lines.
 */
#ifndef RT_H
#define RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uintptr_t word;

/* --- selectors; SLOT(n) are the tests' own --- */
enum {
    KCODE32 = 0x08,
    KDATA = 0x10,
    UCODE32 = 0x1b,
    UDATA = 0x23,
    KCODE64 = 0x28,
    UCODE64 = 0x33,
    KCODE16 = 0x38,
    KDATA16 = 0x40,
    TSS_MAIN = 0x48, /* two slots in a 64-bit image */
    TSS_DF = 0x58,
    R1CODE = 0x61,
    R1DATA = 0x69,
    R2CODE = 0x72,
    R2DATA = 0x7a,
    SLOT0 = 0x80,
    GDT_BYTES = 0x400,
};
#define SLOT(n) (SLOT0 + 8 * (n))
#ifdef __x86_64__
#define KCODE KCODE64
#define UCODE UCODE64
#else
#define KCODE KCODE32
#define UCODE UCODE32
#endif

enum {
    DE,
    DB,
    NMI,
    BP,
    OF,
    BR,
    UD,
    NM,
    DF,
    TS = 10,
    NP,
    SS,
    GP,
    PF,
    MF = 16,
    AC,
    MC,
    XM,
    DONE = 0x80
};

/* --- descriptors --- */
enum { /* access byte without DPL and P */
       T_TSS16 = 1,
       T_LDT = 2,
       T_TSS16B = 3,
       T_CALL16 = 4,
       T_TASK = 5,
       T_INT16 = 6,
       T_TRAP16 = 7,
       T_TSS32 = 9,
       T_TSS32B = 11,
       T_CALL32 = 12,
       T_INT32 = 14,
       T_TRAP32 = 15,
       T_RO = 0x11,
       T_RW = 0x13,
       T_RO_DOWN = 0x15,
       T_RW_DOWN = 0x17,
       T_XO = 0x19,
       T_XR = 0x1b,
       T_XO_CONF = 0x1d,
       T_XR_CONF = 0x1f,
       P = 0x80,
};
#define DPL(n) ((n) << 5)
enum { F_L = 2, F_D = 4, F_G = 8 };

/* limit in the descriptor's own units */
uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags);
uint64_t gate(unsigned sel, uint32_t offset, unsigned access, unsigned count);
void gdt_set(unsigned sel, uint64_t d);
uint64_t gdt_get(unsigned sel);
extern uint64_t gdt[GDT_BYTES / 8];
extern uint64_t ldt[32];

/* --- IDT --- */
#ifdef __x86_64__
enum { GATE_WORDS = 2 };
#else
enum { GATE_WORDS = 1 };
#endif
extern uint64_t idt[256 * GATE_WORDS];
void idt_set(unsigned vector, unsigned sel, word offset, unsigned access, unsigned ist);
void idt_default(unsigned vector); /* to the catcher again */
word stub_address(unsigned vector);

/* --- TSS --- */
#ifdef __x86_64__
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3], reserved1, ist[7], reserved2;
    uint16_t reserved3, iomap;
    uint8_t bitmap[8193 + 31];
} __attribute__((packed));
#else
struct tss {
    uint16_t link, r0;
    struct {
        uint32_t esp;
        uint16_t ss, r;
    } stack[3];
    uint32_t cr3, eip, eflags, reg[8];
    struct {
        uint16_t sel, r;
    } seg[6];
    uint16_t ldt, r1, trap, iomap;
    uint8_t bitmap[8193 + 31];
} __attribute__((packed));
struct tss16 {
    uint16_t link;
    struct {
        uint16_t sp, ss;
    } stack[3];
    uint16_t ip, flags, reg[8], seg[4], ldt;
} __attribute__((packed));
#endif
extern struct tss tss;
void tss_reload(void); /* makes TSS_MAIN available and loads TR */

/* --- running something --- */
struct regs {
    word ax, bx, cx, dx, si, di, bp;
};
enum level { RING0, RING1, RING2, RING3, VM86 };
struct context {
    uint16_t cs, ss, ds, es, fs, gs;
    word sp, flags;
    bool vm86;
    bool copy; /* runs from a copy at low_code, with cs_base taken off */
    word cs_base;
    bool set_fs_gs; /* 64-bit images: FS and GS are left alone otherwise */
};
struct outcome {
    unsigned vector;
    uint32_t error;
    word ip, flags, sp, cs, ss;
    word ds, es, fs, gs;
    word cr2, dr6;
    struct regs r;
    word frame_at;   /* where the processor's frame begins on the handler's stack */
    word frame[12];  /* and its raw words */
    bool nested;     /* double fault through its own task or stack */
    word start, end; /* of the program: what faults there, and the INT 80h */
};
extern struct context ctx;
extern struct regs in;
extern struct outcome last;

void at(enum level level);        /* ctx as for flat code of this level */
void at_code16(enum level level); /* 16-bit segments, base 0, a copy below 64 KiB */
#ifdef __x86_64__
void at_compat(enum level level);
#endif
void run(const uint8_t *start, const uint8_t *end);

#define TRY(text)                                             \
    do {                                                      \
        const uint8_t *s_, *e_;                               \
        asm volatile("mov $77f, %0\n mov $88f, %1\n"          \
                     ".pushsection .snip, \"ax\"\n 77: " text \
                     "\n 88: .byte 0xcd, 0x80\n .popsection"  \
                     : "=r"(s_), "=r"(e_));                   \
        run(s_, e_);                                          \
    } while (0)
#ifdef __x86_64__
#define BITS ".code64\n"
#else
#define BITS ".code32\n"
#endif
#define TRY16(text) TRY(".code16\n" text "\n" BITS)
#define TRY32(text) TRY(".code32\n" text "\n" BITS)

/* Called for each exception and interrupt; true: go on where it happened. f: the frame, its IP
 * first. */
extern bool (*hook)(word *f);

#ifndef __x86_64__
/* The same in real mode, at 0000:8000; r says with what. last.ip and .sp are offsets. */
struct real {
    uint16_t ds, es, fs, gs, ss, sp, flags;
    uint16_t ip, cs; /* where the program is entered; it lies at 8000h */
    uint16_t idt_limit;
    uint32_t idt_base, cr0;
    bool keep_limits; /* DS, ES, FS, GS keep what they have in protected mode */
};
extern struct real real;
void at_real(void);
void run_real(const uint8_t *start, const uint8_t *end);
#define TRY_REAL(text)                                                  \
    do {                                                                \
        const uint8_t *s_, *e_;                                         \
        asm volatile("mov $77f, %0\n mov $88f, %1\n"                    \
                     ".pushsection .snip, \"ax\"\n .code16\n 77: " text \
                     "\n 88: .byte 0xcd, 0x80\n .code32\n .popsection"  \
                     : "=r"(s_), "=r"(e_));                             \
        run_real(s_, e_);                                               \
    } while (0)
#endif

#define LOW_CODE  0x8000 /* where copies run */
#define LOW_STACK 0xc000
#define LOW_DATA  0xd000

extern uint8_t test_stack[4096], test_stack_top[], user_stack_top[], entry_stack_top[];

/* --- verdicts --- */
void expect_done(const char *fmt, ...);
void expect_fault(unsigned vector, uint32_t error, const char *fmt, ...); /* at the first byte */
void expect_at(unsigned vector, uint32_t error, unsigned off, const char *fmt, ...);
void expect_trap(unsigned vector, const char *fmt, ...); /* behind the last instruction */
void check(bool ok, const char *fmt, ...);
void check_eq(uint64_t got, uint64_t expected, const char *fmt, ...);
void skip(const char *why);
void print(const char *fmt, ...);
_Noreturn void quit(unsigned status);

struct test {
    const char *name;
    void (*fn)(void);
};
extern const struct test tests[];
extern const char image_name[];

/* Survives a reset: the phase an image is in, 0 after power-on. */
unsigned phase(void);
void set_phase(unsigned n);

/* --- instructions --- */
#define READ_REG(name, reg)                                 \
    static inline word name(void)                           \
    {                                                       \
        word v;                                             \
        asm volatile("mov %%" reg ", %0" : "=r"(v));        \
        return v;                                           \
    }                                                       \
    static inline void write_##name(word v)                 \
    {                                                       \
        asm volatile("mov %0, %%" reg ::"r"(v) : "memory"); \
    }
READ_REG(cr0, "cr0")
READ_REG(cr2, "cr2")
READ_REG(cr3, "cr3")
READ_REG(cr4, "cr4")
READ_REG(dr0, "dr0")
READ_REG(dr1, "dr1")
READ_REG(dr2, "dr2")
READ_REG(dr3, "dr3")
READ_REG(dr6, "dr6")
READ_REG(dr7, "dr7")

static inline void outb(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline void outl(uint16_t port, uint32_t v)
{
    asm volatile("outl %0, %1" ::"a"(v), "Nd"(port));
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(sub));
}
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
    asm volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
struct pointer {
    uint16_t limit;
    word base;
} __attribute__((packed));
static inline void lgdt(const void *base, unsigned limit)
{
    const struct pointer p = {(uint16_t)limit, (word)base};
    asm volatile("lgdt %0" ::"m"(p));
}
static inline void lidt(const void *base, unsigned limit)
{
    const struct pointer p = {(uint16_t)limit, (word)base};
    asm volatile("lidt %0" ::"m"(p));
}
static inline void invlpg(word at)
{
    asm volatile("invlpg (%0)" ::"r"(at) : "memory");
}
static inline void flush_tlb(void)
{
    write_cr3(cr3());
}
/* CPUID bits the tests ask for: leaf 1 and 7 and 80000001h */
enum {
    HAS_PCID = 1 << 0,
    HAS_SMEP = 1 << 1,
    HAS_SMAP = 1 << 2,
    HAS_UMIP = 1 << 3,
    HAS_INVPCID = 1 << 4,
    HAS_PGE = 1 << 5,
    HAS_NX = 1 << 6,
    HAS_GIB = 1 << 7,
    HAS_LA57 = 1 << 8,
    HAS_RDTSCP = 1 << 9,
    HAS_XSAVE = 1 << 10,
    HAS_FSGSBASE = 1 << 11,
    HAS_VME = 1 << 12,
    HAS_LM = 1 << 13,
    HAS_SEP = 1 << 14,
    HAS_PKU = 1 << 15,
    HAS_SYSCALL = 1 << 16,
};
uint32_t features(void);
bool vendor_amd(void);
#ifdef __x86_64__
/* The first and the last address that no MSR, table or system segment takes as its base: the width
 * that the processor has decides, not that of the paging that is on. */
static inline uint64_t bad_base(bool last_one)
{
    const unsigned width = features() & HAS_LA57 ? 57 : 48;
    return last_one ? ~(UINT64_C(1) << (width - 1)) : UINT64_C(1) << (width - 1);
}
#endif

void *memset(void *p, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#endif
