/*
 * PC16550D UART with FIFOs (National Semiconductor data sheet TL/C/8652, called DS below; sections
 * are those of its register description, chapter 8), clocked with 1.8432 MHz, and the PC's gate of
 * its interrupt by OUT2.
 *
 * The transmitter takes no time: THR and shift register are empty again when a write returns, and
 * the THRE interrupt comes back with each byte. The receiver takes what the FIFO has room for and
 * the back-end keeps the rest, so nothing is ever overrun but in loopback mode. Guest time matters
 * for the FIFO timeout alone. The modem lines of the far end are always up.
 *
 * Not modelled: word length, parity and stop bits on the line (the byte goes out as written),
 * breaks sent, DMA mode signalling.
 */
#include "devices/uart16550.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REG_DATA = 0, /* RBR, THR; DLAB: DLL */
    REG_IER = 1,  /* DLAB: DLM */
    REG_IIR = 2,  /* write: FCR */
    REG_LCR = 3,
    REG_MCR = 4,
    REG_LSR = 5,
    REG_MSR = 6,
    REG_SCR = 7,

    IER_ERBFI = BIT(0), /* received data */
    IER_ETBEI = BIT(1), /* transmitter empty */
    IER_ELSI = BIT(2),  /* line status */
    IER_EDSSI = BIT(3), /* modem status */
    IER_ALL = 0x0f,

    IIR_MODEM = 0x00,
    IIR_NONE = 0x01,
    IIR_THRE = 0x02,
    IIR_DATA = 0x04,
    IIR_LINE = 0x06,
    IIR_TIMEOUT = 0x0c,
    IIR_FIFOS = 0xc0,

    FCR_ENABLE = BIT(0),
    FCR_CLEAR_RX = BIT(1),
    FCR_TRIGGER = 0xc0,

    LCR_WLS = 0x03,
    LCR_STB = BIT(2),
    LCR_PEN = BIT(3),
    LCR_BREAK = BIT(6),
    LCR_DLAB = BIT(7),

    MCR_DTR = BIT(0),
    MCR_RTS = BIT(1),
    MCR_OUT1 = BIT(2),
    MCR_OUT2 = BIT(3),
    MCR_LOOP = BIT(4),
    MCR_ALL = 0x1f,

    LSR_DR = BIT(0),
    LSR_OE = BIT(1),
    LSR_PE = BIT(2),
    LSR_FE = BIT(3),
    LSR_BI = BIT(4),
    LSR_THRE = BIT(5),
    LSR_TEMT = BIT(6),
    LSR_FIFO_ERROR = BIT(7),
    LSR_CHARACTER = LSR_PE | LSR_FE | LSR_BI, /* errors that belong to one character */
    LSR_ERRORS = LSR_OE | LSR_CHARACTER,

    MSR_DCTS = BIT(0), /* the four deltas lie four bits below their lines */
    MSR_TERI = BIT(2),
    MSR_CTS = BIT(4),
    MSR_DSR = BIT(5),
    MSR_RI = BIT(6),
    MSR_DCD = BIT(7),
};

#define FIFO_BYTES 16
#define BAUD_HZ    115200 /* 1.8432 MHz / 16 */

struct uart16550 {
    struct device dev;
    char name[24];
    struct io_region io;
    struct event_queue *events;
    struct log *log;
    struct irq_line irq;
    int irq_level;
    struct chr *chr;

    uint8_t ier, fcr, lcr, mcr, scr;
    uint16_t divisor;
    uint8_t errors;                                /* LSR_ERRORS not yet read */
    uint8_t changes;                               /* MSR deltas not yet read */
    bool thre;                                     /* THRE interrupt pending */
    bool timed_out;                                /* FIFO timeout interrupt pending */
    uint8_t rx[FIFO_BYTES], rx_errors[FIFO_BYTES]; /* a ring */
    uint8_t rx_head, rx_count;
    struct event timeout;
};

static bool fifos(const struct uart16550 *u)
{
    return u->fcr & FCR_ENABLE;
}

static unsigned capacity(const struct uart16550 *u)
{
    return fifos(u) ? FIFO_BYTES : 1;
}

/* DS "FIFO CONTROL REGISTER", bits 6 and 7. */
static unsigned trigger(const struct uart16550 *u)
{
    static const uint8_t level[4] = {1, 4, 8, 14};
    return fifos(u) ? level[u->fcr >> 6] : 1;
}

/* DS "INTERRUPT IDENTIFICATION REGISTER", table of priorities. */
static uint8_t interrupt_id(const struct uart16550 *u)
{
    if ((u->ier & IER_ELSI) && u->errors)
        return IIR_LINE;
    if ((u->ier & IER_ERBFI) && u->rx_count >= trigger(u))
        return IIR_DATA;
    if ((u->ier & IER_ERBFI) && u->timed_out)
        return IIR_TIMEOUT;
    if ((u->ier & IER_ETBEI) && u->thre)
        return IIR_THRE;
    if ((u->ier & IER_EDSSI) && u->changes)
        return IIR_MODEM;
    return IIR_NONE;
}

/* IBM PC/AT Technical Reference, "Serial/Parallel Adapter": OUT2 opens the way to the interrupt. */
static void uart16550_update_irq(struct uart16550 *u)
{
    const int level = interrupt_id(u) != IIR_NONE && (u->mcr & MCR_OUT2);
    if (level != u->irq_level) {
        u->irq_level = level;
        irq_set(&u->irq, level);
    }
}

/* Four characters as they are on the line now: start, data, parity, stop. Divisor 0 counts as 1. */
static int64_t timeout_ns(const struct uart16550 *u)
{
    const unsigned wls = u->lcr & LCR_WLS;
    const unsigned stop_halves = !(u->lcr & LCR_STB) ? 2 : wls == 0 ? 3 : 4;
    const unsigned halves = 2 * (1 + 5 + wls + (u->lcr & LCR_PEN ? 1 : 0)) + stop_halves;
    const unsigned divisor = u->divisor ? u->divisor : 1;
    return 4 * NS_PER_SEC * halves * divisor / (INT64_C(2) * BAUD_HZ);
}

/*
 * DS "FIFO INTERRUPT MODE OPERATION": the timeout runs anew from each character received or read
 * while there is one in the FIFO; reading one ends the interrupt.
 */
static void restart_timeout(struct uart16550 *u)
{
    if (fifos(u) && u->rx_count)
        event_arm(u->events, &u->timeout, event_now(u->events) + timeout_ns(u));
    else
        event_cancel(u->events, &u->timeout);
}

static void timeout_expired(void *opaque, int64_t now_ns)
{
    (void)now_ns;
    struct uart16550 *u = opaque;
    u->timed_out = true;
    uart16550_update_irq(u);
}

/* DS "LINE STATUS REGISTER": a character's errors show when it comes to the top of the FIFO. */
static void show_top(struct uart16550 *u)
{
    if (!u->rx_count)
        return;
    u->errors |= u->rx_errors[u->rx_head];
    u->rx_errors[u->rx_head] = 0;
}

/* DS "LINE STATUS REGISTER", bit 1: an overrun destroys RBR, but not what is in the FIFO. */
static void put(struct uart16550 *u, uint8_t byte, uint8_t errors)
{
    if (u->rx_count == capacity(u)) {
        u->errors |= LSR_OE;
        log_guest(u->log, "%s: overrun in loopback mode", u->name);
        if (!fifos(u)) {
            u->rx[u->rx_head] = byte;
            u->errors |= errors;
        }
        return;
    }
    const unsigned at = (u->rx_head + u->rx_count++) % FIFO_BYTES;
    u->rx[at] = byte;
    u->rx_errors[at] = errors;
    if (u->rx_count == 1)
        show_top(u);
    restart_timeout(u);
}

static void clear_rx(struct uart16550 *u)
{
    u->rx_count = 0;
    memset(u->rx_errors, 0, sizeof u->rx_errors);
    u->timed_out = false;
    restart_timeout(u);
}

/* An empty receiver gives the last character again. */
static uint8_t read_data(struct uart16550 *u)
{
    if (!u->rx_count)
        return u->rx[(u->rx_head + FIFO_BYTES - 1) % FIFO_BYTES];
    const uint8_t byte = u->rx[u->rx_head];
    u->rx_head = (u->rx_head + 1) % FIFO_BYTES;
    u->rx_count--;
    u->timed_out = false;
    show_top(u);
    restart_timeout(u);
    uart16550_update_irq(u);
    if (!(u->mcr & MCR_LOOP))
        chr_accept_input(u->chr);
    return byte;
}

/* The interrupt goes away with the write and returns when the byte has left: an edge each time. */
static void write_data(struct uart16550 *u, uint8_t byte)
{
    u->thre = false;
    uart16550_update_irq(u);
    if (u->mcr & MCR_LOOP)
        put(u, byte, 0);
    else
        chr_write(u->chr, &byte, 1);
    u->thre = true;
    uart16550_update_irq(u);
}

/* DS "INTERRUPT ENABLE REGISTER": enabling THRE while it is empty interrupts at once. */
static void write_ier(struct uart16550 *u, uint8_t v)
{
    if ((v ^ u->ier) & IER_ETBEI)
        u->thre = v & IER_ETBEI;
    u->ier = v & IER_ALL;
    uart16550_update_irq(u);
}

/* DS "IIR": reading it ends the THRE interrupt, if that is what it shows. */
static uint8_t read_iir(struct uart16550 *u)
{
    const uint8_t id = interrupt_id(u);
    if (id == IIR_THRE) {
        u->thre = false;
        uart16550_update_irq(u);
    }
    return id | (fifos(u) ? IIR_FIFOS : 0);
}

/* DS "FIFO CONTROL REGISTER": turning the FIFOs on or off empties them; without bit 0 no other
 * counts. */
static void write_fcr(struct uart16550 *u, uint8_t v)
{
    const uint8_t old = u->fcr;
    u->fcr = v & FCR_ENABLE ? v & (FCR_ENABLE | FCR_TRIGGER) : 0;
    if (((u->fcr ^ old) & FCR_ENABLE) || (fifos(u) && (v & FCR_CLEAR_RX)))
        clear_rx(u);
    uart16550_update_irq(u);
    if (!(u->mcr & MCR_LOOP))
        chr_accept_input(u->chr);
}

/* A break in loopback mode is received at once. */
static void write_lcr(struct uart16550 *u, uint8_t v)
{
    const uint8_t rises = v & ~u->lcr;
    u->lcr = v;
    if ((rises & LCR_BREAK) && (u->mcr & MCR_LOOP)) {
        put(u, 0, LSR_BI);
        uart16550_update_irq(u);
    }
}

/* Modem lines as in MSR bits 7..4. DS "MODEM CONTROL REGISTER", bit 4: what loopback ties to what.
 */
static uint8_t modem_lines(const struct uart16550 *u)
{
    if (!(u->mcr & MCR_LOOP))
        return MSR_DCD | MSR_DSR | MSR_CTS;
    return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
                     (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

/* DS "MODEM STATUS REGISTER": TERI tells only the end of a ring. */
static void write_mcr(struct uart16550 *u, uint8_t v)
{
    const uint8_t old = modem_lines(u);
    const bool was_loop = u->mcr & MCR_LOOP;
    u->mcr = v & MCR_ALL;
    const uint8_t now = modem_lines(u);
    u->changes |= ((old ^ now) & ~(now & MSR_RI)) >> 4;
    uart16550_update_irq(u);
    if (was_loop && !(u->mcr & MCR_LOOP))
        chr_accept_input(u->chr);
}

static uint8_t read_lsr(struct uart16550 *u)
{
    uint8_t v = u->errors | LSR_THRE | LSR_TEMT | (u->rx_count ? LSR_DR : 0);
    bool in_fifo = u->errors & LSR_CHARACTER;
    for (unsigned i = 0; i < u->rx_count; i++)
        in_fifo |= u->rx_errors[(u->rx_head + i) % FIFO_BYTES] != 0;
    if (fifos(u) && in_fifo)
        v |= LSR_FIFO_ERROR;
    u->errors = 0;
    uart16550_update_irq(u);
    return v;
}

static uint8_t read_msr(struct uart16550 *u)
{
    const uint8_t v = modem_lines(u) | u->changes;
    u->changes = 0;
    uart16550_update_irq(u);
    return v;
}

static uint64_t uart16550_read(void *opaque, uint64_t offset, unsigned size)
{
    (void)size;
    struct uart16550 *u = opaque;
    const bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case REG_DATA:
        return dlab ? u->divisor & 0xff : read_data(u);
    case REG_IER:
        return dlab ? u->divisor >> 8 : u->ier;
    case REG_IIR:
        return read_iir(u);
    case REG_LCR:
        return u->lcr;
    case REG_MCR:
        return u->mcr;
    case REG_LSR:
        return read_lsr(u);
    case REG_MSR:
        return read_msr(u);
    default:
        return u->scr;
    }
}

static void uart16550_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
    (void)size;
    struct uart16550 *u = opaque;
    const uint8_t v = (uint8_t)value;
    const bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case REG_DATA:
        if (dlab)
            u->divisor = (u->divisor & 0xff00) | v;
        else
            write_data(u, v);
        break;
    case REG_IER:
        if (dlab)
            u->divisor = (uint16_t)((u->divisor & 0x00ff) | v << 8);
        else
            write_ier(u, v);
        break;
    case REG_IIR:
        write_fcr(u, v);
        break;
    case REG_LCR:
        write_lcr(u, v);
        break;
    case REG_MCR:
        write_mcr(u, v);
        break;
    case REG_SCR:
        u->scr = v;
        break;
    default:
        break; /* DS: LSR is for reading only; MSR's deltas are factory tests */
    }
}

/* The back-end's side, on the machine's thread. In loopback mode the line is cut off. */
static size_t can_receive(void *opaque)
{
    const struct uart16550 *u = opaque;
    return u->mcr & MCR_LOOP ? 0 : capacity(u) - u->rx_count;
}

static void receive(void *opaque, const uint8_t *buf, size_t len)
{
    struct uart16550 *u = opaque;
    for (size_t i = 0; i < len; i++)
        put(u, buf[i], 0);
    uart16550_update_irq(u);
}

/* DS "LINE STATUS REGISTER", bit 4: one zero character stands for the break. */
static void receive_break(void *opaque)
{
    struct uart16550 *u = opaque;
    if (u->mcr & MCR_LOOP)
        return;
    put(u, 0, LSR_BI);
    uart16550_update_irq(u);
}

/* DS "MASTER RESET": table of reset values. The divisor, which stays undefined, gives 9600 baud. */
static void uart16550_reset(struct device *dev, enum reset_kind kind)
{
    (void)kind;
    struct uart16550 *u = container_of(dev, struct uart16550, dev);
    u->ier = u->fcr = u->lcr = u->mcr = u->scr = 0;
    u->divisor = 12;
    u->errors = u->changes = 0;
    u->thre = u->timed_out = false;
    u->rx_head = u->rx_count = 0;
    memset(u->rx, 0, sizeof u->rx);
    memset(u->rx_errors, 0, sizeof u->rx_errors);
}

static void uart16550_reset_lines(struct device *dev)
{
    struct uart16550 *u = container_of(dev, struct uart16550, dev);
    u->irq_level = 0;
    irq_set(&u->irq, 0);
    restart_timeout(u);
    chr_accept_input(u->chr);
}

static void uart16550_state(struct device *dev, struct state *s)
{
    struct uart16550 *u = container_of(dev, struct uart16550, dev);
    state_begin(s, u->name, 1);
    state_u8(s, "ier", &u->ier);
    state_u8(s, "fcr", &u->fcr);
    state_u8(s, "lcr", &u->lcr);
    state_u8(s, "mcr", &u->mcr);
    state_u8(s, "scr", &u->scr);
    state_u16(s, "divisor", &u->divisor);
    state_u8(s, "errors", &u->errors);
    state_u8(s, "changes", &u->changes);
    state_bool(s, "thre", &u->thre);
    state_bool(s, "timed_out", &u->timed_out);
    state_bytes(s, "rx", u->rx, sizeof u->rx);
    state_bytes(s, "rx_errors", u->rx_errors, sizeof u->rx_errors);
    state_u8(s, "rx_head", &u->rx_head);
    state_check(s, u->rx_head < FIFO_BYTES, "rx_head");
    state_u8(s, "rx_count", &u->rx_count);
    state_check(s, u->rx_count <= capacity(u), "rx_count");
    state_event(s, "timeout", u->events, &u->timeout);
    state_end(s);
}

static void uart16550_loaded(struct device *dev)
{
    struct uart16550 *u = container_of(dev, struct uart16550, dev);
    u->irq_level = interrupt_id(u) != IIR_NONE && (u->mcr & MCR_OUT2);
    chr_accept_input(u->chr);
}

static void uart16550_destroy(struct device *dev)
{
    struct uart16550 *u = container_of(dev, struct uart16550, dev);
    event_cancel(u->events, &u->timeout);
    chr_attach(u->chr, &(struct chr_front){0});
    free(u);
}

static const struct device_ops uart16550_ops = {
    .reset = uart16550_reset,
    .reset_lines = uart16550_reset_lines,
    .state = uart16550_state,
    .loaded = uart16550_loaded,
    .destroy = uart16550_destroy,
};

static const struct io_ops port_ops = {
    .read = uart16550_read,
    .write = uart16550_write,
    .max_size = 1,
};

struct device *uart16550_device(struct uart16550 *uart)
{
    return &uart->dev;
}

struct uart16550 *uart16550_create(struct iomap *io, uint16_t base, struct event_queue *events,
                                   struct log *log, const struct irq_line *irq, struct chr *chr)
{
    struct uart16550 *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    snprintf(u->name, sizeof u->name, "uart16550.%x", base);
    u->dev = (struct device){.name = u->name, .ops = &uart16550_ops};
    u->events = events;
    u->log = log;
    u->irq = *irq;
    u->chr = chr;
    event_init(&u->timeout, u->name, timeout_expired, u);
    uart16550_reset(&u->dev, RESET_POWER_ON);
    u->io = (struct io_region){.name = u->name, .ops = &port_ops, .opaque = u};
    iomap_add(io, &u->io, base, 8);
    chr_attach(chr, &(struct chr_front){.can_receive = can_receive,
                                        .receive = receive,
                                        .send_break = receive_break,
                                        .opaque = u});
    return u;
}
