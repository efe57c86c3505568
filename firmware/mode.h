/*
 * What differs between our two kinds of C code, so that one source reads the same in both:
 *
 *   MODE16   services and interrupt handlers. -m16, CS = CODE_SEG; DS = ES = SS = DATA_SEG, where
 *            all variables, constants and the stack are: a plain pointer is an offset in there.
 *            FS = 0 while C runs: LOW(type, address) reaches the first 64 KiB (vectors, BDA).
 *            GS is whatever the last far access made it: FAR(type, seg, off) for everything else.
 *   MODE32   POST. -m32, flat segments, runs in the ROM below 4 GiB with interrupts off; a
 *            plain pointer is a physical address. SHARED(x) is a variable of the 16-bit code.
 */
#ifndef FIRMWARE_MODE_H
#define FIRMWARE_MODE_H

#include "config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BIT(n)         (1u << (n))
#define ARRAY_SIZE(a)  (sizeof(a) / sizeof(a)[0])
#define MIN(a, b)      ((a) < (b) ? (a) : (b))
#define MAX(a, b)      ((a) > (b) ? (a) : (b))
#define ALIGN_UP(x, n) (((x) + (n)-1) & ~((n)-1))
#define PACKED         __attribute__((packed))

#ifdef MODE16

/* A function that both modes compile carries its mode in its symbol: one link holds both. */
#define MODE_FN(name)      name##_16

#define LOW_SPACE          __seg_fs
#define LOW(type, address) ((volatile type LOW_SPACE *)(address))

/* Until the next FAR. */
static inline void set_gs(uint16_t seg)
{
    __asm__ volatile("movw %0, %%gs" : : "rm"(seg) : "memory");
}

#define FAR(type, seg, off) (set_gs(seg), (volatile type __seg_gs *)(uintptr_t)(uint16_t)(off))

#define SHARED(x)           (x)

#else

#define MODE_FN(name) name##_32

#define LOW_SPACE
#define LOW(type, address)  ((volatile type *)(address))
#define FAR(type, seg, off) ((volatile type *)(((uint32_t)(seg) << 4) + (uint16_t)(off)))

/* Symbols of the 16-bit code are offsets in its segments. */
#define SHARED(x)           (*(__typeof__(x) *)((uintptr_t) & (x) + DATA_BASE))

#endif

static inline uint8_t far_read8(uint16_t seg, uint16_t off)
{
    return *FAR(uint8_t, seg, off);
}

static inline uint16_t far_read16(uint16_t seg, uint16_t off)
{
    return *FAR(uint16_t, seg, off);
}

static inline uint32_t far_read32(uint16_t seg, uint16_t off)
{
    return *FAR(uint32_t, seg, off);
}

static inline void far_write8(uint16_t seg, uint16_t off, uint8_t v)
{
    *FAR(uint8_t, seg, off) = v;
}

static inline void far_write16(uint16_t seg, uint16_t off, uint16_t v)
{
    *FAR(uint16_t, seg, off) = v;
}

static inline void far_write32(uint16_t seg, uint16_t off, uint32_t v)
{
    *FAR(uint32_t, seg, off) = v;
}

#ifdef MODE16
/* Between a caller's memory and ours; the far offset wraps at 64 KiB as the caller's own would. */
static inline void far_to_near(void *to, uint16_t seg, uint16_t off, uint16_t bytes)
{
    uint8_t *p = to;
    set_gs(seg);
    while (bytes--)
        *p++ = *(volatile uint8_t __seg_gs *)(uintptr_t)off++;
}

static inline void near_to_far(uint16_t seg, uint16_t off, const void *from, uint16_t bytes)
{
    const uint8_t *p = from;
    set_gs(seg);
    while (bytes--)
        *(volatile uint8_t __seg_gs *)(uintptr_t)off++ = *p++;
}
#endif

#define VECTOR(n) (*LOW(uint32_t, (n)*4u)) /* offset in 15:0, segment in 31:16 */

/* The label also holds for the calls that gcc makes up itself. */
#ifdef MODE16
#define MODE_LABEL(name) __asm__(name "_16")
#else
#define MODE_LABEL(name) __asm__(name "_32")
#endif

void *memcpy(void *to, const void *from, size_t n) MODE_LABEL("memcpy");
void *memmove(void *to, const void *from, size_t n) MODE_LABEL("memmove");
void *memset(void *to, int byte, size_t n) MODE_LABEL("memset");
int memcmp(const void *a, const void *b, size_t n) MODE_LABEL("memcmp");

static inline size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static inline int strncmp(const char *a, const char *b, size_t n)
{
    for (; n && *a && *a == *b; n--)
        a++, b++;
    return n ? *a - *b : 0;
}

static inline int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a - *b;
}

#endif
