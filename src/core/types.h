/* Scalar types, sizes, bit and byte-order helpers that every part uses. */
#ifndef VITRINE_CORE_TYPES_H
#define VITRINE_CORE_TYPES_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t gpa_t; /* guest-physical address, in bytes */
typedef uint64_t gla_t; /* guest-linear address, in bytes */

#define KiB                             (UINT64_C(1) << 10)
#define MiB                             (UINT64_C(1) << 20)
#define GiB                             (UINT64_C(1) << 30)
#define TiB                             (UINT64_C(1) << 40)

#define PAGE_SHIFT                      12
#define PAGE_SIZE                       (UINT64_C(1) << PAGE_SHIFT)
#define PAGE_MASK                       (~(PAGE_SIZE - 1))
#define HUGE_BYTES                      (UINT64_C(2) << 20) /* a huge page of the host */

#define NS_PER_US                       INT64_C(1000)
#define NS_PER_MS                       INT64_C(1000000)
#define NS_PER_SEC                      INT64_C(1000000000)

#define BIT(n)                          (UINT32_C(1) << (n))
#define BIT64(n)                        (UINT64_C(1) << (n))
#define ARRAY_SIZE(a)                   (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define likely(x)                       __builtin_expect(!!(x), 1)
#define unlikely(x)                     __builtin_expect(!!(x), 0)

#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))

/* For functions called while the host's vector and x87 registers hold the guest's. */
#define GENERAL_ONLY __attribute__((target("general-regs-only")))

/* Bits hi..lo of v, moved down to bit 0. */
static inline uint64_t bits(uint64_t v, unsigned hi, unsigned lo)
{
    return (v >> lo) & (~UINT64_C(0) >> (63 - (hi - lo)));
}

/* Sign-extends the low n bits (1..64) of v. */
static inline int64_t sign_extend(uint64_t v, unsigned n)
{
    return (int64_t)(v << (64 - n)) >> (64 - n);
}

/*
 * Little-endian loads and stores of n = 1, 2, 4 or 8 bytes at any alignment. Guest memory is
 * little-endian; so are all hosts we build for today, which the assertion in types.h's only
 * user of byte order (here) states.
 */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ld_le/st_le assume a little-endian host");

static inline uint16_t ld16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint32_t ld32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline uint64_t ld64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void st16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void st32(void *p, uint32_t v)
{
    memcpy(p, &v, sizeof v);
}
static inline void st64(void *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}
/*
 * At most 8 bytes; 1, 2, 4 or 8 are one access of the host, as another CPU of the guest may be
 * about. They call nothing: where general registers only may be used, they may be.
 */
static inline uint64_t ld_le(const void *p, unsigned n)
{
    uint64_t v = 0;
    switch (n) {
    case 1:
        return *(const uint8_t *)p;
    case 2:
        return ld16(p);
    case 4:
        return ld32(p);
    case 8:
        return ld64(p);
    default:
        for (unsigned i = 0; i < n; i++)
            v |= (uint64_t)((const uint8_t *)p)[i] << (8 * i);
        return v;
    }
}
static inline void st_le(void *p, uint64_t v, unsigned n)
{
    switch (n) {
    case 1:
        *(uint8_t *)p = (uint8_t)v;
        break;
    case 2:
        memcpy(p, &v, 2);
        break;
    case 4:
        memcpy(p, &v, 4);
        break;
    case 8:
        memcpy(p, &v, 8);
        break;
    default:
        for (unsigned i = 0; i < n; i++)
            ((uint8_t *)p)[i] = (uint8_t)(v >> (8 * i));
        break;
    }
}

#endif
