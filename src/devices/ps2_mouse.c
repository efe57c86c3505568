/*
 * A PS/2 mouse (IBM PS/2 Hardware Interface Technical Reference, "Mouse", called HITR below) with
 * the wheel and five buttons of Microsoft's IntelliMouse ("knocks" of sample rates, as drivers of
 * Windows and Linux give them):
 *
 *      byte 1   YO XO YS XS  1  M  R  L      movement is 9 bits, two's complement, up and right > 0
 *      byte 2   X7 ... X0
 *      byte 3   Y7 ... Y0
 *      byte 4   ID 3: Z7 ... Z0, -8 to 7      ID 4: 0 0 B5 B4 Z3 ... Z0
 *
 * Movement gathers in counters and goes out when the port is free, as fast as the host reads; the
 * sample rate and the resolution are kept for software to read back and limit nothing.
 */
#include "devices/ps2_mouse.h"

#include <stdlib.h>

/* HITR "Mouse Commands". */
enum command {
    CMD_SCALE_1 = 0xe6,
    CMD_SCALE_2 = 0xe7,
    CMD_RESOLUTION = 0xe8, /* + 0..3 */
    CMD_STATUS = 0xe9,
    CMD_STREAM = 0xea,
    CMD_READ = 0xeb,
    CMD_END_WRAP = 0xec,
    CMD_WRAP = 0xee,
    CMD_REMOTE = 0xf0,
    CMD_READ_ID = 0xf2,
    CMD_RATE = 0xf3, /* + reports a second */
    CMD_ENABLE = 0xf4,
    CMD_DISABLE = 0xf5,
    CMD_DEFAULT = 0xf6,
    CMD_RESEND = 0xfe,
    CMD_RESET = 0xff,
    CMD_FIRST = CMD_SCALE_1,
};

enum id { ID_STANDARD = 0, ID_WHEEL = 3, ID_EXPLORER = 4 };

#define COUNTER_MAX 4095 /* as far as movement gathers while nobody reads */

struct ps2_mouse {
    struct device dev;
    struct ps2_port port;
    struct log *log;
    uint8_t id;       /* enum id */
    uint8_t knock[2]; /* the sample rates set before the last */
    bool reporting, remote, wrap, scale_2;
    uint8_t resolution, rate;
    uint8_t command; /* whose parameter comes next, 0: none */
    int64_t dx, dy, dz;
    uint8_t buttons, reported_buttons;
    bool owing; /* packets were dropped, and with them perhaps what the host knows of buttons */
};

/* HITR "Set Default". */
static void set_defaults(struct ps2_mouse *m)
{
    m->reporting = m->remote = m->wrap = m->scale_2 = false;
    m->resolution = 2;
    m->rate = 100;
    m->dx = m->dy = m->dz = 0;
    ps2_drop_reports(&m->port);
}

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* HITR "Set Scaling 2:1": in stream mode only. */
static int64_t scaled(int64_t v)
{
    static const uint8_t small[6] = {0, 1, 1, 3, 6, 9};
    const int64_t size = v < 0 ? -v : v;
    const int64_t out = size < 6 ? small[size] : 2 * size;
    return v < 0 ? -out : out;
}

static int64_t take_counter(int64_t *counter, int64_t lo, int64_t hi)
{
    const int64_t v = clamp(*counter, lo, hi);
    *counter -= v;
    return v;
}

/* Makes one packet of what has gathered; what does not fit stays for the next. */
static unsigned make_packet(struct ps2_mouse *m, uint8_t p[4], bool stream)
{
    const bool scale = stream && m->scale_2;
    const int64_t most = scale ? 127 : 255;
    int64_t x = take_counter(&m->dx, -most, most);
    int64_t y = -take_counter(&m->dy, -most, most);
    const int64_t z = take_counter(&m->dz, -8, 7);
    if (scale) {
        x = scaled(x);
        y = scaled(y);
    }
    p[0] = (uint8_t)(BIT(3) | (m->buttons & 7) | (x < 0 ? BIT(4) : 0) | (y < 0 ? BIT(5) : 0));
    p[1] = (uint8_t)x;
    p[2] = (uint8_t)y;
    m->reported_buttons = m->buttons;
    m->owing = false;
    if (m->id == ID_STANDARD)
        return 3;
    p[3] = (uint8_t)z;
    if (m->id == ID_EXPLORER)
        p[3] = (uint8_t)((z & 0x0f) | (m->buttons >> 3 & 3) << 4);
    return 4;
}

/* Buttons the driver can see: the standard mouse and the first IntelliMouse have three. */
static uint8_t visible(const struct ps2_mouse *m, uint8_t buttons)
{
    return m->id == ID_EXPLORER ? buttons : buttons & 7;
}

/*
 * Stream mode: movement waits for the port to be free, a button change only for room, so that a
 * quick click is not swallowed.
 */
static void report(struct ps2_mouse *m)
{
    if (!m->reporting || m->remote || m->wrap)
        return;
    const bool moved = m->dx || m->dy || (m->dz && m->id != ID_STANDARD);
    const bool clicked = m->owing || visible(m, m->buttons) != visible(m, m->reported_buttons);
    if (!clicked && (!moved || m->port.reports))
        return;
    if (m->port.reports + 4 > PS2_REPORT_BYTES)
        return;
    uint8_t packet[4];
    const unsigned n = make_packet(m, packet, true);
    ps2_report(&m->port, packet, n);
}

static void taken(void *opaque)
{
    report(opaque);
}

void ps2_mouse_move(struct ps2_mouse *m, int dx, int dy, int dz, unsigned buttons)
{
    m->dx = clamp(m->dx + dx, -COUNTER_MAX, COUNTER_MAX);
    m->dy = clamp(m->dy + dy, -COUNTER_MAX, COUNTER_MAX);
    m->dz = m->id == ID_STANDARD ? 0 : clamp(m->dz + dz, -COUNTER_MAX, COUNTER_MAX);
    m->buttons = buttons & 0x1f;
    report(m);
}

static void ack(struct ps2_mouse *m)
{
    ps2_answer(&m->port, PS2_ACK);
}

/* Three rates in a row name the protocol a driver wants; the mouse then says so in its ID. */
static void set_rate(struct ps2_mouse *m, uint8_t v)
{
    if (v == 80 && m->knock[0] == 200 && m->knock[1] == 100)
        m->id = ID_WHEEL;
    if (v == 80 && m->knock[0] == 200 && m->knock[1] == 200)
        m->id = ID_EXPLORER;
    m->knock[0] = m->knock[1];
    m->knock[1] = v;
    m->rate = v;
}

static void parameter(struct ps2_mouse *m, uint8_t v)
{
    if (m->command == CMD_RATE)
        set_rate(m, v);
    else
        m->resolution = v & 3;
    m->command = 0;
    ack(m);
}

/* HITR "Status Request". */
static void answer_status(struct ps2_mouse *m)
{
    const uint8_t b = m->buttons;
    ack(m);
    ps2_answer(&m->port, (uint8_t)((m->remote ? BIT(6) : 0) | (m->reporting ? BIT(5) : 0) |
                                   (m->scale_2 ? BIT(4) : 0) | (b & PS2_BUTTON_LEFT ? BIT(2) : 0) |
                                   (b & PS2_BUTTON_MIDDLE ? BIT(1) : 0) |
                                   (b & PS2_BUTTON_RIGHT ? BIT(0) : 0)));
    ps2_answer(&m->port, m->resolution);
    ps2_answer(&m->port, m->rate);
}

static void answer_packet(struct ps2_mouse *m)
{
    uint8_t packet[4];
    const unsigned n = make_packet(m, packet, false);
    ack(m);
    for (unsigned i = 0; i < n; i++)
        ps2_answer(&m->port, packet[i]);
}

/* HITR "Reset": ACK, the result of the self test, the ID of a mouse fresh from power-on. */
static void reset_command(struct ps2_mouse *m)
{
    ps2_drop_all(&m->port);
    set_defaults(m);
    m->id = ID_STANDARD;
    memset(m->knock, 0, sizeof m->knock);
    m->owing = false;
    ack(m);
    ps2_answer(&m->port, PS2_BAT_OK);
    ps2_answer(&m->port, ID_STANDARD);
}

/* Commands that set a mode and answer with ACK alone. False: v is not one of them. */
static bool set_mode(struct ps2_mouse *m, uint8_t v)
{
    switch (v) {
    case CMD_SCALE_1:
    case CMD_SCALE_2:
        m->scale_2 = v == CMD_SCALE_2;
        return true;
    case CMD_STREAM:
    case CMD_REMOTE:
        m->remote = v == CMD_REMOTE;
        return true;
    case CMD_WRAP:
        m->wrap = true;
        return true;
    case CMD_END_WRAP:
        m->wrap = false;
        return true;
    case CMD_ENABLE:
    case CMD_DISABLE:
        m->reporting = v == CMD_ENABLE;
        m->dx = m->dy = m->dz = 0;
        return true;
    case CMD_DEFAULT:
        set_defaults(m);
        return true;
    case CMD_RESOLUTION:
    case CMD_RATE:
        m->command = v;
        return true;
    default:
        return false;
    }
}

static void execute(struct ps2_mouse *m, uint8_t v)
{
    m->command = 0;
    switch (v) {
    case CMD_STATUS:
        answer_status(m);
        break;
    case CMD_READ:
        answer_packet(m);
        break;
    case CMD_READ_ID:
        ack(m);
        ps2_answer(&m->port, m->id);
        break;
    case CMD_RESEND:
        ps2_answer(&m->port, m->port.last);
        break;
    case CMD_RESET:
        reset_command(m);
        break;
    default:
        if (set_mode(m, v)) {
            ack(m);
            break;
        }
        log_guest(m->log, "mouse: unknown command %02xh", v);
        ps2_answer(&m->port, PS2_RESEND);
        break;
    }
}

/* A byte from the controller. It cuts off the packet being sent (HITR "Stream Mode"). */
static void receive(void *opaque, uint8_t v)
{
    struct ps2_mouse *m = opaque;
    m->owing = m->owing || m->port.reports;
    ps2_drop_reports(&m->port);
    if (m->wrap && v != CMD_END_WRAP && v != CMD_RESET)
        ps2_answer(&m->port, v);
    else if (m->command && v < CMD_FIRST)
        parameter(m, v);
    else
        execute(m, v);
}

static void ps2_mouse_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct ps2_mouse *m = container_of(dev, struct ps2_mouse, dev);
    ps2_drop_all(&m->port);
    set_defaults(m);
    m->id = ID_STANDARD;
    memset(m->knock, 0, sizeof m->knock);
    m->port.last = m->command = m->buttons = m->reported_buttons = 0;
    m->owing = false;
}

static bool counter_ok(int64_t v)
{
    return v >= -COUNTER_MAX && v <= COUNTER_MAX;
}

static void ps2_mouse_state(struct device *dev, struct state *s)
{
    struct ps2_mouse *m = container_of(dev, struct ps2_mouse, dev);
    state_begin(s, "ps2_mouse", 2);
    ps2_port_state(&m->port, s);
    state_u8(s, "id", &m->id);
    state_bytes(s, "knock", m->knock, sizeof m->knock);
    state_bool(s, "reporting", &m->reporting);
    state_bool(s, "remote", &m->remote);
    state_bool(s, "wrap", &m->wrap);
    state_bool(s, "scale_2", &m->scale_2);
    state_u8(s, "resolution", &m->resolution);
    state_u8(s, "rate", &m->rate);
    state_u8(s, "command", &m->command);
    state_i64(s, "dx", &m->dx);
    state_i64(s, "dy", &m->dy);
    state_i64(s, "dz", &m->dz);
    state_check(s, counter_ok(m->dx) && counter_ok(m->dy) && counter_ok(m->dz), "dx, dy, dz");
    state_u8(s, "buttons", &m->buttons);
    state_u8(s, "reported_buttons", &m->reported_buttons);
    if (s->version > 1)
        state_bool(s, "owing", &m->owing);
    state_end(s);
}

static void ps2_mouse_destroy(struct device *dev)
{
    free(container_of(dev, struct ps2_mouse, dev));
}

static const struct device_ops ps2_mouse_ops = {
    .reset = ps2_mouse_reset,
    .state = ps2_mouse_state,
    .destroy = ps2_mouse_destroy,
};

struct device *ps2_mouse_device(struct ps2_mouse *mouse)
{
    return &mouse->dev;
}

struct ps2_port *ps2_mouse_port(struct ps2_mouse *mouse)
{
    return &mouse->port;
}

struct ps2_mouse *ps2_mouse_create(struct log *log)
{
    struct ps2_mouse *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->dev = (struct device){.name = "ps2_mouse", .ops = &ps2_mouse_ops};
    m->log = log;
    m->port.receive = receive;
    m->port.taken = taken;
    m->port.opaque = m;
    ps2_mouse_reset(&m->dev, RESET_POWER_ON);
    return m;
}
