/* Two local APICs on a bus: registers, priorities, local sources, timer, IPIs. SDM 3A §11. */
#include "fixture.h"

#include "devices/lapic.h"

#define PAGE_AT UINT64_C(0xFEE00000)

enum {
    ID = 0x20,
    VERSION = 0x30,
    TPR = 0x80,
    APR = 0x90,
    PPR = 0xA0,
    EOI = 0xB0,
    LDR = 0xD0,
    DFR = 0xE0,
    SVR = 0xF0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR_LOW = 0x300,
    ICR_HIGH = 0x310,
    LVT_TIMER = 0x320,
    LVT_LINT0 = 0x350,
    LVT_LINT1 = 0x360,
    LVT_ERROR = 0x370,
    INITIAL = 0x380,
    CURRENT = 0x390,
    DIVIDE = 0x3E0,
};

#define MASKED 0x10000

struct cpu_pins {
    struct recorder intr, nmi, init, sipi;
};

struct bench {
    struct fixture f;
    struct apic_bus bus;
    struct lapic *l[2];
    struct cpu_pins cpu[2];
    unsigned eois;
    uint8_t eoi_vector;
};

static void eoi(void *opaque, uint8_t vector)
{
    struct bench *b = opaque;
    b->eois++;
    b->eoi_vector = vector;
}

static uint32_t rd(struct bench *b, unsigned reg)
{
    return (uint32_t)memmap_read(&b->f.mem, PAGE_AT + reg, 4);
}

static void wr(struct bench *b, unsigned reg, uint32_t value)
{
    memmap_write(&b->f.mem, PAGE_AT + reg, value, 4);
}

/* Registers as CPU n sees them. */
static void on(struct bench *b, unsigned n)
{
    b->bus.current = b->l[n];
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    apic_bus_init(&b->bus, &b->f.log);
    apic_bus_add_ioapic(&b->bus, eoi, b);
    for (unsigned n = 0; n < 2; n++) {
        b->l[n] = lapic_create(&b->f.devices,
                               &(struct lapic_config){.bus = &b->bus,
                                                      .queue = &b->f.queue,
                                                      .mem = n ? NULL : &b->f.mem,
                                                      .log = &b->f.log,
                                                      .id = (uint8_t)n,
                                                      .bsp = n == 0,
                                                      .intr = recorder_line(&b->cpu[n].intr),
                                                      .nmi = recorder_line(&b->cpu[n].nmi),
                                                      .init = recorder_line(&b->cpu[n].init),
                                                      .sipi = recorder_line(&b->cpu[n].sipi)});
        assert_non_null(b->l[n]);
    }
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    for (unsigned n = 0; n < 2; n++) {
        on(b, n);
        wr(b, SVR, 0x1FF);
    }
    on(b, 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    fixture_free(&b->f);
    free(b);
    return 0;
}

static void step(struct bench *b, int64_t ns)
{
    event_step(&b->f.queue, &b->f.now_ns, ns);
}

static bool send(struct bench *b, uint8_t dest, bool logical, uint8_t mode, uint8_t vector,
                 bool level)
{
    return apic_bus_deliver(&b->bus, &(struct apic_message){dest, logical, mode, vector, level});
}

/* §11.4.7.1 "Local APIC State After Power-Up or Reset". */
static void reset_values(void **state)
{
    struct bench *b = *state;
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(lapic_get_base(b->l[0]), 0xFEE00900);
    assert_int_equal(lapic_get_base(b->l[1]), 0xFEE00800);
    assert_int_equal(rd(b, ID), 0);
    assert_int_equal(rd(b, VERSION), 0x00050014);
    assert_int_equal(rd(b, DFR), 0xFFFFFFFF);
    assert_int_equal(rd(b, SVR), 0xFF);
    for (unsigned reg = LVT_TIMER; reg <= LVT_ERROR; reg += 16)
        assert_int_equal(rd(b, reg), MASKED);
    const unsigned zero[] = {TPR, APR,     PPR,      LDR,     ISR,     TMR,   IRR,
                             ESR, ICR_LOW, ICR_HIGH, INITIAL, CURRENT, DIVIDE};
    for (unsigned i = 0; i < ARRAY_SIZE(zero); i++)
        assert_int_equal(rd(b, zero[i]), 0);
    on(b, 1);
    assert_int_equal(rd(b, ID), 0x01000000);
}

/* Software-disabled, local entries stay masked (§11.4.7.2). */
static void software_disable(void **state)
{
    struct bench *b = *state;
    wr(b, LVT_LINT1, 0x400);
    assert_int_equal(rd(b, LVT_LINT1), 0x400);
    wr(b, SVR, 0xFF);
    assert_int_equal(rd(b, LVT_LINT1), MASKED | 0x400);
    wr(b, LVT_LINT1, 0x400);
    assert_int_equal(rd(b, LVT_LINT1), MASKED | 0x400);
    assert_false(send(b, 0, false, APIC_FIXED, 0x40, false));
    assert_true(send(b, 0, false, APIC_NMI, 0, false));
    assert_int_equal(b->cpu[0].nmi.rises, 1);
}

static void priorities(void **state)
{
    struct bench *b = *state;
    assert_true(send(b, 0, false, APIC_FIXED, 0x51, false));
    assert_true(send(b, 0, false, APIC_FIXED, 0x62, false));
    assert_int_equal(rd(b, IRR + 0x20), BIT(17));
    assert_int_equal(rd(b, IRR + 0x30), BIT(2));
    assert_int_equal(b->cpu[0].intr.level, 1);
    assert_int_equal(lapic_accept(b->l[0]), 0x62);
    assert_int_equal(rd(b, ISR + 0x30), BIT(2));
    assert_int_equal(rd(b, PPR), 0x60);
    assert_int_equal(b->cpu[0].intr.level, 0);  /* 51h waits */
    send(b, 0, false, APIC_FIXED, 0x6F, false); /* same class: waits too */
    assert_false(lapic_pending(b->l[0]));
    send(b, 0, false, APIC_FIXED, 0x70, false); /* higher class: nests */
    assert_int_equal(lapic_accept(b->l[0]), 0x70);
    wr(b, EOI, 0);
    assert_int_equal(rd(b, PPR), 0x60);
    wr(b, EOI, 0);
    assert_int_equal(lapic_accept(b->l[0]), 0x6F);
    wr(b, EOI, 0);
    assert_int_equal(lapic_accept(b->l[0]), 0x51);
    wr(b, EOI, 0);
    assert_int_equal(rd(b, PPR), 0);
    assert_int_equal(b->cpu[0].intr.level, 0);
    assert_int_equal(lapic_accept(b->l[0]), 0xFF); /* nothing left: spurious */
    assert_int_equal(rd(b, ISR + 0x70), 0);
    assert_int_equal(b->eois, 0);
}

static void task_priority(void **state)
{
    struct bench *b = *state;
    lapic_set_tpr(b->l[0], 5);
    assert_int_equal(rd(b, TPR), 0x50);
    assert_int_equal(rd(b, PPR), 0x50);
    send(b, 0, false, APIC_FIXED, 0x5F, false);
    assert_int_equal(b->cpu[0].intr.level, 0);
    wr(b, TPR, 0x4F);
    assert_int_equal(lapic_get_tpr(b->l[0]), 4);
    assert_int_equal(b->cpu[0].intr.level, 1);
    lapic_set_tpr(b->l[0], 15);
    assert_int_equal(b->cpu[0].intr.level, 0);
    lapic_set_tpr(b->l[0], 0);
    assert_int_equal(lapic_accept(b->l[0]), 0x5F);
    assert_int_equal(rd(b, PPR), 0x50);
    wr(b, TPR, 0x52); /* same class as in service: the TPR itself */
    assert_int_equal(rd(b, PPR), 0x52);
}

static void level_eoi_is_broadcast(void **state)
{
    struct bench *b = *state;
    send(b, 0, false, APIC_FIXED, 0x41, true);
    assert_int_equal(rd(b, TMR + 0x20), BIT(1));
    lapic_accept(b->l[0]);
    wr(b, EOI, 0);
    assert_int_equal(b->eois, 1);
    assert_int_equal(b->eoi_vector, 0x41);
    send(b, 0, false, APIC_FIXED, 0x41, false); /* the next one is an edge */
    assert_int_equal(rd(b, TMR + 0x20), 0);
    lapic_accept(b->l[0]);
    wr(b, EOI, 0);
    wr(b, EOI, 0); /* nothing in service */
    assert_int_equal(b->eois, 1);
}

/* The 8259 behind LINT0, as firmware sets it up ("virtual wire"). */
static void virtual_wire(void **state)
{
    struct bench *b = *state;
    lapic_set_lint(b->l[0], 0, 1);
    assert_int_equal(b->cpu[0].intr.level, 0);
    wr(b, LVT_LINT0, 0x8700);
    assert_int_equal(b->cpu[0].intr.level, 1);
    lapic_set_tpr(b->l[0], 15); /* does not hold ExtINT back */
    assert_true(lapic_pending(b->l[0]));
    assert_int_equal(lapic_accept(b->l[0]), LAPIC_EXTINT);
    lapic_set_lint(b->l[0], 0, 0);
    assert_int_equal(b->cpu[0].intr.level, 0);
    lapic_set_lint(b->l[0], 0, 1);
    lapic_set_tpr(b->l[0], 0);
    send(b, 0, false, APIC_FIXED, 0x30, false);
    assert_int_equal(lapic_accept(b->l[0]), 0x30); /* own vectors first */
    assert_int_equal(lapic_accept(b->l[0]), LAPIC_EXTINT);
    wr(b, LVT_LINT0, MASKED | 0x700);
    assert_int_equal(b->cpu[0].intr.level, 0);
}

static void extint_message(void **state)
{
    struct bench *b = *state;
    assert_true(send(b, 0, false, APIC_EXTINT, 0, false));
    assert_int_equal(b->cpu[0].intr.level, 1);
    assert_int_equal(lapic_accept(b->l[0]), LAPIC_EXTINT);
    assert_int_equal(b->cpu[0].intr.level, 0);
}

/* Globally disabled, the pins are the CPU's own INTR and NMI, and the page is gone (§11.4.3). */
static void global_disable(void **state)
{
    struct bench *b = *state;
    wr(b, TPR, 0x20);
    assert_true(lapic_set_base(b->l[0], 0xFEE00100));
    assert_int_equal(rd(b, VERSION), 0xFFFFFFFF);
    lapic_set_lint(b->l[0], 0, 1);
    assert_int_equal(b->cpu[0].intr.level, 1);
    assert_int_equal(lapic_accept(b->l[0]), LAPIC_EXTINT);
    lapic_set_lint(b->l[0], 1, 1);
    assert_int_equal(b->cpu[0].nmi.rises, 1);
    assert_false(send(b, 0, false, APIC_NMI, 0, false));
    assert_true(lapic_set_base(b->l[0], 0xFEE00900));
    assert_int_equal(rd(b, TPR), 0);
    assert_int_equal(rd(b, SVR), 0xFF);
    assert_int_equal(b->cpu[0].intr.level, 0);
}

static void base_register(void **state)
{
    struct bench *b = *state;
    assert_false(lapic_set_base(b->l[0], 0xFEE00D00)); /* x2APIC */
    assert_false(lapic_set_base(b->l[0], 0xFEE00901));
    assert_false(lapic_set_base(b->l[0], BIT64(52) | 0xFEE00900));
    assert_int_equal(lapic_get_base(b->l[0]), 0xFEE00900);
    assert_true(lapic_set_base(b->l[0], UINT64_C(0x2FE000900)));
    assert_int_equal(rd(b, VERSION), 0xFFFFFFFF);
    assert_int_equal(memmap_read(&b->f.mem, UINT64_C(0x2FE000000) + VERSION, 4), 0x00050014);
}

static void lint1_nmi(void **state)
{
    struct bench *b = *state;
    wr(b, LVT_LINT1, 0x400);
    lapic_set_lint(b->l[0], 1, 1);
    lapic_set_lint(b->l[0], 1, 1);
    assert_int_equal(b->cpu[0].nmi.rises, 1);
    lapic_set_lint(b->l[0], 1, 0);
    wr(b, LVT_LINT1, MASKED | 0x400);
    lapic_set_lint(b->l[0], 1, 1);
    assert_int_equal(b->cpu[0].nmi.rises, 1);
}

/* LINT0 as an ordinary level-triggered interrupt: again after EOI while it is up. */
static void lint0_fixed_level(void **state)
{
    struct bench *b = *state;
    wr(b, LVT_LINT0, 0x8045);
    lapic_set_lint(b->l[0], 0, 1);
    assert_int_equal(rd(b, LVT_LINT0), 0xC045);
    assert_int_equal(lapic_accept(b->l[0]), 0x45);
    assert_false(lapic_pending(b->l[0]));
    wr(b, EOI, 0);
    assert_int_equal(lapic_accept(b->l[0]), 0x45);
    lapic_set_lint(b->l[0], 0, 0);
    wr(b, EOI, 0);
    assert_false(lapic_pending(b->l[0]));
    assert_int_equal(rd(b, LVT_LINT0), 0x8045);
}

static void timer_one_shot(void **state)
{
    struct bench *b = *state;
    wr(b, DIVIDE, 0x3); /* by 16 */
    wr(b, LVT_TIMER, 0x40);
    wr(b, INITIAL, 1000);
    assert_int_equal(rd(b, CURRENT), 1000);
    step(b, 8000);
    assert_int_equal(rd(b, CURRENT), 500);
    step(b, 7999);
    assert_int_equal(b->cpu[0].intr.level, 0);
    step(b, 1);
    assert_int_equal(b->cpu[0].intr.level, 1);
    assert_int_equal(rd(b, CURRENT), 0);
    assert_int_equal(lapic_accept(b->l[0]), 0x40);
    wr(b, EOI, 0);
    step(b, NS_PER_SEC);
    assert_false(lapic_pending(b->l[0]));
    assert_int_equal(rd(b, CURRENT), 0);
    wr(b, INITIAL, 10);
    step(b, 100);
    wr(b, INITIAL, 0); /* stops it */
    step(b, NS_PER_SEC);
    assert_false(lapic_pending(b->l[0]));
}

static void timer_periodic(void **state)
{
    struct bench *b = *state;
    wr(b, DIVIDE, 0xB); /* by 1 */
    wr(b, LVT_TIMER, 0x20040);
    wr(b, INITIAL, 1000000);
    for (unsigned i = 0; i < 5; i++) {
        step(b, 999999);
        assert_int_equal(rd(b, CURRENT), 1);
        assert_false(lapic_pending(b->l[0]));
        step(b, 1);
        assert_int_equal(rd(b, CURRENT), 1000000);
        assert_int_equal(lapic_accept(b->l[0]), 0x40);
        wr(b, EOI, 0);
    }
    wr(b, LVT_TIMER, MASKED | 0x20040); /* goes on counting */
    step(b, 3500000);
    assert_false(lapic_pending(b->l[0]));
    assert_int_equal(rd(b, CURRENT), 500000);
    wr(b, LVT_TIMER, 0x40); /* one-shot: the period at hand is the last */
    step(b, 500000);
    assert_int_equal(lapic_accept(b->l[0]), 0x40);
    assert_int_equal(rd(b, CURRENT), 0);
}

static void timer_divisors(void **state)
{
    struct bench *b = *state;
    static const struct {
        uint8_t code, shift;
    } divisors[] = {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {8, 5}, {9, 6}, {10, 7}, {11, 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(divisors); i++) {
        wr(b, DIVIDE, divisors[i].code | 4u);
        assert_int_equal(rd(b, DIVIDE), divisors[i].code);
        wr(b, INITIAL, 1000000);
        step(b, INT64_C(1000) << divisors[i].shift);
        assert_int_equal(rd(b, CURRENT), 999000);
    }
    /* Changed on the way, the count goes on from where it was. */
    wr(b, DIVIDE, 0xA);
    assert_int_equal(rd(b, CURRENT), 999000);
    step(b, 128 * 1000);
    assert_int_equal(rd(b, CURRENT), 998000);
}

/* A period too short to be served is not one event a nanosecond. */
static void timer_storm(void **state)
{
    struct bench *b = *state;
    wr(b, DIVIDE, 0xB);
    wr(b, LVT_TIMER, 0x20040);
    wr(b, INITIAL, 1);
    const uint64_t before = b->f.queue.next_seq;
    step(b, NS_PER_MS);
    assert_in_range(b->f.queue.next_seq - before, 900, 1100);
    assert_int_equal(lapic_accept(b->l[0]), 0x40);
}

static void errors(void **state)
{
    struct bench *b = *state;
    wr(b, LVT_ERROR, 0x44);
    wr(b, ICR_LOW, 0x00004005);      /* fixed, vector 5 */
    assert_int_equal(rd(b, ESR), 0); /* not in view before a write */
    assert_int_equal(lapic_accept(b->l[0]), 0x44);
    wr(b, EOI, 0);
    rd(b, 0x2F0); /* CMCI: not there; no second interrupt before the ESR is written */
    assert_false(lapic_pending(b->l[0]));
    wr(b, ESR, 0);
    assert_int_equal(rd(b, ESR), 0xA0);
    wr(b, ESR, 0);
    assert_int_equal(rd(b, ESR), 0);
    assert_false(send(b, 0, false, APIC_FIXED, 15, false));
    assert_int_equal(lapic_accept(b->l[0]), 0x44);
    wr(b, ESR, 0);
    assert_int_equal(rd(b, ESR), 0x40);
}

static void ipi_destinations(void **state)
{
    struct bench *b = *state;
    wr(b, ICR_HIGH, 0x01000000);
    wr(b, ICR_LOW, 0x000040F1);
    assert_int_equal(rd(b, ICR_LOW), 0x000040F1); /* delivered: idle */
    assert_int_equal(lapic_accept(b->l[1]), 0xF1);
    assert_false(lapic_pending(b->l[0]));
    wr(b, ICR_LOW, 0x000440F2); /* self */
    assert_int_equal(lapic_accept(b->l[0]), 0xF2);
    wr(b, EOI, 0);
    on(b, 1);
    wr(b, EOI, 0);
    on(b, 0);
    wr(b, ICR_LOW, 0x000C40F3); /* all but self */
    assert_false(lapic_pending(b->l[0]));
    assert_int_equal(lapic_accept(b->l[1]), 0xF3);
    wr(b, ICR_LOW, 0x000840F4); /* all; waits on the second, which serves its class */
    assert_int_equal(lapic_accept(b->l[0]), 0xF4);
    assert_false(lapic_pending(b->l[1]));
    wr(b, ICR_HIGH, 0xFF000000); /* physical broadcast */
    wr(b, ICR_LOW, 0x00004400);
    assert_int_equal(b->cpu[0].nmi.rises, 1);
    assert_int_equal(b->cpu[1].nmi.rises, 1);
}

static void logical_destinations(void **state)
{
    struct bench *b = *state;
    for (unsigned n = 0; n < 2; n++) {
        on(b, n);
        wr(b, LDR, 0x01000000u << n);
    }
    assert_true(send(b, 0x02, true, APIC_NMI, 0, false));
    assert_int_equal(b->cpu[0].nmi.rises, 0);
    assert_int_equal(b->cpu[1].nmi.rises, 1);
    assert_true(send(b, 0x03, true, APIC_NMI, 0, false));
    assert_false(send(b, 0x04, true, APIC_NMI, 0, false));
    assert_int_equal(b->cpu[0].nmi.rises, 1);
    /* Cluster model: CPU 0 is 1:1, CPU 1 is 2:1. */
    for (unsigned n = 0; n < 2; n++) {
        on(b, n);
        wr(b, DFR, 0x0FFFFFFF);
        wr(b, LDR, (n + 1) << 28 | 0x01000000);
    }
    assert_int_equal(rd(b, DFR), 0x0FFFFFFF);
    assert_true(send(b, 0x21, true, APIC_NMI, 0, false));
    assert_int_equal(b->cpu[0].nmi.rises, 1);
    assert_int_equal(b->cpu[1].nmi.rises, 3);
    assert_false(send(b, 0x22, true, APIC_NMI, 0, false));
    assert_true(send(b, 0xF1, true, APIC_NMI, 0, false));
    assert_int_equal(b->cpu[0].nmi.rises, 2);
    assert_int_equal(b->cpu[1].nmi.rises, 4);
}

static void lowest_priority(void **state)
{
    struct bench *b = *state;
    lapic_set_tpr(b->l[0], 3);
    assert_true(send(b, 0xFF, false, APIC_LOWEST, 0x80, false));
    assert_false(lapic_pending(b->l[0]));
    assert_int_equal(lapic_accept(b->l[1]), 0x80);
    assert_true(send(b, 0xFF, false, APIC_LOWEST, 0x90, false)); /* now it is the busier one */
    assert_int_equal(lapic_accept(b->l[0]), 0x90);
}

static void starting_a_cpu(void **state)
{
    struct bench *b = *state;
    on(b, 1);
    wr(b, TPR, 0x30);
    on(b, 0);
    wr(b, ICR_HIGH, 0x01000000);
    wr(b, ICR_LOW, 0x0000C500); /* INIT, level assert */
    wr(b, ICR_LOW, 0x00008500); /* de-assert: nothing */
    assert_int_equal(b->cpu[1].init.rises, 1);
    assert_int_equal(b->cpu[0].init.rises, 0);
    wr(b, ICR_LOW, 0x0000469A);
    assert_int_equal(b->cpu[1].sipi.rises, 1);
    assert_int_equal(b->cpu[1].sipi.last_high, LAPIC_SIPI_VECTOR | 0x9A);
    assert_int_equal(b->cpu[1].sipi.level, 0);
    on(b, 1);
    assert_int_equal(rd(b, TPR), 0); /* INIT reset the registers but the ID */
    assert_int_equal(rd(b, SVR), 0xFF);
    assert_int_equal(rd(b, ID), 0x01000000);
    wr(b, LVT_LINT0, 0x700);
    wr(b, ICR_LOW, 0x000C4500); /* as SeaBIOS starts all others */
    assert_int_equal(b->cpu[0].init.rises, 1);
}

static void odd_accesses(void **state)
{
    struct bench *b = *state;
    wr(b, TPR, 0x12345678);
    assert_int_equal(rd(b, TPR), 0x78);
    assert_int_equal(memmap_read(&b->f.mem, PAGE_AT + TPR, 1), 0x78);
    assert_int_equal(memmap_read(&b->f.mem, PAGE_AT + TPR + 4, 4), 0);
    memmap_write(&b->f.mem, PAGE_AT + TPR + 8, 0xFF, 4);
    assert_int_equal(memmap_read(&b->f.mem, PAGE_AT + TPR, 8), 0x78);
    wr(b, VERSION, 0);
    assert_int_equal(rd(b, VERSION), 0x00050014);
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = 9;
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t r = fixture_random(&seed);
        on(b, r & 1);
        const unsigned reg = (r >> 4) & 0x3F0;
        if (r & 2)
            rd(b, reg);
        else
            wr(b, reg, fixture_random(&seed));
        if (r & 4)
            lapic_accept(b->l[r & 1]);
        if (r & 8)
            lapic_set_lint(b->l[r & 1], (r >> 16) & 1, (r >> 17) & 1);
        if (i % 8 == 0)
            send(b, (uint8_t)(r >> 24), r & BIT(18), (r >> 19) & 7, (uint8_t)(r >> 8), r & BIT(22));
        if (i % 32 == 0)
            step(b, r & 0xFFFF);
        for (unsigned n = 0; n < 2; n++)
            assert_int_equal(b->cpu[n].intr.level, lapic_pending(b->l[n]));
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    step(b, NS_PER_MS);
    device_reset_all(&b->f.devices, RESET_HARD);
    lapic_set_base(b->l[0], 0xFEC10900);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    send(b, 0, false, APIC_FIXED, 0x41, true);
    lapic_accept(b->l[0]);
    send(b, 0, false, APIC_FIXED, 0x81, false);
    wr(b, ICR_LOW, 5);
    wr(b, DIVIDE, 0xB);
    wr(b, LVT_TIMER, 0x20040);
    wr(b, INITIAL, 5000000);
    step(b, 1000);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(b->cpu[0].intr.level, 1);
    assert_int_equal(lapic_accept(b->l[0]), 0x81);
    wr(b, EOI, 0);
    wr(b, EOI, 0);
    assert_int_equal(b->eoi_vector, 0x41);
    step(b, 5000000);
    assert_int_equal(lapic_accept(b->l[0]), 0x40);
}

static void count_line(void *opaque, const char *line)
{
    assert_non_null(line);
    ++*(unsigned *)opaque;
}

/* With every vector set, the longest lines there can be. */
static void printing(void **state)
{
    struct bench *b = *state;
    unsigned lines = 0;
    for (unsigned v = 16; v < 256; v++)
        send(b, 0, false, APIC_FIXED, (uint8_t)v, true);
    lapic_print(b->l[0], count_line, &lines);
    assert_int_equal(lines, 14);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(reset_values),
        T(software_disable),
        T(priorities),
        T(task_priority),
        T(level_eoi_is_broadcast),
        T(virtual_wire),
        T(extint_message),
        T(global_disable),
        T(base_register),
        T(lint1_nmi),
        T(lint0_fixed_level),
        T(timer_one_shot),
        T(timer_periodic),
        T(timer_divisors),
        T(timer_storm),
        T(errors),
        T(ipi_destinations),
        T(logical_destinations),
        T(lowest_priority),
        T(starting_a_cpu),
        T(odd_accesses),
        T(any_access_is_survived),
        T(state_round_trip),
        T(printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
