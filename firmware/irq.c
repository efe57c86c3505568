/* Interrupts that no driver of ours takes, and those the AT's design turned into others. */
#include "bda.h"
#include "io.h"
#include "post16.h"
#include "print.h"
#include "vectors.h"

#define OCW3_READ_ISR 0x0B

/* Non-maskable: an error that no software of the board's could mend. */
void handle_02(struct bregs *r)
{
    print("NMI at %04x:%04x\n", r->cs, r->ip);
}

/*
 * IRQ 9 is where the bus line IRQ 2 went when the second 8259 took its place: software that took
 * INT 0Ah for it is still served.
 */
void handle_71(struct bregs *r)
{
    (void)r;
    outb(PIC_SLAVE, PIC_EOI);
    struct bregs regs = {0};
    call_int(0x0a, &regs);
}

/* IRQ 13, the coprocessor's errors, were NMI's on the PC. */
void handle_75(struct bregs *r)
{
    (void)r;
    outb(0xf0, 0); /* clears the busy latch */
    pic_eoi(13);
    struct bregs regs = {0};
    call_int(0x02, &regs);
}

/* An interrupt nobody expects is masked, so that it does not come again (PS/2 BIOS: 0040:006B). */
static void unexpected(uint16_t pic)
{
    outb(pic, OCW3_READ_ISR);
    const uint8_t in_service = inb(pic);
    if (in_service) {
        BDA->last_irq = in_service;
        outb(pic + 1, inb(pic + 1) | (in_service & ~BIT(2)));
        outb(pic, PIC_EOI);
    } else {
        BDA->last_irq = 0xff; /* software called it, or it was spurious */
    }
    if (pic == PIC_SLAVE)
        outb(PIC_MASTER, PIC_EOI);
}

void handle_irq_low(struct bregs *r)
{
    (void)r;
    unexpected(PIC_MASTER);
}

void handle_irq_high(struct bregs *r)
{
    (void)r;
    unexpected(PIC_SLAVE);
}
