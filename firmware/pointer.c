/*
 * INT 15h AH=C2h: the pointing device; INT 74h, IRQ 12: its packets, given to the program's
 * handler. IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 15H", "Pointing Device
 * BIOS Interface"; the device's commands: Hardware Interface Technical Reference, "Keyboard and
 * Auxiliary Device", "Auxiliary Device Commands".
 */
#include "bda.h"
#include "int15.h"
#include "io.h"
#include "post16.h"
#include "ps2.h"
#include "vectors.h"

enum { /* AH */
       DONE = 0,
       BAD_FUNCTION = 1,
       BAD_INPUT = 2,
       INTERFACE_ERROR = 3,
       NO_HANDLER = 5,
};

enum {
    INDEX = 0x07,   /* EBDA pointer_flags[0]: bytes of the packet that have come */
    SIZE = 0x07,    /* pointer_flags[1]: bytes of a packet, less one */
    HANDLER = 0x80, /* pointer_handler is set */
};

enum { /* the device's commands */
       AUX_SCALE_1 = 0xe6,
       AUX_SCALE_2 = 0xe7,
       AUX_RESOLUTION = 0xe8,
       AUX_STATUS = 0xe9,
       AUX_READ_ID = 0xf2,
       AUX_RATE = 0xf3,
       AUX_ENABLE = 0xf4,
       AUX_DISABLE = 0xf5,
       AUX_RESET = 0xff,
};

#define ANSWER_MS 50u
#define RESET_MS  1000u

/* pointer_call.S: pushes the four words and far-calls. */
void call_pointer(uint32_t handler, const uint16_t *words);

static uint8_t flags(unsigned i)
{
    return EBDA(pointer_flags[i]);
}

static void set_flags(unsigned i, uint8_t clear, uint8_t set)
{
    EBDA(pointer_flags[i]) = (uint8_t)((flags(i) & ~clear) | set);
}

/* While a command is sent and answered the device's interrupt is off. */
static uint8_t begin(void)
{
    const uint8_t command_byte = ps2_command_byte();
    ps2_set_command_byte(
        (uint8_t)((command_byte & ~(PS2_AUX_INT | PS2_AUX_OFF)) | PS2_KEYBOARD_OFF));
    return command_byte;
}

/* on: it may send packets, which interrupt. */
static void end(uint8_t command_byte, bool on)
{
    ps2_set_command_byte((uint8_t)(on ? (command_byte & ~PS2_AUX_OFF) | PS2_AUX_INT
                                      : (command_byte & ~PS2_AUX_INT) | PS2_AUX_OFF));
    set_flags(0, INDEX, 0);
}

/* A command with up to one argument, and its answer. */
static uint8_t command(const uint8_t *bytes, unsigned n, uint8_t *answer, unsigned answers)
{
    const uint8_t command_byte = begin();
    bool ok = ps2_send(true, bytes, n);
    for (unsigned i = 0; ok && i < answers; i++) {
        const int b = ps2_read(bytes[0] == AUX_RESET ? RESET_MS : ANSWER_MS);
        ok = b >= 0;
        answer[i] = (uint8_t)b;
    }
    end(command_byte, bytes[0] == AUX_ENABLE || ((command_byte & PS2_AUX_INT) &&
                                                 bytes[0] != AUX_DISABLE && bytes[0] != AUX_RESET));
    return ok ? DONE : INTERFACE_ERROR;
}

static uint8_t simple(uint8_t first)
{
    return command(&first, 1, NULL, 0);
}

static uint8_t with_argument(uint8_t first, uint8_t argument)
{
    const uint8_t bytes[] = {first, argument};
    return command(bytes, 2, NULL, 0);
}

static uint8_t reset(struct bregs *r)
{
    static const uint8_t bytes[] = {AUX_RESET};
    uint8_t answer[2];
    const uint8_t result = command(bytes, 1, answer, 2);
    if (result == DONE) {
        r->bl = answer[0];
        r->bh = answer[1];
    }
    return result;
}

static uint8_t enable(const struct bregs *r)
{
    if (r->bh > 1)
        return BAD_INPUT;
    if (r->bh == 0)
        return simple(AUX_DISABLE);
    if (!(flags(1) & HANDLER))
        return NO_HANDLER;
    return simple(AUX_ENABLE);
}

static uint8_t set_rate(const struct bregs *r)
{
    static const uint8_t rates[] = {10, 20, 40, 60, 80, 100, 200};
    return r->bh < ARRAY_SIZE(rates) ? with_argument(AUX_RATE, rates[r->bh]) : BAD_INPUT;
}

static uint8_t set_resolution(const struct bregs *r)
{
    return r->bh < 4 ? with_argument(AUX_RESOLUTION, r->bh) : BAD_INPUT;
}

static uint8_t read_id(struct bregs *r)
{
    static const uint8_t bytes[] = {AUX_READ_ID};
    uint8_t id;
    const uint8_t result = command(bytes, 1, &id, 1);
    if (result == DONE)
        r->bh = id;
    return result;
}

static uint8_t initialize(struct bregs *r)
{
    if (r->bh < 1 || r->bh > 8)
        return BAD_INPUT;
    set_flags(1, SIZE, r->bh - 1);
    return reset(r);
}

static uint8_t extended(struct bregs *r)
{
    static const uint8_t bytes[] = {AUX_STATUS};
    uint8_t answer[3];
    if (r->bh == 1)
        return simple(AUX_SCALE_1);
    if (r->bh == 2)
        return simple(AUX_SCALE_2);
    if (r->bh != 0)
        return BAD_INPUT;
    const uint8_t result = command(bytes, 1, answer, 3);
    if (result == DONE) {
        r->bl = answer[0];
        r->cl = answer[1];
        r->dl = answer[2];
    }
    return result;
}

static uint8_t set_handler(const struct bregs *r)
{
    const uint32_t handler = (uint32_t)r->es << 16 | r->bx;
    EBDA(pointer_handler) = handler;
    set_flags(1, HANDLER, handler ? HANDLER : 0);
    pic_unmask(12);
    return DONE;
}

void pointer_service(struct bregs *r)
{
    uint8_t result = BAD_FUNCTION;
    switch (r->al) {
    case 0x00:
        result = enable(r);
        break;
    case 0x01:
        result = reset(r);
        break;
    case 0x02:
        result = set_rate(r);
        break;
    case 0x03:
        result = set_resolution(r);
        break;
    case 0x04:
        result = read_id(r);
        break;
    case 0x05:
        result = initialize(r);
        break;
    case 0x06:
        result = extended(r);
        break;
    case 0x07:
        result = set_handler(r);
        break;
    }
    r->ah = result;
    set_flag(r, FLAG_CF, result != DONE);
}

/* ---- packets ---- */

void pointer_byte(uint8_t byte)
{
    const uint8_t index = flags(0) & INDEX, last = flags(1) & SIZE;
    if (!(flags(1) & HANDLER))
        return;
    EBDA(pointer_data[index]) = byte;
    if (index < last) {
        set_flags(0, INDEX, index + 1);
        return;
    }
    set_flags(0, INDEX, 0);
    /* status, X, Y, Z as the handler finds them on its stack, the last pushed first */
    const uint16_t words[4] = {
        last >= 3 ? EBDA(pointer_data[3]) : 0,
        EBDA(pointer_data[2]),
        EBDA(pointer_data[1]),
        EBDA(pointer_data[0]),
    };
    call_pointer(EBDA(pointer_handler), words);
}

void handle_74(struct bregs *r)
{
    (void)r;
    const uint8_t status = inb(PS2_STATUS);
    if ((status & PS2_OUTPUT_FULL) && (status & PS2_FROM_AUX))
        pointer_byte(inb(PS2_DATA));
    pic_eoi(12);
}
