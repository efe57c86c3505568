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
                                                      .mem = &b->f.mem,
                                                      .log = &b->f.log,
                                                      .id = n,
                                                      .bsp = n == 0,
                                                      .has_x2apic = true,
                                                      .has_tsc_deadline = true,
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
    return apic_bus_deliver(&b->bus,
                            &(struct apic_message){dest, logical, mode, vector, level, false});
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

/* A CPU that has none: its pins are its own from the first on, over resets too. */
static void absent(void **state)
{
    struct bench *b = *state;
    struct recorder intr = {0};
    struct lapic *none =
        lapic_create(&b->f.devices, &(struct lapic_config){.bus = &b->bus,
                                                           .queue = &b->f.queue,
                                                           .mem = &b->f.mem,
                                                           .log = &b->f.log,
                                                           .id = 2,
                                                           .absent = true,
                                                           .intr = recorder_line(&intr)});
    assert_non_null(none);
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    assert_int_equal(lapic_get_base(none), 0xFEE00000);
    b->bus.current = none;
    assert_int_equal(rd(b, VERSION), 0xFFFFFFFF);
    lapic_set_lint(none, 0, 1);
    assert_int_equal(intr.level, 1);
    assert_int_equal(lapic_accept(none), LAPIC_EXTINT);
    lapic_set_lint(none, 0, 0);
    assert_int_equal(intr.level, 0);
}

static void base_register(void **state)
{
    struct bench *b = *state;
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

/* §11.6.1: all but self, to the lowest of those. */
static void lowest_of_the_others(void **state)
{
    struct bench *b = *state;
    wr(b, ICR_LOW, 0x000C41A0);
    assert_false(lapic_pending(b->l[0]));
    assert_int_equal(lapic_accept(b->l[1]), 0xA0);
}

/* ---- x2APIC mode: §11.12 ---- */

#define X2(reg) (0x800u + ((reg) >> 4))
#define BSP_ON  UINT64_C(0xFEE00900)
#define BSP_X2  UINT64_C(0xFEE00D00)

static uint64_t rdx(struct bench *b, unsigned n, uint32_t msr)
{
    uint64_t v = 0;
    assert_true(lapic_msr(b->l[n], false, msr, &v));
    return v;
}

static bool wrx(struct bench *b, unsigned n, uint32_t msr, uint64_t v)
{
    return lapic_msr(b->l[n], true, msr, &v);
}

/* §11.12.5 "x2APIC State Transitions", every pair of states. */
static void x2apic_transitions(void **state)
{
    struct bench *b = *state;
    const uint64_t off = 0xFEE00100, invalid = 0xFEE00500;
    const struct {
        uint64_t from, to;
        bool ok;
    } steps[] = {
        {BSP_ON, BSP_X2, true},   {BSP_X2, BSP_X2, true}, {BSP_X2, BSP_ON, false},
        {BSP_X2, off, true},      {off, BSP_X2, false},   {off, BSP_ON, true},
        {BSP_ON, off, true},      {off, off, true},       {BSP_ON, invalid, false},
        {BSP_X2, invalid, false}, {off, invalid, false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        lapic_set_base(b->l[0], off); /* from anywhere */
        if (steps[i].from != off) {
            assert_true(lapic_set_base(b->l[0], BSP_ON));
            assert_true(lapic_set_base(b->l[0], steps[i].from));
        }
        assert_int_equal(lapic_set_base(b->l[0], steps[i].to), steps[i].ok);
        assert_int_equal(lapic_get_base(b->l[0]), steps[i].ok ? steps[i].to : steps[i].from);
    }
}

/* What is kept on the way in, and that the page is shown to the other CPU alone. */
static void x2apic_entry(void **state)
{
    struct bench *b = *state;
    wr(b, ID, 0x55000000);
    wr(b, LDR, 0x77000000);
    wr(b, ICR_HIGH, 0x01000000);
    wr(b, TPR, 0x30);
    wr(b, LVT_LINT1, 0x400);
    assert_true(lapic_set_base(b->l[0], BSP_X2));
    assert_int_equal(rd(b, TPR), 0xFFFFFFFF);
    wr(b, TPR, 0x40); /* to nobody */
    assert_int_equal(rdx(b, 0, X2(ID)), 0);
    assert_int_equal(rdx(b, 0, X2(LDR)), 1);
    assert_int_equal(rdx(b, 0, X2(TPR)), 0x30);
    assert_int_equal(rdx(b, 0, X2(SVR)), 0x1FF);
    assert_int_equal(rdx(b, 0, X2(LVT_LINT1)), 0x400);
    assert_int_equal(rdx(b, 0, X2(ICR_LOW)), 0);
    on(b, 1);
    assert_int_equal(rd(b, ID), 0x01000000);
    assert_true(lapic_set_base(b->l[1], 0xFEE00C00));
    assert_int_equal(rdx(b, 1, X2(ID)), 1);
    assert_int_equal(rdx(b, 1, X2(LDR)), 2);
    assert_true(lapic_set_base(b->l[1], 0xFEE00000));
    assert_true(lapic_set_base(b->l[1], 0xFEE00800)); /* from reset again */
    assert_int_equal(rd(b, VERSION), 0x00050014);
    assert_int_equal(rd(b, SVR), 0xFF);
    /* INIT leaves the mode as it is. */
    lapic_init_pin(b->l[0]);
    assert_int_equal(lapic_get_base(b->l[0]), BSP_X2);
    assert_int_equal(rdx(b, 0, X2(TPR)), 0);
}

/* Table 11-6: who may be read, written, and with what. */
static void x2apic_msrs(void **state)
{
    struct bench *b = *state;
    static const struct {
        uint16_t msr;
        bool read, write;
        uint64_t ones; /* bits that may be set */
    } known[] = {
        {0x802, true, false, 0},
        {0x803, true, false, 0},
        {0x808, true, true, 0xFF},
        {0x80A, true, false, 0},
        {0x80B, false, true, 0},
        {0x80D, true, false, 0},
        {0x80F, true, true, 0x1FF},
        {0x828, true, true, 0},
        {0x830, true, true, 0xFFFFFFFF000CCFFF},
        {0x832, true, true, 0x750FF},
        {0x833, true, true, 0x157FF},
        {0x834, true, true, 0x157FF},
        {0x835, true, true, 0x1F7FF},
        {0x836, true, true, 0x1F7FF},
        {0x837, true, true, 0x150FF},
        {0x838, true, true, 0xFFFFFFFF},
        {0x839, true, false, 0},
        {0x83E, true, true, 0xB},
        {0x83F, false, true, 0xFF},
    };
    uint64_t v = 0;
    assert_false(lapic_msr(b->l[0], false, 0x802, &v)); /* not in this mode */
    assert_false(lapic_msr(b->l[0], true, 0x808, &v));
    assert_true(lapic_set_base(b->l[0], BSP_X2));
    for (uint32_t msr = 0x800; msr <= 0x8FF; msr++) {
        bool read = msr >= 0x810 && msr <= 0x827, write = false;
        uint64_t ones = 0;
        for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
            if (known[i].msr == msr) {
                read = known[i].read;
                write = known[i].write;
                ones = known[i].ones;
            }
        }
        if (lapic_msr(b->l[0], false, msr, &v) != read)
            fail_msg("read of %x", msr);
        if (wrx(b, 0, msr, 0) != write)
            fail_msg("write of %x", msr);
        for (unsigned bit = 0; bit < 64; bit++)
            if (wrx(b, 0, msr, BIT64(bit)) != (write && (ones & BIT64(bit))))
                fail_msg("write of %x bit %u", msr, bit);
    }
}

static void x2apic_ipis(void **state)
{
    struct bench *b = *state;
    assert_true(lapic_set_base(b->l[0], BSP_X2));
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(1) << 32 | 0x40F1)); /* to one in xAPIC mode */
    assert_int_equal(rdx(b, 0, X2(ICR_LOW)), UINT64_C(1) << 32 | 0x40F1);
    assert_int_equal(lapic_accept(b->l[1]), 0xF1);
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(0x1FF) << 32 | 0x40F1)); /* to nobody */
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(0xFF) << 32 | 0x4400));  /* no broadcast here */
    assert_int_equal(b->cpu[0].nmi.rises + b->cpu[1].nmi.rises, 0);
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(0xFFFFFFFF) << 32 | 0x4400));
    assert_int_equal(b->cpu[0].nmi.rises, 1);
    assert_int_equal(b->cpu[1].nmi.rises, 1);
    assert_true(wrx(b, 0, 0x83F, 0x51));
    assert_int_equal(lapic_accept(b->l[0]), 0x51);
    assert_true(wrx(b, 0, X2(EOI), 0));
    assert_true(wrx(b, 0, 0x83F, 5));
    assert_true(wrx(b, 0, X2(ESR), 0));
    assert_int_equal(rdx(b, 0, X2(ESR)), 0x20);
    /* Logical: cluster 0, a bit an APIC. */
    assert_true(lapic_set_base(b->l[1], 0xFEE00C00));
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(2) << 32 | 0x4C00));
    assert_int_equal(b->cpu[1].nmi.rises, 2);
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(0x10002) << 32 | 0x4C00));
    assert_int_equal(b->cpu[1].nmi.rises, 2);
    assert_true(wrx(b, 0, X2(ICR_LOW), UINT64_C(3) << 32 | 0x4C00));
    assert_int_equal(b->cpu[0].nmi.rises, 2);
    assert_int_equal(b->cpu[1].nmi.rises, 3);
    /* From an IOAPIC, whose destinations have 8 bits. */
    assert_true(send(b, 0xFF, false, APIC_NMI, 0, false));
    assert_true(send(b, 1, false, APIC_NMI, 0, false));
    assert_true(send(b, 2, true, APIC_NMI, 0, false));
    assert_int_equal(b->cpu[0].nmi.rises, 3);
    assert_int_equal(b->cpu[1].nmi.rises, 6);
}

/* Derived logical IDs beyond the first cluster. */
static void x2apic_clusters(void **state)
{
    struct bench *b = *state;
    struct lapic *far = lapic_create(&b->f.devices, &(struct lapic_config){.bus = &b->bus,
                                                                           .queue = &b->f.queue,
                                                                           .mem = &b->f.mem,
                                                                           .log = &b->f.log,
                                                                           .id = 0x25,
                                                                           .has_x2apic = true});
    uint64_t v;
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_true(lapic_set_base(far, 0xFEE00C00));
    assert_true(lapic_msr(far, false, X2(LDR), &v));
    assert_int_equal(v, 0x00020020);
    assert_true(lapic_addressed(
        far, &(struct apic_message){.dest = 0x20020, .logical = true, .wide = true}));
    assert_false(
        lapic_addressed(far, &(struct apic_message){.dest = 0x20, .logical = true, .wide = true}));
    assert_false(lapic_addressed(
        far, &(struct apic_message){.dest = 0x20010, .logical = true, .wide = true}));
    assert_true(lapic_addressed(far, &(struct apic_message){.dest = 0x25}));
    assert_int_equal(lapic_id(far), 0x25);
}

/* The feature is off: its bit is reserved. */
static void x2apic_absent(void **state)
{
    struct bench *b = *state;
    struct lapic *old = lapic_create(
        &b->f.devices,
        &(struct lapic_config){
            .bus = &b->bus, .queue = &b->f.queue, .mem = &b->f.mem, .log = &b->f.log, .id = 2});
    assert_false(lapic_set_base(old, 0xFEE00C00));
    b->bus.current = old;
    wr(b, LVT_TIMER, 0x40041);                   /* so is the TSC-deadline mode's */
    assert_int_equal(rd(b, LVT_TIMER), 0x10041); /* masked by the software disable */
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    step(b, NS_PER_MS);
    device_reset_all(&b->f.devices, RESET_HARD);
    lapic_set_base(b->l[0], 0xFEC10900);
}

/* ---- TSC deadline: §11.5.4.1 ---- */

static void tsc_deadline(void **state)
{
    struct bench *b = *state;
    const int64_t at = b->f.now_ns;
    lapic_set_tsc_deadline(b->l[0], 5000, at + 5000); /* not in this mode */
    assert_int_equal(lapic_get_tsc_deadline(b->l[0]), 0);
    wr(b, LVT_TIMER, 0x20041);
    wr(b, INITIAL, 1000);
    wr(b, LVT_TIMER, 0x40041); /* the count is disarmed */
    step(b, 100000);
    assert_false(lapic_pending(b->l[0]));
    wr(b, INITIAL, 1000); /* ignored */
    assert_int_equal(rd(b, CURRENT), 0);
    assert_int_equal(rd(b, INITIAL), 0);
    lapic_set_tsc_deadline(b->l[0], 5000, b->f.now_ns + 5000);
    assert_int_equal(lapic_get_tsc_deadline(b->l[0]), 5000);
    step(b, 4999);
    assert_false(lapic_pending(b->l[0]));
    step(b, 1);
    assert_int_equal(lapic_accept(b->l[0]), 0x41);
    assert_int_equal(lapic_get_tsc_deadline(b->l[0]), 0); /* once */
    wr(b, EOI, 0);
    lapic_set_tsc_deadline(b->l[0], 5000, b->f.now_ns + 5000);
    lapic_set_tsc_deadline(b->l[0], 0, b->f.now_ns); /* disarmed */
    step(b, 10000);
    assert_false(lapic_pending(b->l[0]));
    lapic_set_tsc_deadline(b->l[0], 5000, b->f.now_ns + 5000);
    wr(b, LVT_TIMER, 0x41); /* disarmed by leaving the mode */
    wr(b, LVT_TIMER, 0x40041);
    assert_int_equal(lapic_get_tsc_deadline(b->l[0]), 0);
    step(b, 10000);
    assert_false(lapic_pending(b->l[0]));
    lapic_set_tsc_deadline(b->l[0], UINT64_MAX, EVENT_NEVER);
    step(b, 10000);
    assert_int_equal(lapic_get_tsc_deadline(b->l[0]), UINT64_MAX);
    fixture_check_round_trip(&b->f, disturb, b);
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
    uint64_t seed = test_seed(9);
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
        if (i % 64 == 0) /* any mode, and now and then another address */
            lapic_set_base(b->l[r & 1], 0xFEE00000 | (r & 0xD00) | (r >> 31) << 16);
        uint64_t v = i % 3 ? fixture_random(&seed) : r;
        lapic_msr(b->l[r & 1], r & 32, 0x800 | (r >> 8 & 0xFF), &v);
        if (i % 128 == 0)
            lapic_set_tsc_deadline(b->l[r & 1], v, b->f.now_ns + (r & 0xFFFFF));
        for (unsigned n = 0; n < 2; n++)
            assert_int_equal(b->cpu[n].intr.level, lapic_pending(b->l[n]));
    }
}

/* Made-up: a timer that is due though it does not run, and has no period to add. */
static void state_of_timer_without_period(void **state)
{
    struct bench *b = *state;
    struct state save, load;
    wr(b, LVT_TIMER, 0x20040);
    wr(b, INITIAL, 1000);
    fixture_save(&b->f, &save);
    *fixture_field(&save, "timer_running", 0) = 0;
    st32(fixture_field(&save, "timer_initial", 0), 0);
    state_init_load(&load, save.buf, save.len);
    device_state_all(&b->f.devices, &load);
    if (!load.err.msg[0])
        step(b, 5000);
    assert_non_null(strstr(load.err.msg, "timer"));
    state_free(&load);
    state_free(&save);
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
        T(absent),
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
        T(lowest_of_the_others),
        T(x2apic_transitions),
        T(x2apic_entry),
        T(x2apic_msrs),
        T(x2apic_ipis),
        T(x2apic_clusters),
        T(x2apic_absent),
        T(tsc_deadline),
        T(odd_accesses),
        T(any_access_is_survived),
        T(state_round_trip),
        T(state_of_timer_without_period),
        T(printing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
