/* See ps2.h. IBM PS/2 Hardware Interface Technical Reference, "Keyboard and Auxiliary Device
 * Controller". */
#include "ps2.h"

#include "io.h"
#include "timer.h"

#define TAKE_MS 20u /* for the controller to take a byte */
#define ACK_MS  50u /* for a device to acknowledge one */

static void wait_input(void)
{
    struct timeout t = timeout_ms(TAKE_MS);
    while ((inb(PS2_STATUS) & PS2_INPUT_FULL) && !timed_out(&t))
        ;
}

void ps2_command(uint8_t command)
{
    wait_input();
    outb(PS2_STATUS, command);
}

void ps2_write(uint8_t data)
{
    wait_input();
    outb(PS2_DATA, data);
}

int ps2_read(uint32_t ms)
{
    struct timeout t = timeout_ms(ms);
    while (!(inb(PS2_STATUS) & PS2_OUTPUT_FULL))
        if (timed_out(&t))
            return -1;
    return inb(PS2_DATA);
}

/* What waits to be read goes to whom it is for. */
static void take_byte(uint8_t status)
{
    const uint8_t byte = inb(PS2_DATA);
    if (status & PS2_FROM_AUX)
        pointer_byte(byte);
    else
        keyboard_byte(byte);
}

uint8_t ps2_command_byte(void)
{
    const uint8_t status = inb(PS2_STATUS);
    if (status & PS2_OUTPUT_FULL)
        take_byte(status);
    ps2_command(PS2_READ_COMMAND_BYTE);
    return (uint8_t)ps2_read(TAKE_MS);
}

void ps2_set_command_byte(uint8_t v)
{
    ps2_command(PS2_WRITE_COMMAND_BYTE);
    ps2_write(v);
}

/* The device's acknowledgement. Keys and the other's packets that come meanwhile are not lost. */
static int answer(bool aux)
{
    struct timeout t = timeout_ms(ACK_MS);
    while (!timed_out(&t)) {
        const uint8_t status = inb(PS2_STATUS);
        if (!(status & PS2_OUTPUT_FULL))
            continue;
        const uint8_t byte = inb(PS2_DATA);
        const bool from_aux = status & PS2_FROM_AUX;
        if (from_aux == aux && (byte == PS2_ACK || byte == PS2_RESEND))
            return byte;
        if (!from_aux)
            keyboard_byte(byte);
        else if (!aux) /* a command to it cuts off the packet it was sending */
            pointer_byte(byte);
    }
    return -1;
}

bool ps2_send(bool aux, const uint8_t *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned tries = 3;
        int got;
        do {
            if (aux)
                ps2_command(PS2_WRITE_AUX);
            ps2_write(bytes[i]);
            got = answer(aux);
        } while (got == PS2_RESEND && --tries);
        if (got != PS2_ACK)
            return false;
    }
    return true;
}
