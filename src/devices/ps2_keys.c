/* See ps2_keys.h. */
#include "devices/ps2_keys.h"

static const char *const names[PS2_KEYS] = {
#define KEY(name, set1, set2, set3) #name,
#include "devices/ps2_keys.def"
#undef KEY
};

static const struct ps2_codes codes[PS2_KEYS] = {
#define KEY(name, set1, set2, set3) {{set1, set2, set3}},
#include "devices/ps2_keys.def"
#undef KEY
};

int ps2_key_from_name(const char *name)
{
    for (int key = 0; key < PS2_KEYS; key++)
        if (!strcmp(names[key], name))
            return key;
    return -1;
}

int ps2_key_from_number(unsigned number)
{
    const unsigned code = number & 0x80 ? 0xe000 | (number & 0x7f) : number;
    for (int key = 0; key < PS2_KEYS && number && number < 0x100; key++)
        if (codes[key].set[0] == code)
            return key;
    return -1;
}

const char *ps2_key_name(enum ps2_key key)
{
    assert((unsigned)key < PS2_KEYS);
    return names[key];
}

const struct ps2_codes *ps2_key_codes(enum ps2_key key)
{
    assert((unsigned)key < PS2_KEYS);
    return &codes[key];
}
