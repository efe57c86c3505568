/* The 8259 pair: every command word, both trigger modes, cascade, spurious requests. */
#include "fixture.h"

#include "devices/pic8259.h"

#include <stdio.h>

enum { M = 0x20, S = 0xa0, ELCR = 0x4d0 };

struct bench {
    struct fixture f;
    struct recorder intr;
    struct pic8259 *pic;
};

static void out(struct bench *b, uint16_t port, uint8_t v)
{
    iomap_write(&b->f.io, port, v, 1);
}

static uint8_t in(struct bench *b, uint16_t port)
{
    return (uint8_t)iomap_read(&b->f.io, port, 1);
}

static void line(struct bench *b, unsigned irq, int level)
{
    pic8259_set_irq(b->pic, irq, level);
}

static uint8_t irr(struct bench *b, uint16_t port)
{
    out(b, port, 0x0a);
    return in(b, port);
}

static uint8_t isr(struct bench *b, uint16_t port)
{
    out(b, port, 0x0b);
    return in(b, port);
}

/* As every PC BIOS and operating system does it; vectors 30h and 38h. */
static void init(struct bench *b, uint8_t icw4)
{
    out(b, M, 0x11);
    out(b, M + 1, 0x30);
    out(b, M + 1, 0x04);
    out(b, M + 1, icw4);
    out(b, S, 0x11);
    out(b, S + 1, 0x38);
    out(b, S + 1, 0x02);
    out(b, S + 1, icw4 & ~0x10);
}

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    fixture_init(&b->f, MiB);
    const struct irq_line intr = recorder_line(&b->intr);
    b->pic = pic8259_create(&b->f.io, &b->f.log, &intr);
    assert_non_null(b->pic);
    device_add(&b->f.devices, pic8259_device(b->pic));
    device_reset_all(&b->f.devices, RESET_POWER_ON);
    init(b, 0x01);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    fixture_free(&b->f);
    free(b);
    return 0;
}

static void a_request_from_edge_to_eoi(void **state)
{
    struct bench *b = *state;
    line(b, 1, 1);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(irr(b, M), 0x02);
    assert_int_equal(pic8259_ack(b->pic), 0x31);
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(irr(b, M), 0x00);
    assert_int_equal(isr(b, M), 0x02);
    out(b, M, 0x20);
    assert_int_equal(isr(b, M), 0x00);
    assert_int_equal(b->intr.level, 0); /* the line is still high: no new edge */
    line(b, 1, 0);
    line(b, 1, 1);
    assert_int_equal(b->intr.level, 1);
}

static void an_edge_whose_line_falls_is_no_request(void **state)
{
    struct bench *b = *state;
    line(b, 3, 1);
    line(b, 3, 0);
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(irr(b, M), 0);
    assert_int_equal(pic8259_ack(b->pic), 0x37); /* the CPU had already begun: spurious */
    assert_int_equal(isr(b, M), 0);
    line(b, 12, 1);
    line(b, 12, 0);
    assert_int_equal(pic8259_ack(b->pic), 0x37);
    assert_int_equal(isr(b, M) | isr(b, S), 0);
}

static void masking_before_inta_is_spurious_too(void **state)
{
    struct bench *b = *state;
    line(b, 10, 1);
    out(b, S + 1, 0x04);
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(pic8259_ack(b->pic), 0x37);
    out(b, S + 1, 0x00);
    assert_int_equal(b->intr.level, 1); /* the request has waited */
    assert_int_equal(pic8259_ack(b->pic), 0x3a);
}

static void cascade(void **state)
{
    struct bench *b = *state;
    line(b, 8, 1);
    line(b, 15, 1);
    assert_int_equal(irr(b, M), 0x04);
    assert_int_equal(pic8259_ack(b->pic), 0x38);
    assert_int_equal(isr(b, M), 0x04);
    assert_int_equal(isr(b, S), 0x01);
    assert_int_equal(b->intr.level, 0);
    out(b, S, 0x20); /* the slave's next request reaches IR2, which is still in service */
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(irr(b, M), 0x04);
    out(b, M, 0x20);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x3f);
    out(b, M, 0x20); /* the other way round */
    out(b, S, 0x20);
    assert_int_equal(b->intr.level, 0);
    line(b, 2, 1); /* nobody but the slave drives IR2 */
    assert_int_equal(b->intr.level, 0);
}

static void fully_nested(void **state)
{
    struct bench *b = *state;
    line(b, 4, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x34);
    line(b, 6, 1);
    assert_int_equal(b->intr.level, 0);
    line(b, 3, 1);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x33);
    assert_int_equal(isr(b, M), 0x18);
    out(b, M, 0x20);
    assert_int_equal(isr(b, M), 0x10);
    out(b, M, 0x60 | 4);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x36);
}

static void masks(void **state)
{
    struct bench *b = *state;
    out(b, M + 1, 0xfb);
    assert_int_equal(in(b, M + 1), 0xfb);
    line(b, 0, 1);
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(irr(b, M), 0x01);
    out(b, M + 1, 0xfa);
    assert_int_equal(b->intr.level, 1);
}

static void level_triggered(void **state)
{
    struct bench *b = *state;
    out(b, ELCR + 1, 0x0c);
    assert_int_equal(in(b, ELCR + 1), 0x0c);
    line(b, 11, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x3b);
    assert_int_equal(irr(b, S), 0x08); /* IRR follows the line */
    out(b, S, 0x20);
    out(b, M, 0x20);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x3b);
    line(b, 11, 0);
    out(b, S, 0x20);
    out(b, M, 0x20);
    assert_int_equal(b->intr.level, 0);
    out(b, ELCR, 0xff); /* IRQ0, 1, 2, 8, 13 cannot be made level-triggered */
    out(b, ELCR + 1, 0xff);
    assert_int_equal(iomap_read(&b->f.io, ELCR, 2), 0xdef8);
}

static void special_mask_mode(void **state)
{
    struct bench *b = *state;
    line(b, 1, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x31);
    line(b, 5, 1);
    assert_int_equal(b->intr.level, 0);
    out(b, M + 1, 0x02); /* masked and in service: with SMM it holds nobody back */
    assert_int_equal(b->intr.level, 0);
    out(b, M, 0x68);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x35);
    assert_int_equal(isr(b, M), 0x22);
    out(b, M, 0x20); /* a plain EOI passes over the masked one */
    assert_int_equal(isr(b, M), 0x02);
    out(b, M, 0x20);
    assert_int_equal(isr(b, M), 0x02);
    out(b, M, 0x28); /* ESMM clear: SMM as it was */
    out(b, M, 0x20);
    assert_int_equal(isr(b, M), 0x02);
    out(b, M, 0x48);
    out(b, M, 0x20);
    assert_int_equal(isr(b, M), 0x00);
}

static void rotation(void **state)
{
    struct bench *b = *state;
    out(b, M, 0xc0 | 3); /* IR3 lowest, IR4 highest */
    line(b, 3, 1);
    line(b, 4, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x34);
    out(b, M, 0xa0); /* rotate on EOI: IR4 lowest */
    line(b, 4, 0);
    line(b, 4, 1);
    line(b, 5, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x35);
    out(b, M, 0xe0 | 5);
    assert_int_equal(isr(b, M), 0);
    line(b, 6, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x36);
    out(b, M, 0x20);
    assert_int_equal(pic8259_ack(b->pic), 0x33);
    out(b, M, 0x20);
    assert_int_equal(pic8259_ack(b->pic), 0x34);
    out(b, M, 0x40); /* no operation */
    assert_int_equal(isr(b, M), 0x10);
}

static void automatic_eoi(void **state)
{
    struct bench *b = *state;
    init(b, 0x03);
    line(b, 1, 1);
    line(b, 4, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x31);
    assert_int_equal(isr(b, M), 0);
    assert_int_equal(b->intr.level, 1);
    out(b, M, 0x80); /* rotate in AEOI mode */
    assert_int_equal(pic8259_ack(b->pic), 0x34);
    line(b, 4, 0);
    line(b, 4, 1);
    line(b, 7, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x37);
    out(b, M, 0x00);
    assert_int_equal(pic8259_ack(b->pic), 0x34);
    line(b, 0, 1);
    line(b, 5, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x30); /* IR7 is still lowest */
}

static void special_fully_nested(void **state)
{
    struct bench *b = *state;
    init(b, 0x11);
    line(b, 12, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x3c);
    line(b, 4, 1); /* below IR2: waits */
    assert_int_equal(b->intr.level, 0);
    line(b, 9, 1); /* above IR12 within the slave */
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x39);
    assert_int_equal(isr(b, S), 0x12);
    line(b, 14, 1);
    assert_int_equal(b->intr.level, 0);
}

static void polling(void **state)
{
    struct bench *b = *state;
    out(b, M, 0x0c);
    assert_int_equal(in(b, M) & 0x80, 0);
    line(b, 6, 1);
    out(b, M, 0x0c);
    assert_int_equal(in(b, M), 0x86);
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(isr(b, M), 0x40);
    assert_int_equal(in(b, M + 1), 0x00); /* one read only */
    line(b, 13, 1);
    out(b, M, 0x0c);
    assert_int_equal(in(b, M + 1), 0x82); /* any address will do */
    out(b, S, 0x0c);
    assert_int_equal(in(b, S), 0x85);
}

static void initialization(void **state)
{
    struct bench *b = *state;
    out(b, M + 1, 0xff);
    out(b, M, 0xc0 | 2);
    out(b, M, 0x68);
    line(b, 5, 1);
    out(b, M, 0x11);
    assert_int_equal(in(b, M), 0x00); /* reads give IRR; the edge is forgotten */
    out(b, M + 1, 0x47);              /* low three bits do not count */
    out(b, M + 1, 0x04);
    out(b, M + 1, 0x01);
    assert_int_equal(in(b, M + 1), 0x00);
    assert_int_equal(b->intr.level, 0);
    line(b, 5, 0);
    line(b, 5, 1);
    line(b, 0, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x40);
    out(b, M, 0x12); /* no ICW3, no ICW4 */
    out(b, M + 1, 0x50);
    out(b, M + 1, 0xfe);
    assert_int_equal(in(b, M + 1), 0xfe);
}

struct text {
    char line[2][128];
    unsigned n;
};

static void add_line(void *opaque, const char *s)
{
    struct text *t = opaque;
    assert_true(t->n < 2);
    snprintf(t->line[t->n++], sizeof t->line[0], "%s", s);
}

static void printing(void **state)
{
    struct bench *b = *state;
    struct text t = {.n = 0};
    line(b, 4, 1);
    out(b, S + 1, 0x9f);
    pic8259_print(b->pic, add_line, &t);
    assert_string_equal(t.line[0],
                        "pic0: irr=10 imr=00 isr=00 hprio=0 irq_base=30 rr_sel=0 elcr=00 fnm=0");
    assert_string_equal(t.line[1],
                        "pic1: irr=00 imr=9f isr=00 hprio=0 irq_base=38 rr_sel=0 elcr=00 fnm=0");
}

static void any_access_is_survived(void **state)
{
    struct bench *b = *state;
    static const uint16_t ports[] = {M, M + 1, S, S + 1, ELCR, ELCR + 1};
    uint64_t seed = test_seed(8259);
    for (unsigned i = 0; i < 200000; i++) {
        const uint32_t r = fixture_random(&seed);
        const uint16_t port = ports[(r >> 4) % ARRAY_SIZE(ports)];
        switch (r & 3) {
        case 0:
            out(b, port, (uint8_t)(r >> 8));
            break;
        case 1:
            in(b, port);
            break;
        case 2:
            line(b, r >> 8 & 15, r >> 12 & 1);
            break;
        default:
            assert_in_range(pic8259_ack(b->pic), 0, 255);
            break;
        }
        assert_int_equal(b->intr.level, pic8259_intr(b->pic));
    }
    /* Whatever it was, it can be set right again. */
    for (unsigned irq = 0; irq < 16; irq++)
        line(b, irq, 0);
    init(b, 0x01);
    line(b, 9, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x39);
}

static void disturb(void *opaque)
{
    struct bench *b = opaque;
    pic8259_ack(b->pic);
    out(b, M, 0x11);
    line(b, 9, 0);
    out(b, S + 1, 0xff);
}

static void state_round_trip(void **state)
{
    struct bench *b = *state;
    line(b, 9, 1);
    fixture_check_round_trip(&b->f, disturb, b);
    assert_int_equal(b->intr.level, 1);
    assert_int_equal(pic8259_ack(b->pic), 0x39);
}

static void reset(void **state)
{
    struct bench *b = *state;
    out(b, ELCR, 0x20);
    line(b, 9, 1);
    device_reset_all(&b->f.devices, RESET_HARD);
    assert_int_equal(b->intr.level, 0);
    assert_int_equal(in(b, ELCR), 0);
    assert_int_equal(irr(b, S), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_request_from_edge_to_eoi),
        T(an_edge_whose_line_falls_is_no_request),
        T(masking_before_inta_is_spurious_too),
        T(cascade),
        T(fully_nested),
        T(masks),
        T(level_triggered),
        T(special_mask_mode),
        T(rotation),
        T(automatic_eoi),
        T(special_fully_nested),
        T(polling),
        T(initialization),
        T(printing),
        T(any_access_is_survived),
        T(state_round_trip),
        T(reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
