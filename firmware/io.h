/* Ports, and the few instructions C has no word for; both modes. */
#ifndef FIRMWARE_IO_H
#define FIRMWARE_IO_H

#include <stdint.h>

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t v;
    __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void irq_disable(void)
{
    __asm__ volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
    __asm__ volatile("sti" : : : "memory");
}

static inline uint32_t bswap32(uint32_t v)
{
    return __builtin_bswap32(v);
}

/* ---- CMOS RAM; bit 7 of the index keeps NMI off, as it was at reset ---- */

static inline uint8_t cmos_read(uint8_t index)
{
    outb(0x70, index | 0x80);
    return inb(0x71);
}

static inline void cmos_write(uint8_t index, uint8_t v)
{
    outb(0x70, index | 0x80);
    outb(0x71, v);
}

/* ---- 8259 pair ---- */

#define PIC_MASTER 0x20 /* command; the mask register is one above */
#define PIC_SLAVE  0xA0
#define PIC_EOI    0x20 /* OCW2, non-specific */

static inline void pic_eoi(unsigned irq)
{
    if (irq >= 8)
        outb(PIC_SLAVE, PIC_EOI);
    outb(PIC_MASTER, PIC_EOI);
}

static inline void pic_unmask(unsigned irq)
{
    const uint16_t port = irq < 8 ? PIC_MASTER + 1 : PIC_SLAVE + 1;
    outb(port, (uint8_t)(inb(port) & ~(1u << (irq & 7))));
}

static inline void pic_mask(unsigned irq)
{
    const uint16_t port = irq < 8 ? PIC_MASTER + 1 : PIC_SLAVE + 1;
    outb(port, (uint8_t)(inb(port) | 1u << (irq & 7)));
}

#endif
