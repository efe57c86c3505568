/*
 * Local APIC: SDM 3A chapter 11 "Advanced Programmable Interrupt Controller (APIC)" (chapter 10 in
 * revisions before 2022), in xAPIC mode, version 14h with six local vector table entries.
 *
 *      LINT0 (8259 INTR) --+--[LVT]--+
 *      LINT1 (NMI) --------+         |          +-----+  class > PPR   +-----+
 *      timer, error -------+--[LVT]--+-- fixed ->| IRR |-- accept ----->| ISR |-- EOI --> IOAPIC
 *      messages (IOAPIC, IPI) -------+          +-----+                +-----+    if TMR bit set
 *                                    |
 *                                    +-- NMI, INIT, SIPI ---------------> lines to the CPU
 *                                    +-- ExtINT: accept says "ask the 8259"
 *
 * Not modelled: x2APIC mode, TSC-deadline timer, CMCI, directed EOI (suppressing broadcasts), focus
 * processor checking, remote read, arbitration IDs, SMI delivery. Performance and thermal entries
 * are stored but have no source. Pin polarity is ignored: lines carry assertion.
 */
#include "devices/lapic.h"

#include <stdio.h>
#include <stdlib.h>

/* SDM 3A §11.4.1, table 11-1 "Local APIC Register Address Map". */
enum {
    REG_ID = 0x020,
    REG_VERSION = 0x030,
    REG_TPR = 0x080,
    REG_APR = 0x090,
    REG_PPR = 0x0A0,
    REG_EOI = 0x0B0,
    REG_RRD = 0x0C0,
    REG_LDR = 0x0D0,
    REG_DFR = 0x0E0,
    REG_SVR = 0x0F0,
    REG_ISR = 0x100,
    REG_TMR = 0x180,
    REG_IRR = 0x200,
    REG_ESR = 0x280,
    REG_ICR_LOW = 0x300,
    REG_ICR_HIGH = 0x310,
    REG_LVT = 0x320, /* to 370h */
    REG_TIMER_INITIAL = 0x380,
    REG_TIMER_CURRENT = 0x390,
    REG_TIMER_DIVIDE = 0x3E0,
};

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };

/* SDM 3A §11.5.1 "Local Vector Table". */
enum {
    LVT_VECTOR = 0xFF,
    LVT_REMOTE_IRR = BIT(14),
    LVT_LEVEL = BIT(15),
    LVT_MASKED = BIT(16),
    LVT_PERIODIC = BIT(17),
};

/* SDM 3A §11.5.3 "Error Handling". */
enum {
    ESR_SEND_ILLEGAL_VECTOR = BIT(5),
    ESR_RECEIVE_ILLEGAL_VECTOR = BIT(6),
    ESR_ILLEGAL_REGISTER = BIT(7),
};

/* SDM 3A §11.6.1 "Interrupt Command Register (ICR)". */
#define ICR_LOGICAL  BIT(11)
#define ICR_ASSERT   BIT(14)
#define ICR_LEVEL    BIT(15)
#define ICR_LOW_MASK 0x000CCFFF /* delivery status (bit 12) reads as idle */
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

#define SVR_ENABLE  BIT(8)
#define SVR_MASK    0x3FF

#define VERSION     (0x14 | (LVTS - 1) << 16)
#define DEFAULT_AT  UINT64_C(0xFEE00000)
#define PAGE_BYTES  0x1000
#define PRIO_LAPIC  3  /* memmap.h */
#define FIRST_VALID 16 /* vectors below are the CPU's exceptions */

/* A periodic timer fires no more often than this; its phase and count are kept all the same. */
#define MIN_TIMER_STEP_NS NS_PER_US
#define MAX_PERIOD_NS     (INT64_C(1) << 39) /* 2^32 counts, divided by 128 */

struct bitmap256 {
    uint32_t word[8];
};

struct lapic {
    struct device dev;
    uint64_t base; /* IA32_APIC_BASE */
    uint8_t id, tpr, ldr, dfr_model;
    uint32_t svr, esr, esr_pending;
    uint32_t icr_low, icr_high;
    uint32_t lvt[LVTS];
    struct bitmap256 isr, tmr, irr;
    bool extint;        /* an ExtINT message waits for its acknowledge cycle */
    uint8_t lint_level; /* a bit for each pin */
    bool intr_driven;   /* what the CPU's line was told; derived */
    bool timer_running;
    uint32_t timer_initial;
    uint8_t timer_divide;   /* as written: bits 3, 1, 0 */
    int64_t timer_start_ns; /* of the current period */
    struct event timer;
    struct lapic_config cfg;
    struct mem_region page;
    char name[16];
};

/* ---- bitmaps ---- */

static void bit_set(struct bitmap256 *b, uint8_t n)
{
    b->word[n / 32] |= BIT(n % 32);
}

static void bit_clear(struct bitmap256 *b, uint8_t n)
{
    b->word[n / 32] &= ~BIT(n % 32);
}

static bool bit_test(const struct bitmap256 *b, uint8_t n)
{
    return b->word[n / 32] & BIT(n % 32);
}

/* The highest bit that is set, or -1. */
static int bit_highest(const struct bitmap256 *b)
{
    for (int i = 7; i >= 0; i--)
        if (b->word[i])
            return 32 * i + 31 - __builtin_clz(b->word[i]);
    return -1;
}

/* ---- priorities, and what can be accepted: SDM 3A §11.8.3 ---- */

static bool globally_enabled(const struct lapic *l)
{
    return l->base & APIC_BASE_ENABLE;
}

bool lapic_software_enabled(const struct lapic *l)
{
    return globally_enabled(l) && (l->svr & SVR_ENABLE);
}

/* §11.8.3.1 "Task and Processor Priorities", figure 11-19. */
unsigned lapic_processor_priority(const struct lapic *l)
{
    const int isrv = bit_highest(&l->isr);
    const unsigned class = isrv < 0 ? 0 : (unsigned)isrv & 0xF0;
    return (l->tpr & 0xF0u) >= class ? l->tpr : class;
}

/* Arbitration priority, for the APR (§11.6.2.4): as the processors had it that had the register. */
static unsigned arbitration_priority(const struct lapic *l)
{
    const int isrv = bit_highest(&l->isr), irrv = bit_highest(&l->irr);
    const unsigned tpr = l->tpr >> 4;
    const unsigned isr = isrv < 0 ? 0 : (unsigned)isrv >> 4;
    const unsigned irr = irrv < 0 ? 0 : (unsigned)irrv >> 4;
    if (tpr >= irr && tpr > isr)
        return l->tpr;
    return MAX(tpr & isr, irr) << 4;
}

/* The vector that beats the processor priority, or -1. */
static int deliverable_vector(const struct lapic *l)
{
    const int irrv = bit_highest(&l->irr);
    if (irrv < 0 || (unsigned)irrv >> 4 <= lapic_processor_priority(l) >> 4)
        return -1;
    return irrv;
}

static unsigned lvt_mode(uint32_t entry)
{
    return (unsigned)bits(entry, 10, 8);
}

/*
 * Does the 8259 ask? Its INTR is LINT0: directly the CPU's pin while the APIC is globally disabled
 * (§11.4.3), else by way of an unmasked ExtINT entry; or an IOAPIC sent an ExtINT message.
 */
static bool extint_pending(const struct lapic *l)
{
    const bool lint0 = l->lint_level & BIT(0);
    if (!globally_enabled(l))
        return lint0;
    const uint32_t entry = l->lvt[LVT_LINT0];
    return l->extint || (lint0 && !(entry & LVT_MASKED) && lvt_mode(entry) == APIC_EXTINT);
}

bool lapic_pending(const struct lapic *l)
{
    return deliverable_vector(l) >= 0 || extint_pending(l);
}

static void lapic_update_irq(struct lapic *l)
{
    const bool pending = lapic_pending(l);
    if (pending == l->intr_driven)
        return;
    l->intr_driven = pending;
    irq_set(&l->cfg.intr, pending);
}

int lapic_accept(struct lapic *l)
{
    const int vector = deliverable_vector(l);
    int answer;
    if (vector >= 0) {
        bit_clear(&l->irr, (uint8_t)vector);
        bit_set(&l->isr, (uint8_t)vector);
        answer = vector;
    } else if (extint_pending(l)) {
        l->extint = false;
        answer = LAPIC_EXTINT;
    } else {
        /* Withdrawn between INTR and acknowledge: §11.9 "Spurious Interrupt", no ISR bit. */
        answer = l->svr & LVT_VECTOR;
    }
    lapic_update_irq(l);
    return answer;
}

/* ---- accepting interrupts into the IRR ---- */

static void latch(struct lapic *l, uint8_t vector, bool level_triggered)
{
    bit_set(&l->irr, vector);
    if (level_triggered)
        bit_set(&l->tmr, vector);
    else
        bit_clear(&l->tmr, vector);
}

/*
 * Notes an error. The LVT interrupt is raised for the first since the ESR was last written, which
 * is what rearms it (§11.5.3).
 */
static void raise_error(struct lapic *l, uint32_t error)
{
    const bool armed = !l->esr_pending;
    l->esr_pending |= error;
    const uint32_t entry = l->lvt[LVT_ERROR];
    if (!armed || (entry & LVT_MASKED))
        return;
    const uint8_t vector = entry & LVT_VECTOR;
    if (vector < FIRST_VALID)
        l->esr_pending |= ESR_RECEIVE_ILLEGAL_VECTOR;
    else
        latch(l, vector, false);
}

static bool receive_fixed(struct lapic *l, uint8_t vector, bool level_triggered)
{
    if (vector < FIRST_VALID) {
        raise_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    latch(l, vector, level_triggered);
    return true;
}

static void reset_registers(struct lapic *l);

static void deliver_init(struct lapic *l)
{
    lapic_init_pin(l);
    irq_pulse(&l->cfg.init);
}

bool lapic_receive(struct lapic *l, const struct apic_message *msg)
{
    if (!globally_enabled(l))
        return false;
    bool accepted = true;
    switch (msg->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        accepted = lapic_software_enabled(l) && receive_fixed(l, msg->vector, msg->level_triggered);
        break;
    case APIC_NMI:
        irq_pulse(&l->cfg.nmi);
        break;
    case APIC_INIT:
        deliver_init(l);
        break;
    case APIC_SIPI:
        irq_set(&l->cfg.sipi, LAPIC_SIPI_VECTOR | msg->vector);
        irq_set(&l->cfg.sipi, 0);
        break;
    case APIC_EXTINT:
        l->extint = true;
        break;
    default:
        log_unimp(l->cfg.log, "%s: delivery mode %u is not modelled", l->name, msg->mode);
        accepted = false;
        break;
    }
    lapic_update_irq(l);
    return accepted;
}

/* §11.6.2 "Determining IPI Destination". */
bool lapic_addressed(const struct lapic *l, const struct apic_message *msg)
{
    if (!msg->logical)
        return msg->dest == 0xFF || msg->dest == l->id;
    if (l->dfr_model == 0xF) /* flat: a bit an APIC */
        return msg->dest & l->ldr;
    if (l->dfr_model != 0) /* neither flat nor cluster: reserved */
        return false;
    const unsigned cluster = msg->dest >> 4;
    return (cluster == 0xF || cluster == l->ldr >> 4u) && (msg->dest & l->ldr & 0xF);
}

/* ---- local sources: SDM 3A §11.5 ---- */

/* An edge at the source of an entry. */
static void local_edge(struct lapic *l, enum lvt n)
{
    const uint32_t entry = l->lvt[n];
    if (entry & LVT_MASKED)
        return;
    switch (lvt_mode(entry)) {
    case APIC_FIXED:
        receive_fixed(l, entry & LVT_VECTOR, false);
        break;
    case APIC_NMI:
        irq_pulse(&l->cfg.nmi);
        break;
    case APIC_INIT:
        deliver_init(l);
        break;
    case APIC_EXTINT: /* a level: extint_pending() looks at the pin */
        break;
    default:
        log_unimp(l->cfg.log, "%s: local delivery mode %u is not modelled", l->name,
                  lvt_mode(entry));
        break;
    }
}

/* A fixed, level-triggered LINT0: sent again after each EOI while the pin is up (remote IRR). */
static bool lint0_is_level(const struct lapic *l)
{
    const uint32_t entry = l->lvt[LVT_LINT0];
    return (entry & LVT_LEVEL) && lvt_mode(entry) == APIC_FIXED;
}

static void service_lint0_level(struct lapic *l)
{
    uint32_t *entry = &l->lvt[LVT_LINT0];
    if (!lint0_is_level(l) || !(l->lint_level & BIT(0)) || (*entry & (LVT_MASKED | LVT_REMOTE_IRR)))
        return;
    if (receive_fixed(l, *entry & LVT_VECTOR, true))
        *entry |= LVT_REMOTE_IRR;
}

void lapic_set_lint(void *opaque, unsigned pin, int level)
{
    struct lapic *l = opaque;
    assert(pin < 2);
    const bool was = l->lint_level & BIT(pin);
    l->lint_level = (uint8_t)(level ? l->lint_level | BIT(pin) : l->lint_level & ~BIT(pin));
    const bool rising = level && !was;
    if (!globally_enabled(l)) {
        if (pin == 1 && rising) /* the CPU's NMI pin, §11.4.3 */
            irq_pulse(&l->cfg.nmi);
    } else if (pin == 0 && lint0_is_level(l)) {
        service_lint0_level(l);
    } else if (rising) {
        local_edge(l, pin == 0 ? LVT_LINT0 : LVT_LINT1);
    }
    lapic_update_irq(l);
}

/* ---- timer: SDM 3A §11.5.4 "APIC Timer" ---- */

/* Divide configuration: bits 3, 1, 0; 111 divides by 1, n by 2^(n+1). */
static unsigned timer_shift(const struct lapic *l)
{
    const unsigned n = (l->timer_divide & 3) | (l->timer_divide & 8) >> 1;
    return (n + 1) & 7;
}

static int64_t timer_period_ns(const struct lapic *l)
{
    return (int64_t)l->timer_initial << timer_shift(l);
}

static void arm_timer(struct lapic *l)
{
    if (l->timer_running)
        event_arm(l->cfg.queue, &l->timer, l->timer_start_ns + timer_period_ns(l));
    else
        event_cancel(l->cfg.queue, &l->timer);
}

static bool timer_periodic(const struct lapic *l)
{
    return l->lvt[LVT_TIMER] & LVT_PERIODIC;
}

static uint32_t timer_count(const struct lapic *l)
{
    if (!l->timer_running)
        return 0;
    const int64_t passed = (event_now(l->cfg.queue) - l->timer_start_ns) >> timer_shift(l);
    if (passed < 0)
        return l->timer_initial;
    if (timer_periodic(l))
        return l->timer_initial - (uint32_t)(passed % l->timer_initial);
    return passed < l->timer_initial ? l->timer_initial - (uint32_t)passed : 0;
}

static void timer_fired(void *opaque, int64_t now_ns)
{
    struct lapic *l = opaque;
    if (timer_periodic(l)) {
        const int64_t period = timer_period_ns(l);
        l->timer_start_ns += (now_ns - l->timer_start_ns) / period * period;
        event_arm(l->cfg.queue, &l->timer,
                  MAX(l->timer_start_ns + period, now_ns + MIN_TIMER_STEP_NS));
    } else {
        l->timer_running = false;
    }
    local_edge(l, LVT_TIMER);
    lapic_update_irq(l);
}

static void write_timer_initial(struct lapic *l, uint32_t value)
{
    l->timer_initial = value;
    l->timer_running = value != 0;
    l->timer_start_ns = event_now(l->cfg.queue);
    arm_timer(l);
}

/* The count goes on from where it is, at the new rate. */
static void write_timer_divide(struct lapic *l, uint32_t value)
{
    const uint32_t passed = l->timer_initial - timer_count(l);
    l->timer_divide = value & 0xB;
    if (!l->timer_running)
        return;
    l->timer_start_ns = event_now(l->cfg.queue) - ((int64_t)passed << timer_shift(l));
    arm_timer(l);
}

/* ---- registers ---- */

static void write_eoi(struct lapic *l)
{
    const int vector = bit_highest(&l->isr);
    if (vector < 0)
        return;
    bit_clear(&l->isr, (uint8_t)vector);
    if (bit_test(&l->tmr, (uint8_t)vector))
        apic_bus_eoi(l->cfg.bus, (uint8_t)vector);
    uint32_t *lint0 = &l->lvt[LVT_LINT0];
    if ((*lint0 & LVT_REMOTE_IRR) && (*lint0 & LVT_VECTOR) == (uint32_t)vector) {
        *lint0 &= ~(uint32_t)LVT_REMOTE_IRR;
        service_lint0_level(l);
    }
}

/* Bits that software may write. */
static uint32_t lvt_mask(enum lvt n)
{
    static const uint32_t mask[LVTS] = {
        [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_PERIODIC,
        [LVT_THERMAL] = 0x107FF,
        [LVT_PERF] = 0x107FF,
        [LVT_LINT0] = 0x1A7FF,
        [LVT_LINT1] = 0x1A7FF,
        [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
    };
    return mask[n];
}

static void write_lvt(struct lapic *l, enum lvt n, uint32_t value)
{
    const uint32_t remote_irr = l->lvt[n] & LVT_REMOTE_IRR;
    l->lvt[n] = value & lvt_mask(n);
    /* Software-disabled: the mask bits are set and stay set, §11.4.7.2. */
    if (!(l->svr & SVR_ENABLE))
        l->lvt[n] |= LVT_MASKED;
    if (n != LVT_LINT0)
        return;
    if (lint0_is_level(l))
        l->lvt[n] |= remote_irr;
    service_lint0_level(l);
}

static void write_svr(struct lapic *l, uint32_t value)
{
    l->svr = value & SVR_MASK;
    if (l->svr & SVR_ENABLE)
        return;
    for (unsigned n = 0; n < LVTS; n++)
        l->lvt[n] |= LVT_MASKED;
}

static void send_ipi(struct lapic *l)
{
    const uint32_t icr = l->icr_low;
    const struct apic_message msg = {
        .dest = (uint8_t)(l->icr_high >> 24),
        .logical = icr & ICR_LOGICAL,
        .mode = (uint8_t)bits(icr, 10, 8),
        .vector = icr & 0xFF,
    };
    if (msg.mode == APIC_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
        return; /* INIT level de-assert only sets arbitration IDs, §11.6.1 */
    if (msg.mode == APIC_EXTINT || msg.mode == 3) {
        log_guest(l->cfg.log, "%s: ICR %08x has a reserved delivery mode", l->name, icr);
        return;
    }
    if (msg.mode <= APIC_LOWEST && msg.vector < FIRST_VALID) {
        raise_error(l, ESR_SEND_ILLEGAL_VECTOR);
        return;
    }
    switch (bits(icr, 19, 18)) {
    case SHORTHAND_NONE:
        apic_bus_deliver(l->cfg.bus, &msg);
        break;
    case SHORTHAND_SELF: /* table 11-3: fixed only */
        if (msg.mode == APIC_FIXED)
            lapic_receive(l, &msg);
        else
            log_guest(l->cfg.log, "%s: ICR %08x to self is not fixed", l->name, icr);
        break;
    case SHORTHAND_ALL:
        apic_bus_broadcast(l->cfg.bus, &msg, NULL);
        break;
    case SHORTHAND_OTHERS:
        apic_bus_broadcast(l->cfg.bus, &msg, l);
        break;
    }
}

static uint32_t read_register(struct lapic *l, unsigned reg)
{
    switch (reg) {
    case REG_ID:
        return (uint32_t)l->id << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return l->tpr;
    case REG_APR:
        return arbitration_priority(l);
    case REG_PPR:
        return lapic_processor_priority(l);
    case REG_EOI: /* write-only */
    case REG_RRD:
        return 0;
    case REG_LDR:
        return (uint32_t)l->ldr << 24;
    case REG_DFR:
        return (uint32_t)l->dfr_model << 28 | 0x0FFFFFFF;
    case REG_SVR:
        return l->svr;
    case REG_ISR ... REG_ISR + 0x70:
        return l->isr.word[(reg - REG_ISR) >> 4];
    case REG_TMR ... REG_TMR + 0x70:
        return l->tmr.word[(reg - REG_TMR) >> 4];
    case REG_IRR ... REG_IRR + 0x70:
        return l->irr.word[(reg - REG_IRR) >> 4];
    case REG_ESR:
        return l->esr;
    case REG_ICR_LOW:
        return l->icr_low;
    case REG_ICR_HIGH:
        return l->icr_high;
    case REG_LVT ... REG_LVT + (LVTS - 1) * 0x10:
        return l->lvt[(reg - REG_LVT) >> 4];
    case REG_TIMER_INITIAL:
        return l->timer_initial;
    case REG_TIMER_CURRENT:
        return timer_count(l);
    case REG_TIMER_DIVIDE:
        return l->timer_divide;
    default:
        log_guest(l->cfg.log, "%s: read of register %03xh, which is not there", l->name, reg);
        raise_error(l, ESR_ILLEGAL_REGISTER);
        return 0;
    }
}

static void write_register(struct lapic *l, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_ID:
        l->id = (uint8_t)(value >> 24);
        break;
    case REG_TPR:
        l->tpr = (uint8_t)value;
        break;
    case REG_EOI:
        write_eoi(l);
        break;
    case REG_LDR:
        l->ldr = (uint8_t)(value >> 24);
        break;
    case REG_DFR:
        l->dfr_model = (uint8_t)(value >> 28);
        break;
    case REG_SVR:
        write_svr(l, value);
        break;
    case REG_ESR: /* any write moves what was noted since the last one into view, §11.5.3 */
        l->esr = l->esr_pending;
        l->esr_pending = 0;
        break;
    case REG_ICR_LOW:
        l->icr_low = value & ICR_LOW_MASK;
        send_ipi(l);
        break;
    case REG_ICR_HIGH:
        l->icr_high = value & 0xFF000000;
        break;
    case REG_LVT ... REG_LVT + (LVTS - 1) * 0x10:
        write_lvt(l, (enum lvt)((reg - REG_LVT) >> 4), value);
        break;
    case REG_TIMER_INITIAL:
        write_timer_initial(l, value);
        break;
    case REG_TIMER_DIVIDE:
        write_timer_divide(l, value);
        break;
    case REG_VERSION:
    case REG_APR:
    case REG_PPR:
    case REG_RRD:
    case REG_ISR ... REG_ISR + 0x70:
    case REG_TMR ... REG_TMR + 0x70:
    case REG_IRR ... REG_IRR + 0x70:
    case REG_TIMER_CURRENT:
        log_guest(l->cfg.log, "%s: write to the read-only register %03xh", l->name, reg);
        break;
    default:
        log_guest(l->cfg.log, "%s: write to register %03xh, which is not there", l->name, reg);
        raise_error(l, ESR_ILLEGAL_REGISTER);
        break;
    }
    lapic_update_irq(l);
}

static struct lapic *answering(struct lapic *owner)
{
    struct lapic *current = owner->cfg.bus->current;
    return current ? current : owner;
}

/* Registers are dwords at multiples of 16; the bytes between them are undefined (§11.4.1). */
static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct lapic *l = answering(opaque);
    if (offset & 0xF)
        return 0;
    const uint32_t value = read_register(l, (unsigned)offset);
    lapic_update_irq(l);
    return value;
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    if (!(offset & 0xF))
        write_register(answering(opaque), (unsigned)offset, (uint32_t)value);
}

static const struct io_ops page_ops = {
    .read = page_read, .write = page_write, .min_size = 4, .max_size = 4};

/* ---- the CPU's registers that live here ---- */

uint8_t lapic_id(const struct lapic *l)
{
    return l->cfg.id;
}

unsigned lapic_get_tpr(const struct lapic *l)
{
    return l->tpr >> 4;
}

/* §11.8.6.1 "Interaction of Task Priorities between CR8 and APIC": TPR[3:0] is cleared. */
void lapic_set_tpr(struct lapic *l, unsigned cr8)
{
    l->tpr = (uint8_t)((cr8 & 15) << 4);
    lapic_update_irq(l);
}

uint64_t lapic_get_base(const struct lapic *l)
{
    return l->base;
}

static void place_page(struct lapic *l)
{
    struct memmap *mem = l->cfg.mem;
    if (!mem)
        return;
    const gpa_t at = l->base & PAGE_MASK;
    const bool want = globally_enabled(l);
    if (want == l->page.mapped && (!want || l->page.base == at))
        return;
    memmap_begin(mem);
    memmap_del(mem, &l->page);
    if (want)
        memmap_add(mem, &l->page, at, PRIO_LAPIC);
    memmap_end(mem);
}

static bool base_ok(uint64_t value)
{
    const uint64_t allowed = (BIT64(52) - PAGE_SIZE) | APIC_BASE_ENABLE | APIC_BASE_BSP;
    return !(value & ~allowed);
}

bool lapic_set_base(struct lapic *l, uint64_t value)
{
    if (!base_ok(value))
        return false;
    l->base = value;
    /* §11.4.3: globally disabled, the APIC loses its state; enabled again, it starts from reset. */
    if (!globally_enabled(l))
        reset_registers(l);
    place_page(l);
    lapic_update_irq(l);
    return true;
}

/* ---- reset: SDM 3A §11.4.7 "Local APIC State" ---- */

static void reset_registers(struct lapic *l)
{
    l->tpr = l->ldr = 0;
    l->dfr_model = 0xF;
    l->svr = 0xFF;
    l->esr = l->esr_pending = 0;
    l->icr_low = l->icr_high = 0;
    for (unsigned n = 0; n < LVTS; n++)
        l->lvt[n] = LVT_MASKED;
    l->isr = l->tmr = l->irr = (struct bitmap256){0};
    l->extint = false;
    l->timer_running = false;
    l->timer_initial = 0;
    l->timer_divide = 0;
    l->timer_start_ns = 0;
    event_cancel(l->cfg.queue, &l->timer);
}

void lapic_init_pin(struct lapic *l)
{
    reset_registers(l);
    lapic_update_irq(l);
}

static void lapic_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct lapic *l = (struct lapic *)dev;
    l->base = DEFAULT_AT | APIC_BASE_ENABLE | (l->cfg.bsp ? APIC_BASE_BSP : 0);
    l->id = l->cfg.id;
    l->lint_level = 0;
    l->intr_driven = false;
    reset_registers(l);
}

static void lapic_reset_lines(struct device *dev)
{
    struct lapic *l = (struct lapic *)dev;
    place_page(l);
    l->intr_driven = lapic_pending(l);
    irq_set(&l->cfg.intr, l->intr_driven);
}

static void lapic_state(struct device *dev, struct state *st)
{
    struct lapic *l = (struct lapic *)dev;
    state_begin(st, l->name, 1);
    state_u64(st, "base", &l->base);
    state_check(st, base_ok(l->base), "base");
    state_u8(st, "id", &l->id);
    state_u8(st, "tpr", &l->tpr);
    state_u8(st, "ldr", &l->ldr);
    state_u8(st, "dfr_model", &l->dfr_model);
    state_check(st, l->dfr_model < 16, "dfr_model");
    state_u32(st, "svr", &l->svr);
    state_u32(st, "esr", &l->esr);
    state_u32(st, "esr_pending", &l->esr_pending);
    state_u32(st, "icr_low", &l->icr_low);
    state_u32(st, "icr_high", &l->icr_high);
    for (unsigned n = 0; n < LVTS; n++)
        state_u32(st, "lvt", &l->lvt[n]);
    for (unsigned n = 0; n < 8; n++) {
        state_u32(st, "isr", &l->isr.word[n]);
        state_u32(st, "tmr", &l->tmr.word[n]);
        state_u32(st, "irr", &l->irr.word[n]);
    }
    state_bool(st, "extint", &l->extint);
    state_u8(st, "lint_level", &l->lint_level);
    state_bool(st, "timer_running", &l->timer_running);
    state_u32(st, "timer_initial", &l->timer_initial);
    state_check(st, l->timer_initial || !l->timer_running, "timer_running");
    state_u8(st, "timer_divide", &l->timer_divide);
    state_i64(st, "timer_start_ns", &l->timer_start_ns);
    /* A new divisor may have moved the start back beyond power-on. */
    state_check(st, l->timer_start_ns >= -MAX_PERIOD_NS && l->timer_start_ns < INT64_MAX / 2,
                "timer_start_ns");
    state_event(st, "timer", l->cfg.queue, &l->timer);
    state_end(st);
}

static void lapic_destroy(struct device *dev)
{
    struct lapic *l = (struct lapic *)dev;
    event_cancel(l->cfg.queue, &l->timer);
    free(l);
}

static const struct device_ops lapic_ops = {
    .reset = lapic_reset,
    .reset_lines = lapic_reset_lines,
    .state = lapic_state,
    .loaded = lapic_reset_lines,
    .destroy = lapic_destroy,
};

struct lapic *lapic_create(struct device_list *devices, const struct lapic_config *cfg)
{
    struct lapic *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    snprintf(l->name, sizeof l->name, "lapic.%u", cfg->id);
    l->dev = (struct device){.name = l->name, .ops = &lapic_ops};
    l->cfg = *cfg;
    mem_region_init_io(&l->page, l->name, &page_ops, l, PAGE_BYTES);
    event_init(&l->timer, "lapic.timer", timer_fired, l);
    lapic_reset(&l->dev, RESET_POWER_ON);
    apic_bus_add_lapic(cfg->bus, l);
    device_add(devices, &l->dev);
    return l;
}

/* ---- for people ---- */

static const char *mode_name(unsigned mode)
{
    static const char *const names[8] = {"Fixed", "LowPri", "SMI",  "?3",
                                         "NMI",   "INIT",   "SIPI", "ExtINT"};
    return names[mode & 7];
}

static void print_lvt(const struct lapic *l, enum lvt n, void (*line)(void *, const char *),
                      void *opaque)
{
    static const char *const names[LVTS] = {"LVTT", "LVTTHMR", "LVTPC", "LVT0", "LVT1", "LVTERR"};
    const uint32_t entry = l->lvt[n];
    char text[120];
    snprintf(text, sizeof text, "%-8s 0x%08x %-6s vec %3u %s%s%s%s", names[n], entry,
             mode_name(n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : lvt_mode(entry)),
             entry & LVT_VECTOR, entry & LVT_LEVEL ? "level" : "edge",
             entry & LVT_MASKED ? " masked" : "", entry & LVT_REMOTE_IRR ? " remote-irr" : "",
             n != LVT_TIMER         ? ""
             : entry & LVT_PERIODIC ? " periodic"
                                    : " one-shot");
    line(opaque, text);
}

static void print_vectors(const char *what, const struct bitmap256 *b, const struct bitmap256 *tmr,
                          void (*line)(void *, const char *), void *opaque)
{
    char text[1400];
    int n = snprintf(text, sizeof text, "%-8s", what);
    for (unsigned v = 0; v < 256; v++)
        if (bit_test(b, (uint8_t)v))
            n += snprintf(text + n, sizeof text - (size_t)n, " %u%s", v,
                          bit_test(tmr, (uint8_t)v) ? "L" : "");
    if (n == 8)
        snprintf(text + n, sizeof text - (size_t)n, " (none)");
    line(opaque, text);
}

void lapic_print(const struct lapic *l, void (*line)(void *, const char *), void *opaque)
{
    char text[160];
    snprintf(text, sizeof text, "%s: id %u, base 0x%llx%s%s", l->name, l->id,
             (unsigned long long)(l->base & PAGE_MASK), globally_enabled(l) ? "" : " (disabled)",
             l->base & APIC_BASE_BSP ? " BSP" : "");
    line(opaque, text);
    for (unsigned n = 0; n < LVTS; n++)
        print_lvt(l, (enum lvt)n, line, opaque);
    snprintf(text, sizeof text, "TIMER    DCR=0x%x (divide by %u) initial %u current %u",
             l->timer_divide, 1u << timer_shift(l), l->timer_initial, timer_count(l));
    line(opaque, text);
    snprintf(text, sizeof text, "SPIV     0x%08x APIC %s, spurious vec %u", l->svr,
             l->svr & SVR_ENABLE ? "enabled" : "disabled", l->svr & LVT_VECTOR);
    line(opaque, text);
    snprintf(text, sizeof text, "ICR      0x%08x %s, dest 0x%02x", l->icr_low,
             mode_name((unsigned)bits(l->icr_low, 10, 8)), l->icr_high >> 24);
    line(opaque, text);
    snprintf(text, sizeof text, "ESR      0x%08x pending 0x%08x", l->esr, l->esr_pending);
    line(opaque, text);
    print_vectors("ISR", &l->isr, &l->tmr, line, opaque);
    print_vectors("IRR", &l->irr, &l->tmr, line, opaque);
    snprintf(text, sizeof text, "LDR 0x%02x DFR 0x%x TPR 0x%02x PPR 0x%02x LINT0 %u LINT1 %u%s",
             l->ldr, l->dfr_model, l->tpr, lapic_processor_priority(l), l->lint_level & 1,
             l->lint_level >> 1, l->extint ? " ExtINT waits" : "");
    line(opaque, text);
}
