/*
 * Local APIC: SDM 3A chapter 11 "Advanced Programmable Interrupt Controller (APIC)" (chapter 10 in
 * revisions before 2022), version 14h with six local vector table entries, in xAPIC and in x2APIC
 * mode.
 *
 *      LINT0 (8259 INTR) --+--[LVT]--+
 *      LINT1 (NMI) --------+         |          +-----+  class > PPR   +-----+
 *      timer, error -------+--[LVT]--+-- fixed ->| IRR |-- accept ----->| ISR |-- EOI --> IOAPIC
 *      messages (IOAPIC, IPI) -------+          +-----+                +-----+    if TMR bit set
 *                                    |
 *                                    +-- NMI, INIT, SIPI ---------------> lines to the CPU
 *                                    +-- ExtINT: accept says "ask the 8259"
 *
 * Modes are bits 11 (EN) and 10 (EXTD) of IA32_APIC_BASE; every other step is #GP:
 *
 *      disabled <--> xAPIC --> x2APIC --> disabled
 *
 * Not modelled: CMCI, directed EOI (suppressing broadcasts), focus processor checking, remote read,
 * arbitration IDs, SMI delivery. Performance and thermal entries are stored but have no source. Pin
 * polarity is ignored: lines carry assertion. An APIC that software moved away from the address of
 * another CPU's still hides what lies at that address from its own CPU (it reads as ones).
 */
#include "devices/lapic_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_AT UINT64_C(0xFEE00000)
#define PAGE_BYTES 0x1000
#define PRIO_LAPIC 3 /* memmap.h */

/* ---- priorities, and what can be accepted: SDM 3A §11.8.3 ---- */

bool lapic_software_enabled(const struct lapic *l)
{
    return lapic_globally_enabled(l) && (l->svr & SVR_ENABLE);
}

/* §11.8.3.1 "Task and Processor Priorities", figure 11-19. */
unsigned lapic_processor_priority(const struct lapic *l)
{
    const int isrv = bit_highest(&l->isr);
    const unsigned class = isrv < 0 ? 0 : (unsigned)isrv & 0xF0;
    return (l->tpr & 0xF0u) >= class ? l->tpr : class;
}

/* The vector that beats the processor priority, or -1. */
static int deliverable_vector(const struct lapic *l)
{
    const int irrv = bit_highest(&l->irr);
    if (irrv < 0 || (unsigned)irrv >> 4 <= lapic_processor_priority(l) >> 4)
        return -1;
    return irrv;
}

/*
 * Does the 8259 ask? Its INTR is LINT0: directly the CPU's pin while the APIC is globally disabled
 * (§11.4.3), else by way of an unmasked ExtINT entry; or an IOAPIC sent an ExtINT message.
 */
static bool extint_pending(const struct lapic *l)
{
    const bool lint0 = l->lint_level & BIT(0);
    if (!lapic_globally_enabled(l))
        return lint0;
    const uint32_t entry = l->lvt[LVT_LINT0];
    return l->extint || (lint0 && !(entry & LVT_MASKED) && lvt_mode(entry) == APIC_EXTINT);
}

bool lapic_pending(const struct lapic *l)
{
    return deliverable_vector(l) >= 0 || extint_pending(l);
}

void lapic_update_irq(struct lapic *l)
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
void lapic_raise_error(struct lapic *l, uint32_t error)
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
        lapic_raise_error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
        return false;
    }
    latch(l, vector, level_triggered);
    return true;
}

static void deliver_init(struct lapic *l)
{
    lapic_init_pin(l);
    irq_pulse(&l->cfg.init);
}

bool lapic_receive(struct lapic *l, const struct apic_message *msg)
{
    if (!lapic_globally_enabled(l))
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

/*
 * §11.12.9 "ICR Operation in x2APIC Mode", §11.12.10.1 "Logical Destination Mode in x2APIC Mode".
 * An 8-bit broadcast is one, too, as KVM has it: without interrupt remapping IOAPICs send no other.
 */
static bool addressed_x2apic(const struct lapic *l, const struct apic_message *msg)
{
    if (msg->dest == (msg->wide ? UINT32_MAX : 0xFF))
        return true;
    if (!msg->logical)
        return msg->dest == l->cfg.id;
    const uint32_t ldr = lapic_x2apic_ldr(l);
    return msg->dest >> 16 == ldr >> 16 && (msg->dest & ldr & 0xFFFF);
}

/* §11.6.2 "Determining IPI Destination". */
bool lapic_addressed(const struct lapic *l, const struct apic_message *msg)
{
    if (lapic_x2apic(l))
        return addressed_x2apic(l, msg);
    if (msg->wide && msg->dest == UINT32_MAX)
        return true;
    if (msg->wide && msg->dest > 0xFF)
        return false;
    if (!msg->logical)
        return msg->dest == l->id || (!msg->wide && msg->dest == 0xFF);
    if (l->dfr_model == 0xF) /* flat: a bit an APIC */
        return msg->dest & l->ldr;
    if (l->dfr_model != 0) /* neither flat nor cluster: reserved */
        return false;
    const unsigned cluster = msg->dest >> 4;
    return (cluster == 0xF || cluster == l->ldr >> 4u) && (msg->dest & l->ldr & 0xF);
}

/* ---- local sources: SDM 3A §11.5 ---- */

void lapic_local_edge(struct lapic *l, enum lvt n)
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
bool lapic_lint0_is_level(const struct lapic *l)
{
    const uint32_t entry = l->lvt[LVT_LINT0];
    return (entry & LVT_LEVEL) && lvt_mode(entry) == APIC_FIXED;
}

void lapic_service_lint0_level(struct lapic *l)
{
    uint32_t *entry = &l->lvt[LVT_LINT0];
    if (!lapic_lint0_is_level(l) || !(l->lint_level & BIT(0)) ||
        (*entry & (LVT_MASKED | LVT_REMOTE_IRR)))
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
    if (!lapic_globally_enabled(l)) {
        if (pin == 1 && rising) /* the CPU's NMI pin, §11.4.3 */
            irq_pulse(&l->cfg.nmi);
    } else if (pin == 0 && lapic_lint0_is_level(l)) {
        lapic_service_lint0_level(l);
    } else if (rising) {
        lapic_local_edge(l, pin == 0 ? LVT_LINT0 : LVT_LINT1);
    }
    lapic_update_irq(l);
}

/* ---- the CPU's registers that live here ---- */

uint32_t lapic_id(const struct lapic *l)
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

GENERAL_ONLY uint64_t lapic_get_base(const struct lapic *l)
{
    return l->base;
}

static void reset_registers(struct lapic *l);

static bool shows_page(const struct lapic *l)
{
    return lapic_globally_enabled(l) && !lapic_x2apic(l);
}

static gpa_t page_address(const struct lapic *l)
{
    return l->base & PAGE_MASK;
}

/* Maps the page of the first APIC that shows it at this address, unless one is mapped already. */
static void map_page(struct apic_bus *bus, gpa_t at)
{
    struct lapic *first = NULL;
    for (unsigned i = 0; i < bus->lapics; i++) {
        struct lapic *l = bus->lapic[i];
        if (l->page.mapped && l->page.base == at)
            return;
        if (!first && shows_page(l) && page_address(l) == at)
            first = l;
    }
    if (first)
        memmap_add(first->cfg.mem, &first->page, at, PRIO_LAPIC);
}

/* All APICs that show their page at one address share a region there (apic_bus.h, current). */
static void place_page(struct lapic *l)
{
    const gpa_t at = page_address(l), was = l->page.base;
    const bool mapped = l->page.mapped;
    if (mapped && shows_page(l) && was == at)
        return;
    memmap_begin(l->cfg.mem);
    memmap_del(l->cfg.mem, &l->page);
    if (mapped)
        map_page(l->cfg.bus, was);
    if (shows_page(l))
        map_page(l->cfg.bus, at);
    memmap_end(l->cfg.mem);
}

bool lapic_answers(const struct lapic *l, gpa_t page)
{
    return shows_page(l) && page_address(l) == page;
}

static bool base_ok(const struct lapic *l, uint64_t value)
{
    uint64_t allowed = (BIT64(52) - PAGE_SIZE) | APIC_BASE_ENABLE | APIC_BASE_BSP;
    if (l->cfg.has_x2apic)
        allowed |= APIC_BASE_EXTD;
    return !(value & ~allowed) && (value & (APIC_BASE_ENABLE | APIC_BASE_EXTD)) != APIC_BASE_EXTD;
}

/* §11.12.5 "x2APIC State Transitions". */
static bool step_ok(const struct lapic *l, uint64_t value)
{
    if (lapic_x2apic(l))
        return (value & APIC_BASE_EXTD) || !(value & APIC_BASE_ENABLE);
    return !(value & APIC_BASE_EXTD) || lapic_globally_enabled(l);
}

bool lapic_set_base(struct lapic *l, uint64_t value)
{
    if (!base_ok(l, value) || !step_ok(l, value))
        return false;
    const bool was_x2apic = lapic_x2apic(l);
    l->base = value;
    /* §11.4.3: globally disabled, the APIC loses its state; enabled again, it starts from reset. */
    if (!lapic_globally_enabled(l))
        reset_registers(l);
    if (lapic_x2apic(l) != was_x2apic) {
        l->id = (uint8_t)l->cfg.id;
        l->icr_high = 0;
    }
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
    l->timer_divide = 0;
    lapic_timer_reset(l);
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
    l->base =
        DEFAULT_AT | (l->cfg.absent ? 0 : APIC_BASE_ENABLE) | (l->cfg.bsp ? APIC_BASE_BSP : 0);
    l->id = (uint8_t)l->cfg.id;
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
    state_check(st, base_ok(l, l->base), "base");
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
    lapic_timer_state(l, st);
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
    mem_region_init_io(&l->page, l->name, &lapic_page_ops, l, PAGE_BYTES);
    lapic_timer_init(l);
    lapic_reset(&l->dev, RESET_POWER_ON);
    apic_bus_add_lapic(cfg->bus, l);
    device_add(devices, &l->dev);
    return l;
}
