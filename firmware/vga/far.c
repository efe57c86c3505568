/* See far.h. */
#include "far.h"

/* A word at offset FFFFh, which callers may ask for, would cross the segment's limit: two bytes. */
uint16_t far_get16(uint16_t seg, uint16_t off)
{
    return (uint16_t)(far_get8(seg, off) | far_get8(seg, (uint16_t)(off + 1)) << 8);
}

void far_put16(uint16_t seg, uint16_t off, uint16_t value)
{
    far_put8(seg, off, (uint8_t)value);
    far_put8(seg, (uint16_t)(off + 1), (uint8_t)(value >> 8));
}

void far_put32(uint16_t seg, uint16_t off, uint32_t value)
{
    far_put16(seg, off, (uint16_t)value);
    far_put16(seg, (uint16_t)(off + 2), (uint16_t)(value >> 16));
}
