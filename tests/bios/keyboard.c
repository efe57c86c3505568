/*
 * INT 16h and INT 09h. Scan codes are put into the 8042's output buffer by its command D2h, as if
 * the keyboard had sent them (translated, set 1), so every key with every modifier is tried. The
 * keys group is for real keys:
 * "!sendkey ..." asks the driver for one. Sources: RBIL, "INT 09", "INT 16", and its memory list
 * 0040:0017h-1Eh, 80h-82h, 96h, 97h; IBM PS/2 BIOS Interface Technical Reference, "INT 16H", table
 * of scan codes.
 */
#include "rt.h"

void sysreq_hook(void);
void ctrl_break_hook(void);
void print_screen_hook(void);
void unpause_hook(void);
extern uint32_t sysreq_count, ctrl_break_count, print_screen_count, hook_next;
extern uint16_t hook_at, hook_ax[32];

static void inject(uint8_t code)
{
    for (unsigned i = 0; i < 100000 && (inb(0x64) & 3); i++)
        ;
    cli();
    outb(0x64, 0xd2);
    outb(0x60, code);
    sti();
    for (unsigned i = 0; i < 100000 && (inb(0x64) & 1); i++)
        ;
}

static void press(uint16_t key) /* with E0h in its high byte */
{
    if (key >> 8)
        inject((uint8_t)(key >> 8));
    inject((uint8_t)key);
}
static void release(uint16_t key)
{
    press(key | 0x80);
}

static void flush(void)
{
    for (unsigned i = 0; i < 32; i++) {
        bios_quiet("16 ah=11");
        if (regs.flags & ZF)
            return;
        bios_quiet("16 ah=10");
    }
}

static void state(const char *what)
{
    say("%s -> 17=%02x 18=%02x 96=%02x 97=%02x", what, peek8(0x40, 0x17), peek8(0x40, 0x18),
        peek8(0x40, 0x96), peek8(0x40, 0x97));
}

static void key_is(const char *how, uint16_t key)
{
    press(key);
    release(key);
    part("key %s %x ->", how, key);
    bios_quiet("16 ah=11");
    if (regs.flags & ZF)
        part(" none");
    for (unsigned i = 0; i < 4 && !(regs.flags & ZF); i++) {
        bios_quiet("16 ah=10");
        part(" %04x", regs.eax & 0xffff);
        bios_quiet("16 ah=11");
    }
    end_line();
}

static bool is_modifier(unsigned code)
{
    return code == 0x1d || code == 0x2a || code == 0x36 || code == 0x38 || code == 0x3a ||
           code == 0x45 || code == 0x46 || code == 0x54;
}

static void all_keys(const char *how)
{
    static const uint8_t grey[] = {0x1c, 0x35, 0x47, 0x48, 0x49, 0x4b, 0x4d, 0x4f,
                                   0x50, 0x51, 0x52, 0x53, 0x5b, 0x5c, 0x5d};
    for (unsigned code = 1; code <= 0x58; code++)
        if (!is_modifier(code))
            key_is(how, (uint16_t)code);
    for (unsigned i = 0; i < sizeof grey; i++)
        key_is(how, (uint16_t)(0xe000 | grey[i]));
    poke8(0x40, 0x17, peek8(0x40, 0x17) & 0x7f); /* Ins is one of them */
}

static void modifiers(void)
{
    static const struct {
        const char *name;
        uint16_t key;
    } mod[] = {{"shift", 0x2a},   {"rshift", 0x36}, {"ctrl", 0x1d},
               {"rctrl", 0xe01d}, {"alt", 0x38},    {"ralt", 0xe038}};
    for (unsigned i = 0; i < 6; i++) {
        press(mod[i].key);
        state(mod[i].name);
        bios("%s: 16 ah=02 -> ~ah", mod[i].name);
        bios("%s: 16 ah=12 ->", mod[i].name);
        if (i == 0 || i == 2 || i == 4)
            all_keys(mod[i].name);
        release(mod[i].key);
        state("released");
    }
    static const uint16_t locks[] = {0x3a, 0x45, 0x46, 0x52};
    for (unsigned i = 0; i < 4; i++) {
        poke8(0x40, 0x17, 0);
        press(locks[i]);
        say("lock %x down -> 17=%02x 18=%02x", locks[i], peek8(0x40, 0x17), peek8(0x40, 0x18));
        press(locks[i]);
        say("lock %x repeated -> 17=%02x 18=%02x", locks[i], peek8(0x40, 0x17), peek8(0x40, 0x18));
        release(locks[i]);
        flush();
        say("lock %x up -> 17=%02x 18=%02x", locks[i], peek8(0x40, 0x17), peek8(0x40, 0x18));
        press(locks[i]);
        release(locks[i]);
        say("lock %x again -> 17=%02x 18=%02x", locks[i], peek8(0x40, 0x17), peek8(0x40, 0x18));
        poke8(0x40, 0x17, (uint8_t[]){0x40, 0x20, 0x10, 0x80}[i]);
        flush();
        bios_quiet("16 ah=01"); /* sets the lights */
        say("lock %x lights -> 97=%02x", locks[i], peek8(0x40, 0x97) & 7);
        bios("lock %x: 16 ah=12 ->", locks[i]);
        if (i < 2)
            all_keys(i ? "num" : "caps");
        press(0x2a);
        if (i < 2)
            all_keys(i ? "num shift" : "caps shift");
        release(0x2a);
    }
    poke8(0x40, 0x17, 0);
    bios_quiet("16 ah=01");
    state("locks off");
    press(0x1d);
    press(0x38);
    key_is("ctrl alt", 0x1e);
    release(0x38);
    key_is("ctrl", 0x1e);
    release(0x1d);
}

static void special_keys(void)
{
    press(0x38); /* Alt with digits of the keypad: a character by its code */
    key_is("alt digit", 0x4d);
    key_is("alt digit", 0x4c);
    release(0x38);
    say("alt 65 -> 19=%02x", peek8(0x40, 0x19));
    bios("alt 65: 16 ah=11 -> zf");
    flush();

    const uint32_t int15 = get_vector(0x15), int1b = get_vector(0x1b), int05 = get_vector(0x05);
    hook_next = int15;
    hook_at = 0;
    set_vector(0x15, sysreq_hook);
    press(0x54);
    press(0x54);
    release(0x54);
    key_is("4F makes b of", 0x1e);
    key_is("4F drops", 0x1f);
    key_is("4F sees", 0x20);
    key_is("4F sees", 0xe048);
    for (unsigned i = 0; i < hook_at / 2u; i++)
        say("int 15h from int 09h, %d -> ax=%04x", i, hook_ax[i]);
    put_vector(0x15, int15);

    set_vector(0x1b, ctrl_break_hook);
    key_is("before break", 0x1e);
    inject(0x1e);
    press(0x1d);
    key_is("ctrl break", 0xe046);
    release(0x1d);
    say("ctrl break -> int 1Bh=%d 71=%02x", ctrl_break_count, peek8(0x40, 0x71));
    release(0x1e);
    poke8(0x40, 0x71, 0);
    put_vector(0x1b, int1b);
    flush();

    set_vector(0x05, print_screen_hook);
    key_is("print screen", 0xe037);
    press(0xe02a);
    key_is("print screen with its shift", 0xe037);
    release(0xe02a);
    say("print screen -> int 05h=%d", print_screen_count);
    press(0x1d);
    key_is("ctrl print screen", 0xe037);
    release(0x1d);
    put_vector(0x05, int05);
    state("after special keys");

    /* The shifts that the grey keys send around themselves are not the user's. */
    press(0xe02a);
    key_is("grey with its shift", 0xe048);
    state("grey shift");
    release(0xe02a);

    /* Pause: the BIOS waits inside INT 09h for a key, which comes from the tick, and is thrown
     * away. */
    const uint32_t int1c = get_vector(0x1c);
    inject(0xe1);
    inject(0x1d);
    set_vector(0x1c, unpause_hook);
    inject(0x45);
    put_vector(0x1c, int1c);
    wait_ticks(2, NULL);
    inject(0xe1);
    inject(0x9d);
    inject(0xc5);
    inject(0xb9);
    say("pause -> 18=%02x 96=%02x", peek8(0x40, 0x18), peek8(0x40, 0x96));
    bios_quiet("16 ah=11");
    say("key that ends the pause -> zf=%d", regs.flags & ZF ? 1 : 0);
    flush();
}

static void stuffed_keys(void)
{
    bios("16 ah=01 nz -> zf ~ax");
    bios("16 ah=11 nz -> zf ~ax");
    say("buffer -> start=%04x end=%04x head=tail:%d", peek16(0x40, 0x80), peek16(0x40, 0x82),
        peek16(0x40, 0x1a) == peek16(0x40, 0x1c));
    bios("16 ah=05 cx=1e61 -> ~ah");
    bios("16 ah=01 zr -> zf");
    bios("16 ah=11 zr -> zf");
    bios("16 ah=00 ->");
    bios("16 ah=01 nz -> zf ~ax");
    static const uint16_t codes[] = {0x1e61, 0x48e0, 0x4800, 0xe00d, 0xe02f, 0x8500, 0x00f0,
                                     0x8d00, 0x0000, 0x00e0, 0x5c00, 0x97e0, 0xa400, 0xffff};
    for (unsigned i = 0; i < sizeof codes / 2; i++) {
        bios_quiet("16 ah=05 cx=%04x", codes[i]);
        bios("enhanced, %04x: 16 ah=11 zr -> zf", codes[i]);
        bios("enhanced, %04x: 16 ah=10 ->", codes[i]);
        bios_quiet("16 ah=05 cx=%04x", codes[i]);
        bios_quiet("16 ah=05 cx=3920");
        bios("old, %04x: 16 ah=01 zr -> zf", codes[i]);
        bios("old, %04x: 16 ah=00 ->", codes[i]);
        flush();
    }
    for (unsigned i = 0; i < 17; i++)
        bios("number %d: 16 ah=05 cx=%04x -> ~ah", i, 0x3000 + i);
    say("full -> %d bytes", (peek16(0x40, 0x1a) - peek16(0x40, 0x1c)) & 0x1f);
    press(0x1e); /* one too many: a beep */
    release(0x1e);
    for (unsigned i = 0; i < 15; i++)
        bios("number %d: 16 ah=10 ->", i);
    bios("16 ah=01 nz -> zf ~ax");
    flush();
}

void keyboard_group(void)
{
    state("at boot");
    bios("16 ah=02 -> ~ah");
    bios("16 ah=12 ->");
    bios("11 ->");
    stuffed_keys();
    bios("16 ax=0305 bx=0000 ->");
    bios("16 ax=0305 bx=010b ->");
    bios("16 ax=0306 ->");
    bios("16 ah=09 ->");
    bios("16 ah=0a ->");
    bios("16 ah=20 ->");
    bios("16 ah=21 ->");
    bios("16 ah=22 ->");
    bios("16 ah=92 ->");
    bios("16 ah=a2 ->");
    bios("16 ah=06 ->");
    bios("16 ah=ff ->");
    cli(); /* or the BIOS would take the answer for a key */
    outb(0x64, 0x20);
    while (!(inb(0x64) & 1))
        ;
    const uint8_t command_byte = inb(0x60);
    sti();
    say("8042 command byte -> %02x", command_byte);
    say("8259 -> mask=%02x%02x", inb(0xa1) & 0x70, inb(0x21) & 7);
    all_keys("plain");
    modifiers();
    special_keys();
    state("at the end");
}

/* --- real ones, from the driver --- */

static bool key_there(void)
{
    bios_quiet("16 ah=11");
    return !(regs.flags & ZF);
}

static void real_key(const char *name)
{
    say("!sendkey %s", name);
    part("sendkey %s ->", name);
    if (wait_ticks(90, key_there)) {
        bios_quiet("16 ah=10");
        say(" %04x", regs.eax & 0xffff);
    } else {
        say(" none in 5 s");
    }
}

static bool shift_free(void)
{
    return !(peek8(0x40, 0x17) & 0x0f);
}

static bool caps_on(void)
{
    return peek8(0x40, 0x17) & 0x40;
}
static bool caps_off(void)
{
    return !caps_on();
}

void keys_group(void)
{
    static const char names[][12] = {
        "a",      "shift-a",   "ctrl-a",    "alt-a", "1",         "shift-1",   "ret",
        "esc",    "tab",       "f1",        "f10",   "f11",       "f12",       "up",
        "home",   "delete",    "pgdn",      "kp_5",  "kp_enter",  "backspace", "ctrl-c",
        "alt-f4", "shift-tab", "ctrl-left", "slash", "backslash", "spc"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        real_key(names[i]);
        wait_ticks(20, shift_free);
    }
    say("!sendkey b");
    bios("waiting: 16 ah=00 ->"); /* this one waits inside the BIOS */
    say("!sendkey c");
    bios("waiting: 16 ah=10 ->");
    say("!sendkey caps_lock");
    wait_ticks(20, caps_on);
    bios_quiet("16 ah=01");
    say("caps lock -> 17=%02x 97=%02x", peek8(0x40, 0x17), peek8(0x40, 0x97) & 7);
    real_key("d");
    say("!sendkey caps_lock");
    wait_ticks(20, caps_off);
    real_key("e");
}
