/* An enhanced (101/102-key, MF2) PS/2 keyboard. */
#ifndef VITRINE_DEVICES_PS2_KBD_H
#define VITRINE_DEVICES_PS2_KBD_H

#include "core/device.h"
#include "devices/ps2.h"
#include "devices/ps2_keys.h"

struct ps2_kbd;

struct ps2_kbd *ps2_kbd_create(struct log *log);
struct device *ps2_kbd_device(struct ps2_kbd *kbd);
struct ps2_port *ps2_kbd_port(struct ps2_kbd *kbd); /* for i8042_create */

/* A key went down or up (enum ps2_key). Down again while it is down is a typematic repeat. */
void ps2_kbd_key(struct ps2_kbd *kbd, unsigned keycode, bool down);

/* What the guest shows: bit 0 scroll lock, 1 num lock, 2 caps lock. */
uint8_t ps2_kbd_leds(const struct ps2_kbd *kbd);

#endif
