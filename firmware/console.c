/* Messages on the screen, and on COM1 when the screen has no one to look at it. */
#include "print.h"

#include "io.h"
#include "post16.h"

#define COM1         0x3F8
#define LSR          5
#define LSR_THRE     0x20
#define SERIAL_SPINS 100000 /* a port that never gets ready must not stop the boot */

uint8_t serial_console;

static void put_serial(char c)
{
    for (uint32_t n = 0; n < SERIAL_SPINS; n++)
        if (inb(COM1 + LSR) & LSR_THRE)
            break;
    outb(COM1, (uint8_t)c);
}

static void teletype(char c)
{
    struct bregs r = {.ax = 0x0e00 | (uint8_t)c, .bx = 0x0007};
    call_int(0x10, &r);
    if (serial_console)
        put_serial(c);
}

void put_char(char c)
{
    if (c == '\n')
        teletype('\r');
    teletype(c);
}

uint32_t put_char_service(uint32_t c)
{
    put_char((char)c);
    return 0;
}
