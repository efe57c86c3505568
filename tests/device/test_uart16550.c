/* The UART: registers, interrupt identification, FIFO trigger and timeout, loopback, flow control.
 */
#include "fixture.h"

#include "devices/uart16550.h"

enum {
    BASE = 0x3f8,
    DATA = BASE,
    IER,
    IIR,
    LCR,
    MCR,
    LSR,
    MSR,
    SCR,
};

struct bench {
    struct fixture f;
    struct recorder irq;
    struct chr *chr;
    struct uart16550 *uart;
};

static void out(struct bench *b, uint16_t port, uint8_t v)
{
    iomap_write(&b->f.io, port, v, 1);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return (uint8_t)iomap_read(&b->f.io, port, 1);
}

static void step(struct bench *b, int64_t ns)
{
    event_step(&b->f.queue, &b->f.now_ns, ns);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    b->chr = chr_mem_create("test");
    const struct irq_line irq = recorder_line(&b->irq);
    b->uart = uart16550_create(&b->f.io, BASE, &b->f.queue, &b->f.log, &irq, b->chr);
    assert_non_null(b->uart);
    device_add(&b->f.devices, uart16550_device(b->uart));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    out(b, MCR, 0x0b); /* DTR, RTS, OUT2 */
    in(b, MSR);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    fixture_free(&b->f);
    chr_close(b->chr);
    free(b);
    return 0;
}

static void type(struct bench *b, const char *s)
{
    chr_mem_input(b->chr, s, strlen(s));
}

static void assert_output(struct bench *b, const char *s)
{
    size_t len;
    const char *got = chr_mem_output(b->chr, &len);
    assert_int_equal(len, strlen(s));
    assert_memory_equal(got, s, len);
}

/* DS "MASTER RESET": the table of reset values. */
static void reset_values(void **state)
{
    struct bench *b = *state;
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(in(b, IER), 0x00);
    assert_int_equal(in(b, IIR), 0x01);
    assert_int_equal(in(b, LCR), 0x00);
    assert_int_equal(in(b, MCR), 0x00);
    assert_int_equal(in(b, LSR), 0x60);
    assert_int_equal(in(b, MSR), 0xb0);
    assert_int_equal(b->irq.level, 0);
}

static void registers(void **state)
{
    struct bench *b = *state;
    out(b, SCR, 0xa5);
    assert_int_equal(in(b, SCR), 0xa5);
    out(b, LCR, 0x83);
    assert_int_equal(in(b, DATA), 12);
    out(b, DATA, 0x34);
    out(b, IER, 0x12);
    assert_int_equal(iomap_read(&b->f.io, DATA, 2), 0x1234);
    out(b, LCR, 0x03);
    out(b, IER, 0xff);
    assert_int_equal(in(b, IER), 0x0f);
    out(b, MCR, 0xff);
    assert_int_equal(in(b, MCR), 0x1f);
    out(b, LSR, 0x00); /* read only */
    assert_int_equal(in(b, LSR), 0x60);
}

static void transmit(void **state)
{
    struct bench *b = *state;
    for (const char *s = "hello"; *s; s++) {
        assert_int_equal(in(b, LSR), 0x60);
        out(b, DATA, (uint8_t)*s);
    }
    assert_output(b, "hello");
    assert_int_equal(in(b, IIR), 0x01);
}

/* SeaBIOS takes a port for a UART by this, Linux tests that it comes back. */
static void thre_interrupt(void **state)
{
    struct bench *b = *state;
    out(b, IER, 0x02);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(in(b, IIR), 0x02);
    assert_int_equal(b->irq.level, 0); /* read away */
    assert_int_equal(in(b, IIR), 0x01);
    out(b, IER, 0x02); /* no change, no interrupt */
    assert_int_equal(b->irq.level, 0);
    out(b, IER, 0x00);
    out(b, IER, 0x02);
    assert_int_equal(b->irq.level, 1);
    const unsigned before = b->irq.rises;
    out(b, DATA, 'x'); /* each byte sent is a new edge */
    assert_int_equal(b->irq.rises, before + 1);
    assert_int_equal(b->irq.level, 1);
    out(b, IER, 0x00);
    assert_int_equal(b->irq.level, 0);
}

static void out2_gates_the_line(void **state)
{
    struct bench *b = *state;
    out(b, MCR, 0x03);
    out(b, IER, 0x02);
    assert_int_equal(b->irq.level, 0);
    out(b, MCR, 0x0b);
    assert_int_equal(b->irq.level, 1);
}

static void receive_without_fifo(void **state)
{
    struct bench *b = *state;
    out(b, IER, 0x01);
    type(b, "abc");
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(in(b, IIR), 0x04);
    assert_int_equal(in(b, LSR), 0x61);
    assert_int_equal(in(b, DATA), 'a');
    assert_int_equal(in(b, DATA), 'b');
    assert_int_equal(in(b, DATA), 'c');
    assert_int_equal(in(b, LSR), 0x60); /* no overrun: the rest waited outside */
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(in(b, DATA), 'c');
}

static void fifo_trigger_and_timeout(void **state)
{
    struct bench *b = *state;
    out(b, LCR, 0x83);
    out(b, DATA, 1); /* 115200 8N1: four characters are 347222 ns */
    out(b, IER, 0);
    out(b, LCR, 0x03);
    out(b, IIR, 0x81); /* FIFOs, trigger at 8 */
    out(b, IER, 0x01);
    assert_int_equal(in(b, IIR), 0xc1);
    type(b, "1234567");
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(in(b, LSR), 0x61);
    step(b, 347221);
    assert_int_equal(b->irq.level, 0);
    step(b, 1);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(in(b, IIR), 0xcc);
    assert_int_equal(in(b, DATA), '1'); /* reading ends it and starts the time anew */
    assert_int_equal(b->irq.level, 0);
    type(b, "89");
    assert_int_equal(in(b, IIR), 0xc4);
    assert_int_equal(in(b, DATA), '2');
    assert_int_equal(in(b, IIR), 0xc1);
    step(b, 200000);
    type(b, "A"); /* so does a new character */
    in(b, DATA);
    step(b, 200000);
    assert_int_equal(b->irq.level, 0);
    step(b, 147222);
    assert_int_equal(in(b, IIR), 0xcc);
    while (in(b, LSR) & 1)
        in(b, DATA);
    assert_int_equal(in(b, IIR), 0xc1);
    assert_int_equal(event_next_due(&b->f.queue), EVENT_NEVER);
}

static void fifo_levels(void **state)
{
    struct bench *b = *state;
    static const uint8_t level[4] = {1, 4, 8, 14};
    out(b, IER, 0x01);
    for (unsigned i = 0; i < 4; i++) {
        out(b, IIR, (uint8_t)(i << 6 | 0x07));
        for (unsigned n = 1; n <= 16; n++) {
            type(b, "z");
            assert_int_equal(b->irq.level, n >= level[i]);
        }
    }
    out(b, IIR, 0x00); /* off: emptied, and no trace in IIR */
    assert_int_equal(in(b, LSR), 0x60);
    assert_int_equal(in(b, IIR), 0x01);
    out(b, IIR, 0xc0); /* without bit 0 the others do nothing */
    assert_int_equal(in(b, IIR), 0x01);
}

/* Whatever the guest does with the FIFO, the host's bytes come in order and complete. */
static void nothing_is_overrun(void **state)
{
    struct bench *b = *state;
    char text[2000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31 + i / 256);
    out(b, IIR, 0x01);
    chr_mem_input(b->chr, text, sizeof text);
    for (size_t i = 0; i < sizeof text; i++) {
        const uint8_t lsr = in(b, LSR);
        assert_int_equal(lsr, 0x61);
        assert_int_equal(in(b, DATA), (uint8_t)text[i]);
        if (i == 100) {
            out(b, MCR, 0x1b); /* loopback: the line waits */
            out(b, MCR, 0x0b);
        }
    }
    assert_int_equal(in(b, LSR), 0x60);
}

static void loopback(void **state)
{
    struct bench *b = *state;
    out(b, MCR, 0x1a); /* Linux' probe: OUT2 and RTS come back as DCD and CTS */
    assert_int_equal(in(b, MSR) & 0xf0, 0x90);
    type(b, "host");
    assert_int_equal(in(b, LSR), 0x60);
    out(b, DATA, 0xae);
    assert_int_equal(in(b, LSR), 0x61);
    out(b, DATA, 0xaf); /* overrun: RBR is lost */
    assert_int_equal(in(b, LSR), 0x63);
    assert_int_equal(in(b, LSR), 0x61);
    assert_int_equal(in(b, DATA), 0xaf);
    out(b, IIR, 0x01);
    for (unsigned i = 0; i < 17; i++)
        out(b, DATA, (uint8_t)i);
    assert_int_equal(in(b, LSR), 0x63); /* the FIFO keeps what it has */
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(b, DATA), i);
    assert_int_equal(in(b, LSR), 0x60);
    assert_output(b, "");
    out(b, MCR, 0x0b);
    assert_int_equal(in(b, DATA), 'h');
}

static void modem_status(void **state)
{
    struct bench *b = *state;
    out(b, IER, 0x08);
    out(b, MCR, 0x1b); /* DTR, RTS, OUT2 looped: no line changes */
    assert_int_equal(in(b, MSR), 0xb0);
    out(b, MCR, 0x1e);
    assert_int_equal(b->irq.level, 1);
    assert_int_equal(in(b, IIR), 0x00);
    assert_int_equal(in(b, MSR), 0xd2); /* DSR fell, ring came: no TERI yet */
    assert_int_equal(b->irq.level, 0);
    assert_int_equal(in(b, MSR), 0xd0);
    out(b, MCR, 0x1a);
    assert_int_equal(in(b, MSR), 0x94); /* the ring's trailing edge */
    out(b, MCR, 0x18);
    assert_int_equal(in(b, MSR), 0x81);
    out(b, MCR, 0x10);
    assert_int_equal(in(b, MSR), 0x08);
}

static void breaks_and_errors(void **state)
{
    struct bench *b = *state;
    out(b, IIR, 0x01);
    out(b, IER, 0x05);
    type(b, "a");
    b->chr->front.send_break(b->chr->front.opaque);
    type(b, "c");
    assert_int_equal(in(b, IIR), 0xc4);
    assert_int_equal(in(b, LSR), 0xe1); /* an error further down */
    assert_int_equal(in(b, DATA), 'a');
    assert_int_equal(in(b, IIR), 0xc6); /* now it is on top */
    assert_int_equal(in(b, LSR), 0xf1);
    assert_int_equal(in(b, IIR), 0xc4);
    assert_int_equal(in(b, LSR), 0x61);
    assert_int_equal(in(b, DATA), 0);
    assert_int_equal(in(b, DATA), 'c');
    out(b, IIR, 0x00);
    out(b, MCR, 0x1b);
    out(b, LCR, 0x43); /* our own break, looped */
    assert_int_equal(in(b, LSR), 0x71);
    assert_int_equal(in(b, DATA), 0);
}

static void priorities(void **state)
{
    struct bench *b = *state;
    out(b, MCR, 0x1f);
    in(b, MSR);
    out(b, IER, 0x0f);
    out(b, DATA, 1);
    out(b, DATA, 2);
    out(b, MCR, 0x1b);
    assert_int_equal(in(b, IIR), 0x06);
    in(b, LSR);
    assert_int_equal(in(b, IIR), 0x04);
    in(b, DATA);
    assert_int_equal(in(b, IIR), 0x02);
    assert_int_equal(in(b, IIR), 0x00);
    in(b, MSR);
    assert_int_equal(in(b, IIR), 0x01);
    assert_int_equal(b->irq.level, 0);
}

static void nothing_plugged_in(void **state)
{
    struct bench *b = *state;
    const struct irq_line none = {0};
    struct uart16550 *u = uart16550_create(&b->f.io, 0x2f8, &b->f.queue, &b->f.log, &none, NULL);
    assert_non_null(u);
    device_add(&b->f.devices, uart16550_device(u));
    assert_string_equal(uart16550_device(u)->name, "uart16550.2f8");
    out(b, 0x2f8, 'x');
    assert_int_equal(in(b, 0x2fd), 0x60);
    assert_int_equal(in(b, 0x2f8), 0);
    assert_output(b, "");
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    uint64_t seed = test_seed(16550);
    for (unsigned i = 0; i < 100000; i++) {
        const uint32_t r = fixture_random(&seed);
        const uint16_t port = (uint16_t)(BASE + (r >> 4 & 7));
        if (r & 1)
            out(b, port, (uint8_t)(r >> 8));
        else
            in(b, port);
        if (i % 50 == 0)
            type(b, "input");
        step(b, r >> 20);
    }
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    in(b, DATA);
    step(b, NS_PER_SEC);
    out(b, MCR, 0x10);
    out(b, LCR, 0x80);
    out(b, DATA, 99);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    out(b, IIR, 0x81);
    out(b, IER, 0x01);
    type(b, "abc");
    const int64_t due = event_next_due(&b->f.queue);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(event_next_due(&b->f.queue), due);
    for (const char *s = "abc"; *s; s++)
        assert_int_equal(in(b, DATA), *s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(reset_values),
        T(registers),
        T(transmit),
        T(thre_interrupt),
        T(out2_gates_the_line),
        T(receive_without_fifo),
        T(fifo_trigger_and_timeout),
        T(fifo_levels),
        T(nothing_is_overrun),
        T(loopback),
        T(modem_status),
        T(breaks_and_errors),
        T(priorities),
        T(nothing_plugged_in),
        T(any_access_is_survived),
        T(state_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
