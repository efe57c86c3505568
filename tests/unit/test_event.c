/* The event queue: order, ties, re-arming and cancelling from callbacks, the stepped clock. */
#include "core/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct fired {
    char name;
    int64_t at_ns;
};

static struct fired fired[64];
static unsigned count;
static struct event_queue q;
static int64_t now_ns;

struct timer {
    struct event event;
    char name;
    int64_t period_ns;    /* re-arms itself when not 0 */
    struct timer *victim; /* cancelled when this one fires */
};

static void fire(void *opaque, int64_t at_ns)
{
    struct timer *t = opaque;
    assert_false(event_armed(&t->event)); /* disarmed before it fires */
    fired[count++] = (struct fired){t->name, at_ns};
    if (t->period_ns)
        event_arm(&q, &t->event, at_ns + t->period_ns);
    if (t->victim)
        event_cancel(&q, &t->victim->event);
}

static void timer_init(struct timer *t, char name)
{
    *t = (struct timer){.name = name};
    event_init(&t->event, "test", fire, t);
}

static int setup(void **unused)
{
    (void)unused;
    now_ns = 0;
    count = 0;
    event_queue_init_stepped(&q, &now_ns);
    return 0;
}

static void expect(const char *names)
{
    assert_int_equal(count, strlen(names));
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(fired[i].name, names[i]);
}

static void test_order(void **unused)
{
    (void)unused;
    struct timer a, b, c, d;
    timer_init(&a, 'a');
    timer_init(&b, 'b');
    timer_init(&c, 'c');
    timer_init(&d, 'd');
    assert_true(event_next_due(&q) == EVENT_NEVER);
    event_arm(&q, &a.event, 30);
    event_arm(&q, &b.event, 10);
    event_arm(&q, &c.event, 30); /* a tie: after a, which was armed first */
    event_arm(&q, &d.event, 20);
    assert_true(event_next_due(&q) == 10);
    event_run(&q, 9);
    expect("");
    event_run(&q, 20);
    expect("bd");
    event_run(&q, 1000);
    expect("bdac");
    assert_true(event_next_due(&q) == EVENT_NEVER);
}

static void test_rearm_and_cancel(void **unused)
{
    (void)unused;
    struct timer a, b;
    timer_init(&a, 'a');
    timer_init(&b, 'b');
    event_arm(&q, &a.event, 10);
    event_arm(&q, &b.event, 20);
    event_arm(&q, &a.event, 30); /* moves it */
    assert_true(event_next_due(&q) == 20);
    a.victim = NULL;
    b.victim = &a;
    event_run(&q, 100);
    expect("b"); /* and b cancelled a, which was due as well */
    event_cancel(&q, &a.event);
    event_arm(&q, &a.event, EVENT_NEVER);
    assert_false(event_armed(&a.event));
    assert_null(q.head);

    event_arm(&q, &b.event, -5); /* past: at the next run */
    event_run(&q, 100);
    expect("bb");
}

static void test_stepped(void **unused)
{
    (void)unused;
    struct timer a, b;
    timer_init(&a, 'a');
    timer_init(&b, 'b');
    a.period_ns = 100;
    event_arm(&q, &a.event, 100);
    event_arm(&q, &b.event, 250);
    event_step(&q, &now_ns, 350);
    expect("aaba");
    assert_true(now_ns == 350 && event_now(&q) == 350);
    const int64_t at[] = {100, 200, 250, 300}; /* each at its exact time */
    for (unsigned i = 0; i < count; i++)
        assert_true(fired[i].at_ns == at[i]);
    event_step(&q, &now_ns, 49);
    assert_int_equal(count, 4);
    event_step(&q, &now_ns, 1);
    assert_int_equal(count, 5);
}

static void count_change(void *opaque)
{
    ++*(unsigned *)opaque;
}

static void test_deadline_changed(void **unused)
{
    (void)unused;
    struct timer a, b;
    unsigned changes = 0;
    timer_init(&a, 'a');
    timer_init(&b, 'b');
    q.deadline_changed = count_change;
    q.deadline_opaque = &changes;
    event_arm(&q, &a.event, 100);
    assert_int_equal(changes, 1);
    event_arm(&q, &b.event, 200); /* behind the head: nobody need know */
    assert_int_equal(changes, 1);
    event_arm(&q, &b.event, 50);
    assert_int_equal(changes, 2);
    event_arm(&q, &b.event, 60); /* still the head, but later */
    assert_int_equal(changes, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_rearm_and_cancel, setup),
        cmocka_unit_test_setup(test_stepped, setup),
        cmocka_unit_test_setup(test_deadline_changed, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
