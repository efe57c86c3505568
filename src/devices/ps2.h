/*
 * The cable between the keyboard controller and a PS/2 device: what the device has to say waits
 * here until the controller takes it. Answers to commands go before reports (keys, movements).
 * Everything runs under the machine's lock.
 */
#ifndef VITRINE_DEVICES_PS2_H
#define VITRINE_DEVICES_PS2_H

#include "core/state.h"
#include "core/types.h"

#define PS2_ANSWER_BYTES 8
#define PS2_REPORT_BYTES \
    16 /* IBM PS/2 HITR, "Keyboard Buffer": 16 bytes, a 17th tells the overrun */

enum ps2_byte {
    PS2_BAT_OK = 0xaa,
    PS2_ECHO = 0xee,
    PS2_ACK = 0xfa,
    PS2_BAT_FAILED = 0xfc,
    PS2_RESEND = 0xfe,
};

struct ps2_port {
    uint8_t answer[PS2_ANSWER_BYTES], answers;
    uint8_t report[PS2_REPORT_BYTES + 1], reports;
    uint8_t last; /* sent last, for RESEND */
    /* The device's: a byte from the controller; it took a byte and has room again (may be NULL). */
    void (*receive)(void *opaque, uint8_t byte);
    void (*taken)(void *opaque);
    void *opaque;
    /* The controller's: there is something to take. May be NULL. */
    void (*ready)(void *opaque);
    void *ready_opaque;
};

/* For the device. An answer that does not fit is dropped; reports are kept whole or not at all. */
void ps2_answer(struct ps2_port *port, uint8_t byte);
bool ps2_report(struct ps2_port *port, const uint8_t *bytes, unsigned n);
/* Puts code behind the reports to say that one was lost, unless it stands there already. */
void ps2_overrun(struct ps2_port *port, uint8_t code);
void ps2_drop_reports(struct ps2_port *port);
void ps2_drop_all(struct ps2_port *port);
void ps2_port_state(struct ps2_port *port, struct state *s);

/* For the controller. */
static inline bool ps2_pending(const struct ps2_port *port)
{
    return port->answers || port->reports;
}
uint8_t ps2_take(struct ps2_port *port); /* only while ps2_pending() */
static inline void ps2_send(struct ps2_port *port, uint8_t byte)
{
    port->receive(port->opaque, byte);
}

#endif
