/*
 * INT 17h: printers, polled; INT 05h: print screen. IBM PS/2 and PC BIOS Interface Technical
 * Reference, "Interrupt 17H Printer", "Interrupt 05H Print Screen".
 */
#include "bda.h"
#include "io.h"
#include "post16.h"
#include "timer.h"
#include "vectors.h"

#define PORTS      3
#define TIMEOUT_MS 1000u /* one unit of the BDA's time-outs */
#define RESET_US   50u

enum { DATA = 0, STATUS = 1, CONTROL = 2 };
enum {
    CONTROL_STROBE = 0x01,
    CONTROL_INIT = 0x04, /* low is the signal */
    CONTROL_SELECT = 0x08,
    STATUS_READY = 0x80, /* the port's bit is BUSY, low */
    STATUS_FLIPPED = 0x48,
    STATUS_BITS = 0xf8,
    STATUS_TIMEOUT = 0x01,
};

static void status(struct bregs *r, uint16_t port)
{
    r->ah = (inb(port + STATUS) & STATUS_BITS) ^ STATUS_FLIPPED;
}

static void print_byte(struct bregs *r, uint16_t port, unsigned n)
{
    struct timeout t = timeout_ms(BDA->lpt_timeout[n] * TIMEOUT_MS);
    outb(port + DATA, r->al);
    while (!(inb(port + STATUS) & STATUS_READY))
        if (timed_out(&t)) {
            status(r, port);
            r->ah |= STATUS_TIMEOUT;
            return;
        }
    const uint8_t control = inb(port + CONTROL);
    outb(port + CONTROL, control | CONTROL_STROBE);
    outb(port + CONTROL, (uint8_t)(control & ~CONTROL_STROBE));
    status(r, port);
}

void handle_17(struct bregs *r)
{
    const unsigned n = r->dx;
    const uint16_t port = n < PORTS ? BDA->lpt_port[n] : 0;
    if (!port)
        return;
    switch (r->ah) {
    case 0x00:
        print_byte(r, port, n);
        break;
    case 0x01:
        outb(port + CONTROL, CONTROL_SELECT);
        delay_us(RESET_US);
        outb(port + CONTROL, CONTROL_SELECT | CONTROL_INIT);
        status(r, port);
        break;
    case 0x02:
        status(r, port);
        break;
    }
}

/* ---- print screen ---- */

enum { SCREEN_DONE = 0x00, SCREEN_BUSY = 0x01, SCREEN_ERROR = 0xff };

static struct bregs video(uint16_t ax, uint16_t dx)
{
    struct bregs r = {.ax = ax, .bh = BDA->video_page, .dx = dx};
    call_int(0x10, &r);
    return r;
}

static bool print_on_paper(uint8_t c)
{
    struct bregs r = {.al = c};
    call_int(0x17, &r);
    return !(r.ah & 0x29); /* time-out, error, no paper */
}

static bool print_rows(uint8_t rows, uint8_t columns)
{
    if (!print_on_paper('\r') || !print_on_paper('\n'))
        return false;
    for (uint8_t row = 0; row < rows; row++) {
        for (uint8_t column = 0; column < columns; column++) {
            video(0x0200, (uint16_t)(row << 8 | column));
            const uint8_t c = video(0x0800, 0).al;
            if (!print_on_paper(c ? c : ' '))
                return false;
        }
        if (!print_on_paper('\r') || !print_on_paper('\n'))
            return false;
    }
    return true;
}

void handle_05(struct bregs *r)
{
    (void)r;
    if (BDA->print_screen == SCREEN_BUSY)
        return;
    if (!BDA->lpt_port[0]) {
        BDA->print_screen = SCREEN_ERROR;
        return;
    }
    BDA->print_screen = SCREEN_BUSY;
    irq_enable();
    const uint16_t cursor = video(0x0300, 0).dx;
    const bool ok = print_rows((uint8_t)(BDA->video_rows + 1), (uint8_t)BDA->video_columns);
    video(0x0200, cursor);
    BDA->print_screen = ok ? SCREEN_DONE : SCREEN_ERROR;
}
