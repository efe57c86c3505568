/* The field walk: what is saved loads, hashes agree, hostile input is refused, dumps read well. */
#include "core/event.h"
#include "core/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct part {
    bool on;
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    int64_t e;
    uint8_t bytes[40];
    struct event timer;
};

static void part_state(struct part *p, struct state *s, struct event_queue *q)
{
    state_begin(s, "part", 2);
    state_bool(s, "on", &p->on);
    state_u8(s, "a", &p->a);
    state_check(s, p->a < 100, "a");
    state_u16(s, "b", &p->b);
    state_u32(s, "c", &p->c);
    state_u64(s, "d", &p->d);
    state_i64(s, "e", &p->e);
    state_bytes(s, "bytes", p->bytes, sizeof p->bytes);
    state_event(s, "timer", q, &p->timer);
    state_end(s);
}

static void fire(void *opaque, int64_t now_ns)
{
    (void)opaque;
    (void)now_ns;
}

static int64_t now_ns;

static void part_init(struct part *p, struct event_queue *q)
{
    *p = (struct part){
        .on = true, .a = 7, .b = 0x1234, .c = 0xdeadbeef, .d = UINT64_C(1) << 60, .e = -5};
    for (unsigned i = 0; i < sizeof p->bytes; i++)
        p->bytes[i] = (uint8_t)i;
    event_queue_init_stepped(q, &now_ns);
    event_init(&p->timer, "part.timer", fire, p);
    event_arm(q, &p->timer, 12345);
}

static void test_round_trip(void **unused)
{
    (void)unused;
    struct event_queue q, q2;
    struct part p, r;
    part_init(&p, &q);
    struct state s;
    state_init_save(&s);
    part_state(&p, &s, &q);
    assert_string_equal(s.err.msg, "");

    part_init(&r, &q2);
    r.on = false;
    r.a = 9;
    r.b = 0;
    r.c = 1;
    r.d = 2;
    r.e = 3;
    memset(r.bytes, 0xff, sizeof r.bytes);
    event_cancel(&q2, &r.timer);
    struct state l;
    state_init_load(&l, s.buf, s.len);
    part_state(&r, &l, &q2);
    assert_string_equal(l.err.msg, "");
    assert_int_equal(l.pos, s.len);
    assert_true(r.on);
    assert_int_equal(r.a, 7);
    assert_int_equal(r.b, 0x1234);
    assert_int_equal(r.c, 0xdeadbeef);
    assert_true(r.d == UINT64_C(1) << 60);
    assert_true(r.e == -5);
    assert_memory_equal(r.bytes, p.bytes, sizeof p.bytes);
    assert_true(r.timer.due_ns == 12345);
    assert_ptr_equal(q2.head, &r.timer);

    /* Saved again, it is the same file. */
    struct state s2;
    state_init_save(&s2);
    part_state(&r, &s2, &q2);
    assert_int_equal(s2.len, s.len);
    assert_memory_equal(s2.buf, s.buf, s.len);
    state_free(&s2);
    state_free(&s);
    state_free(&l);
}

static void test_event_never(void **unused)
{
    (void)unused;
    struct event_queue q;
    struct part p;
    part_init(&p, &q);
    event_cancel(&q, &p.timer);
    struct state s, l;
    state_init_save(&s);
    part_state(&p, &s, &q);
    event_arm(&q, &p.timer, 99);
    state_init_load(&l, s.buf, s.len);
    part_state(&p, &l, &q);
    assert_string_equal(l.err.msg, "");
    assert_false(event_armed(&p.timer));
    assert_null(q.head);
    state_free(&s);
}

static uint64_t hash_of(struct part *p, struct event_queue *q)
{
    struct state s;
    state_init_hash(&s);
    part_state(p, &s, q);
    return s.hash;
}

static void test_hash(void **unused)
{
    (void)unused;
    struct event_queue q;
    struct part p;
    part_init(&p, &q);
    const uint64_t h = hash_of(&p, &q);
    assert_true(h == hash_of(&p, &q));
    p.bytes[39] ^= 1;
    assert_true(h != hash_of(&p, &q));
    p.bytes[39] ^= 1;
    assert_true(h == hash_of(&p, &q));
    event_arm(&q, &p.timer, 12346);
    assert_true(h != hash_of(&p, &q));

    /* FNV-1a of the section's name with its zero is what an empty section hashes to. */
    struct state s;
    state_init_hash(&s);
    state_begin(&s, "", 1);
    state_end(&s);
    assert_true(s.hash == UINT64_C(0xaf63bd4c8601b7df));
}

/* Every cut and every changed byte of a saved state loads with an error or as legal values. */
static void test_hostile(void **unused)
{
    (void)unused;
    struct event_queue q;
    struct part p;
    part_init(&p, &q);
    struct state s, l;
    state_init_save(&s);
    part_state(&p, &s, &q);
    for (size_t cut = 0; cut < s.len; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* exactly so long: the sanitizer sees a read past */
        memcpy(copy, s.buf, cut);
        struct part r;
        part_init(&r, &q);
        state_init_load(&l, copy, cut);
        part_state(&r, &l, &q);
        assert_true(l.err.msg[0]);
        event_cancel(&q, &r.timer);
        free(copy);
    }
    for (size_t at = 0; at < s.len; at++) {
        for (unsigned v = 0; v < 256; v += 51) {
            uint8_t *copy = malloc(s.len);
            memcpy(copy, s.buf, s.len);
            copy[at] ^= (uint8_t)(v ? v : 1);
            struct part r;
            part_init(&r, &q);
            state_init_load(&l, copy, s.len);
            part_state(&r, &l, &q);
            if (!l.err.msg[0])
                assert_true(r.a < 100 && r.timer.due_ns >= 0);
            event_cancel(&q, &r.timer);
            free(copy);
        }
    }
    state_free(&s);
}

static void load_u8(const void *buf, size_t len, const char *section, uint32_t version,
                    const char *field, struct state *l)
{
    uint8_t v = 0;
    state_init_load(l, buf, len);
    state_begin(l, section, version);
    state_u8(l, field, &v);
    state_end(l);
}

static void test_messages(void **unused)
{
    (void)unused;
    struct state s, l;
    uint8_t v = 5;
    state_init_save(&s);
    state_begin(&s, "uart", 3);
    state_u8(&s, "lcr", &v);
    state_end(&s);

    load_u8(s.buf, s.len, "uart", 4, "lcr", &l);
    assert_string_equal(l.err.msg, "");
    assert_int_equal(l.version, 3);
    load_u8(s.buf, s.len, "uart", 2, "lcr", &l);
    assert_string_equal(l.err.msg,
                        "saved state: section 'uart' has version 3, this build reads up to 2");
    load_u8(s.buf, s.len, "pit", 3, "lcr", &l);
    assert_string_equal(l.err.msg, "saved state: section 'pit' expected at byte 0, 'uart' found");
    load_u8(s.buf, s.len, "uart", 3, "mcr", &l);
    assert_string_equal(l.err.msg,
                        "saved state: field 'uart.mcr' expected at byte 17, 'lcr' found");
    load_u8(s.buf, s.len - 1, "uart", 3, "lcr", &l);
    assert_string_equal(l.err.msg, "saved state: section 'uart' is cut short");

    uint16_t w = 0;
    state_init_load(&l, s.buf, s.len);
    state_begin(&l, "uart", 3);
    state_u16(&l, "lcr", &w);
    state_end(&l);
    assert_string_equal(l.err.msg, "saved state: 'uart.lcr' has 1 bytes, not 2");

    state_init_load(&l, s.buf, s.len);
    state_begin(&l, "uart", 3);
    state_end(&l);
    assert_string_equal(l.err.msg,
                        "saved state: section 'uart' is 13 bytes long, its fields are 0");

    /* The first error stays. */
    state_init_load(&l, s.buf, s.len);
    state_begin(&l, "uart", 3);
    state_u8(&l, "lcr", &v);
    state_check(&l, v == 4, "lcr");
    state_check(&l, false, "other");
    state_end(&l);
    assert_string_equal(l.err.msg, "saved state: 'uart.lcr' has a value that cannot be");
    state_free(&s);
}

static char dumped[4096];

static void collect(void *opaque, const char *line)
{
    (void)opaque;
    strcat(dumped, line);
    strcat(dumped, "\n");
}

static void test_dump(void **unused)
{
    (void)unused;
    struct event_queue q;
    struct part p;
    part_init(&p, &q);
    struct state s;
    dumped[0] = '\0';
    state_init_dump(&s, collect, NULL);
    part_state(&p, &s, &q);
    assert_string_equal(dumped, "part.on = true\n"
                                "part.a = 0x07\n"
                                "part.b = 0x1234\n"
                                "part.c = 0xdeadbeef\n"
                                "part.d = 0x1000000000000000\n"
                                "part.e = -5\n"
                                "part.bytes = 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 "
                                "11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f ... (40 bytes)\n"
                                "part.timer = 12345 ns\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_event_never),
        cmocka_unit_test(test_hash),       cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_messages),   cmocka_unit_test(test_dump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
