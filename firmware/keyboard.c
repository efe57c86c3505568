/*
 * INT 09h, IRQ 1: from scan codes (set 1, as the 8042 translates) to the keyboard's buffer in the
 * BDA, the shift states beside it and the keys that do something at once. IBM PS/2 and PC BIOS
 * Interface Technical Reference, "Interrupt 09H"; BDA 0040:0017h to 0019h, 0096h, 0097h in its
 * section "ROM BIOS Data Area".
 */
#include "keyboard.h"

#include "bda.h"
#include "io.h"
#include "keymap.h"
#include "post16.h"
#include "ps2.h"
#include "timer.h"
#include "vectors.h"

#define SCAN_RELEASED 0x80
#define SCAN_CTRL     0x1d
#define SCAN_LSHIFT   0x2a
#define SCAN_RSHIFT   0x36
#define SCAN_PRINT    0x37 /* with E0h */
#define SCAN_ALT      0x38
#define SCAN_CAPS     0x3a
#define SCAN_NUM      0x45
#define SCAN_SCROLL   0x46 /* with E0h: Break */
#define SCAN_HOME     0x47
#define SCAN_INS      0x52
#define SCAN_DEL      0x53
#define SCAN_SYSREQ   0x54
#define SCAN_E0       0xe0
#define SCAN_E1       0xe1
#define SCAN_OVERRUN  0xff

#define SET_LEDS      0xed /* of the keyboard's commands */

#define WARM_BOOT     0x1234
#define BEEP_US       30000u

/* BDA->kbd_leds is the lights as they were set last, in 2:0. */
static uint8_t wanted_leds(void)
{
    return BDA->kbd_flags[0] >> 4 & 7;
}

static void set_leds(void)
{
    const uint8_t leds = wanted_leds();
    if ((BDA->kbd_leds & 7) == leds || (BDA->kbd_leds & LEDS_BUSY))
        return;
    BDA->kbd_leds |= LEDS_BUSY;
    const uint8_t bytes[] = {SET_LEDS, leds};
    ps2_send(false, bytes, sizeof bytes);
    BDA->kbd_leds = leds;
}

void keyboard_lights(void)
{
    set_leds();
}

/*
 * An IRQ 1 whose EOI is yet to come: sent once, since a second one, which names no interrupt, would
 * end whatever the keyboard had interrupted. Not so for bytes that ps2.c found while it waited.
 */
static bool in_service;

static void end_irq(void)
{
    if (in_service)
        pic_eoi(1);
    in_service = false;
}

/* ---- the buffer ---- */

bool keyboard_put(uint16_t key)
{
    const uint16_t at = BDA->kbd_tail;
    const uint16_t next =
        at + 2 >= BDA->kbd_buffer_end ? BDA->kbd_buffer_start : (uint16_t)(at + 2);
    if (next == BDA->kbd_head)
        return false;
    *LOW(uint16_t, BDA_ADDRESS + at) = key;
    BDA->kbd_tail = next;
    return true;
}

/* The speaker, for a key that finds no room. */
static void beep(void)
{
    const uint8_t gate = inb(0x61);
    outb(0x61, gate | 0x03);
    delay_us(BEEP_US);
    outb(0x61, gate);
}

static void put_key(uint16_t key)
{
    if (!keyboard_put(key)) {
        beep();
        return;
    }
    struct bregs r = {.ax = 0x9102}; /* whoever waits by INT 15h AH=90h */
    call_int(0x15, &r);
}

/* ---- keys with a meaning of their own: true when that is all they have ---- */

/* What a shift key's state looks like, pressed or released. */
static void hold(volatile uint8_t LOW_SPACE *flags, uint8_t bit, bool pressed)
{
    *flags = (uint8_t)(pressed ? *flags | bit : *flags & ~bit);
}

/* Ctrl and Alt are there twice: the left one in kbd_flags[1], the right one in kbd_type. */
static void hold_either(bool right, bool pressed, uint8_t left_bit, uint8_t right_bit, uint8_t bit)
{
    if (right)
        hold(&BDA->kbd_type, right_bit, pressed);
    else
        hold(&BDA->kbd_flags[1], left_bit, pressed);
    hold(&BDA->kbd_flags[0], bit, (BDA->kbd_flags[1] & left_bit) || (BDA->kbd_type & right_bit));
}

/* A character by its number, typed on the keypad while Alt was held. */
static void end_of_alt(void)
{
    const uint8_t character = BDA->kbd_alt_digits;
    BDA->kbd_alt_digits = 0;
    if (character && !(BDA->kbd_flags[0] & FLAGS_ALT))
        put_key(character);
}

static bool shift_key(uint8_t scan, bool e0, bool pressed)
{
    switch (scan) {
    case SCAN_LSHIFT:
        if (!e0) /* with E0h the grey keys' own, which shifts nothing */
            hold(&BDA->kbd_flags[0], FLAGS_LSHIFT, pressed);
        return true;
    case SCAN_RSHIFT:
        if (!e0)
            hold(&BDA->kbd_flags[0], FLAGS_RSHIFT, pressed);
        return true;
    case SCAN_CTRL:
        hold_either(e0, pressed, FLAGS1_LCTRL, TYPE_RCTRL, FLAGS_CTRL);
        return true;
    case SCAN_ALT:
        hold_either(e0, pressed, FLAGS1_LALT, TYPE_RALT, FLAGS_ALT);
        if (!pressed)
            end_of_alt();
        return true;
    }
    return false;
}

/* Changes a state when pressed, not when the keyboard repeats it. */
static void lock_key(uint8_t bit, bool pressed)
{
    if (pressed && !(BDA->kbd_flags[1] & bit))
        BDA->kbd_flags[0] ^= bit;
    hold(&BDA->kbd_flags[1], bit, pressed);
}

static void wait_in_pause(void)
{
    BDA->kbd_flags[1] |= FLAGS1_PAUSE;
    end_irq();
    while (BDA->kbd_flags[1] & FLAGS1_PAUSE)
        wait_irq();
}

static void control_break(void)
{
    BDA->kbd_head = BDA->kbd_tail = BDA->kbd_buffer_start;
    BDA->ctrl_break |= 0x80;
    struct bregs r = {0};
    call_int(0x1b, &r);
    put_key(0);
}

static bool locking_key(uint8_t scan, bool e0, bool pressed)
{
    const uint8_t flags = BDA->kbd_flags[0];
    if (e0)
        return false;
    switch (scan) {
    case SCAN_CAPS:
        lock_key(FLAGS_CAPS, pressed);
        return true;
    case SCAN_NUM:
        if ((flags & FLAGS_CTRL) && pressed) /* Pause of keyboards with 84 keys */
            wait_in_pause();
        else
            lock_key(FLAGS_NUM, pressed);
        return true;
    case SCAN_SCROLL:
        if ((flags & FLAGS_CTRL) && pressed) /* their Break */
            control_break();
        else
            lock_key(FLAGS_SCROLL, pressed);
        return true;
    }
    return false;
}

static void system_request(bool pressed)
{
    if (pressed && (BDA->kbd_flags[1] & FLAGS1_SYSREQ))
        return;
    hold(&BDA->kbd_flags[1], FLAGS1_SYSREQ, pressed);
    struct bregs r = {.ah = 0x85, .al = !pressed};
    call_int(0x15, &r);
}

static void reboot(void)
{
    BDA->warm_boot = WARM_BOOT;
    ps2_command(PS2_RESET_CPU);
    for (;;)
        wait_irq();
}

static bool special_key(uint8_t scan, bool e0, bool pressed)
{
    const uint8_t flags = BDA->kbd_flags[0];
    if (scan == SCAN_SYSREQ && !e0) {
        system_request(pressed);
        return true;
    }
    if (scan == SCAN_DEL && pressed && (flags & FLAGS_CTRL) && (flags & FLAGS_ALT))
        reboot();
    if (!e0 || (scan != SCAN_PRINT && scan != SCAN_SCROLL))
        return false;
    if (!pressed)
        return true;
    if (scan == SCAN_SCROLL) {
        control_break();
    } else if (flags & FLAGS_CTRL) {
        put_key(0x7200);
    } else {
        end_irq(); /* it may take long */
        struct bregs r = {0};
        call_int(0x05, &r);
    }
    return true;
}

/* ---- a key ---- */

static bool is_pad_digit(uint8_t scan)
{
    return scan >= SCAN_HOME && scan <= SCAN_INS && scan != 0x4a && scan != 0x4e;
}

static void insert_key(bool pressed, bool e0, const struct key_state *s)
{
    if (!pressed)
        BDA->kbd_flags[1] &= (uint8_t)~FLAGS_INS;
    else if (!s->alt && !s->ctrl && (e0 || s->num == s->shift))
        lock_key(FLAGS_INS, true);
}

static void ordinary_key(uint8_t scan, bool e0, bool pressed)
{
    const uint8_t flags = BDA->kbd_flags[0];
    const struct key_state s = {
        .shift = flags & (FLAGS_LSHIFT | FLAGS_RSHIFT),
        .ctrl = flags & FLAGS_CTRL,
        .alt = flags & FLAGS_ALT,
        .caps = flags & FLAGS_CAPS,
        .num = flags & FLAGS_NUM,
    };
    if (scan == SCAN_INS)
        insert_key(pressed, e0, &s);
    if (!pressed)
        return;
    if (BDA->kbd_flags[1] & FLAGS1_PAUSE) { /* which this key ends, and that is all */
        BDA->kbd_flags[1] &= (uint8_t)~FLAGS1_PAUSE;
        return;
    }
    if (s.alt && !e0 && is_pad_digit(scan)) {
        static const uint8_t digits[] = {7, 8, 9, 0, 4, 5, 6, 0, 1, 2, 3, 0};
        BDA->kbd_alt_digits = (uint8_t)(BDA->kbd_alt_digits * 10 + digits[scan - SCAN_HOME]);
        return;
    }
    BDA->kbd_alt_digits = 0;
    const uint16_t key = key_code(scan, e0, &s);
    if (key != KEY_NONE)
        put_key(key);
}

/* Pause is E1 1D 45, and E1 9D C5 at once behind it. */
static void pause_sequence(uint8_t code)
{
    if ((code & ~SCAN_RELEASED) == SCAN_CTRL)
        return;
    BDA->kbd_type &= (uint8_t)~TYPE_E1;
    if (code == SCAN_NUM && !(BDA->kbd_flags[1] & FLAGS1_PAUSE))
        wait_in_pause();
}

void keyboard_byte(uint8_t code)
{
    if (code == SCAN_E0) {
        BDA->kbd_type |= TYPE_E0;
        return;
    }
    if (code == SCAN_E1) {
        BDA->kbd_type |= TYPE_E1;
        return;
    }
    if (BDA->kbd_type & TYPE_E1) {
        pause_sequence(code);
        return;
    }
    const bool e0 = BDA->kbd_type & TYPE_E0;
    BDA->kbd_type &= (uint8_t)~TYPE_E0;
    if (code == SCAN_OVERRUN) {
        beep();
        return;
    }
    const uint8_t scan = code & ~SCAN_RELEASED;
    const bool pressed = !(code & SCAN_RELEASED);
    if (!shift_key(scan, e0, pressed) && !locking_key(scan, e0, pressed) &&
        !special_key(scan, e0, pressed))
        ordinary_key(scan, e0, pressed);
    set_leds();
}

/* INT 15h AH=4Fh may change the code or take it away. */
void handle_09(struct bregs *r)
{
    (void)r;
    const bool outer = in_service; /* false, or there would be no interrupt, but for an INT 09h */
    in_service = true;
    const uint8_t status = inb(PS2_STATUS);
    if ((status & PS2_OUTPUT_FULL) && !(status & PS2_FROM_AUX)) {
        struct bregs hook = {.ah = 0x4f, .al = inb(PS2_DATA), .flags = FLAG_CF};
        const bool answer = hook.al == PS2_ACK || hook.al == PS2_RESEND;
        if (!answer) {
            call_int(0x15, &hook);
            if (hook.flags & FLAG_CF)
                keyboard_byte(hook.al);
        }
    }
    end_irq();
    in_service = outer;
}
