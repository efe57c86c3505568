/*
 * The keyboard and auxiliary device controller, an 8042 with the firmware of the IBM PS/2 (Hardware
 * Interface Technical Reference, "Keyboard and Auxiliary Device Controller", called HITR below) and
 * the few commands of clones that systems use.
 *
 *      keyboard ---+-- translation --+
 *      mouse ------+                 +--> output buffer --> port 60h, IRQ1 or IRQ12
 *      controller's own answers -----+
 *
 * The output buffer holds one byte until it is read. A device's next byte comes BYTE_NS later, so
 * that handlers which read the port twice see the same byte, as on hardware (where it takes a
 * millisecond on the wire). The controller's own answers come at once, and go before a device's
 * byte that was not read yet; that one is put back.
 *
 * Not modelled: the password commands, firmware version and other vendors' commands, the input
 * buffer's delay (IBF is never seen set), transmission errors and time-outs.
 */
#include "devices/i8042.h"

#include <stdlib.h>

enum {
    STATUS_OBF = BIT(0),
    STATUS_SYS = BIT(2),
    STATUS_CMD = BIT(3),      /* the last write was to port 64h */
    STATUS_UNLOCKED = BIT(4), /* key lock open */
    STATUS_AUX = BIT(5),      /* the byte in the output buffer is the mouse's */

    CB_INT_KBD = BIT(0), /* controller command byte */
    CB_INT_AUX = BIT(1),
    CB_SYS = BIT(2),
    CB_DISABLE_KBD = BIT(4),
    CB_DISABLE_AUX = BIT(5),
    CB_TRANSLATE = BIT(6),

    OUT_RUN = BIT(0), /* output port: 0 resets the CPU */
    OUT_A20 = BIT(1),
    OUT_OBF = BIT(4), /* the interrupt lines as the port shows them */
    OUT_AUX_OBF = BIT(5),
    OUT_RESET_VALUE = 0xcf, /* all outputs high but the interrupts */
};

/* HITR "Commands"; those without that cite are of AMI, Phoenix or HP. */
enum command {
    CMD_READ_RAM = 0x20,  /* 20h-3Fh; byte 0 is the command byte */
    CMD_WRITE_RAM = 0x60, /* 60h-7Fh, + byte */
    CMD_TEST_PASSWORD = 0xa4,
    CMD_DISABLE_AUX = 0xa7,
    CMD_ENABLE_AUX = 0xa8,
    CMD_TEST_AUX = 0xa9,
    CMD_SELF_TEST = 0xaa,
    CMD_TEST_KBD = 0xab,
    CMD_DISABLE_KBD = 0xad,
    CMD_ENABLE_KBD = 0xae,
    CMD_READ_INPUT_PORT = 0xc0,
    CMD_READ_OUTPUT_PORT = 0xd0,
    CMD_WRITE_OUTPUT_PORT = 0xd1, /* + byte */
    CMD_WRITE_KBD_BUFFER = 0xd2,  /* + byte */
    CMD_WRITE_AUX_BUFFER = 0xd3,  /* + byte */
    CMD_WRITE_AUX = 0xd4,         /* + byte */
    CMD_CLOSE_A20 = 0xdd,         /* HP Vectra */
    CMD_OPEN_A20 = 0xdf,          /* HP Vectra */
    CMD_READ_TEST_INPUTS = 0xe0,
    CMD_PULSE = 0xf0, /* F0h-FFh: output port bits whose command bit is 0 go low for 6 us */
};

#define RAM_BYTES  32
#define BYTE_NS    (100 * NS_PER_US)
#define INPUT_PORT 0xa0 /* keyboard not locked, manufacturing jumper not set */

enum source { FROM_CONTROLLER, FROM_KBD, FROM_AUX };

struct out_byte {
    bool full;
    uint8_t value;
    uint8_t source; /* enum source */
};

struct i8042 {
    struct device dev;
    struct io_region data_io, command_io;
    struct event_queue *events;
    struct log *log;
    struct i8042_wiring wiring;
    int irq1_level, irq12_level;

    struct out_byte out;
    struct out_byte put_back; /* a device's byte that an answer has pushed out of the way */
    uint8_t ram[RAM_BYTES];   /* byte 0: the command byte */
    uint8_t output_port;      /* without the interrupt bits */
    uint8_t command;          /* whose parameter comes next through port 60h, 0: none */
    bool sys, last_was_command;
    bool break_prefix; /* translation: F0h came, the next code is a break code */
    int64_t next_ns;   /* no byte of a device before this time */
    bool taking;       /* a device's byte is on its way: what the device has next comes behind it */
    struct event next_byte;
};

/* Scan code set 2 to set 1. HITR "Scan Code Translation". Codes from 80h on stay, but for two. */
static const uint8_t translation[128] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static uint8_t translate(uint8_t code)
{
    return code < 0x80 ? translation[code] : code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

static bool enabled(const struct i8042 *k, uint8_t bit)
{
    return k->ram[0] & bit;
}

/* HITR "Controller Command Byte", bits 0 and 1: an interrupt whenever a byte is put in the buffer.
 */
static void i8042_update_irq(struct i8042 *k)
{
    const bool aux = k->out.source == FROM_AUX;
    const int irq1 = k->out.full && !aux && enabled(k, CB_INT_KBD);
    const int irq12 = k->out.full && aux && enabled(k, CB_INT_AUX);
    if (irq1 != k->irq1_level)
        irq_set(&k->wiring.irq1, irq1);
    if (irq12 != k->irq12_level)
        irq_set(&k->wiring.irq12, irq12);
    k->irq1_level = irq1;
    k->irq12_level = irq12;
}

static void fill(struct i8042 *k, uint8_t value, enum source source)
{
    k->out = (struct out_byte){.full = true, .value = value, .source = (uint8_t)source};
    i8042_update_irq(k);
}

/* A byte of the keyboard, translated if asked for: F0h only marks the next one. */
static void take_kbd(struct i8042 *k)
{
    while (ps2_pending(k->wiring.kbd)) {
        const uint8_t byte = ps2_take(k->wiring.kbd);
        if (!enabled(k, CB_TRANSLATE)) {
            fill(k, byte, FROM_KBD);
            return;
        }
        if (byte == 0xf0) {
            k->break_prefix = true;
            continue;
        }
        fill(k, translate(byte) | (k->break_prefix ? 0x80 : 0), FROM_KBD);
        k->break_prefix = false;
        return;
    }
}

/* Fills the empty output buffer, or sees to it that it will be. */
static void next_byte(struct i8042 *k)
{
    const bool kbd = !enabled(k, CB_DISABLE_KBD) && ps2_pending(k->wiring.kbd);
    const bool aux = !enabled(k, CB_DISABLE_AUX) && ps2_pending(k->wiring.aux);
    if (k->out.full || !(kbd || aux || k->put_back.full))
        return;
    if (event_now(k->events) < k->next_ns) {
        event_arm(k->events, &k->next_byte, k->next_ns);
        return;
    }
    if (k->put_back.full) {
        k->out = k->put_back;
        k->put_back.full = false;
        i8042_update_irq(k);
        return;
    }
    k->taking = true;
    if (kbd)
        take_kbd(k);
    if (aux && !k->out.full)
        fill(k, ps2_take(k->wiring.aux), FROM_AUX);
    k->taking = false;
}

static void next_byte_due(void *opaque, int64_t now_ns)
{
    (void)now_ns;
    next_byte(opaque);
}

static void device_ready(void *opaque)
{
    struct i8042 *k = opaque;
    if (!k->taking)
        next_byte(k);
}

/* The devices are silent for the time a byte takes on the wire. */
static void hold_off(struct i8042 *k)
{
    k->next_ns = event_now(k->events) + BYTE_NS;
}

/* An answer of the controller itself, or a byte it was told to show as a device's (D2h, D3h). */
static void answer(struct i8042 *k, uint8_t value, enum source source)
{
    if (k->out.full && k->out.source != FROM_CONTROLLER && !k->put_back.full)
        k->put_back = k->out;
    /* The byte before goes away first: each one is an edge. */
    k->out.full = false;
    i8042_update_irq(k);
    fill(k, value, source);
}

static void set_command_byte(struct i8042 *k, uint8_t v)
{
    k->ram[0] = v;
    k->sys = v & CB_SYS;
    i8042_update_irq(k);
    next_byte(k);
}

static void change_command_byte(struct i8042 *k, uint8_t set, uint8_t clear)
{
    k->ram[0] = (k->ram[0] | set) & ~clear;
    next_byte(k);
}

/* HITR "Output Port". */
static void write_output_port(struct i8042 *k, uint8_t v)
{
    k->output_port = v & ~(OUT_OBF | OUT_AUX_OBF);
    irq_set(&k->wiring.a20, v & OUT_A20 ? 1 : 0);
    if (!(v & OUT_RUN))
        irq_pulse(&k->wiring.reset);
}

static uint8_t read_output_port(const struct i8042 *k)
{
    return k->output_port | (k->irq1_level ? OUT_OBF : 0) | (k->irq12_level ? OUT_AUX_OBF : 0);
}

/* Commands whose parameter comes through port 60h. */
static bool has_parameter(uint8_t v)
{
    return (v >= CMD_WRITE_RAM && v < CMD_WRITE_RAM + RAM_BYTES) ||
           (v >= CMD_WRITE_OUTPUT_PORT && v <= CMD_WRITE_AUX);
}

static void parameter(struct i8042 *k, uint8_t v)
{
    const uint8_t command = k->command;
    k->command = 0;
    switch (command) {
    case CMD_WRITE_RAM:
        set_command_byte(k, v);
        break;
    case CMD_WRITE_OUTPUT_PORT:
        write_output_port(k, v);
        break;
    case CMD_WRITE_KBD_BUFFER:
        answer(k, v, FROM_KBD);
        break;
    case CMD_WRITE_AUX_BUFFER:
        answer(k, v, FROM_AUX);
        break;
    case CMD_WRITE_AUX: /* talking to a device turns its interface on again */
        hold_off(k);
        change_command_byte(k, 0, CB_DISABLE_AUX);
        ps2_send(k->wiring.aux, v);
        break;
    default:
        k->ram[command % RAM_BYTES] = v;
        break;
    }
}

static void execute(struct i8042 *k, uint8_t v)
{
    switch (v) {
    case CMD_TEST_PASSWORD:
        answer(k, 0xf1, FROM_CONTROLLER); /* none installed */
        break;
    case CMD_DISABLE_AUX:
        change_command_byte(k, CB_DISABLE_AUX, 0);
        break;
    case CMD_ENABLE_AUX:
        change_command_byte(k, 0, CB_DISABLE_AUX);
        break;
    case CMD_SELF_TEST:
        k->sys = true;
        answer(k, 0x55, FROM_CONTROLLER);
        break;
    case CMD_TEST_KBD:
    case CMD_TEST_AUX:
    case CMD_READ_TEST_INPUTS:
        answer(k, 0x00, FROM_CONTROLLER); /* no error; both clock lines idle low */
        break;
    case CMD_DISABLE_KBD:
        change_command_byte(k, CB_DISABLE_KBD, 0);
        break;
    case CMD_ENABLE_KBD:
        change_command_byte(k, 0, CB_DISABLE_KBD);
        break;
    case CMD_READ_INPUT_PORT:
        answer(k, INPUT_PORT, FROM_CONTROLLER);
        break;
    case CMD_READ_OUTPUT_PORT:
        answer(k, read_output_port(k), FROM_CONTROLLER);
        break;
    case CMD_CLOSE_A20:
        write_output_port(k, k->output_port & ~OUT_A20);
        break;
    case CMD_OPEN_A20:
        write_output_port(k, k->output_port | OUT_A20);
        break;
    default:
        log_unimp(k->log, "i8042: command %02xh", v);
        break;
    }
}

static void command(struct i8042 *k, uint8_t v)
{
    k->command = 0;
    if (has_parameter(v)) {
        k->command = v;
    } else if (v >= CMD_READ_RAM && v < CMD_READ_RAM + RAM_BYTES) {
        answer(k, k->ram[v % RAM_BYTES], FROM_CONTROLLER);
    } else if (v >= CMD_PULSE) {
        if (!(v & OUT_RUN)) /* the pulse on A20 and the others is too short to matter */
            irq_pulse(&k->wiring.reset);
    } else {
        execute(k, v);
    }
}

/* Reading empties the buffer; read again, it gives the same byte until the next one comes. */
static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    struct i8042 *k = opaque;
    const uint8_t value = k->out.value;
    if (k->out.full) {
        k->out.full = false;
        i8042_update_irq(k);
        hold_off(k);
        next_byte(k);
    }
    return value;
}

static void data_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct i8042 *k = opaque;
    k->last_was_command = false;
    if (k->command) {
        parameter(k, (uint8_t)value);
        return;
    }
    hold_off(k);
    change_command_byte(k, 0, CB_DISABLE_KBD);
    ps2_send(k->wiring.kbd, (uint8_t)value);
}

/* HITR "Status Register". */
static uint64_t status_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)offset, (void)size;
    const struct i8042 *k = opaque;
    return STATUS_UNLOCKED | (k->out.full ? STATUS_OBF : 0) | (k->sys ? STATUS_SYS : 0) |
           (k->last_was_command ? STATUS_CMD : 0) |
           (k->out.full && k->out.source == FROM_AUX ? STATUS_AUX : 0);
}

static void command_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)offset, (void)size;
    struct i8042 *k = opaque;
    k->last_was_command = true;
    command(k, (uint8_t)value);
}

/*
 * As QEMU's after reset, so that test code need not set up the controller first: both interfaces
 * and interrupts on, no translation. (HITR: disabled until the self test; firmware sets all of it.)
 */
static void i8042_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct i8042 *k = container_of(dev, struct i8042, dev);
    k->out = k->put_back = (struct out_byte){0};
    memset(k->ram, 0, sizeof k->ram);
    k->ram[0] = CB_INT_KBD | CB_INT_AUX;
    k->output_port = OUT_RESET_VALUE;
    k->command = 0;
    k->sys = k->break_prefix = false;
    k->last_was_command = true;
    k->next_ns = 0;
}

static void i8042_reset_lines(struct device *dev)
{
    struct i8042 *k = container_of(dev, struct i8042, dev);
    event_cancel(k->events, &k->next_byte);
    k->irq1_level = k->irq12_level = 0;
    irq_set(&k->wiring.irq1, 0);
    irq_set(&k->wiring.irq12, 0);
    irq_set(&k->wiring.a20, 1);
}

static void out_byte_state(struct out_byte *b, struct state *s)
{
    state_bool(s, "full", &b->full);
    state_u8(s, "value", &b->value);
    state_u8(s, "source", &b->source);
    state_check(s, b->source <= FROM_AUX, "source");
}

static void i8042_state(struct device *dev, struct state *s)
{
    struct i8042 *k = container_of(dev, struct i8042, dev);
    state_begin(s, "i8042", 1);
    out_byte_state(&k->out, s);
    out_byte_state(&k->put_back, s);
    state_bytes(s, "ram", k->ram, sizeof k->ram);
    state_u8(s, "output_port", &k->output_port);
    state_u8(s, "command", &k->command);
    state_bool(s, "sys", &k->sys);
    state_bool(s, "last_was_command", &k->last_was_command);
    state_bool(s, "break_prefix", &k->break_prefix);
    state_i64(s, "next_ns", &k->next_ns);
    state_event(s, "next_byte", k->events, &k->next_byte);
    state_end(s);
}

static void i8042_loaded(struct device *dev)
{
    struct i8042 *k = container_of(dev, struct i8042, dev);
    const bool aux = k->out.source == FROM_AUX;
    k->irq1_level = k->out.full && !aux && enabled(k, CB_INT_KBD);
    k->irq12_level = k->out.full && aux && enabled(k, CB_INT_AUX);
}

static void i8042_destroy(struct device *dev)
{
    struct i8042 *k = container_of(dev, struct i8042, dev);
    event_cancel(k->events, &k->next_byte);
    k->wiring.kbd->ready = k->wiring.aux->ready = NULL;
    free(k);
}

static const struct device_ops i8042_ops = {
    .reset = i8042_reset,
    .reset_lines = i8042_reset_lines,
    .state = i8042_state,
    .loaded = i8042_loaded,
    .destroy = i8042_destroy,
};

static const struct io_ops data_ops = {.read = data_read, .write = data_write, .max_size = 1};

static const struct io_ops command_ops = {
    .read = status_read,
    .write = command_write,
    .max_size = 1,
};

struct device *i8042_device(struct i8042 *k)
{
    return &k->dev;
}

static void plug_in(struct i8042 *k, struct ps2_port *port)
{
    port->ready = device_ready;
    port->ready_opaque = k;
}

struct i8042 *i8042_create(struct iomap *io, struct event_queue *events, struct log *log,
                           const struct i8042_wiring *wiring)
{
    struct i8042 *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->dev = (struct device){.name = "i8042", .ops = &i8042_ops};
    k->events = events;
    k->log = log;
    k->wiring = *wiring;
    event_init(&k->next_byte, "i8042.next_byte", next_byte_due, k);
    i8042_reset(&k->dev, RESET_POWER_ON);
    plug_in(k, k->wiring.kbd);
    plug_in(k, k->wiring.aux);
    k->data_io = (struct io_region){.name = "i8042.data", .ops = &data_ops, .opaque = k};
    k->command_io = (struct io_region){.name = "i8042.command", .ops = &command_ops, .opaque = k};
    iomap_add(io, &k->data_io, 0x60, 1);
    iomap_add(io, &k->command_io, 0x64, 1);
    return k;
}
