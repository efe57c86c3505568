/* Keys by their place on the keyboard, as USB numbers them, to the names that sendkey knows. */
#ifndef VITRINE_HOST_HID_KEYS_H
#define VITRINE_HOST_HID_KEYS_H

#include "core/types.h"

/* usage: of the keyboard page, 07h. NULL: a PC's keyboard has no such key. */
const char *hid_key_name(unsigned usage);

#endif
