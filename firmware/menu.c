/*
 * The boot menu: F12 within the first seconds, then a digit. From COM1 as well when messages go
 * there: there F12 is an escape sequence, of which the first byte, Esc, is enough.
 */
#include "menu.h"

#include "boot.h"
#include "io.h"
#include "post16.h"
#include "print.h"
#include "timer.h"

#define KEY_F12     0x8600 /* of INT 16h AH=11h */
#define KEY_ESC     0x011B

#define COM1        0x3F8
#define LSR         5
#define LSR_DR      0x01
#define ESC         0x1B
#define SEQUENCE_MS 20

struct key {
    bool menu, escape;
    char character; /* 0: none */
};

static bool keyboard_key(struct key *k)
{
    struct bregs r = {.ah = 0x11};
    call_int(0x16, &r);
    if (r.flags & FLAG_ZF)
        return false;
    r.ah = 0x10;
    call_int(0x16, &r);
    *k = (struct key){r.ax == KEY_F12, r.ax == KEY_ESC, (char)r.al};
    return true;
}

static bool serial_key(struct key *k)
{
    if (!serial_console || !(inb(COM1 + LSR) & LSR_DR))
        return false;
    const char c = (char)inb(COM1);
    *k = (struct key){c == ESC, c == ESC, c};
    if (c != ESC)
        return true;
    /* the rest of a sequence; alone, it was the Esc key */
    struct timeout t = timeout_ms(SEQUENCE_MS);
    while (!timed_out(&t))
        if (inb(COM1 + LSR) & LSR_DR) {
            inb(COM1);
            k->escape = false;
            t = timeout_ms(SEQUENCE_MS);
        }
    return true;
}

static bool get_key(struct key *k)
{
    return serial_key(k) || keyboard_key(k);
}

static bool wanted(void)
{
    struct timeout t = timeout_ms(boot_menu_ms);
    struct key k;
    print("Press F12%s for the boot menu.\n", serial_console ? " (or Esc on the serial line)" : "");
    while (!timed_out(&t)) {
        if (get_key(&k) && k.menu)
            return true;
        wait_irq(); /* the tick at the latest */
    }
    return false;
}

int menu_choose(void)
{
    struct key k;
    if (!wanted())
        return -1;
    print("\nBoot from:\n");
    for (unsigned i = 0; i < boot_count; i++)
        print("  %c  %s\n", (char)(i < 9 ? '1' + i : 'a' + i - 9), boot_list[i].name);
    print("  Esc  in this order\n");
    for (;; wait_irq()) {
        if (!get_key(&k))
            continue;
        if (k.escape)
            return -1;
        const int n = k.character >= 'a' ? k.character - 'a' + 9 : k.character - '1';
        if (n >= 0 && n < boot_count)
            return n;
    }
}
