/*
 * INT 14h: serial ports, polled. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 14H
 * Asynchronous Communications"; 04h and 05h are the PS/2's. Registers: 16550D "Registers".
 */
#include "bda.h"
#include "io.h"
#include "timer.h"
#include "vectors.h"

#define PORTS        4
#define BAUD_DIVISOR 115200u /* of the rate */
#define TIMEOUT_MS   1000u   /* one unit of the BDA's time-outs */

enum { THR = 0, RBR = 0, DLL = 0, DLM = 1, IER = 1, LCR = 3, MCR = 4, LSR = 5, MSR = 6 };
enum {
    LCR_DLAB = 0x80,
    LCR_BREAK = 0x40,
    MCR_DTR = 0x01,
    MCR_RTS = 0x02,
    LSR_DR = 0x01,
    LSR_ERRORS = 0x1e,
    LSR_THRE = 0x20,
    MSR_CTS = 0x10,
    MSR_DSR = 0x20,
    STATUS_TIMEOUT = 0x80, /* where LSR has the FIFO's error bit */
};

static const uint16_t rates[] = {110, 150, 300, 600, 1200, 2400, 4800, 9600, 19200};

static void set_up(uint16_t port, unsigned rate, uint8_t lcr)
{
    const uint16_t divisor = (uint16_t)(BAUD_DIVISOR / rates[rate]);
    outb(port + LCR, lcr | LCR_DLAB);
    outb(port + DLL, (uint8_t)divisor);
    outb(port + DLM, (uint8_t)(divisor >> 8));
    outb(port + LCR, lcr);
    outb(port + IER, 0);
}

static void status(struct bregs *r, uint16_t port)
{
    r->ah = inb(port + LSR);
    r->al = inb(port + MSR);
}

/* Waits until all of these bits of a register are set. */
static bool wait_for(uint16_t port, uint8_t bits, unsigned n)
{
    struct timeout t = timeout_ms(BDA->com_timeout[n] * TIMEOUT_MS);
    while ((inb(port) & bits) != bits)
        if (timed_out(&t))
            return false;
    return true;
}

/* The modem's lines that the program has set besides stay (OUT2, which lets interrupts out;
 * loopback). */
static void raise(uint16_t port, uint8_t lines)
{
    outb(port + MCR, inb(port + MCR) | lines);
}

static void send(struct bregs *r, uint16_t port, unsigned n)
{
    raise(port, MCR_DTR | MCR_RTS);
    const bool ready =
        wait_for(port + MSR, MSR_DSR | MSR_CTS, n) && wait_for(port + LSR, LSR_THRE, n);
    r->ah = (uint8_t)(inb(port + LSR) & ~STATUS_TIMEOUT); /* as it was before the character */
    if (ready)
        outb(port + THR, r->al);
    else
        r->ah |= STATUS_TIMEOUT;
}

static void receive(struct bregs *r, uint16_t port, unsigned n)
{
    raise(port, MCR_DTR);
    if (!wait_for(port + MSR, MSR_DSR, n) || !wait_for(port + LSR, LSR_DR, n)) {
        r->ah = inb(port + LSR) | STATUS_TIMEOUT;
        return;
    }
    r->ah = inb(port + LSR) & LSR_ERRORS;
    r->al = inb(port + RBR);
}

/* AH=04h: AL break, BH parity, BL stop bits, CH length, CL rate. */
static void extended_set_up(struct bregs *r, uint16_t port)
{
    static const uint8_t parity[] = {0x00, 0x08, 0x18, 0x28, 0x38};
    if (r->bh < ARRAY_SIZE(parity) && r->bl <= 1 && r->ch <= 3 && r->cl < ARRAY_SIZE(rates))
        set_up(port, r->cl,
               (uint8_t)(r->ch | r->bl << 2 | parity[r->bh] | (r->al ? LCR_BREAK : 0)));
    status(r, port);
}

static void modem_control(struct bregs *r, uint16_t port)
{
    if (r->al == 0) {
        r->bl = inb(port + MCR);
    } else if (r->al == 1) {
        outb(port + MCR, r->bl);
        status(r, port);
    }
}

void handle_14(struct bregs *r)
{
    const unsigned n = r->dx;
    const uint16_t port = n < PORTS ? BDA->com_port[n] : 0;
    if (!port)
        return;
    switch (r->ah) {
    case 0x00:
        /* AL: rate in 7:5, parity in 4:3, stop bits in 2, length in 1:0, as in LCR */
        set_up(port, r->al >> 5, r->al & 0x1f);
        status(r, port);
        break;
    case 0x01:
        send(r, port, n);
        break;
    case 0x02:
        receive(r, port, n);
        break;
    case 0x03:
        status(r, port);
        break;
    case 0x04:
        extended_set_up(r, port);
        break;
    case 0x05:
        modem_control(r, port);
        break;
    }
}
