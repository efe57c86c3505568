/*
 * The keyboard controller, the keyboard and the mouse: tested, translation to scan code set 1 on,
 * interrupts of the keyboard on ("8042", PS/2 Technical Reference, "Keyboard/Auxiliary Device
 * Controller"). The mouse stays off until INT 15h AH=C2h turns it on.
 */
#include "bda.h"
#include "io.h"
#include "post.h"
#include "print.h"
#include "timer.h"

#define KBC_DATA      0x60
#define KBC_STATUS    0x64
#define KBC_COMMAND   0x64

#define STATUS_OUTPUT 0x01
#define STATUS_INPUT  0x02

enum {
    KBC_WRITE_MODE = 0x60,
    KBC_DISABLE_AUX = 0xA7,
    KBC_SELF_TEST = 0xAA,
    KBC_TEST_KEYBOARD = 0xAB,
    KBC_DISABLE_KEYBOARD = 0xAD,
    KBC_ENABLE_KEYBOARD = 0xAE,
};

#define SELF_TEST_PASSED 0x55

/* Mode byte: translate, keyboard on, mouse off, passed, IRQ 1. */
#define MODE            0x65

#define KEYBOARD_ENABLE 0xF4
#define KEYBOARD_RESET  0xFF
#define KEYBOARD_ACK    0xFA
#define KEYBOARD_PASSED 0xAA

#define KBC_TIMEOUT_MS  100
#define BAT_TIMEOUT_MS  1000 /* the keyboard's own test */

static bool send(uint16_t port, uint8_t byte)
{
    struct timeout t = timeout_ms(KBC_TIMEOUT_MS);
    while (inb(KBC_STATUS) & STATUS_INPUT)
        if (timed_out(&t))
            return false;
    outb(port, byte);
    return true;
}

static bool receive(uint8_t *byte, uint32_t ms)
{
    struct timeout t = timeout_ms(ms);
    while (!(inb(KBC_STATUS) & STATUS_OUTPUT))
        if (timed_out(&t))
            return false;
    *byte = inb(KBC_DATA);
    return true;
}

static bool expect(uint8_t byte, uint32_t ms)
{
    uint8_t got;
    while (receive(&got, ms))
        if (got == byte)
            return true;
    return false;
}

static bool reset_keyboard(void)
{
    return send(KBC_DATA, KEYBOARD_RESET) && expect(KEYBOARD_ACK, KBC_TIMEOUT_MS) &&
           expect(KEYBOARD_PASSED, BAT_TIMEOUT_MS) && send(KBC_DATA, KEYBOARD_ENABLE) &&
           expect(KEYBOARD_ACK, KBC_TIMEOUT_MS);
}

void keyboard_init(void)
{
    uint8_t old;
    if (inb(KBC_STATUS) == 0xff) {
        debug("no keyboard controller\n");
        return;
    }
    send(KBC_COMMAND, KBC_DISABLE_KEYBOARD);
    send(KBC_COMMAND, KBC_DISABLE_AUX);
    while (inb(KBC_STATUS) & STATUS_OUTPUT)
        old = inb(KBC_DATA);
    (void)old;
    if (!send(KBC_COMMAND, KBC_SELF_TEST) || !expect(SELF_TEST_PASSED, BAT_TIMEOUT_MS) ||
        !send(KBC_COMMAND, KBC_TEST_KEYBOARD) || !expect(0, KBC_TIMEOUT_MS)) {
        print("The keyboard controller does not pass its test.\n");
        return;
    }
    send(KBC_COMMAND, KBC_ENABLE_KEYBOARD);
    if (!reset_keyboard())
        print("No keyboard answers.\n");
    send(KBC_COMMAND, KBC_WRITE_MODE);
    send(KBC_DATA, MODE);
    BDA->kbd_type = 0x10; /* 101 or 102 keys */
    pic_unmask(1);
}
