/* Ports, and memory that is neither the stack, the image nor low memory. Offsets wrap at 64 KiB. */
#ifndef VGAROM_FAR_H
#define VGAROM_FAR_H

#include "rom.h"

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint16_t inw(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}
static inline void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}
static inline void outl(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* The VGA's pairs of an index and a data port. */
static inline void out_index(uint16_t port, uint8_t index, uint8_t value)
{
    outw(port, (uint16_t)(value << 8 | index));
}
static inline uint8_t in_index(uint16_t port, uint8_t index)
{
    outb(port, index);
    return inb(port + 1);
}

static inline uint8_t far_get8(uint16_t seg, uint16_t off)
{
    uint8_t value;
    __asm__ volatile("movw %w1, %%es\n\tmovb %%es:(%2), %0"
                     : "=q"(value)
                     : "r"(seg), "r"((uint32_t)off)
                     : "memory");
    return value;
}
static inline void far_put8(uint16_t seg, uint16_t off, uint8_t value)
{
    __asm__ volatile("movw %w1, %%es\n\tmovb %0, %%es:(%2)"
                     :
                     : "q"(value), "r"(seg), "r"((uint32_t)off)
                     : "memory");
}

/* far.c */
uint16_t far_get16(uint16_t seg, uint16_t off);
void far_put16(uint16_t seg, uint16_t off, uint16_t value);
void far_put32(uint16_t seg, uint16_t off, uint32_t value);

/* Byte by byte, upwards: for the VGA's latches, and for memory of callers. */
static inline void far_copy_bytes(uint16_t to_seg, uint16_t to, uint16_t from_seg, uint16_t from,
                                  uint16_t bytes)
{
    uint32_t d = to, s = from, n = bytes;
    __asm__ volatile("movw %w4, %%es\n\tpushw %%ds\n\tmovw %w3, %%ds\n\trep movsb\n\tpopw %%ds"
                     : "+&D"(d), "+&S"(s), "+&c"(n)
                     : "r"(from_seg), "r"(to_seg)
                     : "memory");
}

/* Upwards, four bytes at a time; both ranges lie whole in their segments. */
static inline void far_copy(uint16_t to_seg, uint16_t to, uint16_t from_seg, uint16_t from,
                            uint16_t bytes)
{
    uint32_t d = to, s = from, n = bytes / 4;
    __asm__ volatile("movw %w4, %%es\n\tpushw %%ds\n\tmovw %w3, %%ds\n\trep movsl\n\t"
                     "movw %w5, %%cx\n\trep movsb\n\tpopw %%ds"
                     : "+&D"(d), "+&S"(s), "+&c"(n)
                     : "r"(from_seg), "r"(to_seg), "r"((uint16_t)(bytes & 3))
                     : "memory");
}

static inline void far_fill8(uint16_t seg, uint16_t off, uint8_t value, uint16_t bytes)
{
    uint32_t d = off, n = bytes;
    __asm__ volatile("movw %w2, %%es\n\trep stosb"
                     : "+&D"(d), "+&c"(n)
                     : "r"(seg), "a"(value)
                     : "memory");
}

/* words: up to 8000h, a whole segment */
static inline void far_fill16(uint16_t seg, uint16_t off, uint16_t value, uint16_t words)
{
    uint32_t d = off, n = words / 2;
    __asm__ volatile("movw %w2, %%es\n\trep stosl\n\tmovw %w4, %%cx\n\trep stosw"
                     : "+&D"(d), "+&c"(n)
                     : "r"(seg), "a"(value * 0x10001u), "r"((uint16_t)(words & 1))
                     : "memory");
}

static inline uint16_t stack_segment(void)
{
    uint16_t ss;
    __asm__("movw %%ss, %0" : "=r"(ss));
    return ss;
}

static inline uint16_t rom_segment(void)
{
    uint16_t cs;
    __asm__("movw %%cs, %0" : "=r"(cs));
    return cs;
}

#endif
