/*
 * The US keyboard with 101 and 102 keys. IBM PS/2 and PC BIOS Interface Technical Reference,
 * "Interrupt 16H", tables of the keystrokes for functions 00h and 10h. A character F0h marks what
 * only the functions for enhanced keyboards give (as 00h), E0h the grey twins of the keypad's keys.
 */
#include "keymap.h"

#define SCAN_ESC        0x01
#define SCAN_MINUS      0x0c
#define SCAN_BACKSPACE  0x0e
#define SCAN_TAB        0x0f
#define SCAN_ENTER      0x1c
#define SCAN_LAST_TYPED 0x35
#define SCAN_SLASH      0x35
#define SCAN_STAR       0x37
#define SCAN_SPACE      0x39
#define SCAN_F1         0x3b
#define SCAN_F10        0x44
#define SCAN_HOME       0x47
#define SCAN_DELETE     0x53
#define SCAN_PAD_MINUS  0x4a
#define SCAN_PAD_PLUS   0x4e
#define SCAN_102ND      0x56
#define SCAN_F11        0x57
#define SCAN_F12        0x58
#define ENHANCED        0xf0
#define GREY            0xe0

/* Scan codes 00h to 35h. */
static const char plain[] = "\0\x1b"
                            "1234567890-=\b\t"
                            "qwertyuiop[]\r\0"
                            "asdfghjkl;'`\0\\"
                            "zxcvbnm,./";
static const char shifted[] = "\0\x1b"
                              "!@#$%^&*()_+\b\0"
                              "QWERTYUIOP{}\r\0"
                              "ASDFGHJKL:\"~\0|"
                              "ZXCVBNM<>?";
_Static_assert(sizeof plain - 1 == SCAN_LAST_TYPED + 1, "scan codes");
_Static_assert(sizeof shifted == sizeof plain, "scan codes");

static uint16_t code(unsigned scan, uint8_t character)
{
    return (uint16_t)(scan << 8 | character);
}

static bool is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

static uint16_t typed_with_alt(uint8_t scan)
{
    const char c = plain[scan];
    if (scan >= 0x02 && scan <= 0x0d) /* the row of digits */
        return code(scan + 0x76u, 0);
    if (scan == SCAN_TAB)
        return 0xa500;
    return code(scan, is_letter(c) ? 0 : ENHANCED);
}

static uint16_t typed_with_ctrl(uint8_t scan)
{
    const char c = plain[scan];
    if (is_letter(c) || c == '[' || c == ']' || c == '\\')
        return code(scan, c & 0x1f);
    switch (scan) {
    case SCAN_ESC:
        return code(scan, 0x1b);
    case 0x03: /* 2, @ */
        return code(scan, 0);
    case 0x07: /* 6, ^ */
        return code(scan, 0x1e);
    case SCAN_MINUS:
        return code(scan, 0x1f);
    case SCAN_BACKSPACE:
        return code(scan, 0x7f);
    case SCAN_TAB:
        return 0x9400;
    case SCAN_ENTER:
        return code(scan, '\n');
    default:
        return KEY_NONE;
    }
}

static uint16_t typed(uint8_t scan, const struct key_state *s)
{
    if (!plain[scan])
        return KEY_NONE;
    if (s->alt)
        return typed_with_alt(scan);
    if (s->ctrl)
        return typed_with_ctrl(scan);
    const bool upper = is_letter(plain[scan]) ? s->shift != s->caps : s->shift;
    return code(scan, (uint8_t)(upper ? shifted[scan] : plain[scan]));
}

static uint16_t function_key(uint8_t scan, const struct key_state *s)
{
    const unsigned i = s->alt ? 3 : s->ctrl ? 2 : s->shift ? 1 : 0;
    if (scan >= SCAN_F11)
        return code(0x85 + 2 * i + (scan - SCAN_F11), 0);
    static const uint8_t f1[] = {0x3b, 0x54, 0x5e, 0x68};
    return code((unsigned)f1[i] + scan - SCAN_F1, 0);
}

static uint16_t keypad(uint8_t scan, bool grey, const struct key_state *s)
{
    static const char digits[] = "789-456+1230.";
    static const uint8_t with_ctrl[] = {0x77, 0x8d, 0x84, 0x8e, 0x73, 0x8f, 0x74,
                                        0x90, 0x75, 0x91, 0x76, 0x92, 0x93};
    const unsigned i = (unsigned)scan - SCAN_HOME;
    const bool sign = scan == SCAN_PAD_MINUS || scan == SCAN_PAD_PLUS;
    if (s->alt) {
        if (grey)
            return code(scan + 0x50u, 0);
        return sign ? code(scan, ENHANCED) : KEY_NONE; /* digits make a character of their own */
    }
    if (s->ctrl)
        return code(with_ctrl[i], grey ? GREY : 0);
    if (grey)
        return code(scan, GREY);
    if (sign || s->num != s->shift)
        return code(scan, (uint8_t)digits[i]);
    return code(scan, scan == 0x4c ? ENHANCED : 0);
}

uint16_t key_code(uint8_t scan, bool e0, const struct key_state *s)
{
    if (scan >= SCAN_HOME && scan <= SCAN_DELETE)
        return e0 && (scan == SCAN_PAD_MINUS || scan == 0x4c || scan == SCAN_PAD_PLUS)
                   ? KEY_NONE
                   : keypad(scan, e0, s);
    if (e0 && scan == SCAN_ENTER)
        return s->alt ? 0xa600 : code(GREY, s->ctrl ? '\n' : '\r');
    if (e0 && scan == SCAN_SLASH)
        return s->alt ? 0xa400 : s->ctrl ? 0x9500 : code(GREY, '/');
    if (e0)
        return KEY_NONE;
    if ((scan >= SCAN_F1 && scan <= SCAN_F10) || scan == SCAN_F11 || scan == SCAN_F12)
        return function_key(scan, s);
    if (scan == SCAN_SPACE)
        return code(scan, ' ');
    if (scan == SCAN_STAR)
        return s->alt ? code(scan, ENHANCED) : s->ctrl ? 0x9600 : code(scan, '*');
    if (scan == SCAN_102ND)
        return s->alt || s->ctrl ? KEY_NONE : code(scan, s->shift ? '|' : '\\');
    return scan <= SCAN_LAST_TYPED ? typed(scan, s) : KEY_NONE;
}
