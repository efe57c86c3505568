/*
 * The 8042 between the CPU, the keyboard and the pointing device, polled, with interrupts off: for
 * commands. Bytes that come by themselves are the interrupt handlers' (keyboard.c, pointer.c).
 */
#ifndef FIRMWARE_PS2_H
#define FIRMWARE_PS2_H

#include "mode.h"

enum {
    PS2_DATA = 0x60,
    PS2_STATUS = 0x64, /* and command */

    PS2_OUTPUT_FULL = 0x01, /* status: a byte can be read */
    PS2_INPUT_FULL = 0x02,  /* a byte written is not yet taken */
    PS2_FROM_AUX = 0x20,    /* what can be read is the pointing device's */

    PS2_READ_COMMAND_BYTE = 0x20, /* commands of the controller */
    PS2_WRITE_COMMAND_BYTE = 0x60,
    PS2_AUX_DISABLE = 0xa7,
    PS2_AUX_ENABLE = 0xa8,
    PS2_AUX_TEST = 0xa9,
    PS2_SELF_TEST = 0xaa,
    PS2_KEYBOARD_DISABLE = 0xad,
    PS2_KEYBOARD_ENABLE = 0xae,
    PS2_WRITE_AUX = 0xd4,
    PS2_RESET_CPU = 0xfe,

    PS2_KEYBOARD_INT = 0x01, /* command byte */
    PS2_AUX_INT = 0x02,
    PS2_SYSTEM = 0x04,
    PS2_KEYBOARD_OFF = 0x10,
    PS2_AUX_OFF = 0x20,
    PS2_TRANSLATE = 0x40,

    PS2_ACK = 0xfa, /* a device's answers */
    PS2_RESEND = 0xfe,
    PS2_TEST_PASSED = 0xaa,
};

void ps2_command(uint8_t command);
void ps2_write(uint8_t data);
/* The next byte within that time, or -1. */
int ps2_read(uint32_t ms);
uint8_t ps2_command_byte(void);
void ps2_set_command_byte(uint8_t v);

/*
 * A command to a device and its argument bytes: true when each was acknowledged. aux: the pointing
 * device; otherwise the keyboard, whose own bytes that come in between go to keyboard_byte().
 */
bool ps2_send(bool aux, const uint8_t *bytes, unsigned n);

void keyboard_byte(uint8_t code); /* keyboard.c */
void pointer_byte(uint8_t byte);  /* pointer.c */

#endif
