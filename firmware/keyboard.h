/* The keyboard's states in the BDA, and what INT 16h wants of INT 09h. */
#ifndef FIRMWARE_KEYBOARD_H
#define FIRMWARE_KEYBOARD_H

#include "mode.h"

enum {
    FLAGS_RSHIFT = 0x01, /* BDA->kbd_flags[0] */
    FLAGS_LSHIFT = 0x02,
    FLAGS_CTRL = 0x04,
    FLAGS_ALT = 0x08,
    FLAGS_SCROLL = 0x10, /* from here on also in kbd_flags[1]: held down */
    FLAGS_NUM = 0x20,
    FLAGS_CAPS = 0x40,
    FLAGS_INS = 0x80,

    FLAGS1_LCTRL = 0x01, /* BDA->kbd_flags[1] */
    FLAGS1_LALT = 0x02,
    FLAGS1_SYSREQ = 0x04,
    FLAGS1_PAUSE = 0x08,

    TYPE_E1 = 0x01, /* BDA->kbd_type: the last code was this prefix */
    TYPE_E0 = 0x02,
    TYPE_RCTRL = 0x04,
    TYPE_RALT = 0x08,
    TYPE_ENHANCED = 0x10,

    LEDS_BUSY = 0x40, /* BDA->kbd_leds */
};

/* Puts a key into the buffer; false: it is full. */
bool keyboard_put(uint16_t key);

/* The lights as the locks are, where a program has changed those. */
void keyboard_lights(void);

#endif
