/* Interrupt controllers and timers in the state that PC software expects to find. */
#include "io.h"
#include "mode.h"
#include "post.h"

/*
 * 8259A "Initialization Command Words": vectors 08h and 70h, the second on line 2 of the first. All
 * masked but the cascade and the timer; who uses a line unmasks it.
 */
void pic_init(void)
{
    outb(PIC_MASTER, 0x11);     /* ICW1: edge-triggered, cascaded, ICW4 follows */
    outb(PIC_MASTER + 1, 0x08); /* ICW2 */
    outb(PIC_MASTER + 1, 0x04); /* ICW3 */
    outb(PIC_MASTER + 1, 0x01); /* ICW4: 8086 mode */
    outb(PIC_SLAVE, 0x11);
    outb(PIC_SLAVE + 1, 0x70);
    outb(PIC_SLAVE + 1, 0x02);
    outb(PIC_SLAVE + 1, 0x01);
    outb(PIC_MASTER + 1, 0xff & ~(BIT(0) | BIT(2)));
    outb(PIC_SLAVE + 1, 0xff);
}

/* 82C54: counter 0 ticks 18.2 times a second, 1 did the refresh on the AT, 2 is the speaker's. */
void pit_init(void)
{
    outb(0x43, 0x34 | 0x02); /* counter 0, both bytes, mode 3 */
    outb(0x40, 0);
    outb(0x40, 0);
    outb(0x43, 0x54); /* counter 1, low byte, mode 2 */
    outb(0x41, 18);
    outb(0x43, 0xb6); /* counter 2, both bytes, mode 3 */
    outb(0x42, 0x33); /* about 900 Hz */
    outb(0x42, 0x05);
}
