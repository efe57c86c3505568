/*
 * Several CPUs: starting them by INIT and SIPI, interrupts between them in every delivery mode,
 * x2APIC mode, the TSC-deadline timer, and what they see of each other's stores: locked operations,
 * code that changes, page tables.
 */
#include "rt.h"

const char image_name[] = "smp32";

#include "smp.inc"

static void give_all(void (*job)(unsigned))
{
    for (unsigned i = 0; i < others; i++)
        give(other[i], job);
}

static bool all_done(void)
{
    for (unsigned i = 0; i < others; i++)
        if (!UNTIL(cpu[other[i]].done))
            return false;
    return true;
}

static vu32 base_bits, halting;
static void read_base(unsigned n)
{
    base_bits = (uint32_t)rdmsr(0x1b);
}

static void halt(unsigned n)
{
    halting = 1;
    for (;;)
        asm volatile("cli\n hlt");
}

static void spin(unsigned n)
{
    halting = 1;
    for (;;)
        asm volatile("" ::: "memory"); /* without PAUSE, interrupts as they are */
}

static vu32 pattern;
static void leave_traces(unsigned n)
{
    APIC(TPR) = 0x30;
    APIC(LVT_LINT1) = 0x400;
    write_cr2(0x1234);
    write_dr0(0x5678);
    halting = 1;
    for (;;)
        asm volatile("cli\n hlt");
}

static void find_traces(unsigned n)
{
    pattern = (uint32_t)(APIC(TPR) |
                         (APIC(LVT_LINT1) != 0x10400 && APIC(LVT_LINT1) != 0x10000 ? 0x100 : 0) |
                         (cr2() ? 0x200 : 0) | (dr0() ? 0x400 : 0));
}

static void again(unsigned n, const char *what)
{
    const uint32_t before = cpu[n].starts;
    send(n, INIT);
    linger();
    check_eq(cpu[n].starts, before, "%s: waits for SIPI", what);
    send(n, SIPI | 0x0a);
    check(UNTIL(cpu[n].starts == before + 1), "%s: starts again", what);
}

static void init_states(void)
{
    NEED_OTHERS();
    const unsigned n = other[0];
    give(n, read_base);
    check(UNTIL(cpu[n].done), "answers");
    check_eq(base_bits, 0xfee00800, "IA32_APIC_BASE of another");
    static void (*const jobs[])(unsigned) = {spin, halt, leave_traces};
    static const char *const names[] = {"spinning", "halted", "with traces"};
    for (unsigned i = 0; i < 3; i++) {
        halting = 0;
        give(n, jobs[i]);
        check(UNTIL(halting), "%s", names[i]);
        linger();
        again(n, names[i]);
    }
    give(n, find_traces);
    check(UNTIL(cpu[n].done), "answers after INIT");
    check_eq(pattern, 0, "INIT cleared APIC, CR2 and DR0");
    /* twice INIT is once */
    send(n, INIT);
    again(n, "waiting");
}

/* --- interrupts between CPUs --- */

static void fixed(void)
{
    NEED_OTHERS();
    IRQS_ON();
    for (unsigned i = 0; i < others; i++) {
        send(other[i], FIXED | VECTOR(V_A));
        check(UNTIL(cpu[other[i]].hits[V_A] == 1), "to %u", other[i]);
        check_eq(sum_hits(V_A), i + 1, "to %u alone", other[i]);
    }
    forget_hits();
    send(0, FIXED | TO_SELF | VECTOR(V_A));
    check(UNTIL(cpu[0].hits[V_A] == 1), "to self");
    send(0, FIXED | TO_OTHERS | VECTOR(V_A));
    check(UNTIL(sum_hits(V_A) == 1 + others), "to all others");
    check_eq(cpu[0].hits[V_A], 1, "... not to self");
    send(0, FIXED | TO_ALL | VECTOR(V_A));
    check(UNTIL(sum_hits(V_A) == 2 + 2 * others), "to all");
    check_eq(cpu[0].hits[V_A], 2, "... and to self");
    send(0xff, FIXED | VECTOR(V_A));
    check(UNTIL(sum_hits(V_A) == 3 + 3 * others), "to FFh");
    send(15, FIXED | VECTOR(V_A));
    linger();
    check_eq(sum_hits(V_A), 3 + 3 * others, "to nobody");
    IRQS_OFF();
}

static vu32 model;
static void set_logical(unsigned n)
{
    APIC(DFR) = model;
    APIC(LDR) = model == 0xffffffff ? 1u << (24 + n % 8) : (n / 4 + 1) << 28 | 1u << (24 + n % 4);
}

static void logical(void)
{
    NEED_OTHERS();
    IRQS_ON();
    for (unsigned flat = 0; flat < 2; flat++) {
        model = flat ? 0xffffffff : 0x0fffffff;
        give_all(set_logical);
        check(all_done(), "logical IDs");
        set_logical(0);
        forget_hits();
        for (unsigned i = 0; i < others && i < 7; i++) {
            const unsigned n = other[i];
            send(flat ? 1u << n % 8 : (n / 4 + 1) << 4 | 1u << n % 4,
                 FIXED | LOGICAL | VECTOR(V_A));
            check(UNTIL(cpu[n].hits[V_A] == 1), "flat %u to %u", flat, n);
        }
        send(0xff, FIXED | LOGICAL | VECTOR(V_B));
        check(UNTIL(sum_hits(V_B) == 1 + others), "flat %u to all", flat);
        forget_hits();
        if (!flat) {
            send(0xe1, FIXED | LOGICAL | VECTOR(V_B)); /* no such cluster */
            linger();
            check_eq(sum_hits(V_B), 0, "to an empty cluster");
        }
        send(0xff, LOWEST | LOGICAL | VECTOR(V_LOW));
        check(UNTIL(sum_hits(V_LOW)), "flat %u lowest", flat);
        linger();
        check_eq(sum_hits(V_LOW), 1, "flat %u lowest goes to one", flat);
    }
    IRQS_OFF();
}

static void nmi(void)
{
    NEED_OTHERS();
    for (unsigned i = 0; i < others; i++)
        send(other[i], NMI_MODE);
    check(UNTIL(sum_hits(V_NMI) == others), "to each");
    check_eq(cpu[0].hits[V_NMI], 0, "none to self");
    send(0, NMI_MODE | TO_OTHERS);
    check(UNTIL(sum_hits(V_NMI) == 2 * others), "to all others");
    send(0, NMI_MODE); /* to itself, by its ID */
    check(UNTIL(cpu[0].hits[V_NMI] == 1), "to self");
}

static void sleep_once(unsigned n)
{
    const uint32_t before = cpu[n].hits[V_A];
    while (cpu[n].hits[V_A] == before)
        asm volatile("sti\n hlt" ::: "memory");
}

/* HLT ends at once when another CPU wants it, however long the sender goes on. */
static void wake(void)
{
    NEED_OTHERS();
    for (unsigned i = 0; i < others; i++) {
        give(other[i], sleep_once);
        check(UNTIL(cpu[other[i]].in_job), "goes to sleep");
        linger();
        check_eq(cpu[other[i]].done, 0, "sleeps");
        send(other[i], FIXED | VECTOR(V_A));
        bool awake = false;
        for (unsigned k = 0; k < 400000000 && !awake; k++) /* without PAUSE */
            awake = cpu[other[i]].done;
        check(awake, "wakes");
    }
}

static void busy_low(unsigned n)
{
    APIC(TPR) = 0xf0;
}
static void idle_low(unsigned n)
{
    APIC(TPR) = 0;
}

/* The lowest priority wins: with all others at priority 15 that is this one, and the other way. */
static void arbitration(void)
{
    NEED_OTHERS();
    model = 0xffffffff;
    give_all(set_logical);
    check(all_done(), "logical IDs");
    set_logical(0);
    give_all(busy_low);
    check(all_done(), "priorities");
    IRQS_ON();
    send(0xff, LOWEST | LOGICAL | VECTOR(V_LOW));
    check(UNTIL(cpu[0].hits[V_LOW] == 1), "to the idle one");
    give_all(idle_low);
    check(all_done(), "priorities back");
    APIC(TPR) = 0xf0;
    send(0xff, LOWEST | LOGICAL | VECTOR(V_LOW));
    check(UNTIL(sum_hits(V_LOW) == 2), "to another");
    check_eq(cpu[0].hits[V_LOW], 1, "not to the busy one");
    APIC(TPR) = 0;
    IRQS_OFF();
}

/* --- the IOAPIC, to whom it is told --- */

static void ioapic(unsigned index, uint32_t v)
{
    *(volatile uint32_t *)0xfec00000 = index;
    *(volatile uint32_t *)0xfec00010 = v;
}

static void pit_once(void)
{
    outb(0x43, 0x30);
    outb(0x40, 100);
    outb(0x40, 0);
}

static void routing(void)
{
    NEED_OTHERS();
    model = 0xffffffff;
    give_all(set_logical);
    check(all_done(), "logical IDs");
    set_logical(0);
    IRQS_ON();
    for (unsigned i = 0; i < others; i++) {
        const unsigned n = other[i];
        ioapic(0x15, n << 24);
        ioapic(0x14, VECTOR(V_IRQ)); /* pin 2: the 8254 */
        pit_once();
        check(UNTIL(cpu[n].hits[V_IRQ] == 1), "physical to %u", n);
        ioapic(0x15, 1u << (24 + n % 8));
        ioapic(0x14, 0x800 | VECTOR(V_IRQ));
        pit_once();
        check(UNTIL(cpu[n].hits[V_IRQ] >= 2), "logical to %u", n);
    }
    forget_hits();
    ioapic(0x15, 0xff000000);
    ioapic(0x14, 0x900 | VECTOR(V_IRQ)); /* lowest priority of all */
    pit_once();
    check(UNTIL(sum_hits(V_IRQ)), "lowest priority");
    linger();
    check_eq(sum_hits(V_IRQ), 1, "to one");
    ioapic(0x14, 0x10000);
    IRQS_OFF();
}

/* --- timers --- */

static void own_timer(unsigned n)
{
    APIC(DIVIDE) = 0xb;
    APIC(LVT_TIMER) = VECTOR(V_TIMER);
    APIC(INITIAL) = 1000 + 100 * n;
}

static void timers(void)
{
    NEED_OTHERS();
    give_all(own_timer);
    IRQS_ON();
    own_timer(0);
    check(UNTIL(sum_hits(V_TIMER) == 1 + others), "one interrupt a CPU");
    for (unsigned i = 0; i < others; i++)
        check_eq(cpu[other[i]].hits[V_TIMER], 1, "timer of %u", other[i]);
    IRQS_OFF();
}

static vu32 counted[CPUS];
static void count_on(unsigned n)
{
    for (counted[n] = 0; counted[n] < 100000; counted[n]++)
        ;
}

/* One that is due again before anything is done about it keeps no CPU from running. */
static void fast_timer(void)
{
    vu32 *const hpet = (vu32 *)0xfed00000;
    NEED_OTHERS();
    if (hpet[1] == ~0u) {
        skip("no HPET");
        return;
    }
    hpet[0x100 / 4] = 0x148; /* 32 bits, periodic; the next write is the comparator's, too */
    hpet[0x108 / 4] = 1;
    hpet[0x10 / 4] = 1;
    give_all(count_on);
    count_on(0);
    for (unsigned i = 0; i < others; i++)
        check(UNTIL(cpu[other[i]].done), "CPU %u gets on", other[i]);
    hpet[0x10 / 4] = 0;
    hpet[0x100 / 4] = 0;
}

static uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    asm volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

#define TSC_DEADLINE 0x6e0
static void deadline(void)
{
    uint32_t r[4];
    here();
    cpuid(1, 0, r);
    if (!(r[2] & 1 << 24)) {
        skip("no TSC deadline");
        return;
    }
    IRQS_ON();
    APIC(LVT_TIMER) = VECTOR(V_TIMER);
    wrmsr(TSC_DEADLINE, rdtsc() + 1000);
    check_eq(rdmsr(TSC_DEADLINE), 0, "not in this mode");
    APIC(LVT_TIMER) = 0x40000 | VECTOR(V_TIMER);
    const uint64_t far = rdtsc() + 10000000000;
    wrmsr(TSC_DEADLINE, far);
    check_eq(rdmsr(TSC_DEADLINE), far, "reads back while armed");
    const uint64_t at = rdtsc() + 200000;
    wrmsr(TSC_DEADLINE, at);
    check(UNTIL(cpu[0].hits[V_TIMER] == 1), "fires");
    check(rdtsc() >= at, "not before its time");
    check_eq(rdmsr(TSC_DEADLINE), 0, "is disarmed then");
    wrmsr(TSC_DEADLINE, rdtsc() - 1);
    check(UNTIL(cpu[0].hits[V_TIMER] == 2), "at once if it is past");
    wrmsr(TSC_DEADLINE, rdtsc() + 1000000000);
    wrmsr(TSC_DEADLINE, 0);
    APIC(INITIAL) = 1000;
    check_eq(APIC(CURRENT), 0, "no count in this mode");
    wrmsr(TSC_DEADLINE, rdtsc() + 1000000000);
    APIC(LVT_TIMER) = 0x10000 | VECTOR(V_TIMER);
    check_eq(rdmsr(TSC_DEADLINE), 0, "another mode disarms it");
    linger();
    check_eq(cpu[0].hits[V_TIMER], 2, "no more interrupts");
    IRQS_OFF();
}

/* --- one time for all --- */

static vu32 lock;
static uint64_t last_tsc;
static vu32 warps;

static void take_lock(void)
{
    uint32_t one;
    do {
        one = 1;
        asm volatile("xchgl %0, %1" : "+r"(one), "+m"(lock)::"memory");
        if (one)
            relax();
    } while (one);
}

static void drop_lock(void)
{
    asm volatile("" ::: "memory");
    lock = 0;
}

static void look_at_time(unsigned n)
{
    for (unsigned i = 0; i < 2000; i++) {
        take_lock();
        const uint64_t now = rdtsc();
        if (now < last_tsc)
            warps++;
        last_tsc = now;
        drop_lock();
    }
}

static void tsc(void)
{
    NEED_OTHERS();
    give_all(look_at_time);
    look_at_time(0);
    check(all_done(), "ends");
    check_eq(warps, 0, "the TSC never goes back from one CPU to the next");
}

/* --- stores of one, seen by the others --- */

static vu32 counter, guarded;
static struct {
    uint8_t pad[4094];
    vu32 split; /* over two pages */
} __attribute__((packed, aligned(4096))) crossing;
static uint64_t wide;

static void count(unsigned n)
{
    for (unsigned i = 0; i < 20000; i++) {
        asm volatile("lock incl %0" : "+m"(counter));
        asm volatile("lock addl $1, %0" : "+m"(crossing.split));
        uint64_t old = wide, new;
        do {
            new = old + UINT64_C(0x100000001);
            asm volatile("lock cmpxchg8b %1"
                         : "+A"(old), "+m"(wide)
                         : "b"((uint32_t) new), "c"((uint32_t)(new >> 32))
                         : "memory");
        } while (new != old + UINT64_C(0x100000001));
    }
    for (unsigned i = 0; i < 2000; i++) {
        take_lock();
        guarded = guarded + 1;
        drop_lock();
    }
}

static void locked(void)
{
    NEED_OTHERS();
    counter = guarded = crossing.split = 0;
    wide = 0;
    give_all(count);
    count(0);
    check(all_done(), "ends");
    check_eq(counter, 20000 * (others + 1), "LOCK INC");
    check_eq(crossing.split, 20000 * (others + 1), "LOCK ADD over two pages");
    check_eq(guarded, 2000 * (others + 1), "under a lock by XCHG");
    check((uint32_t)wide >= 20000 && (uint32_t)wide == (uint32_t)(wide >> 32),
          "both halves by CMPXCHG8B");
}

/* A timer that is due in centuries, and all that can wake a CPU is another one. */
static vu32 asleep;
static void wake_first(unsigned n)
{
    while (!asleep)
        relax();
    linger();
    APIC(ICR_HIGH) = 0;
    APIC(ICR) = FIXED | VECTOR(V_A);
}

static void far_timer(void)
{
    uint32_t r[4];
    NEED_OTHERS();
    here();
    cpuid(1, 0, r);
    if (!(r[2] & 1 << 24)) {
        skip("no TSC deadline");
        return;
    }
    outb(0x43, 0x30); /* the 8254 counts nothing */
    APIC(LVT_TIMER) = 0x40000 | VECTOR(V_TIMER);
    wrmsr(TSC_DEADLINE, 0x7fffffffffffff00);
    asleep = 0;
    give(other[0], wake_first);
    asleep = 1;
    while (!cpu[0].hits[V_A])
        asm volatile("sti\n hlt\n cli");
    check_eq(cpu[0].hits[V_TIMER], 0, "it does not fire");
    check(UNTIL(cpu[other[0]].done), "who woke it gets on");
    wrmsr(TSC_DEADLINE, 0);
    APIC(LVT_TIMER) = 0x10000 | VECTOR(V_TIMER);
}

/* Without PAUSE on either side. */
static vu32 ball;
static void play(unsigned n)
{
    for (unsigned i = 0; i < 200; i++) {
        while (ball != 1)
            asm volatile("" ::: "memory");
        ball = 0;
    }
}

static void ping_pong(void)
{
    NEED_OTHERS();
    ball = 0;
    give(other[0], play);
    unsigned i, left = 1;
    for (i = 0; i < 200 && left; i++) {
        ball = 1;
        for (left = 20000000; ball && left; left--)
            asm volatile("" ::: "memory");
    }
    check(left, "both get on");
    check(UNTIL(cpu[other[0]].done), "ends");
}

/* MOV EAX, imm32; RET, which the boot CPU rewrites while another runs it. */
static uint8_t code[64] __attribute__((aligned(64)));
static vu32 seen, stop_calling;
static void call_code(unsigned n)
{
    while (!stop_calling) {
        uint32_t v;
        asm volatile("call *%1" : "=a"(v) : "r"(code) : "memory");
        seen = v;
    }
}

static void cross_modifying(void)
{
    NEED_OTHERS();
    code[3] = 0xb8; /* the immediate is an aligned dword */
    code[0] = code[1] = code[2] = 0x90;
    code[8] = 0xc3;
    vu32 *const imm = (vu32 *)(code + 4);
    *imm = 1;
    stop_calling = 0;
    for (unsigned i = 0; i < others; i++)
        give(other[i], call_code);
    bool ok = true;
    for (uint32_t v = 2; v < 200 && ok; v++) {
        *imm = v;
        ok = UNTIL(seen == v);
    }
    check(ok, "each new immediate is run");
    /* a whole instruction, by one aligned store: MOV becomes XOR EAX, imm32 */
    *imm = 0x55;
    ok = UNTIL(seen == 0x55);
    stop_calling = 1;
    check(all_done() && ok, "ends");
}

/* --- page tables --- */

static uint32_t directory[1024] __attribute__((aligned(4096))),
    table[1024] __attribute__((aligned(4096)));
static vu32 pages[2][1024] __attribute__((aligned(4096)));
#define WINDOW 0x40000000
static vu32 window_value;

static void paging_on(unsigned n)
{
    write_cr4(cr4() | 0x10);
    write_cr3((word)directory);
    write_cr0(cr0() | 0x80000000);
}

static void paging_off(unsigned n)
{
    write_cr0(cr0() & ~0x80000000);
    write_cr4(cr4() & ~0x10);
}

static void read_window(unsigned n)
{
    window_value = *(vu32 *)WINDOW;
}

static void write_window(unsigned n)
{
    *(vu32 *)(WINDOW + 4) = 0x77;
}

static void shootdown(void)
{
    NEED_OTHERS();
    for (unsigned i = 0; i < 1024; i++)
        directory[i] = i << 22 | 0x83;
    directory[WINDOW >> 22] = (word)table | 3;
    pages[0][0] = 0x1111;
    pages[1][0] = 0x2222;
    table[0] = (word)pages[0] | 3;
    const unsigned n = other[0];
    give(n, paging_on);
    check(UNTIL(cpu[n].done), "paging on");
    give(n, read_window);
    check(UNTIL(cpu[n].done), "reads");
    check_eq(window_value, 0x1111, "the first page");
    check(table[0] & 0x20, "A is set");
    check(!(table[0] & 0x40), "D is not");
    give(n, write_window);
    check(UNTIL(cpu[n].done), "writes");
    check(table[0] & 0x40, "D is set");
    check_eq(pages[0][1], 0x77, "the store");
    IRQS_ON();
    for (unsigned i = 0; i < 50; i++) {
        table[0] = (word)pages[~i & 1] | 3;
        shoot_page = WINDOW;
        const uint32_t before = cpu[n].hits[V_SHOOT];
        send(n, FIXED | VECTOR(V_SHOOT));
        if (!UNTIL(cpu[n].hits[V_SHOOT] == before + 1)) {
            check(false, "INVLPG on request");
            break;
        }
        give(n, read_window);
        UNTIL(cpu[n].done);
        check_eq(window_value, i & 1 ? 0x1111 : 0x2222, "the page after a shootdown");
    }
    IRQS_OFF();
    give(n, paging_off);
    check(UNTIL(cpu[n].done), "paging off");
}

/* --- MONITOR and MWAIT --- */

static vu32 bell[32] __attribute__((aligned(64)));
static void wait_for_bell(unsigned n)
{
    asm volatile("cli");
    while (!bell[0]) {
        asm volatile("monitor" ::"a"(bell), "c"(0), "d"(0));
        if (!bell[0])
            asm volatile("mwait" ::"a"(0), "c"(0));
    }
}

static void mwait(void)
{
    NEED_OTHERS();
    uint32_t r[4];
    cpuid(1, 0, r);
    if (!(r[2] & 8)) {
        skip("no MONITOR");
        return;
    }
    bell[0] = 0;
    give_all(wait_for_bell);
    linger();
    check_eq(cpu[other[0]].done, 0, "waits");
    bell[0] = 1;
    check(all_done(), "a store wakes all");
}

/* --- x2APIC mode --- */

#define APIC_BASE 0x1b
#define X2(reg)   (0x800 + ((reg) >> 4))

static void msr_read_try(uint32_t msr)
{
    in.cx = msr;
    TRY("rdmsr");
}

static void msr_write_try(uint32_t msr, uint64_t v)
{
    in.cx = msr;
    in.ax = (uint32_t)v;
    in.dx = (uint32_t)(v >> 32);
    TRY("wrmsr");
}

static bool has_x2apic(void)
{
    uint32_t r[4];
    cpuid(1, 0, r);
    return r[2] >> 21 & 1;
}

static void x2apic_rules(void)
{
    if (!has_x2apic()) {
        skip("no x2APIC mode");
        return;
    }
    uint32_t r[4];
    const uint64_t base = rdmsr(APIC_BASE);
    at(RING0);
    msr_read_try(X2(ID));
    expect_fault(GP, 0, "MSR 802h in xAPIC mode");
    msr_write_try(X2(TPR), 0);
    expect_fault(GP, 0, "write of MSR 808h in xAPIC mode");
    msr_write_try(APIC_BASE, (base | 0x400) & ~0x800u);
    expect_fault(GP, 0, "EXTD without EN");
    msr_write_try(APIC_BASE, base & ~0x800u);
    expect_done("off");
    cpuid(1, 0, r);
    check(!(r[3] & 1 << 9), "CPUID.APIC is clear while it is off");
    msr_write_try(APIC_BASE, base | 0x400);
    expect_fault(GP, 0, "from off to x2APIC");
    msr_write_try(APIC_BASE, base);
    expect_done("on");
    APIC(SVR) = 0x1ff;
    APIC(TPR) = 0x20;
    msr_write_try(APIC_BASE, base | 0x400);
    expect_done("to x2APIC");
    msr_write_try(APIC_BASE, base);
    expect_fault(GP, 0, "back to xAPIC");
    check_eq(rdmsr(X2(ID)), 0, "ID");
    check_eq(rdmsr(X2(LDR)), 1, "LDR");
    check_eq(rdmsr(X2(TPR)), 0x20, "TPR is kept");
    check_eq(rdmsr(X2(SVR)), 0x1ff, "SVR is kept");
    wrmsr(X2(TPR), 0);
    static const struct {
        uint16_t msr;
        bool read, write;
        uint32_t low_bad; /* a bit that may not be set */
    } rules[] = {
        {0x802, 1, 0, 0},          {0x803, 1, 0, 0},          {0x808, 1, 1, 0x100},
        {0x809, 0, 0, 0},          {0x80a, 1, 0, 0},          {0x80b, 0, 1, 1},
        {0x80c, 0, 0, 0},          {0x80d, 1, 0, 0},          {0x80e, 0, 0, 0},
        {0x80f, 1, 1, 0x80000000}, {0x810, 1, 0, 0},          {0x827, 1, 0, 0},
        {0x828, 1, 1, 1},          {0x831, 0, 0, 0},          {0x832, 1, 1, 0x80000000},
        {0x835, 1, 1, 0x80000000}, {0x837, 1, 1, 0x80000000}, {0x838, 1, 1, 0},
        {0x839, 1, 0, 0},          {0x83e, 1, 1, 0x100},      {0x83f, 0, 1, 0x100},
        {0x840, 0, 0, 0},          {0x8ff, 0, 0, 0},
    };
    for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const uint32_t msr = rules[i].msr;
        msr_read_try(msr);
        if (rules[i].read)
            expect_done("read of %x", msr);
        else
            expect_fault(GP, 0, "read of %x", msr);
        const uint64_t now = rules[i].read && rules[i].write ? rdmsr(msr) : 0;
        msr_write_try(msr, now);
        if (rules[i].write)
            expect_done("write of %x", msr);
        else
            expect_fault(GP, 0, "write of %x", msr);
        if (!rules[i].write)
            continue;
        msr_write_try(msr, now | 1ull << 32);
        expect_fault(GP, 0, "write of %x, bit 32", msr);
        if (rules[i].low_bad) {
            msr_write_try(msr, now | rules[i].low_bad);
            expect_fault(GP, 0, "write of %x, bits %x", msr, rules[i].low_bad);
        }
    }
    msr_write_try(X2(ICR), 0x100000 | FIXED | 0xf0);
    expect_fault(GP, 0, "ICR, bit 20");
    wrmsr(APIC_BASE, base & ~0x800u);
    wrmsr(APIC_BASE, base);
    check_eq(APIC(SVR), 0xff, "off and on again: as after reset");
}

static void to_x2apic(unsigned n)
{
    wrmsr(APIC_BASE, rdmsr(APIC_BASE) | 0x400);
}

static void x2apic_hit(unsigned what)
{
    asm volatile("lock incl %0" : "+m"(cpu[self()].hits[what]));
    wrmsr(X2(EOI), 0);
}
static __attribute__((interrupt)) void handle_x2apic(struct frame *f)
{
    x2apic_hit(V_A);
}

static void x2apic_ipis(void)
{
    NEED_OTHERS();
    if (!has_x2apic()) {
        skip("no x2APIC mode");
        return;
    }
    const uint64_t base = rdmsr(APIC_BASE);
    smp_idt[VECTOR(V_A)] = gate(KCODE32, (word)handle_x2apic, P | T_INT32, 0);
    give_all(to_x2apic);
    check(all_done(), "the others first");
    to_x2apic(0);
    IRQS_ON();
    for (unsigned i = 0; i < others; i++) {
        const unsigned n = other[i];
        wrmsr(X2(ICR), (uint64_t)n << 32 | FIXED | VECTOR(V_A));
        check(UNTIL(cpu[n].hits[V_A] == 1), "physical to %u", n);
        wrmsr(X2(ICR),
              (uint64_t)(n / 16 << 16 | 1u << n % 16) << 32 | FIXED | LOGICAL | VECTOR(V_A));
        check(UNTIL(cpu[n].hits[V_A] == 2), "logical to %u", n);
    }
    check_eq(cpu[0].hits[V_A], 0, "none to this one");
    wrmsr(0x83f, VECTOR(V_A));
    check(UNTIL(cpu[0].hits[V_A] == 1), "self IPI");
    wrmsr(X2(ICR), UINT64_C(0xffffffff) << 32 | FIXED | VECTOR(V_A));
    check(UNTIL(sum_hits(V_A) == 2 + 3 * others), "to FFFFFFFFh");
    wrmsr(X2(ICR), TO_OTHERS | FIXED | VECTOR(V_A));
    check(UNTIL(sum_hits(V_A) == 2 + 4 * others), "to all others");
    wrmsr(X2(ICR), UINT64_C(0xff) << 32 | FIXED | VECTOR(V_A));
    linger();
    check_eq(sum_hits(V_A), 2 + 4 * others, "FFh is nobody");
    /* INIT and SIPI: the mode stays */
    const unsigned n = other[0];
    const uint32_t before = cpu[n].starts;
    wrmsr(X2(ICR), (uint64_t)n << 32 | INIT);
    linger();
    wrmsr(X2(ICR), (uint64_t)n << 32 | SIPI | 0x0a);
    check(UNTIL(cpu[n].starts == before + 1), "starts again");
    give(n, read_base);
    check(UNTIL(cpu[n].done), "answers");
    check_eq(base_bits, 0xfee00c00, "INIT keeps x2APIC mode");
    IRQS_OFF();
    wrmsr(APIC_BASE, base & ~0x800u);
    wrmsr(APIC_BASE, base);
}

const struct test tests[] = {
    {"start", start},
    {"init_states", init_states},
    {"fixed", fixed},
    {"logical", logical},
    {"nmi", nmi},
    {"wake", wake},
    {"arbitration", arbitration},
    {"routing", routing},
    {"timers", timers},
    {"fast_timer", fast_timer},
    {"far_timer", far_timer},
    {"deadline", deadline},
    {"tsc", tsc},
    {"locked", locked},
    {"ping_pong", ping_pong},
    {"cross_modifying", cross_modifying},
    {"shootdown", shootdown},
    {"mwait", mwait},
    {"x2apic_rules", x2apic_rules},
    {"x2apic_ipis", x2apic_ipis}, /* last: the others stay in x2APIC mode */
    {0},
};
