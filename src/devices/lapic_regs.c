/*
 * The registers of a local APIC, SDM 3A §11.4.1 "The Local APIC Block Diagram": dwords at multiples
 * of 16 in a page of memory (xAPIC mode), or MSRs from 800h on (x2APIC mode, §11.12 "Extended
 * XAPIC (x2APIC)"), where whatever is not allowed is #GP.
 */
#include "devices/lapic_internal.h"

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
    REG_SELF_IPI = 0x3F0, /* x2APIC mode */
};

/* SDM 3A §11.6.1 "Interrupt Command Register (ICR)". */
#define ICR_LOGICAL  BIT(11)
#define ICR_ASSERT   BIT(14)
#define ICR_LEVEL    BIT(15)
#define ICR_LOW_MASK 0x000CCFFF /* delivery status (bit 12) reads as idle */
enum { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };

#define VERSION (0x14 | (LVTS - 1) << 16)

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
        lapic_service_lint0_level(l);
    }
}

/* Bits that software may write. */
static uint32_t lvt_mask(const struct lapic *l, enum lvt n)
{
    static const uint32_t mask[LVTS] = {
        [LVT_TIMER] = LVT_VECTOR | LVT_MASKED | LVT_PERIODIC,
        [LVT_THERMAL] = 0x107FF,
        [LVT_PERF] = 0x107FF,
        [LVT_LINT0] = 0x1A7FF,
        [LVT_LINT1] = 0x1A7FF,
        [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
    };
    return mask[n] | (n == LVT_TIMER && l->cfg.has_tsc_deadline ? LVT_DEADLINE : 0);
}

static void write_lvt(struct lapic *l, enum lvt n, uint32_t value)
{
    const uint32_t old = l->lvt[n], remote_irr = old & LVT_REMOTE_IRR;
    l->lvt[n] = value & lvt_mask(l, n);
    /* Software-disabled: the mask bits are set and stay set, §11.4.7.2. */
    if (!(l->svr & SVR_ENABLE))
        l->lvt[n] |= LVT_MASKED;
    if (n == LVT_TIMER)
        lapic_timer_mode_written(l, old);
    if (n != LVT_LINT0)
        return;
    if (lapic_lint0_is_level(l))
        l->lvt[n] |= remote_irr;
    lapic_service_lint0_level(l);
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
        .dest = lapic_x2apic(l) ? l->icr_high : l->icr_high >> 24,
        .wide = lapic_x2apic(l),
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
        lapic_raise_error(l, ESR_SEND_ILLEGAL_VECTOR);
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

static void send_self(struct lapic *l, uint8_t vector)
{
    if (vector < FIRST_VALID)
        lapic_raise_error(l, ESR_SEND_ILLEGAL_VECTOR);
    else
        lapic_receive(l, &(struct apic_message){.mode = APIC_FIXED, .vector = vector});
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
        return lapic_timer_count(l);
    case REG_TIMER_DIVIDE:
        return l->timer_divide;
    default:
        log_guest(l->cfg.log, "%s: read of register %03xh, which is not there", l->name, reg);
        lapic_raise_error(l, ESR_ILLEGAL_REGISTER);
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
        lapic_timer_write_initial(l, value);
        break;
    case REG_TIMER_DIVIDE:
        lapic_timer_write_divide(l, value);
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
        lapic_raise_error(l, ESR_ILLEGAL_REGISTER);
        break;
    }
    lapic_update_irq(l);
}

/* ---- as memory ---- */

/* The APIC of the CPU that asks; NULL: it shows no page here, being off or in x2APIC mode. */
static struct lapic *answering(struct lapic *owner)
{
    struct lapic *l = owner->cfg.bus->current;
    l = l ? l : owner;
    if (lapic_answers(l, owner->page.base))
        return l;
    log_guest(l->cfg.log, "%s: access to the register page, which is not shown", l->name);
    return NULL;
}

/* Registers are dwords at multiples of 16; the bytes between them are undefined (§11.4.1). */
static uint64_t page_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct lapic *l = answering(opaque);
    if (!l)
        return UINT32_MAX;
    if (offset & 0xF)
        return 0;
    const uint32_t value = read_register(l, (unsigned)offset);
    lapic_update_irq(l);
    return value;
}

static void page_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct lapic *l = answering(opaque);
    if (l && !(offset & 0xF))
        write_register(l, (unsigned)offset, (uint32_t)value);
}

const struct io_ops lapic_page_ops = {
    .read = page_read, .write = page_write, .min_size = 4, .max_size = 4};

/* ---- as MSRs: SDM 3A §11.12.1.2 "x2APIC Register Address Space", table 11-6 ---- */

static bool msr_read(struct lapic *l, unsigned reg, uint64_t *value)
{
    switch (reg) {
    case REG_ID:
        *value = l->cfg.id;
        return true;
    case REG_LDR:
        *value = lapic_x2apic_ldr(l);
        return true;
    case REG_ICR_LOW:
        *value = (uint64_t)l->icr_high << 32 | l->icr_low;
        return true;
    case REG_VERSION:
    case REG_TPR:
    case REG_PPR:
    case REG_SVR:
    case REG_ISR ... REG_ISR + 0x70:
    case REG_TMR ... REG_TMR + 0x70:
    case REG_IRR ... REG_IRR + 0x70:
    case REG_ESR:
    case REG_LVT ... REG_LVT + (LVTS - 1) * 0x10:
    case REG_TIMER_INITIAL:
    case REG_TIMER_CURRENT:
    case REG_TIMER_DIVIDE:
        *value = read_register(l, reg);
        return true;
    default: /* reserved, or only for writing: EOI, SELF IPI */
        return false;
    }
}

/* The bits of a register that may be written as ones; false: it may not be written at all. */
static bool msr_writable(const struct lapic *l, unsigned reg, uint64_t *mask)
{
    switch (reg) {
    case REG_TPR:
    case REG_SELF_IPI:
        *mask = 0xFF;
        return true;
    case REG_EOI:
    case REG_ESR:
        *mask = 0;
        return true;
    case REG_SVR:
        *mask = SVR_ENABLE | LVT_VECTOR; /* focus checking is gone */
        return true;
    case REG_ICR_LOW:
        *mask = UINT64_C(0xFFFFFFFF00000000) | ICR_LOW_MASK;
        return true;
    case REG_LVT ... REG_LVT + (LVTS - 1) * 0x10: /* the status bits may be written back */
        *mask = lvt_mask(l, (enum lvt)((reg - REG_LVT) >> 4)) | LVT_STATUS | LVT_REMOTE_IRR;
        return true;
    case REG_TIMER_INITIAL:
        *mask = UINT32_MAX;
        return true;
    case REG_TIMER_DIVIDE:
        *mask = 0xB;
        return true;
    default:
        return false;
    }
}

static bool msr_write(struct lapic *l, unsigned reg, uint64_t value)
{
    uint64_t mask;
    if (!msr_writable(l, reg, &mask) || (value & ~mask))
        return false;
    if (reg == REG_ICR_LOW) /* one write, where xAPIC mode has two */
        l->icr_high = (uint32_t)(value >> 32);
    if (reg == REG_SELF_IPI) /* §11.12.11 "SELF IPI Register": as the ICR's shorthand, fixed */
        send_self(l, (uint8_t)value);
    else
        write_register(l, reg, (uint32_t)value);
    return true;
}

bool lapic_msr(struct lapic *l, bool write, uint32_t msr, uint64_t *value)
{
    assert(msr >= 0x800 && msr <= 0x8FF);
    const unsigned reg = (msr - 0x800) << 4;
    const bool done =
        lapic_x2apic(l) && (write ? msr_write(l, reg, *value) : msr_read(l, reg, value));
    if (!done)
        log_guest(l->cfg.log, "%s: %s MSR %#x is refused", l->name, write ? "WRMSR of" : "RDMSR of",
                  msr);
    lapic_update_irq(l);
    return done;
}
