/* What a key gives by its scan code (set 1) and the shift keys: keymap.c. */
#ifndef FIRMWARE_KEYMAP_H
#define FIRMWARE_KEYMAP_H

#include "mode.h"

enum { KEY_NONE = 0xffff };

struct key_state {
    bool shift, ctrl, alt, caps, num;
};

/* Scan code and character as the keyboard's buffer holds them, or KEY_NONE. e0: the code had that
 * prefix. */
uint16_t key_code(uint8_t scan, bool e0, const struct key_state *s);

#endif
