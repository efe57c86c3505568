/*
 * Floating point that the host's SSE2 cannot give exactly: fused multiply-add, and half precision.
 * Integer arithmetic only, so that it may run whatever the host's control registers hold. Rounding,
 * DAZ, FTZ and masks come from the guest's MXCSR, exceptions go to *flags as the hardware would
 * report them: those of an unmasked response included. SDM 1 §14.5.2 "Fused-Multiply-ADD (FMA)
 * Numeric Behavior", §11.5.
 */
#ifndef VITRINE_CPU_FP_FP_SOFT_H
#define VITRINE_CPU_FP_FP_SOFT_H

#include "core/types.h"

/* x * y + z, either part negated if asked for; 32-bit operands in the low half. Of several NaNs the
 * first of x, y, z is the result. */
uint64_t fp_soft_fma(bool f64, uint64_t x, uint64_t y, uint64_t z, bool negate_product,
                     bool negate_addend, uint32_t mxcsr, uint32_t *flags);

/* Half to single, which cannot be inexact, and single to half under rounding mode rc. */
uint32_t fp_soft_from_half(uint16_t v, uint32_t *flags);
uint16_t fp_soft_to_half(uint32_t v, unsigned rc, uint32_t mxcsr, uint32_t *flags);

#endif
