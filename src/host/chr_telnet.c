/* See chr_telnet.h. */
#include "host/chr_telnet.h"

enum { SE = 240, BREAK = 243, SB = 250, WILL = 251, WONT = 252, DO = 253, DONT = 254, IAC = 255 };
enum { BINARY = 0, ECHO = 1, SUPPRESS_GO_AHEAD = 3 }; /* RFC 856, 857, 858 */

const uint8_t telnet_greeting[12] = {IAC, WILL, ECHO,   IAC, WILL, SUPPRESS_GO_AHEAD,
                                     IAC, WILL, BINARY, IAC, DO,   BINARY};

/* What was offered is not answered, or both would answer for ever; all else is declined. */
static void option(struct telnet *t, uint8_t what, const struct telnet_events *events)
{
    const bool known = what == BINARY || what == ECHO || what == SUPPRESS_GO_AHEAD;
    if (what == BINARY && (t->verb == WILL || t->verb == WONT))
        t->binary = t->verb == WILL;
    if (known || (t->verb != WILL && t->verb != DO))
        return;
    const uint8_t answer[3] = {IAC, t->verb == WILL ? DONT : WONT, what};
    events->answer(events->opaque, answer, sizeof answer);
}

/* The byte behind an IAC; true: it is data. */
static bool command(struct telnet *t, uint8_t c, const struct telnet_events *events)
{
    t->state = TELNET_DATA;
    if (c == IAC)
        return true;
    if (c == BREAK)
        events->got_break(events->opaque);
    if (c == SB)
        t->state = TELNET_SUB;
    if (c >= WILL && c <= DONT) {
        t->verb = c;
        t->state = TELNET_OPTION;
    }
    return false;
}

static bool is_data(struct telnet *t, uint8_t c, const struct telnet_events *events)
{
    switch (t->state) {
    case TELNET_DATA:
        break;
    case TELNET_COMMAND:
        return command(t, c, events);
    case TELNET_OPTION:
        option(t, c, events);
        t->state = TELNET_DATA;
        return false;
    case TELNET_SUB:
        t->state = c == IAC ? TELNET_SUB_COMMAND : TELNET_SUB;
        return false;
    case TELNET_SUB_COMMAND:
        t->state = c == SE ? TELNET_DATA : TELNET_SUB;
        return false;
    }
    if (c == IAC)
        t->state = TELNET_COMMAND;
    const bool padding = t->after_cr && !t->binary && c == 0;
    t->after_cr = c == '\r';
    return c != IAC && !padding;
}

size_t telnet_receive(struct telnet *t, uint8_t *buf, size_t len,
                      const struct telnet_events *events)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        const uint8_t c = buf[i];
        if (is_data(t, c, events))
            buf[n++] = c;
    }
    return n;
}
