/* Every key of a PC's keyboard can be pressed in a window, and every name is one that exists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "devices/ps2_keys.h"
#include "host/hid_keys.h"

static void test_names_exist(void **state)
{
    (void)state;
    for (unsigned usage = 0; usage < 300; usage++) {
        const char *name = hid_key_name(usage);
        if (name && ps2_key_from_name(name) < 0)
            fail_msg("usage %02x: no key is called %s", usage, name);
    }
    assert_null(hid_key_name(0));
    assert_null(hid_key_name(256));
    assert_null(hid_key_name(UINT32_MAX));
}

static bool reachable(const char *key)
{
    for (unsigned usage = 0; usage < 256; usage++) {
        const char *name = hid_key_name(usage);
        if (name && !strcmp(name, key))
            return true;
    }
    return false;
}

/* The 104 keys of an American keyboard and the 105th of a European one. */
static const char *const standard[] = {
    "esc",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "f6",
    "f7",
    "f8",
    "f9",
    "f10",
    "f11",
    "f12",
    "print",
    "scroll_lock",
    "pause",
    "grave_accent",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "0",
    "minus",
    "equal",
    "backspace",
    "tab",
    "q",
    "w",
    "e",
    "r",
    "t",
    "y",
    "u",
    "i",
    "o",
    "p",
    "bracket_left",
    "bracket_right",
    "backslash",
    "caps_lock",
    "a",
    "s",
    "d",
    "f",
    "g",
    "h",
    "j",
    "k",
    "l",
    "semicolon",
    "apostrophe",
    "ret",
    "shift",
    "z",
    "x",
    "c",
    "v",
    "b",
    "n",
    "m",
    "comma",
    "dot",
    "slash",
    "shift_r",
    "ctrl",
    "meta_l",
    "alt",
    "spc",
    "alt_r",
    "meta_r",
    "compose",
    "ctrl_r",
    "insert",
    "home",
    "pgup",
    "delete",
    "end",
    "pgdn",
    "up",
    "left",
    "down",
    "right",
    "num_lock",
    "kp_divide",
    "kp_multiply",
    "kp_subtract",
    "kp_7",
    "kp_8",
    "kp_9",
    "kp_add",
    "kp_4",
    "kp_5",
    "kp_6",
    "kp_1",
    "kp_2",
    "kp_3",
    "kp_enter",
    "kp_0",
    "kp_decimal",
    "less",
};

static void test_all_105(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_SIZE(standard), 105);
    for (unsigned i = 0; i < ARRAY_SIZE(standard); i++) {
        if (!reachable(standard[i]))
            fail_msg("%s cannot be pressed", standard[i]);
    }
}

/* Some of the numbers themselves, from the table of the specification. */
static void test_numbers(void **state)
{
    static const struct {
        unsigned usage;
        const char *name;
    } rows[] = {
        {0x04, "a"},        {0x1d, "z"},         {0x1e, "1"},          {0x27, "0"},
        {0x28, "ret"},      {0x31, "backslash"}, {0x39, "caps_lock"},  {0x45, "f12"},
        {0x46, "print"},    {0x48, "pause"},     {0x4f, "right"},      {0x52, "up"},
        {0x53, "num_lock"}, {0x58, "kp_enter"},  {0x63, "kp_decimal"}, {0x64, "less"},
        {0x65, "compose"},  {0x73, "f24"},       {0x87, "ro"},         {0xe0, "ctrl"},
        {0xe2, "alt"},      {0xe4, "ctrl_r"},    {0xe7, "meta_r"},
    };
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        assert_string_equal(hid_key_name(rows[i].usage), rows[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_exist),
        cmocka_unit_test(test_all_105),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
