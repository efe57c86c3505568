/*
 * INT 16h: the keyboard. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 16H". The
 * functions from 10h on are for keyboards with 101 keys and give every key; those from 00h on give
 * old programs what they know.
 */
#include "bda.h"
#include "io.h"
#include "keyboard.h"
#include "post16.h"
#include "ps2.h"
#include "vectors.h"

#define ENHANCED      0xf0 /* characters of keymap.c */
#define GREY          0xe0
#define LAST_OLD_SCAN 0x84

#define SET_TYPEMATIC 0xf3 /* of the keyboard's commands */
#define READ_ID       0xf2
#define ID_MS         100u
#define CAN_ENHANCED  0x20 /* AH=09h: 10h to 12h */
#define CAN_ID        0x10 /* 0Ah */
#define CAN_TYPEMATIC 0x04 /* AX=0305h */

static uint16_t after(uint16_t at)
{
    return at + 2 >= BDA->kbd_buffer_end ? BDA->kbd_buffer_start : (uint16_t)(at + 2);
}

/* A key as 10h and 11h give it. */
static uint16_t for_enhanced(uint16_t key)
{
    return (key & 0xff) == ENHANCED && key >> 8 ? key & 0xff00 : key;
}

/* As 00h and 01h do; false: there was no such key on the keyboards they know. */
static bool for_old(uint16_t *key)
{
    const uint8_t scan = (uint8_t)(*key >> 8), character = (uint8_t)*key;
    if (scan == GREY) { /* Enter and / of the keypad */
        *key = (uint16_t)(character | (character == '/' ? 0x3500 : 0x1c00));
        return true;
    }
    if (scan > LAST_OLD_SCAN)
        return false;
    if (scan && character == ENHANCED)
        return false;
    if (scan && character == GREY)
        *key &= 0xff00;
    return true;
}

/* The first key that the caller may see; others on the way are thrown away. */
static bool peek(bool enhanced, uint16_t *key)
{
    while (BDA->kbd_head != BDA->kbd_tail) {
        *key = *LOW(uint16_t, BDA_ADDRESS + BDA->kbd_head);
        if (enhanced) {
            *key = for_enhanced(*key);
            return true;
        }
        if (for_old(key))
            return true;
        BDA->kbd_head = after(BDA->kbd_head);
    }
    return false;
}

static void read_key(struct bregs *r, bool enhanced)
{
    uint16_t key;
    if (!peek(enhanced, &key)) {
        struct bregs wait = {.ax = 0x9002}; /* a multitasker may do something else */
        call_int(0x15, &wait);
        while (!peek(enhanced, &key))
            wait_irq();
    }
    BDA->kbd_head = after(BDA->kbd_head);
    r->ax = key;
}

static void look_at_key(struct bregs *r, bool enhanced)
{
    uint16_t key;
    const bool there = peek(enhanced, &key);
    if (there)
        r->ax = key;
    else
        irq_enable(); /* a loop around this call gets its interrupts here, too */
    set_flag(r, FLAG_ZF, !there);
}

/* AH: what is held down. */
static uint8_t extended_flags(void)
{
    const uint8_t held = BDA->kbd_flags[1];
    return (uint8_t)((held & 0x73) | (held & FLAGS1_SYSREQ ? 0x80 : 0) |
                     (BDA->kbd_type & (TYPE_RCTRL | TYPE_RALT)));
}

/* AX=0305h: BL the rate, BH the delay. */
static void set_typematic(const struct bregs *r)
{
    if (r->al != 5 || r->bl > 0x1f || r->bh > 3)
        return;
    const uint8_t bytes[] = {SET_TYPEMATIC, (uint8_t)(r->bh << 5 | r->bl)};
    ps2_send(false, bytes, sizeof bytes);
}

static void read_id(struct bregs *r)
{
    static const uint8_t command[] = {READ_ID};
    r->bx = 0;
    if (!ps2_send(false, command, 1))
        return;
    const int low = ps2_read(ID_MS), high = low < 0 ? -1 : ps2_read(ID_MS);
    if (high >= 0)
        r->bx = (uint16_t)(high << 8 | low);
}

void handle_16(struct bregs *r)
{
    keyboard_lights();
    switch (r->ah) {
    case 0x00:
    case 0x10:
        read_key(r, r->ah == 0x10);
        break;
    case 0x01:
    case 0x11:
        look_at_key(r, r->ah == 0x11);
        break;
    case 0x02:
        r->al = BDA->kbd_flags[0];
        break;
    case 0x12:
        r->al = BDA->kbd_flags[0];
        r->ah = extended_flags();
        break;
    case 0x03:
        set_typematic(r);
        break;
    case 0x05:
        r->al = !keyboard_put(r->cx);
        break;
    case 0x09:
        r->al = CAN_ENHANCED | CAN_ID | CAN_TYPEMATIC;
        break;
    case 0x0a:
        read_id(r);
        break;
    case 0x92: /* asked by keyboard drivers: AH up to 80h says that 10h to 12h are there */
        r->ah = 0x80;
        break;
    }
}
