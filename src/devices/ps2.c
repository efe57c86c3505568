/* See ps2.h. Both queues are short: taking from the front moves the rest down. */
#include "devices/ps2.h"

static void ready(struct ps2_port *port)
{
    if (port->ready)
        port->ready(port->ready_opaque);
}

void ps2_answer(struct ps2_port *port, uint8_t byte)
{
    if (port->answers == PS2_ANSWER_BYTES)
        return; /* the controller takes none: the host sends without ever reading */
    port->answer[port->answers++] = byte;
    ready(port);
}

bool ps2_report(struct ps2_port *port, const uint8_t *bytes, unsigned n)
{
    if (port->reports + n > PS2_REPORT_BYTES)
        return false;
    memcpy(port->report + port->reports, bytes, n);
    port->reports = (uint8_t)(port->reports + n);
    ready(port);
    return true;
}

void ps2_overrun(struct ps2_port *port, uint8_t code)
{
    if (port->reports == sizeof port->report ||
        (port->reports && port->report[port->reports - 1] == code))
        return;
    port->report[port->reports++] = code;
    ready(port);
}

void ps2_drop_reports(struct ps2_port *port)
{
    port->reports = 0;
}

void ps2_drop_all(struct ps2_port *port)
{
    port->answers = port->reports = 0;
}

static uint8_t take(uint8_t *queue, uint8_t *len)
{
    const uint8_t byte = queue[0];
    memmove(queue, queue + 1, --*len);
    return byte;
}

uint8_t ps2_take(struct ps2_port *port)
{
    assert(ps2_pending(port));
    const uint8_t byte =
        port->answers ? take(port->answer, &port->answers) : take(port->report, &port->reports);
    port->last = byte;
    if (port->taken)
        port->taken(port->opaque);
    return byte;
}

void ps2_port_state(struct ps2_port *port, struct state *s)
{
    state_bytes(s, "answer", port->answer, sizeof port->answer);
    state_u8(s, "answers", &port->answers);
    state_check(s, port->answers <= sizeof port->answer, "answers");
    state_bytes(s, "report", port->report, sizeof port->report);
    state_u8(s, "reports", &port->reports);
    state_check(s, port->reports <= sizeof port->report, "reports");
    state_u8(s, "last", &port->last);
}
