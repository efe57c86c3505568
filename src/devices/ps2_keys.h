/* Names and scan codes of the keys: one table, ps2_keys.def. */
#ifndef VITRINE_DEVICES_PS2_KEYS_H
#define VITRINE_DEVICES_PS2_KEYS_H

#include "core/types.h"

enum ps2_key {
#define KEY(name, set1, set2, set3) PS2_KEY_##name,
#include "devices/ps2_keys.def"
#undef KEY
    PS2_KEYS,
};

struct ps2_codes {
    uint16_t set[3]; /* sets 1, 2, 3: E0xxh means two bytes, 0 none */
};

/* QEMU's name ("a", "ret", "shift"); -1 if there is no such key. */
int ps2_key_from_name(const char *name);
/* By QEMU's number: the code in set 1, with bit 7 for E0xxh; -1 if there is no such key. */
int ps2_key_from_number(unsigned number);
const char *ps2_key_name(enum ps2_key key);

const struct ps2_codes *ps2_key_codes(enum ps2_key key);

#endif
