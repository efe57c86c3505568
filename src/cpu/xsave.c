/*
 * The state components of XSAVE, and where they lie in its area.
 *
 * This file is compiled to use general registers only: see cpuid.c.
 */
#include "cpu/xsave.h"

/* The offsets of 3 to 8 are those of MPX and AVX-512; PKRU lies behind them as on Intel's. */
const struct xsave_component xsave_components[XSAVE_COMPONENTS] = {
    [0] = {0, 160, FEAT_FPU},
    [1] = {160, 256, FEAT_SSE},
    [2] = {576, 256, FEAT_AVX},
    [9] = {2688, 8, FEAT_PKU},
};

uint64_t xsave_supported(const struct cpu_features *f)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < XSAVE_COMPONENTS; i++)
        if (xsave_components[i].size && f->has[xsave_components[i].feature])
            mask |= BIT64(i);
    return mask;
}

uint32_t xsave_area_size(uint64_t mask)
{
    uint32_t size = XSAVE_MIN_BYTES;
    for (unsigned i = 2; i < XSAVE_COMPONENTS; i++)
        if (mask & BIT64(i))
            size = MAX(size, (uint32_t)xsave_components[i].offset + xsave_components[i].size);
    return size;
}

/* None of ours asks for alignment: one lies right behind the other. */
uint32_t xsave_compacted_size(uint64_t mask)
{
    uint32_t size = XSAVE_MIN_BYTES;
    for (unsigned i = 2; i < XSAVE_COMPONENTS; i++)
        if (mask & BIT64(i))
            size += xsave_components[i].size;
    return size;
}
