/*
 * A 101/102-key PS/2 keyboard (IBM PS/2 Hardware Interface Technical Reference, "Keyboards 101- and
 * 102-Key", called HITR below): scan code sets 1 to 3, all commands.
 *
 * Not modelled: typematic repeat (the rate is accepted; who presses keys repeats them), the shift
 * codes that a keyboard wraps around the gray keys by the state of Num Lock and Shift, times of
 * self test and transmission (i8042.c paces bytes).
 */
#include "devices/ps2_kbd.h"

#include <stdlib.h>

/* HITR "Commands from the System". */
enum command {
    CMD_SET_LEDS = 0xed, /* + bits */
    CMD_ECHO = 0xee,
    CMD_SET = 0xf0, /* + 1, 2, 3; or 0 to ask */
    CMD_READ_ID = 0xf2,
    CMD_SET_TYPEMATIC = 0xf3, /* + rate and delay */
    CMD_ENABLE = 0xf4,
    CMD_DEFAULT_DISABLE = 0xf5,
    CMD_DEFAULT = 0xf6,
    CMD_ALL_TYPEMATIC = 0xf7,
    CMD_ALL_MAKE_BREAK = 0xf8,
    CMD_ALL_MAKE = 0xf9,
    CMD_ALL_TYPEMATIC_MAKE_BREAK = 0xfa,
    CMD_KEY_TYPEMATIC = 0xfb, /* + set 3 codes, until a command comes */
    CMD_KEY_MAKE_BREAK = 0xfc,
    CMD_KEY_MAKE = 0xfd,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
    CMD_FIRST = CMD_SET_LEDS,
};

enum {
    MOD_SHIFT = BIT(0),
    MOD_SHIFT_R = BIT(1),
    MOD_CTRL = BIT(2),
    MOD_CTRL_R = BIT(3),
    MOD_ALT = BIT(4),
    MOD_ALT_R = BIT(5)
};

#define TYPEMATIC_DEFAULT 0x2b /* 10.9 a second after 500 ms */

struct ps2_kbd {
    struct device dev;
    struct ps2_port port;
    struct log *log;
    uint8_t set; /* 1..3 */
    bool scanning;
    uint8_t leds, typematic;
    uint8_t command;    /* whose parameter comes next, 0: none */
    uint8_t mods;       /* MOD_* keys that are down */
    uint8_t breaks[32]; /* set 3: a bit for each code that also has a break code */
};

static void set_break(struct ps2_kbd *kbd, uint8_t code, bool on)
{
    const uint8_t bit = (uint8_t)BIT(code & 7);
    uint8_t *byte = &kbd->breaks[code >> 3];
    *byte = on ? *byte | bit : *byte & ~bit;
}

/* HITR "Default Conditions", table of set 3 key types: only these are make/break. */
static void default_breaks(struct ps2_kbd *kbd)
{
    static const uint8_t codes[] = {0x11, 0x12, 0x14, 0x19, 0x59}; /* ctrl shift caps alt shift_r */
    memset(kbd->breaks, 0, sizeof kbd->breaks);
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        set_break(kbd, codes[i], true);
}

static void set_defaults(struct ps2_kbd *kbd)
{
    kbd->set = 2;
    kbd->typematic = TYPEMATIC_DEFAULT;
    default_breaks(kbd);
    ps2_drop_reports(&kbd->port);
}

static void ack(struct ps2_kbd *kbd)
{
    ps2_answer(&kbd->port, PS2_ACK);
}

static void choose_set(struct ps2_kbd *kbd, uint8_t v)
{
    if (v > 3) {
        log_guest(kbd->log, "keyboard: scan code set %u", v);
        ps2_answer(&kbd->port, PS2_RESEND);
        return;
    }
    ack(kbd);
    if (v == 0) {
        ps2_answer(&kbd->port, kbd->set);
        return;
    }
    ps2_drop_reports(&kbd->port);
    kbd->set = v;
}

static void parameter(struct ps2_kbd *kbd, uint8_t v)
{
    const enum command command = (enum command)kbd->command;
    switch (command) {
    case CMD_KEY_TYPEMATIC:
    case CMD_KEY_MAKE_BREAK:
    case CMD_KEY_MAKE:
        set_break(kbd, v, command == CMD_KEY_MAKE_BREAK);
        ack(kbd);
        return; /* more codes may follow */
    case CMD_SET:
        choose_set(kbd, v);
        break;
    case CMD_SET_LEDS:
        kbd->leds = v & 7;
        ack(kbd);
        break;
    default: /* CMD_SET_TYPEMATIC */
        kbd->typematic = v & 0x7f;
        ack(kbd);
        break;
    }
    kbd->command = 0;
}

/* HITR "Reset": ACK, then the result of the basic assurance test. */
static void reset_command(struct ps2_kbd *kbd)
{
    ps2_drop_all(&kbd->port);
    set_defaults(kbd);
    kbd->leds = 0;
    kbd->scanning = true;
    ack(kbd);
    ps2_answer(&kbd->port, PS2_BAT_OK);
}

/* Commands without a parameter. */
static void execute(struct ps2_kbd *kbd, uint8_t v)
{
    switch (v) {
    case CMD_ECHO:
        ps2_answer(&kbd->port, PS2_ECHO);
        break;
    case CMD_READ_ID:
        ack(kbd);
        ps2_answer(&kbd->port, 0xab);
        ps2_answer(&kbd->port, 0x83);
        break;
    case CMD_ENABLE:
        ps2_drop_reports(&kbd->port);
        kbd->scanning = true;
        ack(kbd);
        break;
    case CMD_DEFAULT_DISABLE:
        set_defaults(kbd);
        kbd->scanning = false;
        ack(kbd);
        break;
    case CMD_DEFAULT:
        set_defaults(kbd);
        ack(kbd);
        break;
    case CMD_ALL_TYPEMATIC:
    case CMD_ALL_MAKE:
        memset(kbd->breaks, 0, sizeof kbd->breaks);
        ack(kbd);
        break;
    case CMD_ALL_MAKE_BREAK:
    case CMD_ALL_TYPEMATIC_MAKE_BREAK:
        memset(kbd->breaks, 0xff, sizeof kbd->breaks);
        ack(kbd);
        break;
    case CMD_RESEND:
        ps2_answer(&kbd->port, kbd->port.last);
        break;
    case CMD_RESET:
        reset_command(kbd);
        break;
    default:
        log_guest(kbd->log, "keyboard: unknown command %02xh", v);
        ps2_answer(&kbd->port, PS2_RESEND);
        break;
    }
}

/* A byte from the controller. A command where a parameter is due takes the parameter's place. */
static void receive(void *opaque, uint8_t v)
{
    struct ps2_kbd *kbd = opaque;
    if (kbd->command && v < CMD_FIRST) {
        parameter(kbd, v);
        return;
    }
    kbd->command = 0;
    switch (v) {
    case CMD_SET_LEDS:
    case CMD_SET:
    case CMD_SET_TYPEMATIC:
    case CMD_KEY_TYPEMATIC:
    case CMD_KEY_MAKE_BREAK:
    case CMD_KEY_MAKE:
        kbd->command = v;
        ack(kbd);
        break;
    default:
        execute(kbd, v);
        break;
    }
}

/* The bytes of one key event. The longest is Pause in set 2. */
struct sequence {
    uint8_t byte[8];
    unsigned n;
};

static void add(struct sequence *s, uint8_t byte)
{
    assert(s->n < sizeof s->byte);
    s->byte[s->n++] = byte;
}

static void add_code(struct sequence *s, unsigned set, uint16_t code, bool down)
{
    if (code >> 8)
        add(s, (uint8_t)(code >> 8));
    if (set == 1) {
        add(s, (uint8_t)(down ? code : code | 0x80));
        return;
    }
    if (!down)
        add(s, 0xf0);
    add(s, (uint8_t)code);
}

/* HITR "Scan Codes": Print Screen is Sys Rq with Alt, and wears a shift of its own without Ctrl or
 * Shift. */
static void add_print(struct sequence *s, const struct ps2_kbd *kbd, bool down)
{
    const unsigned set = kbd->set;
    const uint16_t code = ps2_key_codes(PS2_KEY_print)->set[set - 1];
    const uint16_t shift = set == 1 ? 0xe02a : 0xe012;
    if (kbd->mods & (MOD_ALT | MOD_ALT_R)) {
        add_code(s, set, ps2_key_codes(PS2_KEY_sysrq)->set[set - 1], down);
        return;
    }
    const bool plain = kbd->mods & (MOD_SHIFT | MOD_SHIFT_R | MOD_CTRL | MOD_CTRL_R);
    if (!plain && down)
        add_code(s, set, shift, true);
    add_code(s, set, code, down);
    if (!plain && !down)
        add_code(s, set, shift, false);
}

/* HITR "Scan Codes": Pause, or Break with Ctrl, says all when it goes down. */
static void add_pause(struct sequence *s, const struct ps2_kbd *kbd, bool down)
{
    const unsigned set = kbd->set;
    const struct ps2_codes *codes = ps2_key_codes(PS2_KEY_pause);
    if (!down)
        return;
    if (kbd->mods & (MOD_CTRL | MOD_CTRL_R)) {
        add_code(s, set, codes->set[set - 1], true);
        add_code(s, set, codes->set[set - 1], false);
        return;
    }
    for (int pass = 0; pass < 2; pass++) {
        add(s, 0xe1);
        add_code(s, set, ps2_key_codes(PS2_KEY_ctrl)->set[set - 1], pass == 0);
        add_code(s, set, ps2_key_codes(PS2_KEY_num_lock)->set[set - 1], pass == 0);
    }
}

static uint8_t mod_of(unsigned key)
{
    switch (key) {
    case PS2_KEY_shift:
        return MOD_SHIFT;
    case PS2_KEY_shift_r:
        return MOD_SHIFT_R;
    case PS2_KEY_ctrl:
        return MOD_CTRL;
    case PS2_KEY_ctrl_r:
        return MOD_CTRL_R;
    case PS2_KEY_alt:
        return MOD_ALT;
    case PS2_KEY_alt_r:
        return MOD_ALT_R;
    default:
        return 0;
    }
}

static void add_key(struct sequence *s, const struct ps2_kbd *kbd, unsigned key, bool down)
{
    const uint16_t code = ps2_key_codes((enum ps2_key)key)->set[kbd->set - 1];
    if (kbd->set == 3) {
        if (code && (down || (kbd->breaks[code >> 3] & BIT(code & 7))))
            add_code(s, 3, code, down);
    } else if (key == PS2_KEY_print) {
        add_print(s, kbd, down);
    } else if (key == PS2_KEY_pause) {
        add_pause(s, kbd, down);
    } else {
        add_code(s, kbd->set, code, down);
    }
}

/* HITR "Keyboard Buffer": what does not fit is lost, and an overrun code says so. */
void ps2_kbd_key(struct ps2_kbd *kbd, unsigned keycode, bool down)
{
    if (keycode >= PS2_KEYS)
        return;
    struct sequence s = {.n = 0};
    if (kbd->scanning)
        add_key(&s, kbd, keycode, down);
    const uint8_t mod = mod_of(keycode);
    kbd->mods = down ? kbd->mods | mod : kbd->mods & ~mod;
    if (s.n && !ps2_report(&kbd->port, s.byte, s.n))
        ps2_overrun(&kbd->port, kbd->set == 1 ? 0xff : 0x00);
}

uint8_t ps2_kbd_leds(const struct ps2_kbd *kbd)
{
    return kbd->leds;
}

static void ps2_kbd_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct ps2_kbd *kbd = container_of(dev, struct ps2_kbd, dev);
    ps2_drop_all(&kbd->port);
    set_defaults(kbd);
    kbd->port.last = 0;
    kbd->leds = kbd->command = kbd->mods = 0;
    kbd->scanning = true;
}

static void ps2_kbd_state(struct device *dev, struct state *s)
{
    struct ps2_kbd *kbd = container_of(dev, struct ps2_kbd, dev);
    state_begin(s, "ps2_kbd", 1);
    ps2_port_state(&kbd->port, s);
    state_u8(s, "set", &kbd->set);
    state_check(s, kbd->set >= 1 && kbd->set <= 3, "set");
    state_bool(s, "scanning", &kbd->scanning);
    state_u8(s, "leds", &kbd->leds);
    state_u8(s, "typematic", &kbd->typematic);
    state_u8(s, "command", &kbd->command);
    state_u8(s, "mods", &kbd->mods);
    state_bytes(s, "breaks", kbd->breaks, sizeof kbd->breaks);
    state_end(s);
}

static void ps2_kbd_destroy(struct device *dev)
{
    free(container_of(dev, struct ps2_kbd, dev));
}

static const struct device_ops ps2_kbd_ops = {
    .reset = ps2_kbd_reset,
    .state = ps2_kbd_state,
    .destroy = ps2_kbd_destroy,
};

struct device *ps2_kbd_device(struct ps2_kbd *kbd)
{
    return &kbd->dev;
}

struct ps2_port *ps2_kbd_port(struct ps2_kbd *kbd)
{
    return &kbd->port;
}

struct ps2_kbd *ps2_kbd_create(struct log *log)
{
    struct ps2_kbd *kbd = calloc(1, sizeof *kbd);
    if (!kbd)
        return NULL;
    kbd->dev = (struct device){.name = "ps2_kbd", .ops = &ps2_kbd_ops};
    kbd->log = log;
    kbd->port.receive = receive;
    kbd->port.opaque = kbd;
    ps2_kbd_reset(&kbd->dev, RESET_POWER_ON);
    return kbd;
}
