/*
 * Serial and parallel ports: which of the usual addresses answer, for the BIOS data area (0040:0000
 * to 0040:000F) and bits 11:9 and 15:14 of the equipment word.
 */
#include "bda.h"
#include "io.h"
#include "post.h"

#define UART_SCRATCH   7
#define UART_IER       1
#define UART_LCR       3
#define UART_DIVISOR   12 /* 9600 baud */
#define LCR_DLAB       0x80
#define LCR_8N1        0x03

#define LPT_CONTROL    2

#define TIMEOUT_SERIAL 1 /* the data area's units are about a second */
#define TIMEOUT_LPT    20

/* Two values must stay in the scratch register; then 9600 baud, no interrupts. */
static bool serial_there(uint16_t port)
{
    outb(port + UART_SCRATCH, 0x55);
    if (inb(port + UART_SCRATCH) != 0x55)
        return false;
    outb(port + UART_SCRATCH, 0xaa);
    if (inb(port + UART_SCRATCH) != 0xaa)
        return false;
    outb(port + UART_LCR, LCR_DLAB | LCR_8N1);
    outb(port, UART_DIVISOR);
    outb(port + 1, 0);
    outb(port + UART_LCR, LCR_8N1);
    outb(port + UART_IER, 0);
    return true;
}

/* What is written to the data lines can be read back. */
static bool parallel_there(uint16_t port)
{
    outb(port + LPT_CONTROL, 0x0c); /* no interrupt, data lines driven, printer not reset */
    outb(port, 0x55);
    if (inb(port) != 0x55)
        return false;
    outb(port, 0xaa);
    return inb(port) == 0xaa;
}

void ports_init(void)
{
    static const uint16_t com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8}, lpt[] = {0x378, 0x278, 0x3bc};
    unsigned coms = 0, lpts = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(com); i++)
        if (serial_there(com[i])) {
            BDA->com_timeout[coms] = TIMEOUT_SERIAL;
            BDA->com_port[coms++] = com[i];
        }
    for (unsigned i = 0; i < ARRAY_SIZE(lpt); i++)
        if (parallel_there(lpt[i])) {
            BDA->lpt_timeout[lpts] = TIMEOUT_LPT;
            BDA->lpt_port[lpts++] = lpt[i];
        }
    BDA->equipment = (uint16_t)((BDA->equipment & ~0xCE00) | coms << 9 | lpts << 14);
}
