/* State components of XSAVE: what CPUID 0Dh reports and op_xsave.c stores. SDM 1 §13.4. */
#ifndef VITRINE_CPU_XSAVE_H
#define VITRINE_CPU_XSAVE_H

#include "cpu/features.h"

/* The legacy region and the header; components from 2 on follow. */
#define XSAVE_LEGACY_BYTES 512
#define XSAVE_HEADER_BYTES 64
#define XSAVE_MIN_BYTES    (XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES)
#define XSAVE_MAX_BYTES    2696 /* with every component, in either format */

struct xsave_component {
    uint16_t offset, size; /* in the standard format; size 0: no such component */
    enum cpu_feature feature;
};
#define XSAVE_COMPONENTS 10
extern const struct xsave_component xsave_components[XSAVE_COMPONENTS];

/* The bits of XCR0 this CPU lets be set. */
uint64_t xsave_supported(const struct cpu_features *f);
/* Bytes of a standard-format area that holds the components in mask. */
uint32_t xsave_area_size(uint64_t mask);
/* The same in the compacted format. */
uint32_t xsave_compacted_size(uint64_t mask);

#endif
