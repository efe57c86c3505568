/*
 * x87 transcendentals and their kin: exponent, remainder, scale. SDM 1 §8.3.6-8.3.10. Results are
 * the host unit's, which the manuals promise to one unit in the last place, not to the bit.
 */
#include "cpu/op_x87.h"
#include "cpu/handlers.h"

#define BEGIN()     \
    x87_ready(cpu); \
    x87_note(cpu, u)

/* Those that report in C2 whether they were complete set C0 and C3 at most when they were. */
static inline void offer_cc(const struct cpu *cpu, uint16_t cc)
{
    if (cc & FSW_C2)
        fp_x87_set_cc(cpu->fpu.sw);
}
static inline bool stack_fault(struct cpu *cpu, bool overflow, uint16_t cc)
{
    cpu->fpu.sw &= (uint16_t) ~(cc & FSW_C2);
    return x87_stack_fault(cpu, overflow);
}

/* ST(0) = OP ST(0); out of range (C2) leaves it. */
#define UNARY(name, cc)                                                 \
    OP(op_##name)                                                       \
    {                                                                   \
        BEGIN();                                                        \
        union fpreg r = X87_INDEFINITE;                                 \
        if (x87_empty(cpu, 0)) {                                        \
            if (!stack_fault(cpu, false, cc))                           \
                return;                                                 \
        } else {                                                        \
            offer_cc(cpu, cc);                                          \
            const uint16_t sw = fp_x87_##name(cpu, &r, x87_st(cpu, 0)); \
            if (!x87_report(cpu, sw, cc, X87_BLOCK_REG))                \
                return;                                                 \
        }                                                               \
        x87_write(cpu, 0, &r);                                          \
    }
UNARY(f2xm1, FSW_C1)
UNARY(fsin, FSW_CC)
UNARY(fcos, FSW_CC)

/* ST(dest) = ST(0) OP ST(1), then perhaps a pop. */
#define BINARY(name, dest, pop, cc)                                                     \
    OP(op_##name)                                                                       \
    {                                                                                   \
        BEGIN();                                                                        \
        union fpreg r = X87_INDEFINITE;                                                 \
        if (x87_empty(cpu, 0) || x87_empty(cpu, 1)) {                                   \
            if (!stack_fault(cpu, false, cc))                                           \
                return;                                                                 \
        } else {                                                                        \
            offer_cc(cpu, cc);                                                          \
            const uint16_t sw = fp_x87_##name(cpu, &r, x87_st(cpu, 0), x87_st(cpu, 1)); \
            if (!x87_report(cpu, sw, cc, X87_BLOCK_REG))                                \
                return;                                                                 \
        }                                                                               \
        x87_write(cpu, dest, &r);                                                       \
        if (pop)                                                                        \
            x87_pop(cpu);                                                               \
    }
BINARY(fpatan, 1, true, FSW_C1)
BINARY(fyl2x, 1, true, FSW_C1)
BINARY(fyl2xp1, 1, true, FSW_C1)
BINARY(fscale, 0, false, FSW_C1)
BINARY(fprem, 0, false, FSW_CC)
BINARY(fprem1, 0, false, FSW_CC)

/* ST(0) replaced and a second result pushed. */
#define PUSHING(name, cc)                                                      \
    OP(op_##name)                                                              \
    {                                                                          \
        BEGIN();                                                               \
        union fpreg r[2] = {X87_INDEFINITE, X87_INDEFINITE};                   \
        const bool empty = x87_empty(cpu, 0), full = !x87_empty(cpu, 7);       \
        if (empty || full) {                                                   \
            if (!stack_fault(cpu, !empty, cc))                                 \
                return;                                                        \
        } else {                                                               \
            offer_cc(cpu, cc);                                                 \
            const uint16_t sw = fp_x87_##name(cpu, r, x87_st(cpu, 0));         \
            if (!x87_report(cpu, sw, cc, X87_BLOCK_REG) || ((cc)&sw & FSW_C2)) \
                return;                                                        \
        }                                                                      \
        x87_write(cpu, 0, &r[1]);                                              \
        x87_push(cpu, &r[0]);                                                  \
    }
PUSHING(fptan, FSW_CC)
PUSHING(fsincos, FSW_CC)
PUSHING(fxtract, FSW_C1)
