/*
 * Several CPUs at full speed: the order of loads and stores (SDM 3A §8.2.2 "Memory Ordering in P6
 * and More Recent Processor Families"), locked operations of every kind and width at every
 * alignment (§8.1.2 "Bus Locking"), code that CPUs write beside each other's, page tables that
 * change under them, interrupts to each other. Run with -smp 2 to 16.
 *
 * The tests of order do not meet for each round, which on a busy host takes long: both sides count
 * on, write down what they saw, and what one saw at its count says what the other may have seen.
 */
#include "rt.h"

const char image_name[] = "smpstress32";

#include "smp.inc"

#define ROUNDS 50000u
#define LOG(n) ((vu32 *)(0x1000000 + 0x100000 * (n))) /* of participant n */

static struct {
    vu32 v;
    uint8_t pad[60];
} line[64] __attribute__((aligned(64)));
#define X line[1].v
#define Y line[3].v

static vu32 arrived, wrong;
static unsigned parties;

/* Together from here on. */
static void meet(void)
{
    asm volatile("lock incl %0" : "+m"(arrived));
    while (arrived < parties)
        relax();
}

static unsigned rank_of(unsigned n)
{
    for (unsigned i = 0; i < others; i++)
        if (other[i] == n)
            return i + 1;
    return 0;
}

/* Has n CPUs, this one among them, do a job; it ends when all have. */
static void together(unsigned n, void (*job)(unsigned))
{
    parties = n;
    arrived = wrong = 0;
    X = Y = 0;
    for (unsigned i = 0; i + 1 < n; i++)
        give(other[i], job);
    job(0);
    for (unsigned i = 0; i + 1 < n; i++)
        while (!cpu[other[i]].done)
            relax();
}

/* --- order --- */

/* A store, then a load of what the other one stores: only a fence keeps them in this order. */
#define STORE_BUFFERING(name, fence)                                 \
    static void name(unsigned n)                                     \
    {                                                                \
        vu32 *const mine = n ? &Y : &X, *const theirs = n ? &X : &Y; \
        vu32 *const log = LOG(n != 0);                               \
        meet();                                                      \
        for (uint32_t i = 1; i < ROUNDS; i++) {                      \
            uint32_t v;                                              \
            asm volatile("movl %2, %1\n" fence "movl %3, %0"         \
                         : "=&r"(v), "=m"(*mine)                     \
                         : "r"(i), "m"(*theirs)                      \
                         : "memory", "cc");                          \
            log[i] = v;                                              \
        }                                                            \
    }
STORE_BUFFERING(buffered, "")
STORE_BUFFERING(fenced, "mfence\n")
STORE_BUFFERING(lock_fenced, "lock orl $0, (%%esp)\n")
STORE_BUFFERING(xchg_fenced, "pushl $0\n xchgl %0, (%%esp)\n leal 4(%%esp), %%esp\n")
/* Serializing instructions: SDM 3A §8.3. */
STORE_BUFFERING(cpuid_fenced, "pushal\n cpuid\n popal\n")
STORE_BUFFERING(iret_fenced, "pushfl\n pushl %%cs\n pushl $1f\n iretl\n1:\n")

/* The same with IRETQ: (mine, theirs, log), without paging; interrupts wait until 32-bit code is
 * back. */
__asm__(".pushsection .text\n"
        "buffer_stores_64:\n"
        " pushal\n"
        " movl 36(%esp), %esi\n"
        " movl 40(%esp), %edi\n"
        " movl 44(%esp), %ebp\n"
        " movl rounds, %ebx\n"
        " pushfl\n"
        " cli\n"
        " movl %cr4, %eax\n"
        " orl $0x20, %eax\n" /* PAE */
        " movl %eax, %cr4\n"
        " movl $long_tables, %eax\n"
        " movl %eax, %cr3\n"
        " movl $0xc0000080, %ecx\n" /* IA32_EFER.LME */
        " rdmsr\n"
        " orl $0x100, %eax\n"
        " wrmsr\n"
        " movl %cr0, %eax\n"
        " orl $0x80000000, %eax\n"
        " movl %eax, %cr0\n"
        " ljmpl $0x28, $1f\n" /* KCODE64 */
        ".code64\n"
        "1: movl %esp, %r8d\n"
        " movl $1, %ecx\n"
        "2: pushq $0x10\n" /* KDATA */
        " pushq %r8\n"
        " pushfq\n"
        " pushq $0x28\n"
        " movl $3f, %eax\n"
        " pushq %rax\n"
        " movl %ecx, (%rsi)\n"
        " iretq\n"
        "3: movl (%rdi), %eax\n"
        " movl %eax, (%rbp,%rcx,4)\n"
        " incl %ecx\n"
        " cmpl %ebx, %ecx\n"
        " jb 2b\n"
        " pushq $0x08\n" /* KCODE32 */
        " movl $4f, %eax\n"
        " pushq %rax\n"
        " lretq\n"
        ".code32\n"
        "4: movl %cr0, %eax\n"
        " andl $0x7fffffff, %eax\n"
        " movl %eax, %cr0\n"
        " movl $0xc0000080, %ecx\n"
        " rdmsr\n"
        " andl $0xfffffeff, %eax\n"
        " wrmsr\n"
        " movl %cr4, %eax\n"
        " andl $0xffffffdf, %eax\n"
        " movl %eax, %cr4\n"
        " popfl\n"
        " popal\n"
        " ret\n"
        ".popsection\n");
void buffer_stores_64(vu32 *mine, vu32 *theirs, vu32 *log);
__attribute__((used)) static const uint32_t rounds = ROUNDS;
__attribute__((aligned(4096))) static uint64_t long_tables[3][512];

static void iretq_fenced(unsigned n)
{
    meet();
    buffer_stores_64(n ? &Y : &X, n ? &X : &Y, LOG(n != 0));
}

/* The first GiB, identity-mapped. */
static void make_long_tables(void)
{
    for (unsigned i = 0; i < 2; i++)
        long_tables[i][0] = (word)long_tables[i + 1] | 3;
    for (unsigned i = 0; i < 512; i++)
        long_tables[2][i] = i * UINT64_C(0x200000) | 0x83; /* present, writable, 2 MiB */
}

/* The first count of the other one that was not there yet is one that saw this one. */
static unsigned reordered(void)
{
    unsigned n = 0;
    for (uint32_t i = 1; i < ROUNDS; i++) {
        const uint32_t next = LOG(0)[i] + 1;
        if (next < ROUNDS && LOG(1)[next] < i)
            n++;
    }
    return n;
}

static void store_buffering(void)
{
    NEED_OTHERS();
    together(2, buffered); /* whatever comes of it is right */
    make_long_tables();
    static const struct {
        void (*job)(unsigned);
        const char *name;
    } fences[] = {{fenced, "MFENCE"},      {lock_fenced, "a locked OR"}, {xchg_fenced, "XCHG"},
                  {cpuid_fenced, "CPUID"}, {iret_fenced, "IRET"},        {iretq_fenced, "IRETQ"}};
    for (unsigned i = 0; i < sizeof fences / sizeof fences[0]; i++) {
        together(2, fences[i].job);
        check_eq(reordered(), 0, "loads that passed %s", fences[i].name);
    }
}

static void pass_message(unsigned n)
{
    uint32_t last = 0;
    meet();
    for (uint32_t i = 1; i < ROUNDS; i++) {
        if (n) {
            X = i;
            Y = i;
            continue;
        }
        const uint32_t flag = Y, data = X;
        wrong += data < flag || flag < last;
        last = flag;
    }
}

static void load_buffer(unsigned n)
{
    vu32 *const mine = n ? &Y : &X, *const theirs = n ? &X : &Y;
    meet();
    for (uint32_t i = 1; i < ROUNDS; i++) {
        LOG(n != 0)[i] = *theirs;
        *mine = i;
    }
}

static void message(void)
{
    NEED_OTHERS();
    together(2, pass_message);
    check_eq(wrong, 0, "flags that came before their data");
    together(2, load_buffer);
    unsigned n = 0;
    for (uint32_t i = 1; i < ROUNDS; i++) {
        const uint32_t seen = LOG(0)[i];
        if (seen && LOG(1)[seen] >= i)
            n++;
    }
    check_eq(n, 0, "loads that saw stores behind them");
}

/* Two write, two look, in opposite order. */
static void independent(unsigned n)
{
    const unsigned me = rank_of(n);
    meet();
    for (uint32_t i = 1; i < ROUNDS; i++) {
        if (me == 0) {
            X = i;
        } else if (me == 1) {
            Y = i;
        } else {
            vu32 *const first = me == 2 ? &X : &Y, *const second = me == 2 ? &Y : &X;
            LOG(2 * me)[i] = *first;
            LOG(2 * me + 1)[i] = *second;
        }
    }
}

static void one_order(void)
{
    NEED_OTHERS();
    if (others < 3) {
        skip("it takes four CPUs");
        return;
    }
    together(4, independent);
    unsigned n = 0;
    uint32_t k = 1;
    for (uint32_t i = 1; i < ROUNDS; i++) {
        const uint32_t x = LOG(4)[i], y = LOG(5)[i];
        while (k < ROUNDS && LOG(6)[k] <= y) /* the first that saw a later Y */
            k++;
        if (k < ROUNDS && LOG(7)[k] < x)
            n++;
    }
    check_eq(n, 0, "stores of two that two others saw in different order");
}

/* --- locked operations --- */

#define TIMES 3000u
/* Operands: aligned, not aligned in one line, over two lines, over two pages. */
static uint8_t area[4 * 4096] __attribute__((aligned(4096)));
static const uint16_t places[] = {0x100, 0x201, 0x33d, 0xffd};
#define PLACES (sizeof places / sizeof places[0])
static uint8_t *at_place(unsigned p, unsigned slot)
{
    return area + places[p] + (p == 3 ? 4096 * (slot % 3) : 64 * slot);
}
enum { SUM32, SUM16, SUM8, SUM64, SLOTS };

#define LOCKED(text, size, p, ...) \
    asm volatile("lock " text : "+m"(*(uint##size##_t(*))(p)) : __VA_ARGS__ : "cc", "memory")

static void compare_exchange(uint8_t *p)
{
    uint32_t old = *(vu32 *)p, seen;
    for (;; old = seen) {
        asm volatile("lock cmpxchgl %2, %1"
                     : "=a"(seen), "+m"(*(uint32_t *)p)
                     : "r"(old + 1), "0"(old)
                     : "cc", "memory");
        if (seen == old)
            return;
    }
}

static void compare_exchange_8(uint8_t *p)
{
    uint64_t old = *(volatile uint64_t *)p;
    for (;;) {
        const uint64_t new = old + UINT64_C(0x100000001);
        bool done;
        asm volatile("lock cmpxchg8b %1\n sete %2"
                     : "+A"(old), "+m"(*(uint64_t *)p), "=q"(done)
                     : "b"((uint32_t) new), "c"((uint32_t)(new >> 32))
                     : "cc", "memory");
        if (done)
            return;
    }
}

static unsigned place;

/* Each round adds 7 to the words of 4, 2 and 1 bytes. */
static void add_up(unsigned n)
{
    uint8_t *const l = at_place(place, 0), *const w = l + 8, *const b = area + 0x80,
                   *const q = at_place(place, 1);
    meet();
    for (unsigned i = 0; i < TIMES; i++) {
        uint32_t two = 2, minus = -1u;
        LOCKED("incl %0", 32, l, "r"(0));
        LOCKED("addl %1, %0", 32, l, "r"(two));
        asm volatile("lock xaddl %0, %1" : "+r"(two), "+m"(*(uint32_t *)l)::"cc", "memory");
        LOCKED("subl %1, %0", 32, l, "r"(minus));
        LOCKED("decl %0", 32, l, "r"(0));
        asm volatile("stc\n lock adcl $0, %0" : "+m"(*(uint32_t *)l)::"cc", "memory");
        compare_exchange(l);
        LOCKED("incw %0", 16, w, "r"(0));
        LOCKED("addw $7, %0", 16, w, "r"(0));
        asm volatile("stc\n lock sbbw $0, %0" : "+m"(*(uint16_t *)w)::"cc", "memory");
        LOCKED("subb $-8, %0", 8, b, "r"(0));
        LOCKED("decb %0", 8, b, "r"(0));
        compare_exchange_8(q);
    }
}

/* A bit of one's own is as one left it, whatever the others do beside it. */
static void own_bits(unsigned n)
{
    const uint32_t me = rank_of(n), bit = 1u << me;
    uint8_t *const p = at_place(place, 0);
    vu32 *const v = (vu32 *)p;
    unsigned bad = 0;
    bool was;
    meet();
    for (unsigned i = 0; i < TIMES; i++) {
        LOCKED("orl %1, %0", 32, p, "r"(bit));
        bad += !(*v & bit);
        LOCKED("andl %1, %0", 32, p, "r"(~bit));
        bad += (*v & bit) != 0;
        LOCKED("xorl %1, %0", 32, p, "r"(bit));
        bad += !(*v & bit);
        asm volatile("lock btrl %2, %1\n setc %0"
                     : "=q"(was), "+m"(*(uint32_t *)p)
                     : "r"(me)
                     : "cc", "memory");
        bad += !was || (*v & bit);
        asm volatile("lock btsl %2, %1\n setc %0"
                     : "=q"(was), "+m"(*(uint32_t *)p)
                     : "r"(me)
                     : "cc", "memory");
        bad += was || !(*v & bit);
        asm volatile("lock btcl %2, %1\n setc %0"
                     : "=q"(was), "+m"(*(uint32_t *)p)
                     : "r"(me)
                     : "cc", "memory");
        bad += !was || (*v & bit);
        LOCKED("notl %0", 32, p + 8, "r"(0));
        LOCKED("negl %0", 32, p + 12, "r"(0));
    }
    asm volatile("lock addl %1, %0" : "+m"(wrong) : "r"(bad) : "cc");
}

/* Tokens go round: none is lost, none comes twice. */
static vu32 tokens;
static void exchange(unsigned n)
{
    uint32_t mine = 1u << rank_of(n);
    uint8_t *const p = at_place(place, 0);
    meet();
    for (unsigned i = 0; i < TIMES; i++)
        asm volatile("xchgl %0, %1" : "+r"(mine), "+m"(*(uint32_t *)p)::"memory");
    asm volatile("lock addl %1, %0" : "+m"(tokens) : "r"(mine) : "cc");
}

/* So does loading a segment, which sets A of its descriptor (SDM 3A §8.1.2.1). */
#define SHARED SLOT(30)
static void load_segment(unsigned n)
{
    uint8_t *const high = (uint8_t *)&gdt[SHARED / 8] + 4;
    meet();
    for (unsigned i = 0; i < TIMES; i++) {
        LOCKED("andl %1, %0", 32, high, "r"(~0x100u)); /* A */
        asm volatile("movw %w0, %%fs" ::"r"(SHARED));
        LOCKED("addl %1, %0", 32, high, "r"(1u << 24)); /* bits 31:24 of the base */
    }
    asm volatile("movw %w0, %%fs" ::"r"(KDATA));
}

static void locked(void)
{
    NEED_OTHERS();
    const uint32_t all = TIMES * (others + 1);
    for (place = 0; place < PLACES; place++) {
        memset(area, 0, sizeof area);
        together(others + 1, add_up);
        uint8_t *const p = at_place(place, 0);
        check_eq(*(uint32_t *)p, 7 * all, "place %u: sum of 4 bytes", place);
        check_eq(*(uint16_t *)(p + 8), (uint16_t)(7 * all), "place %u: of 2", place);
        check_eq(area[0x80], (uint8_t)(7 * all), "place %u: of 1", place);
        const uint64_t q = *(uint64_t *)at_place(place, 1);
        check_eq((uint32_t)q, all, "place %u: of 8, low", place);
        check_eq((uint32_t)(q >> 32), all, "place %u: of 8, high", place);

        memset(area, 0, sizeof area);
        *(uint32_t *)(p + 12) = 5;
        together(others + 1, own_bits);
        check_eq(wrong, 0, "place %u: bits that others changed", place);
        check_eq(*(uint32_t *)(p + 8), all & 1 ? -1u : 0, "place %u: NOT", place);
        check_eq(*(uint32_t *)(p + 12), all & 1 ? -5u : 5, "place %u: NEG", place);

        *(uint32_t *)p = 0x10000;
        tokens = 0;
        together(others + 1, exchange);
        check_eq(tokens + *(uint32_t *)p, 0x10000 + (1u << (others + 1)) - 1,
                 "place %u: tokens by XCHG", place);
    }
    gdt_set(SHARED, descriptor(0, 0xfffff, P | T_RW, F_G | F_D));
    together(others + 1, load_segment);
    check_eq(gdt_get(SHARED) >> 56, all & 0xff, "what others wrote beside the accessed bit");
}

/* --- code --- */

/* MOV EAX, imm32; RET, one for each CPU in one page, which each writes and runs. */
static uint8_t code[4096] __attribute__((aligned(4096)));

static void write_and_run(unsigned n)
{
    uint8_t *const mine = code + 64 * rank_of(n);
    mine[3] = 0xb8;
    mine[0] = mine[1] = mine[2] = 0x90;
    mine[8] = 0xc3;
    unsigned bad = 0;
    meet();
    for (uint32_t i = 0; i < 2000; i++) {
        uint32_t v;
        *(vu32 *)(mine + 4) = i;
        for (unsigned k = 0; k < 3; k++) {
            asm volatile("call *%1" : "=a"(v) : "r"(mine) : "memory");
            bad += v != i;
        }
    }
    asm volatile("lock addl %1, %0" : "+m"(wrong) : "r"(bad) : "cc");
}

/* One function all run, which one writes: what it returns only grows. */
static vu32 writer_done;
static void run_while_written(unsigned n)
{
    uint8_t *const f = code + 0x800;
    uint32_t last = 0;
    unsigned bad = 0;
    meet();
    if (n == 0) {
        for (uint32_t i = 1; i < 2000; i++) {
            *(vu32 *)(f + 4) = i;
            for (unsigned k = 0; k < i % 64; k++)
                relax();
        }
        writer_done = 1;
        return;
    }
    for (bool end = false; !end;) {
        uint32_t v;
        uint32_t r[4];
        end = writer_done;
        cpuid(0, 0, r); /* or it may run what it fetched before: SDM 3A §8.1.3 */
        asm volatile("call *%1" : "=a"(v) : "r"(f) : "memory");
        bad += v < last || (end && v != 1999);
        last = v;
    }
    asm volatile("lock addl %1, %0" : "+m"(wrong) : "r"(bad) : "cc");
}

static void changing_code(void)
{
    NEED_OTHERS();
    together(others + 1, write_and_run);
    check_eq(wrong, 0, "calls of code of before");
    uint8_t *const f = code + 0x800;
    memset(f, 0x90, 8);
    f[3] = 0xb8;
    f[8] = 0xc3;
    for (unsigned i = 0; i < 4; i++) { /* once in ten times a slice ends where it matters */
        *(vu32 *)(f + 4) = 0;
        writer_done = 0;
        together(others + 1, run_while_written);
    }
    check_eq(wrong, 0, "calls that went back in time");
}

/* --- page tables --- */

#define WINDOW 0x40000000
#define FRAMES 4
static uint32_t directory[1024] __attribute__((aligned(4096))),
    table[1024] __attribute__((aligned(4096)));
static vu32 frames[FRAMES][1024] __attribute__((aligned(4096)));
static vu32 acked, over, written[CPUS];

static void paging(bool on)
{
    if (on) {
        write_cr4(cr4() | 0x10);
        write_cr3((word)directory);
        write_cr0(cr0() | 0x80000000);
    } else {
        write_cr0(cr0() & ~0x80000000);
    }
}

/* What is mapped since the last time all said that they had forgotten is what is read. */
static void watch_window(unsigned n)
{
    unsigned bad = 0;
    paging(true);
    meet();
    if (n == 0) {
        for (uint32_t i = 1; i < 1000; i++) {
            frames[i % FRAMES][0] = i;
            table[0] = (word)frames[i % FRAMES] | 3;
            invlpg(WINDOW);
            const uint32_t before = sum_hits(V_SHOOT);
            send(0, FIXED | TO_OTHERS | VECTOR(V_SHOOT));
            while (sum_hits(V_SHOOT) != before + others)
                relax();
            acked = i;
        }
        over = 1;
    } else {
        while (!over) {
            const uint32_t from = acked, v = *(vu32 *)WINDOW;
            bad += v < from;
            (*(vu32 *)(WINDOW + 64 * (1 + rank_of(n))))++;
            written[n]++;
        }
    }
    paging(false);
    asm volatile("lock addl %1, %0" : "+m"(wrong) : "r"(bad) : "cc");
}

static void shootdowns(void)
{
    NEED_OTHERS();
    for (unsigned i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x83;
    directory[WINDOW >> 22] = (word)table | 3;
    table[0] = (word)frames[0] | 3;
    shoot_page = WINDOW;
    acked = over = 0;
    together(others + 1, watch_window);
    check_eq(wrong, 0, "reads of a page that was taken away");
    for (unsigned i = 0; i < others; i++) {
        uint32_t most = 0; /* a load and a store may fall on both sides of a change */
        for (unsigned f = 0; f < FRAMES; f++)
            most += frames[f][16 * (2 + i)];
        check(most != 0 && written[other[i]] != 0, "stores by way of the window");
    }
}

/* --- interrupts --- */

static unsigned next_of(unsigned n)
{
    const unsigned me = rank_of(n);
    return me == others ? 0 : other[me];
}

static void ring(unsigned n)
{
    const unsigned to = next_of(n);
    IRQS_ON();
    meet();
    for (uint32_t i = 1; i <= 1000; i++) {
        send(to, FIXED | VECTOR(V_A));
        while (cpu[to].hits[V_A] < i)
            relax();
        if (i % 8 == 0)
            send(to, NMI_MODE);
    }
    asm volatile("lock incl %0" : "+m"(over));
    while (over <= others) /* interrupts for this one may be on their way */
        relax();
    if (n == 0)
        IRQS_OFF();
}

/* Asleep until the next one: none is missed. */
static void sleep_and_wake(unsigned n)
{
    const unsigned to = next_of(n);
    if (n == 0)
        IRQS_OFF();
    meet();
    for (uint32_t i = 1; i <= 300; i++) {
        if (n == 0)
            send(to, FIXED | VECTOR(V_B));
        asm volatile("cli");
        while (cpu[n].hits[V_B] < i)
            asm volatile("sti\n hlt\n cli" ::: "memory");
        asm volatile("sti");
        if (n)
            send(to, FIXED | VECTOR(V_B));
    }
    if (n == 0)
        IRQS_OFF();
}

static void interrupts(void)
{
    NEED_OTHERS();
    over = 0;
    together(others + 1, ring);
    check_eq(sum_hits(V_A), 1000 * (others + 1), "interrupts round the ring");
    check(sum_hits(V_NMI) > 0, "NMIs");
    together(others + 1, sleep_and_wake);
    check_eq(sum_hits(V_B), 300 * (others + 1), "sleepers woken");
}

const struct test tests[] = {
    {"start", start},
    {"store_buffering", store_buffering},
    {"message", message},
    {"one_order", one_order},
    {"locked", locked},
    {"changing_code", changing_code},
    {"shootdowns", shootdowns},
    {"interrupts", interrupts},
    {0},
};
