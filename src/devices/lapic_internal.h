/*
 * What the files of the local APIC share: lapic.c has the states, priorities and messages,
 * lapic_regs.c the registers as memory and as MSRs, lapic_timer.c the timer, lapic_print.c the text
 * of "info lapic".
 */
#ifndef VITRINE_DEVICES_LAPIC_INTERNAL_H
#define VITRINE_DEVICES_LAPIC_INTERNAL_H

#include "devices/lapic.h"

enum lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVTS };

/* SDM 3A §11.5.1 "Local Vector Table". */
enum {
    LVT_VECTOR = 0xFF,
    LVT_STATUS = BIT(12), /* delivery status: reads as idle */
    LVT_REMOTE_IRR = BIT(14),
    LVT_LEVEL = BIT(15),
    LVT_MASKED = BIT(16),
    LVT_PERIODIC = BIT(17),
    LVT_DEADLINE = BIT(18),
};

/* SDM 3A §11.5.3 "Error Handling". */
enum {
    ESR_SEND_ILLEGAL_VECTOR = BIT(5),
    ESR_RECEIVE_ILLEGAL_VECTOR = BIT(6),
    ESR_ILLEGAL_REGISTER = BIT(7),
};

#define SVR_ENABLE  BIT(8)
#define SVR_MASK    0x3FF

#define FIRST_VALID 16 /* vectors below are the CPU's exceptions */

struct bitmap256 {
    uint32_t word[8];
};

struct lapic {
    struct device dev;
    uint64_t base;                   /* IA32_APIC_BASE */
    uint8_t id, tpr, ldr, dfr_model; /* id, ldr: of xAPIC mode; x2APIC mode has its own */
    uint32_t svr, esr, esr_pending;
    uint32_t icr_low, icr_high;
    uint32_t lvt[LVTS];
    struct bitmap256 isr, tmr, irr;
    bool extint;        /* an ExtINT message waits for its acknowledge cycle */
    uint8_t lint_level; /* a bit for each pin */
    bool intr_driven;   /* what the CPU's line was told; derived */
    bool timer_running; /* the count is; not in TSC-deadline mode */
    uint32_t timer_initial;
    uint8_t timer_divide;   /* as written: bits 3, 1, 0 */
    int64_t timer_start_ns; /* of the current period */
    uint64_t tsc_deadline;  /* IA32_TSC_DEADLINE; 0: not armed */
    struct event timer;
    struct lapic_config cfg;
    struct mem_region page;
    char name[16];
};

/* ---- bitmaps ---- */

static inline void bit_set(struct bitmap256 *b, uint8_t n)
{
    b->word[n / 32] |= BIT(n % 32);
}

static inline void bit_clear(struct bitmap256 *b, uint8_t n)
{
    b->word[n / 32] &= ~BIT(n % 32);
}

static inline bool bit_test(const struct bitmap256 *b, uint8_t n)
{
    return b->word[n / 32] & BIT(n % 32);
}

/* The highest bit that is set, or -1. */
static inline int bit_highest(const struct bitmap256 *b)
{
    for (int i = 7; i >= 0; i--)
        if (b->word[i])
            return 32 * i + 31 - __builtin_clz(b->word[i]);
    return -1;
}

/* ---- lapic.c ---- */

static inline bool lapic_globally_enabled(const struct lapic *l)
{
    return l->base & APIC_BASE_ENABLE;
}

static inline bool lapic_x2apic(const struct lapic *l)
{
    return l->base & APIC_BASE_EXTD;
}

static inline unsigned lvt_mode(uint32_t entry)
{
    return (unsigned)bits(entry, 10, 8);
}

/* SDM 3A §11.12.10.2 "Deriving Logical x2APIC ID from the Local x2APIC ID". */
static inline uint32_t lapic_x2apic_ldr(const struct lapic *l)
{
    return l->cfg.id >> 4 << 16 | BIT(l->cfg.id & 15);
}

/* Tells the CPU whether there is something to accept; to be called after any change. */
void lapic_update_irq(struct lapic *l);
void lapic_raise_error(struct lapic *l, uint32_t error);
/* An edge at the source of an LVT entry. */
void lapic_local_edge(struct lapic *l, enum lvt n);
/* LINT0 as a level, if it is one: sends it again once its remote IRR is clear. */
bool lapic_lint0_is_level(const struct lapic *l);
void lapic_service_lint0_level(struct lapic *l);

/* ---- lapic_regs.c ---- */

extern const struct io_ops lapic_page_ops; /* opaque: the APIC whose region it is */

/* ---- lapic_timer.c ---- */

void lapic_timer_init(struct lapic *l);
void lapic_timer_reset(struct lapic *l);
unsigned lapic_timer_shift(const struct lapic *l);
uint32_t lapic_timer_count(const struct lapic *l);
void lapic_timer_write_initial(struct lapic *l, uint32_t value);
void lapic_timer_write_divide(struct lapic *l, uint32_t value);
/* The LVT entry was written; it was like this before. */
void lapic_timer_mode_written(struct lapic *l, uint32_t old);
void lapic_timer_state(struct lapic *l, struct state *st);

#endif
