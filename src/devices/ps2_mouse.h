/* A PS/2 mouse that becomes an IntelliMouse (wheel) or Explorer (wheel, five buttons) when asked.
 */
#ifndef VITRINE_DEVICES_PS2_MOUSE_H
#define VITRINE_DEVICES_PS2_MOUSE_H

#include "core/device.h"
#include "devices/ps2.h"

struct ps2_mouse;

enum ps2_button {
    PS2_BUTTON_LEFT = BIT(0),
    PS2_BUTTON_RIGHT = BIT(1),
    PS2_BUTTON_MIDDLE = BIT(2),
    PS2_BUTTON_SIDE = BIT(3),
    PS2_BUTTON_EXTRA = BIT(4),
};

struct ps2_mouse *ps2_mouse_create(struct log *log);
struct device *ps2_mouse_device(struct ps2_mouse *mouse);
struct ps2_port *ps2_mouse_port(struct ps2_mouse *mouse); /* for i8042_create */

/* dx to the right, dy down, dz wheel towards the user; buttons: all that are down now. */
void ps2_mouse_move(struct ps2_mouse *mouse, int dx, int dy, int dz, unsigned buttons);

#endif
